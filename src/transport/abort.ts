/**
 * Abort signals that many wait for: one listener for all of them on each signal, because a program may have one signal for a thousand
 * messages, and the runtime takes that many listeners for a leak. Also puts the reason of a signal, or what was thrown, into words.
 * Knows not what is ended.
 */
import { isError } from './realm.ts';

/**
 * What this program asks of a signal. Every AbortSignal is one; not every one is an AbortSignal, so that the compiler keeps them from the
 * runtime's and from a caller's functions.
 */
export interface EndSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Gives a signal. */
export interface EndController<Signal extends EndSignal = EndSignal> {
  readonly signal: Signal;
  abort(reason?: unknown): void;
}

class EndingSignal implements EndSignal {
  aborted = false;
  reason: unknown;
  readonly #listeners = new Set<() => void>();

  addEventListener(_: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }

  end(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (const listener of [...this.#listeners]) if (this.#listeners.delete(listener)) this.#tell(listener);
  }

  /** One that throws keeps none of the others from hearing it. */
  #tell(listener: () => void): void {
    try {
      listener.call(this);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/**
 * An AbortController for signals that only this program hears: the runtime's own takes two mebibytes of memory and a millisecond the first
 * time. A signal that a caller's function may get comes from that one.
 */
export function makeEnding(): EndController {
  const signal = new EndingSignal();
  return { signal, abort: (reason = new Error('the attempt was ended')) => signal.end(reason) };
}

const waiting = new WeakMap<EndSignal, Set<() => void>>();

/** Calls `deed` once when the signal comes; never, if it has come before. The value undoes this, and leaves no listener. */
export function whenAborted(signal: EndSignal | undefined, deed: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => {};
  const deeds = waiting.get(signal) ?? listenTo(signal);
  // The same function may be given twice.
  const own = (): void => deed();
  deeds.add(own);
  return () => {
    if (deeds.delete(own) && deeds.size === 0) leave(signal);
  };
}

function listenTo(signal: EndSignal): Set<() => void> {
  const deeds = new Set<() => void>();
  waiting.set(signal, deeds);
  signal.addEventListener('abort', onAbort, { once: true });
  return deeds;
}

function leave(signal: EndSignal): void {
  waiting.delete(signal);
  signal.removeEventListener('abort', onAbort);
}

function onAbort(this: EndSignal): void {
  const deeds = waiting.get(this);
  for (const deed of deeds ?? []) {
    deeds?.delete(deed);
    deed();
  }
}

/** The reason of a signal that has come, in words. */
export const abortReason = ({ reason }: EndSignal): string => reasonOf(reason) || 'the attempt was ended';

/** What somebody threw or gave as a reason, in words. Some values cannot even be made text. */
export function reasonOf(thrown: unknown): string {
  try {
    return isError(thrown) ? String(thrown.message) : String(thrown);
  } catch {
    return `an object without words (${typeof thrown})`;
  }
}

/** As reasonOf, but '' for what has no words of its own. */
export const printThrown = (thrown: unknown): string =>
  typeof thrown === 'string' ? thrown : isError(thrown) && typeof thrown.message === 'string' ? thrown.message : '';
