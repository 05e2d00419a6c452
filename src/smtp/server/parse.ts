/**
 * Reads one command line of an SMTP or LMTP client: verb, path, parameters. Knows the grammar only: `machine.ts` says which
 * command may come when, and `parameters.ts` which parameters.
 */
import { type Parsed, parsed, unparsed } from '../parsed.ts';
import { type ForwardPath, parseMailbox, parseReversePath, type ReversePath } from '../path.ts';
import { fromUtf8, printable } from '../text.ts';

/** An esmtp-param. Its keyword is in upper case, its value as the client wrote it, null where there is no `=`. RFC 5321 §4.1.2 */
export interface Parameter {
  readonly keyword: string;
  readonly value: string | null;
}

/** A command that a client has said. */
export type Command =
  | { readonly verb: 'EHLO' | 'HELO' | 'LHLO'; readonly domain: string }
  | { readonly verb: 'MAIL'; readonly path: ReversePath; readonly parameters: readonly Parameter[] }
  | { readonly verb: 'RCPT'; readonly path: ForwardPath; readonly parameters: readonly Parameter[] }
  | { readonly verb: 'BDAT'; readonly octets: number; readonly last: boolean }
  /** `initial` is base64 as the client sent it; null when it lets the server speak first, `=` for an empty response. */
  | { readonly verb: 'AUTH'; readonly mechanism: string; readonly initial: string | null }
  | { readonly verb: 'DATA' | 'RSET' | 'QUIT' | 'STARTTLS' }
  | { readonly verb: 'NOOP' | 'HELP' | 'VRFY' | 'EXPN' }
  /** A known verb with a wrong argument; `of` names it. */
  | { readonly verb: 'malformed'; readonly of: string; readonly detail: string }
  | { readonly verb: 'unknown' };

/** Blanks at the end are looked for only where they begin, because a client may send very many that are not at the end. */
const BLANK = /^[ \t]+|(?<![ \t])[ \t]+$/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;
/** RFC 5321 §4.1.2 esmtp-keyword. */
const KEYWORD = /^[A-Za-z0-9][A-Za-z0-9-]*$/;
/** RFC 5321 §4.1.2 esmtp-value, and RFC 6531 §3.3 for characters above ASCII. */
const VALUE = /^[!-<>-~\u0080-\u{10ffff}]+$/u;
/** SASL mechanism names. RFC 4422 §3.1 */
const MECHANISM = /^[A-Za-z0-9_-]{1,20}$/;

/**
 * Parses a command line without its line end, an octet string. It recognises verbs in any case (RFC 5321 §2.4) and ignores
 * blanks at the end (RFC 5321 §4.1.1).
 */
export function parseCommand(line: string): Command {
  const text = fromUtf8(line);
  const verb = line.replace(/[^A-Za-z].*/s, '').toUpperCase();
  const rest = (text ?? '').slice(verb.length);
  const reader = READERS.get(verb);
  if (reader === undefined || !(text === null || rest === '' || /^[ \t]/.test(rest))) return { verb: 'unknown' };
  const malformed = (detail: string): Command => ({ verb: 'malformed', of: verb, detail });
  if (text === null) return malformed('the line is not valid UTF-8');
  if (CONTROL.test(text)) return malformed('a control character is not allowed in a command');
  const command = reader(rest.replace(BLANK, ''));
  return command.ok ? command.value : malformed(command.detail);
}

/** Reads the argument of a command. */
type Reader = (argument: string) => Parsed<Command>;

/** The verb may not have an argument. */
const readAlone =
  (verb: 'DATA' | 'RSET' | 'QUIT' | 'STARTTLS'): Reader =>
  (argument) =>
    argument === '' ? parsed({ verb }) : unparsed('no argument is expected');

/** RFC 5321 §4.1.1.7 to §4.1.1.9: the verb may have an argument, which changes nothing here. */
const readAny =
  (verb: 'NOOP' | 'HELP'): Reader =>
  () =>
    parsed({ verb });

const readNamed =
  (verb: 'VRFY' | 'EXPN'): Reader =>
  (argument) =>
    argument === '' ? unparsed('a name is expected') : parsed({ verb });

/**
 * Deviation: RFC 5321 §4.1.1.1 wants a domain or an address literal; any one word will do, because the name decides nothing
 * here and clients on unconfigured hosts send what they have.
 */
