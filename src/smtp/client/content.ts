/**
 * Encodes message content for the wire: only CRLF ends a line (RFC 5321 §2.3.8), and DATA doubles the first dot of a line
 * (RFC 5321 §4.5.2). Reads LF, CRLF and a lone CR as line ends in any mixture, however the octets are cut into chunks. Knows no
 * header, no command, and not the terminator, which belongs to the machine.
 */
const LF = 10;
const CR = 13;
const DOT = 46;
const NOTHING = new Uint8Array(0);

/**
 * Content is framed by transparency and a terminator (RFC 5321 §4.1.1.4), or by counted octets (RFC 3030 §2). 'binary' is counted,
 * too, and every octet stays as it is (RFC 3030 §3).
 */
export type Framing = 'data' | 'bdat' | 'binary';

/** The facts of the content so far. All counts are exact up to 2^53. Of binary content only the octets are counted. */
export interface ContentFacts {
  readonly octetsIn: number;
  /** Octets that push and end have returned, transparency dots included. */
  readonly octetsOut: number;
  /** The message size of RFC 1870 §5: octets with CRLF line ends, without transparency dots. */
  readonly size: number;
  /** True when an octet is above 127. */
  readonly eightBit: boolean;
  readonly nul: boolean;
  /**
   * Octets of the longest line, without its line end and without a transparency dot; an unfinished line counts as far as it
   * goes.
   */
  readonly longestLine: number;
  /** How many line ends were written. */
  readonly lines: number;
}

/** Makes the content ready for the line: line ends are CRLF, and under DATA dots are stuffed (RFC 5321 §4.5.2). Binary content is ready. */
export interface ContentEncoder {
  /** Returns the octets to write for this chunk, valid until the next call; the chunk itself when nothing had to change. */
  push(chunk: Uint8Array): Uint8Array;
  /** Returns the missing final line end: CRLF where the content does not end with a line end; nothing for empty content. */
  end(): Uint8Array;
  /** A snapshot. */
  readonly facts: ContentFacts;
}

/** The facts of content that is wholly at hand. */
export interface ContentScan {
  /** The same as ContentFacts.size, with the final line end that `end` would add. */
  readonly size: number;
  readonly eightBit: boolean;
  readonly nul: boolean;
  readonly longestLine: number;
}

/** Makes an encoder at the start of the content, which is the start of a line. */
export function contentEncoder(framing: Framing): ContentEncoder {
  return encoder(framing === 'data', true, framing === 'binary');
}

/** Measures whole content without writing it anywhere. */
export function scanContent(octets: Uint8Array): ContentScan {
  const scanner = encoder(false, false);
  scanner.push(octets);
  scanner.end();
  const { size, eightBit, nul, longestLine } = scanner.facts;
  return { size, eightBit, nul, longestLine };
}

/**
 * The state is two facts: the encoder stands at a line's start, and the last octet was a CR (to which an LF that follows
 * belongs). The engine's own indexOf and copyWithin find and move the octets, a run at a time. They need no warming up, which
 * counts because most messages are over before an engine has compiled a loop over octets, and they are the fastest way where
 * nothing is compiled at all.
 */
function encoder(transparent: boolean, writes: boolean, isBinary?: boolean): ContentEncoder {
  let atLineStart = true;
  let afterCR = false;
  let out = NOTHING;
  let octetsIn = 0;
  let octetsOut = 0;
  let dots = 0;
  let lines = 0;
  let line = 0;
  let longestLine = 0;
  let eightBit = false;
  let nul = false;
  // Of the chunk in hand: octets from `kept` on stand unchanged in it and are not yet in `out`, which holds `filled` octets.
  let kept = 0;
  let filled = 0;
  let added = 0;

  /** Puts an octet before the one at `before`. */
  function insert(chunk: Uint8Array, before: number, octet: number): void {
    added++;
    if (!writes) return;
    if (added === 1) {
      if (out.length < 2 * chunk.length) out = new Uint8Array(2 * chunk.length);
      out.set(chunk, out.length - chunk.length);
    }
    move(chunk, before);
    out[filled++] = octet;
  }

  /**
   * Moves what is kept, up to `to`, behind what is filled. The chunk's copy lies in the second half of `out`: writing never reaches the octets that
   * are still to be moved, because no octet becomes more than two.
   */
  function move(chunk: Uint8Array, to: number): void {
    const copy = out.length - chunk.length;
    out.copyWithin(filled, copy + kept, copy + to);
    filled += to - kept;
    kept = to;
  }

  function push(chunk: Uint8Array): Uint8Array {
    const length = chunk.length;
    octetsIn += length;
    if (isBinary) {
      octetsOut = octetsIn;
      return chunk;
    }
    eightBit ||= hasEightBit(chunk);
    nul ||= chunk.includes(0);
    let at = afterCR && chunk[0] === LF ? 1 : 0;
    if (length > 0) afterCR = false;
    const first = at;
    kept = first;
    filled = 0;
    added = 0;
    let cr = find(chunk, CR, at);
    let lf = find(chunk, LF, at);
    for (;;) {
      if (atLineStart && transparent && chunk[at] === DOT) {
        insert(chunk, at, DOT);
        dots++;
      }
      const end = Math.min(cr, lf);
      line += end - at;
      if (line > longestLine) longestLine = line;
      if (at < length) atLineStart = end < length;
      if (end === length) break;
      line = 0;
      lines++;
      if (lf < cr) {
        insert(chunk, lf, CR);
        at = lf + 1;
        lf = find(chunk, LF, at);
      } else if (lf === cr + 1 && lf < length) {
        at = lf + 1;
        lf = find(chunk, LF, at);
        cr = find(chunk, CR, at);
      } else {
        at = cr + 1;
        insert(chunk, at, LF);
        afterCR = at === length;
        cr = find(chunk, CR, at);
      }
    }
    octetsOut += length - first + added;
    if (added === 0 || !writes) return first === 0 ? chunk : chunk.subarray(first);
    move(chunk, length);
    return out.subarray(0, filled);
  }

  return {
    push,
    end() {
      if (atLineStart) return NOTHING;
      atLineStart = true;
      line = 0;
      lines++;
      octetsOut += 2;
      return Uint8Array.of(CR, LF);
    },
    get facts() {
      return { octetsIn, octetsOut, size: octetsOut - dots, eightBit, nul, longestLine, lines };
    },
  };
}

/** Where the octet comes next; the length when it does not. */
function find(chunk: Uint8Array, octet: number, from: number): number {
  const found = chunk.indexOf(octet, from);
  return found < 0 ? chunk.length : found;
}

/**
 * True when an octet is above 127. Looks at the words that lie in the octets, eight at a time, and at the octets left at either
 * end.
 */
export function hasEightBit(octets: Uint8Array): boolean {
  const { length, byteOffset } = octets;
  const head = Math.min(-byteOffset & 3, length);
  const count = (length - head) >> 2;
  const words = new Int32Array(octets.buffer, count > 0 ? byteOffset + head : 0, count);
  let seen = 0;
  let k = 0;
  for (; k + 8 <= count; k += 8)
    seen |=
      (words[k] as number) |
      (words[k + 1] as number) |
      (words[k + 2] as number) |
      (words[k + 3] as number) |
      (words[k + 4] as number) |
      (words[k + 5] as number) |
      (words[k + 6] as number) |
      (words[k + 7] as number);
  for (; k < count; k++) seen |= words[k] as number;
  for (let i = 0; i < head; i++) seen |= octets[i] as number;
  for (let i = head + 4 * count; i < length; i++) seen |= octets[i] as number;
  return (seen & 0x80808080) !== 0;
}
