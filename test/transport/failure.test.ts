/** Why TLS failed, in whole sentences, to whoever wrote a configuration and to a program. No handshake is done. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { DEFAULT_TLS } from '../../src/router/smarthost.ts';
import type { CertificateFacts, ChainLink } from '../../src/transport/tls/chain.ts';
import {
  explainChain,
  explainLater,
  explainNames,
  explainTlsFailure,
  explainWeakness,
  isAboutWeakness,
  type TlsAttempt,
} from '../../src/transport/tls/failure.ts';
import { OF_CONFIGURATION, OF_PROGRAM } from '../../src/transport/tls/words.ts';

const test = suite('failures of TLS');

const ATTEMPT: TlsAttempt = {
  policy: DEFAULT_TLS,
  wanted: { sni: 'mail.example.org', names: ['mail.example.org'] },
  implicit: true,
  hasIdentity: false,
  versions: { from: '1.2', to: null },
  store: { name: 'the CA store', isGiven: false },
  words: OF_CONFIGURATION,
};
const PROGRAM = { words: OF_PROGRAM };
const IDENTITY = { hasIdentity: true };
const failing = (code: string, message: string, reason?: string) =>
  Object.assign(new Error(message), code === '' ? {} : { code }, reason === undefined ? {} : { reason });

const NO_TLS = 'the port does not speak TLS from the start; if it offers STARTTLS, write submission:// (or smtp://) for it';
const WANTS = 'the server requires a client certificate; set';
const COMMON = 'the server has no cipher, key exchange or signature in common with us, or requires a client certificate';
const CLOSED = 'the server closed the connection during the TLS handshake';
const WEAK = "the server's TLS is too weak to be used:";

// biome-ignore format: a table is read as a table
const HANDSHAKES: readonly (readonly [string, string, Partial<TlsAttempt>, string])[] = [
  ['ERR_SSL_WRONG_VERSION_NUMBER', '', {}, NO_TLS],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', '', {}, NO_TLS],
  ['ERR_SSL_HTTP_REQUEST', '', {}, NO_TLS],
  ['ERR_SSL_UNKNOWN_PROTOCOL', '', {}, NO_TLS],
  ['ERR_SSL_BAD_RECORD_TYPE', '', {}, NO_TLS],
  ['ERR_SSL_UNEXPECTED_MESSAGE', '', {}, NO_TLS],
  ['ERR_SSL_RECORD_TOO_LARGE', '', {}, NO_TLS],
  ['', 'wrong version number', {}, NO_TLS],
  ['ERR_SSL_WRONG_VERSION_NUMBER', '', { implicit: false }, 'the server agreed to STARTTLS and then sent something that is not TLS'],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', '', {}, 'the server has no TLS version from 1.2 on (tls.min_version)'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', '', { versions: { from: '1.3', to: null } }, 'the server has no TLS version from 1.3 on (tls.min_version)'],
  ['ERR_SSL_VERSION_TOO_LOW', '', { ...PROGRAM, versions: { from: '1.2', to: '1.2' } }, 'the server has no TLS version from 1.2 to 1.2 (tls.minVersion)'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', '', {}, `${WANTS} certificate and certificate_key in [tls]`],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', '', PROGRAM, `${WANTS} tls.certificate and tls.key`],
  ...['UNKNOWN_CA', 'BAD_CERTIFICATE', 'UNSUPPORTED_CERTIFICATE', 'CERTIFICATE_EXPIRED', 'ACCESS_DENIED'].flatMap((alert): [string, string, Partial<TlsAttempt>, string][] => [
    [`ERR_SSL_TLSV1_ALERT_${alert}`, '', IDENTITY, 'the server does not accept our client certificate (tls.certificate)'],
    [`ERR_SSL_TLSV1_ALERT_${alert}`, '', {}, 'the server refuses us for want of a certificate it accepts (tls.certificate)'],
  ]),
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', '', {}, COMMON],
  ['ERR_SSL_NO_SHARED_CIPHER', '', {}, COMMON],
  ['ERR_SSL_TLSV1_ALERT_INSUFFICIENT_SECURITY', '', {}, COMMON],
  ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', '', {}, 'the server does not know the name mail.example.org (tls.server_name)'],
  ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', '', PROGRAM, 'the server does not know the name mail.example.org (tls.serverName)'],
  ['ERR_SSL_DH_KEY_TOO_SMALL', 'dh key too small', {}, `${WEAK} dh key too small`],
  ['ERR_SSL_EE_KEY_TOO_SMALL', 'ee key too small', {}, `${WEAK} ee key too small`],
  ['ERR_SSL_CA_KEY_TOO_SMALL', 'ca key too small', {}, `${WEAK} ca key too small`],
  ['ERR_SSL_CA_MD_TOO_WEAK', 'ca md too weak', {}, `${WEAK} ca md too weak`],
  ['ERR_SSL_UNSAFE_LEGACY_RENEGOTIATION_DISABLED', 'unsafe legacy', {}, `${WEAK} unsafe legacy`],
  ['ECONNRESET', '', {}, CLOSED],
  ['EPIPE', '', {}, CLOSED],
  ['ERR_SSL_UNEXPECTED_EOF_WHILE_READING', '', {}, CLOSED],
  ['ERR_SSL_X', '  odd\x1b[31m words\n', {}, 'TLS failed: odd\\x1b[31m words'],
  ['ERR_SSL_X', 'x'.repeat(201), {}, `TLS failed: ${'x'.repeat(200)}\u2026`],
];
for (const [code, message, changed, expected] of HANDSHAKES)
  test(`${code || message.slice(0, 30)} ${Object.keys(changed).join(' ')}`, () =>
    assert.equal(explainTlsFailure(failing(code, message), { ...ATTEMPT, ...changed }), expected));

test('OpenSSL’s own words come without the numbers around them', () =>
  assert.equal(explainTlsFailure(failing('ERR_SSL_X', '0A000126:SSL routines::odd', 'odd'), ATTEMPT), 'TLS failed: odd'));

test('after the handshake only our certificate can be refused, and everything else is an error of TLS', () => {
  const later = (code: string, changed: Partial<TlsAttempt> = {}) => explainLater(failing(code, 'words'), { ...ATTEMPT, ...changed });
  assert.equal(later('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', IDENTITY), 'the server does not accept our client certificate (tls.certificate)');
  assert.equal(later('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), `${WANTS} certificate and certificate_key in [tls]`);
  assert.equal(later('ERR_SSL_WRONG_VERSION_NUMBER'), 'TLS failed: words');
  assert.equal(later(''), 'TLS failed: words');
});

/* ---- certificates ---- */

