// Runs tests of this copy of the project with one fault after another in it. All modules are read once and stay in memory as text; for
// each file of tests they are made anew, so that nothing that a fault left behind in them reaches the next. Knows what it is told by
// its parent (`run.mjs`), and of no room.
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';
import fc from 'fast-check';
import { codeOf } from './mutants.mjs';
import '../support/seed.mjs';
import '../support/alone.mjs';

// A property that fails has killed: no smaller example is looked for.
fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });

/* ---- modules ---- */

const texts = new Map();
const compiled = new Map();

/** The code of a file, without its types. */
function textOf(file) {
  const known = texts.get(file);
  if (known !== undefined) return known;
  const source = readFileSync(file, 'utf8');
  const text = file.endsWith('.ts') ? codeOf(source) : source;
  texts.set(file, text);
  return text;
}

/** What `suite` and `test` were given, as uvu's own hold it. */
function collector() {
  const found = [];
  const suite = (name = '', state = {}) => {
    const own = { name, state, before: [], after: [], bEach: [], aEach: [], isBegun: false };
    const test = (title, handler) => void found.push({ suite: own, title, handler });
    test.before = (hook) => void own.before.push(hook);
    test.after = (hook) => void own.after.push(hook);
    test.before.each = (hook) => void own.bEach.push(hook);
    test.after.each = (hook) => void own.aEach.push(hook);
    test.only = test;
    test.skip = () => undefined;
    test.run = () => undefined;
    return test;
  };
  return { found, exports: { suite, test: suite() } };
}

function synthetic(exports, identifier) {
  const names = [...new Set(['default', ...Object.keys(exports)])];
  return new vm.SyntheticModule(
    names,
    function () {
      for (const name of names) this.setExport(name, exports[name]);
    },
    { identifier },
  );
}

const outside = new Map();
/** What is no file of the project is loaded once, as usual. */
async function loadOutside(specifier) {
  if (!outside.has(specifier)) outside.set(specifier, await import(specifier));
  return outside.get(specifier);
}

