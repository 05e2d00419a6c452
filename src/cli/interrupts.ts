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

/** The input, which fails as soon as the signal comes, even while it waits. */
export function abortable(input: Input, signal: AbortSignal): Input {
  const failed = (): Ended => ({ end: 'failed', detail: String(signal.reason) });
  return {
    ...(input.file ? { file: input.file } : {}),
    close: () => input.close(),
    async read() {
      if (signal.aborted) return failed();
      let interrupt = () => {};
      const aborted = new Promise<Ended>((resolve) => {
        interrupt = () => resolve(failed());
        signal.addEventListener('abort', interrupt, { once: true });
      });
      const got = await Promise.race([input.read(), aborted]);
      signal.removeEventListener('abort', interrupt);
      // A signal that came together with the end of input wins: what it interrupted may have been cut short by it.
      return signal.aborted ? failed() : got;
    },
  };
}
