import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { printHead } from '../../src/message/fields.ts';
import { readHead } from '../../src/message/head.ts';
import { CLEAN, type Ended, type Source, sourceOf } from '../../src/message/source.ts';
import { latin1, octets } from '../../src/smtp/text.ts';

const test = suite('message/head');

const wide = { limit: 1 << 20 };

/** Reads a head and the body that follows it: `rest` and everything that the source still has. */
async function read(source: Source, limit = 1 << 20): Promise<unknown> {
  const head = await readHead(source, { limit });
  if (!head.ok) return head.detail;
  let body = latin1(head.value.rest);
  for (;;) {
    const got = await source.read();
    if (!(got instanceof Uint8Array)) break;
    body += latin1(got);
  }
  return [head.value.fields.map(({ name, raw }) => [name, raw]), body, head.value.consumed];
}

const pieces = (text: string, size: number) => {
  const out: Uint8Array[] = [];
  for (let i = 0; i < text.length; i += size) out.push(octets(text.slice(i, i + size)));
  return out;
};

/** [input, fields as [name, raw], body, why] */
const table: [string, [string, string][], string, string][] = [
  ['', [], '', 'an empty message'],
  ['\n', [], '', 'only the empty line'],
  ['\r\n', [], '', 'only the empty line, CRLF'],
  ['\r', [], '', 'only the empty line, CR'],
  ['\n\n', [], '\n', 'the body begins with an empty line'],
  ['\r\r\n', [], '', 'only the empty line, CR CR LF'],
  ['\r\r', [], '', 'only CRs'],
  ['\r\n\r\n', [], '\r\n', 'CRLF, then a body of CRLF'],
  ['To: a\n\nb', [['To', 'To: a']], 'b', 'LF'],
  ['To: a\r\n\r\nb', [['To', 'To: a']], 'b', 'CRLF'],
  ['To: a\r\rb', [['To', 'To: a\n b']], '', 'CRs within a line are one fold'],
  ['To: a\n\r\n\nb', [['To', 'To: a']], '\nb', 'mixed'],
  ['To: a\r\n\r\r\nb', [['To', 'To: a']], 'b', 'the empty line has two CRs'],
  ['To: a\r\n\rb', [['To', 'To: a']], '\rb', 'a line that begins with a CR and goes on is the body'],
  ['To: a\n\rCc: b\n\nc', [['To', 'To: a']], '\rCc: b\n\nc', 'a CR at the start of a line begins no field'],
  ['\rTo: a\n\nb', [], '\rTo: a\n\nb', 'a CR at the start of the message, too'],
  [`To: a\n${'\r'.repeat(2000)}\nb`, [['To', 'To: a']], `${'\r'.repeat(2000)}\nb`, 'more CRs than a line has octets'],
  ['To: a\r\n\n\rb', [['To', 'To: a']], '\rb', 'the body may begin with a CR'],
  ['To: a', [['To', 'To: a']], '', 'no line end at all'],
  ['To: a\r', [['To', 'To: a']], '', 'ends in CR'],
  ['To: a\r\r', [['To', 'To: a']], '', 'ends in CRs'],
  ['To: a\n\r', [['To', 'To: a']], '', 'ends in a CR on a line of its own'],
  ['To: a\r\n', [['To', 'To: a']], '', 'ends after a field'],
  ['To: a\nSubject', [['To', 'To: a']], 'Subject', 'ends within what is no field'],
  ['To: a\nSubject ', [['To', 'To: a']], 'Subject ', 'ends in blanks before the colon'],
  [
    'To: a,\n b\nX:\n\t\n',
    [
      ['To', 'To: a,\n b'],
      ['X', 'X:\n\t'],
    ],
    '',
    'continuation lines, one of blanks only',
  ],
  ['To: a,\r\n b,\r c\rX: 1\r\n\r\n', [['To', 'To: a,\n b,\n c\n X: 1']], '', 'a lone CR is a fold, before a blank as before a name'],
  [
    'To: a\r\r\nCc: b\r\r\n\r\r\nc',
    [
      ['To', 'To: a'],
      ['Cc', 'Cc: b'],
    ],
    'c',
    'all CRs before an LF belong to that line end',
  ],
  ['Subject: hi\rBcc: v\r\rtext\n\nb', [['Subject', 'Subject: hi\n Bcc: v\n text']], 'b', 'a lone CR makes no field'],
  [
    'A: 1\r \t\r\nB: 2\n\n',
    [
      ['A', 'A: 1'],
      ['B', 'B: 2'],
    ],
    '',
    'a fold before nothing but blanks is left out',
  ],
  ['A: 1\n \r2\n\n', [['A', 'A: 1\n 2']], '', 'a CR beside a fold makes no second one'],
  ['A: 1 \r\n\n', [['A', 'A: 1 ']], '', 'blanks before a line end stay'],
  ['A: 1\r\r\n 2\r\n\r\n', [['A', 'A: 1\n 2']], '', 'CR CR LF folds, too'],
  ['A:\r1\r\t2\n\n', [['A', 'A:\n 1\n\t2']], '', 'a CR behind the colon, and one before a tab'],
  [
    'A\r: 1\nB \r\r\t: 2\n\n',
    [
      ['A', 'A: 1'],
      ['B', 'B \t: 2'],
    ],
    '',
    'a CR before the colon is left out',
  ],
  ['A: 1\nSub\rject: x\n\nb', [['A', 'A: 1']], 'Sub\rject: x\n\nb', 'a name holds no CR'],
  ['A: 1\nhello\rB: 2\n', [['A', 'A: 1']], 'hello\rB: 2\n', 'nor does a line without a colon become a field by one'],
  [
    'To : a\nSubject \t : b\n\n',
    [
      ['To', 'To : a'],
      ['Subject', 'Subject \t : b'],
    ],
    '',
    'blanks before the colon',
  ],
  ['To:\n\n', [['To', 'To:']], '', 'an empty field'],
  [':a\n\n', [], ':a\n\n', 'no name before the colon'],
  [' To: a\n', [], ' To: a\n', 'a first line that begins with a blank'],
  ['hello world\nTo: a\n\nx', [], 'hello world\nTo: a\n\nx', 'no field: the body begins at once'],
  ['To: a\nhello world\nCc: b\n', [['To', 'To: a']], 'hello world\nCc: b\n', 'the first line that is no field begins the body'],
  ['a\0b\n', [], 'a\0b\n', 'NUL in a first line of the body'],
  ['\0', [], '\0', 'only NUL'],
  ['J\xf6rg: a\n', [], 'J\xf6rg: a\n', 'a name is ASCII'],
  ['.\n', [], '.\n', 'a dot is text here'],
  ['X-\x7f: a\n', [], 'X-\x7f: a\n', 'DEL in a name'],
  ['From joe Mon Jan  1 00:00:00 2026\nTo: a\n\nb', [['To', 'To: a']], 'b', 'an mbox line'],
  ['From joe@x 1 Jan 26 00:00\r\nTo: a\r\n\r\nb', [['To', 'To: a']], 'b', 'day before month, CRLF'],
  ['From "j o"@x Mon, Jan 1 0:00\r\r\nTo: a\n\nb', [['To', 'To: a']], 'b', 'quoted sender, CR CR LF'],
  ['From joe@x 1 Jan 26 0:00\rBcc: v\nTo: a\n\nb', [['To', 'To: a']], 'b', 'what a CR hides in an mbox line goes with it'],
  ['From joe@x\rTo: a\n\nb', [], 'From joe@x\rTo: a\n\nb', 'behind an address without a date there is nothing'],
  ['From 0123456789abcdef Mon Sep 17 00:00:00 2001\nFrom: a\n\n', [['From', 'From: a']], '', 'git format-patch'],
  ['From joe@x\nTo: a\n\nb', [['To', 'To: a']], 'b', 'an address without a date'],
  ['>From joe Mon Jan  1 00:00:00 2026\nTo: a\n\nb', [['To', 'To: a']], 'b', 'a quoted one'],
  ['From joe@x\n>From bob@y\nTo: a\n\nb', [['To', 'To: a']], 'b', 'both'],
  ['From joe@x', [], '', 'nothing else'],
  ['From joe@x\r', [], '', 'nothing else, CR'],
  ['From joe@x\n\nb', [], 'b', 'an empty header section'],
  ['From joe@x\nhello\n', [], 'hello\n', 'a body behind it'],
  ['From now on\nNote: x\n', [], 'From now on\nNote: x\n', 'a body that begins with the word'],
  ['From 10:00 to 11:00\n', [], 'From 10:00 to 11:00\n', 'with a time'],
  ['To: a\nFrom joe@x\nCc: b\n', [['To', 'To: a']], 'From joe@x\nCc: b\n', 'only a leading one is an mbox line'],
  ['From : a@b\n\n', [['From', 'From : a@b']], '', 'a blank before the colon of From'],
  ['From \t: a@b\n\n', [['From', 'From \t: a@b']], '', 'blanks before the colon of From'],
  [`${'x'.repeat(997)}:\n\n`, [['x'.repeat(997), `${'x'.repeat(997)}:`]], '', 'the longest name'],
  [`${'x'.repeat(998)}:\n\n`, [], `${'x'.repeat(998)}:\n\n`, 'a line whose first 998 octets have no colon is no field'],
];

