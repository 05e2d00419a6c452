/** Leads from a domain to the hosts that its MX or SRV records name, in the order in which they are tried. Loaded where one is configured so. */
import type { Smarthost } from '../../router/smarthost.ts';
import { parsed, unparsed } from '../../smtp/parsed.ts';
import { explainCode, unfound } from './codes.ts';
import type { NameQuestion, Names } from './question.ts';
import type { Found, Target } from './target.ts';

/** A domain with more hosts is misconfigured; the rest is not tried. */
const MOST_TARGETS = 16;

/**
 * RFC 5321 §5.1: MX records count by preference, equal ones in random order. No MX record means the name itself, also where the
 * name is an alias (the answer is then empty and no error). A null MX (RFC 7505 §3) means no host.
 */
export async function mxTargets({ host, port }: Smarthost, names: Names, question: NameQuestion): Promise<Found<readonly Target[]>> {
  const itself: readonly Target[] = [{ name: host, port, unix: false, fromDns: false, isAbsolute: true }];
  try {
    const records = (await names.mx(host, question)).map((record) => ({ ...record, order: Math.random() }));
    records.sort((a, b) => a.priority - b.priority || a.order - b.order);
    const [first, ...others] = records;
    if (first === undefined) return parsed(itself);
    if (first.exchange === '' && first.priority === 0 && others.length === 0) return unparsed(`${host} says it takes no mail (null MX)`);
    const targets = toTargets(records.map(({ exchange }) => ({ name: exchange, port })));
    return targets.length > 0 ? parsed(targets) : unparsed(`the MX records of ${host} name no host`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Bun does not tell a name without such a record from one that is unknown; looking up its address will.
    const isWithout = code === 'ENODATA' || (code === 'ENOTFOUND' && process.versions.bun !== undefined);
    if (isWithout) return parsed(itself);
    return unfound(`no MX records of ${host}: ${explainCode(code)}`, code);
  }
}

/** RFC 6186 §3.1, RFC 8314 §5.1: `_submissions._tcp` or `_submission._tcp`, ordered as RFC 2782 says. */
export async function srvTargets({ host, scheme }: Smarthost, names: Names, question: NameQuestion): Promise<Found<readonly Target[]>> {
  const service = `_${scheme === 'submissions' ? 'submissions' : 'submission'}._tcp.${host}`;
  try {
    const records = orderSrv(await names.srv(service, question), Math.random);
    // As with MX, an alias leads to an empty answer.
    if (records.length === 0) return unfound(`no SRV records of ${service}: ${explainCode('ENODATA')}`, 'ENODATA');
    // A record "." says the service is decidedly not available. RFC 2782
    if (records.every(({ name }) => name === '')) return unparsed(`${host} says it has no such service (${service})`);
    return parsed(toTargets(records));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return unfound(`no SRV records of ${service}: ${explainCode(code)}`, code);
  }
}

/** The root among other names is no host that could be reached. */
const toTargets = (found: readonly { readonly name: string; readonly port: number }[]): readonly Target[] =>
  found
    .filter(({ name }) => name !== '')
    .slice(0, MOST_TARGETS)
    .map(({ name, port }) => ({ name, port, unix: false, fromDns: true }));

interface Srv {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** Orders records by priority, and draws those of equal priority by weight. RFC 2782 */
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
