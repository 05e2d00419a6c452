/**
 * The one door to descriptors 1 and 2, for both commands: whatever people read goes out by the functions of this
 * file, which make lines of it at the last moment. Only `replies.ts` (SMTP) and `submit/logfile.ts` (the log) write to a
 * descriptor besides. It never writes a secret, because nobody gives it one.
 */
import { documentLine, jsonLine, type Line, lineOf, linesOf } from '../smtp/line.ts';
import { printable } from '../smtp/text.ts';
import { TRIES, writeWhole } from '../submit/logfile.ts';
import type { Trace } from '../transport/observer.ts';

const joinLines = (lines: readonly Line[]): string => lines.map((line) => `${line}\n`).join('');

/* ---- sendmail: its callers read from a pipe that may be gone, so it writes at once ---- */

/** Writes lines; a reader that is gone or full changes nothing. */
export function say(fd: 1 | 2, lines: readonly string[]): void {
  writeText(fd, joinLines(lines.map(lineOf)));
}

/** Writes facts on standard error, one a line. */
export function complain(facts: readonly string[]): void {
  writeText(2, joinLines(linesOf(facts, 'sendmail: ')));
}

/** Characters that standard error still gets; -1 when it was told where the rest is. */
let room = Number.POSITIVE_INFINITY;

/** Lets standard error have so many characters more: a pipe that nobody reads must not fill up and hold a write for ever. */
export function limitErrors(most: number): void {
  room = most;
}

/** The lines for which there is room. The last one says where the others are. */
function takeRoom(written: string): string {
  const isWhole = written.length <= room;
  const taken = isWhole ? written : written.slice(0, written.lastIndexOf('\n', room - 1) + 1) + (room < 0 ? '' : REST);
  room = isWhole ? room - written.length : -1;
  return taken;
}

const REST = 'sendmail: the log has the rest\n';

/** Writes text of our own making; `replies.ts` gives its lines of SMTP where the event loop cannot write them. */
export function writeText(fd: number, written: string): void {
  try {
    writeWhole(fd, fd === 2 ? takeRoom(written) : written, TRIES);
  } catch {
    // Its reader is gone, or too slow, and waiting for each line would take minutes.
    if (fd === 2) room = -1;
  }
}

/**
 * Makes a trace that shows the conversation in the notation of test/sessions, with the milliseconds since the start behind
 * each line. `verbosity` 2 adds what happened besides.
 */
export function makeTrace(verbosity: 0 | 1 | 2): Trace | undefined {
  if (verbosity === 0) return undefined;
  const print = tracePrinter();
  return (side, line) => {
    if (verbosity === 2 || side !== '!') say(2, [print(side, line)]);
  };
}

/** Prints a line of a conversation, with the milliseconds since this was called. */
export function tracePrinter(): (...line: Parameters<Trace>) => string {
  const start = performance.now();
  return (side, line) => `${side}${side === '!' ? '' : ':'} ${printable(line)}  (${Math.round(performance.now() - start)} ms)`;
}

/** Counts the columns of the terminal on standard error; they may change while we run. */
export const countColumns = (): number => process.stderr.columns || 80;

/** Writes a line of a terminal that the next one writes over; '' takes it away. */
export function writeOver(line: string): void {
  writeText(2, `\r${lineOf(line)}\x1b[K`);
}

/* ---- nospool: it may write much, and the reader of a pipe may be slow ---- */

/** Writes facts on standard error, one a line; the value is the exit status of a command that failed. */
export function failWith(...facts: readonly string[]): 1 {
  process.stderr.write(joinLines(linesOf(facts, 'nospool: ')));
  return 1;
}

/** Writes remarks on standard error, one a line, that are no failure. */
export function remark(facts: readonly string[]): void {
  process.stderr.write(joinLines(linesOf(facts)));
}

/** Writes lines on standard output. */
export function writeLines(lines: readonly string[]): void {
  writePrintedLines(lines.map(lineOf));
}

/** Writes lines on standard output that were printed already. */
export function writePrintedLines(lines: readonly Line[]): void {
  process.stdout.write(joinLines(lines));
}

/** Writes a text of several lines on standard output, whole, because somebody may make a file of it. */
export function writeDocument(document: string): void {
  writePrintedLines(
    document
      .trimEnd()
      .split('\n')
      .map((line) => documentLine(line, Number.POSITIVE_INFINITY)),
  );
}

/** Writes one line of JSON on standard output, for programs. */
export function writeJson(value: unknown): void {
  writePrintedLines([jsonLine(value)]);
}

/** Writes what readline shows of a line while somebody types it, with the sequences that move the cursor, for the questions of `nospool init`. */
export function echo(typed: string | Uint8Array): void {
  process.stdout.write(typed);
}
