/**
 * Writes the replies of a dialogue to standard output, so that a slow reader holds up neither a signal nor the delivery, as a
 * write that waits would. Knows no reply.
 */
import { closeSync, fstatSync, openSync, write as writeDescriptor } from 'node:fs';
import type { Socket } from 'node:net';
import { writeText } from '../../process/stderr.ts';
import { fromUtf8 } from '../../smtp/text.ts';

export interface Replies {
  /** Writes an octet string. */
  write(text: string): void;
  /** Resolves when the reader is no longer too far behind; at once when nobody reads any more. */
  waitUntilReady(): Promise<void>;
  /** Resolves when everything is written. */
  end(): Promise<void>;
}

/**
 * Puts /dev/null in place of standard error where that is the same open file as standard output: with -bs a client that gave
 * both the same pipe (nmh) would take what it reads there for replies. A person at a terminal reads both.
 */
export function keepRepliesAlone(): void {
  try {
    const [replies, errors] = [fstatSync(1), fstatSync(2)];
    if (replies.dev !== errors.dev || replies.ino !== errors.ino || process.getBuiltinModule('node:tty').isatty(1)) return;
    // The system gives out the lowest free number next. Without /dev/null we give up none.
    const nothing = openSync('/dev/null', 'w');
    closeSync(2);
    openSync('/dev/null', 'w');
    closeSync(nothing);
  } catch {
    // A descriptor that is closed already says nothing.
  }
}

/** Opens descriptor 1. A reader that goes away changes nothing, because the exit status still answers what it has sent. */
export function openReplies(fd = 1): Replies {
  if (process.versions.bun !== undefined) return writeInThreads(fd);
  const socket = makeSocket(fd);
  if (socket === null)
    return { write: (text) => writeText(fd, fromUtf8(text) ?? text), waitUntilReady: async () => undefined, end: async () => undefined };
  let isGone = false;
  socket
    .on('error', () => {})
    .on('close', () => {
      isGone = true;
    });
  const waitFor = (event: 'drain' | 'finish') =>
    new Promise<void>((resolve) => {
      const done = () => {
        socket.off(event, done).off('close', done);
        resolve();
      };
      socket.once(event, done).once('close', done);
    });
  return {
    write: (text) => void (isGone || socket.write(text, 'latin1')),
    waitUntilReady: () => (isGone || !socket.writableNeedDrain ? Promise.resolve() : waitFor('drain')),
    end() {
      if (isGone) return Promise.resolve();
      const written = waitFor('finish');
      socket.end();
      return written;
    },
  };
}

/** Milliseconds until we try again a descriptor in non-blocking mode that was full. */
const FULL = 5;
/** The reader is too far behind when more octets than this wait to be written. */
const BEHIND = 16 * 1024;

/** Writes one piece after the other in the thread pool, for Bun, which writes nothing to a socket made of a descriptor. */
function writeInThreads(fd: number): Replies {
  let waiting = '';
  let isWriting = false;
  let isGone = false;
  const waiters: { readonly most: number; readonly resolve: () => void }[] = [];
  function release(): void {
    for (const each of waiters.splice(0)) {
      if (isGone || waiting.length <= each.most) each.resolve();
      else waiters.push(each);
    }
  }
  function writeNext(): void {
    release();
    if (isWriting || isGone || waiting === '') return;
    isWriting = true;
    writeDescriptor(fd, Buffer.from(waiting, 'latin1'), (error, count) => {
      isWriting = false;
      if (error?.code === 'EAGAIN') setTimeout(writeNext, FULL);
      else {
        isGone = error !== null;
        waiting = isGone ? '' : waiting.slice(count);
        writeNext();
      }
    });
  }
  const waitUntilAtMost = (most: number): Promise<void> =>
    new Promise((resolve) => {
      waiters.push({ most, resolve });
      writeNext();
    });
  return {
    write(text) {
      waiting += text;
      writeNext();
    },
    waitUntilReady: () => waitUntilAtMost(BEHIND),
    end: () => waitUntilAtMost(0),
  };
}

/** Whether a descriptor is a pipe or a socket; false if it is closed. */
export function isPipe(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false;
  }
}

/** Makes a socket of a pipe or a socket, to which the event loop writes; null for anything else. */
function makeSocket(fd: number): Socket | null {
  if (!isPipe(fd)) return null;
  try {
    return new (process.getBuiltinModule('node:net').Socket)({ fd, readable: false, writable: true });
  } catch {
    return null;
  }
}
