// Builds dist/: one CommonJS file for sendmail (start-up is a feature), with what its sources import dynamically; one set of ES modules for
// nospool and the library's doors, which share their code; the doors once more in CommonJS; their types by tsc. Packages are bundled, so
// that nobody who installs nospool installs anything else.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
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
// When tests run twice at once, each run begins with a build: one builds, the other waits. A lock that a dead build left behind counts for two minutes.
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

// The build is made beside dist/ and put in its place at the end, so that a failed one leaves the last good one.
const out = 'dist.new';
for (const folder of [out, 'dist.old']) rmSync(folder, { recursive: true, force: true });
mkdirSync(out);
const command = { ...common, format: 'cjs', minify: true, supported: { 'dynamic-import': false } };

/** The names of the parts, by their files. What is imported dynamically becomes a part of main.cjs, or a file of its own. */
const parts = new Map();
/** The name of a part tells its file, e.g. `transport-tls-tls`. */
const partName = (file) => path.relative('src', file).replace(/\.ts$/, '').replaceAll(path.sep, '-');
/**
 * These parts have files of their own: the first is two thirds of all code, which few messages need; the others are loaded at once or not
 * at all. The files of another build have other names, so that a message that is under way while this build is put over it
 * finds its own.
 */
const APART = ['src/message/charset.ts', 'src/sendmail/dialogue/speak.ts', 'src/sendmail/inspect.ts'];
const apart = new Map();
/** Makes a part of each file that is imported dynamically. */
const dynamically = {
  name: 'dynamically',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\./ }, ({ kind, path: wanted, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const file = path.resolve(resolveDir, wanted);
      parts.set(file, partName(file));
      return { path: partName(file), namespace: 'part' };
    });
    // The loader defines nospoolPart (src/sendmail/start/loader.ts).
    onLoad({ filter: /./, namespace: 'part' }, ({ path: name }) => ({
      contents: `module.exports = globalThis.nospoolPart(${JSON.stringify(apart.get(name) ?? name)});`,
    }));
  },
};
/** Packs the tables of character sets, of which a message needs one at most: they would be a third of all that is installed. */
const packed = {
  name: 'packed',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]iconv-lite[\\/]encodings[\\/]tables[\\/].*\.json$/ }, ({ path: file }) => {
      const table = Buffer.from(JSON.stringify(JSON.parse(readFileSync(file, 'utf8'))));
      const text = brotliCompressSync(table, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } }).toString('base64');
      return { contents: `module.exports = JSON.parse(require('node:zlib').brotliDecompressSync(Buffer.from('${text}', 'base64')));` };
    });
  },
};
/** The packages of which something is bundled, by their folders. */
const packages = new Set();
function notePackages({ inputs }) {
  for (const file of Object.keys(inputs)) {
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];
    if (folder !== undefined) packages.add(folder);
  }
}
async function textOf(file) {
  const { outputFiles, metafile } = await build({
    ...command,
    metafile: true,
    entryPoints: [file],
    write: false,
    plugins: [dynamically, packed],
  });
  notePackages(metafile);
  return outputFiles[0].text;
}
const apartTexts = [];
for (const file of APART) {
  const text = await textOf(file);
  const name = path.basename(file, '.ts');
  apartTexts.push([name, text]);
  apart.set(partName(file), `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.cjs`);
  writeFileSync(`${out}/${apart.get(partName(file))}`, text);
}
// The loader, which takes main.cjs apart, knows how it is put together.
await build({ ...common, entryPoints: ['src/sendmail/start/loader.ts'], outfile: `${out}/loader.mjs`, format: 'esm' });
const { findFault, printMainFile, wrap } = await import(path.resolve(out, 'loader.mjs'));
rmSync(`${out}/loader.mjs`);
const program = [['main', wrap(await textOf('src/sendmail/main.ts'))]];
// The list grows while it is walked.
for (const [file, name] of parts) if (!apart.has(name)) program.push([name, wrap(await textOf(file))]);
const fault = findFault(apartTexts) ?? findFault(program);
if (fault !== null) {
  console.error(`build.mjs: ${fault}`);
  process.exit(1);
}
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
  plugins: [outside(/^\.\/main\.ts$/, () => './lib/admin.mjs')],
});

/** The library's doors: the name of their files, and their sources. */
const DOORS = {
  index: 'src/library/index.ts',
  smtp: 'src/smtp/index.ts',
  'smtp-server': 'src/smtp/server/index.ts',
  router: 'src/router/index.ts',
  nodemailer: 'src/library/nodemailer/index.ts',
  testing: 'src/testing/index.ts',
};

