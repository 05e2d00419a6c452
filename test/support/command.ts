/**
 * Starts the built `sendmail` as a caller does, and smart hosts in this process that write down what they hear and judge as a test
 * tells them to. Knows no assertion.
 */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUN_FLAGS } from '../../src/nospool/install/wrapper.ts';
import { printPath } from '../../src/smtp/path.ts';
import { type OwnerQuestion, RECEIVING, type Receiving, USUAL_EXTENSIONS } from '../../src/smtp/server/machine.ts';
import type { Parameter } from '../../src/smtp/server/parse.ts';
import { type Listener, listen } from '../../src/transport/listen.ts';
import type { OwnerVerdict } from '../../src/transport/serve.ts';

/** The runtime of the command: this Node, or the Bun that TEST_COMMAND_RUNTIME names, which is told to read no file of the folder it is called in. */
const bun = process.env.TEST_COMMAND_RUNTIME;
export const RUNTIME: readonly [string, ...string[]] = bun ? [bun, ...BUN_FLAGS] : [process.execPath];
/** What a script of ours has that runtime start. */
export const COMMAND = fileURLToPath(new URL(`../../dist/${bun ? 'sendmail-bun.mjs' : 'sendmail.cjs'}`, import.meta.url));

const folders: string[] = [];
const children = new Set<ChildProcess>();
/** Ends the children that a failed test has left behind. */
export const killAll = (): void => {
  for (const child of children) child.kill('SIGKILL');
};
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Makes a folder that is gone when the tests are. */
export function scratch(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-'));
  folders.push(folder);
  return folder;
}

export interface Setup {
  readonly folder: string;
  readonly config: string;
  readonly log: string;
  logged(): string;
  /** The messages of the log lines, without time and id. */
  loggedFacts(): string[];
}

/** Makes a configuration with a log of its own and no alias files; `toml` comes first, so it may end in no table. */
export function setUp(toml: string, tables = ''): Setup {
  const folder = scratch();
  const log = path.join(folder, 'log');
  const config = path.join(folder, 'nospool.toml');
  const own = (key: string, line: string) => (new RegExp(`^${key} =`, 'm').test(toml) ? '' : `${line}\n`);
  const head = [own('log', `log = "${log}"`), own('aliases', 'aliases = []'), own('hostname', 'hostname = "client.example.org"')].join('');
  writeFileSync(config, `${head}${toml}\n${tables}\n`, { mode: 0o600 });
  const logged = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  return {
    folder,
    config,
    log,
    logged,
    loggedFacts: () =>
      logged()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.replace(/^\S+ \S+ \S+ \S+ /, '')),
  };
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly done: Promise<Ended>;
  /** What it has written so far. */
  readonly said: { stdout: string; stderr: string };
}

/** The environment of a caller that brings nothing along. */
export const ENVIRONMENT = { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' };

/** Starts it with this configuration, which may say where the log is: -C could name it only if root owns it. `command` is another copy of it. */
export function start(
  config: string | null,
  args: readonly string[],
  { command = COMMAND, ...options }: SpawnOptions & { readonly command?: string } = {},
): Running {
  const env = { ...(options.env ?? ENVIRONMENT), ...(config === null ? {} : { NOSPOOL_CONFIG: config }) };
  const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), command, ...args], { stdio: 'pipe', ...options, env });
  children.add(child);
  child.once('close', () => children.delete(child));
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (part: Buffer) => {
    said.stdout += part.toString('latin1');
  });
  child.stderr?.on('data', (part: Buffer) => {
    said.stderr += part.toString('utf8');
  });
  child.stdin?.on('error', () => {});
  const done = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status, signal, ...said }));
  });
  return { child, done, said };
}

/** Runs it over one input; a string is latin1. */
export function run(config: string | null, args: readonly string[], input: string | Buffer, options: SpawnOptions = {}): Promise<Ended> {
  const { child, done } = start(config, args, options);
  child.stdin?.end(typeof input === 'string' ? Buffer.from(input, 'latin1') : input);
  return done;
}

