/**
 * Drives one session over one open socket: performs the machine's actions in order, and puts everything that happens through one
 * inbox. Decides nothing: what to say, when to commit and what a failure means is the machine's.
 */
import type { Socket } from 'node:net';
import type { Source } from '../message/source.ts';
import { type ContentEncoder, contentEncoder, type Framing } from '../smtp/client/content.ts';
import { Dialogue, type DriverEvent } from '../smtp/client/dialogue.ts';
import type { SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { type Action, type Channel, type Plan, STEPS } from '../smtp/client/session.ts';
import type { Parsed } from '../smtp/parsed.ts';
import { maskCommand } from '../smtp/sasl/mask.ts';
import { BlockBuffers, ContentWriter } from './content-writer.ts';
import { Deadline } from './deadline.ts';
import type { Observer } from './observer.ts';
import { HeardLines, type Scrub, scrubOutcome } from './server-texts.ts';
import { countQueued, delayWriteErrors, printSocketError } from './socket.ts';

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
  /** Does the handshake and verifies the peer; the value is the socket to go on with. */
  readonly secure: (socket: Socket) => Promise<Parsed<Socket>>;
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
export const SESSION_ENDED = {
  kind: 'lost',
  at: 'ready',
  condemns: 'address',
  verb: 'MAIL',
  command: 'MAIL',
  detail: 'the session has ended',
} as const;

/** Milliseconds that a server has to close its side: it must not hold the process, and QUIT is a courtesy. */
const FAREWELL = 1000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #dialogue: Dialogue;
  readonly #heard: HeardLines | null;
  readonly #deadline = new Deadline(() => this.#on(this.#timeout()));
  readonly #buffers = new BlockBuffers();
  #socket: Socket;
  /** The socket below TLS. */
  readonly #wire: Socket;
  readonly #inbox: Arrival[] = [];
  #isPerforming = false;
  /** The message whose turn it is, and those that wait for theirs. */
  #request: Request | null = null;
  readonly #waiting: Request[] = [];
  #channel: Channel | null = null;
  #hasCommitted = false;
  /** QUIT follows as soon as the session is ready for it. */
  #isLeaving = false;
  #closed: Promise<void>;
  readonly #opened: Promise<SessionFailure | null>;
  #settleOpening: (failure: SessionFailure | null) => void = () => {};
  #removeListeners: () => void = () => {};

  /** The socket is connected; nothing has been read from it. */
  constructor(socket: Socket, options: ConnectionOptions) {
    const { plan, observer, scrub = (text) => text } = options;
    this.#options = options;
    this.#socket = socket;
    this.#wire = socket;
    this.#dialogue = new Dialogue(plan);
    this.#heard = observer?.trace ? new HeardLines(observer.trace, scrub) : null;
    this.#closed = untilClosed(socket);
    this.#opened = new Promise((resolve) => {
      this.#settleOpening = resolve;
    });
    socket.setNoDelay(true);
    this.#listen();
    this.#perform(this.#dialogue.begin());
    this.#setDeadline();
  }

  /** True once the last octets were handed to the socket: from here on only the server knows what becomes of the message. */
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

  #listen(): void {
    const socket = this.#socket;
    delayWriteErrors(socket);
    let said = '';
    const onData = (octets: Buffer) => this.#on({ type: 'octets', octets });
    const onEnd = () => this.#on({ type: 'lost', detail: 'the server closed the connection' });
    const onError = (error: NodeJS.ErrnoException) => {
      said = printSocketError(error);
    };
    // 'close' follows 'error', and data that was still readable comes before both.
    const onClose = () => this.#on({ type: 'lost', detail: said || 'the connection was closed' });
    socket.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose).resume();
    this.#removeListeners = () => {
      // An error listener stays: an 'error' without one would end the process.
      socket.on('error', () => {});
      socket.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
    };
  }

  #setDeadline(): void {
    const { state } = this.#dialogue;
    const { within } = STEPS[state.at];
    const isWriting = state.at === 'content' && this.#request?.writer?.isWriting === true;
    // Input that is slow to come is not the server's silence: it has its own limit (timeouts.input).
    const isWaiting = within !== 'none' && (state.at !== 'content' || isWriting || state.blocks > 0);
    this.#deadline.set(
      isWaiting ? this.#options.timeouts[within] : Number.POSITIVE_INFINITY,
      isWriting ? () => countQueued(this.#wire) : null,
    );
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
          this.#socket.end();
          setTimeout(() => this.#socket.destroy(), FAREWELL).unref();
          break;
        case 'destroy':
          this.#leave();
          this.#socket.destroy();
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
    this.#socket.write(`${lines.join('\r\n')}\r\n`, 'latin1');
  }

  async #secure(): Promise<void> {
    this.#removeListeners();
    this.#socket.pause();
    const plainSocket = this.#socket;
    let isOver = false;
    // What the handshake itself says of its failure comes first; Bun closes the socket before it says so.
    const lost = () =>
      setImmediate(() => {
        if (!isOver) this.#on({ type: 'insecure', detail: 'the server closed the connection during the TLS handshake' });
      });
    plainSocket.on('close', lost);
    const secured = await this.#options.secure(plainSocket);
    isOver = true;
    plainSocket.off('close', lost);
    if (this.#dialogue.state.at !== 'handshake') return;
    if (!secured.ok) return this.#on({ type: 'insecure', detail: secured.detail });
    this.#socket = secured.value;
    this.#closed = untilClosed(secured.value);
    this.#trace('!', 'secured');
    this.#listen();
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
    return new ContentWriter(this.#socket, source, encoder, this.#buffers, {
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
    else this.#socket.write(commands);
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
    this.#removeListeners();
    this.#socket.resume();
  }
}

const untilClosed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));
