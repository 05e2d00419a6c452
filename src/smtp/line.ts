/**
 * Lines as people and logs see them: whatever foreign text stands in one, it stays one line, does nothing to a terminal and
 * has an end. Knows no descriptor.
 */
import { visible } from './text.ts';

declare const shown: unique symbol;
/** One line without its end. Only the functions of this file make it, so what asks for it cannot be given raw text. */
export type Line = string & { readonly [shown]: true };

/** Characters of a line: an address and the longest reply that people are shown (`reply.ts`) fit twice. */
const LONGEST = 8000;
/** Of these, so many are kept from the end of a longer line: what is wrong with a text is said behind it. */
const ENDING = 1000;
/** Facts told at once: far more than anybody reads, and a configuration or an alias file may have one in every line. */
const MOST = 1000;

/** A longer text loses its middle. */
export function lineOf(text: string): Line {
  return bounded(text) as Line;
}

/** A line of a document, a message or a file: tabulators stay. */
export function documentLine(text: string, longest = LONGEST): Line {
  const parts = text.split('\t').map((part) => bounded(part, longest));
  return cut(parts.join('\t'), longest) as Line;
}

/** The facts as lines, each with `title` before it; of very many the first. */
export function linesOf(facts: readonly string[], title = ''): readonly Line[] {
  return atMost(facts, MOST).map((fact) => lineOf(title + fact));
}

/** The first of them; where there are more, how many more, and `where`. */
export function atMost(facts: readonly string[], most: number, where = ''): readonly string[] {
  return facts.length > most ? [...facts.slice(0, most), `and ${facts.length - most} more${where}`] : facts;
}

/**
 * A value as JSON on one line: its texts are whole up to `longest` characters each, and what a terminal would obey in them is
 * escaped as RFC 8259 §7 has it.
 */
export function jsonLine(value: unknown, longest = LONGEST): Line {
  const json = JSON.stringify(value, (_, each: unknown) => (typeof each === 'string' && each.length > longest ? cut(each, longest) : each));
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  ) as Line;
}

/** Escapes make a text longer, so that it is cut before and after. */
const bounded = (text: string, longest = LONGEST): string => cut(visible(cut(text, longest)), longest);

function cut(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest - ENDING - 1)}…${text.slice(-ENDING)}` : text;
}
