import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { unquote } from '../../src/message/address-tokens.ts';
import { type CompletedHead, type CompletionFacts, complete, lacksFrom } from '../../src/message/complete.ts';
import { printDate } from '../../src/message/date.ts';
import { type Field, printHead } from '../../src/message/fields.ts';
import { readHead } from '../../src/message/head.ts';
import { parseAddressList } from '../../src/message/mailboxes.ts';
import { sourceOf } from '../../src/message/source.ts';
import type { Parsed } from '../../src/smtp/parsed.ts';
import { latin1, octets, utf8 } from '../../src/smtp/text.ts';
import { FACTS } from '../support/completion.ts';
import { decodeEncoded, encodedFaults } from '../support/encoded.ts';
import { mailbox, uncheckedMailbox } from '../support/mailbox.ts';

const test = suite('message/complete');

const DATE = 'Date: Sun, 22 Nov 2026 16:26:56 +0130';
const ID = 'Message-ID: <1700000000.123.abc@host.example.org>';
/** A head that lacks nothing. */
const WHOLE = ['From: a@b', 'Date: x', 'Message-ID: <y@z>'];

const fieldsOf = (raws: readonly string[]): Field[] => raws.map((raw) => ({ name: raw.slice(0, raw.indexOf(':')).trimEnd(), raw }));

async function finish(raws: readonly string[], over: Partial<CompletionFacts> = {}): Promise<CompletedHead> {
  const got: Parsed<CompletedHead> = await complete(fieldsOf(raws), { ...FACTS, ...over });
  assert.ok(got.ok, got.ok ? '' : got.detail);
  return got.value;
}
const completed = async (raws: readonly string[], over: Partial<CompletionFacts> = {}) =>
  (await finish(raws, over)).fields.map(({ raw }) => raw);
async function refusal(raws: readonly string[], over: Partial<CompletionFacts> = {}): Promise<string> {
  const got = await complete(fieldsOf(raws), { ...FACTS, ...over });
  assert.ok(!got.ok);
  return got.detail;
}

test('missing fields are added behind the fields that are there', async () => {
  const rows: [string[], string[], Partial<CompletionFacts>, string][] = [
    [[], [ID, 'From: Joe Doe <joe@example.org>', DATE], {}, 'an empty head'],
    [['Subject: x', 'To: a@b'], ['Subject: x', 'To: a@b', ID, 'From: Joe Doe <joe@example.org>', DATE], {}, 'all three'],
    [['DATE : x', 'from:a@b', 'Message-Id: <c@d>'], ['DATE : x', 'from:a@b', 'Message-Id: <c@d>'], {}, 'any case, any form'],
    [['From:', 'Date:', 'Message-ID:'], ['From:', 'Date:', 'Message-ID:'], {}, 'empty ones are there'],
    [['Return-Path: <a@b>', ...WHOLE, 'return-path : <c@d>'], WHOLE, {}, 'Return-Path goes'],
    [['Date: x', 'Message-ID: y'], ['Date: x', 'Message-ID: y', 'From: joe@example.org'], { fullName: '' }, 'no name'],
    [
      ['Date: x', 'Message-ID: y'],
      ['Date: x', 'Message-ID: y', 'From: Joe Doe <joe@q.example>'],
      { reversePath: null },
      'null reverse-path: the login',
    ],
    [
      ['Date: x', 'Message-ID: y'],
      ['Date: x', 'Message-ID: y', 'From: Joe Doe <f@g>'],
      { reversePath: null, from: mailbox('f@g') },
      'null reverse-path: from',
    ],
    [
      ['Date: x', 'Message-ID: y'],
      ['Date: x', 'Message-ID: y', 'From: "Doe, J. \\"x\\"" <joe@example.org>'],
      { fullName: 'Doe, J. "x"' },
      'a quoted name',
    ],
    [
      ['Date: x', 'Message-ID: y'],
      ['Date: x', 'Message-ID: y', 'From: =?UTF-8?B?SsO2cmc=?= <joe@example.org>'],
      { fullName: 'Jörg' },
      'an encoded name',
    ],
    [
      ['Date: x', 'Message-ID: y'],
      ['Date: x', 'Message-ID: y', 'From: Joe <"EVIL\\\\joe doe"@q.example>'],
      { reversePath: null, login: 'EVIL\\joe doe', fullName: 'Joe' },
      'a login that must be quoted',
    ],
    [
      ['Date: x', 'From: a@b'],
      ['Date: x', 'From: a@b', 'Message-ID: <1700000000.123.abc@example.org>'],
      { hostname: 'short' },
      'Message-ID of a host without a dot: the domain of the reverse-path',
    ],
    [
      ['Date: x', 'From: a@b'],
      ['Date: x', 'From: a@b', 'Message-ID: <1700000000.123.abc@q.example>'],
      { hostname: 'short', reversePath: null },
      'or qualify_domain',
    ],
    [
      ['Date: x', 'From: a@b'],
      ['Date: x', 'From: a@b', 'Message-ID: <1700000000.123.abc@short>'],
      { hostname: 'short', reversePath: null, qualifyDomain: '' },
      'or the host',
    ],
    [
      ['Date: x', 'From: a@b'],
      ['Date: x', 'From: a@b', 'Message-ID: <1700000000.123.abc@nospool.invalid>'],
      { hostname: 'a\r\nb', reversePath: mailbox('a@[192.0.2.1]'), qualifyDomain: '' },
      'or none of them',
    ],
    [
      ['Date: x', 'From: a@b'],
      ['Date: x', 'From: a@b', 'Message-ID: <1700000000.123.abc@nospool.invalid>'],
      { hostname: '', reversePath: null, qualifyDomain: '' },
      'or there is none',
    ],
    [
      ['Date: x', 'From: a@b'],
      ['Date: x', 'From: a@b', 'Message-ID: <1700000000.123.abc@nospool.invalid>'],
      { hostname: 'höst.example', reversePath: null, qualifyDomain: '', toAscii: () => null },
      'or one that has no A-labels',
    ],
    [
      ['Date: x', 'From: a@b'],
      ['Date: x', 'From: a@b', 'Message-ID: <1700000000.123.abc@xn--hst-sna.example>'],
      { hostname: 'höst.example' },
      'in A-labels',
    ],
  ];
  for (const [input, expected, over, why] of rows) assert.deepEqual(await completed(input, over), expected, why);
});

