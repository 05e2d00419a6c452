/**
 * A message in every shape in which a program may give one: good, slow, broken, used before. Each tells afterwards whether it was
 * closed. Knows no server and no outcome.
 */
import { PassThrough, Readable } from 'node:stream';
import type { Content } from '../../../../src/library/index.ts';
import { Dice } from '../worlds/time.ts';

/** What is read once, what is opened anew, and what is at hand. */
const ONCE = ['iterator', 'async', 'readable', 'from', 'passthrough', 'web', 'bytes', 'transform'] as const;
const AGAIN = ['set', 'iterable', 'blob', 'open'] as const;
const AT_HAND = ['text', 'octets', 'buffer', 'view', 'parts'] as const;
export type Shape = (typeof ONCE)[number] | (typeof AGAIN)[number] | (typeof AT_HAND)[number];
export const SHAPES: readonly Shape[] = [...AT_HAND, ...AGAIN, ...ONCE];

/** What is wrong with it. `dies`: it is destroyed without an error; `moved`: its memory goes to somebody else at some moment. */
export const FLAWS = ['throws', 'dies', 'null', 'number', 'silent', 'empty', 'half', 'spent', 'unopened', 'moved'] as const;
export type Flaw = (typeof FLAWS)[number];

export interface ContentPlan {
  readonly seed: number;
  readonly shape: Shape;
  readonly flaw: Flaw | null;
  readonly text: string;
  /** Milliseconds that a part may take. */
  readonly pause: number;
}

/** The content of one or more calls. */
export interface Made {
  readonly plan: ContentPlan;
  readonly content: Content;
  /** The octets that must arrive, where any do: lines end with CRLF. */
  readonly octets: string;
  /** Whether these octets must arrive where nothing else goes wrong, may, or never. */
  readonly fate: 'arrives' | 'may' | 'never';
  /** False where a second call with it is a mistake. */
  readonly isRepeatable: boolean;
  isClosed(): boolean;
}

/** Which flaws a shape can have. */
export function mayHave(shape: Shape, flaw: Flaw): boolean {
  if (flaw === 'unopened') return shape === 'open';
  if (flaw === 'moved') return shape === 'octets' || shape === 'buffer' || shape === 'open';
  if (flaw === 'dies') return shape === 'readable' || shape === 'passthrough' || shape === 'open';
  if (flaw === 'empty') return true;
  if (shape === 'text') return flaw === 'half';
  if (shape === 'blob' || shape === 'octets' || shape === 'buffer' || shape === 'view') return false;
  if (shape === 'parts') return flaw === 'null' || flaw === 'number' || flaw === 'half';
  if (flaw === 'spent') return ['readable', 'from', 'passthrough', 'web'].includes(shape);
  if (flaw === 'half') return shape === 'async' || shape === 'iterator' || shape === 'iterable' || shape === 'set' || shape === 'web';
  if (flaw === 'null') return !['readable', 'from', 'passthrough', 'bytes', 'transform'].includes(shape);
  if (flaw === 'number') return !['readable', 'passthrough', 'bytes', 'transform'].includes(shape);
  if (flaw === 'silent') return shape !== 'set' && shape !== 'iterable' && shape !== 'iterator';
  return true;
}

/** Lines end as the text has them; CRLF and one end more is what arrives. */
const printed = (text: string): string => Buffer.from(`${text.replace(/\r\n?|\n/g, '\r\n').replace(/\r\n$/, '')}\r\n`).toString('latin1');

export function makeContent(plan: ContentPlan): Made {
  const { flaw, shape } = plan;
  const openings: (() => boolean)[] = [];
  const content = makeShape(plan, new Dice(plan.seed), (isClosed) => void openings.push(isClosed));
  return {
    plan,
    content,
    octets: printed(plan.text),
    fate: flaw === null ? 'arrives' : flaw === 'moved' ? 'may' : 'never',
    isRepeatable: !ONCE.includes(shape as never),
    isClosed: () => openings.every((isClosed) => isClosed()),
  };
}

const broken = () => new Error('the content is broken');
const pass = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
const forever = () => new Promise<never>(() => {});

type Part = string | Uint8Array<ArrayBuffer>;

/** The text in parts of one kind: text, which may be cut inside a pair, or octets, which may be cut inside a character. */
function cut(dice: Dice, text: string, mayBeText: boolean, isQuick: boolean): Part[] {
  const isText = mayBeText && dice.isIn(0.5);
  const whole = isText ? text : new Uint8Array(Buffer.from(text));
  const longest = dice.one([10, 1000, 20_000, 100_000]);
  const parts: Part[] = [];
  // No part is so short that thousands would come of a long text.
  const least = Math.ceil(whole.length / 200);
  for (let at = 0; at < whole.length; ) {
    const end = at + Math.max(least, 1 + dice.below(longest));
    parts.push(whole.slice(at, end) as Part);
    at = end;
    if (dice.isIn(0.05)) for (let i = isQuick ? dice.one([1, 1, 300]) : 1; i > 0; i--) parts.push(isText ? '' : new Uint8Array(0));
  }
  return parts;
}

