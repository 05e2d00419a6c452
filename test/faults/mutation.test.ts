/**
 * The tests of the pure rooms notice faults: a sample of mutants, the same one as long as the sources stay as they are, most of which
 * must be killed. A single one that lives is no failure, because nobody has yet looked whether it changes anything;
 * `npm run mutation` prints those that live. MUTANTS says how many of each room (default 4), MUTATION_SEED which.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import { within } from '../support/within.ts';

const test = suite('mutation');
const ROOMS = ['smtp', 'router', 'message'];
/** The share of a small sample that must be killed, so that chance alone does not fail it. */
const ENOUGH = 0.75;

test('the tests of the pure rooms kill most mutants', () =>
  within(480_000, async () => {
    const { MUTANTS = '4', MUTATION_SEED = '1' } = process.env;
    const tool = fileURLToPath(new URL('../mutation/run.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [tool, '--seed', MUTATION_SEED, '--count', MUTANTS, ...ROOMS]);
    const sums = [...stdout.matchAll(/^(\w+): (\d+) killed, (\d+) alive after \d+ s$/gm)].map(([, room, killed, alive]) => ({
      room,
      killed: Number(killed),
      tried: Number(killed) + Number(alive),
    }));
    assert.deepEqual(
      sums.map(({ room }) => room),
      ROOMS,
      stdout,
    );
    const [tried, killed] = [sums.reduce((sum, each) => sum + each.tried, 0), sums.reduce((sum, each) => sum + each.killed, 0)];
    assert.equal(tried, ROOMS.length * Number(MUTANTS));
    assert.ok(killed >= ENOUGH * tried, `${killed} of ${tried} mutants were killed:\n${stdout}`);
  }));

test.run();
