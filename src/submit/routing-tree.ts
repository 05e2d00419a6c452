/**
 * Prints a routing for people (`nospool route`, `sendmail -bt`, `-bv`) and for programs (`--json`): what each router did
 * with each address, the envelope that results, and the verdict. Knows neither how it was made nor where it goes;
 * prints no credential.
 */

import { printProblem, printProblems } from '../router/problem.ts';
import type { RoutingDone } from '../router/resolve.ts';
import type { RoutingNode, RoutingStep } from '../router/route.ts';
import { printSmarthost } from '../router/smarthost.ts';
import { printMailbox, printPath } from '../smtp/path.ts';

/** True if a message to all of the addresses would go out in one transaction, or to nobody on purpose. Exit status 0. */
export function isDeliverable({ problems }: RoutingDone): boolean {
  return problems.length === 0;
}

export function printRouting(routing: RoutingDone): readonly string[] {
  const out: string[] = [];
  for (const root of routing.tree) printNode(root, '', out);
  return [...out, '', ...printEnvelope(routing), ...printVerdict(routing)];
}

function printNode(node: RoutingNode, indent: string, out: string[]): void {
  out.push(`${indent}${printMailbox(node.path)}`);
  for (const step of node.steps) out.push(`${indent}  ${printStep(step)}`);
  for (const child of node.children) printNode(child, `${indent}    `, out);
}

/** The words between the router's name and the detail. */
const DID: Readonly<Record<RoutingStep['kind'], string>> = {
  skipped: 'skipped, ',
  declined: 'declined, ',
  redirected: 'redirected by ',
  accepted: 'accepted for ',
  discarded: 'discarded by ',
  failed: 'failed: ',
  deferred: 'deferred: ',
  'local delivery': 'local delivery to ',
  unrouteable: 'unrouteable: ',
  duplicate: 'duplicate, ',
};

function printStep({ router, kind, detail }: RoutingStep): string {
  return `${router === '' ? '' : `${router}: `}${detail === '' ? kind : `${DID[kind]}${detail}`}`;
}

function printEnvelope({ recipients, discarded, route, reversePath }: RoutingDone): string[] {
  const rows: [string, string][] = [];
  const add = (name: string, values: readonly string[]) => {
    for (const [i, value] of values.entries()) rows.push([i === 0 ? name : '', value]);
  };
  if (route !== null) {
    add('reverse-path', [printPath(route.errorsTo === undefined ? reversePath : route.errorsTo)]);
    add(
      'recipients',
      recipients.map(({ path }) => printMailbox(path)),
    );
    add('smart hosts', route.hosts.map(printSmarthost));
    add('adds', route.changes.add);
    add('removes', route.changes.remove);
  }
  add(
    'discarded',
    discarded.map(({ path }) => printMailbox(path)),
  );
  return rows.map(([name, value]) => `${name.padEnd(14)}${value}`);
}

function printVerdict({ recipients, discarded, route, problems }: RoutingDone): string[] {
  if (problems.length > 0) return ['nothing would be sent:', ...printProblems(problems).map((sentence) => `  ${sentence}`)];
  if (route !== null) return [`one transaction for ${recipients.length === 1 ? '1 recipient' : `${recipients.length} recipients`}`];
  return [discarded.length > 0 ? 'nothing would be sent: every recipient is discarded on purpose' : 'no recipient'];
}

/** The routing as plain data, for JSON.stringify. Addresses are as in printMailbox. */
export function routingJson(routing: RoutingDone): Readonly<Record<string, unknown>> {
  const { recipients, discarded, route, problems, tree, reversePath } = routing;
  const pair = ({ path, original }: (typeof recipients)[number]) => ({ address: printMailbox(path), original: printMailbox(original) });
  return {
    deliverable: isDeliverable(routing),
    reverse_path: printPath(route?.errorsTo === undefined ? reversePath : route.errorsTo).slice(1, -1),
    recipients: recipients.map(pair),
    discarded: discarded.map(pair),
    smarthosts:
      route === null ? [] : route.hosts.map((host) => ({ url: printSmarthost(host), tls: host.tls.mode, user: host.auth?.user ?? null })),
    headers_add: route?.changes.add ?? [],
    headers_remove: route?.changes.remove ?? [],
    problems: problems.map((problem) => ({
      kind: problem.kind,
      address: printMailbox(problem.address),
      ...(problem.kind === 'disagree'
        ? { other: printMailbox(problem.other), field: problem.field }
        : { chain: problem.chain.map(printMailbox), router: problem.router }),
      detail: problem.detail,
      text: printProblem(problem),
    })),
    tree: tree.map(nodeJson),
  };
}

function nodeJson({ path, steps, children }: RoutingNode): Readonly<Record<string, unknown>> {
  return { address: printMailbox(path), steps, children: children.map(nodeJson) };
}
