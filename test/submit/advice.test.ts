/**
 * Hints beside failures: a table of facts about host and connection.
 * Loopback: nothing connects; hosts are made up.
 */

import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { AuthPolicy, Smarthost } from '../../src/router/smarthost.ts';
import type { SessionFailure } from '../../src/smtp/client/outcome.ts';
import { advise, type Known, tellOfSilence } from '../../src/submit/advice.ts';
import { printFailure } from '../../src/submit/outcome.ts';
import { hostAt, tlsRequired } from '../support/delivery.ts';

const test = suite('advice');

const PASSWORD: AuthPolicy = { user: 'tim', mechanisms: [], secret: { from: 'file', path: '/p' }, allowPlaintext: false };
const TOKEN: AuthPolicy = { ...PASSWORD, isToken: true };
const NOTHING: AuthPolicy = { ...PASSWORD, secret: { from: 'none' }, mechanisms: ['EXTERNAL'] };
const LOCAL = { address: '127.0.0.1', family: 4, port: 587 } as const;
const FAR = { address: '192.0.2.1', family: 4, port: 587 } as const;

const host = (changes: Partial<Smarthost> = {}): Smarthost =>
  hostAt(587, { scheme: 'submission', host: 'mail.example.org', tls: tlsRequired({ mode: 'default' }), ...changes });
const known = (changes: Partial<Known> = {}): Known => ({
  host: host(),
  endpoint: FAR,
  isOwn: false,
  offered: new Set(),
  mechanism: '',
  heard: 0,
  ...changes,
});
const after = (auth: AuthPolicy, mechanism: string, offered: string): Known =>
  known({ host: host({ auth }), mechanism, offered: new Set(offered.split(' ')), heard: 100 });

const silence: SessionFailure = {
  kind: 'timeout',
  at: 'greeting',
  condemns: 'address',
  command: 'the greeting',
  limit: { key: 'greeting', milliseconds: 300_000 },
};
const signalled: SessionFailure = { kind: 'content', at: 'greeting', condemns: 'message', reason: 'aborted', detail: 'ended by SIGTERM' };
const refused: SessionFailure = {
  kind: 'rejected',
  at: 'auth',
  condemns: 'host',
  refusals: [{ command: 'AUTH X', recipient: null, reply: { code: 535, enhanced: null, lines: ['5.7.8 no'] } }],
};
const refusedWith = (code: number): SessionFailure => ({
  ...refused,
  refusals: [{ command: 'AUTH PLAIN', recipient: null, reply: { code, enhanced: null, lines: ['say STARTTLS first'] } }],
});
const noStarttls: SessionFailure = { kind: 'unsupported', at: 'hello', condemns: 'address', lacks: 'starttls', detail: 'no STARTTLS' };
const noAuth: SessionFailure = { kind: 'unsupported', at: 'hello', condemns: 'host', lacks: 'auth', detail: 'no AUTH' };

const locked: SessionFailure = {
  kind: 'rejected',
  at: 'envelope',
  condemns: 'message',
  refusals: [{ command: 'MAIL FROM:<>', recipient: null, reply: { code: 530, enhanced: null, lines: ['5.7.0 login'] } }],
};
const denied = (code: number, line: string, subject: number | null = null): SessionFailure => ({
  kind: 'rejected',
  at: 'envelope',
  condemns: 'message',
  refusals: [
    {
      command: 'RCPT TO:<x@example.net>',
      recipient: 0,
      reply: { code, enhanced: subject === null ? null : { class: Math.floor(code / 100), subject, detail: 1 }, lines: [line] },
    },
  ],
});
const strange = (code: number): SessionFailure => ({
  kind: 'rejected',
  at: 'hello',
  condemns: 'address',
  refusals: [{ command: 'HELO web1.example.org', recipient: null, reply: { code, enhanced: null, lines: ['5.5.2 what?'] } }],
});
const LOGIN_WANTED = 'nobody has logged in: if this server wants that, write [auth]';
const inClear = tlsRequired({ mode: 'off' });

