/**
 * Quotes display names that hold a comma and were written without quotes: `Müller, Jörg <j@b.example>`. As they stand they are
 * two mailboxes, the first of which is a word without an "@". Knows the shape of an address list; leaves everything else that
 * is wrong with one as it is.
 */
import { isAscii } from '../smtp/text.ts';
import { endOfComment, endOfEnclosed } from './address-tokens.ts';
import { hasAddresses } from './field-names.ts';
import { bodyOffset, type Edit, editField, type Field } from './fields.ts';

/** The text between two commas. */
interface ListElement {
  /** 'words' have no brackets, quotes, comments and "@"; 'named' are such words and then an address in brackets. */
  readonly kind: 'words' | 'named' | 'other';
  /** The start and end of the words; equal when there are none. */
  readonly start: number;
  readonly end: number;
  /** True if a comma follows. */
  readonly isCut: boolean;
}

/**
 * Returns the fields with quotes around each such name whose first part is not ASCII. A word in ASCII may be somebody of this
 * host; one outside ASCII is hardly ever a login name.
 */
export function quoteNames(fields: readonly Field[]): readonly Field[] {
  return fields.map((field) => (isAscii(field.raw) || !hasAddresses(field.name.toLowerCase()) ? field : quoteNamesIn(field)));
}

function quoteNamesIn(field: Field): Field {
  const elements = readElements(field.raw, bodyOffset(field));
  const edits: Edit[] = [];
  for (let i = 0; i < elements.length; i++) {
    const first = elements[i] as ListElement;
    if (first.kind !== 'words' || isAscii(field.raw.slice(first.start, first.end))) continue;
    while (elements[i]?.kind === 'words' && elements[i]?.isCut && (elements[i + 1]?.kind ?? 'other') !== 'other') i++;
    const last = elements[i] as ListElement;
    // Within quotes an encoded word would be text.
    if (last.kind !== 'named' || last.start === last.end || field.raw.slice(first.start, last.end).includes('=?')) continue;
    edits.push({ start: first.start, end: first.start, text: '"' }, { start: last.end, end: last.end, text: '"' });
  }
  return editField(field, edits);
}

/** Reads elements up to the first that is not closed. */
function readElements(raw: string, from: number): readonly ListElement[] {
  const elements: ListElement[] = [];
  let start = -1;
  let end = -1;
  let kind: ListElement['kind'] = 'words';
  const finish = (at: number, isCut: boolean) => {
    elements.push(start < 0 ? { kind, start: at, end: at, isCut } : { kind, start, end, isCut });
    start = -1;
    kind = 'words';
  };
  for (let at = from; at < raw.length; at++) {
    const character = raw[at] as string;
    if (character === ',' || character === ';' || character === ':') finish(at, character === ',');
    else if (character === '<') {
      at = raw.indexOf('>', at);
      if (at < 0) return elements;
      kind = kind === 'words' ? 'named' : 'other';
    } else if (character === '"' || character === '(') {
      at = (character === '"' ? endOfEnclosed(raw, at, '"') : endOfComment(raw, at)) - 1;
      if (at < 0) return elements;
      if (character === '"' || kind !== 'named') kind = 'other';
    } else if ('>)[]@\\'.includes(character)) kind = 'other';
    else if (!' \t\n'.includes(character)) {
      if (kind === 'named') kind = 'other';
      if (start < 0) start = at;
      end = at + 1;
    }
  }
  finish(raw.length, false);
  return elements;
}
