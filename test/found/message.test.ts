/** Faults that use has found in the handling of a message, of arguments and of standard input. The tests run the built `sendmail`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import { makeReply } from '../../src/smtp/server/answers.ts';
import {
  COMMAND,
  ENVIRONMENT,
  type Ended,
  killAll,
  smartHost as openHost,
  RUNTIME,
  run,
  type SmartHost,
  setUp,
  start,
  toHosts,
} from '../support/command.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('found: message, arguments, standard input');
const opened: { close(): unknown }[] = [];
test.after.each(async () => {
  killAll();
  for (const host of opened.splice(0)) await host.close();
});

/** Closed when the test has ended, however it did. */
async function smartHost(...how: Parameters<typeof openHost>): Promise<SmartHost> {
  const host = await openHost(...how);
  opened.push(host);
  return host;
}
async function hostWith(options: SmarthostOptions): Promise<TestHost> {
  const host = await startHost(options);
  opened.push({ close: host.stop });
  return host;
}

const NOSPOOL = COMMAND.replace(/sendmail\.cjs$/, 'nospool.mjs');

interface Got {
  readonly ended: Ended;
  readonly host: SmartHost;
  readonly logged: string;
}

/** One run to a smart host that takes everything; what it sees has CR LF only. */
async function sent(args: readonly string[], input: string, toml = '', extensions?: readonly string[]): Promise<Got> {
  const host = await smartHost(() => null, extensions ? { extensions } : {});
  const { config, logged } = setUp(`${toHosts(host.port)}\nqualify_domain = "example.org"\n${toml}`);
  const ended = await run(config, args, input);
  for (const { content } of host.messages) assert.doesNotMatch(content.replaceAll('\r\n', ''), /[\r\n]/);
  return { ended, host, logged: logged() };
}

/** Recipients and content, of which Date and Message-ID are left out. */
function message({ ended, host }: Got): { readonly to: string; readonly content: string } {
  assert.equal(ended.status, 0, ended.stderr);
  assert.equal(host.messages.length, 1);
  const { recipients = [], content = '' } = host.messages[0] ?? {};
  return { to: recipients.join(' '), content: content.replaceAll(/^(Date|Message-ID): .*\r\n/gm, '') };
}

/** Runs a shell command in which `$send` is the command with its configuration, and standard input the file. */
async function shell(script: string, input: string | Buffer, hosts: readonly SmartHost[], toml = ''): Promise<Ended> {
  const { config, folder } = setUp(`${toHosts(...hosts.map(({ port }) => port))}\n${toml}`);
  const file = `${folder}/input`;
  writeFileSync(file, input);
  const fd = openSync(file, 'r');
  const child = spawn('/bin/sh', ['-c', script], {
    stdio: [fd, 'pipe', 'pipe'],
    env: { ...ENVIRONMENT, send: [...RUNTIME, COMMAND, '-C', config].join(' '), FOLDER: folder },
  });
  closeSync(fd);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name]?.on('data', (part: Buffer) => (said[name] += part.toString('latin1')));
  return new Promise((resolve) => child.once('close', (status, signal) => resolve({ status, signal, ...said })));
}

const FROM = 'From: s@x.example';
const dialogue = (text: string) => `EHLO x\r\nMAIL FROM:<s@x.example>\r\nRCPT TO:<a@b.example>\r\n${text}QUIT\r\n`;

/* ---- CRs in the header section ---- */

test('M1: CR CR LF ends lines of the header section: every recipient is found, and Bcc is gone', () =>
  within(20_000, async () => {
    const got = await sent(
      ['-t', '-i'],
      `${FROM}\r\r\nTo: a@b.example\r\r\nCc: c@d.example\r\r\nBcc: e@f.example\r\r\nSubject: x\r\r\n\r\r\nbody\r\n`,
    );
    assert.deepEqual(message(got), {
      to: '<a@b.example> <c@d.example> <e@f.example>',
      content: `${FROM}\r\nTo: a@b.example\r\nCc: c@d.example\r\nSubject: x\r\n\r\nbody\r\n`,
    });
  }));

