/**
 * Drives one session over one open wire: performs the machine's actions in order, and puts everything that happens through one
 * inbox. Decides nothing: what to say, when to commit and what a failure means is the machine's.
 */
import type { Source } from '../message/source.ts';
import { type ContentEncoder, contentEncoder, type Framing } from '../smtp/client/content.ts';
import { Dialogue, type DriverEvent } from '../smtp/client/dialogue.ts';
import type { SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { type Action, type Channel, type Plan, STEPS } from '../smtp/client/session.ts';
import { maskCommand } from '../smtp/sasl/mask.ts';
import { BlockBuffers, ContentWriter } from './content-writer.ts';
import { Deadline } from './deadline.ts';
import type { Observer } from './observer.ts';
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
}

export interface ConnectionOptions {
  readonly plan: Plan;
  readonly timeouts: SessionTimeouts;
  /** Does the handshake and verifies the peer; the value is the wire to go on with. */
  readonly secure: (wire: Wire) => Promise<Reached<Wire>>;
  /** Makes the encoder; a faster one than the portable one may be given. */
  readonly encoder?: ((framing: Framing) => ContentEncoder) | undefined;
  readonly observer?: Observer | undefined;
  readonly scrub?: Scrub | undefined;
}

/** What comes into the inbox: events of the machine, and octets that it reads as replies. */
type Arrival = DriverEvent | { readonly type: 'octets'; readonly octets: Buffer };

/** A message that was given, until its outcome is known. */
interface Request {
  readonly transaction: Transaction;
  readonly content: ContentOpener;
  readonly resolve: (outcome: SessionOutcome) => void;
  /** null until the machine pulls. */
  writer: ContentWriter | null;
}

/** The outcome of a message whose session ended before its turn. */
export const SESSION_ENDED = { kind: 'lost', at: 'ready', condemns: 'address', command: 'MAIL', detail: 'the session has ended' } as const;

