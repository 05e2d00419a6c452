/**
 * Leads from a smart host to what can be connected to: names, then addresses in order. Knows no socket and no session, and not
 * how a name is looked up, which `names.ts` does as the host is set up.
 */

import { DIRECT, type Link, type Smarthost } from '../../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { isIPv4, isIPv6 } from '../../smtp/path.ts';
import { type EndSignal, makeEnding, whenAborted } from '../abort.ts';
import { alarm } from '../clock.ts';
import type { LoadSystem, NameQuestion, Names } from './question.ts';
import type { Endpoint, Found, Target, Unfound } from './target.ts';

/** Names as this system looks them up. `names.ts` is loaded when there is one; `system` is by default its own. */
export function systemNamesBy(system?: LoadSystem): Names {
  const load = async () => (await import('./names.ts')).namesOf(undefined, system);
  return {
    addresses: async (name, question) => (await load()).addresses(name, question),
    mx: async (name, question) => (await load()).mx(name, question),
    srv: async (name, question) => (await load()).srv(name, question),
  };
}

export const systemNames = systemNamesBy();

/** A name with more addresses is misconfigured; the rest is not tried. */
const MOST_ADDRESSES = 16;

/**
 * Returns the result of `work`, or a failure if it takes longer than `milliseconds` or `signal` comes. In both cases nobody
 * waits for `work` any more.
 */
async function inTime<T>(
  milliseconds: number,
  what: string,
  signal: EndSignal | undefined,
  work: (left: EndSignal) => Promise<Found<T>>,
): Promise<Found<T>> {
  const left = makeEnding();
  let leave!: () => void;
  let stop!: () => void;
  const late = new Promise<Found<T>>((resolve) => {
    leave = () => {
      left.abort();
      resolve(unparsed(`${what} was given up`));
    };
    stop = alarm(milliseconds, () => {
      resolve(unparsed(`${what} took longer than ${milliseconds / 1000} s (timeouts.resolve)`));
      left.abort();
    });
  });
  if (signal?.aborted) leave();
  const unlink = whenAborted(signal, leave);
  try {
    return await Promise.race([late, work(left.signal)]);
  } finally {
    stop();
    unlink();
  }
}

/**
 * Returns the names that a smart host stands for: itself, or those of its MX or SRV records in the order in which they are
 * tried.
 */
export async function targetsOf(
  host: Smarthost,
  within: number,
  names = systemNames,
  signal?: EndSignal,
): Promise<Found<readonly Target[]>> {
  const { link } = host;
  const targets = await findTargets(host, within, names, signal);
  return targets.ok && link !== undefined ? parsed(targets.value.map((target) => ({ ...target, link }))) : targets;
}

async function findTargets(
  host: Smarthost,
  within: number,
  names: Names,
  signal: EndSignal | undefined,
): Promise<Found<readonly Target[]>> {
  if (host.scheme === 'unix') return parsed([{ name: host.host, port: 0, unix: true, fromDns: false }]);
  if (host.expand === 'none')
    return parsed([{ name: host.host, port: host.port, unix: false, fromDns: false, ...(host.isAbsolute ? { isAbsolute: true } : {}) }]);
  return inTime(within, `looking up ${host.host}`, signal, async (left) => {
    const question: NameQuestion = { family: 'any', signal: left };
    const { mxTargets, srvTargets } = await import('./records.ts');
    return host.expand === 'mx' ? mxTargets(host, names, question) : srvTargets(host, names, question);
  });
}

/** The endpoint of a target whose name nobody looks up here, because a proxy or a program's own way leads to it. */
export const byName = ({ name, port, unix }: Target): readonly [Endpoint] => [{ address: name, family: unix ? 'unix' : 'name', port }];

/**
 * Returns the addresses of a target that its link allows, families alternating; never none. RFC 8305 §4. With a proxy nothing
 * is looked up here, because the proxy looks up the name.
 */
export async function endpointsOf(
  target: Target,
  within: number,
  names = systemNames,
  signal?: EndSignal,
): Promise<Found<readonly [Endpoint, ...Endpoint[]]>> {
  const { name, port, link = DIRECT } = target;
  if (target.unix || link.proxy !== null) return parsed(byName(target));
  if (isIPv4(name)) return keepAllowed(link, name, [{ address: name, family: 4, port }]);
  if (isIPv6(name) || name.includes('%')) return keepAllowed(link, name, [{ address: name, family: 6, port }]);
  const found = await inTime(within, `looking up ${name}`, signal, (left) =>
    lookUp(name, port, names, link, { family: link.family, signal: left, isAbsolute: target.isAbsolute ?? target.fromDns }),
  );
  return found.ok ? keepAllowed(link, name, found.value) : found;
}

/** Keeps the addresses of the wanted family, in their order. */
function keepAllowed(link: Link, name: string, all: readonly Endpoint[]): Parsed<readonly [Endpoint, ...Endpoint[]]> {
  const [first, ...rest] = all.filter(({ family }) => link.family === 'any' || family === link.family).slice(0, MOST_ADDRESSES);
  return first ? parsed([first, ...rest]) : unparsed(explainFamily(link, name));
}

function explainFamily({ family, sourceAddress }: Link, name: string): string {
  const because = sourceAddress === '' ? `family = "${family}"` : `source_address = "${sourceAddress}"`;
  return `${name} has no IPv${family} address, and ${because} requires one`;
}

async function lookUp(
  name: string,
  port: number,
  names: Names,
  link: Link,
  question: NameQuestion,
): Promise<Found<readonly [Endpoint, ...Endpoint[]]>> {
  try {
    const found = name === '' ? [] : await names.addresses(name, question);
    const [first, ...rest] = alternate(found.map(({ address, family }): Endpoint => ({ address, family: family === 6 ? 6 : 4, port })));
    return first ? parsed([first, ...rest]) : explainNone(name, 'ENODATA');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENODATA' && question.family !== 'any' ? unparsed(explainFamily(link, name)) : explainNone(name, code);
  }
}

async function explainNone(name: string, code: string | undefined): Promise<Unfound> {
  const { explainCode, unfound } = await import('./codes.ts');
  return unfound(`no address of ${name}: ${explainCode(code)}`, code);
}

/** Puts the first family first, then alternates. RFC 8305 §4 */
export function alternate(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const first = endpoints.filter(({ family }) => family === endpoints[0]?.family);
  const second = endpoints.filter(({ family }) => family !== endpoints[0]?.family);
  return first.flatMap((endpoint, i) => (second[i] ? [endpoint, second[i]] : [endpoint])).concat(second.slice(first.length));
}
