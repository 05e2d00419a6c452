/** The ledger of the pitfalls: each number has a test that bears it, or a line in ARCHITECTURE.md that says why it cannot occur; never both. */
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

/** Rows of libraries.md §3, cases of its §4, and the defects of exim.md §2.5. */
const NUMBERS: Readonly<Record<string, readonly string[]>> = {
  '§3 row': Array.from({ length: 65 }, (_, i) => String(i + 1)),
  '§4 case': Array.from({ length: 42 }, (_, i) => String(i + 1)),
  '§2.5': [...'abcdefgh'],
};

/** In the names of tests: `row(7, …)` and `theCase(7, …)` write the number into them. */
function tested(kind: string): ReadonlySet<string> {
  const call = { '§3 row': /^row\((\d+), /gm, '§4 case': /^theCase\((\d+), /gm, '§2.5': /\bexim\([`']§2\.5 ([a-h]): /g }[kind] as RegExp;
  const name = { '§3 row': /§3 rows? ([\d, and]+)/g, '§4 case': /§4 cases? ([\d, and]+)/g, '§2.5': /$^/g }[kind] as RegExp;
  const numbers = sources.flatMap((text) => [
    ...[...text.matchAll(call)].map((match) => match[1] as string),
    ...[...text.matchAll(name)].flatMap((match) => (match[1] as string).match(/\d+/g) ?? []),
  ]);
  return new Set(numbers);
}

const impossible = (kind: string): readonly string[] => {
  const section =
    readFileSync(path.join(folder, '../ARCHITECTURE.md'), 'utf8').split('## Pitfalls that cannot occur')[1]?.split('\n## ')[0] ?? '';
  const rows = [...section.matchAll(/^\| (§[\d.]+(?: \w+)?) (\w+) \| ([^|]+) \| ([^|]+) \|$/gm)];
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
