/** Reads the certificates that a TLS peer shows, for the checks that need them and for people. Verifies nothing. */

import type { DetailedPeerCertificate } from 'node:tls';
import { printable, utf8 } from '../../smtp/text.ts';
import { printAddress } from '../address.ts';
import { digestOf } from '../digest.ts';
import type { TlsPeer } from '../wire.ts';
import { type CertificateContent, readCertificate } from './x509.ts';

/** A certificate as people see it, in `nospool check` and in failures. All text is printable. */
export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** `sha256:` and 64 hexadecimal digits, as in tls.fingerprint. */
  readonly fingerprint: string;
  readonly keyFingerprint: string;
}

/** One certificate of a chain. */
export interface ChainLink {
  /** The certificate as the peer sent it. */
  readonly der: Uint8Array;
  readonly facts: CertificateFacts;
  readonly content: CertificateContent;
}

/** OpenSSL and BoringSSL believe no longer chain: the certificate, a hundred issuers and the root. What is not read here is not judged. */
const LONGEST_CHAIN = 102;

/** Returns the chain, the peer's own certificate first. It ends at a certificate that cannot be read. */
export function chainOf(peer: TlsPeer): readonly ChainLink[] {
  const chain: ChainLink[] = [];
  const seen = new Set<string>();
  let next: DetailedPeerCertificate | undefined = peer.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    const content = readCertificate(next.raw);
    const fingerprint = fingerprintOf(next.raw);
    if (content === null || seen.has(fingerprint)) break;
    seen.add(fingerprint);
    chain.push({ der: next.raw, content, facts: factsOfCertificate(next, content, fingerprint) });
    next = next.issuerCertificate;
  }
  return chain;
}

/** The least bits of a key, for a strength of 112: NIST SP 800-57 part 1, level 2 of OpenSSL. */
const LEAST_BITS: Readonly<Record<string, number>> = { RSA: 2048, DSA: 2048, EC: 224 };
/** Digests for which somebody has found other content with the same digest, or may soon find it. */
const FORGEABLE: Readonly<Record<string, string>> = { md2: 'MD2', md5: 'MD5', sha1: 'SHA-1' };

/** The weakness of a chain that is valid otherwise. */
export interface Weakness {
  /** The certificate that has it, as an index into the chain. */
  readonly at: number;
  /** `is signed with SHA-1, which can be forged`. */
  readonly detail: string;
}

/**
 * Finds the first certificate of a chain whose key is too short or whose signature can be forged; null if there is none. One
 * runtime refuses some of these and another none. `isTrusted`: the store has this certificate's key, so nobody needs to vouch
 * for it, and nothing relies on what follows it.
 */
export function weaknessOf(chain: readonly ChainLink[], isTrusted: (link: ChainLink) => boolean): Weakness | null {
  for (const [at, link] of chain.entries()) {
    const { key, signedWith, selfIssued } = link.content;
    const least = LEAST_BITS[key.kind] ?? 0;
    const signature = selfIssued ? undefined : FORGEABLE[signedWith];
    const isShort = key.bits < least;
    if (!isShort && signature === undefined) continue;
    // To look through the store takes time, so there must be a reason.
    if (chain.slice(0, at).some(isTrusted)) return null;
    if (isShort) return { at, detail: `has an ${key.kind} key of ${key.bits} bits, and ${least} are the least` };
    if (isTrusted(link)) return null;
    return { at, detail: `is signed with ${signature}, which can be forged` };
  }
  return null;
}

/** Returns the public keys, DER, of the certificates in a PEM text, without those that cannot be read. */
export function keysIn(pem: string): readonly Uint8Array[] {
  return [...pem.matchAll(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([^-]*)-----END/g)].flatMap(([, text = '']) => {
    const content = readCertificate(Buffer.from(text, 'base64'));
    return content ? [content.publicKey] : [];
  });
}

function factsOfCertificate(peer: DetailedPeerCertificate, content: CertificateContent, fingerprint: string): CertificateFacts {
  return {
    subject: distinguishedName(peer.subject),
    issuer: distinguishedName(peer.issuer),
    names: [...content.dnsNames.map((name) => printable(name, 255)), ...content.addresses.map(printAddress)],
    notBefore: content.notBefore,
    notAfter: content.notAfter,
    fingerprint,
    keyFingerprint: fingerprintOf(content.publicKey),
  };
}

/** Makes the digest that tls.fingerprint names. */
const fingerprintOf = (der: Uint8Array): string => `sha256:${digestOf('sha256', der).toString('hex')}`;

/** Returns the most telling part of a distinguished name, printable. */
function distinguishedName(name: unknown): string {
  const parts = (typeof name === 'object' && name !== null ? name : {}) as Readonly<Record<string, string | readonly string[] | undefined>>;
  const part = [parts.CN, parts.O, parts.OU].flat().find((each) => typeof each === 'string' && each !== '');
  return part === undefined ? '(no name)' : printable(utf8(part), 100);
}
