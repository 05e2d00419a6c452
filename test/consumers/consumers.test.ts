/**
 * Programs of other people that embed nospool: each has the packed package installed, and sends a message to a smart host of this process. One
 * program for each module system, compiler, bundler, runner of tests and runtime. TLS is required, so that what is loaded late is needed, too.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type SmtpSink, sink } from '../../src/testing/index.ts';
import { bun, CONSUMER_TOOLS, missing, suiteWith } from '../interop/support/needs.ts';
import { within } from '../support/within.ts';
import { CONTENT, SENDING, TYPES } from './programs.ts';

const test = suiteWith('consumers', 'consumer-tools');
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The folder of all programs. nospool and the tools are installed in it. */
let programs = '';
let tarball = '';
/** A file with the certificate that the programs must trust. */
const certificate = (): string => path.join(programs, 'certificate.pem');
let host: SmtpSink;

interface Ended {
  readonly status: number;
  /** What it wrote, to either. */
  readonly said: string;
}

/** Runs a program to its end. */
function run(file: string, args: readonly string[], { cwd = programs, env = {} } = {}): Promise<Ended> {
  const own = { SINK_URL: host.url, SINK_CA: certificate(), DENO_DIR: path.join(programs, '.deno'), DENO_NO_UPDATE_CHECK: '1' };
  const environment = { PATH: process.env.PATH, HOME: programs, CI: 'true', ...own, ...env };
  return new Promise((resolve) => {
    const child = execFile(file, args, { cwd, env: environment, maxBuffer: 2 ** 24 }, (_, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, said: stdout + stderr }),
    );
  });
}
const runNode = (args: readonly string[], options: Parameters<typeof run>[2] = {}): Promise<Ended> => run(process.execPath, args, options);
const tool = (file: string): string => path.join(CONSUMER_TOOLS, 'node_modules', file);

/** Makes the folder of one program. */
function program(name: string, files: Readonly<Record<string, string>>): string {
  const folder = path.join(programs, name);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  }
  return folder;
}

/** Runs something that sends one message, and looks at what has come. */
async function sends(work: () => Promise<Ended>): Promise<Ended> {
  host.reset();
  const ended = await work();
  assert.equal(ended.status, 0, ended.said);
  assert.equal(host.messages.length, 1, ended.said);
  const [message] = host.messages;
  assert.deepEqual([message?.from.address, message?.text, message?.session.user], ['ann@example.org', CONTENT, 'ann']);
  assert.equal(message?.session.tls, 'TLSv1.3');
  return ended;
}

test.before(async () => {
  programs = mkdtempSync(path.join(tmpdir(), 'nospool-consumers-'));
  host = await sink({ tls: 'starttls', auth: { user: 'ann', password: 'secret' } });
  writeFileSync(certificate(), host.certificate ?? '');
  const packed = await run('npm', ['pack', '--ignore-scripts', '--offline', '--pack-destination', programs], { cwd: ROOT });
  tarball = path.join(programs, readdirSync(programs).find((name) => name.endsWith('.tgz')) ?? '');
  assert.match(tarball, /\.tgz$/, packed.said);
  writeFileSync(path.join(programs, 'package.json'), '{ "name": "embedder", "version": "1.0.0", "private": true }');
  const installed = await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', tarball]);
  assert.equal(installed.status, 0, installed.said);
});
test.after(async () => {
  rmSync(programs, { recursive: true, force: true });
  await host.close();
});

test('a program that installs nospool has nospool, and nothing else', () =>
  within(60_000, async () => {
    const listed = await run('npm', ['ls', '--all', '--json']);
    assert.equal(listed.status, 0, listed.said);
    const { dependencies } = JSON.parse(listed.said) as {
      readonly dependencies: Readonly<Record<string, { readonly dependencies?: unknown }>>;
    };
    assert.deepEqual([Object.keys(dependencies), dependencies.nospool?.dependencies], [['nospool'], undefined]);
    const folders = readdirSync(path.join(programs, 'node_modules')).filter((name) => !name.startsWith('.'));
    assert.deepEqual(folders, ['nospool']);
    // From here on the tools are beside it, as links, so that what they need is found where they lie.
    for (const name of readdirSync(tool('')).filter((each) => !each.startsWith('.')))
      symlinkSync(tool(name), path.join(programs, 'node_modules', name));
  }));

