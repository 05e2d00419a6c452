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

export interface Deaf {
  readonly port: number;
  stop(): void;
}

export async function startDeaf(host = '127.0.0.1'): Promise<Deaf> {
  const child = spawn(NODE, ['-e', LISTENER, host], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(text.toString());
  const fillers: Socket[] = [];
  const isFull = (): Promise<boolean> => {
    const socket = createConnection({ port, host });
    fillers.push(socket);
    socket.on('error', () => undefined);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(true), 300);
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(false);
      });
    });
  };
  for (let tries = 0; tries < 10 && !(await isFull()); tries++);
  return {
    port,
    stop() {
      for (const socket of fillers) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}
