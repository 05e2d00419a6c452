/**
 * Tries smart hosts, and the addresses of each, until one has given its verdict on the message. Knows no header field and no
 * configuration file.
 */
import type { Source } from '../message/source.ts';
import { isLmtp, type Smarthost } from '../router/smarthost.ts';
import type { SessionFailure } from '../smtp/client/outcome.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { WOULD_SPLIT } from '../smtp/client/session.ts';
import { parsed } from '../smtp/parsed.ts';
import { abortReason, whenAborted } from '../transport/abort.ts';
import { alarm } from '../transport/clock.ts';
import { type Connection, type EightBitTreatment, VERDICT_GRACE } from '../transport/driver.ts';
import { byName, endpointsOf, targetsOf } from '../transport/lookup/endpoints.ts';
import type { Names } from '../transport/lookup/question.ts';
import type { Endpoint, Target, Unfound } from '../transport/lookup/target.ts';
import { guardObserver } from '../transport/observer.ts';
import { type Interrupts, type UrgentInterrupts, unlessAborted, withDeadline } from './interrupts.ts';
import { type Acceptance, AGAINST_SPLIT, type Attempt, failedWith, type Outcome, stripSecrets } from './outcome.ts';
import { type Dial, openSession, type SessionOptions } from './session.ts';

export interface Delivery {
  /** In the order in which they are tried. */
  readonly hosts: readonly Smarthost[];
  readonly transaction: Transaction;
  readonly content: {
    readonly encoded?: Uint8Array | undefined;
    /** From the first octet; null when they cannot be read again. `last`: after this attempt there is none. */
    open(eightBit: EightBitTreatment, last: boolean): Source | null;
    /** False once octets were pulled that cannot be pulled again. */
    readonly replayable: boolean;
  };
}

export interface DeliveryOptions extends Omit<SessionOptions, 'transactions' | 'signal' | 'dial'> {
  /** `deadline` is for the whole delivery, from the first lookup to the verdict. */
  readonly timeouts: SessionOptions['timeouts'] & { readonly resolve: number; readonly deadline?: number };
  /** A caller's own names for a host, in place of `names`; undefined where there are none. */
  readonly namesFor?: ((host: Smarthost) => Names | undefined) | undefined;
  /** A caller's own way to a host, in place of ours; undefined where there is none. */
  readonly dialFor?: ((host: Smarthost) => Dial | undefined) | undefined;
  /** Hears of the failure of each attempt, with what such a way has thrown. */
  readonly noteFailure?: ((host: Smarthost, failure: SessionFailure, cause?: unknown) => void) | undefined;
  /** Makes an observer for each attempt, in place of `observer`. */
  readonly observe?: ((host: Smarthost) => SessionOptions['observer']) | undefined;
  readonly interrupts?: Interrupts | undefined;
}

/** How one attempt ended; null when no endpoint answered (each is in `attempts` then). */
type AttemptEnd = { readonly by: Acceptance } | { readonly failure: SessionFailure; readonly endpoint: Endpoint } | null;

interface Run {
  readonly delivery: Delivery;
  readonly options: DeliveryOptions;
  /** With the deadline among them. */
  readonly interrupts: UrgentInterrupts;
  readonly attempts: Attempt[];
}

/** Delivers to the first smart host that takes the message. Never rejects. */
export async function deliver(delivery: Delivery, options: DeliveryOptions): Promise<Outcome> {
  const makeController = options.interrupts?.makeController ?? (() => new AbortController());
  const { interrupts, release } = withDeadline(options.interrupts, options.timeouts.deadline ?? Number.POSITIVE_INFINITY, makeController);
  const observer = guardObserver(options.observer);
  const outcome = stripSecrets(await tryHosts({ delivery, options: { ...options, observer }, interrupts, attempts: [] }));
  return release() && outcome.kind === 'failed' ? { ...outcome, isLate: true } : outcome;
}

async function tryHosts(run: Run): Promise<Outcome> {
  const { hosts } = run.delivery;
  for (const [i, host] of hosts.entries()) {
    const outcome = await tryHost(run, host, i < hosts.length - 1);
    if (outcome !== 'next') return outcome;
  }
  return run.attempts.length > 0 ? endFailed(run, false) : failedWith({ kind: 'route', details: [NO_HOST], deferred: false });
}

/** This is known before anything is asked of the server. The machine says the same to programs that open a session themselves. */
const SPLIT: SessionFailure = { kind: 'unsupported', at: 'ready', condemns: 'message', ...WOULD_SPLIT, hint: AGAINST_SPLIT };

const NO_HOST = 'no smart host is configured: set smarthosts';

/** Tries the names of a host, in order. */
async function tryHost(run: Run, host: Smarthost, moreHosts: boolean): Promise<Outcome | 'next'> {
  const { timeouts, observer } = run.options;
  const { signal } = run.interrupts;
  if (isLmtp(host) && run.delivery.transaction.recipients.length > 1 && run.options.partial === 'never') {
    run.attempts.push({ host, name: host.host, endpoint: null, failure: SPLIT });
    return endFailed(run, false);
  }
  observer?.resolving?.();
  const targets = await unlessAborted(targetsOf(host, timeouts.resolve, chooseNames(host, run.options), signal), signal);
  if (targets === null) return endInterrupted(run);
  if (!targets.ok) {
    noteUnresolved(run, host, host.host, targets);
    return 'next';
  }
  for (const [i, target] of targets.value.entries()) {
    const outcome = await tryTarget(run, host, target, moreHosts || i < targets.value.length - 1);
    if (outcome === 'next host') return 'next';
    if (outcome !== 'next') return outcome;
  }
  return 'next';
}

