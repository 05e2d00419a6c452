/**
 * Wires over Bun's own sockets, which start in a fraction of the time that Bun's copy of node:net takes to load. They do less than
 * Node's: what they have not written waits here, and so does what comes while nobody listens. Knows no SMTP, and loads nothing.
 */
import { turn } from './clock.ts';
import type { Endpoint } from './lookup/endpoints.ts';
import { explainConnectError, printSocketError, systemCodeOf } from './socket-error.ts';
import { type Connect, KEEP_ALIVE, type Reached, type SecuredWire, type Wire, type WireEnd, type WireListener } from './wire.ts';

/* ---- what we use of Bun ---- */

interface BunSocket {
  readonly localAddress?: string;
  /** How many of the octets the system took at once; negative after a failure. `drain` says when it takes more. */
  write(octets: Uint8Array): number;
  /** Ends this side. */
  shutdown(): void;
  /** Ends both sides; what the system has taken still leaves. */
  close(): void;
  pause(): void;
  resume(): void;
  setKeepAlive(isOn: boolean, milliseconds: number): void;
}

interface BunHandlers {
  readonly binaryType: 'buffer';
  open(socket: BunSocket): void;
  data(socket: BunSocket, octets: Buffer): void;
  drain(): void;
  /** The other side has ended. */
  end(): void;
  /** Comes once, also when `close` was called, and then before that returns. */
  close(socket: BunSocket, error?: NodeJS.ErrnoException): void;
  /** Gets what another of these functions has thrown. */
  error(socket: BunSocket, thrown: unknown): void;
}

type Place = { readonly unix: string } | { readonly hostname: string; readonly port: number; readonly localAddress: string | undefined };

interface BunSockets {
  connect(options: Place & { readonly allowHalfOpen: true; readonly socket: BunHandlers }): Promise<BunSocket>;
}

/* ---- the wire ---- */

/** Octets that the system has not taken yet. */
interface Unwritten {
  octets: Uint8Array;
  readonly done: ((hasFailed: boolean) => void) | undefined;
}

class BunWire implements Wire {
  readonly #socket: BunSocket;
  #listener: WireListener | null = null;
  /** What came while nobody listened, and what came behind it. */
  readonly #unheard: Buffer[] = [];
  /** What of the end is still to be told. */
  readonly #untold: ('end' | 'closed')[] = [];
  #isPaused = false;
  #hasHeardEnd = false;
  readonly #unwritten: Unwritten[] = [];
  #queued = 0;
  #heard = 0;
  /** `end` was called: what waits is still written. */
  #isEnding = false;
  #isDestroyed = false;
  #error: WireEnd | null = null;
  #closed: WireEnd | null = null;

  constructor(socket: BunSocket) {
    this.#socket = socket;
  }

  get isOpen(): boolean {
    return this.#closed === null && this.#error === null && !this.#isDestroyed;
  }

  get queued(): number {
    return this.#queued;
  }

  get heard(): number {
    return this.#heard;
  }

