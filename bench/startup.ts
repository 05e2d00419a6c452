/** Measures one short message in one process, as cron sends it. */
import { type Bench, CPU, glance, RSS, sendCase, startCase, submission, WALL } from './support/bench.ts';
import { installed } from './support/installed.ts';
import { message } from './support/material.ts';
import { MEASURED_BY } from './support/measure.ts';
import { asInstalled, bunFloor, flaggedFloor, loadedFloor, nativeFloor, nodeFloor, others, ours, type Peer } from './support/peers.ts';
import { type Offer, startReceiver } from './support/receivers.ts';
import { type Claim, claim, type Floor, medianOf, ratio } from './support/report.ts';
import { type Case, type Row, runRounds } from './support/rounds.ts';
import { bun, node, type Runtime, runtimes } from './support/runtimes.ts';
import type { Table } from './support/table.ts';

interface Kind {
  readonly title: string;
  readonly short: string;
  readonly offer: Offer;
}
const KINDS: readonly Kind[] = [
  { title: 'clear text', short: 'clear', offer: { pipelining: true } },
  { title: 'TLS from the start', short: 'tls', offer: { pipelining: true, tls: 'implicit' } },
  { title: 'STARTTLS and AUTH', short: 'auth', offer: { pipelining: true, tls: 'starttls', auth: true } },
];

const BARE = `${node.name} -e 0`;
const EXIM = 'Exim mua_wrapper';

export const startup: Bench = {
  name: 'startup',
  title: 'Start-up: a message of 2 KiB, the whole process',
  async run({ runs, short, progress }) {
    const floor = nativeFloor();
    const other = bun();
    const scripts = [node, other].flatMap((runtime) => (runtime ? (asInstalled(runtime) ?? []) : []));
    const ofBun = other ? [bunFloor(other)] : [];
    const peers = [
      ...ours(),
      ...scripts,
      ...ofBun,
      ...runtimes().flatMap((runtime) => [nodeFloor(runtime), loadedFloor(runtime)]),
      flaggedFloor(),
      ...(floor ? [floor] : []),
      ...others(),
    ];
    const tables: Table[] = [];
    const measured: [Kind, readonly Row[]][] = [];
    for (const kind of KINDS) {
      const smartHost = await startReceiver(kind.offer);
      if (smartHost === null) continue;
      const cases = [
        ...runtimes().map(({ name, argv }) => startCase(`${name} -e 0`, [...argv, '-e', '0'])),
        ...(kind.short === 'clear' ? loaded() : []),
        ...peers.flatMap((peer: Peer) => {
          const input = { file: message(peer.verbatim ? 'crlf' : 'lf', 2048) };
          return sendCase(peer, smartHost, submission(smartHost), input) ?? [];
        }),
      ];
      const rows = await runRounds(cases, short ? runs : 4 * runs, progress);
      smartHost.stop();
      measured.push([kind, rows]);
      tables.push({
        title: `2 KiB, ${kind.title}`,
        note: `Receiver: ${smartHost.name}.`,
        base: BARE,
        columns: [WALL, CPU, RSS],
        chart: ['wall'],
        rows: rows.filter(({ name }) => !newer().some((runtime) => name.includes(runtime.name))),
      });
    }
    const all = byRuntime(measured);
    return {
      method: `Each run is a fresh process with the message as a regular file on standard input, measured by ${MEASURED_BY}; four times as many runs as elsewhere, since they are short. NODE_EXTRA_CA_CERTS, SSL_CERT_FILE and NODE_OPTIONS are unset. nospool has the code that \`nospool install\` keeps for a runtime; "as installed" is the shell script that it writes, which starts a shell first.`,
      tables: [...tables, all],
      claims: claims(tables, all),
      glance: [
        glance('2 KiB, clear text: ms', 1, tables[0], 'wall'),
        glance('2 KiB, TLS: ms', 1, tables[1], 'wall'),
        glance('2 KiB, clear text: peak RSS, MiB', 1, tables[0], 'rss'),
      ],
      versions: [...runtimes().map(({ version }) => version), ...others().map(({ version }) => version)],
    };
  },
};

