import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { type LoneDot, untilDot } from '../../src/message/lone-dot.ts';
import { type Ended, type Source, sourceOf } from '../../src/message/source.ts';
import { octets } from '../../src/smtp/text.ts';

const test = suite('message/lone-dot');

/** Every octet of a source as latin1, and how it ended. A chunk must not be empty. */
async function drained(source: Source): Promise<[string, Ended]> {
  let text = '';
  for (;;) {
    const got = await source.read();
    if (!(got instanceof Uint8Array)) {
      assert.deepEqual(await source.read(), got, 'the end stays the same');
      return [text, got];
    }
    assert.ok(got.length > 0, 'a chunk is never empty');
    text += Buffer.from(got).toString('latin1');
  }
}

/** A source that counts its reads and overwrites a chunk as soon as the next is asked for. */
function counted(chunks: readonly string[], end: Ended = { end: 'clean' }): Source & { reads: number; closed: boolean } {
  let last: Uint8Array | null = null;
  const left = [...chunks].filter((chunk) => chunk !== '');
  return {
    reads: 0,
    closed: false,
    async read() {
      this.reads++;
      last?.fill(0x21);
      const next = left.shift();
      if (next === undefined) return end;
      last = octets(next);
      return last;
    },
    close() {
      this.closed = true;
    },
  };
}

const cuts = (text: string, size: number): string[] => text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];

/** The rule said once more over the whole text: cut at LF, look at each line. */
function model(text: string): string {
  let out = '';
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    if (line === '.\n' || line === '.\r\n') return out;
    out += line.startsWith('..') ? line.slice(1) : line;
  }
  return out;
}

const TABLE: [string, string, string][] = [
  ['', '', 'nothing is an empty message'],
  ['a\n.\nb\n', 'a\n', 'LF dot LF ends'],
  ['a\r\n.\r\nb', 'a\r\n', 'CRLF dot CRLF ends'],
  ['a\n.\r\nb', 'a\n', 'mixed line ends end'],
  ['a\r\n.\nb', 'a\r\n', 'mixed the other way'],
  ['.\nb', '', 'the start of the input begins a line'],
  ['.\r\nb', '', 'the same with CRLF'],
  ['a\r.\rb', 'a\r.\rb', 'lone CRs end nothing'],
  ['a\r.\nb', 'a\r.\nb', 'a lone CR does not begin a line'],
  ['a\n.\rb\n', 'a\n.\rb\n', 'a lone CR does not end the dot line'],
  ['a\n.\r\r\nb', 'a\n.\r\r\nb', 'dot CR CR LF is not a dot alone'],
  ['a\n..\nb', 'a\n.\nb', 'two dots become one and do not end'],
  ['a\n...\nb', 'a\n..\nb', 'three become two'],
  ['..a\n', '.a\n', 'at the start of the input too'],
  ['.a\n', '.a\n', 'one dot before text stays'],
  ['a\n. \nb', 'a\n. \nb', 'a dot and a blank are text'],
  ['a ..\nb..c\n', 'a ..\nb..c\n', 'dots within a line stay'],
  ['a\n.', 'a\n.', 'a dot without a line end is text'],
  ['a\n.\r', 'a\n.\r', 'and with half a line end'],
  ['a\n\n.\nb', 'a\n\n', 'after an empty line'],
];

for (const [input, expected, why] of TABLE) {
  test(why, async () => {
    assert.equal(model(input), expected, 'model');
    const line = /(^|\n)\.\r?\n/.exec(input);
    for (let size = 1; size <= Math.max(1, input.length); size++) {
      const dots: LoneDot[] = [];
      const [text, end] = await drained(untilDot(counted(cuts(input, size)), (dot) => dots.push(dot)));
      assert.deepEqual(
        dots.map((dot) => dot.octets),
        line ? [line.index + line[0].length] : [],
        'how far the message went',
      );
      assert.equal(text, expected, `chunks of ${size}`);
      assert.deepEqual(end, { end: 'clean' });
    }
  });
}

test('agrees with the model on any text, any cut', async () => {
  const pieces = fc.array(fc.constantFrom('.', '..', '\n', '\r', '\r\n', 'a', '\n.', '\n.\n', '.\r', '\0', 'é'), { maxLength: 14 });
  await fc.assert(
    fc.asyncProperty(fc.array(pieces, { maxLength: 6 }), async (chunks) => {
      const texts = chunks.map((chunk) => chunk.join(''));
      const [text] = await drained(untilDot(counted(texts)));
      assert.equal(text, model(texts.join('')));
    }),
    { numRuns: 3000 },
  );
});

test('every text of up to 7 octets of the alphabet that matters, whole and bytewise', async () => {
  const alphabet = ['.', '\n', '\r', 'a'];
  for (let length = 0; length <= 7; length++) {
    for (let n = 0; n < alphabet.length ** length; n++) {
      let text = '';
      for (let i = 0, rest = n; i < length; i++, rest = Math.floor(rest / 4)) text += alphabet[rest % 4];
      const expected = model(text);
      assert.equal((await drained(untilDot(sourceOf(octets(text)))))[0], expected, JSON.stringify(text));
      assert.equal((await drained(untilDot(counted([...text]))))[0], expected, `${JSON.stringify(text)} bytewise`);
    }
  }
});

test('C3: text behind the lone dot is reported, blanks are not', async () => {
  const rows: [string[], boolean][] = [
    [['a\n.\n'], false],
    [['a\n.\n', 'b'], false],
    [['a\n.\nb'], true],
    [['a\n.\r\n \t\r\n\n'], false],
    [['a\n', '.\n\n\0'], true],
    [['.', '\nb\n'], true],
  ];
  for (const [chunks, isFollowed] of rows) {
    const dots: LoneDot[] = [];
    await drained(untilDot(counted(chunks), (dot) => dots.push(dot)));
    assert.deepEqual(
      dots.map((dot) => dot.isFollowed),
      [isFollowed],
      JSON.stringify(chunks),
    );
  }
});

test('reads nothing after the lone dot', async () => {
  const source = counted(['a\n.', '\n', 'never']);
  const [text] = await drained(untilDot(source));
  assert.equal(text, 'a\n');
  assert.equal(source.reads, 2);
});

test('a chunk without a dot at the start of a line passes as it is', async () => {
  const chunk = octets('a.b\nc..\r\n');
  assert.equal(await untilDot(sourceOf(chunk)).read(), chunk);
});

test('a failure is a failure, whatever was held back', async () => {
  const failed: Ended = { end: 'failed', detail: 'gone' };
  const [text, end] = await drained(untilDot(counted(['a\n', '.\r'], failed)));
  assert.equal(text, 'a\n');
  assert.deepEqual(end, failed);
});

test('close reaches the source', () => {
  const source = counted([]);
  untilDot(source).close();
  assert.equal(source.closed, true);
});

test.run();
