/**
 * The outcome of a transaction: acceptance, or one failure of a closed set. Knows no list of smart hosts, and does not decide
 * which is next.
 */

import type { ForwardPath } from '../path.ts';
import type { Reply } from '../reply.ts';
import type { TimeLimit } from '../timeout.ts';

/** The phase of a session, by which the machine's states are named. */
export type Phase =
  | 'greeting'
  | 'hello'
  | 'starttls'
  | 'handshake'
  | 'auth'
  | 'ready'
  | 'envelope'
  | 'data'
  | 'content'
  | 'commit'
  | 'noop'
  | 'reset'
  | 'quit'
  | 'closed';

/** A command of the client. The verdict on the content answers DATA or BDAT. RFC 5321 §4.1, RFC 2033 §4.1, RFC 3030 §2 */
export type Verb = 'EHLO' | 'HELO' | 'LHLO' | 'STARTTLS' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'BDAT' | 'NOOP' | 'RSET' | 'QUIT';

/** A command that the server refused, as it stands in the transcript, its secrets masked. */
export interface Refusal {
  readonly command: string;
  /** The verb of the command; absent where the greeting refused. */
  readonly verb?: Verb;
  /** The index of the recipient whose command it was; null when it was none's. */
  readonly recipient: number | null;
  readonly reply: Reply;
}

/** A failure rules out this address of the smart host, all its addresses, the message everywhere, or nothing. */
export type Condemned = 'address' | 'host' | 'message' | 'nothing';

/**
 * Why no connection could be used: its name was not found, somebody refused, no way led there, nobody answered in time, the
 * certificate was not trusted, TLS did not come about, a program gave what cannot be a connection (`usage`), or something else (the
 * sentence tells).
 */
export type ConnectReason = 'resolve' | 'refused' | 'unreachable' | 'timeout' | 'certificate' | 'handshake' | 'usage' | 'other';

/**
 * What is missing. By the server: STARTTLS; AUTH; a `mechanism` that fits the credentials; an `exchange` of AUTH that comes to
 * its end; `partial`, a verdict for all recipients together; room for the `size`, the number of `recipients` or of their
 * `domains`; an extension, by its keyword in lower case. By the session: `encryption`, without which nobody asks for REQUIRETLS. By
 * the caller: TLS, without which credentials are not sent; `credentials`; a `configuration` that can be used; an `argument` that a
 * command line can carry.
 */
export type Lack =
  | 'starttls'
  | 'auth'
  | 'mechanism'
  | 'exchange'
  | 'partial'
  | 'size'
  | 'recipients'
  | 'domains'
  | 'smtputf8'
  | 'binarymime'
  | 'chunking'
  | '8bitmime'
  | 'dsn'
  | 'requiretls'
  | 'encryption'
  | 'mt-priority'
  | 'deliverby'
  | 'futurerelease'
  | 'no-soliciting'
  | 'tls'
  | 'credentials'
  | 'configuration'
  | 'argument';

/** A server's verdict on the content for one recipient. RFC 2033 §4.2 */
export interface Verdict {
  /** The index of the recipient. */
  readonly recipient: number;
  readonly path: ForwardPath;
  readonly reply: Reply;
}

/**
 * A failure of a session. `verb` is the command that was to be answered; absent where it was none. `command` names for people what was
 * awaited, as it stands in the transcript: a command, `the greeting`, `the end of the content`. `reply` is the one that decided,
 * and `heard` what the server said behind it, or the last one: an octet string with its line ends, secrets of AUTH masked. `detail`
 * says in few words what happened; `printDetail` adds what the server said.
 */
export type SessionFailure = {
  readonly verb?: Verb;
  readonly command?: string;
  /** Says in a sentence what people can do about it; it comes from whoever opened the session, who knows its policies. */
  readonly hint?: string;
} & (
  | {
      /** No connection could be used, because of the name, TCP, the TLS handshake or the certificate. */
      readonly kind: 'connect';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly during: 'resolve' | 'connect' | 'tls';
      readonly reason: ConnectReason;
      /** The code of the system or of its TLS library, where there was one: `ECONNREFUSED`, `CERT_HAS_EXPIRED`. */
      readonly systemCode?: string;
      readonly detail: string;
    }
  /** `isAnyEnough`: one recipient who was not refused would have had the message. */
  | {
      readonly kind: 'rejected';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly refusals: readonly [Refusal, ...Refusal[]];
      readonly isAnyEnough?: true;
    }
  /**
   * The server lacks what the configuration requires or the message needs, so the session asked nothing of it. With `isOurs` this
   * side lacks it (a password, a certificate), and the server is not to blame. An exchange of AUTH that came to no end has a
   * `reply`.
   */
  | {
      readonly kind: 'unsupported';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly lacks: Lack;
      readonly reply?: Reply;
      readonly detail: string;
      readonly isOurs?: true;
    }
  /** What came is no reply, or `reply` came where it cannot. */
  | {
      readonly kind: 'malformed';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly reply?: Reply;
      readonly heard?: string;
      readonly detail: string;
    }
  /**
   * The reply did not come in time. `heard` is the beginning of one, where it had come; `limit` tells how long, where
   * the driver tells it.
   */
  | {
      readonly kind: 'timeout';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly command: string;
      readonly heard?: string;
      readonly limit?: TimeLimit;
    }
  /** The connection was lost; or the server gave it up with 421, which is the `reply` then. */
  | {
      readonly kind: 'lost';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly command: string;
      readonly reply?: Reply;
      readonly heard?: string;
      readonly detail: string;
    }
  /** Our own input failed, or (`aborted`) a signal or the deadline ended the delivery. */
  | {
      readonly kind: 'content';
      readonly at: Phase;
      readonly condemns: 'message';
      readonly reason: 'input' | 'aborted';
      readonly detail: string;
    }
  /**
   * The terminator went out and no verdict came back, so the server may have the message; `instead` is what came. `refusals` tells
   * who surely does not have it (RCPT or a verdict refused them). With LMTP `verdicts` are those that came, of so many that were
   * `due`: whoever has a 2yz there has the message.
   */
  | {
      readonly kind: 'uncertain';
      readonly at: Phase;
      readonly condemns: 'message';
      readonly instead?: SessionFailure;
      readonly refusals?: readonly Refusal[];
      readonly verdicts?: readonly Verdict[];
      readonly due?: number;
      readonly detail: string;
    }
);

/** What became of a transaction. */
export type SessionOutcome =
  | {
      readonly kind: 'accepted';
      readonly reply: Reply;
      /** The recipients who do not have the message, by index; none where the plan is `partial: 'never'`. */
      readonly refusals: readonly Refusal[];
    }
  | { readonly kind: 'failed'; readonly failure: SessionFailure };
