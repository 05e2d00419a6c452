import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { base64Lines, type PartWriter, quotedPrintable } from '../../src/message/mime/encodings.ts';
import {
  delimits,
  encodeParameters,
  entityOf,
  fieldNameOf,
  fieldsOf,
  isHeaderLine,
  parseParameters,
  withEncoding,
} from '../../src/message/mime/mime.ts';
import { makeOctetBuffer, type OctetBuffer } from '../../src/message/octet-buffer.ts';
import { octets, utf8 } from '../../src/smtp/text.ts';

const test = suite('message/mime');

const FIELDS: [string, string[], string][] = [
  ['', [], 'nothing'],
  ['A: 1\nB: 2\r\nC: 3\r', ['A: 1\n', 'B: 2\r\n', 'C: 3\r'], 'every line end'],
  ['A: 1\r\n 2\n\t3\nB: 4', ['A: 1\r\n 2\n\t3\n', 'B: 4'], 'folds stay with their field'],
];
for (const [header, expected, why] of FIELDS) {
  test(`fieldsOf: ${why}`, () => assert.deepEqual(fieldsOf(header), expected));
}

test('fieldNameOf: in lower case, without blanks before the colon; none without a colon', () => {
  assert.deepEqual(['Content-Type : a/b', 'X:', 'no field'].map(fieldNameOf), ['content-type', 'x', '']);
});

test('isHeaderLine: a field, the rest of one, or an mbox line', () => {
  for (const line of ['A: b', 'A:', 'A-b \t: c', ' folded', '\tfolded', 'From x y']) assert.equal(isHeaderLine(line), true, line);
  for (const line of ['', 'text', 'two words: x', ': x', 'é: x', '>From x', '--b']) assert.equal(isHeaderLine(line), false, line);
});

const TYPES: [string, string, string, string][] = [
  ['', 'text/plain', '', 'no field'],
  ['content-type: IMAGE/PNG\n', 'image/png', '', 'in lower case'],
  ['Content-Type: text/html\nContent-Type: image/png\n', 'text/html', '', 'the first field counts'],
  ['Content-Type: (a (nested \\) ) comment) text / html (b)\n', 'text/html', '', 'comments'],
  ['Content-Type:(a)text/html\n', 'text/html', '', 'a comment right behind the colon'],
  ['Content-Type:text/html\n', 'text/html', '', 'no blank behind the colon'],
  ['Content-Type: multipart/mixed;(a)boundary=a (b (c\\)) d)e\n', 'multipart/mixed', 'a e', 'a comment stands for nothing'],
  ['Content-Type: multipart/mixed; x=a;boundary=b\n', 'multipart/mixed', 'b', 'no blank behind a semicolon'],
  ['Content-Type: nonsense\n', 'text/plain', '', 'no type: text/plain'],
  ['Content-Type: \n', 'text/plain', '', 'an empty field'],
  ['Content-Type: multipart/mixed; boundary=abc\n', 'multipart/mixed', 'abc', 'a bare boundary'],
  ['Content-Type: multipart/mixed;\r\n\tBoundary = "a b:c" ; x=y\n', 'multipart/mixed', 'a b:c', 'folded and quoted'],
  ['Content-Type: multipart/mixed; x="; boundary=no"; boundary=yes\n', 'multipart/mixed', 'yes', 'a semicolon in quotes'],
  ['Content-Type: multipart/mixed; x; y=; boundary=yes;\n', 'multipart/mixed', 'yes', 'parameters without a value'],
  ['Content-Type: multipart/mixed; boundary="a\\"b\\\\c"\n', 'multipart/mixed', 'a"b\\c', 'quoted pairs'],
  ['Content-Type: multipart/mixed; boundary="open\n', 'multipart/mixed', 'open', 'a quote that is not closed'],
  ['Content-Type: multipart/mixed; boundary=a(b)=?c (comment)\n', 'multipart/mixed', 'a(b)=?c', 'specials that some leave unquoted'],
  ['Content-Type: multipart/mixed; boundary="x "\n', 'multipart/mixed', 'x', 'no blank ends a boundary'],
  ['Content-Type: multipart/mixed; boundary=a; boundary=b\n', 'multipart/mixed', 'a', 'the first parameter counts'],
  ['Content-Type: multipart/mixed; boundary*0="a;"; boundary*1=b\n', 'multipart/mixed', 'a;b', 'continued (RFC 2231 §3)'],
  ["Content-Type: multipart/mixed; boundary*=us-ascii'en'a%20b%3d\n", 'multipart/mixed', 'a b=', 'encoded (RFC 2231 §4)'],
  ["Content-Type: multipart/mixed; boundary*0*=us-ascii''a%2f; boundary*1=%2f\n", 'multipart/mixed', 'a/%2f', 'continued, partly encoded'],
];
for (const [header, type, boundary, why] of TYPES) {
  test(`entityOf: ${why}`, () => {
    const entity = entityOf(header, 'text/plain');
    assert.equal(`${entity.type}/${entity.subtype}`, type);
    assert.equal(entity.boundary, boundary === '' ? null : boundary);
  });
}

