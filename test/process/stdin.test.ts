import assert from 'node:assert/strict';
import { type ChildProcess, type StdioNull, type StdioPipe, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { suite } from 'uvu';
import { CLEAN, type Ended, type Source } from '../../src/message/source.ts';
import { drain } from '../../src/process/stdin/drain.ts';
import { openStdin } from '../../src/process/stdin/open.ts';
import { readAhead, readAheadInThreads } from '../../src/process/stdin/read-ahead.ts';
import { reset } from '../support/reset.ts';
import { within } from '../support/within.ts';

const test = suite('process/stdin');
const folder = mkdtempSync(path.join(tmpdir(), 'nospool-stdin-'));
const LIMIT = 20_000;

/** Runs as a process of its own, and treats its input in the ways a program may; it tells about that on descriptor 1. */
const PROBE = `
import { writeSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { drain } from './src/process/stdin/drain.ts';
import { openStdin } from './src/process/stdin/open.ts';

process.exitCode = 9;
const say = (line) => writeSync(1, JSON.stringify(line) + '\\n');
const input = openStdin();
say({ terminal: input.isTerminal, writer: input.hasWriter, port: input.inetdPort, file: input.file?.size ?? null });

async function count() {
  const hash = createHash('sha1');
  let octets = 0;
  for (;;) {
    const got = await input.read();
    if (!(got instanceof Uint8Array)) return say({ octets, hash: hash.digest('hex'), ...got });
    // Nothing may come before it is asked for, because it would be written over what is looked at here.
    if (octets < 1e6 && process.argv[3] !== 'at once') await new Promise((resolve) => setTimeout(resolve, 2));
    octets += got.length;
    hash.update(got);
  }
}
const run = {
  count,
  /** Ends by itself while a read waits. */
  close() { void input.read(); input.close(); },
  /** Is ended while a read waits. */
  exit() { void input.read(); setTimeout(() => process.exit(0), 50); },
  /** Gives up after the first octets. */
  async drain() {
    await input.read();
    const [octets, milliseconds] = process.argv.slice(3).map(Number);
    await drain(input, { octets, milliseconds });
    say('drained');
    process.exit(0);
  },
}[process.argv[2]];
await run();
process.exitCode = 0;
`;
const probe = path.join(folder, 'probe.mjs');
buildSync({
  stdin: { contents: PROBE, resolveDir: path.resolve(import.meta.dirname, '../..'), loader: 'ts' },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  outfile: probe,
  logLevel: 'error',
});

const bun = [process.env.BUN ?? '', path.resolve(import.meta.dirname, '../../node_modules/.bin/bun')].find(
  (file) => file !== '' && existsSync(file),
);
if (bun === undefined) console.log('skipped: Bun is not here, neither as $BUN nor in node_modules');
const RUNTIMES: [name: string, file: string][] = [
  ['node', process.execPath],
  ...(bun === undefined ? [] : [['bun', bun] as [string, string]]),
];

interface Ran {
  status: number | null;
  /** The lines that the probe said. */
  said: Record<string, unknown>[];
}

test('what a descriptor has behind an end that was only guessed is read, too', () =>
  within(LIMIT, async () => {
    const text = randomBytes(700_000);
    const file = path.join(folder, 'behind');
    writeFileSync(file, text);
    const fd = openSync(file, 'r');
    const socket = Object.assign(new EventEmitter(), { resume: () => setImmediate(() => socket.emit('end')), destroy() {} });
    const source = readAhead(() => socket as unknown as Socket, fd);
    const parts: Uint8Array[] = [];
    let got = await source.read();
    for (; got instanceof Uint8Array; got = await source.read()) parts.push(new Uint8Array(got));
    assert.deepEqual(got, CLEAN);
    assert.ok(Buffer.concat(parts).equals(text));
    closeSync(fd);
  }));

const children: ChildProcess[] = [];

function started(
  command: string,
  parameters: string[],
  stdin: number | Socket | StdioNull | StdioPipe,
  stderr: 'pipe' | 'inherit' = 'inherit',
): ChildProcess {
  const child = spawn(command, parameters, { stdio: [stdin, 'pipe', stderr], detached: true });
  children.push(child);
  return child;
}

function finished(child: ChildProcess): Promise<Ran> {
  let out = '';
  child.stdout?.on('data', (chunk) => {
    out += chunk;
  });
  return new Promise((resolve) => {
    child.on('close', (status) => {
      const said = out.split(/\r?\n/).filter((line) => line.startsWith('{') || line.startsWith('"'));
      resolve({ status, said: said.map((line) => JSON.parse(line)) });
    });
  });
}

const hashOf = (octets: string | Uint8Array): string => createHash('sha1').update(octets).digest('hex');

/** Makes a named pipe of which the test holds the writing end. */
function fifo(): { name: string; write(text: string): void; end(): void } {
  const name = path.join(folder, `fifo-${randomBytes(4).toString('hex')}`);
  assert.equal(spawnSync('mkfifo', [name]).status, 0);
  const fd = openSync(name, constants.O_RDWR);
  return { name, write: (text) => void writeSync(fd, text), end: () => closeSync(fd) };
}

/** Makes a pair of connected TCP sockets. */
async function pair(host: string): Promise<{ near: Socket; far: Socket; port: number; close(): void }> {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const near = connect(port, host);
  near.on('error', () => undefined);
  const far = await accepted;
  server.close();
  const close = (): void => {
    near.destroy();
    far.destroy();
  };
  return { near, far, port, close };
}

for (const [name, runtime] of RUNTIMES) {
  const probed = (argument: string, redirect: string): ChildProcess =>
    started('/bin/sh', ['-c', `"$0" "$1" ${argument} ${redirect}`, runtime, probe], 'ignore');

  test(`${name}: a pipe is read to its end`, () =>
    within(LIMIT, async () => {
      const text = randomBytes(3_000_000);
      const source = path.join(folder, 'piped');
      writeFileSync(source, text);
      const child = started('/bin/sh', ['-c', `cat "$2" | "$0" "$1" count`, runtime, probe, source], 'ignore');
      const { status, said } = await finished(child);
      assert.deepEqual(said, [
        { terminal: false, writer: true, port: null, file: null },
        { octets: text.length, hash: hashOf(text), end: 'clean' },
      ]);
      assert.equal(status, 0);
    }));

  test(`${name}: a pipe is read whose producer takes its time`, () =>
    within(LIMIT, async () => {
      const pipe = fifo();
      const ran = finished(probed('count', `<${pipe.name}`));
      for (const part of ['one', 'two', 'three']) {
        pipe.write(part);
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      pipe.end();
      assert.deepEqual((await ran).said[1], { octets: 11, hash: hashOf('onetwothree'), end: 'clean' });
    }));

  test(`${name}: a pipe in non-blocking mode is read that is empty at first`, () =>
    within(LIMIT, async () => {
      const pipe = fifo();
      const fd = openSync(pipe.name, constants.O_RDONLY | constants.O_NONBLOCK);
      const child = started(runtime, [probe, 'count'], fd);
      closeSync(fd);
      const ran = finished(child);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, 150));
      pipe.write('late');
      pipe.end();
      assert.deepEqual((await ran).said[1], { octets: 4, hash: hashOf('late'), end: 'clean' });
    }));

  // Bun ends by process.exit only: a read that waits keeps it alive.
  for (const way of name === 'bun' ? ['exit'] : ['close', 'exit']) {
    test(`${name}: the process ends (${way}) while the producer of a pipe is silent`, () =>
      within(LIMIT, async () => {
        const pipe = fifo();
        const { status } = await finished(probed(way, `<${pipe.name}`));
        assert.equal(status, 0);
        pipe.end();
      }));

    test(`${name}: the process ends (${way}) while the peer of a socket is silent`, () =>
      within(LIMIT, async () => {
        const child = started(runtime, [probe, way], 'pipe');
        assert.equal((await finished(child)).status, 0);
      }));
  }

  test(`${name}: a socket of the same host is read to its end`, () =>
    within(LIMIT, async () => {
      // A pipe of Node to a child is a socket, too.
      const child = started(runtime, [probe, 'count'], 'pipe');
      child.stdin?.end('x'.repeat(200_000));
      const { said } = await finished(child);
      assert.deepEqual(said, [
        { terminal: false, writer: true, port: null, file: null },
        { octets: 200_000, hash: hashOf('x'.repeat(200_000)), end: 'clean' },
      ]);
    }));

  for (const host of ['127.0.0.1', '::1']) {
    test(`${name}: a socket of the internet (${host}) tells its port`, () =>
      within(LIMIT, async () => {
        const sockets = await pair(host);
        const child = started(runtime, [probe, 'count'], sockets.far);
        sockets.near.end('hello');
        const { said } = await finished(child);
        assert.deepEqual(said, [
          { terminal: false, writer: true, port: sockets.port, file: null },
          { octets: 5, hash: hashOf('hello'), end: 'clean' },
        ]);
        sockets.close();
      }));
  }

  test(`${name}: a connection that is reset is a failure, not an end`, () =>
    within(LIMIT, async () => {
      const sockets = await pair('127.0.0.1');
      const child = started(runtime, [probe, 'count'], sockets.far);
      const ran = finished(child);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      reset(sockets.near);
      const { said } = await ran;
      assert.equal(said[1]?.end, 'failed');
      assert.match(String(said[1]?.detail), /standard input cannot be read: connection reset by peer \(ECONNRESET\)/);
      sockets.close();
    }));

  test(`${name}: so is one that was reset before its last octets were read`, () =>
    within(LIMIT, async () => {
      const sockets = await pair('127.0.0.1');
      await new Promise((resolve) => sockets.near.write('hello', resolve));
      reset(sockets.near);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const { said } = await finished(started(runtime, [probe, 'count', 'at once'], sockets.far));
      assert.equal(said[1]?.octets, 5);
      assert.match(String(said[1]?.detail), /standard input cannot be read: connection reset by peer \(ECONNRESET\)/);
      sockets.close();
    }));

  test(`${name}: a listening socket is a failure, and nobody waits for it`, () =>
    within(LIMIT, async () => {
      const listener = createServer().listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const { fd } = (listener as unknown as { readonly _handle: { readonly fd: number } })._handle;
      const { said } = await finished(started(runtime, [probe, 'count'], fd));
      assert.equal(said[0]?.port, (listener.address() as AddressInfo).port);
      assert.deepEqual(said[1], {
        octets: 0,
        hash: hashOf(''),
        end: 'failed',
        detail: 'standard input cannot be read: socket is not connected (ENOTCONN)',
      });
      listener.close();
    }));

  test(`${name}: a file is read from where the descriptor stands`, () =>
    within(LIMIT, async () => {
      const text = `first line\n${'x'.repeat(700_000)}`;
      const file = path.join(folder, 'standing');
      writeFileSync(file, text);
      const child = started('/bin/sh', ['-c', `read line; "$0" "$1" count`, runtime, probe], openSync(file, 'r'));
      const { said } = await finished(child);
      assert.deepEqual(said, [
        { terminal: false, writer: false, port: null, file: 700_000 },
        { octets: 700_000, hash: hashOf('x'.repeat(700_000)), end: 'clean' },
      ]);
    }));

  const SOURCES: [redirect: string, file: number | null, end: object, why: string][] = [
    ['</dev/null', null, { octets: 0, hash: hashOf(''), end: 'clean' }, '/dev/null is empty'],
    ['<&-', null, { octets: 0, hash: hashOf(''), end: 'clean' }, 'a closed descriptor looks like /dev/null'],
    [
      '</',
      null,
      { octets: 0, hash: hashOf(''), end: 'failed', detail: 'standard input cannot be read: illegal operation on a directory (EISDIR)' },
      'a directory is a failure',
    ],
  ];
  for (const [redirect, file, end, why] of SOURCES) {
    test(`${name}: ${why}`, () =>
      within(LIMIT, async () => {
        assert.deepEqual((await finished(probed('count', redirect))).said, [{ terminal: false, writer: false, port: null, file }, end]);
      }));
  }

  test(`${name}: a descriptor that is open for writing only is a failure`, () =>
    within(LIMIT, async () => {
      assert.equal((await finished(probed('count', `0>${path.join(folder, 'written')}`))).said[1]?.end, 'failed');
      const pipe = fifo();
      const fd = openSync(pipe.name, constants.O_WRONLY);
      assert.equal((await finished(started(runtime, [probe, 'count'], fd))).said[1]?.end, 'failed');
      closeSync(fd);
      pipe.end();
    }));

  test(`${name}: a caller that writes on is read to its end, so that it does not die of SIGPIPE`, () =>
    within(LIMIT, async () => {
      const script = `{ head -c 5000000 /dev/zero; echo wrote $? >&2; } | "$0" "$1" drain 10000000 10000`;
      const child = started('/bin/sh', ['-c', script, runtime, probe], 'ignore', 'pipe');
      let errors = '';
      child.stderr?.on('data', (chunk) => {
        errors += chunk;
      });
      assert.equal((await finished(child)).said[1], 'drained');
      assert.equal(errors, 'wrote 0\n');
    }));

  for (const [octets, milliseconds, why] of [
    [70_000, 60_000, 'so many octets'],
    [1e9, 30, 'so long'],
  ] as const) {
    test(`${name}: but only ${why}`, () =>
      within(LIMIT, async () => {
        const pipe = fifo();
        const ran = finished(probed(`drain ${octets} ${milliseconds}`, `<${pipe.name}`));
        if (octets === 1e9) pipe.write('x');
        else {
          // The test writes more than the limit, in pieces that a pipe takes; the pipe stays open.
          const feeding = spawn('/bin/sh', ['-c', `head -c 300000 /dev/zero >${pipe.name} 2>/dev/null`]);
          await ran;
          feeding.kill();
        }
        const { status, said } = await ran;
        assert.equal(said[1], 'drained');
        assert.equal(status, 0);
        pipe.end();
      }));
  }

  test(`${name}: a terminal is read to Ctrl-D, and its process ends while no one types`, () =>
    within(LIMIT, async () => {
      if (spawnSync('script', ['--version']).status !== 0) {
        console.log('skipped: needs script of util-linux');
        return;
      }
      const typed = (way: string): ChildProcess => started('script', ['-qec', `'${runtime}' '${probe}' ${way}`, '/dev/null'], 'pipe');
      const child = typed('count');
      const ran = finished(child);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      child.stdin?.write('abc\n');
      await new Promise((resolve) => setTimeout(resolve, 100));
      child.stdin?.write('\x04');
      const { status, said } = await ran;
      assert.deepEqual(said, [
        { terminal: true, writer: false, port: null, file: null },
        { octets: 4, hash: hashOf('abc\n'), end: 'clean' },
      ]);
      assert.equal(status, 0);
      const silent = typed('exit');
      assert.equal((await finished(silent)).status, 0);
    }));
}

