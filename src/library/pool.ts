/**
 * Sends many messages over several sessions, which it opens as they are needed and closes when they are idle. Sends a message again
 * only when nobody has it. Knows no socket.
 */
import { follow, unlessAborted } from '../submit/interrupts.ts';
import { abortReason, reasonOf, whenAborted } from '../transport/abort.ts';
import { alarm } from '../transport/clock.ts';
import { Deadline } from '../transport/deadline.ts';
import { Ceiling } from './ceiling.ts';
import { openClient, type SessionClient } from './client.ts';
import { type Content, failLoading, type GivenContent, sendTaking, type TakenContent, unlessBug } from './content.ts';
import { type Envelope, parseEnvelope } from './envelope.ts';
import { type Failure, failHere } from './failure.ts';
import { DEFAULT_LIMITS, type Limits, POOL_KEYS, type PoolOptions, parseLimits } from './limits.ts';
import { hearingOf, inTime, type Message, type SendOptions } from './message.ts';
import { isSignal, parseOptions, sendFault, type Terms } from './options.ts';
import { type Attempt, type Failed, failedHere, type Outcome, settled, unreplayed } from './outcome.ts';
import { Queue } from './queue.ts';
import { requireTlsFault } from './security.ts';
import { type Host, parseServers, type Server } from './server.ts';

/** Messages that a session has at a time where the next goes along with the one before it. */
const DEPTH = 2;
/** Milliseconds in which a server that failed comes behind the others: they get the next messages, and nobody waits for its time-outs. */
const REST = 60_000;
/** Milliseconds for which a server may count a session that is over, as Exim does until it hears that the process of that session has ended. */
const LINGER = 1000;

/** One open session. */
interface Line {
  readonly client: SessionClient;
  readonly host: Host;
  readonly since: number;
  /** What failed before it was opened, for the message for which it was. */
  readonly before: readonly Attempt[];
  /** Messages given to it, and those without an outcome. */
  given: number;
  busy: number;
  /** No message has been given to it, and it has not waited for one. */
  isNew: boolean;
  /** Closes it when it was idle for long enough. It is only set anew, because a clock of its own for each message is dear. */
  readonly clock: Deadline;
}

/** A message that waits for a session, or has one. */
interface Task {
  readonly message: Message;
  readonly content: GivenContent;
  readonly settle: (outcome: Outcome) => void;
  retries: number;
  /** Those that failed, and after which it waits again. */
  readonly attempts: Attempt[];
}

/** Many messages to one server, or to the first of several that can be reached. */
export class Pool implements AsyncDisposable {
  readonly #hosts: readonly Host[] = [];
  readonly #terms: Terms | null = null;
  readonly #limits: Limits;
  /** Why nothing can be sent. */
  #fault: Failure | null = null;
  /** When the servers that failed last have rested. */
  readonly #resting = new Map<Host, number>();
  /** Servers that read past an envelope behind a content, as chasquid 1.11 and Courier do: each message has its turn there. */
  readonly #deaf = new Set<Host>();
  readonly #lines = new Set<Line>();
  readonly #waiting = new Queue<Task>();
  /** Sessions that are being opened for messages, and for verifications. */
  #opening = 0;
  #trying = 0;
  /** Attempts to open a session, and sessions that say QUIT: what may end in a session, or makes room for one at the server. */
  readonly #hopes = new Set<Promise<unknown>>();
  /** Sessions that say QUIT. */
  readonly #leaving = new Set<SessionClient>();
  /** When a session was last opened, or was over: since then the server has had the same room. */
  #changed = Number.NEGATIVE_INFINITY;
  readonly #ceiling = new Ceiling();
  /** When the last messages began, as many as the rate allows. */
  readonly #begun: number[] = [];
  #clock: () => void = () => {};
  /** Stops the clock that ends a pause in the opening of sessions. */
  #resume: () => void = () => {};
  /** Messages and verifications without an outcome. */
  #pending = 0;
  readonly #ending = new AbortController();
  #drained: Promise<void> | null = null;
  #tellDrained: () => void = () => {};
  /** Leaves the signal of the options. */
  #unlink: () => void = () => {};

