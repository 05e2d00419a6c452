/** Content on its way to the wire and back: line ends, transparency, the lone dot of a caller. */
import assert from 'node:assert';
import { untilDot } from '../../../src/message/lone-dot.ts';
import { sourceOf } from '../../../src/message/source.ts';
import { contentEncoder, type Framing, scanContent } from '../../../src/smtp/client/content.ts';
import { makeContentReader, makeContentSkipper } from '../../../src/smtp/server/content.ts';
import { latin1, octets } from '../../../src/smtp/text.ts';
import { readAll } from '../octets.ts';
import { diceOf, type Reader, same, sameInAnyPieces, sameInAnyPiecesAsync } from '../reader.ts';

function encode(framing: Framing, pieces: readonly string[]): { readonly wire: string; readonly facts: unknown } {
  const encoder = contentEncoder(framing);
  let wire = '';
  for (const piece of pieces) wire += latin1(encoder.push(octets(piece)));
  wire += latin1(encoder.end());
  return { wire, facts: encoder.facts };
}

/** What a server takes content for that is followed by a command. */
function receive(pieces: readonly string[]): { readonly content: string; readonly left: string; readonly bare: number } {
  const server = makeContentReader();
  let content = '';
  let isEnded = false;
  let left = '';
  for (const piece of pieces) {
    if (isEnded) {
      left += piece;
      continue;
    }
    const end = server.read(octets(piece), 0, (run) => {
      content += latin1(run);
    });
    if (end < 0) continue;
    isEnded = true;
    left = piece.slice(end);
  }
  assert.ok(isEnded, 'the end is not found');
  const { octets: count, bare } = server.facts();
  assert.equal(count, content.length);
  return { content, left, bare };
}

const COMMAND = 'QUIT\r\n.\r\n';

export const reader: Reader = {
  name: 'content',
  seeds: ['Subject: x\n\nhello\n.\n..\nend', 'a\r\nb\rc\n', '.\r\n', '\r\n.\r\n', '\n.\r', 'a\r', '.', '\r.\r\n\n\r', '\0\xff\n'],
  words: ['\r\n.\r\n', '\n.\n', '\r.\r', '.', '..', '\r', '\n', '\r\n', '\n\r', '\r\r\n', '\0'],
  read: (input) => [encode('data', [input]), readAll(untilDot(sourceOf(octets(input))))],
  async run(input) {
    const normal = input.replace(/\r\n?|\n/g, '\r\n');
    const whole = normal === '' || normal.endsWith('\r\n') ? normal : `${normal}\r\n`;
    const bdat = sameInAnyPieces(input, (pieces) => encode('bdat', pieces));
    assert.equal(bdat.wire, whole);
    const data = sameInAnyPieces(input, (pieces) => encode('data', pieces));
    assert.equal(data.wire, whole.replace(/^\./gm, '..'));
    assert.equal(scanContent(octets(input)).size, whole.length);
    // A server has what was given, and the command behind it is a command.
    const wire = `${data.wire}.\r\n${COMMAND}`;
    const received = sameInAnyPieces(wire, receive);
    same(received, { content: whole, left: COMMAND, bare: 0 });
    const skipper = makeContentSkipper((chunk, from) => Buffer.from(chunk).indexOf('\r\n.\r\n', from));
    const all = octets(wire);
    const cut = diceOf(input).below(data.wire.length + 1);
    const first = skipper.read(all.subarray(0, cut), 0, () => undefined);
    const end = first >= 0 ? first : cut + skipper.read(all.subarray(cut), 0, () => undefined);
    assert.equal(end, wire.length - COMMAND.length, 'the end is elsewhere where nobody wants the content');
    // As a caller without -i ends a message.
    const [before = '', ...after] = input.split(/^\.\r?\n/m).length > 1 ? splitAtDot(input) : [input];
    const taken = await sameInAnyPiecesAsync(input, (pieces) => readAll(untilDot(sourceOf(...pieces.map(octets)))));
    assert.equal(taken.text, before.replace(/(^|\n)\.\./g, '$1.'), `with ${after.length} behind it`);
  },
};

/** The text before the first line of one dot, in which only LF and CR LF end lines. */
function splitAtDot(input: string): readonly string[] {
  const found = /(^|\n)\.\r?\n/.exec(input);
  return found === null ? [input] : [input.slice(0, found.index + (found[1] as string).length), ''];
}