const NO_BOUNDARY: [string, string][] = [
  ['""', 'empty'],
  ["*=us-ascii''a%0ab", 'with a line end'],
  ["*=utf-8''gr%C3%BC", 'outside ASCII, whose delimiters are not seven bits,'],
  [`=${'x'.repeat(1000)}`, 'that no delimiter is long enough for'],
];
for (const [boundary, why] of NO_BOUNDARY) {
  test(`entityOf: a boundary ${why} is none`, () => {
    assert.equal(
      entityOf(`Content-Type: multipart/mixed; boundary${boundary.startsWith('*') ? '' : '='}${boundary}\n`, 'text/plain').boundary,
      null,
    );
  });
}

const ENCODINGS: [string, string | null][] = [
  ['', null],
  ['Content-Transfer-Encoding: 8BIT\n', '8bit'],
  ['Content-Transfer-Encoding:\r\n (a) base64 (b)\r\n', 'base64'],
  ['Content-Transfer-Encoding: "7bit"\n', '7bit'],
  ['Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64\n', '8bit'],
  ['Content-Transfer-Encoding: X-Own thing\n', 'x-own'],
  ['Content-Transfer-Encoding: 8bit;\n', '8bit'],
  ['Content-Transfer-Encoding: 8bit; charset=utf-8\n', '8bit'],
  ['Content-Transfer-Encoding: 8bit(a;b)\n', '8bit'],
  ['Content-Transfer-Encoding: \n', null],
  ['Content-Transfer-Encoding: (none)\n', null],
  ['Content-Transfer-Encoding: ""\n', null],
];
for (const [header, expected] of ENCODINGS) {
  test(`entityOf: encoding ${JSON.stringify(header)}`, () => assert.equal(entityOf(header, 'text/plain').encoding, expected));
}

test('entityOf: the fallback counts only where no type is named', () => {
  assert.equal(entityOf('A: b\n', 'message/rfc822').type, 'message');
  assert.equal(entityOf('Content-Type: text/plain\n', 'message/rfc822').type, 'text');
});

const REWRITTEN: [string, boolean, string, string][] = [
  ['A: b\n', false, 'A: b\nCTE: base64\r\n', 'at the end when there was none'],
  ['CTE: 8bit\r\nA: b\n', false, 'CTE: base64\r\nA: b\n', 'in its place'],
  ['A: b\ncte:\n 8bit\nC: d\nCTE: 7bit\n', false, 'A: b\nCTE: base64\r\nC: d\n', 'folded, and a second one goes'],
  ['A: b\n', true, 'A: b\nMIME-Version: 1.0\r\nCTE: base64\r\n', 'with a version'],
  ['mime-version: 1.0\n', true, 'mime-version: 1.0\nCTE: base64\r\n', 'that is there already'],
];
for (const [header, version, expected, why] of REWRITTEN) {
  const full = (text: string): string => text.replace(/CTE/g, 'Content-Transfer-Encoding').replace(/cte/g, 'content-transfer-encoding');
  test(`withEncoding: ${why}`, () => assert.equal(withEncoding(full(header), 'base64', version), full(expected)));
}

const PARAMETERS: [string, string | null, string][] = [
  ['Content-Type: a/b; name="é.txt"\n', "Content-Type: a/b; name*=utf-8''%C3%A9.txt\n", 'quoted'],
  ['Content-Type: a/b;\n name = \xe9.txt; x=y\n', "Content-Type: a/b;\n name*=latin''%E9.txt; x=y\n", 'bare, and not UTF-8'],
  [
    'Content-Type: a/b; x="a\\"b"; y="\\é \'%*"\n',
    'Content-Type: a/b; x="a\\"b"; y*=utf-8\'\'%C3%A9%20%27%25%2A\n',
    'quoted pairs, and characters with a meaning',
  ],
  ['Content-Type: a/b; x="é\r\n y"\n', "Content-Type: a/b; x*=utf-8''%C3%A9%20y\n", 'folded within the quotes'],
  ['Content-Type: a/b (é)\n', null, 'a comment'],
  ['Content-Type: a/b; é=x\n', null, 'a name'],
  [`Content-Type: a/b; x="${'é'.repeat(200)}"\n`, null, 'a value that makes the line too long'],
  ['Content-Type: a/b; x="é" é\n', null, 'behind a value'],
];
for (const [field, expected, why] of PARAMETERS) {
  const form = (text: string): string => (text.includes('\xe9.txt') && expected?.includes('latin') ? text : utf8(text));
  test(`encodeParameters: ${why}`, () => assert.equal(encodeParameters(form(field), 'latin'), expected));
}

