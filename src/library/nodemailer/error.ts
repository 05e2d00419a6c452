/** Errors as nodemailer's transports give them, made from failures of the library. Decides nothing by reading a sentence. */

import type { Retry } from '../../smtp/client/classify.ts';
import type { Lack, Verb } from '../../smtp/client/outcome.ts';
import type { Reply } from '../../smtp/reply.ts';
import type { Failure, FailureCode, RecipientRefusal } from '../failure.ts';
import type { ERROR_CODES } from './table.ts';
import { rename } from './words.ts';

/** nodemailer's codes, and `EUNCERTAIN`. */
export type TransportErrorCode = keyof typeof ERROR_CODES;

/** An error as nodemailer has them, with the failure that it comes from. */
export interface TransportError extends Error {
  readonly code: TransportErrorCode;
  /** `CONN`, `EHLO`, `STARTTLS`, `AUTH`, `MAIL FROM`, `RCPT TO`, `DATA`; `API` where no server was asked. */
  readonly command: string;
  /** The reply that decided, whole. */
  readonly response?: string;
  readonly responseCode?: number;
  /** True where the server will never take this message. It comes with `responseCode`. */
  readonly permanent?: boolean;
  /** The recipient that an error of `rejectedErrors` is about. */
  readonly recipient?: string;
  /** Recipients that the server refused, and an error for each. */
  readonly rejected?: string[];
  readonly rejectedErrors?: TransportError[];
  readonly timeoutType?: 'CONNECT_TIMEOUT' | 'GREETING_TIMEOUT' | 'UPGRADE_TIMEOUT' | 'SOCKET_TIMEOUT';
  /** The code of the error that the system, or a stream or function of the caller's, gave. */
  readonly originalCode?: string;
  /** The library's own account, where there is one. */
  readonly failure?: Failure;
  /** Says whether the message may be sent again. Errors of nodemailer itself have none. */
  readonly retry?: Retry;
}

/** Codes that one code of the library always becomes. */
const CODES: Readonly<Record<Exclude<FailureCode, 'rejected' | 'unsupported'>, TransportErrorCode>> = {
  resolve: 'EDNS',
  refused: 'ESOCKET',
  unreachable: 'ESOCKET',
  'connect-timeout': 'ETIMEDOUT',
  'tls-certificate': 'ETLS',
  'tls-handshake': 'ETLS',
  'starttls-missing': 'ETLS',
  'auth-missing': 'EAUTH',
  'auth-mechanism': 'EAUTH',
  'auth-refused': 'EAUTH',
  timeout: 'ETIMEDOUT',
  lost: 'ECONNECTION',
  malformed: 'EPROTOCOL',
  input: 'ESTREAM',
  aborted: 'EABORT',
  uncertain: 'EUNCERTAIN',
  // Envelopes are read before anything is sent.
  usage: 'ECONFIG',
};

/** What the server lacks, or the caller, where that says more. */
const LACKING: Partial<Record<Lack, TransportErrorCode>> = {
  credentials: 'EAUTH',
  requiretls: 'EREQUIRETLS',
  encryption: 'EREQUIRETLS',
  size: 'EMESSAGE',
  '8bitmime': 'EMESSAGE',
  partial: 'ECONFIG',
};

/** Verbs as nodemailer says them, and the code of a refusal. */
const VERBS: Readonly<Record<Verb, readonly [command: string, code: TransportErrorCode]>> = {
  EHLO: ['EHLO', 'EPROTOCOL'],
  HELO: ['HELO', 'EPROTOCOL'],
  LHLO: ['LHLO', 'EPROTOCOL'],
  STARTTLS: ['STARTTLS', 'ETLS'],
  AUTH: ['AUTH', 'EAUTH'],
  MAIL: ['MAIL FROM', 'EENVELOPE'],
  RCPT: ['RCPT TO', 'EENVELOPE'],
  DATA: ['DATA', 'EENVELOPE'],
  BDAT: ['DATA', 'EMESSAGE'],
  RSET: ['RSET', 'EPROTOCOL'],
  NOOP: ['NOOP', 'EPROTOCOL'],
  QUIT: ['QUIT', 'EPROTOCOL'],
};

/** Where no verb says it. */
const COMMANDS: Partial<Record<FailureCode, string>> = {
  resolve: 'CONN',
  refused: 'CONN',
  unreachable: 'CONN',
  'connect-timeout': 'CONN',
  'tls-certificate': 'CONN',
  'tls-handshake': 'CONN',
  'starttls-missing': 'STARTTLS',
  'auth-missing': 'AUTH',
  'auth-mechanism': 'AUTH',
  'auth-refused': 'AUTH',
  lost: 'CONN',
  timeout: 'CONN',
  malformed: 'CONN',
  rejected: 'CONN',
};

