/** Runs the `nospool` command in a runtime that is new enough. Knows only arguments and exit status. */

import { leaveAtOnce } from '../process/leave.ts';
import { failWith } from '../process/stderr.ts';
import { main } from './command-line.ts';
import { explainSystemError } from './write-files.ts';

declare const __VERSION__: string | undefined;

leaveAtOnce();
process.stderr.on('error', () => {});
let isUnwritten = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of our output may go (`| head`); the command finishes its work all the same.
  if (error.code === 'EPIPE' || isUnwritten) return;
  isUnwritten = true;
  failWith(`cannot write standard output: ${explainSystemError(error)}`);
});
process.on('exit', () => {
  // A message that was sent stays sent.
  if (isUnwritten && process.argv[2] !== 'send') process.exitCode = 1;
});
function fail(error: unknown): never {
  failWith(`bug: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
// Bun ends no process for a rejection that nobody has heard.
process.on('uncaughtException', fail).on('unhandledRejection', fail);
process.exitCode = await main(process.argv.slice(2), typeof __VERSION__ === 'string' ? __VERSION__ : 'from source').catch(fail);
