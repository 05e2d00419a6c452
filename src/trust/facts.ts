/**
 * Gets from the system the facts that `rules.ts` needs of an open file and of the user who runs this; and says why a file
 * cannot be opened, in words that name the cure. Decides nothing.
 */
import { readFileSync, type Stats, statfsSync, statSync } from 'node:fs';
import { type FileFacts, type FileKind, isPrivateGroup, mountOf, printMode, quoteForShell, type Runner, whyRefused } from './rules.ts';

/** The file's descriptor must stay open while the caller asks for the facts. */
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
  const type = fileSystemOf(fd);
  if (type === PROCFS) return 'is refused, because it is on procfs, where root owns what any program has written: copy it to a file';
  if (type === FUSE && kind === 'argument')
    return 'is refused, because it is on FUSE, where whoever has mounted it says who owns a file, and -C names it: copy it to another file system';
  // A mode says nothing where there are no uids.
  return process.geteuid === undefined ? null : whyRefused(kind, fileFactsOf(path, stats, fd), runner);
}

/** Types of file systems on which an owner proves nothing, by statfs(2). */
const [PROCFS, FUSE] = [0x9fa0, 0x6573_5546];

/** Returns the type of the file system that holds an open file; null where nobody can tell. */
function fileSystemOf(fd: number): number | null {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type;
  } catch {
    // Without /proc there is no file of it either.
    return null;
  }
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
  const group = gid === 0 || (mode & 0o040) === 0 ? null : nameOf(gid, '/etc/group');
  return group === null
    ? `let this user read it, by its group for instance: chgrp GROUP ${quoteForShell(path)}; chmod g+r ${quoteForShell(path)}`
    : `put this user into group ${group}: usermod -aG ${group} ${nameOf(process.geteuid?.() ?? 0, '/etc/passwd') ?? 'USER'}`;
}

/** Returns the name that group(5) or passwd(5) has for a number. */
const nameOf = (id: number, file: string): string | null =>
  readText(file)
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

/** Returns the uid that a file belongs to; null if nobody can see it. */
export const fileOwnerOf = (path: string): number | null => statOf(path)?.uid ?? null;

/** Returns the nearest folder above whose facts can be read. */
function closedAbove(path: string): string {
  const folder = path.slice(0, path.lastIndexOf('/')) || '/';
  return folder === '/' || statOf(folder) !== null ? folder : closedAbove(folder);
}
