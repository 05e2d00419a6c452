/**
 * Converts an 8-bit message for a server without 8BITMIME: each part becomes seven bits by its declared encoding, while the
 * message streams through (RFC 6152 §3, RFC 2045 §6). Memory is constant: one part header and the first octets of one part.
 * Knows no server and no window; the header section of the message itself has been completed before.
 */
import { isAscii } from 'node:buffer';
import { makeOctetBuffer, type OctetBuffer } from '../octet-buffer.ts';
import { CLEAN, type Ended, type Source } from '../source.ts';
import type { PartWriter } from './encodings.ts';
import { delimits, entityOf, isHeaderLine, LONGEST_DELIMITER } from './mime.ts';
import {
  encodeBinary,
  encodeHeader,
  explainPass,
  holdPart,
  type Lookahead,
  type Part,
  passHeader,
  passUnaltered,
  SIGNED,
  treatmentOf,
  WHY,
} from './part.ts';

const LF = 10;
const CR = 13;
const HYPHEN = 45;
/** Octets that are handed on at once. */
const SLICE = 64 * 1024;
/** Multiparts within multiparts; real mail has five. Deeper ones pass unconverted. */
const DEEPEST = 100;

export interface ConvertOptions extends Lookahead {
  /** Octets of a part's header section. */
  readonly partHeader: number;
  /** The charset of raw 8-bit fields of parts and enclosed messages that are not UTF-8. RFC 1428 §3 names the unknown one. */
  readonly charset: string;
}

export const CONVERT: ConvertOptions = {
  lookahead: 64 * 1024,
  mislabelled: 'convert',
  // The header section of a part has a handful of fields; Postfix stops at 100 KiB (header_size_limit).
  partHeader: 64 * 1024,
  charset: 'unknown-8bit',
};

/**
 * Returns the message (header section, empty line, body) with every octet below 128. Text becomes quoted-printable, anything
 * else base64; multiparts and `message/rfc822` stay as they are around their parts (RFC 2045 §6.4); a `multipart/signed` is not
 * altered (RFC 1847 §2.1). Fails, without a clean end, at an 8-bit octet that must not or can no longer be encoded. Line ends
 * outside encoded parts stay as they were.
 */
export function toSevenBit(message: Source, options: ConvertOptions = CONVERT): Source {
  const out = makeOctetBuffer();
  const machine = makeConverter(out, options);
  let taken = 0;
  let ended: Ended | null = null;
  return {
    async read() {
      for (;;) {
        if (ended?.end === 'failed') return ended;
        if (taken < out.length) {
          const slice = out.octets.subarray(taken, Math.min(out.length, taken + SLICE));
          taken += slice.length;
          return slice;
        }
        if (ended !== null) return ended;
        out.clear();
        taken = 0;
        const got = await message.read();
        if (got instanceof Uint8Array) ended = machine.write(got);
        else ended = got.end === 'clean' ? (machine.finish() ?? CLEAN) : got;
      }
    },
    close: () => message.close(),
  };
}

/** Fails at the first 8-bit octet, for `eight_bit = "refuse"`. */
export function refuseEightBit(source: Source): Source {
  let ended: Ended | null = null;
  return {
    async read() {
      if (ended !== null) return ended;
      const got = await source.read();
      if (!(got instanceof Uint8Array)) ended = got;
      else if (!isAscii(got)) ended = { end: 'failed', detail: `the message has 8-bit text ${CURE_OF_REFUSAL}`, lacks: '8bitmime' };
      return ended ?? got;
    },
    close: () => source.close(),
  };
}

const CURE_OF_REFUSAL = `${WHY}; eight_bit = "convert" has it encoded`;

interface Converter {
  write(octets: Uint8Array): Ended | null;
  finish(): Ended | null;
}

