/**
 * Every input of the corpus, and those that each reader begins with, read once more: each property that they once taught or broke
 * holds. `npm run fuzz` looks for new ones, and `test/faults/fuzz.test.ts` does so for a minute.
 */
import assert from 'node:assert';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { printInput, readCorpus } from './corpus.ts';
import type { Reader } from './reader.ts';

const test = suite('fuzz/corpus');
const root = fileURLToPath(new URL('../..', import.meta.url));
const names = readdirSync(new URL('readers', import.meta.url)).map((file) => file.replace(/[.]ts$/, ''));

for (const name of names)
  test(`${name} reads what has been kept for it`, async () => {
    const { reader } = (await import(`./readers/${name}.ts`)) as { readonly reader: Reader };
    assert.equal(reader.name, name, 'its corpus has another name');
    const inputs = readCorpus(root, name);
    assert.ok(inputs.length > 0, `there is no corpus: npm run fuzz -- --keep ${name} 60`);
    for (const input of [...reader.seeds, ...inputs])
      try {
        await reader.run(input);
      } catch (error) {
        console.log(`\n${name}: ${printInput(input)}`);
        throw error;
      }
  });

test.run();
