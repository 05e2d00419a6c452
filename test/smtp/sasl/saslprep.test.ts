/** SASLprep against the examples of RFC 4013 §3 and one code point or more of every table. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { saslPrep } from '../../../src/smtp/sasl/saslprep.ts';

const test = suite('saslprep');

test('SASLprep maps and normalises', () => {
  for (const [text, expected, why] of [
    ['I\u00adX', 'IX', 'RFC 4013 §3: SOFT HYPHEN mapped to nothing'],
    ['user', 'user', 'RFC 4013 §3: no transformation'],
    ['USER', 'USER', 'RFC 4013 §3: case preserved'],
    ['\u00aa', 'a', 'RFC 4013 §3: output is NFKC'],
    ['\u2168', 'IX', 'RFC 4013 §3: output is NFKC'],
    ['a\u00a0b\u3000c', 'a b c', 'spaces that are not ASCII'],
    ['a\u200bb\u2060c\ufeff', 'abc', 'mapped to nothing'],
    ['e\u0301', '\u00e9', 'composed'],
    ['\u{1f511}', '\u{1f511}', 'not in Unicode 3.2, passes as a query'],
    ['', '', 'nothing'],
    ['\u0627\u0031\u0628', '\u06271\u0628', 'RFC 4013 §3, the other way round: right to left with a digit inside'],
    ['\u05d0\u05d1', '\u05d0\u05d1', 'Hebrew alone'],
    ['\u05d0', '\u05d0', 'one letter is first and last'],
  ] as const)
    assert.deepEqual(saslPrep(text), { ok: true, value: expected }, why);
});

test('SASLprep refuses', () => {
  for (const [text, expected, why] of [
    ['\u0007', /control character/, 'RFC 4013 §3'],
    ['a\u0085', /control character/, 'C.2.2'],
    ['\u06dd', /format control/, 'C.2.2'],
    ['\u{1d173}', /format control/, 'C.2.2 beyond the BMP'],
    ['\ue000', /private-use/, 'C.3'],
    ['\u{10fffd}', /private-use/, 'C.3 beyond the BMP'],
    ['\ufdd0', /no character/, 'C.4'],
    ['\u{1fffe}', /no character/, 'C.4 beyond the BMP'],
    ['a\ud800', /surrogate/, 'C.5'],
    ['\ufffd', /replacement/, 'C.6'],
    ['\u2ff0', /ideographic/, 'C.7'],
    ['\u202e', /direction/, 'C.8'],
    ['\u{e0061}', /tagging/, 'C.9'],
    ['\u0627\u0031', /mixes/, 'RFC 4013 §3: ends with a digit'],
    ['1\u0627', /mixes/, 'begins with a digit'],
    ['\u05d0a\u05d1', /mixes/, 'a Latin letter inside'],
  ] as const) {
    const result = saslPrep(text);
    assert.ok(!result.ok, why);
    assert.match(result.detail, expected, why);
  }
});

test.run();
