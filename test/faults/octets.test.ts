/**
 * A fault at every octet of a session, in both directions: the connection is cut, reset, or stalls just there, and a second
 * smart host stands ready. Whatever happens, the message is at one server at most, whole and with all its recipients, and
 * what we say of it is true.
 *
 * Over sockets there are some kinds of session: FAULTS=full tries every octet of them and prints a table; else every octet of the plain one,
 * and samples. Over connections in memory there are all kinds, and samples; `npm run octets:full` tries all their octets.
 * Loopback: the fault is the subject; TLS is required where there is TLS.
 */

import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Smarthost } from '../../src/router/smarthost.ts';
import { deliver } from '../../src/submit/delivery.ts';
import { contentOf, hostAt, optionsFor, sentences, tlsRequired, tlsWorld, transactionTo, verdictOf } from '../support/delivery.ts';
import { connect } from '../support/engine.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { loadBundled } from './support/bundle.ts';
import { type Direction, type Fault, startProxy } from './support/proxy.ts';
import type * as Sweep from './support/sweep.ts';

const test = suite('a fault at every octet');
const isFull = process.env.FAULTS === 'full';

const KINDS = ['cut', 'reset', 'stall'] as const;
/** Milliseconds that a stalled session is waited for. */
const PATIENCE = 250;
/** Runs at a time: most of them wait. */
const ABREAST = 24;

interface Kind {
  readonly name: string;
  readonly offers: readonly string[];
  readonly host?: Partial<Smarthost>;
  readonly recipients: number;
  /** Every so many octets, unless all are tried. */
  readonly every: number;
}

const tls = { tls: tlsRequired() };
const SESSIONS: readonly Kind[] = [
  { name: 'one command at a time, one recipient', offers: [], recipients: 1, every: 1 },
  { name: 'one command at a time, three recipients', offers: [], recipients: 3, every: 5 },
  { name: 'PIPELINING, one recipient', offers: ['PIPELINING'], recipients: 1, every: 3 },
  { name: 'PIPELINING, three recipients', offers: ['PIPELINING'], recipients: 3, every: 5 },
  { name: 'CHUNKING, one recipient', offers: ['PIPELINING', 'CHUNKING'], recipients: 1, every: 3 },
  { name: 'CHUNKING, three recipients', offers: ['PIPELINING', 'CHUNKING'], recipients: 3, every: 5 },
  { name: 'STARTTLS and DATA', offers: ['STARTTLS', 'PIPELINING'], host: tls, recipients: 3, every: 97 },
  { name: 'STARTTLS and BDAT', offers: ['STARTTLS', 'PIPELINING', 'CHUNKING'], host: tls, recipients: 1, every: 97 },
];

interface Pair {
  readonly first: TestHost;
  readonly second: TestHost;
}

let serial = 0;
const messageOf = (id: string): string => `Subject: ${id}\r\n\r\n.a\r\n.\r\n`;

/** One delivery through a proxy with a fault; what it came to. */
async function once(kind: Kind, { first, second }: Pair, fault: Point | null) {
  const id = String(++serial).padStart(6, '0');
  const proxy = await startProxy({ port: first.port, rules: fault ? [{ ...fault, connection: 0 }] : [] });
  const outcome = await deliver(
    {
      hosts: [hostAt(proxy.port, kind.host), hostAt(second.port, kind.host)],
      transaction: transactionTo(kind.recipients),
      content: contentOf(messageOf(id)),
    },
    optionsFor(fault?.fault.kind === 'stall' ? PATIENCE : 20_000),
  );
  // What is still under way may yet arrive: the promise is about that, too.
  if (fault?.fault.kind !== 'stall') await proxy.connections[0]?.closed;
  const octets = { toServer: proxy.connections[0]?.count('toServer') ?? 0, toClient: proxy.connections[0]?.count('toClient') ?? 0 };
  await proxy.stop();
  await new Promise((resolve) => setImmediate(resolve));
  const holders = [first, second].filter(({ held }) => held.some((each) => isOf(id, each.octets)));
  const held = [first, second].flatMap((server) => server.held.filter((each) => isOf(id, each.octets)));
  const told = `${kind.name}, ${fault?.fault.kind} ${fault?.direction} at ${fault?.at}: ${verdictOf(outcome)}: ${sentences(outcome)}`;
  for (const each of held) {
    assert.equal(each.octets.toString('latin1'), messageOf(id), `${told}: a part of the message`);
    assert.equal(each.recipients.length, kind.recipients, `${told}: a part of the recipients`);
  }
  assert.ok(held.length <= 1, `${told}: ${held.length} copies`);
  const verdict = verdictOf(outcome);
  if (outcome.kind === 'accepted') {
    assert.equal(held.length, 1, `${told}: accepted, and nobody has it`);
    const isFirst = outcome.by.endpoint.port === proxy.port;
    assert.equal(holders[0] === first, isFirst, `${told}: it is with the other server`);
  } else if (verdict !== 'uncertain') assert.equal(held.length, 0, `${told}: failed, and a server has it`);
  else assert.equal(holders.includes(second), false, `${told}: uncertain, and another server has it`);
  return { verdict, octets, told };
}

