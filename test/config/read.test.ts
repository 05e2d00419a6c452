import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import type { Config } from '../../src/config/config.ts';
import { type ConfigAnswer, type ConfigRequest, readConfig, userFile } from '../../src/config/read.ts';
import { testWith } from '../support/where.ts';
import { within } from '../support/within.ts';

const euid = process.geteuid?.() ?? 0;
const isRoot = euid === 0;

interface World {
  readonly folder: string;
  readonly system: string;
  readonly own: string;
  write(file: string, text: string | Uint8Array, mode?: number): string;
  ask(request?: Partial<ConfigRequest>): Promise<ConfigAnswer>;
}

const test = suite<World>('read');
const onLinux = process.platform === 'linux' ? test : test.skip;
const asRoot = testWith(test, 'root', isRoot);

test.before.each((world) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-config-'));
  const system = path.join(folder, 'etc.toml');
  const home = path.join(folder, 'home');
  const own = path.join(home, '.config/nospool/config.toml');
  mkdirSync(path.dirname(own), { recursive: true });
  Object.assign(world, {
    folder,
    system,
    own,
    write(file: string, text: string | Uint8Array, mode = 0o644) {
      const name = path.resolve(folder, file);
      writeFileSync(name, text);
      chmodSync(name, mode);
      return name;
    },
    ask: (request: Partial<ConfigRequest> = {}) =>
      within(5000, () => readConfig({ path: null, env: {}, home, euid, systemFile: system, ...request })),
  });
});

test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

const host = (name: string): string => `smarthosts = ["${name}"]\n`;

function accepted(answer: ConfigAnswer): Config {
  assert.ok(answer.ok, answer.ok ? '' : answer.errors.join('\n'));
  return answer.config;
}

function refused(answer: ConfigAnswer): string {
  assert.ok(!answer.ok);
  assert.equal(answer.errors.length, 1);
  return answer.errors[0] as string;
}

const hostOf = (answer: ConfigAnswer): string | undefined => accepted(answer).smarthosts[0]?.host;

test('the first of -C, $NOSPOOL_CONFIG, the user’s file and the system file counts', async ({ folder, system, own, write, ask }) => {
  assert.equal(accepted(await ask()).path, '');
  assert.equal(hostOf(await ask()), undefined);
  write(system, host('system'));
  assert.equal(hostOf(await ask()), 'system');
  assert.equal(accepted(await ask()).path, system);
  write(own, host('own'));
  assert.equal(hostOf(await ask()), 'own');
  assert.equal(hostOf(await ask({ home: null })), 'system');
  const named = write('named.toml', host('named'));
  const env = { NOSPOOL_CONFIG: named };
  assert.equal(hostOf(await ask({ env })), 'named');
  assert.equal(hostOf(await ask({ env: { NOSPOOL_CONFIG: '' } })), 'own', 'empty is unset');
  const given = write('given.toml', host('given'));
  assert.equal(hostOf(await ask({ env, path: given })), 'given');
  assert.equal(hostOf(await ask({ env, path: given, home: null })), 'given');
  const xdg = path.join(folder, 'xdg');
  mkdirSync(path.join(xdg, 'nospool'), { recursive: true });
  write('xdg/nospool/config.toml', host('xdg'));
  assert.equal(hostOf(await ask({ env: { XDG_CONFIG_HOME: xdg } })), 'xdg');
  assert.equal(hostOf(await ask({ env: { XDG_CONFIG_HOME: 'xdg' } })), 'own', 'a relative one is invalid and ignored');
  assert.equal(hostOf(await ask({ env: { XDG_CONFIG_HOME: folder } })), 'system', 'it replaces ~/.config');
  assert.equal(hostOf(await ask({ path: '/dev/null' })), undefined);
});

test('variables win over any file, and are enough without one', async ({ system, own, write, ask }) => {
  const env = { NOSPOOL_SMARTHOSTS: 'variable' };
  assert.equal(hostOf(await ask({ env })), 'variable');
  write(system, host('system'));
  assert.equal(hostOf(await ask({ env })), 'variable');
  write(own, `${host('own')}[tls]\nmode = "opportunistic"`);
  const { smarthosts } = accepted(await ask({ env }));
  assert.equal(smarthosts[0]?.host, 'variable');
  assert.equal(smarthosts[0]?.tls.mode, 'opportunistic');
});

