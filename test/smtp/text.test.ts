/** Octets and text, held against the platform's own coders; the look of a peer's text to people. */
import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { base64, fromBase64, fromUtf8, hex, isAscii, latin1, octets, printable, utf8 } from '../../src/smtp/text.ts';

const test = suite('text');
const anyOctets = fc.uint8Array({ maxLength: 200 });
const anyText = fc.string({ unit: 'binary', maxLength: 60 });

test('octets and octet strings are each other', () => {
  fc.assert(fc.property(anyOctets, (bytes) => assert.deepStrictEqual(octets(latin1(bytes)), bytes)));
  const large = Uint8Array.from({ length: 100_000 }, (_, i) => i % 256);
  assert.deepStrictEqual(octets(latin1(large)), large, 'more than one call’s arguments');
});

test('a character that is no octet is never cut to eight bits', () => {
  for (const text of ['\u010d', '\u010a', '\u760d', 'a\uff0d'])
    assert.throws(() => octets(text), { name: 'RangeError', message: 'bug: not an octet string' });
});

test('isAscii', () => {
  assert.deepStrictEqual(
    ['', 'a\x7f', 'a\x80', '\u0100'].map((text) => isAscii(text)),
    [true, true, false, false],
  );
});

test('UTF-8 is what the platform makes of it', () => {
  fc.assert(fc.property(anyText, (text) => assert.strictEqual(utf8(text), Buffer.from(text, 'utf8').toString('latin1'))));
  assert.strictEqual(utf8('a\ud800b'), 'a\xef\xbf\xbdb', 'a lone surrogate becomes U+FFFD');
  for (const point of [0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff]) {
    const text = String.fromCodePoint(point);
    assert.strictEqual(utf8(text), Buffer.from(text, 'utf8').toString('latin1'));
    assert.strictEqual(fromUtf8(utf8(text)), text);
  }
});

test('octets are UTF-8 exactly when a strict decoder says so', () => {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decode = (text: string): string | null => {
    try {
      return decoder.decode(Buffer.from(text, 'latin1'));
    } catch {
      return null;
    }
  };
  const near = fc.oneof(
    anyOctets.map(latin1),
    anyText.map(utf8),
    fc.tuple(anyText.map(utf8), fc.nat(20)).map(([text, at]) => text.slice(at)),
  );
  fc.assert(fc.property(near, (text) => assert.strictEqual(fromUtf8(text), decode(text))));
  for (let first = 0x80; first < 0x100; first++)
    for (const rest of [
      '',
      '\x80',
      '\x80\x80',
      '\x80\x80\x80',
      '\x9f\x80',
      '\xa0\x80',
      '\x8f\x80\x80',
      '\x90\x80\x80',
      '\xbf\xbf',
      '\x80\xc0',
      '\xc0\x80',
      'a',
    ])
      assert.strictEqual(fromUtf8(String.fromCharCode(first) + rest), decode(String.fromCharCode(first) + rest), `${first} ${hex(rest)}`);
});

test('base64 is what the platform makes of it', () => {
  fc.assert(
    fc.property(anyOctets.map(latin1), (text) => {
      const coded = Buffer.from(text, 'latin1').toString('base64');
      assert.strictEqual(base64(text), coded);
      assert.strictEqual(fromBase64(coded), text);
      assert.strictEqual(fromBase64(coded.replace(/=+$/, '')), text, 'without padding');
    }),
  );
});

const BASE64: readonly (readonly [string, string | null, string])[] = [
  ['', '', 'nothing'],
  ['YQ==', 'a', 'two octets of padding'],
  ['YWI=', 'ab', 'one'],
  ['A', null, 'one digit is no octet'],
  ['YWJjZ', null, 'four digits and one'],
  ['YQ===', null, 'too much padding'],
  ['Y=Q=', null, 'padding in the middle'],
  ['YW Jj', null, 'a blank'],
  ['YW\nJj', null, 'a line end'],
  ['YW_-', null, 'the alphabet of RFC 4648 §5'],
  ['YWJ\x80', null, 'an octet above 127'],
];
for (const [text, expected, why] of BASE64)
  test(`base64 ${JSON.stringify(text)}: ${why}`, () => assert.strictEqual(fromBase64(text), expected));

test('hexadecimal', () => assert.strictEqual(hex('\x00\x0a\xff'), '000aff'));

const SHOWN: readonly (readonly [string, string, string])[] = [
  ['plain text', 'plain text', 'as it is'],
  ['\xc3\xbc', 'ü', 'UTF-8'],
  ['\xfc', 'ü', 'not UTF-8: one character an octet'],
  ['a\r\nb', 'a\\x0d\\x0ab', 'line ends'],
  ['\x1b[31m', '\\x1b[31m', 'an escape sequence'],
  ['\x9b31m', '\\x9b31m', 'the control sequence introducer of eight bits'],
  ['\0', '\\x00', 'NUL'],
  ['\x7f', '\\x7f', 'DEL'],
  ['\xe2\x80\xae', '\\u{202e}', 'right-to-left override'],
  ['\xe2\x80\xa8', '\\u{2028}', 'line separator'],
  ['\xe2\x80\xa9', '\\u{2029}', 'paragraph separator'],
  ['\xe2\x80\x8b', '\\u{200b}', 'an invisible blank'],
  ['\xf3\xa0\x81\x81', '\\u{e0041}', 'an invisible tag beyond the first plane'],
  ['\xc2\xad', '\\xad', 'a soft hyphen'],
];
for (const [text, expected, why] of SHOWN)
  test(`shown: ${why}`, () => {
    assert.strictEqual(printable(text), expected);
    assert.doesNotMatch(printable(`${text}${text}`), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
  });

test('shown: cut at the limit', () => {
  assert.strictEqual(printable('abc', 3), 'abc');
  assert.strictEqual(printable('abcd', 3), 'abc…');
  assert.strictEqual(printable('x'.repeat(2000)).length, 1001);
  assert.strictEqual(printable('a\u{1f600}b', 2), 'a\\u{d83d}…', 'half a character is shown as such');
});

test('printable text holds nothing that a terminal or a log could obey', () => {
  fc.assert(fc.property(anyOctets.map(latin1), (text) => assert.doesNotMatch(printable(text), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)));
});

test.run();
