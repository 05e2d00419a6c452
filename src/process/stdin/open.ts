/**
 * Standard input as a Source: each kind of descriptor is read in the way that neither blocks the process nor keeps
 * it alive. Knows no message. What the runtimes do with descriptor 0 is the reason for the shape: in Node a read of a
 * pipe that waits in the thread pool holds up the end of the process until the producer writes; in Bun a socket on a
 * pipe gives nothing.
 */
import { closeSync, fstatSync, openSync, read as readDescriptor, readFileSync, readlinkSync, readSync, type Stats } from 'node:fs';
import type { ConnectOpts, Socket, SocketConstructorOpts } from 'node:net';
import { getSystemErrorMap } from 'node:util';
import { CLEAN, type Ended, type Input, type Source } from '../../message/source.ts';
import { Ring } from './ring.ts';

/** What the system gives at once from a pipe at most, whatever the room. */
const PIPE_CHUNK = 64 * 1024;
/** Of a pipe: one chunk is in use, one waits, one is being read. What writes into the pipe waits while more than that is worked on. */
const READ_AHEAD = 3 * PIPE_CHUNK;
/** Of a file until other memory is named: what the replay window needs is read in a few of them, and little more than it needs. */
const FILE_CHUNK = 64 * 1024;
/** Of a file whose descriptor is moved: a signal is heard in between. */
const MOVED_AT_ONCE = 1024 * 1024;
/** Milliseconds between two tries where a descriptor in non-blocking mode has nothing, and cannot be waited for. */
const SHORTEST_WAIT = 1;
const LONGEST_WAIT = 50;

export interface Stdin extends Input {
  readonly isTerminal: boolean;
  /** Whether another process may be writing: a pipe or a socket. */
  readonly hasWriter: boolean;
  /** The local port of a socket of IPv4 or IPv6, as inetd sets it up, 0 if the port cannot be found out; null for anything else. */
  readonly inetdPort: number | null;
  /**
   * Only of a regular file, which is read by position: where its descriptor stands, which whoever started us may go on
   * to read from. `follow` lets it move with the octets that are read; `moveTo` moves it to so many octets behind
   * where it stood, null to the end of the file.
   */
  readonly place?: { follow(): void; moveTo(octets: number | null, signal: AbortSignal): Promise<void> };
}

const IS_BUN = process.versions.bun !== undefined;

/** What most descriptors are not. */
const QUIET = { isTerminal: false, hasWriter: false, inetdPort: null };

/**
 * Opens descriptor 0 (or another, which closing may close). Nothing is read before the first `read`, but of a socket. A
 * read that fails ends the source as failed, with the system's reason; so does the first read of a directory or of a
 * descriptor that is not open. A `read` while one waits has the same answer; of a file none waits.
 *
 * After `close` a read that waits keeps no process alive in Node. In Bun it does: end the process by `process.exit`,
 * which is prompt there.
 */
export function openStdin(fd = 0): Stdin {
  let stat: Stats;
  try {
    stat = fstatSync(fd);
  } catch (error) {
    return { ...failed(error), ...QUIET };
  }
  if (stat.isFile()) return { ...file(fd, stat), ...QUIET };
  if (stat.isFIFO()) return { ...pipe(fd), ...QUIET, hasWriter: true };
  if (stat.isSocket()) return { ...socket(fd), isTerminal: false, hasWriter: true };
  if (isLivingTerminal(fd, stat)) return { ...terminal(fd), ...QUIET, isTerminal: true };
  if (isTerminalDevice(stat)) return { read: async () => HUNG_UP, close: () => undefined, ...QUIET };
  return { ...sequential(fd), ...QUIET };
}

/** Whether a descriptor is a terminal that is still there: one that was hung up is none for the system any more. */
export function isLivingTerminal(fd: number, stat: Stats): boolean {
  // Loading node:tty loads node:net: only for what may be a terminal.
  return isDevice(stat) && process.getBuiltinModule('node:tty').isatty(fd);
}

/** Whether it is a device of characters that may be more than /dev/null, which programs have more often than any other. */
export const isDevice = (stat: Stats): boolean => stat.isCharacterDevice() && stat.rdev !== NULL_DEVICE;

