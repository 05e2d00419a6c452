/**
 * Reads a server as a program gives it: a URL, or an object with policies. Everything that cannot be is a sentence for the program's
 * author. Connects to nothing and asks for no password.
 */
import type { MxRecord, SrvRecord } from 'node:dns';
import type { Duplex } from 'node:stream';
import { nearest } from '../router/nearest.ts';
import { parseProxy } from '../router/proxy-url.ts';
import { DEFAULT_TLS, DIRECT, type Link, parseSmarthost, type Smarthost, type TlsPolicy } from '../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isIPv4, isIPv6 } from '../smtp/path.ts';
import type { AuthChannel } from '../smtp/sasl/choose.ts';
import { MECHANISMS } from '../smtp/sasl/mechanisms.ts';
import type { Mechanism } from '../smtp/sasl/sasl.ts';
import type { Dial } from '../submit/session.ts';
import { reasonOf } from '../transport/abort.ts';
import { isArrayBuffer, isUrl, octetsOf } from '../transport/realm.ts';
import type { TlsMaterial } from '../transport/tls/tls.ts';

/** A server to send to. A string is its URL. */
export interface Server {
  /**
   * `submission://mail.example.org` (port 587, STARTTLS), `submissions://mail.example.org` (port 465, TLS from the start; `smtps://`
   * is the same), `smtp://mail.example.org:2525`, `smtp://example.org/MX`, `submission://example.org/SRV`, `lmtp://host:24`,
   * `unix:/run/smtp`, `lmtp+unix:/run/dovecot/lmtp`. User and password may stand in it, percent-encoded, where `auth` is not given.
   */
  readonly url: string | URL;
  readonly tls?: TlsOptions | undefined;
  readonly auth?: Auth | undefined;
  /** `socks5://[user[:password]@]host[:port]` or `http://[user[:password]@]host:port`. */
  readonly proxy?: string | URL | undefined;
  /** The IP address of this host to connect from. */
  readonly localAddress?: string | undefined;
  /** The family of addresses to connect to. */
  readonly family?: 4 | 6 | undefined;
  /** EHLO keywords that count as not offered, because the server announces and breaks them. */
  readonly ignoreExtensions?: readonly string[] | undefined;
  /** Connects in place of this library; it may give any stream, and it need not look the name up. */
  readonly socket?: ((to: Destination, signal: AbortSignal) => Duplex | Promise<Duplex>) | undefined;
  /** Looks names up in place of this system. */
  readonly resolver?: Resolver | undefined;
}

/** The place that a caller's own socket connects to. */
export interface Destination {
  /** A domain name, an IP address without brackets, or the path of a unix socket, whose port is 0. */
  readonly host: string;
  readonly port: number;
}

/** Look-ups. Records are those of node:dns, and each function rejects with a `code` of node:dns. Those that are not given are this system's. */
export interface Resolver {
  readonly addresses?:
    | ((name: string, question: NameQuestion) => Promise<readonly { readonly address: string; readonly family: number }[]>)
    | undefined;
  /** For `/MX`. */
  readonly mx?: ((name: string, question: NameQuestion) => Promise<readonly MxRecord[]>) | undefined;
  /** For `/SRV`. */
  readonly srv?: ((name: string, question: NameQuestion) => Promise<readonly SrvRecord[]>) | undefined;
}

