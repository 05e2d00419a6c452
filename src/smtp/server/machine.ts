/**
 * The server's protocol machine decides what to answer after what it has heard (RFC 5321 §4.3), for SMTP and LMTP. It settles
 * what the protocol settles and asks its owner about the rest: senders, recipients, credentials, content. `input.ts` cuts
 * octets into its events. Knows no socket, no clock, and no octet of the content.
 *
 * Rules of this file: every arm returns the next state; while a question is open, nothing more is heard.
 */

import { never } from '../parsed.ts';
import { type ForwardPath, isAsciiMailbox, type ReversePath } from '../path.ts';
import { digit, type Reply } from '../reply.ts';
import { fromBase64, fromUtf8 } from '../text.ts';
import { makeReply, replyLines } from './answers.ts';
import type { ReceivedContent } from './content.ts';
import { parameterRefusal } from './parameters.ts';
import { type Command, type Parameter, parameterOf, parseCommand } from './parse.ts';

/** The terms of a server and its offers. They are fixed before a client connects. */
export interface Receiving {
  readonly protocol: 'smtp' | 'lmtp';
  /** The name that the server gives itself in greeting and answers. */
  readonly hostname: string;
  /**
   * Keywords with their parameters as EHLO shows them, e.g. `PIPELINING`, `LIMITS RCPTMAX=20` (which the server then enforces).
   * `SIZE` stands alone, because `sizeLimit` is its parameter. STARTTLS and AUTH follow from `tls` and `mechanisms`.
   */
  readonly extensions: readonly string[];
  /** 'required': before TLS the server takes only NOOP, EHLO, STARTTLS and QUIT. RFC 3207 §4 */
  readonly tls: 'none' | 'offered' | 'required';
  readonly mechanisms: readonly ('PLAIN' | 'LOGIN')[];
  /** The server takes no MAIL before AUTH. */
  readonly authRequired: boolean;
  /** The server offers AUTH without TLS, too. */
  readonly authInClear: boolean;
  /** Octets that the content may have; Infinity means no limit. */
  readonly sizeLimit: number;
  /** Whether content may hold a lone CR or LF. Neither ever ends it. */
  readonly bareLineEnds: 'accept' | 'refuse';
  /** LF without CR ends a command line, because programs that speak to `sendmail -bs` send it. */
  readonly lfEndsCommands: boolean;
  /** The server takes MAIL without EHLO or HELO before it. */
  readonly helloOptional: boolean;
  /** The server ends the session when it has refused so many commands for what they are. */
  readonly faultLimit: number;
}

/** The extensions that a plain submission server has. */
export const USUAL_EXTENSIONS: readonly string[] = ['PIPELINING', 'SIZE', '8BITMIME', 'SMTPUTF8', 'DSN', 'CHUNKING', 'ENHANCEDSTATUSCODES'];

/** A server on loopback, without TLS and authentication; it takes 50 MiB and refuses lone CR and LF. */
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

/** A transaction as far as the protocol needs to know it. */
export interface Received {
  readonly binary: boolean;
  readonly smtputf8: boolean;
  readonly recipients: number;
  readonly refused: number;
  /** The domains of the recipients; the server keeps them only where it offers LIMITS RCPTDOMAINMAX. */
  readonly domains: readonly string[];
  /** Octets that came by BDAT; null before the first. */
  readonly chunked: number | null;
  /** The server refused a BDAT, so only RSET leads on. RFC 3030 §2 */
  readonly failed: boolean;
}

/** A block of BDAT. RFC 3030 §2 */
export interface Chunk {
  readonly octets: number;
  readonly last: boolean;
}

/** The machine asks its owner one question at a time. Each carries the transaction that it is about. */
export type OwnerQuestion =
  | { readonly about: 'connection' }
  | { readonly about: 'credentials'; readonly mechanism: string; readonly user: string; readonly password: string }
  | { readonly about: 'sender'; readonly path: ReversePath; readonly parameters: readonly Parameter[]; readonly transaction: Received }
  | { readonly about: 'recipient'; readonly path: ForwardPath; readonly parameters: readonly Parameter[]; readonly transaction: Received }
  /** May content come? The machine asks at DATA and at the first BDAT, whose `chunk` waits for the answer. Yes is 354. */
  | { readonly about: 'data'; readonly transaction: Received; readonly chunk: Chunk | null }
  /** The content came in whole. */
  | { readonly about: 'content'; readonly facts: ReceivedContent; readonly transaction: Received };

