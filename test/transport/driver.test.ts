/**
 * The driver against servers that are slow, loud, deaf or gone: deadlines, bounds, listeners, and what stays open afterwards.
 * Loopback: the driver is handed its plan and knows no policy.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { constants } from 'node:os';
import { suite } from 'uvu';
import { sourceOf } from '../../src/message/source.ts';
import type { SessionOutcome } from '../../src/smtp/client/outcome.ts';
import type { Plan } from '../../src/smtp/client/session.ts';
import { LONGEST_REPLY_HEARD } from '../../src/smtp/limits.ts';
import { deliver } from '../../src/submit/delivery.ts';
import { Connection, type ConnectionOptions } from '../../src/transport/driver.ts';
import { nodeWire } from '../../src/transport/node-wire.ts';
import type { Trace } from '../../src/transport/observer.ts';
import { printSocketError } from '../../src/transport/socket-error.ts';
import { unreached, type Wire } from '../../src/transport/wire.ts';
import { contentOf, hostAt, MESSAGE, optionsFor, sentences, tlsRequired, tlsWorld, transactionTo, verdictOf } from '../support/delivery.ts';
import { reset } from '../support/reset.ts';
import { type Deed, type Phase, type SmarthostOptions, startHost, type Talk, type TestHost } from '../support/smarthost.ts';
import { untilClosed, wireTo } from '../support/sockets.ts';
import { printOutcome } from '../support/transcript.ts';
import { within } from '../support/within.ts';

const test = suite('connection');

const LIMITS = { handshake: 10_000, greeting: 10_000, command: 10_000, data: 10_000, block: 10_000, final: 10_000 };

const PLAN: Plan = {
  protocol: 'smtp',
  hello: 'here.example',
  tls: 'off',
  authenticate: null,
  transactions: 'one',
  framing: 'auto',
  partial: 'never',
};

interface Opened {
  readonly server: TestHost;
  readonly wire: Wire;
  readonly connection: Connection;
}

function connectionOver(wire: Wire, plan: Partial<Plan> = {}, options: Partial<ConnectionOptions> = {}): Connection {
  const secure = async () => unreached('other', 'no TLS');
  return new Connection(wire, { plan: { ...PLAN, ...plan }, timeouts: LIMITS, secure, ...options });
}

async function opened(server: SmarthostOptions, plan: Partial<Plan> = {}, options: Partial<ConnectionOptions> = {}): Promise<Opened> {
  const host = await startHost(server);
  const wire = await wireTo(host.port);
  return { server: host, wire, connection: connectionOver(wire, plan, options) };
}

const content = { open: () => sourceOf(Buffer.from(MESSAGE)) };
const send = ({ connection }: Pick<Opened, 'connection'>, recipients = 1): Promise<SessionOutcome> =>
  connection.submit(transactionTo(recipients), content);

/* ---- deadlines ---- */

/** Says a reply that never ends, an octet at a time. */
const dripping =
  (every: number): Deed =>
  ({ socket }: Talk) => {
    socket.write('250-');
    const timer = setInterval(() => socket.write('x'), every);
    socket.once('close', () => clearInterval(timer));
    return undefined;
  };

const DRIPPING: readonly (readonly [Phase, keyof typeof LIMITS, string])[] = [
  ['greeting', 'greeting', '= timeout at greeting, condemns address'],
  ['EHLO', 'command', '= timeout at hello, condemns address'],
  ['MAIL', 'command', '= timeout at envelope, condemns address'],
  ['RCPT 1', 'command', '= timeout at envelope, condemns address'],
  ['DATA', 'data', '= timeout at data, condemns address'],
  ['end', 'final', '= uncertain at commit, condemns message'],
];
for (const [phase, limit, expected] of DRIPPING)
  test(`a reply that drips at ${phase} meets one deadline for the whole of it`, () =>
    within(10_000, async () => {
      const at = await opened({ script: { [phase]: dripping(10) } }, {}, { timeouts: { ...LIMITS, [limit]: 150 } });
      assert.equal(printOutcome(await send(at)), expected);
      await at.server.stop();
    }));

