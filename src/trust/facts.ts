/**
 * Gets from the system the facts that `rules.ts` needs of an open file and of the user who runs this; and says why a file
 * cannot be opened, in words that name the cure. Decides nothing.
 */
import { readFileSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { fileSystemOf } from './file-system.ts';
import {
  type FileFacts,
  type FileKind,
  isPrivateGroup,
  mountOf,
  printMode,
  quoteForShell,
  type Runner,
  rowsOf,
  whyRefused,
} from './rules.ts';

/** The file's descriptor must stay open while the caller asks for the facts. */
export function fileFactsOf(path: string, { uid, gid, mode, nlink }: Stats, fd: number): FileFacts {
  const euid = process.geteuid?.() ?? uid;
  return {
    path,
    uid,
    gid,
    mode: mode & 0o7777,
    links: nlink,
    fileSystem: fileSystemOf(fd),
    isOwnGroup: () => gid === process.getegid?.() && isPrivateGroup(gid, euid, readText('/etc/group'), readText('/etc/passwd')),
    mount: () => mountOf(path, readText(`/proc/self/fdinfo/${fd}`), readText('/proc/self/mountinfo')),
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // This is not Linux, or /proc is not mounted. Then nothing is known that would make a file better.
    return '';
  }
}

/**
 * Says why an open file of this kind must not be obeyed, as a sentence that continues its name; null if it may. `runner` is by
 * default the user who runs this.
 */
export function whyOpenFileRefused(kind: FileKind, path: string, stats: Stats, fd: number, runner: Runner = runningUser()): string | null {
  if (!stats.isFile()) return 'is refused, because it is not a regular file';
  // A mode says nothing where there are no uids. There only files are read that a program or its user has named.
  return process.geteuid === undefined ? null : whyRefused(kind, fileFactsOf(path, stats, fd), runner);
}

export const runningUser = (other: number | null = null): Runner => ({ euid: process.geteuid?.() ?? 0, other });

/** Says why the system does not let us read a file, as a sentence that continues its name. */
export function whyUnread(path: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist';
  if (code !== 'EACCES' && code !== 'EPERM') return `cannot be read (${code})`;
  const cannot = `cannot be read by uid ${process.geteuid?.()}`;
  const stats = statOf(path);
  if (stats !== null)
    return `${cannot}; its mode is ${printMode(stats.mode)}, its owner uid ${stats.uid} and gid ${stats.gid}: ${findCure(path, stats)}`;
  const folder = closedAbove(path);
  const closed = statOf(folder);
  return `${cannot}; a directory above it is closed to this user, ${folder}${closed === null ? '' : ` (mode ${printMode(closed.mode)}, owner uid ${closed.uid}): run chmod o+x ${quoteForShell(folder)}`}`;
}

/** Says what lets this user read the file. A group that may read it was made for that; the group of root is never the cure. */
function findCure(path: string, { mode, gid }: Stats): string {
  const group = gid === 0 || (mode & 0o040) === 0 ? null : nameInAccounts('/etc/group', gid);
  return group === null
    ? `let this user read it, by its group for instance: chgrp GROUP ${quoteForShell(path)}; chmod g+r ${quoteForShell(path)}`
    : `put this user into group ${group}: usermod -aG ${group} ${nameInAccounts('/etc/passwd', process.geteuid?.() ?? 0) ?? 'USER'}`;
}

/** Reads the rows of /etc/passwd or /etc/group; none where it cannot be read. */
export const readAccounts = (file: '/etc/passwd' | '/etc/group'): readonly (readonly string[])[] => rowsOf(readText(file));

/** Returns the name that such a file has for a number; null where it has none. */
export const nameInAccounts = (file: '/etc/passwd' | '/etc/group', id: number): string | null =>
  readAccounts(file).find(([, , own]) => own === String(id))?.[0] || null;

function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** Returns the uid that a file belongs to; null if nobody can see it. */
export const fileOwnerOf = (path: string): number | null => statOf(path)?.uid ?? null;

/** Returns the nearest folder above whose facts can be read; where links lead elsewhere, above that. */
function closedAbove(path: string): string {
  const folder = path.slice(0, path.lastIndexOf('/')) || '/';
  try {
    const target = readlinkSync(path);
    return closedAbove(target[0] === '/' ? target : `${folder}/${target}`);
  } catch {
    // It is no link, or above it is the closed folder.
  }
  return statOf(folder) === null ? closedAbove(folder) : folder;
}
