/** Looks at what every command does first about a runtime that is too old, and about SIGUSR1. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { checkVersion } from '../../src/process/runtime.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, scratch, setUp, smartHost, start, toHosts } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('first');
/** Also where Bun is started with another module, which begins with this one. */
const SENDMAIL = path.join(path.dirname(COMMAND), 'sendmail.cjs');
const NOSPOOL = path.join(path.dirname(COMMAND), 'nospool.mjs');

test('O1: which Node runs it is what package.json says', () => {
  const { engines } = JSON.parse(readFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8')) as {
    readonly engines: { readonly node: string };
  };
  assert.equal(engines.node, '^20.19 || ^22.12 || >=24');
  for (const [version, isFine] of [
    ['12.22.12', false],
    ['18.20.8', false],
    ['20.18.3', false],
    ['20.19.0', true],
    ['20.100.0', true],
    ['21.7.3', false],
    ['22.11.0', false],
    ['22.12.0', true],
    ['23.11.1', false],
    ['24.0.0', true],
    ['24.0.0-nightly20250101', true],
    ['26.10.0', true],
    ['100.1.0', true],
  ] as const)
    assert.equal(checkVersion(version) === null, isFine, version);
  assert.equal(checkVersion('18.19.1'), 'this is Node 18.19.1, which is too old: nospool needs Node 20.19, 22.12, or 24 and newer');
});

test('O1: each command says in one line that its runtime is too old, before anything else is loaded', () => {
  const folder = scratch();
  for (const [versions, sentence] of [
    ["node: '18.19.1'", 'this is Node 18.19.1, which is too old: nospool needs Node 20.19, 22.12, or 24 and newer'],
    ["bun: '1.1.45'", 'this is Bun 1.1.45, which is too old: nospool needs Bun 1.4 and newer'],
    ["bun: '1.3.14'", 'this is Bun 1.3.14, which is too old: nospool needs Bun 1.4 and newer'],
  ]) {
    // A Bun is no Node of any age.
    if (process.versions.bun !== undefined && versions?.startsWith('node')) continue;
    // The test takes away what an old runtime lacks, so that the first use of it would be another error.
    writeFileSync(
      `${folder}/old.cjs`,
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, ${versions} } });
process.getBuiltinModule = undefined;
const { Module = {} } = module.constructor;
const load = Module._load;
// Bun has no such hook.
Module._load = (id, ...rest) => { if (id.startsWith('node:')) throw new Error('no such module: ' + id); return load(id, ...rest); };`,
    );
    for (const command of [SENDMAIL, NOSPOOL]) {
      const argv = ['--require', `${folder}/old.cjs`, command, '--version'];
      const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8', env: ENVIRONMENT });
      const name = path.basename(command).replace(/\..*/, '');
      assert.deepEqual([status, stdout, stderr], [1, '', `${name}: ${sentence}\n`]);
    }
  }
});

/** Sockets on which a process listens, by the tables of Linux. */
function listening(pid: number): readonly string[] {
  const sockets = readdirSync(`/proc/${pid}/fd`).flatMap(
    (fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [],
  );
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === '0A' && sockets.includes(columns[9] as string))
      .map((columns) => columns[1] as string),
  );
}

test('S6: SIGUSR1 to sendmail, which waits for its input, does nothing: no inspector, and the message is sent', () =>
  within(30_000, async () => {
    const host = await smartHost();
    const { config } = setUp(`${toHosts(host.port)}\nreplay_window = "4MiB"`);
    const { child, done } = start(config, ['-i', 'a@example.org']);
    // This is more than a socket holds: when it is gone, the process waits for the rest.
    await new Promise((resolve) => child.stdin?.write(`Subject: x\n\n${'x'.repeat(70)}\n`.repeat(20_000), resolve));
    for (let i = 0; i < 3; i++) child.kill('SIGUSR1');
    await new Promise((resolve) => child.stdin?.write(`${'y'.repeat(70)}\n`.repeat(10_000), resolve));
    assert.deepEqual(listening(child.pid as number), []);
    child.stdin?.end();
    assert.deepEqual(await done, { status: 0, signal: null, stdout: '', stderr: '' });
    await host.close();
  }));

test('S6: SIGUSR1 to nospool does nothing either', () =>
  within(30_000, async () => {
    const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), NOSPOOL, 'sink', '--port', '0', '--json'], { env: ENVIRONMENT });
    let [out, err] = ['', ''];
    child.stderr.on('data', (octets) => {
      err += octets;
    });
    await new Promise<void>((resolve) =>
      child.stdout.on('data', (octets) => {
        out += octets;
        if (out.includes('\n')) resolve();
      }),
    );
    const before = listening(child.pid as number);
    assert.equal(before.length, 1);
    for (let i = 0; i < 3; i++) child.kill('SIGUSR1');
    // Signals come in their order: when the process ends, it has had the others.
    child.kill('SIGTERM');
    await new Promise((resolve) => child.on('close', resolve));
    assert.equal(err, '');
  }));

test('S6: the listener stands before anything is loaded, in each command', () => {
  for (const [file, loads] of [
    [SENDMAIL, 'require("node:'],
    [NOSPOOL, 'import("./'],
  ] as const) {
    const text = readFileSync(file, 'utf8');
    const [listens, loaded] = [text.indexOf('process.on("SIGUSR1"'), text.indexOf(loads)];
    assert.ok(listens > 0 && listens < loaded, `${file}: ${listens}, ${loaded}`);
  }
});

test.run();
