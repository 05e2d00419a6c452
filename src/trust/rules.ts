/**
 * Decides whose file may be obeyed: one table, by owner and mode, for every file that says where mail goes or with which
 * secret. nospool.toml(5) has the same table. Pure: the caller hands in the facts, as functions where they cost something.
 */
import type { FileSystem } from './file-system.ts';

/** The kinds of files. A configuration may be of several kinds, by how it is named and by what it holds. */
export type FileKind =
  | 'system'
  | 'named'
  | 'own'
  | 'command'
  | 'argument'
  | 'literal'
  | 'aliases'
  | 'include'
  | 'forward'
  | 'password'
  | 'own password'
  | 'key'
  | 'certificate';

/** 'user': whose `~/.forward` it is; 'includer': the owner of the file that includes it. */
export type FileOwner = 'root' | 'runner' | 'user' | 'includer';

export interface FileRule {
  /** [] = anybody. */
  readonly owners: readonly FileOwner[];
  /** Those besides its owner who may have the right to change it. 'own group': a group in which nobody else is. */
  readonly changedBy: 'nobody' | 'own group' | 'group';
  readonly readBy: 'group' | 'everybody';
  /** True if owner and right to change do not matter on a read-only mount, because nobody here can change the file. */
  readonly mayBeMounted: boolean;
}

export const RULES: Readonly<Record<FileKind, FileRule>> = {
  // /etc/nospool.toml, and a file of /etc/nospool.d.
  system: rule(['root', 'runner'], 'group'),
  // What -C or NOSPOOL_CONFIG names.
  named: rule(['root', 'runner'], 'group'),
  // The user's own configuration.
  own: rule(['root', 'runner'], 'own group'),
  // A configuration that holds password_command or token_command.
  command: rule([], 'nobody'),
  // One that -C of sendmail names, and that holds such a command or a path as log: an argument may come from a web form.
  argument: rule(['root'], 'group', 'everybody', false),
  // A configuration that holds a password.
  literal: rule([], 'group', 'group'),
  aliases: rule(['root', 'runner'], 'group'),
  include: rule(['root', 'runner', 'includer'], 'group'),
  forward: rule(['root', 'user'], 'nobody', 'everybody', false),
  password: rule(['root', 'runner'], 'group', 'group'),
  // Such a file, and a list of addresses that not everybody may read, where -C of sendmail names a configuration that root does not own.
  'own password': rule(['runner'], 'group', 'group', false),
  key: rule(['root', 'runner'], 'group', 'group'),
  certificate: rule([], 'group'),
};

function rule(
  owners: readonly FileOwner[],
  changedBy: FileRule['changedBy'],
  readBy: FileRule['readBy'] = 'everybody',
  mayBeMounted = true,
): FileRule {
  return { owners, changedBy, readBy, mayBeMounted };
}

export interface FileFacts {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** The number of its names (hard links). */
  readonly links: number;
  readonly fileSystem: FileSystem;
  /** True if nobody but the user who runs this is in the file's group. */
  readonly isOwnGroup: () => boolean;
  readonly mount: () => Mount;
}

/** The file system that a file is on. */
interface Mount {
  readonly isReadOnly: boolean;
  /** True if the file or its folder was mounted by itself, as container runtimes do. */
  readonly isOwn: boolean;
}

export interface Runner {
  readonly euid: number;
  /** The user whose file it is, or the owner of the file that includes it; null = none. */
  readonly other?: number | null;
  /** The folder in which container runtimes put secrets; undefined = the usual one. */
  readonly containerSecrets?: string | undefined;
}

/** Container runtimes put secrets here. Whoever is within the container is meant to read them, and can change nothing there. */
const CONTAINER_SECRETS = '/run/secrets/';

const [OTHERS_READ, OTHERS_WRITE, GROUP_WRITE] = [0o004, 0o002, 0o020];

/** Says why the file must not be obeyed, as a sentence that continues its name and says what mends it; null if it may. */
export function whyRefused(kind: FileKind, file: FileFacts, runner: Runner): string | null {
  const { owners, readBy, mayBeMounted } = RULES[kind];
  if (file.fileSystem === 'procfs')
    return 'is refused, because it is on procfs, where root owns what any program has written: copy it to a file';
  if (file.fileSystem === 'FUSE' && kind === 'argument')
    return 'is refused, because it is on FUSE, where whoever has mounted it says who owns a file, and -C names it: copy it to another file system';
  if (readBy === 'group' && mayBeMounted && file.path.startsWith(runner.containerSecrets ?? CONTAINER_SECRETS)) return null;
  // A user can link a file of root into the own home directory.
  if (kind === 'forward' && file.links > 1 && file.uid !== runner.other) return 'is refused, because it has a second name';
  const isOwned = owners.length === 0 || owners.some((owner) => uidOf(owner, runner) === file.uid);
  const changing = file.mode & forbiddenBits(kind, file);
  const isUnchanging = (isOwned && changing === 0) || (mayBeMounted && file.mount().isReadOnly);
  if (!isUnchanging && !isOwned) return explainStranger(kind, file, runner);
  const open = (isUnchanging ? 0 : changing) | (readBy === 'group' ? file.mode & OTHERS_READ : 0);
  return open === 0 ? null : explainOpenFile(kind, open, file);
}

