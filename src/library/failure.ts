/**
 * Failures as programs read them: a stable code, the verb that the server answered, whether the same call may be made again, and a
 * sentence. Knows no connection.
 */
import type { Phase } from '../smtp/client/outcome.ts';
import type { Reply } from '../smtp/reply.ts';

/** The reason of a failure, for programs. New ones may come with a minor version; the old ones keep their meaning. */
export type FailureCode =
  /** The name of the server was not found, or not in time. */
  | 'resolve'
  /** Nobody listens at the address. */
  | 'refused'
  | 'unreachable'
  | 'connect-timeout'
  /** The certificate is not trusted, or not for this server. */
  | 'tls-certificate'
  | 'tls-handshake'
  /** TLS is required and the server does not offer STARTTLS. */
  | 'starttls-missing'
  /** Credentials are given and the server offers no authentication. */
  | 'auth-missing'
  /** No mechanism that the server offers fits the credentials or the policy; or the credentials could not be had. */
  | 'auth-mechanism'
  | 'auth-refused'
  /** The server lacks an extension that the message needs, or its limits are too small for it. Nothing was asked of it. */
  | 'unsupported'
  /** The server refused the greeting, EHLO, the envelope or the message. */
  | 'rejected'
  /** A reply did not come in time. */
  | 'timeout'
  /** The connection was lost, or the server closed it with 421. */
  | 'lost'
  /** The server broke the protocol. */
  | 'malformed'
  /** The content that the caller gave failed, or was not to be had. */
  | 'input'
  /** A signal or the deadline ended the call before the commit. */
  | 'aborted'
  /** The message was sent and no verdict came back: the server may have it. */
  | 'uncertain'
  /** The call cannot be: an option, an address or the content is impossible. Nothing was connected. */
  | 'usage';

/**
 * 'safe': nobody has the message, and the same call may be made again at once. 'later': the server asks to try again later (4yz).
 * 'never': the same call would fail again (5yz, usage). 'unknown': the server may have the message.
 */
export type Retry = 'safe' | 'later' | 'never' | 'unknown';

/** The command whose answer decided, as verbs are written (`RCPT`); 'CONTENT' is the end of the message. */
export type Verb = 'CONNECT' | 'EHLO' | 'STARTTLS' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'BDAT' | 'CONTENT' | 'RSET' | 'NOOP' | 'QUIT';

/** A recipient that the server refused. */
export interface RecipientRefusal {
  /** In `envelope.to`. */
  readonly index: number;
  readonly address: string;
  readonly reply: Reply;
}

export interface Failure {
  readonly code: FailureCode;
  /** A sentence or two for people; without secrets. */
  readonly message: string;
  readonly retry: Retry;
  /** null where no server was asked. */
  readonly verb: Verb | null;
  /** The reply that decided, where one did. */
  readonly reply?: Reply;
  /** Recipients that were refused; [] when the refusal was not about one of them. */
  readonly refusals: readonly RecipientRefusal[];
  /** The phase of the session; null where no server was asked. */
  readonly at: Phase | null;
  /** A further thing to know or to do, for people. */
  readonly hint?: string;
  /** Not enumerable: an error that a callback, a stream, a resolver or a socket of the caller's gave. */
  readonly cause?: unknown;
}

/** A failure that no server has a part in. */
export function failHere(code: 'usage' | 'input' | 'aborted', message: string, cause?: unknown): Failure {
  return withCause({ code, message, retry: code === 'usage' ? 'never' : 'safe', verb: null, refusals: [], at: null }, cause);
}

/** Attaches a cause so that whoever prints a failure as JSON neither meets a circle in it nor prints what it holds. */
export function withCause(failure: Failure, cause: unknown): Failure {
  if (cause === undefined) return failure;
  return Object.defineProperty({ ...failure }, 'cause', { value: cause, enumerable: false });
}

/** An outcome that is not a success, as an error: for programs that would rather throw. */
export class SmtpError extends Error {
  static {
    SmtpError.prototype.name = 'SmtpError';
  }
  readonly code: FailureCode;
  readonly retry: Retry;
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message, failure.cause === undefined ? undefined : { cause: failure.cause });
    this.code = failure.code;
    this.retry = failure.retry;
    this.failure = failure;
  }
}