test('encodeParameters: a line may have 998 octets', () => {
  const made = (letters: number): string => encodeParameters(utf8(`C: a; x="é${'y'.repeat(letters)}"\r\n`), 'latin') ?? '';
  const most = 998 - "C: a; x*=utf-8''%C3%A9".length;
  assert.deepEqual([made(most).length, made(most + 1)], [1000, '']);
});

test('parseParameters: from the first semicolon on, wherever it stands', () => {
  for (const [text, expected] of [
    ['', []],
    ['a/b', []],
    ['a;;x=1', [['x', '1']]],
    [';x=1', [['x', '1']]],
    [
      '; X = "1;2" ; y=\t3 ; z',
      [
        ['x', '1;2'],
        ['y', '3'],
      ],
    ],
    ['a; x="1', [['x', '1']]],
    ['a; x="', [['x', '']]],
    [
      'a; x=""; y=',
      [
        ['x', ''],
        ['y', ''],
      ],
    ],
    [
      'a;=1;b=2',
      [
        ['', '1'],
        ['b', '2'],
      ],
    ],
    ['a; b; c; d=1', [['d', '1']]],
    [
      'a; d="\\"1\\\\" e; f=2',
      [
        ['d', '"1\\'],
        ['f', '2'],
      ],
    ],
  ] as const)
    assert.deepEqual([...parseParameters(text)], expected, text);
});

test('a boundary may be continued so often as makes sense, and be as long as a delimiter', () => {
  const boundaryOf = (parameters: string) => entityOf(`Content-Type: multipart/mixed${parameters}\n`, 'text/plain').boundary;
  const continued = (count: number) => boundaryOf(Array.from({ length: count }, (_, i) => `; boundary*${i}=abcdefghij`).join(''));
  assert.equal(continued(12), 'abcdefghij'.repeat(12));
  assert.equal(continued(99), 'abcdefghij'.repeat(99));
  assert.deepEqual([continued(100), continued(500)], [null, null]);
  assert.equal(boundaryOf(`; boundary=${'x'.repeat(995)}`)?.length, 995);
  assert.equal(boundaryOf(`; boundary=${'x'.repeat(996)}`), null);
  assert.equal(boundaryOf('; boundary*0=a; boundary*2=c'), 'a');
  assert.equal(boundaryOf("; boundary*0*=a'b'%41; boundary*1*=%42'c'"), "AB'c'");
  assert.equal(boundaryOf("; boundary*=''%41%4; boundary*0=b"), 'A%4b');
  assert.equal(boundaryOf('; boundary="x\ty \t"'), 'x\ty');
});

test('encodeParameters takes no time over a hostile field', () => {
  // 64 KiB is what a part header may have; a pattern that backtracks would not come back.
  for (const field of [
    `C: a; x="${'\\'.repeat(60_000)}é`,
    `C: a${'; '.repeat(30_000)}é`,
    `C: a; x=${'é'.repeat(30_000)}"`,
    `C: a;${' '.repeat(60_000)}é`,
    `C: a; ${'x'.repeat(60_000)}é`,
    `C: a; x="${'é'.repeat(30_000)}`,
    `C: a;${'\r\n '.repeat(20_000)}é`,
    `C: a${';x="'.repeat(16_000)}é`,
    `C: a;x=${';x='.repeat(20_000)}é`,
  ]) {
    const before = process.cpuUsage();
    assert.equal(encodeParameters(utf8(field), 'latin'), null, field.slice(0, 12));
    // Microseconds of the processor, which others on the machine do not lengthen.
    assert.ok(process.cpuUsage(before).user < 1_000_000, field.slice(0, 12));
  }
});

