/** Runs the built command with `-bs` and `-bS` between a client on pipes and smart hosts in this process. */

import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import { makeReply } from '../../src/smtp/server/answers.ts';
import {
  COMMAND,
  deadPort,
  ENVIRONMENT,
  type Ended,
  type Judge,
  killAll,
  RUNTIME,
  type Running,
  run,
  type SmartHost,
  scratch,
  setUp,
  smartHost,
  start,
  toHosts,
} from '../support/command.ts';
import { startHost } from '../support/smarthost.ts';
import { testWith } from '../support/where.ts';
import { within } from '../support/within.ts';

const test = suite('sendmail -bs');
const onTerminal = testWith(test, 'bsdutils', existsSync('/usr/bin/script'));
test.after.each(killAll);

/** Resolves when the output so far fulfils the condition. */
async function until(running: Running, holds: (stdout: string) => boolean): Promise<void> {
  while (!holds(running.said.stdout))
    await Promise.race([
      once(running.child.stdout as Socket, 'data'),
      running.done.then(() => assert.fail(`ended: ${JSON.stringify(running.said)}`)),
    ]);
}

/** Splits the output into replies, one string each, their lines joined with LF. */
function replies(stdout: string): string[] {
  assert.ok(stdout === '' || stdout.endsWith('\r\n'), stdout);
  return stdout
    .split(/(?<=^\d\d\d .*|^\d\d\d)\r\n/m)
    .map((reply) => reply.replaceAll('\r\n', '\n'))
    .filter((reply) => reply !== '');
}

const codes = (stdout: string): string =>
  replies(stdout)
    .map((reply) => reply.slice(0, 3))
    .join(' ');

/** Says the lines of a transcript and compares the replies with it, line by line; the dialogue begins with the greeting. */
async function converse(config: string, args: readonly string[], transcript: string): Promise<Ended> {
  const running = start(config, args);
  let wanted = '';
  let text = '';
  const flush = async (): Promise<void> => {
    if (text !== '') running.child.stdin?.write(text, 'latin1');
    text = '';
    await until(running, (stdout) => stdout.length >= wanted.length || !wanted.startsWith(stdout));
    assert.equal(running.said.stdout, wanted);
  };
  for (const line of transcript
    .trim()
    .split('\n')
    .map((part) => part.trim())) {
    if (line.startsWith('C:')) {
      if (wanted !== running.said.stdout) await flush();
      text += `${line.slice(3)}\r\n`;
    } else {
      if (text !== '') await flush();
      wanted += `${line.slice(3)}\r\n`;
    }
  }
  await flush();
  running.child.stdin?.end();
  return running.done;
}

async function withHost<T>(
  judge: Judge | undefined,
  work: (host: SmartHost) => Promise<T>,
  receiving: Parameters<typeof smartHost>[1] = {},
  more: Parameters<typeof smartHost>[2] = {},
): Promise<T> {
  const host = await smartHost(judge, receiving, more);
  try {
    return await within(30_000, () => work(host));
  } finally {
    await host.close();
  }
}

const LETTER =
  'From: Fred <fred@foo.com>\r\nTo: joe@bar.com\r\nDate: Sat, 1 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@foo.com>\r\nSubject: hello\r\n\r\nHi Joe,\r\n..twice dotted\r\n';
const DATA = `DATA\r\n${LETTER}.\r\n`;
const MAIL = 'MAIL FROM:<fred@foo.com>\r\n';
const RCPT = 'RCPT TO:<joe@bar.com>\r\n';

/* ---- callers, verbatim ---- */

test('Symfony Mailer says HELO, one command at a time, and an empty line before the dot', () =>
  withHost(undefined, async (host) => {
    const { config, loggedFacts } = setUp(toHosts(host.port));
    const { status, stderr } = await converse(
      config,
      ['-bs'],
      `S: 220 client.example.org ESMTP nospool
       C: HELO [127.0.0.1]
       S: 250 client.example.org
       C: MAIL FROM:<fred@foo.com>
       S: 250 2.1.0 sender accepted
       C: RCPT TO:<joe@bar.com>
       S: 250 2.1.5 recipient accepted
       C: RCPT TO:<jane@bar.com>
       S: 250 2.1.5 recipient accepted
       C: DATA
       S: 354 send the content, and "." on a line of its own at its end
       C: From: fred@foo.com
       C: To: joe@bar.com, jane@bar.com
       C: Subject: hello
       C: Message-ID: <0123456789abcdef@foo.com>
       C: MIME-Version: 1.0
       C: Date: Sun, 22 Nov 2026 12:00:00 +0000
       C: Content-Type: text/plain; charset=utf-8
       C: Content-Transfer-Encoding: quoted-printable
       C:
       C: Hi Joe
       C: ..
       C:
       C: .
       S: 250 2.0.0 message accepted
       C: QUIT
       S: 221 2.0.0 client.example.org says goodbye`,
    );
    assert.deepEqual([status, stderr], [0, '']);
    const [message] = host.messages;
    assert.deepEqual(message?.recipients, ['<joe@bar.com>', '<jane@bar.com>']);
    assert.ok(message?.content.endsWith('quoted-printable\r\n\r\nHi Joe\r\n.\r\n\r\n'), message?.content);
    assert.match(
      loggedFacts().join('\n'),
      /^<= fred@foo\.com .* id=0123456789abcdef@foo\.com\n=> joe@bar\.com .*\n-> jane@bar\.com .*\nCompleted$/,
    );
  }));