test('a reply that was there in time is read, though the process was stopped until the time was over', () =>
  within(10_000, async () => {
    const asleep: Deed = ({ socket }) =>
      new Promise((resolve) => {
        socket.write('250 2.0.0 taken\r\n', () => {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
          resolve(undefined);
        });
      });
    const at = await opened({ script: { end: asleep } }, {}, { timeouts: { ...LIMITS, final: 200 } });
    assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
    await at.server.stop();
  }));

test('each reply of a pipelined group has a time of its own', () =>
  within(10_000, async () => {
    const later =
      (text: string): Deed =>
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        return text;
      };
    const script = { MAIL: later('250 ok'), 'RCPT 1': later('250 ok'), 'RCPT 2': later('250 ok'), 'RCPT 3': later('250 ok') };
    const at = await opened({ offers: ['PIPELINING'], script }, {}, { timeouts: { ...LIMITS, command: 1500 } });
    assert.equal(printOutcome(await send(at, 3)), '= accepted 250 2.0.0 taken');
    await at.server.stop();
  }));

test('a session without limits works', () =>
  within(10_000, async () => {
    const none = Number.POSITIVE_INFINITY;
    const timeouts = { handshake: none, greeting: none, command: none, data: none, block: none, final: none };
    const at = await opened({}, {}, { timeouts });
    assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
    await at.server.stop();
  }));

/* ---- bounds ---- */

/** Says one text again and again until the client goes. */
const endless =
  (text: string): Deed =>
  ({ socket }: Talk) => {
    const more = () => {
      while (!socket.destroyed && socket.write(text.repeat(100)));
    };
    socket.on('drain', more);
    more();
    return undefined;
  };
/** Octets that a runtime reads at once. */
const MOST_AT_ONCE = process.versions.bun === undefined ? 64 * 1024 : 512 * 1024;
const ENDLESS: readonly (readonly [string, string])[] = [
  ['lines', '250-more\r\n'],
  ['long lines', `250-${'y'.repeat(60_000)}\r\n`],
  ['octets', 'y'.repeat(1000)],
];
for (const [what, text] of ENDLESS)
  for (const phase of ['greeting', 'EHLO', 'RCPT 1', 'end'] as const)
    test(`a server that says ${what} without an end at ${phase} is left`, () =>
      within(10_000, async () => {
        const at = await opened({ script: { [phase]: endless(text) } });
        assert.match(printOutcome(await send(at)), phase === 'end' ? /^= uncertain at commit/ : /^= malformed at/);
        // It holds no more than it has read: a reply, and what came with its last octets.
        const { heard } = at.wire;
        assert.ok(heard > 1000 && heard <= LONGEST_REPLY_HEARD + 2 * MOST_AT_ONCE, `${heard} octets`);
        await at.server.stop();
      }));

/* ---- replies nobody asked for ---- */

/** Says a reply, and another one a little later. */
const twice =
  (first: string, second: string): Deed =>
  async ({ socket, say }) => {
    say(`${first}\n`);
    await new Promise((resolve) => setTimeout(resolve, 15));
    if (!socket.destroyed) say(`${second}\n`);
    return '';
  };

