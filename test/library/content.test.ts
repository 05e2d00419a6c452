/** Every kind of content, through every door: it arrives octet for octet, or fails in words, and is closed either way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import { sendTaking } from '../../src/library/content.ts';
import { type Content, connect, type Failed, type Octets, type Options, type Outcome, submit } from '../../src/library/index.ts';
import { contentEncoder } from '../../src/smtp/client/content.ts';
import { type SinkMessage, sink } from '../../src/testing/index.ts';
import { type Held, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { DOORS as ALL_DOORS, type Door, ENVELOPE, turns, watch } from './doors.ts';

const contents = suite('content');
const folder = mkdtempSync(path.join(tmpdir(), 'nospool-content-'));
const looking = watch();
const handles: FileHandle[] = [];

/** With a dot at the beginning of a line, and characters of one to four octets. */
const LINE = '.Grüße, 日本語, 😀\r\n';
const SMALL = `Subject: hi\r\n\r\n${LINE}`;
/** Four times the window of these tests. */
const LARGE = `Subject: hi\r\n\r\n${LINE.repeat(300)}`;
const WINDOW = 2048;

let host: TestHost;
let url = '';
/** Messages that the server has, taken out by whoever looks at them. */
let held: Held[] = [];

contents.before(async () => {
  host = await startHost({ offers: ['8BITMIME', 'PIPELINING', 'CHUNKING'] });
  url = `smtp://127.0.0.1:${host.port}`;
  held = host.held as Held[];
});
contents.before.each(() => void held.splice(0));
contents.after.each(() => looking.check());
contents.after(async () => {
  looking.stop();
  await host.stop();
  await Promise.all(handles.map((handle) => handle.close().catch(() => {})));
  rmSync(folder, { recursive: true });
});

/** With a small window, so that a large message is quick. */
const DOORS = Object.fromEntries(
  Object.entries(ALL_DOORS).map(([name, door]): [string, Door] => [
    name,
    (server, content, options, envelope) => door(server, content, { window: WINDOW, ...options }, envelope),
  ]),
);

let files = 0;
function fileOf(text: string): string {
  files += 1;
  const name = path.join(folder, String(files));
  writeFileSync(name, text);
  return name;
}

async function handleOf(text: string): Promise<FileHandle> {
  const handle = await open(fileOf(text));
  handles.push(handle);
  return handle;
}

/** Octets in parts that end anywhere. */
function cut(text: string, length = 1009): Uint8Array[] {
  const octets = Buffer.from(text);
  return Array.from({ length: Math.ceil(octets.length / length) }, (_, i) => octets.subarray(i * length, (i + 1) * length));
}

/** Text in parts that end anywhere, also within a surrogate pair. */
const cutText = (text: string, length = 997): string[] =>
  Array.from({ length: Math.ceil(text.length / length) }, (_, i) => text.slice(i * length, (i + 1) * length));

const bufferOf = (octets: Uint8Array): ArrayBuffer =>
  octets.buffer.slice(octets.byteOffset, octets.byteOffset + octets.byteLength) as ArrayBuffer;

const webOf = <Chunk>(chunks: readonly Chunk[]): ReadableStream<Chunk> => {
  const left = [...chunks];
  return new ReadableStream<Chunk>({
    pull(controller) {
      const next = left.shift();
      if (next === undefined) controller.close();
      else controller.enqueue(next);
    },
  });
};

function* generated(parts: readonly Octets[]): Generator<Octets> {
  yield* parts;
}

async function* generatedLate(parts: readonly Octets[]): AsyncGenerator<Octets> {
  for (const part of parts) {
    await null;
    yield part;
  }
}

function written(text: string): PassThrough {
  const stream = new PassThrough();
  stream.end(Buffer.from(text));
  return stream;
}

