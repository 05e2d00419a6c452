/**
 * Wires over Node's sockets, and over any Duplex stream of a program's own. Everything that Node's sockets lack is mended here:
 * errors in words, the last words of a server whose connection fails, how a write goes on, and an end for everything that is
 * written or closed. Knows no SMTP, and loads node:net when something connects, and node:tls when a handshake begins.
 */
import type { ConnectOpts, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { printThrown } from './abort.ts';
import { turn } from './clock.ts';
import { Hearing } from './hearing.ts';
import type { Endpoint } from './lookup/target.ts';
import { isError } from './realm.ts';
import { explainConnectError, printSocketError, systemCodeOf } from './socket-error.ts';
import {
  CLOSED,
  type Connect,
  KEEP_ALIVE,
  type Reached,
  type SecuredWire,
  type TlsTerms,
  unreached,
  type Wire,
  type WireEnd,
  type WireListener,
} from './wire.ts';

/** Makes a wire of a connected socket, or of another Duplex that carries octets. What waits in it to be read is heard. */
export function nodeWire(stream: Duplex): NodeWire {
  // A write is a whole flight, so nothing is won by waiting for more.
  (stream as Partial<Socket>).setNoDelay?.(true);
  return new NodeWire(stream, null, printSocketError);
}

type Explain = (error: NodeJS.ErrnoException) => string;

class NodeWire implements Wire {
  readonly #stream: Duplex;
  /** The wire below TLS. */
  readonly #base: Wire | null;
  readonly #hearing = new Hearing();
  #isFlowing = false;
  #error: WireEnd | null = null;
  #isClosed = false;
  /** Octets heard, where the stream does not count them. */
  #heard = 0;

  constructor(stream: Duplex, base: Wire | null, explain: Explain) {
    this.#stream = stream;
    this.#base = base;
    delayWriteErrors(stream);
    // These stay as long as the stream: an 'error' that nobody hears would end the process.
    stream.on('error', (thrown: unknown) => {
      const error: NodeJS.ErrnoException = isError(thrown) ? thrown : new Error(printThrown(thrown) || 'the connection failed');
      this.#error ??= { detail: explain(error), ...systemCodeOf(error) };
      // Some streams are silent at their end.
      if (!emitsClose(stream)) setImmediate(() => this.#close());
    });
    // 'close' follows 'error', and data that was still readable comes before both.
    stream.on('close', () => this.#close());
    // An alert of TLS is an error before the end that follows it, and says why.
    stream.on('end', () => (this.#error === null ? this.#hearing.tell('end') : this.#close()));
  }

  get isOpen(): boolean {
    return !this.#isClosed && !this.#stream.destroyed;
  }

  get queued(): number {
    return this.#base?.queued ?? countQueued(this.#stream);
  }

  get heard(): number {
    return this.#base?.heard ?? (this.#stream as Partial<Socket>).bytesRead ?? this.#heard;
  }

  get localAddress(): string | null {
    return this.#base?.localAddress ?? (this.#stream as Partial<Socket>).localAddress ?? null;
  }

  listen(listener: WireListener | null): void {
    if ((listener !== null) !== this.#isFlowing) {
      this.#isFlowing = listener !== null;
      if (this.#isFlowing) this.#stream.on('data', this.#onData).resume();
      else this.#stream.off('data', this.#onData).pause();
    }
    this.#hearing.listen(listener);
  }

  readonly #onData = (chunk: Buffer | Uint8Array | string): void => {
    const octets = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as string);
    this.#heard += octets.length;
    this.hear(octets);
  };

  /** Hears what was read, until this returns; false when nobody listens, so that no more is read. */
  hear(octets: Buffer): boolean {
    return this.#hearing.hear(octets);
  }

  unread(octets: Uint8Array): void {
    this.#hearing.unread(octets);
  }

  write(octets: Uint8Array | string, done?: (hasFailed: boolean) => void): void {
    if (typeof octets === 'string') this.#stream.write(octets, 'latin1', done && ((error) => done(Boolean(error))));
    else this.#stream.write(octets, done && ((error) => done(Boolean(error))));
  }

  end(): void {
    this.#stream.end();
  }

  destroy(breaks?: boolean): void {
    try {
      // An end of TLS that nobody announced is no failure to some (Go), between two of its records.
      if (breaks && this.#base) this.#base.destroy(breaks);
      // Node never closes a socket that is to be reset while it ends.
      else if (breaks && !this.#stream.writableEnded) (this.#stream as Socket).resetAndDestroy();
    } catch {
      // Only TCP can.
    }
    this.#stream.destroy();
    this.#base?.destroy();
    if (!emitsClose(this.#stream)) setImmediate(() => this.#close());
  }

  startTls({ context, options, serverName, explain }: TlsTerms): Promise<Reached<SecuredWire>> {
    this.listen(null);
    return new Promise((resolve) => {
      const stream = process.getBuiltinModule('node:tls').connect({
        socket: this.#stream,
        ...(context === null ? options : { secureContext: context }),
        // Node would replace an empty name by another.
        ...(serverName === '' ? {} : { servername: serverName }),
        // Whoever asked reads the verdict of the runtime together with the certificate, because a runtime that refuses drops the
        // certificate. Both options are written out so that NODE_TLS_REJECT_UNAUTHORIZED and the runtime's own rules for names
        // have no say.
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      });
      let isOver = false;
      const settle = (result: Reached<SecuredWire>): void => {
        if (isOver) return;
        isOver = true;
        this.#stream.off('close', onLost);
        resolve(result);
        if (!result.ok) wire.destroy();
      };
      const fail = (systemCode?: string): void => settle(unreached('handshake', CLOSED, systemCode));
      // What the handshake itself says of its failure comes first; Bun closes the socket before it says so.
      const onLost = (): void => void setImmediate(fail);
      const wire = new NodeWire(stream, this, (error) => {
        if (isOver) return isOfTls(error) ? explain(error, 'later') : printSocketError(error);
        const detail = explain(error, 'handshake');
        settle(unreached('handshake', detail, error.code));
        return detail;
      });
      this.#stream.once('close', onLost);
      stream.once('close', () => {
        fail();
        this.destroy();
      });
      stream.once('secureConnect', () => settle({ ok: true, value: { wire, peer: stream } }));
      if (!this.isOpen) onLost();
    });
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#hearing.tell(this.#error ?? { detail: 'the connection was closed' });
  }
}

const isOfTls = ({ code }: NodeJS.ErrnoException): boolean => `${code}`.startsWith('ERR_SSL');

/** The state of a stream says whether it tells of its end; what has no state is believed to. */
const emitsClose = (stream: Duplex): boolean =>
  (stream as unknown as { readonly _readableState?: { readonly emitClose?: boolean } })._readableState?.emitClose !== false;

/**
 * A write that fails ends a socket at once, and Node drops what the server said before it closed the connection: the reply that
 * says why still waits in the system. So the stream hears of the failure only when the event loop has polled once more.
 */
function delayWriteErrors(stream: Duplex): void {
  const delayed = stream as DelayedDuplex;
  delayed[WRITE] = stream._write;
  delayed._write = writeDelayed;
  if (!stream._writev) return;
  delayed[WRITEV] = stream._writev;
  delayed._writev = writeAllDelayed;
}

type Callback = (error?: Error | null) => void;

const WRITE = Symbol('_write');
const WRITEV = Symbol('_writev');

/** A stream with its own functions aside. Those in their place are the same for all streams, because a program may have thousands. */
type DelayedDuplex = Duplex & { [WRITE]: Duplex['_write']; [WRITEV]: NonNullable<Duplex['_writev']> };

function writeDelayed(this: unknown, chunk: unknown, encoding: BufferEncoding, callback: Callback): void {
  (this as DelayedDuplex)[WRITE](chunk, encoding, later(callback));
}

function writeAllDelayed(this: unknown, chunks: Parameters<NonNullable<Duplex['_writev']>>[0], callback: Callback): void {
  (this as DelayedDuplex)[WRITEV](chunks, later(callback));
}

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

/** Octets that a socket has not given to the system yet. Only Node tells how a write goes on before it is done; elsewhere it is 0. */
function countQueued(stream: Duplex): number {
  const { _handle: handle } = stream as unknown as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? 0;
}

/* ---- connecting ---- */

export const connectNode: Connect = (endpoint, from, connected, failed) => {
  let wire: NodeWire | null = null;
  const socket = openSocket(endpoint, from, (octets) => wire?.hear(octets) ?? true);
  // A listener stays, because an 'error' that nobody hears would end the process.
  socket.on('error', onError).once('connect', () => {
    socket.off('error', onError).pause();
    wire = nodeWire(socket);
    connected(wire);
  });
  function onError(error: NodeJS.ErrnoException): void {
    socket.destroy();
    failed(explainConnectError(error, from));
  }
  return () =>
    socket
      .off('error', onError)
      .on('error', () => {})
      .destroy();
};

/** All sockets read into this, because Node would make 64 KiB for each reply, and a stream of it. */
let room: Buffer | undefined;

/** Has a socket read past its stream. The copies of node:net in Bun and Deno do not count what they read so, or hold up TLS. */
function readPast(hear: (octets: Buffer) => boolean): Pick<ConnectOpts, 'onread'> {
  if ('bun' in process.versions || 'deno' in process.versions) return {};
  room ??= Buffer.allocUnsafeSlow(64 * 1024);
  return { onread: { buffer: room, callback: (count, octets) => hear((octets as Buffer).subarray(0, count)) } };
}

function openSocket({ address, family, port }: Endpoint, from: string | undefined, hear: (octets: Buffer) => boolean): Socket {
  const { createConnection } = process.getBuiltinModule('node:net');
  if (family === 'unix') return createConnection({ path: address, ...readPast(hear) });
  if (family === 'name') throw new Error('bug: what a proxy connects to is no address of ours');
  const alive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE };
  const to = { host: address, port, family, localAddress: from, noDelay: true, autoSelectFamily: false };
  return createConnection({ ...to, ...alive, ...readPast(hear) });
}
