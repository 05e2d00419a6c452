/**
 * Every way a submission can end: its sentences, its exit status, plain and as sysexits.h has it.
 * Loopback: nothing connects; servers are made up.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { DIRECT, type ProxyPolicy } from '../../src/router/smarthost.ts';
import type { SessionFailure } from '../../src/smtp/client/outcome.ts';
import type { Reply } from '../../src/smtp/reply.ts';
import {
  type Acceptance,
  type Attempt,
  exitStatus,
  type Failure,
  failedWith,
  isMissingHere,
  type Outcome,
  printFailure,
  printOutcome,
  printServer,
  stripSecrets,
} from '../../src/submit/outcome.ts';
import { hostAt } from '../support/delivery.ts';
import { mailbox } from '../support/mailbox.ts';

const test = suite('outcome');

const said = (text: string): Reply => ({ code: Number(text.slice(0, 3)), enhanced: null, lines: [text.slice(4)] });
const rejected = (at: SessionFailure['at'], ...pairs: readonly (readonly [string, string])[]): SessionFailure => {
  const [first, ...rest] = pairs.map(([command, text], i) => ({ command, recipient: i, reply: said(text) }));
  if (!first) throw new Error('no refusal');
  return { kind: 'rejected', at, condemns: 'message', refusals: [first, ...rest] };
};
const connecting = (during: 'resolve' | 'connect' | 'tls', detail: string): SessionFailure => ({
  kind: 'connect',
  at: 'greeting',
  condemns: 'address',
  during,
  reason: 'other',
  detail,
});

const FAILURES: readonly (readonly [Failure, readonly string[], number])[] = [
  [{ kind: 'usage', detail: 'no such option' }, ['no such option'], 64],
  [{ kind: 'message', detail: 'the header section is too long' }, ['the header section is too long'], 65],
  [{ kind: 'config', details: ['nospool.toml:1: a', 'nospool.toml:2: b'] }, ['nospool.toml:1: a', 'nospool.toml:2: b'], 78],
  [{ kind: 'route', details: ['routing a@b yielded a failed delivery'], deferred: false }, ['routing a@b yielded a failed delivery'], 65],
  [
    { kind: 'route', details: ['routing a@b yielded a deferred delivery'], deferred: true },
    ['routing a@b yielded a deferred delivery'],
    75,
  ],
  [connecting('resolve', 'no address of x'), ['no address of x'], 68],
  [connecting('connect', 'connection refused'), ['connection refused'], 75],
  [connecting('tls', 'the certificate has expired'), ['the certificate has expired'], 69],
  [rejected('greeting', ['connecting', '554 no']), ['connecting: 554 no'], 69],
  [rejected('auth', ['AUTH PLAIN', '535 5.7.8 bad']), ['AUTH PLAIN: 535 5.7.8 bad'], 77],
  [
    rejected('envelope', ['RCPT TO:<a@b>', '550 5.1.1 who'], ['RCPT TO:<c@d>', '451 later']),
    ['RCPT TO:<a@b>: 550 5.1.1 who', 'RCPT TO:<c@d>: 451 later'],
    65,
  ],
  [rejected('envelope', ['MAIL FROM:<a@b>', '451 later']), ['MAIL FROM:<a@b>: 451 later'], 69],
  [rejected('envelope', ['RCPT TO:<\xc3\xbc@b>', '550 no']), ['RCPT TO:<ü@b>: 550 no'], 65],
  [rejected('data', ['DATA', '554 no']), ['DATA: 554 no'], 69],
  [rejected('commit', ['the content', '554 spam']), ['the content: 554 spam'], 69],
  [{ kind: 'unsupported', at: 'hello', condemns: 'host', lacks: 'starttls', detail: 'no STARTTLS' }, ['no STARTTLS'], 69],
  [{ kind: 'unsupported', at: 'ready', condemns: 'host', lacks: 'dsn', detail: 'no DSN' }, ['no DSN'], 69],
  [
    { kind: 'unsupported', at: 'hello', condemns: 'host', lacks: 'configuration', detail: 'no such file', isOurs: true, hint: 'make one' },
    ['no such file', 'make one'],
    78,
  ],
  [
    { kind: 'malformed', at: 'hello', condemns: 'address', detail: 'not an SMTP reply: "x"' },
    ['protocol error at EHLO: not an SMTP reply: "x"'],
    76,
  ],
  [{ kind: 'malformed', at: 'commit', condemns: 'address', detail: 'x' }, ['protocol error at the end of the content: x'], 76],
  [{ kind: 'malformed', at: 'data', condemns: 'address', detail: 'x' }, ['protocol error at data: x'], 76],
  [{ kind: 'timeout', at: 'envelope', condemns: 'address', command: 'MAIL FROM:<a@b>' }, ['no reply to MAIL FROM:<a@b> in time'], 74],
  [{ kind: 'timeout', at: 'greeting', condemns: 'address', command: 'the greeting' }, ['no greeting came in time'], 74],
  [{ kind: 'timeout', at: 'handshake', condemns: 'address', command: 'STARTTLS' }, ['the TLS handshake did not end in time'], 74],
  [
    {
      kind: 'timeout',
      at: 'data',
      condemns: 'address',
      command: 'DATA',
      heard: '354-wait',
      limit: { key: 'data', milliseconds: 120_000 },
    },
    ['no reply to DATA within 2m (timeouts.data), only "354-wait"'],
    74,
  ],
  [
    { kind: 'lost', at: 'data', condemns: 'address', command: 'DATA', detail: 'connection reset by the server' },
    ['connection lost while waiting for DATA: connection reset by the server'],
    76,
  ],
  [{ kind: 'content', at: 'content', condemns: 'message', reason: 'aborted', detail: 'ended by SIGTERM' }, ['ended by SIGTERM'], 74],
  [
    { kind: 'uncertain', at: 'commit', condemns: 'message', detail: 'no reply came in time' },
    ['the message was sent and no verdict came back (no reply came in time): it may have been delivered'],
    76,
  ],
];
for (const [failure, sentences, sysexit] of FAILURES)
  test(`${failure.kind}: ${sentences.join(' | ')}`, () => {
    assert.deepEqual(printFailure(failure), sentences);
    const outcome = failedWith(failure);
    assert.equal(exitStatus(outcome, 'simple'), 1);
    assert.equal(exitStatus(outcome, 'sysexits'), sysexit);
    assert.deepEqual(printOutcome(outcome, '').slice(0, sentences.length), sentences);
  });

test('a sentence is one printable line, whatever a reply holds', () => {
  const failure = rejected('commit', ['the content', `550 \x1b[2J\r\n\0\xe2\x80\xae${'x'.repeat(100_000)}`]);
  for (const line of printFailure(failure)) {
    assert.doesNotMatch(line, /[\p{Cc}\p{Cf}]/u);
    assert.ok(line.length < 4200, `${line.length} characters`);
  }
});

/* ---- servers ---- */

