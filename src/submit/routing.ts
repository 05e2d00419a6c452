/**
 * Routing with the real files: answers what `src/router` asks from alias files, included lists and `~/.forward`. The
 * files may change at any time, so nothing is kept from one message to the next; an alias file is passed through
 * once for each generation of addresses and never held. Opens no socket.
 */

import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { type UserInfo, userInfo } from 'node:os';
import { agree, type RoutedTo } from '../router/agree.ts';
import { type AliasEntry, type AliasReader, searchAliases } from '../router/aliases.ts';
import { checkAliases } from '../router/check.ts';
import { LONGEST_LIST } from '../router/data.ts';
import { type RouterConfig, withDefaults } from '../router/defaults.ts';
import { type RoutingDone, startRouting } from '../router/resolve.ts';
import type { Answer, ReadList, RoutedRecipient, RoutingNode, RoutingProblem, Unread, Want } from '../router/route.ts';
import { type ForwardPath, mailboxKey, type ReversePath } from '../smtp/path.ts';
import { fromUtf8 } from '../smtp/text.ts';

export type Routing = RoutingDone;

/** What routing has to know of the message and of this host. */
export interface RoutingFacts {
  readonly reversePath: ReversePath;
  /** What '@' stands for (`ownDomains`). */
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
  include(file: string): Promise<Unread | ReadList>;
  forward(user: string): Promise<Unread | ReadList>;
}

/** '@' in `domains`: this host's names, in lower case. */
export function ownDomains(
  { qualifyDomain, qualifyRecipient }: { readonly qualifyDomain: string; readonly qualifyRecipient: string },
  hostname: string,
): readonly string[] {
  const names = [hostname, 'localhost', qualifyDomain, qualifyRecipient].map((name) => name.toLowerCase());
  return [...new Set(names)].filter((name) => name !== '');
}

/** Routes the recipients of one message (without duplicates or with). Never rejects for what a file says or lacks. */
export async function routeMessage(config: RouterConfig, facts: RoutingFacts, recipients: readonly ForwardPath[]): Promise<Routing> {
  const { files = systemFiles(), shuffle = randomOrder, reversePath, ours, qualifyRecipient } = facts;
  let step = startRouting({ routers: withDefaults(config), recipients, reversePath, ours, qualifyRecipient, shuffle });
  while (step.kind === 'needs') {
    const answers: Answer[] = [];
    // One after another: a list may include more files than a process may have open.
    for (const want of step.wants) answers.push(await answer(files, want));
    step = step.resume(answers);
  }
  return step;
}

/** Routing for a dialogue (`-bs`), where each recipient is answered before the next is known. */
export interface RoutingDialogue {
  /**
   * Routes one more recipient and takes it if it can share the transaction of those before it; the problems say why
   * not, and then it counts for nothing. Calls must not overlap.
   */
  add(recipient: ForwardPath): Promise<readonly RoutingProblem[]>;
  /** Of all that were taken: what routeMessage would give. */
  routing(): Routing;
}

/**
 * Each recipient is routed as if it were alone, which is how `src/router` routes many; the alias files are read again
 * for each.
 */
export function routeOneByOne(config: RouterConfig, facts: RoutingFacts): RoutingDialogue {
  const { shuffle = randomOrder, reversePath } = facts;
  const orders = new Map<number, readonly number[]>();
  const order = (n: number): readonly number[] => {
    const known = orders.get(n) ?? shuffle(n);
    orders.set(n, known);
    return known;
  };
  const taken = new Map<string, RoutedTo>();
  const discarded: RoutedRecipient[] = [];
  const tree: RoutingNode[] = [];
  return {
    async add(recipient) {
      const alone = await routeMessage(config, { ...facts, shuffle: order }, [recipient]);
      const [first] = taken.values();
      const { route } = alone;
      if (alone.problems.length > 0) return alone.problems;
      const routed = route === null ? [] : alone.recipients.map((each): RoutedTo => ({ recipient: each, route }));
      const agreed = agree(first === undefined ? routed : [first, ...routed], reversePath);
      if (agreed !== null && 'kind' in agreed) return [agreed];
      for (const each of routed) if (!taken.has(mailboxKey(each.recipient.path))) taken.set(mailboxKey(each.recipient.path), each);
      discarded.push(...alone.discarded);
      tree.push(...alone.tree);
      return [];
    },
    routing() {
      const [first] = taken.values();
      const recipients = [...taken.values()].map(({ recipient }) => recipient);
      return { kind: 'done', reversePath, recipients, discarded, route: first?.route ?? null, problems: [], tree };
    },
  };
}

async function answer(files: RoutingFiles, want: Want): Promise<Answer> {
  switch (want.kind) {
    case 'aliases':
      return { ...want, got: await files.aliases(want.file, want.keys) };
    case 'include':
      return { ...want, got: await files.include(want.file) };
    case 'forward':
      return { ...want, got: await files.forward(want.user) };
  }
}

/** Every order is equally likely. */
export function randomOrder(n: number): readonly number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const k = Math.floor(Math.random() * (i + 1));
    [order[i], order[k]] = [order[k] as number, order[i] as number];
  }
  return order;
}

/** The alias files, included lists and `~/.forward` files of this host; `passwd` is for tests. */
export function systemFiles(passwd = '/etc/passwd'): RoutingFiles {
  return {
    aliases: async (file, keys) => {
      const search = searchAliases(keys);
      const unread = await pass(file, search, () => search.isDone);
      return unread ?? { kind: 'entries', entries: search.entries.map(flat) };
    },
    include: (file) => readList(file, () => null),
    forward: async (user) => {
      const account = await findAccount(user, passwd);
      if (account === null || 'kind' in account) return account ?? MISSING;
      return readList(`${account.home}/.forward`, (uid, mode) => {
        // Exim's defaults for `owners` and `modemask`: others must not direct this user's mail.
        if (uid !== account.uid && uid !== 0) return `belongs neither to ${user} nor to root`;
        return (mode & 0o022) === 0 ? null : `can be written by others; run: chmod go-w ${account.home}/.forward`;
      });
    },
  };
}

