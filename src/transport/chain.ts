/** The certificates a TLS peer shows, for the checks that need them and for people. Verifies nothing. */
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { printable, utf8 } from '../smtp/text.ts';
import { printAddress } from './peername.ts';
import { type CertificateContent, readCertificate } from './x509.ts';

/** A certificate for people: `nospool check` prints it, failures name it. All text is printable. */
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
export interface Link {
  readonly facts: CertificateFacts;
  readonly content: CertificateContent;
}

/** A chain is seldom longer than four; ten is OpenSSL's own order of magnitude. */
const LONGEST_CHAIN = 10;

/** The peer's own certificate first; ends where one cannot be read. */
export function chainOf(socket: TLSSocket): readonly Link[] {
  const chain: Link[] = [];
  const seen = new Set<string>();
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    const content = readCertificate(next.raw);
    const fingerprint = fingerprintOf(next.raw);
    if (content === null || seen.has(fingerprint)) break;
    seen.add(fingerprint);
    chain.push({ content, facts: factsOfCertificate(next, content, fingerprint) });
    next = next.issuerCertificate;
  }
  return chain;
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

/** Loaded with node:tls already. */
const crypto = () => process.getBuiltinModule('node:crypto');
/** The digest that tls.fingerprint names. */
const fingerprintOf = (der: Uint8Array): string => `sha256:${crypto().createHash('sha256').update(der).digest('hex')}`;

/** The most telling part of a distinguished name, printable. */
function distinguishedName(name: unknown): string {
  const parts = (typeof name === 'object' && name !== null ? name : {}) as Readonly<Record<string, string | readonly string[] | undefined>>;
  const part = [parts.CN, parts.O, parts.OU].flat().find((each) => typeof each === 'string' && each !== '');
  return part === undefined ? '(no name)' : printable(utf8(part), 100);
}
