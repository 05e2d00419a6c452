/**
 * What routing is about: smart hosts, routes, routers and their results, as plain data that prints and compares.
 * Knows no file, no DNS, no clock.
 */
import type { ForwardPath, ReversePath } from '../smtp/path.ts';
import type { AliasEntry } from './aliases.ts';
import type { RoutingData } from './data.ts';

export interface TlsPolicy {
  /** 'default' is required, but off where the host is written as loopback (`loopback.ts`). */
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

/** Where a password or token comes from. Read at the attempt, never printed. */
export type Secret =
  | { readonly from: 'none' }
  /** `isOwn`: it must belong to the user who runs this, because whoever named the configuration may not read root's. */
  | { readonly from: 'file'; readonly path: string; readonly isOwn?: boolean }
  | { readonly from: 'command'; readonly argv: readonly string[] }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'literal'; readonly value: string };

export interface AuthPolicy {
  readonly user: string;
  /** SASL names, upper case, in order of preference; [] = the strongest that both sides have. */
  readonly mechanisms: readonly string[];
  readonly secret: Secret;
  /** `secret` is an access token, for OAUTHBEARER and XOAUTH2; undefined: a password, unless mechanisms are named. */
  readonly isToken?: boolean;
  readonly allowPlaintext: boolean;
}

/** What stands between this host and a smart host. RFC 1928 (SOCKS5), RFC 9110 §9.3.6 (HTTP CONNECT) */
export interface ProxyPolicy {
  readonly scheme: 'socks5' | 'http';
  /** Domain name, or IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** '' = the proxy asks for no credentials. */
  readonly user: string;
  readonly secret: Secret;
}

/** How a smart host is reached. */
export interface Link {
  /** null = directly. With a proxy, the proxy looks up the name of the smart host. */
  readonly proxy: ProxyPolicy | null;
  /** IP address of this host to connect from, of the family below; '' = the system's choice. */
  readonly sourceAddress: string;
  /** Addresses to connect to: of the smart host, or of the proxy if there is one. */
  readonly family: 'any' | 4 | 6;
}

export const DIRECT: Link = { proxy: null, sourceAddress: '', family: 'any' };

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
  /** LMTP is spoken on a `unix:` socket; elsewhere the scheme says it. */
  readonly lmtp?: true;
  readonly tls: TlsPolicy;
  readonly auth: AuthPolicy | null;
  /** undefined: DIRECT. */
  readonly link?: Link;
  /** EHLO keywords, upper case, that are left out of what it offers; undefined: none. */
  readonly ignoreExtensions?: readonly string[];
}

/** Ports by scheme: RFC 5321 §4.5.4.2, RFC 6409 §3.1, RFC 8314 §7.3, RFC 2033 §5 leaves LMTP's to the site (24 is registered). */
export const PORTS = { smtp: 25, submission: 587, submissions: 465, lmtp: 24, unix: 0 } as const satisfies Record<Scheme, number>;

export interface HeaderChanges {
  /** Whole fields without a line end, e.g. `X-Site: main`. */
  readonly add: readonly string[];
  /** Field names, compared without case. */
  readonly remove: readonly string[];
}

/** Where an address goes: all that must agree for one transaction. */
export interface Route {
  /** Smart hosts in the order they are tried. */
  readonly hosts: readonly Smarthost[];
  /** undefined: the message's own reverse-path. */
  readonly errorsTo?: ReversePath;
  readonly changes: HeaderChanges;
}

/** A forward-path after redirection, and how it came to be. */
export interface RoutedRecipient {
  readonly path: ForwardPath;
  /** Name of the router that gave it its route, or discarded it. */
  readonly router: string;
  /** The address as the caller gave it (qualified); ORCPT of RFC 3461 §4.2 when it differs from `path`. */
  readonly original: ForwardPath;
}

/** What a router asks of an address before it looks at it: exact, `*.suffix` (domains), `*@domain` (senders), `*`; '@' in `domains` = our own names. [] = any. */
export interface Preconditions {
  readonly name: string;
  readonly domains: readonly string[];
  readonly localParts: readonly string[];
  readonly senders: readonly string[];
}

export interface RedirectDefinition extends Preconditions {
  readonly driver: 'redirect';
  /** Absolute path of an alias file; exactly one of `file`, `data` and `forward` is set ('' / null / false when not). */
  readonly file: string;
  /** Key (local-part) → redirection list, of an inline `data` table. */
  readonly data: Readonly<Record<string, string>> | null;
  /** `~/.forward` of the local-part's user. */
  readonly forward: boolean;
  readonly qualifyPreserveDomain: boolean;
  /** A missing file declines instead of deferring: for the `aliases` key and for `forward`. */
  readonly ifPresent: boolean;
}

export interface ManualrouteDefinition extends Preconditions {
  readonly driver: 'manualroute';
  readonly hosts: readonly Smarthost[];
  readonly randomize: boolean;
  readonly errorsTo?: ReversePath;
  readonly changes: HeaderChanges;
}

