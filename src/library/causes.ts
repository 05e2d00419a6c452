/** Keeps what functions of the caller's have thrown in one call, by the failure that came of it. Knows no function. */
import type { Smarthost } from '../router/smarthost.ts';
import type { Lack, SessionFailure } from '../smtp/client/outcome.ts';

/** Gets what a function of the caller's has thrown. */
export type Tell = (cause: unknown) => void;

/** The last error of each of a server's functions. */
interface Thrown {
  resolver?: unknown;
  login?: unknown;
}

export class Causes {
  /** Most calls need neither. */
  #thrown: Map<Smarthost, Thrown> | null = null;
  #causes: WeakMap<SessionFailure, { readonly cause: unknown }> | null = null;

  tellOf(host: Smarthost, key: keyof Thrown): Tell {
    return (cause) => {
      this.#thrown ??= new Map();
      this.#thrown.set(host, { ...this.#thrown.get(host), [key]: cause === undefined ? new Error('it failed and said nothing') : cause });
    };
  }

  /** Keeps the cause of a failure at this server: its own, or what a function has thrown just before. */
  readonly note = (host: Smarthost, failure: SessionFailure, own?: unknown): void => {
    const cause = own ?? this.#behind(host, failure);
    if (cause === undefined) return;
    this.#causes ??= new WeakMap();
    this.#causes.set(failure, { cause });
  };

  of(failure: SessionFailure): unknown {
    return this.#causes?.get(failure)?.cause;
  }

  #behind(host: Smarthost, failure: SessionFailure): unknown {
    const thrown = this.#thrown?.get(host);
    if (failure.kind === 'connect') return failure.reason === 'resolve' ? thrown?.resolver : undefined;
    return failure.kind === 'unsupported' && (failure.isOurs || OF_LOGIN.has(failure.lacks)) ? thrown?.login : undefined;
  }
}

/** What is lacking where a mechanism was to be chosen, or its exchange came to no end. */
const OF_LOGIN: ReadonlySet<Lack> = new Set(['auth', 'mechanism', 'exchange']);
