/**
 * The client's protocol machine decides what to say after what it has heard (RFC 5321 §4.3). A session greets, secures,
 * authenticates, and carries transactions one after another. Knows no socket, no clock, and no octet of the message.
 *
 * Rules of this file: every arm returns the next state; no arm changes what it is given; a commit action leaves only from
 * `content`, and only when the server has accepted every recipient (with `partial: 'any'` one of them) and every earlier block
 * and the input has ended cleanly.
 */

import { never, type Parsed, parsed } from '../parsed.ts';
import { printPath } from '../path.ts';
import { digit, type Reply } from '../reply.ts';
import { maskLines, maskReply } from '../sasl/mask.ts';
import type { Cancelled, Choice, Exchange } from '../sasl/sasl.ts';
import { base64, fromBase64 } from '../text.ts';
import type { TimeLimit } from '../timeout.ts';
import type { Framing } from './content.ts';
import { type Extensions, mechanismsOf, NO_EXTENSIONS, offers, readExtensions } from './extensions.ts';
import { countOf, extend, type LinkedList, toArray } from './linked-list.ts';
import type { Condemned, ConnectReason, Lack, Phase, Refusal, SessionFailure, SessionOutcome, Verb, Verdict } from './outcome.ts';
import { dropsDsn, helloCommand, mailCommand, rcptCommand, type Transaction, type Unmet, unmetNeed } from './print.ts';

/** The terms on which a session speaks to any server. They are fixed before it begins. */
export interface Plan {
  readonly protocol: 'smtp' | 'lmtp';
  /** The argument of EHLO: a domain or an address literal. */
  readonly hello: string;
  readonly tls: 'implicit' | 'required' | 'opportunistic' | 'off';
  /** Chooses one of the mechanisms that the server offers, or says why none will do; null means no authentication. */
  readonly authenticate: ((offered: ReadonlySet<string>, secured: boolean) => Choice) | null;
  /**
   * 'one': the session says QUIT after its first outcome. 'many': it says RSET where it must, and waits for the next
   * transaction.
   */
  readonly transactions: 'one' | 'many';
  /** 'data': the session never says BDAT, but for binary content, which nothing else can carry. */
  readonly framing: 'auto' | 'data';
  /**
   * Says who has to be accepted before anybody gets the message. 'never': all recipients, so LMTP carries one only. 'verdicts':
   * all of them at RCPT, but LMTP's verdicts after the content may differ (RFC 2033 §4.2). 'any': one of them.
   */
  readonly partial: 'never' | 'verdicts' | 'any';
  /** EHLO keywords, upper case, that count as not offered because the server announces and breaks them. */
  readonly ignoreExtensions?: readonly string[];
}

/** The facts of a connection once the server has answered EHLO. */
export interface Channel {
  readonly secured: boolean;
  readonly authenticated: boolean;
  readonly extensions: Extensions;
  /** The server has refused an envelope because it came along with the end of a content, so none goes along any more. */
  readonly refusesAlong?: true;
}

/** What a state within a transaction holds. */
export interface Sending {
  readonly channel: Channel;
  readonly transaction: Transaction;
}

/**
 * The refusals of an envelope so far; behind it only `partial: 'any'` has some. A refused MAIL is the only one there is, because
 * what the server says to the commands behind it tells nothing more.
 */
export type Refusals = LinkedList<Refusal> | null;

/** Where a session stands. Drivers look at `at` only. */
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
  /**
   * `commands` are MAIL, RCPT…, and DATA when it flies along. Of the two cursors over them `sent` may run ahead of `answered`. The
   * envelope `isAlong` when it went out along with the end of the content before it.
   */
  | (Sending & {
      readonly at: 'envelope';
      readonly commands: readonly string[];
      readonly sent: number;
      readonly answered: number;
      readonly refusals: Refusals;
      readonly isAlong: boolean;
    })
  | (Sending & { readonly at: 'data'; readonly refusals: Refusals; readonly isAlong: boolean })
  /**
   * `blocks` counts the BDAT blocks that are sent and not answered. `last` has the octets of the last block, which waits until
   * the server has accepted all others and then goes out except for its end.
   */
  | (Sending & {
      readonly at: 'content';
      readonly framing: Framing;
      readonly refusals: Refusals;
      readonly blocks: number;
      readonly last: number | null;
    })
  /** `next` is the transaction whose envelope went out behind the terminator; its replies come after the verdict. RFC 2920 §3.1 */
  | (Sending & {
      readonly at: 'commit';
      readonly refusals: Refusals;
      readonly replies: LinkedList<Reply> | null;
      readonly next: In<'envelope'> | null;
    })
  | { readonly at: 'noop'; readonly channel: Channel }
  /** `again` is the transaction that is still under way, because the server has not looked at its envelope. */
  | { readonly at: 'reset'; readonly channel: Channel; readonly again: Transaction | null }
  | { readonly at: 'quit' }
  | { readonly at: 'closed' };

/** The state of that name. */
export type In<A extends Phase> = Extract<State, { at: A }>;
type Open = Exclude<State, In<'closed'>>;

/**
 * What happened, told to the machine. Octets that arrive are told by `Dialogue.receive`, which makes `reply` and `malformed` of them.
 * 'lost', 'timeout' and 'abort' may come at any time, the others only where an action has asked for them: anything else is a bug of
 * the driver, and throws.
 */
