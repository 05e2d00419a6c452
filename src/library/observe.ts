/** Tells a program's callbacks what happens. A callback that throws changes nothing: it is ignored, and reported once. */
import type { SessionObserver } from '../submit/session.ts';
import type { Options } from './options.ts';
import { wordsOf } from './security.ts';

let sessions = 0;

/** Makes the observer of one session. `server`: as logs name it. */
export function observerOf(
  { trace, progress }: Pick<Options, 'trace' | 'progress'>,
  server: string,
  attempt: number,
  size: number | null,
): SessionObserver | undefined {
  if (trace === undefined && progress === undefined) return undefined;
  sessions += 1;
  const session = sessions;
  const sides = { C: 'client', S: 'server', '!': 'event' } as const;
  return {
    trace: trace && ((side, line) => call(trace, 'trace', { session, server, attempt, side: sides[side], line, time: Date.now() })),
    progress: progress && ((octets) => call(progress, 'progress', { octets, size })),
  };
}

const reported = new WeakSet<object>();

/** Calls a callback of the caller's. */
export function call<Value>(callback: (value: Value) => unknown, name: string, value: Value): void {
  try {
    const result = callback(value);
    // A promise that fails without anybody would end the process.
    if (result instanceof Promise) result.catch((error) => report(callback, name, error));
  } catch (error) {
    report(callback, name, error);
  }
}

function report(callback: object, name: string, error: unknown): void {
  if (reported.has(callback)) return;
  reported.add(callback);
  process.emitWarning(`the ${name} callback failed: ${wordsOf(error)}`, 'NospoolWarning');
}
