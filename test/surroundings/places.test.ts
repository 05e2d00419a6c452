/**
 * What a caller or a host leaves the command: limits, full and read-only disks, closed descriptors, folders and environments, as tables
 * under Node and Bun. Whatever it is, status 0 comes exactly when a smart host has the message for everyone.
 *
 * SURROUNDINGS=full walks all rows, else some. Loopback: what is tried lies around the process, and no host is strange.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { missing } from '../interop/support/needs.ts';
import { within } from '../support/within.ts';
import {
  type Allowed,
  type Call,
  type Ended,
  endOf,
  findBreach,
  killChild,
  killChildren,
  later,
  RUNTIMES,
  type Runtime,
  type Scene,
  type Stage,
  setStage,
  someOf,
  start,
  walk,
} from './support/stage.ts';

const test = suite('surroundings/places');
test.after(killChildren);

interface Row extends Omit<Call, 'runtime'> {
  readonly name: string;
  readonly scene?: Scene;
  readonly allowed?: Allowed;
  /** 'either': some of them are too narrow. A pattern is of the words of a failure. */
  readonly ends: 'sent' | 'either' | RegExp;
  /** Of one runtime alone. */
  readonly only?: Runtime['name'];
  /** Node, where it cannot make a thread at its start, may wait for ever. Nobody has the message then. */
  readonly mayHang?: boolean;
  /** True: standard input is closed, and the message empty. */
  readonly isEmpty?: boolean;
}

interface Placed {
  readonly runtime: Runtime;
  readonly row: Row;
}

const placed = (rows: readonly Row[]): readonly Placed[] =>
  rows.flatMap((row) => RUNTIMES.filter(({ name }) => row.only === undefined || row.only === name).map((runtime) => ({ runtime, row })));

/** An empty message is known by nothing. */
function asEmpty(ended: Ended, stage: Stage): Ended {
  const held = stage.hosts
    .flatMap((host) => host.held)
    .map(({ recipients, octets }) => ({ recipients, isWhole: octets.includes('\r\n\r\n') }));
  return { ...ended, held };
}

async function tryRow({ runtime, row }: Placed): Promise<{ fault: string | null; end: string }> {
  const stage = await setStage(row.scene);
  const shell = row.shell?.replaceAll('FOLDER', stage.folder);
  const run = start(stage, {
    ...row,
    ...(shell === undefined ? {} : { shell }),
    ...(row.cwd === undefined ? {} : { cwd: row.cwd.replace('FOLDER', stage.folder) }),
    runtime,
  });
  try {
    const isHanging =
      row.mayHang && runtime.name === 'Node' && (await Promise.race([run.done.then(() => false), later(HANGS).then(() => true)]));
    if (isHanging) killChild(run.child);
    const seen = await within(10_000, () => run.done);
    if (isHanging) return { fault: seen.held.length === 0 ? null : `${row.name}: it hangs, and a smart host has it`, end: 'hung, held 0' };
    const ended = row.isEmpty ? asEmpty(seen, stage) : seen;
    const { status, signal, stderr, held } = ended;
    const fits = row.ends === 'either' || (row.ends === 'sent' ? status === 0 : status === 1 && row.ends.test(stderr));
    const fault = findBreach(ended, row.allowed) ?? (fits ? null : `not as it should (${row.ends})`);
    const told = `${runtime.name}${row.isInstalled ? ', installed' : ''}, ${row.name}: status ${status} ${signal ?? ''}, held ${held.length}: ${stderr.slice(0, 400)}`;
    return { fault: fault === null ? null : `${told}: ${fault}`, end: endOf(ended) };
  } catch (error) {
    return { fault: `${runtime.name}, ${row.name}: ${(error as Error).message}`, end: 'not ended' };
  } finally {
    killChild(run.child);
    await stage.close();
  }
}

const table = (title: string, rows: () => readonly Row[], stride: number): void => {
  const isRoot = missing('root', 'unshare').length === 0;
  if (!isRoot) console.log(`${title}: skipped: needs root, unshare`);
  (isRoot ? test : test.skip)(title, () =>
    within(120_000, async () => {
      assert.deepEqual(await walk(title, someOf(placed(rows()), stride), tryRow), []);
    }),
  );
};

const REFUSED: Scene = { script: { 'RCPT 2': '550 5.1.1 nobody here' } };
const IN_MOUNTS = ['/usr/bin/unshare', '--mount'];
const AS_NOBODY = ['/usr/bin/setpriv', '--reuid=54321', '--regid=54321', '--clear-groups'];
const NOBODYS: Scene = { owner: 54321 };
const upTo = (from: number, to: number): readonly number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const exec = 'exec "$@"';