test('a resent message gets resent fields at the head of its newest block', async () => {
  const resent = ['Resent-Message-ID: <1700000000.123.abc@host.example.org>', 'Resent-From: Joe Doe <joe@example.org>', `Resent-${DATE}`];
  const rows: [string[], string[], string][] = [
    [['Subject: x', 'Resent-To: a@b'], ['Subject: x', ...resent, 'Resent-To: a@b'], 'all three, and no plain ones'],
    [
      ['Resent-From: c@d', 'Resent-To: a@b', ...WHOLE],
      [resent[0] as string, resent[2] as string, 'Resent-From: c@d', 'Resent-To: a@b', ...WHOLE],
      'what is missing',
    ],
    [
      ['Resent-To: a@b', 'Resent-From: c@d', 'Resent-To: e@f', 'Resent-Date: old', 'Resent-Message-ID: <old@old>'],
      [
        resent[0] as string,
        resent[2] as string,
        'Resent-To: a@b',
        'Resent-From: c@d',
        'Resent-To: e@f',
        'Resent-Date: old',
        'Resent-Message-ID: <old@old>',
      ],
      'an older block does not count',
    ],
    [
      ['Resent-To: a@b', 'Received: x', 'Resent-From: c@d', 'Resent-Date: old', 'Resent-Message-ID: <old@old>'],
      [...resent, 'Resent-To: a@b', 'Received: x', 'Resent-From: c@d', 'Resent-Date: old', 'Resent-Message-ID: <old@old>'],
      'nor does it where the newest is one field',
    ],
    [
      ['Resent-To: a@b', 'Resent-From: c@d', 'resent-date: x', 'resent-message-id: y'],
      ['Resent-To: a@b', 'Resent-From: c@d', 'resent-date: x', 'resent-message-id: y'],
      'complete',
    ],
  ];
  for (const [input, expected, why] of rows) assert.deepEqual(await completed(input), expected, why);
});

test('a caller looks up the full name only when From is missing', () => {
  const rows: [string[], boolean][] = [
    [[], true],
    [['FROM : a'], false],
    [['Sender: a'], true],
    [['From: a', 'Resent-To: b'], true],
    [['Resent-From: a'], false],
    [['Resent-To: a', 'Received: x', 'Resent-From: b'], true],
  ];
  for (const [raws, expected] of rows) assert.equal(lacksFrom(fieldsOf(raws)), expected, raws.join());
});

test('the Message-ID is returned, whoever made it', async () => {
  assert.equal((await finish(WHOLE)).messageId, '<y@z>');
  assert.equal((await finish([])).messageId, '<1700000000.123.abc@host.example.org>');
  assert.equal((await finish(['Message-Id:\n\t<a@b> '])).messageId, '<a@b>');
  assert.equal((await finish(['Resent-To: a@b'])).messageId, '<1700000000.123.abc@host.example.org>');
});

