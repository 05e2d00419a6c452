/** Finds out what other programs run as /usr/sbin/sendmail. Runs nothing. */
import { closeSync, constants, openSync, readSync, realpathSync } from 'node:fs';
import { VERSION } from '../../process/version.ts';

export const SENDMAIL = '/usr/sbin/sendmail';

/** What stands there. */
export interface InPlace {
  /** The file, behind all links; null = there is none. */
  readonly file: string | null;
  /** The version of nospool that it is; null = it is another program. */
  readonly version: string | null;
}

/** Octets in which our scripts say what they are. */
const HEAD = 1024;

/** `path` is for tests. */
export function findInPlace(path = SENDMAIL): InPlace {
  let fd: number | null = null;
  try {
    const file = realpathSync(path);
    // The program in one file is its own runtime, and its name tells which command it is.
    if (file === process.execPath) return { file, version: VERSION };
    // A named pipe must not be waited for.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const head = Buffer.alloc(HEAD);
    const text = head.toString('latin1', 0, readSync(fd, head));
    const [, version = null] = /^#.*\bnospool (\d+\.\d+\.\d+[\w.-]*)/m.exec(text) ?? [];
    return { file, version };
  } catch (error) {
    return { file: (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : path, version: null };
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** One line for people. */
export function printInPlace({ file, version }: InPlace): string {
  if (file === null) return `there is no ${SENDMAIL}; run nospool install`;
  if (version === null) return `${SENDMAIL} is another program${file === SENDMAIL ? '' : ` (${file})`}; run nospool install`;
  return version === VERSION
    ? `${SENDMAIL} is this nospool, ${version}`
    : `${SENDMAIL} is nospool ${version}, and this is ${VERSION}; run nospool install`;
}
