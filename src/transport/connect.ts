/**
 * Connects to the first of several addresses that answers (RFC 8305): attempts start a quarter of a second apart and race. Knows no
 * SMTP.
 */
import { type EndSignal, whenAborted } from './abort.ts';
import { alarm } from './clock.ts';
import type { Endpoint } from './lookup/target.ts';
import { connectNode } from './node-wire.ts';
import type { Connect, Unreached, Wire } from './wire.ts';

/** RFC 8305 §5 recommends 250 ms between attempts. */
const STAGGER = 250;

export interface FailedEndpoint extends Unreached {
  readonly endpoint: Endpoint;
}

export interface Connected {
  /** null when no address answered. */
  readonly winner: { readonly wire: Wire; readonly endpoint: Endpoint } | null;
  /** Addresses that failed before one answered, in order of failure. */
  readonly failed: readonly FailedEndpoint[];
}

export interface ConnectOptions {
  /** Milliseconds for each attempt. */
  readonly within: number;
  /** Local address to connect from. */
  readonly from?: string | undefined;
  /** Ends all attempts. */
  readonly signal?: EndSignal | undefined;
  /** Hears of each attempt that begins. */
  readonly began?: ((endpoint: Endpoint) => void) | undefined;
  /** Makes wires; default: Node's sockets. */
  readonly connect?: Connect | undefined;
}

/** Races the endpoints; never rejects. Endpoints that had not failed when one won may be tried again later. */
export function connectFirst(endpoints: readonly Endpoint[], options: ConnectOptions): Promise<Connected> {
  const { connect = connectNode } = options;
  return new Promise((resolve) => {
    const failed: FailedEndpoint[] = [];
    /** What ends each attempt that is still under way, and its clock. */
    const attempts = new Set<() => void>();
    let next = 0;
    let stagger: NodeJS.Timeout | undefined;
    const finish = (winner: Connected['winner']) => {
      clearTimeout(stagger);
      unlink();
      for (const giveUp of attempts) giveUp();
      resolve({ winner, failed });
    };
    const start = () => {
      clearTimeout(stagger);
      const endpoint = endpoints[next++] as Endpoint;
      const lost = (why: Unreached) => {
        stop();
        attempts.delete(giveUp);
        failed.push({ endpoint, ...why });
        if (next < endpoints.length) start();
        else if (attempts.size === 0) finish(null);
      };
      const won = (wire: Wire) => {
        stop();
        attempts.delete(giveUp);
        finish({ wire, endpoint });
      };
      const end = connect(endpoint, options.from, won, lost);
      const stop = alarm(options.within, () => {
        end();
        lost({ reason: 'timeout', detail: `no answer within ${options.within / 1000} s (timeouts.connect)` });
      });
      const giveUp = () => {
        stop();
        end();
      };
      attempts.add(giveUp);
      if (next < endpoints.length) stagger = setTimeout(start, STAGGER);
      // Last, because whoever hears it may end all attempts.
      options.began?.(endpoint);
    };
    const unlink = whenAborted(options.signal, () => finish(null));
    if (options.signal?.aborted || endpoints.length === 0) return finish(null);
    start();
  });
}
