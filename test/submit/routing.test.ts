import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import type { RouterConfig } from '../../src/router/defaults.ts';
import { printProblem } from '../../src/router/problem.ts';
import { checkAliasFiles } from '../../src/submit/alias-report.ts';
import {
  ownDomains,
  type Routing,
  type RoutingFacts,
  type RoutingFiles,
  randomOrder,
  routeMessage,
  systemFiles,
} from '../../src/submit/routing.ts';
import { routeOneByOne } from '../../src/submit/routing-dialogue.ts';
import { host, mailbox, manualroute, redirect, summary } from '../router/world.ts';
import { within } from '../support/within.ts';

const test = suite('routing with files');

let home = '';
test.before.each(() => {
  home = mkdtempSync(join(tmpdir(), 'nospool-routing-'));
});
test.after.each(() => rmSync(home, { recursive: true }));

const file = (name: string, text: string | Uint8Array): string => {
  writeFileSync(join(home, name), text);
  return join(home, name);
};
const config = (more: Partial<RouterConfig> = {}): RouterConfig => ({
  routers: [],
  aliases: [join(home, 'aliases')],
  smarthosts: [host('hub.example')],
  randomize: false,
  ...more,
});
const FACTS: RoutingFacts = { reversePath: mailbox('me@x.y'), ours: ['x.y'], qualifyRecipient: 'x.y' };
const route = (to: readonly string[], more: Partial<RouterConfig> = {}, facts: Partial<RoutingFacts> = {}): Promise<Routing> =>
  within(20_000, () => routeMessage(config(more), { ...FACTS, ...facts }, to.map(mailbox)));
const routed = async (...args: Parameters<typeof route>) => summary(await route(...args));

test('an alias file and included lists are followed through generations', async () => {
  const list = file('list', '# team\njim@p.q\nzoë@p.q\n');
  file('aliases', `postmaster: root\nroot: joe@p.q,\n# all\n  :include:${list}\n`);
  assert.deepEqual(await routed(['postmaster', 'b@z']), ['joe@p.q', 'jim@p.q', 'zoë@p.q', 'b@z']);
});

test('two spellings of a domain in lists are one recipient and one address of a loop', async () => {
  file(
    'aliases',
    'root: a@müller.example, a@xn--mller-kva.example, "a"@MÜLLER.example.\nb: c@xn--mller-kva.example\nc: b@müller.example, d@x.y\n',
  );
  assert.deepEqual(await routed(['root']), ['a@xn--mller-kva.example']);
  const ours = { ours: ['x.y', 'müller.example', 'xn--mller-kva.example'] };
  assert.deepEqual(await routed(['b@xn--mller-kva.example'], {}, ours), ['b@xn--mller-kva.example', 'd@x.y']);
});

test('an alias file that is not there replaces nothing', async () => {
  assert.deepEqual(await routed(['root']), ['root@x.y']);
  assert.deepEqual(await routed(['root'], { aliases: [join(home, 'none/aliases'), file('other', 'root: joe@p.q')] }), ['joe@p.q']);
});

test('W5: a file that is not UTF-8 is read octet by octet', async () => {
  file('aliases', Buffer.from('a: :fail: caf\u00e9\n', 'latin1'));
  assert.deepEqual(await routed(['a']), ['routing a@x.y yielded a failed delivery: café']);
});

test('a file that cannot be read defers, and the problem says why', async () => {
  mkdirSync(join(home, 'aliases'));
  assert.deepEqual(await routed(['a']), [
    `routing a@x.y yielded a deferred delivery: ${home}/aliases is refused, because it is not a regular file`,
  ]);
  rmSync(join(home, 'aliases'), { recursive: true });
  symlinkSync('aliases', join(home, 'aliases'));
  assert.deepEqual(await routed(['a']), [`routing a@x.y yielded a deferred delivery: ${home}/aliases cannot be read (ELOOP)`]);
});

test('a pipe that nobody writes to does not keep us waiting', async () => {
  execFileSync('mkfifo', [join(home, 'aliases')]);
  assert.deepEqual(await routed(['a']), [
    `routing a@x.y yielded a deferred delivery: ${home}/aliases is refused, because it is not a regular file`,
  ]);
});

