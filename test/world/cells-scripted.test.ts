/**
 * The manual's tables of TLS and credentials, every line of them, at a scripted server: it offers, refuses, breaks and takes
 * away what real ones only do when something is wrong.
 */
import assert from 'node:assert/strict';
import { suiteWith } from '../interop/support/needs.ts';
import { type SmarthostOptions, startHost, type Talk, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { assertSeen, type Cell, cellsOf, type Seen, type Way, walk } from './support/cells.ts';
import { certificateOf, domainOf, type Face, loopbackOf, PORTS, placeOf, recordsOf } from './support/faces.ts';
import { type NameServer, startNameServer } from './support/names.ts';
import { type Client, theNetwork } from './support/network.ts';
import { fateOf, LINES, type Mode, SERVERS, unusedLines, WHERES } from './support/table.ts';
import { listenOn, type Wire } from './support/wire.ts';

const test = suiteWith('TLS and credentials, at a scripted server', 'root', 'unshare', 'python3', 'bind9');

/** What a face says after the connection; `implicit` where it has port 465. */
interface Scripted extends Face {
  /** The words of the column "server" at the ports that begin in clear, and at port 465. */
  readonly server: string;
  readonly implicit?: string;
  readonly offers?: readonly string[];
  readonly script?: SmarthostOptions['script'];
}

const AUTH = 'AUTH PLAIN';
const STARTTLS = ['STARTTLS', AUTH];

/** 220 is said, TLS is begun by the client, and the answer is this. */
const notTls = (answer: string) => ({
  handshake: async ({ exactly }: Talk) => {
    await exactly(1);
    return answer;
  },
});

// biome-ignore format: a table is read as a table
const FACES: readonly Scripted[] = [
  { name: 'good', last: 20, kind: 'good', server: 'good certificate', implicit: 'good certificate' },
  { name: 'unknown-ca', last: 21, kind: 'unknown CA', server: 'bad certificate', implicit: 'bad certificate' },
  { name: 'wrong-name', last: 22, kind: 'wrong name', server: 'bad certificate', implicit: 'bad certificate' },
  { name: 'expired', last: 23, kind: 'expired', server: 'bad certificate', implicit: 'bad certificate' },
  { name: 'future', last: 24, kind: 'future', server: 'bad certificate', implicit: 'bad certificate' },
  { name: 'no-auth', last: 25, kind: 'good', server: 'no AUTH in TLS', implicit: 'no AUTH in TLS', offers: ['STARTTLS'] },
  { name: 'auth-before', last: 26, kind: 'good', server: 'no AUTH in TLS', script: { 'second EHLO': '250 smart.example' } },
  { name: 'refused-later', last: 27, kind: 'good', server: 'STARTTLS fails', script: { STARTTLS: '454 4.7.0 not now' } },
  { name: 'refused', last: 28, kind: 'good', server: 'STARTTLS fails', script: { STARTTLS: '502 5.5.1 what' } },
  { name: 'clear-after', last: 29, kind: 'good', server: 'STARTTLS fails', script: notTls('250 go on in clear') },
  { name: 'closes', last: 30, kind: 'good', server: 'STARTTLS fails', script: notTls('close') },
  { name: 'injected', last: 31, kind: 'good', server: 'STARTTLS fails', script: { STARTTLS: '220 go ahead\r\n250 and on in clear\r\n' } },
  { name: 'plain', last: 32, kind: null, server: 'no STARTTLS', implicit: 'no TLS', offers: [AUTH] },
  { name: 'again', last: 34, kind: 'good', server: 'good certificate', implicit: 'good certificate', script: { 'second EHLO': `250 smart.example\nSTARTTLS\n${AUTH}` } },
  { name: 'stripped', last: 33, kind: null, server: 'no STARTTLS', offers: ['XXXXXXXA', AUTH] },
];

/** Only where the domain is asked for its MX or SRV records. */
const ABROAD: readonly Scripted[] = [
  { name: 'of-domain', last: 40, kind: 'of the domain', server: 'good certificate', implicit: 'good certificate' },
  { name: 'of-target', last: 41, kind: 'of the target', server: 'bad certificate', implicit: 'bad certificate' },
];

const ANY: readonly Mode[] = ['empty', 'required', 'opportunistic'];
const ALL: readonly Mode[] = [...ANY, 'off'];

const faceOf = (name: string): Scripted => FACES.find((face) => face.name === name) as Scripted;
const [GOOD, UNKNOWN, WRONG, EXPIRED, PLAIN] = ['good', 'unknown-ca', 'wrong-name', 'expired', 'plain'].map(faceOf) as [
  Scripted,
  Scripted,
  Scripted,
  Scripted,
  Scripted,
];
/** Those that are tried with every scheme; the others differ from one of them in how, not in what. */
const WHOLE: ReadonlySet<Scripted> = new Set([GOOD, UNKNOWN, WRONG, EXPIRED, PLAIN, faceOf('refused')]);

type Urls = readonly (readonly [url: string, isSubmissions: boolean])[];
const schemes = (domain: string): Urls => [
  [`smtp://${domain}`, false],
  [`submission://${domain}`, false],
  [`lmtp://${domain}`, false],
  [`${domain}/MX`, false],
  [`submission://${domain}/SRV`, false],
  [`submissions://${domain}`, true],
  [`submissions://${domain}/SRV`, true],
];
const both = (host: string): Urls => schemes(host).filter(([url]) => url.endsWith(`//${host}`) && url.startsWith('submission'));
const byRecords = (domain: string): Urls => schemes(domain).filter(([url]) => /\/(MX|SRV)$/.test(url));

/** The urls as ways to the face, in these modes; port 465 only where the face has it, and never with "off". */
function waysTo(face: Scripted, urls: Urls, modes: readonly Mode[] = ALL, more: Partial<Way> = {}): readonly Way[] {
  return urls
    .filter(([, isSubmissions]) => !isSubmissions || face.implicit !== undefined)
    .map(([url, isSubmissions]) => ({
      title: `${face.name}: ${url}`,
      url,
      isSubmissions,
      server: (isSubmissions ? face.implicit : face.server) ?? '',
      modes: isSubmissions ? modes.filter((mode) => mode !== 'off') : modes,
      ...more,
    }));
}

const socketOf = (client: Client, face: Face): string => `${client.folder}/${face.name}.socket`;
/** A port of the client's own loopback, at 127.0.0.1 and ::1. */
const ownPort = (face: Face): number => 2000 + face.last;

function writtenAsLoopback(face: Scripted): readonly Way[] {
  const hosts = [
    loopbackOf(face),
    ...['127.0.0.1', 'localhost', 'mail.localhost', '[::1]', '[::ffff:127.0.0.1]'].map((host) => `${host}:${ownPort(face)}`),
  ];
  const urls = [`smtp://${loopbackOf(face)}`, `lmtp://${loopbackOf(face)}`, ...hosts.map((host) => `submission://${host}`)];
  const more = { where: 'loopback' } as const;
  const modes = ALL.filter((mode) => mode !== 'required');
  // A socket has no name that a certificate could be for.
  const socket: Way = {
    tls: `server_name = "${domainOf(face)}"\n`,
    title: `${face.name}: unix:`,
    url: (client) => `unix:${socketOf(client, face)}`,
    server: face.server,
    modes,
    ...more,
  };
  return [
    ...waysTo(
      face,
      urls.map((url) => [url, false]),
      modes,
      more,
    ),
    socket,
  ];
}

const WAYS: readonly Way[] = [
  ...FACES.flatMap((face) => waysTo(face, (WHOLE.has(face) ? schemes : both)(domainOf(face)))),
  ...ABROAD.flatMap((face) => waysTo(face, byRecords(domainOf(face)))),
  // Written as addresses, and a name that has only the other kind.
  ...[GOOD, WRONG].flatMap((face) =>
    [placeOf(face).v4, `[${placeOf(face).v6}]`, `six.${domainOf(face)}`].flatMap((host) =>
      waysTo(face, both(host), ['empty', 'opportunistic']),
    ),
  ),
  // Names that DNS, a record or /etc/hosts leads to the client's own loopback: nothing is different there.
  ...[GOOD, WRONG, PLAIN].flatMap((face) => {
    const modes: readonly Mode[] = face === PLAIN ? ALL : ['empty'];
    return [...waysTo(face, schemes(`loop.${domainOf(face)}`), modes), ...waysTo(face, both(`hosts.${domainOf(face)}`), modes)];
  }),
  ...[GOOD, PLAIN].flatMap(writtenAsLoopback),
  // TLS that is asked for is TLS on loopback, too, and submissions is always.
  ...[GOOD, UNKNOWN].flatMap((face) =>
    waysTo(face, [[`submission://localhost:${ownPort(face)}`, false]], ['required'], { where: 'loopback' }),
  ),
  ...[GOOD, WRONG].flatMap((face) => waysTo(face, [[`submissions://${loopbackOf(face)}`, true]], ['empty'], { where: 'loopback' })),
  ...[UNKNOWN, WRONG, EXPIRED].flatMap((face) =>
    waysTo(face, (face === UNKNOWN ? schemes : both)(domainOf(face)), ANY, { where: 'verify = false' }),
  ),
  ...[GOOD, PLAIN].flatMap((face) => waysTo(face, schemes(domainOf(face)), ['opportunistic', 'off'], { where: 'allow_plaintext' })),
];

const cells = cellsOf(WAYS);
let seen: ReadonlyMap<Cell, Seen> = new Map();
const hosts: TestHost[] = [];
let names: NameServer | undefined;
let wire: Wire | undefined;

async function startFace(face: Scripted): Promise<void> {
  const { v4, v6 } = theNetwork().add(face.last);
  const { key, cert } = certificateOf(face);
  const usual = { offers: face.offers ?? STARTTLS, script: face.script ?? {}, ...(face.kind === null ? {} : { tls: { key, cert } }) };
  for (const host of [v4, v6]) {
    for (const port of [PORTS.smtp, PORTS.submission, PORTS.lmtp]) hosts.push(await startHost({ ...usual, host, port }));
    if (face.implicit !== undefined) hosts.push(await startHost({ ...usual, host, port: PORTS.submissions, secure: face.kind !== null }));
  }
}

/** What the client reaches at its own loopback is the face, too. */
async function lead(client: Client): Promise<void> {
  client.resolve('nameserver 192.0.2.53\n');
  client.know(`127.0.0.1 mail.localhost\n${FACES.map((face) => `${loopbackOf(face)} hosts.${domainOf(face)}\n`).join('')}`);
  const pairs = FACES.flatMap((face) => {
    const to = { host: placeOf(face).v4, port: PORTS.submission };
    return [
      ...Object.values(PORTS).map((port) => [
        { host: loopbackOf(face), port },
        { ...to, port },
      ]),
      ...['127.0.0.1', '::1'].map((host) => [{ host, port: ownPort(face) }, to]),
      [{ path: socketOf(client, face) }, to],
    ];
  });
  const relay = client.serve([process.execPath, new URL('support/relay.mjs', import.meta.url).pathname, JSON.stringify(pairs)]);
  await new Promise((resolve) => relay.stdout?.once('data', resolve));
}

test.before(() =>
  within(560_000, async () => {
    const network = theNetwork();
    for (const face of [...FACES, ...ABROAD]) await startFace(face);
    names = await startNameServer(network.add(53), [...FACES, ...ABROAD].map(recordsOf).join(''));
    wire = await listenOn(network.bridge);
    seen = await walk(cells, network, wire, lead);
  }),
);
test.after(async () => {
  wire?.stop();
  await names?.stop();
  for (const host of hosts) await host.stop();
});

for (const cell of cells)
  test(cell.title, () => {
    const found = seen.get(cell);
    assert.ok(found);
    assertSeen(cell, found);
    // What the server has: the message once or never, and the credentials in the session that brought it or nowhere.
    const held = hosts.flatMap((host) => host.held).filter(({ octets }) => octets.includes(`Subject: from ${cell.reversePath}\r\n`));
    assert.equal(held.length, cell.fate === 'nothing' ? 0 : 1);
    const plain = `AUTH PLAIN ${Buffer.from(`\0${cell.user}\0${cell.password}`).toString('base64')}`;
    const logins = hosts.flatMap((host) => host.sessions).filter((session) => session.includes(plain));
    assert.equal(logins.length, cell.fate !== 'nothing' && cell.hasAuth ? 1 : 0);
    for (const { session } of held) {
      assert.deepEqual(
        session.filter((line) => line.startsWith('AUTH')),
        cell.hasAuth ? [plain] : [],
      );
      assert.ok(session.some((line) => line.endsWith(` ${cell.hello}`)));
    }
  });

test('every line of the manual was walked, and every word of it is one that these tests know', () => {
  assert.deepEqual(unusedLines(), []);
  assert.equal(LINES, 16);
  assert.deepEqual(
    [...SERVERS].filter((word) => word !== 'anything').sort(),
    [...new Set(FACES.flatMap(({ server, implicit }) => [server, implicit ?? server]))].sort(),
  );
  assert.deepEqual([...WHERES].sort(), ['allow_plaintext', 'loopback', 'verify = false']);
  // And the first table has exactly one line for each.
  for (const server of SERVERS)
    for (const mode of ALL)
      for (const isSubmissions of [false, true]) {
        const isPossible = isSubmissions
          ? mode !== 'off' && !/STARTTLS|anything/.test(server)
          : server !== 'no TLS' && server !== 'anything';
        if (isPossible) fateOf({ where: null, isSubmissions, mode, server, hasAuth: false });
      }
});

test.run();
