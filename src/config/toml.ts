/**
 * Parses a TOML file to plain tables, and explains the parser's errors. Loaded only when a file is read. Knows no key of
 * nospool.toml.
 */
import { parse, TomlError } from 'smol-toml';
import { type Parsed, unparsed } from '../smtp/parsed.ts';
import { findLines, type PathStep } from './toml-lines.ts';

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
    let lineOf: ReturnType<typeof findLines> | null = null;
    const line: Toml['line'] = (...path) => {
      lineOf ??= findLines(text, (quoted) => parse(`k = ${quoted}`).k as string);
      return lineOf(path);
    };
    return { ok: true, value: { table, line } };
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
  const [, word = '', sign = '', value = ''] = /^([\w.-]*)\s*([=:]?)\s*(.*)$/s.exec(line.trim()) ?? [];
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