test('Swiftmailer says EHLO, gives several messages on one connection, and says RSET after a refusal', () =>
  withHost(
    ({ about }, { messages }) => (about === 'content' && messages.length === 1 ? makeReply(554, '5.7.1', 'looks like spam') : null),
    async (host) => {
      const { config } = setUp(toHosts(host.port));
      const { status, stderr } = await converse(
        config,
        ['-bs'],
        `S: 220 client.example.org ESMTP nospool
         C: EHLO [127.0.0.1]
         S: 250-client.example.org greets [127.0.0.1]
         S: 250-PIPELINING
         S: 250-SIZE
         S: 250-8BITMIME
         S: 250-SMTPUTF8
         S: 250-DSN
         S: 250-CHUNKING
         S: 250 ENHANCEDSTATUSCODES
         C: MAIL FROM:<fred@foo.com>
         S: 250 2.1.0 sender accepted
         C: RCPT TO:<joe@bar.com>
         S: 250 2.1.5 recipient accepted
         C: DATA
         S: 354 send the content, and "." on a line of its own at its end
         C: Subject: one
         C:
         C: body
         C: .
         S: 554 5.7.1 [127.0.0.1]:${host.port}: the content: 554 5.7.1 looks like spam
         C: RSET
         S: 250 2.0.0 reset
         C: QUIT
         S: 221 2.0.0 client.example.org says goodbye`,
      );
      assert.equal(status, 1);
      assert.equal(stderr, `sendmail: [127.0.0.1]:${host.port}: the content: 554 5.7.1 looks like spam\n`);
    },
  ));

test('Alpine says RSET first, then NOTIFY, and the dot on a line of its own', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const { status } = await converse(
      config,
      ['-bs', '-odb', '-oem'],
      `S: 220 client.example.org ESMTP nospool
       C: EHLO client.example.org
       S: 250-client.example.org greets client.example.org
       S: 250-PIPELINING
       S: 250-SIZE
       S: 250-8BITMIME
       S: 250-SMTPUTF8
       S: 250-DSN
       S: 250-CHUNKING
       S: 250 ENHANCEDSTATUSCODES
       C: RSET
       S: 250 2.0.0 reset
       C: MAIL FROM:<fred@foo.com> RET=HDRS
       S: 250 2.1.0 sender accepted
       C: RCPT TO:<joe@bar.com> NOTIFY=FAILURE,DELAY
       S: 250 2.1.5 recipient accepted
       C: DATA
       S: 354 send the content, and "." on a line of its own at its end
       C: Date: Sun, 22 Nov 2026 12:00:00 +0000 (GMT)
       C: From: Fred <fred@foo.com>
       C: To: joe@bar.com
       C: Subject: hello
       C: Message-ID: <alpine.1@foo.com>
       C: MIME-Version: 1.0
       C: Content-Type: text/plain; format=flowed; charset=US-ASCII
       C:
       C: Hi
       C: .
       S: 250 2.0.0 message accepted
       C: QUIT
       S: 221 2.0.0 client.example.org says goodbye`,
    );
    assert.equal(status, 0);
    const [message] = host.messages;
    assert.deepEqual(
      message?.parameters.find(({ keyword }) => keyword === 'RET'),
      { keyword: 'RET', value: 'HDRS' },
    );
    assert.deepEqual(message?.recipientParameters, [[{ keyword: 'NOTIFY', value: 'FAILURE,DELAY' }]]);
    assert.ok(
      message?.content.startsWith('Date: Sun, 22 Nov 2026 12:00:00 +0000 (GMT)\r\nFrom: Fred <fred@foo.com>\r\n'),
      message?.content,
    );
  }));

/* ---- the verdict ---- */

test('250 comes when the smart host has taken the message, and not before', async () => {
  let release = (): void => {};
  const held = new Promise<null>((resolve) => {
    release = () => resolve(null);
  });
  let asked = false;
  await withHost(
    ({ about }) => {
      if (about !== 'content') return null;
      asked = true;
      return held;
    },
    async (host) => {
      const { config } = setUp(toHosts(host.port));
      const running = start(config, ['-bs']);
      running.child.stdin?.write(`EHLO foo.com\r\n${MAIL}${RCPT}${DATA}`);
      await host.until(() => asked);
      assert.equal(codes(running.said.stdout), '220 250 250 250 354');
      release();
      await until(running, (stdout) => codes(stdout) === '220 250 250 250 354 250');
      running.child.stdin?.end('QUIT\r\n');
      assert.equal((await running.done).status, 0);
    },
  );
});

test('a refusal of any phase is the reply to the final dot, with its code, the address and the words of the smart host', async () => {
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [string, Judge, RegExp])[] = [
    ['MAIL', ({ about }) => (about === 'sender' ? makeReply(553, '5.1.8', 'who is that') : null),
      /^553 5\.1\.8 \[127\.0\.0\.1\]:\d+: MAIL FROM:<fred@foo\.com>.*: 553 5\.1\.8 who is that$/],
    ['RCPT', (q) => (q.about === 'recipient' && q.path.localPart === 'jane' ? makeReply(550, '5.1.1', 'no Jane here') : null),
      /^550 5\.1\.1 \[127\.0\.0\.1\]:\d+: RCPT TO:<jane@bar\.com>: 550 5\.1\.1 no Jane here$/],
    ['all RCPT, 5yz beside 4yz', (q) => (q.about === 'recipient' ? makeReply(q.path.localPart === 'jane' ? 550 : 450, '', `not ${q.path.localPart}`) : null),
      /^550-5\.0\.0 .*RCPT TO:<joe@bar\.com>: 450 not joe\n550 5\.0\.0 .*RCPT TO:<jane@bar\.com>: 550 not jane$/],
    ['DATA', ({ about }) => (about === 'data' ? makeReply(452, '4.3.1', 'disk full') : null), /^452 4\.3\.1 .*: DATA: 452 4\.3\.1 disk full$/],
    ['content', ({ about }) => (about === 'content' ? makeReply(550, '5.7.1', 'spam', 'really') : null), /^550 5\.7\.1 .*: the content: 550 5\.7\.1 spam \/ really$/],
  ];
  for (const [phase, judge, wanted] of rows)
    await withHost(judge, async (host) => {
      const { config, loggedFacts } = setUp(toHosts(host.port));
      const { status, stdout, stderr } = await run(
        config,
        ['-bs'],
        `EHLO foo.com\r\n${MAIL}${RCPT}RCPT TO:<jane@bar.com>\r\n${DATA}QUIT\r\n`,
      );
      assert.match(codes(stdout), /^220 250 250 250 250 354 \d{3} 221$/, phase);
      assert.match(replies(stdout)[6] as string, wanted, phase);
      assert.equal(status, 1, phase);
      assert.match(stderr, /^sendmail: \[127\.0\.0\.1\]:/, phase);
      assert.ok(loggedFacts().includes('Failed: nobody has the message'), phase);
      assert.ok(!host.messages.some(({ state }) => state === 'accepted'), phase);
    });
});

