/**
 * Wires over Bun's own sockets, which start in a fraction of the time that Bun's copies of node:net and node:tls take to load. They do
 * less than Node's: what they have not written waits here. TLS is by the library and the settings that Bun's node:tls has, except for
 * a client's own certificate and chosen ciphers. Knows no SMTP, and loads nothing.
 */
/* c8 ignore start: only Bun runs this, and the tests of transport and submit do under Bun. */
import type { X509Certificate } from 'node:crypto';
import type { CipherNameAndProtocol, DetailedPeerCertificate, SecureContextOptions } from 'node:tls';
import { turn } from './clock.ts';
import { Hearing } from './hearing.ts';
import type { Endpoint } from './lookup/target.ts';
import { explainConnectError, printSocketError, systemCodeOf } from './socket-error.ts';
import {
  CLOSED,
  type Connect,
  KEEP_ALIVE,
  type Reached,
  type SecuredWire,
  type TlsPeer,
  type TlsTerms,
  unreached,
  type Wire,
  type WireEnd,
  type WireListener,
} from './wire.ts';

/* ---- what we use of Bun ---- */

interface BunSocket {
  readonly localAddress?: string;
  /** How many of the octets the system took at once; negative after a failure. `drain` says when it takes more. */
  write(octets: Uint8Array): number;
  /** Ends this side. */
  shutdown(): void;
  /** Ends both sides; what the system has taken still leaves. */
  close(): void;
  /** Ends both sides with a reset. */
  terminate(): void;
  pause(): void;
  resume(): void;
  setKeepAlive(isOn: boolean, milliseconds: number): void;
  /** Does a handshake over the socket, whose own functions hear of octets that are not theirs from then on. */
  upgradeTLS(options: { readonly tls: BunTls; readonly socket: BunTlsHandlers }): readonly [raw: BunSocket, secured: BunTlsSocket];
}

/** Versions are the numbers that a handshake has for them. */
interface BunTls {
  readonly ca?: SecureContextOptions['ca'];
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly allowPartialTrustChain: boolean;
  /** '' is none; without it Bun takes the address. */
  readonly serverName: string;
  readonly rejectUnauthorized: false;
  readonly requestCert: true;
}

interface BunTlsSocket extends BunSocket {
  readonly authorized: boolean;
  getPeerCertificate(isAbbreviated: boolean): DetailedPeerCertificate;
  getPeerX509Certificate(): X509Certificate | undefined;
  getTLSVersion(): string;
  getCipher(): CipherNameAndProtocol;
  exportKeyingMaterial(octets: number, label: string, context: Buffer): Buffer<ArrayBuffer>;
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

interface BunTlsHandlers extends BunHandlers {
  /** `error`: why there is no handshake, or why the chain is not trusted, or else why the certificate is not for the server's name or address. */
  handshake(socket: BunTlsSocket, isDone: boolean, error: NodeJS.ErrnoException | null): void;
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
  readonly #address: string | null;
  /** The wire below TLS. */
  readonly #base: BunWire | null;
  /** The wire that has taken the place of this one, or tries to. */
  #above: BunWire | null = null;
  /** As Node's sockets do, a wire whose other side has ended ends its own, so that none stays. */
  readonly #hearing = new Hearing(() => this.end());
  #isPaused = false;
  #hasHeardEnd = false;
  readonly #unwritten: Unwritten[] = [];
  #queued = 0;
  #heard = 0;
  /** `end` was called: what waits is still written. */
  #isEnding = false;
  #isDestroyed = false;
  #error: WireEnd | null = null;
  #isClosed = false;

  constructor(socket: BunSocket, base: BunWire | null) {
    this.#socket = socket;
    this.#base = base;
    // A socket below TLS tells it no more.
    this.#address = base === null ? socket.localAddress || null : base.#address;
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.#error === null && !this.#isDestroyed;
  }

  get queued(): number {
    return this.#queued;
  }

  get heard(): number {
    return this.#base?.heard ?? this.#heard;
  }

  get localAddress(): string | null {
    return this.#isClosed ? null : this.#address;
  }

