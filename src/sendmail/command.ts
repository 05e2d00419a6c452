/**
 * One run of the sendmail command: options, then the configuration, then what the options ask for; the value is the exit
 * status. Knows no message: `one-message.ts` reads one, `dialogue/` reads SMTP.
 */
import { readConfig } from '../config/read.ts';
import { identify, readArguments } from '../process/identity.ts';
import { makeReports, reportUnsent, useLog } from '../process/report.ts';
import { complain, say } from '../process/stderr.ts';
import { drain } from '../process/stdin/drain.ts';
import { openStdin } from '../process/stdin/open.ts';
import { makeSubmitter } from '../process/submitter.ts';
import { VERSION } from '../process/version.ts';
import { never } from '../smtp/parsed.ts';
import { parseInvocation } from './arguments.ts';
import { sendMessage } from './one-message.ts';
import type { Invocation } from './options.ts';

/** Why a run ends before it has read anything from its caller. */
interface Unsent {
  readonly details: readonly string[];
  /** True: the caller writes all the same, so a client of -bs gets a reply, and what comes is read. */
  readonly isCallerWriting: boolean;
  readonly status: number;
}

/** Runs the command. `argv` as in process.argv. */
export async function sendmail(argv: readonly string[]): Promise<number> {
  const words = await readArguments(argv.slice(2), process.env);
  const invocation = parseInvocation(argv[1] ?? 'sendmail', words);
  const { mode } = invocation;
  // A client of -bs waits for a reply also where its options are wrong.
  const speaksSmtp = mode.kind === 'smtp' || (mode.kind === 'misused' && words.includes('-bs'));
  if (speaksSmtp) (await import('./dialogue/speak.ts')).keepRepliesAlone();
  const ended = await run(invocation);
  if (typeof ended === 'number') return ended;
  const { details, isCallerWriting, status } = ended;
  if (isCallerWriting && speaksSmtp) await (await import('./dialogue/speak.ts')).refuseToSpeak(details);
  await reportUnsent(details);
  if (isCallerWriting) await drain(openStdin());
  return status;
}

/** The value is the exit status, or why nothing was sent if nobody has told that yet. */
async function run(invocation: Invocation): Promise<number | Unsent> {
  const { mode, tag, verbosity } = invocation;
  if (process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.())
    return {
      details: ['nospool must not be installed set-id: it needs no privilege; run chmod u-s,g-s on it'],
      isCallerWriting: true,
      status: 1,
    };
  if (mode.kind === 'queue') return 0;
  if (mode.kind === 'mailq') return show(['Mail queue is empty']);
  if (mode.kind === 'version') return show([`nospool ${VERSION}`]);
  if (mode.kind === 'help') return show((await import('./usage.ts')).printUsage());
  const who = identify(process.env);
  const answer = await readConfig({ path: invocation.config, env: process.env, home: who.home, euid: who.euid });
  const isShowing = /^(facts|route|verify|newaliases)$/.test(mode.kind);
  // What cannot be obeyed is logged where the configuration says, too. Where nothing was to be sent, nothing failed.
  const telling = answer.ok ? answer.config : answer;
  useLog(isShowing ? { log: 'none' } : telling, who.login, tag);
  const unsent = (details: readonly string[], isCallerWriting: boolean, sysexit = 64): Unsent => ({
    details,
    isCallerWriting,
    status: telling.exitCodes === 'sysexits' ? sysexit : 1,
  });
  if ('detail' in mode) return unsent([mode.detail], mode.kind === 'misused');
  if (mode.kind === 'facts') return (await import('./inspect.ts')).showFacts(answer);
  if (!answer.ok) {
    if (!isShowing) return unsent(answer.errors, true, 78);
    complain(answer.errors);
    return 1;
  }
  const { config } = answer;
  if (verbosity > 0) complain(answer.warnings);
  const by = await makeSubmitter(who, config.hostname, invocation.fullName);
  const reports = makeReports(config, tag, verbosity);
  switch (mode.kind) {
    case 'send':
      return sendMessage(config, by, reports, invocation);
    case 'smtp':
    case 'batch': {
      const stdin = openStdin();
      if (stdin.inetdPort !== null) return unsent(['no SMTP on a network socket: nospool is not a server'], false);
      return (await import('./dialogue/speak.ts')).speakSmtp(config, by, reports, stdin, mode.kind);
    }
    case 'route':
    case 'verify':
      return (await import('./inspect.ts')).showRouting(config, by, invocation);
    case 'newaliases':
      return (await import('./inspect.ts')).showAliasCheck(config);
    /* c8 ignore next 2 */
    default:
      return never(mode.kind);
  }
}

function show(lines: readonly string[]): number {
  say(1, lines);
  return 0;
}
