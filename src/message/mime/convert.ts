/**
 * An 8-bit message for a server without 8BITMIME: each part as seven bits by its declared encoding, while the message
 * streams through (RFC 6152 §3, RFC 2045 §6). Constant memory: one part header and the first octets of one part. Knows
 * no server and no window; the header section of the message itself has been completed before.
 */
import { isAscii } from 'node:buffer';
import { scanContent } from '../../smtp/client/content.ts';
import { fromUtf8, isAscii as isAsciiText, printable } from '../../smtp/text.ts';
import { LONGEST_LINE } from '../body.ts';
import { encodeAddresses } from '../complete.ts';
import { encodeWords, textWords } from '../encoded-words.ts';
import { NEVER_ENCODED, RECIPIENTS, SENDERS } from '../field-names.ts';
import { bodyOffset, type Field } from '../fields.ts';
import { makeOctetBuffer, type OctetBuffer } from '../octet-buffer.ts';
import { CLEAN, type Ended, type Source } from '../source.ts';
import {
  base64Lines,
  delimits,
  type Entity,
  encodeParameters,
  entityOf,
  fieldNameOf,
  fieldsOf,
  isHeaderLine,
  LONGEST_DELIMITER,
  type PartWriter,
  quotedPrintable,
  withEncoding,
} from './mime.ts';

const LF = 10;
const CR = 13;
const HYPHEN = 45;
/** Octets handed on at once. */
const SLICE = 64 * 1024;
/** Multiparts within multiparts; real mail has five. Deeper ones pass unconverted. */
const DEEPEST = 100;

