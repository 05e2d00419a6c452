import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { makeContentReader, makeContentSkipper, type Search } from '../../../src/smtp/server/content.ts';
import { latin1, octets } from '../../../src/smtp/text.ts';

const test = suite('received');

const search: Search = (chunk, from) => latin1(chunk).indexOf('\r\n.\r\n', from);

interface Outcome {
  readonly content: string;
  readonly rest: string | null;
  readonly octets: number;
  readonly bare: number;
}

/** Reads the wire text in pieces of `size` octets; `rest` is what stands behind the terminator, null when there is none. */
function run(wire: string, size: number, reader = makeContentReader()): Outcome {
  const all = octets(wire);
  let content = '';
  for (let at = 0; at < all.length; at += size) {
    const end = reader.read(all.subarray(at, at + size), 0, (run) => {
      assert.ok(run.length > 0, 'an empty run was handed on');
      content += latin1(run);
    });
    if (end >= 0) return { content, rest: wire.slice(at + end), ...reader.facts() };
    assert.equal(end, -1);
  }
  return { content, rest: null, ...reader.facts() };
}

/** The standard said as simply as can be: RFC 5321 §4.1.1.4 and §4.5.2. */
function model(wire: string): { content: string; rest: string | null } {
  const end = `\r\n${wire}`.indexOf('\r\n.\r\n');
  const seen = end < 0 ? wire : wire.slice(0, end);
  return {
    content: `\r\n${seen}`.replaceAll('\r\n.', '\r\n').slice(2),
    rest: end < 0 ? null : wire.slice(end + 3),
  };
}

// wire, content, rest, lone CR and LF, why
const CASES: readonly (readonly [string, string, string | null, number, string])[] = [
  ['.\r\n', '', '', 0, 'an empty content'],
  ['.\r\nQUIT\r\n', '', 'QUIT\r\n', 0, 'what follows is not content'],
  ['a\r\n.\r\n', 'a\r\n', '', 0, 'the CR LF before the dot belongs to the content'],
  ['a\r\n..b\r\n.\r\n', 'a\r\n.b\r\n', '', 0, 'a dot is taken out'],
  ['..\r\n.\r\n', '.\r\n', '', 0, 'a dot is taken out of the first line'],
  ['.a\r\n.\r\n', 'a\r\n', '', 0, 'also where the client did not double it'],
  ['a.\r\n..\r\n.\r\n', 'a.\r\n.\r\n', '', 0, 'dots elsewhere stay'],
  ['a', 'a', null, 0, 'no end yet'],
  ['a\r\n', 'a\r\n', null, 0, 'a line end is no end'],
  ['a\r\n.', 'a\r\n', null, 0, 'a dot is held back'],
  ['a\r\n.\r', 'a\r\n', null, 0, 'a dot and a CR are held back'],
  ['a\n.\r\nb\r\n.\r\n', 'a\n.\r\nb\r\n', '', 1, 'LF . CR LF is content'],
  ['a\n.\nb\r\n.\r\n', 'a\n.\nb\r\n', '', 2, 'LF . LF is content'],
  ['a\r.\rb\r\n.\r\n', 'a\r.\rb\r\n', '', 2, 'CR . CR is content'],
  ['a\r.\r\nb\r\n.\r\n', 'a\r.\r\nb\r\n', '', 1, 'CR . CR LF is content'],
  ['a\r\n.\nb\r\n.\r\n', 'a\r\n\nb\r\n', '', 1, 'CR LF . LF is content, without the dot'],
  ['a\r\n.\rb\r\n.\r\n', 'a\r\n\rb\r\n', '', 1, 'CR LF . CR is content, without the dot'],
  ['a\r\n.\r\r\nb\r\n.\r\n', 'a\r\n\r\r\nb\r\n', '', 1, 'CR LF . CR CR LF is content, without the dot'],
  ['a\r\r\n.\r\n', 'a\r\r\n', '', 1, 'CR CR LF . CR LF ends: CR LF stands before the dot'],
  ['a\n\r\n.\r\n', 'a\n\r\n', '', 1, 'LF CR LF . CR LF ends'],
  ['\n.\r\nb\r\n.\r\n', '\n.\r\nb\r\n', '', 1, 'a LF at the beginning is no line end'],
  ['\r.\r\nb\r\n.\r\n', '\r.\r\nb\r\n', '', 1, 'nor is a CR'],
  ['a\r\n\n.\r\nb\r\n.\r\n', 'a\r\n\n.\r\nb\r\n', '', 1, 'LF after CR LF does not make a new line'],
  ['a\r\n\r.\r\nb\r\n.\r\n', 'a\r\n\r.\r\nb\r\n', '', 1, 'nor does CR after CR LF'],
  ['a\r\n. \r\n.\r\n', 'a\r\n \r\n', '', 0, 'a dot and a blank do not end'],
  ['a\r\n.\0\r\n.\r\n', 'a\r\n\0\r\n', '', 0, 'nor a dot and NUL'],
  ['\0\xff\r\n.\r\n', '\0\xff\r\n', '', 0, 'any octet passes'],
  ['a\nb\nc\n.\nd\r\n.\r\n', 'a\nb\nc\n.\nd\r\n', '', 4, 'each lone LF counts'],
];

