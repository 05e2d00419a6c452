/**
 * CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge. It keeps the password from a listener, but it proves nothing of
 * the server, and whoever sees one exchange can guess at leisure. So it stands behind every SCRAM and needs TLS like the others.
 */

import { LONGEST_CHALLENGE } from '../limits.ts';
import { hex, utf8 } from '../text.ts';
import { type Cancelled, type Exchange, endExchange, type Hashes, type Mechanism } from './sasl.ts';

/** RFC 2195 §2 */
export function cramMd5(user: string, password: string, hashes: Hashes): Mechanism {
  const hear = (challenge: string): Exchange | Cancelled =>
    challenge.length > LONGEST_CHALLENGE
      ? { cancel: 'the CRAM-MD5 challenge is too long' }
      : { say: `${utf8(user)} ${hex(hashes.hmac('md5', utf8(password), challenge))}`, mayEnd: true, hear: endExchange };
  return { name: 'CRAM-MD5', begin: () => ({ say: null, mayEnd: false, hear }) };
}
