/** The log keeps whole lines under a hundred runs at a time, and when it cannot be written there is a sentence and nothing more. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net, { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { suite } from 'uvu';
import { linesOf } from '../../src/smtp/line.ts';
import { type LogPlaces, logAtOnce, openLog, writeWhole } from '../../src/submit/logfile.ts';
import { within } from '../support/within.ts';

const test = suite('logfile');
const folder = mkdtempSync(join(tmpdir(), 'nospool-logfile-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const entry = fileURLToPath(new URL('../../src/submit/logfile.ts', import.meta.url));
let serial = 0;
const fresh = (name = 'log'): string => join(folder, `${++serial}-${name}`);
/** Stands for /dev/log: only its being a socket is looked at. */
const device = join(folder, 'device');
const syslogd = createServer();
test.before(() => new Promise<void>((resolve) => syslogd.listen(device, resolve)));
test.after(() => void syslogd.close());
const NOWHERE: LogPlaces = { file: join(folder, 'missing', 'log'), journal: join(folder, 'no-journal'), device, loggers: [] };
const UID = process.geteuid?.();

test('lines are appended, one after another, as often as it is written to', async () => {
  const path = fresh();
  const log = openLog(path);
  assert.equal(log.problem, null);
  assert.equal(await log.write(linesOf(['one', 'zwei ü'])), null);
  assert.equal(await log.write(linesOf(['three'])), null);
  assert.equal(await openLog(path).write(linesOf(['four'])), null);
  assert.equal(readFileSync(path, 'utf8'), 'one\nzwei ü\nthree\nfour\n');
  assert.equal(statSync(path).mode & 0o137, 0, 'not for everybody to read');
});

test('"none" writes nothing, and the default file is the first choice', async () => {
  const places = { ...NOWHERE, file: fresh() };
  assert.equal(await openLog('none', null, places).write(linesOf(['x'])), null);
  assert.equal(existsSync(places.file), false);
  assert.equal(await openLog('', null, places).write(linesOf(['x'])), null);
  assert.equal(readFileSync(places.file, 'utf8'), 'x\n');
  // A user who has configured no log may have no right to the usual one.
  assert.equal(openLog('', null, NOWHERE).problem, null);
  assert.match(openLog(NOWHERE.file, null, NOWHERE).problem ?? '', /^cannot write the log .*: ENOENT: /);
});

test('each log says where its lines would go, and writes none for that', async () => {
  const [path, logger] = [fresh(), fakeLogger()];
  const places = { ...NOWHERE, file: fresh(), loggers: [logger.path] };
  for (const [setting, place] of [
    ['none', 'none'],
    ['stderr', 'stderr'],
    ['syslog', 'syslog'],
    [path, path],
    ['', places.file],
  ] as const) {
    const log = openLog(setting, null, places);
    assert.equal(log.problem, null);
    assert.deepEqual(await log.test(), { place, problem: null });
    assert.deepEqual(await log.test(), { place, problem: null }, 'again');
  }
  assert.deepEqual(
    [path, places.file].map((file) => readFileSync(file, 'utf8')),
    ['', ''],
  );
  const asked = '6:--socket-errors=on --size=8192 -t nospool -p mail.info';
  assert.deepEqual([logger.noted().split('\n')[0], logger.noted().split('\n').slice(2)], [asked, ['']], 'no lines');
  rmSync(`${logger.path}.noted`);
  const fallback = { ...NOWHERE, loggers: [logger.path] };
  assert.deepEqual(await openLog('', null, fallback).test(), { place: 'syslog', problem: null });
  assert.equal(logger.noted().split('\n')[0], asked);
  assert.equal(await openLog('', null, fallback).write(linesOf(['x'])), null);
  assert.equal(logger.noted().split('\n')[0], asked);
  const busy = openLog('/dev/full', null, fallback);
  assert.match((await busy.write(linesOf(['x']))) ?? '', /; syslog has it$/);
  assert.equal(logger.noted().split('\n')[0], asked);
  const missing = `cannot write the log ${NOWHERE.file} as uid ${UID}: ENOENT: no such file or directory`;
  const lost = { place: null, problem: `${missing}, and there is no syslog: nothing was logged; set log` };
  assert.deepEqual(await openLog('', null, NOWHERE).test(), lost);
  const inside = fresh('folder');
  mkdirSync(inside);
  const gone = openLog(join(inside, 'log'), null, NOWHERE);
  await gone.test();
  rmSync(inside, { recursive: true });
  assert.match((await gone.test()).problem ?? '', /^cannot write the log .*: ENOENT: .*, and there is no syslog/);
  mkdirSync(inside);
  const kept = openLog(join(inside, 'log'), null, fallback);
  await kept.test();
  rmSync(inside, { recursive: true });
  assert.match((await kept.test()).problem ?? '', /; syslog has it$/);
  assert.equal(logger.noted().split('\n')[0], asked);
});

