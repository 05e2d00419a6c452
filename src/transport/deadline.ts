/**
 * The time within which a session must go on. It is set anew with each step, and begins again while octets move. It rings only
 * after what arrived in time was read. Knows neither what is waited for nor what follows.
 */
import { LONGEST_TIMER } from '../smtp/limits.ts';
import { now, untilRead } from './clock.ts';

/** How often the deadline looks at octets that are on their way, within the time that they have. */
const LOOKS = 4;

/** Octets on their way: each time their number differs from the one before, their time begins again. */
interface Watch {
  readonly count: () => number;
  readonly milliseconds: number;
  readonly before: number;
}

export class Deadline {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** When the time is over; Infinity is never. */
  #end = Number.POSITIVE_INFINITY;
  /** The end for which the timer was wound; Infinity where none is. */
  #wound = Number.POSITIVE_INFINITY;
  #watch: Watch | null = null;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Begins anew: `milliseconds` from now, Infinity for never. `count`: octets on their way, whose every movement begins it anew, too. */
  set(milliseconds: number, count: (() => number) | null = null): void {
    this.#end = now() + milliseconds;
    this.#watch = count && { count, milliseconds, before: count() };
    // Most deadlines are moved back before they are over. The timer then stays: to wind it anew costs more than one look at the time.
    if (this.#end < this.#wound) this.#wind();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#end = Number.POSITIVE_INFINITY;
    this.#wound = Number.POSITIVE_INFINITY;
  }

  #wind(): void {
    clearTimeout(this.#timer);
    this.#wound = this.#end;
    const left = this.#end - now();
    const next = this.#watch === null ? left : Math.min(left, this.#watch.milliseconds / LOOKS);
    this.#timer = setTimeout(() => this.#look(), Math.min(LONGEST_TIMER, Math.max(1, next)));
  }

  #look(): void {
    const end = this.#end;
    this.#wound = Number.POSITIVE_INFINITY;
    if (this.#beginAnew()) return;
    if (now() >= end)
      // Octets move then, too, where this process was stopped and the server has made room meanwhile.
      void untilRead().then(() => {
        if (this.#end === end && !this.#beginAnew()) this.#ring();
      });
    else if (end !== Number.POSITIVE_INFINITY) this.#wind();
  }

  /** True where octets have moved: their time begins again. RFC 5321 §4.5.3.2.5: a slow line is not a silent server. */
  #beginAnew(): boolean {
    const watch = this.#watch;
    const hasMoved = watch !== null && watch.count() !== watch.before;
    if (hasMoved) this.set(watch.milliseconds, watch.count);
    return hasMoved;
  }
}
