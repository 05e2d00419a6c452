/** The same bundle under Bun, with the code that `nospool install` leaves for it: the whole matrix against Exim, and a signal. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { within } from '../support/within.ts';
import { installCommand } from './support/command.ts';
import { scratch, until } from './support/daemon.ts';
import { startExim } from './support/exim.ts';
import { matrix } from './support/matrix.ts';
import { bun, suiteWith } from './support/needs.ts';
import { at } from './support/peer.ts';

const test = suiteWith('Bun, to Exim', 'root', 'unshare', 'exim4-daemon-heavy', 'bun');
// A caller's folder may hold a .env or bunfig.toml: they are not ours.
const runtime = [bun() ?? '', '--no-env-file', '--config=/dev/null'];

test('nospool install leaves code for it', () => {
  const dist = fileURLToPath(new URL('../../dist', import.meta.url));
  const argv = [`${dist}/nospool.mjs`, 'install', '--root', scratch('root'), '--runtime', bun() ?? ''];
  const run = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([run.status, run.stderr, /note:.*/.exec(run.stdout)?.[0]], [0, '', undefined]);
  const version = spawnSync(bun() ?? '', ['--version'], { encoding: 'utf8' }).stdout.trim();
  for (const file of ['main.cjs', 'main.cjs.jsc', 'chunks/toml.cjs.jsc'])
    assert.ok(existsSync(`${dist}/compiled/bun-${version}-${process.arch}/${file}`), file);
});

matrix(test, { start: startExim, mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'], large: 64, runtime });

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} while standard input is open: exit status 1, and nobody has anything`, () =>
    within(30_000, async () => {
      const exim = await startExim();
      try {
        const command = installCommand(runtime);
        command.configure(`smarthosts = ["smtp://127.0.0.1:${exim.port}"]\nreplay_window = "1KiB"\n`);
        const [program = '', ...args] = [...runtime, command.file, '-i', '-f', at('sender'), at('ann')];
        const child = spawn(program, args, {
          stdio: ['pipe', 'ignore', 'ignore'],
          env: { PATH: '/usr/bin:/bin', NOSPOOL_CONFIG: command.config },
        });
        child.stdin?.on('error', () => undefined);
        child.stdin?.write(`Subject: s\n\n${'x'.repeat(70)}\n`.repeat(100));
        await until('the session is open', () => /SMTP connection from/.test(exim.said()));
        child.kill(signal);
        const [status] = await once(child, 'exit');
        assert.equal(status, 1);
        assert.equal(await exim.total(), 0);
      } finally {
        await exim.stop();
      }
    }));

test.run();
