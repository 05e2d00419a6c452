/**
 * Reads how this host looks names up: nsswitch.conf(5), hosts(5), resolv.conf(5), gai.conf(5). Pure: the texts are handed in,
 * and nobody is asked.
 */

import { isLoopback } from '../../router/loopback.ts';
import { isIPv4, isIPv6 } from '../../smtp/path.ts';
import { addressOctets } from '../address.ts';

export interface IpAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/* ---- hosts(5) ---- */

/** Returns the addresses of a name on all lines that have it, in their order. Names are compared without case. RFC 4343 §3 */
export function addressesIn(hosts: string, name: string): readonly IpAddress[] {
  const wanted = name.toLowerCase();
  // A list of names to block makes this a long file, so it is searched as a whole first.
  if (!hosts.toLowerCase().includes(wanted)) return [];
  return hosts.split('\n').flatMap((line): readonly IpAddress[] => {
    const [address = '', ...names] = (line.split('#', 1)[0] as string).trim().split(/\s+/);
    if (!names.some((each) => each.toLowerCase() === wanted)) return [];
    if (isIPv4(address)) return [{ address, family: 4 }];
    return isIPv6(address.replace(/%.*$/, '')) ? [{ address, family: 6 }] : [];
  });
}

/* ---- resolv.conf(5) ---- */

export interface ResolvConf {
  /** Domains that are put behind a name, without their last dot. */
  readonly search: readonly string[];
  /** A name with so many dots is tried first without a domain behind it. */
  readonly ndots: number;
  /** Milliseconds for the first answer of a server; they grow with each try. */
  readonly timeout: number;
  readonly attempts: number;
  /** True if nobody asks for AAAA. */
  readonly isWithoutAaaa: boolean;
  readonly nameservers: readonly string[];
}

/** c-ares has these defaults; the 5 seconds of the C library are long if the first of two servers is down. */
const TIMEOUT = 2000;
const ATTEMPTS = 3;
/** The C library accepts no larger numbers. */
const MOST_OF_OPTION = { ndots: 15, timeout: 30, attempts: 5 } as const;

/**
 * The last `search` or `domain` counts, and all `options`; the environment's LOCALDOMAIN and RES_OPTIONS come after them.
 * Without a search list the domain of the host's own name is the list.
 */
export function readResolvConf(text: string, hostname: string, environment: Readonly<Record<string, string | undefined>> = {}): ResolvConf {
  const { LOCALDOMAIN: domains, RES_OPTIONS: more } = environment;
  const added = `${domains === undefined ? '' : `\nsearch ${domains}`}${more === undefined ? '' : `\noptions ${more}`}`;
  let search: readonly string[] | null = null;
  const options: string[] = [];
  const nameservers: string[] = [];
  for (const line of (text + added).split('\n')) {
    const [key, ...values] = line.trim().split(/\s+/);
    if (key === 'search') search = values;
    if (key === 'domain') search = values.slice(0, 1);
    if (key === 'options') options.push(...values);
    if (key === 'nameserver') nameservers.push(...values.slice(0, 1));
  }
  const number = (name: keyof typeof MOST_OF_OPTION): number | null => {
    const value = options.findLast((option) => option.startsWith(`${name}:`))?.slice(name.length + 1) ?? '';
    return /^\d+$/.test(value) ? Math.min(Number(value), MOST_OF_OPTION[name]) : null;
  };
  const timeout = number('timeout');
  return {
    search: (search ?? [hostname.replace(/^[^.]*\.?/, '')])
      .map((domain) => domain.replace(/^\.|\.$/g, ''))
      .filter((domain) => domain !== ''),
    ndots: number('ndots') ?? 1,
    timeout: timeout === null ? TIMEOUT : Math.max(1, timeout) * 1000,
    attempts: Math.max(1, number('attempts') ?? ATTEMPTS),
    isWithoutAaaa: options.includes('no-aaaa'),
    nameservers,
  };
}

/** Returns the names to ask for, in order. A name that ends in a dot is whole. */
export function candidatesOf(name: string, { search, ndots }: Pick<ResolvConf, 'search' | 'ndots'>): readonly string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const longer = search.map((domain) => `${name}.${domain}`);
  return name.split('.').length > ndots ? [name, ...longer] : [...longer, name];
}

/* ---- nsswitch.conf(5) ---- */

/** `system`: only the C library can do it. */
export type LookupStep = 'files' | 'dns' | 'system';

interface SwitchFacts {
  /** This host's own name. */
  readonly hostname: string;
  readonly nameservers: readonly string[];
  readonly exists: (path: string) => boolean;
}

/** systemd-resolved answers here as by its own protocol, except for names of the link (LLMNR, mDNS). */
const STUBS = ['127.0.0.53', '127.0.0.54'];

/**
 * Returns the steps that look a name up as the line `hosts:` says; `nsswitch` is null where there is no such file. A service
 * that cannot know the name is left out. From the first service of another kind on, the system is asked.
 */
