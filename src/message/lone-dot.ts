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
  /** Where the octets so far end: at the start of a line, after its dot, after its dot and a CR, or within a line. */
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
    for (let i = 0; i < view.length && ended === null; ) {
      const octet = view[i];
      if (place === 'within') {
        const line = view.indexOf('\n.', i);
        const stop = line < 0 ? view.length : line + 1;
        out.set(view.subarray(i, stop), length);
        length += stop - i;
        i = stop;
        if (view[stop - 1] === LF) place = 'start';
      } else if (place === 'start') {
        if (octet === DOT) i++;
        place = octet === DOT ? 'dot' : 'within';
      } else if (octet === LF) {
        ended = CLEAN;
        found?.({ octets: passed + i + 1, isFollowed: hasText(view.subarray(i + 1)) });
      } else if (place === 'dot' && octet === CR) {
        place = 'dot CR';
        i++;
      } else {
        out[length++] = DOT;
        if (place === 'dot CR') out[length++] = CR;
        else if (octet === DOT) i++;
        place = 'within';
      }
    }
    return out.subarray(0, length);
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
