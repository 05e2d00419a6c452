/** Prints commands: each parameter in its place, and nothing that could start another one. */
import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { type Extensions, readExtensions } from '../../../src/smtp/client/extensions.ts';
import type { Lack } from '../../../src/smtp/client/outcome.ts';
import {
  dropsDsn,
  helloCommand,
  mailCommand,
  type Recipient,
  rcptCommand,
  type Transaction,
  unmetNeed,
  xtext,
} from '../../../src/smtp/client/print.ts';
import { mailbox, uncheckedMailbox } from '../../support/mailbox.ts';

const test = suite('commands');

const offering = (...lines: string[]): Extensions => readExtensions({ code: 250, enhanced: null, lines: ['foo.com', ...lines] });
const to = (text: string, rest: Partial<Recipient> = {}): Recipient => ({ path: mailbox(text), ...rest });
const about = (changes: Partial<Transaction> = {}): Transaction => ({
  reversePath: mailbox('tim@bar.com'),
  recipients: [to('a@foo.com')],
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
  ...changes,
});
const ALL = offering(
  'SIZE',
  '8BITMIME',
  'SMTPUTF8',
  'DSN',
  'REQUIRETLS',
  'MT-PRIORITY',
  'DELIVERBY',
  'FUTURERELEASE',
  'NO-SOLICITING',
  'AUTH PLAIN',
  'BINARYMIME',
  'CHUNKING',
);
const NOTHING = offering();
const shown = (command: ReturnType<typeof mailCommand>): string => (command.ok ? command.value : `! ${command.detail}`);

const MAILS: readonly (readonly [Partial<Transaction>, Extensions, string, string])[] = [
  [{}, ALL, 'MAIL FROM:<tim@bar.com>', 'nothing that nobody asked for'],
  [{ reversePath: null }, ALL, 'MAIL FROM:<>', 'RFC 5321 §4.5.5'],
  [{ size: 12 }, ALL, 'MAIL FROM:<tim@bar.com> SIZE=12', 'RFC 1870 §3'],
  [{ size: 12 }, offering('SIZE'), 'MAIL FROM:<tim@bar.com> SIZE=12', 'nothing is to be converted'],
  [{ size: 12, eightBit: 'some' }, ALL, 'MAIL FROM:<tim@bar.com> SIZE=12 BODY=8BITMIME', 'nothing has to be converted'],
  [{ size: 0 }, ALL, 'MAIL FROM:<tim@bar.com> SIZE=0', 'an empty message'],
  [{ size: 12 }, NOTHING, 'MAIL FROM:<tim@bar.com>', 'not offered'],
  [{ estimate: 12 }, ALL, 'MAIL FROM:<tim@bar.com> SIZE=12', 'an estimate'],
  [{ size: 5, estimate: 12 }, ALL, 'MAIL FROM:<tim@bar.com> SIZE=5', 'the exact size goes first'],
  [{ eightBit: 'some' }, ALL, 'MAIL FROM:<tim@bar.com> BODY=8BITMIME', 'RFC 6152 §3'],
  [{ eightBit: 'unknown' }, ALL, 'MAIL FROM:<tim@bar.com> BODY=8BITMIME', 'it may be'],
  [{ eightBit: 'some' }, NOTHING, 'MAIL FROM:<tim@bar.com>', 'not offered'],
  [{ eightBit: 'some', binary: true }, ALL, 'MAIL FROM:<tim@bar.com> BODY=BINARYMIME', 'RFC 3030 §3'],
  [{ smtputf8: true, reversePath: mailbox('ü@bar.com') }, ALL, 'MAIL FROM:<\xc3\xbc@bar.com> SMTPUTF8', 'RFC 6531 §3.4, as UTF-8'],
  [{ ret: 'HDRS', envid: 'a+b=c ü' }, ALL, 'MAIL FROM:<tim@bar.com> RET=HDRS ENVID=a+2Bb+3Dc+20+C3+BC', 'RFC 3461 §4.3, §4.4'],
  [{ ret: 'FULL', envid: 'x' }, NOTHING, 'MAIL FROM:<tim@bar.com>', 'dropped'],
  [{ requireTls: true }, ALL, 'MAIL FROM:<tim@bar.com> REQUIRETLS', 'RFC 8689 §2'],
  [{ priority: -3 }, ALL, 'MAIL FROM:<tim@bar.com> MT-PRIORITY=-3', 'RFC 6710 §4'],
  [{ deliverBy: { seconds: 120, mode: 'R' } }, ALL, 'MAIL FROM:<tim@bar.com> BY=120;R', 'RFC 2852 §4'],
  [{ deliverBy: { seconds: -9, mode: 'N', trace: true } }, ALL, 'MAIL FROM:<tim@bar.com> BY=-9;NT', 'with trace'],
  [{ hold: { for: 60 } }, ALL, 'MAIL FROM:<tim@bar.com> HOLDFOR=60', 'RFC 4865 §5'],
  [{ hold: { until: '2030-01-01T00:00:00Z' } }, ALL, 'MAIL FROM:<tim@bar.com> HOLDUNTIL=2030-01-01T00:00:00Z', 'until a date'],
  [{ solicit: ['a.b:ADV', 'c.d:X'] }, ALL, 'MAIL FROM:<tim@bar.com> SOLICIT=a.b:ADV,c.d:X', 'RFC 3865 §4'],
  [{ submitter: mailbox('"a b"@c') }, ALL, 'MAIL FROM:<tim@bar.com> AUTH="a+20b"@c', 'RFC 4954 §5'],
  [{ submitter: null }, ALL, 'MAIL FROM:<tim@bar.com> AUTH=<>', 'nobody known'],
  [{ reversePath: mailbox('"a b"@bar.com') }, ALL, 'MAIL FROM:<"a b"@bar.com>', 'a blank within quotes'],
  [{ hold: { until: 'x\r\nRCPT TO:<evil@x>' } }, ALL, '! a command parameter holds a control character', 'CRLF'],
  [{ hold: { until: 'now SIZE=1' } }, ALL, '! a command parameter holds a blank', 'a blank starts another parameter'],
  [{ hold: { until: 'x\u00a0y' } }, ALL, '! a command parameter holds a blank', 'and so may any other'],
  [{ solicit: ['a\0'] }, ALL, '! a command parameter holds a control character', 'NUL'],
  [{ reversePath: uncheckedMailbox('a\n', 'b') }, ALL, '! a command parameter holds a control character', 'a path that nobody parsed'],
];
for (const [changes, extensions, expected, why] of MAILS)
  test(`MAIL ${JSON.stringify(changes)}: ${why}`, () => assert.strictEqual(shown(mailCommand(about(changes), extensions)), expected));

