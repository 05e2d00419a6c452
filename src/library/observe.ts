/** Tells a program's callbacks what happens in one session. */
import type { Observer, Trace } from '../transport/observer.ts';
import { type CallContexts, channelObserver } from './channels.ts';
import type { Options, TraceEvent } from './options.ts';

let sessions = 0;
const SIDES = { C: 'client', S: 'server', '!': 'event' } as const;

/** What all trace events of one session, or of one message in it, have in common. */
export type Place = Pick<TraceEvent, 'session' | 'server' | 'attempt'>;

/** Counts one more session of this process. */
export function nextSession(): number {
  sessions += 1;
  return sessions;
}

/** Makes the observer of one session. `size`: octets of its only message, where they are known. */
export function observerOf(
  { trace, progress }: Pick<Options, 'trace' | 'progress'>,
  place: Place,
  size: number | null,
  contexts: CallContexts = new Map(),
): Observer {
  return {
    ...channelObserver(place.session, place.server, contexts),
    trace: traceOf(trace, place),
    progress: progress && ((octets) => progress({ octets, size })),
  };
}

export function traceOf(trace: ((event: TraceEvent) => void) | undefined, { session, server, attempt }: Place): Trace | undefined {
  return trace && ((side, line, message = null) => trace({ session, server, attempt, message, side: SIDES[side], line, time: Date.now() }));
}
