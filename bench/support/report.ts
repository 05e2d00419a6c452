/** Results as JSON, as text, as Markdown with charts, and compared with earlier ones. Knows no bench. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from './places.ts';
import type { Row, Spread } from './rounds.ts';

export interface Column {
  /** Name of the measure in the rows. */
  readonly key: string;
  readonly title: string;
  readonly digits: number;
  /** Also shown as a ratio to the base row. */
  readonly ratio?: boolean;
}

export interface Table {
  readonly title: string;
  /** What received, and whatever else is particular to this table. */
  readonly note: string;
  /** The row that ratios are to; the first row if it has no numbers here. */
  readonly base: string;
  readonly columns: readonly Column[];
  /** The measure that is drawn. */
  readonly chart: string;
  readonly rows: readonly Row[];
}

/** A sentence of the goals, and whether this run bears it out; null where it could not be measured here. */
export interface Claim {
  readonly text: string;
  readonly holds: boolean | null;
  readonly measured: string;
}

export interface Findings {
  readonly method: string;
  readonly tables: readonly Table[];
  readonly claims: readonly Claim[];
  /** Of everything that took part. */
  readonly versions: readonly string[];
}

export interface Result extends Findings {
  readonly name: string;
  readonly title: string;
  readonly date: string;
  readonly short: boolean;
  readonly runs: number;
  readonly machine: string;
}

const RESULTS = path.join(ROOT, 'bench/results');

/** Processor, cores, memory, kernel: what a reader needs to judge absolute numbers, and nothing that names the host. */
export function machine(): string {
  const [first] = os.cpus();
  const memory = Math.round(os.totalmem() / 2 ** 30);
  return `${first?.model.trim() ?? 'unknown processor'}, ${os.cpus().length} cores, ${memory} GiB, ${os.type()} ${os.release()}, Node ${process.versions.node}`;
}

/** The ratio of two rows' medians; null when one of them has none. */
export function ratio(table: Table, name: string, base: string, key: string): number | null {
  const of = (wanted: string): number | undefined => table.rows.find((row) => row.name === wanted)?.measures[key]?.median;
  const [a, b] = [of(name), of(base)];
  return a === undefined || b === undefined ? null : a / b;
}

/** A claim about a ratio that must not be over (or, with `least`, under) a limit. */
export function claim(text: string, value: number | null, limit: number, least = false): Claim {
  if (value === null) return { text, holds: null, measured: 'not measured here' };
  return { text, holds: least ? value >= limit : value <= limit, measured: `${value.toFixed(2)}` };
}

function baseOf(table: Table): Row | undefined {
  return table.rows.find((row) => row.name === table.base && row.runs > 0) ?? table.rows.find((row) => row.runs > 0);
}

const shown = (spread: Spread, digits: number): string => {
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) => value.toFixed(digits));
  return `${median} (${min}–${max})`;
};

function cells(table: Table): string[][] {
  const base = baseOf(table);
  const header = ['', ...table.columns.flatMap(({ title, ratio: relative }) => (relative ? [title, `× ${base?.name ?? ''}`] : [title]))];
  const most = Math.max(...table.rows.map(({ runs }) => runs));
  const lines = table.rows.map((row) => {
    if (row.runs === 0) return [row.name, `failed: ${(row.failed ?? 'no run').slice(0, 160)}`];
    return [
      row.runs < most && row.name !== 'minimum' ? `${row.name} (${row.runs} runs)` : row.name,
      ...table.columns.flatMap(({ key, digits, ratio: relative }) => {
        const own = row.measures[key];
        const text = own ? shown(own, digits) : '';
        const reference = base?.measures[key]?.median;
        return relative ? [text, own && reference ? (own.median / reference).toFixed(2) : ''] : [text];
      }),
    ];
  });
  return [header, ...lines];
}

export function asText(result: Result): string {
  const lines = [`${result.title} (${result.runs} runs${result.short ? ', short form' : ''})`];
  for (const table of result.tables) {
    const all = cells(table);
    const widths = (all[0] as string[]).map((_, column) =>
      Math.max(...all.filter((row) => row.length > 2).map((row) => row[column]?.length ?? 0)),
    );
    lines.push('', `${table.title}. ${table.note}`);
    for (const row of all)
      lines.push(`  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')}`.trimEnd());
  }
  if (result.claims.length > 0) lines.push('');
  for (const { text, holds, measured } of result.claims)
    lines.push(`${holds === null ? '  ?' : holds ? ' ok' : ' NO'}  ${text}: ${measured}`);
  return `${lines.join('\n')}\n`;
}

/** Writes the result and its charts, and RESULTS.md anew from all results that are there. */
export function publish(result: Result, order: readonly string[]): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(path.join(RESULTS, `${result.name}.json`), `${JSON.stringify(result, null, 1)}\n`);
  result.tables.forEach((table, i) => {
    writeFileSync(path.join(RESULTS, `${result.name}-${i + 1}.svg`), chart(table));
  });
  const results = readdirSync(RESULTS)
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(path.join(RESULTS, file), 'utf8')) as Result)
    .sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  writeFileSync(path.join(ROOT, 'bench/RESULTS.md'), asMarkdown(results));
}

