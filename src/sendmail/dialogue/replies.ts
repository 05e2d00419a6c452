/**
 * Standard output for a dialogue: a reader that is slow holds up neither a signal nor the delivery, as a write that
 * waits would. Knows no reply.
 */
import { closeSync, fstatSync, openSync, write as writeDescriptor } from 'node:fs';
import type { Socket } from 'node:net';
import { writeText } from '../../process/stderr.ts';
import { fromUtf8 } from '../../smtp/text.ts';

export interface Replies {
  /** An octet string. */
  write(text: string): void;
  /** Resolves when no more waits to be written than a reader may be behind; at once when nobody reads any more. */
  ready(): Promise<void>;
  /** Resolves when all is written. */
  end(): Promise<void>;
}

/**
 * Where descriptor 2 is the same open file as descriptor 1, nothing is written to it any more, whoever writes: with -bs a
 * client that gave both the same pipe (nmh) would take what it reads there for replies. A person at a terminal reads both.
 */
export function keepRepliesAlone(): void {
  try {
    const [replies, errors] = [fstatSync(1), fstatSync(2)];
    if (replies.dev !== errors.dev || replies.ino !== errors.ino || process.getBuiltinModule('node:tty').isatty(1)) return;
    // The lowest number that is free is given out next; without /dev/null none is given up.
    const nothing = openSync('/dev/null', 'w');
    closeSync(2);
    openSync('/dev/null', 'w');
    closeSync(nothing);
  } catch {
    // What is closed already says nothing.
  }
}

/** Opens descriptor 1. A reader that goes away changes nothing: what it has sent is still answered by the exit status. */
export function openReplies(fd = 1): Replies {
  if (process.versions.bun !== undefined) return inThreads(fd);
  const socket = openSocket(fd);
  if (socket === null)
    return { write: (text) => writeText(fd, fromUtf8(text) ?? text), ready: async () => undefined, end: async () => undefined };
  let gone = false;
  socket
    .on('error', () => {})
    .on('close', () => {
      gone = true;
    });
  const once = (event: 'drain' | 'finish') =>
    new Promise<void>((resolve) => {
      const done = () => {
        socket.off(event, done).off('close', done);
        resolve();
      };
      socket.once(event, done).once('close', done);
    });
  return {
    write: (text) => void (gone || socket.write(text, 'latin1')),
    ready: () => (gone || !socket.writableNeedDrain ? Promise.resolve() : once('drain')),
    end() {
      if (gone) return Promise.resolve();
      const written = once('finish');
      socket.end();
      return written;
    },
  };
}

/** Milliseconds until a descriptor in non-blocking mode that was full is tried again. */
const FULL = 5;
/** Octets that may wait to be written before the reader counts as behind. */
const BEHIND = 16 * 1024;

/** For Bun, which writes nothing to a socket made of a descriptor: one write after the other, in the thread pool. */
function inThreads(fd: number): Replies {
  let waiting = '';
  let isWriting = false;
  let gone = false;
  const told: { readonly when: number; readonly resolve: () => void }[] = [];
  function tell(): void {
    for (const each of told.splice(0)) {
      if (gone || waiting.length <= each.when) each.resolve();
      else told.push(each);
    }
  }
  function next(): void {
    tell();
    if (isWriting || gone || waiting === '') return;
    isWriting = true;
    writeDescriptor(fd, Buffer.from(waiting, 'latin1'), (error, count) => {
      isWriting = false;
      if (error?.code === 'EAGAIN') setTimeout(next, FULL);
      else {
        gone = error !== null;
        waiting = gone ? '' : waiting.slice(count);
        next();
      }
    });
  }
  const until = (when: number): Promise<void> =>
    new Promise((resolve) => {
      told.push({ when, resolve });
      next();
    });
  return {
    write(text) {
      waiting += text;
      next();
    },
    ready: () => until(BEHIND),
    end: () => until(0),
  };
}

/** Pipes and sockets are written to by the event loop. */
function openSocket(fd: number): Socket | null {
  try {
    const stat = fstatSync(fd);
    if (!stat.isFIFO() && !stat.isSocket()) return null;
    return new (process.getBuiltinModule('node:net').Socket)({ fd, readable: false, writable: true });
  } catch {
    return null;
  }
}
