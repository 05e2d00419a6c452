/**
 * A stage for one row of the tables: two smart hosts that stop at each phase for the test, the built command under Node or Bun as a
 * caller starts it, and afterwards a look at what it said, what the smart hosts hold and what it left. Knows no row.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { BUN_FLAGS } from '../../../src/nospool/install/wrapper.ts';
import { bun } from '../../interop/support/needs.ts';
import { COMMAND, scratch } from '../../support/command.ts';
import { tlsWorld } from '../../support/delivery.ts';
import { type Phase, type SmarthostOptions, startHost, type TestHost } from '../../support/smarthost.ts';

/** Set: every row is walked with every runtime. */
export const isFull = process.env.SURROUNDINGS === 'full';
/** Rows that are walked at the same time: most of them wait. */
const ABREAST = 6;

export interface Runtime {
  readonly name: 'Node' | 'Bun';
  readonly words: readonly [string, ...string[]];
}

const found = bun();
if (found === undefined) console.log('surroundings under Bun: skipped: needs bun');
export const RUNTIMES: readonly Runtime[] = [
  { name: 'Node', words: [process.execPath] },
  ...(found === undefined ? [] : [{ name: 'Bun', words: [found, ...BUN_FLAGS] } as const]),
];

const installed = new Map<string, string>();

/** The script that `nospool install` writes for this runtime. */
export function installedFor({ name, words }: Runtime): string {
  const before = installed.get(name);
  if (before !== undefined) return before;
  const root = scratch();
  // Another user runs it, too.
  chmodSync(root, 0o755);
  const argv = [COMMAND.replace(/sendmail\.cjs$/, 'nospool.mjs'), 'install', '--root', root, '--runtime', words[0]];
  const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 60_000 });
  if (status !== 0) throw new Error(stderr);
  installed.set(name, `${root}/usr/sbin/sendmail`);
  return `${root}/usr/sbin/sendmail`;
}

/* ---- what is there ---- */

export const RECIPIENTS = ['r1@there.example', 'r2@there.example', 'r3@there.example'];

export interface Scene {
  /** Lines of the configuration, before its tables. */
  readonly config?: string;
  /** Other tables. */
  readonly tables?: string;
  /** In place of the address and port of the first host; PORT is that port. */
  readonly first?: string;
  /** Lines of [auth] in place of a password file. */
  readonly secret?: string;
  /** Where the log is; `none` is none. */
  readonly log?: string;
  readonly offers?: readonly string[];
  readonly watch?: (phase: Phase) => Promise<void>;
  readonly script?: NonNullable<SmarthostOptions['script']>;
  /** Whose its files are; the user's by default. */
  readonly owner?: number;
  /** False: in clear and without a password. */
  readonly isSecured?: boolean;
  /** False: there is one smart host. */
  readonly hasSecond?: boolean;
}

export interface Stage {
  readonly folder: string;
  readonly config: string;
  readonly log: string;
  readonly hosts: readonly TestHost[];
  close(): Promise<void>;
}

let serial = 0;

/** Loopback is as good as any address here: what surrounds the command is on this side. */
export async function setStage(scene: Scene = {}): Promise<Stage> {
  const { certificate, caFile } = tlsWorld();
  const isSecured = scene.isSecured ?? true;
  const offers = [...(isSecured ? ['STARTTLS', 'AUTH PLAIN LOGIN'] : []), ...(scene.offers ?? ['PIPELINING'])];
  const { watch, script } = scene;
  const host = { offers, tls: certificate, ...(script ? { script } : {}), ...(watch ? { watch } : {}) };
  const hosts = [await startHost(host), ...(scene.hasSecond === false ? [] : [await startHost({ offers, tls: certificate })])];
  const folder = scratch();
  const log = scene.log ?? path.join(folder, 'log');
  chmodSync(folder, 0o755);
  writeFileSync(path.join(folder, 'password'), 'tanstaaf\n', { mode: 0o600 });
  writeFileSync(path.join(folder, 'aliases'), 'everybody: r2@there.example, r3@there.example\n', { mode: 0o600 });
  const places = hosts.map(({ port }, i) =>
    i === 0 ? (scene.first?.replace('PORT', String(port)) ?? `127.0.0.1:${port}`) : `127.0.0.1:${port}`,
  );
  const config = path.join(folder, 'nospool.toml');
  const lines = [
    `log = "${log}"`,
    `aliases = ["${folder}/aliases"]`,
    'hostname = "client.example.org"',
    `smarthosts = [${places.map((place) => `"smtp://${place}"`).join(', ')}]`,
    scene.config ?? '',
    ...(isSecured
      ? [
          '[auth]',
          'user = "tim"',
          scene.secret ?? `password_file = "${folder}/password"`,
          '[tls]',
          'mode = "required"',
          `ca_file = "${caFile}"`,
          'server_name = "smart.example"',
        ]
      : ['[tls]', 'mode = "off"']),
    scene.tables ?? '',
  ];
  writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 });
  if (scene.owner !== undefined) {
    chmodSync(path.dirname(caFile), 0o755);
    for (const file of [folder, ...readdirSync(folder).map((name) => path.join(folder, name))]) chownSync(file, scene.owner, scene.owner);
  }
  return { folder, config, log, hosts, close: async () => void (await Promise.all(hosts.map((each) => each.stop()))) };
}