test('when no smart host can be reached, the reply is 451 with every reason', () =>
  within(30_000, async () => {
    const [one, two, faulty] = [await deadPort(), await deadPort(), await startHost({ script: { greeting: '554 go away' } })];
    const { config } = setUp(toHosts(one, two, faulty.port));
    const { status, stdout } = await run(config, ['-bs'], `HELO x\r\n${MAIL}${RCPT}${DATA}QUIT\r\n`);
    await faulty.stop();
    assert.equal(
      replies(stdout)[5],
      `451-4.4.0 [127.0.0.1]:${one}: connection refused\n451-4.4.0 [127.0.0.1]:${two}: connection refused\n451 4.4.0 [127.0.0.1]:${faulty.port}: connecting: 554 go away`,
    );
    assert.equal(status, 1);
  }));

test('a verdict that did not come is a permanent refusal, because a client that comes again would make two messages of one', () =>
  within(30_000, async () => {
    const faulty = await startHost({ script: { end: 'drop' } });
    const { config, loggedFacts } = setUp(toHosts(faulty.port));
    const { status, stdout } = await run(config, ['-bs'], `HELO x\r\n${MAIL}${RCPT}${DATA}QUIT\r\n`);
    await faulty.stop();
    assert.match(
      replies(stdout)[5] as string,
      /^554-5\.4\.2 .*may have been delivered\n554 5\.4\.2 look for Message-ID <1@foo\.com> before sending it again$/,
    );
    assert.equal(status, 1);
    assert.ok(loggedFacts().includes('Uncertain: the smart host may have the message'));
  }));

test('the words of the smart host are the reply; nospool puts an enhanced code before them where they have none', () =>
  within(30_000, async () => {
    for (const [said, wanted] of [
      ['250 2.0.0 Ok: queued as 4F2A', '250 2.0.0 Ok: queued as 4F2A'],
      ['250 OK id=1abc', '250 2.0.0 OK id=1abc'],
      ['250 one\n250 two', '250-2.0.0 one\n250 2.0.0 two'],
      ['200 fine', '250 2.0.0 fine'],
      ['250 2.6.0 one\n250 2.6.0\n250 two', '250-2.6.0 one\n250-2.6.0\n250 2.6.0 two'],
    ] as const) {
      const host = await startHost({ script: { end: said } });
      const { config } = setUp(toHosts(host.port));
      const { status, stdout } = await run(config, ['-bs'], `HELO x\r\n${MAIL}${RCPT}${DATA}QUIT\r\n`);
      await host.stop();
      assert.deepEqual([status, replies(stdout)[5]], [0, wanted]);
    }
  }));

test('MAIL with SIZE, 8BITMIME and SMTPUTF8 is understood; what the smart host hears follows from the message', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const { status, stdout } = await run(
      config,
      ['-bs'],
      Buffer.from(
        `EHLO x\r\nMAIL FROM:<fred@foo.com> SIZE=99 BODY=8BITMIME SMTPUTF8 ENVID=a+2Bb\r\nRCPT TO:<jürgen@bar.com> ORCPT=utf-8;Old@foo.com\r\nDATA\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nfür\r\n.\r\nQUIT\r\n`,
      ),
    );
    assert.deepEqual([status, codes(stdout)], [0, '220 250 250 250 354 250 221']);
    const [message] = host.messages;
    const words = message?.parameters.map(({ keyword, value }) => `${keyword}=${value}`).filter((word) => !word.startsWith('SIZE'));
    assert.deepEqual(words, ['BODY=8BITMIME', 'SMTPUTF8=null', 'ENVID=a+2Bb']);
    assert.deepEqual(message?.recipients, ['<jürgen@bar.com>']);
    assert.deepEqual(message?.recipientParameters, [[{ keyword: 'ORCPT', value: 'utf-8;Old@foo.com' }]]);
  }));

test('ORCPT goes on as it came, whatever its type, also where it is the recipient; in ASCII where MAIL has no SMTPUTF8', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const given = ['RFC822;Ann+2B1@bar.com', 'utf-8;j\\x{F6}rg@foo.com', 'x400;/C+3Dde', 'utf-8;jörg@foo.com'];
    const recipients = given.map((value, i) => `RCPT TO:<${i === 0 ? 'Ann+1' : `r${i}`}@bar.com> ORCPT=${value}\r\n`).join('');
    const { status } = await run(config, ['-bs'], Buffer.from(`EHLO x\r\n${MAIL}${recipients}${DATA}QUIT\r\n`));
    assert.equal(status, 0);
    const [message] = host.messages;
    assert.deepEqual(
      message?.recipientParameters.map(([orcpt]) => orcpt?.value),
      [...given.slice(0, 3), 'utf-8;j\\x{F6}rg@foo.com'],
    );
  }));

/* ---- recipients ---- */

test('routing answers RCPT: it refuses what fails, is deferred, is local or disagrees, and the others go on', () =>
  withHost(undefined, async (host) => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(
      aliases,
      'gone: ":fail: left the company"\nlater: ":defer: try tomorrow"\npipe: "|/bin/cat"\nlist: joe@bar.com, jane@bar.com\nnobody: :blackhole:\n',
    );
    const other = await deadPort();
    const { config, loggedFacts } = setUp(
      `qualify_domain = "foo.com"\n`,
      `[[router]]\nname = "aliases"\ndriver = "redirect"\nfile = "${aliases}"\n
       [[router]]\nname = "partner"\ndriver = "manualroute"\ndomains = ["partner.example"]\nhosts = ["smtp://127.0.0.1:${other}"]\n
       [[router]]\nname = "rest"\ndriver = "manualroute"\nhosts = ["smtp://127.0.0.1:${host.port}"]\n`,
    );
    const rcpt = (...names: string[]) => names.map((name) => `RCPT TO:<${name}>\r\n`).join('');
    const { status, stdout, stderr } = await run(
      config,
      ['-bs'],
      `EHLO x\r\n${MAIL}${rcpt('gone', 'later', 'pipe', 'list', 'sue@partner.example', 'nobody', 'a b@c', 'ann@bar.com')}${DATA}QUIT\r\n`,
    );
    assert.equal(codes(stdout), '220 250 250 550 451 550 250 451 250 501 250 354 250 221');
    const told = replies(stdout);
    assert.equal(told[3], '550 5.1.1 routing gone@foo.com yielded a failed delivery: left the company');
    assert.equal(told[4], '451 4.3.0 routing later@foo.com yielded a deferred delivery: try tomorrow');
    assert.equal(told[5], `550 5.1.1 routing pipe@foo.com yielded a local delivery: to |/bin/cat, by ${aliases}:3`);
    assert.match(
      told[7] as string,
      /^451 4\.5\.3 joe@bar\.com and sue@partner\.example cannot go in one transaction, because their routes differ in hosts: /,
    );
    assert.deepEqual(host.messages[0]?.recipients, ['<joe@bar.com>', '<jane@bar.com>', '<ann@bar.com>']);
    assert.deepEqual([status, stderr], [0, '']);
    const facts = loggedFacts().join('\n');
    assert.match(facts, /left the company/);
    assert.match(facts, /cannot go in one transaction/);
    assert.match(facts, /=> :blackhole: <nobody@foo\.com>/);
  }));