const PROXY: ProxyPolicy = { scheme: 'socks5', host: '::1', port: 1080, user: 'tim', secret: { from: 'literal', value: 'of the proxy' } };
const at = (address: string, family: 4 | 6 | 'unix' | 'name' = 4, port = 25) => ({ address, family, port });
const SERVERS: readonly (readonly [Pick<Attempt, 'host' | 'name' | 'endpoint'>, string])[] = [
  [{ host: hostAt(25), name: 'mail.example', endpoint: null }, 'mail.example'],
  [{ host: hostAt(25), name: 'mail.example', endpoint: at('192.0.2.1') }, 'mail.example [192.0.2.1]'],
  [{ host: hostAt(2525), name: 'mail.example', endpoint: at('192.0.2.1', 4, 2525) }, 'mail.example [192.0.2.1]:2525'],
  [
    { host: hostAt(587, { scheme: 'submission' }), name: 'mail.example', endpoint: at('2001:db8::1', 6, 587) },
    'mail.example [2001:db8::1]',
  ],
  [
    { host: hostAt(465, { scheme: 'submissions' }), name: 'mail.example', endpoint: at('2001:db8::1', 6, 587) },
    'mail.example [2001:db8::1]:587',
  ],
  [{ host: hostAt(25), name: '192.0.2.1', endpoint: at('192.0.2.1') }, '[192.0.2.1]'],
  [{ host: hostAt(0, { scheme: 'unix' }), name: '/run/lmtp', endpoint: at('/run/lmtp', 'unix', 0) }, '/run/lmtp'],
  [{ host: hostAt(25), name: 'mail.example', endpoint: at('mail.example', 'name') }, 'mail.example'],
  [{ host: hostAt(2525), name: 'mail.example', endpoint: at('mail.example', 'name', 2525) }, 'mail.example:2525'],
  [
    { host: hostAt(25, { link: { ...DIRECT, proxy: PROXY } }), name: 'mail.example', endpoint: at('mail.example', 'name') },
    'mail.example through socks5://[::1]:1080',
  ],
];
for (const [server, expected] of SERVERS) test(`a server: ${expected}`, () => assert.equal(printServer(server), expected));

