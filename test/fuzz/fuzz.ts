/** One reader's share of `npm run fuzz`; `run.mjs` puts it into one file with the reader. Ends with a line that says what came of it. */
import { readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Dice } from '../faults/support/worlds/time.ts';
import { printInput, readCorpus, writeCorpus } from './corpus.ts';
import { startCoverage } from './coverage.ts';
import { distil, fuzz } from './engine.ts';
import { pump } from './pump.ts';
import type { Reader } from './reader.ts';

/** Octets of a file of the corpus. */
const ROOM = 5500;
/** Seconds after which an input counts as one that never ends. */
const HANG = 20;
/** Octets of an input that is shown when it never ends. */
const SHOWN = 64 * 1024;

/** Ends the process where an input is not read to its end, and shows it. The thread looks, because this one cannot. */
function startWatch(): (input: string) => void {
  const shared = new SharedArrayBuffer(8 + SHOWN);
  const [count, length] = [new Int32Array(shared, 0, 1), new Int32Array(shared, 4, 1)];
  const text = new Uint8Array(shared, 8);
  const program = `
    const { workerData } = require('node:worker_threads');
    const count = new Int32Array(workerData, 0, 1), length = new Int32Array(workerData, 4, 1);
    let last = -1;
    setInterval(() => {
      const now = Atomics.load(count, 0);
      if (now === last) {
        const text = Buffer.from(new Uint8Array(workerData, 8, length[0])).toString('latin1');
        require('node:fs').writeSync(1, 'does not end: ' + JSON.stringify(text) + '\\n');
        process.kill(process.pid, 'SIGKILL');
      }
      last = now;
    }, ${HANG * 1000});`;
  new Worker(program, { eval: true, workerData: shared }).unref();
  return (input) => {
    const shown = Math.min(input.length, SHOWN);
    for (let i = 0; i < shown; i++) text[i] = input.charCodeAt(i);
    length[0] = shown;
    Atomics.add(count, 0, 1);
  };
}

/** Looks for inputs that take too long, and prints them. */
export async function pumpFor(reader: Reader, { seconds, seed }: { seconds: number; seed: number }): Promise<never> {
  const until = performance.now() + seconds * 1000;
  const tried = await pump(reader, readCorpus(process.cwd(), reader.name), new Dice(seed), until);
  console.log(`${reader.name}: ${tried} parts repeated`);
  process.exit(0);
}

/** `isKept`: the inputs that reach something new go into the corpus. Ends the process, with status 1 where the reader failed. */
export async function fuzzFor(
  reader: Reader,
  { seconds, seed, isKept }: { seconds: number; seed: number; isKept: boolean },
): Promise<never> {
  process.on('uncaughtException', (error) => {
    writeSync(1, `${reader.name}: outside of any input: ${error.stack}\n`);
    process.exit(1);
  });
  const root = process.cwd();
  const corpus = readCorpus(root, reader.name);
  const coverage = startCoverage(import.meta.url, readFileSync(fileURLToPath(import.meta.url), 'utf8'));
  const begun = performance.now();
  const { runs, kept, failures, slowest } = await fuzz({
    reader,
    corpus,
    dice: new Dice(seed),
    coverage,
    until: begun + seconds * 1000,
    watch: startWatch(),
  });
  const { reached } = coverage;
  if (isKept) writeCorpus(root, reader.name, await distil(reader, [...corpus, ...kept], coverage, ROOM));
  const took = Math.round((performance.now() - begun) / 1000);
  console.log(
    `${reader.name}: ${runs} runs in ${took} s, ${kept.length} inputs kept, ${reached} characters reached, slowest ${slowest.milliseconds.toFixed(0)} ms (${slowest.input.length} octets), ${failures.length} failures`,
  );
  if (slowest.milliseconds > 1000) console.log(`${reader.name}: the slowest was ${printInput(slowest.input).slice(0, 400)}`);
  process.exit(failures.length > 0 ? 1 : 0);
}
