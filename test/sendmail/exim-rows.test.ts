/**
 * Asks the built `sendmail` with several routers, row by row, to do as Exim's wrapper mode does: the outcomes of routing, Exim's own
 * tests of that mode (0495 and 0613), and the table of phases and events.
 * Loopback: STARTTLS is in one row, with a mode that is written.
 */
import assert from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { type Arrived, deadPort, type Ended, killAll, run, type SmartHost, scratch, setUp, smartHost, start } from '../support/command.ts';
import { type Followed, type Lines, startFollowing } from '../support/scripted.ts';
import { within } from '../support/within.ts';

const test = suite("Exim's rows");
test.after.each(killAll);

/** Plays one script a connection, and closes any other. */
const scripted = (...scripts: readonly Lines[]): Promise<Followed> => startFollowing((connection) => scripts[connection] ?? []);

const GREETED = ['220 server ready', 'EHLO client.example.org', '250-server id\r\n250-PIPELINING\r\n250 OK'];
const TWO = [
  ...GREETED,
  'MAIL FROM:',
  '250 OK',
  'RCPT TO:',
  '250 OK',
  'RCPT TO:',
  '250 OK',
  'DATA',
  '354 go',
  '.',
  '250 OK',
  'QUIT',
  '221 bye',
];

/* ---- what both do ---- */

interface Sent extends Ended {
  readonly facts: readonly string[];
}

const TIMEOUTS = '[timeouts]\nresolve = "2s"\ngreeting = "1s"\ncommand = "1s"\ndata = "1s"\nfinal = "1s"';
const url = (port: number): string => `"smtp://127.0.0.1:${port}"`;

async function send(toml: string, tables: string, args: readonly string[], input = 'This is a test message.\n'): Promise<Sent> {
  const { config, loggedFacts } = setUp(`qualify_domain = "myhost.test.ex"\n${toml}`, `${tables}\n${TIMEOUTS}`);
  const ended = await run(config, args, input);
  return { ...ended, facts: loggedFacts() };
}

/** Silence and status 0, or status 1 with every reason asked for on standard error and in the log. */
function assertEnded(sent: Sent, status: 0 | 1, reasons: readonly RegExp[], row: string, logged = true): void {
  const said = `${row}\n${sent.stderr}\n${sent.facts.join('\n')}`;
  assert.equal(sent.status, status, said);
  if (status === 0) assert.equal(sent.stderr, '', said);
  for (const reason of reasons) {
    assert.match(sent.stderr, reason, said);
    if (logged) assert.match(sent.facts.join('\n'), reason, said);
  }
}

/* ---- Exim's test 0495 ---- */

/** The routers of that mode: aliases, one local part to another host, one with another header, and all the rest to two hosts. */
const routers = (first: number, second: number, other: number): string => `
[[router]]
name = "r1"
driver = "redirect"
domains = ["*"]
data = { postmaster = "pm@p.q", file = "/some/file", fail = ":fail: forcible fail message", defer = ":defer: forcible defer message" }
[[router]]
name = "r2"
driver = "manualroute"
local_parts = ["otherhost"]
hosts = [${url(other)}]
[[router]]
name = "addheader"
driver = "manualroute"
local_parts = ["addheader"]
hosts = [${url(first)}, ${url(second)}]
headers_add = ["X-Added: yes"]
[[router]]
name = "r9"
driver = "manualroute"
hosts = [${url(first)}, ${url(second)}]`;

const DIALOGUE = 'ehlo localhost\nmail from:<sen@der>\nrcpt to:<a@x.y>\nrcpt to:<b@x.y>\ndata\nSubject: x\n\nbody\n.\nquit\n'.replaceAll(
  '\n',
  '\r\n',
);

interface Row {
  readonly row: number;
  readonly args: string;
  /** The script of the first host; null where nothing listens, at neither host. */
  readonly first: readonly string[] | null;
  /** The script of the second; without it, it must not be asked. */
  readonly second?: readonly string[];
  readonly status: 0 | 1;
  readonly reasons?: readonly RegExp[];
  /** The commands after EHLO. */
  readonly heard?: readonly string[];
  readonly input?: string;
  readonly stdout?: RegExp;
}

const SENDER = /^MAIL FROM:<\S*> ?(SIZE=\d+)?$/;
const MAIL = 'MAIL FROM:<…>';
const [A, B] = ['RCPT TO:<a@x.y>', 'RCPT TO:<b@x.y>'];
const SILENT_AT_B = [...GREETED, 'MAIL FROM:', '250 OK', A, '250 OK', B, '*silence'];

