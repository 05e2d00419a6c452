import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { type Body, limitLines, limitSilence, skip, takeBody } from '../../src/message/body.ts';
import { addOctets, type OctetSums } from '../../src/message/octet-sums.ts';
import { CLEAN, type Ended, type Source, sourceOf } from '../../src/message/source.ts';
import { latin1, octets } from '../../src/smtp/text.ts';
import { within } from '../support/within.ts';

const test = suite('message/body');
const NOTHING = new Uint8Array(0);
const PIPE = { window: 8, again: null, fileSize: null };

async function drained(source: Source): Promise<[string, Ended]> {
  let text = '';
  for (;;) {
    const got = await source.read();
    if (!(got instanceof Uint8Array)) {
      assert.deepEqual(await source.read(), got, 'the end stays the same');
      return [text, got];
    }
    assert.ok(got.length > 0, 'a chunk is never empty');
    text += latin1(got);
  }
}

/** A pipe that is fed by hand. A chunk is overwritten when the next is asked for, as the Source contract allows. */
function pipe(...chunks: string[]) {
  const left: (Uint8Array | Ended)[] = chunks.map(octets);
  let waiting: ((got: Uint8Array | Ended) => void) | null = null;
  let last: Uint8Array | null = null;
  const source: Source = {
    read() {
      state.reads++;
      last?.fill(0x21);
      last = null;
      return new Promise((resolve) => {
        const next = left.shift();
        if (next === undefined) waiting = resolve;
        else give(resolve, next);
      });
    },
    close() {
      state.closed = true;
    },
  };
  function give(resolve: (got: Uint8Array | Ended) => void, got: Uint8Array | Ended): void {
    if (got instanceof Uint8Array) last = got;
    else left.unshift(got);
    resolve(got);
  }
  function put(got: Uint8Array | Ended): void {
    const resolve = waiting;
    waiting = null;
    if (resolve === null) left.push(got);
    else give(resolve, got);
  }
  const state = {
    source,
    reads: 0,
    closed: false,
    write: (text: string): void => put(octets(text)),
    end: (ended: Ended = CLEAN): void => put(ended),
  };
  return state;
}

async function taken(...args: Parameters<typeof takeBody>): Promise<Body> {
  const body = await takeBody(...args);
  assert.ok(body.ok);
  return body.value;
}

const opened = (body: Body): Source => {
  const source = body.open();
  assert.ok(source !== null);
  return source;
};

/** The wire form of a body, by regular expression. */
const onTheWire = (text: string): string =>
  text.replace(/\r\n|\r|\n/g, '\r\n').replace(/(?<!\r\n)$/, (_, at: number) => (at === 0 ? '' : '\r\n'));

const FACTS: [string, number, number, boolean, boolean, string][] = [
  ['', 0, 0, false, false, 'an empty body has no octets'],
  ['a', 3, 1, false, false, 'a missing final line end counts'],
  ['a\n', 3, 1, false, false, 'LF counts as CRLF'],
  ['a\r\n', 3, 1, false, false, 'CRLF is as it is'],
  ['a\r', 3, 1, false, false, 'so does a lone CR'],
  ['\n\r\n\r\r\n', 8, 0, false, false, 'LF, CRLF, CR and CRLF are four lines'],
  ['\r\r\n', 4, 0, false, false, 'CR CR LF is two'],
  ['ab\ncde', 9, 3, false, false, 'the last line may be the longest'],
  ['a\x00\n', 4, 2, false, true, 'NUL is seen'],
  ['\x80', 3, 1, true, false, '128 is 8-bit'],
  ['\x7f', 3, 1, false, false, '127 is not'],
];
for (const [text, size, longestLine, eightBit, nul, why] of FACTS) {
  test(`facts: ${why}`, async () => {
    assert.equal(onTheWire(text).length, size, 'model');
    const { facts } = await taken(NOTHING, sourceOf(octets(text)), { ...PIPE, window: 100 });
    assert.deepEqual(
      { ...facts, sample: latin1(facts.sample) },
      {
        whole: true,
        octets: text.length,
        size,
        estimate: null,
        eightBit,
        nul,
        longestLine,
        sample: text,
      },
    );
  });
}

