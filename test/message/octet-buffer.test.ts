/** What is added is there, in order, whatever room there was; what is cleared is not. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { makeOctetBuffer } from '../../src/message/octet-buffer.ts';

const test = suite('message/octet-buffer');

test('it grows by what is added, at least to twice its size', () => {
  const buffer = makeOctetBuffer(4);
  const all = (): string => buffer.octets.subarray(0, buffer.length).toString('latin1');
  assert.equal(buffer.octets.length, 4);
  buffer.add(Buffer.from('abcd'));
  assert.equal(buffer.octets.length, 4, 'what fits needs no more room');
  buffer.addText('\u00e9');
  assert.deepEqual([all(), buffer.octets.length], ['abcd\u00e9', 8]);
  buffer.add(Buffer.from('fghijklmnopqrstuvwxyz'));
  assert.deepEqual([all(), buffer.octets.length], ['abcd\u00e9fghijklmnopqrstuvwxyz', 26]);
  buffer.clear();
  buffer.addText('A');
  assert.deepEqual([all(), buffer.octets.length], ['A', 26]);
});

test('who writes by himself has the room that was reserved', () => {
  const buffer = makeOctetBuffer(2);
  buffer.addText('a');
  buffer.reserve(6);
  assert.ok(buffer.octets.length >= 7);
  assert.equal(buffer.octets.write('bcdefg', buffer.length, 'latin1'), 6);
});

test('without a size 4096 octets fit', () => assert.equal(makeOctetBuffer().octets.length, 4096));

test.run();