/** Of Linux. */
const NULL_DEVICE = 0x103;

/** Whether a device is of a kind that Linux gives to terminals: consoles, serial lines, /dev/tty, pseudo-terminals. */
function isTerminalDevice(stat: Stats): boolean {
  const major = (stat.rdev >> 8) & 0xfff;
  return process.platform === 'linux' && stat.isCharacterDevice() && (major === 4 || major === 5 || (major >= 136 && major <= 143));
}

/** Nobody typed an end: the window was closed, or the line was lost. */
const HUNG_UP: Ended = { end: 'failed', detail: 'the terminal was closed before the end of the message' };

/**
 * Reads and forgets, so that a caller that is still writing does not die of SIGPIPE before it has read our reason; to
 * the end, `octets` or `milliseconds`, whichever comes first. Then the input is closed. What no one writes to meanwhile is not read.
 */
export function drain(input: Stdin, limits: { readonly octets: number; readonly milliseconds: number }): Promise<void> {
  return new Promise((resolve) => {
    let left = input.hasWriter ? limits.octets : 0;
    const timer = setTimeout(finish, limits.milliseconds);
    function finish(): void {
      left = 0;
      clearTimeout(timer);
      input.close();
      resolve();
    }
    void (async () => {
      while (left > 0) {
        const got = await input.read();
        left = got instanceof Uint8Array ? left - got.length : 0;
      }
      finish();
    })();
  });
}

/** A system error as the end of the input. */
function failure(error: unknown): Ended {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const words = (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? message;
  return { end: 'failed', detail: `standard input cannot be read: ${words}${code === undefined ? '' : ` (${code})`}` };
}

function failed(error: unknown): Source {
  const ended = failure(error);
  return { read: async () => ended, close: () => undefined };
}

/** A pipe, in the way of the runtime. */
function pipe(fd: number): ReadAhead {
  if (IS_BUN) return aheadInThreads(fd);
  return ahead((options) => new (process.getBuiltinModule('node:net').Socket)({ ...options, fd }));
}

/**
 * A terminal: read by the event loop too, through a descriptor of its own that libuv opens, so that neither an
 * interrupt has to wait for the next line nor another process finds its terminal in non-blocking mode.
 */
function terminal(fd: number): Source {
  const source = IS_BUN ? sequential(fd) : ahead((options) => new (process.getBuiltinModule('node:tty').ReadStream)(fd, options), false);
  return {
    close: () => source.close(),
    async read() {
      const got = await source.read();
      // The system tells a terminal that is gone and a Ctrl-D with the same end, or with an error of its own.
      return got instanceof Uint8Array || isLivingTerminal(fd, fstatSync(fd)) ? got : HUNG_UP;
    },
  };
}

function socket(fd: number): Source & Pick<Stdin, 'inetdPort'> {
  if (IS_BUN) return { ...aheadInThreads(fd), inetdPort: portBySystem(fd) };
  let port: number | undefined;
  // Opened at once, because the port is asked of the same object: two on one descriptor take each other's events away.
  const { start, ...source } = ahead((options) => {
    const opened = new (process.getBuiltinModule('node:net').Socket)({ ...options, fd });
    port = opened.localPort;
    return opened;
  });
  start();
  // What Node cannot open (a datagram socket) may still be one of the internet.
  return { ...source, inetdPort: port ?? portBySystem(fd) };
}

/** The local port of an IPv4 or IPv6 socket by the tables of Linux; null where there are none, or the socket is in none. */
function portBySystem(fd: number): number | null {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    for (const table of ['tcp', 'tcp6', 'udp', 'udp6']) {
      for (const line of readFileSync(`/proc/self/net/${table}`, 'latin1').split('\n')) {
        const columns = line.trim().split(/\s+/);
        if (columns[9] === inode) return Number.parseInt(columns[1]?.split(':')[1] ?? '', 16) || 0;
      }
    }
  } catch {
    // No /proc: nothing is known.
  }
  return null;
}

type ReadAhead = Source & Required<Pick<Input, 'useMemory'>>;

