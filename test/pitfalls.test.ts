/**
 * The ledger of what went wrong in other programs. The pitfalls of clients are numbered in `pitfalls/clients.test.ts`, hostile
 * cases in `pitfalls/hostile.test.ts`, Exim's defects have letters in `pitfalls/exim.test.ts`; each title there says what the number
 * stands for, and tests elsewhere bear it, too. Every number has a test, or a line in ARCHITECTURE.md that says why it cannot
 * occur; never both.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';

const ledger = suite('pitfalls');
const folder = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.test.ts') && name !== 'pitfalls.test.ts',
);
const sources = files.map((name) => readFileSync(path.join(folder, name), 'utf8'));

const NUMBERS: Readonly<Record<string, readonly string[]>> = {
  pitfall: Array.from({ length: 65 }, (_, i) => String(i + 1)),
  'hostile case': Array.from({ length: 42 }, (_, i) => String(i + 1)),
  defect: [...'abcdefgh'],
};

/** In the titles of tests: `pitfall(7, …)` and `theCase(7, …)` write the number into them. */
function tested(kind: string): ReadonlySet<string> {
  const call = { pitfall: /^pitfall\((\d+), /gm, 'hostile case': /^theCase\((\d+), /gm, defect: /\bexim\([`']defect ([a-h]): /g }[
    kind
  ] as RegExp;
  const name = { pitfall: /\bpitfalls? (\d[\d, and]*)/g, 'hostile case': /\bhostile cases? (\d[\d, and]*)/g, defect: /$^/g }[
    kind
  ] as RegExp;
  const numbers = sources.flatMap((text) => [
    ...[...text.matchAll(call)].map((match) => match[1] as string),
    ...[...text.matchAll(name)].flatMap((match) => (match[1] as string).match(/\d+/g) ?? []),
  ]);
  return new Set(numbers);
}

const impossible = (kind: string): readonly string[] => {
  const section =
    readFileSync(path.join(folder, '../ARCHITECTURE.md'), 'utf8').split('## Pitfalls that cannot occur')[1]?.split('\n## ')[0] ?? '';
  const rows = [...section.matchAll(/^\| (pitfall|hostile case|defect) (\w+) \| ([^|]+) \| ([^|]+) \|$/gm)];
  for (const [line, , , what, why] of rows) assert.ok((what as string).length > 10 && (why as string).length > 20, line);
  return rows.filter((row) => row[1] === kind).map((row) => row[2] as string);
};

for (const [kind, numbers] of Object.entries(NUMBERS)) {
  ledger(`${kind}: every number has a test or cannot occur, and none is in both`, () => {
    const [shown, excused] = [tested(kind), impossible(kind)];
    assert.deepEqual(
      numbers.filter((number) => !shown.has(number) && !excused.includes(number)),
      [],
      'neither tested nor excused',
    );
    assert.deepEqual(
      excused.filter((number) => shown.has(number)),
      [],
      'tested and excused',
    );
    for (const number of [...shown, ...excused]) assert.ok(numbers.includes(number), `${kind} ${number} does not exist`);
  });
}

ledger.run();
