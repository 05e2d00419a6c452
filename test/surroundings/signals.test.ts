/**
 * Every signal at every moment of a run, under Node and Bun. Those that a caller, a terminal or a limit sends to end a process end the
 * delivery in words; after the commit the verdict still counts. Others change nothing. Only SIGKILL ends without a word.
 *
 * SURROUNDINGS=full walks all rows, else some. Loopback: what comes from outside comes to this process, and no host is strange.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { missing } from '../interop/support/needs.ts';
import { scratch } from '../support/command.ts';
import { type Deaf, startDeaf } from '../support/deaf.ts';
import { type NameServer, nameServer } from '../support/nameserver.ts';
import type { Phase } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import {
  type Call,
  type Ended,
  endOf,
  findBreach,
  isFull,
  killChild,
  killChildren,
  later,
  RUNTIMES,
  type Run,
  type Runtime,
  type Scene,
  type Stage,
  setStage,
  someOf,
  start,
  until,
  walk,
} from './support/stage.ts';

const test = suite('surroundings/signals');

/* ---- signals ---- */

/** They end the delivery. */
const ENDING = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGALRM', 'SIGUSR2', 'SIGXCPU'] as const;
/** They change nothing. */
const IDLE = ['SIGHUP', 'SIGPIPE', 'SIGUSR1', 'SIGWINCH', 'SIGXFSZ'] as const;
const SIGNALS: readonly NodeJS.Signals[] = [...ENDING, ...IDLE, 'SIGKILL'];
const isEnding = (signal: NodeJS.Signals): boolean => (ENDING as readonly string[]).includes(signal);

/* ---- moments ---- */

/** Lets the test wait until something has come to a place, and lets it go on from there when the test says so. */
class Gate {
  reach = (): void => {};
  open = (): void => {};
  readonly reached = new Promise<void>((resolve) => {
    this.reach = resolve;
  });
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
  /** Waits here. */
  async stop(): Promise<void> {
    this.reach();
    await this.opened;
  }
}

interface Moment {
  readonly name: string;
  /** 'loading': none of our code may run yet. 'lost': the message is refused already. */
  readonly stands: 'loading' | 'before' | 'committed' | 'over' | 'lost';
  readonly scene: (gate: Gate) => Scene;
  readonly call?: Partial<Call>;
  /** Resolves when the run stands there; by default when the gate is reached. */
  readonly reached?: (run: Run, stage: Stage) => Promise<void>;
  /** Lets the run go on, besides opening the gate. */
  readonly goOn?: (run: Run, stage: Stage) => void;
}

let names: NameServer | undefined;
let deaf: Deaf;
const isRoot = missing('root', 'unshare').length === 0;

const at =
  (...phases: readonly Phase[]) =>
  (gate: Gate): Pick<Scene, 'watch'> => ({
    watch: (phase) => (phases.includes(phase) ? gate.stop() : Promise.resolve()),
  });

const OPEN: Partial<Call> = { isOpen: true, lines: 3000 };
const STREAMED = 'replay_window = "1KiB"';
const finish = (run: Run): void => run.finish();

const isThere = (file: string) => (_: Run, stage: Stage) => until(file, () => existsSync(path.join(stage.folder, file)));

/** Whether the process has a socket on its way to this port. */
function isConnecting(pid: number, port: number): boolean {
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      } catch {
        return undefined;
      }
    }),
  );
  return readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some(([, , remote = '', state, , , , , , inode]) => state === '02' && sockets.has(inode) && remote.endsWith(`:${hex(port)}`));
}
const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');

/** A command that gives the password when the test lets it. */
const ASKED = `password_command = ["/bin/sh", "-c", ": >FOLDER/asked; while ! [ -e FOLDER/go ]; do sleep 0.05; done; echo tanstaaf"]`;

/** A name that no server knows anything of. */
let named = 0;

