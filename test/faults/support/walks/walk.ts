/**
 * Walks of programs through the library: they send in every way and shape to servers that fail in any way, give up at any moment, and
 * share nothing but the library. Behind them an oracle says which of its promises did not hold. Time is virtual and the servers are
 * in memory, so that a seed goes the same way each time; on loopback both are real.
 */
import events from 'node:events';
import {
  type Client,
  type Content,
  connect,
  type Envelope,
  type Failure,
  type Options,
  type Outcome,
  Pool,
  type Progress,
  type SendOptions,
  type Server,
  submit,
} from '../../../../src/library/index.ts';
import type { Conversation, Taken } from '../worlds/host.ts';
import { Dice, VirtualTime } from '../worlds/time.ts';
import { type Made, makeContent } from './content.ts';
import { type Ground, openLoopback, openMemory } from './ground.ts';
import { openMailer } from './mailer.ts';
import { type Breach, findBreaches } from './oracle.ts';
import {
  drawTogether,
  drawWalk,
  GRACE,
  LIMIT,
  lessOf,
  type MessagePlan,
  originalOf,
  type ProgramPlan,
  recipientsOf,
  senderOf,
  type WalkPlan,
} from './plan.ts';

/** A message that a program gave, and all that became of it. */
export interface Sent {
  readonly plan: MessagePlan;
  readonly program: Ran;
  readonly made: Made;
  /** Somebody gave the same content before. */
  readonly isSecond: boolean;
  /** The program had closed what it gave the message to. */
  readonly isLate: boolean;
  /** Milliseconds. */
  readonly called: number;
  settled: number | null;
  aborted: number | null;
  outcome: Outcome | null;
  thrown: unknown;
  readonly progress: Progress[];
  /** Lines that its own trace heard. */
  readonly heard: string[];
}

/** A program that ran. */
export interface Ran {
  readonly plan: ProgramPlan;
  readonly servers: readonly Server[];
  readonly trace: { readonly side: string; readonly line: string; readonly session: number; readonly at: number }[];
  /** When it gave up, by its own signal or `destroy`. */
  aborted: number | null;
  /** When it called quit, drain or destroy, and when that was over. */
  closed: number | null;
  ended: number | null;
  client: Client | null;
  pool: Pool | null;
  /** What was said to it besides outcomes. */
  readonly failures: Failure[];
  readonly sending: Promise<void>[];
}

/** All that is known of a walk behind its end. */
export interface Walked {
  readonly plan: WalkPlan;
  readonly sent: readonly Sent[];
  readonly programs: readonly Ran[];
  readonly conversations: readonly Conversation[];
  readonly taken: readonly Taken[];
  /** Sentences of what was seen to be wrong while it ran. */
  readonly seen: readonly string[];
  readonly uncaught: readonly unknown[];
  readonly warnings: readonly string[];
  /** Clocks that nobody stopped, and listeners that nobody took from a signal. */
  readonly left: { readonly clocks: number; readonly listeners: number };
  /** Time and servers are not real. */
  readonly isVirtual: boolean;
}

export interface Tally {
  messages: number;
  accepted: number;
  failed: number;
  uncertain: number;
  sessions: number;
}

export const emptyTally = (): Tally => ({ messages: 0, accepted: 0, failed: 0, uncertain: 0, sessions: 0 });

function envelopeOf(plan: MessagePlan): Envelope {
  const { id, withoutEightBit, wants } = plan;
  const { notify, originals, needsDsn, beyondAscii, requireTls, ret, envid } = wants;
  const to = recipientsOf(plan).map((address, i) =>
    notify || originals ? { address, ...(notify ? { notify } : {}), ...(originals ? { original: originalOf(i) } : {}) } : address,
  );
  const [first] = to;
  return {
    from: senderOf(plan),
    to: to.length === 1 && id % 2 === 0 && typeof first === 'string' ? first : to,
    ...(withoutEightBit === undefined ? {} : { withoutEightBit }),
    ...(ret ? { ret } : {}),
    ...(envid ? { envid } : {}),
    ...(needsDsn ? { dsn: 'require' } : {}),
    ...(beyondAscii === 'header' ? { smtputf8: true } : {}),
    ...(requireTls ? { requireTls } : {}),
  };
}

