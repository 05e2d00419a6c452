/**
 * Parses a TOML file to plain tables, and finds the line of every key. The parser reports no lines for a text that it
 * accepts, so a scanner walks that text once more. Loaded only when a file is read. Knows no key of nospool.toml.
 */
import { parse, TomlError } from 'smol-toml';
import { type Parsed, unparsed } from '../smtp/parsed.ts';

export type PathStep = string | number;

export interface Toml {
  /** Tables have no prototype; an integer is a number. */
  readonly table: Readonly<Record<string, unknown>>;
  /** The line of a key, table or array item, from 1; 0 when it is not in the file. */
  line(...path: readonly PathStep[]): number;
}

/** `Parsed<Toml>`; an error has its line, too. */
export type ParsedToml = Extract<Parsed<Toml>, { ok: true }> | (Extract<Parsed<Toml>, { ok: false }> & { readonly line: number });

export function parseToml(text: string): ParsedToml {
  try {
    const table = parse(text);
    const lines = scan(text);
    return { ok: true, value: { table, line: (...path) => lines.get(encodePath(path)) ?? 0 } };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Only the first line, because the others repeat the file, and it may hold a password.
    const [first = ''] = error.message.split('\n');
    const detail = first.replace(/^Invalid TOML document: /, '');
    return { ...unparsed(explain(detail, text.split('\n')[error.line - 1] ?? '')), line: error.line };
  }
}

