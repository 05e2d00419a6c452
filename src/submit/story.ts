/**
 * The story of one submission: envelope, route, content, attempts, outcome. Reads one message from a source that it is
 * handed; knows no command line, no descriptor and no signal.
 */
import { skip, takeBody } from '../message/body.ts';
import { type Head, readHead } from '../message/head.ts';
import { type LoneDot, untilDot } from '../message/lone-dot.ts';
import type { Source } from '../message/source.ts';
import { NO_SMARTHOST } from '../router/resolve.ts';
import type { Route } from '../router/route.ts';
import type { Recipient } from '../smtp/client/print.ts';
import type { ReversePath } from '../smtp/path.ts';
import { type ComposedContent, composeContent } from './content.ts';
import { type DeliveryOptions, deliver } from './delivery.ts';
import { asciiDomain, fullName } from './domain.ts';
import { ContentEngine } from './engine.ts';
import {
  addressRecipients,
  chooseReversePath,
  collectGiven,
  type Domains,
  domainsOf,
  failRouting,
  hasNoSmarthost,
  routeRecipients,
  type Sender,
} from './envelope.ts';
import { unlessAborted } from './interrupts.ts';
import type { Failure } from './outcome.ts';
import type { Routing } from './routing.ts';
import type { SessionObserver } from './session.ts';
import { endWith, failUnsent, NO_FACTS, type Submission, type SubmissionFacts, type Submitted } from './submission.ts';

/** Who looks on while a message is submitted. */
export interface StoryObserver extends SessionObserver {
  /** Shows how the recipients are routed, whether or not they can be (-d). */
  readonly routed?: ((routing: Routing) => void) | undefined;
  /** Shows where a lone dot ended the message, perhaps more than once. */
  readonly loneDot?: ((dot: LoneDot) => void) | undefined;
}

/** What the configuration does not know. */
export interface StoryOptions extends Pick<DeliveryOptions, 'security' | 'interrupts' | 'names' | 'connect'> {
  readonly observer?: StoryObserver | undefined;
}

/** Octets of content from which on the kernel pays. */
const LONG = 256 * 1024;

const ofConfig = (details: readonly string[]): Failure => ({ kind: 'config', details });
const ofMessage = (detail: string): Failure => ({ kind: 'message', detail });
const ofInput = (detail: string, reason: 'input' | 'aborted' = 'input'): Failure => ({
  kind: 'content',
  at: 'closed',
  condemns: 'message',
  reason,
  detail,
});

/** Submits one message. Never rejects for anything that a message, a file or a server does. */
export async function submitMessage(submission: Submission, options: StoryOptions): Promise<Submitted> {
  const { config, by } = submission;
  const domains = domainsOf(config, by.hostname);
  const sender = chooseReversePath(config, domains, by.login, submission.reversePath);
  if (!sender.ok) return failUnsent(ofConfig([sender.detail]));
  const { reversePath } = sender.value;
  const known: SubmissionFacts = { ...NO_FACTS, reversePath };
  const upToDot = (input: Source): Source => (submission.dotEnds ? untilDot(input, options.observer?.loneDot) : input);
  const source = upToDot(submission.input);
  const head = await readHead(source, { limit: config.headerLimit });
  if (!head.ok) return endWith(known, ('end' in head ? ofInput : ofMessage)(head.detail));
  const given = collectGiven(config, domains, submission.recipients, head.value.fields);
  if (!given.ok) return endWith(known, hasNoSmarthost(config) ? ofConfig([NO_SMARTHOST]) : ofMessage(given.detail));
  const paths = given.value.map(({ path }) => path);
  const signal = options.interrupts?.signal;
  // An alias file may lie on a server that does not answer.
  const routing = await unlessAborted(routeRecipients(config, domains, reversePath, paths), signal);
  if (routing === null) return endWith(known, ofInput(String(signal?.reason), 'aborted'));
  options.observer?.routed?.(routing);
  return sendRouted({ submission, options, domains, sender: sender.value, head: head.value, source, upToDot, given: given.value }, routing);
}

/** A submission whose header section was read. */
interface Begun {
  readonly submission: Submission;
  readonly options: StoryOptions;
  readonly domains: Domains;
  readonly sender: Sender;
  readonly head: Head;
  /** The message behind what was read of it, and any other opening of it, up to the dot that ends it. */
  readonly source: Source;
  readonly upToDot: (input: Source) => Source;
  readonly given: readonly Recipient[];
}

async function sendRouted(begun: Begun, { route, reversePath, recipients, discarded, problems }: Routing): Promise<Submitted> {
  const known: SubmissionFacts = { ...NO_FACTS, reversePath, recipients, discarded };
  if (problems.length > 0) return endWith(known, failRouting(begun.submission.config, problems));
  if (route === null) return { ...known, outcome: { kind: 'discarded' } };
  const { errorsTo } = route;
  const finalPath = errorsTo === undefined ? reversePath : errorsTo === null ? null : asciiDomain(errorsTo);
  return sendContent(begun, route, { ...known, reversePath: finalPath });
}

/** Takes the body, completes the header section and delivers both. */
async function sendContent(begun: Begun, route: Route, known: SubmissionFacts & { readonly reversePath: ReversePath }): Promise<Submitted> {
  const { submission, domains, sender, head, source, upToDot } = begun;
  const { file } = submission.input;
  const engine = new ContentEngine();
  const body = await takeBody(head.rest, source, {
    window: submission.config.replayWindow,
    again: file ? () => skip(upToDot(file.at(0)), head.consumed) : null,
    fileSize: file && !submission.dotEnds ? file.size - head.consumed : null,
    addOctets: engine.addOctets,
  });
  if (!body.ok) return endWith(known, ofInput(body.detail));
  const { reversePath, recipients } = known;
  const composed = await composeContent(submission, domains, head.fields, body.value, { ...sender, route, reversePath, recipients });
  if (!composed.ok) return endWith(known, ofMessage(composed.detail));
  const { transaction } = composed.value;
  if (transaction.size === null || transaction.size > LONG) {
    await engine.loadKernel();
    if (engine.memory !== null && !body.value.facts.whole) submission.input.useMemory?.(engine.memory);
  }
  return deliverContent(begun, route, known, composed.value, engine);
}

async function deliverContent(
  { submission, options, domains, given }: Begun,
  route: Route,
  known: SubmissionFacts,
  { content, transaction, messageId, notes }: ComposedContent,
  engine: ContentEngine,
): Promise<Submitted> {
  const { config } = submission;
  const { observer } = options;
  const heard = new Set<string>();
  const outcome = await deliver(
    {
      hosts: route.hosts,
      transaction: { ...transaction, recipients: addressRecipients(known.recipients, given, submission.notify) },
      content,
    },
    {
      ...options,
      timeouts: config.timeouts,
      hello: fullName(domains.host),
      partial: config.lmtpPartial ? 'verdicts' : 'never',
      framing: 'auto',
      encoder: engine.encoder,
      observer: {
        ...observer,
        note(note) {
          heard.add(note);
          observer?.note?.(note);
        },
      },
    },
  );
  const expected = transaction.size ?? transaction.estimate;
  const octets = outcome.kind === 'accepted' ? (engine.size ?? expected) : expected;
  return { ...known, messageId, octets, notes: [...notes, ...heard], outcome };
}