function asMarkdown(results: readonly Result[]): string {
  const lines = [
    '# What was measured',
    '',
    'Written by `npm run bench`; the numbers are in `results/*.json`. Every number is a median, its least and greatest run in',
    'brackets; the cases of a table ran in turn, round after round, on the same machine, so the ratios mean more than the',
    'absolute numbers. Receiver and sender share its cores: a bare socket writer is shown as the floor where there is one.',
    '',
    '| goal | holds | measured |',
    '|---|---|---|',
    ...results.flatMap(({ claims }) =>
      claims.map(
        ({ text, holds, measured }) => `| ${text} | ${holds === null ? 'not measured' : holds ? 'yes' : '**no**'} | ${measured} |`,
      ),
    ),
  ];
  for (const result of results) {
    lines.push(
      '',
      `## ${result.title}`,
      '',
      `\`npm run bench -- ${result.name}\`, ${result.date}, ${result.runs} runs${result.short ? ' (short form)' : ''}. ${result.machine}.`,
    );
    lines.push('', result.method, '', `${result.versions.join(', ')}.`);
    result.tables.forEach((table, i) => {
      const [header, ...rows] = cells(table) as [string[], ...string[][]];
      lines.push('', `### ${table.title}`, '', table.note, '', `![${table.title}](results/${result.name}-${i + 1}.svg)`, '');
      lines.push(`| ${header.join(' | ')} |`, `|---${'|---:'.repeat(header.length - 1)}|`);
      for (const row of rows)
        lines.push(`| ${[...row, ...Array<string>(Math.max(0, header.length - row.length)).fill('')].map(cell).join(' | ')} |`);
    });
  }
  return `${lines.join('\n')}\n`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** Horizontal bars with the spread of the runs; readable on light and dark pages. */
function chart(table: Table): string {
  const column = table.columns.find(({ key }) => key === table.chart);
  const rows = table.rows.flatMap((row) => {
    const measure = row.measures[table.chart];
    return measure ? [{ name: row.name, ...measure }] : [];
  });
  const [left, width, height] = [210, 420, 24];
  const greatest = Math.max(...rows.map(({ max }) => max), 1e-9);
  const x = (value: number): string => ((value / greatest) * width).toFixed(1);
  const bars = rows.map(({ name, median, min, max }, i) => {
    const y = 34 + i * height;
    const own = name.startsWith('nospool') ? 'own' : name.startsWith('bare') || name.includes(' -e 0') ? 'floor' : 'peer';
    const middle = y + 8;
    return [
      `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${escaped(name)}</text>`,
      `<rect class="${own}" x="${left}" y="${y}" width="${x(median)}" height="16" rx="2"/>`,
      `<path class="spread" d="M${left} ${middle}m${x(min)} 0H${(left + Number(x(max))).toFixed(1)}"/>`,
      `<text class="value" x="${(left + Number(x(max)) + 6).toFixed(1)}" y="${y + 12}">${median.toFixed(column?.digits ?? 1)}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + width + 80} ${44 + rows.length * height}" font-family="system-ui, sans-serif" font-size="12">
<title>${escaped(table.title)}</title>
<style>text{fill:#333}.value{fill:#666}.title{font-weight:600}.own{fill:#2563eb}.peer{fill:#9ca3af}.floor{fill:#d1d5db}.spread{stroke:#111827;stroke-opacity:.6}
@media (prefers-color-scheme: dark){text{fill:#ddd}.value{fill:#aaa}.peer{fill:#6b7280}.floor{fill:#4b5563}.spread{stroke:#f9fafb}}</style>
<text class="title" x="4" y="18">${escaped(`${table.title}: ${column?.title ?? table.chart}`)}</text>
${bars.join('\n')}
</svg>
`;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** What changed since an earlier result of the same bench; a difference counts when the two spreads do not touch. */
export function difference(now: Result, file: string): string {
  if (!existsSync(file)) return `there is no earlier result ${file}\n`;
  const before = JSON.parse(readFileSync(file, 'utf8')) as Result;
  if (before.name !== now.name) return `${file} is a result of "${before.name}", not of "${now.name}"\n`;
  const lines = [
    `${now.title}: now against ${before.date}${before.machine === now.machine ? '' : ` (another machine: ${before.machine})`}`,
  ];
  for (const table of now.tables) {
    const earlier = before.tables.find(({ title }) => title === table.title);
    for (const row of table.rows) {
      for (const { key, title, digits } of table.columns) {
        const [a, b] = [earlier?.rows.find(({ name }) => name === row.name)?.measures[key], row.measures[key]];
        if (!a || !b) continue;
        const apart = a.max < b.min || b.max < a.min;
        const change = ((b.median / a.median - 1) * 100).toFixed(1);
        lines.push(
          `${apart ? '*' : ' '} ${table.title}, ${row.name}, ${title}: ${a.median.toFixed(digits)} → ${b.median.toFixed(digits)} (${change} %)`,
        );
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The project's own version and commit, for the list of versions. */
export function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).stdout?.trim();
  return `nospool ${version}${commit ? ` (${commit})` : ''}`;
}