const KINDS: Readonly<Record<string, (text: string) => Content | Promise<Content>>> = {
  text: (text) => text,
  'a Buffer': (text) => Buffer.from(text),
  'a Uint8Array within a buffer': (text) => new Uint8Array(Buffer.from(`x${text}x`)).subarray(1, Buffer.byteLength(text) + 1),
  'an ArrayBuffer': (text) => bufferOf(Buffer.from(text)),
  'octets of another realm': (text) => runInNewContext('Uint8Array.from(octets)', { octets: [...Buffer.from(text)] }),
  'an array': (text) => ['', ...cut(text), new Uint8Array(0)],
  'an array of text': (text) => cutText(text),
  'an array of buffers': (text) => cut(text).map(bufferOf),
  'a Set': (text) => new Set(cut(text)),
  'a generator': (text) => generated(cut(text)),
  'a generator of promises': (text) => generated(cut(text).map((part) => Promise.resolve(part) as unknown as Octets)),
  'a generator of text': (text) => generated(cutText(text, 1)),
  'an asynchronous generator': (text) => generatedLate(cut(text)),
  'an asynchronous generator of text with empty parts': (text) => generatedLate(cutText(text, 7).flatMap((part) => [part, ''])),
  'an iterable': (text) => ({ [Symbol.iterator]: () => generated(cut(text)) }),
  'an asynchronous iterable': (text) => ({ [Symbol.asyncIterator]: () => generatedLate(cut(text)) }),
  'an iterator without return': (text) => {
    const inner = generatedLate(cut(text));
    return { next: () => inner.next(), [Symbol.asyncIterator]: () => inner } as AsyncIterable<Octets>;
  },
  'a Blob': (text) => new Blob(cut(text) as Uint8Array<ArrayBuffer>[]),
  'a File': (text) => new File([text], 'message.eml'),
  'Readable.from octets': (text) => Readable.from([Buffer.from(text)]),
  'Readable.from parts': (text) => Readable.from(cut(text)),
  'Readable.from text': (text) => Readable.from(cutText(text)),
  'a PassThrough that was written': written,
  'a PassThrough that is paused': (text) => written(text).pause(),
  'a PassThrough that is written later': (text) => {
    const stream = new PassThrough();
    setImmediate(() => stream.end(text));
    return stream;
  },
  'a stream of text': (text) => written(text).setEncoding('utf8'),
  'fs.createReadStream': (text) => createReadStream(fileOf(text)),
  'a stream of a FileHandle': async (text) => (await handleOf(text)).createReadStream(),
  'a web stream of a FileHandle': async (text) => (await handleOf(text)).readableWebStream() as ReadableStream<Uint8Array>,
  'a web stream of octets': (text) => webOf(cut(text)),
  'a web stream of buffers': (text) => webOf(cut(text).map(bufferOf)),
  'a web stream of text': (text) => webOf(cutText(text)),
  'a byte stream': (text) => {
    const left = cut(text);
    return new ReadableStream({
      type: 'bytes',
      pull(controller) {
        const next = left.shift();
        if (next === undefined) controller.close();
        else controller.enqueue(new Uint8Array(next));
      },
    });
  },
  'the stream of a Blob': (text) => new Blob([text]).stream(),
  'the body of a Response': (text) => new Response(text).body as ReadableStream<Uint8Array>,
};

/** What the only message held is. */
function arrived(): string {
  const [message, ...others] = held.splice(0);
  assert.deepEqual(others, []);
  return message?.octets.toString() ?? '';
}

const failed = (outcome: Outcome): Failed => {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  return outcome as Failed;
};

for (const [kind, make] of Object.entries(KINDS))
  for (const [name, door] of Object.entries(DOORS))
    contents(`${kind} arrives through ${name}, within the window and beyond it, itself and opened`, () =>
      within(4000, async () => {
        for (const text of [SMALL, LARGE])
          for (const framing of ['auto', 'data'] as const) {
            const given = await make(text);
            const outcome = await door(url, () => given, { framing });
            assert.equal(outcome.kind, 'accepted', JSON.stringify(outcome));
            assert.ok(arrived() === text);
            if (given instanceof Readable) assert.ok(given.destroyed);
            const opened = await door(url, () => ({ open: () => make(text), size: Buffer.byteLength(text) }), { framing });
            assert.equal(opened.kind, 'accepted', JSON.stringify(opened));
            assert.ok(arrived() === text);
          }
      }),
    );

/* ---- used before ---- */

const USED: Readonly<Record<string, () => Promise<Content> | Content>> = {
  'a stream that was read': async () => {
    const stream = written(SMALL);
    for await (const _ of stream);
    return stream;
  },
  'a stream of which a part was read': async () => {
    const stream = Readable.from(cut(LARGE));
    await new Promise((resolve) => stream.once('readable', resolve));
    stream.read();
    return stream;
  },
  'a stream that flows': () => written(SMALL).resume(),
  'a stream that is piped': () => {
    const stream = written(SMALL);
    stream.pipe(new PassThrough());
    return stream;
  },
  'a stream that was destroyed': async () => {
    const stream = createReadStream(fileOf(SMALL)).destroy();
    await once(stream, 'close');
    return stream;
  },
  'a web stream that was read': async () => {
    const stream = webOf(cut(SMALL));
    for await (const _ of stream);
    return stream;
  },
  'a web stream of which a part was read': async () => {
    const stream = webOf(cut(LARGE));
    const reader = stream.getReader();
    await reader.read();
    reader.releaseLock();
    return stream;
  },
  'a web stream that is locked': () => {
    const stream = webOf(cut(SMALL));
    stream.getReader();
    return stream;
  },
  'the body of a Response that was read': async () => {
    const response = new Response(SMALL);
    const { body } = response;
    await response.text();
    return body as ReadableStream<Uint8Array>;
  },
};

for (const [kind, make] of Object.entries(USED))
  contents(`${kind} is a usage failure, and nothing is done to it`, () =>
    within(4000, async () => {
      for (const door of Object.values(DOORS)) {
        const given = await make();
        // Node itself adds and removes listeners in the next turns.
        await turns();
        const listeners = given instanceof Readable ? given.eventNames().map((event) => given.listenerCount(event)) : [];
        const { failure } = failed(await door(url, () => given));
        assert.equal(failure.code, 'usage');
        assert.match(failure.message, /used before/);
        if (given instanceof Readable)
          assert.deepEqual(
            given.eventNames().map((event) => given.listenerCount(event)),
            listeners,
          );
        assert.deepEqual(held, []);
      }
    }),
  );

