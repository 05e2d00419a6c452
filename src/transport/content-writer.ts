/**
 * Writes the content of one message to a wire: for DATA all of it, for BDAT block by block. Octets are pulled: the next are read
 * when the last are written. It keeps back the end of the last block, which is the commit. Knows no reply, no clock and no other
 * message; when the commit goes out is not decided here.
 */
import type { Ended, Source } from '../message/source.ts';
import type { ContentEncoder, Framing } from '../smtp/client/content.ts';
import type { DriverEvent } from '../smtp/client/dialogue.ts';
import { printThrown } from './abort.ts';
import { turn } from './clock.ts';
import { SLOT } from './kernel/slot.ts';
import type { Wire } from './wire.ts';

/** Octets of a BDAT block: large enough that its command and reply cost nothing, small enough to be held. */
const BLOCK = 256 * 1024;
/** Room before a block's octets for its command: "BDAT ", the digits of 2^53, " LAST", CRLF. */
const COMMAND_ROOM = 32;
/** Octets after which the event loop turns once before more are written, because a file is read without waiting for anything. */
const TURN = 256 * 1024;
/**
 * Octets that are encoded and written at once, because a program may give a whole long message as one chunk. Where the runtime does
 * not tell how a write goes on, a slow line must get one done within the time of a block.
 */
const PIECE = process.versions.bun === undefined ? SLOT : 64 * 1024;

const NOTHING = new Uint8Array(0);
/** One for all: a function made in a write's own place would keep that write's memory until V8 looks through all of it. */
const doNothing = (): void => {};

export interface ContentReports {
  /** A block is at hand, the input has failed, or all is written. */
  readonly on: (event: Extract<DriverEvent, { type: 'block' | 'contentFailed' | 'contentSent' }>) => void;
  /** A write has begun or has completed. */
  readonly moved: () => void;
  /** Octets of this content written so far. */
  readonly progress: (octets: number) => void;
}

/** Where content comes from, and what makes it ready for the line. */
export interface Reading {
  readonly source: Source;
  readonly encoder: ContentEncoder;
}

export class ContentWriter {
  readonly #wire: Wire;
  /** null where the content is at hand, encoded. */
  readonly #reading: Reading | null;
  readonly #buffers: BlockBuffers;
  readonly #reports: ContentReports;
  #octets = 0;
  /** Octets written without a turn of the event loop. */
  #sinceTurn = 0;
  /** Writes that have not completed. */
  #pending = 0;
  #drained = doNothing;
  /** The session goes on without this content: what is still read of it goes nowhere. */
  #isOver = false;
  /** The block that was announced last, unless all of the content is at hand. */
  #block: Block | null = null;
  /** The end of the last block, which is the commit; or all of the content, where that goes with it. */
  #held: Uint8Array = NOTHING;
  #holdsAll = false;
  /** The command of a block that is all held. */
  #heldCommand: Uint8Array = NOTHING;
  /** The content of the one block, where it is at hand. */
  #atHand: Uint8Array | null = null;
  /** Octets of a chunk that did not fit into the block before. */
  #rest: Uint8Array | null = null;

  constructor(wire: Wire, reading: Reading | null, buffers: BlockBuffers, reports: ContentReports) {
    this.#wire = wire;
    this.#reading = reading;
    this.#buffers = buffers;
    this.#reports = reports;
  }

  get isWriting(): boolean {
    return this.#pending > 0;
  }

  /** Ends the reading. Writes that are under way complete, and nothing more is reported but them. */
  close(): void {
    this.#isOver = true;
    try {
      this.#reading?.source.close();
    } catch {
      // Nothing more is wanted of it.
    }
  }