const HIDDEN = `${FROM}\nTo: a@b.example\nSubject: hi\rBcc: victim@x.example\r\rtext\n\nbo\rdy\n`;
const FOLDED = `${FROM}\r\nTo: a@b.example\r\nSubject: hi\r\n Bcc: victim@x.example\r\n text\r\n\r\nbo\r\ndy\r\n`;

test('M1: a lone CR makes no field: with -t, with arguments, with -bs by DATA and BDAT, with -bS', () =>
  within(60_000, async () => {
    const network = HIDDEN.replaceAll('\n', '\r\n');
    const ways: readonly (readonly [readonly string[], string])[] = [
      [['-t', '-i'], HIDDEN],
      [['-t', '-i'], network],
      [['-i', 'a@b.example'], HIDDEN],
      [['-bs'], dialogue(`DATA\r\n${network}.\r\n`)],
      [['-bs'], dialogue(`BDAT ${network.length} LAST\r\n${network}`)],
      [['-bs'], dialogue(`BDAT 44\r\n${network.slice(0, 44)}BDAT ${network.length - 44} LAST\r\n${network.slice(44)}`)],
      [['-bS'], dialogue(`DATA\r\n${HIDDEN}.\r\n`).replaceAll('\r\n', '\n')],
    ];
    for (const [args, input] of ways)
      assert.deepEqual(message(await sent(args, input)), { to: '<a@b.example>', content: FOLDED }, args.join(' '));
  }));

test('M1: a lone CR folds a Bcc field, which is removed as a whole, and an address list', () =>
  within(20_000, async () => {
    const input = `${FROM}\nTo: a@b.example,\rc@d.example\nBcc: e@f.example,\rg@h.example\nMIME-Version: 1.0\nContent-Type: text/plain;\rcharset=utf-8\n\nb\n`;
    assert.deepEqual(message(await sent(['-t', '-i'], input)), {
      to: '<a@b.example> <c@d.example> <e@f.example> <g@h.example>',
      content: `${FROM}\r\nTo: a@b.example,\r\n c@d.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n\r\nb\r\n`,
    });
  }));

test('M1: a CR may stand at the start of a line, before the empty line and at the end of the file', () =>
  within(30_000, async () => {
    const rows = [
      [`${FROM}\n\r\nbody\n`, `${FROM}\r\n\r\nbody\r\n`],
      [`${FROM}\n\rBcc: c@d.example\n\nbody\n`, `${FROM}\r\n\r\n\r\nBcc: c@d.example\r\n\r\nbody\r\n`],
      [`${FROM}\nSubject: x\r`, `${FROM}\r\nSubject: x\r\n\r\n`],
      [`${FROM}\n\r`, `${FROM}\r\n\r\n`],
    ] as const;
    for (const [input, content] of rows)
      assert.deepEqual(message(await sent(['-i', 'a@b.example'], input)), { to: '<a@b.example>', content });
  }));

/* ---- options about queues ---- */

