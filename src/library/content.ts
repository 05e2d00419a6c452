/**
 * Turns whatever a program gives as a message into octets that can be pulled: text, octets, a Blob, iterables, streams, or a function
 * that opens one of these. A part that cannot be sent is a failed input, never an end. Knows no server and no envelope.
 */
import { Readable } from 'node:stream';
import { type Body, limitSilence, takeBody } from '../message/body.ts';
import { CLEAN, type Ended, type Source, sourceOf } from '../message/source.ts';
import { scanContent } from '../smtp/client/content.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { abortReason, unlessAborted } from '../submit/interrupts.ts';
import { treatEightBit } from '../submit/seven-bits.ts';
import { turn, untilRead } from '../transport/clock.ts';
import type { EightBitTreatment } from '../transport/driver.ts';
import { type Failed, failedHere } from './outcome.ts';

/** Octets, or text that goes out in UTF-8. */
export type Octets = Uint8Array | ArrayBuffer | string;

/**
 * A whole message: header section, empty line, body; any line ends. Octets that are given are not copied. A stream, and an iterator,
 * is read once and closed on every path; `open` is called anew for each server that is tried.
 */
export type Content =
  | Octets
  | Blob
  | Iterable<Octets>
  | AsyncIterable<Octets>
  | ReadableStream<Octets>
  | { open(): Content | Promise<Content>; readonly size?: number };

export interface ContentOptions {
  /** Octets of a stream that are read before anything connects, and kept so that another server can be tried. */
  readonly window: number;
  /** Milliseconds in which the content must go on. */
  readonly patience: number;
  readonly signal: AbortSignal | undefined;
}

/** The content of one call. */
export interface GivenContent {
  readonly facts: Pick<Transaction, 'size' | 'estimate' | 'eightBit'>;
  /** True while `open` gives the content from its first octet. */
  readonly replayable: boolean;
  open(treatment: EightBitTreatment, last?: boolean): Source | null;
  /** The error that the caller's own code gave, once it did. */
  readonly cause: unknown;
  /** Closes what the caller gave. Nothing is opened afterwards. */
  close(): void;
}

/** Takes in what is given; a stream is listened to from here on. */
export function takeContent(content: Content): Parsed<TakenContent> {
  const known = knownOctets(content);
  if (known !== null) return known.ok ? parsed({ known: keepOctets(known.value) }) : known;
  const found = readerOf(content);
  if (!found.ok) return found;
  const input = found.value;
  if ('open' in input)
    return parsed({ known: null, load: async (options) => parsed(openEachTime(input, options)), close: () => undefined, cause: undefined });
  return parsed({
    known: null,
    load: (options) => readOnce(input, options),
    close: () => input.close(),
    get cause() {
      return input.cause;
    },
  });
}

export type TakenContent =
  /** Octets that are at hand. */
  | { readonly known: GivenContent }
  | {
      readonly known: null;
      /** Reads what must be known before anything connects. */
      load(options: ContentOptions): Promise<Parsed<GivenContent>>;
      close(): void;
      readonly cause: unknown;
    };

/** Tells a stream that failed from a signal that ended the reading. */
export function failLoading(given: TakenContent, detail: string, signal: AbortSignal | undefined): Failed {
  if (signal?.aborted) return failedHere('aborted', abortReason(signal), signal.reason);
  return failedHere('input', detail, given.known === null ? given.cause : undefined);
}

/* ---- octets that are at hand ---- */

const encoder = new TextEncoder();
const LONE_SURROGATE = /\p{Cs}/u;
const HALF_PAIR = 'the text holds half a surrogate pair, which no encoding can carry';

/** Octets that the program has already; null for what must be read. */
function knownOctets(content: Content): Parsed<Uint8Array> | null {
  if (typeof content === 'string')
    return LONE_SURROGATE.test(content) ? unparsed(`the content cannot be sent: ${HALF_PAIR}`) : parsed(encoder.encode(content));
  if (content instanceof Uint8Array) return parsed(content);
  if (isArrayBuffer(content)) return parsed(new Uint8Array(content));
  if (!Array.isArray(content)) return null;
  const text = new TextJoiner();
  const parts: Uint8Array[] = [];
  for (const each of content as readonly unknown[]) {
    const octets = text.push(each);
    if (typeof octets === 'string') return unparsed(`the content cannot be sent: ${octets}`);
    parts.push(octets);
  }
  const fault = text.end();
  return fault === null ? parsed(Buffer.concat(parts)) : unparsed(`the content cannot be sent: ${fault}`);
}

const isArrayBuffer = (value: unknown): value is ArrayBuffer => Object.prototype.toString.call(value) === '[object ArrayBuffer]';

/** Makes octets of the chunks of one content, and joins text that was cut inside a surrogate pair. */
class TextJoiner {
  #half = '';