const pass = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

class Walk {
  readonly plan: WalkPlan;
  readonly #ground: Ground;
  readonly #now: () => number;
  readonly sent: Sent[] = [];
  readonly programs: Ran[] = [];
  readonly seen: string[] = [];
  readonly #signals: AbortSignal[] = [];

  constructor(plan: WalkPlan, ground: Ground, now: () => number) {
    this.plan = plan;
    this.#ground = ground;
    this.#now = now;
  }

  get listeners(): number {
    return this.#signals.reduce((sum, signal) => sum + events.getEventListeners(signal, 'abort').length, 0);
  }

  async run(): Promise<void> {
    await Promise.all(this.plan.programs.map((program) => this.#runProgram(program)));
  }

  async #runProgram(plan: ProgramPlan): Promise<void> {
    const dice = new Dice(plan.seed);
    const ran: Ran = {
      plan,
      servers: plan.servers.map((at) => this.#ground.serverOf(at, plan.seed)),
      trace: [],
      aborted: null,
      closed: null,
      ended: null,
      client: null,
      pool: null,
      failures: [],
      sending: [],
    };
    this.programs.push(ran);
    await pass(plan.begins);
    const { recipients, commit, framing, window, deadline } = plan.options;
    const soon = { resolve: LIMIT, connect: LIMIT, greeting: LIMIT, data: LIMIT, block: LIMIT, final: LIMIT, input: LIMIT };
    const options: Options = {
      hello: 'here.example',
      recipients,
      commit,
      framing,
      window,
      grace: GRACE,
      // QUIT waits for a second, whatever a command may take.
      timeouts: { ...soon, command: 3 * LIMIT, deadline },
      trace: ({ side, line, session }) => {
        ran.trace.push({ side, line, session, at: this.#now() });
        if (dice.isIn(0.001)) throw new Error('the trace fails');
      },
    };
    const whole =
      plan.abort === null
        ? undefined
        : this.#signalIn(plan.abort, (at) => {
            ran.aborted ??= at;
          });
    if (plan.kind === 'submit') await this.#submitAll(ran, options);
    else if (plan.kind === 'nodemailer') await this.#useMailer(ran);
    else if (plan.kind === 'client') await this.#useClient(ran, dice, { ...options, ...(whole ? { signal: whole } : {}) });
    else await this.#usePool(ran, dice, { ...options, ...(whole ? { signal: whole } : {}) });
  }

  async #submitAll(ran: Ran, options: Options): Promise<void> {
    await this.#giveAll(ran, (envelope, content, more) => submit(envelope, content, { ...options, ...more, servers: ran.servers }));
    ran.closed = this.#now();
    await Promise.all(ran.sending);
    // The session says QUIT behind the outcome.
    ran.ended = null;
  }

  async #useClient(ran: Ran, dice: Dice, options: Options): Promise<void> {
    const connected = await connect(ran.servers[0] as Server, options);
    if (!connected.ok) {
      ran.failures.push(connected.failure);
      ran.closed = ran.ended = this.#now();
      return;
    }
    const { client } = connected;
    ran.client = client;
    void client.facts;
    if (dice.isIn(0.2))
      void client
        .ready(
          dice.isIn(0.5)
            ? this.#signalIn(dice.below(200), () => {
                ran.aborted ??= this.#now();
              })
            : undefined,
        )
        .then((failure) => this.#tell(ran, failure));
    const ask = () => void client.noop().then((failure) => this.#tell(ran, failure));
    await this.#giveAll(ran, (...given) => client.send(...given), ask);
    await this.#end(ran, client, () => client.quit());
    if (client.usable) this.seen.push('a client is usable behind its end');
    await this.#giveLate(ran, dice, (...given) => client.send(...given));
    const last = await client.noop();
    if (last?.code !== 'usage') this.seen.push(`noop behind the end says ${last?.code}`);
  }

  async #usePool(ran: Ran, dice: Dice, options: Options): Promise<void> {
    const { rate, ...limits } = ran.plan.pool;
    const pool = new Pool(ran.servers, { ...options, ...limits, ...(rate === null ? {} : { rate }) });
    ran.pool = pool;
    const ask = () =>
      void pool.verify(dice.isIn(0.3) ? this.#signalIn(dice.below(500), () => {}) : undefined).then((failure) => this.#tell(ran, failure));
    await this.#giveAll(ran, (...given) => pool.send(...given), ask);
    await this.#end(ran, pool, () => pool.drain());
    const { open, busy, waiting } = pool.stats;
    if (open + busy + waiting > 0) this.seen.push(`a pool that has ended has ${open} open, ${busy} busy, ${waiting} waiting`);
    if (ran.aborted === null || ran.plan.abort === null) await this.#giveLate(ran, dice, (...given) => pool.send(...given));
  }

  /** Closing fails what waits in a pool, and without one it ends nothing; so that what was given is waited for. */
  async #useMailer(ran: Ran): Promise<void> {
    const mailer = openMailer(ran.plan, ran.servers[0] as Server, (side, line, session) => {
      ran.trace.push({ side, line, session, at: this.#now() });
    });
    await this.#giveAll(ran, (...given) => mailer.send(...given));
    const quit = async (): Promise<void> => {
      await Promise.all(ran.sending);
      await mailer.close(false);
    };
    const destroy = (): void => void mailer.close(mailer.isPool);
    await this.#end(ran, { destroy, [Symbol.asyncDispose]: quit }, quit);
  }

  #tell(ran: Ran, failure: Failure | null): void {
    if (failure !== null) ran.failures.push(failure);
  }

  /** Ends it in the way that is planned, and waits for that. */
  async #end(ran: Ran, ended: AsyncDisposable & { destroy(reason?: unknown): void }, quit: () => Promise<void>): Promise<void> {
    const { end, lingers } = ran.plan;
    if (end !== 'destroy at once') await pass(lingers);
    const own = this.sent.filter(({ program, thrown }) => program === ran && thrown === undefined);
    ran.closed = this.#now();
    const destroy = (): void => {
      ran.aborted ??= this.#now();
      ended.destroy(new Error('the program gives up'));
    };
    if (end === 'quit') await Promise.all([quit(), quit()]);
    else if (end === 'dispose') await ended[Symbol.asyncDispose]();
    else if (end === 'both') {
      const left = quit();
      await pass(LIMIT / 4);
      destroy();
      await left;
    } else {
      destroy();
      await quit();
    }
    ran.ended = this.#now();
    // What hears an outcome does so in the same turn.
    await new Promise((resolve) => setImmediate(resolve));
    const open = own.filter(({ settled }) => settled === null);
    if (open.length > 0) this.seen.push(`the end came before the outcome of ${open.map(({ plan }) => `m${plan.id}`).join()}`);
  }

  /** What is given behind the end is a mistake of the program, and is told so. */
  async #giveLate(ran: Ran, dice: Dice, send: Client['send']): Promise<void> {
    const [first] = ran.plan.messages;
    if (first === undefined || !dice.isIn(0.3)) return;
    const plan: MessagePlan = { ...first, id: first.id + 10_000, sharesContent: false, abort: null };
    this.#give(ran, plan, makeContent(plan.content), false, send, true);
    await Promise.all(ran.sending);
  }

  async #giveAll(ran: Ran, send: Client['send'], ask: () => void = () => {}): Promise<void> {
    let made: Made | null = null;
    for (const message of ran.plan.messages) {
      const shared: Made | null = message.sharesContent ? made : null;
      if (message.wait === 'settled') await ran.sending.at(-1);
      else if (message.wait > 0) await pass(message.wait);
      made = shared ?? makeContent(message.content);
      this.#give(ran, message, made, shared !== null, send, false);
      if (message.asks) ask();
    }
  }

  #give(ran: Ran, plan: MessagePlan, made: Made, isSecond: boolean, send: Client['send'], isLate: boolean): void {
    const sent: Sent = {
      plan,
      program: ran,
      made,
      isSecond,
      isLate,
      called: this.#now(),
      settled: null,
      aborted: null,
      outcome: null,
      thrown: undefined,
      progress: [],
      heard: [],
    };
    this.sent.push(sent);
    const envelope = envelopeOf(plan);
    const fail = (): void => {
      if (plan.throws) throw new Error('the callback fails');
    };
    const options: SendOptions = {
      progress: (progress) => {
        sent.progress.push(progress);
        fail();
      },
      trace: ({ side, line }) => {
        sent.heard.push(`${side} ${line}`);
        fail();
      },
      ...(plan.abort === null
        ? {}
        : {
            signal: this.#signalIn(plan.abort, (at) => {
              sent.aborted = at;
            }),
          }),
    };
    let sending: Promise<Outcome>;
    try {
      sending = send(envelope, made.content as Content, options);
    } catch (thrown) {
      sent.thrown = thrown ?? 'nothing';
      sent.settled = this.#now();
      return;
    }
    ran.sending.push(
      sending.then(
        (outcome) => {
          if (sent.settled !== null) this.seen.push(`m${plan.id} has two outcomes`);
          sent.settled = this.#now();
          sent.outcome = outcome;
        },
        (thrown) => {
          sent.thrown = thrown ?? 'nothing';
          sent.settled = this.#now();
        },
      ),
    );
  }

  #signalIn(when: number | 'before' | 'never', tell: (at: number) => void): AbortSignal {
    const controller = new AbortController();
    const abort = (): void => {
      tell(this.#now());
      controller.abort(new Error('the program has no more time'));
    };
    if (when === 'before') abort();
    else if (when !== 'never') setTimeout(abort, when);
    this.#signals.push(controller.signal);
    return controller.signal;
  }
}