const DELIMITERS: [string, string, 'next' | 'last' | null][] = [
  ['--b', 'b', 'next'],
  ['--b--', 'b', 'last'],
  ['--b \t ', 'b', 'next'],
  ['--b-- \t', 'b', 'last'],
  ['--b-', 'b', null],
  ['--b---', 'b', null],
  ['--b-x', 'b', null],
  ['--bx-', 'b', null],
  ['--b --', 'b', null],
  ['--bb', 'b', null],
  ['--', 'b', null],
  ['--b', 'b-', null],
  ['--b--', 'b--', 'next'],
  ['--b----', 'b--', 'last'],
  [`--b${' '.repeat(997)}`, 'b', 'next'],
  [`--b${' '.repeat(998)}`, 'b', null],
];
for (const [line, boundary, expected] of DELIMITERS) {
  test(`delimits: ${JSON.stringify(line.slice(0, 12))} of ${line.length} octets for ${boundary}: ${expected}`, () => {
    assert.equal(delimits(octets(line), boundary), expected);
  });
}

/** Returns the octets that a writer makes of `text` in chunks of `size`. */
function made(make: (out: OctetBuffer) => PartWriter, text: string, size: number): string {
  const out = makeOctetBuffer();
  const sink = make(out);
  for (let i = 0; i < text.length; i += size) sink.write(octets(text.slice(i, i + size)));
  sink.finish();
  return out.octets.toString('latin1', 0, out.length);
}

/** RFC 2045 §6.7 read backwards: soft line breaks go, `=XX` is an octet. */
const plain = (encoded: string): string =>
  encoded.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
const wire = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');

const anyOctets = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\r',
        '\n',
        '\r\n',
        ' ',
        '\t',
        '=',
        'a',
        '~',
        '!',
        '\x7f',
        '\0',
        '\x80',
        '\xff',
        ' '.repeat(80),
        'x'.repeat(74),
        'y'.repeat(75),
        'z'.repeat(76),
      ),
      fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)),
    ),
    { maxLength: 40 },
  )
  .map((words) => words.join(''));

test('quoted-printable: what comes back is what went in, and every line obeys the rules', () => {
  fc.assert(
    fc.property(anyOctets, fc.integer({ min: 1, max: 50 }), (text, size) => {
      const encoded = made(quotedPrintable, text, size);
      assert.equal(encoded, made(quotedPrintable, text, text.length + 1), 'the cut does not matter');
      assert.equal(plain(encoded), wire(text));
      for (const line of encoded.split('\r\n')) {
        assert.match(line, /^(?:[!-<>-~ \t]|=[0-9A-F]{2})*=?$/);
        assert.ok(line.length <= 76, `${line.length} characters`);
        assert.doesNotMatch(line, /[ \t]$/);
      }
    }),
    { numRuns: 1000 },
  );
});

test('quoted-printable: three octets for one and more fit, however many come at once', () => {
  assert.equal(plain(made(quotedPrintable, '\xff'.repeat(50_000), 50_000)), '\xff'.repeat(50_000));
  assert.equal(made(quotedPrintable, ' \n'.repeat(50_000), 50_000), '=20\r\n'.repeat(50_000));
});

test('quoted-printable: the soft line break comes where it must, not before', () => {
  assert.equal(made(quotedPrintable, 'x'.repeat(75), 7), 'x'.repeat(75));
  assert.equal(made(quotedPrintable, 'x'.repeat(76), 7), `${'x'.repeat(75)}=\r\nx`);
  assert.equal(made(quotedPrintable, `${'x'.repeat(72)}=`, 7), `${'x'.repeat(72)}=3D`);
  assert.equal(made(quotedPrintable, `${'x'.repeat(73)}=`, 7), `${'x'.repeat(73)}=\r\n=3D`);
});

test('base64: what comes back is what went in, in lines of 76, the last without a line end', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        anyOctets,
        fc.integer({ min: 0, max: 20_000 }).map((n) => 'ab\n'.repeat(n)),
      ),
      fc.integer({ min: 1, max: 9000 }),
      fc.boolean(),
      (text, size, lines) => {
        const encoded = made((out) => base64Lines(out, lines), text, size);
        assert.equal(Buffer.from(encoded, 'base64').toString('latin1'), lines ? wire(text) : text);
        const all = encoded.split('\r\n');
        assert.ok(all.every((line, i) => line.length === 76 || (i === all.length - 1 && line.length < 76)));
        assert.equal(encoded.replace(/\r\n/g, ''), Buffer.from(lines ? wire(text) : text, 'latin1').toString('base64'));
      },
    ),
    { numRuns: 300 },
  );
});

test.run();
