/**
 * Much at once, and often, on a small scale; `npm run load` does it on a large one. Nothing here waits for a time: servers die after so many
 * messages, and what is compared are counts.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import * as library from '../../src/library/index.ts';
import { printGrowth } from '../support/heap.ts';
import { within } from '../support/within.ts';
import { runLong } from './long.ts';
import { runParallel } from './parallel.ts';
import { runPool } from './pool.ts';
import { runRecipients } from './recipients.ts';
import { runSerial, WAYS } from './serial.ts';
import { DEATHS } from './server.ts';

const test = suite('load');

test('20 runs at once are all delivered, each once', () =>
  within(120_000, async () => {
    const run = await runParallel(20, Number.POSITIVE_INFINITY);
    assert.deepEqual(run.breaches, []);
    assert.equal(run.delivered, 20);
    assert.equal(run.left, 0);
  }));

test('runs that a full server turns away fail, say so, and leave nothing there', () =>
  within(120_000, async () => {
    const run = await runParallel(20, 5);
    assert.deepEqual(run.breaches, []);
    assert.equal(run.delivered, 5);
    for (const words of Object.keys(run.words)) assert.match(words, /421/);
  }));

test('2,000 recipients of -bs do not make it read the alias file again', () =>
  within(120_000, async () => {
    const [few, many] = [await runRecipients(20, 5000), await runRecipients(2000, 5000)];
    for (const run of [few, many]) {
      assert.equal(run.status, 0);
      assert.match(run.verdict, /^250 /);
    }
    assert.equal(many.accepted, 2000);
    // Each tenth recipient is two.
    assert.deepEqual(many.held, [2200]);
    // The commands and replies themselves are some 100 octets for each.
    assert.ok(many.read - few.read < many.aliases, `${many.read - few.read} octets more, of a file of ${many.aliases}`);
  }));

test('half a GiB from a pipe leaves nothing on the heap that only a whole collection would free, and takes no more for new objects', () =>
  within(120_000, async () => {
    const run = await runLong(8192, ['--trace-gc']);
    assert.equal(run.status, 0, run.said);
    assert.ok(run.received > 512 << 20);
    assert.equal(run.whole, 0);
    // The first ones are still about what was loaded.
    const [, , , early = 0, ...late] = run.left;
    assert.ok(late.length > 2, `${run.left}`);
    assert.ok((late.at(-1) as number) - early < 0.3, `${run.left} MB`);
    // New objects have two halves of a MiB each; V8 would take twice as much by itself.
    assert.ok((run.taken.at(-1) as number) - (late.at(-1) as number) < 3.8, `${run.taken} MB`);
  }));

test('V8 optimizes what converts long content, as it does not what only passes it on', () =>
  within(120_000, async () => {
    const entered = /entry\. function: write|optimizing.*JSFunction write /;
    const [passed, converted] = [
      await runLong(512, ['--trace-osr', '--trace-opt']),
      await runLong(512, ['--trace-osr', '--trace-opt'], false),
    ];
    for (const run of [passed, converted]) assert.equal(run.status, 0, run.said.slice(0, 1000));
    assert.doesNotMatch(passed.said, entered);
    assert.match(converted.said, entered);
  }));

for (const way of WAYS)
  test(`500 messages one after another by ${way} leave nothing`, () =>
    within(120_000, async () => {
      const run = await runSerial(library, way, 500, 700);
      assert.deepEqual(run.breaches, []);
      assert.equal(run.accepted, 1200);
      assert.equal(run.descriptors, 0);
      assert.ok(run.after.count - run.before.count < 250, printGrowth(run.before, run.after));
    }));

test('two pools lose nothing and double nothing at a server that dies in every way', () =>
  within(300_000, async () => {
    const run = await runPool({
      library,
      messages: 900,
      milliseconds: Number.POSITIVE_INFINITY,
      rate: Number.POSITIVE_INFINITY,
      abreast: 40,
      dies: { messages: 100 },
      looks: Number.POSITIVE_INFINITY,
      tell: (line) => console.log(line),
    });
    assert.deepEqual(run.breaches, []);
    assert.equal(run.given, 900);
    assert.equal(run.failed, 0);
    assert.equal(run.accepted + run.uncertain, 900);
    assert.ok(run.deaths >= DEATHS.length, JSON.stringify(run));
    assert.ok(run.uncertain > 0, JSON.stringify(run));
  }));

test.run();
