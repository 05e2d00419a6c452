/**
 * Names and addresses of a TLS peer: whom the configuration wants, and whether a certificate is for it (RFC 9525). Knows no
 * socket and no authority.
 */

import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import type { TlsPolicy } from '../../router/smarthost.ts';
import { isDomain } from '../../smtp/path.ts';
import { isAscii } from '../../smtp/text.ts';

/** Whom we want to talk to. */
export interface WantedPeer {
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
export function wantedNames(policy: TlsPolicy, target: string, domain = ''): WantedPeer {
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

/** Loaded with node:tls already. */
const crypto = () => process.getBuiltinModule('node:crypto');

/** The common name of the subject does not count (RFC 9525 §2), and a wildcard is a whole label (RFC 9525 §6.3). */
const BY_NAMES = { subject: 'never', partialWildcards: false } as const;

/**
 * True if the certificate (DER) is for this domain (A-labels) or IP address. OpenSSL decides, which has its own reader of
 * certificates; Bun's BoringSSL decides alike.
 * Deviation: RFC 9525 §6.3 has wildcards right above a top-level domain (`*.org`), and leaves them to the client; they match
 * nothing here, as in every browser.
 */
export function isFor(der: Uint8Array, name: string): boolean {
  const certificate = new (crypto().X509Certificate)(der);
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  // OpenSSL would take a name that begins with a dot for any name below it.
  if (!isAscii(name) || !isDomain(name)) return false;
  const isNamed = (host: string): boolean => certificate.checkHost(host, BY_NAMES) !== undefined;
  const [label = '', ...above] = name.split('.');
  // OpenSSL lets no wildcard stand for a label with an underscore, which hosts of private networks have. A wildcard is there
  // if the certificate is for a label that nobody could foresee.
  return isNamed(name) || (label.includes('_') && isNamed([crypto().randomBytes(16).toString('hex'), ...above].join('.')));
}