const LOADED = 'sendmail --version';
const loadedUnder = (runtime: Runtime): string => (runtime === node ? LOADED : `${LOADED}, ${runtime.name}`);

/** Loads all that a message in clear text needs, and sends nothing. */
function loaded(): Case[] {
  const other = bun();
  return [node, ...(other ? [other] : [])].flatMap((runtime) => {
    const command = installed(runtime);
    return command ? [startCase(loadedUnder(runtime), [...command.argv, '--version'])] : [];
  });
}

/** Nodes besides the default one, which have a table of their own. */
const newer = (): Runtime[] => runtimes().filter((runtime) => runtime !== node && !runtime.bun);

/** One row for each runtime: its bare start, the bare socket writer, nospool. */
function byRuntime(measured: readonly [Kind, readonly Row[]][]): Table {
  const rows = runtimes().map((runtime): Row => {
    const names: [string, string][] = [
      ['bare', `${runtime.name} -e 0`],
      ['floor', nodeFloor(runtime).name],
      ['loaded', loadedFloor(runtime).name],
      ['own', runtime === node ? 'nospool' : `nospool, ${runtime.name}`],
    ];
    const measures: Record<string, Row['measures'][string]> = {};
    let runs = 0;
    for (const [kind, all] of measured)
      for (const [key, name] of names) {
        const row = all.find((each) => each.name === name);
        for (const measure of ['wall', 'rss']) {
          const spread = row?.measures[measure];
          if (spread) measures[`${key} ${kind.short} ${measure}`] = spread;
        }
        runs = Math.max(runs, row?.runs ?? 0);
      }
    return { name: runtime.name, runs, measures };
  });
  const column = (key: string, title: string, single = false) => ({ key, title, digits: 1, single });
  return {
    title: '2 KiB under each runtime',
    note: 'From the same runs as above; ms unless said. The bare socket writer is the least that a program under that runtime can do; with our code loaded, the least that one of our size can.',
    base: '',
    columns: [
      column('bare clear wall', '-e 0'),
      column('floor clear wall', 'bare socket writer'),
      column('loaded clear wall', 'with our code loaded'),
      column('own clear wall', 'nospool'),
      column('floor tls wall', 'bare socket writer, TLS'),
      column('loaded tls wall', 'with our code loaded, TLS'),
      column('own tls wall', 'nospool, TLS'),
      column('own auth wall', 'nospool, STARTTLS and AUTH'),
      column('bare clear rss', '-e 0, MiB', true),
      column('own clear rss', 'nospool, MiB', true),
      column('own tls rss', 'nospool, TLS, MiB', true),
    ],
    chart: ['bare clear wall', 'floor clear wall', 'own clear wall', 'own tls wall'],
    rows,
  };
}

/** How much more memory a case takes than its runtime alone. */
function rssOver(clear: Table, name: string, floor: string): number | null {
  const [above, below] = [medianOf(clear, floor, 'rss'), medianOf(clear, `${name} -e 0`, 'rss')];
  return above === undefined || below === undefined ? null : above - below;
}