/* ---- runs ---- */

/** Hears what nobody caught, and what the runtime warns of. */
function listen(): { readonly uncaught: unknown[]; readonly warnings: string[]; stop(): void } {
  const uncaught: unknown[] = [];
  const warnings: string[] = [];
  const hear = (error: unknown): void => void uncaught.push(error);
  const { emitWarning } = process;
  process.on('uncaughtException', hear).on('unhandledRejection', hear);
  process.emitWarning = ((warning: string | Error) => {
    const text = String(warning);
    // Of callbacks that fail the library warns once.
    if (!text.startsWith('an observer failed')) warnings.push(text);
  }) as typeof emitWarning;
  return {
    uncaught,
    warnings,
    stop() {
      process.off('uncaughtException', hear).off('unhandledRejection', hear);
      process.emitWarning = emitWarning;
    },
  };
}

/** Milliseconds in which everything is closed behind the last outcome: QUIT waits a second, and a server of the walk delays as long. */
const AFTERWARDS = 20_000;

async function runOnce(plan: WalkPlan): Promise<Walked> {
  const time = new VirtualTime(6);
  const ears = listen();
  time.install();
  try {
    const ground = openMemory(plan.servers);
    const walk = new Walk(plan, ground, () => time.now);
    let isOver = false;
    void walk.run().then(
      () => {
        isOver = true;
      },
      (error) => ears.uncaught.push(error),
    );
    await time.pass(() => isOver || ears.uncaught.length > 0);
    await time.passUntil(time.now + AFTERWARDS);
    return walked(walk, ground, ears, true, isOver ? time.timers : 0);
  } finally {
    time.uninstall();
    ears.stop();
  }
}

