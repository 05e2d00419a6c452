/** Terminals and other devices, and files that can only be read on from where they stand. Knows no message. */
import { fstatSync, read as readDescriptor, type Stats } from 'node:fs';
import { CLEAN, type Ended, type Source } from '../../message/source.ts';
import { IS_BUN, LONGEST_WAIT, PIPE_CHUNK, readAhead, SHORTEST_WAIT } from './read-ahead.ts';
import { endOf } from './read-error.ts';

/** Whether a descriptor is a terminal that is still there: one that was hung up is none for the system any more. */
export function isLivingTerminal(fd: number, stat: Stats): boolean {
  // node:tty loads node:net, so we ask it only about what may be a terminal.
  return isDevice(stat) && process.getBuiltinModule('node:tty').isatty(fd);
}

/** Whether it is a device of characters that may be more than /dev/null, which programs have more often than any other. */
export const isDevice = (stat: Stats): boolean => stat.isCharacterDevice() && stat.rdev !== NULL_DEVICE;

/** The number of /dev/null in Linux. */
const NULL_DEVICE = 0x103;

/** Whether a device is of a kind that Linux gives to terminals: consoles, serial lines, /dev/tty, pseudo-terminals. */
export function isTerminalDevice(stat: Stats): boolean {
  const major = (stat.rdev >> 8) & 0xfff;
  return process.platform === 'linux' && stat.isCharacterDevice() && (major === 4 || major === 5 || (major >= 136 && major <= 143));
}

/** Nobody typed an end: the window was closed, or the line was lost. */
export const HUNG_UP: Ended = { end: 'failed', detail: 'the terminal was closed before the end of the message' };

/**
 * Opens a terminal. The event loop reads it too, through a descriptor of its own that libuv opens, so that neither an
 * interrupt has to wait for the next line nor another process finds its terminal in non-blocking mode.
 */
export function openTerminalInput(fd: number): Source {
  const source = IS_BUN ? openSequential(fd) : readAhead((options) => new (process.getBuiltinModule('node:tty').ReadStream)(fd, options));
  return {
    close: () => source.close(),
    async read() {
      const got = await source.read();
      // The system tells a terminal that is gone and a Ctrl-D with the same end, or with an error of its own.
      return got instanceof Uint8Array || isLivingTerminal(fd, fstatSync(fd)) ? got : HUNG_UP;
    },
  };
}

/** Opens anything that the thread pool can read from where it stands, a chunk for each `read`. */
export function openSequential(fd: number): Source {
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
            ended = error === null ? CLEAN : endOf(error);
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
