/**
 * Reads the header section off a source, and stops exactly where the body begins, wherever the chunks are cut. LF ends a line,
 * and CRs before it belong to that end. Any other CR folds the field it stands in, as in Exim, because a reader that took it
 * for a line end would see a field that others do not see. Knows what a field's first line looks like, not what a field means.
 * `lone-dot.ts` has found the lone dot that may end a message before.
 */
import { LONGEST_CONTENT_LINE } from '../smtp/limits.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { latin1 } from '../smtp/text.ts';
import type { Field } from './fields.ts';
import { makeOctetBuffer, type OctetBuffer } from './octet-buffer.ts';
import type { Ended, Source } from './source.ts';

export interface Head {
  readonly fields: readonly Field[];
  /** Octets read past the header section: the body begins here. A copy, so it outlives the next read. */
  readonly rest: Uint8Array;
  /** Octets of the source that belong to the header section, with the empty line and an mbox line: the body's offset. */
  readonly consumed: number;
}

/** With `end` where the source has failed, and not the message. */
export type HeadAnswer = Parsed<Head> | ({ readonly ok: false } & Extract<Ended, { readonly end: 'failed' }>);

const [NUL, TAB, LF, CR, SPACE, COLON, TILDE] = [0, 9, 10, 13, 32, 58, 126];
/**
 * `From sender date time`, as mbox files have it (RFC 4155) and as Exim's uucp_from_pattern wants it, so that a body which
 * begins with the word is not taken for one; also without a date when the sender is an address. A second one may be
 * quoted with `>`, as UUCP did; Postfix drops those, too.
 */
const MBOX_LINE =
  /^>*From +(\S+|"[^"]*"@\S+) +([A-Za-z]{3},? +)?([A-Za-z]{3} +\d{1,2}|\d{1,2} +[A-Za-z]{3} +\d{2,4}) +\d{1,2}:\d\d|^>*From +\S+@\S+ *$/;

/** The place of the scanner in the line; 'returns' is behind CRs at its start, which may belong to the end of an empty line. */
type Place = 'start' | 'returns' | 'name' | 'blanks' | 'value' | 'mbox';

/** The offset at which the body begins, or why the section cannot be taken; null while neither is known. */
type BodyStart = number | { readonly fault: string } | null;

interface Scan {
  readonly limit: number;
  readonly buffer: OctetBuffer;
  place: Place;
  /** The next octet to look at. It never moves back, so the work is linear however small the chunks are. */
  at: number;
  lineStart: number;
  /** The field that a continuation line would belong to; null before the first and behind an mbox line. */
  open: { readonly start: number; readonly nameEnd: number; end: number } | null;
  nameEnd: number;
  /** Three numbers a field: start, end of the name, end. */
  readonly bounds: number[];
}

/**
 * Reads up to the body. `limit`: octets of the header section, configuration key header_limit.
 * Fails when the section is longer, holds a NUL, or the source fails.
 */
export async function readHead(source: Source, { limit }: { readonly limit: number }): Promise<HeadAnswer> {
  const buffer = makeOctetBuffer();
  const scan: Scan = { limit, buffer, place: 'start', at: 0, lineStart: 0, open: null, nameEnd: 0, bounds: [] };
  let found: BodyStart = null;
  while (found === null) {
    const got = await source.read();
    if (got instanceof Uint8Array) {
      buffer.add(got);
      found = scanOn(scan);
    } else if (got.end === 'failed') return { ok: false, ...got };
    else found = scanEnd(scan);
  }
  const end = typeof found === 'number' && found > limit ? tooLong(limit) : found;
  if (typeof end !== 'number') return unparsed(end.fault);
  const fields = cut(sliceText(scan, 0, end), scan.bounds);
  return parsed({ fields, rest: new Uint8Array(buffer.octets.subarray(end, buffer.length)), consumed: end });
}

/** Looks at the octets that have come. */
function scanOn(scan: Scan): BodyStart {
  while (scan.at < scan.buffer.length) {
    const found = PLACES[scan.place](scan, scan.buffer.octets[scan.at] as number);
    if (found !== null) return found;
    if (scan.place !== 'value' && scan.at - scan.lineStart >= LONGEST_CONTENT_LINE) return scan.lineStart;
  }
  return null;
}

