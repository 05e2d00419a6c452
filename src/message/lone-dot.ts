/**
 * Finds the end of a message as Sendmail does without `-i`: a line of one dot. Knows nothing of header or body, because it
 * reads before both. The dot that ends DATA is another matter (`src/smtp`).
 */
import { CLEAN, type Ended, type Source } from './source.ts';

const [TAB, LF, CR, BLANK, DOT] = [9, 10, 13, 32, 46];

/** The place of the lone dot that ended the message. */
export interface LoneDot {
  /** Octets of the source up to the end of its line. */
  readonly octets: number;
  /** True if more than blanks followed it in the same chunk. */
  readonly isFollowed: boolean;
}

/** True if there is more than blanks and line ends. */
export const hasText = (octets: Uint8Array): boolean =>
  octets.some((octet) => octet > BLANK || (octet < BLANK && octet !== TAB && octet !== LF && octet !== CR));

/**
 * Returns the octets of `source` up to a line of one dot, without that line, and reads nothing after it. A line that begins
 * with `..` loses one dot; any other line stays as it was. Only LF and CRLF end a line here, and the start of the input begins
 * one. A lone CR does not, so that no text can end a message by it. A dot at the end of the input is text, because without its
 * line end it may begin a longer line. `found` hears of the dot.
 */
export function untilDot(source: Source, found?: (dot: LoneDot) => void): Source {
  /** The place at which the octets so far end: at the start of a line, after its dot, after its dot and a CR, or within a line. */
  let place: 'start' | 'dot' | 'dot CR' | 'within' = 'start';
  let ended: Ended | null = null;
  /** The number of octets of earlier chunks. */
  let passed = 0;

  /** Returns the chunk without the octets that the rule takes away; sets `ended` at a lone dot. */
  function filter(chunk: Uint8Array): Uint8Array {
    const view = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const opens = place === 'start' ? view[0] === DOT : place !== 'within';
    if (!opens && view.indexOf('\n.') < 0) {
      place = view[view.length - 1] === LF ? 'start' : 'within';
      return chunk;
    }
    // Two more octets may come, which an earlier chunk left open.
    const out = new Uint8Array(chunk.length + 2);
    let length = 0;
    let i = 0;
    while (i < view.length && ended === null) {
      if (place === 'within') {
        const line = view.indexOf('\n.', i);
        const stop = line < 0 ? view.length : line + 1;
        out.set(view.subarray(i, stop), length);
        length += stop - i;
        i = stop;
        if (view[stop - 1] === LF) place = 'start';
      } else if (place === 'start') {
        place = view[i] === DOT ? 'dot' : 'within';
        if (place === 'dot') i++;
      } else if (view[i] === LF) end(view, i);
      else {
        const kept = lookBehindDot(view[i] as number);
        out.set(kept.octets, length);
        length += kept.octets.length;
        i += kept.skipped;
      }
    }
    return out.subarray(0, length);
  }

  /** `at` is the LF behind a lone dot. */
  function end(chunk: Uint8Array, at: number): void {
    ended = CLEAN;
    found?.({ octets: passed + at + 1, isFollowed: hasText(chunk.subarray(at + 1)) });
  }

  /** Behind the dot at the start of a line: the octets that were held and are text after all, and how many to pass over. */
  function lookBehindDot(octet: number): { readonly octets: readonly number[]; readonly skipped: number } {
    if (place === 'dot' && octet === CR) {
      place = 'dot CR';
      return { octets: [], skipped: 1 };
    }
    const octets = place === 'dot CR' ? [DOT, CR] : [DOT];
    // The first of two dots is taken away.
    const skipped = place === 'dot' && octet === DOT ? 1 : 0;
    place = 'within';
    return { octets, skipped };
  }

  return {
    async read() {
      while (ended === null) {
        const got = await source.read();
        if (got instanceof Uint8Array) {
          const kept = filter(got);
          passed += got.length;
          if (kept.length > 0) return kept;
          continue;
        }
        ended = got;
        if (got.end === 'clean' && place === 'dot') return Uint8Array.of(DOT);
        if (got.end === 'clean' && place === 'dot CR') return Uint8Array.of(DOT, CR);
      }
      return ended;
    },
    close: () => source.close(),
  };
}
