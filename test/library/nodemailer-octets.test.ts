/** Whatever nodemailer composes arrives over our transports in the octets in which it arrives over its own. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { suite } from 'uvu';
import { DataSize } from '../../src/library/nodemailer/content.ts';
import { MAIL, MAKERS, SIDES } from '../support/side-by-side.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const octets = suite('nodemailer: octets');

const folder = mkdtempSync(path.join(tmpdir(), 'nospool-nodemailer-'));
const file = path.join(folder, 'picture.bin');
const picture = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7919) & 255));
writeFileSync(file, picture);
octets.after(() => rmSync(folder, { recursive: true, force: true }));

function slowly(parts: readonly (string | Buffer)[]): Readable {
  const stream = new PassThrough();
  const next = (i: number): void => {
    if (i === parts.length) stream.end();
    else setTimeout(() => stream.write(parts[i]) && next(i + 1), 1);
  };
  next(0);
  return stream;
}

const raw = (text: string | Buffer) => ({ raw: text, envelope: { from: 'me@here.example', to: ['you@there.example'] } });
const HEAD = 'Subject: x\r\n\r\n';

/** Each is made anew for each transport, because streams are read once. */
const MESSAGES: readonly (readonly [title: string, make: () => object])[] = [
  ['text with dots', () => ({})],
  ['an empty text', () => ({ text: '' })],
  ['text in UTF-8', () => ({ subject: 'Grüße', text: 'Grüße an 世界 🎉\n' })],
  ['HTML, text and a picture within', () => ({ html: '<img src="cid:a">', attachments: [{ cid: 'a', content: picture }] })],
  ['an attachment from a file', () => ({ attachments: [{ path: file }] })],
  ['an attachment from a stream', () => ({ attachments: [{ filename: 'a', content: Readable.from([picture]) }] })],
  ['text from a slow stream', () => ({ text: slowly(['one\n', '.', '\n', '..two', '\nend']) })],
  ['raw text with CRLF', () => raw(`${HEAD}a\r\n.\r\n..b\r\n`)],
  ['raw text with LF', () => raw(`${HEAD.replaceAll('\r', '')}a\n.\n..b\n`)],
  ['raw text without a last line end', () => raw(`${HEAD}a\r\n.b`)],
  ['raw text that begins with a dot', () => raw('.a: b\r\n\r\nc\r\n')],
  ['raw 8-bit text', () => raw(Buffer.from(`${HEAD}\xe4\xf6\xfc\r\n`, 'latin1'))],
  ['raw text with a long line', () => raw(`${HEAD}${'x'.repeat(900)}\r\n`)],
  ['a megabyte of raw text', () => raw(`${HEAD}${'.line of text\r\n'.repeat(75_000)}`)],
];

for (const [title, make] of MESSAGES)
  octets(`equal, and of the same size: ${title}`, () =>
    within(20_000, async () => {
      for (const offers of [
        ['PIPELINING', '8BITMIME'],
        ['PIPELINING', '8BITMIME', 'CHUNKING'],
      ])
        for (const pool of [false, true]) {
          const host = await startHost({ offers });
          const sizes: number[] = [];
          for (const side of SIDES) {
            const transporter = MAKERS[side]({ host: '127.0.0.1', port: host.port, pool });
            const mail = make();
            sizes.push((await transporter.sendMail('raw' in mail ? mail : { ...MAIL, ...mail })).messageSize);
            await transporter.close();
          }
          const [theirs, ours] = host.held;
          assert.ok(theirs && ours);
          assert.ok(theirs.octets.equals(ours.octets), `${ours.octets.length} octets instead of ${theirs.octets.length}`);
          assert.equal(sizes[1], sizes[0]);
          await host.stop();
        }
    }),
  );

octets('a long part of ASCII is equal at a server without 8BITMIME where it declares 7bit, and converted where it declares nothing', () =>
  within(20_000, async () => {
    const host = await startHost({ offers: ['PIPELINING'] });
    const transporter = MAKERS.nospool({ host: '127.0.0.1', port: host.port });
    const body = 'line of text\r\n'.repeat(5000);
    const declared = `Subject: x\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${body}`;
    await transporter.sendMail(raw(declared));
    await transporter.sendMail(raw(HEAD + body));
    assert.equal(host.held[0]?.octets.toString(), declared);
    assert.match(String(host.held[1]?.octets), /\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nline of text\r\n/);
    await transporter.close();
    await host.stop();
  }),
);

octets('the size counts what DATA sends, however the octets are cut', () => {
  const rows: readonly (readonly [content: string, sent: string])[] = [
    ['a\r\n', 'a\r\n.\r\n'],
    ['a', 'a\r\n.\r\n'],
    ['.\r\n', '..\r\n.\r\n'],
    ['\n.\n', '\r\n..\r\n.\r\n'],
    ['a\rb', 'a\r\nb\r\n.\r\n'],
    ['a\r.b', 'a\r\n..b\r\n.\r\n'],
    ['a\r', 'a\r\n.\r\n'],
    ['\r\r\n\n', '\r\n\r\n\r\n.\r\n'],
  ];
  for (const [content, sent] of rows)
    for (const cut of [1, 2, 3, 100]) {
      const size = new DataSize();
      for (let i = 0; i < content.length; i += cut) size.push(Buffer.from(content.slice(i, i + cut)));
      assert.equal(size.whole, sent.length, JSON.stringify([content, cut]));
    }
});

octets.run();
