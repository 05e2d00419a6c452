/**
 * Counts durations in milliseconds, and tells how they are spread. The runtime's histogram takes memory that does not grow
 * with their number, and each figure is right within a thousandth. Knows nothing of what took so long.
 */
import { createHistogram } from 'node:perf_hooks';

/** The histogram holds integers from 1 on, so it counts nanoseconds. */
const NANOSECONDS = 1e6;
/** Significant decimal digits. */
const FIGURES = 3;

export interface Durations {
  readonly count: number;
  /** null as long as there is no value. */
  readonly greatest: number | null;
  /** The least value that `part` (0 to 1) of all values do not exceed: the nearest-rank definition. null as for `greatest`. */
  quantile(part: number): number | null;
  add(milliseconds: number): void;
}

export function countDurations(): Durations {
  const histogram = createHistogram({ figures: FIGURES });
  const isEmpty = () => histogram.count === 0;
  return {
    get count() {
      return histogram.count;
    },
    get greatest() {
      return isEmpty() ? null : histogram.max / NANOSECONDS;
    },
    quantile(part) {
      if (isEmpty()) return null;
      const { count } = histogram;
      // 0.07 * 100 is a little more than 7. The rank is whole here, because the runtime would round it down or up.
      const rank = Math.min(count, Math.max(1, Math.ceil(part * count - 1e-9 * count)));
      // Node and Bun report the least and the greatest value exactly or by the bound of a bucket. No quantile may lie outside.
      return Math.min(histogram.max, Math.max(histogram.min, histogram.percentile((rank / count) * 100))) / NANOSECONDS;
    },
    add(milliseconds) {
      histogram.record(Math.max(1, Math.round(milliseconds * NANOSECONDS)));
    },
  };
}