test('bare addresses are qualified in place', async () => {
  const rows: [string, string, string][] = [
    ['From: root (Cron Daemon)', 'From: root@q.example (Cron Daemon)', 'cron'],
    ['SENDER: "x y"  <root >', 'SENDER: "x y"  <root@q.example >', 'all else stays'],
    ['Reply-To: a@b,\n\tc,\n\td', 'Reply-To: a@b,\n\tc@q.example,\n\td@q.example', 'several'],
    [
      'To: "a, b" <joe>, (c) d, E: f;',
      'To: "a, b" <joe@r.example>, (c) d@r.example, E: f@r.example;',
      'recipients have a domain of their own',
    ],
    ['Cc: "a b"', 'Cc: "a b"@r.example', 'a quoted local-part'],
    ['Resent-To: root', 'Resent-To: root@r.example', 'resent recipients'],
    ['Resent-Sender: root', 'Resent-Sender: root@q.example', 'resent senders'],
    ['Bcc: root', 'Bcc: root@r.example', 'a field that is kept'],
    ['Resent-Bcc: root', 'Resent-Bcc: root@r.example', 'and one of a resent message'],
    ['Resent-Cc: root', 'Resent-Cc: root@r.example', 'resent copies'],
    ['Resent-Reply-To: root', 'Resent-Reply-To: root@q.example', 'an obsolete field'],
    ['Resent-From: root', 'Resent-From: root@q.example', 'who resends'],
    ['X-To: root', 'X-To: root', 'another field'],
    ['Subject: root', 'Subject: root', 'another field'],
    ['Errors-To: root', 'Errors-To: root', 'not a field of RFC 5322'],
    ['To: undisclosed recipients', 'To: undisclosed recipients', 'what is no address list stays'],
    ['To: ', 'To: ', 'empty'],
  ];
  const rest = ['From: a@b', 'Date: x', 'Message-ID: <y@z>', 'Resent-From: a@b', 'Resent-Date: x', 'Resent-Message-ID: <y@z>'];
  for (const [input, expected, why] of rows)
    assert.equal(
      (await completed([input, ...rest.filter((raw) => !raw.startsWith(input.slice(0, input.indexOf(':'))))])).find((raw) =>
        raw.startsWith(input.slice(0, input.indexOf(':') + 1)),
      ),
      expected,
      why,
    );
  assert.deepEqual(await completed(['To: root', ...WHOLE], { qualifyRecipient: 'bücher.example' }), [
    'To: root@xn--bcher-kva.example',
    ...WHOLE,
  ]);
});

test('a bare address without a domain fails and names the key', async () => {
  const rows: [string[], Partial<CompletionFacts>, string][] = [
    [
      ['To: a@b, root', ...WHOLE],
      { qualifyRecipient: '' },
      'the To field has the bare address "root", and no domain is known for it: set qualify_recipient',
    ],
    [
      ['Sender: root', ...WHOLE],
      { qualifyDomain: '' },
      'the Sender field has the bare address "root", and no domain is known for it: set qualify_domain',
    ],
    [
      ['Date: x'],
      { qualifyDomain: '', reversePath: null },
      'the From field has the bare address "joe", and no domain is known for it: set qualify_domain',
    ],
    [
      ['Resent-To: a@b', ...WHOLE],
      { qualifyDomain: '', reversePath: null },
      'the Resent-From field has the bare address "joe", and no domain is known for it: set qualify_domain',
    ],
    [
      // Elsewhere such a word is taken for a part of a name.
      ['Date: x'],
      { qualifyDomain: '', reversePath: null, login: 'jörg', fullName: '' },
      'the From field has the bare address "jörg", and no domain is known for it: set qualify_domain',
    ],
    [
      [`To: ${'r'.repeat(300)}`, ...WHOLE],
      { qualifyRecipient: '' },
      `the To field has the bare address "${'r'.repeat(200)}…", and no domain is known for it: set qualify_recipient`,
    ],
  ];
  for (const [input, over, expected] of rows) assert.equal(await refusal(input, over), expected);
  assert.deepEqual(await completed(['To: a@b', ...WHOLE], { qualifyDomain: '', qualifyRecipient: '' }), ['To: a@b', ...WHOLE]);
});

