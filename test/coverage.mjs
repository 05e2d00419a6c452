// Compares what the tests cover, as c8 has summed it up in coverage/, with the least that each room must have. Numbers only rise.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Percent of lines and of branches, by room. */
const LEAST = {
  smtp: [100, 100],
  router: [100, 100],
  transport: [98, 94],
  submit: [98, 94],
  message: [98, 94],
  config: [98, 94],
};

const summary = JSON.parse(readFileSync(path.join(root, 'coverage/coverage-summary.json'), 'utf8'));
/** A file of types alone has no line that could run. */
const hasCode = (file) => /^(?:export )?(?:async )?(?:const|let|function|class)\b/m.test(readFileSync(file, 'utf8'));
let missed = 0;
for (const [room, least] of Object.entries(LEAST)) {
  const files = Object.entries(summary).filter(([file]) => path.relative(path.join(root, 'src', room), file).match(/^\w/) && hasCode(file));
  const percents = ['lines', 'branches'].map((kind) => {
    const sum = (what) => files.reduce((total, [, facts]) => total + facts[kind][what], 0);
    return (100 * sum('covered')) / sum('total');
  });
  const isMet = percents.every((percent, at) => percent >= least[at]);
  console.log(
    `${isMet ? '  ' : '! '}src/${room.padEnd(10)} lines ${percents[0].toFixed(2)} % (at least ${least[0]}), branches ${percents[1].toFixed(2)} % (at least ${least[1]})`,
  );
  if (isMet) continue;
  missed += 1;
  for (const [file, { lines, branches }] of files)
    if (lines.pct < least[0] || branches.pct < least[1])
      console.log(
        `    ${path.relative(root, file)}: lines ${lines.pct} %, branches ${branches.pct} %; npx c8 report --reporter text shows which`,
      );
}
process.exitCode = missed > 0 ? 1 : 0;
