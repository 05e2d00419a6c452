import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { commentWords, encodeWords, makeEncodedWords, printPhrase, textWords } from '../../src/message/encoded-words.ts';
import { utf8 } from '../../src/smtp/text.ts';
import { decodeEncoded, encodedFaults } from '../support/encoded.ts';

const test = suite('message/encoded-words');

const encode = (text: string, charset = 'UTF-8') => {
  const raw = charset === 'UTF-8' ? utf8(text) : text;
  return encodeWords(raw, textWords(raw, raw.indexOf(':') + 1), charset);
};

test('the words of a text are encoded where they need it', () => {
  const rows: [string, string, string][] = [
    ['Subject: plain', 'Subject: plain', 'nothing to do'],
    ['Subject: für dich', 'Subject: =?UTF-8?Q?f=C3=BCr?= dich', 'one word'],
    ['Subject: a für b', 'Subject: a =?UTF-8?Q?f=C3=BCr?= b', 'in the middle'],
    ['Subject: für  Jörg x', 'Subject: =?UTF-8?B?ZsO8ciAgSsO2cmc=?= x', 'neighbours share a word with their blanks'],
    ['Subject: für x Jörg', 'Subject: =?UTF-8?Q?f=C3=BCr?= x =?UTF-8?B?SsO2cmc=?=', 'an ASCII word between stays'],
    ['Subject: Привет', 'Subject: =?UTF-8?B?0J/RgNC40LLQtdGC?=', 'B where it is shorter'],
    ['Subject: =?utf-8?Q?a?= é b', 'Subject: =?utf-8?Q?a?= =?UTF-8?B?IMOp?= b', 'the blank behind an encoded word moves inside'],
    ['Subject: é =?utf-8?Q?a?=', 'Subject: =?UTF-8?B?w6kg?= =?utf-8?Q?a?=', 'and the one before'],
    ['Subject:é', 'Subject: =?UTF-8?B?w6k=?=', 'no blank behind the colon'],
    ['Subject:\n\té\n  x ', 'Subject:\n\t=?UTF-8?B?w6k=?=\n  x ', 'folding stays'],
    ['Subject: é\n ü', 'Subject: =?UTF-8?B?w6kgw7w=?=', 'folding between neighbours is a blank'],
    ['Subject: =?é?=', 'Subject: =?UTF-8?B?PT/DqT89?=', 'what looks like an encoded word'],
    ['X: a_b=é?', 'X: =?UTF-8?B?YV9iPcOpPw==?=', 'what Q cannot hold'],
  ];
  for (const [input, expected, why] of rows) {
    assert.equal(encode(input), expected, why);
    assert.equal(
      decodeEncoded(expected).replaceAll(/[ \t]+/g, ' '),
      decodeEncoded(utf8(input))
        .replaceAll(/[ \t]+/g, ' ')
        .replace(/^Subject:(?=\S)/, 'Subject: '),
      why,
    );
  }
});

test('octets of an unknown charset are encoded as unknown-8bit', () => {
  assert.equal(encode('X: J\xf6rg \xff', 'unknown-8bit'), 'X: =?unknown-8bit?B?SvZyZyD/?=');
});

test('lines are folded where an encoded word would not fit', () => {
  const long = encode(`Subject: ${'x'.repeat(60)} für ${'y'.repeat(60)}`);
  assert.equal(long, `Subject: ${'x'.repeat(60)}\n =?UTF-8?Q?f=C3=BCr?=\n ${'y'.repeat(60)}`);
  // The shortest first word is one that any character fits in.
  for (const [count, between] of [
    [42, ' '],
    [43, '\n '],
  ] as const)
    assert.equal(encode(`Subject: ${'x'.repeat(count)} é`), `Subject: ${'x'.repeat(count)}${between}=?UTF-8?B?w6k=?=`);
  // What follows stays in its line where it fits.
  const word = ' =?UTF-8?B?w6k=?=';
  for (const [count, between] of [
    [76 - 'Subject:'.length - word.length - 1, ' '],
    [76 - 'Subject:'.length - word.length, '\n '],
  ] as const)
    assert.equal(encode(`Subject: é ${'x'.repeat(count)}`), `Subject:${word}${between}${'x'.repeat(count)}`);
  const blanks = `Subject: a\n${' '.repeat(70)}é b`;
  assert.equal(encode(blanks), 'Subject: a\n =?UTF-8?B?w6k=?= b', 'a line of blanks is never left');
  const many = encode(`Subject: ${'äöü'.repeat(100)}`);
  assert.deepEqual(encodedFaults(many), []);
  assert.equal(decodeEncoded(many), `Subject: ${'äöü'.repeat(100)}`);
});