/* ---- limits ---- */

/** Milliseconds. */
const HANGS = 4000;
/** What kills a process that may have nothing is a runtime's or the system's, not ours. */
const ANY_DEATH: Allowed = { mayNotStart: true, signals: ['SIGABRT', 'SIGSEGV', 'SIGTRAP', 'SIGILL', 'SIGBUS', 'SIGKILL'] };
/** Sizes in KiB. */
const MEMORIES = [
  20_000, 60_000, 100_000, 150_000, 180_000, 200_000, 300_000, 450_000, 600_000, 1_000_000, 1_500_000, 2_000_000, 4_000_000,
];

table(
  'limits of files, memory, processes and file sizes',
  () => [
    ...upTo(3, 40).map(
      (n): Row => ({ name: `ulimit -n ${n}`, shell: `ulimit -n ${n}; ${exec}`, ends: n < 40 ? 'either' : 'sent', allowed: ANY_DEATH }),
    ),
    ...upTo(3, 40).map(
      (n): Row => ({
        name: `ulimit -n ${n}, a password of a command`,
        scene: { secret: 'password_command = ["/bin/echo", "tanstaaf"]' },
        shell: `ulimit -n ${n}; ${exec}`,
        ends: n < 40 ? 'either' : 'sent',
        allowed: ANY_DEATH,
      }),
    ),
    ...MEMORIES.map(
      (kib): Row => ({
        name: `ulimit -v ${kib}`,
        isInstalled: true,
        shell: `ulimit -v ${kib}; ${exec}`,
        ends: kib < 1_000_000 ? 'either' : 'sent',
        allowed: ANY_DEATH,
      }),
    ),
    ...MEMORIES.slice(0, 6).map(
      (kib): Row => ({
        name: `ulimit -d ${kib}`,
        isInstalled: true,
        mayHang: true,
        shell: `ulimit -d ${kib}; ${exec}`,
        ends: 'either',
        allowed: ANY_DEATH,
      }),
    ),
    ...[64, 128, 256, 512, 1024].map(
      (kib): Row => ({
        name: `ulimit -s ${kib}`,
        isInstalled: true,
        shell: `ulimit -s ${kib}; ${exec}`,
        ends: 'either',
        allowed: ANY_DEATH,
      }),
    ),
    ...upTo(0, 16).map(
      (n): Row => ({
        name: `ulimit -u ${n}`,
        mayHang: true,
        scene: NOBODYS,
        before: [...AS_NOBODY, '/usr/bin/prlimit', `--nproc=${n}`],
        ends: 'either',
        allowed: ANY_DEATH,
      }),
    ),
    ...[0, 1].flatMap((blocks): readonly Row[] => [
      { name: `ulimit -f ${blocks}`, shell: `ulimit -f ${blocks}; ${exec}`, ends: 'sent' },
      { name: `ulimit -f ${blocks}, refused`, scene: REFUSED, shell: `ulimit -f ${blocks}; ${exec}`, ends: /nobody here/ },
      { name: `ulimit -f ${blocks}`, isInstalled: true, shell: `ulimit -f ${blocks}; ${exec}`, ends: 'sent' },
    ]),
    {
      name: 'ulimit -t 1, a long message',
      shell: `ulimit -S -t 1; ${exec}`,
      lines: 400_000,
      scene: { config: 'replay_window = "1KiB"' },
      ends: 'either',
    },
  ],
  9,
);

/* ---- disks ---- */

const inFull = (more: string) =>
  `mkdir FOLDER/full && mount -t tmpfs -o size=8k tmpfs FOLDER/full && ${more} { head -c 100000 /dev/zero >FOLDER/full/fill; } 2>/dev/null; ${exec}`;
const logIn = (name: string, scene: Scene = {}): Scene => ({ ...scene, log: name });
const CANNOT_LOG = /nobody here[\s\S]*cannot write the log .*ENOSPC/;
const READ_ONLY = `for m in $(cut -d" " -f2 /proc/mounts); do mount -o remount,bind,ro $m 2>/dev/null || true; done; ${exec}`;

