// Builds dist/: one CommonJS file for sendmail (start-up is a feature), one ES module for nospool, the library by tsc.
// A dynamic import of a project file in sendmail's sources becomes a file of its own in dist/chunks, loaded by
// require when it is reached, so that what a run does not need is not even parsed.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
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

/** Sends one message through what was built, so that V8's compiled code for it can be kept; a start without it is only slower. */
async function compile() {
  // Where a locked configuration is in force it would be that one, and its smart host.
  if (existsSync('/etc/nospool.toml')) return;
  const server = createServer((socket) => {
    const answers = { EHLO: '250-x\r\n250-PIPELINING\r\n250 SIZE', DATA: '354', '.': '250 taken', QUIT: '221' };
    let content = false;
    socket.on('error', () => {}).write('220 x\r\n');
    socket.on('data', (octets) => {
      for (const line of octets.toString('latin1').split('\r\n').slice(0, -1)) {
        const verb = line.split(' ')[0];
        if (content && line !== '.') continue;
        content = verb === 'DATA';
        socket.write(`${answers[verb] ?? '250 ok'}\r\n`);
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-'));
  const config = path.join(folder, 'nospool.toml');
  writeFileSync(
    config,
    `smarthosts = ["smtp://127.0.0.1:${server.address().port}"]\nhostname = "host.example.org"\nlog = "${folder}/log"\n`,
  );
  const child = spawn(process.execPath, [`${out}/compile.cjs`, '-i', '-f', 'a@example.org', 'b@example.org'], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { PATH: process.env.PATH, NOSPOOL_CONFIG: config },
  });
  child.stdin.end('Subject: x\n\nhello\n');
  await new Promise((resolve) => child.on('close', resolve));
  server.close();
  rmSync(folder, { recursive: true, force: true });
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
for (const folder of [out, 'dist.old']) rmSync(folder, { recursive: true, force: true });
mkdirSync(out);
await build({
  ...common,
  entryPoints: ['src/sendmail.ts'],
  outfile: `${out}/main.cjs`,
  format: 'cjs',
  minify: true,
  supported: { 'dynamic-import': false },
  plugins: [lazyChunks('./chunks')],
});
await build({
  ...common,
  entryPoints: { sendmail: 'src/launch.ts', compile: 'src/compile.ts' },
  outdir: out,
  outExtension: { '.js': '.cjs' },
  format: 'cjs',
  minify: true,
  banner: { js: '#!/usr/bin/env node' },
});
// The list grows while it is walked.
for (const [file, name] of chunks) {
  await build({
    ...common,
    entryPoints: [file],
    outfile: `${out}/chunks/${name}.cjs`,
    format: 'cjs',
    minify: true,
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
await compile();
writeFileSync(`${out}/${path.basename(stamp)}`, `${version}\n`);
if (existsSync('dist')) renameSync('dist', 'dist.old');
renameSync(out, 'dist');
rmSync('dist.old', { recursive: true, force: true });
