/** What npm publishes, and what it installs from. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';

const test = suite('package');
const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Packed {
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

test('S10: the package holds commands, library, manual pages and nothing that was compiled on one machine', () => {
  assert.ok(existsSync(`${ROOT}/dist/compiled`), 'there is something to leave out');
  const argv = ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'];
  const { status, stdout, stderr } = spawnSync('npm', argv, { cwd: ROOT, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const [packed] = JSON.parse(stdout) as readonly Packed[];
  const files = (packed?.files ?? []).map((file) => file.path).sort();
  const own = /^dist\/(admin|lib)\//;
  const apart = readdirSync(`${ROOT}/dist`).filter((name) => /^(charset|bs|inspect)-\w+\.cjs$/.test(name));
  assert.equal(apart.length, 3);
  assert.deepEqual(
    files.filter((file) => !own.test(file)),
    [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'docs/callers.md',
      'docs/exim.md',
      ...[...apart, 'compile.cjs', 'main.cjs', 'nospool.mjs', 'sendmail.cjs'].map((name) => `dist/${name}`),
      'examples/nospool.example.toml',
      ...['nospool.1', 'nospool.toml.5', 'sendmail.nospool.8'].map((name) => `man/${name}`),
      'package.json',
    ].sort(),
  );
  for (const file of files.filter((each) => own.test(each))) assert.match(file, /^dist\/(admin\/[\w-]+\.mjs|lib\/[\w/.-]+(\.js|\.d\.ts))$/);
  // Every door of package.json is there.
  const { bin, exports } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as {
    readonly bin: Record<string, string>;
    readonly exports: Record<string, Record<string, string>>;
  };
  for (const door of [...Object.values(bin), ...Object.values(exports).flatMap((each) => Object.values(each))])
    assert.ok(files.includes(path.normalize(door)), door);
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
