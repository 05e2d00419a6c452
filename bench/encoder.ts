/** Measures the content encoder alone: its rate when warm, and its first octets in a process. */
import { writeFileSync } from 'node:fs';
import type { Bench } from './support/bench.ts';
import { bodyBlock, type Shape } from './support/material.ts';
import { measureCost } from './support/measure.ts';
import { builtSources, inCache, inSupport } from './support/places.ts';
import { type Claim, claim, medianOf, ratio } from './support/report.ts';
import { type Case, runRounds } from './support/rounds.ts';
import { node } from './support/runtimes.ts';
import type { Table } from './support/table.ts';

const SHAPES: readonly [Shape, string][] = [
  ['lf', 'base64 lines with LF'],
  ['crlf', 'base64 lines with CRLF'],
  ['dotted', 'uneven lines with LF, one of a hundred with a dot'],
];
/** Name, the child's argument, flags for the runtime. */
const KINDS: readonly [string, string, string[]][] = [
  ['memcpy (TypedArray.set)', 'copy', []],
  ['nospool kernel, read in place', 'kernel', []],
  ['nospool kernel, chunk copied in', 'kernel-copy', []],
  ['nospool contentEncoder', 'plain', []],
  ['nospool contentEncoder, --jitless', 'plain', ['--jitless']],
  ['byte loop', 'loop', []],
];

export const encoder: Bench = {
  name: 'encoder',
  title: 'The content encoder alone',
  async run({ runs, short, progress }) {
    const tables: Table[] = [];
    const sources = builtSources();
    for (const [shape, what] of SHAPES.slice(0, short ? 1 : undefined)) {
      const file = inCache(`block-${shape}`);
      writeFileSync(file, bodyBlock(shape));
      const child =
        (kind: string, flags: readonly string[], mode: string): Case['run'] =>
        async () => {
          const argv = [process.execPath, ...flags, inSupport('encoder-child.mjs'), sources, kind, mode, file, short ? '100' : '500'];
          return JSON.parse((await measureCost({ argv })).output) as Record<string, number>;
        };
      const cases = KINDS.map(([name, kind, flags]) => ({ name, run: child(kind, flags, 'warm') }));
      const rows = await runRounds(cases, runs, progress, false);
      const columns = [{ key: 'rate', title: 'MB/s', digits: 0, ratio: true, more: true }];
      tables.push({
        title: `Warm: ${what}`,
        note: 'In 64 KiB chunks of a mebibyte, each run in a process of its own, for half a second (a tenth in the short form) after as long a warm-up.',
        base: 'memcpy (TypedArray.set)',
        columns,
        // A chart of the other shapes would look the same.
        chart: shape === 'lf' ? ['rate'] : [],
        rows,
      });
      if (shape !== 'lf' || short) continue;
      const cold = KINDS.map(([name, kind, flags]) => ({ name, run: child(kind, flags, 'cold') }));
      const colder = await runRounds(cold, runs, progress, false);
      tables.push({
        title: 'Cold: the first octets of a process',
        note: 'Microseconds from the first call: making the encoder, the first 2 KiB, and the next 64 KiB and 256 KiB.',
        base: 'nospool contentEncoder',
        columns: [
          { key: 'make', title: 'made, µs', digits: 0 },
          { key: 'short', title: '2 KiB, µs', digits: 0 },
          { key: 'middle', title: '64 KiB, µs', digits: 0 },
          { key: 'long', title: '256 KiB, µs', digits: 0 },
          { key: 'all', title: 'all, µs', digits: 0, ratio: true },
        ],
        chart: ['all'],
        rows: colder,
      });
    }
    return {
      method:
        'Line ends to CRLF, dots doubled, size, 8-bit, NUL and longest line counted. The byte loop is the obvious one, written into a reused buffer, without the counts.',
      tables,
      claims: claims(tables),
      versions: [node.version],
    };
  },
};

function claims([lf]: readonly Table[]): Claim[] {
  const rate = medianOf(lf, 'nospool kernel, read in place', 'rate');
  return [
    claim('The kernel alone', rate === undefined ? null : rate / 1000, { least: 5 }, { unit: ' GB/s' }),
    claim(
      'The kernel against the encoder in JavaScript: rate',
      ratio(lf, 'nospool kernel, read in place', 'nospool contentEncoder', 'rate'),
      { least: 10 },
      { unit: ' ×' },
    ),
  ];
}
