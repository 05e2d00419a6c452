/** Reverse-paths and forward-paths as tables; no address that parses can break out of a command. */
import assert from 'node:assert';
import { isIPv4 as nodeIsIPv4, isIPv6 as nodeIsIPv6 } from 'node:net';
import fc from 'fast-check';
import { suite } from 'uvu';
import {
  isAddressLiteral,
  isAsciiMailbox,
  isDomain,
  isHostName,
  isIPv4,
  isIPv6,
  mailboxKey,
  parseMailbox,
  parseReversePath,
  printMailbox,
  printPath,
  qualify,
  quoteLocalPart,
  withDomain,
} from '../../src/smtp/path.ts';
import { mailbox } from '../support/mailbox.ts';

const test = suite('path');

const read = (text: string): string => {
  const path = parseMailbox(text);
  return path.ok ? printPath(path.value) : `! ${path.detail}`;
};
const x = (count: number, letter = 'x') => letter.repeat(count);
const notLocal = (text: string) => `! "${text}" is not a local-part; quote it if it is meant`;
const control = '! a control character is not allowed in an address';

const CASES: readonly (readonly [string, string, string])[] = [
  ['a@b.example', '<a@b.example>', 'bare'],
  ['<a@b.example>', '<a@b.example>', 'in brackets'],
  ['a@B.Example.', '<a@B.Example>', 'a dot at the end of the domain is dropped, its case kept'],
  ['root', '<root>', 'a bare local-part'],
  ['<root>', '<root>', 'a bare local-part in brackets'],
  ['a@localhost', '<a@localhost>', 'one label'],
  ['a@under_score.example', '<a@under_score.example>', 'private networks have it'],
  ['a@[192.0.2.1]', '<a@[192.0.2.1]>', 'an address literal. RFC 5321 §4.1.3'],
  ['a@[IPv6:2001:db8::1]', '<a@[IPv6:2001:db8::1]>', 'an IPv6 literal'],
  ['a@[ipv6:::1]', '<a@[ipv6:::1]>', 'its tag in any case'],
  ["!#$%&'*+-/=?^_`{|}~@b.example", "<!#$%&'*+-/=?^_`{|}~@b.example>", 'all of atext. RFC 5322 §3.2.3'],
  ['-oQ/tmp@b.example', '<-oQ/tmp@b.example>', 'it looks like an option and is data'],
  ['a..b@c.example', '<a..b@c.example>', 'a deviation: the server decides'],
  ['"a b"@c.example', '<"a b"@c.example>', 'a quoted-string'],
  ['"ab"@c.example', '<ab@c.example>', 'quoted without need'],
  ['"a\\b"@c.example', '<ab@c.example>', 'a quoted pair without need'],
  ['"a\\"b"@c.example', '<"a\\"b"@c.example>', 'a quote in a quoted-string'],
  ['"a\\\\b"@c.example', '<"a\\\\b"@c.example>', 'a backslash'],
  ['""@c.example', '<""@c.example>', 'an empty quoted-string'],
  ['"a@evil.example x"@c.example', '<"a@evil.example x"@c.example>', 'CVE-2025-13033: the domain is the last one'],
  ['"a>b"@c.example', '<"a>b"@c.example>', 'a bracket in a quoted-string'],
  ['"a b"', '<"a b">', 'quoted and bare'],
  ['<@x.example,@y.example:a@b.example>', '<a@b.example>', 'a source route is dropped. RFC 5321 appendix C'],
  ['@x.example:a@b.example', '<a@b.example>', 'a source route without brackets'],
  ['ü@b.example', '<ü@b.example>', 'RFC 6531 §3.3'],
  ['"\u200b"@b.example', '<"\u200b"@b.example>', 'quotes stay around what is a blank to readers of a header'],
  ['a\u00a0b@b.example', '<a\u00a0b@b.example>', 'and do not come where there are none'],
  ['a@bücher.example', '<a@bücher.example>', 'a U-label'],
  [`${x(64)}@b.example`, `<${x(64)}@b.example>`, 'RFC 5321 §4.5.3.1.1'],
  [`${x(900)}@b.example`, `<${x(900)}@b.example>`, 'VERP is longer, and the server decides'],
  [`${x(990)}@b.example`, `<${x(990)}@b.example>`, 'as long as it may be'],
  [`${x(991)}@b.example`, '! the address is longer than 1000 characters', 'bounded'],
  ['', '! the local-part is missing', 'nothing'],
  ['@b.example', '! the local-part is missing', 'no local-part'],
  ['<>', '! the local-part is missing', 'null is no mailbox'],
  ['a@', '! the domain is missing after "@"', 'no domain'],
  ['a@.', '! the domain is missing after "@"', 'only the root'],
  ['a@b..example', '! "b..example" is not a domain', 'an empty label'],
  ['a@-b.example', '! "-b.example" is not a domain', 'a hyphen first'],
  ['a@b-.example', '! "b-.example" is not a domain', 'a hyphen last'],
  ['a@b c', '! "b c" is not a domain', 'a blank in the domain'],
  ['a@b@c', '! "b@c" is not a domain', 'two at signs'],
  [`a@${x(64)}.example`, `! "${x(64)}.example" is not a domain`, 'a label too long. RFC 1035 §2.3.4'],
  [`a@${`${x(62)}.`.repeat(5)}x`, `! "${`${x(62)}.`.repeat(5)}x" is not a domain`, 'a domain too long. RFC 5321 §4.5.3.1.2'],
  ['a@[192.0.2.256]', '! "[192.0.2.256]" is not a domain', 'no address'],
  ['a@[x]', '! "[x]" is not a domain', 'no address at all'],
  ['a b@c.example', notLocal('a b'), 'a blank'],
  ['a@b> SIZE=1', '! "b> SIZE=1" is not a domain', 'breaking out of the brackets'],
  ['<a@b> SIZE=1', '! unbalanced angle bracket', 'breaking out of the brackets'],
  ['<a@b', '! unbalanced angle bracket', 'not closed'],
  ['a@b>', '! unbalanced angle bracket', 'not opened'],
  ['Tim <a@b.example>', '! unbalanced angle bracket', 'a display name'],
  ['a(b)@c.example', notLocal('a(b)'), 'a comment'],
  ['a, b@c.example', notLocal('a, b'), 'a list'],
  ['g: a@b.example;', notLocal('g: a'), 'a group'],
  ['"a@b.example', '! the quoted local-part is not closed', 'not closed'],
  ['"a\\"@b.example', '! the quoted local-part is not closed', 'its end is quoted'],
  ['"a"b@c.example', '! "b" may not follow the local-part', 'text behind a quoted-string'],
  ['a\r\nRCPT TO:<x@y>@b.example', control, 'CRLF'],
  ['a\n@b.example', control, 'LF'],
  ['"a\r"@b.example', control, 'CR in a quoted-string'],
  ['a\0@b.example', control, 'NUL'],
  ['a\t@b.example', control, 'a tabulator'],
  ['a\x7f@b.example', control, 'DEL'],
  ['a\u0085@b.example', control, 'NEL, a line end for some'],
  ['a\u2028@b.example', control, 'line separator'],
  ['a\ud800@b.example', '! the address is not valid Unicode text', 'a lone surrogate'],
];

