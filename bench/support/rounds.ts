/** Runs cases in turn, round after round, so that a disturbance of the machine hits all alike, and takes medians. Knows no case. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The measures of one run of a case, by name (`wall`, `rss`, …). */
export type Measures = Readonly<Record<string, number>>;

export interface Case {
  readonly name: string;
  /** The most rounds of a case whose measures hardly vary, or that takes long. */
  readonly most?: number;
  run(): Promise<Measures>;
}

export interface Row {
  readonly name: string;
  readonly runs: number;
  readonly measures: Readonly<Record<string, Spread>>;
  /** Why the case has no numbers. */
  readonly failed?: string;
}

export type Progress = (text: string) => void;

/** Milliseconds. A case whose runs take longer does at most FEW rounds, because its spread is small beside its distance from the others. */
const SLOW = 6000;
const FEW = 5;

/**
 * Runs every case once to warm up, then `runs` rounds, each of which begins with another case; for one round nothing is warmed up. A case
 * that fails is left out from then on.
 */
export async function runRounds(cases: readonly Case[], runs: number, progress: Progress, warmUp = true): Promise<Row[]> {
  const samples = cases.map((): Measures[] => []);
  const failed = cases.map((): string => '');
  const slow = cases.map(() => false);
  for (let round = warmUp && runs > 1 ? -1 : 0; round < runs; round++) {
    for (let i = 0; i < cases.length; i++) {
      const index = (i + Math.max(round, 0)) % cases.length;
      const each = cases[index] as Case;
      const most = Math.min(each.most ?? runs, slow[index] ? FEW : runs);
      if (failed[index] !== '' || round >= most) continue;
      progress(`${round < 0 ? 'warm-up' : `round ${round + 1} of ${runs}`}: ${each.name}`);
      const begun = performance.now();
      try {
        const sample = await each.run();
        slow[index] = performance.now() - begun > SLOW;
        if (round >= 0) samples[index]?.push(sample);
      } catch (error) {
        failed[index] = error instanceof Error ? error.message : String(error);
      }
    }
  }
  return cases.map(({ name }, i) => {
    const why = failed[i] as string;
    return { name, ...summary(why === '' ? (samples[i] as Measures[]) : []), ...(why === '' ? {} : { failed: why }) };
  });
}

export function summary(samples: readonly Measures[]): { readonly runs: number; readonly measures: Record<string, Spread> } {
  const measures: Record<string, Spread> = {};
  for (const name of Object.keys(samples[0] ?? {})) measures[name] = spread(samples.map((sample) => sample[name] as number));
  return { runs: samples.length, measures };
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(middle)] as number) + (sorted[Math.ceil(middle)] as number)) / 2;
  return { median, min: sorted[0] as number, max: sorted.at(-1) as number };
}
