/**
 * How sessions and messages end: by the server, by the program that gave them, by signals of their own, and by what a program's
 * functions throw.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { suite } from 'uvu';
import { type Source, sourceOf } from '../../src/message/source.ts';
import type { SessionFailure } from '../../src/smtp/client/outcome.ts';
import type { Plan } from '../../src/smtp/client/session.ts';
import { Connection, type ConnectionOptions, type ContentOpener, type MessageOptions } from '../../src/transport/driver.ts';
import { nodeWire } from '../../src/transport/node-wire.ts';
import { type Wire as LiveWire, unreached } from '../../src/transport/wire.ts';
import { MESSAGE, PLAN_OF_MANY as PLAN, transactionTo } from '../support/delivery.ts';
import { reset } from '../support/reset.ts';
import { type Deed, type SmarthostOptions, startHost, type Talk, type TestHost } from '../support/smarthost.ts';
import { untilClosed, wireTo } from '../support/sockets.ts';
import { printOutcome } from '../support/transcript.ts';
import { openWire, type Wire, type WireOptions } from '../support/wire.ts';
import { within } from '../support/within.ts';

const test = suite('ends');

const LIMITS = { handshake: 10_000, greeting: 10_000, command: 10_000, data: 10_000, block: 10_000, final: 10_000 };
const secure = async () => unreached('other', 'no TLS');
const CONTENT: ContentOpener = { open: () => sourceOf(Buffer.from(MESSAGE)) };
const ACCEPTED = '= accepted 250 2.0.0 taken';
const ENDED = '= lost at ready, condemns address';

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await turns(1);
};

interface Opened {
  readonly server: TestHost;
  readonly wire: LiveWire;
  readonly connection: Connection;
}

async function opened(options: SmarthostOptions, more: Partial<ConnectionOptions> = {}, plan: Partial<Plan> = {}): Promise<Opened> {
  const server = await startHost(options);
  const wire = await wireTo(server.port);
  return {
    server,
    wire,
    connection: new Connection(wire, { plan: { ...PLAN, ...plan }, timeouts: LIMITS, secure, ...more }),
  };
}

interface InMemory {
  readonly wire: Wire;
  readonly connection: Connection;
}

function inMemory(options: WireOptions = {}, more: Partial<ConnectionOptions> = {}): InMemory {
  const wire = openWire(options);
  const connection = new Connection(nodeWire(wire.stream), { plan: PLAN, timeouts: LIMITS, secure, ...more });
  left.add(connection);
  return { wire, connection };
}

/** Sessions of a test that would keep the process alive by their clocks. */
const left = new Set<Connection>();
test.after.each(() => {
  for (const connection of left) connection.destroy();
  left.clear();
});

const send = async ({ connection }: Pick<Opened, 'connection'>, options?: MessageOptions, content = CONTENT): Promise<string> =>
  printOutcome(await connection.submit(transactionTo(1), content, options));

const kindOf = (failure: SessionFailure | null): string => (failure === null ? 'alive' : `${failure.kind} at ${failure.at}`);

/** A content that is given when the test says so. */
function slow(): { readonly content: ContentOpener; readonly isOpen: () => boolean; readonly finish: () => void } {
  let isOpen = false;
  let finish: () => void = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const left = [Buffer.from(MESSAGE)];
  const source: Source = {
    async read() {
      isOpen = true;
      await finished;
      return left.shift() ?? { end: 'clean' };
    },
    close: () => undefined,
  };
  return { content: { open: () => source }, isOpen: () => isOpen, finish: () => finish() };
}

/* ---- the server's end ---- */

