/** A fact becomes known once, for whoever asked before and whoever asks later. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { Fact } from '../../src/transport/fact.ts';

const test = suite('fact');

test('the first word counts, for those who wait and those who come later', async () => {
  const fact = new Fact<string>();
  const before = [fact.wait(), fact.wait()];
  fact.settle('first');
  const between = fact.wait();
  fact.settle('second');
  assert.deepEqual(await Promise.all([...before, between, fact.wait()]), ['first', 'first', 'first', 'first']);
});

test('what nobody waited for is known, too, also where it is nothing', async () => {
  const fact = new Fact<null>();
  fact.settle(null);
  assert.equal(await fact.wait(), null);
});

test('nobody hears of what has not happened', async () => {
  const fact = new Fact<string>();
  let isHeard = false;
  void fact.wait().then(() => {
    isHeard = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isHeard, false);
});

test.run();