  get localAddress(): string | null {
    return (this.#closed === null && this.#socket.localAddress) || null;
  }

  listen(listener: WireListener | null): void {
    this.#listener = listener;
    if (listener === null) return;
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#socket.resume();
    }
    if (this.#unheard.length > 0 || this.#untold.length > 0) setImmediate(() => this.#tell());
  }

  unread(octets: Uint8Array): void {
    this.#unheard.unshift(Buffer.from(octets));
  }

  write(octets: Uint8Array | string, done?: (hasFailed: boolean) => void): void {
    if (!this.isOpen || this.#isEnding) {
      if (done) queueMicrotask(() => done(true));
      return;
    }
    const unwritten = { octets: typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets, done };
    this.#queued += unwritten.octets.length;
    this.#unwritten.push(unwritten);
    if (this.#unwritten.length === 1) this.#writeOn();
  }

  end(): void {
    if (!this.isOpen || this.#isEnding) return;
    this.#isEnding = true;
    if (this.#unwritten.length === 0) this.#socket.shutdown();
  }

  destroy(): void {
    if (this.#closed !== null || this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#socket.close();
  }

  startTls(): Promise<Reached<SecuredWire>> {
    throw new Error('bug: where TLS is wanted, the wire is one of Node');
  }

  /* ---- what the socket does ---- */

  hear(octets: Buffer): void {
    this.#heard += octets.length;
    if (this.#listener !== null && this.#unheard.length === 0) {
      this.#listener.octets(octets);
      return;
    }
    this.#unheard.push(octets);
    if (this.#listener !== null || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  hearEnd(): void {
    // Behind a failed write it says no more than that.
    if (this.#error !== null || this.#hasHeardEnd) return;
    this.#hasHeardEnd = true;
    this.#untold.push('end');
    this.#tell();
  }

  hearClose(error: NodeJS.ErrnoException | undefined): void {
    if (this.#closed !== null) return;
    this.#closed = this.#error ?? (error ? endOf(error) : { detail: 'the connection was closed' });
    this.#dropUnwritten();
    this.#untold.push('closed');
    // It may come while somebody calls this wire.
    queueMicrotask(() => this.#tell());
  }

  mayWrite(): void {
    if (this.isOpen && this.#unwritten.length > 0) this.#writeOn();
  }

  /** Gives the system what waits, as far as it takes it. */
  #writeOn(): void {
    for (let first = this.#unwritten[0]; first !== undefined; first = this.#unwritten[0]) {
      const { octets, done } = first;
      const taken = octets.length === 0 ? 0 : this.#socket.write(octets);
      if (taken < 0) {
        this.#failWrite();
        return;
      }
      this.#queued -= taken;
      if (taken < octets.length) {
        first.octets = octets.subarray(taken);
        return;
      }
      this.#unwritten.shift();
      if (done) queueMicrotask(() => done(false));
    }
    if (this.#isEnding) this.#socket.shutdown();
  }

  /**
   * What the server said before it closed the connection still waits in the system. Bun reads it before it closes the socket, which it
   * mostly does by itself. It does not say why a write failed.
   */
  #failWrite(): void {
    this.#error = endOf(Object.assign(new Error(), { code: this.#hasHeardEnd ? 'EPIPE' : 'ECONNRESET' }));
    this.#dropUnwritten();
    // Two turns, because the first may come before a poll.
    void turn()
      .then(turn)
      .then(() => this.destroy());
  }

  #dropUnwritten(): void {
    this.#queued = 0;
    for (const { done } of this.#unwritten.splice(0)) if (done) queueMicrotask(() => done(true));
  }

  /** Tells what waits, in order. A listener may go, or be followed by another, with each that it is told. */
  #tell(): void {
    while (this.#listener !== null) {
      const octets = this.#unheard.shift();
      const what = octets === undefined ? this.#untold.shift() : undefined;
      if (octets !== undefined) this.#listener.octets(octets);
      else if (what === 'closed') this.#listener.closed(this.#closed as WireEnd);
      else if (what === 'end') {
        this.#listener.end();
        // As Node's sockets do, so that no wire stays whose other side has ended.
        this.end();
      } else return;
    }
  }
}

const endOf = (error: NodeJS.ErrnoException): WireEnd => ({ detail: printSocketError(error), ...systemCodeOf(error) });

/* ---- connecting ---- */

/**
 * Bun cannot give up what has begun to connect: the system ends it after two minutes, and the process waits for that unless it ends
 * by itself. So this is for commands only.
 */
export const connectBun: Connect = (endpoint, from, connected, failed) => {
  let isGivenUp = false;
  let wire: BunWire | null = null;
  const handlers: BunHandlers = {
    binaryType: 'buffer',
    open(socket) {
      wire = new BunWire(socket);
    },
    data: (_, octets) => wire?.hear(octets),
    drain: () => wire?.mayWrite(),
    end: () => wire?.hearEnd(),
    close: (_, error) => wire?.hearClose(error),
    error(_, thrown) {
      // A bug is not to be hidden.
      setImmediate(() => {
        throw thrown;
      });
    },
  };
  const settle = (deed: () => void): void => queueMicrotask(() => isGivenUp || deed());
  bun()
    .connect({ ...placeOf(endpoint, from), allowHalfOpen: true, socket: handlers })
    .then(
      (socket) => {
        if (endpoint.family !== 'unix') socket.setKeepAlive(true, KEEP_ALIVE);
        if (isGivenUp) wire?.destroy();
        else settle(() => connected(wire as BunWire));
      },
      (error: NodeJS.ErrnoException) => settle(() => failed(explainConnectError(error, from))),
    );
  return () => {
    isGivenUp = true;
    wire?.destroy();
  };
};

const bun = (): BunSockets => (globalThis as unknown as { readonly Bun: BunSockets }).Bun;

function placeOf({ address, family, port }: Endpoint, from: string | undefined): Place {
  if (family === 'unix') return { unix: address };
  if (family === 'name') throw new Error('bug: what a proxy connects to is no address of ours');
  return { hostname: address, port, localAddress: from };
}
