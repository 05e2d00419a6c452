/** A host made of texts: alias files, included lists, forward files; and routing in it, to the end. */

import { searchAliases } from '../../src/router/aliases.ts';
import { withDefaults } from '../../src/router/defaults.ts';
import { printProblem } from '../../src/router/problem.ts';
import { type RoutingDone, startRouting } from '../../src/router/resolve.ts';
import type { ManualrouteDefinition, RedirectDefinition, RouterDefinition } from '../../src/router/route.ts';
import { DEFAULT_TLS, type Smarthost } from '../../src/router/smarthost.ts';
import type { Answer, ReadList, Unread, Want } from '../../src/router/want.ts';
import { type ForwardPath, parseMailbox, parseReversePath, printMailbox } from '../../src/smtp/path.ts';
import { utf8 } from '../../src/smtp/text.ts';

export interface World {
  /** Path → text. */
  readonly aliases?: Readonly<Record<string, string | Unread>>;
  readonly includes?: Readonly<Record<string, string | Unread>>;
  readonly forwards?: Readonly<Record<string, string | Unread | ReadList>>;
  /** Default: /etc/aliases and one smart host, as where nothing is written. */
  readonly routers?: readonly RouterDefinition[];
  readonly smarthosts?: readonly Smarthost[];
  readonly randomize?: boolean;
  readonly sender?: string;
  readonly ours?: readonly string[];
  readonly qualifyRecipient?: string;
  readonly shuffle?: (n: number) => readonly number[];
}

export function host(name: string, more: Partial<Smarthost> = {}): Smarthost {
  return { scheme: 'smtp', host: name, port: 25, expand: 'none', tls: DEFAULT_TLS, auth: null, ...more };
}

export function redirect(more: Partial<RedirectDefinition> = {}): RedirectDefinition {
  return {
    driver: 'redirect',
    name: 'r1',
    domains: [],
    localParts: [],
    senders: [],
    file: '',
    data: null,
    forward: false,
    qualifyPreserveDomain: false,
    ifPresent: false,
    ...more,
  };
}

export function manualroute(more: Partial<ManualrouteDefinition> = {}): ManualrouteDefinition {
  return {
    driver: 'manualroute',
    name: 'r9',
    domains: [],
    localParts: [],
    senders: [],
    hosts: [host('hub.example')],
    randomize: false,
    changes: { add: [], remove: [] },
    ...more,
  };
}

export function mailbox(text: string): ForwardPath {
  const got = parseMailbox(text);
  if (!got.ok) throw new Error(`${text}: ${got.detail}`);
  return got.value;
}

/** Routes; `asked` gets the wants of each step. */
export function routeIn(world: World, recipients: readonly string[], asked: (readonly Want[])[] = []): RoutingDone {
  const sender = parseReversePath(world.sender ?? 'me@x.y');
  if (!sender.ok) throw new Error(sender.detail);
  const config = {
    routers: [],
    aliases: ['/etc/aliases'],
    smarthosts: world.smarthosts ?? [host('hub.example')],
    randomize: world.randomize ?? false,
  };
  let step = startRouting({
    routers: world.routers ?? withDefaults(config),
    recipients: recipients.map(mailbox),
    ours: world.ours ?? ['x.y', 'localhost'],
    qualifyRecipient: world.qualifyRecipient ?? 'x.y',
    reversePath: sender.value,
    shuffle: world.shuffle ?? ((n) => Array.from({ length: n }, (_, i) => i)),
  });
  while (step.kind === 'needs') {
    asked.push(step.wants);
    if (asked.length > 1000) throw new Error('routing does not end');
    step = step.resume(step.wants.map((want) => answer(world, want)));
  }
  return step;
}

function answer(world: World, want: Want): Answer {
  if (want.kind === 'aliases') {
    const text = world.aliases?.[want.file] ?? { kind: 'missing' as const };
    if (typeof text !== 'string') return { ...want, got: text };
    const search = searchAliases(want.keys);
    search.read(utf8(text));
    search.end();
    return { ...want, got: { kind: 'entries', entries: search.entries } };
  }
  const name = want.kind === 'include' ? want.file : want.user;
  const text = (want.kind === 'include' ? world.includes : world.forwards)?.[name] ?? { kind: 'missing' as const };
  return { ...want, got: typeof text === 'string' ? { kind: 'text', file: name, text } : text };
}

/** Final addresses in order, or the sentences of the problems. */
export function summary({ recipients, problems }: RoutingDone): readonly string[] {
  return problems.length > 0 ? problems.map(printProblem) : recipients.map(({ path }) => printMailbox(path));
}