/** The facts about the client that outlive a transaction. */
export interface ServerVisit {
  /** The name that the client gave in EHLO, HELO or LHLO; null before, and after STARTTLS. */
  readonly hello: string | null;
  readonly secured: boolean;
  /** The user that the client has authenticated as. */
  readonly user: string | null;
  /** How many transactions the client has begun. */
  readonly mails: number;
  readonly faults: number;
}

/** Where a session stands, with what is needed there. */
export type ServerState =
  | { readonly at: 'command'; readonly visit: ServerVisit; readonly transaction: Received | null }
  | { readonly at: 'judging'; readonly visit: ServerVisit; readonly question: OwnerQuestion }
  /** The client owes a response of AUTH; `user` is what LOGIN has heard so far. */
  | { readonly at: 'auth'; readonly visit: ServerVisit; readonly mechanism: 'PLAIN' | 'LOGIN'; readonly user: string | null }
  | { readonly at: 'data'; readonly visit: ServerVisit; readonly transaction: Received }
  /** The octets of a BDAT come; `total` counts those of the content so far, with this chunk. */
  | {
      readonly at: 'chunk';
      readonly visit: ServerVisit;
      readonly chunk: Chunk;
      readonly transaction: Received;
      readonly total: number;
      readonly refusal: null;
    }
  | {
      readonly at: 'chunk';
      readonly visit: ServerVisit;
      readonly chunk: Chunk;
      readonly transaction: Received | null;
      readonly refusal: Reply;
    }
  | { readonly at: 'securing'; readonly visit: ServerVisit }
  | { readonly at: 'closed' };

type StateAt<A extends ServerState['at']> = Extract<ServerState, { at: A }>;
type Commanding = StateAt<'command'>;
/** What is wrong with a line's end. */
export type Broken = 'none' | 'long' | 'bare';

/** What has happened to a session. */
export type ServerEvent =
  /**
   * A line without its end, an octet string. 'long': it was beyond all bounds, and nothing of it is here. 'bare': LF alone
   * ended it.
   */
  | { readonly type: 'line'; readonly line: string; readonly fault: Broken }
  | { readonly type: 'contentEnd'; readonly facts: ReceivedContent }
  | { readonly type: 'chunkEnd' }
  /**
   * The owner's answer; null is yes, in the usual words. `each` has LMTP's replies to the content, one for each accepted
   * recipient, in order.
   */
  | { readonly type: 'verdict'; readonly reply: Reply | null; readonly each: readonly Reply[] }
  | { readonly type: 'secured' }
  | { readonly type: 'timeout' }
  /** The server shuts down. */
  | { readonly type: 'closing' }
  | { readonly type: 'lost' };

/** What the driver must do. */
export type ServerAction =
  /** Lines as they go out, octet strings without CR LF. */
  | { readonly do: 'reply'; readonly code: number; readonly lines: readonly string[] }
  /** `visit` tells the owner who the client is. */
  | { readonly do: 'ask'; readonly question: OwnerQuestion; readonly visit: ServerVisit }
  /** Content comes, up to its terminator. */
  | { readonly do: 'readContent' }
  /** That many octets of content come; `keep` is false when nobody wants them. */
  | { readonly do: 'readChunk'; readonly octets: number; readonly keep: boolean }
  /** After the replies before it, drop all octets that are buffered, then begin the handshake. */
  | { readonly do: 'startTls' }
  /** The transaction that the owner knows of is over without a verdict. */
  | { readonly do: 'abandon' }
  | { readonly do: 'close' };

/** The next state, and what to do, in order. */
export type ServerStep = readonly [ServerState, ...ServerAction[]];

const UNKNOWN: ServerVisit = { hello: null, secured: false, user: null, mails: 0, faults: 0 };

/** Takes the first step for a client that has connected; `secured` is true where TLS came first. */
export function greet(secured: boolean): ServerStep {
  return askOwner({ ...UNKNOWN, secured }, { about: 'connection' });
}

