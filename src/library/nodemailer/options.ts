/**
 * Reads the options of a transport, in nodemailer's names, into a server, a pool and terms of the library. What cannot be is a
 * sentence. Connects to nothing.
 */
import type { KeyLike, SignKeyObjectInput, SignPrivateKeyInput } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import { isLmtp } from '../../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { isUrl, octetsOf } from '../../transport/realm.ts';
import type { PoolOptions } from '../limits.ts';
import { type Options, parseOptions } from '../options.ts';
import { type Auth, parseServer, type Resolver, type Server, type TlsOptions, unknownKey } from '../server.ts';
import type { Dsn, GetSocket, LoggerLike } from './mail.ts';
import { AUTH_OPTIONS, OPTIONS, refusedOption, supported, TLS_OPTIONS } from './table.ts';
import { rename } from './words.ts';

/** Gives an access token; `renew` says that the last one was refused. `expires`: milliseconds since 1970. */
export type ProvisionCallback = (
  user: string,
  renew: boolean,
  callback: (error: Error | null, accessToken?: string, expires?: number) => void,
) => void;

/** How to log in, by nodemailer's names. */
export interface AuthSettings {
  readonly type?: string | undefined;
  readonly user?: string | undefined;
  readonly pass?: string | number | ((signal: AbortSignal) => string | Promise<string>) | undefined;
  /** A SASL name. */
  readonly method?: string | undefined;
  readonly accessToken?: string | undefined;
  /** Milliseconds since 1970. */
  readonly expires?: number | undefined;
  /** Seconds. */
  readonly timeout?: number | undefined;
  readonly provisionCallback?: ProvisionCallback | undefined;
  readonly refreshToken?: string | undefined;
  readonly clientId?: string | undefined;
  readonly clientSecret?: string | undefined;
  readonly accessUrl?: string | undefined;
  readonly customHeaders?: Readonly<Record<string, string | number | readonly string[] | undefined>> | undefined;
  readonly customParams?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds. */
  readonly requestTimeout?: number | undefined;
  readonly serviceClient?: string | undefined;
  readonly privateKey?: KeyLike | SignKeyObjectInput | SignPrivateKeyInput | undefined;
  readonly scope?: string | undefined;
  /** Seconds. */
  readonly serviceRequestTimeout?: number | undefined;
  /** As in `Auth` of nospool. */
  readonly mechanism?: Extract<Auth, { mechanism: unknown }>['mechanism'] | undefined;
  /** True: credentials may go over a connection that others can read. */
  readonly allowPlaintext?: boolean | undefined;
}

