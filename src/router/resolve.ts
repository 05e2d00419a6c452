/**
 * Leads from the addresses of a message to its final recipients and the one route that all of them share. Asks the routers in
 * their order for each address, follows redirects, drops duplicates, ends loops. Pure: it asks its caller for the text of
 * files, with one batch of questions for each generation of addresses.
 */

import { type ForwardPath, mailboxKey, qualify, type ReversePath } from '../smtp/path.ts';
import { agree, type RoutedTo } from './agree.ts';
import { cyclesOf } from './cycles.ts';
import { makeRoutingData, type RoutingData } from './data.ts';
import { makeManualrouteRouter } from './manualroute.ts';
import { makeRedirectRouter } from './redirect.ts';
import type {
  Route,
  RoutedRecipient,
  RouteResult,
  Router,
  RouterDefinition,
  RouterFacts,
  RoutingNode,
  RoutingProblem,
  RoutingStep,
} from './route.ts';
import type { Answer, Want } from './want.ts';

/** The part of the question that is the same for all recipients of a message. */
export interface RoutingRules extends RouterFacts {
  /** In the order in which they are asked (`withDefaults`). */
  readonly routers: readonly RouterDefinition[];
  /** Returns a permutation of 0…n-1 for `randomize`; it is called at most once for each n. */
  readonly shuffle: (n: number) => readonly number[];
}

/** The recipients of one message, with the rules for them. */
export interface RoutingQuestion extends RoutingRules {
  /** The recipients as the caller gave them, in order; bare ones are qualified with `qualifyRecipient`. */
  readonly recipients: readonly ForwardPath[];
}

/** The final recipients, their one route, and every problem. */
export interface RoutingDone {
  readonly kind: 'done';
  readonly reversePath: ReversePath;
  /** In the order of the tree, without duplicates. */
  readonly recipients: readonly RoutedRecipient[];
  /** The addresses that `:blackhole:` and `/dev/null` took; `path` is the address whose list said so. */
  readonly discarded: readonly RoutedRecipient[];
  /** null if there is a problem, or if no recipient is left. */
  readonly route: Route | null;
  /** If there is one, nothing may be sent to anybody. */
  readonly problems: readonly RoutingProblem[];
  /** One node for each address of the question. */
  readonly tree: readonly RoutingNode[];
}

/** The end of routing, or what it must know to go on. */
export type RoutingAnswer =
  | RoutingDone
  /** The caller answers every want; no want comes twice. */
  | { readonly kind: 'needs'; readonly wants: readonly Want[]; resume(answers: readonly Answer[]): RoutingAnswer };

/** Exim's limit, `route.c`: "more than 100 ancestors". */
const MOST_GENERATIONS = 100;
/** The most ways of different ancestry to one address of a loop; a loop of eight addresses that all name each other has 128. */
const MOST_WAYS = 256;
/**
 * The most steps that a message may spend on addresses that it has met before; new addresses cost nothing, however many there
 * are. Twenty lists of the same fifty thousand members cost two million steps, a loop of eight addresses that all name each
 * other costs one million. Three million steps take a few seconds.
 */
const MOST_STEPS = 3_000_000;
/** Each given recipient adds so many steps, because it may lead to that many addresses that others lead to, too. */
const STEPS_EACH = 100;
/** An address of a loop costs more, because it is compared with each of its ancestors and they are kept. */
const STEPS_BACK = 10;

/** Takes the first step. The same question and answers always give the same result. */
export function startRouting(question: RoutingQuestion): RoutingAnswer {
  return prepareRouting(question)(question.recipients);
}

/**
 * As startRouting, for recipients of one message that become known one after another. It makes the routers once, and keeps
 * nothing else from one question to the next.
 */
export function prepareRouting(rules: RoutingRules): (recipients: readonly ForwardPath[]) => RoutingAnswer {
  const routers = makeRouters(rules);
  return (recipients) =>
    routeOn({ ...rules, recipients }, routers, makeRoutingData(), {
      arrows: new Map(),
      count: 0,
      left: MOST_STEPS + STEPS_EACH * recipients.length,
    });
}

function makeRouters(rules: RoutingRules): readonly Router[] {
  const orders = new Map<number, readonly number[]>();
  const order = (n: number): readonly number[] => {
    const known = orders.get(n) ?? rules.shuffle(n);
    orders.set(n, known);
    return known;
  };
  return rules.routers.map((definition) =>
    definition.driver === 'redirect' ? makeRedirectRouter(definition, rules) : makeManualrouteRouter(definition, rules, order),
  );
}

/** The redirects of all passes by folded address, how many there are, and how many steps are left. */
interface Redirects {
  readonly arrows: Map<string, Set<string>>;
  count: number;
  left: number;
}

function routeOn(question: RoutingQuestion, routers: readonly Router[], data: RoutingData, redirects: Redirects): RoutingAnswer {
  for (;;) {
    const before = redirects.count;
    const found = explore(question, routers, data, redirects);
    if (found.wants.length > 0)
      return {
        kind: 'needs',
        wants: found.wants,
        resume(answers) {
          data.learn(answers);
          return routeOn(question, routers, data, redirects);
        },
      };
    // A pass that met new arrows may have met a loop that it did not know when it dropped duplicates.
    if (redirects.count === before || cyclesOf(redirects.arrows).size === 0) return conclude(question, found);
  }
}

