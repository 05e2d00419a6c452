/**
 * One transaction or none: compares the routes of all recipients, field by field, and names the first two that differ. Prints
 * no credential.
 */

import { printPath, type ReversePath } from '../smtp/path.ts';
import type { Route, RoutedRecipient, RouteField, RoutingProblem } from './route.ts';
import { type AuthPolicy, DIRECT, type Link, printProxy, printSmarthost, type Smarthost, type TlsPolicy } from './smarthost.ts';

/** A recipient and its route. */
export interface RoutedTo {
  readonly recipient: RoutedRecipient;
  readonly route: Route;
}

/** Returns the route that all recipients have; null if there are no recipients; a problem where two routes differ. */
export function agree(routed: readonly RoutedTo[], reversePath: ReversePath): Route | RoutingProblem | null {
  const [first] = routed;
  if (first === undefined) return null;
  for (const { recipient, route } of routed) {
    // Most recipients share the very object.
    const difference = route === first.route ? null : compareRoutes(first.route, route, reversePath);
    if (difference !== null) return { kind: 'disagree', address: first.recipient.path, other: recipient.path, ...difference };
  }
  return first.route;
}

/** The first field in which two routes differ. */
export interface Difference {
  readonly field: RouteField;
  /** Both values, with "and" between them. */
  readonly detail: string;
}

/** Returns the first field in which two routes differ; null if one transaction can serve both. */
export function compareRoutes(a: Route, b: Route, reversePath: ReversePath): Difference | null {
  const sender = (route: Route) => printPath(route.errorsTo === undefined ? reversePath : route.errorsTo);
  const added = (route: Route) => printList(route.changes.add);
  const removed = (route: Route) => printList([...new Set(route.changes.remove.map((name) => name.toLowerCase()))].sort());
  return (
    compareHosts(a.hosts, b.hosts) ??
    compare('errors_to', sender(a), sender(b)) ??
    compare('headers_add', added(a), added(b)) ??
    compare('headers_remove', removed(a), removed(b))
  );
}

function compare(field: RouteField, a: string, b: string): Difference | null {
  return a === b ? null : { field, detail: `${a} and ${b}` };
}

/** Two lists are equal if they have equal hosts in the same order, because hosts are tried in that order. */
function compareHosts(a: readonly Smarthost[], b: readonly Smarthost[]): Difference | null {
  if (a === b) return null;
  const addresses = compare('hosts', printList(a.map(printComparable)), printList(b.map(printComparable)));
  if (addresses !== null) return addresses;
  for (const [i, host] of a.entries()) {
    const difference = comparePolicies(host, b[i] as Smarthost);
    if (difference !== null) return { ...difference, detail: `${difference.detail} for ${printSmarthost(host)}` };
  }
  return null;
}

/** The case of a host name does not count (RFC 4343 §2); the case of a socket's path does. */
function printComparable(host: Smarthost): string {
  return printSmarthost(host.scheme === 'unix' ? host : { ...host, host: host.host.toLowerCase() });
}

function comparePolicies(a: Smarthost, b: Smarthost): Difference | null {
  for (const key of Object.keys(a.tls) as (keyof TlsPolicy)[]) {
    const difference = compare('tls', `"${a.tls[key]}"`, `"${b.tls[key]}"`);
    if (difference !== null) return { ...difference, detail: `${key} ${difference.detail}` };
  }
  return (
    compareAuth(a.auth, b.auth) ??
    compareLinks(a.link ?? DIRECT, b.link ?? DIRECT) ??
    compare('ignore_extensions', ignoredBy(a), ignoredBy(b))
  );
}

/** The order does not count, because this is a set. */
const ignoredBy = ({ ignoreExtensions = [] }: Smarthost): string => printList([...ignoreExtensions].sort());

/** A host that is reached through another proxy may be another host of the same name. */
function compareLinks(a: Link, b: Link): Difference | null {
  const proxy = ({ proxy: policy }: Link) =>
    policy === null ? 'no proxy' : `${printProxy(policy)}${policy.user === '' ? '' : ` as user ${policy.user}`}`;
  const difference =
    compare('proxy', proxy(a), proxy(b)) ??
    compare('source_address', `"${a.sourceAddress}"`, `"${b.sourceAddress}"`) ??
    compare('family', `"${a.family}"`, `"${b.family}"`);
  if (difference !== null) return difference;
  const same = JSON.stringify(a.proxy?.secret) === JSON.stringify(b.proxy?.secret);
  return same ? null : { field: 'proxy', detail: `${proxy(a)} and the same with another password` };
}

function compareAuth(a: AuthPolicy | null, b: AuthPolicy | null): Difference | null {
  const who = (auth: AuthPolicy | null) => (auth === null ? 'no authentication' : `user ${auth.user}`);
  if (a === null || b === null || a.user !== b.user) return compare('auth', who(a), who(b));
  const same = printPolicy(a) === printPolicy(b);
  // The place that a password comes from may itself be a secret, so it is not named.
  return same ? null : { field: 'auth', detail: `${who(a)} and the same user with other secrets, mechanisms or allow_plaintext` };
}

/** Only for comparison, because it holds the secret. */
const printPolicy = ({ mechanisms, secret, isToken = false, allowPlaintext }: AuthPolicy): string =>
  JSON.stringify([mechanisms, secret, isToken, allowPlaintext]);

const printList = (items: readonly string[]): string => (items.length === 0 ? 'none' : items.map((item) => `"${item}"`).join(', '));
