/** Reads all alias files as routing would, and says what is wrong with them: for `newaliases` and `nospool check`. */
import { existsSync } from 'node:fs';
import { type RouterConfig, withDefaults } from '../router/defaults.ts';
import { explainAddressKeys, makeAliasCheck } from '../router/newaliases.ts';
import type { Unread } from '../router/want.ts';
import { aliasFiles, type RoutingSettings } from './routing.ts';

/** The findings of `newaliases`. */
export interface AliasReport {
  readonly entries: number;
  /** Sentences that begin with file and line. If there are any, the files need repair. */
  readonly faults: readonly string[];
  /** Files and pipes, whose mail fails by design: `file:line: target`. */
  readonly locals: readonly string[];
  /** Sentences about entries and files that never count. */
  readonly idle: readonly string[];
  /** The files that were asked for, whether or not they could be read. */
  readonly files: readonly { readonly kind: 'aliases' | 'include'; readonly file: string }[];
}

/** The default of `aliases`, which many hosts do not have. Another one that is missing may be misspelt. */
const USUAL = '/etc/aliases';

/** Reads all alias files of the configuration, and the lists they include, as routing would. */
export async function checkAliasFiles(config: RoutingSettings): Promise<AliasReport> {
  const check = makeAliasCheck();
  const { pass, list } = aliasFiles(config);
  const faults: string[] = [];
  const absent: string[] = [];
  const files: { readonly kind: 'aliases' | 'include'; readonly file: string }[] = [];
  const unmatched: string[] = [];
  for (const router of withDefaults(config)) {
    if (router.driver !== 'redirect') continue;
    unmatched.push(...explainAddressKeys(Object.keys(router.data ?? {}), `data of router "${router.name}"`));
    if (router.file === '') continue;
    files.push({ kind: 'aliases', file: router.file });
    const unread = await pass(router.file, check.aliases(router.file), () => false);
    if (unread === null) continue;
    if (unread.kind === 'unreadable' || !router.ifPresent) faults.push(printUnread(unread, router.file));
    else if (router.file !== USUAL) absent.push(`${router.file} is named in aliases, and is not there`);
  }
  // The list of includes grows while it is walked.
  for (let i = 0; i < check.includes.length; i++) {
    const { file, by } = check.includes[i] as (typeof check.includes)[number];
    files.push({ kind: 'include', file });
    const got = await list(file, by);
    if (got.kind === 'text') check.list(file, got.text);
    else faults.push(printUnread(got, file));
  }
  return {
    entries: check.entries,
    faults: [...new Set([...faults, ...check.faults])],
    locals: [...new Set(check.locals)],
    idle: [...absent, ...listUnread(config), ...unmatched, ...check.unused],
    files,
  };
}

/** Lists alias files that are there but that no router reads, because other routers are written. */
function listUnread({ routers, aliases }: RouterConfig): readonly string[] {
  if (routers.length === 0) return [];
  return aliases
    .filter((file) => existsSync(file) && !routers.some((router) => router.driver === 'redirect' && router.file === file))
    .map(
      (file) =>
        `${file} is not read: where a [[router]] is written, an alias file needs one of its own, driver = "redirect", file = "${file}"`,
    );
}

function printUnread(unread: Unread, file: string): string {
  return unread.kind === 'missing' ? `cannot read ${file}: no such file or directory` : unread.detail;
}
