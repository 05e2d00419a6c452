/**
 * The server's protocol machine: what to answer after what was heard (RFC 5321 §4.3), for SMTP and LMTP. It settles what
 * the protocol settles and asks its owner about the rest: senders, recipients, credentials, content. Pure: no
 * socket, no clock, no octet of the content. Octets are cut into its events by `input.ts`.
 *
 * Rules of this file: every arm returns the next state; nothing is read on while a question is open.
 */

import { LONGEST_REPLY_TEXT_SENT } from '../limits.ts';
import { lineOf } from '../line.ts';
import { never } from '../parsed.ts';
import { type ForwardPath, isAsciiMailbox, type ReversePath } from '../path.ts';
import { digit, type EnhancedStatus, type Reply } from '../reply.ts';
import { fromBase64, fromUtf8, textOf, utf8 } from '../text.ts';
import type { ReceivedContent } from './content.ts';
import { type Command, type Parameter, parameterOf, parseCommand } from './parse.ts';

/** What a server is and offers, fixed before a client connects. */
export interface Receiving {
  readonly protocol: 'smtp' | 'lmtp';
  /** In greeting and answers. */
  readonly hostname: string;
  /**
   * Keywords with their parameters as EHLO shows them, e.g. `PIPELINING`, `LIMITS RCPTMAX=20` (which is then enforced).
   * `SIZE` stands alone: `sizeLimit` is its parameter. STARTTLS and AUTH follow from `tls` and `mechanisms`.
   */
  readonly extensions: readonly string[];
  /** 'required': nothing but NOOP, EHLO, STARTTLS and QUIT before TLS. RFC 3207 §4 */
  readonly tls: 'none' | 'offered' | 'required';
  readonly mechanisms: readonly ('PLAIN' | 'LOGIN')[];
  /** No MAIL before AUTH. */
  readonly authRequired: boolean;
  /** AUTH is offered without TLS too. */
  readonly authInClear: boolean;
  /** Octets of content; Infinity: none. */
  readonly sizeLimit: number;
  /** Content with a lone CR or LF. It never ends the content either way. */
  readonly bareLineEnds: 'accept' | 'refuse';
  /** LF without CR ends a command line: programs that speak to `sendmail -bs` send it. */
  readonly lfEndsCommands: boolean;
  /** MAIL is taken without EHLO or HELO before it. */
  readonly helloOptional: boolean;
  /** Commands refused for what they are, before the session is ended. */
  readonly faultLimit: number;
}

/** The extensions that a plain submission server has. */
export const USUAL_EXTENSIONS: readonly string[] = ['PIPELINING', 'SIZE', '8BITMIME', 'SMTPUTF8', 'DSN', 'CHUNKING', 'ENHANCEDSTATUSCODES'];

/** A server on loopback: no TLS, no authentication, 50 MiB, and no patience for lone line ends. */
export const RECEIVING: Receiving = {
  protocol: 'smtp',
  hostname: 'localhost',
  extensions: USUAL_EXTENSIONS,
  tls: 'none',
  mechanisms: [],
  authRequired: false,
  authInClear: false,
  sizeLimit: 50 * 1024 * 1024,
  bareLineEnds: 'refuse',
  lfEndsCommands: false,
  helloOptional: false,
  // 20: what Postfix calls smtpd_hard_error_limit; a person at a keyboard stays below it.
  faultLimit: 20,
};

/** What the owner is asked. Each question is answered by one verdict before the next is put. */
export type OwnerQuestion =
  | { readonly about: 'connection' }
  | { readonly about: 'credentials'; readonly mechanism: string; readonly user: string; readonly password: string }
  | { readonly about: 'sender'; readonly path: ReversePath; readonly parameters: readonly Parameter[] }
  | { readonly about: 'recipient'; readonly path: ForwardPath; readonly parameters: readonly Parameter[] }
  /** May content come? Asked at DATA and at the first BDAT. Yes is 354. */
  | { readonly about: 'data' }
  /** The content came in whole. */
  | { readonly about: 'content'; readonly facts: ReceivedContent };

/** What is known of the client. */
export interface ServerVisit {
  /** The name it gave in EHLO, HELO or LHLO; null before, and after STARTTLS. */
  readonly hello: string | null;
  readonly secured: boolean;
  /** Who it has authenticated as. */
  readonly user: string | null;
  readonly transaction: Received | null;
  /** Transactions begun. */
  readonly mails: number;
  readonly faults: number;
}

/** A transaction as far as the protocol needs to know it. */
export interface Received {
  readonly binary: boolean;
  readonly smtputf8: boolean;
  readonly recipients: number;
  readonly refused: number;
  /** Of the recipients; kept only where LIMITS RCPTDOMAINMAX is offered. */
  readonly domains: readonly string[];
  /** Octets that came by BDAT; null before the first. */
  readonly chunked: number | null;
  /** A BDAT was refused: only RSET leads on. RFC 3030 §2 */
  readonly failed: boolean;
}

