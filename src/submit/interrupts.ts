/** What ends a delivery from outside: signals, and the deadline for the whole of it. Knows no message and no connection. */
import { whenAborted } from '../transport/abort.ts';
import { alarm } from '../transport/clock.ts';

export interface Interrupts {
  /** Ends the delivery; after the commit the verdict is still awaited, for `grace`. Its reason is a sentence. */
  readonly signal: AbortSignal;
  /** Ends even the wait for the verdict. */
  readonly urgent?: AbortSignal | undefined;
  /** Milliseconds. */
  readonly grace?: number | undefined;
  /** Makes controllers whose signals nobody hears but this program; default: the runtime's own. */
  readonly makeController?: (() => AbortController) | undefined;
}

export interface UrgentInterrupts extends Interrupts {
  readonly urgent: AbortSignal;
}

/** The result of `work`, or null when the signal came first. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T | null> {
  if (signal === undefined) return work;
  if (signal.aborted) return null;
  let unlink = () => {};
  const aborted = new Promise<null>((resolve) => {
    unlink = whenAborted(signal, () => resolve(null));
  });
  const done = await Promise.race([work, aborted]).finally(unlink);
  return signal.aborted ? null : done;
}

/**
 * The interrupts with a deadline among them, in milliseconds (Infinity: none). It is urgent, because whoever waits has waited long
 * enough. `release` ends the deadline and leaves no listener; true if the deadline has passed.
 */
export function withDeadline(
  interrupts: Interrupts | undefined,
  milliseconds: number,
): { readonly interrupts: UrgentInterrupts; readonly release: () => boolean } {
  const make = interrupts?.makeController ?? (() => new AbortController());
  const [first, second] = [make(), make()];
  let isLate = false;
  const reason = `the deadline of ${milliseconds / 1000} s has passed (timeouts.deadline)`;
  // A verdict that has arrived counts, but what is read then may not lead to a commit.
  const stop = alarm(
    milliseconds,
    () => second.abort(reason),
    () => {
      isLate = true;
      first.abort(reason);
    },
  );
  const unlink = [follow(first, interrupts?.signal), follow(second, interrupts?.urgent)];
  const release = (): boolean => {
    stop();
    for (const each of unlink) each();
    return isLate;
  };
  return { interrupts: { signal: first.signal, urgent: second.signal, grace: interrupts?.grace }, release };
}

/** Ends one with the other; the value undoes that. */
export function follow(controller: AbortController, signal: AbortSignal | undefined): () => void {
  const abort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  return whenAborted(signal, abort);
}
