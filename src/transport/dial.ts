/** Makes a wire of the stream that a program connects itself: in time, whatever it gives or throws. Knows no SMTP and no smart host. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { printable, utf8 } from '../smtp/text.ts';
import { abortReason, type EndSignal, printThrown, whenAborted } from './abort.ts';
import { alarm } from './clock.ts';
import { nodeWire } from './node-wire.ts';
import { isError } from './realm.ts';
import { explainConnectError } from './socket-error.ts';
import { type Reached, type Unreached, unreached, type Wire } from './wire.ts';

export type Dialed = Reached<Wire> & {
  /** What was thrown. */
  readonly cause?: unknown;
};

/**
 * Waits for the stream at most `within` milliseconds, and no longer than until `signal`; the signal that `connect` is given comes in
 * both cases. A stream that comes later is destroyed. Never rejects.
 */
export function dialWire(
  connect: (left: AbortSignal) => Promise<Duplex> | Duplex,
  within: number,
  signal: EndSignal | undefined,
): Promise<Dialed> {
  return new Promise((resolve) => {
    const left = new AbortController();
    let isOver = false;
    const settle = (result: Dialed): void => {
      isOver = true;
      stop();
      unlink();
      resolve(result);
    };
    const giveUp = (result: Dialed): void => {
      settle(result);
      left.abort();
    };
    const stop = alarm(within, () => giveUp(unreached('timeout', `no answer within ${within / 1000} s (timeouts.connect)`)));
    const unlink = whenAborted(signal, () => giveUp(unreached('other', signal ? abortReason(signal) : '')));
    const take = async (): Promise<void> => {
      try {
        const stream: unknown = await connect(left.signal);
        if (!isDuplex(stream)) return settle(unreached('usage', 'what was connected is no Duplex stream'));
        if (isOver) return abandon(stream);
        const wire = await openWire(stream, left.signal);
        if (isOver) wire?.destroy();
        else settle(wire === null ? unreached('other', 'the stream that was connected is closed') : { ok: true, value: wire });
      } catch (cause) {
        if (!isOver) settle({ ok: false, ...explainThrown(cause), cause });
      }
    };
    if (signal?.aborted) return giveUp(unreached('other', abortReason(signal)));
    void take();
  });
}

/** A wire of the stream as soon as it is open; null if it is closed already. Rejects with the error of a socket that does not connect. */
async function openWire(stream: Duplex, left: EndSignal): Promise<Wire | null> {
  if ((stream as Partial<Socket>).connecting === true) await untilConnected(stream, left);
  // What has ended would never say so again.
  if (stream.destroyed || !stream.readable || !stream.writable) return null;
  tame(stream);
  return nodeWire(stream);
}

/** What is called where nobody could catch what it throws. */
const CALLED = ['write', 'end', 'pause', 'resume', 'destroy', '_write', '_writev'] as const;

/** Makes what the stream's own functions throw, and what it gives besides octets and text, an error of the stream, which ends it. */
function tame(stream: Duplex): void {
  let hasFailed = false;
  const fail = (thrown: unknown): void => {
    if (hasFailed) return;
    hasFailed = true;
    setImmediate(() => {
      stream.emit('error', thrown);
      stream.destroy();
      stream.emit('close');
    });
  };
  for (const name of CALLED) {
    const own = stream[name] as ((...given: unknown[]) => unknown) | null | undefined;
    if (!own) continue;
    const tamed = (...given: unknown[]): unknown => {
      try {
        return own.apply(stream, given);
      } catch (thrown) {
        fail(thrown);
        return name === 'write' ? false : stream;
      }
    };
    Object.assign(stream, { [name]: tamed });
  }
  const emit = stream.emit.bind(stream);
  stream.emit = (event: string | symbol, ...given: unknown[]): boolean => {
    if (event !== 'data' || typeof given[0] === 'string' || ArrayBuffer.isView(given[0])) return emit(event, ...given);
    fail(new Error('the stream gave neither octets nor text'));
    return true;
  };
}

async function untilConnected(stream: Duplex, left: EndSignal): Promise<void> {
  const unlink = whenAborted(left, () => stream.destroy());
  try {
    await new Promise((resolve, reject) => {
      stream
        .once('connect', resolve)
        .on('error', reject)
        .once('close', () => reject(new Error('the connection was closed')));
    });
    stream.pause();
  } finally {
    unlink();
  }
}

const isDuplex = (given: unknown): given is Duplex =>
  typeof given === 'object' &&
  given !== null &&
  ['on', 'write', 'end', 'pause', 'resume', 'destroy'].every((name) => typeof (given as Record<string, unknown>)[name] === 'function');

/** Nobody waits for the stream any more. */
function abandon(stream: Duplex): void {
  stream.on('error', () => {}).destroy();
}

/** Longest sentence of somebody else's. */
const MOST_WORDS = 500;

function explainThrown(cause: unknown): Unreached {
  const words = printThrown(cause);
  const { detail, ...why } = explainConnectError(isError(cause) ? cause : new Error(words));
  return { ...why, detail: words === '' ? detail || 'it failed without a word' : printable(utf8(words), MOST_WORDS) };
}
