/** Sends many messages over one session, for programs that embed the core. Opens no second connection and retries nothing. */
import type { Smarthost } from '../router/smarthost.ts';
import { limitOf } from '../smtp/client/extensions.ts';
import type { SessionOutcome } from '../smtp/client/outcome.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type Failure, printAttempt, printServer } from '../submit/outcome.ts';
import { systemSecurity } from '../submit/security.ts';
import { type OpenSession, openSession } from '../submit/session.ts';
import { SESSION_ENDED } from '../transport/driver.ts';
import { endpointsOf, targetsOf } from '../transport/lookup/endpoints.ts';
import { type Envelope, type Message, messageOf, type SubmitOptions, TIMEOUTS, transactionOf } from './submit.ts';

export interface Client extends AsyncDisposable {
  /** False when the session has ended, or the server takes no further message in it (MAILMAX, RFC 9422 §4.1). */
  readonly usable: boolean;
  /** The server to which it is connected, as logs name it. */
  readonly server: string;
  /** Waits for greeting, TLS and authentication; null, or why the session is over. Only programs that want to know this before the first message need it. */
  opened(): Promise<Failure | null>;
  /**
   * Sends one message. The session stays usable after a refusal. Never rejects. May be called before the last message is
   * settled: messages go in order, and with PIPELINING the envelope of the next goes out together with the terminator of the
   * one before it, which is one round trip a message (RFC 2920 §3.1). A message that has not begun when the session ends is 'lost'.
   */
  send(envelope: Envelope, message: Message): Promise<SessionOutcome | { readonly kind: 'failed'; readonly failure: Failure }>;
  /** Says QUIT and waits for the server's reply. */
  quit(): Promise<void>;
}

/** Connects to the first address of the host that answers; the sentence says why none does. The first message awaits the session's greeting. */
export async function connect(host: Smarthost, options: Omit<SubmitOptions, 'hosts' | 'grace'> = {}): Promise<Parsed<Client>> {
  const { hello = '', partial = false, framing = 'auto', timeouts, trace, note, progress, signal } = options;
  const limits = { ...TIMEOUTS, ...timeouts };
  const targets = await targetsOf(host, limits.resolve, undefined, signal);
  if (!targets.ok) return targets;
  const failures: string[] = [];
  for (const target of targets.value) {
    const found = await endpointsOf(target, limits.resolve, undefined, signal);
    if (!found.ok) {
      failures.push(found.detail);
      continue;
    }
    const { failed, session } = await openSession(host, target, found.value, {
      hello,
      partial: partial ? 'verdicts' : 'never',
      framing,
      timeouts: limits,
      transactions: 'many',
      security: systemSecurity(process.env),
      observer: { trace, note, progress },
      signal,
    });
    if (session) return parsed(clientOf(session));
    for (const { endpoint, failure } of failed) failures.push(printAttempt({ host, name: target.name, endpoint, failure }).join('; '));
  }
  return unparsed(failures.join('; '));
}

function clientOf({ connection, submit, opened, facts }: OpenSession): Client {
  let sent = 0;
  const isFull = () => {
    const most = connection.channel ? limitOf(connection.channel.extensions, 'MAILMAX') : null;
    return most !== null && sent >= most;
  };
  const quit = () => connection.quit();
  return {
    get usable() {
      return connection.isUsable && !isFull();
    },
    get server() {
      return printServer(facts());
    },
    opened,
    async send(envelope, message) {
      const { scan, content } = messageOf(message);
      const transaction = transactionOf(envelope, scan);
      if (!transaction.ok) return { kind: 'failed', failure: { kind: 'usage', detail: transaction.detail } };
      if (!connection.isUsable) return { kind: 'failed', failure: SESSION_ENDED };
      if (isFull()) return { kind: 'failed', failure: { ...SESSION_ENDED, detail: 'the server takes no further message in this session' } };
      sent += 1;
      return submit(transaction.value, content);
    },
    quit,
    [Symbol.asyncDispose]: quit,
  };
}