contents('a stream, a generator and a web stream can be sent once, whatever became of it', () =>
  within(4000, async () => {
    for (const kind of [
      'a generator',
      'an asynchronous generator',
      'fs.createReadStream',
      'a web stream of octets',
      'a PassThrough that is paused',
    ])
      for (const envelope of [ENVELOPE, { from: 'nobody', to: [] }]) {
        const given = await KINDS[kind]?.(SMALL);
        await submit(envelope, given as Content, { servers: [url] });
        held.length = 0;
        const { failure } = failed(await submit(ENVELOPE, given as Content, { servers: [url] }));
        assert.equal(failure.code, 'usage', kind);
        assert.deepEqual(held, []);
      }
  }),
);

contents('an iterable that gives one and the same generator is empty the second time, which fails', () =>
  within(4000, async () => {
    const inner = generated(cut(SMALL));
    const given = { [Symbol.iterator]: () => inner };
    assert.equal((await submit(ENVELOPE, given, { servers: [url] })).kind, 'accepted');
    assert.ok(arrived() === SMALL);
    const { failure } = failed(await submit(ENVELOPE, given, { servers: [url] }));
    assert.deepEqual([failure.code, held], ['input', []]);
    assert.match(failure.message, /read before/);
  }),
);

contents('text, octets, an array, a Blob and an opener can be sent again', () =>
  within(4000, async () => {
    for (const given of [SMALL, Buffer.from(SMALL), [SMALL], new Blob([LARGE]), { open: () => generated(cut(LARGE)) }])
      for (let i = 0; i < 2; i++) {
        assert.equal((await submit(ENVELOPE, given, { servers: [url] })).kind, 'accepted');
        assert.ok([SMALL, LARGE].includes(arrived()));
      }
  }),
);

/* ---- faults ---- */

interface Fault {
  /** A part of the failure's sentence. */
  readonly words: RegExp;
  /** As a known content the same is impossible, where nothing must be read to know it. */
  readonly code?: 'usage' | 'input';
  /** Content that is good for this text, and then is not. */
  readonly make: (good: string) => Content;
}

async function* then(good: string, part: unknown): AsyncGenerator<Octets> {
  yield* cut(good);
  yield part as Octets;
  yield 'and the rest of it\r\n';
}

const boom = new Error('disk gone');
const BARE = Object.create(null) as object;

const PARTS: readonly (readonly [string, unknown, RegExp])[] = [
  ['null', null, /a part of it is null/],
  ['undefined', undefined, /a part of it is undefined/],
  ['a number', 42, /a part of it is a number/],
  ['an object', { length: 3 }, /a part of it is an object \(Object\)/],
  ['an object without a prototype', BARE, /a part of it is an object/],
  ['words of 16 bits', new Uint16Array(4), /a part of it is an object \(Uint16Array\)/],
  ['half a surrogate pair at the beginning', '\uDE00', /half a surrogate pair/],
  ['half a surrogate pair within', 'x\uD83Dx', /half a surrogate pair/],
  ['two halves in the wrong order', '\uDE00\uD83D', /half a surrogate pair/],
  ['half a surrogate pair before text', '\uD83D', /half a surrogate pair/],
];

const FAULTS: Readonly<Record<string, Fault>> = {
  ...Object.fromEntries(
    PARTS.flatMap(([name, part, words]): [string, Fault][] => [
      [`${name} in an asynchronous generator`, { words, make: (good: string) => then(good, part) }],
      [`${name} in a generator`, { words, make: (good) => generated([...cut(good), part as Octets, 'rest']) }],
      [`${name} in an array`, { words, code: 'usage', make: (good) => [...cut(good), part as Octets, 'rest'] }],
      [`${name} in an opened generator`, { words, make: (good) => ({ open: () => generated([...cut(good), part as Octets, 'rest']) }) }],
      [
        `${name} in a web stream`,
        {
          words: part === undefined ? /./ : words,
          make: (good) => webOf([...cut(good), part === undefined ? 7 : part, 'rest']) as ReadableStream<Octets>,
        },
      ],
    ]),
  ),
  'half a surrogate pair before octets': { words: /half a surrogate pair/, make: (good) => generated([good, '\uD83D', Buffer.from('x')]) },
  'half a surrogate pair at the end': { words: /half a surrogate pair/, make: (good) => generated([good, 'x\uD83D']) },
  'half a surrogate pair at the end of an array': { words: /half a surrogate pair/, code: 'usage', make: (good) => [good, 'x\uD83D'] },
  'half a surrogate pair in text': { words: /half a surrogate pair/, code: 'usage', make: (good) => `${good}\uD83D` },
  'a stream of objects': { words: /a part of it is an object/, make: (good) => Readable.from([...cut(good), { a: 1 }]) },
  'a generator that throws': {
    words: /^[^a-z]*.*disk gone/,
    make: (good) =>
      (function* () {
        yield* cut(good);
        throw boom;
      })(),
  },
  'a generator that throws undefined': {
    words: /the content failed: undefined/,
    make: (good) =>
      (function* () {
        yield* cut(good);
        throw undefined;
      })(),
  },
  'a generator that throws an object without words': {
    words: /the content failed: an object without words/,
    make: (good) =>
      (async function* () {
        yield* cut(good);
        throw BARE;
      })(),
  },
  'a stream that is destroyed with an error': {
    words: /disk gone/,
    make(good) {
      const stream = new PassThrough();
      stream.write(good);
      setTimeout(() => stream.destroy(boom), 20);
      return stream;
    },
  },
  'a stream that is destroyed without an error': {
    words: /the content failed: .*(?:closed|aborted|premature)/i,
    make(good) {
      const stream = new PassThrough();
      stream.write(good);
      setTimeout(() => stream.destroy(), 20);
      return stream;
    },
  },
  'a stream that errs with a text': {
    words: /only words/,
    make(good) {
      const stream = new PassThrough();
      stream.write(good);
      setTimeout(() => stream.destroy('only words' as unknown as Error), 20);
      return stream;
    },
  },
  'a web stream that errs': {
    words: /disk gone/,
    make(good) {
      const left = cut(good);
      return new ReadableStream({
        pull(controller) {
          const next = left.shift();
          if (next === undefined) controller.error(boom);
          else controller.enqueue(next);
        },
      });
    },
  },
  'an iterator that gives no result': {
    words: /the content failed/,
    make(good) {
      const left = cut(good);
      const iterator = { next: () => (left.length > 0 ? { value: left.shift() } : undefined), [Symbol.iterator]: () => iterator };
      return iterator as unknown as Iterable<Octets>;
    },
  },
};

