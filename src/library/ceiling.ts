/**
 * How many sessions the servers of a pool have room for. One that could not be opened says that there is room for no more than there
 * were; now and then one asks whether there is room again. Knows no session.
 */

/** Milliseconds after a session that could not be opened. While others serve they double with each attempt, up to LONGEST. */
const PAUSE = 1000;
const LONGEST = 60_000;

export class Ceiling {
  #sessions = Number.POSITIVE_INFINITY;
  /** When it was found, or one last asked for room. */
  #since = 0;
  #pause = PAUSE;

  /** How many may be opened beside those that are there. */
  above(there: number): number {
    return this.#sessions - there;
  }

  /** Milliseconds until one may ask for room, 0 or less: now. `isServed`: other sessions send meanwhile, so there is no hurry. */
  untilAsked(isServed: boolean): number {
    return this.#since + (isServed ? this.#pause : PAUSE) - performance.now();
  }

  /** One asks for room. */
  ask(): void {
    this.#since = performance.now();
    this.#pause = Math.min(2 * this.#pause, LONGEST);
  }

  /** One could not be opened beside so many. */
  find(there: number): void {
    this.#since = performance.now();
    if (this.#sessions === Number.POSITIVE_INFINITY) this.#pause = PAUSE;
    this.#sessions = there;
  }

  /** One was opened, and now there are so many. */
  pass(there: number): void {
    if (there > this.#sessions) this.#sessions = Number.POSITIVE_INFINITY;
  }
}