  /** The octets, or a sentence. */
  push(chunk: unknown): Uint8Array | string {
    if (typeof chunk === 'string') {
      const text = this.#half + chunk;
      const isCut = /[\uD800-\uDBFF]$/.test(text);
      this.#half = isCut ? text.slice(-1) : '';
      const whole = isCut ? text.slice(0, -1) : text;
      return LONE_SURROGATE.test(whole) ? HALF_PAIR : encoder.encode(whole);
    }
    if (this.#half !== '') return HALF_PAIR;
    if (chunk instanceof Uint8Array) return chunk;
    if (isArrayBuffer(chunk)) return new Uint8Array(chunk);
    return `a part of it is ${nameOf(chunk)}, neither text nor octets`;
  }

  /** A sentence when the last text ended within a pair. */
  end(): string | null {
    return this.#half === '' ? null : HALF_PAIR;
  }
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object' ? `an object (${value.constructor?.name || 'Object'})` : `a ${typeof value}`;
}

function keepOctets(octets: Uint8Array): GivenContent {
  const scan = scanContent(octets);
  return {
    facts: { size: scan.size, estimate: null, eightBit: scan.eightBit ? 'some' : 'none' },
    replayable: true,
    open: (treatment) => treatEightBit(sourceOf(octets), treatment, { octets: octets.length, whole: true, charset: '' }),
    cause: undefined,
    close: () => undefined,
  };
}

/* ---- streams and iterables ---- */

/** What was given, as something that is read once. */
interface Input {
  next(): Promise<unknown>;
  close(): void;
  /** The error of the caller's code, once there is one. */
  cause: unknown;
}

const ENDED = Symbol('ended');
/** Iterators and streams that were given once. */
const used = new WeakSet<object>();
const USED = 'the content was used before: a stream or an iterator can be sent once; give { open: () => … } to send it again';

type Opener = Extract<Content, { open(): unknown }>;

function readerOf(content: unknown): Parsed<Input | Opener> {
  if (typeof content !== 'object' || content === null)
    return unparsed(`the content is ${nameOf(content)}: give text, octets, a stream or an iterable`);
  if (isBlob(content)) return parsed({ open: () => content.stream() as unknown as Content, size: content.size });
  if (isReadable(content)) return claim(content, isUsedReadable(content), () => fromReadable(content));
  if ('getReader' in content && typeof content.getReader === 'function') {
    const stream = content as ReadableStream<unknown>;
    return claim(stream, stream.locked || Readable.isDisturbed(stream as never), () => fromWeb(stream));
  }
  const isAsync = Symbol.asyncIterator in content;
  if (isAsync || Symbol.iterator in content) {
    const iterable = content as AsyncIterable<unknown> | Iterable<unknown>;
    const isIterator = typeof (content as { next?: unknown }).next === 'function';
    return isIterator ? claim(content, false, () => fromIterable(iterable)) : parsed(fromIterable(iterable));
  }
  if ('open' in content && typeof content.open === 'function') return parsed(content as Opener);
  return unparsed(`the content is ${nameOf(content)}: give text, octets, a stream or an iterable`);
}

function claim(content: object, isUsed: boolean, make: () => Input): Parsed<Input> {
  if (isUsed || used.has(content)) return unparsed(USED);
  used.add(content);
  return parsed(make());
}

const isBlob = (content: object): content is Blob =>
  /^\[object (Blob|File)\]$/.test(Object.prototype.toString.call(content)) && typeof (content as Blob).stream === 'function';

const isReadable = (content: object): content is Readable =>
  typeof (content as Readable).pipe === 'function' && typeof (content as Readable).on === 'function' && Symbol.asyncIterator in content;

const isUsedReadable = (stream: Readable): boolean =>
  stream.errored ? false : stream.destroyed || stream.readableDidRead || stream.readableEnded || stream.readableFlowing === true;

/** An error without a listener would end the process, so the stream has one from the call on. */
function fromReadable(stream: Readable): Input {
  const input = fromIterable(stream, () => stream.destroy());
  stream.on('error', (error) => {
    input.cause ??= error;
  });
  if (stream.errored) input.cause = stream.errored;
  const { next } = input;
  input.next = () => (input.cause === undefined ? next() : Promise.reject(input.cause));
  return input;
}

function fromWeb(stream: ReadableStream<unknown>): Input {
  let reader: ReadableStreamDefaultReader<unknown> | null = null;
  return {
    cause: undefined,
    async next() {
      reader ??= stream.getReader();
      const { done, value } = await reader.read();
      return done ? ENDED : value;
    },
    close: () => ignoreFailure(() => (reader ?? stream).cancel()),
  };
}

function fromIterable(iterable: AsyncIterable<unknown> | Iterable<unknown>, destroy: (() => void) | null = null): Input {
  let iterator: AsyncIterator<unknown> | Iterator<unknown> | null = null;
  const open = () => (Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]());
  return {
    cause: undefined,
    async next() {
      iterator ??= open();
      const { done, value } = await iterator.next();
      return done ? ENDED : value;
    },
    close() {
      if (destroy) destroy();
      // An iterator that nobody began is closed all the same, because it may hold a file.
      else ignoreFailure(() => (iterator ?? ('next' in iterable ? (iterable as unknown as Iterator<unknown>) : null))?.return?.());
    },
  };
}