/** Octets as a driver brings them, read ahead while the last chunk is in use. */
interface Inbox {
  readonly source: ReadAhead;
  /** Where to read to. */
  readonly room: () => Uint8Array;
  /** So many octets were read there; true when the next read may begin at once, else `go` is called for it. */
  readonly arrived: (count: number) => boolean;
  readonly ended: (how: Ended) => void;
}

/**
 * `go` is called when a chunk is asked for and nothing is being read; also for the first one. `isAhead` false: nothing is
 * read that was not asked for.
 */
function inbox(isAhead: boolean, go: () => void, close: () => void): Inbox {
  let ring = new Ring(Buffer.allocUnsafeSlow(2 * PIPE_CHUNK), PIPE_CHUNK);
  let memory: Uint8Array | null = null;
  /** Octets that are better handed out together, once more memory is there. */
  let batch = 0;
  let clock: ReturnType<typeof setTimeout> | undefined;
  let ended: Ended | null = null;
  let isReading = false;
  let waiting: ((got: Uint8Array | Ended) => void) | null = null;
  let pending: Promise<Uint8Array | Ended> | null = null;

  function settle(): void {
    const got = waiting === null ? null : (ring.take() ?? ended);
    if (got === null) return;
    clearTimeout(clock);
    clock = undefined;
    waiting?.(got);
    waiting = null;
    pending = null;
  }
  /** Hands out what has come, or waits for more of it: a fast writer fills a batch sooner than a millisecond passes. */
  function collect(): void {
    if (ring.waiting === 0 || ring.waiting >= batch || ended !== null) settle();
    else clock ??= setTimeout(settle, 1);
  }
  /** The memory that was named, once nothing that waits lies in the one before. */
  function isMoved(): boolean {
    if (memory === null || ring.waiting > 0) return false;
    const near = memory.subarray(0, READ_AHEAD);
    ring = new Ring(near, PIPE_CHUNK);
    batch = near.length / 2 - PIPE_CHUNK;
    memory = null;
    return true;
  }
  return {
    source: {
      read() {
        if (pending !== null) return pending;
        ring.release();
        pending = new Promise((resolve) => {
          waiting = resolve;
        });
        const answer = pending;
        collect();
        if (!isReading && ended === null) {
          isReading = true;
          go();
        }
        return answer;
      },
      close,
      useMemory: (named) => {
        memory = named;
      },
    },
    room: () => ring.room,
    arrived(count) {
      const isFree = ring.wrote(count);
      collect();
      // Before there is memory for it nothing is read ahead: what is not asked for stays with its writer.
      isReading = isAhead && (isMoved() || (isFree && batch > 0));
      return isReading;
    },
    ended(how) {
      ended ??= how;
      settle();
    },
  };
}

/** A descriptor that the event loop waits for. */
function ahead(open: (options: SocketConstructorOpts & ConnectOpts) => Socket, isAhead = true): ReadAhead & { readonly start: () => void } {
  let opened: Socket | null = null;
  let closed = false;
  const { source, room, arrived, ended } = inbox(
    isAhead,
    () => {
      if (opened === null && !closed) start();
      opened?.resume();
    },
    () => {
      closed = true;
      opened?.destroy();
    },
  );
  function start(): void {
    try {
      opened = open({ readable: true, writable: false, onread: { buffer: room, callback: arrived } });
    } catch (error) {
      ended(failure(error));
      return;
    }
    opened.on('end', () => ended(CLEAN));
    opened.on('error', (error) => ended(failure(error)));
  }
  return { ...source, start };
}

/** As `ahead` for a runtime that cannot wait for a pipe otherwise; ends the process promptly there. */
function aheadInThreads(fd: number): ReadAhead {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { source, room, arrived, ended } = inbox(
    true,
    () => read(),
    () => clearTimeout(timer),
  );
  const read = (wait = SHORTEST_WAIT): void => {
    const into = room();
    readDescriptor(fd, into, 0, into.length, null, (error, count) => {
      if (error?.code === 'EAGAIN') timer = setTimeout(read, wait, Math.min(2 * wait, LONGEST_WAIT));
      else if (error !== null) ended(failure(error));
      else if (count === 0) ended(CLEAN);
      else if (arrived(count)) read();
    });
  };
  return source;
}

