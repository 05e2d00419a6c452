/**
 * `nospool log`: the entries of the log file that hold all the words given, whole: the lines of a message stand together
 * even where other messages were sent at the same time. Knows the two forms of the log, not what they mean.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { textOf } from '../smtp/text.ts';
import { openSetting } from './admin.ts';
import { reasonOf } from './files.ts';
import { failWith, print, printJson } from './terminal.ts';

export interface LogOptions {
  /** Path of a configuration file; '' = where sendmail looks. */
  readonly config: string;
  /** Path of a log file; null = the configured one. */
  readonly file: string | null;
  /** How many entries, counted from the end; null = all that match, or 10 where no word is given. */
  readonly last: number | null;
  /** Only messages that were not delivered, or may not have been. */
  readonly failed: boolean;
  readonly json: boolean;
}

export interface LogEntry {
  /** Exim's message id; '' for a line that belongs to no message. */
  readonly id: string;
  readonly lines: readonly string[];
}

/** Where the log goes when nothing is configured and the file can be written. */
const DEFAULT_FILE = '/var/log/nospool.log';
/** `YYYY-MM-DD hh:mm:ss id text`, as Exim's main log has it. */
const LINE = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (\w{6}-\w{6,11}-\w{2,4}) (.*)$/;
/** The line that ends a message's entry. */
const LAST = /^(Completed$|Partial: |Failed: |Uncertain: |not sent: )/;
/** Entries without their last line that are kept: those of runs that were killed never get one. */
const MOST_OPEN = 10_000;
const USUAL = 10;

/** 0 when an entry was found. */
export async function runLog({ config, file, last, failed, json }: LogOptions, words: readonly string[]): Promise<number> {
  const path = file ?? (await configuredFile(config));
  if (path === null) return 1;
  if (typeof path !== 'string') return failWith(path.detail);
  const wanted = words.map((word) => word.toLowerCase());
  const limit = last ?? (words.length === 0 ? USUAL : Number.POSITIVE_INFINITY);
  const found: LogEntry[] = [];
  let count = 0;
  try {
    for await (const entry of readEntries(linesOf(path))) {
      if (!matches(entry, wanted) || (failed && !isFailed(entry))) continue;
      count++;
      if (limit === Number.POSITIVE_INFINITY) show(entry, json);
      else if (limit > 0) {
        found.push(entry);
        if (found.length > limit) found.shift();
      }
    }
  } catch (error) {
    const elsewhere = path === DEFAULT_FILE && file === null ? '; who may not write it has the log in syslog (journalctl -t nospool)' : '';
    return failWith(`cannot read ${path}: ${reasonOf(error)}${elsewhere}`);
  }
  for (const entry of found) show(entry, json);
  return count > 0 ? 0 : failWith(words.length === 0 ? `${path} has no such entry` : `${path} has no entry with ${words.join(' and ')}`);
}

/** The log file in force; a sentence when there is none to be read, null when the configuration was complained of. */
async function configuredFile(config: string): Promise<string | { readonly detail: string } | null> {
  const setting = await openSetting(config);
  if (setting === null) return null;
  if (setting.warnings.length > 0) failWith(...setting.warnings);
  const { log } = setting.config;
  if (log === 'syslog') return { detail: 'the log goes to syslog: look there for "nospool" (journalctl -t nospool)' };
  if (log === 'stderr' || log === 'none') return { detail: `nothing is kept: log = "${log}"` };
  return log === '' ? DEFAULT_FILE : log;
}

/** Lines as octet strings: what is no UTF-8 does no harm. */
const linesOf = (path: string): AsyncIterable<string> =>
  createInterface({ input: createReadStream(path, { encoding: 'latin1' }), crlfDelay: Number.POSITIVE_INFINITY });

/** Puts lines of one message together; an entry comes when its last line has come, or at the end. */
export async function* readEntries(lines: AsyncIterable<string>): AsyncGenerator<LogEntry> {
  const open = new Map<string, string[]>();
  for await (const line of lines) {
    const [, id, text = ''] = LINE.exec(line) ?? [];
    if (id === undefined) {
      if (line !== '') yield { id: idOf(line), lines: [line] };
      continue;
    }
    const known = open.get(id) ?? [];
    known.push(line);
    open.set(id, known);
    const [oldest] = open.size > MOST_OPEN ? open.keys() : [];
    const complete = LAST.test(text) ? id : oldest;
    if (complete === undefined) continue;
    yield { id: complete, lines: open.get(complete) as string[] };
    open.delete(complete);
  }
  for (const [id, left] of open) yield { id, lines: left };
}

/** The id of a line in JSON. */
function idOf(line: string): string {
  const read = jsonOf(line);
  return typeof read?.id === 'string' ? read.id : '';
}

function jsonOf(line: string): Readonly<Record<string, unknown>> | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(Buffer.from(line, 'latin1').toString('utf8'));
  } catch {
    return null;
  }
}

function matches({ lines }: LogEntry, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = Buffer.from(lines.join('\n'), 'latin1').toString('utf8').toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Delivered and discarded messages end in "Completed". */
function isFailed({ lines }: LogEntry): boolean {
  const last = lines.at(-1) ?? '';
  const read = jsonOf(last);
  return read === null ? !last.endsWith(' Completed') : read.outcome !== 'accepted' && read.outcome !== 'discarded';
}

function show({ id, lines }: LogEntry, json: boolean): void {
  const whole = lines.length === 1 ? jsonOf(lines[0] as string) : null;
  const texts = lines.map(textOf);
  if (json || whole !== null) printJson(whole ?? { id, lines: texts });
  else print(lines.length > 1 ? [...texts, ''] : texts);
}
