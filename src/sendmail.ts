/** The sendmail command: sets the exit status, and nothing can make it 0 but an outcome that says so. */
import { sendmail } from './cli/sendmail.ts';
import { complain } from './cli/terminal.ts';

process.exitCode = 1;
// As in Exim: mailx and mutt start us with it ignored, which the runtime undoes.
process.on('SIGHUP', () => {});
// It has no effect on our connections, and the runtime would warn of it on standard error.
delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
sendmail(process.argv).then(
  (status) => {
    process.exitCode = status;
    // A connection that lingers over its QUIT must not hold the caller; nor, under Bun, a read of standard input that waits.
    if (process.versions.bun === undefined) setTimeout(() => process.exit(), 2000).unref();
    else setTimeout(() => process.exit(), 20);
  },
  (error: unknown) => {
    complain([`bug: ${error instanceof Error ? error.message : String(error)}; nobody has the message`]);
    process.exit(1);
  },
);
