/**
 * Octets and text without a platform: UTF-8, base64, hexadecimal, and making a peer's text printable. Octet strings are
 * JavaScript strings whose code units are 0 to 255 ("latin1"), so a chunk boundary cannot split a character. Knows no
 * character encoding except UTF-8.
 */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** True when every code unit is below 128. */
export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/** Code units 0 to 255 as octets. Throws on any other, because cutting one to eight bits has injected CR and LF elsewhere. */
export function octets(latin1: string): Uint8Array {
  const out = new Uint8Array(latin1.length);
  for (let i = 0; i < latin1.length; i++) {
    const unit = latin1.charCodeAt(i);
    if (unit > 255) throw new RangeError('bug: not an octet string');
    out[i] = unit;
  }
  return out;
}

/** Octets as an octet string, one code unit each. */
export function latin1(bytes: Uint8Array): string {
  let out = '';
  // 8192 arguments of one call, because engines refuse far more than that. `apply` takes the octets as they are, a spread makes
  // a list first.
  for (let i = 0; i < bytes.length; i += 8192) out += String.fromCharCode.apply(null, bytes.subarray(i, i + 8192) as unknown as number[]);
  return out;
}

/** Text as the octet string of its UTF-8 form. A lone surrogate becomes U+FFFD. RFC 3629 §3. */
export function utf8(text: string): string {
  if (isAscii(text)) return text;
  let out = '';
  for (const character of text) {
    let c = character.codePointAt(0) as number;
    if (c >= 0xd800 && c < 0xe000) c = 0xfffd;
    if (c < 0x80) out += String.fromCharCode(c);
    else if (c < 0x800) out += String.fromCharCode(0xc0 | (c >> 6), 0x80 | (c & 63));
    else if (c < 0x10000) out += String.fromCharCode(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
    else out += String.fromCharCode(0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
  }
  return out;
}

/**
 * Reads an octet string as UTF-8; null when it is not valid (overlong forms, surrogates and stray octets included). RFC 3629
 * §4.
 */
export function fromUtf8(octetString: string): string | null {
  if (isAscii(octetString)) return octetString;
  let out = '';
  for (let i = 0; i < octetString.length; ) {
    const first = octetString.charCodeAt(i++);
    if (first < 0x80) {
      out += String.fromCharCode(first);
      continue;
    }
    const more = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
    if (more === 0) return null;
    let point = first & (0x3f >> more);
    for (let k = 0; k < more; k++, i++) {
      const next = octetString.charCodeAt(i);
      if (!(next >= 0x80 && next < 0xc0)) return null;
      point = (point << 6) | (next & 63);
    }
    if ((more === 2 && point < 0x800) || (more === 3 && point < 0x10000)) return null;
    if ((point >= 0xd800 && point < 0xe000) || point > 0x10ffff) return null;
    out += String.fromCodePoint(point);
  }
  return out;
}

/** Base64 of an octet string. RFC 4648 §4. */
export function base64(octetString: string): string {
  let out = '';
  for (let i = 0; i < octetString.length; i += 3) {
    const a = octetString.charCodeAt(i);
    const b = octetString.charCodeAt(i + 1);
    const c = octetString.charCodeAt(i + 2);
    out += ALPHABET[a >> 2];
    out += ALPHABET[((a & 3) << 4) | (b >> 4)];
    out += Number.isNaN(b) ? '=' : ALPHABET[((b & 15) << 2) | (c >> 6)];
    out += Number.isNaN(c) ? '=' : ALPHABET[c & 63];
  }
  return out;
}

/** The octet string that base64 text stands for, or null when it is not base64. Missing padding is accepted. RFC 4648 §4. */
export function fromBase64(text: string): string | null {
  const body = text.replace(/={1,2}$/, '');
  if (body.length % 4 === 1) return null;
  let out = '';
  let bits = 0;
  let held = 0;
  for (const character of body) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return null;
    held = ((held << 6) | digit) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += String.fromCharCode((held >> bits) & 255);
    }
  }
  return out;
}

/** Lower-case hexadecimal of an octet string. */
export function hex(octetString: string): string {
  let out = '';
  for (let i = 0; i < octetString.length; i++) out += octetString.charCodeAt(i).toString(16).padStart(2, '0');
  return out;
}

/**
 * Makes a peer's octet string text for people: UTF-8 if valid, else one character an octet. Control characters, line separators
 * and bidirectional controls become `\xHH` or `\u{HHHH}`; at most `limit` characters stay.
 */
export function printable(octetString: string, limit = 1000): string {
  const text = textOf(octetString);
  return visible(text.length > limit ? `${text.slice(0, limit)}…` : text);
}

/** An octet string as text: UTF-8 if it is valid, else one character an octet. */
export const textOf = (octetString: string): string => fromUtf8(octetString) ?? octetString;

/**
 * Escapes control, format and separator characters as `printable` does, so that nothing is invisible and a terminal obeys
 * nothing.
 */
export function visible(text: string): string {
  // It is nearly always so, and the test spares a short run the compiling of the expression below.
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (c) => {
    const point = c.codePointAt(0) as number;
    return point < 256 ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u{${point.toString(16)}}`;
  });
}
