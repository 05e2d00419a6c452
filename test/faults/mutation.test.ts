/**
 * The tests of these rooms notice faults: a sample of mutants, the same one as long as their lines stay as they are, most of which
 * must be killed. A single one that lives is no failure, because nobody has yet looked whether it changes anything;
 * `npm run mutation` prints those that live. MUTANTS says how many of each room (default 3), MUTATION_SEED which.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import { within } from '../support/within.ts';

const test = suite('mutation');
const ROOMS = ['smtp', 'router', 'message', 'config', 'submit', 'transport'];
/** Those whose tests run in a moment: what a sample of the others costs is a run of their tests before it. */
const SAMPLED = ['smtp', 'router', 'message'];
/** The share of a small sample that must be killed, so that chance alone does not fail it. */
const ENOUGH = 0.75;

test('the tests of these rooms kill most of their mutants', () =>
  within(480_000, async () => {
    const { MUTANTS = '3', MUTATION_SEED = '1' } = process.env;
    const tool = fileURLToPath(new URL('../mutation/run.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [
      tool,
      '--blind',
      '--seed',
      MUTATION_SEED,
      '--count',
      MUTANTS,
      ...SAMPLED,
    ]);
    const sums = [...stdout.matchAll(/^(\w+): (\d+) killed, (\d+) alive after \d+ s$/gm)].map(([, room, killed, alive]) => ({
      room,
      killed: Number(killed),
      tried: Number(killed) + Number(alive),
    }));
    assert.deepEqual(
      sums.map(({ room }) => room),
      SAMPLED,
      stdout,
    );
    const [tried, killed] = [sums.reduce((sum, each) => sum + each.tried, 0), sums.reduce((sum, each) => sum + each.killed, 0)];
    // A few are no programs at all.
    assert.ok(tried >= 0.8 * SAMPLED.length * Number(MUTANTS), stdout);
    assert.ok(killed >= ENOUGH * tried, `${killed} of ${tried} mutants were killed:\n${stdout}`);
  }));

test('ARCHITECTURE.md has the figures of these rooms, as `npm run mutation -- --write` writes them', () => {
  const page = readFileSync(new URL('../../ARCHITECTURE.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `src\/(\w+)` \| (?:all )?(\d+)(?: of \d+)? \| (\d+) \| (\d+) \| \d+ \| ([\d.]+)/gm)];
  assert.deepEqual(
    rows.map(([, room]) => room),
    ROOMS,
  );
  for (const [row, , tried, killed, alive, share] of rows) {
    assert.equal(Number(killed) + Number(alive), Number(tried), row);
    assert.equal(((100 * Number(killed)) / Number(tried)).toFixed(1), share, row);
  }
});

test.run();