test('the header section ends where the body begins, whole and cut into 1, 2, 3 and 7 octets', async () => {
  for (const [input, fields, body, why] of table)
    for (const size of [1, 2, 3, 7, 1 << 20])
      assert.deepEqual(await read(sourceOf(...pieces(input, size))), [fields, body, input.length - body.length], `${why} (${size})`);
});

test('one cut at every place changes nothing', async () => {
  for (const [input, fields, body, why] of table)
    for (let cut = 0; cut <= Math.min(input.length, 100); cut++) {
      const source = sourceOf(octets(input.slice(0, cut)), octets(input.slice(cut)));
      assert.deepEqual(await read(source), [fields, body, input.length - body.length], `${why} (${cut})`);
    }
});

test('the octets beyond the header section are a copy', async () => {
  const chunk = octets('A: 1\n\nbody');
  const first = await readHead(sourceOf(chunk), wide);
  chunk.fill(0);
  assert.ok(first.ok);
  assert.equal(latin1(first.value.rest), 'body');
});

test('NUL in a field and a section over the limit are refused, wherever the chunks are cut', async () => {
  const nul = 'the header section holds a NUL octet';
  const long = (limit: number) => `the header section is longer than ${limit} octets (header_limit)`;
  const rows: [string, number, unknown][] = [
    ['A: \0\n\n', 99, nul],
    ['A: b\n \0\n\n', 99, nul],
    ['A: b\nC: \0', 99, nul],
    ['A: 123\n\nx', 8, [[['A', 'A: 123']], 'x', 8]],
    ['A: 1234\n\nx', 8, long(8)],
    ['A: 12345\n\nx', 8, long(8)],
    ['A: 123456789', 8, long(8)],
    ['A: 12345', 8, [[['A', 'A: 12345']], '', 8]],
    ['A: 12345\n', 8, long(8)],
    ['A: 12345\0', 8, long(8)],
    ['A: 1234\0', 8, nul],
    ['A: 12345\0\n', 8, long(8)],
    ['A: 12345\n\0', 8, long(8)],
    ['A: 1\n 45\n\0', 8, long(8)],
    ['A:\n 3456\0\n', 8, long(8)],
    ['A:\n 345\0\n', 8, nul],
    ['A: 1234\nbody x', 8, [[['A', 'A: 1234']], 'body x', 8]],
    ['A: 1234\r\nbody x', 8, long(8)],
    ['A: 1234\r\nB: x', 8, long(8)],
    ['A: 12\r\n\r\nx', 9, [[['A', 'A: 12']], 'x', 9]],
    ['A: 12\r\n\r\nx', 8, long(8)],
    ['no field at all', 8, [[], 'no field at all', 0]],
  ];
  for (const [input, limit, expected] of rows)
    for (const size of [1, 2, 3, 8, 100])
      assert.deepEqual(await read(sourceOf(...pieces(input, size)), limit), expected, `${JSON.stringify(input)} ${limit} (${size})`);
});