  /** Options that cannot be are told by every `send`, as a failure with the code `usage`. */
  constructor(servers: string | URL | Server | readonly (string | URL | Server)[], options: PoolOptions = {}) {
    const hosts = parseServers(Array.isArray(servers) ? servers : [servers]);
    const terms = parseOptions(options, POOL_KEYS);
    const limits = terms.ok ? parseLimits(options) : terms;
    const fault = hosts.ok ? (limits.ok ? null : limits.detail) : hosts.detail;
    if (fault !== null) this.#fault = failHere('usage', fault);
    if (hosts.ok) this.#hosts = hosts.value;
    if (terms.ok) this.#terms = terms.value;
    this.#limits = limits.ok ? limits.value : DEFAULT_LIMITS;
    const signal = fault === null ? this.#terms?.signal : undefined;
    if (signal === undefined) return;
    const obey = (): void => this.destroy(signal.reason);
    if (signal.aborted) obey();
    this.#unlink = whenAborted(signal, obey);
  }

  get stats(): { readonly open: number; readonly busy: number; readonly waiting: number } {
    const busy = [...this.#lines].filter((line) => line.busy > 0).length;
    return { open: this.#lines.size, busy, waiting: this.#waiting.size };
  }

  /** As Client's. The messages of a pool go in no order. */
  readonly send = (envelope: Envelope, content: Content, options: SendOptions = {}): Promise<Outcome> => {
    this.#pending += 1;
    return sendTaking(content, (taken) => this.#sendTaken(envelope, taken, options)).then((outcome) => {
      this.#pending -= 1;
      this.#endIfDrained();
      return outcome;
    });
  };

  #sendTaken(envelope: Envelope, taken: TakenContent, options: SendOptions): Promise<Outcome> {
    const terms = this.#terms;
    if (this.#fault !== null || terms === null) return settled({ kind: 'failed', failure: this.#fault as Failure, attempts: [] });
    const { signal: whole } = terms;
    if (whole?.aborted) return settled(failedHere('aborted', abortReason(whole), whole.reason));
    if (this.#drained !== null) return settled(failedHere('usage', 'the pool was closed'));
    const fault = sendFault(options);
    if (fault !== null) return settled(failedHere('usage', fault));
    const parsedEnvelope = parseEnvelope(envelope);
    if (!parsedEnvelope.ok) return settled(failedHere('usage', parsedEnvelope.detail));
    const { transaction, addresses } = parsedEnvelope.value;
    const trust = requireTlsFault(transaction, () => this.#hosts.map(({ smarthost }) => smarthost));
    if (trust !== null) return settled(trust);
    const { signal } = options;
    const hearing = hearingOf(options);
    if (signal?.aborted) return settled(failedHere('aborted', abortReason(signal), signal.reason));
    return inTime(signal, terms, (ends) => {
      const message: Message = { transaction, addresses, ...hearing, ends, attempt: 0 };
      return taken.known !== null ? this.#queue(message, taken.known) : this.#readAndQueue(message, taken, terms);
    });
  }

  async #readAndQueue(message: Message, taken: TakenContent & { readonly known: null }, { window, timeouts }: Terms): Promise<Outcome> {
    const read = await this.#unlessEnded(message.ends.signal, async (either) => {
      const loaded = await taken.load({ window, patience: timeouts.input, signal: either });
      return loaded.ok && !either.aborted ? loaded : failLoading(taken, loaded.ok ? '' : loaded.detail, either);
    });
    return 'kind' in read ? read : this.#queue(message, read.value);
  }

