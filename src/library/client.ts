/** Sends many messages over one session. Opens no second connection and sends nothing again. */
import { printSmarthost } from '../router/smarthost.ts';
import type { SessionFailure } from '../smtp/client/outcome.ts';
import { type Parsed, parsed } from '../smtp/parsed.ts';
import { follow, unlessAborted } from '../submit/interrupts.ts';
import { printServer } from '../submit/outcome.ts';
import type { OpenSession } from '../submit/session.ts';
import { abortReason, reasonOf, whenAborted } from '../transport/abort.ts';
import type { Scrub } from '../transport/server-texts.ts';
import { Causes } from './causes.ts';
import type { CallContexts } from './channels.ts';
import { type Content, failLoading, type GivenContent, sendTaking, type TakenContent } from './content.ts';
import { type Envelope, parseEnvelope, withFacts } from './envelope.ts';
import { type Failure, failHere } from './failure.ts';
import { hearingOf, inTime, type Message, type SendOptions } from './message.ts';
import { namesOf } from './names.ts';
import { nextSession, observerOf, type Place, traceOf } from './observe.ts';
import { mayTakeMore, open, partFrom } from './open.ts';
import { isSignal, type Options, parseOptions, sendFault, type Terms } from './options.ts';
import {
  type Attempt,
  acceptedBy,
  attemptOf,
  type Failed,
  failedHere,
  failureOf,
  type Given,
  type Outcome,
  type SessionFacts,
  sessionFacts,
  settled,
} from './outcome.ts';
import { requireTlsFault, scrubOf, securityOf } from './security.ts';
import { dialOf, type Host, parseServer, type Server } from './server.ts';

/** One session. Messages go in order. */
export interface Client extends AsyncDisposable {
  /** False when the session has ended, or the server takes no further message in it (MAILMAX, RFC 9422 §4.1). */
  readonly usable: boolean;
  readonly facts: SessionFacts;
  /** Waits for greeting, TLS and authentication; null, or why no message can be sent. Only programs that want to know this before the first message need it. A signal that comes before the session is open ends it. */
  ready(signal?: AbortSignal): Promise<Failure | null>;
  /** Asks the server whether it is still there, behind the message that is under way; null, or why the session is over. RFC 5321 §4.1.1.9 */
  noop(): Promise<Failure | null>;
  /**
   * Sends one message; never rejects. It may be called before the last message is settled: with PIPELINING the envelope of the
   * next goes out together with the end of the one before, which is one round trip a message (RFC 2920 §3.1). Where the session does
   * not open, all messages that were given have its failure. After `quit` and `destroy` the code is `usage`.
   */
  send(envelope: Envelope, content: Content, options?: SendOptions): Promise<Outcome>;
  /** Finishes what was given, says QUIT, and waits at most a second for the server. */
  quit(): Promise<void>;
  /** Ends the session at once. */
  destroy(reason?: unknown): void;
}

/** The session, or why there is none. */
export type Connected<Opened extends Client = Client> =
  | { readonly ok: true; readonly client: Opened }
  | { readonly ok: false; readonly failure: Failure; readonly attempts: readonly Attempt[] };

/**
 * Connects to the first address of the server that answers. The session then greets, secures and authenticates by itself; the first
 * message waits for that. The signal of the options ends all of this. Never rejects.
 */
export async function connect(server: string | URL | Server, options: Options = {}): Promise<Connected> {
  const terms = parseOptions(options);
  if (!terms.ok) return notConnected(failHere('usage', terms.detail));
  const host = parseServer(server);
  if (!host.ok) return notConnected(failHere('usage', host.detail));
  try {
    return await openClient(host.value, terms.value);
  } catch (error) {
    return notConnected(failHere('usage', `bug: ${reasonOf(error)}`, error));
  }
}

const failedBefore = (failure: Failure): Failed => ({ kind: 'failed', failure, attempts: [] });

