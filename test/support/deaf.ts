/**
 * A port that neither answers nor refuses a connection: another process listens, does not accept, and its queue is full. Stands
 * for a host that is off or behind a packet filter, until it wakes up.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

const LISTENER = `
const { connect, createServer } = require('net');
let target = 0;
const server = createServer((socket) => {
  const other = connect({ port: target, host: '127.0.0.1' });
  for (const each of [socket, other]) each.on('error', () => {});
  socket.pipe(other).pipe(socket);
});
server.listen({ port: 0, host: process.argv[1], backlog: 1 }, () => {
  process.stdout.write(String(server.address().port) + '\\n', () => {
    // Nothing is accepted while the loop stands still.
    const line = Buffer.alloc(16);
    const length = require('fs').readSync(0, line);
    target = Number(line.latin1Slice(0, length));
  });
});`;

/** Bun has no backlog. */
const NODE = process.versions.bun === undefined ? process.execPath : 'node';

/** A backlog of 1 is a queue of two in Linux. */
const MORE_THAN_FIT = 6;

export interface Deaf {
  readonly port: number;
  /** From now on it accepts, and hands everything to this port. A connection that waits comes about when its SYN is sent anew, after a second. RFC 6298 §2.1 */
  wake(target: number): void;
  stop(): void;
}

export async function startDeaf(host = '127.0.0.1'): Promise<Deaf> {
  const child = spawn(NODE, ['-e', LISTENER, host], { stdio: ['pipe', 'pipe', 'inherit'] });
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
    wake(target) {
      for (const socket of fillers) socket.destroy();
      child.stdin.write(String(target));
    },
    stop() {
      for (const socket of fillers) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}
