/**
 * Replies as a table, which the reader reads whole, octet by octet and with text behind them; their bounds; their look to
 * people.
 */
import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { LONGEST_REPLY_HEARD, LONGEST_REPLY_LINE_HEARD } from '../../src/smtp/limits.ts';
import { digit, printHeard, printReply, ReplyReader } from '../../src/smtp/reply.ts';

const test = suite('reply');

/**
 * Returns all that a reader makes of a text in pieces: replies on one line each, then `!`, a sentence and the text it heard, or
 * `…` when text is left over.
 */
function read(text: string, size = text.length): string[] {
  const reader = new ReplyReader();
  const out: string[] = [];
  for (let at = 0; at < Math.max(text.length, 1); at += Math.max(size, 1)) {
    reader.push(text.slice(at, at + size));
    for (;;) {
      const got = reader.next();
      if (got === null) break;
      if (!got.ok) return [...out, `! ${got.detail}${reader.rest === '' ? '' : `: "${printHeard(reader.rest)}"`}`];
      const { enhanced } = got.value;
      out.push(`${printReply(got.value)}${enhanced ? ` (${enhanced.class}.${enhanced.subject}.${enhanced.detail})` : ''}`);
    }
  }
  return reader.idle ? out : [...out, '…'];
}

const mixed = (heard: string) => `! the lines of one reply carry different codes: "${heard}"`;
const none = (line: string) => `! not an SMTP reply: "${line}"`;

const CASES: readonly (readonly [string, readonly string[], string])[] = [
  ['', [], 'nothing'],
  ['250 ok\r\n', ['250 ok'], 'one line'],
  ['250 ok\n', ['250 ok'], 'a bare LF ends a line, too'],
  ['250\r\n', ['250'], 'a code alone. RFC 5321 §4.2'],
  ['250 \r\n', ['250'], 'a blank and no text'],
  ['250\tok\r\n', ['250 ok'], 'a tabulator'],
  ['250-a\r\n250-b\r\n250 c\r\n', ['250 a / b / c'], 'several lines'],
  ['250-a\r\n250\r\n', ['250 a'], 'the last line is a code alone'],
  ['250-\r\n250 \r\n', ['250'], 'several lines without text'],
  ['250-a\r\n250 ', ['…'], 'the last line is not ended'],
  ['250-a\r\n', ['…'], 'a line is still to come'],
  ['250 ok\r\n5', ['250 ok', '…'], 'part of a reply behind it'],
  ['250 a\r\n550 b\r\n', ['250 a', '550 b'], 'two replies'],
  ['250 5.1.1 x\r\n', ['250 5.1.1 x'], 'a class that is not the code’s is text. RFC 2034 §4'],
  ['550 5.7.26 no\r\n', ['550 5.7.26 no (5.7.26)'], 'two digits in the detail'],
  ['550-5.1.1 a\r\n550 5.1.1 b\r\n', ['550 5.1.1 a / b (5.1.1)'], 'a code on every line is shown once'],
  [
    '535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8  https://support.example/mail/?p=BadCredentials x - smtp\r\n',
    [
      '535 5.7.8 Username and Password not accepted. For more information, go to / https://support.example/mail/?p=BadCredentials x - smtp (5.7.8)',
    ],
    'not in the middle of a sentence',
  ],
  ['550-5.1.1 a\r\n550 5.1.1\r\n', ['550 5.1.1 a (5.1.1)'], 'alone on a line'],
  ['550-5.1.1 a\r\n550-5.1.10 b\r\n550 5.1.1c\r\n', ['550 5.1.1 a / 5.1.10 b / 5.1.1c (5.1.1)'], 'another one is text'],
  ['550-a\r\n550 5.1.1 b\r\n', ['550 a / 5.1.1 b'], 'not on the first line: text'],
  ['250 2.0.0\r\n', ['250 2.0.0 (2.0.0)'], 'an enhanced code alone'],
  ['250 2.0.0x\r\n', ['250 2.0.0x'], 'not ended by a blank'],
  ['250 2.0.1000 x\r\n', ['250 2.0.1000 x'], 'four digits'],
  ['354 3.0.0 go\r\n', ['354 3.0.0 go'], 'class 3 does not exist'],
  ['250-ok\r\n550 no\r\n', [mixed('250-ok / 550 no')], 'the codes differ, first 2yz'],
  ['550-no\r\n250 ok\r\n', [mixed('550-no / 250 ok')], 'the codes differ, last 2yz'],
  ['220-a\r\n521-b\r\n521 c\r\n', [mixed('220-a / 521-b / 521 c')], 'read to its end, where the reason stands'],
  ['220-a\r\n521-b\r\n', ['…'], 'the codes differ, and the end is still to come'],
  ['250-a\r\nhello\r\n', [none('250-a / hello')], 'a line without a code'],
  ['25 ok\r\n', [none('25 ok')], 'two digits'],
  ['2500 ok\r\n', [none('2500 ok')], 'four digits'],
  ['25O ok\r\n', [none('25O ok')], 'a letter'],
  ['250x\r\n', [none('250x')], 'a letter behind the code'],
  ['250.ok\r\n', [none('250.ok')], 'a dot behind the code'],
  ['000 x\r\n', [none('000 x')], 'below the range'],
  ['199 x\r\n', [none('199 x')], 'just below the range'],
  ['600 x\r\n', [none('600 x')], 'above the range'],
  ['850 x\r\n', [none('850 x')], 'Exim’s test 0474'],
  ['-50 x\r\n', [none('-50 x')], 'a sign'],
  [' 250 x\r\n', [none(' 250 x')], 'a blank before it'],
  ['\r\n', [none('')], 'an empty line'],
  ['\n', [none('')], 'an empty line of LF'],
  ['\r\r\n', [none('\\x0d')], 'a lone CR is no line end'],
  ['250 a\rb\r\n', ['250 a\\x0db'], 'a lone CR within a line is shown'],
  ['250 \x1b[2Jgone\0\r\n', ['250 \\x1b[2Jgone\\x00'], 'control characters are shown'],
  ['550 \xc3\xa9t\xc3\xa9\r\n', ['550 été'], 'UTF-8'],
  ['550 \xcf\xd2\xc9\r\n', ['550 ÏÒÉ'], 'octets that are not UTF-8'],
  ['550 \xe2\x80\xaegnp\r\n', ['550 \\u{202e}gnp'], 'a bidirectional control. It could turn a line round'],
  ['\x15\x03\x01\x00\x02\x02\x46\n', ['! the server speaks TLS here: use submissions:// for this port'], 'a TLS alert, a line long'],
  ['\x15\x03', ['! the server speaks TLS here: use submissions:// for this port'], 'a TLS alert that is no line'],
  ['\x16\x03\x01', ['! the server speaks TLS here: use submissions:// for this port'], 'a TLS handshake record'],
  ['\x15x\r\n', [none('\\x15x')], 'no TLS'],
];

