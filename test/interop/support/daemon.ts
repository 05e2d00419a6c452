/**
 * Starts server programs in folders of their own and ends them whatever happens: each runs in a process namespace that the
 * kernel ends with the test process. It knows nothing of mail.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HOST } from '../../world/support/addresses.ts';

export const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Waits until `ready` gives something true, at most so long; `what` is for the error. */
export async function until<T>(what: string, ready: () => T | Promise<T>, milliseconds = 60_000): Promise<NonNullable<T>> {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await ready();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${milliseconds} ms`);
    await pause(20);
  }
}

const folders = new Set<string>();
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder that every user may enter: daemons drop their uid. It is gone when the process ends, or by `discard`. */
export function scratch(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `nospool-${name}-`));
  chmodSync(folder, 0o755);
  folders.add(folder);
  return folder;
}

export function discard(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}

/**
 * A TCP port of HOST that nothing listens on. Below 32768, where Linux begins to hand out ports by itself: between this
 * answer and the daemon's start nobody else gets it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) return port;
  }
}

function listens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export interface Daemon {
  readonly log: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 * The argument list that runs a command as child of a namespace's first process: it and all its descendants end with the
 * test process. `script` is shell text run before, in a private mount namespace. Needs root; without it the command runs bare.
 */
export function confined(command: readonly string[], script = ''): readonly string[] {
  if (process.getuid?.() !== 0) return ['setpriv', '--pdeathsig', 'KILL', ...command];
  return [
    ...['setpriv', '--pdeathsig', 'KILL'],
    ...['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['/bin/sh', '-c', `set -e\n${script}\nset +e\n"$@"\nexit $?`, 'sh', ...command],
  ];
}

export interface DaemonOptions {
  readonly log: string;
  /** It is ready when all of these accept connections, at `host`. */
  readonly ports?: readonly number[];
  /** Default: HOST. */
  readonly host?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Shell text run before the command in its private mount namespace. */
  readonly script?: string;
}

/** Starts a server program that stays in the foreground. Its output goes to the log file: a pipe would never end. */
export async function startDaemon(command: readonly string[], options: DaemonOptions): Promise<Daemon> {
  const { log, ports = [], host = HOST, env = {}, cwd = '/', script } = options;
  const [program = '', ...args] = confined(command, script);
  const output = openSync(log, 'a', 0o644);
  const child: ChildProcess = spawn(program, args, {
    stdio: ['ignore', output, output],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', ...env },
    cwd,
  });
  closeSync(output);
  let ended: string | undefined;
  const gone = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      ended = error.message;
      resolve();
    });
    child.once('exit', (code, signal) => {
      ended = `ended with ${signal ?? code}`;
      resolve();
    });
  });
  const daemon: Daemon = {
    log,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGKILL');
      await gone;
    },
  };
  try {
    for (const port of ports)
      await until(`${command[0]} on port ${port}`, () => {
        if (ended !== undefined) throw new Error(`${command[0]} ${ended}`);
        return listens(host, port);
      });
  } catch (error) {
    await daemon.stop();
    const said = existsSync(log) ? readFileSync(log, 'utf8') : '';
    throw new Error(`${error instanceof Error ? error.message : error}\n${said.slice(-2000)}`);
  }
  return daemon;
}