for (const [name, { words, code = 'input', make }] of Object.entries(FAULTS))
  contents(`${name} fails the message, within the window and beyond it, and nobody has a part of it`, () =>
    within(4000, async () => {
      for (const [which, door] of Object.entries(DOORS))
        for (const good of [SMALL, LARGE]) {
          let given: Content | null = null;
          const { failure } = failed(
            await door(url, () => {
              given = make(good);
              return given;
            }),
          );
          assert.equal(failure.code, code, `${which}: ${failure.message}`);
          assert.match(failure.message, words);
          assert.equal(failure.retry, code === 'usage' ? 'never' : 'safe');
          if ((given as unknown) instanceof Readable) assert.ok((given as unknown as Readable).destroyed);
          await turns();
          assert.deepEqual(held, []);
        }
    }),
  );

contents('the error of the caller is the cause of the failure, within the window and beyond it', () =>
  within(4000, async () => {
    for (const door of Object.values(DOORS))
      for (const good of [SMALL, LARGE])
        for (const given of [
          () => FAULTS['a generator that throws']?.make(good),
          () => ({ open: () => FAULTS['a generator that throws']?.make(good) }),
          () => FAULTS['a stream that is destroyed with an error']?.make(good),
          () => FAULTS['a web stream that errs']?.make(good),
        ])
          assert.equal(failed(await door(url, given as () => Content)).failure.cause, boom);
  }),
);