const facts = (subject: string, changed: Partial<CertificateFacts> = {}): CertificateFacts => ({
  subject,
  issuer: `issuer of ${subject}`,
  names: [],
  notBefore: Date.UTC(2020, 0, 1),
  notAfter: Date.UTC(2100, 0, 1),
  fingerprint: '',
  keyFingerprint: '',
  ...changed,
});
const link = (subject: string, changed: Partial<CertificateFacts> = {}, selfIssued = false): ChainLink =>
  ({ facts: facts(subject, changed), content: { selfIssued } }) as ChainLink;

const NOW = Date.UTC(2030, 0, 1, 12);
const OWN = link('own');
const SELF = link('own', {}, true);
const MIDDLE = link('middle');
const SELF_SIGNED = 'the certificate is self-signed; if it is the right one, name it as';
const NOT_SENT = ', or the server does not send its intermediate certificate';
const GIVEN = { store: { name: 'tls.ca_file (/ca)', isGiven: true } };
const UNKNOWN = [
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
];

// biome-ignore format: a table is read as a table
const CHAINS: readonly (readonly [string, readonly ChainLink[], Partial<TlsAttempt>, string])[] = [
  ['DEPTH_ZERO_SELF_SIGNED_CERT', [OWN], {}, `${SELF_SIGNED} ca_file in [tls], or its digest as fingerprint`],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', [OWN, MIDDLE], PROGRAM, `${SELF_SIGNED} tls.ca, or its digest as tls.fingerprint`],
  ...UNKNOWN.flatMap((code): [string, ChainLink[], Partial<TlsAttempt>, string][] => [
    [code, [SELF], {}, `${SELF_SIGNED} ca_file in [tls], or its digest as fingerprint`],
    [code, [OWN], {}, `the certificate comes from "issuer of own", which is not in the CA store${NOT_SENT}; if that is the right CA, ca_file in [tls] can name its file`],
    [code, [OWN], PROGRAM, `the certificate comes from "issuer of own", which is not in the CA store${NOT_SENT}; if that is the right CA, tls.ca can hold it`],
    [code, [OWN], GIVEN, `the certificate comes from "issuer of own", which is not in tls.ca_file (/ca)${NOT_SENT}`],
    [code, [SELF, MIDDLE], GIVEN, 'the certificate comes from "issuer of middle", which is not in tls.ca_file (/ca)'],
  ]),
  ['CERT_HAS_EXPIRED', [link('own', { notAfter: Date.UTC(2026, 0, 2, 3, 4, 5) }), MIDDLE], {}, 'the certificate expired on 2026-01-02 03:04 UTC'],
  ['CERT_HAS_EXPIRED', [OWN, link('middle', { notAfter: Date.UTC(2026, 0, 2) })], {}, 'the issuer\'s certificate "middle" expired on 2026-01-02 00:00 UTC'],
  ['CERT_HAS_EXPIRED', [link('own', { notAfter: NOW }), link('middle', { notAfter: NOW - 1 })], {}, 'the issuer\'s certificate "middle" expired on 2030-01-01 11:59 UTC'],
  ['CERT_NOT_YET_VALID', [link('own', { notBefore: NOW }), link('middle', { notBefore: NOW + 1 })], {}, 'the issuer\'s certificate "middle" is not valid before 2030-01-01 12:00 UTC, and the clock here says 2030-01-01 12:00 UTC'],
  ['CERT_HAS_EXPIRED', [OWN, MIDDLE], {}, 'the certificate expired on 2100-01-01 00:00 UTC'],
  ['CERT_HAS_EXPIRED', [link('own', { notAfter: Number.NaN })], {}, 'the certificate expired on (unknown)'],
  ['CERT_HAS_EXPIRED', [], {}, 'the certificate expired on (unknown)'],
  ['CERT_NOT_YET_VALID', [link('own', { notBefore: Date.UTC(2050, 0, 2, 3, 4, 5) }), MIDDLE], {}, 'the certificate is not valid before 2050-01-02 03:04 UTC, and the clock here says 2030-01-01 12:00 UTC'],
  ['CERT_NOT_YET_VALID', [OWN, link('middle', { notBefore: Date.UTC(2050, 0, 2) })], {}, 'the issuer\'s certificate "middle" is not valid before 2050-01-02 00:00 UTC, and the clock here says 2030-01-01 12:00 UTC'],
  ['CERT_NOT_YET_VALID', [], {}, 'the certificate is not valid before (unknown), and the clock here says 2030-01-01 12:00 UTC'],
  ['CERT_SIGNATURE_FAILURE', [OWN], {}, 'the signature of the certificate is wrong'],
  ['INVALID_PURPOSE', [OWN], {}, 'the certificate is not meant for a server'],
  ['CERT_REVOKED', [OWN], {}, 'the certificate is revoked'],
  ['odd\x1b[31m', [OWN], {}, 'the certificate cannot be verified (odd\\x1b[31m)'],
  ['x'.repeat(101), [OWN], {}, `the certificate cannot be verified (${'x'.repeat(100)}\u2026)`],
];
for (const [code, chain, changed, expected] of CHAINS)
  test(`${code.slice(0, 40)}, ${chain.length} of a chain ${Object.keys(changed).join(' ')}`, () => {
    const { now } = Date;
    Date.now = () => NOW;
    try {
      assert.equal(explainChain(code, chain, { ...ATTEMPT, ...changed }), expected);
    } finally {
      Date.now = now;
    }
  });

