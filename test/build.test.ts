/** Builds of one folder at once, and whether one is needed. Builds nothing. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { scratch } from './support/command.ts';
import { within } from './support/within.ts';

const test = suite('build');
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Runs this with the lock, in that folder. */
const holding = (folder: string, work: string): ChildProcess =>
  spawn(
    process.execPath,
    ['--input-type=module', '-e', `import { takeLock } from '${ROOT}/build-lock.mjs'; await takeLock('dist.lock'); ${work}`],
    { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
  );

const ended = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.on('close', resolve));
const saysFirst = (stream: ChildProcess['stderr']): Promise<string> =>
  new Promise((resolve) => stream?.once('data', (text) => resolve(String(text))));
const hasLock = (folder: string): boolean => lstatSync(`${folder}/dist.lock`, { throwIfNoEntry: false }) !== undefined;

test('a lock is its owner’s as long as that lives, however old it is, and goes with it', () =>
  within(30_000, async () => {
    const folder = scratch();
    const first = holding(folder, 'console.log("has it"); setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0));');
    await saysFirst(first.stdout);
    spawnSync('touch', ['-h', '-d', '2001-01-01', `${folder}/dist.lock`]);
    const second = holding(folder, 'console.log("has it");');
    assert.equal(await saysFirst(second.stderr), `build.mjs: process ${first.pid} builds here: this one waits for it\n`);
    assert.match(readlinkSync(`${folder}/dist.lock`), new RegExp(`^${first.pid}\\b`));
    first.kill();
    await ended(second);
    assert.ok(!hasLock(folder));
  }));

test('the lock of a dead process is taken, and by one at a time; nobody takes away what is another’s', () =>
  within(60_000, async () => {
    const folder = scratch();
    const { pid } = spawnSync('/bin/true');
    // The same number with another begin is another process.
    const dead = `${pid}-1`;
    for (const owners of [[dead], [`${process.pid}-1`], ['nonsense'], [null], [dead, dead], [dead, null], [dead, dead, dead]]) {
      // Whoever was killed while it took the lock of a dead process away has left its turn to do so.
      for (const [turns, owner] of owners.entries()) {
        const lock = `${folder}/dist.lock${'.turn'.repeat(turns)}`;
        if (owner === null) mkdirSync(lock);
        else symlinkSync(owner, lock);
      }
      const log = `${folder}/log`;
      writeFileSync(log, '');
      const work = `const { appendFileSync } = await import('node:fs'); appendFileSync('log', '<'); await new Promise((go) => setTimeout(go, 50)); appendFileSync('log', '>');`;
      await Promise.all(Array.from({ length: 5 }, () => ended(holding(folder, work))));
      assert.equal(readFileSync(log, 'utf8'), '<>'.repeat(5), `${owners}`);
      assert.deepEqual(readdirSync(folder), ['log']);
    }
    await ended(holding(folder, `const fs = await import('node:fs'); fs.rmSync('dist.lock'); fs.symlinkSync('1', 'dist.lock');`));
    assert.equal(readlinkSync(`${folder}/dist.lock`), '1');
  }));

test('a build is needed where a source, a manual page, the build itself or the packages are newer', () =>
  within(60_000, async () => {
    const folder = scratch();
    const files = ['build.mjs', 'build-lock.mjs', 'build-types.mjs', 'package.json', 'package-lock.json', 'tsconfig.json'];
    for (const name of files) cpSync(`${ROOT}/${name}`, `${folder}/${name}`);
    symlinkSync(`${ROOT}/node_modules`, `${folder}/node_modules`);
    for (const name of ['src', 'man', 'dist']) mkdirSync(`${folder}/${name}`);
    files.push('src/a.ts', 'man/a.1');
    for (const name of ['src/a.ts', 'man/a.1', 'dist/.built']) writeFileSync(`${folder}/${name}`, '');
    const age = (name: string, seconds: number): void => utimesSync(path.join(folder, name), 0, 1_000_000 - seconds);
    for (const name of files) age(name, 2);
    age('dist/.built', 1);
    const build = () => spawn(process.execPath, ['build.mjs', '--if-stale'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    assert.equal(await ended(build()), 0, 'nothing is newer');
    const holder = holding(folder, 'console.log("has it"); setInterval(() => {}, 1000);');
    await saysFirst(holder.stdout);
    for (const name of files) {
      age(name, 0);
      const child = build();
      assert.match(await Promise.race([saysFirst(child.stderr), ended(child).then(() => 'it has ended')]), /waits/, name);
      child.kill('SIGKILL');
      age(name, 2);
    }
    holder.kill('SIGKILL');
  }));

test.run();
