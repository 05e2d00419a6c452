/**
 * SOCKS5 and HTTP CONNECT: what is said to a proxy, whatever it answers in whatever pieces, and messages through real ones.
 * Loopback: real proxies lead there, and behind a proxy no address is exempt.
 */

import assert from 'node:assert/strict';
import dns from 'node:dns';
import { createServer } from 'node:net';
import { suite } from 'uvu';
import { DEFAULT_TLS, DIRECT, type Link, type ProxyPolicy, type Smarthost } from '../../src/router/smarthost.ts';
import { type Outcome, printOutcome } from '../../src/submit/outcome.ts';
import { connectFirst } from '../../src/transport/connect.ts';
import { beginProxy } from '../../src/transport/proxy-talk.ts';
import { submit } from '../support/engine.ts';
import { startHttpProxy, startSaying, startSocks, type TestProxy } from '../support/proxies.ts';
import { serverCertificate } from '../support/scripted.ts';
import { startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const proxies = suite('proxies');

/* ---- what is said, and what is made of the answer ---- */

type Policy = Pick<ProxyPolicy, 'scheme' | 'user'>;
const SOCKS: Policy = { scheme: 'socks5', user: '' };
const HTTP: Policy = { scheme: 'http', user: '' };
const NAMED = { scheme: 'socks5', user: 'ann' } as const;
const TO = { host: 'mail.example.org', port: 587 };

/** Plays the answers, each in pieces of so many octets; what was said, then how it ended. */
function play(policy: Policy, password: string, to: typeof TO, answers: readonly string[], piece: number): string[] {
  const first = beginProxy(policy, password, to);
  if (!first.ok) return [`! ${first.detail}`];
  const said: string[] = [first.value.say];
  let step = first.value;
  for (const answer of answers) {
    for (let at = piece; ; at += piece) {
      const heard = answer.slice(0, at);
      const made = step.hear(heard);
      if (made.is === 'failed') return [...said, `! ${made.detail}`];
      if (made.is === 'open') return [...said, `= ${heard.length - made.octets}`];
      if (made.is === 'next') {
        step = made.step;
        said.push(step.say);
        break;
      }
      if (at >= answer.length) return [...said, '…'];
    }
  }
  return said;
}

const HELLO = '\x05\x01\x00';
const HELLO_NAMED = '\x05\x02\x00\x02';
const LOGIN = '\x01\x03ann\x06secret';
const ASK = '\x05\x01\x00\x03\x10mail.example.org\x02\x4b';
const ASK_HTTP = 'CONNECT mail.example.org:587 HTTP/1.1\r\nHost: mail.example.org:587\r\n\r\n';
const FINE = '\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x19';

/** [proxy, destination, answers, what is said and how it ends, why] */
const TALKS: readonly [Policy, typeof TO, string[], string[], string][] = [
  [SOCKS, TO, ['\x05\x00', FINE], [HELLO, ASK, '= 0'], 'SOCKS5 without credentials'],
  [NAMED, TO, ['\x05\x02', '\x01\x00', FINE], [HELLO_NAMED, LOGIN, ASK, '= 0'], 'SOCKS5 with credentials'],
  [NAMED, TO, ['\x05\x00', FINE], [HELLO_NAMED, ASK, '= 0'], 'credentials at hand and not asked for'],
  [NAMED, TO, ['\x05\x02', '\x00\x00', FINE], [HELLO_NAMED, LOGIN, ASK, '= 0'], 'the version of RFC 1929 is not believed'],
  [SOCKS, { host: '192.0.2.1', port: 25 }, ['\x05\x00', FINE], [HELLO, '\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x19', '= 0'], 'IPv4'],
  [
    SOCKS,
    { host: '2001:db8::ff', port: 25 },
    ['\x05\x00', FINE],
    [HELLO, '\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\x00\x19', '= 0'],
    'IPv6',
  ],
  [
    SOCKS,
    { host: 'bücher.example', port: 25 },
    ['\x05\x00', FINE],
    [HELLO, '\x05\x01\x00\x03\x15xn--bcher-kva.example\x00\x19', '= 0'],
    'A-labels',
  ],
  [SOCKS, TO, ['\x05\x00', '\x05\x00\x00\x03\x03a.b\x00\x19'], [HELLO, ASK, '= 0'], 'a name as the bound address'],
  [SOCKS, TO, ['\x05\x00', `\x05\x00\x00\x04${'\0'.repeat(16)}\x00\x19`], [HELLO, ASK, '= 0'], 'IPv6 as the bound address'],
  [
    SOCKS,
    TO,
    ['\x05\xff'],
    [HELLO, '! the proxy asks for credentials: write user@ in proxy, and proxy_password_file'],
    'no method without a user',
  ],
  [NAMED, TO, ['\x05\xff'], [HELLO_NAMED, '! the proxy takes no user and password'], 'no method with one'],
  [SOCKS, TO, ['\x05\x02'], [HELLO, '! the proxy chose authentication method 2, which was not offered'], 'a method that was not offered'],
  [SOCKS, TO, ['\x05\x01'], [HELLO, '! the proxy chose authentication method 1, which was not offered'], 'GSSAPI'],
  [NAMED, TO, ['\x05\x02', '\x01\x01'], [HELLO_NAMED, LOGIN, '! the proxy refuses the user and password'], 'wrong password'],
  [SOCKS, TO, ['\x04\x5b'], [HELLO, '! what answers is not a SOCKS5 proxy: it says "\\x04"'], 'SOCKS4'],
  [SOCKS, TO, ['HTTP/1.1 400 Bad Request\r\n\r\n'], [HELLO, '! what answers is not a SOCKS5 proxy: it says "H"'], 'an HTTP proxy'],
  [SOCKS, TO, ['220 mail.example.org\r\n'], [HELLO, '! what answers is not a SOCKS5 proxy: it says "2"'], 'an SMTP server'],
  [SOCKS, TO, ['\x05\x00', '\x04\x00'], [HELLO, ASK, '! what answers is not a SOCKS5 proxy: it says "\\x04"'], 'another version later'],
  ...(
    [
      [1, 'general failure'],
      [2, 'not allowed by its rules'],
      [3, 'network unreachable'],
      [4, 'host unreachable'],
      [5, 'connection refused'],
      [6, 'time to live expired'],
      [7, 'it does not know the command CONNECT'],
      [8, 'it does not know this kind of address'],
      [9, 'unknown reason'],
      [255, 'unknown reason'],
    ] as const
  ).map(([code, words]): [Policy, typeof TO, string[], string[], string] => [
    SOCKS,
    TO,
    ['\x05\x00', `\x05${String.fromCharCode(code)}\x00\x01`],
    [HELLO, ASK, `! the proxy did not connect to mail.example.org:587: ${words} (SOCKS5 reply ${code})`],
    `reply ${code}`,
  ]),
  [
    SOCKS,
    TO,
    ['\x05\x00', '\x05\x00\x00\x02abcdefgh'],
    [HELLO, ASK, '! the proxy answers with an address of unknown type 2'],
    'an address of no type',
  ],
  [SOCKS, TO, ['\x05\x00', '\x05\x00\x00\x03\xff'], [HELLO, ASK, '…'], 'a bound name that does not come'],
  [HTTP, TO, ['HTTP/1.1 200 OK\r\n\r\n'], [ASK_HTTP, '= 0'], 'CONNECT'],
  [HTTP, TO, ['HTTP/1.0 200\r\n\r\n'], [ASK_HTTP, '= 0'], 'HTTP/1.0, no reason'],
  [HTTP, TO, ['HTTP/1.1 299 Odd\nVia: x\n\n'], [ASK_HTTP, '= 0'], 'any 2xx, LF'],
  [HTTP, TO, ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'], [ASK_HTTP, '= 0'], 'an interim reply'],
  [
    { ...HTTP, user: 'Jörg' },
    TO,
    ['HTTP/1.1 200 OK\r\n\r\n'],
    ['CONNECT mail.example.org:587 HTTP/1.1\r\nHost: mail.example.org:587\r\nProxy-Authorization: Basic SsO2cmc6c2VjcmV0\r\n\r\n', '= 0'],
    'Basic',
  ],
  [
    HTTP,
    { host: '2001:db8::1', port: 465 },
    ['HTTP/1.1 200 OK\r\n\r\n'],
    ['CONNECT [2001:db8::1]:465 HTTP/1.1\r\nHost: [2001:db8::1]:465\r\n\r\n', '= 0'],
    'IPv6 in brackets',
  ],
  [
    HTTP,
    TO,
    ['HTTP/1.1 407 Auth\r\n\r\n'],
    [ASK_HTTP, '! the proxy asks for credentials: write user@ in proxy, and proxy_password_file'],
    '407 without a user',
  ],
  [
    { ...HTTP, user: 'a' },
    TO,
    ['HTTP/1.1 407 Go \x1b[31maway\r\n\r\n'],
    [
      'CONNECT mail.example.org:587 HTTP/1.1\r\nHost: mail.example.org:587\r\nProxy-Authorization: Basic YTpzZWNyZXQ=\r\n\r\n',
      '! the proxy refuses the user and password: 407 Go \\x1b[31maway',
    ],
    '407 with one',
  ],
  [HTTP, TO, ['HTTP/1.1 403 Forbidden\r\n\r\n'], [ASK_HTTP, '! the proxy did not connect to mail.example.org:587: 403 Forbidden'], '403'],
  [
    HTTP,
    TO,
    ['HTTP/1.1 302 \r\nLocation: x\r\n\r\n'],
    [ASK_HTTP, '! the proxy did not connect to mail.example.org:587: 302'],
    'redirections',
  ],
  [
    HTTP,
    TO,
    ['HTTP/1.1 2000 OK\r\n\r\n'],
    [ASK_HTTP, '! the proxy answers with "HTTP/1.1 2000 OK", which is no HTTP status'],
    'four digits',
  ],
  [HTTP, TO, ['HTTP/1.1 \r\n\r\n'], [ASK_HTTP, '! the proxy answers with "HTTP/1.1 ", which is no HTTP status'], 'no status'],
  [HTTP, TO, ['\x05\x00'], [ASK_HTTP, '! what answers is not an HTTP proxy: it says "\\x05"'], 'a SOCKS5 proxy'],
  [HTTP, TO, ['220 mail.example.org ESMTP\r\n'], [ASK_HTTP, '! what answers is not an HTTP proxy: it says "2"'], 'an SMTP server'],
  [HTTP, TO, ['HTTP/1.1 200 OK\r\nVia: x\r\n'], [ASK_HTTP, '…'], 'a header without an end'],
  [HTTP, { host: 'fe80::1%eth0', port: 25 }, [], ['! an address with a zone means nothing to a proxy'], 'a zone'],
  [SOCKS, { host: `${'a.'.repeat(130)}b`, port: 25 }, [], ['! the name of the server is longer than 255 octets'], 'a long name'],
  [{ ...SOCKS, user: 'ü'.repeat(128) }, TO, [], ['! SOCKS5 takes a user and a password of at most 255 octets each'], 'a long user'],
];

for (const [policy, to, answers, expected, why] of TALKS)
  proxies(`${policy.scheme}: ${why}`, () => {
    assert.deepEqual(play(policy, 'secret', to, answers, 1), expected);
    // The sentence quotes as much of a wrong answer as came in one piece.
    const shown = (lines: readonly string[]) => lines.map((line) => line.replace(/it says ".*"/, 'it says'));
    for (const piece of [2, 7, Number.POSITIVE_INFINITY])
      assert.deepEqual(shown(play(policy, 'secret', to, answers, piece)), shown(expected));
  });

proxies('what a proxy says of a server that it did not reach is a reason', () => {
  const reasonOf = (policy: Policy, ...answers: string[]): string => {
    const first = beginProxy(policy, '', TO);
    assert.ok(first.ok);
    let step = first.value;
    for (const answer of answers) {
      const made = step.hear(answer);
      if (made.is === 'failed') return made.reason;
      if (made.is === 'next') step = made.step;
    }
    return 'no failure';
  };
  const socks = (code: number) => reasonOf(SOCKS, '\x05\x00', `\x05${String.fromCharCode(code)}\x00\x01`);
  assert.deepEqual([1, 2, 3, 4, 5, 6, 255].map(socks), ['other', 'other', 'unreachable', 'unreachable', 'refused', 'unreachable', 'other']);
  assert.equal(reasonOf(HTTP, 'HTTP/1.1 504 Gateway Timeout\r\n\r\n'), 'timeout');
  assert.equal(reasonOf(HTTP, 'HTTP/1.1 403 Forbidden\r\n\r\n'), 'other');
  assert.equal(reasonOf(HTTP, '220 mail.example.org ESMTP\r\n'), 'other');
});

/** Name servers that have these addresses for every name, or know none, whatever those of this host say. */
async function withoutNames(work: () => Promise<void>, addresses: readonly string[] = []): Promise<void> {
  const { Resolver } = dns;
  const answer = (_: string, done: (error: Error | null, found?: readonly string[]) => void) =>
    addresses.length > 0 ? done(null, addresses) : done(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));
  dns.Resolver = class {
    resolve4 = answer;
    resolve6 = answer;
    getServers = () => [];
    cancel(): void {}
  } as unknown as typeof Resolver;
  try {
    await within(10_000, work);
  } finally {
    dns.Resolver = Resolver;
  }
}

proxies('a proxy that is not there, that is not found, or that is silent, is a reason', () =>
  withoutNames(async () => {
    const reasons: (string | undefined)[] = [];
    const silent = await startSaying('');
    for (const proxy of [{ port: 1 }, { host: 'no-such-host.invalid', port: 1 }, { port: silent.port }]) {
      const link = through('socks5', 1, proxy);
      const outcome = await submit({ from: '', to: ['b@example.org'] }, 'x', {
        hosts: [hostAt(link)],
        timeouts: { connect: 200, resolve: 5000 },
      });
      assert.ok(outcome.kind === 'failed' && outcome.failure.kind === 'connect', why(outcome));
      reasons.push(outcome.failure.reason);
    }
    assert.deepEqual(reasons, ['refused', 'resolve', 'timeout']);
    await silent.stop();
  }),
);

proxies('octets before they are asked for are refused, behind the last answer they are the server’s', () => {
  const early = '! the proxy spoke before it was asked';
  assert.deepEqual(play(SOCKS, '', TO, [`\x05\x00${FINE}`], Number.POSITIVE_INFINITY), [HELLO, early]);
  assert.deepEqual(play(NAMED, 'secret', TO, ['\x05\x02\x01\x00'], Number.POSITIVE_INFINITY), [HELLO_NAMED, early]);
  assert.deepEqual(play(NAMED, 'secret', TO, ['\x05\x02', `\x01\x00${FINE}`], Number.POSITIVE_INFINITY), [HELLO_NAMED, LOGIN, early]);
  assert.deepEqual(play(SOCKS, '', TO, ['\x05\x00', `${FINE}220 hello\r\n`], Number.POSITIVE_INFINITY), [HELLO, ASK, '= 11']);
  assert.deepEqual(play(HTTP, '', TO, ['HTTP/1.1 200 OK\r\n\r\n220 \r\n\r\n'], Number.POSITIVE_INFINITY), [ASK_HTTP, '= 8']);
});

proxies('names, users and passwords have as many octets as a length of one octet can say, and no more', () => {
  const longest = `${'a.'.repeat(127)}b`;
  const ask = `\x05\x01\x00\x03\xff${longest}\x00\x19`;
  assert.deepEqual(play(SOCKS, '', { host: longest, port: 25 }, ['\x05\x00', FINE], 1), [HELLO, ask, '= 0']);
  assert.match(play(SOCKS, '', { host: `a${longest}`, port: 25 }, [], 1).join(), /^! the name of the server is longer/);
  const [user, password] = ['u'.repeat(255), 'p'.repeat(255)];
  const login = `\x01\xff${user}\xff${password}`;
  assert.deepEqual(play({ ...SOCKS, user }, password, TO, ['\x05\x02', '\x01\x00', FINE], 1), [HELLO_NAMED, login, ASK, '= 0']);
  for (const [longUser, longPassword] of [
    [`${user}u`, password],
    [user, `${password}p`],
  ] as const)
    assert.match(
      play({ ...SOCKS, user: longUser }, longPassword, TO, [], 1).join(),
      /^! SOCKS5 takes a user and a password of at most 255/,
    );
  assert.equal(play({ ...HTTP, user: `${user}u` }, password, TO, ['HTTP/1.1 200\r\n\r\n'], 99).at(-1), '= 0', 'HTTP has no such limit');
});

proxies('what a proxy says is quoted as far as it helps', () => {
  const said = (policy: Policy, ...answers: string[]) => play(policy, 'secret', TO, answers, Number.POSITIVE_INFINITY).at(-1);
  for (const policy of [SOCKS, HTTP]) {
    assert.match(said(policy, 'x'.repeat(40)) ?? '', /it says "x{40}"$/);
    assert.match(said(policy, 'x'.repeat(41)) ?? '', /it says "x{40}\u2026"$/);
  }
  assert.match(said(HTTP, `HTTP/1.1 ${'x'.repeat(71)}\r\n\r\n`) ?? '', /^! the proxy answers with "HTTP\/1\.1 x{71}", which/);
  assert.match(said(HTTP, `HTTP/1.1 ${'x'.repeat(72)}\r\n\r\n`) ?? '', /^! the proxy answers with "HTTP\/1\.1 x{71}\u2026", which/);
  const named = { ...HTTP, user: 'a' };
  for (const [policy, code] of [
    [HTTP, 403],
    [named, 407],
  ] as const) {
    assert.match(said(policy, `HTTP/1.1 ${code} ${'x'.repeat(200)}\r\n\r\n`) ?? '', new RegExp(`: ${code} x{200}$`));
    assert.match(said(policy, `HTTP/1.1 ${code} ${'x'.repeat(201)}\r\n\r\n`) ?? '', new RegExp(`: ${code} x{200}\u2026$`));
  }
  for (const code of [199, 299]) assert.equal(said(HTTP, `HTTP/1.1 ${code} x\r\n\r\n`), code === 199 ? '\u2026' : '= 0', `${code}`);
  for (const code of ['099', '600']) assert.match(said(HTTP, `HTTP/1.1 ${code} x\r\n\r\n`) ?? '', /which is no HTTP status$/);
});

proxies('the limit of a header section counts what stands before its end', () => {
  const head = 'HTTP/1.1 200 OK\r\nX: ';
  const upTo = (octets: number) => head + 'x'.repeat(octets - head.length);
  const tooLong = '! the proxy answers with a header of more than 16 KiB';
  for (const [text, expected] of [
    [upTo(16_384), '\u2026'],
    [upTo(16_385), tooLong],
    [`${upTo(16_384)}\r\n\r\n`, '= 0'],
    [`${upTo(16_385)}\r\n\r\n`, tooLong],
    [`HTTP/1.1 100 x\r\n\r\n${upTo(16_384 - 18)}\r\n\r\n`, '= 0'],
    [`HTTP/1.1 100 x\r\n\r\n${upTo(16_385 - 18)}\r\n\r\n`, tooLong],
  ] as const)
    assert.equal(play(HTTP, '', TO, [text], Number.POSITIVE_INFINITY).at(-1), expected);
});

proxies('a header section without an end is cut off at 16 KiB, one within is read', () => {
  const fields = (octets: number) => `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(octets / 6)}`;
  assert.deepEqual(play(HTTP, '', TO, [`${fields(16_000)}\r\n`], 1000), [ASK_HTTP, '= 0']);
  for (const text of [fields(20_000), `${fields(20_000)}\r\n`, 'HTTP/1.1 200 '.padEnd(20_000, 'x'), 'HTTP/1.1 100 x\r\n\r\n'.repeat(2000)])
    for (const piece of [1000, Number.POSITIVE_INFINITY])
      assert.deepEqual(play(HTTP, '', TO, [text], piece), [ASK_HTTP, '! the proxy answers with a header of more than 16 KiB']);
});

/* ---- messages through a proxy ---- */

const TLS = { ...DEFAULT_TLS, mode: 'off' } as const;

const hostAt = (link: Link, more: Partial<Smarthost> = {}): Smarthost => ({
  scheme: 'submission',
  host: 'mail.test.invalid',
  port: 587,
  expand: 'none',
  tls: TLS,
  auth: null,
  link,
  ...more,
});
const through = (scheme: ProxyPolicy['scheme'], port: number, more: Partial<ProxyPolicy> = {}): Link => ({
  ...DIRECT,
  proxy: { scheme, host: '127.0.0.1', port, user: '', secret: { from: 'none' }, ...more },
});
const deliver = (...hosts: readonly Smarthost[]): Promise<Outcome> =>
  submit({ from: 'a@example.org', to: ['b@example.org'] }, 'Subject: test\r\n\r\nhello\r\n', {
    hosts,
    hello: 'client.example.org',
    timeouts: { connect: 2000, greeting: 5000 },
  });
const why = (outcome: Outcome) => printOutcome(outcome, '').join('\n');

/** A smart host and what stands before it, for the time of the work. */
async function with2(
  start: (places: Record<string, number>) => Promise<TestProxy>,
  options: Parameters<typeof startHost>[0],
  work: (proxy: TestProxy, host: TestHost) => Promise<void>,
): Promise<void> {
  const host = await startHost(options);
  const at = ['mail.test.invalid:587', 'mail.test.invalid:465', '127.0.0.1:587', `${'0'.repeat(31)}1:587`, '[::1]:587'];
  const proxy = await start(Object.fromEntries(at.map((place) => [place, host.port])));
  try {
    await within(10_000, () => work(proxy, host));
  } finally {
    await Promise.all([proxy.stop(), host.stop()]);
  }
}

const KINDS = [
  ['socks5', startSocks],
  ['http', startHttpProxy],
] as const;

for (const [scheme, start] of KINDS) {
  proxies(`${scheme}: a message arrives; the name is the proxy’s business`, () =>
    with2(
      (places) => start({ places }),
      { offers: ['PIPELINING'] },
      async (proxy, host) => {
        const outcome = await deliver(hostAt(through(scheme, proxy.port)));
        assert.equal(outcome.kind, 'accepted', why(outcome));
        assert.equal(host.held.length, 1);
        assert.match(proxy.asked.join('\n'), /^CONNECT mail\.test\.invalid:587/);
      },
    ),
  );

  proxies(`${scheme}: the server’s greeting in one piece with the proxy’s answer is not lost`, () =>
    with2(
      (places) => start({ places, together: true }),
      {},
      async (proxy, host) => {
        const outcome = await deliver(hostAt(through(scheme, proxy.port)));
        assert.equal(outcome.kind, 'accepted', why(outcome));
        assert.equal(host.held.length, 1);
      },
    ),
  );

  proxies(`${scheme}: user and password reach the proxy`, () =>
    with2(
      (places) => start({ places, user: 'Jörg', password: 'p: ä' }),
      {},
      async (proxy, host) => {
        const named = (value: string) => hostAt(through(scheme, proxy.port, { user: 'Jörg', secret: { from: 'literal', value } }));
        const outcome = await deliver(named('p: ä'));
        assert.equal(outcome.kind, 'accepted', why(outcome));
        const refused = await deliver(named('p: a'));
        assert.match(why(refused), /^mail\.test\.invalid through \w+:\/\/127\.0\.0\.1:\d+: the proxy refuses the user and password/);
        assert.equal(host.held.length, 1);
        const unnamed = await deliver(hostAt(through(scheme, proxy.port)));
        assert.match(why(unnamed), /: the proxy asks for credentials: write user@ in proxy, and proxy_password_file$/);
      },
    ),
  );

  proxies(`${scheme}: addresses, too; behind a proxy none of them is loopback, so TLS is not off by itself`, () =>
    with2(
      (places) => start({ places }),
      {},
      async (proxy, host) => {
        for (const address of ['127.0.0.1', '::1']) {
          const off = await deliver(hostAt(through(scheme, proxy.port), { host: address }));
          assert.equal(off.kind, 'accepted', why(off));
          const byDefault = await deliver(hostAt(through(scheme, proxy.port), { host: address, tls: { ...TLS, mode: 'default' } }));
          assert.match(why(byDefault), /does not offer STARTTLS, and TLS is required/);
        }
        assert.equal(host.held.length, 2);
      },
    ),
  );

  proxies(`${scheme}: TLS by STARTTLS, verified for the name as configured`, () =>
    with2(
      (places) => start({ places }),
      { offers: ['STARTTLS'], tls: serverCertificate() },
      async (proxy, host) => {
        const pinned = { ...TLS, mode: 'required' as const, fingerprint: [serverCertificate().fingerprints.certificate] };
        const outcome = await deliver(hostAt(through(scheme, proxy.port), { tls: pinned }));
        assert.equal(outcome.kind, 'accepted', why(outcome));
        assert.equal(host.held.length, 1);
        const other = await deliver(hostAt(through(scheme, proxy.port), { tls: { ...pinned, fingerprint: [`sha256:${'0'.repeat(64)}`] } }));
        assert.equal(other.kind, 'failed');
        assert.equal(host.held.length, 1);
      },
    ),
  );

  proxies(`${scheme}: clear text where TLS begins with the first octet is refused`, () =>
    with2(
      (places) => start({ places, together: true }),
      {},
      async (proxy, host) => {
        const outcome = await deliver(
          hostAt(through(scheme, proxy.port), { scheme: 'submissions', port: 465, tls: { ...TLS, mode: 'required' } }),
        );
        assert.match(why(outcome), /: clear text before the TLS handshake: this is no port for submissions:\/\/$/);
        assert.deepEqual(host.sessions[0], []);
      },
    ),
  );

  proxies(`${scheme}: a place that the proxy cannot reach; the next smart host is asked`, () =>
    with2(
      (places) => start({ places }),
      {},
      async (proxy, host) => {
        const nowhere = hostAt(through(scheme, proxy.port), { host: 'nowhere.test.invalid' });
        const refused = await deliver(nowhere);
        assert.match(
          why(refused),
          /^nowhere\.test\.invalid through .*: the proxy did not connect to nowhere\.test\.invalid:587: (host unreachable \(SOCKS5 reply 4\)|502 Bad Gateway)$/,
        );
        const outcome = await deliver(nowhere, hostAt(through(scheme, proxy.port)));
        assert.equal(outcome.kind, 'accepted', why(outcome));
        assert.equal(host.held.length, 1);
      },
    ),
  );
}

/** [what a proxy does, its answer, whether it closes then, the reason for SOCKS5, for HTTP] */
const HOSTILE: readonly [string, string | Buffer, boolean, RegExp, RegExp][] = [
  ['closes at once', '', true, /: the proxy closed the connection$/, /: the proxy closed the connection$/],
  [
    'says nothing',
    '',
    false,
    /: the proxy did not connect within 0\.3 s \(timeouts\.connect\)$/,
    /: the proxy did not connect within 0\.3 s \(timeouts\.connect\)$/,
  ],
  ['is another version', '\x04\x00', false, /is not a SOCKS5 proxy/, /is not an HTTP proxy/],
  ['closes within its answer', '\x05', true, /: the proxy closed the connection$/, /is not an HTTP proxy/],
  ['closes within a header', 'HTTP/1.1 200 OK\r\n', true, /is not a SOCKS5 proxy/, /: the proxy closed the connection$/],
  [
    'has an endless header',
    Buffer.alloc(1 << 20, 'HTTP/1.1 200 OK\r\nX: y\r\n'),
    false,
    /is not a SOCKS5 proxy/,
    /header of more than 16 KiB$/,
  ],
  [
    'says it all in advance',
    Buffer.from(`\x05\x00${FINE}220 hello\r\n`, 'latin1'),
    false,
    /spoke before it was asked$/,
    /is not an HTTP proxy/,
  ],
];
for (const [what, answer, end, bySocks, byHttp] of HOSTILE)
  proxies(`a proxy that ${what}: its sentence, and nothing is sent`, () =>
    within(10_000, async () => {
      const proxy = await startSaying(answer, end);
      for (const [scheme, expected] of [
        ['socks5', bySocks],
        ['http', byHttp],
      ] as const) {
        const outcome = await submit({ from: 'a@b.example', to: ['c@d.example'] }, 'hello', {
          hosts: [hostAt(through(scheme, proxy.port))],
          timeouts: { connect: 300 },
        });
        assert.match(why(outcome), expected);
        assert.equal(outcome.kind === 'failed' && outcome.attempts[0]?.failure.condemns, 'address');
      }
      await proxy.stop();
    }),
  );

proxies('a proxy that does not answer, or whose name is unknown, is named in the failure', () =>
  withoutNames(async () => {
    const gone = await startSaying('');
    await gone.stop();
    assert.match(why(await deliver(hostAt(through('socks5', gone.port)))), /: the proxy does not answer: connection refused$/);
    const unknown = await deliver(hostAt(through('socks5', 1080, { host: 'proxy.test.invalid' })));
    assert.match(why(unknown), /: the proxy cannot be found: no address of proxy\.test\.invalid: the name/);
  }),
);

proxies('each address of a proxy that does not answer is named', () =>
  withoutNames(async () => {
    const link = { ...through('socks5', 1, { host: 'proxy.test.invalid' }), family: 4 as const };
    assert.match(
      why(await deliver(hostAt(link))),
      /: the proxy does not answer: 127\.0\.0\.1: connection refused; 127\.0\.0\.2: connection refused$/,
    );
  }, ['127.0.0.1', '127.0.0.2']),
);

proxies('a signal while a proxy says nothing ends the delivery', () =>
  within(10_000, async () => {
    const proxy = await startSaying('');
    const ending = new AbortController();
    setTimeout(() => ending.abort('it was ended'), 50);
    const outcome = await submit({ from: '', to: ['c@d.example'] }, 'hello', {
      hosts: [hostAt(through('socks5', proxy.port))],
      signal: ending.signal,
    });
    assert.match(why(outcome), /it was ended$/);
    await proxy.stop();
  }),
);

/* ---- source address and family ---- */

proxies('the connection comes from the configured source address, and an address that this host has not is named in the failure', () =>
  within(10_000, async () => {
    const from: (string | undefined)[] = [];
    const server = createServer((socket) => {
      from.push(socket.remoteAddress);
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const at = (sourceAddress: string): Smarthost => hostAt({ ...DIRECT, sourceAddress, family: 4 }, { host: '127.0.0.1', port });
    await deliver(at('127.0.0.77'));
    assert.deepEqual(from, ['127.0.0.77']);
    assert.match(why(await deliver(at('192.0.2.77'))), /: 192\.0\.2\.77 is not an address of this host$/);
    const proxied = { ...through('socks5', port), sourceAddress: '127.0.0.78', family: 4 as const };
    await deliver(hostAt(proxied));
    assert.deepEqual(from, ['127.0.0.77', '127.0.0.78']);
    server.close();
  }),
);

proxies('family: an address of the other one is not connected to', () =>
  within(10_000, async () => {
    const at = (link: Partial<Link>, host: string) => deliver(hostAt({ ...DIRECT, ...link }, { host, port: 9 }));
    assert.match(
      why(await at({ family: 6 }, '127.0.0.1')),
      /^127\.0\.0\.1: 127\.0\.0\.1 has no IPv6 address, and family = "6" requires one$/,
    );
    assert.match(
      why(await at({ family: 4, sourceAddress: '127.0.0.1' }, '::1')),
      /has no IPv4 address, and source_address = "127\.0\.0\.1" requires one$/,
    );
    assert.match(why(await at({ family: 4 }, 'localhost')), /^localhost \[127\.0\.0\.1\]:9: connection refused$/);
  }),
);

proxies('a server behind a proxy is never connected to directly', () =>
  assert.rejects(connectFirst([{ address: '127.0.0.1', family: 'name', port: 25 }], { within: 100 }), /bug/),
);

proxies.run();