/** The options of the transport: nodemailer's, and what only nospool has. */
export interface NospoolTransportOptions {
  /** `smtp://user:pass@mail.example.org:587/?pool=true` as in nodemailer, or a URL as nospool's servers have it. */
  readonly url?: string | URL | undefined;
  readonly host?: string | undefined;
  readonly port?: number | string | undefined;
  readonly secure?: boolean | undefined;
  readonly requireTLS?: boolean | undefined;
  readonly ignoreTLS?: boolean | undefined;
  readonly opportunisticTLS?: boolean | undefined;
  readonly secured?: boolean | undefined;
  readonly servername?: string | undefined;
  readonly tls?: (ConnectionOptions & Pick<TlsOptions, 'caFile' | 'fingerprint'>) | undefined;
  readonly auth?: AuthSettings | false | undefined;
  readonly authMethod?: string | undefined;
  readonly forceAuth?: boolean | undefined;
  readonly name?: string | undefined;
  readonly localAddress?: string | undefined;
  /** Milliseconds, as all that follow. */
  readonly connectionTimeout?: number | undefined;
  readonly greetingTimeout?: number | undefined;
  readonly socketTimeout?: number | undefined;
  readonly dnsTimeout?: number | undefined;
  readonly logger?: LoggerLike | boolean | undefined;
  readonly debug?: boolean | undefined;
  readonly transactionLog?: boolean | undefined;
  readonly component?: string | undefined;
  readonly lmtp?: boolean | undefined;
  readonly proxy?: string | URL | undefined;
  readonly getSocket?: GetSocket | undefined;
  readonly pool?: boolean | undefined;
  readonly maxConnections?: number | undefined;
  readonly maxMessages?: number | undefined;
  readonly maxRequeues?: number | undefined;
  readonly idleTimeout?: number | undefined;
  readonly rateLimit?: number | undefined;
  readonly rateDelta?: number | undefined;
  readonly dsn?: Dsn | undefined;
  readonly dkim?: object | undefined;
  readonly disableFileAccess?: boolean | undefined;
  readonly disableUrlAccess?: boolean | undefined;
  readonly normalizeHeaderKey?: ((key: string, value: string) => string) | undefined;
  readonly maxRecipients?: number | undefined;
  readonly attachDataUrls?: boolean | undefined;
  /** What an entry of nodemailer's table of services has besides. */
  readonly description?: string | undefined;
  /** Default true, but for LMTP: everybody gets the message, or nobody. False: those whom the server accepts. */
  readonly allOrNothing?: boolean | undefined;
  /** Milliseconds in which a verdict is awaited after a signal came too late; default 30,000. */
  readonly grace?: number | undefined;
  /** The family of addresses to connect to. */
  readonly family?: 4 | 6 | undefined;
  /** EHLO keywords that count as not offered. */
  readonly ignoreExtensions?: readonly string[] | undefined;
  readonly resolver?: Resolver | undefined;
}

/** What the options come to. */
export interface Settings {
  /** But for credentials and the caller's own socket. */
  readonly server: Server;
  readonly terms: Omit<Options, 'signal' | 'trace' | 'progress'>;
  readonly auth: AuthSettings | null;
  readonly authMethod: string | undefined;
  /** null: a session for each message. */
  readonly pool:
    | (Required<Pick<PoolOptions, 'connections' | 'messagesPerConnection' | 'idle'>> & Pick<PoolOptions, 'rate' | 'retries'>)
    | null;
  readonly dsn: Dsn | undefined;
  readonly getSocket: GetSocket | undefined;
  readonly isSecured: boolean;
  readonly forceAuth: boolean;
  /** The conversation goes to the logger. */
  readonly isTraced: boolean;
  readonly logger: LoggerLike | boolean | undefined;
  /** For the object that `createTransport` returns. */
  readonly mail: Readonly<Record<string, unknown>>;
  /** For programs that read `options` of a transport: those that were given, with those of the URL. */
  readonly shown: NospoolTransportOptions;
}

/** nodemailer's, so that nothing waits longer or shorter than it did. Milliseconds. */
const CONNECTION_TIMEOUT = 120_000;
const GREETING_TIMEOUT = 30_000;
const DNS_TIMEOUT = 30_000;
const IDLE_TIMEOUT = 240_000;
const RATE_DELTA = 1000;

const PORT = 587;
const SECURE_PORT = 465;
const LMTP_PORT = 24;

