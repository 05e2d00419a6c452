/** Loopback: `nospool bench` needs --anywhere for every other host. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { type BenchOptions, parseLoad, printBench } from '../../src/nospool/bench/bench.ts';
import { carry, type Load, type Measured } from '../../src/nospool/bench/load.ts';
import { printPath } from '../../src/smtp/path.ts';
import { deadPort, nospool, type RunningSink, sinkWith } from '../support/admin.ts';
import { scratch } from '../support/command.ts';
import { startScripted } from '../support/scripted.ts';
import { startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('bench');

const NOTHING: BenchOptions = {
  host: null,
  anywhere: false,
  messages: null,
  connections: null,
  size: null,
  recipients: null,
  from: null,
  to: null,
  user: null,
  passwordFile: null,
  tls: null,
  caFile: null,
  json: false,
};
const HERE = '127.0.0.1:2525';
const NOW = new Date('2026-11-22T12:00:00Z');

function load(options: Partial<BenchOptions>): Load {
  const found = parseLoad({ ...NOTHING, host: HERE, ...options }, NOW);
  assert.ok(found.ok, found.ok ? '' : found.detail);
  return found.value;
}

const messagesOf = ({ told }: RunningSink) => told.filter(({ event }) => event === 'message');

test('when every message is accepted, the status is 0 and the measures are printed', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const run = await nospool('bench', '--host', `127.0.0.1:${sink.port}`, '--messages', '25', '--size', '1000');
    await sink.close();
    assert.equal(run.status, 0, run.stderr);
    assert.equal(run.stderr, '');
    const lines = run.stdout.trimEnd().split('\n');
    assert.deepEqual(lines.slice(0, 3), [
      `to          submission://127.0.0.1:${sink.port}, 1 connection`,
      'messages    of 1000 octets, to 1 recipient each',
      'accepted    25',
    ]);
    assert.match(lines[3] as string, /^elapsed {5}\d+\.\d{3} s$/);
    assert.match(lines[4] as string, /^rate {8}[\d.]+ messages\/s, [\d.]+ MB\/s$/);
    assert.match(lines[5] as string, /^latency {5}min [\d.]+, 50 % [\d.]+, 90 % [\d.]+, 99 % [\d.]+, 99\.9 % [\d.]+, max [\d.]+ ms$/);
    assert.match(lines[6] as string, /^sessions {4}1, median [\d.]+, max [\d.]+ ms to open$/);
    const arrived = messagesOf(sink);
    assert.equal(arrived.length, 25);
    assert.equal(new Set(arrived.map(({ client }) => client)).size, 1, 'one session carries all');
    assert.deepEqual(new Set(arrived.map(({ octets }) => octets)), new Set([1000]));
    assert.deepEqual(
      [arrived[0]?.reversePath, arrived[0]?.recipients],
      ['<sender@bench.invalid>', [{ path: '<recipient@bench.invalid>', parameters: {} }]],
    );
  }));

test('--json prints JSON; connections, recipients and addresses can be chosen', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const words = '--messages 30 --connections 3 --recipients 2 --from <> --to x@y.example --json'.split(' ');
    const run = await nospool('bench', '--host', `smtp://127.0.0.1:${sink.port}`, ...words);
    await sink.close();
    assert.equal(run.status, 0, run.stderr);
    const told = JSON.parse(run.stdout);
    const { seconds, messages_per_second, octets_per_second, latency_ms, sessions, ...rest } = told;
    assert.deepEqual(rest, {
      host: `smtp://127.0.0.1:${sink.port}`,
      messages: 30,
      connections: 3,
      size: 2048,
      recipients: 2,
      accepted: 30,
      rejected: 0,
      uncertain: 0,
      lost: 0,
      unsent: 0,
      reasons: [],
      interrupted: null,
    });
    for (const value of [seconds, messages_per_second, octets_per_second]) assert.ok(value > 0);
    assert.deepEqual(Object.keys(latency_ms), ['min', 'p50', 'p90', 'p99', 'p99_9', 'max']);
    const latencies = Object.values<number>(latency_ms);
    assert.deepEqual(
      latencies,
      [...latencies].sort((a, b) => a - b),
    );
    assert.deepEqual(Object.keys(sessions), ['opened', 'unopened', 'median_ms', 'max_ms']);
    assert.deepEqual([sessions.opened, sessions.unopened], [3, 0]);
    const arrived = messagesOf(sink);
    assert.equal(new Set(arrived.map(({ client }) => client)).size, 3);
    const recipients = ['<1x@y.example>', '<2x@y.example>'].map((recipient) => ({ path: recipient, parameters: {} }));
    assert.deepEqual([arrived[0]?.reversePath, arrived[0]?.recipients], ['<>', recipients]);
  }));

test('the load goes over STARTTLS with a password', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ starttls: true, auth: 'me:secret' });
    const password = path.join(scratch(), 'password');
    writeFileSync(password, 'secret\n', { mode: 0o600 });
    const words = ['--user', 'me', '--password-file', password, '--ca-file', sink.certificate];
    const run = await nospool('bench', '--host', `127.0.0.1:${sink.port}`, '--messages', '2', ...words);
    await sink.close();
    assert.equal(run.status, 0, run.stderr + run.stdout);
    assert.deepEqual(
      messagesOf(sink).map(({ user, tls }) => [user, /^TLSv1\.\d$/.test(String(tls))]),
      [
        ['me', true],
        ['me', true],
      ],
    );
  }));

test('refusals are counted with their reason, the session goes on, and the status is 1', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ refuse: ['@bench.invalid'] });
    const run = await nospool('bench', '--host', `127.0.0.1:${sink.port}`, '--messages', '7');
    await sink.close();
    assert.equal(run.status, 1);
    assert.equal(run.stderr, 'nospool: 7 of 7 messages were not accepted\n');
    assert.match(run.stdout, /^accepted {4}0\nrejected {4}7\n {2}reason {4}RCPT TO:<recipient@bench\.invalid>: 550 .* \(7 times\)\n/m);
    assert.ok(!/^(rate|latency|unsent)/m.test(run.stdout));
    assert.match(run.stdout, /^sessions {4}1, /m);
  }));

test('when nobody listens, nothing is sent, and not every message is tried', () =>
  within(20_000, async () => {
    const port = await deadPort();
    const run = await nospool('bench', '--host', `127.0.0.1:${port}`, '--connections', '2');
    assert.equal(run.status, 1);
    assert.match(run.stdout, /^unsent {6}1000\n {2}reason {4}\[127\.0\.0\.1\]:\d+: connection refused \(2 times\)$/m);
    assert.match(run.stdout, /^sessions {4}0; 2 could not be opened$/m);
    assert.equal(run.stderr, 'nospool: 1000 of 1000 messages were not accepted\n');
  }));

test('a wrong password is the reason of the session', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ auth: 'me:secret' });
    const password = path.join(scratch(), 'password');
    writeFileSync(password, 'wrong\n', { mode: 0o600 });
    const run = await nospool('bench', '--host', `127.0.0.1:${sink.port}`, '--user', 'me', '--password-file', password, '--json');
    await sink.close();
    assert.equal(run.status, 1);
    const { unsent, reasons, sessions } = JSON.parse(run.stdout);
    assert.deepEqual([unsent, reasons.length, sessions.unopened], [1000, 1, 1]);
    assert.match(reasons[0].reason, /AUTH \S+: 535 /);
  }));

/** A smart host; `answer` gives the verdict on each message, counted over all sessions, or what is done in its place. */
function hostAnswering(answer: (message: number, host: TestHost) => string): Promise<TestHost> {
  let messages = 0;
  const host = startHost({ script: { end: async () => answer(++messages, await host) } });
  return host;
}