test('force_from changes the address and nothing else', async () => {
  const over = { forceFrom: true, from: mailbox('only@me.example') };
  const rows: [string[], string[], string][] = [
    [['From: "A, B"\n <a@b> (c)'], ['From: "A, B"\n <only@me.example> (c)'], 'name, comment and folding stay'],
    [['From: root (Cron Daemon)'], ['From: only@me.example (Cron Daemon)'], 'cron'],
    [['from: a@b, c@d'], ['from: Joe Doe <only@me.example>'], 'two addresses'],
    [['From: no address'], ['From: Joe Doe <only@me.example>'], 'none that can be understood'],
    [['From:'], ['From: Joe Doe <only@me.example>'], 'an empty field'],
    [['Sender: a@b', 'From: a@b'], ['Sender: a@b', 'From: only@me.example'], 'Sender is not From'],
  ];
  for (const [input, expected, why] of rows)
    assert.deepEqual((await completed([...input, 'Date: x', 'Message-ID: y'], over)).slice(0, input.length), expected, why);
  assert.deepEqual((await completed(['Date: x', 'Message-ID: y'], over)).at(-1), 'From: Joe Doe <only@me.example>');
  assert.deepEqual(
    await completed(['Resent-From: a@b', 'Resent-Date: x', 'Resent-Message-ID: y', 'From: c@d', 'Received: z', 'Resent-From: e@f'], over),
    ['Resent-From: only@me.example', 'Resent-Date: x', 'Resent-Message-ID: y', 'From: only@me.example', 'Received: z', 'Resent-From: e@f'],
  );
  assert.deepEqual(await completed(WHOLE, { ...over, from: null }), WHOLE, 'no from, no force');
});

test('more than 30 Received fields are a loop', async () => {
  const hops = (n: number) => Array.from({ length: n }, () => 'received: x');
  assert.deepEqual(await completed([...hops(30), ...WHOLE]), [...hops(30), ...WHOLE]);
  assert.match(await refusal([...hops(31), ...WHOLE]), /^the message has 31 Received fields, which suggests a mail loop \(at most 30\)$/);
});

test('a Received field is added if the configuration wants it', async () => {
  const received = { id: '1abc-2', version: '1.0.0', recipients: [uncheckedMailbox('a b', 'x')] };
  const one = (await completed(WHOLE, { received: { ...received, recipients: [mailbox('"a b"@x')] } }))[0];
  assert.equal(
    one,
    'Received: from joe by host.example.org with local (nospool 1.0.0)\n\t(envelope-from <joe@example.org>)\n\tid 1abc-2\n\tfor <"a b"@x>;\n\tSun, 22 Nov 2026 16:26:56 +0130',
  );
  const two = (
    await completed(WHOLE, { received: { ...received, recipients: [...received.recipients, ...received.recipients] }, reversePath: null })
  )[0];
  assert.equal(two, 'Received: from joe by host.example.org with local (nospool 1.0.0)\n\tid 1abc-2;\n\tSun, 22 Nov 2026 16:26:56 +0130');
  const odd = (await completed(WHOLE, { received: { ...received, recipients: [] }, login: 'a\r\nBcc: (x', hostname: '' }))[0];
  assert.match(odd as string, /^Received: from a__Bcc:__x by unknown with local/);
  assert.match((await completed(['Resent-To: a@b'], { received }))[0] as string, /^Received: /);
});

test('8-bit text without MIME fields is labelled', async () => {
  const label = (charset: string) => [
    'MIME-Version: 1.0',
    `Content-Type: text/plain; charset=${charset}`,
    'Content-Transfer-Encoding: 8bit',
  ];
  const rows: [string[], string | null, string[], string][] = [
    [[], 'UTF-8', label('UTF-8'), 'UTF-8'],
    [[], 'KOI8-R', label('KOI8-R'), 'KOI8-R'],
    [[], null, label('unknown-8bit'), 'not found out'],
    [[], 'x"\r\nBcc: y', label('unknown-8bit'), 'no name of a charset'],
    [['Content-Length: 5'], 'UTF-8', ['Content-Length: 5', ...label('UTF-8')], "mbox's field is no MIME field"],
    [['mime-version : 1.0'], 'UTF-8', ['mime-version : 1.0'], 'any MIME field is enough'],
    [['Content-Type: text/plain'], 'UTF-8', ['Content-Type: text/plain'], 'any MIME field is enough'],
    [['Content-Transfer-Encoding: 8bit'], 'UTF-8', ['Content-Transfer-Encoding: 8bit'], 'any MIME field is enough'],
  ];
  for (const [input, charset, expected, why] of rows)
    assert.deepEqual((await completed([...WHOLE, ...input], { body: { eightBit: true, charset } })).slice(3), expected, why);
  assert.deepEqual(await completed(WHOLE, { body: { eightBit: false, charset: 'UTF-8' } }), WHOLE);
});