/** Content that cannot even begin. */
const HOPELESS: Readonly<Record<string, { readonly code: 'usage' | 'input'; readonly words: RegExp; readonly make: () => unknown }>> = {
  undefined: { code: 'usage', words: /the content is undefined/, make: () => undefined },
  null: { code: 'usage', words: /the content is null/, make: () => null },
  'a number': { code: 'usage', words: /the content is a number/, make: () => 7 },
  'a function': { code: 'usage', words: /the content is a function/, make: () => () => SMALL },
  'an object': { code: 'usage', words: /the content is an object \(Object\)/, make: () => ({}) },
  'an object without a prototype': { code: 'usage', words: /the content is an object/, make: () => BARE },
  'a promise': { code: 'usage', words: /the content is an object \(Promise\)/, make: () => Promise.resolve(SMALL) },
  'a Response': { code: 'usage', words: /the content is an object \(Response\)/, make: () => new Response(SMALL) },
  'words of 16 bits': { code: 'usage', words: /the content is an object \(Uint16Array\)/, make: () => new Uint16Array(8) },
  'a DataView': { code: 'usage', words: /the content is an object \(DataView\)/, make: () => new DataView(new ArrayBuffer(8)) },
  'a writable stream': { code: 'usage', words: /the content is an object/, make: () => new WritableStream() },
  'a buffer that was handed over': {
    code: 'usage',
    words: /the content/,
    make() {
      const buffer = new ArrayBuffer(8);
      structuredClone(buffer, { transfer: [buffer] });
      return buffer;
    },
  },
  'a getter that throws': {
    code: 'usage',
    words: /cannot be looked at: disk gone/,
    make: () => ({
      get open() {
        throw boom;
      },
    }),
  },
  'a proxy that throws': {
    code: 'usage',
    words: /cannot be looked at: disk gone/,
    make: () =>
      new Proxy(
        {},
        {
          get() {
            throw boom;
          },
          has() {
            throw boom;
          },
          getPrototypeOf() {
            throw boom;
          },
        },
      ),
  },
  'a revoked proxy': {
    code: 'usage',
    words: /cannot be looked at/,
    make() {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
  },
  'an iterable that throws': {
    code: 'input',
    words: /disk gone/,
    make: () => ({
      [Symbol.asyncIterator]() {
        throw boom;
      },
    }),
  },
  'an iterable without an iterator': {
    code: 'input',
    words: /the content failed/,
    make: () => ({ [Symbol.asyncIterator]: () => undefined }),
  },
  'an iterable that is none': { code: 'input', words: /the content failed/, make: () => ({ [Symbol.iterator]: 7 }) },
  'an empty text': { code: 'usage', words: /it has no octet/, make: () => '' },
  'no octets': { code: 'usage', words: /it has no octet/, make: () => new Uint8Array(0) },
  'an empty ArrayBuffer': { code: 'usage', words: /it has no octet/, make: () => new ArrayBuffer(0) },
  'an empty array': { code: 'usage', words: /it has no octet/, make: () => [] },
  'an array of empty parts': { code: 'usage', words: /it has no octet/, make: () => ['', new Uint8Array(0)] },
  'an empty Blob': { code: 'input', words: /without an octet/, make: () => new Blob([]) },
  'an opener of an empty text': { code: 'input', words: /it has no octet/, make: () => ({ open: () => '' }) },
  'an opener of an empty array': { code: 'input', words: /it has no octet/, make: () => ({ open: () => [] }) },
  'an opener of an empty Blob': { code: 'input', words: /without an octet/, make: () => ({ open: () => new Blob([]) }) },
  'an empty stream': { code: 'input', words: /without an octet/, make: () => Readable.from([]) },
  'an empty file': { code: 'input', words: /without an octet/, make: () => createReadStream(fileOf('')) },
  'a file that is missing': { code: 'input', words: /ENOENT/, make: () => createReadStream(path.join(folder, 'missing')) },
  'a folder': { code: 'input', words: /EISDIR/, make: () => createReadStream(folder) },
  'a stream that has failed': {
    code: 'input',
    words: /disk gone/,
    make() {
      const stream = new PassThrough();
      stream.on('error', () => {});
      return stream.destroy(boom);
    },
  },
  'a stream that fails at once': {
    code: 'input',
    words: /disk gone/,
    make() {
      const stream = new PassThrough();
      process.nextTick(() => stream.destroy(boom));
      return stream;
    },
  },
  'a stream that errs with nothing': {
    code: 'input',
    words: /the stream failed and said nothing/,
    make() {
      const stream = new PassThrough();
      process.nextTick(() => {
        stream.emit('error', undefined);
        stream.end(SMALL);
      });
      return stream;
    },
  },
  'a stream that gives hexadecimal text': {
    code: 'usage',
    words: /gives its octets as hex/,
    make: () => written(SMALL).setEncoding('hex'),
  },
  'a file that is read as latin1': {
    code: 'usage',
    words: /gives its octets as latin1/,
    make: () => createReadStream(fileOf(SMALL), 'latin1'),
  },
  'an opener that throws': {
    code: 'input',
    words: /the content failed: disk gone/,
    make: () => ({
      open() {
        throw boom;
      },
    }),
  },
  'an opener that rejects': { code: 'input', words: /the content failed: disk gone/, make: () => ({ open: () => Promise.reject(boom) }) },
  'an opener that rejects with nothing': {
    code: 'input',
    words: /the content failed: undefined/,
    make: () => ({ open: () => Promise.reject() }),
  },
  'an opener that gives nothing': { code: 'input', words: /the content is undefined/, make: () => ({ open: () => undefined }) },
  'an opener that gives a used stream': { code: 'input', words: /used before/, make: () => ({ open: () => written(SMALL).resume() }) },
  'an opener that gives itself': {
    code: 'input',
    words: /nothing but openers/,
    make() {
      const opener = { open: () => opener };
      return opener;
    },
  },
  'a size that is no number': {
    code: 'usage',
    words: /content\.size is 12, and takes a count of octets/,
    make: () => ({ open: () => SMALL, size: '12' }),
  },
  'a size below 0': { code: 'usage', words: /content\.size is -1/, make: () => ({ open: () => SMALL, size: -1 }) },
  'a size of NaN': { code: 'usage', words: /content\.size is NaN/, make: () => ({ open: () => SMALL, size: Number.NaN }) },
  'a size of a half': { code: 'usage', words: /content\.size is 0\.5/, make: () => ({ open: () => SMALL, size: 0.5 }) },
};

for (const [name, { code, words, make }] of Object.entries(HOPELESS))
  contents(`${name} is no content: ${code}`, () =>
    within(4000, async () => {
      for (const [which, door] of Object.entries(DOORS)) {
        const { failure } = failed(await door(url, () => make() as Content));
        assert.equal(failure.code, code, `${which}: ${failure.message}`);
        assert.match(failure.message, words);
        await turns();
        assert.deepEqual(held, []);
      }
    }),
  );

contents('an opener is called as a method, and a wrong size does no harm', () =>
  within(4000, async () => {
    class Stored {
      readonly #text = SMALL;
      open(): string {
        return this.#text;
      }
    }
    for (const given of [new Stored(), { open: () => SMALL, size: 0 }, { open: () => SMALL, size: 1e9 }])
      for (const door of Object.values(DOORS)) {
        assert.equal((await door(url, () => given)).kind, 'accepted');
        assert.ok(arrived() === SMALL);
      }
  }),
);

/* ---- endless ---- */

/** Neither ends nor gives anything, each in its own way. */
const ENDLESS: Readonly<Record<string, () => Content>> = {
  'empty parts for ever': () =>
    (function* () {
      for (;;) yield '';
    })(),
  'empty parts for ever, asynchronously': () =>
    (async function* () {
      for (;;) yield new Uint8Array(0);
    })(),
  'a stream that gives nothing': () => new PassThrough(),
  'a web stream that gives nothing': () => new ReadableStream(),
  'an iterator that does not answer': () =>
    ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }) as AsyncIterable<Octets>,
  'an opener that does not answer': () => ({ open: () => new Promise<never>(() => {}) }),
  'an opener of empty parts': () => ({
    open: () =>
      (function* () {
        for (;;) yield '';
      })(),
  }),
};