test('M3: a queue option beside a delivery is an error, and the caller may write on', () =>
  within(60_000, async () => {
    const message = `${FROM}\nTo: a@b.example\n\n${'x'.repeat(500_000)}\n`;
    const rows: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ['-S', 'smtp.example.org:587', '-f', 'a@x.example', 'z@z.example'],
        /^sendmail: -S smtp\.example\.org:587 runs the queue .*\(smarthosts\)\n$/,
      ],
      [['-q', '-t'], /^sendmail: -q runs the queue and sends nothing, but -t /],
      [['-qf', 'z@z.example'], /there are recipients\n$/],
      [['-q', '-f', 'a@x.example'], /-f names a sender\n$/],
      [['-bp', 'z@z.example'], /-bp \(mailq\) shows the queue/],
      [['-bi', '-t'], /-bi \(newaliases\) checks the alias files/],
    ];
    for (const [args, expected] of rows) {
      const host = await smartHost();
      const { config } = setUp(toHosts(host.port));
      const { child, done } = start(config, args);
      // All of it is taken: who writes to a pipe that is closed would hear of that, and not of the reason.
      const taken = await new Promise<Error | null | undefined>((resolve) => child.stdin?.write(message, resolve));
      assert.ok(!taken, `${args}: ${taken}`);
      child.stdin?.end();
      const ended = await done;
      assert.deepEqual([ended.status, ended.stdout, host.connections], [1, '', 0], args.join(' '));
      assert.match(ended.stderr, expected);
    }
    for (const args of [['-q'], ['-qf'], ['-qR', 'x.example'], ['-S', 'joe'], ['-Mrm', '1abcde-000001-AB']])
      assert.deepEqual(await run(null, args, ''), { status: 0, signal: null, stdout: '', stderr: '' }, args.join(' '));
  }));

/* ---- -f with a name ---- */

test('M4: -f with a display name or comment: the address in it; and a From of its own from -F alone', () =>
  within(60_000, async () => {
    const rows = [
      [['-f', 'Foo Bar <foo@b.example>'], '<foo@b.example>', 'From: Joe <foo@b.example>'],
      [['-fFoo <foo@b.example>'], '<foo@b.example>', 'From: Joe <foo@b.example>'],
      [['-r', 'foo@b.example (Foo, Bar)'], '<foo@b.example>', 'From: Joe <foo@b.example>'],
      [['-f', '<foo@b.example>'], '<foo@b.example>', 'From: Joe <foo@b.example>'],
      [['-f', '"Bar, Foo" <foo>'], '<foo@example.org>', 'From: Joe <foo@example.org>'],
      [['-f', '<>'], '<>', 'From: Joe <only@c.example>'],
    ] as const;
    for (const [args, reversePath, from] of rows) {
      const { ended, host } = await sent([...args, '-F', 'Joe', '-i', 'a@b.example'], 'Subject: x\n\nx\n', 'from = "only@c.example"');
      assert.equal(ended.status, 0, ended.stderr);
      assert.equal(host.messages[0]?.reversePath, reversePath, args.join(' '));
      assert.equal(/^From: .*$/m.exec(host.messages[0]?.content ?? '')?.[0]?.trimEnd(), from);
    }
    const forced = await sent(
      ['-f', 'Foo <foo@b.example>', '-i', 'a@b.example'],
      `${FROM}\n\nx\n`,
      'from = "only@c.example"\nforce_from = true',
    );
    assert.equal(forced.host.messages[0]?.reversePath, '<only@c.example>');
    for (const [value, expected] of [
      ['a@b.example, c@d.example', /^sendmail: -f "a@b\.example, c@d\.example": a message has one sender\n$/],
      ['Team: a@b.example;', /^sendmail: -f "Team: a@b\.example;": a group is no sender\n$/],
      ['Foo Bar', /write a name as Name <address>\n$/],
    ] as const) {
      const { ended, host } = await sent(['-f', value, '-i', 'a@b.example'], 'x\n');
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, expected);
      assert.equal(host.connections, 0);
    }
    const host = await smartHost();
    const sends = `${process.execPath} ${NOSPOOL} send --config $FOLDER/nospool.toml --from 'Foo <foo@b.example>' --to a@b.example -`;
    assert.equal((await shell(sends, 'Subject: x\n\nx\n', [host])).status, 0);
    assert.equal(host.messages[0]?.reversePath, '<foo@b.example>');
    // In SMTP a path is a path.
    const smtp = await sent(['-bs'], 'MAIL FROM:Foo <a@b.example>\r\nMAIL FROM:<Foo <a@b.example>>\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n');
    assert.match(smtp.ended.stdout, /^220 .*\r\n501 .*\r\n501 .*\r\n250 .*\r\n221 /);
  }));

