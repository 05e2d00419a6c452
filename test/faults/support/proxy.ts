/**
 * A TCP proxy that stands between a client and a server and lets a fault happen at an exact octet of either
 * direction, or at a marker in it. It records what it passed on. It knows nothing of SMTP or TLS: it counts octets.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { reset } from '../../support/reset.ts';

export type Direction = 'toServer' | 'toClient';

/**
 * What happens at the point of a rule, when exactly the octets before it have been passed on:
 * `cut` ends both connections with a FIN, `reset` with a RST; `halfClose` ends only the side towards which the octets go;
 * `stall` passes nothing more in this direction (and stops reading, so that the sender feels it), `freeze` in both;
 * `delay` waits once; `insert` adds octets the other side never said; `drop` swallows the next octets;
 * `call` runs a function (to send a signal, say) and waits for it.
 */
export type Fault =
  | { readonly kind: 'cut' | 'reset' | 'halfClose' | 'stall' | 'freeze' }
  | { readonly kind: 'delay'; readonly milliseconds: number }
  | { readonly kind: 'insert'; readonly octets: string }
  | { readonly kind: 'drop'; readonly count: number }
  | { readonly kind: 'call'; readonly run: () => void | Promise<void> };

/**
 * The point of a rule: after so many octets, or just after the n-th time a marker (latin1) has gone by. With `before` the
 * marker itself is still held, if it was read in one piece; the part of it that came in an earlier piece is gone.
 */
export type Point = number | { readonly marker: string; readonly occurrence?: number; readonly before?: boolean };

export interface Rule {
  readonly direction: Direction;
  readonly at: Point;
  readonly fault: Fault;
  /** Which connection, counted from 0; without it, every one. */
  readonly connection?: number;
}

export interface ProxyOptions {
  /** The server's; default 127.0.0.1. */
  readonly host?: string;
  readonly port: number;
  /** Where the proxy listens; default 127.0.0.1. */
  readonly at?: string;
  readonly rules?: readonly Rule[];
  /** Milliseconds that every octet takes, each way: half of a round trip. */
  readonly latency?: number;
  /** Octets a direction may hold back, before its sender is no longer read. Default 1 MiB. */
  readonly window?: number;
  /** Pass on at most so many octets at a time, one time every so many milliseconds (0: one turn of the event loop). */
  readonly segment?: { readonly octets: number; readonly every: number; readonly direction?: Direction };
  /** Octets of each direction and connection that are kept for `said`. Default 1 MiB; counting is not bounded. */
  readonly record?: number;
}

export interface ProxiedConnection {
  /** What was passed on, as latin1. */
  said(direction: Direction): string;
  /** How many octets were passed on. */
  count(direction: Direction): number;
  /** How often the direction changed: two flights are one round trip. */
  flights(): readonly { readonly direction: Direction; readonly octets: number }[];
  /** Settles when both sides are closed. */
  readonly closed: Promise<void>;
}

export interface FaultProxy {
  readonly host: string;
  readonly port: number;
  readonly connections: readonly ProxiedConnection[];
  /** Ends every connection and the listener. */
  stop(): Promise<void>;
}

const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => (milliseconds > 0 ? setTimeout(resolve, milliseconds) : setImmediate(resolve)));

/** A rule that waits for its point in one direction of one connection. */
interface Armed {
  readonly rule: Rule;
  seen: number;
}

/** How many octets of `ahead` may pass before the rule fires; undefined when its point does not lie in them. */
function distance(armed: Armed, passed: number, tail: Buffer, ahead: Buffer): number | undefined {
  const { at } = armed.rule;
  if (typeof at === 'number') return at <= passed + ahead.length ? Math.max(0, at - passed) : undefined;
  const marker = Buffer.from(at.marker, 'latin1');
  const text = Buffer.concat([tail, ahead]);
  let from = Math.max(0, tail.length - marker.length + 1);
  for (let seen = armed.seen; ; seen += 1) {
    const found = text.indexOf(marker, from);
    if (found < 0) return undefined;
    if (seen + 1 >= (at.occurrence ?? 1)) return Math.max(0, found + (at.before === true ? 0 : marker.length) - tail.length);
    from = found + marker.length;
  }
}

function count(armed: Armed, tail: Buffer, gone: Buffer): void {
  const { at } = armed.rule;
  if (typeof at === 'number') return;
  const marker = Buffer.from(at.marker, 'latin1');
  const text = Buffer.concat([tail.subarray(Math.max(0, tail.length - marker.length + 1)), gone]);
  for (let found = text.indexOf(marker); found >= 0; found = text.indexOf(marker, found + marker.length)) armed.seen += 1;
}

interface Line {
  readonly from: Socket;
  readonly to: Socket;
  readonly direction: Direction;
}