const IDLE: readonly (readonly [string, (talk: Talk) => void])[] = [
  ['closes', ({ socket }) => socket.end()],
  ['resets', ({ socket }) => reset(socket)],
  ['says 421', ({ say }) => say('421 4.4.2 idle for too long\n')],
];
for (const [what, deed] of IDLE)
  test(`an idle session tells at once that its server ${what}, and the next message is lost without a word of it`, () =>
    within(10_000, async () => {
      let talk: Talk | undefined;
      const end: Deed = (given) => {
        talk = given;
        return '250 2.0.0 taken';
      };
      const at = await opened({ script: { end } });
      assert.equal(await send(at), ACCEPTED);
      let isOver = false;
      void at.connection.ended().then(() => {
        isOver = true;
      });
      await turns(3);
      assert.deepEqual([at.connection.isUsable, isOver], [true, false]);
      deed(talk as Talk);
      await at.connection.ended();
      assert.equal(at.connection.isUsable, false);
      assert.equal(await send(at), ENDED);
      assert.equal(kindOf(await at.connection.noop()), 'lost at ready');
      assert.equal(at.server.sessions[0]?.filter((line) => line.startsWith('MAIL')).length, 1);
      await at.connection.quit();
      await at.server.stop();
    }));

test('a message given in the moment in which the server closes is lost before its content is opened', () =>
  within(10_000, async () => {
    for (const offers of [[], ['PIPELINING'], ['PIPELINING', 'CHUNKING']]) {
      const at = inMemory({ offers });
      await at.connection.opened();
      at.wire.close();
      let isOpen = false;
      const outcome = await send(
        at,
        {},
        {
          open() {
            isOpen = true;
            return null;
          },
        },
      );
      assert.match(outcome, /^= lost at (ready|envelope), condemns address$/);
      assert.equal(isOpen, false);
      assert.deepEqual(at.wire.held(), []);
    }
  }));

test('a wire that failed takes no message, though nobody has told of its end yet', () =>
  within(10_000, async () => {
    const at = inMemory();
    await at.connection.opened();
    at.wire.stream.destroy();
    assert.equal(at.connection.isUsable, false);
    assert.equal(await send(at), ENDED);
  }));

/* ---- quit and destroy ---- */

test('quit finishes what was given, says QUIT, and takes no more; two are one', () =>
  within(10_000, async () => {
    for (const offers of [[], ['PIPELINING', 'CHUNKING']]) {
      const at = await opened({ offers });
      const sent = [send(at), send(at), send(at)];
      const first = at.connection.quit();
      assert.equal(at.connection.quit(), first);
      assert.equal(at.connection.isUsable, false);
      assert.equal(await send(at), ENDED);
      await first;
      assert.deepEqual(await Promise.all(sent), [ACCEPTED, ACCEPTED, ACCEPTED]);
      assert.equal(at.server.sessions[0]?.at(-1), 'QUIT');
      assert.equal(at.wire.isOpen, false);
      await at.connection.ended();
      await at.server.stop();
    }
  }));

test('quit after a refusal waits for the answer to RSET', () =>
  within(10_000, async () => {
    const at = await opened({ script: { 'RCPT 1': '550 no' } });
    assert.match(await send(at), /^= rejected/);
    await at.connection.quit();
    assert.deepEqual(at.server.sessions[0]?.slice(-2), ['RSET', 'QUIT']);
    await at.server.stop();
  }));

test('quit does not wait for a server that says nothing to QUIT, nor for one that does not hang up', () =>
  within(10_000, async () => {
    const deaf: Deed = ({ socket, say }) => {
      say('221 bye\n');
      return new Promise(() => socket);
    };
    for (const QUIT of ['silence', deaf] as const) {
      const at = await opened({ script: { QUIT } });
      await at.connection.opened();
      await at.connection.quit();
      assert.equal(at.wire.isOpen, false);
      await at.server.stop();
    }
  }));

test('quit of a session that is not open yet ends it, unless a message waits for it', () =>
  within(10_000, async () => {
    const silent = await opened({ script: { greeting: 'silence' } });
    await silent.connection.quit();
    assert.equal(kindOf(await silent.connection.opened()), 'content at greeting');
    await silent.server.stop();
    const at = await opened({});
    const sent = send(at);
    await at.connection.quit();
    assert.equal(await sent, ACCEPTED);
    await at.server.stop();
    const lines: string[] = [];
    const trace = (side: string, line: string) => void lines.push(`${side} ${line}`);
    const refused = inMemory({ script: { EHLO: '450 no' } }, { observer: { trace } });
    assert.equal(kindOf(await refused.connection.opened()), 'rejected at hello');
    await refused.connection.quit();
    assert.deepEqual(lines.slice(-3), ['S 450 no', 'C QUIT', 'S 221 2.0.0 bye']);
  }));

