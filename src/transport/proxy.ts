/**
 * Reaches a server through a SOCKS5 or HTTP proxy, which also looks up the server's name: connects to the proxy, and talks over
 * the wire as `proxy-talk.ts` says. Knows neither SMTP nor the smart host list.
 */

import type { Link, ProxyPolicy } from '../router/smarthost.ts';
import { latin1, octets } from '../smtp/text.ts';
import { type EndSignal, whenAborted } from './abort.ts';
import { alarm } from './clock.ts';
import { connectFirst, type FailedEndpoint } from './connect.ts';
import { endpointsOf } from './lookup/endpoints.ts';
import type { Names } from './lookup/question.ts';
import { beginProxy, type Destination } from './proxy-talk.ts';
import { type Reached, type Unreached, unreached, type Wire } from './wire.ts';

interface ProxyLimits {
  /** Milliseconds for looking up the proxy's name. */
  readonly resolve: number;
  /** Milliseconds for connecting to it, and for all that it says. */
  readonly connect: number;
}

interface ProxyOptions {
  readonly timeouts: ProxyLimits;
  readonly names?: Names | undefined;
  readonly signal?: EndSignal | undefined;
}

/** Connects to the proxy of a link. Nothing has been read from the wire. */
export async function connectProxy(
  link: Link & { readonly proxy: ProxyPolicy },
  { timeouts, names, signal }: ProxyOptions,
): Promise<Reached<Wire>> {
  const { host, port } = link.proxy;
  const target = { name: host, port, unix: false, fromDns: false, link: { ...link, proxy: null } };
  const found = await endpointsOf(target, timeouts.resolve, names, signal);
  if (!found.ok) return unreached('resolve', `the proxy cannot be found: ${found.detail}`, found.systemCode);
  const { winner, failed: dead } = await connectFirst(found.value, {
    within: timeouts.connect,
    ...(link.sourceAddress === '' ? {} : { from: link.sourceAddress }),
    ...(signal ? { signal } : {}),
  });
  if (winner !== null) return { ok: true, value: winner.wire };
  const last = dead.at(-1);
  return unreached(last?.reason ?? 'other', `the proxy does not answer: ${printFailed(dead)}`, last?.systemCode);
}

function printFailed(dead: readonly FailedEndpoint[]): string {
  const [first] = dead;
  if (dead.length === 1 && first) return first.detail;
  return dead.map(({ endpoint, detail }) => `${endpoint.address}: ${detail}`).join('; ') || 'the attempt was ended';
}

/**
 * Has the proxy connect to the server. On success the wire leads to the server, and nothing is lost of what the server said first;
 * else it is destroyed. One deadline holds for the whole talk, not for each read.
 */
export function openTunnel(
  wire: Wire,
  proxy: ProxyPolicy,
  password: string,
  /** `speaksFirst`: false for TLS from the first octet, where the server must wait for us. */
  to: Destination & { readonly speaksFirst: boolean },
  { connect: within }: ProxyLimits,
  signal?: EndSignal,
): Promise<Reached<null>> {
  return new Promise((resolve) => {
    let heard = '';
    const settle = (result: Reached<null>) => {
      stop();
      unlink();
      wire.listen(null);
      if (!result.ok) wire.destroy();
      resolve(result);
    };
    const fail = (detail: string, reason: Unreached['reason'] = 'other', systemCode?: string) =>
      settle(unreached(reason, detail, systemCode));
    const onOctets = (chunk: Buffer) => {
      heard += latin1(chunk);
      const made = step.hear(heard);
      if (made.is === 'failed') return fail(made.detail, made.reason);
      if (made.is === 'partial') return;
      if (made.is === 'next') {
        heard = '';
        step = made.step;
        wire.write(octets(step.say));
        return;
      }
      const early = octets(heard.slice(made.octets));
      if (early.length > 0 && !to.speaksFirst) return fail('clear text before the TLS handshake: this is no port for submissions://');
      settle({ ok: true, value: null });
      if (early.length > 0) wire.unread(early);
    };
    const abort = () => fail('the attempt was ended');
    const stop = alarm(within, () => fail(`the proxy did not connect within ${within / 1000} s (timeouts.connect)`, 'timeout'));
    const unlink = whenAborted(signal, abort);
    const first = beginProxy(proxy, password, to);
    if (!first.ok) return fail(first.detail);
    let step = first.value;
    if (signal?.aborted) return abort();
    wire.listen({
      octets: onOctets,
      end: () => fail('the proxy closed the connection'),
      closed: ({ detail, systemCode }) =>
        fail(systemCode === undefined ? 'the proxy closed the connection' : `the proxy: ${detail}`, 'other', systemCode),
    });
    wire.write(octets(step.say));
  });
}
