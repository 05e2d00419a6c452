/** Measures messages with many recipients and with large alias files. */
import { existsSync, writeFileSync } from 'node:fs';
import { type Bench, CPU, RSS, sendCase, submission, WALL } from './support/bench.ts';
import { message } from './support/material.ts';
import { MEASURED_BY } from './support/measure.ts';
import { others, ours, type Submission } from './support/peers.ts';
import { inCache } from './support/places.ts';
import { startReceiver } from './support/receivers.ts';
import type { Claim } from './support/report.ts';
import { runRounds } from './support/rounds.ts';
import { bun, node } from './support/runtimes.ts';
import type { Table } from './support/table.ts';

const DOMAIN = 'bench.example';
/** With one recipient more, Exim 4.96 cannot read its spool file back (found by trying). */
const EXIM_MOST = 16_384;
const printCount = (number: number): string => number.toLocaleString('en');

interface Kind {
  readonly title: string;
  readonly what: Pick<Submission, 'recipients' | 'aliases'>;
  readonly note?: string;
  /** Leaves out programs that read no alias file or need minutes. */
  readonly peers: RegExp;
}

export const recipients: Bench = {
  name: 'recipients',
  title: 'Many recipients, large alias files',
  async run({ runs, short, progress }) {
    const [most, many] = [short ? 2000 : EXIM_MOST, 50_000];
    const entries = short ? 20_000 : 1_000_000;
    const expanded = short ? 2000 : 20_000;
    const kinds: Kind[] = [
      { title: `${printCount(most)} recipients as arguments`, what: { recipients: addresses(most) }, peers: /nospool|Exim|smtplib/ },
      ...(short
        ? []
        : [
            {
              title: `${printCount(many)} recipients as arguments`,
              note: ` Exim reads no more than ${printCount(most)} recipients of a message back from its spool file.`,
              what: { recipients: addresses(many) },
              peers: /nospool|smtplib/,
            },
          ]),
      {
        title: `An alias file of ${printCount(entries)} entries, one recipient in the middle of it`,
        what: { recipients: [`user${Math.floor(entries / 2)}@${DOMAIN}`], aliases: aliasFile(entries) },
        peers: /nospool|Exim/,
      },
      {
        title: `An alias that expands to ${printCount(expanded)} addresses`,
        what: { recipients: [`everybody@${DOMAIN}`], aliases: expandingFile(expanded) },
        peers: /nospool|Exim/,
      },
    ];
    const tables: Table[] = [];
    for (const { title, note = '', what, peers } of kinds) {
      const smartHost = await startReceiver({ pipelining: true });
      if (smartHost === null) break;
      const input = { file: message('lf', 2048) };
      const cases = [...ours().filter(({ version }) => [node.version, bun()?.version].includes(version)), ...others()]
        .filter(({ name }) => peers.test(name))
        .flatMap((peer) => sendCase(peer, smartHost, submission(smartHost, what), input) ?? []);
      const rows = await runRounds(cases, runs, progress);
      smartHost.stop();
      tables.push({
        title,
        note: `Receiver: ${smartHost.name}.${note}`,
        base: 'Exim mua_wrapper',
        columns: [WALL, CPU, RSS],
        chart: ['wall'],
        rows,
      });
    }
    return {
      method: `Each run is a fresh process, measured by ${MEASURED_BY}. The alias files are text, read anew each time: Exim's with lsearch.`,
      tables,
      claims: claims(tables),
      versions: [node, bun(), ...others()].flatMap((each) => each?.version ?? []),
    };
  },
};

const addresses = (count: number): string[] => Array.from({ length: count }, (_, i) => `user${i}@example.org`);

function aliasFile(entries: number): string {
  const file = inCache(`aliases-${entries}`);
  const text = (): string => `${Array.from({ length: entries }, (_, i) => `user${i}: target${i}@example.org`).join('\n')}\n`;
  if (!existsSync(file)) writeFileSync(file, text());
  return file;
}

function expandingFile(count: number): string {
  const file = inCache(`aliases-everybody-${count}`);
  if (!existsSync(file)) writeFileSync(file, `everybody: ${addresses(count).join(',\n ')}\n`);
  return file;
}

function claims(tables: readonly Table[]): Claim[] {
  const many = tables.findLast(({ title }) => title.endsWith('recipients as arguments'));
  const own = many?.rows.find(({ name }) => name === 'nospool');
  if (!many || !own) return [];
  return [
    {
      text: `${many.title} in one transaction`,
      wanted: 'accepted',
      holds: own.runs > 0,
      measured: own.runs > 0 ? `accepted in ${own.measures.wall?.median.toFixed(0)} ms` : (own.failed ?? ''),
    },
  ];
}
