/**
 * Users who can send: the report of `nospool check`, and the errors of users who cannot. Needs root, which may give files
 * away. Loopback: the owner of a file decides, and this side finds it out.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suiteWith } from '../interop/support/needs.ts';
import { nospool } from '../support/admin.ts';
import { ENVIRONMENT, killAll, RUNTIME, run, scratch, smartHost } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suiteWith('who can send', 'root', 'unshare', 'python3');
test.after(killAll);

const NOBODY = { uid: 65_534, gid: 65_534 };
const NOSPOOL = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));
const LETTER = 'Subject: x\n\nhello\n';

interface Place {
  readonly config: string;
  readonly password: string;
  readonly log: string;
}

/** A configuration that everybody may read, with a password of the given mode. */
function place(port: number, mode: number, more = ''): Place {
  const folder = scratch();
  chmodSync(folder, 0o755);
  const [config, password, log] = ['nospool.toml', 'password', 'log'].map((name) => path.join(folder, name)) as [string, string, string];
  writeFileSync(password, 'secret\n');
  chmodSync(password, mode);
  writeFileSync(log, '');
  chmodSync(log, 0o666);
  const top = `smarthosts = ["submission://127.0.0.1:${port}"]\nhostname = "client.example.org"\nqualify_domain = "example.org"\naliases = []\nlog = "${log}"\n`;
  writeFileSync(config, `${top}${more}[auth]\nuser = "me"\npassword_file = "${password}"\n`, { mode: 0o644 });
  chmodSync(config, 0o644);
  return { config, password, log };
}

const folded = (text: string): string => text.replaceAll(/\s+/g, ' ');

test('O4: an unreadable password is reported with owner, mode, uid and cure, without a word about the smart host', () =>
  within(30_000, async () => {
    const host = await smartHost();
    const { config, password, log } = place(host.port, 0o600, 'exit_codes = "sysexits"\n');
    const ended = await run(config, ['you@example.org'], LETTER, NOBODY);
    await host.close();
    const sentence = `password_file ${password} cannot be read by uid 65534; its mode is 0600, its owner uid 0 and gid 0: let this user read it, by its group for instance: chgrp GROUP ${password}; chmod g+r ${password}`;
    assert.equal(ended.stderr, `sendmail: ${sentence}\n`);
    assert.equal(ended.status, 78);
    const lines = readFileSync(log, 'utf8');
    assert.ok(lines.includes(`** you@example.org R=smarthosts T=smtp: ${sentence}\n`), lines);
    assert.ok(!lines.includes('127.0.0.1'), lines);
  }));

test('nobody can send while the password is missing, and check says so before it says who could read it', () =>
  within(30_000, async () => {
    const host = await smartHost();
    const { config, password } = place(host.port, 0o640);
    rmSync(password);
    const text = await nospool('check', '-C', config);
    const json = await nospool('check', '-C', config, '--json');
    await host.close();
    assert.ok(
      folded(text.stdout).includes(`can send nobody cannot send anybody, because ${password} (password_file) is missing`),
      text.stdout,
    );
    const { senders } = JSON.parse(json.stdout) as { readonly senders: unknown };
    assert.deepEqual(senders, { all: false, users: [], groups: [], missing: [password], closed: [] });
  }));

test('a password that a group may read: the cure is to join that group, which daemon has by the number 1', () =>
  within(30_000, async () => {
    const host = await smartHost();
    const { config, password } = place(host.port, 0o640);
    chownSync(password, 0, 1);
    const ended = await run(config, ['you@example.org'], LETTER, NOBODY);
    await host.close();
    assert.equal(
      ended.stderr,
      `sendmail: password_file ${password} cannot be read by uid 65534; its mode is 0640, its owner uid 0 and gid 1: put this user into group daemon: usermod -aG daemon nobody\n`,
    );
  }));

