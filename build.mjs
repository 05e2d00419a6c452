// Builds dist/: one CommonJS file for sendmail (start-up is a feature), with what its sources import dynamically; one set of ES modules for
// nospool and the library's doors, which share their code; the doors once more in CommonJS; their types by tsc. Packages are bundled, so
// that nobody who installs nospool installs anything else.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { takeLock } from './build-lock.mjs';
import { writeTypes } from './build-types.mjs';

const root = fileURLToPath(new URL('.', import.meta.url));
process.chdir(root);
const stamp = 'dist/.built';

function newest(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(path.join(entry.parentPath ?? entry.path, entry.name)).mtimeMs), 0);
}

/** What a build is made of besides sources and manual pages. Packages are bundled, so their versions count. */
const OTHERS = ['package.json', 'package-lock.json', 'build.mjs', 'build-lock.mjs', 'build-types.mjs', 'tsconfig.json'];

function endIfFresh() {
  if (!process.argv.includes('--if-stale') || !existsSync(stamp)) return;
  const latest = Math.max(newest('src'), newest('man'), ...OTHERS.map((file) => statSync(file).mtimeMs));
  if (statSync(stamp).mtimeMs > latest) process.exit(0);
}

endIfFresh();
// When tests run twice at once, each run begins with a build: one builds, the other waits.
await takeLock('dist.lock');
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
/** Packs the tables of character sets, all together, because they would be a third of all that is installed, and few messages need one. */
const TABLES = 'node_modules/iconv-lite/encodings/tables';
const allTables = Object.fromEntries(readdirSync(TABLES).map((name) => [name, JSON.parse(readFileSync(`${TABLES}/${name}`, 'utf8'))]));
/** The lower octets of all characters, then the upper ones: Chinese and Korean shrink by a twelfth more than as UTF-8. */
function pack(value) {
  const units = Buffer.from(JSON.stringify(value), 'utf16le');
  const half = units.length / 2;
  const planes = units.map((_, i) => units[2 * (i % half) + (i < half ? 0 : 1)]);
  return brotliCompressSync(planes, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } }).toString('base64');
}
const UNPACK = `module.exports = (text) => {
  const planes = require('node:zlib').brotliDecompressSync(Buffer.from(text, 'base64'));
  const half = planes.length / 2;
  const units = Buffer.alloc(planes.length);
  for (let i = 0; i < half; i++) {
    units[2 * i] = planes[i];
    units[2 * i + 1] = planes[half + i];
  }
  return JSON.parse(units.toString('utf16le'));
};`;
const printUnpack = (text) => `require('unpack')('${text}')`;
const packed = {
  name: 'packed',
  setup({ onLoad, onResolve }) {
    // In these no ASCII is ASCII, so no message may have them (isCharset).
    onLoad({ filter: /[\\/]iconv-lite[\\/]encodings[\\/]utf(?:7|16|32)\.js$/ }, () => ({ contents: 'module.exports = {};' }));
    onLoad({ filter: /[\\/]iconv-lite[\\/]encodings[\\/]sbcs-data-generated\.js$/ }, async ({ path: file }) => ({
      contents: `module.exports = ${printUnpack(pack((await import(file)).default))};`,
    }));
    onLoad({ filter: /[\\/]iconv-lite[\\/]encodings[\\/]tables[\\/]/ }, ({ path: file }) => ({
      contents: `module.exports = require('packed-tables')[${JSON.stringify(path.basename(file))}];`,
      loader: 'js',
    }));
    onResolve({ filter: /^(packed-tables|unpack)$/ }, ({ path: name }) => ({ path: name, namespace: 'packed' }));
    onLoad({ filter: /./, namespace: 'packed' }, ({ path: name }) => ({
      contents: name === 'unpack' ? UNPACK : `module.exports = ${printUnpack(pack(allTables))};`,
    }));
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
/** Bundles one part of the command; what `main` has, too, is `shared` by the name of its file. */
async function bundle(options) {
  const made = await build({
    ...command,
    metafile: true,
    write: false,
    ...options,
    plugins: [dynamically, packed, ...(options.plugins ?? [])],
  });
  notePackages(made.metafile);
  return { text: made.outputFiles[0].text, inputs: Object.keys(made.metafile.inputs) };
}
const MAIN = 'src/sendmail/main.ts';
const inMain = new Set((await bundle({ entryPoints: [MAIN] })).inputs.map((file) => path.resolve(file)));
const SHARED = 'nospool-shared/';
/** Leaves to `main` what it has, so that it is there once: half of the other parts would be copies of it. */
const shared = {
  name: 'shared',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ kind, path: wanted, resolveDir }) => {
      const file = path.resolve(resolveDir, wanted);
      if (kind !== 'import-statement' || !inMain.has(file)) return undefined;
      return { path: SHARED + path.relative('src', file), external: true, sideEffects: false };
    });
  },
};
/** The names that parts take from each file of `main`. */
const taken = new Map();
/** Notes what a part takes. Unknown parts that it imports dynamically join the list of parts. */
async function noteTaken(file) {
  const { text } = await bundle({ entryPoints: [file], format: 'esm', minify: false, plugins: [shared] });
  for (const [, names, from] of text.matchAll(/^import \{([^}]*)\} from "nospool-shared\/([^"]+)";$/gm)) {
    const known = taken.get(from) ?? new Set();
    taken.set(from, known);
    for (const name of names.split(',')) known.add(name.trim().split(' as ')[0]);
  }
  const whole = /^import (?!\{).*nospool-shared.*$/m.exec(text);
  if (whole !== null) throw new Error(`${file} takes a whole file of main: ${whole[0]}`);
}
/** Prints the beginning of `main`: it offers what parts take of each of its files, by the file's place in the list. */
function printMain() {
  const files = [...taken].map(([file, names], i) => [file, [...names].map((name, k) => [name, `s${i}_${k}`])]);
  const imports = files.map(([file, names]) => `import { ${names.map((pair) => pair.join(' as ')).join(', ')} } from './${file}';`);
  // Only those of one file are put together, because a part takes a few of hundreds.
  const offers = files.map(([, names], i) => `case ${i}: return { ${names.map((pair) => pair.join(': ')).join(', ')} };`);
  return `import './sendmail/main.ts';\n${imports.join('\n')}\nglobalThis.nospoolShared = (place) => { switch (place) { ${offers.join(' ')} } };`;
}
const textOf = async (file) =>
  (await bundle({ entryPoints: [file], plugins: [shared] })).text.replace(
    /\brequire\("nospool-shared\/([^"]+)"\)/g,
    (_, from) => `globalThis.nospoolShared(${[...taken.keys()].indexOf(from)})`,
  );