export function readSettings(given: string | URL | NospoolTransportOptions): Parsed<Settings> {
  const named = typeof given === 'string' || isUrl(given) ? { url: given } : given;
  if (!isObject(named)) return unparsed('the options are an object, or a URL');
  const options = givenOptions(named);
  const unknown = optionFault(options);
  if (unknown !== null) return unparsed(unknown);
  const merged = mergeUrl(options);
  if (!merged.ok) return merged;
  const { own, url } = merged.value;
  const fault = optionFault(own);
  if (fault !== null) return unparsed(fault);
  const place = readPlace(own, url);
  if (!place.ok) return place;
  const tls = readTls(own);
  if (!tls.ok) return tls;
  const limits = readLimits(own);
  if (!limits.ok) return limits;
  const { localAddress, family, ignoreExtensions, resolver, name, grace, allOrNothing, secured, getSocket } = own;
  if (secured && typeof getSocket !== 'function') return unparsed('the option secured needs getSocket');
  if (getSocket && own.proxy) return unparsed('the options getSocket and proxy contradict each other: remove one of them');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
  if (name !== undefined && /[\u0000-\u0020\u007f]/.test(name)) return unparsed('the option name is a domain or an address literal');
  const server: Server = {
    url: place.value.url,
    tls: secured ? { mode: 'off' } : tls.value,
    ...(own.proxy ? { proxy: String(own.proxy).replace(/^socks:/i, 'socks5:') } : {}),
    ...(localAddress ? { localAddress } : {}),
    ...(family === undefined ? {} : { family }),
    ...(ignoreExtensions === undefined ? {} : { ignoreExtensions }),
    ...(resolver === undefined ? {} : { resolver }),
  };
  const read = parseServer(server);
  if (!read.ok) return unparsed(rename(url === null ? read.detail.replace('url:', 'host:') : read.detail));
  const terms = {
    ...(name ? { hello: name } : {}),
    timeouts: limits.value.timeouts,
    ...(grace === undefined ? {} : { grace }),
    // LMTP gives every recipient a verdict of its own (RFC 2033 §4.2).
    recipients: (allOrNothing ?? !isLmtp(read.value.smarthost)) ? 'all' : 'any',
  } as const;
  const termFault = parseOptions(terms);
  if (!termFault.ok) return unparsed(termFault.detail);
  return parsed({
    server,
    terms,
    auth: own.auth || null,
    authMethod: own.authMethod,
    pool: own.pool ? limits.value.pool : null,
    dsn: own.dsn,
    getSocket,
    isSecured: Boolean(secured),
    forceAuth: Boolean(own.forceAuth),
    isTraced: Boolean(own.debug || own.transactionLog),
    logger: own.logger,
    mail: Object.fromEntries(Object.entries(own).filter(([key, value]) => value !== undefined && isMail(key))),
    shown: { ...own, host: read.value.smarthost.host, port: read.value.smarthost.port },
  });
}

/** What is null is not given: JSON has no undefined, and nodemailer takes the one for the other. */
const withoutNulls = <Given extends object>(options: Given): Given =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null)) as Given;

function givenOptions(options: NospoolTransportOptions): NospoolTransportOptions {
  const { tls, auth } = options;
  const below = { ...(isObject(tls) ? { tls: withoutNulls(tls) } : {}), ...(isObject(auth) ? { auth: withoutNulls(auth) } : {}) };
  return withoutNulls({ ...options, ...below });
}

const isObject = <Value>(value: Value): value is Value & object => typeof value === 'object' && value !== null;

const isMail = (key: string): boolean => key === 'logger' || OPTIONS[key]?.[0] === 'mail';

function optionFault(options: NospoolTransportOptions): string | null {
  const { tls, auth } = options;
  if (tls !== undefined && typeof tls !== 'object') return 'the option tls is an object';
  if (auth && typeof auth !== 'object') return 'the option auth is an object';
  return (
    refusedOption(options, OPTIONS, '') ??
    refusedOption(tls ?? {}, TLS_OPTIONS, 'tls.') ??
    refusedOption(auth || {}, AUTH_OPTIONS, 'auth.') ??
    unknownKey(options, Object.keys(OPTIONS), 'the option ', supported(OPTIONS)) ??
    unknownKey(tls ?? {}, Object.keys(TLS_OPTIONS), 'the option tls.', supported(TLS_OPTIONS)) ??
    unknownKey(auth || {}, Object.keys(AUTH_OPTIONS), 'the option auth.', supported(AUTH_OPTIONS))
  );
}

/* ---- the URL ---- */

interface Merged {
  readonly own: NospoolTransportOptions;
  /** A URL that only nospool knows. */
  readonly url: string | null;
}

