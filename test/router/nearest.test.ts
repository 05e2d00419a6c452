import assert from 'node:assert';
import { suite } from 'uvu';
import { distance, nearest } from '../../src/router/nearest.ts';

const test = suite('router/nearest');

test('distance counts edits, and swapped neighbours as one', () => {
  for (const [a, b, expected] of [
    ['', '', 0],
    ['abc', '', 3],
    ['', 'abc', 3],
    ['smarthost', 'smarthosts', 1],
    ['hostnmae', 'hostname', 1],
    ['kitten', 'sitting', 3],
    ['from', 'form', 1],
    ['smarthosts', 'smarthost', 1],
    ['ab', 'ba', 1],
    ['abc', 'bac', 1],
  ] as const)
    assert.equal(distance(a, b), expected, `${a} ${b}`);
});

test('the nearest name has the fewest edits, and may be meant if they are few', () => {
  assert.deepEqual(nearest('Submision', ['smtp', 'submission']), { name: 'submission', near: true });
  assert.deepEqual(nearest('zzzzzzzz', ['smtp', 'lmtp']), { name: 'smtp', near: false });
  for (const [written, name, near] of [
    ['smxx', 'smtp', true],
    ['sxxx', 'smtp', false],
    ['xxxxhosts', 'smarthost', false],
    ['xxxrthost', 'smarthost', true],
  ] as const)
    assert.deepEqual(nearest(written, [name]), { name, near }, written);
});

test.run();
