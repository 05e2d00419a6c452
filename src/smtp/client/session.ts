/**
 * The client's protocol machine: what to say after what was heard (RFC 5321 §4.3). A session greets, secures,
 * authenticates, and carries transactions one after another. Pure: no socket, no clock, no octet of the message.
 *
 * Rules of this file: every arm returns the next state; a commit action leaves only from `content`, and only when
 * every recipient is accepted, every earlier block is accepted and the input ended cleanly.
 */

import { never, type Parsed, parsed } from '../parsed.ts';
import { printPath } from '../path.ts';
import { digit, printLines, printReply, type Reply } from '../reply.ts';
import { maskedLines, maskedReply } from '../sasl/mask.ts';
import type { Exchange, Mechanism } from '../sasl/sasl.ts';
import { base64, fromBase64 } from '../text.ts';
import { printTimeLimit, type TimeLimit } from '../timeout.ts';
import { type Extensions, mechanismsOf, NO_EXTENSIONS, offers, readExtensions } from './extensions.ts';
import { type Growing, grown, listed, none } from './growing.ts';
import type { Condemned, Phase, Refusal, SessionFailure, SessionOutcome } from './outcome.ts';
import { dropsDsn, helloCommand, mailCommand, mayChunk, type Recipient, rcptCommand, type Transaction, unmetNeed } from './print.ts';

/** What a session wants of any server, fixed before it begins. */
export interface Plan {
  readonly protocol: 'smtp' | 'lmtp';
  /** EHLO argument: a domain or an address literal. */
  readonly hello: string;
  readonly tls: 'implicit' | 'required' | 'opportunistic' | 'off';
  /** Chooses a mechanism among those offered, or says in a sentence why none will do; null: no authentication. */
  readonly authenticate: ((offered: ReadonlySet<string>, secured: boolean) => Mechanism | string) | null;
  /** 'one': QUIT after the first outcome. 'many': RSET where needed, and wait for the next transaction. */
  readonly transactions: 'one' | 'many';
  /** 'data': never BDAT. */
  readonly framing: 'auto' | 'data';
  /** LMTP only: a part of the recipients may be refused. */
  readonly partial: boolean;
  /** EHLO keywords, upper case, that count as not offered: what the server announces and breaks. */
  readonly ignoreExtensions?: readonly string[];
}

/** What is known of the connection once EHLO was answered. */
export interface Channel {
  readonly secured: boolean;
  readonly authenticated: boolean;
  readonly extensions: Extensions;
}

interface Sending {
  readonly channel: Channel;
  readonly transaction: Transaction;
}

/** MAIL, RCPT…, and DATA when it flies along. */
type Envelope = Sending & { readonly commands: readonly string[] };

export type State =
  | { readonly at: 'greeting'; readonly secured: boolean }
  | { readonly at: 'hello'; readonly verb: 'EHLO' | 'HELO' | 'LHLO'; readonly secured: boolean }
  | { readonly at: 'starttls'; readonly channel: Channel }
  | { readonly at: 'handshake'; readonly implicit: boolean }
  | {
      readonly at: 'auth';
      readonly channel: Channel;
      readonly mechanism: string;
      readonly exchange: Exchange;
      readonly steps: number;
      readonly cancelled: string | null;
    }
  | { readonly at: 'ready'; readonly channel: Channel }
  /** Two cursors over the commands: `sent` may run ahead of `answered`. */
  | (Envelope & { readonly at: 'envelope'; readonly sent: number; readonly answered: number; readonly refusals: Growing<Refusal> })
  | (Sending & { readonly at: 'data'; readonly refusals: Growing<Refusal> })
  /**
   * `blocks`: BDAT blocks sent and not answered. `last`: octets of the last block, which waits until all others are accepted
   * and then goes out but for its end.
   */
  | (Sending & { readonly at: 'content'; readonly framing: 'data' | 'bdat'; readonly blocks: number; readonly last: number | null })
  /** `next`: the transaction whose envelope went out behind the terminator; its replies come after the verdict. RFC 2920 §3.1 */
  | (Sending & { readonly at: 'commit'; readonly replies: Growing<Reply>; readonly next: In<'envelope'> | null })
  | { readonly at: 'reset'; readonly channel: Channel }
  | { readonly at: 'quit' }
  | { readonly at: 'closed' };

export type In<A extends Phase> = Extract<State, { at: A }>;