/** [what failed, what is known, the hint or null, why]. */
const ROWS: readonly (readonly [SessionFailure, Known, string | null, string])[] = [
  [
    silence,
    known(),
    'nothing at all was heard: a port that is TLS from the start is as silent; if this is one, write submissions://mail.example.org:587',
    'W9: silence',
  ],
  [silence, known({ heard: 1 }), null, 'W9: a greeting that does not end'],
  [
    signalled,
    known(),
    'the greeting had not come yet; nothing at all was heard: a port that is TLS from the start is as silent; if this is one, write submissions://mail.example.org:587',
    'a signal while nothing is heard: what was waited for, and the likely cause',
  ],
  [signalled, known({ heard: 1 }), 'the greeting had not come yet', 'a signal in the middle of a greeting'],
  [{ ...signalled, at: 'envelope' }, known(), null, 'a signal later'],
  [silence, known({ host: host({ scheme: 'submissions' }) }), null, 'W9: TLS is up already'],
  [silence, known({ host: host({ scheme: 'unix', host: '/run/smtp' }) }), null, 'W9: a socket'],
  [silence, known({ host: host({ scheme: 'lmtp' }) }), null, 'W9: LMTP'],
  [
    silence,
    known({ host: host({ scheme: 'smtp', host: '2001:db8::1', port: 465 }) }),
    'nothing at all was heard: a port that is TLS from the start is as silent; if this is one, write submissions://[2001:db8::1]:465',
    'W9: an address of IPv6',
  ],
  [
    silence,
    known({ host: host({ expand: 'srv' }) }),
    'nothing at all was heard: a port that is TLS from the start is as silent; if this is one, write submissions://',
    'W9: a host of SRV records',
  ],
  [{ ...silence, at: 'hello', command: 'EHLO' }, known({ heard: 20 }), null, 'W9: a time-out later'],
  [refused, after(PASSWORD, 'PLAIN', 'PLAIN'), 'the user was "tim"', 'W10: nothing else is offered'],
  [refusedWith(454), after(PASSWORD, 'CRAM-MD5', 'PLAIN CRAM-MD5'), null, 'W10: a server that cannot look now says nothing of the login'],
  [refusedWith(500), after(PASSWORD, 'PLAIN', 'PLAIN'), 'the user was "tim"', 'W10: the first code that is final'],
  [
    refused,
    after(PASSWORD, 'CRAM-MD5', 'LOGIN PLAIN CRAM-MD5 GSSAPI'),
    'the user was "tim"; only the strongest is tried, and the server offers PLAIN, LOGIN, too: if the password is right, write mechanisms = ["PLAIN"] in [auth]',
    'W10: others are offered, of which we know two',
  ],
  [
    refused,
    after(PASSWORD, 'PLAIN', 'PLAIN LOGIN'),
    'the user was "tim"; only the strongest is tried, and the server offers LOGIN, too: if the password is right, write mechanisms = ["LOGIN"] in [auth]',
    'W10: PLAIN is refused',
  ],
  [
    refused,
    after(PASSWORD, 'SCRAM-SHA-256-PLUS', 'PLAIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS'),
    'the user was "tim"; only the strongest is tried, and the server offers SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, too: if the password is right, write mechanisms = ["SCRAM-SHA-256"] in [auth]',
    'V7: a binding that the server does not have',
  ],
  [
    refused,
    after({ ...PASSWORD, mechanisms: ['LOGIN', 'PLAIN'] }, 'LOGIN', 'PLAIN LOGIN'),
    'the user was "tim"; only the first of auth.mechanisms is tried, and the server offers PLAIN, too: if the password is right, write mechanisms = ["PLAIN"] in [auth]',
    'V7: a list of our own',
  ],
  [
    refused,
    after(PASSWORD, 'LOGIN', 'LOGIN XOAUTH2'),
    'the user was "tim"; it takes tokens, too (XOAUTH2): with one, write token_file or token_command',
    'V7: passwords are announced and not taken',
  ],
  [
    refused,
    after(TOKEN, 'OAUTHBEARER', 'OAUTHBEARER XOAUTH2 PLAIN'),
    'the user was "tim"; a token expires soon: see that it is a new one; only the strongest is tried, and the server offers XOAUTH2, too: if the token is right, write mechanisms = ["XOAUTH2"] in [auth]',
    'V7: a token',
  ],
  [
    refused,
    after({ ...PASSWORD, mechanisms: ['XOAUTH2'] }, 'XOAUTH2', 'PLAIN XOAUTH2'),
    'the user was "tim"; a token expires soon: see that it is a new one',
    'V7: a token that is named as a password',
  ],
  [
    refused,
    after(PASSWORD, 'SCRAM-SHA-256', 'SCRAM-SHA-256 SCRAM-SHA-1 PLAIN'),
    'the user was "tim"; only the strongest is tried, and the server offers SCRAM-SHA-1, PLAIN, too: if the password is right, write mechanisms = ["PLAIN"] in [auth]',
    'V7: PLAIN is what a server takes that knows only hashes, also where it is not the next',
  ],
  [
    refused,
    after({ ...PASSWORD, mechanisms: ['LOGIN'] }, 'LOGIN', 'PLAIN LOGIN'),
    'the user was "tim"; only the first of auth.mechanisms is tried, and the server offers PLAIN, too: if the password is right, write mechanisms = ["PLAIN"] in [auth]',
    'V7: a list of one',
  ],
  [refused, after(NOTHING, 'EXTERNAL', 'PLAIN EXTERNAL'), 'the user was "tim"', 'W10: a certificate'],
  [refused, after(NOTHING, 'EXTERNAL', 'EXTERNAL XOAUTH2'), 'the user was "tim"', 'W10: a certificate, where tokens are taken, too'],
  [
    refused,
    after({ ...PASSWORD, user: 'u'.repeat(300) }, 'PLAIN', 'PLAIN'),
    `the user was "${'u'.repeat(200)}…"`,
    'W10: a user with a long name',
  ],
  [refused, after({ ...PASSWORD, user: 'ti\x1bm' }, 'PLAIN', 'PLAIN'), 'the user was "ti\\x1bm"', 'W10: printable'],
  [{ ...refused, at: 'envelope' }, after(PASSWORD, 'PLAIN', 'PLAIN LOGIN'), null, 'W10: a refusal of something else'],
  [
    noStarttls,
    known({ endpoint: LOCAL }),
    '"mail.example.org" leads to a loopback address and is not written as one, so TLS is required: write the address, or mode = "off" in [tls]',
    'W3: a name that leads to loopback',
  ],
  [noStarttls, known(), null, 'W3: a name that does not'],
  [noStarttls, known({ endpoint: LOCAL, host: host({ tls: tlsRequired() }) }), null, 'W3: TLS is required in so many words'],
  [noStarttls, known({ endpoint: { ...LOCAL, family: 'name' } }), null, 'W3: behind a proxy'],
  [noStarttls, known({ endpoint: LOCAL, isOwn: true }), null, 'W3: this very host, by its own name'],
  [{ ...noStarttls, at: 'ready' }, known({ endpoint: LOCAL }), null, 'W3: a lack that is seen later'],
  [noAuth, known({ endpoint: LOCAL }), null, 'W3: something else is lacking'],
  [
    noAuth,
    known({ endpoint: LOCAL, isOwn: true }),
    'TLS is off, and a login may need it: set mode = "required" in [tls]',
    'no AUTH in clear, on loopback',
  ],
  [noAuth, known({ isOwn: true, host: host({ scheme: 'submissions' }) }), null, 'no AUTH over TLS from the start'],
  [
    locked,
    known({ host: host({ tls: inClear }) }),
    '530 wants TLS or a login: set mode = "required" in [tls], or write [auth]',
    '530 in clear, and no credentials',
  ],
  [locked, known(), '530 wants TLS or a login: write [auth]', '530 over TLS, and no credentials'],
  [
    locked,
    known({ host: host({ tls: inClear, auth: PASSWORD }) }),
    '530 wants TLS or a login: set mode = "required" in [tls]',
    '530 in clear, with credentials',
  ],
  [locked, known({ host: host({ auth: PASSWORD }) }), null, '530 where nothing is left to do'],
  ...[530, 538].map(
    (code) =>
      [
        refusedWith(code),
        known({ host: host({ tls: inClear, auth: PASSWORD }), mechanism: 'PLAIN', offered: new Set(['LOGIN', 'PLAIN']) }),
        'TLS is off, and a login may need it: set mode = "required" in [tls]',
        `${code} to a login in clear`,
      ] as const,
  ),
  [
    refusedWith(538),
    after(PASSWORD, 'PLAIN', 'PLAIN LOGIN'),
    'the user was "tim"; only the strongest is tried, and the server offers LOGIN, too: if the password is right, write mechanisms = ["LOGIN"] in [auth]',
    '538 to a login over TLS',
  ],
  [denied(554, '5.7.1 <x>: Recipient address rejected: Access denied', 7), known(), LOGIN_WANTED, 'access denied, and no credentials'],
  [denied(454, '4.7.1 <x>: Relay access denied', 7), known(), LOGIN_WANTED, 'relaying is put off, and no credentials'],
  [denied(513, 'Relaying denied.'), known(), LOGIN_WANTED, 'a server without enhanced codes'],
  [denied(550, 'authentication required'), known(), LOGIN_WANTED, 'a server without enhanced codes that names the login'],
  [denied(450, '4.7.1 Greylisted', 7), known(), null, 'greylisting'],
  [denied(500, '5.7.1 not for you', 7), known(), LOGIN_WANTED, 'a policy that does not say what it wants'],
  [denied(550, '5.1.1 no such user', 1), known(), null, 'a user that is not known'],
  [denied(554, '5.7.1 Access denied', 7), known({ host: host({ auth: PASSWORD }) }), null, 'access denied, with credentials'],
  [{ ...denied(554, '5.7.1 spam', 7), at: 'commit' }, known(), null, 'content that a policy refuses'],
  [
    strange(500),
    known({ host: host({ scheme: 'unix', host: '/run/lmtp' }) }),
    'if this server speaks LMTP, write lmtp+unix:/run/lmtp',
    'a socket that knows no HELO',
  ],
  [
    strange(502),
    known({ host: host({ scheme: 'unix', host: '/run/smtp', lmtp: true }) }),
    'if this server speaks SMTP, write unix:/run/smtp',
    'a socket that knows no LHLO',
  ],
  [
    strange(500),
    known({ host: host({ scheme: 'smtp', port: 24 }) }),
    'if this server speaks LMTP, write lmtp://mail.example.org:24',
    'a port that knows no HELO',
  ],
  [
    strange(502),
    known({ host: host({ scheme: 'lmtp', port: 25 }) }),
    'if this server speaks SMTP, write smtp://mail.example.org:25',
    'a port that knows no LHLO',
  ],
  [strange(501), known(), null, 'a name that is refused'],
  [strange(500), known({ host: host({ scheme: 'submissions' }) }), null, 'no HELO over TLS from the start'],
  [strange(500), known({ host: host({ expand: 'mx' }) }), null, 'no HELO at a host of MX records'],
  [
    noStarttls,
    known({ endpoint: LOCAL, host: host({ ignoreExtensions: ['STARTTLS', 'SIZE'] }) }),
    'ignore_extensions makes this count as not offered: STARTTLS, SIZE',
    'W6: STARTTLS is ignored',
  ],
  [
    { ...noAuth, at: 'ready', lacks: 'dsn', detail: 'no DSN' },
    known(),
    'dsn = "require" is what asks for that',
    'reports are required and not offered',
  ],
  [
    { ...noAuth, at: 'ready', lacks: '8bitmime', detail: 'no 8BITMIME' },
    known(),
    'eight_bit = "refuse" is what asks for that',
    '8-bit text may not be converted',
  ],
  [
    { ...noAuth, lacks: 'mechanism', detail: 'only XOAUTH2' },
    after({ ...NOTHING, mechanisms: [] }, '', 'XOAUTH2'),
    null,
    'a certificate, where tokens only are taken',
  ],
  [
    { ...noAuth, lacks: 'mechanism', detail: 'only PLAIN' },
    after({ ...PASSWORD, mechanisms: ['LOGIN'] }, '', 'PLAIN'),
    'auth.mechanisms says what is allowed',
    'a list of one, which the server does not offer',
  ],
  [
    { ...noAuth, at: 'ready', lacks: 'partial', detail: 'it would be split' },
    known(),
    'send to one, or set lmtp_partial = true, which gives up all or none',
    'a message that would be split',
  ],
  [
    { ...noAuth, lacks: 'tls', detail: 'not encrypted' },
    after(PASSWORD, '', 'PLAIN'),
    'use TLS, or set allow_plaintext = true in [auth]',
    'a password that may not go in clear',
  ],
  [
    { ...noAuth, lacks: 'mechanism', detail: 'only GSSAPI' },
    after(TOKEN, '', 'GSSAPI'),
    null,
    'a token, where neither tokens nor passwords are taken',
  ],
  [{ ...noAuth, at: 'content', lacks: '8bitmime', detail: 'a signature' }, known(), null, 'what cannot be converted says so itself'],
  [
    noAuth,
    known({ host: host({ ignoreExtensions: ['AUTH'] }) }),
    'ignore_extensions makes this count as not offered: AUTH',
    'W6: AUTH is ignored',
  ],
];
for (const [failure, facts, hint, why] of ROWS)
  test(why, () => {
    const told = advise(failure, facts);
    assert.deepEqual(told, hint === null ? failure : { ...failure, hint });
    assert.deepEqual(printFailure(told).slice(printFailure(failure).length), hint === null ? [] : [hint]);
  });