export type ServerState =
  | { readonly at: 'command'; readonly visit: ServerVisit }
  /** The owner has been asked; `chunk` is the BDAT that waits for the answer to 'data'. */
  | { readonly at: 'judging'; readonly visit: ServerVisit; readonly question: OwnerQuestion; readonly chunk: Chunk | null }
  /** The client owes a response of AUTH; `user` is what LOGIN has heard so far. */
  | { readonly at: 'auth'; readonly visit: ServerVisit; readonly mechanism: 'PLAIN' | 'LOGIN'; readonly user: string | null }
  | { readonly at: 'data'; readonly visit: ServerVisit }
  | { readonly at: 'chunk'; readonly visit: ServerVisit; readonly chunk: Chunk; readonly refusal: Reply | null }
  | { readonly at: 'securing'; readonly visit: ServerVisit }
  | { readonly at: 'closed' };

type StateAt<A extends ServerState['at']> = Extract<ServerState, { at: A }>;

interface Chunk {
  readonly octets: number;
  readonly last: boolean;
}

export type ServerEvent =
  /** A line without its end, an octet string. 'long': it was beyond all bounds and is dropped. 'bare': LF alone ended it. */
  | { readonly type: 'line'; readonly line: string; readonly fault: 'none' | 'long' | 'bare' }
  | { readonly type: 'contentEnd'; readonly facts: ReceivedContent }
  | { readonly type: 'chunkEnd' }
  /** null: yes, in the usual words. `each`: LMTP's replies to the content, one for each recipient accepted, in order. */
  | { readonly type: 'verdict'; readonly reply: Reply | null; readonly each: readonly Reply[] }
  | { readonly type: 'secured' }
  | { readonly type: 'timeout' }
  /** The server shuts down. */
  | { readonly type: 'closing' }
  | { readonly type: 'lost' };

export type ServerAction =
  /** Lines as they go out, octet strings without CR LF. */
  | { readonly do: 'reply'; readonly lines: readonly string[] }
  /** `visit`: what is known so far, for the owner. */
  | { readonly do: 'ask'; readonly question: OwnerQuestion; readonly visit: ServerVisit }
  /** Content comes, up to its terminator. */
  | { readonly do: 'readContent' }
  /** That many octets of content come; `keep` is false when they are not wanted. */
  | { readonly do: 'readChunk'; readonly octets: number; readonly keep: boolean }
  /** After the replies before it: all octets that are buffered are dropped, then the handshake begins. */
  | { readonly do: 'startTls' }
  /** The transaction that the owner knows of is over without a verdict. */
  | { readonly do: 'abandon' }
  | { readonly do: 'close' };

export type ServerStep = readonly [ServerState, ...ServerAction[]];

/** A reply in the words of this program: text lines are printed as UTF-8, the enhanced code stands before each (RFC 2034 §4). */
export function makeReply(code: number, enhanced: string, ...texts: readonly string[]): Reply {
  const [status = 0, subject = 0, detail = 0] = enhanced.split('.').map(Number);
  const known: EnhancedStatus | null = enhanced === '' ? null : { class: status, subject, detail };
  return { code, enhanced: known, lines: texts.map((text) => utf8(enhanced === '' ? text : `${enhanced} ${text}`)) };
}

/** A reply as lines for the wire: nothing that a terminal obeys or a log takes for a line end, no line beyond RFC 5321 §4.5.3.1.5. */
export function replyLines({ code, lines }: Reply): readonly string[] {
  const texts = lines.flatMap((line) => folded(utf8(lineOf(textOf(line)))));
  if (texts.length === 0) texts.push('');
  return texts.map((text, i) => `${code}${i === texts.length - 1 ? ' ' : '-'}${text}`.trimEnd());
}

/** Cuts at blanks where there are any, never inside a UTF-8 sequence. */
function folded(text: string): string[] {
  const out: string[] = [];
  let rest = text;
  while (rest.length > LONGEST_REPLY_TEXT_SENT) {
    let end = rest.lastIndexOf(' ', LONGEST_REPLY_TEXT_SENT);
    if (end <= 0) {
      end = LONGEST_REPLY_TEXT_SENT;
      while (end > LONGEST_REPLY_TEXT_SENT - 4 && (rest.charCodeAt(end) & 0xc0) === 0x80) end--;
    }
    out.push(rest.slice(0, end));
    rest = rest.slice(end).replace(/^ /, '');
  }
  return [...out, rest];
}

const UNKNOWN: ServerVisit = { hello: null, secured: false, user: null, transaction: null, mails: 0, faults: 0 };

