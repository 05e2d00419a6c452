/**
 * What an input reaches, by the runtime's own precise counts: which characters of the sources ran, and about how often. Knows no
 * input and no reader.
 *
 * The counts are those of one file, into which `run.mjs` has put everything, with a comment before each source; only sources of
 * the program count, not those of the tests.
 */
import { Session } from 'node:inspector';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface Script {
  readonly url: string;
  readonly functions: readonly { readonly functionName: string; readonly ranges: readonly Range[] }[];
}

export interface Coverage {
  /** Forgets what ran so far, and with `all` also what is remembered. */
  reset(all?: boolean): void;
  /** True if a character has run since `reset` that never had before. Remembers nothing. */
  hasNew(): boolean;
  /** How many characters have run since `reset` that never had, or in another order of magnitude than ever. Remembers them. */
  takeNew(): number;
  /** A number that stands for all that has run since `reset`, and how often. */
  takeSum(): number;
  /** Characters of the sources that have run, and how many there are. */
  readonly reached: number;
  readonly total: number;
}

/** The bit of an order of magnitude: 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, and more. */
function bitOf(count: number): number {
  if (count < 4) return count === 3 ? 4 : count;
  if (count < 8) return 8;
  if (count < 16) return 16;
  if (count < 32) return 32;
  return count < 128 ? 64 : 128;
}

/** Offsets of the program's own sources in the text of the one file. */
function findSources(text: string): readonly (readonly [number, number])[] {
  const starts = [...text.matchAll(/^\/\/ (\S+\.[mc]?[jt]s)$/gm)].map((match) => ({ at: match.index, file: match[1] as string }));
  return starts
    .map(({ at, file }, i) => ({ file, range: [at, starts[i + 1]?.at ?? text.length] as const }))
    .filter(({ file }) => /^src\//.test(file))
    .map(({ range }) => range);
}

/** `url` and `text` are those of the one file. Counting goes on until the process ends. */
export function startCoverage(url: string, text: string): Coverage {
  const session = new Session();
  session.connect();
  const ask = (method: 'Profiler.enable' | 'Profiler.startPreciseCoverage' | 'Profiler.takePreciseCoverage', params = {}): unknown => {
    let answer: unknown;
    session.post(method, params, (error: Error | null, result?: object) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  };
  ask('Profiler.enable');
  ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const take = (): Script['functions'] =>
    (ask('Profiler.takePreciseCoverage') as { result: readonly Script[] }).result.find((script) => script.url === url)?.functions ?? [];

  const sources = findSources(text);
  const isSource = new Uint8Array(text.length);
  for (const [from, to] of sources) isSource.fill(1, from, to);
  const seen = new Uint8Array(text.length);
  const counts = new Uint32Array(text.length);
  let reached = 0;

  /** Calls back with each character that ran, and the bit of its count; the callback says whether to go on. */
  function visit(each: (at: number, bit: number) => boolean): void {
    for (const { ranges } of take()) {
      const [whole] = ranges;
      // The whole file is a function, too, which ran once.
      if (whole === undefined || whole.startOffset === 0 || isSource[whole.startOffset] === 0) continue;
      if (whole.count === 0) continue;
      for (const { startOffset, endOffset, count } of ranges) counts.fill(count, startOffset, endOffset);
      for (let at = whole.startOffset; at < whole.endOffset; at++) if (counts[at] !== 0 && !each(at, bitOf(counts[at] as number))) return;
    }
  }

  return {
    reset(all = false) {
      take();
      if (!all) return;
      seen.fill(0);
      reached = 0;
    },
    hasNew() {
      let isNew = false;
      visit((at) => {
        isNew = seen[at] === 0;
        return !isNew;
      });
      return isNew;
    },
    takeNew() {
      let found = 0;
      visit((at, bit) => {
        const known = seen[at] as number;
        if ((known & bit) !== 0) return true;
        found++;
        if (known === 0) reached++;
        seen[at] = known | bit;
        return true;
      });
      return found;
    },
    takeSum() {
      let sum = 17;
      visit((at, bit) => {
        sum = Math.imul(sum ^ at, 0x01000193) ^ bit;
        return true;
      });
      return sum;
    },
    get reached() {
      return reached;
    },
    total: sources.reduce((sum, [from, to]) => sum + to - from, 0),
  };
}
