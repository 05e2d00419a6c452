/**
 * What cannot be is told: as the outcome `failed` with the code `usage`, in the words of the library's own options, and nothing is
 * thrown. Loopback: nothing is connected, or the words of a failure are all that is looked at.
 */
import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import { KEYS } from '../../src/config/keys.ts';
import { type Content, connect, type Failure, type Outcome, Pool, submit } from '../../src/library/index.ts';
import { tlsWorld } from '../support/delivery.ts';
import { startSocks } from '../support/proxies.ts';
import { type SmarthostOptions, startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { ENVELOPE, watch } from './doors.ts';

const usage = suite('usage');
const looking = watch();
/** Every sentence that the library said in these tests. */
const said = new Set<string>();

usage.after.each(() => looking.check());
usage.after(() => looking.stop());

const SERVERS = ['smtp://127.0.0.1:1'];
const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';

function hear<Told extends Failure | null>(failure: Told): Told {
  for (const text of [failure?.message, failure?.hint]) if (text !== undefined) said.add(text);
  return failure;
}

function usageOf(outcome: Outcome, wanted: unknown = ''): string {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  const { failure, attempts } = outcome as Extract<Outcome, { kind: 'failed' }>;
  hear(failure);
  assert.equal(failure.code, 'usage', `${wanted}: ${failure.message}`);
  assert.deepEqual([failure.retry, failure.verb, failure.at, attempts], ['never', null, null, []]);
  assert.doesNotMatch(failure.message, /bug|undefined is not|null is not|not a function|cannot read|cannot destructure/i);
  return failure.message;
}

const boom = (): never => {
  throw new Error('boom');
};
const THROWING = new Proxy({}, { get: boom, has: boom, ownKeys: boom, getPrototypeOf: boom, getOwnPropertyDescriptor: boom });
/** An object whose key cannot be read. */
const trap = (key: string): object => Object.defineProperty({}, key, { enumerable: true, get: boom });

/* ---- the runtime ---- */

usage('a runtime that lacks what we load modules by is said to be too old', async () => {
  const { getBuiltinModule } = process;
  Object.assign(process, { getBuiltinModule: undefined });
  try {
    const sentence = usageOf(await submit(ENVELOPE, MESSAGE, { servers: SERVERS }));
    assert.equal(sentence, 'this runtime is too old: nospool needs Node 20.19, 22.12 or 24, or Bun 1.4');
  } finally {
    Object.assign(process, { getBuiltinModule });
  }
});

/* ---- envelopes ---- */

const to = ['you@example.net'];
const ENVELOPES: readonly (readonly [unknown, RegExp])[] = [
  [undefined, /the envelope is an object with from and to/],
  [null, /the envelope is an object/],
  ['me@example.org', /the envelope is an object/],
  [THROWING, /the envelope cannot be read: boom/],
  [trap('from'), /the envelope cannot be read: boom/],
  [{}, /^from \(undefined\): it is no text; "" is the null reverse-path/],
  [{ from: null, to }, /^from \(null\)/],
  [{ from: 7, to }, /^from \(a number\)/],
  [{ from: 'me', to }, /^from "me": it has no domain/],
  [{ from: '', to: ['postmaster'] }, /^to "postmaster": it has no domain/],
  [{ from: 'Me <me@example.org>', to }, /^from "Me <me@example\.org>".*an envelope has the bare address/],
  [{ from: 'me@example.org\r\nRCPT TO:<x@y>', to }, /^from "/],
  [{ from: '' }, /no recipients: give to/],
  [{ from: '', to: [] }, /no recipients/],
  [{ from: '', to: null }, /no recipients/],
  [{ from: '', to: {} }, /no recipients/],
  [{ from: '', to: '' }, /^to ""/],
  [{ from: '', to: [''] }, /^to ""/],
  [{ from: '', to: [null] }, /^to \(null\)/],
  [{ from: '', to: [undefined] }, /^to \(undefined\)/],
  [{ from: '', to: [Symbol('x')] }, /^to \(a symbol\)/],
  [{ from: '', to: [['you@example.net']] }, /^to\.0 is unknown; there are address, notify, original/],
  [{ from: '', to: [{}] }, /^to \(undefined\)/],
  [{ from: '', to: [THROWING] }, /the envelope cannot be read: boom/],
  [{ from: '', to: ['a@b, c@d'] }, /^to "a@b, c@d".*several addresses are a list/],
  [{ from: '', to: ['x@y\u0000z'] }, /^to "x@y/],
  [{ from: '', to: [{ adress: 'you@example.net' }] }, /^to\.adress is unknown; did you mean to\.address\?/],
  [{ from: '', to: [{ address: 'you@example.net', notify: 'NEVER' }] }, /^to\.notify is a list of NEVER, SUCCESS/],
  [{ from: '', to: [{ address: 'you@example.net', notify: [] }] }, /^to\.notify is a list/],
  [{ from: '', to: [{ address: 'you@example.net', notify: ['ALWAYS'] }] }, /^to\.notify has "ALWAYS"/],
  [{ from: '', to: [{ address: 'you@example.net', notify: ['NEVER', 'DELAY'] }] }, /^to\.notify has NEVER, which stands alone/],
  [{ from: '', to: [{ address: 'you@example.net', original: 'nobody' }] }, /^original "nobody"/],
  [{ from: '', to: [{ address: 'you@example.net', original: 7 }] }, /^to\.original is an address/],
  [{ from: '', to, form: 'x' }, /^envelope\.form is unknown; did you mean envelope\.from\?/],
  [{ from: '', to, withoutEightBit: 'encode' }, /^envelope\.withoutEightBit is one of "convert", "send", "refuse"/],
  [{ from: '', to, dsn: true }, /^envelope\.dsn is one of "drop", "require"/],
  [{ from: '', to, ret: 'full' }, /^envelope\.ret is one of "FULL", "HDRS"/],
  [{ from: '', to, binary: 1 }, /^envelope\.binary is true or false/],
  [{ from: '', to, smtputf8: 'yes' }, /^envelope\.smtputf8 is true or false/],
  [{ from: '', to, requireTls: null }, /^envelope\.requireTls is true or false/],
  [{ from: '', to, envid: 7 }, /^envelope\.envid is a text/],
  [{ from: '', to, envid: '' }, /^envelope\.envid is a text/],
  [{ from: '', to, envid: 'a\r\nb' }, /^envelope\.envid is a text/],
  [{ from: '', to, envid: 'x'.repeat(101) }, /^envelope\.envid is a text of 1 to 100/],
  [{ from: '', to, envid: 'grün' }, /^envelope\.envid is a text of 1 to 100 printable characters of ASCII$/],
  [{ from: '', to, priority: 10 }, /^envelope\.priority is a whole number from -9 to 9/],
  [{ from: '', to, priority: 0.5 }, /^envelope\.priority/],
  [{ from: '', to, priority: Number.NaN }, /^envelope\.priority/],
  [{ from: '', to, priority: '1' }, /^envelope\.priority/],
  [{ from: '', to, deliverBy: 60 }, /^envelope\.deliverBy is \{ seconds/],
  [{ from: '', to, deliverBy: { seconds: 0, mode: 'R' } }, /^envelope\.deliverBy/],
  [{ from: '', to, deliverBy: { seconds: 60, mode: 'X' } }, /^envelope\.deliverBy/],
  [{ from: '', to, deliverBy: { seconds: 60, mode: 'N' }, hold: { for: 60 } }, /^envelope\.hold ends before the time of deliverBy$/],
  [{ from: '', to, deliverBy: { seconds: 60, mode: 'R' }, hold: { until: '2100-01-01T00:00:00Z' } }, /^envelope\.hold ends before/],
  [{ from: '', to, hold: 60 }, /^envelope\.hold is \{ for/],
  [{ from: '', to, hold: null }, /^envelope\.hold/],
  [{ from: '', to, hold: { for: -1 } }, /^envelope\.hold/],
  [{ from: '', to, hold: { until: 'tomorrow' } }, /^envelope\.hold/],
  [{ from: '', to, hold: { for: 1, until: '2030-01-31T12:00:00Z' } }, /^envelope\.hold/],
  [{ from: '', to, solicit: 'org.example:ADV' }, /^envelope\.solicit is a list/],
  [{ from: '', to, solicit: ['a b'] }, /^envelope\.solicit is a list/],
  [{ from: '', to, submitter: null }, /^submitter|^envelope\.submitter/],
  [{ from: '', to, submitter: 'nobody at all' }, /^submitter "nobody at all"/],
  // What is not enumerable counts as well: nobody's REQUIRETLS is passed over.
  ...(
    [
      ['withoutEightBit', 'x'],
      ['binary', 7],
      ['smtputf8', 7],
      ['ret', 'x'],
      ['envid', ''],
      ['dsn', 'x'],
      ['requireTls', 7],
      ['priority', 10],
      ['deliverBy', 7],
      ['hold', 7],
      ['solicit', 7],
      ['submitter', 7],
    ] as const
  ).map(([key, value]) => [Object.defineProperty({ from: '', to }, key, { value }), new RegExp(`^envelope\\.${key} `)] as const),
  [new Proxy({ from: '', to, priority: 10 }, { ownKeys: () => [] }), /^envelope\.priority is a whole number/],
];

usage('an impossible envelope is told through every door', () =>
  within(10_000, async () => {
    const host = await startHost();
    const connected = await connect(`smtp://127.0.0.1:${host.port}`);
    assert.ok(connected.ok);
    assert.equal(await connected.client.ready(), null);
    const pool = new Pool(SERVERS);
    for (const [envelope, words] of ENVELOPES) {
      const given = envelope as never;
      assert.match(usageOf(await submit(given, MESSAGE, { servers: SERVERS }), words), words);
      assert.match(usageOf(await connected.client.send(given, MESSAGE)), words);
      assert.match(usageOf(await pool.send(given, MESSAGE)), words);
    }
    assert.ok(connected.client.usable);
    await connected.client.quit();
    await pool.drain();
    assert.deepEqual(
      host.sessions[0]?.map((line) => line.split(' ')[0]),
      ['EHLO', 'QUIT'],
    );
    await host.stop();
  }),
);

/* ---- options ---- */

const OPTIONS: readonly (readonly [unknown, RegExp])[] = [
  [null, /the options are an object/],
  [7, /the options are an object/],
  ['x', /the options are an object/],
  [THROWING, /the options cannot be read: boom/],
  [trap('hello'), /the options cannot be read: boom/],
  [{ helo: 'x' }, /^helo is unknown; did you mean hello\?/],
  [{ time_outs: {} }, /^time_outs is unknown; did you mean timeouts\?/],
  [{ hello: 7 }, /^hello is a domain or an address literal/],
  [{ hello: 'a\r\nb' }, /^hello is a domain/],
  [{ timeouts: 5 }, /^timeouts is an object/],
  [{ timeouts: null }, /^timeouts is an object/],
  [{ timeouts: { conect: 5 } }, /^timeouts\.conect is unknown; did you mean timeouts\.connect\?/],
  ...[Number.NaN, -1, 0, '5', null, [], Number.NEGATIVE_INFINITY].map(
    (value) => [{ timeouts: { command: value } }, /^timeouts\.command is .*, and takes milliseconds above 0/] as const,
  ),
  ...[Number.NaN, -1, '5', null].flatMap((value) => [
    [{ grace: value }, /^grace is .*, and takes a number from 0/] as const,
    [{ window: value }, /^window is .*, and takes a number from 0/] as const,
  ]),
  [{ signal: null }, /^signal is an AbortSignal/],
  [{ signal: new AbortController() }, /^signal is an AbortSignal/],
  [{ signal: { aborted: false } }, /^signal is an AbortSignal/],
  [{ signal: { aborted: false, addEventListener() {}, removeEventListener: boom } }, /^signal is an AbortSignal/],
  [{ recipients: 'some' }, /^recipients is "all" or "any"/],
  [{ framing: 'bdat' }, /^framing is "auto" or "data"/],
  [{ trace: true }, /^trace is a function/],
  [{ progress: 'yes' }, /^progress is a function/],
];

const POOL_OPTIONS: readonly (readonly [unknown, RegExp])[] = [
  ...OPTIONS,
  [{ conections: 2 }, /^conections is unknown; did you mean connections\?/],
  ...['connections', 'messagesPerConnection'].flatMap((key) =>
    [0, -1, Number.NaN, 0.5, '5', null, {}].map(
      (value) => [{ [key]: value }, new RegExp(`^${key} is .*, and takes a whole number from 1`)] as const,
    ),
  ),
  ...['idle', 'ttl'].flatMap((key) =>
    [0, -1, Number.NaN, '5', null].map((value) => [{ [key]: value }, new RegExp(`^${key} is .*, and takes milliseconds above 0`)] as const),
  ),
  [{ retries: -1 }, /^retries is -1, and takes a whole number from 0/],
  [{ retries: Number.NaN }, /^retries is NaN/],
  [{ connections: 1.5 }, /^connections is 1\.5, and takes a whole number from 1/],
  [{ pipelining: 'no' }, /^pipelining is true or false/],
  [{ rate: 5 }, /^rate is \{ messages, per \}/],
  [{ rate: null }, /^rate is \{ messages, per \}/],
  [{ rate: {} }, /^rate\.messages is undefined/],
  [{ rate: { messages: 5 } }, /^rate\.per is undefined/],
  [{ rate: { messages: 0.5, per: 1 } }, /^rate\.messages is 0\.5/],
  [{ rate: { messages: 5, per: Number.NaN } }, /^rate\.per is NaN/],
  [{ rate: { messages: 5, per: 1, burst: 1 } }, /^rate\.burst is unknown/],
];

usage('impossible options are told through every door, before anything is connected', () =>
  within(10_000, async () => {
    const host = await startHost();
    const server = `smtp://127.0.0.1:${host.port}`;
    for (const [options, words] of OPTIONS) {
      const isObject = typeof options === 'object' && options !== null && options !== THROWING;
      const whole = isObject ? Object.defineProperties({ servers: [server] }, Object.getOwnPropertyDescriptors(options)) : options;
      assert.match(usageOf(await submit(ENVELOPE, MESSAGE, whole as never)), words);
      const connected = await connect(server, options as never);
      assert.ok(!connected.ok);
      assert.match(usageOf({ kind: 'failed', ...connected }), words);
    }
    for (const [options, words] of POOL_OPTIONS) {
      const pool = new Pool(server, options as never);
      assert.match(usageOf(await pool.send(ENVELOPE, MESSAGE)), words);
      assert.match(hear(await pool.verify())?.message ?? '', words);
      await pool.drain();
    }
    assert.equal(host.sessions.length, 0);
    await host.stop();
  }),
);

usage('undefined is a default everywhere', () =>
  within(10_000, async () => {
    const host = await startHost();
    const names = ['hello', 'timeouts', 'signal', 'grace', 'recipients', 'window', 'framing', 'trace', 'progress'];
    const nothing = Object.fromEntries(names.map((name) => [name, undefined]));
    const tls = Object.fromEntries(
      ['mode', 'verify', 'ca', 'caFile', 'fingerprint', 'serverName', 'minVersion'].map((name) => [name, undefined]),
    );
    const url = `smtp://127.0.0.1:${host.port}`;
    const server = { url, tls, auth: undefined, proxy: undefined, localAddress: undefined, family: undefined, socket: undefined } as never;
    const envelope = {
      ...ENVELOPE,
      ret: undefined,
      priority: undefined,
      hold: undefined,
      deliverBy: undefined,
      smtputf8: undefined,
    } as never;
    const timeouts = { connect: undefined, input: undefined, deadline: undefined };
    for (const options of [nothing, { timeouts }, undefined])
      assert.equal((await submit(envelope, MESSAGE, { ...options, servers: [server] })).kind, 'accepted');
    const pool = new Pool(server, { ...nothing, connections: undefined, rate: undefined, ttl: undefined } as never);
    assert.equal((await pool.send(envelope, MESSAGE, undefined)).kind, 'accepted');
    await pool.drain();
    await host.stop();
  }),
);

usage('impossible options of one message are told by client and pool', () =>
  within(10_000, async () => {
    const host = await startHost();
    const connected = await connect(`smtp://127.0.0.1:${host.port}`);
    assert.ok(connected.ok);
    const pool = new Pool(`smtp://127.0.0.1:${host.port}`);
    for (const [options, words] of [
      [null, /the options are an object/],
      [7, /the options are an object/],
      [THROWING, /the options cannot be read: boom/],
      [{ signal: null }, /^signal is an AbortSignal/],
      [{ signal: 'x' }, /^signal is an AbortSignal/],
      [{ signal: { aborted: false, addEventListener() {}, removeEventListener: boom } }, /^signal is an AbortSignal/],
      [{ progress: 1 }, /^progress is a function/],
      [{ sginal: AbortSignal.abort() }, /^sginal is unknown; did you mean signal\?/],
    ] as const)
      for (const sender of [connected.client, pool]) assert.match(usageOf(await sender.send(ENVELOPE, MESSAGE, options as never)), words);
    for (const sender of [connected.client, pool])
      assert.match(hear(await ('ready' in sender ? sender.ready(7 as never) : sender.verify(7 as never)))?.message ?? '', /^signal is an/);
    await connected.client.quit();
    await pool.drain();
    await host.stop();
  }),
);

/* ---- servers ---- */

const url = 'submission://mail.example.org';
const user = 'me';
const password = 'hunter2secret';
const SECRET_URL = `submission://me:${password}`;

const SERVER_ROWS: readonly (readonly [unknown, RegExp])[] = [
  [undefined, /a server is a URL or an object with a url/],
  [null, /a server is a URL/],
  [7, /a server is a URL/],
  [THROWING, /the server cannot be read: boom/],
  [trap('url'), /the server cannot be read: boom/],
  [{}, /^url is missing/],
  [{ url: 7 }, /^url is missing/],
  [{ url, prot: 25 }, /^prot is unknown; did you mean \w+\?/],
  ['', /^url: the host is missing/],
  ['smtp://', /^url: the host is missing/],
  ['http://mail.example.org', /^url: scheme "http" is unknown; did you mean "\w+"\?/],
  ['smtp://mail.example.org:0', /^url: port "0"/],
  ['smtp://mail.example.org:99999', /^url: port "99999"/],
  ['smtp://mail.example.org/path', /^url: "\/path" is unknown/],
  ['smtp://192.0.2.1/MX', /^url: "\/MX" needs a domain/],
  ['unix:relative', /^url: "unix:" expects the absolute path/],
  ['me@mail.example.org', /^url: user and password are percent-encoded and need a scheme/],
  [`me:${password}@mail.example.org`, /^url: user and password .* need a scheme/],
  [`submission://me:${password}/x@mail.example.org`, /^url: user and password/],
  [`submission://me:${password}#x@mail.example.org`, /^url: user and password/],
  [`submission://me:${password}\n@mail.example.org`, /^url: |^auth\.password holds a control character/],
  ['submission://me@mail.example.org', /^auth\.password is empty/],
  [`submission://:${password}@mail.example.org`, /^auth\.user is missing/],
  [`${SECRET_URL}%zz@mail.example.org`, /^url: user and password are percent-encoded UTF-8/],
  [`${SECRET_URL}%0a@mail.example.org`, /^auth\.password holds a control character/],
  [`${SECRET_URL}@mail.example.org:x`, /^url: port "x"/],
  [new URL(`http://me:${password}@mail.example.org`), /^url: scheme "http"/],
  [{ url: `${SECRET_URL}@mail.example.org`, auth: { user, password } }, /^url and auth both have a user/],
  [{ url, tls: 'off' }, /^tls is an object/],
  [{ url, tls: null }, /^tls is an object/],
  [{ url, tls: { mode: 'none' } }, /^tls\.mode is "required", "opportunistic" or "off"/],
  [{ url, tls: { rejectUnauthorized: false } }, /^tls\.rejectUnauthorized is unknown; there are mode, verify, ca, /],
  [{ url, tls: { verify: 0 } }, /^tls\.verify is true or false/],
  [{ url, tls: { ca: 7 } }, /^tls\.ca is PEM/],
  [{ url, tls: { ca: [null] } }, /^tls\.ca is PEM/],
  [{ url, tls: { caFile: ['x'] } }, /^tls\.caFile is a text/],
  [{ url, tls: { serverName: 7 } }, /^tls\.serverName is a text/],
  [{ url, tls: { ciphers: [] } }, /^tls\.ciphers is a text/],
  [{ url, tls: { fingerprint: 7 } }, /^tls\.fingerprint is a text or a list/],
  [{ url, tls: { fingerprint: 'sha256:00' } }, /^tls\.fingerprint is "sha256:"/],
  [{ url, tls: { fingerprint: [null] } }, /^tls\.fingerprint is a text or a list/],
  [{ url, tls: { minVersion: 'TLSv1.2' } }, /^tls\.minVersion is "1\.2" or "1\.3"/],
  [{ url, tls: { minVersion: '1.3', maxVersion: '1.2' } }, /^tls\.maxVersion is below tls\.minVersion/],
  [{ url, tls: { certificate: 7, key: 'x' } }, /^tls\.certificate is PEM/],
  [{ url, tls: { key: 'x' } }, /^tls\.certificate/],
  [{ url, auth: 'me' }, /^auth is an object/],
  [{ url, auth: {} }, /^auth has one of password, token and mechanism/],
  [{ url, auth: { user } }, /^auth has one of/],
  [{ url, auth: { user, pass: password } }, /^auth\.pass is unknown; did you mean auth\.password\?/],
  [{ url, auth: { user, password, token: 'x' } }, /^auth has one of/],
  [{ url, auth: { password } }, /^auth\.user is missing/],
  [{ url, auth: { user: 7, password } }, /^auth\.user is a text/],
  [{ url, auth: { user: 'a\0b', password } }, /^auth\.user is a text/],
  [{ url, auth: { user, password: '' } }, /^auth\.password is empty/],
  [{ url, auth: { user, password: 7 } }, /^auth\.password is a text or a function/],
  [{ url, auth: { user, password: `${password}\r\nx` } }, /^auth\.password holds a control character/],
  [{ url, auth: { user, token: '\uD83D' } }, /^auth\.token holds a control character/],
  [{ url, auth: { mechanism: 'PLAIN' } }, /^auth\.mechanism is a function; names go into auth\.mechanisms/],
  [{ url, auth: { user, password, mechanisms: 'PLAIN' } }, /^auth\.mechanisms is a list/],
  [{ url, auth: { user, password, mechanisms: ['PLIAN'] } }, /^auth\.mechanisms: "PLIAN" is unknown; did you mean "PLAIN"\?/],
  [{ url, auth: { user, password, allowPlaintext: 'yes' } }, /^auth\.allowPlaintext is true or false/],
  [{ url, proxy: 7 }, /^proxy is a URL/],
  [{ url, proxy: 'proxy.example.org' }, /^proxy expects "socks5:/],
  [{ url, proxy: 'ftp://proxy.example.org' }, /^proxy expects/],
  [{ url, proxy: 'http://proxy.example.org' }, /^proxy expects the port/],
  [{ url, proxy: `socks5://me:${password}%zz@proxy.example.org` }, /^proxy: user and password are percent-encoded/],
  [{ url, proxy: `http://a%3Ab:${password}@proxy.example.org:3128` }, /^proxy expects a user without ":"/],
  [{ url, localAddress: 7 }, /^localAddress is an IP address/],
  [{ url, localAddress: 'eth0' }, /^localAddress "eth0" is not an IP address/],
  [{ url, family: '4' }, /^family is 4 or 6/],
  [{ url, proxy: 'socks5://proxy.example.org', socket: () => new PassThrough() }, /^proxy and socket contradict each other/],
  [{ url, family: 6, localAddress: '192.0.2.1' }, /^family 6 contradicts localAddress/],
  [{ url, ignoreExtensions: 'CHUNKING' }, /^ignoreExtensions is a list/],
  [{ url, ignoreExtensions: [7] }, /^ignoreExtensions is a list/],
  [{ url, socket: {} }, /^socket is a function/],
  [{ url, resolver: 'x' }, /^resolver is an object/],
  [{ url, resolver: null }, /^resolver is an object/],
  [{ url, resolver: { addresses: {} } }, /^resolver\.addresses is a function/],
];

usage('connect takes one server, and no list', async () => {
  const opened = await connect([url] as unknown as string);
  assert.equal(opened.ok ? '' : opened.failure.message, 'a server is a URL or an object with a url');
});

usage('an impossible server is told through every door, without a secret', () =>
  within(10_000, async () => {
    for (const [server, words] of SERVER_ROWS) {
      const given = server as never;
      const connected = await connect(given);
      assert.ok(!connected.ok);
      const pool = new Pool(given);
      for (const outcome of [
        await submit(ENVELOPE, MESSAGE, { servers: [given] }),
        { kind: 'failed', ...connected } as const,
        await pool.send(ENVELOPE, MESSAGE),
      ]) {
        const sentence = usageOf(outcome);
        assert.match(sentence, words);
        assert.ok(!sentence.includes('hunter2'), sentence);
      }
      await pool.drain();
    }
    for (const servers of [undefined, null, 'smtp://mail.example.org', {}, [], THROWING])
      assert.match(usageOf(await submit(ENVELOPE, MESSAGE, { servers: servers as never })), /servers (is a list|cannot be read)/);
    assert.match(usageOf(await submit(ENVELOPE, MESSAGE, { servers: [url, 'ftp://x'] })), /^servers\[1\]: url: scheme/);
    assert.match(usageOf(await submit(ENVELOPE, MESSAGE, undefined as never)), /the options are an object: \{ servers: /);
    assert.match(usageOf(await new Pool([]).send(ENVELOPE, MESSAGE)), /servers is a list/);
    assert.match(usageOf(await (submit as () => Promise<Outcome>)()), /the content is undefined/);
    assert.match(usageOf(await new Pool(undefined as never).send(undefined as never, undefined as never)), /the content is undefined/);
  }),
);

/* ---- sentences of the engine ---- */

/** Sends to a server under the test's control. Loopback: what is asked is how a failure is told; a server that must not be own is reached by a name. */
async function sentence(
  host: SmarthostOptions,
  more: {
    readonly server?: object;
    readonly envelope?: object;
    readonly options?: object;
    readonly content?: Content;
    readonly url?: string;
  },
): Promise<string> {
  const server = await startHost(host);
  const outcome = await submit({ ...ENVELOPE, ...more.envelope }, more.content ?? MESSAGE, {
    ...more.options,
    servers: [{ url: more.url ?? `smtp://127.0.0.1:${server.port}`, ...more.server, ...through(server.port, more.server) }],
  });
  await server.stop();
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  const { failure, attempts } = outcome as Extract<Outcome, { kind: 'failed' }>;
  for (const each of [failure, ...attempts.map((attempt) => attempt.failure)]) hear(each);
  return `${failure.code}: ${failure.message}${failure.hint === undefined ? '' : `; ${failure.hint}`}`;
}

/** A server that is not written as loopback is reached through the program's own socket. */
const through = (port: number, server: object | undefined) =>
  server !== undefined && 'isFar' in server ? { isFar: undefined, socket: () => connectSocket(port, '127.0.0.1') } : {};

const far = { isFar: true, tls: { mode: 'off' } };
const FAR = 'smtp://mail.example.org';
const EIGHT =
  'Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n';
const SIGNED = `Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"; micalg=x\r\n\r\n--b\r\n\r\nGrüße\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n`;
const OPAQUE = `Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: x-own\r\n\r\nGrüße\r\n`;

usage('what the engine says of its settings names the options of the library', () =>
  within(30_000, async () => {
    const plain = { offers: ['AUTH PLAIN'] };
    const auth = { user, password };
    assert.match(await sentence(plain, { url: FAR, server: { ...far, auth } }), /^starttls-missing: .*set auth\.allowPlaintext: true/);
    assert.match(
      await sentence({ offers: ['AUTH XOAUTH2'] }, { server: { auth } }),
      /^auth-mechanism: .*give auth\.token in place of auth\.password/,
    );
    assert.match(
      await sentence({ offers: ['AUTH PLAIN'] }, { server: { auth: { user, token: 'abcdefgh' } } }),
      /^auth-mechanism: .*give auth\.password in place of auth\.token/,
    );
    const refusing = { offers: ['AUTH PLAIN LOGIN XOAUTH2'], script: { AUTH: '535 5.7.8 no' } };
    assert.match(
      await sentence(refusing, { server: { auth } }),
      /^auth-refused: .*set auth\.mechanisms: \["\w+"\].*give one as auth\.token/,
    );
    assert.match(await sentence({}, { server: { auth } }), /^auth-missing: /);
    assert.match(await sentence({}, { server: { auth, ignoreExtensions: ['AUTH'] } }), /ignoreExtensions makes this count as not offered/);
    const two = { to: ['a@example.net', 'b@example.net'] };
    const lmtp = await startHost();
    assert.match(await sentence({}, { url: `lmtp://127.0.0.1:${lmtp.port}`, envelope: two }), /^unsupported: .*set recipients: "any"/);
    const connected = await connect(`lmtp://127.0.0.1:${lmtp.port}`);
    assert.ok(connected.ok);
    const split = await connected.client.send({ ...ENVELOPE, ...two }, MESSAGE);
    assert.equal(split.kind === 'failed' ? hear(split.failure).hint : undefined, 'send to one, or set recipients: "any"');
    await connected.client.quit();
    await lmtp.stop();
    assert.match(
      await sentence({}, { content: EIGHT, envelope: { withoutEightBit: 'refuse' } }),
      /^unsupported: .*withoutEightBit: "refuse"/,
    );
    assert.match(
      await sentence({}, { content: { open: () => EIGHT }, envelope: { withoutEightBit: 'refuse' } }),
      /^(?:unsupported|input): .*withoutEightBit: "convert"/,
    );
    assert.match(await sentence({}, { content: SIGNED }), /withoutEightBit: "send"/);
    assert.match(await sentence({}, { content: OPAQUE }), /withoutEightBit: "send"/);
    assert.match(await sentence({}, { envelope: { dsn: 'require', ret: 'FULL' } }), /^unsupported: .*dsn: "require"/);
    assert.match(await sentence({}, { server: { family: 6 } }), /family: 6|family 6/);
    assert.match(await sentence({}, { server: { localAddress: '::1' } }), /localAddress/);
    const loops = { addresses: async () => [{ address: '127.0.0.1', family: 4 }] };
    const port = await startHost();
    assert.match(
      await sentence({}, { url: `smtp://mail.example:${port.port}`, server: { resolver: loops } }),
      /^starttls-missing: .*tls\.mode: "off"/,
    );
    await port.stop();
    const { certificate } = tlsWorld();
    const secured = { tls: { key: certificate.key, cert: certificate.cert }, offers: ['STARTTLS'] };
    assert.match(await sentence(secured, { server: { tls: { mode: 'required' } } }), /^tls-certificate: .*tls\.ca/);
    assert.match(await sentence(secured, { server: { tls: { mode: 'required', caFile: '/etc/nospool-none.pem' } } }), /tls\.caFile/);
    const named = { mode: 'required', ca: certificate.own, serverName: 'other.example' };
    assert.match(await sentence(secured, { server: { tls: named } }), /^tls-certificate: .*tls\.serverName/);
    const socks = await startSocks({ user: 'me', password, places: {} });
    assert.match(
      await sentence({}, { url: FAR, server: { proxy: `socks5://127.0.0.1:${socks.port}` } }),
      /proxy: "socks5:\/\/user:password@/,
    );
    await socks.stop();
    assert.match(
      await sentence({ script: { DATA: 'silence' } }, { options: { timeouts: { deadline: 200 } } }),
      /^aborted: .*\(timeouts\.deadline\)/,
    );
    assert.match(
      await sentence({ script: { MAIL: 'silence' } }, { options: { timeouts: { command: 200 } } }),
      /^timeout: .*timeouts\.command/,
    );
    assert.match(
      await sentence({ script: { greeting: 'silence' } }, { options: { timeouts: { greeting: 200 } } }),
      /^timeout: .*submissions:\/\//,
    );
  }),
);

usage('no sentence names a key of the configuration', () => {
  const names = KEYS.map(({ name }) => name).filter((name) => name.includes('_'));
  assert.ok(names.length > 20 && said.size > 100);
  for (const text of said) {
    const found = names.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
    assert.deepEqual(found, [], text);
    assert.doesNotMatch(text, /\[(?:tls|auth|timeouts|router)\]|nospool\.toml|\w = (?:"|true|false)/);
  }
});

usage.run();
