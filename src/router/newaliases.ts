/**
 * Checks alias files without routing anything: for `newaliases`, which has no database to build. Reads them with the
 * same readers that routing uses.
 */
import { type AliasReader, makeAliasReader } from './aliases.ts';
import { listOfEntry } from './data.ts';
import { parseRedirection, printPlace, type Redirection } from './redirection.ts';

export interface AliasCheck {
  /** Counted when the reader has been told the end. */
  readonly entries: number;
  /** `file:line: what is wrong`; mail to such an entry is deferred, which here means that it fails. */
  readonly faults: readonly string[];
  /** `file:line: target`, of files and pipes: mail to such an entry fails, the file is right all the same. */
  readonly locals: readonly string[];
  /** Sentences, `file:line: …`, of entries that never count: an earlier one of the file has their key, or it is an address. */
  readonly unused: readonly string[];
  /** Included files, each once for each list that includes it, in the order in which they are met. */
  readonly includes: readonly { readonly file: string; readonly by: string }[];
  /** Reads an alias file. */
  aliases(file: string): AliasReader;
  /** Reads an included list. */
  list(file: string, text: string): void;
}

/**
 * Says of each key that looks like an address why it does not match that one. The files of Postfix's virtual_alias_maps have such keys. Only
 * the local-part of `"joe@home"@b.example` has the key `joe@home`.
 */
export const explainAddressKeys = (keys: readonly string[], place: string): readonly string[] =>
  keys
    .filter((key) => key.includes('@'))
    .map(
      (key) => `${place}: "${key}" does not match that address, because keys are local-parts: domains = ["…"] in a [[router]] says whose`,
    );

export function makeAliasCheck(): AliasCheck {
  let entries = 0;
  const faults: string[] = [];
  const locals: string[] = [];
  const unused: string[] = [];
  const includes: { readonly file: string; readonly by: string }[] = [];
  const met = new Set<string>();

  function look(list: Redirection): void {
    for (const item of list.items) {
      if (item.kind === 'fault') faults.push(`${printPlace(list, item.line)}: ${item.detail}`);
      else if (item.kind === 'local') locals.push(`${printPlace(list, item.line)}: ${item.target}`);
      else if (item.kind === 'include' && !met.has(`${item.file}\0${list.source}`)) {
        met.add(`${item.file}\0${list.source}`);
        includes.push({ file: item.file, by: list.source });
      }
    }
  }

  return {
    get entries() {
      return entries;
    },
    faults,
    locals,
    unused,
    includes,
    aliases(file) {
      const lines = new Map<string, number>();
      return makeAliasReader({
        wants: () => true,
        take(entry) {
          const first = lines.get(entry.key);
          if (first === undefined) lines.set(entry.key, entry.line);
          else unused.push(`${file}:${entry.line}: "${entry.key}" is in line ${first} already, and that one counts`);
          unused.push(...explainAddressKeys([entry.key], `${file}:${entry.line}`));
          entries += 1;
          look(listOfEntry(entry, file));
        },
        fault: (line, detail) => void faults.push(`${file}:${line}: ${detail}`),
      });
    },
    list: (file, text) => look(parseRedirection(text, file)),
  };
}