function makeShape(plan: ContentPlan, dice: Dice, opened: (isClosed: () => boolean) => void): Content {
  const { shape, flaw, pause } = plan;
  const text = flaw === 'empty' ? '' : flaw === 'half' ? `${plan.text}\ud83c` : plan.text;
  const slowly = async (): Promise<void> => {
    if (pause > 0 && dice.isIn(0.3)) await pass(dice.below(pause));
  };
  const takesText =
    !['readable', 'passthrough', 'bytes', 'transform', 'from', 'blob'].includes(shape) && (shape !== 'set' || flaw !== null);
  const parts: unknown[] = cut(dice, text, takesText, pause === 0);
  if (flaw === 'half' && typeof parts[0] !== 'string') parts.splice(0, parts.length, text);
  const wrongAt = dice.isIn(0.3) ? 0 : dice.below(parts.length + 1);
  if (flaw === 'null') parts.splice(wrongAt, 0, null);
  if (flaw === 'number') parts.splice(wrongAt, 0, 42);
  const octets = new Uint8Array(Buffer.from(text));
  const moveLater = (): void => {
    if (flaw === 'moved')
      setTimeout(() => void structuredClone(octets.buffer, { transfer: [octets.buffer] }), dice.below(dice.one([2, 50, 1500])));
  };
  switch (shape) {
    case 'text':
      return text;
    case 'octets':
      moveLater();
      return octets;
    case 'buffer':
      moveLater();
      return octets.buffer;
    case 'view': {
      const around = new Uint8Array(octets.length + 20);
      around.set(octets, 7);
      return around.subarray(7, 7 + octets.length);
    }
    case 'parts':
      return parts as Part[];
    case 'set':
    case 'iterable': {
      const all = parts as Part[];
      if (shape === 'set' && flaw === null) return new Set(all);
      return { [Symbol.iterator]: () => iterate(dice, all, flaw === 'throws' ? wrongAt : null, opened) };
    }
    case 'iterator':
      return iterate(dice, parts as Part[], flaw === 'throws' ? wrongAt : null, opened);
    case 'async':
      return iterateSlowly(dice, parts as Part[], flaw, wrongAt, slowly, opened);
    case 'from':
    case 'readable':
    case 'passthrough': {
      const stream = makeReadable(shape, parts as Part[], flaw, wrongAt, slowly);
      opened(() => stream.destroyed || stream.readableEnded);
      // It may fail before anybody reads it, too.
      if (flaw === 'throws') {
        const when = dice.one(['now', 'later', 'when it is read'] as const);
        if (when === 'now') stream.destroy(broken());
        else if (when === 'later') setTimeout(() => stream.destroy(broken()), dice.below(1500));
      }
      if (flaw === 'spent') {
        if (dice.isIn(0.5)) stream.destroy();
        else stream.resume();
      }
      return stream;
    }
    case 'web':
    case 'bytes':
    case 'transform':
      return makeWeb(shape, parts as Part[], flaw, wrongAt, slowly, opened);
    case 'blob':
      return new Blob(parts as Part[]);
    case 'open': {
      const size = dice.isIn(0.3) && flaw === null ? { size: octets.length } : {};
      const isLate = dice.isIn(0.5);
      const inner =
        flaw === 'unopened' ? 'text' : dice.one(SHAPES.filter((each) => each !== 'open' && (flaw === null || mayHave(each, flaw))));
      let count = 0;
      const open = (): Content => {
        if (flaw === 'unopened') return dice.isIn(0.5) ? raise() : (42 as never);
        count += 1;
        return makeShape({ ...plan, shape: inner }, new Dice(plan.seed + count), opened);
      };
      const openLate = async (): Promise<Content> => {
        await slowly();
        return open();
      };
      return { ...size, open: isLate ? openLate : open };
    }
  }
}

const raise = (): never => {
  throw broken();
};

/** What the end of an iterator does: most work, and some do what nobody would expect. */
function returning(dice: Dice, close: () => void): { return?: () => never } {
  const how = dice.one(['works', 'works', 'works', 'throws', 'rejects', 'hangs', 'odd', 'missing'] as const);
  if (how === 'missing') {
    close();
    return {};
  }
  const end = (): unknown => {
    close();
    if (how === 'throws') throw broken();
    if (how === 'rejects') return Promise.reject(broken());
    return how === 'hangs' ? forever() : how === 'odd' ? undefined : { done: true, value: undefined };
  };
  return { return: end as () => never };
}

