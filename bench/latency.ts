/** Counts round trips, from how much longer a message takes when the smart host is further away. */
import { type Bench, glance, type Setting, sendCase, submission } from './support/bench.ts';
import { flights } from './support/flights.ts';
import { message } from './support/material.ts';
import { others, ours, type Peer, type Submission } from './support/peers.ts';
import { type Offer, type Receiver, startDistance, startReceiver } from './support/receivers.ts';
import { type Claim, medianOf } from './support/report.ts';
import { type Case, type Row, runRounds, summary } from './support/rounds.ts';
import type { Column, Table } from './support/table.ts';

interface Kind {
  readonly title: string;
  readonly offer: Offer;
  /** The kinds without a chart differ by a step that all programs take alike. */
  readonly drawn?: boolean;
  /** Round trips before MAIL: TCP, greeting, EHLO, and the steps of this kind. */
  readonly before: number;
}

const KINDS: readonly Kind[] = [
  { title: 'clear text, PIPELINING', drawn: true, offer: { pipelining: true }, before: 3 },
  { title: 'clear text, PIPELINING, CHUNKING', offer: { pipelining: true, chunking: true }, before: 3 },
  { title: 'clear text, nothing offered', drawn: true, offer: {}, before: 3 },
  { title: 'clear text, PIPELINING, AUTH', offer: { pipelining: true, auth: true }, before: 4 },
  { title: 'TLS from the start, PIPELINING', drawn: true, offer: { pipelining: true, tls: 'implicit' }, before: 4 },
  { title: 'STARTTLS, PIPELINING', offer: { pipelining: true, tls: 'starttls' }, before: 6 },
  { title: 'STARTTLS, PIPELINING, AUTH', drawn: true, offer: { pipelining: true, tls: 'starttls', auth: true }, before: 7 },
];

const columnsOf = (count: number, distances: readonly number[]): Column[] => [
  { key: `trips ${count}`, title: count === 1 ? '1 recipient: round trips' : `${count} recipients: round trips`, digits: 2 },
  { key: `wall ${count}`, keys: distances.map((rtt) => `wall ${count} ${rtt}`), title: `ms at ${distances.join(' / ')} ms`, digits: 0 },
];

export const latency: Bench = {
  name: 'latency',
  title: 'Round trips and latency',
  async run({ runs, short, progress }) {
    const tables: Table[] = [];
    const counts = short ? [1, 10] : [1, 10, 1000];
    const distances = short ? [20, 60] : [0, 20, 100];
    for (const kind of KINDS.filter((_, i) => !short || i % 3 === 0)) {
      const smartHost = await startReceiver(kind.offer);
      if (smartHost === null) continue;
      tables.push(await measureTable(kind, smartHost, counts, distances, { runs: short ? Math.min(runs, 2) : runs, short, progress }));
      smartHost.stop();
    }
    const many = tables.find(({ title }) => title.startsWith('STARTTLS') && title.endsWith('AUTH'));
    return {
      method: `A proxy on loopback (bench/support/distance.mjs) holds every octet for half a round trip and lets the connection itself take what TCP takes; Nagle's algorithm is off in it. Round trips are the slope of the wall time over the distance, from ${distances.at(-2)} to ${distances.at(-1)} ms (nearer, a client works while it would be waiting), of the whole process: a client that waits for the reply to QUIT shows one more. The minimum is TCP 1, greeting 1, EHLO 1, STARTTLS 1, the TLS 1.3 handshake 1, EHLO again 1, AUTH with an initial response 1, and the flights that all-or-nothing allows. A program that sends DATA before it has seen the answers to RCPT needs one less for many recipients, and cannot be all-or-nothing. Programs of others run ${OTHERS} times, since their round trips do not vary; a thousand recipients are for those that pipeline.`,
      tables,
      claims: claims(tables, counts),
      glance: many ? [glance('round trips, STARTTLS, AUTH, 10 recipients', 1, many, 'trips 10')] : [],
      versions: others().map(({ version }) => version),
    };
  },
};

/** At most so many rounds for the programs of others. */
const OTHERS = 3;

