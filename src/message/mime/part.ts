/**
 * One part of a message that must become seven bits: what is done with it, by its MIME fields, and who writes its octets. Knows
 * no delimiters and no structure: `convert.ts` does.
 */
import { isAscii } from 'node:buffer';
import { scanContent } from '../../smtp/client/content.ts';
import { LONGEST_CONTENT_LINE } from '../../smtp/limits.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { fromUtf8, isAscii as isAsciiText, printable } from '../../smtp/text.ts';
import { encodeAddresses } from '../complete.ts';
import { encodeWords, textWords } from '../encoded-words.ts';
import { NEVER_ENCODED, RECIPIENTS, SENDERS } from '../field-names.ts';
import { bodyOffset, type Field } from '../fields.ts';
import { makeOctetBuffer, type OctetBuffer } from '../octet-buffer.ts';
import { base64Lines, type PartWriter, quotedPrintable } from './encodings.ts';
import { type Entity, encodeParameters, fieldNameOf, fieldsOf, withEncoding } from './mime.ts';

export const WHY = 'and the server does not offer 8BITMIME';
export const SIGNED = `the message has 8-bit octets in a signed part, which may not be altered, ${WHY}; sign it in 7-bit form (RFC 1847), or set eight_bit = "send"`;

export interface Lookahead {
  /**
   * Octets of a part that are held until it is known whether it has 8-bit octets. If this is the size of the whole body, no
   * part is encoded in vain, and none is found to be 8-bit too late.
   */
  readonly lookahead: number;
  /** The treatment of a part that is announced as 7bit and is found not to be, within `lookahead`. */
  readonly mislabelled: 'convert' | 'fail';
}

/** A part, or a message, whose header section has been read. */
export interface Part {
  readonly entity: Entity;
  /** The header section, as seven bits. */
  readonly header: string;
  /** The empty line behind it; '' if there is none. */
  readonly separator: string;
  /** False for a part of a multipart, which needs no MIME-Version. */
  readonly isMessage: boolean;
}

/** Reports that the message cannot be sent. */
export type Fail = (detail: string) => void;

/** The treatment of a part. 'multipart' and 'message' pass around the parts that they hold. */
export type Treatment = 'encode if 8-bit' | 'encode' | 'pass' | 'signed' | 'multipart' | 'message';

const SEVEN_OR_NOTHING = [null, '7bit', '8bit', 'binary'];

/** `mayOpen`: a multipart may be looked into, because it is not too deep. RFC 2045 §6.4 */
export function treatmentOf({ type, subtype, encoding, boundary }: Entity, mayOpen: boolean): Treatment {
  if (type === 'multipart' && subtype === 'signed') return 'signed';
  // It is encoded already.
  if (!SEVEN_OR_NOTHING.includes(encoding)) return 'pass';
  if (type === 'multipart') return boundary !== null && mayOpen ? 'multipart' : 'pass';
  if (type === 'message' && (subtype === 'rfc822' || subtype === 'news')) return 'message';
  // message/global may be encoded, other messages may not (RFC 6532 §3.5, RFC 2045 §6.4).
  if (type === 'message' && !subtype.startsWith('global')) return 'pass';
  return encoding === 'binary' ? 'encode' : 'encode if 8-bit';
}

/** Writes the header section of a part that is not encoded. A declared 8bit or binary becomes 7bit. */
export function passHeader(out: OctetBuffer, { entity, header, separator }: Part): void {
  const isRelabelled = entity.encoding === '8bit' || entity.encoding === 'binary';
  out.addText((isRelabelled ? withEncoding(header, '7bit', false) : header) + (separator || (isRelabelled ? '\r\n' : '')));
}

/** Writes octets as they are; they must be seven bits. */
export function passUnaltered(out: OctetBuffer, fail: Fail, detail: string): PartWriter {
  return {
    write(octets) {
      if (isAscii(octets)) out.add(octets);
      else fail(detail);
    },
    finish: () => undefined,
  };
}

/** Writes a binary part as base64. */
export function encodeBinary(out: OctetBuffer, { header, separator, isMessage }: Part): PartWriter {
  out.addText(withEncoding(header, 'base64', isMessage) + (separator || '\r\n'));
  return base64Lines(out, false);
}