const EXTRA: readonly (readonly [string, SmarthostOptions['script'], RegExp])[] = [
  [
    'an extra reply makes a refused recipient look accepted',
    { MAIL: twice('250 ok', '250 extra'), 'RCPT 1': '550 no' },
    /^= (malformed|rejected|lost)/,
  ],
  ['two extra replies, the second 354', { MAIL: twice('250 ok', '250 extra\n354 go'), 'RCPT 1': '550 no' }, /^= (malformed|rejected|lost)/],
  ['an extra 250 before the verdict', { DATA: twice('354 go', '250 already taken') }, /^= (malformed|uncertain)/],
];
for (const [what, script, expected] of EXTRA)
  test(`${what}: not believed`, () =>
    within(10_000, async () => {
      const at = await opened({ script: script ?? {} });
      // The content takes its time, as that of a pipe does: what the server says meanwhile is heard.
      const slow = {
        open: () => {
          const left = [Buffer.from('Subject: x\r\n\r\n'), Buffer.from('hello\r\n')];
          return {
            async read() {
              await new Promise((resolve) => setTimeout(resolve, 30));
              return left.shift() ?? ({ end: 'clean' } as const);
            },
            close: () => undefined,
          };
        },
      };
      assert.match(printOutcome(await at.connection.submit(transactionTo(1), slow)), expected);
      assert.deepEqual(at.server.held, []);
      await at.server.stop();
    }));

/* ---- input that is slow to come ---- */

/** One piece, and then nothing, ever. */
const idle = () => {
  const left = [Buffer.from('Subject: x\r\n\r\nhello\r\n')];
  return {
    closed: false,
    read: () => {
      const next = left.shift();
      return next ? Promise.resolve(next) : new Promise<never>(() => {});
    },
    close() {
      this.closed = true;
    },
  };
};

const MEANWHILE: readonly (readonly [string, Deed, RegExp])[] = [
  ['refuses', '552 5.3.4 too big', /^= rejected at content, condemns message: (the content|BDAT): 552 5.3.4 too big$/],
  ['says 421', '421 4.4.2 too slow', /^= lost at content, condemns address$/],
  ['closes', 'close', /^= lost at content, condemns address$/],
  ['resets', 'reset', /^= lost at content, condemns address$/],
  ['talks', '250 fine', /^= malformed at content, condemns address$/],
];
for (const [what, deed, expected] of MEANWHILE)
  test(`a server that ${what} while our input is slow is heard at once`, () =>
    within(10_000, async () => {
      const source = idle();
      const at = await opened({ script: { content: deed }, contentOctets: 5 });
      assert.match(printOutcome(await at.connection.submit(transactionTo(1), { open: () => source })), expected);
      assert.equal(source.closed, true);
      assert.deepEqual(at.server.held, []);
      await at.server.stop();
    }));

test('no clock of the server’s runs while our input is slow', () =>
  within(10_000, async () => {
    const pieces = ['Subject: x\r\n\r\n', 'hello\r\n'];
    const slow = {
      async read() {
        await new Promise((resolve) => setTimeout(resolve, 300));
        const next = pieces.shift();
        return next === undefined ? ({ end: 'clean' } as const) : Buffer.from(next);
      },
      close: () => undefined,
    };
    const at = await opened({}, {}, { timeouts: { ...LIMITS, block: 100 } });
    assert.equal(printOutcome(await at.connection.submit(transactionTo(1), { open: () => slow })), '= accepted 250 2.0.0 taken');
    await at.server.stop();
  }));

test('content that cannot be opened again is a failure of ours', () =>
  within(10_000, async () => {
    for (const offers of [[], ['CHUNKING']]) {
      const at = await opened({ offers });
      assert.equal(
        printOutcome(await at.connection.submit(transactionTo(1), { open: () => null })),
        '= content at content, condemns message',
      );
      assert.deepEqual(at.server.held, []);
      await at.server.stop();
    }
  }));

test('an end that comes while content is being opened waits until it is open, so that it is closed', () =>
  within(10_000, async () => {
    for (const offers of [[], ['CHUNKING']]) {
      const at = await opened({ offers });
      const source = idle();
      const ending = {
        open: () => {
          at.connection.abort('ended by SIGTERM');
          return source;
        },
      };
      assert.equal(printOutcome(await at.connection.submit(transactionTo(1), ending)), '= content at content, condemns message');
      assert.equal(source.closed, true);
      assert.deepEqual(at.server.held, []);
      await at.server.stop();
    }
  }));

/* ---- ends ---- */