for (const [wire, content, rest, bare, why] of CASES)
  test(`${why}: ${JSON.stringify(wire)}`, () => {
    for (const size of [1, 2, 3, 7, wire.length])
      assert.deepEqual(run(wire, size), { content, rest, octets: content.length, bare }, `in pieces of ${size}`);
  });

const wires = fc
  .array(fc.constantFrom('\r\n', '\r\n.', '\r\n.\r\n', '\r', '\n', '.', 'a', 'bcdefgh', '\xe9'), { maxLength: 24 })
  .map((parts) => parts.join(''));
const sizes = fc.integer({ min: 1, max: 9 });

test('agrees with the standard for any octets and any cuts', () => {
  fc.assert(
    fc.property(wires, sizes, (wire, size) => {
      const { content, rest } = run(wire, size);
      const expected = model(wire);
      // Without an end, a dot that may still become one is held back.
      if (expected.rest !== null) assert.deepEqual({ content, rest }, expected);
      else assert.equal(content, expected.content.slice(0, content.length));
    }),
    { numRuns: 3000 },
  );
});

test('counts the same lone line ends for any cuts', () => {
  fc.assert(
    fc.property(wires, sizes, (wire, size) => assert.deepEqual(run(wire, size), run(wire, Math.max(1, wire.length)))),
    {
      numRuns: 1000,
    },
  );
});

test('begins where it is told to', () => {
  const reader = makeContentReader();
  const chunk = octets('DATA\r\n.a\r\n.\r\nQUIT');
  const seen: string[] = [];
  const end = reader.read(chunk, 6, (run) => seen.push(latin1(run)));
  assert.deepEqual([seen, end, reader.facts()], [['a\r\n'], 13, { octets: 3, bare: 0 }]);
});

test('a whole chunk of content is handed on as it came', () => {
  const chunk = octets('abc\r\ndef');
  makeContentReader().read(chunk, 0, (run) => assert.equal(run, chunk));
});

test('skipping finds the same end for any octets and any cuts, and counts dots as content', () => {
  fc.assert(
    fc.property(wires, sizes, (wire, size) => {
      const skipped = run(wire, size, makeContentSkipper(search));
      const end = `\r\n${wire}`.indexOf('\r\n.\r\n');
      assert.deepEqual(skipped, {
        content: '',
        rest: end < 0 ? null : wire.slice(end + 3),
        octets: end < 0 ? wire.length : end,
        bare: 0,
      });
    }),
    { numRuns: 3000 },
  );
});

test('skipping begins where it is told to', () => {
  const reader = makeContentSkipper(search);
  assert.equal(
    reader.read(octets('DATA\r\nabc\r\n.\r\nQUIT'), 6, () => {}),
    14,
  );
  assert.deepEqual(reader.facts(), { octets: 5, bare: 0 });
});

test.run();
