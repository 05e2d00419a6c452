/**
 * A smart host: how it is reached, trusted and logged in to, and how it is written: `submission://mail.example.org`,
 * `mail.example.org:465`, `example.org/MX`, `unix:/run/smtp`, `lmtp+unix:/run/lmtp`. Looks up nothing and reads no secret.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isDomain, isIPv4, isIPv6 } from '../smtp/path.ts';
import { nearest } from './nearest.ts';

/** Whether there is TLS, and whom to trust. */
export interface TlsPolicy {
  /** 'default' means 'off' where the host is written as loopback (`loopback.ts`), else 'required'. */
  readonly mode: 'default' | 'required' | 'opportunistic' | 'off';
  readonly verify: boolean;
  /** PEM file of trusted certificates; '' = the system's CA store. */
  readonly caFile: string;
  /** `sha256:` + 64 hexadecimal digits, of the leaf certificate or of its public key; replaces verification by CA. */
  readonly fingerprint: readonly string[];
  /** SNI and the name to verify; '' = the host as configured. */
  readonly serverName: string;
  readonly certificate: string;
  readonly certificateKey: string;
  readonly minVersion: '1.2' | '1.3';
}

/** The policy without a [tls] table: TLS is required where the host is not loopback, and verified against the system's CA store. */
export const DEFAULT_TLS: TlsPolicy = {
  mode: 'default',
  verify: true,
  caFile: '',
  fingerprint: [],
  serverName: '',
  certificate: '',
  certificateKey: '',
  minVersion: '1.2',
};

/** The place that a password or token comes from. It is read at the attempt and never printed. */
export type Secret =
  | { readonly from: 'none' }
  /** `isOwn`: the file must belong to the user who runs this, because whoever named the configuration may not read root's files. */
  | { readonly from: 'file'; readonly path: string; readonly isOwn?: boolean }
  | { readonly from: 'command'; readonly argv: readonly string[] }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'literal'; readonly value: string };

/** Who logs in, by what, and where that may be said. */
export interface AuthPolicy {
  readonly user: string;
  /** SASL names, upper case, in order of preference; [] = the strongest that both sides have. */
  readonly mechanisms: readonly string[];
  readonly secret: Secret;
  /** True if `secret` is an access token for OAUTHBEARER and XOAUTH2; undefined: it is a password, unless mechanisms are named. */
  readonly isToken?: boolean;
  readonly allowPlaintext: boolean;
}

/** The proxy between this host and a smart host. RFC 1928 (SOCKS5), RFC 9110 §9.3.6 (HTTP CONNECT) */
export interface ProxyPolicy {
  readonly scheme: 'socks5' | 'http';
  /** Domain name, or IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** '' = the proxy asks for no credentials. */
  readonly user: string;
  readonly secret: Secret;
}

/** The way in which a smart host is reached. */
export interface Link {
  /** null = no proxy. A proxy also looks up the name of the smart host. */
  readonly proxy: ProxyPolicy | null;
  /** The IP address of this host to connect from, of the family below; '' = the system chooses. */
  readonly sourceAddress: string;
  /** The family of addresses to connect to: of the smart host, or of the proxy if there is one. */
  readonly family: 'any' | 4 | 6;
}

/** A link without a proxy, from any address of this host. */
export const DIRECT: Link = { proxy: null, sourceAddress: '', family: 'any' };

/** The scheme of a smart host's URL; `lmtp+unix:` is 'unix' with `lmtp`. */
export type Scheme = 'smtp' | 'submission' | 'submissions' | 'lmtp' | 'unix';

/** One entry of a host list. Two routes are one transaction only if their lists are equal in every field. */
export interface Smarthost {
  readonly scheme: Scheme;
  /** Domain name, IP address without brackets, or the path of a `unix:` socket. */
  readonly host: string;
  /** Ignored for `unix:` and for hosts expanded by SRV. */
  readonly port: number;
  /** `/MX` and `/SRV` are looked up at the attempt. */
  readonly expand: 'none' | 'mx' | 'srv';
  /** The name was written with the dot of the root, so no search list counts for it. RFC 1034 §3.1 */
  readonly isAbsolute?: true;
  /** LMTP is spoken on a `unix:` socket; elsewhere the scheme says it. */
  readonly lmtp?: true;
  readonly tls: TlsPolicy;
  readonly auth: AuthPolicy | null;
  /** undefined: DIRECT. */
  readonly link?: Link;
  /** EHLO keywords in upper case that are ignored though the host offers them; undefined: none. */
  readonly ignoreExtensions?: readonly string[];
}

/**
 * Ports by scheme: RFC 5321 §4.5.4.2, RFC 6409 §3.1, RFC 8314 §7.3. RFC 2033 §5 leaves the port of LMTP to the site; 24 is
 * registered.
 */
export const PORTS = { smtp: 25, submission: 587, submissions: 465, lmtp: 24, unix: 0 } as const satisfies Record<Scheme, number>;

/** Returns `scheme://host:port`, without user and password. */
export function printProxy({ scheme, host, port }: ProxyPolicy): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** True if the host speaks LMTP. RFC 2033 */
export const isLmtp = ({ scheme, lmtp }: Pick<Smarthost, 'scheme' | 'lmtp'>): boolean => scheme === 'lmtp' || lmtp === true;

/** Returns `scheme://host:port`, without credentials. */
export function printSmarthost({ scheme, host, port, expand, isAbsolute, lmtp }: Smarthost): string {
  if (scheme === 'unix') return `${lmtp ? 'lmtp+unix' : 'unix'}:${host}`;
  const name = host.includes(':') ? `[${host}]` : `${host}${isAbsolute ? '.' : ''}`;
  return `${scheme}://${name}${expand === 'srv' ? '' : `:${port}`}${expand === 'none' ? '' : `/${expand.toUpperCase()}`}`;
}