const NEVER = new AbortController().signal;

/** The fates in order, without those that did not happen. */
const fatesOf = ({ fates }: Measured) => Object.entries(fates).filter(([, count]) => count > 0);

test('a session that is lost after the end of a content leaves its message uncertain, and another session is opened', () =>
  within(20_000, async () => {
    const { port, sessions, stop } = await hostAnswering((message) => (message === 4 ? 'drop' : '250 x'));
    const measured = await carry(load({ host: `127.0.0.1:${port}`, messages: 10 }), { signal: NEVER, urgent: NEVER });
    await stop();
    assert.deepEqual(fatesOf(measured), [
      ['accepted', 9],
      ['uncertain', 1],
    ]);
    assert.deepEqual([sessions.length, measured.openings.count, measured.latencies.count, measured.unopened], [2, 2, 9, 0]);
    assert.match(measured.reasons[0]?.reason ?? '', /no verdict came back/);
  }));

test('a server may close each session with 421 after a message', () =>
  within(20_000, async () => {
    const { port, sessions, stop } = await hostAnswering(() => '421 enough');
    const measured = await carry(load({ host: `127.0.0.1:${port}`, messages: 3 }), { signal: NEVER, urgent: NEVER });
    await stop();
    assert.deepEqual(fatesOf(measured), [['rejected', 3]]);
    assert.equal(sessions.length, 3);
  }));

