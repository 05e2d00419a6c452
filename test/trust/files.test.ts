/**
 * Whose files the built commands obey: as root, as an ordinary user, from a read-only mount; and what a file may hold that an
 * argument names. Needs root, which gives files away.
 * Loopback: whose file it is decides, before anything connects; the smart host only shows that what is obeyed sends.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sink } from '../../src/testing/sink.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, type Ended, killAll, RUNTIME, type SmartHost, scratch, smartHost } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suiteWith('whose files are obeyed', 'root', 'unshare');
test.after(killAll);

const NOSPOOL = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));
const [USER, STRANGER] = [65_534, 4711];
const LETTER = 'From: a@b.example\nSubject: x\n\nhello\n';

interface Running {
  readonly uid?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** A shell script that runs "$@" in a mount namespace of its own. */
  readonly within?: string;
  readonly program?: string;
}

function run(args: readonly string[], { uid, env = {}, input = LETTER, within: script, program = COMMAND }: Running = {}): Promise<Ended> {
  const as = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const inside = script === undefined ? [] : ['unshare', '--mount', 'sh', '-e', '-c', script, 'sh'];
  const [word, ...words] = [...inside, ...as, ...RUNTIME, program, ...args] as [string, ...string[]];
  const child = spawn(word, words, { env: { ...ENVIRONMENT, PATH: '/usr/bin:/bin:/usr/sbin:/sbin', ...env }, stdio: 'pipe' });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const ended = () => new Promise<Ended>((resolve) => child.on('close', (status, signal) => resolve({ status, signal, ...said })));
  return within(20_000, ended).finally(() => child.kill('SIGKILL'));
}

/** A folder that anybody may enter. */
function openFolder(): string {
  const folder = scratch();
  chmodSync(folder, 0o755);
  return folder;
}

function file(name: string, text: string, mode = 0o644, owner = 0): string {
  writeFileSync(name, text);
  chownSync(name, owner, owner);
  chmodSync(name, mode);
  return name;
}

const TOML = 'smarthosts = ["smtp://127.0.0.1:9"]\nqualify_domain = "b.example"\naliases = []\nlog = "none"\n';
const ROUTE = ['-bt', 'x@y.example'];

/** uid, owner and mode of the file, the words that refuse it (null: obeyed). */
const CONFIGS: readonly (readonly [number, number, number, RegExp | null])[] = [
  [0, 0, 0o644, null],
  [0, 0, 0o664, null],
  [0, 0, 0o646, /^sendmail: \S+: is refused, because every user can change this file \(mode 0646, owner uid 0\): run chmod o-w \S+\n$/],
  [
    0,
    STRANGER,
    0o600,
    /^sendmail: \S+: is refused, because this file belongs to uid 4711 \(mode 0600\), not to root: run chown root \S+\n$/,
  ],
  [USER, 0, 0o644, null],
  [USER, USER, 0o600, null],
  [USER, USER, 0o602, /every user can change this file/],
  [USER, STRANGER, 0o644, /belongs to uid 4711 \(mode 0644\), not to root or to the user who runs this \(uid 65534\): run chown root/],
];
for (const [uid, owner, mode, refused] of CONFIGS)
  test(`S3: -C and NOSPOOL_CONFIG, as uid ${uid}: a file of uid ${owner}, mode ${mode.toString(8)}`, async () => {
    const config = file(path.join(openFolder(), 'c.toml'), TOML, mode, owner);
    for (const [args, env] of [
      [['-C', config], {}],
      [[], { NOSPOOL_CONFIG: config }],
    ] as const) {
      const { status, stderr } = await run([...args, ...ROUTE], { uid, env });
      assert.equal(status, refused === null ? 0 : 1, stderr);
      if (refused !== null) assert.match(stderr, refused);
    }
    const checked = await run(['route', '--config', config, 'x@y.example'], { uid, program: NOSPOOL });
    assert.equal(checked.status, refused === null ? 0 : 1, checked.stderr);
  });