const ROWS: readonly Row[] = [
  { row: 1, args: 'xyz@test.ex', first: null, status: 1, reasons: [/connection refused/, /xyz@test\.ex|127\.0\.0\.1/] },
  { row: 2, args: 'a@x.y b@x.y', first: [...TWO.slice(0, -2), '*close'], status: 0, heard: [MAIL, A, B, 'DATA', '.'] },
  {
    row: 3,
    args: 'a@x.y b@x.y',
    first: [...GREETED, 'MAIL FROM:', '250 OK', A, '250 OK', B, '550 NOTOK', 'QUIT', '250 OK'],
    status: 1,
    reasons: [/RCPT TO:<b@x\.y>: 550 NOTOK/],
    heard: [MAIL, A, B, 'QUIT'],
  },
  {
    row: 4,
    args: 'a@x.y b@x.y',
    first: [...GREETED, 'MAIL FROM:', '550 BAD MAIL', A, '550 NOTOK', B, '550 NOTOK', 'QUIT', '250 OK'],
    status: 1,
    reasons: [/MAIL FROM:<\S+>.*: 550 BAD MAIL/],
    heard: [MAIL, A, B, 'QUIT'],
  },
  {
    row: 5,
    args: 'a@x.y b@x.y',
    first: [...GREETED, 'MAIL FROM:', '450 TEMPORARY MAIL FAIL', A, '450 NOTOK', B, '450 NOTOK', 'QUIT', '250 OK'],
    status: 1,
    reasons: [/MAIL FROM:<\S+>.*: 450 TEMPORARY MAIL FAIL/],
    heard: [MAIL, A, B, 'QUIT'],
  },
  {
    row: 6,
    args: 'postmaster@x.y b@x.y',
    first: TWO,
    status: 0,
    heard: [MAIL, 'RCPT TO:<pm@p.q>', B, 'DATA', '.', 'QUIT'],
  },
  {
    row: 7,
    args: 'file@x.y b@x.y',
    first: [],
    status: 1,
    reasons: [/routing file@x\.y yielded a local delivery: .*\/some\/file/],
    heard: [],
  },
  {
    row: 8,
    args: 'fail@x.y b@x.y',
    first: [],
    status: 1,
    reasons: [/routing fail@x\.y yielded a failed delivery: forcible fail message/],
    heard: [],
  },
  {
    row: 9,
    args: 'a@x.y defer@x.y',
    first: [],
    status: 1,
    reasons: [/routing defer@x\.y yielded a deferred delivery: forcible defer message/],
    heard: [],
  },
  {
    row: 10,
    args: 'a@x.y otherhost@x.y',
    first: [],
    status: 1,
    reasons: [/a@x\.y and otherhost@x\.y cannot go in one transaction, .* in hosts/],
    heard: [],
  },
  {
    row: 11,
    args: 'a@x.y addheader@x.y',
    first: [],
    status: 1,
    reasons: [/a@x\.y and addheader@x\.y cannot go in one transaction, .* in headers_add/],
    heard: [],
  },
  { row: 12, args: '-bd', first: [], status: 1, reasons: [/no daemon/], heard: [] },
  {
    row: 13,
    args: '-bs',
    first: TWO,
    status: 0,
    heard: [MAIL, A, B, 'DATA', '.', 'QUIT'],
    input: DIALOGUE,
    stdout: /\r\n354 .*\r\n250 .*\r\n221 /,
  },
  {
    row: 14,
    args: '-bs',
    first: null,
    status: 1,
    reasons: [/connection refused/],
    input: DIALOGUE,
    stdout: /\r\n354 .*\r\n(4\d\d[- ].*\r\n)+221 /,
  },
  { row: 15, args: 'a@x.y b@x.y', first: SILENT_AT_B, second: SILENT_AT_B, status: 1, reasons: [/RCPT TO:<b@x\.y>/], heard: [MAIL, A, B] },
  {
    row: 17,
    args: '-f <> a@x.y',
    first: [...GREETED, 'MAIL FROM:<>', '250 OK', A, '550 SORRY', 'DATA', '503 no', 'QUIT', '221 bye'],
    status: 1,
    reasons: [/RCPT TO:<a@x\.y>: 550 SORRY/],
    heard: [MAIL, A, 'DATA', 'QUIT'],
  },
];

for (const { row, args, first, second, status, reasons = [], heard, input, stdout } of ROWS)
  test(`0495, row ${row}: ${args}`, () =>
    within(20_000, async () => {
      const one = first === null ? null : await scripted(first);
      const two = first === null ? null : await scripted(second ?? []);
      const other = await scripted();
      const ports = one && two ? [one.port, two.port] : [await deadPort(), await deadPort()];
      const [a = 0, b = 0] = ports;
      const sent = await send('', routers(a, b, other.port), [...args.split(' ')], input);
      await Promise.all([one, two, other].map((host) => host?.close()));
      // The error about options comes before the configuration names a log.
      assertEnded(sent, status, reasons, `row ${row}`, args !== '-bd');
      if (stdout) assert.match(sent.stdout, stdout);
      else assert.equal(sent.stdout, '');
      assert.equal(other.connections, 0);
      if (!one || !two) {
        for (const port of ports) assert.ok(sent.stderr.includes(`[127.0.0.1]:${port}: connection refused`), sent.stderr);
        return;
      }
      assert.deepEqual([one.connections, two.connections], [(heard ?? []).length > 0 ? 1 : 0, second ? 1 : 0]);
      assert.deepEqual([one.unexpected, two.unexpected], [[], []]);
      const commands = (host: Followed): string[] => host.heard.slice(1).map((line) => (SENDER.test(line) ? MAIL : line));
      assert.deepEqual(commands(one), heard);
      if (second) assert.deepEqual(commands(two), heard);
    }));

test('0495, row 6: the message on the wire has Message-ID, From and Date', () =>
  within(20_000, async () => {
    const host = await scripted(TWO);
    const sent = await send('', routers(host.port, host.port, host.port), ['-f', 'sen@der.test', 'postmaster@x.y', 'b@x.y']);
    await host.close();
    assertEnded(sent, 0, [], 'row 6');
    assert.match(
      host.contents[0] as string,
      /^Message-ID: <\S+@\S+>\r\nFrom: .*sen@der\.test>?\r\nDate: .*\r\n\r\nThis is a test message\.\r\n$/,
    );
    assert.match(sent.facts.join('\n'), /\n=> pm@p\.q <postmaster@x\.y> R=\S+ .*\n-> b@x\.y R=\S+ .*\nCompleted$/);
  }));

test('0495, row 16: the name of a port in a route fails before anybody is connected to', () =>
  within(20_000, async () => {
    const host = await smartHost();
    const tables = `[[router]]\nname = "r3"\ndriver = "manualroute"\nlocal_parts = ["badport1", "badport2"]\nhosts = ["smtp://127.0.0.1:nonexistent"]\n[[router]]\nname = "r9"\ndriver = "manualroute"\nhosts = [${url(host.port)}]`;
    const sent = await send('', tables, ['badport1@z', 'badport2@z']);
    await host.close();
    assert.equal(sent.status, 1);
    assert.match(sent.stderr, /nonexistent/);
    assert.equal(host.connections, 0);
  }));

/* ---- Exim's test 0613 ---- */

test('0613: a list in random order is one for all recipients, and each host is named', () =>
  within(20_000, async () => {
    const dead = [await deadPort(), await deadPort()] as const;
    const route = (a: number, b: number): string =>
      `[[router]]\nname = "smart"\ndriver = "manualroute"\nrandomize = true\nhosts = [${url(a)}, ${url(b)}]`;
    for (let times = 0; times < 4; times++) {
      const sent = await send('', route(...dead), '-bm a b c d'.split(' '));
      assertEnded(
        sent,
        1,
        dead.map((port) => new RegExp(`\\[127\\.0\\.0\\.1\\]:${port}: connection refused`)),
        '0613',
      );
      assert.doesNotMatch(sent.stderr, /one transaction/);
      for (const name of 'abcd') assert.match(sent.facts.join('\n'), new RegExp(`^\\*\\* ${name}@myhost\\.test\\.ex `, 'm'));
    }
    const host = await smartHost();
    const sent = await send('', route(dead[0], host.port), '-bm a b c d'.split(' '));
    await host.close();
    assertEnded(sent, 0, [], '0613 with one that listens');
    assert.deepEqual(
      host.messages.map(({ recipients }) => recipients),
      [[...'abcd'].map((name) => `<${name}@myhost.test.ex>`)],
    );
  }));