export type RouterDefinition = RedirectDefinition | ManualrouteDefinition;

/** What a router makes of one address. */
export type RouteResult =
  /** Its preconditions do not hold, or it has redirected this address before. */
  | { readonly kind: 'skipped' | 'declined'; readonly detail: string }
  /** To these addresses instead; `locals` are files and pipes among them, which nobody here delivers to. */
  | { readonly kind: 'redirected'; readonly to: readonly ForwardPath[]; readonly locals: readonly string[]; readonly detail: string }
  | { readonly kind: 'accepted'; readonly route: Route; readonly detail: string }
  /** On purpose: `:blackhole:` or `/dev/null`. */
  | { readonly kind: 'discarded'; readonly detail: string }
  | { readonly kind: 'failed' | 'deferred'; readonly detail: string }
  /** It cannot say before these are answered. */
  | { readonly kind: 'wanting'; readonly wants: readonly Want[] };

export interface Router {
  readonly name: string;
  /** `data`: what has been answered so far of the questions that lead here. */
  route(path: ForwardPath, data: RoutingData): RouteResult;
}

/** What routing asks of the world outside: one step's questions, each asked once. */
export type Want =
  /** The entries of these keys (lower case, without quotes) in an alias file. */
  | { readonly kind: 'aliases'; readonly file: string; readonly keys: readonly string[] }
  /** The text of an included list; `by` is the list that includes it, as in error texts: who may own the one depends on the other. */
  | { readonly kind: 'include'; readonly file: string; readonly by: string }
  /** The text of a user's `~/.forward`. */
  | { readonly kind: 'forward'; readonly user: string };

/** Why there is no answer: nothing is there, or a sentence that says what went wrong. */
export type Unread = { readonly kind: 'missing' } | { readonly kind: 'unreadable'; readonly detail: string };

/** The answer to one want: the want itself and what was got. Keys that are not in `entries` are not in the file. */
export type Answer =
  | (Extract<Want, { kind: 'aliases' }> & { readonly got: Unread | { readonly kind: 'entries'; readonly entries: readonly AliasEntry[] } })
  | (Extract<Want, { kind: 'include' }> & { readonly got: Unread | ReadList })
  | (Extract<Want, { kind: 'forward' }> & { readonly got: Unread | ReadList });

export interface ReadList {
  readonly kind: 'text';
  /** Where it was read, for error texts. */
  readonly file: string;
  readonly text: string;
  /** Its words are not to be shown: it is a file of somebody else than whoever asks. */
  readonly isPrivate?: boolean;
}

/** One address and what the routers, in their order, made of it. */
export interface RoutingNode {
  readonly path: ForwardPath;
  readonly steps: readonly RoutingStep[];
  /** Where the last step led, if it redirected. */
  readonly children: readonly RoutingNode[];
}

export interface RoutingStep {
  /** '' when no router was asked. */
  readonly router: string;
  readonly kind: Exclude<RouteResult['kind'], 'wanting'> | 'local delivery' | 'unrouteable' | 'duplicate';
  readonly detail: string;
}

/** Why the message cannot go out in one transaction. */
export type RoutingProblem =
  | {
      readonly kind: 'failed' | 'deferred' | 'local delivery' | 'unrouteable';
      /** As the caller gave it. */
      readonly address: ForwardPath;
      /** From `address` to the one that has the problem, both included. */
      readonly chain: readonly ForwardPath[];
      /** '' when no router was asked. */
      readonly router: string;
      readonly detail: string;
    }
  | {
      readonly kind: 'disagree';
      /** Two final addresses that cannot share a transaction. */
      readonly address: ForwardPath;
      readonly other: ForwardPath;
      readonly field: RouteField;
      readonly detail: string;
    };

/** What two routes can differ in, by the names of the configuration's keys. */
export type RouteField =
  | 'hosts'
  | 'tls'
  | 'auth'
  | 'proxy'
  | 'source_address'
  | 'family'
  | 'ignore_extensions'
  | 'errors_to'
  | 'headers_add'
  | 'headers_remove';

/** `scheme://host:port`, without user and password. */
export function printProxy({ scheme, host, port }: ProxyPolicy): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Whether LMTP is spoken with it. RFC 2033 */
export const isLmtp = ({ scheme, lmtp }: Pick<Smarthost, 'scheme' | 'lmtp'>): boolean => scheme === 'lmtp' || lmtp === true;

/** `scheme://host:port`, without credentials. */
export function printSmarthost({ scheme, host, port, expand, lmtp }: Smarthost): string {
  if (scheme === 'unix') return `${lmtp ? 'lmtp+unix' : 'unix'}:${host}`;
  const name = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${name}${expand === 'srv' ? '' : `:${port}`}${expand === 'none' ? '' : `/${expand.toUpperCase()}`}`;
}
