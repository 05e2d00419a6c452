/**
 * Looks behind a lone dot that ended the message on standard input, or for one that nobody has looked for. Loaded only then.
 * Knows no octet of the message.
 */

import { hasText, type LoneDot, untilDot } from '../../message/lone-dot.ts';
import type { Stdin } from './open.ts';

/** Turns of the event loop in which octets that wait in a pipe arrive. */
const TURNS = 3;
/** Milliseconds in which they do where a thread reads. */
const THREAD = 20;

/** A warning if text follows the dot and is there already, else null. It waits for nothing. */
export async function warnOfText(stdin: Stdin, dot: LoneDot): Promise<string | null> {
  return dot.isFollowed || (await isFollowed(stdin, dot))
    ? 'a line with a single dot ended the message, and the text behind it was not sent: use -i (or lone_dot = "text") if such a line is text'
    : null;
}

async function isFollowed(stdin: Stdin, { octets }: LoneDot): Promise<boolean> {
  // A person who types a dot to end a message means it.
  if (stdin.isTerminal) return false;
  const read = (stdin.file?.at(octets) ?? stdin).read();
  const got = await Promise.race([read, waitShortly()]);
  return got instanceof Uint8Array && hasText(got);
}

async function waitShortly(): Promise<null> {
  for (let i = 0; i < TURNS; i++) await waitOneTurn();
  if (process.versions.bun !== undefined) await new Promise((resolve) => setTimeout(resolve, THREAD));
  return null;
}

const waitOneTurn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

/** Finds the dot that ends the message of the file; the value is the octets up to it, null where none does. */
export async function findDot(file: NonNullable<Stdin['file']>, signal: Pick<AbortSignal, 'aborted'>): Promise<number | null> {
  let octets: number | null = null;
  const message = untilDot(file.at(0), (dot) => {
    octets = dot.octets;
  });
  while (!signal.aborted && (await message.read()) instanceof Uint8Array) await waitOneTurn();
  return octets;
}
