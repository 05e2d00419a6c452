/**
 * The owner of the messages that a client gives: answers what the machine asks about senders, recipients and content,
 * submits each message while its content comes, and tells people and the log what became of it. Knows no line that the
 * client said, and neither -bs nor -bS.
 */

import type { Config } from '../../config/config.ts';
import { CLEAN, type Ended } from '../../message/source.ts';
import { commandNames } from '../../process/names.ts';
import type { Reports } from '../../process/report.ts';
import { makeAbortable } from '../../process/signals.ts';
import { chooseSockets } from '../../process/sockets.ts';
import { nameMessage } from '../../process/submitter.ts';
import { printProblems } from '../../router/problem.ts';
import type { Recipient } from '../../smtp/client/print.ts';
import { never } from '../../smtp/parsed.ts';
import type { ForwardPath, ReversePath } from '../../smtp/path.ts';
import type { Reply } from '../../smtp/reply.ts';
import { makeReply } from '../../smtp/server/answers.ts';
import type { OwnerQuestion } from '../../smtp/server/machine.ts';
import type { Parameter } from '../../smtp/server/parse.ts';
import { latin1 } from '../../smtp/text.ts';
import { chooseReversePath, domainsOf, failRouting } from '../../submit/envelope.ts';
import { type Interrupts, unlessAborted } from '../../submit/interrupts.ts';
import type { Failure } from '../../submit/outcome.ts';
import { type RoutingDialogue, routingDialogue } from '../../submit/routing-dialogue.ts';
import { systemSecurity } from '../../submit/security.ts';
import { submitMessage } from '../../submit/story.ts';
import { failUnsent, type Submitted, type Submitter } from '../../submit/submission.ts';
import { readMailDsn, readRecipientDsn } from './dsn-parameters.ts';
import { makePushedSource, type PushedSource } from './pushed-source.ts';
import { refuseRecipient, verdictOn } from './verdict.ts';

export interface Messages {
  /** Answers a question of the machine; null is yes. */
  judge(question: OwnerQuestion): Promise<Reply | null>;
  addContent(octets: Uint8Array): void;
  /**
   * Ends the message that is open, without a verdict. `ended` is how the input ended; null if the client withdrew the message
   * before that. The value is true if standard error will say why, because content had begun.
   */
  abandon(ended: Ended | null): boolean;
  /** Resolves when the octets that were added are needed no more. */
  waitUntilConsumed(): Promise<void>;
  /** Resolves when every message that has ended is in the log. */
  waitUntilLogged(): Promise<void>;
  readonly tally: Tally;
  /** Why the last command that was refused was refused; null if none was. */
  readonly refused: Failure | null;
}

export interface Tally {
  readonly delivered: number;
  /** The exit status: 0 as long as every message whose content began was delivered. */
  readonly status: number;
}

/** A message as far as its transaction has come. */
interface OpenMessage {
  readonly reversePath: ReversePath;
  readonly parameters: readonly Parameter[];
  readonly by: Submitter;
  readonly recipients: Recipient[];
  /** Sentences about the recipients that were refused. */
  readonly refusals: string[];
}

type OwnerState =
  | { readonly at: 'idle' }
  /** From MAIL on. Routing keeps much, and this state takes it away with itself, because content needs none of it. */
  | { readonly at: 'collecting'; readonly message: OpenMessage; readonly routing: RoutingDialogue }
  /** From DATA or the first BDAT on. `tail` is the chunk that came last, for a guess at what went wrong. */
  | {
      readonly at: 'sending';
      readonly message: OpenMessage;
      readonly content: PushedSource;
      readonly submitted: Promise<Submitted>;
      readonly tail: Uint8Array;
    };

type OwnerStateAt<A extends OwnerState['at']> = Extract<OwnerState, { at: A }>;

const IDLE: OwnerState = { at: 'idle' };
const WITHDRAWN = 'the client has withdrawn the message';