/** Tries the addresses of a name, in order, each until it has failed once. */
async function tryTarget(run: Run, host: Smarthost, target: Target, more: boolean): Promise<Outcome | 'next' | 'next host'> {
  const { delivery, options, attempts } = run;
  const { signal } = run.interrupts;
  options.observer?.resolving?.();
  const looking = options.dialFor?.(host)
    ? parsed(byName(target))
    : endpointsOf(target, options.timeouts.resolve, chooseNames(host, options), signal);
  const found = await unlessAborted(Promise.resolve(looking), signal);
  if (found === null) return endInterrupted(run);
  if (!found.ok) {
    noteUnresolved(run, host, target.name, found);
    return 'next';
  }
  const before = attempts.length;
  let untried: readonly Endpoint[] = found.value;
  while (untried.length > 0) {
    const ended = await attempt(run, host, target, untried, !more && untried.length === 1);
    if (ended === null) return signal.aborted ? endInterrupted(run) : attempts.at(-1)?.failure.condemns === 'host' ? 'next host' : 'next';
    if ('by' in ended) return { kind: 'accepted', by: ended.by, attempts };
    options.noteFailure?.(host, ended.failure);
    attempts.push({ host, name: target.name, ...ended });
    const failed = new Set(attempts.slice(before).map(({ endpoint }) => endpoint?.address));
    untried = untried.filter(({ address }) => !failed.has(address));
    if (ended.failure.condemns === 'message') return endFailed(run, false);
    if (!delivery.content.replayable) return endFailed(run, more || untried.length > 0);
    if (ended.failure.condemns === 'host') return 'next host';
  }
  return 'next';
}

/** The last attempt's failure is the delivery's; `unreplayable` when others would have been tried. */
function endFailed({ attempts }: Run, unreplayable: boolean): Outcome {
  const { failure } = attempts.at(-1) as Attempt;
  return { kind: 'failed', failure, attempts, unreplayable };
}

function endInterrupted({ interrupts, attempts }: Run): Outcome {
  const failure: SessionFailure = {
    kind: 'content',
    at: 'closed',
    condemns: 'message',
    reason: 'aborted',
    detail: abortReason(interrupts.signal),
  };
  return { kind: 'failed', failure, attempts, unreplayable: false };
}

const chooseNames = (host: Smarthost, { namesFor, names }: DeliveryOptions): Names | undefined => namesFor?.(host) ?? names;

/** The failure of a look-up. */
export const unresolved = ({ detail, systemCode }: Unfound): SessionFailure => ({
  kind: 'connect',
  at: 'greeting',
  condemns: 'host',
  during: 'resolve',
  reason: 'resolve',
  detail,
  ...(systemCode && { systemCode }),
});

/** Keeps a look-up that found nothing as an attempt. */
function noteUnresolved({ attempts, options }: Run, host: Smarthost, name: string, unfound: Unfound): void {
  const failure = unresolved(unfound);
  options.noteFailure?.(host, failure);
  attempts.push({ host, name, endpoint: null, failure });
  options.observer?.unconnected?.([failure]);
}

/** Makes one connection, with one transaction on it. */
async function attempt(
  { delivery, options, interrupts, attempts }: Run,
  host: Smarthost,
  target: Target,
  endpoints: readonly Endpoint[],
  last: boolean,
): Promise<AttemptEnd> {
  const { failed, session } = await openSession(host, target, endpoints, {
    ...options,
    ...(options.observe ? { observer: options.observe(host) } : {}),
    dial: options.dialFor?.(host),
    transactions: 'one',
    signal: interrupts.signal,
  });
  for (const { endpoint, failure, cause } of failed) {
    options.noteFailure?.(host, failure, cause);
    attempts.push({ host, name: target.name, endpoint, failure });
  }
  if (session === null) return null;
  const submitted = session.submit(delivery.transaction, {
    encoded: delivery.content.encoded,
    open: (eightBit) => delivery.content.open(eightBit, last),
  });
  const release = letInterrupt(session.connection, interrupts);
  const outcome = await submitted;
  release();
  if (outcome.kind === 'failed') return { failure: outcome.failure, endpoint: session.endpoint };
  const refused = new Set(outcome.refusals.map(({ recipient }) => recipient));
  const taken = delivery.transaction.recipients.filter((_, i) => !refused.has(i)).map(({ path }) => path);
  return { by: { ...session.facts(), reply: outcome.reply, refusals: outcome.refusals, taken } };
}

/** Before the commit a signal ends the session; after it the verdict is awaited for `grace`, and `urgent` ends that, too. The value undoes this. */
function letInterrupt(connection: Connection, { signal, urgent, grace = VERDICT_GRACE }: UrgentInterrupts): () => void {
  let stop: (() => void) | undefined;
  const end = () => connection.abort(abortReason(urgent.aborted ? urgent : signal));
  const interrupt = () => {
    if (connection.hasCommitted) stop = alarm(grace, end);
    else end();
  };
  if (signal.aborted) interrupt();
  const unlink = [whenAborted(signal, interrupt), whenAborted(urgent, end)];
  return () => {
    stop?.();
    for (const each of unlink) each();
  };
}