const notConnected = (failure: Failure, attempts: readonly Attempt[] = []): Extract<Connected, { ok: false }> => ({
  ok: false,
  failure,
  attempts,
});

/** The same for what is parsed already. `mayMoveOn`: where a session does not open, the next address is tried. */
export async function openClient(host: Host, terms: Terms, mayMoveOn = false): Promise<Connected<SessionClient>> {
  const { signal } = terms;
  if (signal?.aborted) return notConnected(failHere('aborted', abortReason(signal), signal.reason));
  const causes = new Causes();
  const security = securityOf(host, signal, causes, terms.timeouts.command);
  const { hello, timeouts, partial, framing, commitsAtOnce } = terms;
  const server = printSmarthost(host.smarthost);
  let place: Place = { session: 0, server, attempt: 0 };
  let contexts: CallContexts = new Map();
  const { session, attempts } = await open(host.smarthost, {
    hello,
    partial,
    framing,
    commitsAtOnce,
    timeouts,
    security,
    signal,
    ownNames: namesOf(host, causes),
    mayMoveOn,
    dial: dialOf(host),
    noteFailure: causes.note,
    observe() {
      place = { session: nextSession(), server, attempt: 0 };
      contexts = new Map();
      return observerOf(terms, place, null, contexts);
    },
  });
  if (session !== null) return { ok: true, client: new SessionClient(session, terms, causes, scrubOf(host, security), place, contexts) };
  const given = { addresses: [], causes };
  const tried = attempts.map((attempt) => attemptOf(attempt, given));
  if (signal?.aborted) return notConnected(failHere('aborted', abortReason(signal), signal.reason), tried);
  return notConnected(tried.at(-1)?.failure ?? failHere('usage', 'bug: no attempt was made'), tried);
}

export class SessionClient implements Client {
  readonly #session: OpenSession;
  readonly #terms: Terms;
  readonly #causes: Causes;
  readonly #scrub: Scrub | undefined;
  #facts: SessionFacts | null = null;
  readonly #place: Place;
  readonly #contexts: CallContexts;
  /** Messages that were given to the session. */
  #given = 0;
  /** Messages that are read, or wait for those, and were not given to the session yet. */
  #unread = 0;
  /** Resolves when the content of the last of them is at hand, because messages go in order. */
  #reading: Promise<unknown> | null = null;
  /** Settles when all messages whose content had to be read before they were given to the session are settled. */
  #entering: Promise<unknown> | null = null;
  #leaving: Promise<void> | null = null;
  #destroyed: { readonly reason: unknown } | null = null;
  /** Ends the reading of content; made for the first that must be read. */
  #ending: AbortController | null = null;

  /** The signal of the terms ends the session until it is open. */
  constructor(session: OpenSession, terms: Terms, causes: Causes, scrub: Scrub | undefined, place: Place, contexts: CallContexts) {
    this.#session = session;
    this.#terms = terms;
    this.#causes = causes;
    this.#scrub = scrub;
    this.#place = place;
    this.#contexts = contexts;
    void session.opened().then((failure) => failure && partFrom(session));
    const { signal: opening } = terms;
    if (opening === undefined) return;
    const end = () => {
      this.#destroyed ??= { reason: opening.reason };
      session.connection.abort(abortReason(opening));
    };
    if (opening.aborted) end();
    const unlink = whenAborted(opening, end);
    void session.opened().then(() => unlink());
  }

  /** Resolves when the session is over, for whatever reason. */
  ended(): Promise<void> {
    return this.#session.connection.ended();
  }

  get usable(): boolean {
    return this.#leaving === null && this.#mayTakeMore;
  }

  get #mayTakeMore(): boolean {
    return mayTakeMore(this.#session, this.#given);
  }

