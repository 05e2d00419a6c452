/**
 * Reaches a server through a SOCKS5 or HTTP proxy, which also looks up the server's name. What is said to a proxy is a
 * small step function, driven over a socket by the lower half of this file. Knows neither SMTP nor the smart host list.
 */

import type { Socket } from 'node:net';
import { domainToASCII } from 'node:url';
import type { Link, ProxyPolicy } from '../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isIPv4, isIPv6 } from '../smtp/path.ts';
import { base64, latin1, octets, printable, utf8 } from '../smtp/text.ts';
import { addressOctets } from './address.ts';
import { alarm } from './clock.ts';
import { connectFirst, type FailedEndpoint } from './connect.ts';
import { endpointsOf } from './lookup/endpoints.ts';
import { printSocketError } from './socket.ts';

/** Whom the proxy is to connect to, by name or address. */
export interface Destination {
  readonly host: string;
  readonly port: number;
}

/** Octets to say, and what is made of all that was heard since. */
export interface ProxyStep {
  readonly say: string;
  readonly hear: (heard: string) => Heard;
}

/** `open`: so many octets were the proxy's; what is behind them comes through the tunnel. */
type Heard =
  | { readonly is: 'partial' }
  | { readonly is: 'next'; readonly step: ProxyStep }
  | { readonly is: 'open'; readonly octets: number }
  | Refused;
interface Refused {
  readonly is: 'failed';
  readonly detail: string;
}

const PARTIAL: Heard = { is: 'partial' };
const failed = (detail: string): Refused => ({ is: 'failed', detail });

/** The first step, or a sentence when what must be said cannot be said to this kind of proxy. */
export function beginProxy({ scheme, user }: Pick<ProxyPolicy, 'scheme' | 'user'>, password: string, to: Destination): Parsed<ProxyStep> {
  if (to.host.includes('%')) return unparsed('an address with a zone means nothing to a proxy');
  const host = to.host.includes(':') ? to.host : domainToASCII(to.host) || to.host;
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
      if (heard.charCodeAt(1) !== 0) return failed('the proxy refuses the user and password');
      return heard.length > 2 ? EARLY : { is: 'next', step: request };
    },
  };
  return parsed({
    say: `${octet(5, methods.length)}${methods}`,
    hear: (heard) => {
      if (heard !== '' && heard.charCodeAt(0) !== 5) return notSocks(heard);
      if (heard.length < 2) return PARTIAL;
      const method = heard.charCodeAt(1);
      if (method === 0xff)
        return failed(
          user === ''
            ? 'the proxy asks for credentials: write user@ in proxy, and proxy_password_file'
            : 'the proxy takes no user and password',
        );
      if (method !== 0 && !(method === 2 && user !== ''))
        return failed(`the proxy chose authentication method ${method}, which was not offered`);
      return heard.length > 2 ? EARLY : { is: 'next', step: method === 2 ? login : request };
    },
  });
}

/** Octets before they were asked for are not this proxy's answer, whoever put them there. */
const EARLY = failed('the proxy spoke before it was asked');

const notSocks = (heard: string): Refused => failed(`what answers is not a SOCKS5 proxy: it says "${printable(heard, 40)}"`);

/** RFC 1928 §4 and §5: type of address, address, port. A name is looked up by the proxy. */
function socksAddress({ host, port }: Destination): string {
  const tail = octet(port >> 8, port & 255);
  if (isIPv4(host)) return `${octet(1)}${addressOctets(host)}${tail}`;
  if (isIPv6(host)) return `${octet(4)}${addressOctets(host)}${tail}`;
  return `${octet(3, host.length)}${host}${tail}`;
}

function socksReply(heard: string, to: Destination): Heard {
  if (heard !== '' && heard.charCodeAt(0) !== 5) return notSocks(heard);
  if (heard.length < 2) return PARTIAL;
  const code = heard.charCodeAt(1);
  if (code !== 0) return failed(`${unreached(to)}: ${SOCKS_REPLIES[code] ?? 'unknown reason'} (SOCKS5 reply ${code})`);
  if (heard.length < 5) return PARTIAL;
  // The address that the proxy connects from: 4 or 16 octets, or a name behind its length.
  const lengths: Readonly<Record<number, number>> = { 1: 4, 3: 1 + heard.charCodeAt(4), 4: 16 };
  const length = lengths[heard.charCodeAt(3)];
  if (length === undefined) return failed(`the proxy answers with an address of unknown type ${heard.charCodeAt(3)}`);
  const whole = 4 + length + 2;
  return heard.length < whole ? PARTIAL : { is: 'open', octets: whole };
}

const print = ({ host, port }: Destination): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

const unreached = (to: Destination): string => `the proxy did not connect to ${print(to)}`;

/* ---- HTTP ---- */

/** Octets of a reply's header section: what common servers accept of a request. */
const LONGEST_HEADER = 16 * 1024;

/** RFC 9110 §9.3.6; credentials as RFC 7617 §2 has them. */
function connectMethod(to: Destination, user: string, password: string): ProxyStep {
  const place = print(to);
  const credentials = user === '' ? '' : `Proxy-Authorization: Basic ${base64(utf8(`${user}:${password}`))}\r\n`;
  return { say: `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${credentials}\r\n`, hear: (heard) => httpReply(heard, to, user) };
}

