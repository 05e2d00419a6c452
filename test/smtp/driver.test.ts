/**
 * The driver of docs/driver.md, which is examples/driver.mjs: it runs in a context that has ECMAScript and nothing else, so neither
 * the driver nor the core needs a platform. The receiver's door runs there, too.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { build } from 'esbuild';
import { suite } from 'uvu';
import type { Transaction } from '../../src/smtp/client/print.ts';
import type { Plan, SessionFailure, SessionOutcome } from '../../src/smtp/index.ts';

const test = suite('driver');

const root = fileURLToPath(new URL('../..', import.meta.url));
const DOORS = { 'nospool/smtp': `${root}src/smtp/index.ts`, 'nospool/smtp/server': `${root}src/smtp/server/index.ts` };

/** The exports of a module that runs where there is no platform: no Buffer, no process, no timers, no console, no TextEncoder. */
async function inBareContext(contents: string): Promise<unknown> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root, loader: 'js' },
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'exported',
    target: 'es2022',
    alias: DOORS,
  });
  const context = vm.createContext({});
  vm.runInContext(outputFiles[0]?.text ?? '', context);
  return vm.runInContext('exported', context);
}

interface Stream {
  onOctets(octets: Uint8Array): void;
  onLost(detail: string): void;
}
interface Driver {
  submit(transaction: Transaction, content: Iterable<Uint8Array>): Promise<SessionOutcome>;
  noop(): Promise<SessionFailure | null>;
  quit(): void;
  abort(detail: string): void;
}
interface Example {
  readonly Driver: new (plan: Plan, stream: Stream, clock: object, timeouts: object) => Driver;
  readonly PLAN: Plan;
  readonly TIMEOUTS: object;
  readonly NO_CLOCK: object;
  streamInMemory(extensions: readonly string[], tell: (line: string) => void): Stream;
  transactionOf(from: string, ...to: string[]): Transaction;
  example(): Promise<readonly SessionOutcome[]>;
}

const text = readFileSync(`${root}examples/driver.mjs`, 'utf8');
const page = readFileSync(`${root}docs/driver.md`, 'utf8');
const loading = inBareContext(text) as Promise<Example>;
const content = (length: number): Uint8Array => new TextEncoder().encode(`Subject: x\n\n${'.line\n'.repeat(length)}`);

/** A driver of the example's over the stream of the example's, and what both sides said. */
async function open(extensions: readonly string[], plan: Partial<Plan> = {}, clock?: object) {
  const { Driver, PLAN, TIMEOUTS, NO_CLOCK, streamInMemory, transactionOf } = await loading;
  const said: string[] = [];
  const stream = streamInMemory(extensions, (line) => said.push(line));
  const driver = new Driver({ ...PLAN, ...plan }, stream, clock ?? NO_CLOCK, TIMEOUTS);
  return { said, stream, driver, toAlice: transactionOf('web1@example.org', 'alice@example.org') };
}

