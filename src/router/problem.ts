/**
 * Prints a routing problem as one sentence, in the words of Exim's `mua_wrapper` where it has them. Knows nothing of where it
 * is printed.
 */
import { printMailbox } from '../smtp/path.ts';
import { printable, utf8 } from '../smtp/text.ts';
import type { RoutingProblem } from './route.ts';

const YIELDED = {
  failed: 'a failed delivery',
  unrouteable: 'a failed delivery',
  deferred: 'a deferred delivery',
  'local delivery': 'a local delivery',
} as const;

/** More problems are only counted, because whoever mends the first ones looks again. */
const MOST_PROBLEMS = 100;

/** Returns the sentences of the first problems, and how many more there are. */
export function printProblems(problems: readonly RoutingProblem[]): readonly string[] {
  const sentences = problems.slice(0, MOST_PROBLEMS).map(printProblem);
  const others = problems.length - sentences.length;
  return others > 0 ? [...sentences, `and ${others} more`] : sentences;
}

/** Names the address as the caller gave it, the reason, and the addresses that led to it when it was redirected. */
export function printProblem(problem: RoutingProblem): string {
  if (problem.kind === 'disagree') {
    const { address, other, field, detail } = problem;
    return clean(
      `${printMailbox(address)} and ${printMailbox(other)} cannot go in one transaction, because their routes differ in ${field}: ${detail}`,
    );
  }
  const { kind, address, chain, detail } = problem;
  const reason = kind === 'unrouteable' ? `unrouteable address: ${detail}` : kind === 'local delivery' ? `to ${detail}` : detail;
  const way = chain.length > 1 ? ` (${chain.map(printMailbox).join(' → ')})` : '';
  return clean(`routing ${printMailbox(address)} yielded ${YIELDED[kind]}${reason === '' ? '' : `: ${reason}`}${way}`);
}

/** Reasons are text from files, so characters that a terminal would obey are made visible. 4,000 characters hold any chain. */
const clean = (text: string): string => printable(utf8(text), 4000);
