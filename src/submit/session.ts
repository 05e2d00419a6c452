/**
 * Opens a session to one of the addresses of a smart host: connection, TLS and authentication as its policies say.
 * Sends no message and does not choose among smart hosts.
 */

import { isIP, type Socket } from 'node:net';
import { isLoopback, isWrittenAsLoopback } from '../router/loopback.ts';
import { DIRECT, isLmtp, type Link, type ProxyPolicy, printProxy, type Smarthost } from '../router/smarthost.ts';
import type { ContentEncoder } from '../smtp/client/content.ts';
import type { SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
import type { Transaction } from '../smtp/client/print.ts';
import type { Plan } from '../smtp/client/session.ts';
import type { Parsed } from '../smtp/parsed.ts';
import { unspeakableMailbox } from '../smtp/path.ts';
import { type Connected, connectFirst } from '../transport/connect.ts';
import { Connection, type Content, type SessionTimeouts, type Trace } from '../transport/driver.ts';
import type { Endpoint, Target } from '../transport/lookup/endpoints.ts';
import type { Known } from './advice.ts';
import { helloName } from './domain.ts';
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
  /** The password for the proxy of the host; '' where none is configured. */
  readonly proxyPassword: (host: Smarthost) => Promise<Parsed<string>>;
  /** Takes every secret that was read out of a text, in whatever form it stands there; in answers to AUTH parts of it, too. */
  readonly scrub: (text: string, isToAuth: boolean) => string;
}

export interface SessionOptions {
  readonly timeouts: SessionTimeouts & { readonly connect: number; readonly resolve: number };
  /** EHLO argument; what is no domain is replaced by the address literal of the socket. */
  readonly hello: string;
  readonly partial: boolean;
  readonly framing: Plan['framing'];
  readonly transactions: Plan['transactions'];
  readonly security: Security;
  readonly encoder?: (framing: 'data' | 'bdat') => ContentEncoder;
  readonly trace?: Trace;
  readonly note?: (note: string) => void;
  readonly progress?: (octets: number) => void;
  /** Called when TCP is connected, to the smart host or its proxy; not called where no address answers. */
  readonly onConnected?: () => void;
  /** Ends the attempt to connect. */
  readonly signal?: AbortSignal;
}