test('an entry that is too long is a fault also where the table of a file is kept', async () => {
  const path = file('aliases', `a: ${'x'.repeat(17 * 1024 * 1024)}\nc: d@p.q\n`);
  const files = systemFiles();
  const passed = await files.aliases(path, ['a', 'c']);
  const table = await files.table(path, Number.POSITIVE_INFINITY);
  assert.ok(passed.kind === 'entries' && table.kind === 'table');
  const faults = [passed.entries, [...table.entries.values()]].map((entries) => entries.map(({ key, fault }) => [key, fault]));
  assert.match(faults[0]?.[0]?.[1] ?? '', /^the entry is longer than \d+ octets$/);
  assert.deepEqual(faults[1], faults[0]);
  assert.equal(faults[0]?.[1]?.[1], undefined);
});

test('a table that fills all the room is read to the end of its file', async () => {
  const first = 'a: b@p.q\n';
  const files = systemFiles();
  const one = await files.table(file('one', first), Number.POSITIVE_INFINITY);
  assert.ok(one.kind === 'table');
  // A second entry of the key ends the first and does not count.
  const more = file('more', `${first}a: e@p.q\n${'#\n'.repeat(64 * 1024)}c: d@p.q\n`);
  assert.deepEqual(await files.table(more, one.size), { kind: 'too large' });
  assert.equal((await files.table(join(home, 'one'), one.size)).kind, 'table');
});

test('where -C has named the configuration, a list that not everybody may read must be the own, and others need not', async () => {
  const me = process.getuid?.() ?? 0;
  const list = file('aliases', 'a: b@p.q\n');
  const files = systemFiles({ isByArgument: true });
  for (const mode of [0o644, 0o640]) {
    chmodSync(list, mode);
    assert.equal((await files.aliases(list, ['a'])).kind, 'entries', mode.toString(8));
  }
  if (me !== 0) return;
  chownSync(list, 54321, 0);
  const refused = await files.aliases(list, ['a']);
  assert.match(refused.kind === 'unreadable' ? refused.detail : '', /, and -C names the configuration: /);
});

test('an included list that is too long defers', async () => {
  const list = file('list', `${'#'.repeat(1024 * 1024)}\na`);
  file('aliases', `l: :include:${list}`);
  assert.deepEqual(await routed(['l']), [
    `routing l@x.y yielded a deferred delivery: ${home}/aliases:1: ${list} is longer than 1048576 octets`,
  ]);
});

test('an included list may be as long as the limit', async () => {
  const text = `a@p.q\n${'#'.repeat(1024 * 1024 - 6)}`;
  const list = file('list', text);
  file('aliases', `l: :include:${list}`);
  assert.deepEqual(await routed(['l']), ['a@p.q']);
  file('list', `${text}#`);
  assert.deepEqual(await routed(['l']), [
    `routing l@x.y yielded a deferred delivery: ${home}/aliases:1: ${list} is longer than 1048576 octets`,
  ]);
});

test('an entry may lie across the borders of reads', async () => {
  const lines = Array.from({ length: 30_000 }, (_, i) => `user${i}: target${i}@p.q,\n   copy${i}@p.q`);
  file('aliases', lines.join('\n'));
  const some = Array.from({ length: 300 }, (_, i) => i * 100 + 7);
  assert.deepEqual(
    await routed(some.map((i) => `user${i}`)),
    some.flatMap((i) => [`target${i}@p.q`, `copy${i}@p.q`]),
  );
});

test('an entry may be longer than a read', async () => {
  const list = Array.from({ length: 20_000 }, (_, i) => `m${i}@p.q`);
  file('aliases', `x: y\nall: ${list.join(', ')}\nz: :fail: no`);
  assert.deepEqual(await routed(['all']), list);
});

test('each file is read once in each generation', async () => {
  file('aliases', 'a: b, c\nb: d@p.q\nc: d@p.q');
  const files = systemFiles();
  const asked: string[] = [];
  const counted: RoutingFiles = {
    ...files,
    aliases(name, keys) {
      asked.push(keys.join(' '));
      return files.aliases(name, keys);
    },
  };
  await route(['a', 'x'], {}, { files: counted });
  assert.deepEqual(asked, ['a * x', 'b c']);
});

