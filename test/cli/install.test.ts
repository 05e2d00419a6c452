import assert from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { printWrapper } from '../../src/cli/install.ts';
import { within } from '../support/within.ts';
import { configured, nospool, sinkWith } from './admin.ts';
import { scratch } from './command.ts';

const test = suite('install');

const BUILT = realpathSync(fileURLToPath(new URL('../../dist/sendmail.cjs', import.meta.url)));
const PLACES = ['usr/bin/mailq', 'usr/bin/newaliases', 'usr/lib/sendmail', 'usr/sbin/sendmail'];

const filesBelow = (root: string): string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => !lstatSync(path.join(root, name)).isDirectory())
    .sort();

test('writes scripts that can be run, and takes them away again', async () => {
  const root = scratch();
  const installed = await nospool('install', '--root', root);
  assert.equal(installed.status, 0, installed.stderr);
  assert.deepEqual(filesBelow(root), PLACES);
  for (const place of PLACES) {
    assert.equal(statSync(path.join(root, place)).mode & 0o7777, 0o755, 'no set-id, whatever the umask');
    assert.ok(installed.stdout.includes(`${path.join(root, place)} written\n`));
    assert.ok(readFileSync(path.join(root, place), 'utf8').includes(`exec ${process.execPath} ${BUILT} "$@"\n`));
  }
  const removed = await nospool('uninstall', '--root', root);
  assert.equal(removed.status, 0, removed.stderr);
  assert.deepEqual(filesBelow(root), []);
  assert.equal((await nospool('uninstall', '--root', root)).stdout, 'nothing of nospool is installed\n');
});

test('what was there comes back, however often it was installed', async () => {
  const root = scratch();
  mkdirSync(`${root}/usr/sbin`, { recursive: true });
  mkdirSync(`${root}/usr/bin`);
  writeFileSync(`${root}/usr/sbin/sendmail`, 'the other one', { mode: 0o750 });
  symlinkSync('/nonexistent/mailq', `${root}/usr/bin/mailq`);
  for (let i = 0; i < 3; i++) assert.equal((await nospool('install', '--root', root)).status, 0);
  assert.equal(readFileSync(`${root}/usr/sbin/sendmail.nospool-saved`, 'utf8'), 'the other one');
  assert.equal((await nospool('uninstall', '--root', root)).status, 0);
  assert.deepEqual(filesBelow(root), ['usr/bin/mailq', 'usr/sbin/sendmail']);
  assert.equal(readFileSync(`${root}/usr/sbin/sendmail`, 'utf8'), 'the other one');
  assert.equal(statSync(`${root}/usr/sbin/sendmail`).mode & 0o777, 0o750);
  assert.equal(readlinkSync(`${root}/usr/bin/mailq`), '/nonexistent/mailq');
});

test('a link to sendmail stays a link; what others put in place stays too', async () => {
  const root = scratch();
  mkdirSync(`${root}/usr/lib`, { recursive: true });
  symlinkSync('../sbin/sendmail', `${root}/usr/lib/sendmail`);
  const { stdout } = await nospool('install', '--root', root);
  assert.ok(stdout.includes(`${root}/usr/lib/sendmail is a link to ${root}/usr/sbin/sendmail\n`), stdout);
  assert.ok(lstatSync(`${root}/usr/lib/sendmail`).isSymbolicLink());
  writeFileSync(`${root}/usr/bin/mailq`, 'from a package');
  await nospool('uninstall', '--root', root);
  assert.deepEqual(filesBelow(root), ['usr/bin/mailq', 'usr/lib/sendmail']);
});

test('a path inside of the root is written as it will be there', async () => {
  const root = scratch();
  const runtime = `${root}/opt/node`;
  mkdirSync(`${root}/opt`);
  writeFileSync(runtime, '#!/bin/sh\nexit 0\n');
  const closed = await nospool('install', '--root', root, '--runtime', runtime);
  assert.deepEqual([closed.status, closed.stderr], [1, `nospool: cannot run ${runtime}: permission denied\n`]);
  chmodSync(runtime, 0o755);
  const run = await nospool('install', '--root', root, '--runtime', runtime);
  assert.equal(run.status, 0, run.stderr);
  assert.ok(readFileSync(`${root}/usr/sbin/sendmail`, 'utf8').includes(`\nexec /opt/node ${BUILT} "$@"\n`));
});

test('a place that cannot be written is named', async () => {
  const root = scratch();
  writeFileSync(`${root}/usr`, '');
  const run = await nospool('install', '--root', root);
  assert.equal(run.status, 1);
  assert.match(run.stderr, /^nospool: cannot write .*\/usr\/sbin\/sendmail: .+\n$/);
});

/** Everything that a caller may get wrong at once. */
const HOSTILE = { NODE_OPTIONS: '--no-such-option', NODE_EXTRA_CA_CERTS: '/nonexistent', NODE_CHANNEL_FD: '99', NODE_DEBUG: 'net' };
const SHELLS = ['/bin/sh', '/bin/dash', '/bin/bash'].filter((shell) => existsSync(shell));

