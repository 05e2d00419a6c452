/**
 * Sends many messages one after another in one process: over one session, over a pool, and each by a `submit` of its own. The server's ledger
 * says what it has, and a snapshot what is left in this process. Knows no time.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type * as Library from '../../src/library/index.ts';
import { type Heap, readHeap } from '../support/heap.ts';
import { ACCEPTED, type Balance, balance, FAILED, GIVEN, UNCERTAIN } from './ledger.ts';
import { forkServer, messageOf } from './server.ts';

export const WAYS = ['session', 'pool', 'submit'] as const;

export interface SerialRun extends Balance {
  readonly way: (typeof WAYS)[number];
  readonly before: Heap;
  readonly after: Heap;
  /** Descriptors more than before. */
  readonly descriptors: number;
}

type Door = Pick<typeof Library, 'Pool' | 'connect' | 'submit'>;

/** As many again go before, so that everything that is done for the first time is done. */
export async function runSerial(library: Door, way: SerialRun['way'], messages: number, warm: number): Promise<SerialRun> {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-load-'));
  const ledger = path.join(folder, 'ledger');
  writeFileSync(ledger, '');
  const server = forkServer({ ledger, port: 0, key: '', cert: '', death: '421', after: null });
  server.child.channel?.unref();
  try {
    const url = `smtp://127.0.0.1:${await server.port}`;
    const told = new Uint8Array(warm + messages + 1);
    const look = async () => ({ heap: await readHeap(), descriptors: readdirSync('/proc/self/fd').length });
    await sendRow(library, way, url, told, 1, warm);
    const before = await look();
    await sendRow(library, way, url, told, warm + 1, warm + messages);
    const after = await look();
    return {
      way,
      before: before.heap,
      after: after.heap,
      descriptors: after.descriptors - before.descriptors,
      ...balance(told, ledger),
    };
  } finally {
    server.child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
}

async function sendRow(library: Door, way: SerialRun['way'], url: string, told: Uint8Array, from: number, to: number): Promise<void> {
  const { send, close } = await open(library, way, url);
  for (let id = from; id <= to; id++) {
    told[id] = GIVEN;
    const envelope = { from: 'me@example.org', to: ['you@example.net'] };
    const outcome = await send(envelope, messageOf(id, 1, 'what a message is made of, line by line\r\n'.repeat(20)));
    told[id] = outcome.kind === 'accepted' ? ACCEPTED : outcome.failure.code === 'uncertain' ? UNCERTAIN : FAILED;
  }
  await close();
}

interface Way {
  readonly send: Library.Pool['send'];
  readonly close: () => Promise<void>;
}

async function open({ Pool, connect, submit }: Door, way: SerialRun['way'], url: string): Promise<Way> {
  switch (way) {
    case 'session': {
      const connected = await connect(url);
      if (!connected.ok) throw new Error(connected.failure.message);
      const { client } = connected;
      return { send: (envelope, content) => client.send(envelope, content), close: () => client.quit() };
    }
    case 'pool': {
      const pool = new Pool(url);
      return { send: pool.send, close: () => pool.drain() };
    }
    case 'submit':
      return { send: (envelope, content) => submit(envelope, content, { servers: [url] }), close: async () => {} };
  }
}
