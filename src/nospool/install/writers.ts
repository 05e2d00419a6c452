/**
 * Who besides the trusted may change a file: by writing to it, or by putting another in its place in any folder that
 * leads to it, through every link. Knows no program.
 */
import { lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';

/** As many as Linux follows. */
const MOST_LINKS = 40;
const FOR_GROUP = 0o020;
const FOR_ALL = 0o002;
/** In such a folder only its owner may replace a file, whoever may write there: /tmp. */
const STICKY = 0o1000;

/** Who may change it. */
export interface Trusted {
  readonly uids: readonly number[];
  readonly gids: readonly number[];
}

/**
 * A sentence about the first thing on the way to the file that others may change, or null. `base` is
 * the root of a system that is being made: links lead where they will lead there, and folders above it do not count.
 * Throws what the system says.
 */
export function whatOthersMayChange(file: string, trusted: Trusted, base = '/'): string | null {
  const left = path.resolve(file).split('/');
  let at = '/';
  let inSticky = false;
  let links = 0;
  for (;;) {
    const stats = lstatSync(at);
    const counts = isWithin(at, base);
    if (counts && !trusted.uids.includes(stats.uid) && (inSticky || !stats.isSymbolicLink()))
      return `${at} belongs to ${nameUser(stats.uid)}`;
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > MOST_LINKS) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
      const target = readlinkSync(at);
      left.unshift(...target.split('/'));
      if (target.startsWith('/')) [at, inSticky] = [counts ? base : '/', false];
      else at = path.dirname(at);
    } else {
      inSticky = stats.isDirectory() && (stats.mode & STICKY) !== 0;
      const by = counts && !inSticky ? writersOf(stats, trusted) : null;
      if (by !== null) return `${at} may be changed by ${by} (mode ${(stats.mode & 0o7777).toString(8).padStart(4, '0')})`;
    }
    let name = left.shift();
    while (name === '' || name === '.') name = left.shift();
    if (name === undefined) return null;
    at = name === '..' ? path.dirname(at) : path.join(at, name);
  }
}

const isWithin = (file: string, base: string): boolean => base === '/' || file === base || file.startsWith(`${base}/`);

/** Who may write there besides the owner. */
function writersOf({ mode, gid }: Stats, trusted: Trusted): string | null {
  if ((mode & FOR_ALL) !== 0) return 'everybody';
  return (mode & FOR_GROUP) !== 0 && !trusted.gids.includes(gid) ? `group ${gid}` : null;
}

/** As the password file has it, for people. */
function nameUser(uid: number): string {
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((each) => each.split(':')[2] === String(uid));
    if (line !== undefined) return `${line.split(':')[0]} (uid ${uid})`;
  } catch {
    // The number says it, too.
  }
  return `uid ${uid}`;
}