export type Event =
  /** `rest`, here and below, is what the server has said behind the last reply that the driver gave; '' when it said nothing. */
  | { readonly type: 'reply'; readonly reply: Reply; readonly rest: string }
  | { readonly type: 'malformed'; readonly detail: string; readonly rest: string }
  /** The TLS handshake is over and the peer is who it should be, as far as the driver is asked to look. */
  | { readonly type: 'secured' }
  /** TLS did not come about, or the peer is not who it should be. */
  | { readonly type: 'insecure'; readonly detail: string; readonly reason: ConnectReason; readonly systemCode?: string }
  /** The next message, between transactions; the content is asked for later. */
  | { readonly type: 'transaction'; readonly transaction: Transaction }
  /**
   * A block of content for BDAT is at hand, of so many octets as the encoder has made them. The input ended cleanly with the `last`
   * one, and none may follow it.
   */
  | { readonly type: 'block'; readonly octets: number; readonly last: boolean }
  /**
   * All content is written, every write has completed, and one turn of the event loop has let input and signals in. `next` is
   * a transaction that waits for its turn. With BDAT the driver reports it only after `flush`.
   */
  | { readonly type: 'contentSent'; readonly rest: string; readonly next?: Transaction | undefined }
  /**
   * The input ended, but not cleanly: nothing but this report keeps half a message from being delivered. With `lacks` nothing is wrong
   * with the input, and another server may take it.
   */
  | { readonly type: 'contentFailed'; readonly detail: string; readonly lacks?: '8bitmime' | undefined }
  /** A signal or the caller's deadline. After the commit the outcome is uncertain, so a driver may rather wait for the verdict. */
  | { readonly type: 'abort'; readonly detail: string; readonly lacks?: undefined }
  | { readonly type: 'lost'; readonly detail: string; readonly rest: string }
  /** `limit` tells people how long the driver has waited. */
  | { readonly type: 'timeout'; readonly rest: string; readonly limit?: TimeLimit }
  /** Asks the server whether it is there, while nothing else is under way. RFC 5321 §4.1.1.9 */
  | { readonly type: 'noop' }
  /** Ends the session politely, between transactions. */
  | { readonly type: 'quit' };

/** What the driver does, in order, before it reports anything else. docs/driver.md has a whole driver. */
export type Action =
  /** Write the lines, octet strings, each with CRLF behind it. Nobody may see lines that are `secret`. */
  | { readonly do: 'send'; readonly lines: readonly string[]; readonly secret: boolean }
  /** Begin the TLS handshake on this stream, and report `secured` or `insecure`. */
  | { readonly do: 'startTls' }
  /** The driver may report a transaction, NOOP or QUIT, now or later. */
  | { readonly do: 'ready'; readonly channel: Channel }
  /**
   * 'data': write all of the content, without the terminator, then do as for `flush`. 'bdat', 'binary': have the next block at hand and
   * report it. What the encoder of the same framing makes of the input is the content. `eightBit` tells what becomes of octets above 127.
   */
  | { readonly do: 'pull'; readonly framing: Framing; readonly eightBit: 'pass' | 'convert' | 'refuse' }
  /**
   * Write this line and the block that the driver announced last, except for the octets at its end that are `held` for the
   * commit.
   */
  | { readonly do: 'sendBlock'; readonly line: string; readonly held: number }
  /** Report `contentSent` when all writes have completed and the event loop has turned once. */
  | { readonly do: 'flush' }
  /**
   * Write the last octets of the message, apart from every write before them: this line, or, where it is null, the octets of
   * the last block that were held. Nothing after them moves to another host. `along` are the commands of the next transaction,
   * which are no part of this one.
   */
  | { readonly do: 'commit'; readonly line: string | null; readonly along: readonly string[] }
  /** The transaction that waits is under way, because its envelope went out with the last commit. */
  | { readonly do: 'next' }
  /** NOOP is answered. The session lives where `failure` is null; else it is over, and the failure says why. */
  | { readonly do: 'checked'; readonly failure: SessionFailure | null }
  /** A sentence for people: something is not as it was asked for. */
  | { readonly do: 'note'; readonly note: string }
  /** The outcome of the transaction that is under way, or of the first one, when the session ends before it was ready. */
  | { readonly do: 'settle'; readonly outcome: SessionOutcome }
  /** End the connection politely, after what was sent. */
  | { readonly do: 'close' }
  /** End the connection now, without another octet. */
  | { readonly do: 'destroy' };

/** The next state, and what the driver does. */
export type Step = readonly [State, ...Action[]];

/** The time limits that a driver keeps, by their keys; 'none' where no reply is awaited. */
export type Within = 'greeting' | 'command' | 'handshake' | 'data' | 'block' | 'final' | 'none';
/** What is awaited in a state. */
export interface StepFacts {
  /** The first digit of the reply that leads on; 0 where no reply may come. RFC 5321 §4.3.2 */
  readonly wants: 0 | 2 | 3;
  /** The key in [timeouts] of the time that this step may take; RFC 5321 §4.5.3.2 gives the values. */
  readonly within: Within;
  /** A refusal here rules this out. */
  readonly condemns: Condemned;
}

const step = <Wants extends StepFacts['wants'], Limit extends Within, Rules extends Condemned>(
  wants: Wants,
  within: Limit,
  condemns: Rules,
) => ({ wants, within, condemns }) as const;

/** What is awaited in each state. A driver reads `within`, and sets its clock whenever the state has changed. */
// biome-ignore format: a table is read as a table
export const STEPS = {
  greeting:  step(2, 'greeting',  'address' ), // 220      RFC 5321 §3.1
  hello:     step(2, 'command',   'address' ), // 250      RFC 5321 §4.1.1.1
  starttls:  step(2, 'command',   'address' ), // 220      RFC 3207 §4
  handshake: step(0, 'handshake', 'address' ), //          RFC 3207 §4.2
  auth:      step(2, 'command',   'host'    ), // 235, 334 RFC 4954 §4
  ready:     step(0, 'none',      'nothing' ), //          no command is outstanding
  envelope:  step(2, 'command',   'message' ), // 250, 251 RFC 5321 §4.1.1.2
  data:      step(3, 'data',      'message' ), // 354      RFC 5321 §4.1.1.4
  content:   step(2, 'block',     'message' ), // 250 to BDAT only, RFC 3030 §2
  commit:    step(2, 'final',     'message' ), // 250      RFC 5321 §4.1.1.4
  noop:      step(2, 'command',   'nothing' ), // 250      RFC 5321 §4.1.1.9
  reset:     step(2, 'command',   'nothing' ), // 250      RFC 5321 §4.1.1.5
  quit:      step(2, 'command',   'nothing' ), // 221      RFC 5321 §4.1.1.10
  closed:    step(0, 'none',      'nothing' ), //          for drivers, whose clock stands still
} satisfies Record<Phase, StepFacts>;