  /** Does work that a signal of the caller's ends, and the end of this pool. */
  async #unlessEnded<Result>(signal: AbortSignal | undefined, work: (either: AbortSignal) => Promise<Result>): Promise<Result> {
    const either = new AbortController();
    const unlink = [follow(either, signal), follow(either, this.#ending.signal)];
    try {
      return await work(either.signal);
    } finally {
      for (const each of unlink) each();
    }
  }

  #queue(message: Message, content: GivenContent): Promise<Outcome> {
    const { signal } = message.ends;
    return new Promise((resolve) => {
      const attempts: Attempt[] = [];
      const task: Task = {
        message,
        content,
        attempts,
        retries: this.#limits.retries,
        settle: (outcome) => {
          unlink();
          resolve(attempts.length === 0 ? outcome : { ...outcome, attempts: [...attempts, ...outcome.attempts] });
        },
      };
      const unlink = whenAborted(signal, () => {
        if (this.#waiting.remove(task)) task.settle(failedHere('aborted', abortReason(signal as AbortSignal), signal?.reason));
      });
      this.#waiting.push(task);
      this.#dispatch();
    });
  }

  /* ---- sessions ---- */

  /** Gives waiting messages to sessions, and opens sessions for them. */
  #dispatch(): void {
    while (this.#waiting.size > 0 && this.#mayBegin()) {
      const line = this.#findLine();
      if (line === null) break;
      if (this.#limits.rate !== null) this.#begun.push(performance.now());
      void this.#carry(line, this.#waiting.take() as Task);
    }
    const there = this.#taken;
    const wanted = Math.min(this.#limits.connections - there, Math.min(this.#waiting.size, this.#allowance) - this.#opening);
    if (wanted <= 0) return;
    this.#resume();
    const welcome = Math.min(wanted, this.#ceiling.above(there));
    for (let i = 0; i < welcome; i++) void this.#openLine();
    if (welcome > 0) return;
    const pause = this.#ceiling.untilAsked(this.#lines.size > 0);
    if (pause > 0) {
      this.#resume = alarm(pause, () => this.#dispatch());
      return;
    }
    this.#ceiling.ask();
    void this.#openLine();
  }

  /** Connections that the server may count: also of a session that says QUIT. */
  get #taken(): number {
    return this.#lines.size + this.#opening + this.#trying + this.#leaving.size;
  }

  /** Messages that may begin now: for others no session is opened, because the server would see it idle. */
  get #allowance(): number {
    const { rate } = this.#limits;
    return rate === null ? Number.POSITIVE_INFINITY : rate.messages - this.#begun.length;
  }

  /** An idle session; else, when no other may be opened, one that takes a message meanwhile. */
  #findLine(): Line | null {
    const most = this.#limits.isPipelining && this.#isFull ? DEPTH : 1;
    let best: Line | null = null;
    for (const line of this.#lines) {
      if (line.busy >= (this.#deaf.has(line.host) ? 1 : (best?.busy ?? most))) continue;
      if (line.client.usable) {
        if (this.#isSpent(line)) continue;
        if (line.busy === 0) return line;
        best = line;
      } else if (line.busy === 0) this.#close(line);
    }
    return best;
  }

  /** It has had its share, or its time. It takes the message for which it was opened whatever that time is. */
  #isSpent({ given, since, isNew }: Line): boolean {
    const { messages, ttl } = this.#limits;
    return given >= messages || (!isNew && ttl !== Number.POSITIVE_INFINITY && performance.now() - since >= ttl);
  }

  async #openLine(): Promise<void> {
    const before = this.#waiting.all();
    const began = performance.now();
    this.#opening += 1;
    const { host, client, failure, attempts } = await among(this.#hopes, this.#openFirst(this.#ending.signal));
    this.#opening -= 1;
    if (client !== null) {
      if (this.#hasEnded) {
        this.#leave(client);
        return;
      }
      const clock = new Deadline(() => this.#close(line));
      const line: Line = { client, host, since: performance.now(), before: attempts, given: 0, busy: 0, isNew: true, clock };
      this.#lines.add(line);
      this.#changed = performance.now();
      this.#ceiling.pass(this.#lines.size);
      void client.ended().then(() => this.#drop(line));
      this.#dispatch();
      if (line.busy === 0) this.#wait(line);
      return;
    }
    this.#ceiling.find(this.#lines.size + this.#leaving.size);
    void this.#tellNone(before, Math.min(began, performance.now() - LINGER), { kind: 'failed', failure: failure as Failure, attempts });
  }

  /** Tells those who waited that no session can be had, unless others serve, are being opened, or may have made room at the server since then. */
  async #tellNone(waited: readonly Task[], since: number, outcome: Failed): Promise<void> {
    if (this.#hopes.size > 0) {
      this.#dispatch();
      await Promise.all(this.#hopes);
    }
    const isNone = this.#lines.size === 0 && this.#leaving.size === 0 && this.#changed < since;
    if (isNone) for (const task of waited) if (this.#waiting.remove(task)) task.settle(outcome);
    this.#dispatch();
    this.#endIfDrained();
  }

  /** Opens a session to the first server that can be reached. Servers that rest come last. */
  async #openFirst(signal: AbortSignal): Promise<OpenedClient & { readonly host: Host }> {
    const now = performance.now();
    const isResting = (host: Host): boolean => (this.#resting.get(host) ?? 0) > now;
    const ordered = [...this.#hosts].sort((a, b) => Number(isResting(a)) - Number(isResting(b)));
    const attempts: Attempt[] = [];
    const tryHost = async (host: Host) => {
      const opened = await openReady(host, { ...(this.#terms as Terms), signal });
      attempts.push(...opened.attempts);
      if (opened.client !== null) this.#resting.delete(host);
      else this.#rest(host);
      return { ...opened, host, attempts };
    };
    let opened = await tryHost(ordered[0] as Host);
    for (const host of ordered.slice(1)) {
      if (opened.client !== null || signal.aborted) break;
      opened = await tryHost(host);
    }
    return opened;
  }

  #rest(host: Host): void {
    this.#resting.set(host, performance.now() + REST);
  }

  async #carry(line: Line, task: Task): Promise<void> {
    const { isNew } = line;
    line.isNew = false;
    line.clock.set(Number.POSITIVE_INFINITY);
    line.given += 1;
    const isBehind = line.busy > 0;
    line.busy += 1;
    const { message, content, attempts } = task;
    if (isNew) attempts.push(...line.before);
    const outcome = await unlessBug(() => line.client.sendLoaded({ ...message, attempt: attempts.length }, content));
    line.busy -= 1;
    if (isBehind && outcome.kind === 'failed' && outcome.failure.code === 'timeout' && outcome.failure.verb === 'MAIL')
      this.#deaf.add(line.host);
    if (outcome.kind === 'accepted' || !this.#mayRepeat(task, outcome.failure, line.host, isNew)) task.settle(outcome);
    else if (!content.replayable) task.settle(unreplayed(outcome));
    else {
      attempts.push(...outcome.attempts);
      this.#waiting.putBack(task);
    }
    if (line.busy === 0) this.#wait(line);
    this.#dispatch();
  }

  /** True when nobody has the message and another attempt is due. `isNew`: the session was opened for it. */
  #mayRepeat(task: Task, { retry, code, verb }: Failure, host: Host, isNew: boolean): boolean {
    if (retry !== 'safe' || code === 'aborted' || code === 'input' || this.#ending.signal.aborted) return false;
    // MAIL is what a server answers first. It may end a session that was idle or has had its share, and nothing is wrong with it.
    if (code === 'lost' && verb === 'MAIL' && !isNew) return true;
    if (code === 'timeout' && verb === 'MAIL') this.#closeIdle(host);
    this.#rest(host);
    task.retries -= 1;
    return task.retries >= 0;
  }

  /** A session without work is closed after a while, or at once when it has done its share. */
  #wait(line: Line): void {
    if (!line.client.usable || this.#isSpent(line)) {
      this.#close(line);
      return;
    }
    const left = line.since + this.#limits.ttl - performance.now();
    line.isNew = false;
    line.clock.set(Math.min(this.#limits.idle, left));
  }

  /** Forgets a session that is over; the messages that it had tell it themselves. */
  #drop(line: Line): void {
    if (line.busy > 0) return;
    line.clock.stop();
    if (this.#lines.delete(line)) {
      this.#changed = performance.now();
      this.#dispatch();
    }
    this.#endIfDrained();
  }

  #close(line: Line): void {
    line.clock.stop();
    if (this.#lines.delete(line)) this.#leave(line.client);
  }

  /** One was silent at its first command, so the others are most likely gone, too: this host slept, or NAT has forgotten them. */
  #closeIdle(host: Host): void {
    for (const line of [...this.#lines]) if (line.host === host && line.busy === 0) this.#close(line);
  }

  async #leave(client: SessionClient): Promise<void> {
    this.#leaving.add(client);
    await among(this.#hopes, client.quit());
    this.#leaving.delete(client);
    this.#changed = performance.now();
    this.#dispatch();
    this.#endIfDrained();
  }

  /** Keeps to the rate; wakes up when the next message may begin. */
  #mayBegin(): boolean {
    const { rate } = this.#limits;
    if (rate === null) return true;
    const now = performance.now();
    while (this.#begun.length > 0 && (this.#begun[0] as number) + rate.per <= now) this.#begun.shift();
    if (this.#begun.length >= rate.messages) {
      this.#clock();
      this.#clock = alarm((this.#begun[0] as number) + rate.per - now, () => this.#dispatch());
      return false;
    }
    return true;
  }

  /* ---- the whole ---- */

  /** Opens a session, or asks an idle one whether it is still there; null, or why no message could be sent. */
  async verify(signal?: AbortSignal): Promise<Failure | null> {
    if (this.#fault !== null || this.#terms === null) return this.#fault;
    if (this.#drained !== null) return failHere('usage', 'the pool was closed');
    if (signal !== undefined && !isSignal(signal)) return failHere('usage', 'signal is an AbortSignal');
    this.#pending += 1;
    try {
      return await this.#unlessEnded(signal, async (either) => {
        let isThere = await this.#askSession(either);
        for (; !isThere && this.#isFull && this.#hopes.size > 0 && !either.aborted; isThere = await this.#askSession(either))
          await unlessAborted(Promise.race(this.#hopes), either);
        const failure = isThere || either.aborted ? null : await this.#trySession(either);
        return either.aborted ? failHere('aborted', abortReason(either), either.reason) : failure;
      });
    } finally {
      this.#pending -= 1;
      this.#endIfDrained();
    }
  }

  /** No other session may be opened. */
  get #isFull(): boolean {
    return this.#taken >= this.#limits.connections;
  }

  /** True when a session is there: an idle one, or any where no other may be opened. */
  async #askSession(signal: AbortSignal, isFull = this.#isFull): Promise<boolean> {
    const lines = [...this.#lines].sort((a, b) => a.busy - b.busy);
    for (const { client, busy, host } of lines) {
      if (signal.aborted || (busy > 0 && !isFull)) break;
      const asked = client.noop().then((failure) => {
        if (failure?.code === 'timeout') this.#closeIdle(host);
        return failure === null;
      });
      if (await unlessAborted(asked, signal)) return true;
    }
    return false;
  }

  /** Opens a session and closes it; null, or why the last server has none. It may have room for no other than those that there are. */
  async #trySession(signal: AbortSignal): Promise<Failure | null> {
    this.#trying += 1;
    const { client, failure } = await among(this.#hopes, this.#openFirst(signal));
    this.#trying -= 1;
    if (client !== null) {
      await this.#leave(client);
      return null;
    }
    this.#dispatch();
    await unlessAborted(Promise.all(this.#hopes), signal);
    return (await this.#askSession(signal, true)) ? null : failure;
  }

  /** Takes no further message, finishes those that it has, and says QUIT. */
  drain(): Promise<void> {
    this.#drained ??= new Promise((resolve) => {
      this.#tellDrained = resolve;
    });
    for (const line of [...this.#lines]) if (line.busy === 0 && this.#waiting.size === 0) this.#close(line);
    this.#endIfDrained();
    return this.#drained;
  }

  #endIfDrained(): void {
    if (!this.#hasEnded) return;
    this.#clock();
    this.#resume();
    // Whoever wanted the sessions that are being opened has left.
    if (this.#opening > 0) this.#ending.abort(new Error('the pool was closed'));
    for (const line of [...this.#lines]) this.#close(line);
    this.#unlink();
    if (this.#leaving.size === 0 && this.#opening === 0) this.#tellDrained();
  }

  /** Nothing is left to do, and nothing will come. */
  get #hasEnded(): boolean {
    return this.#drained !== null && this.#pending === 0;
  }

  /** Ends everything at once: messages that wait are failed as `aborted`, and those under way by what is known of them. */
  destroy(reason: unknown = new Error('the pool was closed')): void {
    this.#ending.abort(reason);
    for (let task = this.#waiting.take(); task !== undefined; task = this.#waiting.take())
      task.settle(failedHere('aborted', reasonOf(reason), reason));
    for (const client of this.#leaving) client.destroy(reason);
    for (const line of [...this.#lines]) {
      line.client.destroy(reason);
      this.#close(line);
    }
    void this.drain();
    this.#clock();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }
}

/** Does work for which others may wait. */
async function among<Result>(others: Set<Promise<unknown>>, work: Promise<Result>): Promise<Result> {
  others.add(work);
  const result = await work;
  others.delete(work);
  return result;
}

interface OpenedClient {
  readonly client: SessionClient | null;
  readonly failure: Failure | null;
  readonly attempts: readonly Attempt[];
}

/** Opens a session and waits until it takes a message. */
async function openReady(host: Host, terms: Terms): Promise<OpenedClient> {
  const connected = await openClient(host, terms, true).catch((error) => ({
    ok: false as const,
    failure: failHere('usage', `bug: ${reasonOf(error)}`, error),
    attempts: [],
  }));
  if (!connected.ok) return { client: null, ...connected };
  const { client } = connected;
  const failure = await client.ready();
  if (failure === null) return { client, failure, attempts: [] };
  return { client: null, failure, attempts: [{ server: client.facts, failure }] };
}
