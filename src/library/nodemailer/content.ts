/**
 * The octets of one message of nodemailer's. They are composed once, when a server is ready for them, because attachments may be
 * streams; the beginning is kept so that a second attempt can have the same. Counts what DATA makes of them. Knows no server.
 */
import type { Readable } from 'node:stream';

/** Octets that are kept. */
const KEPT = 65_536;

const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;

/** A second attempt came after more was sent than is kept. */
export class ContentSpent extends Error {}

export class MessageContent {
  readonly #compose: () => Readable;
  readonly #size: number | null;
  #stream: Readable | null = null;
  #iterator: AsyncIterator<Uint8Array> | null = null;
  #pulling: Promise<void> | null = null;
  #parts: Uint8Array[] = [];
  #octets = 0;
  #isWhole = false;
  #isSpent = false;
  readonly #sent = new DataSize();
  /** When the octets were first asked for, by `performance.now`; null before that. */
  firstPull: number | null = null;

  /** `size`: octets, where the caller has told. */
  constructor(compose: () => Readable, size: number | null) {
    this.#compose = compose;
    this.#size = size;
  }

  /** As the library takes it. */
  get content(): { open(): AsyncIterable<Uint8Array>; readonly size?: number } {
    const open = () => this.#open();
    return this.#size === null ? { open } : { open, size: this.#size };
  }

  /** Octets as DATA sends them: line ends are CRLF, dots are doubled, and the terminator counts. */
  get sentOctets(): number {
    return this.#sent.whole;
  }

  /** Releases the files and streams that the message holds. Nothing can be read afterwards. */
  close(): void {
    this.#isSpent = true;
    this.#stream?.on('error', () => undefined).destroy();
  }

  #open(): AsyncIterable<Uint8Array> {
    if (this.#isSpent) throw new ContentSpent('the message was read too far to be sent again');
    return this.#read();
  }

  /** Several readings may be open, of which the last counts; all take from the same parts. */
  async *#read(): AsyncGenerator<Uint8Array> {
    this.firstPull = performance.now();
    for (let i = 0; ; i++) {
      while (i >= this.#parts.length && !this.#isWhole) await this.#pull();
      const part = this.#parts[i];
      if (part === undefined) return;
      if (this.#octets > KEPT) {
        this.#isSpent = true;
        this.#parts[i] = NOTHING;
      }
      yield part;
    }
  }

  #pull(): Promise<void> {
    this.#pulling ??= this.#next().finally(() => {
      this.#pulling = null;
    });
    return this.#pulling;
  }

  async #next(): Promise<void> {
    if (this.#iterator === null) {
      this.#stream = this.#compose();
      this.#iterator = this.#stream[Symbol.asyncIterator]();
    }
    const { done, value } = await this.#iterator.next();
    if (done) {
      this.#isWhole = true;
      return;
    }
    const octets = typeof value === 'string' ? Buffer.from(value) : value;
    this.#octets += octets.length;
    this.#parts.push(octets);
    this.#sent.push(octets);
  }
}

const NOTHING = new Uint8Array(0);

/** Counts the octets that content becomes under DATA. RFC 5321 §4.5.2 */
export class DataSize {
  #octets = 0;
  /** LF, so that a dot at the very beginning counts twice. */
  #last: number = LF;

  push(octets: Uint8Array): void {
    if (octets.length === 0) return;
    this.#octets += octets.length;
    for (let at = -1; ; ) {
      // The octet behind a line end, and at first the one behind the last chunk.
      const next = at + 1;
      const before = at < 0 ? this.#last : LF;
      if (before === LF && octets[next] === DOT) this.#octets += 1;
      at = octets.indexOf(LF, next);
      if (at < 0) break;
      if ((at === 0 ? this.#last : octets[at - 1]) !== CR) this.#octets += 1;
    }
    if (this.#last === CR && octets[0] !== LF) this.#bareCr(octets[0]);
    for (let at = octets.indexOf(CR); at >= 0 && at < octets.length - 1; at = octets.indexOf(CR, at + 1))
      if (octets[at + 1] !== LF) this.#bareCr(octets[at + 1]);
    this.#last = octets[octets.length - 1] as number;
  }

  /** A bare CR becomes a line end. */
  #bareCr(next: number | undefined): void {
    this.#octets += next === DOT ? 2 : 1;
  }

  /** With the last line end, where it is missing, and the terminator. */
  get whole(): number {
    return this.#octets + (this.#last === LF ? 3 : this.#last === CR ? 4 : 5);
  }
}
