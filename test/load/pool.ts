/**
 * Sends over two pools, one in clear and one with TLS and a password, to a server that dies again and again, and gives a message again
 * when nobody has it. At the end the server's ledger says whether what the pools said was true.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type * as Library from '../../src/library/index.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { freePort } from '../interop/support/daemon.ts';
import { ACCEPTED, type Balance, balance, FAILED, GIVEN, UNCERTAIN } from './ledger.ts';
import { DEATHS, forkServer, type Life, messageOf } from './server.ts';

export interface PoolPlan {
  readonly library: Pick<typeof Library, 'Pool'>;
  /** At most. */
  readonly messages: number;
  /** Milliseconds after which no new message is given. */
  readonly milliseconds: number;
  /** Messages a second; Infinity: as many as come through with `abreast` at a time. */
  readonly rate: number;
  /** Messages without an outcome, at most. */
  readonly abreast: number;
  /** The server dies after so many messages, or milliseconds. */
  readonly dies: { readonly messages: number } | { readonly milliseconds: number };
  /** Milliseconds between two looks at memory; none: Infinity. */
  readonly looks: number;
  readonly tell: (line: string) => void;
}

export interface PoolRun extends Balance {
  readonly given: number;
  /** Times that a message was given again. */
  readonly again: number;
  /** Servers that died. */
  readonly deaths: number;
  /** Failures by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly looks: readonly Look[];
}

/** Octets after a collection, and descriptors. */
export interface Look {
  readonly minutes: number;
  readonly heap: number;
  readonly resident: number;
  readonly descriptors: number;
}

/** Milliseconds before a message is given again, so that a program without a server does not spin. */
const PAUSE = 50;
const FILLERS = [1, 3, 20, 400].map((lines) => 'what a message is made of, line by line\r\n'.repeat(lines));
/** Every so many messages is one longer than a window. */
const LONG = 97;
const LONGEST = 'a long line of a message that is longer than what is read before anything connects\r\n'.repeat(1000);

export async function runPool(plan: PoolPlan): Promise<PoolRun> {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-load-'));
  const ledger = path.join(folder, 'ledger');
  writeFileSync(ledger, '');
  const certificate = makeCertificate({ names: ['smart.example'], ips: ['127.0.0.1'] });
  // None that the system gives to clients: one that calls where nobody listens could be given the very port it calls, and would talk with itself.
  const wanted = await freePort();
  const server = keepServing({ ledger, key: certificate.key, cert: certificate.cert }, wanted, plan);
  try {
    const port = await server.port;
    const url = `smtp://127.0.0.1:${port}`;
    const pools = [
      new plan.library.Pool({ url, tls: { mode: 'off' } }, { connections: 6, framing: 'data' }),
      new plan.library.Pool(
        {
          url,
          tls: { mode: 'required', ca: certificate.own, serverName: 'smart.example' },
          auth: { user: 'me', password: async () => 'correct horse' },
        },
        { connections: 4, commit: 'together', messagesPerConnection: 40 },
      ),
    ];
    const sent = await sendAll(plan, pools, server);
    await Promise.all(pools.map((pool) => pool.drain()));
    server.stop();
    return { ...sent.counts, deaths: server.deaths, ...balance(sent.told, ledger) };
  } finally {
    server.stop();
    rmSync(folder, { recursive: true });
  }
}

interface Serving {
  readonly port: Promise<number>;
  readonly deaths: number;
  stop(): void;
}

/** Starts a server, and the next whenever one has died, at the same port. Each dies in another way. */
function keepServing(facts: Pick<Life, 'ledger' | 'key' | 'cert'>, wanted: number, { dies }: PoolPlan): Serving {
  let deaths = 0;
  let isOver = false;
  let child: ChildProcess;
  async function serve(): Promise<number> {
    const death = DEATHS[deaths % DEATHS.length] as Life['death'];
    const running = forkServer({ ...facts, port: wanted, death, after: 'messages' in dies ? dies.messages : null });
    child = running.child;
    let clock: NodeJS.Timeout | undefined;
    child.once('exit', () => {
      clearTimeout(clock);
      deaths += 1;
      if (!isOver) void serve();
    });
    const port = await running.port;
    if ('milliseconds' in dies) clock = setTimeout(() => running.child.send('die'), dies.milliseconds).unref();
    return port;
  }
  return {
    port: serve(),
    get deaths() {
      return deaths;
    },
    stop() {
      if (isOver) return;
      isOver = true;
      child.kill('SIGKILL');
    },
  };
}

async function sendAll(plan: PoolPlan, pools: readonly Library.Pool[], server: Serving) {
  const { messages, milliseconds, rate, abreast, tell } = plan;
  const begun = performance.now();
  const told = new Uint8Array(messages + 1);
  const failures: Record<string, number> = {};
  const looks: Look[] = [];
  let [given, again, open] = [0, 0, 0];
  const isOver = (): boolean => given >= messages || performance.now() - begun >= milliseconds;

  async function give(id: number): Promise<void> {
    told[id] = GIVEN;
    const recipients = 1 + (id % 3);
    const text = messageOf(id, recipients, id % LONG === 0 ? LONGEST : (FILLERS[id % FILLERS.length] as string));
    const envelope = { from: 'me@example.org', to: Array.from({ length: recipients }, (_, i) => `r${i}@example.net`) };
    for (;;) {
      const outcome = await (pools[id % pools.length] as Library.Pool).send(envelope, text);
      if (outcome.kind === 'accepted') {
        told[id] = ACCEPTED;
        return;
      }
      const { code, retry, verb } = outcome.failure;
      const name = verb === null ? code : `${code} ${verb}`;
      failures[name] = (failures[name] ?? 0) + 1;
      if (retry === 'unknown' || retry === 'never') {
        told[id] = retry === 'unknown' ? UNCERTAIN : FAILED;
        if (retry === 'never') tell(`${id}: ${outcome.failure.message}`);
        return;
      }
      again += 1;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  /** Gives as many as may be under way, and the next when one has its outcome. */
  async function keepGiving(): Promise<void> {
    while (!isOver()) {
      given += 1;
      open += 1;
      await give(given);
      open -= 1;
    }
  }

  /** Gives as many in each tenth of a second as the rate says. */
  async function giveInTime(): Promise<void> {
    const under: Set<Promise<void>> = new Set();
    while (!isOver()) {
      const due = Math.floor(((performance.now() - begun) / 1000) * rate);
      // What cannot be given now is not given later: a server that is away for long would get a flood.
      for (let wanted = Math.min(due - given, Math.ceil(rate / 5)); wanted > 0 && open < abreast && !isOver(); wanted--) {
        given += 1;
        open += 1;
        const one = give(given).then(() => {
          open -= 1;
          under.delete(one);
        });
        under.add(one);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await Promise.all(under);
  }

  const look = (): void => {
    for (let i = 0; i < 3; i++) globalThis.gc?.();
    const { heapUsed: heap, rss: resident } = process.memoryUsage();
    const minutes = (performance.now() - begun) / 60_000;
    const one: Look = { minutes, heap, resident, descriptors: readdirSync('/proc/self/fd').length };
    looks.push(one);
    const mebibytes = (octets: number): string => (octets / 2 ** 20).toFixed(2);
    tell(
      `${minutes.toFixed(1)} min, ${given} given, ${open} open, ${again} again, ${server.deaths} servers died, ` +
        `heap ${mebibytes(heap)} MiB, resident ${mebibytes(resident)} MiB, ${one.descriptors} descriptors, ${JSON.stringify(failures)}`,
    );
  };
  const clock = Number.isFinite(plan.looks) ? setInterval(look, plan.looks) : undefined;
  if (Number.isFinite(rate)) await giveInTime();
  else await Promise.all(Array.from({ length: abreast }, keepGiving));
  clearInterval(clock);
  if (clock !== undefined) look();
  return { told, counts: { given, again, failures, looks } };
}