test('W9: it is looked for silence once, half-way to the time-out and after five seconds at most', async () => {
  const { setTimeout: real, clearTimeout: realClear } = globalThis;
  const asked: number[] = [];
  let look = (): void => {};
  let cleared = 0;
  globalThis.setTimeout = ((work: () => void, milliseconds: number) => {
    look = work;
    asked.push(milliseconds);
    return { unref: () => ({}) };
  }) as unknown as typeof setTimeout;
  globalThis.clearTimeout = () => {
    cleared += 1;
  };
  try {
    const told: string[] = [];
    for (const within of [3000, 9999, 10_001, 300_000]) tellOfSilence(known, (words) => told.push(words), within, Promise.resolve());
    assert.deepEqual(asked, [1500, 4999.5, 5000, 5000]);
    look();
    assert.deepEqual(told, [advise(silence, known()).hint]);
    await Promise.resolve();
    assert.equal(cleared, 4, 'a session that is over is not looked at');
    for (const facts of [null, known({ heard: 1 }), known({ host: host({ scheme: 'lmtp' }) })]) {
      tellOfSilence(
        () => facts,
        (words) => told.push(words),
        3000,
        Promise.resolve(),
      );
      look();
    }
    assert.equal(told.length, 1, 'nobody is silent there');
  } finally {
    globalThis.setTimeout = real;
    globalThis.clearTimeout = realClear;
  }
});

test.run();
