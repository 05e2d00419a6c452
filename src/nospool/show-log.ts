/**
 * `nospool log`: shows the entries of the log file that hold all the given words. The lines of a message stand together,
 * even where other messages were sent at the same time. Knows the two forms of the log, and the text that syslog, the journal
 * or a container runtime puts before its lines, but not what the entries mean.
 */
import { accessSync, constants, createReadStream, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { failWith, writeJson, writeLines } from '../process/stderr.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { textOf } from '../smtp/text.ts';
import { quoteForShell } from '../trust/rules.ts';
import { loadConfiguration } from './load-configuration.ts';
import { explainSystemError } from './write-files.ts';

export interface LogOptions {
  /** Path of a configuration file; '' = where sendmail looks. */
  readonly config: string;
  /** Path of a log file, '-' = standard input; null = the configured one. */
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

/** The log file when none is configured and this one can be written. */
const DEFAULT_FILE = '/var/log/nospool.log';
/** `YYYY-MM-DD hh:mm:ss +hhmm id text`, as in Exim's main log; the offset from UTC may be absent. */
const EXIM_LINE = /(?:^|\s)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:[+-]\d{4} )?(\w{6}-\w{6,11}-\w{2,4}) (.*)$/;
/** A line of our log as JSON. */
const JSON_LINE = /(?:^|\s)(\{"time":.*\})\s*$/;
/** The text of the line that ends a message's entry. */
const LAST_TEXT = /^(Completed$|Partial: |Failed: |Uncertain: |(?:U=\S+ P=\S+ )?not sent: )/;
/** How syslog writes the time: `Nov 22 16:01:04`, or `2026-11-22T16:01:04.123456+00:00`. */
const SYSLOG_TIME = /(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+)/.source;
/** The program that wrote: `nospool[77]: `, behind facility and severity where syslog shows them: `mail.info cron: `. */
const SYSLOG_PROGRAM = /(?:\w+\.\w+ )?[^\s:[\]]+(?:\[\d+\])?: /.source;
/**
 * A line that syslog or the journal wrote for a program: priority, time, host, program. One that holds no entry of ours is another
 * program's. The shell script of `nospool install` writes `time not sent: `, where a host would stand.
 */
const OTHERS = new RegExp(`^(?:<\\d+>1? ?)?${SYSLOG_TIME} (?!not sent: )\\S+ ${SYSLOG_PROGRAM}`);
/** Entries that may wait for their last line. Those of runs that were killed never get one. */
const MOST_OPEN = 10_000;
/** How many entries are shown where neither words nor --last are given. */
const USUAL = 10;

/** A part of the log: a file, standard input, or the journal. */
interface Part {
  /** For people. */
  readonly name: string;
  readonly open: () => Promise<Parsed<AsyncIterable<string>>>;
}

/** 0 when an entry was found. */
export async function runLog({ config, file, last, failed, json }: LogOptions, given: readonly string[]): Promise<number> {
  // "-" means standard input, because as a word it would match every entry.
  const words = given.filter((word) => word !== '-');
  const named = file ?? (words.length < given.length ? '-' : null);
  const found = named === null ? await findLog(config) : parsed([partOf(named)]);
  if (found === null) return 1;
  if (!found.ok) return failWith(found.detail);
  const parts = found.value;
  const wanted = words.map((word) => word.toLowerCase());
  const limit = last ?? (words.length === 0 ? USUAL : Number.POSITIVE_INFINITY);
  const isShown = (entry: LogEntry): boolean => matches(entry, wanted) && (!failed || isFailed(entry));
  const { count, unread } = await (limit === Number.POSITIVE_INFINITY
    ? showAll(parts, isShown, json)
    : showLast(parts, limit, isShown, json));
  if (count > 0) return unread.length === 0 ? 0 : 1;
  const whole = parts.filter((part) => !unread.includes(part));
  if (whole.length === 0) return 1;
  const name = whole.map((part) => part.name).join(', ');
  const has = whole.length === 1 ? 'has' : 'have';
  return failWith(words.length === 0 ? `${name} ${has} no such entry` : `${name} ${has} no entry with ${words.join(' and ')}`);
}

/** How many entries were shown, and the parts that could not be read whole, which was reported. */
interface Shown {
  readonly count: number;
  readonly unread: readonly Part[];
}

/** Shows entries as they are read. A part that cannot be read hides no other. */
async function showAll(parts: readonly Part[], isShown: (entry: LogEntry) => boolean, json: boolean): Promise<Shown> {
  let count = 0;
  const unread: Part[] = [];
  for (const part of parts) {
    const isRead = await readPart(part, (entry) => {
      if (!isShown(entry)) return;
      count++;
      show(entry, json);
    });
    if (!isRead) unread.push(part);
  }
  return { count, unread };
}

/** Shows the last entries. Older parts are read only where the newer ones have too few. */
async function showLast(parts: readonly Part[], limit: number, isShown: (entry: LogEntry) => boolean, json: boolean): Promise<Shown> {
  let kept: LogEntry[] = [];
  let count = 0;
  const unread: Part[] = [];
  for (const part of parts.toReversed()) {
    const ofPart: LogEntry[] = [];
    const isRead = await readPart(part, (entry) => {
      if (!isShown(entry)) return;
      count++;
      ofPart.push(entry);
      if (ofPart.length > limit - kept.length) ofPart.shift();
    });
    if (!isRead) unread.push(part);
    kept = [...ofPart, ...kept];
    if (kept.length >= limit) break;
  }
  for (const entry of kept) show(entry, json);
  return { count, unread };
}

/** False after a failure, which is reported. */
async function readPart({ name, open }: Part, take: (entry: LogEntry) => void): Promise<boolean> {
  try {
    const lines = await open();
    if (!lines.ok) {
      failWith(lines.detail);
      return false;
    }
    for await (const entry of readEntries(lines.value)) take(entry);
    return true;
  } catch (error) {
    failWith(`cannot read ${name}: ${explainSystemError(error)}`);
    return false;
  }
}

/** The parts of the log in force, the oldest first. null when the configuration cannot be used, which is reported. */
async function findLog(config: string): Promise<Parsed<readonly Part[]> | null> {
  const loaded = await loadConfiguration(config);
  if (loaded === null) return null;
  if (loaded.warnings.length > 0) failWith(...loaded.warnings);
  const { log } = loaded.config;
  if (log === 'stderr' || log === 'none') return unparsed(`no log is kept: log = "${log}"`);
  // Users who may not write the default file log to syslog.
  if (log === 'syslog' || (log === '' && !isReadable(DEFAULT_FILE))) return parsed([makeJournal()]);
  return parsed(listRotated(log === '' ? DEFAULT_FILE : log).map(partOf));
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** What logrotate puts behind the name. */
const ROTATED = /^(\.\d+|-\d{8}(-\d+)?)(\.(gz|xz|zst|bz2))?$/;

/** A log and what logrotate has left of it, the oldest first: `log.1`, `log.2.gz`, `log-20261128`, `log-20261128.gz`. */
function listRotated(file: string): readonly string[] {
  const folder = path.dirname(file);
  const name = path.basename(file);
  const isRotated = (each: string): boolean => each.startsWith(name) && ROTATED.test(each.slice(name.length));
  try {
    const rotated = readdirSync(folder)
      .filter(isRotated)
      .map((each) => path.join(folder, each));
    const ages = new Map(rotated.map((each) => [each, statSync(each, { throwIfNoEntry: false })?.mtimeMs ?? 0]));
    return [...rotated.toSorted((one, other) => (ages.get(one) as number) - (ages.get(other) as number)), file];
  } catch {
    return [file];
  }
}

const partOf = (file: string): Part => ({ name: nameInput(file), open: () => openLines(file) });

/** The journal of systemd, which is the syslog of most hosts. It shows root everything, and others what they may see. */
const makeJournal = (): Part => ({
  name: process.geteuid?.() === 0 ? 'the journal' : 'the journal, as far as this user may read it,',
  async open() {
    // Its status tells nothing: a journal without an entry, or without a file, is no failure.
    const lines = await linesOf('journalctl', ['-q', '--no-pager', '-o', 'cat', '-t', 'nospool'], () => null);
    return lines === null ? unparsed('the log goes to syslog, and there is no journalctl: look there for "nospool"') : parsed(lines);
  },
});

/** What another program prints; null where it is not there. `faultOf` makes a failure of its status. */
async function linesOf(
  program: string,
  args: readonly string[],
  faultOf: (status: number | null) => string | null,
): Promise<AsyncIterable<string> | null> {
  const { spawn } = await import('node:child_process');
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const isThere = await new Promise<boolean>((resolve) => child.on('spawn', () => resolve(true)).on('error', () => resolve(false)));
  if (!isThere) return null;
  return (async function* () {
    yield* splitLines(child.stdout);
    const fault = faultOf(await closed);
    if (fault !== null) throw new Error(fault);
  })();
}

const nameInput = (file: string): string => (file === '-' ? 'standard input' : file);

/** The first octets of compressed files, and the program that reads them. nospool itself reads those of gzip. */
const COMPRESSED: readonly (readonly [Buffer, string])[] = [
  [Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 'zstdcat'],
  [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]), 'xzcat'],
  [Buffer.from('BZh'), 'bzcat'],
];
const GZIP = Buffer.from([0x1f, 0x8b]);

