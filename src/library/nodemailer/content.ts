/**
 * The octets of one message of nodemailer's. They are composed once, because attachments may be streams; the beginning is kept so
 * that a second attempt can have the same. Counts what DATA makes of them. Knows no server.
 */
import type { Readable } from 'node:stream';
import { alarm } from '../../transport/clock.ts';
import type { Content } from '../content.ts';

/** Octets that are kept, as the library keeps them of a stream. */
const KEPT = 65_536;
/** Milliseconds in which a small message is composed; what takes longer is sent as it comes. */
const COMPOSING = 100;

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
  /** The error of the stream, once it failed: what is read afterwards would look like an end. */
  #failed: { readonly error: unknown } | null = null;

  /** `size`: octets, where the caller has told. */
  constructor(compose: () => Readable, size: number | null) {
    this.#compose = compose;
    this.#size = size;
  }

  /** The message as the library takes it: its octets if they are few and at hand soon, else what reads them. Rejects with the stream's error. */
  async take(): Promise<Content> {
    let isLate = false;
    let wake = (): void => {};
    const stop = alarm(COMPOSING, () => {
      isLate = true;
      wake();
    });
    try {
      while (!this.#isWhole && this.#octets <= KEPT && !isLate)
        // What Promise.race would do, for a fraction of its work.
        await new Promise<void>((resolve, reject) => {
          wake = resolve;
          this.#pull().then(resolve, reject);
        });
    } finally {
      stop();
    }
    if (this.#isWhole && this.#octets <= KEPT) return Buffer.concat(this.#parts);
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
    if (this.#failed !== null) throw this.#failed.error;
    const { done, value } = await this.#iterator.next().catch((error: unknown) => {
      this.#failed = { error };
      throw error;
    });
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