test('facts agree with a model for any text and any cut', async () => {
  const word = fc.constantFrom('\r', '\n', '\r\n', 'a', 'bcd', '\0', '\xe9');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(word, { maxLength: 9 }), { minLength: 1, maxLength: 5 }), async (cut) => {
      const [first, ...chunks] = cut.map((words) => words.join(''));
      const text = (first ?? '') + chunks.join('');
      const body = await taken(octets(first ?? ''), sourceOf(...chunks.map(octets)), { ...PIPE, window: 1000 });
      assert.equal(body.facts.size, onTheWire(text).length);
      assert.equal(body.facts.octets, text.length);
      assert.equal(body.facts.longestLine, Math.max(...text.split(/[\r\n]/).map((line) => line.length)));
      assert.equal(body.facts.eightBit, /\xe9/.test(text));
      assert.equal(body.facts.nul, text.includes('\0'));
      for (let i = 0; i < 2; i++) assert.deepEqual(await drained(opened(body)), [text, CLEAN]);
    }),
  );
});

test('a body of exactly the window is whole, one octet more is not', async () => {
  const exact = await taken(octets('1234'), sourceOf(octets('5678')), PIPE);
  assert.equal(exact.facts.whole, true);
  const more = await taken(octets('1234'), sourceOf(octets('56789')), PIPE);
  assert.equal(more.facts.whole, false);
  assert.equal(more.facts.size, null);
  assert.equal(more.facts.octets, null);
  assert.deepEqual(await drained(opened(more)), ['123456789', CLEAN]);
});

test('a whole body is handed on in slices of at most 64 KiB, any number of times', async () => {
  const text = 'x'.repeat(150_000);
  const body = await taken(NOTHING, sourceOf(octets(text)), { ...PIPE, window: 200_000 });
  for (let i = 0; i < 3; i++) {
    const source = opened(body);
    const got = await source.read();
    assert.ok(got instanceof Uint8Array && got.length === 65536);
    assert.equal((await drained(source))[0].length, 150_000 - 65536);
    assert.equal(body.replayable, true);
  }
});

test('a failure within the window is a failure of the body', async () => {
  const input = pipe('12');
  input.end({ end: 'failed', detail: 'EIO' });
  assert.deepEqual(await takeBody(NOTHING, input.source, PIPE), { ok: false, detail: 'EIO' });
});

test('window 0 reads nothing before it is opened', async () => {
  const input = pipe('abc');
  input.end();
  const body = await taken(NOTHING, input.source, { ...PIPE, window: 0 });
  assert.equal(input.reads, 0);
  assert.equal(body.facts.whole, false);
  assert.deepEqual(await drained(opened(body)), ['abc', CLEAN]);
});

test('nothing beyond the window is read until it is asked for', async () => {
  const input = pipe('0123456789', 'more');
  const body = await taken(NOTHING, input.source, PIPE);
  const source = opened(body);
  assert.ok((await source.read()) instanceof Uint8Array);
  assert.equal(input.reads, 1);
});

test('a pipe can be opened again as long as only its window was read, and not after the first octet beyond it', async () => {
  const input = pipe('0123456789', 'abc', 'def');
  input.end();
  const body = await taken(NOTHING, input.source, PIPE);
  const first = opened(body);
  assert.equal(latin1((await first.read()) as Uint8Array), '0123456789');
  first.close();
  assert.equal(input.closed, false);
  assert.equal(body.replayable, true);
  const second = opened(body);
  assert.equal(latin1((await second.read()) as Uint8Array), '0123456789');
  assert.equal(latin1((await second.read()) as Uint8Array), 'abc');
  assert.equal(body.replayable, false);
  assert.equal(body.open(), null);
  assert.deepEqual(await drained(second), ['def', CLEAN], 'the opening that has the octets goes on');
});

