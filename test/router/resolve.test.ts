import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { RoutingDone } from '../../src/router/resolve.ts';
import type { Want } from '../../src/router/want.ts';
import { printMailbox } from '../../src/smtp/path.ts';
import { host, mailbox, manualroute, redirect, routeIn, summary, type World } from './world.ts';

const test = suite('routing');

const aliases = (text: string, more: World = {}): World => ({ aliases: { '/etc/aliases': text }, ...more });

/**
 * Every row of Exim's "routing outcome" (`mua_wrapper`) that is the router's: [aliases, recipients, final addresses or
 * sentences, why]. Nothing in the second group is ever contacted.
 */
const OUTCOMES: readonly [string, readonly string[], readonly string[], string][] = [
  ['', ['a@x.y', 'b@other.z'], ['a@x.y', 'b@other.z'], 'nobody is redirected'],
  ['postmaster: pm@p.q', ['postmaster@x.y', 'b@x.y'], ['pm@p.q', 'b@x.y'], 'an alias'],
  ['postmaster: pm@p.q', ['postmaster@other.z'], ['postmaster@other.z'], 'other people’s postmaster is not ours'],
  ['a: b\nb: c\nc: d@p.q', ['a@x.y'], ['d@p.q'], 'aliases of aliases'],
  ['Root: joe', ['ROOT@X.Y'], ['joe@x.y'], 'neither key nor domain regards case'],
  ['*: all@p.q\njoe: joe', ['root', 'joe'], ['all@p.q', 'joe@x.y'], 'the default key; joe has an entry of his own'],
  ['joe: :unknown:\n*: all@p.q', ['joe'], ['joe@x.y'], ':unknown: declines, and the default is not asked'],
  ['joe:\n*: all@p.q', ['joe'], ['joe@x.y'], 'so does an empty value'],
  ['joe: # comment', ['joe'], ['joe@x.y'], 'and one with nothing but a comment'],
  ['joe: \\joe, jim', ['joe@localhost'], ['joe@localhost', 'jim@x.y'], 'a backslash keeps the incoming domain'],
  ['"a b": joe', ['"a b"@x.y'], ['joe@x.y'], 'a quoted local-part'],
  ['t: a@p.q, A@p.q, a@P.Q, a@p.q', ['t', 'a@p.q'], ['A@p.q', 'a@p.q'], 'duplicates: local-parts regard case, domains do not'],
  ['bh: :blackhole:', ['bh'], [], 'discarded: sent to nobody, and no failure'],
  ['bh: a@p.q, :blackhole:, b@p.q', ['bh'], [], ':blackhole: takes the whole address'],
  ['bh: :blackhole:', ['bh', 'a@p.q'], ['a@p.q'], 'the others are served'],
  ['dn: /dev/null', ['dn'], [], '/dev/null is no file'],
  ['dn: /dev/null, a@p.q', ['dn'], ['a@p.q'], '/dev/null discards only itself'],

  ['file: /some/file', ['file@x.y', 'b@x.y'], ['routing file@x.y yielded a local delivery: to /some/file, by /etc/aliases:1'], 'a file'],
  ['pipe: "|/bin/x a"', ['pipe'], ['routing pipe@x.y yielded a local delivery: to |/bin/x a, by /etc/aliases:1'], 'a pipe'],
  ['f: /f, a@p.q', ['f'], ['routing f@x.y yielded a local delivery: to /f, by /etc/aliases:1'], 'among others'],
  ['fail: :fail: forcible fail message', ['fail', 'b'], ['routing fail@x.y yielded a failed delivery: forcible fail message'], ':fail:'],
  ['fail: :fail:', ['fail'], ['routing fail@x.y yielded a failed delivery'], ':fail: without a reason'],
  ['fail: a, :fail: no', ['fail'], ['routing fail@x.y yielded a failed delivery: no'], 'in a list it takes the whole address'],
  [
    'par: child\nchild: :fail: gone, sorry',
    ['par'],
    ['routing par@x.y yielded a failed delivery: gone, sorry (par@x.y → child@x.y)'],
    'a child’s reason, which Exim loses',
  ],
  ['d: :defer: forcible\n defer message', ['a', 'd'], ['routing d@x.y yielded a deferred delivery: forcible defer message'], ':defer:'],
  ['s: a, b@@c', ['s'], ['routing s@x.y yielded a deferred delivery: /etc/aliases:1: "@c" is not a domain (in "b@@c")'], 'a syntax error'],
  [
    '\n\ns: a,\n  b c,\n :fail: x',
    ['s'],
    ['routing s@x.y yielded a deferred delivery: /etc/aliases:4: "b c" is not a local-part; quote it if it is meant (in "b c")'],
    'the line is the item’s; what comes later does not matter',
  ],
  [
    's: :fail: x\nt: :fail: y',
    ['s', 't'],
    ['routing s@x.y yielded a failed delivery: x', 'routing t@x.y yielded a failed delivery: y'],
    'all failing recipients are named',
  ],
  [
    'i: :include:/none',
    ['i'],
    ['routing i@x.y yielded a deferred delivery: /etc/aliases:1: cannot read /none: no such file or directory'],
    'a missing include file',
  ],
];
for (const [text, recipients, expected, why] of OUTCOMES)
  test(`${JSON.stringify(text)} for ${recipients.join(', ')}: ${why}`, () => {
    const done = routeIn(aliases(text), recipients);
    assert.deepEqual(summary(done), expected);
    assert.equal(done.route === null, expected.length === 0 || done.problems.length > 0);
  });

