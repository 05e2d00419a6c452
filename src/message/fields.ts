/**
 * Header fields as octet strings: finds, removes, changes and prints them without touching anything else. Knows where a name
 * and a body lie, and which fields belong to one resending; knows no field's syntax.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { octets, utf8 } from '../smtp/text.ts';

/** One header field. Both members are octet strings (code units 0 to 255). RFC 5322 §2.2 */
export interface Field {
  /** The name as it is written, without the colon and without blanks before it. */
  readonly name: string;
  /** The whole field with its original folding. LF separates its lines; there is no line end at the end. */
  readonly raw: string;
}

/** A replacement of `raw.slice(start, end)`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** RFC 5322 §3.6.8: printable US-ASCII except the colon. */
const NAME = /^[!-9;-~]+$/;
/** A line end that does not fold. RFC 5322 §2.2.3 */
const BREAKS_OUT = /[\0\r]|\n(?![ \t])/;

/** True if the field has this name, in any case. `lowerCase` is the name in lower case. RFC 5322 §1.2.2 */
export function isNamed(field: Field, lowerCase: string): boolean {
  return field.name.length === lowerCase.length && field.name.toLowerCase() === lowerCase;
}

/** Returns the first field of that name. */
export function findField(fields: readonly Field[], lowerCase: string): Field | undefined {
  return fields.find((field) => isNamed(field, lowerCase));
}

/** Returns the fields that have none of these names, in order. */
export function withoutFields(fields: readonly Field[], ...lowerCase: readonly string[]): Field[] {
  return fields.filter((field) => !lowerCase.some((name) => isNamed(field, name)));
}

/** Returns the offset of the field's body in `raw`: the octet after the colon. */
export function bodyOffset(field: Field): number {
  return field.raw.indexOf(':', field.name.length) + 1;
}

/** Returns the field's body unfolded, without blanks at its ends. RFC 5322 §2.2.3 */
export function fieldBody(field: Field): string {
  return field.raw.slice(bodyOffset(field)).replaceAll('\n', '').trim();
}

/**
 * Makes a field of a name and a body, which may be folded with LF and a blank. Throws if text would break out of the field:
 * whoever composes a body must have made it safe.
 */
export function makeField(name: string, body: string): Field {
  if (!NAME.test(name) || BREAKS_OUT.test(body)) throw new Error(`bug: "${name}" would not be one header field`);
  return { name, raw: `${name}: ${body}` };
}

/** Parses a field of the configuration, `Name: body` as text, which becomes UTF-8. RFC 6532 §3.2 */
export function parseField(text: string): Parsed<Field> {
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(colon, 0)).replace(/[ \t]{1,100}$/, '');
  if (!NAME.test(name)) return unparsed('a header field is a name of printable ASCII characters, a colon and text');
  if (BREAKS_OUT.test(text)) return unparsed('a header field holds no NUL and no line end, except one before a blank');
  return parsed({ name, raw: utf8(text) });
}

/** Returns the field after the edits, which may come in any order; an edit that overlaps an earlier one is left out. */
export function editField(field: Field, edits: readonly Edit[]): Field {
  if (edits.length === 0) return field;
  let raw = '';
  let at = 0;
  for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (start < at) continue;
    raw += field.raw.slice(at, start) + text;
    at = end;
  }
  return { name: field.name, raw: raw + field.raw.slice(at) };
}

/** Returns the header section's octets with LF as line end, and the empty line behind it. RFC 5322 §2.1 */
export function printHead(fields: readonly Field[]): Uint8Array {
  return octets(`${fields.map(({ raw }) => raw).join('\n')}${fields.length > 0 ? '\n' : ''}\n`);
}

/**
 * Returns the indexes of the fields of the first (newest) Resent block; none if the message was never resent. A block ends at a
 * trace field, or where a name comes again after another one, because resent fields are prepended as a group and occur once in
 * it. RFC 5322 §3.6.6 and §3.6.7
 */
export function resentBlock(fields: readonly Field[]): readonly number[] {
  const block: number[] = [];
  const seen = new Set<string>();
  let last = '';
  for (const [index, { name }] of fields.entries()) {
    const key = name.length > 22 ? '' : name.toLowerCase();
    if (block.length > 0 && (key === 'received' || key === 'return-path')) break;
    if (!key.startsWith('resent-')) continue;
    // Two lines of one name beside each other are one list that somebody wrote in two fields.
    if (key !== last && seen.has(key)) break;
    seen.add(key);
    last = key;
    block.push(index);
  }
  return block;
}
