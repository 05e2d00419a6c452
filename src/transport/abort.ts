/**
 * Abort signals that many wait for: one listener for all of them on each signal, because a program may have one signal for a thousand
 * messages, and the runtime takes that many listeners for a leak. Knows not what is ended.
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

/** The reason of a signal in words. */
export const printReason = ({ reason }: AbortSignal): string => printThrown(reason) || 'the attempt was ended';

/** What a program has thrown, in its own words; '' if it has none. */
export const printThrown = (thrown: unknown): string =>
  typeof thrown === 'string' ? thrown : thrown instanceof Error && typeof thrown.message === 'string' ? thrown.message : '';
