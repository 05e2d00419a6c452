/** Writes results as JSON, text and Markdown, and compares them with earlier ones. Knows no bench. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { drawChart } from './chart.ts';
import { ROOT } from './places.ts';
import type { Row, Spread } from './rounds.ts';
import type { Table } from './table.ts';

/** A goal as a sentence, and whether it holds in this run; null where it could not be measured here. */
export interface Claim {
  readonly text: string;
  /** `≤ 1.30`. */
  readonly wanted: string;
  readonly holds: boolean | null;
  readonly measured: string;
  /** The value that a floor of the same run reaches; printed where the goal does not hold. */
  readonly limit?: string;
}

/** A column of the summary: the medians of one measure by program. */
export interface Glance {
  readonly title: string;
  readonly digits: number;
  readonly values: readonly (readonly [string, number])[];
}

export interface Findings {
  readonly method: string;
  readonly tables: readonly Table[];
  readonly claims: readonly Claim[];
  readonly glance?: readonly Glance[];
  /** The versions of all programs that took part. */
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

/** BENCH_RESULTS keeps the results of a trial apart from those that are committed. */
const PUBLISHED = process.env.BENCH_RESULTS ?? path.join(ROOT, 'bench');
const RESULTS = path.join(PUBLISHED, 'results');

/** Processor, cores, memory and kernel, because a reader needs them to judge absolute numbers. Nothing here names the host. */
export function machine(): string {
  const [first] = os.cpus();
  const memory = Math.round(os.totalmem() / 2 ** 30);
  return `${first?.model.trim() ?? 'unknown processor'}, ${os.cpus().length} cores, ${memory} GiB, ${os.type()} ${/^\d+\.\d+/.exec(os.release())?.[0]}, Node ${process.versions.node}`;
}

/** The median of a row; undefined where it has none. */
export const medianOf = (table: Table | undefined, name: string, key: string): number | undefined =>
  table?.rows.find((row) => row.name === name)?.measures[key]?.median;

/** The ratio of two rows' medians; null when one of them has none. */
export function ratio(table: Table | undefined, name: string, base: string, key: string): number | null {
  const [a, b] = [medianOf(table, name, key), medianOf(table, base, key)];
  return a === undefined || b === undefined ? null : a / b;
}

/** The value of a floor in the same run, in the unit of the claim; null where it was not measured. */
export interface Floor {
  readonly name: string;
  readonly value: number | null;
}

/** A claim that a number is not over a limit, or not under one. `limit` is printed behind the floor's value. */
export function claim(
  text: string,
  value: number | null,
  bound: { readonly most: number } | { readonly least: number },
  { unit = '', floor, limit = '' }: { readonly unit?: string; readonly floor?: Floor; readonly limit?: string } = {},
): Claim {
  const [sign, edge] = 'most' in bound ? ['≤', bound.most] : ['≥', bound.least];
  const within = (measured: number): boolean => ('most' in bound ? measured <= edge : measured >= edge);
  const wanted = `${sign} ${edge.toFixed(2)}${unit}`;
  if (value === null) return { text, wanted, holds: null, measured: 'not measured here' };
  const reached = floor?.value ?? null;
  const told = [
    ...(floor && reached !== null
      ? [`${floor.name}: ${reached.toFixed(2)}${unit}, which ${within(reached) ? 'would meet the goal' : 'does not meet it either'}.`]
      : []),
    ...(limit === '' ? [] : [limit]),
  ].join(' ');
  return { text, wanted, holds: within(value), measured: `${value.toFixed(2)}${unit}`, ...(told === '' ? {} : { limit: told }) };
}

function baseOf(table: Table): Row | undefined {
  return table.rows.find((row) => row.name === table.base && row.runs > 0) ?? table.rows.find((row) => row.runs > 0);
}

const shown = (spread: Spread, digits: number): string => {
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) => value.toFixed(digits));
  return `${median} (${min}–${max})`;
};

/** The header and the lines of a table. A row that failed has two cells. */
export function cells(table: Table): string[][] {
  const base = baseOf(table);
  const header = ['', ...table.columns.flatMap(({ title, ratio: relative }) => (relative ? [title, `× ${base?.name ?? ''}`] : [title]))];
  const most = Math.max(...table.rows.map(({ runs }) => runs));
  const lines = table.rows.map((row) => {
    if (row.runs === 0) return [row.name, `failed: ${(row.failed ?? 'no run').slice(0, 160)}`];
    return [
      row.runs < most && row.name !== 'minimum' ? `${row.name} (${row.runs} ${row.runs === 1 ? 'run' : 'runs'})` : row.name,
      ...table.columns.flatMap(({ key, keys, digits, ratio: relative, single }) => {
        if (keys !== undefined)
          return [
            keys.some((each) => row.measures[each])
              ? keys.map((each) => row.measures[each]?.median.toFixed(digits) ?? '–').join(' / ')
              : '',
          ];
        const own = row.measures[key];
        const text = own ? (single ? own.median.toFixed(digits) : shown(own, digits)) : '';
        const reference = base?.measures[key]?.median;
        return relative ? [text, own && reference ? printRatio(own.median / reference) : ''] : [text];
      }),
    ];
  });
  return [header, ...lines];
}

