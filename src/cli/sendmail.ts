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
import { type Submitter, submitMessage } from '../submit/submission.ts';
import { identify, rawArguments } from './identity.ts';
import { abortable, listenForSignals } from './interrupts.ts';
import { type Invocation, parseInvocation, printUsage, reversePathGiven } from './options.ts';
import { DRAIN, report, unsent } from './report.ts';
import { drain, openStdin } from './stdin.ts';
import { complain, conversation, writeText } from './terminal.ts';

declare const __VERSION__: string;
const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0';

/** Runs the command; the value is the exit status. `argv` as in process.argv. */
export async function sendmail(argv: readonly string[]): Promise<number> {
  if (process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.())
    return usage('nospool must not be installed set-id: it needs no privilege; run chmod u-s,g-s on it');
  const invocation = parseInvocation(argv[1] ?? 'sendmail', await rawArguments(argv.slice(2), process.env));
  if (!invocation.ok) return usage(invocation.detail);
  const { mode } = invocation.value;
  switch (mode.kind) {
    case 'refused':
      return usage(mode.detail);
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

function usage(detail: string): number {
  complain([detail]);
  return 1;
}

async function withConfig(invocation: Invocation): Promise<number> {
  const { mode } = invocation;
  const who = identify(process.env);
  const answer = await readConfig({ path: invocation.config, env: process.env, home: who.home, euid: who.euid });
  if (!answer.ok) {
    complain(answer.errors);
    const sink = openLog('');
    await sink.write([`${new Date().toISOString()} not sent: ${answer.errors.join('; ')}`]);
    // Who speaks SMTP looks at replies only.
    if (mode.kind === 'smtp' && !mode.batch) (await import('./smtp.ts')).refuseToSpeak(answer.errors);
    if (mode.kind === 'send' || mode.kind === 'smtp') await drain(openStdin(), DRAIN);
    return 1;
  }
  const { config } = answer;
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

/** Reads one message from standard input and delivers it. */
async function send(config: Config, by: Submitter, invocation: Invocation): Promise<number> {
  const log = openLog(config.log);
  const interrupts = listenForSignals(config.timeouts.deadline);
  const stdin = openStdin();
  if (stdin.isTerminal && process.stderr.isTTY)
    writeText(
      2,
      `sendmail: reading the message from the terminal; end it with Ctrl-D${invocation.dotEnds ? ' or a line with a single dot' : ''}\n`,
    );
  const inetd = stdin.inetdPort;
  if (inetd !== null && inetd < 1024) return usage('no input from inetd: nospool is not a server');
  const trace = conversation(invocation.verbosity, invocation.transcript);
  const given = reversePathGiven(invocation);
  const input = abortable(stdin, interrupts.signal);
  const submitted =
    'detail' in given
      ? unsent({ kind: 'usage', detail: given.detail })
      : await submitMessage(
          {
            config,
            by,
            input,
            wanted: { operands: invocation.operands, fromFields: invocation.recipientsFromHead },
            reversePath: given.reversePath,
            dotEnds: invocation.dotEnds,
            ...(invocation.notify ? { notify: invocation.notify } : {}),
            ...(invocation.ret ? { ret: invocation.ret } : {}),
            ...(invocation.envid !== null ? { envid: invocation.envid } : {}),
          },
          {
            security: systemSecurity(process.env),
            signal: interrupts.signal,
            urgent: interrupts.urgent,
            ...(trace ? { trace } : {}),
          },
        );
  interrupts.release();
  const status = await report(submitted, config, by, log, invocation.verbosity);
  if (status !== 0 && !interrupts.signal.aborted && !stdin.isTerminal) await drain(stdin, DRAIN);
  stdin.close();
  return status;
}