/** What iterators of both kinds have: the parts in order, and an end. `close` tells that whoever reads need not close it. */
function makeSteps(dice: Dice, parts: readonly Part[], opened: (isClosed: () => boolean) => void) {
  let at = 0;
  let isClosed = false;
  opened(() => isClosed);
  const close = (): void => {
    isClosed = true;
  };
  return {
    isAt: (place: number | null): boolean => at === place,
    fail(): never {
      close();
      throw broken();
    },
    next(): IteratorResult<Part, undefined> {
      const value = parts[at++];
      if (at <= parts.length) return { done: false, value: value as Part };
      close();
      return { done: true, value: undefined };
    },
    returning: returning(dice, close),
  };
}

function iterate(
  dice: Dice,
  parts: readonly Part[],
  throwsAt: number | null,
  opened: (isClosed: () => boolean) => void,
): IterableIterator<Part> {
  const steps = makeSteps(dice, parts, opened);
  return {
    next: () => (steps.isAt(throwsAt) ? steps.fail() : steps.next()),
    ...steps.returning,
    [Symbol.iterator]() {
      return this;
    },
  };
}

function iterateSlowly(
  dice: Dice,
  parts: readonly Part[],
  flaw: Flaw | null,
  wrongAt: number,
  slowly: () => Promise<void>,
  opened: (isClosed: () => boolean) => void,
): AsyncIterableIterator<Part> {
  const steps = makeSteps(dice, parts, opened);
  return {
    async next() {
      await slowly();
      if (flaw === 'silent' && steps.isAt(wrongAt)) await forever();
      return flaw === 'throws' && steps.isAt(wrongAt) ? steps.fail() : steps.next();
    },
    ...steps.returning,
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function makeReadable(
  shape: 'from' | 'readable' | 'passthrough',
  parts: readonly Part[],
  flaw: Flaw | null,
  wrongAt: number,
  slowly: () => Promise<void>,
): Readable {
  if (shape === 'from')
    return Readable.from(
      (async function* () {
        for (const [i, part] of parts.entries()) {
          await slowly();
          if (i === wrongAt && flaw === 'throws') throw broken();
          if (i === wrongAt && flaw === 'silent') await forever();
          yield part;
        }
        if (wrongAt >= parts.length && flaw === 'throws') throw broken();
        if (wrongAt >= parts.length && flaw === 'silent') await forever();
      })(),
    );
  let at = 0;
  /** Gives one part, its error or its end. */
  const give = async (stream: Readable, push: (part: Part | null) => void): Promise<void> => {
    await slowly();
    if (stream.destroyed) return;
    if (flaw === 'dies' && at === wrongAt) stream.destroy();
    else if (flaw === 'throws' && at === wrongAt) stream.destroy(broken());
    else if (flaw !== 'silent' || at !== wrongAt) push(parts[at++] ?? null);
  };
  if (shape === 'readable') {
    let isGiving = false;
    return new Readable({
      read() {
        if (isGiving) return;
        isGiving = true;
        void give(this, (part) => {
          isGiving = false;
          this.push(part);
          // An empty part asks for no other by itself.
          if (part !== null && part.length === 0) setImmediate(() => this.read(0));
        });
      },
    });
  }
  const stream = new PassThrough();
  const next = (): void =>
    void give(stream, (part) => {
      if (part === null) stream.end();
      else {
        stream.write(part);
        setImmediate(next);
      }
    });
  next();
  return stream;
}

function makeWeb(
  shape: 'web' | 'bytes' | 'transform',
  parts: readonly Part[],
  flaw: Flaw | null,
  wrongAt: number,
  slowly: () => Promise<void>,
  opened: (isClosed: () => boolean) => void,
): ReadableStream<Part> {
  let at = 0;
  let isClosed = false;
  opened(() => isClosed);
  const close = (): void => {
    isClosed = true;
  };
  const source = {
    async pull(controller: ReadableStreamDefaultController<Part>): Promise<void> {
      await slowly();
      // A stream of octets takes no empty part.
      while (shape === 'bytes' && parts[at]?.length === 0) at += 1;
      if (flaw === 'silent' && at >= wrongAt) await forever();
      if (isClosed) return;
      if (flaw === 'throws' && at >= wrongAt) {
        close();
        controller.error(broken());
      } else if (at < parts.length) controller.enqueue(parts[at++] as Part);
      else {
        close();
        controller.close();
        (controller as { byobRequest?: ReadableStreamBYOBRequest | null }).byobRequest?.respond(0);
      }
    },
    cancel: close,
  };
  const stream =
    shape === 'bytes'
      ? (new ReadableStream({ type: 'bytes', ...source } as never) as ReadableStream<Part>)
      : new ReadableStream<Part>(source);
  if (flaw === 'spent') {
    const reader = stream.getReader();
    void reader.read().then(
      () => reader.cancel(),
      () => {},
    );
    close();
  }
  return shape === 'transform' ? stream.pipeThrough(new TransformStream()) : stream;
}
