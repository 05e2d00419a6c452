// Builds dist/: one CommonJS file for sendmail (start-up is a feature), ES modules for nospool, the library by tsc.
// What sendmail's sources import dynamically is in its one file too.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));
process.chdir(root);
const stamp = 'dist/.built';

function newest(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(path.join(entry.parentPath ?? entry.path, entry.name)).mtimeMs), 0);
}

function endIfFresh() {
  if (!process.argv.includes('--if-stale') || !existsSync(stamp)) return;
  const sources = Math.max(newest('src'), ...['package.json', 'build.mjs', 'tsconfig.json'].map((file) => statSync(file).mtimeMs));
  if (statSync(stamp).mtimeMs > sources) process.exit(0);
}

endIfFresh();
// Two runs of the tests at once begin with a build each: one builds, the other waits. What was left behind counts for two minutes.
const lock = 'dist.lock';
for (;;) {
  try {
    mkdirSync(lock);
    break;
  } catch {
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > 120_000) rmSync(lock, { recursive: true, force: true });
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
process.on('exit', () => rmSync(lock, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(1)).on('SIGTERM', () => process.exit(1));
endIfFresh();

/** Keeps V8's compiled code beside what was built; a start without it is only slower. */
function compile() {
  const flags = { input: 'Subject: x\n\nhello\n', stdio: ['pipe', 'inherit', 'inherit'], env: { PATH: process.env.PATH } };
  spawnSync(process.execPath, [`${out}/compile.cjs`], flags);
}

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  legalComments: 'none',
  define: { __VERSION__: JSON.stringify(version) },
  logLevel: 'warning',
};

// Built beside and put in place at the end: a failed build leaves the last good one.
const out = 'dist.new';
for (const folder of [out, 'dist.old']) rmSync(folder, { recursive: true, force: true });
mkdirSync(out);
const command = { ...common, format: 'cjs', minify: true, supported: { 'dynamic-import': false } };

/** What is imported dynamically, by its file: a part of main.cjs, but for those that have a file of their own. */
const parts = new Map();
/** `transport-tls-tls`, `message-mime-mime`: as unlike as their files. */
const named = (file) => path.relative('src', file).replace(/\.ts$/, '').replaceAll(path.sep, '-');
/**
 * Two thirds of all code, which few messages need, and what is loaded at once or not at all. In another build their files have
 * other names, so that what is under way while this one is put over it finds its own.
 */
const APART = ['src/message/charset.ts', 'src/sendmail/dialogue/speak.ts', 'src/sendmail/inspect.ts'];
const apart = new Map();
const dynamically = {
  name: 'dynamically',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\./ }, ({ kind, path: wanted, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const file = path.resolve(resolveDir, wanted);
      parts.set(file, named(file));
      return { path: named(file), namespace: 'part' };
    });
    // The loader defines it (src/sendmail/start/loader.ts).
    onLoad({ filter: /./, namespace: 'part' }, ({ path: name }) => ({
      contents: `module.exports = globalThis.nospoolPart(${JSON.stringify(apart.get(name) ?? name)});`,
    }));
  },
};
async function textOf(file) {
  const { outputFiles } = await build({ ...command, entryPoints: [file], write: false, plugins: [dynamically] });
  return outputFiles[0].text;
}
for (const file of APART) {
  const text = await textOf(file);
  const name = `${path.basename(file, '.ts')}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.cjs`;
  apart.set(named(file), name);
  writeFileSync(`${out}/${name}`, text);
}
// How they are put together is known to who takes them apart.
await build({ ...common, entryPoints: ['src/sendmail/start/loader.ts'], outfile: `${out}/loader.mjs`, format: 'esm' });
const { printMainFile, wrap } = await import(path.resolve(out, 'loader.mjs'));
rmSync(`${out}/loader.mjs`);
const program = [['main', wrap(await textOf('src/sendmail/main.ts'))]];
// The list grows while it is walked.
for (const [file, name] of parts) if (!apart.has(name)) program.push([name, wrap(await textOf(file))]);
writeFileSync(`${out}/main.cjs`, printMainFile(apart.get('message-charset'), program));
// Both commands begin with a check that an old Node must be able to read (src/process/runtime.ts).
const readByAll = { ...common, minify: true, target: 'es2015', banner: { js: '#!/usr/bin/env node' } };
await build({ ...readByAll, entryPoints: ['src/sendmail/start/launch.ts'], outfile: `${out}/sendmail.cjs`, format: 'cjs' });
await build({ ...command, entryPoints: ['src/sendmail/start/compile.ts'], outfile: `${out}/compile.cjs` });
await build({
  ...readByAll,
  entryPoints: ['src/nospool/launch.ts'],
  outfile: `${out}/nospool.mjs`,
  format: 'esm',
  supported: { 'dynamic-import': true },
  plugins: [
    {
      name: 'admin-apart',
      setup: ({ onResolve }) => onResolve({ filter: /^\.\/main\.ts$/ }, () => ({ path: './admin/main.mjs', external: true })),
    },
  ],
});
await build({
  ...common,
  entryPoints: { main: 'src/nospool/main.ts' },
  outdir: `${out}/admin`,
  outExtension: { '.js': '.mjs' },
  chunkNames: '[name]-[hash]',
  splitting: true,
  format: 'esm',
  // Some dependencies are CommonJS inside: they need a require of their own in an ES module.
  banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
});
const tsc = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.', '--outDir', `${out}/lib`], { stdio: 'inherit' });
if (tsc.status !== 0) process.exit(1);
for (const command of ['sendmail.cjs', 'nospool.mjs']) chmodSync(`${out}/${command}`, 0o755);
compile();
writeFileSync(`${out}/${path.basename(stamp)}`, `${version}\n`);
if (existsSync('dist')) renameSync('dist', 'dist.old');
renameSync(out, 'dist');
rmSync('dist.old', { recursive: true, force: true });