export type Event =
  /** `rest`, here and below: what was heard and belongs to no reply that was given; '' = nothing. */
  | { readonly type: 'reply'; readonly reply: Reply; readonly rest: string }
  | { readonly type: 'malformed'; readonly detail: string; readonly rest: string }
  | { readonly type: 'secured' }
  | { readonly type: 'insecure'; readonly detail: string }
  | { readonly type: 'transaction'; readonly transaction: Transaction }
  /** A block of content for BDAT is at hand; after the `last` one no more follow and the input ended cleanly. */
  | { readonly type: 'block'; readonly octets: number; readonly last: boolean }
  /** All content is written, every write has completed, and one turn of the event loop has let input and signals in. `next` waits for its turn. */
  | { readonly type: 'contentSent'; readonly rest: string; readonly next?: Transaction | undefined }
  | { readonly type: 'contentFailed'; readonly detail: string }
  /** A signal or the deadline. */
  | { readonly type: 'abort'; readonly detail: string }
  | { readonly type: 'lost'; readonly detail: string; readonly rest: string }
  /** `limit`: what was waited, for people. */
  | { readonly type: 'timeout'; readonly rest: string; readonly limit?: TimeLimit }
  | { readonly type: 'quit' };

export type Action =
  | { readonly do: 'send'; readonly lines: readonly string[]; readonly secret: boolean }
  | { readonly do: 'startTls' }
  /** A transaction may be given. */
  | { readonly do: 'ready'; readonly channel: Channel }
  /** Pull content: for 'data' all of it, for 'bdat' the next block. */
  | { readonly do: 'pull'; readonly framing: 'data' | 'bdat'; readonly eightBit: 'pass' | 'convert' | 'refuse' }
  /** Write this line and the block announced last, but for so many octets at its end, which are `held` for the commit. */
  | { readonly do: 'sendBlock'; readonly line: string; readonly held: number }
  /** Report `contentSent` when all writes have completed and the event loop has turned once. */
  | { readonly do: 'flush' }
  /**
   * The last octets of the message, apart from every write before them: this line, or, where it is null, the octets of the last
   * block that were held. Nothing after them moves to another host. `along`: commands of the next transaction, which are
   * no part of this one.
   */
  | { readonly do: 'commit'; readonly line: string | null; readonly along: readonly string[] }
  /** The transaction that waits is under way: its envelope went out with the last commit. */
  | { readonly do: 'next' }
  | { readonly do: 'note'; readonly note: string }
  | { readonly do: 'settle'; readonly outcome: SessionOutcome }
  /** End the connection politely, after what was sent. */
  | { readonly do: 'close' }
  /** End the connection now, without another octet. */
  | { readonly do: 'destroy' };

export type Step = readonly [State, ...Action[]];

type Within = 'greeting' | 'command' | 'handshake' | 'data' | 'block' | 'final' | 'none';
interface StepFacts {
  /** First digit of the reply that leads on; 0: no reply may come here. RFC 5321 §4.3.2 */
  readonly wants: 0 | 2 | 3;
  /** The time-out, by its key in [timeouts]; RFC 5321 §4.5.3.2 gives the values. */
  readonly within: Within;
  /** What a refusal rules out. */
  readonly condemns: Condemned;
}

// biome-ignore format: a table is read as a table
export const STEPS = {
  greeting:  { wants: 2, within: 'greeting',  condemns: 'address' }, // 220      RFC 5321 §3.1
  hello:     { wants: 2, within: 'command',   condemns: 'address' }, // 250      RFC 5321 §4.1.1.1
  starttls:  { wants: 2, within: 'command',   condemns: 'address' }, // 220      RFC 3207 §4
  handshake: { wants: 0, within: 'handshake', condemns: 'address' }, //          RFC 3207 §4.2
  auth:      { wants: 2, within: 'command',   condemns: 'host'    }, // 235, 334 RFC 4954 §4
  ready:     { wants: 0, within: 'none',      condemns: 'nothing' }, //          no command is outstanding
  envelope:  { wants: 2, within: 'command',   condemns: 'message' }, // 250, 251 RFC 5321 §4.1.1.2
  data:      { wants: 3, within: 'data',      condemns: 'message' }, // 354      RFC 5321 §4.1.1.4
  content:   { wants: 2, within: 'block',     condemns: 'message' }, // 250 to BDAT only, RFC 3030 §2
  commit:    { wants: 2, within: 'final',     condemns: 'message' }, // 250      RFC 5321 §4.1.1.4
  reset:     { wants: 2, within: 'command',   condemns: 'nothing' }, // 250      RFC 5321 §4.1.1.5
  quit:      { wants: 2, within: 'command',   condemns: 'nothing' }, // 221      RFC 5321 §4.1.1.10
  closed:    { wants: 0, within: 'none',      condemns: 'nothing' },
} as const satisfies Record<Phase, StepFacts>;

/** BDAT blocks that may be unanswered at a time with PIPELINING: enough to keep the line busy, few enough to hear a refusal early. */
const BLOCKS_AHEAD = 8;
/**
 * Octets of the last block that are the commit: its last line end, as the line of the dot is with DATA. More would only make
 * the moment longer in which a loss leaves everybody in doubt.
 */