export function makeMessages(config: Config, by: Submitter, reports: Reports, interrupts: Interrupts): Messages {
  const { signal } = interrupts;
  const domains = domainsOf(config, by.hostname);
  const security = systemSecurity(process.env);
  const nextSubmitter = numberSubmitters(by);
  let state: OwnerState = IDLE;
  let tally: Tally = { delivered: 0, status: 0 };
  let refused: Failure | null = null;
  /** Resolves when every message that has ended is in the log. */
  let logged: Promise<void> = Promise.resolve();

  /** The machine asks only what goes with the state, so anything else is a bug. */
  function stateAt<A extends OwnerState['at']>(at: A): OwnerStateAt<A> {
    if (state.at === at) return state as OwnerStateAt<A>;
    throw new Error(`bug: ${at} was expected at ${state.at}`);
  }

  function doAfterwards(work: () => Promise<unknown>): void {
    logged = logged.then(work).then(() => undefined);
  }

  function begin(reversePath: ReversePath, parameters: readonly Parameter[]): Reply | null {
    const sender = chooseReversePath(config, domains, by.login, reversePath);
    const submitter = nextSubmitter();
    if (!sender.ok) {
      refused = { kind: 'config', details: [sender.detail] };
      const unsent = failUnsent(refused);
      doAfterwards(() => reports.open().log(unsent, submitter));
      return makeReply(550, '5.1.7', sender.detail);
    }
    const routing = routingDialogue(config, domains, sender.value.reversePath);
    state = { at: 'collecting', message: { reversePath, parameters, by: submitter, recipients: [], refusals: [] }, routing };
    return null;
  }

  async function addRecipient(path: ForwardPath, parameters: readonly Parameter[]): Promise<Reply | null> {
    const { message, routing } = stateAt('collecting');
    const problems = await unlessAborted(routing.add(path), signal);
    if (problems === null) return makeReply(451, '4.3.2', String(signal.reason));
    if (problems.length > 0) {
      refused = failRouting(config, problems);
      message.refusals.push(...printProblems(problems));
      return refuseRecipient(problems);
    }
    message.recipients.push(readRecipientDsn(path, parameters));
    return null;
  }

  async function beginContent(): Promise<null> {
    const { message } = stateAt('collecting');
    // One at a time: a message that was withdrawn may still be closing its connection.
    await logged;
    const content = makePushedSource();
    const submitted = submitMessage(
      {
        config,
        by: message.by,
        input: makeAbortable(content.source, signal),
        recipients: { paths: message.recipients },
        reversePath: message.reversePath,
        dotEnds: false,
        ...readMailDsn(message.parameters),
      },
      { security, interrupts, observer: { trace: reports.trace }, names: commandNames, connect: await chooseSockets() },
    );
    void submitted.then(content.discard);
    state = { at: 'sending', message, content, submitted, tail: new Uint8Array(0) };
    return null;
  }

  /** Tells what became of a message whose content has ended. */
  async function finish({ message, submitted }: OwnerStateAt<'sending'>): Promise<Submitted> {
    const report = reports.open();
    const done = await submitted;
    const notes = [...message.refusals, ...done.notes];
    const status = await report.tell({ ...done, notes }, message.by);
    tally = { delivered: tally.delivered + (status === 0 ? 1 : 0), status: tally.status || status };
    return done;
  }

  async function endContent(): Promise<Reply> {
    const sending = stateAt('sending');
    state = IDLE;
    sending.content.end(CLEAN);
    return verdictOn(await finish(sending));
  }

  return {
    async judge(question) {
      switch (question.about) {
        case 'connection':
          return null;
        case 'sender':
          return begin(question.path, question.parameters);
        case 'recipient':
          return addRecipient(question.path, question.parameters);
        case 'data':
          return beginContent();
        case 'content':
          return endContent();
        case 'credentials':
          return makeReply(502, '5.5.1', 'AUTH is not offered');
        /* c8 ignore next 2 */
        default:
          return never(question);
      }
    },
    addContent(octets) {
      if (state.at !== 'sending') return;
      state = { ...state, tail: octets };
      state.content.push(octets);
    },
    abandon(ended) {
      const left = state;
      state = IDLE;
      if (left.at === 'sending') {
        left.content.end({ end: 'failed', detail: ended === null ? WITHDRAWN : explainEnd(ended, left.tail) });
        doAfterwards(() => finish(left));
      } else if (left.at === 'collecting' && left.message.refusals.length > 0) {
        const { refusals, reversePath, by: submitter } = left.message;
        const unsent = failUnsent({ kind: 'route', details: refusals, deferred: false });
        doAfterwards(() => reports.open().log({ ...unsent, reversePath }, submitter));
      }
      return left.at === 'sending';
    },
    waitUntilConsumed: () => (state.at === 'sending' ? state.content.waitUntilConsumed() : Promise.resolve()),
    waitUntilLogged: () => logged,
    get tally() {
      return tally;
    },
    get refused() {
      return refused;
    },
  };
}

/** Gives each message a date and an id of its own, also two of one millisecond. */
function numberSubmitters(by: Submitter): () => Submitter {
  let latest = 0;
  return () => {
    latest = Math.max(Date.now(), latest + 1);
    return { ...by, date: new Date(), ...nameMessage(new Date(latest)) };
  };
}

/** Says why a message fails whose content the end of the input cut short. */
function explainEnd(ended: Ended, tail: Uint8Array): string {
  if (ended.end === 'failed') return ended.detail;
  const hasDot = /\n\.\r?\n/.test(latin1(tail));
  return `standard input ended before the end of the content, which is a line with a single dot, CR LF . CR LF${hasDot ? '; a dot is there, but the lines around it end with LF alone' : ''}`;
}