const uidOf = (owner: FileOwner, { euid, other = null }: Runner): number | null =>
  owner === 'root' ? 0 : owner === 'runner' ? euid : other;

/** Returns the bits of the mode that let somebody change the file who must not. */
function forbiddenBits(kind: FileKind, file: FileFacts): number {
  const { changedBy } = RULES[kind];
  const isGroupRefused = changedBy === 'nobody' || (changedBy === 'own group' && (file.mode & GROUP_WRITE) !== 0 && !file.isOwnGroup());
  return OTHERS_WRITE | (isGroupRefused ? GROUP_WRITE : 0);
}

function explainStranger(kind: FileKind, file: FileFacts, runner: Runner): string {
  const owners = new Map<number, string>();
  for (const owner of RULES[kind].owners) {
    const uid = uidOf(owner, runner);
    if (uid !== null && !owners.has(uid)) owners.set(uid, `to ${OWNERS[owner]}${owner === 'root' ? '' : ` (uid ${uid})`}`);
  }
  if (kind === 'own password')
    return `is refused, because this file belongs to uid ${file.uid} (mode ${printMode(file.mode)}), not ${[...owners.values()].join()}, and -C names the configuration: name it by NOSPOOL_CONFIG, or give it to root`;
  const where = kind === 'argument' ? ', and -C names it' : '';
  const cure = kind === 'argument' ? ', or name it by NOSPOOL_CONFIG' : '';
  return `is refused, because this file belongs to uid ${file.uid} (mode ${printMode(file.mode)}), not ${[...owners.values()].join(' or ')}${where}: run chown ${kind === 'forward' ? runner.other : 'root'} ${quoteForShell(file.path)}${cure}${cureByMount(kind, file)}`;
}

const OWNERS: Readonly<Record<FileOwner, string>> = {
  root: 'root',
  runner: 'the user who runs this',
  user: 'the user whose file it would be',
  includer: 'the owner of the file that includes it',
};

function explainOpenFile(kind: FileKind, bits: number, file: FileFacts): string {
  const [isGroup, isOthers] = [(bits & GROUP_WRITE) !== 0, (bits & (OTHERS_WRITE | OTHERS_READ)) !== 0];
  const who = isGroup ? (isOthers ? 'its group and every user' : 'its group') : 'every user';
  const [isRead, isChanged] = [(bits & OTHERS_READ) !== 0, (bits & (OTHERS_WRITE | GROUP_WRITE)) !== 0];
  const verb = isRead ? (isChanged ? 'read and change' : 'read') : 'change';
  const letters = `${isGroup ? 'g' : ''}${isOthers ? 'o' : ''}-${isRead ? 'r' : ''}${isChanged ? 'w' : ''}`;
  // The container runtime sets the mode of what it mounts.
  const cure = isRead && file.mount().isOwn ? `, or mount it with mode 0440 or in ${CONTAINER_SECRETS}` : cureByMount(kind, file);
  return `is refused, because ${who} can ${verb} this file (mode ${printMode(file.mode)}, owner uid ${file.uid}): run chmod ${letters} ${quoteForShell(file.path)}${cure}`;
}

const cureByMount = (kind: FileKind, file: FileFacts): string =>
  RULES[kind].mayBeMounted && file.mount().isOwn ? ', or mount it read-only' : '';

/** `0640` */
export const printMode = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');

/** Quotes a path as a word of the shell. */
export const quoteForShell = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

/** True if the user alone is in the group, by group(5) and passwd(5). Distributions make such a group for each user. */
export function isPrivateGroup(gid: number, uid: number, group: string, passwd: string): boolean {
  const users = rowsOf(passwd);
  const names = users.filter(([, , own]) => own === String(uid)).map(([name]) => name);
  const groups = rowsOf(group).filter(([, , own]) => own === String(gid));
  const members = groups.flatMap(([, , , list = '']) => list.split(',')).filter((member) => member !== '');
  const isOthers = users.some(([, , own, primary]) => primary === String(gid) && own !== String(uid));
  return groups.length > 0 && names.length > 0 && !isOthers && members.every((member) => names.includes(member));
}

/** The rows of group(5) or passwd(5). */
export const rowsOf = (text: string): readonly (readonly string[])[] => text.split('\n').map((line) => line.split(':'));

/** Finds the mount of an open file, by proc(5): `fdinfo` of its descriptor and `mountinfo`. */
export function mountOf(path: string, fdinfo: string, mountinfo: string): Mount {
  const id = /^mnt_id:\s*(\d+)$/m.exec(fdinfo)?.[1];
  const row = mountinfo.split('\n').find((line) => line.split(' ', 1)[0] === id);
  const [, , , , place = '', options = ''] = row?.split(' ') ?? [];
  const whole = row?.split(' - ')[1]?.split(' ')[2] ?? '';
  const point = place.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  const isOwn = point !== '/' && (point === path || point === path.slice(0, path.lastIndexOf('/')));
  return { isReadOnly: [options, whole].some((list) => list.split(',').includes('ro')), isOwn };
}
