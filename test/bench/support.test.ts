/** Rounds, spreads, ratios, reports, and the least number of round trips. Measures no time. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import { glance } from '../../bench/support/bench.ts';
import { axisEnd, drawChart } from '../../bench/support/chart.ts';
import { flights } from '../../bench/support/flights.ts';
import { execOf } from '../../bench/support/installed.ts';
import { measureCost } from '../../bench/support/measure.ts';
import { native } from '../../bench/support/native.ts';
import { asMarkdown, asText, cells, claim, difference, type Result, ratio } from '../../bench/support/report.ts';
import { type Case, runRounds, spread, summary } from '../../bench/support/rounds.ts';
import type { Table } from '../../bench/support/table.ts';
import { printWrapper } from '../../src/nospool/install/wrapper.ts';
import { testWith } from '../support/where.ts';

const test = suite('bench/support');
const quiet = (): void => {};

test('a spread is the median, the least and the greatest', () => {
  assert.deepEqual(spread([3]), { median: 3, min: 3, max: 3 });
  assert.deepEqual(spread([5, 1, 3]), { median: 3, min: 1, max: 5 });
  assert.deepEqual(spread([4, 1, 3, 100]), { median: 3.5, min: 1, max: 100 });
});

test('cases run in turn, each round begins with another, and the warm-up does not count', async () => {
  const order: string[] = [];
  const cases = ['a', 'b', 'c'].map((name): Case => ({ name, run: async () => ({ wall: order.push(name) }) }));
  const rows = await runRounds(cases, 3, quiet);
  assert.equal(order.join(''), 'abc' + 'abc' + 'bca' + 'cab');
  assert.deepEqual(
    rows.map(({ name, runs }) => [name, runs]),
    [
      ['a', 3],
      ['b', 3],
      ['c', 3],
    ],
  );
  assert.deepEqual(rows[0]?.measures.wall, { median: 9, min: 4, max: 11 });
});

test('a case that fails says why, has no numbers, and is not run again', async () => {
  let times = 0;
  const broken = async () => {
    times++;
    if (times === 2) throw new Error('no route');
    return { wall: 1 };
  };
  const [row, other] = await runRounds(
    [
      { name: 'broken', run: broken },
      { name: 'sound', run: async () => ({ wall: 2 }) },
    ],
    4,
    quiet,
  );
  assert.deepEqual(row, { name: 'broken', runs: 0, measures: {}, failed: 'no route' });
  assert.equal(times, 2);
  assert.equal(other?.runs, 4);
});

const table = (own: number, peer: number): Table => ({
  title: 'a message',
  note: 'Receiver: none.',
  base: 'peer',
  columns: [{ key: 'wall', title: 'wall, ms', digits: 1, ratio: true }],
  chart: ['wall'],
  rows: [
    { name: 'nospool', ...summary([{ wall: own }, { wall: own + 1 }, { wall: own - 1 }]) },
    { name: 'peer', ...summary([{ wall: peer }]) },
    { name: 'absent', runs: 0, measures: {}, failed: 'not | here' },
  ],
});
const result = (own: number, peer: number): Result => ({
  name: 'sample',
  title: 'A sample',
  date: '2026-11-22',
  short: false,
  runs: 3,
  machine: 'a machine',
  method: 'None.',
  versions: ['nospool 1'],
  tables: [table(own, peer)],
  claims: [claim('at most half', ratio(table(own, peer), 'nospool', 'peer', 'wall'), { most: 0.5 })],
});

test('a ratio is between medians; a claim without a measure neither holds nor fails', () => {
  assert.equal(ratio(table(30, 60), 'nospool', 'peer', 'wall'), 0.5);
  assert.equal(ratio(table(30, 60), 'nospool', 'absent', 'wall'), null);
  assert.equal(claim('x', 0.5, { most: 0.5 }).holds, true);
  assert.equal(claim('x', 0.51, { most: 0.5 }).holds, false);
  assert.equal(claim('x', 3.1, { least: 3 }).holds, true);
  assert.equal(claim('x', 2.9, { least: 3 }).holds, false);
  assert.equal(claim('x', null, { most: 3 }).holds, null);
  assert.match(claim('x', 4, { most: 3 }, { floor: { name: 'floor', value: 2 } }).limit ?? '', /would meet the goal/);
  assert.equal(claim('x', 4, { most: 3 }, { floor: { name: 'floor', value: null } }).limit, undefined);
});

test('the text of a result has every row, the ratios and the failures', () => {
  const text = asText(result(30, 60));
  assert.match(text, /nospool +30\.0 \(29\.0–31\.0\) +0\.50\n/);
  assert.match(text, /peer \(1 run\) +60\.0 \(60\.0–60\.0\) +1\.00\n/);
  assert.match(text, /absent +failed: not \| here\n/);
  assert.match(text, / ok {2}at most half: 0\.50 \(≤ 0\.50\)\n/);
  assert.match(asText(result(40, 60)), / NO {2}at most half: 0\.67 \(≤ 0\.50\)\n/);
});

test('a difference counts only when the spreads do not touch', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-'));
  try {
    const file = path.join(folder, 'sample.json');
    writeFileSync(file, JSON.stringify(result(30, 60)));
    const changed = difference(result(20, 60), file);
    assert.match(changed, /^\* a message, nospool, wall, ms: 30\.0 → 20\.0 \(-33\.3 %\)$/m);
    assert.match(changed, /^ {2}a message, peer, wall, ms: 60\.0 → 60\.0 \(0\.0 %\)$/m);
    assert.match(difference(result(31, 60), file), /^ {2}a message, nospool/m);
    assert.match(difference({ ...result(1, 1), name: 'other' }, file), /is a result of "sample", not of "other"/);
    assert.match(difference(result(1, 1), path.join(folder, 'none.json')), /no earlier result/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a case may want fewer rounds than there are', async () => {
  const run = async () => ({ wall: 1 });
  const rows = await runRounds(
    [
      { name: 'all', run },
      { name: 'few', most: 2, run },
    ],
    4,
    quiet,
  );
  assert.deepEqual(
    rows.map(({ runs }) => runs),
    [4, 2],
  );
  assert.equal(cells({ ...table(1, 1), rows })[2]?.[0], 'few (2 runs)');
});

test('measures that share a column are medians in a row; a column may leave the spread out', () => {
  const rows = [{ name: 'one', ...summary([{ near: 1, far: 2.4, size: 3 }]) }];
  const columns = [
    { key: 'wall', keys: ['near', 'far', 'farther'], title: 'ms', digits: 0 },
    { key: 'size', title: 'KiB', digits: 1, single: true },
  ];
  assert.deepEqual(cells({ ...table(1, 1), columns, rows })[1], ['one', '1 / 2 / –', '3.0']);
});

test('Markdown begins with the goals and the limits of those that do not hold, and has one link a chart', () => {
  const failed = claim('a goal', 0.7, { most: 0.5 }, { unit: ' ×', floor: { name: 'the floor', value: 0.6 }, limit: 'More of it.' });
  const kept = claim('another', 0.4, { most: 0.5 }, { floor: { name: 'the floor', value: 0.1 }, limit: 'not told' });
  const sample = result(30, 60);
  const drawn = sample.tables[0] as Table;
  const text = asMarkdown([
    { ...sample, tables: [drawn, { ...drawn, chart: [] }], claims: [failed, kept], glance: [glance('ms', 0, drawn, 'wall')] },
  ]);
  assert.match(text, /\| a goal \| ≤ 0\.50 × \| 0\.70 × \| \*\*no\*\* \|\n\| another \| ≤ 0\.50 \| 0\.40 \| yes \|/);
  assert.match(text, /^\* \*\*a goal\*\*: the floor: 0\.60 ×, which does not meet it either\. More of it\.$/m);
  assert.ok(!text.includes('not told'));
  assert.match(text, /\| nospool \| 30 \|\n\| peer \| 60 \|/);
  assert.equal(text.match(/!\[/g)?.length, 1);
  assert.match(text, /^\* \[A sample\]\(#a-sample\)$/m);
});

test('what people have written comes last, and has its line in the contents', () => {
  const text = asMarkdown([result(30, 60)], '## Proofs\n\nNothing was lost.');
  assert.match(text, /^\* \[Proofs\]\(#proofs\)$/m);
  assert.ok(text.endsWith('\n\n## Proofs\n\nNothing was lost.\n'));
});

test('the summary has programs, not runtimes and floors', () => {
  const names = ['nospool', 'Node 20 -e 0', 'bare socket writer, C', 'minimum', 'nospool, as installed', 'curl --crlf'];
  const rows = names.map((name) => ({ name, ...summary([{ wall: 1 }]) }));
  assert.deepEqual(
    glance('ms', 0, { ...table(1, 1), rows }, 'wall').values.map(([name]) => name),
    ['nospool', 'curl --crlf'],
  );
});

test('an axis ends at the longest bar unless one or two are far beyond all others', () => {
  assert.equal(axisEnd([1, 2, 3]), 3);
  assert.equal(axisEnd([10, 9, 8, 7, 6, 100]).toFixed(1), '11.0');
  assert.equal(axisEnd([1, 1, 1, 100, 100, 100]), 100);
  assert.equal(axisEnd([5]), 5);
  assert.ok(axisEnd([]) > 0);
});

test('a chart has every row that was measured, its median, and no bar beyond its axis', () => {
  const rows = [10, 9, 8, 7, 6, 100].map((wall, i) => ({
    name: `<${i}>`,
    ...summary([{ wall }, { wall: wall + 500 }, { wall: wall - 1 }]),
  }));
  const svg = drawChart({ ...table(1, 1), rows: [...rows, { name: 'absent', runs: 0, measures: {}, failed: 'no' }] });
  assert.equal(svg.match(/<rect /g)?.length, 6);
  assert.ok(svg.includes('&lt;0&gt;') && svg.includes('>100.0<') && !svg.includes('absent'));
  const widths = [...svg.matchAll(/width="([\d.]+)" height="16"/g)].map((match) => Number(match[1]));
  assert.ok(Math.max(...widths) <= 420);
});

test('the command of an installed script is found, with quotes', () => {
  const wrapping = { version: '1', isBun: false, memoryTest: null, hasSplit: true };
  for (const [interpreter, command] of [
    ['/usr/bin/node', '/opt/nospool/sendmail.cjs'],
    ["/a b/it's/node", '/c/sendmail.cjs'],
  ] as const)
    assert.deepEqual(execOf(printWrapper({ ...wrapping, interpreter, command })), [
      interpreter,
      '--use-openssl-ca',
      '--v8-pool-size=1',
      command,
    ]);
  assert.equal(execOf('#!/bin/sh\necho\n'), null);
});

const measuring = testWith(test, 'a C compiler or python3', native('measure') !== null || spawnSync('python3', ['-c', '']).status === 0);
measuring('a cost has the output of the command, and anonymous memory only on request', async () => {
  const argv = [process.execPath, '-e', 'setTimeout(() => console.log("done"), 50)'];
  const [plain, sampled] = [await measureCost({ argv }), await measureCost({ argv, sampled: true })];
  assert.deepEqual([plain.output, plain.anonymous, sampled.output], ['done\n', 0, 'done\n']);
  assert.ok(plain.wall >= 50 && plain.rss > 1);
  if (process.platform === 'linux') assert.ok(sampled.anonymous > 1 && sampled.anonymous < sampled.rss);
  await assert.rejects(measureCost({ argv: [process.execPath, '-e', 'process.exit(3)'] }), /^Error: node ended with status 3$/);
});

test('flights: a whole envelope in one with PIPELINING, a command each without', () => {
  const rows: [Parameters<typeof flights>[0], number, number][] = [
    [{}, 1, 4],
    [{}, 10, 13],
    [{ pipelining: true }, 1, 2],
    [{ pipelining: true }, 10, 3],
    [{ pipelining: true, chunking: true }, 1, 2],
    [{ pipelining: true, chunking: true }, 10, 2],
  ];
  for (const [offer, count, expected] of rows) assert.equal(flights(offer, count), expected, JSON.stringify(offer));
});

test.run();
