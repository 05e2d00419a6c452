/**
 * A process that stands still for longer than its times, and a clock of the host that somebody sets, at every moment of a run, under Node
 * and Bun: what has come meanwhile counts, and no time-out comes because of the clock.
 *
 * SURROUNDINGS=full walks all rows, else some. Loopback: what is tried is the time here, and no host is strange.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { missing, suiteWith } from '../interop/support/needs.ts';
import { scratch } from '../support/command.ts';
import { type Deaf, startDeaf } from '../support/deaf.ts';
import { a, type NameServer, nameServer } from '../support/nameserver.ts';
import { within } from '../support/within.ts';
import { type Moment, momentsOf, type Tried, tryAt } from './support/moments.ts';
import {
  type Ended,
  endOf,
  findBreach,
  isFull,
  killChildren,
  later,
  RUNTIMES,
  type Runtime,
  type Stage,
  setStage,
  someOf,
  start,
  until,
  walk,
} from './support/stage.ts';

/** No deaf host: what it does not answer comes too late at any rate. */
const MOMENTS = momentsOf(0).filter(({ name, stands }) => stands !== 'loading' && name !== 'connecting');
/** Seconds, enough for a run to come to its moment beside all other rows. */
const SHORT = isFull ? 5 : 2;
const LONG = SHORT + 0.6;

const isSent = (ended: Ended): string | null => findBreach(ended) ?? (ended.status === 0 ? null : 'it is not sent');

/* ---- a process that stands still ---- */

const stopped = suite('surroundings/stopped');

const OVER = `the deadline of ${SHORT} s has passed (timeouts.deadline)`;
/** Which times may run out at a moment. */
const KEYS = ['resolve', 'handshake', 'greeting', 'command', 'data', 'block', 'final', 'input'] as const;

/** A command that gives the password has a time that no key sets. */
const STANDING = MOMENTS.filter(({ stands, name }) => stands !== 'lost' && !name.includes('password'));

interface Stop {
  readonly runtime: Runtime;
  readonly moment: Moment;
  /** True: the time of the whole delivery runs out. */
  readonly isOfAll: boolean;
}

const STOPS: readonly Stop[] = RUNTIMES.flatMap((runtime) =>
  STANDING.flatMap((moment) => [false, true].map((isOfAll) => ({ runtime, moment, isOfAll }))),
);

function tryStop({ runtime, moment, isOfAll }: Stop): Promise<Tried> {
  const keys = isOfAll ? ['deadline'] : KEYS;
  return tryAt(moment, runtime, `${runtime.name}, ${moment.name}, ${keys.join(' ')}`, {
    tables: `[timeouts]\n${keys.map((key) => `${key} = "${SHORT * 1000}ms"`).join('\n')}`,
    async act({ child }, letGo) {
      child.kill('SIGSTOP');
      letGo();
      await later(LONG * 1000);
      child.kill('SIGCONT');
    },
    goesOn: false,
    findFault(ended) {
      // The resolver has a clock of its own: it asks again, and forgets the answer that waits for it.
      const isForgotten = moment === RESOLVING && ended.stderr.includes(`took longer than ${SHORT} s (timeouts.resolve)`);
      if (isForgotten) return findBreach(ended);
      if (!isOfAll || moment.stands !== 'before') return isSent(ended);
      // The time of the whole delivery ends what is not committed by then.
      const breach = findBreach(ended);
      return breach ?? (ended.status === 0 || ended.stderr.includes(OVER) ? null : 'no word of the deadline');
    },
  });
}

stopped('a process that stands still for longer than each of its times', () =>
  within(60_000, async () => {
    assert.deepEqual(await walk('stopped', someOf(STOPS, 5), tryStop), []);
  }),
);

