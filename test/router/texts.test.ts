/** The texts of routing: problems as sentences, smart hosts as addresses; and the routers that are there by default. */

import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { withDefaults } from '../../src/router/defaults.ts';
import { makeAliasCheck } from '../../src/router/newaliases.ts';
import { printProblem, printProblems } from '../../src/router/problem.ts';
import { printSmarthost, type Smarthost } from '../../src/router/smarthost.ts';
import { host, mailbox, manualroute, redirect } from './world.ts';

const test = suite('texts of routing');

test('a problem names the way to the address that has it', () => {
  const chain = ['a@x', 'b@x', 'c@y'].map(mailbox);
  const common = { address: mailbox('a@x'), chain, router: 'r', detail: 'no' } as const;
  assert.equal(printProblem({ kind: 'failed', ...common }), 'routing a@x yielded a failed delivery: no (a@x → b@x → c@y)');
  assert.equal(printProblem({ kind: 'deferred', ...common, chain: chain.slice(0, 1) }), 'routing a@x yielded a deferred delivery: no');
});

test('a reason cannot drive a terminal or begin a line', () => {
  const problem = { kind: 'failed', address: mailbox('a@x'), chain: [mailbox('a@x')], router: 'r', detail: 'n\u001b[2J\r\nö' } as const;
  assert.equal(printProblem(problem), 'routing a@x yielded a failed delivery: n\\x1b[2J\\x0d\\x0aö');
});

test('S11: a hundred problems are printed, and how many more there are', () => {
  const problem = (n: number) => ({ kind: 'failed', address: mailbox(`a${n}@x`), chain: [], router: 'r', detail: 'no' }) as const;
  const problems = Array.from({ length: 5000 }, (_, i) => problem(i));
  assert.equal(printProblems(problems.slice(0, 100)).length, 100);
  assert.equal(printProblems(problems.slice(0, 101)).at(-1), 'and 1 more');
  const sentences = printProblems(problems);
  assert.equal(sentences.length, 101);
  assert.equal(sentences[99], 'routing a99@x yielded a failed delivery: no');
  assert.equal(sentences[100], 'and 4900 more');
});

/** [smart host, as it is printed] */
const HOSTS: readonly [Smarthost, string][] = [
  [host('a.example'), 'smtp://a.example:25'],
  [host('2001:db8::1', { scheme: 'submissions', port: 465 }), 'submissions://[2001:db8::1]:465'],
  [host('a', { expand: 'mx' }), 'smtp://a:25/MX'],
  [host('a', { scheme: 'submission', expand: 'srv', port: 587 }), 'submission://a/SRV'],
  [host('/run/lmtp', { scheme: 'unix', port: 0 }), 'unix:/run/lmtp'],
  [host('/run/lmtp', { scheme: 'unix', port: 0, lmtp: true }), 'lmtp+unix:/run/lmtp'],
];
for (const [each, expected] of HOSTS) test(expected, () => assert.equal(printSmarthost(each), expected));

const names = (config: Partial<Parameters<typeof withDefaults>[0]>) =>
  withDefaults({ routers: [], aliases: [], smarthosts: [], randomize: false, ...config }).map((router) => router.name);

test('the routers are the configured ones, or the alias files, and the smart hosts', () => {
  assert.deepEqual(names({}), []);
  assert.deepEqual(names({ aliases: ['/a', '/b'] }), ['aliases', 'aliases2']);
  assert.deepEqual(names({ aliases: ['/a'], smarthosts: [host('h')] }), ['aliases', 'smarthosts']);
  assert.deepEqual(names({ aliases: ['/a'], smarthosts: [host('h')], routers: [redirect(), manualroute()] }), ['r1', 'r9', 'smarthosts']);
  assert.deepEqual(names({ aliases: ['/a'], routers: [redirect()] }), ['r1']);
  const [aliases, smarthosts] = withDefaults({ routers: [], aliases: ['/a'], smarthosts: [host('h')], randomize: true });
  assert.ok(aliases?.driver === 'redirect' && smarthosts?.driver === 'manualroute');
  assert.deepEqual([aliases.domains, aliases.file, aliases.ifPresent], [['@'], '/a', true]);
  assert.deepEqual([smarthosts.domains, smarthosts.hosts, smarthosts.randomize], [[], [host('h')], true]);
});

