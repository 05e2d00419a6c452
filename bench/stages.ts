/** Measures the stages of a start, of which each does a little more than the one before, and the parts that are loaded when needed. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { flagsWithoutCompiler } from '../src/nospool/install/wrapper.ts';
import { readMainFile } from '../src/sendmail/start/loader.ts';
import { type Bench, CPU, RSS, sendCase, startCase, submission, WALL } from './support/bench.ts';
import { profile } from './support/dearest.ts';
import { installed } from './support/installed.ts';
import { certificate, message } from './support/material.ts';
import { MEASURED_BY, measureCost } from './support/measure.ts';
import { nodeFloor, nospoolBy } from './support/peers.ts';
import { builtSources, DIST, inCache, inSupport } from './support/places.ts';
import { type Receiver, startReceiver } from './support/receivers.ts';
import { type Case, runRounds, summary } from './support/rounds.ts';
import { bun, node, type Runtime } from './support/runtimes.ts';
import type { Table } from './support/table.ts';

export const stages: Bench = {
  name: 'stages',
  title: 'What a start consists of',
  async run({ runs, short, progress }) {
    if (!existsSync(path.join(DIST, 'main.cjs'))) throw new Error('build first: npm run build');
    const tables: Table[] = [];
    const smartHost = await startReceiver({ pipelining: true });
    if (smartHost !== null) {
      const other = bun();
      for (const runtime of [node, ...(other ? [other] : [])]) {
        const rows = await runRounds(stepCases(runtime, smartHost), short ? runs : 4 * runs, progress);
        tables.push({
          title: `From nothing to a message, ${runtime.name}`,
          note: `Whole processes. Receiver: ${smartHost.name}.`,
          base: `${runtime.name} -e 0`,
          columns: [WALL, CPU, RSS],
          chart: ['wall'],
          rows,
        });
      }
      smartHost.stop();
    }
    const rows = await runRounds(partCases(), short ? runs : 4 * runs, progress, false);
    tables.push({
      title: 'Parts that are loaded when they are needed',
      note: `In the process, ${node.name}, with V8's code kept by the build except where it says so; node:net is loaded before. A part that a message does not need costs it no more than being read: main.cjs, which has all but character sets, has ${size('main.cjs')}. yargs is in nospool, and in no part of sendmail.`,
      base: '',
      columns: [
        { key: 'size', title: 'file, KiB', digits: 1, single: true },
        { key: 'load', title: 'loading, ms', digits: 2 },
        { key: 'first', title: 'first use, ms', digits: 2 },
        { key: 'both', title: 'both, ms', digits: 2 },
      ],
      chart: ['both'],
      rows,
    });
    if (!short) tables.push(await dearest(runs));
    return {
      method: `Whole processes are measured by ${MEASURED_BY}, parts by the clock of the process that loads them; four times as many runs as elsewhere, since they are short.`,
      tables,
      claims: [],
      versions: [node, bun()].flatMap((each) => each?.version ?? []),
    };
  },
};

/** What the dearest functions are for. */
const PURPOSES: Readonly<Record<string, string>> = {
  openSocket: 'the connection, and the loading of node:net: the bare socket writer has both',
  listenForSignals: 'SIGTERM and SIGINT end a delivery; the first AbortController of a process',
  makeAbortable: 'a signal ends a read that waits',
  wind: 'the first timer of a process: every step has its time limit',
  'stream._write': 'writes to the socket',
  write: 'writes to the socket',
  end: 'ends the connection',
  account: 'who sends: the entry in the password database, for From and the log',
  leave: 'takes back a listener for signals',
  listenTo: 'a listener for signals',
  readText: 'opens and reads the configuration',
  readOctets: 'reads the configuration',
  readAll: 'all keys of the configuration',
  parse: 'TOML',
  timestamp: 'the time in the log',
  writeLines: 'appends to the log',
  parseSmarthost: 'the URL of the smart host',
  next: 'words of addresses, replies of the server',
  sticky: 'words of addresses',
  won: 'the connection that came first',
  findSpan: 'local time',
  mimeCharset: 'the character set of the caller',
  fileSystemOf: 'whether the file of the configuration may be obeyed',
  push: 'octets of the content: line ends, lengths, eight bits',
  value: 'the header section',
  findPosition: 'where the file on standard input stands',
  isHostName: 'whether the host name may stand in EHLO',
  readExtensions: 'what the server offers',
  scanContent: 'octets of the content',
  logId: 'the id of the message in the log',
  inTwoTurns: 'the turn of the event loop before the commit',
};

