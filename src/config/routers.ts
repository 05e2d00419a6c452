/**
 * Reads `[[router]]` tables and `[rewrite]` as definitions for src/router. Checks how they are written, and knows nothing
 * of what they do to an address.
 */
import { whyNotAddable, whyNotRemovable } from '../router/headers.ts';
import { localPartContent } from '../router/match.ts';
import type { ManualrouteDefinition, Preconditions, RedirectDefinition, RouterDefinition } from '../router/route.ts';
import { isDomain, parseMailbox, parseReversePath, printMailbox } from '../smtp/path.ts';
import { draftHosts, type HostDraft, type Inherited, readAuthKey, readIgnored, readTlsKey } from './hosts.ts';
import { keyOf } from './keys.ts';
import { isEmpty } from './policy.ts';
import { type Reading, readTable, take } from './table.ts';
import type { PathStep } from './toml-lines.ts';
import type { Entries, Location } from './values.ts';

/** A router whose hosts have no settled credentials yet. */
export type RouterDraft = RedirectDefinition | (Omit<ManualrouteDefinition, 'hosts'> & { readonly drafts: readonly HostDraft[] });

/** The routers in the value of `router`, in order. Reports those that are wrong and leaves them out. */
export function draftRouters(reading: Reading, raw: unknown, at: Location, shared: Inherited): RouterDraft[] {
  if (!Array.isArray(raw)) {
    reading.complain(at, 'expects tables: write [[router]], with two brackets on each side');
    return [];
  }
  const drafts: RouterDraft[] = [];
  const names = new Set<string>();
  for (const [i, item] of raw.entries()) {
    const here = reading.at(['router', i], '[[router]]');
    if (typeof item !== 'object' || item === null) {
      reading.complain(at, 'expects tables: write [[router]], with two brackets on each side');
      continue;
    }
    const draft = draftRouter(reading, item as Readonly<Record<string, unknown>>, ['router', i], here, shared);
    if (!draft) continue;
    if (names.has(draft.name)) reading.complain(here, `"${draft.name}" is the name of an earlier router: give each its own`);
    names.add(draft.name);
    drafts.push(draft);
  }
  return drafts;
}

function draftRouter(
  reading: Reading,
  raw: Readonly<Record<string, unknown>>,
  path: readonly PathStep[],
  at: Location,
  shared: Inherited,
): RouterDraft | null {
  const entries = readTable(reading, 'router', raw, path, 'in [[router]]');
  const missing = ['name', 'driver'].filter((name) => !entries.has(name));
  for (const name of missing) reading.complain(at, `needs ${name} = ${keyOf('router', name)?.example}`);
  const name = take(reading, entries, 'router', 'text', 'name');
  const driver = take(reading, entries, 'router', 'choice', 'driver');
  const named = entries.get('name');
  // The name stands between blanks in log lines and in the output of "nospool route".
  if (named && typeof named.raw === 'string' && !/^[\w.-]+$/.test(name))
    reading.complain(named, 'expects letters, digits, "_", "-" and "." only');
  if (missing.length > 0 || driver === '') return null;
  for (const [other, written] of entries) {
    const owner = keyOf('router', other)?.driver;
    if (owner && owner !== driver) reading.complain(written, `is for driver = "${owner}" only`);
  }
  const preconditions = takePreconditions(reading, entries, name, driver === 'redirect' ? ['@'] : []);
  return driver === 'redirect'
    ? readRedirect(reading, entries, path, at, preconditions)
    : draftManualroute(reading, entries, path, at, preconditions, shared);
}

function takePreconditions(reading: Reading, entries: Entries, name: string, domains: readonly string[]): Preconditions {
  const list = (key: string, read: (item: string) => string | null, expected: string): readonly string[] => {
    const written = entries.get(key);
    return take(reading, entries, 'router', 'texts', key).map((item) => {
      const pattern = read(item);
      if (written && pattern === null) reading.complain(written, `expects ${expected} in each item; "${item}" is none of them`);
      return pattern ?? item;
    });
  };
  const own = list('domains', readDomainPattern, '"*", "@", a domain or "*.domain"');
  return {
    name,
    domains: entries.has('domains') ? own : domains,
    localParts: list('local_parts', readLocalPartPattern, '"*" or a local-part'),
    senders: list('senders', readSenderPattern, '"*", an address with its domain, or "*@domain"'),
  };
}

const readDomainPattern = (item: string): string | null =>
  item === '*' || item === '@' || isDomain(item.replace(/^\*\./, '')) ? item : null;

/** Without quotes. Only a `*` alone is a pattern: elsewhere it is a character, and would not match what people mean. */
function readLocalPartPattern(item: string): string | null {
  const mailbox = parseMailbox(item);
  if (item === '*') return item;
  return mailbox.ok && mailbox.value.domain === '' && !item.includes('*') ? localPartContent(mailbox.value.localPart) : null;
}

/** The pattern as addresses are printed: without quotes that none needs and without a dot at the end. */
function readSenderPattern(item: string): string | null {
  if (item === '*') return item;
  const mailbox = parseMailbox(item);
  return mailbox.ok && mailbox.value.domain !== '' && (mailbox.value.localPart === '*' || !item.includes('*'))
    ? printMailbox(mailbox.value)
    : null;
}