/* ---- addresses and blanks outside ASCII ---- */

test('M5: a From with a comma in its name, and a no-break space before an address, need no SMTPUTF8', () =>
  within(30_000, async () => {
    const rows = [
      ['From: M\xc3\xbcller, J\xc3\xb6rg <j@b.example>\n\nx\n', 'From: =?UTF-8?B?TcO8bGxlciwgSsO2cmc=?= <j@b.example>\r\n\r\nx\r\n'],
      [`${FROM}\nSender: \xc2\xa0j@b.example\n\nx\n`, `${FROM}\r\nSender:  j@b.example\r\n\r\nx\r\n`],
      [`${FROM}\nReply-To: J\xc3\xb6rg\n\nx\n`, `${FROM}\r\nReply-To: =?UTF-8?B?SsO2cmc=?=\r\n\r\nx\r\n`],
      [`${FROM}\nCc: J\xc3\xb6rg M\n\nx\n`, `${FROM}\r\nCc: =?UTF-8?B?SsO2cmc=?= M\r\n\r\nx\r\n`],
      [
        `${FROM}\nResent-From: M\xfcller, J\xf6rg <j@b.example>\nResent-Date: x\nResent-Message-ID: <y@z>\n\nx\n`,
        `${FROM}\r\nResent-From: =?UTF-8?B?TcO8bGxlciwgSsO2cmc=?= <j@b.example>\r\nResent-Date: x\r\nResent-Message-ID: <y@z>\r\n\r\nx\r\n`,
      ],
    ] as const;
    for (const [input, content] of rows)
      assert.equal(message(await sent(['-i', 'a@b.example'], input, 'default_charset = "ISO-8859-1"', ['PIPELINING'])).content, content);
  }));

test('M5: where an address does need SMTPUTF8 the sentence says which and where', () =>
  within(30_000, async () => {
    const rows: readonly (readonly [readonly string[], string, RegExp])[] = [
      [['a@b.example'], 'Reply-To: x, j\xc3\xb6rg@b.example\n\n', /does not offer SMTPUTF8 \(the Reply-To field has jörg@b\.example\)/],
      [['-t'], 'To: j\xc3\xb6rg@b.example\n\n', /does not offer SMTPUTF8 \(a recipient is jörg@b\.example\)/],
      [['-f', 'jörg@b.example', 'a@b.example'], '\n', /does not offer SMTPUTF8 \(the sender is jörg@b\.example\)/],
      [['-t'], 'To: M\xc3\xbcller, J\xc3\xb6rg <j@b.example>\n\n', /in the To field: "Müller" has no "@" and is not ASCII; .* in quotes/],
    ];
    for (const [args, input, expected] of rows) {
      const { ended, host, logged } = await sent(args, input, '', ['PIPELINING']);
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, expected);
      assert.match(logged, expected);
      assert.equal(host.messages.length, 0);
    }
  }));

/* ---- address lists of other programs ---- */

test('M6: recipient fields are read as other mail programs write them', () =>
  within(30_000, async () => {
    const to = [
      'To: undisclosed-recipients:;@host',
      'Cc: undisclosed-recipients:;;, Foo \\"Bar\\" <a@b.example>; c@d.example;',
      'Bcc: <undisclosed-recipients:;>, e@f.example (Eve',
    ].join('\n');
    const got = message(await sent(['-t', '-i'], `${FROM}\n${to}\n\nx\n`));
    assert.equal(got.to, '<a@b.example> <c@d.example> <e@f.example>');
    assert.equal(got.content, `${FROM}\r\n${to.split('\nBcc')[0]?.replaceAll('\n', '\r\n')}\r\n\r\nx\r\n`);
  }));

/* ---- -bs and its descriptors ---- */

const BUSY = dialogue(`DATA\r\n${FROM}\r\n\r\none\r\n.\r\n`);

