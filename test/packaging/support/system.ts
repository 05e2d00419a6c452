/**
 * A small Debian as a client of the network: its root is a copy of what packaging/roots.sh made, gone when the client is. Programs run in it by
 * chroot. Knows no mail.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DEBIAN } from '../../interop/support/needs.ts';
import type { Client, Ran } from '../../world/support/network.ts';

export interface SystemOptions {
  readonly uid?: number;
  readonly gid?: number;
  readonly groups?: readonly number[];
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
}

export interface System {
  /** Shell text in the system; root unless `uid` says who. */
  run(script: string, options?: SystemOptions): Promise<Ran>;
  /** As `run`, and throws where the status is not 0. The value is standard output. */
  must(script: string, options?: SystemOptions): Promise<string>;
  write(file: string, text: string | Buffer, mode?: string, owner?: string): Promise<void>;
  /** Makes the whole root read-only, as that of a container may be, or writable again. */
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Copies a package into the system. The value is its path there. */
  take(file: string): Promise<string>;
}

/** Daemons that packages bring are not started, and apt asks nobody. */
const PREPARE = `printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
printf 'APT::Sandbox::User "root";\\nDpkg::Use-Pty "0";\\nDPkg::Options { "--force-unsafe-io"; };\\n' >etc/apt/apt.conf.d/99tests`;

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export async function startSystem(client: Client, release: keyof typeof DEBIAN, hosts: string): Promise<System> {
  const folder = `${client.folder}/system`;
  const root = `${folder}/root`;
  const script = `set -e
mkdir ${folder}
mount -t tmpfs -o mode=755 tmpfs ${folder}
cd ${folder}
mkdir upper work root
mount -t overlay overlay -o lowerdir=${DEBIAN[release]},upperdir=$PWD/upper,workdir=$PWD/work root
cd root
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs tmp
cat >etc/hosts
rm -f etc/resolv.conf
echo 'nameserver 192.0.2.2' >etc/resolv.conf
echo web1 >etc/hostname
${PREPARE}`;
  const made = await client.run(['sh', '-c', script], { uid: 0, env: { PATH }, input: `127.0.0.1 localhost\n${hosts}` });
  if (made.status !== 0) throw new Error(`the system was not made: ${made.stderr}`);
  const run = (text: string, { uid = 0, gid = uid, groups = [], input = '', env = {} }: SystemOptions = {}): Promise<Ran> =>
    client.run(['chroot', `--userspec=${uid}:${gid}`, `--groups=${groups.join()}`, root, 'sh', '-c', text], {
      uid: 0,
      input,
      // A package manager may take minutes on a busy machine.
      within: 200_000,
      env: { PATH, DEBIAN_FRONTEND: 'noninteractive', LANG: 'C', ...env },
    });
  const must = async (text: string, options: SystemOptions = {}): Promise<string> => {
    const { status, stdout, stderr } = await run(text, options);
    if (status !== 0) throw new Error(`${text}: ${status}\n${stdout}\n${stderr}`);
    return stdout;
  };
  const write = async (file: string, text: string | Buffer, mode = '644', owner = 'root:root'): Promise<void> => {
    await must(`mkdir -p $(dirname ${file}) && cat >${file} && chmod ${mode} ${file} && chown ${owner} ${file}`, { input: text });
  };
  const take = async (file: string): Promise<string> => {
    const place = `/tmp/${path.basename(file)}`;
    await write(place, readFileSync(file));
    return place;
  };
  const remount = async (how: 'ro' | 'rw'): Promise<void> => {
    for (const mount of [root, `${root}/tmp`]) {
      const { status, stderr } = await client.run(['mount', '-o', `remount,${how}`, mount], { uid: 0, env: { PATH } });
      if (status !== 0) throw new Error(stderr);
    }
  };
  return { run, must, write, take, seal: () => remount('ro'), unseal: () => remount('rw') };
}
