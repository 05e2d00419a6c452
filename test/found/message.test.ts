/** Faults that use has found in what is made of a message, of the arguments and of standard input: asked of the built `sendmail`. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { type Ended, killAll, run, type SmartHost, setUp, smartHost, toHosts } from '../cli/command.ts';
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