test('a transaction whose recipients were all refused is in the log although no content came', () =>
  within(30_000, async () => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'gone: ":fail: left the company"\n');
    const { config, loggedFacts } = setUp(`${toHosts(await deadPort())}\nqualify_domain = "foo.com"\naliases = ["${aliases}"]`);
    const { status, stdout } = await run(config, ['-bs'], `EHLO x\r\n${MAIL}RCPT TO:<gone>\r\nDATA\r\nRSET\r\nQUIT\r\n`);
    assert.equal(codes(stdout), '220 250 250 550 554 250 221');
    assert.equal(status, 0);
    assert.deepEqual(loggedFacts(), [
      `<= fred@foo.com U=${userInfo().username} P=local`,
      'not sent: routing gone@foo.com yielded a failed delivery: left the company',
    ]);
  }));

test('when aliases discard all recipients, the reply is 250 without a smart host', () =>
  within(30_000, async () => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'nobody: :blackhole:\n');
    const { config } = setUp(`${toHosts(await deadPort())}\nqualify_domain = "foo.com"\naliases = ["${aliases}"]`);
    const { status, stdout } = await run(config, ['-bs'], `EHLO x\r\n${MAIL}RCPT TO:<nobody>\r\n${DATA}QUIT\r\n`);
    assert.deepEqual([status, replies(stdout)[5]], [0, '250 2.0.0 the aliases discard every recipient: nothing was sent']);
  }));

test('a sender without a domain is refused at MAIL where this host has none either', () =>
  within(30_000, async () => {
    const { config } = setUp(`${toHosts(await deadPort())}\nhostname = "box"`);
    const { status, stdout } = await run(config, ['-bs'], `EHLO x\r\nMAIL FROM:<root>\r\n${RCPT}QUIT\r\n`);
    assert.equal(codes(stdout), '220 250 550 503 221');
    assert.match(replies(stdout)[2] as string, /^550 5\.1\.7 the sender "root" has no domain, .*: set qualify_domain$/);
    assert.equal(status, 0);
  }));

test('the null reverse-path stays null; force_from replaces any other', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(`${toHosts(host.port)}\nfrom = "ops@foo.com"\nforce_from = true`);
    const mails = ['<>', '<fred@foo.com>'].map((from) => `MAIL FROM:${from}\r\n${RCPT}${DATA}`).join('');
    const { status } = await run(config, ['-bs'], `EHLO x\r\n${mails}QUIT\r\n`);
    assert.equal(status, 0);
    assert.deepEqual(
      host.messages.map(({ reversePath }) => reversePath),
      ['<>', '<ops@foo.com>'],
    );
  }));

/* ---- the dialogue ---- */

test('one write may hold several messages, also after a failure; status 1 says that one was not delivered', () =>
  withHost(
    ({ about }, { messages }) => (about === 'content' && messages.length === 2 ? makeReply(451, '4.3.0', 'later') : null),
    async (host) => {
      const { config, loggedFacts } = setUp(toHosts(host.port));
      const { status, stdout } = await run(config, ['-bs'], `EHLO x\r\n${`${MAIL}${RCPT}${DATA}`.repeat(3)}QUIT\r\n`);
      assert.equal(codes(stdout), '220 250 250 250 354 250 250 250 354 451 250 250 354 250 221');
      assert.equal(status, 1);
      assert.deepEqual(
        host.messages.map(({ state }) => state),
        ['accepted', 'refused', 'accepted'],
      );
      assert.equal(loggedFacts().filter((line) => line === 'Completed').length, 2);
    },
  ));

test('messages of one dialogue have ids of their own', () =>
  withHost(undefined, async (host) => {
    const { config, logged } = setUp(toHosts(host.port));
    await run(config, ['-bs'], `EHLO x\r\n${`${MAIL}${RCPT}DATA\r\nSubject: x\r\n\r\n.\r\n`.repeat(5)}QUIT\r\n`);
    const added = host.messages.map(({ content }) => /^Message-ID: (.*)\r$/m.exec(content)?.[1]);
    assert.equal(new Set(added).size, 5);
    assert.equal(
      new Set(
        logged()
          .split('\n')
          .map((line) => line.split(' ')[3]),
      ).size,
      5 + 1,
    );
  }));

test('LF ends a command; in content only CR LF . CR LF ends it, whatever looks alike', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const { status, stdout } = await run(
      config,
      ['-bs'],
      `EHLO x\n${MAIL.replace('\r', '')}${RCPT.replace('\r', '')}DATA\nSubject: x\n\nfirst\n.\nMAIL FROM:<evil@foo.com>\r.\r\n.\nlast\r\n.\r\nQUIT\n`,
    );
    assert.deepEqual([status, codes(stdout)], [0, '220 250 250 250 354 250 221']);
    assert.equal(host.messages.length, 1);
    assert.match(host.messages[0]?.content as string, /\r\n\r\nfirst\r\n\.\r\nMAIL FROM:<evil@foo\.com>\r\n\.\r\n\r\nlast\r\n$/);
  }));

