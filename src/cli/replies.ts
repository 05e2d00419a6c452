/**
 * Standard output for a dialogue: a reader that is slow holds up neither a signal nor the delivery, as a write that
 * waits would. Knows no reply.
 */
import { fstatSync } from 'node:fs';
import type { Socket } from 'node:net';
import { fromUtf8 } from '../smtp/text.ts';
import { writeText } from './terminal.ts';

export interface Replies {
  /** An octet string. */
  write(text: string): void;
  /** Resolves when no more waits to be written than a reader may be behind; at once when nobody reads any more. */
  ready(): Promise<void>;
  /** Resolves when all is written. */
  end(): Promise<void>;
}

/** Opens descriptor 1. A reader that goes away changes nothing: what it has sent is still answered by the exit status. */
export function openReplies(fd = 1): Replies {
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

/** Pipes and sockets are written to by the event loop. Bun writes nothing to a socket made of a descriptor. */
function openSocket(fd: number): Socket | null {
  if (process.versions.bun !== undefined) return null;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFIFO() && !stat.isSocket()) return null;
    return new (process.getBuiltinModule('node:net').Socket)({ fd, readable: false, writable: true });
  } catch {
    return null;
  }
}
