// No form of a secret is left in a text that is shown, and in what a server says to AUTH no part of one.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { xoauth2 } from '../../src/smtp/sasl/oauth.ts';
import { plain } from '../../src/smtp/sasl/sasl.ts';
import { base64, hex, printable, utf8 } from '../../src/smtp/text.ts';
import { scrub, scrubRuns } from '../../src/submit/scrub.ts';

const test = suite('scrub');

const SECRET = 'p/ss+w?rd €ß"1';
const TOKEN = `ya29.${'a0AfH6SMBx-_'.repeat(20)}`;

test('hostile case 15: a secret is masked in any form', () => {
  const coded = utf8(SECRET);
  for (const [form, why] of [
    [SECRET, 'clear'],
    [SECRET.replace(/[a-z]/g, (c) => c.toUpperCase()), 'upper case'],
    [coded, 'octets of UTF-8'],
    [printable(coded), 'printable'],
    [encodeURIComponent(SECRET), 'encodeURIComponent'],
    [encodeURIComponent(SECRET).toLowerCase(), 'the same in lower case'],
    [new URLSearchParams({ p: SECRET }).toString().slice(2), 'a form'],
    [[...Buffer.from(SECRET)].map((octet) => `%${octet.toString(16)}`).join(''), 'every octet as %HH'],
    [hex(coded), 'hexadecimal'],
    [hex(coded).toUpperCase(), 'hexadecimal in upper case'],
    [base64(coded), 'base64, as LOGIN says it'],
    [base64(coded).toUpperCase(), 'a server that shouts'],
    [Buffer.from(SECRET).toString('base64url'), 'base64url'],
    [base64(plain('jürgen', SECRET).begin().say ?? ''), 'the response of PLAIN'],
    [base64(plain('u', SECRET).begin().say ?? ''), 'the response of PLAIN, one octet less'],
    [base64(plain('us', SECRET).begin().say ?? ''), 'the response of PLAIN, one octet more'],
    [JSON.stringify(SECRET).slice(1, -1), 'JSON'],
    [utf8(JSON.stringify(SECRET).slice(1, -1)), 'octets of JSON'],
    ['p/ss+2Bw?rd+20+E2+82+AC+C3+9F"1', 'xtext'],
    ['p/ss+w?rd=20=E2=82=AC=C3=9F"1', 'quoted-printable'],
  ] as const)
    assert.equal(scrub(`535 5.7.8 <${form}> is wrong`, ['other', SECRET]), '535 5.7.8 <****> is wrong', why);
});

test('a token is masked whole, cut short, and within the response of XOAUTH2', () => {
  const response = base64(xoauth2('user@example.org', TOKEN).begin().say ?? '');
  for (const [text, expected] of [
    [`bad token ${TOKEN}.`, 'bad token ****'],
    [`bad token ${TOKEN.slice(0, 40)}… (cut)`, 'bad token **** (cut)'],
    [`bad token "${TOKEN.slice(0, 20)}"`, 'bad token "****"'],
    [`500 unknown: AUTH XOAUTH2 ${response}`, '500 unknown: AUTH XOAUTH2 ****'],
    [`500 unknown: AUTH XOAUTH2 ${response.slice(0, 120)}`, '500 unknown: AUTH XOAUTH2 ****'],
  ] as const)
    assert.equal(scrub(text, [TOKEN]), expected);
});

test('S8: a long secret with blanks and quotes is masked to its end, also where its end is another', () => {
  const secret = 'correct horse "battery", staple (and) <passphrase>';
  assert.equal(scrub(`535 ${secret} is wrong`, [secret]), '535 **** is wrong');
  assert.equal(scrub(`535 ${secret.slice(0, 30)}… is wrong`, [secret]), '535 **** is wrong');
  assert.equal(scrub(`535 (${'k'.repeat(40)}) is wrong`, ['k'.repeat(40)]), '535 (****) is wrong');
});

