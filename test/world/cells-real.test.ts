/**
 * The manual's tables of TLS and credentials at Exim, Postfix and Dovecot: each shows a good certificate, three kinds of bad
 * ones, and no TLS, at addresses of its own, and offers AUTH in clear, too.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { scratch } from '../interop/support/daemon.ts';
import { startDovecot } from '../interop/support/dovecot.ts';
import { startExim } from '../interop/support/exim.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { type Appearance, normalised, PASSWORD, type Peer, USER } from '../interop/support/peer.ts';
import { startPostfix } from '../interop/support/postfix.ts';
import { within } from '../support/within.ts';
import { assertSeen, type Cell, cellsOf, type Seen, type Way, walk } from './support/cells.ts';
import { certificateOf, domainOf, type Face, type Kind, recordsOf } from './support/faces.ts';
import { type NameServer, startNameServer } from './support/names.ts';
import { theNetwork } from './support/network.ts';
import type { Mode } from './support/table.ts';
import { listenOn, type Wire } from './support/wire.ts';

const test = suiteWith(
  'TLS and credentials, at real servers',
  ...(['root', 'unshare', 'python3', 'bind9', 'exim4-daemon-heavy', 'postfix'] as const),
  ...(['dovecot-core', 'dovecot-lmtpd', 'dovecot-submissiond'] as const),
);

const ANY: readonly Mode[] = ['empty', 'required', 'opportunistic'];
const ALL: readonly Mode[] = [...ANY, 'off'];
const SERVERS = ['exim', 'postfix', 'dovecot'] as const;
type Server = (typeof SERVERS)[number];

const KINDS: readonly (Kind | null)[] = ['good', 'unknown CA', 'wrong name', 'expired', null];
const facesOf = (server: Server): readonly Face[] =>
  KINDS.map((kind, i) => ({
    name: `${kind?.toLowerCase().replace(' ', '-') ?? 'plain'}.${server}`,
    last: 60 + 10 * SERVERS.indexOf(server) + i,
    kind,
  }));

const wordOf = ({ kind }: Face): string => (kind === null ? 'no STARTTLS' : kind === 'good' ? 'good certificate' : 'bad certificate');

/** Prefix and suffix of the domain, for each server. */
const SCHEMES: Readonly<Record<Server, readonly string[]>> = {
  exim: ['smtp://', 'submission://', '/MX', 'submission:///SRV', 'submissions://', 'submissions:///SRV'],
  postfix: ['smtp://', 'submission://', 'submissions://'],
  dovecot: ['submission://', 'submissions://', 'lmtp://'],
};

function waysOf(server: Server, face: Face): readonly Way[] {
  const [domain, credentials] = [domainOf(face), { user: USER, password: PASSWORD }];
  return SCHEMES[server].flatMap((scheme): readonly Way[] => {
    const url = scheme.startsWith('/') ? `${domain}${scheme}` : scheme.replace('://', `://${domain}`);
    const isSubmissions = scheme.startsWith('submissions');
    if (isSubmissions && face.kind === null) return [];
    const way: Way = { title: url, url, isSubmissions, server: wordOf(face), modes: isSubmissions ? ANY : ALL, credentials };
    if (server !== 'dovecot') return [way];
    // Dovecot's submission takes nothing without AUTH; its LMTP has none, and its one setting of TLS holds at every address.
    if (scheme !== 'lmtp://') return [{ ...way, hasAuth: true }];
    if (face.kind === null) return [];
    return [
      { ...way, hasAuth: false },
      { ...way, hasAuth: true, server: face.kind === 'good' ? 'no AUTH in TLS' : way.server },
    ];
  });
}