/** The routers of Exim's test 0495 (the wrapper's main test), which looks at no domain, and rows 6 to 11 of it. */
const WRAPPER: World = {
  aliases: {
    '/aliases': 'postmaster: pm@p.q\nfile: /some/file\nfail: :fail: forcible fail message\ndefer: :defer: forcible defer message',
  },
  routers: [
    redirect({ name: 'r1', file: '/aliases' }),
    manualroute({ name: 'r2', localParts: ['otherhost'], hosts: [host('other.example')] }),
    manualroute({ name: 'r8', localParts: ['addheader'], changes: { add: ['X-Added: yes'], remove: [] } }),
    manualroute({ name: 'r9' }),
  ],
};
const ROWS: readonly [number, readonly string[], readonly string[]][] = [
  [6, ['postmaster@x.y', 'b@x.y'], ['pm@p.q', 'b@x.y']],
  [7, ['file@x.y', 'b@x.y'], ['routing file@x.y yielded a local delivery: to /some/file, by /aliases:2']],
  [8, ['fail@x.y', 'b@x.y'], ['routing fail@x.y yielded a failed delivery: forcible fail message']],
  [9, ['a@x.y', 'defer@x.y'], ['routing defer@x.y yielded a deferred delivery: forcible defer message']],
  [
    10,
    ['a@x.y', 'otherhost@x.y'],
    [
      'a@x.y and otherhost@x.y cannot go in one transaction, because their routes differ in hosts: "smtp://hub.example:25" and "smtp://other.example:25"',
    ],
  ],
  [
    11,
    ['a@x.y', 'addheader@x.y'],
    ['a@x.y and addheader@x.y cannot go in one transaction, because their routes differ in headers_add: none and "X-Added: yes"'],
  ],
];
for (const [row, to, expected] of ROWS) test(`test 0495, row ${row}`, () => assert.deepEqual(summary(routeIn(WRAPPER, to)), expected));

test('test 0613: four bare recipients, and hosts in a random order that is one for all', () => {
  const routers = [manualroute({ hosts: [host('h2', { port: 15600 }), host('h3', { port: 15600 })], randomize: true })];
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const done = routeIn({ routers, qualifyRecipient: 'myhost', shuffle: () => order }, ['a', 'b', 'c', 'd']);
    assert.deepEqual(summary(done), ['a@myhost', 'b@myhost', 'c@myhost', 'd@myhost']);
    assert.deepEqual(
      done.route?.hosts.map((each) => each.host),
      order.map((i) => `h${i + 2}`),
    );
  }
});