test('quit of a session that is over has nothing to wait for, and leaves no clock', () =>
  within(10_000, async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    for (const transactions of ['one', 'many'] as const) {
      const before = timers();
      const at = await opened({}, {}, { transactions });
      assert.equal(await send(at), ACCEPTED);
      if (transactions === 'many') at.connection.destroy();
      await untilClosed(at.wire);
      await at.connection.quit();
      assert.equal(timers(), before);
      const polite = await opened({}, {}, { transactions });
      await polite.connection.opened();
      await polite.connection.quit();
      assert.equal(timers(), before);
      await Promise.all([at.server.stop(), polite.server.stop()]);
    }
  }));

test('destroy ends the session without a word, and everything that was given', () =>
  within(10_000, async () => {
    const at = await opened({});
    const { content, isOpen } = slow();
    const sent = [send(at, {}, content), send(at)];
    await until(isOpen);
    at.connection.destroy('not wanted any more');
    assert.deepEqual(await Promise.all(sent), ['= content at content, condemns message', '= content at ready, condemns message']);
    await at.connection.quit();
    assert.equal(at.wire.isOpen, false);
    at.connection.destroy();
    await at.server.stop();
    assert.equal(at.server.sessions[0]?.includes('QUIT'), false);
    assert.deepEqual(at.server.held, []);
  }));

/* ---- NOOP ---- */

test('noop asks the server, also behind a message that is under way, and once for all who ask', () =>
  within(10_000, async () => {
    const at = await opened({});
    assert.equal(kindOf(await at.connection.noop()), 'alive');
    const { content, isOpen, finish } = slow();
    const sent = send(at, {}, content);
    await until(isOpen);
    const asked = Promise.all([at.connection.noop(), at.connection.noop()]);
    finish();
    assert.equal(await sent, ACCEPTED);
    assert.deepEqual((await asked).map(kindOf), ['alive', 'alive']);
    assert.equal(at.server.sessions[0]?.filter((line) => line === 'NOOP').length, 2);
    assert.equal(await send(at), ACCEPTED);
    await at.connection.quit();
    assert.equal(kindOf(await at.connection.noop()), 'lost at ready');
    await at.server.stop();
  }));

test('noop says why a session is over: it did not open, it is refused, it is lost', () =>
  within(10_000, async () => {
    const unopened = await opened({ script: { greeting: '554 no' } });
    assert.equal(kindOf(await unopened.connection.noop()), 'rejected at greeting');
    await unopened.server.stop();
    const refused = inMemory({ script: { NOOP: '502 not here, tanstaaf' } }, { scrub: (text) => text.replaceAll('tanstaaf', '***') });
    const refusal = await refused.connection.noop();
    assert.ok(refusal?.kind === 'rejected' && refusal.at === 'noop');
    assert.deepEqual(refusal.refusals[0].reply.lines, ['not here, ***']);
    const lost = inMemory({ takes: (octets) => (octets === 'NOOP\r\n' ? new Promise(() => {}) : Promise.resolve()) });
    await lost.connection.opened();
    const asked = lost.connection.noop();
    await turns(3);
    lost.wire.close();
    assert.equal(kindOf(await asked), 'lost at noop');
    const destroyed = inMemory();
    await destroyed.connection.opened();
    const { content, isOpen } = slow();
    const sent = send(destroyed, {}, content);
    await until(isOpen);
    const waiting = destroyed.connection.noop();
    await turns(3);
    destroyed.connection.destroy();
    assert.equal(kindOf(await waiting), 'lost at ready');
    assert.match(await sent, /^= content/);
  }));

