/**
 * The outcome of a submission: failures as a closed set, the sentences that people read about it, the exit status. Knows no stream
 * and no file.
 */
import { PORTS, printProxy, type Smarthost } from '../router/smarthost.ts';
import { printDetail } from '../smtp/client/detail.ts';
import type { Extensions } from '../smtp/client/extensions.ts';
import type { Refusal, SessionFailure } from '../smtp/client/outcome.ts';
import { atMost, type Line, lineOf } from '../smtp/line.ts';
import { never } from '../smtp/parsed.ts';
import { type ForwardPath, printPath } from '../smtp/path.ts';
import { digit, printHeard, printReply, type Reply } from '../smtp/reply.ts';
import { printable, textOf } from '../smtp/text.ts';
import { printTimeLimit } from '../smtp/timeout.ts';
import type { Endpoint } from '../transport/lookup/target.ts';

/** A smart host, the address of it that was reached, and why it did not take the message. */
export interface Attempt {
  readonly host: Smarthost;
  /** The name that DNS gave for the host (MX, SRV); else the host's own. */
  readonly name: string;
  /** null when no address was known. */
  readonly endpoint: Endpoint | null;
  readonly failure: SessionFailure;
}

/** The server that took the message. */
export interface Acceptance {
  readonly host: Smarthost;
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly reply: Reply;
  /** Not empty only with `lmtp_partial`. */
  readonly refusals: readonly Refusal[];
  /** The recipients who have the message; all, where nothing was refused. */
  readonly taken: readonly ForwardPath[];
  /** `TLS1.3:TLS_AES_256_GCM_SHA384:256` as Exim's log has it, and whether the certificate was verified; null in clear. */
  readonly tls: { readonly cipher: string; readonly verified: boolean } | null;
  /** SASL mechanism and user, null without authentication. */
  readonly auth: { readonly mechanism: string; readonly user: string } | null;
  /** What the server offered last; undefined before that. */
  readonly offers?: Extensions | undefined;
}

export type Failure =
  | SessionFailure
  /** Addresses that cannot be routed, or not in one transaction. */
  | { readonly kind: 'route'; readonly details: readonly string[]; readonly deferred: boolean }
  /** The message itself is faulty, or its recipients as they were given. */
  | { readonly kind: 'message'; readonly detail: string }
  | { readonly kind: 'config'; readonly details: readonly string[] }
  | { readonly kind: 'usage'; readonly detail: string };

export type Outcome =
  | { readonly kind: 'accepted'; readonly by: Acceptance; readonly attempts: readonly Attempt[] }
  /** Aliases discarded every recipient, so no smart host was asked. */
  | { readonly kind: 'discarded' }
  | {
      readonly kind: 'failed';
      readonly failure: Failure;
      /** Every smart host that was tried, in order; the last one's failure is `failure`. */
      readonly attempts: readonly Attempt[];
      /** Smart hosts left untried because the content could not be sent again. */
      readonly unreplayable: boolean;
      /** The deadline ended the delivery: whoever waits has waited long enough. */
      readonly isLate?: boolean;
    };

export const failedWith = (failure: Failure): Outcome => ({ kind: 'failed', failure, attempts: [], unreplayable: false });

/** Takes the secrets out of the hosts of an outcome, because programs print it whole, and a host may have its password written in it. */
export function stripSecrets(outcome: Outcome): Outcome {
  if (outcome.kind === 'discarded') return outcome;
  const attempts = outcome.attempts.map((attempt) => ({ ...attempt, host: withoutSecret(attempt.host) }));
  return outcome.kind === 'failed'
    ? { ...outcome, attempts }
    : { ...outcome, attempts, by: { ...outcome.by, host: withoutSecret(outcome.by.host) } };
}

function withoutSecret({ auth, link, ...host }: Smarthost): Smarthost {
  const secret = { from: 'none' } as const;
  const proxied = link?.proxy ? { ...link, proxy: { ...link.proxy, secret } } : link;
  return { ...host, auth: auth && { ...auth, secret }, ...(proxied ? { link: proxied } : {}) };
}

/** `mail.example.org [192.0.2.1]:2525`. The port is left out where it is the scheme's own, and the address where a proxy connects. */
export function printServer({ host, name, endpoint }: Pick<Attempt, 'host' | 'name' | 'endpoint'>): string {
  if (endpoint === null) return name;
  if (endpoint.family === 'unix') return endpoint.address;
  const port = endpoint.port === PORTS[host.scheme] ? '' : `:${endpoint.port}`;
  if (endpoint.family === 'name') return `${name}${port}${host.link?.proxy ? ` through ${printProxy(host.link.proxy)}` : ''}`;
  return name === endpoint.address ? `[${endpoint.address}]${port}` : `${name} [${endpoint.address}]${port}`;
}

/** What to do where a message would be split. */
export const AGAINST_SPLIT = 'send to one, or set lmtp_partial = true, which gives up all or none';

/** Prints one sentence for each refusal, else one for the failure; then the hint, if there is one. */
export function printFailure(failure: Failure): readonly string[] {
  const reasons = printReasons(failure);
  const hint = 'hint' in failure ? failure.hint : undefined;
  return hint === undefined ? reasons : [...reasons, hint];
}

