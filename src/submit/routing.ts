/**
 * Routes with the real files: answers what `src/router` asks from alias files, included lists and `~/.forward`. It keeps nothing from
 * one message to the next, because the files may change at any time. It passes through an alias file once for each generation of
 * addresses and does not hold it, except where recipients come one by one. Opens no socket.
 */

import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { UserInfo } from 'node:os';
import { type AliasEntry, type AliasReader, makeAliasReader, searchAliases } from '../router/aliases.ts';
import { LONGEST_LIST } from '../router/data.ts';
import { type RouterConfig, withDefaults } from '../router/defaults.ts';
import { prepareRouting, type RoutingAnswer, type RoutingDone } from '../router/resolve.ts';
import type { Answer, ReadList, Unread, Want } from '../router/want.ts';
import type { ForwardPath, ReversePath } from '../smtp/path.ts';
import { textOf } from '../smtp/text.ts';
import { runningUser, whyOpenFileRefused, whyUnread } from '../trust/facts.ts';
import type { FileKind } from '../trust/rules.ts';
import { asciiDomain, spellings } from './domain.ts';
import type { Settings } from './settings.ts';

export type Routing = RoutingDone;

/** What routing needs of the settings. */
export type RoutingSettings = RouterConfig & Pick<Settings, 'isByArgument'>;

/** The facts of the message and of this host on which routing depends. */
export interface RoutingFacts {
  readonly reversePath: ReversePath;
  /** The domains for which '@' stands (`ownDomains`). */
  readonly ours: readonly string[];
  /** '' leaves bare addresses bare; they fail where no alias replaces them. */
  readonly qualifyRecipient: string;
  /** Default: the files of this host. */
  readonly files?: RoutingFiles;
  /** A permutation of 0…n-1; default: random. */
  readonly shuffle?: (n: number) => readonly number[];
}

/** Answers the questions that only files can answer. */
export interface RoutingFiles {
  aliases(file: string, keys: readonly string[]): Promise<Unread | { readonly kind: 'entries'; readonly entries: readonly AliasEntry[] }>;
  /** A whole alias file, unless it takes more than `room` octets of memory. */
  table(file: string, room: number): Promise<Unread | AliasTable | { readonly kind: 'too large' }>;
  /** `by` is the list that includes the file. */
  include(file: string, by: string): Promise<Unread | ReadList>;
  forward(user: string): Promise<Unread | ReadList>;
}

export interface AliasTable {
  readonly kind: 'table';
  /** The first entry of each key. */
  readonly entries: ReadonlyMap<string, AliasEntry>;
  /** Octets of memory, about. */
  readonly size: number;
}

/** The domains for which '@' stands in a router's `domains`: this host's names, in lower case. */
export function ownDomains(
  { qualifyDomain, qualifyRecipient }: { readonly qualifyDomain: string; readonly qualifyRecipient: string },
  hostname: string,
): readonly string[] {
  const names = [hostname, 'localhost', qualifyDomain, qualifyRecipient].flatMap(spellings).map((name) => name.toLowerCase());
  return [...new Set(names)].filter((name) => name !== '');
}

/** Routes the recipients of one message (without duplicates or with). Never rejects for what a file says or lacks. */
export async function routeMessage(config: RoutingSettings, facts: RoutingFacts, recipients: readonly ForwardPath[]): Promise<Routing> {
  const { files = systemFiles(config) } = facts;
  return finish(prepare(config, facts)(recipients), files);
}

/** What routes recipients, as often as it is called. */
export function prepare(config: RouterConfig, { shuffle = randomOrder, reversePath, ours, qualifyRecipient }: RoutingFacts) {
  const routers = withDefaults(config).map((router) => ({
    ...router,
    domains: router.domains.flatMap(spellings),
    senders: router.senders.flatMap(spellings),
  }));
  return prepareRouting({ routers, reversePath, ours, qualifyRecipient, shuffle, spell: asciiDomain });
}