test('a log that is a symbolic link is followed where root alone can have made it', async () => {
  const inside = fresh('links');
  mkdirSync(inside);
  const [target, link] = [fresh('target'), join(inside, 'log')];
  symlinkSync(target, link);
  const problemAt = async (mode: number) => {
    chmodSync(inside, mode);
    return openLog(link, null, NOWHERE).write(linesOf([mode.toString(8)]));
  };
  const refused = `cannot write the log ${link} as uid ${UID}: it is a symbolic link, and others than root may change ${inside}`;
  for (const mode of [0o777, 0o702]) assert.ok((await problemAt(mode))?.startsWith(refused));
  if (process.getuid?.() !== 0) return;
  for (const mode of [0o755, 0o701]) assert.equal(await problemAt(mode), null);
  assert.equal(readFileSync(target, 'utf8'), '755\n701\n');
  assert.equal(statSync(target).mode & 0o137, 0, 'not for everybody to read');
  chownSync(inside, 12345, 0);
  assert.ok((await problemAt(0o755))?.startsWith(refused), 'a folder of somebody else');
});

test('a place of syslog at which nobody may look is one without syslog, and no failure', async () => {
  const loop = fresh('loop');
  symlinkSync(loop, loop);
  const logger = fakeLogger();
  const places = { ...NOWHERE, device: loop, loggers: [logger.path] };
  const problem = `no log was written: there is no syslog at ${places.journal} or ${loop}; set log`;
  assert.equal(await openLog('syslog', null, places).write(linesOf(['x'])), problem);
  assert.deepEqual(await openLog('syslog', null, places).test(), { place: null, problem });
  assert.match(logAtOnce('', null, linesOf(['x']), places) ?? '', /^cannot write the log/);
  assert.equal(existsSync(`${logger.path}.noted`), false);
});

test('another system than Linux has its syslog elsewhere, so its logger is believed', async () => {
  const logger = fakeLogger();
  const places = { ...NOWHERE, device: join(folder, 'no-device'), loggers: [logger.path] };
  const platform = Object.getOwnPropertyDescriptor(process, 'platform') as PropertyDescriptor;
  Object.defineProperty(process, 'platform', { ...platform, value: 'freebsd' });
  try {
    assert.equal(await openLog('syslog', null, places).write(linesOf(['x'])), null);
    assert.equal(logAtOnce('syslog', null, linesOf(['y']), places), null);
  } finally {
    Object.defineProperty(process, 'platform', platform);
  }
  assert.match(logger.noted(), /^y$/m);
});

test('a file that cannot be opened is a problem from the start, and changes nothing else', async () => {
  const path = join(folder, 'missing', 'log');
  const log = openLog(path, null, NOWHERE);
  assert.equal(log.problem, `cannot write the log ${path} as uid ${UID}: ENOENT: no such file or directory`);
  assert.equal(await log.write(linesOf(['x'])), `${log.problem}, and there is no syslog: nothing was logged; set log`);
  assert.match(openLog(folder).problem ?? '', /EISDIR/);
});