test('when the input ends in the content, nothing is sent, status is 1, and the reason names LF around the dot', () =>
  withHost(undefined, async (host) => {
    // biome-ignore format: a table is read as a table
    const rows: readonly (readonly [string, RegExp])[] = [
      [`DATA\r\n${LETTER}`, /CR LF \. CR LF$/m],
      [`DATA\r\n${LETTER}.`, /CR LF \. CR LF$/m],
      [`DATA\r\n${LETTER}.\r`, /CR LF \. CR LF$/m],
      ['DATA\nSubject: x\n\nbody\n.\nQUIT\n', /a dot is there, but the lines around it end with LF alone$/m],
      [`BDAT 100\r\n${LETTER.slice(0, 40)}`, /standard input ended/],
      [`BDAT 40\r\n${LETTER.slice(0, 40)}`, /standard input ended/],
    ];
    for (const [content, wanted] of rows) {
      const { config, loggedFacts } = setUp(toHosts(host.port));
      const { status, stderr } = await run(config, ['-bs'], `EHLO x\r\n${MAIL}${RCPT}${content}`);
      assert.equal(status, 1, content);
      assert.match(stderr, wanted, content);
      assert.ok(
        loggedFacts().some((line) => wanted.test(line)),
        content,
      );
    }
    assert.deepEqual(
      host.messages.filter(({ state }) => state !== 'abandoned'),
      [],
    );
  }));

test('blocks of BDAT go through; a transaction that is reset between two of them is not sent', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const blocks = [LETTER.slice(0, 30), LETTER.slice(30)];
    const bdat = `BDAT ${blocks[0]?.length}\r\n${blocks[0]}BDAT ${blocks[1]?.length} LAST\r\n${blocks[1]}`;
    const { status, stdout } = await run(
      config,
      ['-bs'],
      `EHLO x\r\n${MAIL}${RCPT}BDAT 30\r\n${blocks[0]}RSET\r\n${MAIL}${RCPT}${bdat}QUIT\r\n`,
    );
    assert.equal(codes(stdout), '220 250 250 250 250 250 250 250 250 250 221');
    assert.equal(host.messages.length, 1);
    assert.equal(host.messages[0]?.content, LETTER);
    assert.equal(status, 1, 'content that began and was not delivered');
  }));

test('the end of the input and QUIT between transactions, and a transaction left open before its content, are no failures', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    for (const dialogue of ['', 'QUIT\r\n', `${MAIL}${RCPT}`, `${MAIL}${RCPT}${DATA}`, `${MAIL}${RCPT}QUIT\r\n`]) {
      const { status, stderr } = await run(config, ['-bs'], `EHLO x\r\n${dialogue}`);
      assert.deepEqual([status, stderr], [0, ''], dialogue);
    }
    assert.equal(host.messages.length, 1);
  }));

test('content beyond the window goes on while it comes, so a smart host that stops reading stops the client', () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const receiving = { sizeLimit: Number.POSITIVE_INFINITY };
  return withHost(
    undefined,
    async (host) => {
      const { config } = setUp(`${toHosts(host.port)}\nreplay_window = "64KiB"`);
      const running = start(config, ['-bs']);
      const stdin = running.child.stdin as Socket;
      stdin.write(`EHLO x\r\n${MAIL}${RCPT}DATA\r\nSubject: large\r\n\r\n`);
      const line = `${'x'.repeat(998)}\r\n`;
      const size = 24 * 1024 * 1024;
      stdin.write(line.repeat(Math.ceil(size / line.length)));
      stdin.write('.\r\nQUIT\r\n');
      await host.until(() => (host.messages[0]?.octets ?? 0) >= 1);
      // Nothing moves, so what is not yet written stays with the client.
      let before = -1;
      while (before !== stdin.writableLength) {
        before = stdin.writableLength;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      assert.ok(before > size / 2, `${before} octets are left`);
      assert.equal(codes(running.said.stdout), '220 250 250 250 354');
      release();
      const { status, stdout } = await running.done;
      assert.deepEqual([status, codes(stdout)], [0, '220 250 250 250 354 250 221']);
      assert.ok((host.messages[0]?.octets as number) > size);
      assert.ok(!host.messages[0]?.parameters.some(({ keyword }) => keyword === 'SIZE'), 'the size is not known');
    },
    receiving,
    { keep: 0, content: () => held },
  );
});

test('content is read to its end after a smart host has refused; a slow client within the window holds no connection', () =>
  withHost(
    ({ about }) => (about === 'recipient' ? makeReply(550, '5.1.1', 'unknown') : null),
    async (host) => {
      const { config } = setUp(`${toHosts(host.port)}\nreplay_window = "64KiB"`);
      const running = start(config, ['-bs']);
      const { stdin } = running.child;
      stdin?.write(`EHLO x\r\n${MAIL}${RCPT}DATA\r\nSubject: large\r\n\r\n`);
      await until(running, (stdout) => codes(stdout).endsWith('354'));
      stdin?.write('slow\r\n'.repeat(1000));
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(host.connections, 0);
      stdin?.end(`${'and fast\r\n'.repeat(200_000)}.\r\nQUIT\r\n`);
      const { status, stdout } = await running.done;
      assert.equal(codes(stdout), '220 250 250 250 354 550 221');
      assert.deepEqual([status, host.connections], [1, 1]);
    },
  ));

/* ---- signals, descriptors ---- */

test('SIGTERM between messages is answered by 421, and leaves the status as it was', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const running = start(config, ['-bs']);
    running.child.stdin?.write(`EHLO x\r\n${MAIL}${RCPT}${DATA}`);
    await until(running, (stdout) => codes(stdout).endsWith('354 250'));
    running.child.kill('SIGTERM');
    const { status, signal, stdout } = await running.done;
    assert.deepEqual([status, signal, codes(stdout)], [0, null, '220 250 250 250 354 250 421']);
  }));