test('raw 8-bit text is encoded where RFC 2047 allows that', async () => {
  const rows: [string, string, string][] = [
    ['Subject: für Jörg, bald', 'Subject: =?UTF-8?B?ZsO8ciBKw7ZyZyw=?= bald', 'unstructured'],
    ['To: Jörg <a@b>', 'To: =?UTF-8?B?SsO2cmc=?= <a@b>', 'a phrase'],
    ['To: Jörg<a@b>', 'To: =?UTF-8?B?SsO2cmc=?= <a@b>', 'without a blank'],
    ['To: "Döe, J." <a@b>, "x, y" <c@d>', 'To: =?UTF-8?B?RMO2ZSwgSi4=?= <a@b>, "x, y" <c@d>', 'a quoted string'],
    ['Cc: "a \\"ö\\"" b <a@b>', 'Cc: =?UTF-8?B?YSAiw7Yi?= b <a@b>', 'quoted pairs'],
    ['From: a@b (Jörg)', 'From: a@b (=?UTF-8?B?SsO2cmc=?=)', 'a comment'],
    [
      'To: Bücher: root, Ä <c@d>;',
      'To: =?UTF-8?Q?B=C3=BCcher?= : root@r.example, =?UTF-8?B?w4Q=?= <c@d>;',
      'a group, qualified all the same',
    ],
    ['To: x (ä) y <a@b>', 'To: x (=?UTF-8?B?w6Q=?=) y <a@b>', 'a comment in a phrase'],
    ['To: "=?utf-8?Q?x?=" ö <a@b>', 'To: "=?utf-8?Q?x?=" =?UTF-8?B?w7Y=?= <a@b>', 'a quoted string is no encoded word'],
    ['Return-Receipt-To: Ö <a@b>', 'Return-Receipt-To: =?UTF-8?B?w5Y=?= <a@b>', "another program's address field"],
    ['Content-Description: schön', 'Content-Description: =?UTF-8?B?c2Now7Zu?=', 'a description is unstructured text'],
    ['Content-Disposition: x; filename="ö"', 'Content-Disposition: x; filename="ö"', 'no encoded word in a parameter'],
    ['References: <ö@x>', 'References: <ö@x>', 'nor in an identifier'],
    ['DKIM-Signature: d=ö', 'DKIM-Signature: d=ö', 'nor where it breaks a signature'],
    ['To: <Jörg>', 'To: <Jörg@r.example>', 'an addr-spec is never encoded'],
  ];
  for (const [input, expected, why] of rows) {
    const raws = await completed([utf8(input), 'From: a@b', 'Date: x', 'Message-ID: <y@z>']);
    assert.equal(raws[0], utf8(expected), why);
    assert.deepEqual(
      (await completed([utf8(input), 'From: a@b', 'Date: x', 'Message-ID: <y@z>'], { header8bit: 'send', qualifyRecipient: 'r.example' }))
        .length,
      4,
    );
  }
  assert.equal((await completed([utf8('Subject: ö'), ...WHOLE], { header8bit: 'send' }))[0], utf8('Subject: ö'));
  assert.equal((await completed([utf8('To: Ö <root>'), ...WHOLE], { header8bit: 'send' }))[0], utf8('To: Ö <root@r.example>'));
});