const MOMENTS: readonly Moment[] = [
  { name: 'the runtime is loading', stands: 'loading', scene: () => ({}), reached: () => later(++named % 40) },
  { name: 'the input is open', stands: 'before', scene: () => ({}), call: OPEN, reached: isThere('log'), goOn: finish },
  {
    name: 'a command is asked for the password',
    stands: 'before',
    scene: () => ({ secret: ASKED }),
    reached: isThere('asked'),
    goOn: (_, stage) => writeFileSync(path.join(stage.folder, 'go'), ''),
  },
  {
    name: 'connecting',
    stands: 'before',
    scene: () => ({ first: `127.0.0.1:${deaf.port}`, tables: '[timeouts]\nconnect = "1s"' }),
    reached: ({ child }) => until('connecting', () => isConnecting(child.pid as number, deaf.port)),
  },
  ...(['greeting', 'EHLO', 'STARTTLS', 'handshake', 'second EHLO', 'AUTH', 'MAIL', 'RCPT 1', 'RCPT 3', 'DATA'] as const).map(
    (phase): Moment => ({ name: phase, stands: 'before', scene: at(phase) }),
  ),
  {
    name: 'content, and the input is open',
    stands: 'before',
    scene: (gate) => ({
      config: STREAMED,
      watch: async (phase) => {
        if (phase === 'content') gate.reach();
      },
    }),
    call: OPEN,
    goOn: finish,
  },
  {
    name: 'content, and the smart host reads no more',
    stands: 'before',
    scene: (gate) => ({
      config: STREAMED,
      script: {
        content: async ({ socket }) => {
          socket.pause();
          await gate.stop();
          socket.resume();
          return '';
        },
      },
    }),
    call: { lines: 200_000 },
  },
  {
    name: 'a block',
    stands: 'before',
    scene: (gate) => ({ config: STREAMED, offers: ['PIPELINING', 'CHUNKING'], ...at('BDAT')(gate) }),
    call: { ...OPEN, lines: 20_000 },
    goOn: finish,
  },
  { name: 'the final reply', stands: 'committed', scene: at('end') },
  {
    name: 'the final reply, behind a last block',
    stands: 'committed',
    scene: (gate) => ({ offers: ['CHUNKING'], ...at('end')(gate) }),
  },
  { name: 'behind the final reply', stands: 'over', scene: at('QUIT') },
  {
    name: 'refused, and the input is open',
    stands: 'lost',
    scene: () => ({ config: STREAMED, script: { MAIL: '550 5.7.1 not you' } }),
    call: OPEN,
    reached: (_, stage) => until('the refusal', () => existsSync(stage.log) && readFileSync(stage.log, 'utf8').includes('not you')),
    goOn: finish,
  },
];

/** Needs a resolv.conf of its own. Two smart hosts of different names may not share a password. */
const RESOLVING: Moment = {
  name: 'resolving',
  stands: 'before',
  scene: () => ({ isSecured: false, first: `row${++named}.dead.example:25`, tables: '[timeouts]\nresolve = "2s"' }),
  reached: (_, stage) => {
    const name = /row\d+\.dead\.example/.exec(readFileSync(stage.config, 'utf8'))?.[0] as string;
    return until('a question', () => names?.asked.some((question) => question.includes(name)) === true);
  },
};

/* ---- a row ---- */

interface Row {
  readonly runtime: Runtime;
  readonly moment: Moment;
  readonly signals: readonly NodeJS.Signals[];
}

async function tryRow({ runtime, moment, signals }: Row): Promise<{ fault: string | null; end: string }> {
  const gate = new Gate();
  const scene = moment.scene(gate);
  const stage = await setStage(scene);
  if (scene.secret !== undefined)
    writeFileSync(stage.config, readFileSync(stage.config, 'utf8').replaceAll('FOLDER', stage.folder), { mode: 0o600 });
  const run = start(stage, { runtime, ...moment.call });
  const [first] = signals as [NodeJS.Signals];
  const what = `${runtime.name}, ${moment.name}, ${signals.join(' and ')}`;
  try {
    const reached = moment.reached?.(run, stage) ?? gate.reached;
    const early = run.done.then(({ status, stderr }) => Promise.reject(new Error(`it ended before, with status ${status}: ${stderr}`)));
    await within(30_000, () => Promise.race([reached, ...(moment.stands === 'loading' ? [] : [early])]));
    early.catch(() => {});
    for (const signal of signals) {
      run.child.kill(signal);
      await later(60);
    }
    // What ends the run must end it while the others stand still. Nobody but itself can end what SIGKILL leaves behind.
    const mustEnd = moment.stands === 'before' && isEnding(first);
    if (!mustEnd) {
      gate.open();
      moment.goOn?.(run, stage);
    }
    const ended = await within(15_000, () => run.done);
    return { fault: findFault(ended, moment, signals, what), end: endOf(ended) };
  } catch (error) {
    return { fault: `${what}: ${(error as Error).message}`, end: 'not ended' };
  } finally {
    killChild(run.child);
    gate.open();
    await stage.close();
  }
}