const after =
  (how: (talk: Talk, plain: Socket) => void): Deed =>
  (talk) => {
    talk.socket.write('250 2.0.0 taken\r\n', () => setTimeout(() => how(talk, talk.socket), 5));
    return undefined;
  };
const ENDS: readonly (readonly [string, Deed, boolean])[] = [
  ['a reset', after(({ socket }) => reset(socket)), false],
  ['the end', after(({ socket }) => socket.end()), false],
  ['a half-close at once', ({ socket }) => void socket.end('250 2.0.0 taken\r\n'), false],
  ['the end without close_notify', after(({ socket }) => (socket as unknown as { _parent: Socket })._parent.destroy()), true],
  ['a reset', after(({ socket }) => reset((socket as unknown as { _parent: Socket })._parent)), true],
  ['nonsense', '250 2.0.0 taken\r\nhello\r\n', false],
  ['a farewell', '250 2.0.0 taken\r\n421 4.3.2 bye\r\n', true],
];
for (const [what, deed, secured] of ENDS)
  test(`250 and then ${what}${secured ? ' under TLS' : ''} is a success`, () =>
    within(10_000, async () => {
      const server = await startHost({ offers: ['STARTTLS'], tls: tlsWorld().certificate, script: { end: deed } });
      const outcome = await deliver(
        { hosts: [hostAt(server.port, secured ? { tls: tlsRequired() } : {})], transaction: transactionTo(1), content: contentOf() },
        optionsFor(),
      );
      assert.equal(verdictOf(outcome), 'accepted', sentences(outcome));
      await server.stop();
    }));

test('an end of the server’s side is the end, wherever the session stands', () =>
  within(10_000, async () => {
    for (const phase of ['greeting', 'EHLO', 'MAIL', 'DATA'] as const) {
      const half: Deed = ({ socket }) =>
        void socket.end(phase === 'greeting' ? '220 hi\r\n' : phase === 'DATA' ? '354 go\r\n' : '250 ok\r\n');
      const at = await opened({ script: { [phase]: half } });
      assert.match(printOutcome(await send(at)), /^= (lost|uncertain)/, phase);
      await at.server.stop();
    }
  }));

test('a server that does not answer QUIT holds nothing up', () =>
  within(10_000, async () => {
    for (const deed of ['silence', ({ socket }: Talk) => void socket.pause()] as const) {
      const at = await opened({ script: { QUIT: deed } });
      assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
      await untilClosed(at.wire);
      await at.server.stop();
    }
  }));

test('quit() waits for the server’s farewell, and for the end of a session that is over', () =>
  within(10_000, async () => {
    const at = await opened({}, { transactions: 'many' });
    assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
    await at.connection.quit();
    assert.deepEqual(at.server.sessions[0]?.at(-1), 'QUIT');
    assert.equal(at.wire.isOpen, false);
    await at.connection.quit();
    assert.equal(at.connection.isUsable, false);
    assert.equal(printOutcome(await send(at)), '= lost at ready, condemns address');
    await at.server.stop();
  }));

/* ---- many transactions ---- */

test('a thousand transactions leave no listener, no timer and no octet behind', () =>
  within(60_000, async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on('warning', warn);
    for (const offers of [[], ['PIPELINING'], ['PIPELINING', 'CHUNKING']]) {
      const server = await startHost({ offers });
      const socket = createConnection({ port: server.port, host: '127.0.0.1' });
      await once(socket, 'connect');
      const at = { server, connection: connectionOver(nodeWire(socket), { transactions: 'many' }) };
      const listeners = () => socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]);
      assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
      const before = listeners();
      for (let i = 0; i < 333; i++) assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
      assert.deepEqual(listeners(), before);
      assert.equal(at.server.held.length, 334);
      await at.connection.quit();
      await at.server.stop();
    }
    process.off('warning', warn);
    assert.deepEqual(warnings, []);
  }));

