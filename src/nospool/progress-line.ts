/** The progress of a message, as one line of a terminal that is overwritten. Knows no message and no descriptor. */

/** Octets. A smaller message is sent before anybody can read the line. */
export const WORTH_SHOWING = 1024 * 1024;
/** Milliseconds between two lines, because nobody reads faster. */
const PACE = 100;
const BAR = 24;

export interface Progress {
  /** Takes the octets of content sent so far; fewer than before when the next smart host is tried. */
  readonly sent: (octets: number) => void;
  /** Removes the line. */
  readonly end: () => void;
}

/** `octets` in MiB, with one decimal. */
const mebibytes = (octets: number): string => (octets / 2 ** 20).toFixed(1);

/**
 * Prints as much as fits before the last column. `total` null: not known. It may be a little too small, because line ends
 * become CRLF on the way.
 */
export function printProgress(octets: number, total: number | null, milliseconds: number, columns = 80): string {
  const rate = milliseconds > 0 ? (octets / milliseconds) * 1000 : 0;
  const speed = `${mebibytes(rate)} MiB/s`;
  const fitting = (...lines: readonly string[]): string => lines.find((line) => line.length < columns) ?? '';
  if (total === null) return fitting(`${mebibytes(octets)} MiB  ${speed}`, `${mebibytes(octets)} MiB`);
  const part = Math.min(1, octets / total);
  const bar = `[${'#'.repeat(Math.floor(part * BAR)).padEnd(BAR, '.')}] `;
  const share = `${String(Math.floor(part * 100)).padStart(3)} %`;
  const amount = `  ${mebibytes(Math.min(octets, total))} of ${mebibytes(total)} MiB`;
  const left = rate > 0 ? Math.ceil((total - octets) / rate) : null;
  const end = part === 1 ? '  waiting' : left === null || left > 359_999 ? '' : `  ${printSeconds(left)} left`;
  return fitting(
    `${bar}${share}${amount}  ${speed}${end}`,
    `${share}${amount}  ${speed}${end}`,
    `${share}${amount}${end}`,
    `${share}${end}`,
    share,
  );
}

const printSeconds = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`;

/** The line for a message of `total` octets (null: not known). Writes nothing for a small message, and '' at the end. */
export function progressLine(
  total: number | null,
  write: (line: string) => void,
  columns: () => number = () => 80,
  now: () => number = () => performance.now(),
): Progress {
  const start = now();
  let last = Number.NEGATIVE_INFINITY;
  let isShown = false;
  let isWaiting = false;
  return {
    sent(octets) {
      if ((total ?? octets) < WORTH_SHOWING) return;
      const time = now();
      const isEnd = total !== null && octets >= total;
      if (time - last < PACE && !(isEnd && !isWaiting)) return;
      isWaiting = isEnd;
      last = time;
      isShown = true;
      write(printProgress(octets, total, time - start, columns()));
    },
    end() {
      if (isShown) write('');
      isShown = false;
    },
  };
}
