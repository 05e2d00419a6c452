/**
 * One smart host as it is written: `submission://mail.example.org`, `mail.example.org:465`, `example.org/MX`,
 * `unix:/run/smtp`, `lmtp+unix:/run/lmtp`. Knows neither TLS nor credentials, and looks nothing up.
 */
import { PORTS, type Scheme, type Smarthost } from '../router/route.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isDomain, isIPv4, isIPv6 } from '../smtp/path.ts';
import { nearest } from './keys.ts';

export type Address = Pick<Smarthost, 'scheme' | 'host' | 'port' | 'expand' | 'lmtp'>;

const SCHEMES: Readonly<Record<string, Scheme>> = {
  smtp: 'smtp',
  submission: 'submission',
  submissions: 'submissions',
  smtps: 'submissions',
  lmtp: 'lmtp',
};

/** What a port alone says of the protocol behind it. */
const BY_PORT: ReadonlyMap<number, Scheme> = new Map([
  [PORTS.smtp, 'smtp'],
  [PORTS.submissions, 'submissions'],
  [PORTS.lmtp, 'lmtp'],
]);

/** A host without a scheme is a submission server, unless its port or `/MX` says otherwise. Never repeats user info, which holds a password. */
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
  // Hosts found by MX listen on port 25 (RFC 5321 §5.1), whatever submission servers the domain has.
  const bare = port !== null ? (BY_PORT.get(port) ?? 'submission') : expand.value === 'mx' ? 'smtp' : 'submission';
  const chosen = scheme?.value ?? bare;
  return parsed({ scheme: chosen, host: host.value, port: port ?? PORTS[chosen], expand: expand.value });
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

/** Lower case, without brackets and without the dot of the root. */
function parseHost(written: string): Parsed<string> {
  const name = written.toLowerCase();
  if (name === '') return unparsed('the host is missing');
  if (name.startsWith('[')) {
    const inside = name.slice(1, -1);
    // A zone (RFC 4007 §11) is meant for link-local addresses; the system decides what it is.
    const isValid = isIPv6(inside.replace(/%[a-z0-9._-]+$/, ''));
    return isValid ? parsed(inside) : unparsed(`"${name}" is not an IPv6 address in brackets`);
  }
  const host = name.replace(/\.$/, '');
  if (!isDomain(host)) return unparsed(`"${name}" is not a host name`);
  // RFC 1123 §2.1: the last label of a name is never all digits.
  if (/(^|\.)\d+$/.test(host) && !isIPv4(host)) return unparsed(`"${name}" is neither an IPv4 address nor a host name`);
  return parsed(host);
}