test('large messages in blocks leave no listener behind, however often the socket is full', () =>
  within(60_000, async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on('warning', warn);
    const large = Buffer.alloc(16 * 1024 * 1024, `${'x'.repeat(62)}\r\n`);
    for (const offers of [[], ['PIPELINING', 'CHUNKING']]) {
      const at = await opened({ offers });
      const chunks = Array.from({ length: 256 }, (_, i) => large.subarray(i * 65_536, (i + 1) * 65_536));
      const outcome = await at.connection.submit(transactionTo(1), { open: () => sourceOf(...chunks) });
      assert.equal(printOutcome(outcome), '= accepted 250 2.0.0 taken');
      assert.equal(at.server.held[0]?.octets.equals(large), true);
      await at.server.stop();
    }
    process.off('warning', warn);
    assert.deepEqual(warnings, []);
  }));

test('V2: blocks of BDAT are 256 KiB, whatever the chunks of the content', () =>
  within(60_000, async () => {
    const large = Buffer.alloc(4 * 1024 * 1024, `${'x'.repeat(62)}\n`);
    for (const size of [1024 * 1024, 100_000, large.length]) {
      const lines: string[] = [];
      const trace = (side: string, line: string) => void (side === 'C' && line.startsWith('BDAT') && lines.push(line));
      const at = await opened({ offers: ['PIPELINING', 'CHUNKING'] }, {}, { observer: { trace } });
      const chunks = Array.from({ length: Math.ceil(large.length / size) }, (_, i) => large.subarray(i * size, (i + 1) * size));
      const outcome = await at.connection.submit(transactionTo(1), { open: () => sourceOf(...chunks) });
      assert.equal(printOutcome(outcome), '= accepted 250 2.0.0 taken');
      assert.ok(at.server.held[0]?.octets.equals(Buffer.from(`${large.toString('latin1').replaceAll('\n', '\r\n')}\r\n`, 'latin1')));
      const octets = lines.map((line) => Number(line.split(' ')[1]));
      // The last but one may be small, too: it is what was left.
      for (const each of octets.slice(0, -2)) assert.ok(each >= 256 * 1024 && each < 288 * 1024, lines.join());
      await at.server.stop();
    }
  }));

test('V2: octets that do not move are waited for no longer than a block’s time', () =>
  within(20_000, async () => {
    for (const offers of [[], ['PIPELINING', 'CHUNKING']]) {
      const deaf: Deed = ({ socket }) => {
        socket.pause();
        return new Promise(() => {});
      };
      const at = await opened({ offers, script: { content: deaf, BDAT: deaf } }, {}, { timeouts: { ...LIMITS, block: 400 } });
      const large = Buffer.alloc(64 * 1024 * 1024, `${'x'.repeat(62)}\r\n`);
      const outcome = await at.connection.submit(transactionTo(1), { open: () => sourceOf(large) });
      assert.equal(printOutcome(outcome), '= timeout at content, condemns address');
      await at.server.stop();
    }
  }));

const IDLE: readonly (readonly [string, (talk: Talk) => void])[] = [
  ['closes', ({ socket }) => socket.end()],
  ['resets', ({ socket }) => reset(socket)],
  ['says 421', ({ say }) => say('421 4.4.2 idle for too long\n')],
  ['says 421 and closes', ({ socket }) => socket.end('421 4.4.2 idle for too long\r\n')],
  ['says something', ({ say }) => say('250 hello?\n')],
];
for (const [what, deed] of IDLE)
  test(`a server that ${what} between transactions: the session is not used again`, () =>
    within(10_000, async () => {
      let talk: Talk | undefined;
      const end: Deed = (given) => {
        talk = given;
        return '250 2.0.0 taken';
      };
      const at = await opened({ script: { end } }, { transactions: 'many' });
      assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
      assert.equal(at.connection.isUsable, true);
      deed(talk as Talk);
      await untilClosed(at.wire);
      assert.equal(at.connection.isUsable, false);
      await at.server.stop();
    }));

