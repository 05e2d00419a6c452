/** Reads ahead into one memory, and looks at the order, at what is in use, and at the room when something is released. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { Ring } from '../../src/process/stdin/ring.ts';

const test = suite('process/ring');
const MOST = 64 * 1024;

/** Fills the room with the next octets of 0, 1, 2 … 250, 0 …, at most `count` of them. */
function reader(ring: Ring) {
  let next = 0;
  return (count: number): boolean => {
    const room = ring.room.subarray(0, count);
    for (let i = 0; i < room.length; i++) room[i] = next++ % 251;
    return ring.write(room.length);
  };
}

test('octets come out in the order in which they were read, in pieces as large as can be', () => {
  const ring = new Ring(new Uint8Array(8 * MOST), MOST);
  const read = reader(ring);
  assert.equal(ring.take(), null);
  assert.ok(read(MOST));
  assert.equal(ring.take()?.length, MOST);
  for (let i = 0; i < 3; i++) assert.ok(read(MOST));
  assert.equal(ring.waiting, 3 * MOST);
  ring.release();
  assert.equal(ring.take()?.length, 3 * MOST);
  assert.equal(ring.waiting, 0);
  assert.equal(ring.take(), null, 'and what is in use stays so');
});

test('while nothing is in use, half the memory is enough to have read ahead', () => {
  const ring = new Ring(new Uint8Array(2 * MOST), MOST);
  assert.equal(reader(ring)(MOST), false);
  assert.equal(ring.take()?.length, MOST);
});

test('in any order of reading, taking and releasing every octet comes once, none is overwritten in use, and there is always room', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(2, 3, 8, 16),
      fc.array(fc.oneof(fc.integer({ min: 1, max: MOST }), fc.constant(MOST), fc.constant(0)), { maxLength: 120 }),
      (size, steps) => {
        const ring = new Ring(new Uint8Array(size * MOST), MOST);
        const read = reader(ring);
        let mayRead = true;
        let taken = 0;
        let inUse: { readonly octets: Uint8Array; readonly copy: Uint8Array } | null = null;
        const intact = (): void => {
          if (inUse) assert.ok(Buffer.compare(inUse.octets, inUse.copy) === 0, 'overwritten while in use');
        };
        for (const step of steps) {
          // A step is so many octets that come, or somebody who takes what is there.
          if (step > 0 && mayRead) {
            assert.ok(ring.room.length > 0 && ring.room.length <= MOST, `room for ${ring.room.length}`);
            mayRead = read(step);
          } else {
            intact();
            ring.release();
            const octets = ring.take();
            inUse = octets === null ? null : { octets, copy: octets.slice() };
            for (const octet of octets ?? []) assert.equal(octet, taken++ % 251);
            mayRead = true;
          }
          intact();
        }
      },
    ),
    { numRuns: 300 },
  );
});

test.run();