/* ---- a run ---- */

export interface Call {
  readonly runtime: Runtime;
  /** True: by the script that `nospool install` writes. */
  readonly isInstalled?: boolean;
  /** Shell text around the words of the command, which it has as "$@"; `exec "$@"` at its end. */
  readonly shell?: string;
  /** Words before the shell, such as unshare. */
  readonly before?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Lines of the body. */
  readonly lines?: number;
  /** True: the end of the input is for the test to write. */
  readonly isOpen?: boolean;
  readonly stdio?: SpawnOptions['stdio'];
  /** More words behind the command. */
  readonly args?: readonly string[];
  /** True: `-bs`, to which the test says everything. */
  readonly isDialogue?: boolean;
}

export interface Run {
  readonly child: ChildProcess;
  /** Header section and body, with LF. */
  readonly message: string;
  /** What is written last. */
  finish(): void;
  readonly done: Promise<Ended>;
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Without times and ids. */
  readonly log: string;
  /** Where the message is, and for whom. */
  readonly held: readonly { readonly recipients: readonly string[]; readonly isWhole: boolean }[];
  /** Names of files and of processes. */
  readonly left: readonly string[];
  /** What smart hosts heard besides SMTP. */
  readonly strange: readonly string[];
}

/** Processes that have this in their environment. */
function processesWith(mark: string): readonly string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        const isMarked = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        // Z: it has ended, and its parent has not looked yet.
        return isMarked && !/\) Z /.test(stat) ? [`process ${readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')}`] : [];
      } catch {
        return [];
      }
    });
}

export const later = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Waits for what is about to be so. Several that look slowly are always due again, and the event loop would never leave its timers for
 * the input of what is awaited, so each also waits for the end of a turn.
 */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1500; i++) {
    if (holds()) return;
    await later(10);
    await endOfTurn();
  }
  throw new Error(`${what}: it was not so within 15 s`);
}

const COMMANDS = /^(?:(?:EHLO|MAIL|RCPT|AUTH|BDAT) [\x20-\x7e]+|STARTTLS|DATA|QUIT)$/;

export const children = new Set<ChildProcess>();

export function start(stage: Stage, call: Call): Run {
  const id = `row ${++serial}`;
  // What is started has it in its environment.
  const row = `${process.pid}-${serial}-`;
  const own = path.join(stage.folder, `own-${serial}`);
  mkdirSync(own);
  chmodSync(own, 0o777);
  const { runtime, isInstalled = false, shell, before = [], lines = 3, args = [] } = call;
  const body = 'A line of the message, and no two are alike.\n'.repeat(lines);
  const message = `Subject: ${id}\nFrom: tim@here.example\nMessage-ID: <${serial}@here.example>\nTo: everybody@client.example.org\n\n${body}`;
  const command = isInstalled ? [installedFor(runtime)] : [...runtime.words, COMMAND];
  const words = call.isDialogue
    ? [...command, '-bs', ...args]
    : [...command, '-f', 'tim@here.example', '-i', ...args, 'r1@there.example', 'everybody@client.example.org'];
  const [program = '', ...rest] = [...before, ...(shell === undefined ? words : ['/bin/sh', '-c', shell, 'sh', ...words])];
  const env = {
    PATH: '/usr/bin:/bin',
    LANG: 'C.UTF-8',
    NOSPOOL_CONFIG: stage.config,
    TMPDIR: own,
    HOME: own,
    ...call.env,
    ROW: row,
  };
  const child = spawn(program, rest, { stdio: call.stdio ?? 'pipe', cwd: call.cwd ?? own, env, detached: true });
  children.add(child);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.on('data', (part: Buffer) => {
      said[name] += part.toString('utf8');
    });
  const half = Math.floor(message.length / 2);
  child.stdin?.on('error', () => {});
  if (call.isOpen) child.stdin?.write(message.slice(0, half));
  else if (!call.isDialogue) child.stdin?.end(message);
  const done = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', async (status, signal) => {
      children.delete(child);
      // What is under way may still arrive, and what was ended may still be about to end.
      await later(30);
      for (let i = 0; i < 20 && processesWith(`ROW=${row}`).length > 0; i++) await later(50);
      const held = stage.hosts.flatMap((host) =>
        host.held
          .filter(({ octets }) => octets.toString('latin1').includes(`Subject: ${id}\r\n`))
          .map(({ recipients, octets }) => ({
            recipients,
            isWhole: octets.toString('latin1').endsWith(`\r\n\r\n${body.replaceAll('\n', '\r\n')}`),
          })),
      );
      const log = existsSync(stage.log) && statSync(stage.log).isFile() ? readLog(stage.log) : '';
      const files = existsSync(own) ? readdirSync(own).map((name) => `file ${name}`) : [];
      const strange = stage.hosts.flatMap(({ sessions }) => sessions.flat()).filter((line) => !COMMANDS.test(line));
      resolve({ status, signal, ...said, log, held, strange, left: [...files, ...processesWith(`ROW=${row}`)] });
    });
  });
  return { child, message, finish: () => void child.stdin?.end(message.slice(half)), done };
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\S+ \S+ \S+ \S+ /gm, '');
  } catch {
    return '';
  }
}

