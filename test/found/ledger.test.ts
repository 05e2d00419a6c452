/** The ledger of faults found by use: each has a test whose title begins with its number, and no title has a number that is not in it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';

const ledger = suite('faults found by use');
const folder = fileURLToPath(new URL('..', import.meta.url));
const numbers = [...readFileSync(path.join(folder, 'found/faults.md'), 'utf8').matchAll(/^\| ([A-Z]\d+) \|/gm)].map(
  (row) => row[1] as string,
);
/** Numbers at the beginning of titles: `'W1: …'`, `'C4, O3: …'`. */
const titled = new Set(
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .flatMap((name) => [...readFileSync(path.join(folder, name), 'utf8').matchAll(/\(\s*['`]((?:[WMSOCVTF]\d{1,2}(?:, )?)+): /g)])
    .flatMap((match) => (match[1] as string).split(', ')),
);

ledger('every fault has a test that bears its number', () => {
  assert.deepEqual(
    numbers.filter((number) => !titled.has(number)),
    [],
  );
});

ledger('every number in a title is explained', () => {
  assert.deepEqual([...titled].filter((number) => !numbers.includes(number)).sort(), []);
});

ledger.run();