test('a recipient knows the address it was given as', () => {
  const { recipients } = routeIn(aliases('a: b, c@p.q\nb: d@p.q'), ['a', 'e@z']);
  assert.deepEqual(
    recipients.map(({ path, original }) => `${printMailbox(original)} → ${printMailbox(path)}`),
    ['a@x.y → d@p.q', 'a@x.y → c@p.q', 'e@z → e@z'],
  );
});

test('a recipient knows the router that gave its route', () => {
  const routers = [redirect({ name: 'table', data: { a: 'b@p.q, c' } }), manualroute({ name: 'partner', domains: ['p.q'] }), manualroute()];
  const { recipients, problems } = routeIn({ routers }, ['a', 'd@p.q']);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    recipients.map(({ path, router }) => `${printMailbox(path)} by ${router}`),
    ['b@p.q by partner', 'c@x.y by r9', 'd@p.q by partner'],
  );
});

test('discarded addresses are in the result, and are no problem', () => {
  const done = routeIn(aliases('a: b\nb: :blackhole:\nc: /dev/null'), ['a', 'c']);
  assert.deepEqual(done.discarded, [
    { path: mailbox('b@x.y'), router: 'aliases', original: mailbox('a@x.y') },
    { path: mailbox('c@x.y'), router: 'aliases', original: mailbox('c@x.y') },
  ]);
  assert.deepEqual([done.recipients, done.route, done.problems], [[], null, []]);
});

test('no recipients lead to no recipients', () => {
  const done = routeIn({}, []);
  assert.deepEqual([done.recipients, done.discarded, done.route, done.problems, done.tree], [[], [], null, [], []]);
});

/** Loops, as `route.c` ends them: [aliases, recipients, final addresses, why] */
const LOOPS: readonly [string, readonly string[], readonly string[], string][] = [
  ['loop1: loop2\nloop2: loop1', ['loop1'], ['loop1@x.y'], 'the second visit goes to the next router'],
  ['loop1: loop2\nloop2: loop1', ['loop2'], ['loop2@x.y'], 'from the other side'],
  ['loop1: loop2\nloop2: loop1', ['loop1', 'loop2'], ['loop1@x.y', 'loop2@x.y'], 'from both'],
  ['self: self, other', ['self'], ['self@x.y', 'other@x.y'], 'a copy for oneself'],
  ['self: SELF', ['self'], ['SELF@x.y'], 'the same address in capitals'],
  ['self: \\self', ['self'], ['self@x.y'], 'said with a backslash'],
  ['list: a, b\na: b\nb: a', ['list'], ['a@x.y', 'b@x.y'], 'two on one level that lead to each other'],
  ['a: a, b\nb: b, a', ['a'], ['a@x.y', 'b@x.y'], 'each keeps a copy and sends one to the other'],
  ['a: a, b\nb: b, a', ['b', 'a'], ['b@x.y', 'a@x.y'], 'from both sides'],
  ['e: a\na: b\nb: a, e', ['e'], ['a@x.y', 'e@x.y'], 'a loop within a loop'],
];
for (const [text, recipients, expected, why] of LOOPS)
  test(`${JSON.stringify(text)} for ${recipients.join(', ')} ends: ${why}`, () => {
    assert.deepEqual(new Set(summary(routeIn(aliases(text), recipients))), new Set(expected));
  });

test('a router is skipped only for the address that it has redirected itself', () => {
  const routers = [redirect({ name: 'one', data: { a: 'b', b: 'a' } }), redirect({ name: 'two', data: { a: 'c@p.q' } }), manualroute()];
  const done = routeIn({ routers }, ['a']);
  assert.deepEqual(summary(done), ['c@p.q']);
  const last = done.tree[0]?.children[0]?.children[0];
  assert.deepEqual(
    last?.steps.map(({ router, kind, detail }) => `${router}: ${kind}: ${detail}`),
    ['one: skipped: has redirected this address before', 'two: redirected: data.a of two'],
  );
});

const chain = (n: number): string => Array.from({ length: n }, (_, i) => `g${i}: g${i + 1}`).join('\n');

test('a hundred generations are followed', () => {
  assert.deepEqual(summary(routeIn(aliases(chain(100)), ['g0'])), ['g100@x.y']);
});