// mode, group (daemon's is 1), who can, who cannot
const MODES: readonly (readonly [number, number, RegExp, RegExp | null])[] = [
  [
    0o600,
    0,
    /can send root alone cannot send other users, /,
    /its mode is 0600, its owner root, its group root; to let a group send, run chgrp GROUP \S+password; chmod g\+r \S+password/,
  ],
  [
    0o640,
    1,
    /can send root, members of group daemon \([^)]*\) cannot send other users, /,
    /its mode is 0640, its owner root, its group daemon; to add one, run usermod -aG daemon USER/,
  ],
  // As fsGroup of Kubernetes sets it.
  [
    0o440,
    10_001,
    /can send root, processes in group 10001 cannot send other users, /,
    /its mode is 0440, its owner root, its group gid 10001; to let a process send, start it in group 10001 \(fsGroup, docker run --group-add\)/,
  ],
];
for (const [mode, gid, can, cannot] of MODES)
  test(`O4: check names the users who can send: a password of mode ${mode.toString(8)} and gid ${gid}`, () =>
    within(30_000, async () => {
      const host = await smartHost();
      const { config, password } = place(host.port, mode);
      chownSync(password, 0, gid);
      const said = await nospool('check', '--config', config);
      const { senders } = JSON.parse((await nospool('check', '--config', config, '--json')).stdout);
      const group = { uid: 65_534, gid };
      const sent = await run(config, ['-bt', 'you@example.org'], LETTER, group);
      await host.close();
      assert.match(folded(said.stdout), can);
      assert.match(folded(said.stdout), cannot ?? /./);
      assert.deepEqual(
        [senders.all, senders.users, senders.groups, senders.closed.length],
        [false, ['root'], gid === 0 ? [] : [gid === 1 ? 'daemon' : `gid ${gid}`], 1],
      );
      assert.equal(sent.status, 0);
    }));

test('O4: check names each file that keeps users out: configuration, CA, key, alias file, and a folder above', () =>
  within(30_000, async () => {
    const { config } = place(9, 0o600);
    const folder = path.join(path.dirname(config), 'closed');
    mkdirSync(folder, { mode: 0o750 });
    chownSync(folder, 0, 1);
    const file = (name: string, mode: number): string => {
      const made = path.join(path.dirname(config), name);
      mkdirSync(path.dirname(made), { recursive: true });
      writeFileSync(made, 'root: me@example.org\n');
      chmodSync(made, mode);
      return made;
    };
    const [ca, key, aliases] = [file('closed/ca.pem', 0o644), file('key.pem', 0o600), file('aliases', 0o640)];
    writeFileSync(
      config,
      `smarthosts = ["submission://127.0.0.1:9"]\nlog = "none"\naliases = ["${aliases}"]\n[tls]\nca_file = "${ca}"\ncertificate = "${ca}"\ncertificate_key = "${key}"\n`,
    );
    chmodSync(config, 0o640);
    const said = folded((await nospool('check', '--config', config)).stdout);
    assert.match(said, / can send root alone /);
    for (const [name, sentence] of [
      [config, `(the configuration): its mode is 0640, its owner root, its group root; run chmod o+r ${config}`],
      [
        ca,
        `(certificate): ${folder}, its mode is 0750, its owner root, its group daemon; run chmod o+x ${folder}, or move the file out of it`,
      ],
      [
        key,
        `(certificate_key): its mode is 0600, its owner root, its group root; to let a group send, run chgrp GROUP ${key}; chmod g+r ${key}`,
      ],
      [aliases, `(aliases): its mode is 0640, its owner root, its group root; run chmod o+r ${aliases}`],
    ])
      assert.ok(said.includes(`cannot send other users, because of ${name} ${sentence}`), `${sentence}\n${said}`);
  }));

