/** A regular file, which can be read again, and whose descriptor whoever started us may read on from. Knows no message. */

import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { CLEAN, type Ended, type Input, type Source } from '../../message/source.ts';
import { fileSystemOf } from '../../trust/file-system.ts';
import { openSequential } from './device.ts';
import { endOf } from './read-error.ts';

/** The place at which the descriptor of a file stands: whoever started us may read on from there. */
export interface FilePlace {
  /** Lets it move with the octets that are read. */
  follow(): void;
  /** Moves it to so many octets behind where it stood, or (null) to the end of the file. */
  moveTo(octets: number | null, signal: Pick<AbortSignal, 'aborted'>): Promise<void>;
}

/** One read takes so many octets until other memory is named. The replay window needs a few of these reads, and they read little beyond it. */
const FILE_CHUNK = 64 * 1024;
/** The descriptor moves by so many octets at once, so that a signal is heard in between. */
const MOVED_AT_ONCE = 1024 * 1024;
/** Room for a file of /proc, which has no size and is read all the same, and for the end of any other. */
const LEAST_ROOM = 4096;

const SHRUNK: Ended = {
  end: 'failed',
  detail: 'the file became shorter while it was read, or another program read from it',
};
const WRITTEN: Ended = {
  end: 'failed',
  detail: 'the file was written to between two attempts to send it; send it again when nothing writes to it',
};

/**
 * Opens a file, which is read by position from where the descriptor stands, not always its start. It is read at once, because
 * the thread pool would take longer to start than all of a small message takes.
 */
export function openRegularFile(fd: number, stat: Stats): Input & { readonly place?: FilePlace } {
  const start = findPosition(fd);
  if (start === null) return openSequential(fd);
  const end = stat.size;
  let memory: Uint8Array | null = null;
  /** The place of the descriptor. Only a read without a position moves it, because the runtimes have no other way. */
  let standing = start;
  let isFollowed = false;
  function readOn(room: Uint8Array): number {
    const count = readSync(fd, room, 0, room.length, null);
    standing += count;
    return count;
  }
  function isWritten(): boolean {
    const now = fstatSync(fd);
    return now.mtimeMs !== stat.mtimeMs || now.size !== stat.size;
  }
  /** Opens the file at `from`; `isAgain`: the source fails as soon as somebody has written to the file. */
  function openAt(from: number, isAgain: boolean): Source {
    let at = from;
    let ended: Ended | null = null;
    let buffer: Uint8Array | null = null;
    function read(): Uint8Array | Ended {
      // Other memory is named before the first collection of garbage, which then frees what was used until then.
      buffer = memory ? null : (buffer ?? Buffer.allocUnsafeSlow(Math.max(LEAST_ROOM, Math.min(FILE_CHUNK, end - from))));
      const room = memory ?? (buffer as Uint8Array);
      try {
        // If another process reads from the same descriptor, octets are missing at the end, and the source fails.
        const count = isFollowed && !isAgain && standing === at ? readOn(room) : readSync(fd, room, 0, room.length, at);
        at += count;
        if (isAgain && (count === 0 || at - count === from) && isWritten()) ended = WRITTEN;
        else if (count === 0) ended = at < end && fileSystemOf(fd) !== 'sysfs' ? SHRUNK : CLEAN;
        return ended ?? room.subarray(0, count);
      } catch (error) {
        ended = endOf(error);
        return ended;
      }
    }
    return {
      read: async () => ended ?? read(),
      close: () => undefined,
    };
  }
  return {
    ...openAt(start, false),
    file: { size: Math.max(0, end - start), at: (offset) => openAt(start + offset, true) },
    useMemory: (named) => {
      memory = named;
    },
    place: {
      follow() {
        isFollowed = true;
      },
      async moveTo(octets, signal) {
        const target = octets === null ? Number.POSITIVE_INFINITY : start + octets;
        const room = Buffer.allocUnsafeSlow(Math.min(MOVED_AT_ONCE, Math.max(LEAST_ROOM, end - standing)));
        try {
          while (standing < target && !signal.aborted && readOn(room.subarray(0, Math.min(room.length, target - standing))) > 0)
            await new Promise((resolve) => setImmediate(resolve));
        } catch {
          // It stays where it is: the message has its verdict.
        }
      },
    },
  };
}

/** Finds where a descriptor stands in its file; null where the system does not tell. */
function findPosition(fd: number): number | null {
  let facts: number | undefined;
  try {
    facts = openSync(`/proc/self/fdinfo/${fd}`, 'r');
    const octets = Buffer.allocUnsafe(64);
    const position = /^pos:\s*(\d+)\n/.exec(octets.toString('latin1', 0, readSync(facts, octets)))?.[1];
    return position === undefined ? null : Number(position);
  } catch {
    return null;
  } finally {
    if (facts !== undefined) closeSync(facts);
  }
}