/** The first step for a client that has connected; `secured` is true where TLS came first. */
export function greet(secured: boolean): ServerStep {
  return ask({ ...UNKNOWN, secured }, { about: 'connection' });
}

/** The next step: a new state and what is to be done, in order. */
export function receive(settings: Receiving, state: ServerState, event: ServerEvent): ServerStep {
  if (state.at === 'closed') return [state];
  switch (event.type) {
    case 'line':
      if (state.at === 'command') return line(settings, state.visit, event.line, event.fault);
      return state.at === 'auth' ? response(settings, state, event.line, event.fault) : unasked(state, 'a line');
    case 'contentEnd':
      return state.at === 'data' ? contentEnded(settings, state.visit, event.facts) : unasked(state, 'the end of the content');
    case 'chunkEnd':
      return state.at === 'chunk' ? chunkEnded(settings, state) : unasked(state, 'the end of a chunk');
    case 'verdict':
      return state.at === 'judging' ? judged(settings, state, event.reply, event.each) : unasked(state, 'a verdict');
    case 'secured':
      return state.at === 'securing' ? [{ at: 'command', visit: { ...state.visit, secured: true } }] : unasked(state, 'a TLS handshake');
    case 'timeout':
      return end(settings, state, makeReply(421, '4.4.2', `${settings.hostname} has waited too long`));
    case 'closing':
      return end(settings, state, makeReply(421, '4.3.2', `${settings.hostname} is closing down`));
    case 'lost':
      return [{ at: 'closed' }, ...abandoned(state.visit), { do: 'close' }];
    /* c8 ignore next 2 */
    default:
      return never(event);
  }
}

/** Calls that make no sense here are bugs of the driver, not of the client. */
function unasked(state: ServerState, what: string): never {
  throw new Error(`bug: ${what} at ${state.at}`);
}

function ask(visit: ServerVisit, question: OwnerQuestion, chunk: Chunk | null = null): ServerStep {
  return [
    { at: 'judging', visit, question, chunk },
    { do: 'ask', question, visit },
  ];
}

/** Where enhanced codes are not offered, the program's own replies go without. */
function say(settings: Receiving, reply: Reply): ServerAction {
  const plain = reply.enhanced !== null && !offers(settings, 'ENHANCEDSTATUSCODES');
  return { do: 'reply', lines: replyLines(plain ? { ...reply, lines: reply.lines.map((text) => text.replace(/^\S+ /, '')) } : reply) };
}

function answer(settings: Receiving, visit: ServerVisit, code: number, enhanced: string, ...texts: string[]): ServerStep {
  return [{ at: 'command', visit }, say(settings, makeReply(code, enhanced, ...texts))];
}

/** Refuses a command for what it is. Too many of these end the session: nobody is listening to the answers. */
function fault(settings: Receiving, visit: ServerVisit, code: number, enhanced: string, text: string): ServerStep {
  return faulted(settings, visit, makeReply(code, enhanced, text));
}

function faulted(settings: Receiving, visit: ServerVisit, reply: Reply): ServerStep {
  const counted: ServerState = { at: 'command', visit: { ...visit, faults: visit.faults + 1 } };
  if (counted.visit.faults < settings.faultLimit) return [counted, say(settings, reply)];
  const [closed, ...actions] = end(settings, counted, makeReply(421, '4.7.0', `${settings.hostname} has had too many errors`));
  return [closed, say(settings, reply), ...actions];
}

/** Says a last reply and closes. In a TLS handshake nothing can be said. */
function end(settings: Receiving, state: Exclude<ServerState, StateAt<'closed'>>, reply: Reply): ServerStep {
  const last = state.at === 'securing' ? [] : [say(settings, reply)];
  return [{ at: 'closed' }, ...abandoned(state.visit), ...last, { do: 'close' }];
}

const abandoned = ({ transaction }: ServerVisit): ServerAction[] => (transaction === null ? [] : [{ do: 'abandon' }]);

const keywordOf = (extension: string): string => (extension.split(' ', 1)[0] as string).toUpperCase();

/** The keywords of a list, read once: every command asks for some. */
const keywords = new WeakMap<readonly string[], ReadonlySet<string>>();

function offers({ extensions }: Receiving, keyword: string): boolean {
  let known = keywords.get(extensions);
  if (known === undefined) {
    known = new Set(extensions.map(keywordOf));
    keywords.set(extensions, known);
  }
  return known.has(keyword);
}

/** A limit that the settings offer by RFC 9422 §4; Infinity where they do not. */
function limit(settings: Receiving, name: string): number {
  if (!offers(settings, 'LIMITS')) return Number.POSITIVE_INFINITY;
  const limits = settings.extensions.filter((extension) => keywordOf(extension) === 'LIMITS').join(' ');
  const read = new RegExp(`\\b${name}=(\\d+)`, 'i').exec(limits);
  return read ? Number(read[1]) : Number.POSITIVE_INFINITY;
}