table(
  'disks that are full or read-only',
  () =>
    [false, true].flatMap((isInstalled): readonly Row[] => [
      {
        name: 'a log on a full disk',
        isInstalled,
        scene: logIn('/mnt/log'),
        before: IN_MOUNTS,
        shell: `mount -t tmpfs -o size=4k tmpfs /mnt; head -c 100000 /dev/zero >/mnt/fill 2>/dev/null; ${exec}`,
        ends: 'sent',
      },
      {
        name: 'a log on a full disk, refused',
        isInstalled,
        scene: logIn('/mnt/log', REFUSED),
        before: IN_MOUNTS,
        shell: `mount -t tmpfs -o size=4k tmpfs /mnt; head -c 100000 /dev/zero >/mnt/fill 2>/dev/null; ${exec}`,
        ends: CANNOT_LOG,
      },
      {
        name: 'a log that a disk keeps half of',
        isInstalled,
        scene: logIn('/mnt/log', REFUSED),
        before: IN_MOUNTS,
        shell: `mount -t tmpfs -o size=4k tmpfs /mnt; head -c 3900 /dev/zero >/mnt/log; ${exec}`,
        ends: CANNOT_LOG,
      },
      {
        name: 'a log that a disk keeps half of, sent',
        isInstalled,
        scene: logIn('/mnt/log'),
        before: IN_MOUNTS,
        shell: `mount -t tmpfs -o size=4k tmpfs /mnt; head -c 3900 /dev/zero >/mnt/log; ${exec}`,
        ends: 'sent',
      },
      { name: 'the log is /dev/full', isInstalled, scene: logIn('/dev/full'), ends: 'sent' },
      { name: 'the log is /dev/full, refused', isInstalled, scene: logIn('/dev/full', REFUSED), ends: CANNOT_LOG },
      { name: 'the log is standard error, which is full', isInstalled, scene: logIn('stderr'), shell: `${exec} 2>/dev/full`, ends: 'sent' },
      {
        name: 'standard error is full, refused',
        isInstalled,
        scene: REFUSED,
        shell: `${exec} >/dev/full 2>/dev/full`,
        ends: /^$/,
        allowed: { isMute: true },
      },
      {
        name: 'HOME, TMPDIR and the folder are full',
        isInstalled,
        before: IN_MOUNTS,
        shell: inFull('cd FOLDER/full; export HOME=FOLDER/full TMPDIR=FOLDER/full;'),
        ends: 'sent',
      },
      {
        name: '/tmp is full',
        isInstalled,
        before: IN_MOUNTS,
        scene: { log: 'none' },
        env: { TMPDIR: undefined },
        shell: `mount -t tmpfs -o size=4k tmpfs /var/tmp; mount -t tmpfs -o size=4k tmpfs /dev/shm; head -c 100000 /dev/zero >/dev/shm/fill 2>/dev/null; ${exec}`,
        ends: 'sent',
      },
      { name: 'everything is read-only', isInstalled, before: IN_MOUNTS, shell: READ_ONLY, ends: 'sent' },
      {
        name: 'everything is read-only, refused',
        isInstalled,
        scene: REFUSED,
        before: IN_MOUNTS,
        shell: READ_ONLY,
        ends: /nobody here[\s\S]*cannot write the log .*EROFS/,
      },
      {
        name: 'everything is read-only, without HOME and TMPDIR',
        isInstalled,
        env: { HOME: undefined, TMPDIR: undefined },
        before: IN_MOUNTS,
        shell: READ_ONLY,
        ends: 'sent',
      },
      { name: 'HOME and TMPDIR are not there', isInstalled, env: { HOME: '/dev/null/none', TMPDIR: '/dev/null/none' }, ends: 'sent' },
      {
        name: 'there is no /proc',
        // Bun does not start without.
        only: 'Node',
        isInstalled,
        before: IN_MOUNTS,
        shell: `mount -t tmpfs tmpfs /proc; ${exec}`,
        ends: 'sent',
      },
      { name: '/etc is empty', isInstalled, before: IN_MOUNTS, shell: `mount -t tmpfs tmpfs /etc; ${exec}`, ends: 'sent' },
      {
        name: '/dev has only null',
        isInstalled,
        before: IN_MOUNTS,
        shell: `: >FOLDER/null; mount --bind /dev/null FOLDER/null; mount -t tmpfs -o mode=755 tmpfs /dev; : >/dev/null; mount --bind FOLDER/null /dev/null; ${exec}`,
        ends: 'sent',
      },
    ]),
  5,
);

/* ---- descriptors ---- */

const CLOSING = ['<&-', '>&-', '2>&-'];
const CLOSED: readonly (readonly number[])[] = upTo(0, 7).map((bits) => [0, 1, 2].filter((fd) => bits & (1 << fd)));