/** Takes the next step: a new state, and what the driver does, in order. */
export function receive(settings: Receiving, state: ServerState, event: ServerEvent): ServerStep {
  if (state.at === 'closed') return [state];
  switch (event.type) {
    case 'line':
      if (state.at === 'command') return hearCommand(settings, state, event.line, event.fault);
      return state.at === 'auth' ? hearResponse(settings, state, event.line, event.fault) : throwUnasked(state, 'a line');
    case 'contentEnd':
      return state.at === 'data' ? endContent(settings, state, event.facts) : throwUnasked(state, 'the end of the content');
    case 'chunkEnd':
      return state.at === 'chunk' ? endChunk(settings, state) : throwUnasked(state, 'the end of a chunk');
    case 'verdict':
      return state.at === 'judging' ? takeVerdict(settings, state, event.reply, event.each) : throwUnasked(state, 'a verdict');
    case 'secured':
      return state.at === 'securing'
        ? [{ at: 'command', visit: { ...state.visit, secured: true }, transaction: null }]
        : throwUnasked(state, 'a TLS handshake');
    case 'timeout':
      return endSession(settings, state, makeReply(421, '4.4.2', `${settings.hostname} has waited too long`));
    case 'closing':
      return endSession(settings, state, makeReply(421, '4.3.2', `${settings.hostname} is closing down`));
    case 'lost':
      return [{ at: 'closed' }, ...abandon(currentTransaction(state)), { do: 'close' }];
    /* c8 ignore next 2 */
    default:
      return never(event);
  }
}

/** A driver that reports what nobody asked it for has a bug, and the client has not. */
function throwUnasked(state: ServerState, what: string): never {
  throw new Error(`bug: ${what} at ${state.at}`);
}

const askOwner = (visit: ServerVisit, question: OwnerQuestion): ServerStep => [
  { at: 'judging', visit, question },
  { do: 'ask', question, visit },
];

/* ---- answers ---- */

/** Says a reply. Where the server does not offer enhanced codes, the program's own replies go without. */
function sayReply(settings: Receiving, reply: Reply): ServerAction {
  const isPlain = reply.enhanced !== null && !isOffered(settings, 'ENHANCEDSTATUSCODES');
  return {
    do: 'reply',
    code: reply.code,
    lines: replyLines(isPlain ? { ...reply, lines: reply.lines.map((text) => text.replace(/^\S+ /, '')) } : reply),
  };
}

function answer(settings: Receiving, state: Commanding, code: number, enhanced: string, ...texts: string[]): ServerStep {
  return [state, sayReply(settings, makeReply(code, enhanced, ...texts))];
}

/** Refuses a command for what it is. Too many of these end the session, because nobody is listening to the answers. */
function refuseCommand(settings: Receiving, state: Commanding, code: number, enhanced: string, text: string): ServerStep {
  return countFault(settings, state, makeReply(code, enhanced, text));
}

function countFault(settings: Receiving, state: Commanding, reply: Reply): ServerStep {
  const counted: Commanding = { ...state, visit: { ...state.visit, faults: state.visit.faults + 1 } };
  if (counted.visit.faults < settings.faultLimit) return [counted, sayReply(settings, reply)];
  const [closed, ...actions] = endSession(settings, counted, makeReply(421, '4.7.0', `${settings.hostname} has had too many errors`));
  return [closed, sayReply(settings, reply), ...actions];
}

/** Says a last reply and closes. In a TLS handshake nothing can be said. */
function endSession(settings: Receiving, state: Exclude<ServerState, StateAt<'closed'>>, reply: Reply): ServerStep {
  const last = state.at === 'securing' ? [] : [sayReply(settings, reply)];
  return [{ at: 'closed' }, ...abandon(currentTransaction(state)), ...last, { do: 'close' }];
}

/** The transaction that is open in this state. */
function currentTransaction(state: Exclude<ServerState, StateAt<'closed'>>): Received | null {
  if (state.at === 'judging') return 'transaction' in state.question ? state.question.transaction : null;
  return 'transaction' in state ? state.transaction : null;
}

const abandon = (transaction: Received | null): ServerAction[] => (transaction === null ? [] : [{ do: 'abandon' }]);

/* ---- offers ---- */

const keywordOf = (extension: string): string => extension.replace(/ .*/s, '').toUpperCase();

/** The keywords of a list. The machine reads each list once, because every command asks for some. */
const keywords = new WeakMap<readonly string[], ReadonlySet<string>>();