function mayAuthenticate(settings: Receiving, visit: ServerVisit): boolean {
  return settings.mechanisms.length > 0 && (visit.secured || settings.authInClear);
}

/** Methods of RFC 9110 §9.3, and PATCH. */
const HTTP = /^(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH)(?:[ \t]|$)/i;

function line(settings: Receiving, visit: ServerVisit, text: string, broken: 'none' | 'long' | 'bare'): ServerStep {
  if (broken === 'long') return fault(settings, visit, 500, '5.5.6', 'the line is too long');
  if (broken === 'bare' && !settings.lfEndsCommands) return fault(settings, visit, 500, '5.5.2', 'end a line with CR LF, not with LF');
  // A page in a browser can make it say what stands in the lines that follow.
  if (HTTP.test(text))
    return end(settings, { at: 'command', visit }, makeReply(421, '4.7.0', `${settings.hostname} speaks SMTP, not HTTP`));
  const command = parseCommand(text);
  const open = command.verb === 'NOOP' || command.verb === 'EHLO' || command.verb === 'LHLO' || command.verb === 'QUIT';
  // RFC 3207 §4
  if (settings.tls === 'required' && !visit.secured && !open && command.verb !== 'STARTTLS')
    return refuseUnread(settings, visit, command, 530, '5.7.0', 'say STARTTLS first');
  return obey(settings, visit, command);
}

function obey(settings: Receiving, visit: ServerVisit, command: Command): ServerStep {
  const reply = (code: number, enhanced: string, ...texts: string[]): ServerStep => answer(settings, visit, code, enhanced, ...texts);
  const refuse = (code: number, enhanced: string, text: string): ServerStep => fault(settings, visit, code, enhanced, text);
  switch (command.verb) {
    case 'EHLO':
    case 'HELO':
    case 'LHLO':
      return hello(settings, visit, command.verb, command.domain);
    case 'MAIL':
      return mail(settings, visit, command.path, command.parameters);
    case 'RCPT':
      return recipient(settings, visit, command.path, command.parameters);
    case 'DATA':
      return data(settings, visit);
    case 'BDAT':
      return chunk(settings, visit, command);
    case 'RSET':
      return [
        { at: 'command', visit: { ...visit, transaction: null } },
        ...abandoned(visit),
        say(settings, makeReply(250, '2.0.0', 'reset')),
      ];
    case 'NOOP':
      return reply(250, '2.0.0', 'nothing done');
    case 'HELP':
      return reply(214, '2.0.0', 'RFC 5321 says how to talk to this server');
    case 'VRFY':
      // RFC 5321 §3.5.3: neither yes nor no.
      return reply(252, '2.1.5', 'send a message and see');
    case 'EXPN':
      return refuse(502, '5.5.1', 'EXPN is not offered');
    case 'STARTTLS':
      return startTls(settings, visit);
    case 'AUTH':
      return authenticate(settings, visit, command.mechanism, command.initial);
    case 'QUIT':
      return end(settings, { at: 'command', visit }, makeReply(221, '2.0.0', `${settings.hostname} says goodbye`));
    case 'malformed':
      return refuseUnread(
        settings,
        visit,
        command,
        501,
        command.of === 'MAIL' || command.of === 'RCPT' ? '5.1.3' : '5.5.4',
        command.detail,
      );
    case 'unknown':
      return refuse(500, '5.5.1', 'not a command of this server');
    /* c8 ignore next 2 */
    default:
      return never(command);
  }
}

/** Refuses a command. Behind a BDAT come octets that must not be read as commands: without its length, the session ends. */
function refuseUnread(settings: Receiving, visit: ServerVisit, command: Command, code: number, enhanced: string, text: string): ServerStep {
  if (command.verb === 'BDAT') return chunkRefused(visit, command, makeReply(code, enhanced, text));
  return command.verb === 'malformed' && command.of === 'BDAT'
    ? end(settings, { at: 'command', visit }, makeReply(code, enhanced, text))
    : fault(settings, visit, code, enhanced, text);
}

