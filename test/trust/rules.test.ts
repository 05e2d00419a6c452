/** The rules of whose file may be obeyed: the table beside the manual's, and every kind with every owner and mode. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import { type FileFacts, type FileKind, isPrivateGroup, mountOf, RULES, whyRefused } from '../../src/trust/rules.ts';

const test = suite('whose file may be obeyed');

const [ROOT, SELF, STRANGER, OTHER] = [0, 1000, 4711, 1001];
const KINDS = Object.keys(RULES) as FileKind[];

const facts = (changes: Partial<FileFacts> = {}): FileFacts => ({
  path: '/f',
  uid: ROOT,
  gid: 8,
  mode: 0o600,
  links: 1,
  fileSystem: 'other',
  isOwnGroup: () => false,
  mount: () => ({ isReadOnly: false, isOwn: false }),
  ...changes,
});
const asked = (kind: FileKind, changes: Partial<FileFacts> = {}, euid = SELF): string | null =>
  whyRefused(kind, facts(changes), { euid, other: OTHER });

/** The names of the kinds in the manual. */
const NAMES: Readonly<Record<FileKind, string>> = {
  system: '/etc/nospool.toml, a file of /etc/nospool.d',
  named: 'the file named by -C or NOSPOOL_CONFIG',
  own: "the user's own file",
  command: 'a configuration that holds password_command or token_command',
  argument: 'a configuration named by -C of sendmail that holds such a command or a path as log',
  literal: 'a configuration that holds password',
  aliases: 'an alias file',
  include: 'what :include: names',
  forward: '~/.forward',
  password: 'password_file, token_file, proxy_password_file',
  'own password':
    'such a file, and a list of addresses that not everybody may read, where -C of sendmail names a configuration that root does not own',
  key: 'certificate_key',
  certificate: 'certificate, ca_file',
};

test('S3: nospool.toml(5) has the table of the rules', () => {
  const manual = readFileSync(new URL('../../man/nospool.toml.5', import.meta.url), 'utf8');
  const [, table = ''] = /^lw\(\d+\) l l l l\.\n.*\n_\n([\s\S]*?)^\.TE$/m.exec(manual) ?? [];
  const rows = [...table.matchAll(/^T\{\n(.*)\nT\}\t(.*)$/gm)].map(([, file = '', rest = '']) => [
    file.replaceAll('\\(ti', '~').replace(/\\-/g, '-'),
    ...rest.split('\t'),
  ]);
  const words = { root: 'root', runner: 'self', user: 'user', includer: 'includer' } as const;
  assert.deepEqual(
    rows,
    Object.entries(RULES).map(([kind, { owners, changedBy, readBy, mayBeMounted }]) => [
      NAMES[kind as FileKind],
      owners.length === 0 ? 'any' : owners.map((owner) => words[owner]).join(', '),
      changedBy,
      readBy === 'everybody' ? 'all' : readBy,
      mayBeMounted ? 'yes' : 'no',
    ]),
  );
});

test('S3: on procfs no file of any kind is obeyed, and on FUSE none that an argument has name a command', () => {
  for (const kind of KINDS) {
    const uid = kind === 'forward' ? OTHER : kind === 'own password' ? SELF : ROOT;
    const on = (fileSystem: FileFacts['fileSystem']): string | null =>
      asked(kind, { uid, fileSystem, path: '/run/secrets/f', mount: () => ({ isReadOnly: true, isOwn: false }) });
    assert.match(String(on('procfs')), /^is refused, because it is on procfs, /, kind);
    if (kind === 'argument') assert.match(String(on('FUSE')), /^is refused, because it is on FUSE, /);
    else assert.equal(on('FUSE'), null, kind);
    assert.deepEqual([on('sysfs'), on('other')], [null, null], kind);
  }
});

test('S7: a second name is a fault of ~/.forward alone', () => {
  for (const kind of KINDS)
    assert.equal(asked(kind, { uid: kind === 'own password' ? SELF : ROOT, links: 2 }) === null, kind !== 'forward', kind);
});

