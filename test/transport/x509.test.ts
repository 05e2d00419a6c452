// Reading certificates: those made here, against the runtime's own reader; hand-made ones; and any octets at all.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { readCertificate } from '../../src/transport/tls/x509.ts';

const test = suite('x509');

const tlv = (tag: number, ...values: (Uint8Array | number[])[]): Buffer => {
  const value = Buffer.concat(values.map((each) => Buffer.from(each)));
  const head = value.length < 128 ? [tag, value.length] : [tag, 0x82, value.length >> 8, value.length & 255];
  return Buffer.concat([Buffer.from(head), value]);
};
const oid = (hex: string): Buffer => tlv(6, Buffer.from(hex, 'hex'));
const PSS = '2a864886f70d01010a';

/** A certificate without sense but for what is read of it. */
function made(
  algorithm: Buffer,
  { from = '260101000000Z', to = '20510101000000Z', version = true, extensions = [] as Buffer[], key = tlv(0x30, [5, 0]) } = {},
): Buffer {
  const stamp = (text: string) => tlv(text.length === 13 ? 0x17 : 0x18, Buffer.from(text));
  const empty = tlv(0x30);
  const fields = [tlv(2, [1]), empty, empty, tlv(0x30, stamp(from), stamp(to)), empty, key];
  const signed = tlv(
    0x30,
    ...(version ? [tlv(0xa0, tlv(2, [2]))] : []),
    ...fields,
    ...(extensions.length > 0 ? [tlv(0xa3, tlv(0x30, ...extensions))] : []),
  );
  return tlv(0x30, signed, algorithm, tlv(3, [0]));
}

test('a certificate is read as the runtime reads it', () => {
  const der = (pem: string) => new X509Certificate(pem);
  for (const options of [
    { names: ['a.example', '*.b.example'], ips: ['192.0.2.1', '2001:db8::1'] },
    { commonName: 'x', cnOnly: true },
    { names: Array.from({ length: 300 }, (_, i) => `n${i}.example`) },
    { names: ['a.example'], notBefore: Date.UTC(1990, 1, 2, 3, 4, 5), notAfter: Date.UTC(2100, 1, 2, 3, 4, 5) },
  ]) {
    const x509 = der(makeCertificate(options).own);
    const content = readCertificate(x509.raw);
    assert.ok(content);
    assert.deepEqual([content.notBefore, content.notAfter], [Date.parse(x509.validFrom), Date.parse(x509.validTo)]);
    assert.deepEqual(Buffer.from(content.publicKey), x509.publicKey.export({ type: 'spki', format: 'der' }));
    assert.deepEqual(content.dnsNames, options.cnOnly ? [] : options.names);
    assert.deepEqual(
      content.addresses.map((each) => each.length),
      options.ips ? [4, 16] : [],
    );
    assert.deepEqual([content.endPointDigest, content.selfIssued], ['sha256', true]);
  }
});

test('RFC 5929 §4.1: the digest for tls-server-end-point', () => {
  for (const [algorithm, expected, why] of [
    [tlv(0x30, oid('2a864886f70d010104'), [5, 0]), 'sha256', 'MD5 counts as SHA-256'],
    [tlv(0x30, oid('2a864886f70d010105'), [5, 0]), 'sha256', 'SHA-1 counts as SHA-256'],
    [tlv(0x30, oid('2a864886f70d01010b'), [5, 0]), 'sha256', 'RSA, SHA-256'],
    [tlv(0x30, oid('2a864886f70d01010c'), [5, 0]), 'sha384', 'RSA, SHA-384'],
    [tlv(0x30, oid('2a864886f70d01010d'), [5, 0]), 'sha512', 'RSA, SHA-512'],
    [tlv(0x30, oid('2a8648ce3d040303')), 'sha384', 'ECDSA, SHA-384'],
    [tlv(0x30, oid('2a8648ce3d040304')), 'sha512', 'ECDSA, SHA-512'],
    [tlv(0x30, oid('2b6570')), null, 'Ed25519 has no digest of its own'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('608648016503040202'))))), 'sha384', 'PSS, SHA-384'],
    [tlv(0x30, oid(PSS), tlv(0x30)), 'sha256', 'PSS by default, SHA-1'],
    [tlv(0x30, oid(PSS)), 'sha256', 'PSS without parameters'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('2b6570'))))), null, 'PSS with an unknown digest'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0))), null, 'PSS with nothing where the digest belongs'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30)))), null, 'PSS with an empty digest'],
    [tlv(0x30), null, 'no algorithm'],
    [tlv(0x30, [5, 0]), null, 'no identifier'],
  ] as const)
    assert.equal(readCertificate(made(algorithm))?.endPointDigest, expected, why);
});

