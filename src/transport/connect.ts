/**
 * Connects to the first of several addresses that answers (RFC 8305): attempts start a quarter of a second apart and race. Knows no
 * SMTP.
 */
import { createConnection, type Socket } from 'node:net';
import { alarm } from './clock.ts';
import type { Endpoint } from './lookup/endpoints.ts';
import { printSocketError } from './socket.ts';

/**
 * Milliseconds of silence after which the system asks whether the other side is still there. A wait for a verdict lasts minutes,
 * and a firewall or a router between forgets a silent connection after five, or two.
 */
const KEEP_ALIVE = 60_000;

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
  readonly from?: string | undefined;
  /** Ends all attempts. */
  readonly signal?: AbortSignal | undefined;
}

/** Races the endpoints; never rejects. Endpoints that had not failed when one won may be tried again later. */
export function connectFirst(endpoints: readonly Endpoint[], options: ConnectOptions): Promise<Connected> {
  return new Promise((resolve) => {
    const failed: FailedEndpoint[] = [];
    /** Sockets that are still connecting, each with what stops its clock. */
    const attempts = new Map<Socket, () => void>();
    let next = 0;
    let stagger: NodeJS.Timeout | undefined;
    const finish = (winner: Connected['winner']) => {
      clearTimeout(stagger);
      options.signal?.removeEventListener('abort', abort);
      next = endpoints.length;
      for (const [socket, stop] of attempts) {
        stop();
        if (socket !== winner?.socket) socket.destroy();
      }
      attempts.clear();
      resolve({ winner, failed });
    };
    const abort = () => finish(null);
    const start = () => {
      clearTimeout(stagger);
      const endpoint = endpoints[next++];
      if (endpoint === undefined) return;
      const socket = open(endpoint, options.from);
      const lost = (detail: string) => {
        attempts.get(socket)?.();
        if (!attempts.delete(socket)) return;
        socket.destroy();
        failed.push({ endpoint, detail });
        if (next < endpoints.length) start();
        else if (attempts.size === 0) finish(null);
      };
      const late = () => lost(`no answer within ${options.within / 1000} s (timeouts.connect)`);
      attempts.set(socket, alarm(options.within, late));
      // An error listener stays on every socket, winner or not, because an 'error' without one ends the process.
      socket.on('error', (error) => lost(printConnectError(error, options.from)));
      socket.once('connect', () => {
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

function printConnectError(error: NodeJS.ErrnoException, from: string | undefined): string {
  return error.code === 'EADDRNOTAVAIL' && from !== undefined ? `${from} is not an address of this host` : printSocketError(error);
}

function open({ address, family, port }: Endpoint, from: string | undefined): Socket {
  if (family === 'unix') return createConnection({ path: address });
  if (family === 'name') throw new Error('bug: what a proxy connects to is no address of ours');
  const alive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE };
  return createConnection({ host: address, port, family, localAddress: from, noDelay: true, autoSelectFamily: false, ...alive });
}
