/**
 * Finds the configuration file, reads it, and puts the environment over it. Every run of sendmail comes here, so the TOML
 * parser is loaded only when there is a file. Knows no key except `lock`.
 */
import { closeSync, constants, existsSync, fstatSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { fileOwnerOf, whyOpenFileRefused, whyUnread } from '../trust/facts.ts';
import type { FileKind } from '../trust/rules.ts';
import type { Config } from './config.ts';
import { type Environment, type File, type Interpreted, interpret } from './interpret.ts';
import type { Merged } from './merge.ts';
import { parseToml } from './toml.ts';

export const SYSTEM_FILE = '/etc/nospool.toml';

export interface ConfigRequest {
  /** `-C`; null = not given. */
  readonly path: string | null;
  /** True: an administrator gave `path`, not a program whose arguments may come from others. Default false. */
  readonly isTrusted?: boolean;
  /** Loses what a locked configuration keeps out for good. */
  readonly env: { [name: string]: string | undefined };
  /** The home directory in the password database; null = none. */
  readonly home: string | null;
  readonly euid: number;
  /** The system file, for tests; SYSTEM_FILE when absent. */
  readonly systemFile?: string;
}

export type ConfigAnswer =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  /** Sentences that name file, line and key; never a secret. */
  | Extract<Interpreted, { readonly ok: false }>;

/** A file with all keys and a comment for each is under 8 KiB. 1 MiB leaves room for thousands of routes and bounds memory. */
const LARGEST_FILE = 1 << 20;

type FileContent =
  | { readonly state: 'read'; readonly text: string; readonly refuses: File['refuses'] }
  | { readonly state: 'absent' }
  /** A user's own file that another user may have written. */
  | { readonly state: 'ignored'; readonly detail: string }
  /** Others may have changed it, or nobody can tell what it says. */
  | { readonly state: 'refused'; readonly detail: string }
  /** This user may not read it, or it is a directory: for this user it says nothing. */
  | { readonly state: 'closed'; readonly detail: string };

/**
 * The configuration in force: `-C`, else `$NOSPOOL_CONFIG`, else the user's file, else the system file, with
 * `NOSPOOL_…` variables over it; or the system file alone when it says `lock = true`. None found: the defaults.
 */
export async function readConfig(request: ConfigRequest): Promise<ConfigAnswer> {
  // The descriptors stay open until the file has been interpreted, because they tell what it may hold.
  const opened: number[] = [];
  try {
    return await findConfig(request, (path, kind) => readText(path, kind, request.euid, opened));
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

type ConfigKind = Extract<FileKind, 'system' | 'named' | 'own' | 'argument'>;

async function findConfig(request: ConfigRequest, read: (path: string, kind: ConfigKind) => FileContent): Promise<ConfigAnswer> {
  const { path, isTrusted = false, env, home, systemFile = SYSTEM_FILE } = request;
  const directories = { home };
  const system = readSystem(systemFile, read);

  // A refused file may be locked, and what a lock keeps out must not count.
  const refused = system.find(({ content }) => content.state === 'refused');
  if (refused !== undefined) return finish([refused], true, env, directories, []);
  // A system file that this user cannot read cannot be in force for this user, locked or not. One beside it that can be read may lock it.
  const mayLock = system.some(({ content }) => content.state === 'read' && content.text.includes('lock'));
  const file = mayLock ? await parseFiles(system, true) : null;
  if (file?.ok === false) return file;
  if (file?.value.toml.table.lock) {
    // A locked configuration is the only one: also for whom to trust.
    delete env.SSL_CERT_FILE;
    const answer = await finish(system, true, {}, directories, [], file);
    return answer.ok ? { ...answer, warnings: [...answer.warnings, ...listIgnored(request, systemFile)] } : answer;
  }

  const named = path ?? (env.NOSPOOL_CONFIG || null);
  if (named !== null) {
    if (named === systemFile && system.length > 0) return finish(system, true, env, directories, [], file);
    const content = read(named, path === null || isTrusted ? 'named' : 'argument');
    if (content.state === 'absent')
      return refusal(
        path === null ? `environment: NOSPOOL_CONFIG names "${named}", which does not exist` : `-C names "${named}", which does not exist`,
      );
    return finish([{ path: named, content }], false, env, directories, []);
  }

  const warnings: string[] = [];
  const own = userFile(env, home);
  if (own !== null) {
    const content = read(own, 'own');
    if (content.state === 'ignored') warnings.push(content.detail);
    else if (content.state !== 'absent') return finish([{ path: own, content }], false, env, directories, warnings);
  }
  return finish(system, true, env, directories, warnings, file);
}

/** A file, and what came of reading it. */
interface Found {
  readonly path: string;
  readonly content: FileContent;
}

/** The folder of the files that stand beside the system file: /etc/nospool.d. */
export const systemFolder = (systemFile: string): string => systemFile.replace(/(\.toml)?$/, '.d');

/** True for the name of a file in that folder that is read: neither a hidden one nor an editor's copy. */
export const isPart = (name: string): boolean => /^[^.].*\.toml$/s.test(name);

/** The system file, be it there or not, and behind it those of its folder in the order of their names. Throws where the folder cannot be read. */
export function listSystemFiles(systemFile: string): readonly string[] {
  const folder = systemFolder(systemFile);
  // Most hosts have no such folder, and an error is dear.
  const names = existsSync(folder) ? readdirSync(folder).filter(isPart) : [];
  return [systemFile, ...names.toSorted().map((name) => `${folder}/${name}`)];
}

/** What is read of them; [] = none is there. */
function readSystem(systemFile: string, read: (file: string, kind: ConfigKind) => FileContent): readonly Found[] {
  let files: readonly string[] = [systemFile];
  const closed: Found[] = [];
  try {
    files = listSystemFiles(systemFile);
  } catch (error) {
    const folder = systemFolder(systemFile);
    if (codeOf(error) !== 'ENOTDIR')
      closed.push({ path: folder, content: { state: 'closed', detail: `${folder}: ${whyUnread(folder, error)}` } });
  }
  return [...files.map((file) => ({ path: file, content: read(file, 'system') })), ...closed].filter(
    ({ content }) => content.state !== 'absent',
  );
}

const refusal = (sentence: string): ConfigAnswer => ({ ok: false, errors: [sentence] });

/** A warning that names what the lock keeps out: -C and the variables; [] = nothing. */
function listIgnored({ path, env }: ConfigRequest, systemFile: string): string[] {
  const names = Object.keys(env).filter((name) => name.startsWith('NOSPOOL_') && env[name]);
  const given = path === null ? names : [`-C ${path}`, ...names];
  return given.length === 0 ? [] : [`${systemFile}: is locked, so ${given.join(', ')} ${given.length === 1 ? 'is' : 'are'} ignored`];
}

/** `$XDG_CONFIG_HOME/nospool/config.toml`, where the variable defaults to ~/.config and must be absolute (XDG Base Directory Specification). */
export function userFile(env: Environment, home: string | null): string | null {
  const folder = env.XDG_CONFIG_HOME?.startsWith('/') ? env.XDG_CONFIG_HOME : home === null ? null : `${home}/.config`;
  return folder === null ? null : `${folder}/nospool/config.toml`;
}

/** `files` is one configuration; [] = none. `known`: what they are together, where that was parsed already. */
async function finish(
  files: readonly Found[],
  isSystem: boolean,
  env: Environment,
  directories: Parameters<typeof interpret>[2],
  warnings: readonly string[],
  known: Merged | null = null,
): Promise<ConfigAnswer> {
  for (const { content } of files) if (content.state !== 'read' && content.state !== 'absent') return refusal(content.detail);
  const file = files.length === 0 ? null : (known ?? (await parseFiles(files, isSystem)));
  if (file?.ok === false) return file;
  const answer = interpret(file?.value ?? null, env, directories);
  return answer.ok ? { ...answer, warnings: [...warnings, ...answer.warnings] } : answer;
}

/** Parses those files that were read; at least one was. */
async function parseFiles(found: readonly Found[], isSystem: boolean): Promise<Merged> {
  const files: File[] = [];
  for (const { path, content } of found) {
    if (content.state !== 'read') continue;
    const toml = parseToml(content.text);
    if (!toml.ok) return { ok: false, errors: [`${path}:${toml.line}: this is not TOML: ${toml.detail}`] };
    files.push({ path, toml: toml.value, refuses: content.refuses, isSystem });
  }
  const [first, ...others] = files as [File, ...File[]];
  return others.length === 0 ? { ok: true, value: first } : (await import('./merge.ts')).mergeFiles(first, others);
}

function readText(path: string, kind: ConfigKind, euid: number, opened: number[]): FileContent {
  let fd: number;
  try {
    // O_NONBLOCK, because opening a named pipe would otherwise wait until somebody writes to it.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    opened.push(fd);
  } catch (error) {
    return explainUnopened(path, kind, euid, error);
  }
  try {
    const stats = fstatSync(fd);
    // People name /dev/null to have no configuration at all.
    if (path === '/dev/null' && stats.isCharacterDevice()) return { state: 'read', text: '', refuses: () => null };
    if (stats.isDirectory()) return { state: 'closed', detail: `${path}: is a directory, not a file` };
    const stranger = kind === 'own' ? ignoreStranger(path, stats.uid, euid) : null;
    if (stranger !== null) return stranger;
    const runner = { euid };
    // A file that an argument names may say where mail goes, like any other. `refuses` answers for the keys that it may not hold.
    const refused = whyOpenFileRefused(kind === 'argument' ? 'named' : kind, path, stats, fd, runner);
    if (refused !== null) return { state: 'refused', detail: `${path}: ${refused}` };
    const octets = readOctets(fd);
    if (octets.length > LARGEST_FILE)
      return { state: 'refused', detail: `${path}: has more than ${LARGEST_FILE} octets; is it a configuration file?` };
    if (!isUtf8(octets))
      return { state: 'refused', detail: `${path}:${lineNotUtf8(octets)}: is not UTF-8, which TOML demands: convert the file` };
    return {
      state: 'read',
      text: octets.toString('utf8'),
      refuses(held) {
        if (held === 'literal') return whyOpenFileRefused('literal', path, stats, fd, runner);
        const byArgument = kind === 'argument' ? whyOpenFileRefused('argument', path, stats, fd, runner) : null;
        return byArgument ?? (held === 'command' ? whyOpenFileRefused('command', path, stats, fd, runner) : null);
      },
    };
  } catch (error) {
    return { state: 'refused', detail: `${path}: cannot be read (${codeOf(error)})` };
  }
}

/** The environment may be another user's (su, sudo -E, cron), and that user's file must not be obeyed. */
function ignoreStranger(path: string, owner: number, euid: number): FileContent | null {
  if (owner === euid || owner === 0) return null;
  return { state: 'ignored', detail: `${path}: belongs to uid ${owner}, not to uid ${euid}, and is ignored` };
}

/** All octets, or a few more than LARGEST_FILE, because `-C` may name a device that never ends. */
function readOctets(fd: number): Buffer {
  const parts: Buffer[] = [];
  for (let total = 0; total <= LARGEST_FILE; ) {
    const part = Buffer.allocUnsafe(1 << 14);
    const count = readSync(fd, part);
    if (count === 0) break;
    parts.push(part.subarray(0, count));
    total += count;
  }
  return Buffer.concat(parts);
}

/** What is no UTF-8 becomes U+FFFD. node:buffer has a function for this, and takes longer to load than a file to read. */
const isUtf8 = (octets: Buffer): boolean => Buffer.from(octets.toString('utf8')).equals(octets);

function lineNotUtf8(octets: Buffer): number {
  let line = 1;
  for (let from = 0; ; line++) {
    const end = octets.indexOf(10, from);
    if (end < 0 || !isUtf8(octets.subarray(from, end))) return line;
    from = end + 1;
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

function explainUnopened(path: string, kind: ConfigKind, euid: number, error: unknown): FileContent {
  const code = codeOf(error);
  // Without the file that a link leads to, less would be in force than was written, the lock perhaps.
  const isLink = code === 'ENOENT' && lstatSync(path, { throwIfNoEntry: false });
  if (!isLink && /^(ENOENT|ENOTDIR)$/.test(code)) return { state: 'absent' };
  if (!/^(EACCES|EPERM)$/.test(code))
    return { state: 'refused', detail: isLink ? `${path}: links to nothing` : `${path}: cannot be opened (${code})` };
  const detail = `${path}: ${whyUnread(path, error)}`;
  const owner = fileOwnerOf(path);
  // ProtectHome= of systemd leaves a service such a home directory.
  if (kind === 'own' && owner === null) return { state: 'ignored', detail: `${detail}; it is ignored` };
  return (kind === 'own' && owner !== null ? ignoreStranger(path, owner, euid) : null) ?? { state: 'closed', detail };
}
