/**
 * The tokens of an address list (RFC 5322 §3.2), and where they stand in its text, an octet string. Comments and blanks are no
 * tokens; they are collected beside them. Knows no mailbox.
 */
import { printable } from '../smtp/text.ts';

export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

export interface Token extends TextSpan {
  readonly kind: 'atom' | 'quoted' | 'literal' | '<' | '>' | '@' | ',' | ';' | ':' | 'end' | 'bad';
  /** Says what is wrong with a bad token. */
  readonly detail?: string;
}

/**
 * Dots belong to an atom here: `a.b` is one token, because a display name may hold them (RFC 5322 §4.1, obs-phrase). So does
 * any character behind a backslash, because programs that quote a name twice write it so.
 */
const WORD = /(?:\\[\t\x20-\x7e\x80-\xff]|[^\0-\x20\x7f()<>@,;:"[\]])+/y;
/**
 * Blanks, in UTF-8, that text from a page or a mail program has around an address: spaces that do not break or have another
 * width, marks of direction, and the mark at the start of a file.
 */
const FOREIGN_BLANK =
  '(?:\\xc2\\xa0|\\xe2\\x80[\\x80-\\x8b\\x8e\\x8f\\xaa-\\xaf]|\\xe2\\x81[\\x9f\\xa0\\xa6-\\xa9]|\\xe3\\x80\\x80|\\xef\\xbb\\xbf)';
const FOREIGN_BLANKS = new RegExp(`${FOREIGN_BLANK}+`, 'y');
const LAST_FOREIGN_BLANK = new RegExp(`${FOREIGN_BLANK}$`);
/** In a comment that is not closed these characters may belong to somebody who is meant. */
const ADDRESSES = /[@<>,;:"]/;
/**
 * Deviation: an encoded word is one word even if it holds a comma. RFC 2047 §5(3) forbids that in a phrase, but programs write
 * it. 75 octets are allowed; longer ones occur.
 */
const ENCODED_WORD = /=\?[^?\s]{1,75}\?[BQbq]\?[^?\s]{0,1000}\?=/y;

export interface Tokens {
  /** Returns the next token after blanks and comments; after the last one always 'end'. */
  next(): Token;
  /** Outermost comments before it with their parentheses, in order. */
  readonly comments: readonly TextSpan[];
  /** Blanks outside ASCII before it, in order. */
  readonly blanks: readonly TextSpan[];
}

/** Reads tokens from the offset `from`. */
export function readTokens(text: string, from: number): Tokens {
  const comments: TextSpan[] = [];
  const blanks: TextSpan[] = [];
  let at = from;

  function sticky(pattern: RegExp): boolean {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  }

  function fail(start: number, detail: string): Token {
    return { kind: 'bad', start, end: start, detail };
  }

  /** Returns the next token after blanks and comments. RFC 5322 §3.2.2 */
  function next(): Token {
    for (;;) {
      at = endOfBlanks(text, at);
      const start = at;
      if (sticky(FOREIGN_BLANKS)) {
        blanks.push({ start, end: at });
        continue;
      }
      if (text[at] !== '(') break;
      at = endOfComment(text, start);
      if (at < 0 && ADDRESSES.test(text.slice(start))) return fail(start, `the comment ${quoteNear(text, start)} is not closed`);
      if (at < 0) at = text.length;
      comments.push({ start, end: at });
    }
    const start = at;
    const character = text[at];
    switch (character) {
      case undefined:
        return { kind: 'end', start, end: start };
      case '<':
      case '>':
      case '@':
      case ',':
      case ';':
      case ':':
        at++;
        return { kind: character, start, end: at };
      case '"':
        at = endOfEnclosed(text, start, '"');
        return at < 0 ? fail(start, `the quoted string ${quoteNear(text, start)} is not closed`) : { kind: 'quoted', start, end: at };
      case '[':
        at = endOfEnclosed(text, start, ']');
        return at < 0 ? fail(start, `the "[" in ${quoteNear(text, start)} is not closed`) : { kind: 'literal', start, end: at };
      case ')':
      case ']':
        return fail(start, `${quoteNear(text, start)} has an unbalanced "${character}"`);
    }
    if (sticky(ENCODED_WORD)) return { kind: 'atom', start, end: at };
    if (sticky(WORD)) {
      const end = startOfForeignBlanks(text, at);
      if (end < at) blanks.push({ start: end, end: at });
      return { kind: 'atom', start, end };
    }
    return fail(start, `a control character is not allowed in an address: ${quoteNear(text, start)}`);
  }

  return { next, comments, blanks };
}

/** Unfolds, and takes the backslash of quoted pairs away. RFC 5322 §3.2.1 */
export function unquote(text: string): string {
  return text.replaceAll(/\r?\n(?=[ \t])/g, '').replaceAll(/\\(.)/gs, '$1');
}

/**
 * Returns the offset after blanks. A line end is one only where it folds, because any other would turn one address into two
 * lines. RFC 5322 §2.2.3
 */
function endOfBlanks(text: string, start: number): number {
  for (let i = start; ; i++) {
    const character = text[i];
    if (character === ' ' || character === '\t') continue;
    const fold = character === '\n' ? i : character === '\r' && text[i + 1] === '\n' ? i + 1 : -1;
    if (fold < 0 || (text[fold + 1] !== ' ' && text[fold + 1] !== '\t')) return i;
  }
}

/** Returns the start of the foreign blanks that end at `end`; `end` if there are none. */
function startOfForeignBlanks(text: string, end: number): number {
  for (let start = end; ; ) {
    // The longest has 3 octets.
    const last = LAST_FOREIGN_BLANK.exec(text.slice(Math.max(0, start - 3), start));
    if (last === null) return start;
    start -= last[0].length;
  }
}

/** Returns the offset after the closing character, or -1. Quoted pairs count, nesting does not. RFC 5322 §3.2.4 and §3.4.1 */
export function endOfEnclosed(text: string, start: number, close: string): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === close) return i + 1;
  }
  return -1;
}

/** Returns the offset after a comment, which may hold comments, or -1. RFC 5322 §3.2.2 */
export function endOfComment(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (character === '\\') i++;
    else if (character === '(') depth++;
    else if (character === ')' && --depth === 0) return i + 1;
  }
  return -1;
}

/** Quotes the text from `start` up to the probable end of the address. */
export function quoteNear(text: string, start: number): string {
  const comma = text.indexOf(',', start + 1);
  return `"${shorten(text, start, comma < 0 ? text.length : comma)}"`;
}

/** Shortens to 200 characters, which are enough to find the place and fit into one line of a log. */
export function shorten(text: string, start: number, end: number): string {
  return printable(
    text
      .slice(start, Math.min(end, start + 1000))
      .replaceAll(/[ \t\r\n]+/g, ' ')
      .trim(),
    200,
  );
}
