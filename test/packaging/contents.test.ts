/** What the packages are made of, without installing them. Knows no system. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { scratch } from '../interop/support/daemon.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { makePackages, ROOT } from './support/packages.ts';

const test = suiteWith('packages', 'dpkg-deb', 'lintian', 'rpm', 'rpmlint');

const ALL = ['nospool', 'nospool-mta', 'nospool.rpm', 'nospool-mta.rpm'];
const everything = makePackages(ALL);
const made = Object.fromEntries(Object.entries(everything).filter(([, file]) => file.endsWith('.deb')));

interface Entry {
  readonly mode: string;
  readonly owner: string;
  /** With what a link leads to. */
  readonly path: string;
}

const list = (file: string): readonly Entry[] =>
  execFileSync('dpkg-deb', ['--contents', file], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => {
      const [mode = '', owner = '', , , , ...path] = line.split(/ +/);
      return { mode, owner, path: path.join(' ').slice(1) };
    });

test('the same commit makes the same packages, octet by octet, whoever makes them', () => {
  const again = makePackages(ALL, { TZ: 'Asia/Tokyo', LANG: 'C' });
  assert.deepEqual(Object.keys(everything).sort(), [...ALL].sort());
  for (const [name, file] of Object.entries(everything)) assert.ok(readFileSync(file).equals(readFileSync(again[name] as string)), name);
});

test('all is of root, nobody else may change it, and nothing is set-id', () => {
  for (const file of Object.values(made))
    for (const { mode, owner, path } of list(file)) {
      assert.equal(owner, 'root/root', path);
      assert.match(mode, /^(?:drwxr-xr-x|-rw-r--r--|-rwxr-xr-x|lrwxrwxrwx)$/, path);
    }
});

test('nospool-mta is links alone, and the places are those of policy 11.6', () => {
  const links = list(made['nospool-mta'] as string)
    .filter(({ mode }) => mode.startsWith('l'))
    .map(({ path }) => path);
  assert.deepEqual(links, [
    '/usr/bin/mailq -> ../sbin/sendmail',
    '/usr/bin/newaliases -> ../sbin/sendmail',
    '/usr/lib/sendmail -> ../sbin/sendmail',
    '/usr/sbin/sendmail -> ../lib/nospool/sendmail',
    '/usr/share/man/man1/mailq.1.gz -> ../man8/sendmail.nospool.8.gz',
    '/usr/share/man/man1/newaliases.1.gz -> ../man8/sendmail.nospool.8.gz',
    '/usr/share/man/man8/sendmail.8.gz -> sendmail.nospool.8.gz',
  ]);
});

test('nospool is the commands, manuals, completions and documents; neither the library nor what one machine compiled', () => {
  const folder = scratch('unpacked');
  execFileSync('dpkg-deb', ['-x', made.nospool as string, folder]);
  const home = `${folder}/usr/lib/nospool`;
  for (const name of readdirSync(home).filter((each) => each.endsWith('.cjs') && each !== 'sendmail.cjs'))
    assert.ok(readFileSync(`${home}/${name}`).equals(readFileSync(`${ROOT}/dist/${name}`)), name);
  const paths = list(made.nospool as string).map(({ path }) => path);
  for (const wanted of [
    '/etc/logrotate.d/nospool',
    '/usr/bin/nospool -> ../lib/nospool/nospool.mjs',
    '/usr/sbin/sendmail.nospool -> ../lib/nospool/sendmail',
    '/usr/share/bash-completion/completions/nospool',
    '/usr/share/zsh/vendor-completions/_nospool',
    '/usr/share/doc/nospool/copyright',
    '/usr/share/doc/nospool/examples/nospool.example.toml',
    ...readdirSync(`${ROOT}/man`).map((page) => `/usr/share/man/man${page.at(-1)}/${page}.gz`),
  ])
    assert.ok(paths.includes(wanted), wanted);
  assert.deepEqual(
    paths.filter((path) => /compiled|index\.mjs|nodemailer|\.d\.m?ts/.test(path)),
    [],
  );
  assert.match(readFileSync(`${home}/nospool.mjs`, 'latin1'), /^#!\/usr\/bin\/node\n/);
});

test('lintian finds no error', () => {
  const { status, stdout } = spawnSync('lintian', ['--allow-root', '--fail-on', 'error', ...Object.values(made)], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
  assert.doesNotMatch(stdout, /^E: /m);
});

test('rpmlint finds no error', () => {
  const rpms = Object.values(everything).filter((file) => file.endsWith('.rpm'));
  const { status, stdout, stderr } = spawnSync('rpmlint', ['-c', `${ROOT}/packaging/rpm/rpmlint.toml`, ...rpms], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, / 2 packages .* 0 errors, /);
});

test.run();