  get facts(): SessionFacts {
    if (this.#facts !== null) return this.#facts;
    const facts = sessionFacts(this.#session.facts(), this.#scrub);
    // They do not change any more once the session is open.
    if (this.#session.connection.channel !== null) this.#facts = facts;
    return facts;
  }

  #failureOf(failure: SessionFailure, given: Given): Failure {
    const facts = this.#session.facts();
    this.#causes.note(facts.host, failure);
    const cause = given.cause ?? this.#destroyed?.reason;
    return failureOf(failure, { ...given, cause, causes: this.#causes }, printServer(facts));
  }

  async ready(signal?: AbortSignal): Promise<Failure | null> {
    if (signal !== undefined && !isSignal(signal)) return failHere('usage', 'signal is an AbortSignal');
    if (this.#leaving !== null) return this.#whyUnusable();
    const failure = await unlessAborted(this.#session.opened(), signal);
    if (signal?.aborted) {
      if (this.#session.connection.channel === null) this.#session.connection.destroy(abortReason(signal));
      return failHere('aborted', abortReason(signal), signal.reason);
    }
    return this.#print(failure) ?? (this.usable ? null : this.#whyUnusable());
  }

  async noop(): Promise<Failure | null> {
    if (this.#leaving !== null) return this.#whyUnusable();
    return this.#print(await this.#session.connection.noop());
  }

  /** Why no message may be given: the caller has closed the session, it did not open, or it is over. */
  async #whyUnusable(): Promise<Failure> {
    return this.#leaving === null ? this.#whyOver() : failHere('usage', 'the session was closed');
  }

  /** The same, where the caller closed nothing, or not for this message. */
  async #whyOver(): Promise<Failure> {
    const unopened = this.#print(await this.#session.opened());
    if (unopened !== null) return unopened;
    const isFull = this.#session.connection.isUsable;
    const message = isFull ? 'the server takes no further message in this session' : 'the session has ended';
    return { code: 'lost', message, retry: 'safe', verb: null, refusals: [], at: 'ready' };
  }

  async #refuse(): Promise<Failed> {
    return failedBefore(await this.#whyUnusable());
  }

  #print(failure: SessionFailure | null): Failure | null {
    return failure && this.#failureOf(failure, { addresses: [] });
  }

  send(envelope: Envelope, content: Content, options: SendOptions = {}): Promise<Outcome> {
    return sendTaking(content, (taken) => this.#sendTaken(envelope, taken, options));
  }

  #sendTaken(envelope: Envelope, taken: TakenContent, options: SendOptions): Promise<Outcome> {
    const fault = sendFault(options);
    if (fault !== null) return settled(failedHere('usage', fault));
    const parsedEnvelope = parseEnvelope(envelope);
    if (!parsedEnvelope.ok) return settled(failedHere('usage', parsedEnvelope.detail));
    const { signal } = options;
    const hearing = hearingOf(options);
    if (signal?.aborted) return settled(failedHere('aborted', abortReason(signal), signal.reason));
    if (!this.usable) return this.#refuse();
    const { transaction, addresses } = parsedEnvelope.value;
    const trust = requireTlsFault(transaction, () => [this.#session.facts().host]);
    if (trust !== null) return settled(trust);
    return inTime(signal, this.#terms, (ends) => {
      const message: Message = { transaction, addresses, ...hearing, ends, attempt: 0 };
      if (taken.known !== null && this.#mayGoAtOnce) return this.sendLoaded(message, taken.known);
      const sent = this.#readAndSend(message, taken);
      this.#entering = Promise.allSettled([this.#entering, sent]).then(() => null);
      return sent;
    });
  }

  /** Nothing is before the message, or it goes behind what was given to a session that is open: until then nobody knows how many it takes. */
  get #mayGoAtOnce(): boolean {
    return this.#unread === 0 && (this.#given === 0 || this.#session.connection.channel !== null || !this.#session.connection.isUsable);
  }

  async #readAndSend(message: Message, taken: TakenContent): Promise<Outcome> {
    const { signal } = message.ends;
    const inTurn = this.#readInTurn(taken, signal);
    this.#unread += 1;
    const read = await inTurn;
    // It is given in this turn, so that nothing that is sent meanwhile goes before it.
    this.#unread -= 1;
    if (signal?.aborted) return failedHere('aborted', abortReason(signal), signal.reason);
    if (read === null)
      return this.#destroyed === null
        ? failedBefore(await this.#whyOver())
        : failedHere('aborted', reasonOf(this.#destroyed.reason), this.#destroyed.reason);
    if (!read.ok) return failLoading(taken, read.detail, signal);
    return this.sendLoaded(message, read.value);
  }

  /** Sends what is parsed and read already. */
  sendLoaded(message: Message, content: GivenContent): Promise<Outcome> {
    const { signal, urgent, grace } = message.ends;
    if (signal?.aborted) return settled(failedHere('aborted', abortReason(signal), signal.reason));
    const { connection } = this.#session;
    if (connection.isUsable && !this.#mayTakeMore) return this.#whyOver().then(failedBefore);
    const number = this.#given++;
    if (message.context !== undefined) this.#contexts.set(number, message.context);
    const transaction = withFacts(message.transaction, content.facts);
    const tell = message.progress ?? this.#terms.progress;
    const progress = tell && ((octets: number) => tell({ octets, size: transaction.size }));
    const trace = message.trace && traceOf(message.trace, { ...this.#place, attempt: message.attempt });
    // All keys are written out, because a spread of what may be missing is slow, and this is done for each message.
    const sent = connection.submit(transaction, content, { signal, urgent, grace, progress, trace });
    return sent.then((outcome): Outcome | Promise<Outcome> => {
      this.#contexts.delete(number);
      return outcome.kind === 'accepted' ? acceptedBy(outcome, this.facts, message) : this.#fail(outcome.failure, message, content);
    });
  }

  async #fail(found: SessionFailure, { addresses }: Message, content: GivenContent): Promise<Failed> {
    const failure = this.#failureOf(await this.#session.advise(found), { addresses, cause: content.cause });
    return { kind: 'failed', failure, attempts: [{ server: this.facts, failure }] };
  }

  /** Reads the content now, and hands it out behind that of the messages before it; null when a signal or the end of the session came first. */
  async #readInTurn(taken: TakenContent, signal: AbortSignal | undefined): Promise<Parsed<GivenContent> | null> {
    const { window, timeouts } = this.#terms;
    const ending = new AbortController();
    const unlink = [follow(ending, signal), follow(ending, this.#whenEnding())];
    const isFirst = this.#given === 0 && this.#unread === 0;
    const before = isFirst ? null : Promise.all([this.#reading, this.#session.opened()]);
    // It is looked at now, because its owner may change it while it waits.
    void taken.known?.facts;
    const reading = taken.known ? parsed(taken.known) : taken.load({ window, patience: timeouts.input, signal: ending.signal });
    const inTurn = Promise.all([reading, before]);
    // The content is not kept.
    this.#reading = inTurn.then(() => null);
    const read = await unlessAborted(inTurn, ending.signal);
    for (const each of unlink) each();
    return read === null ? null : read[0];
  }

  /** Comes when the session is over, or is to be. */
  #whenEnding(): AbortSignal {
    if (this.#ending === null) {
      const ending = new AbortController();
      this.#ending = ending;
      void this.ended().then(() => ending.abort());
    }
    return this.#ending.signal;
  }

  quit(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /** The session says QUIT behind the last message, be it one that is still being read. */
  async #leave(): Promise<void> {
    await this.#entering;
    await this.#session.connection.quit();
  }

  destroy(reason: unknown = new Error('the session was ended')): void {
    this.#destroyed ??= { reason };
    this.#ending?.abort(reason);
    this.#session.connection.destroy(reasonOf(reason));
    this.#leaving ??= this.#leave();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.quit();
  }
}
