/**
 * Drives one session over one open wire: performs the machine's actions in order, and puts everything that happens through one
 * inbox. What to say, when to commit and what a failure means is the machine's; only whose turn it is is decided here.
 */
import type { Source } from '../message/source.ts';
import { type ContentEncoder, contentEncoder, type Framing } from '../smtp/client/content.ts';
import { Dialogue, type DriverEvent } from '../smtp/client/dialogue.ts';
import type { SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { type Action, type Channel, type Plan, STEPS, verdictsDue } from '../smtp/client/session.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { maskCommand } from '../smtp/sasl/mask.ts';
import { abortReason, type EndSignal, printThrown, reasonOf, whenAborted } from './abort.ts';
import { alarm } from './clock.ts';
import { BlockBuffers, type ContentReports, ContentWriter, type Reading } from './content-writer.ts';
import { Deadline } from './deadline.ts';
import { Fact } from './fact.ts';
import { guardCallback, guardObserver, type Observer, type Trace } from './observer.ts';
import { HeardLines, type Scrub, scrubOutcome } from './server-texts.ts';
import type { Reached, Wire, WireListener } from './wire.ts';

/** Milliseconds, by the keys of [timeouts]; Infinity is none. */
export interface SessionTimeouts {
  readonly handshake: number;
  readonly greeting: number;
  readonly command: number;
  readonly data: number;
  readonly block: number;
  readonly final: number;
}

type Pull = Extract<Action, { do: 'pull' }>;

/** What becomes of 8-bit content on its way. */
export type EightBitTreatment = Pull['eightBit'];

/** The message's octets, opened when the machine pulls them. */
export interface ContentOpener {
  /** From the first octet; null when they cannot be read again. */
  open(eightBit: EightBitTreatment): Source | null;
  /** All octets as DATA sends them, where they are at hand: they go out in one write. */
  readonly encoded?: Uint8Array | undefined;
}

export interface ConnectionOptions {
  readonly plan: Plan;
  readonly timeouts: SessionTimeouts;
  /** Does the handshake and verifies the peer; the value is the wire to go on with. */
  readonly secure: (wire: Wire) => Promise<Reached<Wire>>;
  /** Makes the encoder; a faster one than the portable one may be given. */
  readonly encoder?: ((framing: Framing) => ContentEncoder) | undefined;
  /**
   * Content that is at hand goes out in one write with its terminator. This saves a write, and a loss of the connection in that
   * moment is 'uncertain' where it would have been 'lost'.
   */
  readonly commitsAtOnce?: boolean | undefined;
  readonly observer?: Observer | undefined;
  readonly scrub?: Scrub | undefined;
}

/** What comes into the inbox: events of the machine, and octets that it reads as replies, one a character. */
type Arrival = DriverEvent | { readonly type: 'octets'; readonly text: string };

export interface MessageOptions {
  /**
   * Ends this message. Before its turn nothing else is touched; when it is under way, the session ends with it; after the commit the
   * verdict is awaited for `grace` milliseconds (default 30,000), because the server may have reached it already.
   */
  readonly signal?: EndSignal | undefined;
  readonly grace?: number | undefined;
  /** Ends even the wait for the verdict. */
  readonly urgent?: EndSignal | undefined;
  /** In place of the observer's. */
  readonly progress?: ((octets: number) => void) | undefined;
  /** Hears the lines of this message, as the observer of the session does. */
  readonly trace?: Trace | undefined;
}

/** A message that was given, until its outcome is known. */
interface Request {
  /** Counts the messages of the session, from 0. */
  readonly number: number;
  readonly progress: ((octets: number) => void) | undefined;
  readonly trace: Trace | undefined;
  readonly transaction: Transaction;
  readonly content: ContentOpener;
  readonly resolve: (outcome: SessionOutcome) => void;
  /** null until the machine pulls. */
  writer: ContentWriter | null;
  /** Commands of it were sent, be it along with the commit of the message before it. */
  hasBegun: boolean;
  /** Its signal came when its envelope had gone along, and the message before it must not suffer. */
  ended: string | null;
  readonly signal: EndSignal | undefined;
  /** Stops the waiting for its signal. */
  release: () => void;
}

/** The outcome of a message whose session ended before its turn. */
export const SESSION_ENDED = {
  kind: 'lost',
  at: 'ready',
  condemns: 'address',
  verb: 'MAIL',
  command: 'MAIL',
  detail: 'the session has ended',
} as const;

const NOT_CHECKED: SessionFailure = { ...SESSION_ENDED, verb: 'NOOP', command: 'NOOP' };

/** Milliseconds that a server has to answer QUIT and to close its side: it must not hold the process, and QUIT is a courtesy. */
const FAREWELL = 1000;

/**
 * Milliseconds that the first reply to an envelope which went along with the end of a content is awaited at most, because some servers
 * read past it, and it may go again elsewhere. A server that has heard it has nothing to do for that reply but to read on.
 */
const ALONG = 30_000;

/** Milliseconds that a verdict is awaited after a signal, because the server may have reached it already. */
export const VERDICT_GRACE = 30_000;

const failed = (failure: SessionFailure): SessionOutcome => ({ kind: 'failed', failure });
const aborted = (detail: string): SessionFailure => ({ kind: 'content', at: 'ready', condemns: 'message', reason: 'aborted', detail });

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #observer: Observer;
  readonly #dialogue: Dialogue;
  /** Made for the first who listens. */
  #heard: HeardLines | null = null;
  /** Replies that are still about the message under way; what the server says behind them is about the next, whose envelope went along. */
  #due = Number.POSITIVE_INFINITY;
  readonly #deadline = new Deadline(() => this.#on(this.#timeout()));
  readonly #buffers = new BlockBuffers();
  /** What a writer says is about the message under way, because it says nothing once that is over. */
  #reports: ContentReports | null = null;
  #wire: Wire;
  readonly #listener: WireListener = {
    octets: (octets) => this.#on({ type: 'octets', text: octets.toString('latin1') }),
    end: () => this.#on({ type: 'lost', detail: 'the server closed the connection' }),
    closed: ({ detail }) => {
      this.#isGone = true;
      clearTimeout(this.#farewell);
      this.#closed.settle();
      this.#on({ type: 'lost', detail });
    },
  };
  readonly #inbox: Arrival[] = [];
  #isPerforming = false;
  /** The message whose turn it is, and those that wait for theirs. */
  #request: Request | null = null;
  readonly #waiting: Request[] = [];
  /** Who waits for the answer to a NOOP. */
  #checks: ((failure: SessionFailure | null) => void)[] = [];
  /** Messages given so far. */
  #given = 0;
  #channel: Channel | null = null;
  #hasCommitted = false;
  /** Settled when the wire is closed. Where it is there, QUIT follows as soon as the session is ready for it. */
  #leaving: Promise<void> | null = null;
  #farewell: NodeJS.Timeout | undefined;
  /** The wire is closed. */
  #isGone = false;
  readonly #closed = new Fact<void>();
  readonly #ended = new Fact<void>();
  readonly #opened = new Fact<SessionFailure | null>();
  /** What becomes of messages whose turn does not come. */
  #unbegun: SessionFailure = SESSION_ENDED;

  /** The wire is open; nothing has been read from it. */
  constructor(wire: Wire, options: ConnectionOptions) {
    const observer = guardObserver(options.observer);
    this.#options = options;
    this.#observer = observer;
    this.#wire = wire;
    this.#dialogue = new Dialogue(options.plan);
    if (observer.trace) this.#hearLines();
    wire.listen(this.#listener);
    this.#perform(this.#dialogue.begin());
    this.#setDeadline();
    observer.entered?.(this.#dialogue.state.at);
  }

  /** True once the last octets were handed to the wire: from here on only the server knows what becomes of the message. */
  get hasCommitted(): boolean {
    return this.#hasCommitted;
  }

  /** What the server offers, once it has said so. */
  get channel(): Channel | null {
    return this.#channel;
  }

  /** True while a transaction may be given: the session is open, and no other is under way where it has but one. */
  get isUsable(): boolean {
    return this.#isAlive && (this.#options.plan.transactions !== 'one' || this.#request === null);
  }

  get #isAlive(): boolean {
    return this.#leaving === null && this.#wire.isOpen && this.#dialogue.state.at !== 'closed' && this.#dialogue.state.at !== 'quit';
  }

  /** Waits for greeting, TLS and authentication; null, or why the session ended before it was open. Sends no MAIL. */
  opened(): Promise<SessionFailure | null> {
    return this.#opened.wait();
  }

  /** Resolves as soon as the session is over, for whatever reason: no message may be given any more, and none is under way. */
  ended(): Promise<void> {
    return this.#ended.wait();
  }

  /**
   * Sends one message; resolves with its fate, never rejects. A message that is given while another is under way waits for its turn,
   * and with PIPELINING its envelope goes out with the terminator of the one before it. In a session that has ended nothing of it is
   * sent: it has the failure of a session that did not open, and in others it is lost.
   */
  submit(
    transaction: Transaction,
    content: ContentOpener,
    { signal, grace = VERDICT_GRACE, urgent, progress, trace }: MessageOptions = {},
  ): Promise<SessionOutcome> {
    const over = signal?.aborted ? signal : urgent;
    if (over?.aborted) return Promise.resolve(failed(aborted(abortReason(over))));
    if (!this.#isAlive) return Promise.resolve(failed(this.#unbegun));
    if (!this.isUsable) throw new Error('bug: the connection is not free for a transaction');
    if (trace) this.#hearLines();
    return new Promise((resolve) => {
      const request: Request = {
        number: this.#given++,
        progress: progress && guardCallback(progress),
        trace: trace && guardCallback(trace),
        transaction,
        content,
        resolve,
        writer: null,
        hasBegun: false,
        ended: null,
        signal,
        release: () => {},
      };
      this.#listenFor(request, signal, urgent, grace);
      this.#waiting.push(request);
      if (this.#request === null) this.#takeNext();
      this.#work();
    });
  }

  /**
   * Asks the server whether it is there, behind the message that is under way; null, or why the session is over. A server that refuses
   * is not used any more. Never rejects.
   */
  noop(): Promise<SessionFailure | null> {
    if (!this.#isAlive) return Promise.resolve(this.#unchecked);
    return new Promise((resolve) => {
      this.#checks.push(resolve);
      this.#work();
    });
  }

  /**
   * Finishes what was given, says QUIT, and waits at most a second for the server; a session that was given nothing and is not open
   * yet just ends. Resolves when the connection is closed.
   */
  quit(): Promise<void> {
    if (this.#leaving === null) {
      this.#leaving = this.#closed.wait();
      this.#work();
    }
    // Whoever waits for it wants to see it end.
    this.#farewell?.ref();
    return this.#leaving;
  }

  /** A signal or a deadline: before the commit the message is not sent, after it the outcome is uncertain. */
  abort(detail: string): void {
    this.#on({ type: 'abort', detail });
  }

  /** Ends the session now, and the connection with it. */
  destroy(detail = 'the session was ended'): void {
    this.#unbegun = aborted(detail);
    this.abort(detail);
    // Whoever looks on may call this while actions are performed, and then the machine hears of it only later.
    this.#wire.destroy(this.#isCut);
  }

  #listenFor(request: Request, signal: EndSignal | undefined, urgent: EndSignal | undefined, grace: number): void {
    if (signal === undefined && urgent === undefined) return;
    let stopClock: (() => void) | undefined;
    const wait = (detail: string): void => {
      stopClock = alarm(grace, () => this.abort(detail));
    };
    const unlink = [
      whenAborted(signal, () => this.#interrupt(request, abortReason(signal as EndSignal), wait)),
      whenAborted(urgent, () => this.#interrupt(request, abortReason(urgent as EndSignal), (detail) => this.abort(detail))),
    ];
    request.release = () => {
      for (const each of unlink) each();
      stopClock?.();
    };
  }

  /** A signal of one message has come; `wait` says what comes of it after the commit. */
  #interrupt(request: Request, detail: string, wait: (detail: string) => void): void {
    if (request === this.#request && request.hasBegun) {
      if (this.#hasCommitted) wait(detail);
      else this.abort(detail);
      return;
    }
    if (request === this.#request) this.#request = null;
    else if (request.hasBegun) request.ended = detail;
    // What is not there is sought behind the last one.
    else this.#waiting.splice(this.#waiting.indexOf(request) >>> 0, 1);
    request.release();
    request.resolve(failed(aborted(detail)));
    this.#work();
  }

  /* ---- the inbox ---- */

  #on(arrival: Arrival): void {
    if (this.#dialogue.state.at === 'closed') return;
    if (this.#isPerforming) this.#inbox.push(arrival);
    else this.#work(arrival);
  }

  /** Works off what has arrived, and the inbox: what arrives while actions are performed waits there until they are. */
  #work(arrived: Arrival | null = null): void {
    if (this.#isPerforming) return;
    this.#isPerforming = true;
    const before = this.#dialogue.state;
    try {
      for (let next = arrived ?? this.#next(); next !== null; next = this.#next())
        this.#perform(next.type === 'octets' ? this.#receive(next.text) : this.#dialogue.on(next));
    } catch (thrown) {
      this.#isPerforming = false;
      this.#break(thrown);
    }
    this.#isPerforming = false;
    const { state } = this.#dialogue;
    // A part of a reply changes nothing: a deadline is for the whole of it.
    if (state !== before) this.#setDeadline();
    if (state.at !== before.at) this.#observer.entered?.(state.at);
    if (this.#leaving !== null) this.#sayFarewell();
  }

  /**
   * A bug, or a stream of the caller's that throws, ends this session and not the process: nobody could catch it where the runtime calls.
   * Whether the server may have the message is the machine's to say.
   */
  readonly #break = (thrown: unknown): void => {
    const isCut = this.#isCut;
    this.#on({ type: 'lost', detail: `bug: ${reasonOf(thrown)}` });
    this.#wire.destroy(isCut);
  };

  /** What has arrived; else, in a session that is ready, the next message or the farewell. */
  #next(): Arrival | null {
    const arrived = this.#inbox.shift();
    if (arrived !== undefined) return arrived;
    if (this.#dialogue.state.at !== 'ready') return null;
    if (this.#checks.length > 0) return { type: 'noop' };
    if (this.#request === null) this.#takeNext();
    if (this.#request !== null) {
      this.#begin(this.#request);
      return { type: 'transaction', transaction: this.#request.transaction };
    }
    return this.#leaving === null ? null : { type: 'quit' };
  }

  /** Once everything that was given is finished, the session has a second to end. */
  #sayFarewell(): void {
    if (this.#request !== null || this.#waiting.length > 0 || this.#checks.length > 0 || this.#isGone) return;
    const { at } = this.#dialogue.state;
    if (this.#channel === null && at !== 'quit' && at !== 'closed') this.abort('the session was ended');
    else this.#waitForEnd().ref();
  }

  /** Gives the server its time, once. */
  #waitForEnd(): NodeJS.Timeout {
    this.#farewell ??= setTimeout(() => this.destroy(), FAREWELL);
    return this.#farewell;
  }

  #receive(text: string): readonly Action[] {
    const { state } = this.#dialogue;
    if (this.#heard !== null) {
      this.#due = state.at === 'commit' ? verdictsDue(this.#options.plan, state) : Number.POSITIVE_INFINITY;
      this.#heard.push(text, state.at === 'auth');
    }
    return this.#dialogue.receive(text);
  }

  #setDeadline(): void {
    const { state } = this.#dialogue;
    const { within } = STEPS[state.at];
    const isWriting = state.at === 'content' && this.#request?.writer?.isWriting === true;
    // Input that is slow to come is not the server's silence: it has its own limit (timeouts.input).
    const isWaiting = within !== 'none' && (state.at !== 'content' || isWriting || state.blocks > 0);
    this.#deadline.set(isWaiting ? this.#timeFor(within) : Number.POSITIVE_INFINITY, isWriting ? () => this.#wire.queued : null);
  }

  #timeFor(within: keyof SessionTimeouts): number {
    const { state } = this.#dialogue;
    const milliseconds = this.#options.timeouts[within];
    return state.at === 'envelope' && state.isAlong && state.answered === 0 ? Math.min(milliseconds, ALONG) : milliseconds;
  }

  #timeout(): DriverEvent {
    const { within } = STEPS[this.#dialogue.state.at];
    if (within === 'none') return { type: 'timeout' };
    const milliseconds = this.#timeFor(within);
    // No key sets a time of our own.
    return milliseconds < this.#options.timeouts[within] ? { type: 'timeout' } : { type: 'timeout', limit: { key: within, milliseconds } };
  }

  /* ---- actions ---- */

  /** A part of a content may have been sent. */
  get #isCut(): boolean {
    return !this.#hasCommitted && !!this.#request?.writer;
  }

  #perform(actions: readonly Action[]): void {
    const isCut = this.#isCut;
    for (const action of actions) {
      switch (action.do) {
        case 'send':
          this.#send(action.lines, action.secret);
          break;
        case 'startTls':
          this.#secure().catch(this.#break);
          break;
        case 'ready':
          this.#channel = action.channel;
          this.#opened.settle(null);
          break;
        case 'pull':
          this.#pull(action);
          break;
        case 'sendBlock':
          this.#trace('C', action.line);
          this.#writer().writeBlock(action.line, action.held);
          break;
        case 'flush':
          this.#writer().flush();
          break;
        case 'commit':
          this.#commit(action);
          break;
        case 'next':
          this.#takeNext();
          if (this.#request?.ended) this.abort(this.#request.ended);
          break;
        case 'checked':
          this.#settleChecks(action.failure);
          break;
        case 'note':
          this.#observer.note?.(action.note);
          break;
        case 'settle':
          this.#settle(action.outcome);
          break;
        case 'close':
          this.#leave();
          this.#wire.end();
          if (this.#leaving === null) this.#waitForEnd().unref();
          break;
        case 'destroy':
          this.#leave();
          // Some servers (go-smtp) take the octets before an end for a whole last block.
          this.#wire.destroy(isCut);
          break;
      }
    }
    const { at } = this.#dialogue.state;
    if (at === 'closed' || at === 'quit') this.#settleWaiting();
  }

  /** The message that is under way; what is said before it, to open the session, is about none. */
  get #about(): Request | null {
    return this.#request?.hasBegun ? this.#request : null;
  }

  #trace(side: 'C' | 'S' | '!', line: string, about = this.#about): void {
    const message = about?.number ?? null;
    this.#observer.trace?.(side, line, message);
    about?.trace?.(side, line, message);
  }

  #hearLines(): void {
    this.#heard ??= new HeardLines((_, line) => this.#hear(line), this.#options.scrub ?? ((text) => text));
  }

  #hear(line: string): void {
    const [next] = this.#waiting;
    this.#trace('S', line, this.#due <= 0 && next?.hasBegun ? next : this.#about);
    // The last line of a reply. RFC 5321 §4.2.1
    if (/^\d{3}(?!-)/.test(line)) this.#due -= 1;
  }

  #send(lines: readonly string[], secret: boolean): void {
    for (const line of lines) this.#trace('C', secret ? maskCommand(line) : line);
    this.#wire.write(`${lines.join('\r\n')}\r\n`);
  }

  async #secure(): Promise<void> {
    this.#wire.listen(null);
    const secured = await this.#options.secure(this.#wire);
    if (this.#dialogue.state.at !== 'handshake') return;
    if (!secured.ok) {
      const { ok, ...why } = secured;
      return this.#on({ type: 'insecure', ...why });
    }
    this.#wire = secured.value;
    this.#trace('!', 'secured');
    this.#wire.listen(this.#listener);
    this.#on({ type: 'secured' });
  }

  /** Has the content read on; it is opened when it is pulled for the first time. */
  #pull({ framing, eightBit }: Pull): void {
    const request = this.#request;
    if (request === null) return;
    const { content, transaction } = request;
    const { encoded } = content;
    // Where no line begins with a dot, BDAT sends the same octets.
    const isSame = framing === 'data' || (framing === 'bdat' && encoded?.length === transaction.size);
    if (encoded !== undefined && isSame && eightBit === 'pass') {
      request.writer = this.#makeWriter(null);
      request.writer.sendAtHand(framing, encoded, this.#options.commitsAtOnce);
      return;
    }
    request.writer ??= this.#openContent(request, framing, eightBit);
    void request.writer?.pull(framing);
  }

  /** The message whose envelope may go along with the end of the one under way; none while somebody waits to ask the server between them. */
  get #goesAlong(): Request | undefined {
    return this.#checks.length > 0 ? undefined : this.#waiting[0];
  }

  #openContent(request: Request, framing: Framing, eightBit: EightBitTreatment): ContentWriter | null {
    const source = openSource(request.content, eightBit);
    if (!source.ok) {
      this.#on({ type: 'contentFailed', detail: source.detail });
      return null;
    }
    return this.#makeWriter({ source: source.value, encoder: (this.#options.encoder ?? contentEncoder)(framing) });
  }

  #makeWriter(reading: Reading | null): ContentWriter {
    this.#trace('!', 'content');
    this.#reports ??= {
      on: (event) => this.#on(event.type === 'contentSent' ? { type: 'contentSent', next: this.#goesAlong?.transaction } : event),
      moved: () => {
        if (this.#dialogue.state.at === 'content') this.#setDeadline();
      },
      progress: (octets) => (this.#request?.progress ?? this.#observer.progress)?.(octets),
    };
    return new ContentWriter(this.#wire, reading, this.#buffers, this.#reports);
  }

  #writer(): ContentWriter {
    const writer = this.#request?.writer;
    if (!writer) throw new Error('bug: no content is open');
    return writer;
  }

  /** One write, whatever goes along. */
  #commit({ line, along }: Extract<Action, { do: 'commit' }>): void {
    this.#hasCommitted = true;
    const [next] = this.#waiting;
    if (next && along.length > 0) this.#begin(next);
    if (line === null) this.#trace('!', 'commit');
    else this.#trace('C', line);
    for (const each of along) this.#trace('C', each, next);
    const lines = line === null ? along : [line, ...along];
    const commands = lines.length === 0 ? '' : `${lines.join('\r\n')}\r\n`;
    const writer = this.#request?.writer;
    if (writer && (line === null || writer.holdsAll)) writer.writeHeld(Buffer.from(commands, 'latin1'));
    else this.#wire.write(commands);
  }

  #takeNext(): void {
    this.#request = this.#waiting.shift() ?? null;
    this.#hasCommitted = false;
  }

  #begin(request: Request): void {
    if (request.hasBegun) return;
    request.hasBegun = true;
    this.#observer.began?.(request.number);
  }

  #settle(found: SessionOutcome): void {
    const outcome = this.#scrub(found);
    const request = this.#request;
    this.#request = null;
    request?.release();
    request?.writer?.close();
    // The first failure is that of the session.
    if (outcome.kind === 'failed' && this.#channel === null && this.#unbegun === SESSION_ENDED) {
      this.#unbegun = outcome.failure;
      this.#opened.settle(outcome.failure);
    }
    this.#observer.settled?.(outcome, request?.number ?? null);
    request?.resolve(outcome);
  }

  /** Why nobody asks the server any more: the session did not open, or has ended. */
  get #unchecked(): SessionFailure {
    return this.#channel === null ? this.#unbegun : NOT_CHECKED;
  }

  /** One answer is for everybody who asked. */
  #settleChecks(found: SessionFailure | null): void {
    const outcome = found && this.#scrub(failed(found));
    const checks = this.#checks;
    this.#checks = [];
    for (const resolve of checks) resolve(outcome?.kind === 'failed' ? outcome.failure : null);
  }

  #scrub(outcome: SessionOutcome): SessionOutcome {
    return this.#options.scrub ? scrubOutcome(outcome, this.#options.scrub) : outcome;
  }

  /** The machine settles what is under way when a session ends; the messages behind it never had their turn, and need not wait for the answer to QUIT. */
  #settleWaiting(): void {
    this.#ended.settle();
    this.#opened.settle(this.#unbegun);
    this.#settleChecks(this.#unchecked);
    while (this.#request !== null || this.#waiting.length > 0) {
      if (this.#request === null) this.#takeNext();
      // One signal may end many messages, and with the first of them the session.
      const signal = this.#request?.signal;
      this.#settle(failed(signal?.aborted ? aborted(abortReason(signal)) : this.#unbegun));
    }
  }

  #leave(): void {
    this.#deadline.stop();
    this.#heard?.end();
    // Nothing that comes is heard any more, but it must not hold up the end.
    this.#wire.listen(this.#listener);
  }
}

/** A content is a program's own, and what it throws is a failure of its own. */
function openSource(content: ContentOpener, eightBit: EightBitTreatment): Parsed<Source> {
  try {
    const source = content.open(eightBit);
    return source === null ? unparsed('the message cannot be read again') : parsed(source);
  } catch (thrown) {
    return unparsed(`the content failed: ${printThrown(thrown) || 'without a word'}`);
  }
}