/** Milliseconds that a server has to close its side: it must not hold the process, and QUIT is a courtesy. */
const FAREWELL = 1000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #dialogue: Dialogue;
  readonly #heard: HeardLines | null;
  readonly #deadline = new Deadline(() => this.#on(this.#timeout()));
  readonly #buffers = new BlockBuffers();
  #wire: Wire;
  readonly #listener: WireListener = {
    octets: (octets) => this.#on({ type: 'octets', octets }),
    end: () => this.#on({ type: 'lost', detail: 'the server closed the connection' }),
    closed: ({ detail }) => {
      this.#settleClosing();
      this.#on({ type: 'lost', detail });
    },
  };
  readonly #inbox: Arrival[] = [];
  #isPerforming = false;
  /** The message whose turn it is, and those that wait for theirs. */
  #request: Request | null = null;
  readonly #waiting: Request[] = [];
  #channel: Channel | null = null;
  #hasCommitted = false;
  /** QUIT follows as soon as the session is ready for it. */
  #isLeaving = false;
  /** Resolves when the wire is closed. */
  readonly #closed: Promise<void>;
  #settleClosing: () => void = () => {};
  readonly #opened: Promise<SessionFailure | null>;
  #settleOpening: (failure: SessionFailure | null) => void = () => {};

  /** The wire is open; nothing has been read from it. */
  constructor(wire: Wire, options: ConnectionOptions) {
    const { plan, observer, scrub = (text) => text } = options;
    this.#options = options;
    this.#wire = wire;
    this.#dialogue = new Dialogue(plan);
    this.#heard = observer?.trace ? new HeardLines(observer.trace, scrub) : null;
    this.#closed = new Promise((resolve) => {
      this.#settleClosing = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.#settleOpening = resolve;
    });
    wire.listen(this.#listener);
    this.#perform(this.#dialogue.begin());
    this.#setDeadline();
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
    if (this.#options.plan.transactions === 'one' && this.#request !== null) return false;
    return !this.#isLeaving && this.#dialogue.state.at !== 'closed' && this.#dialogue.state.at !== 'quit';
  }

  /** Waits for greeting, TLS and authentication; null, or why the session ended before it was open. Sends no MAIL. */
  opened(): Promise<SessionFailure | null> {
    return this.#opened;
  }

  /**
   * Sends one message; resolves with its fate, never rejects. A message that is given while another is under way waits for
   * its turn, and with PIPELINING its envelope goes out with the terminator of the one before it.
   */
  submit(transaction: Transaction, content: ContentOpener): Promise<SessionOutcome> {
    if (!this.isUsable) throw new Error('bug: the connection is not free for a transaction');
    return new Promise((resolve) => {
      this.#waiting.push({ transaction, content, resolve, writer: null });
      if (this.#request === null) this.#takeNext();
      this.#work();
    });
  }

  /** Ends the session politely and waits for the server's reply, at most `timeouts.command`. */
  async quit(): Promise<void> {
    const { at } = this.#dialogue.state;
    // After a refusal the reply to RSET is still to come.
    if ((at === 'ready' || at === 'reset') && this.#request === null) {
      this.#isLeaving = true;
      this.#work();
    } else this.abort('the session was ended');
    await this.#closed;
  }

  /** A signal or a deadline: before the commit the message is not sent, after it the outcome is uncertain. */
  abort(detail: string): void {
    this.#on({ type: 'abort', detail });
  }

  /* ---- the inbox ---- */

  #on(arrival: Arrival): void {
    if (this.#dialogue.state.at === 'closed') return;
    this.#inbox.push(arrival);
    this.#work();
  }

  /** Works the inbox off. What arrives while actions are performed waits until they are. */
  #work(): void {
    if (this.#isPerforming) return;
    this.#isPerforming = true;
    const before = this.#dialogue.state;
    try {
      for (let next = this.#next(); next !== null; next = this.#next())
        this.#perform(next.type === 'octets' ? this.#receive(next.octets) : this.#dialogue.on(next));
    } finally {
      this.#isPerforming = false;
    }
    // A part of a reply changes nothing: a deadline is for the whole of it.
    if (this.#dialogue.state !== before) this.#setDeadline();
  }

  /** What has arrived; else, in a session that is ready, the next message or the farewell. */
  #next(): Arrival | null {
    const arrived = this.#inbox.shift();
    if (arrived !== undefined) return arrived;
    if (this.#dialogue.state.at !== 'ready') return null;
    if (this.#request === null) this.#takeNext();
    if (this.#request !== null) return { type: 'transaction', transaction: this.#request.transaction };
    return this.#isLeaving ? { type: 'quit' } : null;
  }

  #receive(octets: Buffer): readonly Action[] {
    const text = octets.toString('latin1');
    this.#heard?.push(text, this.#dialogue.state.at === 'auth');
    return this.#dialogue.receive(text);
  }

  #setDeadline(): void {
    const { state } = this.#dialogue;
    const { within } = STEPS[state.at];
    const isWriting = state.at === 'content' && this.#request?.writer?.isWriting === true;
    // Input that is slow to come is not the server's silence: it has its own limit (timeouts.input).
    const isWaiting = within !== 'none' && (state.at !== 'content' || isWriting || state.blocks > 0);
    this.#deadline.set(isWaiting ? this.#options.timeouts[within] : Number.POSITIVE_INFINITY, isWriting ? () => this.#wire.queued : null);
  }

  #timeout(): DriverEvent {
    const { within } = STEPS[this.#dialogue.state.at];
    return within === 'none'
      ? { type: 'timeout' }
      : { type: 'timeout', limit: { key: within, milliseconds: this.#options.timeouts[within] } };
  }

  /* ---- actions ---- */

  #perform(actions: readonly Action[]): void {
    for (const action of actions) {
      switch (action.do) {
        case 'send':
          this.#send(action.lines, action.secret);
          break;
        case 'startTls':
          void this.#secure();
          break;
        case 'ready':
          this.#channel = action.channel;
          this.#settleOpening(null);
          break;
        case 'pull':
          this.#pull(action);
          break;
        case 'sendBlock':
          this.#trace('C', action.line);
          this.#writer().writeBlock(action.line, action.held);
          break;
        case 'flush':
          void this.#writer().flush();
          break;
        case 'commit':
          this.#commit(action);
          break;
        case 'next':
          this.#takeNext();
          break;
        case 'checked':
          break;
        case 'note':
          this.#options.observer?.note?.(action.note);
          break;
        case 'settle':
          this.#settle(action.outcome);
          break;
        case 'close':
          this.#leave();
          this.#wire.end();
          setTimeout(() => this.#wire.destroy(), FAREWELL).unref();
          break;
        case 'destroy':
          this.#leave();
          this.#wire.destroy();
          break;
      }
    }
    if (this.#dialogue.state.at === 'closed') this.#settleWaiting();
  }

  #trace(side: 'C' | '!', line: string): void {
    this.#options.observer?.trace?.(side, line);
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
    request.writer ??= this.#openContent(request, framing, eightBit);
    void (framing === 'data' ? request.writer?.pump() : request.writer?.collectBlock());
  }

  #openContent({ content }: Request, framing: Framing, eightBit: EightBitTreatment): ContentWriter | null {
    const source = content.open(eightBit);
    if (source === null) {
      this.#on({ type: 'contentFailed', detail: 'the message cannot be read again' });
      return null;
    }
    this.#trace('!', 'content');
    const encoder = (this.#options.encoder ?? contentEncoder)(framing);
    return new ContentWriter(this.#wire, source, encoder, this.#buffers, {
      on: (event) => this.#on(event.type === 'contentSent' ? { ...event, next: this.#waiting[0]?.transaction } : event),
      moved: () => {
        if (this.#dialogue.state.at === 'content') this.#setDeadline();
      },
      progress: (octets) => this.#options.observer?.progress?.(octets),
    });
  }

  #writer(): ContentWriter {
    const writer = this.#request?.writer;
    if (!writer) throw new Error('bug: no content is open');
    return writer;
  }

  /** One write, whatever goes along. */
  #commit({ line, along }: Extract<Action, { do: 'commit' }>): void {
    this.#hasCommitted = true;
    if (line === null) this.#trace('!', 'commit');
    const lines = line === null ? along : [line, ...along];
    for (const each of lines) this.#trace('C', each);
    const commands = Buffer.from(lines.map((each) => `${each}\r\n`).join(''), 'latin1');
    if (line === null) this.#writer().writeHeld(commands);
    else this.#wire.write(commands);
  }

  #takeNext(): void {
    this.#request = this.#waiting.shift() ?? null;
    this.#hasCommitted = false;
  }

  #settle(found: SessionOutcome): void {
    const outcome = this.#options.scrub ? scrubOutcome(found, this.#options.scrub) : found;
    const request = this.#request;
    this.#request = null;
    request?.writer?.close();
    if (outcome.kind === 'failed') this.#settleOpening(outcome.failure);
    request?.resolve(outcome);
  }

  /** The machine settles what is under way when a session ends; the messages behind it never had their turn. */
  #settleWaiting(): void {
    this.#settleOpening(SESSION_ENDED);
    while (this.#request !== null || this.#waiting.length > 0) {
      if (this.#request === null) this.#takeNext();
      this.#settle({ kind: 'failed', failure: SESSION_ENDED });
    }
  }

  #leave(): void {
    this.#deadline.stop();
    this.#heard?.end();
    // Nothing that comes is heard any more, but it must not hold up the end.
    this.#wire.listen(this.#listener);
  }
}
