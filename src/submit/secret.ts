/**
 * Passwords and tokens: read where the configuration says, at the attempt. Knows no mechanism. No text made here holds a
 * secret, and none is put into arguments or the environment.
 */

import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';
import type { Secret } from '../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { fromUtf8, octets, printable, utf8 } from '../smtp/text.ts';
import { alarm } from '../transport/clock.ts';
import { runningUser, whyOpenFileRefused, whyUnread } from '../trust/facts.ts';
import { scrub } from './scrub.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Octets of a secret; tokens of Microsoft have about 3,000. A command that writes more is stopped. */
const LONGEST = 64 * 1024;
/** Milliseconds: a password manager that must ask a token or a network answers within this, a prompt nobody sees never. */
const PATIENCE = 30_000;
/** Milliseconds that output is still waited for when the command has ended: a child of its own may hold the pipe open. */
const GRACE = 500;

export interface SecretOptions {
  /** How the keys that may name it begin, for sentences; default `password`. */
  readonly called?: 'password' | 'token' | 'proxy_password';
  /** Milliseconds for a command; default 30 s. */
  readonly patience?: number;
  /** Default `/run/secrets/`. */
  readonly containerSecrets?: string;
}

/**
 * The secret, '' where none is configured, or a sentence that says why there is none. One line end at its end is dropped,
 * other control characters are refused. `environment` is the process's: CREDENTIALS_DIRECTORY, PATH and the variable named.
 */
export async function readSecret(secret: Secret, environment: Environment, options: SecretOptions = {}): Promise<Parsed<string>> {
  const { called = 'password', containerSecrets, patience = PATIENCE } = options;
  switch (secret.from) {
    case 'none':
      return parsed('');
    case 'literal':
      return usable(`the configured ${called}`, secret.value);
    case 'env': {
      const value = environment[secret.name];
      const what = `the environment variable ${secret.name}`;
      return value === undefined ? unparsed(`${what} is not set, and ${called}_env names it`) : usable(what, value);
    }
    case 'file':
      return fromFile(secret, `${called}_file`, environment, containerSecrets);
    case 'command':
      return fromCommand(secret.argv, `${called}_command`, environment, patience);
  }
}

function usable(what: string, value: string): Parsed<string> {
  if (value === '') return unparsed(`${what} is empty`);
  if (/[\p{Cc}\p{Cs}]/u.test(value)) return unparsed(`${what} holds a control character or a line end within it`);
  return parsed(value);
}

/** UTF-8 without its last line end, and without the byte order mark that some editors write. */
function textOf(what: string, bytes: Uint8Array): Parsed<string> {
  try {
    return usable(what, new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, ''));
  } catch {
    return unparsed(`${what} is not in UTF-8`);
  }
}

/* ---- a file ---- */

async function fromFile(
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
    // Without waiting: opening a named pipe would otherwise last until somebody writes to it.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      const refused = whyOpenFileRefused(isOwn ? 'own password' : 'password', path, stats, file.fd, { ...runningUser(), containerSecrets });
      if (refused !== null) return unparsed(`${what} ${refused}`);
      if (stats.size > LONGEST) return unparsed(`${what} is larger than ${LONGEST / 1024} KiB`);
      return textOf(what, await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    return unparsed(`${what} ${whyUnread(path, error)}`);
  }
}

/** A name without a leading slash is a systemd credential (systemd.exec(5), LoadCredential=). */
function placeOf(configured: string, key: string, environment: Environment): Parsed<string> {
  if (isAbsolute(configured)) return parsed(normalize(configured));
  const folder = environment.CREDENTIALS_DIRECTORY ?? '';
  if (folder === '') return unparsed(`${key} "${configured}" is relative, and there is no $CREDENTIALS_DIRECTORY it could be in`);
  if (configured.split('/').includes('..')) return unparsed(`${key} "${configured}" leads out of $CREDENTIALS_DIRECTORY`);
  return parsed(join(folder, configured));
}

/* ---- a command ---- */

async function fromCommand(argv: readonly string[], key: string, environment: Environment, patience: number): Promise<Parsed<string>> {
  const [program = '', ...args] = argv;
  // Arguments are not shown: somebody may have put a secret there.
  const what = `${key} ${printable(utf8(program), 200)}`;
  if (program === '') return unparsed(`${key} names no program`);
  if (argv.some((word) => word.includes('\0'))) return unparsed(`${what} has a NUL in its words`);
  const { spawn } = await import('node:child_process');
  const unstarted = ({ code }: NodeJS.ErrnoException) => unparsed(`${what} cannot be run (${code ?? 'unknown error'})`);
  const started = new Promise<Parsed<string>>((resolve) => {
    // Never our standard input: the message waits there. A group of its own can be ended with all that it has started.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment as NodeJS.ProcessEnv, detached: true });
    const release = endWithUs(child);
    const said = { stdout: '', stderr: '' };
    let grace: NodeJS.Timeout | undefined;
    const settle = (result: Parsed<string>) => {
      stopClock();
      clearTimeout(grace);
      release();
      // Where there was no descriptor left for them, it has none.
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
    child.stdout?.on('data', (octetsRead: Buffer) => {
      said.stdout += octetsRead.toString('latin1');
      if (said.stdout.length > LONGEST) stop(`writes more than ${LONGEST / 1024} KiB`);
    });
    child.stderr?.on('data', (octetsRead: Buffer) => {
      said.stderr = (said.stderr + octetsRead.toString('latin1')).slice(0, LONGEST);
    });
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      const [first = ''] = said.stdout.split('\n');
      if (code === 0) return settle(textOf(`the first line that ${what} writes`, octets(first.replace(/\r$/, ''))));
      const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
      const [words = ''] = said.stderr.trim().split(/\r?\n/);
      settle(unparsed(`${what} ${how}${words === '' ? '' : `: ${printable(scrub(words, [first, fromUtf8(first) ?? '']), 200)}`}`));
    };
    child.on('exit', (code, signal) => {
      grace = setTimeout(() => ended(code, signal), GRACE);
    });
    child.on('close', ended);
  });
  return started.catch(unstarted);
}

/** Ends a command and what it has started, but for what left its group to stay (an agent). */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** Commands under way. A group of its own would go on when this process ends, and hears no Ctrl-C: both are seen to here. */
const running = new Set<ChildProcess>();
const endAll = (): void => {
  for (const child of running) endGroup(child);
};
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Who else listens decides what the signal does; where nobody does, it does afterwards what it would have done. */
const pass = (name: NodeJS.Signals): void => {
  if (process.listenerCount(name) > 1) return;
  endAll();
  process.off(name, pass);
  process.kill(process.pid, name);
};

/** Ends a command when this process ends; the value undoes that. */
function endWithUs(child: ChildProcess): () => void {
  if (running.size === 0) {
    // Before what replaces the process.
    process.prependListener('exit', endAll);
    for (const name of SIGNALS) process.on(name, pass);
  }
  running.add(child);
  return () => {
    if (!running.delete(child) || running.size > 0) return;
    process.off('exit', endAll);
    for (const name of SIGNALS) process.off(name, pass);
  };
}
