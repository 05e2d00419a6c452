/**
 * The load of `nospool bench`: many messages over some sessions of the library, and what became of each. Opens a session
 * again when one is lost, and sends no message twice. Knows no command line and prints nothing.
 */
import { setMaxListeners } from 'node:events';
import { type Client, connect } from '../../library/client.ts';
import type { Envelope } from '../../library/submit.ts';
import type { Smarthost } from '../../router/smarthost.ts';
import { unlessAborted } from '../../submit/interrupts.ts';
import { type Failure, printFailure } from '../../submit/outcome.ts';
import { type Histogram, histogram } from './histogram.ts';

export interface Load {
  readonly host: Smarthost;
  readonly envelope: Envelope;
  /** The same octets for every message. */
  readonly content: Uint8Array;
  readonly messages: number;
  /** Sessions at a time; each carries one message after another. */
  readonly connections: number;
}

/** What becomes of a message. 'unsent': nobody has it because it was not tried, or not to its end. */
export type Fate = 'accepted' | 'rejected' | 'uncertain' | 'lost' | 'unsent';

export interface Measured {
  /** Sums up to the messages of the load. */
  readonly fates: Readonly<Record<Fate, number>>;
  /** From the first connection to the last outcome. */
  readonly seconds: number;
  /** Milliseconds from MAIL to the verdict, of messages that were accepted. */
  readonly latencies: Histogram;
  /** Milliseconds from connecting to the moment at which a message could be sent, of sessions that got there. */
  readonly openings: Histogram;
  /** Sessions that could not be opened. */
  readonly unopened: number;
  /** The first distinct reasons of failures, with how often each came; a few of them, whatever the load. */
  readonly reasons: readonly { readonly reason: string; readonly times: number }[];
  /** The signal that ended it early; null = none. */
  readonly interrupted: string | null;
}

export interface LoadOptions {
  /** No further message is begun, and those under way get their verdict if it comes soon. */
  readonly signal: AbortSignal;
  /** Nothing more is waited for. */
  readonly urgent: AbortSignal;
  /** Messages whose fate is known. */
  readonly progress?: (messages: number) => void;
}

/** More than these are hardly read, and a server may put an id into every reply. */
const REASONS = 5;
/** Milliseconds for the verdicts on messages under way after a signal, and for the replies to QUIT. */
const PARTING = 2000;
/** Milliseconds in which sessions that were broken off tell the fate of their messages. */
const BREAKING_OFF = 500;

/** Never rejects. */
export async function carry(load: Load, { signal, urgent, progress }: LoadOptions): Promise<Measured> {
  const fates: Record<Fate, number> = { accepted: 0, rejected: 0, uncertain: 0, lost: 0, unsent: 0 };
  const latencies = histogram();
  const openings = histogram();
  const reasons = new Map<string, number>();
  const clients = new Set<Client>();
  const begun = performance.now();
  let last = begun;
  let given = 0;
  let known = 0;
  let unopened = 0;

  function blame(reason: string): void {
    const times = reasons.get(reason);
    if (times !== undefined || reasons.size < REASONS) reasons.set(reason, (times ?? 0) + 1);
  }

  async function open(): Promise<Client | null> {
    const start = performance.now();
    const connected = await connect(load.host, { signal });
    const client = connected.ok ? connected.value : null;
    const reason = connected.ok ? await reasonUnopened(connected.value) : connected.detail;
    if (reason === null) {
      openings.add(performance.now() - start);
      return client;
    }
    if (signal.aborted) return null;
    unopened++;
    blame(reason);
    return null;
  }

  async function reasonUnopened(client: Client): Promise<string | null> {
    clients.add(client);
    const failure = await client.opened();
    if (failure === null) return null;
    void part(client);
    return `${client.server}: ${printFailure(failure).join('; ')}`;
  }

  async function part(client: Client): Promise<void> {
    await client.quit();
    clients.delete(client);
  }

  /** One session after another, for as long as there are messages; over when a session cannot be opened. */
  async function work(): Promise<void> {
    let client: Client | null = null;
    while (given < load.messages && !signal.aborted) {
      if (!client?.usable) {
        if (client) void part(client);
        client = await open();
        if (client === null) return;
        continue;
      }
      given++;
      const start = performance.now();
      const outcome = await client.send(load.envelope, load.content);
      const end = performance.now();
      const fate = outcome.kind === 'accepted' ? 'accepted' : fateOf(outcome.failure);
      if (outcome.kind === 'accepted') latencies.add(end - start);
      else blame(printFailure(outcome.failure)[0] as string);
      // Nothing of the load can be sent to this server, or all is over: it is not asked again.
      if (fate === 'unsent') return;
      fates[fate]++;
      known++;
      last = end;
      progress?.(known);
    }
  }

  // Each session that is being opened listens to it.
  setMaxListeners(0, signal);
  const stop = (): void => {
    for (const client of clients) void part(client);
  };
  const soon = (): void => void setTimeout(stop, PARTING).unref();
  urgent.addEventListener('abort', stop, { once: true });
  signal.addEventListener('abort', soon, { once: true });
  const all = Promise.all(Array.from({ length: load.connections }, work));
  await unlessAborted(all, urgent);
  // A session that was broken off says at once what became of its message; one that is still being opened may take longer.
  await Promise.race([all, new Promise((resolve) => void setTimeout(resolve, BREAKING_OFF).unref())]);
  const seconds = ((known > 0 ? last : performance.now()) - begun) / 1000;
  signal.removeEventListener('abort', soon);
  await parted(clients, part);
  urgent.removeEventListener('abort', stop);
  fates.unsent = load.messages - known;
  return {
    fates,
    seconds,
    latencies,
    openings,
    unopened,
    reasons: [...reasons].map(([reason, times]) => ({ reason, times })),
    interrupted: signal.aborted ? String(signal.reason) : null,
  };
}

/** QUIT to all; a server that does not answer is left. */
async function parted(clients: ReadonlySet<Client>, part: (client: Client) => Promise<void>): Promise<void> {
  const leave = () => Promise.all([...clients].map(part));
  const late = setTimeout(() => void leave(), PARTING);
  await leave();
  clearTimeout(late);
}

function fateOf(failure: Failure): Exclude<Fate, 'accepted'> {
  switch (failure.kind) {
    case 'rejected':
    case 'uncertain':
      return failure.kind;
    case 'connect':
    case 'lost':
    case 'malformed':
    case 'timeout':
      return 'lost';
    default:
      return 'unsent';
  }
}
