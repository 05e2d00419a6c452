/**
 * Encoded words (RFC 2047): writes them in place of the words of a field that need it, and as the display name of a composed
 * field. Works on octets whose charset is known; never decodes.
 */
import { base64, fromUtf8, isAscii, utf8 } from '../smtp/text.ts';
import { unquote } from './address-tokens.ts';

/** A word of a field's raw text that may become an encoded word. */
export interface Word {
  readonly start: number;
  readonly end: number;
  /** Its content, without quotes and quoted pairs. */
  readonly content: string;
  /** A quoted string is never an encoded word, whatever it looks like. RFC 2047 §5(3) */
  readonly quoted: boolean;
}

/** RFC 2047 §2: an encoded word is at most 75 octets, a line that has one at most 76. */
const LONGEST_WORD = 75;
const LONGEST_ENCODED_LINE = 76;
/** The characters that Q leaves as they are, in any place: RFC 2047 §5(3), the rule for phrases. */
const Q_SAFE = /[A-Za-z0-9!*+\-/]/;
const ENCODED_WORD = /^=\?[^?\s]+\?[BbQq]\?[^?\s]*\?=$/;
/** Octets of the longest phrase that is written unencoded: far below the 998 of a line (RFC 5322 §2.1.1), far above names. */
const LONGEST_PHRASE = 200;

/** Returns the words between blanks from an offset on: the body of an unstructured field. */
export function textWords(raw: string, from: number): Word[] {
  const words: Word[] = [];
  const pattern = /[^ \t\n]+/g;
  pattern.lastIndex = from;
  for (let found = pattern.exec(raw); found; found = pattern.exec(raw))
    words.push({ start: found.index, end: pattern.lastIndex, content: found[0], quoted: false });
  return words;
}

/** Returns the words of the comment from `start` to `end`, parentheses included, of which the last may be missing. RFC 5322 §3.2.2 */
export function commentWords(raw: string, start: number, end: number): Word[] {
  const words: Word[] = [];
  let from = -1;
  const endWord = (at: number): void => {
    if (from >= 0) words.push({ start: from, end: at, content: unquote(raw.slice(from, at)), quoted: false });
    from = -1;
  };
  for (let i = start; i < end; i++) {
    const character = raw[i] as string;
    if (' \t\n()'.includes(character)) endWord(i);
    else if (from < 0) from = i;
    if (character === '\\') i++;
  }
  endWord(end);
  return words;
}

/**
 * Returns the raw field with encoded words for the words that have octets above 127. All else keeps its octets and folding,
 * except that a line is folded where an encoded word would make it longer than RFC 2047 allows. `words` in order of place;
 * `charset` is that of the octets: UTF-8, or one whose characters are single octets.
 */
export function encodeWords(raw: string, words: readonly Word[], charset: string): string {
  const out: string[] = [];
  let column = 0;
  let last = '';
  const emit = (text: string) => {
    out.push(text);
    const line = text.lastIndexOf('\n');
    column = line < 0 ? column + text.length : text.length - line - 1;
    last = text.slice(-1);
  };
  let at = 0;
  for (let i = 0; i < words.length; i++) {
    const first = words[i] as Word;
    if (isAscii(first.content)) continue;
    const { content, next } = joinRun(raw, words, i);
    const run = words[next - 1] as Word;

    let textEnd = first.start;
    while (textEnd > at && isBlankAt(raw, textEnd - 1)) textEnd--;
    let lead = raw.slice(textEnd, first.start);
    emit(raw.slice(at, textEnd));
    if (lead === '' && last !== '(') lead = ' ';
    const atLineStart = last === '\n';
    const least = overhead(charset) + 12;
    if (LONGEST_ENCODED_LINE - column - lead.length < least) lead = atLineStart ? ' ' : '\n ';
    emit(lead);
    emit(makeEncodedWords(content, charset, LONGEST_ENCODED_LINE - column).join('\n '));
    at = run.end;
    i = next - 1;
    const following = raw[at];
    if (following === undefined || following === ')' || following === '\n') continue;
    if (!isBlankAt(raw, at)) emit(' ');
    // The rest of the line moves to a new line if it does not fit behind.
    const rest = raw.slice(at, at + LONGEST_ENCODED_LINE).split('\n', 1)[0] as string;
    if (column + rest.length > LONGEST_ENCODED_LINE && isBlankAt(raw, at) && !isAllBlank(rest)) emit('\n');
  }
  out.push(raw.slice(at));
  return out.join('');
}