for (const [name, make] of Object.entries(ENDLESS))
  for (const [which, door] of Object.entries(DOORS))
    contents(`${name}: through ${which} it ends by timeouts.input and by a signal, and the loop turns meanwhile`, () =>
      within(4000, async () => {
        const late = failed(await door(url, make, { timeouts: { input: 100 } })).failure;
        assert.equal(late.code, 'input', late.message);
        assert.match(late.message, /the content gave nothing for 0\.1 s \(timeouts\.input\)/);
        const controller = new AbortController();
        setTimeout(() => controller.abort(new Error('changed my mind')), 50);
        const { failure } = failed(await door(url, make, { signal: controller.signal }));
        assert.match(failure.message, /changed my mind/);
        assert.equal(failure.code, 'aborted', failure.message);
        assert.deepEqual(held, []);
      }),
    );

/* ---- closed on every path ---- */

interface Watched {
  readonly content: Content;
  isClosed(): boolean;
}

/** Content beyond the window, which knows whether it was closed. */
const WATCHED: Readonly<Record<string, () => Watched>> = {
  'a file stream': () => {
    const content = createReadStream(fileOf(LARGE));
    return { content, isClosed: () => content.destroyed };
  },
  'a generator': () => {
    let isOver = false;
    const content = (function* () {
      try {
        yield* cut(LARGE);
      } finally {
        isOver = true;
      }
    })();
    return { content, isClosed: () => isOver || content.next().done === true };
  },
  'an asynchronous iterator': () => {
    let isOver = false;
    const left = cut(LARGE);
    const content = {
      next: async () => {
        const value = left.shift();
        if (value === undefined) isOver = true;
        return { done: value === undefined, value };
      },
      return: async () => {
        isOver = true;
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => content,
    };
    return { content: content as unknown as AsyncIterable<Octets>, isClosed: () => isOver };
  },
  'a web stream': () => {
    let isOver = false;
    const left = cut(LARGE);
    const content = new ReadableStream({
      pull(controller) {
        const next = left.shift();
        if (next !== undefined) return controller.enqueue(next);
        isOver = true;
        controller.close();
      },
      cancel() {
        isOver = true;
      },
    });
    return { content, isClosed: () => isOver };
  },
  'what an opener gave': () => {
    const opened: Readable[] = [];
    return {
      content: {
        open() {
          const stream = createReadStream(fileOf(LARGE));
          opened.push(stream);
          return stream;
        },
      },
      isClosed: () => opened.every((stream) => stream.destroyed),
    };
  },
  'an iterator whose return throws': () => {
    let isOver = false;
    const left = cut(LARGE);
    const content = {
      next: () => {
        const value = left.shift();
        isOver ||= value === undefined;
        return { done: value === undefined, value };
      },
      return() {
        isOver = true;
        throw boom;
      },
      [Symbol.iterator]: () => content,
    };
    return { content: content as unknown as Iterable<Octets>, isClosed: () => isOver };
  },
  'an iterator whose return gives no promise': () => {
    let isOver = false;
    const left = cut(LARGE);
    const content = {
      next: async () => {
        const value = left.shift();
        isOver ||= value === undefined;
        return { done: value === undefined, value };
      },
      return() {
        isOver = true;
      },
      [Symbol.asyncIterator]: () => content,
    };
    return { content: content as unknown as AsyncIterable<Octets>, isClosed: () => isOver };
  },
  'an iterator whose return rejects': () => {
    let isOver = false;
    const left = cut(LARGE);
    const content = {
      next: async () => {
        const value = left.shift();
        isOver ||= value === undefined;
        return { done: value === undefined, value };
      },
      return() {
        isOver = true;
        return Promise.reject(boom);
      },
      [Symbol.asyncIterator]: () => content,
    };
    return { content: content as unknown as AsyncIterable<Octets>, isClosed: () => isOver };
  },
  'an iterator whose return never settles': () => {
    let isOver = false;
    const left = cut(LARGE);
    const content = {
      next: async () => {
        const value = left.shift();
        isOver ||= value === undefined;
        return { done: value === undefined, value };
      },
      return() {
        isOver = true;
        return new Promise(() => {});
      },
      [Symbol.asyncIterator]: () => content,
    };
    return { content: content as unknown as AsyncIterable<Octets>, isClosed: () => isOver };
  },
};

const PATHS: Readonly<Record<string, (door: Door, content: () => Content) => Promise<Outcome>>> = {
  accepted: (door, content) => door(url, content),
  'MAIL is refused': (door, content) => scripted({ script: { MAIL: '550 no' } }, door, content),
  'RCPT is refused': (door, content) => scripted({ script: { 'RCPT 1': '550 no' } }, door, content),
  'DATA is refused': (door, content) => scripted({ script: { DATA: '451 later' } }, door, content),
  'the end is refused': (door, content) => scripted({ script: { end: '552 too large' } }, door, content),
  'the server is lost in the content': (door, content) => scripted({ script: { content: 'reset' }, contentOctets: 3000 }, door, content),
  'the server says 421': (door, content) => scripted({ script: { greeting: '421 go away' } }, door, content),
  'the server says nothing': (door, content) =>
    scripted({ script: { greeting: 'silence' } }, door, content, { timeouts: { greeting: 50 } }),
  'nobody listens': (door, content) => door('smtp://127.0.0.1:1', content),
  'the name is unknown': (door, content) =>
    door({ url: 'smtp://mail.example', resolver: { addresses: () => Promise.reject(new Error('no such name')) } }, content),
  'the envelope is impossible': (door, content) => door(url, content, {}, { from: 'a b', to: [] }),
  'the envelope is nothing': (door, content) => door(url, content, {}, null as never),
  'an option is impossible': (door, content) => door(url, content, { window: -1 }),
  'the server is impossible': (door, content) => door('mail.example.org:25:25', content),
  'the signal has come': (door, content) => door(url, content, { signal: AbortSignal.abort(boom) }),
  'the signal comes': (door, content) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(boom), 30);
    return scripted({ script: { DATA: 'silence' } }, door, content, { signal: controller.signal });
  },
};

