/**
 * Measures the phases of a delivery, and prints them as a waterfall for people. It looks on as an observer, and is loaded only where
 * somebody asked for it. Knows no descriptor and no word of a server.
 */
import type { Phase } from '../smtp/client/outcome.ts';
import type { Endpoint } from '../transport/lookup/target.ts';
import type { Observer } from '../transport/observer.ts';
import { type Outcome, printServer } from './outcome.ts';

/** `message`: it is read and routed. `others`: smart hosts and addresses that did not take it. `setup`: TLS is prepared, secrets are read, a proxy connects. */
type Row = 'message' | 'others' | 'resolve' | 'TCP' | 'setup' | 'greeting' | 'EHLO' | 'TLS' | 'AUTH' | 'envelope' | 'content' | 'verdict';

/** The row of each state; null: nothing is waited for there that is worth a line. */
// biome-ignore format: a table is read as a table
const ROWS: Readonly<Record<Phase, Row | null>> = {
  greeting:  'greeting',
  hello:     'EHLO',
  starttls:  'TLS',
  handshake: 'TLS',
  auth:      'AUTH',
  ready:     'envelope',
  envelope:  'envelope',
  data:      'envelope',
  content:   'content',
  commit:    'verdict',
  noop:      null,
  reset:     null,
  quit:      null,
  closed:    null,
};

/** From and to, in milliseconds since the beginning. */
type Span = readonly [from: number, to: number];

export interface Waterfall {
  readonly observer: {
    readonly [event in 'resolving' | 'dialing' | 'connected' | 'unconnected' | 'entered' | 'settled']: NonNullable<Observer[event]>;
  };
  /** Prints the phases, one a line, each shorter than `columns`; [] where no smart host was asked. */
  readonly print: (outcome: Outcome, columns: number) => readonly string[];
}

/** Begins to measure. `now` is a clock in milliseconds. */
export function startWaterfall(now: () => number = () => performance.now()): Waterfall {
  const start = now();
  const since = (): number => now() - start;
  /** The phases of the attempt that is under way, or the last one. */
  let spans = new Map<Row, Span[]>();
  let lost: Span[] = [];
  let current: Row | null = 'message';
  let from = 0;
  /** When the attempt began, and when it first dialed. */
  let begun = 0;
  let dialed: number | null = null;
  const dials = new Map<Endpoint, number>();
  let isOver = false;
  /** Milliseconds at the outcome; null before. */
  let ended: number | null = null;

  function enter(row: Row | null, at = since()): void {
    if (row === current) return;
    if (current !== null) spans.set(current, [...(spans.get(current) ?? []), [from, at]]);
    current = row;
    from = at;
  }
  /** Time that was spent for another host or address; what lies within it is no loss of its own. */
  function lose(since: number, to: number): void {
    lost = [...lost.filter(([at]) => at < since), [since, to]];
  }
  /** The attempt has failed. What is known of its phases stays until another begins. */
  function fail(): void {
    ended = since();
    enter(null, ended);
    isOver = true;
  }
  /** Begins another attempt behind one that failed. The time for the look-up of a name counts for each of its addresses. */
  function restart(kept: readonly Row[], lostFrom: number): void {
    lose(lostFrom, since());
    spans = new Map([...spans].filter(([row]) => kept.includes(row)));
    dialed = null;
    isOver = false;
  }

  return {
    observer: {
      resolving() {
        if (isOver) restart(['message'], begun);
        enter('resolve');
        begun = from;
      },
      dialing(endpoint) {
        if (isOver) restart(['message', 'resolve'], dialed ?? begun);
        const at = since();
        dials.set(endpoint, at);
        if (dialed !== null) return;
        dialed = at;
        enter('TCP', at);
      },
      connected(endpoint) {
        // Attempts race: what went before the one that has won was lost.
        const own = dials.get(endpoint) ?? from;
        if (own > from) lose(from, own);
        from = own;
        enter('setup');
      },
      unconnected: fail,
      entered(at) {
        if (!isOver) enter(ROWS[at]);
      },
      settled(outcome) {
        if (outcome.kind === 'failed') return fail();
        ended = since();
        enter(null, ended);
      },
    },
    print(outcome, columns) {
      const end = ended ?? since();
      if (current !== null) enter(null, end);
      if (spans.size < 2) return [];
      const rows: (readonly [Row, readonly Span[]])[] = [...spans].filter(([row, all]) => row !== 'setup' || total(all) >= 1);
      if (lost.length > 0) rows.push(['others', lost]);
      rows.sort(([, [a]], [, [b]]) => (a?.[0] ?? 0) - (b?.[0] ?? 0));
      return printWaterfall(serverOf(outcome), rows, end, columns);
    },
  };
}

const total = (spans: readonly Span[]): number => spans.reduce((sum, [from, to]) => sum + to - from, 0);

/** The server that took the message, or the one that was asked last; '' where there was none. */
function serverOf(outcome: Outcome): string {
  if (outcome.kind === 'discarded') return '';
  const server = outcome.kind === 'accepted' ? outcome.by : outcome.attempts.at(-1);
  return server === undefined ? '' : printServer(server);
}

const LABEL_WIDTH = 9;
/** A longer bar tells no more. */
const LONGEST_BAR = 48;
/** A shorter bar tells nothing. */
const SHORTEST_BAR = 8;

/** Every line ends before the last column, behind which some terminals begin a new line. */
function printWaterfall(
  server: string,
  rows: readonly (readonly [Row, readonly Span[]])[],
  end: number,
  columns: number,
): readonly string[] {
  const width = end.toFixed(1).length;
  const bar = Math.min(LONGEST_BAR, columns - 1 - LABEL_WIDTH - width - ' ms  '.length);
  const lead = (label: string, milliseconds: number): string => `${label.padEnd(LABEL_WIDTH)}${milliseconds.toFixed(1).padStart(width)} ms`;
  const lines = rows.map(
    ([row, spans]) => lead(row, total(spans)) + (bar < SHORTEST_BAR ? '' : `  ${printBar(spans, end, bar)}`.trimEnd()),
  );
  const title = server === '' ? 'time:' : `time at ${server}:`;
  return [title, ...lines, lead('total', end)].map((line) =>
    line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`,
  );
}

/** Each span is at least one mark, where it stands in the whole. */
function printBar(spans: readonly Span[], end: number, width: number): string {
  const cells = Array.from({ length: width }, () => ' ');
  const scale = end > 0 ? width / end : 0;
  for (const [from, to] of spans) {
    const first = Math.min(width - 1, Math.round(from * scale));
    cells.fill('#', first, Math.max(first + 1, Math.min(width, Math.round(to * scale))));
  }
  return cells.join('');
}