/** One address on its way. `router` is the number of the router that redirected it, -1 before that. */
interface AddressVisit {
  readonly node: { readonly path: ForwardPath; readonly steps: RoutingStep[]; children: readonly RoutingNode[] };
  readonly parent: AddressVisit | null;
  readonly generation: number;
  readonly folded: string;
  router: number;
}

interface Explored {
  readonly tree: readonly RoutingNode[];
  readonly wants: readonly Want[];
  /** The router that accepted each address, and its route. */
  readonly accepting: ReadonlyMap<RoutingNode, { readonly router: string; readonly route: Route }>;
}

/**
 * Makes one pass over all that is known. It goes breadth first, so that it meets an address in its earliest generation and each
 * step asks for all that this generation needs.
 *
 * It drops an address that it has met before, with one exception. The result of an address depends on its ancestors only where
 * it can meet one of them again, which is on a loop: there each way to it counts as another address. So the recipients are the
 * same as in Exim, which follows every way and drops duplicates in the end (`list: a, b`, `a: b`, `b: a` leads to a and b), the
 * order of entries does not matter, and the work is in proportion to the number of redirects.
 *
 * Deviation: where loops lie within loops each alias doubles the ways, and Exim follows them all; here more than MOST_WAYS to
 * one address, or MOST_STEPS in all, are an error.
 */
function explore(question: RoutingQuestion, routers: readonly Router[], data: RoutingData, redirects: Redirects): Explored {
  const cycles = cyclesOf(redirects.arrows);
  const seen = new Set<string>();
  const ways = new Map<string, number>();
  const ids = new Map<string, number>();
  const queue: AddressVisit[] = [];
  const wanted = collectWants();
  const accepting = new Map<RoutingNode, { readonly router: string; readonly route: Route }>();
  const unrouteable = adviseUnrouteable(question);
  let isSpent = false;

  function enter(path: ForwardPath, parent: AddressVisit | null): RoutingNode {
    const generation = parent === null ? 0 : parent.generation + 1;
    const exact = mailboxKey(path);
    const folded = exact.toLowerCase();
    const loop = cycles.get(folded);
    if (loop === undefined ? seen.has(exact) : ways.has(folded)) redirects.left -= loop === undefined ? 1 : STEPS_BACK * (generation + 1);
    if (redirects.left < 0) {
      const steps = isSpent ? DUPLICATE : TOO_MANY_STEPS;
      isSpent = true;
      return { path, steps, children: NONE };
    }
    const node: AddressVisit['node'] = { path, steps: [], children: NONE };
    const visit: AddressVisit = { node, parent, generation, folded, router: -1 };
    const key = loop === undefined ? exact : `${exact} ${ancestryOf(visit, loop)}`;
    if (seen.has(key)) return { path, steps: DUPLICATE, children: NONE };
    seen.add(key);
    if (generation > MOST_GENERATIONS) return { path, steps: TOO_DEEP, children: NONE };
    if (loop !== undefined) {
      const count = (ways.get(folded) ?? 0) + 1;
      ways.set(folded, count);
      // The address is named once.
      if (count > MOST_WAYS) return { path, steps: count === MOST_WAYS + 1 ? TOO_MANY_WAYS : DUPLICATE, children: NONE };
    }
    queue.push(visit);
    return node;
  }

  /** Names the ancestors that an address can meet again: those of its own loop, and who redirected them. */
  function ancestryOf({ parent }: AddressVisit, loop: number): string {
    const met: string[] = [];
    for (let above = parent; above !== null; above = above.parent)
      if (cycles.get(above.folded) === loop) met.push(`${idOf(above.folded)}:${above.router}`);
    return met.sort().join(' ');
  }

  /** A number is shorter than the address, and it stands in many keys. */
  function idOf(folded: string): number {
    const known = ids.get(folded) ?? ids.size;
    ids.set(folded, known);
    return known;
  }

  function ask(visit: AddressVisit): void {
    const { node } = visit;
    for (const [i, { name, route }] of routers.entries()) {
      if (hasHandled(i, visit)) {
        node.steps.push({ router: name, kind: 'skipped', detail: 'has redirected this address before' });
        continue;
      }
      const result = route(node.path, data);
      if (result.kind === 'wanting') {
        wanted.add(result.wants);
        return;
      }
      node.steps.push({ router: name, kind: result.kind, detail: result.detail });
      if (result.kind === 'skipped' || result.kind === 'declined') continue;
      if (result.kind === 'accepted') accepting.set(node, { router: name, route: result.route });
      if (result.kind === 'redirected') redirect(visit, i, name, result);
      return;
    }
    node.steps.push(unrouteable(node.path));
  }

  function redirect(visit: AddressVisit, router: number, name: string, { to, locals }: Extract<RouteResult, { kind: 'redirected' }>): void {
    visit.router = router;
    for (const target of locals) visit.node.steps.push({ router: name, kind: 'local delivery', detail: target });
    const known = redirects.arrows.get(visit.folded) ?? new Set();
    redirects.arrows.set(visit.folded, known);
    visit.node.children = to.map((path) => {
      const folded = mailboxKey(path).toLowerCase();
      if (!known.has(folded)) redirects.count += 1;
      known.add(folded);
      return enter(path, visit);
    });
  }

  const tree = question.recipients.map((path) => enter(qualify(path, question.qualifyRecipient), null));
  for (const visit of queue) {
    if (isSpent) break;
    ask(visit);
  }
  return { tree, wants: isSpent ? [] : wanted.list(), accepting };
}