/** Modules of their own, with another text for one file. */
function world(fault) {
  const modules = new Map();
  const { found, exports } = collector();
  const resolve = async (specifier, from) => {
    if (specifier === 'uvu') return kept('uvu', () => synthetic(exports, 'uvu'));
    if (isBuiltin(specifier) || !/^(?:[./]|file:)/.test(specifier)) {
      const outer = await loadOutside(specifier);
      return kept(specifier, () => synthetic(outer, specifier));
    }
    const url = new URL(specifier, from);
    const file = fileURLToPath(url);
    if (!/[.](?:ts|mjs)$/.test(file)) {
      const outer = await loadOutside(url.href);
      return kept(url.href, () => synthetic(outer, url.href));
    }
    return kept(url.href, () => make(file, url.href));
  };
  const kept = (key, build) => {
    if (!modules.has(key)) modules.set(key, build());
    return modules.get(key);
  };
  const make = (file, href) => {
    const isFaulty = fault !== null && file === fault.file;
    const text = isFaulty ? fault.text : textOf(file);
    // With data of an earlier compilation the runtime forgets whom to ask for what is imported later.
    const isKept = !isFaulty && !isCovering && !/\bimport\(/.test(text);
    const cachedData = isKept ? compiled.get(file) : undefined;
    const module = new vm.SourceTextModule(text, {
      identifier: href,
      ...(cachedData === undefined ? {} : { cachedData }),
      initializeImportMeta(meta) {
        meta.url = href;
        meta.filename = file;
        meta.dirname = path.dirname(file);
      },
      importModuleDynamically: (specifier) => ready(resolve(specifier, href)),
    });
    if (isKept && cachedData === undefined) compiled.set(file, module.createCachedData());
    return module;
  };
  let linking = Promise.resolve();
  const ready = async (module) => {
    const made = await module;
    // One after another, because two graphs that are linked at the same time may share modules.
    linking = linking.then(async () => {
      if (made.status === 'unlinked') await made.link((specifier, { identifier }) => resolve(specifier, identifier));
    });
    await linking;
    await made.evaluate();
    return made;
  };
  return { found, load: (file) => ready(resolve(pathToFileURL(file).href, pathToFileURL(file).href)) };
}

/* ---- tests ---- */

async function runOne({ suite, title, handler }) {
  suite.state.__test__ = title;
  suite.state.__suite__ = suite.name;
  if (!suite.isBegun) {
    suite.isBegun = true;
    for (const hook of suite.before) await hook(suite.state);
  }
  try {
    for (const hook of suite.bEach) await hook(suite.state);
    await handler(suite.state);
  } finally {
    for (const hook of suite.aEach) await hook(suite.state);
  }
}

async function endSuites(found) {
  for (const suite of new Set(found.map((each) => each.suite))) if (suite.isBegun) for (const hook of suite.after) await hook(suite.state);
}

// What uvu would print of colours and dots is of no use here, and tests may print.
const silent = () => true;
process.stdout.write = silent;
process.stderr.write = process.env.MUTATION_LOUD ? process.stderr.write : silent;

/** Resolves when something went wrong outside of what is awaited. */
let strayed = null;
let stray = () => undefined;
for (const event of ['uncaughtException', 'unhandledRejection'])
  process.on(event, (error) => {
    strayed = String(error?.message ?? error).slice(0, 100);
    stray(strayed);
  });
process.on('warning', ({ name, message }) => {
  if (name === 'ExperimentalWarning') return;
  strayed = `${name}: ${message}`;
  stray(strayed);
});

/** Processor time, because the machine may be busy with something else; what only waits has none. */
const now = () => (process.cpuUsage().user + process.cpuUsage().system) / 1000;

const say = (message) => process.send(message);
const brief = (error) =>
  String(error?.message ?? error)
    .split('\n', 1)[0]
    .slice(0, 100);

/**
 * The verdict over one fault: who killed it. `plan` names files, and which of their tests by number, null for all; when the tests have
 * worked for so many milliseconds, no other begins.
 */
async function judge(fault, plan, budget) {
  if (fault !== null) {
    try {
      new vm.SourceTextModule(fault.text, { identifier: 'fault' });
    } catch {
      return { verdict: 'invalid' };
    }
  }
  strayed = null;
  const begun = now();
  for (const { file, tests } of plan) {
    if (now() - begun > budget) break;
    const own = world(fault);
    say({ begin: file, test: -1 });
    try {
      await own.load(path.join(root, 'test', file));
    } catch (error) {
      return { verdict: 'killed', file, test: -1, how: brief(error) };
    }
    for (const index of tests ?? own.found.keys()) {
      if (now() - begun > budget) break;
      const test = own.found[index];
      if (test === undefined) return { verdict: 'killed', file, test: index, how: 'a test is missing' };
      say({ begin: file, test: index });
      const left = new Promise((resolve) => {
        stray = resolve;
      });
      const how = await Promise.race([runOne(test).then(() => null, brief), left]);
      if (how !== null || strayed !== null) return { verdict: 'killed', file, test: index, how: how ?? strayed };
    }
    say({ begin: file, test: -2 });
    try {
      await endSuites(own.found);
      await turn();
      if (strayed !== null) throw new Error(strayed);
    } catch (error) {
      return { verdict: 'killed', file, test: -2, how: brief(error) };
    }
  }
  return { verdict: 'alive' };
}

/* ---- coverage ---- */

let isCovering = false;
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Which of these places in files are run, when a file of tests is loaded and by each of its tests; how long each takes. */
async function survey(file, places) {
  isCovering = true;
  const session = new Session();
  session.connect();
  const ask = (method, params) =>
    new Promise((resolve, reject) => session.post(method, params, (error, found) => (error ? reject(error) : resolve(found))));
  await ask('Profiler.enable');
  await ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const inUse = new Map(Object.entries(places).map(([name, found]) => [pathToFileURL(path.join(root, 'src', name)).href, { name, found }]));
  /** Numbers of the places that ran since the last time. */
  const take = async () => {
    const { result } = await ask('Profiler.takePreciseCoverage');
    const ran = {};
    for (const { url, functions } of result) {
      const here = inUse.get(url);
      if (here === undefined) continue;
      const painted = new Uint8Array(textOf(fileURLToPath(url)).length + 1);
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges) painted.fill(count > 0 ? 1 : 0, startOffset, endOffset);
      const list = here.found.flatMap((at, index) => (painted[at] === 1 ? [index] : []));
      if (list.length > 0) ran[here.name] = [...new Set([...(ran[here.name] ?? []), ...list])];
    }
    return ran;
  };
  await take();
  const own = world(null);
  let begun = now();
  await own.load(path.join(root, 'test', file));
  const loading = now() - begun;
  const loaded = await take();
  const tests = [];
  for (const test of own.found) {
    begun = now();
    await runOne(test);
    const took = now() - begun;
    tests.push({ title: test.title, took, ran: await take() });
  }
  await endSuites(own.found);
  session.disconnect();
  isCovering = false;
  return { loading, loaded, tests, strayed };
}

// Without a parent there is nobody to answer; only who is asked to leave ends by itself.
let isLeaving = false;
process.on('disconnect', () => isLeaving || process.exit());
process.on('message', async ({ leave, fault, plan, budget, surveyed, places }) => {
  if (leave === true) {
    isLeaving = true;
    return process.disconnect();
  }
  if (surveyed !== undefined) {
    try {
      say({ survey: await survey(surveyed, places) });
    } catch (error) {
      say({ broken: String(error?.stack ?? error) });
    }
    return;
  }
  const verdict = await judge(fault, plan, budget);
  await turn();
  say({ ...verdict, isStray: strayed !== null, memory: process.memoryUsage().rss });
});
say({ ready: true });