interface Point {
  readonly direction: Direction;
  readonly at: number;
  readonly fault: Fault;
}

/** Every kind of fault at those octets of a clean run that are chosen; at all of them with FAULTS=full. */
const pointsOf = (octets: Readonly<Record<Direction, number>>, isChosen: (point: Point) => boolean): Point[] =>
  KINDS.flatMap((kind) =>
    (['toServer', 'toClient'] as const).flatMap((direction) =>
      Array.from({ length: octets[direction] + 1 }, (_, at) => ({ direction, at, fault: { kind } })).filter(
        (point) => isFull || isChosen(point),
      ),
    ),
  );

async function abreast(points: readonly Point[], run: (point: Point) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: ABREAST }, async () => {
      for (let point = points[next++]; point; point = points[next++]) await run(point);
    }),
  );
}

const isOf = (id: string, octets: Buffer): boolean => octets.toString('latin1').startsWith(`Subject: ${id}\r\n`);

for (const kind of SESSIONS)
  test(`${kind.name}`, () =>
    within(isFull ? 3_600_000 : 120_000, async () => {
      const options: SmarthostOptions = { offers: kind.offers, tls: tlsWorld().certificate };
      const servers: Pair = { first: await startHost(options), second: await startHost(options) };
      try {
        const clean = await once(kind, servers, null);
        assert.equal(clean.verdict, 'accepted', clean.told);
        const points = pointsOf(
          clean.octets,
          // The ends of the conversation are where a verdict hangs in the air: all of their octets.
          ({ direction, at }) => at % kind.every === 0 || (kind.every < 50 && at > clean.octets[direction] - 60),
        );
        const counts = new Map<string, number>();
        await abreast(points, async (point) => {
          const { verdict, told } = await once(kind, servers, point);
          const what = `${point.fault.kind} ${point.direction}: ${verdict}`;
          counts.set(what, (counts.get(what) ?? 0) + 1);
          // Nothing but silence may end otherwise: the second smart host is well.
          if (point.fault.kind !== 'stall') assert.notEqual(verdict, 'failed', told);
        });
        for (const direction of ['toServer', 'toClient']) {
          assert.ok(counts.get(`cut ${direction}: accepted`), 'no fault was survived');
          // A sample may miss the few octets where it is lost.
          if (direction === 'toClient' && (isFull || kind.every < 50))
            assert.ok(counts.get('cut toClient: uncertain'), 'no verdict was lost');
        }
        if (isFull) {
          console.log(`\n${kind.name}: ${points.length} faults`);
          for (const [what, count] of [...counts].sort()) console.log(`  ${what.padEnd(28)} ${count}`);
        }
      } finally {
        await Promise.all([servers.first.stop(), servers.second.stop()]);
      }
    }));

/* ---- messages that are given at once to one session ---- */

const GIVEN = 3;

