/** One short message, one process: what a cron mail costs. */
import { type Bench, CPU, RSS, sending, starting, submission, WALL } from './support/bench.ts';
import { message } from './support/material.ts';
import { MEASURED_BY } from './support/measure.ts';
import { nativeFloor, nodeFloor, others, ours } from './support/peers.ts';
import { type Offer, receiver } from './support/receivers.ts';
import { type Claim, claim, ratio, type Table } from './support/report.ts';
import { rounds } from './support/rounds.ts';
import { node, runtimes } from './support/runtimes.ts';

const KINDS: readonly { readonly title: string; readonly offer: Offer }[] = [
  { title: 'clear text', offer: { pipelining: true } },
  { title: 'TLS from the start', offer: { pipelining: true, tls: 'implicit' } },
  { title: 'STARTTLS and AUTH', offer: { pipelining: true, tls: 'starttls', auth: true } },
];

export const startup: Bench = {
  name: 'startup',
  title: 'Start-up: a message of 2 KiB, the whole process',
  async run({ runs, short, progress }) {
    const floor = nativeFloor();
    const peers = [...ours(), nodeFloor(), ...(floor ? [floor] : []), ...others()];
    const tables: Table[] = [];
    for (const { title, offer } of KINDS) {
      const smartHost = await receiver(offer);
      if (smartHost === null) continue;
      const cases = [
        ...runtimes().map(({ name, argv }) => starting(`${name} -e 0`, [...argv, '-e', '0'])),
        ...peers.flatMap((peer) => {
          const input = { file: message(peer.verbatim ? 'crlf' : 'lf', 2048) };
          return sending(peer, smartHost, submission(smartHost), input) ?? [];
        }),
      ];
      const rows = await rounds(cases, short ? runs : 2 * runs, progress);
      smartHost.stop();
      tables.push({
        title: `2 KiB, ${title}`,
        note: `Receiver: ${smartHost.name}.`,
        base: `${node.name} -e 0`,
        columns: [WALL, CPU, RSS],
        chart: 'wall',
        rows,
      });
    }
    return {
      method: `Each run is a fresh process with the message as a regular file on standard input, measured by ${MEASURED_BY}; twice as many runs as elsewhere, since they are short. NODE_EXTRA_CA_CERTS and NODE_OPTIONS are unset.`,
      tables,
      claims: claims(tables),
      versions: [...runtimes().map(({ version }) => version), ...others().map(({ version }) => version)],
    };
  },
};

function claims(tables: readonly Table[]): Claim[] {
  const [clear, tls] = tables;
  if (!clear) return [];
  const bare = `${node.name} -e 0`;
  const bun = ours().find(({ name }) => name.startsWith('nospool, Bun'))?.name ?? '';
  const rss = (name: string): number | undefined => clear.rows.find((row) => row.name === name)?.measures.rss?.median;
  const [own, runtime] = [rss('nospool'), rss(bare)];
  return [
    claim('2 KiB in clear text takes at most 1.30 of `node -e 0`', ratio(clear, 'nospool', bare, 'wall'), 1.3),
    ...(tls
      ? [claim('2 KiB over TLS takes no more than the bare socket writer over TLS', ratio(tls, 'nospool', nodeFloor().name, 'wall'), 1.0)]
      : []),
    claim('2 KiB in clear text, Bun: not slower than Exim', ratio(clear, bun, 'Exim mua_wrapper', 'wall'), 1),
    ...(tls ? [claim('2 KiB over TLS, Bun: not slower than Exim', ratio(tls, bun, 'Exim mua_wrapper', 'wall'), 1)] : []),
    claim('Peak RSS is at most 6 MiB over `node -e 0`', own === undefined || runtime === undefined ? null : own - runtime, 6),
  ];
}
