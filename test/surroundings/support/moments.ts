/**
 * The moments of a run at which something comes from outside, and a row that stops there, lets it come, and looks how the run ends. Of what
 * may come it knows the signals alone.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Phase } from '../../support/smarthost.ts';
import { within } from '../../support/within.ts';
import {
  type Call,
  type Ended,
  endOf,
  killChild,
  later,
  type Run,
  type Runtime,
  type Scene,
  type Stage,
  setStage,
  start,
  until,
} from './stage.ts';

/** They end the delivery. */
const ENDING = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGALRM', 'SIGUSR2', 'SIGXCPU'] as const;
/** They change nothing. */
const IDLE = ['SIGHUP', 'SIGPIPE', 'SIGUSR1', 'SIGWINCH', 'SIGXFSZ'] as const;
export const SIGNALS: readonly NodeJS.Signals[] = [...ENDING, ...IDLE, 'SIGKILL'];
export const isEnding = (signal: NodeJS.Signals): boolean => (ENDING as readonly string[]).includes(signal);

/** Lets the test wait until something has come to a place, and lets it go on from there when the test says so. */
export class Gate {
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

export interface Moment {
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

export const at =
  (...phases: readonly Phase[]) =>
  (gate: Gate): Pick<Scene, 'watch'> => ({
    watch: (phase) => (phases.includes(phase) ? gate.stop() : Promise.resolve()),
  });

export const OPEN: Partial<Call> = { isOpen: true, lines: 3000 };
export const STREAMED = 'replay_window = "1KiB"';
const finish = (run: Run): void => run.finish();

const isThere = (file: string) => (_: Run, stage: Stage) => until(file, () => existsSync(path.join(stage.folder, file)));

/** Whether the process has a socket on its way to this port; false where it has ended. */
function isConnecting(pid: number, port: number): boolean {
  const folder = `/proc/${pid}/fd`;
  const sockets = new Set(
    (existsSync(folder) ? readdirSync(folder) : []).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1];
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

/** Milliseconds until a signal comes to a runtime that loads; they grow with each row. */
let delay = 0;

/** `deafPort` neither answers nor refuses. */
export const momentsOf = (deafPort: number): readonly Moment[] => [
  { name: 'the runtime is loading', stands: 'loading', scene: () => ({}), reached: () => later(++delay % 40) },
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
    scene: () => ({ first: `127.0.0.1:${deafPort}`, tables: '[timeouts]\nconnect = "3s"' }),
    reached: ({ child }) => until('connecting', () => isConnecting(child.pid as number, deafPort)),
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

/* ---- a row ---- */

export interface Tried {
  readonly fault: string | null;
  readonly end: string;
}

export interface Trial {
  /** Lets come what comes from outside, while the run stands still. */
  readonly act: (run: Run, letGo: () => void) => Promise<void>;
  /** False: what came must end the run, though the others stand still. */
  readonly goesOn?: boolean;
  readonly findFault: (ended: Ended) => string | null;
  /** More of the call. */
  readonly call?: Partial<Call>;
  /** More tables of the configuration. */
  readonly tables?: string;
}

export async function tryAt(moment: Moment, runtime: Runtime, what: string, trial: Trial): Promise<Tried> {
  const gate = new Gate();
  const scene = moment.scene(gate);
  const stage = await setStage({ ...scene, tables: `${scene.tables ?? ''}\n${trial.tables ?? ''}` });
  if (scene.secret !== undefined)
    writeFileSync(stage.config, readFileSync(stage.config, 'utf8').replaceAll('FOLDER', stage.folder), { mode: 0o600 });
  const run = start(stage, { runtime, ...moment.call, ...trial.call });
  const letGo = (): void => {
    gate.open();
    moment.goOn?.(run, stage);
  };
  try {
    const reached = moment.reached?.(run, stage) ?? gate.reached;
    const early = run.done.then(({ status, stderr }) => Promise.reject(new Error(`it ended before, with status ${status}: ${stderr}`)));
    early.catch(() => {});
    await within(30_000, () => Promise.race([reached, ...(moment.stands === 'loading' ? [] : [early])]));
    await trial.act(run, letGo);
    if (trial.goesOn ?? true) letGo();
    const ended = await within(15_000, () => run.done);
    const fault = trial.findFault(ended);
    const told = `${what}: status ${ended.status} ${ended.signal ?? ''}, held ${ended.held.length}: ${ended.stderr}`;
    return { fault: fault === null ? null : `${told}: ${fault}`, end: endOf(ended) };
  } catch (error) {
    return { fault: `${what}: ${(error as Error).message}`, end: 'not ended' };
  } finally {
    killChild(run.child);
    gate.open();
    await stage.close();
  }
}
