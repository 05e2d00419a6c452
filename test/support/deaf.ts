/**
 * A port that neither answers nor refuses a connection: another process listens, never accepts, and its queue is full. Stands
 * for a host that is off or behind a packet filter.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

const LISTENER = `
const server = require('net').createServer();
server.listen({ port: 0, host: process.argv[1], backlog: 1 }, () => {
  process.stdout.write(String(server.address().port) + '\\n', () => {
    // Nothing is accepted while the loop stands still.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
});`;

/** Bun has no backlog. */
const NODE = process.versions.bun === undefined ? process.execPath : 'node';

/** A backlog of 1 is a queue of two in Linux. */
const MORE_THAN_FIT = 6;

export interface Deaf {
  readonly port: number;
  stop(): void;
}

export async function startDeaf(host = '127.0.0.1'): Promise<Deaf> {
  const child = spawn(NODE, ['-e', LISTENER, host], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(text.toString());
  // More than fit: the queue is full when the system has let in as many as it does.
  let isFull = false;
  const fillers: Socket[] = Array.from({ length: MORE_THAN_FIT }, () => createConnection({ port, host }).on('error', () => undefined));
  let queued = 0;
  for (const socket of fillers) socket.once('connect', () => queued++);
  while (!isFull) {
    const before = queued;
    await new Promise((resolve) => setTimeout(resolve, 300));
    isFull = queued > 0 && queued === before;
  }
  return {
    port,
    stop() {
      for (const socket of fillers) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}