test('npm install --global gives sendmail and nospool, which send, and install from there', () =>
  within(120_000, async () => {
    const prefix = path.join(programs, 'global');
    const installed = await run('npm', ['install', '--global', '--prefix', prefix, '--offline', '--no-audit', '--no-fund', tarball]);
    assert.equal(installed.status, 0, installed.said);
    assert.deepEqual(readdirSync(`${prefix}/share/man/man8`), ['sendmail.nospool.8.gz']);
    const config = path.join(programs, 'nospool.toml');
    const lines = [
      `smarthosts = ["${host.url}"]`,
      'aliases = []',
      'log = ""',
      `[tls]\nmode = "required"\nca_file = "${certificate()}"`,
      '[auth]\nuser = "ann"\npassword = "secret"',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 });
    const message = path.join(programs, 'message');
    writeFileSync(message, CONTENT.replaceAll('\r\n', '\n'));
    host.reset();
    const send = `"$0" -C ${config} -i -f ann@example.org bob@example.net <${message}`;
    const sent = await run('sh', ['-c', send, `${prefix}/bin/sendmail`]);
    assert.equal(sent.status, 0, sent.said);
    const again = await run(`${prefix}/bin/nospool`, [
      'send',
      '--config',
      config,
      '--from',
      'ann@example.org',
      '--to',
      'bob@example.net',
      message,
    ]);
    assert.equal(again.status, 0, again.said);
    assert.deepEqual(
      host.messages.map(({ session, text }) => [session.user, /hello/.test(text)]),
      [
        ['ann', true],
        ['ann', true],
      ],
    );
    const speaks = await run('sh', ['-c', `printf 'QUIT\\r\\n' | "$0" -C ${config} -bs`, `${prefix}/bin/sendmail`]);
    assert.match(speaks.said, /^220 .*\r\n221 /);
    // Nobody may change what it installs, and everybody may write in the folder for scratch files.
    const root = path.join(programs, 'root');
    mkdirSync(root);
    const wrote = await run(`${prefix}/bin/nospool`, ['install', '--root', root]);
    assert.equal(wrote.status, 0, wrote.said);
    const version = await run(`${root}/usr/sbin/sendmail`, ['-bP', 'version']);
    assert.ok(!/bug|cannot be run/.test(version.said), version.said);
  }));

test('arethetypeswrong and publint find nothing', () =>
  within(120_000, async () => {
    const types = await runNode([tool('@arethetypeswrong/cli/dist/index.js'), tarball, '--no-color', '--no-emoji']);
    assert.equal(types.status, 0, types.said);
    assert.match(types.said, /No problems found/);
    const lint = await runNode([tool('publint/src/cli.js'), tarball, '--strict']);
    assert.equal(lint.status, 0, lint.said);
    assert.match(lint.said, /All good!/);
  }));

/** Versions of the compiler, and the ways in which each finds modules. */
const COMPILERS = [
  ['5.4', ['node16', 'nodenext', 'bundler', 'node10']],
  ['5.9', ['node16', 'nodenext', 'bundler', 'node10']],
  ['7', ['node16', 'nodenext', 'bundler']],
] as const;

for (const [version, ways] of COMPILERS)
  test(`TypeScript ${version} takes every door, in ES modules and CommonJS, and can name the types of what it exports`, () =>
    within(240_000, async () => {
      for (const way of ways) {
        const isNode = way === 'node16' || way === 'nodenext';
        const files = isNode ? { 'esm.mts': TYPES, 'cjs.cts': TYPES } : { 'index.ts': TYPES };
        const compilerOptions = {
          strict: true,
          exactOptionalPropertyTypes: true,
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable'],
          module: isNode ? way : way === 'node10' ? 'commonjs' : 'esnext',
          moduleResolution: way,
          declaration: true,
          skipLibCheck: false,
          types: ['node'],
          outDir: 'out',
        };
        const folder = program(`typescript-${version}-${way}`, {
          ...files,
          'tsconfig.json': JSON.stringify({ compilerOptions, include: ['*'], exclude: ['out'] }),
        });
        const compiled = await runNode([tool(`typescript-${version}/bin/tsc`), '-p', folder]);
        assert.equal(compiled.status, 0, `${way}: ${compiled.said}`);
        // The declarations that it has made must stand on their own, too.
        const made = readdirSync(path.join(folder, 'out')).find((name) => /\.d\.m?ts$/.test(name)) ?? '';
        assert.match(readFileSync(path.join(folder, 'out', made), 'utf8'), /Outcome/);
      }
    }));