/** The parser's error in words that say how to write the line. Repeats no more of the line than its key. */
function explain(detail: string, line: string): string {
  const [, word = '', sign = '', value = ''] = /^\s*([\w.-]*)\s*([=:]?)\s*(.*?)\s*$/.exec(line) ?? [];
  const key = word !== '' && sign === '=' ? word : 'key';
  const text = value.startsWith('[') ? `${key} = ["…"]` : `${key} = "…"`;
  if (/[\u2018-\u201f\u00ab\u00bb]/.test(line)) return `quotes are straight ones: ${text}`;
  if (word !== '' && sign === ':') return `it takes = in place of the colon: ${text}`;
  const isThere = detail.startsWith('trying to redefine');
  if (/^\s*\[/.test(line)) return isThere ? 'this table is there already' : 'a table stands alone in its line: [table] or [[table]]';
  if (isThere) return 'this key is there already';
  if (/^(control characters|unfinished string)/.test(detail)) return `the closing quote is missing: ${text}`;
  if (detail.startsWith('unrecognised escape')) return `in "…" a backslash is written \\\\, or the text stands in '…'`;
  if (detail.startsWith('expected comma')) return 'a comma or a closing bracket is missing, here or in a line before';
  if (word === '' || sign === '') return `a line is ${text} or [table]`;
  if (value === '') return `the value is missing: ${text}`;
  if (/^(true|false|yes|no|on|off)\b/i.test(value)) return `a switch is true or false: ${key} = true`;
  if (/^["'].*["']$/.test(value)) return detail.startsWith('each') ? `several texts are a list: ${key} = ["…", "…"]` : UNCLOSED;
  const unquoted = value.replace(/"[^"]*"|'[^']*'/g, '""');
  const isBare = /(^|[[,=]\s*)[^\s\d"'[\]{},=]/.test(unquoted) || /^(illegal character in num|each)/.test(detail);
  return isBare ? `a text stands in quotes, durations and sizes, too: ${text}` : UNCLOSED;
}

const UNCLOSED = 'a value is missing, or a list that began in a line before is not closed';

/** Encodes as JSON, because a quoted key may hold any character. */
const encodePath = (path: readonly PathStep[]): string => JSON.stringify(path);

/** Walks text that is known to be TOML. */
function scan(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  /** The number of tables that an array of tables has so far. */
  const counts = new Map<string, number>();
  let at = text.startsWith('\ufeff') ? 1 : 0;
  let line = 1;

  const mark = (path: readonly PathStep[]): void => {
    const key = encodePath(path);
    if (!lines.has(key)) lines.set(key, line);
  };
  const markAll = (base: readonly PathStep[], keys: readonly PathStep[]): void => {
    for (let i = 1; i <= keys.length; i++) mark([...base, ...keys.slice(0, i)]);
  };
  const step = (count = 1): void => {
    for (const end = at + count; at < end; at++) if (text[at] === '\n') line++;
  };
  const blanks = (): void => {
    while (text[at] === ' ' || text[at] === '\t') at++;
  };
  /** Skips blanks, line ends and comments. */
  const space = (): void => {
    for (; at < text.length; step()) {
      if (text[at] === '#') {
        const end = text.indexOf('\n', at);
        at = end < 0 ? text.length : end;
      } else if (text[at] !== ' ' && text[at] !== '\t' && text[at] !== '\n' && text[at] !== '\r') {
        return;
      }
    }
  };

  /** Skips a string of any of the four kinds; returns it as written. */
  const string = (): string => {
    const from = at;
    const quote = text[at] as string;
    const long = text.startsWith(quote.repeat(3), at);
    step(long ? 3 : 1);
    for (;;) {
      if (quote === '"' && text[at] === '\\') step(2);
      else if (long ? text.startsWith(quote.repeat(3), at) : text[at] === quote) break;
      else step();
    }
    step(long ? 3 : 1);
    // Up to two quotes may stand right before the closing three.
    if (long) while (text[at] === quote) at++;
    return text.slice(from, at);
  };

  const key = (): string[] => {
    const parts: string[] = [];
    for (;;) {
      blanks();
      const from = at;
      if (text[at] === '"' || text[at] === "'") parts.push(parse(`k = ${string()}`).k as string);
      else {
        while (/[^\s.=\]]/.test(text[at] ?? ' ')) at++;
        parts.push(text.slice(from, at));
      }
      blanks();
      if (text[at] !== '.') return parts;
      at++;
    }
  };

  const value = (path: readonly PathStep[]): void => {
    space();
    const first = text[at];
    if (first === '"' || first === "'") {
      string();
    } else if (first === '[') {
      step();
      space();
      for (let i = 0; text[at] !== ']'; i++) {
        mark([...path, i]);
        value([...path, i]);
        separator();
      }
      step();
    } else if (first === '{') {
      step();
      space();
      while (text[at] !== '}') {
        pair(path);
        separator();
      }
      step();
    } else {
      while (at < text.length && /[^,\]}#\n]/.test(text[at] as string)) at++;
    }
  };
  const separator = (): void => {
    space();
    if (text[at] === ',') step();
    space();
  };
  const pair = (base: readonly PathStep[]): void => {
    // The line is that of the key, because its value may begin and end on later ones.
    const keys = key();
    markAll(base, keys);
    blanks();
    step();
    value([...base, ...keys]);
  };
  /** A table's name as a path. A name below an array of tables belongs to its last table. */
  const resolve = (keys: readonly string[]): PathStep[] => {
    const path: PathStep[] = [];
    for (const name of keys) {
      path.push(name);
      mark(path);
      const count = counts.get(encodePath(path));
      if (count !== undefined) path.push(count - 1);
    }
    return path;
  };

  let table: readonly PathStep[] = [];
  for (space(); at < text.length; space()) {
    if (text[at] !== '[') {
      pair(table);
      continue;
    }
    const isArray = text[at + 1] === '[';
    step(isArray ? 2 : 1);
    const keys = key();
    const last = keys.at(-1) as string;
    const base = resolve(keys.slice(0, -1));
    if (isArray) {
      const array = [...base, last];
      mark(array);
      const count = counts.get(encodePath(array)) ?? 0;
      counts.set(encodePath(array), count + 1);
      table = [...array, count];
    } else {
      table = [...base, last];
    }
    mark(table);
    step(isArray ? 2 : 1);
  }
  return lines;
}