test('a failing source is a failure, never an end', async () => {
  const failed: Ended = { end: 'failed', detail: 'standard input: EIO' };
  for (const start of ['', 'A: 1', 'A: 1\n', 'A: 1\n\r', 'no']) {
    const left: (Uint8Array | Ended)[] = start === '' ? [failed] : [octets(start), failed];
    const head = await readHead({ read: async () => left.shift() ?? CLEAN, close() {} }, wide);
    assert.deepEqual(head, { ok: false, end: 'failed', detail: 'standard input: EIO' });
  }
});

test('nothing is read beyond the chunk in which the body begins', async () => {
  const source = sourceOf(octets('A: 1\n\nb'), octets('ody'));
  await readHead(source, wide);
  assert.equal(latin1((await source.read()) as Uint8Array), 'ody');
  const early = sourceOf(octets('This is'), octets(' a body'));
  const head = await readHead(early, wide);
  assert.ok(head.ok);
  assert.equal(latin1((await early.read()) as Uint8Array), ' a body');
});

test('a large section in single octets is linear work', async () => {
  const text = `To: ${Array.from({ length: 50_000 }, (_, i) => `r${i}@example.org`).join(',\n ')}\n\nbody`;
  let at = 0;
  const one = new Uint8Array(1);
  const source: Source = {
    async read() {
      if (at === text.length) return CLEAN;
      one[0] = text.charCodeAt(at++);
      return one;
    },
    close() {},
  };
  const head = await readHead(source, wide);
  assert.ok(head.ok);
  assert.equal(head.value.fields.length, 1);
  assert.equal(head.value.fields[0]?.raw, text.slice(0, -6));
});

