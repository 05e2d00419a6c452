/**
 * The words between a client and a SOCKS5 or HTTP proxy, as steps: octets to say, and what follows from the octets that were heard.
 * Knows no socket and no time.
 */

import type { ProxyPolicy } from '../router/smarthost.ts';
import type { ConnectReason } from '../smtp/client/outcome.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isIPv4, isIPv6 } from '../smtp/path.ts';
import { base64, printable, utf8 } from '../smtp/text.ts';
import { aLabels } from './a-labels.ts';
import { addressOctets } from './address.ts';

/** The server that the proxy is to connect to, by name or address. */
export interface Destination {
  readonly host: string;
  readonly port: number;
}

/** Octets to say, and a function that reads everything that was heard since. */
export interface ProxyStep {
  readonly say: string;
  readonly hear: (heard: string) => ProxyAnswer;
}

/** `open`: the tunnel is open, and so many octets were the proxy's; the octets behind them come through the tunnel. */
type ProxyAnswer =
  | { readonly is: 'partial' }
  | { readonly is: 'next'; readonly step: ProxyStep }
  | { readonly is: 'open'; readonly octets: number }
  | Refused;
interface Refused {
  readonly is: 'failed';
  readonly detail: string;
  readonly reason: ConnectReason;
}

const PARTIAL: ProxyAnswer = { is: 'partial' };
const fail = (detail: string, reason: ConnectReason = 'other'): Refused => ({ is: 'failed', detail, reason });

/** Returns the first step; fails if this kind of proxy cannot be told what must be said. */
export function beginProxy({ scheme, user }: Pick<ProxyPolicy, 'scheme' | 'user'>, password: string, to: Destination): Parsed<ProxyStep> {
  if (to.host.includes('%')) return unparsed('an address with a zone means nothing to a proxy');
  const host = to.host.includes(':') ? to.host : aLabels(to.host) || to.host;
  if (host.length > 255) return unparsed('the name of the server is longer than 255 octets');
  return scheme === 'http' ? parsed(connectMethod({ ...to, host }, user, password)) : socks5({ ...to, host }, utf8(user), utf8(password));
}

/* ---- SOCKS5 ---- */

const octet = (...values: readonly number[]): string => String.fromCharCode(...values);

/** RFC 1928 §6 */
const SOCKS_REPLIES: readonly string[] = [
  '',
  'general failure',
  'not allowed by its rules',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'time to live expired',
  'it does not know the command CONNECT',
  'it does not know this kind of address',
];

const SOCKS_REASONS: Readonly<Record<number, ConnectReason>> = { 3: 'unreachable', 4: 'unreachable', 5: 'refused', 6: 'unreachable' };

function socks5(to: Destination, user: string, password: string): Parsed<ProxyStep> {
  // RFC 1929 §2: lengths are one octet each.
  if (user.length > 255 || password.length > 255) return unparsed('SOCKS5 takes a user and a password of at most 255 octets each');
  // RFC 1928 §3: 0 is no authentication, 2 user and password.
  const methods = user === '' ? octet(0) : octet(0, 2);
  const request: ProxyStep = { say: `${octet(5, 1, 0)}${socksAddress(to)}`, hear: (heard) => socksReply(heard, to) };
  const login: ProxyStep = {
    say: `${octet(1, user.length)}${user}${octet(password.length)}${password}`,
    hear: (heard) => {
      if (heard.length < 2) return PARTIAL;
      if (heard.charCodeAt(1) !== 0) return fail('the proxy refuses the user and password');
      return heard.length > 2 ? EARLY : { is: 'next', step: request };
    },
  };
  return parsed({
    say: `${octet(5, methods.length)}${methods}`,
    hear: (heard) => {
      if (heard !== '' && heard.charCodeAt(0) !== 5) return failNoSocks(heard);
      if (heard.length < 2) return PARTIAL;
      const method = heard.charCodeAt(1);
      if (method === 0xff)
        return fail(
          user === ''
            ? 'the proxy asks for credentials: write user@ in proxy, and proxy_password_file'
            : 'the proxy takes no user and password',
        );
      if (method !== 0 && !(method === 2 && user !== ''))
        return fail(`the proxy chose authentication method ${method}, which was not offered`);
      return heard.length > 2 ? EARLY : { is: 'next', step: method === 2 ? login : request };
    },
  });
}

