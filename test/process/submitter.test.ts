/** How a message is named: in the log of its host, and in the world. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { nameMessage } from '../../src/process/submitter.ts';

const test = suite('submitter');

test('two messages with one clock and one process share no Message-ID, because containers may be alike in both', () => {
  const now = new Date(1_800_000_000_500);
  const made = Array.from({ length: 1000 }, () => nameMessage(now));
  const ids = new Set(made.map(({ id }) => id));
  assert.equal(ids.size, 1);
  const [id = ''] = ids;
  for (const { unique } of made) assert.match(unique, new RegExp(`^${id}[.][0-9A-Za-z]{8}$`));
  assert.equal(new Set(made.map(({ unique }) => unique)).size, made.length);
});

test.run();