/* ---- what routing yields ---- */

const folder = scratch();
const INCLUDED = path.join(folder, 'included');
const ALIASES = path.join(folder, 'aliases');
writeFileSync(INCLUDED, 'inc1@x.y, inc2@x.y\n');
writeFileSync(
  ALIASES,
  `file: /var/mail/box
pipe: "|/bin/cat"
fail: :fail: gone away
mute: :fail:
parent: a@x.y, child@x.y
child: :fail: this is the child
later: :defer: come back
parlater: child2@x.y
child2: :defer: this is the child
syntax: a@x.y, b@@x.y
missing: :include:/nowhere/at/all
bh: :blackhole:
null: /dev/null
mixed: :blackhole:, a@x.y
unknown: :unknown:
empty:
self: self, other
loop1: loop2
loop2: loop1
list: :include:${INCLUDED}
twice: a@x.y, a@X.Y, A@x.y
`,
);

const RECEIVED = (count: number): string => 'Received: from a by b; Sat, 1 Nov 2026 10:00:00 +0000\n'.repeat(count);

interface Outcome {
  readonly args: string;
  readonly status: 0 | 1;
  /** Recipients of the one transaction; null: nobody is connected to. */
  readonly recipients: readonly string[] | null;
  readonly reasons?: readonly RegExp[];
  readonly logged?: RegExp;
  readonly input?: string;
  readonly toml?: string;
}

const failing = (args: string, ...reasons: readonly RegExp[]): Outcome => ({ args, status: 1, recipients: null, reasons });
const reaching = (args: string, recipients: string, logged?: RegExp): Outcome => ({
  args,
  status: 0,
  recipients: recipients === '' ? null : recipients.split(' '),
  ...(logged && { logged }),
});

const OUTCOMES: readonly Outcome[] = [
  failing('file@x.y a@x.y', /routing file@x\.y yielded a local delivery: .*\/var\/mail\/box/),
  failing('pipe@x.y a@x.y', /routing pipe@x\.y yielded a local delivery: .*\|\/bin\/cat/),
  failing('fail@x.y', /routing fail@x\.y yielded a failed delivery: gone away/),
  failing('mute@x.y', /routing mute@x\.y yielded a failed delivery/),
  failing('parent@x.y', /routing parent@x\.y yielded a failed delivery: this is the child \(parent@x\.y → child@x\.y\)/),
  failing('later@x.y', /routing later@x\.y yielded a deferred delivery: come back/),
  failing('parlater@x.y', /routing parlater@x\.y yielded a deferred delivery: this is the child/),
  failing('syntax@x.y', /routing syntax@x\.y yielded a deferred delivery: .*b@@x\.y/),
  failing('missing@x.y', /routing missing@x\.y yielded a deferred delivery: .*\/nowhere\/at\/all/),
  failing('a@nobody.test', /routing a@nobody\.test yielded a failed delivery: unrouteable address/),
  failing('file@x.y fail@x.y later@x.y', /file@x\.y yielded a local/, /fail@x\.y yielded a failed/, /later@x\.y yielded a deferred/),
  { ...failing('a@x.y', /Received/), input: `${RECEIVED(31)}\nbody\n` },
  { ...reaching('a@x.y', 'a@x.y'), input: `${RECEIVED(29)}\nbody\n` },
  failing('a@lost.test', /looking up nowhere\.invalid|no address of nowhere\.invalid/),
  reaching('bh@x.y', '', /\n=> :blackhole: <bh@x\.y>.*\nCompleted$/),
  reaching('null@x.y', '', /\n=> :blackhole: <null@x\.y>.*\nCompleted$/),
  reaching('bh@x.y null@x.y', ''),
  reaching('bh@x.y a@x.y', 'a@x.y', /\n=> :blackhole: <bh@x\.y>.*\n=> a@x\.y .*\nCompleted$/),
  reaching('mixed@x.y b@x.y', 'b@x.y'),
  reaching('unknown@x.y', 'unknown@x.y'),
  reaching('empty@x.y', 'empty@x.y'),
  reaching('twice@x.y a@x.y A@X.y', 'a@x.y A@X.y'),
  reaching('self@x.y', 'self@myhost.test.ex other@myhost.test.ex'),
  reaching('list@x.y', 'inc1@x.y inc2@x.y'),
  failing('', /no recipients: name them/),
  { ...failing('-t', /no recipients/), input: 'Subject: x\n\nbody\n' },
  { ...failing('-t a@x.y', /no recipients/), input: 'To: a@x.y\n\nbody\n', toml: 'arguments_with_t = "remove"' },
  failing("''", /recipient/),
];

for (const { args, status, recipients, reasons = [], logged, input, toml = '' } of OUTCOMES)
  test(`routing: ${args || 'nobody'}${input ? ` with ${input.split('\n').length} lines` : ''}: ${status}`, () =>
    within(20_000, async () => {
      const host = await smartHost();
      const tables = `[[router]]\nname = "aliases"\ndriver = "redirect"\ndomains = ["x.y", "@"]\nfile = "${ALIASES}"
[[router]]\nname = "lost"\ndriver = "manualroute"\ndomains = ["lost.test"]\nhosts = ["smtp://nowhere.invalid"]
[[router]]\nname = "smart"\ndriver = "manualroute"\ndomains = ["x.y", "@"]\nhosts = [${url(host.port)}]`;
      const words = args === '' ? [] : args.split(' ').map((word) => (word === "''" ? '' : word));
      const sent = await send(toml, tables, words, input);
      await host.close();
      assertEnded(sent, status, reasons, args);
      assert.equal(sent.stdout, '');
      assert.equal(host.connections, recipients === null ? 0 : 1, sent.stderr);
      if (recipients)
        assert.deepEqual(
          host.messages.map((message) => message.recipients),
          [recipients.map((address) => `<${address}>`)],
        );
      if (logged) assert.match(sent.facts.join('\n'), logged);
    }));

/* ---- one transaction ---- */

/** The keys of the route of b@x.y; a@x.y goes by the last. H and O are hosts. */
const AGREEMENTS: readonly (readonly [route: string, last: string, field: string | null])[] = [
  ['hosts = [H, O]', 'hosts = [H, O]', null],
  ['hosts = [H, O]', 'hosts = [O, H]', 'hosts'],
  ['hosts = [H]', 'hosts = [H, O]', 'hosts'],
  ['hosts = [H]\nerrors_to = "e@x.y"', 'hosts = [H]\nerrors_to = "e@x.y"', null],
  ['hosts = [H]\nerrors_to = "e@x.y"', 'hosts = [H]', 'errors_to'],
  ['hosts = [H]\nheaders_add = ["X-A: 1", "X-B: 2"]', 'hosts = [H]\nheaders_add = ["X-B: 2", "X-A: 1"]', 'headers_add'],
  ['hosts = [H]\nheaders_remove = ["X-A"]', 'hosts = [H]', 'headers_remove'],
  ['hosts = [H]\ntls = { mode = "required" }', 'hosts = [H]\ntls = { mode = "off" }', 'tls'],
];

