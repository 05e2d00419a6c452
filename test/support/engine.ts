/**
 * Sends by the delivery itself, to smart hosts as a configuration makes them, for tests of what lies below the library's door.
 */

import { TIMEOUTS } from '../../src/library/options.ts';
import { type Ended, type Source, sourceOf } from '../../src/message/source.ts';
import { type AuthPolicy, DEFAULT_TLS, parseSmarthost, type Smarthost, type TlsPolicy } from '../../src/router/smarthost.ts';
import { type ContentScan, scanContent } from '../../src/smtp/client/content.ts';
import { limitOf } from '../../src/smtp/client/extensions.ts';
import type { SessionOutcome } from '../../src/smtp/client/outcome.ts';
import type { Recipient, Transaction } from '../../src/smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../../src/smtp/parsed.ts';
import { parseMailbox, parseReversePath } from '../../src/smtp/path.ts';
import { isAscii } from '../../src/smtp/text.ts';
import { type DeliveryOptions, deliver } from '../../src/submit/delivery.ts';
import { asciiDomain } from '../../src/submit/domain.ts';
import { type Failure, failedWith, type Outcome, printAttempt, printServer } from '../../src/submit/outcome.ts';
import { systemSecurity } from '../../src/submit/security.ts';
import { type OpenSession, openSession } from '../../src/submit/session.ts';
import type { Timeouts } from '../../src/submit/settings.ts';
import { type ContentOpener, SESSION_ENDED } from '../../src/transport/driver.ts';
import { endpointsOf, targetsOf } from '../../src/transport/lookup/endpoints.ts';
import type { Trace } from '../../src/transport/observer.ts';

export { TIMEOUTS };

/** Addresses are atoms (`user@example.org`), never header text; `''` as `from` is the null reverse-path. */
export interface Envelope extends Partial<Omit<Transaction, 'reversePath' | 'recipients' | 'size' | 'estimate' | 'eightBit'>> {
  readonly from: string;
  readonly to: readonly (string | (Omit<Recipient, 'path' | 'original'> & { readonly address: string; readonly original?: string }))[];
}

/** Octets of a whole message (header section, empty line, body; any line ends). */
export type Message =
  | string
  | Uint8Array
  /** It is read once, so another smart host can be tried only as long as nothing was read from it. */
  | AsyncIterable<Uint8Array | string>
  /** It is opened anew for each smart host. */
  | { readonly open: () => AsyncIterable<Uint8Array | string> };

export interface SubmitOptions {
  /** Tried in order. */
  readonly hosts: readonly Smarthost[];
  /** EHLO argument; default, and where it is no domain: the address literal of the socket. */
  readonly hello?: string;
  readonly timeouts?: Partial<Timeouts>;
  readonly trace?: Trace;
  readonly note?: (note: string) => void;
  readonly progress?: (octets: number) => void;
  /** Ends the delivery; after the commit the verdict is still awaited, for `grace` milliseconds (default 30,000). */
  readonly signal?: AbortSignal;
  readonly grace?: number;
  /** 'data': never BDAT. */
  readonly framing?: DeliveryOptions['framing'];
  /** LMTP: allow a part of the recipients to be refused. */
  readonly partial?: DeliveryOptions['partial'];
}

/** Submits one message. Never rejects: every failure is in the outcome, as `usage` if the arguments are impossible. */
export async function submit(envelope: Envelope, message: Message, options: SubmitOptions): Promise<Outcome> {
  const { scan, content } = messageOf(message);
  const transaction = transactionOf(envelope, scan);
  if (!transaction.ok) return failedWith({ kind: 'usage', detail: transaction.detail });
  const { hosts, hello = '', timeouts, partial = 'never', framing = 'auto', trace, note, progress, signal, grace } = options;
  return deliver(
    { hosts, transaction: transaction.value, content },
    {
      hello,
      partial,
      framing,
      timeouts: { ...TIMEOUTS, ...timeouts },
      security: systemSecurity(process.env),
      observer: { trace, note, progress },
      interrupts: signal && { signal, grace },
    },
  );
}

/** Scans a message, where it is known, and makes it a content that can be opened. */
export function messageOf(message: Message): {
  readonly scan: ContentScan | null;
  readonly content: ContentOpener & { readonly replayable: boolean };
} {
  const known = typeof message === 'string' ? new TextEncoder().encode(message) : message;
  if (!(known instanceof Uint8Array)) return { scan: null, content: streamed(known) };
  return { scan: scanContent(known), content: { replayable: true, open: () => sourceOf(known) } };
}

