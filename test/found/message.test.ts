/** Faults that use has found in what is made of a message, of the arguments and of standard input: asked of the built `sendmail`. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { type Ended, killAll, run, type SmartHost, setUp, smartHost, start, toHosts } from '../cli/command.ts';
import { within } from '../support/within.ts';

const test = suite('found: message, arguments, standard input');
test.after.each(killAll);

interface Got {
  readonly ended: Ended;
  readonly host: SmartHost;
  readonly logged: string;
}

/** One run to a smart host that takes everything; what it sees has CR LF only. */
async function sent(args: readonly string[], input: string, toml = '', extensions?: readonly string[]): Promise<Got> {
  const host = await smartHost(() => null, extensions ? { extensions } : {});
  try {
    const { config, logged } = setUp(`${toHosts(host.port)}\nqualify_domain = "example.org"\n${toml}`);
    const ended = await run(config, args, input);
    for (const { content } of host.messages) assert.doesNotMatch(content.replaceAll('\r\n', ''), /[\r\n]/);
    return { ended, host, logged: logged() };
  } finally {
    await host.close();
  }
}

/** Recipients and content, of which Date and Message-ID are left out. */
function message({ ended, host }: Got): { readonly to: string; readonly content: string } {
  assert.equal(ended.status, 0, ended.stderr);
  assert.equal(host.messages.length, 1);
  const { recipients = [], content = '' } = host.messages[0] ?? {};
  return { to: recipients.join(' '), content: content.replaceAll(/^(Date|Message-ID): .*\r\n/gm, '') };
}

const FROM = 'From: s@x.example';
const dialogue = (text: string) => `EHLO x\r\nMAIL FROM:<s@x.example>\r\nRCPT TO:<a@b.example>\r\n${text}QUIT\r\n`;

/* ---- M1 ---- */

test('M1: CR CR LF ends lines of the header section: every recipient, and Bcc gone', () =>
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

test('M1: a CR at the start of a line, before the empty line and at the end of the file', () =>
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

/* ---- M3 ---- */

test('M3: a queue option with what makes a delivery is an error, and the caller may write on', () =>
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
      await host.close();
      assert.deepEqual([ended.status, ended.stdout, host.connections], [1, '', 0], args.join(' '));
      assert.match(ended.stderr, expected);
    }
    for (const args of [['-q'], ['-qf'], ['-qR', 'x.example'], ['-S', 'joe'], ['-Mrm', '1abcde-000001-AB']])
      assert.deepEqual(await run(null, args, ''), { status: 0, signal: null, stdout: '', stderr: '' }, args.join(' '));
  }));

/* ---- M4 ---- */

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
    // In SMTP a path is a path.
    const smtp = await sent(['-bs'], 'MAIL FROM:Foo <a@b.example>\r\nMAIL FROM:<Foo <a@b.example>>\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n');
    assert.match(smtp.ended.stdout, /^220 .*\r\n501 .*\r\n501 .*\r\n250 .*\r\n221 /);
  }));

/* ---- M5 ---- */

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

/* ---- M6 ---- */

test('M6: recipient fields as other mail programs write them', () =>
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

test.run();
