/** Measures the reply reader and the header reader alone, beside the shortest code that could replace each. */
import type { Bench } from './support/bench.ts';
import { measureCost } from './support/measure.ts';
import { builtSources, inSupport } from './support/places.ts';
import { runRounds } from './support/rounds.ts';
import { node } from './support/runtimes.ts';
import type { Table } from './support/table.ts';

const KINDS: readonly {
  readonly title: string;
  readonly note: string;
  readonly base: string;
  readonly cases: readonly (readonly [string, string])[];
}[] = [
  {
    title: 'Replies',
    note: 'A session of five replies in one piece, or an octet at a time. The stand-in splits and looks for the last line of each, with no bound and no check.',
    base: 'split and a regular expression',
    cases: [
      ['nospool ReplyReader', 'replies'],
      ['nospool ReplyReader, by octet', 'replies by octet'],
      ['split and a regular expression', 'replies by split'],
    ],
  },
  {
    title: 'Header section',
    note: 'Forty-three fields, most of them folded, in one chunk. The stand-in splits at unfolded line ends, with no bound and no check.',
    base: 'split at a regular expression',
    cases: [
      ['nospool readHead', 'head'],
      ['split at a regular expression', 'head by split'],
    ],
  },
];

export const readers: Bench = {
  name: 'readers',
  title: 'The readers alone',
  async run({ runs, short, progress }) {
    const tables: Table[] = [];
    for (const { title, note, base, cases } of KINDS) {
      const each = cases.map(([name, kind]) => ({
        name,
        run: async () => {
          const argv = [process.execPath, inSupport('readers-child.mjs'), builtSources(), kind, short ? '100' : '500'];
          return JSON.parse((await measureCost({ argv })).output) as Record<string, number>;
        },
      }));
      const rows = await runRounds(each, runs, progress, false);
      const columns = [
        { key: 'rate', title: 'MB/s', digits: 1, ratio: true, more: true },
        { key: 'items', title: 'thousand replies or fields a second', digits: 0 },
      ];
      tables.push({ title, note, base, columns, chart: ['rate'], rows });
    }
    return {
      method: 'Each run in a process of its own, for half a second (a tenth in the short form) after as long a warm-up.',
      tables,
      claims: [],
      versions: [node.version],
    };
  },
};
