/**
 * SASL mechanisms as small step functions: challenge in, response out (RFC 4422 §3). Hashes are handed in.
 * Knows neither base64 nor the AUTH command: all texts here are octet strings.
 */
import { LONGEST_COMMAND_SENT } from '../limits.ts';
import { utf8 } from '../text.ts';

/**
 * One moment of an exchange. `say` is the response to send now; null at the start when the mechanism lets the
 * server speak first. `mayEnd` is true when a 235 now is a success (false until, say, the server proved itself).
 * `refusal` is what the server said within the exchange of why it is about to refuse, printable: it belongs in front of
 * the text of the 5yz that follows. With `ignoresChallenge` a challenge may be anything, and `hear` is given ''; else it has to
 * be base64.
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

export interface Mechanism {
  /** SASL name, upper case. */
  readonly name: string;
  begin(): Exchange;
}

export type Digest = 'md5' | 'sha1' | 'sha256';

/** What the mechanisms need of a platform's cryptography; octet strings in and out, nothing waits. */
export interface Hashes {
  hash(digest: Digest, octetString: string): string;
  /** RFC 2104 §2 */
  hmac(digest: Digest, key: string, octetString: string): string;
  /** As many octets as the digest has. RFC 8018 §5.2 */
  pbkdf2(digest: Digest, password: string, salt: string, iterations: number): string;
  /** Never the same twice: at least 128 random bits in printable ASCII without a comma. RFC 5802 §5.1 */
  nonce(): string;
}

/** For `hear` where no challenge is left. */
export const endExchange = (): Cancelled => ({ cancel: 'the server asks for more than the mechanism has' });

/**
 * The same mechanism, but silent at first when its initial response would make the AUTH command too long: the server asks
 * for it with an empty challenge, and the longer lines of RFC 4954 §4 hold for the answer (tokens need it).
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

/** Never standardised; any two prompts are taken for user and password (their texts differ between servers, and some are no base64). */
export function login(user: string, password: string): Mechanism {
  const second: Exchange = { say: utf8(password), mayEnd: true, ignoresChallenge: true, hear: endExchange };
  const first: Exchange = { say: utf8(user), mayEnd: false, ignoresChallenge: true, hear: () => second };
  return { name: 'LOGIN', begin: () => ({ say: null, mayEnd: false, ignoresChallenge: true, hear: () => first }) };
}