function isOffered({ extensions }: Receiving, keyword: string): boolean {
  let known = keywords.get(extensions);
  if (known === undefined) {
    known = new Set(extensions.map(keywordOf));
    keywords.set(extensions, known);
  }
  return known.has(keyword);
}

/** A parameter comes with its extension, and AUTH= with any mechanism. */
const isParameterOffered = (settings: Receiving) => (extension: string) =>
  extension === 'AUTH' ? settings.mechanisms.length > 0 : isOffered(settings, extension);

/** A limit that the settings offer by RFC 9422 §4; Infinity where they offer none. */
function limitIn(settings: Receiving, name: 'MAILMAX' | 'RCPTMAX' | 'RCPTDOMAINMAX'): number {
  if (!isOffered(settings, 'LIMITS')) return Number.POSITIVE_INFINITY;
  const limits = settings.extensions.filter((extension) => keywordOf(extension) === 'LIMITS').join(' ');
  const read = new RegExp(`\\b${name}=(\\d+)`, 'i').exec(limits);
  return read ? Number(read[1]) : Number.POSITIVE_INFINITY;
}

function mayAuthenticate(settings: Receiving, visit: ServerVisit): boolean {
  return settings.mechanisms.length > 0 && (visit.secured || settings.authInClear);
}

/* ---- commands ---- */

/** Methods of RFC 9110 §9.3, and PATCH. */
const HTTP = /^(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH)(?:[ \t]|$)/i;

function hearCommand(settings: Receiving, state: Commanding, text: string, broken: Broken): ServerStep {
  if (broken === 'long') return refuseCommand(settings, state, 500, '5.5.6', 'the line is too long');
  if (broken === 'bare' && !settings.lfEndsCommands)
    return refuseCommand(settings, state, 500, '5.5.2', 'end a line with CR LF, not with LF');
  // A page in a browser can make it say what stands in the lines that follow.
  if (HTTP.test(text)) return endSession(settings, state, makeReply(421, '4.7.0', `${settings.hostname} speaks SMTP, not HTTP`));
  const command = parseCommand(text);
  const isOpen = command.verb === 'NOOP' || command.verb === 'EHLO' || command.verb === 'LHLO' || command.verb === 'QUIT';
  // RFC 3207 §4
  if (settings.tls === 'required' && !state.visit.secured && !isOpen && command.verb !== 'STARTTLS')
    return refuseUnread(settings, state, command, 530, '5.7.0', 'say STARTTLS first');
  return obey(settings, state, command);
}

function obey(settings: Receiving, state: Commanding, command: Command): ServerStep {
  switch (command.verb) {
    case 'EHLO':
    case 'HELO':
    case 'LHLO':
      return takeHello(settings, state, command.verb, command.domain);
    case 'MAIL':
      return openTransaction(settings, state, command.path, command.parameters);
    case 'RCPT':
      return addRecipient(settings, state, command.path, command.parameters);
    case 'DATA':
      return beginData(settings, state);
    case 'BDAT':
      return beginChunk(settings, state, command);
    case 'RSET':
      return [{ ...state, transaction: null }, ...abandon(state.transaction), sayReply(settings, makeReply(250, '2.0.0', 'reset'))];
    case 'NOOP':
      return answer(settings, state, 250, '2.0.0', 'nothing done');
    case 'HELP':
      return answer(settings, state, 214, '2.0.0', 'RFC 5321 says how to talk to this server');
    case 'VRFY':
      // RFC 5321 §3.5.3: neither yes nor no.
      return answer(settings, state, 252, '2.1.5', 'send a message and see');
    case 'EXPN':
      return refuseCommand(settings, state, 502, '5.5.1', 'EXPN is not offered');
    case 'STARTTLS':
      return startTls(settings, state);
    case 'AUTH':
      return authenticate(settings, state, command.mechanism, command.initial);
    case 'QUIT':
      return endSession(settings, state, makeReply(221, '2.0.0', `${settings.hostname} says goodbye`));
    case 'malformed': {
      // RFC 3463 §3.2: the address of the sender has a code of its own.
      const enhanced = command.of === 'MAIL' ? '5.1.7' : command.of === 'RCPT' ? '5.1.3' : '5.5.4';
      return refuseUnread(settings, state, command, 501, enhanced, command.detail);
    }
    case 'unknown':
      return refuseCommand(settings, state, 500, '5.5.1', 'not a command of this server');
    /* c8 ignore next 2 */
    default:
      return never(command);
  }
}