/**
 * BDAT blocks that may be unanswered at a time with PIPELINING: enough to keep the line busy, few enough to hear a refusal
 * early.
 */
const BLOCKS_AHEAD = 8;
/**
 * Octets of the last block that are the commit: its last line end, as the line of the dot is with DATA. More would only
 * lengthen the moment in which a loss leaves everybody in doubt.
 */
const HELD = 2;
/** No mechanism has more than four steps, so the session stops a server that asks on. */
const LONGEST_EXCHANGE = 10;
/** Octets of what a server has said besides that a failure keeps: enough for every EHLO reply, and for any sentence. */
const LONGEST_HEARD = 16_384;

/** After an outcome the session stays and waits for the next transaction, or it says QUIT and leaves. */
type Ending = 'stay' | 'leave';
const endingOf = ({ transactions }: Plan): Ending => (transactions === 'one' ? 'leave' : 'stay');

const send = (...lines: string[]): Action => ({ do: 'send', lines, secret: false });
const sendSecret = (line: string): Action => ({ do: 'send', lines: [line], secret: true });

const isWanted = ({ at }: State, reply: Reply): boolean => digit(reply) === STEPS[at].wants;
/** States in which no reply may come. */
type Silent = In<{ [A in Phase]: (typeof STEPS)[A]['wants'] extends 0 ? A : never }[Phase]>;
const isSilent = (state: State): state is Silent => STEPS[state.at].wants === 0;
const isRefusal = (reply: Reply): boolean => digit(reply) >= 4;
/** The reply neither leads on nor refuses. AUTH alone may be answered by another question. */
const isOutOfPlace = (state: State, reply: Reply): boolean =>
  !isWanted(state, reply) && !isRefusal(reply) && !(state.at === 'auth' && digit(reply) === 3);

const CLOSED: In<'closed'> = { at: 'closed' };
const DESTROY: Action = { do: 'destroy' };

/** Takes the first step on an open connection. */
export function begin(plan: Plan): Step {
  return plan.tls === 'implicit' ? [{ at: 'handshake', implicit: true }, { do: 'startTls' }] : [{ at: 'greeting', secured: false }];
}

/** Takes the next step: a new state, and what the driver does, in order. */
export function advance(plan: Plan, state: State, event: Event): Step {
  if (state.at === 'closed') return [state];
  switch (event.type) {
    case 'reply':
      return hear(plan, state, event.reply, event.rest);
    case 'malformed':
    case 'lost':
    case 'timeout': {
      const { type: kind, rest, ...told } = event;
      return breakOff(plan, state, { kind, ...where(plan, state), ...told, ...heardBehind(state, rest) } as SessionFailure);
    }
    case 'insecure': {
      const { type: _, ...told } = event;
      return breakOff(plan, state, { kind: 'connect', ...where(plan, state), condemns: STEPS[state.at].condemns, during: 'tls', ...told });
    }
    case 'abort':
    case 'contentFailed': {
      const { type, detail, lacks } = event;
      const failure: SessionFailure = lacks
        ? lacking(state.at, 'host', { lacks, detail })
        : { kind: 'content', ...where(plan, state), condemns: 'message', reason: type === 'abort' ? 'aborted' : 'input', detail };
      return breakOff(plan, state, failure);
    }
    case 'secured':
      if (state.at !== 'handshake') break;
      return takeSecureChannel(plan, state);
    case 'transaction':
      if (state.at !== 'ready') break;
      return openTransaction(plan, state.channel, event.transaction);
    case 'block':
      if (state.at !== 'content' || !isPulling(state)) break;
      return takeBlock(state, event.octets, event.last);
    case 'contentSent':
      if (state.at !== 'content' || !isComplete(state)) break;
      return commitContent(plan, state, event.rest, event.next);
    case 'noop':
      if (state.at !== 'ready') break;
      return [{ at: 'noop', channel: state.channel }, send('NOOP')];
    case 'quit':
      if (state.at !== 'ready') break;
      return [{ at: 'quit' }, send('QUIT')];
    /* c8 ignore next 2 */
    default:
      return never(event);
  }
  // A driver that reports what nobody asked it for has a bug, and the peer has not.
  throw new Error(`bug: ${event.type} at ${state.at}`);
}

/**
 * Takes a reply. 421 ends the session wherever it comes, except in answer to the content, where it is a verdict. Octets
 * behind the last reply that is due are out of step.
 */
function hear(plan: Plan, state: Open, reply: Reply, rest: string): Step {
  // Any clear text in a handshake is an injection (RFC 3207 §6), so this rule comes before the one for 421.
  if (isSilent(state)) return breakOutOfStep(plan, state, reply, rest);
  if (state.at === 'quit') return [CLOSED, { do: isWanted(state, reply) ? 'close' : 'destroy' }];
  // In answer to the content 421 is like every other 4yz: the server does not deliver what it answers so. RFC 5321 §4.2.5
  if (reply.code === 421 && state.at !== 'commit') return breakOff(plan, state, lossBy421(plan, state, reply, rest));
  const isOutOfTurn = rest !== '' && countDue(state) <= 1;
  if (isOutOfTurn) {
    if (state.at === 'envelope' && isRefusal(reply)) return takeFarewell(plan, state, reply, rest);
    // A verdict stands whatever follows it, and the server's farewell may follow a refusal that ends the session.
    if (state.at !== 'commit' && !(isRefusal(reply) && state.at !== 'hello')) return breakOutOfStep(plan, state, reply, rest);
  }
  // A server that speaks out of turn gets no further transaction.
  return takeReply(plan, isOutOfTurn ? 'leave' : endingOf(plan), state, reply);
}

