import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { countDurations } from '../../src/nospool/bench/durations.ts';

const test = suite('durations');

/** Nearest rank, from all values in order. */
const exact = (sorted: readonly number[], part: number): number =>
  sorted[Math.max(1, Math.ceil(part * sorted.length - 1e-6)) - 1] as number;

const PARTS = [0, 0.001, 0.07, 0.25, 0.5, 0.9, 0.99, 0.999, 1];

// values in milliseconds, why
const SERIES: readonly (readonly [readonly number[], string])[] = [
  [[5], 'one value'],
  [[1, 2], 'two values'],
  [Array.from({ length: 100 }, (_, i) => i + 1), '1 to 100'],
  [Array.from({ length: 1000 }, (_, i) => 0.002 * 1.02 ** i), 'a thousand over eight decades'],
  [[...Array<number>(999).fill(0.4), 3000], 'all alike except one'],
  [[0.001, 0.0012, 0.002, 1, 9_999_999], 'from a microsecond to three hours'],
];
for (const [values, why] of SERIES)
  test(`quantiles are right within a thousandth: ${why}`, () => {
    const counted = countDurations();
    // In no order.
    for (const value of values.toReversed()) counted.add(value);
    const sorted = [...values].sort((a, b) => a - b);
    const told = PARTS.map((part) => counted.quantile(part) as number);
    for (const [i, part] of PARTS.entries()) {
      const right = exact(sorted, part);
      assert.ok(Math.abs((told[i] as number) - right) <= 0.001 * right, `${part}: ${told[i]} in place of ${right}`);
    }
    assert.deepEqual(
      told,
      told.toSorted((a, b) => a - b),
      'a greater part never has a lesser quantile',
    );
    assert.equal(counted.count, values.length);
    assert.equal(counted.greatest, told.at(-1));
  });

test('without a value nothing is known', () => {
  const counted = countDurations();
  assert.deepEqual([counted.count, counted.greatest, counted.quantile(0), counted.quantile(0.5)], [0, null, null, null]);
});

test('a duration that no clock can tell from nothing counts', () => {
  const counted = countDurations();
  for (const value of [0, 0, 1e-9]) counted.add(value);
  assert.deepEqual([counted.count, counted.quantile(0.5)], [3, 1e-6]);
});

test.run();
