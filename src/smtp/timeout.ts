/** Prints for people the time limit that is over. Knows no clock. */

/** A key of [timeouts] and its value. */
export interface TimeLimit {
  readonly key: 'greeting' | 'handshake' | 'command' | 'data' | 'block' | 'final';
  readonly milliseconds: number;
}

/** Prints how long the session waited, and the key that says so: `within 5m (timeouts.greeting)`. */
export function printTimeLimit(limit: TimeLimit | undefined): string {
  return limit === undefined ? 'in time' : `within ${printDuration(limit.milliseconds)} (timeouts.${limit.key})`;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

/** Prints a duration as nospool.toml(5) has it: `1h30m`. */
export function printDuration(milliseconds: number): string {
  let left = Math.round(milliseconds);
  let out = '';
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    if (count > 0) out += `${count}${unit}`;
    left -= count * length;
  }
  return out || '0s';
}