/** RFC 5321 §4.1.1.1 and §4.1.4: also a reset. RFC 2033 §4.1: LMTP has LHLO in place of both. */
function hello(settings: Receiving, visit: ServerVisit, verb: 'EHLO' | 'HELO' | 'LHLO', name: string): ServerStep {
  if ((verb === 'LHLO') !== (settings.protocol === 'lmtp'))
    return fault(settings, visit, 500, '5.5.1', settings.protocol === 'lmtp' ? 'this is LMTP: say LHLO' : 'this is SMTP: say EHLO');
  const greeted: ServerVisit = { ...visit, hello: name, transaction: null };
  const offered = settings.extensions
    // RFC 8689 §4.1: not before TLS.
    .filter((extension) => keywordOf(extension) !== 'REQUIRETLS' || visit.secured)
    .map((extension) =>
      extension.toUpperCase() === 'SIZE' && Number.isFinite(settings.sizeLimit) ? `SIZE ${settings.sizeLimit}` : extension,
    );
  if (settings.tls !== 'none' && !visit.secured) offered.push('STARTTLS');
  if (mayAuthenticate(settings, visit)) offered.push(`AUTH ${settings.mechanisms.join(' ')}`);
  const texts = verb === 'HELO' ? [settings.hostname] : [`${settings.hostname} greets ${name}`, ...offered];
  // RFC 2034 §4: no enhanced codes here.
  return [{ at: 'command', visit: greeted }, ...abandoned(visit), say(settings, makeReply(250, '', ...texts))];
}

/** RFC 3207 §4 */
function startTls(settings: Receiving, visit: ServerVisit): ServerStep {
  if (settings.tls === 'none') return fault(settings, visit, 502, '5.5.1', 'STARTTLS is not offered');
  if (visit.secured) return fault(settings, visit, 503, '5.5.1', 'TLS is in use already');
  // RFC 3207 §4.2: all that the client said before is forgotten.
  return [
    { at: 'securing', visit: { ...UNKNOWN, faults: visit.faults, mails: visit.mails } },
    ...abandoned(visit),
    say(settings, makeReply(220, '2.0.0', 'begin TLS')),
    { do: 'startTls' },
  ];
}

/** RFC 4954 §4 */
function authenticate(settings: Receiving, visit: ServerVisit, mechanism: string, initial: string | null): ServerStep {
  const refuse = (code: number, enhanced: string, text: string): ServerStep => fault(settings, visit, code, enhanced, text);
  if (settings.mechanisms.length === 0) return refuse(502, '5.5.1', 'AUTH is not offered');
  if (!mayAuthenticate(settings, visit)) return refuse(538, '5.7.11', 'AUTH needs TLS: say STARTTLS first');
  if (visit.hello === null && !settings.helloOptional) return refuse(503, '5.5.1', 'say EHLO first');
  if (visit.user !== null) return refuse(503, '5.5.1', 'the session is authenticated already');
  if (visit.transaction !== null) return refuse(503, '5.5.1', 'AUTH may not come inside a transaction');
  const chosen = settings.mechanisms.find((name) => name === mechanism);
  if (chosen === undefined) return refuse(504, '5.5.4', 'the mechanism is not offered');
  const state: StateAt<'auth'> = { at: 'auth', visit, mechanism: chosen, user: null };
  if (initial !== null) return response(settings, state, initial === '=' ? '' : initial, 'none');
  return [state, prompt(chosen === 'PLAIN' ? '' : 'VXNlcm5hbWU6')];
}

/** RFC 4954 §4: a challenge is base64 behind the code. */
const prompt = (challenge: string): ServerAction => ({ do: 'reply', lines: [`334 ${challenge}`] });

function response(settings: Receiving, state: StateAt<'auth'>, text: string, broken: 'none' | 'long' | 'bare'): ServerStep {
  const { visit, mechanism } = state;
  const refuse = (code: number, enhanced: string, sentence: string): ServerStep => fault(settings, visit, code, enhanced, sentence);
  if (broken === 'long') return refuse(500, '5.5.6', 'the response is too long');
  if (broken === 'bare' && !settings.lfEndsCommands) return refuse(500, '5.5.2', 'end a line with CR LF, not with LF');
  if (text === '*') return refuse(501, '5.7.0', 'authentication is cancelled');
  const octets = fromBase64(text);
  const heard = octets === null ? null : fromUtf8(octets);
  if (heard === null) return refuse(501, '5.5.2', 'the response is not base64 of UTF-8 text');
  if (mechanism === 'LOGIN') {
    if (state.user === null) return [{ ...state, user: heard }, prompt('UGFzc3dvcmQ6')];
    return ask(visit, { about: 'credentials', mechanism, user: state.user, password: heard });
  }
  // RFC 4616 §2: whom to act as, who it is, the password.
  const [, user, password, ...more] = heard.split('\0');
  if (user === undefined || password === undefined || more.length > 0 || user === '')
    return refuse(501, '5.5.2', 'the response is not one of PLAIN');
  return ask(visit, { about: 'credentials', mechanism, user, password });
}

interface ParameterRule {
  readonly on: 'MAIL' | 'RCPT';
  /** The extension it comes with. */
  readonly of: string;
  /** What the value must look like; null: no value. */
  readonly value: RegExp | null;
}

