/** An exchange of AUTH as people see it, as a table. */
import assert from 'node:assert';
import { suite } from 'uvu';
import { maskCommand, maskLine, maskLines, maskReply } from '../../../src/smtp/sasl/mask.ts';
import { base64 } from '../../../src/smtp/text.ts';

const test = suite('mask');

const FIRST = 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096';

const LINES: readonly (readonly [string, string, string])[] = [
  ['334 VXNlcm5hbWU6', '334 …', 'a challenge'],
  ['334-VXNl', '334-…', 'a line of a longer one'],
  ['334 ', '334 …', 'an empty one, which is not told apart'],
  ['334', '334', 'a code alone'],
  ['354 go', '354 …', 'a reply that cannot come here may hold one, too'],
  ['235 2.7.0 welcome', '235 2.7.0 welcome', 'the last line'],
  [
    '535 5.7.8 see https://support.example/mail/answer/BadCredentials',
    '535 5.7.8 see https://support.example/mail/answer/BadCredentials',
    'words are not base64 of anything',
  ],
  [`235 ${base64('v=rmF9pqV8S7suAoZWja4dJRkFsKQ=')}`, '235 ****', 'a signature'],
  ['235 v=rmF9pqV8S7suAoZWja4dJRkFsKQ=', '235 ****', 'in clear'],
  [`535 (${base64(FIRST)})`, '535 (****)', 'what the server said first'],
  [`535 ${FIRST}`, '535 ****', 'in clear'],
  [`535 ${base64(`n,,n=user,${FIRST}`)}`, '535 ****', 'what the client said first'],
  [`535 ${base64('p=tls-exporter,,n=user,r=fyko')}`, '535 ****', 'with channel binding'],
  [`535 ${base64('c=biws,r=fyko,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=')}`, '535 ****', 'what the client said last'],
  [base64(FIRST).slice(0, 41), '****', 'a part of it, on a line of its own'],
  [`535 no: ${base64('tim b913a602c7eda7a495b4e6e7334d3890')}`, '535 no: ****', 'what CRAM-MD5 answers'],
  [base64('tim and tom b913a602c7eda7a495b4e6e7334d3890').slice(0, 41), '****', 'a part of it'],
  [`535 ${base64('<1896.697170952@postoffice.reston.mci.net>')}`, '535 ****', 'what CRAM-MD5 asks'],
  [`535 ${base64('see the manual')}`, `535 ${base64('see the manual')}`, 'any other text'],
  ['535 error=invalid_token s=1', '535 error=invalid_token s=1', 'an equals sign is not enough'],
];
for (const [line, expected, why] of LINES) test(`${line.slice(0, 40)}: ${why}`, () => assert.strictEqual(maskLine(line), expected));

test('a line of ours keeps the command and its mechanism', () => {
  assert.deepStrictEqual(['AUTH PLAIN AHRpbQB0', 'AUTH EXTERNAL =', 'dGlt', ''].map(maskCommand), [
    'AUTH PLAIN ****',
    'AUTH EXTERNAL ****',
    '****',
    '****',
  ]);
});

test('several lines and a reply are masked line by line', () => {
  assert.strictEqual(maskLines('334-a\r\n535 no\r\n'), '334-…\n535 no\r\n');
  const lines = ['5.7.8 no', `v=${'x'.repeat(8)}`];
  assert.deepStrictEqual(maskReply({ code: 535, enhanced: null, lines }), { code: 535, enhanced: null, lines: ['5.7.8 no', '****'] });
  assert.deepStrictEqual(maskReply({ code: 334, enhanced: null, lines: ['a', 'b'] }).lines, ['…', '…']);
});

test.run();
