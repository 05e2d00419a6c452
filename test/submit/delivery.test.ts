/**
 * The table of failures, row by row: an event at a phase of the first smart host, and what it rules out. Two addresses of one name stand
 * for the first host, a third server for the second; at most one of them may have the message.
 * Loopback: what a failure rules out is the subject; where TLS matters its mode is written.
 */

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import type { Source } from '../../src/message/source.ts';
import { DEFAULT_TLS, DIRECT, type Smarthost, type TlsPolicy } from '../../src/router/smarthost.ts';
import type { SessionFailure } from '../../src/smtp/client/outcome.ts';
import type { Transaction } from '../../src/smtp/client/print.ts';
import { unparsed } from '../../src/smtp/parsed.ts';
import { deliver } from '../../src/submit/delivery.ts';
import { unlessAborted } from '../../src/submit/interrupts.ts';
import { printFailure } from '../../src/submit/outcome.ts';
import type { SessionTimeouts } from '../../src/transport/driver.ts';
import type { Names } from '../../src/transport/lookup/question.ts';
import { startDeaf } from '../support/deaf.ts';
import {
  contentOf,
  hostAt,
  MESSAGE,
  optionsFor,
  sentences,
  streamedContent,
  tlsRequired,
  tlsWorld,
  transactionTo,
  verdictOf,
  withPassword,
} from '../support/delivery.ts';
import { type Deed, type Phase, type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('attempts');

/** A name with two addresses, which may be dead; every other name is unknown. */
const names: Names = {
  async addresses(name) {
    if (name !== 'smart.example') throw Object.assign(new Error(), { code: 'ENOTFOUND' });
    return [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ];
  },
  mx: async () => [],
  srv: async () => [],
};

type Effect =
  /** The other address of the name was asked, and took the message. */
  | 'next address'
  /** The name's other address was not asked; the next host was, and took the message. */
  | 'next host'
  | 'fail'
  | 'uncertain'
  | 'success';

interface World {
  readonly offers?: readonly string[];
  readonly host?: Partial<Smarthost>;
  readonly recipients?: number;
  readonly contentOctets?: number;
  /** The content cannot be sent twice. */
  readonly once?: boolean;
  readonly message?: string;
}

interface Run {
  readonly effect: string;
  readonly text: string;
  readonly heard: readonly string[];
}

/** Short enough that a table of silences ends, long enough for a busy machine: only the phase that is silent has it. */
const SILENCE = 500;

const LIMIT_OF: Readonly<Partial<Record<Phase, keyof SessionTimeouts>>> = {
  greeting: 'greeting',
  handshake: 'handshake',
  DATA: 'data',
  BDAT: 'block',
  end: 'final',
};

/** Sessions in which something was said: where the first address is slow to answer, the next is connected to as well (RFC 8305 §5), and dropped. */
const spoken = ({ sessions }: TestHost) => sessions.filter((heard) => heard.length > 0);

async function run(phase: Phase, deed: Deed, world: World): Promise<Run> {
  const { offers = [], host = {}, recipients = 2, once = false, message = MESSAGE } = world;
  const tls = host.tls ? { tls: tlsWorld().certificate } : {};
  const common: SmarthostOptions = { offers, ...tls };
  const contentOctets = world.contentOctets ?? 0;
  const first = await startHost({ ...common, script: { [phase]: deed }, contentOctets });
  const second = await startHost({ ...common, host: '127.0.0.2', port: first.port });
  const third = await startHost(common);
  const hosts = [first, second, third];
  try {
    const limits = { ...optionsFor().timeouts, ...(deed === 'silence' ? { [LIMIT_OF[phase] ?? 'command']: SILENCE } : {}) };
    const content = once ? await streamedContent(slowly(message), 4) : contentOf(message);
    const outcome = await deliver(
      {
        hosts: [hostAt(first.port, { host: 'smart.example', ...host }), hostAt(third.port, host)],
        transaction: transactionTo(recipients),
        content,
      },
      optionsFor(10_000, { names, timeouts: limits }),
    );
    const asked = hosts.map((each) => spoken(each).length);
    const verdict = verdictOf(outcome);
    assertPromise(hosts, verdict === 'accepted', outcome.kind === 'failed' && outcome.failure.kind === 'uncertain', recipients, message);
    const effect =
      verdict !== 'accepted'
        ? verdict.replace('failed', 'fail')
        : asked[1] === 1
          ? 'next address'
          : asked[2] === 1
            ? 'next host'
            : 'success';
    return { effect, text: sentences(outcome), heard: first.sessions.flat() };
  } finally {
    await Promise.all(hosts.map((each) => each.stop()));
  }
}

/** A little at a time: a pipe. */
function slowly(message: string): Source {
  let at = 0;
  return {
    async read() {
      if (at >= message.length) return { end: 'clean' };
      at += 5000;
      return Buffer.from(message.slice(at - 5000, at));
    },
    close: () => undefined,
  };
}

/** P4, P7, P8: whole or not at all, at one server at most, and nobody has it when we say so. */
function assertPromise(hosts: readonly TestHost[], accepted: boolean, uncertain: boolean, recipients: number, message: string): void {
  const held = hosts.flatMap(({ held }) => held);
  for (const { octets, recipients: to } of held) {
    assert.equal(octets.toString('latin1'), message, 'a part of the message');
    assert.equal(to.length, recipients, 'a part of the recipients');
  }
  const taken = held.filter(({ reply }) => reply.startsWith('2'));
  if (accepted) assert.equal(taken.length, 1, 'accepted');
  else if (!uncertain) assert.equal(taken.length, 0, 'failed, and somebody has it');
  assert.ok(held.length <= 1 || held.filter(({ reply }) => !/^[45]/.test(reply)).length <= 1, 'two servers have the message');
}

const tls = { tls: tlsRequired() };
const STARTTLS = { offers: ['STARTTLS'], host: tls };
const AUTH = { offers: ['AUTH PLAIN'], host: { auth: withPassword('tanstaaf') } };
const PIPELINING = { offers: ['PIPELINING'] };
const CHUNKING = { offers: ['PIPELINING', 'CHUNKING'] };
const LARGE = { message: `Subject: large\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(9000)}` };
const LOSSES: readonly Deed[] = ['close', 'reset', 'silence'];
const NONSENSE: readonly Deed[] = ['hello there', '\r\n', '25 ok', ' ', '250-a\r\n550 b\r\n', '999 x'];
const OTHERS: readonly Deed[] = ['421 4.3.2 closing', ...NONSENSE];

interface Row {
  readonly phases: readonly Phase[];
  readonly deeds: readonly Deed[];
  readonly effect: Effect;
  readonly worlds: readonly (World & { readonly name: string })[];
}

const plain = { name: 'plain' };
const pipelined = { name: 'PIPELINING', ...PIPELINING };
const chunked = { name: 'CHUNKING', ...CHUNKING };
const one = { name: 'PIPELINING, one recipient', ...PIPELINING, recipients: 1 };
const secured = { name: 'STARTTLS', ...STARTTLS };

const TABLE: readonly Row[] = [
  {
    phases: ['greeting'],
    deeds: [...LOSSES, '421 bye', '450 later', '554 no', '354 x', 'hello', '+OK POP3 ready'],
    effect: 'next address',
    worlds: [plain],
  },
  {
    phases: ['EHLO'],
    deeds: [...LOSSES, '421 bye', '450 later', '354 x', 'hello', '250 a\r\n250 b\r\n'],
    effect: 'next address',
    worlds: [plain],
  },
  { phases: ['EHLO'], deeds: ['500 what', '502 no', '550 no'], effect: 'success', worlds: [plain] },
  { phases: ['EHLO'], deeds: ['502 no', '550 no'], effect: 'next address', worlds: [secured, { name: 'AUTH', ...AUTH }] },
  {
    phases: ['STARTTLS'],
    deeds: [...LOSSES, '421 bye', '454 later', '501 no', 'hello', '220 go\r\n250-injected\r\n', '220 go\r\n2'],
    effect: 'next address',
    worlds: [secured],
  },
  {
    phases: ['handshake'],
    deeds: [...LOSSES, '220 in clear', '\x16\x03\x01\x00\x05hello', '421 bye'],
    effect: 'next address',
    worlds: [secured],
  },
  { phases: ['second EHLO'], deeds: [...LOSSES, '421 bye', '450 later', '550 no', 'hello'], effect: 'next address', worlds: [secured] },
  { phases: ['AUTH'], deeds: ['454 later', '535 bad', '334 !!!'], effect: 'next host', worlds: [{ name: 'AUTH', ...AUTH }] },
  { phases: ['AUTH'], deeds: [...LOSSES, '421 bye', 'hello'], effect: 'next address', worlds: [{ name: 'AUTH', ...AUTH }] },
  {
    phases: ['MAIL', 'RCPT 1', 'RCPT 2'],
    deeds: [...LOSSES, ...OTHERS, '354 x'],
    effect: 'next address',
    worlds: [plain, pipelined, chunked],
  },
  { phases: ['RCPT 1', 'DATA'], deeds: [...LOSSES, '421 bye', 'hello'], effect: 'next address', worlds: [one] },
  {
    phases: ['MAIL', 'RCPT 1', 'RCPT 2'],
    deeds: ['450 later', '550 no', '452 many', '503 order'],
    effect: 'fail',
    worlds: [plain, pipelined, chunked],
  },
  { phases: ['MAIL', 'RCPT 1', 'DATA'], deeds: ['450 later', '550 no'], effect: 'fail', worlds: [one] },
  { phases: ['DATA'], deeds: [...LOSSES, ...OTHERS, '250 go ahead'], effect: 'next address', worlds: [plain, pipelined] },
  { phases: ['DATA'], deeds: ['450 later', '554 no'], effect: 'fail', worlds: [plain, pipelined] },
  {
    phases: ['content'],
    deeds: ['close', 'reset', '421 bye', 'hello', '250 early', '354 again'],
    effect: 'next address',
    worlds: [{ name: 'DATA', ...LARGE, contentOctets: 1000 }],
  },
  { phases: ['content'], deeds: ['452 full', '552 too big'], effect: 'fail', worlds: [{ name: 'DATA', ...LARGE, contentOctets: 1000 }] },
  {
    phases: ['BDAT'],
    deeds: [...LOSSES, '421 bye', 'hello', '354 x'],
    effect: 'next address',
    worlds: [{ name: 'BDAT', ...CHUNKING, ...LARGE }],
  },
  { phases: ['BDAT'], deeds: ['452 full', '552 too big'], effect: 'fail', worlds: [{ name: 'BDAT', ...CHUNKING, ...LARGE }] },
  {
    phases: ['end'],
    deeds: ['421 4.3.2 closing', '450 later', '550 no', '554 spam'],
    effect: 'fail',
    worlds: [plain, pipelined, chunked, one],
  },
  { phases: ['end'], deeds: [...LOSSES, ...NONSENSE, '354 x'], effect: 'uncertain', worlds: [plain, pipelined, chunked, one] },
  {
    phases: ['QUIT'],
    deeds: [...LOSSES, '421 bye', '500 no', 'hello'],
    effect: 'success',
    worlds: [plain, pipelined, chunked, one, secured],
  },
];

for (const { phases, deeds, effect, worlds } of TABLE)
  for (const { name, ...world } of worlds)
    for (const phase of phases)
      test(`${phase} (${name}): ${deeds.map((deed) => JSON.stringify(deed)).join(', ')} → ${effect}`, () =>
        within(60_000, async () => {
          const ran = await Promise.all(deeds.map((deed) => run(phase, deed, world)));
          ran.forEach((each, i) => {
            assert.equal(each.effect, effect, `${JSON.stringify(deeds[i])}: ${each.text}`);
          });
        }));

/* Content that cannot be sent twice: the same events fail, and the text says what to do. */
const streamed = (world: World): World => ({ ...LARGE, ...world, once: true });
const ONCE: readonly (readonly [Phase, Deed, World, string, string])[] = [
  ['greeting', 'close', {}, 'next address', 'nothing was read beyond the window'],
  ['EHLO', 'silence', {}, 'next address', 'nothing was read beyond the window'],
  ['RCPT 1', '421 bye', {}, 'next address', 'nothing was read beyond the window'],
  ['DATA', 'close', {}, 'next address', 'nothing was read before 354'],
  ['RCPT 2', 'close', CHUNKING, 'next address', 'nothing was read before every recipient was accepted'],
  ['content', 'close', { contentOctets: 1000 }, 'fail, no replay', 'octets are gone'],
  ['content', '421 bye', { contentOctets: 1000 }, 'fail, no replay', 'octets are gone'],
  ['content', '552 too big', { contentOctets: 1000 }, 'fail', 'no other host would have been asked'],
  ['BDAT', 'close', CHUNKING, 'fail, no replay', 'octets are gone'],
  ['end', '550 no', {}, 'fail', 'no other host would have been asked'],
  ['end', 'close', {}, 'uncertain', 'no other host would have been asked'],
];
for (const [phase, deed, world, effect, why] of ONCE)
  test(`content from a pipe, larger than its window: ${phase} ${JSON.stringify(deed)} → ${effect}: ${why}`, () =>
    within(20_000, async () => {
      const ran = await run(phase, deed, streamed(world));
      assert.equal(ran.effect, effect, ran.text);
      assert.equal(/raise replay_window/.test(ran.text), effect === 'fail, no replay', ran.text);
    }));

test('content that is gone is missed only where another host or address would have been asked', () =>
  within(30_000, async () => {
    const lost: SmarthostOptions = { script: { content: 'close' }, contentOctets: 1000 };
    for (const [hostsOf, unreplayable, why] of [
      [(port: number) => [hostAt(port)], false, 'the only address of the only host'],
      [(port: number) => [hostAt(port, { host: 'smart.example' })], true, 'another address'],
      [(port: number) => [hostAt(port), hostAt(port)], true, 'another host'],
      [(port: number) => [hostAt(1), hostAt(port)], false, 'the last host'],
    ] as const) {
      const server = await startHost(lost);
      const delivery = {
        hosts: hostsOf(server.port),
        transaction: transactionTo(1),
        content: await streamedContent(slowly(LARGE.message), 4),
      };
      const outcome = await deliver(delivery, optionsFor(10_000, { names }));
      await server.stop();
      assert.deepEqual(outcome.kind === 'failed' && [outcome.failure.kind, outcome.unreplayable], ['lost', unreplayable], why);
    }
  }));

/* What the first server lacks condemns all addresses of its name: they are one server. */
const LACKING: readonly (readonly [string, readonly string[], Partial<Transaction>, Partial<Smarthost>, RegExp])[] = [
  ['room', ['SIZE 100'], { size: 500 }, {}, /the message has 500 octets and the server takes at most 100/],
  ['recipients', ['LIMITS RCPTMAX=1'], {}, {}, /2 recipients and the server takes at most 1/],
  ['SMTPUTF8', [], { smtputf8: true }, {}, /does not offer SMTPUTF8/],
  ['MT-PRIORITY', [], { priority: 1 }, {}, /does not offer MT-PRIORITY/],
  ['BINARYMIME', [], { binary: true }, {}, /does not offer BINARYMIME/],
  ['DSN', [], { dsn: 'require', envid: 'x' }, {}, /does not offer DSN/],
  ['8BITMIME', [], { eightBit: 'some', withoutEightBit: 'refuse' }, {}, /does not offer 8BITMIME/],
  ['AUTH', [], {}, { auth: withPassword('tanstaaf') }, /offers no authentication/],
  ['a mechanism', ['AUTH X-OTHER'], {}, { auth: withPassword('tanstaaf') }, /the server offers X-OTHER/],
];
const EVERYTHING = ['SIZE', 'SMTPUTF8', 'MT-PRIORITY', 'BINARYMIME', 'CHUNKING', 'DSN', '8BITMIME', 'AUTH PLAIN'];
for (const [what, offers, changes, host, text] of LACKING)
  test(`the server lacks ${what} → next host`, () =>
    within(20_000, async () => {
      const first = await startHost({ offers });
      const second = await startHost({ offers: EVERYTHING, host: '127.0.0.2', port: first.port });
      const third = await startHost({ offers: EVERYTHING });
      const outcome = await deliver(
        {
          hosts: [hostAt(first.port, { host: 'smart.example', ...host }), hostAt(third.port, host)],
          transaction: transactionTo(2, changes),
          content: contentOf(),
        },
        optionsFor(10_000, { names }),
      );
      assert.equal(verdictOf(outcome), 'accepted', sentences(outcome));
      assert.deepEqual(
        [first, second, third].map((each) => spoken(each).length),
        [1, 0, 1],
      );
      assert.ok(!first.sessions.flat().some((line) => line.startsWith('MAIL')), 'MAIL was said');
      assert.match(outcome.kind === 'accepted' ? (outcome.attempts[0] ? printFailure(outcome.attempts[0].failure).join() : '') : '', text);
      await Promise.all([first, second, third].map((each) => each.stop()));
    }));

const TLS_FAILURES: readonly (readonly [string, Partial<TlsPolicy>])[] = [
  ['a certificate for another name', { serverName: 'other.example' }],
  ['a certificate that nobody trusts', { caFile: '' }],
  ['another certificate than the pinned one', { fingerprint: [`sha256:${'0'.repeat(64)}`] }],
];
for (const [what, changes] of TLS_FAILURES)
  test(`${what} → next address, and nothing goes in clear`, () =>
    within(20_000, async () => {
      for (const mode of ['required', 'opportunistic'] as const) {
        const options = { offers: ['STARTTLS', 'AUTH PLAIN'], tls: tlsWorld().certificate };
        const first = await startHost(options);
        const second = await startHost({ ...options, host: '127.0.0.2', port: first.port });
        const host = hostAt(first.port, { host: 'smart.example', auth: withPassword('tanstaaf'), tls: tlsRequired({ ...changes, mode }) });
        const outcome = await deliver(
          { hosts: [host], transaction: transactionTo(1), content: contentOf() },
          optionsFor(10_000, { names }),
        );
        assert.equal(verdictOf(outcome), 'failed');
        assert.deepEqual([first, second].map(spoken), [[['EHLO here.example', 'STARTTLS']], [['EHLO here.example', 'STARTTLS']]]);
        await Promise.all([first, second].map((each) => each.stop()));
      }
    }));

test('the outcome has the last host’s failure, and every host with its reason', () =>
  within(20_000, async () => {
    const first = await startHost({ script: { greeting: '554 not you' } });
    const second = await startHost({ script: { 'RCPT 2': '550 5.1.1 no such user' } });
    const third = await startHost();
    const outcome = await deliver(
      {
        hosts: [hostAt(1), hostAt(first.port), hostAt(25, { host: 'unknown.example' }), hostAt(second.port), hostAt(third.port)],
        transaction: transactionTo(3),
        content: contentOf(),
      },
      optionsFor(10_000, { names }),
    );
    assert.deepEqual(sentences(outcome).split('\n'), [
      '[127.0.0.1]:1: connection refused',
      `[127.0.0.1]:${first.port}: connecting: 554 not you`,
      'unknown.example: no address of unknown.example: the name is unknown',
      `[127.0.0.1]:${second.port}: RCPT TO:<r2@there.example>: 550 5.1.1 no such user`,
    ]);
    assert.equal(third.sessions.length, 0, 'a refusal asks nobody else');
    const unknown = outcome.kind === 'failed' ? outcome.attempts[2] : null;
    assert.deepEqual(unknown?.endpoint, null);
    assert.deepEqual(unknown?.failure, {
      kind: 'connect',
      at: 'greeting',
      condemns: 'host',
      during: 'resolve',
      reason: 'resolve',
      detail: 'no address of unknown.example: the name is unknown',
      systemCode: 'ENOTFOUND',
    });
    await Promise.all([first, second, third].map((each) => each.stop()));
  }));

test('an address that one host has failed at is tried for the next host, too', () =>
  within(20_000, async () => {
    const first = await startHost({ script: { greeting: '554 not you' } });
    const second = await startHost({ host: '127.0.0.2', port: first.port });
    const outcome = await deliver(
      {
        hosts: [hostAt(1, { host: 'smart.example' }), hostAt(first.port, { host: 'smart.example' })],
        transaction: transactionTo(1),
        content: contentOf(),
      },
      optionsFor(10_000, { names }),
    );
    assert.equal(verdictOf(outcome), 'accepted', sentences(outcome));
    assert.equal(outcome.kind === 'accepted' && outcome.attempts.length, 3);
    await Promise.all([first, second].map((each) => each.stop()));
  }));

test('an address is asked once, also where another one did not answer', () =>
  within(20_000, async () => {
    const second = await startHost({ host: '127.0.0.2', script: { greeting: '554 not you' } });
    let begun = 0;
    const observe = () => {
      begun += 1;
      return {};
    };
    const outcome = await deliver(
      { hosts: [hostAt(second.port, { host: 'smart.example' })], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { names, observe }),
    );
    assert.equal(begun, 1, 'where no address is left, nothing is begun');
    assert.equal(
      sentences(outcome),
      `smart.example [127.0.0.1]:${second.port}: connection refused\nsmart.example [127.0.0.2]:${second.port}: connecting: 554 not you`,
    );
    assert.equal(second.sessions.length, 1);
    await second.stop();
  }));

test('a login that this very host does not offer in clear is advised to have TLS', () =>
  within(20_000, async () => {
    const server = await startHost();
    const host = hostAt(server.port, { tls: DEFAULT_TLS, auth: withPassword('tanstaaf') });
    const outcome = await deliver({ hosts: [host], transaction: transactionTo(1), content: contentOf() }, optionsFor());
    assert.match(sentences(outcome), /TLS is off, and a login may need it: set mode = "required" in \[tls\]$/);
    await server.stop();
  }));

test('the outcome names every address that refused the connection', () =>
  within(20_000, async () => {
    const outcome = await deliver(
      { hosts: [hostAt(1, { host: 'smart.example' })], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { names }),
    );
    assert.equal(sentences(outcome), 'smart.example [127.0.0.1]:1: connection refused\nsmart.example [127.0.0.2]:1: connection refused');
  }));

test('a delivery without a smart host fails and says what to set', async () => {
  const outcome = await deliver({ hosts: [], transaction: transactionTo(1), content: contentOf() }, optionsFor());
  assert.equal(sentences(outcome), 'no smart host is configured: set smarthosts');
  assert.deepEqual(outcome.kind === 'failed' && outcome.failure, { kind: 'route', details: [sentences(outcome)], deferred: false });
});

test('a look-up that finds nothing is told to whoever looks on, and a name that is looked up at each step', () =>
  within(20_000, async () => {
    const server = await startHost();
    const heard: string[] = [];
    const observer = {
      resolving: () => void heard.push('resolving'),
      unconnected: (failures: readonly SessionFailure[]) => void heard.push(...failures.map(({ kind, condemns }) => `${kind} ${condemns}`)),
    };
    const hosts = [hostAt(25, { host: 'unknown.example' }), hostAt(25, { host: 'unknown.example', expand: 'srv' }), hostAt(server.port)];
    const outcome = await deliver({ hosts, transaction: transactionTo(1), content: contentOf() }, optionsFor(10_000, { names, observer }));
    await server.stop();
    assert.equal(verdictOf(outcome), 'accepted');
    assert.deepEqual(heard, ['resolving', 'resolving', 'connect host', 'resolving', 'connect host', 'resolving', 'resolving']);
  }));

test('each attempt has an observer of its own where one is made for it', () =>
  within(20_000, async () => {
    const server = await startHost();
    const [made, heard]: [number[], string[]] = [[], []];
    const outcome = await deliver(
      { hosts: [hostAt(1), hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, {
        observer: { connected: () => void heard.push('common') },
        observe: ({ port }) => {
          made.push(port);
          return { connected: () => void heard.push('own') };
        },
      }),
    );
    await server.stop();
    assert.equal(verdictOf(outcome), 'accepted');
    assert.deepEqual([made, heard], [[1, server.port], ['own']]);
  }));

test('hosts of MX records are tried in their order, and a null MX names itself', () =>
  within(20_000, async () => {
    const server = await startHost();
    const mx: Names = {
      ...names,
      mx: async (name) =>
        name === 'null.example'
          ? [{ exchange: '', priority: 0 }]
          : [20, 10].map((priority) => ({ exchange: `mx${priority}.example`, priority })),
      addresses: async (name) => [{ address: name === 'mx10.example' ? '127.0.0.2' : '127.0.0.1', family: 4 }],
    };
    const to = (host: string) => hostAt(server.port, { host, expand: 'mx' });
    const outcome = await deliver(
      { hosts: [to('null.example'), to('some.example')], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { names: mx }),
    );
    assert.equal(verdictOf(outcome), 'accepted');
    assert.ok(outcome.kind === 'accepted');
    assert.deepEqual(
      outcome.attempts.map(({ name, failure }) => [name, failure.kind === 'connect' && failure.detail]),
      [
        ['null.example', 'null.example says it takes no mail (null MX)'],
        ['mx10.example', 'connection refused'],
      ],
    );
    assert.equal(outcome.by.name, 'mx20.example');
    await server.stop();
  }));

test('what is missing on this side is missing for every name of a host, so its other names are not tried', () =>
  within(20_000, async () => {
    const server = await startHost();
    const mx: Names = {
      ...names,
      mx: async () => [10, 20].map((priority) => ({ exchange: `mx${priority}.example`, priority })),
      addresses: async () => [{ address: '127.0.0.1', family: 4 }],
    };
    const { security } = optionsFor();
    const outcome = await deliver(
      { hosts: [hostAt(server.port, { host: 'some.example', expand: 'mx' })], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { names: mx, security: { ...security, authenticator: async () => unparsed('/secret does not exist') } }),
    );
    assert.deepEqual(outcome.kind === 'failed' && outcome.attempts.map(({ name, failure }) => [name, printFailure(failure)]), [
      ['mx10.example', ['/secret does not exist']],
    ]);
    await server.stop();
  }));

test('content goes in blocks where nobody says how, and the server can be told that one is cut', () =>
  within(20_000, async () => {
    const server = await startHost(CHUNKING);
    const outcome = await deliver(
      { hosts: [hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { framing: undefined }),
    );
    assert.equal(verdictOf(outcome), 'accepted', sentences(outcome));
    const heard = server.sessions.flat();
    assert.ok(heard.some((line) => line.startsWith('BDAT')) && !heard.includes('DATA'), heard.join());
    await server.stop();
  }));

test('a smart host may be a unix socket', () =>
  within(20_000, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nospool-unix-'));
    const server = await startHost({ path: join(folder, 'socket'), ...CHUNKING });
    const at = (path: string) => hostAt(0, { scheme: 'unix', host: path, tls: DEFAULT_TLS });
    const outcome = await deliver(
      { hosts: [at(join(folder, 'none')), at(server.path)], transaction: transactionTo(2), content: contentOf() },
      optionsFor(),
    );
    assert.equal(verdictOf(outcome), 'accepted', sentences(outcome));
    assert.deepEqual(outcome.kind === 'accepted' && outcome.attempts.map(({ failure }) => failure.kind === 'connect' && failure.detail), [
      'no such socket',
    ]);
    const heard = server.sessions.flat();
    assert.ok(heard.includes('DATA') && !heard.some((line) => line.startsWith('BDAT')), 'a socket that cannot be reset gets no blocks');
    await server.stop();
    rmSync(folder, { recursive: true });
  }));

/* ---- signals (P7, P8) ---- */

interface Signalled {
  readonly signal: AbortController;
  readonly urgent: AbortController;
}

const SIGNALS: readonly (readonly [
  string,
  World & {
    readonly at: Phase;
    readonly verdict: string;
    readonly text: RegExp;
    readonly act: (to: Signalled) => Deed;
    readonly grace?: number;
  },
])[] = [
  ...(['greeting', 'EHLO', 'MAIL', 'RCPT 1', 'RCPT 2', 'DATA'] as const).map(
    (at) => [`at ${at}`, { at, verdict: 'failed', text: /ended by SIGTERM$/, act: ({ signal }: Signalled) => aborting(signal) }] as const,
  ),
  [
    'at the end of a pipelined envelope',
    { ...PIPELINING, at: 'RCPT 2', verdict: 'failed', text: /ended by SIGTERM/, act: ({ signal }) => aborting(signal) },
  ],
  ['at STARTTLS', { ...STARTTLS, at: 'STARTTLS', verdict: 'failed', text: /ended by SIGTERM/, act: ({ signal }) => aborting(signal) }],
  [
    'in the handshake',
    { ...STARTTLS, at: 'handshake', verdict: 'failed', text: /ended by SIGTERM/, act: ({ signal }) => aborting(signal) },
  ],
  ['at AUTH', { ...AUTH, at: 'AUTH', verdict: 'failed', text: /ended by SIGTERM/, act: ({ signal }) => aborting(signal) }],
  [
    'in the content',
    { ...LARGE, contentOctets: 1000, at: 'content', verdict: 'failed', text: /ended by SIGTERM/, act: ({ signal }) => aborting(signal) },
  ],
  [
    'between blocks',
    { ...LARGE, ...CHUNKING, at: 'BDAT', verdict: 'failed', text: /ended by SIGTERM/, act: ({ signal }) => aborting(signal) },
  ],
  [
    'after the commit, and the verdict comes: taken',
    { at: 'end', verdict: 'accepted', text: /^$/, act: ({ signal }) => aborting(signal, '250 taken') },
  ],
  [
    'after the commit, and the verdict comes: refused',
    { at: 'end', verdict: 'failed', text: /550 spam/, act: ({ signal }) => aborting(signal, '550 spam') },
  ],
  [
    'after the last block, and the verdict comes: taken',
    { ...CHUNKING, at: 'end', verdict: 'accepted', text: /^$/, act: ({ signal }) => aborting(signal, '250 taken') },
  ],
  [
    'after the commit, and no verdict comes in the time of grace',
    {
      at: 'end',
      grace: 50,
      verdict: 'uncertain',
      text: /ended by SIGTERM.*may have been delivered/s,
      act: ({ signal }) => aborting(signal),
    },
  ],
  [
    'twice after the commit: nothing more is waited for',
    {
      at: 'end',
      verdict: 'uncertain',
      text: /ended by a second SIGTERM.*may have been delivered/s,
      act:
        ({ signal, urgent }) =>
        async () => {
          signal.abort('ended by SIGTERM');
          urgent.abort('ended by a second SIGTERM');
          return undefined;
        },
    },
  ],
  ['after the verdict', { at: 'QUIT', verdict: 'accepted', text: /^$/, act: ({ signal }) => aborting(signal) }],
];

/** Aborts, and says nothing more, or says a verdict a little later. */
const aborting =
  (controller: AbortController, verdict?: string): Deed =>
  async () => {
    controller.abort('ended by SIGTERM');
    if (verdict !== undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    return verdict;
  };

for (const [name, { at, verdict, text, act, grace, offers = [], host = {}, contentOctets = 0, message = MESSAGE }] of SIGNALS)
  test(`a signal ${name}: ${verdict}`, () =>
    within(20_000, async () => {
      const to = { signal: new AbortController(), urgent: new AbortController() };
      const clocks = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
      const before = clocks();
      const first = await startHost({ offers, script: { [at]: act(to) }, contentOctets, tls: tlsWorld().certificate });
      const second = await startHost();
      const outcome = await deliver(
        { hosts: [hostAt(first.port, host), hostAt(second.port)], transaction: transactionTo(2), content: contentOf(message) },
        optionsFor(10_000, { interrupts: { signal: to.signal.signal, urgent: to.urgent.signal, grace } }),
      );
      assert.equal(verdictOf(outcome), verdict, sentences(outcome));
      assert.match(sentences(outcome), text);
      assert.equal(second.sessions.length, 0, 'another host was asked after a signal');
      assert.equal(first.held.length, at === 'end' || at === 'QUIT' ? 1 : 0);
      for (const each of [to.signal, to.urgent])
        assert.equal(getEventListeners(each.signal, 'abort').length, 0, 'a listener is left behind');
      assert.ok(!('isLate' in outcome));
      await Promise.all([first.stop(), second.stop()]);
      assert.equal(clocks(), before, 'a clock keeps the process waiting');
    }));

/** Delivers to a server that must not be asked, aborts when told to. */
async function interruptedEarly(changes: Partial<Parameters<typeof deliver>[1]>, host = '127.0.0.1', before = false): Promise<string> {
  const server = await startHost();
  const controller = new AbortController();
  if (before) controller.abort('ended by SIGINT');
  else setTimeout(() => controller.abort('ended by SIGINT'), 20);
  const outcome = await deliver(
    { hosts: [hostAt(server.port, { host }), hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
    optionsFor(10_000, { interrupts: { signal: controller.signal }, ...changes }),
  );
  assert.equal(server.sessions.flat().length, 0, 'the server heard something');
  const detail = 'ended by SIGINT';
  const failure = { kind: 'content', at: 'closed', condemns: 'message', reason: 'aborted', detail };
  assert.deepEqual(outcome, { kind: 'failed', failure, attempts: [], unreplayable: false });
  await server.stop();
  return `${verdictOf(outcome)}: ${sentences(outcome)}`;
}

test('a signal before the delivery ends it', () =>
  within(5000, async () => assert.equal(await interruptedEarly({}, '127.0.0.1', true), 'failed: ended by SIGINT')));

test('a signal that comes while the session begins ends it before a message is given', () =>
  within(5000, async () => {
    const [first, second] = [await startHost(), await startHost()];
    const controller = new AbortController();
    const outcome = await deliver(
      { hosts: [hostAt(first.port), hostAt(second.port)], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, {
        interrupts: { signal: controller.signal },
        observer: { entered: () => controller.abort('ended by SIGINT') },
      }),
    );
    assert.match(sentences(outcome), /ended by SIGINT/);
    assert.equal(first.held.length + second.sessions.length, 0);
    await Promise.all([first.stop(), second.stop()]);
  }));

test('what never ends is not waited for where the signal came before', () =>
  within(5000, async () => assert.equal(await unlessAborted(new Promise(() => {}), AbortSignal.abort()), null)));

test('a signal ends the delivery while a name is looked up', () => {
  const slow = { ...names, addresses: () => new Promise<never>(() => {}) };
  return within(5000, async () =>
    assert.equal(
      await interruptedEarly({ names: slow, timeouts: { ...optionsFor().timeouts, resolve: 1000 } }, 'slow.example'),
      'failed: ended by SIGINT',
    ),
  );
});

test('a signal ends the delivery while a password command runs', () =>
  within(5000, async () => {
    const security = { ...optionsFor().security, authenticator: () => new Promise<never>(() => {}) };
    assert.equal(await interruptedEarly({ security }), 'failed: ended by SIGINT');
  }));

test('a signal ends the delivery while a program connects, or while a proxy is waited for', () =>
  within(10_000, async () => {
    assert.equal(await interruptedEarly({ dialFor: () => () => new Promise<never>(() => {}) }), 'failed: ended by SIGINT');
    const deaf = await startDeaf();
    const proxy = { scheme: 'socks5', host: '127.0.0.1', port: deaf.port, user: '', secret: { from: 'none' } } as const;
    const controller = new AbortController();
    setTimeout(() => controller.abort('ended by SIGINT'), 50);
    const outcome = await deliver(
      { hosts: [hostAt(25, { link: { ...DIRECT, proxy } })], transaction: transactionTo(1), content: contentOf() },
      optionsFor(60_000, { interrupts: { signal: controller.signal } }),
    );
    assert.equal(sentences(outcome), 'ended by SIGINT');
    assert.deepEqual(outcome.kind === 'failed' && outcome.attempts, []);
    deaf.stop();
  }));

test('a signal ends the delivery while addresses are raced', () =>
  within(20_000, async () => {
    const deaf = await startDeaf();
    const controller = new AbortController();
    setTimeout(() => controller.abort('ended by SIGINT'), 50);
    const outcome = await deliver(
      { hosts: [hostAt(deaf.port), hostAt(deaf.port)], transaction: transactionTo(1), content: contentOf() },
      optionsFor(60_000, { interrupts: { signal: controller.signal } }),
    );
    assert.equal(sentences(outcome), 'ended by SIGINT');
    deaf.stop();
  }));

test('V9: what is read when the deadline is over already leads to no commit', () =>
  within(10_000, async () => {
    const DEADLINE = 500;
    const begun = performance.now();
    const host = await startHost({
      script: {
        DATA() {
          // The reply has arrived before this process, which stands still, looks at its clock again.
          setImmediate(() => {
            while (performance.now() < begun + DEADLINE + 200);
          });
          return '354 go ahead';
        },
        end: 'silence',
      },
    });
    const outcome = await deliver(
      { hosts: [hostAt(host.port)], transaction: transactionTo(2), content: contentOf() },
      optionsFor(10_000, { timeouts: { ...optionsFor().timeouts, deadline: DEADLINE } }),
    );
    assert.equal(verdictOf(outcome), 'failed', sentences(outcome));
    assert.deepEqual(
      [sentences(outcome), host.held.length],
      [`[127.0.0.1]:${host.port}: the deadline of 0.5 s has passed (timeouts.deadline)`, 0],
    );
    await host.stop();
  }));

test('S12: the deadline ends a delivery in every phase, also while a name is looked up, and no listener is left behind', () =>
  within(20_000, async () => {
    const slow = { ...names, addresses: () => new Promise<never>(() => {}) };
    const deaf = await startDeaf();
    const { timeouts } = optionsFor();
    const controller = new AbortController();
    for (const host of [hostAt(1, { host: 'slow.example' }), hostAt(deaf.port)]) {
      const outcome = await deliver(
        { hosts: [host], transaction: transactionTo(1), content: contentOf() },
        optionsFor(60_000, { names: slow, interrupts: { signal: controller.signal }, timeouts: { ...timeouts, deadline: 100 } }),
      );
      assert.equal(sentences(outcome), 'the deadline of 0.1 s has passed (timeouts.deadline)');
      assert.equal(outcome.kind === 'failed' && outcome.isLate, true);
    }
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    deaf.stop();
  }));

test('the content is told which attempt is the last one', () =>
  within(20_000, async () => {
    const first = await startHost({ script: { content: 'close' } });
    const second = await startHost({ script: { content: 'close' } });
    const content = contentOf();
    const told: boolean[] = [];
    const open: typeof content.open = (treatment, last) => {
      told.push(last);
      return content.open(treatment, last);
    };
    const hosts = [hostAt(first.port), hostAt(second.port)];
    const outcome = await deliver({ hosts, transaction: transactionTo(1), content: { ...content, open } }, optionsFor());
    assert.equal(verdictOf(outcome), 'failed');
    assert.deepEqual(told, [false, true]);
    await Promise.all([first.stop(), second.stop()]);
    // Also of one host: by its addresses, and by its MX records.
    const both = await startHost({ host: '0.0.0.0', script: { content: 'close' } });
    const mx = ['a', 'b'].map((exchange, priority) => ({ exchange: `${exchange}.example`, priority }));
    const byMx: Names = {
      ...names,
      mx: async () => mx,
      addresses: async (name) => [{ address: `127.0.0.${name === 'a.example' ? 1 : 2}`, family: 4 }],
    };
    for (const [changes, by] of [
      [{ host: 'smart.example' }, names],
      [{ host: 'smart.example', expand: 'mx' }, byMx],
    ] as const) {
      told.length = 0;
      await deliver(
        { hosts: [hostAt(both.port, changes)], transaction: transactionTo(1), content: { ...content, open } },
        optionsFor(10_000, { names: by }),
      );
      assert.deepEqual(told, [false, true]);
    }
    await both.stop();
  }));

test.run();