const readHello =
  (verb: 'EHLO' | 'HELO' | 'LHLO'): Reader =>
  (argument) => {
    if (argument === '') return unparsed('the name of the client is missing');
    return /[ \t]/.test(argument) ? unparsed('one name is expected') : parsed({ verb, domain: argument });
  };

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['EHLO', readHello('EHLO')],
  ['HELO', readHello('HELO')],
  ['LHLO', readHello('LHLO')],
  ['MAIL', readMail],
  ['RCPT', readRecipient],
  ['BDAT', readChunk],
  ['AUTH', readAuth],
  ['DATA', readAlone('DATA')],
  ['RSET', readAlone('RSET')],
  ['QUIT', readAlone('QUIT')],
  ['STARTTLS', readAlone('STARTTLS')],
  ['NOOP', readAny('NOOP')],
  ['HELP', readAny('HELP')],
  ['VRFY', readNamed('VRFY')],
  ['EXPN', readNamed('EXPN')],
]);

function readMail(argument: string): Parsed<Command> {
  const read = readPath('FROM', argument);
  if (!read.ok) return read;
  const path = parseReversePath(read.value.path);
  return path.ok ? parsed({ verb: 'MAIL', path: path.value, parameters: read.value.parameters }) : path;
}

function readRecipient(argument: string): Parsed<Command> {
  const read = readPath('TO', argument);
  if (!read.ok) return read;
  const path = parseMailbox(read.value.path);
  return path.ok ? parsed({ verb: 'RCPT', path: path.value, parameters: read.value.parameters }) : path;
}

/** RFC 3030 §2. 15 digits, because the sum of two such numbers is still exact. */
function readChunk(argument: string): Parsed<Command> {
  const read = /^(\d{1,15})([ \t]+LAST)?$/i.exec(argument);
  if (!read) return unparsed('a number of octets is expected, and LAST or nothing after it');
  return parsed({ verb: 'BDAT', octets: Number(read[1]), last: read[2] !== undefined });
}

/** RFC 4954 §4 */
function readAuth(argument: string): Parsed<Command> {
  const [mechanism = '', initial = null, ...more] = argument.split(/[ \t]+/);
  if (!MECHANISM.test(mechanism)) return unparsed('the name of a mechanism is expected');
  if (more.length > 0) return unparsed('one initial response is expected');
  return parsed({ verb: 'AUTH', mechanism: mechanism.toUpperCase(), initial });
}

/**
 * Reads `FROM:<path> parameters`. The path ends at the first `>` outside a quoted-string.
 * Deviation: blanks before the path and a path without angle brackets are accepted (RFC 5321 §3.3 forbids both),
 * because programs that speak to `sendmail -bs` send them and nothing else can be meant.
 */
function readPath(word: string, argument: string): Parsed<{ readonly path: string; readonly parameters: readonly Parameter[] }> {
  if (argument.slice(0, word.length + 1).toUpperCase() !== `${word}:`) return unparsed(`"${word}:<address>" is expected`);
  const rest = argument.slice(word.length + 1).replace(BLANK, '');
  if (rest === '') return unparsed('the address is missing');
  const end = endOfPath(rest);
  if (end < 0) return unparsed('the address is not closed by ">"');
  const after = rest.slice(end);
  if (after !== '' && !/^[ \t]/.test(after)) return unparsed('a blank is expected after the address');
  const parameters: Parameter[] = [];
  const seen = new Set<string>();
  for (const item of after.split(/[ \t]+/).filter((text) => text !== '')) {
    const parameter = readParameter(item);
    if (!parameter.ok) return parameter;
    const { keyword } = parameter.value;
    if (seen.has(keyword)) return unparsed(`the parameter ${keyword} is given twice`);
    seen.add(keyword);
    parameters.push(parameter.value);
  }
  return parsed({ path: rest.slice(0, end), parameters });
}

function readParameter(item: string): Parsed<Parameter> {
  const equals = item.indexOf('=');
  const keyword = (equals < 0 ? item : item.slice(0, equals)).toUpperCase();
  const value = equals < 0 ? null : item.slice(equals + 1);
  return KEYWORD.test(keyword) && (value === null || VALUE.test(value))
    ? parsed({ keyword, value })
    : unparsed(`"${printable(item, 100)}" is not a parameter`);
}

function endOfPath(text: string): number {
  const isBracketed = text.startsWith('<');
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') isQuoted = !isQuoted;
    else if (isQuoted && c === '\\') i++;
    else if (!isQuoted && isBracketed && c === '>') return i + 1;
    else if (!isQuoted && !isBracketed && (c === ' ' || c === '\t')) return i;
  }
  return isBracketed ? -1 : text.length;
}

/** The value of a parameter; null when it has none, undefined when the client did not give it. */
export function parameterOf(parameters: readonly Parameter[], keyword: string): string | null | undefined {
  return parameters.find((parameter) => parameter.keyword === keyword)?.value;
}
