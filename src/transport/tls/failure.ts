/**
 * Explains why a TLS handshake failed, in a sentence that says what to do about it: from OpenSSL's codes to words. Decides
 * nothing, because everything that comes here has failed already.
 */
import type { TlsPolicy } from '../../router/smarthost.ts';
import { isIPv4, isIPv6 } from '../../smtp/path.ts';
import { printable, utf8 } from '../../smtp/text.ts';
import { CLOSED } from '../wire.ts';
import type { CertificateFacts, ChainLink, Weakness } from './chain.ts';
import type { WantedPeer } from './peername.ts';
import type { TlsWords } from './words.ts';

/** The facts that explain a failure. */
export interface TlsAttempt {
  readonly policy: TlsPolicy;
  readonly wanted: WantedPeer;
  readonly implicit: boolean;
  /** The client shows a certificate of its own. */
  readonly hasIdentity: boolean;
  /** The versions that are spoken: `1.2`, or `1.2` and the newest where there is a limit. */
  readonly versions: { readonly from: string; readonly to: string | null };
  /** The name of the CA store, and whether it was given for this host. */
  readonly store: { readonly name: string; readonly isGiven: boolean };
  readonly words: TlsWords;
}

const KNOWS_NO_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST|UNKNOWN_PROTOCOL|BAD_RECORD_TYPE|UNEXPECTED_MESSAGE|RECORD_TOO/;

const OF_CERTIFICATE = /ALERT_(?:UNKNOWN_CA|(?:BAD_|UNSUPPORTED_)?CERTIFICATE|ACCESS_DENIED)/;

/** Explains why a handshake failed and what to do about it. `error` is that of the socket. */
export function explainTlsFailure(error: NodeJS.ErrnoException, { wanted, implicit, hasIdentity, versions, words }: TlsAttempt): string {
  const code = `${error.code ?? ''} ${error.message.toUpperCase().replaceAll(' ', '_')}`;
  if (KNOWS_NO_TLS.test(code))
    return implicit
      ? 'the port does not speak TLS from the start; if it offers STARTTLS, write submission:// (or smtp://) for it'
      : 'the server agreed to STARTTLS and then sent something that is not TLS';
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/.test(code))
    return `the server has no TLS version from ${versions.from} ${versions.to === null ? 'on' : `to ${versions.to}`} (${words.minVersion})`;
  if (/CERTIFICATE_REQUIRED/.test(code)) return `the server requires a client certificate; set ${words.byCertificate}`;
  if (OF_CERTIFICATE.test(code))
    return hasIdentity
      ? `the server does not accept our client certificate (${words.certificate})`
      : `the server refuses us for want of a certificate it accepts (${words.certificate})`;
  if (/HANDSHAKE_FAILURE|NO_SHARED_CIPHER|INSUFFICIENT_SECURITY/.test(code))
    return 'the server has no cipher, key exchange or signature in common with us, or requires a client certificate';
  if (/UNRECOGNIZED_NAME/.test(code)) return `the server does not know the name ${wanted.sni} (${words.serverName})`;
  if (/DH_KEY_TOO_SMALL|EE_KEY_TOO_SMALL|CA_KEY_TOO_SMALL|MD_TOO_WEAK|UNSAFE_LEGACY/.test(code))
    return `the server's TLS is too weak to be used: ${printReason(error)}`;
  if (/ECONNRESET|EPIPE|UNEXPECTED_EOF/.test(code)) return CLOSED;
  return `TLS failed: ${printReason(error)}`;
}

/** Puts an error of TLS after the handshake into words. A server of TLS 1.3 refuses our certificate only then. */
export function explainLater(error: NodeJS.ErrnoException, attempt: TlsAttempt): string {
  return OF_CERTIFICATE.test(error.code as string) ? explainTlsFailure(error, attempt) : `TLS failed: ${printReason(error)}`;
}

/** Returns OpenSSL's words without the numbers around them. */
function printReason(error: Error & { reason?: string }): string {
  return printable(utf8(error.reason ?? error.message.trim()), 200);
}

