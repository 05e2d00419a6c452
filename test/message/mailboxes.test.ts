import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { parseAddressList, parseSender } from '../../src/message/mailboxes.ts';
import { printMailbox, printPath } from '../../src/smtp/path.ts';
import { utf8 } from '../../src/smtp/text.ts';

const test = suite('message/mailboxes');

/** The mailboxes, or the error. */
function list(text: string, from = 0): string[] | string {
  const got = parseAddressList(utf8(text), from);
  return got.ok ? got.value.mailboxes.map(({ mailbox }) => printMailbox(mailbox)) : got.detail;
}

const accepted: [string, string[], string][] = [
  ['', [], 'an empty list'],
  [' \t ', [], 'blanks'],
  [',, ,', [], 'empty elements'],
  ['(nobody)', [], 'only a comment'],
  ['a@b', ['a@b'], 'one'],
  ['a@b,c@d', ['a@b', 'c@d'], 'two'],
  [', a@b ,, c@d,', ['a@b', 'c@d'], 'empty elements between'],
  ['root', ['root'], 'bare'],
  ['root, <daemon>', ['root', 'daemon'], 'bare in brackets'],
  ['<a@b>', ['a@b'], 'brackets only'],
  ['< a@b >', ['a@b'], 'blanks within brackets'],
  ['John Doe <a@b>', ['a@b'], 'display name'],
  ['John  Q.  Public<a@b>', ['a@b'], 'dots and no blank before the bracket'],
  ['"Doe, John" <a@b>, c@d', ['a@b', 'c@d'], 'quoted comma'],
  ['"a \\"b\\" \\\\ <x@y>" <a@b>', ['a@b'], 'quoted pairs and a bracket within quotes'],
  ['root (Cron Daemon)', ['root'], 'the old form, bare'],
  ['a@b (John \\(Doe\\)), c@d', ['a@b', 'c@d'], 'the old form with quoted pairs'],
  ['a@b (x (nested, <n@o>) y), c@d', ['a@b', 'c@d'], 'nested comment with a comma'],
  ['<a@b> (Name)', ['a@b'], 'a comment after brackets'],
  ['(one) a(two)@(three)b(four)', ['a@b'], 'comments at every place'],
  ['Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>', ['pete@silly.test'], 'RFC 5322 appendix A.5'],
  [
    "A Group(Some people)\n     :Chris Jones <c@(Chris's host.)public.example>,\n joe@example.org,\n John <jdoe@one.test> (my dear friend); (the end of the group)",
    ['c@public.example', 'joe@example.org', 'jdoe@one.test'],
    'RFC 5322 appendix A.5, group',
  ],
  ['(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;', [], 'RFC 5322 appendix A.5, empty group'],
  ['Joe Q. Public <john.q.public@example.com>', ['john.q.public@example.com'], 'RFC 5322 appendix A.6.1'],
  [
    'Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example',
    ['mary@example.net', 'jdoe@test.example'],
    'RFC 5322 appendix A.6.1, route',
  ],
  ['<@a,@b:c@d>', ['c@d'], 'a route of two'],
  ['< , (x) ,@a,,@b,:c@d>', ['c@d'], 'a route with empty elements. RFC 5322 §4.4, obs-domain-list'],
  ['undisclosed-recipients:;', [], 'empty group'],
  ['undisclosed-recipients:', [], 'a group that is not closed'],
  ['A: a@b; B: c@d;, e@f', ['a@b', 'c@d', 'e@f'], 'groups without a comma between'],
  ['"My: Group": a@b', ['a@b'], 'quoted group name, not closed'],
  [':;, a@b, : c@d;', ['a@b', 'c@d'], 'groups without a name, as in Exim and Postfix'],
  ['a . b . c @ d . e', ['a.b.c@d.e'], 'blanks around dots and "@"'],
  ['a@[192.0.2.1], b@[ IPv6:2001:db8::1 ]', ['a@[192.0.2.1]', 'b@[IPv6:2001:db8::1]'], 'address literals'],
  ['"a b"@c, "x"@y, "a".b@c', ['"a b"@c', 'x@y', 'a.b@c'], 'quoted local-parts'],
  ['"a@b"@c', ['"a@b"@c'], 'a quoted "@"'],
  ['"a\n b"@c', ['"a b"@c'], 'a folded quoted local-part'],
  ['.a@b, a..b@c, a.@d', ['.a@b', 'a..b@c', 'a.@d'], 'dots that RFC 5321 forbids'],
  ['a@b.', ['a@b'], 'a trailing dot'],
  ['a_b@c_d', ['a_b@c_d'], 'underscores'],
  ["o'neil@b, 'x'@y", ["o'neil@b", "'x'@y"], 'apostrophes are letters'],
  ['a@b\r\n ,c@d', ['a@b', 'c@d'], 'folding with CRLF'],
  ['J\\K <a@b>', ['a@b'], 'a backslash in a name'],
  ['J\\ <a@b>', ['a@b'], 'a backslash before a blank'],
  ['jörg@müller.example', ['jörg@müller.example'], 'UTF-8'],
  ['me@work.example <a@b>', ['a@b'], 'an address as display name'],
  ['[List] x <a@b>', ['a@b'], 'brackets in a display name'],
  ['=?utf-8?Q?Doe,_J?= <a@b>, =?utf-8?B?YQ==?= <c@d>', ['a@b', 'c@d'], 'an encoded word that holds a comma'],
  ['=?x, y@z', ['=?x', 'y@z'], 'not an encoded word'],
  ['-f@b', ['-f@b'], 'begins with a hyphen'],
  ['a@b\n\t(x\n y)\n ', ['a@b'], 'folded comment'],
];

