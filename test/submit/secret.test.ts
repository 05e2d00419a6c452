// Secrets: the places where they are read, and those that are refused.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import type { Secret } from '../../src/router/smarthost.ts';
import { readSecret, type SecretOptions } from '../../src/submit/secret.ts';
import { within } from '../support/within.ts';

const test = suite('secret');
const root = fileURLToPath(new URL('../..', import.meta.url));

const folder = mkdtempSync(path.join(tmpdir(), 'nospool-secret-'));
test.after(() => rmSync(folder, { recursive: true }));
let files = 0;
function file(content: string | Uint8Array, mode = 0o600, name = `secret${++files}`): string {
  const whole = path.join(folder, name);
  writeFileSync(whole, content);
  chmodSync(whole, mode);
  return whole;
}

async function read(secret: Secret, environment: Record<string, string> = {}, options: SecretOptions = {}): Promise<string> {
  const result = await within(10_000, () => readSecret(secret, environment, options));
  return result.ok ? `=${result.value}` : result.detail;
}

test('a secret may be absent, literal, or in the environment', async () => {
  for (const [secret, environment, expected] of [
    [{ from: 'none' }, {}, /^=$/],
    [{ from: 'literal', value: 'geheim' }, {}, /^=geheim$/],
    [{ from: 'literal', value: '' }, {}, /^the configured password is empty$/],
    [{ from: 'literal', value: 'a\nb' }, {}, /^the configured password holds a control character/],
    [{ from: 'env', name: 'PASS' }, { PASS: 'geheim' }, /^=geheim$/],
    [{ from: 'env', name: 'PASS' }, {}, /^the environment variable PASS is not set, and password_env names it$/],
    [{ from: 'env', name: 'PASS' }, { PASS: '' }, /^the environment variable PASS is empty$/],
  ] as [Secret, Record<string, string>, RegExp][])
    assert.match(await read(secret, environment), expected);
});

test('a secret may be in a file, and one line end at its end is dropped', async () => {
  for (const [content, mode, expected, why] of [
    ['geheim\n', 0o600, /^=geheim$/, 'a line'],
    ['geheim', 0o640, /^=geheim$/, 'group read'],
    ['geheim\r\n', 0o400, /^=geheim$/, 'CRLF'],
    [' two words \n', 0o600, /^= two words $/, 'blanks are part of it'],
    ['\ufeffgeh€im\n', 0o600, /^=geh€im$/, 'UTF-8 with a byte order mark'],
    ['geheim\n\n', 0o600, /holds a control character or a line end within/, 'two line ends'],
    ['user\npass\n', 0o600, /holds a control character or a line end within/, 'two lines'],
    ['\n', 0o600, / is empty$/, 'an empty line'],
    ['', 0o600, / is empty$/, 'nothing'],
    [Uint8Array.of(0x67, 0xfc), 0o600, / is not in UTF-8$/, 'Latin-1'],
    ['x'.repeat(64 * 1024 + 1), 0o600, / is larger than 64 KiB$/, 'a large file'],
    ['x'.repeat(64 * 1024), 0o600, /^=x{65536}$/, 'the largest'],
  ] as const)
    assert.match(await read({ from: 'file', path: file(content, mode) }), expected, why);
});

