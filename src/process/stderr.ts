/**
 * The one door to descriptors 1 and 2, for both commands: whatever is written for people goes out by the functions of this
 * file, which make lines of it at the last moment. Only `replies.ts` (SMTP) and `submit/logfile.ts` (the log) write to a
 * descriptor besides. Never writes a secret: it is given none.
 */
import { writeSync } from 'node:fs';
import { documentLine, jsonLine, type Line, lineOf, linesOf } from '../smtp/line.ts';
import { printable } from '../smtp/text.ts';
import type { Trace } from '../transport/observer.ts';

const text = (lines: readonly Line[]): string => lines.map((line) => `${line}\n`).join('');

/* ---- sendmail: written at once, because callers read it from a pipe that may be gone ---- */

/** Writes lines; a reader that is gone or full changes nothing. */
export function say(fd: 1 | 2, lines: readonly string[]): void {
  writeText(fd, text(lines.map(lineOf)));
}

/** Facts on standard error, one a line. */
export function complain(facts: readonly string[]): void {
  writeText(2, text(linesOf(facts, 'sendmail: ')));
}

/** Octets of our own making; `replies.ts` gives its lines of SMTP where the event loop cannot write them. */
export function writeText(fd: number, written: string): void {
  const octets = Buffer.from(written, 'utf8');
  for (let at = 0, tries = 0; at < octets.length && tries < 1000; tries++) {
    try {
      at += writeSync(fd, octets, at);
    } catch (error) {
      // A caller's non-blocking pipe that is full: its reader gets another chance.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/**
 * The conversation in the notation of test/sessions, with the milliseconds since the start behind each line.
 * `verbosity` 2 adds what happened besides.
 */
export function conversation(verbosity: 0 | 1 | 2): Trace | undefined {
  if (verbosity === 0) return undefined;
  const start = performance.now();
  return (side, line) => {
    if (verbosity === 1 && side === '!') return;
    say(2, [`${side}${side === '!' ? '' : ':'} ${printable(line)}  (${Math.round(performance.now() - start)} ms)`]);
  };
}

/** Of the terminal on standard error; it may change while we run. */
export const columns = (): number => process.stderr.columns || 80;

/** A line of a terminal that is written over by the next one; '' takes it away. */
export function writeOver(line: string): void {
  writeText(2, `\r${lineOf(line)}\x1b[K`);
}

/* ---- nospool: what is written may be long, and the reader of a pipe slow ---- */

/** Facts on standard error, one a line; the value is the exit status of a command that failed. */
export function failWith(...facts: readonly string[]): 1 {
  process.stderr.write(text(linesOf(facts, 'nospool: ')));
  return 1;
}

/** Remarks on standard error, one a line, that are no failure. */
export function remark(facts: readonly string[]): void {
  process.stderr.write(text(linesOf(facts)));
}

/** Lines on standard output. */
export function print(lines: readonly string[]): void {
  printLines(lines.map(lineOf));
}

/** Lines on standard output that are lines already. */
export function printLines(lines: readonly Line[]): void {
  process.stdout.write(text(lines));
}

/** A text of several lines, whole: it may be the file that somebody makes of it. */
export function printDocument(document: string): void {
  printLines(
    document
      .trimEnd()
      .split('\n')
      .map((line) => documentLine(line, Number.POSITIVE_INFINITY)),
  );
}

/** One line of JSON on standard output, for programs. */
export function printJson(value: unknown): void {
  printLines([jsonLine(value)]);
}

/** What readline shows of a line while it is typed, with the sequences that move the cursor: `nospool init` alone asks questions. */
export function echo(typed: string | Uint8Array): void {
  process.stdout.write(typed);
}
