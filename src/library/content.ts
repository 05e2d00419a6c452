/**
 * Turns whatever a program gives as a message into octets that can be pulled: text, octets, a Blob, iterables, streams, or a function
 * that opens one of these. A part that cannot be sent is a failed input, never an end. Knows no server and no envelope.
 */
import { Readable } from 'node:stream';
import { type Body, limitSilence, takeBody } from '../message/body.ts';
import { CLEAN, type Ended, type Source, sourceOf } from '../message/source.ts';
import { type ContentScan, contentEncoder, hasEightBit, scanContent } from '../smtp/client/content.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { unlessAborted } from '../submit/interrupts.ts';
import { treatEightBit } from '../submit/seven-bits.ts';
import { abortReason, reasonOf } from '../transport/abort.ts';
import { turn, untilRead } from '../transport/clock.ts';
import type { EightBitTreatment } from '../transport/driver.ts';
import { octetsOf, tagOf } from '../transport/realm.ts';
import { type Failed, failedHere, type Outcome } from './outcome.ts';

/** Octets, or text that goes out in UTF-8. */
export type Octets = Uint8Array | ArrayBuffer | string;

/**
 * A whole message: header section, empty line, body; any line ends. Nobody may change octets before the outcome is known. A stream, and an iterator,
 * is read once and closed on every path; `open` is called anew for each server that is tried.
 */
export type Content =
  | Octets
  | Blob
  | Iterable<Octets>
  | AsyncIterable<Octets>
  | ReadableStream<Octets>
  | { open(): Content | Promise<Content>; readonly size?: number | undefined };

export interface ContentOptions {
  /** Octets of a stream that are read before anything connects, and kept so that another server can be tried. */
  readonly window: number;
  /** Milliseconds in which the content must go on. */
  readonly patience: number;
  readonly signal: AbortSignal | undefined;
}

/** `octets`: those that were given, where all of them are known. Only binary content goes out as they are. */
export type MeasuredFacts = Pick<Transaction, 'size' | 'estimate' | 'eightBit'> & { readonly octets: number | null };

/** The content of one call. */
export interface GivenContent {
  /** All octets as DATA sends them, where they are at hand. */
  readonly encoded?: Uint8Array | undefined;
  readonly facts: MeasuredFacts;
  /** True while `open` gives the content from its first octet. */
  readonly replayable: boolean;
  open(treatment: EightBitTreatment, last?: boolean): Source | null;
  /** The error that the caller's own code gave, once it did. */
  readonly cause: unknown;
  /** Closes what the caller gave. Nothing is opened afterwards. */
  close(): void;
}

/** Takes in what is given; a stream is listened to from here on. Whatever is given, it throws nothing. */
function takeContent(content: Content): Parsed<TakenContent> {
  try {
    const known = knownOctets(content);
    if (known !== null) return known.ok ? parsed({ known: new KeptOctets(known.value) }) : known;
    const found = readerOf(content);
    if (found.ok) return parsed(takeReader(found.value));
    // Nobody else hears that it fails.
    if (tagOf(content) === '[object Promise]') ignoreFailure(() => content);
    return found;
  } catch (error) {
    return unparsed(`the content cannot be looked at: ${reasonOf(error)}`);
  }
}

/**
 * Takes a content in, before anything is awaited, because a stream may fail at any moment from then on, and has `send` send it. It is
 * closed on every path, and nothing is thrown.
 */
export function sendTaking(content: Content, send: (taken: TakenContent) => Promise<Outcome>): Promise<Outcome> {
  const taken = takeContent(content);
  if (!taken.ok) return Promise.resolve(failedHere('usage', taken.detail));
  const { value } = taken;
  const sent = unlessBug(() => send(value));
  return value.known === null ? sent.finally(() => value.close()) : sent;
}

/** The outcome, whatever is thrown meanwhile. */
export function unlessBug(send: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return send().catch(failBug);
  } catch (error) {
    return Promise.resolve(failBug(error));
  }
}

const failBug = (error: unknown): Failed => failedHere('usage', `bug: ${reasonOf(error)}`, error);

export type TakenContent =
  /** Octets that are at hand. */
  | { readonly known: GivenContent }
  | {
      readonly known: null;
      /** Reads what must be known before anything connects. */
      load(options: ContentOptions): Promise<Parsed<GivenContent>>;
      /** Closes what the caller gave, and all that was made of it. */
      close(): void;
      readonly cause: unknown;
    };

