/**
 * Prints commands with each parameter in its right place, and refuses everything that would break out of a command line.
 * Knows no reply and no order.
 */

import { type Parsed, parsed, unparsed } from '../parsed.ts';
import { type ForwardPath, isAsciiMailbox, isDomain, mailboxKey, printMailbox, printPath, type ReversePath } from '../path.ts';
import { isAscii, utf8 } from '../text.ts';
import { type Extensions, limitOf, offers, sizeLimit } from './extensions.ts';
import type { Lack } from './outcome.ts';

/** When the sender wants to be told of a recipient's fate. NEVER stands alone. RFC 3461 §4.1 */
export type Notify = 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY';

/** One RCPT. */
export interface Recipient {
  readonly path: ForwardPath;
  /** RFC 3461 §4.1 */
  readonly notify?: readonly Notify[] | undefined;
  /** For ORCPT: the address before aliases changed it, or the whole value as another client gave it. RFC 3461 §4.2 and §5.2.1 */
  readonly original?: ForwardPath | string | undefined;
}

/** One message's envelope, and the facts of its content before the session sends it. */
export interface Transaction {
  readonly reversePath: ReversePath;
  readonly recipients: readonly Recipient[];
  /**
   * The exact number of octets with CRLF line ends; null when unknown. One above the server's limit condemns the host. RFC 1870
   * §3
   */
  readonly size: number | null;
  /** A number of octets for SIZE= alone, which never condemns. */
  readonly estimate: number | null;
  /** 'unknown' where the content is larger than the window, and none was seen there. */
  readonly eightBit: 'none' | 'some' | 'unknown';
  /** The fate of 8-bit content where the server does not offer 8BITMIME. */
  readonly withoutEightBit: 'convert' | 'send' | 'refuse';
  /** The caller says that the content is binary, so that it needs BINARYMIME and CHUNKING. RFC 3030 §3 */
  readonly binary?: boolean;
  /** An address in envelope or header section needs RFC 6531. */
  readonly smtputf8: boolean;
  /** Names the first such address and its place, for people. */
  readonly smtputf8For?: string | undefined;
  readonly ret?: 'FULL' | 'HDRS' | undefined;
  readonly envid?: string | undefined;
  /** 'require' makes DSN a need where the caller asks for it; 'drop' leaves the parameters out and says so. */
  readonly dsn: 'drop' | 'require';
  /** RFC 8689 §4 */
  readonly requireTls?: boolean;
  /** -9 to 9. RFC 6710 §4 */
  readonly priority?: number;
  /** Seconds (may be negative only with 'N') and mode. RFC 2852 §4 */
  readonly deliverBy?: { readonly seconds: number; readonly mode: 'R' | 'N'; readonly trace?: boolean | undefined };
  /** Seconds, or an RFC 3339 date. RFC 4865 §5 */
  readonly hold?: { readonly for: number } | { readonly until: string };
  /** Solicitation keywords. RFC 3865 §4 */
  readonly solicit?: readonly string[];
  /** The authenticated submitter, null for `<>`. RFC 4954 §5 */
  readonly submitter?: ReversePath;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
const CONTROL = /[\u0000-\u001f\u007f]/;
const BLANK = /\s/;

/** Prints EHLO, HELO or LHLO with its domain or address literal. RFC 5321 §4.1.1.1, RFC 2033 §4.1 */
export function helloCommand(verb: 'EHLO' | 'HELO' | 'LHLO', name: string): Parsed<string> {
  return isAscii(name) && isDomain(name)
    ? parsed(`${verb} ${name}`)
    : unparsed(`"${name}" cannot be said in ${verb}: it is neither a domain nor an address literal`);
}

/** Keeps printable octets except "+" and "=", and writes all others as "+HH". RFC 3461 §4 */
export function xtext(text: string): string {
  return utf8(text).replace(/[^!-*,-<>-~]/g, (c) => `+${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

const asksDsn = ({ ret, envid, recipients }: Transaction): boolean =>
  ret !== undefined || envid !== undefined || recipients.some(({ notify }) => notify !== undefined);

/** May this be an ENVID? RFC 3461 §4.4 */
export const isEnvid = (text: string): boolean => /^[ -~]{1,100}$/.test(text);

/** True when the caller asks for DSN parameters and they are left out because the server does not offer them. */
export const dropsDsn = (transaction: Transaction, extensions: Extensions): boolean => asksDsn(transaction) && !offers(extensions, 'DSN');

/** An extension that a transaction needs where the first function returns something, and why; the second knows its limits. */
type Need = readonly [
  keyword: Uppercase<Lack>,
  why: string,
  needed: (transaction: Transaction) => unknown,
  isBeyond?: (transaction: Transaction, limits: readonly string[]) => unknown,
];

// biome-ignore format: a table is read as a table
const NEEDS: readonly Need[] = [
  ['SMTPUTF8', 'an address is not ASCII', ({ smtputf8 }) => smtputf8],
  ['BINARYMIME', 'the content is binary', ({ binary }) => binary === true],
  ['CHUNKING', 'the content is binary', ({ binary }) => binary === true],
  ['8BITMIME', 'the content is 8-bit, and is not to be converted', ({ eightBit, withoutEightBit }) => eightBit === 'some' && withoutEightBit === 'refuse'],
  ['DSN', 'delivery status notifications are required', (transaction) => transaction.dsn === 'require' && asksDsn(transaction)],
];

/** RFC 2852 §3. Here and below, a limit that is missing or cannot be read is none. */
const isTooSoon: Need[3] = ({ deliverBy }, [least]) => deliverBy?.mode === 'R' && deliverBy.seconds < Number(least);
/** RFC 4865 §4.1 */
const isTooLate: Need[3] = ({ hold }, [seconds, date]) =>
  hold && ('for' in hold ? hold.for > Number(seconds) : Date.parse(hold.until) > Date.parse(`${date}`));
const AS_ASKED = 'or not as it was asked for';

// biome-ignore format: a table is read as a table
/** Parameters of MAIL that nobody leaves out: the function prints the parameter. */
const ASKED: readonly Need[] = [
  ['REQUIRETLS', AS_ASKED, ({ requireTls }) => requireTls && 'REQUIRETLS'],
  ['MT-PRIORITY', AS_ASKED, ({ priority }) => priority !== undefined && `MT-PRIORITY=${priority}`],
  ['DELIVERBY', AS_ASKED, ({ deliverBy }) => deliverBy && `BY=${deliverBy.seconds};${deliverBy.mode}${deliverBy.trace ? 'T' : ''}`, isTooSoon],
  ['FUTURERELEASE', AS_ASKED, ({ hold }) => hold && ('for' in hold ? `HOLDFOR=${hold.for}` : `HOLDUNTIL=${hold.until}`), isTooLate],
  ['NO-SOLICITING', AS_ASKED, ({ solicit }) => solicit && `SOLICIT=${solicit.join(',')}`],
  ['AUTH', AS_ASKED, ({ submitter }) => submitter !== undefined && `AUTH=${submitter === null ? '<>' : xtext(printMailbox(submitter))}`],
];

const ALL_NEEDS: readonly Need[] = [...NEEDS, ...ASKED];

/** A thing that is missing, and the sentence about it. */
export interface Unmet {
  readonly lacks: Lack;
  readonly detail: string;
}

const unmet = (lacks: Lack, detail: string): Unmet => ({ lacks, detail });

const notOffered = ([keyword, why]: Need, { smtputf8For = why }: Transaction): Unmet =>
  unmet(keyword.toLowerCase() as Lack, `the server does not offer ${keyword} (${keyword === 'SMTPUTF8' ? smtputf8For : why})`);

/** What a server offers, and over what. */
export interface Offer {
  readonly secured: boolean;
  readonly extensions: Extensions;
}

/** Names the first thing that this server lacks for this transaction; null when nothing is missing. */
export function unmetNeed(transaction: Transaction, { secured, extensions }: Offer): Unmet | null {
  const { size, recipients, reversePath } = transaction;
  // In clear a server offers no REQUIRETLS, and if one does, it means nothing. RFC 8689 §2
  if (transaction.requireTls && !secured) return unmet('encryption', 'REQUIRETLS was asked for, and the session is in clear');
  // Rows are read by place, here and below, because to take one apart is slow, and this is done for each message.
  for (const need of ALL_NEEDS) {
    if (!need[2](transaction)) continue;
    const limits = extensions.keywords.get(need[0]);
    if (!limits || need[3]?.(transaction, limits)) return notOffered(need, transaction);
  }
  const limit = sizeLimit(extensions);
  if (size !== null && limit !== null && size > limit)
    return unmet('size', `the message has ${size} octets and the server takes at most ${limit}`);
  const most = limitOf(extensions, 'RCPTMAX');
  if (most !== null && recipients.length > most)
    return unmet('recipients', `the message has ${recipients.length} recipients and the server takes at most ${most} in a transaction`);
  const domains = limitOf(extensions, 'RCPTDOMAINMAX');
  const count = domains === null ? 0 : new Set(recipients.map(({ path }) => path.domain.toLowerCase())).size;
  if (domains !== null && count > domains)
    return unmet('domains', `the recipients have ${count} domains and the server takes at most ${domains} in a transaction`);
  const isForeign = (path: ReversePath): boolean => path !== null && !transaction.smtputf8 && !isAsciiMailbox(path);
  const foreign = isForeign(reversePath) ? reversePath : recipients.find(({ path }) => isForeign(path))?.path;
  return foreign ? unmet('smtputf8', `the address ${printPath(foreign)} needs SMTPUTF8`) : null;
}

/**
 * Prints MAIL with every parameter that the caller asks for and the server offers. Sizes: RFC 1870 §3; BODY: RFC 6152 §3, RFC
 * 3030 §3; SMTPUTF8: RFC 6531 §3.4
 */
export function mailCommand(transaction: Transaction, extensions: Extensions): Parsed<string> {
  const { size, estimate, eightBit, ret, envid } = transaction;
  const words: string[] = [`MAIL FROM:${printPath(transaction.reversePath)}`];
  // Converted content is longer than it was measured, and nobody knows yet by how much.
  const converted = eightBit !== 'none' && transaction.withoutEightBit === 'convert' && !offers(extensions, '8BITMIME');
  const octets = converted ? null : (size ?? estimate);
  if (octets !== null && offers(extensions, 'SIZE')) words.push(`SIZE=${octets}`);
  if (transaction.binary) words.push('BODY=BINARYMIME');
  else if (eightBit !== 'none' && offers(extensions, '8BITMIME')) words.push('BODY=8BITMIME');
  if (transaction.smtputf8) words.push('SMTPUTF8');
  if (offers(extensions, 'DSN')) {
    if (ret !== undefined) words.push(`RET=${ret}`);
    if (envid !== undefined) words.push(`ENVID=${xtext(envid)}`);
  }
  for (const need of ASKED) {
    const word = need[2](transaction);
    if (typeof word === 'string') words.push(word);
  }
  return joinWords(words);
}

/** Prints RCPT with NOTIFY and ORCPT where the server offers DSN. RFC 5321 §4.1.1.3, RFC 3461 §4.1 and §4.2 */
export function rcptCommand({ path, notify, original }: Recipient, extensions: Extensions, smtputf8: boolean): Parsed<string> {
  const words: string[] = [`RCPT TO:${printPath(path)}`];
  if (path.domain === '') return unparsed(`the recipient ${printPath(path)} has no domain`);
  if (offers(extensions, 'DSN')) {
    if (notify !== undefined) words.push(`NOTIFY=${notify.join(',')}`);
    if (original !== undefined && (typeof original === 'string' || mailboxKey(original) !== mailboxKey(path)))
      words.push(printOriginal(original, smtputf8));
  }
  return joinWords(words);
}

/** RFC 6533 §3: what means something in a parameter is written as \x{HEX}; so is every character that MAIL did not ask SMTPUTF8 for. */
function printOriginal(original: ForwardPath | string, smtputf8: boolean): string {
  const text =
    typeof original === 'string'
      ? original
      : isAsciiMailbox(original)
        ? `rfc822;${xtext(printMailbox(original))}`
        : `utf-8;${embed(printMailbox(original), /[\\+= ]/g)}`;
  return `ORCPT=${smtputf8 ? text : embed(text, /[^!-~]/gu)}`;
}

const embed = (text: string, special: RegExp): string =>
  text.replace(special, (c) => `\\x{${(c.codePointAt(0) as number).toString(16).toUpperCase()}}`);

/**
 * Joins the words as an octet string. Refuses control characters and blanks inside a word, because they would start another
 * command or parameter.
 */
function joinWords(words: readonly string[]): Parsed<string> {
  let line = words[0] as string;
  let hasBlank = false;
  for (let i = 1; i < words.length; i++) {
    // Only a quoted local-part may hold a blank, so only the first word.
    hasBlank ||= BLANK.test(words[i] as string);
    line += ` ${words[i]}`;
  }
  if (CONTROL.test(line)) return unparsed('a command parameter holds a control character');
  return hasBlank ? unparsed('a command parameter holds a blank') : parsed(utf8(line));
}
