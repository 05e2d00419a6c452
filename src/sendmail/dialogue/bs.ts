/**
 * SMTP on standard input and output (`-bs`), and the same without replies (`-bS`), with cut-through: recipients are
 * routed as they come, content goes to the smart host while it comes, and the smart host's verdict is the reply to its
 * end. What may be said when is the machine's of `src/smtp/server/machine.ts`; what becomes of a message, `src/submit`'s.
 */

import type { Config } from '../../config/config.ts';
import { CLEAN } from '../../message/source.ts';
import { DRAIN, record, refuse, report, unsent } from '../../process/report.ts';
import { abortable, type Interrupts, listenForSignals } from '../../process/signals.ts';
import { complain, conversation } from '../../process/stderr.ts';
import { drain, openStdin } from '../../process/stdin/open.ts';
import { printProblem, printProblems } from '../../router/problem.ts';
import type { Refusal } from '../../smtp/client/outcome.ts';
import type { Notify, Recipient } from '../../smtp/client/print.ts';
import { atMost } from '../../smtp/line.ts';
import { never } from '../../smtp/parsed.ts';
import { type ForwardPath, parseMailbox, type ReversePath } from '../../smtp/path.ts';
import { digit, type Reply } from '../../smtp/reply.ts';
import { makeReply, replyLines } from '../../smtp/server/answers.ts';
import { makeReception, type Performed } from '../../smtp/server/input.ts';
import { type OwnerQuestion, RECEIVING, type Receiving, USUAL_EXTENSIONS } from '../../smtp/server/machine.ts';
import { type Parameter, parameterOf } from '../../smtp/server/parse.ts';
import { fromUtf8, latin1, printable } from '../../smtp/text.ts';
import { helloName } from '../../submit/domain.ts';
import { logId } from '../../submit/log.ts';
import { openLog } from '../../submit/logfile.ts';
import { type Outcome, printOutcome } from '../../submit/outcome.ts';
import type { RoutingDialogue } from '../../submit/routing.ts';
import { systemSecurity } from '../../submit/security.ts';
import { unlessAborted } from '../../submit/session.ts';
import { reversePathOf, routingDialogue, type Submitted, type Submitter, submitMessage } from '../../submit/submission.ts';
import type { Invocation } from '../options.ts';
import { type Feed, makeFeed, withNetworkLineEnds } from './feed.ts';
import { openReplies } from './replies.ts';

export { keepRepliesAlone } from './replies.ts';

/** A transaction from MAIL on. */
interface Transaction {
  readonly reversePath: ReversePath;
  readonly parameters: readonly Parameter[];
  readonly by: Submitter;
  /** null once content may come: what it keeps is needed no more. */
  routing: Pick<RoutingDialogue, 'add'> | null;
  readonly recipients: Recipient[];
  /** What was refused in it, as sentences. */
  readonly refused: string[];
  /** Not null once content may come. */
  sending: { readonly feed: Feed; readonly submitted: Promise<Submitted> } | null;
  /** The octets of content that came last, for a guess at what went wrong. */
  tail: Uint8Array;
}

const WITHDRAWN = 'the client has withdrawn the message';
/** Texts of one reply: many refusals are told, all of them only in the log. A client may limit replies as we do (`smtp/reply.ts`). */
const MOST_TEXTS = 100;

/** Says why nobody can speak here, to a client that waits for the greeting. */
export async function refuseToSpeak(details: readonly string[]): Promise<void> {
  const replies = openReplies();
  replies.write(printed(replyLines(makeReply(554, '5.3.5', ...told(details)))));
  // A client that says QUIT would wait for its answer.
  await Promise.race([replies.end(), shortly()]);
}

/** A client that does not read what is said last is not waited for (milliseconds). */
const LAST_WORDS = 200;
const shortly = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, LAST_WORDS));