const HELD = 2;
/** No mechanism has more than four steps; a server that asks on is stopped. */
const LONGEST_EXCHANGE = 10;
/** Verdicts of LMTP that an uncertain outcome quotes: a sentence is read by a person. */
const VERDICTS_SHOWN = 5;

const send = (...lines: string[]): Action => ({ do: 'send', lines, secret: false });
const secret = (line: string): Action => ({ do: 'send', lines: [line], secret: true });

/** The first step on an open connection. */
export function begin(plan: Plan): Step {
  return plan.tls === 'implicit' ? [{ at: 'handshake', implicit: true }, { do: 'startTls' }] : [{ at: 'greeting', secured: false }];
}

/** The next step: a new state and what is to be done, in order. */
export function advance(plan: Plan, state: State, event: Event): Step {
  if (state.at === 'closed') return [state];
  switch (event.type) {
    case 'reply':
      return heard(plan, state, event.reply, event.rest);
    case 'malformed':
      return broken(state, { kind: 'malformed', ...where(state), detail: event.detail + quoted(state, ': ', event.rest) });
    case 'lost':
      return broken(state, {
        kind: 'lost',
        ...where(state),
        command: awaited(state),
        detail: event.detail + quoted(state, ' after ', event.rest),
      });
    case 'timeout':
      return broken(state, {
        kind: 'timeout',
        ...where(state),
        command: awaited(state),
        ...(event.rest === '' ? {} : { heard: shownLines(state, event.rest) }),
        ...(event.limit ? { limit: event.limit } : {}),
      });
    case 'secured':
      return state.at === 'handshake' ? secured(plan, state) : unasked(state, 'a TLS handshake');
    case 'insecure':
      return broken(state, { kind: 'connect', ...where(state), during: 'tls', detail: event.detail });
    case 'abort':
    case 'contentFailed':
      return broken(state, { kind: 'content', at: state.at, condemns: 'message', detail: event.detail });
    case 'transaction':
      return state.at === 'ready' ? openTransaction(plan, state.channel, event.transaction) : unasked(state, 'a transaction');
    case 'block':
      return state.at === 'content' && isPulling(state) ? blockAtHand(state, event.octets, event.last) : unasked(state, 'a block');
    case 'contentSent':
      return state.at === 'content' ? contentSent(plan, state, event.rest, event.next) : unasked(state, 'the end of the content');
    case 'quit':
      return state.at === 'ready' ? [{ at: 'quit' }, send('QUIT')] : unasked(state, 'QUIT');
    /* c8 ignore next 2 */
    default:
      return never(event);
  }
}

/** Calls that make no sense here are bugs of the driver, not of the peer. */
function unasked(state: State, what: string): never {
  throw new Error(`bug: ${what} at ${state.at}`);
}

/** A reply came. 421 ends the session wherever it comes, but to the content it is a verdict; octets behind the last reply that was due are out of step. */
function heard(plan: Plan, state: Exclude<State, In<'closed'>>, reply: Reply, rest: string): Step {
  if (state.at === 'quit') return [{ at: 'closed' }, { do: 'close' }];
  // In a handshake any clear text is an injection (RFC 3207 §6), so the rule comes before the one for 421.
  if (state.at === 'handshake') return outOfStep(state, reply, rest);
  // To the content it is a verdict like every other 4yz: the server does not deliver what it answers so. RFC 5321 §4.2.5
  if (reply.code === 421 && state.at !== 'commit') return broken(state, departure(state, reply, rest));
  const more = rest !== '';
  const isDue = more && outstanding(plan, state) > 1;
  if (more && !isDue) {
    const isRefusal = digit(reply) >= 4;
    // A verdict stands whatever follows it, and a refusal that ends the session may be followed by the server's farewell.
    if (state.at === 'envelope' && isRefusal) return farewell(plan, state, reply);
    if (state.at !== 'commit' && !(isRefusal && state.at !== 'hello')) return outOfStep(state, reply, rest);
  }
  // Who speaks out of turn gets no further transaction.
  return replied(more && !isDue ? { ...plan, transactions: 'one' } : plan, state, reply);
}

/** The reply that was due, with nothing else against it. */
function replied(plan: Plan, state: Exclude<State, In<'closed' | 'quit' | 'handshake'>>, reply: Reply): Step {
  switch (state.at) {
    case 'greeting':
      return digit(reply) === 2 ? hello(plan, state.secured) : refused(plan, state, 'connecting', reply);
    case 'hello':
      return afterHello(plan, state, reply);
    case 'starttls':
      return digit(reply) === 2 ? [{ at: 'handshake', implicit: false }, { do: 'startTls' }] : refused(plan, state, 'STARTTLS', reply);
    case 'auth':
      return afterAuth(plan, state, reply);
    case 'ready':
      return outOfStep(state, reply);
    case 'envelope':
      return afterEnvelope(plan, state, reply);
    case 'data':
      return afterData(plan, state, reply);
    case 'content':
      return afterBlock(plan, state, reply);
    case 'commit':
      return afterCommit(plan, state, reply);
    case 'reset':
      return digit(reply) === 2 ? ready(state.channel) : [{ at: 'closed' }, { do: 'destroy' }];
    /* c8 ignore next 2 */
    default:
      return never(state);
  }
}

