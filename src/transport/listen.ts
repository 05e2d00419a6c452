/**
 * A small SMTP or LMTP server over node:net and node:tls: listens, and bounds the number of clients. `serve.ts` serves each.
 * Knows no file and no output.
 */

import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { isLoopback } from '../router/loopback.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isIPv6 } from '../smtp/path.ts';
import { makeReply, replyLines } from '../smtp/server/answers.ts';
import { type Conversation, converse, LINGER, type ServeOptions } from './serve.ts';

export interface ListenOptions extends ServeOptions {
  /** Port 0: any free one. */
  readonly at: { readonly host: string; readonly port: number } | { readonly path: string };
  /** True if addresses other than loopback are allowed. */
  readonly anywhere?: boolean;
  /** Clients at a time; others hear 421. Default 100. */
  readonly connections?: number;
}

export interface Listener {
  /** The address as a client writes it: `127.0.0.1:2525`, `[::1]:2525`, or the path. */
  readonly address: string;
  /** 0 on a unix socket. */
  readonly port: number;
  /** Takes no new clients. Those that are there hear 421 and have two seconds to hang up. */
  close(): Promise<void>;
}

/** Listens. Fails if the address cannot be had or is not allowed. */
export async function listen(options: ListenOptions): Promise<Parsed<Listener>> {
  const { at } = options;
  if ('host' in at && options.anywhere !== true && !isLoopback(at.host))
    return unparsed(
      `${at.host} is not a loopback address; everybody who reaches it could send here, so it must be asked for by --anywhere`,
    );
  let secureContext: SecureContext | null = null;
  try {
    if (options.tls) secureContext = createSecureContext(options.tls);
  } catch (error) {
    return unparsed(`the certificate or key cannot be used: ${(error as Error).message}`);
  }
  const clients = new Set<Conversation>();
  let number = 0;
  /** Called when the last client has gone. */
  let left = (): void => {};
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    if (clients.size >= (options.connections ?? 100)) return turnAway(socket);
    number++;
    const conversation = converse(socket, number, options, secureContext, () => {
      clients.delete(conversation);
      if (clients.size === 0) left();
    });
    clients.add(conversation);
  });
  const opened = await open(server, at);
  if (!opened.ok) return opened;
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const host = typeof bound === 'object' && bound !== null ? (isIPv6(bound.address) ? `[${bound.address}]` : bound.address) : '';
  return parsed({
    address: 'path' in at ? at.path : `${host}:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          left = resolve;
          if (clients.size === 0) resolve();
        });
        for (const client of clients) client.close();
      }),
  });
}

function open(server: Server, at: ListenOptions['at']): Promise<Parsed<null>> {
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(unparsed(explainListenError(at, error))));
    server.listen('path' in at ? { path: at.path } : { host: at.host, port: at.port }, () => resolve(parsed(null)));
  });
}

export function explainListenError(at: ListenOptions['at'], { code, message }: Pick<NodeJS.ErrnoException, 'code' | 'message'>): string {
  const isSocket = 'path' in at;
  const where = isSocket ? at.path : `${at.host}:${at.port}`;
  if (code === 'EADDRINUSE')
    return `${where} is in use already; ${isSocket ? 'remove it if nothing listens there' : 'choose another with --port'}`;
  if (code === 'EADDRNOTAVAIL') return `${where} cannot be listened on: this host does not have that address`;
  if (code !== 'EACCES' && code !== 'EPERM') return `${where} cannot be listened on: ${message}`;
  const reason = isSocket ? 'this user may not write in its folder' : 'ports below 1024 are for root, so choose another with --port';
  return `${where} cannot be listened on: ${reason}`;
}

function turnAway(socket: Socket): void {
  socket.on('error', () => {});
  socket.end(`${replyLines(makeReply(421, '4.3.2', 'too many clients at a time')).join('\r\n')}\r\n`);
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER).unref();
}
