/**
 * Opens sessions by the policies of their smart hosts: which hosts do without TLS, and as whom we greet.
 * Loopback: names are made up, and the exemption is the subject; test/world has the same at other addresses.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { type AuthPolicy, DIRECT, type ProxyPolicy, type Smarthost, type TlsPolicy } from '../../src/router/smarthost.ts';
import { unparsed } from '../../src/smtp/parsed.ts';
import { type DeliveryOptions, deliver } from '../../src/submit/delivery.ts';
import type { Outcome } from '../../src/submit/outcome.ts';
import { isPlainTls, openSession } from '../../src/submit/session.ts';
import type { SessionTimeouts } from '../../src/transport/driver.ts';
import type { Names } from '../../src/transport/lookup/question.ts';
import type { Connect, Wire } from '../../src/transport/wire.ts';
import { deadPort } from '../support/command.ts';
import { contentOf, hostAt, optionsFor, sentences, tlsRequired, tlsWorld, transactionTo, verdictOf } from '../support/delivery.ts';
import { smarthost } from '../support/engine.ts';
import { startHttpProxy, startSaying, startSocks } from '../support/proxies.ts';
import { type Deed, type Phase, type SmarthostOptions, startHost, type Talk } from '../support/smarthost.ts';
import { connect } from '../support/sockets.ts';
import { within } from '../support/within.ts';

const test = suite('opening');

/* ---- loopback ---- */

const DEFAULT = tlsRequired({ mode: 'default', caFile: '', serverName: '' });
const mode = (word: TlsPolicy['mode']): TlsPolicy => ({ ...DEFAULT, mode: word });
const auth: Smarthost['auth'] = { user: 'tim', mechanisms: [], secret: { from: 'literal', value: 'tanstaaf' }, allowPlaintext: false };

const NO_STARTTLS = /the server does not offer STARTTLS/;
const IN_CLEAR = /the connection is not encrypted, so no credentials are sent/;

/** [host, what its name leads to, what comes of it without TLS, why]: null = the message is taken, with a password. */
const LOOPBACK: readonly (readonly [Partial<Smarthost>, string, RegExp | null, string])[] = [
  [{ host: '127.0.0.1' }, '', null, 'an address of loopback'],
  [{ host: '127.0.0.2' }, '', null, 'another'],
  [{ host: '::ffff:127.0.0.1' }, '', null, 'mapped'],
  [{ host: 'localhost' }, '127.0.0.1', null, 'localhost'],
  [{ host: 'mail.localhost' }, '127.0.0.1', null, 'a name below it'],
  [{ host: 'localhost' }, '0.0.0.0', NO_STARTTLS, 'localhost that leads elsewhere'],
  [{ host: 'localhost', tls: mode('off') }, '0.0.0.0', IN_CLEAR, 'the same without TLS'],
  [{ host: 'relay.example.org' }, '127.0.0.1', NO_STARTTLS, 'a name that DNS leads to loopback'],
  [{ host: 'relay.example.org', tls: mode('opportunistic') }, '127.0.0.1', IN_CLEAR, 'TLS where it is offered'],
  [{ host: 'relay.example.org', tls: mode('off') }, '127.0.0.1', IN_CLEAR, 'TLS is off'],
  [{ host: 'relay.example.org', tls: mode('required') }, '127.0.0.1', NO_STARTTLS, 'TLS is required'],
  [{ host: 'example.org', expand: 'mx' }, '127.0.0.1', NO_STARTTLS, 'a host of MX records'],
  [{ host: 'example.org', expand: 'mx', tls: mode('opportunistic') }, '127.0.0.1', IN_CLEAR, 'the same, with clear text'],
  [{ host: 'localhost', expand: 'mx' }, '127.0.0.1', NO_STARTTLS, 'MX records of localhost'],
  [{ host: 'example.org', expand: 'srv', scheme: 'submission' }, '127.0.0.1', NO_STARTTLS, 'a host and port of SRV records'],
  [{ host: 'localhost', expand: 'srv', scheme: 'submission', tls: mode('off') }, '127.0.0.1', IN_CLEAR, 'SRV records of localhost'],
];
for (const [changes, leadsTo, failure, why] of LOOPBACK)
  test(`W3: ${changes.host}, TLS ${changes.tls?.mode ?? 'default'}: ${why}`, () =>
    within(20_000, async () => {
      const server = await startHost({ offers: ['AUTH PLAIN LOGIN EXTERNAL'], host: '0.0.0.0' });
      const names: Names = {
        addresses: async () => [{ address: leadsTo, family: 4 }],
        mx: async () => [{ exchange: 'localhost', priority: 10 }],
        srv: async () => [{ name: 'localhost', port: server.port, priority: 0, weight: 0 }],
      };
      try {
        const outcome = await deliver(
          { hosts: [hostAt(server.port, { tls: DEFAULT, auth, ...changes })], transaction: transactionTo(1), content: contentOf() },
          optionsFor(10_000, { names }),
        );
        const heard = server.sessions.flat();
        assert.equal(verdictOf(outcome), failure === null ? 'accepted' : 'failed', sentences(outcome));
        if (failure === null) assert.ok(heard.some((line) => line.startsWith('AUTH PLAIN ')));
        else {
          assert.match(sentences(outcome), failure);
          assert.deepEqual(
            heard.filter((line) => line !== 'QUIT'),
            ['EHLO here.example'],
          );
        }
      } finally {
        await server.stop();
      }
    }));

