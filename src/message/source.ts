/**
 * Octets that are pulled one chunk at a time: the only way in which message octets move. A Source never pushes, so
 * back-pressure is the absence of a call. Knows no header, no line.
 */
export type Ended =
  | { readonly end: 'clean' }
  /** A read error, a changed file, a refused line or a signal, which are never an end of the message. */
  | {
      readonly end: 'failed';
      readonly detail: string;
      /** There where the octets are as they should be, but this server cannot have them. */
      readonly lacks?: '8bitmime';
    };

export interface Source {
  /**
   * Returns the next chunk (never empty), which is valid until the next call; or how the octets ended, from then on always the
   * same.
   */
  read(): Promise<Uint8Array | Ended>;
  /** No further read follows; a pending read may stay unanswered. */
  close(): void;
}

/** Standard input, or what stands in for it. */
export interface Input extends Source {
  /** Set for a regular file, because only that can be read again: `at` opens it at an offset from where the input began. */
  readonly file?: { readonly size: number; at(offset: number): Source };
  /** Asks that later chunks lie in this memory, because whoever works on octets there need not copy them first. */
  useMemory?(memory: Uint8Array): void;
  /** Tells that chunks to come are converted octet by octet, which makes it worth while to optimize code. */
  willConvert?(): void;
}

export const CLEAN: Ended = { end: 'clean' };

/** Makes a source of chunks, then a clean end. */
export function sourceOf(...chunks: readonly Uint8Array[]): Source {
  const left = chunks.filter((chunk) => chunk.length > 0);
  return { read: async () => left.shift() ?? CLEAN, close: () => void left.splice(0) };
}

/**
 * Puts some octets (not none) before a source. The first chunk comes with them, so that a short message is one write and one
 * packet.
 */
export function prefixSource(octets: Uint8Array, source: Source): Source {
  let begun = false;
  let ended: Ended | null = null;
  return {
    async read() {
      if (ended !== null) return ended;
      const got = await source.read();
      if (!(got instanceof Uint8Array)) ended = got;
      if (begun) return got;
      begun = true;
      return got instanceof Uint8Array ? Buffer.concat([octets, got]) : octets;
    },
    close: () => source.close(),
  };
}