test('S12: the digest that a certificate is signed with is read', () => {
  for (const [algorithm, expected, why] of [
    [tlv(0x30, oid('2a864886f70d010102'), [5, 0]), 'md2', 'MD2'],
    [tlv(0x30, oid('2a864886f70d010104'), [5, 0]), 'md5', 'MD5'],
    [tlv(0x30, oid('2a864886f70d010105'), [5, 0]), 'sha1', 'RSA, SHA-1'],
    [tlv(0x30, oid('2b0e03021d'), [5, 0]), 'sha1', 'RSA, SHA-1, by another name'],
    [tlv(0x30, oid('2a8648ce380403')), 'sha1', 'DSA, SHA-1'],
    [tlv(0x30, oid('2a8648ce3d0401')), 'sha1', 'ECDSA, SHA-1'],
    [tlv(0x30, oid('2a8648ce3d040301')), 'sha224', 'ECDSA, SHA-224'],
    [tlv(0x30, oid('2a864886f70d01010e'), [5, 0]), 'sha224', 'RSA, SHA-224'],
    [tlv(0x30, oid('2a864886f70d01010b'), [5, 0]), 'sha256', 'RSA, SHA-256'],
    [tlv(0x30, oid('2a864886f70d01010c'), [5, 0]), 'sha384', 'RSA, SHA-384'],
    [tlv(0x30, oid('2a864886f70d01010d'), [5, 0]), 'sha512', 'RSA, SHA-512'],
    [tlv(0x30, oid('2a8648ce3d040302')), 'sha256', 'ECDSA, SHA-256'],
    [tlv(0x30, oid('2a8648ce3d040303')), 'sha384', 'ECDSA, SHA-384'],
    [tlv(0x30, oid('2a8648ce3d040304')), 'sha512', 'ECDSA, SHA-512'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('2b0e03021a'))))), 'sha1', 'PSS, SHA-1'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('608648016503040204'))))), 'sha224', 'PSS, SHA-224'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('608648016503040202'))))), 'sha384', 'PSS, SHA-384'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('608648016503040203'))))), 'sha512', 'PSS, SHA-512'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('2b6570'))))), '', 'PSS with an unknown digest'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30)))), '', 'PSS with an empty digest'],
    [tlv(0x30, oid(PSS), tlv(0x30, tlv(0xa0, tlv(0x30, oid('608648016503040201'))))), 'sha256', 'PSS, SHA-256'],
    [tlv(0x30, oid(PSS)), 'sha1', 'PSS by default'],
    [tlv(0x30, oid('2b6570')), '', 'Ed25519 takes the certificate itself'],
    [tlv(0x30, [5, 0]), '', 'nothing'],
  ] as const)
    assert.equal(readCertificate(made(algorithm))?.signedWith, expected, why);
});