test('a connection whose credentials cannot be had, or are not waited for, is closed', () =>
  within(10_000, async () => {
    for (const isEnded of [false, true]) {
      const server = await startHost();
      const host = hostAt(server.port);
      const target = { name: host.host, port: host.port, unix: false, fromDns: false };
      const ends = new AbortController();
      const base = optionsFor(10_000);
      let isConnected = false;
      const authenticator = async () => {
        if (!isEnded) return unparsed('there is none');
        while (!isConnected) await new Promise((resolve) => setImmediate(resolve));
        ends.abort('enough');
        return new Promise<never>(() => {});
      };
      let wire: Wire | undefined;
      const watched: Connect = (endpoint, from, won, lost) =>
        connect(
          endpoint,
          from,
          (made) => {
            wire = made;
            isConnected = true;
            won(made);
          },
          lost,
        );
      const { session, failed } = await openSession(host, target, [{ address: '127.0.0.1', family: 4, port: server.port }], {
        ...base,
        transactions: 'one',
        connect: watched,
        security: { ...base.security, authenticator },
        signal: ends.signal,
      });
      assert.equal(session, null);
      assert.equal(failed.length, isEnded ? 0 : 1);
      assert.equal(wire?.isOpen, false);
      await server.stop();
      assert.deepEqual(server.held, []);
    }
  }));

/* ---- extensions ---- */

