/** Measures long messages: their rate through one process, and its memory. */
import { ANONYMOUS, type Bench, CPU, glance, RATE, RSS, sendCase, startCase, submission, WALL } from './support/bench.ts';
import { message, more, type Shape } from './support/material.ts';
import { type Command, MEASURED_BY } from './support/measure.ts';
import { nativeFloor, nodeFloor, others, ours, type Peer } from './support/peers.ts';
import { type Offer, startReceiver } from './support/receivers.ts';
import { type Claim, claim, type Floor, medianOf, ratio } from './support/report.ts';
import { type Case, runRounds } from './support/rounds.ts';
import { bun, node, runtimes } from './support/runtimes.ts';
import type { Table } from './support/table.ts';

const MiB = 1 << 20;

interface Kind {
  readonly title: string;
  readonly shape: Shape;
  readonly from: 'file' | 'pipe';
  readonly offer: Offer;
  /** Which of the programs of others take part. */
  readonly peers: RegExp;
  /** True: under every runtime; false: under the default one and Bun. */
  readonly runtimes: boolean;
  /** False for a variation, whose chart would show little. */
  readonly drawn: boolean;
}

const CLEAR: Offer = { pipelining: true };
const TLS: Offer = { pipelining: true, tls: 'implicit' };
/** Without msmtp, swaks and smtplib: they take many seconds or hold the message several times, so one table is enough for them. */
const QUICK = /curl|Exim|nodemailer/;
const KINDS: readonly Kind[] = [
  { title: 'file, LF, clear text', shape: 'lf', from: 'file', offer: CLEAR, peers: /./, runtimes: true, drawn: true },
  { title: 'pipe, LF, clear text', shape: 'lf', from: 'pipe', offer: CLEAR, peers: QUICK, runtimes: true, drawn: true },
  { title: 'file, LF, TLS', shape: 'lf', from: 'file', offer: TLS, peers: QUICK, runtimes: true, drawn: true },
  { title: 'pipe, LF, TLS', shape: 'lf', from: 'pipe', offer: TLS, peers: /curl/, runtimes: false, drawn: false },
  { title: 'file, CRLF, clear text', shape: 'crlf', from: 'file', offer: CLEAR, peers: /curl/, runtimes: false, drawn: false },
  {
    title: 'file, uneven lines and dots, clear text',
    shape: 'dotted',
    from: 'file',
    offer: CLEAR,
    peers: /curl|nodemailer/,
    runtimes: false,
    drawn: false,
  },
  {
    title: 'file, LF, clear text, BDAT',
    shape: 'lf',
    from: 'file',
    offer: { pipelining: true, chunking: true },
    peers: /curl|Exim/,
    runtimes: false,
    drawn: false,
  },
];

const BARE = `${node.name} -e 0`;
const CURL = 'curl --crlf';
const IN_C = 'bare socket writer, C';

export const throughput: Bench = {
  name: 'throughput',
  title: 'Throughput and memory: long messages',
  async run({ runs, short, progress }) {
    const size = short ? 8 * MiB : 256 * MiB;
    const tables: Table[] = [];
    for (const [i, kind] of KINDS.entries()) {
      if (short && i > 2) break;
      const table = await measureUploads(kind, size, runs, progress);
      if (table) tables.push(table);
    }
    const long = short ? null : await measureUploads({ ...(KINDS[2] as Kind), peers: /curl/, runtimes: false }, 1024 * MiB, runs, progress);
    if (long) tables.push(long);
    const held = await measureMemory(short, Math.min(runs, 3), progress);
    return {
      method: `Each run is a fresh process, from its start to its end, measured by ${MEASURED_BY}. Pipes are filled by \`cat\` from files in the page cache. MB/s are octets of the message as it is on disk, in millions, by wall time. The bare socket writers get CRLF and send it as it is.`,
      tables: [...tables, ...(held ? [held] : [])],
      claims: [...claims(tables), ...(held ? memoryClaims(held) : [])],
      glance: [
        glance(`${size / MiB} MiB file, clear text: MB/s`, 0, tables[0], 'rate'),
        glance(`${size / MiB} MiB file, TLS: MB/s`, 0, tables[2], 'rate'),
        glance(`${size / MiB} MiB file: peak RSS, MiB`, 0, tables[0], 'rss'),
      ],
      versions: [...runtimes().map(({ version }) => version), ...others().map(({ version }) => version)],
    };
  },
};