/** RFC 3461 §4 */
const XTEXT = '(?:[!-*,-<>-~]|\\+[0-9A-F]{2})';
// biome-ignore format: a table is read as a table
const PARAMETERS: ReadonlyMap<string, ParameterRule> = new Map<string, ParameterRule>([
  ['SIZE',        { on: 'MAIL', of: 'SIZE',          value: /^\d{1,20}$/ }],                              // RFC 1870 §3
  ['BODY',        { on: 'MAIL', of: '8BITMIME',      value: /^(7BIT|8BITMIME|BINARYMIME)$/i }],           // RFC 6152 §3
  ['SMTPUTF8',    { on: 'MAIL', of: 'SMTPUTF8',      value: null }],                                      // RFC 6531 §3.4
  ['RET',         { on: 'MAIL', of: 'DSN',           value: /^(FULL|HDRS)$/i }],                           // RFC 3461 §4.3
  ['ENVID',       { on: 'MAIL', of: 'DSN',           value: new RegExp(`^${XTEXT}{1,100}$`) }],           // RFC 3461 §4.4
  ['AUTH',        { on: 'MAIL', of: 'AUTH',          value: new RegExp(`^(<>|${XTEXT}+)$`) }],            // RFC 4954 §5
  ['REQUIRETLS',  { on: 'MAIL', of: 'REQUIRETLS',    value: null }],                                      // RFC 8689 §4.1
  ['MT-PRIORITY', { on: 'MAIL', of: 'MT-PRIORITY',   value: /^-?\d$/ }],                                  // RFC 6710 §4
  ['BY',          { on: 'MAIL', of: 'DELIVERBY',     value: /^-?\d{1,9};[RN]T?$/i }],                     // RFC 2852 §4
  ['HOLDFOR',     { on: 'MAIL', of: 'FUTURERELEASE', value: /^\d{1,9}$/ }],                               // RFC 4865 §5
  ['HOLDUNTIL',   { on: 'MAIL', of: 'FUTURERELEASE', value: /^[0-9T:.+Z-]+$/i }],                         // RFC 4865 §5
  ['SOLICIT',     { on: 'MAIL', of: 'NO-SOLICITING', value: /^[A-Za-z0-9.:,_-]+$/ }],                     // RFC 3865 §4
  ['NOTIFY',      { on: 'RCPT', of: 'DSN',           value: /^(NEVER|(SUCCESS|FAILURE|DELAY)(,(SUCCESS|FAILURE|DELAY)){0,2})$/i }], // RFC 3461 §4.1
  ['ORCPT',       { on: 'RCPT', of: 'DSN',           value: /^[A-Za-z0-9-]+;[^=]+$/ }],                   // RFC 3461 §4.2
]);

/** The first parameter that may not stand here, as a refusal; null when all are in order. RFC 5321 §4.1.1.11 */
function parameterRefusal(settings: Receiving, on: 'MAIL' | 'RCPT', parameters: readonly Parameter[]): Reply | null {
  for (const { keyword, value } of parameters) {
    const rule = PARAMETERS.get(keyword);
    const offered = rule?.of === 'AUTH' ? settings.mechanisms.length > 0 : rule !== undefined && offers(settings, rule.of);
    if (rule?.on !== on || !offered) return makeReply(555, '5.5.4', `the parameter ${keyword} is not offered`);
    const right = rule.value === null ? value === null : value !== null && rule.value.test(value);
    if (!right) return makeReply(501, '5.5.4', `the value of ${keyword} is wrong`);
  }
  return null;
}

function mail(settings: Receiving, visit: ServerVisit, path: ReversePath, parameters: readonly Parameter[]): ServerStep {
  const refuse = (code: number, enhanced: string, text: string): ServerStep => fault(settings, visit, code, enhanced, text);
  if (visit.hello === null && !settings.helloOptional)
    return refuse(503, '5.5.1', `say ${settings.protocol === 'lmtp' ? 'LHLO' : 'EHLO or HELO'} first`);
  // RFC 4954 §6
  if (settings.authRequired && visit.user === null) return refuse(530, '5.7.0', 'authentication is required');
  if (visit.transaction !== null) return refuse(503, '5.5.1', 'a transaction is open already');
  const refusal = parameterRefusal(settings, 'MAIL', parameters);
  if (refusal) return faulted(settings, visit, refusal);
  const most = limit(settings, 'MAILMAX');
  if (visit.mails >= most) return end(settings, { at: 'command', visit }, makeReply(421, '4.7.0', `one session takes ${most} messages`));
  // RFC 1870 §6.1
  if (Number(parameterOf(parameters, 'SIZE') ?? 0) > settings.sizeLimit)
    return answer(settings, visit, 552, '5.3.4', `a message may have ${settings.sizeLimit} octets`);
  const binary = parameterOf(parameters, 'BODY')?.toUpperCase() === 'BINARYMIME';
  if (binary && !offers(settings, 'BINARYMIME')) return refuse(501, '5.5.4', 'BINARYMIME is not offered');
  const smtputf8 = parameterOf(parameters, 'SMTPUTF8') !== undefined;
  // RFC 6531 §3.5
  if (path !== null && !isAsciiMailbox(path) && !smtputf8) return refuse(553, '5.6.7', 'an address that is not ASCII needs SMTPUTF8');
  const transaction: Received = { binary, smtputf8, recipients: 0, refused: 0, domains: [], chunked: null, failed: false };
  return ask({ ...visit, mails: visit.mails + 1, transaction }, { about: 'sender', path, parameters });
}

