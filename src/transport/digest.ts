/**
 * Digests of octets, by what the runtime has at hand: Bun has them without node:crypto, whose loading costs more than a handshake. Knows
 * no certificate.
 */
type DigestName = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512';

interface BunHasher {
  update(octets: Uint8Array): BunHasher;
  digest(): Uint8Array;
}
const { Bun: bun } = globalThis as unknown as { readonly Bun?: { readonly CryptoHasher: new (name: DigestName) => BunHasher } };

export const digestOf = (name: DigestName, octets: Uint8Array): Buffer =>
  bun === undefined
    ? process.getBuiltinModule('node:crypto').createHash(name).update(octets).digest()
    : Buffer.from(new bun.CryptoHasher(name).update(octets).digest());
