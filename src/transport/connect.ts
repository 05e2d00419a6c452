/**
 * Opens a connection to the first of several addresses that answers (RFC 8305): attempts start a quarter of a
 * second apart and race. Knows no SMTP.
 */
import { createConnection, type Socket } from 'node:net';
import { socketError } from './connection.ts';
import type { Endpoint } from './resolve.ts';

/** RFC 8305 §5 recommends 250 ms between attempts. */
const STAGGER = 250;

export interface FailedEndpoint {
  readonly endpoint: Endpoint;
  readonly detail: string;
}

export interface Connected {
  /** null when no address answered. */
  readonly winner: { readonly socket: Socket; readonly endpoint: Endpoint } | null;
  /** Addresses that failed before one answered, in order of failure. */
  readonly failed: readonly FailedEndpoint[];
}

export interface ConnectOptions {
  /** Milliseconds for each attempt. */
  readonly within: number;
  /** Local address to connect from. */
  readonly from?: string;
  /** Ends all attempts. */
  readonly signal?: AbortSignal;
}

/** Races the endpoints; never rejects. Those that had not failed when one won may be tried again later. */
export function connectFirst(endpoints: readonly Endpoint[], options: ConnectOptions): Promise<Connected> {
  return new Promise((resolve) => {
    const failed: FailedEndpoint[] = [];
    const attempts = new Set<Socket>();
    let next = 0;
    let stagger: NodeJS.Timeout | undefined;
    const finish = (winner: Connected['winner']) => {
      clearTimeout(stagger);
      options.signal?.removeEventListener('abort', abort);
      next = endpoints.length;
      for (const socket of attempts) if (socket !== winner?.socket) socket.destroy();
      attempts.clear();
      resolve({ winner, failed });
    };
    const abort = () => finish(null);
    const start = () => {
      clearTimeout(stagger);
      const endpoint = endpoints[next++];
      if (endpoint === undefined) return;
      const socket = open(endpoint, options.from);
      attempts.add(socket);
      const timer =
        options.within === Number.POSITIVE_INFINITY
          ? undefined
          : setTimeout(() => lost(`no answer within ${options.within / 1000} s`), options.within);
      const lost = (detail: string) => {
        clearTimeout(timer);
        if (!attempts.delete(socket)) return;
        socket.destroy();
        failed.push({ endpoint, detail });
        if (next < endpoints.length) start();
        else if (attempts.size === 0) finish(null);
      };
      // An error listener stays on every socket, winner or not: an 'error' without one ends the process.
      socket.on('error', (error) => lost(socketError(error)));
      socket.once('connect', () => {
        clearTimeout(timer);
        if (!attempts.has(socket)) return;
        socket.pause();
        finish({ socket, endpoint });
      });
      if (next < endpoints.length) stagger = setTimeout(start, STAGGER);
    };
    if (options.signal?.aborted || endpoints.length === 0) return finish(null);
    options.signal?.addEventListener('abort', abort, { once: true });
    start();
  });
}

function open({ address, family, port }: Endpoint, from: string | undefined): Socket {
  if (family === 'unix') return createConnection({ path: address });
  const local = from === undefined ? {} : { localAddress: from };
  return createConnection({ host: address, port, family, noDelay: true, autoSelectFamily: false, ...local });
}
