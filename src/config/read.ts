/**
 * Finds the configuration file, reads it, and puts the environment over it. Every sendmail run comes through here:
 * the TOML parser is loaded only when there is a file. Knows no key but `lock`.
 */
import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import type { Config } from './config.ts';
import { type Environment, type File, type Interpreted, interpret } from './interpret.ts';
import { printMode } from './policy.ts';

export const SYSTEM_FILE = '/etc/nospool.toml';

export interface ConfigRequest {
  /** `-C`; null = not given. */
  readonly path: string | null;
  readonly env: Environment;
  /** From the password database; null = none. */
  readonly home: string | null;
  readonly euid: number;
  /** The system file, for tests; SYSTEM_FILE when absent. */
  readonly systemFile?: string;
}

export type ConfigAnswer =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  /** Sentences that name file, line and key; never a secret. */
  | Extract<Interpreted, { readonly ok: false }>;

/** A file with all keys and a comment for each is under 8 KiB; 1 MiB leaves room for thousands of routes and bounds memory. */
const LARGEST = 1 << 20;

type Content =
  | { readonly state: 'read'; readonly text: string; readonly mode: number | null; readonly owner: number }
  | { readonly state: 'absent' }
  /** `owner` is null when not even that can be seen. */
  | { readonly state: 'denied'; readonly detail: string; readonly owner: number | null }
  | { readonly state: 'broken'; readonly detail: string };

/**
 * The configuration in force: `-C`, else `$NOSPOOL_CONFIG`, else the user's file, else the system file, with
 * `NOSPOOL_…` variables over it; or the system file alone when it says `lock = true`. None found: the defaults.
 */
export async function readConfig(request: ConfigRequest): Promise<ConfigAnswer> {
  const { path, env, home, euid, systemFile = SYSTEM_FILE } = request;
  const directories = { home };
  const system = readText(systemFile, euid);

  // A system file that this user cannot read cannot be in force for this user, locked or not.
  if (system.state === 'read' && system.text.includes('lock')) {
    const file = await parseFile(systemFile, system, true);
    if (!('toml' in file)) return file;
    if (file.toml.table.lock === true) {
      const answer = interpret(file, {}, directories);
      return answer.ok ? { ...answer, warnings: [...answer.warnings, ...ignored(request, systemFile)] } : answer;
    }
  }

  const named = path ?? (env.NOSPOOL_CONFIG || null);
  if (named !== null) {
    const content = named === systemFile ? system : readText(named, euid);
    if (content.state === 'absent')
      return refusal(
        path === null ? `environment: NOSPOOL_CONFIG names "${named}", which does not exist` : `-C names "${named}", which does not exist`,
      );
    return finish(named, content, named === systemFile, env, directories, []);
  }

  const warnings: string[] = [];
  const own = userFile(env, home);
  if (own !== null) {
    const content = readText(own, euid);
    const owner = content.state === 'read' || content.state === 'denied' ? content.owner : euid;
    // The environment may be another user's (su, sudo -E, cron): what it points at is then not ours to obey. A closed
    // home directory is what ProtectHome= of systemd leaves a service.
    if (owner === null && content.state === 'denied') warnings.push(`${content.detail}; it is ignored`);
    else if (owner !== euid && owner !== 0) warnings.push(`${own}: belongs to uid ${owner}, not to uid ${euid}, and is ignored`);
    else if (content.state !== 'absent') return finish(own, content, false, env, directories, warnings);
  }
  return finish(systemFile, system, true, env, directories, warnings);
}

const refusal = (sentence: string): ConfigAnswer => ({ ok: false, errors: [sentence] });

/** What -C and the environment would have said, had the system file not been locked. */
function ignored({ path, env }: ConfigRequest, systemFile: string): string[] {
  const names = Object.keys(env).filter((name) => name.startsWith('NOSPOOL_') && env[name]);
  const given = path === null ? names : [`-C ${path}`, ...names];
  return given.length === 0 ? [] : [`${systemFile}: is locked, so ${given.join(', ')} ${given.length === 1 ? 'is' : 'are'} ignored`];
}