/** Takes the reply that was due, when nothing else is against it. */
function takeReply(plan: Plan, ending: Ending, state: Exclude<Open, Silent | In<'quit'>>, reply: Reply): Step {
  if (isOutOfPlace(state, reply)) return breakOutOfStep(plan, state, reply);
  switch (state.at) {
    case 'greeting':
      return isWanted(state, reply) ? sayHello(plan, state.secured) : failRefused(plan, ending, state, 'connecting', reply);
    case 'hello':
      return afterHello(plan, ending, state, reply);
    case 'starttls':
      return isWanted(state, reply)
        ? [{ at: 'handshake', implicit: false }, { do: 'startTls' }]
        : failRefused(plan, ending, state, 'STARTTLS', reply);
    case 'auth':
      return afterAuth(plan, ending, state, reply);
    case 'envelope':
      return afterEnvelope(plan, state, reply);
    case 'data':
      return afterData(plan, ending, state, reply);
    case 'content':
      return afterBlock(plan, ending, state, reply);
    case 'commit':
      return afterCommit(plan, ending, state, reply);
    case 'noop':
      return afterNoop(ending, state, reply);
    case 'reset':
      return afterReset(plan, state, reply);
    /* c8 ignore next 2 */
    default:
      return never(state);
  }
}

/** Counts the replies that are due in this state. Of verdicts the last one alone decides whether the session stays, so one is due. */
function countDue(state: State): number {
  if (state.at === 'envelope') return state.sent - state.answered;
  if (state.at === 'content') return state.blocks;
  return 1;
}

/** The content gets one final reply, but with LMTP one for each recipient that was accepted. RFC 2033 §4.2 */
const countVerdicts = (plan: Plan, { transaction, refusals }: In<'commit'>): number =>
  plan.protocol === 'lmtp' ? transaction.recipients.length - countOf(refusals) : 1;

/** Counts the replies to the content that are still to come; behind them the server speaks of the next transaction. */
export const verdictsDue = (plan: Plan, state: In<'commit'>): number => countVerdicts(plan, state) - countOf(state.replies);

/* ---- opening ---- */

function sayHello(plan: Plan, secured: boolean, verb: In<'hello'>['verb'] = plan.protocol === 'lmtp' ? 'LHLO' : 'EHLO'): Step {
  const command = helloCommand(verb, plan.hello);
  if (!command.ok) return [CLOSED, ...settleFailed(lacking('hello', 'message', { lacks: 'argument', detail: command.detail })), DESTROY];
  return [{ at: 'hello', verb, secured }, send(command.value)];
}

function afterHello(plan: Plan, ending: Ending, state: In<'hello'>, reply: Reply): Step {
  const { verb, secured } = state;
  if (digit(reply) === 5 && verb === 'EHLO' && mayDoWithoutExtensions(plan)) return sayHello(plan, secured, 'HELO');
  if (!isWanted(state, reply)) return failRefused(plan, ending, state, `${verb} ${plan.hello}`, reply);
  const extensions = verb === 'HELO' ? NO_EXTENSIONS : readExtensions(reply, plan.ignoreExtensions);
  const channel: Channel = { secured, authenticated: false, extensions };
  if (!secured && plan.tls !== 'off' && offers(extensions, 'STARTTLS')) return [{ at: 'starttls', channel }, send('STARTTLS')];
  if (!secured && plan.tls === 'required')
    return failLacking(ending, state, 'address', 'starttls', 'the server does not offer STARTTLS, and TLS is required');
  return plan.authenticate === null ? awaitTransaction(channel) : authenticate(ending, state, channel, plan.authenticate);
}

/** RFC 5321 §3.2: HELO serves where the plan requires nothing that EHLO announces. */
const mayDoWithoutExtensions = (plan: Plan): boolean => plan.authenticate === null && plan.tls !== 'required';

function authenticate(ending: Ending, state: In<'hello'>, channel: Channel, choose: NonNullable<Plan['authenticate']>): Step {
  const offered = mechanismsOf(channel.extensions);
  const chosen = choose(offered, channel.secured);
  if (!chosen.ok) return failLacking(ending, state, 'host', chosen.lacks ?? (offered.size === 0 ? 'auth' : 'mechanism'), chosen.detail);
  const { name } = chosen.value;
  const exchange = chosen.value.begin();
  const auth: In<'auth'> = { at: 'auth', channel, mechanism: name, exchange, steps: 0, cancelled: null };
  // An initial response of no octets is written "=". RFC 4954 §4
  return [auth, exchange.say === null ? send(`AUTH ${name}`) : sendSecret(`AUTH ${name} ${base64(exchange.say) || '='}`)];
}

function afterAuth(plan: Plan, ending: Ending, state: In<'auth'>, reply: Reply): Step {
  const { exchange, channel, mechanism, cancelled } = state;
  const fail = (detail: string, answered?: { readonly reply?: Reply }) =>
    failLacking(ending, state, 'host', 'exchange', `AUTH ${mechanism}: ${detail}`, { verb: 'AUTH', ...answered });
  if (cancelled !== null) return isWanted(state, reply) ? breakOutOfStep(plan, state, reply) : fail(cancelled, { reply: maskReply(reply) });
  if (isWanted(state, reply))
    return exchange.mayEnd
      ? awaitTransaction({ ...channel, authenticated: true })
      : fail('the server ended the exchange before it proved itself');
  if (isRefusal(reply))
    return failRefused(plan, ending, state, `AUTH ${mechanism}${exchange.refusal === undefined ? '' : ` (${exchange.refusal})`}`, reply);
  const response = respond(state, reply);
  if ('cancel' in response) return [{ ...state, cancelled: response.cancel }, send('*')];
  return [{ ...state, exchange: response, steps: state.steps + 1 }, sendSecret(base64(response.say ?? ''))];
}

function respond({ exchange, steps }: In<'auth'>, { lines }: Reply): Exchange | Cancelled {
  const challenge = exchange.ignoresChallenge ? '' : lines.length === 1 ? fromBase64((lines[0] as string).trim()) : null;
  if (challenge === null) return { cancel: 'the challenge is not base64' };
  return steps >= LONGEST_EXCHANGE ? { cancel: `the server asks more than ${LONGEST_EXCHANGE} times` } : exchange.hear(challenge);
}

/** RFC 3207 §4.2: the session forgets everything that it learnt before the handshake. */
function takeSecureChannel(plan: Plan, state: In<'handshake'>): Step {
  return state.implicit ? [{ at: 'greeting', secured: true }] : sayHello(plan, true);
}