/**
 * Refuses a command. Behind a BDAT come octets that nobody may read as commands; where its length is not known, the session
 * ends.
 */
function refuseUnread(settings: Receiving, state: Commanding, command: Command, code: number, enhanced: string, text: string): ServerStep {
  if (command.verb === 'BDAT') return refuseChunk(state, command, makeReply(code, enhanced, text));
  return command.verb === 'malformed' && command.of === 'BDAT'
    ? endSession(settings, state, makeReply(code, enhanced, text))
    : refuseCommand(settings, state, code, enhanced, text);
}

/** RFC 5321 §4.1.1.1 and §4.1.4: the greeting resets, too. RFC 2033 §4.1: LMTP has LHLO in place of both. */
function takeHello(settings: Receiving, state: Commanding, verb: 'EHLO' | 'HELO' | 'LHLO', name: string): ServerStep {
  const { visit, transaction } = state;
  if ((verb === 'LHLO') !== (settings.protocol === 'lmtp'))
    return refuseCommand(settings, state, 500, '5.5.1', settings.protocol === 'lmtp' ? 'this is LMTP: say LHLO' : 'this is SMTP: say EHLO');
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
  const reply = makeReply(250, '', ...texts);
  return [{ at: 'command', visit: { ...visit, hello: name }, transaction: null }, ...abandon(transaction), sayReply(settings, reply)];
}

/** RFC 3207 §4 */
function startTls(settings: Receiving, state: Commanding): ServerStep {
  const { visit, transaction } = state;
  if (settings.tls === 'none') return refuseCommand(settings, state, 502, '5.5.1', 'STARTTLS is not offered');
  if (visit.secured) return refuseCommand(settings, state, 503, '5.5.1', 'TLS is in use already');
  // RFC 3207 §4.2: the server forgets all that the client said before.
  return [
    { at: 'securing', visit: { ...UNKNOWN, faults: visit.faults, mails: visit.mails } },
    ...abandon(transaction),
    sayReply(settings, makeReply(220, '2.0.0', 'begin TLS')),
    { do: 'startTls' },
  ];
}

/** RFC 4954 §4 */
function authenticate(settings: Receiving, state: Commanding, mechanism: string, initial: string | null): ServerStep {
  const { visit, transaction } = state;
  if (settings.mechanisms.length === 0) return refuseCommand(settings, state, 502, '5.5.1', 'AUTH is not offered');
  if (!mayAuthenticate(settings, visit)) return refuseCommand(settings, state, 538, '5.7.11', 'AUTH needs TLS: say STARTTLS first');
  if (visit.hello === null && !settings.helloOptional) return refuseCommand(settings, state, 503, '5.5.1', 'say EHLO first');
  if (visit.user !== null) return refuseCommand(settings, state, 503, '5.5.1', 'the session is authenticated already');
  if (transaction !== null) return refuseCommand(settings, state, 503, '5.5.1', 'AUTH may not come inside a transaction');
  const chosen = settings.mechanisms.find((name) => name === mechanism);
  if (chosen === undefined) return refuseCommand(settings, state, 504, '5.5.4', 'the mechanism is not offered');
  const asked: StateAt<'auth'> = { at: 'auth', visit, mechanism: chosen, user: null };
  if (initial !== null) return hearResponse(settings, asked, initial, 'none');
  return [asked, prompt(chosen === 'PLAIN' ? '' : 'VXNlcm5hbWU6')];
}

/** RFC 4954 §4: a challenge is base64 behind the code. */
const prompt = (challenge: string): ServerAction => ({ do: 'reply', code: 334, lines: [`334 ${challenge}`] });