test('a message that waits for a session that ends fails as lost', () =>
  within(10_000, async () => {
    const at = await opened({ script: { greeting: '554 no' } }, { transactions: 'many' });
    assert.match(printOutcome(await send(at)), /^= rejected at greeting/);
    await at.server.stop();
    const second = await opened({ script: { 'RCPT 1': '550 no' } }, { transactions: 'many' });
    assert.match(printOutcome(await send(second)), /^= rejected at envelope/);
    // RSET is under way, the next message is given, and then the server is gone.
    const waiting = send(second);
    second.wire.destroy();
    assert.equal(printOutcome(await waiting), '= lost at ready, condemns address');
    await second.server.stop();
  }));

test('after a refusal the session goes on', () =>
  within(10_000, async () => {
    const at = await opened({ offers: ['PIPELINING'], script: { 'RCPT 2': '550 no' } }, { transactions: 'many' });
    assert.match(printOutcome(await send(at, 2)), /^= rejected at envelope, condemns message: RCPT TO:<r2@there.example>: 550 no$/);
    assert.equal(printOutcome(await send(at, 1)), '= accepted 250 2.0.0 taken');
    assert.deepEqual(
      at.server.held.map(({ recipients }) => recipients),
      [['r1@there.example']],
    );
    await at.connection.quit();
    await at.server.stop();
  }));

test('messages given at once go one after another, and the next envelope does not wait for the verdict', () =>
  within(10_000, async () => {
    for (const [offers, along] of [
      [[], ['.']],
      [['PIPELINING'], ['.', 'MAIL', 'RCPT', 'DATA']],
      [
        ['PIPELINING', 'CHUNKING'],
        ['BDAT', 'commit', 'MAIL', 'RCPT'],
      ],
    ] as const) {
      const said: string[] = [];
      const trace: Trace = (side, line) => void said.push(`${side} ${line}`);
      const at = await opened({ offers }, { transactions: 'many' }, { observer: { trace } });
      const sent = await Promise.all([send(at), send(at), send(at)]);
      assert.deepEqual(
        sent.map(printOutcome),
        Array.from({ length: 3 }, () => '= accepted 250 2.0.0 taken'),
      );
      assert.deepEqual(
        at.server.held.map(({ octets }) => octets.toString('latin1')),
        [MESSAGE, MESSAGE, MESSAGE],
      );
      const first = said.findIndex((line) => /^C (\.$|BDAT .* LAST)/.test(line));
      const until = said.findIndex((line, i) => i > first && line.startsWith('S '));
      assert.deepEqual(
        said.slice(first, until).map((line) => line.split(' ')[1]),
        along,
      );
      await at.connection.quit();
      await at.server.stop();
    }
  }));

test('messages given at once each have their own outcome', () =>
  within(10_000, async () => {
    const at = await opened({ offers: ['PIPELINING'], script: { 'RCPT 2': '550 no' } }, { transactions: 'many' });
    const unmet = at.connection.submit(transactionTo(1, { smtputf8: true }), content);
    const sent = await Promise.all([send(at), unmet, send(at, 2), send(at)]);
    assert.deepEqual(sent.map(printOutcome), [
      '= accepted 250 2.0.0 taken',
      '= unsupported at ready, condemns host: the server does not offer SMTPUTF8 (an address is not ASCII)',
      '= rejected at envelope, condemns message: RCPT TO:<r2@there.example>: 550 no',
      '= accepted 250 2.0.0 taken',
    ]);
    assert.equal(at.server.held.length, 2);
    await at.connection.quit();
    await at.server.stop();
  }));

