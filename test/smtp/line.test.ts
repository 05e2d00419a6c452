/** Lines for people: a terminal obeys nothing in them, they end where they say, and legible text stays legible. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { atMost, documentLine, jsonLine, lineOf, linesOf } from '../../src/smtp/line.ts';

const test = suite('line');

/** Characters that a terminal obeys, that end a line, that turn text round or that nobody sees. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

const LINES: readonly (readonly [string, string, string])[] = [
  ['', '', 'nothing'],
  ['plain', 'plain', ''],
  ['a\nb\r\n', 'a\\x0ab\\x0d\\x0a', 'it stays one line'],
  ['\x1b]0;x\x07', '\\x1b]0;x\\x07', 'the title of a window'],
  ['a\tb\0\x7f', 'a\\x09b\\x00\\x7f', 'other control characters'],
  ['\x9b2J\x85', '\\x9b2J\\x85', 'C1: CSI and NEL'],
  ['\u202egnp.exe\u2066', '\\u{202e}gnp.exe\\u{2066}', 'bidirectional controls'],
  ['a\u2028b\u2029c', 'a\\u{2028}b\\u{2029}c', 'line and paragraph separators'],
  ['\ufeffa\u200bb', '\\u{feff}a\\u{200b}b', 'what nobody sees'],
  ['\ud800', '\\u{d800}', 'half a character'],
  ['\u{e0041}', '\\u{e0041}', 'a tag character'],
  ['müller <日本@例え.jp> 😀 Ö é', 'müller <日本@例え.jp> 😀 Ö é', 'what people write stays legible'],
  ['Ã¼', 'Ã¼', 'text is not taken for octets'],
  ['\\x1b', '\\x1b', 'what is printable already stays'],
];
for (const [text, shown, why] of LINES)
  test(`${JSON.stringify(text)} as a line${why === '' ? '' : `: ${why}`}`, () => {
    assert.equal(lineOf(text), shown);
    assert.equal(lineOf(lineOf(text)), shown);
    assert.equal(documentLine(text), shown.replaceAll('\\x09', '\t'));
    assert.deepEqual(linesOf([text], 'sendmail: '), [`sendmail: ${shown}`]);
  });

test('S9: any text becomes one line, bounded, which stays as it is', () =>
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.nat(200), (text, times) => {
      const line = lineOf(text.repeat(times));
      assert.ok(!OBEYED.test(line));
      assert.ok(line.length <= 8000);
      assert.equal(lineOf(line), line);
    }),
  ));

test('S9: a line that is too long loses its middle: its subject and its complaint stay', () => {
  const line = lineOf(`the encoding "${'\x1b'.repeat(800_000)}" is not known`);
  assert.equal(line.length, 8000);
  assert.match(line, /^the encoding "\\x1b.*….*" is not known$/);
  assert.equal(lineOf('x'.repeat(8000)).length, 8000);
  assert.ok(!lineOf('x'.repeat(8000)).includes('…'));
  assert.equal(documentLine('\t'.repeat(9000)).length, 8000);
  assert.equal(documentLine('\tx'.repeat(9000), Number.POSITIVE_INFINITY).length, 18_000);
});

test('S9: of many facts the last line gives the number', () => {
  assert.deepEqual(atMost(['a', 'b'], 2), ['a', 'b']);
  assert.deepEqual(atMost(['a', 'b', 'c', 'd'], 2), ['a', 'b', 'and 2 more']);
  assert.deepEqual(atMost(['a', 'b', 'c'], 2, ', see the log'), ['a', 'b', 'and 1 more, see the log']);
  assert.deepEqual(linesOf(['a']), ['a']);
  const lines = linesOf(
    Array.from({ length: 50_000 }, (_, i) => String(i)),
    'x: ',
  );
  assert.equal(lines.length, 1001);
  assert.equal(lines.at(-1), 'x: and 49000 more');
});

test('S9: JSON stands on one line, and escapes in its own way all that a terminal obeys', () => {
  assert.equal(
    jsonLine({ a: '\x9b\u2028\ufeff\u202e\x1b\x7f', 日本: ['müller', null, 1, true] }),
    '{"a":"\\u009b\\u2028\\ufeff\\u202e\\u001b\\u007f","日本":["müller",null,1,true]}',
  );
  assert.equal(jsonLine('\u{e0041}'), '"\\udb40\\udc41"');
  assert.equal(JSON.parse(jsonLine('x'.repeat(9000))).length, 8000);
  assert.equal(JSON.parse(jsonLine('x'.repeat(8000))), 'x'.repeat(8000));
  assert.equal(JSON.parse(jsonLine('x'.repeat(9000), Number.POSITIVE_INFINITY)).length, 9000);
});

test('S9: JSON means what it meant', () =>
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: 'binary', maxLength: 100 }), (value, text) => {
      const line = jsonLine({ value, text });
      assert.ok(!OBEYED.test(line));
      assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify({ value, text })));
    }),
  ));

test('S9: only this file makes lines: the compiler refuses plain text', () => {
  const take = (line: ReturnType<typeof lineOf>): string => line;
  assert.equal(take(lineOf('x')), 'x');
  // @ts-expect-error: text that nobody has looked at.
  assert.equal(take('x'), 'x');
});

test.run();
