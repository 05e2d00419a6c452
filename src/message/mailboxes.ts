/**
 * Parses address lists as people and programs write them: RFC 5322 §3.4 with its obsolete forms (§4.4), in header fields and in
 * command-line arguments, and the other forms that Exim, Sendmail and Postfix accept, as long as it is clear who is meant.
 * Works on octet strings and says where each address stands, so that it can be changed in place. Knows no field names;
 * `src/smtp/path.ts` decides what a mailbox may be.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type Mailbox, parseMailbox, parseReversePath, quoteLocalPart, type ReversePath } from '../smtp/path.ts';
import { fromUtf8, isAscii, utf8 } from '../smtp/text.ts';
import { quoteNear, readTokens, shorten, type TextSpan, type Token, unquote } from './address-tokens.ts';

/** A mailbox of a list; offsets are those of the addr-spec, without brackets, comments and a route. */
interface ListedMailbox extends TextSpan {
  /** `domain` is '' when the address is bare. */
  readonly mailbox: Mailbox;
  /** False for an address that stands alone, because it may be a word of a name. */
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
  /** Blanks outside ASCII, in order. They separate like any other blank, but may not stay in a field. */
  readonly blanks: readonly TextSpan[];
  readonly hasGroup: boolean;
}

/**
 * Parses `text` (an octet string, UTF-8 inside addresses) from the offset `from`. Empty elements and an empty list
 * are no errors. Errors name the text that is wrong.
 */
export function parseAddressList(text: string, from = 0): Parsed<AddressList> {
  const mailboxes: ListedMailbox[] = [];
  const words: PhraseWord[] = [];
  const { next, comments, blanks } = readTokens(text, from);

  /** Reads tokens up to the first that cannot be part of a phrase or an address. */
  function readWords(first = next()): { readonly tokens: readonly Token[]; readonly stop: Token } {
    const tokens: Token[] = [];
    let token = first;
    while (token.kind === 'atom' || token.kind === 'quoted' || token.kind === 'literal' || token.kind === '@') {
      tokens.push(token);
      token = next();
    }
    return { tokens, stop: token };
  }

  /** Reads what follows `<`: an optional route, the addr-spec, `>`. RFC 5322 §3.4 and §4.4 */
  function readAngle(open: Token): Parsed<{ readonly tokens: readonly Token[]; readonly end: number }> {
    let token = next();
    if (token.kind === '@' || token.kind === ',') {
      // Only the mailbox counts, because no host follows a route any more. RFC 5321 appendix C
      while (token.kind === '@' || token.kind === ',' || token.kind === 'atom' || token.kind === 'literal') token = next();
      if (token.kind !== ':') return unparsed(token.detail ?? `the route in ${quoteNear(text, open.start)} does not end in ":"`);
      token = next();
    }
    const { tokens, stop } = readWords(token);
    // Exchange wrote a group without members in brackets, and Sendmail accepts it.
    if (stop.kind === ':' && tokens.length > 0) {
      const closing = next();
      const end = closing.kind === ';' ? next() : closing;
      if (end.kind === '>') return parsed({ tokens: [], end: end.end });
    }
    if (stop.kind !== '>') return unparsed(stop.detail ?? `the "<" in ${quoteNear(text, open.start)} is not closed by ">"`);
    if (tokens.length === 0) return unparsed(`${quoteNear(text, open.start)} holds no address between "<" and ">"`);
    return parsed({ tokens, end: stop.end });
  }

  /** Begins a group, whose name and colon have been read. Returns the colon. */
  function beginGroup(name: readonly Token[], colon: Token): Parsed<Token> {
    const { start } = name[0] ?? colon;
    addWords(name);
    if (isInGroup) return unparsed(`a group stands within a group: ${quoteNear(text, start)}`);
    // A "@" at the start begins a route without brackets. Elsewhere somebody may be meant, who would be lost.
    if (name.findIndex(({ kind }) => kind === '@') > 0)
      return unparsed(`${quoteNear(text, start)} is no name of a group; separate addresses by commas`);
    isInGroup = true;
    hasGroup = true;
    return parsed(colon);
  }

  /** Reads the mailbox of an element, if it has one. Returns the token behind the element. */
  function readMailbox(tokens: readonly Token[], stop: Token): Parsed<Token> {
    const { start } = tokens[0] ?? stop;
    if (stop.kind === '<') return readNamed(tokens, stop);
    if (stop.kind === 'bad') return unparsed(stop.detail as string);
    if (stop.kind === '>') return unparsed(`${quoteNear(text, start)} has an unbalanced ">"`);
    if (tokens.length === 0 || (isBehindGroup && isHostAlone(tokens))) return parsed(stop);
    return addAddress(tokens, false, stop);
  }

  /** Reads an address in brackets behind the words of a name. */
  function readNamed(name: readonly Token[], open: Token): Parsed<Token> {
    const { start } = name[0] ?? open;
    addWords(name);
    const angle = readAngle(open);
    if (!angle.ok) return angle;
    const after = next();
    const { tokens, end } = angle.value;
    const added = tokens.length === 0 ? parsed(after) : addAddress(tokens, true, after);
    if (!added.ok || after.kind === ',' || after.kind === ';' || after.kind === 'end') return added;
    return unparsed(after.detail ?? `${quoteNear(text, after.start)} may not follow "${shorten(text, start, end)}"`);
  }

  function addAddress(tokens: readonly Token[], isInAngle: boolean, after: Token): Parsed<Token> {
    const found = readAddress(text, tokens, isInAngle);
    if (!found.ok) return found;
    mailboxes.push(found.value);
    return parsed(after);
  }

  function addWords(tokens: readonly Token[]): void {
    for (const { kind, start, end } of tokens) words.push({ start, end, quoted: kind === 'quoted' });
  }

  let isInGroup = false;
  let hasGroup = false;
  /** True if the element follows the end of a group with no comma between. */
  let isBehindGroup = false;
  for (;;) {
    const { tokens, stop } = readWords();
    const after = stop.kind === ':' ? beginGroup(tokens, stop) : readMailbox(tokens, stop);
    if (!after.ok) return after;
    // A group that is not closed ends with the text, because its members are clear all the same.
    if (after.value.kind === 'end') return parsed({ mailboxes, words, comments, blanks, hasGroup });
    const isSemicolon = after.value.kind === ';';
    // A semicolon that ends no group separates, as in Outlook and Postfix.
    isBehindGroup = isSemicolon && (isInGroup || (isBehindGroup && tokens.length === 0));
    if (isSemicolon) isInGroup = false;
  }
}

