/**
 * Octets in a charset to text and back. The only importer of iconv-lite, whose tables take longer to load than most
 * messages take to send: others reach this file by `import()`, and only when an octet above 127 came that is not UTF-8.
 */
import iconv from 'iconv-lite';
import { latin1 } from '../smtp/text.ts';
import { isUtf8 } from './locale.ts';

const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');

/** True for a charset that is known here and in which ASCII octets are ASCII: no other can stand in a mail without MIME fields. */
export function isCharset(charset: string): boolean {
  // `binary` is a name of Node's, not of a charset.
  if (charset.toLowerCase() === 'binary' || !iconv.encodingExists(charset)) return false;
  return latin1(iconv.encode(PRINTABLE, charset)) === PRINTABLE;
}

/**
 * The text, or null when the octets are not valid in the charset or the charset is not known. `octets`: an octet
 * string. `cut`: it may end within a character, which is then left out.
 */
export function decode(octets: string, charset: string, cut = false): string | null {
  if (!isCharset(charset)) return null;
  const decoder = iconv.getDecoder(charset, { stripBOM: false });
  const text = decoder.write(Buffer.from(octets, 'latin1')) + (cut ? '' : (decoder.end() ?? ''));
  return text.includes('\ufffd') ? null : text;
}

/** The octet string, or null when the charset is not known or lacks one of the characters. */
export function encode(text: string, charset: string): string | null {
  if (!isCharset(charset)) return null;
  const out = latin1(iconv.encode(text, charset));
  return decode(out, charset) === text ? out : null;
}

/** True if the octets are text in that charset; `cut`: they may end within a character, because more follow. */
export function isValidIn(octets: string, charset: string, cut = false): boolean {
  if (charset.toUpperCase() === 'UTF-8') return isUtf8(octets, cut);
  return decode(octets, charset, cut) !== null;
}

/** The first of these charsets in which the octets are valid, or null. UTF-8 is asked first: text in another charset is hardly ever valid in it. */
export function chooseCharset(octets: string, candidates: readonly string[], cut = false): string | null {
  return ['UTF-8', ...candidates].find((charset) => charset !== '' && isValidIn(octets, charset, cut)) ?? null;
}
