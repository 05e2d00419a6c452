/**
 * How far the message on standard input went where a lone dot may end it: what follows the dot, and where the dot is that
 * nobody has looked for. Loaded only then. Knows no octet of the message.
 */
import { hasText, type LoneDot, untilDot } from '../../message/lone-dot.ts';
import type { Stdin } from './open.ts';

/** Turns of the event loop in which octets that wait in a pipe arrive. */
const TURNS = 3;
/** Milliseconds for them where a thread reads. */
const THREAD = 20;

const turn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

async function soon(): Promise<null> {
  for (let i = 0; i < TURNS; i++) await turn();
  if (process.versions.bun !== undefined) await new Promise((resolve) => setTimeout(resolve, THREAD));
  return null;
}

/** What to tell where text follows the dot that is there already; null where there is none. Nothing is waited for. */
export async function cutOff(stdin: Stdin, dot: LoneDot): Promise<string | null> {
  return dot.isFollowed || (await isFollowed(stdin, dot))
    ? 'a line with a single dot ended the message, and the text behind it was not sent: use -i (or lone_dot = "text") if such a line is text'
    : null;
}

async function isFollowed(stdin: Stdin, { octets }: LoneDot): Promise<boolean> {
  // Who types a dot to end a message means it.
  if (stdin.isTerminal) return false;
  const read = (stdin.file?.at(octets) ?? stdin).read();
  const got = await Promise.race([read, soon()]);
  return got instanceof Uint8Array && hasText(got);
}

/** Octets of the file up to the dot that ends its message; null where none does. */
export async function findDot(file: NonNullable<Stdin['file']>, signal: AbortSignal): Promise<number | null> {
  let octets: number | null = null;
  const message = untilDot(file.at(0), (dot) => {
    octets = dot.octets;
  });
  while (!signal.aborted && (await message.read()) instanceof Uint8Array) await turn();
  return octets;
}