export interface ConvertOptions {
  /**
   * Octets of a part that are held until it is known whether it has 8-bit octets. With the size of the whole body
   * nothing is left to chance: no part is encoded in vain, and none is found to be 8-bit too late.
   */
  readonly lookahead: number;
  /** Whether a part that is announced as 7bit and is found not to be, within `lookahead`, is converted all the same. */
  readonly mislabelled: 'convert' | 'fail';
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
 * The message `message` (header section, empty line, body) with every octet below 128. Text goes to quoted-printable,
 * anything else to base64; multiparts and `message/rfc822` stay as they are around what they hold (RFC 2045 §6.4);
 * a `multipart/signed` is not altered (RFC 1847 §2.1). Fails, without a clean end, at an 8-bit octet that must not or
 * can no longer be encoded. Line ends of what is not encoded are as they were.
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

/** Fails at the first 8-bit octet; for `eight_bit = "refuse"`. */
export function refuseEightBit(source: Source): Source {
  let ended: Ended | null = null;
  return {
    async read() {
      if (ended !== null) return ended;
      const got = await source.read();
      if (!(got instanceof Uint8Array)) ended = got;
      else if (!isAscii(got)) ended = { end: 'failed', detail: `the message has 8-bit text ${CURE_OF_REFUSAL}` };
      return ended ?? got;
    },
    close: () => source.close(),
  };
}

const WHY = 'and the server does not offer 8BITMIME';
const CURE_OF_REFUSAL = `${WHY}; eight_bit = "convert" has it encoded`;

interface Converter {
  write(octets: Uint8Array): Ended | null;
  finish(): Ended | null;
}

function makeConverter(out: OctetBuffer, options: ConvertOptions): Converter {
  /** Octets not yet decided about: part of a line, or of a line end and what follows it. */
  let buffer: Buffer = Buffer.alloc(0);
  let at = 0;
  let failure: Ended | null = null;

  /** The multiparts that are open, the outermost first. */
  const open: { readonly boundary: string; readonly digest: boolean }[] = [];
  /** The header section being read, or null within a body, a preamble or an epilogue. */
  let header: string | null = '';
  /** Whether it is the header section of a message, not of a part; and of the message that is sent. */
  let place: 'message' | 'enclosed' | 'part' = 'message';
  let fallback: 'text/plain' | 'message/rfc822' = 'text/plain';
  let sink: PartWriter = writeAside();
  /** How many multiparts are open when the innermost has had no part yet, else -1; and whether its preamble was altered. */
  let undelimited = -1;
  let altered = false;
  /** Whether `at` is the start of a line. */
  let lineStart = true;
  /** The line end before `at`: part of the delimiter if one follows, else of the body. RFC 2046 §5.1.1 */
  let lineEnd: Uint8Array = buffer;
  /** Where the next LF and CR before two hyphens are, from an earlier look; -1: nowhere, null: not looked. */
  let nextLF: number | null = null;
  let nextCR: number | null = null;

  function fail(detail: string): void {
    failure ??= { end: 'failed', detail };
  }

  /**
   * Preamble and epilogue, which no reader shows (RFC 2046 §5.1.1): there an 8-bit octet becomes a question mark.
   * Without a part after it there is no preamble, and readers show the text: then the message fails.
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

  /** Octets that pass as they are and must be seven bits. */
  function passUnaltered(detail: string): PartWriter {
    return {
      write(octets) {
        if (isAscii(octets)) out.add(octets);
        else fail(detail);
      },
      finish: () => undefined,
    };
  }

  /** A part that can be encoded, held until it is known whether it must be. */
  function holdPart(entity: Entity, original: string, separator: string): PartWriter {
    const octets = makeOctetBuffer();
    const text = entity.type === 'text';
    const announced = entity.encoding === '7bit';
    const version = place !== 'part';
    /** What the rest of the part goes to, once that is decided. */
    let rest: PartWriter | null = null;
    function pass(): PartWriter {
      out.addText((entity.encoding === '8bit' ? withEncoding(original, '7bit', false) : original) + separator);
      out.add(octets.octets.subarray(0, octets.length));
      return passUnaltered(
        `the message has 8-bit octets in a part that is announced as 7bit (${printType(entity)}), ${WHY}; ` +
          'declare its Content-Transfer-Encoding as 8bit, or set eight_bit = "send"',
      );
    }
    function encode(): PartWriter {
      out.addText(withEncoding(original, text ? 'quoted-printable' : 'base64', version) + (separator || '\r\n'));
      const encoder = text ? quotedPrintable(out) : base64Lines(out, true);
      encoder.write(octets.octets.subarray(0, octets.length));
      return encoder;
    }
    return {
      write(more) {
        if (rest === null) {
          // The octets that count are the same however the part is cut.
          const room = options.lookahead - octets.length;
          const eightBit = !isAscii(more.subarray(0, room));
          if (eightBit && announced && options.mislabelled === 'fail') rest = pass();
          else if (eightBit) rest = encode();
          // What is not announced as 7bit may still turn out to be 8-bit, and then it would be too late.
          else if (more.length > room) rest = announced ? pass() : encode();
        }
        if (rest === null) octets.add(more);
        else rest.write(more);
      },
      finish() {
        if (rest === null) {
          const { longestLine, nul } = scanContent(octets.octets.subarray(0, octets.length));
          // 7bit allows neither (RFC 2045 §2.7), and the relabelled part would be announced as such.
          rest = entity.encoding === '8bit' && (longestLine > LONGEST_LINE || nul) ? encode() : pass();
        }
        rest.finish();
      },
    };
  }

  /** The header section has ended with the empty line `separator`, or without one. */
  function startBody(separator: string): void {
    const original = encodeHeader();
    const entity = entityOf(original, fallback);
    header = null;
    lineStart = true;
    lineEnd = lineEnd.subarray(0, 0);
    const identity = entity.encoding === null || entity.encoding === '7bit' || entity.encoding === '8bit' || entity.encoding === 'binary';
    const relabelled = identity && entity.encoding !== null && entity.encoding !== '7bit';
    const signed = entity.type === 'multipart' && entity.subtype === 'signed';
    const container =
      identity &&
      ((entity.type === 'multipart' && entity.boundary !== null && open.length < DEEPEST) ||
        (entity.type === 'message' && (entity.subtype === 'rfc822' || entity.subtype === 'news')));
    // message/global may be encoded, other messages may not (RFC 6532 §3.5, RFC 2045 §6.4).
    const leaf = identity && entity.type !== 'multipart' && (entity.type !== 'message' || entity.subtype.startsWith('global'));

    if (leaf && entity.encoding !== 'binary') {
      sink = holdPart(entity, original, separator);
    } else if (leaf) {
      out.addText(withEncoding(original, 'base64', place !== 'part') + (separator || '\r\n'));
      sink = base64Lines(out, false);
    } else {
      out.addText((relabelled ? withEncoding(original, '7bit', false) : original) + (separator || (relabelled ? '\r\n' : '')));
      if (signed || !container) {
        sink = passUnaltered(
          signed
            ? `the message has 8-bit octets in a signed part, which may not be altered, ${WHY}; sign it in 7-bit form (RFC 1847), or set eight_bit = "send"`
            : `the message has 8-bit octets in a part that cannot be encoded (${printType(entity)}, ${entity.encoding ?? '7bit'}), ${WHY}; eight_bit = "send" passes them as they are`,
        );
      } else if (entity.type === 'multipart') {
        open.push({ boundary: entity.boundary as string, digest: entity.subtype === 'digest' });
        undelimited = open.length;
        altered = false;
        sink = writeAside();
      } else {
        header = '';
        place = 'enclosed';
        fallback = 'text/plain';
      }
    }
  }

  /**
   * The header section that was read, as seven bits. That of the message itself has been completed before: there only
   * parameters are left to encode, and what stays is meant to.
   */
  function encodeHeader(): string {
    const original = header ?? '';
    if (isAsciiText(original)) return original;
    let seven = '';
    for (const field of fieldsOf(original)) {
      const encoded = isAsciiText(field) ? field : encodeField(field, options.charset);
      if (encoded !== null) seven += encoded;
      else if (place === 'message') seven += field;
      else
        fail(
          `the header field "${printable(fieldNameOf(field))}" of a part has 8-bit octets, ${WHY}; RFC 2047 and RFC 2231 say how to encode it`,
        );
    }
    return seven;
  }

  /** The header section has ended without a body. */
  function endHeader(): void {
    out.addText(encodeHeader());
    header = null;
    sink = writeAside();
  }

  /** Which of the open multiparts a line delimits, the innermost first: an outer delimiter ends the inner parts. RFC 2046 §5.1.2 */
  function findDelimiter(line: Uint8Array): { level: number; last: boolean } | null {
    if (line[0] !== HYPHEN || line[1] !== HYPHEN) return null;
    for (let level = open.length - 1; level >= 0; level--) {
      const found = delimits(line, (open[level] as { boundary: string }).boundary);
      if (found !== null) return { level, last: found === 'last' };
    }
    return null;
  }

  /** A part of the multipart `depth` (the outermost: 1) begins, or the one within it has ended; 0 is the end of the message. */
  function endPreamble(depth: number): void {
    if (altered && undelimited > depth) fail(`the message has 8-bit octets in a multipart without a part, which cannot be encoded, ${WHY}`);
    undelimited = -1;
    altered = false;
  }

  function passDelimiter(next: number, found: { level: number; last: boolean }): void {
    if (header === null) sink.finish();
    else endHeader();
    out.add(lineEnd);
    out.add(buffer.subarray(at, next));
    at = next;
    lineEnd = lineEnd.subarray(0, 0);
    lineStart = true;
    endPreamble(found.last ? found.level : found.level + 1);
    open.length = found.last ? found.level : found.level + 1;
    sink = writeAside();
    if (found.last) return;
    header = '';
    place = 'part';
    fallback = open[found.level]?.digest ? 'message/rfc822' : 'text/plain';
  }

  /** The line that begins at `at`: where it ends and where the next begins; null if that is not in the buffer yet. */
  function findLine(final: boolean): { end: number; next: number } | null {
    let end = at;
    while (end < buffer.length && buffer[end] !== LF && buffer[end] !== CR) end++;
    if (end === buffer.length) return final ? { end, next: end } : null;
    if (buffer[end] === LF) return { end, next: end + 1 };
    if (end + 1 === buffer.length && !final) return null;
    return { end, next: buffer[end + 1] === LF ? end + 2 : end + 1 };
  }

  /** One line of a header section; false if it is not there yet. */
  function readHeaderLine(final: boolean): boolean {
    const found = findLine(final);
    const next = found?.next ?? buffer.length;
    // The header section of the message itself was bounded where it was read.
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

  /** Octets up to the next line that may be a delimiter; false if more must come first. */
  function passBody(final: boolean): boolean {
    if (open.length === 0) {
      sink.write(buffer.subarray(at));
      at = buffer.length;
      return false;
    }
    if (lineStart) {
      const left = buffer.length - at;
      if (!final && (left === 0 || (left === 1 && buffer[at] === HYPHEN))) return false;
      if (buffer[at] === HYPHEN && buffer[at + 1] === HYPHEN) {
        const found = findLine(final);
        if (found === null && left <= LONGEST_DELIMITER) return false;
        const ends = found === null ? null : findDelimiter(buffer.subarray(at, found.end));
        if (found !== null && ends !== null) {
          passDelimiter(found.next, ends);
          return true;
        }
      }
      lineStart = false;
      if (lineEnd.length > 0) sink.write(lineEnd);
      lineEnd = lineEnd.subarray(0, 0);
    }
    nextLF = isStale(nextLF) ? buffer.indexOf('\n--', at) : nextLF;
    nextCR = isStale(nextCR) ? buffer.indexOf('\r--', at) : nextCR;
    let end = nextLF < 0 || (nextCR >= 0 && nextCR < nextLF) ? nextCR : nextLF;
    if (end >= 0) {
      const next = end + 1;
      if (buffer[end] === LF && end > at && buffer[end - 1] === CR) end--;
      sink.write(buffer.subarray(at, end));
      lineEnd = buffer.subarray(end, next);
      lineStart = true;
      at = next;
      return true;
    }
    // What may be the line end before a delimiter, or that and its first hyphen, waits.
    end = buffer.length;
    if (!final && end - 1 > at && buffer[end - 1] === HYPHEN && (buffer[end - 2] === LF || buffer[end - 2] === CR)) end--;
    if (end > at && buffer[end - 1] === LF) end--;
    if (end > at && buffer[end - 1] === CR) end--;
    if (end > at) sink.write(buffer.subarray(at, end));
    at = end;
    return false;
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
      buffer = at < buffer.length ? Buffer.concat([buffer.subarray(at), view]) : view;
      at = 0;
      run(false);
      // The octets given are not ours after this.
      buffer = Buffer.from(buffer.subarray(at));
      at = 0;
      if (lineEnd.length > 0) lineEnd = Uint8Array.from(lineEnd);
      return failure;
    },
    finish() {
      run(true);
      if (header !== null) endHeader();
      sink.finish();
      // Where the last delimiter is missing, readers take its line end away all the same.
      out.add(buffer.subarray(at));
      endPreamble(0);
      return failure;
    },
  };
}

/** Charsets of which the text may be cut at any octet, as encoded words are. */
const SINGLE_OCTETS = /^(iso-8859-|windows-125|koi8-)/i;

/** A field with 8-bit octets as seven bits, by RFC 2231 for parameters and RFC 2047 for text; null if neither may or can. */
function encodeField(field: string, charset: string): string | null {
  const name = fieldNameOf(field);
  if (name === 'content-type' || name === 'content-disposition') return encodeParameters(field, charset);
  if (name === '' || (NEVER_ENCODED.test(name) && name !== 'content-description')) return null;
  const raw: Field = { name, raw: field.replace(/[\r\n]+$/, '').replace(/\r\n?/g, '\n') };
  const label = fromUtf8(raw.raw) !== null ? 'UTF-8' : SINGLE_OCTETS.test(charset) ? charset : 'unknown-8bit';
  const encoded = [...SENDERS, ...RECIPIENTS].includes(name)
    ? encodeAddresses(raw, label).raw
    : encodeWords(raw.raw, textWords(raw.raw, bodyOffset(raw)), label);
  return isAsciiText(encoded) ? `${encoded.replaceAll('\n', '\r\n')}\r\n` : null;
}

function printType(entity: Entity): string {
  return `${entity.type}/${entity.subtype}`;
}
