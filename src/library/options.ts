/** The options of a call: defaults filled in, and everything impossible told in a sentence. Knows no server. */

import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import type { Timeouts } from '../submit/settings.ts';
import { isOldBun } from '../transport/platform.ts';
import { tagOf } from '../transport/realm.ts';
import { unknownKey, unlessThrown } from './server.ts';

/** One line of a conversation; secrets are masked. */
export interface TraceEvent {
  /** Counts the sessions of this process. */
  readonly session: number;
  /** The server, as logs name it. */
  readonly server: string;
  /** The attempt of this call, from 0; in the trace of a client or a pool it is 0. */
  readonly attempt: number;
  /** The message of the session that was under way, from 0; null while there was none. */
  readonly message: number | null;
  /** Who said the line; 'event': nobody, it tells in words what happened. */
  readonly side: 'client' | 'server' | 'event';
  readonly line: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** How far the content has come. */
export interface Progress {
  /** Octets of content written in this attempt. */
  readonly octets: number;
  /** Octets of the whole message as SIZE counts them (RFC 1870 §3): without stuffed dots, before a conversion; null where they are not known. */
  readonly size: number | null;
}

/** The options of every call. What is undefined has its default. */
export interface Options {
  /** EHLO argument. Default, and where it is no domain: the address literal of the connection. */
  readonly hello?: string | undefined;
  /** Milliseconds; Infinity is none. `deadline` is for the whole of a `submit`, and where it is given for the whole of each `send`, waiting included. */
  readonly timeouts?: { readonly [Key in keyof Timeouts]?: number | undefined } | undefined;
  /** Ends the call. After the commit the verdict is still awaited, for `grace`. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; default 30,000. */
  readonly grace?: number | undefined;
  /**
   * 'all' (default): everybody gets the message, or nobody. 'any': it is sent when at least one recipient was accepted, and the
   * outcome names the others.
   */
  readonly recipients?: 'all' | 'any' | undefined;
  /** Octets of a stream that are read before anything connects, and kept so that another server can be tried. Default 65,536. */
  readonly window?: number | undefined;
  /**
   * 'data': never BDAT, but for binary content. 'auto' (default): BDAT where the server offers CHUNKING, but not by a unix socket or
   * a proxy, because a reset does not reach the server there. By a `socket` of yours 'data' is the default: a reset may not get through.
   */
  readonly framing?: 'auto' | 'data' | undefined;
  /**
   * 'apart' (default): the end of a message is a write of its own, after everything before it has left this process, so that a
   * connection lost before it is `lost` and nobody has the message. 'together': a message that is at hand, of at most 65,536 octets,
   * goes out in one write with its end (with CHUNKING where no line of it begins with a dot); this is faster, and more losses are
   * `uncertain`.
   */
  readonly commit?: 'apart' | 'together' | undefined;
  /** Hears each line of the conversation, without content and secrets. */
  readonly trace?: ((event: TraceEvent) => void) | undefined;
  /** Hears how far the content has come. */
  readonly progress?: ((progress: Progress) => void) | undefined;
}

/** Milliseconds, from RFC 5321 §4.5.3.2, except for the connection, where five minutes are hopeless with several servers. */
export const TIMEOUTS: Timeouts = {
  resolve: 30_000,
  connect: 30_000,
  handshake: 30_000,
  greeting: 300_000,
  command: 300_000,
  data: 120_000,
  block: 180_000,
  final: 600_000,
  input: 240_000,
  deadline: 7_200_000,
};

const KEYS: readonly (keyof Options)[] = [
  'hello',
  'timeouts',
  'signal',
  'grace',
  'recipients',
  'window',
  'framing',
  'commit',
  'trace',
  'progress',
];
const WINDOW = 65_536;

/** The options with their defaults, read once: what the caller changes afterwards counts for the next call. */
export interface Terms extends Pick<Options, 'signal' | 'trace' | 'progress'> {
  readonly hello: string;
  readonly timeouts: Timeouts;
  /** For each message of a session, where it was asked for; null: none. */
  readonly deadline: number | null;
  readonly grace: number | undefined;
  readonly partial: 'never' | 'any';
  readonly window: number;
  readonly framing: 'auto' | 'data' | undefined;
  readonly commitsAtOnce: boolean;
}

/** Throws nothing, whatever is given. `more`: keys that the caller knows besides. */
export const parseOptions = (options: Options, more: readonly string[] = []): Parsed<Terms> =>
  unlessThrown('the options', () => readOptions(options, more));

const TOO_OLD = 'this runtime is too old: nospool needs Node 20.19, 22.12 or 24, or Bun 1.4';

function readOptions(options: Options, more: readonly string[]): Parsed<Terms> {
  if (!process.getBuiltinModule || isOldBun(process.versions.bun ?? '')) return unparsed(TOO_OLD);
  if (typeof options !== 'object' || options === null)
    return unparsed(`the options are an object${more.includes('servers') ? ': { servers: ["submission://mail.example.org"] }' : ''}`);
  const unknown = unknownKey(options, [...KEYS, ...more], '');
  if (unknown !== null) return unparsed(unknown);
  const {
    hello = '',
    timeouts = {},
    signal,
    grace,
    recipients = 'all',
    window = WINDOW,
    framing,
    commit = 'apart',
    trace,
    progress,
  } = options;
  if (typeof hello !== 'string' || /\p{Cc}/u.test(hello)) return unparsed('hello is a domain or an address literal');
  if (typeof timeouts !== 'object' || timeouts === null) return unparsed('timeouts is an object: { connect: 10_000 }');
  const strange = unknownKey(timeouts, Object.keys(TIMEOUTS), 'timeouts.');
  if (strange !== null) return unparsed(strange);
  const own: Record<string, number> = {};
  for (const [key, value] of Object.entries(timeouts)) {
    if (value === undefined) continue;
    if (typeof value !== 'number' || !(value > 0))
      return unparsed(`timeouts.${key} is ${printValue(value)}, and takes milliseconds above 0; Infinity is none`);
    own[key] = value;
  }
  const fault =
    countFault('grace', grace) ??
    countFault('window', window) ??
    (signal !== undefined && !isSignal(signal) ? 'signal is an AbortSignal' : null) ??
    (recipients !== 'all' && recipients !== 'any' ? 'recipients is "all" or "any"' : null) ??
    (framing !== undefined && framing !== 'auto' && framing !== 'data' ? 'framing is "auto" or "data"' : null) ??
    (commit !== 'apart' && commit !== 'together' ? 'commit is "apart" or "together"' : null) ??
    (trace !== undefined && typeof trace !== 'function' ? 'trace is a function' : null) ??
    (progress !== undefined && typeof progress !== 'function' ? 'progress is a function' : null);
  if (fault !== null) return unparsed(fault);
  return parsed({
    hello,
    timeouts: Object.keys(own).length === 0 ? TIMEOUTS : { ...TIMEOUTS, ...own },
    deadline: timeouts.deadline ?? null,
    grace,
    partial: recipients === 'any' ? 'any' : 'never',
    window,
    framing,
    commitsAtOnce: commit === 'together',
    signal,
    trace,
    progress,
  });
}

const SEND_KEYS = ['signal', 'progress', 'trace'];

/** Says what is wrong with the options of one message in a session; null when nothing is. Throws nothing. */
export function sendFault(options: unknown): string | null {
  const read = unlessThrown('the options', () => {
    if (typeof options !== 'object' || options === null) return unparsed('the options are an object');
    const { signal, progress, trace } = options as Readonly<Record<string, unknown>>;
    if (signal !== undefined && !isSignal(signal)) return unparsed('signal is an AbortSignal');
    if (progress !== undefined && typeof progress !== 'function') return unparsed('progress is a function');
    if (trace !== undefined && typeof trace !== 'function') return unparsed('trace is a function');
    const unknown = unknownKey(options, SEND_KEYS, '');
    return unknown === null ? parsed(null) : unparsed(unknown);
  });
  return read.ok ? null : read.detail;
}

const countFault = (key: string, value: unknown): string | null =>
  value === undefined || (typeof value === 'number' && value >= 0) ? null : `${key} is ${printValue(value)}, and takes a number from 0`;

/** True for a signal of any realm or polyfill. What merely looks like one may throw when it is heard, where nobody could catch that. */
export const isSignal = (value: unknown): value is AbortSignal =>
  tagOf(value) === '[object AbortSignal]' &&
  typeof (value as AbortSignal).aborted === 'boolean' &&
  typeof (value as AbortSignal).addEventListener === 'function' &&
  typeof (value as AbortSignal).removeEventListener === 'function';

/** A value in a sentence about it. */
export function printValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 50));
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