for (const [text, expected, why] of CASES)
  test(`${JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)}: ${why}`, () => assert.strictEqual(read(text), expected));

test('UTF-16 units that would be CR and LF when cut to eight bits are text like any other', () => {
  for (const unit of ['\u010d', '\u010a', '\u760d', '\uff0d']) {
    const path = parseMailbox(`a${unit}@b.example`);
    assert.ok(path.ok && !isAsciiMailbox(path.value));
  }
});

test('the null reverse-path', () => {
  for (const text of ['', '<>']) assert.deepStrictEqual(parseReversePath(text), { ok: true, value: null });
  assert.deepStrictEqual(parseReversePath('a@b'), { ok: true, value: { localPart: 'a', domain: 'b' } });
  assert.deepStrictEqual(parseReversePath('@'), { ok: false, detail: 'the local-part is missing' });
  assert.strictEqual(printPath(null), '<>');
});

test('a mailbox is qualified, compared and printed', () => {
  const bare = mailbox('Tim');
  assert.strictEqual(printMailbox(qualify(bare, 'b.example')), 'Tim@b.example');
  assert.strictEqual(printMailbox(qualify(mailbox('Tim@x'), 'b.example')), 'Tim@x');
  assert.strictEqual(printMailbox(withDomain(mailbox('Tim@x'), 'b.example.')), 'Tim@b.example', 'a domain has no trailing dot');
  for (const text of ['', 'b\r\nQUIT', 'b c', '>'])
    assert.deepStrictEqual(
      [qualify(bare, text), withDomain(mailbox('Tim@x'), text)],
      [bare, mailbox('Tim@x')],
      'what is no domain is not taken',
    );
  assert.strictEqual(printMailbox(bare), 'Tim');
  assert.strictEqual(mailboxKey(mailbox('Tim@B.Example')), 'Tim@b.example');
  assert.deepStrictEqual([isAsciiMailbox(bare), isAsciiMailbox(mailbox('a@ü'))], [true, false]);
});