test('docs/driver.md shows the driver as it is', () => {
  const shown = /```js\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  assert.ok(text.startsWith(shown) && shown.includes('export class Driver') && shown.includes('async function* encode'), 'copy it there');
});

test('the example sends two messages in a bare context', async () => {
  const [report, alarm] = await (await loading).example();
  assert.ok(report?.kind === 'accepted' && alarm?.kind === 'accepted');
  assert.deepEqual(
    [...report.refusals].map(({ recipient, reply }) => [recipient, reply.code]),
    [[1, 550]],
  );
});

for (const extensions of [[], ['PIPELINING'], ['PIPELINING', 'CHUNKING']])
  test(`content of several blocks arrives whole, with ${extensions.join(' and ') || 'no extension'}`, async () => {
    const { said, driver, toAlice } = await open(extensions);
    const { kind } = await driver.submit(toAlice, [content(20_000), content(1)]);
    assert.equal(kind, 'accepted');
    const dot = extensions.includes('CHUNKING') ? '.' : '..';
    assert.equal(said.filter((line) => line === `C: ${dot}line`).length, 20_001);
    assert.equal(said.filter((line) => line === 'C: Subject: x').length, 2);
    assert.equal(said.filter((line) => line.startsWith('C: BDAT')).length, extensions.includes('CHUNKING') ? 2 : 0);
  });

test('a session that is alive says so, and goes on', async () => {
  const { said, driver, toAlice } = await open(['PIPELINING']);
  assert.equal(await driver.noop(), null);
  assert.equal((await driver.submit(toAlice, [content(1)])).kind, 'accepted');
  driver.quit();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    said.filter((line) => /NOOP|QUIT|ends/.test(line)),
    ['C: NOOP', 'C: QUIT', '!  the stream ends'],
  );
});

test('content that fails, a signal, a loss and a time-out end the message, and nothing follows', async () => {
  const failing = await open(['PIPELINING']);
  function* broken() {
    yield content(1);
    throw new Error('read error');
  }
  const input = await failing.driver.submit(failing.toAlice, broken());
  assert.ok(input.kind === 'failed' && input.failure.kind === 'content' && input.failure.reason === 'input');
  assert.ok(!failing.said.includes('C: .') && failing.said.includes('!  the stream is destroyed'));

  const aborted = await open(['PIPELINING']);
  const ending = aborted.driver.submit(aborted.toAlice, [content(1)]);
  aborted.driver.abort('SIGTERM');
  const signalled = await ending;
  assert.ok(signalled.kind === 'failed' && signalled.failure.kind === 'content' && signalled.failure.reason === 'aborted');

  const lost = await open(['PIPELINING']);
  const losing = [lost.driver.submit(lost.toAlice, [content(1)]), lost.driver.submit(lost.toAlice, [content(1)])];
  lost.stream.onLost('the wire is cut');
  for (const outcome of await Promise.all(losing)) assert.ok(outcome.kind === 'failed' && outcome.failure.kind === 'lost');
  assert.equal((await lost.driver.noop())?.kind, 'lost');

  let ring = (): void => {};
  const limits: number[] = [];
  const clock = {
    set(milliseconds: number, rings: () => void) {
      limits.push(milliseconds);
      ring = rings;
    },
  };
  const late = await open(['PIPELINING'], {}, clock);
  const waiting = late.driver.submit(late.toAlice, [content(1)]);
  ring();
  const timedOut = await waiting;
  assert.ok(timedOut.kind === 'failed' && timedOut.failure.kind === 'timeout' && timedOut.failure.limit?.key === 'command');
  assert.deepEqual([...new Set(limits.slice(0, 2))], [300_000], 'for the greeting and for EHLO');
  assert.equal(limits.at(-1), Number.POSITIVE_INFINITY, 'behind the end no clock runs');
});

test('TLS in place: the core asks for it, and what failed is told', async () => {
  const { said, driver, toAlice } = await open(['STARTTLS'], { tls: 'required' });
  assert.equal((await driver.submit(toAlice, [content(1)])).kind, 'accepted');
  assert.equal(said.filter((line) => line.startsWith('C: EHLO')).length, 2);
});

/* ---- the other side ---- */

interface Served {
  serve(
    write: (octets: Uint8Array) => void,
    deliver: (envelope: { to: readonly { localPart: string }[] }, content: string) => void,
  ): (octets: Uint8Array) => void;
}

test('the receiver of docs/driver.md takes what the driver sends, in a bare context', async () => {
  const example = await loading;
  const { PLAN, NO_CLOCK, TIMEOUTS } = example;
  const receiver = /```js receiver\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const { serve } = (await inBareContext(receiver)) as Served;
  const delivered: string[] = [];
  const stream: Stream & Record<string, unknown> = {
    onOctets: () => {},
    onLost: () => {},
    write: async (octets: Uint8Array) => hear(octets.slice()),
    idle: async () => {},
    end: () => {},
    destroy: () => {},
  };
  const driver = new example.Driver(PLAN, stream, NO_CLOCK, TIMEOUTS);
  const said: Uint8Array[] = [];
  const hear = serve(
    (octets) => {
      said.push(octets);
      queueMicrotask(() => stream.onOctets(said.shift() as Uint8Array));
    },
    (envelope, text) => delivered.push(`${[...envelope.to].map(({ localPart }) => localPart).join()}: ${text}`),
  );
  const outcome = await driver.submit(example.transactionOf('web1@example.org', 'alice@example.org', 'eve@example.net'), [content(1)]);
  assert.ok(outcome.kind === 'accepted', JSON.stringify(outcome));
  assert.equal(outcome.refusals.length, 1);
  assert.deepEqual(delivered, ['alice: Subject: x\r\n\r\n.line\r\n']);
});

test('a message with the null reverse-path', async () => {
  const { said, driver } = await open(['PIPELINING']);
  const { transactionOf } = await loading;
  const outcome = await driver.submit(transactionOf('', 'alice@example.org'), [content(1)]);
  assert.equal(outcome.kind, 'accepted');
  assert.ok(said.includes('C: MAIL FROM:<>'), said.join('\n'));
});

test.run();