const awaitTransaction = (channel: Channel, before: readonly Action[] = []): Step => [
  { at: 'ready', channel },
  ...before,
  { do: 'ready', channel },
];

/** A server that refuses NOOP is in step, but of no use: the session says QUIT. */
function afterNoop(ending: Ending, state: In<'noop'>, reply: Reply): Step {
  if (!isWanted(state, reply))
    return quit(ending, [checked(rejection('noop', [{ command: 'NOOP', verb: 'NOOP', recipient: null, reply }]))]);
  return awaitTransaction(state.channel, [checked(null)]);
}

const checked = (failure: SessionFailure | null): Action => ({ do: 'checked', failure });

/* ---- envelope ---- */

/** RFC 2033 §4.2 */
export const WOULD_SPLIT: Unmet = {
  lacks: 'partial',
  detail: 'LMTP gives every recipient a verdict of its own, which is not all or none',
};

function openTransaction(plan: Plan, channel: Channel, transaction: Transaction, isAlong = false): Step {
  const isSplit = plan.protocol === 'lmtp' && transaction.recipients.length > 1 && plan.partial === 'never';
  if (isSplit) return failUnsupported(plan, channel, 'message', WOULD_SPLIT);
  const unmet = unmetNeed(transaction, channel);
  if (unmet !== null) return failUnsupported(plan, channel, 'host', unmet);
  const commands = envelopeCommands(plan, { channel, transaction });
  if (!commands.ok) return failUnsupported(plan, channel, 'message', { lacks: 'argument', detail: commands.detail });
  const step = sendCommands(plan, {
    at: 'envelope',
    channel,
    transaction,
    commands: commands.value,
    sent: 0,
    answered: 0,
    refusals: null,
    isAlong,
  });
  if (!dropsDsn(transaction, channel.extensions)) return step;
  const [state, ...actions] = step;
  return [state, { do: 'note', note: 'the server does not offer DSN: the notification parameters are left out' }, ...actions];
}

/** BDAT saves the flight that waits for 354 (RFC 3030 §2). Binary content goes by nothing else, and gets here only where that is offered (§3). */
const framingOf = ({ framing }: Plan, { extensions }: Channel, { binary }: Transaction): Framing =>
  binary ? 'binary' : framing === 'auto' && offers(extensions, 'CHUNKING') ? 'bdat' : 'data';

/**
 * DATA flies along where the server's answers to RCPT cannot ask for another decision than its answer to DATA: with one
 * recipient, or where any of them is enough. RFC 2920 §3.1
 */
const dataFliesAlong = (plan: Plan, { channel, transaction }: Sending): boolean =>
  (transaction.recipients.length === 1 || plan.partial === 'any') &&
  offers(channel.extensions, 'PIPELINING') &&
  framingOf(plan, channel, transaction) === 'data';

/** Prints all commands before the first one goes out, so that one that no command line can carry fails the message before MAIL. */
function envelopeCommands(plan: Plan, sending: Sending): Parsed<readonly string[]> {
  const { transaction, channel } = sending;
  const mail = mailCommand(transaction, channel.extensions);
  if (!mail.ok) return mail;
  const commands = [mail.value];
  for (const recipient of transaction.recipients) {
    const command = rcptCommand(recipient, channel.extensions, transaction.smtputf8);
    if (!command.ok) return command;
    commands.push(command.value);
  }
  if (dataFliesAlong(plan, sending)) commands.push('DATA');
  return parsed(commands);
}

/**
 * Moves two cursors over one list: PIPELINING opens the window to the whole list (RFC 2920 §3.1), else it is 1. No dead-lock
 * can come of it, because the driver reads while it writes.
 */
function sendCommands(plan: Plan, state: In<'envelope'>): Step {
  const { sent, answered, refusals, transaction, channel, commands, isAlong } = state;
  const total = 1 + transaction.recipients.length;
  if (answered === sent && refusals?.last.recipient === null) return failEnvelope(plan, endingOf(plan), state, refusals);
  // DATA may still be unanswered: its reply decides how the connection can end.
  if (answered === total && sent > total) return [{ at: 'data', channel, transaction, refusals, isAlong }];
  if (answered === total) return beginContent(plan, state);
  const until = offers(channel.extensions, 'PIPELINING') ? commands.length : answered + 1;
  // The lines are handed on as a list, because an engine takes no more than some hundred thousand arguments of one call.
  return sent >= until
    ? [state]
    : [
        { ...state, sent: until },
        { do: 'send', lines: commands.slice(sent, until), secret: false },
      ];
}

function afterEnvelope(plan: Plan, state: In<'envelope'>, reply: Reply): Step {
  const refusals = isWanted(state, reply) ? state.refusals : addRefusal(state, reply);
  return sendCommands(plan, { ...state, answered: state.answered + 1, refusals });
}

function addRefusal({ commands, answered, refusals }: In<'envelope'>, reply: Reply): LinkedList<Refusal> {
  if (refusals?.last.recipient === null) return refusals;
  return extend(refusals, {
    command: commands[answered] as string,
    verb: answered === 0 ? 'MAIL' : 'RCPT',
    recipient: answered === 0 ? null : answered - 1,
    reply,
  });
}

/** Nobody may have the message: the server has refused MAIL, all recipients, or one where the plan wants all. */
const isEnvelopeRefused = ({ partial }: Plan, { transaction }: Sending, refusals: Refusals): refusals is LinkedList<Refusal> =>
  refusals !== null && (partial !== 'any' || refusals.last.recipient === null || refusals.count === transaction.recipients.length);

/**
 * Takes a refusal with octets behind it: no further reply can be paired with its command, so the refusals so far are all there
 * are.
 */
function takeFarewell(plan: Plan, state: In<'envelope'>, reply: Reply, rest: string): Step {
  const refusals: Refusals = addRefusal(state, reply);
  return isEnvelopeRefused(plan, state, refusals) && !isUnheard(state, refusals)
    ? failEnvelope(plan, 'leave', state, refusals)
    : breakOutOfStep(plan, state, reply, rest);
}

