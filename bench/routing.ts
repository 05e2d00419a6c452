/** Measures routing alone, at the promised sizes: many recipients, a large alias file, a large alias. */
import type { Bench } from './support/bench.ts';
import { measureCost } from './support/measure.ts';
import { builtSources, inCache, inSupport } from './support/places.ts';
import { runRounds } from './support/rounds.ts';
import { node } from './support/runtimes.ts';

/** Name, the child's argument. */
const SCENARIOS: readonly (readonly [string, string])[] = [
  ['1 recipient, 10 aliases', 'no alias'],
  ['50,000 recipients elsewhere', 'many elsewhere'],
  ['1 recipient in 1,000,000 aliases', 'one in a million'],
  ['a chain of four in 1,000,000 aliases', 'a chain of four'],
  ['50,000 recipients in 1,000,000 aliases', 'many in a million'],
  ['an alias of 20,000 addresses', 'an alias of addresses'],
  ['an alias of 20,000 aliases', 'an alias of aliases'],
  ['newaliases, 1,000,000 aliases', 'newaliases'],
];
/** The first so many read no large file. */
const SHORT = 2;

export const routing: Bench = {
  name: 'routing',
  title: 'Routing alone',
  async run({ runs, short, progress }) {
    const cases = SCENARIOS.slice(0, short ? SHORT : undefined).map(([name, scenario]) => ({
      name,
      run: async () => {
        const file = inCache(`routing-${scenario.replaceAll(' ', '-')}`);
        return JSON.parse(
          (await measureCost({ argv: [...node.argv, inSupport('routing-child.mjs'), builtSources(), scenario, file] })).output,
        ) as Record<string, number>;
      },
    }));
    const rows = await runRounds(cases, runs, progress);
    return {
      method: 'In a fresh process each, from the parsed recipients to the final ones; the alias file is read within that time.',
      tables: [
        {
          title: 'Recipients and aliases',
          note: 'No receiver: nothing is sent. The peak is that of the whole process, the runtime included.',
          base: '',
          columns: [
            { key: 'file', title: 'alias file, MiB', digits: 1, single: true },
            { key: 'took', title: 'ms', digits: 1 },
            { key: 'peak', title: 'peak RSS, MiB', digits: 1 },
          ],
          chart: ['took'],
          rows,
        },
      ],
      claims: [],
      versions: [node.version],
    };
  },
};