function hearResponse(settings: Receiving, state: StateAt<'auth'>, text: string, broken: Broken): ServerStep {
  const { visit, mechanism } = state;
  const fail = (code: number, enhanced: string, sentence: string): ServerStep =>
    refuseCommand(settings, { at: 'command', visit, transaction: null }, code, enhanced, sentence);
  if (broken === 'long') return fail(500, '5.5.6', 'the response is too long');
  if (broken === 'bare' && !settings.lfEndsCommands) return fail(500, '5.5.2', 'end a line with CR LF, not with LF');
  if (text === '*') return fail(501, '5.7.0', 'authentication is cancelled');
  const octets = fromBase64(text);
  const heard = octets === null ? null : fromUtf8(octets);
  if (heard === null) return fail(501, '5.5.2', 'the response is not base64 of UTF-8 text');
  if (mechanism === 'LOGIN') {
    if (state.user === null) return [{ ...state, user: heard }, prompt('UGFzc3dvcmQ6')];
    return askOwner(visit, { about: 'credentials', mechanism, user: state.user, password: heard });
  }
  // RFC 4616 §2: whom to act as, who it is, the password.
  const [wanted, user, password, ...more] = heard.split('\0');
  if (user === undefined || password === undefined || more.length > 0 || user === '')
    return fail(501, '5.5.2', 'the response is not one of PLAIN');
  if (wanted !== '' && wanted !== user) return fail(535, '5.7.8', 'nobody may act as another user');
  return askOwner(visit, { about: 'credentials', mechanism, user, password });
}

/* ---- envelope ---- */

function openTransaction(settings: Receiving, state: Commanding, path: ReversePath, parameters: readonly Parameter[]): ServerStep {
  const { visit } = state;
  if (visit.hello === null && !settings.helloOptional)
    return refuseCommand(settings, state, 503, '5.5.1', `say ${settings.protocol === 'lmtp' ? 'LHLO' : 'EHLO or HELO'} first`);
  // RFC 4954 §6
  if (settings.authRequired && visit.user === null) return refuseCommand(settings, state, 530, '5.7.0', 'authentication is required');
  if (state.transaction !== null) return refuseCommand(settings, state, 503, '5.5.1', 'a transaction is open already');
  const refusal = parameterRefusal('MAIL', parameters, isParameterOffered(settings));
  if (refusal) return countFault(settings, state, refusal);
  const most = limitIn(settings, 'MAILMAX');
  if (visit.mails >= most) return endSession(settings, state, makeReply(421, '4.7.0', `one session takes ${most} messages`));
  // RFC 1870 §6.1
  if (Number(parameterOf(parameters, 'SIZE') ?? 0) > settings.sizeLimit)
    return answer(settings, state, 552, '5.3.4', `a message may have ${settings.sizeLimit} octets`);
  const binary = parameterOf(parameters, 'BODY')?.toUpperCase() === 'BINARYMIME';
  if (binary && !isOffered(settings, 'BINARYMIME')) return refuseCommand(settings, state, 501, '5.5.4', 'BINARYMIME is not offered');
  const smtputf8 = parameterOf(parameters, 'SMTPUTF8') !== undefined;
  // RFC 6531 §3.5
  if (path !== null && !isAsciiMailbox(path) && !smtputf8)
    return refuseCommand(settings, state, 550, '5.6.7', 'an address that is not ASCII needs SMTPUTF8');
  const transaction: Received = { binary, smtputf8, recipients: 0, refused: 0, domains: [], chunked: null, failed: false };
  return askOwner({ ...visit, mails: visit.mails + 1 }, { about: 'sender', path, parameters, transaction });
}

/** A pipelining client sends all its RCPT before it hears that MAIL was refused (RFC 2920 §3.1), so none counts as a fault. */
function addRecipient(settings: Receiving, state: Commanding, path: ForwardPath, parameters: readonly Parameter[]): ServerStep {
  const { visit, transaction } = state;
  if (transaction === null) return answer(settings, state, 503, '5.5.1', 'say MAIL first');
  if (transaction.chunked !== null) return answer(settings, state, 503, '5.5.1', 'the content has begun');
  const fail = (reply: Reply): ServerStep => [
    { ...state, transaction: { ...transaction, refused: transaction.refused + 1 } },
    sayReply(settings, reply),
  ];
  const refusal = parameterRefusal('RCPT', parameters, isParameterOffered(settings));
  if (refusal) return fail(refusal);
  if (!isAsciiMailbox(path) && !transaction.smtputf8) return fail(makeReply(553, '5.6.7', 'an address that is not ASCII needs SMTPUTF8'));
  // RFC 5321 §4.5.3.1.10
  const most = limitIn(settings, 'RCPTMAX');
  if (transaction.recipients >= most) return fail(makeReply(452, '4.5.3', `a message may have ${most} recipients`));
  const width = limitIn(settings, 'RCPTDOMAINMAX');
  if (transaction.domains.length >= width && !transaction.domains.includes(path.domain.toLowerCase()))
    return fail(makeReply(452, '4.5.3', `the recipients of a message may have ${width} domains`));
  return askOwner(visit, { about: 'recipient', path, parameters, transaction });
}