/** A pipelining client sends all its RCPT before it hears that MAIL was refused (RFC 2920 §3.1), so none counts as a fault. */
function recipient(settings: Receiving, visit: ServerVisit, path: ForwardPath, parameters: readonly Parameter[]): ServerStep {
  const { transaction } = visit;
  if (transaction === null) return answer(settings, visit, 503, '5.5.1', 'say MAIL first');
  if (transaction.chunked !== null) return answer(settings, visit, 503, '5.5.1', 'the content has begun');
  const refuse = (reply: Reply): ServerStep => [
    { at: 'command', visit: { ...visit, transaction: { ...transaction, refused: transaction.refused + 1 } } },
    say(settings, reply),
  ];
  const refusal = parameterRefusal(settings, 'RCPT', parameters);
  if (refusal) return refuse(refusal);
  if (!isAsciiMailbox(path) && !transaction.smtputf8) return refuse(makeReply(553, '5.6.7', 'an address that is not ASCII needs SMTPUTF8'));
  // RFC 5321 §4.5.3.1.10
  const most = limit(settings, 'RCPTMAX');
  if (transaction.recipients >= most) return refuse(makeReply(452, '4.5.3', `a message may have ${most} recipients`));
  const domain = path.domain.toLowerCase();
  const width = limit(settings, 'RCPTDOMAINMAX');
  if (transaction.domains.length >= width && !transaction.domains.includes(domain))
    return refuse(makeReply(452, '4.5.3', `the recipients of a message may have ${width} domains`));
  return ask(visit, { about: 'recipient', path, parameters });
}

/** Why content may not come now, as code, enhanced code and text; null when it may. RFC 5321 §4.1.1.4 */
function sequenceRefusal(settings: Receiving, { transaction }: ServerVisit): Reply | null {
  if (transaction === null) return makeReply(503, '5.5.1', 'say MAIL first');
  if (transaction.failed) return makeReply(503, '5.5.1', 'the transaction has failed: say RSET');
  if (transaction.recipients > 0) return null;
  // RFC 2033 §4.2 wants 503 of LMTP in either case.
  return transaction.refused > 0 && settings.protocol === 'smtp'
    ? makeReply(554, '5.5.1', 'no recipient was accepted')
    : makeReply(503, '5.5.1', 'no recipient is known: say RCPT first');
}

function data(settings: Receiving, visit: ServerVisit): ServerStep {
  const refusal = sequenceRefusal(settings, visit);
  if (refusal) return [{ at: 'command', visit }, say(settings, refusal)];
  // RFC 3030 §2 and §3
  if (visit.transaction?.chunked !== null) return fault(settings, visit, 503, '5.5.1', 'DATA may not follow BDAT');
  if (visit.transaction.binary) return fault(settings, visit, 503, '5.5.1', 'BINARYMIME needs BDAT');
  return ask(visit, { about: 'data' });
}

/** RFC 3030 §2: the octets of a refused BDAT are read all the same. */
function chunk(settings: Receiving, visit: ServerVisit, { octets, last }: Chunk): ServerStep {
  // A client that sends what was not offered cannot be trusted to be in step.
  if (!offers(settings, 'CHUNKING')) return end(settings, { at: 'command', visit }, makeReply(502, '5.5.1', 'CHUNKING is not offered'));
  const refusal = sequenceRefusal(settings, visit);
  if (refusal) return chunkRefused(visit, { octets, last }, refusal);
  const transaction = visit.transaction as Received;
  const before = transaction.chunked ?? 0;
  if (before + octets > settings.sizeLimit)
    return chunkRefused(visit, { octets, last }, makeReply(552, '5.3.4', `a message may have ${settings.sizeLimit} octets`));
  const counted: ServerVisit = { ...visit, transaction: { ...transaction, chunked: before + octets } };
  return transaction.chunked === null ? ask(counted, { about: 'data' }, { octets, last }) : readChunk(counted, { octets, last }, null);
}

function chunkRefused(visit: ServerVisit, { octets, last }: Chunk, refusal: Reply): ServerStep {
  const failed = visit.transaction === null ? null : { ...visit.transaction, failed: true };
  return readChunk({ ...visit, transaction: failed }, { octets, last }, refusal);
}

