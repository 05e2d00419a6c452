/** Reads what a caller still writes, and forgets it. Knows no message and no reason. */
import type { Stdin } from './open.ts';

/** P13: bounds what is read so that a caller does not die of SIGPIPE before it reads our reason. */
const LIMITS = { octets: 64 * 1024 * 1024, milliseconds: 30_000 };

/**
 * Reads to the end of the input, also one by a signal, or as many octets or for as long as the limits say, and closes the input. A
 * file is not read, because nobody waits for that.
 */
export function drain(input: Stdin, limits: { readonly octets: number; readonly milliseconds: number } = LIMITS): Promise<void> {
  return new Promise((resolve) => {
    let left = input.hasWriter ? limits.octets : 0;
    const timer = setTimeout(finish, limits.milliseconds);
    function finish(): void {
      left = 0;
      clearTimeout(timer);
      input.close();
      resolve();
    }
    void (async () => {
      while (left > 0) {
        const got = await input.read();
        left = got instanceof Uint8Array ? left - got.length : 0;
      }
      finish();
    })();
  });
}
