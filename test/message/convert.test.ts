import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { suite } from 'uvu';
import { CONVERT, type ConvertOptions, refuseEightBit, toSevenBit } from '../../src/message/mime/convert.ts';
import { CLEAN, type Ended, type Source, sourceOf } from '../../src/message/source.ts';
import { latin1, octets, utf8 } from '../../src/smtp/text.ts';

const test = suite('message/convert');

/** Chunks of `size` octets, each overwritten as soon as the next is asked for. */
function cut(text: string, size: number, end: Ended = CLEAN): Source {
  let at = 0;
  let last: Uint8Array | null = null;
  return {
    async read() {
      last?.fill(0x21);
      if (at >= text.length) return end;
      last = octets(text.slice(at, at + size));
      at += size;
      return last;
    },
    close: () => undefined,
  };
}

async function drained(source: Source): Promise<[string, Ended]> {
  const text: Buffer[] = [];
  for (;;) {
    const got = await source.read();
    if (!(got instanceof Uint8Array)) {
      assert.deepEqual(await source.read(), got, 'the end stays the same');
      return [Buffer.concat(text).toString('latin1'), got];
    }
    assert.ok(got.length > 0 && got.length <= 65536, 'chunks are neither empty nor large');
    text.push(Buffer.from(got));
  }
}

const convert = (text: string, options: Partial<ConvertOptions> = {}, size = text.length): Promise<[string, Ended]> =>
  drained(toSevenBit(cut(text, size), { ...CONVERT, ...options }));

/** Lines of a test message with LF. */
const lines = (...all: string[]): string => utf8(all.map((line) => `${line}\n`).join(''));
/** The same where a line that was encoded ends in CRLF: written `…~`. */
const result = (...all: string[]): string => all.map((line) => (line.endsWith('~') ? `${line.slice(0, -1)}\r\n` : `${line}\n`)).join('');

const MIXED = 'Content-Type: multipart/mixed; boundary=b';