/** Two digits behind the point, or more where a small number needs them. */
const printRatio = (value: number): string => (value >= 0.095 ? value.toFixed(2) : value.toPrecision(2));

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
  for (const { text, wanted, holds, measured, limit } of result.claims)
    lines.push(
      `${holds === null ? '  ?' : holds ? ' ok' : ' NO'}  ${text}: ${measured} (${wanted})${holds === false && limit ? `; ${limit}` : ''}`,
    );
  return `${lines.join('\n')}\n`;
}

/** Writes the result and its charts, and makes RESULTS.md anew from all results. */
export function publish(result: Result, order: readonly string[]): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(path.join(RESULTS, `${result.name}.json`), `${JSON.stringify(result, null, 1)}\n`);
  for (const file of readdirSync(RESULTS))
    if (file.startsWith(`${result.name}-`) && file.endsWith('.svg')) rmSync(path.join(RESULTS, file));
  result.tables.forEach((table, i) => {
    if (table.chart.length > 0) writeFileSync(path.join(RESULTS, `${result.name}-${i + 1}.svg`), drawChart(table));
  });
  const results = readdirSync(RESULTS)
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(path.join(RESULTS, file), 'utf8')) as Result)
    .sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const once = path.join(RESULTS, 'once.md');
  writeFileSync(path.join(PUBLISHED, 'RESULTS.md'), asMarkdown(results) + (existsSync(once) ? readFileSync(once, 'utf8') : ''));
}

export function asMarkdown(results: readonly Result[]): string {
  const machines = [...new Set(results.map((result) => result.machine))];
  const lines = [
    '# What was measured',
    '',
    'Written by `npm run bench`; the numbers are in `results/*.json`. Every number is a median, its least and greatest run in',
    'brackets. The cases of a table ran in turn, round after round, on the same machine, so the ratios mean more than the',
    'absolute numbers. Receiver and sender share its cores: a bare socket writer, which only says fixed commands and writes',
    'what it reads, is shown as the floor.',
    '',
    ...machines.map((machine) => `${machine}.`),
    '',
    '## The goals',
    '',
    ...goals(results),
    ...glances(results),
    '## Contents',
    '',
    ...results.map(({ title }) => `* [${title}](#${anchor(title)})`),
  ];
  for (const result of results) {
    lines.push('', `## ${result.title}`, '');
    lines.push(`\`npm run bench -- ${result.name}\`, ${result.date}, ${result.runs} runs${result.short ? ' (short form)' : ''}.`);
    if (machines.length > 1) lines.push(`${result.machine}.`);
    lines.push('', result.method, '', `${[...new Set(result.versions)].join(', ')}.`);
    result.tables.forEach((table, i) => {
      lines.push('', `### ${table.title}`, '', table.note, '');
      if (table.chart.length > 0) lines.push(`![${table.title}](results/${result.name}-${i + 1}.svg)`, '');
      lines.push(...markdownTable(cells(table)));
    });
  }
  return `${lines.join('\n')}\n`;
}

function goals(results: readonly Result[]): string[] {
  const claims = results.flatMap((result) => result.claims);
  const answer = (holds: boolean | null): string => (holds === null ? 'not measured' : holds ? 'yes' : '**no**');
  const limits = claims.flatMap(({ holds, text, limit }) => (holds === false && limit ? [`* **${text}**: ${limit}`] : []));
  return [
    ...markdownTable([
      ['goal', 'wanted', 'measured', 'holds'],
      ...claims.map(({ text, wanted, measured, holds }) => [text, wanted, measured, answer(holds)]),
    ]),
    '',
    ...(limits.length > 0
      ? [
          'Where a goal does not hold, what the floor reached in the same runs. Where that does not meet it either, the runtime is the limit.',
          '',
          ...limits,
          '',
        ]
      : []),
  ];
}

/** Programs in rows, in order of appearance. A cell is empty where one was not measured. */
function glances(results: readonly Result[]): string[] {
  const columns = results.flatMap((result) => result.glance ?? []);
  const names = [...new Set(columns.flatMap(({ values }) => values.map(([name]) => name)))];
  if (names.length === 0) return [];
  const value = (column: Glance, name: string): string => column.values.find(([each]) => each === name)?.[1].toFixed(column.digits) ?? '';
  return [
    '## At a glance',
    '',
    ...markdownTable([
      ['', ...columns.map(({ title }) => title)],
      ...names.map((name) => [name, ...columns.map((column) => value(column, name))]),
    ]),
    '',
  ];
}

function markdownTable([header, ...rows]: readonly (readonly string[])[]): string[] {
  if (header === undefined) return [];
  const line = (row: readonly string[]): string =>
    `| ${[...row, ...Array<string>(Math.max(0, header.length - row.length)).fill('')].map(cell).join(' | ')} |`;
  return [line(header), `|---${'|---:'.repeat(header.length - 1)}|`, ...rows.map(line)];
}

/** The anchor that renderers of Markdown give a heading. */
const anchor = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} -]/gu, '')
    .replaceAll(' ', '-');

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** The changes since an earlier result of the same bench. A difference counts when the two spreads do not touch. */
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

/** nospool's version and commit, for the list of versions. */
export function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).stdout?.trim();
  return `nospool ${version}${commit ? ` (${commit})` : ''}`;
}