function takeReader(found: Input | Opener): TakenContent {
  let isClosed = false;
  let given: GivenContent | null = null;
  return {
    known: null,
    async load(options) {
      const loaded = await loadFrom(found, options);
      if (!loaded.ok) return loaded;
      given = loaded.value;
      if (isClosed) given.close();
      return loaded;
    },
    close() {
      isClosed = true;
      given?.close();
      if ('next' in found) found.close();
    },
    get cause() {
      return 'next' in found ? found.cause : given?.cause;
    },
  };
}

/** Never rejects, because the messages behind this one wait for it. */
async function loadFrom(found: Input | Opener, options: ContentOptions): Promise<Parsed<GivenContent>> {
  try {
    if ('next' in found) return await readOnce(found, options);
    return isAtHand(found, options) ? await readOnce(fromWeb(found.blob.stream()), options) : parsed(openEachTime(found, options));
  } catch (error) {
    return unparsed(`the content failed: ${reasonOf(error)}`);
  }
}

/** What fits the window is read at once, because then its size and its octets are known. */
const isAtHand = (opener: Opener, { window }: ContentOptions): opener is Opener & { readonly blob: Blob } =>
  opener.blob !== null && opener.blob.size <= window;

/** Tells a stream that failed from a signal that ended the reading. */
export function failLoading(given: TakenContent, detail: string, signal: AbortSignal | undefined): Failed {
  if (signal?.aborted) return failedHere('aborted', abortReason(signal), signal.reason);
  return failedHere('input', detail, given.known === null ? given.cause : undefined);
}

/* ---- octets that are at hand ---- */

const encoder = new TextEncoder();
const LONE_SURROGATE = /\p{Cs}/u;
const HALF_PAIR = 'the text holds half a surrogate pair, which no encoding can carry';

/** Octets that the program has already; null for what must be read. No message is without an octet, so that to give none is a mistake. */
function knownOctets(content: Content): Parsed<Uint8Array> | null {
  const known = joinOctets(content);
  return known?.ok && known.value.length === 0 ? unparsed('the content cannot be sent: it has no octet') : known;
}

function joinOctets(content: Content): Parsed<Uint8Array> | null {
  if (typeof content === 'string')
    return LONE_SURROGATE.test(content) ? unparsed(`the content cannot be sent: ${HALF_PAIR}`) : parsed(encoder.encode(content));
  const octets = octetsOf(content);
  if (octets !== null) return parsed(octets);
  if (!Array.isArray(content)) return null;
  const text = new TextJoiner();
  const parts: Uint8Array[] = [];
  for (const each of content as readonly unknown[]) {
    const part = text.push(each);
    if (typeof part === 'string') return unparsed(`the content cannot be sent: ${part}`);
    parts.push(part);
  }
  const fault = text.end();
  return fault === null ? parsed(Buffer.concat(parts)) : unparsed(`the content cannot be sent: ${fault}`);
}

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
    return octetsOf(chunk) ?? `a part of it is ${nameOf(chunk)}, neither text nor octets`;
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

/** Octets of content that is encoded at once, because one write is enough for it; longer content is encoded on its way. */
const AT_HAND = 64 * 1024;

type Looked = Pick<GivenContent, 'facts' | 'encoded'>;

