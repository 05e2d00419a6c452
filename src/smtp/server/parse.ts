/**
 * One command line of an SMTP or LMTP client, as a server reads it: verb, path, parameters. Knows the grammar
 * only; what may be said when, and which parameters are offered, is `machine.ts`.
 */
import { type ForwardPath, parseMailbox, parseReversePath, type ReversePath } from '../path.ts';
import { fromUtf8, printable } from '../text.ts';

/** An esmtp-param: keyword in upper case, value as written, null where there is no `=`. RFC 5321 §4.1.2 */
export interface Parameter {
  readonly keyword: string;
  readonly value: string | null;
}

export type Command =
  | { readonly verb: 'EHLO' | 'HELO' | 'LHLO'; readonly domain: string }
  | { readonly verb: 'MAIL'; readonly path: ReversePath; readonly parameters: readonly Parameter[] }
  | { readonly verb: 'RCPT'; readonly path: ForwardPath; readonly parameters: readonly Parameter[] }
  | { readonly verb: 'BDAT'; readonly octets: number; readonly last: boolean }
  /** `initial` is base64 as sent; null when the client lets the server speak first, `=` for an empty response. */
  | { readonly verb: 'AUTH'; readonly mechanism: string; readonly initial: string | null }
  | { readonly verb: 'DATA' | 'RSET' | 'QUIT' | 'STARTTLS' }
  | { readonly verb: 'NOOP' | 'HELP' | 'VRFY' | 'EXPN' }
  /** A known verb with a wrong argument; `of` names it. */
  | { readonly verb: 'malformed'; readonly of: string; readonly detail: string }
  | { readonly verb: 'unknown' };

const BLANK = /^[ \t]+|[ \t]+$/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;
/** RFC 5321 §4.1.2 esmtp-keyword. */
const KEYWORD = /^[A-Za-z0-9][A-Za-z0-9-]*$/;
/** RFC 5321 §4.1.2 esmtp-value, and RFC 6531 §3.3 for characters above ASCII. */
const VALUE = /^[!-<>-~\u0080-\u{10ffff}]+$/u;
/** SASL mechanism names. RFC 4422 §3.1 */
const MECHANISM = /^[A-Za-z0-9_-]{1,20}$/;

/**
 * Parses a command line without its line end, an octet string. Verbs are recognised in any case (RFC 5321 §2.4),
 * blanks at the end are ignored (RFC 5321 §4.1.1).
 */
export function parseCommand(line: string): Command {
  const text = fromUtf8(line);
  const verb = /^[A-Za-z]*/.exec(line)?.[0].toUpperCase() as string;
  const rest = (text ?? '').slice(verb.length);
  if (!VERBS.has(verb) || !(text === null || rest === '' || /^[ \t]/.test(rest))) return { verb: 'unknown' };
  const malformed = (detail: string): Command => ({ verb: 'malformed', of: verb, detail });
  if (text === null) return malformed('the line is not valid UTF-8');
  if (CONTROL.test(text)) return malformed('a control character is not allowed in a command');
  return (VERBS.get(verb) as Reader)(verb, rest.replace(BLANK, ''), malformed);
}

type Reader = (verb: string, argument: string, malformed: (detail: string) => Command) => Command;

const VERBS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['EHLO', hello],
  ['HELO', hello],
  ['LHLO', hello],
  ['MAIL', mail],
  ['RCPT', recipient],
  ['BDAT', chunk],
  ['AUTH', authenticate],
  ['DATA', alone],
  ['RSET', alone],
  ['QUIT', alone],
  ['STARTTLS', alone],
  // RFC 5321 §4.1.1.7 to §4.1.1.9: an argument is allowed and changes nothing here.
  ['NOOP', (verb) => ({ verb: verb as 'NOOP' })],
  ['HELP', (verb) => ({ verb: verb as 'HELP' })],
  ['VRFY', named],
  ['EXPN', named],
]);

/**
 * Deviation: RFC 5321 §4.1.1.1 wants a domain or an address literal; any one word is taken, because the name decides
 * nothing here and clients on unconfigured hosts send what they have.
 */
function hello(verb: string, argument: string, malformed: (detail: string) => Command): Command {
  if (argument === '') return malformed('the name of the client is missing');
  if (/[ \t]/.test(argument)) return malformed('one name is expected');
  return { verb: verb as 'EHLO', domain: argument };
}

