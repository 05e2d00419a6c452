/**
 * What is written for people while a run goes on: lines on standard error, written at once because callers read them
 * from a pipe that may be gone, and the conversation as a transcript. Never writes a secret: it is given none.
 */
import { appendFileSync, writeSync } from 'node:fs';
import { printable } from '../smtp/text.ts';
import type { Trace } from '../transport/connection.ts';

/** Writes to a descriptor; a reader that is gone or full changes nothing. */
export function writeText(fd: number, text: string): void {
  const octets = Buffer.from(text, 'utf8');
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

/** Facts on standard error, one a line. */
export function complain(lines: readonly string[]): void {
  for (const line of lines) writeText(2, `sendmail: ${line}\n`);
}

/**
 * The conversation in the notation of test/sessions, with the milliseconds since the start behind each line.
 * `verbosity` 2 adds what happened besides; `transcript` is a file to append to, null = none.
 */
export function conversation(verbosity: 0 | 1 | 2, transcript: string | null): Trace | undefined {
  if (verbosity === 0 && transcript === null) return undefined;
  const start = performance.now();
  let file = transcript;
  return (side, line) => {
    const text = `${side}${side === '!' ? '' : ':'} ${printable(line)}  (${Math.round(performance.now() - start)} ms)\n`;
    if (verbosity === 2 || (verbosity === 1 && side !== '!')) writeText(2, text);
    if (file === null || (side === '!' && verbosity < 2)) return;
    try {
      appendFileSync(file, text);
    } catch (error) {
      complain([`cannot write the transcript ${file}: ${(error as Error).message}`]);
      file = null;
    }
  };
}
