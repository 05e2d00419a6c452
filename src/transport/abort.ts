/**
 * Abort signals that many wait for: one listener for all of them on each signal, because a program may have one signal for a thousand
 * messages, and the runtime takes that many listeners for a leak. Also puts the reason of a signal, or what was thrown, into words.
 * Knows not what is ended.
 */

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `deed` once when the signal comes; never, if it has come before. The value undoes this, and leaves no listener. */
export function whenAborted(signal: AbortSignal | undefined, deed: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => {};
  const deeds = waiting.get(signal) ?? listenTo(signal);
  // The same function may be given twice.
  const own = (): void => deed();
  deeds.add(own);
  return () => {
    if (deeds.delete(own) && deeds.size === 0) leave(signal);
  };
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const deeds = new Set<() => void>();
  waiting.set(signal, deeds);
  signal.addEventListener('abort', onAbort, { once: true });
  return deeds;
}

function leave(signal: AbortSignal): void {
  waiting.delete(signal);
  signal.removeEventListener('abort', onAbort);
}

function onAbort(this: AbortSignal): void {
  const deeds = waiting.get(this);
  waiting.delete(this);
  for (const deed of deeds ?? []) {
    deeds?.delete(deed);
    deed();
  }
}

/** The reason of a signal that has come, in words. */
export const abortReason = ({ reason }: AbortSignal): string => reasonOf(reason) || 'the attempt was ended';

/** What somebody threw or gave as a reason, in words. Some values cannot even be made text. */
export function reasonOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? String(thrown.message) : String(thrown);
  } catch {
    return `an object without words (${typeof thrown})`;
  }
}

/** As reasonOf, but '' for what has no words of its own. */
export const printThrown = (thrown: unknown): string =>
  typeof thrown === 'string' ? thrown : thrown instanceof Error && typeof thrown.message === 'string' ? thrown.message : '';
