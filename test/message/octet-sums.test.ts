/** The sums that tell whether octets that are read twice are the same. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { addOctets, NO_OCTETS } from '../../src/message/octet-sums.ts';
import { octets } from '../../src/smtp/text.ts';

const test = suite('message/octet-sums');
const sumsOf = (text: string) => addOctets(octets(text), NO_OCTETS);

test('the sums are as added up by hand', () => {
  assert.deepEqual(sumsOf(''), [1, 0]);
  assert.deepEqual(sumsOf('\x01\x02\x03'), [7, 2 + 4 + 7]);
  assert.deepEqual(addOctets(octets('\xff'), [-1, -1]), [254, 253], 'modulo 2^32');
});

test('the sums differ for another octet, one more, one less, or another order', () => {
  for (const other of ['abcx', 'abcdd', 'abc', 'abdc', 'abcd\0', '\0abcd']) assert.notDeepEqual(sumsOf(other), sumsOf('abcd'), other);
});

test('the sums are the same however the octets are cut', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (whole, at) => {
      assert.deepEqual(addOctets(whole.subarray(at), addOctets(whole.subarray(0, at), NO_OCTETS)), addOctets(whole, NO_OCTETS));
    }),
  );
});

test.run();
