/**
 * Starts the smart hosts of the benches, each as a process on loopback. The first choice is sink.c, and where it cannot be
 * built, `nospool sink --discard`. Knows no sender.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { certificate } from './material.ts';
import { native } from './native.ts';
import { cleanEnvironment, DIST, inSupport } from './places.ts';

export interface Offer {
  readonly tls?: 'starttls' | 'implicit';
  readonly pipelining?: boolean;
  readonly chunking?: boolean;
  readonly auth?: boolean;
}

export interface Receiver {
  /** The name in tables. */
  readonly name: string;
  readonly port: number;
  readonly offer: Offer;
  /** How many messages it has taken so far; null where it does not count. */
  taken(): Promise<number | null>;
  stop(): void;
}

/** null, with no process left behind, where nothing on this host can offer that. */
export async function startReceiver(offer: Offer): Promise<Receiver | null> {
  const files = offer.tls ? certificate() : null;
  if (offer.tls && files === null) return null;
  const sink = native('sink');
  if (sink && (sink.tls || !offer.tls)) {
    const flags = [
      ...(offer.pipelining ? ['--pipelining'] : []),
      ...(offer.chunking ? ['--chunking'] : []),
      ...(offer.auth ? ['--auth'] : []),
      ...(offer.tls === 'implicit' ? ['--tls'] : offer.tls === 'starttls' ? ['--starttls'] : []),
      ...(files ? ['--cert', files.certificate, '--key', files.key] : []),
    ];
    const { child, found } = await startProcess([sink.file, ...flags], /^(\d+)\n/);
    const port = Number(found);
    return {
      name: `bench/support/sink.c${offer.tls ? ' with OpenSSL' : ''}`,
      port,
      offer,
      taken: async () => (offer.tls ? null : askCount(port)),
      stop: () => child.kill('SIGKILL'),
    };
  }
  const program = path.join(DIST, 'nospool.mjs');
  // The sink makes a certificate when it starts, and senders could not verify that.
  if (offer.tls || !existsSync(program)) return null;
  const keywords = ['8BITMIME', 'SIZE', ...(offer.pipelining ? ['PIPELINING'] : []), ...(offer.chunking ? ['CHUNKING'] : [])];
  const argv = [process.execPath, program, 'sink', '--discard', '--quiet', '--port', '0', '--size', '0', '--json'];
  const auth = offer.auth ? ['--auth', 'user:password'] : [];
  const { child, found } = await startProcess([...argv, ...auth, ...keywords.flatMap((keyword) => ['--extensions', keyword])], /:(\d+)"/);
  return { name: 'nospool sink --discard', port: Number(found), offer, taken: async () => null, stop: () => child.kill('SIGKILL') };
}

/** A proxy to a port. Every round trip over it takes `rtt` ms, those of the TCP connection included. */
export async function startDistance(port: number, rtt: number): Promise<{ readonly port: number; stop(): void }> {
  const { child, found } = await startProcess([process.execPath, inSupport('distance.mjs'), String(port), String(rtt)], /^(\d+)\n/);
  return { port: Number(found), stop: () => child.kill('SIGKILL') };
}

const running = new Set<ChildProcess>();
// An interrupted bench leaves no process behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

function startProcess(argv: readonly string[], pattern: RegExp): Promise<{ readonly child: ChildProcess; readonly found: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment() });
    running.add(child);
    child.on('close', () => running.delete(child));
    let text = '';
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors = (errors + chunk).slice(-2000);
    });
    child.stdout.on('data', (chunk) => {
      text = (text + chunk).slice(-2000);
      const found = pattern.exec(text)?.[1];
      if (found) resolve({ child, found });
    });
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`${argv[0]} ended with ${code}: ${errors}`)));
  });
}

/** Asks sink.c for its count. */
function askCount(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('STAT\r\nQUIT\r\n'));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(Number(/^250 (\d+) /m.exec(text)?.[1])));
  });
}