const TABLE: [why: string, input: string, expected: string][] = [
  [
    'a 7-bit message is not changed by an octet',
    'A: b\r\nContent-Type: multipart/mixed; boundary=b\n\n--b\r\n\r\nx \r\n--b--\n\r.',
    'A: b\r\nContent-Type: multipart/mixed; boundary=b\n\n--b\r\n\r\nx \r\n--b--\n\r.',
  ],
  ['nor is an empty one', '', ''],
  ['nor a header section alone', 'A: b\n', 'A: b\n'],
  ['nor one with an empty body', 'A: b\n\n', 'A: b\n\n'],
  [
    'text declared 8bit becomes quoted-printable',
    lines('A: b', 'Content-Transfer-Encoding: 8bit', 'MIME-Version: 1.0', '', 'é = e'),
    result('A: b', 'Content-Transfer-Encoding: quoted-printable~', 'MIME-Version: 1.0', '', '=C3=A9 =3D e~'),
  ],
  [
    'undeclared text too, and a message that had no MIME-Version has one then',
    lines('A: b', '', 'é'),
    result('A: b', 'MIME-Version: 1.0~', 'Content-Transfer-Encoding: quoted-printable~', '', '=C3=A9~'),
  ],
  [
    'a part needs no MIME-Version',
    lines(MIXED, '', '--b', '', 'é', '--b--'),
    result(MIXED, '', '--b', 'Content-Transfer-Encoding: quoted-printable~', '', '=C3=A9', '--b--'),
  ],
  [
    'text declared 8bit that has no 8-bit octet is announced as 7bit, and untouched',
    lines('MIME-Version: 1.0', 'content-transfer-encoding:', '\t8BIT (comment)', '', 'a =  '),
    result('MIME-Version: 1.0', 'Content-Transfer-Encoding: 7bit~', '', 'a =  '),
  ],
  [
    'a line has 75 columns and the sign that it goes on, the next one as well',
    lines('A: b', '', `é${'x'.repeat(69)}${'y'.repeat(75)}`, 'z'.repeat(75), 'z'.repeat(76)),
    result(
      'A: b',
      'MIME-Version: 1.0~',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      `=C3=A9${'x'.repeat(69)}=~`,
      `${'y'.repeat(75)}~`,
      `${'z'.repeat(75)}~`,
      `${'z'.repeat(75)}=~`,
      'z~',
    ),
  ],
  [
    'a multipart without a part that has only seven bits stays as it is beside others',
    lines(MIXED, '', '--b', 'Content-Type: multipart/mixed; boundary=c', '', 'plain', '--b', '', 'é', '--b--'),
    result(
      ...[MIXED, '', '--b', 'Content-Type: multipart/mixed; boundary=c', '', 'plain', '--b'],
      ...['Content-Transfer-Encoding: quoted-printable~', '', '=C3=A9', '--b--'],
    ),
  ],
  ...['x-b', '-xb'].map((line): [string, string, string] => [
    `a line of which one hyphen is missing delimits nothing: ${line}`,
    lines(MIXED, '', '--b', line, 'é', line, '--b--'),
    result(MIXED, '', '--b', 'Content-Transfer-Encoding: quoted-printable~', '~', `${line}~`, '=C3=A9~', line, '--b--'),
  ]),
  [
    'blanks and tabs at the end of a line are encoded, within it they stand',
    lines('Content-Type: text/plain', 'MIME-Version: 1', 'Content-Transfer-Encoding: 8bit', '', 'é \t x', ' \t', 'y\t', ''),
    result(
      'Content-Type: text/plain',
      'MIME-Version: 1',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9 \t x~',
      ' =09~',
      'y=09~',
      '~',
    ),
  ],
  [
    'a blank before the delimiter is at the end of its line',
    lines(MIXED, '', '--b', 'Content-Transfer-Encoding: 8bit', '', 'é ', '--b--'),
    result(MIXED, '', '--b', 'Content-Transfer-Encoding: quoted-printable~', '', '=C3=A9=20', '--b--'),
  ],
  [
    'every kind of line end is one',
    `MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n\xe9\ra\r\nb\n\r\rc\r`,
    'MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\r\n\n=E9\r\na\r\nb\r\n\r\n\r\nc\r\n',
  ],
  [
    'an 8-bit part that is no text becomes base64, its lines with CRLF',
    lines(MIXED, '', '--b', 'Content-Type: application/json', 'Content-Transfer-Encoding: 8bit', '', '"é"', '1', '--b--'),
    result(
      MIXED,
      '',
      '--b',
      'Content-Type: application/json',
      'Content-Transfer-Encoding: base64~',
      '',
      Buffer.from('"é"\r\n1').toString('base64'),
      '--b--',
    ),
  ],
  [
    'a binary part becomes base64 octet for octet, text too',
    `${MIXED}\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\n\0a\nb\rc\r\n\r\n--b--\r\n`,
    `${MIXED}\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from('\0a\nb\rc\r\n').toString('base64')}\r\n--b--\r\n`,
  ],
  [
    'quoted-printable and base64 parts pass as they are',
    lines(
      MIXED,
      '',
      '--b',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      '=e9 ',
      '--b',
      'Content-Transfer-Encoding: BASE64',
      '',
      '6Q',
      '--b--',
    ),
    lines(
      MIXED,
      '',
      '--b',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      '=e9 ',
      '--b',
      'Content-Transfer-Encoding: BASE64',
      '',
      '6Q',
      '--b--',
    ),
  ],
  [
    'a multipart and an enclosed message stay what they are, with 7bit',
    lines(
      MIXED,
      'Content-Transfer-Encoding: 8bit',
      '',
      '--b',
      'Content-Type: message/rfc822',
      'Content-Transfer-Encoding: binary',
      '',
      'S: x',
      '',
      'é',
      '--b--',
    ),
    result(
      MIXED,
      'Content-Transfer-Encoding: 7bit~',
      '',
      '--b',
      'Content-Type: message/rfc822',
      'Content-Transfer-Encoding: 7bit~',
      '',
      'S: x',
      'MIME-Version: 1.0~',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9',
      '--b--',
    ),
  ],
  [
    'a part of a digest is an enclosed message',
    lines('Content-Type: multipart/digest; boundary=b', '', '--b', '', 'S: x', '', 'é', '--b--'),
    result(
      'Content-Type: multipart/digest; boundary=b',
      '',
      '--b',
      '',
      'S: x',
      'MIME-Version: 1.0~',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9',
      '--b--',
    ),
  ],
  [
    'preamble and epilogue, which nobody is shown, get question marks',
    lines(MIXED, '', 'pré', '--b', '', 'x', '--b--', 'épi'),
    lines(MIXED, '', 'pr??', '--b', '', 'x', '--b--', '??pi'),
  ],
  [
    'lines that only look like delimiters are text',
    lines(MIXED, '', '--b', '', '--bb', '--b-', '--b--x', '-b', '--', ' --b', '--b x', 'é', '--b-- \t', '--b', 'end é'),
    result(
      MIXED,
      '',
      '--b',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '--bb~',
      '--b-~',
      '--b--x~',
      '-b~',
      '--~',
      ' --b~',
      '--b x~',
      '=C3=A9',
      '--b-- \t',
      '--b',
      'end ??',
    ),
  ],
  [
    'boundaries of which one begins with the other',
    lines('Content-Type: multipart/mixed; boundary="b-"', '', '--b-', MIXED, '', '--b', '', 'é', '--b--', '--b---', 'x é'),
    result(
      'Content-Type: multipart/mixed; boundary="b-"',
      '',
      '--b-',
      MIXED,
      '',
      '--b',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9',
      '--b--',
      '--b---',
      'x ??',
    ),
  ],
  [
    'the delimiter of an outer multipart ends the inner ones',
    lines('Content-Type: multipart/mixed; boundary=o', '', '--o', MIXED, '', '--b', '', 'é', '--o', '', 'é', '--b', 'é', '--o--'),
    result(
      'Content-Type: multipart/mixed; boundary=o',
      '',
      '--o',
      MIXED,
      '',
      '--b',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9',
      '--o',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9~',
      '--b~',
      '=C3=A9',
      '--o--',
    ),
  ],
  [
    'a boundary that is another one with two hyphens: the inner multipart is asked first',
    lines(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: multipart/mixed; boundary="b--"',
      '',
      '--b--',
      '',
      'é',
      '--b----',
      '--b',
    ),
    result(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: multipart/mixed; boundary="b--"',
      '',
      '--b--',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9',
      '--b----',
      '--b',
    ),
  ],
  [
    'the line end at the end of a multipart that is never closed is no part of its last part',
    lines(MIXED, '', '--b', 'Content-Type: a/b', '', 'é', ''),
    result(MIXED, '', '--b', 'Content-Type: a/b', 'Content-Transfer-Encoding: base64~', '', Buffer.from('é\r\n').toString('base64')),
  ],
  ['a multipart that is never closed', `${MIXED}\n\n--b\n\n\xe9`, `${MIXED}\n\n--b\nContent-Transfer-Encoding: quoted-printable\r\n\n=E9`],
  [
    'a part that ends within its header section',
    lines(MIXED, '', '--b', 'A: b', '--b', '--b--'),
    lines(MIXED, '', '--b', 'A: b', '--b', '--b--'),
  ],
  [
    'a part without an empty line before its text gets one when it is encoded',
    lines(MIXED, '', '--b', 'A: b', 'né', '--b--'),
    result(MIXED, '', '--b', 'A: b', 'Content-Transfer-Encoding: quoted-printable~', '~', 'n=C3=A9', '--b--'),
  ],
  [
    'so does a binary one',
    lines(MIXED, '', '--b', 'Content-Transfer-Encoding: binary', 'né', '--b--'),
    result(MIXED, '', '--b', 'Content-Transfer-Encoding: base64~', '~', 'bsOp', '--b--'),
  ],
  [
    'behind a part that ends within its header section comes what no reader shows',
    lines(MIXED, '', '--b', 'A: b', '--b--', 'é'),
    lines(MIXED, '', '--b', 'A: b', '--b--', '??'),
  ],
  [
    'an article within a message is looked into as a message is',
    lines('Content-Type: message/news', '', 'A: b', '', 'é'),
    result('Content-Type: message/news', '', 'A: b', 'MIME-Version: 1.0~', 'Content-Transfer-Encoding: quoted-printable~', '', '=C3=A9~'),
  ],
  [
    'a multipart without an empty line before its parts gets none',
    lines(MIXED, '--b', '', 'é', '--b--'),
    result(MIXED, '--b', 'Content-Transfer-Encoding: quoted-printable~', '', '=C3=A9', '--b--'),
  ],
  [
    'a second encoding field goes, the first counts',
    lines('MIME-Version: 1.0', 'Content-Transfer-Encoding: 8bit', 'A: b', 'Content-Transfer-Encoding: base64', '', 'é'),
    result('MIME-Version: 1.0', 'Content-Transfer-Encoding: quoted-printable~', 'A: b', '', '=C3=A9~'),
  ],
  [
    'a multipart without a boundary has no parts',
    lines('Content-Type: multipart/mixed', '', '--b', '', 'x'),
    lines('Content-Type: multipart/mixed', '', '--b', '', 'x'),
  ],
  [
    'what cannot be 7bit for its NUL or long lines is encoded where 8bit was declared',
    `MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\na\0b\n`,
    'MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\r\n\na=00b\r\n',
  ],
  [
    'and for a line of 999 octets',
    `MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n${'x'.repeat(999)}\n`,
    `MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\r\n\n${`${'x'.repeat(75)}=\r\n`.repeat(13)}${'x'.repeat(24)}\r\n`,
  ],
  [
    'but not for one of 998',
    `Content-Transfer-Encoding: 8bit\n\n${'x'.repeat(998)}\n`,
    `Content-Transfer-Encoding: 7bit\r\n\n${'x'.repeat(998)}\n`,
  ],
  [
    'a signed multipart of 7-bit octets passes untouched, and what follows it is converted',
    lines(
      MIXED,
      '',
      '--b',
      'Content-Type: multipart/signed; boundary=s',
      '',
      '--s',
      'Content-Transfer-Encoding: 8bit',
      '',
      'x ',
      '--s--',
      '--b',
      '',
      'é',
      '--b--',
    ),
    result(
      MIXED,
      '',
      '--b',
      'Content-Type: multipart/signed; boundary=s',
      '',
      '--s',
      'Content-Transfer-Encoding: 8bit',
      '',
      'x ',
      '--s--',
      '--b',
      'Content-Transfer-Encoding: quoted-printable~',
      '',
      '=C3=A9',
      '--b--',
    ),
  ],
  [
    'parameters of a part with 8-bit octets are encoded as RFC 2231 has them',
    lines(
      MIXED,
      '',
      '--b',
      'Content-Type: text/plain; name="für \\"mich\\".txt"',
      'Content-Disposition: attachment;',
      '\tfilename=ö.txt; x=1',
      '',
      'x',
      '--b--',
    ),
    lines(
      MIXED,
      '',
      '--b',
      "Content-Type: text/plain; name*=utf-8''f%C3%BCr%20%22mich%22.txt",
      'Content-Disposition: attachment;',
      "\tfilename*=utf-8''%C3%B6.txt; x=1",
      '',
      'x',
      '--b--',
    ),
  ],
];