test('S3: every kind with every owner and every mode is obeyed where the table says so, and nowhere else', () => {
  for (const kind of KINDS) {
    const { owners, changedBy, readBy, mayBeMounted } = RULES[kind];
    for (const uid of [ROOT, SELF, STRANGER, OTHER])
      for (let mode = 0; mode <= 0o777; mode++)
        for (const isOwnGroup of [false, true])
          for (const isReadOnly of [false, true]) {
            const owner = { [ROOT]: 'root', [SELF]: 'runner', [OTHER]: 'other', [STRANGER]: '' }[uid] ?? '';
            const isOwned =
              owners.length === 0 || owners.some((each) => each === owner || (owner === 'other' && ['user', 'includer'].includes(each)));
            const group = changedBy === 'group' || (changedBy === 'own group' && isOwnGroup) || (mode & 0o020) === 0;
            const isSafe = (isOwned && group && (mode & 0o002) === 0) || (mayBeMounted && isReadOnly);
            const isKept = readBy === 'everybody' || (mode & 0o004) === 0;
            const sentence = asked(kind, {
              uid,
              mode,
              isOwnGroup: () => isOwnGroup,
              mount: () => ({ isReadOnly, isOwn: false }),
            });
            const why = `${kind} ${uid} ${mode.toString(8)} ${isOwnGroup} ${isReadOnly}: ${sentence}`;
            assert.equal(sentence === null, isSafe && isKept, why);
            if (sentence === null) continue;
            assert.match(sentence, /^is refused, because .*: (run ch(own|mod) \S+ \/f|name it by NOSPOOL_CONFIG)/, why);
            assert.ok(sentence.includes(`mode 0${mode.toString(8).padStart(3, '0')}`) && sentence.includes(`uid ${uid}`), why);
          }
  }
});

const SENTENCES: readonly (readonly [FileKind, Partial<FileFacts>, string, string])[] = [
  [
    'system',
    { uid: STRANGER },
    'this file belongs to uid 4711 (mode 0600), not to root or to the user who runs this (uid 1000): run chown root /f',
    'a stranger',
  ],
  [
    'include',
    { uid: STRANGER },
    'this file belongs to uid 4711 (mode 0600), not to root or to the user who runs this (uid 1000) or to the owner of the file that includes it (uid 1001): run chown root /f',
    'and includes',
  ],
  [
    'forward',
    { uid: SELF },
    'this file belongs to uid 1000 (mode 0600), not to root or to the user whose file it would be (uid 1001): run chown 1001 /f',
    'the sender is no owner of it',
  ],
  ['forward', { uid: ROOT, links: 2 }, 'it has a second name', 'any file of root by another name'],
  [
    'argument',
    { uid: SELF },
    'this file belongs to uid 1000 (mode 0600), not to root, and -C names it: run chown root /f, or name it by NOSPOOL_CONFIG',
    'an argument',
  ],
  ['named', { mode: 0o666 }, 'every user can change this file (mode 0666, owner uid 0): run chmod o-w /f', 'for all to write'],
  ['command', { mode: 0o664 }, 'its group can change this file (mode 0664, owner uid 0): run chmod g-w /f', 'a group'],
  ['command', { mode: 0o666 }, 'its group and every user can change this file (mode 0666, owner uid 0): run chmod go-w /f', 'both'],
  ['password', { mode: 0o666 }, 'every user can read and change this file (mode 0666, owner uid 0): run chmod o-rw /f', 'a password'],
  [
    'key',
    { mode: 0o644, path: "/it's" },
    "every user can read this file (mode 0644, owner uid 0): run chmod o-r '/it'\\''s'",
    'the command can be run as it is',
  ],
  [
    'named',
    { uid: STRANGER, mount: () => ({ isReadOnly: false, isOwn: true }) },
    'this file belongs to uid 4711 (mode 0600), not to root or to the user who runs this (uid 1000): run chown root /f, or mount it read-only',
    'a container',
  ],
  [
    'named',
    { mode: 0o646, mount: () => ({ isReadOnly: false, isOwn: true }) },
    'every user can change this file (mode 0646, owner uid 0): run chmod o-w /f, or mount it read-only',
    'a container, for all to write',
  ],
  [
    'password',
    { mode: 0o644, mount: () => ({ isReadOnly: true, isOwn: true }) },
    'every user can read this file (mode 0644, owner uid 0): run chmod o-r /f, or mount it with mode 0440 or in /run/secrets/',
    'a mounted secret',
  ],
];
for (const [kind, changes, because, why] of SENTENCES)
  test(`S3: the sentence, ${kind}: ${why}`, () => assert.equal(asked(kind, changes), `is refused, because ${because}`));