test('opened() waits until a message may be given and sends none; where the session fails before, it says why', () =>
  within(10_000, async () => {
    for (const transactions of ['one', 'many'] as const) {
      const at = await opened({}, { transactions });
      assert.deepEqual([await at.connection.opened(), await at.connection.opened()], [null, null]);
      await at.connection.quit();
      assert.deepEqual(at.server.sessions, [['EHLO here.example', 'QUIT']]);
      await at.server.stop();
    }
    const failing = await opened({ script: { greeting: '554 no' } }, { transactions: 'many' });
    assert.equal((await failing.connection.opened())?.kind, 'rejected');
    const gone = await opened({ script: { greeting: 'silence' } });
    gone.connection.abort('ended by SIGTERM');
    assert.equal((await gone.connection.opened())?.kind, 'content');
    await Promise.all([failing.server.stop(), gone.server.stop()]);
  }));

test('twenty thousand messages that the server cannot take, given at once, fail one after another', () =>
  within(30_000, async () => {
    const at = await opened({}, { transactions: 'many' });
    const unmet = transactionTo(1, { smtputf8: true });
    const sent = await Promise.all(Array.from({ length: 20_000 }, () => at.connection.submit(unmet, content)));
    assert.equal(new Set(sent.map(printOutcome)).size, 1);
    assert.match(printOutcome(sent[0] as SessionOutcome), /^= unsupported at ready/);
    assert.equal(printOutcome(await send(at)), '= accepted 250 2.0.0 taken');
    await at.connection.quit();
    await at.server.stop();
  }));

test('when the session ends under messages given at once, the first is uncertain and the others are not sent', () =>
  within(10_000, async () => {
    const at = await opened({ offers: ['PIPELINING'], script: { end: 'close' } }, { transactions: 'many' });
    const sent = await Promise.all([send(at), send(at), send(at)]);
    assert.deepEqual(sent.map(printOutcome), [
      '= uncertain at commit, condemns message',
      '= lost at ready, condemns address',
      '= lost at ready, condemns address',
    ]);
    await at.server.stop();
  }));

/* ---- dead-lock ---- */

test('a server that does not read while it writes may have five thousand recipients', () =>
  within(60_000, async () => {
    // Replies of 4 KiB: 20 MiB are more than all buffers between the two hold, if the client did not read while it writes.
    const text = `${`250-${'r'.repeat(506)}\r\n`.repeat(7)}250 ${'r'.repeat(506)}\r\n`;
    const stubborn: Deed = async ({ socket, line }) => {
      socket.write('220 hi\r\n');
      for (let heard = await line(); heard !== null; heard = await line()) {
        if (heard.startsWith('EHLO')) socket.write('250-hi\r\n250 PIPELINING\r\n');
        else if (heard === 'DATA') {
          socket.write('354 go\r\n');
          while ((await line()) !== '.');
          socket.write('250 taken\r\n');
        } else {
          socket.pause();
          if (!socket.write(text)) await once(socket, 'drain');
          socket.resume();
        }
      }
      return undefined;
    };
    const at = await opened({ script: { greeting: stubborn } });
    assert.equal(printOutcome(await send(at, 5000)), '= accepted 250 taken');
    await at.server.stop();
  }));

test('fifty thousand refusals take the time of fifty thousand refusals', () =>
  // Were the list copied with each of them, this would take half a minute.
  within(15_000, async () => {
    const strict: Deed = async ({ socket, line }) => {
      socket.write('220 hi\r\n');
      for (let heard = await line(); heard !== null; heard = await line())
        socket.write(heard.startsWith('EHLO') ? '250-hi\r\n250 PIPELINING\r\n' : heard.startsWith('RCPT') ? '550 no\r\n' : '250 ok\r\n');
      return undefined;
    };
    const at = await opened({ script: { greeting: strict } });
    const outcome = await send(at, 50_000);
    assert.ok(outcome.kind === 'failed' && outcome.failure.kind === 'rejected');
    assert.equal(outcome.failure.refusals.length, 50_000);
    await at.server.stop();
  }));

/* ---- words ---- */