table(
  'descriptors that are closed or of another kind',
  () =>
    [false, true].flatMap((isInstalled) =>
      [{}, REFUSED].flatMap((scene): readonly Row[] => {
        const ends: Row['ends'] = scene === REFUSED ? /nobody here/ : 'sent';
        const what = scene === REFUSED ? ', refused' : '';
        return [
          ...CLOSED.map((closed): Row => {
            const isMute = closed.includes(2);
            return {
              name: `closed: ${closed.join(' ') || 'none'}${what}`,
              isInstalled,
              scene,
              shell: `${exec} ${closed.map((fd) => CLOSING[fd]).join(' ')}`,
              ends: isMute && scene === REFUSED ? /^$/ : ends,
              isEmpty: closed.includes(0),
              allowed: { isMute },
            };
          }),
          {
            name: `1 and 2 are open for reading${what}`,
            isInstalled,
            scene,
            shell: `${exec} 1</dev/null 2</dev/null`,
            ends: ends === 'sent' ? ends : /^$/,
            allowed: { isMute: true },
          },
        ];
      }),
    ),
  5,
);

/* ---- folders, environments, and what is inherited ---- */

const HUGE = Object.fromEntries([
  ...upTo(1, 12).map((i) => [`LONG_${i}`, 'x'.repeat(120_000)] as const),
  ...upTo(1, 4000).map((i) => [`MANY_${i}`, String(i)] as const),
]);
const LOCALES = [
  'tlh_QO.KLINGON',
  '../../../../etc/passwd',
  'C.\u{fffd}',
  'serbocroatian.UTF-8',
  'x'.repeat(10_000),
  'de_DE.UTF-16',
  'ja_JP.eucJP',
  '%n%s%n',
  '',
];
const ZONES = [':/etc/passwd', 'x'.repeat(5000), '../../../../dev/zero', 'Nowhere/Land', 'XXX-99:99:99', '', '/dev/null'];
/** Each alone. They change or end a runtime, or tell it to read, write or load something. */
const HOSTILE: Readonly<Record<string, string>> = {
  NODE_OPTIONS: '--no-such-option',
  NODE_DEBUG: 'net,tls,fs,http,stream,child_process',
  NODE_DEBUG_NATIVE: 'ALL',
  NODE_EXTRA_CA_CERTS: '/nonexistent.pem',
  NODE_TLS_REJECT_UNAUTHORIZED: '0',
  NODE_V8_COVERAGE: '.',
  NODE_COMPILE_CACHE: '.',
  NODE_REDIRECT_WARNINGS: './warnings',
  NODE_PATH: '.',
  NODE_PENDING_DEPRECATION: '1',
  NODE_CHANNEL_FD: '3',
  NODE_UNIQUE_ID: '1',
  NODE_USE_ENV_PROXY: '1',
  NODE_ICU_DATA: '/nonexistent',
  UV_THREADPOOL_SIZE: '-1',
  UV_USE_IO_URING: '1',
  BUN_OPTIONS: '--no-such-option',
  BUN_INSPECT: '127.0.0.1:1',
  BUN_CONFIG_VERBOSE_FETCH: 'curl',
  BUN_DEBUG_QUIET_LOGS: '0',
  BUN_JSC_useJIT: '0',
  BUN_JSC_forceRAMSize: '1000000',
  JSC_dumpOptions: '2',
  BUN_GARBAGE_COLLECTOR_LEVEL: '2',
  BUN_ENABLE_CRASH_REPORTING: '1',
  MIMALLOC_SHOW_STATS: '1',
  MALLOC_CHECK_: '3',
  MALLOC_PERTURB_: '165',
  OPENSSL_CONF: '/nonexistent/openssl.cnf',
  OPENSSL_MODULES: '/nonexistent',
  SSL_CERT_DIR: '/nonexistent',
  LD_DEBUG_OUTPUT: '/dev/null',
  HTTP_PROXY: 'http://127.0.0.1:1',
  HTTPS_PROXY: 'http://127.0.0.1:1',
  ALL_PROXY: 'socks5://127.0.0.1:1',
  all_proxy: 'socks5://127.0.0.1:1',
  RES_OPTIONS: 'timeout:0 attempts:0 ndots:99',
  LOCALDOMAIN: 'x '.repeat(1000),
  HOSTALIASES: '/dev/zero',
  FORCE_COLOR: '3',
  COLUMNS: '-1',
  IFS: 'xsendmal/',
  ENV: '/dev/zero',
  BASH_ENV: '/nonexistent',
  SHELLOPTS: 'xtrace',
  PS4: '$(echo hacked)',
  POSIXLY_CORRECT: '1',
  CDPATH: '/',
  GCONV_PATH: '.',
  JOURNAL_STREAM: '1:1',
  NOTIFY_SOCKET: '/nonexistent',
  LISTEN_FDS: '3',
  NAME: '\u0001\u001b[31m\r\nBcc: evil@example.org',
  LOGNAME: 'x\nBcc: evil@example.org',
  USER: '$(id)',
};
/** Every signal that can be blocked is, as a program with threads leaves it to what it starts. */
const BLOCKING =
  'import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); os.execvp(sys.argv[1], sys.argv[1:])';
