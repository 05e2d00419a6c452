/**
 * Charset names: the charset of the caller's locale, and the MIME name of whatever a locale or a user calls a charset. Knows no
 * charset's octets except those of UTF-8 (`charset.ts` knows others, and is loaded only when they matter).
 */
import { fromUtf8 } from '../smtp/text.ts';

/** Names without hyphens, underscores and dots, in lower case, that no pattern below finds. IANA character sets registry. */
const MIME_NAMES = new Map([
  ['utf8', 'UTF-8'],
  ['koi8r', 'KOI8-R'],
  ['koi8u', 'KOI8-U'],
  ['eucjp', 'EUC-JP'],
  ['ujis', 'EUC-JP'],
  ['euckr', 'EUC-KR'],
  ['euccn', 'GB2312'],
  ['gb2312', 'GB2312'],
  ['gbk', 'GBK'],
  ['gb18030', 'GB18030'],
  ['big5', 'Big5'],
  ['big5hkscs', 'Big5-HKSCS'],
  ['sjis', 'Shift_JIS'],
  ['shiftjis', 'Shift_JIS'],
  ['pck', 'Shift_JIS'],
  ['windows31j', 'windows-31j'],
  ['cp932', 'windows-31j'],
  ['tis620', 'TIS-620'],
  ['latin1', 'ISO-8859-1'],
  // The C locale has these names for ASCII, which is no charset of its own here; one with a dot is none anyway.
  ['ansix341968', ''],
  ['usascii', ''],
  ['ascii', ''],
  ['iso646us', ''],
  ['646', ''],
]);

/** The charsets that glibc means by a locale without a codeset, where it does not mean UTF-8 (its SUPPORTED list). */
const LANGUAGES: readonly (readonly [charset: string, names: string])[] = [
  ['ISO-8859-1', 'af br ca da de en es et eu fi fo fr ga gl id is it ms nb nl nn no oc pt sq sv tl wa'],
  ['ISO-8859-2', 'bs cs hr hu pl ro sk sl'],
  ['ISO-8859-5', 'mk ru'],
  ['ISO-8859-6', 'ar'],
  ['ISO-8859-7', 'el'],
  ['ISO-8859-8', 'he iw'],
  ['ISO-8859-9', 'ku tr'],
  ['ISO-8859-13', 'lt lv mi'],
  ['KOI8-U', 'ru_UA uk'],
  ['windows-1251', 'be bg'],
  ['EUC-JP', 'ja'],
  ['EUC-KR', 'ko'],
  ['GB2312', 'zh_CN zh_SG'],
  ['Big5', 'zh_TW'],
  ['Big5-HKSCS', 'zh_HK'],
  ['TIS-620', 'th'],
  ['GEORGIAN-PS', 'ka'],
];

/**
 * Returns the MIME name of a charset; '' for ASCII and for what is no name. An unknown name is returned as it is. RFC 2978
 * §2.3: at most 40 characters.
 */
export function mimeCharset(name: string): string {
  const key = name.toLowerCase().replaceAll(/[-_ ]/g, '');
  const known = MIME_NAMES.get(key);
  if (known !== undefined) return known;
  const iso = /^(?:iso)?8859(\d{1,2})$/.exec(key);
  if (iso) return `ISO-8859-${iso[1]}`;
  const windows = /^(?:cp|windows|microsoftcp)(125\d)$/.exec(key);
  if (windows) return `windows-${windows[1]}`;
  return /^[A-Za-z0-9][A-Za-z0-9!#$%&+^_`{}~-]{0,39}$/.test(name) ? name : '';
}

/**
 * Returns the charset of the caller's locale, '' for C and POSIX. POSIX.1-2017 §8.2: the first of these variables that is set
 * and not empty counts.
 */
export function localeCharset(environment: Readonly<Record<string, string | undefined>>): string {
  const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG || '';
  const [, name = '', codeset, modifier] = /^([^.@]*)(?:\.([^@]*))?(?:@(.*))?$/.exec(locale) ?? [];
  if (codeset !== undefined) return mimeCharset(codeset);
  if (name === '' || name === 'C' || name === 'POSIX') return '';
  if (modifier === 'euro') return 'ISO-8859-15';
  const language = name.split('_')[0] as string;
  for (const wanted of [name, language]) for (const [charset, names] of LANGUAGES) if (names.split(' ').includes(wanted)) return charset;
  return 'UTF-8';
}

/** True if the octets are UTF-8; `cut`: they may end within a character, because more follow. */
export function isUtf8(octetString: string, cut = false): boolean {
  if (fromUtf8(octetString) !== null) return true;
  if (!cut) return false;
  // A character without its last octet has at most three.
  for (let missing = 1; missing <= 3; missing++) {
    const first = octetString.charCodeAt(octetString.length - missing);
    const length = first >= 0xf5 ? 0 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    if (length > missing) return fromUtf8(octetString.slice(0, -missing)) !== null;
    if (!(first >= 0x80 && first < 0xc0)) return false;
  }
  return false;
}