for (const [text, expected, why] of CASES)
  test(`${JSON.stringify(text)}: ${why}`, () => {
    assert.deepStrictEqual(read(text), expected, 'whole');
    assert.deepStrictEqual(read(text, 1), expected, 'octet by octet');
    assert.deepStrictEqual(read(text, 3), expected, 'in threes');
    const last = expected.at(-1);
    if (last !== '…' && !last?.startsWith('!')) assert.deepStrictEqual(read(`${text}250-more`), [...expected, '…'], 'with text behind it');
  });

test('the reader reads the same, however the text is cut', () => {
  const line = fc.constantFrom('250 ok\r\n', '250-a\r\n', '250 a\n', '550 no\r\n', '250\r\n', 'x\r\n', '25', '0', '\r', '\n', '-');
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(40), { maxLength: 6 }), (lines, cuts) => {
      const text = lines.join('');
      const whole = read(text).map((each) => each.replace(/(^! .*?): ".*/, '$1'));
      const reader = new ReplyReader();
      const got: string[] = [];
      let malformed = false;
      const places = [...new Set([0, ...cuts.map((cut) => Math.min(cut, text.length)), text.length])].sort((a, b) => a - b);
      for (let i = 1; i < places.length && !malformed; i++) {
        reader.push(text.slice(places[i - 1], places[i]));
        for (let next = reader.next(); next !== null && !malformed; next = malformed ? null : reader.next()) {
          malformed = !next.ok;
          got.push(next.ok ? printReply(next.value) : `! ${next.detail}`);
        }
      }
      if (!malformed && !reader.idle) got.push('…');
      assert.deepStrictEqual(got, whole);
    }),
  );
});

