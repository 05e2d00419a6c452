/**
 * Tells `node:diagnostics_channel` what a session does: `nospool:connect`, `nospool:tls`, `nospool:auth`, `nospool:transaction`, as
 * tracing channels (`start`, `end`, `asyncStart`, `asyncEnd`, `error`). Payloads hold no secret, and nothing is computed where
 * nobody listens.
 */
import { AsyncResource } from 'node:async_hooks';
import { type Channel, channel } from 'node:diagnostics_channel';
import type { SessionFailure } from '../smtp/client/outcome.ts';
import type { Observer } from '../transport/observer.ts';
import { SmtpError } from './failure.ts';
import { failureOf } from './outcome.ts';

/** What a subscriber gets; the same object from `start` to `asyncEnd`. */
export interface ChannelMessage {
  /** Counts the sessions of this process. */
  readonly session: number;
  /** The server, as it was given, without credentials. */
  readonly server: string;
  /** The message of the session, from 0; only for `nospool:transaction`. */
  readonly message?: number;
  /** Set before `error`. */
  error?: SmtpError;
}

const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;
type Events = Readonly<Record<(typeof EVENTS)[number], Channel>>;
/** By the names of `diagnostics_channel.tracingChannel`. */
const tracing = (name: string): Events =>
  Object.fromEntries(EVENTS.map((event) => [event, channel(`tracing:${name}:${event}`)])) as unknown as Events;

const CHANNELS = {
  connect: tracing('nospool:connect'),
  tls: tracing('nospool:tls'),
  auth: tracing('nospool:auth'),
  transaction: tracing('nospool:transaction'),
} as const;

type Name = keyof typeof CHANNELS;
type End = (failure?: SessionFailure) => void;

const isHeard = (events: Events): boolean => EVENTS.some((event) => events[event].hasSubscribers);

/** Begins an operation; the value ends it, once. null where nobody listens. */
function begin(name: Name, message: ChannelMessage): End | null {
  const events = CHANNELS[name];
  if (!isHeard(events)) return null;
  events.start.publish(message);
  events.end.publish(message);
  let isOver = false;
  return (failure) => {
    if (isOver) return;
    isOver = true;
    if (failure !== undefined) {
      message.error = new SmtpError(failureOf(failure, { addresses: [] }));
      events.error.publish(message);
    }
    events.asyncStart.publish(message);
    events.asyncEnd.publish(message);
  };
}

/** The contexts of the calls that gave the messages of a session, by the message, in which their events are published: they may come while another is served. */
export type CallContexts = Map<number, AsyncResource>;

/** The context of a call that gives a message; undefined where nobody listens. */
export const callContext = (): AsyncResource | undefined => (isHeard(CHANNELS.transaction) ? new AsyncResource('nospool.send') : undefined);

const inContext = <Result>(context: AsyncResource | undefined, work: () => Result): Result =>
  context === undefined ? work() : context.runInAsyncScope(work);

/** The observer of one session, which is about to connect; {} where nobody listens. */
export function channelObserver(session: number, server: string, contexts: CallContexts): Observer {
  if (!Object.values(CHANNELS).some(isHeard)) return {};
  const connecting = begin('connect', { session, server });
  const messages = new Map<number, End | null>();
  let tls: End | null = null;
  let auth: End | null = null;
  return {
    connected: () => connecting?.(),
    unconnected: ([first]) => connecting?.(first),
    entered(at) {
      if (at === 'handshake') tls = begin('tls', { session, server });
      else tls?.();
      if (at === 'auth') auth ??= begin('auth', { session, server });
      else auth?.();
    },
    began(message) {
      // A message that waits begins before the session has told that it is open.
      auth?.();
      messages.set(
        message,
        inContext(contexts.get(message), () => begin('transaction', { session, server, message })),
      );
    },
    settled(outcome, message) {
      const failure = outcome.kind === 'failed' ? outcome.failure : undefined;
      if (failure?.at === 'handshake') tls?.(failure);
      if (failure?.at === 'auth') auth?.(failure);
      if (message === null) return;
      inContext(contexts.get(message), () => messages.get(message)?.(failure));
      messages.delete(message);
    },
  };
}
