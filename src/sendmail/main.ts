/** The sendmail command: sets the exit status, and nothing can make it 0 but an outcome that says so. */

import { leaveAtOnce } from '../process/leave.ts';
import { reportBug } from '../process/report.ts';
import { exitOnSignals } from '../process/signals.ts';
import { sendmail } from './command.ts';

process.exitCode = 1;
leaveAtOnce();
exitOnSignals();
// It has no effect on our connections, and the runtime would warn of it on standard error.
delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
/** A bug ends the process, and with it the connection: content that was under way has no terminator. */
function fail(error: unknown): never {
  reportBug(error);
  process.exit(1);
}
process.on('uncaughtException', fail);

// All is told and written, and neither a QUIT that lingers, nor under Bun a read that waits, must hold the caller. One
// turn of the event loop lets the connection say that it is closed.
sendmail(process.argv).then((status) => {
  process.exitCode = status;
  setImmediate(() => process.exit());
}, fail);
