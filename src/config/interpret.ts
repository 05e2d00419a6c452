/**
 * Turns a file and the environment into a Config. Reads neither: both are arguments.
 */
import { DEFAULT_TLS, DIRECT } from '../router/smarthost.ts';
import { isDomain, isHostName, parseMailbox } from '../smtp/path.ts';
import { isAscii } from '../smtp/text.ts';
import type { Config, Timeouts } from './config.ts';
import { readLink } from './connection-keys.ts';
import { draftHosts, readIgnored, settleAuth } from './hosts.ts';
import { KEYS, keyOfEnv, keysOf, nearestKey, type Section, variableOf } from './keys.ts';
import { readAuthPolicy, readTlsPolicy, refuseHeld, SECRETS } from './policy.ts';
import { addHosts, draftRouters, readRewrite } from './routers.ts';
import { type Held, type Reading, readTable, take } from './table.ts';
import type { Toml } from './toml.ts';
import type { PathStep } from './toml-lines.ts';
import { type Directories, type Entries, fromEnvironment, isTable, type Location, type Written } from './values.ts';

/** A file that was read. */
export interface File {
  readonly path: string;
  readonly toml: Toml;
  /** Why the file may not hold a thing that can do harm, a sentence that continues its key; null when it may. */
  readonly refuses: (held: Held) => string | null;
  /** The system's, the only one where `lock` counts. */
  readonly isSystem: boolean;
  /** The files that this one was made of, and which of them has the key of a path. */
  readonly merged?: { readonly parts: readonly File[]; partOf(path: readonly PathStep[]): number };
}

export type Environment = Readonly<Record<string, string | undefined>>;

export type Interpreted =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  /** What says how to tell of the errors, as far as it can be used. */
  | ({ readonly ok: false; readonly errors: readonly string[] } & Partial<Pick<Config, 'log' | 'logFormat' | 'exitCodes'>>);

/** Finds all errors at once. They come in the order of the file's lines, and those of the environment last. */
export function interpret(file: File | null, env: Environment, directories: Directories): Interpreted {
  const errors: { readonly at: Location; readonly line: number; readonly text: string }[] = [];
  const warnings: string[] = [];
  const reading: Reading = {
    directories,
    incomplete: new Set(),
    refuses: (held, at) => partAt(file, at.part)?.refuses(held) ?? null,
    at(path, label) {
      const part = file?.merged?.partOf(path);
      return { label, isInFile: true, line: () => file?.toml.line(...path) ?? 0, ...(part === undefined ? {} : { part }) };
    },
    complain: (at, sentence) => errors.push({ at, line: orderOf(at), text: printAt(file, at, sentence) }),
    warn: (at, sentence) => warnings.push(printAt(file, at, sentence)),
  };
  const config = readAll(reading, file, env);
  if (errors.length === 0) return { ok: true, config, warnings };
  // Infinity - Infinity is NaN.
  errors.sort((a, b) => (a.line === b.line ? 0 : a.line - b.line));
  const isRefused = errors.some(({ at }) => LOG_LABELS.includes(at.label));
  const { log, logFormat, exitCodes } = config;
  return { ok: false, errors: [...new Set(errors.map(({ text }) => text))], exitCodes, ...(isRefused ? {} : { log, logFormat }) };
}

const partAt = (file: File | null, part: number | undefined): File | null =>
  part === undefined ? file : (file?.merged?.parts[part] ?? file);

/** More lines than a file can have. */
const MOST_LINES = 1 << 21;
const orderOf = ({ isInFile, line, part = 0 }: Location): number => (isInFile ? part * MOST_LINES + line() : Infinity);

/** An error with one of these labels means that nothing is written to the log. */
const LOG_LABELS: readonly string[] = ['key "log"', 'NOSPOOL_LOG', 'key "log_format"', 'NOSPOOL_LOG_FORMAT'];

const printAt = (file: File | null, { isInFile, label, line, part }: Location, sentence: string): string =>
  `${isInFile ? `${partAt(file, part)?.path}:${line()}` : 'environment'}: ${label} ${sentence}`;

