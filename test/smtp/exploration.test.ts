/**
 * Explores the machine whole. Because `advance` is pure, the explorer can apply every event that a driver may report in every
 * state that a small session can come to, beside a witness who knows only the commands and replies. The list in
 * exploration/properties.ts is asked of each step; exploration/world.ts has the events.
 *
 * EXPLORATION=full: up to three recipients, two blocks before the last, another mechanism, and no CHUNKING though it is offered.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { advance, begin } from '../../src/smtp/client/session.ts';
import { explore } from './exploration/explore.ts';
import { settings } from './exploration/world.ts';

const test = suite('exploration');

const explored =
  process.env.EXPLORATION === 'full'
    ? settings({
        recipients: [1, 2, 3],
        mechanisms: ['none', 'X-PROOF', 'PLAIN'],
        framings: ['auto', 'data'],
        blocks: 2,
        anyUnder: ['off', 'required', 'opportunistic', 'implicit'],
      })
    : [
        ...settings({ recipients: [1, 2], mechanisms: ['none'], framings: ['auto'], blocks: 1, anyUnder: ['off'] }),
        ...settings({ recipients: [1], mechanisms: ['X-PROOF'], framings: ['auto'], blocks: 1, anyUnder: [] }),
      ];

const sum = { states: 0, steps: 0 };
for (const setting of explored)
  test(setting.name, () => {
    const { states, steps, breach } = explore(setting, { begin, advance });
    assert.ok(breach === null, breach ?? '');
    sum.states += states;
    sum.steps += steps;
  });

test('there are as many states and events as there should be', () => {
  console.log(`\n  exploration: ${sum.states} states of ${explored.length} settings, ${sum.steps} events applied`);
  assert.ok(sum.states > 70_000 && sum.steps > 1_080_000, 'the world has become smaller');
});

test.run();