test('SIGTERM in the content is answered by 421, and nothing is sent, within and beyond the window', () =>
  withHost(undefined, async (host) => {
    for (const octets of [100, 200_000]) {
      const { config, loggedFacts } = setUp(`${toHosts(host.port)}\nreplay_window = "64KiB"`);
      const running = start(config, ['-bs']);
      const known = host.messages.length;
      running.child.stdin?.write(
        `EHLO x\r\n${MAIL}${RCPT}DATA\r\nSubject: x\r\n\r\n${'x'
          .repeat(78)
          .concat('\r\n')
          .repeat(octets / 80)}`,
      );
      if (octets < 65536) await until(running, (stdout) => codes(stdout).endsWith('354'));
      else await host.until(() => (host.messages[known]?.octets ?? 0) > 70_000);
      running.child.kill('SIGTERM');
      const { status, stdout, stderr } = await running.done;
      assert.deepEqual([status, codes(stdout)], [1, '220 250 250 250 354 421']);
      assert.match(stderr, /ended by SIGTERM/);
      assert.ok(loggedFacts().some((line) => /ended by SIGTERM/.test(line)));
    }
    await host.until(() => host.messages.every(({ state }) => state === 'abandoned'));
    assert.equal(host.messages.length, 1);
  }));

test('after SIGTERM behind the final dot the verdict still comes and is the reply', async () => {
  let release = (): void => {};
  const held = new Promise<null>((resolve) => {
    release = () => resolve(null);
  });
  let asked = false;
  await withHost(
    ({ about }) => {
      if (about !== 'content') return null;
      asked = true;
      return held;
    },
    async (host) => {
      const { config } = setUp(toHosts(host.port));
      const running = start(config, ['-bs']);
      running.child.stdin?.write(`EHLO x\r\n${MAIL}${RCPT}${DATA}`);
      await host.until(() => asked);
      running.child.kill('SIGTERM');
      setTimeout(release, 200);
      const { status, stdout } = await running.done;
      assert.deepEqual([status, codes(stdout)], [0, '220 250 250 250 354 250 421']);
    },
  );
});

test('the commands of a client that reads no reply wait, a signal does not', () =>
  within(30_000, async () => {
    const { config } = setUp(toHosts(await deadPort()));
    const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), COMMAND, '-bs'], {
      stdio: 'pipe',
      env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config },
    });
    child.stdin.on('error', () => {});
    child.stdin.write('NOOP\r\n'.repeat(200_000));
    // It speaks, so it listens for signals; the client does not read what it says.
    await once(child.stdout, 'readable');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(child.stdin.writableLength > 0, 'not all of it was read');
    child.kill('SIGTERM');
    const [status, signal] = await once(child, 'exit');
    child.stdout.destroy();
    assert.deepEqual([status, signal], [0, null]);
  }));

test('standard input and output may be one socket, as socat gives it, or a real pipe on either side', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const dialogue = `EHLO x\r\n${MAIL}${RCPT}${DATA}QUIT\r\n`;
    const place = path.join(scratch(), 'socket');
    const server = createServer({ pauseOnConnect: true }).listen(place);
    await once(server, 'listening');
    const client = connect(place);
    const [socket] = (await once(server, 'connection')) as [Socket];
    const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), COMMAND, '-bs'], {
      stdio: [socket, socket, 'pipe'],
      env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config },
    });
    socket.destroy();
    let said = '';
    client.setEncoding('latin1').on('data', (text) => {
      said += text;
    });
    client.write(dialogue);
    const [status] = await once(child, 'exit');
    if (!client.closed) await once(client, 'close');
    server.close();
    assert.deepEqual([status, codes(said)], [0, '220 250 250 250 354 250 221']);

    const file = path.join(scratch(), 'dialogue');
    writeFileSync(file, dialogue);
    const shell = spawn('/bin/sh', ['-c', `cat ${file} | ${RUNTIME.join(' ')} ${COMMAND} -C ${config} -bs | cat`], { env: ENVIRONMENT });
    let piped = '';
    shell.stdout.setEncoding('latin1').on('data', (text) => {
      piped += text;
    });
    await once(shell, 'close');
    assert.equal(codes(piped), '220 250 250 250 354 250 221');
    assert.equal(host.messages.length, 2);
  }));

test('a message from a file is sent also when standard output is closed', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const file = path.join(scratch(), 'dialogue');
    writeFileSync(file, `EHLO x\r\n${MAIL}${RCPT}${DATA}QUIT\r\n`);
    for (const redirection of ['> /dev/null', '>&-', '| true']) {
      const shell = spawn('/bin/sh', ['-c', `${RUNTIME.join(' ')} ${COMMAND} -C ${config} -bs < ${file} ${redirection}`], {
        env: ENVIRONMENT,
        stdio: 'ignore',
      });
      const [status] = await once(shell, 'close');
      assert.equal(status, 0, redirection);
    }
    await host.until(() => host.messages.length === 3 && host.messages.every(({ state }) => state === 'accepted'));
  }));

test('a network socket is refused, in either mode', () =>
  within(30_000, async () => {
    const { config } = setUp(toHosts(await deadPort()));
    for (const mode of ['-bs', '-bS']) {
      const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const client = connect((server.address() as { port: number }).port, '127.0.0.1');
      client.on('error', () => {});
      const [socket] = (await once(server, 'connection')) as [Socket];
      const running = start(config, [mode], { stdio: [socket, 'pipe', 'pipe'] });
      const { status, stdout, stderr } = await running.done;
      client.destroy();
      socket.destroy();
      server.close();
      assert.deepEqual([status, stdout, stderr], [1, '', 'sendmail: no SMTP on a network socket: nospool is not a server\n'], mode);
    }
  }));

test('the reply in place of the greeting says that the configuration cannot be read', () =>
  within(30_000, async () => {
    const { status, stdout, stderr } = await run('/nonexistent/nospool.toml', ['-bs'], 'EHLO x\r\n');
    assert.equal(status, 1);
    assert.match(stdout, /^554 5\.3\.5 .*\/nonexistent\/nospool\.toml.*\r\n$/);
    assert.match(stderr, /^sendmail: .*\/nonexistent\/nospool\.toml/);
  }));

