/** One message on its way: what it says to a server, what ends it, and who hears of it. Knows no session. */
import { AsyncResource } from 'node:async_hooks';
import { withDeadline } from '../submit/interrupts.ts';
import type { MessageOptions } from '../transport/driver.ts';
import { callContext } from './channels.ts';
import type { ParsedEnvelope } from './envelope.ts';
import type { Progress, Terms, TraceEvent } from './options.ts';
import { type Outcome, withReason } from './outcome.ts';

/** The options of one message. */
export interface SendOptions {
  /** Ends this message; when it is under way, the session ends with it. */
  readonly signal?: AbortSignal | undefined;
  /** Hears how far this message has come, in place of the function that the session has. */
  readonly progress?: ((progress: Progress) => void) | undefined;
  /** Hears the lines that are about this message, from MAIL to the verdict. The function that the session has hears them, too. */
  readonly trace?: ((event: TraceEvent) => void) | undefined;
}

/** What ends a message: its signal and its deadline. They are the runtime's own, because functions of the caller's get them. */
export interface Ends extends Pick<MessageOptions, 'grace'> {
  readonly signal?: AbortSignal | undefined;
  readonly urgent?: AbortSignal | undefined;
}

/** A message whose envelope is parsed. */
export interface Message extends ParsedEnvelope, Pick<SendOptions, 'progress' | 'trace'> {
  /** That of the call, for what is published meanwhile. */
  readonly context: AsyncResource | undefined;
  readonly ends: Ends;
  /** Attempts before this one. */
  readonly attempt: number;
}

/** What the call has told of who hears of its message: they are called as by the call itself, though another's may be served just then. */
export function hearingOf({ progress, trace }: SendOptions): Pick<Message, 'progress' | 'trace' | 'context'> {
  return { progress: progress && AsyncResource.bind(progress), trace: trace && AsyncResource.bind(trace), context: callContext() };
}

/** Does the work of one message, from its call to its outcome. Most messages have neither signal nor deadline, and it costs nothing there. */
export function inTime(
  signal: AbortSignal | undefined,
  { grace, deadline }: Pick<Terms, 'grace' | 'deadline'>,
  work: (ends: Ends) => Promise<Outcome>,
): Promise<Outcome> {
  if (deadline !== null) return beforeDeadline(signal, grace, deadline, work);
  const done = work({ signal, grace });
  return signal === undefined ? done : done.then((outcome) => withReason(outcome, signal));
}

async function beforeDeadline(
  signal: AbortSignal | undefined,
  grace: number | undefined,
  deadline: number,
  work: (ends: Ends) => Promise<Outcome>,
): Promise<Outcome> {
  const { interrupts, release } = withDeadline(signal && { signal, grace }, deadline, () => new AbortController());
  try {
    return withReason(await work(interrupts), interrupts.signal);
  } finally {
    release();
  }
}