/**
 * Explains by OpenSSL's code why the chain, the peer's own certificate first, is not trusted. BoringSSL has fewer codes, so
 * this also looks at what the certificates show.
 */
export function explainChain(code: string, chain: readonly ChainLink[], { store, words }: TlsAttempt): string {
  const [own] = chain;
  const last = chain.at(-1);
  const isUnknown = /^(?:SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/.test(code);
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT' || (isUnknown && chain.length === 1 && own?.content.selfIssued))
    return `the certificate is self-signed; if it is the right one, name it as ${words.byCa}, or its digest as ${words.orFingerprint}`;
  if (isUnknown) {
    const missing = chain.length > 1 ? '' : ', or the server does not send its intermediate certificate';
    return `the certificate comes from "${last?.facts.issuer}", which is not in ${store.name}${missing}${store.isGiven ? '' : `; if that is the right CA, ${words.byCa} can ${words.nameCa}`}`;
  }
  const now = Date.now();
  const bad = (isBad: (facts: CertificateFacts) => boolean) => chain.find(({ facts }) => isBad(facts))?.facts ?? own?.facts;
  const whose = (facts: CertificateFacts | undefined) =>
    facts === undefined || facts === own?.facts ? 'the certificate' : `the issuer's certificate "${facts.subject}"`;
  switch (code) {
    case 'CERT_HAS_EXPIRED': {
      const expired = bad(({ notAfter }) => notAfter < now);
      return `${whose(expired)} expired on ${printDay(expired?.notAfter)}`;
    }
    case 'CERT_NOT_YET_VALID': {
      const early = bad(({ notBefore }) => notBefore > now);
      return `${whose(early)} is not valid before ${printDay(early?.notBefore)}, and the clock here says ${printDay(now)}`;
    }
    case 'CERT_SIGNATURE_FAILURE':
      return 'the signature of the certificate is wrong';
    case 'INVALID_PURPOSE':
      return 'the certificate is not meant for a server';
    case 'CERT_REVOKED':
      return 'the certificate is revoked';
    default:
      return `the certificate cannot be verified (${printable(utf8(code), 100)})`;
  }
}

/** True for OpenSSL's codes for what is weak; Node has no name for some of them. */
export const isAboutWeakness = (code: string): boolean => /^(?:UNSPECIFIED|\w+_TOO_(?:WEAK|SMALL))$/.test(code);

/** Explains what is weak, and what may be done about it. */
export function explainWeakness({ at, detail }: Weakness, chain: readonly ChainLink[], words: TlsWords): string {
  const whose = at === 0 ? 'the certificate' : `the issuer's certificate "${chain[at]?.facts.subject}"`;
  return `${whose} ${detail}: the server needs another one; until it has, ${words.byFingerprint} can name the one it has`;
}

/** The most names of a certificate that are shown; some certificates have a hundred. */
const MOST_NAMES = 8;

/** Says for whom the certificate is, and who is wanted. */
export function explainNames({ facts }: ChainLink, { names }: WantedPeer, words: TlsWords): string {
  if (names.length === 0) return `a unix socket has no name to verify; set ${words.byServerName}`;
  const wanted = names.join(' or ');
  if (facts.names.length === 0)
    return `the certificate names no host in subjectAltName (its common name "${facts.subject}" does not count), so it is not for ${wanted}`;
  if (names.every((name) => (isIPv4(name) || isIPv6(name)) && facts.names.includes(name)))
    return `the certificate names ${wanted} as a domain, which does not count for an IP address: it needs an entry of type IP in subjectAltName`;
  const more = facts.names.length > MOST_NAMES ? ` and ${facts.names.length - MOST_NAMES} more` : '';
  return `the certificate is for ${facts.names.slice(0, MOST_NAMES).join(', ')}${more}, not for ${wanted} (see ${words.byServerName})`;
}

/** Prints a time as `2026-11-22 14:56 UTC`, or "(unknown)". */
const printDay = (milliseconds: number | undefined): string =>
  milliseconds === undefined || Number.isNaN(milliseconds)
    ? '(unknown)'
    : `${new Date(milliseconds).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
