/** Where the log goes: whole lines under a hundred runs at a time, and a sentence, never more, when it cannot be written. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { suite } from 'uvu';
import { linesOf } from '../../src/smtp/line.ts';
import { type LogPlaces, openLog } from '../../src/submit/logfile.ts';
import { within } from '../support/within.ts';

const test = suite('logfile');
const folder = mkdtempSync(join(tmpdir(), 'nospool-logfile-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
let serial = 0;
const fresh = (name = 'log'): string => join(folder, `${++serial}-${name}`);
const NOWHERE: LogPlaces = { file: join(folder, 'missing', 'log'), journal: join(folder, 'no-journal'), loggers: [] };

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
});

test('a file that cannot be opened is a problem from the start, and changes nothing else', async () => {
  const path = join(folder, 'missing', 'log');
  const log = openLog(path, null, NOWHERE);
  assert.match(log.problem ?? '', new RegExp(`^cannot write the log ${path}: ENOENT`));
  assert.equal(await log.write(linesOf(['x'])), log.problem);
  assert.match(openLog(folder).problem ?? '', /EISDIR/);
});

test('a full disk is told', async () => {
  const log = openLog('/dev/full');
  assert.equal(log.problem, null);
  assert.match((await log.write(linesOf(['x']))) ?? '', /^cannot write the log: ENOSPC/);
});

test('a file that is gone when it is written to again', async () => {
  const inside = fresh('folder');
  mkdirSync(inside);
  const log = openLog(join(inside, 'log'));
  assert.equal(await log.write(linesOf(['x'])), null);
  rmSync(inside, { recursive: true });
  assert.match((await log.write(linesOf(['x']))) ?? '', /^cannot write the log .*: ENOENT/);
});

test('a named pipe that nobody reads holds nothing up', () =>
  within(5000, async () => {
    const path = fresh('pipe');
    assert.equal(spawnSync('mkfifo', [path]).status, 0);
    assert.match(openLog(path).problem ?? '', /^cannot write the log .*: ENXIO/);
  }));

test('a file whose closing fails is a problem like any other', async () => {
  const path = fresh();
  const log = openLog(path);
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
    const ended = once(server, 'connection').then(([socket]) => once(socket, 'end'));
    assert.equal(await openLog('syslog', 'my tag\n', { ...NOWHERE, journal }).write(linesOf(['one', 'two ü'])), null);
    await ended;
    assert.equal(heard, 'mytag\n\n22\n0\n0\n0\n0\none\ntwo ü\n');
    server.close();
  }));

/** Stands for /usr/bin/logger: notes its arguments, environment and input. */
function fakeLogger(status = 0): { path: string; noted: () => string } {
  const path = fresh('logger');
  writeFileSync(path, `#!/bin/sh\n{ echo "$#:$*"; echo "PATH=$PATH HOME=$HOME"; cat; } > ${path}.noted\nexit ${status}\n`);
  chmodSync(path, 0o755);
  return { path, noted: () => readFileSync(`${path}.noted`, 'utf8') };
}

test('without a journal, logger; without the default file, syslog', () =>
  within(10_000, async () => {
    const logger = fakeLogger();
    const places = { ...NOWHERE, loggers: [join(folder, 'no-logger'), logger.path] };
    assert.equal(await openLog('', 'tag', places).write(linesOf(['one', 'two'])), null);
    const [args, environment, ...lines] = logger.noted().split('\n');
    assert.equal(args, '4:-t tag -p mail.info', 'no line of the log is an argument, which everybody can read');
    assert.match(environment ?? '', / HOME=$/, 'nothing of our environment is passed on');
    assert.deepEqual(lines, ['one', 'two', '']);
  }));

test('a logger that fails is followed by the next, and none is a problem', () =>
  within(10_000, async () => {
    const [bad, good] = [fakeLogger(1), fakeLogger()];
    assert.equal(await openLog('syslog', null, { ...NOWHERE, loggers: [bad.path, good.path] }).write(linesOf(['x'])), null);
    assert.match(good.noted(), /-t nospool /);
    const none = await openLog('', null, { ...NOWHERE, loggers: [bad.path] }).write(linesOf(['x']));
    assert.equal(none, 'no log was written: there is neither /var/log/nospool.log nor syslog; set log');
  }));

test('a logger that never reads is given up, and what it left unread is no error of ours', () =>
  within(10_000, async () => {
    const path = fresh('deaf');
    writeFileSync(path, '#!/bin/sh\nexec 0<&-\nexit 3\n');
    chmodSync(path, 0o755);
    const lines = Array.from({ length: 5000 }, () => 'x'.repeat(200));
    assert.match((await openLog('syslog', null, { ...NOWHERE, loggers: [path] }).write(linesOf(lines))) ?? '', /^no log was written/);
  }));

test('a journal that goes away before it has all lines has none of them: logger is asked', () =>
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

test('a logger that cannot even be started is one that fails', () =>
  within(10_000, async () => {
    const logger = fakeLogger();
    const unthinkable = join(folder, 'a\0b');
    assert.equal(await openLog('syslog', null, { ...NOWHERE, loggers: [unthinkable, logger.path] }).write(linesOf(['x'])), null);
    assert.match(logger.noted(), /-t nospool /);
  }));

test('the real logger takes our arguments', () =>
  within(10_000, async () => {
    if (!existsSync('/usr/bin/logger')) return;
    const path = fresh('real');
    writeFileSync(path, `#!/bin/sh\nexec /usr/bin/logger --no-act -s --socket-errors=off "$@" 2> ${path}.said\n`);
    chmodSync(path, 0o755);
    assert.equal(await openLog('syslog', 'some-tag', { ...NOWHERE, loggers: [path] }).write(linesOf(['a line of ours'])), null);
    assert.match(readFileSync(`${path}.said`, 'utf8'), /some-tag.*: a line of ours\n$/);
  }));

/* ---- processes ---- */

const entry = fileURLToPath(new URL('../../src/submit/logfile.ts', import.meta.url));

/** A program that writes 20 long lines to the log that its argument names. */
async function program(): Promise<string> {
  const outfile = join(folder, 'writer.cjs');
  await build({
    stdin: {
      contents: `import { openLog } from ${JSON.stringify(entry)};
        const [setting, name] = process.argv.slice(2);
        const lines = Array.from({ length: 20 }, (_, i) => name + ' ' + i + ' ' + name.repeat(1000) + ' end');
        openLog(setting).write(lines).then((problem) => { process.exitCode = problem === null ? 0 : 1; });`,
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

test('"stderr" writes there, and to one that is closed or full does no harm', () =>
  within(20_000, async () => {
    const writer = await program();
    const said = spawnSync(process.execPath, [writer, 'stderr', 'w00'], { encoding: 'utf8' });
    assert.equal(said.stderr.split('\n').length, 21);
    assert.equal(said.stdout, '');
    const full = spawnSync('/bin/sh', ['-c', `${process.execPath} ${writer} stderr w00 2>/dev/full`]);
    assert.equal(full.status, 1);
  }));

test.run();
