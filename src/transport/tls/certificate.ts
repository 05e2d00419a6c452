/**
 * Makes certificates at run time, for servers on loopback and for tests: a small DER writer (X.690) over node:crypto, EC keys
 * on P-256 by default, no file and no other program. Makes wrong and weak ones on request; verifies nothing.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { octets } from '../../smtp/text.ts';
import { addressOctets } from '../address.ts';

/** A certificate and its key, for `tls.createSecureContext` and as the issuer of others. */
export interface Certificate {
  /** PEM, PKCS #8. */
  readonly key: string;
  /** PEM: this certificate, then its issuers up to a self-signed one, which is left out. */
  readonly cert: string;
  /** PEM of this certificate alone. A client trusts it if it is a CA or self-signed. */
  readonly own: string;
  /** `sha256:` and 64 hexadecimal digits, of the certificate and of its public key. */
  readonly fingerprints: { readonly certificate: string; readonly key: string };
  /** The rest is needed to issue others. */
  readonly subject: Uint8Array;
  readonly keyIdentifier: Uint8Array;
  readonly privateKey: KeyObject;
  readonly chain: string;
}

export interface CertificateOptions {
  /** DNS names, also `*.example.org`. */
  readonly names?: readonly string[];
  /** IPv4 and IPv6 addresses. */
  readonly ips?: readonly string[];
  /** CN of the subject; default: the first name or address. */
  readonly commonName?: string;
  /** Leaves out subjectAltName, as before RFC 6125; verification fails by RFC 9525 §2. */
  readonly cnOnly?: boolean;
  /** Default: self-signed. */
  readonly issuer?: Certificate;
  /** True if it may issue others. */
  readonly ca?: boolean;
  /** Milliseconds since 1970; default: an hour ago, because clocks differ. */
  readonly notBefore?: number;
  /** Milliseconds since 1970; default: `days` after `notBefore`. */
  readonly notAfter?: number;
  /** Default 30. */
  readonly days?: number;
  /** An RSA key of so many bits, or an EC key on another curve; default: EC on P-256. */
  readonly key?: number | string;
  /** The digest that the issuer signs; default: SHA-256. */
  readonly digest?: 'sha256' | 'sha1';
}

const DAY = 24 * 60 * 60 * 1000;

/** Makes a key and a certificate for it. Throws on an address that is none, because our own code gives the arguments. */
export function makeCertificate(options: CertificateOptions = {}): Certificate {
  const { names = [], ips = [], issuer, ca = false, cnOnly = false, days = 30 } = options;
  const { notBefore = Date.now() - 60 * 60 * 1000 } = options;
  const { notAfter = notBefore + days * DAY } = options;
  const { privateKey, publicKey } = makeKey(options.key ?? 'P-256');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  // 64: ub-common-name of RFC 5280 appendix A.1.
  const subject = name((options.commonName ?? names[0] ?? ips[0] ?? 'nospool').slice(0, 64));
  const keyIdentifier = createHash('sha1').update(spki).digest();
  const signer = issuer?.privateKey ?? privateKey;
  const { digest = 'sha256' } = options;
  const algorithm = SIGNED_WITH[signer.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec'][digest];
  const alternatives = [...names.map((text) => implicit(2, ascii(text))), ...ips.map((text) => implicit(7, octets(addressOctets(text))))];
  const extensions = [
    extension([2, 5, 29, 14], false, octetString(keyIdentifier)), // RFC 5280 §4.2.1.2
    // RFC 5280 §4.2.1.1: strict verifiers want it of all but self-signed ones.
    ...(issuer ? [extension([2, 5, 29, 35], false, sequence(implicit(0, issuer.keyIdentifier)))] : []),
    extension([2, 5, 29, 19], true, sequence(...(ca ? [BOOLEAN_TRUE] : []))), // RFC 5280 §4.2.1.9
    // RFC 5280 §4.2.1.3: keyCertSign and cRLSign, or digitalSignature.
    extension([2, 5, 29, 15], true, ca ? tlv(0x03, Uint8Array.of(1, 0x06)) : tlv(0x03, Uint8Array.of(7, 0x80))),
    // RFC 5280 §4.2.1.12: serverAuth and clientAuth.
    ...(ca ? [] : [extension([2, 5, 29, 37], false, sequence(oid(1, 3, 6, 1, 5, 5, 7, 3, 1), oid(1, 3, 6, 1, 5, 5, 7, 3, 2)))]),
    // RFC 5280 §4.2.1.6
    ...(alternatives.length > 0 && !cnOnly ? [extension([2, 5, 29, 17], false, sequence(...alternatives))] : []),
  ];
  const toBeSigned = sequence(
    explicit(0, integer(Uint8Array.of(2))), // version 3
    integer(serialNumber()),
    algorithm,
    issuer?.subject ?? subject,
    sequence(time(notBefore), time(notAfter)),
    subject,
    spki,
    explicit(3, sequence(...extensions)),
  );
  const signature = sign(digest, toBeSigned, signer);
  const der = sequence(toBeSigned, algorithm, tlv(0x03, Uint8Array.of(0), signature));
  const own = pem(der);
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: own + (issuer?.chain ?? ''),
    own,
    fingerprints: { certificate: fingerprint(der), key: fingerprint(spki) },
    subject,
    keyIdentifier,
    privateKey,
    chain: issuer ? own + issuer.chain : '',
  };
}

