/**
 * SASL mechanisms as small step functions: challenge in, response out (RFC 4422 §3). The platform hands its hashes in.
 * Knows neither base64 nor the AUTH command: all texts here are octet strings.
 */
import { LONGEST_COMMAND_SENT } from '../limits.ts';
import type { Parsed } from '../parsed.ts';
import { utf8 } from '../text.ts';

/**
 * One moment of an exchange. `say` is the response to send now; null at the start when the mechanism lets the server speak
 * first. `mayEnd` is true when a 235 now is a success (false until, say, the server has proved itself). `refusal` is the reason,
 * printable, that the server gave within the exchange before it refuses; it belongs in front of the text of the 5yz that
 * follows. With `ignoresChallenge` a challenge may be anything, and `hear` gets ''; else it has to be base64.
 */
export interface Exchange {
  readonly say: string | null;
  readonly mayEnd: boolean;
  readonly refusal?: string;
  readonly ignoresChallenge?: boolean;
  hear(challenge: string): Exchange | Cancelled;
}

/** The client gives up: it sends `*` and the authentication fails with `detail`. RFC 4954 §4 */
export interface Cancelled {
  readonly cancel: string;
}

/** A way to log in. One mechanism serves one exchange after the other. */
export interface Mechanism {
  /** SASL name, upper case. */
  readonly name: string;
  begin(): Exchange;
}

/**
 * The choice among the mechanisms that a server offers: one of them, or why none will do. `lacks` tells that TLS is missing or
 * that the credentials cannot be used; without it the server offers none that fits.
 */
export type Choice = Parsed<Mechanism> & { readonly lacks?: 'tls' | 'credentials' };

/** The digests that mechanisms ask for. */
export type Digest = 'md5' | 'sha1' | 'sha256';

/** The part of a platform's cryptography that the mechanisms need: octet strings in and out, at once. */
export interface Hashes {
  hash(digest: Digest, octetString: string): string;
  /** RFC 2104 §2 */
  hmac(digest: Digest, key: string, octetString: string): string;
  /** Returns as many octets as the digest has. RFC 8018 §5.2 */
  pbkdf2(digest: Digest, password: string, salt: string, iterations: number): string;
  /** Returns at least 128 random bits in printable ASCII without a comma, never the same twice. RFC 5802 §5.1 */
  nonce(): string;
}

const DIGESTS = { md5: 'MD5', sha1: 'SHA-1', sha256: 'SHA-256' } as const satisfies Record<Digest, string>;

/** Why a mechanism cannot have its digest; null where the platform computes it. One that is bound to FIPS 140 has no MD5. */
export function digestFault(name: string, digest: Digest, hashes: Hashes): string | null {
  try {
    hashes.hmac(digest, 'key', '');
    return null;
  } catch {
    return `${name} needs ${DIGESTS[digest]}, which this system's cryptography refuses`;
  }
}

/** Hears a challenge where the mechanism has no response left. */
export const endExchange = (): Cancelled => ({ cancel: 'the server asks for more than the mechanism has' });

/**
 * Keeps a mechanism silent at first when its initial response would make the AUTH command too long. The server then asks for
 * it with an empty challenge, and the answer may have the longer lines of RFC 4954 §4, which tokens need.
 */
export function keepInitialShort(mechanism: Mechanism): Mechanism {
  return {
    name: mechanism.name,
    begin() {
      const first = mechanism.begin();
      const encoded = Math.ceil((first.say ?? '').length / 3) * 4;
      if (first.say === null || `AUTH ${mechanism.name} `.length + encoded <= LONGEST_COMMAND_SENT) return first;
      return { say: null, mayEnd: false, ignoresChallenge: first.ignoresChallenge === true, hear: () => first };
    },
  };
}

/** RFC 4616 §2. A server that overlooks the initial response asks for it, and gets it once more. */
export function plain(user: string, password: string): Mechanism {
  const response: Exchange = { say: `\0${utf8(user)}\0${utf8(password)}`, mayEnd: true, ignoresChallenge: true, hear: endExchange };
  return { name: 'PLAIN', begin: () => ({ ...response, hear: () => response }) };
}

/**
 * LOGIN was never standardised. It takes any two prompts for user and password, because their texts differ between servers and
 * some are no base64.
 */
export function login(user: string, password: string): Mechanism {
  const second: Exchange = { say: utf8(password), mayEnd: true, ignoresChallenge: true, hear: endExchange };
  const first: Exchange = { say: utf8(user), mayEnd: false, ignoresChallenge: true, hear: () => second };
  return { name: 'LOGIN', begin: () => ({ say: null, mayEnd: false, ignoresChallenge: true, hear: () => first }) };
}
