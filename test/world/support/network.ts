/**
 * A network inside the namespace that test/run.mjs makes: a bridge on which smart hosts and name servers get addresses
 * (TEST-NET-1, 2001:db8::/64), and clients at the other end of cables of their own, each with its own loopback,
 * /etc/resolv.conf and /etc/hosts. Programs are run there as an ordinary user. It knows no mail.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { scratch } from '../../interop/support/daemon.ts';

const BRIDGE = 'world';

/** Nobody's: an ordinary user that owns nothing. */
export const UID = 65534;

/** An IPv4 and an IPv6 address with the same last number. */
export interface Place {
  readonly v4: string;
  readonly v6: string;
}

export const placeAt = (last: number): Place => ({ v4: `192.0.2.${last}`, v6: `2001:db8::${last}` });

export interface Ran {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  /** Default: UID. */
  readonly uid?: number;
  /** Milliseconds, then it is killed; default a minute. */
  readonly within?: number;
}

export interface Client {
  readonly at: Place;
  /** What every user may enter, and UID may write to. */
  readonly folder: string;
  /** The words that run a command here, as `uid`. */
  enter(uid?: number): readonly string[];
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Replaces /etc/resolv.conf. */
  resolve(text: string): void;
  /** Replaces what /etc/hosts has besides localhost. */
  know(hosts: string): void;
  /** Starts a server program here, as root, that ends with the test process. */
  serve(argv: readonly string[]): ChildProcess;
  /** What this client sends takes its time: a token bucket of so many bits a second, or a delay where the kernel can do it. */
  slow(kind: 'rate' | 'delay', amount: string): boolean;
  stop(): void;
}

export interface Network {
  /** Gives the bridge both addresses of a place, if it has not got them. */
  add(last: number): Place;
  /** Name servers that do not exist, and no hosts but localhost, until it is told others. */
  client(): Promise<Client>;
  /** The interface on which everything between clients and servers passes. */
  readonly bridge: string;
}

/** Node's own environment is not the caller's business. */
const CALLERS_ENVIRONMENT = { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' };

const ip = (...words: readonly string[]): string => execFileSync('ip', words, { encoding: 'utf8' });

let made: Network | undefined;

/** Once a process: the namespace is the process's. */
export function theNetwork(): Network {
  made ??= makeNetwork();
  return made;
}

function makeNetwork(): Network {
  // In any other place this would change the machine's own network.
  if (process.env.TEST_HOST === undefined) throw new Error('run this by test/run.mjs, which makes a network namespace');
  // A fixed hardware address: else it would be the lowest of its members', and change with each.
  ip('link', 'add', BRIDGE, 'address', '02:00:00:00:00:01', 'type', 'bridge', 'forward_delay', '0');
  ip('link', 'set', BRIDGE, 'up');
  // A process may run several test files, one after another.
  const added = new Set<number>();
  const add = (last: number): Place => {
    const place = placeAt(last);
    if (added.has(last)) return place;
    added.add(last);
    ip('address', 'add', `${place.v4}/24`, 'dev', BRIDGE);
    ip('address', 'add', `${place.v6}/64`, 'dev', BRIDGE, 'nodad');
    return place;
  };
  add(1);
  let clients = 0;
  return {
    bridge: BRIDGE,
    add,
    async client() {
      clients += 1;
      return makeClient(clients);
    },
  };
}

async function makeClient(number: number): Promise<Client> {
  const at = placeAt(200 + number);
  const folder = scratch(`client${number}`);
  mkdirSync(`${folder}/var`);
  chownSync(`${folder}/var`, UID, UID);
  const [resolv, hosts] = [`${folder}/resolv.conf`, `${folder}/hosts`];
  writeFileSync(resolv, 'nameserver 192.0.2.2\n', { mode: 0o644 });
  const know = (text: string) => writeFileSync(hosts, `127.0.0.1 localhost\n::1 localhost ip6-localhost\n${text}`, { mode: 0o644 });
  know('');
  const script = `set -e
mount --bind ${resolv} /etc/resolv.conf
mount --bind ${hosts} /etc/hosts
ip link set lo up
echo made
exec sleep infinity`;
  // It holds the namespaces.
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', '--mount', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  await new Promise<void>((resolve, reject) => {
    holder.once('error', reject).once('exit', () => reject(new Error('the client has no namespaces')));
    holder.stdout.once('data', () => resolve());
  });
  holder.removeAllListeners('exit');
  for (const each of [holder, holder.stdout as unknown as { unref(): void }]) each.unref();
  const pid = String(holder.pid);
  const inside = ['nsenter', '-t', pid, '--net', '--mount'];
  const there = (...words: readonly string[]) => execFileSync(inside[0] as string, [...inside.slice(1), ...words], { stdio: 'pipe' });
  ip('link', 'add', `client${number}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid);
  ip('link', 'set', `client${number}`, 'master', BRIDGE, 'up');
  there('ip', 'address', 'add', `${at.v4}/24`, 'dev', 'eth0');
  there('ip', 'address', 'add', `${at.v6}/64`, 'dev', 'eth0', 'nodad');
  there('ip', 'link', 'set', 'eth0', 'up');
  const served: ChildProcess[] = [];
  const enter = (uid = UID) => [...inside, 'setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  return {
    at,
    folder,
    enter,
    know,
    resolve: (text) => writeFileSync(resolv, text, { mode: 0o644 }),
    run: (argv, { uid, input = '', env = {}, within = 60_000 } = {}) => {
      const [program = '', ...args] = [...enter(uid), ...argv];
      const child = spawn(program, args, { stdio: 'pipe', cwd: folder, env: { ...CALLERS_ENVIRONMENT, ...env } });
      const timer = setTimeout(() => child.kill('SIGKILL'), within);
      const said = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const)
        child[name].setEncoding('utf8').on('data', (part: string) => {
          said[name] += part;
        });
      child.stdin.on('error', () => undefined).end(typeof input === 'string' ? Buffer.from(input, 'latin1') : input);
      return new Promise((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (status, signal) => {
          clearTimeout(timer);
          resolve({ status, signal, ...said });
        });
      });
    },
    serve(argv) {
      const [program = '', ...args] = [...inside, 'setpriv', '--pdeathsig', 'KILL', ...argv];
      const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env: CALLERS_ENVIRONMENT });
      served.push(child);
      return child;
    },
    slow(kind, amount) {
      const discipline = kind === 'rate' ? ['tbf', 'rate', amount, 'burst', '3000', 'latency', '5s'] : ['netem', 'delay', amount];
      try {
        there('tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', ...discipline);
        return true;
      } catch {
        // netem is a module of the kernel that is not everywhere.
        return false;
      }
    },
    stop() {
      for (const child of [holder, ...served]) child.kill('SIGKILL');
    },
  };
}

/** Writes a file that only `uid` may read. */
export function writeSecret(file: string, text: string, uid = UID): string {
  writeFileSync(file, text, { mode: 0o600 });
  chmodSync(file, 0o600);
  chownSync(file, uid, uid);
  return file;
}

/** What a file has, '' while there is none. */
export function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
