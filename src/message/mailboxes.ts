/**
 * Address lists as people and programs write them: RFC 5322 §3.4 with its obsolete forms (§4.4), in header fields
 * and in command-line arguments, and what Exim, Sendmail and Postfix take besides, as long as it is clear who is meant.
 * Works on octet strings and says where each address stands, so that it can be changed in place. Knows no field
 * names; what a mailbox may be is decided by `src/smtp/path.ts`.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type Mailbox, parseMailbox, parseReversePath, quoteLocalPart, type ReversePath } from '../smtp/path.ts';
import { fromUtf8, isAscii, printable, utf8 } from '../smtp/text.ts';

export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/** A mailbox of a list; offsets are those of the addr-spec, without brackets, comments and a route. */
interface ListedMailbox extends TextSpan {
  /** `domain` is '' when the address is bare. */
  readonly mailbox: Mailbox;
  /** False for an address that stands alone, which may be a word of a name. */
  readonly isInAngle: boolean;
}

/** A word of a display name or of a group's name. */
interface PhraseWord extends TextSpan {
  readonly quoted: boolean;
}

export interface AddressList {
  readonly mailboxes: readonly ListedMailbox[];
  /** Words of display names and group names, in order. */
  readonly words: readonly PhraseWord[];
  /** Outermost comments with their parentheses, in order. */
  readonly comments: readonly TextSpan[];
  /** Blanks outside ASCII, in order: they separate like any other, but may not stay in a field. */
  readonly blanks: readonly TextSpan[];
  readonly hasGroup: boolean;
}

interface Token extends TextSpan {
  readonly kind: 'atom' | 'quoted' | 'literal' | '<' | '>' | '@' | ',' | ';' | ':' | 'end' | 'bad';
  /** What is wrong, of a bad one. */
  readonly detail?: string;
}

/**
 * Dots belong to an atom here: `a.b` is one token, and a display name may hold them (RFC 5322 §4.1, obs-phrase). So does
 * any character behind a backslash: programs that quote a name twice write it so.
 */