/** Lines as octet strings, so that text which is not UTF-8 does no harm. */
async function openLines(file: string): Promise<Parsed<AsyncIterable<string>>> {
  const source: Readable = file === '-' ? process.stdin : createReadStream(file);
  const octets = source[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
  // A pipe may give the first octet alone.
  let head = Buffer.alloc(0);
  let isOver = false;
  while (head.length < 5 && !isOver) {
    const next = await octets.next();
    if (next.done) isOver = true;
    else head = Buffer.concat([head, next.value]);
  }
  const begins = (mark: Buffer): boolean => head.subarray(0, mark.length).equals(mark);
  const other = COMPRESSED.find(([mark]) => begins(mark));
  if (other !== undefined) {
    source.destroy();
    const [, program] = other;
    const faultOf = (status: number | null) => (status === 0 ? null : `${program} could not decompress it`);
    const lines = file === '-' ? null : await linesOf(program, [file], faultOf);
    if (lines !== null) return parsed(lines);
    return unparsed(`${nameInput(file)} is compressed: ${file === '-' ? '' : `${program} ${quoteForShell(file)} | `}nospool log -`);
  }
  const rest = async function* (): AsyncGenerator<Buffer> {
    yield head;
    yield* octets;
  };
  const whole = Readable.from(rest(), { objectMode: false });
  return parsed(splitLines(begins(GZIP) ? await unzip(whole) : whole));
}

const splitLines = (input: Readable): AsyncIterable<string> =>
  createInterface({ input: input.setEncoding('latin1'), crlfDelay: Number.POSITIVE_INFINITY });

async function unzip(source: Readable): Promise<Readable> {
  const { createGunzip } = await import('node:zlib');
  const unzip = createGunzip();
  source.on('error', (error) => unzip.destroy(error));
  return source.pipe(unzip);
}

/** Puts the lines of one message together. Yields an entry after its last line, or at the end of the input. */
export async function* readEntries(lines: AsyncIterable<string>): AsyncGenerator<LogEntry> {
  const open = new Map<string, string[]>();
  for await (const raw of lines) {
    const line = unwrapJournal(raw);
    const whole = JSON_LINE.exec(line)?.[1];
    const [, id, text = ''] = whole === undefined ? (EXIM_LINE.exec(line) ?? []) : [];
    if (id === undefined) {
      if (whole !== undefined) yield { id: readId(whole), lines: [whole] };
      else if (line !== '' && !OTHERS.test(line)) yield { id: '', lines: [line] };
      continue;
    }
    const known = open.get(id) ?? [];
    known.push(line);
    open.set(id, known);
    const [oldest] = open.size > MOST_OPEN ? open.keys() : [];
    const complete = LAST_TEXT.test(text) ? id : oldest;
    if (complete === undefined) continue;
    yield { id: complete, lines: open.get(complete) as string[] };
    open.delete(complete);
  }
  for (const [id, left] of open) yield { id, lines: left };
}

/** The message of a line of `journalctl -o json`; another line as it is. */
function unwrapJournal(line: string): string {
  if (!line.startsWith('{"')) return line;
  const message = line.includes('"MESSAGE"') ? readJson(line)?.MESSAGE : undefined;
  return typeof message === 'string' ? Buffer.from(message).toString('latin1') : line;
}

/** The id in a JSON line; '' = none. */
function readId(line: string): string {
  const read = readJson(line);
  return typeof read?.id === 'string' ? read.id : '';
}

function readJson(line: string): Readonly<Record<string, unknown>> | null {
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
  const read = readJson(last);
  return read === null ? !last.endsWith(' Completed') : read.outcome !== 'accepted' && read.outcome !== 'discarded';
}

function show({ id, lines }: LogEntry, json: boolean): void {
  const whole = lines.length === 1 ? readJson(lines[0] as string) : null;
  const texts = lines.map(textOf);
  if (json || whole !== null) writeJson(whole ?? { id, lines: texts });
  else writeLines(lines.length > 1 ? [...texts, ''] : texts);
}