/** One table for all counts of recipients, with a row for each program. */
async function measureTable(
  kind: Kind,
  smartHost: Receiver,
  counts: readonly number[],
  distances: readonly number[],
  setting: Setting,
): Promise<Table> {
  // Without PIPELINING a thousand recipients are a thousand trips of 100 ms, and ten show the same.
  const measurable = counts.filter((count) => count <= 10 || kind.offer.pipelining);
  const all: Row[][] = [];
  for (const count of measurable) all.push(await measureKind(kind, smartHost, count, distances, setting));
  const names = [...new Set(all.flatMap((rows) => rows.map(({ name }) => name)))];
  const joined = names.map((name): Row => {
    const rows = all.flatMap((each) => each.find((row) => row.name === name) ?? []);
    const failed = rows.find((row) => row.failed !== undefined)?.failed;
    return {
      name,
      runs: Math.max(...rows.map((row) => row.runs)),
      measures: Object.assign({}, ...rows.map((row) => row.measures)) as Row['measures'],
      ...(failed === undefined ? {} : { failed }),
    };
  });
  const failures = measurable.flatMap((count, i) =>
    (all[i] as Row[]).flatMap(({ name, failed }) => (failed === undefined ? [] : [` Failed: ${name}, ${count} recipients: ${failed}.`])),
  );
  const few = measurable.filter((count) => count <= 10);
  return {
    title: kind.title.charAt(0).toUpperCase() + kind.title.slice(1),
    note: `Receiver: ${smartHost.name}.${failures.join('')}`,
    base: 'minimum',
    columns: measurable.flatMap((count) => columnsOf(count, distances)),
    chart: kind.drawn ? few.map((count) => `trips ${count}`) : [],
    rows: joined,
  };
}

async function measureKind(kind: Kind, smartHost: Receiver, count: number, distances: readonly number[], setting: Setting): Promise<Row[]> {
  const recipients = Array.from({ length: count }, (_, i) => `recipient${i}@example.org`);
  const far = await Promise.all(distances.map((rtt) => startDistance(smartHost.port, rtt)));
  const input = { file: message('lf', 2048) };
  const cases = peers(count, setting.short).flatMap((peer): Case[] => {
    const each = distances.map((rtt, i) => {
      const what: Submission = submission(smartHost, { port: far[i]?.port as number, recipients });
      return { rtt, run: sendCase(peer, smartHost, what, input)?.run };
    });
    if (each.some(({ run }) => run === undefined)) return [];
    return [
      {
        name: peer.name,
        ...(peer.name === 'nospool' ? {} : { most: OTHERS }),
        // A run has all distances, so that each run has a slope of its own.
        run: async () => {
          const walls: number[] = [];
          for (const { run } of each) walls.push((await run?.())?.wall as number);
          const [near, last] = distances.slice(-2) as [number, number];
          const [from, to] = walls.slice(-2) as [number, number];
          return {
            [`trips ${count}`]: (to - from) / (last - near),
            ...Object.fromEntries(walls.map((wall, i) => [`wall ${count} ${distances[i]}`, wall])),
          };
        },
      },
    ];
  });
  const rows = await runRounds(cases, setting.runs, setting.progress, false);
  for (const each of far) each.stop();
  const minimum = kind.before + flights(kind.offer, count);
  return [{ name: 'minimum', ...summary([{ [`trips ${count}`]: minimum }]) }, ...rows];
}

/** Programs that send one command a round trip need minutes for a thousand recipients, and ten show their count. */
function peers(count: number, short: boolean): Peer[] {
  const [own] = ours();
  return [...(own ? [own] : []), ...others().filter(({ name }) => count <= (short ? 0 : 10) || /Exim/.test(name))];
}

function claims(tables: readonly Table[], counts: readonly number[]): Claim[] {
  const off = tables.flatMap((each) =>
    counts.flatMap((count) => {
      const [least, own] = ['minimum', 'nospool'].map((name) => medianOf(each, name, `trips ${count}`));
      return least === undefined || own === undefined ? [] : [{ title: `${each.title}, ${count}`, over: own - least }];
    }),
  );
  const worst = off.sort((a, b) => b.over - a.over)[0];
  // Timers and a slow start of TLS may take a third of a round trip.
  return [
    {
      text: 'Round trips are the minimum everywhere',
      wanted: '≤ 0.35 over it',
      holds: worst ? worst.over < 0.35 : null,
      measured: worst ? `at most ${worst.over.toFixed(2)} over it (${worst.title} recipients)` : 'not measured here',
      limit: '0.35 is what this bench allows for timers and processor time; a flight too many would be 1.00.',
    },
  ];
}