test('S3: root obeys root alone, and a file by two names of its user', () => {
  assert.equal(
    asked('system', { uid: SELF }, ROOT),
    'is refused, because this file belongs to uid 1000 (mode 0600), not to root: run chown root /f',
  );
  assert.equal(asked('forward', { uid: OTHER, links: 2 }), null);
  assert.equal(whyRefused('forward', facts({ uid: STRANGER }), { euid: SELF }) === null, false, 'nobody knows the user');
});

test('S3: secrets of a container may belong to anybody and be read by all, and other files not', () => {
  for (const kind of KINDS) {
    const sentence = asked(kind, { path: '/run/secrets/f', uid: STRANGER, mode: 0o666 });
    assert.equal(sentence === null, RULES[kind].readBy === 'group' && RULES[kind].mayBeMounted, kind);
  }
  assert.notEqual(asked('password', { path: '/run/secrets-of-mine/f', uid: STRANGER }), null);
  const elsewhere = { euid: SELF, containerSecrets: '/x/' };
  assert.equal(whyRefused('password', facts({ path: '/x/f', mode: 0o644 }), elsewhere), null);
  assert.notEqual(whyRefused('password', facts({ path: '/run/secrets/f', mode: 0o644 }), elsewhere), null);
});

test('S3: facts that cost something are asked for only where they matter', () => {
  const dear = (): never => assert.fail('asked');
  for (const kind of KINDS)
    assert.equal(asked(kind, { uid: kind === 'forward' ? OTHER : ROOT, isOwnGroup: dear, mount: dear }, ROOT), null, kind);
});

const GROUP = 'root:x:0:\nusers:x:100:\ntim:x:1000:\nshared:x:2000:tim,tom\nonly:x:2001:tim\nothers:x:2002:tom\nempty:x:2003:\nbad\n';
const PASSWD = 'root:x:0:0::/root:/bin/sh\ntim:x:1000:1000::/home/tim:/bin/sh\ntom:x:1001:100::/home/tom:/bin/sh\ntam:x:1002:100:::\nbad\n';
const GROUPS: readonly (readonly [number, number, boolean, string])[] = [
  [1000, 1000, true, 'of the user alone, by the user’s entry'],
  [2001, 1000, true, 'of the user alone, by the group’s entry'],
  [0, 0, true, 'of root'],
  [2000, 1000, false, 'of two users'],
  [2002, 1000, false, 'of another user'],
  [100, 1001, false, 'the first group of two users'],
  [0, 1000, false, 'the first group of another user'],
  [3000, 1000, false, 'no such group'],
  [1000, 4711, false, 'no such user'],
  [2003, 4711, false, 'of nobody, and no such user'],
];
for (const [gid, uid, expected, why] of GROUPS)
  test(`S3: a group of one's own: ${why}`, () => assert.equal(isPrivateGroup(gid, uid, GROUP, PASSWD), expected));

const MOUNTS = `22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:30 / /proc rw - proc proc rw
40 22 8:1 /srv/c.toml /etc/nospool.toml ro,relatime - ext4 /dev/sda1 rw
41 22 8:1 /srv/x\\040y /etc/x\\040y rw,relatime shared:1 - ext4 /dev/sda1 rw
42 22 7:0 / /media/cd rw,relatime - iso9660 /dev/loop0 ro`;
const MOUNTED: readonly (readonly [string, number | null, boolean, boolean, string])[] = [
  ['/etc/nospool.toml', 40, true, true, 'a file mounted by itself, read-only'],
  ['/etc/x y/c.toml', 41, false, true, 'its folder, with a blank'],
  ['/media/cd/c.toml', 42, true, true, 'a file system that cannot be written'],
  ['/media/cd/a/c.toml', 42, true, false, 'a folder below'],
  ['/etc/nospool.toml', 22, false, false, 'the root'],
  ['/c.toml', 22, false, false, 'in the root'],
  ['/etc/nospool.toml', 99, false, false, 'a mount that is not listed'],
  ['/etc/nospool.toml', null, false, false, 'no Linux'],
];
for (const [path, id, isReadOnly, isOwn, why] of MOUNTED)
  test(`S3: a mount: ${why}`, () => {
    const fdinfo = id === null ? '' : `pos:\t0\nflags:\t0104000\nmnt_id:\t${id}\nino:\t1\n`;
    assert.deepEqual(mountOf(path, fdinfo, id === null ? '' : MOUNTS), { isReadOnly, isOwn });
  });

test.run();