/** Leaves imports of some names outside a bundle, under other names. */
function outside(filter, nameOf) {
  const resolve = ({ kind, path: wanted }) => (kind === 'entry-point' ? undefined : { path: nameOf(wanted), external: true });
  return { name: 'outside', setup: ({ onResolve }) => onResolve({ filter }, resolve) };
}

/** Character sets are CommonJS, which the commands and both forms of the library share. */
const charset = apart.get('message-charset');
const { metafile: linked } = await build({
  ...common,
  minify: true,
  metafile: true,
  entryPoints: { ...DOORS, admin: 'src/nospool/main.ts' },
  outdir: `${out}/lib`,
  outExtension: { '.js': '.mjs' },
  chunkNames: '[name]-[hash]',
  splitting: true,
  format: 'esm',
  plugins: [outside(/\/charset\.ts$/, () => `../${charset}`), outside(/^yargs$/, () => './yargs.mjs')],
});
notePackages(linked);
const { metafile: ofYargs } = await build({
  ...common,
  minify: true,
  metafile: true,
  entryPoints: ['yargs'],
  outfile: `${out}/lib/yargs.mjs`,
  format: 'esm',
  // It is CommonJS inside, which needs a require of its own in an ES module.
  banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
});

/** What the doors reach, by the names of the files in dist/lib. */
function reachedByDoors() {
  const reached = new Set(Object.keys(DOORS).map((door) => `${out}/lib/${door}.mjs`));
  // The set grows while it is walked.
  for (const file of reached) for (const { path: wanted, external } of linked.outputs[file].imports) if (!external) reached.add(wanted);
  return [...reached];
}
const { outputFiles: required } = await build({
  ...command,
  entryPoints: reachedByDoors(),
  outdir: `${out}/cjs`,
  outExtension: { '.js': '.cjs' },
  write: false,
  plugins: [outside(/^\.\/.*\.mjs$/, (wanted) => wanted.replace(/\.mjs$/, '.cjs')), outside(/^\.\.\//, (wanted) => wanted)],
});
mkdirSync(`${out}/cjs`);
for (const { path: file, contents } of required) writeFileSync(file, contents);

/**
 * Types are CommonJS, which ES modules may import, too, so that both forms of the library have the same ones. The compiler that reads them may
 * be older than ours: they name files as JavaScript does.
 */
function makeTypes() {
  const made = `${out}/types.all`;
  const tsc = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.', '--emitDeclarationOnly', '--outDir', made], {
    stdio: 'inherit',
  });
  if (tsc.status !== 0) process.exit(1);
  const place = (file) => path.relative('src', file).replace(/\.ts$/, '.d.ts');
  const needed = new Set(Object.values(DOORS).map(place));
  // The set grows while it is walked.
  for (const file of needed) {
    const text = readFileSync(`${made}/${file}`, 'utf8').replace(
      /(?<=^(?:import|export)\b[^'"`;]*? from '|^import '|\bimport\(["'])\.{1,2}\/[^'"]+(?=\.ts['"])/gm,
      (wanted) => {
        needed.add(path.join(path.dirname(file), `${wanted}.d.ts`));
        return `${wanted}\0`;
      },
    );
    mkdirSync(path.dirname(`${out}/types/${file}`), { recursive: true });
    writeFileSync(`${out}/types/${file}`, text.replaceAll('\0.ts', '.js'));
  }
  writeFileSync(`${out}/types/package.json`, '{ "type": "commonjs" }\n');
  for (const [door, file] of Object.entries(DOORS))
    writeFileSync(`${out}/lib/${door}.d.mts`, `export * from '../types/${place(file).replace(/\.d\.ts$/, '.js')}';\n`);
  rmSync(made, { recursive: true });
}
makeTypes();
notePackages(ofYargs);

/** The licences of what is bundled ask to go with it. */
function printNotices() {
  const entries = [...packages]
    .sort((a, b) => path.basename(a).localeCompare(path.basename(b)))
    .map((folder) => {
      const { name, version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
      const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
      if (file === undefined) throw new Error(`${name} is bundled and has no file with its licence`);
      return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`;
    });
  const rule = `\n${'-'.repeat(72)}\n\n`;
  return `Parts of these packages are in the files beside this one, under their licences.\n${rule}${entries.join(rule)}`;
}
writeFileSync(`${out}/THIRD-PARTY.txt`, printNotices());
for (const command of ['sendmail.cjs', 'nospool.mjs']) chmodSync(`${out}/${command}`, 0o755);
compile();
writeFileSync(`${out}/${path.basename(stamp)}`, `${version}\n`);
if (existsSync('dist')) renameSync('dist', 'dist.old');
renameSync(out, 'dist');
rmSync('dist.old', { recursive: true, force: true });
