/**
 * The sendmail command as a process: arguments, configuration, standard input, signals, standard error, log, exit
 * status. What becomes of the message is decided in `src/submit`.
 */
import type { Config } from '../config/config.ts';
import { readConfig } from '../config/read.ts';
import type { LoneDot } from '../message/lone-dot.ts';
import { identify, rawArguments } from '../process/identity.ts';
import { DRAIN, type EarlyLog, refuse, report, unsent, useLog } from '../process/report.ts';
import { abortable, listenForSignals } from '../process/signals.ts';
import { complain, conversation, say } from '../process/stderr.ts';
import { drain, openStdin, type Stdin } from '../process/stdin/open.ts';
import { never } from '../smtp/parsed.ts';
import type { Interrupts } from '../submit/interrupts.ts';
import { logId } from '../submit/log.ts';
import { openLog } from '../submit/logfile.ts';
import type { Outcome } from '../submit/outcome.ts';
import { systemSecurity } from '../submit/security.ts';
import { submitMessage } from '../submit/story.ts';
import type { Submitted, Submitter } from '../submit/submission.ts';
import { type Invocation, type Mode, parseInvocation, printUsage, reversePathGiven } from './options.ts';

declare const __VERSION__: string;
const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0';

/** Runs the command; the value is the exit status. `argv` as in process.argv. */
export async function sendmail(argv: readonly string[]): Promise<number> {
  const words = await rawArguments(argv.slice(2), process.env);
  const invocation = parseInvocation(argv[1] ?? 'sendmail', words);
  const repliesAreRead = invocation.ok ? isDialogue(invocation.value.mode) : words.includes('-bs');
  if (repliesAreRead) (await import('./dialogue/bs.ts')).keepRepliesAlone();
  if (process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.())
    return unread(['nospool must not be installed set-id: it needs no privilege; run chmod u-s,g-s on it'], {}, repliesAreRead);
  if (!invocation.ok) return unread([invocation.detail], await earlyLog(invocation), repliesAreRead);
  const { mode } = invocation.value;
  switch (mode.kind) {
    case 'refused':
      await refuse([mode.detail], await earlyLog(invocation.value));
      return 1;
    case 'queue':
      return 0;
    case 'mailq':
      return tell(['Mail queue is empty']);
    case 'version':
      return tell([`nospool ${VERSION}`]);
    case 'help':
      return tell(printUsage());
    case 'send':
    case 'smtp':
    case 'route':
    case 'newaliases':
      return withConfig(invocation.value);
    /* c8 ignore next 2 */
    default:
      return never(mode);
  }
}

function tell(lines: readonly string[]): number {
  say(1, lines);
  return 0;
}

/** SMTP with replies, which are all that its client reads. */
const isDialogue = (mode: Mode): boolean => mode.kind === 'smtp' && !mode.batch;

/** An end before there is a message, in which the caller can write on; with `repliesAreRead` it is a reply, too. */
async function unread(details: readonly string[], log: Partial<EarlyLog>, repliesAreRead: boolean): Promise<number> {
  if (repliesAreRead) await (await import('./dialogue/bs.ts')).refuseToSpeak(details);
  await refuse(details, log);
  await drain(openStdin(), DRAIN);
  return 1;
}

/** The log in force, for what ends a run that needs no configuration but for that. */
async function earlyLog({ config, tag }: Pick<Invocation, 'config' | 'tag'>): Promise<Partial<EarlyLog>> {
  const { login, home, euid } = identify(process.env);
  const answer = await readConfig({ path: config, env: process.env, home, euid });
  return { ...logOf(answer.ok ? answer.config : answer), login, tag };
}

const logOf = ({ log, logFormat }: Partial<EarlyLog>): Partial<EarlyLog> => ({
  ...(log === undefined ? {} : { log }),
  ...(logFormat === undefined ? {} : { logFormat }),
});

async function withConfig(invocation: Invocation): Promise<number> {
  const { mode } = invocation;
  const who = identify(process.env);
  const answer = await readConfig({ path: invocation.config, env: process.env, home: who.home, euid: who.euid });
  if (!answer.ok) {
    if (mode.kind === 'send' || mode.kind === 'smtp')
      return unread(answer.errors, { ...logOf(answer), login: who.login, tag: invocation.tag }, isDialogue(mode));
    complain(answer.errors);
    return 1;
  }
  const { config } = answer;
  useLog({ ...config, login: who.login, tag: invocation.tag });
  if (invocation.verbosity > 0) complain(answer.warnings);
  // A locked configuration is the only one: also for whom to trust.
  if (config.lock) delete process.env.SSL_CERT_FILE;
  const by: Submitter = {
    login: who.login,
    hostname: config.hostname === '' ? await who.hostname() : config.hostname,
    fullName: async () => invocation.fullName ?? (await who.fullName()),
    charset: who.charset,
    date: new Date(),
    unique: logId(new Date(), process.pid),
    version: VERSION,
  };
  if (mode.kind === 'newaliases') return (await import('./inspect.ts')).checkAliases(config);
  if (mode.kind === 'route') return (await import('./inspect.ts')).showRouting(config, by, invocation);
  if (mode.kind === 'smtp') return (await import('./dialogue/bs.ts')).speakSmtp(config, by, invocation, mode.batch);
  return send(config, by, invocation);
}

