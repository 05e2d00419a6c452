/**
 * The content encoder of src/smtp/content.ts as a WebAssembly kernel, about twenty times as fast: for content that is
 * streamed. Below 64 KiB it does not pay: it costs about 0.7 ms and 5 MiB before its first octet. It owns the memory
 * that input is read into and output is written from. Knows no socket and no file; what it does to the octets is in
 * kernel.wat.
 */
import type { ContentEncoder, Framing } from '../smtp/content.ts';
import { KERNEL } from './kernel.wasm.ts';

/**
 * Begins a content. All encoders of a kernel share its memory: the octets that one returned are valid until the
 * next call of any, so a kernel serves one session at a time.
 */
export interface Kernel {
  (framing: Framing): ContentEncoder;
  /**
   * Where to read input to: a chunk that lies in it (any part of it) is encoded without being copied first. What was
   * read but not yet pushed survives a push of a chunk from here, not one of a chunk from elsewhere.
   */
  readonly inputBuffer: Uint8Array;
}

/** Large writes are cheap: a file sent 1 MiB at a time takes three quarters of the time it takes 64 KiB at a time. */
const SLOT = 1 << 20;
/** The kernel's results stand first; a vector may be touched behind each slot. */
const INPUT = 64;
const OUTPUT = INPUT + SLOT + 64;
/** No octet becomes more than two. */
const PAGES = Math.ceil((OUTPUT + 2 * SLOT + 64) / 65536);

const DOT = 46;
/** No octet has this value: nothing is doubled. */
const NO_DOT = 256;
const NOTHING = new Uint8Array(0);

/** The part of WebAssembly's interface that is used here; neither the language's nor Node's types declare it. */
interface Platform {
  readonly Module: new (octets: Uint8Array) => object;
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (module: object, imports: object) => { readonly exports: { readonly encode: Encode } };
}
type Encode = (input: number, length: number, output: number, dot: number, state: number) => number;

/**
 * A kernel with a memory of its own, or null where it cannot run: no WebAssembly (`node --jitless`), no SIMD (an old
 * processor), or no room for its memory, of which engines reserve far more than they use (`ulimit -v`).
 */
export function loadKernel(): Kernel | null {
  try {
    const { Module, Memory, Instance } = (globalThis as unknown as { readonly WebAssembly: Platform }).WebAssembly;
    const memory = new Memory({ initial: PAGES, maximum: PAGES });
    const { encode } = new Instance(new Module(Buffer.from(KERNEL, 'base64')), { '': { memory } }).exports;
    const inputBuffer = new Uint8Array(memory.buffer, INPUT, SLOT);
    return Object.assign((framing: Framing) => kernelEncoder(framing, inputBuffer, encode), { inputBuffer });
  } catch {
    return null;
  }
}

/** Where kernel.wat leaves its results. */
const [STATE, LINES, DOTS, FIRST, LONGEST, LAST, EIGHT_BIT, NUL] = [0, 1, 2, 3, 4, 5, 6, 7] as const;

function kernelEncoder(framing: Framing, inputBuffer: Uint8Array, encode: Encode): ContentEncoder {
  const memory = inputBuffer.buffer;
  const output = new Uint8Array(memory, OUTPUT);
  const results = new Int32Array(memory, 0, 8);
  const result = (index: number): number => results[index] as number;
  const dot = framing === 'data' ? DOT : NO_DOT;
  let state = 1;
  let octetsIn = 0;
  let octetsOut = 0;
  let dots = 0;
  let lines = 0;
  let line = 0;
  let longestLine = 0;
  let eightBit = false;
  let nul = false;

  /** Encodes at most a slot's octets that lie at an address; returns how many are in `output`. */
  function encodeAt(address: number, length: number): number {
    const written = encode(address, length, OUTPUT, dot, state);
    state = result(STATE);
    octetsIn += length;
    octetsOut += written;
    dots += result(DOTS);
    eightBit ||= result(EIGHT_BIT) !== 0;
    nul ||= result(NUL) !== 0;
    if (result(LINES) > 0) {
      lines += result(LINES);
      longestLine = Math.max(longestLine, line + result(FIRST), result(LONGEST));
      line = 0;
    }
    line += result(LAST);
    longestLine = Math.max(longestLine, line);
    return written;
  }

  function encodeCopyOf(chunk: Uint8Array): Uint8Array {
    inputBuffer.set(chunk);
    return output.subarray(0, encodeAt(INPUT, chunk.length));
  }

  return {
    push(chunk) {
      if (chunk.length === 0) return NOTHING;
      if (chunk.buffer === memory) return output.subarray(0, encodeAt(chunk.byteOffset, chunk.length));
      if (chunk.length <= SLOT) return encodeCopyOf(chunk);
      const parts: Uint8Array[] = [];
      for (let at = 0; at < chunk.length; at += SLOT) parts.push(encodeCopyOf(chunk.subarray(at, at + SLOT)).slice());
      return Buffer.concat(parts);
    },
    end() {
      if ((state & 1) === 1) return NOTHING;
      state = 1;
      line = 0;
      lines++;
      octetsOut += 2;
      return Uint8Array.of(13, 10);
    },
    get facts() {
      return { octetsIn, octetsOut, size: octetsOut - dots, eightBit, nul, longestLine, lines };
    },
  };
}
