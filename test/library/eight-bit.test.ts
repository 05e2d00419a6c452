/** 8-bit content where the server lacks 8BITMIME: the library sends, converts and refuses the very octets that the command does. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { suite } from 'uvu';
import { type Content, submit } from '../../src/library/index.ts';
import { run, setUp } from '../support/command.ts';
import { type Held, startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const eightBit = suite('8-bit content');

const HEAD = `Date: Sat, 28 Nov 2026 10:00:00 +0000\r\nFrom: me@example.org\r\nTo: you@example.net\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n`;
const typed = (type: string, encoding: string, body: string) =>
  `${HEAD}Subject: x\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}`;
const UTF8 = Buffer.from('Grüße, 日本語 😀', 'utf8').toString('latin1');
/** Longer than the window. */
const ASCII = `${'a line of ASCII, as most are, and .dots\r\n.a dot\r\n'.repeat(90)}`;
const part = (headers: string, body: string) => `--b\r\n${headers}\r\n\r\n${body}\r\n`;

/** Octet strings. */
const MESSAGES: Readonly<Record<string, string>> = {
  'text in UTF-8': typed('text/plain; charset=utf-8', '8bit', `${UTF8}\r\n.${UTF8}\r\n`),
  'text in ISO-8859-1': typed('text/plain; charset=iso-8859-1', '8bit', 'Gr\xfc\xdfe\r\n'),
  'text with bare line feeds': typed('text/plain; charset=utf-8', '8bit', `${UTF8}\n.${UTF8}\n`).replaceAll('\r\n', '\n'),
  'binary text': typed('text/plain; charset=utf-8', 'binary', `${UTF8}\r\n`),
  'octets that are labelled as 7bit': typed('text/plain; charset=utf-8', '7bit', `${UTF8}\r\n`),
  'an attachment that is labelled as binary': typed('application/octet-stream', 'binary', '\xff\xfe\x80\r\nabc\r\n'),
  'a multipart': typed(
    'multipart/mixed; boundary=b',
    '8bit',
    `${part('Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit', UTF8)}${part('Content-Type: text/plain', 'ascii')}--b--\r\n`,
  ),
  'a signed part': typed(
    'multipart/signed; boundary=b; protocol="application/pgp-signature"; micalg=pgp-sha256',
    '8bit',
    `${part('Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit', UTF8)}${part('Content-Type: application/pgp-signature', 'x')}--b--\r\n`,
  ),
  'an encoding of its own': typed('text/plain; charset=utf-8', 'x-own', `${UTF8}\r\n`),
  'octets beyond the window': typed('text/plain; charset=utf-8', '8bit', `${ASCII}${UTF8}\r\n`),
  'octets beyond the window that are labelled as 7bit': typed('text/plain; charset=utf-8', '7bit', `${ASCII}${UTF8}\r\n`),
  'octets in a header field': `${HEAD}Subject: Gr\xc3\xbc\xc3\x9fe\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n`,
  'ASCII alone': typed('text/plain; charset=utf-8', '8bit', ASCII),
};

const WINDOW = 1024;
const octetsOf = (text: string): Buffer => Buffer.from(text, 'latin1');
function* cut(octets: Buffer): Generator<Buffer> {
  for (let at = 0; at < octets.length; at += 512) yield octets.subarray(at, at + 512);
}

/** Whole: the message is read before the server is asked. Else the first window of it. */
const FORMS: Readonly<Record<string, { readonly isWhole: boolean; readonly make: (octets: Buffer) => Content }>> = {
  octets: { isWhole: true, make: (octets) => octets },
  'an array': { isWhole: true, make: (octets) => [...cut(octets)] },
  'a stream within the window': { isWhole: true, make: (octets) => Readable.from(cut(octets)) },
  'a Blob within the window': { isWhole: true, make: (octets) => new Blob([octets as Uint8Array<ArrayBuffer>]) },
  'a stream beyond the window': { isWhole: false, make: (octets) => Readable.from(cut(octets)) },
};

type Fate = { readonly octets: string } | 'failed';

/** The text of the header section may differ where the command completes it, so the messages need nothing. */
async function byCommand(octets: Buffer, treatment: string, isWhole: boolean): Promise<Fate> {
  const host = await startHost();
  const { config } = setUp(
    `smarthosts = ["smtp://127.0.0.1:${host.port}"]\neight_bit = "${treatment}"\nheader_8bit = "send"\nreplay_window = "${isWhole ? '64KiB' : '1KiB'}"`,
  );
  const { status, stderr } = await run(config, ['-f', 'me@example.org', 'you@example.net'], octets);
  await host.stop();
  if (status !== 0) assert.match(stderr, /8-bit|8BITMIME/);
  return fateOf(host.held, status === 0);
}

