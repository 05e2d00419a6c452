/**
 * Outcomes as programs read them: data that can be cloned, posted and written as JSON, without a secret. They are made from the
 * outcome of the delivery, whose hosts carry policies. Knows no connection.
 */
import { printSmarthost } from '../router/smarthost.ts';
import { classifyFailure, type FailureClass } from '../smtp/client/classify.ts';
import type { Refusal, SessionFailure, Verdict } from '../smtp/client/outcome.ts';
import { digit, type Reply } from '../smtp/reply.ts';
import { textOf } from '../smtp/text.ts';
import * as engine from '../submit/outcome.ts';
import type { Scrub } from '../transport/server-texts.ts';
import type { Causes } from './causes.ts';
import { type Failure, failHere, type RecipientRefusal, SmtpError, withCause } from './failure.ts';
import { rephrase } from './words.ts';

/** A server, and the address of it that was reached. */
export interface ServerFacts {
  /** As it was given, without credentials. */
  readonly url: string;
  /** The host's name, or the one that MX or SRV gave for it. */
  readonly name: string;
  /** null when no address was known; the path of a unix socket; the name itself where a proxy or the caller connects. */
  readonly address: string | null;
  readonly port: number | null;
}

/** What is known of a session that took a message. */
export interface SessionFacts extends ServerFacts {
  /** null in clear. `cipher` is `TLS1.3:TLS_AES_256_GCM_SHA384:256` as in Exim's log. */
  readonly tls: { readonly cipher: string; readonly verified: boolean } | null;
  /** null without authentication. `user` is '' where the caller's own mechanism logged in. */
  readonly auth: { readonly mechanism: string; readonly user: string } | null;
  /** The lines of the EHLO reply that held last, in upper case: `SIZE 10485760`. [] before it came. */
  readonly extensions: readonly string[];
}

/** A server that did not take the message, and why. */
export interface Attempt {
  readonly server: ServerFacts;
  readonly failure: Failure;
}

/** The server has the message for everyone in `taken`. */
export interface Accepted {
  readonly kind: 'accepted';
  readonly reply: Reply;
  readonly server: SessionFacts;
  /** In the order of `envelope.to`. All recipients, unless `recipients` is 'any'. */
  readonly taken: readonly { readonly index: number; readonly address: string }[];
  /** Not empty only where `recipients` is 'any'. */
  readonly refusals: readonly RecipientRefusal[];
  /** Servers that were tried before this one. */
  readonly attempts: readonly Attempt[];
}

/** Nobody has the message, unless `failure.code` is 'uncertain'. */
export interface Failed {
  readonly kind: 'failed';
  readonly failure: Failure;
  /** Every server that was tried, in order; the last one's failure is `failure`. */
  readonly attempts: readonly Attempt[];
  /** There: another server, address or session would have been tried, but the content cannot be read again. */
  readonly unreplayable?: true;
}

/** What became of a message. It is data: it can be cloned, posted to a thread, and written as JSON. */
export type Outcome = Accepted | Failed;

/** Returns what was accepted, or throws the failure as a `SmtpError`: `await orThrow(submit(…))`. */
export async function orThrow<Good>(outcome: Promise<Good | Failed> | Good | Failed): Promise<Exclude<Good, Failed>> {
  const known = await outcome;
  if (isFailed(known)) throw new SmtpError(known.failure);
  return known as Exclude<Good, Failed>;
}

const isFailed = (outcome: unknown): outcome is Failed => (outcome as Failed | undefined)?.kind === 'failed';

export const failedHere = (...failure: Parameters<typeof failHere>): Failed => ({
  kind: 'failed',
  failure: failHere(...failure),
  attempts: [],
});

const UNREPLAYABLE =
  'the content was read beyond the window and cannot be read again, so nothing else was tried: give { open }, or a larger window';

/** Says that this attempt would not have been the last. */
export function unreplayed({ kind, failure, attempts }: Failed): Failed {
  const hint = failure.hint === undefined ? UNREPLAYABLE : `${failure.hint}; ${UNREPLAYABLE}`;
  const told = withCause({ ...failure, hint }, failure.cause);
  const last = attempts.slice(-1).map((attempt) => ({ ...attempt, failure: told }));
  return { kind, failure: told, attempts: [...attempts.slice(0, -1), ...last], unreplayable: true };
}

/** Attaches the reason of the signal that ended the message. */
export function withReason(outcome: Outcome, signal: AbortSignal | undefined): Outcome {
  if (outcome.kind === 'accepted' || outcome.failure.code !== 'aborted' || !signal?.aborted) return outcome;
  return { ...outcome, failure: withCause(outcome.failure, outcome.failure.cause ?? signal.reason) };
}

/* ---- from the delivery ---- */

/** What the callers of this library gave, for the words of an outcome. */
export interface Given {
  /** By index in the envelope. */
  readonly addresses: readonly string[];
  /** The error of the content, if it had one. */
  readonly cause?: unknown;
  /** Errors of the caller's functions. */
  readonly causes?: Causes;
  /** Takes secrets out of what the server says; undefined where there are none. */
  readonly scrub?: Scrub | undefined;
}

