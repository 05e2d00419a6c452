/**
 * Routes, routers and their results, as plain data that prints and compares. Knows no file, no DNS, no clock.
 */
import type { ForwardPath, ReversePath } from '../smtp/path.ts';
import type { RoutingData } from './data.ts';
import type { Smarthost } from './smarthost.ts';
import type { Want } from './want.ts';

interface HeaderChanges {
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
