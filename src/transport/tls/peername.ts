/**
 * Names and addresses of a TLS peer: whom the configuration wants, and whether a certificate is for it (RFC 9525). Knows no
 * socket and no authority.
 */

import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import type { TlsPolicy } from '../../router/smarthost.ts';
import { addressOctets } from '../address.ts';
import type { CertificateContent } from './x509.ts';

/** Whom we want to talk to. */
export interface Wanted {
  /** Server name indication, an A-label domain; '' = none, as for an IP address. RFC 6066 §3 */
  readonly sni: string;
  /** Domains (A-labels) and IP addresses; the certificate must be for one of them. */
  readonly names: readonly string[];
}

/**
 * The names for a host of the configuration. `target` is what is connected to; `domain` the configured domain when DNS led
 * from it to the target (`/MX`, `/SRV`), else ''. DNS is not to be believed: the certificate must be for the domain, unless
 * the target lies within it. server_name replaces all that.
 */
export function wantedNames(policy: TlsPolicy, target: string, domain = ''): Wanted {
  const [host, above] = [normalName(policy.serverName || target), policy.serverName ? '' : normalName(domain)];
  if (host.startsWith('/')) return { sni: '', names: [] };
  const isWithin = above === '' || host === above || host.endsWith(`.${above}`);
  const names = above === '' ? [host] : isWithin ? [...new Set([host, above])] : [above];
  const [first = ''] = names;
  return { sni: isIP(first) === 0 ? first : '', names };
}

/** Lower case, A-labels, without a final dot; an IP address without its zone; a path as it is. */
function normalName(name: string): string {
  const address = name.replace(/%.*$/, '');
  if (name.startsWith('/') || isIP(address) !== 0) return name.startsWith('/') ? name : address;
  const bare = name.replace(/\.$/, '');
  return domainToASCII(bare) || bare.toLowerCase();
}

/** True if the certificate is for this domain or IP address. The common name of the subject does not count. RFC 9525 §2 */
export function isFor({ dnsNames, addresses }: CertificateContent, name: string): boolean {
  if (isIP(name) !== 0) return addresses.includes(addressOctets(name));
  return dnsNames.some((pattern) => matchesName(pattern, name));
}

/**
 * RFC 9525 §6.3: labels are compared without case; `*` stands for one whole label, the leftmost, and only for that.
 * Deviation: a wildcard right above a top-level domain (`*.org`) matches nothing, as in every browser.
 */
export function matchesName(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.toLowerCase().split('.');
  const [label = '', ...above] = name.toLowerCase().split('.');
  if (label === '' || rest.join('.') !== above.join('.')) return false;
  return first === '*' ? rest.length >= 2 && rest.every((each) => each !== '') : first === label;
}