/** Three messages over one session through a proxy with a fault: what each came to is true, and none is sent twice. */
async function together(offers: readonly string[], server: TestHost, fault: Point | null) {
  const proxy = await startProxy({ port: server.port, rules: fault ? [{ ...fault, connection: 0 }] : [] });
  const patience = fault?.fault.kind === 'stall' ? PATIENCE : 20_000;
  const { timeouts } = optionsFor(patience);
  const connected = await connect(hostAt(proxy.port), { hello: 'here.example', timeouts });
  if (!connected.ok) {
    await proxy.stop();
    return { verdicts: ['connect'], octets: { toServer: 0, toClient: 0 }, told: connected.detail };
  }
  const client = connected.value;
  const ids = Array.from({ length: GIVEN }, () => String(++serial).padStart(6, '0'));
  const outcomes = await Promise.all(
    ids.map((id) => client.send({ from: 'tim@here.example', to: ['you@there.example'] }, Buffer.from(messageOf(id)))),
  );
  await client.quit();
  if (fault?.fault.kind !== 'stall') await proxy.connections[0]?.closed;
  const octets = { toServer: proxy.connections[0]?.count('toServer') ?? 0, toClient: proxy.connections[0]?.count('toClient') ?? 0 };
  await proxy.stop();
  await new Promise((resolve) => setImmediate(resolve));
  const verdicts = outcomes.map((outcome) => (outcome.kind === 'accepted' ? 'accepted' : outcome.failure.kind));
  const told = `${offers.join(', ')}, ${fault?.fault.kind} ${fault?.direction} at ${fault?.at}: ${verdicts.join(', ')}`;
  for (const [i, id] of ids.entries()) {
    const held = server.held.filter((each) => isOf(id, each.octets));
    for (const each of held) assert.equal(each.octets.toString('latin1'), messageOf(id), `${told}: a part of a message`);
    if (verdicts[i] === 'accepted') assert.equal(held.length, 1, `${told}: accepted, and the server does not have it once`);
    else if (verdicts[i] === 'uncertain') assert.ok(held.length <= 1, `${told}: ${held.length} copies`);
    else assert.equal(held.length, 0, `${told}: failed, and the server has it`);
  }
  // In order, and after one that is not accepted none is.
  assert.match(verdicts.join(' '), /^(accepted ?)*(uncertain ?|)((lost|timeout|connect|malformed) ?)*$/, told);
  return { verdicts, octets, told };
}

for (const offers of [[], ['PIPELINING'], ['PIPELINING', 'CHUNKING']])
  test(`three messages given at once to one session: ${offers.join(', ') || 'nothing offered'}`, () =>
    within(isFull ? 3_600_000 : 120_000, async () => {
      const server = await startHost({ offers });
      try {
        const clean = await together(offers, server, null);
        assert.deepEqual(clean.verdicts, ['accepted', 'accepted', 'accepted'], clean.told);
        const seen = new Set<string>();
        await abreast(
          pointsOf(clean.octets, ({ at, fault }) => at % (fault.kind === 'stall' ? 7 : 2) === 0),
          async (point) => {
            for (const verdict of (await together(offers, server, point)).verdicts) seen.add(verdict);
          },
        );
        assert.ok(seen.has('accepted') && seen.has('uncertain') && seen.has('lost'), [...seen].join(', '));
      } finally {
        await server.stop();
      }
    }));

/* ---- every kind of session, in memory ---- */

test('in every kind of session a fault at any octet leaves the promise whole', async () => {
  const { CELLS, sweepCell } = await loadBundled<typeof Sweep>('test/faults/support/sweep.ts', []);
  assert.equal(CELLS.length, 48);
  const counts = new Map<string, number>();
  for (const [i, cell] of CELLS.entries()) {
    // Each kind has other octets than the one before it. The last are where a verdict hangs in the air.
    const step = cell.isSecured ? 397 : 31;
    const swept = await sweepCell(cell, ({ at }, last) => at % step === (i * 7) % step || (!cell.isSecured && at === last - 20));
    assert.deepEqual(swept.breaches, []);
    for (const [what, count] of swept.counts) counts.set(what, (counts.get(what) ?? 0) + count);
  }
  const verdicts = [...counts.keys()].map((what) => what.split(': ')[1]);
  for (const verdict of ['accepted', 'failed', 'failed, no replay', 'uncertain']) assert.ok(verdicts.includes(verdict), verdict);
});

test('a program that tries the next host after the commit is found', async () => {
  const { CELLS, sweepCell } = await loadBundled<typeof Sweep>('test/faults/support/sweep.ts', [
    ['submit/delivery.ts', "    if (ended.failure.condemns === 'message') return endFailed(run, false);\n", ''],
  ]);
  const twoHosts = CELLS.filter(({ hosts, isSecured }) => hosts === 2 && !isSecured);
  const swept = await sweepCell(twoHosts[0] as Sweep.Cell, ({ direction }) => direction === 'toClient');
  assert.match(swept.breaches.join('\n'), /2 copies/);
});

test.run();