test('noop is answered by none of the messages before it, though the envelope of the last went along', () =>
  within(10_000, async () => {
    let asked: Promise<SessionFailure | null> | null = null;
    const end: Deed = ({ socket }) => {
      if (asked !== null) return void socket.destroy();
      // The envelope came in one write with the end.
      asked = at.connection.noop();
      return '250 2.0.0 taken';
    };
    const at = await opened({ offers: ['PIPELINING'], script: { end } });
    const [first, second] = await Promise.all([send(at), send(at)]);
    assert.equal(first, ACCEPTED);
    assert.match(second, /^= uncertain/);
    assert.equal(kindOf(await asked), 'lost at ready');
    await at.server.stop();
  }));

/* ---- signals of messages ---- */

test('a signal ends a message that waits for its turn, and touches no other', () =>
  within(10_000, async () => {
    const at = await opened({});
    const { content, isOpen, finish } = slow();
    const [first, third] = [send(at, {}, content), new AbortController()];
    const second = new AbortController();
    const sent = [send(at, { signal: second.signal }), send(at, { signal: third.signal }), send(at)];
    await until(isOpen);
    second.abort('not wanted any more');
    assert.equal(await sent[0], '= content at ready, condemns message');
    assert.equal(getEventListeners(second.signal, 'abort').length, 0);
    finish();
    assert.deepEqual(await Promise.all([first, ...sent.slice(1)]), [ACCEPTED, ACCEPTED, ACCEPTED]);
    assert.equal(getEventListeners(third.signal, 'abort').length, 0);
    assert.equal(await send(at, { signal: AbortSignal.abort('before') }), '= content at ready, condemns message');
    await at.connection.quit();
    await at.server.stop();
    assert.equal(at.server.held.length, 3);
  }));

test('a signal ends the first message of a session that is not open yet, and the session still serves the others', () =>
  within(10_000, async () => {
    const at = inMemory();
    const controller = new AbortController();
    const sent = [send(at, { signal: controller.signal }), send(at)];
    controller.abort(new Error('not wanted any more'));
    assert.deepEqual(await Promise.all(sent), ['= content at ready, condemns message', '= accepted 250 2.0.0 taken']);
    assert.equal(kindOf(await at.connection.opened()), 'alive');
    assert.equal(at.wire.held().length, 1);
  }));

test('a signal ends the session of a message that is under way before its commit', () =>
  within(10_000, async () => {
    const at = await opened({});
    const { content, isOpen } = slow();
    const controller = new AbortController();
    const sent = send(at, { signal: controller.signal }, content);
    await until(isOpen);
    controller.abort('not wanted any more');
    assert.equal(await sent, '= content at content, condemns message');
    await at.connection.ended();
    assert.deepEqual(at.server.held, []);
    await at.server.stop();
  }));

test('after the commit a signal waits for the verdict, as long as its grace', () =>
  within(10_000, async () => {
    for (const [grace, expected] of [
      [5000, ACCEPTED],
      [20, '= uncertain at commit, condemns message'],
    ] as const) {
      let say: () => void = () => {};
      const end: Deed = () =>
        new Promise((resolve) => {
          say = () => resolve('250 2.0.0 taken');
        });
      const at = await opened({ script: { end } });
      const controller = new AbortController();
      const sent = send(at, { signal: controller.signal, grace });
      await until(() => at.server.held.length === 1);
      controller.abort('not wanted any more');
      if (grace > 1000) setTimeout(say, 50);
      assert.equal(await sent, expected);
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      at.connection.destroy();
      say();
      await at.server.stop();
    }
  }));

test('a signal for a message whose envelope went along with a commit does not make the message before it uncertain', () =>
  within(10_000, async () => {
    for (const when of ['commit', 'verdict'] as const) {
      const controller = new AbortController();
      const end = () => controller.abort('not wanted any more');
      let isAlong = false;
      const trace = (side: string, line: string) => {
        if (side === 'C' && line.startsWith('MAIL') && isAlong && when === 'commit') end();
        if (side === 'C' && line === '.') isAlong = true;
        if (side === 'S' && line === '250 2.0.0 taken' && isAlong && when === 'verdict') end();
      };
      const at = inMemory({ offers: ['PIPELINING'] }, { observer: { trace } });
      const sent = [send(at), send(at, { signal: controller.signal }), send(at)];
      assert.deepEqual(await Promise.all(sent), ['= accepted 250 2.0.0 taken', '= content at ready, condemns message', ENDED]);
      assert.equal(at.wire.held().length, 1);
    }
  }));

