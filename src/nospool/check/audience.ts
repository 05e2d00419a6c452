/**
 * Finds which users of this host can send by a configuration, from owner, group and mode of the files that it names. Opens
 * files only to see what they are, and asks no smart host.
 */

import { spawnSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { allHosts } from '../../config/facts.ts';
import type { Secret, Smarthost } from '../../router/smarthost.ts';
import { fileFactsOf, nameInAccounts, readAccounts } from '../../trust/facts.ts';
import { type FileKind, printMode, quoteForShell, whyRefused } from '../../trust/rules.ts';
import { findClosedFolder } from '../closed-folders.ts';

/** A file that a delivery reads. */
interface Needed {
  /** The key that names it. */
  readonly key: string;
  readonly path: string;
  readonly kind: FileKind;
}

/** A file that most users cannot read, because of its own mode or that of a folder above it. */
export interface Closed extends Needed {
  /** The file itself, or the folder. */
  readonly at: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** True if members of its group can read it. */
  readonly isOpenToGroup: boolean;
  /** A sentence that says how others can be let in. */
  readonly cure: string;
}

/** Root can always send, but where a file is missing. */
export interface Audience {
  /** Files that are not there, so that nobody can send. Alias files may be missing. */
  readonly missing: readonly Needed[];
  /** [] = every user can send. */
  readonly closed: readonly Closed[];
  /** When not every user can send: users besides root who can, and groups in all of which another user must be. */
  readonly users: readonly string[];
  readonly groups: readonly number[];
}

/** The uid of daemons that need no right. It owns no file. */
const NOBODY = 65_534;

/** `aliases`: alias files, and the files that they include. */
export function findAudience(config: Config, aliases: readonly { readonly kind: FileKind; readonly file: string }[]): Audience {
  const hosts = allHosts(config);
  const ofHosts = hosts.flatMap(listFiles);
  const isSecret = hosts.some(({ auth, link }) => [auth?.secret, link?.proxy?.secret].some((secret) => secret?.from === 'literal'));
  const needed: readonly Needed[] = [
    // Of several files each has a mode for what it holds.
    ...config.files.map((file) => ({
      key: 'the configuration',
      path: file,
      kind: isSecret && config.files.length === 1 ? ('literal' as const) : ('named' as const),
    })),
    ...ofHosts,
    ...aliases.map(({ kind, file }) => ({ key: kind === 'include' ? ':include:' : 'aliases', path: file, kind })),
  ];
  const distinct = onePerPath(needed);
  const closed = distinct.flatMap((each) => findClosed(each) ?? []);
  if (closed.length === 0) closed.push(...findUnreadable(distinct));
  return { missing: onePerPath(ofHosts).filter((each) => !existsSync(each.path)), closed, ...whoElseCan(closed) };
}

const onePerPath = (files: readonly Needed[]): readonly Needed[] => [...new Map(files.map((each) => [each.path, each])).values()];

function listFiles({ auth, link, tls }: Smarthost): readonly Needed[] {
  const secret = (key: string, from: Secret | undefined): Needed[] =>
    from?.from === 'file' && path.isAbsolute(from.path) ? [{ key, path: from.path, kind: 'password' }] : [];
  const pem = (key: string, file: string, kind: FileKind): Needed[] => (file === '' ? [] : [{ key, path: file, kind }]);
  return [
    ...secret(auth?.isToken ? 'token_file' : 'password_file', auth?.secret),
    ...secret('proxy_password_file', link?.proxy?.secret),
    ...pem('ca_file', tls.caFile, 'certificate'),
    ...pem('certificate', tls.certificate, 'certificate'),
    ...pem('certificate_key', tls.certificateKey, 'key'),
  ];
}

/** null when every user may read the file. Also when it is missing, because its reader reports that. */
function findClosed(needed: Needed): Closed | null {
  try {
    const folder = findClosedFolder(needed.path);
    if (folder !== undefined) {
      const stats = statSync(folder);
      return {
        ...describeClosed(needed, folder, stats, 0o010),
        cure: `run chmod o+x ${quoteForShell(folder)}, or move the file out of it`,
      };
    }
    const stats = statSync(needed.path);
    if ((stats.mode & 0o004) === 0) return { ...describeClosed(needed, needed.path, stats, 0o040), cure: findCure(needed, stats) };
    const refused = explainRefusal(needed, stats);
    return refused === null ? null : { ...describeClosed(needed, needed.path, stats, 0), cure: `for other users it ${refused}` };
  } catch {
    return null;
  }
}

const describeClosed = (needed: Needed, at: string, { uid, gid, mode }: Stats, groupBit: number): Omit<Closed, 'cure'> => ({
  ...needed,
  at,
  uid,
  gid,
  mode: mode & 0o7777,
  isOpenToGroup: (mode & groupBit) !== 0,
});

/** How others can be let in. A file without a secret may be opened to everybody, a secret to a group. */
function findCure({ kind, path: file }: Needed, { mode, gid }: Stats): string {
  if (!['password', 'key', 'literal'].includes(kind)) return `run chmod o+r ${quoteForShell(file)}`;
  // A group of Kubernetes or Docker has a number alone, and no members.
  if ((mode & 0o040) !== 0 && gid !== 0)
    return nameInAccounts('/etc/group', gid) === null
      ? `to let a process send, start it in group ${gid} (fsGroup, docker run --group-add)`
      : `to add one, run usermod -aG ${groupName(gid)} USER`;
  return `to let a group send, run chgrp GROUP ${quoteForShell(file)}; chmod g+r ${quoteForShell(file)}`;
}

/** Why nospool would refuse the file when another user runs it; null when it would not. */
function explainRefusal({ kind, path: file }: Needed, stats: Stats): string | null {
  let fd: number | null = null;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    return whyRefused(kind, fileFactsOf(file, stats, fd), { euid: stats.uid === NOBODY ? NOBODY - 1 : NOBODY });
  } catch {
    return null;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** Files that the user nobody cannot read although their modes allow it. Only an attempt shows access lists and labels. */
function findUnreadable(files: readonly Needed[]): readonly Closed[] {
  if (process.geteuid?.() !== 0 || files.length === 0) return [];
  const script = 'for file; do test ! -e "$file" || test -r "$file" || printf "%s\\0" "$file"; done';
  const { stdout } = spawnSync('/bin/sh', ['-c', script, 'sh', ...files.map((each) => each.path)], {
    uid: NOBODY,
    gid: NOBODY,
    cwd: '/',
    env: {},
    encoding: 'utf8',
    timeout: 5000,
  });
  const unread = (stdout ?? '').split('\0');
  return files
    .filter((each) => unread.includes(each.path))
    .map((each) => ({
      ...describeClosed(each, each.path, statSync(each.path), 0),
      cure: `its mode lets everybody read it, but uid ${NOBODY} was refused: is there an access list (getfacl), or another file system?`,
    }));
}

/** Users and groups who can read all of the closed files. */
function whoElseCan(closed: readonly Closed[]): Pick<Audience, 'users' | 'groups'> {
  const owners = new Set(closed.map(({ uid }) => uid));
  const [owner = 0] = owners;
  return {
    users: owners.size === 1 && owner !== 0 ? [userName(owner)] : [],
    groups: closed.every(({ isOpenToGroup }) => isOpenToGroup) ? [...new Set(closed.map(({ gid }) => gid))] : [],
  };
}

/* ---- names ---- */

const userName = (uid: number): string => nameInAccounts('/etc/passwd', uid) ?? `uid ${uid}`;
const groupName = (gid: number): string => nameInAccounts('/etc/group', gid) ?? `gid ${gid}`;

/** Names of its members, as far as /etc/passwd and /etc/group know them. */
function membersOf(group: string): readonly string[] {
  const row = readAccounts('/etc/group').find(([name]) => name === group);
  const primary = readAccounts('/etc/passwd').filter(([, , , gid]) => gid === row?.[2]);
  return [...new Set([...primary.map(([name = '']) => name), ...(row?.[3] ?? '').split(',')])].filter(
    (name) => name !== '' && name !== 'root',
  );
}

/* ---- for people ---- */

const MOST_MEMBERS = 6;

/** The users who can send, and a sentence for each file that keeps the others from it. */
export function printAudience({ missing, closed, users, groups }: Audience): { readonly can: string; readonly cannot: readonly string[] } {
  if (missing.length > 0) return { can: 'nobody', cannot: missing.map((each) => `anybody, because ${each.path} (${each.key}) is missing`) };
  if (closed.length === 0) return { can: 'all users', cannot: [] };
  const who = ['root', ...users, ...(groups.length === 0 ? [] : [groups.map(printGroup).join(' who are in ')])];
  const can = who.length === 1 ? 'root alone' : who.join(', ');
  return {
    can,
    cannot: closed.map(
      (each) =>
        `other users, because of ${each.path} (${each.key}): ${each.at === each.path ? 'its' : `${each.at}, its`} mode is ${printMode(each.mode)}, its owner ${userName(each.uid)}, its group ${groupName(each.gid)}; ${each.cure}`,
    ),
  };
}

function printGroup(gid: number): string {
  const group = nameInAccounts('/etc/group', gid);
  if (group === null) return `processes in group ${gid}`;
  const members = membersOf(group);
  const shown = members.slice(0, MOST_MEMBERS).join(', ');
  return `members of group ${group} (${members.length === 0 ? 'nobody is in it' : `${shown}${members.length > MOST_MEMBERS ? ', …' : ''}`})`;
}

export const audienceJson = ({ missing, closed, users, groups }: Audience): Readonly<Record<string, unknown>> => ({
  all: closed.length === 0 && missing.length === 0,
  users: missing.length === 0 ? ['root', ...users] : [],
  groups: missing.length === 0 ? groups.map(groupName) : [],
  missing: missing.map(({ path: file }) => file),
  closed: closed.map(({ key, path: file, at, uid, gid, mode, cure }) => ({
    key,
    path: file,
    at,
    owner: userName(uid),
    group: groupName(gid),
    mode: printMode(mode),
    detail: cure,
  })),
});