test('more generations end in an error', () => {
  const [problem] = routeIn(aliases(chain(101)), ['g0']).problems;
  assert.ok(problem && problem.kind === 'deferred');
  assert.equal(problem.detail, 'routing loop: more than 100 generations of redirects');
  assert.equal(problem.chain.length, 102);
  assert.equal(problem.router, '', 'no router says so');
  assert.deepEqual(problem.address, mailbox('g0@x.y'));
});

test('aliases that all name each other end in an error, soon', () => {
  const names = Array.from({ length: 10 }, (_, i) => `n${i}`);
  const { problems } = routeIn(aliases(names.map((name) => `${name}: ${names.join(', ')}`).join('\n')), ['n0']);
  assert.equal(problems.length, 10, 'each is told once');
  for (const problem of problems) {
    assert.ok(problem.kind === 'deferred' && problem.router === '');
    assert.equal(problem.detail, 'routing loop: too many aliases of one loop name each other');
  }
});

test('256 ways to one address of a loop are followed, one more is an error', () => {
  /** A loop from a0 to a0 over forks with so many ways each, so that a0 has as many ways as they make together, and that of the message. */
  const loop = (...forks: readonly number[]) => {
    const ways = (n: number, i: number) => Array.from({ length: n }, (_, way) => `b${i}-${way}`);
    const lines = forks.flatMap((n, i) => [`a${i}: ${ways(n, i).join(', ')}`, ...ways(n, i).map((each) => `${each}: a${i + 1}`)]);
    return routeIn(aliases([...lines, `a${forks.length}: a0`].join('\n')), ['a0']).problems.map(({ detail }) => detail);
  };
  assert.deepEqual(loop(3, 5, 17), []);
  assert.deepEqual(loop(2, 2, 2, 2, 2, 2, 2, 2), ['routing loop: too many aliases of one loop name each other']);
});

/** `n` aliases that all name each other. */
const knot = (n: number): string => {
  const names = Array.from({ length: n }, (_, i) => `n${i}`);
  return names.map((name) => `${name}: ${names.join(', ')}`).join('\n');
};
const nodesOf = (nodes: RoutingDone['tree']): number => nodes.reduce((sum, { children }) => sum + 1 + nodesOf(children), 0);

test('S11: sixty aliases that all name each other cost a bounded number of steps, and are told in as many lines', () => {
  const done = routeIn(aliases(knot(60)), ['n0']);
  assert.ok(nodesOf(done.tree) < 100_000, `${nodesOf(done.tree)} nodes`);
  assert.deepEqual(
    done.problems.map(({ detail }) => detail),
    ['routing is given up, because lists and aliases lead to the same addresses too often: do they name each other?'],
  );
  assert.equal(done.route, null);
  assert.ok(done.problems.every((problem) => problem.kind === 'deferred' && problem.router === ''));
});

test('S11: a loop of eight that all name each other is delivered to all', () => {
  assert.deepEqual(summary(routeIn(aliases(knot(8)), ['n0'])).length, 8);
});

test('S11: the steps of a message are not spent by lists, however long, nor by recipients, however many', () => {
  const members = Array.from({ length: 50_000 }, (_, i) => `m${i}@p.q`);
  const includes = { '/l': members.join('\n') };
  const lists = 'a: :include:/l\nb: :include:/l, a\nc: a, b\n';
  assert.equal(routeIn(aliases(lists, { includes }), ['c']).recipients.length, 50_000);
  const names = Array.from({ length: 10_000 }, (_, i) => `u${i}`);
  const each = names.map((name) => `${name}: ${name}@p.q, log@p.q`).join('\n');
  assert.equal(routeIn(aliases(each), names).recipients.length, 10_001);
});

test('a loop of six that all name each other is delivered to all', () => {
  const names = Array.from({ length: 6 }, (_, i) => `n${i}`);
  const done = routeIn(aliases(names.map((name) => `${name}: ${names.join(', ')}`).join('\n')), ['n0']);
  assert.deepEqual(new Set(summary(done)), new Set(names.map((name) => `${name}@x.y`)));
});