/**
 * MAIL went along with the end of a content and was refused with 503: some servers take nothing there, against smuggling, whatever
 * RFC 2920 §3.1 says. It is no word on the message.
 */
const isUnheard = ({ isAlong }: In<'envelope' | 'data'>, refusals: Refusals): boolean =>
  isAlong && refusals?.last.verb === 'MAIL' && refusals.last.reply.code === 503;

/* ---- content ---- */

function beginContent(plan: Plan, state: In<'envelope'>): Step {
  const { channel, transaction, refusals, isAlong } = state;
  if (isEnvelopeRefused(plan, state, refusals)) return failEnvelope(plan, endingOf(plan), state, refusals);
  const framing = framingOf(plan, channel, transaction);
  if (framing === 'data') return [{ at: 'data', channel, transaction, refusals, isAlong }, send('DATA')];
  return openContent(state, framing);
}

function openContent({ channel, transaction, refusals }: In<'envelope' | 'data'>, framing: Framing): Step {
  const state: In<'content'> = { at: 'content', channel, transaction, refusals, framing, blocks: 0, last: null };
  return [state, pull(state)];
}

function afterData(plan: Plan, ending: Ending, state: In<'data'>, reply: Reply): Step {
  const { refusals } = state;
  if (isWanted(state, reply)) {
    // No dot may follow a refused envelope, so only an abrupt end is left when 354 comes all the same.
    if (isEnvelopeRefused(plan, state, refusals)) return breakOutOfStep(plan, state, reply);
    return openContent(state, 'data');
  }
  return isEnvelopeRefused(plan, state, refusals)
    ? failEnvelope(plan, ending, state, refusals)
    : failRejected(ending, state, 'data', behind(refusals, { command: 'DATA', verb: 'DATA', recipient: null, reply }));
}

/** The refusals of the envelope, and the one that then failed the message for everybody else. */
const behind = (refusals: Refusals, refusal: Refusal): readonly [Refusal, ...Refusal[]] => toArray(extend(refusals, refusal));

const pull = ({ framing, channel, transaction }: In<'content'>): Action => {
  const isAnything = transaction.binary || transaction.eightBit === 'none' || offers(channel.extensions, '8BITMIME');
  const eightBit = isAnything ? 'pass' : transaction.withoutEightBit;
  return { do: 'pull', framing, eightBit: eightBit === 'send' ? 'pass' : eightBit };
};

const aheadOf = ({ extensions }: Channel): number => (offers(extensions, 'PIPELINING') ? BLOCKS_AHEAD : 1);

/** The driver was asked for a block, and has not given it yet. */
const isPulling = ({ framing, blocks, last, channel }: In<'content'>): boolean =>
  framing !== 'data' && last === null && blocks < aheadOf(channel);

/** Only the end of the content is missing: with BDAT the last block is at hand, and the server has accepted all others. */
const isComplete = ({ framing, blocks, last }: In<'content'>): boolean => framing === 'data' || (last !== null && blocks === 0);

function takeBlock(state: In<'content'>, octets: number, last: boolean): Step {
  if (last) return state.blocks === 0 ? [{ ...state, last: octets }, ...sendAllButTheEnd(octets)] : [{ ...state, last: octets }];
  const sent: In<'content'> = { ...state, blocks: state.blocks + 1 };
  const write: Action = { do: 'sendBlock', line: `BDAT ${octets}`, held: 0 };
  return isPulling(sent) ? [sent, write, pull(state)] : [sent, write];
}

/**
 * A block that is not complete is nothing (RFC 3030 §2), so all of the last one except its end may go out before the commit. A
 * block of no octets is complete with its command line, which therefore is the commit; a server might take a part of a line for one.
 */
const sendAllButTheEnd = (octets: number): Action[] =>
  octets === 0 ? [{ do: 'flush' }] : [{ do: 'sendBlock', line: lastLine(octets), held: Math.min(octets, HELD) }, { do: 'flush' }];

const lastLine = (octets: number): string => `BDAT ${octets} LAST`;

/** Takes a reply while content is being sent: it answers a BDAT block, or it is the server's early refusal of DATA's content. */
function afterBlock(plan: Plan, ending: Ending, state: In<'content'>, reply: Reply): Step {
  const refused = behind(state.refusals, {
    command: state.framing === 'data' ? 'the content' : 'BDAT',
    verb: state.framing === 'data' ? 'DATA' : 'BDAT',
    recipient: null,
    reply,
  });
  if (state.blocks === 0)
    return isRefusal(reply) ? [CLOSED, ...settleFailed(rejection('content', refused)), DESTROY] : breakOutOfStep(plan, state, reply);
  // While other blocks are unanswered, nobody could tell the reply to RSET from theirs.
  if (isRefusal(reply)) return failRejected(state.blocks > 1 ? 'leave' : ending, state, 'content', refused);
  const accepted: In<'content'> = { ...state, blocks: state.blocks - 1 };
  if (state.last !== null) return accepted.blocks === 0 ? [accepted, ...sendAllButTheEnd(state.last)] : [accepted];
  // Pulling stopped only when the window was full.
  return isPulling(state) ? [accepted] : [accepted, pull(state)];
}

function commitContent(plan: Plan, state: In<'content'>, rest: string, waiting: Transaction | undefined): Step {
  const { channel, transaction, refusals, framing, last } = state;
  if (rest !== '') {
    const detail = 'the server spoke before the content was complete';
    return breakOff(plan, state, { kind: 'malformed', ...where(plan, state), ...heardBehind(state, rest), detail });
  }
  const [next, along, ...notes] = waiting ? envelopeAlong(plan, channel, waiting) : [null, []];
  return [
    { at: 'commit', channel, transaction, refusals, replies: null, next },
    { do: 'commit', line: framing === 'data' ? '.' : last === 0 ? lastLine(0) : null, along },
    ...notes,
  ];
}

/**
 * RFC 2920 §3.1: content may be the first of a group, so the next envelope need not wait for the verdict. A transaction that
 * cannot begin here hears the reason in its turn.
 */
