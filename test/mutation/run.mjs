// Puts one small fault after another into a room, and runs those of the room's own tests that come by it, until one fails. What no test
// notices is printed, unless `equivalents.txt` says why nobody could.
// node test/mutation/run.mjs [--seed N] [--count N|all] [--budget MS] [--blind] [--jobs N] [--keep FOLDER] [--write] ROOM…
// The tests of submit run built commands, too, so `npm run build` comes first.
// --blind spares the survey of which tests come by where, which pays only for many faults. --keep writes into a folder which faults have been noticed, and does not try them again as long as their files stay as they are: for
// whoever adds tests. --write puts the figures into ARCHITECTURE.md.
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutantsOf } from './mutants.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * For each room the tests that are its own. Left out is what bundles the sources from the disk, and what puts faults of its own into
 * them. Rooms that touch something outside their process get a new process for each fault.
 */
export const ROOMS = {
  smtp: { tests: /^smtp\/(?!exploration|size|driver)/, isPure: true },
  router: { tests: /^router\//, isPure: true },
  message: { tests: /^message\//, isPure: true },
  config: { tests: /^config\//, isPure: false },
  submit: { tests: /^submit\/|^mutation\/worlds/, isPure: false },
  // Bun's own sockets are tested under Bun alone (`TEST_RUNTIME`), and faults are put in under Node.
  transport: { tests: /^transport\/|^mutation\/worlds/, isPure: false, without: /bun-wire[.]ts$/ },
  // The tests of the built commands are not here, because a build for each fault takes too long.
  process: { tests: /^process\/(?:behind-dot|child-lookup|identity|ring|stdin|submitter)[.]/, isPure: false },
  sendmail: { tests: /^sendmail\/(?:dialogue|options)[.]/, isPure: false },
};

/** What a copy of the project does without. */
const NOT_COPIED = /^(?:node_modules|[.]git|[.]ci|coverage|[.]cache)$/;
/** How much more a test may work with a fault in it, milliseconds on top, and milliseconds for which it may wait beyond that. */
const PATIENCE = 10;
const GRACE = 500;
const IDLE = 5000;
/** Milliseconds for a test of which nobody knows how much it works. */
const UNKNOWN = 12_000;
/** Octets of memory after which a process is followed by another one. */
const HEAVY = 700 * 2 ** 20;

const sumOf = (texts) => createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 20);

/** Mutants that behave as the program does: file, line, each line with a fault, reason. */
export function readEquivalents() {
  const text = readFileSync(new URL('equivalents.txt', import.meta.url), 'utf8');
  const known = new Set();
  for (const entry of text.split(/\n\n+/)) {
    const [file = '', before = '', ...afters] = entry.split('\n').filter((line) => !line.startsWith('#'));
    for (const after of afters) known.add(`${file}\n${before.replace(/^- /, '')}\n${after.replace(/^\+ /, '')}`);
  }
  return known;
}

const filesOf = (room) =>
  readdirSync(path.join(root, 'src', room), { recursive: true, encoding: 'utf8' })
    .map((name) => `${room}/${name.replaceAll(path.sep, '/')}`)
    .filter(
      (name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.endsWith('kernel.wasm.ts') && !ROOMS[room].without?.test(name),
    )
    .sort();

/** A sample stays what it is when other lines change. */
const drawn = (seed, { at, text, ...mutant }) => sumOf([String(seed), ...Object.values(mutant)]);

const nameOf = ({ file, before, after }) => `src/${file}\n${before}\n${after}`;

/** All mutants of a room, in an order that the seed draws; and those that somebody could notice. */
export function drawMutants(room, seed) {
  const known = readEquivalents();
  const all = filesOf(room)
    .flatMap((file) => mutantsOf(readFileSync(path.join(root, 'src', file), 'utf8')).map((mutant) => ({ room, file, ...mutant })))
    .map((mutant) => ({ mutant, at: drawn(seed, mutant) }))
    .sort((a, b) => a.at.localeCompare(b.at))
    .map(({ mutant }) => mutant);
  return { all, mutants: all.filter((mutant) => !known.has(nameOf(mutant))) };
}

/** A copy of the project that faults can be put into. */
export function makeCopy() {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-mutation-'));
  // Some tests load a file as another user.
  chmodSync(folder, 0o755);
  for (const name of readdirSync(root).filter((each) => !NOT_COPIED.test(each)))
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  return folder;
}

/* ---- a process that runs tests ---- */

/** Processor time of a process in milliseconds, and how much its waiting counts; where no /proc says so, time goes by for all alike. */
function lookAt(pid) {
  try {
    const [state, ...numbers] = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    // Its children may wait for a processor.
    const idle = state !== 'S' ? 0 : readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1') === '' ? 1 : 0.2;
    return { used: (Number(numbers[10]) + Number(numbers[11])) * 10, idle };
  } catch {
    return { used: 0, idle: 1 };
  }
}

/** A process of the copy; `ask` resolves to its answer, or to how it ended. */
function startWorker(folder, limitOf) {
  const child = fork(path.join(folder, 'test/mutation/worker.mjs'), [], {
    cwd: folder,
    execArgv: ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', '--max-old-space-size=1024'],
    env: { ...process.env, FORCE_COLOR: '0', NODE_EXTRA_CA_CERTS: '' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let answer = () => undefined;
  let since = null;
  const clock = setInterval(() => {
    if (since === null) return;
    const { used, idle } = lookAt(child.pid);
    since.idle += 250 * idle;
    // Processor time, not the wall's, because the machine may be busy with something else.
    if (used - since.used > since.limit || since.idle > since.limit + IDLE) {
      since.isLate = true;
      child.kill('SIGKILL');
    }
  }, 250);
  const begin = (limit, what = 'the beginning') => {
    since = { used: lookAt(child.pid).used, idle: 0, limit, isLate: false, what };
  };
  child.on('message', (message) => {
    if (message.begin !== undefined) begin(limitOf(message), `test ${message.test} of ${message.begin}`);
    else if (message.ready === undefined) answer(message);
  });
  let isOver = false;
  const ended = new Promise((resolve) =>
    child.on('exit', (code, signal) => {
      clearInterval(clock);
      isOver = true;
      answer({
        verdict: 'killed',
        file: null,
        test: null,
        how: since?.isLate ? `time, in ${since.what}` : `the process ended: ${code ?? signal}`,
        memory: HEAVY,
      });
      resolve();
    }),
  );
  return {
    /** True where it has ended. */
    isOver: () => isOver,
    ask(message) {
      begin(60_000);
      return new Promise((resolve) => {
        answer = (found) => {
          since = null;
          resolve(found);
        };
        child.send(message);
      });
    },
    /** Lets it end by itself; false where something in it does not let it. */
    async leave() {
      if (!isOver) child.send({ leave: true });
      const isGone = await Promise.race([ended.then(() => true), sleep(10_000, false, { ref: false })]);
      if (!isGone) child.kill('SIGKILL');
      await ended;
      return isGone;
    },
    async stop() {
      if (!isOver) child.kill('SIGKILL');
      await ended;
    },
  };
}

/* ---- which tests come by where ---- */

const textsUnder = (folder, place) =>
  readdirSync(path.join(folder, place), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => readFileSync(path.join(folder, place, name), 'utf8'));

async function surveyFile(folder, file, places) {
  const worker = startWorker(folder, () => 600_000);
  const { survey, broken, how } = await worker.ask({ surveyed: file, places });
  if (survey === undefined || survey.strayed !== null) throw new Error(`${file} fails without a fault: ${broken ?? how ?? survey.strayed}`);
  if (!(await worker.leave())) throw new Error(`${file} leaves something open without a fault`);
  return survey;
}

const testsOf = (room) =>
  readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll(path.sep, '/'))
    .filter((name) => /[.]test[.]ts$|^mutation.worlds/.test(name) && ROOMS[room].tests.test(name))
    .sort();

/** For each file of the room's tests, what `survey` found. */
async function surveyRoom(folder, room, { all, keep, jobs }) {
  const places = Object.fromEntries(all.map(({ file }) => [file, []]));
  for (const { file, at } of all) places[file].push(at);
  const base = keep && sumOf([...textsUnder(folder, 'src'), ...textsUnder(folder, 'test/support'), JSON.stringify(places)]);
  const files = testsOf(room);
  const found = new Map(files.map((file) => [file, null]));
  await inLanes(jobs, files, async (file) => {
    const kept = keep && path.join(keep, `survey-${sumOf([base, file, readFileSync(path.join(folder, 'test', file), 'utf8')])}`);
    const known = kept && existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : null;
    const survey = known ?? (await surveyFile(folder, file, places));
    if (kept && known === null) writeFileSync(kept, JSON.stringify(survey));
    // Places by their number become places by where they are.
    const placed = (ran) => new Map(Object.entries(ran).map(([name, list]) => [name, new Set(list.map((index) => places[name][index]))]));
    found.set(file, { ...survey, loaded: placed(survey.loaded), tests: survey.tests.map((test) => ({ ...test, ran: placed(test.ran) })) });
  });
  return found;
}

/** Works through all of these, so many at a time. */
async function inLanes(jobs, items, work) {
  const left = [...items];
  const lane = async (number) => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item, number);
  };
  await Promise.all(Array.from({ length: jobs }, (_, number) => lane(number)));
}

/** Files of tests in the order in which they are likely to kill soonest, and within each the tests that come by. */
function planFor(mutant, survey, kills, ordered, budget) {
  const { file, at } = mutant;
  const scores = kills.get(file) ?? new Map();
  const stem = path.posix.basename(file).replace(/ts$/, 'test.ts');
  const plan = [];
  for (const [name, { loading, loaded, tests }] of survey) {
    const isLoaded = loaded.get(file)?.has(at) ?? false;
    let chosen = tests.flatMap(({ ran }, index) => (isLoaded || ran.get(file)?.has(at) ? [index] : []));
    if (chosen.length === 0 && !isLoaded) continue;
    const weight = (index) => tests[index].took / (1 + (scores.get(`${name} ${index}`) ?? 0));
    if (ordered.has(name)) chosen = Array.from({ length: Math.max(...chosen, 0) + 1 }, (_, index) => index);
    else chosen.sort((a, b) => weight(a) - weight(b));
    const took = chosen.reduce((sum, index) => sum + tests[index].took, loading);
    const bonus = (scores.get(name) ?? 0) + (path.posix.basename(name) === stem ? 5 : 0);
    plan.push({ file: name, tests: chosen, took, order: took / (1 + bonus) });
  }
  plan.sort((a, b) => a.order - b.order);
  let left = budget;
  for (const entry of plan) {
    const { tests } = survey.get(entry.file);
    entry.tests = entry.tests.filter((index) => {
      left -= tests[index].took;
      return left > 0;
    });
  }
  return plan.filter(({ tests }) => tests.length > 0).map(({ file: name, tests }) => ({ file: name, tests }));
}

/** All tests of the room, whole files: first the one of the same name, then those of the same folder, then the short ones. */
function blindPlanFor({ room, file }) {
  const folder = path.posix.dirname(file);
  const own = file.replace(/ts$/, 'test.ts');
  const weight = (name) =>
    name === own ? 0 : readFileSync(path.join(root, 'test', name)).length + (path.posix.dirname(name) === folder ? 0 : 1e6);
  return testsOf(room)
    .map((name) => ({ file: name, tests: null, weight: weight(name) }))
    .sort((a, b) => a.weight - b.weight);
}

/** A copy of the project and a process in it, in which a fault is judged by a plan. */
function startLane(room, limitOf, budget) {
  const { isPure } = ROOMS[room];
  const folder = makeCopy();
  let worker = null;
  const run = async (fault, plan) => {
    worker ??= startWorker(folder, limitOf);
    const found = await worker.ask({ fault, plan, budget });
    if (isPure && !found.isStray && found.memory < HEAVY) return found;
    const hasLeft = isPure || found.verdict !== 'alive' ? await worker.stop().then(() => true) : await worker.leave();
    worker = null;
    return hasLeft ? found : { ...found, verdict: 'killed', file: null, test: null, how: 'something is left open' };
  };
  return {
    folder,
    async judge(mutant, plan) {
      if (mutant === null) return run(null, plan);
      const file = path.join(folder, 'src', mutant.file);
      const before = readFileSync(file, 'utf8');
      // Tests may start a process of their own, which knows only the disk.
      if (!isPure) writeFileSync(file, mutant.text);
      try {
        return await run({ file, text: mutant.text }, plan);
      } finally {
        if (!isPure) writeFileSync(file, before);
      }
    },
    async end() {
      await worker?.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Tells the verdicts over mutants of one room. `all` are the places that are looked for; milliseconds of `budget` are those of tests. */
export async function judgeMutants(room, mutants, { budget, jobs, isBlind, ...options }, tell) {
  let survey = new Map();
  const limitOf = ({ begin, test }) => {
    const known = survey.get(begin);
    return known === undefined ? UNKNOWN : GRACE + PATIENCE * (known.tests[test]?.took ?? known.loading);
  };
  const lanes = Array.from({ length: jobs }, () => startLane(room, limitOf, budget));
  try {
    if (!isBlind) survey = await surveyRoom(lanes[0].folder, room, { jobs, ...options });
    const kills = new Map();
    /** Tests that pass alone, and files whose tests do not. */
    const alone = new Set();
    const ordered = new Set();
    const judge = async (lane, mutant) => {
      if (isBlind) return lane.judge(mutant, blindPlanFor(mutant));
      let plan = planFor(mutant, survey, kills, ordered, budget);
      // A process that a test starts may come by, which the survey does not see.
      if (plan.length === 0 && !ROOMS[room].isPure) plan = blindPlanFor(mutant);
      if (plan.length === 0) return { verdict: 'alive', how: 'no test comes by' };
      const found = await lane.judge(mutant, plan);
      const { verdict, file, test } = found;
      const key = `${file} ${test}`;
      if (verdict === 'alive' && !ROOMS[room].isPure) {
        // Nor does the survey see such a process where other tests come by: one of the file of its name may start it.
        const [own] = blindPlanFor(mutant);
        if (own.weight === 0) return lane.judge(mutant, [own]);
      }
      if (verdict !== 'killed' || !file || test < 0 || ordered.has(file) || alone.has(key)) return found;
      // Without the fault it must pass alone, too; else it needs those before it.
      const { verdict: withoutFault } = await lane.judge(null, [{ file, tests: [test] }]);
      if (withoutFault === 'alive') alone.add(key);
      else ordered.add(file);
      return withoutFault === 'alive' ? found : judge(lane, mutant);
    };
    if (isBlind && mutants.length > 0) {
      const clean = await lanes[0].judge(null, blindPlanFor(mutants[0]));
      if (clean.verdict !== 'alive') throw new Error(`the tests of ${room} fail without a fault: ${JSON.stringify(clean)}`);
    }
    await inLanes(jobs, mutants, async (mutant, number) => {
      const begun = performance.now();
      const found = await judge(lanes[number], mutant);
      if (found.file) {
        const scores = kills.get(mutant.file) ?? new Map();
        for (const key of [found.file, `${found.file} ${found.test}`]) scores.set(key, (scores.get(key) ?? 0) + 1);
        kills.set(mutant.file, scores);
      }
      tell({ mutant, ...found, took: Math.round(performance.now() - begun) });
    });
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
  }
}

/* ---- figures ---- */

/** The bounds between which the share lies of which a sample shows so much, 95 times of 100 (Wilson). */
export function boundsOf(killed, tried) {
  const z = 1.96 ** 2;
  const middle = (killed + z / 2) / (tried + z);
  const half = (Math.sqrt(z) * Math.sqrt((killed * (tried - killed)) / tried + z / 4)) / (tried + z);
  return [middle - half, Math.min(1, middle + half)];
}

/** A row of the table in ARCHITECTURE.md. */
export function printRow(room, { killed, alive }, total, equivalent) {
  const tried = killed + alive;
  const percent = (share, digits = 1) => (100 * share).toFixed(digits);
  const bounds = boundsOf(killed, tried)
    .map((share) => percent(share, 0))
    .join(' to ');
  const share = tried === total ? percent(killed / tried) : `${percent(killed / tried)} (${bounds})`;
  return `| \`src/${room}\` | ${tried === total ? `all ${total}` : `${tried} of ${total}`} | ${killed} | ${alive} | ${equivalent} | ${share} |`;
}

function writeRow(room, row) {
  const page = path.join(root, 'ARCHITECTURE.md');
  const text = readFileSync(page, 'utf8');
  const place = new RegExp(`^\\| \`src/${room}\` \\| (?:all )?\\d.*$`, 'm');
  if (!place.test(text)) throw new Error(`ARCHITECTURE.md has no row for the mutants of src/${room}`);
  writeFileSync(
    page,
    text.replace(place, () => row),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '30' },
      // Milliseconds of tests for one fault, as they take without it: what would be noticed later is called alive.
      budget: { type: 'string', default: '6000' },
      blind: { type: 'boolean', default: false },
      jobs: { type: 'string', default: String(availableParallelism()) },
      keep: { type: 'string' },
      write: { type: 'boolean', default: false },
    },
  });
  const { keep, seed, count, write } = values;
  if (keep) mkdirSync(keep, { recursive: true });
  for (const room of positionals.length > 0 ? positionals : Object.keys(ROOMS)) {
    const begun = performance.now();
    const { all, mutants } = drawMutants(room, Number(seed));
    const chosen = count === 'all' ? mutants : mutants.slice(0, Number(count));
    const equivalent = all.length - mutants.length;
    console.log(`${room}: ${chosen.length} of ${mutants.length} mutants; ${equivalent} more are equivalent`);
    const sum = { killed: 0, alive: 0, invalid: 0 };
    const told = () => `${room}: ${sum.killed} killed, ${sum.alive} alive after ${Math.round((performance.now() - begun) / 1000)} s`;
    const log = keep && path.join(keep, `${room}.log`);
    const keyOf = (mutant) => sumOf([mutant.file, mutant.text]);
    const lines = log && existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
    const known = new Map(lines.map((line) => line.split('\t', 2)).filter(([, verdict]) => verdict !== 'alive'));
    const open = chosen.filter((mutant) => !known.has(keyOf(mutant)));
    for (const mutant of chosen) if (known.has(keyOf(mutant))) sum[known.get(keyOf(mutant))] += 1;
    const options = { all, budget: Number(values.budget), jobs: Number(values.jobs), isBlind: values.blind, keep };
    await judgeMutants(room, open, options, ({ mutant: { text: _, ...mutant }, verdict, ...more }) => {
      sum[verdict] += 1;
      if (log) appendFileSync(log, `${keyOf({ ...mutant, text: _ })}\t${verdict}\t${JSON.stringify({ mutant, ...more })}\n`);
      if (verdict === 'alive') console.log(`alive:\nsrc/${mutant.file}\n- ${mutant.before}\n+ ${mutant.after}\n`);
      if ((sum.killed + sum.alive) % 50 === 0) console.log(`${told()} so far`);
    });
    console.log(told());
    // Faults that the compiler would find are none.
    const row = printRow(room, sum, mutants.length - sum.invalid, equivalent);
    console.log(row);
    if (write) writeRow(room, row);
  }
}
