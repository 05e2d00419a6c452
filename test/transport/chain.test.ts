/** Chains of certificates: how far they are read, what people see of them, and which weakness is found in them. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { suite } from 'uvu';
import { type Certificate, type CertificateOptions, makeCertificate } from '../../src/transport/tls/certificate.ts';
import { type ChainLink, chainOf, keysIn, weaknessOf } from '../../src/transport/tls/chain.ts';
import type { CertificateContent } from '../../src/transport/tls/x509.ts';
import type { TlsPeer } from '../../src/transport/wire.ts';

const test = suite('chain');

interface Shown {
  readonly raw?: Uint8Array;
  readonly subject?: unknown;
  readonly issuer?: unknown;
  issuerCertificate?: Shown | undefined;
}

const derOf = (certificate: Certificate): Buffer => new X509Certificate(certificate.own).raw;
const made = (options: CertificateOptions = {}): Shown => ({ raw: derOf(makeCertificate(options)), subject: {}, issuer: {} });
/** A peer that shows these, each as the issuer of the one before. */
function peer(...shown: readonly Shown[]): TlsPeer {
  const linked: readonly Shown[] = shown.map((each) => ({ ...each }));
  for (const [at, each] of linked.entries()) each.issuerCertificate ??= linked[at + 1];
  return {
    getPeerCertificate: (isDetailed: boolean) => (isDetailed ? linked[0] : { ...linked[0], issuerCertificate: undefined }),
  } as unknown as TlsPeer;
}

test('a chain is read to its end: the last that is shown, one that was there before, one that cannot be read, or the longest that is believed', () => {
  const [leaf, middle, root] = [made({ commonName: 'leaf' }), made({ commonName: 'middle' }), made({ commonName: 'root' })];
  const rootOfItself: Shown = { ...root };
  rootOfItself.issuerCertificate = rootOfItself;
  const many = Array.from({ length: 103 }, () => made());
  const cases: readonly (readonly [readonly Shown[], number, string])[] = [
    [[], 0, 'nothing'],
    [[{}], 0, 'no octets'],
    [[leaf], 1, 'one'],
    [[leaf, middle, root], 3, 'three'],
    [[leaf, middle, rootOfItself], 3, 'a root names itself as its issuer'],
    [[leaf, middle, leaf, root], 2, 'a circle'],
    [[leaf, { raw: Buffer.from('no certificate') }, root], 1, 'octets that are no certificate'],
    [many.slice(0, 102), 102, 'a hundred issuers and a root'],
    [many, 102, 'one more'],
  ];
  for (const [shown, length, why] of cases) {
    const chain = chainOf(peer(...shown));
    assert.deepEqual(
      chain.map(({ der }) => der),
      shown.slice(0, length).map(({ raw }) => raw),
      why,
    );
  }
});

test('people see of a certificate whose it is, who issued it, for whom and until when, and two fingerprints', () => {
  const certificate = makeCertificate({
    names: ['mail.example.org', `${'x'.repeat(254)}`, 'y'.repeat(256)],
    ips: ['192.0.2.1', '2001:db8::1'],
    notBefore: Date.UTC(2026, 0, 1),
    notAfter: Date.UTC(2026, 1, 1),
  });
  const [link] = chainOf(peer({ raw: derOf(certificate), subject: { CN: 'mail.example.org' }, issuer: { CN: 'CA' } }));
  assert.deepEqual(link?.facts, {
    subject: 'mail.example.org',
    issuer: 'CA',
    names: ['mail.example.org', 'x'.repeat(254), `${'y'.repeat(255)}…`, '192.0.2.1', '2001:db8::1'],
    notBefore: Date.UTC(2026, 0, 1),
    notAfter: Date.UTC(2026, 1, 1),
    fingerprint: certificate.fingerprints.certificate,
    keyFingerprint: certificate.fingerprints.key,
  });
  assert.deepEqual(link?.content.dnsNames.length, 3);
});

test('a name of many parts is its common name, else its organization or unit, and nothing that a terminal would obey', () => {
  const raw = derOf(makeCertificate());
  for (const [name, expected, why] of [
    [{ CN: 'name', O: 'organization', OU: 'unit' }, 'name', 'the common name first'],
    [{ O: 'organization', OU: 'unit' }, 'organization', 'then the organization'],
    [{ OU: 'unit', C: 'XX' }, 'unit', 'then the unit'],
    [{ C: 'XX' }, '(no name)', 'a country is no name'],
    [{ CN: ['first', 'second'] }, 'first', 'the first of two'],
    [{ CN: '', O: 'organization' }, 'organization', 'an empty one is none'],
    [{ CN: 7, O: 'organization' }, 'organization', 'what is no text is none'],
    [{}, '(no name)', 'no part'],
    [null, '(no name)', 'null'],
    [undefined, '(no name)', 'nothing'],
    ['name', '(no name)', 'a text'],
    [{ CN: 'B\u00fccher\x1b[31m' }, 'B\u00fccher\\x1b[31m', 'escapes'],
    [{ CN: 'x'.repeat(100) }, 'x'.repeat(100), 'a hundred'],
    [{ CN: 'x'.repeat(101) }, `${'x'.repeat(100)}…`, 'and more'],
  ] as const) {
    const [link] = chainOf(peer({ raw, subject: name, issuer: {} }));
    assert.deepEqual([link?.facts.subject, link?.facts.issuer], [expected, '(no name)'], why);
    assert.equal(chainOf(peer({ raw, subject: {}, issuer: name }))[0]?.facts.issuer, expected, why);
  }
});