test('address lists in all their forms', () => {
  for (const [input, expected, why] of accepted) assert.deepEqual(list(input), expected, why);
});

const refused: [string, RegExp, string][] = [
  ['John Smith', /^"John Smith" is not an address: its words are separate/, 'words without brackets'],
  ['a@b c@d', /^"a@b c@d" is not an address: it has more than one "@"; separate addresses by commas$/, 'a comma is missing'],
  ['a@b c', /^"a@b c" is not an address: its words are separate/, 'a word after the domain'],
  ['x@y, b@@x', /^"b@@x" is not an address: it has more than one "@"/, 'two signs'],
  ['a@', /^"a@" is not an address: the domain is missing/, 'no domain'],
  ['@b', /^"@b" is not an address: the local-part is missing/, 'no local-part'],
  ['a@-b', /^"a@-b" is not an address: "-b" is not a domain/, 'a bad domain'],
  ['a@[1.2.3]', /is not a domain$/, 'a bad literal'],
  ['a@"b"', /a domain may not be quoted$/, 'a quoted domain'],
  ['[1.2.3.4]@b', /"\[" may only begin a domain$/, 'a literal as local-part'],
  ['a\\b@c', /is not a local-part; quote it/, 'a backslash'],
  ['a\\ b@c', /is not a local-part; quote it/, 'a backslash and a blank'],
  ['a\\@b@c', /is not a local-part; quote it/, 'a backslash and a sign'],
  ['\\"a@b', /is not a local-part; quote it/, 'a backslash and a quote'],
  ['x\\\n', /control character/, 'a backslash at the end of a line'],
  ['@b; a@b, @c', /the local-part is missing$/, 'a host alone, behind no group'],
  ['A:;@b x', /its words are separate|the local-part is missing/, 'a host and a word behind a group'],
  ['A:;@b@c', /more than one "@"/, 'two hosts behind a group'],
  ['<A:b@c;>', /is not closed by ">"/, 'a group with a member in brackets'],
  ['<:;>', /is not closed by ">"/, 'a group without a name in brackets'],
  ['"a"b@c', /its words are separate/, 'a quoted string beside an atom'],
  ['<>', /^"<>" holds no address/, 'null in a list'],
  ['x <>', /^"<>" holds no address/, 'null behind a name'],
  ['<a@b', /^the "<" in "<a@b" is not closed/, 'an open bracket'],
  ['<a@b, c@d>', /^the "<" in "<a@b" is not closed/, 'a comma within brackets'],
  ['<<a@b>>', /is not closed by ">"/, 'double brackets'],
  ['a@b>', /^"a@b>" has an unbalanced ">"/, 'a closing bracket'],
  ['<a@b> x', /^"x" may not follow "<a@b>"/, 'a word after brackets'],
  ['A <a@b> <c@d>', /^"<c@d>" may not follow "A <a@b>"/, 'brackets after brackets'],
  ['A: B: a@b;;', /^a group stands within a group/, 'nested group'],
  ['A: : a@b;;', /^a group stands within a group/, 'nested group without a name'],
  [':include: a@b', /^a group stands within a group/, 'an item of an alias file'],
  ['a@b: c@d', /^"a@b: c@d" is no name of a group; separate addresses by commas$/, 'an address in place of a name'],
  ['A:;a@b:;', /is no name of a group/, 'an address in place of a name, behind a group'],
  ['"a@b', /^the quoted string ""a@b" is not closed/, 'open quote'],
  ['"a@b\\', /is not closed/, 'ends in a backslash'],
  ['a@b (x, c@d', /^the comment "\(x" is not closed/, 'an open comment with an address in it'],
  ['Foo (bar <a@b>', /^the comment "\(bar <a@b>" is not closed/, 'an open comment with the address in it'],
  ['a@b (x; root', /is not closed/, 'an open comment with what may be an address in it'],
  ['<a@b (x>', /^the comment "\(x>" is not closed/, 'open comment within brackets'],
  ['a@b (x\\), c@d', /is not closed/, 'quoted parenthesis'],
  ['a@[1.2.3.4', /^the "\[" in "\[1.2.3.4" is not closed/, 'open literal'],
  ['a@b)', /unbalanced "\)"/, 'closing parenthesis'],
  ['a@b,)', /^"\)" has an unbalanced "\)"/, 'closing parenthesis behind a comma'],
  ['a@b), c@d', /^"\)" has an unbalanced "\)"/, 'closing parenthesis before a comma'],
  ['a]@b', /unbalanced "\]"/, 'closing bracket'],
  ['<a@b> ]', /unbalanced "\]"/, 'closing bracket after an address'],
  ['<@a:>', /holds no address/, 'a route to nobody'],
  ['<@a b@c>', /^the route in "<@a b@c>" does not end in ":"/, 'an open route'],
  ['<@a(>', /^the comment "\(>" is not closed/, 'open comment in a route'],
  ['a@b\nc@d', /control character/, 'a line end that folds nothing'],
  ['a@b,\nc@d', /control character/, 'a line end after a comma'],
  ['a@b\r c', /control character/, 'a lone CR'],
  ['a@b\0', /^a control character is not allowed in an address: "\\x00"/, 'NUL'],
  ['"a\nb"@c', /control character/, 'a line end within quotes'],
  ['"a\\\nb"@c', /control character/, 'a quoted line end'],
  ['"a\r\nRCPT TO:<x@y>"@c', /control character/, 'an SMTP command within quotes'],
  [`${'x'.repeat(1001)}@y`, /longer than 1000/, 'too long'],
];

test('a text that is no address list is refused, and the sentence names it', () => {
  for (const [input, expected, why] of refused) {
    const got = list(input);
    assert.equal(typeof got, 'string', `${why}: ${JSON.stringify(got)}`);
    assert.match(got as string, expected, why);
    assert.ok((got as string).length < 500, why);
  }
  for (const [text, expected] of [
    [`${'a'.repeat(200)}@@`, `"${'a'.repeat(200)}…" is not an address: it has more than one "@"; separate addresses by commas`],
    [`${'a'.repeat(197)}@@b`, `"${'a'.repeat(197)}@@b" is not an address: it has more than one "@"; separate addresses by commas`],
    ['a \t b@x, c@d', '"a b@x" is not an address: its words are separate; write a name as Name <address>'],
    ['<a@b, c@d', 'the "<" in "<a@b" is not closed by ">"'],
    ['A:a@b,@host;', '"@host" is not an address: the local-part is missing'],
    ['A:b@c;x@y;@host', '"@host" is not an address: the local-part is missing'],
    [';@host', '"@host" is not an address: the local-part is missing'],
    ['a@b;@host', '"@host" is not an address: the local-part is missing'],
    ['"x, y', 'the quoted string ""x" is not closed'],
    ['a@b, "x', 'the quoted string ""x" is not closed'],
    ['[x, y', 'the "[" in "[x" is not closed'],
    [`"${'x'.repeat(300)}`, `the quoted string ""${'x'.repeat(199)}…" is not closed`],
  ] as const)
    assert.equal(list(text), expected);
  const latin = parseAddressList('j\xf6rg@x');
  assert.ok(!latin.ok);
  assert.equal(latin.detail, '"jörg@x" is not an address: it is not valid UTF-8');
});

/** As Exim, Sendmail or Postfix take it; reference: the differential tests in test/interop. */
const alsoTaken: [string, string[], string][] = [
  ['undisclosed-recipients:;@host', [], 'a host behind an empty group'],
  ['A:a@b;@host, c@d', ['a@b', 'c@d'], 'a host behind a group, and more'],
  ['A:a@b;@[192.0.2.1];c@d', ['a@b', 'c@d'], 'an address literal behind a group'],
  ['<@[192.0.2.1],@r (x), :a@b>', ['a@b'], 'a route over an address literal'],
  ['A:;@r:c@d', ['c@d'], 'what may be a route behind a group loses nobody'],
  ['A:; ;@host', [], 'a host behind a group with two ends'],
  ['undisclosed-recipients:;;', [], 'two ends of a group'],
  ['a@b;', ['a@b'], 'a semicolon at the end'],
  [';a@b', ['a@b'], 'a semicolon at the start: Exim loses the address'],
  ['a@b; C <c@d> ;; e', ['a@b', 'c@d', 'e'], 'semicolons as separators'],
  ['A:a@b;c@d', ['a@b', 'c@d'], 'an address behind a group: Exim loses it'],
  ['<undisclosed-recipients:;>, a@b', ['a@b'], 'an empty group in brackets'],
  ['None <A B : >', [], 'one that is not closed'],
  ['Foo \\"Bar\\" <a@b>', ['a@b'], 'quotes that were quoted'],
  ['Foo\\, Bar\\<x\\> <a@b>', ['a@b'], 'a comma and brackets that were quoted'],
  ['a@b (x', ['a@b'], 'a comment that is not closed'],
  ['a@b (x\\) (y', ['a@b'], 'nor is one with a quoted parenthesis'],
  ['\u00a0a@b,\u00a0c@d\u00a0', ['a@b', 'c@d'], 'no-break spaces around addresses'],
  ['Foo\u00a0<\u200ba@b\u202f>', ['a@b'], 'and within brackets'],
  ['"\u200b"@b', ['"\u200b"@b'], 'a quoted local-part keeps its quotes around what nobody sees'],
  ['\ufeff\u202aa@b\u202c', ['a@b'], 'the mark at the start of a file, and marks of direction'],
  ['a@\u3000b', ['a@b'], 'a wide space'],
  ['\u00a0', [], 'nothing else'],
  ['G\u00a0: a@b;', ['a@b'], 'behind the name of a group'],
];

test('M6: lists that Exim, Sendmail and Postfix also accept are read where it is clear who is meant', () => {
  for (const [input, expected, why] of alsoTaken) assert.deepEqual(list(input), expected, why);
});

test('M5: the list has the places of blanks outside ASCII, so that they can be replaced', () => {
  const text = utf8('To: Fo\u00a0o\u00a0 \u200b\u00a0<a@b\ufeff>');
  const got = parseAddressList(text, 3);
  assert.ok(got.ok);
  const { blanks, words } = got.value;
  assert.deepEqual(
    blanks.map(({ start, end }) => text.slice(start, end)),
    ['\u00a0', '\u200b\u00a0', '\ufeff'].map(utf8),
  );
  assert.deepEqual(
    words.map(({ start, end }) => text.slice(start, end)),
    [utf8('Fo\u00a0o')],
  );
});

test('offsets are those of the addr-spec, and the list has words and comments', () => {
  const text = 'To: "Do, J" X <@r:a (c) . b@d>, root (Cron), G: e@[1.2.3.4] ;';
  const got = parseAddressList(text, 3);
  assert.ok(got.ok);
  const cut = (spans: readonly { start: number; end: number }[]) => spans.map(({ start, end }) => text.slice(start, end));
  assert.deepEqual(cut(got.value.mailboxes), ['a (c) . b@d', 'root', 'e@[1.2.3.4]']);
  assert.deepEqual(cut(got.value.words), ['"Do, J"', 'X', 'G']);
  assert.deepEqual(
    got.value.words.map(({ quoted }) => quoted),
    [true, false, false],
  );
  assert.deepEqual(cut(got.value.comments), ['(c)', '(Cron)']);
});

test('hostile lists are linear work', () => {
  const n = 300_000;
  for (const text of [
    '('.repeat(n),
    `${'('.repeat(n)}${')'.repeat(n)}`,
    ' '.repeat(n),
    '\n '.repeat(n),
    ','.repeat(n),
    '"'.repeat(n),
    '<'.repeat(n),
    'a '.repeat(n),
    '@'.repeat(n),
    'a@b '.repeat(n / 3),
    '=?a?Q?,'.repeat(n / 6),
    '=?'.repeat(n),
    'a:;'.repeat(n / 3),
    '[]'.repeat(n),
    '\\'.repeat(n),
    `"${'\\"'.repeat(n)}`,
    'a.'.repeat(n),
    '""'.repeat(n),
    '(),'.repeat(n / 3),
    `<${'@a,'.repeat(n / 3)}:b@c>`,
    '\r'.repeat(n),
    'a('.repeat(n),
    '()a'.repeat(n / 3),
    ';'.repeat(n),
    '\xc2\xa0'.repeat(n / 2),
    `a${'\xc2\xa0'.repeat(n / 2)}b`,
    `a${'\xc2\xa0'.repeat(n / 2)}`,
    'a:;@b'.repeat(n / 5),
    '<a:;>,'.repeat(n / 6),
    '\\"'.repeat(n / 2),
  ])
    parseAddressList(text);
  const many = parseAddressList(Array.from({ length: 50_000 }, (_, i) => `"R, ${i}" <r${i}@example.org> (x)`).join(',\n '));
  assert.ok(many.ok);
  assert.equal(many.value.mailboxes.length, 50_000);
});

const atom = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]{1,8}$/).filter((text) => !text.startsWith('=?'));
const blank = fc.constantFrom('', ' ', '\t', '\n ', '(c)', ' (a (b\\)) c) ', '\r\n\t');
const quoted = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 8 });
const quote = (text: string) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
const domain = fc.stringMatching(/^[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){0,2}$/);