/* ---- whole outcomes ---- */

const attempt = (failure: SessionFailure, name = 'a.example'): Attempt => ({ host: hostAt(25), name, endpoint: at('192.0.2.1'), failure });
const accepted = (changes: Partial<Acceptance> = {}): Outcome => ({
  kind: 'accepted',
  attempts: [],
  by: {
    host: hostAt(25),
    name: 'a.example',
    endpoint: at('192.0.2.1'),
    reply: said('250 ok'),
    refusals: [],
    taken: [],
    tls: null,
    auth: null,
    ...changes,
  },
});

test('a success has no sentence, not even after other hosts', () => {
  const success = accepted();
  assert.deepEqual(printOutcome(success, '<x@y>'), []);
  assert.deepEqual(printOutcome({ kind: 'discarded' }, '<x@y>'), []);
  for (const codes of ['simple', 'sysexits'] as const)
    assert.deepEqual([exitStatus(success, codes), exitStatus({ kind: 'discarded' }, codes)], [0, 0]);
});

test('a delivery in part names who has the message and who refused', () => {
  const part = accepted({
    refusals: [{ command: 'the content for <b@there.example>', recipient: 1, reply: said('550 full') }],
    taken: [mailbox('a@there.example')],
  });
  assert.deepEqual(printOutcome(part, ''), [
    'a.example [192.0.2.1]: the content for <b@there.example>: 550 full',
    'delivered in part, to <a@there.example> only',
  ]);
  assert.deepEqual([exitStatus(part, 'simple'), exitStatus(part, 'sysexits')], [1, 69]);
});

test('of very many recipients who have the message a hundred are named', () => {
  const taken = Array.from({ length: 150 }, (_, i) => mailbox(`r${i}@there.example`));
  const refusals = [{ command: 'x', recipient: 0, reply: said('550 full') }];
  for (const [count, end] of [
    [100, '<r99@there.example> only'],
    [101, '<r99@there.example>, and 1 more only'],
    [150, '<r99@there.example>, and 50 more only'],
  ] as const)
    assert.ok(
      printOutcome(accepted({ refusals, taken: taken.slice(0, count) }), '')
        .at(-1)
        ?.endsWith(`, ${end}`),
      end,
    );
});

