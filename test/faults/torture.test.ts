/**
 * Every call of a run that can fail fails once: the command sends to three recipients, with two smart hosts, STARTTLS, a password,
 * an alias file and a log, under Node and Bun, and for each number the call of that number fails, until a run makes no more calls.
 * Whatever fails, the status is true, the words are sentences, nothing is sent twice, and nothing is left behind. support/torture.cjs
 * lets calls fail: of files, sockets (Bun's own, too), TLS, names, processes and clocks.
 *
 * TORTURE=full tries every call, else every so many-th one. Loopback: the faults are on this side.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { BUN_ENVIRONMENT } from '../../src/nospool/install/wrapper.ts';
import { missing } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, killAll, scratch } from '../support/command.ts';
import { tlsWorld } from '../support/delivery.ts';
import { a, nameServer } from '../support/nameserver.ts';
import { startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { RUNTIMES, type Runtime } from '../surroundings/support/stage.ts';

const test = suite('torture');
const isFull = process.env.TORTURE === 'full';
/** Every so many-th call, where not all are tried. */
const STRIDE = 17;
/** Runs at a time. */
const ABREAST = 2;
const TORTURE = fileURLToPath(new URL('support/torture.cjs', import.meta.url));

/** The loader keeps two files of the program open, so that they are there when their names are gone. */
const PROGRAM = path.dirname(COMMAND);

const RECIPIENTS = ['r1@there.example', 'r2@there.example', 'r3@there.example'];

interface Scene {
  readonly name: string;
  /** Lines of the configuration. */
  readonly config: string;
  readonly input: 'pipe' | 'file';
  /** Lines of the body. */
  readonly lines: number;
  readonly offers: readonly string[];
  /** By which name the smart hosts are called; localhost by default. */
  readonly at?: string;
  /** In place of a file. */
  readonly log?: string;
  /** Prepares the host for the scene, whose folder it may use; the value undoes that. It needs root, and mounts that nobody else sees. */
  readonly prepare?: (folder: string) => Promise<() => void>;
}

/** A name that a server of names knows. */
const NAMED = 'smart.named.example';

function bind(text: string, place: string, folder: string): void {
  const file = path.join(folder, path.basename(place));
  writeFileSync(file, text, { mode: 0o644 });
  execFileSync('mount', ['--bind', file, place]);
}

/** A host whose names are in the DNS; `hosts` is the line of nsswitch.conf. */
async function nameHosts(folder: string, hosts: string): Promise<() => void> {
  const server = await nameServer({ [`A ${NAMED}`]: [a('127.0.0.1')] }, '127.0.0.1', 53);
  bind('nameserver 127.0.0.1\n', '/etc/resolv.conf', folder);
  bind(`passwd: files\ngroup: files\nhosts: ${hosts}\n`, '/etc/nsswitch.conf', folder);
  return () => {
    execFileSync('umount', ['/etc/resolv.conf']);
    execFileSync('umount', ['/etc/nsswitch.conf']);
    server.close();
  };
}

/** A daemon of syslog that takes everything at this place. */
async function takeLogs(place: string): Promise<() => void> {
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => server.listen(place, resolve));
  server.unref();
  return () => void server.close();
}