/** Speaks until QUIT, the end of the input or a signal; the value is the exit status. `batch`: no replies, and the first failure ends it. */
export async function speakSmtp(config: Config, by: Submitter, invocation: Invocation, batch: boolean): Promise<number> {
  const stdin = openStdin();
  if (stdin.inetdPort !== null) {
    await refuse(['no SMTP on a network socket: nospool is not a server'], { ...config, login: by.login, tag: invocation.tag });
    return 1;
  }
  stdin.place?.follow();
  const interrupts = listenForSignals(stdin.isTerminal);
  const { signal } = interrupts;
  const input = abortable(stdin.isTerminal || batch ? withNetworkLineEnds(stdin, stdin.isTerminal) : stdin, signal);
  const replies = batch ? null : openReplies();
  const owner = makeOwner(config, by, invocation, interrupts);
  let asking: Promise<void> = Promise.resolve();
  let heard = '';
  /** What the line that was heard last has asked so far. */
  let asked: OwnerQuestion['about'] | null = null;
  /** Why an open transaction ends with the dialogue. */
  let ending = WITHDRAWN;
  /** What ended a batch, as a sentence; '' when it was told already. */
  let stopped: string | null = null;
  let open = false;
  /** Why it ended is told with the message. */
  let reported = false;

  function perform(action: Performed): void {
    switch (action.do) {
      case 'ask':
        asked = action.question.about;
        asking = owner.judge(action.question).then((reply) => reception.answer(reply));
        break;
      case 'reply':
        replies?.write(printed(action.lines));
        if (batch && isRefusal(action.lines) && stopped === null) {
          // A verdict on content has been told in full.
          stopped = asked === 'content' ? '' : `${heard}: ${action.lines.join(' / ')}`;
          reception.tell('lost');
        }
        break;
      case 'content':
        owner.content(action.octets);
        break;
      case 'heard':
        heard = printable(action.line);
        asked = null;
        break;
      case 'abandon':
        open = reception.state.at === 'closed';
        reported = owner.abandon(open ? ending : WITHDRAWN);
        break;
      case 'startTls':
      case 'close':
        break;
      /* c8 ignore next 2 */
      default:
        never(action);
    }
  }

  const reception = makeReception(settings(config, by), perform);
  reception.begin(false);
  for (;;) {
    // An answer may lead to the next question without another octet.
    while (reception.state.at === 'judging') await asking;
    await owner.taken();
    if (replies) await unless(signal, replies.ready());
    if (reception.state.at === 'closed') break;
    const got = await input.read();
    if (got instanceof Uint8Array) {
      reception.hear(got);
      continue;
    }
    ending = got.end === 'failed' ? got.detail : owner.incomplete();
    reported = false;
    if (signal.aborted && !batch) reception.tell('closing');
    else if (got.end === 'clean') reception.end();
    else reception.tell('lost');
    // What could not be read belongs to the batch, too.
    if (batch && got.end === 'failed') stopped ??= reported ? '' : got.detail;
  }
  await owner.settled();
  if (replies) await (signal.aborted ? Promise.race([replies.end(), shortly()]) : unless(signal, replies.end()));
  let { status } = owner;
  if (batch && (open || stopped !== null)) {
    if (stopped) complain([stopped]);
    complain([
      `the batch ended at message ${owner.delivered + 1}: the ${owner.delivered} before it were delivered, nothing after it was read`,
    ]);
    status ||= 1;
    if (!signal.aborted) await drain(stdin, DRAIN);
  }
  stdin.close();
  return status;
}

const printed = (lines: readonly string[]): string => lines.map((line) => `${line}\r\n`).join('');

const isRefusal = ([first = '']: readonly string[]): boolean => /^[45]/.test(first);

/** The work, or the signal if that comes first. */
function unless(signal: AbortSignal, work: Promise<void>): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done);
    void work.then(done);
  });
}

/** The client is a program of this host and was started by whoever sends: it need not greet, and may err as often as it likes. */
function settings(config: Config, by: Submitter): Receiving {
  return {
    ...RECEIVING,
    hostname: helloName(config.hostname || by.hostname) || 'localhost',
    extensions: USUAL_EXTENSIONS,
    sizeLimit: Number.POSITIVE_INFINITY,
    // They end lines in a message given in any other way, too; only CR LF . CR LF ends the content.
    bareLineEnds: 'accept',
    lfEndsCommands: true,
    helloOptional: true,
    faultLimit: Number.POSITIVE_INFINITY,
  };
}

/* ---- messages ---- */

interface Owner {
  judge(question: OwnerQuestion): Promise<Reply | null>;
  content(octets: Uint8Array): void;
  /** The transaction ends without a verdict. True if that will be told on standard error: its content had begun. */
  abandon(why: string): boolean;
  /** Resolves when octets of content that were given are needed no more. */
  taken(): Promise<void>;
  /** Resolves when every transaction that has ended is in the log. */
  settled(): Promise<void>;
  /** Why the transaction that is open fails if no more octets come. */
  incomplete(): string;
  readonly delivered: number;
  /** 0 as long as every message whose content began was delivered. */
  readonly status: number;
}