async function byLibrary(content: Content, withoutEightBit: 'convert' | 'send' | 'refuse', window: number): Promise<Fate> {
  const host = await startHost();
  const outcome = await submit({ from: 'me@example.org', to: ['you@example.net'], withoutEightBit }, content, {
    servers: [`smtp://127.0.0.1:${host.port}`],
    hello: 'client.example.org',
    window,
  });
  await host.stop();
  if (outcome.kind === 'failed') {
    const { message, code, retry, lacks, verb } = outcome.failure;
    assert.match(message, /8-bit|8BITMIME/);
    assert.deepEqual([code, retry, lacks, verb], ['unsupported', 'never', '8bitmime', null], 'the same failure in each form');
  }
  return fateOf(host.held, outcome.kind === 'accepted');
}

function fateOf(held: readonly Held[], isTaken: boolean): Fate {
  assert.equal(held.length, isTaken ? 1 : 0);
  return isTaken ? { octets: (held[0] as Held).octets.toString('latin1') } : 'failed';
}

for (const [name, text] of Object.entries(MESSAGES))
  for (const treatment of ['convert', 'send', 'refuse'] as const)
    eightBit(`${name}, ${treatment}: each form of content becomes what the command makes of it`, () =>
      within(20_000, async () => {
        const octets = octetsOf(text);
        const wanted = { whole: await byCommand(octets, treatment, true), streamed: await byCommand(octets, treatment, false) };
        for (const [form, { isWhole, make }] of Object.entries(FORMS))
          assert.deepEqual(
            await byLibrary(make(octets), treatment, isWhole ? 64 * 1024 : WINDOW),
            isWhole ? wanted.whole : wanted.streamed,
            form,
          );
        // Nothing is known of what is opened later, so it is like a stream whose first window is empty.
        for (const content of [{ open: () => cut(octets) }, { open: () => octets, size: octets.length }]) {
          const opened = await byLibrary(content, treatment, WINDOW);
          if (opened !== 'failed')
            assert.ok(
              [wanted.whole, wanted.streamed].some((fate) => isDeepStrictEqual(fate, opened)),
              JSON.stringify(opened),
            );
          else assert.ok(wanted.streamed === 'failed' || wanted.whole === 'failed' || name.includes('7bit'), 'an opener fails alone');
        }
      }),
    );

const SIGNED = MESSAGES['a signed part'] as string;
for (const [what, text, treatment] of [
  ['is refused', MESSAGES['text in UTF-8'] as string, 'refuse'],
  ['is refused behind the window', MESSAGES['octets beyond the window'] as string, 'refuse'],
  ['cannot be converted', SIGNED, 'convert'],
] as const)
  eightBit(`what ${what} goes to the next server, which takes eight bits, as long as it can be read again`, () =>
    within(20_000, async () => {
      const [without, takes] = [await startHost(), await startHost({ offers: ['8BITMIME'] })];
      for (const [form, make, mayGoOn] of [
        ['octets', () => octetsOf(text), true],
        ['an opener', () => ({ open: () => cut(octetsOf(text)) }), true],
        ['a stream', () => Readable.from(cut(octetsOf(text))), text.length <= WINDOW],
      ] as const) {
        const before = takes.held.length;
        const outcome = await submit({ from: 'me@example.org', to: ['you@example.net'], withoutEightBit: treatment }, make(), {
          servers: [`smtp://127.0.0.1:${without.port}`, `smtp://127.0.0.1:${takes.port}`],
          hello: 'client.example.org',
          window: WINDOW,
        });
        assert.equal(outcome.kind, mayGoOn ? 'accepted' : 'failed', `${form}: ${JSON.stringify(outcome)}`);
        assert.equal(outcome.attempts[0]?.failure.code, 'unsupported', form);
        if (outcome.kind === 'failed') assert.equal(outcome.unreplayable, true, form);
        else assert.equal(takes.held[before]?.octets.toString('latin1'), text, form);
      }
      assert.equal(without.held.length, 0);
      await Promise.all([without.stop(), takes.stop()]);
    }),
  );

eightBit.run();
