/** What ends a delivery from outside: signals, and the deadline for the whole of it. Knows no message and no connection. */
import { type EndController, type EndSignal, whenAborted } from '../transport/abort.ts';
import { alarm } from '../transport/clock.ts';

/**
 * Signals that would end the process without a word: of a caller, a terminal (SIGINT, SIGQUIT), a clock that the caller has left
 * running (SIGALRM), a limit of processor time (SIGXCPU).
 */
export const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGALRM', 'SIGUSR2', 'SIGXCPU'] as const;

export interface Interrupts {
  /** Ends the delivery; after the commit the verdict is still awaited, for `grace`. Its reason is a sentence. */
  readonly signal: EndSignal;
  /** Ends even the wait for the verdict. */
  readonly urgent?: EndSignal | undefined;
  /** Milliseconds. */
  readonly grace?: number | undefined;
  /** Makes controllers whose signals nobody hears but this program; default: the runtime's own. */
  readonly makeController?: (() => EndController) | undefined;
}

export interface UrgentInterrupts<Signal extends EndSignal = EndSignal> extends Interrupts {
  readonly signal: Signal;
  readonly urgent: Signal;
}

/** The result of `work`, or null when the signal came first. */
export async function unlessAborted<T>(work: Promise<T>, signal: EndSignal | undefined): Promise<T | null> {
  if (signal === undefined) return work;
  if (signal.aborted) return null;
  let unlink: (() => void) | undefined;
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
export function withDeadline<Signal extends EndSignal>(
  interrupts: Omit<Interrupts, 'makeController'> | undefined,
  milliseconds: number,
  makeController: () => EndController<Signal>,
): { readonly interrupts: UrgentInterrupts<Signal>; readonly release: () => boolean } {
  const [first, second] = [makeController(), makeController()];
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
export function follow(controller: EndController, signal: EndSignal | undefined): () => void {
  const abort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  return whenAborted(signal, abort);
}