test('the words of a comment are found', () => {
  const raw = '(a (b\\) c)\n d\\"e)';
  assert.deepEqual(
    commentWords(raw, 0, raw.length).map(({ start, end, content }) => [raw.slice(start, end), content]),
    [
      ['a', 'a'],
      ['b\\)', 'b)'],
      ['c', 'c'],
      ['d\\"e', 'd"e'],
    ],
  );
  for (const [comment, last] of [
    ['(a né', 'né'],
    ['(a\\', 'a\\'],
    ['(a ', 'a'],
  ] as const) {
    const { start, end } = commentWords(comment, 0, comment.length).at(-1) ?? { start: 0, end: 0 };
    assert.equal(comment.slice(start, end), last, 'a comment that is not closed');
  }
  const beside = utf8('To: a@b (=?utf-8?Q?a?= é)');
  assert.equal(encodeWords(beside, commentWords(beside, 8, beside.length), 'UTF-8'), 'To: a@b (=?utf-8?Q?a?= =?UTF-8?B?IMOp?=)');
  const open = utf8('To: a@b (José né');
  assert.equal(encodeWords(open, commentWords(open, 8, open.length), 'UTF-8'), 'To: a@b (=?UTF-8?B?Sm9zw6kgbsOp?=');
  const jose = utf8('To: a@b (José (né) x)');
  assert.equal(encodeWords(jose, commentWords(jose, 8, jose.length), 'UTF-8'), 'To: a@b (=?UTF-8?B?Sm9zw6k=?= (=?UTF-8?B?bsOp?=) x)');
});

test('a display name of a composed field', () => {
  const rows: [string, string, string][] = [
    ['', '', 'none'],
    [' \t', '', 'blanks'],
    ['Cron Daemon', 'Cron Daemon', 'atoms'],
    ["O'Neil", "O'Neil", 'an apostrophe is a letter'],
    ['J. Doe', '"J. Doe"', 'a dot'],
    ['Doe, John <x@y>', '"Doe, John <x@y>"', 'specials'],
    ['a "b" \\c', '"a \\"b\\" \\\\c"', 'quotes and backslash'],
    ['a  b', '"a  b"', 'two blanks'],
    ['=?utf-8?Q?x?=', '"=?utf-8?Q?x?="', 'what looks like an encoded word is text'],
    ['a\r\nBcc: evil@x\0', '"a Bcc: evil@x"', 'a line end breaks nothing'],
    ['a\u2028b\u0085c', 'a b c', 'line ends of Unicode'],
    ['Jörg', '=?UTF-8?B?SsO2cmc=?=', 'outside ASCII'],
    ['Jörg\r\nX: y', '=?UTF-8?Q?J=C3=B6rg_X=3A_y?=', 'a line end in it'],
  ];
  for (const [text, expected, why] of rows) assert.equal(printPhrase(text), expected, why);
  assert.equal(printPhrase('x'.repeat(200)), 'x'.repeat(200));
  assert.match(printPhrase('x'.repeat(201)), /^=\?UTF-8\?Q\?x+\?=\n /);
  for (const text of ['x'.repeat(5000), 'Д'.repeat(2000), `${'"'.repeat(300)}`]) {
    assert.deepEqual(encodedFaults(`Resent-From: ${printPhrase(text)}`), []);
    assert.equal(decodeEncoded(printPhrase(text)), text);
  }
});

const octet = fc
  .oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }), fc.stringMatching(/^[ -~]{1,20}$/))
  .map((text) => text.replaceAll(/[\s\p{Cc}\p{Cs}()]/gu, 'z'));
const word = fc.oneof(
  { weight: 4, arbitrary: octet },
  { weight: 1, arbitrary: fc.constantFrom('=?utf-8?Q?caf=C3=A9?=', '=?ISO-8859-1?B?6Q==?=', '?=', '=?') },
);
const blank = fc.constantFrom(' ', '  ', '\t', '\n ', '\n\t ');