test('S3: the system file is refused before anything of it is read', async () => {
  const folder = openFolder();
  const within =
    'mount -t tmpfs none /etc; cp "$CONFIG" /etc/nospool.toml; chown "$OWNER" /etc/nospool.toml; chmod "$MODE" /etc/nospool.toml; exec "$@"';
  const config = file(path.join(folder, 'c.toml'), `lock = true\n${TOML}`);
  for (const [owner, mode, uid, status] of [
    [0, '644', USER, 0],
    [0, '646', USER, 1],
    [0, '646', 0, 1],
    [STRANGER, '644', USER, 1],
    [STRANGER, '644', 0, 1],
  ] as const) {
    const ended = await run(ROUTE, { uid, within, env: { CONFIG: config, OWNER: String(owner), MODE: mode } });
    assert.equal(ended.status, status, `${owner} ${mode} ${uid}: ${ended.stderr}`);
    if (status === 1) assert.match(ended.stderr, /^sendmail: \/etc\/nospool\.toml: is refused, because /);
  }
});

test('S3: where a user may not read the folder beside the system file, nothing is sent by the half of it', async () => {
  const config = file(path.join(openFolder(), 'c.toml'), TOML);
  const within = 'mount -t tmpfs none /etc; cp "$CONFIG" /etc/nospool.toml; mkdir -m 711 /etc/nospool.d; exec "$@"';
  for (const [uid, said] of [
    [0, null],
    [USER, /^sendmail: \/etc\/nospool\.d: cannot be read by uid 65534/],
  ] as const) {
    const ended = await run(ROUTE, { uid, within, env: { CONFIG: config } });
    assert.equal(ended.status, said === null ? 0 : 1, ended.stderr);
    if (said !== null) assert.match(ended.stderr, said);
  }
});

test('S3: the user’s own file is refused if its group may change it, unless nobody else is in the group', async () => {
  const home = openFolder();
  mkdirSync(path.join(home, 'nospool'));
  const own = path.join(home, 'nospool/config.toml');
  const passwd = file(path.join(home, 'passwd'), 'root:x:0:0::/root:/bin/sh\ntim:x:65534:65534::/nonexistent:/bin/sh\n');
  const group = path.join(home, 'group');
  const within = `mount --bind ${passwd} /etc/passwd; mount --bind ${group} /etc/group; exec "$@"`;
  for (const [members, mode, refused] of [
    ['', 0o664, null],
    ['tim', 0o664, null],
    ['tim,tom', 0o664, /because its group can change this file \(mode 0664, owner uid 65534\): run chmod g-w /],
    ['', 0o666, /because every user can change this file/],
  ] as const) {
    file(group, `root:x:0:\ntim:x:65534:${members}\n`);
    file(own, TOML, mode, USER);
    const { status, stderr } = await run(ROUTE, { uid: USER, env: { XDG_CONFIG_HOME: home }, within });
    assert.equal(status, refused === null ? 0 : 1, stderr);
    if (refused !== null) assert.match(stderr, refused);
  }
});

test('S3: on a read-only mount neither owner nor mode matter, as in a container that runs as root or as any uid', async () => {
  const folder = openFolder();
  const mount = `mount --bind ${folder} ${folder}`;
  for (const [owner, mode] of [
    [STRANGER, 0o644],
    [STRANGER, 0o666],
    [0, 0o666],
  ] as const)
    for (const uid of [0, USER, 10_001]) {
      const config = file(path.join(folder, 'c.toml'), TOML, mode, owner);
      const writable = await run(['-C', config, ...ROUTE], { uid, within: `${mount}; exec "$@"` });
      assert.match(writable.stderr, /is refused, because .*, or mount it read-only\n$/);
      const readOnly = await run(['-C', config, ...ROUTE], { uid, within: `${mount}; mount -o remount,ro,bind ${folder}; exec "$@"` });
      assert.equal(readOnly.status, 0, readOnly.stderr);
    }
});

test('S3: a file in a volume of Kubernetes is obeyed: symbolic links into a folder of root, readable by the group', async () => {
  const folder = openFolder();
  mkdirSync(path.join(folder, '..2026'));
  file(path.join(folder, '..2026/nospool.toml'), TOML, 0o640, 0);
  chownSync(path.join(folder, '..2026/nospool.toml'), 0, USER);
  symlinkSync('..2026', path.join(folder, '..data'));
  symlinkSync('..data/nospool.toml', path.join(folder, 'nospool.toml'));
  const { status, stderr } = await run(ROUTE, { uid: USER, env: { NOSPOOL_CONFIG: path.join(folder, 'nospool.toml') } });
  assert.equal(status, 0, stderr);
});

