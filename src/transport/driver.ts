/**
 * Drives one session over one open socket: performs the machine's actions in order, and puts everything that
 * happens through one inbox. Decides nothing: what to say, when to commit and what a failure means is the machine's.
 */
import type { Socket } from 'node:net';
import type { Ended, Source } from '../message/source.ts';
import { type ContentEncoder, contentEncoder } from '../smtp/client/content.ts';
import { Dialogue, type DriverEvent } from '../smtp/client/dialogue.ts';
import type { Refusal, SessionOutcome } from '../smtp/client/outcome.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { type Action, type Channel, type Plan, STEPS } from '../smtp/client/session.ts';
import type { Parsed } from '../smtp/parsed.ts';
import type { Reply } from '../smtp/reply.ts';
import { maskCommand, maskLine } from '../smtp/sasl/mask.ts';
import { LONGEST_TIMER, now, turn, untilRead } from './clock.ts';

/** Milliseconds, by the keys of [timeouts]; Infinity is none. */
export interface SessionTimeouts {
  readonly handshake: number;
  readonly greeting: number;
  readonly command: number;
  readonly data: number;
  readonly block: number;
  readonly final: number;
}

/** The message's octets, opened when the machine pulls them. */
export interface Content {
  /** From the first octet; null when they cannot be read again. */
  open(eightBit: 'pass' | 'convert' | 'refuse'): Source | null;
}

/** One line of the conversation: ours (`C`), the server's (`S`), or something that happened (`!`). Secrets are masked. */
export type Trace = (side: 'C' | 'S' | '!', line: string) => void;

export interface ConnectionOptions {
  readonly plan: Plan;
  readonly timeouts: SessionTimeouts;
  /** Does the handshake and verifies the peer; the value is the socket to go on with. */
  readonly secure: (socket: Socket) => Promise<Parsed<Socket>>;
  /** Makes the encoder; a faster one than the portable one may be given. */
  readonly encoder?: (framing: 'data' | 'bdat') => ContentEncoder;
  readonly trace?: Trace;
  /** Takes secrets out of what a server says, before anybody sees it; `isToAuth`: in answer to AUTH, where they are likely. */
  readonly scrub?: (text: string, isToAuth: boolean) => string;
  readonly note?: (note: string) => void;
  /** Octets of content written so far. */
  readonly progress?: (octets: number) => void;
}

interface Request {
  readonly transaction: Transaction;
  readonly content: Content;
  readonly resolve: (outcome: SessionOutcome) => void;
}

/** Octets of a BDAT block: large enough that its command and reply cost nothing, small enough to be held. */
const BLOCK = 256 * 1024;
/** Room before a block's octets for its command: "BDAT ", the digits of 2^53, " LAST", CRLF. */
const ROOM = 32;

/** A buffer for blocks of BDAT: the octets stand from ROOM to `end`. */
interface Block {
  octets: Uint8Array;
  end: number;
  /** No write of it is under way. */
  free: boolean;
}

/** A Node error of a socket in words: ours, else the system's. Never Node's, which repeats addresses and may say "undefined". */
export function socketError(error: NodeJS.ErrnoException): string {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset by the server',
    EPIPE: 'the server closed the connection',
    ETIMEDOUT: 'connection timed out',
    EHOSTUNREACH: 'no route to the host',
    ENETUNREACH: 'network is unreachable',
    EACCES: 'permission denied',
    ENOENT: 'no such socket',
    EADDRNOTAVAIL: 'address not available',
    EADDRINUSE: 'every local port is in use',
    EPERM: 'forbidden by a rule of this host',
    EMFILE: 'this process may open no more files (ulimit -n)',
    ENFILE: 'this host can open no more files',
  };
  const { code = '', errno, message } = error;
  const known =
    words[code] ?? (errno === undefined ? undefined : process.getBuiltinModule('node:util').getSystemErrorMap().get(errno)?.[1]);
  return known === undefined ? message : words[code] === undefined ? `${known} (${code})` : known;
}

