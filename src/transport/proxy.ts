/**
 * Reaches a server through a SOCKS5 or HTTP proxy, which also looks up the server's name: connects to the proxy, and talks over
 * the socket as `proxy-talk.ts` says. Knows neither SMTP nor the smart host list.
 */

import type { Socket } from 'node:net';
import type { Link, ProxyPolicy } from '../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { latin1, octets } from '../smtp/text.ts';
import { alarm } from './clock.ts';
import { connectFirst, type FailedEndpoint } from './connect.ts';
import { socketError } from './driver.ts';
import { endpointsOf } from './lookup/endpoints.ts';
import { beginProxy, type Destination } from './proxy-talk.ts';

interface ProxyLimits {
  /** Milliseconds for looking up the proxy's name. */
  readonly resolve: number;
  /** Milliseconds for connecting to it, and for all that it says. */
  readonly connect: number;
}

/** Connects to the proxy of a link. Nothing has been read from the socket. */
export async function connectProxy(
  link: Link & { readonly proxy: ProxyPolicy },
  limits: ProxyLimits,
  signal?: AbortSignal,
): Promise<Parsed<Socket>> {
  const { host, port } = link.proxy;
  const target = { name: host, port, unix: false, fromDns: false, link: { ...link, proxy: null } };
  const found = await endpointsOf(target, limits.resolve, undefined, signal);
  if (!found.ok) return unparsed(`the proxy cannot be found: ${found.detail}`);
  const { winner, failed: dead } = await connectFirst(found.value, {
    within: limits.connect,
    ...(link.sourceAddress === '' ? {} : { from: link.sourceAddress }),
    ...(signal ? { signal } : {}),
  });
  return winner === null ? unparsed(`the proxy does not answer: ${printFailed(dead)}`) : parsed(winner.socket);
}

function printFailed(dead: readonly FailedEndpoint[]): string {
  const [first] = dead;
  if (dead.length === 1 && first) return first.detail;
  return dead.map(({ endpoint, detail }) => `${endpoint.address}: ${detail}`).join('; ') || 'the attempt was ended';
}

/**
 * Has the proxy connect to the server. On success the socket leads to the server and is paused, with nothing lost of what the
 * server said first; else it is destroyed. One deadline holds for the whole talk, not for each read.
 */
export function openTunnel(
  socket: Socket,
  proxy: ProxyPolicy,
  password: string,
  /** `speaksFirst`: false for TLS from the first octet, where the server must wait for us. */
  to: Destination & { readonly speaksFirst: boolean },
  { connect: within }: ProxyLimits,
  signal?: AbortSignal,
): Promise<Parsed<null>> {
  return new Promise((resolve) => {
    let heard = '';
    let why = 'the proxy closed the connection';
    const settle = (result: Parsed<null>) => {
      stop();
      signal?.removeEventListener('abort', abort);
      // An error listener stays, because an 'error' without one would end the process.
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).pause();
      if (!result.ok) socket.destroy();
      resolve(result);
    };
    const fail = (detail: string) => settle(unparsed(detail));
    const onData = (chunk: Buffer) => {
      heard += latin1(chunk);
      const made = step.hear(heard);
      if (made.is === 'failed') return fail(made.detail);
      if (made.is === 'partial') return;
      if (made.is === 'next') {
        heard = '';
        step = made.step;
        socket.write(octets(step.say));
        return;
      }
      const early = octets(heard.slice(made.octets));
      if (early.length > 0 && !to.speaksFirst) return fail('clear text before the TLS handshake: this is no port for submissions://');
      settle(parsed(null));
      if (early.length > 0) socket.unshift(early);
    };
    const onEnd = () => fail(why);
    const abort = () => fail('the attempt was ended');
    const stop = alarm(within, () => fail(`the proxy did not connect within ${within / 1000} s (timeouts.connect)`));
    const first = beginProxy(proxy, password, to);
    if (!first.ok) return fail(first.detail);
    let step = first.value;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why = `the proxy: ${socketError(error)}`;
    });
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort, { once: true });
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).resume();
    socket.write(octets(step.say));
  });
}