test('aliases in layers are each followed once', () => {
  const layers = Array.from({ length: 60 }, (_, i) => `a${i}: a${i + 1}, b${i + 1}\nb${i}: a${i + 1}, b${i + 1}`).join('\n');
  assert.deepEqual(summary(routeIn(aliases(layers), ['a0', 'b0'])), ['a60@x.y', 'b60@x.y']);
});

test('one batch of wants for each generation', () => {
  const asked: (readonly Want[])[] = [];
  routeIn(aliases('a: c, d\nb: d, :include:/l\nc: e\nd: e@p.q', { includes: { '/l': 'f, e@p.q' } }), ['a', 'b', 'B', 'z@p.q'], asked);
  assert.deepEqual(asked, [
    [{ kind: 'aliases', file: '/etc/aliases', keys: ['a', '*', 'b'] }],
    [
      { kind: 'aliases', file: '/etc/aliases', keys: ['c', 'd'] },
      { kind: 'include', file: '/l', by: '/etc/aliases' },
    ],
    [{ kind: 'aliases', file: '/etc/aliases', keys: ['f', 'e'] }],
  ]);
});

test('nothing is asked when no router looks at the address', () => {
  const asked: (readonly Want[])[] = [];
  routeIn({}, ['a@p.q'], asked);
  assert.deepEqual(asked, []);
});

/** Included lists: [files, final addresses or sentences, why]; the alias is `l: :include:/1, z@p.q`. */
const at = 'routing l@x.y yielded a deferred delivery: ';
const INCLUDES: readonly [NonNullable<World['includes']>, readonly string[], string][] = [
  [{ '/1': 'a@p.q\n# comment\n\nB <b@p.q>, c' }, ['a@p.q', 'b@p.q', 'c@x.y', 'z@p.q'], 'lines and commas'],
  [{ '/1': '' }, ['z@p.q'], 'an empty list'],
  [{ '/1': ':include:/2\na@p.q', '/2': 'b@p.q' }, ['b@p.q', 'a@p.q', 'z@p.q'], 'a list within a list'],
  [{ '/1': ':include:/2\n:include:/2', '/2': 'b@p.q' }, ['b@p.q', 'z@p.q'], 'the same list twice'],
  [{ '/1': ':fail: no more, list\n' }, ['routing l@x.y yielded a failed delivery: no more, list'], ':fail: takes the whole address'],
  [{ '/1': 'a,\n:blackhole:' }, [], 'so does :blackhole:'],
  [{ '/1': 'a\nb c\n' }, [`${at}/1:2: "b c" is not a local-part; quote it if it is meant (in "b c")`], 'a fault names file and line'],
  [{ '/1': 'a\n:include:2' }, [`${at}/1:2: :include: takes an absolute path, not "2"`], 'a relative path'],
  [{ '/1': ':include:/1' }, [`${at}/1:1: /1 includes itself`], 'a loop'],
  [{ '/1': ':include:/2', '/2': 'a\n:include:/1' }, [`${at}/2:2: /1 includes itself`], 'a longer loop'],
  [
    { '/1': { kind: 'unreadable', detail: 'cannot read /1: permission denied' } },
    [`${at}/etc/aliases:1: cannot read /1: permission denied`],
    'an unreadable list',
  ],
  [{ '/1': 'a'.repeat(1024 * 1024 + 1) }, [`${at}/etc/aliases:1: /1 is longer than 1048576 octets`], 'too long a list'],
  [{ '/1': `${'#'.repeat(1024 * 1024 - 2)}\na` }, ['a@x.y', 'z@p.q'], 'the longest'],
  [{ '/1': '/var/list' }, ['routing l@x.y yielded a local delivery: to /var/list, by /1:1'], 'a file'],
];
for (const [includes, expected, why] of INCLUDES)
  test(`an included list: ${why}`, () =>
    assert.deepEqual(summary(routeIn(aliases('l: :include:/1, z@p.q', { includes }), ['l'])), expected));

