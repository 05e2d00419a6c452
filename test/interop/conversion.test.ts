/**
 * Messages with 8-bit parts at a real server without 8BITMIME: what arrives is 7-bit, and every part decoded is what was
 * sent, as Python's email package reads both. Signed parts are not altered, so such a message fails.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { type Command, installCommand, run } from './support/command.ts';
import { startExim } from './support/exim.ts';
import { assertDelivered, configuration } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';
import { at, DOMAIN, type Peer } from './support/peer.ts';

const test = suiteWith('conversion', 'root', 'unshare', 'exim4-daemon-heavy', 'python3');

let command: Command;
let exim: Peer;
test.before(() =>
  within(30_000, async () => {
    command = installCommand();
    exim = await startExim({ eightBitMime: false, smtputf8: false, chunking: false });
    command.configure(configuration(command, `smtp://${HOST}:${exim.port}`));
  }),
);
test.after(async () => exim?.stop());
test.before.each(() => exim.clear());

interface Parts {
  readonly parts: readonly { readonly type: string; readonly octets?: string }[];
  readonly encodings: readonly string[];
  readonly defects: readonly string[];
}

const PARSER = fileURLToPath(new URL('support/read_parts.py', import.meta.url));
function readParts(octets: Buffer): Parts {
  const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-B', PARSER], { input: octets, maxBuffer: 1 << 27 });
  assert.equal(stderr.toString(), '');
  return JSON.parse(stdout.toString()) as Parts;
}

/** Line ends are LF where they are kept and CRLF on the wire; the line end before a delimiter belongs to that. */
const comparable = ({ parts }: Parts) =>
  parts.map((part) => {
    if (part.octets === undefined) return part;
    const octets = Buffer.from(part.octets, 'base64').toString('latin1').replaceAll('\r\n', '\n');
    return { ...part, octets: part.type === 'application/octet-stream' ? octets : octets.trimEnd() };
  });

const utf8 = (text: string) => Buffer.from(text).toString('latin1');
const HEAD = [
  'Date: Sun, 22 Nov 2026 12:00:00 +0000',
  `From: sender@${DOMAIN}`,
  `To: ann@${DOMAIN}`,
  `Message-ID: <conversion@${DOMAIN}>`,
  'Subject: conversion',
  'MIME-Version: 1.0',
];
const whole = (...lines: readonly string[]) => Buffer.from(`${[...HEAD, ...lines].join('\n')}\n`, 'latin1');
const GREETING = utf8('Gr\u00fc\u00dfe = 100 % \u041f\u0440\u0438\u0432\u0435\u0442 \t\n.\n..\nFrom here\n\n');

const nested = (declared: string) => [
  'Content-Type: multipart/mixed; boundary="outer"',
  `Content-Transfer-Encoding: ${declared}`,
  '',
  utf8('a pre\u00e4mble that nobody reads').replace(/[^ -~]/g, '?'),
  '--outer',
  'Content-Type: multipart/alternative; boundary=inner',
  '',
  '--inner',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  '',
  GREETING,
  '--inner',
  'Content-Type: text/html; charset=koi8-r',
  'Content-Transfer-Encoding: 8bit',
  '',
  `<p>\xf0\xd2\xc9\xd7\xc5\xd4</p>\n${'<b>\xc1</b>'.repeat(300)}`,
  '--inner--',
  '',
  '--outer',
  'Content-Type: application/octet-stream; name="data.bin"',
  'Content-Transfer-Encoding: base64',
  'Content-Disposition: attachment; filename="data.bin"',
  '',
  Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('base64'),
  '--outer',
  'Content-Type: text/csv; charset=iso-8859-1',
  'Content-Transfer-Encoding: 8bit',
  '',
  'caf\xe9;1\n\xfcber;2',
  '--outer',
  'Content-Type: message/rfc822',
  '',
  'From: x@example.org',
  'Subject: within',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  '',
  GREETING,
  '--outer',
  'Content-Type: text/plain',
  '',
  'plain as it is',
  '--outer--',
];

/** [what, message, encodings that must be there] */
const MESSAGES: readonly (readonly [string, Buffer, RegExp])[] = [
  [
    'one part of text',
    whole('Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit', '', GREETING),
    /quoted-printable/,
  ],
  ['nested parts, a message within, three charsets', whole(...nested('8bit')), /quoted-printable.*base64/],
  [
    'the same larger than the window',
    whole(...nested('8bit').map((line) => (line === GREETING ? GREETING.repeat(9000) : line))),
    /quoted-printable/,
  ],
  [
    'application data declared 8bit',
    whole('Content-Type: application/json', 'Content-Transfer-Encoding: 8bit', '', utf8('{"name":"Gr\u00fc\u00dfe"}')),
    /base64/,
  ],
];

for (const [what, octets, encodings] of MESSAGES)
  test(`${what}: 7-bit on the wire, decoded the same`, () =>
    within(60_000, async () => {
      assertDelivered(await run(command, ['-i', '-f', at('sender'), at('ann')], octets));
      const [arrived] = await exim.received('ann');
      const found = arrived?.octets ?? Buffer.alloc(0);
      assert.ok(
        found.every((octet) => octet < 128),
        'an 8-bit octet arrived',
      );
      const [before, after] = [readParts(octets), readParts(found)];
      assert.deepEqual(after.defects, before.defects);
      assert.match(after.encodings.join(' '), encodings);
      assert.doesNotMatch(after.encodings.join(' '), /8bit|binary/);
      assert.deepEqual(comparable(after), comparable(before));
    }));

test('a signed part with 8-bit text is not altered: nobody has the message', () =>
  within(30_000, async () => {
    const signed = whole(
      'Content-Type: multipart/signed; protocol="application/pgp-signature"; micalg=pgp-sha256; boundary=s',
      '',
      '--s',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      GREETING,
      '--s',
      'Content-Type: application/pgp-signature',
      '',
      'signature',
      '--s--',
    );
    const result = await run(command, ['-i', '-f', at('sender'), at('ann')], signed);
    assert.equal(result.status, 1, result.said);
    assert.match(result.stderr, /8-bit octets in a signed part, which may not be altered/);
    assert.equal(await exim.total(), 0);
  }));

test.run();
