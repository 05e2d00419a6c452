/** An RFC 2047 decoder, written for the tests and apart from the encoder: what a reader's program would show. */
const WORD = /^=\?([^?\s]+)\?([BbQq])\?([^?\s]*)\?=$/;

/** Text as Unicode. Blanks between encoded words do not count; each word must be whole characters on its own. RFC 2047 §6 */
export function decodeEncoded(raw: string): string {
  const parts = raw.replaceAll(/\r?\n(?=[ \t])/g, '').split(/([ \t()]+)/);
  let out = '';
  let held = '';
  let afterEncoded = false;
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 1) {
      held = part;
      continue;
    }
    const found = WORD.exec(part);
    out += found && afterEncoded && /^[ \t]*$/.test(held) ? '' : held;
    held = '';
    out += found ? decodeWord(found[1] as string, found[2] as string, found[3] as string) : Buffer.from(part, 'latin1').toString('utf8');
    // The empty text before or after the whole is no word.
    if (part !== '') afterEncoded = found !== null;
  }
  return out + held;
}

function decodeWord(charset: string, encoding: string, text: string): string {
  const bytes =
    encoding.toUpperCase() === 'B'
      ? Buffer.from(text, 'base64')
      : Buffer.from(
          text.replaceAll('_', ' ').replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
          'latin1',
        );
  if (charset.toLowerCase() === 'unknown-8bit') return bytes.toString('latin1');
  return new TextDecoder(charset, { fatal: true }).decode(bytes);
}

/** Every rule of RFC 2047 §2 and §5 that a line can break, as sentences; none = all kept. */
export function encodedFaults(raw: string): string[] {
  const faults: string[] = [];
  for (const line of raw.split('\n')) {
    const words = line.match(/=\?[^?\s]+\?[BbQq]\?[^?\s]*\?=/g) ?? [];
    for (const word of words) if (word.length > 75) faults.push(`${word.length} octets: ${word}`);
    if (words.length > 0 && line.length > 76) faults.push(`a line of ${line.length}: ${line}`);
    if (/^[ \t]*$/.test(line)) faults.push('an empty line');
  }
  if (/[\x80-\xff]/.test(raw)) faults.push('an octet above 127');
  return faults;
}
