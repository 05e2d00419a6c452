/** The worlds of test/faults, one test for each: what takes the sources from memory cannot bundle them from the disk. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { runWorld } from '../faults/support/worlds/world.ts';

const test = suite('worlds for mutation');

for (let seed = 1; seed <= 400; seed++)
  test(`world ${seed}`, async () => {
    assert.equal(await runWorld(seed, { accepted: 0, failed: 0, uncertain: 0, connections: 0 }), null);
  });

test.run();