/**
 * For long content, which spends its time in system calls and in a kernel of its own: what V8 would optimize besides costs
 * up to 4 MiB of memory and gains nothing. Of the flags that may be set late this is a harmless one: it ends further work.
 */
function stopOptimizing(): void {
  if (process.versions.bun === undefined) void import('node:v8').then(({ setFlagsFromString }) => setFlagsFromString('--no-opt'));
}

/** Reads one message from standard input and delivers it. */
async function send(config: Config, by: Submitter, given: Invocation): Promise<number> {
  const invocation = { ...given, dotEnds: given.dotEnds && config.loneDot === 'ends' };
  const stdin = openStdin();
  const interrupts = listenForSignals(stdin.isTerminal);
  const log = openLog(config.log, invocation.tag);
  const dots: LoneDot[] = [];
  const submitted = await submit(config, by, invocation, interrupts, stdin, (dot) => dots.push(dot));
  const { outcome } = submitted;
  const [dot] = dots;
  const cut = dot ? await (await import('../process/stdin/extent.ts')).cutOff(stdin, dot) : null;
  const told = cut === null ? submitted : { ...submitted, notes: [...submitted.notes, cut] };
  const status = await report(told, config, by, log, invocation.verbosity);
  if (cut !== null && (status !== 0 || invocation.verbosity > 0)) complain([cut]);
  await leave(stdin, outcome, dot, invocation.dotEnds, interrupts.signal);
  // A message that aliases discard is not read to its end either.
  const isUnread = status !== 0 || outcome.kind === 'discarded';
  const isEnded = interrupts.signal.aborted || (outcome.kind === 'failed' && outcome.isLate === true);
  if (isUnread && !isEnded && !stdin.isTerminal) await drain(stdin, DRAIN);
  stdin.close();
  return status;
}

/** A file that was read from is left behind its message, as a reader leaves it who reads that to its end: who started us may read on. */
async function leave(
  { file, place }: Stdin,
  outcome: Outcome,
  dot: LoneDot | undefined,
  dotEnds: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (!file || !place || (outcome.kind === 'failed' && outcome.failure.kind === 'usage')) return;
  const isUnsearched = dotEnds && dot === undefined && outcome.kind !== 'accepted';
  await place.moveTo(
    isUnsearched ? await (await import('../process/stdin/extent.ts')).findDot(file, signal) : (dot?.octets ?? null),
    signal,
  );
}

async function submit(
  config: Config,
  by: Submitter,
  invocation: Invocation,
  interrupts: Interrupts,
  stdin: Stdin,
  loneDot: (dot: LoneDot) => void,
): Promise<Submitted> {
  const { operands, recipientsFromHead, dotEnds, notify, ret, envid, verbosity } = invocation;
  const misused = (detail: string): Submitted => unsent({ kind: 'usage', detail });
  const { inetdPort } = stdin;
  if (inetdPort !== null && inetdPort < 1024) return misused('no input from inetd: nospool is not a server');
  const given = reversePathGiven(invocation);
  if ('detail' in given) return misused(given.detail);
  // Before a person at a terminal has written a message for nobody.
  if (operands.length === 0 && !recipientsFromHead) return misused('no recipients: name them after the options, or use -t');
  if (stdin.isTerminal && process.stderr.isTTY)
    complain([`reading the message from the terminal; end it with Ctrl-D${dotEnds ? ' or a line with a single dot' : ''}`]);
  const trace = conversation(verbosity);
  const tree = verbosity === 2 ? await import('../submit/routing-tree.ts') : null;
  const input = abortable(stdin, interrupts.signal);
  // Up to a dot it is read in other steps than it is left.
  if (!dotEnds) stdin.place?.follow();
  return submitMessage(
    {
      config,
      by,
      input: {
        ...input,
        useMemory(memory) {
          input.useMemory?.(memory);
          stopOptimizing();
        },
      },
      recipients: { operands, fromFields: recipientsFromHead },
      reversePath: given.reversePath,
      dotEnds,
      notify: notify ?? undefined,
      ret: ret ?? undefined,
      envid: envid ?? undefined,
    },
    {
      security: systemSecurity(process.env),
      interrupts,
      observer: { trace, loneDot, routed: tree ? (routing) => say(2, tree.printRouting(routing)) : undefined },
    },
  );
}