const walked = (walk: Walk, ground: Ground, ears: ReturnType<typeof listen>, isVirtual: boolean, clocks: number): Walked => ({
  plan: walk.plan,
  sent: walk.sent,
  programs: walk.programs,
  conversations: ground.conversations,
  taken: ground.taken,
  seen: walk.seen,
  uncaught: ears.uncaught,
  warnings: ears.warnings,
  left: { clocks, listeners: walk.listeners },
  isVirtual,
});

function count(tally: Tally, { sent, conversations }: Walked): void {
  tally.sessions += conversations.length;
  for (const { outcome } of sent) {
    tally.messages += 1;
    if (outcome === null) continue;
    tally[outcome.kind === 'accepted' ? 'accepted' : outcome.failure.code === 'uncertain' ? 'uncertain' : 'failed'] += 1;
  }
}

/** Runs the walk of a seed; what of the promises did not hold in it, with the shortest walk in which that is so, or null. */
export async function runWalk(seed: number, tally: Tally): Promise<string | null> {
  const plan = drawWalk(seed);
  const first = await runOnce(plan);
  count(tally, first);
  const [breach] = findBreaches(first);
  return breach === undefined ? null : report(seed, breach, await shrink(plan, breach.check));
}

/** Runs walks until a check fails that has this name; its sentence, or those of the others that failed. */
export async function findByCheck(
  check: string,
  count: number,
): Promise<{ readonly found: string | null; readonly others: readonly string[] }> {
  const others: string[] = [];
  for (let seed = 1; seed <= count; seed++)
    for (const breach of findBreaches(await runOnce(drawWalk(seed)))) {
      if (breach.check === check) return { found: breach.detail, others };
      others.push(`${breach.check}: ${breach.detail}`);
    }
  return { found: null, others };
}