/** Answers what the routing of recipients asks for, until it is done. */
export async function finish(first: RoutingAnswer, files: RoutingFiles): Promise<Routing> {
  let step = first;
  while (step.kind === 'needs') {
    const answers: Answer[] = [];
    // One after another, because a list may include more files than a process may have open.
    for (const want of step.wants) answers.push(await answer(files, want));
    step = step.resume(answers);
  }
  return step;
}

async function answer(files: RoutingFiles, want: Want): Promise<Answer> {
  switch (want.kind) {
    case 'aliases':
      return { ...want, got: await files.aliases(want.file, want.keys) };
    case 'include':
      return { ...want, got: await files.include(want.file, want.by) };
    case 'forward':
      return { ...want, got: await files.forward(want.user) };
  }
}

/** A random order of 0…n-1; every order is equally likely. */
export function randomOrder(n: number): readonly number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const k = Math.floor(Math.random() * (i + 1));
    [order[i], order[k]] = [order[k] as number, order[i] as number];
  }
  return order;
}

/** Octets of memory that an entry takes besides its text: strings, object and place in the table. */
const ENTRY_OVERHEAD = 160;

/** The alias files, included lists and `~/.forward` files of this host, for one message; `passwd` is for tests. */
export function systemFiles(settings: Obeyed = {}, passwd = '/etc/passwd'): RoutingFiles {
  const findAccount = accountsIn(passwd);
  const { pass, list } = aliasFiles(settings);
  return {
    aliases: async (file, keys) => {
      const search = searchAliases(keys);
      const unread = await pass(file, search, () => search.isDone);
      return unread ?? { kind: 'entries', entries: search.entries.map(copyStrings) };
    },
    table: async (file, room) => {
      const entries = new Map<string, AliasEntry>();
      let size = 0;
      const reader = makeAliasReader({
        wants: (key) => !entries.has(key),
        take(entry) {
          const own = copyStrings(entry);
          entries.set(own.key, own);
          size += ENTRY_OVERHEAD + own.key.length + own.text.length;
        },
      });
      const unread = await pass(file, reader, () => size > room);
      return unread ?? (size > room ? { kind: 'too large' } : { kind: 'table', entries, size });
    },
    include: list,
    forward: async (user) => {
      const account = await findAccount(user);
      if (account === null || 'kind' in account) return account ?? MISSING;
      const file = `${account.home}/.forward`;
      const read = async (handle: FileHandle, uid: number) => {
        const got = await readList(file, handle);
        return uid === process.geteuid?.() ? got : { ...got, isPrivate: true };
      };
      return withFile('forward', file, account.uid, read, settings);
    },
  };
}

/** Who has said which files to read. */
type Obeyed = Pick<Settings, 'isByArgument'>;

const MISSING: Unread = { kind: 'missing' };
/** Octets of one read: enough for a few thousand lines, and little for a pipe or a page cache. */
const CHUNK = 64 * 1024;

/** Reads alias files and the lists they include. A list may have the owner of the file that includes it. */
export function aliasFiles(settings: Obeyed = {}) {
  const owners = new Map<string, number>();
  return {
    /** Hands a file's octets to a reader; null when it went well. */
    pass: (file: string, reader: AliasReader, isDone: () => boolean): Promise<Unread | null> =>
      withFile(
        'aliases',
        file,
        null,
        async (handle, uid) => {
          owners.set(file, uid);
          await readThrough(handle, reader, isDone);
          return null;
        },
        settings,
      ),
    list: (file: string, by: string): Promise<Unread | ReadList> =>
      withFile(
        'include',
        file,
        owners.get(by) ?? null,
        async (handle, uid) => {
          owners.set(file, uid);
          return readList(file, handle);
        },
        settings,
      ),
  };
}

async function readThrough(handle: FileHandle, reader: AliasReader, isDone: () => boolean): Promise<void> {
  const chunk = Buffer.allocUnsafe(CHUNK);
  while (!isDone()) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK, null);
    if (bytesRead === 0) break;
    reader.read(chunk.toString('latin1', 0, bytesRead));
  }
  reader.end();
}

