/**
 * The file that `nospool send --trace` writes: a head that says what runs, where and with which settings, the conversation line by
 * line as -v shows it, and how it ended. It is for bug reports, so it has no secret. What is wrong with the file is a sentence and
 * never changes a delivery.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, release, type } from 'node:os';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { allHosts, printFiles } from '../config/facts.ts';
import { interpret } from '../config/interpret.ts';
import { DEFAULT_TLS, printProxy, printSmarthost, type Secret, type Smarthost } from '../router/smarthost.ts';
import { atMost, lineOf } from '../smtp/line.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { printDuration } from '../smtp/timeout.ts';
import { scrub } from '../submit/scrub.ts';
import { walkPath } from './path-walk.ts';
import { explainSystemError } from './write-files.ts';

export interface TraceFile {
  /** Appends lines. After the first that cannot be written there are no more. */
  readonly write: (lines: readonly string[]) => void;
  /** Closes the file; the value says what is wrong with it, or is null. */
  readonly close: () => string | null;
}

/* ---- the file ---- */

/** Opens the file and writes its head. An existing file is appended to; a new one is for its user alone. */
export function openTraceFile(file: string, head: readonly string[]): Parsed<TraceFile> {
  const explain = (error: unknown): string => `the conversation is not kept in ${file}: ${explainSystemError(error)}`;
  let fd: number;
  try {
    fd = openOwnFile(file);
  } catch (error) {
    return unparsed(explain(error));
  }
  let problem: string | null = null;
  const attempt = (work: () => void): void => {
    try {
      if (problem === null) work();
    } catch (error) {
      problem = explain(error);
    }
  };
  const write = (lines: readonly string[]): void => attempt(() => writeFileSync(fd, lines.map((line) => `${lineOf(line)}\n`).join('')));
  write(head);
  return parsed({
    write,
    close() {
      attempt(() => closeSync(fd));
      return problem;
    },
  });
}