function envelopeAlong(plan: Plan, channel: Channel, waiting: Transaction): [In<'envelope'> | null, readonly string[], ...Action[]] {
  if (endingOf(plan) === 'leave' || channel.refusesAlong || !offers(channel.extensions, 'PIPELINING')) return [null, []];
  const [state, ...actions] = openTransaction(plan, channel, waiting, true);
  if (state.at !== 'envelope') return [null, []];
  let along: readonly string[] = [];
  const notes: Action[] = [];
  for (const action of actions)
    if (action.do === 'send') along = action.lines;
    else notes.push(action);
  return [state, along, ...notes];
}

function afterCommit(plan: Plan, ending: Ending, state: In<'commit'>, reply: Reply): Step {
  const replies = extend(state.replies, reply);
  if (replies.count < countVerdicts(plan, state)) return [{ ...state, replies }];
  const verdicts = toArray(replies);
  const accepted = verdicts.find((verdict) => isWanted(state, verdict));
  const refusals = refusalsOf(plan, state, verdicts);
  return afterVerdicts(
    plan,
    ending,
    state,
    verdicts,
    accepted
      ? [{ do: 'settle', outcome: { kind: 'accepted', reply: accepted, refusals } }]
      : settleFailed(rejection('commit', refusals as readonly [Refusal, ...Refusal[]])),
  );
}

/** Who does not have the message, by index: LMTP refuses some recipients before the content, and some behind it. */
function refusalsOf(plan: Plan, state: In<'commit'>, replies: readonly Reply[]): readonly Refusal[] {
  const refusals: Refusal[] = state.refusals ? [...toArray(state.refusals)] : [];
  const verb = verdictVerb(plan, state);
  if (plan.protocol === 'smtp') {
    for (const reply of replies) if (!isWanted(state, reply)) refusals.push({ command: 'the content', verb, recipient: null, reply });
    return refusals;
  }
  for (const { recipient, path, reply } of verdictsOf(state, replies))
    if (!isWanted(state, reply)) refusals.push({ command: `the content for ${printPath(path)}`, verb, recipient, reply });
  return refusals.sort((one, other) => (one.recipient as number) - (other.recipient as number));
}

/** Pairs LMTP's verdicts with the recipients whom the server has accepted, in the order of their RCPT. RFC 2033 §4.2 */
function verdictsOf({ transaction, refusals }: In<'commit'>, replies: readonly Reply[]): readonly Verdict[] {
  const refused = new Set(refusals && toArray(refusals).map(({ recipient }) => recipient));
  const accepted = transaction.recipients.flatMap(({ path }, recipient) => (refused.has(recipient) ? [] : [{ recipient, path }]));
  return replies.map((reply, i) => ({ ...(accepted[i] as Omit<Verdict, 'reply'>), reply }));
}

/** The command whose last reply is the verdict. */
const verdictVerb = (plan: Plan, { channel, transaction }: Sending): Verb =>
  framingOf(plan, channel, transaction) === 'data' ? 'DATA' : 'BDAT';

/**
 * All verdicts are in. Where one of them is 421, the server closes the session (RFC 5321 §3.8) and does not look at what went
 * along.
 */
function afterVerdicts(
  plan: Plan,
  ending: Ending,
  { channel, next }: In<'commit'>,
  verdicts: readonly Reply[],
  settle: readonly Action[],
): Step {
  const farewell = verdicts.find(({ code }) => code === 421);
  if (!farewell) return next ? [next, ...settle, { do: 'next' }] : endTransaction(ending, channel, settle, false);
  if (!next) return [CLOSED, ...settle, DESTROY];
  const [closed, ...actions] = breakOff(plan, next, lossBy421(plan, next, farewell));
  return [closed, ...settle, { do: 'next' }, ...actions];
}

/* ---- endings ---- */

/** Where the machine stands, what is to be answered there, and what a loss there rules out: never more than the address. */
function where(plan: Plan, state: State): { at: Phase; condemns: Condemned; verb?: Verb; command: string } {
  const { at } = state;
  const verb = awaitedVerb(plan, state);
  return {
    at,
    condemns: isIdle(state) ? 'nothing' : 'address',
    ...(verb && { verb }),
    command: awaitedCommand(plan, state),
  };
}

/** No message is under way whose outcome is not known. */
const isIdle = (state: State): boolean => STEPS[state.at].condemns === 'nothing' && !(state.at === 'reset' && state.again);

/** 421 counts as loss of the connection. RFC 5321 §3.8 */
const lossBy421 = (plan: Plan, state: State, reply: Reply, rest = ''): SessionFailure => ({
  kind: 'lost',
  ...where(plan, state),
  reply: showReply(state, reply),
  ...heardBehind(state, rest),
  detail: 'the server closes the session',
});

const settleFailed = (failure: SessionFailure): [Action] => [{ do: 'settle', outcome: { kind: 'failed', failure } }];

const rejection = (at: Phase, refusals: readonly [Refusal, ...Refusal[]]): SessionFailure => ({
  kind: 'rejected',
  at,
  condemns: STEPS[at].condemns,
  refusals,
});

const envelopeRejection = ({ partial }: Plan, refusals: LinkedList<Refusal>): SessionFailure => ({
  ...rejection('envelope', toArray(refusals)),
  ...(partial === 'any' ? { isAnyEnough: true as const } : {}),
});

/** Ends the session at once. After the commit nobody knows what became of the message. */
function breakOff(plan: Plan, state: Open, failure: SessionFailure): Step {
  if (isIdle(state)) return [CLOSED, ...(state.at === 'noop' ? [checked(failure)] : []), DESTROY];
  const outcome = state.at === 'commit' ? doubt(plan, state, failure) : (refusalBefore(plan, state, failure) ?? failure);
  return [CLOSED, ...settleFailed(outcome), DESTROY];
}

/** Nobody knows what became of the message, except for recipients about whom the server had said something before. */
function doubt(plan: Plan, state: In<'commit'>, instead: SessionFailure): SessionFailure {
  const replies = state.replies ? toArray(state.replies) : [];
  const refusals = refusalsOf(plan, state, replies);
  return {
    ...where(plan, state),
    kind: 'uncertain',
    condemns: 'message',
    instead,
    ...(refusals.length > 0 ? { refusals } : {}),
    ...(replies.length > 0 ? { verdicts: verdictsOf(state, replies), due: countVerdicts(plan, state) } : {}),
    detail: 'detail' in instead ? instead.detail : 'no reply came in time',
  };
}