function findFault(ended: Ended, { stands }: Moment, signals: readonly NodeJS.Signals[], what: string): string | null {
  const [first] = signals as [NodeJS.Signals];
  const mayDie = stands === 'loading' || first === 'SIGKILL';
  // What SIGKILL ends can end nobody else. A look-up in a process of its own ends when the C library gives up.
  const left = first === 'SIGKILL' ? ended.left.filter((each) => !each.includes("require('node:dns').lookup")) : ended.left;
  const breach = findBreach(
    { ...ended, left },
    { signals: mayDie ? signals : [], isMute: stands === 'loading', mayBeTold: stands === 'loading' },
  );
  const told = `${what}: status ${ended.status} ${ended.signal ?? ''}, held ${ended.held.length}: ${ended.stderr}`;
  if (breach !== null) return `${told}: ${breach}`;
  const wrong = (why: string) => `${told}: ${why}`;
  if (stands === 'loading') return null;
  const isTaken = ended.status === 0;
  if (first === 'SIGKILL') {
    const isGone =
      stands === 'over' ? ended.held.length === 1 : ended.signal === 'SIGKILL' && ended.held.length === Number(stands === 'committed');
    return isGone ? null : wrong('it does not end so');
  }
  if (stands === 'lost') return !isTaken && ended.stderr.includes('not you') ? null : wrong('the refusal is lost');
  if (stands === 'committed' && signals.length > 1) {
    const isSaid = /: it may have been delivered\n/.test(ended.stderr) && ended.stderr.includes(`ended by a second ${signals[1]}`);
    return isSaid || ended.stderr.includes(`ended by ${signals[1]}`) ? null : wrong('it does not say that it is uncertain, and why');
  }
  if (!isEnding(first) || stands !== 'before') return isTaken ? null : wrong('it is not sent');
  if (isTaken || ended.held.length > 0) return wrong('it is sent');
  if (!ended.log.includes(`ended by ${first}`)) return wrong(`the log does not say it: ${ended.log}`);
  return ended.stderr === `sendmail: ended by ${first}\n` || ended.stderr.includes(`ended by ${first}`)
    ? null
    : wrong('it does not say why');
}

const rowsOf = (moments: readonly Moment[]): readonly Row[] =>
  RUNTIMES.flatMap((runtime) =>
    moments.flatMap((moment) => [
      ...SIGNALS.map((signal): Row => ({ runtime, moment, signals: [signal] })),
      ...(moment.stands === 'committed' ? [{ runtime, moment, signals: ['SIGTERM', 'SIGQUIT'] } as const] : []),
    ]),
  );

test.before(async () => {
  deaf = await startDeaf();
  if (!isRoot) return;
  const resolv = path.join(scratch(), 'resolv.conf');
  names = await nameServer({ '*': null }, '127.0.0.1', 53);
  writeFileSync(resolv, 'nameserver 127.0.0.1\noptions timeout:30\n', { mode: 0o644 });
  execFileSync('mount', ['--bind', resolv, '/etc/resolv.conf']);
});
test.after(() => {
  deaf.stop();
  names?.close();
  killChildren();
});

/** Without a stride that divides the number of signals, each moment and each signal has its turn. */
const STRIDE = 7;

test('every signal at every moment', () =>
  within(isFull ? 180_000 : 60_000, async () => {
    assert.deepEqual(await walk('signals', someOf(rowsOf(MOMENTS), STRIDE), tryRow), []);
  }));

const inNamespace = isRoot ? test : test.skip;
if (!isRoot) console.log('signals while a name is looked up: skipped: needs root, unshare');

inNamespace('every signal while a name is looked up', () =>
  within(60_000, async () => {
    assert.deepEqual(await walk('signals, resolving', someOf(rowsOf([RESOLVING]), STRIDE, 1), tryRow), []);
  }),
);

inNamespace('every signal while the C library is asked in a process of its own', () =>
  within(60_000, async () => {
    const nsswitch = path.join(scratch(), 'nsswitch.conf');
    writeFileSync(nsswitch, 'passwd: files\ngroup: files\nhosts: files nis dns\n', { mode: 0o644 });
    execFileSync('mount', ['--bind', nsswitch, '/etc/nsswitch.conf']);
    try {
      assert.deepEqual(await walk('signals, asking the C library', someOf(rowsOf([RESOLVING]), STRIDE, 2), tryRow), []);
    } finally {
      execFileSync('umount', ['/etc/nsswitch.conf']);
    }
  }),
);

test.run();
