/**
 * Finds out who runs us, and where: from the password database, the environment, the host's name, and the octets that arguments
 * had before the runtime made text of them. It looks up what costs time only when somebody asks. Knows no message.
 */
import { readFileSync, statSync } from 'node:fs';
import type { Environment } from '../config/interpret.ts';
import { localeCharset } from '../message/locale.ts';
import { isDomain } from '../smtp/path.ts';
import { fromUtf8, isAscii } from '../smtp/text.ts';

export interface Identity {
  readonly euid: number;
  /** From the password database; for a uid that is not in it $LOGNAME, else `uid-N`. */
  readonly login: string;
  /** From the password database; for a uid that is not in it $HOME if it belongs to the uid; null = none. */
  readonly home: string | null;
  /** MIME name of the charset of the caller's locale; '' = C or POSIX. */
  readonly charset: string;
  /** $NAME, else the full name in the password database; '' = none. */
  readonly fullName: () => Promise<string>;
  /** This host's name, with its domain if that can be found out. */
  readonly hostname: () => Promise<string>;
}

/** Answers of the operating system; octet strings where it gives octets. */
export interface System {
  readonly euid: () => number;
  /** The entry of the effective uid that the C library finds, also in LDAP; null = there is none, or it cannot be trusted. */
  readonly account: () => { readonly login: string; readonly home: string } | null;
  /** The content of a file, null when it cannot be read. */
  readonly file: (path: string) => string | null;
  /** The uid to which a file belongs, null when it is not there. */
  readonly owner: (path: string) => number | null;
  readonly hostname: () => string;
  readonly isBun: boolean;
  /** True if the name has an address in the DNS. */
  readonly resolves: (name: string) => Promise<boolean>;
}

/** Milliseconds. A host whose own name servers do not answer in this time will not reach a smart host by name either. */
const NAME_TIMEOUT = 1000;
/** No more search domains than this are tried: old resolvers knew six, and each is a query. */
const SEARCHED = 3;

export const SYSTEM: System = {
  euid: () => process.geteuid?.() ?? 0,
  isBun: process.versions.bun !== undefined,
  account() {
    // Bun answers with $USER and $HOME, which a caller may have left from somebody else.
    if (process.versions.bun !== undefined) return null;
    try {
      const { username, homedir } = process.getBuiltinModule('node:os').userInfo();
      return { login: username, home: homedir };
    } catch {
      return null;
    }
  },
  file(path) {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return null;
    }
  },
  owner: (path) => statSync(path, { throwIfNoEntry: false })?.uid ?? null,
  // Bun takes its time to load what a configured name makes needless.
  hostname: () => process.getBuiltinModule('node:os').hostname(),
  resolves(name) {
    // Callbacks, because the promises of node:dns take milliseconds to load.
    const { Resolver } = process.getBuiltinModule('node:dns');
    const resolver = new Resolver({ timeout: NAME_TIMEOUT, tries: 1 });
    return new Promise((resolve) => {
      let open = 2;
      const answer = (error: Error | null): void => {
        open -= 1;
        if (error !== null && open > 0) return;
        resolve(error === null);
        resolver.cancel();
      };
      resolver.resolve4(name, answer);
      resolver.resolve6(name, answer);
    });
  },
};

/** Looks up login and home at once, the rest when asked. */
export function identify(environment: Environment, system: System = SYSTEM): Identity {
  const euid = system.euid();
  const account = system.account() ?? findEntry(euid, system);
  const charset = localeCharset(environment);
  const logname = environment.LOGNAME ?? '';
  const login = account?.login || (/^[^\s\p{Cc}\ufffd]+$/u.test(logname) ? logname : `uid-${euid}`);
  return {
    euid,
    login,
    home: account ? account.home || null : takeOwnHome(environment.HOME, euid, system),
    charset,
    async fullName() {
      const name = await decodeOctets(readVariable('NAME', environment, system), charset);
      if (name.trim() !== '') return name;
      const entry = findEntry(euid, system, login) ?? findEntry(euid, system);
      return entry ? decodeOctets(expandGecos(entry.gecos, entry.login), charset) : '';
    },
    hostname: () => findHostname(system),
  };
}

/**
 * Reads arguments as text. The runtime replaces octets that are not UTF-8 with U+FFFD; such arguments are read again from where
 * the kernel keeps them, in the locale's charset. `args`: the last arguments of the process.
 */