export function outcomeOf(outcome: engine.Outcome, given: Given): Outcome {
  switch (outcome.kind) {
    case 'accepted':
      return {
        ...acceptedBy(outcome.by, sessionFacts(outcome.by, given.scrub), given),
        attempts: outcome.attempts.map((each) => attemptOf(each, given)),
      };
    case 'failed': {
      const failed: Failed = {
        kind: 'failed',
        failure: failureOf(outcome.failure, given, lastServer(outcome)),
        attempts: outcome.attempts.map((each) => attemptOf(each, given)),
      };
      return outcome.unreplayable ? unreplayed(failed) : failed;
    }
    /* c8 ignore next 2 */
    case 'discarded':
      throw new Error('bug: a library has no aliases');
  }
}

/** The server of the failure, unless it came between servers. */
function lastServer({ failure, attempts }: Extract<engine.Outcome, { kind: 'failed' }>): string {
  const last = attempts.at(-1);
  return last?.failure === failure ? engine.printServer(last) : '';
}

export function acceptedBy(
  { reply, refusals }: Pick<engine.Acceptance, 'reply' | 'refusals'>,
  server: SessionFacts,
  given: Given,
): Accepted {
  const refused = refusalsOf(refusals, given);
  const all = given.addresses.map((address, index) => ({ index, address }));
  return {
    kind: 'accepted',
    reply: replyOf(reply),
    server,
    taken: refused.length === 0 ? all : all.filter(({ index }) => !refused.some((each) => each.index === index)),
    refusals: refused,
    attempts: [],
  };
}

export function serverFacts({ host, name, endpoint }: Pick<engine.Attempt, 'host' | 'name' | 'endpoint'>): ServerFacts {
  return { url: printSmarthost(host), name, address: endpoint?.address ?? null, port: endpoint?.port ?? null };
}

export function sessionFacts(
  session: Pick<engine.Acceptance, 'host' | 'name' | 'endpoint' | 'tls' | 'auth' | 'offers'>,
  scrub: Scrub | undefined,
): SessionFacts {
  const { tls, auth, offers } = session;
  const { url, name, address, port } = serverFacts(session);
  // Key by key, so that the facts of all sessions have one shape: a program may have thousands.
  return {
    url,
    name,
    address,
    port,
    tls: tls && { cipher: tls.cipher, verified: tls.verified },
    auth: auth && { mechanism: auth.mechanism, user: auth.user },
    extensions: [...(offers?.keywords ?? [])].map(([keyword, parameters]) => {
      const line = [keyword, ...parameters].join(' ');
      // A server may know the password from a session before.
      return textOf(scrub ? scrub(line, false) : line);
    }),
  };
}

export const attemptOf = (attempt: engine.Attempt, given: Given): Attempt => ({
  server: serverFacts(attempt),
  failure: failureOf(attempt.failure, given, engine.printServer(attempt)),
});

/** The texts of a reply are octet strings in the engine, and text here. */
const replyOf = ({ code, enhanced, lines }: Reply): Reply => ({ code, enhanced, lines: lines.map(textOf) });

const refusalsOf = (refusals: readonly Refusal[], { addresses }: Given) =>
  refusals.flatMap(({ recipient, verb = 'RCPT', reply }): RecipientRefusal[] =>
    recipient === null ? [] : [{ index: recipient, address: addresses[recipient] ?? '', verb, reply: replyOf(reply) }],
  );

const takenOf = (verdicts: readonly Verdict[], { addresses }: Given): NonNullable<Failure['taken']> =>
  verdicts.filter(({ reply }) => digit(reply) === 2).map(({ recipient }) => ({ index: recipient, address: addresses[recipient] ?? '' }));

/** `server`: where it happened, for the sentence. */
export function failureOf(failure: engine.Failure, given: Given, server = ''): Failure {
  if (!('at' in failure)) return failHere('usage', engine.printFailure(failure).join('; '));
  const cause = failure.kind === 'content' ? given.cause : given.causes?.of(failure);
  const { code, verb, retry, reply } = classify(failure, cause);
  const { hint, ...bare } = failure;
  const said: Failure = {
    code,
    message:
      (engine.isMissingHere(failure) || server === '' ? '' : `${server}: `) +
      rephrase(engine.printFailure(bare as SessionFailure).join('; ')),
    retry,
    verb,
    ...(reply === undefined ? {} : { reply: replyOf(reply) }),
    refusals: 'refusals' in failure ? refusalsOf(failure.refusals ?? [], given) : [],
    ...(failure.kind === 'uncertain' && failure.verdicts ? { taken: takenOf(failure.verdicts, given) } : {}),
    at: failure.at,
    ...(failure.kind === 'unsupported' ? { lacks: failure.lacks } : {}),
    ...(failure.kind === 'connect' && failure.systemCode !== undefined ? { systemCode: failure.systemCode } : {}),
    ...(hint === undefined ? {} : { hint: rephrase(hint) }),
  };
  return withCause(said, cause);
}

/** Credentials that a function of the caller's could not give may come the next time. */
function classify(failure: SessionFailure, cause: unknown): FailureClass {
  const found = classifyFailure(failure);
  return failure.kind === 'unsupported' && cause !== undefined ? { ...found, code: 'auth-mechanism', retry: 'safe' } : found;
}

/** An outcome for which nobody has to wait. */
export const settled = (outcome: Outcome): Promise<Outcome> => Promise.resolve(outcome);
