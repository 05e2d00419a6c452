/** The WebAssembly kernel against the same byte-loop model as the encoder it stands in for, and against its own source. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import { assembled, assembler, GENERATED } from '../../bench/support/assemble.ts';
import { addOctets, NO_OCTETS } from '../../src/message/octet-sums.ts';
import { contentEncoder, type Framing } from '../../src/smtp/client/content.ts';
import { octets } from '../../src/smtp/text.ts';
import { type Kernel, loadKernel } from '../../src/transport/kernel/kernel.ts';
import { allStrings, check, cut, modelOf, wireOf } from '../smtp/client/content-model.ts';

const test = suite('transport/kernel');
const ENDS = [13, 10, 46, 97];
const loaded = loadKernel();
assert.ok(loaded, 'every runtime that runs the tests has WebAssembly with SIMD');
const kernel: Kernel = loaded;

test('an empty chunk between CR and LF changes nothing', () => {
  assert.deepEqual(wireOf(kernel('data'), [octets('a\r'), octets(''), octets('\n.b')]), [...octets('a\r\n..b\r\n')]);
});

/** Words as a big-endian processor (s390x) reads them, while WebAssembly's memory is little-endian there, too. */
function bigEndian(octetsAWord: 2 | 4, words: new (...args: never[]) => object): typeof words {
  const swap = (value: number): number => {
    const octetsOf = Buffer.alloc(4);
    octetsOf.writeInt32LE(value);
    return octetsAWord === 4 ? octetsOf.readInt32BE() : octetsOf.readUInt16BE();
  };
  return new Proxy(words, {
    construct: (target, args) =>
      new Proxy(new target(...(args as never[])), {
        get(view, key) {
          const value = Reflect.get(view, key, view);
          if (typeof value === 'function') return value.bind(view);
          return typeof key === 'string' && /^\d+$/.test(key) ? swap(value as number) : value;
        },
      }),
  });
}

test('a big-endian processor', () => {
  const everywhere = globalThis as unknown as Record<string, new (...args: never[]) => object>;
  const [int16, uint16, int32, uint32] = [Int16Array, Uint16Array, Int32Array, Uint32Array];
  Object.assign(everywhere, {
    Int16Array: bigEndian(2, int16),
    Uint16Array: bigEndian(2, uint16),
    Int32Array: bigEndian(4, int32),
    Uint32Array: bigEndian(4, uint32),
  });
  try {
    const there = loadKernel();
    assert.ok(there);
    for (const input of allStrings([...ENDS, 0, 255], 4)) check(there, input, true);
    assert.deepEqual(there.addOctets(octets('abc'), NO_OCTETS), addOctets(octets('abc'), NO_OCTETS));
  } finally {
    Object.assign(everywhere, { Int16Array: int16, Uint16Array: uint16, Int32Array: int32, Uint32Array: uint32 });
  }
});

test('every string up to six octets of CR, LF, dot, letter, NUL and 8-bit', () => {
  for (const input of allStrings([...ENDS, 0, 255], 6)) check(kernel, input, input.length < 5);
});

test('every string up to six octets of CR, LF, dot and letter, under every cut', () => {
  for (const input of allStrings(ENDS, 6)) check(kernel, input, true);
});

test('binary content stays as it is', () => {
  const input = Uint8Array.of(46, 10, 13, 255);
  const encoder = kernel('binary');
  assert.deepEqual([encoder.push(input), encoder.end().length], [input, 0]);
});

test('each octet of interest at each place of three vectors, from each alignment', () => {
  for (const octet of [...ENDS, 0, 128, 255]) {
    for (let start = 0; start < 16; start++) {
      for (let at = 0; at < 48; at++) {
        const room = kernel.inputBuffer.subarray(start, start + 48).fill(98);
        room[at] = octet;
        const input = Uint8Array.from(room);
        for (const framing of ['data', 'bdat'] as const) {
          const expected = modelOf(framing, input);
          const encoder = kernel(framing);
          assert.deepEqual(wireOf(encoder, [room]), expected.wire);
          assert.deepEqual(encoder.facts, expected.facts);
        }
      }
    }
  }
});

test('every length up to three vectors, with what lies behind the chunk being line ends, dots and 8-bit octets', () => {
  for (const behind of [10, 13, 46, 0, 255]) {
    for (let length = 1; length < 50; length++) {
      for (const input of [octets('b'.repeat(length)), octets('.\n'.repeat(length)).subarray(0, length), octets('\r'.repeat(length))]) {
        kernel.inputBuffer.fill(behind, 0, 100);
        kernel.inputBuffer.set(input, 7);
        const expected = modelOf('data', input);
        const encoder = kernel('data');
        assert.deepEqual(wireOf(encoder, [kernel.inputBuffer.subarray(7, 7 + length)]), expected.wire);
        assert.deepEqual(encoder.facts, expected.facts);
        assert.ok(
          kernel.inputBuffer.subarray(7 + length, 100).every((octet) => octet === behind),
          'what lies behind is left as it was',
        );
      }
    }
  }
});

