/**
 * Finds who besides the trusted may change a file: by writing to it, or by replacing it, a link or a folder on the way to
 * it. Knows no program.
 */
import type { Stats } from 'node:fs';
import { nameInAccounts } from '../../trust/facts.ts';
import { isWithin, walkPath } from '../path-walk.ts';

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
  let isInSticky = false;
  for (const [at, stats] of walkPath(file, base)) {
    const isChecked = isWithin(at, base);
    if (isChecked && !trusted.uids.includes(stats.uid) && (isInSticky || !stats.isSymbolicLink()))
      return `${at} belongs to ${nameUser(stats.uid)}`;
    // The folder of a link stays the one where we are.
    if (stats.isSymbolicLink()) continue;
    isInSticky = stats.isDirectory() && (stats.mode & STICKY) !== 0;
    const by = isChecked && !(isInSticky && trusted.sticky) ? writersOf(stats, trusted) : null;
    if (by !== null) return `${at} may be changed by ${by} (mode ${(stats.mode & 0o7777).toString(8).padStart(4, '0')})`;
  }
  return null;
}

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
