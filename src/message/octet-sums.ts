/**
 * Two running sums over octets, which show whether octets that are read twice are the same: the sum of all octets, and the sum
 * of that sum after each octet (Adler's idea without its modulus), both modulo 2^32. The sums do not depend on how the octets
 * are cut into chunks. They protect against accidents, not against attacks. `src/transport/kernel/kernel.wat` computes them
 * sixteen octets at a time.
 */

/** Signed 32-bit integers. */
export type OctetSums = readonly [number, number];

/** They are not zeros, so that leading NULs count. */
export const NO_OCTETS: OctetSums = [1, 0];

/** Returns the sums of octets that follow octets with the sums `before`. */
export type AddOctets = (octets: Uint8Array, before: OctetSums) => OctetSums;

export const addOctets: AddOctets = (octets, [first, second]) => {
  let [a, b] = [first, second];
  for (let i = 0; i < octets.length; i++) {
    a = (a + (octets[i] as number)) | 0;
    b = (b + a) | 0;
  }
  return [a, b];
};
