/** Runs the sendmail command and sets the exit status, which is 0 only if an outcome says so. */

import { leaveAtOnce } from '../process/leave.ts';
import { reportAtOnce, reportBug } from '../process/report.ts';
import { exitOnSignals } from '../process/signals.ts';
import { sendmail } from './command.ts';

process.exitCode = 1;
leaveAtOnce();
exitOnSignals(reportAtOnce);
// The variable has no effect on our connections, and the runtime would warn of it on standard error.
delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
/** Ends the process for a bug, and with it the connection: content that was under way has no terminator. */
function fail(error: unknown): never {
  reportBug(error);
  process.exit(1);
}
// Bun ends no process for a rejection that nobody has heard.
process.on('uncaughtException', fail).on('unhandledRejection', fail);

// Everything is written, so neither a QUIT that lingers, nor under Bun a read that waits, may hold the caller. One
// turn of the event loop lets the connection say that it is closed.
sendmail(process.argv).then((status) => {
  process.exitCode = status;
  setImmediate(() => process.exit());
}, fail);