stopped('a process that stands still while a connection comes about, for longer than that may take', () =>
  within(60_000, async () => {
    const faults = await walk('stopped, connecting', RUNTIMES, async (runtime) => {
      const late = await startDeaf();
      const connecting = momentsOf(late.port).find(({ name }) => name === 'connecting') as Moment;
      let hosts: Stage['hosts'] = [];
      const tables = `[timeouts]\nconnect = "${SHORT * 1000}ms"`;
      const moment: Moment = {
        ...connecting,
        scene: () => ({ isSecured: false, hasSecond: false, first: `127.0.0.1:${late.port}`, tables }),
        async reached(run, stage) {
          hosts = stage.hosts;
          await connecting.reached?.(run, stage);
        },
      };
      const tried = await tryAt(moment, runtime, `${runtime.name}, connecting`, {
        async act({ child }) {
          child.kill('SIGSTOP');
          late.wake(hosts[0]?.port as number);
          await later(LONG * 1000);
          child.kill('SIGCONT');
        },
        findFault: isSent,
      });
      late.stop();
      return tried;
    });
    assert.deepEqual(faults, []);
  }),
);

const isRoot = missing('root', 'unshare').length === 0;
if (!isRoot) console.log('stopped while a name is looked up: skipped: needs root, unshare');

/** The answer comes while the process stands still. */
const RESOLVING: Moment = {
  name: 'resolving',
  stands: 'before',
  scene: () => ({ isSecured: false, hasSecond: false, first: `row${++named}.late.example:PORT` }),
  reached: (_, stage) => {
    const name = /row\d+\.late\.example/.exec(readFileSync(stage.config, 'utf8'))?.[0] as string;
    return until('a question', () => names?.asked.some((question) => question.includes(name)) === true);
  },
};
let named = 0;
let names: NameServer | undefined;

(isRoot ? stopped : stopped.skip)('a process that stands still while a name server answers', () =>
  within(60_000, async () => {
    const folder = scratch();
    names = await nameServer({ '*': { late: 300, records: [a('127.0.0.1')] } }, '127.0.0.1', 53);
    for (const [text, place] of [
      ['nameserver 127.0.0.1\n', '/etc/resolv.conf'],
      ['hosts: files dns\n', '/etc/nsswitch.conf'],
    ] as const) {
      const file = path.join(folder, path.basename(place));
      writeFileSync(file, text, { mode: 0o644 });
      execFileSync('mount', ['--bind', file, place]);
    }
    const rows = RUNTIMES.map((runtime): Stop => ({ runtime, moment: RESOLVING, isOfAll: false }));
    assert.deepEqual(await walk('stopped, resolving', rows, tryStop), []);
    // Answers are still on their way.
    await later(500);
    names.close();
  }),
);
stopped.after(killChildren);
stopped.run();

/* ---- a clock that is set ---- */

const clock = suiteWith('surroundings/clock', 'gcc');

