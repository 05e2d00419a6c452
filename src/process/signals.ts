/** Makes signals end a delivery. Knows no message and no connection. */
import type { Ended, Input } from '../message/source.ts';
import { ENDING_SIGNALS, type UrgentInterrupts } from '../submit/interrupts.ts';
import { type EndSignal, makeEnding } from '../transport/abort.ts';

/**
 * Makes SIGTERM and SIGINT end the process, which has read nothing yet, and sent nothing; `tell` reports that. It ignores SIGHUP, as Exim
 * does: mailx and mutt start us with it ignored, which the runtime undoes.
 */
export function exitOnSignals(tell: (reason: string) => void): void {
  const leave = (name: string) => {
    tell(printEnd(name));
    process.exit(1);
  };
  process
    .on('SIGHUP', () => {})
    .on('SIGTERM', leave)
    .on('SIGINT', leave);
}

const printEnd = (name: string): string => `ended by ${name}`;

/**
 * Signals that end a process end the delivery, a second one the wait for a verdict. `isTyped`: so does SIGHUP, because the message
 * comes from a person whose terminal is gone.
 */
export function listenForSignals(isTyped: boolean): UrgentInterrupts {
  const [first, second] = [makeEnding(), makeEnding()];
  const interrupt = (name: string) => {
    const reason = printEnd(name);
    if (first.signal.aborted) second.abort(reason);
    else first.abort(reason);
  };
  for (const name of isTyped ? [...ENDING_SIGNALS, 'SIGHUP'] : ENDING_SIGNALS) {
    // These are the listeners of exitOnSignals, perhaps of another copy of this file. They go last, because a signal without a listener ends the process.
    const earlier = process.listeners(name as NodeJS.Signals);
    process.on(name, interrupt);
    for (const listener of earlier) process.off(name, listener);
  }
  return { signal: first.signal, urgent: second.signal, makeController: makeEnding };
}

/** Makes an input fail as soon as the signal comes, even while it waits. One read at a time. */
export function makeAbortable(input: Input, signal: EndSignal): Input {
  const fail = (): Ended => ({ end: 'failed', detail: String(signal.reason) });
  let interrupt: (() => void) | undefined;
  // One listener serves all reads, because a long message has many.
  signal.addEventListener('abort', () => interrupt?.(), { once: true });
  return {
    ...(input.file ? { file: input.file } : {}),
    ...(input.useMemory ? { useMemory: (memory) => input.useMemory?.(memory) } : {}),
    close: () => input.close(),
    read: () =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return resolve(fail());
        interrupt = () => resolve(fail());
        // A signal that came together with the end of input wins: what it interrupted may have been cut short by it.
        input.read().then((got) => resolve(signal.aborted ? fail() : got), reject);
      }),
  };
}