async function withJournal(folder: string): Promise<() => void> {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync('/run/systemd/journal', { recursive: true });
  const stops = [
    await takeLogs('/run/systemd/journal/stdout'),
    await nameHosts(folder, 'files dns'),
    () => void execFileSync('umount', ['/run']),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** No journal, and so a logger is run. /dev belongs to all, so it is another one. */
const OTHER_DEV = `mkdir "$1/dev" && mount --bind /dev "$1/dev" && mount -t tmpfs -o mode=755 tmpfs /dev &&
for node in null zero full random urandom tty; do : >/dev/$node; mount --bind "$1/dev/$node" /dev/$node; done && ln -s /proc/self/fd /dev/fd`;

async function withLogger(folder: string): Promise<() => void> {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  execFileSync('/bin/sh', ['-c', OTHER_DEV, 'sh', folder]);
  const stops = [await takeLogs('/dev/log'), await nameHosts(folder, 'files nis dns')];
  return () => {
    for (const stop of stops) stop();
    execFileSync('/bin/sh', [
      '-c',
      'for node in null zero full random urandom tty; do umount -l /dev/$node; done; umount -l /dev; umount -l "$1/dev"; umount -l /run',
      'sh',
      folder,
    ]);
  };
}

/** A short message to a host with a name, and syslog. */
const NAMED_SCENE = { config: '', input: 'pipe', lines: 3, offers: ['PIPELINING'], at: NAMED, log: 'syslog' } as const;

const SCENES: readonly Scene[] = [
  { name: 'a pipe in the window, DATA, a password in a file', config: '', input: 'pipe', lines: 3, offers: ['PIPELINING'] },
  {
    name: 'a pipe beyond the window, BDAT',
    config: 'replay_window = "1KiB"',
    input: 'pipe',
    lines: 400,
    offers: ['PIPELINING', 'CHUNKING'],
  },
  { name: 'a file beyond the window, DATA', config: 'replay_window = "1KiB"', input: 'file', lines: 400, offers: [] },
  { name: 'a long pipe and a password of a command', config: '', input: 'pipe', lines: 12_000, offers: ['PIPELINING', 'CHUNKING'] },
  { ...NAMED_SCENE, name: 'names in the DNS, and the journal', prepare: withJournal },
  { ...NAMED_SCENE, name: 'names that the C library must look up, and a logger', prepare: withLogger },
];

interface Stage {
  readonly scene: Scene;
  readonly folder: string;
  readonly hosts: readonly [TestHost, TestHost];
  readonly config: string;
  readonly undo: () => void;
}

async function setStage(scene: Scene): Promise<Stage> {
  const { certificate, caFile } = tlsWorld();
  const options = { offers: ['STARTTLS', 'AUTH PLAIN LOGIN', ...scene.offers], tls: certificate };
  const hosts = [await startHost(options), await startHost(options)] as const;
  const folder = scratch();
  const isCommand = scene.name.includes('command');
  writeFileSync(path.join(folder, 'password'), 'tanstaaf\n', { mode: 0o600 });
  writeFileSync(path.join(folder, 'aliases'), 'everybody: r2@there.example, r3@there.example\n', { mode: 0o600 });
  const config = path.join(folder, 'nospool.toml');
  const undo = (await scene.prepare?.(folder)) ?? (() => {});
  const at = scene.at ?? 'localhost';
  const text = [
    `log = "${scene.log ?? `${folder}/log`}"`,
    `aliases = ["${folder}/aliases"]`,
    'hostname = "client.example.org"',
    `smarthosts = ["${at}:${hosts[0].port}", "${at}:${hosts[1].port}"]`,
    scene.config,
    '[auth]',
    'user = "tim"',
    isCommand ? `password_command = ["/bin/cat", "${folder}/password"]` : `password_file = "${folder}/password"`,
    '[tls]',
    'mode = "required"',
    `ca_file = "${caFile}"`,
    'server_name = "smart.example"',
  ];
  writeFileSync(config, `${text.join('\n')}\n`, { mode: 0o600 });
  return { scene, folder, hosts, config, undo };
}

interface Run {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly calls: readonly string[];
  /** Where and for whom the message is. */
  readonly held: readonly { readonly recipients: readonly string[]; readonly isWhole: boolean }[];
  readonly left: readonly string[];
  readonly isChildLeft: boolean;
}

let serial = 0;

/** Runs the command; call number `failing` fails, with 0 none. */
async function runOnce({ scene, folder, hosts, config }: Stage, { name, words }: Runtime, failing: number): Promise<Run> {
  const id = `torture ${++serial}`;
  const own = path.join(folder, `run-${serial}`);
  mkdirSync(own);
  const report = path.join(folder, `calls-${serial}`);
  const body = 'A line of the message, and no two are alike.\n'.repeat(scene.lines);
  const message = `Subject: ${id}\nFrom: tim@here.example\nTo: everybody@client.example.org\n\n${body}`;
  const file = path.join(folder, `message-${serial}`);
  if (scene.input === 'file') writeFileSync(file, message);
  const fd = scene.input === 'file' ? openSync(file, 'r') : undefined;
  const [program, ...flags] = [...words, name === 'Bun' ? '--preload' : '--require', TORTURE] as [string, ...string[]];
  const child = spawn(program, [...flags, COMMAND, '-f', 'tim@here.example', '-i', 'r1@there.example', 'everybody@client.example.org'], {
    stdio: [fd ?? 'pipe', 'pipe', 'pipe'],
    cwd: own,
    env: {
      ...ENVIRONMENT,
      NOSPOOL_CONFIG: config,
      TMPDIR: own,
      HOME: own,
      ...(name === 'Bun' ? BUN_ENVIRONMENT : {}),
      TORTURE: String(failing),
      TORTURE_LOG: report,
    },
    // A group of its own shows what it leaves behind.
    detached: true,
  });
  if (fd !== undefined) closeSync(fd);
  child.stdin?.on('error', () => {}).end(message);
  let stderr = '';
  child.stderr?.on('data', (part: Buffer) => {
    stderr += part.toString('utf8');
  });
  child.stdout?.resume();
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once('close', (...ended) => resolve(ended)),
  );
  // What is still under way may yet arrive.
  await new Promise((resolve) => setTimeout(resolve, 20));
  const held = hosts.flatMap((host) =>
    host.held
      .filter(({ octets }) => octets.toString('latin1').includes(`Subject: ${id}\r\n`))
      .map(({ recipients, octets }) => ({
        recipients,
        isWhole: octets.toString('latin1').endsWith(`\r\n\r\n${body.replaceAll('\n', '\r\n')}`),
      })),
  );
  const calls = existsSync(report) ? readFileSync(report, 'utf8').split('\n').filter(Boolean) : [];
  const left = [...readdirSync(own), ...calls.filter((call) => call.startsWith('left open') && !call.includes(PROGRAM))];
  rmSync(own, { recursive: true });
  rmSync(file, { force: true });
  return {
    status,
    signal,
    stderr,
    calls: calls.filter((call) => !call.startsWith('left open')),
    held,
    left,
    isChildLeft: isAlive(-(child.pid as number)),
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** What is wrong with a run in which this call failed; null when nothing is. */
function findFault({ status, signal, stderr, held, isChildLeft, left }: Run, call: string): string | null {
  if (signal !== null || status === null) return `it was ended by ${signal}`;
  if (/^\s+at |node:|Error\b|undefined|\[object/m.test(stderr)) return 'its words are no sentences';
  if (held.length > 1) return 'a smart host has it twice';
  if (held.some(({ isWhole, recipients }) => !isWhole || [...recipients].sort().join() !== RECIPIENTS.join()))
    return 'a smart host has a part of it';
  if (isChildLeft) return 'a child is left behind';
  if (left.length > 0) return `it has left ${left.join(', ')}`;
  if (status === 0) return held.length === 1 ? null : 'status 0, and no smart host has it';
  // Where standard error itself failed there are no words.
  if (stderr === '') return /^write\w* 2$/.test(call) ? null : `status ${status} without a word`;
  if (
    !stderr
      .split('\n')
      .slice(0, -1)
      .every((line) => line.startsWith('sendmail: '))
  )
    return 'a line does not say who says it';
  return held.length === 1 && !/may have been delivered/.test(stderr) ? `status ${status}, and a smart host has it` : null;
}

const isRoot = missing('root', 'unshare').length === 0;
if (!isRoot) console.log('torture of names and syslog: skipped: needs root, unshare');

for (const { scene, runtime } of SCENES.flatMap((each) => RUNTIMES.map((one) => ({ scene: each, runtime: one }))))
  (scene.prepare === undefined || isRoot ? test : test.skip)(`${scene.name}, ${runtime.name}`, () =>
    within(isFull ? 500_000 : 60_000, async () => {
      const stage = await setStage(scene);
      try {
        const clean = await runOnce(stage, runtime, 0);
        assert.equal(clean.status, 0, clean.stderr);
        assert.equal(findFault(clean, ''), null);
        assert.ok(clean.calls.length > 30, `there are only ${clean.calls.length} calls`);
        const faults: string[] = [];
        const statuses = new Map<number | null, number>();
        let next = isFull ? 1 : 1 + (scene.name.length % STRIDE);
        // Runs differ in how often they read, so the longest says when there are no more.
        let most = clean.calls.length;
        await Promise.all(
          Array.from({ length: ABREAST }, async () => {
            while (next <= most) {
              const number = next;
              next += isFull ? 1 : STRIDE;
              const run = await runOnce(stage, runtime, number);
              most = Math.max(most, run.calls.length);
              const call = run.calls[number - 1] ?? 'none';
              const fault = findFault(run, call);
              statuses.set(run.status, (statuses.get(run.status) ?? 0) + 1);
              if (fault !== null)
                faults.push(`call ${number} of ${run.calls.length}, ${call}: ${fault}: status ${run.status}: ${run.stderr}`);
            }
          }),
        );
        console.log(`\n  ${scene.name}, ${runtime.name}: ${most} calls, statuses ${JSON.stringify([...statuses])}`);
        assert.deepEqual(faults, []);
      } finally {
        killAll();
        await Promise.all(stage.hosts.map((host) => host.stop()));
        stage.undo();
      }
    }),
  );

test.run();
