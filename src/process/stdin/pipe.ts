/** Pipes and sockets, which another process writes to while they are read. Knows no message. */
import { readFileSync, readlinkSync } from 'node:fs';
import type { Ended, Source } from '../../message/source.ts';
import { IS_BUN, type ReadAhead, readAhead, readAheadInThreads } from './read-ahead.ts';
import { endedSource } from './read-error.ts';

/** Opens a pipe in the way of the runtime. */
export function openPipe(fd: number): ReadAhead {
  if (IS_BUN) return readAheadInThreads(fd);
  return readAhead((options) => new (process.getBuiltinModule('node:net').Socket)({ ...options, fd }), fd);
}

/** Opens a socket; `inetdPort` as in Stdin. */
export function openSocket(fd: number): Source & { readonly inetdPort: number | null } {
  if (IS_BUN) return { ...readAheadInThreads(fd), inetdPort: findPort(fd) };
  let port: number | undefined;
  let isConnected = true;
  // It starts at once, because the same object knows the port: two on one descriptor would take each other's events away.
  const { start, ...source } = readAhead((options) => {
    const opened = new (process.getBuiltinModule('node:net').Socket)({ ...options, fd });
    port = opened.localPort;
    isConnected = port === undefined || opened.remotePort !== undefined;
    return opened;
  }, fd);
  start();
  // Node would wait for ever for what a listening socket sends.
  if (!isConnected && findSocket(fd)?.[3] === LISTENING) {
    source.close();
    return { ...endedSource(NOT_CONNECTED), inetdPort: port ?? 0 };
  }
  // A socket that Node cannot open (a datagram socket) may still be one of the internet.
  return { ...source, inetdPort: port ?? findPort(fd) };
}

/** The state in the tables of Linux. */
const LISTENING = '0A';
const NOT_CONNECTED: Ended = { end: 'failed', detail: 'standard input cannot be read: socket is not connected (ENOTCONN)' };

/** Finds the local port of an IPv4 or IPv6 socket. */
function findPort(fd: number): number | null {
  const columns = findSocket(fd);
  return columns && (Number.parseInt(columns[1]?.split(':')[1] ?? '', 16) || 0);
}

/** Finds an IPv4 or IPv6 socket in the tables of Linux; null where there are none, or the socket is in none. */
function findSocket(fd: number): readonly string[] | null {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    for (const table of ['tcp', 'tcp6', 'udp', 'udp6']) {
      for (const line of readFileSync(`/proc/self/net/${table}`, 'latin1').split('\n')) {
        const columns = line.trim().split(/\s+/);
        if (columns[9] === inode) return columns;
      }
    }
  } catch {
    // Without /proc nothing is known.
  }
  return null;
}