test('a full disk is a problem', async () => {
  const log = openLog('/dev/full', null, NOWHERE);
  assert.equal(log.problem, null);
  assert.match(
    (await log.write(linesOf(['x']))) ?? '',
    /^cannot write the log \/dev\/full as uid \d+: ENOSPC: .*: nothing was logged; set log$/,
  );
});

test('a file that is gone is made anew when it is written to again', async () => {
  const inside = fresh('folder');
  mkdirSync(inside);
  const log = openLog(join(inside, 'log'), null, NOWHERE);
  assert.equal(await log.write(linesOf(['x'])), null);
  rmSync(inside, { recursive: true });
  assert.match((await log.write(linesOf(['x']))) ?? '', /^cannot write the log .*: ENOENT/);
});

test('a named pipe that nobody reads does not hold up the log', () =>
  within(5000, async () => {
    const path = fresh('pipe');
    assert.equal(spawnSync('mkfifo', [path]).status, 0);
    assert.match(openLog(path).problem ?? '', /^cannot write the log .*: ENXIO/);
  }));

test('a file whose closing fails is a problem like any other', async () => {
  const path = fresh();
  const log = openLog(path, null, NOWHERE);
  const mine = readdirSync('/proc/self/fd').find((fd) => linkOf(fd) === path);
  closeSync(Number(mine));
  assert.match((await log.write(linesOf(['x']))) ?? '', /^cannot write the log.*: EBADF/);
});

function linkOf(fd: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

/* ---- syslog ---- */

test('the journal takes lines behind its head', () =>
  within(5000, async () => {
    const journal = fresh('journal');
    let heard = '';
    const server = createServer((socket) => socket.on('data', (octets) => (heard += octets)));
    await new Promise<void>((resolve) => server.listen(journal, resolve));
    const log = openLog('syslog', 'my tag\n', { ...NOWHERE, journal });
    // mail.info by default, and mail.err.
    for (const [severity, priority] of [
      [undefined, 22],
      ['err', 19],
    ] as const) {
      heard = '';
      const ended = once(server, 'connection').then(([socket]) => once(socket, 'end'));
      assert.equal(await log.write(linesOf(['one', 'two ü']), severity), null);
      await ended;
      assert.equal(heard, `mytag\n\n${priority}\n0\n0\n0\n0\none\ntwo ü\n`);
    }
    server.close();
  }));

/** Stands for /usr/bin/logger: notes its arguments, environment and input. */
function fakeLogger(status = 0): { path: string; noted: () => string } {
  const path = fresh('logger');
  writeFileSync(path, `#!/bin/sh\n{ echo "$#:$*"; echo "PATH=$PATH HOME=$HOME"; cat; } > ${path}.noted\nexit ${status}\n`);
  chmodSync(path, 0o755);
  return { path, noted: () => readFileSync(`${path}.noted`, 'utf8') };
}

test('logger takes lines where there is no journal, and syslog where the default file cannot be kept', () =>
  within(10_000, async () => {
    const logger = fakeLogger();
    const places = { ...NOWHERE, loggers: [join(folder, 'no-logger'), logger.path] };
    assert.equal(await openLog('', 'tag', places).write(linesOf(['one', 'two'])), null);
    const [args, environment, ...lines] = logger.noted().split('\n');
    assert.equal(
      args,
      '6:--socket-errors=on --size=8192 -t tag -p mail.info',
      'no line of the log is an argument, which everybody can read',
    );
    assert.match(environment ?? '', / HOME=$/, 'nothing of our environment is passed on');
    assert.deepEqual(lines, ['one', 'two', '']);
    assert.equal(await openLog('syslog', 'tag', places).write(linesOf(['three']), 'err'), null);
    assert.match(logger.noted(), /^6:.* -p mail\.err\n/);
  }));

test('a logger that fails is followed by the next, and none is a problem', () =>
  within(10_000, async () => {
    const [bad, good] = [fakeLogger(1), fakeLogger()];
    assert.equal(await openLog('syslog', null, { ...NOWHERE, loggers: [bad.path, good.path] }).write(linesOf(['x'])), null);
    assert.match(good.noted(), /-t nospool /);
    const none = await openLog('', null, { ...NOWHERE, loggers: [bad.path] }).write(linesOf(['x']));
    const missing = `cannot write the log ${NOWHERE.file} as uid ${UID}: ENOENT: no such file or directory`;
    assert.equal(none, `${missing}, and there is no syslog: nothing was logged; set log`);
  }));

test('a logger that never reads is given up, and the lines that it left unread are no error of ours', () =>
  within(10_000, async () => {
    const path = fresh('deaf');
    writeFileSync(path, '#!/bin/sh\nexec 0<&-\nexit 3\n');
    chmodSync(path, 0o755);
    const lines = Array.from({ length: 5000 }, () => 'x'.repeat(200));
    assert.match((await openLog('syslog', null, { ...NOWHERE, loggers: [path] }).write(linesOf(lines))) ?? '', /^no log was written: /);
  }));

test('a logger that dies is followed by the next, but after one that is stuck no other is tried', () =>
  within(20_000, async () => {
    const scriptOf = (line: string): string => {
      const path = fresh('odd');
      writeFileSync(path, `#!/bin/sh\n${line}\n`);
      chmodSync(path, 0o755);
      return path;
    };
    for (const [line, isNoted] of [
      ['kill -9 $$', true],
      ['exec sleep 60', false],
    ] as const)
      for (const write of [
        (places: LogPlaces) => openLog('syslog', null, places).write(linesOf(['x'])),
        async (places: LogPlaces) => logAtOnce('syslog', null, linesOf(['x']), places),
      ]) {
        const next = fakeLogger();
        const problem = await write({ ...NOWHERE, loggers: [scriptOf(line), next.path] });
        assert.equal(existsSync(`${next.path}.noted`), isNoted, line);
        assert.equal(problem === null, isNoted, 'lines that nobody took are a problem');
      }
  }));

test('a journal that goes away before it has all lines has none of them, so logger is asked', () =>
  within(10_000, async () => {
    const journal = fresh('journal');
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(journal, resolve));
    const logger = fakeLogger();
    const lines = Array.from({ length: 20_000 }, () => 'x'.repeat(200));
    assert.equal(await openLog('syslog', null, { ...NOWHERE, journal, loggers: [logger.path] }).write(linesOf(lines)), null);
    assert.ok(logger.noted().includes(lines[0] as string));
    server.close();
  }));