test('S12: each message has a deadline of its own, and the dialogue goes on after it', () =>
  within(30_000, async () => {
    let release = (): void => {};
    const held = new Promise<null>((resolve) => {
      release = () => resolve(null);
    });
    const host = await smartHost(({ about }) => (about === 'content' ? held : null));
    const { config } = setUp(toHosts(host.port), '[timeouts]\ndeadline = "4s"');
    const running = start(config, ['-bs']);
    running.child.stdin?.write(`${MAIL}RCPT TO:<joe@bar.com>\r\n${DATA}`);
    await until(running, (stdout) => /deadline of 4 s has passed/.test(stdout));
    release();
    running.child.stdin?.end(`${MAIL}RCPT TO:<joe@bar.com>\r\n${DATA}QUIT\r\n`);
    const { stdout, status } = await running.done;
    assert.match(codes(stdout), /^220 250 250 354 [45]5\d 250 250 354 250 221$/);
    assert.equal(status, 1);
    await host.close();
  }));

test('the dialogue waits for a client that reads slowly, and says nothing of it', () =>
  within(30_000, async () => {
    const { config } = setUp(toHosts(await deadPort()));
    const { child, done, said } = start(config, ['-bs']);
    const stdout = child.stdout as Socket;
    stdout.pause();
    // Each piece that is read has more replies than a pipe holds.
    child.stdin?.end(`${'NOOP\r\n'.repeat(300_000)}QUIT\r\n`);
    stdout.on('data', () => stdout.pause());
    const reading = setInterval(() => stdout.resume(), 1);
    const { status, stderr } = await done;
    clearInterval(reading);
    assert.deepEqual([status, stderr], [0, '']);
    assert.ok(said.stdout.endsWith('says goodbye\r\n'));
  }));

test('an alias file that is edited between two transactions is seen by the second', () =>
  withHost(undefined, async (host) => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'joe: joe@bar.com\njane: jane@bar.com\n');
    const { config, loggedFacts } = setUp(`${toHosts(host.port)}\nqualify_domain = "foo.com"\naliases = ["${aliases}"]`);
    const running = start(config, ['-bs']);
    const two = 'RCPT TO:<joe>\r\nRCPT TO:<jane>\r\n';
    running.child.stdin?.write(`HELO x\r\n${MAIL}${two}RSET\r\n`);
    await until(running, (stdout) => codes(stdout) === '220 250 250 250 250 250');
    writeFileSync(aliases, 'joe: ann@bar.com\njane: :fail: moved\n');
    running.child.stdin?.end(`${MAIL}${two}${DATA}QUIT\r\n`);
    const { status, stdout } = await running.done;
    assert.deepEqual([status, codes(stdout)], [0, '220 250 250 250 250 250 250 250 550 354 250 221']);
    assert.deepEqual(host.messages[0]?.recipients, ['<ann@bar.com>']);
    assert.ok(loggedFacts().some((fact) => fact.startsWith('=> ann@bar.com <joe@foo.com> R=smarthosts ')));
  }));

test('a reply to RCPT tells many reasons, but not thousands', () =>
  within(30_000, async () => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, `all: ${Array.from({ length: 5000 }, (_, i) => `/var/mail/u${i}`).join(', ')}\n`);
    const { config } = setUp(`${toHosts(await deadPort())}\nqualify_domain = "foo.com"\naliases = ["${aliases}"]`);
    const { stdout } = await run(config, ['-bs'], `HELO x\r\n${MAIL}RCPT TO:<all>\r\nQUIT\r\n`);
    const told = (replies(stdout)[3] as string).split('\n');
    assert.equal(told.length, 101);
    assert.equal(told.at(-1), '550 5.1.1 and 4900 more, see the log');
  }));

test('a client that does not read standard error gets every reply, however many messages fail', () =>
  within(30_000, async () => {
    const hosts = Array.from({ length: 20 }, (_, i) => `"unix:/nowhere/${'x'.repeat(60)}/${i}"`);
    const { config, logged } = setUp(`smarthosts = [${hosts.join(', ')}]`);
    for (const mode of ['-bs', '-bS']) {
      const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), COMMAND, mode], { env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config } });
      const closed = once(child, 'close');
      const said = { stdout: '', stderr: '' };
      child.stdout.on('data', (part) => {
        said.stdout += part;
      });
      // It is read when the process has ended.
      child.stderr
        .on('data', (part) => {
          said.stderr += part;
        })
        .pause();
      const message = `MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n${LETTER.replaceAll(/\r?\n/g, '\r\n')}.\r\n`;
      child.stdin.on('error', () => {}).end(`${message.repeat(12)}QUIT\r\n`);
      assert.deepEqual(await closed, [1, null]);
      const { stdout, stderr } = said;
      assert.match(stderr, /no such socket/);
      if (mode === '-bS') continue;
      assert.equal(stdout.match(/^451 /gm)?.length, 12);
      assert.match(stdout, /^221 /m);
      assert.ok(stderr.length < 17_000);
      assert.match(stderr, /\/\d+: no such socket\nsendmail: the log has the rest\n$/);
      assert.equal(logged().match(/Failed: nobody has the message/g)?.length, 12);
    }
  }));

/* ---- -bS ---- */

const BATCH = `MAIL FROM:<fred@foo.com>\nRCPT TO:<joe@bar.com>\nDATA\nSubject: batch\n\n..dot\n.\n`;

test('a batch has no replies, ends lines with LF or CRLF as its first line does, and has status 0 when all are delivered', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    for (const [batch, count] of [
      [`HELO x\n${BATCH.repeat(2)}QUIT\n`, 2],
      [BATCH, 1],
      [`HELO x\r\n${BATCH.replaceAll('\n', '\r\n')}`, 1],
      ['', 0],
      [`MAIL FROM:<fred@foo.com>\nRSET\n${BATCH}`, 1],
    ] as const) {
      const known = host.messages.length;
      const { status, stdout, stderr } = await run(config, ['-bS'], batch);
      assert.deepEqual([status, stdout, stderr], [0, '', ''], batch);
      assert.equal(host.messages.length - known, count, batch);
      for (const message of host.messages.slice(known)) assert.match(message.content, /\r\n\r\n\.dot\r\n$/);
    }
  }));