test('long content under random cuts, read in place and copied in', () => {
  const piece = fc.oneof(
    fc.constantFrom('\r', '\n', '\r\n', '.', '\n.', '\r\n.\r\n', '\0', 'é'),
    fc.integer({ min: 0, max: 90 }).map((length) => 'x'.repeat(length)),
    fc.string({ unit: fc.constantFrom('\r', '\n', '.', 'a'), maxLength: 30 }),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }).map((pieces) => octets(pieces.join(''))),
      fc.array(fc.nat(2000), { maxLength: 8 }),
      fc.constantFrom<Framing>('data', 'bdat'),
      fc.nat(40),
      (input, at, framing, start) => {
        const expected = modelOf(framing, input);
        const copied = kernel(framing);
        assert.deepEqual(wireOf(copied, cut(input, at)), expected.wire);
        assert.deepEqual(copied.facts, expected.facts);
        const room = kernel.inputBuffer.subarray(start, start + input.length);
        room.set(input);
        const inPlace = kernel(framing);
        assert.deepEqual(wireOf(inPlace, cut(room, at)), expected.wire);
        assert.deepEqual(inPlace.facts, expected.facts);
      },
    ),
    { numRuns: 1000 },
  );
});

test('chunks that fill the input buffer, and larger ones, double at most', () => {
  const room = kernel.inputBuffer.length;
  for (const unit of ['\n', '.\r', '.\n', 'x', '.x\r\n']) {
    for (const length of [room - 1, room, room + 1, 2 * room + 5]) {
      const input = octets(unit.repeat(length)).subarray(0, length);
      const plain = contentEncoder('data');
      const encoder = kernel('data');
      const wire = Buffer.concat([plain.push(input), plain.end()]);
      assert.ok(wire.equals(Buffer.concat([encoder.push(input), encoder.end()])), `${JSON.stringify(unit)} in ${length} octets`);
      assert.deepEqual(encoder.facts, plain.facts);
    }
  }
});

test('sums are those of src/message/octet-sums.ts, at every length and alignment, in place and copied in', () => {
  const octetsOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 89 + (i >> 3)) & 255);
  for (let length = 0; length < 70; length++) {
    const octets = octetsOf(length);
    for (const before of [NO_OCTETS, [0x7fffffff, -5] as const]) {
      const expected = addOctets(octets, before);
      assert.deepEqual(kernel.addOctets(octets, before), expected);
      for (let start = 0; start < 16; start++) {
        const room = kernel.inputBuffer.fill(255, 0, 100).subarray(start, start + length);
        room.set(octets);
        assert.deepEqual(kernel.addOctets(room, before), expected, `${length} octets at ${start}`);
      }
    }
  }
  const long = octetsOf(2 * kernel.inputBuffer.length + 5);
  assert.deepEqual(kernel.addOctets(long, NO_OCTETS), addOctets(long, NO_OCTETS));
  assert.deepEqual(kernel.addOctets(new Uint8Array(1 << 20).fill(255), NO_OCTETS), addOctets(new Uint8Array(1 << 20).fill(255), NO_OCTETS));
});

test('a chunk from elsewhere leaves alone what was read into the input buffer and is still to come', () => {
  const room = kernel.inputBuffer;
  room.fill(97);
  const encoder = kernel('data');
  encoder.push(octets('elsewhere\n'.repeat(1000)));
  kernel.addOctets(octets('elsewhere'), NO_OCTETS);
  assert.ok(room.every((octet) => octet === 97));
});

test('it reads half a mebibyte at a time, and what comes behind an end is a line of its own', () => {
  assert.equal(kernel.inputBuffer.length, 1 << 19);
  const ends = (encoder: ReturnType<typeof kernel>): unknown[] => {
    const pushed = (text: string): string => Buffer.from(encoder.push(octets(text))).toString();
    const ended = (): string => Buffer.from(encoder.end()).toString();
    return [pushed('a'), ended(), ended(), pushed('.b\n'), ended(), encoder.facts];
  };
  const expected = ends(contentEncoder('data'));
  assert.deepEqual(expected.slice(0, 5), ['a', '\r\n', '', '..b\r\n', '']);
  assert.deepEqual(ends(kernel('data')), expected);
});

test('a line longer than a chunk is counted whole', () => {
  const encoder = kernel('data');
  for (let i = 0; i < 5; i++) encoder.push(kernel.inputBuffer.fill(97));
  encoder.push(octets('\nab'));
  encoder.end();
  assert.equal(encoder.facts.longestLine, 5 * kernel.inputBuffer.length);
  assert.equal(encoder.facts.lines, 2);
});

test('there is no kernel without WebAssembly, without SIMD, and without address space; none of them is an error', () => {
  const whole = Object.getOwnPropertyDescriptor(globalThis, 'WebAssembly') as PropertyDescriptor;
  const { Module, Memory, Instance } = whole.value;
  const failing = (error: Error) =>
    class {
      constructor() {
        throw error;
      }
    };
  const lacking: [string, unknown][] = [
    ['--jitless', undefined],
    ['no SIMD', { Memory, Instance, Module: failing(new TypeError('Wasm SIMD unsupported')) }],
    ['ulimit -v', { Module, Instance, Memory: failing(new RangeError('could not allocate memory')) }],
  ];
  try {
    for (const [why, value] of lacking) {
      Object.defineProperty(globalThis, 'WebAssembly', { ...whole, value });
      assert.equal(loadKernel(), null, why);
    }
  } finally {
    Object.defineProperty(globalThis, 'WebAssembly', whole);
  }
  assert.ok(loadKernel(), 'put back');
});

test('kernel.wasm.ts is what kernel.wat assembles to', async () => {
  const wabt = await assembler();
  if (wabt === null) console.log('  (wabt is not installed: the committed module is not compared with its source)');
  else assert.equal(readFileSync(GENERATED, 'utf8'), assembled(wabt));
});

test.run();
