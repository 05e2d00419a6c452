/**
 * Reads the header section off a source, and stops exactly where the body begins, wherever the chunks are cut. LF ends
 * a line, and CRs before it belong to that end. Any other CR folds the field it stands in, as in Exim, because a reader
 * that took it for a line end would see a field that others do not. Knows what a field's first line looks like, not what
 * a field means. The lone dot that may end a message is found before the octets come here.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { latin1 } from '../smtp/text.ts';
import type { Field } from './fields.ts';
import type { Source } from './source.ts';

export interface Head {
  readonly fields: readonly Field[];
  /** The mbox separator line that led the message, without its line end; null when there was none. RFC 4155 */
  readonly mboxLine: string | null;
  /** Octets read past the header section: the body begins here. A copy, so it outlives the next read. */
  readonly rest: Uint8Array;
  /** Octets of the source that belong to the header section, with the empty line and an mbox line: the body's offset. */
  readonly consumed: number;
  /** The source came to its clean end; `rest` is the whole body. */
  readonly ended: boolean;
}

/** RFC 5322 §2.1.1: a line is at most 998 octets, so what has no colon by then is no field but a line of the body. */
const LONGEST_LINE = 998;
const [NUL, TAB, LF, CR, SPACE, COLON] = [0, 9, 10, 13, 32, 58];
/**
 * `From sender date time`, as mbox files have it and as Exim's uucp_from_pattern wants it, so that a body which
 * begins with the word is not taken for one; also without a date when the sender is an address. A second one may be
 * quoted with `>`, as UUCP did; Postfix drops those, too.
 */
const MBOX_LINE =
  /^>*From +(\S+|"[^"]*"@\S+) +([A-Za-z]{3},? +)?([A-Za-z]{3} +\d{1,2}|\d{1,2} +[A-Za-z]{3} +\d{2,4}) +\d{1,2}:\d\d|^>*From +\S+@\S+ *$/;

/** Where the scanner stands in the line; 'returns' is behind CRs at its start, which may belong to the end of an empty line. */
type Place = 'start' | 'returns' | 'name' | 'blanks' | 'value' | 'mbox';

/**
 * Reads up to the body. `limit`: octets of the header section, configuration key header_limit.
 * Fails when the section is longer, holds a NUL, or the source fails.
 */
export async function readHead(source: Source, { limit }: { readonly limit: number }): Promise<Parsed<Head>> {
  let held = new Uint8Array(4096);
  let size = 0;
  /** The next octet to look at; it never moves back, so the work is linear however small the chunks are. */
  let at = 0;
  let lineStart = 0;
  let place: Place = 'start';
  let mboxLine: string | null = null;
  /** Three numbers a field: start, end of the name, end. */
  const bounds: number[] = [];
  let fieldStart = -1;
  let nameEnd = 0;
  let lineEnd = 0;

  const closeField = () => {
    if (fieldStart >= 0) bounds.push(fieldStart, nameEnd, lineEnd);
    fieldStart = -1;
  };
  /** After the line that ends before `at`: the next begins behind its LF. */
  const endLine = () => {
    lineEnd = at;
    lineStart = ++at;
    place = 'start';
  };
  const isMboxLine = () => {
    const line = latin1(held.subarray(lineStart, at)).replace(/\r+$/, '');
    if (!MBOX_LINE.test(line)) return false;
    mboxLine ??= line;
    return true;
  };

  /** Where the body begins, 'more' when that is not yet known, or what is wrong. */
  function scan(): number | 'more' | { readonly detail: string } {
    while (at < size) {
      const octet = held[at] as number;
      switch (place) {
        case 'start':
          if (lineStart > limit) return tooLong();
          if (octet === LF) {
            closeField();
            return at + 1;
          }
          if (octet === SPACE || octet === TAB) {
            if (fieldStart < 0) return lineStart;
            place = 'value';
          } else {
            closeField();
            place = octet === CR ? 'returns' : 'name';
          }
          continue;
        case 'returns':
          if (octet === LF) return at + 1;
          if (octet !== CR) return lineStart;
          break;
        case 'name':
          if (octet === COLON && at > lineStart) {
            fieldStart = lineStart;
            nameEnd = at;
            place = 'value';
          } else if (octet === SPACE || octet === TAB || octet === CR) {
            nameEnd = at;
            place = 'blanks';
          } else if (octet <= SPACE || octet > 126 || octet === COLON) return lineStart;
          break;
        case 'blanks':
          if (octet === COLON) {
            fieldStart = lineStart;
            place = 'value';
          } else if (octet !== SPACE && octet !== TAB && octet !== CR) {
            const leads = bounds.length === 0 && /^>*From$/.test(latin1(held.subarray(lineStart, nameEnd)));
            if (!leads) return lineStart;
            place = 'mbox';
            continue;
          }
          break;
        case 'mbox':
          if (octet === LF) {
            if (!isMboxLine()) return lineStart;
            endLine();
            continue;
          }
          break;
        case 'value':
          if (at >= limit) return tooLong();
          if (octet === LF) {
            endLine();
            continue;
          }
          if (octet === NUL) return { detail: 'the header section holds a NUL octet' };
          break;
      }
      if (place !== 'value' && at - lineStart === LONGEST_LINE - 1) return lineStart;
      at++;
    }
    return 'more';
  }

  function tooLong(): { readonly detail: string } {
    return { detail: `the header section is longer than ${limit} octets (header_limit)` };
  }

  /** Where the body begins when nothing follows. */
  function scanEnd(): number {
    if (place === 'returns') return size;
    if (place === 'start') {
      closeField();
      return size;
    }
    if (place === 'value') {
      lineEnd = size;
      closeField();
      return size;
    }
    return place === 'mbox' && isMboxLine() ? size : lineStart;
  }

  let ended = false;
  let body = scan();
  while (body === 'more') {
    const got = await source.read();
    if (got instanceof Uint8Array) {
      if (size + got.length > held.length) {
        const wider = new Uint8Array(Math.max(held.length * 2, size + got.length));
        wider.set(held.subarray(0, size));
        held = wider;
      }
      held.set(got, size);
      size += got.length;
      body = scan();
    } else if (got.end === 'failed') return unparsed(got.detail);
    else {
      ended = true;
      body = scanEnd();
    }
  }
  if (typeof body === 'object') return unparsed(body.detail);
  if (body > limit) return unparsed(tooLong().detail);
  return parsed({ fields: cut(latin1(held.subarray(0, body)), bounds), mboxLine, rest: held.slice(body, size), consumed: body, ended });
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
  const value = raw.slice(colon).replaceAll(/\r+(?=\n|$)/g, '');
  const folded = value.replaceAll(/[ \t\r\n]+/g, (blanks, at: number) => {
    if (!blanks.includes('\r')) return blanks;
    return at + blanks.length === value.length ? '' : `\n${blanks.replaceAll(/[\r\n]/g, '') || ' '}`;
  });
  return raw.slice(0, colon).replaceAll('\r', '') + folded;
}