/** ~/.forward: [text, mode, is it the user's, expected, why] */
const FORWARDS: readonly [string | null, number, boolean, readonly string[], string][] = [
  ['joe@p.q\n', 0o644, true, ['joe@p.q'], 'the user’s own'],
  [null, 0, true, ['joe@x.y'], 'none'],
  [
    'joe@p.q\n',
    0o664,
    true,
    [
      'routing joe@x.y yielded a deferred delivery: HOME/.forward is refused, because its group can change this file (mode 0664, owner uid ME): run chmod g-w HOME/.forward',
    ],
    'the group may write',
  ],
  [
    'joe@p.q\n',
    0o646,
    true,
    [
      'routing joe@x.y yielded a deferred delivery: HOME/.forward is refused, because every user can change this file (mode 0646, owner uid ME): run chmod o-w HOME/.forward',
    ],
    'all may write',
  ],
  [
    'joe@p.q\n',
    0o644,
    false,
    [
      'routing joe@x.y yielded a deferred delivery: HOME/.forward is refused, because this file belongs to uid STRANGER (mode 0644), not to root or to the user whose file it would be (uid 12345): run chown 12345 HOME/.forward',
    ],
    'somebody else’s',
  ],
];
for (const [text, mode, isOwn, expected, why] of FORWARDS)
  test(`a forward file: ${why}`, async () => {
    const me = process.getuid?.() ?? 0;
    const uid = isOwn ? me : 12345;
    if (text !== null) {
      chmodSync(file('.forward', text), mode);
      // Root's files are as good as the user's.
      if (!isOwn && me === 0) chownSync(join(home, '.forward'), 54321, 0);
    }
    const files = systemFiles(
      {},
      file('passwd', `root:x:0:0::/:/bin/sh\nbad\nJoe:x:${uid}:0:Joe,,,:${home}:/bin/sh\njoe:x:1:1::/elsewhere:`),
    );
    const routers = [redirect({ forward: true, ifPresent: true, domains: ['@'] }), manualroute()];
    const got = await routed(['joe'], { routers }, { files });
    // In one pass: a scratch folder's random name may hold one of the words.
    const values: Readonly<Record<string, string>> = { HOME: home, ME: String(me), STRANGER: me === 0 ? '54321' : String(me) };
    assert.deepEqual(
      got,
      expected.map((each) => each.replace(/\b(HOME|ME|STRANGER)\b/g, (word) => values[word] ?? word)),
    );
  });

test('a forward file that is a symbolic link is refused as one, and a folder is not', async () => {
  const uid = process.getuid?.() ?? 0;
  const place = mkdtempSync(join(tmpdir(), 'nospool-forward-'));
  try {
    const files = systemFiles({}, file('passwd', `joe:x:${uid}:0::${place}:/bin/sh\njim:x:${uid}:0::${place}/jim:/bin/sh`));
    symlinkSync('/etc/hostname', join(place, '.forward'));
    mkdirSync(join(place, 'jim/.forward'), { recursive: true });
    const link = await files.forward('joe');
    assert.deepEqual(link, { kind: 'unreadable', detail: `${place}/.forward is refused, because it is a symbolic link` });
    const folder = await files.forward('jim');
    assert.equal(folder.kind, 'unreadable');
    assert.ok(!JSON.stringify(folder).includes('symbolic link'));
  } finally {
    rmSync(place, { recursive: true });
  }
});

test('a forward file of somebody else than who runs this is private, and a user whose home is no place has none', async () => {
  const me = process.getuid?.() ?? 0;
  for (const name of ['own', 'other']) {
    mkdirSync(join(home, name));
    writeFileSync(join(home, name, '.forward'), 'joe@p.q\n', { mode: 0o600 });
  }
  const rows = [
    `own:x:${me}:0::${home}/own:/bin/sh`,
    `other:x:12345:0::${home}/other:/bin/sh`,
    `odd:x:${me}:0::own:/bin/sh`,
    `none:x:x:0::${home}/own:`,
  ];
  const files = systemFiles({}, file('passwd', rows.join('\n')));
  const text = { kind: 'text', file: `${home}/own/.forward`, text: 'joe@p.q\n' };
  assert.deepEqual(await files.forward('own'), text);
  for (const name of ['odd', 'none', 'nobody-at-all']) assert.deepEqual(await files.forward(name), { kind: 'missing' });
  if (me !== 0) return;
  chownSync(join(home, 'other/.forward'), 12345, 0);
  assert.deepEqual(await files.forward('OTHER'), { ...text, file: `${home}/other/.forward`, isPrivate: true });
});

