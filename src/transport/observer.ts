/** Who looks on while a message is under way. An observer is told and decides nothing, not even by what it throws. */
import type { Phase, SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
import { printThrown } from './abort.ts';
import type { Endpoint } from './lookup/target.ts';

/**
 * One line of the conversation: ours (`C`), the server's (`S`), or something that happened (`!`). Secrets are masked. `message`: which
 * message of the session it is about, from 0; null for none.
 */
export type Trace = (side: 'C' | 'S' | '!', line: string, message?: number | null) => void;

export interface Observer {
  readonly trace?: Trace | undefined;
  /** A fact that the log should have besides the outcome. */
  readonly note?: ((note: string) => void) | undefined;
  /** Octets of content written so far. */
  readonly progress?: ((octets: number) => void) | undefined;
  /** The names or addresses of the next smart host are looked up. */
  readonly resolving?: (() => void) | undefined;
  /** A connection to this address begins, be it through a proxy or by a program's own way; others may be under way. */
  readonly dialing?: ((endpoint: Endpoint) => void) | undefined;
  /** TCP is connected, to the endpoint or to the proxy. */
  readonly connected?: ((endpoint: Endpoint) => void) | undefined;
  /** No address was found or answered, or the connection that was made cannot be used. [] when a signal ended it. */
  readonly unconnected?: ((failures: readonly SessionFailure[]) => void) | undefined;
  /** The session waits in this phase now. */
  readonly entered?: ((at: Phase) => void) | undefined;
  /** The first command of a message went out. */
  readonly began?: ((message: number) => void) | undefined;
  /** The outcome of a message; with null that of a session which ended without one. */
  readonly settled?: ((outcome: SessionOutcome, message: number | null) => void) | undefined;
  /** Hears the first thing that one of the others has thrown; default: a warning of the process. */
  readonly failed?: ((thrown: unknown) => void) | undefined;
}

/** Observers that are guarded already. */
const guarded = new WeakSet<Observer>();

/** The same observer, but for what it throws: that is told once and changes nothing. Its promises are watched, too. */
export function guardObserver(observer: Observer | undefined): Observer {
  if (observer === undefined) return NOBODY;
  if (guarded.has(observer)) return observer;
  const { failed = warn, ...callbacks } = observer;
  const tell = once(failed);
  const given = Object.entries(callbacks as Record<string, (...facts: unknown[]) => unknown>).filter(
    ([, callback]) => callback !== undefined,
  );
  if (given.length === 0) return NOBODY;
  const quiet: Observer = Object.fromEntries(given.map(([name, callback]) => [name, guard(callback, tell, observer)]));
  guarded.add(quiet);
  return quiet;
}

/** One function of an observer in the same way. */
export const guardCallback = <Facts extends unknown[]>(callback: (...facts: Facts) => unknown): ((...facts: Facts) => void) =>
  guard(callback, once(warn));

function once(tell: (thrown: unknown) => void): (thrown: unknown) => void {
  let isTold = false;
  return (thrown) => {
    if (isTold) return;
    isTold = true;
    try {
      tell(thrown);
    } catch {
      // Nobody is left who could be told.
    }
  };
}

/** The same function, but for what it throws, or what its promise fails with: `tell` hears that. */
export const guard =
  <Facts extends unknown[]>(callback: (...facts: Facts) => unknown, tell: (thrown: unknown) => void, observer?: Observer) =>
  (...facts: Facts): void => {
    try {
      const made = callback.apply(observer, facts) as Partial<PromiseLike<unknown>> | undefined;
      // A promise of whatever kind that fails without anybody to hear it would end the process.
      if (made?.then) Promise.resolve(made).catch(tell);
    } catch (thrown) {
      tell(thrown);
    }
  };

const NOBODY: Observer = {};
guarded.add(NOBODY);

const warn = (thrown: unknown): void => process.emitWarning(`an observer failed: ${printThrown(thrown) || 'without a word'}`);