function claims([clear, tls]: readonly Table[], all: Table): Claim[] {
  if (!clear) return [];
  const other = bun();
  const own = other ? `nospool, ${other.name}` : '';
  const floor = other ? bunFloor(other).name : '';
  const [rss, bareRss] = [medianOf(clear, 'nospool', 'rss'), medianOf(clear, BARE, 'rss')];
  const underBun = (table: Table | undefined): Floor => ({ name: floor, value: ratio(table, floor, EXIM, 'wall') });
  const inMs = (table: Table | undefined): string =>
    [`${other?.name} -e 0`, floor, own, `nospool, as installed, ${other?.name}`, EXIM]
      .map((name) => `${name}: ${medianOf(table, name, 'wall')?.toFixed(1) ?? '–'} ms`)
      .join('; ');
  const least = nodeFloor().name;
  const loading = ratio(clear, LOADED, BARE, 'wall');
  const parts = 'What each part of a start takes: [What a start consists of](#what-a-start-consists-of).';
  /** A ratio or a difference of two columns of one runtime. */
  const of = (name: string, over: string, under: string, isRatio: boolean): number | null => {
    const [above, below] = [medianOf(all, name, over), medianOf(all, name, under)];
    return above === undefined || below === undefined ? null : isRatio ? above / below : above - below;
  };
  const current = 'Node 24';
  const ofCurrent = loadedFloor().name.replace(node.name, current);
  const floorOf = (kind: string): string => `the bare socket writer: ${medianOf(all, current, `floor ${kind} wall`)?.toFixed(1) ?? '–'} ms`;
  return [
    claim(
      '2 KiB in clear text under Node 24 against `node -e 0`: wall',
      of(current, 'own clear wall', 'bare clear wall', true),
      { most: 1.4 },
      {
        unit: ' ×',
        floor: { name: ofCurrent, value: of(current, 'loaded clear wall', 'bare clear wall', true) },
      },
    ),
    claim(
      '2 KiB over TLS under Node 24 against the bare socket writer over TLS: wall',
      of(current, 'own tls wall', 'floor tls wall', true),
      { most: 1.15 },
      {
        unit: ' ×',
        floor: { name: ofCurrent, value: of(current, 'loaded tls wall', 'floor tls wall', true) },
        limit: `${floorOf('tls')}, over TLS; ${floorOf('clear')}, in clear. ${parts}`,
      },
    ),
    claim(
      '2 KiB under Bun: peak RSS over that of `bun -e 0`',
      other ? of(other.name, 'own clear rss', 'bare clear rss', false) : null,
      { most: 13 },
      {
        unit: ' MiB',
        floor: {
          name: other ? loadedFloor(other).name : '',
          value: other ? rssOver(clear, other.name, loadedFloor(other).name) : null,
        },
        limit: `${floor}: ${rssOver(clear, other?.name ?? '', floor)?.toFixed(1) ?? '–'} MiB.`,
      },
    ),
    claim(
      '2 KiB in clear text against `node -e 0`: wall',
      ratio(clear, 'nospool', BARE, 'wall'),
      { most: 1.3 },
      {
        unit: ' ×',
        floor: { name: loadedFloor().name, value: ratio(clear, loadedFloor().name, BARE, 'wall') },
        limit: `${least}: ${ratio(clear, least, BARE, 'wall')?.toFixed(2) ?? '–'} ×. ${loading === null ? '' : `${LOADED}, which loads the program and sends nothing: ${loading.toFixed(2)} ×. `}${parts}`,
      },
    ),
    claim(
      '2 KiB over TLS against the bare socket writer over TLS: wall',
      ratio(tls, 'nospool', least, 'wall'),
      { most: 1 },
      {
        unit: ' ×',
        limit: `With the flag of our script the writer has ${ratio(tls, flaggedFloor().name, least, 'wall')?.toFixed(2) ?? '–'} ×. It makes its secure context while TCP connects, reads no configuration, checks no reply and says fixed commands. ${parts}`,
      },
    ),
    claim(
      '2 KiB in clear text under Bun against Exim: wall',
      ratio(clear, own, EXIM, 'wall'),
      { most: 1.5 },
      { unit: ' ×', floor: underBun(clear), limit: `${inMs(clear)}.` },
    ),
    claim(
      '2 KiB over TLS under Bun against Exim: wall',
      ratio(tls, own, EXIM, 'wall'),
      { most: 1.8 },
      { unit: ' ×', floor: underBun(tls), limit: `${inMs(tls)}.` },
    ),
    claim(
      '2 KiB: peak RSS over that of `node -e 0`',
      rss === undefined || bareRss === undefined ? null : rss - bareRss,
      { most: 5 },
      {
        unit: ' MiB',
        floor: { name: loadedFloor().name, value: rssOver(clear, node.name, loadedFloor().name) },
        limit: `${least}: ${rssOver(clear, node.name, least)?.toFixed(1) ?? '–'} MiB.`,
      },
    ),
  ];
}
