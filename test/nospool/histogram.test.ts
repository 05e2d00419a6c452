import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { histogram } from '../../src/nospool/bench/histogram.ts';

const test = suite('histogram');

/** Nearest rank, from all values in order. */
const exact = (sorted: readonly number[], part: number): number =>
  sorted[Math.max(1, Math.ceil(part * sorted.length - 1e-6)) - 1] as number;

const PARTS = [0, 0.001, 0.07, 0.25, 0.5, 0.9, 0.99, 0.999, 1];

// values, why
const SERIES: readonly (readonly [readonly number[], string])[] = [
  [[5], 'one value'],
  [[1, 2], 'two values'],
  [Array.from({ length: 100 }, (_, i) => i + 1), '1 to 100'],
  [Array.from({ length: 1000 }, (_, i) => 0.002 * 1.02 ** i), 'a thousand over eight decades'],
  [[...Array<number>(999).fill(0.4), 3000], 'all alike but one'],
  [[0.001, 0.0011, 0.002, 1, 9_999_999], 'the ends of the range'],
];
for (const [values, why] of SERIES)
  test(`quantiles are right within half of one percent: ${why}`, () => {
    const counted = histogram();
    // In no order.
    for (const value of values.toReversed()) counted.add(value);
    const sorted = [...values].sort((a, b) => a - b);
    for (const part of PARTS) {
      const right = exact(sorted, part);
      const told = counted.quantile(part) as number;
      assert.ok(Math.abs(told - right) <= 0.005 * right, `${part}: ${told} in place of ${right}`);
    }
    assert.deepEqual([counted.count, counted.least, counted.greatest], [values.length, sorted[0], sorted.at(-1)]);
  });

test('without a value nothing is known', () => {
  const counted = histogram();
  assert.deepEqual([counted.count, counted.least, counted.greatest, counted.quantile(0.5)], [0, null, null, null]);
});

test('values beyond either end are counted, and told as what they were or as the bound', () => {
  const counted = histogram();
  for (const value of [0, 0, 0.0001, 1e9, 2e9]) counted.add(value);
  assert.deepEqual([counted.count, counted.quantile(0), counted.quantile(1)], [5, 0, 2e9]);
  assert.ok((counted.quantile(0.4) as number) <= 0.001);
  assert.ok((counted.quantile(0.8) as number) >= 9_900_000);
});

test.run();