test('included lists nest ten deep', () => {
  const nested = (n: number) =>
    Object.fromEntries(Array.from({ length: n }, (_, i) => [`/${i + 1}`, i + 1 < n ? `:include:/${i + 2}` : 'end']));
  assert.deepEqual(summary(routeIn(aliases('l: :include:/1', { includes: nested(10) }), ['l'])), ['end@x.y']);
  assert.deepEqual(summary(routeIn(aliases('l: :include:/1', { includes: nested(11) }), ['l'])), [
    `${at}/10:1: :include: is nested more than 10 deep`,
  ]);
});

test('an item that decides waits for the lists before it', () => {
  const world = (first: string) => aliases('l: :include:/1, :include:/2, :fail: last', { includes: { '/1': first, '/2': ':blackhole:' } });
  assert.deepEqual(summary(routeIn(world(':fail: first'), ['l'])), ['routing l@x.y yielded a failed delivery: first']);
  assert.deepEqual(summary(routeIn(world('a'), ['l'])), []);
});

/** Alias files that are not there or cannot be read. */
test('the default alias file may be missing', () => {
  assert.deepEqual(summary(routeIn({}, ['a'])), ['a@x.y']);
});

test('an alias file that a router names may not', () => {
  const routers = [redirect({ file: '/etc/mine' }), manualroute()];
  assert.deepEqual(summary(routeIn({ routers }, ['a'])), [
    'routing a@x.y yielded a deferred delivery: cannot read /etc/mine: no such file or directory',
  ]);
});

test('an alias file that cannot be read defers all who look there', () => {
  const world: World = { aliases: { '/etc/aliases': { kind: 'unreadable', detail: 'cannot read /etc/aliases: permission denied' } } };
  assert.deepEqual(summary(routeIn(world, ['a', 'b@p.q', 'c'])), [
    'routing a@x.y yielded a deferred delivery: cannot read /etc/aliases: permission denied',
    'routing c@x.y yielded a deferred delivery: cannot read /etc/aliases: permission denied',
  ]);
});

test('an alias that is too long defers', () => {
  const world = aliases(`a: ${'b, '.repeat(6_000_000)}c`);
  assert.deepEqual(summary(routeIn(world, ['a'])), [
    'routing a@x.y yielded a deferred delivery: /etc/aliases:1: the entry is longer than 16777216 octets',
  ]);
});

const itsOwners = (text: string, isPrivate = true) => ({ kind: 'text', file: '/home/joe/.forward', text, isPrivate }) as const;
const deferred = (detail: string): string => `routing joe@x.y yielded a deferred delivery: /home/joe/.forward:${detail}`;

/** ~/.forward */
const FORWARDS: readonly [NonNullable<World['forwards']>[string] | undefined, readonly string[], string][] = [
  [undefined, ['joe@x.y'], 'none'],
  ['', ['joe@x.y'], 'an empty one'],
  ['# mine\njoe@p.q\n\\joe', ['joe@p.q', 'joe@x.y'], 'a copy elsewhere'],
  ['"|/usr/bin/vacation joe"', ['routing joe@x.y yielded a local delivery: to |/usr/bin/vacation joe, by joe'], 'a command'],
  [
    '# Exim filter\ndeliver x',
    ['routing joe@x.y yielded a deferred delivery: joe is a filter; only a list of addresses is read'],
    'an Exim filter',
  ],
  ['#sieve filter', ['routing joe@x.y yielded a deferred delivery: joe is a filter; only a list of addresses is read'], 'a Sieve filter'],
  [
    { kind: 'unreadable', detail: '/home/joe/.forward can be written by others' },
    ['routing joe@x.y yielded a deferred delivery: /home/joe/.forward can be written by others'],
    'unsafe',
  ],
  [':include:/etc/shadow', ['routing joe@x.y yielded a deferred delivery: joe: a .forward includes no file'], 'another file in it'],
  [itsOwners('ann@p.q\n:include:/etc/shadow'), [deferred('2: a .forward includes no file')], 'another file in somebody else’s'],
  [itsOwners('ann@p.q\nroot:x:0'), [deferred('2: this is not an address')], 'a line of somebody else’s is not shown'],
  [itsOwners('root:x:0', false), [deferred('1: "root:x:0" is not a local-part; quote it if it is meant (in "root:x:0")')], 'one’s own is'],
  [itsOwners('|/bin/x -y'), ['routing joe@x.y yielded a local delivery: to a program, by /home/joe/.forward:1'], 'nor a command'],
  [itsOwners('/var/mail/x'), ['routing joe@x.y yielded a local delivery: to a file, by /home/joe/.forward:1'], 'nor a path'],
  [itsOwners(':fail: x'), ['routing joe@x.y yielded a failed delivery'], 'nor a reason'],
  [itsOwners(':defer: x'), ['routing joe@x.y yielded a deferred delivery'], 'nor a reason to wait'],
  [itsOwners('ann@p.q'), ['ann@p.q'], 'an address is obeyed'],
  ['#'.repeat(1024 * 1024 + 1), ['routing joe@x.y yielded a deferred delivery: joe is longer than 1048576 octets'], 'too long a one'],
];
for (const [text, expected, why] of FORWARDS)
  test(`a forward file: ${why}`, () => {
    const routers = [redirect({ forward: true, ifPresent: true, domains: ['@'] }), manualroute()];
    assert.deepEqual(summary(routeIn({ routers, ...(text === undefined ? {} : { forwards: { joe: text } }) }, ['joe'])), expected);
  });