test('W6: a server that breaks CHUNKING takes the message when CHUNKING is ignored', () =>
  within(20_000, async () => {
    const broken: SmarthostOptions = { offers: ['PIPELINING', 'CHUNKING'], script: { BDAT: 'close', end: 'close' } };
    const send = async (changes: Partial<Smarthost>, script: SmarthostOptions) => {
      const server = await startHost(script);
      const outcome = await deliver(
        { hosts: [hostAt(server.port, changes)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(),
      );
      await server.stop();
      return { verdict: verdictOf(outcome), heard: server.sessions.flat() };
    };
    const before = await send({}, broken);
    assert.equal(before.verdict, 'uncertain');
    assert.ok(before.heard.some((line) => line.startsWith('BDAT')));
    const after = await send({ ignoreExtensions: ['CHUNKING'] }, { ...broken, script: { BDAT: 'close' } });
    assert.equal(after.verdict, 'accepted');
    assert.ok(after.heard.includes('DATA') && !after.heard.some((line) => line.startsWith('BDAT')));
  }));

test('W6: the library ignores extensions by smart host', () => {
  const host = smarthost('submission://mail.example.org', { ignoreExtensions: ['chunking'] });
  assert.deepEqual(host.ok && host.value.ignoreExtensions, ['CHUNKING']);
  const plain = smarthost('submission://mail.example.org');
  assert.equal(plain.ok && 'ignoreExtensions' in plain.value, false);
});

/* ---- failures ---- */

/** [what is silent, the key whose time is over]. */
const SILENCES: readonly (readonly [Phase, keyof SessionTimeouts, SmarthostOptions])[] = [
  ['greeting', 'greeting', {}],
  ['EHLO', 'command', {}],
  ['MAIL', 'command', {}],
  ['RCPT 1', 'command', { offers: ['PIPELINING'] }],
  ['DATA', 'data', {}],
  ['end', 'final', {}],
];
for (const [phase, key, more] of SILENCES)
  test(`W9: silence at ${phase}: the failure says how long, and timeouts.${key}`, () =>
    within(20_000, async () => {
      const server = await startHost({ ...more, script: { [phase]: 'silence' } });
      const { timeouts } = optionsFor();
      const outcome = await deliver(
        { hosts: [hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(10_000, { timeouts: { ...timeouts, [key]: 300 } }),
      );
      await server.stop();
      assert.match(sentences(outcome), new RegExp(` within 300ms \\(timeouts\\.${key}\\)`));
    }));

test('W9: after silence the hint names submissions://, and -v does before the time is over', () =>
  within(20_000, async () => {
    const server = await startHost({ script: { greeting: 'silence' } });
    const lines: string[] = [];
    const { timeouts } = optionsFor();
    const outcome = await deliver(
      { hosts: [hostAt(server.port, { scheme: 'submission' })], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { timeouts: { ...timeouts, greeting: 500 }, observer: { trace: (side, line) => lines.push(`${side} ${line}`) } }),
    );
    await server.stop();
    const hint = `nothing at all was heard: a port that is TLS from the start is as silent; if this is one, write submissions://127.0.0.1:${server.port}`;
    assert.deepEqual(sentences(outcome).split('\n'), [
      `[127.0.0.1]:${server.port}: no greeting came within 500ms (timeouts.greeting)`,
      `[127.0.0.1]:${server.port}: ${hint}`,
    ]);
    assert.ok(lines.includes(`! ${hint}`), lines.join('\n'));
  }));

test('W9: a server that has said something, or has gone, is not silent', () =>
  within(20_000, async () => {
    for (const [greeting, expected] of [
      [
        (talk: Talk) => talk.say('220-mail.example.org\n'),
        /^\S+: no greeting came within 300ms \(timeouts\.greeting\), only "220-mail\.example\.org"$/,
      ],
      ['close', /connection lost/],
    ] as const) {
      const server = await startHost({ script: { greeting: greeting as Deed } });
      const lines: string[] = [];
      const { timeouts } = optionsFor();
      const outcome = await deliver(
        { hosts: [hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(10_000, {
          timeouts: { ...timeouts, greeting: 300 },
          observer: { trace: (side, line) => lines.push(`${side} ${line}`) },
        }),
      );
      await server.stop();
      assert.match(sentences(outcome), expected);
      assert.ok(!lines.some((line) => line.includes('nothing at all')), lines.join('\n'));
    }
  }));

const withAuth = async (policy: Partial<AuthPolicy>, options: SmarthostOptions): Promise<{ text: string; heard: readonly string[] }> => {
  const server = await startHost(options);
  const outcome = await deliver(
    { hosts: [hostAt(server.port, { auth: { ...(auth as AuthPolicy), ...policy } })], transaction: transactionTo(1), content: contentOf() },
    optionsFor(),
  );
  await server.stop();
  return { text: sentences(outcome), heard: server.sessions.flat() };
};

test('W10: the hint to a refused password names the user, the other mechanisms and the key', () =>
  within(20_000, async () => {
    const { text } = await withAuth({}, { offers: ['AUTH PLAIN LOGIN CRAM-MD5'], script: { AUTH: '535 5.7.8 no' } });
    assert.match(
      text,
      /: AUTH CRAM-MD5: 535 5\.7\.8 no\n.*: the user was "tim"; .* offers PLAIN, LOGIN, .* mechanisms = \["PLAIN"\] in \[auth\]$/,
    );
  }));

test('V7: a server that takes only tokens hears no password, and the sentence names the keys of tokens', () =>
  within(20_000, async () => {
    const { text, heard } = await withAuth({}, { offers: ['AUTH XOAUTH2 OAUTHBEARER'] });
    assert.match(text, /it takes tokens only: write token_file, token_command or token_env in place of the password$/);
    assert.ok(!heard.some((line) => line.startsWith('AUTH')));
  }));

test('V7: a secret that is called a token goes by a mechanism of tokens, never by one of passwords', () =>
  within(20_000, async () => {
    const token = { isToken: true, secret: { from: 'literal', value: 'ya29.token' } } as const;
    const taken = await withAuth(token, { offers: ['AUTH PLAIN LOGIN XOAUTH2'] });
    assert.equal(taken.text, '');
    assert.deepEqual(
      taken.heard.filter((line) => line.startsWith('AUTH')),
      [`AUTH XOAUTH2 ${Buffer.from('user=tim\x01auth=Bearer ya29.token\x01\x01').toString('base64')}`],
    );
    const kept = await withAuth(token, { offers: ['AUTH PLAIN LOGIN'] });
    assert.match(kept.text, /it takes passwords only: write password_file or password_command in place of the token$/);
    assert.ok(!kept.heard.some((line) => line.startsWith('AUTH')));
  }));

test('a password that no mechanism can use is no reason to ask for a token', () =>
  within(20_000, async () => {
    // RFC 3454 §6: what begins from right to left does not end with a digit.
    const { text } = await withAuth({ secret: { from: 'literal', value: '\u05d0-1' } }, { offers: ['AUTH SCRAM-SHA-256'] });
    assert.match(text, /the password cannot be used with SCRAM: /);
    assert.ok(!text.includes('tokens only'), text);
  }));

test('a password that cannot be read is a failure of ours, and no server hears of it', () =>
  within(20_000, async () => {
    const server = await startHost({ offers: ['AUTH PLAIN'] });
    const secret = { from: 'file', path: '/nonexistent/password' } as const;
    const outcome = await deliver(
      { hosts: [hostAt(server.port, { auth: { ...(auth as AuthPolicy), secret } })], transaction: transactionTo(1), content: contentOf() },
      optionsFor(),
    );
    await server.stop();
    assert.ok(outcome.kind === 'failed' && outcome.failure.kind === 'unsupported');
    const { at, condemns, lacks, isOurs } = outcome.failure;
    assert.deepEqual({ at, condemns, lacks, isOurs }, { at: 'ready', condemns: 'host', lacks: 'configuration', isOurs: true });
    assert.deepEqual(server.sessions.flat(), []);
  }));

const SECRET = 'correct horse/battery+staple=4711';
const PLAIN = Buffer.from(`\0tim\0${SECRET}`).toString('base64');
const folded = (text: string, width: number): string => (text.match(new RegExp(`.{1,${width}}`, 'g')) ?? []).join('\n535 5.7.8 ');
const XTEXT = [...Buffer.from(SECRET)].map((octet) => `+${octet.toString(16).toUpperCase()}`).join('');

/** What a server says to AUTH, and the form of the secret in it. */
const ECHOES: readonly (readonly [string, string, string])[] = [
  ['base64 over lines', folded(PLAIN, 10), PLAIN],
  ['base64 in part', PLAIN.slice(10, 40), PLAIN.slice(10, 40)],
  ['xtext', XTEXT, XTEXT],
  ['hexadecimal with blanks', Buffer.from(SECRET).toString('hex').replaceAll(/../g, '$& '), Buffer.from(SECRET).toString('hex')],
  ['HTML', [...SECRET].map((c) => `&#${c.charCodeAt(0)};`).join(''), [...SECRET].map((c) => `&#${c.charCodeAt(0)};`).join('')],
  ['clear, over lines', folded(SECRET, 9), SECRET.replaceAll(' ', '')],
];
for (const [why, echo, form] of ECHOES)
  test(`S8: what a server repeats of AUTH is neither told nor shown: ${why}`, () =>
    within(20_000, async () => {
      const server = await startHost({ offers: ['AUTH PLAIN'], script: { AUTH: `535 5.7.8 sorry\n535 5.7.8 ${echo}\n535 5.7.8 bye` } });
      const lines: string[] = [];
      const secret = { from: 'literal', value: SECRET } as const;
      const outcome = await deliver(
        {
          hosts: [hostAt(server.port, { auth: { ...(auth as AuthPolicy), secret } })],
          transaction: transactionTo(1),
          content: contentOf(),
        },
        optionsFor(10_000, { observer: { trace: (side, line) => lines.push(`${side} ${line}`) } }),
      );
      await server.stop();
      const told = `${sentences(outcome)}\n${JSON.stringify(outcome)}\n${lines.join('\n')}`;
      assert.match(sentences(outcome), /AUTH PLAIN: 535 5\.7\.8 sorry .*\*\*\*\*.* bye/);
      const shown = told.replaceAll(/(535.)?5\.7\.8 | \/ |[\s",]/g, '');
      for (let at = 0; at + 8 <= form.length; at++)
        assert.ok(!shown.includes(form.slice(at, at + 8)), `${form.slice(at, at + 8)}\n${told}`);
    }));

test('S8: the words of a server about a token before it refuses it are neither told nor shown', () =>
  within(20_000, async () => {
    const token = `ya29.${'a0AfH6SMBx-_'.repeat(10)}`;
    const server = await startHost({
      offers: ['AUTH XOAUTH2'],
      script: {
        AUTH: async (talk) => {
          talk.say(`334 ${Buffer.from(JSON.stringify({ status: '400', scope: token })).toString('base64')}\n`);
          await talk.line();
          talk.say('535 5.7.8 no\n');
          await talk.line();
          return '';
        },
      },
    });
    const secret = { from: 'literal', value: token } as const;
    const outcome = await deliver(
      {
        hosts: [hostAt(server.port, { auth: { ...(auth as AuthPolicy), secret, isToken: true } })],
        transaction: transactionTo(1),
        content: contentOf(),
      },
      optionsFor(),
    );
    await server.stop();
    assert.match(sentences(outcome), /AUTH XOAUTH2 \(status 400, scope \*\*\*\*\): 535 5\.7\.8 no/);
    assert.ok(!JSON.stringify(outcome).includes('a0AfH6SM'));
  }));

/* ---- EHLO ---- */

/** [what is given, what EHLO says, why]. */
const HELLOS: readonly (readonly [string, string, string])[] = [
  ['', '[127.0.0.1]', 'nothing'],
  ['here.example', 'here.example', 'a domain'],
  ['localhost', 'localhost', 'a program that embeds us may know why'],
  ['müller.example', 'xn--mller-kva.example', 'A-labels'],
  ['my_app.local', '[127.0.0.1]', 'no domain of RFC 5321'],
];
for (const [hello, said, why] of HELLOS)
  test(`W4: hello ${JSON.stringify(hello)}: EHLO ${said}: ${why}`, () =>
    within(10_000, async () => {
      const server = await startHost();
      const outcome = await deliver(
        { hosts: [hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(10_000, { hello }),
      );
      const heard = server.sessions.flat();
      await server.stop();
      assert.equal(verdictOf(outcome), 'accepted', sentences(outcome));
      assert.equal(heard[0], `EHLO ${said}`);
    }));

test('W4: a hello with a control character is refused before anything is said', () =>
  within(10_000, async () => {
    const server = await startHost();
    const outcome = await deliver(
      { hosts: [hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { hello: 'a.example\r\nMAIL FROM:<x@y>' }),
    );
    const heard = server.sessions.flat();
    await server.stop();
    assert.match(sentences(outcome), /: it is neither a domain nor an address literal$/);
    assert.deepEqual(heard, []);
  }));

/* ---- TLS, as what it is told ---- */

/** The lines of a trace that this side says of itself. */
const own = (lines: readonly string[]): readonly string[] => lines.filter((line) => line.startsWith('! '));

interface Sent {
  readonly outcome: Outcome;
  readonly text: string;
  readonly lines: readonly string[];
}

/** Sends one message, and keeps what is told on the way. */
async function send(hosts: readonly Smarthost[], changes: Partial<DeliveryOptions> = {}): Promise<Sent> {
  const lines: string[] = [];
  const observer = { trace: (side: string, line: string) => void lines.push(`${side} ${line}`) };
  const outcome = await deliver(
    { hosts, transaction: transactionTo(1), content: contentOf() },
    optionsFor(10_000, { observer, names: AT_HOME, ...changes }),
  );
  return { outcome, text: sentences(outcome), lines };
}

const AT_HOME: Names = { addresses: async () => [{ address: '127.0.0.1', family: 4 }], mx: async () => [], srv: async () => [] };

test('TLS is spoken from the first octet where the scheme says so, and the outcome has the cipher, the verification and the login', () =>
  within(20_000, async () => {
    const offers = ['AUTH PLAIN', 'STARTTLS', 'SIZE 1000000'];
    for (const [scheme, secure, verify, policy, serverName] of [
      ['submissions', true, true, auth, 'smart.example'],
      ['submissions', true, true, auth, ''],
      ['submissions', true, false, null, ''],
      ['submission', false, true, auth, 'smart.example'],
    ] as const) {
      const server = await startHost({ offers, tls: tlsWorld().certificate, secure });
      const host = hostAt(server.port, { scheme, host: 'smart.example', tls: tlsRequired({ verify, serverName }), auth: policy });
      const { outcome, text, lines } = await send([host]);
      await server.stop();
      assert.ok(outcome.kind === 'accepted', text);
      const { by } = outcome;
      assert.match(by.tls?.cipher ?? '', /^TLS1\.[23]:\w+:\d+$/);
      assert.deepEqual(by.tls?.verified, verify);
      assert.deepEqual(by.auth, policy === null ? null : { mechanism: 'PLAIN', user: 'tim' });
      assert.ok(by.offers?.keywords.has('SIZE'));
      assert.deepEqual(own(lines).slice(0, 4), [
        `! connecting to smart.example port ${server.port}`,
        '! connected to 127.0.0.1',
        `! ${by.tls?.cipher}, the certificate is ${verify ? 'verified' : 'not verified'}`,
        '! secured',
      ]);
      assert.equal(server.sessions[0]?.[0], 'EHLO here.example');
      assert.equal(server.sessions[0]?.includes('STARTTLS'), scheme === 'submission');
    }
  }));

test('no TLS is prepared, no secret is looked for and no text is searched for one where none is needed', () =>
  within(20_000, async () => {
    const proxied = await startSocks({ places: {} });
    const proxy: ProxyPolicy = { scheme: 'socks5', host: '127.0.0.1', port: proxied.port, user: '', secret: { from: 'none' } };
    for (const [changes, prepared, isSearched] of [
      [{ tls: mode('off') }, [0, 0], false],
      [{ tls: DEFAULT }, [0, 0], false],
      [{ tls: mode('opportunistic') }, [1, 0], false],
      [{ tls: mode('off'), auth: { ...(auth as AuthPolicy), allowPlaintext: true } }, [0, 0], true],
      [{ tls: mode('off'), host: 'smart.example', link: { ...DIRECT, proxy } }, [0, 1], true],
    ] as const) {
      const server = await startHost({ offers: ['AUTH PLAIN'] });
      const { security } = optionsFor();
      const asked = [0, 0];
      let searched = 0;
      const counting: typeof security = {
        ...security,
        handshake: (...of) => {
          asked[0] = (asked[0] as number) + 1;
          return security.handshake(...of);
        },
        proxyPassword: (of) => {
          asked[1] = (asked[1] as number) + 1;
          return security.proxyPassword(of);
        },
        scrub: (...of) => {
          searched += 1;
          return security.scrub(...of);
        },
      };
      await send([hostAt(server.port, changes)], { security: counting });
      await server.stop();
      assert.deepEqual([asked, searched > 0], [prepared, isSearched], JSON.stringify(changes));
    }
    await proxied.stop();
  }));

test('all that is missing on this side is told together, and the next host is asked instead of the next address', () =>
  within(20_000, async () => {
    const [server, next] = [await startHost(), await startHost()];
    const secret = { from: 'file', path: '/no/such/secret' } as const;
    const names: Names = { ...AT_HOME, addresses: async () => ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 })) };
    const host = hostAt(server.port, {
      host: 'smart.example',
      tls: tlsRequired({ certificate: '/no/such/certificate' }),
      auth: { ...(auth as AuthPolicy), secret },
    });
    const { outcome, lines } = await send([host, hostAt(next.port)], { names });
    await Promise.all([server.stop(), next.stop()]);
    assert.ok(outcome.kind === 'accepted');
    assert.equal(outcome.attempts.length, 1);
    const [failure] = outcome.attempts.map((attempt) => attempt.failure);
    assert.match(failure?.kind === 'unsupported' ? failure.detail : '', /\/no\/such\/certificate.*; .*\/no\/such\/secret/);
    assert.deepEqual(server.sessions.flat(), []);
    assert.ok(lines.length > 0);
  }));

test('an address that does not answer is told with its reason and the code of the system', () =>
  within(20_000, async () => {
    const port = await deadPort();
    const { outcome, lines } = await send([hostAt(port)]);
    assert.ok(outcome.kind === 'failed');
    assert.deepEqual(outcome.failure, {
      kind: 'connect',
      at: 'greeting',
      condemns: 'address',
      during: 'connect',
      reason: 'refused',
      detail: 'connection refused',
      systemCode: 'ECONNREFUSED',
    });
    assert.deepEqual(own(lines), [`! connecting to 127.0.0.1 port ${port}`, '! 127.0.0.1: connection refused']);
  }));

test('a source address is that from which the server is connected to', () =>
  within(20_000, async () => {
    const seen: (string | undefined)[] = [];
    const greeting: Deed = ({ socket }) => {
      seen.push(socket.remoteAddress);
      return '220 hi';
    };
    for (const sourceAddress of ['', '127.0.0.7']) {
      const server = await startHost({ script: { greeting } });
      await send([hostAt(server.port, { link: { ...DIRECT, sourceAddress } })]);
      await server.stop();
    }
    assert.deepEqual(seen, ['127.0.0.1', '127.0.0.7']);
  }));

/* ---- a proxy, and a way of a program ---- */

for (const [scheme, startProxy] of [
  ['socks5', startSocks],
  ['http', startHttpProxy],
] as const)
  test(`through a proxy of ${scheme}: it is logged in to and told the name, and the server is talked to`, () =>
    within(20_000, async () => {
      for (const [implicit, together] of [
        [false, false],
        [false, true],
        [true, false],
      ] as const) {
        const server = await startHost({ tls: tlsWorld().certificate, secure: implicit, offers: ['STARTTLS', 'CHUNKING'] });
        const place = `smart.example:${server.port}`;
        const secret = { from: 'literal', value: 'of the proxy' } as const;
        const front = await startProxy({ user: 'tim', password: 'of the proxy', places: { [place]: server.port }, together });
        const proxy: ProxyPolicy = { scheme, host: '127.0.0.1', port: front.port, user: 'tim', secret };
        const host = hostAt(server.port, {
          scheme: implicit ? 'submissions' : 'submission',
          host: 'smart.example',
          tls: tlsRequired(),
          link: { ...DIRECT, proxy },
        });
        const dialed: string[] = [];
        const lines: string[] = [];
        const observer = {
          trace: (side: string, line: string) => void lines.push(`${side} ${line}`),
          dialing: ({ address }: { readonly address: string }) => void dialed.push(`dialing ${address}`),
          connected: ({ address }: { readonly address: string }) => void dialed.push(`connected ${address}`),
        };
        const { outcome, text } = await send([host], { observer });
        await Promise.all([server.stop(), front.stop()]);
        assert.ok(outcome.kind === 'accepted', text);
        assert.ok(server.sessions.flat().includes('DATA'), 'a reset would end at the proxy, so there are no blocks');
        assert.ok(front.asked.some((line) => line.includes(`CONNECT ${place}`)));
        assert.deepEqual(dialed, ['dialing smart.example', 'connected smart.example']);
        assert.deepEqual(own(lines).slice(0, 3), [
          `! connecting to smart.example port ${server.port} through ${scheme}://127.0.0.1:${front.port}`,
          '! connected to the proxy',
          '! the proxy has connected',
        ]);
        assert.ok(!JSON.stringify(outcome).includes('of the proxy'));
      }
    }));

test('what a proxy repeats of its password is neither told nor shown, not in part either', () =>
  within(20_000, async () => {
    const value = 'correct horse/battery+staple=4711';
    // So much of it is found only by who looks for parts.
    const front = await startSaying(`HTTP/1.1 502 no ${value.slice(0, 14)}\r\n\r\n`, true);
    const proxy: ProxyPolicy = { scheme: 'http', host: '127.0.0.1', port: front.port, user: 'tim', secret: { from: 'literal', value } };
    const { outcome, text, lines } = await send([hostAt(25, { host: 'smart.example', link: { ...DIRECT, proxy } })]);
    await front.stop();
    assert.ok(outcome.kind === 'failed' && outcome.failure.kind === 'connect');
    assert.match(text, /\*\*\*\*/);
    for (const told of [text, JSON.stringify(outcome), lines.join('\n')]) assert.ok(!told.includes('correct horse'), told);
    assert.deepEqual([outcome.failure.at, outcome.failure.condemns, outcome.failure.during], ['greeting', 'address', 'connect']);
  }));

test('a proxy that speaks behind its reply is not believed where the server must wait for us', () =>
  within(20_000, async () => {
    for (const [scheme, expected] of [
      ['submission', /^smart\.example.*: connecting: 554 go away$/],
      ['submissions', /: clear text before the TLS handshake: /],
    ] as const) {
      const front = await startSaying('HTTP/1.1 200 ok\r\n\r\n554 go away\r\n');
      const proxy: ProxyPolicy = { scheme: 'http', host: '127.0.0.1', port: front.port, user: '', secret: { from: 'none' } };
      const { text } = await send([hostAt(587, { scheme, host: 'smart.example', tls: tlsRequired(), link: { ...DIRECT, proxy } })]);
      await front.stop();
      assert.match(text, expected);
    }
  }));

test('a way of a program: what it throws is told to the program as it is, and to people without secrets', () =>
  within(20_000, async () => {
    const value = 'correct horse/battery+staple=4711';
    const thrown = new Error(`no way for ${value.slice(0, 14)}`);
    const told: unknown[] = [];
    const secret = { from: 'literal', value } as const;
    const host = hostAt(25, { host: 'smart.example', auth: { ...(auth as AuthPolicy), secret } });
    // The secret is read while the program dials.
    const dial = async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      throw thrown;
    };
    const { text, outcome } = await send([host], { dialFor: () => dial, noteFailure: (_, __, cause) => void told.push(cause) });
    assert.deepEqual(told, [thrown]);
    assert.match(text, /^smart\.example: .*\*\*\*\*/);
    assert.ok(!JSON.stringify(outcome).includes('correct horse'));
  }));

test('a way of a program leads nobody knows where, so nothing there is this very host', () =>
  within(20_000, async () => {
    const server = await startHost({ offers: ['AUTH PLAIN'] });
    const dialFor = () => () => createConnection(server.port, '127.0.0.1');
    const { text } = await send([hostAt(server.port, { tls: DEFAULT })], { dialFor });
    await server.stop();
    assert.match(text, NO_STARTTLS);
  }));

test('the address literal is that of the stream that a program gives, as IPv4 where it is mapped, and without its zone', () =>
  within(20_000, async () => {
    for (const [localAddress, said] of [
      ['::ffff:192.0.2.9', '[192.0.2.9]'],
      ['fe80::9%eth0', '[IPv6:fe80::9]'],
    ] as const) {
      const server = await startHost();
      const dialFor = () => async () => {
        const socket = createConnection(server.port, '127.0.0.1');
        await once(socket, 'connect');
        return Object.defineProperty(socket, 'localAddress', { value: localAddress });
      };
      const { text } = await send([hostAt(server.port)], { dialFor, hello: '' });
      await server.stop();
      assert.deepEqual([text, server.sessions[0]?.[0]], ['', `EHLO ${said}`]);
    }
  }));

test('the context of TLS is left to the wire only where other sockets than Node’s connect', () =>
  within(20_000, async () => {
    const told: boolean[] = [];
    for (const [by, isDialed] of [
      [undefined, false],
      [connect, false],
      [connect, true],
      [undefined, true],
    ] as const) {
      const server = await startHost();
      const { security } = optionsFor();
      const handshake: typeof security.handshake = async (_host, _target, isContextOfWire) => {
        told.push(isContextOfWire);
        return unparsed('this is enough');
      };
      const dialFor = isDialed ? () => () => createConnection(server.port, '127.0.0.1') : undefined;
      await send([hostAt(server.port, { tls: tlsRequired() })], { connect: by, dialFor, security: { ...security, handshake } });
      await server.stop();
    }
    assert.deepEqual(told, [false, true, false, false]);
  }));

test('a port that does not speak TLS is told how it is to be written, or what it has said instead', () =>
  within(20_000, async () => {
    const inClear: Deed = async (talk) => {
      await talk.exactly(1);
      return '220 hello';
    };
    for (const [scheme, script, expected] of [
      ['submissions', {}, /: the port does not speak TLS from the start; if it offers STARTTLS, write submission:/],
      ['submission', { handshake: inClear }, /: the server agreed to STARTTLS and then sent something that is not TLS/],
    ] as const) {
      const server = await startHost({ offers: ['STARTTLS'], script });
      const { text } = await send([hostAt(server.port, { scheme, tls: tlsRequired() })]);
      await server.stop();
      assert.match(text, expected);
    }
  }));

/* ---- a session of one's own ---- */

test('a session tells with advice why it could not be opened, and what it is when it could', () =>
  within(20_000, async () => {
    for (const [offers, isOpened] of [
      [['AUTH PLAIN'], true],
      [[], false],
    ] as const) {
      const server = await startHost({ offers });
      const host = hostAt(server.port, { auth: { ...(auth as AuthPolicy), allowPlaintext: true }, ignoreExtensions: ['AUTH-X'] });
      const target = { name: '127.0.0.1', port: server.port, unix: false, fromDns: false };
      const endpoints = [{ address: '127.0.0.1', family: 4, port: server.port }] as const;
      const { session, failed } = await openSession(host, target, endpoints, { ...optionsFor(), transactions: 'many' });
      assert.ok(session);
      assert.deepEqual(failed, []);
      const failure = await session.opened();
      if (isOpened) {
        assert.equal(failure, null);
        const { offers: offered, ...facts } = session.facts();
        assert.deepEqual(facts, { host, name: '127.0.0.1', endpoint: endpoints[0], tls: null, auth: { mechanism: 'PLAIN', user: 'tim' } });
        assert.ok(offered?.keywords.has('AUTH'));
      } else assert.equal(failure?.hint, 'ignore_extensions makes this count as not offered: AUTH-X');
      session.connection.abort('the test is over');
      await server.stop();
    }
    const none = await openSession(hostAt(25), { name: 'x', port: 25, unix: false, fromDns: false }, [], {
      ...optionsFor(),
      transactions: 'one',
      dial: () => {
        throw new Error('nobody is asked');
      },
    });
    assert.deepEqual(none, { failed: [], session: null });
  }));

test('W4: the address literal is that of the wire, and of loopback where there is none', () =>
  within(20_000, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nospool-session-'));
    try {
      for (const [host, path, said] of [
        ['::1', '', '[IPv6:::1]'],
        ['127.0.0.1', '', '[127.0.0.1]'],
        ['', join(folder, 'socket'), '[127.0.0.1]'],
      ] as const) {
        const server = await startHost(path === '' ? { host } : { path });
        const to = path === '' ? hostAt(server.port, { host }) : hostAt(0, { scheme: 'unix', host: path });
        const { text, lines } = await send([to], { hello: '' });
        await server.stop();
        assert.equal(text, '');
        assert.equal(server.sessions[0]?.[0], `EHLO ${said}`);
        assert.equal(own(lines)[0], path === '' ? `! connecting to ${host} port ${server.port}` : `! connecting to ${path}`);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  }));

/* ---- sockets of a program's choice ---- */

test('TLS is done by the sockets of a choice where the peer has one name, that of the look-up, or is not verified', () => {
  const host = { name: 'mail.example.org', unix: false, fromDns: false };
  for (const [policy, target, expected, why] of [
    [{}, host, true, 'a host name'],
    [{}, { ...host, name: 'localhost' }, true, 'a name of one label'],
    [{ serverName: 'smart.example' }, { ...host, name: '127.0.0.1' }, true, 'the configured name'],
    [{ serverName: 'smart.example' }, { ...host, fromDns: true }, true, 'the configured name of a host of MX records'],
    [{}, { ...host, fromDns: true }, false, 'a host of MX records, whose certificate may be for its domain'],
    [{}, { ...host, name: '127.0.0.1' }, false, 'an address'],
    [{}, { ...host, name: '::1' }, false, 'an address with colons'],
    [{ serverName: '192.0.2.1' }, host, false, 'a configured address'],
    [{}, { ...host, name: 'my_host.example.org' }, false, 'an underscore'],
    [{}, { ...host, name: 'mail.example.org.' }, false, 'a dot at the end'],
    [{}, { ...host, name: 'b\u00fccher.example' }, false, 'a U-label'],
    [{}, { ...host, name: 'xn--bcher-kva.example' }, false, 'an A-label'],
    [{}, { ...host, name: '/run/smtp', unix: true }, false, 'a unix socket'],
    [{ certificate: '/etc/own.pem' }, host, false, 'a certificate of our own'],
    [{ verify: false }, { ...host, name: '127.0.0.1' }, true, 'nothing is verified'],
    [{ fingerprint: ['sha256:00'] }, { ...host, fromDns: true }, true, 'a fingerprint'],
    [{ verify: false, certificate: '/etc/own.pem' }, host, false, 'a certificate of our own, and nothing is verified'],
  ] as const)
    assert.equal(isPlainTls({ tls: { ...DEFAULT, verify: true, fingerprint: [], ...policy } }, target), expected, why);
});

test('the sockets of a choice connect in clear and for plain TLS; certificates of our own and proxies have those of Node', () =>
  within(20_000, async () => {
    const proxy = { scheme: 'socks5', host: '127.0.0.1', port: 1, user: '', secret: { from: 'none' } } as const;
    for (const [changes, expected, why] of [
      [{ tls: mode('off') }, 1, 'in clear'],
      [{ tls: tlsRequired() }, 1, 'TLS'],
      [{ tls: tlsRequired({ certificate: '/no/such/file' }) }, 0, 'a certificate of our own'],
      [{ tls: tlsRequired(), scheme: 'submissions', host: '127.0.0.2', port: 1 }, 1, 'TLS from the start'],
      [{ tls: mode('off'), link: { ...DIRECT, proxy } }, 0, 'a proxy'],
    ] as const) {
      const server = await startHost({});
      let asked = 0;
      const counting: Connect = (...to) => {
        asked += 1;
        return connect(...to);
      };
      await deliver(
        { hosts: [hostAt(server.port, changes)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(5000, { connect: counting }),
      );
      assert.equal(asked, expected, why);
      await server.stop();
    }
  }));

test.run();