const RCPTS: readonly (readonly [Recipient, Extensions, string, string, smtputf8?: boolean])[] = [
  [to('a@foo.com'), ALL, 'RCPT TO:<a@foo.com>', 'plain'],
  [to('a'), ALL, '! the recipient <a> has no domain', 'not qualified'],
  [to('a@foo.com', { notify: ['SUCCESS', 'DELAY'] }), ALL, 'RCPT TO:<a@foo.com> NOTIFY=SUCCESS,DELAY', 'RFC 3461 §4.1'],
  [to('a@foo.com', { notify: ['NEVER'] }), NOTHING, 'RCPT TO:<a@foo.com>', 'not offered'],
  [to('a@foo.com', { original: mailbox('a@FOO.com') }), ALL, 'RCPT TO:<a@foo.com>', 'the same address says nothing'],
  [to('a@foo.com', { original: mailbox('b+c@foo.com') }), ALL, 'RCPT TO:<a@foo.com> ORCPT=rfc822;b+2Bc@foo.com', 'RFC 3461 §4.2'],
  [to('a@foo.com', { original: mailbox('b@foo.com') }), NOTHING, 'RCPT TO:<a@foo.com>', 'not offered'],
  [
    to('a@foo.com', { original: mailbox('"ü \\\\"@foo.com') }),
    ALL,
    'RCPT TO:<a@foo.com> ORCPT=utf-8;"\xc3\xbc\\x{20}\\x{5C}\\x{5C}"@foo.com',
    'RFC 6533 §3',
    true,
  ],
  [
    to('a@foo.com', { original: mailbox('"ü \\\\"@foo.com') }),
    ALL,
    'RCPT TO:<a@foo.com> ORCPT=utf-8;"\\x{FC}\\x{20}\\x{5C}\\x{5C}"@foo.com',
    'MAIL has no SMTPUTF8, so the envelope is ASCII. RFC 6531 §3.4',
  ],
  [to('a@foo.com', { original: 'RFC822;A@foo.com' }), ALL, 'RCPT TO:<a@foo.com> ORCPT=RFC822;A@foo.com', 'as it came. RFC 3461 §5.2.1'],
  [to('a@foo.com', { original: 'utf-8;ü\\x{20}@b' }), ALL, 'RCPT TO:<a@foo.com> ORCPT=utf-8;\xc3\xbc\\x{20}@b', 'and in UTF-8', true],
  [to('a@foo.com', { original: 'utf-8;ü\\x{20}@b' }), ALL, 'RCPT TO:<a@foo.com> ORCPT=utf-8;\\x{FC}\\x{20}@b', 'but where that may not be'],
  [to('a@foo.com', { original: 'rfc822;a b' }), ALL, 'RCPT TO:<a@foo.com> ORCPT=rfc822;a\\x{20}b', 'nothing breaks out of it'],
  [to('a@foo.com', { original: 'rfc822;a b' }), ALL, '! a command parameter holds a blank', 'nor here', true],
  [to('a@foo.com', { original: 'rfc822;a\r\nDATA' }), ALL, 'RCPT TO:<a@foo.com> ORCPT=rfc822;a\\x{D}\\x{A}DATA', 'nor a line end'],
  [
    to('a@foo.com', { original: mailbox('ü=+@foo.com') }),
    offering('DSN'),
    'RCPT TO:<a@foo.com> ORCPT=utf-8;\\x{FC}\\x{3D}\\x{2B}@foo.com',
    'in ASCII',
  ],
];
for (const [recipient, extensions, expected, why, smtputf8 = false] of RCPTS)
  test(`RCPT ${JSON.stringify(recipient)}: ${why}`, () =>
    assert.strictEqual(shown(rcptCommand(recipient, extensions, smtputf8)), expected));

