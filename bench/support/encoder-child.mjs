// Runs one encoder in a process of its own: `encoder-child.mjs DIST KIND warm|cold FILE MILLISECONDS` prints its rate or its times as JSON.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [dist, kind, mode, file, duration] = process.argv.slice(2);
const base = pathToFileURL(`${dist}/lib/`);
const { contentEncoder } = await import(new URL('smtp/client/content.js', base));
const { loadKernel } = await import(new URL('transport/kernel/kernel.js', base));
const block = new Uint8Array(readFileSync(file));
const CHUNK = 65536;

/** Each makes a function that encodes the octets of `block` from `at` to `to`, at most a chunk. */
const KINDS = {
  copy() {
    const out = new Uint8Array(CHUNK);
    return (at, to) => out.set(block.subarray(at, to));
  },
  plain() {
    const encoder = contentEncoder('data');
    return (at, to) => encoder.push(block.subarray(at, to));
  },
  kernel() {
    const kernel = loadKernel();
    const encoder = kernel('data');
    kernel.inputBuffer.set(block.subarray(0, kernel.inputBuffer.length));
    return (at, to) => encoder.push(kernel.inputBuffer.subarray(at, to));
  },
  'kernel-copy'() {
    const encoder = loadKernel()('data');
    return (at, to) => encoder.push(block.subarray(at, to));
  },
  loop() {
    const out = new Uint8Array(2 * CHUNK);
    let start = true;
    let skip = false;
    return (at, to) => {
      let filled = 0;
      for (let i = at; i < to; i++) {
        const octet = block[i];
        if (octet === 10 && skip) {
          skip = false;
          continue;
        }
        skip = octet === 13;
        if (octet === 10 || octet === 13) {
          out[filled++] = 13;
          out[filled++] = 10;
          start = true;
        } else {
          if (start && octet === 46) out[filled++] = 46;
          out[filled++] = octet;
          start = false;
        }
      }
      return out.subarray(0, filled);
    };
  },
};

const microseconds = () => Number(process.hrtime.bigint()) / 1000;
if (mode === 'cold') {
  const times = [microseconds()];
  const encode = KINDS[kind]();
  times.push(microseconds());
  for (const size of [2048, CHUNK, 4 * CHUNK]) {
    for (let at = 0; at < size; at += CHUNK) encode(at, Math.min(at + CHUNK, size));
    times.push(microseconds());
  }
  const [make, short, middle, long] = times.slice(1).map((time, i) => time - times[i]);
  process.stdout.write(JSON.stringify({ make, short, middle, long, all: times.at(-1) - times[0] }));
} else {
  const encode = KINDS[kind]();
  const whole = block.length - (block.length % CHUNK);
  const turn = (milliseconds) => {
    const begun = performance.now();
    let octets = 0;
    while (performance.now() - begun < milliseconds) {
      for (let at = 0; at < whole; at += CHUNK) encode(at, at + CHUNK);
      octets += whole;
    }
    return octets / 1000 / (performance.now() - begun);
  };
  turn(Number(duration));
  process.stdout.write(JSON.stringify({ rate: turn(Number(duration)) }));
}
