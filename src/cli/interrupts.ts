/** What ends a delivery from outside: signals and the deadline. Knows no message and no connection. */
import type { Ended, Input } from '../message/source.ts';

export interface Interrupts {
  /** The delivery ends: its reason is the sentence. */
  readonly signal: AbortSignal;
  /** Nothing more is waited for. */
  readonly urgent: AbortSignal;
  readonly release: () => void;
}

/** From the first moment on. SIGHUP is ignored as in Exim: mailx and mutt start us with it ignored, which the runtime undoes. */
export function exitOnSignals(): void {
  process
    .on('SIGHUP', () => {})
    // Before there is anything to end, a signal ends the process: nothing has been read, nothing sent.
    .on('SIGTERM', () => process.exit(1))
    .on('SIGINT', () => process.exit(1));
}

/**
 * SIGTERM and SIGINT end the delivery, a second one the wait for a verdict. `deadline`: milliseconds for the whole run.
 */
export function listenForSignals(deadline: number): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  const interrupt = (name: string) => {
    const reason = `ended by ${name}`;
    if (first.signal.aborted) second.abort(reason);
    else first.abort(reason);
  };
  // Those of exitOnSignals, which may come from another copy of this file.
  process.removeAllListeners('SIGTERM').removeAllListeners('SIGINT');
  process.on('SIGTERM', interrupt).on('SIGINT', interrupt);
  const timer =
    deadline === Number.POSITIVE_INFINITY
      ? undefined
      : setTimeout(() => {
          const reason = `the deadline of ${deadline / 1000} s has passed (timeouts.deadline)`;
          first.abort(reason);
          second.abort(reason);
        }, deadline);
  const release = () => clearTimeout(timer);
  return { signal: first.signal, urgent: second.signal, release };
}

/** The input, which fails as soon as the signal comes, even while it waits. One read at a time. */
export function abortable(input: Input, signal: AbortSignal): Input {
  const failed = (): Ended => ({ end: 'failed', detail: String(signal.reason) });
  let interrupt = (): void => {};
  // One listener for all reads: a long message has many.
  signal.addEventListener('abort', () => interrupt(), { once: true });
  return {
    ...(input.file ? { file: input.file } : {}),
    ...(input.useMemory ? { useMemory: (memory) => input.useMemory?.(memory) } : {}),
    close: () => input.close(),
    read: () =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return resolve(failed());
        interrupt = () => resolve(failed());
        // A signal that came together with the end of input wins: what it interrupted may have been cut short by it.
        input.read().then((got) => resolve(signal.aborted ? failed() : got), reject);
      }),
  };
}