const WORD = /(?:\\[\t\x20-\x7e\x80-\xff]|[^\0-\x20\x7f()<>@,;:"[\]])+/y;
/**
 * What text that was copied from a page or a mail program has around an address, in UTF-8: spaces that do not break or have
 * another width, marks of direction, and the mark at the start of a file.
 */
const FOREIGN_BLANK =
  '(?:\\xc2\\xa0|\\xe2\\x80[\\x80-\\x8b\\x8e\\x8f\\xaa-\\xaf]|\\xe2\\x81[\\x9f\\xa0\\xa6-\\xa9]|\\xe3\\x80\\x80|\\xef\\xbb\\xbf)';
const FOREIGN_BLANKS = new RegExp(`${FOREIGN_BLANK}+`, 'y');
const LAST_FOREIGN_BLANK = new RegExp(`${FOREIGN_BLANK}$`);
/** What in a comment that is not closed could be somebody who is meant. */
const ADDRESSES = /[@<>,;:"]/;
/**
 * Deviation: an encoded word is one word even if it holds a comma, which RFC 2047 §5(3) forbids in a phrase and
 * programs write all the same. 75 octets are allowed; longer ones are seen.
 */
const ENCODED_WORD = /=\?[^?\s]{1,75}\?[BQbq]\?[^?\s]{0,1000}\?=/y;

/**
 * Parses `text` (an octet string, UTF-8 inside addresses) from the offset `from`. Empty elements and an empty list
 * are no errors. Errors name the text that is wrong.
 */
export function parseAddressList(text: string, from = 0): Parsed<AddressList> {
  const mailboxes: ListedMailbox[] = [];
  const words: PhraseWord[] = [];
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

  /** The next token after blanks and comments. RFC 5322 §3.2.2 */
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

  /** Tokens up to the first that cannot be part of a phrase or an address. */
  function readWords(first: Token): { readonly tokens: readonly Token[]; readonly stop: Token } {
    const tokens: Token[] = [];
    let token = first;
    while (token.kind === 'atom' || token.kind === 'quoted' || token.kind === 'literal' || token.kind === '@') {
      tokens.push(token);
      token = next();
    }
    return { tokens, stop: token };
  }

  /** After `<`: an optional route, the addr-spec, `>`. RFC 5322 §3.4 and §4.4 */
  function readAngle(open: Token): Parsed<{ readonly tokens: readonly Token[]; readonly end: number }> {
    let token = next();
    if (token.kind === '@') {
      // The route is for hosts of another time; only the mailbox counts. RFC 5321 appendix C
      while (token.kind === '@' || token.kind === ',' || token.kind === 'atom' || token.kind === 'literal') token = next();
      if (token.kind !== ':') return unparsed(token.detail ?? `the route in ${quoteNear(text, open.start)} does not end in ":"`);
      token = next();
    }
    const { tokens, stop } = readWords(token);
    // A group without members in brackets, as Exchange wrote it and Sendmail takes it.
    if (stop.kind === ':' && tokens.length > 0) {
      const closing = next();
      const end = closing.kind === ';' ? next() : closing;
      if (end.kind === '>') return parsed({ tokens: [], end: end.end });
    }
    if (stop.kind !== '>') return unparsed(stop.detail ?? `the "<" in ${quoteNear(text, open.start)} is not closed by ">"`);
    if (tokens.length === 0) return unparsed(`${quoteNear(text, open.start)} holds no address between "<" and ">"`);
    return parsed({ tokens, end: stop.end });
  }

  let inGroup = false;
  let hasGroup = false;
  /** The element follows the end of a group, with no comma between. */
  let isBehindGroup = false;
  let first = next();
  for (;;) {
    const { tokens, stop } = readWords(first);
    const start = (tokens[0] ?? stop).start;
    let after = stop;
    if (stop.kind === '<' || stop.kind === ':')
      for (const token of tokens) words.push({ start: token.start, end: token.end, quoted: token.kind === 'quoted' });
    if (stop.kind === ':') {
      if (tokens.length === 0) return unparsed(`a group has no name: ${quoteNear(text, start)}`);
      if (inGroup) return unparsed(`a group stands within a group: ${quoteNear(text, start)}`);
      // At its start it is a route without brackets; elsewhere somebody may be meant who would be lost.
      if (tokens.findIndex(({ kind }) => kind === '@') > 0)
        return unparsed(`${quoteNear(text, start)} is no name of a group; separate addresses by commas`);
      inGroup = true;
      hasGroup = true;
      isBehindGroup = false;
      first = next();
      continue;
    }
    if (stop.kind === '<') {
      const angle = readAngle(stop);
      if (!angle.ok) return angle;
      after = next();
      if (angle.value.tokens.length > 0) {
        const found = readAddress(text, angle.value.tokens, true);
        if (!found.ok) return found;
        mailboxes.push(found.value);
      }
      if (after.kind !== ',' && after.kind !== ';' && after.kind !== 'end')
        return unparsed(after.detail ?? `${quoteNear(text, after.start)} may not follow "${shorten(text, start, angle.value.end)}"`);
    } else if (stop.kind === 'bad') return unparsed(stop.detail as string);
    else if (stop.kind === '>') return unparsed(`${quoteNear(text, start)} has an unbalanced ">"`);
    else if (tokens.length > 0 && !(isBehindGroup && isHostAlone(tokens))) {
      const found = readAddress(text, tokens, false);
      if (!found.ok) return found;
      mailboxes.push(found.value);
    }
    // Where it ends no group, a semicolon separates, as in Outlook; Postfix takes it so, too.
    isBehindGroup = after.kind === ';' && (inGroup || (isBehindGroup && tokens.length === 0));
    if (after.kind === ';') inGroup = false;
    // A group that is not closed ends with the text: its members are clear all the same.
    if (after.kind === 'end') return parsed({ mailboxes, words, comments, blanks, hasGroup });
    first = next();
  }
}

/** `@host`, which old mail programs put behind the end of a group: it is nobody's address. */
function isHostAlone([sign, host, more]: readonly Token[]): boolean {
  return sign?.kind === '@' && (host?.kind === 'atom' || host?.kind === 'literal') && more === undefined;
}

/** The tokens of an addr-spec as a mailbox; blanks and comments around dots and "@" are dropped. RFC 5322 §4.4 */
function readAddress(text: string, tokens: readonly Token[], isInAngle: boolean): Parsed<ListedMailbox> {
  const { start } = tokens[0] as Token;
  const { end } = tokens.at(-1) as Token;
  const wrong = (why: string) => unparsed(`"${shorten(text, start, end)}" is not an address: ${why}`);
  let sign = tokens.findIndex(({ kind }) => kind === '@');
  if (sign < 0) sign = tokens.length;
  const parts = [tokens.slice(0, sign), tokens.slice(sign + 1)] as const;
  const [local, domain] = parts;
  if (domain.some(({ kind }) => kind === '@')) return wrong('it has more than one "@"; separate addresses by commas');
  for (const part of parts)
    for (let i = 1; i < part.length; i++)
      if (text[(part[i - 1] as Token).end - 1] !== '.' && text[(part[i] as Token).start] !== '.')
        return wrong('its words are separate; write a name as Name <address>');
  if (local.some(({ kind }) => kind === 'literal')) return wrong('"[" may only begin a domain');
  if (domain.some(({ kind }) => kind === 'quoted')) return wrong('a domain may not be quoted');
  const quoted = local.some(({ kind }) => kind === 'quoted');
  const before = local.map((token) => content(text, token)).join('');
  const localPart = quoted ? quoteLocalPart(before) : before;
  const after = sign < tokens.length ? `@${domain.map((token) => content(text, token)).join('')}` : '';
  const unicode = fromUtf8(localPart + after);
  if (unicode === null) return wrong('it is not valid UTF-8');
  const mailbox = parseMailbox(unicode);
  return mailbox.ok ? parsed({ mailbox: mailbox.value, isInAngle, start, end }) : wrong(mailbox.detail);
}

/** What a token stands for: a quoted string without quotes, quoted pairs and folding, a literal without blanks. */
function content(text: string, { kind, start, end }: Token): string {
  if (kind === 'quoted') return unquote(text.slice(start + 1, end - 1));
  return kind === 'literal' ? text.slice(start, end).replaceAll(/[ \t\r\n]/g, '') : text.slice(start, end);
}

/** A word outside ASCII that stands where an address should, without an "@": part of a name, which no server could be given. */
export function isPartOfName({ mailbox, isInAngle }: ListedMailbox): boolean {
  return !isInAngle && mailbox.domain === '' && !isAscii(mailbox.localPart);
}

/** A reverse-path as an argument has it (text, not octets): also an address with a display name or comment, which say nothing. */
export function parseSender(text: string): Parsed<ReversePath> {
  const path = parseReversePath(text.trim());
  if (path.ok) return path;
  const list = parseAddressList(utf8(text));
  if (!list.ok) return list;
  const [only, second] = list.value.mailboxes;
  if (list.value.hasGroup) return unparsed('a group is no sender');
  if (only === undefined) return unparsed('it holds no address');
  return second === undefined ? parsed(only.mailbox) : unparsed('a message has one sender');
}

/** Unfolds, and takes the backslash of quoted pairs away. RFC 5322 §3.2.1 */
export function unquote(text: string): string {
  return text.replaceAll(/\r?\n(?=[ \t])/g, '').replaceAll(/\\(.)/gs, '$1');
}

/** The offset after blanks; a line end is one only where it folds: any other would let one address become two lines. RFC 5322 §2.2.3 */
function endOfBlanks(text: string, start: number): number {
  for (let i = start; ; i++) {
    const character = text[i];
    if (character === ' ' || character === '\t') continue;
    const fold = character === '\n' ? i : character === '\r' && text[i + 1] === '\n' ? i + 1 : -1;
    if (fold < 0 || (text[fold + 1] !== ' ' && text[fold + 1] !== '\t')) return i;
    i = fold;
  }
}

/** Where the foreign blanks begin that end at `end`; `end` where there are none. */
function startOfForeignBlanks(text: string, end: number): number {
  for (let start = end; ; ) {
    // 3: octets of the longest.
    const last = LAST_FOREIGN_BLANK.exec(text.slice(Math.max(0, start - 3), start));
    if (last === null) return start;
    start -= last[0].length;
  }
}

/** The offset after the closing character, or -1. Quoted pairs count, nesting does not. RFC 5322 §3.2.4 and §3.4.1 */
export function endOfEnclosed(text: string, start: number, close: string): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === close) return i + 1;
  }
  return -1;
}

/** The offset after a comment, or -1; it may hold comments. RFC 5322 §3.2.2 */
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

/** The text from there up to what probably ends the address, in quotes. */
function quoteNear(text: string, start: number): string {
  const comma = text.indexOf(',', start + 1);
  return `"${shorten(text, start, comma < 0 ? text.length : comma)}"`;
}

/** 200 characters: enough to find the place, short enough for one line of a log. */
function shorten(text: string, start: number, end: number): string {
  return printable(
    text
      .slice(start, Math.min(end, start + 1000))
      .replaceAll(/[ \t\r\n]+/g, ' ')
      .trim(),
    200,
  );
}