test('a pipe: the octets that an abandoned read waited for go to the next opening', async () => {
  const input = pipe('0123456789');
  const body = await taken(NOTHING, input.source, PIPE);
  const first = opened(body);
  await first.read();
  const abandoned = first.read();
  await new Promise(setImmediate);
  first.close();
  assert.equal(body.replayable, true, 'nothing has come yet');
  const second = opened(body);
  await second.read();
  const wanted = second.read();
  input.write('abc');
  input.end();
  assert.equal(latin1((await wanted) as Uint8Array), 'abc');
  assert.ok(!((await abandoned) instanceof Uint8Array), 'the abandoned read does not get octets as well');
  assert.equal(input.reads, 2, 'both openings waited for one read');
  assert.deepEqual(await drained(second), ['', CLEAN]);
});

test('an opening that is closed before its read gets there reads nothing', async () => {
  const input = pipe('0123456789');
  const body = await taken(NOTHING, input.source, PIPE);
  const first = opened(body);
  await first.read();
  const late = first.read();
  first.close();
  assert.ok(!((await late) instanceof Uint8Array));
  assert.equal(input.reads, 1);
});

/** A file whose text may change between attempts, in chunks of `size`. */
function file(size: number) {
  const state = {
    text: '',
    opened: 0,
    again(): Source {
      state.opened++;
      return sourceOf(...(state.text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []).map(octets));
    },
  };
  return state;
}

async function ofFile(text: string, size = 5) {
  const disk = file(size);
  disk.text = text;
  const body = await taken(NOTHING, disk.again(), { window: 8, again: disk.again, fileSize: text.length });
  return { disk, body };
}

const LONG = 'line one\nline two\r\nline three\nand four\n';

test('a file: any number of attempts, each from the start', async () => {
  const { body, disk } = await ofFile(LONG);
  assert.equal(body.facts.estimate, Math.round((LONG.length * onTheWire('line one\nl').length) / 10), 'ten octets are in the window');
  for (let i = 0; i < 4; i++) {
    assert.deepEqual(await drained(opened(body)), [LONG, CLEAN]);
    assert.equal(body.replayable, true);
  }
  assert.equal(disk.opened, 4, 'the first attempt goes on where the window ended');
});

test('a file: an attempt that read nothing beyond the window costs no second opening', async () => {
  const { body, disk } = await ofFile(LONG);
  await opened(body).read();
  assert.deepEqual(await drained(opened(body)), [LONG, CLEAN]);
  assert.equal(disk.opened, 1);
});

test('a file size below what was read, or of no file, gives no estimate', async () => {
  assert.equal((await taken(octets(LONG), sourceOf(), { window: 8, again: null, fileSize: 5 })).facts.estimate, null);
  assert.equal((await taken(octets(LONG), sourceOf(), PIPE)).facts.estimate, null);
  assert.equal(
    (await taken(octets('line one\nl'), sourceOf(), { window: 8, again: null, fileSize: 10 })).facts.estimate,
    13,
    'all of it is there',
  );
  assert.equal((await taken(NOTHING, sourceOf(), { window: 0, again: null, fileSize: 5 })).facts.estimate, 5);
  assert.equal((await taken(octets('\n'), sourceOf(), { window: 0, again: null, fileSize: 5 })).facts.estimate, 10);
});

/** Reads `count` octets or to the end; the end if it came. */
async function take(source: Source, count: number): Promise<Ended | null> {
  for (let got = 0; got < count; ) {
    const chunk = await source.read();
    if (!(chunk instanceof Uint8Array)) return chunk;
    got += chunk.length;
  }
  return null;
}

