// Puts one small fault after another into a room, and runs those of the room's own tests that come by it, until one fails. What no test
// notices is printed, unless `equivalents.txt` says why nobody could.
// node test/mutation/run.mjs [--seed N] [--count N|all] [--budget MS] [--keep FOLDER] [--write] ROOM…
// --keep writes into a folder which faults have been noticed, and does not try them again as long as their files stay as they are: for
// whoever adds tests. --write puts the figures into ARCHITECTURE.md.
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
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
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawer, mutantsOf } from './mutants.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * For each room the tests that are its own. Left out is what bundles the sources from the disk, and what puts faults of its own into
 * them. Rooms that touch something outside their process get a new process for each fault.
 */
export const ROOMS = {
  smtp: { tests: /^smtp\/(?!exploration-mutants|size|driver)/, isPure: true },
  router: { tests: /^router\//, isPure: true },
  message: { tests: /^message\//, isPure: true },
  submit: { tests: /^submit\/|^mutation\/worlds/, isPure: false },
  transport: { tests: /^transport\/|^mutation\/worlds/, isPure: false },
};

/** What a copy of the project does without. */
const NOT_COPIED = /^(?:node_modules|[.]git|[.]ci|coverage)$/;
/** How much more a test may work with a fault in it, milliseconds on top, and milliseconds for which it may wait beyond that. */
const PATIENCE = 10;
const GRACE = 500;
const IDLE = 5000;
/** Octets of memory after which a process is followed by another one. */
const HEAVY = 700 * 2 ** 20;

/** Mutants that behave as the program does: file, line, line with the fault, reason. */
export function readEquivalents() {
  const text = readFileSync(new URL('equivalents.txt', import.meta.url), 'utf8');
  const known = new Set();
  for (const entry of text.split(/\n\n+/)) {
    const [file = '', before = '', after = ''] = entry.split('\n').filter((line) => !line.startsWith('#'));
    if (file !== '') known.add(`${file}\n${before.replace(/^- /, '')}\n${after.replace(/^\+ /, '')}`);
  }
  return known;
}

const filesOf = (room) =>
  readdirSync(path.join(root, 'src', room), { recursive: true, encoding: 'utf8' })
    .map((name) => `${room}/${name.replaceAll(path.sep, '/')}`)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.endsWith('kernel.wasm.ts'))
    .sort();

const nameOf = ({ file, before, after }) => `src/${file}\n${before}\n${after}`;

/** All mutants of a room, in an order that the seed draws; and how many there are that nobody could notice. */
export function drawMutants(room, seed) {
  const known = readEquivalents();
  const draw = drawer(seed);
  const all = filesOf(room)
    .flatMap((file) => mutantsOf(readFileSync(path.join(root, 'src', file), 'utf8')).map((mutant) => ({ room, file, ...mutant })))
    .map((mutant) => ({ mutant, at: draw() }))
    .sort((a, b) => a.at - b.at)
    .map(({ mutant }) => mutant);
  const mutants = all.filter((mutant) => !known.has(nameOf(mutant)));
  return { mutants, equivalent: all.length - mutants.length };
}

/** A copy of the project that faults can be put into. */
export function makeCopy() {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-mutation-'));
  for (const name of readdirSync(root).filter((each) => !NOT_COPIED.test(each)))
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  return folder;
}

/* ---- a process that runs tests ---- */

/** Processor time of a process in milliseconds, and whether it waits; where no /proc says so, time goes by for all alike. */
function lookAt(pid) {
  try {
    const [state, ...numbers] = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    return { used: (Number(numbers[10]) + Number(numbers[11])) * 10, isIdle: state === 'S' };
  } catch {
    return { used: 0, isIdle: true };
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
    const { used, isIdle } = lookAt(child.pid);
    if (isIdle) since.idle += 250;
    // Processor time, not the wall's, because the machine may be busy with something else.
    if (used - since.used > since.limit || since.idle > since.limit + IDLE) {
      since.isLate = true;
      child.kill('SIGKILL');
    }
  }, 250);
  const begin = (limit) => {
    since = { used: lookAt(child.pid).used, idle: 0, limit, isLate: false };
  };
  child.on('message', (message) => {
    if (message.begin !== undefined) begin(limitOf(message));
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
        how: since?.isLate ? 'time' : `the process ended: ${code ?? signal}`,
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

const sumOf = (texts) => createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 20);
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

/** For each file of the room's tests, what `survey` found. */
async function surveyRoom(folder, room, mutants, keep) {
  const places = Object.fromEntries(mutants.map(({ file }) => [file, []]));
  for (const { file, at } of mutants) places[file].push(at);
  const base = keep && sumOf([...textsUnder(folder, 'src'), ...textsUnder(folder, 'test/support'), JSON.stringify(places)]);
  const files = readdirSync(path.join(folder, 'test'), { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll(path.sep, '/'))
    .filter((name) => /[.]test[.]ts$|^mutation.worlds/.test(name) && ROOMS[room].tests.test(name))
    .sort();
  const found = new Map();
  for (const file of files) {
    const kept = keep && path.join(keep, `survey-${sumOf([base, file, readFileSync(path.join(folder, 'test', file), 'utf8')])}`);
    const known = kept && existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : null;
    const survey = known ?? (await surveyFile(folder, file, places));
    if (kept && known === null) writeFileSync(kept, JSON.stringify(survey));
    // Places by their number become places by where they are.
    const placed = (ran) => new Map(Object.entries(ran).map(([name, list]) => [name, new Set(list.map((index) => places[name][index]))]));
    found.set(file, { ...survey, loaded: placed(survey.loaded), tests: survey.tests.map((test) => ({ ...test, ran: placed(test.ran) })) });
  }
  return found;
}

/** Files of tests in the order in which they are likely to kill soonest, and within each the tests that come by. */
function planFor(mutant, survey, kills, budget) {
  const { file, at } = mutant;
  const scores = kills.get(file) ?? new Map();
  const stem = path.posix.basename(file).replace(/ts$/, 'test.ts');
  const plan = [];
  for (const [name, { loading, loaded, tests, isOrdered }] of survey) {
    const isLoaded = loaded.get(file)?.has(at) ?? false;
    let chosen = tests.flatMap(({ ran }, index) => (isLoaded || ran.get(file)?.has(at) ? [index] : []));
    if (chosen.length === 0 && !isLoaded) continue;
    const weight = (index) => tests[index].took / (1 + (scores.get(`${name} ${index}`) ?? 0));
    if (isOrdered) chosen = Array.from({ length: Math.max(...chosen, 0) + 1 }, (_, index) => index);
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

/** Verdicts over mutants of one room, one after another. */
export async function* judgeMutants(room, mutants, { all, budget, keep }) {
  const folder = makeCopy();
  let worker = null;
  try {
    const survey = await surveyRoom(folder, room, all, keep);
    const kills = new Map();
    const limitOf = ({ begin, test }) => GRACE + PATIENCE * (survey.get(begin).tests[test]?.took ?? survey.get(begin).loading);
    const run = async (fault, plan) => {
      worker ??= startWorker(folder, limitOf);
      const found = await worker.ask({ fault, plan });
      if (ROOMS[room].isPure && !found.isStray && found.memory < HEAVY) return found;
      const mayLinger = found.verdict === 'alive' && !ROOMS[room].isPure;
      const hasLeft = mayLinger ? await worker.leave() : await worker.stop().then(() => true);
      worker = null;
      return hasLeft ? found : { ...found, verdict: 'killed', file: null, test: null, how: 'something is left open' };
    };
    for (const mutant of mutants) {
      const plan = planFor(mutant, survey, kills, budget);
      const begun = performance.now();
      const fault = { file: path.join(folder, 'src', mutant.file), text: mutant.text, isOnDisk: !ROOMS[room].isPure };
      const found = plan.length === 0 ? { verdict: 'alive', how: 'no test comes by' } : await run(fault, plan);
      if (found.file) {
        const scores = kills.get(mutant.file) ?? new Map();
        for (const key of [found.file, `${found.file} ${found.test}`]) scores.set(key, (scores.get(key) ?? 0) + 1);
        kills.set(mutant.file, scores);
      }
      yield { mutant, ...found, took: Math.round(performance.now() - begun) };
    }
  } finally {
    await worker?.stop();
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '30' },
      // Milliseconds of tests for one fault, as they take without it: what would be noticed later is called alive.
      budget: { type: 'string', default: '6000' },
      keep: { type: 'string' },
    },
  });
  const { keep } = values;
  if (keep) mkdirSync(keep, { recursive: true });
  for (const room of positionals.length > 0 ? positionals : Object.keys(ROOMS)) {
    const { mutants, equivalent } = drawMutants(room, Number(values.seed));
    const chosen = values.count === 'all' ? mutants : mutants.slice(0, Number(values.count));
    console.log(`${room}: ${chosen.length} of ${mutants.length} mutants, ${equivalent} equivalent`);
    const begun = performance.now();
    const sum = { killed: 0, alive: 0, invalid: 0 };
    const log = keep && path.join(keep, `${room}.log`);
    const known = new Map(
      (log && existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])
        .map((line) => line.split('\t'))
        .filter(([, verdict]) => verdict !== 'alive')
        .map(([key, verdict]) => [key, verdict]),
    );
    const keyOf = (mutant) => sumOf([mutant.file, mutant.text]);
    const open = chosen.filter((mutant) => !known.has(keyOf(mutant)));
    for (const mutant of chosen) if (known.has(keyOf(mutant))) sum[known.get(keyOf(mutant))] += 1;
    let count = 0;
    for await (const { mutant, verdict, file, test, how, took } of judgeMutants(room, open, {
      all: mutants,
      budget: Number(values.budget),
      keep,
    })) {
      if (count++ === 0) console.log('survey', performance.now() - begun);
      sum[verdict] += 1;
      if (log)
        appendFileSync(log, `${keyOf(mutant)}\t${verdict}\t${JSON.stringify({ ...mutant, text: undefined, by: file, test, how, took })}\n`);
      if (verdict === 'alive') console.log(`alive:${how ? ` # ${how}` : ''}\nsrc/${mutant.file}\n- ${mutant.before}\n+ ${mutant.after}\n`);
      if (count % 50 === 0) console.log(`${room}: ${JSON.stringify(sum)} so far, ${Math.round((performance.now() - begun) / 1000)} s`);
    }
    console.log(`${room}: ${JSON.stringify(sum)} ${Math.round((performance.now() - begun) / 1000)} s`);
  }
}
