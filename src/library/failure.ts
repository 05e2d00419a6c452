/**
 * Failures as programs read them: a stable code, the verb that the server answered, whether the same call may be made again, and a
 * sentence. Knows no connection.
 */
import type { Retry, SessionFailureCode } from '../smtp/client/classify.ts';
import type { Lack, Phase, Verb } from '../smtp/client/outcome.ts';
import type { Reply } from '../smtp/reply.ts';

/**
 * The reason of a failure, for programs. New ones may come with a minor version; the old ones keep their meaning.
 *
 * | | |
 * |---|---|
 * | `resolve` | the name of the server was not found, or not in time |
 * | `refused` | nobody listens at the address |
 * | `unreachable` | no way led there |
 * | `connect-timeout` | nobody answered in time |
 * | `tls-certificate` | the certificate is not trusted, or not for this server |
 * | `tls-handshake` | TLS did not come about |
 * | `starttls-missing` | TLS is required, for itself or for the credentials, and the server does not offer it |
 * | `auth-missing` | credentials are given and the server offers no authentication |
 * | `auth-mechanism` | no mechanism fits the server, the credentials and the policy; or the credentials could not be had |
 * | `auth-refused` | the server refused the credentials |
 * | `unsupported` | the server lacks an extension that the message needs, or takes less than the message has: it was asked nothing, or the content was broken off |
 * | `rejected` | the server refused the greeting, EHLO, the envelope or the message |
 * | `timeout` | a reply did not come in time |
 * | `lost` | the connection was lost, or the server closed it with 421 |
 * | `malformed` | the server broke the protocol |
 * | `input` | the content that the caller gave failed |
 * | `aborted` | a signal or the deadline ended the call before the commit |
 * | `uncertain` | the message was sent and no verdict came back: the server may have it |
 * | `usage` | the call cannot be: an option, an address or the content is impossible |
 */
export type FailureCode = SessionFailureCode;

/** A recipient that the server refused. */
export interface RecipientRefusal {
  /** In `envelope.to`. */
  readonly index: number;
  readonly address: string;
  /** `RCPT`; over LMTP also `DATA` or `BDAT`, where the message itself was refused for this recipient. */
  readonly verb: Verb;
  readonly reply: Reply;
}

/** Why nobody has the message, or why that is not known. It is data: without secrets, and what is enumerable can be cloned and written as JSON. */
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
  /** Over LMTP, with `uncertain`: those who have the message for sure, because their verdicts came before contact was lost. */
  readonly taken?: readonly { readonly index: number; readonly address: string }[];
  /** The phase of the session, `greeting` where none could be opened; null where none was tried. */
  readonly at: Phase | null;
  /** What was missing, by a word: `requiretls`, `size`. It is there where `code` is `unsupported` or one that says the same closer, and where it is `usage` because the call rules it out. */
  readonly lacks?: Lack;
  /** The code of the system or of its TLS library, where no connection came about because of one: `ECONNREFUSED`, `CERT_HAS_EXPIRED`. */
  readonly systemCode?: string;
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

/** Errors of either form of this library have it, because a program that loads both, ES modules and CommonJS, has two classes. */
const MARK = Symbol.for('nospool.SmtpError');

/** An outcome that is not a success, as an error: for programs that would rather throw. Its message has the hint, too. */
export class SmtpError extends Error {
  static {
    SmtpError.prototype.name = 'SmtpError';
    // What is printed has the name of the class, which a minified one lacks.
    Object.defineProperty(SmtpError, 'name', { value: 'SmtpError' });
    Object.defineProperty(SmtpError.prototype, MARK, { value: true });
    Object.defineProperty(SmtpError, Symbol.hasInstance, { value: isInstance });
  }
  readonly code: FailureCode;
  readonly retry: Retry;
  readonly failure: Failure;

  constructor(failure: Failure) {
    const { message, hint, cause } = failure;
    super(hint === undefined ? message : `${message}; ${hint}`, cause === undefined ? undefined : { cause });
    this.code = failure.code;
    this.retry = failure.retry;
    this.failure = failure;
  }
}

/** In place of `instanceof`: for this class itself an error of the library's other form will do. */
function isInstance(this: unknown, value: unknown): boolean {
  const isOwn = Function.prototype[Symbol.hasInstance].call(this, value);
  return isOwn || (this === SmtpError && typeof value === 'object' && value !== null && MARK in value);
}
