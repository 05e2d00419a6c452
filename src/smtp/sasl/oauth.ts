/**
 * Bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, its predecessor as Google and Microsoft describe it. The token is
 * obtained elsewhere. A server that refuses says why in a challenge, which is answered before the refusal proper comes.
 */

import { printable, utf8 } from '../text.ts';
import { type Exchange, endExchange, type Mechanism } from './sasl.ts';
import { saslName } from './scram.ts';

/** Characters of a server's explanation that are shown: two lines of a terminal. */
const SHOWN = 160;
/** Octets of an explanation that are read as JSON; those of Google and Microsoft are below 300. */
const READ = 4096;

/** `host` and `port` are those of the smart host; '' and 0 leave them out. RFC 7628 §3.1 */
export function oauthBearer(user: string, token: string, host: string, port: number): Mechanism {
  const header = user === '' ? 'n,,' : `n,a=${saslName(user)},`;
  const where = `${host === '' ? '' : `host=${utf8(host)}\x01`}${port === 0 ? '' : `port=${port}\x01`}`;
  // RFC 7628 §3.2.3: an explanation is answered by a lone ^A.
  return bearer('OAUTHBEARER', `${header}\x01${where}auth=Bearer ${token}\x01\x01`, '\x01');
}

/** Not a standard: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol; an explanation is answered by nothing. */
export function xoauth2(user: string, token: string): Mechanism {
  return bearer('XOAUTH2', `user=${utf8(user)}\x01auth=Bearer ${token}\x01\x01`, '');
}

function bearer(name: string, say: string, acknowledgement: string): Mechanism {
  const hear = (challenge: string): Exchange => ({
    say: acknowledgement,
    mayEnd: false,
    refusal: explanation(challenge),
    hear: endExchange,
  });
  return { name, begin: () => ({ say, mayEnd: true, hear }) };
}

/** `status invalid_token, scope https://mail.example.com/`, or whatever else the server wrote, printable and short. RFC 7628 §3.2.2 */
function explanation(challenge: string): string {
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