test('C2: with -bs nothing goes to standard error if that is standard output, whatever there is to say', () =>
  within(120_000, async () => {
    const refusing = await smartHost(({ about }) => (about === 'content' ? makeReply(550, '5.6.0', 'no') : null));
    const replies = (text: string) => text.split('\r\n').every((line) => line === '' || /^\d{3}[ -]/.test(line));
    for (const args of ['', '-v', '-ov', '-d', '-Z', '-bs -v -C /nowhere', '-f'])
      for (const both of ['2>&1 | cat', '>$FOLDER/both 2>&1; cat $FOLDER/both']) {
        const one = await shell(`$send -bs ${args} ${both}`, BUSY, [refusing]);
        assert.ok(replies(one.stdout), `${args} ${both}: ${one.stdout}`);
        assert.match(one.stdout, /^5[0-9]{2} /m);
        assert.equal(one.stderr, '');
      }
    // With two pipes, or without a dialogue, everything is on standard error.
    for (const args of ['', '-v', '-Z']) {
      const apart = await shell(`$send -bs ${args}`, BUSY, [refusing]);
      assert.deepEqual([apart.status, replies(apart.stdout)], [1, true], apart.stdout);
      assert.match(apart.stderr, /sendmail: /, args);
    }
    const batch = await shell('$send -bS 2>&1 | cat', BUSY, [refusing]);
    assert.match(batch.stdout, /^sendmail: /);
    const usual = await shell('$send -i a@b.example 2>&1 | cat', 'x\n', [refusing]);
    assert.match(usual.stdout, /^sendmail: /);
  }));

/* ---- text behind a lone dot ---- */

const CUT =
  'a line with a single dot ended the message, and the text behind it was not sent: use -i (or lone_dot = "text") if such a line is text';
const noted = (logged: string): boolean => logged.includes(CUT);

test('C3: text behind a lone dot is noted: in the log, and with a failure or -v on standard error', () =>
  within(60_000, async () => {
    const cut = `${FROM}\n\none\n.\ntwo\n`;
    const quiet = await sent(['a@b.example'], cut);
    assert.equal(message(quiet).content, `${FROM}\r\n\r\none\r\n`);
    assert.deepEqual([quiet.ended.stderr, noted(quiet.logged)], ['', true]);
    const verbose = await sent(['-v', 'a@b.example'], cut);
    assert.deepEqual([verbose.ended.status, verbose.ended.stderr.endsWith(`sendmail: ${CUT}\n`), noted(verbose.logged)], [0, true, true]);
    const failed = await sent(['a@b.example'], cut, '', ['SIZE 9', 'LIMITS RCPTMAX=0']);
    assert.deepEqual([failed.ended.status, failed.ended.stderr.endsWith(`sendmail: ${CUT}\n`), noted(failed.logged)], [1, true, true]);
    const json = await sent(['a@b.example'], cut, 'log_format = "json"');
    assert.deepEqual(JSON.parse(json.logged).notes, [CUT]);
    const long = await sent(['a@b.example'], `${FROM}\n\n${'x'.repeat(2000)}\n.\ntwo\n`, 'log_format = "json"');
    const { notes } = JSON.parse(long.logged);
    assert.deepEqual([notes.length, notes[1]], [2, CUT], 'beside what else is to be said');
    for (const [args, input] of [
      [['a@b.example'], `${FROM}\n\none\n.\n`],
      [['a@b.example'], `${FROM}\n\none\n.\r\n \n\t\r\n\n`],
      [['-i', 'a@b.example'], cut],
      [['-bs'], dialogue(`DATA\r\n${FROM}\r\n\r\none\r\n.\r\nNOOP\r\n`)],
    ] as const) {
      const { ended, logged } = await sent([...(args[0] === '-bs' ? [] : ['-v']), ...args], input);
      assert.deepEqual([ended.status, noted(logged), ended.stderr.includes('single dot')], [0, false, false], JSON.stringify(input));
    }
  }));

