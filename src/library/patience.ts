/** Waits for what somebody else's function gives, until a signal comes or the time is over. Knows no function. */
import { follow } from '../submit/interrupts.ts';
import { whenAborted } from '../transport/abort.ts';
import { alarm } from '../transport/clock.ts';

/** What ends a wait. */
export interface Wait {
  readonly signal: AbortSignal | undefined;
  /** Milliseconds; Infinity: without a limit. */
  readonly patience: number;
}

/**
 * Rejects with the reason of the signal, or with what `late` makes. The work gets a signal that comes with either. (Not one of
 * AbortSignal.any and AbortSignal.timeout: Node 20 collects their time-out as garbage, and then it never comes.)
 */
export async function unlessLate<Result>(
  { signal, patience }: Wait,
  late: () => Error,
  work: (left: AbortSignal) => Result | Promise<Result>,
): Promise<Result> {
  const left = new AbortController();
  const stop = alarm(patience, () => left.abort(late()));
  const unlink = follow(left, signal);
  try {
    return await new Promise<Result>((resolve, reject) => {
      const leave = (): void => reject(left.signal.reason);
      whenAborted(left.signal, leave);
      // Also what fails later is heard, because it would end the process.
      Promise.resolve(work(left.signal)).then(resolve, reject);
      if (left.signal.aborted) leave();
    });
  } finally {
    stop();
    unlink();
  }
}