test('a user whom the system does not know has no forward file', async () => {
  const routers = [redirect({ forward: true, ifPresent: true }), manualroute()];
  const files = systemFiles({}, file('passwd', ''));
  assert.deepEqual(await routed(['no-such-user'], { routers }, { files }), ['no-such-user@x.y']);
  assert.deepEqual(await routed(['no-such-user'], { routers }, { files: systemFiles({}, join(home, 'none')) }), ['no-such-user@x.y']);
});

test('the user who runs this is found even where the list of users lacks him', async () => {
  const os = process.getBuiltinModule('node:os');
  file('.forward', 'joe@p.q\n');
  chmodSync(join(home, '.forward'), 0o600);
  try {
    os.userInfo = (() => ({ ...userInfo(), username: 'Ldap.User', homedir: home })) as typeof userInfo;
    const got = await systemFiles({}, file('passwd', '')).forward('ldap.user');
    assert.deepEqual(got, { kind: 'text', file: join(home, '.forward'), text: 'joe@p.q\n' });
  } finally {
    os.userInfo = userInfo;
  }
  const { username, homedir } = userInfo();
  const got = await systemFiles({}, file('passwd', '')).forward(username);
  if (got.kind === 'text') assert.equal(got.file, `${homedir}/.forward`);
  else assert.ok(got.kind === 'missing' || got.detail.includes(`${homedir}/.forward`));
});

test('a list of users that cannot be read defers', async () => {
  const routers = [redirect({ forward: true, ifPresent: true }), manualroute()];
  const [sentence] = await routed(['no-such-user'], { routers }, { files: systemFiles({}, home) });
  assert.equal(sentence, `routing no-such-user@x.y yielded a deferred delivery: ${home} is refused, because it is not a regular file`);
});

test('randomize asks each host once, in one order for all', async () => {
  const hosts = ['a', 'b', 'c', 'd'].map((name) => host(name));
  const { route: agreed, problems } = await route(['p', 'q', 'r'], { smarthosts: hosts, randomize: true });
  assert.deepEqual(problems, []);
  assert.deepEqual(agreed?.hosts.map((each) => each.host).sort(), ['a', 'b', 'c', 'd']);
  assert.deepEqual(
    [...randomOrder(100)].sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i),
  );
  assert.deepEqual([randomOrder(0), randomOrder(1)], [[], [0]]);
  for (const place of [0, 1, 2]) {
    const there = new Set(Array.from({ length: 200 }, () => randomOrder(3)[place]));
    assert.equal(there.size, 3);
  }
  assert.equal(new Set(Array.from({ length: 200 }, () => randomOrder(2)[0])).size, 2);
});

/** What a dialogue says of each address, in order. */
async function oneByOne(addresses: readonly string[], more: Partial<RouterConfig> = {}, facts: Partial<RoutingFacts> = {}) {
  const dialogue = routeOneByOne(config(more), { ...FACTS, ...facts });
  const told: string[][] = [];
  for (const address of addresses) told.push((await within(5000, () => dialogue.add(mailbox(address)))).map(printProblem));
  return told;
}

test('one by one, recipients are routed as all at once, and a problem comes at once', async () => {
  file('aliases', 'team: joe@p.q, jim@p.q\nvoid: :blackhole:\nfail: :fail: no');
  const routers = [
    redirect({ file: join(home, 'aliases'), domains: ['@'] }),
    manualroute({ name: 'r2', localParts: ['other'], hosts: [host('other.example')] }),
    manualroute(),
  ];
  const told = await oneByOne(['void', 'team', 'JIM@P.Q', 'jim@P.q', 'z@p.q', 'fail', 'other', 'fail', 'y@p.q'], { routers });
  const differ = `joe@p.q and other@x.y cannot go in one transaction, because their routes differ in hosts: "smtp://hub.example:25" and "smtp://other.example:25"`;
  const no = 'routing fail@x.y yielded a failed delivery: no';
  assert.deepEqual(told, [[], [], [], [], [], [no], [differ], [no], []]);
  const { problems, recipients } = await route(['void', 'team', 'JIM@P.Q', 'jim@P.q', 'z@p.q', 'y@p.q'], { routers });
  assert.deepEqual([problems, recipients.length], [[], 5]);
});