test('a file that others can read or write is refused, with the command to run', async () => {
  const owner = process.geteuid?.();
  for (const [mode, can, bits] of [
    [0o644, 'read', 'r'],
    [0o604, 'read', 'r'],
    [0o602, 'change', 'w'],
    [0o666, 'read and change', 'rw'],
  ] as const) {
    const name = file('geheim\n', mode);
    assert.equal(
      await read({ from: 'file', path: name }),
      `password_file ${name} is refused, because every user can ${can} this file (mode 0${mode.toString(8)}, owner uid ${owner}): run chmod o-${bits} ${name}`,
    );
  }
  const odd = file('geheim\n', 0o644, "it's a file");
  assert.match(await read({ from: 'file', path: odd }), /chmod o-r '.*it'\\''s a file'$/);
  const link = path.join(folder, 'link');
  symlinkSync(odd, link);
  assert.match(await read({ from: 'file', path: link }), /every user can read this file/, 'a link has the mode of what it leads to');
});

test('only the secrets of a container may be readable by all', async () => {
  const containerSecrets = `${path.join(folder, 'run')}/`;
  mkdirSync(containerSecrets);
  const inside = file('geheim\n', 0o444, 'run/smtp');
  assert.equal(await read({ from: 'file', path: inside }, {}, { containerSecrets }), '=geheim');
  const outside = file('geheim\n', 0o444, 'outside');
  assert.match(
    await read({ from: 'file', path: `${containerSecrets}../outside` }, {}, { containerSecrets }),
    /every user can read this file/,
  );
  assert.match(await read({ from: 'file', path: outside }, {}, { containerSecrets }), /every user can read this file/);
});

test('a folder, a device and a missing file are no secret', async () => {
  assert.match(await read({ from: 'file', path: folder }), /is not a regular file$/);
  assert.match(await read({ from: 'file', path: '/dev/null' }), /is not a regular file$/);
  assert.match(await read({ from: 'file', path: path.join(folder, 'absent') }), /absent does not exist$/);
});

test('a name without a leading slash is a systemd credential', async () => {
  file('geheim\n', 0o400, 'smtp.password');
  const environment = { CREDENTIALS_DIRECTORY: folder };
  assert.equal(await read({ from: 'file', path: 'smtp.password' }, environment), '=geheim');
  assert.match(await read({ from: 'file', path: 'smtp.password' }), /is relative, and there is no \$CREDENTIALS_DIRECTORY/);
  assert.match(await read({ from: 'file', path: 'smtp.password' }, { CREDENTIALS_DIRECTORY: '' }), /no \$CREDENTIALS_DIRECTORY/);
  assert.match(await read({ from: 'file', path: '../smtp.password' }, environment), /leads out of/);
});

test('V7: the sentence names the key that was written', async () => {
  for (const [called, secret, expected] of [
    ['token', { from: 'file', path: '/none' }, /^token_file \/none does not exist/],
    ['token', { from: 'file', path: 'none' }, /^token_file "none" is relative/],
    ['token', { from: 'command', argv: ['/none'] }, /^token_command \/none cannot be run/],
    ['token', { from: 'env', name: 'T' }, /and token_env names it$/],
    ['proxy_password', { from: 'file', path: '/none' }, /^proxy_password_file \/none does not exist/],
  ] as const)
    assert.match(await read(secret, {}, { called }), expected);
});

const shell = (script: string): Secret => ({ from: 'command', argv: ['/bin/sh', '-c', script] });

test('a command gives its first line', async () => {
  for (const [script, expected, why] of [
    ['echo geheim', /^=geheim$/, 'a line'],
    ['printf geheim', /^=geheim$/, 'without a line end'],
    ['printf "geheim\\r\\nuser: x\\n"', /^=geheim$/, 'as pass(1) writes it, with CRLF'],
    ['echo; echo geheim', /writes is empty$/, 'an empty first line'],
    ['true', /^the first line that password_command \/bin\/sh writes is empty$/, 'nothing'],
    ['printf "\\374\\n"', /is not in UTF-8$/, 'Latin-1'],
    ['printf "a\\tb\\n"', /holds a control character/, 'a control character'],
    ['exit 3', /^password_command \/bin\/sh ended with status 3$/, 'a failure without words'],
    [
      'echo "gpg: no key" >&2; echo more >&2; exit 2',
      /^password_command \/bin\/sh ended with status 2: gpg: no key$/,
      'its first line of stderr',
    ],
    ['echo geheim; echo warning >&2', /^=geheim$/, 'stderr of a success is not shown'],
    ['printf "\\033[31mno\\n" >&2; exit 1', /status 1: \\x1b\[31mno$/, 'printable'],
    ['echo geheim; echo "wrong: geheim" >&2; exit 1', /status 1: wrong: \*\*\*\*$/, 'its own secret in its complaint'],
    ['kill -TERM $$', /was ended by SIGTERM$/, 'a signal'],
    ['cat; echo geheim', /^=geheim$/, 'standard input is empty, not ours'],
    ['head -c 100000 /dev/zero', /writes more than 64 KiB$/, 'too much'],
    ['head -c 65537 /dev/zero | tr "\\0" x', /writes more than 64 KiB$/, 'an octet too much'],
    ['head -c 65536 /dev/zero | tr "\\0" x', /^=x{65536}$/, 'as much as may be'],
    ['head -c 300 /dev/zero | tr "\\0" x >&2; exit 1', /status 1: x{200}…$/, 'a long complaint'],
    ['echo >&2; echo "  no key" >&2; exit 1', /status 1: no key$/, 'a complaint behind an empty line'],
    ['echo "kaputt: ü" >&2; exit 1', /status 1: kaputt: ü$/, 'a complaint in UTF-8'],
    ['echo geh€im', /^=geh€im$/, 'a secret in UTF-8'],
    ['printf "no\\r\\nmore" >&2; exit 1', /status 1: no$/, 'a complaint with CRLF'],
    ['echo geh€im; echo "wrong: geh€im" >&2; exit 1', /status 1: wrong: \*\*\*\*$/, 'its own secret in UTF-8'],
    ['head -c 100000 /dev/zero >&2; echo geheim', /^=geheim$/, 'a talkative one'],
  ] as const)
    assert.match(await read(shell(script), { PATH: '/usr/bin:/bin' }), expected, why);
});

test('a command is found with or without PATH, and its arguments are words, not a shell line', async () => {
  assert.equal(await read({ from: 'command', argv: ['echo', '$HOME;', 'x'] }, { PATH: '/usr/bin:/bin' }), '=$HOME; x');
  assert.equal(await read({ from: 'command', argv: ['echo', 'x'] }), '=x');
  assert.equal(await read(shell('echo $TOKEN'), { TOKEN: 't' }), '=t');
  assert.match(
    await read({ from: 'command', argv: ['/nonexistent/prog', 'sesame'] }),
    /^password_command \/nonexistent\/prog cannot be run \(ENOENT\)$/,
  );
  assert.match(await read({ from: 'command', argv: [folder] }), /cannot be run \(EACCES\)$/);
  assert.match(await read({ from: 'command', argv: [`/${'x'.repeat(250)}`] }), /^password_command \/x{199}… cannot be run /);
  assert.match(await read({ from: 'command', argv: [] }), /names no program/);
  assert.match(await read({ from: 'command', argv: ['echo', 'a\0b'] }), /NUL/);
});

test('a command that the system does not start is a sentence', async () => {
  const argv = ['/bin/true', 'x'.repeat(4 * 1024 * 1024)];
  assert.equal(await read({ from: 'command', argv }), 'password_command /bin/true cannot be run (E2BIG)');
});

test('a command that does not end is stopped, and a child that it leaves behind is not waited for', async () => {
  assert.match(await read(shell('exec sleep 20'), {}, { patience: 200 }), /^password_command \/bin\/sh did not end within 0\.2 s$/);
  assert.equal(await read(shell('echo geheim; sleep 8 &'), { PATH: '/usr/bin:/bin' }), '=geheim');
});

test('S12: nobody waits for a command that was given up', async () => {
  // Where the runtime tells what keeps it running.
  const waitsFor = (): number => process.getActiveResourcesInfo?.().filter((what) => /Process|Pipe|Timeout/.test(what)).length ?? 0;
  const before = waitsFor();
  assert.equal(await read(shell('echo geheim'), { PATH: '/usr/bin:/bin' }), '=geheim');
  assert.ok(waitsFor() <= before);
  assert.match(await read(shell('exec sleep 20'), {}, { patience: 100 }), /did not end/);
  assert.ok(waitsFor() <= before);
});

/** Seconds that no other process sleeps, not even that of another run of this file. */
const secondsOf = (test: number): string => `31.${test}${process.pid}`;

/** Whether a process with these octets among its arguments is still there. */
const isAlive = (mark: string): boolean =>
  readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(mark);
    } catch {
      return false;
    }
  });