const CHANGES: [number, string, string][] = [
  [Infinity, `L${LONG.slice(1)}`, 'an octet in the window'],
  [Infinity, LONG.replace('two', 'TWO'), 'an octet beyond the window'],
  [Infinity, LONG.slice(0, -1), 'one octet fewer at the end'],
  [Infinity, `${LONG}x`, 'one octet more at the end'],
  [Infinity, LONG.slice(0, 6), 'shorter than the window'],
  [Infinity, '', 'empty'],
  [20, LONG.replace('two', 'TWO'), 'an octet that a broken-off attempt had read'],
  [20, LONG.slice(0, 15), 'shorter than a broken-off attempt'],
];
for (const [octetsRead, changed, why] of CHANGES) {
  test(`a file that changed fails: ${why}`, async () => {
    for (let size = 1; size < 12; size++) {
      const { disk, body } = await ofFile(LONG, size);
      await take(opened(body), octetsRead);
      disk.text = changed;
      const [, end] = await drained(opened(body));
      assert.equal(end.end, 'failed', `chunks of ${size}`);
    }
  });

  test(`a file that changed fails at the last attempt: ${why}`, async () => {
    for (let size = 1; size < 12; size++) {
      const { disk, body } = await ofFile(LONG, size);
      await take(opened(body), octetsRead);
      disk.text = changed;
      const last = body.open(true);
      assert.ok(last !== null);
      assert.equal((await drained(last))[1].end, 'failed', `chunks of ${size}`);
    }
  });
}

test('octets that only the last attempt is given are not added up', async () => {
  const disk = file(5);
  disk.text = LONG;
  let summed = 0;
  const add = (part: Uint8Array, before: OctetSums): OctetSums => {
    summed += part.length;
    return addOctets(part, before);
  };
  const body = await taken(NOTHING, disk.again(), { window: 8, again: disk.again, fileSize: LONG.length, addOctets: add });
  assert.equal(await take(opened(body), 20), null);
  assert.equal(summed, 10, 'two chunks are in the window');
  const last = body.open(true);
  assert.ok(last !== null);
  assert.deepEqual(await drained(last), [LONG, CLEAN]);
  assert.equal(summed, 20, 'what both attempts were given, and no more');
});

test('octets that no attempt has read may differ', async () => {
  const { disk, body } = await ofFile(LONG);
  assert.equal(await take(opened(body), 12), null);
  disk.text = `${LONG.slice(0, 20)}other text`;
  assert.deepEqual(await drained(opened(body)), [disk.text, CLEAN]);
});

test('any attempts that break off anywhere: equal octets pass, one changed octet that was read fails', async () => {
  const nat = fc.nat({ max: LONG.length + 5 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(nat, { minLength: 1, maxLength: 4 }),
      fc.nat({ max: LONG.length - 1 }),
      fc.integer({ min: 1, max: 9 }),
      async (reads, at, size) => {
        const { disk, body } = await ofFile(LONG, size);
        let known = 0;
        for (const count of reads) {
          const source = opened(body);
          let got = 0;
          while (got < count) {
            const chunk = await source.read();
            if (!(chunk instanceof Uint8Array)) {
              assert.deepEqual(chunk, CLEAN);
              break;
            }
            assert.equal(latin1(chunk), LONG.slice(got, got + chunk.length));
            got += chunk.length;
          }
          known = Math.max(known, got);
          source.close();
        }
        disk.text = `${LONG.slice(0, at)}#${LONG.slice(at + 1)}`;
        const [text, end] = await drained(opened(body));
        const window = Math.ceil(9 / size) * size;
        // Before the first octet beyond the window the source of the first attempt goes on, whatever the file has become.
        if (known <= window) assert.deepEqual([text, end], [LONG, CLEAN]);
        else assert.equal(end.end, at < known ? 'failed' : 'clean');
      },
    ),
    { numRuns: 500 },
  );
});

test('a failure of the source beyond the window comes through, and stays', async () => {
  const input = pipe('0123456789', 'abc');
  input.end({ end: 'failed', detail: 'EIO' });
  const body = await taken(NOTHING, input.source, PIPE);
  assert.deepEqual(await drained(opened(body)), ['0123456789abc', { end: 'failed', detail: 'EIO' }]);
});

test('skip: the octets after the first n, at every n and cut', async () => {
  for (let n = 0; n <= LONG.length; n++) {
    for (const size of [1, 3, 7, 100]) {
      const disk = file(size);
      disk.text = LONG;
      assert.deepEqual(await drained(skip(disk.again(), n)), [LONG.slice(n), CLEAN]);
    }
  }
});