  /** Pulls content until it is all written (DATA), or until a block is at hand. */
  pull(framing: Framing): Promise<void> {
    return (framing === 'data' ? this.#pump() : this.#collectBlock()).catch(this.#fail);
  }

  /** Writes all of the content for DATA, and reports when it is sent. */
  async #pump(): Promise<void> {
    const { encoder } = this.#reading as Reading;
    for (;;) {
      const chunk = await this.#read();
      if (this.#isOver) return;
      if (!(chunk instanceof Uint8Array)) {
        if (chunk.end === 'failed') return this.#reports.on({ ...chunk, type: 'contentFailed' });
        const rest = encoder.end();
        if (rest.length > 0) this.#write(rest, rest.length);
        return this.flush();
      }
      for (const piece of cut(chunk)) {
        const encoded = encoder.push(piece);
        // The chunk is the source's again after the next read, and the encoder's memory its own after the next push.
        if (encoded.length > 0 && !(await this.#writeInTurn(encoded))) return;
      }
    }
  }

  /**
   * Sends content that is at hand, encoded, in one write, and reports when it is sent; for BDAT it reports one block. `isHeld`: it goes out
   * in one write with the commit, and nothing else is missing.
   */
  sendAtHand(framing: Framing, encoded: Uint8Array, isHeld = false): void {
    this.#holdsAll = isHeld;
    if (framing !== 'data') {
      this.#atHand = encoded;
      this.#reports.on({ type: 'block', octets: encoded.length, last: true });
      return;
    }
    if (isHeld) this.#held = encoded;
    else if (encoded.length > 0) this.#write(encoded, encoded.length);
    this.flush();
  }

  /** All of the content is still to be written, with the commit. */
  get holdsAll(): boolean {
    return this.#holdsAll;
  }

  /** Collects the next block of BDAT and reports it. It waits for a buffer, and that is the back-pressure. */
  async #collectBlock(): Promise<void> {
    const { encoder } = this.#reading as Reading;
    const block = await this.#buffers.take();
    if (this.#isOver) return;
    block.end = COMMAND_ROOM;
    let last = false;
    while (block.end - COMMAND_ROOM < BLOCK && !last) {
      const chunk = this.#rest ?? (await this.#read());
      if (this.#isOver) return;
      if (chunk instanceof Uint8Array) {
        // Lines that end with LF make it a little larger. What is left of a long chunk is for the next block.
        const part = chunk.subarray(0, BLOCK + COMMAND_ROOM - block.end);
        this.#rest = part.length < chunk.length ? chunk.subarray(part.length) : null;
        append(block, encoder.push(part));
      } else if (chunk.end === 'failed') return this.#reports.on({ ...chunk, type: 'contentFailed' });
      else {
        last = true;
        append(block, encoder.end());
      }
    }
    // The last block is written after a flush, which turns anyway.
    if (!last) await turn();
    if (this.#isOver) return;
    this.#block = block;
    this.#reports.on({ type: 'block', octets: block.end - COMMAND_ROOM, last });
  }

  /** Writes the block announced last, except for `held` octets at its end, or holds all of it. Its command and its octets are one write. */
  writeBlock(line: string, held: number): void {
    const command = Buffer.from(`${line}\r\n`, 'latin1');
    const whole = this.#atHand;
    if (whole !== null) {
      const count = this.#holdsAll ? 0 : whole.length - held;
      this.#held = whole.subarray(count);
      if (this.#holdsAll) this.#heldCommand = command;
      else this.#write(Buffer.concat([command, whole.subarray(0, count)]), count);
      return;
    }
    const block = this.#block;
    if (block === null) throw new Error('bug: no block is at hand');
    const begin = COMMAND_ROOM - command.length;
    const end = block.end - held;
    block.octets.set(command, begin);
    this.#held = block.octets.slice(end, block.end);
    this.#buffers.lend(block);
    this.#write(block.octets.subarray(begin, end), end - COMMAND_ROOM, (failed) => {
      // After a failure nothing more is pulled, so that what was not sent can still be sent elsewhere.
      if (!failed) this.#buffers.giveBack(block);
    });
  }

  /** Reports that the content is sent when every write has completed and the event loop has let in what happened meanwhile. */
  flush(): void {
    const report = (): void => {
      if (!this.#isOver && this.#wire.isOpen) this.#reports.on({ type: 'contentSent' });
    };
    const inTwoTurns = (): void => void setImmediate(() => void setImmediate(report));
    if (this.isWriting) this.#drained = inTwoTurns;
    else inTwoTurns();
  }

  /** The octets that were held back, and the commands that go along, in one write. */
  writeHeld(commands: Uint8Array): void {
    this.#write(Buffer.concat([this.#heldCommand, this.#held, commands]), this.#held.length);
    // The verdict may come before the write is said to be complete, and nothing is reported behind it.
    this.#reports.progress(this.#octets);
  }

  /** A source is a program's own, and what it throws is a failure of its own; so is memory of a chunk that is gone before it is encoded. */
  readonly #fail = (thrown: unknown): void => {
    if (!this.#isOver)
      this.#reports.on({ type: 'contentFailed', detail: `the content failed: ${printThrown(thrown) || 'without a word'}` });
  };

  #read(): Promise<Uint8Array | Ended> {
    return (this.#reading as Reading).source.read();
  }

  /** Writes octets and waits until the wire has taken them; true when more may follow. */
  async #writeInTurn(octets: Uint8Array): Promise<boolean> {
    // Now and then a turn of the loop first: what the server said meanwhile is read before more is written.
    this.#sinceTurn += octets.length;
    if (this.#sinceTurn > TURN) {
      this.#sinceTurn = 0;
      await turn();
      if (this.#isOver) return false;
    }
    const hasFailed = await new Promise<boolean>((resolve) => this.#write(octets, octets.length, resolve));
    // A failed write closes the wire; its end tells why, and ends this content.
    return !hasFailed && this.#wire.isOpen && !this.#isOver;
  }

  /** Writes octets, `count` of them content. */
  #write(octets: Uint8Array, count: number, done: (hasFailed: boolean) => void = doNothing): void {
    this.#octets += count;
    this.#pending += 1;
    this.#reports.moved();
    this.#wire.write(octets, (hasFailed) => {
      this.#pending -= 1;
      if (this.#pending === 0) {
        // Once, because the commit is a write, too.
        const drained = this.#drained;
        this.#drained = doNothing;
        drained();
      }
      this.#reports.moved();
      if (!hasFailed && !this.#isOver) this.#reports.progress(this.#octets);
      done(hasFailed);
    });
  }
}

function* cut(chunk: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < chunk.length; at += PIECE) yield chunk.subarray(at, at + PIECE);
}

/* ---- buffers ---- */

/** A buffer for blocks of BDAT: the octets stand from COMMAND_ROOM to `end`. */
interface Block {
  octets: Uint8Array;
  end: number;
}

/** The two buffers of a session, which take turns: one is filled while the other is on its way. */
export class BlockBuffers {
  readonly #free: Block[] = [];
  #made = 0;
  #givenBack = doNothing;

  /** A buffer that is not on its way. It stays free until it is lent. */
  async take(): Promise<Block> {
    for (;;) {
      const [block] = this.#free;
      if (block) return block;
      if (this.#made < 2) {
        this.#made += 1;
        // Small messages need little: a buffer grows to what a block needs and stays so.
        this.#free.push({ octets: new Uint8Array(16 * 1024), end: COMMAND_ROOM });
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#givenBack = resolve;
      });
    }
  }

  lend(block: Block): void {
    this.#free.splice(this.#free.indexOf(block), 1);
  }

  giveBack(block: Block): void {
    this.#free.push(block);
    this.#givenBack();
  }
}

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
