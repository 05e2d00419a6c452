/**
 * Reads content as a server receives it after DATA: finds its end, takes the transparency dots out, and counts the line ends
 * that are not allowed. Works on the chunks as they come and copies nothing. Knows no command and no reply.
 */
const CR = 13;
const LF = 10;
const DOT = 46;
const HELD_CR = new Uint8Array([CR]);

/** The reader's position, by the octets that it saw last. */
type Position = 'line' | 'cr' | 'start' | 'dot' | 'dotCr';

/** The facts of a whole content, known at its end. */
export interface ReceivedContent {
  /** Octets of the content, without transparency dots and terminator. */
  readonly octets: number;
  /** How many LF had no CR before them, and CR no LF after them: RFC 5321 §2.3.8 forbids both. */
  readonly bare: number;
}

export interface ContentReader {
  /**
   * Reads `chunk` from `from` on, and hands each run of content octets to `keep` as a view into the chunk.
   * Returns the index after the terminator, or -1 when the chunk is used up and the content goes on.
   */
  read(chunk: Uint8Array, from: number, keep: (octets: Uint8Array) => void): number;
  facts(): ReceivedContent;
}

/**
 * Only CR LF `.` CR LF ends the content, or `.` CR LF at its very beginning (RFC 5321 §4.1.1.4); every other look-alike
 * is content, however lone CR and LF surround it. The reader takes out a dot after CR LF that does not end the content
 * (RFC 5321 §4.5.2).
 */
export function makeContentReader(): ContentReader {
  let at: Position = 'start';
  let octets = 0;
  let bare = 0;
  return {
    facts: () => ({ octets, bare }),
    read(chunk, from, keep) {
      /** Start of the octets that are not yet handed on; the reader holds back a dot at the start of a line, and a CR after it. */
      let start = from;
      const pass = (end: number): void => {
        if (end <= start) return;
        octets += end - start;
        keep(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end));
      };
      /**
       * The next CR and LF. Each is searched for again only when passed, because few line ends of one kind must not make this
       * quadratic.
       */
      let nextCr = -1;
      let nextLf = -1;
      for (let i = from; i < chunk.length; i++) {
        if (at === 'line') {
          if (nextCr < i) nextCr = indexOf(chunk, CR, i);
          if (nextLf < i) nextLf = indexOf(chunk, LF, i);
          i = Math.min(nextCr, nextLf);
          if (i === chunk.length) break;
          if (nextLf === nextCr + 1 && nextLf < chunk.length) {
            i = nextLf;
            at = 'start';
          } else if (nextLf < nextCr) bare++;
          else at = 'cr';
          continue;
        }
        const octet = chunk[i] as number;
        if (at === 'start' && octet === DOT) {
          pass(i);
          start = i + 1;
          at = 'dot';
          continue;
        }
        if (at === 'dot' && octet === CR) {
          at = 'dotCr';
          continue;
        }
        if (at === 'dotCr') {
          if (octet === LF) return i + 1;
          // The CR was no part of a terminator, so it is content, and it may have come with the chunk before.
          if (i === from) {
            octets++;
            keep(HELD_CR);
          }
          at = 'cr';
        }
        if (at === 'cr') {
          if (octet === LF) {
            at = 'start';
            continue;
          }
          bare++;
        }
        if (octet === LF) bare++;
        at = octet === CR ? 'cr' : 'line';
      }
      // The CR behind a dot waits.
      if (at !== 'dotCr') pass(chunk.length);
      return -1;
    },
  };
}

/** The index of an octet, or the length when there is none. The built-in search of octet arrays is faster than a loop. */
function indexOf(chunk: Uint8Array, octet: number, from: number): number {
  const found = chunk.indexOf(octet, from);
  return found < 0 ? chunk.length : found;
}

/** Returns the index of CR LF `.` CR LF at or after `from`, or -1. The driver hands it in, because platforms have a fast one. */
export type Search = (chunk: Uint8Array, from: number) => number;

/**
 * Reads content that nobody wants, fast, so that it can measure clients: it hands nothing on, looks for no lone CR and LF, and
 * counts transparency dots as content.
 */
export function makeContentSkipper(search: Search): ContentReader {
  let octets = 0;
  /** The last octets seen, four at most, which are all of a terminator except its end. The first are the CR LF of the command. */
  let tail: Uint8Array = new Uint8Array([CR, LF]);
  return {
    facts: () => ({ octets, bare: 0 }),
    read(chunk, from) {
      const head = chunk.subarray(from, from + 4);
      const seam = new Uint8Array(tail.length + head.length);
      seam.set(tail);
      seam.set(head, tail.length);
      const across = search(seam, 0);
      if (across >= 0 && across < tail.length) {
        const end = across + 5 - tail.length;
        octets += end - 3;
        return from + end;
      }
      const found = search(chunk, from);
      if (found >= 0) {
        octets += found + 2 - from;
        return found + 5;
      }
      octets += chunk.length - from;
      tail = chunk.length - from >= 4 ? chunk.slice(-4) : seam.slice(-4);
      return -1;
    },
  };
}