function countRecipient(settings: Receiving, transaction: Received, path: ForwardPath): Received {
  const domain = path.domain.toLowerCase();
  const isNew = Number.isFinite(limitIn(settings, 'RCPTDOMAINMAX')) && !transaction.domains.includes(domain);
  const domains = isNew ? [...transaction.domains, domain] : transaction.domains;
  return { ...transaction, recipients: transaction.recipients + 1, domains };
}

/* ---- content ---- */

/** The transaction that content may come for, or why it may not come now. RFC 5321 §4.1.1.4 */
function readyForContent(
  { protocol }: Receiving,
  { transaction }: Commanding,
): { readonly transaction: Received } | { readonly refusal: Reply } {
  if (transaction === null) return { refusal: makeReply(503, '5.5.1', 'say MAIL first') };
  if (transaction.failed) return { refusal: makeReply(503, '5.5.1', 'the transaction has failed: say RSET') };
  if (transaction.recipients > 0) return { transaction };
  // RFC 2033 §4.2 wants 503 of LMTP in either case.
  return transaction.refused > 0 && protocol === 'smtp'
    ? { refusal: makeReply(554, '5.5.1', 'no recipient was accepted') }
    : { refusal: makeReply(503, '5.5.1', 'no recipient is known: say RCPT first') };
}

function beginData(settings: Receiving, state: Commanding): ServerStep {
  const ready = readyForContent(settings, state);
  if ('refusal' in ready) return [state, sayReply(settings, ready.refusal)];
  const { transaction } = ready;
  // RFC 3030 §2 and §3
  if (transaction.chunked !== null) return refuseCommand(settings, state, 503, '5.5.1', 'DATA may not follow BDAT');
  if (transaction.binary) return refuseCommand(settings, state, 503, '5.5.1', 'BINARYMIME needs BDAT');
  return askOwner(state.visit, { about: 'data', transaction, chunk: null });
}

/** RFC 3030 §2: the server reads the octets of a refused BDAT all the same. */
function beginChunk(settings: Receiving, state: Commanding, { octets, last }: Chunk): ServerStep {
  const chunk: Chunk = { octets, last };
  // A client that sends what the server did not offer cannot be trusted to be in step.
  if (!isOffered(settings, 'CHUNKING')) return endSession(settings, state, makeReply(502, '5.5.1', 'CHUNKING is not offered'));
  const ready = readyForContent(settings, state);
  if ('refusal' in ready) return refuseChunk(state, chunk, ready.refusal);
  const { transaction } = ready;
  if ((transaction.chunked ?? 0) + octets > settings.sizeLimit)
    return refuseChunk(state, chunk, makeReply(552, '5.3.4', `a message may have ${settings.sizeLimit} octets`));
  return transaction.chunked === null
    ? askOwner(state.visit, { about: 'data', transaction: { ...transaction, chunked: 0 }, chunk })
    : readChunk(state.visit, transaction, transaction.chunked, chunk);
}

const readChunk = (visit: ServerVisit, transaction: Received, before: number, chunk: Chunk): ServerStep => [
  { at: 'chunk', visit, chunk, transaction, total: before + chunk.octets, refusal: null },
  { do: 'readChunk', octets: chunk.octets, keep: true },
];

function refuseChunk(
  { visit, transaction }: Pick<Commanding, 'visit' | 'transaction'>,
  { octets, last }: Chunk,
  refusal: Reply,
): ServerStep {
  return [
    { at: 'chunk', visit, chunk: { octets, last }, transaction: transaction && { ...transaction, failed: true }, refusal },
    { do: 'readChunk', octets, keep: false },
  ];
}

function endChunk(settings: Receiving, state: StateAt<'chunk'>): ServerStep {
  const { visit, chunk } = state;
  if (state.refusal) {
    const { transaction, refusal } = state;
    // Behind LAST an LMTP client waits for as many replies as it has recipients, whatever they are, and for none without one. RFC 2033 §4.3
    const says = chunk.last && transaction ? sayFinal(settings, transaction, refusal, []) : [sayReply(settings, refusal)];
    return [{ at: 'command', visit, transaction }, ...says];
  }
  const transaction: Received = { ...state.transaction, chunked: state.total };
  return chunk.last
    ? askOwner(visit, { about: 'content', facts: { octets: state.total, bare: 0 }, transaction })
    : answer(settings, { at: 'command', visit, transaction }, 250, '2.0.0', `${chunk.octets} octets taken`);
}