export function stepsOf(name: string, nsswitch: string | null, facts: SwitchFacts): readonly LookupStep[] {
  const line = /^[ \t]*hosts:([^#\n]*)/m.exec(nsswitch ?? 'hosts: files dns')?.[1] ?? 'files dns';
  const steps: LookupStep[] = [];
  // An action before the first service is nobody's.
  let isSkipped = true;
  for (const word of line.match(/\[[^\]]*\]|[^\s[\]]+/g) ?? []) {
    if (word.startsWith('[')) {
      // By default the search stops at success and goes on otherwise.
      if (/\bSUCCESS\s*=/i.test(word)) return ['system'];
      if (!isSkipped && /((?<!!\s*)\bNOTFOUND|!\s*(?!NOTFOUND\b)\w+)\s*=\s*return/i.test(word)) return steps;
      continue;
    }
    const step = stepFor(word, name.toLowerCase().replace(/\.$/, ''), facts);
    isSkipped = step === null;
    if (step !== null && !steps.includes(step)) steps.push(step);
    if (step === 'system') return steps;
  }
  return steps;
}

/** Returns null if this service does not know such names. */
function stepFor(service: string, name: string, { hostname, nameservers, exists }: SwitchFacts): LookupStep | null {
  const isOfLink = !name.includes('.') || name.endsWith('.local');
  switch (service) {
    case 'files':
    case 'dns':
      return service;
    case 'mdns_minimal':
    case 'mdns4_minimal':
    case 'mdns6_minimal':
      return name.endsWith('.local') ? 'system' : null;
    case 'mdns':
    case 'mdns4':
    case 'mdns6':
      return name.endsWith('.local') || exists('/etc/mdns.allow') ? 'system' : null;
    case 'myhostname':
      return name === hostname.toLowerCase() || ['_gateway', '_outbound'].includes(name) ? 'system' : null;
    case 'mymachines':
      return exists(`/run/systemd/machines/${name}`) ? 'system' : null;
    case 'resolve':
      return !isOfLink && nameservers.length > 0 && nameservers.every((server) => STUBS.includes(server)) ? 'dns' : 'system';
    default:
      return 'system';
  }
}

/* ---- gai.conf(5) ---- */

/** RFC 6724 §2.1, the column "Precedence". */
const PRECEDENCE = `
precedence ::1/128 50
precedence ::/0 40
precedence ::ffff:0:0/96 35
precedence 2002::/16 30
precedence 2001::/32 5
precedence fc00::/7 3
precedence ::/96 1
precedence fec0::/10 1
precedence 3ffe::/16 1
`;

interface PrecedenceRule {
  /** Bits, as a text of 0 and 1. */
  readonly prefix: string;
  readonly precedence: number;
}

/** Returns the table with the longest prefix first. The table of gai.conf, if it has one, replaces the standard's. */
function rulesOf(gai: string): readonly PrecedenceRule[] {
  const read = (text: string) =>
    [...text.matchAll(/^[ \t]*precedence[ \t]+([\da-fA-F:.]+)\/(\d+)[ \t]+(\d+)/gm)].flatMap(
      ([, address = '', length, precedence]): PrecedenceRule[] =>
        isIPv6(address) ? [{ prefix: bitsOf(address).slice(0, Number(length)), precedence: Number(precedence) }] : [],
    );
  const own = read(gai);
  return (own.length > 0 ? own : read(PRECEDENCE)).sort((a, b) => b.prefix.length - a.prefix.length);
}

/** Returns 128 bits; an IPv4 address becomes an IPv4-mapped one. RFC 4291 §2.5.5.2 */
function bitsOf(address: string): string {
  const octets = addressOctets(isIPv4(address) ? `::ffff:${address}` : address.replace(/%.*$/, ''));
  return Array.from(octets, (octet) => octet.charCodeAt(0).toString(2).padStart(8, '0')).join('');
}

const isOfInterface = (address: string): boolean => /^fe[89ab]/i.test(address);
/** True for addresses of the whole network, 2000::/3, except those of tunnels (Teredo, 6to4), which have labels of their own. */
const isGlobal6 = (address: string): boolean => /^[23][\da-f]{3}:/i.test(address) && !/^(2001:0{0,4}:|2002:)/.test(address);

/** Returns the families in which this host has addresses that reach more than itself; both if it has none, or none is known. */
export function familiesOf(own: readonly string[]): { readonly 4: boolean; readonly 6: boolean } {
  const reaching = own.filter((address) => !isLoopback(address) && !isOfInterface(address));
  const [four, six] = [reaching.some((address) => !address.includes(':')), reaching.some((address) => address.includes(':'))];
  return four || six ? { 4: four, 6: six } : { 4: true, 6: true };
}

/**
 * Sorts by RFC 6724 §6 as far as it says which family comes first: addresses that cannot be reached from the host's own come
 * last (rule 1), those that fit them come before (rule 5), then by precedence (rule 6). Others stay in their order.
 */
export function sortAddresses(found: readonly IpAddress[], own: readonly string[], gai: string): readonly IpAddress[] {
  if (found.every(({ family }) => family === found[0]?.family)) return found;
  const rules = rulesOf(gai);
  const isFit = ({ address, family }: IpAddress): boolean =>
    isLoopback(address) || (family === 4 ? familiesOf(own)[4] : own.some(isGlobal6));
  const scored = found.map((each) => {
    const bits = bitsOf(each.address);
    return { each, fits: isFit(each) ? 1 : 0, precedence: rules.find(({ prefix }) => bits.startsWith(prefix))?.precedence ?? 40 };
  });
  return scored.sort((a, b) => b.fits - a.fits || b.precedence - a.precedence).map(({ each }) => each);
}