export interface Arrived {
  reversePath: string;
  readonly parameters: readonly Parameter[];
  readonly recipients: string[];
  readonly recipientParameters: (readonly Parameter[])[];
  /** Octet string as it stood on the wire, without transparency. */
  content: string;
  octets: number;
  /** 'open' until the verdict, 'abandoned' without one. */
  state: 'open' | 'accepted' | 'refused' | 'abandoned';
}

export interface SmartHost {
  readonly listener: Listener;
  readonly port: number;
  readonly messages: Arrived[];
  /** Lines of all clients, ours and theirs, without content. */
  readonly lines: string[];
  connections: number;
  /** Resolves when `holds` does; asked again at everything that happens. */
  until(holds: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/** Refuses, delays or takes; null takes. */
export type Judge = (question: OwnerQuestion, host: SmartHost) => OwnerVerdict | Promise<OwnerVerdict>;

const judgeNothing: Judge = () => null;

/**
 * Starts a smart host on a free port of loopback. It is no server of the tests but the program's own receiving side, as `nospool sink`
 * runs it, so that the tests of the commands try that side, too. `keep`: octets of a content that are kept.
 */
export async function smartHost(
  judge: Judge = judgeNothing,
  receiving: Partial<Receiving> = {},
  more: { readonly keep?: number; readonly content?: (octets: number) => void | Promise<void> } = {},
): Promise<SmartHost> {
  const messages: Arrived[] = [];
  const lines: string[] = [];
  let waiting: (() => void)[] = [];
  const happened = (): void => {
    const all = waiting;
    waiting = [];
    for (const look of all) look();
  };
  const keep = more.keep ?? 1024 * 1024;
  const opened = await listen({
    receiving: {
      ...RECEIVING,
      hostname: 'smart.example.org',
      extensions: USUAL_EXTENSIONS.filter((extension) => extension !== 'CHUNKING'),
      ...receiving,
    },
    at: { host: '127.0.0.1', port: 0 },
    owner: () => {
      host.connections++;
      let current: Arrived | null = null;
      happened();
      return {
        async judge(question) {
          const judging = judge(question, host);
          happened();
          const verdict = await judging;
          const taken = verdict === null || ('code' in verdict && verdict.code < 400);
          if (question.about === 'sender' && taken) {
            current = {
              reversePath: printPath(question.path),
              parameters: question.parameters,
              recipients: [],
              recipientParameters: [],
              content: '',
              octets: 0,
              state: 'open',
            };
            messages.push(current);
          }
          if (question.about === 'recipient' && taken) {
            current?.recipients.push(printPath(question.path));
            current?.recipientParameters.push(question.parameters);
          }
          if (question.about === 'content' && current !== null) {
            current.state = taken ? 'accepted' : 'refused';
            current = null;
          }
          happened();
          return verdict;
        },
        content(octets) {
          if (current === null) return undefined;
          current.octets += octets.length;
          if (current.content.length < keep) current.content += Buffer.from(octets).toString('latin1');
          happened();
          return more.content?.(current.octets);
        },
        abandon() {
          if (current !== null) current.state = 'abandoned';
          current = null;
          happened();
        },
        trace: (side, line) => {
          if (side !== '!') lines.push(`${side}: ${line}`);
          happened();
        },
      };
    },
  });
  if (!opened.ok) throw new Error(opened.detail);
  const host: SmartHost = {
    listener: opened.value,
    port: opened.value.port,
    messages,
    lines,
    connections: 0,
    until: (holds) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (holds()) resolve();
          else waiting.push(look);
        };
        look();
      }),
    close: () => opened.value.close(),
  };
  return host;
}

/** Prints `smarthosts` of a configuration. */
export const toHosts = (...ports: readonly number[]): string =>
  `smarthosts = [${ports.map((port) => `"smtp://127.0.0.1:${port}"`).join(', ')}]`;

/** Finds a port of loopback on which nobody listens. */
export async function deadPort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
