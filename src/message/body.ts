/**
 * The body of a message: its first octets, which are kept so that they can be sent again (the replay window), and the rest,
 * which is read only on demand. Also checks conditions while a body passes: no silence, no long line. Knows no header and no
 * server; whoever opens the body decides who may ask for the rest.
 */
import { scanContent } from '../smtp/client/content.ts';
import { LONGEST_CONTENT_LINE, LONGEST_TIMER } from '../smtp/limits.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type AddOctets, addOctets, NO_OCTETS, type OctetSums } from './octet-sums.ts';
import { type Ended, type Source, sourceOf } from './source.ts';

const LF = 10;
const CR = 13;
/** Octets that the window hands on at once; a pipe gives as many. */
const SLICE = 64 * 1024;

/** The facts that are known before anything connects. A body is `whole` if it ended within the window. */
export interface BodyFacts {
  readonly whole: boolean;
  /** Octets as they were read; null when the body is not whole. */
  readonly octets: number | null;
  /** Octets with CRLF at the end of every line, the last included, as RFC 1870 counts them; null when the body is not whole. */
  readonly size: number | null;
  /** The size of a file that is longer than the window, estimated with as many line ends as the window has; null for others. */
  readonly estimate: number | null;
  /** The remaining facts are those of the octets in the window. */
  readonly eightBit: boolean;
  readonly nul: boolean;
  /** Octets of the longest line, without its line end. */
  readonly longestLine: number;
  /** The octets themselves. Nobody may write to them. */
  readonly sample: Uint8Array;
}

export interface Body {
  readonly facts: BodyFacts;
  /**
   * True while `open` returns the body from its start. For a pipe it becomes false when octets beyond the window are handed
   * out.
   */
  readonly replayable: boolean;
  /**
   * Returns the body from its start, or null if a part of it is gone. An earlier opening gives nothing more. To close the
   * returned source does not close standard input, because that belongs to whoever opened it. `last`: nobody opens the body
   * again.
   */
  open(last?: boolean): Source | null;
}

interface BodyOptions {
  /** Octets to read before anything connects; 0 reads none. The chunk that crosses the limit is kept whole. */
  readonly window: number;
  /** Opens the body from its start once more; null if standard input is no regular file. */
  readonly again: (() => Source) | null;
  /** Octets of the body by the file's size; null if it is no file. */
  readonly fileSize: number | null;
  /** A faster `addOctets`. */
  readonly addOctets?: AddOctets;
}

/** The octets beyond the window that the attempt that came farthest was given. */
interface Farthest {
  octets: number;
  sums: OctetSums;
  /** True if that attempt saw the end of the body. */
  ended: boolean;
}

/**
 * Reads up to `window` octets of the body, or to its end. `first`: octets that were read with the header section.
 * Fails only when the source does.
 */
export async function takeBody(first: Uint8Array, source: Source, options: BodyOptions): Promise<Parsed<Body>> {
  let octets = new Uint8Array(Math.max(first.length, Math.min(options.window, 16 * 1024)));
  let length = 0;
  const keep = (chunk: Uint8Array): void => {
    if (length + chunk.length > octets.length) {
      const larger = new Uint8Array(Math.max(length + chunk.length, octets.length * 2));
      larger.set(octets.subarray(0, length));
      octets = larger;
    }
    octets.set(chunk, length);
    length += chunk.length;
  };
  keep(first);
  let whole = false;
  while (!whole && options.window > 0 && length <= options.window) {
    const got = await source.read();
    if (got instanceof Uint8Array) keep(got);
    else if (got.end === 'failed') return unparsed(got.detail);
    else whole = true;
  }
  const window = octets.subarray(0, length);
  const { size, ...seen } = scanContent(window);
  const facts = { ...seen, whole, sample: window };
  if (whole) {
    const open = (): Source => sourceOf(...slices(window));
    return parsed({ facts: { ...facts, octets: length, size, estimate: null }, replayable: true, open });
  }
  const ratio = length > 0 ? size / length : 1;
  const estimate = options.fileSize === null || options.fileSize < length ? null : Math.round(options.fileSize * ratio);
  return parsed(streamBody({ ...facts, octets: null, size: null, estimate }, source, options));
}

