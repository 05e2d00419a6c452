/** What npm publishes, and what it installs from. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { build } from 'esbuild';
import iconv from 'iconv-lite';
import { suite } from 'uvu';

const test = suite('package');
const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Packed {
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

/** Conditions of a door, nested as they are in package.json. */
type Door = string | { readonly [condition: string]: Door };
interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly man: readonly string[];
  readonly main: string;
  readonly types: string;
  readonly exports: Readonly<Record<string, Door>>;
  readonly typesVersions: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

const manifest = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as Manifest;
const filesOf = (door: Door): readonly string[] => (typeof door === 'string' ? [door] : Object.values(door).flatMap(filesOf));

function pack(): Packed {
  const argv = ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'];
  const { status, stdout, stderr } = spawnSync('npm', argv, { cwd: ROOT, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const [packed] = JSON.parse(stdout) as readonly Packed[];
  assert.ok(packed);
  return packed;
}
const packed = pack();
const files = packed.files.map((file) => file.path).sort();

test('S10: the package holds commands, library, manual pages and nothing that was compiled on one machine', () => {
  assert.ok(existsSync(`${ROOT}/dist/compiled`), 'there is something to leave out');
  const own = /^dist\/(lib|cjs|types)\//;
  const apart = readdirSync(`${ROOT}/dist`).filter((name) => /^(charset|speak|inspect)-\w+\.cjs$/.test(name));
  assert.equal(apart.length, 3);
  assert.deepEqual(
    files.filter((file) => !own.test(file)),
    [
      'LICENSE',
      'README.md',
      ...readdirSync(`${ROOT}/docs`)
        // Who makes packages and images, watches hosts, comes from elsewhere, or sets up other programs has the repository, and troubleshooting.md is as large as a manual.
        .filter((name) => /^(?!(?:troubleshooting|packages|containers|monitoring|moving|exim|callers)\.).*\.md$/.test(name))
        .map((name) => `docs/${name}`),
      ...[...apart, 'compile.cjs', 'main.cjs', 'nospool.mjs', 'sendmail.cjs', 'sendmail-bun.mjs', 'THIRD-PARTY.txt'].map(
        (name) => `dist/${name}`,
      ),
      'examples/nospool.example.toml',
      ...['nospool.1', 'nospool.toml.5', 'sendmail.nospool.8'].map((name) => `dist/man/${name}.gz`),
      'package.json',
    ].sort(),
  );
  for (const file of files.filter((each) => own.test(each)))
    assert.match(file, /^dist\/(lib\/[\w-]+(\.mjs|\.d\.mts)|cjs\/[\w-]+\.cjs|types\/(package\.json|[\w/-]+\.d\.ts))$/);
  assert.ok(packed.unpackedSize <= 1_783_000, `${packed.unpackedSize} octets`);
});

test('the package holds what README.md sends people to', () => {
  const readme = readFileSync(`${ROOT}/README.md`, 'utf8');
  const named = [...readme.matchAll(/\]\(((?:docs|man|examples)\/[^)#]+|[A-Z]+\.md)(?:#[^)]*)?\)/g)].map((match) => match[1] as string);
  assert.ok(named.length >= 5);
  // These are for people who have the repository.
  for (const file of named.filter(
    (each) =>
      !/^(ARCHITECTURE|CONTRIBUTING|CHANGELOG|SECURITY|docs\/(?:troubleshooting|packages|containers|monitoring|moving|exim|callers))\.md$/.test(
        each,
      ),
  ))
    assert.ok(files.includes(file.startsWith('man/') ? `dist/${file}.gz` : file), file);
  for (const file of manifest.man)
    assert.ok(
      gunzipSync(readFileSync(path.join(ROOT, file))).equals(readFileSync(path.join(ROOT, file.slice('dist/'.length, -'.gz'.length)))),
    );
});

test('every door of the package is there, for both module systems, with its types', () => {
  const { bin, main, types, exports, typesVersions } = manifest;
  const old = Object.values(typesVersions['*'] ?? {}).flat();
  const doors = [main, types, ...Object.values(bin), ...Object.values(exports).flatMap(filesOf), ...old];
  for (const door of doors) assert.ok(files.includes(path.normalize(door)), door);
  assert.deepEqual(Object.keys(exports), ['.', './smtp', './smtp/server', './router', './nodemailer', './testing', './package.json']);
  for (const [name, door] of Object.entries(exports).filter(([each]) => each !== './package.json')) {
    const [esmTypes = '', esm = '', cjsTypes = '', cjs = ''] = filesOf(door);
    assert.match(esm, /\.mjs$/, name);
    assert.equal(esmTypes, esm.replace('.mjs', '.d.mts'));
    assert.match(cjs, /\.cjs$/, name);
    assert.match(cjsTypes, /^\.\/dist\/types\/.*\.d\.ts$/, name);
    if (name !== '.') assert.deepEqual(typesVersions['*']?.[name.slice(2)], [cjsTypes], 'as node10 finds it');
  }
});

test('both forms of a door give the same names', async () => {
  for (const [name, door] of Object.entries(manifest.exports).filter(([each]) => each !== './package.json')) {
    const [, esm = '', , cjs = ''] = filesOf(door);
    const imported = (await import(path.join(ROOT, esm))) as Record<string, unknown>;
    const required = createRequire(import.meta.url)(path.join(ROOT, cjs)) as Record<string, unknown>;
    assert.deepEqual(Object.keys(imported).sort(), Object.keys(required).sort(), name);
  }
});

test('SmtpError of either form of the library knows the errors of the other, and no others', async () => {
  const load = async (file: string) => ((await import(path.join(ROOT, file))) as typeof import('../src/library/index.ts')).SmtpError;
  const [Imported, Required] = [await load('dist/lib/index.mjs'), await load('dist/cjs/index.cjs')];
  class Own extends Imported {}
  const failure = { code: 'lost', message: 'it is gone', retry: 'safe', verb: null, refusals: [], at: null } as const;
  for (const error of [new Imported(failure), new Required(failure), new Own(failure)])
    assert.deepEqual([error instanceof Imported, error instanceof Required, error instanceof Own], [true, true, error.constructor === Own]);
  for (const other of [new Error('x'), {}, null, 'x', undefined]) assert.ok(!(other instanceof Imported));
});

/** What each of these files imports, and what is imported by them, by their paths from the root; a name that is no path is what it is. */
async function linked(entries: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [...entries],
    bundle: true,
    platform: 'node',
    packages: 'external',
    format: 'esm',
    outdir: 'none',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  return new Map(
    Object.entries(metafile.inputs).map(([file, { imports }]) => [
      file,
      imports.map((each) => each.path).filter((name) => name !== '<runtime>'),
    ]),
  );
}

test('nothing that is installed imports a package, and the pure doors import nothing of a platform', async () => {
  const all = await linked(files.filter((file) => /^dist\/.*js$/.test(file)));
  assert.ok(all.size > 100);
  for (const [file, names] of all) for (const name of names) assert.ok(all.has(name) || isBuiltin(name), `${file} imports ${name}`);
  for (const door of ['smtp', 'smtp-server', 'router'])
    for (const file of [`dist/lib/${door}.mjs`, `dist/cjs/${door}.cjs`]) {
      const reached = await linked([file]);
      for (const name of [...reached.values()].flat()) assert.ok(reached.has(name), `${file} reaches ${name}`);
    }
  for (const file of files.filter((each) => /\.d\.m?ts$/.test(each)))
    for (const [, name = ''] of readFileSync(path.join(ROOT, file), 'utf8').matchAll(/^(?:import|export)\b[^'"`;]*? from '([^']+)'/gm))
      assert.match(name, /^(\.{1,2}\/.*\.js|node:\w+)$/, file);
});

test('the licence of each package that is bundled goes with it', () => {
  const text = readFileSync(`${ROOT}/dist/THIRD-PARTY.txt`, 'utf8');
  for (const name of ['iconv-lite', 'safer-buffer', 'smol-toml', 'yargs', 'yargs-parser'])
    assert.match(text, new RegExp(`^${name} \\d`, 'm'));
  for (const entry of text.split(/^-{20,}$/m).slice(1)) assert.match(entry, /Permission|Redistribution/, entry.slice(0, 80));
});

test('the packed tables of character sets say what those of iconv-lite say', () => {
  const file = readdirSync(`${ROOT}/dist`).find((name) => /^charset-\w+\.cjs$/.test(name)) as string;
  const { decode } = createRequire(import.meta.url)(`${ROOT}/dist/${file}`) as { decode(octets: string, charset: string): string | null };
  for (const charset of ['gb18030', 'big5-hkscs', 'shift_jis', 'euc-jp', 'cp949', 'koi8-r', 'cp437', 'macroman']) {
    let known = 0;
    for (let pair = 0; pair < 65_536; pair++) {
      const octets = Buffer.from([0x41, pair >> 8, pair & 0xff, 0x42]);
      const decoder = iconv.getDecoder(charset, { stripBOM: false });
      const expected = decoder.write(octets) + (decoder.end() ?? '');
      const decoded = decode(octets.toString('latin1'), charset);
      if (decoded !== null) known++;
      assert.ok(decoded === null ? expected.includes('\ufffd') : decoded === expected, `${charset} ${pair.toString(16)}`);
    }
    assert.ok(known > 8000, `${charset} ${known}`);
  }
});

test('S12: every package of the lock file has a sum, and no address', () => {
  const lock = JSON.parse(readFileSync(`${ROOT}/package-lock.json`, 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly integrity?: string; readonly resolved?: string }>>;
  };
  const packages = Object.entries(lock.packages).filter(([name]) => name !== '');
  assert.ok(packages.length > 50);
  for (const [name, { integrity, resolved }] of packages) {
    assert.match(integrity ?? '', /^sha512-[\w+/]{86}==$/, name);
    assert.equal(resolved, undefined, name);
  }
});

test.run();
