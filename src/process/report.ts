/**
 * Tells people and the log how a submission ended, or why a run ended before it had one. Knows no octet of a message.
 */
import type { Config } from '../config/config.ts';
import type { Line } from '../smtp/line.ts';
import { logId, printLog } from '../submit/log.ts';
import { type LogSink, logAtOnce, openLog } from '../submit/logfile.ts';
import { exitStatus, type Failure, failedWith, printOutcome } from '../submit/outcome.ts';
import type { Submitted, Submitter } from '../submit/submission.ts';
import { complain } from './stderr.ts';

/** Writes the outcome on standard error and in the log; the value is the exit status. */
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

/** Writes the outcome in the log; the value says what is wrong with the log, or is null. */
export function logOutcome(submitted: Submitted, config: Config, by: Submitter, log: LogSink): Promise<string | null> {
  return log.write(printLog({ ...submitted, time: by.date, id: by.unique, login: by.login }, config.logFormat));
}

/** Fails a submission before anybody looked at its message. */
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

/** The log, as far as a run knows it before it has a configuration. */
export interface EarlyLog extends Pick<Config, 'log' | 'logFormat'> {
  readonly login: string;
  /** The tag of syslog lines. */
  readonly tag: string | null;
}

/** The log until the configuration is read, and where it cannot be. */
const UNCONFIGURED: EarlyLog = { log: '', logFormat: 'exim', login: `uid-${process.geteuid?.()}`, tag: null };

function printEarly(details: readonly string[], { login, logFormat }: EarlyLog): readonly Line[] {
  const time = new Date();
  const failure: Failure = { kind: 'config', details };
  return printLog({ ...failUnsent(failure), time, id: logId(time, process.pid), login }, logFormat);
}

/** Reports on standard error and in the log why nothing was sent. */
export async function reportUnsent(details: readonly string[], known: Partial<EarlyLog> = {}): Promise<void> {
  complain(details);
  const log: EarlyLog = { ...UNCONFIGURED, ...known };
  const problem = await openLog(log.log, log.tag).write(printEarly(details, log));
  if (problem !== null) complain([problem]);
}

let inForce = UNCONFIGURED;

/** Makes this the log in which `reportBug` writes. */
export function useLog(log: EarlyLog): void {
  inForce = log;
}

/** Reports a bug, which ends the process, on standard error and in the log. Nothing else gets a turn before that is written. */
export function reportBug(error: unknown): void {
  const detail = `bug: ${error instanceof Error ? error.message : String(error)}; the message that was under way was not sent to its end`;
  complain([detail]);
  const problem = logAtOnce(inForce.log, inForce.tag, printEarly([detail], inForce));
  if (problem !== null) complain([problem]);
}