test('C3: text that comes behind the dot during the delivery is noted, and nobody waits for it', () =>
  within(60_000, async () => {
    for (const [later, expected] of [
      ['two\n', true],
      ['\n', false],
      ['', false],
    ] as const) {
      let write = (): void => {};
      const host = await smartHost(async ({ about }) => {
        if (about === 'content') write();
        return null;
      });
      const { config, logged } = setUp(toHosts(host.port));
      const { child, done } = start(config, ['a@b.example']);
      write = () => child.stdin?.write(later);
      child.stdin?.write(`${FROM}\n\none\n.\n`);
      // The pipe stays open until it has ended.
      const ended = await done;
      child.stdin?.destroy();
      assert.deepEqual([ended.status, ended.stderr, noted(logged())], [0, '', expected], JSON.stringify(later));
    }
  }));

test('C3: lone_dot = "text": a dot ends nothing, from the file and from the environment', () =>
  within(30_000, async () => {
    const dotted = `${FROM}\n\none\n.\n..\ntwo\n`;
    const whole = `${FROM}\r\n\r\none\r\n.\r\n..\r\ntwo\r\n`;
    const byFile = await sent(['a@b.example'], dotted, 'lone_dot = "text"');
    assert.deepEqual([message(byFile).content, noted(byFile.logged)], [whole, false]);
    const host = await smartHost();
    const env = {
      PATH: '/usr/bin:/bin',
      NOSPOOL_SMARTHOSTS: `smtp://127.0.0.1:${host.port}`,
      NOSPOOL_LONE_DOT: 'text',
      NOSPOOL_LOG: 'none',
    };
    const ended = await run(null, ['-f', 's@x.example', 'a@b.example'], dotted, { env });
    assert.equal(message({ ended, host, logged: '' }).content, whole);
  }));

/* ---- what is left on standard input ---- */

test('C5: a loop around a file sends it once: the descriptor stands at its end', () =>
  within(60_000, async () => {
    const host = await smartHost();
    const loop = 'while read line; do echo "$line"; $send -i a@b.example || exit 1; done';
    const ended = await shell(loop, 'one\nSubject: x\ntwo\nthree\n', [host]);
    assert.deepEqual([ended.status, ended.stdout, ended.stderr], [0, 'one\n', '']);
    assert.equal(host.messages.length, 1);
    assert.match(host.messages[0]?.content ?? '', /^Subject: x\r\n(?:.|\r\n)*\r\n\r\ntwo\r\nthree\r\n$/);
  }));

test('C5: the octets behind a lone dot are read next from standard input', () =>
  within(60_000, async () => {
    const host = await smartHost();
    const long = `${'x'.repeat(60)}\n`.repeat(10_000);
    const ended = await shell(
      '$send a@b.example && $send c@d.example && cat',
      `\none\n.\n\n${long}.\r\nthree\n.\n`,
      [host],
      'replay_window = "1KiB"',
    );
    assert.deepEqual([ended.status, ended.stdout, ended.stderr], [0, 'three\n.\n', '']);
    assert.deepEqual(
      host.messages.map(({ recipients, content }) => [recipients.join(), content.split('\r\n\r\n')[1]?.length]),
      [
        ['<a@b.example>', 5],
        ['<c@d.example>', (60 + 2) * 10_000],
      ],
    );
  }));

