/** Finds the name that somebody may have meant who wrote another. Knows no list of names. */

/**
 * Returns the name that is the fewest edits away from `written`, without regard to case. `near`: the edits are so few that the
 * name may be meant. `names` is not empty.
 */
export function nearest(written: string, names: readonly string[]): { readonly name: string; readonly near: boolean } {
  let best = '';
  let least = Infinity;
  for (const name of names) {
    const away = distance(written.toLowerCase(), name.toLowerCase());
    if (away < least) [best, least] = [name, away];
  }
  return { name: best, near: least <= Math.max(2, Math.floor(best.length / 3)) };
}

/** Counts the edits (insert, drop, replace, swap neighbours) that lead from one word to the other. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, (last[j - 1] as number) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] as number) + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length] as number;
}