for (const [route, last, field] of AGREEMENTS)
  test(`one transaction: ${route} and ${last}: ${field ?? 'agree'}`.replaceAll('\n', ', '), () =>
    within(20_000, async () => {
      const [host, other] = [await smartHost(), await smartHost()];
      const filled = (text: string): string => text.replaceAll(/\bH\b/g, url(host.port)).replaceAll(/\bO\b/g, url(other.port));
      const table = (name: string, more: string): string => `[[router]]\nname = "${name}"\ndriver = "manualroute"\n${more}\n`;
      const sent = await send('', table('b', `local_parts = ["b"]\n${filled(route)}`) + table('last', filled(last)), ['a@x.y', 'b@x.y']);
      await host.close();
      await other.close();
      const reason = new RegExp(`a@x\\.y and b@x\\.y cannot go in one transaction, because their routes differ in ${field}: `);
      assertEnded(sent, field === null ? 0 : 1, field === null ? [] : [reason], route);
      assert.deepEqual([host.connections, other.connections], [field === null ? 1 : 0, 0]);
    }),
  );

/* ---- where we differ on purpose ---- */

interface Difference {
  readonly event: string;
  readonly exim: string;
  readonly ours: string;
  readonly why: string;
  /** Two hosts are given to a message for a@x.y and b@x.y unless it says otherwise. */
  readonly shown: () => Promise<void>;
}

/** The scripts of the hosts, and the outcome that they must have. */
function hosts(
  first: readonly string[],
  second: readonly string[] | null,
  status: 0 | 1,
  reason = /^/,
  more: { readonly toml?: string; readonly args?: string; readonly isTls?: boolean } = {},
): () => Promise<void> {
  return async () => {
    const one = await startFollowing((connection) => (connection === 0 ? first : []), more.isTls ? makeCertificate() : undefined);
    const two = await scripted(second ?? []);
    const list = `smarthosts = [${url(one.port)}, ${url(two.port)}]\naliases = []`;
    const sent = await send(list, more.toml ?? '', (more.args ?? '-f s@x.y a@x.y b@x.y').split(' '));
    await Promise.all([one.close(), two.close()]);
    assertEnded(sent, status, status === 0 ? [] : [reason], first.join('\n'));
    assert.deepEqual([one.connections, two.connections], [1, second === null ? 0 : 1], sent.stderr);
    assert.deepEqual([one.unexpected, two.unexpected], [[], []]);
    assert.equal(two.contents.length, status === 0 ? 1 : 0);
  };
}

const MAILED = [...GREETED, 'MAIL FROM:', '250 OK'];
const ASKED = [...MAILED, A, '250 OK', B, '250 OK', 'DATA'];
const after = (steps: readonly string[], ...more: readonly string[]): readonly string[] => [...steps, ...more];

/** The script of a host that takes everything, for rows that are not about phases. */
async function taking(work: (host: SmartHost) => Promise<void>): Promise<void> {
  const host = await smartHost();
  await work(host);
  await host.close();
}

/** What a host that takes everything has got; and how the command ended. */
async function sentTo(args: readonly string[], input?: string): Promise<{ readonly sent: Sent; readonly messages: readonly Arrived[] }> {
  const host = await smartHost();
  const sent = await send(`smarthosts = [${url(host.port)}]\naliases = []`, '', args, input);
  await host.close();
  return { sent, messages: host.messages };
}

/** Every message of `args` and `input` is taken, and its content is like this. */
const takenAs =
  (args: string, input: string | undefined, content: RegExp, not = /^$/): Difference['shown'] =>
  async () => {
    const { sent, messages } = await sentTo(args.split(' '), input);
    assertEnded(sent, 0, [], args);
    assert.equal(messages.length, 1);
    assert.match(messages[0]?.content ?? '', content);
    assert.doesNotMatch(messages[0]?.content ?? '', not);
  };

/** A message of `-t` is taken for these. */
const takenFor =
  (input: string, recipients: readonly string[], what: string): Difference['shown'] =>
  async () => {
    const { sent, messages } = await sentTo(['-t'], input);
    assertEnded(sent, 0, [], what);
    assert.deepEqual(messages[0]?.recipients, recipients);
  };

const offering = (...keywords: readonly string[]): readonly string[] => [
  ...GREETED.slice(0, 2),
  ['250-server id', ...keywords.map((keyword) => `250-${keyword}`), '250 OK'].join('\r\n'),
];
const FAREWELL = ['QUIT', '221 bye'];

