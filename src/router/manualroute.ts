/**
 * The `manualroute` router: accepts an address for its list of smart hosts. Looks up no host; `src/submit` does so at the
 * attempt.
 */

import type { ForwardPath } from '../smtp/path.ts';
import { expandField, hasNames } from './headers.ts';
import { readPreconditions } from './match.ts';
import type { ManualrouteDefinition, Route, RouteResult, Router, RouterFacts } from './route.ts';
import { printSmarthost } from './smarthost.ts';

/** `order` returns a permutation of 0…n-1, the same for every recipient of the message. */
export function makeManualrouteRouter(
  definition: ManualrouteDefinition,
  surroundings: RouterFacts,
  order: (n: number) => readonly number[],
): Router {
  const { name, hosts, randomize, errorsTo, changes } = definition;
  const precondition = readPreconditions(definition, surroundings.ours, surroundings.reversePath);
  const ordered = randomize ? order(hosts.length).map((i) => hosts[i] as (typeof hosts)[number]) : hosts;
  const detail = ordered.map(printSmarthost).join(', ');
  const isSame = !changes.add.some(hasNames);
  let same: RouteResult | undefined;

  function accept(path: ForwardPath): RouteResult {
    const add: string[] = [];
    for (const field of changes.add) {
      const expanded = expandField(field, path, surroundings.reversePath);
      if (!expanded.ok) return { kind: 'deferred', detail: `headers_add of router ${name}: ${expanded.detail}` };
      add.push(expanded.value);
    }
    const route: Route = { hosts: ordered, ...(errorsTo === undefined ? {} : { errorsTo }), changes: { add, remove: changes.remove } };
    return { kind: 'accepted', route, detail };
  }

  return {
    name,
    route(path) {
      const unmet = precondition(path);
      if (unmet !== null) return unmet;
      if (path.domain === '')
        return {
          kind: 'failed',
          detail: `${path.localPart} has no domain, and there is no default one: set qualify_recipient or qualify_domain`,
        };
      if (!isSame) return accept(path);
      same ??= accept(path);
      return same;
    },
  };
}