test('V10: the errors of a socket are words', () => {
  const of = (code: string, message = '') => printSocketError(Object.assign(new Error(message), { code }));
  assert.equal(of('ECONNREFUSED'), 'connection refused');
  assert.equal(of('EWHATEVER', 'something else'), 'something else');
  assert.equal(
    of('EMFILE', 'connect EMFILE 192.0.2.1:25 - Local (undefined:undefined)'),
    'this process may open no more files (ulimit -n)',
  );
  const unnamed = Object.assign(new Error('connect ENOBUFS 192.0.2.1:25 - Local (undefined:undefined)'), {
    code: 'ENOBUFS',
    errno: -constants.errno.ENOBUFS,
  });
  assert.equal(printSocketError(unnamed), 'no buffer space available (ENOBUFS)');
  assert.equal(printSocketError(new Error('no code')), 'no code');
});

test('the trace has the conversation line by line, and the end of one that was cut in the middle of a line', () =>
  within(10_000, async () => {
    const lines: string[] = [];
    const at = await opened(
      { script: { MAIL: '250-first\r\n250 last\r\n' } },
      {},
      { observer: { trace: (side, line) => lines.push(`${side}: ${line}`) } },
    );
    await send(at);
    assert.deepEqual(lines, [
      'S: 220 smart.example ESMTP',
      'C: EHLO here.example',
      'S: 250 smart.example',
      'C: MAIL FROM:<tim@here.example>',
      'S: 250-first',
      'S: 250 last',
      'C: RCPT TO:<r1@there.example>',
      'S: 250 2.1.5 recipient ok',
      'C: DATA',
      'S: 354 go ahead',
      '!: content',
      'C: .',
      'S: 250 2.0.0 taken',
      'C: QUIT',
    ]);
    await at.server.stop();
    lines.length = 0;
    const garbage: Deed = ({ socket }) => void socket.end('not a line');
    const second = await opened(
      { script: { greeting: garbage } },
      {},
      { observer: { trace: (side, line) => lines.push(`${side}: ${line}`) } },
    );
    await send(second);
    assert.deepEqual(lines, ['S: not a line']);
    await second.server.stop();
  }));

/* ---- what throws ---- */

const boom = (): never => {
  throw new Error('boom');
};
/** A wire that cannot write what is written then. */
const unwritable = (wire: Wire, octets: string): Wire => {
  const { write } = wire;
  wire.write = (given, done) =>
    Buffer.from(given as string, 'latin1').toString('latin1') === octets ? boom() : write.call(wire, given, done);
  return wire;
};

const THROWN: readonly (readonly [string, SmarthostOptions, Partial<Plan>, Partial<ConnectionOptions>, string, string])[] = [
  ['the encoder', {}, {}, { encoder: boom }, '', '= lost at content, condemns address'],
  ['the choice of a mechanism', { offers: ['AUTH PLAIN'] }, { authenticate: boom }, {}, '', '= lost at hello, condemns address'],
  ['the handshake', { offers: ['STARTTLS'] }, { tls: 'required' }, { secure: boom }, '', '= lost at handshake, condemns address'],
  ['the write of MAIL', {}, {}, {}, 'MAIL FROM:<tim@here.example>\r\n', '= lost at envelope, condemns address'],
  ['the write of the commit', {}, {}, {}, '.\r\n', '= uncertain at commit, condemns message'],
];
for (const [what, server, plan, options, octets, expected] of THROWN)
  test(`${what} that throws ends the session and not the process, and leaves the outcome open after the commit`, () =>
    within(10_000, async () => {
      const host = await startHost(server);
      const wire = unwritable(await wireTo(host.port), octets);
      const connection = connectionOver(wire, plan, options);
      const [outcome, failure] = await Promise.all([send({ connection }), connection.opened()]);
      assert.equal(printOutcome(outcome), expected);
      assert.match(JSON.stringify(outcome), /"bug: boom"/);
      assert.equal(failure === null, !/hello|handshake/.test(expected));
      await connection.ended();
      await host.stop();
    }));

test.run();