const CHANGED: Ended = {
  end: 'failed',
  detail: 'the file changed between two attempts to send it; send it again when nothing writes to it',
};
/** The answer to a read that still waited when its opening was closed or followed by another. */
const SUPERSEDED: Ended = { end: 'failed', detail: 'bug: the body was opened again' };

/** Makes a body that is longer than its window. */
function streamBody(facts: BodyFacts, source: Source, { again, addOctets: add = addOctets }: BodyOptions): Body {
  const window = facts.sample;
  /** A read of `source` whose octets no opening has handed out yet. It may outlive the opening that asked for them. */
  let pending: Promise<Uint8Array | Ended> | null = null;
  let handedOut = false;
  /** Counts openings and closings: the answer to a read goes to the opening that is current when it comes. */
  let turn = 0;
  const farthest: Farthest = { octets: 0, sums: NO_OCTETS, ended: false };

  function readOn(mine: number): Source {
    return {
      async read() {
        if (mine !== turn) return SUPERSEDED;
        pending ??= source.read();
        const got = await pending;
        if (mine !== turn) return SUPERSEDED;
        pending = null;
        if (got instanceof Uint8Array) handedOut = true;
        return got;
      },
      close: () => undefined,
    };
  }

  return {
    facts,
    get replayable() {
      return !handedOut || again !== null;
    },
    open(last = false) {
      if (handedOut && again === null) return null;
      const mine = ++turn;
      let beyond: Source | null = null;
      const start = sourceOf(...slices(window));
      return {
        async read() {
          const got = await start.read();
          if (got instanceof Uint8Array) return got;
          // The file is opened again only here, because the window is sent before it.
          beyond ??=
            again === null ? readOn(mine) : expectUnchanged(handedOut ? skipEqual(window, again()) : readOn(mine), farthest, add, last);
          return beyond.read();
        },
        close() {
          if (mine === turn) turn++;
          start.close();
          beyond?.close();
        },
      };
    },
  };
}

/** Cuts octets into slices of at most `SLICE`. */
function slices(octets: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(octets.length / SLICE) }, (_, i) => octets.subarray(i * SLICE, (i + 1) * SLICE));
}

/**
 * Fails when an attempt is given other octets than the attempt that came farthest, or fewer or more octets where that one saw
 * the end. The `last` attempt is compared with those before it, and adds up nothing that only it is given.
 */
function expectUnchanged(source: Source, farthest: Farthest, add: AddOctets, last: boolean): Source {
  let octets = 0;
  let sums = NO_OCTETS;
  let ended: Ended | null = null;
  return {
    async read() {
      if (ended !== null) return ended;
      const got = await source.read();
      if (!(got instanceof Uint8Array)) {
        ended = got.end === 'clean' && octets < farthest.octets ? CHANGED : got;
        if (ended.end === 'clean') farthest.ended = true;
        return ended;
      }
      const known = Math.min(got.length, farthest.octets - octets);
      if (known > 0) {
        sums = add(got.subarray(0, known), sums);
        octets += known;
        if (octets === farthest.octets && sums.some((sum, i) => sum !== farthest.sums[i])) ended = CHANGED;
      }
      if (known < got.length) {
        if (farthest.ended) ended = CHANGED;
        if (last) return ended ?? got;
        sums = add(got.subarray(known), sums);
        octets += got.length - known;
        if (ended === null) Object.assign(farthest, { octets, sums });
      }
      return ended ?? got;
    },
    close: () => source.close(),
  };
}

/** Returns the octets of `source` behind a beginning that must be equal to `start`. */
function skipEqual(start: Uint8Array, source: Source): Source {
  let equal = 0;
  let ended: Ended | null = null;
  return {
    async read() {
      while (ended === null) {
        const got = await source.read();
        if (!(got instanceof Uint8Array)) {
          // Fewer octets than the window had are fewer beyond it, too, which the reader of this notices.
          ended = got;
          break;
        }
        const length = Math.min(got.length, start.length - equal);
        if (Buffer.compare(got.subarray(0, length), start.subarray(equal, equal + length)) !== 0) {
          ended = CHANGED;
          break;
        }
        equal += length;
        if (length < got.length) return got.subarray(length);
      }
      return ended;
    },
    close: () => source.close(),
  };
}