// ---- in this process: files that are read again ----

async function drained(source: Source): Promise<[string, Ended]> {
  let text = '';
  for (;;) {
    const got = await source.read();
    if (!(got instanceof Uint8Array)) {
      assert.deepEqual(await source.read(), got, 'the end stays the same');
      return [text, got];
    }
    text += Buffer.from(got).toString('latin1');
  }
}

const TEXT = Array.from({ length: 100_000 }, (_, i) => `${i}\n`).join('');

/** Opens a file that stands at octet 3. */
function opened(text = TEXT): { fd: number; name: string; input: ReturnType<typeof openStdin>; end(): void } {
  const name = path.join(folder, `file-${randomBytes(4).toString('hex')}`);
  writeFileSync(name, text);
  const fd = openSync(name, 'r+');
  readSync(fd, Buffer.alloc(3), 0, 3, null);
  return { fd, name, input: openStdin(fd), end: () => closeSync(fd) };
}

test('a file is read again from any offset, also while another reading is under way', () =>
  within(LIMIT, async () => {
    const { input, end } = opened();
    assert.equal(input.file?.size, TEXT.length - 3);
    await input.read();
    for (const offset of [0, 1, 300_000, TEXT.length - 4, TEXT.length - 3]) {
      assert.deepEqual(await drained(input.file?.at(offset) as Source), [TEXT.slice(3 + offset), CLEAN]);
    }
    end();
  }));

