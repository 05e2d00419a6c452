/** Packages that stand for what a system of rpm has: they let rpm find what ours require. Knows nothing of ours. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { scratch } from '../../interop/support/daemon.ts';
import { DEBIAN } from '../../interop/support/needs.ts';

export interface Stand {
  readonly name: string;
  readonly version: string;
  readonly epoch?: number;
  readonly provides: readonly string[];
  /** True for one that has the Node of the small system. */
  readonly hasNode?: boolean;
}

/** The file of the package. */
export function makeStand({ name, version, epoch = 0, provides, hasNode = false }: Stand): string {
  const folder = scratch('stand');
  mkdirSync(folder, { recursive: true });
  const spec = `Name: ${name}
Version: ${version}
Epoch: ${epoch}
Release: 1
Summary: stands for ${name}
License: MIT
AutoReqProv: no
${provides.map((each) => `Provides: ${each}`).join('\n')}
%description
It is for a test.
%install
mkdir -p %{buildroot}/usr/bin
${hasNode ? `cp ${DEBIAN[13]}/usr/bin/node %{buildroot}/usr/bin/node` : ''}
%files
${hasNode ? '/usr/bin/node' : ''}
`;
  writeFileSync(`${folder}/stand.spec`, spec);
  const settings = [
    `_topdir ${folder}`,
    '__os_install_post %{nil}',
    'debug_package %{nil}',
    '_build_id_links none',
    '_binary_payload w.ufdio',
  ];
  execFileSync('rpmbuild', ['-bb', '--quiet', ...settings.flatMap((each) => ['--define', each]), `${folder}/stand.spec`], {
    stdio: 'ignore',
  });
  const [made = ''] = readdirSync(`${folder}/RPMS`, { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('.rpm'));
  return `${folder}/RPMS/${made}`;
}