test('O4: all users can send if all may read every file; an attempt finds what modes do not show', () =>
  within(30_000, async () => {
    const { config } = place(9, 0o600);
    writeFileSync(config, 'smarthosts = ["submission://127.0.0.1:9"]\nlog = "none"\naliases = []\n');
    assert.match((await nospool('check', '--config', config)).stdout, /^can send {6}all users$/m);
    // An access list that refuses uid 65534 alone: user::rw-, user:65534:---, group::r--, mask::r--, other::r--.
    const list = `import os, struct, sys
entries = [(1, 6, 0xffffffff), (2, 0, 65534), (4, 4, 0xffffffff), (16, 4, 0xffffffff), (32, 4, 0xffffffff)]
os.setxattr(sys.argv[1], 'system.posix_acl_access', struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *each) for each in entries))`;
    const { status } = spawnSync('/usr/bin/python3', ['-c', list, config]);
    // Not every file system has access lists.
    if (status !== 0) return;
    assert.equal(statSync(config).mode & 0o777, 0o644);
    assert.match(folded((await nospool('check', '--config', config)).stdout), / can send root alone cannot send .*uid 65534 was refused/);
  }));

const STRANGER = 4242;
const WHO = { root: [0, 0], stranger: [STRANGER, NOBODY.gid], member: [NOBODY.uid, 1], nobody: [NOBODY.uid, NOBODY.gid] } as const;

// what, shell text in the folder of the configuration, who can send
const LAYOUTS: readonly (readonly [string, string, readonly (keyof typeof WHO)[]])[] = [
  ['a folder that is open to a group, and in it a file that is not', 'chmod 600 s/p; chgrp 1 s; chmod 750 s', ['root']],
  ['a folder and a file that are open to a group', 'chgrp 1 s s/p; chmod 750 s; chmod 640 s/p', ['root', 'member']],
  ['a file of another user, which a group may read', `chown ${STRANGER}:1 s/p; chmod 640 s/p`, ['stranger']],
  ['a file of another user', `chown ${STRANGER} s/p; chmod 600 s/p`, ['stranger']],
  ['a folder of another user', `chown ${STRANGER}:1 s; chmod 750 s; chgrp 1 s/p; chmod 640 s/p`, ['root', 'member']],
  ['a file that its owner cannot read', `chown ${STRANGER}:1 s/p; chmod 040 s/p`, []],
  ['a file that everybody can read', 'chmod 644 s/p', []],
  [
    'a Kubernetes secret with fsGroup',
    'mkdir s/..1; mv s/p s/..1; ln -s ..1 s/..data; ln -s ..data/p s/p; chgrp 1 s/..1/p; chmod 440 s/..1/p',
    ['root', 'member'],
  ],
  [
    'a link into a closed folder',
    'mkdir s/..1; mv s/p s/..1; ln -s ..1 s/..data; ln -s ..data/p s/p; chgrp 1 s/..1/p; chmod 440 s/..1/p; chmod 700 s/..1',
    ['root'],
  ],
  // user::rw-, user:4242:r--, group::---, mask::r--, other::---
  [
    'an access list, whose mask stands where the mode of the group is',
    `chgrp 1 s/p; python3 -c 'import os, struct
entries = [(1, 6, 0xffffffff), (2, 4, ${STRANGER}), (4, 0, 0xffffffff), (16, 4, 0xffffffff), (32, 0, 0xffffffff)]
os.setxattr("s/p", "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries))' || chmod 600 s/p`,
    ['root', 'stranger'],
  ],
];
for (const [what, script, able] of LAYOUTS)
  test(`O4: who can send is what check says: ${what}`, () =>
    within(60_000, async () => {
      const host = await smartHost(undefined, { mechanisms: ['PLAIN'], authRequired: true, authInClear: true });
      const { config, password } = place(host.port, 0o600);
      const folder = path.dirname(config);
      writeFileSync(config, readFileSync(config, 'utf8').replace(password, `${folder}/s/p`));
      const made = spawnSync('sh', ['-ec', `mkdir s; mv password s/p; ${script}`], { cwd: folder, encoding: 'utf8' });
      assert.equal(made.status, 0, made.stderr);
      const sent = [];
      for (const [name, [uid, gid]] of Object.entries(WHO))
        if ((await run(config, ['you@example.org'], LETTER, { uid, gid })).status === 0) sent.push(name);
      assert.deepEqual(sent, able);
      const { senders } = JSON.parse((await nospool('check', '--config', config, '--json')).stdout);
      const told = Object.entries(WHO).filter(
        ([, [uid, gid]]) =>
          senders.all || senders.users.includes(uid === 0 ? 'root' : `uid ${uid}`) || (senders.groups.join() === 'daemon' && gid === 1),
      );
      // Whom an access list lets in, nobody can tell by modes; that there may be one is said.
      const known = what.startsWith('an access list') ? able.slice(0, 1) : able;
      assert.deepEqual(
        told.map(([name]) => name),
        known,
        JSON.stringify(senders),
      );
      const asNobody = spawnSync(RUNTIME[0], [...RUNTIME.slice(1), NOSPOOL, 'check', '--config', config], {
        ...NOBODY,
        env: ENVIRONMENT,
        encoding: 'utf8',
      });
      await host.close();
      assert.doesNotMatch(asNobody.stdout, /all users|is missing/);
    }));