test('short secrets are masked where they stand alone, and in the response of PLAIN', () => {
  for (const [text, secrets, expected] of [
    ['535 a bad day', ['a'], '535 **** bad day'],
    ['535 abc, abcd and ABC', ['abc'], '535 ****, abcd and ****'],
    ['535 YWJj', ['abc'], '535 ****'],
    [`535 ${base64('\0tim\0abc')}`, ['abc'], '535 ****'],
    [`535 ${base64('\0tim\0abcd')}`, ['abc'], `535 ${base64('\0tim\0abcd')}`],
  ] as const)
    assert.equal(scrub(text, secrets), expected);
});

test('sixteen characters show a form of more than twice as many, and a shorter form must be there whole', () => {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'.slice(0, 33);
  for (const [secret, shown, expected] of [
    [letters, 16, '****'],
    [letters, 15, letters.slice(0, 15)],
    [letters.slice(0, 32), 31, letters.slice(0, 31)],
    [letters.slice(0, 32), 32, '****'],
  ] as const)
    assert.equal(scrub(`535 <${secret.slice(0, shown)}> no`, [secret]), `535 <${expected}> no`);
});

test('both alphabets of base64 are known, wherever in a longer text a secret stands', () => {
  for (const secret of ['???>>>???', '>>>???>>>', '??>?>>?>?'])
    for (const before of ['', 'u', 'us'])
      for (const coding of ['base64', 'base64url'] as const) {
        const form = Buffer.from(`${before}${secret}`).toString(coding);
        assert.equal(scrub(`535 <${form}> no`, [secret]), '535 <****> no', form);
      }
});

test('a secret of four characters is masked within a word, one of three is not', () => {
  assert.equal(scrub('xabcdx xabcx', ['abcd', 'abc']), 'x****x xabcx');
  assert.equal(
    scrubRuns('535 xabcdx xa bcx', [
      { user: 'tim', secret: 'abcd' },
      { user: 'tim', secret: 'abc' },
    ]),
    '535 x****x xa bcx',
  );
  assert.equal(scrubRuns('535 xab cdx', [{ user: 'tim', secret: 'abcd' }]), '535 x****x');
});

test('a coded text is masked from its first character to its last, wherever in a text it stands', () => {
  const run = base64('user:geheim!');
  for (const before of ['', ' ', 'x ', '12 '])
    for (const behind of ['', ' ', ' x']) assert.equal(scrub(`${before}${run}${behind}`, ['geheim']), `${before}****${behind}`);
  assert.equal(scrub('geheim', ['geheim']), '****');
  assert.equal(scrub('ab', ['ab']), '****');
  assert.equal(scrub('ab_ ab1 1ab üab ab. (ab)', ['ab']), 'ab_ ab1 1ab üab ****. (****)');
});

test('scrub changes nothing else', () => {
  const text = '550 5.1.1 <a@b.example>: no such user; see https://example.org/?q=%20 YWJjZGVm';
  assert.equal(scrub(text, []), text);
  assert.equal(scrub(text, ['', 'geheim']), text);
  assert.equal(scrub('', ['geheim']), '');
  assert.equal(scrub('\u0130 geheim', ['geheim']), '\u0130 ****', 'a letter that is longer in lower case');
  assert.equal(scrub('\u0130 Geheim', ['Geheim']), '\u0130 ****', 'and a secret in upper case behind it');
  assert.equal(scrub('no \u0130stanbul', ['\u0130stanbul']), 'no ****', 'a secret with that letter');
  assert.equal(scrub('geheimgeheim geheim', ['geheim', 'heim']), '******** ****');
  for (const other of ['geheimdr', 'ageheimdr', 'abgeheimdr']) {
    const coded = base64(other);
    assert.equal(scrub(coded, ['geheimer']), coded, 'the base64 of a word that begins as the secret does');
  }
});

test('no form of a secret is left, whatever it is and whatever stands around it', () => {
  const secret = fc.string({ unit: fc.constantFrom(...'abcXYZ019+/=%&? "\\\'€ß.-_'), minLength: 4, maxLength: 40 });
  const around = fc.string({ unit: fc.constantFrom(...'defghi \n<>:*'), maxLength: 20 });
  fc.assert(
    fc.property(secret, around, around, fc.string({ maxLength: 12 }), (value, before, behind, user) => {
      const forms = [
        value,
        encodeURIComponent(value),
        hex(utf8(value)),
        base64(utf8(value)),
        base64(`\0${utf8(user)}\0${utf8(value)}`),
        base64(`user=${utf8(user)}\x01auth=Bearer ${utf8(value)}\x01\x01`),
      ];
      for (const form of forms) assert.ok(!scrub(`${before} ${form} ${behind}`, [value]).includes(form), form);
    }),
    { numRuns: 300 },
  );
});