function readAll(reading: Reading, file: File | null, env: Environment): Config {
  const variables = readVariables(reading, env, file);
  const top = layer(readTable(reading, '', file?.toml.table ?? {}, [], ''), variables.get(''));
  const section = (name: 'tls' | 'auth' | 'timeouts'): Entries => readSection(reading, top, name);
  const text = (name: string, check: TextCheck): string => {
    const value = take(reading, top, '', 'text', name);
    const written = top.get(name);
    const sentence = value === '' ? null : check(value);
    if (written && sentence !== null) reading.complain(written, sentence);
    return value;
  };
  /** Removes the dot of the root, because no address has it. */
  const name = (key: string): string => text(key, checkDomain).replace(/\.$/, '');
  const isOn = (name: string): boolean => take(reading, top, '', 'switch', name);
  const choice = <T extends string>(name: string): T => take(reading, top, '', 'choice', name) as T;

  const timeouts = layer(section('timeouts'), variables.get('timeouts'));
  const fileTls = readTlsPolicy(reading, DEFAULT_TLS, section('tls'));
  const tls = variables.has('tls') ? readTlsPolicy(reading, fileTls, variables.get('tls') as Entries) : fileTls;
  const auth = readAuthPolicy(reading, layerAuth(section('auth'), variables.get('auth')));
  const shared = { tls, auth: 'implied' as const, link: readLink(reading, '', DIRECT, top), ignored: readIgnored(reading, '', [], top) };

  const routerTables = top.get('router');
  const drafts = routerTables ? draftRouters(reading, routerTables.raw, routerTables, shared) : [];
  const [smarthosts = [], ...lists] = settleAuth(reading, auth, [
    draftHosts(reading, top, '', 'smarthosts', [], shared),
    ...drafts.map((draft) => (draft.driver === 'redirect' ? [] : draft.drafts)),
  ]);
  const aliases = top.get('aliases');
  if (aliases && drafts.length > 0)
    reading.warn(aliases, 'is not used: where a [[router]] is written, aliases need a [[router]] of their own');
  const locked = top.get('lock');
  const wantsLock = isOn('lock');
  const lock = wantsLock && file?.isSystem === true;
  if (locked && wantsLock && !lock) reading.warn(locked, 'means nothing here: only the system file can be locked');
  const rewrite = top.get('rewrite');
  const hostname = name('hostname');
  const hostWritten = top.get('hostname');
  // A name that is not ASCII becomes A-labels, so it has no such fault.
  if (hostWritten && isAscii(hostname) && isDomain(hostname) && !hostname.startsWith('[') && !isHostName(hostname))
    reading.warn(hostWritten, NO_HELLO);

  return {
    path: file?.path ?? '',
    files: file === null ? [] : (file.merged?.parts ?? [file]).map(({ path }) => path),
    smarthosts,
    randomize: isOn('randomize'),
    aliases: take(reading, top, '', 'paths', 'aliases'),
    lock,
    hostname,
    qualifyDomain: name('qualify_domain'),
    qualifyRecipient: name('qualify_recipient'),
    from: text('from', checkSender),
    forceFrom: isOn('force_from'),
    forceReversePath: isOn('force_reverse_path'),
    replayWindow: take(reading, top, '', 'size', 'replay_window'),
    headerLimit: take(reading, top, '', 'size', 'header_limit'),
    argumentsWithT: choice('arguments_with_t'),
    loneDot: choice('lone_dot'),
    keepBcc: isOn('keep_bcc'),
    received: isOn('received'),
    defaultCharset: text('default_charset', checkCharset),
    header8bit: choice('header_8bit'),
    eightBit: choice('eight_bit'),
    longLines: choice('long_lines'),
    dsn: choice('dsn'),
    lmtpPartial: isOn('lmtp_partial'),
    exitCodes: choice('exit_codes'),
    log: takeLog(reading, top),
    logFormat: choice('log_format'),
    timeouts: Object.fromEntries(
      keysOf('timeouts').map(({ name }) => [name, take(reading, timeouts, 'timeouts', 'duration', name)]),
    ) as unknown as Timeouts,
    routers: addHosts(drafts, lists),
    rewrite: rewrite ? readRewrite(reading, takeTable(reading, rewrite)) : Object.create(null),
    isByArgument: file !== null && file.refuses('path') !== null,
  };
}

/** A file that may run no command may open no log either, because a line is appended there. */
function takeLog(reading: Reading, top: Entries): string {
  const log = take(reading, top, '', 'log', 'log');
  const written = top.get('log');
  if (written && log.startsWith('/')) refuseHeld(reading, written, 'path');
  return log;
}

/** The table in a section of the file; an empty one after an error. */
function takeTable(reading: Reading, written: Written): Readonly<Record<string, unknown>> {
  const { raw } = written;
  if (isTable(raw)) return raw;
  reading.complain(written, 'expects a table: write it in brackets on a line of its own, with its keys below');
  return {};
}

