/**
 * `nospool route`: shows what each router does with an address, and where a message to all addresses would go. Connects to
 * no smart host, and asks name servers only with --resolve.
 */

import { parseOperands } from '../message/recipients.ts';
import { commandNames } from '../process/names.ts';
import { failWith, writeJson, writeLines } from '../process/stderr.ts';
import { printSmarthost, type Smarthost } from '../router/smarthost.ts';
import { chooseReversePath, domainsOf, routeRecipients } from '../submit/envelope.ts';
import { isDeliverable, printRouting, routingJson } from '../submit/routing-tree.ts';
import { endpointsOf, targetsOf } from '../transport/lookup/endpoints.ts';
import { parseFromOption } from './from-option.ts';
import { loadConfiguration } from './load-configuration.ts';

export interface RouteOptions {
  /** Path of a configuration file; '' = where sendmail looks. */
  readonly config: string;
  /** Reverse-path; null = the default one. */
  readonly from: string | null;
  readonly json: boolean;
  /** Look up the names and addresses of the route's smart hosts. */
  readonly resolve: boolean;
}

/** 0 when one message to all of the addresses would go out in one transaction. */
export async function runRoute(options: RouteOptions, operands: readonly string[]): Promise<number> {
  const paths = parseOperands(operands);
  if (!paths.ok) return failWith(paths.detail);
  if (paths.value.length === 0) return failWith('name an address: nospool route root');
  const given = parseFromOption(options.from);
  if (!given.ok) return failWith(given.detail);
  const loaded = await loadConfiguration(options.config);
  if (loaded === null) return 1;
  const { config, warnings } = loaded;
  const by = await loaded.submitter();
  const domains = domainsOf(config, by.hostname);
  const sender = chooseReversePath(config, domains, by.login, given.value);
  if (!sender.ok) return failWith(sender.detail);
  const routing = await routeRecipients(config, domains, sender.value.reversePath, paths.value);
  if (warnings.length > 0) failWith(...warnings);
  const hosts = options.resolve
    ? await Promise.all((routing.route?.hosts ?? []).map((host) => resolveHost(host, config.timeouts.resolve)))
    : null;
  if (options.json) writeJson({ ...routingJson(routing), ...(hosts ? { resolved: hosts } : {}) });
  else writeLines([...printRouting(routing), ...(hosts ?? []).flatMap((host) => ['', ...printResolved(host)])]);
  return isDeliverable(routing) ? 0 : 1;
}

/** The names and addresses of a smart host. */
export interface Resolved {
  readonly url: string;
  /** Why there are no MX or SRV records; null when they were found, or are not needed. */
  readonly problem: string | null;
  readonly names: readonly {
    readonly name: string;
    readonly port: number;
    readonly problem: string | null;
    readonly addresses: readonly string[];
  }[];
}

/** Asks the name servers, each for at most `within` milliseconds. */
async function resolveHost(host: Smarthost, within: number): Promise<Resolved> {
  const url = printSmarthost(host);
  const targets = await targetsOf(host, within, commandNames);
  if (!targets.ok) return { url, problem: targets.detail, names: [] };
  const names = targets.value.map(async (target) => {
    const found = await endpointsOf(target, within, commandNames);
    const { name, port } = target;
    return {
      name,
      port,
      problem: found.ok ? null : found.detail,
      addresses: found.ok ? found.value.map(({ address }) => address) : [],
    };
  });
  return { url, problem: null, names: await Promise.all(names) };
}

/** Prints the smart host, and below it each name with its addresses. */
export function printResolved({ url, problem, names }: Resolved): readonly string[] {
  const lines = problem === null ? [] : [problem];
  for (const { name, port, problem: unknown, addresses } of names) {
    const at = port === 0 ? name : `${name} port ${port}`;
    lines.push(unknown ?? `${at}: ${addresses.join(', ')}`);
  }
  return [url, ...lines.map((line) => `  ${line}`)];
}