const HELLOS: readonly (readonly [string, string, string])[] = [
  ['mail.example.org', 'EHLO mail.example.org', 'a domain'],
  ['[192.0.2.1]', 'EHLO [192.0.2.1]', 'a literal. RFC 5321 §4.1.3'],
  ['[IPv6:2001:db8::1]', 'EHLO [IPv6:2001:db8::1]', 'an IPv6 literal'],
  ['host_name', 'EHLO host_name', 'what machines are called'],
  ['', '! "" cannot be said in EHLO: it is neither a domain nor an address literal', 'nothing'],
  ['a b', '! "a b" cannot be said in EHLO: it is neither a domain nor an address literal', 'a blank'],
  ['a\r\nMAIL', '! "a\r\nMAIL" cannot be said in EHLO: it is neither a domain nor an address literal', 'CRLF'],
  ['bücher.example', '! "bücher.example" cannot be said in EHLO: it is neither a domain nor an address literal', 'not ASCII'],
  ['[999.1.1.1]', '! "[999.1.1.1]" cannot be said in EHLO: it is neither a domain nor an address literal', 'no address'],
];
for (const [name, expected, why] of HELLOS)
  test(`EHLO ${name}: ${why}`, () => assert.strictEqual(shown(helloCommand('EHLO', name)), expected));