test('M5: a name where an address should be, and what is no address list, is encoded all the same', async () => {
  const rows: [string, string, string][] = [
    ['Sender: Jörg', 'Sender: =?UTF-8?B?SsO2cmc=?=', 'a word without an "@" is a name'],
    ['Sender: "Jörg Ö", b@x', 'Sender: =?UTF-8?B?SsO2cmcgw5Y=?= , b@x', 'in quotes, too'],
    ['Reply-To: Ö, root, Ü', 'Reply-To: =?UTF-8?B?w5Y=?= , root@q.example, =?UTF-8?B?w5w=?=', 'a word in ASCII is qualified'],
    ['To: a@b (Jörg', 'To: a@b (=?UTF-8?B?SsO2cmc=?=', 'a comment that is not closed'],
    ['To: Jörg <a@b', 'To: =?UTF-8?B?SsO2cmc=?= <a@b', 'a bracket that is not closed'],
    ['To: Jörg Müller', 'To: =?UTF-8?B?SsO2cmcgTcO8bGxlcg==?=', 'words without brackets'],
    ['To: "Jörg <a@b>', 'To: =?UTF-8?B?IkrDtnJn?= <a@b>', 'a quote that is not closed'],
    ['To: x ö@b y ü', 'To: x ö@b y =?UTF-8?B?w7w=?=', 'what may be an address is never encoded'],
    [
      'To: a@b (Jörg), "Ö, Ü" <c@d>,(Ä), e f, Ö: g@h;',
      'To: a@b (=?UTF-8?B?SsO2cmc=?=), =?UTF-8?B?w5YsIMOc?=\n <c@d>,(=?UTF-8?B?w4Q=?=), e f, =?UTF-8?B?w5Y=?= : g@h;',
      'what stands between addresses, and around a comment and a name, stays',
    ],
    [
      'To: "Ö"@b, "Ü"<c@d>, =?utf-8?q?=C3=84?=:Ö; e f',
      'To: "Ö"@b, =?UTF-8?B?w5w=?= <c@d>, =?utf-8?q?=C3=84?=:\n =?UTF-8?B?w5Y=?= ; e f',
      'no blank',
    ],
    ['To: "ö" "Jörg, a b', 'To: =?UTF-8?B?w7YgIkrDtnJn?= , a b', 'a closed quote before one that is not'],
    ['Cc: \u00a0a@b', 'Cc:  a@b', 'a no-break space before an address'],
    ['Cc: Foo\u00a0Bar\u00a0<\u200ba@b\u202f>', 'Cc: =?UTF-8?Q?Foo=C2=A0Bar?= < a@b >', 'within a name it is part of it'],
    ['Cc: \u202aÖ <a@bücher.example>\u202c', 'Cc:  =?UTF-8?B?w5Y=?= <a@xn--bcher-kva.example> ', 'marks of direction'],
    ['Cc: Ö \\"Ä\\" <a@b>', 'Cc: =?UTF-8?B?w5YgIsOEIg==?= <a@b>', 'quotes that were quoted'],
  ];
  for (const [input, expected, why] of rows) {
    const got = await finish([utf8(input), ...WHOLE]);
    assert.equal(got.fields[0]?.raw, utf8(expected), why);
    assert.equal(got.needsSmtputf8, null, why);
  }
  assert.equal((await completed(['To: J\xf6rg <a@b', ...WHOLE]))[0], 'To: =?unknown-8bit?Q?J=F6rg?= <a@b');
  const sent = await finish([utf8('Sender: Jörg\u00a0, a@b'), ...WHOLE], { header8bit: 'send' });
  assert.deepEqual([sent.fields[0]?.raw, sent.needsSmtputf8], [utf8('Sender: Jörg@q.example\u00a0, a@b'), 'the Sender field has Jörg']);
});

test('text that is not UTF-8 is read in the default charset, or labelled as unknown', async () => {
  const koi8 = 'Subject: \xf0\xd2\xc9\xd7\xc5\xd4';
  assert.equal(decodeEncoded((await completed([koi8, ...WHOLE], { defaultCharset: 'KOI8-R' }))[0] as string), 'Subject: Привет');
  const sjis = 'To: \x83\x5c\x83\x7e <a@b>';
  assert.equal(decodeEncoded((await completed([sjis, ...WHOLE], { defaultCharset: 'Shift_JIS' }))[0] as string), 'To: ソミ <a@b>');
  assert.equal((await completed(['Subject: J\xf6', ...WHOLE]))[0], 'Subject: =?unknown-8bit?Q?J=F6?=');
  assert.equal(
    (await completed(['Subject: J\xf6', ...WHOLE], { defaultCharset: 'Shift_JIS' }))[0],
    'Subject: =?unknown-8bit?Q?J=F6?=',
    'not valid in it',
  );
  assert.equal((await completed(['To: J\xf6 <root>', ...WHOLE]))[0], 'To: =?unknown-8bit?Q?J=F6?= <root@r.example>');
  assert.equal((await completed(['To: J\xf6@x', ...WHOLE]))[0], 'To: J\xf6@x', 'an address of unknown octets');
});