/* ---- weakness ---- */

const link = (kind: CertificateContent['key']['kind'], bits: number, signedWith: CertificateContent['signedWith'], selfIssued = false) =>
  ({ content: { key: { kind, bits }, signedWith, selfIssued } }) as ChainLink;
const STRONG = link('EC', 256, 'sha256');

test('S12: the first that is weak is found, and said to be', () => {
  for (const [chain, trusted, expected, why] of [
    [[], null, null, 'nothing'],
    [[STRONG, STRONG], null, null, 'strong ones'],
    [[link('RSA', 2048, 'sha256')], null, null, 'RSA, long enough'],
    [[link('RSA', 2047, 'sha256')], null, '0 has an RSA key of 2047 bits, and 2048 are the least', 'RSA, a bit too short'],
    [[link('DSA', 2048, 'sha256')], null, null, 'DSA, long enough'],
    [[link('DSA', 2047, 'sha256')], null, '0 has an DSA key of 2047 bits, and 2048 are the least', 'DSA, a bit too short'],
    [[link('EC', 224, 'sha256')], null, null, 'EC, long enough'],
    [[link('EC', 223, 'sha256')], null, '0 has an EC key of 223 bits, and 224 are the least', 'EC, a bit too short'],
    [[link('', 0, '')], null, null, 'a kind that is not known'],
    [[link('EC', 256, 'md2')], null, '0 is signed with MD2, which can be forged', 'MD2'],
    [[link('EC', 256, 'md5')], null, '0 is signed with MD5, which can be forged', 'MD5'],
    [[link('EC', 256, 'sha1')], null, '0 is signed with SHA-1, which can be forged', 'SHA-1'],
    [[link('EC', 256, 'sha224')], null, null, 'SHA-224'],
    [[STRONG, link('EC', 256, 'sha1'), link('RSA', 1024, 'md5')], null, '1 is signed with SHA-1, which can be forged', 'the first of two'],
    [[STRONG, link('EC', 256, 'sha1', true)], null, null, 'what signed itself is signed by nobody'],
    [[link('RSA', 512, 'sha1', true)], null, '0 has an RSA key of 512 bits, and 2048 are the least', 'its key counts'],
    [[link('RSA', 512, 'sha1')], 0, '0 has an RSA key of 512 bits, and 2048 are the least', 'also when it is trusted'],
    [[link('EC', 256, 'sha1')], 0, null, 'nobody need vouch for what is trusted'],
    [[STRONG, link('EC', 256, 'sha1')], 1, null, 'as an issuer'],
    [[STRONG, link('RSA', 512, 'md5')], 0, null, 'nothing relies on what follows it'],
    [[STRONG, link('EC', 256, 'sha256'), link('RSA', 512, 'md5')], 1, null, 'nor later'],
    [
      [STRONG, link('EC', 256, 'sha1'), link('EC', 256, 'sha256')],
      2,
      '1 is signed with SHA-1, which can be forged',
      'what follows does not vouch',
    ],
  ] as const) {
    const found = weaknessOf(chain, (each) => trusted !== null && each === chain[trusted]);
    assert.equal(found && `${found.at} ${found.detail}`, expected, why);
  }
});

test('the store is looked through only for a reason', () => {
  const never = () => assert.fail('looked through');
  assert.equal(weaknessOf([STRONG, link('EC', 256, 'sha1', true)], never), null);
});

/* ---- a store ---- */

test('the keys of a store are those of the certificates that can be read, however they are headed', () => {
  const [a, b, c] = [makeCertificate(), makeCertificate(), makeCertificate()];
  const store = [
    'a comment\n',
    a.own,
    b.own.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'),
    '-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n',
    '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n',
    a.key,
    c.own.replaceAll('CERTIFICATE', 'X509 CERTIFICATE'),
  ].join('');
  const keyOf = (certificate: Certificate) => new X509Certificate(certificate.own).publicKey.export({ type: 'spki', format: 'der' });
  assert.deepEqual(
    keysIn(store).map((key) => Buffer.from(key)),
    [keyOf(a), keyOf(b), keyOf(c)],
  );
  assert.deepEqual(keysIn(''), []);
});

test.run();
