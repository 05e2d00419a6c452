/**
 * A list that grows at its end and never changes: each one points at the list it grew from, so that growing copies nothing.
 * It is for what comes once for each of many recipients. Knows nothing of what it holds.
 */

/** A list with at least one item; `null` stands for the empty list. */
export interface LinkedList<T> {
  readonly count: number;
  readonly last: T;
  readonly before: LinkedList<T> | null;
}

export const countOf = (list: LinkedList<unknown> | null): number => list?.count ?? 0;

/** The list with one more item at its end. */
export const extend = <T>(list: LinkedList<T> | null, item: T): LinkedList<T> => ({ count: countOf(list) + 1, last: item, before: list });

/** The items, the first one first. */
export function toArray<T>(list: LinkedList<T>): readonly [T, ...T[]] {
  const items: [T, ...T[]] = [list.last];
  for (let at = list.before; at !== null; at = at.before) items.push(at.last);
  items.reverse();
  return items;
}