test('skip: fewer octets than are to be skipped is a change of the file', async () => {
  assert.equal((await drained(skip(sourceOf(octets('abc')), 4)))[1].end, 'failed');
});

test('silence fails after its time, and names the cure', async () => {
  await within(5000, async () => {
    const input = pipe('abc');
    const source = limitSilence(input.source, 20);
    assert.ok((await source.read()) instanceof Uint8Array);
    const end = await source.read();
    assert.ok(!(end instanceof Uint8Array) && end.end === 'failed');
    assert.match(end.detail, /0\.02 s .*timeouts\.input.*replay_window/);
    input.write('late');
    assert.equal(await source.read(), end);
  });
});

test('silence counts only while a read is pending', async () => {
  await within(5000, async () => {
    const input = pipe('a', 'b');
    const source = limitSilence(input.source, 40);
    for (const _ of ['a', 'b']) {
      assert.ok((await source.read()) instanceof Uint8Array);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const waiting = source.read();
    input.end();
    assert.deepEqual(await waiting, CLEAN);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(await source.read(), CLEAN);
    source.close();
    assert.equal(input.closed, true);
  });
});

test('no clock runs on when a source has ended or is closed', async () => {
  // Where the runtime tells what keeps it running.
  const clocks = (): number => process.getActiveResourcesInfo?.().filter((what) => what === 'Timeout').length ?? 0;
  const before = clocks();
  const ended = limitSilence(sourceOf(octets('a')), 60_000);
  assert.ok((await ended.read()) instanceof Uint8Array);
  assert.deepEqual(await ended.read(), CLEAN);
  assert.equal(clocks(), before);
  const closed = limitSilence(pipe('a').source, 60_000);
  assert.ok((await closed.read()) instanceof Uint8Array);
  closed.close();
  assert.equal(clocks(), before);
});

test('a source that fails in an unforeseen way is not taken for silence', async () => {
  const source = limitSilence({ read: () => Promise.reject(new Error('no')), close: () => undefined }, 60_000);
  await assert.rejects(source.read(), /no/);
  source.close();
});

test('a silence of more than a timer can count is not over at once', async () => {
  await within(5000, async () => {
    const input = pipe();
    const source = limitSilence(input.source, 30 * 86_400_000);
    const waiting = source.read();
    await new Promise((resolve) => setTimeout(resolve, 30));
    input.write('a');
    assert.ok((await waiting) instanceof Uint8Array);
    source.close();
  });
});

test('lines of 998 octets pass and 999 fail, at every cut', async () => {
  for (const end of ['\n', '\r\n', '\r', '']) {
    for (const size of [1, 7, 997, 998, 999, 1000, 1001, 5000]) {
      for (const [length, expected] of [
        [998, 'clean'],
        [999, 'failed'],
      ] as const) {
        for (const before of ['', 'short\n', `${'y'.repeat(998)}\r\n`]) {
          const text = `${before}${'x'.repeat(length)}${end}`;
          const disk = file(size);
          disk.text = text;
          const [got, ended] = await drained(limitLines(disk.again()));
          assert.equal(ended.end, expected, `${length} octets, ${JSON.stringify(end)}, chunks of ${size}, after ${before.length}`);
          if (expected === 'clean') assert.equal(got, text);
        }
      }
    }
  }
});

test('long lines: agrees with a model for any line lengths and cuts', async () => {
  const line = fc.tuple(fc.oneof(fc.integer({ min: 990, max: 1003 }), fc.nat({ max: 5 })), fc.constantFrom('\r', '\n', '\r\n'));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 6 }), fc.integer({ min: 1, max: 2500 }), async (lines, size) => {
      const disk = file(size);
      disk.text = lines.map(([length, end]) => 'x'.repeat(length) + end).join('');
      const [, ended] = await drained(limitLines(disk.again()));
      assert.equal(ended.end, lines.some(([length]) => length > 998) ? 'failed' : 'clean');
    }),
    { numRuns: 300 },
  );
});

test.run();