const two = [to('a@foo.com'), to('b@bar.com')];
const NEEDS: readonly (readonly [Partial<Transaction>, Extensions, string | null, string])[] = [
  [{}, NOTHING, null, 'a plain message needs nothing'],
  [{ size: 100 }, offering('SIZE 100'), null, 'just fits'],
  [{ size: 101 }, offering('SIZE 100'), 'the message has 101 octets and the server takes at most 100', 'too large'],
  [{ size: 101 }, offering('SIZE 0'), null, 'no limit'],
  [{ estimate: 1000 }, offering('SIZE 100'), null, 'an estimate never condemns'],
  [{ recipients: two }, offering('LIMITS RCPTMAX=2'), null, 'enough'],
  [{ recipients: two }, offering('LIMITS RCPTMAX=1'), 'the message has 2 recipients and the server takes at most 1 in a transaction', 'P4'],
  [
    { recipients: two },
    offering('LIMITS RCPTDOMAINMAX=1'),
    'the recipients have 2 domains and the server takes at most 1 in a transaction',
    'P4',
  ],
  [{ recipients: [to('a@foo.com'), to('b@FOO.com')] }, offering('LIMITS RCPTDOMAINMAX=1'), null, 'one domain'],
  [{ smtputf8: true }, NOTHING, 'the server does not offer SMTPUTF8 (an address is not ASCII)', 'RFC 6531'],
  [
    { smtputf8: true, smtputf8For: 'the Cc field has ü@foo.com' },
    NOTHING,
    'the server does not offer SMTPUTF8 (the Cc field has ü@foo.com)',
    'M5: which one',
  ],
  [{ recipients: [to('ü@foo.com')] }, ALL, 'the address <ü@foo.com> needs SMTPUTF8', 'nobody asked for it: never sent as it is'],
  [{ reversePath: mailbox('a@ü.example') }, ALL, 'the address <a@ü.example> needs SMTPUTF8', 'a U-label'],
  [{ reversePath: null }, ALL, null, 'null is ASCII'],
  [{ smtputf8: true, recipients: [to('ü@foo.com')] }, ALL, null, 'asked for and offered'],
  [
    { eightBit: 'some', withoutEightBit: 'refuse' },
    NOTHING,
    'the server does not offer 8BITMIME (the content is 8-bit, and is not to be converted)',
    'refused',
  ],
  [{ eightBit: 'unknown', withoutEightBit: 'refuse' }, NOTHING, null, 'not known to be 8-bit'],
  [{ eightBit: 'some' }, NOTHING, null, 'will be converted'],
  [{ binary: true }, offering('CHUNKING'), 'the server does not offer BINARYMIME (the content is binary)', 'RFC 3030'],
  [{ binary: true }, offering('BINARYMIME'), 'the server does not offer CHUNKING (the content is binary)', 'both'],
  [{ ret: 'FULL', dsn: 'require' }, NOTHING, 'the server does not offer DSN (delivery status notifications are required)', 'required'],
  [{ dsn: 'require' }, NOTHING, null, 'required and not asked for'],
  [
    { recipients: [to('a@foo.com', { notify: ['NEVER'] })], dsn: 'require' },
    NOTHING,
    'the server does not offer DSN (delivery status notifications are required)',
    'by a recipient',
  ],
  [{ requireTls: true }, NOTHING, 'the server does not offer REQUIRETLS (or not as it was asked for)', 'RFC 8689'],
  [{ priority: 0 }, NOTHING, 'the server does not offer MT-PRIORITY (or not as it was asked for)', 'RFC 6710'],
  [{ deliverBy: { seconds: 1, mode: 'N' } }, NOTHING, 'the server does not offer DELIVERBY (or not as it was asked for)', 'RFC 2852'],
  [{ hold: { for: 0 } }, NOTHING, 'the server does not offer FUTURERELEASE (or not as it was asked for)', 'RFC 4865'],
  ...(
    [
      [{ hold: { for: 60 } }, 'FUTURERELEASE 60 2030-01-01T00:00:00Z', true, 'as long as it may be'],
      [{ hold: { for: 61 } }, 'FUTURERELEASE 60 2030-01-01T00:00:00Z', false, 'RFC 4865 §4.1'],
      [{ hold: { until: '2030-01-01T01:00:00+01:00' } }, 'FUTURERELEASE 60 2030-01-01T00:00:00Z', true, 'the last second'],
      [{ hold: { until: '2030-01-01T00:00:01Z' } }, 'FUTURERELEASE 60 2030-01-01T00:00:00Z', false, 'RFC 4865 §4.1'],
      [{ hold: { for: 61 } }, 'FUTURERELEASE', true, 'no limit is told'],
      [{ hold: { until: '2030-01-01T00:00:01Z' } }, 'FUTURERELEASE x y', true, 'limits that cannot be read'],
      [{ deliverBy: { seconds: 60, mode: 'R' } }, 'DELIVERBY 60', true, 'as soon as it may be'],
      [{ deliverBy: { seconds: 59, mode: 'R' } }, 'DELIVERBY 60', false, 'RFC 2852 §3'],
      [{ deliverBy: { seconds: 59, mode: 'N' } }, 'DELIVERBY 60', true, 'the limit is one of mode R'],
      [{ deliverBy: { seconds: 1, mode: 'R' } }, 'DELIVERBY', true, 'no limit is told'],
    ] as const
  ).map(
    ([changes, line, isMet, why]) =>
      [
        changes,
        offering(line),
        isMet ? null : `the server does not offer ${line.replace(/ .*/, '')} (or not as it was asked for)`,
        `${line}: ${why}`,
      ] as const,
  ),
  [{ solicit: [] }, NOTHING, 'the server does not offer NO-SOLICITING (or not as it was asked for)', 'RFC 3865'],
  [{ submitter: null }, NOTHING, 'the server does not offer AUTH (or not as it was asked for)', 'RFC 4954'],
];
for (const [changes, extensions, expected, why] of NEEDS)
  test(`needs ${JSON.stringify(changes)}: ${why}`, () =>
    assert.strictEqual(unmetNeed(about(changes), { secured: true, extensions })?.detail ?? null, expected));

