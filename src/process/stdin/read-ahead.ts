/**
 * Reads on while the chunk before is in use, into memory of our own or memory that the reader names. What the runtimes do
 * with descriptor 0 is the reason for the two ways: in Node a read of a pipe that waits in the thread pool holds up the end
 * of the process until the producer writes; in Bun a socket on a pipe gives nothing. Knows no kind of descriptor.
 */
import { read as readDescriptor, readSync } from 'node:fs';
import type { ConnectOpts, Socket, SocketConstructorOpts } from 'node:net';
import { CLEAN, type Ended, type Input, type Source } from '../../message/source.ts';
import { endOf } from './read-error.ts';
import { Ring } from './ring.ts';

export const IS_BUN = process.versions.bun !== undefined;

/** The system gives no more than this at once from a pipe, whatever the room. */
export const PIPE_CHUNK = 64 * 1024;
/** Room for one chunk in use, one that waits and one that a thread reads. */
const READ_AHEAD = 3 * PIPE_CHUNK;
/** Milliseconds between two tries where a descriptor in non-blocking mode has nothing, and cannot be waited for. */
export const SHORTEST_WAIT = 1;
export const LONGEST_WAIT = 50;

export type ReadAhead = Source & Required<Pick<Input, 'useMemory'>>;

/** Octets that a driver reads, for a reader that pulls them. */
interface Inbox {
  readonly source: ReadAhead;
  /** The memory that the driver reads to. */
  readonly room: () => Uint8Array;
  /** Takes so many octets that were read there. True when the next read may begin at once; else `go` is called for it. */
  readonly arrive: (count: number) => boolean;
  readonly end: (how: Ended) => void;
}

interface Waiting {
  readonly answer: Promise<Uint8Array | Ended>;
  readonly resolve: (got: Uint8Array | Ended) => void;
}

/**
 * Makes an inbox. It calls `go` when the reader asks for a chunk and nothing is being read; also for the first one.
 * With `isAhead` false it lets nothing be read that was not asked for.
 */
function makeInbox(isAhead: boolean, go: () => void, close: () => void): Inbox {
  let ring = new Ring(Buffer.allocUnsafeSlow(2 * PIPE_CHUNK), PIPE_CHUNK);
  /** Memory that the reader has named and nothing lies in yet. */
  let named: Uint8Array | null = null;
  /** Octets that are better handed out together, once more memory is there. */
  let batch = 0;
  let clock: ReturnType<typeof setTimeout> | undefined;
  let ended: Ended | null = null;
  let isReading = false;
  let waiting: Waiting | null = null;

  function settle(): void {
    if (waiting === null) return;
    const got = ring.take() ?? ended;
    if (got === null) return;
    clearTimeout(clock);
    clock = undefined;
    waiting.resolve(got);
    waiting = null;
  }
  /** Hands out what has come, or waits for more of it: a fast writer fills a batch sooner than a millisecond passes. */
  function collect(): void {
    if (ring.waiting === 0 || ring.waiting >= batch || ended !== null) settle();
    else clock ??= setTimeout(settle, 1);
  }
  /** Changes to the memory that was named, once nothing that waits lies in the one before; true if it did. */
  function moveToNamed(): boolean {
    if (named === null || ring.waiting > 0) return false;
    ring = new Ring(named, PIPE_CHUNK);
    // The more is handed out and written together, the less an octet costs. Whoever writes into the pipe waits while the memory is full.
    batch = named.length / 2 - PIPE_CHUNK;
    named = null;
    return true;
  }
  return {
    source: {
      read() {
        if (waiting !== null) return waiting.answer;
        ring.release();
        let resolve: Waiting['resolve'] = () => {};
        const answer = new Promise<Uint8Array | Ended>((settled) => {
          resolve = settled;
        });
        waiting = { answer, resolve };
        collect();
        if (!isReading && ended === null) {
          isReading = true;
          go();
        }
        return answer;
      },
      close,
      useMemory: (memory) => {
        named = memory;
      },
    },
    room: () => ring.room,
    arrive(count) {
      const isFree = ring.write(count);
      collect();
      // Before there is memory for it nothing is read ahead: what is not asked for stays with its writer.
      isReading = isAhead && (moveToNamed() || (isFree && batch > 0));
      return isReading;
    },
    end(how) {
      ended ??= how;
      settle();
    },
  };
}

/**
 * Reads a descriptor that the event loop waits for. `open` is called at the first read, or by `start`. `fd`: that descriptor, if its
 * end is to be believed only when the system has told it; what is read of it is then read ahead, too.
 */
export function readAhead(
  open: (options: SocketConstructorOpts & ConnectOpts) => Socket,
  fd: number | null = null,
): ReadAhead & { readonly start: () => void } {
  let opened: Socket | null = null;
  let isClosed = false;
  let isHungUp = false;
  const { source, room, arrive, end } = makeInbox(
    fd !== null,
    () => {
      if (opened === null && !isClosed) start();
      if (isHungUp) readToEnd();
      else opened?.resume();
    },
    () => {
      isClosed = true;
      opened?.destroy();
    },
  );
  function start(): void {
    try {
      opened = open({ readable: true, writable: false, onread: { buffer: room, callback: arrive } });
    } catch (error) {
      end(endOf(error));
      return;
    }
    opened.on('end', () => {
      isHungUp = true;
      readToEnd();
    });
    opened.on('error', (error) => end(endOf(error)));
  }
  /**
   * Reads what is left. Where the writer has hung up, libuv up to 1.51 takes a read that gave less than there was room for to be the last:
   * but an error may follow, or more, where the system keeps each write apart (pipe(2): O_DIRECT).
   */
  function readToEnd(): void {
    try {
      let count: number;
      do count = fd === null ? 0 : readSync(fd, room());
      while (count > 0 && arrive(count));
      if (count === 0) end(CLEAN);
    } catch (error) {
      // A named pipe has a writer again, but it had ended.
      end((error as NodeJS.ErrnoException).code === 'EAGAIN' ? CLEAN : endOf(error));
    }
  }
  return { ...source, start };
}

/**
 * Reads ahead in the thread pool, for a runtime that cannot wait for a pipe otherwise; the process ends promptly there all the same.
 * Memory that is named is not used: who works on octets there writes for a moment behind them (kernel.wat), and a thread would read to there.
 */
export function readAheadInThreads(fd: number): ReadAhead {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { source, room, arrive, end } = makeInbox(
    true,
    () => read(),
    () => clearTimeout(timer),
  );
  const read = (wait = SHORTEST_WAIT): void => {
    const into = room();
    readDescriptor(fd, into, 0, into.length, null, (error, count) => {
      if (error?.code === 'EAGAIN') timer = setTimeout(read, wait, Math.min(2 * wait, LONGEST_WAIT));
      else if (error !== null) end(endOf(error));
      else if (count === 0) end(CLEAN);
      else if (arrive(count)) read();
    });
  };
  return { ...source, useMemory: () => source.useMemory(Buffer.allocUnsafeSlow(READ_AHEAD)) };
}
