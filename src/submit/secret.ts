/**
 * Reads passwords and tokens where the configuration says, at the attempt. Puts no secret into a text, an argument or the
 * environment. Knows no mechanism.
 */

import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:fs';
import type { Secret } from '../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { fromUtf8, octets, printable, utf8 } from '../smtp/text.ts';
import { alarm } from '../transport/clock.ts';
import { runningUser, whyOpenFileRefused, whyUnread } from '../trust/facts.ts';
import { ENDING_SIGNALS } from './interrupts.ts';
import { scrub } from './scrub.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Octets of a secret; tokens of Microsoft have about 3,000. A command that writes more is stopped. */
const LONGEST_SECRET = 64 * 1024;
/** Milliseconds. A password manager that asks a token or a network answers within this; a prompt that nobody sees never does. */
const COMMAND_PATIENCE = 30_000;
/** Milliseconds for the rest of the output when the command has ended, because a child of its own may hold the pipe open. */
const OUTPUT_GRACE = 500;

export interface SecretOptions {
  /** The beginning of the keys that may name it, for sentences; default `password`. */
  readonly called?: 'password' | 'token' | 'proxy_password';
  /** Milliseconds for a command; default 30 s. */
  readonly patience?: number;
  /** Default `/run/secrets/`. */
  readonly containerSecrets?: string;
}

/**
 * Reads the secret; '' where none is configured. It drops one line end at the end and refuses other control characters.
 * `environment` is the process's: CREDENTIALS_DIRECTORY, PATH and the variable named.
 */
export async function readSecret(secret: Secret, environment: Environment, options: SecretOptions = {}): Promise<Parsed<string>> {
  const { called = 'password', containerSecrets, patience = COMMAND_PATIENCE } = options;
  switch (secret.from) {
    case 'none':
      return parsed('');
    case 'literal':
      return checkSecret(`the configured ${called}`, secret.value);
    case 'env': {
      const value = environment[secret.name];
      const what = `the environment variable ${secret.name}`;
      return value === undefined ? unparsed(`${what} is not set, and ${called}_env names it`) : checkSecret(what, value);
    }
    case 'file':
      return readFromFile(secret, `${called}_file`, environment, containerSecrets);
    case 'command':
      return readFromCommand(secret.argv, `${called}_command`, environment, patience);
  }
}

function checkSecret(what: string, value: string): Parsed<string> {
  if (value === '') return unparsed(`${what} is empty`);
  if (/[\p{Cc}\p{Cs}]/u.test(value)) return unparsed(`${what} holds a control character or a line end within it`);
  return parsed(value);
}

/** Decodes UTF-8, without its last line end and without the byte order mark that some editors write. */
function decodeSecret(what: string, bytes: Uint8Array): Parsed<string> {
  try {
    return checkSecret(what, new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, ''));
  } catch {
    return unparsed(`${what} is not in UTF-8`);
  }
}

/* ---- a file ---- */