function readChunk(visit: ServerVisit, { octets, last }: Chunk, refusal: Reply | null): ServerStep {
  return [
    { at: 'chunk', visit, chunk: { octets, last }, refusal },
    { do: 'readChunk', octets, keep: refusal === null },
  ];
}

function chunkEnded(settings: Receiving, { visit, chunk: { octets, last }, refusal }: StateAt<'chunk'>): ServerStep {
  if (refusal) return [{ at: 'command', visit }, say(settings, refusal)];
  if (!last) return answer(settings, visit, 250, '2.0.0', `${octets} octets taken`);
  const total = visit.transaction?.chunked as number;
  return ask(visit, { about: 'content', facts: { octets: total, bare: 0 } });
}

function contentEnded(settings: Receiving, visit: ServerVisit, facts: ReceivedContent): ServerStep {
  const refused = (reply: Reply): ServerStep => [
    { at: 'command', visit: { ...visit, transaction: null } },
    ...abandoned(visit),
    ...finalReplies(settings, visit, reply, []),
  ];
  if (facts.octets > settings.sizeLimit) return refused(makeReply(552, '5.3.4', `a message may have ${settings.sizeLimit} octets`));
  if (facts.bare > 0 && settings.bareLineEnds === 'refuse')
    return refused(makeReply(550, '5.6.0', 'bare LF or CR in the content: lines end with CR LF, nothing else'));
  return ask(visit, { about: 'content', facts });
}

/** One reply, or in LMTP one for each recipient accepted. RFC 2033 §4.2 */
function finalReplies(settings: Receiving, { transaction }: ServerVisit, reply: Reply, each: readonly Reply[]): ServerAction[] {
  if (settings.protocol === 'smtp') return [say(settings, reply)];
  return Array.from({ length: (transaction as Received).recipients }, (_, i) => say(settings, each[i] ?? reply));
}

/** The usual words for yes. Made once: a receiver that is measured says little else. */
const CONSENT: Readonly<Record<Exclude<OwnerQuestion['about'], 'connection'>, Reply>> = {
  credentials: makeReply(235, '2.7.0', 'authenticated'),
  sender: makeReply(250, '2.1.0', 'sender accepted'),
  recipient: makeReply(250, '2.1.5', 'recipient accepted'),
  data: makeReply(354, '', 'send the content, and "." on a line of its own at its end'),
  content: makeReply(250, '2.0.0', 'message accepted'),
};

const greeting = ({ hostname, protocol }: Receiving): Reply =>
  makeReply(220, '', `${hostname} ${protocol === 'lmtp' ? 'LMTP' : 'ESMTP'} nospool`);

function judged(settings: Receiving, state: StateAt<'judging'>, verdict: Reply | null, each: readonly Reply[]): ServerStep {
  const { visit, question } = state;
  const reply = verdict ?? (question.about === 'connection' ? greeting(settings) : CONSENT[question.about]);
  const accepted = digit(reply) === (question.about === 'data' ? 3 : 2);
  // RFC 5321 §3.8: 421 is the last word. A refused sender and a refused content leave nothing to abandon.
  const settled = question.about === 'sender' || question.about === 'content';
  if (reply.code === 421) return end(settings, { at: 'command', visit: settled ? { ...visit, transaction: null } : visit }, reply);
  const on = (next: ServerVisit): ServerStep => [{ at: 'command', visit: next }, say(settings, reply)];
  switch (question.about) {
    case 'connection':
      // Deviation: RFC 5321 §3.1 lets the client say QUIT after 554; closing at once spares both a round trip.
      return accepted ? on(visit) : end(settings, state, reply);
    case 'credentials':
      return accepted ? on({ ...visit, user: question.user }) : faulted(settings, visit, reply);
    case 'sender':
      return on(accepted ? visit : { ...visit, transaction: null });
    case 'recipient': {
      const transaction = visit.transaction as Received;
      const domain = question.path.domain.toLowerCase();
      const tracked = Number.isFinite(limit(settings, 'RCPTDOMAINMAX')) && !transaction.domains.includes(domain);
      const domains = tracked ? [...transaction.domains, domain] : transaction.domains;
      return accepted
        ? on({ ...visit, transaction: { ...transaction, recipients: transaction.recipients + 1, domains } })
        : on({ ...visit, transaction: { ...transaction, refused: transaction.refused + 1 } });
    }
    case 'data':
      if (state.chunk) return accepted ? readChunk(visit, state.chunk, null) : chunkRefused(visit, state.chunk, reply);
      return accepted ? [{ at: 'data', visit }, say(settings, reply), { do: 'readContent' }] : on(visit);
    case 'content':
      return [{ at: 'command', visit: { ...visit, transaction: null } }, ...finalReplies(settings, visit, reply, each)];
    /* c8 ignore next 2 */
    default:
      return never(question);
  }
}
