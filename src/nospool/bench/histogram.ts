/**
 * How values are spread, in memory that does not grow with their number: they are counted in buckets whose bounds are a
 * constant factor apart. A quantile is then right within half of one percent, the least and the greatest value exactly.
 * Pure. Knows no unit, but its range is that of milliseconds.
 */

/** A bucket's upper bound by its lower one. The geometric middle is off by its square root at most: 0.5 %. */
const FACTOR = 1.01;
/** Upper bound of the first bucket: in milliseconds, a microsecond, below which no clock here is right. */
const LEAST = 0.001;
/** Lower bound of the last one: in milliseconds, almost three hours, beyond every time-out. */
const MOST = 10_000_000;
const LAST = Math.ceil(Math.log(MOST / LEAST) / Math.log(FACTOR));

export interface Histogram {
  readonly count: number;
  /** Null as long as there is no value; so are the next two. */
  readonly least: number | null;
  readonly greatest: number | null;
  /** The least value that `part` (0 to 1) of all values do not exceed: the nearest-rank definition. */
  quantile(part: number): number | null;
  /** Takes a value of 0 or more. */
  add(value: number): void;
}

export function histogram(): Histogram {
  const buckets = new Float64Array(LAST + 1);
  let count = 0;
  let least = Number.POSITIVE_INFINITY;
  let greatest = 0;
  return {
    get count() {
      return count;
    },
    get least() {
      return count === 0 ? null : least;
    },
    get greatest() {
      return count === 0 ? null : greatest;
    },
    quantile(part) {
      if (count === 0) return null;
      // 0.07 * 100 is a little more than 7.
      const rank = Math.min(count, Math.max(1, Math.ceil(part * count - 1e-9 * count)));
      if (rank === 1) return least;
      if (rank === count) return greatest;
      let seen = 0;
      let bucket = 0;
      for (; bucket < LAST; bucket++) {
        seen += buckets[bucket] as number;
        if (seen >= rank) break;
      }
      return Math.min(greatest, Math.max(least, LEAST * FACTOR ** (bucket - 0.5)));
    },
    add(value) {
      const bucket = value <= LEAST ? 0 : Math.min(LAST, Math.ceil(Math.log(value / LEAST) / Math.log(FACTOR)));
      buckets[bucket] = (buckets[bucket] as number) + 1;
      count++;
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
    },
  };
}
