/** Long messages: how fast they go through one process, and how much memory that takes. */
import { type Bench, CPU, RATE, RSS, sending, starting, submission, WALL } from './support/bench.ts';
import { message, more, type Shape } from './support/material.ts';
import { type Command, MEASURED_BY } from './support/measure.ts';
import { nativeFloor, nodeFloor, others, ours, type Peer } from './support/peers.ts';
import { type Offer, receiver } from './support/receivers.ts';
import { type Claim, claim, ratio, type Table } from './support/report.ts';
import { rounds } from './support/rounds.ts';
import { node, runtimes } from './support/runtimes.ts';

const MiB = 1 << 20;

interface Kind {
  readonly title: string;
  readonly shape: Shape;
  readonly from: 'file' | 'pipe';
  readonly offer: Offer;
}

const KINDS: readonly Kind[] = [
  { title: 'file, LF, clear text', shape: 'lf', from: 'file', offer: { pipelining: true } },
  { title: 'pipe, LF, clear text', shape: 'lf', from: 'pipe', offer: { pipelining: true } },
  { title: 'file, LF, TLS', shape: 'lf', from: 'file', offer: { pipelining: true, tls: 'implicit' } },
  { title: 'pipe, LF, TLS', shape: 'lf', from: 'pipe', offer: { pipelining: true, tls: 'implicit' } },
  { title: 'file, CRLF, clear text', shape: 'crlf', from: 'file', offer: { pipelining: true } },
  { title: 'file, uneven lines and dots, clear text', shape: 'dotted', from: 'file', offer: { pipelining: true } },
  { title: 'file, LF, clear text, BDAT', shape: 'lf', from: 'file', offer: { pipelining: true, chunking: true } },
];

const BARE = `${node.name} -e 0`;

/** Perl and CPython hold the message several times over; what they need for 256 MiB is known after one table. */
const HOLDS_ALL = /swaks|smtplib/;

export const throughput: Bench = {
  name: 'throughput',
  title: 'Throughput and memory: long messages',
  async run({ runs, short, progress }) {
    const size = short ? 32 * MiB : 256 * MiB;
    const floor = nativeFloor();
    const floors = [nodeFloor(), ...(floor ? [floor] : [])];
    const peers = [...ours(), ...floors, ...others()];
    const tables: Table[] = [];
    for (const [i, { title, shape, from, offer }] of KINDS.entries()) {
      if (short && i > 2) break;
      const smartHost = await receiver(offer);
      if (smartHost === null) continue;
      const cases = peers
        .filter(({ name }) => i === 0 || !HOLDS_ALL.test(name))
        .flatMap((peer) => sending(peer, smartHost, submission(smartHost), inputOf(peer, shape, size, from), size) ?? []);
      const rows = await rounds(cases, runs, progress);
      smartHost.stop();
      const note = `Receiver: ${smartHost.name}. The bare socket writers get CRLF and send it as it is.`;
      tables.push({
        title: `${size / MiB} MiB, ${title}`,
        note,
        base: 'curl --crlf',
        columns: [WALL, RATE, CPU, RSS],
        chart: 'rate',
        rows,
      });
    }
    const long = await memory(short, Math.min(runs, 3), progress);
    return {
      method: `Each run is a fresh process, from its start to its end, measured by ${MEASURED_BY}. Pipes are filled by \`cat\` from files in the page cache. MB/s are octets of the message as it is on disk, in millions, by wall time.`,
      tables: [...tables, ...(long ? [long] : [])],
      claims: [...claims(tables), ...(long ? memoryClaims(long) : [])],
      versions: [...runtimes().map(({ version }) => version), ...others().map(({ version }) => version)],
    };
  },
};

function inputOf(peer: Peer, shape: Shape, size: number, from: 'file' | 'pipe'): NonNullable<Command['input']> {
  const file = message(peer.verbatim ? 'crlf' : shape, size);
  return from === 'file' ? { file } : { pipe: [file] };
}