const DIFFERENCES: readonly Difference[] = [
  {
    event: 'EHLO answered 4yz',
    exim: 'HELO at the same host',
    ours: 'next host',
    why: 'HELO gives up extensions, which only a server without EHLO (5yz) justifies',
    shown: hosts(after(GREETED.slice(0, 2), '450 later', 'QUIT', '221 bye'), TWO, 0),
  },
  {
    event: 'MAIL answered 421',
    exim: 'fails',
    ours: 'next host',
    why: 'RFC 5321 §3.8: the server goes away; it does not judge the message',
    shown: hosts(after(GREETED, 'MAIL FROM:', '421 going', '*close'), TWO, 0),
  },
  {
    event: 'silence after MAIL',
    exim: 'fails',
    ours: 'next host',
    why: 'nothing was committed, and another host can do it all',
    shown: hosts(after(GREETED, 'MAIL FROM:', '*silence'), TWO, 0),
  },
  {
    event: 'every RCPT answered 4yz',
    exim: 'next host',
    ours: 'fails',
    why: '4yz and 5yz are alike: a refusal is the verdict on the message',
    shown: hosts(
      after(MAILED, A, '450 one', B, '450 two', 'QUIT', '221 bye'),
      null,
      1,
      /RCPT TO:<a@x\.y>: 450 one[\s\S]*RCPT TO:<b@x\.y>: 450 two/,
    ),
  },
  {
    event: 'some RCPT answered 4yz, others 2yz',
    exim: 'asks the next host for a part of the recipients, then fails',
    ours: 'fails',
    why: 'one transaction holds all recipients',
    shown: hosts(after(MAILED, A, '250 OK', B, '450 two', 'QUIT', '221 bye'), null, 1, /RCPT TO:<b@x\.y>: 450 two/),
  },
  {
    event: 'DATA answered 421',
    exim: 'fails',
    ours: 'next host',
    why: 'as for MAIL',
    shown: hosts(after(ASKED, '421 going', '*close'), TWO, 0),
  },
  {
    event: 'DATA answered 2yz',
    exim: 'fails',
    ours: 'next host',
    why: 'no verdict on the message: the server does not speak SMTP',
    shown: hosts(after(ASKED, '250 what', '*silence'), TWO, 0),
  },
  {
    event: 'connection closed in answer to DATA',
    exim: 'status 0, the message is lost (4.98; 4.96: next host)',
    ours: 'next host',
    why: 'status 0 means that a server took the message',
    shown: hosts(after(ASKED, '*close'), TWO, 0),
  },
  {
    event: 'reply whose lines carry different codes',
    exim: 'the first line counts',
    ours: 'next host before the commit, uncertain after it',
    why: 'RFC 5321 §4.2.1: all lines carry the same code',
    shown: async () => {
      await hosts(after(GREETED, 'MAIL FROM:', '250-yes\r\n550 no', '*silence'), TWO, 0)();
      await hosts(after(ASKED, '354 go', '.', '250-yes\r\n550 no', '*silence'), null, 1, /no verdict came back/)();
    },
  },
  {
    event: 'STARTTLS refused, TLS not required',
    exim: 'clear text',
    ours: 'next host',
    why: 'what was offered and then refused is an attack or a fault',
    shown: hosts(
      after(['220 server ready', 'EHLO ', '250-server id\r\n250 STARTTLS', 'STARTTLS', '454 no', 'QUIT', '221 bye']),
      TWO,
      0,
      /^/,
      {
        toml: '[tls]\nmode = "opportunistic"',
      },
    ),
  },
  {
    event: 'STARTTLS not offered, and no key or option says anything of TLS',
    exim: 'clear text',
    ours: 'next host',
    why: 'TLS is required, unless `tls.mode` says otherwise or the host is written as loopback',
    shown: hosts([...GREETED, ...FAREWELL], [...GREETED, ...FAREWELL], 1, /does not offer STARTTLS/, { toml: '[tls]\nmode = "required"' }),
  },
  {
    event: 'certificate that cannot be verified, and no option says anything of TLS',
    exim: 'the message goes there (`CV=no`), and so does the password',
    ours: 'next host',
    why: 'it may be anybody; `ca_file` or `fingerprint` says whom to trust',
    shown: hosts(
      after(GREETED.slice(0, 2), '250-server id\r\n250 STARTTLS', 'STARTTLS', '220 go', '*starttls', ...TWO.slice(1)),
      TWO,
      0,
      /^/,
      {
        toml: '[tls]\nmode = "opportunistic"',
        isTls: true,
      },
    ),
  },
  {
    event: 'the same with `tls_verify_hosts`, or no handshake; TLS not required',
    exim: 'clear text, at the same host',
    ours: 'next host',
    why: 'whoever can spoil a handshake could read the message',
    shown: async () => {
      const secured = ['250-server id\r\n250 STARTTLS', 'STARTTLS', '220 go'];
      for (const end of ['*starttls', '*close']) {
        const opportunistic = { toml: '[tls]\nmode = "opportunistic"', isTls: true };
        await hosts(after(GREETED.slice(0, 2), ...secured, end), TWO, 0, /^/, opportunistic)();
      }
    },
  },
  {
    event: 'AUTH not offered, or refused with 5yz, with `hosts_try_auth`',
    exim: 'the message goes there without a login',
    ours: 'next host',
    why: 'where a login is configured, it is wanted',
    shown: async () => {
      const login = { toml: '[auth]\nuser = "web1"\npassword = "secret"' };
      const offered = ['250-server id\r\n250 AUTH PLAIN', 'AUTH PLAIN '];
      const second = after(GREETED.slice(0, 2), ...offered, '235 welcome', ...TWO.slice(3));
      await hosts(after(GREETED, ...FAREWELL), second, 0, /^/, login)();
      await hosts(after(GREETED.slice(0, 2), ...offered, '535 5.7.8 no', ...FAREWELL), second, 0, /^/, login)();
    },
  },
  {
    event: 'a recipient refused, with PIPELINING and CHUNKING',
    exim: 'the others have the message; status 1',
    ours: 'nobody has it; status 1',
    why: 'all recipients or none',
    shown: hosts([...offering('PIPELINING', 'CHUNKING'), 'MAIL FROM:', '250 OK', A, '250 OK', B, '550 no', ...FAREWELL], null, 1, /550 no/),
  },
  {
    event: 'PRDR offered, and a recipient refused behind the content',
    exim: 'the others have the message; status 1',
    ours: 'PRDR is not asked for',
    why: 'all recipients or none',
    shown: async () => {
      const host = await scripted([...offering('PIPELINING', 'PRDR'), ...TWO.slice(3)]);
      const sent = await send(`smarthosts = [${url(host.port)}]\naliases = []`, '', ['a@x.y', 'b@x.y']);
      await host.close();
      assertEnded(sent, 0, [], 'PRDR');
      assert.deepEqual([host.unexpected, host.heard.filter((line) => line.includes('PRDR'))], [[], []]);
    },
  },
  {
    event: 'more than 100 recipients',
    exim: 'transactions of 100; where the last one is refused, the others have the message; status 1',
    ours: 'one transaction',
    why: 'all recipients or none',
    shown: async () => {
      const recipients = Array.from({ length: 103 }, (_, i) => `r${i}@x.y`);
      const { sent, messages } = await sentTo(recipients);
      assertEnded(sent, 0, [], '103 recipients');
      assert.deepEqual(
        messages.map((message) => message.recipients),
        [recipients.map((address) => `<${address}>`)],
      );
    },
  },
  {
    event: 'SIGTERM while a delivery is under way',
    exim: 'ends the program that was called; the message goes',
    ours: 'ends the delivery; status 1',
    why: 'who ends it believes that nothing is sent',
    shown: async () => {
      const [one, two] = [await scripted([...MAILED, A, '*silence']), await scripted([])];
      const { config } = setUp(`qualify_domain = "x.y"\nsmarthosts = [${url(one.port)}, ${url(two.port)}]\naliases = []`);
      const running = start(config, ['a@x.y']);
      running.child.stdin?.end('x\n');
      while (!one.heard.includes(A)) await new Promise((resolve) => setTimeout(resolve, 20));
      running.child.kill('SIGTERM');
      const { status, stderr } = await running.done;
      await Promise.all([one.close(), two.close()]);
      assert.deepEqual([status, two.connections], [1, 0]);
      assert.match(stderr, /ended by SIGTERM/);
    },
  },
  {
    event: 'message larger than a host takes (SIZE)',
    exim: 'MAIL is tried; its refusal fails the message',
    ours: 'next host',
    why: 'that host has judged no message',
    shown: hosts([...offering('SIZE 20'), ...FAREWELL], TWO, 0),
  },
  {
    event: 'local-part that is not ASCII, SMTPUTF8 not offered',
    exim: 'goes as `xn--…`',
    ours: 'next host',
    why: 'that is the address of another mailbox',
    shown: hosts([...GREETED, ...FAREWELL], [...GREETED, ...FAREWELL], 1, /does not offer SMTPUTF8/, { args: '-f s@x.y j\u00f6rg@x.y' }),
  },
  {
    event: '8-bit body, 8BITMIME not offered',
    exim: 'sent as it is',
    ours: 'converted (`eight_bit`), and MIME fields are added where there are none',
    why: 'RFC 6152 §3',
    shown: async () => {
      const host = await scripted([...GREETED, 'MAIL FROM:', '250 OK', A, '250 OK', ...TWO.slice(-6)]);
      const sent = await send(`smarthosts = [${url(host.port)}]\naliases = []`, '', ['a@x.y'], 'Subject: x\n\ngr\xc3\xbc\xc3\x9fe\n');
      await host.close();
      assertEnded(sent, 0, [], '8-bit');
      assert.match(host.contents[0] ?? '', /quoted-printable\r\n\r\ngr=C3=BC=C3=9Fe\r\n$/);
    },
  },
  {
    event: 'a line of more than 998 octets',
    exim: 'fails, before a host is asked',
    ours: 'sent (`long_lines`)',
    why: 'servers take it, and the caller cannot mend it',
    shown: takenAs('a@x.y', `Subject: x\n\n${'y'.repeat(1200)}\n`, /^y{1200}\r$/m),
  },
  {
    event: 'a NUL in the header section',
    exim: 'becomes `?`',
    ours: 'fails',
    why: 'it is no message',
    shown: async () => assertEnded((await sentTo(['a@x.y'], 'Subject: a\0b\n\nx\n')).sent, 1, [/holds a NUL octet/], 'NUL'),
  },
  {
    event: '30 Received fields',
    exim: 'fails: its own is counted',
    ours: 'sent; 31 fail',
    why: 'none is added',
    shown: takenAs('a@x.y', `${RECEIVED(30)}\nx\n`, /^(Received: .*\r\n){30}/),
  },
  {
    event: 'one recipient, PIPELINING without CHUNKING',
    exim: 'DATA waits for the reply to RCPT',
    ours: 'DATA goes with RCPT',
    why: 'a round trip less; a 354 after a refused RCPT ends the connection without a content',
    shown: async () => {
      await hosts(after(MAILED, A, '550 no', 'DATA', '503 no', 'QUIT', '221 bye'), null, 1, /550 no/, { args: 'a@x.y' })();
      await hosts(after(MAILED, A, '550 no', 'DATA', '354 go', '*silence'), null, 1, /550 no/, { args: 'a@x.y' })();
    },
  },
  {
    event: '`-bs`: reply to the final dot',
    exim: '250 before the delivery is tried, and no 221 after a failure',
    ours: "the smart host's verdict; the session goes on",
    why: 'the caller must learn what came of it',
    shown: async () => {
      const host = await scripted([...TWO.slice(0, -3), '552 too much', 'QUIT', '221 bye']);
      const sent = await send(`smarthosts = [${url(host.port)}]\naliases = []`, '', ['-bs'], DIALOGUE);
      await host.close();
      assert.equal(sent.status, 1);
      assert.match(sent.stdout, /\r\n354 [\s\S]*\r\n552 .*too much\r\n221 /);
      assert.deepEqual(host.unexpected, []);
    },
  },
  {
    event: '`-bs`: content whose lines end with LF alone',
    exim: 'a dot between two LF ends it',
    ours: 'only CR LF . CR LF ends it; status 1',
    why: 'RFC 5321 §4.1.1.4: what one takes for the end, another may take for content',
    shown: () =>
      taking(async (host) => {
        const sent = await send(`smarthosts = [${url(host.port)}]\naliases = []`, '', ['-bs'], DIALOGUE.replaceAll('\r', ''));
        assertEnded(sent, 1, [/the lines around it end with LF alone/], 'LF');
        assert.deepEqual(
          host.messages.filter(({ state }) => state === 'accepted'),
          [],
        );
      }),
  },
  {
    event: 'name of a host unknown, another follows in the route',
    exim: 'deferred, so it fails',
    ours: 'next host',
    why: 'names are looked up when a host is tried; a broken one must not stop the other',
    shown: () =>
      taking(async (host) => {
        const route = `[[router]]\nname = "r"\ndriver = "manualroute"\nhosts = ["smtp://nowhere.invalid", ${url(host.port)}]`;
        assertEnded(await send('', route, ['a@x.y']), 0, [], 'an unknown name');
        assert.equal(host.messages.length, 1);
      }),
  },
  {
    event: 'name of a port that is no number',
    exim: 'fails the messages of that route',
    ours: 'error of the configuration, for every message',
    why: 'there are no port names; what is wrong is told at once, with its line',
    shown: () =>
      taking(async (host) => {
        const route = `[[router]]\nname = "r"\ndriver = "manualroute"\nlocal_parts = ["badport"]\nhosts = ["smtp://127.0.0.1:nonexistent"]`;
        const sent = await send(`smarthosts = [${url(host.port)}]\naliases = []`, route, ['a@x.y']);
        assert.equal(sent.status, 1);
        assert.match(sent.stderr, /nospool\.toml.*\d.*nonexistent/);
        assert.equal(host.connections, 0);
      }),
  },
  {
    event: 'hosts of a route equal to those of the last route',
    exim: 'not one transaction',
    ours: 'one transaction',
    why: 'what is compared is where the message goes, not where that is written',
    shown: () =>
      taking(async (host) => {
        const route = `[[router]]\nname = "r"\ndriver = "manualroute"\nlocal_parts = ["b"]\nhosts = [${url(host.port)}]`;
        assertEnded(await send(`smarthosts = [${url(host.port)}]`, route, ['a@x.y', 'b@x.y']), 0, [], 'equal lists');
        assert.deepEqual(
          host.messages.map(({ recipients }) => recipients),
          [['<a@x.y>', '<b@x.y>']],
        );
      }),
  },
  {
    event: 'several recipients cannot be routed or are refused',
    exim: 'one is named, without the reason of an address that an alias led to',
    ours: 'all are named, each with its reason',
    why: 'one run must be enough to find what is wrong',
    shown: async () => {
      const data =
        '[[router]]\nname = "r"\ndriver = "redirect"\ndomains = ["x.y"]\ndata = { p = "c@x.y", c = ":fail: child", d = ":defer: later" }';
      const sent = await send('smarthosts = ["smtp://127.0.0.1"]', data, ['p@x.y', 'd@x.y']);
      assertEnded(sent, 1, [/p@x\.y yielded a failed delivery: child/, /d@x\.y yielded a deferred delivery: later/], 'all reasons');
    },
  },
  {
    event: '`-N`, `-R`, `-V`',
    exim: '`-N`: nothing is sent, status 0; the others are errors',
    ours: 'they take a value and ask for notifications',
    why: 'as in Sendmail and Postfix',
    shown: async () => {
      assertEnded((await sentTo(['-N', 'a@x.y'])).sent, 1, [/-N takes "never" or a list/], '-N');
      await takenAs('-N never -R hdrs -V id a@x.y', undefined, /^Subject|^Message-ID/)();
    },
  },
  {
    event: '`-f` of an ordinary user',
    exim: 'no effect, and a Sender field is added or replaced',
    ours: 'obeyed, and Sender stays as it is',
    why: 'the program runs as its caller and knows nobody whom to trust more',
    shown: async () => {
      const { sent, messages } = await sentTo(['-f', 'boss@x.y', 'a@x.y'], 'From: boss@x.y\n\nx\n');
      assertEnded(sent, 0, [], '-f');
      assert.equal(messages[0]?.reversePath, '<boss@x.y>');
      assert.doesNotMatch(messages[0]?.content ?? '', /^Sender/m);
    },
  },
  {
    event: '`-oMa` and `-G` of a trusted user',
    exim: 'no field is added',
    ours: 'no effect',
    why: 'a smart host that adds none would pass on a message without them',
    shown: takenAs('-oMa 192.0.2.7 -G a@x.y', 'Subject: x\n\nx\n', /^Date: /m),
  },
  {
    event: '`-bnq`',
    exim: 'an address without a domain is an error',
    ours: 'no effect',
    why: 'such an address would be refused',
    shown: takenAs('-bnq a', undefined, /^From: /m),
  },
  {
    event: '`-q`, `-M`, `-bp`, `-d`, `-G` and `-L` of an ordinary user',
    exim: 'permission denied',
    ours: 'as of root',
    why: 'there is no queue to protect',
    shown: async () => {
      for (const option of ['-q', '-bp']) assert.equal((await sentTo([option])).sent.status, 0);
      await takenAs('-G -L tag a@x.y', undefined, /^From: /m)();
    },
  },
  {
    event: '`-bt` or `-bv` of an address that cannot be routed, an error of syntax with `-bS`',
    exim: 'status 2',
    ours: 'status 1',
    why: 'failure has one status',
    shown: async () => {
      const data = '[[router]]\nname = "r"\ndriver = "redirect"\ndomains = ["x.y"]\ndata = { c = ":fail: no" }';
      for (const option of ['-bt', '-bv'])
        assert.equal((await send('smarthosts = ["smtp://127.0.0.1"]', data, [option, 'c@x.y'])).status, 1);
      assert.equal((await sentTo(['-bS'], 'MAIL FROM:<s@x.y>\nNONSENSE\n')).sent.status, 1);
    },
  },
  {
    event: 'arguments `a@b_c.d`, `a@b.c.`, `G: a@b.c;`',
    exim: 'errors',
    ours: 'recipients',
    why: 'such domains exist, and it is clear who is meant',
    shown: async () => {
      const { sent, messages } = await sentTo(['a@b_c.d', 'a@b.c.', 'G: b@b.c;']);
      assertEnded(sent, 0, [], 'addresses');
      assert.deepEqual(messages[0]?.recipients, ['<a@b_c.d>', '<a@b.c>', '<b@b.c>']);
    },
  },
  {
    event: 'arguments `a\\b@x.y`, `@p.q,@r.s:a@x.y`',
    exim: 'recipients',
    ours: 'errors',
    why: 'a backslash stands in quotes, such a route in angle brackets (RFC 5321 §4.1.2)',
    shown: async () => {
      for (const address of ['a\\b@x.y', '@p.q,@r.s:a@x.y']) assertEnded((await sentTo([address])).sent, 1, [/is not an address/], address);
      await takenAs('<@p.q,@r.s:a@x.y>', undefined, /^From: /m)();
    },
  },
  {
    event: '`-t` with arguments',
    exim: 'they are removed from the recipients',
    ours: 'they are added (`arguments_with_t`)',
    why: 'as Sendmail, Postfix and msmtp do',
    shown: () =>
      taking(async (host) => {
        const toml = `smarthosts = [${url(host.port)}]\naliases = []`;
        assertEnded(await send(toml, '', ['-t', 'b@x.y'], 'To: a@x.y, b@x.y\n\nx\n'), 0, [], '-t adds');
        assert.deepEqual([...(host.messages[0]?.recipients ?? [])].sort(), ['<a@x.y>', '<b@x.y>']);
      }),
  },
  {
    event: 'an option behind a recipient, without `--`',
    exim: 'a recipient of that name',
    ours: 'an error',
    why: 'whoever wrote it believes that it is obeyed, and mail to `-v` reaches nobody',
    shown: () =>
      taking(async (host) => {
        const toml = `smarthosts = [${url(host.port)}]`;
        assertEnded(await send(toml, '', ['a@x.y', '-v']), 1, [/-v stands behind the recipient a@x\.y/], '-v is no recipient');
        assertEnded(await send(toml, '', ['--', 'a@x.y', '-v']), 0, [], '-- comes first');
        assert.deepEqual([...(host.messages[0]?.recipients ?? [])].sort(), ['<-v@myhost.test.ex>', '<a@x.y>']);
      }),
  },
  {
    event: 'header section: LF alone, where the first line ended with CR LF',
    exim: 'folds the field',
    ours: 'ends the line',
    why: 'callers mix line ends; a field must not vanish in the one before it',
    shown: takenFor('To: a@x.y\r\nSubject: x\nCc: b@x.y\r\n\r\nx\r\n', ['<a@x.y>', '<b@x.y>'], 'LF'),
  },
  {
    event: 'header section: CR CR LF on a line of its own',
    exim: 'the body begins with it',
    ours: 'it is the empty line',
    why: 'CRs before an LF belong to the line end, here as on any other line',
    shown: () =>
      taking(async (host) => {
        const toml = `smarthosts = [${url(host.port)}]\naliases = []`;
        assertEnded(await send(toml, '', ['-t'], 'To: a@x.y\r\r\n\r\r\nbody\n'), 0, [], 'CR CR LF');
        assert.match(host.messages[0]?.content ?? '', /\r\n\r\nbody\r\n$/);
      }),
  },
  {
    event: '`-t`: an address behind a `;`',
    exim: 'lost behind the end of a group, an error elsewhere',
    ours: 'a recipient',
    why: 'nobody who is named may be left out; Postfix and Outlook separate so',
    shown: takenFor('To: G: a@x.y; b@x.y\nCc: c@x.y; d@x.y\n\nx\n', ['<a@x.y>', '<b@x.y>', '<c@x.y>', '<d@x.y>'], 'semicolons'),
  },
  {
    event: '`-t`: a comment that is not closed and holds an address',
    exim: 'the word before it is the recipient',
    ours: 'an error',
    why: 'it is not clear who is meant',
    shown: () =>
      taking(async (host) => {
        const toml = `smarthosts = [${url(host.port)}]\naliases = []`;
        const sent = await send(toml, '', ['-t'], 'To: Joe (x <a@x.y>\n\nx\n');
        assertEnded(sent, 1, [/in the To field: the comment .* is not closed/], 'an open comment');
        assert.equal(host.connections, 0);
      }),
  },
  {
    event: '`-t`: `a@b.c <d@b.c>`, `[L] <a@b.c>`',
    exim: 'errors',
    ours: 'the address in angle brackets is a recipient',
    why: 'it is clear who is meant',
    shown: takenFor('To: n@x.y <a@x.y>, [L] <b@x.y>\n\nx\n', ['<a@x.y>', '<b@x.y>'], 'odd names'),
  },
  {
    event: '`-t`: several blocks of Resent fields',
    exim: 'recipients of all',
    ours: 'of the first',
    why: 'RFC 5322 §3.6.6: it is the newest',
    shown: takenFor(
      'Resent-From: r@x.y\nResent-To: a@x.y\nResent-From: r@x.y\nResent-To: b@x.y\nTo: c@x.y\n\nx\n',
      ['<a@x.y>'],
      'resent twice',
    ),
  },
  {
    event: '`-t`: a word that is not ASCII and has no `@`',
    exim: 'a recipient of this host',
    ours: 'an error that names it',
    why: 'it is the first part of a name with a comma in it',
    shown: () =>
      taking(async (host) => {
        const toml = `smarthosts = [${url(host.port)}]\naliases = []`;
        const sent = await send(toml, '', ['-t'], 'To: M\xc3\xbcller, J. <a@x.y>\n\nx\n');
        assertEnded(sent, 1, [/in the To field: "Müller" has no "@"/], 'a name');
        assert.equal(host.connections, 0);
      }),
  },
  {
    event: 'Bcc without `-t`, or beside Resent fields',
    exim: 'stays',
    ours: 'taken out (`keep_bcc`)',
    why: 'nobody who is in it is to be seen',
    shown: async () => {
      await takenAs('a@x.y', 'From: s@x.y\nBcc: c@x.y\n\nx\n', /^From: /, /^Bcc/m)();
      await takenAs('-t', 'Bcc: c@x.y\nResent-From: r@x.y\nResent-To: a@x.y\n\nx\n', /^Resent-To: /m, /^Bcc/m)();
    },
  },
  {
    event: 'a line that begins with two dots, without `-i`',
    exim: 'keeps both',
    ours: 'loses one',
    why: 'as in Sendmail: who doubles dots relies on it',
    shown: takenAs('a@x.y', 'Subject: x\n\n..a\n', /\r\n\r\n\.a\r\n$/),
  },
  {
    event: '`From ` of a mailbox file as the first line, of a trusted user',
    exim: 'gives the reverse-path',
    ours: 'dropped',
    why: '`-f` names it',
    shown: async () => {
      const { sent, messages } = await sentTo(['-f', 's@x.y', 'a@x.y'], 'From joe@x.y Sat Nov  1 10:00:00 2026\nSubject: x\n\nx\n');
      assertEnded(sent, 0, [], 'From');
      assert.equal(messages[0]?.reversePath, '<s@x.y>');
      assert.doesNotMatch(messages[0]?.content ?? '', /joe/);
    },
  },
  {
    event: 'Envelope-To, Delivery-Date',
    exim: 'taken out',
    ours: 'stay',
    why: 'what is there stays as it is; `headers_remove` of a route takes them out',
    shown: takenAs('a@x.y', 'Envelope-To: e@x.y\nDelivery-Date: x\n\nx\n', /^Envelope-To: e@x\.y\r\nDelivery-Date: x\r\n/),
  },
  {
    event: 'From that is the login name alone',
    exim: 'gets the full name, too',
    ours: 'gets a domain',
    why: 'as above',
    shown: takenAs('a@x.y', 'From: ann\n\nx\n', /^From: ann@myhost\.test\.ex\r\n/),
  },
  {
    event: 'a Received field of its own',
    exim: 'added',
    ours: 'added only with `received = true`',
    why: 'a submission client is no relay, and callers need not tell their names',
    shown: () =>
      taking(async (host) => {
        const toml = `smarthosts = [${url(host.port)}]\naliases = []`;
        assertEnded(await send(toml, '', ['a@x.y']), 0, [], 'without');
        assertEnded(await send(`${toml}\nreceived = true`, '', ['a@x.y']), 0, [], 'with');
        assert.deepEqual(
          host.messages.map(({ content }) => /^Received: /m.test(content)),
          [false, true],
        );
      }),
  },
];

for (const { event, ours, shown } of DIFFERENCES) test(`differs: ${event}: ${ours}`, () => within(20_000, shown));

test('the differences are those that docs/exim.md lists', () => {
  const text = readFileSync(new URL('../../docs/exim.md', import.meta.url), 'utf8');
  assert.deepEqual(
    text.split('\n').filter((line) => /^\| (?!-|event \|)/.test(line)),
    DIFFERENCES.map(({ event, exim, ours, why }) => `| ${event} | ${exim} | ${ours} | ${why} |`),
  );
});

test.run();
