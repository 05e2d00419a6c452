/**
 * Time that passes only when nothing else is left to do: timers and the clock of this process are replaced, so that a delivery which
 * waits five minutes for a server takes no time, and goes the same way each time. Knows no mail.
 */

interface Timer {
  at: number;
  readonly ring: () => void;
}

const real = { setImmediate, setTimeout, clearTimeout, uptime: process.uptime, now: performance.now };

export class VirtualTime {
  /** Turns of the event loop in which nothing happened, after which time passes: some of what the system does takes turns that nobody sees. */
  readonly #patience: number;
  /** Milliseconds. */
  now = 0;
  /** In the order in which they were set. */
  #timers: Timer[] = [];
  /** Turns of the event loop that somebody waits for. */
  #turns = 0;

  constructor(patience = 2) {
    this.#patience = patience;
  }

  /** Timers that are wound and have not rung. */
  get timers(): number {
    return this.#timers.length;
  }

  /** Takes the place of the real time, for everything in this process. */
  install(): void {
    const set = (ring: (...facts: unknown[]) => void, milliseconds = 1, ...facts: unknown[]) => {
      const timer: Timer = { at: this.now + Math.max(1, milliseconds), ring: () => ring(...facts) };
      this.#timers.push(timer);
      const refresh = () => {
        timer.at = this.now + Math.max(1, milliseconds);
        if (!this.#timers.includes(timer)) this.#timers.push(timer);
        return timer;
      };
      return Object.assign(timer, { ref: () => timer, unref: () => timer, hasRef: () => true, refresh });
    };
    const clear = (timer: unknown): void => {
      const at = this.#timers.indexOf(timer as Timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
    const turn = (work: (...facts: unknown[]) => void, ...facts: unknown[]) => {
      this.#turns += 1;
      return real.setImmediate(() => {
        this.#turns -= 1;
        work(...facts);
      });
    };
    Object.assign(globalThis, { setTimeout: set, clearTimeout: clear, setImmediate: turn });
    process.uptime = () => this.now / 1000;
    performance.now = () => this.now;
  }

  uninstall(): void {
    const { setImmediate: turn, setTimeout: set, clearTimeout: clear, uptime, now } = real;
    Object.assign(globalThis, { setTimeout: set, clearTimeout: clear, setImmediate: turn });
    process.uptime = uptime;
    performance.now = now;
  }

  /** Lets everything happen until `isOver`; false when nothing can happen any more and it is not. */
  async pass(isOver: () => boolean): Promise<boolean> {
    for (let quiet = 0; ; ) {
      if (isOver()) return true;
      await new Promise((resolve) => real.setImmediate(resolve));
      quiet = this.#turns === 0 ? quiet + 1 : 0;
      if (quiet < this.#patience) continue;
      quiet = 0;
      if (!this.#ringNext()) return isOver();
    }
  }

  /** Lets time pass until it is so late, and everything happen that does until then. */
  async passUntil(end: number): Promise<void> {
    let isOver = false;
    setTimeout(() => {
      isOver = true;
    }, end - this.now);
    await this.pass(() => isOver);
    for (let quiet = 0; quiet < this.#patience; quiet = this.#turns === 0 ? quiet + 1 : 0)
      await new Promise((resolve) => real.setImmediate(resolve));
  }

  #ringNext(): boolean {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.at < next.at) next = timer;
    if (next === undefined) return false;
    this.#timers.splice(this.#timers.indexOf(next), 1);
    this.now = Math.max(this.now, next.at);
    next.ring();
    return true;
  }
}

/** Draws the same for the same seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    // Neighbouring seeds begin alike unless they are stirred.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  }

  /** From 0 up to 1. */
  draw(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to `count` - 1. */
  below = (count: number): number => Math.floor(this.draw() * count);
  one = <T>(values: readonly T[]): T => values[this.below(values.length)] as T;
  isIn = (share: number): boolean => this.draw() < share;
}
