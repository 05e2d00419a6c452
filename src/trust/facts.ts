/**
 * What `rules.ts` has to know of an open file and of the user who runs this, from the system; and why a file cannot be opened,
 * in words that name the cure. Decides nothing.
 */
import { readFileSync, type Stats, statSync } from 'node:fs';
import { type FileFacts, type FileKind, isPrivateGroup, mountOf, printMode, quoted, type Runner, refusalOf } from './rules.ts';

/** The file's descriptor must be open as long as the facts are asked for. */
export function factsOf(path: string, { uid, gid, mode, nlink }: Stats, fd: number): FileFacts {
  const euid = process.geteuid?.() ?? uid;
  return {
    path,
    uid,
    gid,
    mode: mode & 0o7777,
    links: nlink,
    isOwnGroup: () => gid === process.getegid?.() && isPrivateGroup(gid, euid, textOf('/etc/group'), textOf('/etc/passwd')),
    mount: () => mountOf(path, textOf(`/proc/self/fdinfo/${fd}`), textOf('/proc/self/mountinfo')),
  };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not Linux, or not mounted: then nothing is known that would make a file better.
    return '';
  }
}

/**
 * Why an open file of this kind must not be obeyed, a sentence that continues its name; null when it may be. `runner` is by
 * default the user who runs this.
 */
export function refuseFile(kind: FileKind, path: string, stats: Stats, fd: number, runner: Runner = runningUser()): string | null {
  if (!stats.isFile()) return 'is refused, because it is not a regular file';
  // Where there are no uids a mode says nothing.
  return process.geteuid === undefined ? null : refusalOf(kind, factsOf(path, stats, fd), runner);
}

export const runningUser = (other: number | null = null): Runner => ({ euid: process.geteuid?.() ?? 0, other });

/** Why the system does not let us read a file, a sentence that continues its name. */
export function whyUnread(path: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist';
  if (code !== 'EACCES' && code !== 'EPERM') return `cannot be read (${code})`;
  const cannot = `cannot be read by uid ${process.geteuid?.()}`;
  const stats = statOf(path);
  if (stats !== null)
    return `${cannot}; its mode is ${printMode(stats.mode)}, its owner uid ${stats.uid} and gid ${stats.gid}: ${cureOf(path, stats)}`;
  const folder = closedAbove(path);
  const closed = statOf(folder);
  return `${cannot}; a directory above it is closed to this user, ${folder}${closed === null ? '' : ` (mode ${printMode(closed.mode)}, owner uid ${closed.uid}): run chmod o+x ${quoted(folder)}`}`;
}

/** A group that may read the file was made for that; the group of root is never the cure. */
function cureOf(path: string, { mode, gid }: Stats): string {
  const group = gid === 0 || (mode & 0o040) === 0 ? null : nameOf(gid, '/etc/group');
  return group === null
    ? `let this user read it, by its group for instance: chgrp GROUP ${quoted(path)}; chmod g+r ${quoted(path)}`
    : `put this user into group ${group}: usermod -aG ${group} ${nameOf(process.geteuid?.() ?? 0, '/etc/passwd') ?? 'USER'}`;
}

/** The name that group(5) or passwd(5) has for a number. */
const nameOf = (id: number, file: string): string | null =>
  textOf(file)
    .split('\n')
    .find((line) => line.split(':')[2] === String(id))
    ?.split(':')[0] ?? null;

function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** The uid that a file belongs to, null when that cannot be seen. */
export const ownerOf = (path: string): number | null => statOf(path)?.uid ?? null;

/** The nearest folder that can be looked at from outside. */
function closedAbove(path: string): string {
  const folder = path.slice(0, path.lastIndexOf('/')) || '/';
  return folder === '/' || statOf(folder) !== null ? folder : closedAbove(folder);
}
