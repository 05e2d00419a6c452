/**
 * Tells people and the log how a submission ended, or why a run ended before it had one. Knows no octet of a message.
 */
import type { Config } from '../config/config.ts';
import type { Line } from '../smtp/line.ts';
import { logId, printLog, severityOf } from '../submit/log.ts';
import { type LogSink, logAtOnce, openLog } from '../submit/logfile.ts';
import { exitStatus, type Failure, printOutcome } from '../submit/outcome.ts';
import { failUnsent, type Submitted, type Submitter } from '../submit/submission.ts';
import type { Trace } from '../transport/observer.ts';
import { complain, makeTrace } from './stderr.ts';

/** What people and the log hear of the messages of one run, as options and configuration say. */
export interface Reports {
  /** Shows the conversations with servers; undefined without -v. */
  readonly trace: Trace | undefined;
  /** With -v and -d people hear also of what is no failure. */
  readonly isVerbose: boolean;
  /** Opens the log for one message. */
  open(): Report;
}

/** The report of one message. */
export interface Report {
  /** Writes the outcome on standard error and in the log; the value is the exit status. */
  tell(submitted: Submitted, by: Submitter): Promise<number>;
  /** Writes the outcome in the log alone; the value says what is wrong with the log, or is null. */
  log(submitted: Submitted, by: Submitter): Promise<string | null>;
}

/** `tag`: of syslog lines. */
export function makeReports(config: Config, tag: string | null, verbosity: 0 | 1 | 2): Reports {
  const isVerbose = verbosity > 0;
  function open(): Report {
    const sink = openLog(config.log, tag);
    const log: Report['log'] = (submitted, by) => logOutcome(submitted, config, by, sink);
    return {
      log,
      async tell(submitted, by) {
        const status = exitStatus(submitted.outcome, config.exitCodes);
        // First, because standard error may be a pipe that is full and that nobody reads.
        const problem = await log(submitted, by);
        complain(printOutcome(submitted.outcome, submitted.messageId));
        // P10: a log that cannot be written changes nothing, so it is no news where all went well.
        if (problem !== null && (status !== 0 || isVerbose)) complain([problem]);
        return status;
      },
    };
  }
  return { trace: makeTrace(verbosity), isVerbose, open };
}

/** Writes the outcome in the log, with the time of now: a caller may have written for hours. The value says what is wrong with the log, or is null. */
export function logOutcome(submitted: Submitted, config: Config, by: Submitter, log: LogSink): Promise<string | null> {
  const lines = printLog({ ...submitted, time: new Date(), id: by.id, login: by.login }, config.logFormat);
  return log.write(lines, severityOf(submitted.outcome));
}

/* ---- a run that ends without a submission ---- */

/** The log, as far as a run knows it. */
interface KnownLog extends Pick<Config, 'log' | 'logFormat'> {
  readonly login: string;
  /** The tag of syslog lines. */
  readonly tag: string | null;
}

/** Until the configuration is read. */
let inForce: KnownLog = { log: '', logFormat: 'exim', login: `uid-${process.geteuid?.()}`, tag: null };

/** Makes this the log of `reportUnsent` and `reportBug`. A configuration that cannot be used may say a part of it all the same. */
export function useLog(
  { log = '', logFormat = 'exim' }: Partial<Pick<Config, 'log' | 'logFormat'>>,
  login: string,
  tag: string | null,
): void {
  inForce = { log, logFormat, login, tag };
}

function printUnsent(details: readonly string[]): readonly Line[] {
  const { login, logFormat } = inForce;
  const time = new Date();
  const failure: Failure = { kind: 'config', details };
  return printLog({ ...failUnsent(failure), time, id: logId(time, process.pid), login }, logFormat);
}

/** Reports on standard error and in the log why nothing was sent. */
export async function reportUnsent(details: readonly string[]): Promise<void> {
  complain(details);
  const problem = await openLog(inForce.log, inForce.tag).write(printUnsent(details), 'err');
  if (problem !== null) complain([problem]);
}

/** Reports a bug, which ends the process, on standard error and in the log. */
export function reportBug(error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  reportAtOnce(`bug: ${reason}; the message that was under way was not sent to its end`);
}

/** Reports why the process ends. Nothing else gets a turn before that is written. */
export function reportAtOnce(detail: string): void {
  complain([detail]);
  const problem = logAtOnce(inForce.log, inForce.tag, printUnsent([detail]));
  if (problem !== null) complain([problem]);
}
