/**
 * Clocks that read before they ring, because a process that was stopped, or a host that slept, finds the time over and the answer
 * in its socket. Knows neither what is waited for nor what is late.
 */

import { LONGEST_TIMER } from '../smtp/limits.ts';

/** Milliseconds on a clock that nobody sets. The global `performance` would do, but costs a start nine modules of Node. */
export const now = (): number => process.uptime() * 1000;

/** One turn of the event loop. The first may come before it polls. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Milliseconds in which a thread of this process that was stopped, too, hands over what it has read. */
const HANDOVER = 10;

/** Resolves when what has arrived until now is read, because a timer comes after a poll. */
export const untilRead = (): Promise<void> => new Promise<void>((resolve) => setTimeout(resolve, HANDOVER)).then(turn);

/**
 * Calls `ring` when the time is over (Infinity: never), unless what arrived until then has stopped it. The value stops it. `over` is
 * called before that is read, for what may not be begun any more.
 */
export function alarm(milliseconds: number, ring: () => void, over?: () => void): () => void {
  const end = now() + milliseconds;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const wind = (): void => {
    timer = setTimeout(look, Math.min(LONGEST_TIMER, Math.max(1, end - now())));
  };
  const look = (): void => {
    if (now() < end) {
      wind();
      return;
    }
    over?.();
    void untilRead().then(() => {
      if (!isStopped) ring();
    });
  };
  if (milliseconds !== Number.POSITIVE_INFINITY) wind();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
