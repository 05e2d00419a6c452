/**
 * Opens a session to one of the addresses of a smart host: connection, TLS and authentication as its policies say.
 * Sends no message and does not choose among smart hosts.
 */
import { isIP, type Socket } from 'node:net';
import type { Smarthost } from '../router/route.ts';
import type { ContentEncoder } from '../smtp/content.ts';
import type { SessionFailure } from '../smtp/outcome.ts';
import type { Parsed } from '../smtp/parsed.ts';
import type { Mechanism } from '../smtp/sasl.ts';
import type { Plan } from '../smtp/session.ts';
import { connectFirst } from '../transport/connect.ts';
import { Connection, type SessionTimeouts, type Trace } from '../transport/connection.ts';
import type { Endpoint, Target } from '../transport/resolve.ts';
import type { Acceptance } from './outcome.ts';

/** A handshake prepared while TCP connects. */
export interface Handshake {
  readonly secure: (socket: Socket) => Promise<Parsed<Socket>>;
  /** After the handshake: Exim's `X=` text and whether the peer was verified. */
  readonly facts: () => { readonly cipher: string; readonly verified: boolean } | null;
}

/** Chooses a mechanism for the connection that was made; null when the host needs no authentication. */
export type Authenticator = (endpoint: Endpoint, loopback: boolean, handshake: Handshake | null) => Plan['authenticate'];

/** What a connection needs besides sockets; each is made while TCP connects, and only when it is reached. */
export interface Security {
  readonly handshake: (host: Smarthost, target: Target) => Promise<Parsed<Handshake>>;
  /** Reads the secret. */
  readonly authenticator: (host: Smarthost) => Promise<Parsed<Authenticator>>;
  /** Takes every secret that was read out of a text, in whatever form it stands there. */
  readonly scrub: (text: string) => string;
}

export interface SessionOptions {
  readonly timeouts: SessionTimeouts & { readonly connect: number };
  /** EHLO argument; '' = the address literal of the socket. */
  readonly hello: string;
  readonly partial: boolean;
  readonly framing: Plan['framing'];
  readonly transactions: Plan['transactions'];
  readonly security: Security;
  readonly encoder?: (framing: 'data' | 'bdat') => ContentEncoder;
  readonly trace?: Trace;
  readonly note?: (note: string) => void;
  readonly progress?: (octets: number) => void;
  /** Ends the attempt to connect. */
  readonly signal?: AbortSignal;
}

export interface OpenSession {
  readonly connection: Connection;
  readonly endpoint: Endpoint;
  /** What the log says of the server, once it has taken a message. */
  readonly facts: () => Pick<Acceptance, 'host' | 'name' | 'endpoint' | 'tls' | 'auth'>;
}

export interface Opening {
  /** Addresses that did not answer, in order of failure. */
  readonly failed: readonly { readonly endpoint: Endpoint; readonly failure: SessionFailure }[];
  /** null when none answered, or when what the configuration asks for cannot be had (then it is in `failed`). */
  readonly session: OpenSession | null;
}

/** Connects and begins the session; the greeting is still to come. Never rejects. */
export async function openSession(
  host: Smarthost,
  target: Target,
  endpoints: readonly Endpoint[],
  options: SessionOptions,
): Promise<Opening> {
  const { security, trace, timeouts, signal } = options;
  // The context is built and the secret read while TCP connects.
  const preparing = endpoints.some((endpoint) => tlsOf(host, isLoopback(endpoint)) !== 'off') ? security.handshake(host, target) : null;
  const authenticating = security.authenticator(host);
  trace?.('!', `connecting to ${target.name}${target.unix ? '' : ` port ${endpoints[0]?.port}`}`);
  const connected = await connectFirst(endpoints, { within: timeouts.connect, ...(signal ? { signal } : {}) });
  const failed = connected.failed.map(({ endpoint, detail }) => {
    trace?.('!', `${endpoint.address}: ${detail}`);
    return { endpoint, failure: { kind: 'connect', at: 'greeting', condemns: 'address', during: 'connect', detail } as const };
  });
  const [prepared, authenticator] = await Promise.all([preparing, authenticating]);
  if (connected.winner === null) return { failed, session: null };
  const { socket, endpoint } = connected.winner;
  trace?.('!', `connected to ${endpoint.address}`);
  const missing = prepared?.ok === false ? prepared.detail : authenticator.ok ? null : authenticator.detail;
  if (missing !== null || !authenticator.ok) {
    socket.destroy();
    const failure: SessionFailure = { kind: 'unsupported', at: 'ready', condemns: 'host', detail: missing ?? '' };
    return { failed: [...failed, { endpoint, failure }], session: null };
  }
  const handshake = prepared?.ok ? prepared.value : null;
  const loopback = isLoopback(endpoint);
  let mechanism = '';
  const plan: Plan = {
    protocol: host.scheme === 'lmtp' ? 'lmtp' : 'smtp',
    hello: options.hello === '' ? addressLiteral(socket) : options.hello,
    tls: tlsOf(host, loopback),
    authenticate: remember(authenticator.value(endpoint, loopback, handshake), (name) => {
      mechanism = name;
    }),
    transactions: options.transactions,
    framing: options.framing,
    partial: options.partial,
  };
  const connection = new Connection(socket, {
    plan,
    timeouts,
    scrub: security.scrub,
    secure: handshake?.secure ?? (async () => ({ ok: false, detail: 'TLS is off for this host' })),
    ...(options.encoder ? { encoder: options.encoder } : {}),
    ...(trace ? { trace } : {}),
    ...(options.note ? { note: options.note } : {}),
    ...(options.progress ? { progress: options.progress } : {}),
  });
  const facts = () => {
    const auth = mechanism === '' || !host.auth ? null : { mechanism, user: host.auth.user };
    return { host, name: target.name, endpoint, tls: handshake?.facts() ?? null, auth };
  };
  return { failed, session: { connection, endpoint, facts } };
}

function remember(choose: Plan['authenticate'], tell: (name: string) => void): Plan['authenticate'] {
  if (choose === null) return null;
  return (offered, secured) => {
    const chosen: Mechanism | string = choose(offered, secured);
    if (typeof chosen !== 'string') tell(chosen.name);
    return chosen;
  };
}

/** Implicit TLS goes with the scheme; else the configured mode, and 'default' is off where only this host can listen. */
function tlsOf({ scheme, tls }: Smarthost, loopback: boolean): Plan['tls'] {
  if (scheme === 'submissions') return 'implicit';
  if (tls.mode === 'off') return 'off';
  if (tls.mode === 'opportunistic') return 'opportunistic';
  return tls.mode === 'default' && loopback ? 'off' : 'required';
}

export function isLoopback({ address, family }: Endpoint): boolean {
  return family === 'unix' || /^127\./.test(address) || address === '::1' || /^::ffff:127\./i.test(address);
}

/** The socket's own address as an EHLO argument. RFC 5321 §4.1.3 */
function addressLiteral(socket: Socket): string {
  const address = (socket.localAddress ?? '127.0.0.1').replace(/^::ffff:/i, '').replace(/%.*$/, '');
  return isIP(address) === 6 ? `[IPv6:${address}]` : `[${address}]`;
}
