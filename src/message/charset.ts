/**
 * Turns octets in a charset into text, and back. The only importer of iconv-lite, whose tables take longer to load than most
 * messages take to send: others reach this file by `import()`, and only for an octet above 127 that is not UTF-8.
 */
import iconv from 'iconv-lite';
import { latin1 } from '../smtp/text.ts';
import { isUtf8 } from './locale.ts';

const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');

/** True for a known charset in which ASCII octets are ASCII, because a mail without MIME fields can hold no other. */
export function isCharset(charset: string): boolean {
  // Node has the name `binary`, but it is no charset.
  if (charset.toLowerCase() === 'binary' || !iconv.encodingExists(charset)) return false;
  return latin1(iconv.encode(PRINTABLE, charset)) === PRINTABLE;
}

/**
 * Returns the text; null if the octets are not valid in the charset, or the charset is not known. `octets`: an octet string.
 * `cut`: it may end within a character, which is then left out.
 */
export function decode(octets: string, charset: string, cut = false): string | null {
  if (!isCharset(charset)) return null;
  const decoder = iconv.getDecoder(charset, { stripBOM: false });
  const text = decoder.write(Buffer.from(octets, 'latin1')) + (cut ? '' : (decoder.end() ?? ''));
  return text.includes('\ufffd') ? null : text;
}

/** Returns the octet string; null if the charset is not known or lacks one of the characters. */
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

/**
 * Returns the first of these charsets in which the octets are valid, or null. It tries UTF-8 first, because text in another
 * charset is hardly ever valid UTF-8.
 */
export function chooseCharset(octets: string, candidates: readonly string[], cut = false): string | null {
  return ['UTF-8', ...candidates].find((charset) => isValidIn(octets, charset, cut)) ?? null;
}
