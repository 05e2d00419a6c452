/** The content encoder: a table of the cases that broke other clients, then everything against the byte-loop model. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { contentEncoder, scanContent } from '../../../src/smtp/client/content.ts';
import { latin1, octets } from '../../../src/smtp/text.ts';
import { allStrings, check, cut, modelOf, wireOf } from './content-model.ts';

const test = suite('smtp/client/content');
const ENDS = [13, 10, 46, 97];
const text = (wire: readonly number[]): string => latin1(Uint8Array.from(wire));

const TABLE: readonly [input: string, data: string, bdat: string, why: string][] = [
  ['', '', '', 'empty content stays empty'],
  ['a', 'a\r\n', 'a\r\n', 'a missing final line end is added'],
  ['a\n', 'a\r\n', 'a\r\n', 'LF ends a line'],
  ['a\r\n', 'a\r\n', 'a\r\n', 'CRLF is not doubled'],
  ['a\r', 'a\r\n', 'a\r\n', 'a lone CR ends a line, also the last'],
  ['\r\r\n\n', '\r\n\r\n\r\n', '\r\n\r\n\r\n', 'CR, CRLF, LF are three line ends'],
  ['\n\r', '\r\n\r\n', '\r\n\r\n', 'LF CR are two line ends'],
  ['.x', '..x\r\n', '.x\r\n', 'the first octet of the content is at a line start'],
  ['.', '..\r\n', '.\r\n', 'a lone dot does not end the content'],
  ['a\n.\nb\n', 'a\r\n..\r\nb\r\n', 'a\r\n.\r\nb\r\n', 'a dot between LF'],
  ['a\r.\rb\r', 'a\r\n..\r\nb\r\n', 'a\r\n.\r\nb\r\n', 'a dot between CR'],
  ['a\n.\r\nb', 'a\r\n..\r\nb\r\n', 'a\r\n.\r\nb\r\n', 'a dot between LF and CRLF'],
  ['..\r\n..\r\n', '...\r\n...\r\n', '..\r\n..\r\n', 'only the first dot of a line is doubled, on every line'],
  ['a.b\r\n', 'a.b\r\n', 'a.b\r\n', 'a dot inside a line stays'],
  ['\0\xff\n', '\0\xff\r\n', '\0\xff\r\n', 'NUL and 8-bit octets pass'],
];
for (const [input, data, bdat, why] of TABLE) {
  test(`${JSON.stringify(input)}: ${why}`, () => {
    assert.equal(text(wireOf(contentEncoder('data'), [octets(input)])), data);
    assert.equal(text(wireOf(contentEncoder('bdat'), [octets(input)])), bdat);
    for (const framing of ['data', 'bdat'] as const) {
      const bytewise = [...octets(input)].map((octet) => Uint8Array.of(octet));
      assert.equal(text(wireOf(contentEncoder(framing), bytewise)), framing === 'data' ? data : bdat, 'one octet a chunk');
    }
  });
}

test('binary content stays as it is, and only its octets are counted', () => {
  const encoder = contentEncoder('binary');
  for (const chunk of [octets('.\n\r.\xff'), octets('\n'), octets('a\0')]) assert.equal(encoder.push(chunk), chunk);
  assert.equal(encoder.end().length, 0);
  assert.deepEqual(encoder.facts, { octetsIn: 8, octetsOut: 8, size: 8, eightBit: false, nul: false, longestLine: 0, lines: 0 });
});

test('the encoder hands back a chunk itself that needs no change', () => {
  const encoder = contentEncoder('data');
  for (const chunk of [octets('a\r\nb'), octets('.c\r\n'), octets('d\r\n\r\ne'), octets('')]) assert.equal(encoder.push(chunk), chunk);
});

test('the caller keeps its chunk: it is never written to', () => {
  const chunk = octets('.a\nb\r.c');
  const before = latin1(chunk);
  contentEncoder('data').push(chunk);
  assert.equal(latin1(chunk), before);
});

test('facts grow while the content is not finished', () => {
  const encoder = contentEncoder('data');
  encoder.push(octets('.abc\n.de'));
  assert.deepEqual(encoder.facts, { octetsIn: 8, octetsOut: 11, size: 9, eightBit: false, nul: false, longestLine: 4, lines: 1 });
  encoder.push(octets('fghi\xe9'));
  assert.deepEqual(encoder.facts, { octetsIn: 13, octetsOut: 16, size: 14, eightBit: true, nul: false, longestLine: 8, lines: 1 });
  assert.equal(latin1(encoder.end()), '\r\n');
  assert.equal(latin1(encoder.end()), '');
  assert.deepEqual(encoder.facts, { octetsIn: 13, octetsOut: 18, size: 16, eightBit: true, nul: false, longestLine: 8, lines: 2 });
});

test('nothing and empty lines have no octets', () => {
  assert.deepEqual(contentEncoder('data').facts, {
    octetsIn: 0,
    octetsOut: 0,
    size: 0,
    eightBit: false,
    nul: false,
    longestLine: 0,
    lines: 0,
  });
  assert.deepEqual(scanContent(octets('\n\n')), { size: 4, eightBit: false, nul: false, longestLine: 0 });
});

test('an 8-bit octet is found wherever it stands', () => {
  const room = new Uint8Array(120);
  for (let start = 0; start < 8; start++) {
    for (let at = 0; at < 80; at++) {
      room.fill(97);
      const chunk = room.subarray(start, start + 80);
      assert.equal(scanContent(chunk).eightBit, false);
      chunk[at] = 128;
      assert.equal(scanContent(chunk).eightBit, true, `start ${start}, octet ${at}`);
      assert.equal(scanContent(chunk.subarray(Math.max(0, at - 3), at + 4)).eightBit, true, `start ${start}, octet ${at}, and few others`);
      assert.equal(scanContent(room.subarray(start, start + at)).eightBit, false, 'octets before the chunk ends only');
      assert.equal(scanContent(room.subarray(start + at + 1, start + 80)).eightBit, false, 'octets after');
    }
  }
});

test('what comes behind an end is a line of its own', () => {
  const encoder = contentEncoder('data');
  for (const line of ['ab', 'cd']) {
    encoder.push(octets(line));
    encoder.end();
  }
  assert.deepEqual([encoder.facts.longestLine, encoder.facts.lines], [2, 2]);
});

test('an empty chunk between CR and LF changes nothing', () => {
  assert.deepEqual(wireOf(contentEncoder('data'), [octets('a\r'), octets(''), octets('\n.b')]), [...octets('a\r\n..b\r\n')]);
});

test('every string up to six octets of CR, LF, dot, letter, NUL and 8-bit', () => {
  for (const input of allStrings([...ENDS, 0, 255], 6)) {
    const { size, eightBit, nul, longestLine } = modelOf('bdat', input).facts;
    const scan = scanContent(input);
    const agrees = scan.size === size && scan.eightBit === eightBit && scan.nul === nul && scan.longestLine === longestLine;
    if (!agrees) assert.deepEqual(scan, { size, eightBit, nul, longestLine });
    // Cuts of the longer ones are below, with fewer letters: NUL and 8-bit octets are letters to the state.
    check(contentEncoder, input, input.length < 5);
  }
});

test('every string up to six octets of CR, LF, dot and letter, under every cut', () => {
  for (const input of allStrings(ENDS, 6)) check(contentEncoder, input, true);
});

test('long content under random cuts', () => {
  const piece = fc.oneof(
    fc.constantFrom('\r', '\n', '\r\n', '.', '\n.', '\r\n.\r\n', '\0', 'é'),
    fc.integer({ min: 0, max: 90 }).map((length) => 'x'.repeat(length)),
    fc.string({ unit: fc.constantFrom('\r', '\n', '.', 'a'), maxLength: 30 }),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }).map((pieces) => octets(pieces.join(''))),
      fc.array(fc.nat(2000), { maxLength: 8 }),
      fc.constantFrom('data' as const, 'bdat' as const),
      (input, at, framing) => {
        const expected = modelOf(framing, input);
        const encoder = contentEncoder(framing);
        assert.deepEqual(wireOf(encoder, cut(input, at)), expected.wire);
        assert.deepEqual(encoder.facts, expected.facts);
      },
    ),
    { numRuns: 1000 },
  );
});

test.run();