/* ---- the promise ---- */

/** What the promise allows besides. */
export interface Allowed {
  /** By which signals it may end. */
  readonly signals?: readonly NodeJS.Signals[];
  /** True: nobody reads its words, or it could not write them. */
  readonly isMute?: boolean;
  /** True: it may say something where all went well. */
  readonly mayBeTold?: boolean;
  /** True: its words may be those of a shell or a runtime that cannot start. */
  readonly mayNotStart?: boolean;
}

/** What is wrong with a run, whatever the row; null when nothing is. */
export function findBreach({ status, signal, stdout, stderr, held, left, strange }: Ended, allowed: Allowed = {}): string | null {
  if (strange.length > 0) return `a smart host heard ${strange.join(', ')}`;
  if (held.length > 1) return 'a smart host has it twice';
  if (held.some(({ isWhole, recipients }) => !isWhole || [...recipients].sort().join() !== RECIPIENTS.join()))
    return 'a smart host has a part of it';
  if (left.length > 0) return `it has left ${left.join(', ')}`;
  if (signal !== null) return allowed.signals?.includes(signal) ? null : `${signal} ended it`;
  if (stdout !== '') return 'it says something on standard output';
  if (status === 0) {
    if (held.length !== 1) return 'status 0, and no smart host has it';
    return stderr === '' || allowed.mayBeTold ? null : 'status 0, and words';
  }
  if (allowed.mayNotStart && held.length === 0) return null;
  if (status !== 1) return `status ${status}`;
  if (allowed.isMute) return null;
  if (stderr === '') return 'status 1 without a word';
  if (/^\s+at |node:|Error\b|undefined|\[object/m.test(stderr)) return 'its words are no sentences';
  const isOurs = (line: string) => line.startsWith('sendmail: ');
  if (!stderr.split('\n').slice(0, -1).every(isOurs)) return 'a line does not say who says it';
  return held.length === 1 && !/may have been delivered/.test(stderr) ? 'status 1, and a smart host has it' : null;
}

/** How it ended, in a word. */
export const endOf = ({ status, signal, held, stderr }: Ended): string =>
  `${signal ?? status}${/may have been delivered/.test(stderr) ? ' uncertain' : ''}, held ${held.length}`;

/** Walks all the rows, some at a time; the counts by how they ended are printed. */
export async function walk<Row>(title: string, rows: readonly Row[], tryRow: (row: Row) => Promise<{ fault: string | null; end: string }>) {
  const faults: string[] = [];
  const ends = new Map<string, number>();
  let next = 0;
  await Promise.all(
    Array.from({ length: ABREAST }, async () => {
      for (let row = rows[next++]; row !== undefined; row = rows[next++]) {
        const { fault, end } = await tryRow(row);
        if (fault !== null) faults.push(fault);
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
    }),
  );
  console.log(
    `\n  ${title}: ${rows.length} rows: ${[...ends]
      .map(([end, count]) => `${count} × ${end}`)
      .sort()
      .join('; ')}`,
  );
  return faults;
}

/** Each so many-th of the rows, where not all are walked; which of them depends on `from`. */
export const someOf = <T>(all: readonly T[], stride: number, from = 0): readonly T[] =>
  isFull ? all : all.filter((_, i) => i % stride === from % stride);

/** Ends it with what it has started in its group. */
export function killChild({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

export const killChildren = (): void => {
  for (const child of children) killChild(child);
};