test('bare addresses in lists: qualify_recipient, or the incoming domain', () => {
  const data = { joe: 'jim' };
  assert.deepEqual(summary(routeIn({ routers: [redirect({ data }), manualroute()] }, ['joe@p.q'])), ['jim@x.y']);
  assert.deepEqual(summary(routeIn({ routers: [redirect({ data, qualifyPreserveDomain: true }), manualroute()] }, ['joe@p.q'])), [
    'jim@p.q',
  ]);
});

test('a host without a domain of its own still has aliases; what stays bare fails', () => {
  const world = aliases('postmaster: root\nroot: me@p.q', { qualifyRecipient: '', ours: ['box'] });
  assert.deepEqual(summary(routeIn(world, ['postmaster'])), ['me@p.q']);
  assert.deepEqual(summary(routeIn(world, ['joe'])), [
    'routing joe yielded a failed delivery: joe has no domain, and there is no default one: set qualify_recipient or qualify_domain',
  ]);
});

/** Routes. */
test('nothing routes without a smart host, and the key is named', () => {
  assert.deepEqual(summary(routeIn({ routers: [] }, ['a'])), [
    'routing a@x.y yielded a failed delivery: unrouteable address: no smart host is configured: set smarthosts, or run "nospool init"',
  ]);
  assert.deepEqual(summary(routeIn({ routers: [manualroute({ domains: ['p.q'] })] }, ['a', 'b@p.q'])), [
    'routing a@x.y yielded a failed delivery: unrouteable address: no router takes it; set smarthosts, or a manualroute whose domains include "x.y"',
  ]);
  const [node] = routeIn({ routers: [] }, ['a']).tree;
  assert.deepEqual(
    node?.steps.map(({ router, kind }) => [router, kind]),
    [['', 'unrouteable']],
    'no router says so',
  );
});

const two = (more: Parameters<typeof manualroute>[0]) => [manualroute({ name: 'r2', localParts: ['other'], ...more }), manualroute()];

test('routes that differ fail, and the two addresses and the field are named', () => {
  const done = routeIn({ routers: two({ hosts: [host('other.example')] }) }, ['a', 'b', 'other']);
  assert.deepEqual(summary(done), [
    'a@x.y and other@x.y cannot go in one transaction, because their routes differ in hosts: "smtp://hub.example:25" and "smtp://other.example:25"',
  ]);
  assert.equal(done.route, null);
});