test('a long text of a hostile server is scrubbed without delay', () => {
  const text = 'QUFB'.repeat(64 * 1024);
  assert.equal(scrub(text, ['AAAA', 'geheim', TOKEN]), '****');
});

/* ---- parts, in answers to AUTH ---- */

const LONG = 'correct horse/battery+staple=4711';

/** Encoders of others than ours: every character escaped, as a server might. */
const octetsOf = (text: string): readonly number[] => [...Buffer.from(text)];
const two = (octet: number): string => octet.toString(16).padStart(2, '0');
const FORMS: readonly (readonly [string, (secret: string) => string])[] = [
  ['clear', (secret) => secret],
  ['base64', (secret) => Buffer.from(secret).toString('base64')],
  ['base64url', (secret) => Buffer.from(secret).toString('base64url')],
  ['PLAIN', (secret) => Buffer.from(`\0tim\0${secret}`).toString('base64')],
  // Behind the user's name, at each of three places within a group of four digits.
  ['XOAUTH2', (secret) => Buffer.from(`user=tim\x01auth=Bearer ${secret}\x01\x01`).toString('base64').slice(12)],
  ['XOAUTH2, one more', (secret) => Buffer.from(`user=timm\x01auth=Bearer ${secret}\x01\x01`).toString('base64').slice(14)],
  ['XOAUTH2, two more', (secret) => Buffer.from(`user=timmy\x01auth=Bearer ${secret}\x01\x01`).toString('base64').slice(15)],
  ['hexadecimal', (secret) => Buffer.from(secret).toString('hex')],
  ['hexadecimal with colons', (secret) => octetsOf(secret).map(two).join(':')],
  [
    'hexadecimal with prefixes',
    (secret) =>
      octetsOf(secret)
        .map((octet) => `0x${two(octet)}`)
        .join(', '),
  ],
  [
    'percent',
    (secret) =>
      octetsOf(secret)
        .map((octet) => `%${two(octet)}`)
        .join(''),
  ],
  ['encodeURIComponent', (secret) => encodeURIComponent(secret)],
  [
    'quoted-printable',
    (secret) =>
      octetsOf(secret)
        .map((octet) => `=${two(octet).toUpperCase()}`)
        .join(''),
  ],
  [
    'quoted-printable where it must',
    (secret) =>
      secret.replace(/[^!-<>-~]/g, (c) =>
        octetsOf(c)
          .map((o) => `=${two(o).toUpperCase()}`)
          .join(''),
      ),
  ],
  [
    'xtext',
    (secret) =>
      secret.replace(/[^!-*,-<>-~]/g, (c) =>
        octetsOf(c)
          .map((o) => `+${two(o).toUpperCase()}`)
          .join(''),
      ),
  ],
  [
    'xtext of all',
    (secret) =>
      octetsOf(secret)
        .map((octet) => `+${two(octet).toUpperCase()}`)
        .join(''),
  ],
  ['HTML, decimal', (secret) => [...secret].map((c) => `&#${c.codePointAt(0)};`).join('')],
  ['HTML, hexadecimal', (secret) => [...secret].map((c) => `&#x${c.codePointAt(0)?.toString(16)};`).join('')],
  ['HTML, named', (secret) => secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')],
  [
    '\\x',
    (secret) =>
      octetsOf(secret)
        .map((octet) => `\\x${two(octet)}`)
        .join(''),
  ],
  ['\\u', (secret) => [...secret].map((c) => `\\u${(c.codePointAt(0) as number).toString(16).padStart(4, '0')}`).join('')],
  ['JSON', (secret) => JSON.stringify(secret).slice(1, -1)],
];

/** Cut into lines as servers fold replies: with status codes before each, or joined as people see them. */
const foldings = (form: string, width: number): readonly string[] => {
  const pieces = form.match(new RegExp(`[^]{1,${width}}`, 'g')) ?? [];
  return [
    `5.7.8 bad: ${form} (sorry)`,
    `5.7.8 bad\n${pieces.map((piece) => `5.7.8 ${piece}`).join('\n')}\n5.7.8 sorry`,
    `535 5.7.8 bad / ${pieces.join(' / ')} / sorry`,
    `5.7.8 bad ${pieces.join(' ')} sorry`,
  ];
};

/** Runs of eight that the text still has, blanks aside; of hexadecimal with signs between, digits aside from all else. */
function left(text: string, form: string): readonly string[] {
  const noise = /^(0x)?[0-9a-f]{2}\W/.test(form) ? /0x|[^0-9a-f]/gi : /\s/g;
  const [shown, whole] = [text, form].map((each) => each.replace(noise, '').toLowerCase()) as [string, string];
  const runs = Array.from({ length: Math.max(0, whole.length - 7) }, (_, i) => whole.slice(i, i + 8));
  return runs.filter((run) => shown.includes(run));
}

for (const [name, encode] of FORMS)
  test(`S8: ${name}: whole, folded, and in part`, () => {
    for (const secret of [LONG, 'pässwörd "<&>" €'])
      for (const width of [8, 11, 60]) {
        const form = encode(secret);
        for (const text of foldings(form, width)) {
          const shown = scrubRuns(text, [{ user: 'tim', secret }]);
          assert.deepEqual(left(shown, form), [], `${text}\n${shown}`);
          assert.match(shown, /bad/);
          assert.match(shown, /sorry/);
        }
        const half = form.slice(0, Math.ceil(form.length / 2));
        assert.deepEqual(left(scrubRuns(`5.7.8 ${half}… is wrong`, [{ user: 'tim', secret }]), half), [], half);
      }
  });

/** How one character may be written; the others of a secret stay as they are. */
const ESCAPES: readonly (readonly [string, (point: number) => string])[] = [
  ['%HH', (point) => `%${two(point)}`],
  ['=HH', (point) => `=${two(point).toUpperCase()}`],
  ['+HH', (point) => `+${two(point).toUpperCase()}`],
  ['&#d;', (point) => `&#${point};`],
  ['&#xh;', (point) => `&#x${point.toString(16)};`],
  ['\\xhh', (point) => `\\x${two(point)}`],
  ['\\uhhhh', (point) => `\\u${point.toString(16).padStart(4, '0')}`],
  ['\\u{h}', (point) => `\\u{${two(point)}}`],
  ['\\c', (point) => `\\${String.fromCodePoint(point)}`],
];
for (const [name, write] of ESCAPES)
  test(`S8: a secret of which some characters are written ${name} is masked from its first character to its last`, () => {
    const secret = 'jKLm-opq(z';
    const at = (places: readonly number[]) =>
      [...secret].map((c, i) => (places.includes(i) ? write(c.codePointAt(0) as number) : c)).join('');
    for (const places of [[0], [9], [0, 9], [1, 4, 8]])
      assert.equal(scrubRuns(`535 <${at(places)}> no`, [{ user: 'tim', secret }]), '535 <****> no', at(places));
  });

test('S8: a few octets of a secret, each of them escaped, are masked', () => {
  for (const [before, some] of [
    ['%', 'imw'],
    ['=', 'imw'],
    ['+', 'imw'],
    ['\\x', 'im'],
  ] as const) {
    const escaped = [...some].map((c) => before + two(c.charCodeAt(0))).join('');
    assert.equal(scrubRuns(`535 <${escaped}> no`, [{ user: 'tim', secret: 'geheimwort' }]), '535 <****> no', escaped);
  }
});

test('S8: a few characters of a secret are masked where the coding escapes only one of them', () => {
  for (const part of ['m%C3%B6w', 'm=C3=B6w', 'm+C3+B6w'])
    assert.equal(scrubRuns(`535 <${part}> no`, [{ user: 'tim', secret: 'geheimöwort' }]), '535 <****> no', part);
});

test('S8: characters with a name in HTML are read, and numbers that are no character are none', () => {
  for (const [text, secret] of [
    ['&lt;eheimwor&#62;', '<eheimwor>'],
    ['&quot;eheimwor&#34;', '"eheimwor"'],
    ['&amp;eheimwor&#38;', '&eheimwor&'],
    ['&apos;eheimwor&apos;', "'eheimwor'"],
    ['gehe&#x10ffff;wort', 'gehe\u{10ffff}wort'],
    ['geh&#1114112;eimwort', 'geheimwort'],
    ['geh&#x110000;eimwort', 'geheimwort'],
    ['geh&#9999999;eimwort', 'geheimwort'],
  ] as const)
    assert.equal(scrubRuns(`535 ${text}.`, [{ user: 'tim', secret }]), '535 ****.', text);
});

test('S8: so much of a text is searched as people may see, and what is behind it is masked, but not where there is no secret', () => {
  const text = 'no '.repeat(16 * 1024).slice(0, 16 * 1024);
  const credentials = [{ user: 'tim', secret: LONG }];
  assert.equal(scrubRuns(text, credentials), text);
  assert.equal(scrubRuns(`${text}x`, credentials), `${text}****`);
  assert.equal(scrubRuns(`${text}x`, [{ user: 'tim', secret: '' }]), `${text}x`);
});

test('S8: words that hold nothing of the secret stay', () => {
  for (const text of [
    '5.7.8 Error: authentication failed: UGFzc3dvcmQ6',
    '5.7.8 Username and Password not accepted. For more information, go to\n5.7.8  https://support.google.com/mail/?p=BadCredentials a1b2c3d4-20020a05 - gsmtp',
    '5.7.139 Authentication unsuccessful, basic authentication is disabled. [AM0PR02CA0001.eurprd02.prod.outlook.com 2026-11-28T07:01:02.345Z 08DD0E8A1F2B3C4D]',
    'deadbeef 00c0ffee 0123456789abcdef',
  ])
    assert.equal(scrubRuns(text, [{ user: 'tim', secret: LONG }]), text);
  const text = '535 nothing is known';
  assert.equal(scrubRuns(text, []), text);
  assert.equal(scrubRuns(text, [{ user: 'tim', secret: '' }]), text);
  assert.equal(scrubRuns('535 a b c d e', [{ user: 'tim', secret: '    ' }]), '535 a b c d e', 'blanks alone');
});

test('S8: a secret of fewer than eight characters is found whole, one of fewer than four where it stands alone', () => {
  for (const [text, secret, expected] of [
    ['535 no gehe\nim here', 'geheim', '535 no **** here'],
    ['gehe im here', 'geheim', '**** here'],
    ['535 67 65 68 65 69 6d', 'geheim', '535 ****'],
    ['535 +67+65+68eim', 'geheim', '535 ****'],
    ['535 gehe is wrong', 'geheim', '535 gehe is wrong'],
    ['535 ab, abc', 'ab', '535 ****, abc'],
  ] as const)
    assert.equal(scrubRuns(text, [{ user: 'tim', secret }]), expected);
});

test('S8: no part of a secret is left, whatever the secret, its form and its folding', () => {
  const secret = fc.string({ unit: fc.constantFrom(...'abcXYZ019+/=%&? "\\\'€ß.-_<>'), minLength: 8, maxLength: 60 });
  fc.assert(
    fc.property(secret, fc.constantFrom(...FORMS), fc.integer({ min: 8, max: 40 }), fc.nat(3), (value, [name, encode], width, which) => {
      const form = encode(value);
      const text = foldings(form, width)[which] as string;
      assert.deepEqual(left(scrubRuns(text, [{ user: 'tim', secret: value }]), form), [], `${name}: ${text}`);
    }),
    { numRuns: 2000 },
  );
});

test('S8: the part of a reply that nobody reads is masked whole, in next to no time', () => {
  const text = `5.7.8 ${'QUFB+2B&#x41;%41=41\\x41 '.repeat(12_000)}`;
  const shown = scrubRuns(text, [{ user: 'tim', secret: `ya29.${'a0AfH6SMBx-_'.repeat(5000)}` }]);
  assert.ok(shown.startsWith('5.7.8 ') && shown.endsWith('****'));
  assert.ok(shown.length <= 16 * 1024 + 4);
});

test.run();
