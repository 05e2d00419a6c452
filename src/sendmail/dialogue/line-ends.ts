/** Gives text with the line ends of Unix those of SMTP. Knows no command and no message. */
import type { Source } from '../../message/source.ts';

const CR = 13;
const LF = 10;

/**
 * Reads a source whose lines end with LF alone with CRLF in its place. The first line end decides whether it is such a
 * source (`isUnix`: it is, because it is a terminal), so that nothing that comes later can change how the rest is read.
 */
export function withNetworkLineEnds(source: Source, isUnix: boolean): Source {
  let lineEnds: 'unknown' | 'unix' | 'network' = isUnix ? 'unix' : 'unknown';
  let last = 0;
  return {
    async read() {
      const got = await source.read();
      if (!(got instanceof Uint8Array)) return got;
      if (lineEnds === 'unknown') {
        const at = got.indexOf(LF);
        if (at >= 0) lineEnds = (at > 0 ? got[at - 1] : last) === CR ? 'network' : 'unix';
      }
      const before = last;
      last = got[got.length - 1] as number;
      return lineEnds === 'unix' ? addCr(got, before) : got;
    },
    close: () => source.close(),
  };
}

/** Adds a CR before each LF of the chunk that has none; `before` is the octet before the chunk. */
function addCr(chunk: Uint8Array, before: number): Uint8Array {
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