test('routes that differ in header fields or the reverse-path fail, too', () => {
  const disagreement = (more: Parameters<typeof manualroute>[0]) => routeIn({ routers: two(more) }, ['a', 'other']).problems[0];
  for (const [more, field] of [
    [{ changes: { add: ['X-A: b'], remove: [] } }, 'headers_add'],
    [{ changes: { add: [], remove: ['X-A'] } }, 'headers_remove'],
    [{ errorsTo: null }, 'errors_to'],
    [{ hosts: [host('hub.example', { auth: { user: 'u', mechanisms: [], secret: { from: 'none' }, allowPlaintext: false } })] }, 'auth'],
  ] as const) {
    const problem = disagreement(more);
    assert.equal(problem?.kind === 'disagree' && problem.field, field);
  }
  assert.equal(disagreement({ errorsTo: mailbox('me@x.y') }), undefined);
});

test('an address with a problem does not hide that others disagree', () => {
  const routers = [redirect({ data: { f: ':fail: no' } }), ...two({ hosts: [host('other.example')] })];
  assert.deepEqual(
    routeIn({ routers }, ['a', 'f', 'other']).problems.map(({ kind }) => kind),
    ['failed', 'disagree'],
  );
});

test('a router can choose by the sender', () => {
  const routers = [manualroute({ senders: ['*@work.example'], hosts: [host('work.example')] }), manualroute()];
  const hosts = (sender: string) => routeIn({ routers, sender }, ['a']).route?.hosts.map((each) => each.host);
  assert.deepEqual(hosts('me@work.example'), ['work.example']);
  assert.deepEqual(hosts('me@home.example'), ['hub.example']);
  assert.deepEqual(hosts(''), ['hub.example']);
});

test('randomize: one order for all recipients, whichever router they come by', () => {
  const hosts = [host('h2'), host('h3'), host('h4')];
  let asked = 0;
  const shuffle = () => {
    asked += 1;
    return asked === 1 ? [2, 0, 1] : [0, 1, 2];
  };
  const routers = [manualroute({ name: 'r2', localParts: ['d'], hosts, randomize: true }), manualroute({ hosts, randomize: true })];
  const done = routeIn({ routers, shuffle }, ['a', 'b', 'c', 'd']);
  assert.deepEqual(done.problems, []);
  assert.deepEqual(
    done.route?.hosts.map((each) => each.host),
    ['h4', 'h2', 'h3'],
  );
});

test('randomize of the smart hosts where no router is written', () => {
  const done = routeIn({ smarthosts: [host('h2'), host('h3')], randomize: true, shuffle: () => [1, 0] }, ['a', 'b', 'c', 'd']);
  assert.deepEqual(
    done.route?.hosts.map((each) => each.host),
    ['h3', 'h2'],
  );
});

test('an address that a router has accepted is asked no further; the tree tells why', () => {
  const done = routeIn(aliases('a: b, b, file\nfile: /f'), ['a', 'z@p.q']);
  const print = ({ path, steps, children }: (typeof done.tree)[number]): unknown[] => [
    printMailbox(path),
    ...steps.map(({ router, kind, detail }) => `${router}|${kind}|${detail}`),
    ...children.map(print),
  ];
  assert.deepEqual(done.tree.map(print), [
    [
      'a@x.y',
      'aliases|redirected|/etc/aliases:1',
      ['b@x.y', 'aliases|declined|no entry', 'smarthosts|accepted|smtp://hub.example:25'],
      ['b@x.y', '|duplicate|met before'],
      ['file@x.y', 'aliases|redirected|/etc/aliases:2', 'aliases|local delivery|/f, by /etc/aliases:2'],
    ],
    ['z@p.q', 'aliases|skipped|not for this domain', 'smarthosts|accepted|smtp://hub.example:25'],
  ]);
});

test('the tree is plain data', () => {
  const done = routeIn(aliases('a: b'), ['a']);
  assert.equal(done.kind, 'done');
  assert.deepEqual(JSON.parse(JSON.stringify(done.tree)), done.tree);
});

test('50,000 recipients and an alias of 20,000 addresses', () => {
  const list = Array.from({ length: 20_000 }, (_, i) => `m${i}@list.example`).join(', ');
  const recipients = Array.from({ length: 50_000 }, (_, i) => `u${i}@p.q`);
  const done = routeIn(aliases(`all: ${list}`), [...recipients, 'all', 'ALL']);
  assert.equal(done.recipients.length, 70_000);
  assert.deepEqual(done.problems, []);
});

test.run();