function mail(_: string, argument: string, malformed: (detail: string) => Command): Command {
  const read = readPath('FROM', argument);
  if ('detail' in read) return malformed(read.detail);
  const path = parseReversePath(read.path);
  return path.ok ? { verb: 'MAIL', path: path.value, parameters: read.parameters } : malformed(path.detail);
}

function recipient(_: string, argument: string, malformed: (detail: string) => Command): Command {
  const read = readPath('TO', argument);
  if ('detail' in read) return malformed(read.detail);
  const path = parseMailbox(read.path);
  return path.ok ? { verb: 'RCPT', path: path.value, parameters: read.parameters } : malformed(path.detail);
}

/** RFC 3030 §2. 15 digits: the sum of two such numbers is still exact. */
function chunk(_: string, argument: string, malformed: (detail: string) => Command): Command {
  const read = /^(\d{1,15})([ \t]+LAST)?$/i.exec(argument);
  if (!read) return malformed('a number of octets is expected, and LAST or nothing after it');
  return { verb: 'BDAT', octets: Number(read[1]), last: read[2] !== undefined };
}

/** RFC 4954 §4 */
function authenticate(_: string, argument: string, malformed: (detail: string) => Command): Command {
  const [mechanism = '', initial = null, ...more] = argument.split(/[ \t]+/);
  if (!MECHANISM.test(mechanism)) return malformed('the name of a mechanism is expected');
  if (more.length > 0) return malformed('one initial response is expected');
  return { verb: 'AUTH', mechanism: mechanism.toUpperCase(), initial };
}

function alone(verb: string, argument: string, malformed: (detail: string) => Command): Command {
  return argument === '' ? { verb: verb as 'DATA' } : malformed('no argument is expected');
}

function named(verb: string, argument: string, malformed: (detail: string) => Command): Command {
  return argument === '' ? malformed('a name is expected') : { verb: verb as 'VRFY' };
}

/**
 * `FROM:<path> parameters`. The path ends at the first `>` outside a quoted-string.
 * Deviation: blanks before the path and a path without angle brackets are accepted (RFC 5321 §3.3 forbids both),
 * because programs that speak to `sendmail -bs` send them and nothing else can be meant.
 */
function readPath(
  word: string,
  argument: string,
): { readonly path: string; readonly parameters: readonly Parameter[] } | { readonly detail: string } {
  if (argument.slice(0, word.length + 1).toUpperCase() !== `${word}:`) return { detail: `"${word}:<address>" is expected` };
  const rest = argument.slice(word.length + 1).replace(BLANK, '');
  if (rest === '') return { detail: 'the address is missing' };
  const end = endOfPath(rest);
  if (end < 0) return { detail: 'the address is not closed by ">"' };
  const after = rest.slice(end);
  if (after !== '' && !/^[ \t]/.test(after)) return { detail: 'a blank is expected after the address' };
  const parameters: Parameter[] = [];
  const seen = new Set<string>();
  for (const item of after.split(/[ \t]+/)) {
    if (item === '') continue;
    const equals = item.indexOf('=');
    const keyword = (equals < 0 ? item : item.slice(0, equals)).toUpperCase();
    const value = equals < 0 ? null : item.slice(equals + 1);
    if (!KEYWORD.test(keyword) || (value !== null && !VALUE.test(value))) return { detail: `"${printable(item, 100)}" is not a parameter` };
    if (seen.has(keyword)) return { detail: `the parameter ${keyword} is given twice` };
    seen.add(keyword);
    parameters.push({ keyword, value });
  }
  return { path: rest.slice(0, end), parameters };
}

function endOfPath(text: string): number {
  const bracketed = text.startsWith('<');
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') quoted = !quoted;
    else if (quoted && c === '\\') i++;
    else if (!quoted && bracketed && c === '>') return i + 1;
    else if (!quoted && !bracketed && (c === ' ' || c === '\t')) return i;
  }
  return bracketed ? -1 : text.length;
}

/** The value of a parameter; null when it has none, undefined when it is not given. */
export function parameterOf(parameters: readonly Parameter[], keyword: string): string | null | undefined {
  return parameters.find((parameter) => parameter.keyword === keyword)?.value;
}
