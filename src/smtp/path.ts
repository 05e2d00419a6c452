/**
 * Reverse-paths and forward-paths: RFC 5321 mailboxes as validated atoms. Never reads header text (display names, comments
 * and groups are for `src/message/mailboxes.ts`), never looks a name up.
 */
import { LONGEST_ADDRESS, LONGEST_DOMAIN } from './limits.ts';
import { type Parsed, parsed, unparsed } from './parsed.ts';
import { isAscii } from './text.ts';

/**
 * A mailbox as it stands on the wire. `localPart` is in its shortest form (quoted only when it must be). `domain` is as its
 * author wrote it, without a trailing dot, an address literal in its brackets, or '' for a bare local-part that somebody has
 * still to qualify. RFC 5321 §4.1.2. Nobody can write such a value down, nor change one, because of the private member:
 * `parseMailbox` and `parseReversePath` make them all.
 */
export declare abstract class Mailbox {
  private readonly isChecked: true;
  readonly localPart: string;
  readonly domain: string;
}
const makeMailbox = (localPart: string, domain: string): Mailbox => ({ localPart, domain }) as Mailbox;
/** The path of a recipient. RFC 5321 §4.1.2 */
export type ForwardPath = Mailbox;
/** null is the null reverse-path `<>`. RFC 5321 §4.5.5 */
export type ReversePath = Mailbox | null;