test('a locked system file is the only configuration', async ({ system, own, write, ask }) => {
  write(system, `lock = true\n${host('system')}`);
  write(own, host('own'));
  const given = write('given.toml', host('given'));
  const env = { NOSPOOL_CONFIG: given, NOSPOOL_SMARTHOSTS: 'variable', NOSPOOL_NONSENSE: 'x', NOSPOOL_EMPTY: '', OTHER: 'x' };
  const answer = await ask({ path: given, env });
  assert.equal(hostOf(answer), 'system');
  assert.ok(answer.ok);
  assert.deepEqual(answer.warnings, [
    `${system}: is locked, so -C ${given}, NOSPOOL_CONFIG, NOSPOOL_SMARTHOSTS, NOSPOOL_NONSENSE are ignored`,
  ]);
  assert.ok(answer.config.lock);
  const quiet = await ask();
  assert.ok(quiet.ok);
  assert.deepEqual(quiet.warnings, []);
  write(system, '# lock = true\nlock = false');
  assert.equal(hostOf(await ask()), 'own');
  write(system, 'lock = "yes"');
  assert.match(refused(await ask()), /:1: key "lock" expects true or false/, 'somebody meant to lock it');
  write(system, '');
  write(own, 'lock = true');
  for (const elsewhere of [await ask(), await ask({ path: own })])
    assert.match(elsewhere.ok ? elsewhere.warnings.join() : '', /config\.toml:1: key "lock" means nothing here/);
  write(system, `lock = true\nsmarthost = []`);
  assert.match(refused(await ask({ path: given })), /:2: key "smarthost" is unknown/);
  write(system, 'lock = true\nsmarthosts = [');
  assert.match(refused(await ask({ path: given })), /^\S+etc\.toml:2: this is not TOML: /, 'whether it is locked cannot be known');
});

test('S3: a refused system file lets no other configuration in, because it may have been locked', async ({ system, own, write, ask }) => {
  write(own, host('own'));
  const given = write('given.toml', host('given'));
  write(system, `lock = true\n${host('system')}`, 0o646);
  for (const request of [{}, { path: given }, { env: { NOSPOOL_CONFIG: given } }])
    assert.match(refused(await ask(request)), /^\S+etc\.toml: is refused, because every user can change this file \(mode 0646/);
});

test('S3: nor does one that nobody can understand', async ({ system, own, write, ask }) => {
  write(own, host('own'));
  const given = write('given.toml', host('given'));
  const isRefused = async (why: RegExp): Promise<void> => {
    for (const request of [{}, { path: given }, { env: { NOSPOOL_CONFIG: given } }]) assert.match(refused(await ask(request)), why);
    rmSync(system, { recursive: true });
  };
  write(system, Buffer.from('# caf\xe9\nlock = true\n', 'latin1'));
  await isRefused(/etc\.toml:1: is not UTF-8/);
  write(system, `lock = true\n${'#'.repeat(1 << 20)}`);
  await isRefused(/etc\.toml: has more than 1048576 octets/);
  symlinkSync('/nonexistent', system);
  await isRefused(/etc\.toml: links to nothing$/);
  assert.equal(hostOf(await ask()), 'own', 'when it is gone');
  // Container runtimes make a directory where what they are to mount is missing.
  mkdirSync(system);
  assert.equal(hostOf(await ask({ path: given })), 'given');
});

test('a missing file is an error only if it was named', async ({ folder, system, write, ask }) => {
  assert.equal(refused(await ask({ path: system })), `-C names "${system}", which does not exist`);
  assert.equal(userFile({}, null), null, 'who has no home has no file there');
  const none = path.join(folder, 'none.toml');
  assert.equal(refused(await ask({ path: none })), `-C names "${none}", which does not exist`);
  assert.equal(refused(await ask({ path: '' })), '-C names "", which does not exist');
  assert.equal(refused(await ask({ env: { NOSPOOL_CONFIG: none } })), `environment: NOSPOOL_CONFIG names "${none}", which does not exist`);
  const file = write('file', '');
  assert.match(refused(await ask({ path: `${file}/below` })), /does not exist/);
});

test('a file that is no configuration is an error', async ({ folder, write, ask }) => {
  assert.equal(refused(await ask({ path: folder })), `${folder}: is a directory, not a file`);
  const latin1 = write('latin1', Buffer.from('# a\n# caf\xe9\n', 'latin1'));
  assert.equal(refused(await ask({ path: latin1 })), `${latin1}:2: is not UTF-8, which TOML demands: convert the file`);
  const late = write('late', Buffer.from('\n\n# caf\xe9', 'latin1'));
  assert.match(refused(await ask({ path: late })), /late:3: is not UTF-8/);
  const broken = write('broken', 'smarthosts = ["a"]\n[auth]\npassword = hunter2\n');
  assert.match(refused(await ask({ path: broken })), /broken:3: this is not TOML: /);
  assert.doesNotMatch(refused(await ask({ path: broken })), /hunter2/);
  assert.equal(refused(await ask({ path: '/dev/zero' })), '/dev/zero: is refused, because it is not a regular file');
  accepted(await ask({ path: write('most', '#'.repeat(1048576)) }));
  const large = write('large', '#'.repeat(1048577));
  assert.match(refused(await ask({ path: large })), /large: has more than 1048576 octets/);
  assert.match(refused(await ask({ path: `${folder}/${'x'.repeat(300)}` })), /cannot be opened \(ENAMETOOLONG\)/);
});

onLinux('no descriptor stays open, whatever comes of a file', async ({ folder, system, write, ask }) => {
  /** Of files that a configuration is read from: others come and go. */
  const open = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return /nospool-config-|\/dev\/zero/.test(readlinkSync(`/proc/self/fd/${fd}`));
      } catch {
        return false;
      }
    }).length;
  write(system, host('a'));
  accepted(await ask());
  for (const path of [folder, write('broken', '= 1'), write('writable', '', 0o666), '/dev/zero']) refused(await ask({ path }));
  assert.equal(open(), 0);
});

