/**
 * `nospool send`: sends one message from a file or standard input, as sendmail does, and prints the result for a person or
 * as JSON. Decides nothing about the message: `src/submit` does.
 */

import { closeSync, fstatSync, openSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import type { Input } from '../message/source.ts';
import { commandNames } from '../process/names.ts';
import { logOutcome } from '../process/report.ts';
import { listenForSignals, makeAbortable } from '../process/signals.ts';
import { countColumns, failWith, makeTrace, remark, tracePrinter, writeLines, writeOver, writePrintedLines } from '../process/stderr.ts';
import { openStdin } from '../process/stdin/open.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { printMailbox, printPath } from '../smtp/path.ts';
import { printReply } from '../smtp/reply.ts';
import { textOf } from '../smtp/text.ts';
import { printLog } from '../submit/log.ts';
import { openLog } from '../submit/logfile.ts';
import { exitStatus, printAttempt, printOutcome, printServer } from '../submit/outcome.ts';
import { systemSecurity } from '../submit/security.ts';
import { submitMessage } from '../submit/story.ts';
import type { Submitted, Submitter } from '../submit/submission.ts';
import type { EndSignal } from '../transport/abort.ts';
import type { Trace } from '../transport/observer.ts';
import { parseFromOption } from './from-option.ts';
import { loadConfiguration } from './load-configuration.ts';
import { progressLine } from './progress-line.ts';
import { explainSystemError } from './write-files.ts';

export interface SendOptions {
  /** Path of a configuration file; '' = where sendmail looks. */
  readonly config: string;
  /** Reverse-path; null = the default one. */
  readonly from: string | null;
  /** Address lists; [] = the recipients of the header section. */
  readonly to: readonly string[];
  readonly json: boolean;
  /** Show the conversation, and on a terminal where the time went. */
  readonly verbose: boolean;
  /** A file to which the conversation is appended; null = none. */
  readonly trace: string | null;
}

/** 0 when a smart host took the message for every recipient. */
export async function runSend(options: SendOptions, operands: readonly string[]): Promise<number> {
  const [name = '-', ...more] = operands;
  if (more.length > 0) return failWith(`one message at a time: ${operands.length} files were given`);
  const from = parseFromOption(options.from);
  if (!from.ok) return failWith(from.detail);
  const opened = openMessage(name);
  if (!opened.ok) return failWith(opened.detail);
  const { input, total, close, leave } = opened.value;
  const loaded = await loadConfiguration(options.config);
  if (loaded === null) {
    close();
    return 1;
  }
  const { config, warnings } = loaded;
  if (warnings.length > 0) failWith(...warnings);
  const by = await loaded.submitter();
  const log = openLog(config.log);
  const interrupts = listenForSignals(true);
  const tracing = options.trace === null ? null : await startTrace(options.trace, options, operands, config, by);
  const isWatched = options.verbose && process.stderr.isTTY;
  const waterfall = isWatched || tracing ? (await import('../submit/waterfall.ts')).startWaterfall() : null;
  // The conversation would break the line that is overwritten, and a terminal that is said to be dumb has none.
  const progress =
    process.stderr.isTTY && process.env.TERM !== 'dumb' && !options.verbose ? progressLine(total, writeOver, countColumns) : null;
  const submitted = await submitMessage(
    {
      config,
      by,
      input: makeAbortable(input, interrupts.signal),
      recipients: { operands: options.to, fromFields: options.to.length === 0 },
      reversePath: from.value,
      dotEnds: false,
    },
    {
      security: systemSecurity(process.env),
      names: commandNames,
      interrupts,
      observer: { ...waterfall?.observer, trace: joinTraces(makeTrace(options.verbose ? 1 : 0), tracing?.trace), progress: progress?.sent },
    },
  );
  progress?.end();
  await leave(interrupts.signal);
  close();
  const status = exitStatus(submitted.outcome, 'simple');
  if (options.json) {
    writePrintedLines(printLog({ ...submitted, time: by.date, id: by.id, login: by.login }, 'json'));
  } else if (status === 0) {
    writeLines(printResult(submitted));
  } else {
    const { outcome } = submitted;
    const isNowhere = outcome.kind === 'failed' && outcome.failure.kind !== 'uncertain';
    failWith(...printOutcome(outcome, submitted.messageId), ...(isNowhere ? ['nobody has the message'] : []));
  }
  const problem = await logOutcome(submitted, config, by, log);
  if (problem !== null) failWith(problem);
  if (isWatched && waterfall !== null) remark(waterfall.print(submitted.outcome, countColumns()));
  const untraced = tracing?.end(submitted, status, waterfall?.print(submitted.outcome, 80) ?? []) ?? null;
  if (untraced !== null) failWith(untraced);
  return status;
}

/** What is written to the file of --trace. */
interface Tracing {
  readonly trace: Trace;
  /** Writes how it ended, and where the time went; the value says what is wrong with the file, or is null. */
  readonly end: (submitted: Submitted, status: number, times: readonly string[]) => string | null;
}

/** Opens the file; null when it cannot be written, which people are told and which changes nothing else. */
async function startTrace(
  file: string,
  { config: named, from, to, json, verbose }: SendOptions,
  operands: readonly string[],
  config: Config,
  by: Submitter,
): Promise<Tracing | null> {
  const { openTraceFile, printTraceHead } = await import('./trace-file.ts');
  const words = [
    'send',
    ...(named === '' ? [] : ['--config', named]),
    ...(from === null ? [] : ['--from', from]),
    ...to.flatMap((list) => ['--to', list]),
    ...(json ? ['--json'] : []),
    ...(verbose ? ['--verbose'] : []),
    '--trace',
    file,
    ...operands,
  ];
  const opened = openTraceFile(file, printTraceHead(config, { ...by, time: by.date, words }));
  if (!opened.ok) {
    failWith(opened.detail);
    return null;
  }
  const { write, close } = opened.value;
  const print = tracePrinter();
  return {
    trace: (side, line) => write([print(side, line)]),
    end({ outcome, messageId }, status, times) {
      const said = outcome.kind === 'accepted' ? [`accepted by ${printServer(outcome.by)}`] : printOutcome(outcome, messageId);
      write([...said, `exit status ${status}`, ...times].map((line) => `# ${line}`));
      return close();
    },
  };
}

/** Tells both, if there are two. */
function joinTraces(first: Trace | undefined, second: Trace | undefined): Trace | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return (...line) => {
    first(...line);
    second(...line);
  };
}