function special(server: Server): readonly Way[] {
  const ways = facesOf(server).flatMap((face) => waysOf(server, face));
  const bad = ways.filter((way) => way.server === 'bad certificate' && /unknown-ca/.test(way.title) && !way.title.startsWith('lmtp'));
  const plain = ways.filter((way) => way.server === 'no STARTTLS');
  return [
    ...bad.map((way): Way => ({ ...way, where: 'verify = false', modes: ['empty'] })),
    ...plain.map((way): Way => ({ ...way, where: 'allow_plaintext', modes: ['opportunistic', 'off'] })),
  ];
}

const cells = new Map(
  SERVERS.map((server) => [server, cellsOf([...facesOf(server).flatMap((face) => waysOf(server, face)), ...special(server)])]),
);
let seen: ReadonlyMap<Cell, Seen> = new Map();
const peers = new Map<Server, Peer>();
/** Dovecot hands what it gets at submission to this one. */
let behind: Peer | undefined;
let names: NameServer | undefined;
let wire: Wire | undefined;

function appearances(server: Server): readonly Appearance[] {
  const folder = scratch('faces');
  return facesOf(server).map((face) => {
    const { v4, v6 } = theNetwork().add(face.last);
    if (face.kind === null) return { addresses: [v4, v6], tls: null };
    const [certificate, key] = [`${folder}/${face.name}.pem`, `${folder}/${face.name}.key`];
    const made = certificateOf(face);
    writeFileSync(certificate, made.cert, { mode: 0o644 });
    writeFileSync(key, made.key, { mode: 0o644 });
    return { addresses: [v4, v6], tls: { certificate, key } };
  });
}

/** Reverse-paths of the messages that arrived, and what the server tells of each. */
let arrived: readonly { readonly reversePath: string | undefined; readonly octets: Buffer }[] = [];

test.before(() =>
  within(560_000, async () => {
    const network = theNetwork();
    behind = await startExim();
    peers.set('exim', await startExim({ at: appearances('exim') }));
    peers.set('postfix', await startPostfix({ at: appearances('postfix') }));
    peers.set('dovecot', await startDovecot({ at: appearances('dovecot'), submitTo: behind }));
    names = await startNameServer(network.add(53), SERVERS.flatMap(facesOf).map(recordsOf).join(''));
    wire = await listenOn(network.bridge);
    seen = await walk([...cells.values()].flat(), network, wire, async (client) => client.resolve('nameserver 192.0.2.53\n'));
    for (const peer of [...peers.values(), behind]) {
      await peer.total();
      arrived = [...arrived, ...(await peer.received('ann', 0))];
    }
  }),
);
test.after(async () => {
  wire?.stop();
  for (const each of [names, ...peers.values(), behind]) await each?.stop();
});

/** Whether the server says that the message came from a client that had authenticated. */
function isAuthenticated(server: Server, { reversePath, hello }: Cell, octets: Buffer): boolean {
  const said = peers.get(server)?.said() ?? '';
  if (server === 'exim') return said.split('\n').some((line) => line.includes(` <= ${reversePath} `) && line.includes(`:${USER} `));
  if (server === 'postfix') {
    const id = new RegExp(`(\\w+): from=<${reversePath}>`).exec(said)?.[1];
    return new RegExp(`: ${id}: client=.*sasl_username=${USER}`).test(said);
  }
  // Dovecot notes it in the field that submission adds, RFC 3848; LMTP adds none.
  return new RegExp(`^Received: from ${hello}\\b[^\\n]*(?:\\n[ \\t][^\\n]*)*? with E?SMTPS?A\\b`, 'm').test(normalised(octets));
}

for (const [server, each] of cells)
  for (const cell of each)
    test(cell.title, () => {
      const found = seen.get(cell);
      assert.ok(found);
      assertSeen(cell, found);
      const here = arrived.filter(({ reversePath }) => reversePath === cell.reversePath);
      assert.equal(here.length, cell.fate === 'nothing' ? 0 : 1, 'messages');
      for (const { octets } of here)
        assert.equal(isAuthenticated(server, cell, octets), cell.hasAuth, peers.get(server)?.said().slice(-3000));
    });

test.run();