test('a file with a byte order mark or CRLF line ends is read', async ({ write, ask }) => {
  const file = write('bom', `\ufeff${host('a')}\r\nrandomize = true\r\n`);
  const { smarthosts, randomize } = accepted(await ask({ path: file }));
  assert.equal(smarthosts[0]?.host, 'a');
  assert.equal(randomize, true);
});

test('the mode that counts is that of the file that was read', async ({ write, ask }) => {
  const text = '[auth]\nuser = "u"\npassword = "hunter2"';
  accepted(await ask({ path: write('a', text, 0o640) }));
  const open = write('b', text, 0o644);
  assert.match(
    refused(await ask({ path: open })),
    new RegExp(`is refused, because every user can read this file \\(mode 0644, owner uid ${euid}\\): run chmod o-r ${open}$`),
  );
});

test('a file that its group can change runs no command, and may say where the log is', async ({ write, ask }) => {
  const command = '[auth]\nuser = "u"\npassword_command = ["/bin/true"]';
  const path = write('a', command, 0o664);
  assert.match(
    refused(await ask({ path, isTrusted: true })),
    /a:3: key "password_command" in \[auth\] is refused, because its group can change/,
  );
  accepted(await ask({ path: write('b', command, 0o644), isTrusted: true }));
  assert.equal(accepted(await ask({ path: write('c', 'log = "/l"', 0o664), isTrusted: true })).log, '/l');
});

test('a file of another user is not obeyed, although the environment names it', async ({ own, system, write, ask }) => {
  write(own, host('own'));
  write(system, host('system'));
  // Everybody obeys a file of root, nobody that of a stranger.
  if (!isRoot) return assert.match(refused(await ask({ euid: 4712 })), /etc\.toml: is refused, because this file belongs to uid /);
  assert.equal(hostOf(await ask({ euid: 4713 })), 'own');
  chownSync(own, 4711, 4711);
  const answer = await ask({ euid: 4712 });
  assert.equal(hostOf(answer), 'system');
  assert.ok(answer.ok);
  assert.deepEqual(answer.warnings, [`${own}: belongs to uid 4711, not to uid 4712, and is ignored`]);
});

