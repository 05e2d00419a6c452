/**
 * Every signal at every moment of a run, under Node and Bun. Those that a caller, a terminal or a limit sends to end a process end the
 * delivery in words; after the commit the verdict still counts. Others change nothing. Only SIGKILL ends without a word.
 *
 * SURROUNDINGS=full walks all rows, else some.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { missing } from '../interop/support/needs.ts';
import { scratch } from '../support/command.ts';
import { type Deaf, startDeaf } from '../support/deaf.ts';
import { type NameServer, nameServer } from '../support/nameserver.ts';
import { within } from '../support/within.ts';
import { isEnding, type Moment, momentsOf, SIGNALS, type Tried, tryAt } from './support/moments.ts';
import { type Ended, findBreach, isFull, killChildren, later, RUNTIMES, type Runtime, someOf, until, walk } from './support/stage.ts';

const test = suite('surroundings/signals');

let names: NameServer | undefined;
let deaf: Deaf;
let moments: readonly Moment[] = [];
const isRoot = missing('root', 'unshare').length === 0;

/** A name that no server knows anything of. */
let named = 0;

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

function tryRow({ runtime, moment, signals }: Row): Promise<Tried> {
  const [first] = signals as [NodeJS.Signals];
  const what = `${runtime.name}, ${moment.name}, ${signals.join(' and ')}`;
  return tryAt(moment, runtime, what, {
    async act({ child }) {
      for (const signal of signals) {
        child.kill(signal);
        await later(60);
      }
    },
    // What ends the run must end it while the others stand still.
    goesOn: moment.stands !== 'before' || !isEnding(first),
    findFault: (ended) => findFault(ended, moment, signals),
  });
}

function findFault(ended: Ended, { stands }: Moment, signals: readonly NodeJS.Signals[]): string | null {
  const [first] = signals as [NodeJS.Signals];
  const mayDie = stands === 'loading' || first === 'SIGKILL';
  // What SIGKILL ends can end nobody else. A look-up in a process of its own ends when the C library gives up.
  const left = first === 'SIGKILL' ? ended.left.filter((each) => !each.includes("require('node:dns').lookup")) : ended.left;
  const breach = findBreach(
    { ...ended, left },
    { signals: mayDie ? signals : [], isMute: stands === 'loading', mayBeTold: stands === 'loading' },
  );
  if (breach !== null) return breach;
  if (stands === 'loading') return null;
  const isTaken = ended.status === 0;
  if (first === 'SIGKILL') {
    const isGone =
      stands === 'over' ? ended.held.length === 1 : ended.signal === 'SIGKILL' && ended.held.length === Number(stands === 'committed');
    return isGone ? null : 'it does not end so';
  }
  if (stands === 'lost') return !isTaken && ended.stderr.includes('not you') ? null : 'the refusal is lost';
  if (stands === 'committed' && signals.length > 1) {
    const isSaid = /: it may have been delivered\n/.test(ended.stderr) && ended.stderr.includes(`ended by a second ${signals[1]}`);
    return isSaid || ended.stderr.includes(`ended by ${signals[1]}`) ? null : 'it does not say that it is uncertain, and why';
  }
  if (!isEnding(first) || stands !== 'before') return isTaken ? null : 'it is not sent';
  if (isTaken || ended.held.length > 0) return 'it is sent';
  if (!ended.log.includes(`ended by ${first}`)) return `the log does not say it: ${ended.log}`;
  return ended.stderr === `sendmail: ended by ${first}\n` || ended.stderr.includes(`ended by ${first}`) ? null : 'it does not say why';
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
  moments = momentsOf(deaf.port);
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
    assert.deepEqual(await walk('signals', someOf(rowsOf(moments), STRIDE), tryRow), []);
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
