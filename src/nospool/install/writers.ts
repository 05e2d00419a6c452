/**
 * Finds who besides the trusted may change a file: by writing to it, or by replacing it, a link or a folder on the way to
 * it. Knows no program.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';
import { nameInAccounts } from '../../trust/facts.ts';

/** Linux follows as many. */
const MOST_LINKS = 40;
const FOR_GROUP = 0o020;
const FOR_ALL = 0o002;
/** In such a folder, as in /tmp, only the owner of a file may replace it, whoever may write there. */
const STICKY = 0o1000;

/** Users and groups who may change it. */
export interface Trusted {
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  /**
   * True if a sticky folder may lie on the way, because what is in it stays. A running system removes files from /tmp after
   * some days, and then anybody may put another there.
   */
  readonly sticky: boolean;
}

/**
 * A sentence about the first thing on the way to the file that others may change, or null. `base` is the root of a system
 * that is not running yet: links lead where they will lead there, and folders above it do not count. Throws the system's
 * error.
 */
export function describeDanger(file: string, trusted: Trusted, base = '/'): string | null {
  const left = path.resolve(file).split('/');
  let at = '/';
  let isInSticky = false;
  let links = 0;
  for (;;) {
    const stats = lstatSync(at);
    const isChecked = isWithin(at, base);
    if (isChecked && !trusted.uids.includes(stats.uid) && (isInSticky || !stats.isSymbolicLink()))
      return `${at} belongs to ${nameUser(stats.uid)}`;
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > MOST_LINKS) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
      const target = readlinkSync(at);
      left.unshift(...target.split('/'));
      if (target.startsWith('/')) [at, isInSticky] = [isChecked ? base : '/', false];
      else at = path.dirname(at);
    } else {
      isInSticky = stats.isDirectory() && (stats.mode & STICKY) !== 0;
      const by = isChecked && !(isInSticky && trusted.sticky) ? writersOf(stats, trusted) : null;
      if (by !== null) return `${at} may be changed by ${by} (mode ${(stats.mode & 0o7777).toString(8).padStart(4, '0')})`;
    }
    let name = left.shift();
    while (name === '' || name === '.') name = left.shift();
    if (name === undefined) return null;
    at = name === '..' ? path.dirname(at) : path.join(at, name);
  }
}

const isWithin = (file: string, base: string): boolean => base === '/' || file === base || file.startsWith(`${base}/`);

/** Users besides the owner who may write there. */
function writersOf({ mode, gid }: Stats, trusted: Trusted): string | null {
  if ((mode & FOR_ALL) !== 0) return 'everybody';
  return (mode & FOR_GROUP) !== 0 && !trusted.gids.includes(gid) ? `group ${gid}` : null;
}

/** The user's name from the password file, for people. */
function nameUser(uid: number): string {
  const name = nameInAccounts('/etc/passwd', uid);
  return name === null ? `uid ${uid}` : `${name} (uid ${uid})`;
}