test('O4: a configuration that is named from the current folder is closed, too', () =>
  within(30_000, async () => {
    const { config } = place(9, 0o600);
    chmodSync(config, 0o600);
    const { stdout } = spawnSync(RUNTIME[0], [...RUNTIME.slice(1), NOSPOOL, 'check', '--config', 'nospool.toml'], {
      env: ENVIRONMENT,
      encoding: 'utf8',
      cwd: path.dirname(config),
    });
    assert.match(folded(stdout), new RegExp(`can send root alone cannot send other users, because of ${config} \\(the configuration\\)`));
  }));

test('O4: a configuration file of several that has the password is not to be opened to everybody', () =>
  within(30_000, async () => {
    const folder = scratch();
    const script = `mount -t tmpfs none /etc; mkdir /etc/nospool.d
echo 'log = "none"' >/etc/nospool.toml
printf 'smarthosts = ["submission://127.0.0.1:9"]\\n[auth]\\nuser = "me"\\npassword = "x"\\n' >/etc/nospool.d/10-host.toml
chmod 640 /etc/nospool.d/10-host.toml
${RUNTIME.join(' ')} ${NOSPOOL} check || true`;
    const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-ec', script], {
      env: { ...ENVIRONMENT, PATH: '/usr/bin:/bin:/usr/sbin:/sbin', HOME: folder },
      encoding: 'utf8',
    });
    assert.match(
      folded(stdout),
      /cannot send other users, because of \/etc\/nospool\.d\/10-host\.toml \(the configuration\): its mode is 0640, its owner uid 0, its group gid 0; to let a group send, run chgrp GROUP /,
      stderr,
    );
    assert.doesNotMatch(stdout, /o\+r/);
  }));

test("check of a user's own configuration reports nothing about other users", () =>
  within(30_000, async () => {
    const folder = scratch();
    mkdirSync(path.join(folder, 'nospool'));
    writeFileSync(path.join(folder, 'nospool/config.toml'), 'smarthosts = ["submission://127.0.0.1:9"]\nlog = "none"\n', { mode: 0o600 });
    const { stdout } = spawnSync(RUNTIME[0], [...RUNTIME.slice(1), NOSPOOL, 'check'], {
      env: { ...ENVIRONMENT, XDG_CONFIG_HOME: folder },
      encoding: 'utf8',
    });
    assert.match(stdout, /^configuration .*config\.toml$/m);
    assert.doesNotMatch(stdout, /can send/);
  }));

test('O3, O4: check tries the log as the user who runs it, and reports the log of the others', () =>
  within(30_000, async () => {
    const { config, log } = place(9, 0o600);
    chmodSync(log, 0o640);
    const root = await nospool('check', '--config', config);
    assert.match(root.stdout, new RegExp(`^log {11}${log}$`, 'm'));
    const { stdout } = spawnSync(RUNTIME[0], [...RUNTIME.slice(1), NOSPOOL, 'check', '--config', config], {
      ...NOBODY,
      env: ENVIRONMENT,
      encoding: 'utf8',
    });
    // A socket may be there whose daemon is gone.
    const hasSyslog = spawnSync('logger', ['--socket-errors=on', 'a test of nospool']).status === 0;
    assert.match(folded(stdout), new RegExp(`warning cannot write the log ${log} as uid 65534: EACCES: permission denied`));
    assert.match(stdout, hasSyslog ? /^log {11}syslog$/m : /^log {11}nowhere$/m);
    if (!hasSyslog)
      assert.match(folded(root.stdout), new RegExp(`warning users who cannot write ${log} have no log, because there is no syslog: `));
  }));