/** Exim's rule: a router is skipped for an address if it has redirected an ancestor with the same name. */
function hasHandled(router: number, { parent, folded }: AddressVisit): boolean {
  for (let above = parent; above !== null; above = above.parent) if (above.router === router && above.folded === folded) return true;
  return false;
}

const NONE: readonly RoutingNode[] = [];
/** Nodes share these steps, because there may be millions of nodes. */
const DUPLICATE: readonly RoutingStep[] = [{ router: '', kind: 'duplicate', detail: 'met before' }];
const TOO_DEEP: readonly RoutingStep[] = [
  {
    router: '',
    kind: 'deferred',
    detail: `routing loop: more than ${MOST_GENERATIONS} generations of redirects`,
  },
];
const TOO_MANY_WAYS: readonly RoutingStep[] = [
  {
    router: '',
    kind: 'deferred',
    detail: 'routing loop: too many aliases of one loop name each other',
  },
];

const TOO_MANY_STEPS: readonly RoutingStep[] = [
  {
    router: '',
    kind: 'deferred',
    detail: 'routing is given up, because lists and aliases lead to the same addresses too often: do they name each other?',
  },
];

export const NO_SMARTHOST = 'no smart host is configured: set smarthosts, or run "nospool init"';

function adviseUnrouteable({ routers }: RoutingQuestion): (path: ForwardPath) => RoutingStep {
  const hasHosts = routers.some(({ driver }) => driver === 'manualroute');
  const advice = (domain: string) =>
    hasHosts ? `no router takes it; set smarthosts, or a manualroute whose domains include "${domain}"` : NO_SMARTHOST;
  return ({ domain }) => ({ router: '', kind: 'unrouteable', detail: advice(domain) });
}

/** Collects wants: each once, and the keys of a file together. */
function collectWants(): { add(wants: readonly Want[]): void; list(): readonly Want[] } {
  const keys = new Map<string, Set<string>>();
  const others = new Map<string, Want>();
  return {
    add(wants) {
      for (const want of wants) {
        if (want.kind === 'include') others.set(`include ${want.file}\0${want.by}`, want);
        else if (want.kind === 'forward') others.set(`forward ${want.user}`, want);
        else {
          const known = keys.get(want.file) ?? new Set();
          keys.set(want.file, known);
          for (const key of want.keys) known.add(key);
        }
      }
    },
    list: () => [...[...keys].map(([file, wanted]): Want => ({ kind: 'aliases', file, keys: [...wanted] })), ...others.values()],
  };
}

function conclude(question: RoutingQuestion, { tree, accepting }: Explored): RoutingDone {
  const routed: RoutedTo[] = [];
  const discarded: RoutedRecipient[] = [];
  const problems: RoutingProblem[] = [];
  let givenUp: readonly RoutingProblem[] | null = null;
  const taken = new Set<string>();

  /** The recursion is at most MOST_GENERATIONS deep. */
  function walk(node: RoutingNode, above: readonly ForwardPath[]): void {
    const { path } = node;
    const chain = [...above, path];
    const original = chain[0] as ForwardPath;
    for (const { router, kind, detail } of node.steps)
      if (kind === 'discarded') discarded.push({ path, router, original });
      else if (kind === 'failed' || kind === 'deferred' || kind === 'local delivery' || kind === 'unrouteable')
        problems.push({ kind, address: original, chain, router, detail });
    if (node.steps === TOO_MANY_STEPS) givenUp = problems.slice(-1);
    const accepted = accepting.get(node);
    if (accepted !== undefined && !taken.has(mailboxKey(path))) {
      taken.add(mailboxKey(path));
      routed.push({ recipient: { path, router: accepted.router, original }, route: accepted.route });
    }
    for (const child of node.children) walk(child, chain);
  }
  for (const root of tree) walk(root, []);

  const agreed = agree(routed, question.reversePath);
  if (agreed !== null && 'kind' in agreed) problems.push(agreed);
  // The other problems are only a part of all that there would be.
  const told = givenUp ?? problems;
  return {
    kind: 'done',
    reversePath: question.reversePath,
    recipients: routed.map(({ recipient }) => recipient),
    discarded,
    route: told.length > 0 || agreed === null || 'kind' in agreed ? null : agreed,
    problems: told,
    tree,
  };
}