/** Runs several walks at once on sockets of loopback, in real time; as `runWalk`, and nothing is left out. */
export async function runOnLoopback(seeds: readonly number[], tally: Tally): Promise<string | null> {
  const plan = drawTogether(seeds, 10);
  const all = await runTogether(plan);
  count(tally, all);
  const [breach] = findBreaches(all);
  return breach === undefined ? null : report(plan.seed, breach, plan, all);
}

async function runTogether(plan: WalkPlan): Promise<Walked> {
  const ears = listen();
  const ground = await openLoopback(plan.servers);
  try {
    const walk = new Walk(plan, ground, () => performance.now());
    await walk.run();
    await ground.settle();
    return walked(walk, ground, ears, false, 0);
  } finally {
    await ground.stop();
    ears.stop();
  }
}

/** Runs walks on loopback, some at a time, until a check fails that has this name. */
export async function findOnLoopback(check: string, times: number): Promise<boolean> {
  for (let first = 1; first <= times * FEW; first += FEW) {
    const seeds = Array.from({ length: FEW }, (_, i) => first + i);
    if (findBreaches(await runTogether(drawTogether(seeds, 10))).some((each) => each.check === check)) return true;
  }
  return false;
}
const FEW = 10;

/** A digest of a walk, by which two runs of it can be compared. */
export async function digest(seed: number): Promise<string> {
  const { sent, conversations } = await runOnce(drawWalk(seed));
  const outcomes = sent.map(
    ({ plan, called, settled, outcome }) => `m${plan.id} ${called} ${settled} ${outcome && JSON.stringify(outcome)}`,
  );
  return [...outcomes, ...conversations.flatMap(({ told }) => told)].join('\n');
}

/** Most runs in search of a shorter walk. */
const RUNS = 300;

async function shrink(plan: WalkPlan, check: string): Promise<WalkPlan> {
  let shortest = plan;
  let runs = 0;
  for (let isShorter = true; isShorter; ) {
    isShorter = false;
    for (const less of lessOf(shortest)) {
      if (runs++ > RUNS) return shortest;
      if (!findBreaches(await runOnce(less)).some((each) => each.check === check)) continue;
      shortest = less;
      isShorter = true;
      break;
    }
  }
  return shortest;
}

async function report(seed: number, first: Breach, plan: WalkPlan, known?: Walked): Promise<string> {
  const walk = known ?? (await runOnce(plan));
  const breach = findBreaches(walk).find(({ check }) => check === first.check) ?? first;
  const lines = [`walk ${seed}: ${breach.check}: ${breach.detail}`];
  for (const server of plan.servers) lines.push(JSON.stringify({ ...server, spared: [...server.spared] }));
  for (const { plan: program, closed, ended } of walk.programs)
    lines.push(JSON.stringify({ ...program, messages: program.messages.length, closed, ended }));
  for (const { plan: message, called, settled, outcome, aborted } of walk.sent)
    lines.push(
      JSON.stringify({ ...message, content: { ...message.content, text: message.content.text.length } }),
      `  ${called} to ${settled}${aborted === null ? '' : `, aborted at ${aborted}`}: ${JSON.stringify(outcome)?.slice(0, 600)}`,
    );
  for (const { trace } of walk.programs)
    for (const { side, line, session, at } of trace) lines.push(`${at} ${session} ${side} ${line.slice(0, 120)}`);
  for (const conversation of walk.conversations) {
    lines.push(`${conversation.terms.name}${conversation.stream.destroyed ? '' : ' (open)'}`);
    for (const line of conversation.told) lines.push(`  ${line.slice(0, 120)}`);
  }
  return lines.join('\n');
}
