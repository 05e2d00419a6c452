import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { chooseCharset, decode, encode, isCharset, isValidIn } from '../../src/message/charset.ts';
import { utf8 } from '../../src/smtp/text.ts';

const test = suite('message/charset');

/** Octets written out here, so that the tables of iconv-lite do not prove themselves. */
const samples: [string, string, string][] = [
  ['KOI8-R', '\xf0\xd2\xc9\xd7\xc5\xd4', 'Привет'],
  ['KOI8-U', '\xeb\xc9\xa7\xd7', 'Київ'],
  ['ISO-8859-1', 'J\xf6rg', 'Jörg'],
  ['ISO-8859-2', '\xa3\xf3d\xbc', 'Łódź'],
  ['ISO-8859-5', '\xbf\xe0\xd8', 'При'],
  ['ISO-8859-7', '\xc1\xe8', 'Αθ'],
  ['ISO-8859-15', '\xa4 5', '€ 5'],
  ['windows-1251', '\xcf\xf0\xe8', 'При'],
  ['windows-1252', '\x80 \x93', '€ “'],
  ['Shift_JIS', '\x93\xfa\x96\x7b \x83\x5c', '日本 ソ'],
  ['EUC-JP', '\xc6\xfc\xcb\xdc', '日本'],
  ['GB18030', '\xd6\xd0\xce\xc4 \x81\x30\x84\x36', '中文 \u00a5'],
  ['GB2312', '\xd6\xd0', '中'],
  ['Big5', '\xa4\xa4\xa4\xe5', '中文'],
  ['EUC-KR', '\xc7\xd1', '한'],
  ['TIS-620', '\xa1', 'ก'],
];

test('known octets are decoded, and encoded again', () => {
  for (const [charset, octets, text] of samples) {
    assert.equal(decode(octets, charset), text, charset);
    assert.equal(encode(text, charset), octets, charset);
    assert.ok(isValidIn(octets, charset), charset);
    assert.equal(decode('plain', charset), 'plain', charset);
  }
});

test('octets that are not valid in a charset are no text', () => {
  const rows: [string, string, string][] = [
    ['Shift_JIS', '\x93', 'half a character'],
    ['Shift_JIS', '\xfd\xfd', 'octets without a meaning'],
    ['EUC-JP', '\xc6 ', 'a blank as second octet'],
    ['GB18030', '\x81\x30\x84', 'three of four'],
    ['windows-1252', '\x81', 'an octet that is not assigned'],
    ['ISO-8859-7', '\xff', 'an octet that is not assigned'],
    ['UTF-8', '\xc0\x80', 'overlong'],
    ['US-ASCII', '\xe9', 'not ASCII'],
    ['no-such-charset', 'plain', 'not known'],
    ['base64', 'plain', 'no charset'],
    ['UTF-16', 'plain', 'not ASCII inside'],
    ['binary', 'plain', 'no charset'],
    ['', 'plain', 'no name'],
  ];
  for (const [charset, octets, why] of rows) {
    assert.ok(!isValidIn(octets, charset), `${charset}: ${why}`);
    if (charset !== 'UTF-8') assert.equal(decode(octets, charset), null, `${charset}: ${why}`);
  }
  assert.equal(encode('日', 'ISO-8859-1'), null, 'a character that is not there');
  assert.equal(encode('a', 'base64'), null);
  assert.ok(isCharset('koi8-r') && !isCharset('hex') && !isCharset('ucs2'));
});

test('a cut character at the end is no error when more follows', () => {
  for (const [charset, octets, text] of samples) {
    for (let end = 0; end <= octets.length; end++) {
      assert.ok(isValidIn(octets.slice(0, end), charset, true), `${charset} ${end}`);
      assert.ok(text.startsWith(decode(octets.slice(0, end), charset, true) as string), `${charset} ${end}`);
    }
  }
  assert.ok(!isValidIn('\x93\xfa\x96', 'Shift_JIS'));
  assert.ok(!isValidIn('\x81', 'windows-1252', true), 'not half a character, but none');
});

test('UTF-8 is asked first, then what is configured', () => {
  assert.equal(chooseCharset(utf8('Привет'), ['KOI8-R']), 'UTF-8');
  assert.equal(chooseCharset('\xf0\xd2\xc9\xff', ['', 'Shift_JIS', 'KOI8-R']), 'KOI8-R');
  assert.equal(chooseCharset('\x93\xfa\x96', ['Shift_JIS', 'KOI8-R'], true), 'Shift_JIS');
  assert.equal(chooseCharset('\x93\xfa\x96', ['Shift_JIS'], false), null);
  assert.equal(chooseCharset(`${utf8('日')}\xe6\x9c`, ['KOI8-R'], true), 'UTF-8');
  assert.equal(chooseCharset('\xff', []), null);
  // Unless it is said that more follows, nothing does.
  assert.equal(chooseCharset('gr\xc3', ['ISO-8859-1']), 'ISO-8859-1');
  assert.deepEqual([isValidIn('gr\xc3', 'utf-8'), isValidIn('gr\xc3', 'utf-8', true)], [false, true]);
  assert.deepEqual([isValidIn('\x93', 'Shift_JIS'), isValidIn('\x93', 'Shift_JIS', true)], [false, true]);
  assert.deepEqual([decode('\x93', 'Shift_JIS'), decode('\x93', 'Shift_JIS', true)], [null, '']);
});

test.run();