/** Prints an attempt's failure with the server's name, unless the server has nothing to do with it. */
export const printAttempt = (attempt: Attempt): readonly string[] =>
  printFailure(attempt.failure).map((line) => (isMissingHere(attempt.failure) ? line : `${printServer(attempt)}: ${line}`));

/** True if something was missing on this side. */
export const isMissingHere = (failure: Failure): boolean => failure.kind === 'unsupported' && failure.isOurs === true;

function printReasons(failure: Failure): readonly string[] {
  switch (failure.kind) {
    case 'connect':
    case 'unsupported':
    case 'content':
      return [printDetail(failure)];
    case 'message':
    case 'usage':
      return [failure.detail];
    case 'malformed':
      return [`protocol error at ${printPhase(failure)}: ${printDetail(failure)}`];
    case 'rejected':
      return failure.refusals.map(({ command, reply }) => `${printable(command)}: ${printReply(reply)}`);
    case 'timeout':
      return [
        `${printLate(failure)} ${printTimeLimit(failure.limit)}${failure.heard === undefined ? '' : `, only "${printHeard(failure.heard)}"`}`,
      ];
    case 'lost':
      return [`connection lost while waiting for ${printable(failure.command)}: ${printDetail(failure)}`];
    case 'uncertain':
      return [`the message was sent and no verdict came back (${printDetail(failure)}): it may have been delivered`];
    case 'route':
    case 'config':
      return failure.details;
    /* c8 ignore next 2 */
    default:
      return never(failure);
  }
}

/** Says what did not come in time. The greeting and the handshake are no replies to a command. */
function printLate({ at, command }: Extract<SessionFailure, { kind: 'timeout' }>): string {
  if (at === 'greeting') return 'no greeting came';
  return at === 'handshake' ? 'the TLS handshake did not end' : `no reply to ${printable(command)}`;
}

const printPhase = ({ at }: SessionFailure): string => (at === 'commit' ? 'the end of the content' : at === 'hello' ? 'EHLO' : at);

/** Addresses that one line lists; the log has all of them. */
const MOST_TAKEN = 100;

/** Prints all that people should know of a failure, one fact a line; [] for a success. `messageId` is an octet string. */
export function printOutcome(outcome: Outcome, messageId: string): readonly Line[] {
  return listFacts(outcome, messageId).map(lineOf);
}

function listFacts(outcome: Outcome, messageId: string): readonly string[] {
  if (outcome.kind === 'discarded') return [];
  if (outcome.kind === 'accepted') {
    const { by } = outcome;
    if (by.refusals.length === 0) return [];
    const refused = by.refusals.map(({ command, reply }) => `${printServer(by)}: ${printable(command)}: ${printReply(reply)}`);
    return [...refused, `delivered in part, to ${atMost(by.taken.map(printPath), MOST_TAKEN).join(', ')} only`];
  }
  const { failure, attempts, unreplayable } = outcome;
  // The same file may have been missing at several addresses.
  const missed = new Set<string>();
  const isNew = (line: string) => !missed.has(line) && missed.add(line) !== undefined;
  const lines = attempts.flatMap((attempt) =>
    isMissingHere(attempt.failure) ? printAttempt(attempt).filter(isNew) : printAttempt(attempt),
  );
  if (attempts.at(-1)?.failure !== failure) lines.push(...printFailure(failure));
  if (failure.kind === 'uncertain' && messageId !== '') lines.push(`look for Message-ID ${textOf(messageId)} before sending it again`);
  if (unreplayable)
    lines.push(
      'the message is larger than replay_window and came from a pipe, so no other smart host could be tried: raise replay_window, or give the message as a file',
    );
  return lines;
}

/** 0 only when the message was taken for every recipient. 'sysexits' maps failures as msmtp does. */
export function exitStatus(outcome: Outcome, codes: 'simple' | 'sysexits'): number {
  if (outcome.kind === 'discarded') return 0;
  if (outcome.kind === 'accepted') return outcome.by.refusals.length === 0 ? 0 : codes === 'simple' ? 1 : 69;
  return codes === 'simple' ? 1 : sysexitsOf(outcome.failure);
}

/** Values of sysexits.h. */
function sysexitsOf(failure: Failure): number {
  switch (failure.kind) {
    case 'usage':
      return 64;
    case 'message':
      return 65;
    case 'route':
      return failure.deferred ? 75 : 65;
    case 'config':
      return 78;
    case 'connect':
      return { resolve: 68, connect: 75, tls: 69 }[failure.during];
    case 'rejected':
      if (failure.at === 'auth') return 77;
      return digit(failure.refusals[0].reply) === 5 && failure.at === 'envelope' ? 65 : 69;
    case 'unsupported':
      return failure.isOurs ? 78 : 69;
    case 'timeout':
    case 'content':
      return 74;
    case 'malformed':
    case 'lost':
    case 'uncertain':
      return 76;
    /* c8 ignore next 2 */
    default:
      return never(failure);
  }
}
