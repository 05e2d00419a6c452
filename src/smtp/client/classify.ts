/**
 * Classifies a failure for a program: a stable code, the command, the last reply, and whether the same message may be given again.
 * Reads fields, never a sentence. Knows no list of smart hosts and no number of attempts.
 */
import { never } from '../parsed.ts';
import { digit, type Reply } from '../reply.ts';
import type { ConnectReason, Lack, Refusal, SessionFailure, Verb } from './outcome.ts';

/**
 * The kinds of failure that a session can end in. No connection: `resolve` to `tls-handshake`. No session: `starttls-missing`
 * (also where credentials would go in clear) to `auth-refused`. `unsupported`: the message needs an extension, or more than the
 * server takes. `rejected`: by 4yz or 5yz. `input`: our own content failed. `usage`: the caller's arguments cannot be said.
 */
export type SessionFailureCode =
  | 'resolve'
  | 'refused'
  | 'unreachable'
  | 'connect-timeout'
  | 'tls-certificate'
  | 'tls-handshake'
  | 'starttls-missing'
  | 'auth-missing'
  | 'auth-mechanism'
  | 'auth-refused'
  | 'unsupported'
  | 'rejected'
  | 'timeout'
  | 'lost'
  | 'malformed'
  | 'input'
  | 'aborted'
  | 'uncertain'
  | 'usage';

/**
 * May the same message be given again? 'safe': nobody has it, and nothing speaks against trying at once. 'later': a server said
 * 4yz. 'never': it would end the same way until somebody changes something. 'unknown': a server may have it.
 */
export type Retry = 'safe' | 'later' | 'never' | 'unknown';

/** The facts of a failure by which a program decides. */
export interface FailureClass {
  readonly code: SessionFailureCode;
  /** The command that was to be answered; null where it was none. */
  readonly verb: Verb | null;
  /** The reply that decided it; absent where none came. */
  readonly reply?: Reply;
  readonly retry: Retry;
}

/** Classifies a failure. */
export function classifyFailure(failure: SessionFailure): FailureClass {
  switch (failure.kind) {
    case 'connect':
      return { code: connectCode(failure), verb: null, retry: STAYS.has(failure.reason) ? 'never' : 'safe' };
    case 'rejected': {
      const { verb = null, reply } = decidingRefusal(failure);
      return { code: failure.at === 'auth' ? 'auth-refused' : 'rejected', verb, reply, retry: digit(reply) === 4 ? 'later' : 'never' };
    }
    case 'unsupported':
      return { code: CODES[failure.lacks] ?? 'unsupported', ...answered(failure), retry: 'never' };
    case 'malformed':
    case 'timeout':
      return { code: failure.kind, ...answered(failure), retry: 'safe' };
    case 'lost':
      return { code: 'lost', ...answered(failure), retry: isTurnedAway(failure) ? 'later' : 'safe' };
    case 'content':
      return { code: failure.reason, ...answered(failure), retry: 'safe' };
    case 'uncertain':
      return { code: 'uncertain', ...answered({ ...failure.instead, ...failure }), retry: 'unknown' };
    /* c8 ignore next 2 */
    default:
      return never(failure);
  }
}

const answered = ({ verb, reply }: { readonly verb?: Verb; readonly reply?: Reply }): Pick<FailureClass, 'verb' | 'reply'> => ({
  verb: verb ?? null,
  ...(reply ? { reply } : {}),
});

/** 421 is a 4yz, but for MAIL: the server may have closed an idle session just then, and takes the message in another one. */
const isTurnedAway = ({ reply, verb }: Extract<SessionFailure, { kind: 'lost' }>): boolean => reply !== undefined && verb !== 'MAIL';

type Rejected = Extract<SessionFailure, { kind: 'rejected' }>;

/**
 * What refuses the message refuses it for all. Among recipients 5yz decides where all are needed, because it stays; where any is
 * enough 4yz does, because that one may be taken later.
 */
function decidingRefusal({ at, refusals, isAnyEnough }: Rejected): Refusal {
  const whole = refusals.find(({ recipient }) => recipient === null);
  if (whole) return whole;
  // Verdicts on the content for single recipients: LMTP gave the message to whom it could.
  const wanted = isAnyEnough || at === 'commit' ? 4 : 5;
  return refusals.find(({ reply }) => digit(reply) === wanted) ?? refusals[0];
}

type Connect = Extract<SessionFailure, { kind: 'connect' }>;

const connectCode = ({ reason, during }: Connect): SessionFailureCode => (reason === 'other' ? STAGES[during] : REASONS[reason]);

// biome-ignore format: a table is read as a table
const REASONS: Readonly<Record<Exclude<ConnectReason, 'other'>, SessionFailureCode>> = {
  resolve:     'resolve',
  refused:     'refused',
  unreachable: 'unreachable',
  timeout:     'connect-timeout',
  certificate: 'tls-certificate',
  handshake:   'tls-handshake',
  usage:       'usage',
};

const STAYS: ReadonlySet<ConnectReason> = new Set(['certificate', 'usage']);

const STAGES: Readonly<Record<Connect['during'], SessionFailureCode>> = {
  resolve: 'resolve',
  connect: 'unreachable',
  tls: 'tls-handshake',
};

/** What is not here is an extension, or more than the server takes. */
const CODES: Partial<Record<Lack, SessionFailureCode>> = {
  starttls: 'starttls-missing',
  tls: 'starttls-missing',
  auth: 'auth-missing',
  mechanism: 'auth-mechanism',
  exchange: 'auth-mechanism',
  credentials: 'usage',
  configuration: 'usage',
  argument: 'usage',
};
