/**
 * Looks names up as this host does, in a way that can be abandoned: in /etc/hosts and by c-ares where nsswitch.conf says files
 * and dns, else by the C library. The reason: Node calls getaddrinfo in a thread and does not end before that thread does, which
 * takes up to a minute if a name server is down. Commands, which must end, hand in another way to ask the C library. Knows no smart host.
 */

import type { MxRecord, Resolver, SrvRecord } from 'node:dns';
import { existsSync, readFileSync } from 'node:fs';
import { aLabels } from '../a-labels.ts';
import { type EndSignal, makeEnding } from '../abort.ts';
import { alarm } from '../clock.ts';
import { hasSystemFiles } from '../platform.ts';
import {
  addressesIn,
  candidatesOf,
  familiesOf,
  type IpAddress,
  type LookupStep,
  type ResolvConf,
  readResolvConf,
  sortAddresses,
  stepsOf,
} from './host-files.ts';
import type { LoadSystem, NameQuestion, Names } from './question.ts';

/** Makes a failure like those of node:dns: an Error with a `code`. */
const makeError = (code: string): Error => Object.assign(new Error(code), { code });

/** The facts of a host. */
export interface Host {
  /** As `process.platform`. */
  readonly platform: string;
  /** Returns the text of a file; null if it cannot be read. */
  readonly read: (path: string) => string | null;
  /** True where the runtime keeps this file from a program (Node's permission model), and not from the C library. */
  readonly isKept?: ((path: string) => boolean) | undefined;
  readonly exists: (path: string) => boolean;
  readonly hostname: () => string;
  /** Its own addresses, loopback included; none where they cannot be asked for. */
  readonly addresses: () => readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Name servers in place of those of resolv.conf: addresses, with ports where they are not 53. */
  readonly servers: readonly string[] | null;
}

const os = () => process.getBuiltinModule('node:os');

const THIS_HOST: Host = {
  platform: process.platform,
  read(path) {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return null;
    }
  },
  isKept: (path) => process.permission?.has('fs.read', path) === false,
  exists: existsSync,
  hostname: () => os().hostname(),
  addresses() {
    try {
      return Object.values(os().networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
    } catch {
      // Asking takes a netlink socket, which many services may not have (systemd's RestrictAddressFamilies).
      return [];
    }
  },
  environment: process.env,
  servers: null,
};

/** Makes the look-ups of a host. Each rejects with a `code` of node:dns. */
export function namesOf(given = THIS_HOST, system: LoadSystem = () => import('./getaddrinfo.ts')): Names {
  const host: Host = hasSystemFiles(given.platform) ? given : { ...given, read: () => null };
  const conf = (): Servers => ({
    ...readResolvConf(host.read('/etc/resolv.conf') ?? '', host.hostname(), host.environment),
    servers: host.servers,
  });
  return {
    addresses: (name, question) => lookUpAddresses(question.isAbsolute ? `${name}.` : name, question, host, conf(), system),
    mx: (name, { signal }) => askServers<MxRecord[]>(conf(), signal, (resolver, done) => resolver.resolveMx(name, done)),
    srv: (name, { signal }) => askServers<SrvRecord[]>(conf(), signal, (resolver, done) => resolver.resolveSrv(name, done)),
  };
}

type Servers = ResolvConf & Pick<Host, 'servers'>;

const LOOPBACK: readonly IpAddress[] = [
  { address: '::1', family: 6 },
  { address: '127.0.0.1', family: 4 },
];

/** Returns the addresses of a name in the order in which they should be tried; never none. */
async function lookUpAddresses(
  name: string,
  question: NameQuestion,
  host: Host,
  conf: Servers,
  system: LoadSystem,
): Promise<readonly IpAddress[]> {
  const nsswitch = host.read('/etc/nsswitch.conf');
  // A name that ends in a number is an old form of an address (inet_aton(3)), or nothing.
  const isPlain =
    !host.isKept?.('/etc/hosts') && !/(^|\.)(\d+|0x[\da-f]*)\.?$/i.test(name) && (nsswitch !== null || host.platform === 'linux');
  const { exists, hostname: ownName } = host;
  const steps: readonly LookupStep[] = isPlain
    ? stepsOf(name, nsswitch, { hostname: ownName(), nameservers: conf.nameservers, exists })
    : ['system'];
  const isWanted = ({ family }: IpAddress): boolean => question.family === 'any' || family === question.family;
  const own = host.addresses();
  const sort = (found: readonly IpAddress[]) => sortAddresses(found, own, host.read('/etc/gai.conf') ?? '');
  let problem = makeError('ENOTFOUND');
  for (const step of steps) {
    if (step === 'files') {
      const found = addressesIn(host.read('/etc/hosts') ?? '', (aLabels(name) || name).replace(/\.$/, '')).filter(isWanted);
      if (found.length > 0) return sort(found);
      continue;
    }
    // RFC 6761 §6.3: such a name never leaves this host.
    if (/(^|\.)localhost\.?$/i.test(name)) return sort(LOOPBACK.filter(isWanted));
    try {
      return step === 'dns' ? sort(await searchDns(name, conf, own, question)) : await (await system()).askSystem(name, question);
    } catch (error) {
      problem = error as Error;
    }
  }
  throw problem;
}

/* ---- c-ares ---- */