export async function readArguments(
  args: readonly string[],
  environment: Environment,
  system: System = SYSTEM,
): Promise<readonly string[]> {
  const isGarbled = args.some((arg) => arg.includes('\ufffd'));
  if (!isGarbled && !system.isBun) return args;
  const line = (system.file('/proc/self/cmdline') ?? '').split('\0').slice(0, -1);
  const kept = line.slice(-args.length);
  // Bun takes `--` for its own where it is the first argument.
  if (system.isBun && line.at(-args.length - 1) === '--')
    return ['--', ...(await readArguments(args, environment, { ...system, isBun: false }))];
  if (!isGarbled) return args;
  // This is not Linux, or something changed the title of the process.
  if (kept.length !== args.length || !kept.every((octets, index) => decodeAsRuntime(octets) === args[index])) return args;
  const charset = localeCharset(environment);
  return Promise.all(args.map((arg, index) => (arg.includes('\ufffd') ? decodeOctets(kept[index] as string, charset) : arg)));
}

/** Reads an environment variable as an octet string; '' when it is not set. */
function readVariable(name: string, environment: Environment, system: System): string {
  const value = environment[name] ?? '';
  const octets = Buffer.from(value).toString('latin1');
  if (!value.includes('\ufffd')) return octets;
  const kept = (system.file('/proc/self/environ') ?? '').split('\0').find((line) => line.startsWith(`${name}=`));
  const raw = kept?.slice(name.length + 1) ?? '';
  return decodeAsRuntime(raw) === value ? raw : octets;
}

/** Decodes octets as the runtime does. */
function decodeAsRuntime(octets: string): string {
  return Buffer.from(octets, 'latin1').toString('utf8');
}

/** Decodes octets in the locale's charset, or else as UTF-8, or else octet by octet, so that nothing is lost. */
async function decodeOctets(octets: string, charset: string): Promise<string> {
  if (isAscii(octets)) return octets;
  if (charset !== '' && charset !== 'UTF-8') {
    const { decode } = await import('../message/charset.ts');
    const text = decode(octets, charset);
    if (text !== null) return text;
  }
  return fromUtf8(octets) ?? octets;
}

interface Entry {
  readonly login: string;
  /** Octet string. */
  readonly gecos: string;
  readonly home: string;
}

/** Finds the first line of /etc/passwd for the uid, and for the login if one is given. passwd(5) */
function findEntry(euid: number, system: System, login?: string): Entry | null {
  for (const line of (system.file('/etc/passwd') ?? '').split('\n')) {
    const [name = '', , uid, , gecos = '', home = ''] = line.split(':');
    // The octets of a name are compared as the runtime shows them.
    if (uid === String(euid) && /^[^#+-]/.test(name) && (login === undefined || decodeAsRuntime(name) === login))
      return { login: decodeAsRuntime(name), gecos, home: decodeAsRuntime(home) };
  }
  return null;
}

/** Reads the full name, up to the first comma, in which `&` stands for the login with a capital, as Exim reads it and chfn(1) writes it. */
function expandGecos(gecos: string, login: string): string {
  const name = (gecos.split(',', 1)[0] as string).trim();
  const capital = Buffer.from(`${login.slice(0, 1).toUpperCase()}${login.slice(1)}`).toString('latin1');
  return name.replaceAll('&', () => capital);
}

function takeOwnHome(home: string | undefined, euid: number, system: System): string | null {
  return home?.startsWith('/') && system.owner(home) === euid ? home : null;
}

/** Finds the full name of this host as hostname(1) -f does, but without its library call: in /etc/hosts, then with the search domains of the resolver. */
async function findHostname(system: System): Promise<string> {
  const name = system.hostname().replace(/\.$/, '');
  if (name.includes('.') || name === '' || name.toLowerCase() === 'localhost') return name;
  const wanted = name.toLowerCase();
  for (const line of (system.file('/etc/hosts') ?? '').split('\n')) {
    const names = (line.split('#', 1)[0] as string).trim().split(/\s+/).slice(1);
    if (!names.some((one) => one.toLowerCase() === wanted)) continue;
    const whole = names.find((one) => one.toLowerCase().startsWith(`${wanted}.`) && isHostname(one));
    if (whole !== undefined) return whole.replace(/\.$/, '');
  }
  const { readResolvConf } = await import('../transport/lookup/host-files.ts');
  const candidates = readResolvConf(system.file('/etc/resolv.conf') ?? '', '')
    .search.map((domain) => `${name}.${domain}`)
    .filter(isHostname)
    .slice(0, SEARCHED);
  const found = await Promise.all(candidates.map((candidate) => system.resolves(candidate)));
  return candidates[found.indexOf(true)] ?? name;
}

function isHostname(text: string): boolean {
  return isAscii(text) && isDomain(text.replace(/\.$/, ''));
}
