/** How a submission ended, told to people and to the log, once it has. Knows no message octet. */
import type { Config } from '../config/config.ts';
import { printLog } from '../submit/log.ts';
import type { LogSink } from '../submit/logfile.ts';
import { exitStatus, type Failure, failedWith, printOutcome } from '../submit/outcome.ts';
import type { Submitted, Submitter } from '../submit/submission.ts';
import { complain } from './terminal.ts';

/** P13: how much of what a caller still writes is read so that it does not die of SIGPIPE before it reads our reason. */
export const DRAIN = { octets: 64 * 1024 * 1024, milliseconds: 30_000 };

/** Writes the facts on standard error and the lines of the log; the value is the exit status. */
export async function report(submitted: Submitted, config: Config, by: Submitter, log: LogSink, verbosity: 0 | 1 | 2): Promise<number> {
  const status = exitStatus(submitted.outcome, config.exitCodes);
  complain(printOutcome(submitted.outcome, submitted.messageId));
  const problem = await record(submitted, config, by, log);
  // P10: a log that cannot be written changes nothing, so it is no news where all went well.
  if (problem !== null && (status !== 0 || verbosity > 0)) complain([problem]);
  return status;
}

/** Writes the lines of the log; what is wrong with it is returned. */
export function record(submitted: Submitted, config: Config, by: Submitter, log: LogSink): Promise<string | null> {
  return log.write(printLog({ ...submitted, time: by.date, id: by.unique, login: by.login }, config.logFormat));
}

/** A submission that ended before its message was looked at. */
export const unsent = (failure: Failure): Submitted => ({
  outcome: failedWith(failure),
  reversePath: null,
  recipients: [],
  discarded: [],
  messageId: '',
  octets: null,
  notes: [],
});