function makeOwner(config: Config, by: Submitter, { verbosity, tag }: Invocation, { signal, urgent }: Interrupts): Owner {
  const trace = conversation(verbosity);
  const security = systemSecurity(process.env);
  let transaction: Transaction | null = null;
  let settling: Promise<void> = Promise.resolve();
  let delivered = 0;
  let status = 0;
  let latest = 0;

  /** Two messages of one millisecond still differ. */
  function submitter(): Submitter {
    latest = Math.max(Date.now(), latest + 1);
    return { ...by, date: new Date(), unique: logId(new Date(latest), process.pid) };
  }

  function begun(reversePath: ReversePath, parameters: readonly Parameter[]): Reply | null {
    const sender = reversePathOf(config, by, reversePath);
    const who = submitter();
    if (!sender.ok) {
      settle(async () => void (await record(unsent({ kind: 'message', detail: sender.detail }), config, who, openLog(config.log, tag))));
      return makeReply(550, '5.1.7', sender.detail);
    }
    const routing = routingDialogue(config, by, sender.value.reversePath);
    transaction = { reversePath, parameters, by: who, routing, recipients: [], refused: [], sending: null, tail: new Uint8Array(0) };
    return null;
  }

  async function routed(current: Transaction, path: ForwardPath, parameters: readonly Parameter[]): Promise<Reply | null> {
    const problems = await unlessAborted((current.routing as RoutingDialogue).add(path), signal);
    if (problems === null) return makeReply(451, '4.3.2', String(signal.reason));
    if (problems.length === 0) {
      current.recipients.push(recipientOf(path, parameters));
      return null;
    }
    const details = problems.map(printProblem);
    current.refused.push(...printProblems(problems));
    // An address that only cannot go together with those before it may do so in the next transaction.
    const later = problems.every(({ kind }) => kind === 'deferred' || kind === 'disagree');
    const detail = problems[0]?.kind === 'disagree' ? '5.3' : later ? '3.0' : '1.1';
    return later ? makeReply(451, `4.${detail}`, ...told(details)) : makeReply(550, `5.${detail}`, ...told(details));
  }

  async function send(current: Transaction): Promise<null> {
    current.routing = null;
    // One at a time: a transaction that was withdrawn may still be closing its connection.
    await settling;
    const feed = makeFeed();
    const ret = parameterOf(current.parameters, 'RET')?.toUpperCase();
    const envid = parameterOf(current.parameters, 'ENVID');
    const submitted = submitMessage(
      {
        config,
        by: current.by,
        input: abortable(feed.source, signal),
        wanted: { paths: current.recipients },
        reversePath: current.reversePath,
        dotEnds: false,
        ...(ret ? { ret: ret as 'FULL' | 'HDRS' } : {}),
        ...(envid ? { envid: fromXtext(envid) } : {}),
      },
      { security, signal, urgent, ...(trace ? { trace } : {}) },
    );
    void submitted.then(feed.drop);
    current.sending = { feed, submitted };
    return null;
  }

  async function finished(current: Transaction, sending: NonNullable<Transaction['sending']>): Promise<Submitted> {
    const log = openLog(config.log, tag);
    const submitted = await sending.submitted;
    const notes = [...current.refused, ...submitted.notes];
    const ended = await report({ ...submitted, notes }, config, current.by, log, verbosity);
    if (ended === 0) delivered++;
    else status ||= ended;
    return submitted;
  }

  const settle = (work: () => Promise<unknown>): void => {
    settling = settling.then(work).then(() => undefined);
  };

  return {
    async judge(question) {
      switch (question.about) {
        case 'connection':
          return null;
        case 'sender':
          return begun(question.path, question.parameters);
        case 'recipient':
          return routed(transaction as Transaction, question.path, question.parameters);
        case 'data':
          return send(transaction as Transaction);
        case 'content': {
          const current = transaction as Transaction;
          const sending = current.sending as NonNullable<Transaction['sending']>;
          transaction = null;
          sending.feed.end(CLEAN);
          return verdictOn(await finished(current, sending));
        }
        case 'credentials':
          return makeReply(502, '5.5.1', 'AUTH is not offered');
        /* c8 ignore next 2 */
        default:
          return never(question);
      }
    },
    content(octets) {
      if (transaction === null) return;
      transaction.tail = octets;
      transaction.sending?.feed.give(octets);
    },
    abandon(why) {
      const current = transaction;
      transaction = null;
      if (current === null) return false;
      const { sending, refused, by: who } = current;
      if (sending !== null) {
        sending.feed.end({ end: 'failed', detail: why });
        settle(() => finished(current, sending));
      } else if (refused.length > 0) {
        const failure = unsent({ kind: 'route', details: refused, deferred: false });
        settle(() => record({ ...failure, reversePath: current.reversePath }, config, who, openLog(config.log, tag)));
      }
      return sending !== null;
    },
    taken: () => transaction?.sending?.feed.taken() ?? Promise.resolve(),
    settled: () => settling,
    incomplete() {
      const lone = transaction !== null && /\n\.\r?\n/.test(latin1(transaction.tail));
      return `standard input ended before the end of the content, which is a line with a single dot, CR LF . CR LF${lone ? '; a dot is there, but the lines around it end with LF alone' : ''}`;
    },
    get delivered() {
      return delivered;
    },
    get status() {
      return status;
    },
  };
}