/** What is closed has nothing to say any more. */
function ignoreFailure(close: () => unknown): void {
  try {
    Promise.resolve(close()).catch(() => undefined);
  } catch {
    // The same, at once.
  }
}

/** Empty chunks after which the event loop turns, because an iterable may give them for ever. */
const EMPTY_CHUNKS = 32;

/** Pulls from an input until it ends. */
function sourceFrom(input: Input): Source {
  const text = new TextJoiner();
  let ended: Ended | null = null;
  let octets = 0;
  const fail = (detail: string, cause?: unknown): Ended => {
    if (cause !== undefined) input.cause ??= cause;
    ended = { end: 'failed', detail: `the content failed: ${detail}` };
    input.close();
    return ended;
  };
  return {
    async read() {
      for (let empty = 1; ended === null; empty++) {
        try {
          const chunk = await input.next();
          if (chunk === ENDED) {
            const fault = text.end() ?? (octets === 0 ? 'it ended without an octet; a stream that was read before does' : null);
            if (fault !== null) return fail(fault);
            ended = CLEAN;
            return ended;
          }
          const part = text.push(chunk);
          if (typeof part === 'string') return fail(part);
          octets += part.length;
          if (part.length > 0) return part;
        } catch (error) {
          return fail(error instanceof Error ? error.message : String(error), error ?? new Error('the content failed'));
        }
        if (empty % EMPTY_CHUNKS === 0) await turn();
      }
      return ended;
    },
    close() {
      ended ??= CLOSED;
      input.close();
    },
  };
}

const CLOSED: Ended = { end: 'failed', detail: 'the content was closed' };

const silenceAfter = (patience: number): string => `the content gave nothing for ${patience / 1000} s (timeouts.input)`;

const bePatient = (source: Source, patience: number): Source =>
  patience === Number.POSITIVE_INFINITY ? source : limitSilence(source, patience, untilRead, silenceAfter(patience));

/** Reads the beginning of what can be read once. */
async function readOnce(input: Input, { window, patience, signal }: ContentOptions): Promise<Parsed<GivenContent>> {
  const source = bePatient(sourceFrom(input), patience);
  const taken = await unlessAborted(takeBody(new Uint8Array(0), source, { window, again: null, fileSize: null }), signal);
  if (taken === null || !taken.ok) {
    source.close();
    return taken ?? unparsed('the call was ended');
  }
  return parsed(keepBody(taken.value, source, input));
}

function keepBody(body: Body, source: Source, input: Input): GivenContent {
  const { facts } = body;
  return {
    facts: { size: facts.size, estimate: null, eightBit: facts.eightBit ? 'some' : facts.whole ? 'none' : 'unknown' },
    get replayable() {
      return body.replayable;
    },
    open(treatment, last) {
      const opened = body.open(last);
      return opened && treatEightBit(opened, treatment, { octets: facts.octets, whole: facts.whole, charset: '' });
    },
    get cause() {
      return input.cause;
    },
    close: () => source.close(),
  };
}

/* ---- what is opened anew ---- */

function openEachTime({ open, size }: Opener, { patience }: ContentOptions): GivenContent {
  const opened = new Set<Source>();
  let cause: unknown;
  return {
    facts: { size: null, estimate: size ?? null, eightBit: 'unknown' },
    replayable: true,
    open(treatment) {
      const source = openLater(open, (error) => {
        cause ??= error;
      });
      opened.add(source);
      return treatEightBit(bePatient(source, patience), treatment, { octets: null, whole: false, charset: '' });
    },
    get cause() {
      return cause;
    },
    close() {
      for (const source of opened) source.close();
    },
  };
}

/** Opens at the first read. */
function openLater(open: Opener['open'], tell: (cause: unknown) => void): Source {
  let isClosed = false;
  let opening: Promise<Source> | null = null;
  const failed = (detail: string): Source => ({
    read: async () => ({ end: 'failed', detail: `the content failed: ${detail}` }),
    close: () => undefined,
  });
  async function begin(): Promise<Source> {
    try {
      const content = await open();
      const known = knownOctets(content);
      if (known) return known.ok ? sourceOf(known.value) : failed(known.detail);
      const found = readerOf(content);
      if (!found.ok) return failed(found.detail);
      if ('open' in found.value) return openLater(found.value.open, tell);
      const input = found.value;
      const source = sourceFrom(input);
      return {
        async read() {
          const got = await source.read();
          if (input.cause !== undefined) tell(input.cause);
          return got;
        },
        close: () => source.close(),
      };
    } catch (error) {
      tell(error ?? new Error('the content could not be opened'));
      return failed(error instanceof Error ? error.message : String(error));
    }
  }
  return {
    async read() {
      opening ??= begin();
      const source = await opening;
      if (isClosed) source.close();
      return source.read();
    },
    close() {
      isClosed = true;
      void opening?.then((source) => source.close());
    },
  };
}
