/**
 * Makes the list of routers from the configuration: the configured routers, or one for each alias file, and the smart hosts as
 * the last router. Knows nothing of how a configuration is written.
 */

import type { RouterDefinition } from './route.ts';
import type { Smarthost } from './smarthost.ts';

/** The part of a configuration that routers are made from. */
export interface RouterConfig {
  readonly routers: readonly RouterDefinition[];
  readonly aliases: readonly string[];
  readonly smarthosts: readonly Smarthost[];
  readonly randomize: boolean;
}

/** Returns the routers as they are written, or those that alias files and smart hosts alone mean. */
export function withDefaults({ routers, aliases, smarthosts, randomize }: RouterConfig): readonly RouterDefinition[] {
  const any = { localParts: [], senders: [] };
  const files = routers.length > 0 ? [] : aliases;
  const redirects = files.map(
    (file, i): RouterDefinition => ({
      driver: 'redirect',
      name: i === 0 ? 'aliases' : `aliases${i + 1}`,
      ...any,
      domains: ['@'],
      file,
      data: null,
      forward: false,
      qualifyPreserveDomain: false,
      ifPresent: true,
    }),
  );
  if (smarthosts.length === 0) return [...routers, ...redirects];
  const last: RouterDefinition = {
    driver: 'manualroute',
    name: 'smarthosts',
    ...any,
    domains: [],
    hosts: smarthosts,
    randomize,
    changes: { add: [], remove: [] },
  };
  return [...routers, ...redirects, last];
}
