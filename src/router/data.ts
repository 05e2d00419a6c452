/**
 * Holds the answers that routing has got so far: alias entries, included lists and `~/.forward` files, each parsed once. It
 * grows with each generation of addresses and never changes an answer.
 */

import { never } from '../smtp/parsed.ts';
import type { AliasEntry } from './aliases.ts';
import { parseRedirection, type Redirection, type RedirectionItem } from './redirection.ts';
import type { Answer, ReadList, Unread } from './want.ts';

/** 'absent': the file is there and does not have the key. */
export type Found = { readonly kind: 'list'; readonly list: Redirection } | { readonly kind: 'absent' } | Unread;

/** The answers so far, as routers see them. */
export interface RoutingData {
  /** Here and below: undefined if nobody has asked yet. */
  alias(file: string, key: string): Found | undefined;
  /** `by`: the list that includes it. */
  include(file: string, by: string): Found | undefined;
  forward(user: string): Found | undefined;
  learn(answers: readonly Answer[]): void;
}

/** Characters of an included list or a `~/.forward`: Exim's MAX_INCLUDE_SIZE. */
export const LONGEST_LIST = 1024 * 1024;

const ABSENT: Found = { kind: 'absent' };
/** A NUL separates the two, because no path has one. */
const pair = (file: string, by: string): string => `${file}\0${by}`;

export function makeRoutingData(): RoutingData {
  const aliases = new Map<string, Map<string, Found>>();
  const includes = new Map<string, Found>();
  const forwards = new Map<string, Found>();

  function learnOne(answer: Answer): void {
    switch (answer.kind) {
      case 'aliases': {
        const known = aliases.get(answer.file) ?? new Map<string, Found>();
        aliases.set(answer.file, known);
        const { got } = answer;
        for (const key of answer.keys) known.set(key, got.kind === 'entries' ? ABSENT : got);
        if (got.kind === 'entries')
          for (const entry of got.entries) known.set(entry.key, { kind: 'list', list: listOfEntry(entry, answer.file) });
        return;
      }
      case 'include':
        includes.set(pair(answer.file, answer.by), answer.got.kind === 'text' ? listOfText(answer.got) : answer.got);
        return;
      case 'forward':
        forwards.set(answer.user, answer.got.kind === 'text' ? listOfForward(answer.got) : answer.got);
        return;
      /* c8 ignore next 2 */
      default:
        never(answer);
    }
  }

  return {
    alias: (file, key) => aliases.get(file)?.get(key),
    include: (file, by) => includes.get(pair(file, by)),
    forward: (user) => forwards.get(user),
    learn: (answers) => answers.forEach(learnOne),
  };
}

/** The list of an alias file's entry. */
export function listOfEntry({ text, line, fault }: AliasEntry, file: string): Redirection {
  if (fault === undefined) return parseRedirection(text, file, line, true);
  return { source: file, line, items: [{ kind: 'fault', detail: fault, line }] };
}

function listOfText({ file, text }: ReadList): Found {
  if (text.length > LONGEST_LIST) return { kind: 'unreadable', detail: `${file} is longer than ${LONGEST_LIST} octets` };
  return { kind: 'list', list: parseRedirection(text, file) };
}

/** Exim and Sieve recognize a filter by its first line. If a filter were read as a list, mail would go to its words. */
function listOfForward(got: ReadList): Found {
  if (/^#\s*(exim|sieve)\s+filter/i.test(got.text))
    return { kind: 'unreadable', detail: `${got.file} is a filter; only a list of addresses is read` };
  const found = listOfText(got);
  if (found.kind !== 'list') return found;
  const items = found.list.items.map((item) =>
    item.kind === 'include' ? { ...item, ...NO_INCLUDE } : got.isPrivate ? hideWords(item) : item,
  );
  return { kind: 'list', list: { ...found.list, items } };
}

/** An include is refused because the owner of a `.forward` may not have the rights of the user who runs this. */
const NO_INCLUDE = { kind: 'fault', detail: 'a .forward includes no file' } as const;

/** Returns the item without its words. */
function hideWords(item: RedirectionItem): RedirectionItem {
  if (item.kind === 'fault') return { ...item, detail: 'this is not an address' };
  if (item.kind === 'fail' || item.kind === 'defer') return { ...item, detail: '' };
  return item.kind === 'local' ? { ...item, target: item.target.startsWith('|') ? 'a program' : 'a file' } : item;
}