/** It stands in a folder whose path is longer than the system takes, and which is removed then, so that nothing is left. */
const DEEP = `import os, sys
for _ in range(45):
  os.mkdir('d' * 100)
  os.chdir('d' * 100)
os.system('rm -rf "$HOME"/d*')
os.execvp(sys.argv[1], sys.argv[1:])`;
const COMMAND_GIVES: Scene = { secret: 'password_command = ["/bin/echo", "tanstaaf"]' };

table(
  'folders, environments and what else is inherited',
  () => [
    ...Object.entries(HOSTILE).map(
      ([key, value]): Row => ({ name: `${key}=${value.slice(0, 40)}`, isInstalled: true, env: { [key]: value }, ends: 'sent' }),
    ),
    ...LOCALES.flatMap((locale) =>
      ['LANG', 'LC_ALL'].map(
        (key): Row => ({ name: `${key}=${locale.slice(0, 40)}`, isInstalled: true, env: { [key]: locale }, ends: 'sent' }),
      ),
    ),
    ...ZONES.map((zone): Row => ({ name: `TZ=${zone.slice(0, 40)}`, env: { TZ: zone }, ends: 'sent' })),
    ...[false, true].flatMap((isInstalled): readonly Row[] => [
      {
        name: 'no variable but the configuration',
        isInstalled,
        shell: `exec /usr/bin/env -i NOSPOOL_CONFIG="$NOSPOOL_CONFIG" "$@"`,
        ends: 'sent',
      },
      { name: 'an environment of 1.5 MB', isInstalled, env: HUGE, ends: 'sent' },
      { name: 'PATH is empty', isInstalled, env: { PATH: '' }, ends: 'sent' },
      { name: 'the folder is removed', isInstalled, shell: `mkdir gone && cd gone && rmdir ../gone; ${exec}`, ends: 'sent' },
      { name: 'the folder may not be searched', isInstalled, scene: NOBODYS, cwd: '/root', before: AS_NOBODY, ends: 'sent' },
      {
        name: 'the folder is deeper than a path may be long',
        isInstalled,
        before: ['/usr/bin/python3', '-c', DEEP],
        ends: 'sent',
      },
      { name: 'a uid that nobody has', isInstalled, scene: NOBODYS, before: AS_NOBODY, ends: 'sent' },
      { name: 'umask 777', isInstalled, shell: `umask 777; ${exec}`, scene: { log: 'none' }, ends: 'sent' },
      { name: 'umask 0', isInstalled, shell: `umask 0; ${exec}`, ends: 'sent' },
      { name: 'nice 19', isInstalled, before: ['/usr/bin/nice', '-n', '19'], ends: 'sent' },
      { name: 'a session of its own', isInstalled, before: ['/usr/bin/setsid', '-w'], ends: 'sent' },
      {
        name: 'no new privileges, and no capability',
        isInstalled,
        before: ['/usr/bin/setpriv', '--no-new-privs', '--bounding-set=-all'],
        ends: 'sent',
      },
      {
        name: 'all signals ignored',
        isInstalled,
        scene: COMMAND_GIVES,
        shell: `trap '' HUP INT QUIT PIPE ALRM TERM USR1 USR2 CHLD CONT TSTP TTIN TTOU XCPU XFSZ VTALRM PROF WINCH URG IO SYS; ${exec}`,
        ends: 'sent',
      },
      { name: 'all signals blocked', isInstalled, scene: COMMAND_GIVES, before: ['/usr/bin/python3', '-c', BLOCKING], ends: 'sent' },
      {
        name: 'all signals blocked and SIGCHLD ignored',
        isInstalled,
        scene: COMMAND_GIVES,
        before: ['/usr/bin/python3', '-c', BLOCKING],
        shell: `trap '' CHLD; ${exec}`,
        ends: 'sent',
      },
      {
        name: 'a hundred descriptors of the caller’s',
        isInstalled,
        shell: `for i in 3 4 5 6 7 8 9; do eval "exec $i</dev/null"; done; ${exec}`,
        ends: 'sent',
      },
    ]),
  ],
  9,
);

test.run();
