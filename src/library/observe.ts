/** Tells a program's callbacks what happens in one session. */
import type { Observer } from '../transport/observer.ts';
import { channelObserver } from './channels.ts';
import type { Options } from './options.ts';

let sessions = 0;
const SIDES = { C: 'client', S: 'server', '!': 'event' } as const;

/** Makes the observer of one session. `server`: as logs name it. `size`: octets of its only message, where they are known. */
export function observerOf(
  { trace, progress }: Pick<Options, 'trace' | 'progress'>,
  server: string,
  attempt: number,
  size: number | null,
): Observer {
  sessions += 1;
  const session = sessions;
  return {
    ...channelObserver(session, server),
    trace:
      trace && ((side, line, message = null) => trace({ session, server, attempt, message, side: SIDES[side], line, time: Date.now() })),
    progress: progress && ((octets) => progress({ octets, size })),
  };
}