test('V9: a journal that was reached in time has the lines, though the process stood still until the time was over', () =>
  within(20_000, async () => {
    const journal = fresh('journal');
    let heard = '';
    const server = createServer((socket) => void socket.on('data', (octets) => (heard += octets)).on('end', () => server.close()));
    await new Promise<void>((resolve) => server.listen(journal, resolve));
    const { createConnection } = net;
    net.createConnection = ((...args: Parameters<typeof createConnection>) => {
      // Behind it come the timers, and then what was read.
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500));
      return createConnection(...args);
    }) as typeof createConnection;
    syncBuiltinESMExports();
    const problem = await openLog('syslog', null, { ...NOWHERE, journal }).write(linesOf(['x']));
    net.createConnection = createConnection;
    syncBuiltinESMExports();
    assert.equal(problem, null);
    await once(server, 'close');
    assert.match(heard, /\nx\n$/);
  }));

test('a journal that does not read is given up, and after it no logger is tried', () =>
  within(10_000, async () => {
    const journal = fresh('journal');
    const held = new Set<Socket>();
    const server = createServer({ pauseOnConnect: true }, (socket) => void held.add(socket));
    await new Promise<void>((resolve) => server.listen(journal, resolve));
    const logger = fakeLogger();
    const lines = Array.from({ length: 1000 }, () => 'x'.repeat(5000));
    const log = openLog('syslog', null, { ...NOWHERE, journal, loggers: [logger.path] });
    assert.match((await log.write(linesOf(lines))) ?? '', /^no log was written: /);
    assert.equal(existsSync(`${logger.path}.noted`), false);
    // The wait is over on this side, too: what it had not taken is never sent.
    let octets = 0;
    for (const socket of held) {
      socket
        .on('data', (more) => (octets += more.length))
        .on('error', () => undefined)
        .resume();
      await once(socket, 'close');
    }
    assert.ok(octets < 5000 * lines.length);
    server.close();
  }));