/** Replies that are due in this state. */
function outstanding(plan: Plan, state: State): number {
  if (state.at === 'envelope') return state.sent - state.answered;
  if (state.at === 'content') return state.blocks;
  if (state.at === 'commit') return verdicts(plan, state.transaction) - state.replies.count + (state.next?.sent ?? 0);
  return 1;
}

/** Final replies: one, but with LMTP one for each recipient. RFC 2033 §4.2 */
const verdicts = (plan: Plan, { recipients }: Transaction): number => (plan.protocol === 'lmtp' ? recipients.length : 1);

function hello(plan: Plan, isSecured: boolean, verb: In<'hello'>['verb'] = plan.protocol === 'lmtp' ? 'LHLO' : 'EHLO'): Step {
  const command = helloCommand(verb, plan.hello);
  if (!command.ok)
    return [
      { at: 'closed' },
      ...failed({ kind: 'unsupported', at: 'hello', condemns: 'message', detail: command.detail }),
      { do: 'destroy' },
    ];
  return [{ at: 'hello', verb, secured: isSecured }, send(command.value)];
}

function afterHello(plan: Plan, state: In<'hello'>, reply: Reply): Step {
  const { verb, secured: isSecured } = state;
  if (digit(reply) === 5 && verb === 'EHLO' && mayDoWithoutExtensions(plan)) return hello(plan, isSecured, 'HELO');
  if (digit(reply) !== 2) return refused(plan, state, `${verb} ${plan.hello}`, reply);
  const extensions = verb === 'HELO' ? NO_EXTENSIONS : readExtensions(reply, plan.ignoreExtensions);
  const channel: Channel = { secured: isSecured, authenticated: false, extensions };
  if (!isSecured && plan.tls !== 'off' && offers(extensions, 'STARTTLS')) return [{ at: 'starttls', channel }, send('STARTTLS')];
  if (!isSecured && plan.tls === 'required')
    return lacking(plan, state, 'address', 'the server does not offer STARTTLS, and tls.mode is "required"');
  return plan.authenticate === null ? ready(channel) : authenticate(plan, state, channel, plan.authenticate);
}

/** RFC 5321 §3.2: HELO serves where nothing that EHLO announces is required. */
const mayDoWithoutExtensions = (plan: Plan): boolean => plan.authenticate === null && plan.tls !== 'required';

function authenticate(plan: Plan, state: In<'hello'>, channel: Channel, choose: NonNullable<Plan['authenticate']>): Step {
  const mechanism = choose(mechanismsOf(channel.extensions), channel.secured);
  if (typeof mechanism === 'string') return lacking(plan, state, 'host', mechanism);
  const exchange = mechanism.begin();
  const auth: In<'auth'> = { at: 'auth', channel, mechanism: mechanism.name, exchange, steps: 0, cancelled: null };
  // An initial response of no octets is written "=". RFC 4954 §4
  return [auth, exchange.say === null ? send(`AUTH ${mechanism.name}`) : secret(`AUTH ${mechanism.name} ${base64(exchange.say) || '='}`)];
}

function afterAuth(plan: Plan, state: In<'auth'>, reply: Reply): Step {
  const { exchange, channel, mechanism, steps, cancelled } = state;
  const why = (detail: string) => lacking(plan, state, 'host', `AUTH ${mechanism}: ${detail}`);
  if (cancelled !== null) return digit(reply) === 2 ? outOfStep(state, reply) : why(`${cancelled} (${printReply(maskedReply(reply))})`);
  if (digit(reply) === 2)
    return exchange.mayEnd ? ready({ ...channel, authenticated: true }) : why('the server ended the exchange before it proved itself');
  if (digit(reply) !== 3)
    return refused(plan, state, `AUTH ${mechanism}${exchange.refusal === undefined ? '' : ` (${exchange.refusal})`}`, reply);
  const challenge = exchange.ignoresChallenge ? '' : reply.lines.length === 1 ? fromBase64((reply.lines[0] as string).trim()) : null;
  const heardNext =
    challenge === null
      ? { cancel: 'the challenge is not base64' }
      : steps >= LONGEST_EXCHANGE
        ? { cancel: `the server asks more than ${LONGEST_EXCHANGE} times` }
        : exchange.hear(challenge);
  if ('cancel' in heardNext) return [{ ...state, cancelled: heardNext.cancel }, send('*')];
  return [{ ...state, exchange: heardNext, steps: steps + 1 }, secret(base64(heardNext.say ?? ''))];
}

