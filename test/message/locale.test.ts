import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { isUtf8, localeCharset, mimeCharset } from '../../src/message/locale.ts';
import { utf8 } from '../../src/smtp/text.ts';

const test = suite('message/locale');

test('the charset of a locale is found', () => {
  const rows: [Record<string, string | undefined>, string, string][] = [
    [{}, '', 'nothing set: the C locale'],
    [{ LANG: 'C' }, '', 'C'],
    [{ LANG: 'POSIX' }, '', 'POSIX'],
    [{ LANG: 'C.UTF-8' }, 'UTF-8', 'C with a codeset'],
    [{ LANG: 'de_DE.UTF-8' }, 'UTF-8', 'UTF-8'],
    [{ LANG: 'de_DE.utf8' }, 'UTF-8', 'as locale -a prints it'],
    [{ LANG: 'ru_RU.KOI8-R' }, 'KOI8-R', 'KOI8-R'],
    [{ LANG: 'ru_RU.koi8r' }, 'KOI8-R', 'as locale -a prints it'],
    [{ LANG: 'de_DE.ISO8859-15@euro' }, 'ISO-8859-15', 'BSD, with a modifier'],
    [{ LANG: 'ja_JP.SJIS' }, 'Shift_JIS', 'SJIS'],
    [{ LANG: 'ja_JP.eucJP' }, 'EUC-JP', 'eucJP'],
    [{ LANG: 'zh_CN.GB18030' }, 'GB18030', 'GB18030'],
    [{ LANG: 'bg_BG.CP1251' }, 'windows-1251', 'CP1251'],
    [{ LANG: 'en_US.US-ASCII' }, '', 'ASCII'],
    [{ LANG: 'en_US.ANSI_X3.4-1968' }, '', 'ASCII as nl_langinfo calls it'],
    [{ LC_ALL: 'ru_RU.KOI8-R', LC_CTYPE: 'de_DE.UTF-8', LANG: 'C' }, 'KOI8-R', 'LC_ALL wins'],
    [{ LC_ALL: '', LC_CTYPE: 'de_DE.UTF-8', LANG: 'C' }, 'UTF-8', 'an empty one does not count'],
    [{ LC_ALL: 'C', LANG: 'de_DE.UTF-8' }, '', 'LC_ALL=C wins, too'],
    [{ LANG: 'de_DE' }, 'ISO-8859-1', 'no codeset'],
    [{ LANG: 'de_DE@euro' }, 'ISO-8859-15', 'euro'],
    [{ LANG: 'pl' }, 'ISO-8859-2', 'only a language'],
    [{ LANG: 'ru_RU' }, 'ISO-8859-5', 'glibc'],
    [{ LANG: 'ru_UA' }, 'KOI8-U', 'by country'],
    [{ LANG: 'zh_TW' }, 'Big5', 'by country'],
    [{ LANG: 'hi_IN' }, 'UTF-8', 'all others'],
    [{ LANG: 'de_DE.' }, '', 'an empty codeset'],
    [{ LANG: '.UTF-8' }, 'UTF-8', 'no language'],
  ];
  for (const [environment, charset, why] of rows) assert.equal(localeCharset(environment), charset, why);
});

test('MIME names', () => {
  const rows: [string, string][] = [
    ['iso8859-1', 'ISO-8859-1'],
    ['ISO_8859-16', 'ISO-8859-16'],
    ['8859_2', 'ISO-8859-2'],
    ['Windows-1252', 'windows-1252'],
    ['ARMSCII-8', 'ARMSCII-8'],
    ['IBM850', 'IBM850'],
    ['x"y', ''],
    ['a\r\nB: c', ''],
    ['', ''],
    ['x'.repeat(41), ''],
  ];
  for (const [name, expected] of rows) assert.equal(mimeCharset(name), expected, name);
});

test('UTF-8 is recognized, also if it is cut', () => {
  const text = utf8('aé€😀');
  for (let end = 0; end <= text.length; end++) {
    assert.ok(isUtf8(text.slice(0, end), true), `${end}`);
    assert.equal(isUtf8(text.slice(0, end)), [0, 1, 3, 6, 10].includes(end), `${end}`);
  }
  for (const bad of ['\xff', '\x80', 'a\xc3\xa9\x80', '\xc3a', '\xe2\x82a', '\xf0\x9f\x98', '\xc0'].map((octets) => `${octets}a`))
    assert.ok(!isUtf8(bad, true), bad);
  assert.ok(!isUtf8('\x80\x80\x80\x80', true));
  assert.ok(!isUtf8('\xff\xe2\x82', true));
});

test.run();
