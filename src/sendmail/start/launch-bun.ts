/**
 * Starts the sendmail command under Bun. The command ends the process, and this module waits for that: where the first module has ended
 * and something is still under way, Bun collects garbage, which takes a tenth of a short message's time. Knows only where the command lies.
 */
// The build puts sendmail.cjs there.
import './launch.ts';

await new Promise(() => {});
