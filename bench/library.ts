/** The library: many short messages over one session and over many, and what a session costs. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Bench } from './support/bench.ts';
import { cost } from './support/measure.ts';
import { DIST, inSupport } from './support/places.ts';
import { postfixProgram } from './support/postfix.ts';
import { type Receiver, receiver } from './support/receivers.ts';
import { type Claim, claim, ratio, type Table } from './support/report.ts';
import { type Case, type Measures, rounds } from './support/rounds.ts';
import { node } from './support/runtimes.ts';

const FLOOR = 'bare socket writer, Node';
const NAMES: readonly (readonly [string, string])[] = [
  ['nospool', 'nospool'],
  ['nodemailer, SMTPConnection', 'nodemailer'],
  ['nodemailer, pool', 'nodemailer-pool'],
  [FLOOR, 'floor'],
];
const PER_SECOND = { key: 'rate', title: 'messages/s', digits: 0, ratio: true } as const;

export const library: Bench = {
  name: 'library',
  title: 'The library: messages a second, sessions at once',
  async run({ runs, short, progress }) {
    if (!existsSync(path.join(DIST, 'lib/index.js'))) throw new Error('build first: npm run build');
    const tables: Table[] = [];
    for (const connections of [1, 20]) {
      const smartHost = await receiver({ pipelining: true });
      if (smartHost === null) break;
      const messages = short ? 2000 : 20_000;
      const cases = [
        ...NAMES.map(([name, child]) => sending(name, child, smartHost, connections, messages)),
        ...source(smartHost, connections, messages),
      ];
      const rows = await rounds(cases, runs, progress, false);
      smartHost.stop();
      tables.push({
        title: connections === 1 ? 'One session' : `${connections} sessions`,
        note: `Receiver: ${smartHost.name}. ${messages} messages of 2 KiB, each run in a process of its own.`,
        base: FLOOR,
        columns: [PER_SECOND, { key: 'rss', title: 'RSS, MiB', digits: 1 }],
        chart: 'rate',
        rows,
      });
    }
    const many = await sessions(short ? 1000 : 10_000, Math.min(runs, 3), progress);
    return {
      method:
        'The sessions are open before the clock starts, and every one has sent a message. smtp-source counts from its start. The bare writer says the same commands in the same flights and looks at nothing but the first digit of each reply.',
      tables: [...tables, ...many],
      claims: claims(tables, many),
      versions: [node.version],
    };
  },
};

function sending(name: string, child: string, { port }: Receiver, connections: number, messages: number): Case {
  return {
    name,
    run: async (): Promise<Measures> => {
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
      const { output } = await cost({ argv, ...(folder ? { environment: { BENCH_NODE_MODULES: folder } } : {}) });
      return JSON.parse(output) as Record<string, number>;
    },
  };
}

/** Postfix's own load generator, in C. */
function source({ port }: Receiver, connections: number, messages: number): Case[] {
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
        const { wall, rss } = await cost({ argv: [...program.argv, ...flags, `inet:127.0.0.1:${port}`], environment: program.environment });
        return { rate: (messages * 1000) / wall, rss };
      },
    },
  ];
}

/** All at once in one process: what each holds, and that none fails. */
async function sessions(count: number, runs: number, progress: (text: string) => void): Promise<Table[]> {
  const smartHost = await receiver({ pipelining: true });
  if (smartHost === null) return [];
  const cases = NAMES.filter(([, child]) => child !== 'nodemailer-pool').map(([name, child]) =>
    sending(name, child, smartHost, count, count),
  );
  const rows = await rounds(cases, runs, progress, false);
  smartHost.stop();
  return [
    {
      title: `${count.toLocaleString('en')} sessions at once in one process`,
      note: `Receiver: ${smartHost.name}. Each session sends one message while all the others are open; ${runs} runs. A run in which a message is not taken fails.`,
      base: FLOOR,
      columns: [
        { key: 'session', title: 'KiB a session', digits: 1, ratio: true },
        { key: 'rss', title: 'RSS, MiB', digits: 0 },
        { key: 'rate', title: 'messages/s', digits: 0 },
      ],
      chart: 'session',
      rows,
    },
  ];
}

function claims([one]: readonly Table[], [many]: readonly Table[]): Claim[] {
  if (!one) return [];
  const own = many?.rows.find(({ name }) => name === 'nospool');
  return [
    claim(
      "At least 3 times nodemailer's messages per second on one session",
      ratio(one, 'nospool', 'nodemailer, SMTPConnection', 'rate'),
      3,
      true,
    ),
    {
      text: `${many?.title ?? 'Many sessions at once'}: none fails`,
      holds: own ? own.runs > 0 : null,
      measured: own?.runs ? `${own.measures.session?.median.toFixed(1)} KiB a session` : (own?.failed ?? 'not measured here'),
    },
  ];
}
