/** Checks a router's preconditions: whether it looks at an address. Knows nothing of what the router then does. */
import { type ForwardPath, printMailbox, type ReversePath } from '../smtp/path.ts';
import type { Preconditions, RouteResult } from './route.ts';

/** Returns the content of a local-part without the quotes that it needs on the wire. RFC 5321 §4.1.2 */
export function localPartContent(localPart: string): string {
  return localPart.startsWith('"') ? localPart.slice(1, -1).replace(/\\(.)/gs, '$1') : localPart;
}

const skipFor = (detail: string): RouteResult => ({ kind: 'skipped', detail });
const DOMAIN = skipFor('not for this domain');
const LOCAL_PART = skipFor('not for this local part');
const SENDER = skipFor('not for this sender');

/**
 * Prepares the preconditions for many addresses. The result says why the router does not look at an address, or null if it
 * does. `ours` are the domains, in lower case, that '@' stands for. Case never counts here, because
 * RFC 5321 §2.4 leaves the case of local-parts to the host that owns them, and we are that host.
 */
export function readPreconditions(
  { domains, localParts, senders }: Preconditions,
  ours: readonly string[],
  reversePath: ReversePath,
): (path: ForwardPath) => RouteResult | null {
  const inDomains = matchDomains(domains, ours);
  const locals = new Set(localParts.map((text) => text.toLowerCase()));
  const anyLocal = locals.size === 0 || locals.has('*');
  const sender = senders.length === 0 || senders.some((pattern) => matchesSender(pattern, reversePath));
  return (path) => {
    if (!inDomains(path.domain)) return DOMAIN;
    if (!anyLocal && !locals.has(localPartContent(path.localPart).toLowerCase())) return LOCAL_PART;
    return sender ? null : SENDER;
  };
}

/** A bare local-part has the domain ''. It is ours, because nobody else's address can be written so. */
function matchDomains(patterns: readonly string[], ours: readonly string[]): (domain: string) => boolean {
  const exact = new Set<string>();
  const suffixes: string[] = [];
  for (const pattern of patterns) {
    if (pattern === '@') for (const own of ['', ...ours]) exact.add(own.toLowerCase());
    else if (pattern.startsWith('*.')) suffixes.push(pattern.slice(1).toLowerCase());
    else exact.add(pattern.toLowerCase());
  }
  if (patterns.length === 0 || exact.has('*')) return () => true;
  return (domain) => {
    const lower = domain.toLowerCase();
    return exact.has(lower) || suffixes.some((suffix) => lower.endsWith(suffix));
  };
}

/** The null reverse-path belongs to nobody, so only `*` and an empty list let it pass. RFC 5321 §4.5.5 */
function matchesSender(pattern: string, reversePath: ReversePath): boolean {
  if (pattern === '*') return true;
  if (reversePath === null) return false;
  const sender = printMailbox(reversePath).toLowerCase();
  if (pattern.startsWith('*@')) return `*@${reversePath.domain.toLowerCase()}` === pattern.toLowerCase();
  return sender === pattern.toLowerCase();
}
