/** Runs the `nospool` command in a runtime that is new enough. Knows only arguments and exit status. */

import { leaveAtOnce } from '../process/leave.ts';
import { failWith } from '../process/stderr.ts';
import { main } from './command-line.ts';

declare const __VERSION__: string | undefined;

leaveAtOnce();
// The reader of our output may go (`| head`); the command finishes its work all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
function fail(error: unknown): never {
  failWith(`bug: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
process.on('uncaughtException', fail);
process.exitCode = await main(process.argv.slice(2), typeof __VERSION__ === 'string' ? __VERSION__ : 'from source').catch(fail);