test('one signal for a thousand messages is one listener, and ends all of them', () =>
  within(20_000, async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on('warning', warn);
    const controller = new AbortController();
    const { signal } = controller;
    const at = inMemory({ offers: ['PIPELINING'] });
    const sent = await Promise.all(Array.from({ length: 1000 }, () => send(at, { signal })));
    assert.deepEqual([...new Set(sent)], ['= accepted 250 2.0.0 taken']);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    const { content, isOpen } = slow();
    const under = send(at, { signal }, content);
    const waiting = Array.from({ length: 1000 }, () => send(at, { signal }));
    const others = Array.from({ length: 20 }, () => inMemory()).map((other) => send(other, { signal }));
    await until(isOpen);
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    controller.abort('all of it');
    assert.equal(await under, '= content at content, condemns message');
    assert.deepEqual([...new Set(await Promise.all(waiting))], ['= content at ready, condemns message']);
    for (const outcome of await Promise.all(others)) assert.match(outcome, /^= (content|accepted)/);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    process.off('warning', warn);
    assert.deepEqual(warnings, []);
  }));

/* ---- functions of a program's own ---- */

const THROWING: readonly (readonly [string, () => unknown])[] = [
  ['throws', () => assert.fail('no')],
  ['throws nothing', () => Promise.reject()],
  ['gives a promise that fails', async () => assert.fail('no')],
];
for (const [what, callback] of THROWING)
  test(`an observer that ${what} changes nothing, and is told of once`, () =>
    within(10_000, async () => {
      const unhandled: unknown[] = [];
      const hear = (reason: unknown) => unhandled.push(reason);
      process.on('unhandledRejection', hear);
      let failures = 0;
      const observer = {
        trace: callback,
        note: callback,
        progress: callback,
        failed: () => void failures++,
      } as ConnectionOptions['observer'];
      const at = inMemory({}, { observer });
      assert.equal(await send(at), '= accepted 250 2.0.0 taken');
      await turns(3);
      assert.equal(failures, 1);
      // Even one that is told throws.
      const worse = inMemory({}, { observer: { ...observer, failed: () => assert.fail('no') } });
      assert.equal(await send(worse), '= accepted 250 2.0.0 taken');
      await turns(3);
      process.off('unhandledRejection', hear);
      assert.deepEqual(unhandled, []);
    }));

test('whoever has no other way is told of a failed observer by a warning of the process', () =>
  within(10_000, async () => {
    const { emitWarning } = process;
    const warnings: unknown[] = [];
    process.emitWarning = (warning: unknown) => void warnings.push(warning);
    try {
      const at = inMemory({}, { observer: { trace: () => assert.fail('odd') } });
      assert.equal(await send(at), '= accepted 250 2.0.0 taken');
    } finally {
      process.emitWarning = emitWarning;
    }
    assert.deepEqual(warnings, ['an observer failed: odd']);
  }));

test('a content that throws has failed, wherever it throws, and one that cannot be closed is left', () =>
  within(10_000, async () => {
    const fail = (): never => assert.fail('odd');
    const cases: readonly (readonly [string, ContentOpener, string])[] = [
      ['opening', { open: fail }, '= content at content, condemns message'],
      ['reading', { open: () => ({ read: fail, close: () => {} }) }, '= content at content, condemns message'],
      ['reading later', { open: () => ({ read: async () => fail(), close: fail }) }, '= content at content, condemns message'],
      ['closing', { open: () => ({ ...sourceOf(Buffer.from(MESSAGE)), close: fail }) }, '= accepted 250 2.0.0 taken'],
    ];
    for (const offers of [[], ['CHUNKING']])
      for (const [what, content, expected] of cases) assert.equal(await send(inMemory({ offers }), {}, content), expected, what);
  }));

test.run();
