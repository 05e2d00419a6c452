/**
 * Two running sums over octets, by which octets that are read twice are known to be the same: the sum of all octets, and
 * the sum of that sum after each octet (Adler's idea without its modulus), both modulo 2^32. However the octets are cut into
 * chunks, the sums are equal. Against accidents, not against attacks. `src/transport/kernel/kernel.wat` has them sixteen octets at a time.
 */

/** Signed 32-bit integers. */
export type OctetSums = readonly [number, number];

/** Not zeros, so that leading NULs count. */
export const NO_OCTETS: OctetSums = [1, 0];

/** The sums of octets that follow those with the sums `before`. */
export type AddOctets = (octets: Uint8Array, before: OctetSums) => OctetSums;

export const addOctets: AddOctets = (octets, [first, second]) => {
  let [a, b] = [first, second];
  for (let i = 0; i < octets.length; i++) {
    a = (a + (octets[i] as number)) | 0;
    b = (b + a) | 0;
  }
  return [a, b];
};
