/** The options of a pool: how many sessions and how long, how fast, and what is sent again. Knows no session. */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type Options, printValue } from './options.ts';
import { unknownKey, unlessThrown } from './server.ts';

/** The options of a pool, besides those of every call. */
export interface PoolOptions extends Options {
  /** Sessions at a time; default 5. */
  readonly connections?: number | undefined;
  /** Messages after which a session is closed; default 100. */
  readonly messagesPerConnection?: number | undefined;
  /** The next message's envelope goes out with the end of the one before it; default true. */
  readonly pipelining?: boolean | undefined;
  /** Milliseconds after which a session without work is closed; default 10,000. Servers do the same, mostly later. */
  readonly idle?: number | undefined;
  /** Milliseconds after which a session is closed when it has no work; Infinity by default. */
  readonly ttl?: number | undefined;
  /** At most so many messages begin in so many milliseconds. */
  readonly rate?: { readonly messages: number; readonly per: number } | undefined;
  /**
   * How often a message that nobody has is sent again by itself, over another session or to another server; default 2. A session that was
   * idle, or had messages before this one, costs none, also with 0, where the server ends it before it has answered anything for this message.
   */
  readonly retries?: number | undefined;
}

export const POOL_KEYS: readonly Exclude<keyof PoolOptions, keyof Options>[] = [
  'connections',
  'messagesPerConnection',
  'pipelining',
  'idle',
  'ttl',
  'rate',
  'retries',
];

/** What the options say, with defaults. */
export interface Limits {
  readonly connections: number;
  readonly messages: number;
  readonly isPipelining: boolean;
  readonly idle: number;
  readonly ttl: number;
  readonly rate: { readonly messages: number; readonly per: number } | null;
  readonly retries: number;
}

export const DEFAULT_LIMITS: Limits = {
  connections: 5,
  messages: 100,
  isPipelining: true,
  idle: 10_000,
  ttl: Number.POSITIVE_INFINITY,
  rate: null,
  retries: 2,
};

/** Throws nothing, whatever is given. */
export const parseLimits = (options: PoolOptions): Parsed<Limits> => unlessThrown('the options', () => readLimits(options));

function readLimits(options: PoolOptions): Parsed<Limits> {
  const { connections, messagesPerConnection, idle, ttl, rate, retries, pipelining } = options;
  if (rate !== undefined) {
    if (typeof rate !== 'object' || rate === null) return unparsed('rate is { messages, per }: per in milliseconds');
    const unknown = unknownKey(rate, ['messages', 'per'], 'rate.');
    if (unknown !== null) return unparsed(unknown);
    if (!isCount(rate.messages, 1)) return unparsed(`rate.messages is ${printValue(rate.messages)}, and takes a whole number from 1`);
    if (!isAbove0(rate.per)) return unparsed(`rate.per is ${printValue(rate.per)}, and takes milliseconds above 0`);
  }
  for (const [key, value] of Object.entries({ connections, messagesPerConnection }))
    if (value !== undefined && !isCount(value, 1)) return unparsed(`${key} is ${printValue(value)}, and takes a whole number from 1`);
  for (const [key, value] of Object.entries({ idle, ttl }))
    if (value !== undefined && !isAbove0(value)) return unparsed(`${key} is ${printValue(value)}, and takes milliseconds above 0`);
  if (retries !== undefined && !isCount(retries, 0)) return unparsed(`retries is ${printValue(retries)}, and takes a whole number from 0`);
  if (pipelining !== undefined && typeof pipelining !== 'boolean') return unparsed('pipelining is true or false');
  return parsed({
    connections: connections ?? DEFAULT_LIMITS.connections,
    messages: messagesPerConnection ?? DEFAULT_LIMITS.messages,
    isPipelining: pipelining ?? DEFAULT_LIMITS.isPipelining,
    idle: idle ?? DEFAULT_LIMITS.idle,
    ttl: ttl ?? DEFAULT_LIMITS.ttl,
    rate: rate ?? null,
    retries: retries ?? DEFAULT_LIMITS.retries,
  });
}

const isCount = (value: unknown, least: number): boolean =>
  typeof value === 'number' && value >= least && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY);
const isAbove0 = (value: unknown): boolean => typeof value === 'number' && value > 0;
