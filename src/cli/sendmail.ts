/**
 * The sendmail command as a process: arguments, configuration, standard input, signals, standard error, log, exit
 * status. What becomes of the message is decided in `src/submit`.
 */
import type { Config } from '../config/config.ts';
import { readConfig } from '../config/read.ts';
import { never } from '../smtp/parsed.ts';
import { logId } from '../submit/log.ts';
import { openLog } from '../submit/logfile.ts';
import { systemSecurity } from '../submit/security.ts';
import { type Submitted, type Submitter, submitMessage } from '../submit/submission.ts';
import { identify, rawArguments } from './identity.ts';
import { abortable, type Interrupts, listenForSignals } from './interrupts.ts';
import { type Invocation, parseInvocation, printUsage, reversePathGiven } from './options.ts';
import { DRAIN, report, unsent } from './report.ts';
import { drain, openStdin, type Stdin } from './stdin.ts';
import { complain, conversation, writeText } from './terminal.ts';

declare const __VERSION__: string;
const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0';

/** Runs the command; the value is the exit status. `argv` as in process.argv. */
export async function sendmail(argv: readonly string[]): Promise<number> {
  if (process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.())
    return unread(['nospool must not be installed set-id: it needs no privilege; run chmod u-s,g-s on it']);
  const invocation = parseInvocation(argv[1] ?? 'sendmail', await rawArguments(argv.slice(2), process.env));
  if (!invocation.ok) return unread([invocation.detail]);
  const { mode } = invocation.value;
  switch (mode.kind) {
    case 'refused':
      return refuse([mode.detail]);
    case 'queue':
      return 0;
    case 'mailq':
      return say('Mail queue is empty\n');
    case 'version':
      return say(`nospool ${VERSION}\n`);
    case 'help':
      return say(printUsage());
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

function say(text: string): number {
  writeText(1, text);
  return 0;
}

/** An end before the configuration is known, in which the caller can write on. */
async function unread(details: readonly string[]): Promise<number> {
  await refuse(details);
  await drain(openStdin(), DRAIN);
  return 1;
}

/** Told, also where the log is by default. */
async function refuse(details: readonly string[]): Promise<number> {
  complain(details);
  await openLog('').write([`${new Date().toISOString()} not sent: ${details.join('; ')}`]);
  return 1;
}

async function withConfig(invocation: Invocation): Promise<number> {
  const { mode } = invocation;
  const who = identify(process.env);
  const answer = await readConfig({ path: invocation.config, env: process.env, home: who.home, euid: who.euid });
  if (!answer.ok) {
    // Who speaks SMTP looks at replies only.
    if (mode.kind === 'smtp' && !mode.batch) await (await import('./smtp.ts')).refuseToSpeak(answer.errors);
    if (mode.kind === 'send' || mode.kind === 'smtp') return unread(answer.errors);
    complain(answer.errors);
    return 1;
  }
  const { config } = answer;
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
  if (mode.kind === 'smtp') return (await import('./smtp.ts')).speakSmtp(config, by, invocation, mode.batch);
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
async function send(config: Config, by: Submitter, invocation: Invocation): Promise<number> {
  const stdin = openStdin();
  const interrupts = listenForSignals(stdin.isTerminal);
  const log = openLog(config.log, invocation.tag);
  const submitted = await submit(config, by, invocation, interrupts, stdin);
  const status = await report(submitted, config, by, log, invocation.verbosity);
  const { outcome } = submitted;
  // A message that aliases discard is not read to its end either.
  const isUnread = status !== 0 || outcome.kind === 'discarded';
  const isEnded = interrupts.signal.aborted || (outcome.kind === 'failed' && outcome.isLate === true);
  if (isUnread && !isEnded && !stdin.isTerminal) await drain(stdin, DRAIN);
  stdin.close();
  return status;
}

async function submit(config: Config, by: Submitter, invocation: Invocation, interrupts: Interrupts, stdin: Stdin): Promise<Submitted> {
  const { operands, recipientsFromHead, dotEnds, notify, ret, envid, verbosity } = invocation;
  const misused = (detail: string): Submitted => unsent({ kind: 'usage', detail });
  const { inetdPort } = stdin;
  if (inetdPort !== null && inetdPort < 1024) return misused('no input from inetd: nospool is not a server');
  const given = reversePathGiven(invocation);
  if ('detail' in given) return misused(given.detail);
  // Before a person at a terminal has written a message for nobody.
  if (operands.length === 0 && !recipientsFromHead) return misused('no recipients: name them after the options, or use -t');
  if (stdin.isTerminal && process.stderr.isTTY)
    writeText(2, `sendmail: reading the message from the terminal; end it with Ctrl-D${dotEnds ? ' or a line with a single dot' : ''}\n`);
  const { signal, urgent } = interrupts;
  const trace = conversation(verbosity, invocation.transcript);
  const tree = verbosity === 2 ? await import('./tree.ts') : null;
  const input = abortable(stdin, signal);
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
      wanted: { operands, fromFields: recipientsFromHead },
      reversePath: given.reversePath,
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
      ...(tree ? { routed: (routing) => writeText(2, tree.printRouting(routing)) } : {}),
    },
  );
}
