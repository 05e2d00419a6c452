/**
 * Standard input as a Source: each kind of descriptor is read in the way that neither blocks the process nor keeps
 * it alive. Knows no message.
 */
import { fstatSync, type Stats } from 'node:fs';
import type { Input } from '../../message/source.ts';
import { HUNG_UP, isLivingTerminal, isTerminalDevice, openSequential, openTerminal } from './device.ts';
import { type FilePlace, openRegularFile } from './file.ts';
import { openPipe, openSocket } from './pipe.ts';
import { endedSource, endOf } from './read-error.ts';

export interface Stdin extends Input {
  readonly isTerminal: boolean;
  /** Whether another process may be writing: a pipe or a socket. */
  readonly hasWriter: boolean;
  /** The local port of a socket of IPv4 or IPv6, as inetd sets it up, 0 if the port cannot be found out; null for anything else. */
  readonly inetdPort: number | null;
  /** Only a regular file has one. */
  readonly place?: FilePlace;
}

/** The facts of a descriptor that is neither a terminal nor written to by another process. */
const QUIET = { isTerminal: false, hasWriter: false, inetdPort: null };

/**
 * Opens descriptor 0 (or another, which closing may close). Nothing is read before the first `read`, except from a socket. A
 * read that fails ends the source as failed, with the system's reason; so does the first read of a directory or of a
 * descriptor that is not open. A `read` while one waits has the same answer; a read of a file never waits.
 *
 * After `close` a read that waits keeps no process alive in Node. In Bun it does: end the process by `process.exit`,
 * which is prompt there.
 */
export function openStdin(fd = 0): Stdin {
  let stat: Stats;
  try {
    stat = fstatSync(fd);
  } catch (error) {
    return { ...endedSource(endOf(error)), ...QUIET };
  }
  if (stat.isFile()) return { ...openRegularFile(fd, stat), ...QUIET };
  if (stat.isFIFO()) return { ...openPipe(fd), ...QUIET, hasWriter: true };
  if (stat.isSocket()) return { ...openSocket(fd), isTerminal: false, hasWriter: true };
  if (isLivingTerminal(fd, stat)) return { ...openTerminal(fd), ...QUIET, isTerminal: true };
  if (isTerminalDevice(stat)) return { ...endedSource(HUNG_UP), ...QUIET };
  return { ...openSequential(fd), ...QUIET };
}