function makeConverter(out: OctetBuffer, options: ConvertOptions): Converter {
  /** Octets that are not decided yet: part of a line, or of a line end and what follows it. */
  let buffer: Buffer = Buffer.alloc(0);
  let at = 0;
  let failure: Ended | null = null;

  /** The multiparts that are open, the outermost first. */
  const open: { readonly boundary: string; readonly digest: boolean }[] = [];
  /** The header section that is being read; null within a body, a preamble or an epilogue. */
  let header: string | null = '';
  /** The owner of that header section: the message that is sent, an enclosed message, or a part. */
  let place: 'message' | 'enclosed' | 'part' = 'message';
  let fallback: 'text/plain' | 'message/rfc822' = 'text/plain';
  /** That of a part within its body, else one that writes aside. */
  let writer: PartWriter = writeAside();
  /** The number of open multiparts while the innermost has had no part yet, else -1; and whether its preamble was altered. */
  let undelimited = -1;
  let altered = false;
  /** True if `at` is the start of a line, as it is wherever a header section begins or ends, and at a delimiter. */
  let lineStart = true;
  /** The line end before `at`, where a line begins. It belongs to the delimiter if one follows, else to the body. RFC 2046 §5.1.1 */
  let lineEnd: Uint8Array = buffer;
  /** Offsets of the next LF and CR before two hyphens, from an earlier look; -1: there is none, null: not looked. */
  let nextLF: number | null = null;
  let nextCR: number | null = null;

  function fail(detail: string): void {
    failure ??= { end: 'failed', detail, lacks: '8bitmime' };
  }

  /**
   * Writes preamble and epilogue, which no reader shows (RFC 2046 §5.1.1): an 8-bit octet becomes a question mark. Without a
   * part there is no preamble, and readers show the text, so then the message fails.
   */
  function writeAside(): PartWriter {
    return {
      write(octets) {
        const start = out.length;
        out.add(octets);
        if (isAscii(octets)) return;
        if (undelimited === open.length) altered = true;
        for (let i = start; i < out.length; i++) if ((out.octets[i] as number) > 127) out.octets[i] = 63;
      },
      finish: () => undefined,
    };
  }

  /** Begins the body: the header section has ended with the empty line `separator`, or without one. */
  function startBody(separator: string): void {
    const original = encodedHeader();
    const entity = entityOf(original, fallback);
    const wanted = treatmentOf(entity, open.length < DEEPEST);
    // Other readers end a multipart that has the boundary of one around it at once, and find no header section where no empty line is.
    const isNone =
      (wanted === 'multipart' && open.some(({ boundary }) => boundary === entity.boundary)) || (wanted === 'message' && separator === '');
    const treatment = isNone ? 'pass' : wanted;
    const part: Part = { entity, header: original, separator, isMessage: place !== 'part' };
    header = null;
    switch (treatment) {
      case 'encode if 8-bit':
        writer = holdPart(out, part, options, fail);
        return;
      case 'encode':
        writer = encodeBinary(out, part);
        return;
      case 'signed':
      case 'pass':
        passHeader(out, part);
        writer = passUnaltered(out, fail, treatment === 'signed' ? SIGNED : explainPass(entity));
        return;
      case 'multipart':
        passHeader(out, part);
        open.push({ boundary: entity.boundary as string, digest: entity.subtype === 'digest' });
        undelimited = open.length;
        altered = false;
        return;
      case 'message':
        passHeader(out, part);
        header = '';
        place = 'enclosed';
        fallback = 'text/plain';
    }
  }

  /** Takes the header section that has been read, as seven bits. */
  function encodedHeader(): string {
    const encoded = encodeHeader(header ?? '', options.charset, place === 'message');
    if (encoded.ok) return encoded.value;
    fail(encoded.detail);
    return '';
  }

  /** Ends a header section that has no body. */
  function endHeader(): void {
    out.addText(encodedHeader());
    header = null;
  }

  /**
   * Finds the open multipart that a line delimits, the innermost first. The delimiter of an outer one ends the inner parts. RFC
   * 2046 §5.1.2
   */
  function findDelimiter(line: Uint8Array): { level: number; last: boolean } | null {
    if (line[0] !== HYPHEN || line[1] !== HYPHEN) return null;
    for (let level = open.length - 1; level >= 0; level--) {
      const found = delimits(line, (open[level] as { boundary: string }).boundary);
      if (found !== null) return { level, last: found === 'last' };
    }
    return null;
  }

  /**
   * Ends the preamble: a part of the multipart `depth` (the outermost: 1) begins, or the one within it has ended; 0 is the end
   * of the message.
   */
  function endPreamble(depth: number): void {
    if (altered && undelimited > depth) fail(`the message has 8-bit octets in a multipart without a part, which cannot be encoded, ${WHY}`);
    undelimited = -1;
  }

  function passDelimiter(next: number, found: { level: number; last: boolean }): void {
    if (header === null) writer.finish();
    else endHeader();
    out.add(lineEnd);
    out.add(buffer.subarray(at, next));
    at = next;
    lineEnd = lineEnd.subarray(0, 0);
    endPreamble(found.last ? found.level : found.level + 1);
    open.length = found.last ? found.level : found.level + 1;
    writer = writeAside();
    if (found.last) return;
    header = '';
    place = 'part';
    fallback = open[found.level]?.digest ? 'message/rfc822' : 'text/plain';
  }

  /** Finds the line that begins at `at`: its end and the start of the next; null if that is not in the buffer yet. */
  function findLine(final: boolean): { end: number; next: number } | null {
    let end = at;
    while (end < buffer.length && buffer[end] !== LF && buffer[end] !== CR) end++;
    if (end === buffer.length) return final ? { end, next: end } : null;
    if (buffer[end] === LF) return { end, next: end + 1 };
    if (end + 1 === buffer.length && !final) return null;
    return { end, next: buffer[end + 1] === LF ? end + 2 : end + 1 };
  }

  /** Reads one line of a header section; false if it is not there yet. */
  function readHeaderLine(final: boolean): boolean {
    const found = findLine(final);
    const next = found?.next ?? buffer.length;
    // The header section of the message itself was limited where it was read.
    if (place !== 'message' && (header as string).length + next - at > options.partHeader)
      fail(`the header section of a part is longer than ${options.partHeader} octets`);
    if (found === null || at === buffer.length) return false;
    const { end } = found;
    const octets = buffer.subarray(at, end);
    const ends = findDelimiter(octets);
    if (ends !== null) passDelimiter(next, ends);
    else if (end === at) {
      const separator = buffer.toString('latin1', at, next);
      at = next;
      startBody(separator);
    } else if (isHeaderLine(octets.toString('latin1', 0, 1000))) {
      header += buffer.toString('latin1', at, next);
      at = next;
    } else startBody('');
    return true;
  }

  const isStale = (index: number | null): index is null => index === null || (index >= 0 && index < at);

  /** Writes octets up to the next line that may be a delimiter; false if more must come first. */
  function passBody(final: boolean): boolean {
    if (open.length === 0) {
      writer.write(buffer.subarray(at));
      at = buffer.length;
      return false;
    }
    const begun = lineStart ? beginLine(final) : 'body';
    if (begun !== 'body') return begun === 'delimiter';
    const end = nextSuspect();
    if (end < 0) passUndecided(final);
    else passLineEnd(end);
    return end >= 0;
  }

  /** Decides at the start of a line whether it is a delimiter, which it passes. */
  function beginLine(final: boolean): 'more' | 'delimiter' | 'body' {
    const left = buffer.length - at;
    if (!final && (left === 0 || (left === 1 && buffer[at] === HYPHEN))) return 'more';
    if (buffer[at] === HYPHEN && buffer[at + 1] === HYPHEN) {
      const found = findLine(final);
      if (found === null && left <= LONGEST_DELIMITER) return 'more';
      const ends = found === null ? null : findDelimiter(buffer.subarray(at, found.end));
      if (found !== null && ends !== null) {
        passDelimiter(found.next, ends);
        return 'delimiter';
      }
    }
    lineStart = false;
    writer.write(lineEnd);
    return 'body';
  }

  /** Returns the offset of the next LF or CR before two hyphens; -1 if there is none. */
  function nextSuspect(): number {
    nextLF = isStale(nextLF) ? buffer.indexOf('\n--', at) : nextLF;
    nextCR = isStale(nextCR) ? buffer.indexOf('\r--', at) : nextCR;
    return nextLF < 0 || (nextCR >= 0 && nextCR < nextLF) ? nextCR : nextLF;
  }

  /** Writes octets up to a line end, which waits, because a delimiter may follow. `last` is its last octet. */
  function passLineEnd(last: number): void {
    const end = buffer[last] === LF && last > at && buffer[last - 1] === CR ? last - 1 : last;
    writer.write(buffer.subarray(at, end));
    lineEnd = buffer.subarray(end, last + 1);
    lineStart = true;
    at = last + 1;
  }

  /** Writes all octets except a possible line end before a delimiter, and its first hyphen, which wait. */
  function passUndecided(final: boolean): void {
    let end = buffer.length;
    if (!final && end - 1 > at && buffer[end - 1] === HYPHEN && (buffer[end - 2] === LF || buffer[end - 2] === CR)) end--;
    if (end > at && buffer[end - 1] === LF) end--;
    if (end > at && buffer[end - 1] === CR) end--;
    if (end > at) writer.write(buffer.subarray(at, end));
    at = end;
  }

  function run(final: boolean): Ended | null {
    nextLF = null;
    nextCR = null;
    let more = true;
    while (more && failure === null) more = header === null ? passBody(final) : readHeaderLine(final);
    return failure;
  }

  return {
    write(octets) {
      const view = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
      buffer = buffer.length > 0 ? Buffer.concat([buffer, view]) : view;
      run(false);
      // The given octets are valid only until this returns.
      buffer = Buffer.from(buffer.subarray(at));
      at = 0;
      if (lineEnd.length > 0) lineEnd = Uint8Array.from(lineEnd);
      return failure;
    },
    finish() {
      run(true);
      if (header !== null) endHeader();
      writer.finish();
      // Readers take the last line end away even if the last delimiter is missing.
      out.add(buffer.subarray(at));
      endPreamble(0);
      return failure;
    },
  };
}