function join(client: Socket, server: Socket, index: number, options: ProxyOptions): ProxiedConnection {
  const { rules = [], latency = 0, window = 1 << 20, segment, record = 1 << 20 } = options;
  const kept: Record<Direction, Buffer[]> = { toServer: [], toClient: [] };
  const passed: Record<Direction, number> = { toServer: 0, toClient: 0 };
  const flights: { direction: Direction; octets: number }[] = [];
  const stalled: Record<Direction, boolean> = { toServer: false, toClient: false };
  let over = false;

  const ended = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const closed = Promise.all([ended(client), ended(server)]).then(() => undefined);

  function pass({ to, direction }: Line, octets: Buffer): Promise<void> | undefined {
    if (octets.length === 0 || over || to.destroyed || to.writableEnded) return undefined;
    const held = passed[direction];
    if (held < record) kept[direction].push(Buffer.from(octets.subarray(0, record - held)));
    passed[direction] += octets.length;
    const last = flights.at(-1);
    if (last?.direction === direction) last.octets += octets.length;
    else flights.push({ direction, octets: octets.length });
    // The kernel has them before a fault may follow: a reset would discard what still waits in this process.
    return new Promise((resolve) => to.write(octets, () => resolve()));
  }

  async function fire(line: Line, fault: Fault): Promise<number> {
    switch (fault.kind) {
      case 'cut':
        over = true;
        client.end();
        server.end();
        return 0;
      case 'reset':
        over = true;
        reset(client);
        reset(server);
        return 0;
      case 'halfClose':
        line.to.end();
        return 0;
      case 'stall':
        stalled[line.direction] = true;
        return 0;
      case 'freeze':
        stalled.toServer = true;
        stalled.toClient = true;
        return 0;
      case 'delay':
        await sleep(fault.milliseconds);
        return 0;
      case 'insert':
        await pass(line, Buffer.from(fault.octets, 'latin1'));
        return 0;
      case 'drop':
        return fault.count;
      case 'call':
        await fault.run();
        return 0;
    }
  }

  async function pump(line: Line): Promise<void> {
    const { from, to, direction } = line;
    const armed: Armed[] = rules
      .filter((rule) => rule.direction === direction && (rule.connection ?? index) === index)
      .map((rule) => ({ rule, seen: 0 }));
    /** The last octets that were looked at, long enough for the longest marker. */
    const longest = Math.max(1, ...armed.map(({ rule }) => (typeof rule.at === 'number' ? 0 : rule.at.marker.length)));
    let tail = Buffer.alloc(0);
    let looked = 0;
    let swallow = 0;

    async function forward(part: Buffer): Promise<void> {
      if (part.length === 0) return;
      const swallowed = Math.min(swallow, part.length);
      swallow -= swallowed;
      let rest = part.subarray(swallowed);
      const cut = segment !== undefined && (segment.direction ?? direction) === direction ? segment : undefined;
      while (cut !== undefined && rest.length > cut.octets) {
        await pass(line, rest.subarray(0, cut.octets));
        rest = rest.subarray(cut.octets);
        await sleep(cut.every);
      }
      await pass(line, rest);
      if (cut !== undefined && cut.every > 0) await sleep(cut.every);
    }

    async function look(chunk: Buffer): Promise<void> {
      let ahead = chunk;
      for (;;) {
        if (over) return;
        if (stalled[direction]) await closed;
        const near = armed
          .map((one) => ({ one, after: distance(one, looked, tail, ahead) }))
          .filter((one): one is { one: Armed; after: number } => one.after !== undefined)
          .sort((a, b) => a.after - b.after)[0];
        const gone = ahead.subarray(0, near?.after ?? ahead.length);
        await forward(gone);
        for (const one of armed) count(one, tail, gone);
        tail = Buffer.concat([tail, gone]).subarray(-longest);
        looked += gone.length;
        ahead = ahead.subarray(gone.length);
        if (near === undefined) return;
        armed.splice(armed.indexOf(near.one), 1);
        swallow += await fire(line, near.one.rule.fault);
      }
    }

    // Octets are read as they come and passed on when they are due, so that latency does not limit the rate below the window.
    const queue: { readonly chunk: Buffer; readonly due: number }[] = [];
    let held = 0;
    let done = false;
    let wake: () => void = () => undefined;
    const changed = () => new Promise<void>((resolve) => (wake = resolve));
    const reading = (async () => {
      try {
        for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
          if (over) continue;
          queue.push({ chunk, due: Date.now() + latency });
          held += chunk.length;
          wake();
          while (held > window && !over && !from.destroyed) await sleep(1);
        }
      } catch {
        // The other side learns of it as this one did: a reset is passed on as a reset.
        if (!over) reset(to);
      }
      done = true;
      wake();
    })();
    await look(Buffer.alloc(0));
    for (;;) {
      const next = queue.shift();
      if (next === undefined) {
        if (done) break;
        await changed();
        continue;
      }
      const early = next.due - Date.now();
      if (early > 0) await sleep(early);
      await look(next.chunk);
      held -= next.chunk.length;
    }
    if (stalled[direction]) await closed;
    if (!to.destroyed && !to.writableEnded) to.end();
    await reading;
  }

  for (const socket of [client, server]) {
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
  }
  const lines: readonly Line[] = [
    { from: client, to: server, direction: 'toServer' },
    { from: server, to: client, direction: 'toClient' },
  ];
  for (const line of lines) void pump(line);
  server.once('close', (broken) => {
    if (broken && !over) reset(client);
  });
  return {
    said: (direction) => Buffer.concat(kept[direction]).toString('latin1'),
    count: (direction) => passed[direction],
    flights: () => flights,
    closed,
  };
}

/** Starts a proxy before the server at `port` (and `host`). The options are read anew for each connection. */
export async function startProxy(options: ProxyOptions): Promise<FaultProxy> {
  const { at = '127.0.0.1' } = options;
  const sockets = new Set<Socket>();
  const connections: ProxiedConnection[] = [];
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  const listener: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    keep(client);
    const server = keep(connect({ host: options.host ?? '127.0.0.1', port: options.port, allowHalfOpen: true }));
    connections.push(join(client, server, connections.length, options));
  });
  await new Promise<void>((resolve) => listener.listen(0, at, resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP listener has an address and a port');
  return {
    host: at,
    port: address.port,
    connections,
    async stop() {
      const finished = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await finished;
    },
  };
}