/** A number that no other certificate has, positive and of 16 octets. RFC 5280 §4.1.2.2 */
function serialNumber(): Uint8Array {
  const random = randomBytes(16);
  random[0] = ((random[0] as number) & 0x3f) | 0x40;
  return random;
}

/** Makes an RSA key of so many bits, or an EC key on the named curve. */
function makeKey(kind: number | string): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return typeof kind === 'number' ? generateKeyPairSync('rsa', { modulusLength: kind }) : generateKeyPairSync('ec', { namedCurve: kind });
}

const fingerprint = (der: Uint8Array): string => `sha256:${createHash('sha256').update(der).digest('hex')}`;

function pem(der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g) as string[];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/* ---- DER: tag, length, value. X.690 §8.1 and §10.1 ---- */

function tlv(tag: number, ...values: readonly Uint8Array[]): Uint8Array {
  const value = Buffer.concat(values);
  const length: number[] = [];
  for (let left = value.length; left > 0; left >>>= 8) length.unshift(left & 255);
  const head = value.length < 128 ? [tag, value.length] : [tag, 0x80 | length.length, ...length];
  return Buffer.concat([Uint8Array.from(head), value]);
}

const sequence = (...items: readonly Uint8Array[]): Uint8Array => tlv(0x30, ...items);
const octetString = (value: Uint8Array): Uint8Array => tlv(0x04, value);
const explicit = (number: number, item: Uint8Array): Uint8Array => tlv(0xa0 | number, item);
const implicit = (number: number, value: Uint8Array): Uint8Array => tlv(0x80 | number, value);
const BOOLEAN_TRUE = tlv(0x01, Uint8Array.of(0xff));

function ascii(text: string): Uint8Array {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is that of IA5String.
  if (!/^[\u0000-\u007f]*$/.test(text)) throw new TypeError(`not an A-label: ${text}`);
  return Buffer.from(text);
}

/** Octets of two's complement, as few as possible: the first nine bits are not all the same. X.690 §8.3.2 */
const integer = (value: Uint8Array): Uint8Array => tlv(0x02, value);

/** X.690 §8.19: the first two numbers share an octet; the others have base 128, with the high bit on all octets except the last. */
function oid(first: number, second: number, ...rest: readonly number[]): Uint8Array {
  const out = [first * 40 + second];
  for (const number of rest) {
    const digits = [number & 127];
    for (let left = number >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 127));
    out.push(...digits);
  }
  return tlv(0x06, Uint8Array.from(out));
}

const NULL = tlv(0x05);
/** RFC 5758 §3.2, RFC 3279 §2.2; RSA has a NULL for parameters, RFC 4055 §5. */
const SIGNED_WITH = {
  ec: {
    sha256: sequence(oid(1, 2, 840, 10045, 4, 3, 2)),
    sha1: sequence(oid(1, 2, 840, 10045, 4, 1)),
  },
  rsa: {
    sha256: sequence(oid(1, 2, 840, 113549, 1, 1, 11), NULL),
    sha1: sequence(oid(1, 2, 840, 113549, 1, 1, 5), NULL),
  },
} as const;

/** A Name with one CN, a UTF8String. RFC 5280 §4.1.2.4 */
const name = (commonName: string): Uint8Array => sequence(tlv(0x31, sequence(oid(2, 5, 4, 3), tlv(0x0c, Buffer.from(commonName)))));

/** UTCTime until 2049, GeneralizedTime from 2050. RFC 5280 §4.1.2.5 */
function time(milliseconds: number): Uint8Array {
  const digits = new Date(milliseconds).toISOString().replace(/\.\d+Z$|[-:T]/g, '');
  const year = Number(digits.slice(0, 4));
  const utc = year >= 1950 && year < 2050;
  return tlv(utc ? 0x17 : 0x18, ascii(`${utc ? digits.slice(2) : digits}Z`));
}

function extension(id: readonly [number, number, ...number[]], critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(oid(...id), ...(critical ? [BOOLEAN_TRUE] : []), octetString(value));
}