/** RFC 3461 §4.1 and §4.2; an original recipient that is no mailbox is left out. */
function recipientOf(path: ForwardPath, parameters: readonly Parameter[]): Recipient {
  const notify = parameterOf(parameters, 'NOTIFY')?.toUpperCase().split(',') as Notify[] | undefined;
  const written = /^(?:rfc822|utf-8);(.+)$/i.exec(parameterOf(parameters, 'ORCPT') ?? '')?.[1];
  const original = written === undefined ? null : parseMailbox(fromXtext(written));
  return { path, ...(notify ? { notify } : {}), ...(original?.ok ? { original: original.value } : {}) };
}

/** RFC 3461 §4: "+HH" is an octet; the octets are UTF-8. */
function fromXtext(text: string): string {
  const octets = text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return fromUtf8(octets) ?? octets;
}

/* ---- verdicts ---- */

/** The reply to the end of the content. */
export function verdictOn({ outcome, messageId }: Pick<Submitted, 'outcome' | 'messageId'>): Reply {
  if (outcome.kind === 'discarded') return makeReply(250, '2.0.0', 'the aliases discard every recipient: nothing was sent');
  if (outcome.kind === 'accepted' && outcome.by.refusals.length === 0)
    return { ...outcome.by.reply, code: 250, lines: withEnhanced(outcome.by.reply) };
  const { code, enhanced } = refusalOf(outcome);
  return makeReply(code, enhanced, ...told(printOutcome(outcome, messageId)));
}

const told = (texts: readonly string[]): readonly string[] => atMost(texts, MOST_TEXTS, ', see the log');

/** The smart host's own words, with the enhanced code that this side has promised. RFC 2034 §4 */
function withEnhanced({ enhanced, lines }: Reply): readonly string[] {
  return enhanced === null ? lines.map((line) => `2.0.0 ${line}`) : lines;
}

function refusalOf(outcome: Exclude<Outcome, { kind: 'discarded' }>): { readonly code: number; readonly enhanced: string } {
  if (outcome.kind === 'accepted') return codeOf(outcome.by.refusals);
  const { failure } = outcome;
  switch (failure.kind) {
    case 'route':
      return failure.deferred ? { code: 451, enhanced: '4.3.0' } : { code: 550, enhanced: '5.1.1' };
    case 'message':
      return { code: 554, enhanced: '5.6.0' };
    case 'config':
    case 'usage':
      return { code: 554, enhanced: '5.3.5' };
    case 'uncertain':
      // A client that comes again by itself after 4yz would make two messages of it.
      return { code: 554, enhanced: '5.4.2' };
    case 'rejected':
      // What a smart host refuses before MAIL is between it and this host.
      return failure.condemns === 'message' ? codeOf(failure.refusals) : { code: 451, enhanced: '4.4.0' };
    case 'unsupported':
      return { code: 451, enhanced: failure.isOurs ? '4.3.5' : '4.4.1' };
    case 'connect':
    case 'malformed':
    case 'timeout':
    case 'lost':
      return { code: 451, enhanced: '4.4.1' };
    case 'content':
      return { code: 451, enhanced: '4.3.0' };
    /* c8 ignore next 2 */
    default:
      return never(failure);
  }
}

/** The first that is for good, else the first. */
function codeOf(refusals: readonly Refusal[]): { readonly code: number; readonly enhanced: string } {
  const { reply } = (refusals.find((refusal) => digit(refusal.reply) === 5) ?? refusals[0]) as Refusal;
  const { code, enhanced } = reply;
  // 421 would end this dialogue, too.
  if (code === 421) return { code: 451, enhanced: '4.4.0' };
  return { code, enhanced: enhanced ? `${enhanced.class}.${enhanced.subject}.${enhanced.detail}` : `${digit(reply)}.0.0` };
}