test('the descriptor of a file moves with what is read first, and what is read again does not move it', () =>
  within(LIMIT, async () => {
    for (const isFollowed of [true, false]) {
      const { fd, input, end } = opened();
      if (isFollowed) input.place?.follow();
      const first = await input.read();
      assert.ok(first instanceof Uint8Array);
      const octets = first.length;
      assert.deepEqual(await drained(input.file?.at(0) as Source), [TEXT.slice(3), CLEAN]);
      assert.deepEqual(await drained(input), [TEXT.slice(3 + octets), CLEAN]);
      assert.deepEqual(await drained(input.file?.at(1) as Source), [TEXT.slice(4), CLEAN]);
      assert.equal(readSync(fd, Buffer.alloc(TEXT.length)), isFollowed ? 0 : TEXT.length - 3);
      end();
    }
  }));

test('an empty file, and one that stands at its end, are empty', () =>
  within(LIMIT, async () => {
    for (const text of ['', 'abc']) {
      const { input, end } = opened(text);
      assert.equal(input.file?.size, 0);
      assert.deepEqual(await drained(input), ['', CLEAN]);
      end();
    }
  }));

test('a file without a size is read all the same', () =>
  within(LIMIT, async () => {
    if (!existsSync('/proc/self/maps')) return console.log('skipped: needs /proc');
    const fd = openSync('/proc/version', 'r');
    const [text, end] = await drained(openStdin(fd));
    assert.match(text, /\n$/);
    assert.deepEqual(end, CLEAN);
    closeSync(fd);
  }));