test('Node sends from ES modules and from CommonJS, and an error of one form is one of the other', () =>
  within(60_000, async () => {
    const folder = program('node', {
      'esm.mjs': SENDING.esm,
      'cjs.cjs': SENDING.cjs,
      'both.mjs': `import { createRequire } from 'node:module';
import { SmtpError as Imported, orThrow } from 'nospool';
const { SmtpError: Required, submit } = createRequire(import.meta.url)('nospool');
const error = await orThrow(submit({ from: '', to: [] }, '', { servers: [] })).catch((reason) => reason);
if (!(error instanceof Imported) || !(error instanceof Required)) throw new Error('it is not the same class');
if (new TypeError('x') instanceof Imported || Object.create(Required.prototype) instanceof TypeError) throw new Error('anything is');
class Own extends Imported {}
if (error instanceof Own) throw new Error('a class of the program is not the class of the library');
`,
    });
    await sends(() => runNode([path.join(folder, 'esm.mjs')]));
    await sends(() => runNode([path.join(folder, 'cjs.cjs')]));
    const both = await runNode([path.join(folder, 'both.mjs')]);
    assert.equal(both.status, 0, both.said);
  }));

test('Jest runs a test that requires nospool', () =>
  within(120_000, async () => {
    const folder = program('jest', {
      'package.json': '{ "jest": { "testEnvironment": "node" } }',
      'send.test.js': `${SENDING.require}\ntest('it sends', async () => { ${SENDING.body} expect(outcome.kind).toBe('accepted'); });`,
    });
    await sends(() => runNode([tool('jest/bin/jest.js'), '--runInBand', '--watchman=false', '--cache=false'], { cwd: folder }));
  }));

test('vitest runs a test that imports nospool', () =>
  within(120_000, async () => {
    const folder = program('vitest', {
      'package.json': '{ "type": "module" }',
      'send.test.js': `${SENDING.import}\nimport { expect, test } from 'vitest';\ntest('it sends', async () => { ${SENDING.body} expect(outcome.kind).toBe('accepted'); });`,
    });
    await sends(() => runNode([tool('vitest/vitest.mjs'), 'run', '--root', folder], { cwd: folder }));
  }));

/** A bundle runs where nothing is installed. */
async function bundleSends(name: string, file: string): Promise<void> {
  const apart = mkdtempSync(path.join(tmpdir(), `nospool-${name}-`));
  try {
    // The parts that are loaded late lie beside it.
    await run('sh', ['-c', 'cp -R "$0"/. "$1"', path.dirname(file), apart]);
    await sends(() => runNode([path.join(apart, path.basename(file))], { cwd: apart }));
  } finally {
    rmSync(apart, { recursive: true, force: true });
  }
}

test('esbuild bundles a program, in both forms', () =>
  within(60_000, async () => {
    const folder = program('esbuild', { 'esm.mjs': SENDING.esm, 'cjs.cjs': SENDING.cjs });
    for (const [entry, out, ...more] of [
      ['esm.mjs', 'esm/out.mjs', '--format=esm', '--splitting', '--outdir=esm', '--entry-names=out', '--out-extension:.js=.mjs'],
      ['cjs.cjs', 'cjs/out.cjs', '--format=cjs', '--outfile=cjs/out.cjs'],
    ] as const) {
      const made = await runNode([tool('esbuild/bin/esbuild'), entry, '--bundle', '--platform=node', '--log-level=warning', ...more], {
        cwd: folder,
      });
      assert.deepEqual([made.status, made.said], [0, '']);
      await bundleSends('esbuild', path.join(folder, out));
    }
  }));

test('Rollup bundles a program', () =>
  within(60_000, async () => {
    const folder = program('rollup', { 'esm.mjs': SENDING.esm });
    const args = ['esm.mjs', '-p', '@rollup/plugin-node-resolve', '-d', 'out', '-f', 'es', '--entryFileNames', '[name].mjs'];
    const made = await runNode([tool('rollup/dist/bin/rollup'), ...args, '--chunkFileNames', '[name]-[hash].mjs', '--failAfterWarnings'], {
      cwd: folder,
    });
    assert.equal(made.status, 0, made.said);
    await bundleSends('rollup', path.join(folder, 'out', 'esm.mjs'));
  }));

