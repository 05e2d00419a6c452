/** Streams that are no sockets, as programs give them: a tunnel to a port, and one whose other end is the test. */
import { createConnection } from 'node:net';
import { Duplex, type DuplexOptions } from 'node:stream';

/** A stream that leads to a port of loopback through a socket of its own, as one through ssh does. */
export function tunnelTo(port: number): Duplex {
  const socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true });
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _, done) => void socket.write(chunk, (error) => done(error)),
    final: (done) => void socket.end(done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (octets) => {
    if (!stream.push(octets)) socket.pause();
  });
  socket.on('end', () => stream.push(null)).on('error', (error) => stream.destroy(error));
  return stream;
}

export interface Loop {
  readonly stream: Duplex;
  /** What was written, octets as characters. */
  readonly writes: readonly string[];
  /** The other side says this. */
  readonly say: (text: string) => void;
}

/** A stream whose other end is the test. */
export function loop(options: DuplexOptions = {}): Loop {
  const writes: string[] = [];
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _, done) {
      writes.push(chunk.toString('latin1'));
      done();
    },
    ...options,
  });
  return { stream, writes, say: (text) => void stream.push(Buffer.from(text, 'latin1')) };
}
