/**
 * How far the message on standard input goes, once it is known: whether a lone dot cut off what follows, and where a file's
 * descriptor is left for whoever reads on. Knows no octet of the message.
 */
import { hasText, type LoneDot, untilDot } from '../message/lonedot.ts';
import type { Stdin } from './stdin.ts';

export interface Extent {
  /** Reading begins. */
  begin(): void;
  loneDot(dot: LoneDot): void;
  /** A lone dot ended the message and text follows it that is there already; nothing is waited for. */
  isCut(): Promise<boolean>;
  /**
   * Moves the descriptor of a file that was read from behind the message, as a reader does who reads it to its end.
   * `isRead`: the message was.
   */
  leave(isRead: boolean, signal: AbortSignal): Promise<void>;
}

/** For the log, and for standard error together with a failure or -v. */
export const CUT =
  'a line with a single dot ended the message, and the text behind it was not sent: use -i (or lone_dot = "text") if such a line is text';

/** Turns of the event loop in which octets that wait in a pipe arrive. */
const TURNS = 3;
/** Milliseconds for them where a thread reads. */
const THREAD = 20;

export function makeExtent(stdin: Stdin, dotEnds: boolean): Extent {
  let found: LoneDot | null = null;
  let hasBegun = false;
  const loneDot = (dot: LoneDot): void => {
    found = dot;
  };

  async function isFollowed({ octets }: LoneDot): Promise<boolean> {
    // Who types a dot to end a message means it.
    if (stdin.isTerminal) return false;
    const read = (stdin.file?.at(octets) ?? stdin).read();
    const got = await Promise.race([read, soon()]);
    return got instanceof Uint8Array && hasText(got);
  }
  return {
    begin() {
      hasBegun = true;
      // Up to a dot it is read in other steps than it is left.
      if (!dotEnds) stdin.place?.follow();
    },
    loneDot,
    isCut: async () => found !== null && (found.isFollowed || (await isFollowed(found))),
    async leave(isRead, signal) {
      const { file, place } = stdin;
      if (!hasBegun || place === undefined || file === undefined) return;
      if (dotEnds && !isRead && found === null) {
        const rest = untilDot(file.at(0), loneDot);
        while (!signal.aborted && (await rest.read()) instanceof Uint8Array) await turn();
      }
      await place.moveTo(found?.octets ?? null, signal);
    },
  };
}

const turn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

async function soon(): Promise<null> {
  for (let i = 0; i < TURNS; i++) await turn();
  if (process.versions.bun !== undefined) await new Promise((resolve) => setTimeout(resolve, THREAD));
  return null;
}
