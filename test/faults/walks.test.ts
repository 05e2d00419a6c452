/**
 * Programs that send through the library, drawn from seeds: one message or many, by `submit`, a session, a pool or nodemailer, in every
 * shape of content, with all that may be asked of a server, with signals and ends at any moment, to servers that fail at any step in any
 * way and offer what they like; on sockets also with TLS in every state. In each walk what docs/library.md
 * promises must hold: the checks are in support/walks/oracle.ts. walks-faults.test.ts puts one fault after another into the library, and
 * walks must find it.
 *
 * WALKS says how many (default 100), WALK_SEED which is the first: `WALKS=1 WALK_SEED=4711` runs that one. A breach is printed with
 * the shortest walk in which it is still there.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { within } from '../support/within.ts';
import { loadBundled } from './support/bundle.ts';
import type * as Walks from './support/walks/walk.ts';

const test = suite('walks');

const COUNT = Number(process.env.WALKS ?? 100);
const FIRST = Number(process.env.WALK_SEED ?? 1);

const load = () => loadBundled<typeof Walks>('test/faults/support/walks/walk.ts', []);

test(`the promises of the library hold in ${COUNT} walks`, async () => {
  const { runWalk, emptyTally } = await load();
  const tally = emptyTally();
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const breach = await runWalk(seed, tally);
    assert.equal(breach, null, `${breach}\nagain: WALKS=1 WALK_SEED=${seed} node test/run.mjs faults/walks`);
  }
  console.log(`\n  ${COUNT} walks: ${JSON.stringify(tally)}`);
  if (COUNT >= 100) for (const count of Object.values(tally)) assert.ok(count > COUNT / 20, 'the walks have become tame');
});

test('they hold on sockets of loopback, in real time', () =>
  within(60_000, async () => {
    const { runOnLoopback, emptyTally } = await load();
    const seeds = Array.from({ length: Math.min(COUNT, 30) }, (_, i) => FIRST + i);
    assert.equal(await runOnLoopback(seeds, emptyTally()), null);
  }));

test('a seed goes the same way each time', async () => {
  const { digest } = await load();
  for (let seed = FIRST; seed < FIRST + Math.min(COUNT, 25); seed++) assert.equal(await digest(seed), await digest(seed), `walk ${seed}`);
});

test.run();