function httpReply(heard: string, to: Destination, user: string, before = 0): Heard {
  const reply = heard.slice(before);
  const start = 'HTTP/1.';
  if (!reply.startsWith(start.slice(0, reply.length)))
    return failed(`what answers is not an HTTP proxy: it says "${printable(reply, 40)}"`);
  const end = /\r?\n\r?\n/.exec(reply);
  if ((end === null ? heard.length : before + end.index) > LONGEST_HEADER)
    return failed(`the proxy answers with a header of more than ${LONGEST_HEADER / 1024} KiB`);
  if (end === null) return PARTIAL;
  const status = /^HTTP\/1\.\d ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n/.exec(reply);
  if (status === null)
    return failed(`the proxy answers with "${printable(reply.split(/\r?\n/)[0] as string, 80)}", which is no HTTP status`);
  const [, code = '', reason = ''] = status;
  const whole = before + end.index + end[0].length;
  // An interim reply: another one follows. RFC 9110 §15.2
  if (code.startsWith('1')) return httpReply(heard, to, user, whole);
  if (code.startsWith('2')) return { is: 'open', octets: whole };
  if (code === '407')
    return failed(
      user === ''
        ? 'the proxy asks for credentials: write user@ in proxy, and proxy_password_file'
        : `the proxy refuses the user and password: ${code} ${printable(reason, 200)}`,
    );
  return failed(`${unreached(to)}: ${`${code} ${printable(reason, 200)}`.trim()}`);
}

/* ---- over a socket ---- */

export interface ProxyLimits {
  /** Milliseconds for looking up the proxy's name. */
  readonly resolve: number;
  /** Milliseconds for connecting to it, and for all that it says. */
  readonly connect: number;
}

/** A connection to the proxy of a link, from which nothing has been read; or a sentence. */
export async function connectProxy(
  link: Link & { readonly proxy: ProxyPolicy },
  limits: ProxyLimits,
  signal?: AbortSignal,
): Promise<Parsed<Socket>> {
  const { host, port } = link.proxy;
  const target = { name: host, port, unix: false, fromDns: false, link: { ...link, proxy: null } };
  const found = await endpointsOf(target, limits.resolve, undefined, signal);
  if (!found.ok) return unparsed(`the proxy cannot be found: ${found.detail}`);
  const { winner, failed: dead } = await connectFirst(found.value, {
    within: limits.connect,
    ...(link.sourceAddress === '' ? {} : { from: link.sourceAddress }),
    ...(signal ? { signal } : {}),
  });
  return winner === null ? unparsed(`the proxy does not answer: ${printFailed(dead)}`) : parsed(winner.socket);
}

function printFailed(dead: readonly FailedEndpoint[]): string {
  const [first] = dead;
  if (dead.length === 1 && first) return first.detail;
  return dead.map(({ endpoint, detail }) => `${endpoint.address}: ${detail}`).join('; ') || 'the attempt was ended';
}

/**
 * Has the proxy connect to the server. On success the socket is the one to the server, paused, with nothing lost of what the
 * server said first; else it is destroyed and the value is a sentence. One deadline for the whole talk, not for each read.
 */
export function openTunnel(
  socket: Socket,
  proxy: ProxyPolicy,
  password: string,
  /** `speaksFirst`: false for TLS from the first octet, where the server must wait for us. */
  to: Destination & { readonly speaksFirst: boolean },
  { connect: within }: ProxyLimits,
  signal?: AbortSignal,
): Promise<Parsed<null>> {
  return new Promise((resolve) => {
    let heard = '';
    let why = 'the proxy closed the connection';
    const settle = (result: Parsed<null>) => {
      stop();
      signal?.removeEventListener('abort', aborted);
      // An error listener stays: an 'error' without one would end the process.
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).pause();
      if (!result.ok) socket.destroy();
      resolve(result);
    };
    const fail = (detail: string) => settle(unparsed(detail));
    const onData = (chunk: Buffer) => {
      heard += latin1(chunk);
      const made = step.hear(heard);
      if (made.is === 'failed') return fail(made.detail);
      if (made.is === 'partial') return;
      if (made.is === 'next') {
        heard = '';
        step = made.step;
        socket.write(octets(step.say));
        return;
      }
      const early = octets(heard.slice(made.octets));
      if (early.length > 0 && !to.speaksFirst) return fail('clear text before the TLS handshake: this is no port for submissions://');
      settle(parsed(null));
      if (early.length > 0) socket.unshift(early);
    };
    const onEnd = () => fail(why);
    const aborted = () => fail('the attempt was ended');
    const stop = alarm(within, () => fail(`the proxy did not connect within ${within / 1000} s (timeouts.connect)`));
    const first = beginProxy(proxy, password, to);
    if (!first.ok) return fail(first.detail);
    let step = first.value;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why = `the proxy: ${printSocketError(error)}`;
    });
    if (signal?.aborted) return aborted();
    signal?.addEventListener('abort', aborted, { once: true });
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).resume();
    socket.write(octets(step.say));
  });
}