test('one by one, hosts in random order are put in order once, so that all recipients agree', async () => {
  const hosts = ['a', 'b', 'c', 'd', 'e'].map((name) => host(name));
  const addresses = Array.from({ length: 20 }, (_, i) => `u${i}`);
  assert.ok((await oneByOne(addresses, { smarthosts: hosts, randomize: true })).every((told) => told.length === 0));
});

/** The files of this host, and how often each was passed through: 'kept' counts those whose entries were asked for whole. */
function counting(room = Number.POSITIVE_INFINITY): { readonly files: RoutingFiles; readonly reads: Record<string, number> } {
  const files = systemFiles({}, join(home, 'passwd'));
  const reads: Record<string, number> = {};
  const count = (what: string) => {
    reads[what] = (reads[what] ?? 0) + 1;
  };
  return {
    reads,
    files: {
      ...files,
      aliases: (name, keys) => {
        count(`passed ${basename(name)}`);
        return files.aliases(name, keys);
      },
      table: (name, offered) => {
        count(`kept ${basename(name)}`);
        return files.table(name, Math.min(offered, room));
      },
    },
  };
}

const MANY = Array.from({ length: 300 }, (_, i) => `user${i % 200}`);
const TARGETS = Array.from({ length: 150 }, (_, i) => `user${i}: ${i % 10 === 9 ? ':fail: gone' : `target${i}`}\ntarget${i}: t${i}@p.q\n`);

test('one by one, an alias file is passed through once for the first recipient and once for all others', async () => {
  file('aliases', TARGETS.join(''));
  const { files, reads } = counting();
  const told = await oneByOne(MANY, {}, { files });
  // Two generations of the first.
  assert.deepEqual(reads, { 'passed aliases': 2, 'kept aliases': 1 });
  for (const [i, address] of MANY.entries()) {
    const { problems } = await route([address]);
    assert.deepEqual(told[i], problems.map(printProblem), address);
  }
});

test('no alias file is kept for one recipient alone', async () => {
  file('aliases', TARGETS.join(''));
  const { files, reads } = counting();
  assert.deepEqual(await oneByOne(['user9'], {}, { files }), [['routing user9@x.y yielded a failed delivery: gone']]);
  assert.deepEqual(reads, { 'passed aliases': 1 });
});

test('an alias file for which there is no room is passed through for each recipient', async () => {
  file('aliases', TARGETS.join(''));
  const { files, reads } = counting(1000);
  const told = await oneByOne(MANY.slice(0, 30), {}, { files });
  assert.deepEqual(reads, { 'passed aliases': 60 - 3, 'kept aliases': 1 });
  assert.deepEqual(
    told.flatMap((problems, i) => (problems.length > 0 ? [i] : [])),
    [9, 19, 29],
  );
});

test('all alias files share the room', async () => {
  const aliases = [file('aliases', TARGETS.join('')), join(home, 'none'), file('more', TARGETS.join(''))];
  const size = await systemFiles().table(aliases[0] as string, 1e9);
  assert.ok(size.kind === 'table' && size.entries.size === 300);
  const offered: number[] = [];
  const { files, reads } = counting();
  const watched: RoutingFiles = {
    ...files,
    table: (name, room) => {
      offered.push(room);
      return files.table(name, room);
    },
  };
  await oneByOne(['user1', 'other', 'else'], { aliases }, { files: watched });
  assert.deepEqual(reads['kept none'], 1, 'that a file is missing is kept, too');
  assert.deepEqual(
    offered.map((room) => 64 * 1024 * 1024 - room),
    [0, size.size, size.size],
  );
});

test('a table has the first entry of each key, as a passage finds it', async () => {
  const text = '\ufeffA: one\n"b c": two,\n  # no\n  zw\u00f6lf\na: three\nbroken\n*: rest\n';
  const path = file('aliases', text);
  const files = systemFiles();
  const table = await files.table(path, 1e6);
  const got = await files.aliases(path, ['a', 'b c', 'broken', '*', 'none']);
  assert.ok(table.kind === 'table' && got.kind === 'entries');
  assert.deepEqual([...table.entries.values()], got.entries);
  const octets = got.entries.reduce((sum, entry) => sum + 160 + entry.key.length + entry.text.length, 0);
  assert.equal(table.size, octets, 'each entry takes its text and an object of about 160 octets');
  assert.equal((await files.table(path, octets)).kind, 'table');
  assert.deepEqual(await files.table(path, octets - 1), { kind: 'too large' });
  assert.deepEqual(await files.table(path, 100), { kind: 'too large' });
  assert.deepEqual(await files.table(join(home, 'none'), 100), { kind: 'missing' });
});