test('every list composed of atoms, quotes, comments and groups is read back', () => {
  const address = fc
    .tuple(fc.oneof(atom, quoted.map(quote)), domain, blank, blank)
    .map(([local, host, b1, b2]) => ({ text: `${local}${b1}@${b2}${host}`, local, host }));
  const element = fc
    .tuple(address, fc.option(fc.oneof(atom, quoted.map(quote))), blank, blank, blank)
    .map(([{ text, local, host }, name, b1, b2, b3]) => ({
      text: name === null ? `${b1}${text}${b3}` : `${b1}${name}${b2}<${b2}${text}${b3}>${b3}`,
      expected: `${local}@${host}`,
    }));
  const group = fc.tuple(fc.array(element, { maxLength: 3 }), atom, blank).map(([elements, name, b]) => ({
    text: `${name}${b}:${elements.map(({ text }) => text).join(',')};${b}`,
    expected: elements.map(({ expected }) => expected),
  }));
  const any = fc.oneof(
    element.map(({ text, expected }) => ({ text, expected: [expected] })),
    group,
  );
  fc.assert(
    fc.property(fc.array(any, { maxLength: 4 }), (elements) => {
      const text = elements.map((one) => one.text).join(',');
      const got = parseAddressList(text);
      assert.ok(got.ok, JSON.stringify([text, got]));
      const unquoted = (mailbox: string) => mailbox.replace(/^"(.*)"@/s, (_, inner: string) => `${inner.replaceAll(/\\(.)/gs, '$1')}@`);
      assert.deepEqual(
        got.value.mailboxes.map(({ mailbox }) => unquoted(printMailbox(mailbox))),
        elements.flatMap(({ expected }) => expected).map(unquoted),
      );
    }),
  );
});

