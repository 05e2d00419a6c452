/**
 * The load of `nospool bench`: sends many messages over some sessions, and counts their ends. Opens
 * another session when one is lost, and sends no message twice. Knows no command line and prints nothing.
 */

import { mayTakeMore, open as openSession } from '../../library/open.ts';
import { TIMEOUTS } from '../../library/options.ts';
import { sourceOf } from '../../message/source.ts';
import { commandNames } from '../../process/names.ts';
import type { Smarthost } from '../../router/smarthost.ts';
import type { SessionFailure } from '../../smtp/client/outcome.ts';
import type { Transaction } from '../../smtp/client/print.ts';
import { unlessAborted } from '../../submit/interrupts.ts';
import { printAttempt, printFailure, printServer } from '../../submit/outcome.ts';
import { systemSecurity } from '../../submit/security.ts';
import type { OpenSession } from '../../submit/session.ts';
import type { EndSignal } from '../../transport/abort.ts';
import { countDurations, type Durations } from './durations.ts';

export interface Load {
  readonly host: Smarthost;
  readonly transaction: Transaction;
  /** The same octets for every message. */
  readonly content: Uint8Array;
  readonly messages: number;
  /** Sessions at a time; each carries one message after another. */
  readonly connections: number;
}

/** The end of a message. 'unsent': nobody has it, because it was not tried, or not to its end. */
export type Fate = 'accepted' | 'rejected' | 'uncertain' | 'lost' | 'unsent';

export interface Measured {
  /** Sums up to the messages of the load. */
  readonly fates: Readonly<Record<Fate, number>>;
  /** The time from the first connection to the last outcome. */
  readonly seconds: number;
  /** Milliseconds from MAIL to the verdict, of messages that were accepted. */
  readonly latencies: Durations;
  /** Milliseconds from connecting until a message could be sent; sessions that failed before are not in it. */
  readonly openings: Durations;
  /** Sessions that could not be opened. */
  readonly unopened: number;
  /** The first distinct reasons of failures, and how often each came; never more than REASONS. */
  readonly reasons: readonly { readonly reason: string; readonly times: number }[];
  /** The signal that ended the load early; null = none. */
  readonly interrupted: string | null;
}

export interface LoadOptions {
  /** Begins no further message, and waits a moment for the verdicts on those under way. */
  readonly signal: EndSignal;
  /** Waits for nothing more. */
  readonly urgent: EndSignal;
  /** Called with the number of messages whose fate is known. */
  readonly progress?: (messages: number) => void;
}

/** People hardly read more, and a server may put another id into every reply. */
const REASONS = 5;
/** Milliseconds for the verdicts on messages under way after a signal, and for the replies to QUIT. */
const PARTING = 2000;
/** Milliseconds in which sessions that were broken off report the fate of their messages. */
const BREAKING_OFF = 500;

/** Never rejects. */
export async function carry(load: Load, { signal, urgent, progress }: LoadOptions): Promise<Measured> {
  const fates: Record<Fate, number> = { accepted: 0, rejected: 0, uncertain: 0, lost: 0, unsent: 0 };
  const latencies = countDurations();
  const openings = countDurations();
  const reasons = new Map<string, number>();
  const sessions = new Set<OpenSession>();
  const security = systemSecurity(process.env);
  const begun = performance.now();
  let last = begun;
  let given = 0;
  let known = 0;
  let unopened = 0;

  function countReason(reason: string): void {
    const times = reasons.get(reason);
    if (times !== undefined || reasons.size < REASONS) reasons.set(reason, (times ?? 0) + 1);
  }

  async function open(): Promise<OpenSession | null> {
    const start = performance.now();
    const options = { hello: '', partial: 'never', framing: 'auto', timeouts: TIMEOUTS, security, names: commandNames, signal } as const;
    const { session, attempts } = await openSession(load.host, { ...options, observe: () => undefined, noteFailure: () => {} });
    const reason = session ? await reasonUnopened(session) : attempts.map((attempt) => printAttempt(attempt).join('; ')).join('; ');
    if (reason === null) {
      openings.add(performance.now() - start);
      return session;
    }
    if (signal.aborted) return null;
    unopened++;
    countReason(reason);
    return null;
  }

  async function reasonUnopened(session: OpenSession): Promise<string | null> {
    sessions.add(session);
    const failure = await session.opened();
    if (failure === null) return null;
    void leave(session);
    return `${printServer(session.facts())}: ${printFailure(failure).join('; ')}`;
  }

  async function leave(session: OpenSession): Promise<void> {
    await session.connection.quit();
    sessions.delete(session);
  }

  /** Sends over one session after another as long as there are messages. Ends when a session cannot be opened. */
  async function work(): Promise<void> {
    let session: OpenSession | null = null;
    let sent = 0;
    while (given < load.messages && !signal.aborted) {
      if (!session || !mayTakeMore(session, sent)) {
        if (session) void leave(session);
        session = await open();
        sent = 0;
        if (session === null) return;
        continue;
      }
      given++;
      sent++;
      const start = performance.now();
      const outcome = await session.submit(load.transaction, { open: () => sourceOf(load.content) });
      const end = performance.now();
      const fate = outcome.kind === 'accepted' ? 'accepted' : fateOf(outcome.failure);
      if (outcome.kind === 'accepted') latencies.add(end - start);
      else countReason(printFailure(outcome.failure)[0] as string);
      // This server takes nothing of the load, or all is over: nothing more is sent to it.
      if (fate === 'unsent') return;
      fates[fate]++;
      known++;
      last = end;
      progress?.(known);
    }
  }

  /** Ends the sessions, also those that wait for a verdict. */
  const breakOff = (): void => {
    for (const session of sessions) session.connection.abort('the session was ended');
  };
  const soon = (): void => void setTimeout(breakOff, PARTING).unref();
  urgent.addEventListener('abort', breakOff, { once: true });
  signal.addEventListener('abort', soon, { once: true });
  const all = Promise.all(Array.from({ length: load.connections }, work));
  await unlessAborted(all, urgent);
  // A session that was broken off reports its message at once; one that is still being opened may take longer.
  await Promise.race([all, new Promise((resolve) => void setTimeout(resolve, BREAKING_OFF).unref())]);
  const seconds = ((known > 0 ? last : performance.now()) - begun) / 1000;
  signal.removeEventListener('abort', soon);
  // Servers that do not answer QUIT are waited for as long as that.
  const late = setTimeout(breakOff, PARTING);
  await Promise.all([...sessions].map(leave));
  clearTimeout(late);
  urgent.removeEventListener('abort', breakOff);
  fates.unsent = load.messages - known;
  return {
    fates,
    seconds,
    latencies,
    openings,
    unopened,
    reasons: [...reasons].map(([reason, times]) => ({ reason, times })),
    interrupted: signal.aborted ? String(signal.reason) : null,
  };
}

function fateOf(failure: SessionFailure): Exclude<Fate, 'accepted'> {
  switch (failure.kind) {
    case 'rejected':
    case 'uncertain':
      return failure.kind;
    case 'connect':
    case 'lost':
    case 'malformed':
    case 'timeout':
      return 'lost';
    default:
      return 'unsent';
  }
}
