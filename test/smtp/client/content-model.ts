/**
 * The content encoder as anyone would write it first: one octet at a time, nothing clever. Tests compare the real encoders with
 * it, facts included.
 */
import assert from 'node:assert/strict';
import type { ContentEncoder, ContentFacts, Framing } from '../../../src/smtp/client/content.ts';

export function modelOf(framing: Framing, octets: Uint8Array): { readonly wire: number[]; readonly facts: ContentFacts } {
  const wire: number[] = [];
  const lengths: number[] = [];
  let dots = 0;
  let line: number[] = [];
  const write = (ended: boolean): void => {
    if (framing === 'data' && line[0] === 46) {
      wire.push(46);
      dots++;
    }
    wire.push(...line);
    if (ended) wire.push(13, 10);
    lengths.push(line.length);
    line = [];
  };
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i] as number;
    if (octet === 10 && octets[i - 1] === 13) continue;
    if (octet === 10 || octet === 13) write(true);
    else line.push(octet);
  }
  if (line.length > 0) write(true);
  return {
    wire,
    facts: {
      octetsIn: octets.length,
      octetsOut: wire.length,
      size: wire.length - dots,
      eightBit: octets.some((octet) => octet > 127),
      nul: octets.some((octet) => octet === 0),
      longestLine: Math.max(0, ...lengths),
      lines: lengths.length,
    },
  };
}

/** Runs chunks through an encoder to the end, copying each result while it is valid. */
export function wireOf(encoder: ContentEncoder, chunks: readonly Uint8Array[]): number[] {
  const wire: number[] = [];
  for (const chunk of chunks) wire.push(...encoder.push(chunk));
  wire.push(...encoder.end());
  return wire;
}

/** The chunks that cutting at these offsets gives; each starts at an address of its own, so every alignment occurs. */
export function cut(octets: Uint8Array, at: readonly number[]): Uint8Array[] {
  const edges = [0, ...[...at].filter((edge) => edge <= octets.length).sort((a, b) => a - b), octets.length];
  return edges.slice(1).map((edge, i) => octets.subarray(edges[i], edge));
}

/** Every string over the alphabet up to this length. */
export function* allStrings(alphabet: readonly number[], longest: number): Generator<Uint8Array> {
  for (let length = 0; length <= longest; length++) {
    for (let index = 0; index < alphabet.length ** length; index++) {
      const octets = new Uint8Array(length);
      for (let i = 0, rest = index; i < length; i++, rest = Math.floor(rest / alphabet.length))
        octets[i] = alphabet[rest % alphabet.length] as number;
      yield octets;
    }
  }
}

/** Compares an encoder with the model for both framings: whole content, and with `cuts` also under every cut. */
export function check(encoderOf: (framing: Framing) => ContentEncoder, input: Uint8Array, cuts: boolean): void {
  for (const framing of ['data', 'bdat'] as const) {
    const expected = modelOf(framing, input);
    const ways = cuts && input.length > 1 ? 2 ** (input.length - 1) : 1;
    for (let way = 0; way < ways; way++) {
      const at = [1, 2, 3, 4, 5].filter((edge) => way & (1 << (edge - 1)));
      const encoder = encoderOf(framing);
      const wire = wireOf(encoder, cut(input, at));
      const shown = (): string => `${JSON.stringify(String.fromCharCode(...input))} cut at ${JSON.stringify(at)} as ${framing}`;
      if (wire.length !== expected.wire.length || wire.some((octet, i) => octet !== expected.wire[i]))
        assert.deepEqual(wire, expected.wire, shown());
      if ((way === 0 || way === ways - 1) && !isSame(encoder.facts, expected.facts))
        assert.deepEqual(encoder.facts, expected.facts, shown());
    }
  }
}

const isSame = (a: ContentFacts, b: ContentFacts): boolean =>
  a.octetsIn === b.octetsIn &&
  a.octetsOut === b.octetsOut &&
  a.size === b.size &&
  a.eightBit === b.eightBit &&
  a.nul === b.nul &&
  a.longestLine === b.longestLine &&
  a.lines === b.lines;
