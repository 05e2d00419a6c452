/**
 * One run of the sendmail command: options, then the configuration, then what the options ask for; the value is the exit
 * status. Knows no message: `one-message.ts` reads one, `dialogue/` reads SMTP.
 */
import { readConfig } from '../config/read.ts';
import { type Identity, identify, readArguments } from '../process/identity.ts';
import { type EarlyLog, reportUnsent, useLog } from '../process/report.ts';
import { complain, say } from '../process/stderr.ts';
import { drain } from '../process/stdin/drain.ts';
import { openStdin } from '../process/stdin/open.ts';
import { VERSION } from '../process/version.ts';
import { never } from '../smtp/parsed.ts';
import { logId } from '../submit/log.ts';
import type { Submitter } from '../submit/submission.ts';
import { parseInvocation } from './arguments.ts';
import { sendMessage } from './one-message.ts';
import { type Invocation, printUsage } from './options.ts';

/** A client of -bs waits for replies; other callers read standard error at most. */
type Caller = 'reads replies' | 'reads no replies';

/** Runs the command. `argv` as in process.argv. */
export async function sendmail(argv: readonly string[]): Promise<number> {
  const words = await readArguments(argv.slice(2), process.env);
  const invocation = parseInvocation(argv[1] ?? 'sendmail', words);
  const speaksSmtp = invocation.ok ? invocation.value.mode.kind === 'smtp' : words.includes('-bs');
  const caller: Caller = speaksSmtp ? 'reads replies' : 'reads no replies';
  if (caller === 'reads replies') (await import('./dialogue/speak.ts')).keepRepliesAlone();
  if (process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.())
    return endUnread(['nospool must not be installed set-id: it needs no privilege; run chmod u-s,g-s on it'], {}, caller);
  if (!invocation.ok) return endUnread([invocation.detail], await findLog(invocation), caller);
  const { mode } = invocation.value;
  switch (mode.kind) {
    case 'refused':
      await reportUnsent([mode.detail], await findLog(invocation.value));
      return 1;
    case 'queue':
      return 0;
    case 'mailq':
      return show(['Mail queue is empty']);
    case 'version':
      return show([`nospool ${VERSION}`]);
    case 'help':
      return show(printUsage());
    case 'send':
    case 'smtp':
    case 'batch':
    case 'route':
    case 'verify':
    case 'newaliases':
      return runConfigured(invocation.value, caller);
    /* c8 ignore next 2 */
    default:
      return never(mode);
  }
}

function show(lines: readonly string[]): number {
  say(1, lines);
  return 0;
}

async function runConfigured(invocation: Invocation, caller: Caller): Promise<number> {
  const { kind } = invocation.mode;
  const who = identify(process.env);
  const answer = await readConfig({ path: invocation.config, env: process.env, home: who.home, euid: who.euid });
  if (!answer.ok) {
    if (kind === 'send' || kind === 'smtp' || kind === 'batch')
      return endUnread(answer.errors, { ...logOf(answer), login: who.login, tag: invocation.tag }, caller);
    complain(answer.errors);
    return 1;
  }
  const { config } = answer;
  useLog({ ...config, login: who.login, tag: invocation.tag });
  if (invocation.verbosity > 0) complain(answer.warnings);
  // A locked configuration is the only one: also for whom to trust.
  if (config.lock) delete process.env.SSL_CERT_FILE;
  const by = await makeSubmitter(who, config.hostname, invocation.fullName);
  if (kind === 'newaliases') return (await import('./inspect.ts')).showAliasCheck(config);
  if (kind === 'route' || kind === 'verify') return (await import('./inspect.ts')).showRouting(config, by, invocation);
  if (kind === 'smtp' || kind === 'batch') return (await import('./dialogue/speak.ts')).speakSmtp(config, by, invocation, kind);
  return sendMessage(config, by, invocation);
}

async function makeSubmitter(who: Identity, hostname: string, fullName: string | null): Promise<Submitter> {
  const name = hostname === '' ? await who.hostname() : hostname;
  const date = new Date();
  return {
    login: who.login,
    hostname: name,
    fullName: async () => fullName ?? (await who.fullName()),
    charset: who.charset,
    date,
    unique: logId(date, process.pid),
    version: VERSION,
  };
}

/* ---- a run that ends before its message ---- */

/** Says why on standard error, in the log and to a client that reads replies, and reads on for a caller that still writes. */
async function endUnread(details: readonly string[], log: Partial<EarlyLog>, caller: Caller): Promise<number> {
  if (caller === 'reads replies') await (await import('./dialogue/speak.ts')).refuseToSpeak(details);
  await reportUnsent(details, log);
  await drain(openStdin());
  return 1;
}

/** Finds the log in force, for a run that needs the configuration for nothing else. */
async function findLog({ config, tag }: Pick<Invocation, 'config' | 'tag'>): Promise<Partial<EarlyLog>> {
  const { login, home, euid } = identify(process.env);
  const answer = await readConfig({ path: config, env: process.env, home, euid });
  return { ...logOf(answer.ok ? answer.config : answer), login, tag };
}

const logOf = ({ log, logFormat }: Partial<EarlyLog>): Partial<EarlyLog> => ({
  ...(log === undefined ? {} : { log }),
  ...(logFormat === undefined ? {} : { logFormat }),
});
