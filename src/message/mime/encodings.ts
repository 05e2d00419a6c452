/**
 * The two encodings that make eight bits seven: quoted-printable and base64 (RFC 2045 §6.7 and §6.8), for octets in any cut.
 * Knows no part and no header.
 */
import type { OctetBuffer } from '../octet-buffer.ts';

const LF = 10;
const CR = 13;
const BLANK = 32;
const TAB = 9;
const EQUALS = 61;

/** Writes the octets of one part, which may come in any cut. */
export interface PartWriter {
  write(octets: Uint8Array): void;
  /** Ends the part. The line end before the delimiter does not belong to it. */
  finish(): void;
}

const HEX = Buffer.from('0123456789ABCDEF');

/** Writes quoted-printable with lines of at most 76 characters; LF, CRLF and a lone CR end a line. RFC 2045 §6.7 */
export function quotedPrintable(out: OctetBuffer): PartWriter {
  let column = 0;
  /** A blank or tab that stands for itself unless its line ends there (rule 3); 0 if there is none. */
  let blank = 0;
  let afterCR = false;
  /** Writes `octet` as one character or as three. The caller has reserved room for six. */
  function put(octet: number, literal: boolean): void {
    // 75, because the soft line break itself needs the 76th place (rule 5).
    if (column + (literal ? 1 : 3) > 75) {
      out.octets[out.length++] = EQUALS;
      out.octets[out.length++] = CR;
      out.octets[out.length++] = LF;
      column = 0;
    }
    column += literal ? 1 : 3;
    out.octets[out.length++] = literal ? octet : EQUALS;
    if (literal) return;
    out.octets[out.length++] = HEX[octet >> 4] as number;
    out.octets[out.length++] = HEX[octet & 15] as number;
  }
  function putBlank(literal: boolean): void {
    if (blank !== 0) put(blank, literal);
    blank = 0;
  }
  return {
    write(octets) {
      // An octet is at most three characters; a soft line break comes once in 25; a held blank comes on top.
      out.reserve(octets.length * 4 + 16);
      for (let i = 0; i < octets.length; i++) {
        const octet = octets[i] as number;
        if (octet === LF || octet === CR) {
          if (octet === LF && afterCR) {
            afterCR = false;
            continue;
          }
          putBlank(false);
          out.octets[out.length++] = CR;
          out.octets[out.length++] = LF;
          column = 0;
        } else {
          putBlank(true);
          if (octet === BLANK || octet === TAB) blank = octet;
          else put(octet, octet > BLANK && octet < 127 && octet !== EQUALS);
        }
        afterCR = octet === CR;
      }
    },
    finish() {
      out.reserve(6);
      putBlank(false);
    },
  };
}

/** The octets that make a line of base64, 76 characters. RFC 2045 §6.8 */
const OCTETS_PER_LINE = 57;

/** Writes base64. With `lines`, LF, CRLF and a lone CR become CRLF, as text has it; else octets stay as they are. RFC 2045 §6.8 */
export function base64Lines(out: OctetBuffer, lines: boolean): PartWriter {
  const packed = Buffer.allocUnsafeSlow(OCTETS_PER_LINE * 128);
  let length = 0;
  let first = true;
  let afterCR = false;
  function flush(): void {
    const text = packed.toString('base64', 0, length);
    length = 0;
    for (let i = 0; i < text.length; i += 76) {
      if (!first) out.addText('\r\n');
      first = false;
      out.addText(text.slice(i, i + 76));
    }
  }
  function put(octet: number): void {
    packed[length++] = octet;
    if (length === packed.length) flush();
  }
  return {
    write(octets) {
      if (!lines) {
        for (let i = 0; i < octets.length; ) {
          const piece = octets.subarray(i, i + packed.length - length);
          packed.set(piece, length);
          length += piece.length;
          i += piece.length;
          if (length === packed.length) flush();
        }
        return;
      }
      for (let i = 0; i < octets.length; i++) {
        const octet = octets[i] as number;
        if (octet !== LF && octet !== CR) put(octet);
        else if (octet === CR || !afterCR) {
          put(CR);
          put(LF);
        }
        afterCR = octet === CR;
      }
    },
    finish: flush,
  };
}