/** True for `@host`, which old mail programs put behind the end of a group. It is nobody's address. */
function isHostAlone([sign, host, more]: readonly Token[]): boolean {
  return sign?.kind === '@' && (host?.kind === 'atom' || host?.kind === 'literal') && more === undefined;
}

/** Makes a mailbox of the tokens of an addr-spec. Blanks and comments around dots and "@" are dropped. RFC 5322 §4.4 */
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
  const before = fromUtf8(local.map((token) => content(text, token)).join(''));
  const after = fromUtf8(sign < tokens.length ? `@${domain.map((token) => content(text, token)).join('')}` : '');
  if (before === null || after === null) return wrong('it is not valid UTF-8');
  const mailbox = parseMailbox((quoted ? quoteLocalPart(before) : before) + after);
  return mailbox.ok ? parsed({ mailbox: mailbox.value, isInAngle, start, end }) : wrong(mailbox.detail);
}

/** Returns the content of a token: a quoted string without quotes, quoted pairs and folding, a literal without blanks. */
function content(text: string, { kind, start, end }: Token): string {
  if (kind === 'quoted') return unquote(text.slice(start + 1, end - 1));
  return kind === 'literal' ? text.slice(start, end).replaceAll(/[ \t\r\n]/g, '') : text.slice(start, end);
}

/**
 * True for a word outside ASCII without an "@" in the place of an address: it is a part of a name, and no server could be given
 * it.
 */
export function isPartOfName({ mailbox, isInAngle }: ListedMailbox): boolean {
  return !isInAngle && mailbox.domain === '' && !isAscii(mailbox.localPart);
}

/**
 * Parses the reverse-path of an argument (text, not octets): also an address with a display name or comment, which do not
 * count.
 */
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
