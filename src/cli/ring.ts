/**
 * Memory into which octets are read ahead while others are in use: what was handed out stays in place until the next is
 * taken, what was read meanwhile comes then in as few pieces as possible. Knows no descriptor and no end.
 */

interface Span {
  start: number;
  end: number;
}

/** Room below this is not worth a read of its own while more will be free soon. */
const LITTLE = 16 * 1024;

export class Ring {
  #memory: Uint8Array;
  readonly #most: number;
  /** Read and not yet handed out, in order. */
  #ready: Span[] = [];
  /** In use until the next `take`. */
  #out: Span = { start: 0, end: 0 };
  /** Where the next octets are being read to. */
  #into: Span;

  /** `most`: octets of one read at most. */
  constructor(memory: Uint8Array, most: number) {
    this.#memory = memory;
    this.#most = most;
    this.#into = { start: 0, end: Math.min(most, memory.length) };
  }

  /** Where to read to. */
  get room(): Uint8Array {
    return this.#memory.subarray(this.#into.start, this.#into.end);
  }

  get isEmpty(): boolean {
    return this.#ready.length === 0;
  }

  /** So many octets (at least one) were read to `room`. */
  wrote(count: number): void {
    const { start } = this.#into;
    const end = start + count;
    const last = this.#ready.at(-1);
    if (last?.end === start) last.end = end;
    else this.#ready.push({ start, end });
  }

  /**
   * Chooses the next room, after `wrote`. False when it will be free only after the next `take`: no read before it. So
   * it is as long as nothing is in use: nobody is busy while more could be read.
   */
  advance(): boolean {
    const taken = [...this.#ready, this.#out];
    const last = this.#ready.at(-1) ?? this.#out;
    const behind = this.#gapFrom(last.end, taken);
    const gap = width(behind) >= LITTLE ? behind : this.#widest(taken);
    const isFree = width(this.#out) > 0 && width(gap) >= LITTLE;
    // What is in use now is free then, and reading goes on there.
    const next = isFree ? gap : this.#widest(this.#ready);
    this.#into = { start: next.start, end: Math.min(next.end, next.start + this.#most) };
    return isFree;
  }

  /** The octets that came first, in one piece, and no more of what was taken before; null when there are none. */
  take(): Uint8Array | null {
    const next = this.#ready.shift();
    this.#out = next ?? { start: 0, end: 0 };
    return next === undefined ? null : this.#memory.subarray(next.start, next.end);
  }

  /** Free memory from a place on, up to what is taken. */
  #gapFrom(start: number, taken: readonly Span[]): Span {
    const end = Math.min(this.#memory.length, ...taken.filter((span) => width(span) > 0 && span.end > start).map((span) => span.start));
    return { start, end: Math.max(start, end) };
  }

  #widest(taken: readonly Span[]): Span {
    return [0, ...taken.map(({ end }) => end)]
      .map((start) => this.#gapFrom(start, taken))
      .reduce((widest, gap) => (width(gap) > width(widest) ? gap : widest));
  }
}

const width = ({ start, end }: Span): number => end - start;