async function scripted(
  options: Parameters<typeof startHost>[0],
  door: Door,
  content: () => Content,
  more: Options = {},
): Promise<Outcome> {
  const server = await startHost({ ...options, offers: ['8BITMIME'] });
  const outcome = await door(`smtp://127.0.0.1:${server.port}`, content, more);
  await server.stop();
  return outcome;
}

for (const [way, run] of Object.entries(PATHS))
  contents(`content is closed when ${way}`, () =>
    within(20_000, async () => {
      for (const [which, door] of Object.entries(DOORS))
        for (const [kind, make] of Object.entries(WATCHED)) {
          const { content, isClosed } = make();
          const outcome = await run(door, () => content);
          // Without a client nobody was given the content.
          if (which === 'connect' && outcome.kind === 'failed' && failedBefore.test(way)) continue;
          assert.equal(outcome.kind, way === 'accepted' ? 'accepted' : 'failed', `${which}, ${kind}: ${JSON.stringify(outcome)}`);
          await turns();
          assert.ok(isClosed(), `${which}, ${kind}: ${JSON.stringify(outcome)}`);
          held.length = 0;
        }
    }),
  );

/** Ways on which `connect` itself fails. */
const failedBefore = /nobody listens|the name is|an option is|the server is impossible/;

/* ---- memory that is gone ---- */

/** Gives the memory to somebody else, as to post it to a worker does. The array is empty from then on. */
const takeAway = ({ buffer }: Uint8Array): unknown => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
/** With many turns of the loop between its first octet and its last. */
const LONG = 8 << 20;

for (const [name, door] of Object.entries(DOORS)) {
  contents(`octets whose memory is taken away before they are sent are no message, and none that is shorter, through ${name}`, () =>
    within(20_000, async () => {
      for (const [size, taking] of [
        [100, queueMicrotask],
        [LONG, queueMicrotask],
        [LONG, setImmediate],
        [LONG, (take: () => void) => setTimeout(take, 10)],
      ] as const) {
        const octets = new Uint8Array(size).fill(0x41);
        taking(() => void takeAway(octets));
        const outcome = await door(url, () => octets);
        const arrivedOctets = held.splice(0).map((message) => message.octets.length);
        if (outcome.kind === 'accepted') assert.ok((arrivedOctets[0] ?? 0) >= size, `${size}: ${arrivedOctets}`);
        else {
          // What was empty before it was given is a mistake.
          assert.ok(['input', 'usage'].includes(outcome.failure.code), outcome.failure.message);
          assert.deepEqual(arrivedOctets, []);
        }
      }
    }),
  );

  contents(`a chunk whose memory is taken away while it is sent fails the content, through ${name}`, () =>
    within(20_000, async () => {
      async function* chunks(): AsyncGenerator<Octets> {
        yield SMALL;
        const octets = new Uint8Array(LONG).fill(0x41);
        setImmediate(() => void takeAway(octets));
        yield octets;
      }
      for (const framing of ['auto', 'data'] as const) {
        assert.equal(failed(await door(url, chunks, { framing })).failure.code, 'input');
        assert.deepEqual(held, []);
      }
    }),
  );

  contents(`what looks like a Blob and cannot be opened fails itself and nothing behind it, through ${name}`, () =>
    within(4000, async () => {
      const blob = { [Symbol.toStringTag]: 'Blob', size: 5, stream: () => assert.fail(boom) };
      const failure = failed(await door(url, () => blob as unknown as Blob)).failure;
      assert.equal(failure.code, 'input');
      assert.equal((await door(url, () => SMALL)).kind, 'accepted');
      held.length = 0;
    }),
  );
}