/** Octets that are at hand. They are looked at when their turn comes, and short ones are encoded by the same look. */
class KeptOctets implements GivenContent {
  readonly replayable = true;
  readonly cause = undefined;
  readonly #octets: Uint8Array;
  readonly #length: number;
  #looked: Looked | null = null;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
    this.#length = octets.length;
  }

  get #known(): Looked {
    this.#looked ??= this.#isThere ? lookAt(this.#octets) : NOT_THERE;
    return this.#looked;
  }

  /** False when the memory of the octets went to somebody else (a worker) or was made smaller, so that they look like none, or fewer. */
  get #isThere(): boolean {
    return this.#octets.length === this.#length;
  }

  get facts(): GivenContent['facts'] {
    return this.#known.facts;
  }

  get encoded(): Uint8Array | undefined {
    return this.#known.encoded;
  }

  open(treatment: EightBitTreatment): Source {
    const source = sourceOf(this.#octets);
    const kept: Source = {
      // Also at the end, because what is gone was not sent.
      read: () => (this.#isThere ? source.read() : Promise.resolve(TAKEN_AWAY)),
      close: () => source.close(),
    };
    return treatEightBit(kept, treatment, { octets: this.#length, whole: true, charset: '' });
  }

  close(): void {}
}

const TAKEN_AWAY: Ended = {
  end: 'failed',
  detail: 'the content failed: the memory of its octets was transferred or made smaller before they were sent',
};
/** Nothing is known of them, and opening them fails. */
const NOT_THERE: Looked = { facts: { size: null, octets: null, estimate: null, eightBit: 'unknown' } };

function lookAt(octets: Uint8Array): Looked {
  if (octets.length > AT_HAND) return { facts: factsOf(scanContent(octets), octets.length) };
  // A copy, because what the caller changes afterwards could end the content, or a line of it.
  const copy = Buffer.from(octets);
  // Most programs give what is ready, and to see that takes half of the encoder's time.
  if (isReady(copy)) return { encoded: copy, facts: factsOf({ size: copy.length, eightBit: hasEightBit(copy) }, copy.length) };
  const encoder = contentEncoder('data');
  const begin = encoder.push(copy);
  return { encoded: Buffer.concat([begin, encoder.end()]), facts: factsOf(encoder.facts, copy.length) };
}

const [LF, CR, DOT] = [10, 13, 46];

/** True where the encoder would change nothing: all lines end in CRLF, none begins with a dot, and no CR stands elsewhere. */
function isReady(octets: Uint8Array): boolean {
  if (octets[0] === DOT) return false;
  let lines = 0;
  let at = 0;
  for (let lf = octets.indexOf(LF); lf >= 0; lf = octets.indexOf(LF, at)) {
    if (octets[lf - 1] !== CR || octets[lf + 1] === DOT) return false;
    lines++;
    at = lf + 1;
  }
  if (at !== octets.length) return false;
  for (let cr = octets.indexOf(CR); cr >= 0; cr = octets.indexOf(CR, cr + 1)) lines--;
  return lines === 0;
}

const factsOf = ({ size, eightBit }: Pick<ContentScan, 'size' | 'eightBit'>, octets: number): MeasuredFacts => ({
  size,
  octets,
  estimate: null,
  eightBit: eightBit ? 'some' : 'none',
});

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

/** What is opened anew for each server. */
interface Opener {
  open(): unknown;
  readonly size: number | undefined;
  readonly blob: Blob | null;
}

function readerOf(content: unknown): Parsed<Input | Opener> {
  if (typeof content !== 'object' || content === null || ArrayBuffer.isView(content)) return unparsed(notContent(content));
  if (isBlob(content)) return parsed({ open: () => content.stream(), size: content.size, blob: content });
  if (isReadable(content)) {
    const fault = readableFault(content);
    return fault === null ? claim(content, false, () => fromReadable(content)) : unparsed(fault);
  }
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
  if ('open' in content && typeof content.open === 'function') {
    const { size } = content as { readonly size?: unknown };
    if (size !== undefined && !(Number.isSafeInteger(size) && (size as number) >= 0))
      return unparsed(`content.size is ${reasonOf(size)}, and takes a count of octets`);
    // It is called as a method, because it may be one.
    return parsed({ open: () => (content as { open(): unknown }).open(), size: size as number | undefined, blob: null });
  }
  return unparsed(notContent(content));
}

const notContent = (content: unknown): string =>
  `the content is ${nameOf(content)}: give text, octets, a stream, an iterable or { open: () => … }`;

function claim(content: object, isUsed: boolean, make: () => Input): Parsed<Input> {
  if (isUsed || used.has(content)) return unparsed(USED);
  used.add(content);
  return parsed(make());
}

const isBlob = (content: object): content is Blob =>
  /^\[object (Blob|File)\]$/.test(tagOf(content)) && typeof (content as Blob).stream === 'function';

const isReadable = (content: object): content is Readable =>
  typeof (content as Readable).pipe === 'function' && typeof (content as Readable).on === 'function' && Symbol.asyncIterator in content;

/** A sentence when a stream cannot be the content. One that has failed is no used one: its error is the better sentence. */
function readableFault(stream: Readable): string | null {
  if (stream.errored) return null;
  if (stream.destroyed || stream.readableDidRead || stream.readableEnded || stream.readableFlowing === true) return USED;
  const encoding = stream.readableEncoding;
  if (encoding && !TEXT_ENCODINGS.includes(encoding.toLowerCase()))
    return `the stream gives its octets as ${encoding}, which would go out as text: leave the encoding out`;
  return null;
}

/** Those that give text itself. The others give a text for octets, and its UTF-8 would be another message. */
const TEXT_ENCODINGS = ['utf8', 'utf-8', 'utf16le', 'utf-16le', 'ucs2', 'ucs-2'];

/** An error without a listener would end the process, so the stream has one from the call on. */
function fromReadable(stream: Readable): Input {
  const input = fromIterable(stream, () => stream.destroy());
  stream.on('error', (error) => {
    input.cause ??= error ?? new Error('the stream failed and said nothing');
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

/** `destroy`: closes it in place of the iterator. */
function fromIterable(iterable: AsyncIterable<unknown> | Iterable<unknown>, destroy: (() => void) | null = null): Input {
  let iterator: AsyncIterator<unknown> | Iterator<unknown> | null = null;
  /** An iterator that has ended or failed has nothing to close. ECMA-262 §14.7.5.6 */
  let isOver = false;
  const open = () => (Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]());
  // An iterator that nobody began is closed all the same, because it may hold a file.
  const begun = () => iterator ?? ('next' in iterable ? (iterable as unknown as Iterator<unknown>) : null);
  return {
    cause: undefined,
    async next() {
      try {
        iterator ??= open();
        const { done, value } = await iterator.next();
        if (!done) return value;
      } catch (error) {
        isOver = true;
        // It may be a promise, which fails unheard.
        ignoreFailure(() => iterator);
        throw error;
      }
      isOver = true;
      return ENDED;
    },
    close() {
      if (destroy !== null) return ignoreFailure(destroy);
      if (isOver) return;
      isOver = true;
      ignoreFailure(() => begun()?.return?.());
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

/** Chunks after which the event loop turns, because an iterable that has all of them at hand, or gives empty ones for ever, would hold it. */
const CHUNKS_IN_A_TURN = 128;

/** Pulls from an input until it ends. */
function sourceFrom(input: Input): Source {
  const text = new TextJoiner();
  let ended: Ended | null = null;
  let octets = 0;
  let chunks = 0;
  /** What was given last, and its octets then: they are in use until the next read. */
  let last: Uint8Array | null = null;
  let size = 0;
  const fail = (detail: string, cause?: unknown): Ended => {
    if (cause !== undefined) input.cause ??= cause;
    ended = { end: 'failed', detail: `the content failed: ${detail}` };
    input.close();
    return ended;
  };
  return {
    async read() {
      if (last !== null && last.length !== size) {
        input.close();
        ended = TAKEN_AWAY;
      }
      while (ended === null) {
        chunks += 1;
        if (chunks % CHUNKS_IN_A_TURN === 0) await turn();
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
          last = part;
          size = part.length;
          if (size > 0) return part;
        } catch (error) {
          return fail(reasonOf(error), error ?? new Error('the content failed and said nothing'));
        }
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
    facts: {
      size: facts.size,
      octets: facts.octets,
      estimate: null,
      eightBit: facts.eightBit ? 'some' : facts.whole ? 'none' : 'unknown',
    },
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

function openEachTime(opener: Opener, { patience }: ContentOptions): GivenContent {
  const opened = new Set<Source>();
  let cause: unknown;
  return {
    facts: { size: null, octets: null, estimate: opener.size ?? null, eightBit: 'unknown' },
    replayable: true,
    open(treatment) {
      const source = bePatient(
        openLater(opener, (error) => {
          cause ??= error;
        }),
        patience,
      );
      opened.add(source);
      return treatEightBit(source, treatment, { octets: null, whole: false, charset: '' });
    },
    get cause() {
      return cause;
    },
    close() {
      for (const source of opened) source.close();
      opened.clear();
    },
  };
}

/** An opener may give another one. More of them are a circle. */
const MOST_OPENERS = 8;

/** Opens at the first read. */
function openLater(opener: Opener, tell: (cause: unknown) => void): Source {
  let isClosed = false;
  let opening: Promise<Source> | null = null;
  async function begin(): Promise<Source> {
    try {
      let found: Parsed<Input | Opener> = parsed(opener);
      for (let i = 0; i < MOST_OPENERS && found.ok && 'open' in found.value; i++) {
        const opened: unknown = found.value.open();
        // What is there is listened to at once, because a stream may fail before the next turn.
        const content: unknown = isPromise(opened) ? await opened : opened;
        const known = knownOctets(content as Content);
        if (known) return known.ok ? sourceOf(known.value) : failedSource(known.detail);
        found = readerOf(content);
      }
      if (!found.ok) return failedSource(found.detail);
      return 'open' in found.value ? failedSource('open gives nothing but openers') : tellingSource(found.value, tell);
    } catch (error) {
      tell(error ?? new Error('the content could not be opened'));
      return failedSource(reasonOf(error));
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

const isPromise = (value: unknown): boolean => typeof (value as { then?: unknown } | null | undefined)?.then === 'function';

const failedSource = (detail: string): Source => ({
  read: async () => ({ end: 'failed', detail: `the content failed: ${detail}` }),
  close: () => undefined,
});

/** As sourceFrom; it tells the input's error. */
function tellingSource(input: Input, tell: (cause: unknown) => void): Source {
  const source = sourceFrom(input);
  return {
    async read() {
      const got = await source.read();
      if (input.cause !== undefined) tell(input.cause);
      return got;
    },
    close: () => source.close(),
  };
}
