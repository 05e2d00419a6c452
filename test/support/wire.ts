/**
 * A connection in memory that does what nobody can make two real sockets do: a write completes when the test says so, and the
 * connection is gone at an exact octet before the client makes the next write. The server behind it speaks as much SMTP as a
 * message needs, and keeps the messages that it has whole.
 */
import { Duplex } from 'node:stream';

export interface WireOptions {
  /** EHLO keywords. */
  readonly offers?: readonly string[];
  /** The connection is reset when the server has taken so many octets. */
  readonly dies?: number;
  /** A write completes when this resolves: until then the kernel has not taken all of it. */
  readonly takes?: (octets: string) => Promise<void>;
  /** Replies in place of the usual one, by the beginning of the command; `end` is the content. */
  readonly script?: Readonly<Record<string, string>>;
}

export interface Wire {
  readonly stream: Duplex;
  /** Each write of the client, octets as characters. */
  readonly writes: readonly string[];
  /** Messages that the server has whole. */
  readonly held: readonly string[];
  /** Octets that the server has taken. */
  readonly taken: () => number;
  /** The server says this. */
  readonly say: (text: string) => void;
  /** The server closes the connection. */
  readonly close: () => void;
}

export function openWire({ offers = [], dies = Number.POSITIVE_INFINITY, takes, script = {} }: WireOptions): Wire {
  const writes: string[] = [];
  const held: string[] = [];
  let taken = 0;
  const hears = server(offers, script, held);
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _, done) {
      const text = chunk.toString('latin1');
      writes.push(text);
      const reach = Math.min(text.length, dies - taken);
      taken += reach;
      const reply = hears(text.slice(0, reach));
      const isGone = reach < text.length;
      void (takes?.(text) ?? Promise.resolve()).then(() => {
        if (reply !== '') setImmediate(() => stream.push(Buffer.from(reply, 'latin1')));
        done(isGone ? Object.assign(new Error('reset'), { code: 'ECONNRESET' }) : null);
      });
    },
    final: (done) => done(),
  });
  setImmediate(() => stream.push(Buffer.from('220 wire\r\n')));
  return {
    stream,
    writes,
    held,
    taken: () => taken,
    say: (text) => void stream.push(Buffer.from(text, 'latin1')),
    close: () => void stream.push(null),
  };
}

/** Takes octets in any pieces, and returns the answers to them. */
function server(offers: readonly string[], script: Readonly<Record<string, string>>, held: string[]): (octets: string) => string {
  let text = '';
  let content = '';
  /** Octets of a block that are still to come; `dot`: content up to a dot. */
  let awaited: { readonly octets: number; readonly last: boolean } | 'dot' | null = null;
  const ehlo = ['wire', ...offers];
  const usual: Readonly<Record<string, string>> = {
    EHLO: ehlo.map((word, i) => `250${i < ehlo.length - 1 ? '-' : ' '}${word}`).join('\r\n'),
    DATA: '354 go',
    QUIT: '221 bye',
  };
  const answer = (command: string): string => {
    const [, scripted] = Object.entries(script).find(([begins]) => command.startsWith(begins)) ?? [];
    return `${scripted ?? usual[command.split(' ')[0] as string] ?? '250 ok'}\r\n`;
  };
  const whole = (): string => {
    held.push(content);
    content = '';
    return answer('end');
  };
  return (octets) => {
    text += octets;
    let said = '';
    for (;;) {
      if (awaited === 'dot') {
        const end = text.startsWith('.\r\n') ? 0 : text.indexOf('\r\n.\r\n') + 2;
        if (end === 1) return said;
        content = text.slice(0, end).replace(/(^|\r\n)\./g, '$1');
        text = text.slice(end + 3);
        awaited = null;
        said += whole();
      } else if (awaited) {
        if (text.length < awaited.octets) return said;
        content += text.slice(0, awaited.octets);
        text = text.slice(awaited.octets);
        said += awaited.last ? whole() : answer('BDAT');
        awaited = null;
      } else {
        const end = text.indexOf('\r\n');
        if (end < 0) return said;
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        const [verb, count, last] = line.split(' ');
        if (verb === 'BDAT') awaited = { octets: Number(count), last: last === 'LAST' };
        else {
          said += answer(line);
          if (verb === 'DATA' && said.endsWith('354 go\r\n')) awaited = 'dot';
        }
      }
    }
  };
}
