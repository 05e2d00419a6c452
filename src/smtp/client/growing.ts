/**
 * A list that grows at its end without being copied, and is a value all the same: what was taken earlier stays as it was.
 * For what comes once for each of many recipients. Knows nothing of what it holds.
 */

/** The first `count` of `items`; others that grew from this one may share the items and see more of them. */
export interface Growing<T> {
  readonly count: number;
  readonly items: T[];
}

export const none = <T>(): Growing<T> => ({ count: 0, items: [] });

/** With one more at its end. Constant time along one line of growth; only a second branch from the same list copies. */
export function grown<T>({ count, items }: Growing<T>, item: T): Growing<T> {
  const own = items.length === count ? items : items.slice(0, count);
  own.push(item);
  return { count: count + 1, items: own };
}

export const listed = <T>({ count, items }: Growing<T>): readonly T[] => items.slice(0, count);
