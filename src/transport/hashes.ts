/**
 * The hashes of SASL's mechanisms by node:crypto. It is loaded when the first of them is used, so that PLAIN and a session
 * without authentication do not pay for it. Knows no mechanism.
 */
import type { Hashes } from '../smtp/sasl/sasl.ts';

type Crypto = typeof import('node:crypto');

/** `process.getBuiltinModule` loads at once, without waiting, in CommonJS and ES modules alike. */
let loaded: Crypto | undefined;
function crypto(): Crypto {
  loaded ??= process.getBuiltinModule('node:crypto') as Crypto;
  return loaded;
}

const octetsOf = (octetString: string): Buffer => Buffer.from(octetString, 'latin1');
/** The octets of each digest; PBKDF2 derives as many. RFC 5802 §3 */
const LENGTHS = { md5: 16, sha1: 20, sha256: 32 } as const;

export const hashes: Hashes = {
  hash: (digest, octetString) => crypto().createHash(digest).update(octetString, 'latin1').digest().toString('latin1'),
  hmac: (digest, key, octetString) => crypto().createHmac(digest, octetsOf(key)).update(octetString, 'latin1').digest().toString('latin1'),
  pbkdf2: (digest, password, salt, iterations) =>
    crypto().pbkdf2Sync(octetsOf(password), octetsOf(salt), iterations, LENGTHS[digest], digest).toString('latin1'),
  // 18 octets are 24 characters of base64 without padding, none of them a comma.
  nonce: () => crypto().randomBytes(18).toString('base64'),
};