/** Opens a file that is the user's own, by no link that another user may have made. Throws a sentence, or the system's error. */
function openOwnFile(file: string): number {
  const whole = path.resolve(file);
  const euid = process.geteuid?.();
  for (const [at, stats] of walkPath(path.dirname(whole)))
    if (stats.isSymbolicLink() && stats.uid !== 0 && stats.uid !== euid) throw new Error(`${at} is a symbolic link of uid ${stats.uid}`);
  // O_NONBLOCK, because a named pipe that nobody reads must not hold up the message.
  const flags = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  let fd: number;
  try {
    fd = openSync(whole, flags, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP') throw new Error('it is a symbolic link');
    // A named pipe without a reader.
    throw code === 'ENXIO' ? new Error('it is no regular file') : error;
  }
  const { uid, nlink, mode } = fstatSync(fd);
  const fault =
    (mode & constants.S_IFMT) !== constants.S_IFREG
      ? 'it is no regular file'
      : uid !== euid
        ? `it belongs to uid ${uid}, not to uid ${euid}`
        : nlink > 1
          ? 'it has a second name'
          : null;
  if (fault === null) return fd;
  closeSync(fd);
  throw new Error(fault);
}

/* ---- its head ---- */

/** What the head tells besides the configuration. */
export interface TracedRun {
  readonly version: string;
  readonly time: Date;
  readonly login: string;
  readonly charset: string;
  /** The words behind the program's name. */
  readonly words: readonly string[];
}

/** Prints the head. Each line begins with "#", and no secret that the configuration or the environment holds is in it. */
export function printTraceHead(config: Config, { version, time, login, charset, words }: TracedRun): readonly string[] {
  const { bun, openssl } = process.versions;
  const lines = [
    `nospool ${version}, ${bun === undefined ? `Node ${process.version}, OpenSSL ${openssl}` : `Bun ${bun}`}`,
    `system: ${type()} ${release()} ${arch()}${distribution()}`,
    `time: ${time.toISOString()}; user: ${login}, uid ${process.geteuid?.()}; charset: ${charset === '' ? 'none' : charset}`,
    `command: nospool ${words.map(quoteWord).join(' ')}`,
    `configuration: ${printFiles(config, ', ')}`,
    ...printSettings(config),
  ];
  const secrets = knownSecrets(config, process.env);
  return atMost(lines, MOST_LINES).map((line) => `# ${scrub(line, secrets)}`);
}

/** A configuration may have thousands of routers. */
const MOST_LINES = 300;

const quoteWord = (word: string): string => (/^[\w@%+=:,./<>-]+$/.test(word) ? word : JSON.stringify(word));

/** The name of the system's release, where there is one. */
function distribution(): string {
  try {
    const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
    return name === undefined ? '' : `, ${name}`;
  } catch {
    return '';
  }
}

/** Prints what is set, by the keys of nospool.toml(5): smart hosts and routers, and whatever differs from its default. */
function printSettings(config: Config): readonly string[] {
  const answer = interpret(null, {}, { home: null });
  const initial: Readonly<Record<string, unknown>> = answer.ok ? { ...answer.config } : {};
  const { path: _, files: __, smarthosts, routers, timeouts, rewrite, ...rest } = config;
  const durations = answer.ok ? answer.config.timeouts : null;
  return [
    ...smarthosts.map((host) => `smarthost: ${printHost(host)}`),
    ...Object.entries(rest).flatMap(([name, value]) =>
      JSON.stringify(value) === JSON.stringify(initial[name]) ? [] : [`${keyOf(name)} = ${JSON.stringify(value)}`],
    ),
    ...Object.entries(timeouts).flatMap(([name, limit]: [string, number]) =>
      durations?.[name as keyof typeof durations] === limit
        ? []
        : [`timeouts.${keyOf(name)} = ${Number.isFinite(limit) ? printDuration(limit) : 'none'}`],
    ),
    ...Object.entries(rewrite).map(([from, to]) => `rewrite: ${from} to ${to}`),
    // What routers add to a message may be a key of some service.
    ...routers.flatMap((router) => [
      `router "${router.name}": ${router.driver}`,
      ...(router.driver === 'manualroute' ? router.hosts.map((host) => `  host: ${printHost(host)}`) : []),
    ]),
  ];
}

/** `qualifyDomain` is the key `qualify_domain`. */
const keyOf = (name: string): string => name.replace(/(?<=[a-z])(?=[A-Z0-9])/g, '_').toLowerCase();

function printHost(host: Smarthost): string {
  const { auth, tls, link, ignoreExtensions } = host;
  const terms = Object.entries(tls).flatMap(([name, value]) =>
    JSON.stringify(value) === JSON.stringify(DEFAULT_TLS[name as keyof typeof DEFAULT_TLS])
      ? []
      : [`tls.${keyOf(name)} = ${JSON.stringify(value)}`],
  );
  if (auth) {
    terms.push(`user = ${JSON.stringify(auth.user)}`, `${auth.isToken ? 'token' : 'password'} from ${printPlace(auth.secret)}`);
    if (auth.mechanisms.length > 0) terms.push(`mechanisms = ${auth.mechanisms.join(' ')}`);
    if (auth.allowPlaintext) terms.push('allow_plaintext');
  }
  if (link?.proxy) terms.push(`proxy = ${printProxy(link.proxy)}, its password from ${printPlace(link.proxy.secret)}`);
  if (link && link.sourceAddress !== '') terms.push(`source_address = ${link.sourceAddress}`);
  if (link && link.family !== 'any') terms.push(`family = ${link.family}`);
  if (ignoreExtensions) terms.push(`ignore_extensions = ${ignoreExtensions.join(' ')}`);
  return [printSmarthost(host), ...terms].join('; ');
}

/** Where a secret is. The arguments of a command may hold one. */
function printPlace(secret: Secret): string {
  switch (secret.from) {
    case 'file':
      return secret.path;
    case 'command':
      return `the command ${secret.argv[0] ?? ''}`;
    case 'env':
      return `the variable ${secret.name}`;
    case 'literal':
      return 'the configuration itself';
    case 'none':
      return 'nowhere';
  }
}

function knownSecrets(config: Config, environment: NodeJS.ProcessEnv): readonly string[] {
  return allHosts(config).flatMap(({ auth, link }) =>
    [auth?.secret, link?.proxy?.secret].flatMap((secret) => {
      if (secret?.from === 'literal') return [secret.value];
      return secret?.from === 'env' ? [environment[secret.name] ?? ''] : [];
    }),
  );
}
