/**
 * Inputs that nobody wrote, for every reader: made of those of the corpus, and guided by what they reach. FUZZ_SECONDS says for how
 * long in all (default 15, which with all else is half a minute), FUZZ_SEED which are drawn: `npm run fuzz -- NAME 60 SEED` draws those of one reader again. How many there are
 * in that time depends on the machine; the properties do not.
 */
import assert from 'node:assert';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { within } from '../support/within.ts';

const test = suite('fuzz');
const { FUZZ_SECONDS = '15', FUZZ_SEED = '1' } = process.env;
const tool = fileURLToPath(new URL('../fuzz/run.mjs', import.meta.url));
const names = readdirSync(new URL('../fuzz/readers', import.meta.url)).map((file) => file.replace(/[.]ts$/, ''));
const share = Number(FUZZ_SECONDS) / names.length;

/** Runs the tool to its end; all that it said. */
const run = (name: string): Promise<string> =>
  new Promise((resolve) => {
    execFile(process.execPath, [tool, name, String(share), FUZZ_SEED], { maxBuffer: 1 << 26 }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });

for (const name of names)
  test(`no input shows a fault of ${name}`, () =>
    within(share * 1000 + 120_000, async () => {
      const said = await run(name);
      assert.match(said, /^1 passed, 0 failed$/m, said);
      assert.match(said, new RegExp(`^${name}: \\d+ runs`, 'm'));
      console.log(`\n  ${said.split('\n', 1)[0]}`);
    }));

test.run();