/** RFC 5322 §3.2.3 atext, and any character above ASCII (RFC 6531 §3.3). */
const ATOM = /^[\w!#$%&'*+\-/=?^`{|}~\u0080-\uffff]+$/;
/**
 * Deviation: dots may lead, end or follow each other (`a..b`), which RFC 5321 §4.1.2 forbids and Exim, Postfix and
 * the mobile operators that gave out such addresses accept. The smart host decides.
 */
const DOT_STRING = /^[\w!#$%&'*+\-/=?^`{|}~.\u0080-\uffff]+$/;
/** Blanks outside ASCII and marks that nobody sees: readers of a header take them for what stands between words. */
const BLANK = /[\s\u200b-\u206f]/;
/** Labels may hold `_`, because hosts of private networks have it. */
const LABELS = /^[\w.\-\u0080-\uffff]+$/;
/** A label is empty, or begins or ends with a hyphen. RFC 1035 §2.3.1 */
const BAD_LABEL = /(?:^|\.)[-.]|[-.](?:\.|$)/;
/** RFC 1035 §2.3.4 */
const LONG_LABEL = /[^.]{64}/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
/** Half of a surrogate pair. */
const SURROGATE = /[\ud800-\udfff]/u;
const ROUTE = /^@[^:"<>\s]*:/;

/** True for a dotted domain, a single label or an address literal. RFC 5321 §4.1.2 and §4.1.3 */
export function isDomain(text: string): boolean {
  if (text.startsWith('[')) return isAddressLiteral(text);
  return text.length <= LONGEST_DOMAIN && LABELS.test(text) && !BAD_LABEL.test(text) && !LONG_LABEL.test(text);
}

/** Letters, digits, and hyphens within. RFC 5321 §4.1.2 */
const HOST_LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/**
 * True for a domain that EHLO may say, which is stricter than for addresses here. RFC 1123 §2.1: its last label is not all
 * digits.
 */
export function isHostName(text: string): boolean {
  return text.length <= LONGEST_DOMAIN && text.split('.').every((label) => HOST_LABEL.test(label)) && !/(^|\.)\d+$/.test(text);
}

/** `[192.0.2.1]` or `[IPv6:2001:db8::1]`. RFC 5321 §4.1.3 */
export function isAddressLiteral(text: string): boolean {
  if (!text.startsWith('[') || !text.endsWith(']')) return false;
  const inside = text.slice(1, -1);
  const v6 = /^IPv6:(.*)$/i.exec(inside);
  return v6 ? isIPv6(v6[1] as string) : isIPv4(inside);
}

/** Dotted quad, each part 0 to 255. */
export function isIPv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

/** RFC 4291 §2.2, without a zone. */
export function isIPv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const quad = isIPv4(groups.at(-1) ?? '') && !text.endsWith('::');
  const plain = quad ? groups.slice(0, -1) : groups;
  if (!plain.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return false;
  const count = plain.length + (quad ? 2 : 0);
  return halves.length === 2 ? count <= 7 : count === 8;
}

/**
 * Parses one mailbox, bare or in angle brackets, and drops a source route (RFC 5321 appendix C). Where the domain is missing,
 * the result's `domain` is ''. Refuses text with display names or comments.
 */
export function parseMailbox(text: string): Parsed<Mailbox> {
  if (CONTROL.test(text)) return unparsed('a control character is not allowed in an address');
  if (SURROGATE.test(text)) return unparsed('the address is not valid Unicode text');
  if (text.length > LONGEST_ADDRESS) return unparsed(`the address is longer than ${LONGEST_ADDRESS} characters`);
  let inner = text;
  if (inner.startsWith('<') || inner.endsWith('>')) {
    if (!inner.startsWith('<') || !inner.endsWith('>')) return unparsed('unbalanced angle bracket');
    inner = inner.slice(1, -1);
  }
  if (inner.startsWith('@')) inner = inner.replace(ROUTE, '');
  const end = endOfLocalPart(inner);
  if (end < 0) return unparsed('the quoted local-part is not closed');
  const rest = inner.slice(end);
  if (rest !== '' && !rest.startsWith('@')) return unparsed(`"${rest[0]}" may not follow the local-part`);
  const localPart = shortestLocalPart(inner.slice(0, end));
  if (!localPart.ok) return localPart;
  if (rest === '') return parsed(makeMailbox(localPart.value, ''));
  const domain = rest.slice(1, rest.endsWith('.') ? -1 : undefined);
  if (domain === '') return unparsed('the domain is missing after "@"');
  if (!isDomain(domain)) return unparsed(`"${domain}" is not a domain`);
  return parsed(makeMailbox(localPart.value, domain));
}

/** Parses a reverse-path as parseMailbox does, and takes '' or `<>` for the null reverse-path. */
export function parseReversePath(text: string): Parsed<ReversePath> {
  return text === '' || text === '<>' ? parsed(null) : parseMailbox(text);
}

function endOfLocalPart(text: string): number {
  if (!text.startsWith('"')) {
    const at = text.indexOf('@');
    return at < 0 ? text.length : at;
  }
  for (let i = 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  return -1;
}

function shortestLocalPart(text: string): Parsed<string> {
  if (text === '') return unparsed('the local-part is missing');
  if (!text.startsWith('"'))
    return DOT_STRING.test(text) ? parsed(text) : unparsed(`"${text}" is not a local-part; quote it if it is meant`);
  return parsed(quoteLocalPart(text.slice(1, -1).replace(/\\(.)/gs, '$1')));
}

/** Prints the content of a local-part for the wire: a dot-string when it can be one, else a quoted-string. RFC 5321 §4.1.2 */
export function quoteLocalPart(content: string): string {
  return content.split('.').every((atom) => ATOM.test(atom)) && !BLANK.test(content) ? content : `"${content.replace(/["\\]/g, '\\$&')}"`;
}

/** Prints the mailbox without brackets; a bare local-part stands alone. */
export function printMailbox({ localPart, domain }: Mailbox): string {
  return domain === '' ? localPart : `${localPart}@${domain}`;
}

/** Prints `<local-part@domain>`, or `<>` for the null reverse-path. */
export function printPath(path: ReversePath): string {
  return path === null ? '<>' : `<${printMailbox(path)}>`;
}

/** Equal for mailboxes that are the same recipient: the local-part decides by case, the domain does not. RFC 5321 §2.4 */
export function mailboxKey({ localPart, domain }: Mailbox): string {
  return `${localPart}@${domain.toLowerCase()}`;
}

/** The mailbox with `domain` where it had none. */
export const qualify = (mailbox: Mailbox, domain: string): Mailbox => (mailbox.domain === '' ? withDomain(mailbox, domain) : mailbox);

/** The mailbox with another domain; it keeps its own where `text` is no domain. */
export function withDomain(mailbox: Mailbox, text: string): Mailbox {
  const domain = text.replace(/\.$/, '');
  return isDomain(domain) ? makeMailbox(mailbox.localPart, domain) : mailbox;
}

/** True when the address needs no SMTPUTF8. RFC 6531 §3.4 */
export function isAsciiMailbox({ localPart, domain }: Mailbox): boolean {
  return isAscii(localPart) && isAscii(domain);
}