/** Loaded before the C library, it adds to the clock of the day what stands in a file; the other clocks are as they are. */
const LIBRARY = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile const long long *shift;
static long long moved(void) {
  if (!shift) {
    static const long long none = 0;
    const char *file = getenv("CLOCK_SHIFT");
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    shift = at == MAP_FAILED ? &none : at;
  }
  return *shift;
}
int clock_gettime(clockid_t id, struct timespec *to) {
  long status = syscall(SYS_clock_gettime, id, to);
  if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) to->tv_sec += moved();
  return status;
}
int gettimeofday(struct timeval *restrict to, void *restrict zone) {
  long status = syscall(SYS_gettimeofday, to, zone);
  if (status == 0 && to) to->tv_sec += moved();
  return status;
}
time_t time(time_t *to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}
`;

const DAY = 86_400;
const YEAR = 365.25 * DAY;
/** Seconds, from then on. */
const SHIFTS = {
  'a second forth': 1,
  'a day forth': DAY,
  'a day back': -DAY,
  'fifty years forth': 50 * YEAR,
  'to before 1970': -60 * YEAR,
};
/** The certificate of the tests begins an hour ago. */
const isWithinCertificate = (seconds: number): boolean => seconds > -3600 && seconds < 2 * DAY;

let library = '';
let deaf: Deaf;
clock.before(async () => {
  deaf = await startDeaf();
  const folder = scratch();
  library = path.join(folder, 'clock.so');
  writeFileSync(path.join(folder, 'clock.c'), LIBRARY);
  execFileSync('gcc', ['-O1', '-shared', '-fPIC', '-o', library, path.join(folder, 'clock.c')]);
});
clock.after(() => {
  deaf.stop();
  killChildren();
});

function setClock(file: string, seconds: number): void {
  const octets = Buffer.alloc(8);
  octets.writeBigInt64LE(BigInt(Math.round(seconds)));
  writeFileSync(file, octets, { flag: 'r+' });
}

/** As exigrep and eximstats read it. */
const LOGGED = /^\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \w{6}-\w{6}-\w{2} [^\0]*$/;

interface Setting {
  readonly runtime: Runtime;
  readonly moment: Moment;
  readonly shift: string;
  readonly seconds: number;
}

/** A file for the shift, and what the command needs to obey it. */
function aClock(): { readonly file: string; readonly env: Readonly<Record<string, string>> } {
  const file = path.join(scratch(), 'shift');
  writeFileSync(file, Buffer.alloc(8));
  return { file, env: { LD_PRELOAD: library, CLOCK_SHIFT: file } };
}

function trySetting({ runtime, moment, shift, seconds }: Setting): Promise<Tried> {
  const { file, env } = aClock();
  return tryAt(moment, runtime, `${runtime.name}, ${moment.name}, ${shift}`, {
    call: { env },
    async act() {
      setClock(file, seconds);
      // More than a turn of the event loop: a clock that rang because of it would have rung.
      await later(150);
    },
    findFault: (ended) => (moment.stands === 'lost' ? findBreach(ended) : isSent(ended)),
  });
}

const isUpToHandshake = ({ name }: Moment): boolean =>
  /input is open|password|greeting|^EHLO|STARTTLS|handshake/.test(name) && !name.includes('content');

const rowsOfClock = (): readonly Setting[] =>
  RUNTIMES.flatMap((runtime) =>
    MOMENTS.flatMap((moment) =>
      Object.entries(SHIFTS)
        .filter(([, seconds]) => isWithinCertificate(seconds) || !isUpToHandshake(moment))
        .map(([shift, seconds]) => ({ runtime, moment, shift, seconds })),
    ),
  );

clock('the clock is set at every moment', () =>
  within(120_000, async () => {
    assert.deepEqual(await walk('clock', someOf(rowsOfClock(), 7), trySetting), []);
  }),
);

clock('a clock that is wrong from the start makes no line of the log that others cannot read', () =>
  within(60_000, async () => {
    const rows = RUNTIMES.flatMap((runtime) =>
      Object.entries({ 1966: -60, 1971: -55, 2037: 11, 2038: 12, 2106: 81, 3000: 974 }).map(([year, years]) => ({
        runtime,
        year,
        seconds: years * YEAR,
      })),
    );
    const faults = await walk('clock, from the start', rows, async ({ runtime, year, seconds }) => {
      const { file, env } = aClock();
      setClock(file, seconds);
      const stage = await setStage({ isSecured: false });
      const ended = await start(stage, { runtime, env }).done;
      await stage.close();
      const text = readFileSync(stage.log, 'utf8');
      const isLogged =
        text
          .split('\n')
          .slice(0, -1)
          .every((line) => LOGGED.test(line)) && text.endsWith(' Completed\n');
      const fault = isSent(ended) ?? (isLogged ? null : text);
      return { fault: fault && `${runtime.name}, ${year}: ${ended.stderr}: ${fault}`, end: endOf(ended) };
    });
    assert.deepEqual(faults, []);
  }),
);

clock('a host that does not answer is left after its time, whatever the clock does meanwhile', () =>
  within(60_000, async () => {
    const connecting = momentsOf(deaf.port).filter(({ name }) => name === 'connecting');
    const rows = RUNTIMES.flatMap((runtime) =>
      Object.entries(SHIFTS)
        .filter(([, seconds]) => isWithinCertificate(seconds))
        .flatMap(([shift, seconds]) => connecting.map((moment): Setting => ({ runtime, moment, shift, seconds }))),
    );
    assert.deepEqual(await walk('clock, and a deaf host', rows, trySetting), []);
  }),
);
clock.run();
