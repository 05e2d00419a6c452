/**
 * Sends the one message on standard input: reads it, tells what became of it, and leaves standard input as a caller expects
 * to find it. Knows no option that sends nothing, and no SMTP.
 */
import type { Config } from '../config/config.ts';
import type { LoneDot } from '../message/lone-dot.ts';
import type { Input } from '../message/source.ts';
import { failUnsent, reportOutcome } from '../process/report.ts';
import { type Interrupts, listenForSignals, makeAbortable } from '../process/signals.ts';
import { complain, makeTrace, say } from '../process/stderr.ts';
import { drain } from '../process/stdin/drain.ts';
import { openStdin, type Stdin } from '../process/stdin/open.ts';
import { openLog } from '../submit/logfile.ts';
import { systemSecurity } from '../submit/security.ts';
import { type Submitted, type Submitter, submitMessage } from '../submit/submission.ts';
import { parseSenderOption } from './arguments.ts';
import type { Invocation } from './options.ts';

/** Reads one message from standard input and delivers it; the value is the exit status. */
export async function sendMessage(config: Config, by: Submitter, given: Invocation): Promise<number> {
  const invocation = { ...given, dotEnds: given.dotEnds && config.loneDot === 'ends' };
  const stdin = openStdin();
  const interrupts = listenForSignals(stdin.isTerminal);
  const log = openLog(config.log, invocation.tag);
  const dots: LoneDot[] = [];
  const submitted = await submitStdin(config, by, invocation, interrupts, stdin, (dot) => dots.push(dot));
  const { outcome } = submitted;
  const [dot] = dots;
  const warning = dot ? await (await import('../process/stdin/behind-dot.ts')).warnOfText(stdin, dot) : null;
  const reported = warning === null ? submitted : { ...submitted, notes: [...submitted.notes, warning] };
  const status = await reportOutcome(reported, config, by, log, invocation.verbosity);
  if (warning !== null && (status !== 0 || invocation.verbosity > 0)) complain([warning]);
  await moveBehindMessage(stdin, submitted, dot, invocation.dotEnds, interrupts.signal);
  // A message that aliases discard is not read to its end either.
  const isUnread = status !== 0 || outcome.kind === 'discarded';
  const hasEnded = interrupts.signal.aborted || (outcome.kind === 'failed' && outcome.isLate === true);
  if (isUnread && !hasEnded && !stdin.isTerminal) await drain(stdin);
  stdin.close();
  return status;
}

async function submitStdin(
  config: Config,
  by: Submitter,
  invocation: Invocation,
  interrupts: Interrupts,
  stdin: Stdin,
  loneDot: (dot: LoneDot) => void,
): Promise<Submitted> {
  const { operands, recipientsFromHead, dotEnds, notify, ret, envid, verbosity } = invocation;
  const misuse = (detail: string): Submitted => failUnsent({ kind: 'usage', detail });
  const { inetdPort } = stdin;
  if (inetdPort !== null && inetdPort < 1024) return misuse('no input from inetd: nospool is not a server');
  const sender = parseSenderOption(invocation);
  if (!sender.ok) return misuse(sender.detail);
  // Before a person at a terminal has written a message for nobody.
  if (operands.length === 0 && !recipientsFromHead) return misuse('no recipients: name them after the options, or use -t');
  if (stdin.isTerminal && process.stderr.isTTY)
    complain([`reading the message from the terminal; end it with Ctrl-D${dotEnds ? ' or a line with a single dot' : ''}`]);
  const { signal, urgent } = interrupts;
  const trace = makeTrace(verbosity);
  const tree = verbosity === 2 ? await import('../submit/routing-tree.ts') : null;
  // Where a dot may end the message, the file is read in other steps than its descriptor is moved.
  if (!dotEnds) stdin.place?.follow();
  return submitMessage(
    {
      config,
      by,
      input: sparingMemory(makeAbortable(stdin, signal)),
      wanted: { operands, fromFields: recipientsFromHead },
      reversePath: sender.value,
      dotEnds,
      ...(notify ? { notify } : {}),
      ...(ret ? { ret } : {}),
      ...(envid !== null ? { envid } : {}),
    },
    {
      security: systemSecurity(process.env),
      signal,
      urgent,
      ...(trace ? { trace } : {}),
      ...(tree ? { routed: (routing) => say(2, tree.printRouting(routing)) } : {}),
      loneDot,
    },
  );
}

/**
 * Stops V8 from optimizing once content is long. Long content spends its time in system calls and in a kernel of its own:
 * what V8 would optimize besides costs up to 4 MiB of memory and gains nothing. Of the flags that may be set late this is
 * a harmless one: it ends further work.
 */
function sparingMemory(input: Input): Input {
  return {
    ...input,
    useMemory(memory) {
      input.useMemory?.(memory);
      if (process.versions.bun === undefined) void import('node:v8').then(({ setFlagsFromString }) => setFlagsFromString('--no-opt'));
    },
  };
}

/** Moves the descriptor of a file behind its message, as a reader leaves it who reads that to its end: who started us may read on. */
async function moveBehindMessage(
  { file, place }: Stdin,
  { outcome }: Submitted,
  dot: LoneDot | undefined,
  dotEnds: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (!file || !place || (outcome.kind === 'failed' && outcome.failure.kind === 'usage')) return;
  const isUnsearched = dotEnds && dot === undefined && outcome.kind !== 'accepted';
  const octets = isUnsearched ? await (await import('../process/stdin/behind-dot.ts')).findDot(file, signal) : (dot?.octets ?? null);
  await place.moveTo(octets, signal);
}