/** RFC 3207 §4.2: everything learnt before the handshake is forgotten. */
function secured(plan: Plan, state: In<'handshake'>): Step {
  return state.implicit ? [{ at: 'greeting', secured: true }] : hello(plan, true);
}

const ready = (channel: Channel): Step => [
  { at: 'ready', channel },
  { do: 'ready', channel },
];

function openTransaction(plan: Plan, channel: Channel, transaction: Transaction): Step {
  const lmtp = plan.protocol === 'lmtp' && transaction.recipients.length > 1 && !plan.partial;
  const unmet = lmtp
    ? 'LMTP gives every recipient a verdict of its own, and lmtp_partial is not set'
    : unmetNeed(transaction, channel.extensions);
  if (unmet !== null)
    return unusable(plan, channel, { kind: 'unsupported', at: 'ready', condemns: lmtp ? 'message' : 'host', detail: unmet });
  const commands = envelopeCommands(plan, { channel, transaction });
  if (!commands.ok) return unusable(plan, channel, { kind: 'unsupported', at: 'ready', condemns: 'message', detail: commands.detail });
  const [state, ...actions] = nextCommands(
    { at: 'envelope', channel, transaction, commands: commands.value, sent: 0, answered: 0, refusals: none() },
    plan,
  );
  return dropsDsn(transaction, channel.extensions)
    ? [state, { do: 'note', note: 'the server does not offer DSN: the notification parameters are left out' }, ...actions]
    : [state, ...actions];
}

const framingOf = (plan: Plan, { extensions }: Channel): 'data' | 'bdat' =>
  plan.framing === 'auto' && mayChunk(extensions) ? 'bdat' : 'data';

/** DATA flies along with one recipient: no part of the recipients can be accepted. RFC 2920 §3.1 */
const dataFliesAlong = (plan: Plan, { channel, transaction }: Sending): boolean =>
  transaction.recipients.length === 1 && offers(channel.extensions, 'PIPELINING') && framingOf(plan, channel) === 'data';

/** Printed before the first is sent: one that no command line can carry fails the message before any other is said. */
function envelopeCommands(plan: Plan, sending: Sending): Parsed<readonly string[]> {
  const { transaction, channel } = sending;
  const mail = mailCommand(transaction, channel.extensions);
  if (!mail.ok) return mail;
  const commands = [mail.value];
  for (const recipient of transaction.recipients) {
    const command = rcptCommand(recipient, channel.extensions);
    if (!command.ok) return command;
    commands.push(command.value);
  }
  if (dataFliesAlong(plan, sending)) commands.push('DATA');
  return parsed(commands);
}

/**
 * Two cursors over one list: PIPELINING opens the window to the whole list (RFC 2920 §3.1), else it is 1. No dead-lock
 * can come of it: the driver reads while it writes.
 */
function nextCommands(state: In<'envelope'>, plan: Plan): Step {
  const { sent, answered, refusals, transaction, channel, commands } = state;
  const total = 1 + transaction.recipients.length;
  const [first] = refusals.items;
  if (answered === sent && refusals.count > 0 && first?.recipient === null) return giveUp(plan, state, 'envelope', [first]);
  // DATA may still be unanswered: its reply decides how the connection can end.
  if (answered === total && sent > total) return [{ at: 'data', channel, transaction, refusals }];
  if (answered === total) return allRecipientsAnswered(plan, state);
  const until = offers(channel.extensions, 'PIPELINING') ? commands.length : answered + 1;
  // A list as it is: an engine takes some hundred thousand arguments of one call and no more.
  return sent >= until
    ? [state]
    : [
        { ...state, sent: until },
        { do: 'send', lines: commands.slice(sent, until), secret: false },
      ];
}

function afterEnvelope(plan: Plan, state: In<'envelope'>, reply: Reply): Step {
  const { answered, refusals } = state;
  if (digit(reply) === 3) return outOfStep(state, reply);
  const refusalsNow = digit(reply) === 2 ? refusals : grown(refusals, refusalOf(state, reply));
  return nextCommands({ ...state, answered: answered + 1, refusals: refusalsNow }, plan);
}

const refusalOf = ({ commands, answered }: In<'envelope'>, reply: Reply): Refusal => ({
  command: commands[answered] as string,
  recipient: answered === 0 ? null : answered - 1,
  reply,
});

/** A refusal with octets behind it: no further command can be paired with its reply, so the refusals so far are all there are. */
function farewell(plan: Plan, state: In<'envelope'>, reply: Reply): Step {
  const last = refusalOf(state, reply);
  const [first = last, ...rest] = blamed(listed(grown(state.refusals, last)));
  return giveUp({ ...plan, transactions: 'one' }, state, 'envelope', [first, ...rest]);
}

