/**
 * Turns pushed chunks into a pulled Source. The producer waits until its chunk is consumed, so at most one is held, if it
 * waits each time. Knows no command and no message.
 */
import type { Ended, Source } from '../../message/source.ts';

export interface PushedSource {
  readonly source: Source;
  /** Adds a chunk, whose octets must stay valid until `waitUntilConsumed` resolves. */
  push(octets: Uint8Array): void;
  /** Ends the source behind what was pushed; only the first end counts. */
  end(how: Ended): void;
  /** Forgets what was pushed and what will be, because nobody reads on. */
  discard(): void;
  /** Resolves when the reader needs nothing any more that was pushed. */
  waitUntilConsumed(): Promise<void>;
}

export function makePushedSource(): PushedSource {
  let chunks: Uint8Array[] = [];
  let ended: Ended | null = null;
  let isDiscarded = false;
  /** The reader uses the chunk that it read last until it reads again. */
  let isInUse = false;
  let reader: ((got: Uint8Array | Ended) => void) | null = null;
  let producers: (() => void)[] = [];

  const isConsumed = () => isDiscarded || (chunks.length === 0 && !isInUse);
  function settle(): void {
    const next = chunks[0] ?? ended;
    if (reader !== null && next !== null) {
      isInUse = chunks.shift() !== undefined;
      const resolve = reader;
      reader = null;
      resolve(next);
    }
    if (!isConsumed()) return;
    const waiting = producers;
    producers = [];
    for (const resolve of waiting) resolve();
  }

  return {
    source: {
      read: () =>
        new Promise((resolve) => {
          isInUse = false;
          reader = resolve;
          settle();
        }),
      close: () => undefined,
    },
    push(octets) {
      if (!isDiscarded && ended === null) chunks.push(octets);
      settle();
    },
    end(how) {
      ended ??= how;
      settle();
    },
    discard() {
      isDiscarded = true;
      chunks = [];
      settle();
    },
    waitUntilConsumed: () => (isConsumed() ? Promise.resolve() : new Promise((resolve) => void producers.push(resolve))),
  };
}
