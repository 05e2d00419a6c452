/**
 * Reads the MIME fields of a header section, the lines that delimit parts, and changes such fields. Text in and out is octet
 * strings. Knows no streaming and no policy: `convert.ts` and `part.ts` decide what is encoded.
 */
import { LONGEST_CONTENT_LINE } from '../../smtp/limits.ts';
import { fromUtf8, isAscii } from '../../smtp/text.ts';

const BLANK = 32;
const TAB = 9;

/** The MIME type and encoding of a message or part, names in lower case. RFC 2045 §5 and §6 */
export interface Entity {
  readonly type: string;
  readonly subtype: string;
  /** The boundary of a multipart; null if it has none that could delimit anything. */
  readonly boundary: string | null;
  /** The declared encoding; null when there is none, which means 7bit. */
  readonly encoding: string | null;
}

/** A longer line is no delimiter: RFC 2046 §5.1.1 has boundaries of at most 70 octets, and some senders longer ones. */
export const LONGEST_DELIMITER = 1000;

const LINE_END = '(?:\\r\\n|\\r|\\n)';
const FIELD = new RegExp(`[^\\r\\n]*(?:${LINE_END}[ \\t][^\\r\\n]*)*(?:${LINE_END}|$)`, 'g');

/** Returns the fields of a header section, each with its folds and its line end. */
export function fieldsOf(header: string): string[] {
  return (header.match(FIELD) ?? []).filter((field) => field !== '');
}

/** Returns the name of a field in lower case; '' for a line that has none. */
export function fieldNameOf(field: string): string {
  const colon = field.indexOf(':');
  return colon < 0 ? '' : field.slice(0, colon).trimEnd().toLowerCase();
}

/** True for a line that can stand in a header section: a field, the folded rest of one, or the `From ` line of an mbox. RFC 5322 §2.2 */
export function isHeaderLine(line: string): boolean {
  return /^(?:[!-9;-~]+[ \t]*:|[ \t]|From )/.test(line);
}

/**
 * Reads the type and encoding that the fields of `header` declare; `fallback` is the type of an entity that names none. RFC
 * 2045 §5.2, RFC 2046 §5.1.5
 */
