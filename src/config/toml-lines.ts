/**
 * Finds the line of every key in a TOML file, because the parser reports none. Walks only text that the parser has accepted.
 * Knows no key of nospool.toml and no parser.
 */
/** A name of a key, or the index of an array item. */
export type PathStep = string | number;

/** No key of a configuration lies deeper, and the work for one would grow with the square of its depth. */
const DEEPEST = 64;

/** Encodes as JSON, because a quoted key may hold any character. */
const encodePath = (path: readonly PathStep[]): string => JSON.stringify(path);

/** A path to what lies below `base`, no longer than is needed to see that it is too deep. */
const below = (base: readonly PathStep[], keys: readonly PathStep[]): readonly PathStep[] =>
  [...base, ...keys.slice(0, DEEPEST + 1)].slice(0, DEEPEST + 1);

/** The line of every key, table and array item in a text that is TOML; 0 = it is not there, or deeper than any key is. `unquote` reads a quoted key. */
export function findLines(text: string, unquote: (quoted: string) => string): (path: readonly PathStep[]) => number {
  const lines = new Map<string, number>();
  /** The number of tables that an array of tables has so far. */
  const counts = new Map<string, number>();
  let at = text.startsWith('\ufeff') ? 1 : 0;
  let line = 1;

  const mark = (path: readonly PathStep[]): void => {
    if (path.length > DEEPEST) return;
    const key = encodePath(path);
    if (!lines.has(key)) lines.set(key, line);
  };
  const markAll = (base: readonly PathStep[], keys: readonly PathStep[]): void => {
    for (let i = 1; i <= Math.min(keys.length, DEEPEST); i++) mark([...base, ...keys.slice(0, i)]);
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
      if (text[at] === '"' || text[at] === "'") parts.push(unquote(string()));
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
        mark(below(path, [i]));
        value(below(path, [i]));
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
    value(below(base, keys));
  };
  /** A table's name as a path. A name below an array of tables belongs to its last table. */
  const resolve = (keys: readonly string[]): PathStep[] => {
    const path: PathStep[] = [];
    for (const name of keys.slice(0, DEEPEST + 1)) {
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
      const array = below(base, [last]);
      mark(array);
      const count = counts.get(encodePath(array)) ?? 0;
      counts.set(encodePath(array), count + 1);
      table = below(array, [count]);
    } else {
      table = below(base, [last]);
    }
    mark(table);
    step(isArray ? 2 : 1);
  }
  return (path) => lines.get(encodePath(path)) ?? 0;
}
