/**
 * Makes one configuration of several files: tables are put together, routers follow one another, and a key that two files set is an
 * error that names both places. Knows no key but that of the routers, and reads no file.
 */
import type { File } from './interpret.ts';
import type { PathStep } from './toml-lines.ts';
import { isTable } from './values.ts';

type Table = Record<string, unknown>;

/** The table that may be repeated within a file, and so in several. */
const REPEATED = 'router';

/** Where the configuration has what a file has. */
interface Share {
  readonly file: File;
  /** Routers of the files before it. */
  readonly routersBefore: number;
}

export type Merged = { readonly ok: true; readonly value: File } | { readonly ok: false; readonly errors: readonly string[] };

/** The first file gives its path to the whole. */
export function mergeFiles(first: File, others: readonly File[]): Merged {
  const table: Table = Object.create(null);
  const shares: Share[] = [];
  /** The share that has a key, by the names of its table and of itself, or by its own at the top. */
  const owners = new Map<string, number>();
  const errors: string[] = [];
  const own = (...names: string[]): void => void owners.set(JSON.stringify(names), shares.length - 1);
  const ownerOf = (...names: PathStep[]): number => owners.get(JSON.stringify(names)) ?? 0;
  const clash = (file: File, ...names: string[]): void => {
    const before = (shares[ownerOf(...names)] as Share).file;
    const [name, table] = names.toReversed();
    const title = `key "${name}"${table === undefined ? '' : ` in [${table}]`}`;
    errors.push(
      `${file.path}:${file.toml.line(...names)}: ${title} is in ${before.path}:${before.toml.line(...names)}, too: keep one of them`,
    );
  };

  for (const file of [first, ...others]) {
    const before = table[REPEATED];
    shares.push({ file, routersBefore: Array.isArray(before) ? before.length : 0 });
    for (const [name, value] of Object.entries(file.toml.table)) {
      const known = table[name];
      if (known === undefined) {
        table[name] = value;
        own(name);
        if (isTable(value)) for (const inner of Object.keys(value)) own(name, inner);
      } else if (name === REPEATED && Array.isArray(known) && Array.isArray(value)) table[name] = [...known, ...value];
      else if (!isTable(known) || !isTable(value)) clash(file, name);
      else {
        const joined: Table = Object.assign(Object.create(null), known);
        for (const [inner, item] of Object.entries(value)) {
          if (inner in joined) clash(file, name, inner);
          else {
            joined[inner] = item;
            own(name, inner);
          }
        }
        table[name] = joined;
      }
    }
  }
  if (errors.length > 0) return { ok: false, errors };

  const partOf = ([name = '', second = '']: readonly PathStep[]): number =>
    name === REPEATED && typeof second === 'number'
      ? shares.findLastIndex(({ routersBefore }) => routersBefore <= second)
      : (owners.get(JSON.stringify([name, second])) ?? ownerOf(name));
  const line = (...path: PathStep[]): number => {
    const { file, routersBefore } = shares[partOf(path)] as Share;
    const [name, second, ...rest] = path;
    return name === REPEATED && typeof second === 'number'
      ? file.toml.line(name, second - routersBefore, ...rest)
      : file.toml.line(...path);
  };
  return { ok: true, value: { ...first, toml: { table, line }, merged: { parts: shares.map(({ file }) => file), partOf } } };
}