function readSection(reading: Reading, top: Entries, name: Exclude<Section, '' | 'router' | 'host'>): Entries {
  const written = top.get(name);
  return written ? readTable(reading, name, takeTable(reading, written), [name], `in [${name}]`) : new Map();
}

const layer = (below: Entries, above: Entries | undefined): Entries => (above ? new Map([...below, ...above]) : below);

/** A secret from the environment replaces that of the file, whichever key holds it. */
function layerAuth(below: Entries, above: Entries | undefined): Entries {
  if (!above) return below;
  const kept = SECRETS.some((name) => above.has(name)) ? [...below].filter(([name]) => !SECRETS.some((secret) => secret === name)) : below;
  return new Map([...kept, ...above]);
}

/** `NOSPOOL_…` variables by section. An empty one counts as unset, because compose files and unit files leave them so. */
function readVariables(reading: Reading, env: Environment, file: File | null): ReadonlyMap<Section, Entries> {
  const sections = new Map<Section, Map<string, Written>>();
  const expected = secretVariables(file, env);
  for (const name of Object.keys(env)) {
    if (!name.startsWith('NOSPOOL_') || name === 'NOSPOOL_CONFIG') continue;
    const value = env[name];
    if (value === undefined || value === '') continue;
    const at: Location = { label: name, isInFile: false, line: () => 0 };
    const key = keyOfEnv(name);
    if (key) {
      const entries = sections.get(key.section) ?? new Map<string, Written>();
      entries.set(key.name, { ...at, raw: fromEnvironment(value, key) });
      sections.set(key.section, entries);
    } else if (!expected.has(name)) {
      reading.complain(at, unknownVariable(name));
    }
  }
  return sections;
}

/** Variables that `password_env` or `token_env` names anywhere. */
function secretVariables(file: File | null, env: Environment): ReadonlySet<string> {
  const names = new Set<string>();
  // A list of what is left to look at, because a function that calls itself has an end at some depth.
  const left: unknown[] = [file?.toml.table];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, inner] of Object.entries(value)) {
      if ((name === 'password_env' || name === 'token_env') && typeof inner === 'string') names.add(inner);
      else left.push(inner);
    }
  }
  for (const name of [env.NOSPOOL_AUTH_PASSWORD_ENV, env.NOSPOOL_AUTH_TOKEN_ENV]) if (name) names.add(name);
  return names;
}

function unknownVariable(name: string): string {
  const command = /^NOSPOOL_AUTH_(PASSWORD|TOKEN)_COMMAND$/.exec(name)?.[1];
  if (command !== undefined)
    return `is refused: commands are never taken from the environment; use NOSPOOL_AUTH_${command}_FILE, or ${command.toLowerCase()}_command in a file`;
  if (name === 'NOSPOOL_LOCK') return 'is refused: lock = true counts in the system file only';
  if (/^NOSPOOL_(ROUTER|REWRITE)(_|$)/.test(name)) return 'is refused: [[router]] and [rewrite] can be written in a file only';
  // Kubernetes and Docker set such variables for a service or container that is called "nospool".
  if (/^NOSPOOL_(SERVICE_(HOST|PORT)|PORT)(_|$)/.test(name))
    return 'is unknown; it looks like a service link of Kubernetes: set enableServiceLinks: false in the pod, or give the service another name';
  const meant = nearestKey(name, [...KEYS.map(variableOf).filter((variable) => variable !== ''), 'NOSPOOL_CONFIG']);
  return meant.near
    ? `is unknown; did you mean "${meant.name}"?`
    : `is unknown; the nearest is "${meant.name}", nospool.toml(5) has them all`;
}

/** A sentence about a text that cannot be used; null when it can. */
type TextCheck = (text: string) => string | null;

const NO_HELLO = 'is no domain of RFC 5321, so EHLO says the address of the socket, and bare addresses need qualify_domain';

const checkDomain: TextCheck = (text) => (isDomain(text.replace(/\.$/, '')) ? null : 'expects a domain such as "example.org"');

const checkCharset: TextCheck = (text) => (/^[A-Za-z0-9][\w.:+-]*$/.test(text) ? null : 'expects the name of a charset such as "koi8-r"');

const checkSender: TextCheck = (text) => {
  if (/\{(?!login\})[^{}]*\}/.test(text)) return 'has a word in braces that is not {login}, the only one that is replaced';
  return parseMailbox(text.replaceAll('{login}', 'login')).ok ? null : 'expects an address such as "{login}@example.org"';
};