test('webpack bundles a program, in both forms', () =>
  within(120_000, async () => {
    const folder = program('webpack', {
      'esm.mjs': SENDING.esm,
      'cjs.cjs': SENDING.cjs,
      'build.cjs': `const webpack = require('webpack');
const entry = require('node:path').resolve(process.argv[2]);
const output = { path: require('node:path').resolve(process.argv[3]), filename: 'out.cjs', chunkFilename: '[id].cjs' };
webpack({ mode: 'production', target: 'node20', context: __dirname, entry, output }, (error, stats) => {
  if (error || stats.hasErrors() || stats.hasWarnings()) { console.log(error ?? stats.toString()); process.exitCode = 1; }
});`,
    });
    for (const entry of ['esm.mjs', 'cjs.cjs']) {
      const made = await runNode(['build.cjs', entry, `out-${entry}`], { cwd: folder });
      assert.equal(made.status, 0, made.said);
      await bundleSends('webpack', path.join(folder, `out-${entry}`, 'out.cjs'));
    }
  }));

/** As docs/library.md says. */
const ALLOWED = ['--allow-net', '--allow-env', '--allow-read', '--allow-sys'];

test('Deno sends, also by nodemailer, and to a sink of its own', () =>
  within(120_000, async () => {
    const folder = program('deno', {
      'package.json': '{ "dependencies": { "nospool": "*", "nodemailer": "*" } }',
      'esm.mjs': SENDING.esm,
      'doors.mjs': `import nodemailer from 'nodemailer';
import { NospoolTransport } from 'nospool/nodemailer';
import { sink } from 'nospool/testing';
const host = await sink();
const transport = nodemailer.createTransport(new NospoolTransport({ url: host.url }));
const { accepted } = await transport.sendMail({ from: 'ann@example.org', to: 'bob@example.net', text: 'hello' });
transport.close();
console.log(JSON.stringify([accepted, host.messages.length]));
await host.close();
`,
    });
    mkdirSync(path.join(folder, 'node_modules'));
    symlinkSync(path.join(programs, 'node_modules', 'nospool'), path.join(folder, 'node_modules', 'nospool'));
    symlinkSync(path.join(ROOT, 'node_modules', 'nodemailer'), path.join(folder, 'node_modules', 'nodemailer'));
    const deno = (file: string) => runNode([tool('deno/bin.cjs'), 'run', ...ALLOWED, '--node-modules-dir=manual', file], { cwd: folder });
    await sends(() => deno('esm.mjs'));
    const { status, said } = await deno('doors.mjs');
    assert.deepEqual([status, said], [0, '[["bob@example.net"],1]\n']);
  }));

if (missing('bun').length === 0)
  test('Bun sends from ES modules and from CommonJS', () =>
    within(60_000, async () => {
      const folder = program('bun', { 'esm.mjs': SENDING.esm, 'cjs.cjs': SENDING.cjs });
      for (const file of ['esm.mjs', 'cjs.cjs']) await sends(() => run(bun() as string, [path.join(folder, file)]));
    }));

test('the pure doors run in a bare context of node:vm, which has nothing but the language', () =>
  within(60_000, async () => {
    const folder = program('vm', {
      'bare.mjs': `import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';
const require = createRequire(import.meta.url);
const context = vm.createContext(Object.create(null), { codeGeneration: { strings: false, wasm: false } });
const known = new Map();
function load(file) {
  if (known.has(file)) return known.get(file).exports;
  const module = { exports: {} };
  known.set(file, module);
  const wrapped = vm.runInContext(\`(function (exports, require, module) {\${readFileSync(file, 'utf8')}\\n})\`, context);
  wrapped(module.exports, (name) => load(path.resolve(path.dirname(file), name)), module);
  return module.exports;
}
const modules = new Map();
function link(file) {
  if (!modules.has(file)) modules.set(file, new vm.SourceTextModule(readFileSync(file, 'utf8'), { context, identifier: file }));
  return modules.get(file);
}
for (const door of ['nospool/smtp', 'nospool/smtp/server', 'nospool/router']) {
  const required = load(require.resolve(door));
  const module = link(new URL(import.meta.resolve(door)).pathname);
  await module.link((name, from) => link(path.resolve(path.dirname(from.identifier), name)));
  await module.evaluate();
  for (const core of [required, module.namespace]) console.log(door, core.printMailbox(core.parseMailbox('ann@example.org').value));
}
`,
    });
    const ended = await runNode(['--experimental-vm-modules', '--no-warnings', path.join(folder, 'bare.mjs')]);
    assert.equal(ended.status, 0, ended.said);
    assert.equal(ended.said.trimEnd().split('\n').length, 6, ended.said);
  }));

test.run();