function allRecipientsAnswered(plan: Plan, state: In<'envelope'>): Step {
  const { channel, transaction } = state;
  const [first, ...rest] = listed(state.refusals);
  if (first) return giveUp(plan, state, 'envelope', [first, ...rest]);
  if (framingOf(plan, channel) === 'data') return [{ at: 'data', channel, transaction, refusals: none() }, send('DATA')];
  return [{ at: 'content', channel, transaction, framing: 'bdat', blocks: 0, last: null }, pull('bdat', state)];
}

function afterData(plan: Plan, state: In<'data'>, reply: Reply): Step {
  const { channel, transaction } = state;
  const [first, ...rest] = blamed(listed(state.refusals));
  if (digit(reply) === 2) return outOfStep(state, reply);
  if (digit(reply) === 3) {
    // A refused envelope and 354 all the same: no dot may follow, so only an abrupt end is left.
    if (first) return [{ at: 'closed' }, ...failed(rejection('envelope', [first, ...rest])), { do: 'destroy' }];
    return [{ at: 'content', channel, transaction, framing: 'data', blocks: 0, last: null }, pull('data', state)];
  }
  return first
    ? giveUp(plan, state, 'envelope', [first, ...rest])
    : giveUp(plan, state, 'data', [{ command: 'DATA', recipient: null, reply }]);
}

/** When MAIL was refused, the refusals of what flew behind it say nothing. */
const blamed = (refusals: readonly Refusal[]): readonly Refusal[] => (refusals[0]?.recipient === null ? refusals.slice(0, 1) : refusals);

const pull = (framing: 'data' | 'bdat', { channel, transaction }: Sending): Action => {
  const eightBit = transaction.eightBit === 'none' || offers(channel.extensions, '8BITMIME') ? 'pass' : transaction.withoutEightBit;
  return { do: 'pull', framing, eightBit: eightBit === 'send' ? 'pass' : eightBit };
};

const aheadOf = ({ extensions }: Channel): number => (offers(extensions, 'PIPELINING') ? BLOCKS_AHEAD : 1);

/** A block was asked for, and is not at hand yet. */
const isPulling = ({ framing, blocks, last, channel }: In<'content'>): boolean =>
  framing === 'bdat' && last === null && blocks < aheadOf(channel);

function blockAtHand(state: In<'content'>, octets: number, last: boolean): Step {
  if (last) return state.blocks === 0 ? [{ ...state, last: octets }, ...allButTheEnd(octets)] : [{ ...state, last: octets }];
  const sent: In<'content'> = { ...state, blocks: state.blocks + 1 };
  const write: Action = { do: 'sendBlock', line: `BDAT ${octets}`, held: 0 };
  return isPulling(sent) ? [sent, write, pull('bdat', state)] : [sent, write];
}

/**
 * A block that is not complete is nothing (RFC 3030 §2), so all of the last one but its end may go out before the commit. A
 * block of no octets is complete with its command line, which therefore is the commit; a part of a line might be taken for one.
 */
const allButTheEnd = (octets: number): Action[] =>
  octets === 0 ? [{ do: 'flush' }] : [{ do: 'sendBlock', line: lastLine(octets), held: Math.min(octets, HELD) }, { do: 'flush' }];

const lastLine = (octets: number): string => `BDAT ${octets} LAST`;

/** A reply while content is being sent: due to a BDAT block, or the server's early refusal of DATA's content. */
function afterBlock(plan: Plan, state: In<'content'>, reply: Reply): Step {
  const refusal: Refusal = { command: state.framing === 'bdat' ? 'BDAT' : 'the content', recipient: null, reply };
  const isRefusal = digit(reply) >= 4;
  if (state.blocks === 0)
    return isRefusal ? [{ at: 'closed' }, ...failed(rejection('content', [refusal])), { do: 'destroy' }] : outOfStep(state, reply);
  // With other blocks unanswered the reply to RSET could not be told from theirs.
  if (isRefusal) return giveUp(state.blocks > 1 ? { ...plan, transactions: 'one' } : plan, state, 'content', [refusal]);
  if (digit(reply) !== 2) return outOfStep(state, reply);
  const accepted: In<'content'> = { ...state, blocks: state.blocks - 1 };
  if (state.last !== null) return accepted.blocks === 0 ? [accepted, ...allButTheEnd(state.last)] : [accepted];
  // Pulling stopped only when the window was full.
  return isPulling(state) ? [accepted] : [accepted, pull('bdat', state)];
}

function contentSent(plan: Plan, state: In<'content'>, rest: string, waiting: Transaction | undefined): Step {
  const { channel, transaction, framing, blocks, last } = state;
  if (framing === 'bdat' && (last === null || blocks > 0)) return unasked(state, 'the end of the content');
  if (rest !== '') {
    const detail = `the server spoke before the content was complete${quoted(state, ': ', rest)}`;
    return broken(state, { kind: 'malformed', ...where(state), detail });
  }
  const [next, along, ...notes] = waiting ? envelopeAlong(plan, channel, waiting) : [null, []];
  return [
    { at: 'commit', channel, transaction, replies: none(), next },
    { do: 'commit', line: framing === 'data' ? '.' : last === 0 ? lastLine(0) : null, along },
    ...notes,
  ];
}

