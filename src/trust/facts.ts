/**
 * What `rules.ts` has to know of an open file and of the user who runs this, from the system; and why a file cannot be opened,
 * in words that name the cure. Decides nothing.
 */
import { readFileSync, type Stats, statSync } from 'node:fs';
import { type FileFacts, type FileKind, isPrivateGroup, mountOf, printMode, quoteForShell, type Runner, whyRefused } from './rules.ts';

/** The file's descriptor must be open as long as the facts are asked for. */
export function fileFactsOf(path: string, { uid, gid, mode, nlink }: Stats, fd: number): FileFacts {
  const euid = process.geteuid?.() ?? uid;
  return {
    path,
    uid,
    gid,
    mode: mode & 0o7777,
    links: nlink,
    isOwnGroup: () => gid === process.getegid?.() && isPrivateGroup(gid, euid, readText('/etc/group'), readText('/etc/passwd')),
    mount: () => mountOf(path, readText(`/proc/self/fdinfo/${fd}`), readText('/proc/self/mountinfo')),
  };
}

function readText(path: string): string {
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
export function whyOpenFileRefused(kind: FileKind, path: string, stats: Stats, fd: number, runner: Runner = runningUser()): string | null {
  if (!stats.isFile()) return 'is refused, because it is not a regular file';
  // Where there are no uids a mode says nothing.
  return process.geteuid === undefined ? null : whyRefused(kind, fileFactsOf(path, stats, fd), runner);
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
    return `${cannot}; its mode is ${printMode(stats.mode)}, its owner uid ${stats.uid} and gid ${stats.gid}: let this user read it, by its group for instance: chgrp GROUP ${quoteForShell(path)}; chmod g+r ${quoteForShell(path)}`;
  const folder = closedAbove(path);
  const closed = statOf(folder);
  return `${cannot}; a directory above it is closed to this user, ${folder}${closed === null ? '' : ` (mode ${printMode(closed.mode)}, owner uid ${closed.uid}): run chmod o+x ${quoteForShell(folder)}`}`;
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** The uid that a file belongs to, null when that cannot be seen. */
export const fileOwnerOf = (path: string): number | null => statOf(path)?.uid ?? null;

/** The nearest folder that can be looked at from outside. */
function closedAbove(path: string): string {
  const folder = path.slice(0, path.lastIndexOf('/')) || '/';
  return folder === '/' || statOf(folder) !== null ? folder : closedAbove(folder);
}