test('O4: init for the system, check and a group work as README.md says', () =>
  within(60_000, async () => {
    const host = await smartHost();
    const node = RUNTIME.join(' ');
    const script = `
cp /etc/passwd /etc/group /etc/nsswitch.conf "$1"
mount -t tmpfs none /etc
cp "$1"/passwd "$1"/group "$1"/nsswitch.conf /etc
${node} ${NOSPOOL} init --smarthost 127.0.0.1:${host.port} --user me --domain example.org
echo secret > /etc/nospool/password
chmod 600 /etc/nospool/password
echo "nospool:x:4711:www-data" >> /etc/group
chgrp nospool /etc/nospool/password
chmod 640 /etc/nospool/password
mkdir -p "$1"/.config/nospool
touch "$1"/.config/nospool/config.toml
XDG_CONFIG_HOME="$1"/.config ${node} ${NOSPOOL} check || true
stat -c %a:%u:%g /etc/nospool/password
rm -r /etc/nospool /etc/nospool.toml
${node} ${NOSPOOL} init --smarthost 127.0.0.1:${host.port} --user me --domain example.org --group nospool`;
    const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-e', '-c', script, 'sh', scratch()], {
      env: { ...ENVIRONMENT, PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
      encoding: 'utf8',
    });
    await host.close();
    assert.match(
      stdout,
      /^Root alone can read the password, so root alone can send\. To let members of a group send, too:\n {2}groupadd --system nospool; chgrp nospool \/etc\/nospool\/password; chmod 640 \/etc\/nospool\/password\n {2}usermod -aG nospool USER$/m,
      stderr,
    );
    assert.match(stdout, /^can send {6}root, members of group nospool \(www-data\)$/m);
    assert.match(folded(stdout), /warning \S+\/\.config\/nospool\/config\.toml is not used, because \/etc\/nospool\.toml is locked/);
    assert.match(stdout, /^640:0:4711$/m);
    assert.match(
      stdout,
      /^Write the password of me to \/etc\/nospool\/password, and then: chgrp nospool \/etc\/nospool\/password; chmod 640 \/etc\/nospool\/password$/m,
    );
  }));

test('O4: what init makes lets the group in whatever the umask, and a folder that was closed before is named', () => {
  const run = (before: string) =>
    spawnSync(
      'unshare',
      [
        '--mount',
        'sh',
        '-ec',
        `mount -t tmpfs -o mode=755 none /etc; echo root:x:0:0::/root:/bin/sh >/etc/passwd; echo nospool:x:4711: >/etc/group; umask 077; ${before}
${RUNTIME.join(' ')} ${NOSPOOL} init --smarthost mail.example.org --user me --domain example.org --group nospool
stat -c 'mode %a %n' /etc/nospool /etc/nospool.toml`,
      ],
      { env: { ...ENVIRONMENT, PATH: '/usr/bin:/bin:/usr/sbin:/sbin' }, encoding: 'utf8' },
    );
  assert.match(run('').stdout, /^mode 755 \/etc\/nospool\nmode 644 \/etc\/nospool\.toml$/m);
  assert.match(run('mkdir /etc/nospool').stdout, /^Members of group nospool cannot send yet, because they may not enter \/etc\/nospool: /m);
  const { status, stderr } = run('mount -o remount,ro /etc');
  assert.equal(status, 1);
  assert.match(stderr, /^nospool: cannot write \/etc\/nospool: the file system is read-only$/m);
});

