/**
 * Memory into which octets are read ahead while others are in use. What was handed out stays in place until it is released;
 * what was read meanwhile then comes in as few pieces as possible. Knows no descriptor and no end.
 */

interface Stretch {
  start: number;
  end: number;
}

/** Less room than this is not worth a read of its own while more will be free soon. */
const LITTLE = 16 * 1024;

export class Ring {
  readonly #memory: Uint8Array;
  readonly #most: number;
  /** Octets that were read and not yet handed out, in order; `#waiting` in all. */
  readonly #ready: Stretch[] = [];
  #waiting = 0;
  /** Octets that were handed out and not yet released. */
  #out: Stretch = { start: 0, end: 0 };
  /** Free memory, from where the next octets are read to. */
  #free: Stretch;

  /** `most`: octets of one read at most; the memory is at least twice as large. */
  constructor(memory: Uint8Array, most: number) {
    this.#memory = memory;
    this.#most = most;
    this.#free = { start: 0, end: memory.length };
  }

  /** The memory to read to. */
  get room(): Uint8Array {
    const { start, end } = this.#free;
    return this.#memory.subarray(start, Math.min(end, start + this.#most));
  }

  /** Octets read and not yet handed out. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Takes so many octets (at least one) that were read to `room`. False when nothing may be read before the next `release`, because there is no room. */
  write(count: number): boolean {
    const { start } = this.#free;
    const end = start + count;
    const last = this.#ready.at(-1);
    if (last?.end === start) last.end = end;
    else this.#ready.push({ start, end });
    this.#waiting += count;
    this.#free.start = end;
    return this.#chooseRoom();
  }

  #chooseRoom(): boolean {
    // While nothing is in use nobody is busy, so half is enough to have read ahead.
    const mayRead = widthOf(this.#out) > 0 || this.#waiting < this.#memory.length / 2;
    if (widthOf(this.#free) < LITTLE) this.#free = this.#widest([...this.#ready, this.#out]);
    if (mayRead && widthOf(this.#free) >= LITTLE) return true;
    // The octets in use now are free then, and reading goes on in their place.
    this.#free = this.#widest(this.#ready);
    return false;
  }

  /** Frees what was taken. */
  release(): void {
    this.#out = { start: 0, end: 0 };
  }

  /** Hands out the octets that came first, in one piece; null when there are none. They are released before the next are taken. */
  take(): Uint8Array | null {
    const next = this.#ready.shift();
    if (next === undefined) return null;
    this.#out = next;
    this.#waiting -= widthOf(next);
    return this.#memory.subarray(next.start, next.end);
  }

  #widest(taken: readonly Stretch[]): Stretch {
    let widest: Stretch = { start: 0, end: 0 };
    for (const start of [0, ...taken.map(({ end }) => end)]) {
      const behind = taken.filter((span) => widthOf(span) > 0 && span.end > start).map((span) => span.start);
      const gap = { start, end: Math.min(this.#memory.length, ...behind) };
      if (widthOf(gap) > widthOf(widest)) widest = gap;
    }
    return widest;
  }
}

const widthOf = ({ start, end }: Stretch): number => end - start;