test('the next transaction sees a changed file, and an open one does not', async () => {
  file('aliases', 'a: a@p.q\nb: b@p.q\n');
  const before = routeOneByOne(config(), FACTS);
  for (const address of ['a', 'b']) assert.deepEqual(await within(5000, () => before.add(mailbox(address))), []);
  file('aliases', 'a: :fail: moved\nb: :fail: moved\n');
  assert.deepEqual(await within(5000, () => before.add(mailbox('a'))), []);
  assert.deepEqual(await oneByOne(['a', 'b']), [
    ['routing a@x.y yielded a failed delivery: moved'],
    ['routing b@x.y yielded a failed delivery: moved'],
  ]);
});

test('the next recipient asks again for a file that could not be read', async () => {
  mkdirSync(join(home, 'aliases'));
  const dialogue = routeOneByOne(config(), FACTS);
  const add = async (address: string) => (await within(5000, () => dialogue.add(mailbox(address)))).length;
  assert.deepEqual([await add('a'), await add('a'), await add('a')], [1, 1, 1]);
  rmSync(join(home, 'aliases'), { recursive: true });
  file('aliases', 'a: a@p.q');
  assert.equal(await add('a'), 0);
});

test('a user may lie across the borders of reads, and the last line may have no end', async () => {
  const me = process.getuid?.() ?? 0;
  writeFileSync(join(home, '.forward'), 'joe@p.q\n', { mode: 0o600 });
  const row = (name: string): string => `${name}:x:${me}:0::${home}:/bin/sh`;
  for (const before of [0, 1, 3, 10, row('joe').length, row('joe').length + 1]) {
    const filler = `${'#'.repeat(64 * 1024 - before - 1)}\n`;
    const files = systemFiles(
      {},
      file('passwd', `${row('ann')}\n${filler}`.slice(0, 64 * 1024 - before - 1).concat(`\n${row('joe')}\n${row('zoe')}`)),
    );
    for (const name of ['ann', 'joe', 'zoe']) assert.equal((await files.forward(name)).kind, 'text', `${name} ${before}`);
  }
});

test('the list of users is read once for all users of a message', async () => {
  const homes = ['ann', 'bob', 'cid'].map((name) => {
    mkdirSync(join(home, name));
    writeFileSync(join(home, name, '.forward'), `${name}@p.q\n`, { mode: 0o600 });
    return `${name}:x:${process.getuid?.()}:0::${join(home, name)}:/bin/sh\n`;
  });
  file('passwd', homes.join(''));
  const routers = [redirect({ forward: true, ifPresent: true, domains: ['@'] }), manualroute()];
  const files = systemFiles({}, join(home, 'passwd'));
  const dialogue = routeOneByOne(config({ routers }), { ...FACTS, files });
  assert.deepEqual(await within(5000, () => dialogue.add(mailbox('ann'))), []);
  rmSync(join(home, 'passwd'));
  assert.deepEqual(await routed(['bob', 'CID', 'ann'], { routers }, { files }), ['bob@p.q', 'cid@p.q', 'ann@p.q']);
});

test('own domains are the host’s name, localhost and the qualifying domains, each once', () => {
  assert.deepEqual(ownDomains({ qualifyDomain: 'Example.ORG', qualifyRecipient: '' }, 'box.example.org'), [
    'box.example.org',
    'localhost',
    'example.org',
  ]);
  assert.deepEqual(ownDomains({ qualifyDomain: '', qualifyRecipient: '' }, ''), ['localhost']);
});