test('S12: the length of a key is read', () => {
  const of = (spki: Uint8Array) => readCertificate(made(tlv(0x30, oid('2a8648ce3d040302')), { key: Buffer.from(spki) }))?.key;
  const spki = ({ publicKey }: { readonly publicKey: KeyObject }) => publicKey.export({ type: 'spki', format: 'der' });
  for (const bits of [1024, 2048, 3072])
    assert.deepEqual(of(spki(generateKeyPairSync('rsa', { modulusLength: bits }))), { kind: 'RSA', bits }, `${bits}`);
  for (const [namedCurve, bits] of [
    ['P-256', 256],
    ['P-384', 384],
    // The key has 521 bits, which are no whole number of octets.
    ['P-521', 528],
  ] as const)
    assert.deepEqual(of(spki(generateKeyPairSync('ec', { namedCurve }))), { kind: 'EC', bits }, namedCurve);
  assert.deepEqual(of(spki(generateKeyPairSync('ed25519'))), { kind: '', bits: 0 }, 'Ed25519');
  const point = (octets: number, first: number) =>
    tlv(0x30, tlv(0x30, oid('2a8648ce3d0201'), oid('2a8648ce3d030101')), tlv(3, [0, first, ...new Array(octets - 1).fill(1)]));
  assert.deepEqual(of(point(49, 4)), { kind: 'EC', bits: 192 }, 'P-192');
  assert.deepEqual(of(point(25, 2)), { kind: 'EC', bits: 192 }, 'P-192, compressed');
  assert.deepEqual(of(point(57, 4)), { kind: 'EC', bits: 224 }, 'P-224');
  const rsa = (modulus: number[]) =>
    tlv(0x30, tlv(0x30, oid('2a864886f70d010101'), [5, 0]), tlv(3, [0], tlv(0x30, tlv(2, modulus), tlv(2, [3]))));
  const pss = tlv(0x30, tlv(0x30, oid(PSS)), tlv(3, [0], tlv(0x30, tlv(2, [0, 0x80, 0]), tlv(2, [3]))));
  assert.deepEqual(of(pss), { kind: 'RSA', bits: 16 }, 'a key for PSS alone');
  assert.deepEqual(of(rsa([0, 0x80, 0])), { kind: 'RSA', bits: 16 }, 'a zero before it is no part of it');
  assert.deepEqual(of(rsa([1, 0])), { kind: 'RSA', bits: 9 }, 'nor are bits that are not set');
  assert.deepEqual(of(rsa([0])), { kind: 'RSA', bits: 0 }, 'zero');
  const dsa = tlv(
    0x30,
    tlv(0x30, oid('2a8648ce380401'), tlv(0x30, tlv(2, [0, ...new Array(128).fill(255)]), tlv(2, [1]), tlv(2, [2]))),
    tlv(3, [0]),
  );
  assert.deepEqual(of(dsa), { kind: 'DSA', bits: 1024 }, 'DSA');
  for (const [odd, expected] of [
    [tlv(0x30), { kind: '', bits: 0 }],
    [tlv(0x30, tlv(0x30)), { kind: '', bits: 0 }],
    [tlv(0x30, tlv(0x30), tlv(3, [0])), { kind: '', bits: 0 }],
    [tlv(0x30, tlv(0x30, oid('2b6570'), tlv(0x30, tlv(2, [1]))), tlv(3, [0])), { kind: '', bits: 0 }],
    [tlv(0x30, tlv(0x30, oid('2a864886f70d010101'))), { kind: '', bits: 0 }],
    [tlv(0x30, tlv(0x30, oid('2a864886f70d010101')), tlv(3)), { kind: 'RSA', bits: 0 }],
    [tlv(0x30, tlv(0x30, oid('2a8648ce380401')), tlv(3)), { kind: 'DSA', bits: 0 }],
  ] as const)
    assert.deepEqual(of(odd), expected);
});

