/** Makes a Debian package of a tree of files. Knows no content. */
import { execFileSync } from 'node:child_process';
import { lstatSync, lutimesSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { epoch, gzip, HOMEPAGE, license, MAINTAINER, OUT, report, type Tree, version } from './project.ts';

/** A Debian changelog has one entry a version; what changed is told in the file that people read. */
const printChangelog = (): string => `nospool (${version}) unstable; urgency=medium

  * See /usr/share/doc/nospool/CHANGELOG.md.gz.

 -- ${MAINTAINER}  ${new Date(epoch * 1000).toUTCString().replace('GMT', '+0000')}
`;

/** Blank lines are not allowed in a field of several lines. */
const printField = (text: string): string =>
  text
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line}`))
    .join('\n');

const printCopyright = (others: string): string => `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: nospool
Source: ${HOMEPAGE}

Files: *
Copyright: ${/^Copyright \(c\) (.*)$/m.exec(readFileSync('LICENSE', 'utf8'))?.[1]}
License: ${license}
${printField(readFileSync('LICENSE', 'utf8').split('\n').slice(4).join('\n'))}
${others === '' ? '' : `Comment:\n${printField(others)}\n`}`;

/** What no Debian package may do without: copyright and changelog. */
export function addDebianDocumentation(tree: Tree, name: string, others = ''): void {
  tree.write(`usr/share/doc/${name}/copyright`, printCopyright(others));
  tree.write(`usr/share/doc/${name}/changelog.gz`, gzip(printChangelog()));
}

/** What a package is called and says of itself. */
export interface Described {
  readonly name: string;
  readonly architecture: 'all' | 'amd64';
  readonly summary: string;
  readonly text: string;
}

export interface DebOf {
  readonly fields: Readonly<Record<string, string>>;
  /** Maintainer scripts and the like, by their names. */
  readonly scripts: Readonly<Record<string, string>>;
}

export function buildDeb(tree: Tree, { name, architecture, summary, text }: Described, { fields, scripts }: DebOf): void {
  const rows = {
    Package: name,
    Version: version,
    Architecture: architecture,
    Maintainer: MAINTAINER,
    'Installed-Size': String(tree.sizeInKib()),
    ...fields,
    Section: 'mail',
    Priority: 'optional',
    Homepage: HOMEPAGE,
    Description: `${summary}\n${printField(text)}`,
  };
  const sums = tree
    .list()
    .filter((file) => lstatSync(file).isFile())
    .map((file) => `${execFileSync('md5sum', [file], { encoding: 'utf8' }).slice(0, 32)}  ${path.relative(tree.folder, file)}\n`);
  const conffiles = tree.list().filter((file) => lstatSync(file).isFile() && path.relative(tree.folder, file).startsWith('etc/'));
  tree.write('DEBIAN/md5sums', sums.join(''));
  if (conffiles.length > 0) tree.write('DEBIAN/conffiles', conffiles.map((file) => `/${path.relative(tree.folder, file)}\n`).join(''));
  tree.write(
    'DEBIAN/control',
    Object.entries(rows)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(''),
  );
  for (const [script, file] of Object.entries(scripts)) tree.copy(`DEBIAN/${script}`, file, script === 'triggers' ? 0o644 : 0o755);
  for (const file of tree.list()) lutimesSync(file, epoch, epoch);
  const made = `${OUT}/${name}_${version}_${architecture}.deb`;
  const argv = ['--root-owner-group', `-Z${process.env.PACKAGE_COMPRESSION ?? 'xz'}`, '--build', tree.folder, made];
  execFileSync('dpkg-deb', argv, { env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) }, stdio: ['ignore', 'ignore', 'inherit'] });
  report(made);
}
