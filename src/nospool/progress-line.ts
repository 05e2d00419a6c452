/** How far a message has got, as one line of a terminal that is written over and over. Knows no message and no descriptor. */

/** Octets below which a message is through before anybody can read the line. */
export const WORTH_SHOWING = 1024 * 1024;
/** Milliseconds between two lines: more cannot be read. */
const PACE = 100;
const BAR = 24;

export interface Progress {
  /** Octets of content sent so far; less than before when another smart host is tried. */
  readonly sent: (octets: number) => void;
  /** Takes the line away. */
  readonly end: () => void;
}

/** `octets` in MiB, with one decimal. */
const mebibytes = (octets: number): string => (octets / 2 ** 20).toFixed(1);

/**
 * As much as fits before the last column. `total` null: not known; the line ends of a file may make it a little more than was
 * expected.
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

/** A line for a message of `total` octets (null: not known); nothing is written for a small one, and '' at the end. */
export function progressLine(
  total: number | null,
  write: (line: string) => void,
  columns: () => number = () => 80,
  now: () => number = () => performance.now(),
): Progress {
  const start = now();
  let last = Number.NEGATIVE_INFINITY;
  let shown = false;
  let waiting = false;
  return {
    sent(octets) {
      if ((total ?? octets) < WORTH_SHOWING) return;
      const time = now();
      const isEnd = total !== null && octets >= total;
      if (time - last < PACE && !(isEnd && !waiting)) return;
      waiting = isEnd;
      last = time;
      shown = true;
      write(printProgress(octets, total, time - start, columns()));
    },
    end() {
      if (shown) write('');
      shown = false;
    },
  };
}