test('a reader shows the text that was written, and every line is as RFC 2047 wants it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(word, blank), { minLength: 1, maxLength: 12 }), (parts) => {
      const raw = utf8(`Subject: ${parts.map(([text, b], index) => text + (index < parts.length - 1 ? b : '')).join('')}`);
      const out = encodeWords(raw, textWords(raw, 8), 'UTF-8');
      const same = (text: string) => text.replaceAll(/[ \t]+/g, ' ');
      assert.equal(same(decodeEncoded(out)), same(decodeEncoded(raw)));
      assert.deepEqual(
        encodedFaults(out).filter((fault) => !fault.startsWith('a line of') || fault.includes('=?UTF-8?')),
        [],
      );
      assert.equal(encodeWords(out, textWords(out, 8), 'UTF-8'), out, 'encoding again changes nothing');
    }),
    { numRuns: 500 },
  );
});

test('characters of any length are packed whole, in both encodings, whatever room the first line has', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 120, minLength: 1 }), fc.integer({ min: 24, max: 75 }), (text, room) => {
      const clean = text;
      const words = makeEncodedWords(utf8(clean), 'UTF-8', room);
      assert.ok((words[0] as string).length <= room);
      assert.ok(words.every(({ length }) => length <= 75));
      assert.equal(words.map(decodeEncoded).join(''), clean.replace(/^\ufeff/, ''));
    }),
  );
});

test('each word holds as much as it may', () => {
  const sizes = (words: readonly string[]) => words.map((word) => [...decodeEncoded(word)].length);
  assert.deepEqual(sizes(makeEncodedWords('\xe9'.repeat(100), 'ISO-8859-1', 75)), [42, 42, 16]);
  assert.deepEqual(sizes(makeEncodedWords('\xe9'.repeat(100), 'ISO-8859-1', 17 + 12)), [9, 42, 42, 7]);
  assert.deepEqual(sizes(makeEncodedWords('x'.repeat(200), 'UTF-8', 62)), [50, 63, 63, 24]);
  assert.deepEqual(sizes(makeEncodedWords(utf8('é'.repeat(100)), 'UTF-8', 75)), [22, 22, 22, 22, 12]);
});

test('a character that leaves no room for another stands alone', () => {
  const frame = '=?UTF-8?Q??='.length;
  // So much ASCII follows that Q is the shorter one.
  const [first, second] = makeEncodedWords(utf8(`😀😀${'x'.repeat(50)}`), 'UTF-8', frame + 12);
  assert.deepEqual([first, second?.slice(0, 24)], ['=?UTF-8?Q?=F0=9F=98=80?=', '=?UTF-8?Q?=F0=9F=98=80xx']);
  for (const [character, room] of [
    ['€', 12],
    ['😀', 12],
    ['é', 12],
    ['€', 17],
    ['€', 18],
  ] as const) {
    const words = makeEncodedWords(utf8(character.repeat(20)), 'UTF-8', frame + room);
    assert.ok((words[0] as string).length <= frame + room, words[0]);
    assert.ok(words.every(({ length }) => length <= 75));
    assert.equal(words.map(decodeEncoded).join(''), character.repeat(20));
    const fits = /[?]Q[?]/.test(words[0] as string)
      ? Math.floor(room / utf8(character).length / 3)
      : Math.floor(((room - (room % 4)) * 0.75) / utf8(character).length);
    assert.equal([...decodeEncoded(words[0] as string)].length, fits, `${character} in ${room}`);
  }
});

test('large fields are linear work', () => {
  const n = 100_000;
  for (const text of [
    `${'é '.repeat(n)}`,
    'é'.repeat(n),
    'é x '.repeat(n),
    ' '.repeat(n),
    `${'é'.padEnd(100)}`.repeat(n / 100),
    '=?a?q?b?= é '.repeat(n / 10),
  ]) {
    const raw = utf8(`Subject: ${text}`);
    encodeWords(raw, textWords(raw, 8), 'UTF-8');
  }
  const comment = utf8(`(${'é ('.repeat(n)}`);
  assert.equal(commentWords(comment, 0, comment.length).length, n);
});

test.run();