test('when the server dies, the rest counts as not sent, and the run ends', () =>
  within(20_000, async () => {
    const { port, stop } = await hostAnswering((message, host) => {
      if (message < 6) return '250 x';
      void host.stop();
      return 'drop';
    });
    const measured = await carry(load({ host: `127.0.0.1:${port}`, messages: 50 }), { signal: NEVER, urgent: NEVER });
    await stop();
    assert.deepEqual(fatesOf(measured), [
      ['accepted', 5],
      ['uncertain', 1],
      ['unsent', 44],
    ]);
    assert.equal(measured.unopened, 1);
    assert.match(measured.reasons[1]?.reason ?? '', /connection refused/);
  }));

test('a few distinct reasons are kept, however many there are', () =>
  within(20_000, async () => {
    const { port, stop } = await hostAnswering((message) => `450 id ${message}`);
    const measured = await carry(load({ host: `127.0.0.1:${port}`, messages: 20 }), { signal: NEVER, urgent: NEVER });
    await stop();
    assert.deepEqual(fatesOf(measured), [['rejected', 20]]);
    assert.deepEqual(
      measured.reasons.map(({ reason, times }) => [reason, times]),
      [1, 2, 3, 4, 5].map((id) => [`the content: 450 id ${id}`, 1]),
    );
  }));

test('a message that the server cannot take is never sent to it', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ size: 1000 });
    const measured = await carry(load({ host: `127.0.0.1:${sink.port}`, connections: 2 }), { signal: NEVER, urgent: NEVER });
    await sink.close();
    assert.deepEqual(fatesOf(measured), [['unsent', 1000]]);
    assert.ok(!sink.verbs().includes('MAIL'));
    assert.deepEqual(measured.reasons, [{ reason: measured.reasons[0]?.reason, times: 2 }]);
  }));

test('after the first signal messages under way get their verdict, and no other begins', () =>
  within(20_000, async () => {
    const first = new AbortController();
    const { port, stop } = await hostAnswering((message) => {
      if (message === 3) first.abort('ended by SIGINT');
      return '250 x';
    });
    const known: number[] = [];
    const measured = await carry(load({ host: `127.0.0.1:${port}`, messages: 10 }), {
      signal: first.signal,
      urgent: NEVER,
      progress: (messages) => known.push(messages),
    });
    await stop();
    assert.deepEqual(fatesOf(measured), [
      ['accepted', 3],
      ['unsent', 7],
    ]);
    assert.deepEqual([known, measured.interrupted], [[1, 2, 3], 'ended by SIGINT']);
  }));