/** The twenty functions that a short message in clear text spends most in. */
async function dearest(runs: number): Promise<Table> {
  const smartHost = await startReceiver({ pipelining: true });
  const command = smartHost && nospoolBy('', node, []).command(submission(smartHost));
  const found = command ? await profile(node.argv, command.argv, message('lf', 2048), 4 * runs) : [];
  smartHost?.stop();
  return {
    title: `The dearest functions of a short message, ${node.name}`,
    note: 'By the profiler, a look every 50 µs, with the code of an earlier run kept. What the runtime does for a function of ours counts as its own. Each of them is needed for a message in clear text from a configuration of a few lines.',
    base: '',
    columns: [{ key: 'own', title: 'own, ms', digits: 2 }],
    chart: [],
    rows: found.slice(0, 20).map(({ name, own }) => {
      const [short = ''] = name.split(', ');
      const purpose = PURPOSES[short.replace(/\d+$/, '')];
      return { name: purpose === undefined ? name : `${name}: ${purpose}`, ...summary(own.map((ms) => ({ own: ms }))) };
    }),
  };
}

const size = (file: string): string => `${(statSync(path.join(DIST, file)).size / 1024).toFixed(0)} KiB`;

/** Small programs; each does a little more than the one before. */
const PROGRAMS: readonly (readonly [string, string])[] = [
  ['an empty file', ''],
  ["require('node:net')", "require('node:net');"],
  ["require('node:tls')", "require('node:tls');"],
  [
    'a bare connection, greeting read',
    "require('node:net').connect({ host: '127.0.0.1', port: process.argv[2], noDelay: true }).on('data', () => process.exit(0));",
  ],
];

function stepCases(runtime: Runtime, smartHost: Receiver): Case[] {
  const programs = PROGRAMS.map(([name, text], i) => {
    const file = inCache(`start-${i}.cjs`);
    writeFileSync(file, text);
    return startCase(name, [...runtime.argv, file, String(smartHost.port)]);
  });
  const built = path.join(DIST, 'sendmail.cjs');
  const kept = installed(runtime)?.argv ?? [...runtime.argv, built];
  const source = [...runtime.argv, copyUncompiled()];
  const file = message('lf', 2048);
  const whole = (name: string, argv: readonly string[]): Case[] =>
    [sendCase(nospoolBy(name, runtime, argv), smartHost, submission(smartHost), { file })].flatMap((each) => each ?? []);
  const floor = nodeFloor(runtime);
  const least = sendCase(floor, smartHost, submission(smartHost), { file: message('crlf', 2048) });
  return [
    startCase(`${runtime.name} -e 0`, [...runtime.argv, '-e', '0']),
    ...programs,
    ...(least ? [least] : []),
    startCase('sendmail --version', [...kept, '--version']),
    startCase('sendmail --version, no code kept', [...source, '--version']),
    ...whole('sendmail, a message of 2 KiB', kept),
    ...whole('sendmail, a message of 2 KiB, no code kept', source),
    ...(runtime.bun ? [] : whole('sendmail, a message of 2 KiB, nothing compiled (--jitless)', restrictWords(kept))),
    startCase('nospool --version (yargs)', [...runtime.argv, path.join(DIST, 'nospool.mjs'), '--version']),
  ];
}

/** The words by which the installed script starts nospool where the compiler cannot run. */
const restrictWords = ([interpreter = '', ...words]: readonly string[]): string[] => [
  interpreter,
  ...flagsWithoutCompiler(process.version),
  ...words,
];

/** A copy of the command without the code that the build keeps beside it. */
function copyUncompiled(): string {
  const folder = inCache('uncompiled');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const file of readdirSync(DIST).filter((name) => name.endsWith('.cjs') || name === 'chunks'))
    cpSync(path.join(DIST, file), path.join(folder, file), { recursive: true });
  return path.join(folder, 'sendmail.cjs');
}

/** Name, the child's argument. */
export const PARTS: readonly (readonly [string, string])[] = [
  ['WebAssembly kernel; 64 KiB', 'transport-kernel-kernel'],
  ['conversion to 7 bits', 'message-mime-convert'],
  ['credentials', 'submit-secret'],
  ['SASL mechanisms', 'smtp-sasl-choose'],
  ['TLS, our part', 'transport-tls-tls'],
  ['TLS, node:tls; first secure context', 'node:tls'],
  ['DNS, node:dns; first lookup', 'node:dns'],
  ['proxies', 'transport-proxy'],
];

function partCases(): Case[] {
  const authority = certificate()?.certificate ?? '';
  const { parts: places, rare } = readMainFile(readFileSync(path.join(DIST, 'main.cjs')));
  return [...PARTS, ['character sets (iconv-lite, no code kept); first decoding', rare] as const].map(([name, part]) => ({
    name,
    run: async () => {
      const { output } = await measureCost({ argv: [...node.argv, inSupport('stages-child.mjs'), DIST, builtSources(), part, authority] });
      const place = places.get(part);
      const octetsOf = place ? place[1] - place[0] : part === rare ? statSync(path.join(DIST, rare)).size : 0;
      return {
        ...(octetsOf > 0 ? { size: octetsOf / 1024 } : {}),
        ...(JSON.parse(output.trim().split('\n').at(-1) as string) as Record<string, number>),
      };
    },
  }));
}
