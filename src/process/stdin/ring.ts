/**
 * Memory into which octets are read ahead while others are in use: what was handed out stays in place until it is released,
 * what was read meanwhile comes then in as few pieces as possible. Knows no descriptor and no end.
 */

interface Stretch {
  start: number;
  end: number;
}

/** Room below this is not worth a read of its own while more will be free soon. */
const LITTLE = 16 * 1024;

export class Ring {
  readonly #memory: Uint8Array;
  readonly #most: number;
  /** Read and not yet handed out, in order; `#waiting` octets in all. */
  readonly #ready: Stretch[] = [];
  #waiting = 0;
  /** Handed out and not yet released. */
  #out: Stretch = { start: 0, end: 0 };
  /** Free memory, from where the next octets are read to. */
  #free: Stretch;

  /** `most`: octets of one read at most; the memory is twice as large at least. */
  constructor(memory: Uint8Array, most: number) {
    this.#memory = memory;
    this.#most = most;
    this.#free = { start: 0, end: memory.length };
  }

  /** Where to read to. */
  get room(): Uint8Array {
    const { start, end } = this.#free;
    return this.#memory.subarray(start, Math.min(end, start + this.#most));
  }

  /** Octets read and not yet handed out. */
  get waiting(): number {
    return this.#waiting;
  }

  /** So many octets (at least one) were read to `room`. False when there is room again only after the next `release`: no read before it. */
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
    // While nothing is in use nobody is busy: then half is enough to have read ahead.
    const mayRead = width(this.#out) > 0 || this.#waiting < this.#memory.length / 2;
    if (width(this.#free) < LITTLE) this.#free = this.#widest([...this.#ready, this.#out]);
    if (mayRead && width(this.#free) >= LITTLE) return true;
    // What is in use now is free then, and reading goes on there.
    this.#free = this.#widest(this.#ready);
    return false;
  }

  /** What was taken is no longer in use. */
  release(): void {
    this.#out = { start: 0, end: 0 };
  }

  /** The octets that came first, in one piece, to be released before the next are taken; null when there are none. */
  take(): Uint8Array | null {
    const next = this.#ready.shift();
    if (next === undefined) return null;
    this.#out = next;
    this.#waiting -= width(next);
    return this.#memory.subarray(next.start, next.end);
  }

  #widest(taken: readonly Stretch[]): Stretch {
    let widest: Stretch = { start: 0, end: 0 };
    for (const start of [0, ...taken.map(({ end }) => end)]) {
      const behind = taken.filter((span) => width(span) > 0 && span.end > start).map((span) => span.start);
      const gap = { start, end: Math.min(this.#memory.length, ...behind) };
      if (width(gap) > width(widest)) widest = gap;
    }
    return widest;
  }
}

const width = ({ start, end }: Stretch): number => end - start;
