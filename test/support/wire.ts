/**
 * A connection in memory that does what nobody can make two real sockets do: a write completes when the test says so, and the
 * connection is gone at an exact octet before the client makes the next write. Behind it is the smart host that works.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type Books, converse, type SmarthostOptions } from './smarthost.ts';

export interface WireOptions {
  /** EHLO keywords. */
  readonly offers?: readonly string[];
  /** The connection is reset when the server has taken so many octets. */
  readonly dies?: number;
  /** A write completes when this resolves: until then the kernel has not taken all of it, and the server has nothing of it. */
  readonly takes?: (octets: string) => Promise<void>;
  readonly script?: SmarthostOptions['script'];
}

export interface Wire {
  readonly stream: Duplex;
  /** Each write of the client, octets as characters. */
  readonly writes: readonly string[];
  /** Messages that the server has whole. */
  held(): string[];
  /** The server says this. */
  say(text: string): void;
  /** The server closes the connection. */
  close(): void;
}

export function openWire({ offers = [], dies = Number.POSITIVE_INFINITY, takes = async () => {}, script = {} }: WireOptions): Wire {
  const writes: string[] = [];
  const books: Books = { heard: [], held: [], partial: [], flights: [] };
  let taken = 0;
  const near: Duplex = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _, done) {
      writes.push(chunk.toString('latin1'));
      const reach = Math.min(chunk.length, dies - taken);
      taken += reach;
      void takes(chunk.toString('latin1')).then(() => {
        // The client uses its memory again as soon as the write has completed.
        if (reach > 0) far.push(Buffer.from(chunk.subarray(0, reach)));
        done(reach < chunk.length ? Object.assign(new Error('reset'), { code: 'ECONNRESET' }) : null);
      });
    },
    final(done) {
      far.push(null);
      done();
    },
  });
  const far: Duplex = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _, done) {
      setImmediate(() => near.push(chunk));
      done();
    },
    final(done) {
      setImmediate(() => near.push(null));
      done();
    },
  });
  void converse(far as unknown as Socket, { offers, script }, books);
  return {
    stream: near,
    writes,
    held: () => books.held.map(({ octets }) => octets.toString('latin1')),
    say: (text) => void near.push(Buffer.from(text, 'latin1')),
    close: () => void near.push(null),
  };
}
