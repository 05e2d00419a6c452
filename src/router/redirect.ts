/**
 * The `redirect` router: replaces an address by the addresses that an alias file, an inline table or a `~/.forward` has for its
 * local-part. Reads no file: it returns the questions that it cannot answer yet.
 */

import { type ForwardPath, qualify, withDomain } from '../smtp/path.ts';
import { foldKey } from './aliases.ts';
import type { Found, RoutingData } from './data.ts';
import { localPartContent, readPreconditions } from './match.ts';
import { parseRedirection, printPlace, type Redirection, type RedirectionItem } from './redirection.ts';
import type { RedirectDefinition, RouteResult, Router, RouterFacts } from './route.ts';
import type { Want } from './want.ts';

/** Exim has no limit for nested lists; ten levels are more than any mailing list has. */
const DEEPEST_INCLUDE = 10;

export function makeRedirectRouter(definition: RedirectDefinition, surroundings: RouterFacts): Router {
  const { name, file } = definition;
  const precondition = readPreconditions(definition, surroundings.ours, surroundings.reversePath);
  const inline = definition.data === null ? null : readInlineLists(name, definition.data);

  function route(path: ForwardPath, data: RoutingData): RouteResult {
    const unmet = precondition(path);
    if (unmet !== null) return unmet;
    const user = localPartContent(path.localPart);
    if (inline !== null) return follow(inline(foldKey(user)), path, data);
    if (!definition.forward) return lookUp(foldKey(user), path, data);
    const found = data.forward(user);
    return found === undefined ? { kind: 'wanting', wants: [{ kind: 'forward', user }] } : follow(found, path, data);
  }

  /** Follows the entry of the key, else the entry of the default key. */
  function lookUp(key: string, path: ForwardPath, data: RoutingData): RouteResult {
    const found = data.alias(file, key);
    const fallback = data.alias(file, '*');
    if (found !== undefined && fallback !== undefined) return follow(found.kind === 'absent' ? fallback : found, path, data);
    return { kind: 'wanting', wants: [{ kind: 'aliases', file, keys: [key, '*'].filter((each) => data.alias(file, each) === undefined) }] };
  }

  function follow(found: Found, path: ForwardPath, data: RoutingData): RouteResult {
    if (found.kind === 'unreadable') return { kind: 'deferred', detail: found.detail };
    if (found.kind === 'list') return redirect(found.list, path, data);
    if (found.kind === 'absent' || definition.ifPresent) return NOT_THERE;
    return { kind: 'deferred', detail: `cannot read ${file}: no such file or directory` };
  }

  function redirect(list: Redirection, path: ForwardPath, data: RoutingData): RouteResult {
    const gathered: Gathered = { data, to: [], locals: [], wants: [], nulls: 0, files: new Set() };
    const decided = gather(list, path, [], gathered);
    if (decided !== null) return decided;
    const { to, locals, wants, nulls } = gathered;
    if (wants.length > 0) return { kind: 'wanting', wants };
    const place = printPlace(list, list.line);
    if (to.length > 0 || locals.length > 0) return { kind: 'redirected', to, locals, detail: place };
    return nulls > 0 ? { kind: 'discarded', detail: `/dev/null at ${place}` } : { kind: 'declined', detail: `${place} gives no address` };
  }

  /** Adds the targets of the list, until an item decides for the whole address. `open` are the included files around the list. */
  function gather(list: Redirection, path: ForwardPath, open: readonly string[], into: Gathered): RouteResult | null {
    for (const item of list.items) {
      const decided = item.kind === 'include' ? include(item, list, path, open, into) : add(item, list, path, into);
      // An item before it that is not known yet may overrule this decision.
      if (decided !== null) return into.wants.length > 0 ? { kind: 'wanting', wants: into.wants } : decided;
    }
    return null;
  }

  function add(
    item: Exclude<RedirectionItem, { kind: 'include' }>,
    list: Redirection,
    path: ForwardPath,
    into: Gathered,
  ): RouteResult | null {
    switch (item.kind) {
      case 'mailbox': {
        const whole = qualify(item.mailbox, definition.qualifyPreserveDomain ? path.domain : surroundings.qualifyRecipient);
        into.to.push(surroundings.spell?.(whole) ?? whole);
        return null;
      }
      case 'own':
        into.to.push(withDomain(item.mailbox, path.domain));
        return null;
      case 'local':
        into.locals.push(`${item.target}, by ${printPlace(list, item.line)}`);
        return null;
      case 'null':
        into.nulls += 1;
        return null;
      case 'unknown':
        return null;
      case 'blackhole':
        return { kind: 'discarded', detail: `:blackhole: at ${printPlace(list, item.line)}` };
      case 'fault':
        return { kind: 'deferred', detail: `${printPlace(list, item.line)}: ${item.detail}` };
      case 'fail':
        return { kind: 'failed', detail: item.detail };
      case 'defer':
        return { kind: 'deferred', detail: item.detail };
    }
  }

  function include(
    item: Extract<RedirectionItem, { kind: 'include' }>,
    list: Redirection,
    path: ForwardPath,
    open: readonly string[],
    into: Gathered,
  ): RouteResult | null {
    const refuse = (detail: string): RouteResult => ({ kind: 'deferred', detail: `${printPlace(list, item.line)}: ${detail}` });
    if (open.includes(item.file)) return refuse(`${item.file} includes itself`);
    // The same file could only add duplicates.
    if (into.files.has(item.file)) return null;
    if (open.length === DEEPEST_INCLUDE) return refuse(`:include: is nested more than ${DEEPEST_INCLUDE} deep`);
    const found = into.data.include(item.file, list.source);
    if (found === undefined) {
      into.wants.push({ kind: 'include', file: item.file, by: list.source });
      return null;
    }
    if (found.kind === 'list') {
      const decided = gather(found.list, path, [...open, item.file], into);
      into.files.add(item.file);
      return decided;
    }
    return refuse(found.kind === 'unreadable' ? found.detail : `cannot read ${item.file}: no such file or directory`);
  }

  return { name, route };
}

interface Gathered {
  readonly data: RoutingData;
  readonly to: ForwardPath[];
  readonly locals: string[];
  readonly wants: Want[];
  nulls: number;
  /** Included files whose items have all been added. */
  readonly files: Set<string>;
}

const NOT_THERE: RouteResult = { kind: 'declined', detail: 'no entry' };

/** Returns the lists of an inline table by folded key; each is parsed when it is first needed. */
function readInlineLists(name: string, table: Readonly<Record<string, string>>): (key: string) => Found {
  const texts = new Map<string, string>();
  for (const [key, text] of Object.entries(table)) if (!texts.has(foldKey(key))) texts.set(foldKey(key), text);
  const lists = new Map<string, Found>();
  return (key) => {
    const own = texts.has(key) ? key : '*';
    const text = texts.get(own);
    if (text === undefined) return { kind: 'absent' };
    const found = lists.get(own) ?? { kind: 'list', list: parseRedirection(text, `data.${own} of ${name}`) };
    lists.set(own, found);
    return found;
  };
}