asRoot('S2: an administrator may name a file of his own with -C that holds what arguments may not bring', async ({ write, ask }) => {
  const path = write('own.toml', `${host('a')}log = "/l"\n`, 0o600);
  chownSync(path, 4711, 4711);
  assert.match(refused(await ask({ path, euid: 4711 })), /own\.toml:2: key "log" is refused/);
  assert.equal(accepted(await ask({ path, euid: 4711, isTrusted: true })).log, '/l');
  for (const word of ['syslog', 'none']) {
    const harmless = write('harmless.toml', `log = "${word}"`);
    chownSync(harmless, 4711, 4711);
    assert.equal(accepted(await ask({ path: harmless, euid: 4711 })).log, word);
  }
});

/** Asks in a child that has given up its uid, because permissions do not bind root. */
function askAs(uid: number, request: Omit<ConfigRequest, 'euid'>): ConfigAnswer {
  const module = new URL('../../src/config/read.ts', import.meta.url).href;
  const script = `
    ${isRoot ? `const { readConfig } = await import(${JSON.stringify(module)}); await import(${JSON.stringify(module.replace('read.ts', 'toml.ts'))}); process.setgroups([]); process.setgid(${uid}); process.setuid(${uid});` : `const { readConfig } = await import(${JSON.stringify(module)});`}
    console.log(JSON.stringify(await readConfig({ ...${JSON.stringify(request)}, euid: process.geteuid() })));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    encoding: 'utf8',
    timeout: 20_000,
    env: { ...process.env, NODE_EXTRA_CA_CERTS: '' },
  });
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as ConfigAnswer;
}

test('a file that cannot be read names path, uid and mode', ({ folder, own, system, write }) => {
  const uid = isRoot ? 4713 : euid;
  chmodSync(folder, 0o755);
  write(system, host('system'), 0o200);
  const home = path.dirname(path.dirname(path.dirname(own)));
  const request = { path: null, env: {}, home, systemFile: system };
  const owner = `its owner uid ${euid} and gid ${process.getgid?.()}`;
  assert.equal(
    refused(askAs(uid, request)),
    `${system}: cannot be read by uid ${uid}; its mode is 0200, ${owner}: let this user read it, by its group for instance: chgrp GROUP ${system}; chmod g+r ${system}`,
  );
  // A service with a closed home (ProtectHome=) still has the system file.
  write(system, host('system'), 0o644);
  write(own, host('own'), 0o600);
  chmodSync(home, 0);
  const closed = askAs(uid, request);
  assert.equal(hostOf(closed), 'system');
  assert.ok(closed.ok);
  assert.match(
    closed.warnings[0] ?? '',
    /cannot be read by uid \d+; a directory above it is closed to this user, \S+home \(mode 0000, owner uid \d+\): run chmod o\+x \S+home; it is ignored$/,
  );
  chmodSync(home, 0o755);
  mkdirSync(path.join(folder, 'etc.d'), { mode: 0o700 });
  if (isRoot) assert.match(refused(askAs(uid, { ...request, home: null })), /etc\.d: cannot be read by uid \d+; its mode is 0700/);
  rmSync(path.join(folder, 'etc.d'), { recursive: true });
  write(system, 'lock = true', 0o200);
  write(own, host('own'), 0o644);
  assert.equal(hostOf(askAs(uid, request)), 'own', 'a lock that this user cannot read is not for this user');
  write(own, host('own'), 0o200);
  assert.match(refused(askAs(uid, request)), /config\.toml: cannot be read by uid \d+; its mode is 0200/);
  if (!isRoot) return;
  write(system, host('system'), 0o644);
  chownSync(own, 4711, 4711);
  const foreign = askAs(uid, request);
  assert.equal(hostOf(foreign), 'system');
  assert.deepEqual(foreign.ok && foreign.warnings, [`${own}: belongs to uid 4711, not to uid ${uid}, and is ignored`]);
  chownSync(system, 4711, 4711);
  chmodSync(system, 0o600);
  assert.match(
    refused(askAs(uid, { ...request, home: null })),
    /etc\.toml: cannot be read by uid \d+; its mode is 0600, its owner uid 4711/,
  );
});

/** The modules that a module loads by static imports, at any depth. */
function loads(file: string, found = new Set<string>()): ReadonlySet<string> {
  for (const [, from] of readFileSync(file, 'utf8').matchAll(/^(?:import|export) (?!type )[^;]*? from '([^']+)'/gm)) {
    const target = from?.startsWith('.') ? path.resolve(path.dirname(file), from) : (from as string);
    if (found.has(target)) continue;
    found.add(target);
    if (path.isAbsolute(target)) loads(target, found);
  }
  return found;
}

test('reading loads nothing heavy', () => {
  const all = [...loads(fileURLToPath(new URL('../../src/config/read.ts', import.meta.url)))];
  assert.deepEqual(all.filter((name) => !path.isAbsolute(name)).sort(), ['node:fs', 'smol-toml']);
  assert.deepEqual(
    all.filter((name) => /(import[\w-]*|starter)\.ts$/.test(name)),
    [],
  );
  assert.ok(all.length > 8);
});

/* ---- files beside the system file ---- */

test('files of the folder beside the system file are one configuration with it, in the order of their names', async ({
  folder,
  system,
  write,
  ask,
}) => {
  mkdirSync(path.join(folder, 'etc.d'));
  const router = (name: string): string => `[[router]]\nname = "${name}"\ndriver = "manualroute"\nhosts = ["${name}.example"]\n`;
  const third = write('etc.d/30-tls.toml', `[tls]\nmode = "required"\n${router('third')}`);
  const alone = accepted(await ask());
  assert.deepEqual([alone.path, alone.files], [third, [third]], 'without the system file itself');
  write(system, `${host('system')}[tls]\nmin_version = "1.3"\n${router('first')}`);
  const second = write('etc.d/20-log.toml', `log = "none"\n${router('second')}`);
  for (const other of ['.hidden.toml', '20-log.toml~', 'readme']) write(`etc.d/${other}`, 'nothing of ours');
  const config = accepted(await ask());
  assert.deepEqual([config.path, config.files], [system, [system, second, third]]);
  assert.deepEqual([config.log, config.smarthosts[0]?.tls.mode, config.smarthosts[0]?.tls.minVersion], ['none', 'required', '1.3']);
  assert.deepEqual(
    config.routers.map(({ name }) => name),
    ['first', 'second', 'third'],
  );
  assert.deepEqual(accepted(await ask({ path: system })).files, config.files, 'also where -C names the system file');
  const named = write('named.toml', host('named'));
  assert.deepEqual(accepted(await ask({ path: named })).files, [named], 'but not beside another one');
});

test('a key that two of them set is an error that names both places, and every error names its own file', async ({
  folder,
  system,
  write,
  ask,
}) => {
  mkdirSync(path.join(folder, 'etc.d'));
  write(system, `${host('system')}\n[tls]\nmode = "required"\n`);
  const part = write('etc.d/10.toml', `\n${host('part')}[tls]\n\nmode = "off"\n`);
  const answer = await ask();
  assert.deepEqual(answer.ok ? [] : answer.errors, [
    `${part}:2: key "smarthosts" is in ${system}:1, too: keep one of them`,
    `${part}:5: key "mode" in [tls] is in ${system}:4, too: keep one of them`,
  ]);
  write(part, 'tls = 3\n');
  assert.equal(refused(await ask()), `${part}:1: key "tls" is in ${system}:3, too: keep one of them`);
  write(system, `${host('system')}\n\n\nnothing = 1\n[[router]]\nname = "a"\n`);
  write(part, '\n[[router]]\nname = "b"\ndriver = "none"\n[auth]\nwho = 1\n');
  const wrong = await ask();
  const places = (wrong.ok ? [] : wrong.errors).map((error) => error.replace(/^(\S+: (?:key "\w+"|\[\[router\]\])).*$/s, '$1'));
  assert.deepEqual(places, [`${system}:5: key "nothing"`, `${system}:6: [[router]]`, `${part}:4: key "driver"`, `${part}:6: key "who"`]);
  write(system, `${host('system')}[tls]\nmode = "required"\n`);
  write(part, '\n[tls]\nmin_version = "9"\n');
  assert.match(refused(await ask()), /10\.toml:3: key "min_version" in \[tls\] expects/, 'a table that both have');
  write(part, '\n\ndsn = "no"\n');
  assert.match(refused(await ask()), /10\.toml:3: key "dsn" expects/);
  write(system, '[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\n');
  write(part, 'smarthosts = [\n"a",\n"b:x"]\n');
  assert.match(refused(await ask()), /10\.toml:3: key "smarthosts": port/, 'a list behind routers of the other');
  write(system, `${host('system')}[tls]\nmode = "required"\n`);
  write(part, 'dsn = "drop"\n');
  const third = write('etc.d/20.toml', '\ndsn = "drop"\n');
  assert.equal(refused(await ask()), `${third}:2: key "dsn" is in ${part}:1, too: keep one of them`);
  write(system, host('system'));
  for (const file of [part, third]) write(file, '[tls]\nmode = "off"\n');
  assert.equal(refused(await ask()), `${third}:2: key "mode" in [tls] is in ${part}:2, too: keep one of them`);
  rmSync(third);
  write(part, 'a = \n');
  assert.match(refused(await ask()), /10\.toml:1: this is not TOML/);
});

test('the lock counts in any of them, and one that cannot be read does not open it', async ({ folder, system, own, write, ask }) => {
  mkdirSync(path.join(folder, 'etc.d'));
  write(system, host('system'));
  write(own, host('own'));
  const part = write('etc.d/10.toml', 'lock = true\n');
  assert.equal(hostOf(await ask()), 'system');
  write(part, 'lock = false\n');
  assert.equal(hostOf(await ask()), 'own');
  const answer = await ask({ home: null });
  assert.ok(answer.ok && answer.warnings.length === 0, 'lock is known in each');
  write(part, 'lock = true\n');
  mkdirSync(path.join(folder, 'etc.d/20.toml'));
  assert.match(refused(await ask()), /20\.toml: is a directory/);
  rmSync(path.join(folder, 'etc.d/20.toml'), { recursive: true });
  const open = write('etc.d/20.toml', '', 0o646);
  assert.match(refused(await ask()), /20\.toml: is refused, because every user can change this file/);
  rmSync(open);
  write('etc.d/a\nb.toml', 'nonsense = 1\n');
  assert.match(refused(await ask()), /nonsense/, 'a name of two lines is a name');
  rmSync(path.join(folder, 'etc.d/a\nb.toml'));
  // Less would be in force than was written, the lock perhaps.
  symlinkSync('/nonexistent', path.join(folder, 'etc.d/20.toml'));
  assert.match(refused(await ask()), /20\.toml: links to nothing$/);
  rmSync(path.join(folder, 'etc.d'), { recursive: true });
  rmSync(system);
  symlinkSync('/nonexistent', system);
  assert.match(refused(await ask()), /: links to nothing$/);
  rmSync(system);
  write('etc.d', 'no folder');
  assert.equal(hostOf(await ask()), 'own');
  assert.equal(accepted(await ask({ home: null })).path, '');
});

test('each of them may hold what its own owner and mode allow', async ({ folder, system, write, ask }) => {
  mkdirSync(path.join(folder, 'etc.d'));
  write(system, '', 0o644);
  write('etc.d/50-auth.toml', `${host('a.example')}[auth]\nuser = "u"\npassword = "p"\n`, 0o640);
  assert.equal(accepted(await ask()).smarthosts[0]?.auth?.user, 'u');
  write(system, '[auth]\nmechanisms = ["PLAIN"]\n', 0o644);
  assert.equal(accepted(await ask()).smarthosts[0]?.auth?.user, 'u', 'also in a table that an open file has, too');
  write(system, '[auth]\npassword = "p"\n', 0o644);
  write('etc.d/50-auth.toml', `${host('a.example')}[auth]\nuser = "u"\n`, 0o640);
  assert.match(refused(await ask()), /etc\.toml:2: key "password" in \[auth\] is refused, because every user can read this file/);
  write(system, '', 0o644);
  write('etc.d/50-auth.toml', `${host('a.example')}[auth]\nuser = "u"\npassword = "p"\n`, 0o644);
  assert.match(refused(await ask()), /50-auth\.toml:4: key "password" in \[auth\] is refused, because every user can read this file/);
  // The place in a list belongs to the file that has the list.
  const table = '\nsmarthosts = [{ url = "a.example", auth = { user = "u", password = "p" } }]\n';
  write(system, table, 0o644);
  write('etc.d/50-auth.toml', '', 0o640);
  assert.match(refused(await ask()), /etc\.toml:2: key "password" in auth of a smart host is refused, because every user can read/);
  write(system, table, 0o640);
  write('etc.d/50-auth.toml', '', 0o644);
  assert.equal(accepted(await ask()).smarthosts[0]?.auth?.user, 'u');
});

test.run();
