/** Opens a session to a server, at the first of its names and addresses that answers. Sends no message. */
import type { Smarthost } from '../router/smarthost.ts';
import { limitOf } from '../smtp/client/extensions.ts';
import type { SessionFailure } from '../smtp/client/outcome.ts';
import { parsed } from '../smtp/parsed.ts';
import { unresolved } from '../submit/delivery.ts';
import { unlessAborted } from '../submit/interrupts.ts';
import type { Attempt } from '../submit/outcome.ts';
import { type OpenSession, openSession, type SessionOptions } from '../submit/session.ts';
import { abortReason } from '../transport/abort.ts';
import { byName, endpointsOf, targetsOf } from '../transport/lookup/endpoints.ts';
import type { Names } from '../transport/lookup/question.ts';
import type { Endpoint, Unfound } from '../transport/lookup/target.ts';

export type Opened =
  | { readonly session: OpenSession; readonly attempts: readonly Attempt[] }
  | { readonly session: null; readonly attempts: readonly Attempt[] };

export type OpenOptions = Omit<SessionOptions, 'transactions' | 'observer'> & {
  /** A caller's own names for the server, in place of `names`. */
  readonly ownNames?: Names | undefined;
  /** True: where a session does not open the next address is tried, as for one message. */
  readonly mayMoveOn?: boolean;
  readonly observe: (name: string) => SessionOptions['observer'];
  /** Hears of each failure, with what the caller's own way to the server has thrown. */
  readonly noteFailure: (host: Smarthost, failure: SessionFailure, cause?: unknown) => void;
};

/** Never rejects. Without a session, and without a signal, the attempts say why. */
export async function open(
  host: Smarthost,
  { ownNames, mayMoveOn = false, observe, noteFailure, ...options }: OpenOptions,
): Promise<Opened> {
  const { signal, timeouts } = options;
  const names = ownNames ?? options.names;
  const attempts: Attempt[] = [];
  const fail = (name: string, unfound: Unfound): void => {
    const failure = unresolved(unfound);
    noteFailure(host, failure);
    attempts.push({ host, name, endpoint: null, failure });
  };
  const targets = await unlessAborted(targetsOf(host, timeouts.resolve, names, signal), signal);
  if (targets === null) return { session: null, attempts };
  if (!targets.ok) fail(host.host, targets);
  const all = targets.ok ? targets.value : [];
  for (const [i, target] of all.entries()) {
    const looking = options.dial ? parsed(byName(target)) : endpointsOf(target, timeouts.resolve, names, signal);
    const found = await unlessAborted(Promise.resolve(looking), signal);
    if (found === null) break;
    if (!found.ok) {
      fail(target.name, found);
      continue;
    }
    let untried: readonly Endpoint[] = found.value;
    while (untried.length > 0) {
      const { failed, session } = await openSession(host, target, untried, {
        ...options,
        transactions: 'many',
        observer: observe(target.name),
      });
      for (const { endpoint, failure, cause } of failed) {
        noteFailure(host, failure, cause);
        attempts.push({ host, name: target.name, endpoint, failure });
      }
      if (signal?.aborted) return { session, attempts };
      if (session === null) break;
      const tried = new Set([session.endpoint, ...failed.map(({ endpoint }) => endpoint)].map(({ address }) => address));
      untried = untried.filter(({ address }) => !tried.has(address));
      if (!mayMoveOn || (untried.length === 0 && i === all.length - 1)) return { session, attempts };
      const failure = await unlessAborted(session.opened(), signal);
      if (signal?.aborted) {
        session.connection.abort(abortReason(signal));
        return { session: null, attempts };
      }
      if (failure?.condemns !== 'address') return { session, attempts };
      partFrom(session);
      noteFailure(host, failure);
      attempts.push({ host, name: target.name, endpoint: session.endpoint, failure });
    }
  }
  return { session: null, attempts };
}

/** A session that did not open has said QUIT by itself. A server that does not answer has a second, because it must not hold the process. */
export function partFrom({ connection }: Pick<OpenSession, 'connection'>): void {
  void connection.quit();
}

/** False when the session has ended, or its server takes no further message in it (MAILMAX, RFC 9422 §4.1). */
export function mayTakeMore({ connection }: Pick<OpenSession, 'connection'>, sent: number): boolean {
  const most = connection.channel && limitOf(connection.channel.extensions, 'MAILMAX');
  return connection.isUsable && (most === null || sent < most);
}