const LACKS: readonly (readonly [Partial<Transaction>, Extensions, Lack])[] = [
  [{ size: 101 }, offering('SIZE 100'), 'size'],
  [{ recipients: two }, offering('LIMITS RCPTMAX=1'), 'recipients'],
  [{ recipients: two }, offering('LIMITS RCPTDOMAINMAX=1'), 'domains'],
  [{ smtputf8: true }, NOTHING, 'smtputf8'],
  [{ recipients: [to('ü@foo.com')] }, ALL, 'smtputf8'],
  [{ binary: true }, offering('CHUNKING'), 'binarymime'],
  [{ binary: true }, offering('BINARYMIME'), 'chunking'],
  [{ eightBit: 'some', withoutEightBit: 'refuse' }, NOTHING, '8bitmime'],
  [{ ret: 'FULL', dsn: 'require' }, NOTHING, 'dsn'],
  [{ requireTls: true }, NOTHING, 'requiretls'],
  [{ priority: 0 }, NOTHING, 'mt-priority'],
  [{ deliverBy: { seconds: 1, mode: 'N' } }, NOTHING, 'deliverby'],
  [{ hold: { for: 0 } }, NOTHING, 'futurerelease'],
  [{ solicit: [] }, NOTHING, 'no-soliciting'],
  [{ submitter: null }, NOTHING, 'auth'],
];
for (const [changes, extensions, lacks] of LACKS)
  test(`${JSON.stringify(changes)}: what is missing is a field, ${lacks}`, () =>
    assert.strictEqual(unmetNeed(about(changes), { secured: true, extensions })?.lacks, lacks));

test('REQUIRETLS goes over TLS only, whatever a server offers in clear', () => {
  for (const extensions of [NOTHING, ALL])
    assert.deepStrictEqual(unmetNeed(about({ requireTls: true }), { secured: false, extensions }), {
      lacks: 'encryption',
      detail: 'REQUIRETLS was asked for, and the session is in clear',
    });
  assert.strictEqual(unmetNeed(about({ requireTls: false }), { secured: false, extensions: NOTHING }), null);
});

test('it is known whether DSN parameters are left out', () => {
  assert.deepStrictEqual(
    [dropsDsn(about({ envid: 'x' }), NOTHING), dropsDsn(about({ envid: 'x' }), ALL), dropsDsn(about(), NOTHING)],
    [true, false, false],
  );
});

test('xtext is printable ASCII without a blank, and reads back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const coded = xtext(text);
      assert.match(coded, /^[!-~]*$/);
      const octets = coded.replace(/\+([0-9A-F]{2})/g, (_, pair: string) => String.fromCharCode(Number.parseInt(pair, 16)));
      assert.strictEqual(Buffer.from(octets, 'latin1').toString('utf8'), text);
      assert.doesNotMatch(coded.replace(/\+[0-9A-F]{2}/g, ''), /[+=]/);
    }),
  );
});

test('no field of a transaction can put a second line or parameter into a command', () => {
  const evil = fc.oneof(
    fc.constantFrom('\r\n', '\n', ' SIZE=1', '\0', '\t', '\u2028', '\u0085', 'x', '>'),
    fc.string({ unit: 'binary', maxLength: 3 }),
  );
  const text = fc.array(evil, { maxLength: 4 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, text, text, (a, b, c) => {
      const command = mailCommand(about({ envid: a, hold: { until: b }, solicit: [c] }), ALL);
      if (!command.ok) return;
      assert.doesNotMatch(command.value, /[\r\n\0]/);
      assert.deepStrictEqual(
        command.value.split(' ').map((word) => word.split(/[:=]/)[0]),
        ['MAIL', 'FROM', 'ENVID', 'HOLDUNTIL', 'SOLICIT'],
      );
    }),
  );
});

test.run();