test('codes about weakness are told from others', () => {
  for (const code of ['UNSPECIFIED', 'EE_KEY_TOO_SMALL', 'CA_MD_TOO_WEAK']) assert.equal(isAboutWeakness(code), true, code);
  for (const code of ['CERT_HAS_EXPIRED', 'TOO_WEAK', 'CA_MD_TOO_WEAK_', 'X UNSPECIFIED', ''])
    assert.equal(isAboutWeakness(code), false, code);
});

test('a weakness says whose it is and what may be done', () => {
  const detail = 'is signed with SHA-1, which can be forged';
  const end = 'the server needs another one; until it has';
  assert.equal(
    explainWeakness({ at: 0, detail }, [OWN, MIDDLE], OF_CONFIGURATION),
    `the certificate ${detail}: ${end}, fingerprint in [tls] can name the one it has`,
  );
  assert.equal(
    explainWeakness({ at: 1, detail }, [OWN, MIDDLE], OF_PROGRAM),
    `the issuer's certificate "middle" ${detail}: ${end}, tls.fingerprint can name the one it has`,
  );
});

test('a wrong name says for whom the certificate is and who is wanted', () => {
  const told = (names: readonly string[], wanted: readonly string[], words = OF_CONFIGURATION) =>
    explainNames(link('own', { names }), { sni: '', names: wanted }, words);
  const many = Array.from({ length: 10 }, (_, i) => `n${i}`);
  const asDomain = 'as a domain, which does not count for an IP address: it needs an entry of type IP in subjectAltName';
  for (const [names, wanted, expected] of [
    [['a'], [], 'a unix socket has no name to verify; set server_name in [tls]'],
    [[], ['w'], 'the certificate names no host in subjectAltName (its common name "own" does not count), so it is not for w'],
    [['a'], ['w'], 'the certificate is for a, not for w (see server_name in [tls])'],
    [['a', 'b'], ['v', 'w'], 'the certificate is for a, b, not for v or w (see server_name in [tls])'],
    [many.slice(0, 8), ['w'], `the certificate is for ${many.slice(0, 8).join(', ')}, not for w (see server_name in [tls])`],
    [many.slice(0, 9), ['w'], `the certificate is for ${many.slice(0, 8).join(', ')} and 1 more, not for w (see server_name in [tls])`],
    [many, ['w'], `the certificate is for ${many.slice(0, 8).join(', ')} and 2 more, not for w (see server_name in [tls])`],
    [['192.0.2.1'], ['192.0.2.1'], `the certificate names 192.0.2.1 ${asDomain}`],
    [['2001:db8::7'], ['2001:db8::7'], `the certificate names 2001:db8::7 ${asDomain}`],
    [['192.0.2.1'], ['192.0.2.2'], 'the certificate is for 192.0.2.1, not for 192.0.2.2 (see server_name in [tls])'],
    [['a', '192.0.2.1'], ['192.0.2.1', 'a'], 'the certificate is for a, 192.0.2.1, not for 192.0.2.1 or a (see server_name in [tls])'],
  ] as const)
    assert.equal(told(names, wanted), expected);
  assert.equal(told([], [], OF_PROGRAM), 'a unix socket has no name to verify; set tls.serverName');
  assert.equal(told(['a'], ['w'], OF_PROGRAM), 'the certificate is for a, not for w (see tls.serverName)');
});

test.run();
