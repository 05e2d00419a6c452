/**
 * Routes, routers and their results, as plain data that prints and compares. Knows no file, no DNS, no clock.
 */
import type { ForwardPath, ReversePath } from '../smtp/path.ts';
import type { RoutingData } from './data.ts';
import type { Smarthost } from './smarthost.ts';
import type { Want } from './want.ts';

/** The changes that a router makes to the header section. */
export interface HeaderChanges {
  /** Whole fields without a line end, e.g. `X-Site: main`. */
  readonly add: readonly string[];
  /** Field names, compared without case. */
  readonly remove: readonly string[];
}

/** The route of an address: everything that must agree for one transaction. */
export interface Route {
  /** Smart hosts in the order they are tried. */
  readonly hosts: readonly Smarthost[];
  /** undefined: the reverse-path of the message. */
  readonly errorsTo?: ReversePath;
  readonly changes: HeaderChanges;
}

/** A forward-path after redirection, and how it came to be. */
export interface RoutedRecipient {
  readonly path: ForwardPath;
  /** Name of the router that gave it its route, or discarded it. */
  readonly router: string;
  /** The address as the caller gave it, qualified. It becomes ORCPT (RFC 3461 §4.2) if it differs from `path`. */
  readonly original: ForwardPath;
}

/**
 * The addresses that a router looks at: exact, `*.suffix` (domains), `*@domain` (senders), `*`; '@' in `domains` stands for our
 * own names. [] = any.
 */
export interface Preconditions {
  readonly name: string;
  readonly domains: readonly string[];
  readonly localParts: readonly string[];
  readonly senders: readonly string[];
}

/** A router that turns an address into others. */
export interface RedirectDefinition extends Preconditions {
  readonly driver: 'redirect';
  /** Absolute path of an alias file. Exactly one of `file`, `data` and `forward` is set ('' / null / false if not). */
  readonly file: string;
  /** Key (local-part) → redirection list, of an inline `data` table. */
  readonly data: Readonly<Record<string, string>> | null;
  /** The router reads the `~/.forward` of the user whose name the local-part is. */
  readonly forward: boolean;
  readonly qualifyPreserveDomain: boolean;
  /** A router whose file is missing declines instead of deferring: for the `aliases` key and for `forward`. */
  readonly ifPresent: boolean;
}

/** A router that gives an address its hosts. */
export interface ManualrouteDefinition extends Preconditions {
  readonly driver: 'manualroute';
  readonly hosts: readonly Smarthost[];
  readonly randomize: boolean;
  readonly errorsTo?: ReversePath;
  readonly changes: HeaderChanges;
}

/** A router as a configuration writes it. */
export type RouterDefinition = RedirectDefinition | ManualrouteDefinition;

/** The facts of the message and of this host that a router needs. */
export interface RouterFacts {
  /** Domains that '@' stands for. */
  readonly ours: readonly string[];
  /** The domain of bare addresses in lists; '' leaves them bare. */
  readonly qualifyRecipient: string;
  readonly reversePath: ReversePath;
  /** Spells the domain of an address in a list as that of the question is: two spellings are one recipient. */
  readonly spell?: (mailbox: ForwardPath) => ForwardPath;
}

/** The answer of a router for one address. */
export type RouteResult =
  /** The router does not look at the address, has no entry for it, or has redirected it before. */
  | { readonly kind: 'skipped' | 'declined'; readonly detail: string }
  /** The address is replaced by these. `locals` are files and pipes among them, to which nobody here delivers. */
  | { readonly kind: 'redirected'; readonly to: readonly ForwardPath[]; readonly locals: readonly string[]; readonly detail: string }
  | { readonly kind: 'accepted'; readonly route: Route; readonly detail: string }
  /** The list says so: `:blackhole:` or `/dev/null`. */
  | { readonly kind: 'discarded'; readonly detail: string }
  | { readonly kind: 'failed' | 'deferred'; readonly detail: string }
  /** The router cannot answer before it knows these. */
  | { readonly kind: 'wanting'; readonly wants: readonly Want[] };

/** One router of a chain. */
export interface Router {
  readonly name: string;
  /** `data` holds the answers so far to the questions of this router. */
  route(path: ForwardPath, data: RoutingData): RouteResult;
}

/** One address, and the answers of the routers in their order. */
export interface RoutingNode {
  readonly path: ForwardPath;
  readonly steps: readonly RoutingStep[];
  /** The addresses that the last step led to, if it redirected. */
  readonly children: readonly RoutingNode[];
}

/** One router that was asked about an address, and its answer. */
export interface RoutingStep {
  /** '' when no router was asked. */
  readonly router: string;
  readonly kind: Exclude<RouteResult['kind'], 'wanting'> | 'local delivery' | 'unrouteable' | 'duplicate';
  readonly detail: string;
}

/** The reason why the message cannot go out in one transaction. */
export type RoutingProblem =
  | {
      readonly kind: 'failed' | 'deferred' | 'local delivery' | 'unrouteable';
      /** The address as the caller gave it. */
      readonly address: ForwardPath;
      /** The addresses from `address` to the one that has the problem, both included. */
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

/** The fields in which two routes can differ, by the names of the configuration's keys. */
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