export interface OpenSession {
  readonly connection: Connection;
  readonly endpoint: Endpoint;
  /** As the connection does; a failure says what may be done about it, where that is known. */
  readonly submit: (transaction: Transaction, content: Content) => Promise<SessionOutcome>;
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
  const { security, trace, timeouts } = options;
  const link = host.link ?? DIRECT;
  const through = target.unix || link.proxy === null ? null : { ...link, proxy: link.proxy };
  // The context is built and the secret read while TCP connects.
  const preparing = endpoints.some((endpoint) => tlsOf(host, isOwn(host, endpoint)) !== 'off') ? security.handshake(host, target) : null;
  const authenticating = security.authenticator(host);
  const knocking = through ? security.proxyPassword(host) : null;
  trace?.(
    '!',
    `connecting to ${target.name}${target.unix ? '' : ` port ${endpoints[0]?.port}`}${through ? ` through ${printProxy(through.proxy)}` : ''}`,
  );
  const connected = await (through ? throughProxy(through, endpoints, options) : connectFirst(endpoints, connectOptions(link, options)));
  const failed = connected.failed.map(({ endpoint, detail }) => {
    trace?.('!', `${endpoint.address}: ${detail}`);
    return { endpoint, failure: { kind: 'connect', at: 'greeting', condemns: 'address', during: 'connect', detail } as const };
  });
  if (connected.winner === null) return { failed, session: null };
  const { socket, endpoint } = connected.winner;
  options.onConnected?.();
  trace?.('!', `connected to ${through ? 'the proxy' : endpoint.address}`);
  // A password command may take its time, and a signal does not wait for it.
  const made = await unlessAborted(Promise.all([preparing, authenticating, knocking]), options.signal);
  if (made === null) {
    socket.destroy();
    return { failed, session: null };
  }
  const [prepared, authenticator, proxyPassword] = made;
  const missing = [prepared, authenticator, proxyPassword].flatMap((each) => (each?.ok === false ? [each.detail] : []));
  if (missing.length > 0 || !authenticator.ok) {
    socket.destroy();
    const failure: SessionFailure = { kind: 'unsupported', at: 'ready', condemns: 'host', detail: missing.join('; '), isOurs: true };
    return { failed: [...failed, { endpoint, failure }], session: null };
  }
  // Nothing is awaited between the tunnel and the session: what the server says first is heard by the session.
  const to = { host: endpoint.address, port: endpoint.port, speaksFirst: host.scheme !== 'submissions' };
  const opening = through ? await import('../transport/proxy.ts') : null;
  const opened =
    opening && through && proxyPassword?.ok
      ? await opening.openTunnel(socket, through.proxy, proxyPassword.value, to, timeouts, options.signal)
      : null;
  if (opened?.ok === false) {
    const detail = security.scrub(opened.detail, true);
    trace?.('!', detail);
    const failure: SessionFailure = { kind: 'connect', at: 'greeting', condemns: 'address', during: 'connect', detail };
    return { failed: [...failed, { endpoint, failure }], session: null };
  }
  if (opened) trace?.('!', 'the proxy has connected');
  const handshake = prepared?.ok ? prepared.value : null;
  const loopback = isOwn(host, endpoint);
  let [mechanism, offered]: [string, ReadonlySet<string>] = ['', new Set()];
  const plan: Plan = {
    protocol: isLmtp(host) ? 'lmtp' : 'smtp',
    hello: helloOf(options.hello, socket),
    tls: tlsOf(host, loopback),
    authenticate: remember(authenticator.value(endpoint, loopback, handshake), (name, among) => {
      [mechanism, offered] = [name, among];
    }),
    transactions: options.transactions,
    framing: options.framing,
    partial: options.partial,
    ...(host.ignoreExtensions ? { ignoreExtensions: host.ignoreExtensions } : {}),
  };
  const before = socket.bytesRead;
  const known = (): Known => ({ host, endpoint, isOwn: loopback, offered, mechanism, heard: socket.bytesRead - before });
  const connection = new Connection(socket, {
    plan,
    timeouts,
    scrub: security.scrub,
    secure: (plain) => secured(handshake, plain, trace),
    ...(options.encoder ? { encoder: options.encoder } : {}),
    ...(trace ? { trace } : {}),
    ...(options.note ? { note: options.note } : {}),
    ...(options.progress ? { progress: options.progress } : {}),
  });
  const facts = () => {
    const auth = mechanism === '' || !host.auth ? null : { mechanism, user: host.auth.user };
    return { host, name: target.name, endpoint, tls: handshake?.facts() ?? null, auth };
  };
  if (trace) tellOfSilence(socket, known, timeouts.greeting, trace);
  const submit = async (transaction: Transaction, content: Content): Promise<SessionOutcome> => {
    const outcome = await connection.submit(transaction, content);
    const advice = outcome.kind === 'failed' ? await loadAdvice() : null;
    return outcome.kind === 'failed' && advice ? { ...outcome, failure: advice.advised(outcome.failure, known()) } : outcome;
  };
  return { failed, session: { connection, endpoint, submit, facts } };
}

/** A person who looks on need not wait until the greeting's time is over; half of it, and never more than this (milliseconds). */
const SILENCE = 5000;
function tellOfSilence(socket: Socket, known: () => Known, within: number, trace: Trace): void {
  const look = async (): Promise<void> => {
    const { heard, host } = known();
    const words = heard === 0 && !socket.destroyed ? (await loadAdvice())?.aboutSilence(host) : null;
    if (words) trace('!', words);
  };
  setTimeout(() => void look(), Math.min(SILENCE, within / 2)).unref();
}

/** Only failures need it, and one that cannot be had must not hide the reason. */
const loadAdvice = () => import('./advice.ts').catch(() => null);

/**
 * A forward-path that no command line can carry: the machine opens the session and refuses this on our side. So MAIL is
 * never sent, whatever the server offers.
 */