test('versions, times and extensions of other kinds are read', () => {
  const algorithm = tlv(0x30, oid('2a8648ce3d040302'));
  const names = tlv(0x30, tlv(0x82, Buffer.from('a.example')), tlv(0x81, Buffer.from('x@a.example')), tlv(0x87, [192, 0, 2, 1]));
  const alternative = (...critical: Buffer[]) => tlv(0x30, oid('551d11'), ...critical, tlv(4, names));
  for (const [der, dnsNames, why] of [
    [made(algorithm, { version: false }), [], 'version 1'],
    [
      made(algorithm, { extensions: [tlv(0x30, oid('551d0e'), tlv(4, [4, 1, 0])), alternative()] }),
      ['a.example'],
      'another extension before it',
    ],
    [made(algorithm, { extensions: [alternative(tlv(1, [255]))] }), ['a.example'], 'a critical one'],
    [
      made(algorithm, { extensions: [tlv(0x30, oid('551d11')), tlv(0x30), tlv(0x30, oid('551d11'), tlv(4))] }),
      [],
      'extensions without a value',
    ],
  ] as const)
    assert.deepEqual(readCertificate(der)?.dnsNames, dnsNames, why);
  const { notBefore, notAfter } = readCertificate(made(algorithm)) ?? {};
  assert.deepEqual([notBefore, notAfter], [Date.UTC(2026, 0, 1), Date.UTC(2051, 0, 1)]);
  assert.equal(readCertificate(made(algorithm, { from: '500101000000Z' }))?.notBefore, Date.UTC(1950, 0, 1));
  assert.ok(Number.isNaN(readCertificate(made(algorithm, { from: 'yesterday' }))?.notBefore));
});

test('a certificate that another has issued is not self-issued', () => {
  const issuer = makeCertificate({ commonName: 'CA', ca: true });
  assert.equal(readCertificate(new X509Certificate(makeCertificate({ names: ['a.example'], issuer }).own).raw)?.selfIssued, false);
});

test('octets that are no certificate are read as none', () => {
  for (const octets of [
    [],
    [0x30],
    [0x30, 0],
    [0x31, 0],
    [0x30, 0x80, 0, 0],
    [0x30, 0x85, 0, 0, 0, 0, 0],
    [0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
    [0x30, 0x82, 1],
    [0x30, 4, 0x30, 0, 0x30, 0],
    [0x30, 5, 0x30, 9, 0, 0, 0],
  ])
    assert.equal(readCertificate(Uint8Array.from(octets)), null, `${octets}`);
});

test('a length has one octet, or up to four behind their number, and an indefinite one is none', () => {
  const algorithm = tlv(0x30, oid('2a8648ce3d040302'));
  const value = made(algorithm).subarray(2);
  // The signature fills it up to a length whose one octet could be taken for the mark of an indefinite one.
  const padded = Buffer.concat([value.subarray(0, -3), tlv(3, new Array(128 - value.length + 1).fill(0))]);
  assert.deepEqual([made(algorithm)[1], padded.length], [value.length, 128]);
  const isRead = (...head: number[]) => readCertificate(Buffer.concat([Buffer.from([0x30, ...head]), padded])) !== null;
  for (const [head, expected] of [
    [[0x81, 128], true],
    [[0x82, 0, 128], true],
    [[0x83, 0, 0, 128], true],
    [[0x84, 0, 0, 0, 128], true],
    [[0x85, 0, 0, 0, 0, 128], false],
    [[0x80], false],
    [[0x81, 129], false],
    [[0x82, 1, 128], false],
  ] as const)
    assert.equal(isRead(...head), expected, `${head}`);
});

test('any change of any octets is read or refused, and nothing else happens', () => {
  const whole = new X509Certificate(makeCertificate({ names: ['a.example'], ips: ['192.0.2.1'] }).own).raw;
  const change = fc.tuple(fc.integer({ min: 0, max: whole.length - 1 }), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 5 }), fc.integer({ min: 0, max: whole.length }), (changes, length) => {
      const der = Uint8Array.from(whole);
      for (const [at, octet] of changes) der[at] = octet;
      readCertificate(der);
      // The first four octets hold the length of the whole: with another one, a part may be a whole.
      if (changes.every(([at]) => at >= 4)) assert.equal(readCertificate(der.subarray(0, Math.min(length, whole.length - 1))), null);
    }),
    { numRuns: 500 },
  );
});

test.run();
