/**
 * Deliveries through connections in memory, over which one fault comes at an exact octet: the connection ends with a FIN, with a RST, or
 * nothing more comes through. Behind each the smart hosts are asked what they have, and the promise is checked. TLS is real. Time is
 * virtual, so that a stalled session costs nothing. Knows no socket.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { sourceOf } from '../../../src/message/source.ts';
import type { Smarthost } from '../../../src/router/smarthost.ts';
import { parsed } from '../../../src/smtp/parsed.ts';
import { deliver } from '../../../src/submit/delivery.ts';
import type { Outcome } from '../../../src/submit/outcome.ts';
import { makeSecurity } from '../../../src/submit/security.ts';
import { type Certificate, makeCertificate } from '../../../src/transport/tls/certificate.ts';
import { contentOf, hostAt, optionsFor, sentences, streamedContent, transactionTo, verdictOf } from '../../support/delivery.ts';
import { type Books, converse } from '../../support/smarthost.ts';
import { VirtualTime } from './worlds/time.ts';

export const KINDS = ['cut', 'reset', 'stall'] as const;
export const DIRECTIONS = ['toServer', 'toClient'] as const;

export interface Point {
  readonly kind: (typeof KINDS)[number];
  readonly direction: (typeof DIRECTIONS)[number];
  /** Octets of this direction that come through. */
  readonly at: number;
}

/** One member of the product. */
export interface Cell {
  readonly offers: readonly string[];
  readonly isSecured: boolean;
  readonly recipients: number;
  readonly hosts: number;
  readonly isBeyond: boolean;
}

export const printCell = ({ offers, isSecured, recipients, hosts, isBeyond }: Cell): string =>
  `${isSecured ? 'TLS' : 'clear'}, ${offers.join(' and ') || 'nothing offered'}, ${recipients} recipient${recipients > 1 ? 's' : ''}, ` +
  `${hosts} host${hosts > 1 ? 's' : ''}, ${isBeyond ? 'beyond the window' : 'small'}`;

/** Every cell: one command at a time, PIPELINING, or BDAT, each with everything else. */
export const CELLS: readonly Cell[] = [[], ['PIPELINING'], ['PIPELINING', 'CHUNKING']].flatMap((offers) =>
  [false, true].flatMap((isSecured) =>
    [1, 3].flatMap((recipients) =>
      [1, 2].flatMap((hosts) => [false, true].map((isBeyond) => ({ offers, isSecured, recipients, hosts, isBeyond }))),
    ),
  ),
);

const MESSAGE = 'Subject: a fault\r\n\r\n.a\r\n.\r\n';
/** Longer than the window, which is small, so that few octets lie beyond it; it comes in small pieces. */
const LONG = `${MESSAGE}${'what comes behind the window\r\n'.repeat(3)}`;
const WINDOW = 48;
const PIECES = Array.from({ length: Math.ceil(LONG.length / 16) }, (_, i) => Buffer.from(LONG.slice(i * 16, (i + 1) * 16)));
/** Milliseconds of virtual time for whatever is waited for. */
const LIMIT = 1000;
/** Turns in which TLS may be at work unseen. */
const TURNS = 12;

let made: { readonly certificate: Certificate; readonly tls: { readonly key: string; readonly cert: string } } | undefined;

function tlsWorld() {
  const certificate = made?.certificate ?? makeCertificate({ names: ['smart.example'], ips: ['127.0.0.1'] });
  made ??= { certificate, tls: { key: certificate.key, cert: certificate.cert } };
  return made;
}

/** A connection in memory with a host behind it, and at most one fault. */
class Connection {
  readonly near: Duplex;
  readonly books: Books = { heard: [], held: [], partial: [], flights: [] };
  readonly passed = { toServer: 0, toClient: 0 };
  readonly #far: Duplex;
  #isOver = false;
  readonly #stalled = { toServer: false, toClient: false };
  readonly #fault: Point | null;

