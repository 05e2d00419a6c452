/** Makes an rpm of a tree of files, by rpmbuild. Knows no content. */
import { spawnSync } from 'node:child_process';
import { lstatSync, lutimesSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Described } from './deb.ts';
import { epoch, HOMEPAGE, license, MAINTAINER, OUT, report, type Tree, version } from './project.ts';

export interface RpmOf {
  /** Lines of the preamble: what it requires, provides, and so on. */
  readonly tags: readonly string[];
  /** The file with its scriptlets; null = it has none. */
  readonly scripts: string | null;
  /** Folders that are its own, with all that is in them. */
  readonly folders: readonly string[];
  /** Files of the tree that are not in the package: a scriptlet makes them, and they belong to it all the same. */
  readonly ghosts: readonly string[];
}

/** Nothing of the system it is made on gets in: rpmbuild neither looks for dependencies, nor strips, nor puts down the host's name or the time. */
const SETTINGS = {
  _buildhost: 'nospool',
  use_source_date_epoch_as_buildtime: '1',
  clamp_mtime_to_source_date_epoch: '1',
  __os_install_post: '%{nil}',
  debug_package: '%{nil}',
  _build_id_links: 'none',
};

/** rpm sorts what is behind a tilde before the release itself. */
export const VERSION = version.replaceAll('-', '~');
const RELEASE = process.env.PACKAGE_RELEASE ?? '1';

/** A word of the list of files: rpm takes patterns there. */
function printFile(tree: Tree, file: string, { folders, ghosts }: RpmOf): string | null {
  const { mode } = lstatSync(file);
  const place = `/${path.relative(tree.folder, file)}`;
  const isFolder = (mode & 0o170_000) === 0o040_000;
  if (isFolder && !folders.some((folder) => place === folder || place.startsWith(`${folder}/`))) return null;
  const kinds = [
    ...(isFolder ? ['%dir'] : []),
    ...(ghosts.includes(place) ? ['%ghost'] : []),
    ...(place.startsWith('/etc/') && !isFolder ? ['%config(noreplace)'] : []),
    ...(/^\/usr\/share\/(?:doc|man)\//.test(place) && !isFolder ? ['%doc'] : []),
    ...(place.startsWith('/usr/share/licenses/') && !isFolder ? ['%license'] : []),
  ];
  const isLink = (mode & 0o170_000) === 0o120_000;
  return `%attr(${isLink ? '-' : (mode & 0o777).toString(8)},root,root) ${[...kinds, place].join(' ')}`;
}

function printSpec(tree: Tree, { name, summary, text }: Described, of: RpmOf): string {
  const files = tree.list().flatMap((file) => printFile(tree, file, of) ?? []);
  return `Name: ${name}
Version: ${VERSION}
Release: ${RELEASE}
Summary: ${summary}
License: ${license}
URL: ${HOMEPAGE}
Packager: ${MAINTAINER}
AutoReqProv: no
${of.tags.join('\n')}

%description
${text.trim()}

%install
cp -a ${path.resolve(tree.folder)}/. %{buildroot}

${of.scripts === null ? '' : readFileSync(of.scripts, 'utf8')}
%files
${files.join('\n')}

%changelog
* ${new Date(epoch * 1000).toUTCString().replace(/^(...), (..) (...) (....) .*$/, '$1 $3 $2 $4')} ${MAINTAINER} - ${VERSION}-${RELEASE}
- See CHANGELOG.md.
`;
}

export function buildRpm(tree: Tree, described: Described, of: RpmOf): void {
  const { name, architecture } = described;
  const top = path.resolve(`${OUT}/stage/rpmbuild/${name}`);
  mkdirSync(top, { recursive: true });
  for (const file of tree.list()) lutimesSync(file, epoch, epoch);
  writeFileSync(`${top}/${name}.spec`, printSpec(tree, described, of));
  const settings = { ...SETTINGS, _topdir: top, _binary_payload: process.env.PACKAGE_COMPRESSION === 'none' ? 'w.ufdio' : 'w9.xzdio' };
  const argv = ['-bb', '--quiet', '--target', architecture === 'all' ? 'noarch' : 'x86_64', `${top}/${name}.spec`];
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch) };
  const { status, stderr } = spawnSync(
    'rpmbuild',
    [...Object.entries(settings).flatMap(([key, value]) => ['--define', `${key} ${value}`]), ...argv],
    {
      env,
      encoding: 'utf8',
    },
  );
  // It also warns, of the links to /etc/alternatives for example, which are as they must be.
  if (status !== 0) throw new Error(`rpmbuild failed: ${stderr}`);
  for (const file of readdirSync(`${top}/RPMS`, { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('.rpm'))) {
    const made = `${OUT}/${path.basename(file)}`;
    rmSync(made, { force: true });
    renameSync(`${top}/RPMS/${file}`, made);
    report(made);
  }
}
