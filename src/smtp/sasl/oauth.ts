/**
 * Bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, its predecessor as Google and Microsoft describe it. A server that refuses
 * says why in a challenge, which the client answers before the refusal proper comes. Knows not where the token comes from.
 */

import { printable, utf8 } from '../text.ts';
import { type Exchange, endExchange, type Mechanism } from './sasl.ts';
import { saslName } from './scram.ts';

/** People see so many characters of a server's explanation: two lines of a terminal. */
const SHOWN = 160;
/** A longer explanation is not read as JSON; those of Google and Microsoft are below 300 octets. */
const READ = 4096;

/** `host` and `port` are those of the smart host; '' and 0 leave them out. RFC 7628 §3.1 */
export function oauthBearer(user: string, token: string, host: string, port: number): Mechanism {
  const header = user === '' ? 'n,,' : `n,a=${saslName(user)},`;
  const where = `${host === '' ? '' : `host=${utf8(host)}\x01`}${port === 0 ? '' : `port=${port}\x01`}`;
  // RFC 7628 §3.2.3: the client answers an explanation by a lone ^A.
  return makeBearer('OAUTHBEARER', `${header}\x01${where}auth=Bearer ${token}\x01\x01`, '\x01');
}

/**
 * Not a standard: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol. The client answers an explanation by
 * nothing.
 */
export function xoauth2(user: string, token: string): Mechanism {
  return makeBearer('XOAUTH2', `user=${utf8(user)}\x01auth=Bearer ${token}\x01\x01`, '');
}

function makeBearer(name: string, say: string, acknowledgement: string): Mechanism {
  const hear = (challenge: string): Exchange => ({
    say: acknowledgement,
    mayEnd: false,
    refusal: printExplanation(challenge),
    hear: endExchange,
  });
  return { name, begin: () => ({ say, mayEnd: true, hear }) };
}

/** Prints `status invalid_token, scope https://mail.example.com/`, or whatever else the server wrote, in short. RFC 7628 §3.2.2 */
function printExplanation(challenge: string): string {
  const members = challenge.length > READ ? [] : readMembers(challenge);
  const known = members.filter(([key]) => ['status', 'scope', 'schemes', 'error', 'error_description'].includes(key));
  const text = known.length > 0 ? known.map(([key, value]) => `${key} ${value}`).join(', ') : challenge;
  return printable(text, SHOWN);
}

/** The members of a flat JSON object that are text or numbers; none when it is anything else. */
function readMembers(challenge: string): readonly (readonly [string, string])[] {
  let read: unknown;
  try {
    read = JSON.parse(challenge);
  } catch {
    return [];
  }
  if (typeof read !== 'object' || read === null) return [];
  return Object.entries(read).flatMap(([key, value]): [string, string][] =>
    typeof value === 'string' || typeof value === 'number' ? [[key, `${value}`]] : [],
  );
}