test('addresses outside ASCII: domains go as A-labels, local-parts need SMTPUTF8', async () => {
  const rows: [string, string, string | null, string][] = [
    ['To: joe@bücher.example', 'To: joe@xn--bcher-kva.example', null, 'only the domain'],
    ['To: Ö <joe@bücher.example>', 'To: =?UTF-8?B?w5Y=?= <joe@xn--bcher-kva.example>', null, 'with a name'],
    ['To: jörg@bücher.example', 'To: jörg@bücher.example', 'the To field has jörg@bücher.example', 'the local-part'],
    ['To: <jörg>, ö@x', 'To: <jörg@r.example>, ö@x', 'the To field has jörg', 'bare, in brackets'],
    ['To: joe@bücher.example(x)', 'To: joe@xn--bcher-kva.example(x)', null, 'a comment behind'],
    ['X-To: jörg@x', 'X-To: =?UTF-8?B?asO2cmdAeA==?=', null, 'not an address field'],
  ];
  for (const [input, expected, needs, why] of rows) {
    const got = await finish([utf8(input), ...WHOLE]);
    assert.equal(got.fields[0]?.raw, utf8(expected), why);
    assert.equal(got.needsSmtputf8, needs, why);
  }
  assert.equal(
    (await finish([utf8('To: joe@bücher.example'), ...WHOLE], { toAscii: () => null })).needsSmtputf8,
    'the To field has joe@bücher.example',
  );
  const added = await finish(['Date: x', 'Message-ID: y'], { reversePath: mailbox('jörg@x'), fullName: '' });
  assert.deepEqual([added.fields.at(-1)?.raw, added.needsSmtputf8], [utf8('From: jörg@x'), 'the From field has jörg@x']);
  const domain = await finish(['Date: x', 'Message-ID: y'], { reversePath: mailbox('joe@bücher.example'), fullName: '' });
  assert.deepEqual([domain.fields.at(-1)?.raw, domain.needsSmtputf8], ['From: joe@xn--bcher-kva.example', null]);
});

test('dates are printed as RFC 5322 has them', () => {
  const rows: [string, number, string][] = [
    ['2026-11-22T14:56:56Z', 0, 'Sun, 22 Nov 2026 14:56:56 +0000'],
    ['2026-01-01T00:00:00Z', -210, 'Wed, 31 Dec 2025 20:30:00 -0330'],
    ['2028-02-28T23:59:59Z', 845, 'Tue, 29 Feb 2028 14:04:59 +1405'],
    ['2026-06-05T01:02:03Z', -30, 'Fri, 5 Jun 2026 00:32:03 -0030'],
  ];
  for (const [date, zone, expected] of rows) assert.equal(printDate(new Date(date), zone), expected);
  const words = (dates: readonly string[], at: number) => dates.map((date) => printDate(new Date(date), 0).split(' ')[at]).join(' ');
  const [days, months] = [7, 12].map((count) => Array.from({ length: count }, (_, i) => String(i + 1).padStart(2, '0'))) as [
    string[],
    string[],
  ];
  assert.equal(
    words(
      days.map((day) => `2026-11-${day}`),
      0,
    ),
    'Sun, Mon, Tue, Wed, Thu, Fri, Sat,',
  );
  assert.equal(
    words(
      months.map((month) => `2026-${month}-15`),
      2,
    ),
    'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec',
  );
});

test('a name and an address of more than sixty octets together are folded between', async () => {
  const fromOf = async (fullName: string, localPart: string) => {
    const { fields } = await finish(['Date: x', 'Message-ID: y'], { fullName, reversePath: mailbox(`${localPart}@x.example`) });
    return fields.at(-1)?.raw;
  };
  const address = 'a'.repeat(20);
  for (const [length, between] of [
    [30, ' '],
    [31, '\n '],
  ] as const) {
    const name = 'N'.repeat(length);
    assert.equal(await fromOf(name, address), `From: ${name}${between}<${address}@x.example>`);
  }
  // Of a name that is folded itself its last line counts.
  const long = 'é'.repeat(40);
  const folded = (await fromOf(long, 'a')) ?? '';
  const last = folded.slice(folded.lastIndexOf('\n') + 1).split(' <')[0] as string;
  for (const [length, between] of [
    [60 - last.length, ' '],
    [61 - last.length, '\n '],
  ] as const) {
    const raw = (await fromOf(long, 'a'.repeat(length - '@x.example'.length))) ?? '';
    assert.ok(raw.includes(`${last}${between}<a`), raw);
  }
});

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('a\r\nBcc: evil@x', 'a\nX: y\n\nbody', '\0', '"', '\\', 'a\r b', '=?utf-8?q?x?=', '\u2028', '(', '<a@b>,'),
);

test('no fact can break out of its field', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, hostile, hostile, async (fullName, login, hostname, charset) => {
      const received = { id: 'x', version: '1', recipients: [] };
      const names = ['Received', 'Subject', 'Message-ID', 'From', 'Date', 'MIME-Version', 'Content-Type', 'Content-Transfer-Encoding'];
      const over = {
        fullName: fullName,
        login: login,
        hostname: hostname,
        received,
        body: { eightBit: true, charset },
      };
      const got = await complete(fieldsOf(['Subject: x']), { ...FACTS, ...over });
      assert.ok(got.ok);
      const head = await readHead(sourceOf(printHead(got.value.fields), octets('body')), { limit: 1 << 20 });
      assert.ok(head.ok);
      assert.deepEqual(
        head.value.fields.map(({ name }) => name),
        names,
      );
      assert.ok(head.value.fields.every(({ raw }) => raw.split('\n').every((line) => line.length <= 998)));
    }),
    { numRuns: 500 },
  );
});