const line = fc.stringMatching(/^[ -~\x80-\xff\t]{0,12}$/);
const name = fc.stringMatching(/^[!-9;-~]{1,8}$/).filter((text) => !/^>*From$/.test(text));
const rawField = fc
  .tuple(name, fc.array(fc.tuple(fc.constantFrom(' ', '\t', ''), line), { minLength: 1, maxLength: 3 }))
  .map(([n, lines]) => `${n}:${lines.map(([blank, text], i) => (i === 0 ? blank + text : `\n${blank || ' '}${text}`)).join('')}`);

test('print∘read is the identity, and line ends and cuts do not matter', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(rawField, { maxLength: 5 }),
      fc.string({ unit: 'binary-ascii' }),
      fc.infiniteStream(fc.constantFrom('\n', '\r\n')),
      fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
      async (raws, body, ends, cuts) => {
        const head = raws.map((raw) => `${raw}\n`).join('');
        const text = `${`${head}\n`.replaceAll('\n', () => ends.next().value as string)}${body}`;
        const chunks: Uint8Array[] = [];
        for (let i = 0; i < text.length; ) {
          const size = cuts.next().value as number;
          chunks.push(octets(text.slice(i, i + size)));
          i += size;
        }
        const source = sourceOf(...chunks);
        const got = await readHead(source, wide);
        assert.ok(got.ok);
        assert.deepEqual(
          got.value.fields.map(({ raw }) => raw),
          raws,
        );
        assert.equal(latin1(printHead(got.value.fields)), `${head}\n`);
        assert.equal(got.value.consumed, text.length - body.length);
      },
    ),
  );
});

/** Returns the words of a field, however it is folded. */
const words = (raw: string): string => raw.replaceAll(/[ \t\r\n]+/g, ' ').trimEnd();

/** A field as it came, without the CRs of its line ends and before its colon. */
const modelField = (raw: string): string => raw.replaceAll(/\r+(?=\n|$)/g, '').replace(/^[^:]*/, (name) => name.replaceAll('\r', ''));

/** The rules line by line, over the whole text: too slow and too greedy to be used, too plain to be wrong. */
function model(text: string): unknown {
  const fields: string[] = [];
  for (let at = 0; ; ) {
    const rest = text.slice(at);
    if (rest === '') return [fields.map(modelField), ''];
    const line = /^[^\n]*/.exec(rest)?.[0] as string;
    const end = /^(\n|$)/.exec(rest.slice(line.length))?.[0] as string;
    if (/^\r*$/.test(line)) return [fields.map(modelField), rest.slice(line.length + end.length)];
    const continues = /^[ \t]/.test(line) && fields.length > 0;
    if (continues || /^[!-9;-~]+[ \t\r]*:/.test(line)) {
      if (line.includes('\0')) return 'the header section holds a NUL octet';
      if (continues) fields.push(`${fields.pop()}\n${line}`);
      else fields.push(line);
    } else {
      const isMbox = fields.length === 0 && /^>*From +(\S+@\S+ *\r*$|\S+ +Jan 1 +0:00)/.test(line);
      if (!isMbox) return [fields.map(modelField), rest];
    }
    at += line.length + end.length;
  }
}

test('the header section is read as by the obvious model, for any text and any cuts', async () => {
  const part = fc.constantFrom('\n', '\n', '\r', '\r\n', ':', ' ', '\t', 'A', 'To: ', 'From ', '>', 'a@b', 'Jan 1 0:00', '\0', '\xe9', '.');
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 16 }), fc.integer({ min: 1, max: 5 }), async (parts, size) => {
      const text = parts.join('');
      const got = await read(sourceOf(...pieces(text, size)));
      const expected = model(text);
      if (Array.isArray(got) && Array.isArray(expected)) {
        const raws = got[0].map(([, raw]: [string, string]) => raw);
        for (const raw of raws) assert.doesNotMatch(raw, /\r|\n(?![ \t])/);
        // Where a CR stands within a line the fold is ours; elsewhere every octet counts.
        const like = (raw: string, i: number) => (/\r/.test(expected[0][i] ?? '') ? words(raw) : raw);
        assert.deepEqual([raws.map(like), got[1]], [expected[0].map(like), expected[1]]);
      } else assert.deepEqual(got, expected);
      if (Array.isArray(got)) assert.equal(got[2], text.length - got[1].length);
    }),
    { numRuns: 5000 },
  );
});

test('runs of CRs are linear work', async () => {
  for (const run of ['\r'.repeat(300_000), '\r '.repeat(150_000), ' \r'.repeat(150_000)]) {
    const head = await readHead(sourceOf(octets(`X: a${run}b\n\n`)), wide);
    assert.ok(head.ok);
    assert.equal(head.value.fields.length, 1);
  }
});

test.run();