// Character sets stand alone, because the library has them, too. The first build of main has found its parts; the list grows while it is walked.
for (const file of APART.slice(1)) await noteTaken(file);
for (const [file, name] of parts) if (!APART.some((each) => partName(path.resolve(each)) === name)) await noteTaken(file);
const apartTexts = [];
for (const file of APART) {
  const text = file === APART[0] ? (await bundle({ entryPoints: [file] })).text : await textOf(file);
  const name = path.basename(file, '.ts');
  apartTexts.push([name, text]);
  apart.set(partName(file), `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.cjs`);
  writeFileSync(`${out}/${apart.get(partName(file))}`, text);
}
// The loader, which takes main.cjs apart, knows how it is put together.
await build({ ...common, entryPoints: ['src/sendmail/start/loader.ts'], outfile: `${out}/loader.mjs`, format: 'esm' });
const { findFault, printMainFile, wrap } = await import(path.resolve(out, 'loader.mjs'));
rmSync(`${out}/loader.mjs`);
const run = {
  name: 'run',
  setup: ({ onResolve }) => onResolve({ filter: /\/sendmail\/main\.ts$/ }, () => ({ path: path.resolve(MAIN), sideEffects: true })),
};
const main = await bundle({ stdin: { contents: printMain(), resolveDir: 'src', sourcefile: 'main.js' }, plugins: [run] });
const program = [['main', wrap(main.text)]];
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
// The comment tells Bun that the text is as it would make it: so it does not touch its compiler of TypeScript, which is 1.6 MiB.
await build({
  ...common,
  minify: true,
  target: 'esnext',
  entryPoints: ['src/sendmail/start/launch-bun.ts'],
  outfile: `${out}/sendmail-bun.mjs`,
  format: 'esm',
  banner: { js: '// @bun' },
});
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
const linking = {
  ...common,
  minify: true,
  metafile: true,
  outdir: `${out}/lib`,
  outExtension: { '.js': '.mjs' },
  chunkNames: '[name]-[hash]',
  splitting: true,
  format: 'esm',
  plugins: [outside(/\/charset\.ts$/, () => `../${charset}`), outside(/^yargs$/, () => './yargs.mjs')],
};
const { metafile: linked } = await build({ ...linking, entryPoints: { ...DOORS, admin: 'src/nospool/main.ts' } });
notePackages(linked);
/**
 * nospool's help and completion are its own. yargs lays out a help for every command that waits, and nobody sees it; its completion is never
 * asked.
 */
const LAYOUTS = {
  './completion.js': "export const completion = () => ({ completionKey: 'get-yargs-completions', setParsed() {} });",
  cliui: 'const none = () => ""; export default () => ({ div: none, span: none, resetOutput: none, toString: none });',
  'string-width': 'export default (text) => text.length;',
};
const layout = {
  name: 'layout',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(cliui|string-width|\.\/completion\.js)$/ }, ({ path: wanted }) => ({ path: wanted, namespace: 'layout' }));
    onLoad({ filter: /./, namespace: 'layout' }, ({ path: name }) => ({ contents: LAYOUTS[name] }));
  },
};
const { metafile: ofYargs } = await build({
  ...common,
  minify: true,
  metafile: true,
  entryPoints: ['yargs'],
  outfile: `${out}/lib/yargs.mjs`,
  format: 'esm',
  plugins: [layout],
  // It is CommonJS inside, which needs a require of its own in an ES module.
  banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
});

