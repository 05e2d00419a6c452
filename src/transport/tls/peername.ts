/**
 * Names and addresses of a TLS peer: which the configuration wants, and whether a certificate is for one of them (RFC 9525).
 * Knows no socket and no authority.
 */

import type { X509Certificate } from 'node:crypto';
import type { TlsPolicy } from '../../router/smarthost.ts';
import { isDomain, isIPv4, isIPv6 } from '../../smtp/path.ts';
import { isAscii } from '../../smtp/text.ts';
import { aLabels } from '../a-labels.ts';

/** The peer that we want to talk to. */
export interface WantedPeer {
  /** Server name indication, an A-label domain; '' = none, as for an IP address. RFC 6066 §3 */
  readonly sni: string;
  /** Domains (A-labels) and IP addresses; the certificate must be for one of them. */
  readonly names: readonly string[];
}

/**
 * Returns the names for a host of the configuration. `target` is the name that is connected to; `domain` the configured domain
 * if DNS led from it to the target (`/MX`, `/SRV`), else ''. Anybody may have written the answers of DNS, so the certificate
 * must be for the domain, unless the target lies within it. server_name replaces all that.
 */
export function wantedNames(policy: TlsPolicy, target: string, domain = ''): WantedPeer {
  const [host, above] = [normalName(policy.serverName || target), policy.serverName ? '' : normalName(domain)];
  if (host.startsWith('/')) return { sni: '', names: [] };
  const isWithin = host === above || host.endsWith(`.${above}`);
  const names = above === '' ? [host] : isWithin ? [...new Set([host, above])] : [above];
  const [first = ''] = names;
  return { sni: isAddress(first) ? '' : first, names };
}

/** Writes a name in lower case, in A-labels and without a final dot, an IP address without its zone, and a path as it is. */
function normalName(name: string): string {
  const address = name.replace(/%.*$/, '');
  if (name.startsWith('/') || isAddress(address)) return name.startsWith('/') ? name : address;
  const bare = name.replace(/\.$/, '');
  return aLabels(bare) || bare.toLowerCase();
}

const isAddress = (text: string): boolean => isIPv4(text) || isIPv6(text);

/** The common name of the subject does not count (RFC 9525 §2), and a wildcard is a whole label (RFC 9525 §6.3). */
const BY_NAMES = { subject: 'never', partialWildcards: false } as const;

/**
 * True if the certificate is for this domain (A-labels) or IP address. The runtime's OpenSSL or BoringSSL decides, which
 * has a reader of certificates that is better tried than ours.
 *
 * Deviation: RFC 9525 §6.3 leaves wildcards right above a top-level domain (`*.org`) to the client; they match nothing here, as
 * in every browser.
 */
export function isFor(certificate: Pick<X509Certificate, 'checkHost' | 'checkIP'>, name: string): boolean {
  if (isAddress(name)) return certificate.checkIP(name) !== undefined;
  // OpenSSL takes a name that begins with a dot for any name below it.
  if (!isAscii(name) || !isDomain(name)) return false;
  const isNamed = (host: string): boolean => certificate.checkHost(host, BY_NAMES) !== undefined;
  const [label = '', ...above] = name.split('.');
  // OpenSSL lets no wildcard stand for a label with an underscore, which hosts of private networks have. If the certificate is
  // for a label that nobody could foresee, the wildcard is there.
  return isNamed(name) || (label.includes('_') && isNamed([unforeseen(), ...above].join('.')));
}

const unforeseen = (): string => process.getBuiltinModule('node:crypto').randomBytes(16).toString('hex');
