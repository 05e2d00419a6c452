/** What Node's sockets lack: errors in words, the last words of a server whose connection fails, and how a write goes on. Knows no SMTP. */
import type { Socket } from 'node:net';
import { turn } from './clock.ts';

/** A Node error of a socket in words: ours, else the system's. Never Node's, which repeats addresses and may say "undefined". */
export function printSocketError(error: NodeJS.ErrnoException): string {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset by the server',
    EPIPE: 'the server closed the connection',
    ETIMEDOUT: 'connection timed out',
    EHOSTUNREACH: 'no route to the host',
    ENETUNREACH: 'network is unreachable',
    EACCES: 'permission denied',
    ENOENT: 'no such socket',
    EADDRNOTAVAIL: 'address not available',
    EADDRINUSE: 'every local port is in use',
    EPERM: 'forbidden by a rule of this host',
    EMFILE: 'this process may open no more files (ulimit -n)',
    ENFILE: 'this host can open no more files',
  };
  const { code = '', errno, message } = error;
  const known =
    words[code] ?? (errno === undefined ? undefined : process.getBuiltinModule('node:util').getSystemErrorMap().get(errno)?.[1]);
  return known === undefined ? message : words[code] === undefined ? `${known} (${code})` : known;
}

/**
 * A write that fails ends a socket at once, and Node drops what the server said before it closed the connection: the reply that
 * says why still waits in the system. So the stream hears of the failure only when the event loop has polled once more.
 */
export function delayWriteErrors(socket: Socket): void {
  type Callback = (error?: Error | null) => void;
  const later =
    (callback: Callback): Callback =>
    (error) => {
      // Two turns, because the first may come before a poll.
      if (error)
        void turn()
          .then(turn)
          .then(() => callback(error));
      else callback();
    };
  const { _write, _writev } = socket;
  socket._write = (chunk, encoding, callback) => _write.call(socket, chunk, encoding, later(callback));
  if (_writev) socket._writev = (chunks, callback) => _writev.call(socket, chunks, later(callback));
}

/** Octets that the socket has not given to the system yet. Only Node tells how a write goes on before it is done; elsewhere it is 0. */
export function countQueued(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? 0;
}