/** What is asked besides the name. */
export interface NameQuestion {
  /** The family of addresses to ask for. */
  readonly family: 'any' | 4 | 6;
  /** It comes when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Whether there is TLS, and whom to trust. What stands here counts for one server. */
export interface TlsOptions {
  /** 'required': nothing is sent in clear. 'opportunistic': TLS if the server offers it, with a certificate that is good. Default: required, and off on loopback. */
  readonly mode?: 'required' | 'opportunistic' | 'off' | undefined;
  /** False: any certificate will do. */
  readonly verify?: boolean | undefined;
  /** Certificates in PEM that are trusted in place of the system's. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** A file of them. */
  readonly caFile?: string | undefined;
  /** `sha256:` and 64 hexadecimal digits, of the certificate or its public key; replaces verification by CA. */
  readonly fingerprint?: string | readonly string[] | undefined;
  /** The name for SNI and verification, where it is not the host of the URL. */
  readonly serverName?: string | undefined;
  /** The client's own certificate and its key, in PEM; they are given together. */
  readonly certificate?: string | Uint8Array | undefined;
  readonly key?: string | Uint8Array | undefined;
  readonly minVersion?: '1.2' | '1.3' | undefined;
  readonly maxVersion?: '1.2' | '1.3' | undefined;
  /** As in `tls.createSecureContext`. */
  readonly ciphers?: string | undefined;
}

/** How to log in: with a password, with an access token, or by a mechanism of the caller's own. */
export type Auth =
  | ({
      readonly user: string;
      /** A function is asked for each connection. */
      readonly password: string | ((signal: AbortSignal) => string | Promise<string>);
      /** SASL names in order of preference; default: the strongest that both sides have. */
      readonly mechanisms?: readonly string[] | undefined;
    } & InClear)
  | ({
      readonly user: string;
      /** Gives an access token, for OAUTHBEARER or XOAUTH2. It is asked for each connection. */
      readonly token: string | ((signal: AbortSignal) => string | Promise<string>);
    } & InClear)
  | {
      /** Chooses or makes the mechanism itself; a string says why there is none. It decides what may go out in clear. */
      readonly mechanism: (offered: ReadonlySet<string>, channel: AuthChannel) => Mechanism | string;
    };

interface InClear {
  /** True: credentials may go over a connection that others can read. */
  readonly allowPlaintext?: boolean | undefined;
}

/** A server as the engine takes it, with what only the library has. */
export interface Host {
  readonly smarthost: Smarthost;
  readonly auth: Auth | null;
  readonly proxyPassword: string;
  readonly tls: TlsMaterial;
  readonly socket: Server['socket'] | undefined;
  readonly resolver: Resolver | undefined;
}

const KEYS: readonly (keyof Server)[] = ['url', 'tls', 'auth', 'proxy', 'localAddress', 'family', 'ignoreExtensions', 'socket', 'resolver'];
const TLS_KEYS: readonly (keyof TlsOptions)[] = [
  'mode',
  'verify',
  'ca',
  'caFile',
  'fingerprint',
  'serverName',
  'certificate',
  'key',
  'minVersion',
  'maxVersion',
  'ciphers',
];
const AUTH_KEYS = ['user', 'password', 'token', 'mechanism', 'mechanisms', 'allowPlaintext'] as const;

/** The caller's own way to the server, as the engine takes it. */
export function dialOf(host: Host | undefined): Dial | undefined {
  const socket = host?.socket;
  return socket && ((_, { address, port }, signal) => socket({ host: address, port }, signal));
}

/** Reads one server; the sentence never repeats what may be a password. Throws nothing, whatever is given. */
export const parseServer = (given: string | URL | Server): Parsed<Host> => unlessThrown('the server', () => readServer(given));

function readServer(given: string | URL | Server): Parsed<Host> {
  const server: Server = typeof given === 'string' || isUrl(given) ? { url: given } : given;
  if (typeof server !== 'object' || server === null || Array.isArray(server)) return unparsed('a server is a URL or an object with a url');
  const unknown = unknownKey(server, KEYS, '');
  if (unknown !== null) return unparsed(unknown);
  if (typeof server.url !== 'string' && !isUrl(server.url)) return unparsed('url is missing: give "submission://mail.example.org"');
  const split = splitUser(String(server.url));
  if (!split.ok) return split;
  if (split.value.text.includes('@') && !/^(?:lmtp\+)?unix:/i.test(split.value.text))
    return unparsed('url: user and password are percent-encoded and need a scheme: "submission://user:p%40ss@mail.example.org"');
  if (split.value.user !== null && server.auth !== undefined) return unparsed('url and auth both have a user: leave out one');
  const address = parseSmarthost(split.value.text);
  if (!address.ok) return unparsed(`url: ${address.detail}`);
  const tls = parseTls(server.tls);
  if (!tls.ok) return tls;
  const auth = parseAuth(
    server.auth ?? (split.value.user === null ? undefined : { user: split.value.user, password: split.value.password }),
  );
  if (!auth.ok) return auth;
  const link = parseLink(server);
  if (!link.ok) return link;
  if (server.resolver !== undefined && (typeof server.resolver !== 'object' || server.resolver === null))
    return unparsed('resolver is an object with functions');
  for (const name of ['addresses', 'mx', 'srv'] as const)
    if (server.resolver?.[name] !== undefined && typeof server.resolver[name] !== 'function')
      return unparsed(`resolver.${name} is a function`);
  if (server.socket !== undefined && typeof server.socket !== 'function') return unparsed('socket is a function that connects');
  const ignored = server.ignoreExtensions ?? [];
  if (!isTexts(ignored)) return unparsed('ignoreExtensions is a list of EHLO keywords: ["CHUNKING"]');
  const { scheme, host, port, expand, isAbsolute, lmtp } = address.value;
  // Rare keys are added where they are given, so that all others have one shape: a program may have thousands.
  const smarthost: Smarthost = { scheme, host, port, expand, tls: tls.value, auth: policyOf(auth.value) };
  if (isAbsolute) Object.assign(smarthost, { isAbsolute });
  if (lmtp) Object.assign(smarthost, { lmtp });
  if (link.value.link !== null) Object.assign(smarthost, { link: link.value.link });
  if (ignored.length > 0) Object.assign(smarthost, { ignoreExtensions: ignored.map((keyword) => keyword.toUpperCase()) });
  return parsed({
    smarthost,
    auth: auth.value,
    proxyPassword: link.value.password,
    tls: materialOf(server.tls),
    socket: server.socket,
    resolver: server.resolver,
  });
}

/** Reads a list of servers. Throws nothing, whatever is given. */
export const parseServers = (servers: unknown): Parsed<readonly Host[]> => unlessThrown('servers', () => readServers(servers));

function readServers(servers: unknown): Parsed<readonly Host[]> {
  if (!Array.isArray(servers) || servers.length === 0)
    return unparsed('servers is a list of one URL or more: ["submission://mail.example.org"]');
  const hosts: Host[] = [];
  for (const server of servers) {
    const host = parseServer(server);
    if (!host.ok) return unparsed(servers.length === 1 ? host.detail : `servers[${hosts.length}]: ${host.detail}`);
    hosts.push(host.value);
  }
  return parsed(hosts);
}

/** What the caller gives may be anything, and even to look at it may throw. */
export function unlessThrown<Value>(what: string, read: () => Parsed<Value>): Parsed<Value> {
  try {
    return read();
  } catch (error) {
    return unparsed(`${what} cannot be read: ${reasonOf(error)}`);
  }
}

const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((each) => typeof each === 'string');

/** The name that begins so, however much is missing, or is written nearly so. */
function meant(written: string, known: readonly string[]): string | null {
  const { name, near } = nearest(written, known);
  return known.find((each) => each.toLowerCase().startsWith(written.toLowerCase())) ?? (near ? name : null);
}

/** Names a key that an object should not have; null when it has none. */
export function unknownKey(object: object, known: readonly string[], place: string, shown = known): string | null {
  // What every object has is nobody's option: some programs give Object.prototype a key.
  for (const key in object)
    if (!known.includes(key) && !(key in Object.prototype) && (object as Readonly<Record<string, unknown>>)[key] !== undefined) {
      const name = meant(key, known);
      return `${place}${key} is unknown; ${name === null ? `there are ${shown.join(', ')}` : `did you mean ${place}${name}?`}`;
    }
  return null;
}

/* ---- the URL ---- */

interface SplitUrl {
  readonly text: string;
  readonly user: string | null;
  readonly password: string;
}

/** Takes user and password out of a URL. */
function splitUser(url: string): Parsed<SplitUrl> {
  const found = /^([a-z][a-z0-9+.-]*:\/\/)(?:([^/?#]*)@)?(.*)$/is.exec(url);
  if (!found) return parsed({ text: url, user: null, password: '' });
  const [, scheme = '', userInfo, rest = ''] = found;
  // A URL object gives every host a path.
  const text = scheme + rest.replace(/\/$/, '');
  if (userInfo === undefined) return parsed({ text, user: null, password: '' });
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/s.exec(userInfo) ?? [];
  try {
    return parsed({ text, user: decodeURIComponent(user), password: decodeURIComponent(password) });
  } catch {
    return unparsed('url: user and password are percent-encoded UTF-8, with "%25" for "%"');
  }
}

/* ---- the way ---- */

function parseLink({
  proxy,
  localAddress = '',
  family,
  socket,
}: Server): Parsed<{ readonly link: Link | null; readonly password: string }> {
  if (family !== undefined && family !== 4 && family !== 6) return unparsed('family is 4 or 6');
  if (typeof localAddress !== 'string') return unparsed('localAddress is an IP address of this host');
  if (proxy !== undefined && typeof proxy !== 'string' && !isUrl(proxy)) return unparsed('proxy is a URL');
  const bare = localAddress.replace(/%[A-Za-z0-9._-]+$/, '');
  const isOurs = localAddress === '' || isIPv4(localAddress) || isIPv6(bare);
  if (!isOurs) return unparsed(`localAddress "${localAddress}" is not an IP address`);
  const own = localAddress === '' ? 'any' : isIPv4(localAddress) ? 4 : 6;
  if (family !== undefined && own !== 'any' && family !== own)
    return unparsed(`family ${family} contradicts localAddress, which is of IPv${own}`);
  const link: Link = { ...DIRECT, sourceAddress: localAddress, family: family ?? own };
  if (proxy === undefined || String(proxy) === '')
    return parsed({ link: localAddress === '' && family === undefined ? null : link, password: '' });
  if (socket !== undefined) return unparsed('proxy and socket contradict each other: remove one of them');
  const split = splitUser(String(proxy));
  if (!split.ok) return unparsed(split.detail.replace('url', 'proxy'));
  const { text, user, password } = split.value;
  const found = parseProxy(user === null ? text : text.replace('://', `://${encodeURIComponent(user)}@`));
  if (!found.ok) return unparsed(`proxy ${found.detail}`);
  return parsed({
    link: {
      ...link,
      proxy: { ...found.value, secret: { from: password === '' ? 'none' : 'literal', value: '' } } as NonNullable<Link['proxy']>,
    },
    password,
  });
}

/* ---- TLS ---- */

const isPem = (value: unknown): boolean => typeof value === 'string' || (octetsOf(value) !== null && !isArrayBuffer(value));
const ownPem = (pem: string | Uint8Array): string | Uint8Array => octetsOf(pem) ?? pem;

/** Says which option of TLS is of the wrong kind. */
function tlsFault({ ca, caFile, fingerprint, serverName, certificate, key, ciphers }: TlsOptions): string | null {
  for (const [name, value] of Object.entries({ caFile, serverName, ciphers }))
    if (value !== undefined && typeof value !== 'string') return `tls.${name} is a text`;
  for (const [name, value] of Object.entries({ certificate, key }))
    if (value !== undefined && !isPem(value)) return `tls.${name} is PEM, as text or octets`;
  if (ca !== undefined && !isPem(ca) && !(Array.isArray(ca) && ca.every(isPem)))
    return 'tls.ca is PEM, as text or octets, or a list of these';
  return fingerprint === undefined || typeof fingerprint === 'string' || isTexts(fingerprint)
    ? null
    : 'tls.fingerprint is a text or a list';
}

/** Even where nothing is given: failures of TLS then speak of a program's options. */
const materialOf = ({ ca, certificate, key, maxVersion, ciphers }: TlsOptions = {}): TlsMaterial => ({
  ca: ca === undefined ? ca : [ca].flat().map(ownPem),
  certificate: certificate && ownPem(certificate),
  key: key && ownPem(key),
  maxVersion,
  ciphers,
});

function parseTls(options: TlsOptions | undefined): Parsed<TlsPolicy> {
  if (options === undefined) return parsed(DEFAULT_TLS);
  if (typeof options !== 'object' || options === null) return unparsed('tls is an object: { mode: "required" }');
  const unknown = unknownKey(options, TLS_KEYS, 'tls.');
  if (unknown !== null) return unparsed(unknown);
  const fault = tlsFault(options);
  if (fault !== null) return unparsed(fault);
  const { mode, verify = true, caFile = '', fingerprint = [], serverName = '', minVersion = '1.2', maxVersion } = options;
  if (mode !== undefined && !['required', 'opportunistic', 'off'].includes(mode))
    return unparsed('tls.mode is "required", "opportunistic" or "off"');
  if (typeof verify !== 'boolean') return unparsed('tls.verify is true or false');
  for (const [key, version] of Object.entries({ minVersion, maxVersion }))
    if (version !== undefined && version !== '1.2' && version !== '1.3') return unparsed(`tls.${key} is "1.2" or "1.3"`);
  if (minVersion === '1.3' && maxVersion === '1.2') return unparsed('tls.maxVersion is below tls.minVersion');
  const fingerprints = typeof fingerprint === 'string' ? [fingerprint] : fingerprint;
  const pins: string[] = [];
  for (const pin of fingerprints) {
    const digits = /^sha256:((?:[0-9a-f]{2}:?){32})$/i.exec(pin)?.[1]?.replaceAll(':', '').toLowerCase();
    if (digits === undefined) return unparsed('tls.fingerprint is "sha256:" and 64 hexadecimal digits');
    pins.push(`sha256:${digits}`);
  }
  if ((options.certificate === undefined) !== (options.key === undefined))
    return unparsed('tls.certificate and tls.key are given together');
  // The certificate in memory replaces the file; here it only says that there is one.
  const certificate = options.certificate === undefined ? '' : 'tls.certificate';
  return parsed({
    ...DEFAULT_TLS,
    mode: mode ?? 'default',
    verify,
    caFile,
    fingerprint: pins,
    serverName,
    certificate,
    certificateKey: certificate === '' ? '' : 'tls.key',
    minVersion,
  });
}

/* ---- authentication ---- */

function parseAuth(auth: Auth | undefined): Parsed<Auth | null> {
  if (auth === undefined || auth === null) return parsed(null);
  if (typeof auth !== 'object') return unparsed('auth is an object');
  const unknown = unknownKey(auth, AUTH_KEYS, 'auth.');
  if (unknown !== null) return unparsed(unknown);
  const kinds = (['password', 'token', 'mechanism'] as const).filter(
    (key) => (auth as unknown as Record<string, unknown>)[key] !== undefined,
  );
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) return unparsed('auth has one of password, token and mechanism');
  // What is made of it has the keys of its kind alone, and not those that are undefined.
  const { user, mechanisms, allowPlaintext, [kind]: secret } = auth as Readonly<Record<string, unknown>>;
  if (kind === 'mechanism')
    return typeof secret === 'function'
      ? parsed({ mechanism: secret as Extract<Auth, { mechanism: unknown }>['mechanism'] })
      : unparsed('auth.mechanism is a function; names go into auth.mechanisms');
  if (user === undefined || user === '') return unparsed('auth.user is missing');
  if (typeof user !== 'string' || /[\p{Cc}\p{Cs}]/u.test(user)) return unparsed('auth.user is a text without control characters');
  if (allowPlaintext !== undefined && typeof allowPlaintext !== 'boolean') return unparsed('auth.allowPlaintext is true or false');
  if (mechanisms !== undefined && !isTexts(mechanisms)) return unparsed('auth.mechanisms is a list of SASL names: ["PLAIN"]');
  const strange = (mechanisms as readonly string[] | undefined)?.find(
    (name) => !(MECHANISMS as readonly string[]).includes(name.toUpperCase()),
  );
  if (strange !== undefined)
    return unparsed(`auth.mechanisms: ${JSON.stringify(strange)} is unknown; did you mean "${nearest(strange, MECHANISMS).name}"?`);
  if (typeof secret !== 'string' && typeof secret !== 'function') return unparsed(`auth.${kind} is a text or a function`);
  const fault = typeof secret === 'string' ? secretFault(secret, `auth.${kind}`) : null;
  if (fault !== null) return unparsed(fault);
  const names = mechanisms === undefined ? {} : { mechanisms: [...(mechanisms as readonly string[])] };
  return parsed({ user, [kind]: secret, ...names, ...(allowPlaintext === undefined ? {} : { allowPlaintext }) } as Auth);
}

/** Says what is wrong with a secret, without a word of it. */
export function secretFault(secret: unknown, name: string): string | null {
  if (typeof secret !== 'string') return `${name} gave no text`;
  if (secret === '') return `${name} is empty`;
  return /[\p{Cc}\p{Cs}]/u.test(secret) ? `${name} holds a control character` : null;
}

/** The policy that the engine reads; the secret itself stays with the library. */
function policyOf(auth: Auth | null): Smarthost['auth'] {
  if (auth === null || 'mechanism' in auth) return null;
  return {
    user: auth.user,
    mechanisms: ('mechanisms' in auth ? (auth.mechanisms ?? []) : []).map((name) => name.toUpperCase()),
    isToken: 'token' in auth,
    allowPlaintext: auth.allowPlaintext ?? false,
    secret: { from: 'literal', value: '' },
  };
}
