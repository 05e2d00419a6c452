/**
 * Opens sessions by the policies of their smart hosts: which hosts do without TLS, and as whom we greet.
 * Loopback: names are made up, and the exemption is the subject; test/world has the same at other addresses.
 */

import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { type AuthPolicy, DIRECT, type Smarthost, type TlsPolicy } from '../../src/router/smarthost.ts';
import { deliver } from '../../src/submit/delivery.ts';
import { isPlainTls } from '../../src/submit/session.ts';
import type { SessionTimeouts } from '../../src/transport/driver.ts';
import type { Names } from '../../src/transport/lookup/question.ts';
import type { Connect } from '../../src/transport/wire.ts';
import { contentOf, hostAt, optionsFor, sentences, tlsRequired, transactionTo, verdictOf } from '../support/delivery.ts';
import { smarthost } from '../support/engine.ts';
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
    assert.match(sentences(outcome), /is neither a domain nor an address literal$/);
    assert.deepEqual(heard, []);
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