test('after the second signal the command waits for nothing more', () =>
  within(20_000, async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const { port, stop } = await hostAnswering((message) => {
      if (message < 3) return '250 x';
      first.abort('ended by SIGINT');
      second.abort('ended by SIGINT');
      return 'silence';
    });
    const measured = await carry(load({ host: `127.0.0.1:${port}`, messages: 10 }), { signal: first.signal, urgent: second.signal });
    await stop();
    assert.deepEqual(fatesOf(measured), [
      ['accepted', 2],
      ['uncertain', 1],
      ['unsent', 7],
    ]);
  }));

test('a signal before the greeting of a silent server is no failure of the server', () =>
  within(20_000, async () => {
    const first = new AbortController();
    const { port, close } = await startScripted(() => first.abort('ended by SIGTERM'));
    const measured = await carry(load({ host: `127.0.0.1:${port}`, messages: 10 }), { signal: first.signal, urgent: NEVER });
    await close();
    assert.deepEqual(fatesOf(measured), [['unsent', 10]]);
    assert.deepEqual([measured.unopened, measured.reasons], [0, []]);
  }));

test('SIGINT ends the command with the measures so far', () =>
  within(30_000, async () => {
    const sink = await sinkWith({ delay: 1 });
    const built = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));
    const child = spawn(process.execPath, [built, 'bench', '--host', `127.0.0.1:${sink.port}`, '--messages', '1000000'], { stdio: 'pipe' });
    let [out, err] = ['', ''];
    child.stdout.on('data', (octets) => {
      out += octets;
    });
    child.stderr.on('data', (octets) => {
      err += octets;
    });
    const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
    while (messagesOf(sink).length < 5) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill('SIGINT');
    assert.equal(await closed, 1, err);
    await sink.close();
    const accepted = messagesOf(sink).length;
    assert.match(out, new RegExp(`^accepted {4}${accepted}\nunsent {6}${1_000_000 - accepted}\nelapsed `, 'm'));
    assert.match(err, /^nospool: ended by SIGINT\nnospool: \d+ of 1000000 messages were not accepted\n$/);
  }));

// options, the error
const WRONG: readonly (readonly [Partial<BenchOptions>, RegExp])[] = [
  [{ host: null }, /^name the smart host that gets the messages: --host 127\.0\.0\.1:2525, /],
  [{ host: '' }, /^name the smart host/],
  [{ host: 'smpt://x' }, /^--host: scheme "smpt" is unknown; did you mean "smtp"\?$/],
  [
    { host: 'mail.example.org' },
    /^mail\.example\.org is not a loopback address, so a real server would get as much mail as it can take: give --anywhere /,
  ],
  [{ host: '192.0.2.1:25' }, /^192\.0\.2\.1 is not a loopback address, /],
  [{ host: 'example.org/MX' }, /^example\.org is not a loopback address, /],
  [{ host: 'localhost.example.org' }, /^localhost\.example\.org is not a loopback address, /],
  [{ messages: 0 }, /^--messages expects a number above 0$/],
  [{ connections: 0 }, /^--connections expects a number from 1 to 1000, the number of messages$/],
  [{ messages: 5, connections: 6 }, /^--connections expects a number from 1 to 5, /],
  [{ recipients: 0 }, /^--recipients expects a number from 1 to 50000$/],
  [{ recipients: 50_001 }, /^--recipients expects /],
  [{ size: 'large' }, /^--size expects a size such as "256KiB"/],
  [{ size: '2GiB' }, /^--size expects a size from "0KiB" to "1GiB"$/],
  [{ size: '10' }, /^--size expects at least \d+ octets: the header section and a line$/],
  [{ from: 'a b' }, /^--from "a b": /],
  [{ to: 'a b' }, /^--to "a b": /],
  [{ user: 'me' }, /^--user and --password-file go together$/],
  [{ passwordFile: '/x' }, /^--user and --password-file go together$/],
  [{ tls: 'default' }, /^--tls expects required, opportunistic or off, not "default"$/],
  [{ tls: 'on' }, /^--tls expects required, opportunistic or off, not "on"$/],
  [{ tls: 'off', caFile: '/x' }, /^--ca-file contradicts --tls off/],
  [{ host: 'submissions://127.0.0.1', tls: 'off' }, /^--tls off contradicts the host/],
];
for (const [options, expected] of WRONG)
  test(`a wrong option is reported: ${JSON.stringify(options)}`, () => {
    const found = parseLoad({ ...NOTHING, host: HERE, ...options }, NOW);
    assert.match(found.ok ? '' : found.detail, expected);
  });