/** Makes the transaction of an envelope, with every address checked. */
export function transactionOf({ from, to, ...asked }: Envelope, scan: ContentScan | null): Parsed<Transaction> {
  const reversePath = parseReversePath(from);
  if (!reversePath.ok) return unparsed(`from "${from}": ${reversePath.detail}`);
  const recipients: Recipient[] = [];
  for (const entry of to) {
    const { address, original, ...parameters } = typeof entry === 'string' ? { address: entry } : entry;
    const path = parseMailbox(address);
    if (!path.ok) return unparsed(`to "${address}": ${path.detail}`);
    const first = original === undefined ? null : parseMailbox(original);
    if (first && !first.ok) return unparsed(`original "${original}": ${first.detail}`);
    recipients.push({ ...parameters, path: asciiDomain(path.value), original: first?.value });
  }
  if (recipients.length === 0) return unparsed('the envelope has no recipients');
  const paths = [...recipients.map(({ path }) => path), ...(reversePath.value ? [reversePath.value] : [])];
  return parsed({
    withoutEightBit: 'convert',
    dsn: 'drop',
    smtputf8: paths.some(({ localPart }) => !isAscii(localPart)),
    ...asked,
    reversePath: reversePath.value && asciiDomain(reversePath.value),
    recipients,
    size: scan?.size ?? null,
    estimate: null,
    eightBit: scan === null ? 'unknown' : scan.eightBit ? 'some' : 'none',
  });
}

function streamed(message: Exclude<Message, string | Uint8Array>): ContentOpener & { readonly replayable: boolean } {
  if ('open' in message) return { replayable: true, open: () => sourceOver(() => message.open()) };
  let opened = false;
  return {
    get replayable() {
      return !opened;
    },
    open() {
      if (opened) return null;
      opened = true;
      return sourceOver(() => message);
    },
  };
}

/** Turns an iterable into a source. Whatever it throws is a failed input, never an end; so is a part that is neither text nor octets. */
function sourceOver(open: () => AsyncIterable<Uint8Array | string>): Source {
  const encoder = new TextEncoder();
  let iterator: AsyncIterator<Uint8Array | string> | null = null;
  let ended: Ended | null = null;
  return {
    async read() {
      while (ended === null) {
        try {
          iterator ??= open()[Symbol.asyncIterator]();
          const { done, value } = await iterator.next();
          const chunk = done ? null : typeof value === 'string' ? encoder.encode(value) : value;
          if (chunk === null) ended = { end: 'clean' };
          else if (!(chunk instanceof Uint8Array)) throw new TypeError('a part of it is neither text nor octets');
          else if (chunk.length > 0) return chunk;
        } catch (error) {
          ended = { end: 'failed', detail: `the content failed: ${error instanceof Error ? error.message : String(error)}` };
        }
      }
      return ended;
    },
    close: () => void iterator?.return?.().catch(() => {}),
  };
}

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
  const { hello = '', partial = 'never', framing = 'auto', timeouts, trace, note, progress, signal } = options;
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
      partial,
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

function clientOf(session: OpenSession): Client {
  const { connection } = session;
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
      return printServer(session.facts());
    },
    opened: () => session.opened(),
    async send(envelope, message) {
      const { scan, content } = messageOf(message);
      const transaction = transactionOf(envelope, scan);
      if (!transaction.ok) return { kind: 'failed', failure: { kind: 'usage', detail: transaction.detail } };
      if (!connection.isUsable) return { kind: 'failed', failure: SESSION_ENDED };
      if (isFull()) return { kind: 'failed', failure: { ...SESSION_ENDED, detail: 'the server takes no further message in this session' } };
      sent += 1;
      return session.submit(transaction.value, content);
    },
    quit,
    [Symbol.asyncDispose]: quit,
  };
}

/**
 * Makes a smart host from its URL (`submission://mail.example.org`, as in nospool.toml(5)). TLS is required and verified unless
 * `tls` says otherwise. With `auth`, authentication is required (`isToken`: `password` is an access token). EHLO keywords in
 * `ignoreExtensions` count as not offered.
 */
export function smarthost(
  url: string,
  {
    tls = {},
    auth,
    ignoreExtensions = [],
  }: {
    readonly ignoreExtensions?: readonly string[];
    readonly tls?: Partial<TlsPolicy>;
    readonly auth?: { readonly user: string; readonly password: string } & Partial<AuthPolicy>;
  } = {},
): Parsed<Smarthost> {
  const address = parseSmarthost(url);
  if (!address.ok) return address;
  const ignored = ignoreExtensions.length === 0 ? {} : { ignoreExtensions: ignoreExtensions.map((keyword) => keyword.toUpperCase()) };
  const host = { ...address.value, tls: { ...DEFAULT_TLS, ...tls }, ...ignored };
  if (auth === undefined) return parsed({ ...host, auth: null });
  const { user, password, mechanisms = [], isToken = false, allowPlaintext = false } = auth;
  return parsed({
    ...host,
    auth: { user, mechanisms, isToken, allowPlaintext, secret: { from: 'literal', value: password } },
  });
}