test('a login from anywhere makes a From field or is refused', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, async (login) => {
      const got = await complete(fieldsOf(['Date: x', 'Message-ID: y']), {
        ...FACTS,
        reversePath: null,
        login: login,
        fullName: '',
      });
      if (!got.ok) return assert.match(got.detail, /^the login name ".*" makes no address: .*; set from$/);
      const head = await readHead(sourceOf(printHead(got.value.fields)), { limit: 1 << 20 });
      assert.ok(head.ok);
      assert.equal(head.value.fields.length, 3);
    }),
  );
});

const plain = fc.stringMatching(/^[ -~]{0,40}$/).filter((text) => !/^ *$/.test(text));

test('a head that lacks nothing leaves as it came, octet for octet', async () => {
  const name = fc.stringMatching(/^X-[A-Za-z-]{1,8}$/);
  const raw = fc
    .tuple(name, fc.constantFrom('', ' ', '\t'), fc.array(plain, { minLength: 1, maxLength: 3 }))
    .map(([n, blank, lines]) => `${n}${blank}:${lines.join('\n\t')}`);
  await fc.assert(
    fc.asyncProperty(fc.array(raw), async (raws) => {
      const text = [...raws, 'To: "a" (b)\n <c@d>,, e: f@g;', ...WHOLE].map((line) => `${line}\n`).join('');
      const head = await readHead(sourceOf(octets(`${text}\nbody`)), { limit: 1 << 20 });
      assert.ok(head.ok);
      const got = await complete(head.value.fields, FACTS);
      assert.ok(got.ok);
      assert.equal(latin1(printHead(got.value.fields)), `${text}\n`);
    }),
  );
});

test('display names survive encoding, in lines as RFC 2047 wants them, and addresses are not touched', async () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    .map((text) => text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\ufeff]/gu, '-').trim() || 'x');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, fc.boolean()), { minLength: 1, maxLength: 6 }), async (names) => {
      const quoted = names.map(([text], index) => `"${utf8(text).replaceAll(/["\\]/g, '\\$&')}" <r${index}@example.org>`);
      const field = `To: ${quoted.reduce((list, one, index) => `${list},${names[index]?.[1] ? '\n ' : ' '}${one}`)}`;
      const raw = (await completed([field, ...WHOLE]))[0] as string;
      const list = parseAddressList(raw, 3);
      assert.ok(list.ok);
      assert.deepEqual(
        list.value.mailboxes.map(({ mailbox }) => mailbox.localPart),
        names.map((_, index) => `r${index}`),
      );
      const { mailboxes, words } = list.value;
      const shown = mailboxes.map(({ start }, index) => {
        const own = words.filter((word) => word.end <= start && word.start > (mailboxes[index - 1]?.end ?? 0));
        return own.map(({ start: from, end, quoted }) => (quoted ? unquote(raw.slice(from + 1, end - 1)) : raw.slice(from, end))).join(' ');
      });
      assert.deepEqual(
        shown.map((text, index) => (/[^ -~]/.test(names[index]?.[0] as string) ? decodeEncoded(text) : text)),
        names.map(([text]) => text),
      );
      assert.deepEqual(
        encodedFaults(raw).filter((fault) => !fault.startsWith('a line') || fault.includes('=?UTF-8?')),
        [],
      );
    }),
    { numRuns: 300 },
  );
});

test('large heads are linear work', async () => {
  const n = 50_000;
  const to = `To: ${Array.from({ length: n }, (_, i) => `"Jörg ${i}" <r${i}>`).join(',\n ')}`;
  const got = await finish([utf8(to), ...WHOLE]);
  assert.ok(got.fields[0]?.raw.endsWith(`<r${n - 1}@r.example>`));
  const many = await finish([...Array.from({ length: 100_000 }, () => 'X:'), ...WHOLE]);
  assert.equal(many.fields.length, 100_003);
});

test('force_from is linear work in a message that was resent very often', async () => {
  const n = 100_000;
  const got = await finish([...Array.from({ length: n }, () => 'Resent-From: a@b'), ...WHOLE], {
    forceFrom: true,
    from: mailbox('joe@example.org'),
  });
  assert.equal(got.fields.filter(({ raw }) => raw === 'Resent-From: joe@example.org').length, n);
});

test.run();
