/**
 * `npm run load`: much at once, and for long. Prints what came of it; status 1 where the promise did not hold.
 *
 * LOAD names the parts (`parallel recipients serial pool`, default all). LOAD_PARALLEL runs at once (200); LOAD_RECIPIENTS (20000);
 * LOAD_SERIAL messages each way (50000); LOAD_SECONDS of the pool (3600), LOAD_RATE messages a second (100), LOAD_RESTART seconds of a
 * server's life (10). LOAD_LIBRARY is another build of the library, so that this one may be built anew meanwhile.
 */
import type * as Library from '../../src/library/index.ts';
import { printGrowth } from '../support/heap.ts';
import { runParallel } from './parallel.ts';
import { runPool } from './pool.ts';
import { runRecipients } from './recipients.ts';
import { runSerial, WAYS } from './serial.ts';

const { env } = process;
const number = (name: string, usual: number): number => Number(env[name] ?? usual);
const library = (await import(env.LOAD_LIBRARY ?? '../../src/library/index.ts')) as typeof Library;
const mebibytes = (octets: number): string => `${(octets / 2 ** 20).toFixed(1)} MiB`;

/** Says what does not hold. */
function fail(words: string): void {
  console.log(`  FAIL ${words}`);
  process.exitCode = 1;
}
const failAll = (breaches: readonly string[]): void => {
  for (const breach of breaches.slice(0, 20)) fail(breach);
};

async function parallel(): Promise<void> {
  const runs = number('LOAD_PARALLEL', 200);
  for (const sessions of [Number.POSITIVE_INFINITY, Math.ceil(runs / 10)]) {
    const { delivered, failed, breaches, most, words, left } = await runParallel(runs, sessions);
    console.log(
      `${runs} runs at once, a server with ${sessions === Number.POSITIVE_INFINITY ? 'any number of' : sessions} sessions: ` +
        `${delivered} delivered once, ${failed} failed; at most ${most.processes} processes, ${mebibytes(most.memory)} of their own, ` +
        `${most.descriptors} descriptors; ${left} descriptors are left`,
    );
    for (const [said, count] of Object.entries(words)) console.log(`  ${count} × ${said}`);
    failAll(breaches);
    if (sessions === Number.POSITIVE_INFINITY && failed > 0) fail('the server turned nobody away');
  }
}

async function recipients(): Promise<void> {
  const most = number('LOAD_RECIPIENTS', 20_000);
  for (const count of [most / 4, most / 2, most].map(Math.round)) {
    const begun = performance.now();
    const { accepted, verdict, held, status, read, aliases, peak, busy } = await runRecipients(count, 100_000);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    console.log(
      `-bs, ${count} recipients, 100000 aliases in ${mebibytes(aliases)}: ${seconds} s (${busy.toFixed(1)} s of a processor), ` +
        `${mebibytes(read)} read in all, ${mebibytes(peak)} of memory, ${held.join()} recipients at the server`,
    );
    if (accepted !== count || status !== 0 || held.length !== 1) fail(`${accepted} accepted, status ${status}, "${verdict}"`);
  }
}

async function serial(): Promise<void> {
  const messages = number('LOAD_SERIAL', 50_000);
  for (const way of WAYS) {
    const begun = performance.now();
    const run = await runSerial(library, way, messages, 10_000);
    const seconds = (performance.now() - begun) / 1000;
    console.log(
      `${messages} in a row, ${way}: ${run.accepted} accepted and held once (with 10000 before), ` +
        `${((messages + 10_000) / seconds).toFixed(0)} a second; ${printGrowth(run.before, run.after)}; ${run.descriptors} descriptors more`,
    );
    failAll(run.breaches);
    if (run.accepted !== messages + 10_000) fail(`${run.failed} failed, ${run.uncertain} are uncertain`);
  }
}

async function pool(): Promise<void> {
  const seconds = number('LOAD_SECONDS', 3600);
  const rate = number('LOAD_RATE', 100);
  const {
    looks: _,
    breaches,
    ...run
  } = await runPool({
    library,
    messages: Math.ceil(seconds * rate),
    milliseconds: seconds * 1000,
    rate,
    abreast: 500,
    dies: { milliseconds: number('LOAD_RESTART', 10) * 1000 },
    looks: Math.min(60_000, (seconds * 1000) / 10),
    tell: (line) => console.log(`  ${line}`),
  });
  console.log(`two pools for ${seconds} s: ${JSON.stringify(run)}`);
  failAll(breaches);
  if (run.failed > 0) fail('a message failed for good');
}

const parts = { parallel, recipients, serial, pool };
for (const [name, run] of Object.entries(parts)) if ((env.LOAD ?? Object.keys(parts).join(' ')).split(' ').includes(name)) await run();
process.exit();
