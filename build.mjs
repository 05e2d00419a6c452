// Builds dist/: one CommonJS file for sendmail (start-up is a feature), one ES module for nospool, the library by tsc.
// A dynamic import of a project file in sendmail's sources becomes a file of its own in dist/chunks, loaded by
// require when it is reached, so that what a run does not need is not even parsed.
import { spawnSync } from 'node:child_process';
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

if (process.argv.includes('--if-stale') && existsSync(stamp)) {
  const sources = Math.max(newest('src'), ...['package.json', 'build.mjs', 'tsconfig.json'].map((file) => statSync(file).mtimeMs));
  if (statSync(stamp).mtimeMs > sources) process.exit(0);
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

/** Project files reached by `import()` from sendmail or from one of them: each is built as its own CommonJS file. */
const chunks = new Map();
const lazyChunks = (folder) => ({
  name: 'lazy-chunks',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ kind, path: wanted, resolveDir }) => {
      if (kind !== 'dynamic-import' || wanted.startsWith('node:')) return undefined;
      const file = wanted.startsWith('.') ? path.resolve(resolveDir, wanted) : wanted;
      const name = path.basename(file, '.ts').replaceAll(/[^a-z0-9-]/gi, '-');
      chunks.set(file, name);
      return { path: `${folder}/${name}.cjs`, external: true };
    });
  },
});

// Built beside and put in place at the end: a failed build leaves the last good one.
const out = 'dist.new';
rmSync(out, { recursive: true, force: true });
mkdirSync(out);
await build({
  ...common,
  entryPoints: ['src/sendmail.ts'],
  outfile: `${out}/sendmail.cjs`,
  format: 'cjs',
  minifySyntax: true,
  minifyWhitespace: true,
  supported: { 'dynamic-import': false },
  banner: { js: '#!/usr/bin/env node' },
  plugins: [lazyChunks('./chunks')],
});
// The list grows while it is walked.
for (const [file, name] of chunks) {
  await build({
    ...common,
    entryPoints: [file],
    outfile: `${out}/chunks/${name}.cjs`,
    format: 'cjs',
    minifySyntax: true,
    minifyWhitespace: true,
    supported: { 'dynamic-import': false },
    plugins: [lazyChunks('.')],
  });
}
await build({
  ...common,
  entryPoints: ['src/nospool.ts'],
  outdir: out,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'admin/[name]-[hash]',
  splitting: true,
  format: 'esm',
  // Some dependencies are CommonJS inside: they need a require of their own in an ES module.
  banner: { js: "#!/usr/bin/env node\nimport { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
});
const tsc = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.', '--outDir', `${out}/lib`], { stdio: 'inherit' });
if (tsc.status !== 0) process.exit(1);
for (const command of ['sendmail.cjs', 'nospool.mjs']) chmodSync(`${out}/${command}`, 0o755);
writeFileSync(`${out}/${path.basename(stamp)}`, `${version}\n`);
rmSync('dist', { recursive: true, force: true });
renameSync(out, 'dist');