for (const shell of SHELLS)
  test(`runs under ${shell} with no PATH and a hostile environment, by all its names`, () =>
    within(60_000, async () => {
      const root = scratch();
      await nospool('install', '--root', root);
      for (const name of ['runq', 'rmail', 'rsmtp']) symlinkSync('sendmail', `${root}/usr/sbin/${name}`);
      const sink = await sinkWith();
      const { config, log } = configured(`smarthosts = ["submission://127.0.0.1:${sink.port}"]`);
      const run = (name: string, argv: readonly string[], input = '') =>
        new Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }>((resolve) => {
          const child = spawn(shell, [`${root}/usr/${name}`, ...argv], { env: { ...HOSTILE, NOSPOOL_CONFIG: config } });
          let [stdout, stderr] = ['', ''];
          child.stdout.on('data', (octets) => {
            stdout += octets;
          });
          child.stderr.on('data', (octets) => {
            stderr += octets;
          });
          child.stdin.on('error', () => {});
          child.stdin.end(input);
          child.on('close', (status) => resolve({ status, stdout, stderr }));
        });
      assert.deepEqual(await run('bin/mailq', []), { status: 0, stdout: 'Mail queue is empty\n', stderr: '' });
      assert.deepEqual(await run('bin/newaliases', []), { status: 0, stdout: '0 aliases\n', stderr: '' });
      assert.deepEqual(await run('sbin/runq', []), { status: 0, stdout: '', stderr: '' });
      assert.deepEqual(await run('sbin/sendmail', ['-i', 'a@example.org'], 'Subject: x\n\n.\nx\n'), {
        status: 0,
        stdout: '',
        stderr: '',
      });
      assert.equal((await run('sbin/rmail', ['a@example.org'], 'Subject: x\n\n.\nx\n')).status, 0);
      await sink.close();
      const bodies = sink.told.filter(({ event }) => event === 'message').map(({ content }) => String(content).split('\r\n\r\n')[1]);
      assert.deepEqual(bodies, ['.\r\nx\r\n', '.\r\nx\r\n']);
      assert.equal(readFileSync(log, 'utf8').match(/ Completed$/gm)?.length, 2);
    }));

for (const shell of SHELLS)
  test(`under ${shell} with descriptors closed, the exit status is that of the message and nobody is disturbed`, () =>
    within(60_000, async () => {
      const root = scratch();
      await nospool('install', '--root', root);
      const { config, log } = configured('smarthosts = ["submission://127.0.0.1:1"]');
      for (const [closed, out, err] of [
        ['1>&-', '', /^sendmail: .*refused\n$/],
        ['2>&-', '', /^$/],
        ['1>&- 2>&-', '', /^$/],
        ['0<&- 1>&- 2>&-', '', /^$/],
      ] as const) {
        const line = `exec ${shell} ${root}/usr/sbin/sendmail -C ${config} a@example.org ${closed}`;
        const run = spawnSync('/bin/sh', ['-c', line], { input: 'Subject: x\n\nx\n', encoding: 'utf8', env: {}, timeout: 20_000 });
        assert.equal(run.status, 1, closed);
        assert.equal(run.stdout, out, closed);
        assert.match(run.stderr, err, closed);
      }
      assert.equal(readFileSync(log, 'utf8').match(/ Failed: /g)?.length, 4, 'the log has the reason each time');
    }));

test('leaves compiled code for the interpreter where there is none', () =>
  within(60_000, async () => {
    const root = scratch();
    cpSync(path.dirname(BUILT), `${root}/dist`, { recursive: true });
    rmSync(`${root}/dist/compiled`, { recursive: true, force: true });
    const run = spawnSync(process.execPath, [`${root}/dist/nospool.mjs`, 'install', '--root', root], { encoding: 'utf8', timeout: 50_000 });
    assert.equal(run.status, 0, run.stderr);
    assert.ok(!run.stdout.includes('note:'), run.stdout);
    assert.deepEqual(readdirSync(`${root}/dist/compiled`), [`${process.versions.v8}-${process.arch}`]);
  }));

test('the script: bun is told to read no file of the folder it is called in; odd paths are quoted', () => {
  assert.match(
    printWrapper('/usr/bin/bun', '/x/sendmail.cjs'),
    /\nexec \/usr\/bin\/bun --no-env-file --config=\/dev\/null \/x\/sendmail\.cjs "\$@"\n$/,
  );
  assert.match(printWrapper('/usr/bin/node', '/x/sendmail.cjs'), /\nexec \/usr\/bin\/node \/x\/sendmail\.cjs "\$@"\n$/);
  const odd = "/tmp/it's $(here)";
  const folder = path.join(scratch(), "it's $(here)");
  mkdirSync(folder);
  writeFileSync(`${folder}/node`, '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
  writeFileSync(`${folder}/sendmail`, printWrapper(`${folder}/node`, odd));
  const run = spawnSync('/bin/sh', [`${folder}/sendmail`, 'a b', '*'], { encoding: 'utf8' });
  assert.equal(run.stdout, `${odd}\na b\n*\n`);
});

test.run();
