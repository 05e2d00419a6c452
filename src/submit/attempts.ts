/**
 * Tries smart hosts, and the addresses of each, until one has given its verdict on the message: the table of
 * failures and what each rules out. Knows no header field, no configuration file, no word for people but what
 * it was given.
 */
import { isIP, type Socket } from 'node:net';
import type { Smarthost } from '../router/route.ts';
import type { Transaction } from '../smtp/commands.ts';
import type { ContentEncoder } from '../smtp/content.ts';
import type { SessionFailure } from '../smtp/outcome.ts';
import type { Parsed } from '../smtp/parsed.ts';
import type { Mechanism } from '../smtp/sasl.ts';
import type { Plan } from '../smtp/session.ts';
import { connectFirst } from '../transport/connect.ts';
import { Connection, type Content, type SessionTimeouts, type Trace } from '../transport/connection.ts';
import { type Endpoint, endpointsOf, type Target, targetsOf } from '../transport/resolve.ts';
import type { Acceptance, Attempt, Outcome } from './outcome.ts';
import { failedWith } from './outcome.ts';

export interface Delivery {
  /** In the order they are tried. */
  readonly hosts: readonly Smarthost[];
  readonly transaction: Transaction;
  /** `replayable` is false once octets were pulled that cannot be pulled again. */
  readonly content: Content & { readonly replayable: boolean };
}

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

export interface DeliveryOptions {
  readonly timeouts: SessionTimeouts & { readonly resolve: number; readonly connect: number };
  /** EHLO argument; '' = the address literal of the socket. */
  readonly hello: string;
  readonly partial: boolean;
  readonly framing: Plan['framing'];
  readonly security: Security;
  readonly encoder?: (framing: 'data' | 'bdat') => ContentEncoder;
  readonly trace?: Trace;
  readonly note?: (note: string) => void;
  readonly progress?: (octets: number) => void;
  /** Ends the delivery; after the commit the verdict is awaited for `grace` more. The reason is a sentence. */
  readonly signal?: AbortSignal;
  /** Ends even the wait for the verdict. */
  readonly urgent?: AbortSignal;
  /** Milliseconds. */
  readonly grace?: number;
}

/** A verdict that a smart host already reached is worth this wait after a signal (milliseconds). */
const GRACE = 30_000;

/** One attempt's end; null when no endpoint answered (each is in `attempts` then). */
type Ended = { readonly by: Acceptance } | { readonly failure: SessionFailure; readonly endpoint: Endpoint } | null;

interface Run {
  readonly delivery: Delivery;
  readonly options: DeliveryOptions;
  readonly attempts: Attempt[];
}

/** Delivers to the first smart host that takes the message. Never rejects. */
export async function deliver(delivery: Delivery, options: DeliveryOptions): Promise<Outcome> {
  const run: Run = { delivery, options, attempts: [] };
  for (const [i, host] of delivery.hosts.entries()) {
    const outcome = await tryHost(run, host, i < delivery.hosts.length - 1);
    if (outcome !== 'next') return outcome;
  }
  return run.attempts.length > 0 ? gaveUp(run, false) : failedWith({ kind: 'route', details: [NO_HOST], deferred: false });
}

const NO_HOST = 'no smart host is configured: set smarthosts';

/** The names of a host, in order. */
async function tryHost(run: Run, host: Smarthost, moreHosts: boolean): Promise<Outcome | 'next'> {
  const targets = await targetsOf(host, run.options.timeouts.resolve);
  if (!targets.ok) {
    run.attempts.push({ host, name: host.host, endpoint: null, failure: unresolved(targets.detail) });
    return 'next';
  }
  for (const [i, target] of targets.value.entries()) {
    const outcome = await tryTarget(run, host, target, moreHosts || i < targets.value.length - 1);
    if (outcome === 'next host') return 'next';
    if (outcome !== 'next') return outcome;
  }
  return 'next';
}

/** The addresses of a name, in order, each until it has failed once. */
async function tryTarget(run: Run, host: Smarthost, target: Target, more: boolean): Promise<Outcome | 'next' | 'next host'> {
  const { delivery, options, attempts } = run;
  const found = await endpointsOf(target, options.timeouts.resolve);
  if (!found.ok) {
    attempts.push({ host, name: target.name, endpoint: null, failure: unresolved(found.detail) });
    return 'next';
  }
  const before = attempts.length;
  let untried = found.value;
  while (untried.length > 0) {
    if (options.signal?.aborted) return interrupted(run);
    const ended = await attempt(run, host, target, untried);
    if (ended === null) return options.signal?.aborted ? interrupted(run) : 'next';
    if ('by' in ended) return { kind: 'accepted', by: ended.by, attempts };
    attempts.push({ host, name: target.name, ...ended });
    const failed = new Set(attempts.slice(before).map(({ endpoint }) => endpoint?.address));
    untried = untried.filter(({ address }) => !failed.has(address));
    if (ended.failure.condemns === 'message') return gaveUp(run, false);
    if (!delivery.content.replayable) return gaveUp(run, more || untried.length > 0);
    if (ended.failure.condemns === 'host') return 'next host';
  }
  return 'next';
}