/** What `newaliases` finds. */
export interface AliasReport {
  readonly entries: number;
  /** Sentences that begin with file and line; not empty: the files need repair. */
  readonly faults: readonly string[];
  /** Files and pipes, whose mail fails by design. */
  readonly locals: readonly string[];
}

/** Reads all alias files of the configuration, and the lists they include, as routing would. */
export async function checkAliasFiles(config: RouterConfig): Promise<AliasReport> {
  const check = checkAliases();
  const faults: string[] = [];
  for (const router of withDefaults(config)) {
    if (router.driver !== 'redirect' || router.file === '') continue;
    const unread = await pass(router.file, check.aliases(router.file), () => false);
    if (unread !== null && !(unread.kind === 'missing' && router.ifPresent)) faults.push(printUnread(unread, router.file));
  }
  // The list of includes grows while it is walked.
  for (let i = 0; i < check.includes.length; i++) {
    const file = check.includes[i] as string;
    const got = await readList(file, () => null);
    if (got.kind === 'text') check.list(file, got.text);
    else faults.push(printUnread(got, file));
  }
  return { entries: check.entries, faults: [...faults, ...check.faults], locals: check.locals };
}

function printUnread(unread: Unread, file: string): string {
  return unread.kind === 'missing' ? `cannot read ${file}: no such file or directory` : unread.detail;
}

const MISSING: Unread = { kind: 'missing' };
/** Octets of one read: a few thousand lines, and less than a pipe or a page cache would notice. */
const CHUNK = 64 * 1024;

/** Hands a file's octets to a reader; null when it went well. */
async function pass(file: string, reader: AliasReader, isDone: () => boolean): Promise<Unread | null> {
  return withFile(file, async (handle) => {
    const chunk = Buffer.allocUnsafe(CHUNK);
    while (!isDone()) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK, null);
      if (bytesRead === 0) break;
      reader.read(chunk.toString('latin1', 0, bytesRead));
    }
    reader.end();
    return null;
  });
}

/** A whole list, UTF-8 if it is valid. `refuse` says why a file of this owner and mode is not read. */
async function readList(file: string, refuse: (uid: number, mode: number) => string | null): Promise<Unread | ReadList> {
  return withFile<ReadList>(file, async (handle, { uid, mode }) => {
    const refused = refuse(uid, mode);
    if (refused !== null) return { kind: 'unreadable', detail: `${file} ${refused}` };
    let text = '';
    const chunk = Buffer.allocUnsafe(CHUNK);
    // One octet more than is allowed tells that it is too long.
    while (text.length <= LONGEST_LIST) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK, null);
      if (bytesRead === 0) break;
      text += chunk.toString('latin1', 0, bytesRead);
    }
    return { kind: 'text', file, text: fromUtf8(text) ?? text };
  });
}

/** Opens a regular file; anything else could keep us waiting for ever. */
async function withFile<T>(
  file: string,
  use: (handle: FileHandle, stat: { readonly uid: number; readonly mode: number }) => Promise<T | Unread>,
): Promise<T | Unread> {
  let handle: FileHandle | undefined;
  try {
    const { open } = await import('node:fs/promises');
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    return stat.isFile() ? await use(handle, stat) : { kind: 'unreadable', detail: `cannot read ${file}: it is not a regular file` };
  } catch (error) {
    return unreadOf(error, file);
  } finally {
    await handle?.close();
  }
}

function unreadOf(error: unknown, file: string): Unread {
  const { code, message } = error as NodeJS.ErrnoException;
  // Without a code it is no system error but a bug.
  if (code === undefined) throw error;
  if (code === 'ENOENT' || code === 'ENOTDIR') return MISSING;
  // "EACCES: permission denied, open '/etc/aliases'"
  return { kind: 'unreadable', detail: `cannot read ${file}: ${/^\w+: (.*?),/.exec(message)?.[1] ?? code}` };
}

interface Account {
  readonly uid: number;
  readonly home: string;
}

/**
 * A user of this host, by a name without regard to case, as Exim has it. Users that only a directory service knows are
 * not found, but for the one who runs this.
 */
async function findAccount(name: string, passwd: string): Promise<Account | Unread | null> {
  const wanted = name.toLowerCase();
  let found: Account | null = null;
  const lines = lineReader((line) => {
    const [user = '', , uid = '', , , home = ''] = line.split(':');
    if (found === null && user.toLowerCase() === wanted && /^\d+$/.test(uid) && home.startsWith('/')) found = { uid: Number(uid), home };
  });
  const unread = await pass(passwd, lines, () => found !== null);
  if (found !== null) return found;
  const own = ownAccount();
  if (own?.username.toLowerCase() === wanted && own.homedir.startsWith('/')) return { uid: own.uid, home: own.homedir };
  return unread?.kind === 'unreadable' ? unread : null;
}

/** null for a uid without an entry. */
function ownAccount(): UserInfo<string> | null {
  try {
    return userInfo();
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

/** The entry with strings of their own: parts of a chunk would keep the whole chunk in memory. */
function flat({ key, text, line, fault }: AliasEntry): AliasEntry {
  const own = (part: string) => Buffer.from(part, 'utf8').toString('utf8');
  return { key: own(key), text: own(text), line, ...(fault === undefined ? {} : { fault }) };
}