/** RFC 2920 §3.1: content may be the first of a group, so the next envelope need not wait for the verdict. What cannot begin here is told in its turn. */
function envelopeAlong(plan: Plan, channel: Channel, waiting: Transaction): [In<'envelope'> | null, readonly string[], ...Action[]] {
  if (plan.transactions === 'one' || !offers(channel.extensions, 'PIPELINING')) return [null, []];
  const [state, ...actions] = openTransaction(plan, channel, waiting);
  if (state.at !== 'envelope') return [null, []];
  return [
    state,
    actions.flatMap((action) => (action.do === 'send' ? action.lines : [])),
    ...actions.filter(({ do: act }) => act !== 'send'),
  ];
}

function afterCommit(plan: Plan, state: In<'commit'>, reply: Reply): Step {
  if (digit(reply) === 3) return outOfStep(state, reply);
  const heardSoFar = grown(state.replies, reply);
  if (heardSoFar.count < verdicts(plan, state.transaction)) return [{ ...state, replies: heardSoFar }];
  const replies = listed(heardSoFar);
  const refusals = replies.flatMap((r, i): Refusal[] =>
    digit(r) === 2 ? [] : [{ command: finalCommand(plan, state, i), recipient: plan.protocol === 'lmtp' ? i : null, reply: r }],
  );
  const [first, ...rest] = refusals;
  if (first && refusals.length === replies.length) return afterVerdict(plan, state, replies, failed(rejection('commit', [first, ...rest])));
  const accepted = replies.find((r) => digit(r) === 2) as Reply;
  return afterVerdict(plan, state, replies, [{ do: 'settle', outcome: { kind: 'accepted', reply: accepted, refusals } }]);
}

/** All verdicts are in. Where one of them was 421 the server closes the session (RFC 5321 §3.8), and what went along is not looked at. */
function afterVerdict(plan: Plan, { channel, next }: In<'commit'>, replies: readonly Reply[], settle: readonly Action[]): Step {
  const farewell = replies.find(({ code }) => code === 421);
  if (!farewell) return next ? [next, ...settle, { do: 'next' }] : leave(plan, channel, settle, false);
  if (!next) return [{ at: 'closed' }, ...settle, { do: 'destroy' }];
  const [closed, ...ending] = broken(next, departure(next, farewell));
  return [closed, ...settle, { do: 'next' }, ...ending];
}

const finalCommand = (plan: Plan, { transaction }: Sending, index: number): string =>
  plan.protocol === 'lmtp' ? `the content for ${printPath((transaction.recipients[index] as Recipient).path)}` : 'the content';

/* ---- endings ---- */

/** Where the machine stands and what a loss there rules out. */
const where = ({ at }: State): { at: Phase; condemns: Condemned } => ({
  at,
  condemns: STEPS[at].condemns === 'host' || STEPS[at].condemns === 'message' ? 'address' : STEPS[at].condemns,
});

/** The server says 421, which counts as loss. RFC 5321 §3.8 */
const departure = (state: State, reply: Reply, rest = ''): SessionFailure => ({
  kind: 'lost',
  ...where(state),
  command: awaited(state),
  detail: `the server closes the session: ${printReply(shownReply(state, reply))}${behind(state, rest)}`,
});

const failed = (failure: SessionFailure): [Action] => [{ do: 'settle', outcome: { kind: 'failed', failure } }];

const rejection = (at: Phase, refusals: readonly [Refusal, ...Refusal[]]): SessionFailure => ({
  kind: 'rejected',
  at,
  condemns: STEPS[at].condemns,
  refusals,
});

/** The session is over at once. After the commit nobody knows what became of the message. */
function broken(state: Exclude<State, In<'closed'>>, failure: SessionFailure): Step {
  // The outcome of what went before is known: nothing is left to settle.
  if (state.at === 'quit' || state.at === 'reset' || state.at === 'ready') return [{ at: 'closed' }, { do: 'destroy' }];
  const told: SessionFailure =
    state.at === 'commit'
      ? { kind: 'uncertain', at: 'commit', condemns: 'message', detail: lastWords(failure) + verdictsBefore(state) }
      : (refusalBefore(state, failure) ?? failure);
  return [{ at: 'closed' }, ...failed(told), { do: 'destroy' }];
}

/** A recipient that is refused already fails the message, however the session ends: another host is not asked. */
function refusalBefore(state: State, failure: SessionFailure): SessionFailure | null {
  if ((state.at !== 'envelope' && state.at !== 'data') || failure.kind === 'content') return null;
  const [first, ...rest] = blamed(listed(state.refusals));
  return first ? rejection('envelope', [first, ...rest]) : null;
}