test('import for the system: every user reads the file, and one of /etc/nospool.d, unless a password is in it, and then the last lines say who can send; beside a file that says the same nothing is written', () => {
  const node = RUNTIME.join(' ');
  const script = `
cp /etc/passwd /etc/group /etc/nsswitch.conf "$1"
mount -t tmpfs none /etc
cp "$1"/passwd "$1"/group "$1"/nsswitch.conf /etc
printf 'host mail.example.org\\ntls on\\n' > "$1"/open.msmtprc
printf 'host mail.example.org\\ntls on\\nauth on\\nuser me\\npassword secret\\n' > "$1"/secret.msmtprc
for name in open secret; do
  ${node} ${NOSPOOL} import "$1"/$name.msmtprc --output /etc/nospool.toml --force 2>&1 | grep -v msmtprc: || true
  stat -c %a /etc/nospool.toml
done
rm /etc/nospool.toml
mkdir /etc/nospool.d
echo 'smarthosts = ["a.example"]' > /etc/nospool.d/10.toml
${node} ${NOSPOOL} import "$1"/open.msmtprc --output /etc/nospool.toml 2>&1 | grep -v msmtprc:
${node} ${NOSPOOL} init --smarthost mail.example.org --domain example.org 2>&1 || ls /etc/nospool*
rm -r /etc/nospool.d
${node} ${NOSPOOL} init --smarthost mail.example.org --domain example.org --output /etc/nospool.d/20.toml | grep Try
stat -c %a /etc/nospool.d /etc/nospool.d/20.toml
${node} ${NOSPOOL} import "$1"/open.msmtprc --output /etc/nospool.d/10.toml 2>&1 | grep -v msmtprc:
${node} ${NOSPOOL} import "$1"/open.msmtprc --output /etc/nospool.d/20.toml --force 2>/dev/null
stat -c %a /etc/nospool.d/20.toml`;
  const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-e', '-c', script, 'sh', scratch()], {
    env: { ...ENVIRONMENT, PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
    encoding: 'utf8',
  });
  const part =
    'nospool: /etc/nospool.d/10.toml:2: key "smarthosts" is in /etc/nospool.d/20.toml:2, too: keep one of them\nnospool: nothing was written\n';
  // What would keep every user from sending is not written.
  const clash =
    'nospool: /etc/nospool.d/10.toml:1: key "smarthosts" is in /etc/nospool.toml:2, too: keep one of them\nnospool: nothing was written\n';
  const last = 'written to /etc/nospool.toml; try it with: nospool check --config /etc/nospool.toml\n';
  assert.equal(
    stdout,
    `${last}644\na password is in it, so root alone can read it and send; to let a group send, run chgrp GROUP /etc/nospool.toml; chmod 640 /etc/nospool.toml, or name a password_file\n${last}600\n${clash}${clash}10.toml\nTry it: nospool check\n755\n644\n${part}644\n`,
    stderr,
  );
});

test('import for the system: a command that gives the password is not shown to those who could not read it before', () => {
  const node = RUNTIME.join(' ');
  const script = `
cp /etc/passwd /etc/group "$1"
mount -t tmpfs -o mode=755 none /etc
cp "$1"/passwd "$1"/group /etc
mkdir -m 700 /etc/closed
for name in /etc/msmtprc /etc/closed/msmtprc; do
  printf 'host mail.example.org\\ntls on\\nauth on\\nuser me\\npasswordeval echo secret\\n' >$name
  chmod 600 $name
  ${node} ${NOSPOOL} import $name --output /etc/nospool.toml --force 2>&1 | grep -v msmtprc:
  stat -c %a /etc/nospool.toml
  chmod 644 $name
  ${node} ${NOSPOOL} import $name --output /etc/nospool.toml --force 2>&1 | grep -v msmtprc:
  stat -c %a /etc/nospool.toml
done`;
  const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-e', '-c', script, 'sh', scratch()], {
    env: { ...ENVIRONMENT, PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
    encoding: 'utf8',
  });
  const last = 'written to /etc/nospool.toml; try it with: nospool check --config /etc/nospool.toml\n';
  const closed = `the command that gives the password was not for everybody to read, so root alone can read this file and send; if there is no secret in it, run chmod 644 /etc/nospool.toml\n${last}600\n`;
  assert.equal(stdout, `${closed}${last}644\n${closed}${closed}`, stderr);
});

test.run();
