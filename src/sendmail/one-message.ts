/**
 * Sends the one message on standard input: reads it, tells what became of it, and leaves standard input as a caller expects
 * to find it. Knows no option that sends nothing, and no SMTP.
 */

import type { Config } from '../config/config.ts';
import type { LoneDot } from '../message/lone-dot.ts';
import type { Input } from '../message/source.ts';
import { commandNames } from '../process/names.ts';
import type { Reports } from '../process/report.ts';
import { listenForSignals, makeAbortable } from '../process/signals.ts';
import { chooseSockets } from '../process/sockets.ts';
import { complain, countColumns, say } from '../process/stderr.ts';
import { drain } from '../process/stdin/drain.ts';
import { openStdin, type Stdin } from '../process/stdin/open.ts';
import type { Interrupts } from '../submit/interrupts.ts';
import { printOutcome } from '../submit/outcome.ts';
import { systemSecurity } from '../submit/security.ts';
import { type StoryObserver, submitMessage } from '../submit/story.ts';
import { failUnsent, type Submitted, type Submitter } from '../submit/submission.ts';
import type { EndSignal } from '../transport/abort.ts';
import type { Invocation } from './options.ts';

/** Characters that every pipe takes. */
const SHORT = 4096;

/** Reads one message from standard input and delivers it; the value is the exit status. */
export async function sendMessage(config: Config, by: Submitter, reports: Reports, given: Invocation): Promise<number> {
  const invocation = { ...given, dotEnds: given.dotEnds && config.loneDot === 'ends' };
  const stdin = openStdin();
  const interrupts = listenForSignals(stdin.isTerminal);
  const report = reports.open();
  const dots: LoneDot[] = [];
  // A person at a terminal wants to see where the time went, and nobody else pays for it.
  const waterfall = reports.isVerbose && process.stderr.isTTY ? (await import('../submit/waterfall.ts')).startWaterfall() : null;
  const observer = { ...waterfall?.observer, trace: reports.trace, loneDot: (dot: LoneDot) => dots.push(dot) };
  const submitted = await submitStdin(config, by, invocation, interrupts, stdin, observer);
  const { outcome } = submitted;
  const [dot] = dots;
  const warning = dot ? await (await import('../process/stdin/behind-dot.ts')).warnOfText(stdin, dot) : null;
  const reported = warning === null ? submitted : { ...submitted, notes: [...submitted.notes, warning] };
  const { kind } = outcome;
  // A message that aliases discard is not read to its end either.
  const isUnread = kind !== 'accepted' && !(kind === 'failed' && outcome.isLate) && !stdin.isTerminal;
  const forget = () => drain({ ...stdin, ...makeAbortable(stdin, interrupts.signal) });
  // What a pipe may not take would wait for a caller who still writes, and reads only then.
  const isLong = isUnread && printOutcome(outcome, '').join().length > SHORT;
  if (isLong) await forget();
  const status = await report.tell(reported, by);
  if (warning !== null && (status !== 0 || reports.isVerbose)) complain([warning]);
  if (waterfall !== null) say(2, waterfall.print(outcome, countColumns()));
  await moveBehindMessage(stdin, submitted, dot, invocation.dotEnds, interrupts.signal);
  if (isUnread && !isLong) await forget();
  stdin.close();
  return status;
}

async function submitStdin(
  config: Config,
  by: Submitter,
  invocation: Invocation,
  interrupts: Interrupts,
  stdin: Stdin,
  observer: StoryObserver,
): Promise<Submitted> {
  const { operands, recipientsFromHead, dotEnds, notify, ret, envid, reversePath, verbosity } = invocation;
  const misuse = (detail: string): Submitted => failUnsent({ kind: 'usage', detail });
  const { inetdPort } = stdin;
  if (inetdPort !== null && inetdPort < 1024) return misuse('no input from inetd: nospool is not a server');
  if (!reversePath.ok) return misuse(reversePath.detail);
  // Before a person at a terminal has written a message for nobody.
  if (operands.length === 0 && !recipientsFromHead) return misuse('no recipients: name them after the options, or use -t');
  if (stdin.isTerminal && process.stderr.isTTY)
    complain([`reading the message from the terminal; end it with Ctrl-D${dotEnds ? ' or a line with a single dot' : ''}`]);
  const tree = verbosity === 2 ? await import('../submit/routing-tree.ts') : null;
  // Where a dot may end the message, the file is read in other steps than its descriptor is moved.
  if (!dotEnds) stdin.place?.follow();
  return submitMessage(
    {
      config,
      by,
      input: sparingMemory(makeAbortable(stdin, interrupts.signal)),
      recipients: { operands, fromFields: recipientsFromHead },
      reversePath: reversePath.value,
      dotEnds,
      notify: notify ?? undefined,
      ret: ret ?? undefined,
      envid: envid ?? undefined,
    },
    {
      security: systemSecurity(process.env),
      interrupts,
      names: commandNames,
      connect: await chooseSockets(),
      observer: { ...observer, routed: tree ? (routing) => say(2, tree.printRouting(routing)) : undefined },
    },
  );
}

/**
 * Stops V8 from optimizing once content is long, and from growing the space of new objects. Long content spends its time in
 * system calls and in a kernel of its own: what V8 would optimize besides costs up to 4 MiB of memory and gains nothing, but where octets
 * are converted; a larger space costs 2 MiB. Of the flags that may be set late these are harmless: they end further work.
 */
function sparingMemory(input: Input): Input {
  const setFlag = (flag: string): void => {
    if (process.versions.bun === undefined) process.getBuiltinModule('node:v8').setFlagsFromString(flag);
  };
  return {
    ...input,
    useMemory(memory) {
      input.useMemory?.(memory);
      setFlag('--no-opt --semi-space-growth-factor=1');
    },
    willConvert: () => setFlag('--opt'),
  };
}

/** Moves the descriptor of a file behind its message, as a reader leaves it who reads that to its end: who started us may read on. */
async function moveBehindMessage(
  { file, place }: Stdin,
  { outcome }: Submitted,
  dot: LoneDot | undefined,
  dotEnds: boolean,
  signal: EndSignal,
): Promise<void> {
  if (!file || !place || (outcome.kind === 'failed' && outcome.failure.kind === 'usage')) return;
  const isUnsearched = dotEnds && dot === undefined && outcome.kind !== 'accepted';
  const octets = isUnsearched ? await (await import('../process/stdin/behind-dot.ts')).findDot(file, signal) : (dot?.octets ?? null);
  await place.moveTo(octets, signal);
}