/** The part of a smart host that its URL says. */
export type Address = Pick<Smarthost, 'scheme' | 'host' | 'port' | 'expand' | 'isAbsolute' | 'lmtp'>;

const SCHEMES: Readonly<Record<string, Scheme>> = {
  smtp: 'smtp',
  submission: 'submission',
  submissions: 'submissions',
  smtps: 'submissions',
  lmtp: 'lmtp',
};

/** The schemes that a port alone stands for. */
const BY_PORT: ReadonlyMap<number, Scheme> = new Map([
  [PORTS.smtp, 'smtp'],
  [PORTS.submissions, 'submissions'],
  [PORTS.lmtp, 'lmtp'],
]);

/**
 * A host without a scheme is a submission server, unless its port or `/MX` says otherwise. Never repeats user info, because it
 * holds a password.
 */
export function parseSmarthost(text: string): Parsed<Address> {
  const [, socket = ''] = /^((?:lmtp\+)?unix:)/i.exec(text) ?? [];
  if (socket !== '') return parseSocket(socket.toLowerCase(), text.slice(socket.length));
  const found = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(text);
  const rest = found ? (found[2] as string) : text;
  if (rest.includes('@'))
    return unparsed(
      'user and password do not belong in the address: write auth = { user = "…", password_file = "…" } beside it, or [auth]',
    );
  const scheme = found ? parseScheme((found[1] as string).toLowerCase()) : null;
  if (scheme !== null && !scheme.ok) return scheme;

  const whole = rest.replace(/\/.*$/, '');
  if (isIPv6(whole)) return unparsed(`"${whole}" is an IPv6 address: write it in brackets, "[${whole}]"`);
  const parts = /^(\[[^\]]*\]|[^:/[\]]*)(?::([^/]*))?(?:\/(.*))?$/s.exec(rest);
  if (!parts) return unparsed(`"${rest}" is not a host with an optional port`);
  const [, name = '', digits, suffix = ''] = parts;
  const host = parseHost(name);
  if (!host.ok) return host;
  const expand = parseExpand(suffix);
  if (!expand.ok) return expand;
  if (digits !== undefined && !(/^\d{1,5}$/.test(digits) && Number(digits) > 0 && Number(digits) < 65536))
    return unparsed(`port "${digits}" is not a number from 1 to 65535`);
  const port = digits === undefined ? null : Number(digits);
  const isLiteral = isIPv4(host.value) || host.value.includes(':');
  if (expand.value !== 'none' && isLiteral) return unparsed(`"/${suffix}" needs a domain, not an IP address`);
  if (expand.value === 'srv') {
    if (port !== null) return unparsed('"/SRV" finds the port itself: remove the port');
    if (scheme?.value === 'smtp' || scheme?.value === 'lmtp')
      return unparsed('"/SRV" finds submission servers: write "submission://" or "submissions://"');
  }
  // Hosts that MX names listen on port 25 (RFC 5321 §5.1), whatever submission servers the domain has.
  const bare = port !== null ? (BY_PORT.get(port) ?? 'submission') : expand.value === 'mx' ? 'smtp' : 'submission';
  const chosen = scheme?.value ?? bare;
  return parsed({
    scheme: chosen,
    host: host.value,
    port: port ?? PORTS[chosen],
    expand: expand.value,
    ...(name.endsWith('.') ? { isAbsolute: true } : {}),
  });
}

function parseSocket(scheme: string, rest: string): Parsed<Address> {
  const path = rest.replace(/^\/\/(?=\/)/, '');
  if (!path.startsWith('/') || path.startsWith('//'))
    return unparsed(`"${scheme}" expects the absolute path of a socket, as in "${scheme}/run/smtp"`);
  return parsed({ scheme: 'unix', host: path, port: PORTS.unix, expand: 'none', ...(scheme === 'unix:' ? {} : { lmtp: true }) });
}

function parseScheme(word: string): Parsed<Scheme> {
  const scheme = Object.hasOwn(SCHEMES, word) ? SCHEMES[word] : undefined;
  return scheme ? parsed(scheme) : unparsed(`scheme "${word}" is unknown; did you mean "${nearest(word, Object.keys(SCHEMES)).name}"?`);
}

function parseExpand(suffix: string): Parsed<Address['expand']> {
  if (suffix === '') return parsed('none');
  const word = suffix.toLowerCase();
  return word === 'mx' || word === 'srv' ? parsed(word) : unparsed(`"/${suffix}" is unknown: only "/MX" and "/SRV" may follow a host`);
}

/** Returns the host in lower case, without brackets and without the dot of the root. */
function parseHost(written: string): Parsed<string> {
  const name = written.toLowerCase();
  if (name === '') return unparsed('the host is missing');
  if (name.startsWith('[')) {
    const inside = name.slice(1, -1);
    // A zone (RFC 4007 §11) belongs to a link-local address; the system decides what it is.
    const isValid = isIPv4(inside) || isIPv6(inside.replace(/%[a-z0-9._-]+$/, ''));
    return isValid ? parsed(inside) : unparsed(`"${name}" is not an IP address in brackets`);
  }
  const host = name.replace(/\.$/, '');
  if (!isDomain(host)) return unparsed(`"${name}" is not a host name`);
  // RFC 1123 §2.1: the last label of a name is never all digits.
  if (/(^|\.)\d+$/.test(host) && !isIPv4(host)) return unparsed(`"${name}" is neither an IPv4 address nor a host name`);
  return parsed(host);
}