type Ask<T> = (resolver: Resolver, done: (error: Error | null, found: T) => void) => void;

/** The codes of a name server that cannot help. RFC 1035 §4.1.1 */
const UNHELPFUL: readonly string[] = ['EFORMERR', 'ESERVFAIL', 'ENOTIMP', 'EREFUSED', 'EBADRESP'];
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

/**
 * Puts one question to the name servers of resolv.conf. If one says that it cannot help, the next is asked, as in the C
 * library; c-ares, as runtimes set it up, goes on only from a silent server. When the signal comes, nothing of the question is
 * left.
 */
async function askServers<T>({ timeout, attempts, servers }: Servers, signal: EndSignal, ask: Ask<T>): Promise<T> {
  // The callbacks of node:dns are used, because its promises take milliseconds to load.
  const { Resolver } = process.getBuiltinModule('node:dns');
  const among = (some: readonly string[] | null): Resolver => {
    const resolver = new Resolver({ timeout, tries: attempts });
    if (some !== null) resolver.setServers(some);
    return resolver;
  };
  const all = among(servers);
  try {
    return await askResolver(all, signal, ask);
  } catch (error) {
    for (const server of UNHELPFUL.includes(codeOf(error)) ? all.getServers().slice(1) : [])
      try {
        return await askResolver(among([server]), signal, ask);
      } catch (another) {
        if (!TEMPORARY.includes(codeOf(another))) throw another;
      }
    throw error;
  }
}

function askResolver<T>(resolver: Resolver, signal: EndSignal, ask: Ask<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = (): void => resolver.cancel();
    const done = (error: Error | null, found: T): void => {
      signal.removeEventListener('abort', cancel);
      if (error) reject(error);
      else resolve(found);
    };
    if (signal.aborted) return reject(makeError('ECANCELLED'));
    signal.addEventListener('abort', cancel);
    ask(resolver, done);
  });
}

/** Codes that may change when the name servers change. */
const TEMPORARY: readonly string[] = ['ETIMEOUT', 'ECONNREFUSED', ...UNHELPFUL];
const isSilent = (code: string): boolean => code === 'ETIMEOUT' || code === 'ECONNREFUSED';

/**
 * Looks a name up through the search list, as the C library does. One difference: if the name servers have no answer for the
 * name as it is written, no longer name takes its place.
 */
async function searchDns(name: string, conf: Servers, own: readonly string[], question: NameQuestion): Promise<readonly IpAddress[]> {
  const ascii = aLabels(name) || name;
  let worst = '';
  let isOver = false;
  for (const candidate of candidatesOf(ascii, conf)) {
    const isWritten = candidate === ascii;
    if (isOver && !isWritten) continue;
    try {
      return await askBothFamilies(candidate, conf, own, question);
    } catch (error) {
      const { code } = error as { readonly code: string };
      if (code === 'ECANCELLED' || (isWritten && TEMPORARY.includes(code))) throw error;
      isOver ||= isSilent(code);
      if (worst === '' || TEMPORARY.includes(code) || (isWritten && !TEMPORARY.includes(worst))) worst = code;
    }
  }
  throw makeError(worst);
}

/** Milliseconds. RFC 8305 §3 waits 50 ms for the other family, but a server that must ask others first takes longer. */
const OTHER_FAMILY = 1000;

/** Asks for A and AAAA at once, but only for those that are wanted and of use to this host. */
function askBothFamilies(
  name: string,
  conf: Servers,
  own: readonly string[],
  { family, signal }: NameQuestion,
): Promise<readonly IpAddress[]> {
  const useful = familiesOf(own);
  const families = ([6, 4] as const).filter((each) =>
    family === 'any' ? useful[each] && !(each === 6 && conf.isWithoutAaaa) : each === family,
  );
  return new Promise((resolve, reject) => {
    const found: IpAddress[] = [];
    const codes: string[] = [];
    const left = makeEnding();
    const leave = (): void => left.abort();
    let stop = (): void => {};
    let open = families.length;
    const settle = (): void => {
      stop();
      signal.removeEventListener('abort', leave);
      left.abort();
      // IPv6 comes first, whichever answer came first.
      if (found.length > 0) {
        resolve(found.toSorted((a, b) => b.family - a.family));
        return;
      }
      const code = codes.find((each) => TEMPORARY.includes(each)) ?? codes.find((each) => each !== 'ENOTFOUND') ?? 'ENOTFOUND';
      const isHalf = code === 'ENODATA' && family === 'any' && families.length === 1;
      reject(makeError(isHalf ? `ENOIPV${families[0]}` : code));
    };
    if (signal.aborted) left.abort();
    else signal.addEventListener('abort', leave);
    for (const each of families)
      askServers<readonly string[]>(conf, left.signal, (resolver, done) =>
        each === 6 ? resolver.resolve6(name, done) : resolver.resolve4(name, done),
      )
        .then(
          (addresses) => void found.push(...addresses.map((address) => ({ address, family: each }))),
          (error: NodeJS.ErrnoException) => void codes.push(error.code ?? 'ENOTFOUND'),
        )
        .then(() => {
          open -= 1;
          if (open === 0) settle();
          else if (found.length > 0) stop = alarm(OTHER_FAMILY, settle);
        });
    // There is nothing to ask for, so nothing is found.
    if (open === 0) settle();
  });
}
