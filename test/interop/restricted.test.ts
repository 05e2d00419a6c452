/**
 * Callers whose processes may do less than others: with 256 MiB of address space (all of Dovecot's have that by default),
 * or without memory that can be both written and run (logrotate's, as systemd starts it on Debian).
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { printMemoryTest } from '../../src/nospool/install/memory-test.ts';
import { printWrapper } from '../../src/nospool/install/wrapper.ts';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { tlsFiles } from './support/certificates.ts';
import { type Command, installCommand, run } from './support/command.ts';
import { scratch } from './support/daemon.ts';
import { type Dovecot, startDovecot } from './support/dovecot.ts';
import { startExim } from './support/exim.ts';
import { configuration } from './support/matrix.ts';
import { threeLines } from './support/messages.ts';
import { suiteWith } from './support/needs.ts';
import { at, type Peer } from './support/peer.ts';

/** The script that `nospool install` writes, for this copy of the command and its configuration. */
function installScript(command: Command): string {
  const memoryTest = `${command.folder}/memory-test`;
  writeFileSync(memoryTest, printMemoryTest(process.arch, process.version) ?? '', { mode: 0o755 });
  const file = `${command.folder}/installed`;
  const [interpreter = ''] = command.runtime;
  writeFileSync(file, printWrapper({ version: '1', interpreter, command: command.file, isBun: false, memoryTest, hasSplit: true }), {
    mode: 0o755,
  });
  const script = `${command.folder}/configured`;
  writeFileSync(script, `#!/bin/sh\nNOSPOOL_CONFIG=${command.config} exec ${file} "$@"\n`, { mode: 0o755 });
  return script;
}

const forbidding = suiteWith('memory that can be written and run is forbidden', 'root', 'unshare', 'exim4-daemon-heavy', 'gcc');
{
  let exim: Peer;
  let command: Command;
  let script: string;
  let forbid: string;
  const tls = tlsFiles();

  forbidding.before(() =>
    within(30_000, async () => {
      forbid = `${scratch('forbid')}/forbid`;
      execFileSync('gcc', ['-Wall', '-Werror', '-o', forbid, fileURLToPath(new URL('support/forbid.c', import.meta.url))]);
      exim = await startExim({ tls, authRequired: true });
      command = installCommand();
      command.configure(configuration(command, `submission://${HOST}:${exim.port}`, tls));
      script = installScript(command);
    }),
  );
  forbidding.after(async () => exim?.stop());

  const send = (argv: readonly string[], input: string | Buffer, how = 'filter') =>
    spawnSync(forbid, [how, ...argv], { input, encoding: 'utf8', timeout: 60_000 });

  forbidding('the filter is one: the runtime by itself dies', () => {
    // A function that is called often is compiled.
    const program = 'let n = 0; const f = (x) => x + n; for (let i = 0; i < 1e6; i++) n = f(i) % 7; console.log(n);';
    assert.notEqual(send([process.execPath, '-e', program], '').signal, null);
  });

  for (const how of ['filter', 'prctl'])
    forbidding(`C1: a message goes over STARTTLS, with a password, where ${how} forbids it`, () =>
      within(60_000, async () => {
        await exim.clear();
        // Before Linux 6.3 there is no such prctl.
        if (how === 'prctl' && send(['/bin/true'], '', how).status === 125) return;
        const message = threeLines();
        const { status, stdout, stderr } = send([script, '-i', '-f', at('sender'), at('ann')], message.octets, how);
        assert.deepEqual([status, stdout, stderr], [0, '', ''], command.logged());
        assert.equal((await exim.received('ann')).length, 1);
      }),
    );

  forbidding('C1: a long one too, for which there is no WebAssembly; and -bs', () =>
    within(120_000, async () => {
      await exim.clear();
      const long = `Subject: long\n\n${`${'x'.repeat(70)}\n`.repeat(60_000)}`;
      const { status, stderr } = send([script, '-i', '-f', at('sender'), at('bob')], long);
      assert.deepEqual([status, stderr], [0, ''], command.logged());
      assert.equal((await exim.received('bob'))[0]?.octets.toString('latin1').split('\n\n').slice(1).join('\n\n'), long.split('\n\n')[1]);
      const dialogue = `EHLO x\r\nMAIL FROM:<${at('sender')}>\r\nRCPT TO:<${at('eve')}>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n`;
      const spoken = send([script, '-bs'], dialogue);
      assert.deepEqual([spoken.status, spoken.stderr], [0, ''], spoken.stdout);
      assert.equal((await exim.received('eve')).length, 1);
    }),
  );

  forbidding('a filter of system calls without @pkey: Node 20 dies, which is said, and others send', () =>
    within(60_000, async () => {
      await exim.clear();
      const dies = send([process.execPath, '-e', '0'], '', 'keys').signal === 'SIGSYS';
      const { status, stdout, stderr } = send([script, '-i', '-f', at('sender'), at('ann')], threeLines().octets, 'keys');
      const said = dies
        ? 'sendmail: the caller forbids the system call pkey_alloc, and Node 20 dies of that: add @pkey to SystemCallFilter in the unit that runs it\n'
        : '';
      assert.deepEqual([status, stdout, stderr], [dies ? 1 : 0, '', said], command.logged());
      if (!dies) assert.equal((await exim.received('ann')).length, 1);
    }),
  );

  forbidding.run();
}

const sieving = suiteWith('Dovecot, Sieve', 'root', 'unshare', 'exim4-daemon-heavy', 'dovecot-core', 'dovecot-lmtpd', 'dovecot-sieve');
{
  let exim: Peer;
  let dovecot: Dovecot;
  let command: Command;
  const tls = tlsFiles();

  sieving.before(() =>
    within(30_000, async () => {
      exim = await startExim({ tls, authRequired: true });
      command = installCommand();
      command.configure(configuration(command, `submission://${HOST}:${exim.port}`, tls));
      // Dovecot's processes are nobody's when they deliver.
      chownSync(`${command.folder}/password`, 65_534, 65_534);
      const sendmail = `${command.folder}/sieve`;
      // Shows that there is a limit, and that nobody gave root's privileges away.
      writeFileSync(
        sendmail,
        `#!/bin/sh\necho "$(ulimit -v) $(id -u) $*" >>${command.folder}/var/argv\nexec ${installScript(command)} "$@"\n`,
        { mode: 0o755 },
      );
      dovecot = await startDovecot({ sieve: { script: `redirect "${at('bob')}";\n`, sendmail } });
    }),
  );
  sieving.after(() => Promise.all([exim?.stop(), dovecot?.stop()]).then(() => undefined));

  sieving('C1: redirect by LMTP, whose processes have little address space, goes over STARTTLS, with a password', () =>
    within(60_000, async () => {
      const sender = installCommand();
      sender.configure(configuration(sender, `lmtp://${HOST}:${dovecot.lmtpPort}`, undefined));
      const sent = await run(sender, ['-i', '-f', at('sender'), at('ann')], threeLines().octets);
      assert.equal(sent.status, 0, sent.said + dovecot.said() + command.logged());
      assert.equal((await exim.received('bob')).length, 1, dovecot.said() + command.logged());
      assert.match(readFileSync(`${command.folder}/var/argv`, 'latin1'), /^262144 65534 -i -f /);
    }),
  );

  sieving.run();
}