test('the command reports a wrong option with status 1', async () => {
  for (const [argv, expected] of [
    [['--host', 'mail.example.org'], /^nospool: mail\.example\.org is not a loopback address, /],
    [['--messages', 'many', '--host', HERE], /^nospool: --messages expects a number, not "many"\n$/],
    [[], /^nospool: name the smart host/],
  ] as const) {
    const run = await nospool('bench', ...argv);
    assert.deepEqual([run.status, run.stdout], [1, '']);
    assert.match(run.stderr, expected);
  }
});

// options, the host that they become, why
const HOSTS: readonly (readonly [Partial<BenchOptions>, readonly [string, string, number, string], string])[] = [
  [{}, ['submission', '127.0.0.1', 2525, 'default'], 'as in smarthosts'],
  [{ host: 'localhost:25' }, ['smtp', 'localhost', 25, 'default'], 'loopback by name'],
  [{ host: 'lmtp://[::1]:24' }, ['lmtp', '::1', 24, 'default'], 'loopback of IPv6'],
  [{ host: 'unix:/run/lmtp' }, ['unix', '/run/lmtp', 0, 'default'], 'a socket of this host'],
  [{ host: 'mail.example.org', anywhere: true }, ['submission', 'mail.example.org', 587, 'default'], 'asked for'],
  [{ caFile: '/ca.pem' }, ['submission', '127.0.0.1', 2525, 'required'], 'certificates to compare with'],
  [{ tls: 'opportunistic', caFile: '/ca.pem' }, ['submission', '127.0.0.1', 2525, 'opportunistic'], 'a mode that is written'],
];
for (const [options, expected, why] of HOSTS)
  test(`the host: ${why}`, () => {
    const { host } = load(options);
    assert.deepEqual([host.scheme, host.host, host.port, host.tls.mode], expected);
  });

test('the content has exactly the size, no long line, and ends with a line end', () => {
  const header = new TextDecoder().decode(load({}).content).split('\r\n\r\n')[0] as string;
  assert.equal(
    header,
    'From: sender@bench.invalid\r\nTo: recipient@bench.invalid\r\nSubject: nospool bench\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000',
  );
  for (let size = header.length + 6; size < header.length + 200; size++) {
    const { content } = load({ size: String(size) });
    assert.equal(content.length, size);
    const text = new TextDecoder().decode(content);
    const body = text.slice(header.length + 4);
    assert.ok(body.endsWith('\r\n'), `${size}`);
    for (const line of body.split('\r\n')) assert.match(line, /^x{0,78}$/);
  }
  assert.equal(load({ size: '1MB' }).content.length, 1_000_000);
});

test('several recipients are numbered', () => {
  assert.deepEqual(
    load({ to: 'a@b.example' }).transaction.recipients.map(({ path }) => printPath(path)),
    ['<a@b.example>'],
  );
  assert.deepEqual(
    load({ to: '"a b"@c.example', recipients: 2 }).transaction.recipients.map(({ path }) => printPath(path)),
    ['<"1a b"@c.example>', '<"2a b"@c.example>'],
  );
});

test('a load that has not begun prints no number', () =>
  within(10_000, async () => {
    const stopped = AbortSignal.abort('ended by SIGINT');
    const planned = load({ host: '127.0.0.1:1', messages: 3 });
    const lines = printBench(planned, await carry(planned, { signal: stopped, urgent: NEVER }));
    assert.match(lines.join('\n'), /^accepted {4}0\nunsent {6}3\nelapsed {5}\d\.\d{3} s\nsessions {4}0$/m);
  }));

test.run();
