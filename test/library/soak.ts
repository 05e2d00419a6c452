/** The program of soak.test.ts. The servers run in a process of their own, so that what is counted is the library's. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import events from 'node:events';
import { readdirSync } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Content, connect, type Outcome, Pool, type Server, submit } from '../../src/library/index.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { type Heap, printGrowth, readHeap } from '../support/heap.ts';
import { startHost } from '../support/smarthost.ts';

/** What the servers' process tells. */
interface Places {
  readonly plain: number;
  readonly secured: number;
  readonly silent: number;
  readonly certificate: string;
}

async function serve(): Promise<void> {
  // They end with the program, however that ends.
  process.once('disconnect', () => process.exit());
  const certificate = makeCertificate({ names: ['smart.example'], ips: ['127.0.0.1'] });
  const plain = await startHost({ offers: ['PIPELINING', '8BITMIME'], script: { 'RCPT 2': '550 5.1.1 no such user' } });
  const secured = await startHost({
    offers: ['PIPELINING', 'STARTTLS', 'AUTH PLAIN'],
    tls: { key: certificate.key, cert: certificate.cert },
  });
  const silent = await startHost({ offers: ['PIPELINING'], script: { DATA: 'silence' } });
  process.send?.({ plain: plain.port, secured: secured.port, silent: silent.port, certificate: certificate.own } satisfies Places);
  // The messages that a test server keeps would fill its memory.
  setInterval(() => {
    for (const { held, sessions } of [plain, secured, silent]) for (const kept of [held, sessions]) (kept as unknown[]).length = 0;
  }, 100);
}

/** SOAK names a multiple of what the tests send. */
const TIMES = Number(process.env.SOAK) || 1;
/** What may be there at the end and was not before, of however many messages: one object for every tenth would be more. */
const MOST_OBJECTS = 300;
/** Most are the tables of weak sets. */
const MOST_OCTETS = 250_000;

const envelope = { from: 'me@example.org', to: ['you@example.net'] };
const refused = { from: 'me@example.org', to: ['you@example.net', 'nobody@example.net'] };
const TEXT = `Subject: hi\r\n\r\n${'hello\r\n'.repeat(100)}`;

/** The same message in many forms. */
const FORMS: readonly (() => Content)[] = [
  () => TEXT,
  () => Buffer.from(TEXT),
  () => Readable.from([Buffer.from(TEXT)]),
  () => new Blob([TEXT]),
  () => new Blob([TEXT]).stream(),
  () =>
    (async function* () {
      yield TEXT;
    })(),
  () => ({ open: () => [TEXT] }),
];
const formOf = (i: number): Content => (FORMS[i % FORMS.length] as () => Content)();

async function send(): Promise<void> {
  const servers = fork(fileURLToPath(import.meta.url), ['servers'], { execArgv: process.execArgv });
  try {
    // Bun's channel does not hold the process, and has nothing to release.
    servers.channel?.unref?.();
    const places = await new Promise<Places>((resolve) => servers.once('message', (message) => resolve(message as Places)));
    await runAll(places, 2);
    const before = await count();
    await runAll(places, 1 / TIMES);
    const after = await count();
    assert.deepEqual(after.listeners, before.listeners);
    assert.deepEqual(after.resources, before.resources);
    assert.equal(after.descriptors, before.descriptors);
    if (after.heap !== null && before.heap !== null) {
      const growth = printGrowth(before.heap, after.heap);
      assert.ok(after.heap.count - before.heap.count < MOST_OBJECTS, growth);
      assert.ok(after.heap.octets - before.heap.octets < MOST_OCTETS, growth);
      console.log(growth);
    }
    console.log('nothing is left');
  } finally {
    end(servers);
  }
}

function end(child: ChildProcess): void {
  child.kill('SIGKILL');
}

interface Counted {
  readonly listeners: Readonly<Record<string, number>>;
  readonly resources: readonly string[];
  readonly descriptors: number;
  readonly heap: Heap | null;
}

/** Counts when everything had time to end. */
async function count(): Promise<Counted> {
  await new Promise((resolve) => setTimeout(resolve, 1500));
  // What a collection frees may let go of more in the next turn.
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {
    listeners: Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)])),
    resources: process.getActiveResourcesInfo().sort(),
    descriptors: readdirSync('/proc/self/fd').length,
    heap: globalThis.gc === undefined ? null : await readHeap(),
  };
}

/** `part`: one in so many of each kind. */
async function runAll({ plain, secured, silent, certificate }: Places, part: number): Promise<void> {
  const url = `smtp://127.0.0.1:${plain}`;
  const shared = new AbortController();
  const { signal } = shared;
  const isTaken = (outcome: Outcome) => assert.equal(outcome.kind, 'accepted', JSON.stringify(outcome));
  const isFailed = (code: string) => (outcome: Outcome) =>
    assert.equal(outcome.kind === 'failed' ? outcome.failure.code : outcome.kind, code, JSON.stringify(outcome));

  // In a row: each its own session, then many on one, with one signal for all.
  for (let i = 0; i < 1000 / part; i++) isTaken(await submit(envelope, formOf(i), { servers: [url], signal }));
  const connected = await connect(url, { signal });
  assert.ok(connected.ok);
  for (let i = 0; i < 1000 / part; i++) isTaken(await connected.client.send(envelope, formOf(i), { signal }));
  await connected.client.quit();

  // At once.
  const pool = new Pool(url, { connections: 8, signal });
  for (const outcome of await Promise.all(Array.from({ length: 200 / part }, (_, i) => pool.send(envelope, formOf(i), { signal }))))
    isTaken(outcome);
  await pool.drain();

  // Aborted, by a signal of their own while the server is silent.
  for (let i = 0; i < 300 / part; i += 25) {
    const aborted = Array.from({ length: Math.min(25, 300 / part) }, (_, j) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('enough')), 5 + j);
      return submit(envelope, formOf(j), { servers: [`smtp://127.0.0.1:${silent}`], signal: controller.signal });
    });
    for (const outcome of await Promise.all(aborted)) isFailed('aborted')(outcome);
  }

  // Refused.
  const refusing = new Pool(url, { connections: 4 });
  for (let i = 0; i < 500 / part; i += 5) {
    const outcomes = await Promise.all(
      [0, 1, 2, 3, 4].map((j) =>
        j === 0 ? submit(refused, formOf(i), { servers: [url], signal }) : refusing.send(refused, formOf(i + j), { signal }),
      ),
    );
    for (const outcome of outcomes) isFailed('rejected')(outcome);
  }
  await refusing.drain();

  // With TLS and credentials.
  const server: Server = {
    url: `smtp://127.0.0.1:${secured}`,
    tls: { mode: 'required', ca: certificate, serverName: 'smart.example' },
    auth: { user: 'me', password: async () => 'correct horse' },
  };
  for (let i = 0; i < 150 / part; i++) isTaken(await submit(envelope, formOf(i), { servers: [server], signal }));
  const secure = new Pool(server, { connections: 5 });
  for (const outcome of await Promise.all(Array.from({ length: 50 / part }, (_, i) => secure.send(envelope, formOf(i), { signal }))))
    isTaken(outcome);
  await secure.drain();
  assert.equal(events.getEventListeners(signal, 'abort').length, 0, 'listeners are left on the signal');
}

const [role] = process.argv.slice(2);
if (role === 'servers') await serve();
else await send();