/** The last failure is the delivery's; `unreplayable` when others would have been tried. */
function gaveUp({ attempts }: Run, unreplayable: boolean): Outcome {
  const { failure } = attempts.at(-1) as Attempt;
  return { kind: 'failed', failure, attempts, unreplayable };
}

function interrupted({ options, attempts }: Run): Outcome {
  const failure: SessionFailure = { kind: 'content', at: 'closed', condemns: 'message', detail: String(options.signal?.reason) };
  return { kind: 'failed', failure, attempts, unreplayable: false };
}

const unresolved = (detail: string): SessionFailure => ({ kind: 'connect', at: 'greeting', condemns: 'host', during: 'resolve', detail });

/** One connection and one transaction on it. */
async function attempt(
  { delivery, options, attempts }: Run,
  host: Smarthost,
  target: Target,
  endpoints: readonly Endpoint[],
): Promise<Ended> {
  const { security, trace, timeouts, signal } = options;
  const mayBeSecured =
    host.tls.mode !== 'off' && !(host.tls.mode === 'default' && endpoints.every(isLoopback) && host.scheme !== 'submissions');
  // The context is built while TCP connects.
  const preparing = mayBeSecured ? security.handshake(host, target) : null;
  trace?.('!', `connecting to ${target.name}${target.unix ? '' : ` port ${endpoints[0]?.port}`}`);
  const authenticating = security.authenticator(host);
  const connected = await connectFirst(endpoints, { within: timeouts.connect, ...(signal ? { signal } : {}) });
  for (const { endpoint, detail } of connected.failed) {
    trace?.('!', `${endpoint.address}: ${detail}`);
    attempts.push({
      host,
      name: target.name,
      endpoint,
      failure: { kind: 'connect', at: 'greeting', condemns: 'address', during: 'connect', detail },
    });
  }
  const [prepared, authenticator] = await Promise.all([preparing, authenticating]);
  if (connected.winner === null) return null;
  const { socket, endpoint } = connected.winner;
  trace?.('!', `connected to ${endpoint.address}`);
  const unusable = (detail: string): Ended => {
    socket.destroy();
    return { endpoint, failure: { kind: 'unsupported', at: 'ready', condemns: 'host', detail } };
  };
  if (prepared && !prepared.ok) return unusable(prepared.detail);
  const handshake = prepared?.value ?? null;
  const loopback = isLoopback(endpoint);
  if (!authenticator.ok) return unusable(authenticator.detail);
  let mechanism = '';
  const plan: Plan = {
    protocol: host.scheme === 'lmtp' ? 'lmtp' : 'smtp',
    hello: options.hello === '' ? addressLiteral(socket) : options.hello,
    tls: tlsOf(host, loopback),
    authenticate: remember(authenticator.value(endpoint, loopback, handshake), (name) => {
      mechanism = name;
    }),
    transactions: 'one',
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
  const release = interruptible(connection, options);
  const outcome = await connection.submit(delivery.transaction, delivery.content);
  release();
  if (outcome.kind === 'failed') return { failure: outcome.failure, endpoint };
  const { reply, refusals } = outcome;
  const auth = mechanism === '' || !host.auth ? null : { mechanism, user: host.auth.user };
  return { by: { host, name: target.name, endpoint, reply, refusals, tls: handshake?.facts() ?? null, auth } };
}

/** A signal before the commit ends the session; after it the verdict gets `grace`, and a second signal ends that, too. */
function interruptible(connection: Connection, { signal, urgent, grace = GRACE }: DeliveryOptions): () => void {
  let timer: NodeJS.Timeout | undefined;
  const end = () => connection.abort(String((urgent?.aborted ? urgent : signal)?.reason));
  const interrupt = () => {
    if (connection.committed) timer = setTimeout(end, grace);
    else end();
  };
  if (signal?.aborted) interrupt();
  signal?.addEventListener('abort', interrupt, { once: true });
  urgent?.addEventListener('abort', end, { once: true });
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', interrupt);
    urgent?.removeEventListener('abort', end);
  };
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
  if (tls.mode === 'off') return 'off';
  if (scheme === 'submissions') return 'implicit';
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
