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

test('a language alone has the charset that glibc gives it', () => {
  const rows: [string, string][] = [
    ['sv_SE', 'ISO-8859-1'],
    ['hu_HU', 'ISO-8859-2'],
    ['mk_MK', 'ISO-8859-5'],
    ['ar_EG', 'ISO-8859-6'],
    ['el_GR', 'ISO-8859-7'],
    ['he_IL', 'ISO-8859-8'],
    ['iw_IL', 'ISO-8859-8'],
    ['ku_TR', 'ISO-8859-9'],
    ['tr_TR', 'ISO-8859-9'],
    ['lt_LT', 'ISO-8859-13'],
    ['mi_NZ', 'ISO-8859-13'],
    ['uk_UA', 'KOI8-U'],
    ['be_BY', 'windows-1251'],
    ['bg_BG', 'windows-1251'],
    ['ja_JP', 'EUC-JP'],
    ['ko_KR', 'EUC-KR'],
    ['zh_CN', 'GB2312'],
    ['zh_SG', 'GB2312'],
    ['zh_HK', 'Big5-HKSCS'],
    ['th_TH', 'TIS-620'],
    ['ka_GE', 'GEORGIAN-PS'],
    ['zh_XX', 'UTF-8'],
  ];
  for (const [LANG, expected] of rows) assert.equal(localeCharset({ LANG }), expected, LANG);
});

test('MIME names', () => {
  const rows: [string, string][] = [
    ['utf-8', 'UTF-8'],
    ['KOI8-R', 'KOI8-R'],
    ['koi8_u', 'KOI8-U'],
    ['eucJP', 'EUC-JP'],
    ['ujis', 'EUC-JP'],
    ['euc-kr', 'EUC-KR'],
    ['EUC-CN', 'GB2312'],
    ['gb2312', 'GB2312'],
    ['GBK', 'GBK'],
    ['gb-18030', 'GB18030'],
    ['BIG5', 'Big5'],
    ['big5hkscs', 'Big5-HKSCS'],
    ['SJIS', 'Shift_JIS'],
    ['shift_jis', 'Shift_JIS'],
    ['PCK', 'Shift_JIS'],
    ['Windows-31J', 'windows-31j'],
    ['CP932', 'windows-31j'],
    ['TIS620', 'TIS-620'],
    ['latin1', 'ISO-8859-1'],
    ['ANSI_X3.4-1968', ''],
    ['ANSI_X341968', ''],
    ['US-ASCII', ''],
    ['ascii', ''],
    ['ISO646-US', ''],
    ['646', ''],
    ['cp1250', 'windows-1250'],
    ['Microsoft-CP1251', 'windows-1251'],
    ['x'.repeat(40), 'x'.repeat(40)],
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
  for (let first = 0x80; first <= 0xff; first++) {
    const begins = (tail: string): boolean => isUtf8(`a${String.fromCharCode(first)}${tail}`, true);
    // RFC 3629 §4: C2 to DF begin two octets, E0 to EF three, F0 to F4 four.
    assert.equal(begins(''), first >= 0xc2 && first <= 0xf4, `${first.toString(16)}`);
    assert.equal(begins('\xa0'), first >= 0xc2 && first <= 0xf4, `${first.toString(16)} and one more`);
    // Nor is a character begun by what cannot go on in it.
    for (const tail of ['\x7f', '\xc0', '\xa0\xc0']) assert.ok(!begins(tail), `${first.toString(16)} and no more`);
    // ED A0 A0 would be half of a UTF-16 pair.
    assert.equal(begins('\xa0\xa0'), first >= 0xe0 && first <= 0xf4 && first !== 0xed, `${first.toString(16)} and two more`);
  }
  assert.ok(!isUtf8('\xff\xe2\x82', true));
  assert.ok(isUtf8(utf8('a–').slice(0, -1), true), 'the least octet that goes on');
});

test.run();