/** What is read where it stands, in the thread pool, when it is asked for: devices. */
function sequential(fd: number): Source {
  let ended: Ended | null = null;
  let pending: Promise<Uint8Array | Ended> | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let buffer: Buffer | null = null;
  function read(): Promise<Uint8Array | Ended> {
    buffer ??= Buffer.allocUnsafeSlow(PIPE_CHUNK);
    const room = buffer;
    return new Promise((resolve) => {
      const attempt = (wait: number): void =>
        readDescriptor(fd, room, 0, room.length, null, (error, count) => {
          if (error?.code === 'EAGAIN') timer = setTimeout(attempt, wait, Math.min(2 * wait, LONGEST_WAIT));
          else if (error === null && count > 0) resolve(room.subarray(0, count));
          else {
            ended = error === null ? CLEAN : failure(error);
            resolve(ended);
          }
        });
      attempt(SHORTEST_WAIT);
    });
  }
  return {
    read() {
      if (ended !== null) return Promise.resolve(ended);
      pending ??= read().finally(() => {
        pending = null;
      });
      return pending;
    },
    close: () => clearTimeout(timer),
  };
}

/** Where a descriptor stands in its file, or null where the system does not tell. */
function positionOf(fd: number): number | null {
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

const SHRUNK: Ended = {
  end: 'failed',
  detail: 'the file on standard input became shorter while it was read, or another program read from it',
};
const WRITTEN: Ended = {
  end: 'failed',
  detail: 'the file on standard input was written to between two attempts to send it; send it again when nothing writes to it',
};

/**
 * A regular file, read by position from where the descriptor stands, which is not always its start. Read at once: the
 * thread pool would take longer to start than all of a small message takes.
 */
function file(fd: number, stat: Stats): Input & Pick<Stdin, 'place'> {
  const start = positionOf(fd);
  if (start === null) return sequential(fd);
  const end = stat.size;
  let memory: Uint8Array | null = null;
  /** Where the descriptor stands. Only a read without a position moves it: the runtimes have no other way. */
  let standing = start;
  let isFollowed = false;
  const readOn = (room: Uint8Array): number => {
    const count = readSync(fd, room, 0, room.length, null);
    standing += count;
    return count;
  };
  /** The file from `from`; with `again`, only as long as no one writes to it. */
  function open(from: number, again: boolean): Source {
    let at = from;
    let ended: Ended | null = null;
    let buffer: Uint8Array | null = null;
    function written(): boolean {
      const now = fstatSync(fd);
      return now.mtimeMs !== stat.mtimeMs || now.size !== stat.size;
    }
    function read(): Uint8Array | Ended {
      // A file of /proc has no size and is read all the same; 4096: room for it, and for the end of any other.
      // Other memory is named before the first collection of garbage, which then frees what was used until then.
      buffer = memory ? null : (buffer ?? Buffer.allocUnsafeSlow(Math.max(4096, Math.min(FILE_CHUNK, end - from))));
      const room = memory ?? (buffer as Uint8Array);
      try {
        // If another process reads from the same descriptor, octets are missing at the end, and the source fails.
        const count = isFollowed && !again && standing === at ? readOn(room) : readSync(fd, room, 0, room.length, at);
        at += count;
        if (again && (count === 0 || at - count === from) && written()) ended = WRITTEN;
        else if (count === 0) ended = at < end ? SHRUNK : CLEAN;
        return ended ?? room.subarray(0, count);
      } catch (error) {
        ended = failure(error);
        return ended;
      }
    }
    return {
      read: async () => ended ?? read(),
      close: () => undefined,
    };
  }
  return {
    ...open(start, false),
    file: { size: Math.max(0, end - start), at: (offset) => open(start + offset, true) },
    useMemory: (named) => {
      memory = named;
    },
    place: {
      follow() {
        isFollowed = true;
      },
      async moveTo(octets, signal) {
        const target = octets === null ? Number.POSITIVE_INFINITY : start + octets;
        const room = Buffer.allocUnsafeSlow(Math.min(MOVED_AT_ONCE, Math.max(4096, end - standing)));
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