function lastWords(failure: SessionFailure): string {
  if (failure.kind === 'timeout')
    return failure.heard === undefined
      ? `no reply came ${printTimeLimit(failure.limit)}`
      : `no whole reply came ${printTimeLimit(failure.limit)}: "${failure.heard}"`;
  /* c8 ignore next */
  return failure.kind === 'rejected' ? '' : failure.detail;
}

/** With LMTP some recipients may have had their verdict already. RFC 2033 §4.2 */
function verdictsBefore({ replies, transaction }: In<'commit'>): string {
  if (replies.count === 0) return '';
  const told = listed(replies).map((reply, i) => `${printPath((transaction.recipients[i] as Recipient).path)} ${printReply(reply)}`);
  const more = told.length > VERDICTS_SHOWN ? ` / and ${told.length - VERDICTS_SHOWN} more` : '';
  return `; for ${told.length} of ${transaction.recipients.length} recipients one came: ${told.slice(0, VERDICTS_SHOWN).join(' / ')}${more}`;
}

/** A reply nobody waited for, or of a kind that cannot come here; what stands behind it mostly says why. */
const outOfStep = (state: Exclude<State, In<'closed'>>, reply: Reply, rest = ''): Step =>
  broken(state, {
    kind: 'malformed',
    ...where(state),
    detail: `unexpected reply: ${printReply(shownReply(state, reply))}${behind(state, rest)}`,
  });

const behind = (state: State, rest: string): string => (rest === '' ? '' : ` / ${shownLines(state, rest)}`);

/** What a server said that is no reply, in the words of a sentence. */
const quoted = (state: State, before: string, rest: string): string => (rest === '' ? '' : `${before}"${shownLines(state, rest)}"`);

/** What people are shown of a server's words: within AUTH nothing that helps to guess a password. */
const shownLines = ({ at }: State, heard: string): string => printLines(at === 'auth' ? maskedLines(heard) : heard);
const shownReply = ({ at }: State, reply: Reply): Reply => (at === 'auth' ? maskedReply(reply) : reply);

/** A refusal before any transaction: QUIT, and the session is over. */
function refused(plan: Plan, state: Exclude<State, In<'closed'>>, command: string, reply: Reply): Step {
  if (digit(reply) < 4) return outOfStep(state, reply);
  return quit(plan, failed(rejection(state.at, [{ command, recipient: null, reply: shownReply(state, reply) }])));
}

const lacking = (plan: Plan, { at }: State, condemns: Condemned, detail: string): Step =>
  quit(plan, failed({ kind: 'unsupported', at, condemns, detail }));

/** A refusal within a transaction: the message is not sent, the session may go on. */
const giveUp = (plan: Plan, { channel }: Sending, at: Phase, refusals: readonly [Refusal, ...Refusal[]]): Step =>
  leave(plan, channel, failed(rejection(at, refusals)), true);

/** The transaction could not begin. */
const unusable = (plan: Plan, channel: Channel, failure: SessionFailure): Step => leave(plan, channel, failed(failure), false);

/** After an outcome: QUIT, or on to the next transaction, after RSET when one is half open. RFC 5321 §4.1.1.5 */
function leave(plan: Plan, channel: Channel, settle: readonly Action[], halfOpen: boolean): Step {
  if (plan.transactions === 'one') return quit(plan, settle);
  if (halfOpen) return [{ at: 'reset', channel }, ...settle, send('RSET')];
  const [state, ...actions] = ready(channel);
  return [state, ...settle, ...actions];
}

/** Deviation: RFC 5321 §4.1.1.10 has the client wait for the reply to QUIT; the verdict is known, and a command must not wait for courtesy. */
function quit(plan: Plan, settle: readonly Action[]): Step {
  return plan.transactions === 'one'
    ? [{ at: 'closed' }, ...settle, send('QUIT'), { do: 'close' }]
    : [{ at: 'quit' }, ...settle, send('QUIT')];
}

/** The command whose reply is awaited, for people. */
function awaited(state: State): string {
  switch (state.at) {
    case 'greeting':
      return 'the greeting';
    case 'hello':
      return state.verb;
    case 'starttls':
      return 'STARTTLS';
    case 'handshake':
      return 'the TLS handshake';
    case 'auth':
      return `AUTH ${state.mechanism}`;
    case 'envelope':
      return state.commands[state.answered] as string;
    case 'data':
      return 'DATA';
    case 'content':
      return state.blocks > 0 ? 'BDAT' : 'the content';
    case 'commit':
      return 'the end of the content';
    case 'reset':
      return 'RSET';
    case 'quit':
      return 'QUIT';
    case 'ready':
    case 'closed':
      return 'nothing';
    /* c8 ignore next 2 */
    default:
      return never(state);
  }
}
