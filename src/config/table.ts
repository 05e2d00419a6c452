/**
 * Reads a table of the configuration: known keys become values, unknown ones errors that name the nearest known key. Knows
 * neither files nor what the values mean.
 */
import { KEYS, type Key, type Kind, keyOf, keysOf, nearestKey, type Section, TABLES } from './keys.ts';
import type { PathStep } from './toml-lines.ts';
import { type Directories, type Entries, type Location, parseValue, type Values, type Written } from './values.ts';

/** Things that not every file may hold: a password, a command, the path of a file that nospool writes or sends. */
export type Held = 'literal' | 'command' | 'path';

/** One reading of the whole configuration. */
export interface Reading {
  readonly directories: Directories;
  /** The location of a key in the file. */
  at(path: readonly PathStep[], label: string): Location;
  /** Adds an error, so nothing is sent. `sentence` continues the label. */
  complain(at: Location, sentence: string): void;
  warn(at: Location, sentence: string): void;
  /** Tables with an unknown key: what they seem to lack may be what that key was to say. */
  readonly incomplete: Set<Entries>;
  /** Why the file of this location may not hold this; null when it may. */
  refuses(held: Held, at: Location): string | null;
}

/** The keys of a table with their locations. Reports unknown ones and leaves them out. `title` stands behind their names. */
export function readTable(
  reading: Reading,
  section: Section,
  raw: Readonly<Record<string, unknown>>,
  path: readonly PathStep[],
  title: string,
): Entries {
  const entries = new Map<string, Written>();
  for (const [name, value] of Object.entries(raw)) {
    const at = reading.at([...path, name], `key "${name}"${title === '' ? '' : ` ${title}`}`);
    if (keyOf(section, name) || (section === '' && TABLES.includes(name as (typeof TABLES)[number])))
      entries.set(name, { ...at, raw: value });
    else {
      reading.complain(at, explainUnknown(section, name));
      reading.incomplete.add(entries);
    }
  }
  return entries;
}

function explainUnknown(section: Section, name: string): string {
  const names = keysOf(section).map((key) => key.name);
  const meant = nearestKey(name, section === '' ? [...names, ...TABLES] : names);
  const elsewhere = KEYS.find((key) => key.name === name && key.section !== 'host' && key.section !== 'router');
  if (elsewhere && elsewhere.section !== section) {
    // The likeliest slip of all: in TOML every key behind a [table] belongs to it.
    if (elsewhere.section === '') return 'does not belong here but at the top of the file, before the first line in brackets';
    const inside = section === 'router' || section === 'host';
    return `does not belong here but in ${inside ? `${elsewhere.section} = { … }` : `[${elsewhere.section}]`}`;
  }
  return meant.near
    ? `is unknown; did you mean "${meant.name}"?`
    : `is unknown; the nearest key is "${meant.name}", nospool.toml(5) has them all`;
}

/** The value of a key that is absent or wrong and has no default. An error was reported, or the caller looks whether it is there. */
const IF_ABSENT: { readonly [K in Kind]?: Values[K] } = { text: '', choice: '', texts: [], table: {}, auth: 'none' };

/** The value of a key, or its default. `kind` must be that of KEYS; another one is a bug. */
export function take<K extends Kind>(reading: Reading, entries: Entries, section: Section, kind: K, name: string): Values[K] {
  const key = keyOf(section, name);
  if (key?.kind !== kind) throw new Error(`bug: ${section}.${name} is no ${kind}`);
  const written = entries.get(name);
  if (written) {
    const value = parseValue(kind, written.raw, key, reading.directories);
    if (value.ok) return value.value;
    reading.complain(written, value.detail);
  }
  return takeInitial(kind, key, reading.directories);
}

function takeInitial<K extends Kind>(kind: K, key: Key, directories: Directories): Values[K] {
  if (key.initial === null) return IF_ABSENT[kind] as Values[K];
  // Defaults of other kinds are what their parsers would make of them.
  if (kind !== 'duration' && kind !== 'size') return key.initial as Values[K];
  const value = parseValue(kind, key.initial, key, directories);
  if (!value.ok) throw new Error(`bug: the default of ${key.name} ${value.detail}`);
  return value.value;
}
