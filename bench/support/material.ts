/** Makes the material of the benches, once, in the cache: messages of any size and shape, and a certificate. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, statSync, writeSync } from 'node:fs';
import { inCache } from './places.ts';

/** Base64 lines with LF; the same with CRLF; uneven lines like prose, of which every hundredth begins with a dot. */
export type Shape = 'lf' | 'crlf' | 'dotted';

const HEADER = [
  'From: Sender <sender@example.org>',
  'To: recipient@example.org',
  'Subject: a bench',
  'Date: Sun, 22 Nov 2026 12:00:00 +0000',
];
const BASE64 = 'QWxsIG1lbiBieSBuYXR1cmUgZGVzaXJlIHRvIGtub3csIHNhaWQgdGhlIHBoaWxvc29waGVyLCBh';
const MiB = 1 << 20;

/** A line of the body without its line end. Uneven lengths are deterministic, so that two hosts measure the same file. */
function bodyLine(shape: Shape, number: number): string {
  if (shape !== 'dotted') return BASE64.slice(0, 76);
  const length = 5 + ((Math.imul(number, 2654435761) >>> 8) % 70);
  return (number % 100 === 7 ? '.' : '') + BASE64.slice(0, length);
}

/** About a mebibyte of whole lines; octets. */
export function bodyBlock(shape: Shape, size = MiB): Buffer {
  const lineEnd = shape === 'crlf' ? '\r\n' : '\n';
  let text = '';
  for (let i = 0; text.length < size - 80; i++) text += bodyLine(shape, i) + lineEnd;
  return Buffer.from(text, 'latin1');
}

/** A message file of about `size` octets. */
export function message(shape: Shape, size: number): string {
  const file = inCache(`message-${shape}-${size}`);
  if (existsSync(file) && statSync(file).size > size / 2) return file;
  const lineEnd = shape === 'crlf' ? '\r\n' : '\n';
  const head = Buffer.from([...HEADER, `Message-ID: <${shape}.${size}@bench.example>`, '', ''].join(lineEnd), 'latin1');
  const fd = openSync(file, 'w');
  writeSync(fd, head);
  const block = bodyBlock(shape, Math.min(MiB, size - head.length));
  for (let left = size - head.length; left >= block.length; left -= block.length) writeSync(fd, block);
  closeSync(fd);
  return file;
}

/** A body without a header section. Many of them behind a message in a pipe make a long message without a long file. */
export function more(shape: Shape, size: number): string {
  const file = inCache(`body-${shape}-${size}`);
  if (existsSync(file)) return file;
  const block = bodyBlock(shape);
  const fd = openSync(file, 'w');
  for (let left = size; left >= block.length; left -= block.length) writeSync(fd, block);
  closeSync(fd);
  return file;
}

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A self-signed certificate for `localhost` and 127.0.0.1, with P-256 as public servers have it today; null without the openssl command. */
export function certificate(): Certificate | null {
  const files = { certificate: inCache('certificate.pem'), key: inCache('key.pem') };
  if (existsSync(files.certificate)) return files;
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3650', '-subj', '/CN=localhost'],
    ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', files.key, '-out', files.certificate],
  ]);
  return made.status === 0 ? files : null;
}