for (const [why, input, expected] of TABLE) {
  test(why, async () => {
    for (const size of [1, 2, 3, 5, 11, Math.max(1, input.length)]) {
      assert.deepEqual(await convert(input, {}, size), [expected, CLEAN], `chunks of ${size}`);
    }
  });
}

const FAILURES: [why: string, input: string, options: Partial<ConvertOptions>, detail: RegExp][] = [
  [
    'an 8-bit octet in a message whose part has no header section and no empty line that it could be labelled behind',
    lines('Content-Type: multipart/digest; boundary=z', '', '--z', '-', 'é', '--z--'),
    {},
    /cannot be encoded \(message\/rfc822/,
  ],
  [
    'an 8-bit octet in a multipart with the boundary of the one around it, which is no multipart to other readers',
    lines(MIXED, '', '--b', MIXED, '', 'é', '--b', '', 'x', '--b--'),
    {},
    /cannot be encoded \(multipart\/mixed/,
  ],
  [
    'a multipart whose delimiters have an 8-bit octet, which cannot be encoded',
    lines('Content-Type: multipart/mixed; boundary="ü"', '', '--ü', '', 'x', '--ü--'),
    {},
    /cannot be encoded \(multipart\/mixed/,
  ],
  [
    'an 8-bit octet in a signed part',
    lines('Content-Type: multipart/signed; boundary=s', '', '--s', '', 'é', '--s--'),
    {},
    /signed part.*8BITMIME.*RFC 1847/,
  ],
  [
    'and in one that is nested, also in the header section of its part',
    lines(MIXED, '', '--b', 'Content-Type: multipart/signed; boundary=s', '', '--s', 'A: é', '', '--b--'),
    {},
    /signed part/,
  ],
  [
    'an 8-bit octet beyond what is held of a part announced as 7bit',
    lines('Content-Transfer-Encoding: 7bit', '', '0123456789', 'é'),
    { lookahead: 10 },
    /announced as 7bit \(text\/plain\).*8bit/,
  ],
  [
    'an 8-bit octet in a part announced as 7bit, when that is not to be converted',
    lines('Content-Transfer-Encoding: 7bit', '', 'é'),
    { mislabelled: 'fail' },
    /announced as 7bit/,
  ],
  [
    'an 8-bit octet in a quoted-printable part',
    lines('Content-Transfer-Encoding: quoted-printable', '', 'é'),
    {},
    /cannot be encoded \(text\/plain, quoted-printable\)/,
  ],
  ['an 8-bit octet in an unknown encoding', lines('Content-Transfer-Encoding: x-uuencode', '', 'é'), {}, /x-uuencode/],
  ['an 8-bit octet in a multipart without a boundary', lines('Content-Type: multipart/mixed', '', 'é'), {}, /multipart\/mixed/],
  ['an 8-bit octet in a message that may not be encoded', lines('Content-Type: message/partial', '', 'é'), {}, /message\/partial/],
  [
    'an 8-bit field of a part where RFC 2047 allows no encoded word',
    lines(MIXED, '', '--b', 'Content-ID: <é>', '', '--b--'),
    {},
    /"content-id".*RFC 2047/,
  ],
  ['an 8-bit address in an enclosed message', lines('Content-Type: message/rfc822', '', 'To: é@b.c', '', ''), {}, /"to"/],
  ['an 8-bit line that is no field', lines('Content-Type: message/rfc822', '', 'From é', '', ''), {}, /"" of a part/],
  ['an 8-bit parameter outside a value', lines(MIXED, '', '--b', 'Content-Type: text/plain; é=1', '', '--b--'), {}, /content-type/],
  ['8-bit text where parts should be and none is', lines(MIXED, '', 'é', 'x'), {}, /multipart without a part/],
  ['the same where only the end of the parts comes', lines(MIXED, '', 'é', '--b--'), {}, /multipart without a part/],
  [
    'the same in a multipart within another',
    lines(MIXED, '', '--b', 'Content-Type: multipart/mixed; boundary=c', '', '\x80'.replace('\x80', 'é'), '--b', '', 'x', '--b--'),
    {},
    /multipart without a part/,
  ],
  [
    'a header section of a part without end',
    lines(MIXED, '', '--b', `A: ${'x'.repeat(100)}`),
    { partHeader: 100 },
    /longer than 100 octets/,
  ],
  ['the same in one long line', lines(MIXED, '', '--b', 'x'.repeat(101)), { partHeader: 100 }, /longer than 100 octets/],
];

test('the header section of a part may be as long as the limit, its empty line included', async () => {
  const input = lines(MIXED, '', '--b', `A: ${'x'.repeat(96)}`, '', 'é', '--b--');
  const ends = await Promise.all([100, 101].map(async (partHeader) => (await convert(input, { partHeader }))[1].end));
  assert.deepEqual(ends, ['failed', 'clean']);
  const [, { end }] = await convert(lines(`A: ${'x'.repeat(96)}`, '', 'é'), { partHeader: 50 });
  assert.equal(end, 'clean', 'that of the message was limited where it was read');
});

for (const [why, input, options, detail] of FAILURES) {
  test(`fails: ${why}`, async () => {
    for (const size of [1, 2, 3, 5, 11, input.length]) {
      const [text, end] = await convert(input, options, size);
      assert.equal(end.end, 'failed', `chunks of ${size}`);
      assert.match(end.end === 'failed' ? end.detail : '', detail);
      assert.equal(end.end === 'failed' && end.lacks, '8bitmime', 'so another server may have it');
      assert.ok(/^[\0-\x7f]*$/.test(text), 'no 8-bit octet got out');
    }
  });
}

test('of the chunk that fails nothing is handed on', async () => {
  const encoding = 'Content-Transfer-Encoding: x-uuencode\n\n';
  const text = (...chunks: readonly string[]) => drained(toSevenBit(sourceOf(...chunks.map(octets))));
  assert.deepEqual((await text(`${encoding}x\n\xe9`))[0], '');
  assert.deepEqual((await text(encoding, 'x\n', 'y\xe9', 'z'))[0], `${encoding}x\n`);
});

test('an announced 7bit part with 8-bit octets is converted while it is held', async () => {
  assert.deepEqual(await convert(lines('MIME-Version: 1.0', 'Content-Transfer-Encoding: 7bit', '', '0123456789', 'é')), [
    result('MIME-Version: 1.0', 'Content-Transfer-Encoding: quoted-printable~', '', '0123456789~', '=C3=A9~'),
    CLEAN,
  ]);
});

test('a part that is not announced as 7bit is encoded when it is longer than what is held', async () => {
  for (const size of [1, 7, 1000]) {
    const [text] = await convert(lines('MIME-Version: 1.0', '', '0123456789', 'x'), { lookahead: 10 }, size);
    assert.match(text, /quoted-printable/);
    const [announced] = await convert(lines('Content-Transfer-Encoding: 7bit', '', '0123456789', 'x'), { lookahead: 10 }, size);
    assert.equal(announced, lines('Content-Transfer-Encoding: 7bit', '', '0123456789', 'x'));
    // As long as what is held, it is known whole.
    const whole = 'MIME-Version: 1.0\n\n0123456789';
    assert.deepEqual((await convert(whole, { lookahead: 10 }, size))[0], whole);
  }
});

const PART_FIELDS: [field: string, expected: string, why: string][] = [
  ['Subject: a \xc3\xa9 b\n', 'Subject: a =?UTF-8?B?w6k=?= b\r\n', 'text'],
  ['From: "\xc3\xa9" <a@b.c>\r\n', 'From: =?UTF-8?B?w6k=?= <a@b.c>\r\n', 'a display name'],
  ['Content-Description:\r\n \xc3\xa9\n', 'Content-Description:\r\n =?UTF-8?B?w6k=?=\r\n', 'folded'],
  ['X-Own: \xe9\n', 'X-Own: =?koi8-r?Q?=E9?=\r\n', 'not UTF-8'],
];
for (const [field, expected, why] of PART_FIELDS) {
  test(`fields of enclosed messages and parts are encoded as RFC 2047 has them: ${why}`, async () => {
    const enclosed = (fields: string): string => `Content-Type: message/rfc822\n\n${fields}X: y\n\nx\n`;
    assert.deepEqual(await convert(enclosed(field), { charset: 'koi8-r' }), [enclosed(expected), CLEAN]);
  });
}

test('a charset of which a character may be more than one octet is not named in encoded words', async () => {
  const [text] = await convert('Content-Type: message/rfc822\n\nX: \xe9\n\n', { charset: 'gb18030' });
  assert.match(text, /=\?unknown-8bit\?/);
});

test('in the header section of the message itself only parameters are encoded; the rest stays as it was completed', async () => {
  const [text] = await convert(lines('Message-ID: <é>', 'Content-Type: a/b; name="é"', '', 'x'));
  assert.equal(text, lines('Message-ID: <é>', "Content-Type: a/b; name*=utf-8''%C3%A9", '', 'x'));
});

test('a failure of the source is handed on, without the octets before it', async () => {
  const failed: Ended = { end: 'failed', detail: 'EIO' };
  assert.deepEqual((await drained(toSevenBit(cut('A: b\n\nx', 3, failed))))[1], failed);
});

test('a hundred multiparts within each other are converted, and more pass unconverted', async () => {
  for (const [depth, expected] of [
    [100, 'clean'],
    [101, 'failed'],
  ] as const) {
    let text = '';
    for (let i = 0; i < depth; i++) text += lines(`Content-Type: multipart/mixed; boundary=b${i}`, '', `--b${i}`);
    const [, end] = await convert(text + lines('', 'é'));
    assert.equal(end.end, expected, `${depth}`);
  }
});

test('refuseEightBit: fails at the first 8-bit octet only', async () => {
  assert.deepEqual(await drained(refuseEightBit(sourceOf(octets('a\x7f'), octets('\0')))), ['a\x7f\0', CLEAN]);
  const [text, end] = await drained(refuseEightBit(sourceOf(octets('a'), octets('\x80'), octets('b'))));
  assert.equal(text, 'a');
  assert.ok(end.end === 'failed' && /8BITMIME/.test(end.detail) && end.lacks === '8bitmime');
});

// ---- messages made at random, read by a parser no one here wrote ----

/** Compares the parts of pairs of messages (base64, one pair a line) as Python's email package decodes them. */
const COMPARE = String.raw`
import sys, base64, email, re

def lines(octets): return re.sub(rb'\r\n|\r', b'\n', octets)

def raw(text): return b'' if text is None else text.encode('ascii', 'surrogateescape')

def parts(message, exact, out, path='1'):
    kind = message.get_content_type()
    fields = [(n.lower(), str(v)) for n, v in message.raw_items() if n.lower() not in ('content-transfer-encoding', 'mime-version')]
    fields = [(n, re.sub(r'[\r\n]', '', v)) for n, v in fields]
    aside = [re.sub(rb'[\x80-\xff]', b'?', lines(raw(text))) for text in (message.preamble, message.epilogue)]
    out.append((path, kind, fields, aside))
    if message.is_multipart():
        for i, part in enumerate(message.get_payload()):
            parts(part, exact, out, path + '.' + str(i + 1))
    else:
        body = message.get_payload(decode=True)
        before = str(message.get('content-transfer-encoding', '')).lower()
        exact.append(before == 'binary')
        out.append((path, body))

bad = 0
for n, line in enumerate(sys.stdin):
    before, after = (base64.b64decode(half) for half in line.strip('\n').split(' '))
    a, b, binary, unused = [], [], [], []
    parts(email.message_from_bytes(before), binary, a)
    parts(email.message_from_bytes(after), unused, b)
    binary.reverse()
    for i in range(max(len(a), len(b))):
        x = a[i] if i < len(a) else None
        y = b[i] if i < len(b) else None
        if x is not None and y is not None and len(x) == 2 and len(y) == 2 and not binary.pop():
            x, y = (x[0], lines(x[1])), (y[0], lines(y[1]))
        if x != y:
            if bad == 0: print('message', n, 'before', x, 'after', y)
            bad += 1
            break
print('compared', n + 1, 'different', bad)
`;

interface Made {
  text: string;
  /** Whether a part announced as 7bit is not, so that a short lookahead may fail. */
  mislabelled: boolean;
}

const newline = fc.constantFrom('\n', '\n', '\r\n', '\r\n', '\r');
const word = fc.constantFrom(
  '',
  ' ',
  '\t',
  'a',
  '=',
  '=3D',
  '.',
  '--',
  '--b',
  '--b1x',
  '--b--x',
  '>From x',
  '\xc3\xa9',
  '\xff',
  '\x7f',
  '\x01',
  'word ',
  'x'.repeat(80),
  `${'y'.repeat(74)} `,
);
const content = (end: string, clean: boolean): fc.Arbitrary<string> =>
  fc
    .array(fc.array(clean ? word.filter((w) => /^[\0-\x7f]*$/.test(w)) : word, { maxLength: 4 }), { maxLength: 6 })
    .map((all) => all.map((words) => words.join('')).join(end));

let serial = 0;

/** One entity: header section, empty line, body. */
function entity(end: string, depth: number, clean: boolean): fc.Arbitrary<Made> {
  const join = (...all: string[]): string => all.join(end);
  const leaf = fc
    .tuple(
      fc.constantFrom(
        '',
        'Content-Type: text/plain; charset=utf-8',
        'Content-Type: TEXT/html',
        'Content-Type: application/octet-stream',
        'Content-Type: image/png (x)',
      ),
      fc.constantFrom('', '7bit', '8bit', '8Bit (y)', 'binary'),
      content(end, clean),
    )
    .map(([type, encoding, body]) => {
      const fields = [`X-Part: ${serial++}`, type, encoding === '' ? '' : `Content-Transfer-Encoding: ${encoding}`].filter(
        (field) => field !== '',
      );
      return { text: join(...fields, '', body), mislabelled: encoding === '7bit' && !/^[\0-\x7f]*$/.test(body) };
    });
  if (depth === 0) return leaf;
  const encoded = content(end, false).map((body) => ({
    text: join('Content-Type: image/gif', 'Content-Transfer-Encoding: base64', '', Buffer.from(body, 'latin1').toString('base64')),
    mislabelled: false,
  }));
  const inner = entity(end, depth - 1, clean);
  const message = fc.tuple(inner, fc.constantFrom('', 'Content-Transfer-Encoding: 8bit')).map(([part, encoding]) => ({
    text: join(...['Content-Type: message/rfc822', encoding].filter((field) => field !== ''), '', `Subject: ${serial++}${end}${part.text}`),
    mislabelled: part.mislabelled,
  }));
  const multipart = fc
    .tuple(
      fc.constantFrom('mixed', 'alternative', 'digest', 'signed'),
      fc.array(fc.oneof({ weight: 3, arbitrary: inner }, encoded, entity(end, depth - 1, true)), { maxLength: 3 }),
      fc.array(entity(end, depth - 1, true), { maxLength: 2 }),
      fc.constantFrom('closed', 'closed', 'closed', 'open', 'blanks'),
      fc.tuple(content(end, clean), content(end, clean)),
      fc.constantFrom('', '8bit', '7bit'),
    )
    .map(([subtype, any, safe, closing, [preamble, epilogue], encoding]) => {
      const parts = subtype === 'signed' ? safe : any;
      const boundary = `b${serial++ % 3 === 0 ? '' : '='}${serial}`;
      const fields = [
        `Content-Type: multipart/${subtype}; boundary="${boundary}"`,
        encoding === '' ? '' : `Content-Transfer-Encoding: ${encoding}`,
      ];
      const blanks = closing === 'blanks' ? ' \t' : '';
      // Without a part the preamble is what readers show, and then 8-bit octets fail it.
      const aside = (text: string): string => (subtype === 'signed' || parts.length === 0 ? text.replace(/[^\0-\x7f]/g, '') : text);
      let text = join(...fields.filter((field) => field !== ''), '', aside(preamble));
      // A part of a digest is a message, though it does not say so.
      const enclosing = subtype === 'digest' ? `X-Digest: 1${end}${end}Subject: x${end}` : '';
      for (const part of parts) text += `${end}--${boundary}${blanks}${end}${enclosing}${part.text}`;
      if (closing !== 'open') text += `${end}--${boundary}--${blanks}${end}${aside(epilogue)}`;
      return { text, mislabelled: parts.some((part) => part.mislabelled) };
    });
  return fc.oneof({ weight: 2, arbitrary: leaf }, encoded, message, { weight: 4, arbitrary: multipart });
}

const anyMessage = newline.chain((end) => entity(end, 3, false).map((made) => ({ ...made, text: `Subject: x${end}${made.text}` })));
const MESSAGES = fc.sample(anyMessage, { seed: Number(process.env.FUZZ_SEED ?? 2045), numRuns: Number(process.env.FUZZ_RUNS ?? 600) });

test('any message, any cut: only seven bits, and the same for every cut', async () => {
  let random = 1;
  for (const { text, mislabelled } of MESSAGES) {
    const lookahead = [0, 5, 60, 100_000][random % 4] as number;
    const whole = await convert(text, { lookahead });
    if (lookahead === 100_000 || !mislabelled) assert.deepEqual(whole[1], CLEAN, JSON.stringify(text));
    assert.match(whole[0], /^[\0-\x7f]*$/);
    for (const size of [1, 2 + (random % 40)]) {
      const other = await convert(text, { lookahead }, size);
      // A failure is found after as much as the cut has let out before.
      if (whole[1].end === 'clean') assert.deepEqual(other, whole, `chunks of ${size}: ${JSON.stringify(text)}`);
      else assert.deepEqual(other[1], whole[1]);
    }
    random++;
  }
});

test("the parts, decoded by Python's email package, are equal before and after", async () => {
  if (spawnSync('python3', ['-c', 'import email']).status !== 0) {
    console.log('skipped: needs python3');
    return;
  }
  const pairs: string[] = [];
  const from: string[] = [];
  for (const { text } of MESSAGES) {
    for (const lookahead of [0, 40, 100_000]) {
      const [after, end] = await convert(text, { lookahead });
      if (end.end === 'failed') continue;
      pairs.push(`${Buffer.from(text, 'latin1').toString('base64')} ${Buffer.from(after, 'latin1').toString('base64')}\n`);
      from.push(JSON.stringify(text) + JSON.stringify(after));
    }
  }
  const python = spawnSync('python3', ['-c', COMPARE], { input: pairs.join(''), encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.equal(python.stderr, '');
  const first = /^message (\d+)/.exec(python.stdout);
  assert.ok(first === null, first === null ? '' : python.stdout + from[Number(first[1])]);
  assert.equal(python.stdout, `compared ${pairs.length} different 0\n`);
  assert.ok(pairs.length > MESSAGES.length * 1.5, `${pairs.length} compared`);
});

test('memory does not grow with a part', async () => {
  const chunk = Buffer.alloc(65536, utf8('Zeile mit Umlauten äöü und = Zeichen \n'), 'latin1');
  let left = 1200;
  let most = 0;
  const source: Source = { read: async () => (left-- > 0 ? chunk : CLEAN), close: () => undefined };
  const converted = toSevenBit({
    ...source,
    read: (() => {
      const head = octets(lines(MIXED, '', '--b', 'Content-Transfer-Encoding: 8bit', ''));
      let first = true;
      return async () => {
        if (!first) return source.read();
        first = false;
        return head;
      };
    })(),
  });
  let octetsOut = 0;
  for (;;) {
    const got = await converted.read();
    if (!(got instanceof Uint8Array)) break;
    octetsOut += got.length;
    most = Math.max(most, process.memoryUsage().arrayBuffers);
  }
  assert.ok(octetsOut > 1200 * 65536);
  assert.ok(most < 40 * 1024 * 1024, `${most} octets in buffers`);
});

test('latin1 of the table is what the tests mean', () => {
  assert.equal(lines('é'), latin1(Buffer.from('é\n')));
});

test('the limits are those that are written', () => {
  assert.deepEqual(CONVERT, { lookahead: 65_536, mislabelled: 'convert', partHeader: 65_536, charset: 'unknown-8bit' });
});

test('the lowest octet of eight bits is one, also before the first part and behind the last', async () => {
  const text = `${MIXED}\n\n\x80\xff\n--b\n\nx\n--b--\n\x80\xff\n`;
  assert.deepEqual(await convert(text), [text.replaceAll(/[\x80\xff]/g, '?'), CLEAN]);
});

test('a delimiter behind a CR at the start of a chunk ends its part', async () => {
  const head = `${MIXED}\n\n--b\nContent-Transfer-Encoding: base64\n\nx`;
  const chunks = [head, '\r--b--\n\x80\n--', 'y'].map(octets);
  const [text, end] = await drained(toSevenBit(sourceOf(...chunks)));
  assert.deepEqual([text, end], [`${head}\r--b--\n?\n--y`, CLEAN]);
});

test('what begins with a hyphen and is no delimiter does not wait for the end of its line', async () => {
  const chunks = [`${MIXED}\n\n--b\nContent-Transfer-Encoding: base64\n\n`, '-abc', '--x', 'def'].map(octets);
  let reads = 0;
  const source: Source = {
    async read() {
      return chunks[reads++] ?? CLEAN;
    },
    close: () => undefined,
  };
  const converted = toSevenBit(source);
  let text = '';
  while (!text.includes('-abc')) text += latin1((await converted.read()) as Uint8Array);
  assert.equal(reads, 2);
});

test('much at once is handed on in slices of 64 KiB', async () => {
  const converted = toSevenBit(sourceOf(octets(`A: b\nContent-Transfer-Encoding: base64\n\n${'x'.repeat(150_000)}`)));
  const lengths: number[] = [];
  for (let got = await converted.read(); got instanceof Uint8Array; got = await converted.read()) lengths.push(got.length);
  assert.deepEqual(lengths, [65_536, 65_536, 150_000 + 40 - 2 * 65_536]);
});

test('a line that begins with two hyphens and is longer than any delimiter does not wait for its end', async () => {
  const start = octets(`${MIXED}\n\n--b\nContent-Transfer-Encoding: base64\n\n`);
  for (const [length, waits] of [
    [1000, true],
    [1001, false],
  ] as const) {
    const chunks = [start, octets(`--${'x'.repeat(length - 2)}`), octets('y\n')];
    let reads = 0;
    const converted = toSevenBit({ read: async () => chunks[reads++] ?? CLEAN, close: () => undefined });
    let text = '';
    while (!text.includes('xx')) text += latin1((await converted.read()) as Uint8Array);
    assert.equal(reads > 2, waits);
  }
});

test('a long body is handed on while it comes, and not at its end', async () => {
  let reads = 0;
  const line = octets(`${'x'.repeat(70)}\n`.repeat(900));
  const source: Source = {
    async read() {
      reads += 1;
      return reads === 1 ? octets('A: b\n\n') : reads < 100 ? line : CLEAN;
    },
    close: () => undefined,
  };
  const converted = toSevenBit(source, CONVERT);
  for (let taken = 0; taken < 200_000; ) taken += ((await converted.read()) as Uint8Array).length;
  assert.ok(reads < 20, `${reads} reads`);
});

test.run();
