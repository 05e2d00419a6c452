/** Packages as `npm run package` makes them, each into a folder of the test's own. Knows no system to install them in. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { scratch } from '../../interop/support/daemon.ts';
import { bun } from '../../interop/support/needs.ts';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const VERSION = (JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as { readonly version: string }).version;

/** The files that were made, by the names of their packages. */
export function makePackages(names: readonly string[], env: NodeJS.ProcessEnv = {}): Readonly<Record<string, string>> {
  const folder = scratch('packages');
  execFileSync(process.execPath, ['--import', 'tsx', 'packaging/package.ts', ...names], {
    cwd: ROOT,
    env: { ...process.env, ...(bun() === undefined ? {} : { BUN: bun() }), PACKAGE_OUT: folder, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return Object.fromEntries(readdirSync(folder).map((name) => [nameOf(name), path.join(folder, name)]));
}

/** As `npm run package` takes it. */
const nameOf = (file: string): string =>
  file.endsWith('.deb') ? (file.split('_')[0] as string) : file.endsWith('.rpm') ? file.replace(/-\d.*$/, '.rpm') : 'one-file';

/** The package of a later version, whose program ends at once where an older process reads it, and whose rare parts have other names. */
export function makeLater(file: string, version: string): string {
  const folder = scratch('later');
  execFileSync('dpkg-deb', ['-R', file, folder]);
  const control = `${folder}/DEBIAN/control`;
  writeFileSync(control, readFileSync(control, 'utf8').replaceAll(VERSION, version));
  const home = `${folder}/usr/lib/nospool`;
  if (existsSync(home)) replaceProgram(home);
  const made = `${folder}.deb`;
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', folder, made], { stdio: 'ignore' });
  return made;
}

function replaceProgram(home: string): void {
  for (const name of readdirSync(home).filter((each) => /^(charset|speak|inspect)-/.test(each)))
    renameSync(`${home}/${name}`, `${home}/${name.replace(/-./, '-z')}`);
  const main = readFileSync(`${home}/main.cjs`, 'latin1');
  writeFileSync(
    `${home}/main.cjs`,
    main.replaceAll(/\b(charset|speak|inspect)-.(?=[0-9a-f]{11}\.cjs)/g, '$1-z').replaceAll('Mail queue is empty', 'Mail queue is EMPTY'),
    'latin1',
  );
}