/** 4 MiB and 4 GiB (32 times as much in the short form: 128 MiB), from a pipe and from a file. */
async function memory(short: boolean, runs: number, progress: (text: string) => void): Promise<Table | null> {
  const smartHost = await receiver({ pipelining: true });
  if (smartHost === null) return null;
  const [own] = ours();
  const peers = [...(own ? [own] : []), ...others().filter(({ name }) => name === 'curl --crlf')];
  const count = short ? 2 : 64;
  const large = count * 64 * MiB;
  const name = (octets: number): string => (octets < 1024 * MiB ? `${octets / MiB} MiB` : `${octets / 1024 / MiB} GiB`);
  const cases = peers.flatMap((peer) => {
    const inputs: [string, number, NonNullable<Command['input']>][] = [
      [`${name(4 * MiB)} pipe`, 4 * MiB, { pipe: [message('lf', 4 * MiB)] }],
      [`${name(large)} pipe`, large, { pipe: [message('lf', 2048), ...Array<string>(count).fill(more('lf', 64 * MiB))] }],
      [`${name(4 * MiB)} file`, 4 * MiB, { file: message('lf', 4 * MiB) }],
      [`${name(large)} file`, large, { file: message('lf', large) }],
    ];
    return inputs.flatMap(([title, size, input]) => {
      const each = sending(peer, smartHost, submission(smartHost), input, size);
      return each ? [{ ...each, name: `${peer.name}, ${title}` }] : [];
    });
  });
  const rows = await rounds([starting(BARE, [...node.argv, '-e', '0']), ...cases], runs, progress);
  smartHost.stop();
  return {
    title: 'Memory does not grow with the message',
    note: `Receiver: ${smartHost.name}; ${runs} runs.`,
    base: `${own?.name}, 4 MiB pipe`,
    columns: [WALL, RATE, CPU, { ...RSS, ratio: true }],
    chart: 'rss',
    rows,
  };
}

function claims(tables: readonly Table[]): Claim[] {
  const of = (title: string): Table =>
    tables.find((table) => table.title.endsWith(title)) ?? { title, note: '', base: '', columns: [], chart: '', rows: [] };
  const file = of('file, LF, clear text');
  return [
    claim("A long file takes at most 0.6 of `curl --crlf`'s time", ratio(file, 'nospool', 'curl --crlf', 'wall'), 0.6),
    claim("A long file goes at 8 times nodemailer's rate at least", ratio(file, 'nospool', 'nodemailer', 'rate'), 8, true),
    claim(
      "A long pipe takes at most 0.7 of `curl --crlf`'s time",
      ratio(of('pipe, LF, clear text'), 'nospool', 'curl --crlf', 'wall'),
      0.7,
    ),
    claim(
      'TLS: at least 0.85 of the rate of a bare C/OpenSSL client',
      ratio(of('file, LF, TLS'), 'nospool', 'bare socket writer, C', 'rate'),
      0.85,
      true,
    ),
  ];
}

function memoryClaims(table: Table): Claim[] {
  const rss = (part: string): number | undefined =>
    table.rows.find(({ name }) => name.startsWith('nospool, ') && name.includes(part))?.measures.rss?.median;
  const difference = (from: string): number | null => {
    const [small, ...rest] = table.rows.filter(({ name }) => name.startsWith('nospool, ') && name.endsWith(from));
    const [a, b] = [small?.measures.rss?.median, rest[0]?.measures.rss?.median];
    return a === undefined || b === undefined ? null : Math.abs(b - a);
  };
  const [bare, pipe] = [table.rows.find(({ name }) => name === BARE)?.measures.rss?.median, rss('4 GiB pipe') ?? rss('128 MiB pipe')];
  return [
    claim('Peak RSS for a long pipe is at most 16 MiB over `node -e 0`', bare === undefined || pipe === undefined ? null : pipe - bare, 16),
    claim(
      `Peak RSS for a long pipe is that for a short one, within 2 MiB (${node.name}; ${rss('4 MiB pipe')?.toFixed(1)} MiB)`,
      difference('pipe'),
      2,
    ),
    claim(
      `Peak RSS for a long file is that for a short one, within 2 MiB (${node.name}; ${rss('4 MiB file')?.toFixed(1)} MiB)`,
      difference('file'),
      2,
    ),
  ];
}
