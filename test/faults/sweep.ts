/**
 * Every octet of every kind of session, in both directions, with every fault: `npm run octets:full`. Prints a line for each kind of session,
 * with what came of its faults, and the sum. OCTETS is a regular expression for the kinds to try, such as '^clear'.
 */
import { loadBundled } from './support/bundle.ts';
import type * as Sweep from './support/sweep.ts';

const { CELLS, printCell, sweepCell } = await loadBundled<typeof Sweep>('test/faults/support/sweep.ts', []);
const wanted = new RegExp(process.env.OCTETS ?? '');
const begun = performance.now();
let [points, breaches] = [0, 0];
// What takes longest comes last.
const cells = CELLS.filter((cell) => wanted.test(printCell(cell))).sort((a, b) => Number(a.isSecured) - Number(b.isSecured));
for (const cell of cells) {
  const swept = await sweepCell(cell, () => true);
  points += swept.points;
  breaches += swept.breaches.length;
  const counts = [...swept.counts].sort().map(([what, count]) => `${what} ${count}`);
  console.log(`${printCell(cell)}: ${swept.points} faults, ${swept.breaches.length} breaches; ${counts.join(', ')}`);
  for (const breach of swept.breaches.slice(0, 20)) console.log(`  ${breach}`);
}
const minutes = (performance.now() - begun) / 60_000;
console.log(`${cells.length} kinds of session, ${points} faults, ${breaches} breaches, ${minutes.toFixed(1)} minutes`);
process.exitCode = breaches > 0 ? 1 : 0;