async function measureUploads(kind: Kind, size: number, runs: number, progress: (text: string) => void): Promise<Table | null> {
  const { title, shape, from, offer } = kind;
  const smartHost = await startReceiver(offer);
  if (smartHost === null) return null;
  const floor = nativeFloor();
  const other = bun();
  const own = ours().filter(({ name }) => kind.runtimes || name === 'nospool' || (other && name.endsWith(other.name)));
  const floors = [nodeFloor(), ...(other ? [nodeFloor(other)] : []), ...(floor ? [floor] : [])];
  const peers = [...own, ...floors, ...others().filter(({ name }) => kind.peers.test(name))];
  const cases = peers.flatMap((peer) => sendCase(peer, smartHost, submission(smartHost), inputOf(peer, shape, size, from), { size }) ?? []);
  const rows = await runRounds(cases, runs, progress);
  smartHost.stop();
  return {
    title: `${nameOf(size)}, ${title}`,
    note: `Receiver: ${smartHost.name}.`,
    base: CURL,
    columns: [WALL, RATE, CPU, RSS],
    chart: kind.drawn ? ['rate'] : [],
    rows,
  };
}

const nameOf = (octets: number): string => (octets < 1024 * MiB ? `${octets / MiB} MiB` : `${octets / 1024 / MiB} GiB`);

function inputOf(peer: Peer, shape: Shape, size: number, from: 'file' | 'pipe'): NonNullable<Command['input']> {
  const file = message(peer.verbatim ? 'crlf' : shape, size);
  return from === 'file' ? { file } : { pipe: [file] };
}

/** 4 MiB and 4 GiB (32 times as much in the short form: 128 MiB), from a pipe and from a file. */
async function measureMemory(short: boolean, runs: number, progress: (text: string) => void): Promise<Table | null> {
  const smartHost = await startReceiver({ pipelining: true });
  if (smartHost === null) return null;
  const other = bun();
  const peers = [
    ...ours().filter(({ name }) => name === 'nospool' || (other && name.endsWith(other.name))),
    nodeFloor(),
    ...others().filter(({ name }) => name === CURL),
  ];
  const count = short ? 2 : 64;
  const large = count * 64 * MiB;
  const cases = peers.flatMap((peer): Case[] => {
    const shape = peer.verbatim ? 'crlf' : 'lf';
    const inputs: [string, number, NonNullable<Command['input']>][] = [
      [`${nameOf(4 * MiB)} pipe`, 4 * MiB, { pipe: [message(shape, 4 * MiB)] }],
      [`${nameOf(large)} pipe`, large, { pipe: [message(shape, 2048), ...Array<string>(count).fill(more(shape, 64 * MiB))] }],
    ];
    // The bare writer would need another file of that size, with CRLF.
    if (!peer.verbatim)
      inputs.push(
        [`${nameOf(4 * MiB)} file`, 4 * MiB, { file: message(shape, 4 * MiB) }],
        [`${nameOf(large)} file`, large, { file: message(shape, large) }],
      );
    return inputs.flatMap(([title, size, input]) => {
      const each = sendCase(peer, smartHost, submission(smartHost), input, { size, sampled: true });
      return each ? [{ ...each, name: `${peer.name}, ${title}` }] : [];
    });
  });
  const rows = await runRounds([startCase(BARE, [...node.argv, '-e', '0'], true), ...cases], runs, progress);
  smartHost.stop();
  return {
    title: `Memory: ${nameOf(4 * MiB)} and ${nameOf(large)}`,
    note: `Receiver: ${smartHost.name}; ${runs} runs. Anonymous memory, looked at every 2 ms, is what a process has for itself; the rest of its resident set are pages of executables, which all processes share.`,
    base: BARE,
    columns: [WALL, { ...RATE, ratio: false }, CPU, { ...RSS, ratio: true }, ANONYMOUS],
    chart: ['rss', 'anonymous'],
    rows,
  };
}