test('S12: a named pipe as configuration, alias file or included file holds nobody up', async () => {
  const folder = openFolder();
  const pipe = path.join(folder, 'pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const refused = /is refused, because it is not a regular file/;
  for (const [args, env] of [
    [['-C', pipe, 'a@b.example'], {}],
    [['a@b.example'], { NOSPOOL_CONFIG: pipe }],
    [['-C', pipe, '-bt', 'a'], {}],
    [['-C', '/dev/zero', 'a@b.example'], {}],
  ] as const)
    assert.match((await run(args, { env })).stderr, refused);
  const aliases = file(path.join(folder, 'aliases'), `l: :include:${pipe}\n`);
  const config = file(path.join(folder, 'c.toml'), TOML.replace('aliases = []', `aliases = ["${aliases}"]`));
  assert.match((await run(['-C', config, '-bv', 'l'])).stderr, refused);
  const other = file(path.join(folder, 'd.toml'), TOML.replace('aliases = []', `aliases = ["${pipe}"]`));
  assert.match((await run(['-C', other, '-bv', 'l'])).stderr, refused);
  assert.equal(
    (await run(['-C', '/dev/null', '-f', 'x@y.example', 'a@b.example'])).stderr.includes('no smart host is configured'),
    true,
    '/dev/null is no file at all',
  );
});

/** Owner and mode of the alias file; of the file that it includes; the words that refuse. */
const ALIASES: readonly (readonly [number, number, number, number, RegExp | null])[] = [
  [0, 0o644, 0, 0o644, null],
  [USER, 0o664, USER, 0o664, null],
  [0, 0o644, USER, 0o644, null],
  [0, 0o646, 0, 0o644, /aliases is refused, because every user can change this file/],
  [STRANGER, 0o644, 0, 0o644, /aliases is refused, because this file belongs to uid 4711/],
  [0, 0o644, 0, 0o646, /list is refused, because every user can change this file/],
  [
    0,
    0o644,
    STRANGER,
    0o644,
    /list is refused, because this file belongs to uid 4711 \(mode 0644\), not to root or to the user who runs this \(uid 65534\): run chown root/,
  ],
];
for (const [owner, mode, listOwner, listMode, refused] of ALIASES)
  test(`S3: aliases of uid ${owner}, mode ${mode.toString(8)}, that include a file of uid ${listOwner}, mode ${listMode.toString(8)}`, async () => {
    const folder = openFolder();
    const list = file(path.join(folder, 'list'), 'ann@c.example\n', listMode, listOwner);
    const aliases = file(path.join(folder, 'aliases'), `l: :include:${list}\n`, mode, owner);
    const config = file(path.join(folder, 'c.toml'), TOML.replace('aliases = []', `aliases = ["${aliases}"]`));
    for (const args of [['-bv', 'l'], ['-bi']]) {
      const { status, stderr } = await run(['-C', config, ...args], { uid: USER });
      assert.equal(status, refused === null ? 0 : 1, stderr);
      if (refused !== null) assert.match(stderr, refused);
    }
  });

test('S3: the owner of an alias file may own the files that it includes, at any depth, and nobody else may', async () => {
  const folder = openFolder();
  const inner = file(path.join(folder, 'inner'), 'ann@c.example\n', 0o644, STRANGER);
  const outer = file(path.join(folder, 'outer'), `:include:${inner}\n`, 0o644, STRANGER);
  const direct = file(path.join(folder, 'direct'), `:include:${outer}\n`, 0o644, 0);
  const aliases = file(path.join(folder, 'aliases'), `own: :include:${outer}\nroots: :include:${direct}\n`, 0o644, STRANGER);
  const config = file(path.join(folder, 'c.toml'), TOML.replace('aliases = []', `aliases = ["${aliases}"]`));
  const readOnlyFor = (args: readonly string[]) => run(['-C', config, ...args], { uid: USER });
  assert.match((await readOnlyFor(['-bv', 'own'])).stderr, /aliases is refused/, 'the alias file itself is a stranger’s');
  chownSync(aliases, USER, USER);
  assert.match((await readOnlyFor(['-bv', 'own'])).stderr, /outer is refused/);
  chownSync(outer, USER, USER);
  chownSync(inner, USER, USER);
  assert.equal((await run(['-C', config, '-bv', 'own'], { uid: USER })).status, 0);
  // Root obeys neither, and what root's file includes is root's.
  assert.match((await run(['-C', config, '-bv', 'own'])).stderr, /aliases is refused/);
  chownSync(aliases, 0, 0);
  assert.match((await run(['-C', config, '-bv', 'roots'])).stderr, /outer is refused/);
});

/* ---- secrets ---- */

async function withAuth(work: (host: SmartHost) => Promise<void>): Promise<void> {
  const host = await smartHost(undefined, { mechanisms: ['PLAIN'], authRequired: true, authInClear: true });
  try {
    await work(host);
  } finally {
    await host.close();
  }
}

for (const [uid, owner, mode, refused] of [
  [0, 0, 0o600, null],
  [USER, USER, 0o640, null],
  [USER, 0, 0o644, /every user can read this file \(mode 0644, owner uid 0\): run chmod o-r/],
  [0, STRANGER, 0o600, /belongs to uid 4711 \(mode 0600\), not to root: run chown root/],
  [
    USER,
    0,
    0o600,
    /password_file \S+ cannot be read by uid 65534; its mode is 0600, its owner uid 0 and gid 0: let this user read it, by its group for instance: chgrp GROUP \S+; chmod g\+r \S+\n/,
  ],
] as const)
  test(`S3: password_file, as uid ${uid}: a file of uid ${owner}, mode ${mode.toString(8)}`, () =>
    withAuth(async (host) => {
      const folder = openFolder();
      const password = file(path.join(folder, 'password'), 'secret\n', mode, owner);
      const auth = `[auth]\nuser = "u"\npassword_file = "${password}"\n`;
      const config = file(path.join(folder, 'c.toml'), `${TOML.replace(':9"', `:${host.port}"`)}${auth}`);
      const { status, stderr } = await run(['-C', config, '-f', 'a@b.example', 'c@d.example'], { uid });
      assert.equal(status, refused === null ? 0 : 1, stderr);
      if (refused !== null) assert.match(stderr, refused);
    }));

/** The command of this configuration makes a file when it runs. */
const commanding = (folder: string, port: number, key = 'password_command'): string =>
  `${TOML.replace(':9"', `:${port}"`)}[auth]\nuser = "u"\n${key} = ["/bin/sh", "-c", "touch ${folder}/ran; echo secret"]\n`;

test('S2: a file that -C names runs no command unless root owns it; NOSPOOL_CONFIG may name it', () =>
  withAuth(async (host) => {
    const sent = ['-f', 'a@b.example', 'c@d.example'];
    for (const [uid, owner, args, runs] of [
      [USER, USER, 'C', false],
      [USER, USER, 'env', true],
      [USER, 0, 'C', true],
      [0, 0, 'C', true],
      [0, STRANGER, 'C', false],
    ] as const) {
      const folder = openFolder();
      chmodSync(folder, 0o777);
      const config = file(path.join(folder, 'c.toml'), commanding(folder, host.port), 0o600 | (owner === 0 ? 0o044 : 0), owner);
      const given = args === 'C' ? { words: ['-C', config], env: {} } : { words: [], env: { NOSPOOL_CONFIG: config } };
      const { status, stderr } = await run([...given.words, ...sent], { uid, env: given.env });
      assert.equal(status, runs ? 0 : 1, `${uid} ${owner} ${args}: ${stderr}`);
      assert.equal(existsSync(path.join(folder, 'ran')), runs);
      if (!runs && owner === uid)
        assert.match(
          stderr,
          /c\.toml:\d+: key "password_command" in \[auth\] is refused, because this file belongs to uid 65534 \(mode 0600\), not to root, and -C names it: run chown root \S+, or name it by NOSPOOL_CONFIG\n$/,
        );
    }
  }));

test('a file of procfs is not obeyed, because root owns there what any program has written', async () => {
  const { status, stderr } = await run(['-C', '/proc/version', '-f', 'a@b.example', 'c@d.example'], { uid: USER });
  assert.equal(status, 1);
  assert.match(
    stderr,
    /\/proc\/version: is refused, because it is on procfs, where root owns what any program has written: copy it to a file$/m,
  );
});

test('S2: a file that -C names runs no command of a stranger on a read-only mount, either', () =>
  withAuth(async (host) => {
    const folder = openFolder();
    const config = file(path.join(folder, 'c.toml'), commanding('/tmp', host.port), 0o644, STRANGER);
    const { status, stderr } = await run(['-C', config, '-f', 'a@b.example', 'c@d.example'], {
      uid: USER,
      within: `mount --bind ${folder} ${folder}; mount -o remount,ro,bind ${folder}; exec "$@"`,
    });
    assert.equal(status, 1);
    assert.match(stderr, /key "password_command" in \[auth\] is refused/);
  }));

test('S2: a file that -C names has no token_command either, nor a token_file of root’s', () =>
  withAuth(async (host) => {
    const folder = openFolder();
    chmodSync(folder, 0o777);
    const token = file(path.join(folder, 'token'), 'secret\n', 0o640);
    chownSync(token, 0, USER);
    const top = TOML.replace(':9"', `:${host.port}"`);
    for (const [text, refused] of [
      [
        commanding(folder, host.port, 'token_command'),
        /key "token_command" in \[auth\] is refused, because this file belongs to uid 65534/,
      ],
      [
        `${top}[auth]\nuser = "u"\ntoken_file = "${token}"\n`,
        /token_file \S+ is refused, because this file belongs to uid 0 \(mode 0640\)/,
      ],
    ] as const) {
      const config = file(path.join(folder, 'c.toml'), text, 0o600, USER);
      const { status, stderr } = await run(['-C', config, '-f', 'a@b.example', 'c@d.example'], { uid: USER });
      assert.equal(status, 1);
      assert.match(stderr, refused);
      assert.ok(!existsSync(path.join(folder, 'ran')));
    }
  }));

test('S3: password_command is refused where a group may change the file', async () => {
  const folder = openFolder();
  const config = file(path.join(folder, 'c.toml'), commanding(folder, 9), 0o664, 0);
  const { stderr } = await run([...ROUTE], { env: { NOSPOOL_CONFIG: config } });
  assert.match(
    stderr,
    /key "password_command" in \[auth\] is refused, because its group can change this file \(mode 0664, owner uid 0\): run chmod g-w/,
  );
});

test('S2: a file that -C names hands no password of root’s to the host that it names', () =>
  withAuth(async (host) => {
    const folder = openFolder();
    const roots = file(path.join(folder, 'roots'), 'secret\n', 0o640);
    chownSync(roots, 0, USER);
    const own = file(path.join(folder, 'own'), 'secret\n', 0o600, USER);
    for (const [owner, password, named, sends] of [
      [USER, roots, '-C', false],
      [USER, own, '-C', true],
      [USER, roots, 'NOSPOOL_CONFIG', true],
      [0, roots, '-C', true],
    ] as const) {
      const text = `${TOML.replace(':9"', `:${host.port}"`)}[auth]\nuser = "u"\npassword_file = "${password}"\n`;
      const config = file(path.join(folder, 'c.toml'), text, 0o644, owner);
      const words = named === '-C' ? ['-C', config] : [];
      const env = named === '-C' ? {} : { NOSPOOL_CONFIG: config };
      const { status, stderr } = await run([...words, '-f', 'a@b.example', 'c@d.example'], { uid: USER, env });
      assert.equal(status, sends ? 0 : 1, stderr);
      if (!sends)
        assert.match(
          stderr,
          /password_file \S+ is refused, because this file belongs to uid 0 \(mode 0640\), not to the user who runs this \(uid 65534\), and -C names the configuration: name it by NOSPOOL_CONFIG, or give it to root\n/,
        );
    }
  }));

test('S2: a file that -C names makes no recipients of what only some users may read', async () => {
  const folder = openFolder();
  const list = (name: string, mode: number, owner: number): string => {
    const made = file(path.join(folder, name), 'x: secret@y.example\n', mode);
    chownSync(made, owner, USER);
    return made;
  };
  const [roots, own, everybodys] = [list('roots', 0o640, 0), list('own', 0o600, USER), list('everybodys', 0o644, 0)];
  const included = file(path.join(folder, 'included'), 'secret@y.example\n', 0o640);
  chownSync(included, 0, USER);
  const routers = (line: string): string => `[[router]]\nname = "r"\ndriver = "redirect"\ndomains = ["*"]\n${line}\n`;
  for (const [lines, owner, named, isRead] of [
    [routers(`file = "${roots}"`), USER, '-C', false],
    [routers(`data = { x = ":include:${included}" }`), USER, '-C', false],
    [`aliases = ["${roots}"]\n`, USER, '-C', false],
    [routers(`file = "${own}"`), USER, '-C', true],
    [routers(`file = "${everybodys}"`), USER, '-C', true],
    [routers(`file = "${roots}"`), USER, 'NOSPOOL_CONFIG', true],
    [routers(`file = "${roots}"`), 0, '-C', true],
    [routers(`data = { x = ":include:${included}" }`), 0, '-C', true],
  ] as const) {
    const config = file(path.join(folder, 'c.toml'), TOML.replace('aliases = []\n', '') + lines, 0o644, owner);
    const words = named === '-C' ? ['-C', config] : [];
    const env = named === '-C' ? {} : { NOSPOOL_CONFIG: config };
    const { stdout, stderr } = await run([...words, '-bt', 'x@b.example'], { uid: USER, env });
    assert.equal(/secret/.test(stdout + stderr), isRead, stdout + stderr);
    if (!isRead)
      assert.match(
        stdout,
        /is refused, because this file belongs to uid 0 \(mode 0640\), not to the user who runs this \(uid 65534\), and -C names the configuration/,
      );
    if (isRead) continue;
    const sent = await run([...words, '-f', 'a@b.example', 'x@b.example'], { uid: USER, env });
    assert.equal(sent.status, 1);
    assert.match(sent.stderr, /deferred delivery: .*is refused/);
    const checked = await run([...words, '-bi'], { uid: USER, env });
    if (!lines.includes('data')) assert.match(checked.stdout + checked.stderr, /is refused/);
  }
});

test('S2: a file that -C names says where the log is only if root owns it', async () => {
  const folder = openFolder();
  chmodSync(folder, 0o777);
  const log = path.join(folder, 'page.php');
  for (const [value, owner, refused] of [
    [log, USER, true],
    [log, 0, false],
    ['syslog', USER, false],
    ['stderr', USER, false],
    ['none', USER, false],
  ] as const) {
    const config = file(path.join(folder, 'c.toml'), TOML.replace('log = "none"', `log = "${value}"`), 0o644, owner);
    const { status, stderr } = await run(['-C', config, ...ROUTE], { uid: USER });
    assert.equal(status, refused ? 1 : 0, stderr);
    if (refused) assert.match(stderr, /c\.toml:\d+: key "log" is refused, because this file belongs to uid 65534/);
    assert.equal((await run(ROUTE, { uid: USER, env: { NOSPOOL_CONFIG: config } })).status, 0);
    const asked = await run(['route', '--config', config, 'x@y.example'], { uid: USER, program: NOSPOOL });
    assert.equal(asked.status, 0, `no web form calls nospool: ${asked.stderr}`);
    assert.equal((await run(['-C', config, ...ROUTE], { uid: USER, env: { NOSPOOL_LOG: log } })).status, 0, 'no argument sets that');
  }
});

test('S3: a log is no way into another file: a symbolic link is followed only in a folder of root', async () => {
  for (const [owner, mode, followed] of [
    [0, 0o755, true],
    [0, 0o1777, false],
    [STRANGER, 0o755, false],
  ] as const) {
    const folder = openFolder();
    const target = file(path.join(folder, 'target'), '');
    const place = path.join(folder, 'place');
    mkdirSync(place);
    chownSync(place, owner, owner);
    chmodSync(place, mode);
    symlinkSync(target, path.join(place, 'log'));
    const config = file(path.join(folder, 'c.toml'), TOML.replace('log = "none"', `log = "${place}/log"`));
    const { stderr } = await run(['-C', config, '-f', 'a@b.example', 'c@d.example']);
    assert.equal(readFileSync(target, 'utf8') !== '', followed);
    if (!followed) assert.match(stderr, /cannot write the log \S+ as uid 0: it is a symbolic link, and others than root may change /);
  }
});

/* ---- ~/.forward ---- */

test('S7: nothing of another file, and no line of a ~/.forward, reaches whoever sends to its user', async () => {
  const folder = openFolder();
  const home = path.join(folder, 'home');
  mkdirSync(home);
  chownSync(home, USER, USER);
  const passwd = file(path.join(folder, 'passwd'), `root:x:0:0::/root:/bin/sh\njoe:x:${USER}:${USER}::${home}:/bin/sh\n`);
  const secret = file(path.join(folder, 'shadow'), 'root:$6$hash:19000::::::\nann@c.example\n', 0o600);
  const within = `mount --bind ${passwd} /etc/passwd; exec "$@"`;
  const config = file(
    path.join(folder, 'c.toml'),
    `${TOML.replace('log = "none"', `log = "${folder}/log"`)}[[router]]\nname = "forward"\ndriver = "redirect"\nforward = true\n`,
  );
  const forward = path.join(home, '.forward');
  const tried = async (make: () => void, refused: RegExp): Promise<void> => {
    rmSync(forward, { force: true });
    make();
    for (const args of [['joe'], ['-bv', 'joe'], ['-bt', 'joe'], ['-d', 'joe']]) {
      const { status, stdout, stderr } = await run(['-C', config, '-f', 'a@b.example', ...args], { within });
      assert.equal(status, 1, stderr);
      assert.match(stdout + stderr, refused);
      for (const text of [stdout, stderr, existsSync(`${folder}/log`) ? readFileSync(`${folder}/log`, 'utf8') : ''])
        assert.doesNotMatch(text, /hash|19000|ann@c|hunter2/);
    }
  };
  await tried(() => symlinkSync(secret, forward), /\.forward is refused, because it is a symbolic link/);
  await tried(() => linkSync(secret, forward), /\.forward is refused, because it has a second name/);
  await tried(() => void file(forward, `:include:${secret}\n`, 0o644, USER), /\.forward:1: a \.forward includes no file/);
  await tried(() => void file(forward, 'hunter2: x y\n', 0o644, USER), /\.forward:1: this is not an address/);
  await tried(() => void file(forward, '|/bin/hunter2 -x\n/home/joe/hunter2\n', 0o644, USER), /to a program/);
  await tried(() => void file(forward, ':fail: hunter2\n', 0o644, USER), /yielded a failed delivery/);
  await tried(
    () => void file(forward, 'x@y.example\n', 0o664, USER),
    /its group can change this file \(mode 0664, owner uid 65534\): run chmod g-w/,
  );
  await tried(() => void file(forward, 'x@y.example\n', 0o644, STRANGER), /belongs to uid 4711 .*: run chown 65534 /);
  rmSync(forward);
  file(forward, 'x@y.example\n', 0o644, USER);
  assert.equal((await run(['-C', config, '-bv', 'joe'], { within })).status, 0);
  // The user sees the own lines.
  file(forward, 'hunter2: x y\n', 0o644, USER);
  assert.match((await run(['-C', config, '-bv', 'joe'], { within, uid: USER })).stderr, /hunter2/);
});

/* ---- the lock ---- */

const ETC = 'mount -t tmpfs none /etc; cp "$FOLDER/passwd" /etc/passwd';

test('a closed folder is named where it is, behind links of files and of folders', async () => {
  const folder = openFolder();
  for (const name of ['open', 'closed', 'closed/deep']) mkdirSync(`${folder}/${name}`);
  file(`${folder}/closed/deep/toml`, '');
  chmodSync(`${folder}/closed`, 0o700);
  symlinkSync('../closed/deep/toml', `${folder}/open/relative`);
  symlinkSync(`${folder}/closed/deep/toml`, `${folder}/open/absolute`);
  symlinkSync('absolute', `${folder}/open/twice`);
  symlinkSync(`${folder}/closed/deep`, `${folder}/open/deep`);
  for (const [name, said] of [
    ['open/relative', `${folder}/open/../closed`],
    ['open/absolute', `${folder}/closed`],
    ['open/twice', `${folder}/closed`],
    ['open/deep/toml', `${folder}/closed`],
    ['open/deep/none', `${folder}/closed`],
  ] as const) {
    const { status, stderr } = await run(['-C', `${folder}/${name}`, 'a@example.org'], { uid: USER });
    assert.equal(status, 1);
    assert.equal(
      stderr.split('\n')[0],
      `sendmail: ${folder}/${name}: cannot be read by uid ${USER}; a directory above it is closed to this user, ${said} (mode 0700, owner uid 0): run chmod o+x ${said}`,
    );
  }
});

test('S2: nospool init as root writes lock = true and says what that means; check says when it is not there', async () => {
  const folder = openFolder();
  file(path.join(folder, 'passwd'), 'root:x:0:0::/root:/bin/sh\n');
  const host = await smartHost();
  const env = { FOLDER: folder, PORT: String(host.port), NODE: RUNTIME.join(' '), NOSPOOL };
  const made = await run(['init', '--smarthost', `smtp://127.0.0.1:${host.port}`, '--domain', 'b.example'], {
    program: NOSPOOL,
    env,
    within: `${ETC}; "$@"; cp /etc/nospool.toml "$FOLDER/made"; $NODE "$NOSPOOL" check >"$FOLDER/checked"; sed -i /lock/d /etc/nospool.toml; $NODE "$NOSPOOL" check >"$FOLDER/unlocked"; $NODE "$NOSPOOL" check --json >"$FOLDER/json"; exec setpriv --reuid=65534 --regid=65534 --clear-groups $NODE "$NOSPOOL" check >"$FOLDER/users"`,
  });
  assert.equal(made.status, 0, made.stderr);
  assert.match(readFileSync(path.join(folder, 'made'), 'utf8'), /^lock = true$/m);
  assert.match(made.stdout, /\nIt is locked: files of users, -C and the environment cannot put another configuration in its place\.\n/);
  const said = (name: string) => readFileSync(path.join(folder, name), 'utf8').replace(/\s+/g, ' ');
  assert.doesNotMatch(said('checked'), /locked/);
  assert.match(
    said('unlocked'),
    /warning \/etc\/nospool\.toml is not locked: files of users, -C and the environment are used in its place;/,
  );
  assert.match(JSON.parse(readFileSync(path.join(folder, 'json'), 'utf8')).warnings.join(), /is not locked/);
  assert.doesNotMatch(said('users'), /locked/);
  await host.close();
});

test('S2: under a locked configuration the caller does not name whom to trust', async () => {
  await using host = await sink({ tls: 'implicit' });
  await using other = await sink({ tls: 'implicit' });
  const folder = openFolder();
  const [own, system] = [host, other].map(({ certificate }, i) => file(path.join(folder, `${i}.pem`), certificate ?? ''));
  const text = `[tls]\nmode = "required"\n`;
  const within =
    'mount -t tmpfs none /etc; mkdir -p /etc/ssl/certs; cp "$SYSTEM" /etc/ssl/certs/ca-certificates.crt; cp "$CONFIG" /etc/nospool.toml; exec "$@"';
  for (const lock of [true, false]) {
    const top = `lock = ${lock}\n${TOML.replace('smtp://127.0.0.1:9', `submissions://127.0.0.1:${host.port}`)}`;
    const env = { CONFIG: file(path.join(folder, 'c.toml'), top + text), SYSTEM: system ?? '', SSL_CERT_FILE: own ?? '' };
    for (const [program, args] of [
      [COMMAND, ['-f', 'a@b.example', 'c@d.example']],
      [COMMAND, ['-bs']],
      [NOSPOOL, ['send', '--from', 'a@b.example', '--to', 'c@d.example', '-']],
      [NOSPOOL, ['check', '--json']],
    ] as const) {
      const input = args[0] === '-bs' ? `MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n${LETTER}.\r\n` : LETTER;
      const { status, stdout, stderr } = await run(args, { program, within, env, input: input.replace(/\r?\n/g, '\r\n') });
      assert.equal(status, lock ? 1 : 0, `${args}: ${stdout}${stderr}`);
      if (lock) assert.match(stdout + stderr, /no trusted CA|certificate/, `${args}`);
    }
    assert.equal(host.messages.length, lock ? 0 : 3);
  }
});

test('P10: whoever the program was installed set-id for, it does nothing', async () => {
  for (const word of ['--euid=65534', '--egid=65534'])
    for (const args of [['-f', 'a@b.example', 'c@d.example'], ['-bp'], ['-bs']]) {
      const within = `mount -t tmpfs none /var/log; exec setpriv ${word} --clear-groups "$@"`;
      const { status, stdout, stderr } = await run(args, { within });
      assert.equal(status, 1, `${word} ${args}`);
      assert.match(stderr, /^sendmail: nospool must not be installed set-id: it needs no privilege; run chmod u-s,g-s on it\n/);
      assert.equal(stdout.slice(0, 4), args.includes('-bs') ? '554 ' : '', stdout);
    }
});

test.run();
