/** Opens a session to a server, at the first of its names and addresses that answers. Sends no message. */
import type { Smarthost } from '../router/smarthost.ts';
import { limitOf } from '../smtp/client/extensions.ts';
import type { SessionFailure } from '../smtp/client/outcome.ts';
import { parsed } from '../smtp/parsed.ts';
import { unresolved } from '../submit/delivery.ts';
import { unlessAborted } from '../submit/interrupts.ts';
import type { Attempt } from '../submit/outcome.ts';
import { type OpenSession, openSession, type SessionOptions } from '../submit/session.ts';
import { byName, endpointsOf, targetsOf } from '../transport/lookup/endpoints.ts';
import type { Names } from '../transport/lookup/question.ts';

export type Opened =
  | { readonly session: OpenSession; readonly attempts: readonly Attempt[] }
  | { readonly session: null; readonly attempts: readonly Attempt[] };

export type OpenOptions = Omit<SessionOptions, 'transactions' | 'observer'> & {
  readonly names: Names | undefined;
  readonly observe: (name: string) => SessionOptions['observer'];
  /** Hears of each failure, with what the caller's own way to the server has thrown. */
  readonly noteFailure: (host: Smarthost, failure: SessionFailure, cause?: unknown) => void;
};

/** Never rejects. Without a session, and without a signal, the attempts say why. */
export async function open(host: Smarthost, { names, observe, noteFailure, ...options }: OpenOptions): Promise<Opened> {
  const { signal, timeouts } = options;
  const attempts: Attempt[] = [];
  const fail = (name: string, detail: string): void => {
    const failure = unresolved(detail);
    noteFailure(host, failure);
    attempts.push({ host, name, endpoint: null, failure });
  };
  const targets = await unlessAborted(targetsOf(host, timeouts.resolve, names, signal), signal);
  if (targets === null) return { session: null, attempts };
  if (!targets.ok) fail(host.host, targets.detail);
  for (const target of targets.ok ? targets.value : []) {
    const looking = options.dial ? parsed(byName(target)) : endpointsOf(target, timeouts.resolve, names, signal);
    const found = await unlessAborted(Promise.resolve(looking), signal);
    if (found === null) break;
    if (!found.ok) {
      fail(target.name, found.detail);
      continue;
    }
    const { failed, session } = await openSession(host, target, found.value, {
      ...options,
      transactions: 'many',
      observer: observe(target.name),
    });
    for (const { endpoint, failure, cause } of failed) {
      noteFailure(host, failure, cause);
      attempts.push({ host, name: target.name, endpoint, failure });
    }
    if (session !== null || signal?.aborted) return { session, attempts };
  }
  return { session: null, attempts };
}

/** False when the session has ended, or its server takes no further message in it (MAILMAX, RFC 9422 §4.1). */
export function mayTakeMore({ connection }: Pick<OpenSession, 'connection'>, sent: number): boolean {
  const most = connection.channel && limitOf(connection.channel.extensions, 'MAILMAX');
  return connection.isUsable && (most === null || sent < most);
}