test('a check counts entries and names faults, local deliveries and included lists', () => {
  const check = makeAliasCheck();
  const reader = check.aliases('/a');
  reader.read(' x\n: y\na: b\nc: "|/bin/d", /e,\n # note\n  :include:/i, :include:/i, :include:j\n"k: l@@m\nn: :fail: no\n');
  reader.end();
  check.list('/i', 'o\np q\n:include:/r\n/dev/null');
  assert.equal(check.entries, 4);
  assert.deepEqual(check.faults, [
    '/a:1: this line begins with a blank, but there is no entry that it could continue',
    '/a:2: the key is missing',
    '/a:6: :include: takes an absolute path, not "j"',
    '/a:7: the closing quote of the key is missing',
    '/i:2: "p q" is not a local-part; quote it if it is meant (in "p q")',
  ]);
  assert.deepEqual(check.locals, ['/a:4: |/bin/d', '/a:4: /e']);
  assert.deepEqual(check.includes, [
    { file: '/i', by: '/a' },
    { file: '/r', by: '/i' },
  ]);
});

/** The files that Debian, Postfix and Sendmail's packages install, in short, and what people write into them. */
const REAL = `# /etc/aliases
mailer-daemon: postmaster
postmaster: root
nobody: root
www-data: root

# Person who should get root's mail. Don't receive mail as root!
#root:		you
MAILER-DAEMON:	postmaster
bin:		root
# trap decode to catch security attacks
decode:		root
root: joe, \\root, "Joe Doe" <joe@example.org>
majordomo: "|/usr/lib/majordomo/wrapper majordomo"
list: "|/usr/lib/majordomo/wrapper resend -l list list-outgoing"
list-outgoing: :include:/etc/lists/list
owner-list: joe,
	jim@example.org
list-request:	"|/usr/lib/majordomo/wrapper majordomo -l list"
mailman:              "|/var/lib/mailman/mail/mailman post mailman"
vacationer: \\vacationer, "|/usr/bin/vacation vacationer"
procmail: |"IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #procmail"
archive: /var/mail/archive
bitbucket: /dev/null
"first last": first.last
files: "/home/joe/Mail/with blank"
quoted: ":include:/etc/lists/quoted"
`;
test('keys that are addresses, as virtual_alias_maps of Postfix has them, are told', () => {
  const check = makeAliasCheck();
  const reader = check.aliases('/virtual');
  reader.read('bob@shop.example  bob@example.org\n@shop.example: all@example.org\nroot: bob@shop.example\n');
  reader.end();
  const why = 'does not match that address, because keys are local-parts: domains = ["…"] in a [[router]] says whose';
  assert.deepEqual(check.unused, [`/virtual:1: "bob@shop.example" ${why}`, `/virtual:2: "@shop.example" ${why}`]);
  assert.deepEqual([check.entries, check.faults], [3, []]);
});

test('O9: real alias files are without fault; an entry that never counts is told', () => {
  const check = makeAliasCheck();
  const reader = check.aliases('/etc/aliases');
  reader.read(REAL);
  reader.end();
  assert.deepEqual(check.faults, []);
  assert.equal(check.entries, 21);
  assert.equal(check.locals.length, 8);
  assert.deepEqual(check.unused, ['/etc/aliases:9: "mailer-daemon" is in line 2 already, and that one counts']);
  assert.deepEqual(
    check.includes.map(({ file }) => file),
    ['/etc/lists/list', '/etc/lists/quoted'],
  );
});

test.run();
