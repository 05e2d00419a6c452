/**
 * SASL mechanisms as small step functions: challenge in, response out (RFC 4422 §3). Hashes are handed in.
 * Knows neither base64 nor the AUTH command: all texts here are octet strings.
 */
import { utf8 } from './text.ts';

/**
 * One moment of an exchange. `say` is the response to send now; null at the start when the mechanism lets the
 * server speak first. `mayEnd` is true when a 235 now is a success (false until, say, the server proved itself).
 */
export interface Exchange {
  readonly say: string | null;
  readonly mayEnd: boolean;
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

const tooMany = (): Cancelled => ({ cancel: 'the server asks for more than the mechanism has' });

/** RFC 4616 §2 */
export function plain(user: string, password: string): Mechanism {
  return { name: 'PLAIN', begin: () => ({ say: `\0${utf8(user)}\0${utf8(password)}`, mayEnd: true, hear: tooMany }) };
}

/** Never standardised; any two prompts are taken for user and password (their texts differ between servers). */
export function login(user: string, password: string): Mechanism {
  const second: Exchange = { say: utf8(password), mayEnd: true, hear: tooMany };
  const first: Exchange = { say: utf8(user), mayEnd: false, hear: () => second };
  return { name: 'LOGIN', begin: () => ({ say: null, mayEnd: false, hear: () => first }) };
}