/** What the URL says goes before the other options, as in nodemailer. */
function mergeUrl(options: NospoolTransportOptions): Parsed<Merged> {
  if (options.url === undefined) return parsed({ own: options, url: null });
  const text = String(options.url).trim();
  const found = /^(smtps?|direct):(?:\/\/)?(.*)$/is.exec(text);
  if (!found) {
    const double = (['host', 'port', 'secure', 'lmtp'] as const).find((key) => options[key] !== undefined);
    return double === undefined
      ? parsed({ own: options, url: text })
      : unparsed(`the options url and ${double} contradict each other: remove one of them`);
  }
  const [, scheme = '', rest = ''] = found;
  if (scheme.toLowerCase() === 'direct') return unparsed(`the option direct is not supported: ${OPTIONS.direct?.[1]}`);
  let url: URL;
  try {
    // Only of the schemes of the web does URL know that they have a host.
    url = new URL(`http://${rest}`);
  } catch {
    return unparsed('the option url is no URL: give "smtp://user:password@mail.example.org:587", percent-encoded');
  }
  // URL does not tell port 80, and passes over line ends.
  const port = /^[^/?#]*:(\d+)(?:[/?#]|$)/.exec(rest)?.[1] ?? (url.port || undefined);
  const query: Record<string, unknown> = {};
  const tls: Record<string, unknown> = {};
  for (const [key, value] of url.searchParams) {
    const [into, name] = key.startsWith('tls.') ? ([tls, key.slice(4)] as const) : ([query, key] as const);
    into[name] ??= typed(value);
  }
  const { auth, tls: givenTls, ...given } = options;
  const user = decode(url.username);
  const pass = decode(url.password);
  if (user === null || pass === null) return unparsed('the option url is no URL: user and password are percent-encoded');
  const isNamed = user !== '' || pass !== '';
  const own = {
    ...given,
    url: undefined,
    auth,
    tls: { ...givenTls, ...tls },
    ...query,
    // What stands before the query goes before it; it can ask for TLS, and not take it away.
    secure: scheme.toLowerCase() === 'smtps' || query.secure === true,
    ...(url.hostname === '' ? {} : { host: url.hostname.replace(/^\[(.*)\]$/, '$1') }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(isNamed ? { auth: { ...(auth || {}), user, pass } } : {}),
  };
  return parsed({ own: own as NospoolTransportOptions, url: null });
}

function typed(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return text !== '' && !Number.isNaN(Number(text)) ? Number(text) : text;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/* ---- the place ---- */

function readPlace(options: NospoolTransportOptions, url: string | null): Parsed<{ readonly url: string }> {
  if (url !== null) return parsed({ url });
  const { host = 'localhost', lmtp = false } = options;
  if (host === '') return unparsed('the option host is empty; a server is named, or the option is left out for localhost');
  const given = options.port === undefined || options.port === '' ? 0 : Number(options.port);
  if (!Number.isInteger(given) || given < 0 || given > 65_535)
    return unparsed(`the option port is ${options.port}, and takes a number from 1 to 65535`);
  const secure = options.secure ?? given === SECURE_PORT;
  if (secure && lmtp) return unparsed('the options secure and lmtp contradict each other: LMTP is secured with STARTTLS');
  const port = given || (secure ? SECURE_PORT : lmtp ? LMTP_PORT : PORT);
  const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return parsed({ url: `${secure ? 'submissions' : lmtp ? 'lmtp' : 'submission'}://${name}:${port}` });
}

/* ---- TLS ---- */

const VERSIONS: Readonly<Record<string, '1.2' | '1.3'>> = { 'TLSv1.2': '1.2', 'TLSv1.3': '1.3' };

function readTls(options: NospoolTransportOptions): Parsed<TlsOptions> {
  const { requireTLS, opportunisticTLS, ignoreTLS, servername, tls = {} } = options;
  const mode = requireTLS ? 'required' : opportunisticTLS ? 'opportunistic' : ignoreTLS ? 'off' : undefined;
  const ca = tls.ca === undefined ? undefined : [tls.ca].flat();
  const pair: { certificate?: string | Uint8Array; key?: string | Uint8Array } = {};
  for (const [key, name, value] of [
    ['certificate', 'cert', tls.cert],
    ['key', 'key', tls.key],
  ] as const) {
    const [first, ...more] = value === undefined ? [] : ([value].flat() as readonly unknown[]);
    if (first === undefined) continue;
    const pem = typeof first === 'string' ? first : octetsOf(first);
    if (more.length > 0 || pem === null) return unparsed(`the option tls.${name} is one text in PEM`);
    pair[key] = pem;
  }
  const versions: { minVersion?: '1.2' | '1.3'; maxVersion?: '1.2' | '1.3' } = {};
  for (const key of ['minVersion', 'maxVersion'] as const) {
    const value = tls[key];
    if (value === undefined) continue;
    const version = VERSIONS[value];
    if (version === undefined) return unparsed(`the option tls.${key} is "TLSv1.2" or "TLSv1.3"`);
    versions[key] = version;
  }
  const serverName = tls.servername ?? servername;
  return parsed({
    ...(mode === undefined ? {} : { mode }),
    ...(tls.rejectUnauthorized === undefined ? {} : { verify: tls.rejectUnauthorized }),
    ...(ca === undefined ? {} : { ca: ca as readonly (string | Uint8Array)[] }),
    ...pair,
    ...versions,
    ...(serverName ? { serverName } : {}),
    ...(tls.ciphers === undefined ? {} : { ciphers: tls.ciphers }),
    ...(tls.caFile === undefined ? {} : { caFile: tls.caFile }),
    ...(tls.fingerprint === undefined ? {} : { fingerprint: tls.fingerprint }),
  });
}

/* ---- numbers ---- */

const COUNTS = [
  'connectionTimeout',
  'greetingTimeout',
  'socketTimeout',
  'dnsTimeout',
  'maxConnections',
  'maxMessages',
  'maxRequeues',
  'idleTimeout',
  'rateLimit',
  'rateDelta',
] as const;

function readLimits(
  options: NospoolTransportOptions,
): Parsed<{ timeouts: NonNullable<Options['timeouts']>; pool: NonNullable<Settings['pool']> }> {
  const counts: Partial<Record<(typeof COUNTS)[number], number>> = {};
  for (const key of COUNTS) {
    const value = options[key];
    if (value === undefined || value === null) continue;
    const count = Number(value);
    // -1 has a meaning only where it says "without a limit".
    if (Number.isNaN(count) || (count < 0 && key !== 'maxRequeues'))
      return unparsed(`the option ${key} is ${value}, and takes a number from 0`);
    counts[key] = count;
  }
  const { socketTimeout, maxRequeues, idleTimeout = IDLE_TIMEOUT, rateLimit } = counts;
  const greeting = counts.greetingTimeout || GREETING_TIMEOUT;
  return parsed({
    timeouts: {
      resolve: counts.dnsTimeout || DNS_TIMEOUT,
      connect: counts.connectionTimeout || CONNECTION_TIMEOUT,
      greeting,
      handshake: greeting,
      ...(socketTimeout ? { command: socketTimeout, data: socketTimeout, block: socketTimeout, final: socketTimeout } : {}),
    },
    pool: {
      connections: counts.maxConnections || 5,
      messagesPerConnection: counts.maxMessages || 100,
      idle: idleTimeout || Number.POSITIVE_INFINITY,
      ...(maxRequeues === undefined ? {} : { retries: maxRequeues < 0 ? Number.POSITIVE_INFINITY : maxRequeues }),
      ...(rateLimit ? { rate: { messages: rateLimit, per: counts.rateDelta || RATE_DELTA } } : {}),
    },
  });
}
