/**
 * A wire: all that a session needs of a connection, whatever carries it. Octets go in order both ways, TLS can be laid over what
 * follows, and the end has a cause. Sockets of another runtime, and streams of a program's own, are wires by one small file each,
 * which also holds what must be mended of them. Knows no SMTP.
 */
import type { X509Certificate } from 'node:crypto';
import type { SecureContext, SecureContextOptions, TLSSocket } from 'node:tls';
import type { ConnectReason } from '../smtp/client/outcome.ts';
import type { Endpoint } from './lookup/target.ts';

export interface Wire {
  /** False once it is closed, or about to be: nothing that is written now arrives. */
  readonly isOpen: boolean;
  /** Octets that were written and that the system has not taken yet, those of TLS among them. 0 where the runtime does not tell. */
  readonly queued: number;
  /** Octets that came from the other side since the wire was made, those of TLS among them where the runtime tells. */
  readonly heard: number;
  /** The IP address of this side; null where there is none, or none that can be known. */
  readonly localAddress: string | null;
  /**
   * Says who hears what happens from now on, and lets it come. With null nobody does, as at the beginning: octets wait, and the end
   * waits, until somebody listens. A listener is never called before this has returned.
   */
  listen(listener: WireListener | null): void;
  /** Gives back octets that the next listener is to hear first. Only while nobody listens. */
  unread(octets: Uint8Array): void;
  /**
   * Writes octets; a string is one of octets. `done` is called once, later, when they have left this process or cannot any more:
   * until then they belong to the wire. Whoever waits for it before he writes on holds no more than one write in memory.
   */
  write(octets: Uint8Array | string, done?: (hasFailed: boolean) => void): void;
  /** Ends this side, behind what was written. The other side may still speak. */
  end(): void;
  /** Ends both sides now. `closed` follows. If it `breaks`, the other side sees a failure in place of an end, where the socket can do that. */
  destroy(breaks?: boolean): void;
  /**
   * Does a handshake over the wire, while nobody listens, and trusts everybody: whoever asked looks at the peer. The value takes the
   * place of this wire. When it fails, or one of the two is destroyed, both are. A wire that began with TLS, because its maker was
   * told these terms when it connected, returns itself.
   */
  startTls(terms: TlsTerms): Promise<Reached<SecuredWire>>;
}

export interface WireListener {
  /** The octets are the listener's until it returns. */
  readonly octets: (octets: Buffer) => void;
  /** The other side says no more. */
  readonly end: () => void;
  /**
   * Both sides are closed; this comes once, and last. Whatever the other side said before comes first, also when a write has failed
   * meanwhile, because a server that hangs up has mostly said why.
   */
  readonly closed: (why: WireEnd) => void;
}

/** The cause of an end: a sentence, and the code of the system if it is the cause. */
export interface WireEnd {
  readonly detail: string;
  readonly systemCode?: string;
}

/** Why something could not be reached. */
export interface Unreached extends WireEnd {
  readonly reason: ConnectReason;
}

/** A value, or why it could not be reached. */
export type Reached<T> = { readonly ok: true; readonly value: T } | ({ readonly ok: false } & Unreached);

export const unreached = (reason: ConnectReason, detail: string, systemCode?: string): { readonly ok: false } & Unreached => ({
  ok: false,
  reason,
  detail,
  ...(systemCode === undefined ? {} : { systemCode }),
});

/**
 * Begins to connect, from an address of this host or from any. One of `connected` and `failed` follows, unless the value is called
 * first: it gives the attempt up.
 */
export type Connect = (
  endpoint: Endpoint,
  from: string | undefined,
  connected: (wire: Wire) => void,
  failed: (why: Unreached) => void,
) => () => void;

/**
 * Milliseconds of silence after which the system asks whether the other side is still there. A wait for a verdict lasts minutes,
 * and a firewall or a router between forgets a silent connection after five, or two.
 */
export const KEEP_ALIVE = 60_000;

/* ---- TLS ---- */

export interface TlsTerms {
  /** Made while the wire was still being connected; null for a wire that makes its own. */
  readonly context: SecureContext | null;
  /** What the context was made of, or is to be made of. */
  readonly options: SecureContextOptions;
  /** The name for SNI; '' = none. */
  readonly serverName: string;
  /** Puts an error into words: any that ends the handshake, and those of TLS after it. */
  readonly explain: (error: NodeJS.ErrnoException, when: 'handshake' | 'later') => string;
}

/** The end of a handshake that says no more. */
export const CLOSED = 'the server closed the connection during the TLS handshake';

export interface SecuredWire {
  readonly wire: Wire;
  readonly peer: TlsPeer;
}

/** What a runtime tells of the other side after a handshake, by the names of node:tls. Deno exports no keying material. */
export type TlsPeer = Pick<TLSSocket, 'authorized' | 'authorizationError' | 'getPeerCertificate' | 'getProtocol' | 'getCipher'> &
  Partial<Pick<TLSSocket, 'exportKeyingMaterial'>> & {
    /** The peer's own certificate, where it is there without node:crypto. */
    readonly x509?: () => X509Certificate | undefined;
    /** The runtime has looked at the name, too, and found it wrong: then no name makes the peer trusted. */
    readonly isMisnamed?: boolean;
  };
