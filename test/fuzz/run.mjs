// Tries inputs on the readers: node test/fuzz/run.mjs [--keep|--pump] READER|all SECONDS [SEED]. The seconds are those of all readers
// together. With --keep what reaches something new goes into the corpus; --pump looks for what is slow instead. Each runs in a process of its own, whose program is one file without anything that it does not use, because what the
// runtime counts is the cheaper to look at the fewer functions there are.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { keep: { type: 'boolean', default: false }, pump: { type: 'boolean', default: false } },
});
const [which = 'all', seconds = '60', seed = '1'] = positionals;
const names = readdirSync(path.join(root, 'test/fuzz/readers'))
  .map((file) => file.replace(/[.]ts$/, ''))
  .sort();
const chosen = names.filter((name) => which === 'all' || name === which);
if (chosen.length === 0) {
  console.log(`there is no reader "${which}", but all, ${names.join(', ')}`);
  process.exit(1);
}

const folder = mkdtempSync(path.join(tmpdir(), 'nospool-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
let running = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    chosen.length = 0;
    running?.kill(signal);
    process.exitCode = 1;
  });

/** True when no input has failed. */
async function fuzz(name, share) {
  const outfile = path.join(folder, `${name}.mjs`);
  const call = values.pump ? 'pumpFor' : 'fuzzFor';
  const options = JSON.stringify({ seconds: share, seed: Number(seed), isKept: values.keep });
  await build({
    stdin: {
      contents: `import { ${call} } from './fuzz.ts';\nimport { reader } from './readers/${name}.ts';\n${call}(reader, ${options});\n`,
      resolveDir: path.join(root, 'test/fuzz'),
    },
    absWorkingDir: root,
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    logLevel: 'error',
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" },
  });
  running = spawn(process.execPath, ['--enable-source-maps', outfile], { cwd: root, stdio: 'inherit' });
  return new Promise((resolve) => running.once('exit', (code) => resolve(code === 0)));
}

let [passed, failed] = [0, 0];
const share = Number(seconds) / chosen.length;
for (const name of [...chosen]) {
  if (chosen.length === 0) break;
  if (await fuzz(name, share)) passed += 1;
  else failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode ??= failed > 0 ? 1 : 0;
