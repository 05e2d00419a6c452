/** Where the message of a file ends that nobody has read to its end. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { sourceOf } from '../../src/message/source.ts';
import { findDot } from '../../src/process/stdin/behind-dot.ts';
import type { Stdin } from '../../src/process/stdin/open.ts';
import { octets } from '../../src/smtp/text.ts';

const test = suite('behind the dot');

/** A file that gives its text in pieces of so many octets, and counts them. */
function fileOf(text: string, piece: number) {
  const reads = { count: 0 };
  const at = (from: number) => {
    const pieces: Uint8Array[] = [];
    for (let i = from; i < text.length; i += piece) pieces.push(octets(text.slice(i, i + piece)));
    const source = sourceOf(...pieces);
    return {
      ...source,
      read() {
        reads.count += 1;
        return source.read();
      },
    };
  };
  return { file: { at } as unknown as NonNullable<Stdin['file']>, reads };
}

const ROWS: readonly (readonly [text: string, octets: number | null, why: string])[] = [
  ['.\nmore\n', 2, 'the first line'],
  ['\n.\nmore\n', 3, 'behind an empty line'],
  ['Subject: x\r\n\r\nhello\r\n.\r\nmore\r\n', 24, 'CRLF'],
  ['Subject: x\n\n..\n. \nhello\n', null, 'no line of one dot'],
  ['Subject: x\n\nhello\n.', null, 'no line end behind it'],
];
for (const [text, expected, why] of ROWS)
  test(`the message of a file ends at its lone dot: ${why}`, async () => {
    for (const piece of [1, 3, 1000]) {
      const { file } = fileOf(text, piece);
      assert.equal(await findDot(file, { aborted: false }), expected, `pieces of ${piece}`);
    }
  });

test('a signal ends the search', async () => {
  const signal = { aborted: false };
  const { file, reads } = fileOf('a line\n'.repeat(1000), 7);
  const found = findDot(file, signal);
  setImmediate(() => {
    signal.aborted = true;
  });
  assert.equal(await found, null);
  assert.ok(reads.count > 0 && reads.count < 100, `${reads.count} reads`);
});

test.run();
