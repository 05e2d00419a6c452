/**
 * Parses single values: durations, sizes, switches, lists, paths. Each parser takes a value of TOML and returns the one that
 * the program uses, or says what it expects. Knows no key and never repeats a value, because it may be a secret.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import type { Key, Kind } from './keys.ts';

/** The location of a key or a variable. An error is printed as `PLACE: LABEL SENTENCE`. */
export interface Location {
  /** `key "mode" in [tls]`, or the name of a variable. */
  readonly label: string;
  /** False: a variable of the environment. */
  readonly isInFile: boolean;
  /** Its line in the file, from 1. Only errors and warnings ask, because lines are not counted before. */
  readonly line: () => number;
  /** Which of several files that are one configuration; absent where there is one. */
  readonly part?: number;
}

/** A value as it was written, with its location. */
export interface Written extends Location {
  readonly raw: unknown;
}

export type Entries = ReadonlyMap<string, Written>;

/** The type of each kind. Durations are milliseconds, sizes octets. Other files take hosts, tables and auth apart. */
export interface Values {
  text: string;
  switch: boolean;
  choice: string;
  size: number;
  duration: number;
  path: string;
  texts: readonly string[];
  paths: readonly string[];
  command: readonly string[];
  log: string;
  hosts: readonly unknown[];
  table: Readonly<Record<string, unknown>>;
  auth: Readonly<Record<string, unknown>> | 'default' | 'none';
}

