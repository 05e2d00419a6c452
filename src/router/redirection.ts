/**
 * Parses the redirection list: the text that an alias, a `:include:` file or a `~/.forward` has instead of an address. Knows
 * neither the address that is redirected nor any file.
 */

import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type Mailbox, parseMailbox } from '../smtp/path.ts';

/** What an address is redirected to. */
export type RedirectionTarget =
  | { readonly kind: 'mailbox'; readonly mailbox: Mailbox }
  /** `\user`: it gets the domain of the address that is redirected. */
  | { readonly kind: 'own'; readonly mailbox: Mailbox }
  | { readonly kind: 'include'; readonly file: string }
  | { readonly kind: 'fail' | 'defer'; readonly detail: string }
  | { readonly kind: 'blackhole' | 'unknown' | 'null' }
  | { readonly kind: 'local'; readonly target: string }
  | { readonly kind: 'fault'; readonly detail: string };

/** One entry of a list, with its line. */
export type RedirectionItem = RedirectionTarget & { readonly line: number };

/** A list, and its place for error texts. */
export interface Redirection {
  /** An absolute path, or for an inline table its key: `data.root of internal`. */
  readonly source: string;
  /** The number of its first line, from 1. */
  readonly line: number;
  /** The items in their order. A fault is an item, too, because an item before it may decide without it. */
  readonly items: readonly RedirectionItem[];
}

/** Ten times the longest address that `smtp/path.ts` accepts; commands and reasons fit as well. */
const LONGEST_ITEM = 10_000;

/** Returns `file:line` of an item; an inline list is one line. */
export function printPlace(list: Redirection, line: number): string {
  return list.source.startsWith('/') ? `${list.source}:${line}` : list.source;
}

/**
 * Parses a list. Commas separate items, and newlines do so unless `joined`: in the entry of an alias file a newline is a blank,
 * except that it ends a comment. `#` where an item could begin starts a comment.
 *
 * Deviation: Exim joins the lines of an entry first, so there a comment after a comma hides all following lines and the
 * recipients in them.
 */
export function parseRedirection(text: string, source: string, line = 1, joined = false): Redirection {
  const items: RedirectionItem[] = [];
  let here = line;
  let at = 0;
  while (at < text.length) {
    const unit = text[at] as string;
    if (unit === '\n') here += 1;
    if (unit === ',' || isSpace(unit)) {
      at += 1;
      continue;
    }
    let end: number;
    if (unit === '#') end = endOfLine(text, at);
    else {
      const isReason = unit === ':' && /^:(fail|defer):/i.test(text.slice(at, at + 7));
      end = !isReason ? endOfItem(text, at, joined) : joined ? text.length : endOfLine(text, at);
      const raw = text.slice(at, end);
      const target =
        raw.length > LONGEST_ITEM ? ITEM_TOO_LONG : readItem(raw.includes('\n') ? raw.replace(/(?<!\s)\s*\n\s*/g, ' ').trim() : raw.trim());
      if (target !== null) items.push({ ...target, line: here });
      for (let i = raw.indexOf('\n'); i >= 0; i = raw.indexOf('\n', i + 1)) here += 1;
    }
    at = end;
  }
  return { source, line, items };
}

const ITEM_TOO_LONG = { kind: 'fault', detail: `an item is longer than ${LONGEST_ITEM} characters` } as const;
const isSpace = (c: string): boolean => c === ' ' || (c >= '\t' && c <= '\r');

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** Returns the end of the item that begins at `from`: a separator outside quotes, comments and angle brackets. */
function endOfItem(text: string, from: number, joined: boolean): number {
  // Parentheses and angle brackets mean nothing in a command.
  const plain = text[from] === '/' || text[from] === '|';
  let quoted = false;
  let angle = false;
  let comments = 0;
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (c === '\n' && !joined) return i;
    if (c === '\\' && (quoted || comments > 0)) i += 1;
    else if (c === '"' && comments === 0) quoted = !quoted;
    else if (quoted || plain) {
      if (c === ',' && !quoted) return i;
    } else if (c === '(') comments += 1;
    else if (c === ')' && comments > 0) comments -= 1;
    else if (comments > 0) continue;
    else if (c === '<') angle = true;
    else if (c === '>') angle = false;
    else if (c === ',' && !angle) return i;
  }
  return text.length;
}