/** `$XDG_CONFIG_HOME/nospool/config.toml`, where the variable defaults to ~/.config and must be absolute (XDG Base Directory Specification). */
function userFile(env: Environment, home: string | null): string | null {
  const folder = env.XDG_CONFIG_HOME?.startsWith('/') ? env.XDG_CONFIG_HOME : home === null ? null : `${home}/.config`;
  return folder === null ? null : `${folder}/nospool/config.toml`;
}

async function finish(
  path: string,
  content: Content,
  isSystem: boolean,
  env: Environment,
  directories: Parameters<typeof interpret>[2],
  warnings: readonly string[],
): Promise<ConfigAnswer> {
  if (content.state === 'denied' || content.state === 'broken') return refusal(content.detail);
  const file = content.state === 'absent' ? null : await parseFile(path, content, isSystem);
  if (file !== null && !('toml' in file)) return file;
  const answer = interpret(file, env, directories);
  return answer.ok ? { ...answer, warnings: [...warnings, ...answer.warnings] } : answer;
}

async function parseFile(
  path: string,
  { text, mode }: Content & { state: 'read' },
  isSystem: boolean,
): Promise<File | (ConfigAnswer & { ok: false })> {
  const { parseToml } = await import('./toml.ts');
  const toml = parseToml(text);
  if (!toml.ok) return { ok: false, errors: [`${path}:${toml.line}: this is not TOML: ${toml.detail}`] };
  return { path, toml, mode, isSystem };
}

function readText(path: string, euid: number): Content {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    return unopened(path, euid, codeOf(error));
  }
  try {
    const stats = fstatSync(fd);
    if (stats.isDirectory()) return { state: 'broken', detail: `${path}: is a directory, not a file` };
    const octets = readOctets(fd);
    if (octets.length > LARGEST)
      return { state: 'broken', detail: `${path}: has more than ${LARGEST} octets; is it a configuration file?` };
    if (!isUtf8(octets))
      return { state: 'broken', detail: `${path}:${lineNotUtf8(octets)}: is not UTF-8, which TOML demands: convert the file` };
    return { state: 'read', text: octets.toString('utf8'), mode: stats.isFile() ? stats.mode & 0o7777 : null, owner: stats.uid };
  } catch (error) {
    return { state: 'broken', detail: `${path}: cannot be read (${codeOf(error)})` };
  } finally {
    closeSync(fd);
  }
}

/** All octets, or the first LARGEST and some more: `-C` may name a device that never ends. */
function readOctets(fd: number): Buffer {
  const parts: Buffer[] = [];
  for (let total = 0; total <= LARGEST; ) {
    const part = Buffer.allocUnsafe(1 << 14);
    const count = readSync(fd, part);
    if (count === 0) break;
    parts.push(part.subarray(0, count));
    total += count;
  }
  return Buffer.concat(parts);
}

function lineNotUtf8(octets: Uint8Array): number {
  let line = 1;
  for (let from = 0; ; line++) {
    const end = octets.indexOf(10, from);
    if (end < 0 || !isUtf8(octets.subarray(from, end))) return line;
    from = end + 1;
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

function unopened(path: string, euid: number, code: string): Content {
  if (code === 'ENOENT' || code === 'ENOTDIR') return { state: 'absent' };
  if (code !== 'EACCES' && code !== 'EPERM') return { state: 'broken', detail: `${path}: cannot be opened (${code})` };
  let stats: Stats | null = null;
  try {
    stats = statSync(path);
  } catch {
    // The folder above is closed as well: its mode is the reason, and the file cannot be looked at.
  }
  const why = stats
    ? `its mode is ${printMode(stats.mode)}, its owner uid ${stats.uid} and gid ${stats.gid}: let this user read it, by its group for instance`
    : 'a directory above it is closed to this user';
  return { state: 'denied', owner: stats?.uid ?? null, detail: `${path}: cannot be read by uid ${euid}; ${why}` };
}
