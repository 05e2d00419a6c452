// Puts one small fault after another into a room, in a copy of the project, and runs the room's own tests until one fails. What no
// test notices is printed, unless `equivalents.txt` says why nobody could.
// node test/mutation/run.mjs [--seed N] [--count N|all] [--jobs N] ROOM…
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawer, mutantsOf } from './mutants.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** For each room: which tests are its own, the quickest first. `of` is the name of the file within src, without its end. */
export const ROOMS = {
  smtp: (of) => [
    ...named(of),
    `^${path.posix.dirname(of)}/[^/]*$(?<!exploration.*|size.*)`,
    ...(of === 'smtp/client/session' ? ['^smtp/exploration[.]test'] : []),
  ],
  router: (of) => [...named(of), '^router/'],
  message: (of) => [...named(of), '^message/'],
  submit: (of) => [...named(of), '^submit/', '^faults/worlds'],
  transport: (of) => [...named(of), '^transport/(?!wire)', '^faults/worlds'],
};
const named = (of) => [`^${of}[.]test`];

/** What a copy of the project does without. */
const NOT_COPIED = /^(?:node_modules|[.]git|[.]ci|coverage)$/;
/** Milliseconds for one unit of tests: a fault may make one wait for ever. */
const LIMIT = 150_000;

/** Mutants that behave as the program does: file, line, line with the fault, reason. */
export function readEquivalents() {
  const text = readFileSync(new URL('equivalents.txt', import.meta.url), 'utf8');
  const known = new Set();
  for (const entry of text.split(/\n\n+/)) {
    const [file = '', before = '', after = ''] = entry.split('\n').filter((line) => !line.startsWith('#'));
    known.add(`${file}\n${before.replace(/^- /, '')}\n${after.replace(/^\+ /, '')}`);
  }
  return known;
}

const filesOf = (room) =>
  readdirSync(path.join(root, 'src', room), { recursive: true, encoding: 'utf8' })
    .map((name) => `${room}/${name.replaceAll(path.sep, '/')}`)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.endsWith('kernel.wasm.ts'))
    .sort();

/** All mutants of a room, in an order that the seed draws. */
export function drawMutants(room, seed) {
  const equivalents = readEquivalents();
  const draw = drawer(seed);
  return filesOf(room)
    .flatMap((file) => mutantsOf(readFileSync(path.join(root, 'src', file), 'utf8')).map((mutant) => ({ room, file, ...mutant })))
    .filter(({ file, before, after }) => !equivalents.has(`src/${file}\n${before}\n${after}`))
    .map((mutant) => ({ mutant, at: draw() }))
    .sort((a, b) => a.at - b.at)
    .map(({ mutant }) => mutant);
}

/** A copy of the project that faults can be put into. */
export function makeCopy() {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-mutation-'));
  for (const name of readdirSync(root).filter((each) => !NOT_COPIED.test(each)))
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  return folder;
}

/** True when a test of these fails. */
function fails(folder, pattern) {
  const files = readdirSync(path.join(folder, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && new RegExp(pattern).test(name))
    .sort();
  if (files.length === 0) return Promise.resolve(false);
  const quoted = files.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  const loading = ['tsx', './test/support/seed.mjs', './test/support/alone.mjs'].flatMap((file) => ['--import', file]);
  const child = spawn(process.execPath, [...loading, 'node_modules/uvu/bin.js', 'test', `^(?:${quoted.join('|')})$`, '-b'], {
    cwd: folder,
    stdio: 'ignore',
    detached: true,
    env: { ...process.env, FORCE_COLOR: '0', NODE_EXTRA_CA_CERTS: '', WORLDS: '400' },
  });
  return new Promise((resolve) => {
    const late = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), LIMIT);
    child.once('exit', (code) => {
      clearTimeout(late);
      resolve(code !== 0);
    });
  });
}

/** Which tests of its room kill a mutant; null when none does. */
export async function kill(folder, { room, file, text }) {
  const place = path.join(folder, 'src', file);
  const before = readFileSync(place, 'utf8');
  writeFileSync(place, text);
  try {
    for (const pattern of ROOMS[room](file.replace(/[.]ts$/, ''))) {
      if (await fails(folder, pattern)) return pattern;
    }
    return null;
  } finally {
    writeFileSync(place, before);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: 'string', default: '1' }, count: { type: 'string', default: '30' }, jobs: { type: 'string' } },
  });
  const rooms = positionals.length > 0 ? positionals : Object.keys(ROOMS);
  const mutants = rooms.flatMap((room) => {
    const all = drawMutants(room, Number(values.seed));
    console.log(`${room}: ${all.length} mutants`);
    // The first is none: the tests must pass without a fault.
    const [{ file }] = all;
    const none = { room, file, before: '', after: '', text: readFileSync(path.join(root, 'src', file), 'utf8') };
    return [none, ...(values.count === 'all' ? all : all.slice(0, Number(values.count)))];
  });
  const sums = Object.fromEntries(rooms.map((room) => [room, { tried: 0, killed: 0 }]));
  await Promise.all(
    Array.from({ length: Number(values.jobs ?? availableParallelism()) }, async () => {
      const folder = makeCopy();
      try {
        for (let mutant = mutants.shift(); mutant !== undefined; mutant = mutants.shift()) {
          const by = await kill(folder, mutant);
          if (mutant.before === '') {
            if (by !== null) throw new Error(`the tests of ${mutant.room} fail without a fault: ${by}`);
            continue;
          }
          const sum = sums[mutant.room];
          sum.tried += 1;
          if (by === null) console.log(`alive:\nsrc/${mutant.file}\n- ${mutant.before}\n+ ${mutant.after}\n`);
          else sum.killed += 1;
          if (sum.tried % 10 === 0) console.log(`${mutant.room}: ${sum.killed} of ${sum.tried} so far`);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
  );
  for (const [room, { tried, killed }] of Object.entries(sums)) console.log(`${room}: ${killed} of ${tried} killed`);
}