/**
 * Returns the octets of `source` behind its first `count`. The source fails if it has fewer, because it is read for the second
 * time and had as many at the first.
 */
export function skip(source: Source, count: number): Source {
  let left = count;
  let ended: Ended | null = null;
  return {
    async read() {
      while (ended === null) {
        const got = await source.read();
        if (!(got instanceof Uint8Array)) ended = got.end === 'clean' && left > 0 ? CHANGED : got;
        else if (got.length > left) {
          const rest = left === 0 ? got : got.subarray(left);
          left = 0;
          return rest;
        } else left -= got.length;
      }
      return ended;
    },
    close: () => source.close(),
  };
}

/**
 * Fails if a read is not answered within `milliseconds`. It is for a source that is read while a session is open: servers give
 * up after five minutes (RFC 5321 §4.5.3.2.5), so silence is reported before they do. `untilRead` resolves when everything that
 * has arrived has been read, because that may still be the answer. `detail` says it in a sentence.
 */
export function limitSilence(
  source: Source,
  milliseconds: number,
  untilRead: () => Promise<void> = async () => undefined,
  detail = `standard input gave nothing for ${milliseconds / 1000} s while the server was waiting (timeouts.input); ` +
    'a replay_window larger than the message lets it be read to its end before the server is contacted',
): Source {
  const silent: Ended = { end: 'failed', detail };
  let ended: Ended | null = null;
  let waiting: ((got: Ended) => void) | null = null;
  /** One clock serves all reads, because a long message has many. */
  let clock: ReturnType<typeof setTimeout> | undefined;
  function ring(): void {
    const late = waiting;
    void untilRead().then(() => {
      if (waiting === late) late?.(silent);
    });
  }
  function wind(): void {
    if (clock === undefined) clock = setTimeout(ring, Math.min(milliseconds, LONGEST_TIMER));
    else clock.refresh();
  }
  return {
    read: () =>
      new Promise((resolve, reject) => {
        if (ended !== null) return resolve(ended);
        const settle = (got: Uint8Array | Ended): void => {
          if (waiting !== settle) return;
          waiting = null;
          if (!(got instanceof Uint8Array)) {
            ended = got;
            clearTimeout(clock);
          }
          resolve(got);
        };
        waiting = settle;
        wind();
        source.read().then(settle, reject);
      }),
    close() {
      clearTimeout(clock);
      source.close();
    },
  };
}

/** Fails at a line of more than 998 octets, for `long_lines = "refuse"`. A chunk is handed on only if all of it is good. */
export function limitLines(source: Source): Source {
  const long: Ended = {
    end: 'failed',
    detail: `the message has a line of more than ${LONGEST_CONTENT_LINE} octets, which long_lines = "refuse" does not let through`,
  };
  /** Octets of the line that is still open at the end of the last chunk. */
  let open = 0;
  let ended: Ended | null = null;
  /** Looks backwards for the last line end that is near enough to the start of a line, so that one octet in twenty is looked at. */
  function isGood(chunk: Uint8Array): boolean {
    let start = -open;
    const before = (end: number): number => {
      let i = end;
      while (i >= 0 && i >= start && chunk[i] !== LF && chunk[i] !== CR) i--;
      return i;
    };
    while (chunk.length - start > LONGEST_CONTENT_LINE) {
      const end = before(start + LONGEST_CONTENT_LINE);
      if (end < 0 || end < start) return false;
      start = end + 1;
    }
    const end = before(chunk.length - 1);
    open = end < 0 ? open + chunk.length : chunk.length - 1 - end;
    return true;
  }
  return {
    async read() {
      if (ended !== null) return ended;
      const got = await source.read();
      if (!(got instanceof Uint8Array)) ended = got;
      else if (!isGood(got)) ended = long;
      return ended ?? got;
    },
    close: () => source.close(),
  };
}