test('what is missing on this side has no server, and is said once for all addresses', () => {
  const missing = (detail: string): SessionFailure => ({
    kind: 'unsupported',
    at: 'ready',
    condemns: 'host',
    lacks: 'configuration',
    detail,
    isOurs: true,
  });
  const [first, second] = ['no file /a', 'no file /b'].map(missing) as [SessionFailure, SessionFailure];
  const refused = connecting('connect', 'connection refused');
  const attempts = [attempt(first), attempt(first, 'b.example'), attempt(refused), attempt(refused), attempt(second), attempt(first)];
  const outcome: Outcome = { kind: 'failed', failure: first, attempts, unreplayable: false };
  const server = 'a.example [192.0.2.1]: connection refused';
  assert.deepEqual(printOutcome(outcome, ''), ['no file /a', server, server, 'no file /b']);
  assert.deepEqual(
    attempts.map(({ failure }) => isMissingHere(failure)),
    [true, true, false, false, true, true],
  );
});

test('an outcome without its secrets holds none of a host, and is otherwise the same', () => {
  const auth = { user: 'tim', mechanisms: [], secret: { from: 'literal', value: 'of the host' }, allowPlaintext: false } as const;
  const host = hostAt(25, { auth, link: { ...DIRECT, proxy: PROXY } });
  const failure = connecting('connect', 'connection refused');
  const failed: Outcome = { kind: 'failed', failure, attempts: [{ ...attempt(failure), host }], unreplayable: true, isLate: true };
  const taken: Outcome = { ...accepted({ host }), attempts: failed.attempts } as Outcome;
  const bare = { ...host, auth: { ...auth, secret: { from: 'none' } }, link: { ...DIRECT, proxy: { ...PROXY, secret: { from: 'none' } } } };
  assert.deepEqual(stripSecrets(failed), { ...failed, attempts: [{ ...attempt(failure), host: bare }] });
  assert.deepEqual(stripSecrets(taken), {
    ...accepted({ host: bare as Acceptance['host'] }),
    attempts: [{ ...attempt(failure), host: bare }],
  });
  const plain = accepted({ host: hostAt(25, { link: DIRECT }) });
  assert.deepEqual(stripSecrets(plain), plain);
  assert.deepEqual(stripSecrets(accepted()), accepted());
  assert.deepEqual(stripSecrets({ kind: 'discarded' }), { kind: 'discarded' });
});

test('every host that was tried has a line, in order, and the last has only one', () => {
  const last = rejected('commit', ['the content', '554 spam']);
  const outcome: Outcome = {
    kind: 'failed',
    failure: last,
    attempts: [
      attempt(connecting('connect', 'connection refused')),
      { ...attempt(connecting('resolve', 'no address'), 'b.example'), endpoint: null },
      attempt(last, 'c.example'),
    ],
    unreplayable: false,
  };
  assert.deepEqual(printOutcome(outcome, '<x@y>'), [
    'a.example [192.0.2.1]: connection refused',
    'b.example: no address',
    'c.example [192.0.2.1]: the content: 554 spam',
  ]);
});

test('a signal between two hosts stands after them', () => {
  const failure: Failure = { kind: 'content', at: 'closed', condemns: 'message', reason: 'aborted', detail: 'ended by SIGTERM' };
  const outcome: Outcome = {
    kind: 'failed',
    failure,
    attempts: [attempt(connecting('connect', 'connection refused'))],
    unreplayable: false,
  };
  assert.deepEqual(printOutcome(outcome, ''), ['a.example [192.0.2.1]: connection refused', 'ended by SIGTERM']);
});

test('an uncertain outcome names the Message-ID to look for, where it is known', () => {
  const failure: SessionFailure = { kind: 'uncertain', at: 'commit', condemns: 'message', detail: 'x' };
  const outcome: Outcome = { kind: 'failed', failure, attempts: [attempt(failure)], unreplayable: false };
  assert.equal(printOutcome(outcome, '<1@here.example>').at(-1), 'look for Message-ID <1@here.example> before sending it again');
  assert.equal(printOutcome(outcome, '').length, 1);
});

test('content that could not be sent again names the cure', () => {
  const failure = connecting('connect', 'connection refused');
  const outcome: Outcome = { kind: 'failed', failure, attempts: [attempt(failure)], unreplayable: true };
  assert.match(printOutcome(outcome, '').at(-1) ?? '', /raise replay_window, or give the message as a file$/);
});

test.run();