function claims(tables: readonly Table[]): Claim[] {
  const of = (title: string): Table | undefined => tables.find((table) => table.title.endsWith(title));
  const [file, pipe] = [of('file, LF, clear text'), of('pipe, LF, clear text')];
  const secure = tables.findLast((table) => table.title.endsWith('file, LF, TLS'));
  const floor = (table: Table | undefined, base: string, key: string): Floor => ({
    name: nodeFloor().name,
    value: ratio(table, nodeFloor().name, base, key),
  });
  return [
    claim(
      `${titleOf(file)} against \`curl --crlf\`: wall`,
      ratio(file, 'nospool', CURL, 'wall'),
      { most: 0.6 },
      { unit: ' ×', floor: floor(file, CURL, 'wall') },
    ),
    claim(
      `${titleOf(file)} against nodemailer: rate`,
      ratio(file, 'nospool', 'nodemailer', 'rate'),
      { least: 8 },
      { unit: ' ×', floor: floor(file, 'nodemailer', 'rate') },
    ),
    claim(
      `${titleOf(pipe)} against \`curl --crlf\`: wall`,
      ratio(pipe, 'nospool', CURL, 'wall'),
      { most: 0.7 },
      { unit: ' ×', floor: floor(pipe, CURL, 'wall') },
    ),
    claim(
      `${titleOf(secure)} against the bare socket writer in C: rate`,
      ratio(secure, 'nospool', IN_C, 'rate'),
      { least: 0.85 },
      { unit: ' ×', floor: floor(secure, IN_C, 'rate') },
    ),
  ];
}

const titleOf = (table: Table | undefined): string => table?.title ?? 'A long message';

function memoryClaims(table: Table): Claim[] {
  const large = table.rows.some(({ name }) => name.includes('4 GiB')) ? '4 GiB' : '128 MiB';
  const over = (name: string, than: string, key = 'rss'): number | null => {
    const [a, b] = [medianOf(table, name, key), medianOf(table, than, key)];
    return a === undefined || b === undefined ? null : a - b;
  };
  const floor = nodeFloor().name;
  const anonymous = (value: number | null): string => (value === null ? '' : `Of nospool's, ${value.toFixed(1)} MiB are anonymous memory.`);
  const kinds = ['pipe', 'file'].map((from) => ({ from, small: `nospool, 4 MiB ${from}`, long: `nospool, ${large} ${from}` }));
  return [
    ...kinds.map(({ from, long }) =>
      claim(
        `Peak RSS for a ${from} of ${large} over that of \`node -e 0\``,
        over(long, BARE),
        { most: 16 },
        {
          unit: ' MiB',
          floor: { name: `${floor}, a pipe`, value: over(`${floor}, ${large} pipe`, BARE) },
          limit: anonymous(over(long, BARE, 'anonymous')),
        },
      ),
    ),
    ...kinds.map(({ from, small, long }) => {
      const grown = over(long, small);
      return claim(
        `Peak RSS for a ${from} of ${large} against that for one of 4 MiB: difference`,
        grown === null ? null : Math.abs(grown),
        { most: 2 },
        {
          unit: ' MiB',
          floor: { name: `${floor}, a pipe`, value: over(`${floor}, ${large} pipe`, `${floor}, 4 MiB pipe`) },
          limit: anonymous(over(long, small, 'anonymous')),
        },
      );
    }),
  ];
}