const UNSPEAKABLE: Transaction = {
  reversePath: null,
  recipients: [{ path: unspeakableMailbox() }],
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
};

/**
 * Waits until the session has been opened, from the greeting to authentication; null, or why it was not. Sends no MAIL;
 * where the plan has one transaction only, QUIT follows at once.
 */
export async function untilReady({ connection, submit }: Pick<OpenSession, 'connection' | 'submit'>): Promise<SessionFailure | null> {
  const outcome = await submit(UNSPEAKABLE, { open: () => null });
  return connection.channel !== null || outcome.kind !== 'failed' ? null : outcome.failure;
}

type Through = Link & { readonly proxy: ProxyPolicy };

const connectOptions = (link: Link, { timeouts, signal }: SessionOptions) => ({
  within: timeouts.connect,
  ...(link.sourceAddress === '' ? {} : { from: link.sourceAddress }),
  ...(signal ? { signal } : {}),
});

/** A connection to the proxy, in place of one to the endpoint. The module is loaded when a proxy is configured. */
async function throughProxy(link: Through, [endpoint]: readonly Endpoint[], { timeouts, signal }: SessionOptions): Promise<Connected> {
  const { connectProxy } = await import('../transport/proxy.ts');
  const socket = await connectProxy(link, timeouts, signal);
  if (socket.ok && endpoint && !signal?.aborted) return { winner: { socket: socket.value, endpoint }, failed: [] };
  if (socket.ok) socket.value.destroy();
  return { winner: null, failed: socket.ok || !endpoint || signal?.aborted ? [] : [{ endpoint, detail: socket.detail }] };
}

/** The result of `work`, or null when the signal came first. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T | null> {
  if (signal === undefined) return work;
  if (signal.aborted) return null;
  let interrupt = () => {};
  const aborted = new Promise<null>((resolve) => {
    interrupt = () => resolve(null);
    signal.addEventListener('abort', interrupt, { once: true });
  });
  const done = await Promise.race([work, aborted]);
  signal.removeEventListener('abort', interrupt);
  return signal.aborted ? null : done;
}

/** The handshake, and what came of it for `-d`. */
async function secured(handshake: Handshake | null, socket: Socket, trace: Trace | undefined): Promise<Parsed<Socket>> {
  if (handshake === null) return { ok: false, detail: 'TLS is off for this host' };
  const done = await handshake.secure(socket);
  const facts = handshake.facts();
  if (facts !== null) trace?.('!', `${facts.cipher}, the certificate is ${facts.verified ? 'verified' : 'not verified'}`);
  return done;
}

function remember(choose: Plan['authenticate'], tell: (name: string, among: ReadonlySet<string>) => void): Plan['authenticate'] {
  if (choose === null) return null;
  return (offered, secured) => {
    const chosen = choose(offered, secured);
    if (chosen.ok) tell(chosen.value.name, offered);
    return chosen;
  };
}

/** Implicit TLS goes with the scheme; else the configured mode, and 'default' is off for this very host. */
function tlsOf({ scheme, tls }: Smarthost, loopback: boolean): Plan['tls'] {
  if (scheme === 'submissions') return 'implicit';
  if (tls.mode === 'off') return 'off';
  if (tls.mode === 'opportunistic') return 'opportunistic';
  return tls.mode === 'default' && loopback ? 'off' : 'required';
}

/** This very host: written so, and reached so. The second because a hosts file may lead `localhost` elsewhere. */
const isOwn = (host: Smarthost, { address, family }: Endpoint): boolean =>
  isWrittenAsLoopback(host) && (family === 'unix' || isLoopback(address));

/** A control character is no slip in a name: the machine refuses it before anything is said. */
const helloOf = (hello: string, socket: Socket): string => (/\p{Cc}/u.test(hello) ? hello : helloName(hello) || addressLiteral(socket));

/** The socket's own address as an EHLO argument. RFC 5321 §4.1.3 */
function addressLiteral(socket: Socket): string {
  const address = (socket.localAddress ?? '127.0.0.1').replace(/^::ffff:/i, '').replace(/%.*$/, '');
  return isIP(address) === 6 ? `[IPv6:${address}]` : `[${address}]`;
}
