/**
 * Opens a session to one of the addresses of a smart host: connection, TLS and authentication as its policies say.
 * Sends no message and does not choose among smart hosts.
 */

import type { Duplex } from 'node:stream';
import { isLoopback, isWrittenAsLoopback } from '../router/loopback.ts';
import { DIRECT, isLmtp, type Link, type ProxyPolicy, printProxy, type Smarthost } from '../router/smarthost.ts';
import type { SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
import type { Transaction } from '../smtp/client/print.ts';
import type { Plan } from '../smtp/client/session.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isIPv6 } from '../smtp/path.ts';
import { type EndSignal, reasonOf } from '../transport/abort.ts';
import { type Connected, connectFirst } from '../transport/connect.ts';
import { Connection, type ConnectionOptions, type ContentOpener, type MessageOptions, type SessionTimeouts } from '../transport/driver.ts';
import type { Names } from '../transport/lookup/question.ts';
import type { Endpoint, Target } from '../transport/lookup/target.ts';
import { guardObserver, type Observer, type Trace } from '../transport/observer.ts';
import { isError } from '../transport/realm.ts';
import { explainConnectError } from '../transport/socket-error.ts';
import type { Connect, Reached, Unreached, Wire } from '../transport/wire.ts';
import type { Known } from './advice.ts';
import { helloName } from './domain.ts';
import { unlessAborted } from './interrupts.ts';
import type { Acceptance } from './outcome.ts';

/** A handshake prepared while TCP connects. */
export interface Handshake {
  readonly secure: (wire: Wire) => Promise<Reached<Wire>>;
  /** After the handshake: Exim's `X=` text and whether the peer was verified. */
  readonly facts: () => { readonly cipher: string; readonly verified: boolean } | null;
}

/** Chooses a mechanism for the connection that was made; null when the host needs no authentication. */
export type Authenticator = (endpoint: Endpoint, loopback: boolean, handshake: Handshake | null) => Plan['authenticate'];

/** Makes what a connection needs besides sockets, while TCP connects and only when a host is reached. */
export interface Security {
  /** `isContextOfWire`: the wire makes the context of TLS itself. */
  readonly handshake: (host: Smarthost, target: Target, isContextOfWire: boolean) => Promise<Parsed<Handshake>>;
  /** Reads the secret. */
  readonly authenticator: (host: Smarthost) => Promise<Parsed<Authenticator>>;
  /** The password for the proxy of the host; '' where none is configured. */
  readonly proxyPassword: (host: Smarthost) => Promise<Parsed<string>>;
  /** Takes out of a text every secret that was read, in whatever form it stands there; in answers to AUTH parts of it, too. */
  readonly scrub: (text: string, isToAuth: boolean) => string;
}

/** Who looks on while a session is opened. */
export type SessionObserver = Observer;

/**
 * Connects in place of this program: to the endpoint, which has the name or address as it is written (`family: 'name'`), by whatever
 * way. The stream carries octets both ways, and TLS is spoken over it where the host wants it. No name is looked up for it, and no
 * proxy and no source address of the host count. The signal comes when nobody waits any more.
 */
export type Dial = (host: Smarthost, endpoint: Endpoint, signal: AbortSignal) => Promise<Duplex> | Duplex;

export interface SessionOptions {
  readonly timeouts: SessionTimeouts & { readonly connect: number; readonly resolve: number };
  /** EHLO argument; the address literal of the socket replaces what is no domain. */
  readonly hello: string;
  readonly partial: Plan['partial'];
  /** Default: 'auto' where a reset reaches the server. */
  readonly framing?: Plan['framing'] | undefined;
  readonly transactions: Plan['transactions'];
  readonly security: Security;
  readonly encoder?: ConnectionOptions['encoder'];
  readonly commitsAtOnce?: ConnectionOptions['commitsAtOnce'];
  /** Looks the names of this system up; default: by a thread of this process where only the C library knows. */
  readonly names?: Names | undefined;
  /** Default: this program connects. */
  readonly dial?: Dial | undefined;
  /** Makes the wires of this program where it can, and has TLS of its own. Default: Node's sockets. */
  readonly connect?: Connect | undefined;
  readonly observer?: SessionObserver | undefined;
  /** Ends the opening. */
  readonly signal?: EndSignal | undefined;
}

export interface OpenSession {
  readonly connection: Connection;
  readonly endpoint: Endpoint;
  /** Submits on the connection, and adds advice to a failure where there is any. */
  submit(transaction: Transaction, content: ContentOpener, options?: MessageOptions): Promise<SessionOutcome>;
  /** The failure with advice, where there is any. */
  advise(failure: SessionFailure): Promise<SessionFailure>;
  /** Waits until the connection is opened, with the same advice. */
  opened(): Promise<SessionFailure | null>;
  /** The facts that the log has of the server, once it has taken a message. */
  facts(): Pick<Acceptance, 'host' | 'name' | 'endpoint' | 'tls' | 'auth' | 'offers'>;
}

export interface Opening {
  /** Addresses that did not answer, in order of failure. */
  readonly failed: readonly {
    readonly endpoint: Endpoint;
    readonly failure: SessionFailure;
    /** What `dial` has thrown. */
    readonly cause?: unknown;
  }[];
  /** null when none answered, or when what the configuration asks for cannot be had (then it is in `failed`). */
  readonly session: OpenSession | null;
}

/** Connects and begins the session; the greeting is still to come. Never rejects. */
export async function openSession(
  host: Smarthost,
  target: Target,
  endpoints: readonly Endpoint[],
  given: SessionOptions,
): Promise<Opening> {
  const observer = guardObserver(given.observer);
  const options = { ...given, observer };
  const { signal, dial } = options;
  const { trace } = observer;
  const through = dial ? null : proxyTo(host, target);
  const wantsTls = endpoints.some((endpoint) => tlsOf(host, isOwn(host, endpoint, dial)) !== 'off');
  const connect = through === null && (!wantsTls || isPlainTls(host, target)) ? options.connect : undefined;
  // A part that is loaded now may be out of reach: this process may have no descriptor left.
  const preparing = prepare(host, target, wantsTls, through, dial === undefined && connect !== undefined, options).catch(unexpected);
  trace?.('!', `connecting to ${printTarget(target, endpoints)}${through ? ` through ${printProxy(through.proxy)}` : ''}`);
  if (endpoints[0] && (dial || through)) observer.dialing?.(endpoints[0]);
  const connected: DialedOrConnected = await (dial
    ? dialFirst(dial, host, endpoints, options)
    : through
      ? connectToProxy(through, endpoints, options)
      : connectFirst(endpoints, { ...connectOptions(host.link ?? DIRECT, options), connect })
  ).catch((thrown: unknown) => toConnected(unexpected(thrown), endpoints[0] as Endpoint, signal));
  const failed: Opening['failed'][number][] = [];
  for (const { endpoint, cause, ...why } of connected.failed) {
    trace?.('!', `${endpoint.address}: ${why.detail}`);
    failed.push({ endpoint, failure: unconnected(why), ...(cause === undefined ? {} : { cause }) });
  }
  if (connected.winner === null) {
    observer.unconnected?.(failed.map(({ failure }) => failure));
    return { failed, session: null };
  }
  const { wire, endpoint } = connected.winner;
  const giveUp = (...failures: readonly SessionFailure[]): Opening => {
    observer.unconnected?.(failures);
    wire.destroy();
    return { failed: [...failed, ...failures.map((failure) => ({ endpoint, failure }))], session: null };
  };
  trace?.('!', `connected to ${through ? 'the proxy' : endpoint.address}`);
  observer.connected?.(endpoint);
  // A password command may take its time, and a signal does not wait for it.
  const prepared = await unlessAborted(preparing, signal);
  if (prepared === null) return giveUp();
  if (!prepared.ok && 'reason' in prepared) return giveUp(unconnected(prepared));
  if (!prepared.ok)
    return giveUp({ kind: 'unsupported', at: 'ready', condemns: 'host', lacks: 'configuration', detail: prepared.detail, isOurs: true });
  const tunnel = through ? await connectThrough(wire, host, endpoint, through, prepared.value, options) : null;
  if (tunnel?.ok === false) return giveUp(unconnected(tunnel));
  try {
    return { failed, session: new HostSession(wire, host, target, endpoint, prepared.value, options) };
  } catch (thrown) {
    // A stream of the caller's may throw when it is looked at.
    return giveUp(unconnected(unexpected(thrown)));
  }
}

/**
 * True for TLS without a client's certificate, with a peer that is not verified or has one name, which is that of its look-up. Sockets
 * other than Node's do no more: they compare that name with the certificate themselves, and know few ways to write one.
 */
export function isPlainTls({ tls }: Pick<Smarthost, 'tls'>, { name, unix, fromDns }: Pick<Target, 'name' | 'unix' | 'fromDns'>): boolean {
  if (unix || tls.certificate !== '') return false;
  if (!tls.verify || tls.fingerprint.length > 0) return true;
  return /^(?:(?!xn--)[a-z0-9-]+\.)*(?!xn--)[a-z][a-z0-9-]*$/i.test(tls.serverName || name) && (tls.serverName !== '' || !fromDns);
}

const unexpected = (thrown: unknown): { readonly ok: false } & Unreached => ({
  ok: false,
  ...explainConnectError(isError(thrown) ? thrown : new Error(reasonOf(thrown))),
});

const unconnected = ({ detail, reason, systemCode }: Unreached): SessionFailure => ({
  kind: 'connect',
  at: 'greeting',
  condemns: 'address',
  during: 'connect',
  reason,
  detail,
  ...(systemCode === undefined ? {} : { systemCode }),
});

const printTarget = ({ name, unix }: Target, [endpoint]: readonly Endpoint[]): string => (unix ? name : `${name} port ${endpoint?.port}`);

/* ---- what is made while TCP connects ---- */

interface Prepared {
  /** null when no address of the host wants TLS. */
  readonly handshake: Handshake | null;
  readonly authenticator: Authenticator;
  readonly proxyPassword: string;
}

/** Builds the TLS context and reads the secrets; whatever cannot be had is in the sentence. */
async function prepare(
  host: Smarthost,
  target: Target,
  wantsTls: boolean,
  through: Through | null,
  isContextOfWire: boolean,
  { security }: SessionOptions,
): Promise<Parsed<Prepared>> {
  const [handshake, authenticator, proxyPassword] = await Promise.all([
    wantsTls ? security.handshake(host, target, isContextOfWire) : parsed(null),
    security.authenticator(host),
    through ? security.proxyPassword(host) : parsed(''),
  ]);
  if (handshake.ok && authenticator.ok && proxyPassword.ok)
    return parsed({ handshake: handshake.value, authenticator: authenticator.value, proxyPassword: proxyPassword.value });
  return unparsed([handshake, authenticator, proxyPassword].flatMap((each) => (each.ok ? [] : [each.detail])).join('; '));
}

/* ---- the way to the host ---- */

type Through = Link & { readonly proxy: ProxyPolicy };

function proxyTo({ link }: Smarthost, { unix }: Target): Through | null {
  return unix || !link?.proxy ? null : { ...link, proxy: link.proxy };
}

const connectOptions = ({ sourceAddress }: Link, { timeouts, signal, observer }: SessionOptions) => ({
  within: timeouts.connect,
  began: observer?.dialing,
  from: sourceAddress === '' ? undefined : sourceAddress,
  signal,
});

/** A connection to the proxy, in place of one to the endpoint. The module is loaded when a proxy is configured. */
async function connectToProxy(link: Through, endpoints: readonly Endpoint[], options: SessionOptions): Promise<Connected> {
  const { connectProxy } = await import('../transport/proxy.ts');
  return toConnected(await connectProxy(link, options), endpoints[0] as Endpoint, options.signal);
}

/** As `Connected`, with what a program's own way has thrown. */
interface DialedOrConnected extends Pick<Connected, 'winner'> {
  readonly failed: readonly (Connected['failed'][number] & { readonly cause?: unknown })[];
}

/** A program's own way leads to the first endpoint. The module is loaded when there is one. */
async function dialFirst(
  dial: Dial,
  host: Smarthost,
  [endpoint]: readonly Endpoint[],
  { timeouts, signal, security }: SessionOptions,
): Promise<DialedOrConnected> {
  if (endpoint === undefined) return { winner: null, failed: [] };
  const { dialWire } = await import('../transport/dial.ts');
  const dialed = await dialWire((left) => dial(host, endpoint, left), timeouts.connect, signal);
  // Whoever dials may know secrets, and say them in an error.
  return toConnected(dialed.ok ? dialed : { ...dialed, detail: security.scrub(dialed.detail, true) }, endpoint, signal);
}

const toConnected = (
  reached: Reached<Wire> & { readonly cause?: unknown },
  endpoint: Endpoint,
  signal: EndSignal | undefined,
): DialedOrConnected =>
  reached.ok
    ? { winner: { wire: reached.value, endpoint }, failed: [] }
    : { winner: null, failed: signal?.aborted ? [] : [{ endpoint, ...reached }] };

/** Has the proxy connect to the endpoint. */
async function connectThrough(
  wire: Wire,
  { scheme }: Smarthost,
  { address, port }: Endpoint,
  { proxy }: Through,
  { proxyPassword }: Prepared,
  { timeouts, signal, security, observer }: SessionOptions,
): Promise<Reached<null>> {
  const proxies = await import('../transport/proxy.ts');
  const to = { host: address, port, speaksFirst: scheme !== 'submissions' };
  const opened = await proxies.openTunnel(wire, proxy, proxyPassword, to, timeouts, signal);
  const scrubbed = opened.ok ? opened : { ...opened, detail: security.scrub(opened.detail, true) };
  observer?.trace?.('!', scrubbed.ok ? 'the proxy has connected' : scrubbed.detail);
  return scrubbed;
}

/* ---- the session ---- */

/** The server has offered nothing yet, or needs no login. */
const NO_LOGIN: Pick<Known, 'mechanism' | 'offered'> = { mechanism: '', offered: new Set() };
const NO_EXTENSIONS: readonly string[] = [];

type Watched = SessionOptions & { readonly observer: SessionObserver };

/** Begins the session on a wire that leads to the host. */
class HostSession implements OpenSession {
  readonly connection: Connection;
  readonly endpoint: Endpoint;
  readonly #host: Smarthost;
  readonly #target: Target;
  readonly #handshake: Handshake | null;
  readonly #isOwn: boolean;
  readonly #wire: Wire;
  /** Octets that a proxy has said. */
  readonly #heardBefore: number;
  #login = NO_LOGIN;

  constructor(
    wire: Wire,
    host: Smarthost,
    target: Target,
    endpoint: Endpoint,
    { handshake, authenticator }: Prepared,
    { security, timeouts, observer, encoder, commitsAtOnce, dial, hello, transactions, framing, partial }: Watched,
  ) {
    const isHere = isOwn(host, endpoint, dial);
    this.endpoint = endpoint;
    this.#host = host;
    this.#target = target;
    this.#handshake = handshake;
    this.#isOwn = isHere;
    this.#wire = wire;
    this.#heardBefore = wire.heard;
    const plan: Plan = {
      protocol: isLmtp(host) ? 'lmtp' : 'smtp',
      hello: helloOf(hello, wire),
      tls: tlsOf(host, isHere),
      authenticate: remember(authenticator(endpoint, isHere, handshake), (mechanism, offered) => {
        this.#login = { mechanism, offered };
      }),
      transactions,
      // By a 'name' or 'unix' a reset may not reach the server, and some (go-smtp) take a last block that is cut for whole.
      framing: typeof endpoint.family === 'number' ? (framing ?? 'auto') : ((dial && framing) ?? 'data'),
      partial,
      ignoreExtensions: host.ignoreExtensions ?? NO_EXTENSIONS,
    };
    const secure = handshake === null ? refuseTls : (plain: Wire) => secureBy(handshake, plain, observer.trace);
    // Without a secret there is nothing to hide, and what reads secrets need not stay.
    const scrub = host.auth === null && !host.link?.proxy ? undefined : security.scrub;
    this.connection = new Connection(wire, { plan, timeouts, scrub, secure, encoder, commitsAtOnce, observer });
    const { trace } = observer;
    if (trace)
      void loadAdvice().then((advice) =>
        advice?.tellOfSilence(
          () => (wire.isOpen ? this.#known() : null),
          (words) => trace('!', words),
          timeouts.greeting,
          this.connection.ended(),
        ),
      );
  }

  #known(): Known {
    const { endpoint } = this;
    return { host: this.#host, endpoint, isOwn: this.#isOwn, ...this.#login, heard: this.#wire.heard - this.#heardBefore };
  }

  async submit(...message: Parameters<OpenSession['submit']>): Promise<SessionOutcome> {
    const outcome = await this.connection.submit(...message);
    return outcome.kind === 'failed' ? { ...outcome, failure: await this.advise(outcome.failure) } : outcome;
  }

  async advise(failure: SessionFailure): Promise<SessionFailure> {
    return (await loadAdvice())?.advise(failure, this.#known()) ?? failure;
  }

  async opened(): Promise<SessionFailure | null> {
    const failure = await this.connection.opened();
    return failure && this.advise(failure);
  }

  facts(): ReturnType<OpenSession['facts']> {
    const host = this.#host;
    const { mechanism } = this.#login;
    const auth = mechanism === '' ? null : { mechanism, user: host.auth?.user ?? '' };
    const tls = this.#handshake?.facts() ?? null;
    return { host, name: this.#target.name, endpoint: this.endpoint, tls, auth, offers: this.connection.channel?.extensions };
  }
}

/** Only failures and people who look on need advice, and if the module cannot be had, that must not hide the reason. */
const loadAdvice = () => import('./advice.ts').catch(() => null);

const refuseTls = async (): Promise<Reached<Wire>> => ({ ok: false, reason: 'other', detail: 'TLS is off for this host' });

/** Does the handshake, and shows what came of it. */
async function secureBy(handshake: Handshake, wire: Wire, trace: Trace | undefined): Promise<Reached<Wire>> {
  const done = await handshake.secure(wire);
  const facts = handshake.facts();
  if (facts !== null) trace?.('!', `${facts.cipher}, the certificate is ${facts.verified ? 'verified' : 'not verified'}`);
  return done;
}

/** As `choose`, and tells what was chosen among what. */
function remember(choose: Plan['authenticate'], tell: (name: string, among: ReadonlySet<string>) => void): Plan['authenticate'] {
  if (choose === null) return null;
  return (offered, secured) => {
    const chosen = choose(offered, secured);
    tell(chosen.ok ? chosen.value.name : '', offered);
    return chosen;
  };
}

/** The scheme says that TLS is implicit; else the mode is the configured one, and 'default' is off for this very host. */
function tlsOf({ scheme, tls }: Smarthost, loopback: boolean): Plan['tls'] {
  if (scheme === 'submissions') return 'implicit';
  if (tls.mode === 'off') return 'off';
  if (tls.mode === 'opportunistic') return 'opportunistic';
  return tls.mode === 'default' && loopback ? 'off' : 'required';
}

/**
 * True if the smart host is this very host: written so, and reached so, because a hosts file may lead `localhost` elsewhere, and
 * nobody knows where a program's own way leads.
 */
const isOwn = (host: Smarthost, { address, family }: Endpoint, dial: Dial | undefined): boolean =>
  dial === undefined && isWrittenAsLoopback(host) && (family === 'unix' || isLoopback(address));

/** A name with a control character is passed on, because the machine refuses it before anything is said. */
const helloOf = (hello: string, wire: Wire): string => (/\p{Cc}/u.test(hello) ? hello : helloName(hello) || addressLiteral(wire));

/** The wire's own address as an EHLO argument. RFC 5321 §4.1.3 */
function addressLiteral(wire: Wire): string {
  const address = (wire.localAddress ?? '127.0.0.1').replace(/^::ffff:/i, '').replace(/%.*$/, '');
  return isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`;
}
