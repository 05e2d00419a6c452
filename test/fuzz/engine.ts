/**
 * Tries inputs on a reader until the time is over: old ones changed a little, and those that reach something new are changed
 * further. Knows no reader.
 */
import type { Dice } from '../faults/support/worlds/time.ts';
import { printInput } from './corpus.ts';
import type { Coverage } from './coverage.ts';
import { mutate, shorten } from './mutate.ts';
import type { Reader } from './reader.ts';

export interface Failure {
  readonly input: string;
  readonly message: string;
}

export interface Fuzzed {
  readonly runs: number;
  /** Inputs that reach something that no shorter one before them reached. */
  readonly kept: readonly string[];
  readonly failures: readonly Failure[];
  /** Milliseconds of the slowest run, and its input. */
  readonly slowest: { readonly milliseconds: number; readonly input: string };
}

/** Inputs that are tried between two looks at what they reached: a look costs as much as some of them. */
const BATCH = 128;
/** Of each batch so many are looked at one by one, because only so the order of magnitude of a count shows. */
const ALONE = 2;
/** Failures of a reader after which it is not tried any more. */
const MOST_FAILURES = 20;
/** Shorter inputs that are tried in place of one that is kept, or that fails. */
const TRIALS = { kept: 16, failed: 600 };

export interface Fuzzing {
  readonly reader: Reader;
  readonly corpus: readonly string[];
  readonly dice: Dice;
  readonly coverage: Coverage;
  /** By performance.now(). */
  readonly until: number;
  /** Hears of each input before it is tried. */
  readonly watch: (input: string) => void;
}

export async function fuzz({ reader, corpus, dice, coverage, until, watch }: Fuzzing): Promise<Fuzzed> {
  let runs = 0;
  let slowest = { milliseconds: 0, input: '' };
  const kept: string[] = [];
  const failures = new Map<string, Failure>();

  /** Returns what an input fails with; null when it does not. */
  async function attempt(input: string): Promise<string | null> {
    runs++;
    watch(input);
    const begun = performance.now();
    try {
      await reader.run(input);
      return null;
    } catch (error) {
      return explain(error);
    } finally {
      const milliseconds = performance.now() - begun;
      if (milliseconds > slowest.milliseconds) slowest = { milliseconds, input };
    }
  }

  async function note(input: string, message: string): Promise<void> {
    const kind = kindOf(message);
    if (failures.has(kind)) return;
    failures.set(kind, { input, message });
    const short = await shortest(
      input,
      async (candidate) => {
        const again = await attempt(candidate);
        return again !== null && kindOf(again) === kind;
      },
      TRIALS.failed,
    );
    const found = { input: short, message: (await attempt(short)) ?? message };
    failures.set(kind, found);
    console.log(`${reader.name}: ${printInput(found.input)}\n${found.message}`);
  }

  /** Tries an input alone, and keeps it where it shows something new, in its shortest form unless that is known. */
  async function examine(input: string, isShort = false): Promise<void> {
    coverage.reset();
    const message = await attempt(input);
    if (message !== null) return note(input, message);
    if (coverage.takeNew() === 0) return;
    if (isShort) return void kept.push(input);
    coverage.reset();
    await attempt(input);
    const sum = coverage.takeSum();
    const showsTheSame = async (candidate: string): Promise<boolean> => {
      coverage.reset();
      return (await attempt(candidate)) === null && coverage.takeSum() === sum;
    };
    kept.push(await shortest(input, showsTheSame, TRIALS.kept));
  }

  /** Tries inputs together, and finds those that reach something new by halves. */
  async function tryAll(inputs: readonly string[]): Promise<void> {
    coverage.reset();
    for (const input of inputs) {
      const message = await attempt(input);
      if (message !== null) await note(input, message);
    }
    if (!coverage.hasNew()) return;
    const half = inputs.length >> 1;
    if (half === 0) return examine(inputs[0] as string);
    await tryAll(inputs.slice(0, half));
    await tryAll(inputs.slice(half));
  }

  const isOver = (): boolean => performance.now() >= until || failures.size >= MOST_FAILURES;
  coverage.reset(true);
  for (const input of [...reader.seeds, ...corpus]) await examine(input, true);
  if (kept.length === 0) kept.push('');
  while (!isOver()) {
    // Half of the time it is one of the latest, because those have been tried least.
    const choose = (): string =>
      dice.isIn(0.5) ? dice.one(kept) : (kept[kept.length - 1 - dice.below(Math.min(kept.length, 20))] as string);
    const draw = (): string => mutate(dice, choose(), dice.one(kept), reader.words);
    await tryAll(Array.from({ length: BATCH }, draw));
    for (let i = 0; i < ALONE && !isOver(); i++) await examine(draw());
  }
  return { runs, kept, failures: [...failures.values()], slowest };
}

async function shortest(input: string, isRight: (candidate: string) => Promise<boolean>, trials: number): Promise<string> {
  let best = input;
  let left = trials;
  for (let isShorter = true; isShorter && left > 0; ) {
    isShorter = false;
    for (const candidate of shorten(best)) {
      if (left-- <= 0) break;
      if (!(await isRight(candidate))) continue;
      best = candidate;
      isShorter = true;
      break;
    }
  }
  return best;
}

/** The message of an error, and where it came from. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  return `${error.name}: ${error.message.slice(0, 2000)}\n${(error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 6)
    .join('\n')}`;
}

/** Failures of one place are one: only the text before the first value, and the line of the program, tell them apart. */
function kindOf(message: string): string {
  const place = /^\s+at .*?((?:src|readers)\/[\w/.-]+:\d+)/m.exec(message)?.[1] ?? '';
  return `${message.split('\n', 1)[0]?.slice(0, 40)} ${place}`;
}

/** Of these inputs those that are worth keeping: the shortest of those that reach each character, then of each order of magnitude. */
export async function distil(reader: Reader, inputs: readonly string[], coverage: Coverage, room: number): Promise<readonly string[]> {
  const sorted = [...new Set(inputs)].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  const chosen = new Set<string>();
  let left = room;
  coverage.reset(true);
  for (const isOnlyNew of [true, false])
    for (const input of sorted) {
      const size = printInput(input).length + 1;
      if (chosen.has(input) || size > left) continue;
      coverage.reset();
      await reader.run(input);
      if (isOnlyNew && !coverage.hasNew()) continue;
      if (isOnlyNew) {
        coverage.reset();
        await reader.run(input);
      }
      if (coverage.takeNew() === 0) continue;
      chosen.add(input);
      left -= size;
    }
  return sorted.filter((input) => chosen.has(input));
}
