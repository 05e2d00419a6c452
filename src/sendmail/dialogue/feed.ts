/**
 * Octets that are given become a Source that is read, with the back-pressure of one chunk: who gives waits until what
 * it gave is taken. And text with the line ends of Unix as SMTP wants it. Knows no command and no message.
 */
import type { Ended, Source } from '../../message/source.ts';

const CR = 13;
const LF = 10;

export interface Feed {
  readonly source: Source;
  /** The octets stay valid until `taken` resolves. */
  give(octets: Uint8Array): void;
  /** The end, after what was given; the first end counts. */
  end(how: Ended): void;
  /** Nobody reads on: what was given and what will be is forgotten. */
  drop(): void;
  /** Resolves when nothing that was given is needed any more. */
  taken(): Promise<void>;
}

export function makeFeed(): Feed {
  let given: Uint8Array[] = [];
  let ended: Ended | null = null;
  let dropped = false;
  /** What was read last is in use until the next read. */
  let inUse = false;
  let waiting: ((got: Uint8Array | Ended) => void) | null = null;
  let told: (() => void)[] = [];

  const isTaken = () => dropped || (given.length === 0 && !inUse);
  function settle(): void {
    const next = given[0] ?? ended;
    if (waiting !== null && next !== null) {
      inUse = given.shift() !== undefined;
      const resolve = waiting;
      waiting = null;
      resolve(next);
    }
    if (!isTaken()) return;
    const done = told;
    told = [];
    for (const tell of done) tell();
  }

  return {
    source: {
      read: () =>
        new Promise((resolve) => {
          inUse = false;
          waiting = resolve;
          settle();
        }),
      close: () => undefined,
    },
    give(octets) {
      if (!dropped && ended === null) given.push(octets);
      settle();
    },
    end(how) {
      ended ??= how;
      settle();
    },
    drop() {
      dropped = true;
      given = [];
      settle();
    },
    taken: () => (isTaken() ? Promise.resolve() : new Promise((resolve) => void told.push(resolve))),
  };
}

/**
 * Text whose lines end with LF alone, with CRLF in its place. Whether it is such a text is seen at its first line end
 * (a terminal's always is: `certain`), so nothing that comes later can change how it is read.
 */
export function withNetworkLineEnds(source: Source, certain: boolean): Source {
  let text: 'unknown' | 'unix' | 'network' = certain ? 'unix' : 'unknown';
  let last = 0;
  return {
    async read() {
      const got = await source.read();
      if (!(got instanceof Uint8Array)) return got;
      if (text === 'unknown') {
        const at = got.indexOf(LF);
        if (at >= 0) text = (at > 0 ? got[at - 1] : last) === CR ? 'network' : 'unix';
      }
      const before = last;
      last = got[got.length - 1] as number;
      return text === 'unix' ? widened(got, before) : got;
    },
    close: () => source.close(),
  };
}

/** The chunk with a CR before each LF that has none; `before`: the octet before the chunk. */
function widened(chunk: Uint8Array, before: number): Uint8Array {
  const out = new Uint8Array(chunk.length * 2);
  let length = 0;
  let previous = before;
  for (const octet of chunk) {
    if (octet === LF && previous !== CR) out[length++] = CR;
    out[length++] = octet;
    previous = octet;
  }
  return out.subarray(0, length);
}
