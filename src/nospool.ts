/** Entry of the `nospool` command. Knows nothing but where arguments and exit status are. */
import { main } from './cli/commands.ts';

declare const __VERSION__: string | undefined;

process.exitCode = await main(process.argv.slice(2), typeof __VERSION__ === 'string' ? __VERSION__ : 'from source');