/** What a message comes to that had not begun when its session ended. */
export const SESSION_ENDED = { kind: 'lost', at: 'ready', condemns: 'address', command: 'MAIL', detail: 'the session has ended' } as const;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #dialogue: Dialogue;
  #socket: Socket;
  /** The socket below TLS. */
  readonly #wire: Socket;
  #request: Request | null = null;
  /** Given while another is under way, in order. */
  readonly #waiting: Request[] = [];
  #channel: Channel | null = null;
  #clock: NodeJS.Timeout | undefined;
  /** When the state's time is over, and when the clock looks; Infinity is never. */
  #deadline = Number.POSITIVE_INFINITY;
  #clockEnds = Number.POSITIVE_INFINITY;
  /** Octets that waited in the socket when the clock was set. */
  #queued = 0;
  #source: Source | null = null;
  #encoder: ContentEncoder | null = null;
  readonly #blocks: Block[] = [];
  /** The block that was announced last. */
  #block: Block | null = null;
  /** The end of the last block, which is the commit. */
  #held: Uint8Array = new Uint8Array(0);
  /** Octets of a chunk that did not fit into the block before. */
  #rest: Uint8Array | null = null;
  /** A block was pulled while both buffers were on their way. */
  #pulled: 'pass' | 'convert' | 'refuse' | null = null;
  #octets = 0;
  /** Octets written without a turn of the event loop. */
  #sinceTurn = 0;
  /** Writes of content that have not completed: only then does the block clock run. */
  #writing = false;
  /** Told when they have. */
  #drained: () => void = () => {};
  #committed = false;
  #closed: Promise<void>;
  /** A line that is still to be told, and whether it belongs to an exchange of AUTH. */
  #heard = '';
  #isExchange = false;
  #leaving = false;
  #removeListeners: () => void = () => {};

  /** The socket is connected; nothing has been read from it. */
  constructor(socket: Socket, options: ConnectionOptions) {
    this.#options = options;
    this.#socket = socket;
    this.#wire = socket;
    this.#dialogue = new Dialogue(options.plan);
    this.#closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.setNoDelay(true);
    this.#listen();
    this.#perform(this.#dialogue.begin());
    this.#rearm();
  }

  /** True once the last octets were handed to the socket: from here on only the server knows what becomes of the message. */
  get committed(): boolean {
    return this.#committed;
  }

  /** What the server offers, once it has said so. */
  get channel(): Channel | null {
    return this.#channel;
  }

  /** True while a transaction may be given: the session is open, and no other is under way where it has but one. */
  get usable(): boolean {
    if (this.#options.plan.transactions === 'one' && this.#request !== null) return false;
    return !this.#leaving && this.#dialogue.state.at !== 'closed' && this.#dialogue.state.at !== 'quit';
  }

  /**
   * Sends one message; resolves with its fate, never rejects. A message that is given while another is under way waits for
   * its turn, and with PIPELINING its envelope goes out with the terminator of the one before it.
   */
  submit(transaction: Transaction, content: Content): Promise<SessionOutcome> {
    if (!this.usable) throw new Error('bug: the connection is not free for a transaction');
    return new Promise((resolve) => {
      const request = { transaction, content, resolve };
      if (this.#request !== null || this.#waiting.length > 0) {
        this.#waiting.push(request);
        return;
      }
      this.#take(request);
      if (this.#dialogue.state.at === 'ready') this.#on({ type: 'transaction', transaction });
    });
  }

  #take(request: Request | undefined): void {
    this.#request = request ?? null;
    this.#committed = false;
  }

  /** Ends the session politely and waits for the server's reply, at most `timeouts.command`. */
  async quit(): Promise<void> {
    const { at } = this.#dialogue.state;
    if (at === 'ready') this.#on({ type: 'quit' });
    // After a refusal the reply to RSET is still to come.
    else if (at === 'reset' && this.#request === null && this.#waiting.length === 0) this.#leaving = true;
    else this.abort('the session was ended');
    await this.#closed;
  }

  /** A signal or a deadline: before the commit the message is not sent, after it the outcome is uncertain. */
  abort(detail: string): void {
    this.#on({ type: 'abort', detail });
  }

  /* ---- the inbox ---- */

  #on(event: DriverEvent): void {
    const before = this.#dialogue.state;
    this.#perform(this.#dialogue.on(event));
    this.#disappoint();
    if (this.#dialogue.state !== before) this.#rearm();
  }

  #receive(octets: Buffer): void {
    const before = this.#dialogue.state;
    const text = octets.toString('latin1');
    if (this.#options.trace) this.#traceLines(text);
    this.#perform(this.#dialogue.receive(text));
    this.#disappoint();
    // A part of a reply changes nothing: a deadline is for the whole of it.
    if (this.#dialogue.state !== before) this.#rearm();
  }

  #listen(): void {
    const socket = this.#socket;
    readBeforeTheEnd(socket);
    let said = '';
    const onData = (octets: Buffer) => this.#receive(octets);
    const onEnd = () => this.#on({ type: 'lost', detail: 'the server closed the connection' });
    const onError = (error: NodeJS.ErrnoException) => {
      said = socketError(error);
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

  #traceLines(text: string): void {
    const lines = (this.#heard + text).split('\n');
    this.#heard = lines.pop() ?? '';
    this.#isExchange = this.#dialogue.state.at === 'auth';
    if (lines.length > 0) this.#traceHeard(lines.map((line) => line.replace(/\r$/, '')));
  }

  /** One text: a secret may be folded. */
  #traceHeard(lines: readonly string[]): void {
    const text = (this.#isExchange ? lines.map(maskLine) : lines).join('\n');
    for (const line of this.#scrub(text).split('\n')) this.#options.trace?.('S', line);
  }

  #scrub(text: string): string {
    return this.#options.scrub ? this.#options.scrub(text, this.#dialogue.state.at === 'auth') : text;
  }

  /* ---- the clock ---- */

  #rearm(): void {
    const { state } = this.#dialogue;
    const { within } = STEPS[state.at];
    // Input that is slow to come is not the server's silence: it has its own limit (timeouts.input).
    const isWaiting = within !== 'none' && (state.at !== 'content' || this.#writing || state.blocks > 0);
    const milliseconds = isWaiting ? this.#options.timeouts[within] : Number.POSITIVE_INFINITY;
    this.#deadline = milliseconds === Number.POSITIVE_INFINITY ? milliseconds : now() + milliseconds;
    if (this.#writing) this.#queued = queuedIn(this.#wire);
    if (this.#deadline < this.#clockEnds) this.#wind();
  }

  /** The clock goes on when a deadline is moved back, which most are before they are over: winding it anew costs more than a look at the time. */
  #wind(): void {
    clearTimeout(this.#clock);
    this.#clockEnds = this.#deadline;
    const left = this.#deadline - now();
    // While octets are on their way it looks more often, to see when the last of them moved.
    const next = this.#writing ? Math.min(left, this.#options.timeouts.block / LOOKS) : left;
    this.#clock = setTimeout(() => this.#clockRanOut(), Math.min(LONGEST_TIMER, Math.max(1, next)));
  }

  #clockRanOut(): void {
    const deadline = this.#deadline;
    this.#clockEnds = Number.POSITIVE_INFINITY;
    // RFC 5321 §4.5.3.2.5: a slow line is not a silent server.
    if (this.#writing && this.#dialogue.state.at === 'content' && queuedIn(this.#wire) !== this.#queued) this.#rearm();
    else if (now() >= deadline)
      void untilRead().then(() => {
        if (this.#deadline === deadline) this.#on(this.#late());
      });
    else if (deadline !== Number.POSITIVE_INFINITY) this.#wind();
  }

  #late(): DriverEvent {
    const { within } = STEPS[this.#dialogue.state.at];
    return within === 'none'
      ? { type: 'timeout' }
      : { type: 'timeout', limit: { key: within, milliseconds: this.#options.timeouts[within] } };
  }

  #stopClock(): void {
    clearTimeout(this.#clock);
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#clockEnds = Number.POSITIVE_INFINITY;
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
          if (this.#request === null) this.#take(this.#waiting.shift());
          if (this.#request) this.#on({ type: 'transaction', transaction: this.#request.transaction });
          else if (this.#leaving) this.#on({ type: 'quit' });
          break;
        case 'pull':
          void (action.framing === 'data' ? this.#pump(action.eightBit) : this.#nextBlock(action.eightBit));
          break;
        case 'sendBlock':
          this.#options.trace?.('C', action.line);
          this.#writeBlock(action);
          break;
        case 'flush':
          void this.#flush();
          break;
        case 'commit':
          this.#commit(action);
          break;
        case 'next':
          this.#take(this.#waiting.shift());
          break;
        case 'note':
          this.#options.note?.(action.note);
          break;
        case 'settle':
          this.#settle(action.outcome);
          break;
        case 'close':
          this.#leave();
          this.#socket.end();
          // A server that does not close its side must not hold the process. One second: QUIT is a courtesy.
          setTimeout(() => this.#socket.destroy(), 1000).unref();
          break;
        case 'destroy':
          this.#leave();
          this.#socket.destroy();
          break;
      }
    }
  }

  /** A session that ends settles what is under way: messages that wait for their turn are told here. */
  #disappoint(): void {
    if (this.#dialogue.state.at !== 'closed') return;
    while (this.#request !== null || this.#waiting.length > 0) {
      this.#request ??= this.#waiting.shift() ?? null;
      this.#settle({ kind: 'failed', failure: SESSION_ENDED });
    }
  }

  /** One write, whatever goes along. */
  #commit({ line, along }: Extract<Action, { do: 'commit' }>): void {
    this.#committed = true;
    if (line === null) this.#options.trace?.('!', 'commit');
    const lines = line === null ? along : [line, ...along];
    if (this.#options.trace) for (const each of lines) this.#options.trace('C', each);
    const commands = Buffer.from(lines.map((each) => `${each}\r\n`).join(''), 'latin1');
    if (line === null) this.#writeContent(Buffer.concat([this.#held, commands]), this.#held.length);
    else this.#socket.write(commands);
  }

  #send(lines: readonly string[], secret: boolean): void {
    if (this.#options.trace) for (const line of lines) this.#options.trace('C', secret ? maskCommand(line) : line);
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
    this.#closed = new Promise((resolve) => secured.value.once('close', () => resolve()));
    this.#options.trace?.('!', 'secured');
    this.#listen();
    this.#on({ type: 'secured' });
  }

  #settle(outcome: SessionOutcome): void {
    const request = this.#request;
    this.#request = null;
    this.#source?.close();
    this.#source = null;
    this.#encoder = null;
    this.#rest = null;
    this.#pulled = null;
    request?.resolve(this.#options.scrub ? scrubbed(outcome, this.#options.scrub) : outcome);
  }

  #leave(): void {
    this.#stopClock();
    if (this.#heard !== '') this.#traceHeard([this.#heard]);
    this.#heard = '';
    this.#removeListeners();
    this.#socket.resume();
  }

  /* ---- content ---- */

  /** Opens the content when it is pulled for the first time; null when it cannot be opened. */
  #open(eightBit: 'pass' | 'convert' | 'refuse', framing: 'data' | 'bdat'): Source | null {
    if (this.#source === null && this.#request !== null) {
      this.#source = this.#request.content.open(eightBit);
      this.#encoder = (this.#options.encoder ?? contentEncoder)(framing);
      this.#octets = 0;
      this.#sinceTurn = 0;
      if (this.#source === null) this.#on({ type: 'contentFailed', detail: 'the message cannot be read again' });
      else this.#options.trace?.('!', 'content');
    }
    return this.#source;
  }

  /** All of the content for DATA, pulled by the socket: the next chunk is asked for when the last one is written. */
  async #pump(eightBit: 'pass' | 'convert' | 'refuse'): Promise<void> {
    const source = this.#open(eightBit, 'data');
    const encoder = this.#encoder;
    if (source === null || encoder === null) return;
    for (;;) {
      const chunk = await source.read();
      if (this.#source !== source) return;
      if (!(chunk instanceof Uint8Array)) return this.#ended(chunk, encoder);
      for (const piece of pieces(chunk)) {
        const encoded = encoder.push(piece);
        // The chunk is the source's again after the next read, and the encoder's memory its own after the next push.
        if (encoded.length > 0) await this.#written(encoded);
        if (this.#source !== source) return;
      }
    }
  }

  #ended(ended: Ended, encoder: ContentEncoder): void {
    if (ended.end === 'failed') {
      this.#on({ type: 'contentFailed', detail: ended.detail });
      return;
    }
    const rest = encoder.end();
    if (rest.length > 0) this.#writeContent(rest, rest.length);
    void this.#flush();
  }

  /** Writes octets of content and resolves when the socket has taken them. */
  async #written(octets: Uint8Array): Promise<void> {
    // Now and then a turn of the loop first: what the server said meanwhile is read before more is written.
    this.#sinceTurn += octets.length;
    if (this.#sinceTurn > TURN) {
      this.#sinceTurn = 0;
      await turn();
    }
    if (this.#dialogue.state.at !== 'content') return;
    const failed = await new Promise<boolean>((resolve) => this.#writeContent(octets, octets.length, resolve));
    // A failed write closes the socket; its 'close' event tells why, so nothing more is pulled until then.
    if (failed || this.#socket.destroyed) await this.#closed;
  }

  /** Writes octets, `count` of them content. */
  #writeContent(octets: Uint8Array, count: number, done: (failed: boolean) => void = () => {}): void {
    this.#octets += count;
    this.#writing = true;
    this.#rearm();
    this.#socket.write(octets, (error) => {
      if (this.#socket.writableLength === 0) {
        this.#writing = false;
        this.#drained();
      }
      if (this.#dialogue.state.at === 'content') this.#rearm();
      if (!error) this.#options.progress?.(this.#octets);
      done(Boolean(error));
    });
  }

  /** Collects the next block of BDAT. Two buffers take turns: one is filled while the other is on its way, and that is the back-pressure. */
  async #nextBlock(eightBit: 'pass' | 'convert' | 'refuse'): Promise<void> {
    const source = this.#open(eightBit, 'bdat');
    const encoder = this.#encoder;
    if (source === null || encoder === null) return;
    const block = this.#blocks.find(({ free }) => free) ?? (this.#blocks.length < 2 ? newBlock(this.#blocks) : null);
    if (block === null) {
      this.#pulled = eightBit;
      return;
    }
    block.end = ROOM;
    let last = false;
    while (block.end - ROOM < BLOCK && !last) {
      const chunk = this.#rest ?? (await source.read());
      if (this.#source !== source) return;
      if (!(chunk instanceof Uint8Array) && chunk.end === 'failed') return this.#on({ type: 'contentFailed', detail: chunk.detail });
      last = !(chunk instanceof Uint8Array);
      // Lines that end with LF make it a little larger. What is left of a long chunk is for the next block.
      const part = chunk instanceof Uint8Array ? chunk.subarray(0, BLOCK + ROOM - block.end) : null;
      this.#rest = chunk instanceof Uint8Array && part && part.length < chunk.length ? chunk.subarray(part.length) : null;
      append(block, part ? encoder.push(part) : encoder.end());
    }
    // The last block is written after a flush, which turns anyway.
    if (!last) await turn();
    if (this.#source !== source) return;
    this.#block = block;
    this.#on({ type: 'block', octets: block.end - ROOM, last });
  }

  /** The command stands right before its octets, so that both are one write. */
  #writeBlock({ line, held }: Extract<Action, { do: 'sendBlock' }>): void {
    const block = this.#block;
    if (block === null) throw new Error('bug: no block is at hand');
    const command = Buffer.from(`${line}\r\n`, 'latin1');
    const end = block.end - held;
    block.octets.set(command, ROOM - command.length);
    block.free = false;
    this.#held = block.octets.slice(end, block.end);
    this.#writeContent(block.octets.subarray(ROOM - command.length, end), end - ROOM, (failed) => {
      // The socket's end tells why; nothing more is pulled, so that what was not sent can still be sent elsewhere.
      if (failed) return;
      block.free = true;
      const pulled = this.#pulled;
      this.#pulled = null;
      if (pulled !== null) void this.#nextBlock(pulled);
    });
  }

  /** Says that the content is sent when every write has completed and the event loop has turned once. */
  async #flush(): Promise<void> {
    const source = this.#source;
    if (this.#writing)
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    await turn();
    await turn();
    // Of this content, and of no other.
    if (this.#socket.destroyed || this.#source !== source || this.#dialogue.state.at !== 'content') return;
    this.#on({ type: 'contentSent', next: this.#waiting[0]?.transaction });
  }
}

/** Octets after which the event loop turns once before more are written: a file is read without waiting for anything. */
const TURN = 256 * 1024;
/** Looks of the clock in the time of a block. */
const LOOKS = 4;

/** Octets that the socket has not given to the system yet. Only Node tells how a write goes on before it is done. */
function queuedIn(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? 0;
}

/**
 * What is encoded and written at once: a program may give a whole long message as one chunk. Where nobody tells how a write goes
 * on, one must be done on a slow line within the time of a block.
 */
const PIECE = process.versions.bun === undefined ? 1 << 20 : 64 * 1024;
function* pieces(chunk: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < chunk.length; at += PIECE) yield chunk.subarray(at, at + PIECE);
}

/**
 * A write that fails ends a socket at once, and what the server said before it closed the connection is lost: the reply that
 * says why still waits in the kernel. So the failure is told to the stream only when the event loop has polled once more.
 */
function readBeforeTheEnd(socket: Socket): void {
  type Callback = (error?: Error | null) => void;
  const later =
    (callback: Callback): Callback =>
    (error) => {
      // Two turns: the first may come before a poll.
      if (error)
        void turn()
          .then(turn)
          .then(() => callback(error));
      else callback();
    };
  const { _write, _writev } = socket;
  socket._write = (chunk, encoding, callback) => _write.call(socket, chunk, encoding, later(callback));
  if (_writev) socket._writev = (chunks, callback) => _writev.call(socket, chunks, later(callback));
}

function newBlock(blocks: Block[]): Block {
  const block: Block = { octets: new Uint8Array(16 * 1024), end: ROOM, free: true };
  blocks.push(block);
  return block;
}

/** Small messages need little: the buffer grows to what a block needs and stays so. */
function append(block: Block, octets: Uint8Array): void {
  const end = block.end + octets.length;
  if (end > block.octets.length) {
    const larger = new Uint8Array(Math.max(end, 2 * block.octets.length));
    larger.set(block.octets.subarray(0, block.end));
    block.octets = larger;
  }
  block.octets.set(octets, block.end);
  block.end = end;
}

/** The outcome with every text of the server scrubbed. */
function scrubbed(outcome: SessionOutcome, take: NonNullable<ConnectionOptions['scrub']>): SessionOutcome {
  const isToAuth = outcome.kind === 'failed' && outcome.failure.at === 'auth';
  const scrub = (text: string): string => take(text, isToAuth);
  // The lines are one text, and what a mechanism was told before its refusal stands in the command.
  const ofReply = (reply: Reply): Reply => ({ ...reply, lines: scrub(reply.lines.join('\n')).split('\n') });
  const ofRefusal = (refusal: Refusal): Refusal => ({
    ...refusal,
    command: isToAuth ? scrub(refusal.command) : refusal.command,
    reply: ofReply(refusal.reply),
  });
  if (outcome.kind === 'accepted') return { ...outcome, reply: ofReply(outcome.reply), refusals: outcome.refusals.map(ofRefusal) };
  const { failure } = outcome;
  if (failure.kind === 'timeout')
    return failure.heard === undefined ? outcome : { kind: 'failed', failure: { ...failure, heard: scrub(failure.heard) } };
  if (failure.kind !== 'rejected') return { kind: 'failed', failure: { ...failure, detail: scrub(failure.detail) } };
  const [first, ...rest] = failure.refusals;
  return { kind: 'failed', failure: { ...failure, refusals: [ofRefusal(first), ...rest.map(ofRefusal)] } };
}