function readRedirect(
  reading: Reading,
  entries: Entries,
  path: readonly PathStep[],
  at: Location,
  preconditions: Preconditions,
): RedirectDefinition {
  const file = take(reading, entries, 'router', 'path', 'file');
  const forward = take(reading, entries, 'router', 'switch', 'forward');
  const data = entries.has('data')
    ? readTexts(reading, take(reading, entries, 'router', 'table', 'data'), [...path, 'data'], 'in data of [[router]]')
    : null;
  const sources = [!isEmpty(entries.get('file')?.raw), data !== null, forward].filter(Boolean).length;
  if (sources !== 1)
    reading.complain(at, `"${preconditions.name}" needs exactly one of file = "/etc/aliases", data = { … } and forward = true`);
  return {
    driver: 'redirect',
    ...preconditions,
    file,
    data,
    forward,
    qualifyPreserveDomain: take(reading, entries, 'router', 'switch', 'qualify_preserve_domain'),
    ifPresent: forward,
  };
}

function draftManualroute(
  reading: Reading,
  entries: Entries,
  path: readonly PathStep[],
  at: Location,
  preconditions: Preconditions,
  shared: Inherited,
): RouterDraft {
  const title = 'of [[router]]';
  const tls = readTlsKey(reading, entries, 'router', path, shared.tls, title);
  const auth = readAuthKey(reading, entries, 'router', path, shared.auth, title);
  const ignored = readIgnored(reading, 'router', shared.ignored, entries);
  const drafts = draftHosts(reading, entries, 'router', 'hosts', path, { tls, auth, link: shared.link, ignored });
  const hosts = entries.get('hosts')?.raw;
  if (hosts === undefined || (Array.isArray(hosts) && hosts.length === 0))
    reading.complain(at, `"${preconditions.name}" needs hosts = ["…"]`);
  const add = take(reading, entries, 'router', 'texts', 'headers_add');
  const remove = take(reading, entries, 'router', 'texts', 'headers_remove');
  const added = entries.get('headers_add');
  const removed = entries.get('headers_remove');
  const refuse = (at: Location | undefined, sentences: readonly (string | null)[]): void => {
    for (const sentence of sentences) if (at && sentence !== null) reading.complain(at, `is refused: ${sentence}`);
  };
  refuse(added, add.map(whyNotAddable));
  refuse(removed, remove.map(whyNotRemovable));
  const definition = {
    driver: 'manualroute' as const,
    ...preconditions,
    drafts,
    randomize: take(reading, entries, 'router', 'switch', 'randomize'),
    changes: { add, remove },
  };
  const written = entries.get('errors_to');
  const text = take(reading, entries, 'router', 'text', 'errors_to');
  if (!written || text === '') return definition;
  const errorsTo = parseReversePath(text);
  if (errorsTo.ok) return { ...definition, errorsTo: errorsTo.value };
  reading.complain(written, `expects an address: ${errorsTo.detail}`);
  return definition;
}

/** A table whose keys are the user's. It has no prototype, so that no address finds a method. */
function readTexts(
  reading: Reading,
  raw: Readonly<Record<string, unknown>>,
  path: readonly PathStep[],
  title: string,
): Readonly<Record<string, string>> {
  const texts: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(raw)) {
    const at = reading.at([...path, name], `key "${name}" ${title}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
    if (typeof value === 'string' && !/[\u0000-\u001f\u007f]/.test(value)) texts[name] = value;
    else if (typeof value === 'string') reading.complain(at, 'has a control character, which is not allowed');
    else if (typeof value === 'object' && !Array.isArray(value))
      reading.complain(at, 'expects a text; a name with a dot in it must be quoted');
    else reading.complain(at, 'expects a text; several addresses stand in one text, divided by commas');
  }
  return texts;
}

/** `[rewrite]`: sender address, bare local-part or `*@domain` to an address, or to `*@domain`, which keeps the local-part. */
export function readRewrite(reading: Reading, raw: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const rules = readTexts(reading, raw, ['rewrite'], 'in [rewrite]');
  for (const [from, to] of Object.entries(rules)) {
    const at = reading.at(['rewrite', from], `key "${from}" in [rewrite]`);
    const left = parseMailbox(from);
    const right = parseMailbox(to);
    if (!left.ok || (from.includes('*') && !from.startsWith('*@')))
      reading.complain(at, 'expects an address, a bare local-part or "*@domain" as the key');
    if (!right.ok) reading.complain(at, `expects an address: ${right.detail}`);
    else if (right.value.localPart.includes('*') && right.value.localPart !== '*') reading.complain(at, 'expects an address or "*@domain"');
    else if (right.value.localPart === '*' && right.value.domain === '') reading.complain(at, 'expects an address or "*@domain"');
  }
  return rules;
}

/** The definitions, with a list of settled hosts for each draft; that of a redirect is empty. */
export function addHosts(drafts: readonly RouterDraft[], lists: readonly ManualrouteDefinition['hosts'][]): RouterDefinition[] {
  return drafts.map((draft, i) => {
    if (draft.driver === 'redirect') return draft;
    const { drafts: _, ...definition } = draft;
    return { ...definition, hosts: lists[i] ?? [] };
  });
}