async function readFromFile(
  { path: configured, isOwn }: Extract<Secret, { from: 'file' }>,
  key: string,
  environment: Environment,
  containerSecrets: string | undefined,
): Promise<Parsed<string>> {
  const place = placeOf(configured, key, environment);
  if (!place.ok) return place;
  const path = place.value;
  const what = `${key} ${path}`;
  try {
    // It does not wait, because opening a named pipe would otherwise last until somebody writes to it.
    const { open } = await import('node:fs/promises');
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      const refused = whyOpenFileRefused(isOwn ? 'own password' : 'password', path, stats, file.fd, { ...runningUser(), containerSecrets });
      if (refused !== null) return unparsed(`${what} ${refused}`);
      if (stats.size > LONGEST_SECRET) return unparsed(`${what} is larger than ${LONGEST_SECRET / 1024} KiB`);
      return decodeSecret(what, await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    return unparsed(`${what} ${whyUnread(path, error)}`);
  }
}

/** A name without a leading slash is a systemd credential (systemd.exec(5), LoadCredential=). */
function placeOf(configured: string, key: string, environment: Environment): Parsed<string> {
  const { isAbsolute, join, normalize } = process.getBuiltinModule('node:path');
  if (isAbsolute(configured)) return parsed(normalize(configured));
  const folder = environment.CREDENTIALS_DIRECTORY ?? '';
  if (folder === '') return unparsed(`${key} "${configured}" is relative, and there is no $CREDENTIALS_DIRECTORY it could be in`);
  if (configured.split('/').includes('..')) return unparsed(`${key} "${configured}" leads out of $CREDENTIALS_DIRECTORY`);
  return parsed(join(folder, configured));
}

/* ---- a command ---- */

async function readFromCommand(argv: readonly string[], key: string, environment: Environment, patience: number): Promise<Parsed<string>> {
  const [program = '', ...args] = argv;
  // No sentence shows the arguments, because somebody may have put a secret there.
  const what = `${key} ${printable(utf8(program), 200)}`;
  if (program === '') return unparsed(`${key} names no program`);
  if (argv.some((word) => word.includes('\0'))) return unparsed(`${what} has a NUL in its words`);
  const { spawn } = await import('node:child_process');
  const unstarted = ({ code }: NodeJS.ErrnoException) => unparsed(`${what} cannot be run (${code ?? 'unknown error'})`);
  const started = new Promise<Parsed<string>>((resolve) => {
    // It never has our standard input, because the message waits there. A group of its own can be ended with all that it has started.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment as NodeJS.ProcessEnv, detached: true });
    const release = endWithUs(child);
    const said = { stdout: '', stderr: '' };
    let grace: NodeJS.Timeout | undefined;
    const settle = (result: Parsed<string>) => {
      stopClock();
      clearTimeout(grace);
      release();
      // The child has none where no descriptor was left for them.
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      resolve(result);
    };
    const stop = (detail: string) => {
      endGroup(child);
      settle(unparsed(`${what} ${detail}`));
    };
    const stopClock = alarm(patience, () => stop(`did not end within ${patience / 1000} s`));
    child.on('error', (error) => settle(unstarted(error)));
    // Half a secret must not be taken for one, and nobody needs what a program complains of.
    child.stdout?.on('error', ({ code }: NodeJS.ErrnoException) => stop(`cannot be read (${code ?? 'unknown error'})`));
    child.stderr?.on('error', () => {});
    child.stdout?.on('data', (octetsRead: Buffer) => {
      said.stdout += octetsRead.toString('latin1');
      if (said.stdout.length > LONGEST_SECRET) stop(`writes more than ${LONGEST_SECRET / 1024} KiB`);
    });
    child.stderr?.on('data', (octetsRead: Buffer) => {
      said.stderr = (said.stderr + octetsRead.toString('latin1')).slice(0, LONGEST_SECRET);
    });
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      const [first = ''] = said.stdout.split('\n');
      if (code === 0) return settle(decodeSecret(`the first line that ${what} writes`, octets(first.replace(/\r$/, ''))));
      const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
      const [words = ''] = said.stderr.trim().split(/\r?\n/);
      settle(unparsed(`${what} ${how}${words === '' ? '' : `: ${printable(scrub(words, [first, fromUtf8(first) ?? '']), 200)}`}`));
    };
    child.on('exit', (code, signal) => {
      grace = setTimeout(() => ended(code, signal), OUTPUT_GRACE);
    });
    child.on('close', ended);
  });
  return started.catch(unstarted);
}

/** Ends a command and all that it has started, except what left its group to stay (an agent). */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // The command has ended already.
  }
}

/** Commands under way. A group of its own goes on when this process ends and hears no Ctrl-C, so they are ended by hand. */
const running = new Set<ChildProcess>();
const endAll = (): void => {
  for (const child of running) endGroup(child);
};
const SIGNALS = [...ENDING_SIGNALS, 'SIGHUP'] as const;
/** Another listener decides what the signal does. Where there is none, the signal does afterwards what it would have done. */
const passOn = (name: NodeJS.Signals): void => {
  if (process.listenerCount(name) > 1) return;
  endAll();
  process.off(name, passOn);
  process.kill(process.pid, name);
};

/** Ends a command when this process ends; the value undoes that. */
function endWithUs(child: ChildProcess): () => void {
  if (running.size === 0) {
    // It goes before the listener that replaces the process.
    process.prependListener('exit', endAll);
    for (const name of SIGNALS) process.on(name, passOn);
  }
  running.add(child);
  return () => {
    if (!running.delete(child) || running.size > 0) return;
    process.off('exit', endAll);
    for (const name of SIGNALS) process.off(name, passOn);
  };
}
