/**
 * Reads the facts of an X.509 certificate (RFC 5280 §4.1) from its DER: names for people, validity, public key and its size,
 * and the digest of its signature. Verifies nothing: the runtime decides whom a certificate is for and who vouches for it.
 */
import { latin1 } from '../../smtp/text.ts';

export interface CertificateContent {
  /** dNSName entries of subjectAltName, as written. RFC 5280 §4.2.1.6 */
  readonly dnsNames: readonly string[];
  /** iPAddress entries, octet strings of 4 or 16. */
  readonly addresses: readonly string[];
  /** True if issuer and subject are the same: a root, or nobody's certificate but its own. RFC 5280 §3.2 */
  readonly selfIssued: boolean;
  /** Milliseconds since 1970; NaN when it cannot be read. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** '' and 0 where the kind of key is not one whose size says how strong it is. */
  readonly key: { readonly kind: 'RSA' | 'DSA' | 'EC' | ''; readonly bits: number };
  /** The digest that its issuer signed; '' if it is not known here, or the signature has no digest. */
  readonly signedWith: SignatureDigest | '';
  /** The digest for `tls-server-end-point`; null where RFC 5929 §4.1 leaves it undefined. */
  readonly endPointDigest: 'sha256' | 'sha384' | 'sha512' | null;
}

/** One element: its tag, where it begins, and where its value lies. X.690 §8.1 */
interface DerElement {
  readonly tag: number;
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

const SEQUENCE = 0x30;
const OBJECT = 0x06;
const BOOLEAN = 0x01;
/** Context tags of TBSCertificate and GeneralName. RFC 5280 §4.1 and §4.2.1.6 */
const VERSION_TAG = 0xa0;
const EXTENSIONS_TAG = 0xa3;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

const SUBJECT_ALT_NAME = '551d11'; // 2.5.29.17

type SignatureDigest = 'md2' | 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';

/** Digests by signature algorithm. Identifiers of RFC 8017, RFC 5758 and RFC 3279. */
const DIGESTS: Readonly<Record<string, SignatureDigest>> = {
  '2a864886f70d010102': 'md2', // md2WithRSAEncryption
  '2a864886f70d010104': 'md5', // md5WithRSAEncryption
  '2a864886f70d010105': 'sha1', // sha1WithRSAEncryption
  '2b0e03021d': 'sha1', // the same, by OIW
  '2a864886f70d01010e': 'sha224', // sha224WithRSAEncryption
  '2a864886f70d01010b': 'sha256', // sha256WithRSAEncryption
  '2a864886f70d01010c': 'sha384', // sha384WithRSAEncryption
  '2a864886f70d01010d': 'sha512', // sha512WithRSAEncryption
  '2a8648ce380403': 'sha1', // dsa-with-sha1
  '2a8648ce3d0401': 'sha1', // ecdsa-with-SHA1
  '2a8648ce3d040301': 'sha224', // ecdsa-with-SHA224
  '2a8648ce3d040302': 'sha256', // ecdsa-with-SHA256
  '2a8648ce3d040303': 'sha384', // ecdsa-with-SHA384
  '2a8648ce3d040304': 'sha512', // ecdsa-with-SHA512
};
const RSASSA_PSS = '2a864886f70d01010a';
/** The hash algorithm within the parameters of RSASSA-PSS. RFC 4055 §2.1 */
const PSS_DIGESTS: Readonly<Record<string, SignatureDigest>> = {
  '2b0e03021a': 'sha1',
  '608648016503040204': 'sha224',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
};

const KEY_KINDS: Readonly<Record<string, 'RSA' | 'DSA' | 'EC'>> = {
  '2a864886f70d010101': 'RSA', // rsaEncryption
  [RSASSA_PSS]: 'RSA',
  '2a8648ce380401': 'DSA', // id-dsa
  '2a8648ce3d0201': 'EC', // id-ecPublicKey
};

/** Returns the content; null if the octets are no certificate. */
export function readCertificate(der: Uint8Array): CertificateContent | null {
  const whole = readElement(der, 0, der.length);
  const [signed, algorithm] = whole?.tag === SEQUENCE ? readElements(der, whole) : [];
  if (signed?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE) return null;
  const fields = readElements(der, signed);
  if (fields[0]?.tag === VERSION_TAG) fields.shift();
  // serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
  const [, , issuer, validity, subject, publicKey] = fields;
  if (validity?.tag !== SEQUENCE || publicKey?.tag !== SEQUENCE) return null;
  const [notBefore, notAfter] = readElements(der, validity);
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS_TAG);
  const signedWith = digestOf(der, algorithm);
  return {
    ...alternativeNames(der, extensions),
    selfIssued: issuer !== undefined && subject !== undefined && hexOf(der, issuer) === hexOf(der, subject),
    notBefore: readTime(der, notBefore),
    notAfter: readTime(der, notAfter),
    publicKey: der.subarray(publicKey.start, publicKey.to),
    key: keySizeOf(der, publicKey),
    signedWith,
    endPointDigest: END_POINT_DIGESTS[signedWith] ?? null,
  };
}