test('no text makes the parser throw, and every offset lies within it', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.constantFrom(
          'a',
          '@',
          '.',
          ',',
          ';',
          ':',
          '<',
          '>',
          '"',
          '(',
          ')',
          '[',
          ']',
          '\\',
          ' ',
          '\n',
          '\r',
          '\t',
          '\0',
          '\xe9',
          '\xc2\xa0',
          '=?u?q?x?=',
        ),
        { maxLength: 14 },
      ),
      (parts) => {
        const text = parts.join('');
        const got = parseAddressList(text);
        if (got.ok)
          for (const { start, end } of [...got.value.mailboxes, ...got.value.words, ...got.value.comments, ...got.value.blanks])
            assert.ok(0 <= start && start < end && end <= text.length);
        else assert.match(got.detail, /^[^A-Z]/);
      },
    ),
    { numRuns: 3000 },
  );
});

test('a sender is one address, whatever stands around it', () => {
  for (const [text, expected] of [
    ['a@b', '<a@b>'],
    [' <a@b> ', '<a@b>'],
    ['<>', '<>'],
    ['', '<>'],
    ['Joe Doe <a@b> (home)', '<a@b>'],
    ['jörg@b', '<jörg@b>'],
    ['Team: a@b;', 'a group is no sender'],
    ['undisclosed:;', 'a group is no sender'],
    ['a@b, c@d', 'a message has one sender'],
    ['(nobody)', 'it holds no address'],
    ['"a', 'the quoted string ""a" is not closed'],
  ] as const) {
    const got = parseSender(text);
    assert.equal(got.ok ? printPath(got.value) : got.detail, expected, text);
  }
});

test.run();
