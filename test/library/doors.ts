/** The three doors through which a message goes, and an eye on the process: what nobody caught fails the test. */
import assert from 'node:assert/strict';
import { type Content, connect, type Envelope, type Options, type Outcome, Pool, type Server, submit } from '../../src/library/index.ts';

export const ENVELOPE: Envelope = { from: 'me@example.org', to: ['you@example.net'] };

/** `content` is made when the door takes it, because a stream may fail at any moment from then on. */
export type Door = (server: string | Server, content: () => Content, options?: Options, envelope?: Envelope) => Promise<Outcome>;

/** Each ends its session, and gives the outcome of the message. */
export const DOORS: Readonly<Record<'submit' | 'connect' | 'Pool', Door>> = {
  submit: (server, content, options = {}, envelope = ENVELOPE) => submit(envelope, content(), { ...options, servers: [server] }),
  async connect(server, content, options = {}, envelope = ENVELOPE) {
    const { signal, ...others } = options;
    const connected = await connect(server, others);
    if (!connected.ok) return { kind: 'failed', failure: connected.failure, attempts: connected.attempts };
    const outcome = await connected.client.send(envelope, content(), { signal });
    await connected.client.quit();
    return outcome;
  },
  async Pool(server, content, options = {}, envelope = ENVELOPE) {
    const { signal, ...others } = options;
    const pool = new Pool(server, { connections: 1, ...others });
    const outcome = await pool.send(envelope, content(), { signal });
    await pool.drain();
    return outcome;
  },
};

export interface Watch {
  /** Fails when anything came that would have ended the process. */
  check(): void;
  /** What was said of callbacks that failed. Any other warning fails the run, as always. */
  readonly warnings: readonly string[];
  stop(): void;
}

/** Looks on from now. */
export function watch(): Watch {
  const uncaught: unknown[] = [];
  const warnings: string[] = [];
  const { emitWarning } = process;
  const onUncaught = (error: unknown): void => void uncaught.push(error);
  process.on('unhandledRejection', onUncaught);
  process.on('uncaughtException', onUncaught);
  process.emitWarning = ((warning: string | Error, ...more: never[]) => {
    if (typeof warning === 'string' && warning.startsWith('an observer failed')) warnings.push(warning);
    else emitWarning.call(process, warning, ...more);
  }) as typeof emitWarning;
  return {
    check: () => assert.deepEqual(uncaught.splice(0), []),
    warnings,
    stop() {
      process.off('unhandledRejection', onUncaught);
      process.off('uncaughtException', onUncaught);
      process.emitWarning = emitWarning;
    },
  };
}

/** So many turns of the loop, for what comes late. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