/** RFC 5929 §4.1: MD5 and SHA-1 count as SHA-256. */
const END_POINT_DIGESTS: Readonly<Record<string, 'sha256' | 'sha384' | 'sha512'>> = {
  ...{ md5: 'sha256', sha1: 'sha256' },
  ...{ sha256: 'sha256', sha384: 'sha384', sha512: 'sha512' },
};

/** The size of a key is that of the modulus or prime (RFC 3279 §2.3.1, §2.3.2), or of one coordinate of the point (RFC 5480 §2.2). */
function keySizeOf(der: Uint8Array, publicKey: DerElement): CertificateContent['key'] {
  const [algorithm, bits] = readElements(der, publicKey);
  const [id, parameters] = algorithm ? readElements(der, algorithm) : [];
  const kind = id ? (KEY_KINDS[hexOf(der, id)] ?? '') : '';
  if (bits === undefined || kind === '') return { kind: '', bits: 0 };
  // The first octet counts the unused bits, which are none.
  const value = { ...bits, from: bits.from + 1 };
  if (kind === 'EC') {
    const isCompressed = der[value.from] !== 0x04;
    return { kind, bits: (8 * (value.to - value.from - 1)) / (isCompressed ? 1 : 2) };
  }
  const [first] =
    kind === 'RSA' ? readElements(der, value).flatMap((list) => readElements(der, list)) : parameters ? readElements(der, parameters) : [];
  return { kind, bits: first ? bitsOf(der.subarray(first.from, first.to)) : 0 };
}

/** Counts the bits of a positive INTEGER. */
function bitsOf(octets: Uint8Array): number {
  const at = octets.findIndex((octet) => octet !== 0);
  return at < 0 ? 0 : 8 * (octets.length - at - 1) + (octets[at] as number).toString(2).length;
}

function alternativeNames(der: Uint8Array, extensions: DerElement | undefined): Pick<CertificateContent, 'dnsNames' | 'addresses'> {
  const dnsNames: string[] = [];
  const addresses: string[] = [];
  const [list] = extensions ? readElements(der, extensions) : [];
  for (const extension of list ? readElements(der, list) : []) {
    const [id, ...rest] = readElements(der, extension);
    if (id?.tag !== OBJECT || hexOf(der, id) !== SUBJECT_ALT_NAME) continue;
    const value = rest.find(({ tag }) => tag !== BOOLEAN);
    const [names] = value ? readElements(der, value) : [];
    for (const name of names ? readElements(der, names) : []) {
      const content = latin1(der.subarray(name.from, name.to));
      if (name.tag === DNS_NAME) dnsNames.push(content);
      if (name.tag === IP_ADDRESS) addresses.push(content);
    }
  }
  return { dnsNames, addresses };
}

function digestOf(der: Uint8Array, algorithm: DerElement): CertificateContent['signedWith'] {
  const [id, parameters] = readElements(der, algorithm);
  if (id?.tag !== OBJECT) return '';
  if (hexOf(der, id) !== RSASSA_PSS) return DIGESTS[hexOf(der, id)] ?? '';
  const hash = parameters ? readElements(der, parameters).find(({ tag }) => tag === 0xa0) : undefined;
  // SHA-1 if it is left out. RFC 4055 §3.1
  if (!hash) return 'sha1';
  const [algorithmOfHash] = readElements(der, hash);
  const [name] = algorithmOfHash ? readElements(der, algorithmOfHash) : [];
  return name ? (PSS_DIGESTS[hexOf(der, name)] ?? '') : '';
}

/** Reads a UTCTime, whose years are 1950 to 2049, or a GeneralizedTime. RFC 5280 §4.1.2.5 */
function readTime(der: Uint8Array, at: DerElement | undefined): number {
  const text = at ? latin1(der.subarray(at.from, at.to)) : '';
  const parts = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!parts) return Number.NaN;
  const [, century, year, month, day, hour, minute, second] = parts;
  const full = `${century ?? (Number(year) < 50 ? '20' : '19')}${year}`;
  return Date.parse(`${full}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const hexOf = (der: Uint8Array, { from, to }: DerElement): string => Buffer.from(der.subarray(from, to)).toString('hex');

/**
 * Returns the element at an offset; null if it does not fit before `end`. Lengths have one to four octets; DER has no
 * indefinite ones.
 */
function readElement(der: Uint8Array, start: number, end: number): DerElement | null {
  if (start + 2 > end) return null;
  const tag = der[start] as number;
  const first = der[start + 1] as number;
  let from = start + 2;
  let length = first;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets < 1 || octets > 4) return null;
    length = 0;
    for (const limit = from + octets; from < limit; from++) length = length * 256 + (der[from] ?? Number.NaN);
  }
  const to = from + length;
  return to <= end ? { tag, start, from, to } : null;
}

/** Returns the elements within one, up to the first that does not fit. */
function readElements(der: Uint8Array, { from, to }: DerElement): DerElement[] {
  const found: DerElement[] = [];
  for (let at = from; at < to; ) {
    const next = readElement(der, at, to);
    if (next === null) break;
    found.push(next);
    at = next.to;
  }
  return found;
}