test('a file of sysfs, whose size says nothing, ends where it ends', () =>
  within(LIMIT, async () => {
    const file = '/sys/class/net/lo/mtu';
    if (!existsSync(file)) return console.log('skipped: needs /sys');
    const stdin = openStdin(openSync(file, 'r'));
    let text = '';
    for (;;) {
      const chunk = await stdin.read();
      if (!(chunk instanceof Uint8Array)) {
        assert.deepEqual(chunk, CLEAN);
        break;
      }
      text += Buffer.from(chunk).toString('latin1');
    }
    stdin.close();
    assert.match(text, /^\d+\n$/);
  }));

test('a file that becomes shorter while it is read is a failure', () =>
  within(LIMIT, async () => {
    const { fd, input, end } = opened();
    await input.read();
    ftruncateSync(fd, 300_000);
    const [, ended] = await drained(input);
    assert.ok(ended.end === 'failed' && /shorter/.test(ended.detail));
    end();
  }));

test('a file that grows while it is read is read to its end, and not again', () =>
  within(LIMIT, async () => {
    const { fd, input, end } = opened();
    await input.read();
    writeSync(fd, 'more', TEXT.length);
    const [text] = await drained(input);
    assert.ok(text.endsWith('more'));
    assert.equal((await drained(input.file?.at(0) as Source))[1].end, 'failed');
    end();
  }));