contents('a session goes on behind a content that cannot be opened', () =>
  within(4000, async () => {
    const connected = await connect(url);
    assert.ok(connected.ok);
    const blob = { [Symbol.toStringTag]: 'Blob', size: 5, stream: () => assert.fail(boom) } as unknown as Blob;
    const outcomes = await Promise.all([blob, SMALL, webOf([SMALL])].map((given) => connected.client.send(ENVELOPE, given)));
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['failed', 'accepted', 'accepted'],
    );
    await connected.client.quit();
    held.length = 0;
  }),
);

contents('an iterator that ended or threw is not closed again, as for await has it', () =>
  within(4000, async () => {
    for (const end of [() => ({ done: true }), () => assert.fail(boom)]) {
      let returned = 0;
      const left = cut(SMALL);
      const content = {
        next: () => (left.length > 0 ? { value: left.shift() } : end()),
        return: () => {
          returned += 1;
          return { done: true };
        },
        [Symbol.iterator]: () => content,
      };
      await submit(ENVELOPE, content as unknown as Iterable<Octets>, { servers: [url] });
      assert.equal(returned, 0);
      held.length = 0;
    }
  }),
);

contents('a message of a stream leaves no clock: a program ends by itself', () =>
  within(4000, async () => {
    for (const door of Object.values(DOORS))
      for (const given of [Readable.from(cut(LARGE)), { open: () => generated(cut(LARGE)) }, new Blob([LARGE])]) {
        const before = clocks();
        await door(url, () => given);
        await turns();
        assert.ok(clocks() <= before, `${clocks()} clocks, ${before} before`);
        held.length = 0;
      }
  }),
);

const clocks = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

/** What a BINARYMIME message may hold, and text may not: a lone LF, a lone CR, NUL, a dot at the beginning, and no line end at the end. */
const BINARY = Buffer.concat([Buffer.from('Subject: b\r\n\r\n'), Buffer.from([0, 10, 13, 255, 13, 13, 10, 10, 46, 10, 46])]);

contents('binary content goes out octet by octet as it is, in every form, and SIZE is its own', () =>
  within(20_000, async () => {
    const host = await sink({ extensions: ['PIPELINING', 'SIZE', '8BITMIME', 'CHUNKING', 'BINARYMIME'] });
    const forms: readonly (() => Content)[] = [
      () => BINARY,
      () => Readable.from([BINARY.subarray(0, 16), BINARY.subarray(16)]),
      () => ({ open: () => Readable.from([BINARY]), size: BINARY.length }),
      () => new Blob([BINARY]),
      () => Buffer.concat([BINARY, Buffer.alloc(600_000, '\n\r.')]),
    ];
    for (const make of forms)
      for (const [name, send] of Object.entries(ALL_DOORS))
        for (const framing of ['auto', 'data'] as const) {
          const content = make();
          const outcome = await send(host.url, () => content, { framing }, { ...ENVELOPE, binary: true });
          assert.equal(outcome.kind, 'accepted', JSON.stringify(outcome));
          const { from, content: held } = host.messages.at(-1) as SinkMessage;
          const whole = content instanceof Uint8Array ? content : BINARY;
          assert.ok(Buffer.from(held).equals(whole), name);
          assert.deepEqual(from.parameters, { SIZE: String(whole.length), BODY: 'BINARYMIME' });
        }
    await host.close();
  }),
);

contents('a stream that fails before the next turn of what opened it is a failed input, and ends no process', () =>
  within(20_000, async () => {
    const open = (): Readable => {
      const stream = new Readable({ read() {} });
      stream.destroy(new Error('broken'));
      return stream;
    };
    for (const door of Object.values(DOORS))
      for (const framing of ['auto', 'data'] as const) {
        const outcome = await door(url, () => ({ open }), { framing });
        assert.equal(outcome.kind === 'failed' && outcome.failure.code, 'input');
      }
    assert.equal(held.length, 0);
  }),
);

contents('octets at hand are what the encoder makes of them, whether they are ready or not', async () => {
  const signs = [...'\r\n.a', '\xe9'].map((sign) => sign.charCodeAt(0));
  const all: number[][] = [[]];
  // The list grows while it is walked.
  for (const octets of all) if (octets.length < 6) all.push(...signs.map((sign) => [...octets, sign]));
  let ready = 0;
  for (const octets of all) {
    const content = Uint8Array.from(octets);
    const expected = contentEncoder('data');
    const encoded = Buffer.concat([expected.push(content), expected.end()]);
    const { size } = expected.facts;
    if (encoded.equals(content)) ready++;
    const looked: unknown[] = [];
    // What is thrown within is an outcome, so it is compared outside.
    await sendTaking(content, async ({ known }) => {
      looked.push(known?.encoded, known?.facts);
      throw new Error('not sent');
    });
    const eightBit = octets.includes(0xe9) ? 'some' : 'none';
    assert.deepEqual(
      looked,
      octets.length === 0 ? [] : [encoded, { size, octets: octets.length, estimate: null, eightBit }],
      octets.join(' '),
    );
  }
  assert.ok(ready > 20 && ready < all.length / 2);
});

contents.run();