export function entityOf(header: string, fallback: 'text/plain' | 'message/rfc822'): Entity {
  const fields = fieldsOf(header);
  const bodyOf = (name: string): string | null => {
    const field = fields.find((candidate) => fieldNameOf(candidate) === name);
    return field === undefined ? null : field.slice(field.indexOf(':') + 1).replace(/[\r\n]+/g, '');
  };
  const declared = bodyOf('content-type') ?? fallback;
  // A value that names no type counts as text/plain (RFC 2045 §5.2).
  const named = /^\s*([!#-'*+\-.0-9A-Z^-~]+)\s*\/\s*([!#-'*+\-.0-9A-Z^-~]+)/i.exec(withoutComments(declared));
  const encoding = bodyOf('content-transfer-encoding');
  const boundary = boundaryOf(parseParameters(withoutComments(declared)));
  return {
    type: (named?.[1] ?? 'text').toLowerCase(),
    subtype: (named?.[2] ?? 'plain').toLowerCase(),
    boundary: boundary !== '' && boundary.length < LONGEST_DELIMITER - 4 && !/[\r\n\x80-\xff]/.test(boundary) ? boundary : null,
    // The first word alone, because some senders have a semicolon, a parameter or nothing there. RFC 2045 §6.1
    encoding: /[^\s"();]+/.exec(withoutComments(encoding ?? ''))?.[0].toLowerCase() ?? null,
  };
}

/**
 * Returns a structured field body without its comments. Deviation: a parenthesis within a word begins no comment, though RFC
 * 2045 §5.1 has it as a special, because some senders leave it unquoted in a boundary.
 */
function withoutComments(text: string): string {
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '"') {
      const end = endOfQuoted(text, i);
      out += text.slice(i, end);
      i = end - 1;
    } else if (c === '(' && (out === '' || ' \t;'.includes(out[out.length - 1] as string))) {
      let depth = 0;
      for (; i < text.length; i++) {
        if (text[i] === '\\') i++;
        else if (text[i] === '(') depth++;
        else if (text[i] === ')' && --depth === 0) break;
      }
    } else out += c;
  }
  return out;
}

/** Returns the index after the closing quote of the quoted-string that opens at `start`, or the end of the text. */
function endOfQuoted(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

/** Returns the parameters by lower-case name, in order, without quotes. An unquoted value ends at the next semicolon. */
export function parseParameters(text: string): Map<string, string> {
  const parameters = new Map<string, string>();
  let i = text.indexOf(';');
  while (i >= 0) {
    const equals = text.indexOf('=', i);
    const semicolon = text.indexOf(';', i + 1);
    if (equals < 0) break;
    if (semicolon >= 0 && semicolon < equals) {
      i = semicolon;
      continue;
    }
    const name = text
      .slice(i + 1, equals)
      .trim()
      .toLowerCase();
    let start = equals + 1;
    while (text[start] === ' ' || text[start] === '\t') start++;
    const quoted = text[start] === '"';
    const end = quoted ? endOfQuoted(text, start) : start;
    const next = text.indexOf(';', end);
    const value = quoted
      ? text.slice(start + 1, text[end - 1] === '"' ? end - 1 : end).replace(/\\(.)/g, '$1')
      : text.slice(start, next < 0 ? undefined : next).trim();
    if (!parameters.has(name)) parameters.set(name, value);
    i = next;
  }
  return parameters;
}

/**
 * Returns the boundary, also where RFC 2231 §3 and §4 have it continued or encoded; without blanks at its end (RFC 2046
 * §5.1.1).
 */
function boundaryOf(parameters: ReadonlyMap<string, string>): string {
  const decodePercent = (value: string): string =>
    value.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  const plain = parameters.get('boundary');
  if (plain !== undefined) return plain.trimEnd();
  let whole = decodePercent((parameters.get('boundary*') ?? '').replace(/^[^']*'[^']*'/, ''));
  for (let i = 0; whole.length < LONGEST_DELIMITER; i++) {
    const literal = parameters.get(`boundary*${i}`);
    const encoded = parameters.get(`boundary*${i}*`);
    if (literal === undefined && encoded === undefined) break;
    whole += literal ?? decodePercent((encoded as string).replace(i === 0 ? /^[^']*'[^']*'/ : /^$/, ''));
  }
  return whole.trimEnd();
}

/**
 * Returns `header` with this transfer encoding in the place of the one it had, or at its end; and with MIME-Version if
 * `version` asks for it and it is missing.
 */
export function withEncoding(header: string, encoding: '7bit' | 'quoted-printable' | 'base64', version: boolean): string {
  const field = `Content-Transfer-Encoding: ${encoding}\r\n`;
  let out = '';
  let written = false;
  let versioned = !version;
  for (const original of fieldsOf(header)) {
    const name = fieldNameOf(original);
    if (name === 'mime-version') versioned = true;
    if (name !== 'content-transfer-encoding') out += original;
    else if (!written) {
      out += field;
      written = true;
    }
  }
  return out + (versioned ? '' : 'MIME-Version: 1.0\r\n') + (written ? '' : field);
}

/**
 * Returns a Content-Type or Content-Disposition field with its 8-bit parameters (`filename="…"`) as RFC 2231 §4 has them.
 * `charset` names the charset of values that are not UTF-8. null if the field is still not seven bits, or a line is too long.
 */
export function encodeParameters(field: string, charset: string): string | null {
  const out = field.replace(
    PARAMETER,
    (all: string, before: string, name: string, quoted: string | undefined, bare: string | undefined) => {
      if (isAscii(all)) return all;
      const value = quoted === undefined ? (bare as string) : quoted.replace(/[\r\n]+(?=[ \t])/g, '').replace(/\\(.)/g, '$1');
      const octet = (c: string): string => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
      const escaped = value.replace(/[^A-Za-z0-9!#$&+\-.^_`{|}~]/g, octet);
      return `${before}${name}*=${fromUtf8(value) === null ? charset : 'utf-8'}''${escaped}`;
    },
  );
  return isAscii(out) && out.split(/[\r\n]+/).every((line) => line.length <= LONGEST_CONTENT_LINE) ? out : null;
}

/**
 * Matches a parameter with its value, quoted or not. No two parts of the pattern can match the same octets, so it never goes
 * back far.
 */
const PARAMETER = /(;[ \t\r\n]*)([!#$&+\-.0-9A-Z^-~]+)[ \t]*=[ \t]*(?:"((?:\\.|[^"\\])*)"|([^"; \t\r\n][^";\r\n]*))/gis;

/**
 * Says whether `line`, without its line end, delimits the parts of `boundary`: 'next' begins a part, 'last' ends the last one.
 * Deviation: RFC 2046 §5.1.1 takes any line that begins with the boundary. Here the whole line counts except for blanks at its
 * end, as in all readers, because in nested multiparts one boundary often begins with another.
 */
export function delimits(line: Uint8Array, boundary: string): 'next' | 'last' | null {
  if (line.length < boundary.length + 2 || line.length > LONGEST_DELIMITER) return null;
  for (let i = 0; i < boundary.length; i++) if (line[i + 2] !== boundary.charCodeAt(i)) return null;
  let end = line.length;
  while (end > boundary.length + 2 && (line[end - 1] === BLANK || line[end - 1] === TAB)) end--;
  if (end === boundary.length + 2) return 'next';
  return end === boundary.length + 4 && line[end - 1] === 45 && line[end - 2] === 45 ? 'last' : null;
}