interface Opened {
  readonly input: Input;
  /** Octets; null when not known. */
  readonly total: number | null;
  readonly close: () => void;
  /** Leaves standard input behind the message, for a caller that reads on from there. */
  readonly leave: (signal: EndSignal) => Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

function openMessage(name: string): Parsed<Opened> {
  if (name === '-') {
    const stdin = openStdin();
    if (stdin.isTerminal) remark(['nospool: reading the message from the terminal; end it with Ctrl-D']);
    stdin.place?.follow();
    const leave = async (signal: EndSignal) => stdin.place?.moveTo(null, signal);
    return parsed({ input: stdin, total: stdin.file?.size ?? null, close: () => stdin.close(), leave });
  }
  try {
    const fd = openSync(name, 'r');
    if (fstatSync(fd).isDirectory()) {
      closeSync(fd);
      return unparsed(`${name} is a directory, not a message`);
    }
    const file = openStdin(fd);
    return parsed({ input: file, total: file.file?.size ?? null, close: () => file.close(), leave: nothing });
  } catch (error) {
    return unparsed(`cannot read ${name}: ${explainSystemError(error)}`);
  }
}

/** The facts about a message that was accepted, one a line. */
function printResult({ outcome, reversePath = null, recipients, discarded, octets, messageId, notes }: Submitted): readonly string[] {
  const rows: [string, string][] = [];
  const add = (label: string, values: readonly string[]) => {
    for (const [i, value] of values.entries()) rows.push([i === 0 ? label : '', value]);
  };
  if (outcome.kind === 'accepted') {
    const { by, attempts } = outcome;
    add('accepted by', [`${printServer(by)}: ${printReply(by.reply)}`]);
    add('from', [printPath(reversePath)]);
    add(
      'to',
      recipients.map(({ path }) => printMailbox(path)),
    );
    add('message-id', messageId === '' ? [] : [textOf(messageId)]);
    add('size', octets === null ? [] : [`${octets} octets`]);
    add('tls', by.tls === null ? [] : [`${by.tls.cipher}, ${by.tls.verified ? 'verified' : 'not verified'}`]);
    add('user', by.auth === null ? [] : [`${by.auth.user}, by ${by.auth.mechanism}`]);
    add('tried before', attempts.flatMap(printAttempt));
  }
  add(
    'discarded',
    discarded.map(({ path }) => printMailbox(path)),
  );
  add('note', notes);
  return rows.map(([label, value]) => `${label.padEnd(14)}${value}`);
}