export function errorOf(failure: Failure): TransportError {
  const { code, reply, refusals, cause, retry } = failure;
  const error = makeError(codeOf(failure), messageOf(failure), {
    command: commandOf(failure),
    ...replyFacts(reply ?? refusals[0]?.reply),
    ...(refusals.length === 0 ? {} : { rejected: refusals.map(({ address }) => address), rejectedErrors: refusals.map(refusalError) }),
    ...timeFacts(failure),
    ...originalCode(failure),
    retry,
  });
  hide(error, 'failure', failure);
  if (cause !== undefined) hide(error, 'cause', cause);
  if (code === 'aborted') hide(error, 'name', 'AbortError');
  return error;
}

const IN_CLEAR =
  'ignoreTLS, or opportunisticTLS without requireTLS, sends in clear, if that is what you want, and auth.allowPlaintext lets the credentials go with it';

const messageOf = ({ code, message, hint }: Failure): string =>
  [rename(message), ...(hint === undefined ? [] : [rename(hint)]), ...(code === 'starttls-missing' ? [IN_CLEAR] : [])].join('; ');

function codeOf({ code, verb, at, lacks }: Failure): TransportErrorCode {
  const lacking = lacks === undefined ? undefined : LACKING[lacks];
  if (lacking !== undefined) return lacking;
  if (code === 'unsupported') return 'EENVELOPE';
  if (code !== 'rejected') return CODES[code];
  // The verdict on the message comes behind DATA.
  if (at === 'commit') return 'EMESSAGE';
  return verb === null ? 'EPROTOCOL' : VERBS[verb][1];
}

function commandOf({ code, verb, lacks, reply }: Failure): string {
  // It would have been a parameter of MAIL.
  if (lacks === 'requiretls' || lacks === 'encryption') return 'MAIL FROM';
  // What is the caller's own was answered by no server, however far the session was.
  if (code === 'input' || code === 'aborted' || code === 'usage') return 'API';
  // What was not answered is no command: programs look for CONN, to know that the way to the server is at fault.
  const isAnswered = reply !== undefined || (code !== 'lost' && code !== 'timeout');
  return verb === null || !isAnswered ? (COMMANDS[code] ?? 'API') : VERBS[verb][0];
}

/** Makes an error that no failure of the library stands behind. */
export function makeError(
  code: TransportErrorCode,
  message: string,
  facts: Partial<Omit<TransportError, keyof Error | 'code'>> = {},
): TransportError {
  // Without a failure no server was asked: a closed pool is no fault of the message, and the rest is a mistake.
  return Object.assign(new Error(message), { code, command: 'API', retry: code === 'ECONNECTION' ? 'safe' : 'never', ...facts } as const);
}

/** An error for one recipient that was refused. */
export function refusalError({ address, verb, reply }: RecipientRefusal): TransportError {
  const isOfMessage = verb === 'DATA' || verb === 'BDAT';
  const what = isOfMessage ? 'the message was refused for the recipient' : 'the recipient was refused';
  return makeError(isOfMessage ? 'EMESSAGE' : 'EENVELOPE', `${what}: ${printResponse(reply)}`, {
    command: VERBS[verb][0],
    recipient: address,
    retry: reply.code < 500 ? 'later' : 'never',
    ...replyFacts(reply),
  });
}

/** The reply as it came, its lines joined by LF. */
export function printResponse({ code, lines }: Reply): string {
  return lines.map((line, i) => `${code}${i < lines.length - 1 ? '-' : ' '}${line}`).join('\n');
}

function replyFacts(reply: Reply | undefined): Pick<TransportError, 'response' | 'responseCode' | 'permanent'> {
  if (reply === undefined) return {};
  // 503 says that the session was in a wrong state, not that the message is refused.
  return { response: printResponse(reply), responseCode: reply.code, permanent: reply.code >= 500 && reply.code !== 503 };
}

function timeFacts({ code, at }: Failure): Pick<TransportError, 'timeoutType'> {
  if (code === 'connect-timeout') return { timeoutType: 'CONNECT_TIMEOUT' };
  if (code !== 'timeout') return {};
  return { timeoutType: at === 'greeting' ? 'GREETING_TIMEOUT' : at === 'handshake' ? 'UPGRADE_TIMEOUT' : 'SOCKET_TIMEOUT' };
}

function originalCode({ cause, systemCode }: Failure): Pick<TransportError, 'originalCode'> {
  const code: unknown = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : systemCode;
  return typeof code === 'string' ? { originalCode: code } : {};
}

/** Not enumerable, so that a log that prints errors whole stays readable. */
const hide = (error: Error, key: string, value: unknown): void =>
  void Object.defineProperty(error, key, { value, enumerable: false, configurable: true, writable: true });
