/** The `nospool` command, once it is known that it can run. Knows nothing but where arguments and exit status are. */
import { main } from './cli/commands.ts';
import { leaveAtOnce } from './cli/leave.ts';

declare const __VERSION__: string | undefined;

leaveAtOnce();
// Whoever read our output has gone (`| head`): what was to be done is done all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
process.exitCode = await main(process.argv.slice(2), typeof __VERSION__ === 'string' ? __VERSION__ : 'from source');