/** Holds a part until it is known whether it must be encoded, then writes it. */
export function holdPart(
  out: OctetBuffer,
  { entity, header, separator, isMessage }: Part,
  { lookahead, mislabelled }: Lookahead,
  fail: Fail,
): PartWriter {
  const held = makeOctetBuffer();
  const isText = entity.type === 'text';
  const isAnnounced = entity.encoding === '7bit';
  /** The writer of the rest of the part, once that is decided. */
  let rest: PartWriter | null = null;
  const heldOctets = () => held.octets.subarray(0, held.length);
  function pass(): PartWriter {
    out.addText((entity.encoding === '8bit' ? withEncoding(header, '7bit', false) : header) + separator);
    out.add(heldOctets());
    return passUnaltered(
      out,
      fail,
      `the message has 8-bit octets in a part that is announced as 7bit (${printType(entity)}), ${WHY}; ` +
        'declare its Content-Transfer-Encoding as 8bit, or set eight_bit = "send"',
    );
  }
  function encode(): PartWriter {
    out.addText(withEncoding(header, isText ? 'quoted-printable' : 'base64', isMessage) + (separator || '\r\n'));
    const encoder = isText ? quotedPrintable(out) : base64Lines(out, true);
    encoder.write(heldOctets());
    return encoder;
  }
  /** null: more octets must come first. */
  function decide(more: Uint8Array): PartWriter | null {
    // The octets that count are the same however the part is cut.
    const room = lookahead - held.length;
    if (!isAscii(more.subarray(0, room))) return isAnnounced && mislabelled === 'fail' ? pass() : encode();
    if (more.length <= room) return null;
    // A part that is not announced as 7bit may still turn out to be 8-bit, and then it would be too late.
    return isAnnounced ? pass() : encode();
  }
  return {
    write(more) {
      rest ??= decide(more);
      if (rest === null) held.add(more);
      else rest.write(more);
    },
    finish() {
      if (rest === null) {
        const { longestLine, nul } = scanContent(heldOctets());
        // 7bit allows neither (RFC 2045 §2.7), and the relabelled part would be announced as such.
        rest = entity.encoding === '8bit' && (longestLine > LONGEST_CONTENT_LINE || nul) ? encode() : pass();
      }
      rest.finish();
    },
  };
}

/** Says why a part that cannot be encoded fails. */
export const explainPass = (entity: Entity): string =>
  `the message has 8-bit octets in a part that cannot be encoded (${printType(entity)}, ${entity.encoding ?? '7bit'}), ${WHY}; eight_bit = "send" passes them as they are`;

/**
 * Returns a header section as seven bits. That of the message itself (`isOwn`) has been completed before, so only parameters are
 * left to encode, and other 8-bit fields are meant to stay.
 */
export function encodeHeader(header: string, charset: string, isOwn: boolean): Parsed<string> {
  if (isAsciiText(header)) return parsed(header);
  let seven = '';
  for (const field of fieldsOf(header)) {
    const encoded = isAsciiText(field) ? field : encodeField(field, charset);
    if (encoded === null && !isOwn)
      return unparsed(
        `the header field "${printable(fieldNameOf(field))}" of a part has 8-bit octets, ${WHY}; RFC 2047 and RFC 2231 say how to encode it`,
      );
    seven += encoded ?? field;
  }
  return parsed(seven);
}

/** Charsets whose text may be cut at any octet, as encoded words are. */
const SINGLE_OCTETS = /^(iso-8859-|windows-125|koi8-)/i;

/** Encodes a field with 8-bit octets by RFC 2231 for parameters and RFC 2047 for text; null if neither may or can. */
function encodeField(field: string, charset: string): string | null {
  const name = fieldNameOf(field);
  if (name === 'content-type' || name === 'content-disposition') return encodeParameters(field, charset);
  if (name === '' || NEVER_ENCODED.test(name)) return null;
  const raw: Field = { name, raw: field.replace(/[\r\n]+$/, '').replace(/\r\n?/g, '\n') };
  const label = fromUtf8(raw.raw) !== null ? 'UTF-8' : SINGLE_OCTETS.test(charset) ? charset : 'unknown-8bit';
  const encoded = [...SENDERS, ...RECIPIENTS].includes(name)
    ? encodeAddresses(raw, label).raw
    : encodeWords(raw.raw, textWords(raw.raw, bodyOffset(raw)), label);
  return isAsciiText(encoded) ? `${encoded.replaceAll('\n', '\r\n')}\r\n` : null;
}

const printType = ({ type, subtype }: Entity): string => `${type}/${subtype}`;