test('a logger that cannot be started has failed', () =>
  within(10_000, async () => {
    const logger = fakeLogger();
    const unthinkable = join(folder, 'a\0b');
    assert.equal(await openLog('syslog', null, { ...NOWHERE, loggers: [unthinkable, logger.path] }).write(linesOf(['x'])), null);
    assert.match(logger.noted(), /-t nospool /);
  }));

/** Hears what syslog hears: the real logger talks to it in a mount namespace in which it is /dev/log. */
const SYSLOGD = `
import os, socket, sys
path, heard = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(path)
open(heard, 'w').close()
while True:
    datagram = listener.recv(1 << 20)
    with open(heard, 'ab') as file:
        file.write(datagram + b'\\n')
`;
const asRoot =
  process.getuid?.() === 0 && existsSync('/usr/bin/unshare') && existsSync('/usr/bin/logger') && existsSync('/usr/bin/python3');

/** A program in a namespace whose /dev/log is `device`, or missing. */
async function inNamespace(contents: string, dev: string, ...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const outfile = fresh('program.cjs');
  await build({
    stdin: { contents, resolveDir: folder, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    logLevel: 'silent',
  });
  const old = fresh('dev');
  mkdirSync(old);
  const kept = 'touch /dev/null && mount --bind "$OLD/null" /dev/null';
  const script = `mount --bind /dev "$OLD" && mount -t tmpfs tmpfs /dev && ${kept} && ${dev} && exec "$@"`;
  const words = ['--mount', '/bin/sh', '-c', script, 'sh', process.execPath, outfile, ...args];
  const child = spawn('/usr/bin/unshare', words, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, OLD: old } });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (octets) => (said.stdout += octets));
  child.stderr.on('data', (octets) => (said.stderr += octets));
  await once(child, 'close');
  return said;
}

const real = asRoot ? test : test.skip;

