/**
 * Reads the alias file: keys and redirection lists, line by line, from text that comes in pieces of any size. So a file of a
 * million entries is passed through once and not kept. Knows no file, and not what a list means (`redirection.ts`).
 */
import { fromUtf8, isAscii } from '../smtp/text.ts';

/** One entry of an alias file. */
export interface AliasEntry {
  /** The key as it is looked up: without quotes, in lower case. */
  readonly key: string;
  /**
   * The redirection list: the first line and the continuation lines, without the blanks around them. A newline means a blank;
   * it stands where a line of the file ended, so that the line of an item can be found.
   */
  readonly text: string;
  /** Line of the key, from 1. */
  readonly line: number;
  /** A sentence that says why the entry cannot be used at all; undefined if it can. */
  readonly fault?: string;
}

/** Takes the file's octets (an octet string, cut anywhere), then its end. */
export interface AliasReader {
  read(octets: string): void;
  end(): void;
}

/** The caller of a reader, who says which entries it wants and takes them. */
export interface AliasVisitor {
  /** The reader asks once for each key line whether the entry is wanted. */
  wants(key: string): boolean;
  take(entry: AliasEntry): void;
  /** The reader reports a line that belongs to no entry. */
  fault?(line: number, detail: string): void;
}

/** 20,000 addresses of an expanded list take about 1 MiB; a list sixteen times as long is no alias any more. */
export const LONGEST_ENTRY = 16 * 1024 * 1024;

/** Returns the key as keys are compared: without regard to case. Octets that are not UTF-8 stand for themselves. */
export function foldKey(text: string): string {
  return text.toLowerCase();
}

const decodeText = (octets: string): string => fromUtf8(octets) ?? octets;
const [QUOTE, HASH, COLON, BACKSLASH] = [34, 35, 58, 92];
/** Some editors put this mark of UTF-8 before the first line. */
const BYTE_ORDER_MARK = '\u00ef\u00bb\u00bf';
const isBlank = (unit: number): boolean => unit === 32 || (unit >= 9 && unit <= 13);

/** String.trim would take away the octet 160, which is a part of letters in UTF-8. */
function trim(octets: string): string {
  let from = 0;
  let to = octets.length;
  while (isBlank(octets.charCodeAt(from))) from += 1;
  while (isBlank(octets.charCodeAt(to - 1))) to -= 1;
  return octets.slice(from, to);
}

/**
 * Makes a reader for the alias file of Exim's `lsearch`, which Sendmail and Postfix read, too: `key: list`, `"quoted key":
 * list` or `key list`. A line that begins with a blank continues the entry. Empty lines and comment lines are ignored, also
 * within an entry. The visitor decides which of several equal keys counts (in all these programs the first one does).
 *
 * Deviation: a comment line may be indented, as in Postfix; Exim would read it as a part of the list.
 */
export function makeAliasReader(visitor: AliasVisitor): AliasReader {
  let pieces: string[] = [];
  let held = 0;
  let line = 0;
  let dropping = false;
  let keys = 0;
  let entry: { key: string; text: string; line: number; gap: number; long: boolean } | null = null;

  function finish(): void {
    if (entry === null) return;
    const { key, text, line: at, long } = entry;
    entry = null;
    if (long) visitor.take({ key, line: at, text: '', fault: `the entry is longer than ${LONGEST_ENTRY} octets` });
    else visitor.take({ key, line: at, text: decodeText(text) });
  }

  function readLine(text: string, long: boolean): void {
    line += 1;
    readText(line === 1 && text.startsWith(BYTE_ORDER_MARK) ? text.slice(BYTE_ORDER_MARK.length) : text, long);
  }

  function readText(text: string, long: boolean): void {
    const first = text.charCodeAt(0);
    if (text === '' || first === HASH) {
      if (entry !== null) entry.gap += 1;
      return;
    }
    if (isBlank(first)) readContinuation(trim(text), long);
    else readKey(text, long);
  }

  function readContinuation(rest: string, long: boolean): void {
    if (entry === null) {
      if (keys === 0 && rest !== '' && !rest.startsWith('#'))
        visitor.fault?.(line, 'this line begins with a blank, but there is no entry that it could continue');
    } else if (rest === '' || rest.startsWith('#')) entry.gap += 1;
    else {
      entry.long ||= long || entry.text.length + rest.length > LONGEST_ENTRY;
      if (!entry.long) entry.text += '\n'.repeat(entry.gap + 1) + rest;
      entry.gap = 0;
    }
  }

  function readKey(text: string, long: boolean): void {
    finish();
    keys += 1;
    const quoted = text.charCodeAt(0) === QUOTE;
    let at = quoted ? 1 : 0;
    let key = '';
    let from = at;
    for (; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (quoted ? unit === QUOTE : unit === COLON || isBlank(unit)) break;
      if (!quoted || unit !== BACKSLASH) continue;
      key += text.slice(from, at);
      from = ++at;
    }
    key += text.slice(from, at);
    if (quoted && at++ >= text.length) visitor.fault?.(line, 'the closing quote of the key is missing');
    if (key === '') visitor.fault?.(line, 'the key is missing');
    key = foldKey(isAscii(key) ? key : decodeText(key));
    if (key === '' || !visitor.wants(key)) return;
    const rest = trim(text.slice(at));
    entry = { key, text: rest.startsWith(':') ? trim(rest.slice(1)) : rest, line, gap: 0, long };
  }

  function drop(): void {
    pieces = [];
    held = 0;
  }

  return {
    read(octets) {
      let at = 0;
      for (;;) {
        const end = octets.indexOf('\n', at);
        if (end < 0) break;
        if (dropping) dropping = false;
        else if (held === 0) readLine(octets.slice(at, end), false);
        else {
          pieces.push(octets.slice(at, end));
          const whole = pieces.join('');
          drop();
          readLine(whole, false);
        }
        at = end + 1;
      }
      if (dropping || at === octets.length) return;
      pieces.push(octets.slice(at));
      held += octets.length - at;
      if (held <= LONGEST_ENTRY) return;
      const beginning = pieces.join('');
      drop();
      dropping = true;
      readLine(beginning, true);
    },
    end() {
      readLine(pieces.join(''), false);
      finish();
    },
  };
}

/** Looks up keys, as foldKey returns them, in one pass over a file. The first entry of a key counts. */
export interface AliasSearch extends AliasReader {
  /** The list is complete when the reader has been told of the end, or when `isDone` is true. */
  readonly entries: readonly AliasEntry[];
  /** True if the rest of the file cannot matter. */
  readonly isDone: boolean;
}

/** Starts a search for the entries of these keys, in one pass over a file. */
export function searchAliases(keys: Iterable<string>): AliasSearch {
  const missing = new Set(keys);
  const entries: AliasEntry[] = [];
  let pending = 0;
  const { read, end } = makeAliasReader({
    wants(key) {
      const isFirst = missing.delete(key);
      if (isFirst) pending += 1;
      return isFirst;
    },
    take(entry) {
      pending -= 1;
      entries.push(entry);
    },
  });
  return {
    read,
    end,
    entries,
    get isDone() {
      return missing.size === 0 && pending === 0;
    },
  };
}