/** Folders that paths may refer to. */
export interface Directories {
  /** The folder that `~/` means; null = there is none. */
  readonly home: string | null;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
const CONTROL = /[\u0000-\u001f\u007f]/;

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The longest timer of the runtime (2^31 - 1 ms) in whole days. */
const LONGEST_DAYS = 24;

const SIZES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** Milliseconds of "500ms", "30s", "5m", "1h30m", "2d"; Infinity of "none". */
export function parseDuration(raw: unknown): Parsed<number> {
  if (raw === 'none') return parsed(Infinity);
  let total = 0;
  const add = (_: string, count: string, unit: string): string => {
    total += Number(count) * (DURATION_UNITS[unit] as number);
    return '';
  };
  if (typeof raw !== 'string' || raw === '' || raw.replace(/(\d+)(ms|s|m|h|d)/g, add) !== '')
    return unparsed('expects a duration such as "30s", "5m" or "none"');
  if (total === 0) return unparsed('expects a duration above zero; "none" means no limit');
  return total <= LONGEST_DAYS * 86_400_000 ? parsed(total) : unparsed(`expects at most "${LONGEST_DAYS}d"; "none" means no limit`);
}

/** Octets of 4096, "4096", "256KiB", "1MB". */
export function parseSize(raw: unknown, [least, most]: readonly [number, number]): Parsed<number> {
  const found = /^(\d+) ?([KMGkmg][Ii]?[Bb]|[Bb]|)$/.exec(typeof raw === 'number' ? String(raw) : typeof raw === 'string' ? raw : '?');
  if (!found) return unparsed('expects a size such as "256KiB", "1MB" or a whole number of octets');
  const size = Number(found[1]) * (SIZES[(found[2] as string).toLowerCase()] as number);
  if (size < least || size > most) return unparsed(`expects a size from ${printSize(least)} to ${printSize(most)}`);
  return parsed(size);
}

function printSize(size: number): string {
  if (size >= 2 ** 30) return `"${size / 2 ** 30}GiB"`;
  return size >= 2 ** 20 ? `"${size / 2 ** 20}MiB"` : `"${size / 2 ** 10}KiB"`;
}

/** The name of a value's type behind "found". */
function nameType(raw: unknown): string {
  if (Array.isArray(raw)) return raw.every((item) => typeof item === 'string') ? 'a list of texts' : 'a list';
  if (typeof raw === 'string') return 'a text';
  if (typeof raw === 'boolean') return 'true or false without quotes';
  if (typeof raw === 'number') return 'a number without quotes';
  return raw instanceof Date ? 'a date' : 'a table';
}

export const isTable = (raw: unknown): raw is Record<string, unknown> =>
  typeof raw === 'object' && raw !== null && !Array.isArray(raw) && !(raw instanceof Date);

function parseText(raw: unknown, { example }: Key): Parsed<string> {
  if (typeof raw !== 'string') return unparsed(`expects a text such as ${example}, found ${nameType(raw)}`);
  return CONTROL.test(raw) ? unparsed('has a control character, which is not allowed') : parsed(raw);
}

function parseTexts(raw: unknown, key: Key): Parsed<readonly string[]> {
  if (!Array.isArray(raw)) return unparsed(`expects a list such as ${key.example}, found ${nameType(raw)}`);
  for (const item of raw) {
    if (typeof item !== 'string') return unparsed(`expects a list of texts such as ${key.example}, but one item is ${nameType(item)}`);
    if (CONTROL.test(item)) return unparsed('has a control character, which is not allowed');
    if (item === '') return unparsed('has an empty item');
  }
  return parsed(raw);
}

/** An absolute path; `~/` stands for the home directory. Other paths are refused, because the working directory is the caller's. */
export function parsePath(raw: string, { home }: Directories): Parsed<string> {
  if (raw.startsWith('/')) return parsed(raw);
  if (!raw.startsWith('~/')) return unparsed('expects an absolute path, or one that begins with "~/"');
  return home === null ? unparsed('"~/" cannot be used: this user has no home directory') : parsed(`${home}${raw.slice(1)}`);
}

type Parser<K extends Kind> = (raw: unknown, key: Key, directories: Directories) => Parsed<Values[K]>;

const PARSERS: { readonly [K in Kind]: Parser<K> } = {
  text: parseText,
  texts: parseTexts,
  switch: (raw) => (typeof raw === 'boolean' ? parsed(raw) : unparsed(`expects true or false, found ${nameType(raw)}`)),
  choice(raw, { choices }) {
    if (typeof raw === 'string' && choices.includes(raw)) return parsed(raw);
    const words = choices.map((word) => `"${word}"`);
    return unparsed(`expects ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);
  },
  size: (raw, { range }) => parseSize(raw, range),
  duration: (raw) => parseDuration(raw),
  path(raw, key, directories) {
    const path = parseText(raw, key);
    return !path.ok || path.value === '' ? path : parsePath(path.value, directories);
  },
  paths(raw, key, directories) {
    const list = parseTexts(raw, key);
    if (!list.ok) return list;
    const paths: string[] = [];
    for (const item of list.value) {
      const path = parsePath(item, directories);
      if (!path.ok) return path;
      paths.push(path.value);
    }
    return parsed(paths);
  },
  command(raw, key, directories) {
    const argv = parseTexts(raw, key);
    if (!argv.ok || argv.value.length === 0) return argv;
    const [program, ...rest] = argv.value as [string, ...string[]];
    const path = parsePath(program, directories);
    return path.ok ? parsed([path.value, ...rest]) : unparsed(`${path.detail}, as the program: PATH is the caller's`);
  },
  log(raw, key, directories) {
    const path = parseText(raw, key);
    if (!path.ok || ['', 'syslog', 'stderr', 'none'].includes(path.value)) return path;
    const absolute = parsePath(path.value, directories);
    return absolute.ok ? absolute : unparsed('expects "syslog", "stderr", "none" or an absolute path');
  },
  hosts: (raw, { example }) => (Array.isArray(raw) ? parsed(raw) : unparsed(`expects a list such as ${example}, found ${nameType(raw)}`)),
  table: (raw, { example }) => (isTable(raw) ? parsed(raw) : unparsed(`expects a table such as ${example}, found ${nameType(raw)}`)),
  auth(raw, { example }) {
    if (raw === 'default' || raw === 'none') return parsed(raw);
    return isTable(raw) ? parsed(raw) : unparsed(`expects a table such as ${example}, "default" or "none"`);
  },
};

/** The value of `raw`, or a sentence `expects …`. Never repeats `raw`. */
export function parseValue<K extends Kind>(kind: K, raw: unknown, key: Key, directories: Directories): Parsed<Values[K]> {
  return PARSERS[kind](raw, key, directories);
}

// biome-ignore format: a table is read as a table
const SWITCHES = new Map([
  ['true', true], ['yes', true], ['on', true], ['1', true],
  ['false', false], ['no', false], ['off', false], ['0', false],
]);

/** The value that a variable's text would have in the file. Blanks divide lists, and switches are words. */
export function fromEnvironment(value: string, { kind }: Key): unknown {
  if (kind === 'switch') return SWITCHES.get(value.toLowerCase()) ?? value;
  if (kind === 'texts' || kind === 'paths' || kind === 'hosts') return value.split(/\s+/).filter((item) => item !== '');
  return value;
}
