/**
 * From a smart host to what can be connected to: names, then addresses in order. Knows no socket and no session.
 * Names are asked of the system (getaddrinfo), so /etc/hosts and nsswitch hold; MX and SRV of the resolver.
 */
import type { Smarthost } from '../router/route.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isIPv4, isIPv6 } from '../smtp/path.ts';

/** A name or address of a smart host, with the port to use. */
export interface Target {
  /** What is looked up and, unless configured otherwise, what the certificate must be for. */
  readonly name: string;
  readonly port: number;
  /** Path of a unix socket; then `name` is it, too. */
  readonly unix: boolean;
  /** True when the name came from DNS (MX, SRV), which anybody on the way may have written. */
  readonly fromDns: boolean;
}

/** One address to connect to. */
export interface Endpoint {
  readonly address: string;
  readonly family: 4 | 6 | 'unix';
  readonly port: number;
}

/** A host with more addresses than this is misconfigured; the rest is not tried. */
const MOST_ADDRESSES = 16;

/** `work`, or a failed result when it takes longer than `milliseconds`. */
async function inTime<T>(milliseconds: number, what: string, work: Promise<Parsed<T>>): Promise<Parsed<T>> {
  if (milliseconds === Number.POSITIVE_INFINITY) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Parsed<T>>((resolve) => {
    timer = setTimeout(() => resolve(unparsed(`${what} took longer than ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The names a smart host stands for: itself, or those of its MX or SRV records in the order they are to be tried. */
export async function targetsOf(host: Smarthost, within: number): Promise<Parsed<readonly Target[]>> {
  if (host.scheme === 'unix') return parsed([{ name: host.host, port: 0, unix: true, fromDns: false }]);
  if (host.expand === 'none') return parsed([{ name: host.host, port: host.port, unix: false, fromDns: false }]);
  return inTime(within, `looking up ${host.host}`, host.expand === 'mx' ? mxTargets(host) : srvTargets(host));
}

/** RFC 5321 §5.1: by preference, equal ones in random order; no MX record means the name itself; a null MX (RFC 7505 §3) means none. */
async function mxTargets({ host, port }: Smarthost): Promise<Parsed<readonly Target[]>> {
  const { promises } = await import('node:dns');
  try {
    const records = (await promises.resolveMx(host)).map((record) => ({ ...record, order: Math.random() }));
    records.sort((a, b) => a.priority - b.priority || a.order - b.order);
    if (records.length === 1 && records[0]?.exchange === '') return unparsed(`${host} says it takes no mail (null MX)`);
    return parsed(records.map(({ exchange }) => ({ name: exchange, port, unix: false, fromDns: true })));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENODATA') return parsed([{ name: host, port, unix: false, fromDns: false }]);
    return unparsed(`no MX records of ${host}: ${dnsError(code)}`);
  }
}

/** RFC 6186 §3.1, RFC 8314 §5.1: `_submissions._tcp` or `_submission._tcp`, ordered as RFC 2782 says. */
async function srvTargets({ host, scheme }: Smarthost): Promise<Parsed<readonly Target[]>> {
  const { promises } = await import('node:dns');
  const service = `_${scheme === 'submissions' ? 'submissions' : 'submission'}._tcp.${host}`;
  try {
    const records = orderSrv(await promises.resolveSrv(service), Math.random);
    // A single record "." says the service is decidedly not available. RFC 2782
    if (records.length === 1 && records[0]?.name === '') return unparsed(`${host} says it has no such service (${service})`);
    return parsed(records.map(({ name, port }) => ({ name, port, unix: false, fromDns: true })));
  } catch (error) {
    return unparsed(`no SRV records of ${service}: ${dnsError((error as NodeJS.ErrnoException).code)}`);
  }
}

interface Srv {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** By priority; within one, drawn by weight. RFC 2782 */
export function orderSrv(records: readonly Srv[], random: () => number): readonly Srv[] {
  const left = [...records].sort((a, b) => a.priority - b.priority || a.weight - b.weight);
  const ordered: Srv[] = [];
  while (left.length > 0) {
    const group = left.filter(({ priority }) => priority === left[0]?.priority);
    const sum = group.reduce((total, { weight }) => total + weight, 0);
    let draw = Math.floor(random() * (sum + 1));
    const drawn = group.find(({ weight }) => {
      draw -= weight;
      return draw <= 0;
    }) as Srv;
    ordered.push(drawn);
    left.splice(left.indexOf(drawn), 1);
  }
  return ordered;
}

/** The addresses of a target, families alternating as the system orders them. RFC 8305 §4 */
export async function endpointsOf({ name, port, unix }: Target, within: number): Promise<Parsed<readonly Endpoint[]>> {
  if (unix) return parsed([{ address: name, family: 'unix', port: 0 }]);
  if (isIPv4(name)) return parsed([{ address: name, family: 4, port }]);
  if (isIPv6(name) || name.includes('%')) return parsed([{ address: name, family: 6, port }]);
  return inTime(within, `looking up ${name}`, lookUp(name, port));
}

async function lookUp(name: string, port: number): Promise<Parsed<readonly Endpoint[]>> {
  const { lookup } = await import('node:dns');
  return new Promise((resolve) => {
    lookup(name, { all: true, verbatim: true }, (error, found) => {
      if (error) return resolve(unparsed(`no address of ${name}: ${dnsError(error.code ?? undefined)}`));
      const endpoints = found.map(({ address, family }): Endpoint => ({ address, family: family === 6 ? 6 : 4, port }));
      resolve(parsed(alternate(endpoints).slice(0, MOST_ADDRESSES)));
    });
  });
}

/** The first family first, then in turn. RFC 8305 §4 */
export function alternate(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const first = endpoints.filter(({ family }) => family === endpoints[0]?.family);
  const second = endpoints.filter(({ family }) => family !== endpoints[0]?.family);
  return first.flatMap((endpoint, i) => (second[i] ? [endpoint, second[i]] : [endpoint])).concat(second.slice(first.length));
}

/** What a resolver's code means, in words. */
function dnsError(code: string | undefined): string {
  const words: Readonly<Record<string, string>> = {
    ENOTFOUND: 'the name is unknown',
    ENODATA: 'there is no such record',
    EAI_AGAIN: 'the name servers do not answer',
    ETIMEOUT: 'the name servers do not answer',
    ESERVFAIL: 'the name servers failed',
    EREFUSED: 'the name servers refuse to answer',
    ECONNREFUSED: 'no name server answers',
  };
  return words[code ?? ''] ?? code ?? 'unknown error';
}
