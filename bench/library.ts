/** Measures the library: many short messages over one session and over many, and the memory of a session. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Bench } from './support/bench.ts';
import { measureCost } from './support/measure.ts';
import { DIST, inSupport } from './support/places.ts';
import { postfixProgram } from './support/postfix.ts';
import { type Receiver, startDistance, startReceiver } from './support/receivers.ts';
import { type Claim, claim, ratio } from './support/report.ts';
import { type Case, type Measures, runRounds } from './support/rounds.ts';
import { node } from './support/runtimes.ts';
import type { Table } from './support/table.ts';

const FLOOR = 'bare socket writer, Node';
const APART = `${FLOOR}, the end of each message apart`;
const APART_QUEUED = `${APART}, the next envelope behind it`;
const QUEUED_FLOOR = `${FLOOR}, the next envelope behind the content`;
const NODEMAILER = 'nodemailer, SMTPConnection';
const QUEUED = 'nospool, the next message given meanwhile';
const TOGETHER = 'nospool, each message in one write with its end';
const BOTH = `${TOGETHER}, the next message given meanwhile`;
const NAMES: readonly (readonly [string, string])[] = [
  ['nospool', 'nospool'],
  [QUEUED, 'nospool-queued'],
  [TOGETHER, 'nospool-together'],
  [BOTH, 'nospool-together-queued'],
  ['nospool, Pool', 'nospool-pool'],
  [NODEMAILER, 'nodemailer'],
  ['nodemailer, pool', 'nodemailer-pool'],
  ['nodemailer over nospool, pool', 'nospool-nodemailer-pool'],
  [FLOOR, 'floor'],
  [APART, 'floor-apart'],
  [APART_QUEUED, 'floor-apart-queued'],
  [QUEUED_FLOOR, 'floor-queued'],
];
/** Senders for which CHUNKING changes something, and those that they are compared with. */
const CHUNKING = new Set(['nospool', QUEUED, NODEMAILER, FLOOR]);
/** Messages of a program that runs for long: of fewer, much of the time is the runtime's compiling. */
const LONG = 60_000;
const STEADY = new Set(['nospool', QUEUED, TOGETHER, BOTH, NODEMAILER, FLOOR, APART, APART_QUEUED, QUEUED_FLOOR]);
const PER_SECOND = { key: 'rate', title: 'messages/s', digits: 0, ratio: true, more: true } as const;

export const library: Bench = {
  name: 'library',
  title: 'The library: messages a second, sessions at once',
  async run({ runs, short, progress }) {
    if (!existsSync(path.join(DIST, 'lib/index.mjs'))) throw new Error('build first: npm run build');
    const tables: Table[] = [];
    for (const [connections, count, only] of [
      [1, 10_000, null],
      [1, 10_000, CHUNKING],
      [20, 29_000, null],
      [20, 29_000, CHUNKING],
      [1, LONG, STEADY],
    ] as const) {
      const chunking = only === CHUNKING;
      const smartHost = await startReceiver({ pipelining: true, chunking });
      if (smartHost === null) break;
      const messages = short ? 100 : count;
      const chosen = NAMES.filter(([name]) => only?.has(name) ?? true);
      const cases = [
        ...chosen.map(([name, child]) => sendCase(name, child, smartHost, connections, messages)),
        ...(only === null ? postfixCase(smartHost, connections, messages) : []),
      ];
      const rows = await runRounds(cases, runs, progress, false);
      smartHost.stop();
      tables.push({
        title: `${connections === 1 ? 'One session' : `${connections} sessions`}${only === STEADY ? `, ${messages} messages` : ''}${chunking ? ', the server offers CHUNKING too' : ''}`,
        note: `Receiver: ${smartHost.name}. ${messages} messages of 2 KiB, each run in a process of its own.`,
        base: FLOOR,
        columns: [PER_SECOND, { key: 'rss', title: 'RSS, MiB', digits: 1 }],
        chart: ['rate'],
        rows,
      });
    }
    const distance = await measureAfar(short, runs, progress);
    const many = await measureSessions(short ? 100 : 10_000, Math.min(runs, 3), progress);
    return {
      method:
        'The sessions are open before the clock starts, and every one has sent a message. smtp-source counts from its start. The bare writer says the same commands in the same flights and looks at nothing but the first digit of each reply; "apart" means that the terminator goes out when the content is written and the loop has turned twice, as nospool promises. "The next message given meanwhile": the program calls send again before the last message is settled, and its envelope goes out with the terminator (RFC 2920 §3.1); who waits for each verdict has two round trips a message. "In one write with its end": the option `commit: \'together\'` of the library.',
      tables: [...tables, ...distance, ...many],
      claims: claims(tables, many),
      versions: [node.version],
    };
  },
};

function sendCase(name: string, child: string, smartHost: Receiver, connections: number, messages: number): Case {
  return { name, run: () => sendMessages(child, smartHost, smartHost.port, connections, messages) };
}

/** `port` leads to the smart host, perhaps over a distance. The library must report as many messages taken as the smart host counts. */
async function sendMessages(child: string, smartHost: Receiver, port: number, connections: number, messages: number): Promise<Measures> {
  const argv = [
    process.execPath,
    '--expose-gc',
    inSupport('library-child.mjs'),
    child,
    String(port),
    String(connections),
    String(messages),
    DIST,
  ];
  const folder = process.env.BENCH_NODE_MODULES;
  const before = await smartHost.taken();
  const { output } = await measureCost({ argv, ...(folder ? { environment: { BENCH_NODE_MODULES: folder } } : {}) });
  const { sent: taken, lost, ...measures } = JSON.parse(output) as Record<string, number>;
  const counted = ((await smartHost.taken()) ?? 0) - (before ?? 0);
  if (lost !== 0 || (before !== null && counted !== taken))
    throw new Error(`${taken} messages taken, ${lost} not; the receiver counts ${counted}`);
  return measures;
}