test('the types let nobody write a mailbox down, or change one', () => {
  // @ts-expect-error: nothing has checked it.
  printMailbox({ localPart: '\r\n', domain: '' });
  // @ts-expect-error: nothing has checked its domain.
  printMailbox({ ...mailbox('Tim@x'), domain: '\r\n' });
});

const QUOTED: readonly (readonly [string, string])[] = [
  ['a', 'a'],
  ['a.b', 'a.b'],
  ['a b', '"a b"'],
  ['', '""'],
  ['.a', '".a"'],
  ['a.', '"a."'],
  ['a"\\', '"a\\"\\\\"'],
  ['ü', 'ü'],
];
for (const [content, expected] of QUOTED) test(`quoted: ${content}`, () => assert.strictEqual(quoteLocalPart(content), expected));

test('addresses are what the platform takes for them', () => {
  const part = fc.constantFrom('0', '1', '9', '00', '01', '10', '199', '255', '256', '1000', '', 'a', '-1', '+1', ' 1', '1e2', '0x1');
  fc.assert(
    fc.property(fc.array(part, { minLength: 3, maxLength: 5 }), (parts) =>
      assert.strictEqual(isIPv4(parts.join('.')), nodeIsIPv4(parts.join('.'))),
    ),
    { numRuns: 2000 },
  );
  const group = fc.constantFrom('0', 'f', 'FF', 'abcd', '12345', 'g', '', '', '1.2.3.4', '1.2.3.256');
  fc.assert(
    fc.property(fc.array(group, { minLength: 1, maxLength: 10 }), (groups) =>
      assert.strictEqual(isIPv6(groups.join(':')), nodeIsIPv6(groups.join(':')), groups.join(':')),
    ),
    { numRuns: 5000 },
  );
  for (const text of [
    '::',
    '::1',
    '1::',
    '1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8',
    '1::2::3',
    '1:2:3::4:5:6::7:8',
    '::ffff:192.0.2.1',
    '1.2.3.4::',
    '64:ff9b::192.0.2.33',
    ':',
    '1:',
  ])
    assert.strictEqual(isIPv6(text), nodeIsIPv6(text), text);
});

test('EHLO may say fewer domains than addresses may have', () => {
  for (const text of ['localhost', 'a.example', 'a-b.example', '1.example']) assert.ok(isHostName(text), text);
  for (const text of ['', 'a_b.example', '-a.example', 'a-.example', 'bücher.example', 'a.1', 'a..b', `${'a.'.repeat(127)}bc`])
    assert.ok(!isHostName(text), text);
  assert.ok(isHostName(`${'a.'.repeat(127)}b`));
});

test('domains and literals', () => {
  // RFC 5321 §4.5.3.1.2
  assert.deepStrictEqual([`${'a.'.repeat(127)}b`, `${'a.'.repeat(127)}bc`].map(isDomain), [true, false]);
  assert.deepStrictEqual(
    [
      'a',
      'a.b',
      'xn--bcher-kva.example',
      '[192.0.2.1]',
      '',
      '.',
      'a.',
      '-',
      '[',
      '[]',
      '[1.2.3.4',
      'a b',
      x(63),
      x(64),
      `${x(40)}.${x(40)}`,
    ].map(isDomain),
    [true, true, true, true, false, false, false, false, false, false, false, false, true, false, true],
  );
  assert.deepStrictEqual(['192.0.2.1', '[192.0.2.1]', '[IPv6:::1]', '[::1]', '[192.0.2.10', '1192.0.2.1]'].map(isAddressLiteral), [
    false,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('an accepted address is one word on the wire, reads back as itself, and holds no control character', () => {
  const piece = fc.oneof(
    fc.constantFrom('a', '"', '\\', '@', '<', '>', ' ', '.', ',', ':', '(', '\r', '\n', 'ü', '[', ']'),
    fc.string({ unit: 'binary', maxLength: 2 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, whole) => {
      const text = whole ? `"${pieces.join('')}"@b.example` : pieces.join('');
      const path = parseMailbox(text);
      if (!path.ok) return;
      const printed = printPath(path.value);
      assert.doesNotMatch(printed, /[\p{Cc}]/u);
      assert.deepStrictEqual(parseMailbox(printed), path);
      // Blanks and brackets only within the quotes.
      assert.doesNotMatch(printed.slice(1, -1).replace(/^"(?:[^"\\]|\\.)*"/s, ''), /[<>\s"]/);
    }),
    { numRuns: 5000 },
  );
});

test.run();
