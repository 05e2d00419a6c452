/** The `nospool` command, once it is known that it can run. Knows nothing but where arguments and exit status are. */

import { leaveAtOnce } from '../process/leave.ts';
import { failWith } from '../process/stderr.ts';
import { main } from './command-line.ts';

declare const __VERSION__: string | undefined;

leaveAtOnce();
// Whoever read our output has gone (`| head`): what was to be done is done all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
function fail(error: unknown): never {
  failWith(`bug: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
process.on('uncaughtException', fail);
process.exitCode = await main(process.argv.slice(2), typeof __VERSION__ === 'string' ? __VERSION__ : 'from source').catch(fail);