/** Postfix's load generator, in C. */
function postfixCase({ port }: Receiver, connections: number, messages: number): Case[] {
  const program = postfixProgram('smtp-source');
  if (program === null) return [];
  const flags = [
    '-4',
    '-d',
    '-s',
    String(connections),
    '-m',
    String(messages),
    '-l',
    '2048',
    '-f',
    'sender@example.org',
    '-t',
    'recipient@example.org',
  ];
  return [
    {
      name: 'Postfix smtp-source',
      run: async () => {
        const { wall, rss } = await measureCost({
          argv: [...program.argv, ...flags, `inet:127.0.0.1:${port}`],
          environment: program.environment,
        });
        return { rate: (messages * 1000) / wall, rss };
      },
    },
  ];
}

/** The same over a distance, where round trips decide. */
async function measureAfar(short: boolean, runs: number, progress: (text: string) => void): Promise<Table[]> {
  const smartHost = await startReceiver({ pipelining: true });
  if (smartHost === null) return [];
  const [rtt, messages] = [20, short ? 5 : 50];
  const proxy = await startDistance(smartHost.port, rtt);
  const cases = NAMES.map(([name, child]): Case => ({ name, run: () => sendMessages(child, smartHost, proxy.port, 1, messages) }));
  const rows = await runRounds(cases, Math.min(runs, 5), progress, false);
  proxy.stop();
  smartHost.stop();
  return [
    {
      title: `One session, ${rtt} ms away`,
      note: `Receiver: ${smartHost.name}, through bench/support/distance.mjs. ${messages} messages of 2 KiB.`,
      base: FLOOR,
      columns: [{ ...PER_SECOND, digits: 1 }],
      chart: ['rate'],
      rows,
    },
  ];
}

/** Descriptors that the receiver and the sending process need for themselves. */
const SPARE = 100;

/** The number of sessions that the limit of open files allows, at most `wanted`. */
function countAllowed(wanted: number): number {
  const limit = Number(spawnSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).stdout);
  return Number.isFinite(limit) && limit > SPARE ? Math.min(wanted, limit - SPARE) : wanted;
}

/** Opens all sessions at once in one process: the memory of each, and whether any fails. */
async function measureSessions(wanted: number, runs: number, progress: (text: string) => void): Promise<Table[]> {
  const smartHost = await startReceiver({ pipelining: true });
  if (smartHost === null) return [];
  smartHost.stop();
  const count = countAllowed(wanted);
  const fewer = count < wanted ? ` The limit of open files here allows no more; ${wanted.toLocaleString('en')} were wanted.` : '';
  const cases = NAMES.filter(([, child]) => child !== 'nodemailer-pool' && !child.endsWith('-queued')).map(
    ([name, child]): Case => ({
      name,
      // Each run has a receiver of its own, because the addresses of ended connections are not free at once.
      run: async () => {
        const own = (await startReceiver({ pipelining: true })) as Receiver;
        try {
          return await sendMessages(child, own, own.port, count, count);
        } finally {
          own.stop();
        }
      },
    }),
  );
  const rows = await runRounds(cases, runs, progress, false);
  return [
    {
      title: `${count.toLocaleString('en')} sessions at once in one process`,
      note: `Receiver: ${smartHost.name}. Each session sends one message while all the others are open; ${runs} runs. A run in which a message is not taken fails.${fewer}`,
      base: FLOOR,
      columns: [
        { key: 'session', title: 'KiB a session', digits: 1, ratio: true },
        { key: 'rss', title: 'RSS, MiB', digits: 0 },
        { key: 'rate', title: 'messages/s', digits: 0 },
      ],
      chart: ['session'],
      rows,
    },
  ];
}

function claims([one, , twenty, , long]: readonly Table[], [many]: readonly Table[]): Claim[] {
  if (!one) return [];
  const own = many?.rows.find(({ name }) => name === 'nospool');
  const ask = (what: string, table: Table | undefined, name: string, floor: string, least: number): Claim =>
    claim(
      `${what} against nodemailer: messages a second`,
      ratio(table, name, NODEMAILER, 'rate'),
      { least },
      { unit: ' ×', floor: { name: floor, value: ratio(table, floor, NODEMAILER, 'rate') } },
    );
  return [
    ask('20 sessions, each message as it comes', twenty, 'nospool', APART, 1.5),
    ask('20 sessions, each message in one write with its end', twenty, TOGETHER, FLOOR, 1.5),
    ask('20 sessions, the next message given meanwhile', twenty, QUEUED, APART_QUEUED, 2),
    ask('20 sessions, each message in one write with its end, the next given meanwhile', twenty, BOTH, QUEUED_FLOOR, 2),
    ask('One session, one message after the other', one, 'nospool', APART, 1.1),
    ask(`${long?.title}, one after the other`, long, 'nospool', APART, 1.1),
    ask('One session, the next message given meanwhile', one, QUEUED, APART_QUEUED, 1.5),
    ask(`${long?.title}, the next given meanwhile`, long, QUEUED, APART_QUEUED, 1.5),
    ask('One session, each message in one write with its end, the next given meanwhile', one, BOTH, QUEUED_FLOOR, 1.5),
    {
      text: `${many?.title ?? 'Many sessions at once'}`,
      wanted: 'none fails, at most 18 KiB each',
      holds: own?.measures.session ? own.runs > 0 && own.measures.session.median <= 18 : null,
      measured: own?.runs ? `none fails, ${own.measures.session?.median.toFixed(1)} KiB each` : (own?.failed ?? 'not measured here'),
    },
  ];
}