/**
 * Makes CommonJS of a minified ES module of ours: its exports stand last, none of them changes once the module has run, and no module waits for
 * another that waits for it. What esbuild would make of it is longer by a fifth. `count` is how many imports it has.
 */
function commonJs(text, count, isDoor) {
  const required = (from) => `require(${JSON.stringify(from.replace(/\.mjs$/, '.cjs'))})`;
  let head = '';
  let found = 0;
  const withoutImports = text
    .trim()
    .replaceAll(
      /(?<=^|[;}])import(?:\*as ([\w$]+) from|(?: ([\w$]+))?,?(?:\{([^}]*)\})?(?: ?from)?)"([^"]+)";/g,
      (_, space, alone, list, from) => {
        const name = space ?? alone;
        found += 1;
        if (name !== undefined) head += `const ${name}=${required(from)};`;
        if (list !== undefined) head += `const{${list.replaceAll(' as ', ':')}}=${name ?? required(from)};`;
        if (name === undefined && list === undefined) head += `${required(from)};`;
        return '';
      },
    )
    .replaceAll(/\bimport\("([^"]+)"\)/g, (_, from) => `Promise.resolve().then(()=>${required(from)})`);
  const [last = '', given = ''] = /export\{([^}]*)\};$/.exec(withoutImports) ?? [];
  const pairs = given.split(',').map((pair) => pair.split(' as '));
  const exported = given === '' ? '' : pairs.map(([here, there = here]) => `${there}:${here}`).join(',');
  const mark = isDoor ? 'Object.defineProperty(module.exports,"__esModule",{value:true});' : '';
  const made = `"use strict";${head}${withoutImports.slice(0, withoutImports.length - last.length)}module.exports={${exported}};${mark}\n`;
  if (found !== count) throw new Error(`${found} imports of ${count} were found in ${text.slice(0, 200)}`);
  // It is no script if anything of a module is left.
  new Script(`(function(exports,require,module){${made}})`);
  return made;
}
/** The doors alone make fewer and larger files than together with the command. */
const { outputFiles: doorFiles, metafile: ofDoors } = await build({ ...linking, write: false, entryPoints: DOORS });
mkdirSync(`${out}/cjs`);
for (const { path: file, text } of doorFiles) {
  const name = path.basename(file, '.mjs');
  const { imports } = ofDoors.outputs[path.relative(root, file)];
  const count = imports.filter(({ kind }) => kind === 'import-statement').length;
  writeFileSync(`${out}/cjs/${name}.cjs`, commonJs(text, count, Object.hasOwn(DOORS, name)));
}

/** Types are CommonJS, which ES modules may import, too, so that both forms of the library have the same ones. */
function makeTypes() {
  const made = `${out}/types.all`;
  const tsc = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.', '--emitDeclarationOnly', '--outDir', made], {
    stdio: 'inherit',
  });
  if (tsc.status !== 0) process.exit(1);
  const place = (file) => path.relative('src', file).replace(/\.ts$/, '.d.ts');
  writeTypes(made, `${out}/types`, Object.values(DOORS).map(place));
  writeFileSync(`${out}/types/package.json`, '{ "type": "commonjs" }\n');
  for (const [door, file] of Object.entries(DOORS))
    writeFileSync(`${out}/lib/${door}.d.mts`, `export * from '../types/${place(file).replace(/\.d\.ts$/, '.js')}';\n`);
  rmSync(made, { recursive: true });
}
makeTypes();
notePackages(ofYargs);

/** The licences of what is bundled ask to go with it. Packages of one author share a text. */
function printNotices() {
  const names = new Map();
  for (const folder of packages) {
    const { name, version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined) throw new Error(`${name} is bundled and has no file with its licence`);
    const text = readFileSync(`${folder}/${file}`, 'utf8').trim();
    names.set(text, [...(names.get(text) ?? []), `${name} ${version}`]);
  }
  const entries = [...names].map(([text, of]) => `${[...new Set(of)].sort().join('\n')}\n\n${text}\n`).sort();
  const rule = `\n${'-'.repeat(72)}\n\n`;
  return `Parts of these packages are in the files beside this one, under their licences.\n${rule}${entries.join(rule)}`;
}
// Manual pages are packed as every system packs them.
mkdirSync(`${out}/man`);
for (const page of readdirSync('man')) writeFileSync(`${out}/man/${page}.gz`, gzipSync(readFileSync(`man/${page}`), { level: 9 }));
writeFileSync(`${out}/THIRD-PARTY.txt`, printNotices());
for (const command of ['sendmail.cjs', 'nospool.mjs']) chmodSync(`${out}/${command}`, 0o755);
compile();
writeFileSync(`${out}/${path.basename(stamp)}`, `${version}\n`);
if (existsSync('dist')) renameSync('dist', 'dist.old');
renameSync(out, 'dist');
rmSync('dist.old', { recursive: true, force: true });