/** Reads one item without the blanks around it; null if it is only a comment. */
function readItem(text: string): RedirectionTarget | null {
  const whole = /^"((?:[^"\\]|\\.)*)"$/s.exec(text);
  if (whole !== null) {
    const inside = (whole[1] as string).replace(/\\(.)/gs, '$1').trim();
    // The quotes around a whole item are dropped, unless only they make it a local-part.
    const target = readBare(inside);
    return target?.kind === 'fault' && !/^[:/|\\]/.test(inside) ? readBare(text) : target;
  }
  return readBare(text);
}

function readBare(text: string): RedirectionTarget | null {
  const special = /^:([a-z]+):\s*(.*)$/is.exec(text);
  if (special !== null) return readSpecial((special[1] as string).toLowerCase(), special[2] as string);
  if (text.startsWith('/') || text.startsWith('|')) {
    // X.400 addresses look like this: `/S=joe/C=de/@gate.example`.
    const mailbox = parseMailbox(text);
    if (mailbox.ok && mailbox.value.domain !== '') return { kind: 'mailbox', mailbox: mailbox.value };
    return text === '/dev/null' ? { kind: 'null' } : { kind: 'local', target: text };
  }
  if (/^(include|fail|defer|blackhole|unknown):/i.test(text))
    return { kind: 'fault', detail: `"${text}" lacks the colon before it: write "key: :${text}"` };
  const own = text.startsWith('\\');
  const mailbox = readMailbox(own ? text.slice(1) : text);
  if (!mailbox.ok) return { kind: 'fault', detail: `${mailbox.detail} (in "${text}")` };
  if (mailbox.value === null) return null;
  if (own && mailbox.value.domain === '') return { kind: 'own', mailbox: mailbox.value };
  return { kind: 'mailbox', mailbox: mailbox.value };
}

function readSpecial(word: string, rest: string): RedirectionTarget {
  if (word === 'blackhole' || word === 'unknown') return { kind: word };
  if (word === 'fail' || word === 'defer') return { kind: word, detail: rest };
  if (word !== 'include') return { kind: 'fault', detail: `":${word}:" is none of :include:, :fail:, :defer:, :blackhole: and :unknown:` };
  if (!rest.startsWith('/')) return { kind: 'fault', detail: `:include: takes an absolute path, not "${rest}"` };
  return { kind: 'include', file: rest };
}

/** Reads an RFC 5322 §3.4 mailbox without its display name and comments; null if there are only comments. */
function readMailbox(text: string): Parsed<Mailbox | null> {
  const bare = withoutComments(text);
  if (!bare.ok) return bare;
  if (bare.value === '') return parsed(null);
  const angle = /^((?:[^"<]|"(?:[^"\\]|\\.)*")*)(<[^>]*>)$/s.exec(bare.value);
  return parseMailbox(angle === null ? bare.value : (angle[2] as string));
}

/** Each run of blanks is looked at from its beginning only, because very many before something else would take too long. */
const AROUND_AT = /(?:(?<!\s)\s+)?@\s*/g;

/** RFC 5322 §3.2.2: comments nest, and a backslash quotes within them. Blanks around an unquoted `@` go, too. */
function withoutComments(text: string): Parsed<string> {
  if (!/["(]/.test(text)) return parsed(text.replace(AROUND_AT, '@'));
  let out = '';
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '\\' && (quoted || depth > 0)) {
      if (quoted) out += text.slice(i, i + 2);
      i += 1;
    } else if (c === '"' && depth === 0) {
      quoted = !quoted;
      out += c;
    } else if (quoted) out += c;
    else if (c === '(') depth += 1;
    else if (depth === 0) out += c;
    else if (c === ')') depth -= 1;
  }
  if (quoted) return unparsed('the closing quote is missing');
  if (depth > 0) return unparsed('the closing parenthesis is missing');
  return parsed((out.includes('"') ? out : out.replace(AROUND_AT, '@')).trim());
}