for (const [when, octetsRead] of [
  ['before it is read again', 0],
  ['while it is read again', 1],
] as const) {
  test(`a file that is written to ${when} is a failure, also with the same octets`, () =>
    within(LIMIT, async () => {
      const { name, input, end } = opened();
      assert.deepEqual(await drained(input), [TEXT.slice(3), CLEAN]);
      const again = input.file?.at(0) as Source;
      if (octetsRead > 0) assert.ok((await again.read()) instanceof Uint8Array);
      utimesSync(name, new Date(), new Date(Date.now() + 5000));
      const [text, ended] = await drained(again);
      if (octetsRead === 0) assert.equal(text, '', 'nothing is sent in vain');
      assert.ok(ended.end === 'failed' && /written to between two attempts/.test(ended.detail));
      end();
    }));
}

test('a read of a pipe while one waits has the same answer', () =>
  within(LIMIT, async () => {
    const pipe = fifo();
    const input = openStdin(openSync(pipe.name, constants.O_RDONLY | constants.O_NONBLOCK));
    const both = Promise.all([input.read(), input.read()]);
    pipe.write('abc');
    const [one, other] = await both;
    assert.ok(one instanceof Uint8Array);
    assert.equal(one, other);
    pipe.end();
    assert.deepEqual(await input.read(), CLEAN);
    assert.deepEqual(await input.read(), CLEAN);
    input.close();
  }));

test('a descriptor that is not open is a failure', () =>
  within(LIMIT, async () => {
    const input = openStdin(999_999);
    assert.deepEqual(await input.read(), { end: 'failed', detail: 'standard input cannot be read: bad file descriptor (EBADF)' });
    assert.equal(input.isTerminal, false);
    await drain(input, { octets: 10, milliseconds: 60_000 });
  }));

test('a file is not drained, because no one writes to it', () =>
  within(LIMIT, async () => {
    const { input, end } = opened();
    await drain(input, { octets: 1e9, milliseconds: 60_000 });
    assert.ok((await input.read()) instanceof Uint8Array, 'nothing was read');
    end();
  }));

test('what threads read never lies in memory of the reader, who writes for a moment behind the octets he works on', async () => {
  const octets = randomBytes(1 << 20);
  const file = path.join(folder, 'read-by-threads');
  writeFileSync(file, octets);
  const fd = openSync(file, 'r');
  const source = readAheadInThreads(fd);
  const named = new Uint8Array(1 << 20);
  source.useMemory(named);
  const hash = createHash('sha1');
  let got = await source.read();
  for (; got instanceof Uint8Array; got = await source.read()) {
    assert.ok(got.buffer !== named.buffer);
    hash.update(got);
  }
  assert.deepEqual(got, CLEAN);
  assert.equal(hash.digest('hex'), createHash('sha1').update(octets).digest('hex'));
  closeSync(fd);
});

test.after(() => {
  // Only children of a failed test are left: each is the leader of a group of its own.
  for (const { pid, exitCode, signalCode } of children)
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
  rmSync(folder, { recursive: true });
});

test.run();
