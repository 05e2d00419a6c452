/**
 * `npm run bench [-- NAME… --short --runs N --against FILE --list]`: runs the benches, prints their tables, and writes
 * RESULTS.md with its charts. The short form, for continuous integration, only prints. The status is 1 if a run of nospool
 * fails, but not if a goal does not hold.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { encoder } from './encoder.ts';
import { latency } from './latency.ts';
import { library } from './library.ts';
import { readers } from './readers.ts';
import { recipients } from './recipients.ts';
import { routing } from './routing.ts';
import { stages } from './stages.ts';
import { startup } from './startup.ts';
import type { Bench } from './support/bench.ts';
import { asText, difference, type Findings, machine, ownVersion, publish, type Result } from './support/report.ts';
import { fetchRuntimes } from './support/runtimes.ts';
import { throughput } from './throughput.ts';

const BENCHES: readonly Bench[] = [startup, stages, throughput, latency, library, recipients, routing, encoder, readers];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    runs: { type: 'string' },
    against: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});
const unknown = positionals.find((name) => !BENCHES.some((bench) => bench.name === name));
const runs = Number(values.runs ?? (values.short ? 1 : 11));
if (unknown !== undefined || !Number.isInteger(runs) || runs < 1) {
  process.stderr.write(
    `${unknown === undefined ? '--runs needs a number' : `there is no bench "${unknown}"`}; npm run bench -- --list shows them\n`,
  );
  process.exit(1);
}
if (values.list) {
  for (const { name, title } of BENCHES) process.stdout.write(`${name.padEnd(12)} ${title}\n`);
  process.exit(0);
}

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};
if (!values.short) fetchRuntimes((text) => process.stderr.write(`${text}\n`));
const chosen = BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
for (const bench of chosen) {
  const begun = performance.now();
  let findings: Findings;
  try {
    findings = await bench.run({ runs, short: values.short, progress });
  } catch (error) {
    // The other benches can still run.
    process.stderr.write(`${bench.name}: ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
    continue;
  } finally {
    progress('');
  }
  const result: Result = {
    name: bench.name,
    title: bench.title,
    date: new Date().toISOString().slice(0, 10),
    short: values.short,
    runs,
    machine: machine(),
    ...findings,
    versions: [ownVersion(), ...findings.versions],
  };
  process.stdout.write(`${asText(result)}\n`);
  for (const { title, rows } of result.tables)
    for (const { name, failed } of rows)
      if (failed !== undefined && /^(nospool|sendmail|bare)/.test(name)) {
        process.stderr.write(`${title}, ${name}: ${failed}\n`);
        process.exitCode = 1;
      }
  process.stderr.write(`${bench.name}: ${((performance.now() - begun) / 1000).toFixed(0)} s\n`);
  if (values.against !== undefined) process.stdout.write(`${difference(result, path.resolve(values.against))}\n`);
  if (!values.short)
    publish(
      result,
      BENCHES.map(({ name }) => name),
    );
}