  listen(listener: WireListener | null): void {
    this.#hearing.listen(listener);
    if (listener === null || !this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  unread(octets: Uint8Array): void {
    this.#hearing.unread(octets);
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

  destroy(breaks?: boolean): void {
    if (this.#isClosed || this.#isDestroyed) return;
    this.#isDestroyed = true;
    (this.#above === null ? this.#socket : this.#above.#socket)[breaks ? 'terminate' : 'close']();
  }

  startTls({ options, serverName, explain }: TlsTerms): Promise<Reached<SecuredWire>> {
    if (options.cert !== undefined || options.ciphers !== undefined) throw new Error('bug: these terms are for a wire of Node');
    const tls = tlsOf(options, serverName);
    this.listen(null);
    return new Promise((resolve) => {
      let isOver = false;
      const settle = (result: Reached<SecuredWire>): void => {
        if (isOver) return;
        isOver = true;
        resolve(result);
        if (!result.ok) this.destroy();
      };
      const fail = (error: NodeJS.ErrnoException): void => settle(unreached('handshake', explain(error, 'handshake'), error.code));
      if (!this.isOpen) return settle(unreached('handshake', CLOSED));
      // No server says anything before the handshake.
      if (this.#hearing.holdsOctets) return fail(Object.assign(new Error('clear text'), { code: 'ERR_SSL_WRONG_VERSION_NUMBER' }));
      let wire: BunWire | null = null;
      try {
        const [, secured] = this.#socket.upgradeTLS({
          tls,
          socket: {
            ...handlersOf(() => wire),
            handshake: (socket, isDone, error) => {
              const isBroken = !isDone && (error === null || error.code === 'EPROTO' || error.code === 'ECONNRESET');
              if (wire !== null && !isBroken) settle({ ok: true, value: { wire, peer: peerOf(socket, isDone, error) } });
              else fail(tlsErrorOf(error) ?? error ?? new Error('no handshake'));
            },
            close(_, error) {
              settle(unreached('handshake', CLOSED));
              wire?.hearClose(error);
            },
            error(_, thrown) {
              const error = tlsErrorOf(thrown);
              if (error === null) throwLater(thrown);
              else wire?.hearError({ detail: explain(error, 'later'), ...systemCodeOf(error) });
            },
          },
        });
        wire = new BunWire(secured, this);
        this.#above = wire;
      } catch (error) {
        settle(unreached('other', `TLS cannot be set up: ${(error as Error).message}`));
      }
    });
  }

  /* ---- what the socket does ---- */

  hear(octets: Buffer): void {
    this.#heard += octets.length;
    if (this.#above !== null || this.#hearing.hear(octets) || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  hearEnd(): void {
    // Behind a failed write it says no more than that.
    if (this.#error !== null || this.#hasHeardEnd || this.#above !== null) return;
    this.#hasHeardEnd = true;
    this.#hearing.tell('end');
  }

  hearError(why: WireEnd): void {
    this.#error ??= why;
  }

  hearClose(error: NodeJS.ErrnoException | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const why = this.#error ?? (error ? endOf(error) : { detail: 'the connection was closed' });
    this.#dropUnwritten();
    // It may come while somebody calls this wire.
    queueMicrotask(() => this.#hearing.tell(why));
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
}

const endOf = (error: NodeJS.ErrnoException): WireEnd => ({ detail: printSocketError(error), ...systemCodeOf(error) });

/** What a socket tells a wire, once there is one. */
const handlersOf = (wire: () => BunWire | null): BunHandlers => ({
  binaryType: 'buffer',
  open: () => {},
  data: (_, octets) => wire()?.hear(octets),
  drain: () => wire()?.mayWrite(),
  end: () => wire()?.hearEnd(),
  close: (_, error) => wire()?.hearClose(error),
  error: (_, thrown) => throwLater(thrown),
});

/** A bug is not to be hidden. */
const throwLater = (thrown: unknown): void =>
  void setImmediate(() => {
    throw thrown;
  });

/* ---- TLS ---- */

const VERSIONS: Readonly<Record<string, number>> = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 };

/** Whoever asked reads the verdict of the library together with the certificate, and looks at the names himself. */
const tlsOf = ({ ca, minVersion, maxVersion, allowPartialTrustChain }: SecureContextOptions, serverName: string): BunTls => ({
  ...(ca === undefined ? {} : { ca }),
  minVersion: versionOf(minVersion),
  maxVersion: versionOf(maxVersion),
  allowPartialTrustChain: allowPartialTrustChain === true,
  serverName,
  rejectUnauthorized: false,
  requestCert: true,
});

function versionOf(name: string | undefined): number {
  const version = VERSIONS[name ?? ''];
  if (version === undefined) throw new Error(`bug: the version ${name} has no number`);
  return version;
}

/** The error of a handshake as node:tls has it; null for what is none of the library's. */
function tlsErrorOf(thrown: unknown): NodeJS.ErrnoException | null {
  const reason = thrown instanceof Error ? /^error:[0-9a-f]+:[^:]*:[^:]*:(.+)$/.exec(thrown.message)?.[1] : undefined;
  return reason === undefined ? null : Object.assign(new Error((thrown as Error).message), { code: `ERR_SSL_${reason}`, reason });
}

/** Bun looks at the name when it trusts the chain, and cannot be told not to. Whoever asked looks at the names that he wants. */
const MISNAMED = 'ERR_TLS_CERT_ALTNAME_INVALID';

function peerOf(socket: BunTlsSocket, isDone: boolean, error: NodeJS.ErrnoException | null): TlsPeer {
  const isMisnamed = error?.code === MISNAMED;
  return {
    authorized: isMisnamed || (isDone && !error && socket.authorized === true),
    authorizationError: (error && !isMisnamed ? error.code || error.message : null) as unknown as Error,
    isMisnamed,
    getPeerCertificate: ((isDetailed?: boolean) => socket.getPeerCertificate(!isDetailed)) as TlsPeer['getPeerCertificate'],
    getProtocol: () => socket.getTLSVersion(),
    getCipher: () => socket.getCipher(),
    exportKeyingMaterial: (octets, label, context) => socket.exportKeyingMaterial(octets, label, context),
    x509: () => socket.getPeerX509Certificate(),
  };
}

/* ---- connecting ---- */

/**
 * Bun cannot give up what has begun to connect: the system ends it after two minutes, and the process waits for that unless it ends
 * by itself. So this is for commands only.
 */
export const connectBun: Connect = (endpoint, from, connected, failed) => {
  let isGivenUp = false;
  let wire: BunWire | null = null;
  const handlers: BunHandlers = {
    ...handlersOf(() => wire),
    open(socket) {
      wire = new BunWire(socket, null);
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
/* c8 ignore stop */