/** What the server has refused for good stays refused, however the session ends: no other host is asked. */
function refusalBefore(plan: Plan, state: State, failure: SessionFailure): SessionFailure | null {
  if ((state.at !== 'envelope' && state.at !== 'data') || failure.kind === 'content' || isUnheard(state, state.refusals)) return null;
  return isEnvelopeRefused(plan, state, state.refusals) ? envelopeRejection(plan, state.refusals) : null;
}

/** Ends the session at a reply that nobody waits for, or of a kind that cannot come here; the octets behind it mostly say why. */
const breakOutOfStep = (plan: Plan, state: Open, reply: Reply, rest = ''): Step =>
  breakOff(plan, state, {
    kind: 'malformed',
    ...where(plan, state),
    reply: showReply(state, reply),
    ...heardBehind(state, rest),
    detail: 'unexpected reply',
  });

/** What a server has said behind the last reply. Nothing of AUTH may help anybody to guess a password. */
const heardBehind = ({ at }: State, rest: string): { readonly heard?: string } =>
  rest === '' ? {} : { heard: (at === 'auth' ? maskLines : String)(rest.slice(0, LONGEST_HEARD)) };
const showReply = ({ at }: State, reply: Reply): Reply => (at === 'auth' ? maskReply(reply) : reply);

/** Fails at a refusal before any transaction: the session says QUIT and is over. */
function failRefused(plan: Plan, ending: Ending, state: Open, command: string, reply: Reply): Step {
  const verb = awaitedVerb(plan, state);
  const refusal: Refusal = { command, ...(verb && { verb }), recipient: null, reply: showReply(state, reply) };
  return quit(ending, settleFailed(rejection(state.at, [refusal])));
}

const lacking = (at: Phase, condemns: Condemned, unmet: Unmet & { readonly verb?: Verb; readonly reply?: Reply }): SessionFailure => ({
  kind: 'unsupported',
  at,
  condemns,
  ...unmet,
});

/** Fails because this server lacks what the plan requires. */
const failLacking = (
  ending: Ending,
  { at }: State,
  condemns: Condemned,
  lacks: Lack,
  detail: string,
  answered?: { readonly verb?: Verb; readonly reply?: Reply },
): Step => quit(ending, settleFailed(lacking(at, condemns, { lacks, ...answered, detail })));

/** Fails at a refusal within a transaction: the message is not sent, and the session may go on. */
const failRejected = (ending: Ending, { channel }: Sending, at: Phase, refusals: readonly [Refusal, ...Refusal[]]): Step =>
  endTransaction(ending, channel, settleFailed(rejection(at, refusals)), true);

function failEnvelope(plan: Plan, ending: Ending, state: In<'envelope' | 'data'>, refusals: LinkedList<Refusal>): Step {
  const { channel, transaction } = state;
  if (!isUnheard(state, refusals)) return endTransaction(ending, channel, settleFailed(envelopeRejection(plan, refusals)), true);
  if (ending === 'leave') return breakOutOfStep(plan, state, refusals.last.reply);
  return [{ at: 'reset', channel: { ...channel, refusesAlong: true }, again: transaction }, send('RSET')];
}

function afterReset(plan: Plan, state: In<'reset'>, reply: Reply): Step {
  const { channel, again } = state;
  if (!isWanted(state, reply)) return breakOutOfStep(plan, state, reply);
  return again ? openTransaction(plan, channel, again) : awaitTransaction(channel);
}

/** Fails because the transaction cannot begin. */
const failUnsupported = (plan: Plan, channel: Channel, condemns: Condemned, unmet: Unmet): Step =>
  endTransaction(endingOf(plan), channel, settleFailed(lacking('ready', condemns, unmet)), false);

/**
 * Ends a transaction with its outcome and goes on to QUIT, or to the next transaction, after RSET when one is half open. RFC
 * 5321 §4.1.1.5
 */
function endTransaction(ending: Ending, channel: Channel, settle: readonly Action[], isHalfOpen: boolean): Step {
  if (ending === 'leave') return quit(ending, settle);
  return isHalfOpen ? [{ at: 'reset', channel, again: null }, ...settle, send('RSET')] : awaitTransaction(channel, settle);
}

/**
 * Deviation: RFC 5321 §4.1.1.10 has the client wait for the reply to QUIT; the verdict is known, and a command must not wait
 * for courtesy.
 */
function quit(ending: Ending, settle: readonly Action[]): Step {
  return ending === 'leave' ? [CLOSED, ...settle, send('QUIT'), { do: 'close' }] : [{ at: 'quit' }, ...settle, send('QUIT')];
}

/** Names what the session waits for, for people: a command as it stands in the transcript, or what is no command. */
function awaitedCommand(plan: Plan, state: State): string {
  switch (state.at) {
    case 'greeting':
      return 'the greeting';
    case 'handshake':
      return 'the TLS handshake';
    case 'auth':
      return `AUTH ${state.mechanism}`;
    case 'envelope':
      return state.commands[state.answered] as string;
    case 'content':
      return state.blocks > 0 ? 'BDAT' : 'the content';
    case 'commit':
      return 'the end of the content';
    default:
      return awaitedVerb(plan, state) ?? 'nothing';
  }
}

const VERBS: Partial<Record<Phase, Verb>> = { starttls: 'STARTTLS', auth: 'AUTH', data: 'DATA', noop: 'NOOP', reset: 'RSET' };

/** The command that the next reply answers; none at first, and between commands. The replies to content answer DATA or BDAT. */
function awaitedVerb(plan: Plan, state: State): Verb | undefined {
  if (state.at === 'hello') return state.verb;
  if (state.at === 'envelope') return state.answered === 0 ? 'MAIL' : 'RCPT';
  return state.at === 'content' || state.at === 'commit' ? verdictVerb(plan, state) : VERBS[state.at];
}