test('C5: a message beyond the window arrives by one attempt and by two, and leaves nothing after a failure', () =>
  within(110_000, async () => {
    // More than the buffers of two sockets hold, so that the end is not on its way when the connection is lost.
    const input = `Subject: x\n\n${`${'x'.repeat(60)}\n`.repeat(200_000)}`;
    const good = await smartHost();
    const refusing = await smartHost(({ about }) => (about === 'recipient' ? makeReply(550, '5.1.1', 'no') : null));
    const lost = await hostWith({ script: { content: 'drop' }, contentOctets: 500_000 });
    const early = await hostWith({ script: { EHLO: 'drop' } });
    const at = (port: number) => ({ port }) as SmartHost;
    for (const [hosts, args, status, what] of [
      [[good], '-i', 0, 'one attempt'],
      [[good], '', 0, 'one attempt, without -i'],
      [[at(lost.port), good], '-i', 0, 'a second attempt'],
      [[refusing], '-i', 1, 'a refusal before the content'],
      [[refusing], '', 1, 'the same without -i'],
      [[at(early.port)], '-i', 1, 'no smart host'],
      [[at(lost.port)], '-i', 1, 'a connection that is lost'],
    ] as const) {
      const ended = await shell(`$send ${args} a@b.example; status=$?; cat; exit $status`, input, hosts);
      assert.deepEqual([ended.status, ended.stdout], [status, ''], `${what}: ${ended.stderr}`);
    }
    // Octets that nobody looked at stay where they are.
    const unread = await shell('$send -Z a@b.example; $send -i; cat', 'Subject: x\n', [good]);
    assert.deepEqual([unread.status, unread.stdout], [0, 'Subject: x\n']);
    const cut = await shell('$send a@b.example; cat', 'Subject: x\n\none\n.\nmore\n', [refusing]);
    assert.equal(cut.stdout, 'more\n');
    const far = await shell('$send a@b.example; cat', `${input.slice(0, 400_000)}\n.\nmore\n`, [refusing]);
    assert.deepEqual([far.status, far.stdout], [0, 'more\n'], 'a dot that nobody has come to');
  }));

test('C5: -bs and -bS read on from where they stand, and so does nospool send', () =>
  within(60_000, async () => {
    const host = await smartHost();
    const text = dialogue(`DATA\r\n${FROM}\r\n\r\none\r\n.\r\n`);
    assert.equal((await shell('$send -bs >/dev/null; cat', text, [host])).stdout, '');
    assert.equal((await shell('$send -bS; cat', text, [host])).stdout, '');
    const sends = `${process.execPath} ${NOSPOOL} send --config $FOLDER/nospool.toml --to a@b.example - >/dev/null; cat`;
    assert.deepEqual(await shell(sends, `${FROM}\n\none\n`, [host]), { status: 0, signal: null, stdout: '', stderr: '' });
    assert.equal(host.messages.length, 3);
  }));

test('C5: a file beyond 2 GiB is read, and octets that another reader takes away are missed', () =>
  within(60_000, async () => {
    const host = await smartHost();
    const hole = 'truncate -s 3G "$FOLDER/input" && printf "Subject: x\\n\\nhello\\n" >>"$FOLDER/input"';
    const ended = await shell(`${hole} && dd bs=1M skip=3072 count=0 status=none && $send -i a@b.example && cat`, '', [host]);
    assert.deepEqual([ended.status, ended.stdout, ended.stderr], [0, '', '']);
    assert.match(host.messages[0]?.content ?? '', /^Subject: x\r\n(?:.|\r\n)*\r\n\r\nhello\r\n$/);
    const { config, folder } = setUp('');
    const file = `${folder}/input`;
    writeFileSync(file, `Subject: x\n\n${`${'x'.repeat(60)}\n`.repeat(50_000)}`);
    const fd = openSync(file, 'r');
    const slow = await smartHost(({ about }) => {
      // The window was read, and the rest is not yet.
      if (about === 'sender') readSync(fd, Buffer.alloc(500_000), 0, 500_000, null);
      return null;
    });
    writeFileSync(config, `${toHosts(slow.port)}\nqualify_domain = "example.org"\naliases = []\nlog = "none"\n`, { mode: 0o600 });
    const stolen = await start(config, ['-i', 'a@b.example'], { stdio: [fd, 'pipe', 'pipe'] }).done;
    closeSync(fd);
    assert.equal(stolen.status, 1);
    assert.match(stolen.stderr, /became shorter while it was read, or another program read from it/);
    assert.equal(slow.messages.filter(({ state }) => state === 'accepted').length, 0);
  }));

test.run();