test('a batch ends at its first failure and says how many were delivered, and what was not', () =>
  withHost(
    (q) => (q.about === 'recipient' && q.path.localPart === 'bad' ? makeReply(550, '5.1.1', 'unknown') : null),
    async (host) => {
      const { config } = setUp(toHosts(host.port));
      const ended = (n: number) =>
        `sendmail: the batch ended at message ${n + 1}: the ${n} before it were delivered, nothing after it was read\n`;
      // biome-ignore format: a table is read as a table
      const rows: readonly (readonly [string, number, string])[] = [
        [`${BATCH}${BATCH.replace('joe', 'bad')}${BATCH}`, 1, `sendmail: [127.0.0.1]:${host.port}: RCPT TO:<bad@bar.com>: 550 5.1.1 unknown\n`],
        [`${BATCH}${BATCH.replace('<joe@bar.com>', 'joe@bar..com')}${BATCH}`, 1, 'sendmail: RCPT TO:joe@bar..com: 501 5.1.3 '],
        [`${BATCH}VRFY\n${BATCH}`, 1, 'sendmail: VRFY: 501 5.5.4 a name is expected\n'],
        [`${BATCH}${BATCH}MAIL FROM:<fred@foo.com>\nRCPT TO:<joe@bar.com>\n`, 2, ''],
        [`${BATCH}MAIL FROM:<fred@foo.com>\nRCPT TO:<joe@bar.com>\nQUIT\n`, 1, ''],
        [`${BATCH}MAIL FROM:<fred@foo.com>\nRCPT TO:<joe@bar.com>\nDATA\nSubject: cut\n`, 1, 'sendmail: standard input ended before the end of the content'],
      ];
      for (const [batch, delivered, told] of rows) {
        const known = host.messages.filter(({ state }) => state === 'accepted').length;
        const { status, stdout, stderr } = await run(config, ['-bS'], batch);
        assert.deepEqual([status, stdout], [1, ''], batch);
        assert.ok(stderr.startsWith(told) && stderr.endsWith(ended(delivered)), `${batch}: ${stderr}`);
        assert.equal(host.messages.filter(({ state }) => state === 'accepted').length - known, delivered, batch);
      }
    },
  ));

test('exit_codes = "sysexits" chooses the exit status of a batch that a command ends, too', () =>
  withHost(
    (q) => (q.about === 'recipient' && q.path.localPart === 'bad' ? makeReply(450, '4.1.1', 'later') : null),
    async (host) => {
      const { folder } = setUp('');
      const aliases = path.join(folder, 'aliases');
      writeFileSync(aliases, 'later: :defer: not now\nnever: :fail: no\n');
      const own = `exit_codes = "sysexits"\nhostname = "vm"\naliases = ["${aliases}"]\n`;
      const started = 'MAIL FROM:<fred@foo.com>\n';
      // biome-ignore format: a table is read as a table
      const rows: readonly (readonly [string, string, number, string])[] = [
        [toHosts(host.port), `${BATCH}VRFY\n`, 65, 'a command that nobody knows'],
        [toHosts(host.port), `${BATCH}MAIL FROM:fred@foo..com\n`, 65, 'a wrong address'],
        [toHosts(host.port), `${BATCH}MAIL FROM:<fred>\n`, 78, 'no domain for the sender'],
        [toHosts(host.port), `${started}RCPT TO:<never@vm>\n`, 65, 'an address that cannot be routed'],
        [toHosts(host.port), `${started}RCPT TO:<later@vm>\n`, 75, 'an address that cannot be routed now'],
        ['', `${started}RCPT TO:<later@vm>\n`, 75, 'the same without a smart host'],
        ['', `${started}RCPT TO:<joe@bar.com>\n`, 78, 'no smart host'],
        [toHosts(host.port), `${started}QUIT\n`, 65, 'a message that has no content'],
        [toHosts(host.port), started, 74, 'an input that ends before the content'],
        [toHosts(host.port), BATCH.replace('joe', 'bad'), 69, 'a recipient whom the smart host refuses'],
      ];
      for (const [lines, batch, wanted, why] of rows) {
        const { status, stderr } = await run(setUp(`${own}${lines}`).config, ['-bS'], batch);
        assert.equal(status, wanted, `${why}: ${stderr}`);
      }
      const folderInput = openSync(folder, 'r');
      const { status } = await start(setUp(own + toHosts(host.port)).config, ['-bS'], { stdio: [folderInput, 'pipe', 'pipe'] }).done;
      closeSync(folderInput);
      assert.equal(status, 74);
    },
  ));

test('a batch whose input cannot be read has not come to its end', () =>
  within(30_000, async () => {
    const { config, folder } = setUp(toHosts(await deadPort()));
    const fd = openSync(folder, 'r');
    const { status, stderr } = await start(config, ['-bS'], { stdio: [fd, 'pipe', 'pipe'] }).done;
    closeSync(fd);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^sendmail: standard input cannot be read: .* \(EISDIR\)\nsendmail: the batch ended at message 1: the 0 before it were delivered, nothing after it was read\n$/,
    );
  }));

test('a batch by the name rsmtp and with -v shows the conversation with the smart host on standard error', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const { status, stdout, stderr } = await run(config, ['-bS', '-v'], BATCH);
    assert.deepEqual([status, stdout], [0, '']);
    assert.match(stderr, /^S: 220 smart\.example\.org[\s\S]*C: MAIL FROM:<fred@foo\.com>/);
  }));

onTerminal('a person at a terminal, whose lines end with LF, can end the content', () =>
  within(20_000, async () => {
    await withHost(undefined, async (host) => {
      const { config } = setUp(toHosts(host.port));
      const child = spawn('/usr/bin/script', ['-qec', `${RUNTIME.join(' ')} ${COMMAND} -C ${config} -bs`, '/dev/null'], {
        env: ENVIRONMENT,
      });
      let shown = '';
      let typed = 0;
      const lines = ['HELO me', 'MAIL FROM:<fred@foo.com>', 'RCPT TO:<joe@bar.com>', 'DATA', 'Subject: typed\n\nby hand\n.', 'QUIT'];
      child.stdout.on('data', (part) => {
        shown += part;
        // There is a reply for each line so far, and the greeting.
        const answered = (shown.match(/^[235]\d\d /gm) ?? []).length;
        if (answered > typed && typed < lines.length) child.stdin.write(`${lines[typed++]}\n`);
      });
      const [status] = await once(child, 'close');
      assert.equal(status, 0, shown);
      assert.match(shown, /250 2\.0\.0 message accepted/);
      assert.match(host.messages[0]?.content as string, /\r\n\r\nby hand\r\n$/);
    });
  }),
);

test.run();
