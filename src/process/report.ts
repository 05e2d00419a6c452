/**
 * How a submission ended, told to people and to the log, once it has; and what ended a run before there was one. Knows
 * no message octet.
 */
import type { Config } from '../config/config.ts';
import type { Line } from '../smtp/line.ts';
import { logId, printLog } from '../submit/log.ts';
import { type LogSink, logAtOnce, openLog } from '../submit/logfile.ts';
import { exitStatus, type Failure, failedWith, printOutcome } from '../submit/outcome.ts';
import type { Submitted, Submitter } from '../submit/submission.ts';
import { complain } from './stderr.ts';

/** Writes the facts on standard error and the lines of the log; the value is the exit status. */
export async function reportOutcome(
  submitted: Submitted,
  config: Config,
  by: Submitter,
  log: LogSink,
  verbosity: 0 | 1 | 2,
): Promise<number> {
  const status = exitStatus(submitted.outcome, config.exitCodes);
  complain(printOutcome(submitted.outcome, submitted.messageId));
  const problem = await logOutcome(submitted, config, by, log);
  // P10: a log that cannot be written changes nothing, so it is no news where all went well.
  if (problem !== null && (status !== 0 || verbosity > 0)) complain([problem]);
  return status;
}

/** Writes the lines of the log; what is wrong with it is returned. */
export function logOutcome(submitted: Submitted, config: Config, by: Submitter, log: LogSink): Promise<string | null> {
  return log.write(printLog({ ...submitted, time: by.date, id: by.unique, login: by.login }, config.logFormat));
}

/** A submission that ended before its message was looked at. */
export const failUnsent = (failure: Failure): Submitted => ({
  outcome: failedWith(failure),
  reversePath: undefined,
  recipients: [],
  discarded: [],
  messageId: '',
  octets: null,
  notes: [],
});

/* ---- a run that ends without a submission ---- */

/** What is known of the log so far. */
export interface EarlyLog extends Pick<Config, 'log' | 'logFormat'> {
  readonly login: string;
  /** For syslog. */
  readonly tag: string | null;
}

/** Before the configuration is read, and where it cannot be. */
const NOTHING_KNOWN: EarlyLog = { log: '', logFormat: 'exim', login: `uid-${process.geteuid?.()}`, tag: null };

function linesOf(details: readonly string[], { login, logFormat }: EarlyLog): readonly Line[] {
  const time = new Date();
  const failure: Failure = { kind: 'config', details };
  return printLog({ ...failUnsent(failure), time, id: logId(time, process.pid), login }, logFormat);
}

/** Tells the reasons on standard error and in the log: nothing was sent. */
export async function reportUnsent(details: readonly string[], known: Partial<EarlyLog> = {}): Promise<void> {
  complain(details);
  const log: EarlyLog = { ...NOTHING_KNOWN, ...known };
  const problem = await openLog(log.log, log.tag).write(linesOf(details, log));
  if (problem !== null) complain([problem]);
}

let inForce = NOTHING_KNOWN;

/** From here on a bug is told in this log. */
export function useLog(log: EarlyLog): void {
  inForce = log;
}

/** The last words of a process that has a bug: nothing else gets a turn before they are written. */
export function reportBug(error: unknown): void {
  const detail = `bug: ${error instanceof Error ? error.message : String(error)}; the message that was under way was not sent to its end`;
  complain([detail]);
  const problem = logAtOnce(inForce.log, inForce.tag, linesOf([detail], inForce));
  if (problem !== null) complain([problem]);
}