async function isGone(mark: string): Promise<boolean> {
  for (let i = 0; i < 100 && isAlive(mark); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  return !isAlive(mark);
}

test('S12: a command is stopped together with all that it has started', async () => {
  const seconds = secondsOf(1);
  for (const [script, options] of [
    [`sleep ${seconds} & sleep ${seconds}`, { patience: 200 }],
    [`sleep ${seconds} & cat /dev/zero`, {}],
  ] as const) {
    assert.match(await read(shell(script), { PATH: '/usr/bin:/bin' }, options), /did not end within|writes more than/);
    assert.ok(await isGone(seconds), script);
  }
});

test('S12: a signal ends the commands and then does what it would have done, unless somebody else hears it', async () => {
  const { kill } = process;
  const killed: unknown[] = [];
  process.kill = (pid, signal) => {
    if (pid === process.pid) killed.push(signal);
    else kill(pid, signal);
    return true;
  };
  const hears = (): void => undefined;
  const seconds = secondsOf(3);
  const open = path.join(folder, 'open');
  try {
    for (const [isHeard, script, expected] of [
      [true, `until test -e ${open}; do sleep 0.01; done; echo geheim`, []],
      [false, `sleep ${seconds} & sleep ${seconds}`, ['SIGHUP']],
    ] as const) {
      killed.length = 0;
      const reading = read(shell(script), { PATH: '/usr/bin:/bin' });
      while (process.listenerCount('SIGHUP') === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      while (!isHeard && !isAlive(seconds)) await new Promise((resolve) => setTimeout(resolve, 5));
      if (isHeard) process.on('SIGHUP', hears);
      const before = process.listenerCount('SIGHUP');
      process.emit('SIGHUP', 'SIGHUP');
      assert.deepEqual([killed, before - process.listenerCount('SIGHUP')], [expected, isHeard ? 0 : 1]);
      process.off('SIGHUP', hears);
      writeFileSync(open, '');
      assert.match(await reading, isHeard ? /^=geheim$/ : /was ended by SIGKILL$/);
      assert.ok(isHeard || (await isGone(seconds)));
      assert.equal(process.listenerCount('SIGHUP'), 0);
    }
  } finally {
    process.kill = kill;
    process.off('SIGHUP', hears);
  }
});

test('S12: a signal ends the command that is left when another has ended', async () => {
  const hears = (): number => process.listenerCount('SIGHUP');
  const open = path.join(folder, 'other is read');
  const slow = read(shell(`until test -e '${open}'; do sleep 0.01; done; echo slow`), { PATH: '/usr/bin:/bin' });
  assert.equal(await read(shell('echo quick'), { PATH: '/usr/bin:/bin' }), '=quick');
  assert.equal(hears(), 1);
  writeFileSync(open, '');
  assert.equal(await slow, '=slow');
  assert.equal(hears(), 0);
});

test('S12: a command ends with the process that waits for it, and leaves no listener behind', async () => {
  const listeners = (): number =>
    ['exit', 'SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGALRM', 'SIGUSR2', 'SIGXCPU'].reduce(
      (count, name) => count + process.listenerCount(name),
      0,
    );
  const before = listeners();
  await Promise.all(Array.from({ length: 20 }, () => read(shell('echo geheim'), { PATH: '/usr/bin:/bin' })));
  assert.equal(listeners(), before);
  const seconds = secondsOf(2);
  const program = `import { readSecret } from './src/submit/secret.ts';
void readSecret({ from: 'command', argv: ['/bin/sh', '-c', 'sleep ${seconds} & echo started >&2; sleep ${seconds}'] }, process.env);
setTimeout(() => process.argv.at(-1) === 'exit' ? process.exit(3) : process.kill(process.pid, process.argv.at(-1)), 500);`;
  const loading = process.versions.bun === undefined ? ['--import', 'tsx', '--input-type=module'] : [];
  for (const [how, expected] of [
    ['exit', '3 null'],
    ['SIGINT', 'null SIGINT'],
    ['SIGTERM', 'null SIGTERM'],
    ['SIGHUP', 'null SIGHUP'],
    ['SIGQUIT', 'null SIGQUIT'],
    ['SIGALRM', 'null SIGALRM'],
    ['SIGUSR2', 'null SIGUSR2'],
    ['SIGXCPU', 'null SIGXCPU'],
  ] as const)
    await within(20_000, async () => {
      const child = spawn(process.execPath, [...loading, '-e', program, '--', how], { cwd: root, stdio: 'ignore' });
      const ended = await new Promise((resolve) => child.once('exit', (code, signal) => resolve(`${code} ${signal}`)));
      assert.equal(ended, expected);
      assert.ok(await isGone(seconds), how);
    });
});

test.run();