/** Octets that come before they were asked for are not this proxy's answer, whoever put them there. */
const EARLY = fail('the proxy spoke before it was asked');

const failNoSocks = (heard: string): Refused => fail(`what answers is not a SOCKS5 proxy: it says "${printable(heard, 40)}"`);

/** RFC 1928 §4 and §5: type of address, address, port. The proxy looks up a name. */
function socksAddress({ host, port }: Destination): string {
  const tail = octet(port >> 8, port & 255);
  if (isIPv4(host)) return `${octet(1)}${addressOctets(host)}${tail}`;
  if (isIPv6(host)) return `${octet(4)}${addressOctets(host)}${tail}`;
  return `${octet(3, host.length)}${host}${tail}`;
}

function socksReply(heard: string, to: Destination): ProxyAnswer {
  if (heard !== '' && heard.charCodeAt(0) !== 5) return failNoSocks(heard);
  if (heard.length < 2) return PARTIAL;
  const code = heard.charCodeAt(1);
  if (code !== 0)
    return fail(`${sayUnreached(to)}: ${SOCKS_REPLIES[code] ?? 'unknown reason'} (SOCKS5 reply ${code})`, SOCKS_REASONS[code]);
  if (heard.length < 5) return PARTIAL;
  // The address that the proxy connects from: 4 or 16 octets, or a name behind its length.
  const lengths: Readonly<Record<number, number>> = { 1: 4, 3: 1 + heard.charCodeAt(4), 4: 16 };
  const length = lengths[heard.charCodeAt(3)];
  if (length === undefined) return fail(`the proxy answers with an address of unknown type ${heard.charCodeAt(3)}`);
  const whole = 4 + length + 2;
  return heard.length < whole ? PARTIAL : { is: 'open', octets: whole };
}

const printDestination = ({ host, port }: Destination): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

const sayUnreached = (to: Destination): string => `the proxy did not connect to ${printDestination(to)}`;

/* ---- HTTP ---- */

/** Octets of a reply's header section: the limit that common servers have for requests. */
const LONGEST_HEADER = 16 * 1024;

/** RFC 9110 §9.3.6; credentials as RFC 7617 §2 has them. */
function connectMethod(to: Destination, user: string, password: string): ProxyStep {
  const place = printDestination(to);
  const credentials = user === '' ? '' : `Proxy-Authorization: Basic ${base64(utf8(`${user}:${password}`))}\r\n`;
  return { say: `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${credentials}\r\n`, hear: (heard) => httpReply(heard, to, user) };
}

function httpReply(heard: string, to: Destination, user: string, before = 0): ProxyAnswer {
  const reply = heard.slice(before);
  const start = 'HTTP/1.';
  if (!reply.startsWith(start.slice(0, reply.length))) return fail(`what answers is not an HTTP proxy: it says "${printable(reply, 40)}"`);
  const end = /\r?\n\r?\n/.exec(reply);
  if ((end === null ? heard.length : before + end.index) > LONGEST_HEADER)
    return fail(`the proxy answers with a header of more than ${LONGEST_HEADER / 1024} KiB`);
  if (end === null) return PARTIAL;
  const status = /^HTTP\/1\.\d ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n/.exec(reply);
  if (status === null) return fail(`the proxy answers with "${printable(reply.split(/\r?\n/)[0] as string, 80)}", which is no HTTP status`);
  const [, code = '', reason = ''] = status;
  const whole = before + end.index + end[0].length;
  // An interim reply: another one follows. RFC 9110 §15.2
  if (code.startsWith('1')) return httpReply(heard, to, user, whole);
  if (code.startsWith('2')) return { is: 'open', octets: whole };
  if (code === '407')
    return fail(
      user === ''
        ? 'the proxy asks for credentials: write user@ in proxy, and proxy_password_file'
        : `the proxy refuses the user and password: ${code} ${printable(reason, 200)}`,
    );
  // RFC 9110 §15.6.5: the server did not answer the proxy in time.
  return fail(`${sayUnreached(to)}: ${`${code} ${printable(reason, 200)}`.trim()}`, code === '504' ? 'timeout' : 'other');
}
