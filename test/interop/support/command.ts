/**
 * The built `sendmail` as its users have it: copied to a folder that every uid may read, with a configuration and a log of
 * its own. It knows nothing of any peer.
 */
import { spawn } from 'node:child_process';
import { chmodSync, closeSync, cpSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { BUN_FLAGS } from '../../../src/nospool/install/wrapper.ts';
import { scratch } from './daemon.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export interface Command {
  readonly folder: string;
  /** The bundle, to be run by `runtime`. */
  readonly file: string;
  readonly runtime: readonly string[];
  readonly config: string;
  /** The folder of what follows is writable for every uid. */
  readonly log: string;
  /** A shell script that runs it as an installed sendmail would: absolute interpreter, none of the caller's NODE_ variables. */
  readonly wrapper: string;
  /** Replaces the configuration; the log is added. */
  configure(toml: string): void;
  logged(): string;
}

export interface Run {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What this run added to the log. */
  readonly logged: string;
  /** Everything the run said, for error messages of tests. */
  readonly said: string;
}

/** This Node, or the Bun that TEST_COMMAND_RUNTIME names, told to read no file of the folder it is called in. */
const { TEST_COMMAND_RUNTIME: bun } = process.env;
const THIS: readonly string[] = bun ? [bun, ...BUN_FLAGS] : [process.execPath];

/** Installs the built command. `NOSPOOL_TEST_COMMAND` names another script to try instead. */
export function installCommand(runtime: readonly string[] = THIS): Command {
  const folder = scratch('command');
  const started = /\bbun$/.test(runtime[0] ?? '') ? 'sendmail-bun.mjs' : 'sendmail.cjs';
  const built = process.env.NOSPOOL_TEST_COMMAND ?? path.join(ROOT, 'dist', started);
  if (!existsSync(built)) throw new Error(`${built} is missing: npm run build`);
  const file = `${folder}/${started}`;
  cpSync(built, file);
  // What it is made of lies beside it.
  const beside = path.dirname(built);
  for (const name of readdirSync(beside))
    if (name === 'compiled' || /\.[cm]js$/.test(name)) cpSync(path.join(beside, name), `${folder}/${name}`, { recursive: true });
  mkdirSync(`${folder}/var`);
  chmodSync(`${folder}/var`, 0o777);
  const config = `${folder}/nospool.toml`;
  const log = `${folder}/var/log`;
  writeFileSync(log, '');
  chmodSync(log, 0o666);
  const wrapper = `${folder}/sendmail`;
  writeFileSync(
    wrapper,
    `#!/bin/sh
unset NODE_OPTIONS NODE_EXTRA_CA_CERTS
printf '%s\\0' "$@" >> ${folder}/var/argv
printf '\\0' >> ${folder}/var/argv
NOSPOOL_CONFIG=${config} exec ${[...runtime, file].join(' ')} "$@"
`,
    { mode: 0o755 },
  );
  writeFileSync(`${folder}/var/argv`, '');
  chmodSync(`${folder}/var/argv`, 0o666);
  return {
    folder,
    file,
    runtime,
    config,
    log,
    wrapper,
    // Readable for every uid, so a password in it would be refused: tests put passwords in files.
    configure: (toml) => writeFileSync(config, `log = "${log}"\n${toml}`, { mode: 0o644 }),
    logged: () => readFileSync(log, 'utf8'),
  };
}

/** The argument lists with which callers called the wrapper so far. */
export function calls(command: Command): readonly (readonly string[])[] {
  return readFileSync(`${command.folder}/var/argv`, 'utf8')
    .split('\0\0')
    .filter((call) => call !== '')
    .map((call) => call.split('\0'));
}

export type Input = string | Buffer | { readonly file: string } | Readable;

/** Runs it with these arguments after `-C`. A string is latin1. */
export function run(command: Command, args: readonly string[], input: Input, env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const before = command.logged().length;
  const file = typeof input === 'object' && 'file' in input ? openSync(input.file, 'r') : undefined;
  const [program = '', ...first] = [...command.runtime, command.file];
  const child = spawn(program, [...first, ...args], {
    stdio: [file ?? 'pipe', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', NOSPOOL_CONFIG: command.config, ...env },
    cwd: command.folder,
  });
  if (file !== undefined) closeSync(file);
  // A run that hangs must not keep the tests from ending.
  const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
  const parts: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
  child.stdout?.on('data', (part: Buffer) => parts.stdout.push(part));
  child.stderr?.on('data', (part: Buffer) => parts.stderr.push(part));
  child.stdin?.on('error', () => undefined);
  if (child.stdin && typeof input === 'object' && 'pipe' in input) input.pipe(child.stdin);
  else if (typeof input === 'string') child.stdin?.end(Buffer.from(input, 'latin1'));
  else if (Buffer.isBuffer(input)) child.stdin?.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      const stdout = Buffer.concat(parts.stdout).toString('utf8');
      const stderr = Buffer.concat(parts.stderr).toString('utf8');
      const logged = command.logged().slice(before);
      resolve({ status, signal, stdout, stderr, logged, said: `status ${signal ?? status}\nstderr: ${stderr}\nlog: ${logged}` });
    });
  });
}