/** Each place looks at one octet (`value` at all of the line) and moves `at` behind what it has understood. */
const PLACES: Readonly<Record<Place, (scan: Scan, octet: number) => BodyStart>> = {
  start(scan, octet) {
    if (scan.lineStart > scan.limit) return tooLong(scan.limit);
    if (isBlank(octet)) return scan.open === null ? scan.lineStart : goOn(scan, 'value');
    closeField(scan);
    if (octet === LF) return scan.at + 1;
    return goOn(scan, octet === CR ? 'returns' : 'name', 0);
  },
  returns(scan, octet) {
    if (octet === LF) return scan.at + 1;
    return octet === CR ? goOn(scan, 'returns') : scan.lineStart;
  },
  name(scan, octet) {
    if (octet === COLON && scan.at > scan.lineStart) return openField(scan, scan.at);
    if (isBlank(octet) || octet === CR) {
      scan.nameEnd = scan.at;
      return goOn(scan, 'blanks');
    }
    return octet > SPACE && octet <= TILDE && octet !== COLON ? goOn(scan, 'name') : scan.lineStart;
  },
  blanks(scan, octet) {
    if (octet === COLON) return openField(scan, scan.nameEnd);
    if (isBlank(octet) || octet === CR) return goOn(scan, 'blanks');
    const mayBeMbox = scan.bounds.length === 0 && /^>*From$/.test(sliceText(scan, scan.lineStart, scan.nameEnd));
    return mayBeMbox ? goOn(scan, 'mbox', 0) : scan.lineStart;
  },
  mbox(scan, octet) {
    if (octet !== LF) return goOn(scan, 'mbox');
    return isMboxLine(scan) ? endLine(scan) : scan.lineStart;
  },
  value(scan) {
    const { buffer, limit } = scan;
    const rest = buffer.octets.subarray(scan.at, Math.min(buffer.length, limit + 1));
    const lineEnd = rest.indexOf(LF);
    const line = lineEnd < 0 ? rest : rest.subarray(0, lineEnd);
    const nul = line.indexOf(NUL);
    if (nul >= 0 && scan.at + nul < limit) return { fault: 'the header section holds a NUL octet' };
    scan.at += line.length;
    if (scan.at > limit) return tooLong(limit);
    return lineEnd < 0 ? null : endLine(scan);
  },
};

const isBlank = (octet: number): boolean => octet === SPACE || octet === TAB;

const tooLong = (limit: number): { readonly fault: string } => ({
  fault: `the header section is longer than ${limit} octets (header_limit)`,
});

function goOn(scan: Scan, place: Place, octets = 1): null {
  scan.place = place;
  scan.at += octets;
  return null;
}

/** The name ends at `nameEnd`, and `at` is the colon. */
function openField(scan: Scan, nameEnd: number): null {
  scan.open = { start: scan.lineStart, nameEnd, end: 0 };
  return goOn(scan, 'value');
}

/** `at` is the LF. */
function endLine(scan: Scan): null {
  if (scan.open !== null) scan.open.end = scan.at;
  scan.lineStart = scan.at + 1;
  return goOn(scan, 'start');
}

function closeField(scan: Scan): void {
  if (scan.open !== null) scan.bounds.push(scan.open.start, scan.open.nameEnd, scan.open.end);
  scan.open = null;
}

function isMboxLine(scan: Scan): boolean {
  return MBOX_LINE.test(sliceText(scan, scan.lineStart, scan.at).replace(/\r+$/, ''));
}

const sliceText = ({ buffer }: Scan, from: number, to: number): string => latin1(buffer.octets.subarray(from, to));

/** Returns the offset of the body when nothing follows. */
function scanEnd(scan: Scan): number {
  const { length } = scan.buffer;
  switch (scan.place) {
    case 'returns':
      return length;
    case 'value':
      endLine(scan);
      closeField(scan);
      return length;
    case 'start':
      closeField(scan);
      return length;
    case 'mbox':
      return isMboxLine(scan) ? length : scan.lineStart;
    default:
      return scan.lineStart;
  }
}

function cut(text: string, bounds: readonly number[]): Field[] {
  const fields: Field[] = [];
  const hasCr = text.includes('\r');
  for (let i = 0; i < bounds.length; i += 3) {
    const [start, nameEnd, end] = bounds.slice(i, i + 3) as [number, number, number];
    const name = text.slice(start, nameEnd);
    const raw = text.slice(start, end);
    fields.push({ name, raw: hasCr ? withoutCr(raw, raw.indexOf(':', name.length)) : raw });
  }
  return fields;
}

/**
 * A field without the CRs of its line ends, and with a fold in place of any other CR. Blanks around a CR are part of its
 * fold: a line of nothing but blanks would be none (RFC 5322 §3.2.2). Before the colon, where nothing folds, it is left out.
 */
function withoutCr(raw: string, colon: number): string {
  const value = raw.slice(colon).replaceAll(/(?<!\r)\r+(?=\n|$)/g, '');
  const folded = value.replaceAll(/[ \t\r\n]+/g, (blanks, at: number) => {
    if (!blanks.includes('\r')) return blanks;
    return at + blanks.length === value.length ? '' : `\n${blanks.replaceAll(/[\r\n]/g, '') || ' '}`;
  });
  return raw.slice(0, colon).replaceAll('\r', '') + folded;
}