function endContent(settings: Receiving, { visit, transaction }: StateAt<'data'>, facts: ReceivedContent): ServerStep {
  const fail = (reply: Reply): ServerStep => [
    { at: 'command', visit, transaction: null },
    ...abandon(transaction),
    ...sayFinal(settings, transaction, reply, []),
  ];
  if (facts.octets > settings.sizeLimit) return fail(makeReply(552, '5.3.4', `a message may have ${settings.sizeLimit} octets`));
  if (facts.bare > 0 && settings.bareLineEnds === 'refuse')
    return fail(makeReply(550, '5.6.0', 'bare LF or CR in the content: lines end with CR LF, nothing else'));
  return askOwner(visit, { about: 'content', facts, transaction });
}

/** Says one reply, or in LMTP one for each accepted recipient. RFC 2033 §4.2 */
function sayFinal(settings: Receiving, { recipients }: Received, reply: Reply, each: readonly Reply[]): ServerAction[] {
  if (settings.protocol === 'smtp') return [sayReply(settings, reply)];
  return Array.from({ length: recipients }, (_, i) => sayReply(settings, each[i] ?? reply));
}

/* ---- verdicts ---- */

/** The usual words for yes. They are made once, because a server under load says little else. */
const CONSENT: Readonly<Record<Exclude<OwnerQuestion['about'], 'connection'>, Reply>> = {
  credentials: makeReply(235, '2.7.0', 'authenticated'),
  sender: makeReply(250, '2.1.0', 'sender accepted'),
  recipient: makeReply(250, '2.1.5', 'recipient accepted'),
  data: makeReply(354, '', 'send the content, and "." on a line of its own at its end'),
  content: makeReply(250, '2.0.0', 'message accepted'),
};

const greeting = ({ hostname, protocol }: Receiving): Reply =>
  makeReply(220, '', `${hostname} ${protocol === 'lmtp' ? 'LMTP' : 'ESMTP'} nospool`);

function takeVerdict(settings: Receiving, state: StateAt<'judging'>, verdict: Reply | null, each: readonly Reply[]): ServerStep {
  const { visit, question } = state;
  const reply = verdict ?? (question.about === 'connection' ? greeting(settings) : CONSENT[question.about]);
  const isAccepted = digit(reply) === (question.about === 'data' ? 3 : 2);
  const goOn = (transaction: Received | null): ServerStep => [{ at: 'command', visit, transaction }, sayReply(settings, reply)];
  // RFC 5321 §3.8: 421 is the last word. A refused sender and a refused content leave nothing to abandon.
  if (reply.code === 421)
    return question.about === 'sender' || question.about === 'content'
      ? endSession(settings, { at: 'command', visit, transaction: null }, reply)
      : endSession(settings, state, reply);
  switch (question.about) {
    case 'connection':
      // Deviation: RFC 5321 §3.1 lets the client say QUIT after 554; closing at once spares both a round trip.
      return isAccepted ? goOn(null) : endSession(settings, state, reply);
    case 'credentials':
      return isAccepted
        ? [{ at: 'command', visit: { ...visit, user: question.user }, transaction: null }, sayReply(settings, reply)]
        : countFault(settings, { at: 'command', visit, transaction: null }, reply);
    case 'sender':
      return goOn(isAccepted ? question.transaction : null);
    case 'recipient': {
      const { transaction, path } = question;
      return goOn(isAccepted ? countRecipient(settings, transaction, path) : { ...transaction, refused: transaction.refused + 1 });
    }
    case 'data': {
      const { transaction, chunk } = question;
      if (chunk) return isAccepted ? readChunk(visit, transaction, 0, chunk) : refuseChunk({ visit, transaction }, chunk, reply);
      return isAccepted ? [{ at: 'data', visit, transaction }, sayReply(settings, reply), { do: 'readContent' }] : goOn(transaction);
    }
    case 'content':
      return [{ at: 'command', visit, transaction: null }, ...sayFinal(settings, question.transaction, reply, each)];
    /* c8 ignore next 2 */
    default:
      return never(question);
  }
}