  constructor({ offers, isSecured }: Cell, fault: Point | null) {
    this.#fault = fault;
    const end = (direction: Point['direction']) => ({
      read: () => undefined,
      write: (chunk: Buffer, _: unknown, done: () => void) => {
        // The writer uses its memory again as soon as the write has completed; the system's buffers have taken it.
        this.#pass(direction, Buffer.from(chunk));
        done();
      },
      final: (done: () => void) => {
        setImmediate(() => this.#end(direction));
        done();
      },
    });
    this.near = new Duplex(end('toServer'));
    this.#far = new Duplex(end('toClient'));
    for (const side of [this.near, this.#far]) side.on('error', () => {});
    if (fault?.at === 0) this.#strike(fault);
    const options = { offers: isSecured ? ['STARTTLS', ...offers] : offers, tls: tlsWorld().tls };
    void converse(this.#far as unknown as Socket, options, this.books);
  }

  #sideOf = (direction: Point['direction']): Duplex => (direction === 'toServer' ? this.#far : this.near);

  #pass(direction: Point['direction'], octets: Buffer): void {
    const fault = this.#fault?.direction === direction ? this.#fault : null;
    const reach = fault === null ? octets.length : Math.max(0, Math.min(octets.length, fault.at - this.passed[direction]));
    const isReached = fault !== null && fault.at > 0 && reach > 0 && this.passed[direction] + reach === fault.at;
    this.#give(direction, octets.subarray(0, reach));
    if (isReached) this.#strike(fault);
    this.#give(direction, octets.subarray(reach));
  }

  #give(direction: Point['direction'], octets: Buffer): void {
    if (octets.length === 0 || this.#isOver || this.#stalled[direction]) return;
    this.passed[direction] += octets.length;
    setImmediate(() => this.#push(direction, octets));
  }

  #strike({ kind, direction }: Point): void {
    if (kind === 'stall') {
      this.#stalled[direction] = true;
      return;
    }
    this.#isOver = true;
    setImmediate(() => {
      for (const side of [this.near, this.#far])
        if (kind === 'cut') side.push(null);
        else side.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
    });
  }

  /** The side that writes has ended. */
  #end(direction: Point['direction']): void {
    if (!this.#isOver && !this.#stalled[direction]) this.#push(direction, null);
  }

  #push(direction: Point['direction'], octets: Buffer | null): void {
    const side = this.#sideOf(direction);
    if (!side.destroyed && !side.readableEnded) side.push(octets);
  }

  /** What a test server would wait for is over. */
  close(): void {
    for (const side of [this.near, this.#far]) side.destroy();
  }
}

export interface Run {
  readonly verdict: ReturnType<typeof verdictOf> | 'none';
  /** Octets that came through the first connection. */
  readonly passed: Readonly<Record<Point['direction'], number>>;
  /** What of the promise does not hold; null when all of it does. */
  readonly breach: string | null;
}

/** One delivery; the fault is on the first connection. */
export async function runOnce(cell: Cell, fault: Point | null): Promise<Run> {
  const time = new VirtualTime(cell.isSecured ? TURNS : 2);
  const connections: Connection[] = [];
  const hosts: Smarthost[] = Array.from({ length: cell.hosts }, (_, i) =>
    hostAt(1001 + i, cell.isSecured ? { tls: { ...hostAt(0).tls, mode: 'required', serverName: 'smart.example' } } : {}),
  );
  const by = new Map<number, Connection>();
  const dial = (host: Smarthost): Duplex => {
    const connection = new Connection(cell, connections.length === 0 ? fault : null);
    connections.push(connection);
    by.set(host.port as number, connection);
    return connection.near;
  };
  const message = cell.isBeyond ? LONG : MESSAGE;
  const thrown: unknown[] = [];
  const hear = (error: unknown): void => void thrown.push(error);
  process.on('uncaughtException', hear).on('unhandledRejection', hear);
  time.install();
  try {
    let outcome: Outcome | null = null;
    const run = async (): Promise<void> => {
      const reader = { secret: async () => parsed(''), proxyPassword: async () => parsed('') };
      const content = cell.isBeyond ? await streamedContent(sourceOf(...PIECES), WINDOW) : contentOf(message);
      outcome = await deliver(
        { hosts, transaction: transactionTo(cell.recipients), content },
        optionsFor(LIMIT, { security: makeSecurity({}, reader, { ca: tlsWorld().certificate.own }), dialFor: () => dial }),
      );
    };
    void run().catch(hear);
    await time.pass(() => outcome !== null || thrown.length > 0);
    // What is still under way may yet arrive: the promise is about that, too.
    await time.pass(() => false);
    const came = outcome as Outcome | null;
    const passed = connections[0]?.passed ?? { toServer: 0, toClient: 0 };
    if (thrown.length > 0) return { verdict: 'none', passed, breach: `thrown: ${(thrown[0] as Error).stack ?? thrown[0]}` };
    if (came === null) return { verdict: 'none', passed, breach: 'nothing moves any more, and there is no outcome' };
    return { verdict: verdictOf(came), passed, breach: findBreach(cell, fault, came, connections, by, message) };
  } finally {
    for (const connection of connections) connection.close();
    await time.pass(() => false);
    time.uninstall();
    process.off('uncaughtException', hear).off('unhandledRejection', hear);
  }
}

function findBreach(
  cell: Cell,
  fault: Point | null,
  outcome: Outcome,
  connections: readonly Connection[],
  by: ReadonlyMap<number, Connection>,
  message: string,
): string | null {
  const held = connections.flatMap(({ books }) => books.held);
  const verdict = verdictOf(outcome);
  const told = `${verdict}: ${sentences(outcome)}`;
  for (const { octets, recipients } of held) {
    if (octets.toString('latin1') !== message) return `${told}: a part of the message`;
    if (recipients.length !== cell.recipients) return `${told}: a part of the recipients`;
  }
  if (held.length > 1) return `${told}: ${held.length} copies`;
  if (outcome.kind === 'accepted') {
    const holder = by.get(outcome.by.host.port as number);
    return holder?.books.held.length === 1 ? null : `${told}: and that server does not have it`;
  }
  if (verdict === 'uncertain') return connections.length === 1 ? null : `${told}: and another server was tried`;
  if (held.length > 0) return `${told}: and a server has it`;
  // Where the next smart host is well and the message can be sent again, a loss before the commit harms nobody.
  const mayBeLost = fault?.kind === 'stall' || cell.hosts === 1 || verdict === 'failed, no replay';
  return mayBeLost ? null : `${told}: and the next server is well`;
}

/** Every octet of a cell with every kind of fault, or those that are chosen. */
export async function sweepCell(
  cell: Cell,
  isChosen: (point: Point, last: number) => boolean,
): Promise<{ readonly points: number; readonly counts: ReadonlyMap<string, number>; readonly breaches: readonly string[] }> {
  const clean = await runOnce(cell, null);
  const counts = new Map<string, number>();
  const breaches: string[] = [];
  let points = 0;
  if (clean.verdict !== 'accepted' || clean.breach !== null) breaches.push(`without a fault: ${clean.verdict}, ${clean.breach}`);
  for (const kind of KINDS)
    for (const direction of DIRECTIONS)
      for (let at = 0; at <= clean.passed[direction]; at++) {
        const point = { kind, direction, at };
        if (!isChosen(point, clean.passed[direction])) continue;
        points += 1;
        const { verdict, breach } = await runOnce(cell, point);
        const what = `${kind} ${direction}: ${verdict}`;
        counts.set(what, (counts.get(what) ?? 0) + 1);
        if (breach !== null) breaches.push(`${printCell(cell)}, ${kind} ${direction} at ${at}: ${breach}`);
      }
  return { points, counts, breaches };
}