test('a domain in U-labels matches addresses in A-labels, and the other way round', async () => {
  file('aliases', 'root: joe@p.q');
  const ours = ownDomains({ qualifyDomain: 'Müller.example', qualifyRecipient: '' }, 'box.example.org');
  assert.deepEqual(await routed(['root@xn--mller-kva.example', 'root@MÜLLER.example'], {}, { ours }), ['joe@p.q']);
  const routers = [
    redirect({ data: { a: 'b@p.q' }, domains: ['*.müller.example', 'müller.example'] }),
    manualroute({ senders: ['*@müller.example'] }),
  ];
  const reversePath = mailbox('me@xn--mller-kva.example');
  for (const address of ['a@müller.example', 'a@xn--mller-kva.example', 'a@x.xn--mller-kva.example'])
    assert.deepEqual(await routed([address], { routers }, { reversePath }), ['b@p.q']);
  const inALabels = [redirect({ data: { '*': 'b@p.q' }, domains: ['*.xn--mller-kva.example', 'XN--mller-kva.example'] })];
  for (const address of ['zoë@müller.example', 'zoë@MÜLLER.example', 'zoë@x.müller.example', 'zoë@xn--mller-kva.example'])
    assert.deepEqual(await routed([address], { routers: inALabels }), ['b@p.q']);
});

test('O9: checkAliasFiles reads all alias files and lists, and counts and names their faults', async () => {
  const list = file('list', 'a\nb c\n');
  const one = file('aliases', `a: b\nc: d e\nf: "|/bin/g"\nh: :include:${list}, :include:${home}/none\n`);
  const two = file('more', 'x: y\n');
  assert.deepEqual(await within(5000, () => checkAliasFiles(config({ aliases: [one, two, join(home, 'absent')] }))), {
    entries: 5,
    faults: [
      `cannot read ${home}/none: no such file or directory`,
      `${one}:2: "d e" is not a local-part; quote it if it is meant (in "d e")`,
      `${list}:2: "b c" is not a local-part; quote it if it is meant (in "b c")`,
    ],
    locals: [`${one}:3: |/bin/g`],
    idle: [`${home}/absent is named in aliases, and is not there`],
    files: [
      { kind: 'aliases', file: one },
      { kind: 'aliases', file: two },
      { kind: 'aliases', file: join(home, 'absent') },
      { kind: 'include', file: list },
      { kind: 'include', file: `${home}/none` },
    ],
  });
  const routers = [
    redirect({ file: join(home, 'absent') }),
    redirect({ name: 'r2', data: { a: 'b', 'c@d.example': 'e' } }),
    redirect({ name: 'r3', file: home }),
    manualroute(),
  ];
  // Of the files that no router reads only those are named that are there.
  const named = [one, join(home, 'absent'), join(home, 'nowhere')];
  assert.deepEqual(await within(5000, () => checkAliasFiles(config({ routers, aliases: named }))), {
    entries: 0,
    faults: [`cannot read ${home}/absent: no such file or directory`, `${home} is refused, because it is not a regular file`],
    locals: [],
    idle: [
      `${one} is not read: where a [[router]] is written, an alias file needs one of its own, driver = "redirect", file = "${one}"`,
      'data of router "r2": "c@d.example" does not match that address, because keys are local-parts: domains = ["…"] in a [[router]] says whose',
    ],
    files: [
      { kind: 'aliases', file: join(home, 'absent') },
      { kind: 'aliases', file: home },
    ],
  });
  const read = [redirect({ file: two }), redirect({ name: 'r2', file: join(home, 'absent'), ifPresent: true }), manualroute()];
  const report = await within(5000, () => checkAliasFiles(config({ routers: read, aliases: [two] })));
  assert.deepEqual(
    [report.entries, report.faults, report.idle],
    [1, [], [`${join(home, 'absent')} is named in aliases, and is not there`]],
  );
  const unread = await within(5000, () => checkAliasFiles(config({ aliases: [two, home] })));
  assert.deepEqual([unread.entries, unread.faults, unread.idle], [1, [`${home} is refused, because it is not a regular file`], []]);
  const usual = await within(5000, () =>
    checkAliasFiles(config({ aliases: [two, '/etc/aliases', join(home, 'misspelt'), `${two}/below`] })),
  );
  assert.deepEqual(
    [usual.faults, usual.idle.filter((text) => !text.startsWith('/etc/aliases:'))],
    [[], [join(home, 'misspelt'), `${two}/below`].map((file) => `${file} is named in aliases, and is not there`)],
  );
});

test.run();