real('O3: the real logger writes long lines whole, and a socket that nobody reads is a problem', () =>
  within(30_000, async () => {
    const socket = fresh('socket');
    const heard = fresh('heard');
    const contents = `import { openLog, logAtOnce } from ${JSON.stringify(entry)};
      const [file, text] = process.argv.slice(2);
      const places = { file, journal: file, device: '/dev/log', loggers: ['/usr/bin/logger'] };
      const run = async () => {
        const log = openLog('syslog', 'some-tag', places);
        console.log(JSON.stringify([await log.test(), await log.write([text + ' one', 'two']), logAtOnce('', 'some-tag', ['three'], places)]));
      };
      run();`;
    const text = 'x'.repeat(5000);
    const missing = join(folder, 'missing', 'file');
    const python = spawn('/usr/bin/python3', ['-c', SYSLOGD, socket, heard], { stdio: 'inherit' });
    try {
      while (!existsSync(heard)) await new Promise((resolve) => setTimeout(resolve, 20));
      const linked = `ln -s ${socket} /dev/log`;
      const taken = await inNamespace(contents, linked, missing, text);
      assert.deepEqual(JSON.parse(taken.stdout || taken.stderr), [{ place: 'syslog', problem: null }, null, null]);
      const linesHeard = () => readFileSync(heard, 'utf8').split('\n').filter(Boolean);
      // The socket has taken them; who reads it may not have.
      while (linesHeard().length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
      const lines = linesHeard().map((line) => line.replace(/^<(?:19|22)>.{15} /, ''));
      assert.deepEqual(lines, [`some-tag: ${text} one`, 'some-tag: two', 'some-tag: three']);
      const nobody = `no log was written: there is no syslog at ${missing} or /dev/log; set log`;
      const none = `cannot write the log ${missing} as uid ${UID}: ENOENT: no such file or directory`;
      // A container with a logger and no syslog at all; then one whose syslog has died.
      const absent = await inNamespace(contents, 'true', missing, text);
      assert.deepEqual(JSON.parse(absent.stdout || absent.stderr), [{ place: null, problem: nobody }, nobody, none]);
      python.kill('SIGKILL');
      await once(python, 'close');
      const dead = await inNamespace(contents, linked, missing, text);
      assert.deepEqual(JSON.parse(dead.stdout || dead.stderr), [{ place: null, problem: nobody }, nobody, none]);
    } finally {
      python.kill('SIGKILL');
    }
  }),
);

test('O3: lines that the configured log does not take are in syslog, and the problem says so', () =>
  within(10_000, async () => {
    const logger = fakeLogger();
    const path = join(folder, 'missing', 'log');
    const log = openLog(path, null, { ...NOWHERE, loggers: [logger.path] });
    const problem = `cannot write the log ${path} as uid ${UID}: ENOENT: no such file or directory`;
    assert.equal(log.problem, problem);
    assert.equal(await log.write(linesOf(['x'])), `${problem}; syslog has it`);
    assert.match(logger.noted(), /^x$/m);
    assert.deepEqual(await log.test(), { place: 'syslog', problem: `${problem}; syslog has it` });
    const full = openLog('/dev/full', null, { ...NOWHERE, loggers: [logger.path] });
    assert.match((await full.write(linesOf(['y']))) ?? '', /: ENOSPC: .*; syslog has it$/);
    assert.match(logger.noted(), /^y$/m);
  }));

test('O3: no logger is believed where there is no syslog', () =>
  within(10_000, async () => {
    const logger = fakeLogger();
    const device = join(folder, 'no-device');
    const log = openLog('', null, { ...NOWHERE, device, loggers: [logger.path] });
    assert.match((await log.write(linesOf(['x']))) ?? '', /there is no syslog: nothing was logged; set log$/);
    assert.equal(existsSync(`${logger.path}.noted`), false);
    assert.match(logAtOnce('', null, linesOf(['x']), { ...NOWHERE, device, loggers: [logger.path] }) ?? '', /^cannot write the log /);
    assert.deepEqual((await openLog('syslog', null, { ...NOWHERE, device }).test()).place, null);
  }));

test('O3: the logger of busybox gets no option that it does not know', () =>
  within(10_000, async () => {
    const [box, logger] = [join(fresh('bin'), '..', `${serial}-box`, 'busybox'), fakeLogger()];
    mkdirSync(dirname(box));
    renameSync(logger.path, box);
    symlinkSync(box, logger.path);
    const places = { ...NOWHERE, loggers: [logger.path] };
    assert.equal(await openLog('syslog', 'tag', places).write(linesOf(['one'])), null);
    assert.equal(logger.noted().split('\n')[0], '4:-t tag -p mail.info');
    assert.equal(logAtOnce('syslog', 'tag', linesOf(['two']), places), null);
    assert.match(logger.noted(), /^two$/m);
  }));

test('logAtOnce has written the lines when it returns', () => {
  const path = fresh();
  assert.equal(logAtOnce(path, null, linesOf(['one', 'two']), NOWHERE), null);
  assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
  assert.equal(logAtOnce('none', null, linesOf(['one']), NOWHERE), null);
  const file = fresh();
  assert.equal(logAtOnce('', null, linesOf(['one']), { ...NOWHERE, file }), null);
  assert.equal(readFileSync(file, 'utf8'), 'one\n');
  assert.equal(logAtOnce('syslog', null, linesOf(['one']), NOWHERE), 'no log file is configured');
  const [bad, good] = [fakeLogger(1), fakeLogger()];
  assert.equal(logAtOnce('syslog', 'tag', linesOf(['one', 'two']), { ...NOWHERE, loggers: [bad.path, good.path] }), null);
  const [args, environment, ...lines] = good.noted().split('\n');
  assert.equal(args, '6:--socket-errors=on --size=8192 -t tag -p mail.err');
  assert.match(environment ?? '', / HOME=$/);
  assert.deepEqual(lines, ['one', 'two', '']);
});

/* ---- processes ---- */

/** A program that writes 20 long lines to the log that its argument names. */
async function program(): Promise<string> {
  const outfile = join(folder, 'writer.cjs');
  await build({
    stdin: {
      contents: `import { logAtOnce, openLog } from ${JSON.stringify(entry)};
        const [setting, name, isAtOnce] = process.argv.slice(2);
        const lines = Array.from({ length: 20 }, (_, i) => name + ' ' + i + ' ' + name.repeat(1000) + ' end');
        const end = (problem) => { process.exitCode = problem === null ? 0 : 1; };
        if (isAtOnce) end(logAtOnce(setting, null, lines));
        else openLog(setting).write(lines).then(end);`,
      resolveDir: folder,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    logLevel: 'silent',
  });
  return outfile;
}

test('a hundred runs at a time append whole lines', () =>
  within(60_000, async () => {
    const [path, writer] = [fresh(), await program()];
    const runs = Array.from({ length: 100 }, async (_, i) => {
      const child = spawn(process.execPath, [writer, path, `w${String(i).padStart(2, '0')}`], { stdio: 'inherit' });
      return (await once(child, 'close'))[0] as number;
    });
    assert.deepEqual([...new Set(await Promise.all(runs))], [0]);
    const lines = readFileSync(path, 'utf8').split('\n');
    assert.equal(lines.pop(), '');
    assert.equal(lines.length, 2000);
    const seen = new Set<string>();
    for (const line of lines) {
      const [, name = '', number = ''] = /^(w\d\d) (\d+) /.exec(line) ?? [];
      assert.equal(line, `${name} ${number} ${name.repeat(1000)} end`);
      seen.add(`${name} ${number}`);
    }
    assert.equal(seen.size, 2000);
  }));

test('"stderr" writes to standard error, and one that is closed or full does no harm', () =>
  within(20_000, async () => {
    const writer = await program();
    for (const more of [[], ['at once']]) {
      const said = spawnSync(process.execPath, [writer, 'stderr', 'w00', ...more], { encoding: 'utf8' });
      assert.equal(said.stderr.split('\n').length, 21);
      assert.deepEqual([said.stdout, said.status], ['', 0]);
    }
    const full = spawnSync('/bin/sh', ['-c', `${process.execPath} ${writer} stderr w00 2>/dev/full`]);
    assert.equal(full.status, 1);
  }));

test('"stderr" loses no line where that is a pipe in non-blocking mode that is full for a while', () =>
  within(20_000, async () => {
    const writer = await program();
    const pipe = fresh('pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const both = openSync(pipe, constants.O_RDWR);
    const end = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    let filled = 0;
    assert.throws(() => {
      for (;;) filled += writeSync(end, Buffer.alloc(4096, '-'));
    }, /EAGAIN/);
    // The runtime takes the mode from the first three descriptors of a child.
    const words = ['-c', 'exec "$@" 2>&3 3>&-', 'sh', process.execPath, writer, 'stderr', 'w00'];
    const child = spawn('/bin/sh', words, { stdio: ['ignore', 'ignore', 'inherit', end] });
    const ended = once(child, 'close');
    closeSync(end);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    let said = '';
    const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] });
    reader.stdout.on('data', (octets) => {
      said += octets;
    });
    await once(reader.stdout, 'data');
    closeSync(both);
    const isRead = once(reader, 'close');
    assert.deepEqual(await ended, [0, null]);
    await isRead;
    assert.equal(said.slice(filled).split('\n').length, 21);
  }));

test('what a pipe in non-blocking mode never takes is given up after so many tries', () => {
  const pipe = fresh('pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const both = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  assert.throws(() => writeWhole(both, 'x'.repeat(2 ** 21), 2), { code: 'EAGAIN' });
  closeSync(both);
});

test.run();
