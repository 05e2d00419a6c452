/**
 * Makes lines for people and logs: whatever foreign text stands in one, it stays one line, does nothing to a terminal and has
 * an end. Knows no descriptor.
 */
import { visible } from './text.ts';

declare const shown: unique symbol;
/**
 * One line without its end. Only the functions of this file make it, so nobody can give raw text to a function that asks for
 * it.
 */
export type Line = string & { readonly [shown]: true };

/** Characters of a line: an address and the longest reply that people see (`reply.ts`) fit twice. */
const LONGEST = 8000;
/** A longer line keeps so many characters of its end, because a sentence says behind a text what is wrong with it. */
const ENDING = 1000;
/** People see so many facts at once, far more than anybody reads; a configuration or an alias file may have one in every line. */
const MOST = 1000;

/** Makes a line; a text that is too long loses its middle. */
export function lineOf(text: string): Line {
  return boundText(text) as Line;
}

/** Makes a line of a document, a message or a file, whose tabulators stay. */
export function documentLine(text: string, longest = LONGEST): Line {
  const parts = text.split('\t').map((part) => boundText(part, longest));
  return cut(parts.join('\t'), longest) as Line;
}

/** Makes lines of facts, each with `title` before it, and of very many only the first. */
export function linesOf(facts: readonly string[], title = ''): readonly Line[] {
  return atMost(facts, MOST).map((fact) => lineOf(title + fact));
}

/** Keeps the first facts; where there are more, the last line says how many, and `where`. */
export function atMost(facts: readonly string[], most: number, where = ''): readonly string[] {
  return facts.length > most ? [...facts.slice(0, most), `and ${facts.length - most} more${where}`] : facts;
}

/**
 * Makes a line of JSON from a value. Its texts are whole up to `longest` characters each, and RFC 8259 §7 escapes everything in
 * them that a terminal would obey.
 */
export function jsonLine(value: unknown, longest = LONGEST): Line {
  const json = JSON.stringify(value, (_, each: unknown) => (typeof each === 'string' ? cut(each, longest) : each));
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  ) as Line;
}

/** Cuts a text before and after it is escaped, because escapes make it longer. */
const boundText = (text: string, longest = LONGEST): string => cut(visible(cut(text, longest)), longest);

function cut(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest - ENDING - 1)}…${text.slice(-ENDING)}` : text;
}
