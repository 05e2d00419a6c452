/** Round trips: counted by how much longer a message takes when the smart host is further away. */
import { type Bench, type Setting, sending, submission } from './support/bench.ts';
import { flights } from './support/flights.ts';
import { message } from './support/material.ts';
import { others, ours, type Peer, type Submission } from './support/peers.ts';
import { distant, type Offer, type Receiver, receiver } from './support/receivers.ts';
import type { Claim, Column, Table } from './support/report.ts';
import { type Case, type Row, rounds, summary } from './support/rounds.ts';

interface Kind {
  readonly title: string;
  readonly offer: Offer;
  /** Before MAIL: TCP, greeting, EHLO, and what the kind adds. */
  readonly before: number;
}

const KINDS: readonly Kind[] = [
  { title: 'clear text, PIPELINING', offer: { pipelining: true }, before: 3 },
  { title: 'clear text, PIPELINING, CHUNKING', offer: { pipelining: true, chunking: true }, before: 3 },
  { title: 'clear text, nothing offered', offer: {}, before: 3 },
  { title: 'clear text, PIPELINING, AUTH', offer: { pipelining: true, auth: true }, before: 4 },
  { title: 'TLS from the start, PIPELINING', offer: { pipelining: true, tls: 'implicit' }, before: 4 },
  { title: 'STARTTLS, PIPELINING', offer: { pipelining: true, tls: 'starttls' }, before: 6 },
  { title: 'STARTTLS, PIPELINING, AUTH', offer: { pipelining: true, tls: 'starttls', auth: true }, before: 7 },
];

const TRIPS: Column = { key: 'trips', title: 'round trips', digits: 2 };

export const latency: Bench = {
  name: 'latency',
  title: 'Round trips and latency',
  async run({ runs, short, progress }) {
    const tables: Table[] = [];
    const counts = short ? [1, 10] : [1, 10, 1000];
    const distances = short ? [20, 60] : [0, 20, 100];
    for (const kind of KINDS.filter((_, i) => !short || i % 3 === 0)) {
      const smartHost = await receiver(kind.offer);
      if (smartHost === null) continue;
      for (const count of counts) {
        // A thousand trips of 100 ms tell nothing that ten of them do not.
        if (count > 10 && !kind.offer.pipelining) continue;
        tables.push(await table(kind, smartHost, count, distances, { runs: short ? 2 : Math.min(runs, 5), short, progress }));
      }
      smartHost.stop();
    }
    return {
      method: `A proxy on loopback holds every octet for half a round trip and lets the connection itself take what TCP takes; Nagle's algorithm is off in it. Round trips are the slope of the wall time over the distance, from ${distances.at(-2)} to ${distances.at(-1)} ms (nearer, a client works while it would be waiting), of the whole process: a client that waits for the reply to QUIT shows one more. The minimum is TCP 1, greeting 1, EHLO 1, STARTTLS 1, the TLS 1.3 handshake 1, EHLO again 1, AUTH with an initial response 1, and the flights that all-or-nothing allows (SPEC §7).`,
      tables,
      claims: claims(tables),
      versions: others().map(({ version }) => version),
    };
  },
};

async function table(kind: Kind, smartHost: Receiver, count: number, distances: readonly number[], setting: Setting): Promise<Table> {
  const recipients = Array.from({ length: count }, (_, i) => `recipient${i}@example.org`);
  const far = await Promise.all(distances.map((rtt) => distant(smartHost.port, rtt)));
  const input = { file: message('lf', 2048) };
  const cases = peers(count, setting.short).flatMap((peer): Case[] => {
    const each = distances.map((rtt, i) => {
      const what: Submission = submission(smartHost, { port: far[i]?.port as number, recipients });
      return { rtt, run: sending(peer, smartHost, what, input)?.run };
    });
    if (each.some(({ run }) => run === undefined)) return [];
    return [
      {
        name: peer.name,
        // All distances in one run, so that each run has a slope of its own.
        run: async () => {
          const measures: Record<string, number> = {};
          for (const { rtt, run } of each) measures[`wall${rtt}`] = (await run?.())?.wall as number;
          const [near, last] = distances.slice(-2) as [number, number];
          return { ...measures, trips: ((measures[`wall${last}`] as number) - (measures[`wall${near}`] as number)) / (last - near) };
        },
      },
    ];
  });
  const rows = await rounds(cases, setting.runs, setting.progress, false);
  for (const each of far) each.stop();
  const minimum = kind.before + flights(kind.offer, count);
  const least: Row = { name: 'minimum', ...summary([{ trips: minimum }]) };
  const walls = distances.map((rtt) => ({ key: `wall${rtt}`, title: `${rtt} ms away, ms`, digits: 0 }));
  return {
    title: `${count === 1 ? 'One recipient' : `${count} recipients`}, ${kind.title}`,
    note: `Receiver: ${smartHost.name}, through bench/support/distance.mjs.`,
    base: 'minimum',
    columns: [TRIPS, ...walls],
    chart: 'trips',
    rows: [least, ...rows],
  };
}

/** Programs that say one command a round trip need minutes for a thousand recipients; their count is known from ten. */
function peers(count: number, short: boolean): Peer[] {
  const [own] = ours();
  return [...(own ? [own] : []), ...others().filter(({ name }) => count <= (short ? 0 : 10) || /Exim/.test(name))];
}

function claims(tables: readonly Table[]): Claim[] {
  const off = tables.flatMap(({ title, rows }) => {
    const [least, own] = [rows[0], rows.find(({ name }) => name === 'nospool')].map((row) => row?.measures.trips?.median);
    return least === undefined || own === undefined ? [] : [{ title, over: own - least }];
  });
  const worst = off.sort((a, b) => b.over - a.over)[0];
  // A third of a round trip: timers and a slower start of TLS are not round trips.
  return [
    {
      text: 'Round trips are the minimum everywhere',
      holds: worst ? worst.over < 0.35 : null,
      measured: worst ? `at most ${worst.over.toFixed(2)} over it (${worst.title})` : 'not measured here',
    },
  ];
}
