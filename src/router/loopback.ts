/**
 * Decides from the way a smart host is written whether it is this very host: then TLS is off by default, credentials may go in
 * clear, and EXTERNAL needs no certificate. Looks up no name: a name that DNS or /etc/hosts leads to a loopback address does
 * not count, because whoever answers for the name chose the address.
 */

import { isIPv4, isIPv6 } from '../smtp/path.ts';
import type { Smarthost } from './smarthost.ts';

/** DNS answers /MX and /SRV, so what it names does not count; and behind a proxy a loopback address is the proxy's own. */
export function isWrittenAsLoopback({ scheme, host, expand, link }: Pick<Smarthost, 'scheme' | 'host' | 'expand' | 'link'>): boolean {
  if (scheme === 'unix') return true;
  return expand === 'none' && !link?.proxy && isLoopback(host);
}

/**
 * `host` is a name, or an IP address without brackets. RFC 6761 §6.3 reserves `localhost` and every name below it. Nothing
 * reserves the other names that hosts files give to loopback (`localhost.localdomain`, `ip6-localhost`).
 */
export function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.'); // RFC 1122 §3.2.1.3 (g)
  if (isIPv6(host)) return isLoopbackOf6(groupsOf(host));
  return /(^|\.)localhost\.?$/i.test(host);
}

/** `::1` (RFC 4291 §2.5.3), or 127.0.0.0/8 mapped (RFC 4291 §2.5.5.2), because sockets of both families show IPv4 addresses so. */
function isLoopbackOf6(groups: readonly number[]): boolean {
  const [fifth, seventh, eighth] = [groups[5], groups[6] as number, groups[7]];
  if (groups.slice(0, 5).some((group) => group !== 0)) return false;
  return (fifth === 0 && seventh === 0 && eighth === 1) || (fifth === 0xffff && seventh >> 8 === 127);
}

/** The eight groups of a valid IPv6 address. RFC 4291 §2.2 */
function groupsOf(address: string): readonly number[] {
  const groups = (text: string): readonly number[] => text.split(':').flatMap(groupOf);
  const gap = address.indexOf('::');
  if (gap < 0) return groups(address);
  const [head, tail] = [groups(address.slice(0, gap)), groups(address.slice(gap + 2))];
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** A dotted quad at the end is two groups. */
function groupOf(text: string): readonly number[] {
  if (text === '') return [];
  const [a, b, c, d] = text.split('.').map(Number) as [number, number, number, number];
  return text.includes('.') ? [(a << 8) | b, (c << 8) | d] : [Number.parseInt(text, 16)];
}