test('a line and a reply are bounded, however they come', () => {
  const long = 'y'.repeat(LONGEST_REPLY_LINE_HEARD + 1);
  const longLine = [`! a reply line is longer than ${LONGEST_REPLY_LINE_HEARD} octets`];
  assert.deepStrictEqual(read(`250 ${'y'.repeat(64 * 1024 - 4)}\r\n`).length, 1, 'the longest line is read');
  assert.match(read(`250 ${'y'.repeat(LONGEST_REPLY_LINE_HEARD - 4)}\r\n`)[0] as string, /^250 y/);
  assert.deepStrictEqual(read(long), longLine, 'no line end at all');
  assert.deepStrictEqual(read(`250 ${long}\r\n`), longLine, 'a line that comes whole');
  assert.deepStrictEqual(read(long.repeat(3), 1000), longLine, 'in pieces');
  const line = `250-${'z'.repeat(1000)}\r\n`;
  assert.deepStrictEqual(read(line.repeat(300)), [`! a reply is longer than ${LONGEST_REPLY_HEARD} octets`], 'lines without an end');
  assert.deepStrictEqual(
    read('250-\r\n'.repeat(100_000), 4096),
    [`! a reply is longer than ${LONGEST_REPLY_HEARD} octets`],
    'short lines count, too',
  );
  assert.strictEqual(read(`${line.repeat(200)}250 z\r\n`.repeat(3)).length, 3, 'the bound is for each reply');
  const LONGEST = 256 * 1024;
  const [rows, rest] = [Math.floor(LONGEST / 1004) - 1, 1004 + (LONGEST % 1004)];
  const longest = `${line.repeat(rows)}250 ${'z'.repeat(rest - 4)}\r\n`;
  assert.match(read(longest.repeat(2))[1] as string, /^250 z/, 'the longest reply is read, also behind another');
  assert.match(read(`${line.repeat(rows)}250 ${'z'.repeat(rest - 3)}\r\n`)[0] as string, /^! a reply is longer/);
});

test('once malformed it stays malformed', () => {
  for (const [text, detail] of [
    ['hello\r\n', 'not an SMTP reply'],
    ['y'.repeat(LONGEST_REPLY_LINE_HEARD + 1), `a reply line is longer than ${LONGEST_REPLY_LINE_HEARD} octets`],
  ] as const) {
    const reader = new ReplyReader();
    reader.push(text);
    assert.deepStrictEqual(reader.next(), { ok: false, detail });
    reader.push('250 ok\r\n');
    assert.deepStrictEqual(reader.next(), { ok: false, detail });
  }
});

test('an empty line behind a reply is no reply', () => {
  assert.deepStrictEqual(read('250 a\r\n\n'), ['250 a', '! not an SMTP reply: ""']);
});

test('octets that come one by one are searched once', () => {
  // Were the search to begin anew with every octet, this would look at two thousand million of them.
  assert.deepStrictEqual(read('y'.repeat(LONGEST_REPLY_LINE_HEARD), 1), ['…']);
});

test('a person sees one line of bounded length', () => {
  const show = (lines: string[], code = 550) => printReply({ code, enhanced: null, lines });
  assert.strictEqual(show(['a', '', ' b ', '']), '550 a / b', 'empty lines are left out, blanks at the ends, too');
  assert.strictEqual(show(['', 'b']), '550  / b', 'but not the first one');
  assert.strictEqual(show(['']), '550');
  const whole = [...Array.from({ length: 39 }, () => 'x'.repeat(100)), 'y'.repeat(79)];
  assert.strictEqual(show(whole), `550 ${whole.join(' / ')}`, 'as much as is shown');
  assert.ok(show([...whole, 'z']).endsWith('y…'), 'and more');
  assert.ok(show([...whole.slice(0, -1), 'y'.repeat(80)]).endsWith('y…'), 'also by one character');
  const heard = (octets: number) => printHeard(`${'x'.repeat(750)}\r\n${'y'.repeat(octets)}`);
  assert.deepStrictEqual([heard(747), heard(748)], [`${'x'.repeat(750)} / ${'y'.repeat(747)}`, `${heard(747)}…`]);
  const nineteen = Array.from({ length: 19 }, (_, i) => `5.1.1 line ${i} ${'t'.repeat(60)}`);
  assert.strictEqual(show(nineteen), `550 ${nineteen.join(' / ')}`, 'nineteen lines are shown whole');
  const short = show(Array.from({ length: 4000 }, () => 'x'));
  assert.strictEqual(short.length, '550 '.length + 4096 + '…'.length, 'what stands between the lines counts, too');
  const most = show(Array.from({ length: 5000 }, () => 'x'.repeat(30)));
  assert.ok(most.length < 4200, `${most.length} characters`);
  assert.ok(most.endsWith('…'));
});

test('the first digit decides', () => {
  assert.deepStrictEqual(
    [200, 250, 299, 354, 421, 599].map((code) => digit({ code, enhanced: null, lines: [''] })),
    [2, 2, 2, 3, 4, 5],
  );
});

test.run();
