/** The choice of a mechanism, as tables over the announced, the configured, the credentials and the facts of the channel. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { readExtensions } from '../../../src/smtp/client/extensions.ts';
import { type AuthChannel, type Credentials, chooseMechanism, type MechanismPolicy } from '../../../src/smtp/sasl/choose.ts';
import { MECHANISMS } from '../../../src/smtp/sasl/mechanisms.ts';
import { digestFault } from '../../../src/smtp/sasl/sasl.ts';
import type { ChannelBinding } from '../../../src/smtp/sasl/scram.ts';
import { hashes } from '../../../src/transport/hashes.ts';

const test = suite('choose');

const EXPORTER: ChannelBinding = { type: 'tls-exporter', data: 'x'.repeat(32) };
const END_POINT: ChannelBinding = { type: 'tls-server-end-point', data: 'y'.repeat(32) };
const password: Credentials = { user: 'tim', secret: 'geheim', kind: 'password', clientCertificate: false };
const token: Credentials = { ...password, secret: 'ya29.token', kind: 'token' };
const nothing: Credentials = { ...password, secret: '', kind: 'none' };
const any: MechanismPolicy = { mechanisms: [], allowPlaintext: false };
const only = (...mechanisms: string[]): MechanismPolicy => ({ mechanisms, allowPlaintext: false });
const tls: AuthChannel = { secured: true, loopback: false, host: 'mail.example.org', port: 587, bindings: [EXPORTER, END_POINT] };
const unbound: AuthChannel = { ...tls, bindings: [] };
const clear: AuthChannel = { ...unbound, secured: false };
const loopback: AuthChannel = { ...clear, loopback: true };

const words = (line: string): ReadonlySet<string> => new Set(line.split(' ').filter((word) => word !== ''));

function choose(offered: string, credentials: Credentials, policy: MechanismPolicy, channel: AuthChannel): string {
  const chosen = chooseMechanism(words(offered), credentials, policy, channel, hashes);
  return chosen.ok ? chosen.value.name : `- ${chosen.detail}`;
}

const FULL = 'LOGIN PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS XOAUTH2 OAUTHBEARER EXTERNAL GSSAPI';
const without = (...names: string[]): string =>
  FULL.split(' ')
    .filter((name) => !names.includes(name))
    .join(' ');

test('the strongest that both sides have', () => {
  for (const [offered, credentials, channel, expected] of [
    [FULL, password, tls, 'SCRAM-SHA-256-PLUS'],
    [without('SCRAM-SHA-256-PLUS'), password, tls, 'SCRAM-SHA-1-PLUS'],
    [without('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS'), password, tls, 'SCRAM-SHA-256'],
    [FULL, password, unbound, 'SCRAM-SHA-256'],
    ['LOGIN PLAIN CRAM-MD5 SCRAM-SHA-1', password, tls, 'SCRAM-SHA-1'],
    ['LOGIN PLAIN CRAM-MD5', password, tls, 'CRAM-MD5'],
    ['LOGIN PLAIN', password, tls, 'PLAIN'],
    ['LOGIN', password, tls, 'LOGIN'],
    [FULL, token, tls, 'OAUTHBEARER'],
    ['PLAIN LOGIN XOAUTH2', token, tls, 'XOAUTH2'],
    [FULL, { ...nothing, clientCertificate: true }, tls, 'EXTERNAL'],
    [FULL, { ...password, clientCertificate: true }, unbound, 'SCRAM-SHA-256'],
  ] as const)
    assert.equal(choose(offered, credentials, any, channel), expected, `${offered} (${credentials.kind})`);
});

test('what the platform does not compute is passed over (FIPS 140: MD5), and what it throws at a challenge cancels the exchange', () => {
  const fips = {
    ...hashes,
    hmac(...[digest, key, text]: Parameters<typeof hashes.hmac>) {
      if (digest !== 'sha256') throw new Error('error:0308010C:digital envelope routines::unsupported');
      return hashes.hmac(digest, key, text);
    },
    pbkdf2(): string {
      throw new Error('invalid salt length');
    },
  };
  const name = (offered: string): string => {
    const chosen = chooseMechanism(words(offered), password, any, tls, fips);
    return chosen.ok ? chosen.value.name : `- ${chosen.detail}`;
  };
  assert.equal(name('CRAM-MD5 PLAIN'), 'PLAIN');
  assert.equal(name('CRAM-MD5'), "- CRAM-MD5 needs MD5, which this system's cryptography refuses");
  assert.equal(name('SCRAM-SHA-1-PLUS'), "- SCRAM-SHA-1-PLUS needs SHA-1, which this system's cryptography refuses");
  const none = () => assert.fail('unsupported');
  assert.equal(
    digestFault('SCRAM-SHA-256', 'sha256', { ...hashes, hmac: none }),
    "SCRAM-SHA-256 needs SHA-256, which this system's cryptography refuses",
  );
  const chosen = chooseMechanism(words('SCRAM-SHA-256'), password, any, tls, fips);
  assert.ok(chosen.ok);
  const first = chosen.value.begin();
  const nonce = /r=(.*)$/.exec(first.say ?? '')?.[1];
  assert.deepEqual(first.hear(`r=${nonce}abc,s=c2FsdA==,i=4096`), { cancel: "this system's cryptography refuses it: invalid salt length" });
  assert.deepEqual(first.hear('rubbish'), { cancel: "the server's first SCRAM message cannot be read" });
});

test('what the caller lacks is told from what the server lacks', () => {
  const lacks = (credentials: Credentials, channel = tls) => {
    const chosen = chooseMechanism(words(FULL), credentials, any, channel, hashes);
    return chosen.ok ? '' : chosen.lacks;
  };
  assert.equal(lacks(nothing), 'credentials');
  assert.equal(lacks({ ...password, secret: 'a\0b' }), 'credentials');
  assert.equal(lacks(password, clear), 'tls');
});

test('a token is no password, a password no token, unless mechanisms are configured', () => {
  assert.match(choose('PLAIN LOGIN SCRAM-SHA-256', token, any, tls), /^- .*offers PLAIN LOGIN SCRAM-SHA-256.*fit OAUTHBEARER XOAUTH2/);
  assert.match(choose('XOAUTH2 OAUTHBEARER', password, any, tls), /^- .*offers XOAUTH2 OAUTHBEARER.*fit SCRAM/);
  assert.equal(choose('PLAIN XOAUTH2', password, only('XOAUTH2'), tls), 'XOAUTH2');
  assert.equal(choose('PLAIN XOAUTH2', token, only('PLAIN'), tls), 'PLAIN');
});

test('the sentence names what would fit', () => {
  assert.match(choose('GSSAPI', password, any, tls), /and the credentials fit [A-Z0-9 -]+$/);
  assert.match(choose('GSSAPI', token, any, tls), /and the credentials fit OAUTHBEARER XOAUTH2$/);
  assert.match(choose('PLAIN XOAUTH2', password, only('LOGIN'), tls), /and only LOGIN is allowed$/);
  assert.match(choose('X'.repeat(300), password, any, tls), /^- the server offers X{200}…, and/);
  assert.match(choose('XOAUTH2 LOGIN', token, only('OAUTHBEARER'), tls), /and only OAUTHBEARER is allowed$/);
});

test('hostile case 11: a configured list restricts, in its own order', () => {
  assert.match(
    choose('LOGIN PLAIN', password, only('SCRAM-SHA-256'), tls),
    /^- the server offers LOGIN PLAIN, and only SCRAM-SHA-256 is allowed$/,
  );
  assert.equal(choose(FULL, password, only('LOGIN', 'SCRAM-SHA-256'), tls), 'LOGIN');
  assert.equal(choose('PLAIN SCRAM-SHA-256', password, only('LOGIN', 'SCRAM-SHA-256'), tls), 'SCRAM-SHA-256');
  assert.match(choose(FULL, password, only('GSSAPI'), tls), /^- the mechanism GSSAPI is not known$/);
});

test('pitfall 62: words are compared whole, as EHLO announced them', () => {
  for (const [line, expected] of [
    ['AUTH XPLAIN LOGIN-X', /^- .*offers XPLAIN LOGIN-X/],
    ['AUTH=LOGIN', /^LOGIN$/],
    ['auth plain', /^PLAIN$/],
    ['AUTHPLAIN PLAIN', /^- the server offers no authentication/],
    ['AUTH', /^- the server offers no authentication/],
    ['AUTH SCRAM-SHA-256X PLAIN', /^PLAIN$/],
  ] as const) {
    const { keywords } = readExtensions({ code: 250, enhanced: null, lines: ['mail.example.org', line] } as never);
    const chosen = chooseMechanism(new Set(keywords.get('AUTH') ?? []), password, any, tls, hashes);
    assert.match(chosen.ok ? chosen.value.name : `- ${chosen.detail}`, expected, line);
  }
});

test('hostile case 10: no credentials over a channel that others can read', () => {
  assert.deepEqual([...MECHANISMS].sort(), without('GSSAPI').split(' ').sort());
  for (const name of MECHANISMS) {
    const credentials = { ...password, clientCertificate: true };
    assert.match(choose(FULL, credentials, only(name), clear), /^- the connection is not encrypted, so no credentials are sent$/, name);
  }
  const allowed: MechanismPolicy = { mechanisms: [], allowPlaintext: true };
  assert.equal(choose('PLAIN LOGIN', password, allowed, clear), 'PLAIN');
  assert.equal(choose(FULL, password, allowed, clear), 'SCRAM-SHA-256');
  assert.equal(choose('PLAIN LOGIN', password, any, loopback), 'PLAIN');
});

test('EXTERNAL: with a certificate over TLS, or at a loopback address; never by password alone', () => {
  const certified = { ...nothing, clientCertificate: true };
  assert.match(choose('EXTERNAL', password, only('EXTERNAL'), tls), /^- EXTERNAL needs a client certificate/);
  assert.equal(choose('EXTERNAL', password, only('EXTERNAL'), loopback), 'EXTERNAL');
  assert.match(choose('EXTERNAL', certified, { mechanisms: [], allowPlaintext: true }, clear), /^- EXTERNAL needs a client certificate/);
  assert.match(choose(FULL, nothing, any, tls), /^- a user name is configured, but no password/);
  assert.match(choose('PLAIN', certified, any, tls), /^- .*offers PLAIN.*fit EXTERNAL/);
  assert.match(choose('EXTERNAL', nothing, only('EXTERNAL'), tls), /^- EXTERNAL needs a client certificate/);
});

test('hostile case 13: the flag of SCRAM says whether an offer of -PLUS can have been stripped', () => {
  for (const [offered, policy, channel, expected, why] of [
    [FULL, any, tls, 'p=tls-exporter,,', 'both can bind'],
    [FULL, any, { ...tls, bindings: [END_POINT] }, 'p=tls-server-end-point,,', 'both can bind, TLS 1.2'],
    ['SCRAM-SHA-256 PLAIN', any, tls, 'y,,', 'we could, the server does not offer'],
    ['SCRAM-SHA-1 PLAIN', any, tls, 'y,,', 'the same with SHA-1'],
    ['SCRAM-SHA-256', any, unbound, 'n,,', 'we could not'],
    [FULL, only('SCRAM-SHA-256'), tls, 'n,,', 'the server offers, the configuration forbids'],
    ['SCRAM-SHA-256', any, { ...tls, bindings: [END_POINT] }, 'y,,', 'we could in one way'],
    ['SCRAM-SHA-256 GS2-KRB5-PLUS', any, tls, 'y,,', 'the server binds another mechanism only'],
    ['SCRAM-SHA-256 SCRAM-SHA-512-PLUS', any, tls, 'n,,', 'the server binds with a digest we do not have'],
  ] as const) {
    const chosen = chooseMechanism(words(offered), password, policy, channel, hashes);
    assert.ok(chosen.ok, why);
    assert.ok(chosen.value.begin().say?.startsWith(expected), `${why}: ${chosen.value.begin().say}`);
  }
  assert.match(
    choose(FULL, password, only('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS'), unbound),
    /^- SCRAM-SHA-256-PLUS needs a TLS channel.*; SCRAM-SHA-1-PLUS/,
  );
});

test('unusable credentials', () => {
  for (const [credentials, policy, expected] of [
    [{ ...password, user: 'a\r\nb' }, any, /^- the user name contains a control/],
    [{ ...password, secret: 'geheim\n' }, any, /^- the password or token contains a control.*line end/],
    [{ ...password, secret: 'a\0b' }, any, /^- the password or token/],
    [{ ...password, user: '\x9b' }, any, /^- the user name/],
    [{ ...password, user: '\ud800' }, any, /^- the user name/],
    [{ ...password, user: '' }, only('PLAIN'), /^- PLAIN needs a user name and a password$/],
    [{ ...password, secret: '' }, only('CRAM-MD5', 'LOGIN'), /^- CRAM-MD5 needs .*; LOGIN needs/],
    [{ ...token, secret: 'a b' }, any, /^- OAUTHBEARER needs a token, without blanks.*; XOAUTH2 needs/],
    [{ ...token, secret: 'tökén' }, any, /^- OAUTHBEARER needs a token/],
    [
      { ...password, secret: 'p\ufffd' },
      only('SCRAM-SHA-1', 'SCRAM-SHA-256'),
      /^- the password cannot be used with SCRAM: it contains the replacement character$/,
    ],
  ] as const)
    assert.match(choose(FULL, credentials, policy, tls), expected);
  assert.equal(choose(FULL, { ...password, secret: 'p\ufffd' }, any, tls), 'CRAM-MD5', 'what SASLprep refuses can still be said otherwise');
});

test('a token of any length is sent; a long one not in the AUTH command', () => {
  const long = chooseMechanism(words('XOAUTH2'), { ...token, secret: 't'.repeat(5000) }, any, tls, hashes);
  assert.ok(long.ok);
  assert.equal(long.value.begin().say, null);
  const short = chooseMechanism(words('OAUTHBEARER'), token, any, tls, hashes);
  assert.ok(short.ok);
  assert.ok(short.value.begin().say?.includes('host=mail.example.org\x01port=587\x01'));
});

test('hostile words of a server are shown printable and short', () => {
  const reason = choose(`\x1b[31m ${'X'.repeat(5000)}`, password, any, tls);
  assert.ok(reason.length < 400);
  assert.ok(!reason.includes('\x1b'));
});

test('whatever is announced and configured, the choice is announced, allowed, and never in the clear', () => {
  const names = fc.subarray([...MECHANISMS, 'GSSAPI', 'XPLAIN']);
  fc.assert(
    fc.property(
      names,
      names,
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom(password, token, nothing),
      (has, wants, secured, near, allow, who) => {
        const channel: AuthChannel = { ...tls, secured, loopback: near, bindings: secured ? [EXPORTER] : [] };
        const chosen = chooseMechanism(new Set(has), who, { mechanisms: wants, allowPlaintext: allow }, channel, hashes);
        if (!chosen.ok) return assert.ok(chosen.detail.length > 0);
        assert.ok(has.includes(chosen.value.name as never));
        assert.ok(wants.length === 0 || wants.includes(chosen.value.name as never));
        assert.ok(secured || near || allow);
      },
    ),
  );
});

test.run();
