/**
 * The sendmail command as a process: arguments, configuration, standard input, signals, standard error, log, exit
 * status. What becomes of the message is decided in `src/submit`.
 */
import type { Config } from '../config/config.ts';
import { readConfig } from '../config/read.ts';
import type { Ended, Input } from '../message/source.ts';
import { never } from '../smtp/parsed.ts';
import { printMailbox } from '../smtp/path.ts';
import { logId, printLog } from '../submit/log.ts';
import { openLog } from '../submit/logfile.ts';
import { exitStatus, type Outcome, printOutcome } from '../submit/outcome.ts';
import { systemSecurity } from '../submit/security.ts';
import { type Submitted, type Submitter, submitMessage } from '../submit/submission.ts';
import { identify, rawArguments } from './identity.ts';
import { type Invocation, parseInvocation, printUsage, reversePathGiven } from './options.ts';
import { drain, openStdin } from './stdin.ts';
import { complain, conversation, writeText } from './terminal.ts';

declare const __VERSION__: string;
const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0';

/** P13: how much of what a caller still writes is read so that it does not die of SIGPIPE before it reads our reason. */
const DRAIN = { octets: 64 * 1024 * 1024, milliseconds: 30_000 };

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
    if (mode.kind === 'send') await drain(openStdin(), DRAIN);
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
  const status = exitStatus(submitted.outcome, config.exitCodes);
  const lines = printOutcome(submitted.outcome, submitted.messageId);
  complain(lines);
  const octets = submitted.octets;
  const problem = await log.write(
    printLog(
      {
        ...submitted,
        octets,
        time: by.date,
        id: by.unique,
        login: by.login,
        discarded: submitted.discarded.map(({ path }) => printMailbox(path)),
      },
      config.logFormat,
    ),
  );
  if (problem !== null && (status !== 0 || invocation.verbosity > 0)) complain([problem]);
  if (status !== 0 && !interrupts.signal.aborted && !stdin.isTerminal) await drain(stdin, DRAIN);
  stdin.close();
  return status;
}

const unsent = (failure: Extract<Outcome, { kind: 'failed' }>['failure']): Submitted => ({
  outcome: { kind: 'failed', failure, attempts: [], unreplayable: false },
  reversePath: null,
  recipients: [],
  discarded: [],
  messageId: '',
  octets: null,
  notes: [],
});

/* ---- signals ---- */

export interface Interrupts {
  /** The delivery ends: its reason is the sentence. */
  readonly signal: AbortSignal;
  /** Nothing more is waited for. */
  readonly urgent: AbortSignal;
  readonly release: () => void;
}

/**
 * SIGTERM and SIGINT end the delivery, a second one the wait for a verdict. SIGHUP is ignored: mailx and mutt start us
 * with it ignored, and the runtime resets that. `deadline`: milliseconds for the whole run.
 */
export function listenForSignals(deadline: number): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  const interrupt = (name: string) => {
    const reason = `ended by ${name}`;
    if (first.signal.aborted) second.abort(reason);
    else first.abort(reason);
  };
  const ignore = () => {};
  process.on('SIGHUP', ignore).on('SIGTERM', interrupt).on('SIGINT', interrupt);
  const timer =
    deadline === Number.POSITIVE_INFINITY
      ? undefined
      : setTimeout(() => {
          const reason = `the deadline of ${deadline / 1000} s has passed (timeouts.deadline)`;
          first.abort(reason);
          second.abort(reason);
        }, deadline);
  const release = () => clearTimeout(timer);
  return { signal: first.signal, urgent: second.signal, release };
}

/** The input, which fails as soon as the signal comes, even while it waits. */
export function abortable(input: Input, signal: AbortSignal): Input {
  const failed = (): Ended => ({ end: 'failed', detail: String(signal.reason) });
  return {
    ...(input.file ? { file: input.file } : {}),
    close: () => input.close(),
    async read() {
      if (signal.aborted) return failed();
      let interrupt = () => {};
      const aborted = new Promise<Ended>((resolve) => {
        interrupt = () => resolve(failed());
        signal.addEventListener('abort', interrupt, { once: true });
      });
      const got = await Promise.race([input.read(), aborted]);
      signal.removeEventListener('abort', interrupt);
      // A signal that came together with the end of input wins: what it interrupted may have been cut short by it.
      return signal.aborted ? failed() : got;
    },
  };
}