/** Reads a whole list, as UTF-8 if it is valid. */
async function readList(file: string, handle: FileHandle): Promise<ReadList> {
  let text = '';
  const chunk = Buffer.allocUnsafe(CHUNK);
  // One octet more than is allowed shows that the list is too long.
  while (text.length <= LONGEST_LIST) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK, null);
    if (bytesRead === 0) break;
    text += chunk.toString('latin1', 0, bytesRead);
  }
  return { kind: 'text', file, text: textOf(text) };
}

/** Opens a file that may be obeyed, without waiting for somebody to write to a pipe. `other` is one more owner that it may have. */
async function withFile<T>(
  kind: FileKind,
  file: string,
  other: number | null,
  use: (handle: FileHandle, uid: number) => Promise<T>,
  { isByArgument }: Obeyed = {},
): Promise<T | Unread> {
  let handle: FileHandle | undefined;
  try {
    const { open } = await import('node:fs/promises');
    // A link in somebody's home leads wherever that user likes.
    const following = kind === 'forward' ? constants.O_NOFOLLOW : 0;
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | following);
    const stats = await handle.stat();
    // What a list has goes to the smart host, and to whoever reads the reasons.
    const asked = isByArgument && (stats.mode & constants.S_IROTH) === 0 ? 'own password' : kind;
    const refused = whyOpenFileRefused(asked, file, stats, handle.fd, runningUser(other));
    return refused === null ? await use(handle, stats.uid) : { kind: 'unreadable', detail: `${file} ${refused}` };
  } catch (error) {
    return unreadOf(error, kind, file);
  } finally {
    await handle?.close();
  }
}

function unreadOf(error: unknown, kind: FileKind, file: string): Unread {
  const { code } = error as NodeJS.ErrnoException;
  // An error without a code is a bug, not an error of the system.
  if (code === undefined) throw error;
  if (code === 'ENOENT' || code === 'ENOTDIR') return MISSING;
  const isLink = code === 'ELOOP' && kind === 'forward';
  return { kind: 'unreadable', detail: `${file} ${isLink ? 'is refused, because it is a symbolic link' : whyUnread(file, error)}` };
}

interface Account {
  readonly uid: number;
  readonly home: string;
}

/**
 * Finds users of this host by name, without regard to case, as Exim does. It reads the list once, for the first. Of the users that
 * only a directory service knows it finds none except the one who runs this.
 */
function accountsIn(passwd: string): (name: string) => Promise<Account | Unread | null> {
  let known: ReadonlyMap<string, Account> | null = null;
  async function read(): Promise<Unread | null> {
    const accounts = new Map<string, Account>();
    const lines = lineReader((line) => {
      const [user = '', , uid = '', , , home = ''] = line.split(':');
      const folded = user.toLowerCase();
      if (!accounts.has(folded) && /^\d+$/.test(uid) && home.startsWith('/')) accounts.set(folded, { uid: Number(uid), home });
    });
    const unread = await withFile('aliases', passwd, null, async (handle) => {
      await readThrough(handle, lines, () => false);
      return null;
    });
    if (unread === null) known = accounts;
    return unread;
  }
  return async (name) => {
    const wanted = name.toLowerCase();
    const unread = known === null ? await read() : null;
    const found = known?.get(wanted);
    if (found !== undefined) return found;
    const own = ownAccount();
    if (own?.username.toLowerCase() === wanted && own.homedir.startsWith('/')) return { uid: own.uid, home: own.homedir };
    return unread?.kind === 'unreadable' ? unread : null;
  };
}

/** null for a uid without an entry. */
function ownAccount(): UserInfo<string> | null {
  try {
    return process.getBuiltinModule('node:os').userInfo();
  } catch {
    return null;
  }
}

function lineReader(take: (line: string) => void): AliasReader {
  let rest = '';
  return {
    read(octets) {
      const lines = (rest + octets).split('\n');
      rest = lines.pop() as string;
      lines.forEach(take);
    },
    end() {
      take(rest);
    },
  };
}

/** Copies the strings of an entry, because parts of a chunk would keep the whole chunk in memory. */
function copyStrings({ key, text, line, fault }: AliasEntry): AliasEntry {
  const own = (part: string) => Buffer.from(part, 'utf8').toString('utf8');
  return { key: own(key), text: own(text), line, ...(fault === undefined ? {} : { fault }) };
}
