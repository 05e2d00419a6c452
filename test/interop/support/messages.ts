/** The messages every smart host gets. All have the fields a submission must have, so nothing may be added to them. */
import { DOMAIN } from './peer.ts';

export interface Message {
  readonly name: string;
  /** With LF, as callers write it. */
  readonly octets: Buffer;
}

let number = 0;

const FIELDS = [
  ['Date', 'Sun, 22 Nov 2026 12:00:00 +0000'],
  ['From', `"A. Sender" <sender@${DOMAIN}>`],
  ['To', `ann@${DOMAIN}, bob@${DOMAIN},\n eve@${DOMAIN}`],
  ['MIME-Version', '1.0'],
] as const;

/** A message with a header section that is complete and a Message-ID of its own. */
export function message(name: string, body: string | Buffer, fields: readonly (readonly [string, string])[] = []): Message {
  number += 1;
  const all = [
    ...FIELDS,
    ['Message-ID', `<${name.replaceAll(/[^a-z0-9]/gi, '-')}.${process.pid}.${number}@${DOMAIN}>`],
    ['Subject', name],
    ...fields,
  ];
  const head = all.map(([field, value]) => `${field}: ${value}\n`).join('');
  return {
    name,
    octets: Buffer.concat([Buffer.from(`${head}\n`, 'latin1'), typeof body === 'string' ? Buffer.from(body, 'latin1') : body]),
  };
}

/** Lines that differ, so that a lost, doubled or swapped block shows; every seventh begins with a dot. */
export function lines(octets: number): Buffer {
  const whole = Buffer.alloc(octets);
  let at = 0;
  for (let line = 0; at < octets; line += 1) {
    const text = `${line % 7 === 0 ? '.' : ''}${line.toString(36)} ${'the quick brown fox jumps over the lazy dog '.slice(line % 44)}\n`;
    at += whole.write(text, at, 'latin1');
  }
  whole[octets - 1] = 0x0a;
  return whole;
}

const TEXT_8BIT = [
  ['Content-Type', 'text/plain; charset=utf-8'],
  ['Content-Transfer-Encoding', '8bit'],
] as const;

export const threeLines = () => message('three lines', 'one\ntwo\nthree\n');
export const dotted = () => message('dotted lines', '.\n..\n...\n.x\n..x\n\n.\n\n .\n.\n');
export const eightBit = () =>
  message(
    '8-bit text',
    Buffer.from('Gr\u00fc\u00dfe aus M\u00fcnchen\n\u041f\u0440\u0438\u0432\u0435\u0442\n\u65e5\u672c\u8a9e\n'),
    TEXT_8BIT,
  );
/** 998 octets is the longest line RFC 5322 §2.1.1 allows. */
export const longLine = () => message('longest line', `${'x'.repeat(998)}\nshort\n${'y'.repeat(997)}.\n`);
export const kibibytes300 = () => message('300 KiB', lines(300 * 1024));
export const mebibytes = (count: number) => message(`${count} MiB`, lines(count * 1024 * 1024));

/** Those that every peer gets in every way. */
export const SMALL = [threeLines, dotted, eightBit, longLine, kibibytes300] as const;