/**
 * Joins the word at `from` with the neighbours that need encoding, too: they share encoded words, because blanks between
 * encoded words do not count (RFC 2047 §6.2). So a blank beside an encoded word that was there becomes content.
 */
function joinRun(raw: string, words: readonly Word[], from: number): { readonly content: string; readonly next: number } {
  let { content } = words[from] as Word;
  let next = from + 1;
  for (let word = words[next]; word && !isAscii(word.content); word = words[++next]) {
    const between = betweenWords(raw, words[next - 1], word);
    if (!isAllBlank(between)) break;
    content += between.replaceAll('\n', '') + word.content;
  }
  const isBeside = (before: Word | undefined, after: Word | undefined, encoded: Word | undefined): boolean =>
    encoded !== undefined && isEncodedWord(encoded) && isAllBlank(betweenWords(raw, before, after));
  if (isBeside(words[from - 1], words[from], words[from - 1])) content = ` ${content}`;
  if (isBeside(words[next - 1], words[next], words[next])) content += ' ';
  return { content, next };
}

const betweenWords = (raw: string, before: Word | undefined, after: Word | undefined): string => raw.slice(before?.end, after?.start);

/**
 * Prints a display name for a composed field: as it is, as a quoted string, or as encoded words with LF and a blank between
 * them, whichever it needs. `text` is Unicode from anywhere, so control characters and line ends become blanks. '' for none.
 */
export function printPhrase(text: string): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  if (!isAscii(clean) || clean.length > LONGEST_PHRASE)
    return makeEncodedWords(utf8(clean), 'UTF-8', LONGEST_WORD - 'Resent-From: '.length).join('\n ');
  if (clean === '' || (!clean.includes('=?') && /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+( [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/.test(clean)))
    return clean;
  return `"${clean.replaceAll(/["\\]/g, '\\$&')}"`;
}

/**
 * Makes encoded words of octets, in B or Q, whichever is shorter. No character is split between two (RFC 2047 §5). `room`:
 * octets for the first word, at least 12 more than its frame takes.
 */
export function makeEncodedWords(content: string, charset: string, room: number): string[] {
  const text = charset === 'UTF-8' ? fromUtf8(content) : null;
  const characters = text === null ? [...content] : [...text].map(utf8);
  const inQ = characters.map((character) => quoteOctets(character));
  const useQ = inQ.reduce((sum, { length }) => sum + length, 0) <= Math.ceil(content.length / 3) * 4;
  const frame = overhead(charset);
  const words: string[] = [];
  let left = Math.min(room, LONGEST_WORD) - frame;
  let held: string[] = [];
  let size = 0;
  const close = () => {
    words.push(`=?${charset}?${useQ ? 'Q' : 'B'}?${useQ ? held.join('') : base64(held.join(''))}?=`);
    left = LONGEST_WORD - frame;
    held = [];
    size = 0;
  };
  for (const [index, character] of characters.entries()) {
    const part = useQ ? (inQ[index] as string) : character;
    const grown = size + part.length;
    if (held.length > 0 && (useQ ? grown : Math.ceil(grown / 3) * 4) > left) close();
    held.push(part);
    size += part.length;
  }
  close();
  return words;
}

function quoteOctets(octets: string): string {
  let out = '';
  for (const octet of octets)
    out += octet === ' ' ? '_' : Q_SAFE.test(octet) ? octet : `=${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  return out;
}

/** Counts the octets of `=?charset?Q?` and `?=`. */
function overhead(charset: string): number {
  return charset.length + 7;
}

function isEncodedWord({ content, quoted }: Word): boolean {
  return !quoted && ENCODED_WORD.test(content);
}

function isAllBlank(text: string): boolean {
  return !/[^ \t\n]/.test(text);
}

function isBlankAt(text: string, index: number): boolean {
  return text[index] === ' ' || text[index] === '\t';
}
