/** The parameters of MAIL and RCPT: each belongs to one command and one extension, and has a value of its own kind. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { printReply } from '../../../src/smtp/reply.ts';
import { parameterRefusal } from '../../../src/smtp/server/parameters.ts';

const test = suite('parameters');

/** [keyword, command, extension, values that are right, values that are wrong]; null is no value. */
const ROWS: readonly (readonly [string, 'MAIL' | 'RCPT', string, readonly (string | null)[], readonly (string | null)[]])[] = [
  ['SIZE', 'MAIL', 'SIZE', ['0', '12345678901234567890'], [null, '', '-1', '123456789012345678901', '1k']],
  ['BODY', 'MAIL', '8BITMIME', ['7BIT', '8bitmime', 'BINARYMIME'], [null, '', '8BIT', 'X7BIT']],
  ['SMTPUTF8', 'MAIL', 'SMTPUTF8', [null], ['', 'yes']],
  ['RET', 'MAIL', 'DSN', ['FULL', 'hdrs'], [null, '', 'FULLHDRS', 'NONE']],
  ['ENVID', 'MAIL', 'DSN', ['a', '+2B', 'x'.repeat(100)], [null, '', 'x'.repeat(101), '+2b', 'a=b', '+']],
  ['AUTH', 'MAIL', 'AUTH', ['<>', 'tim@here.example', '+2B', '+2b'], [null, '', 'a=b']],
  ['REQUIRETLS', 'MAIL', 'REQUIRETLS', [null], ['', 'yes']],
  ['MT-PRIORITY', 'MAIL', 'MT-PRIORITY', ['0', '-9'], [null, '', '10', '--1', '+1']],
  ['BY', 'MAIL', 'DELIVERBY', ['120;R', '-5;n', '1;RT', '+5;R', '0;N'], [null, '', '1', '1;X', '1234567890;R', '0;R', '-1;r', '00;RT']],
  ['HOLDFOR', 'MAIL', 'FUTURERELEASE', ['1', '123456789'], [null, '', '0', '1234567890', '-1']],
  ['HOLDUNTIL', 'MAIL', 'FUTURERELEASE', ['2026-11-28T17:00:00Z'], [null, '', 'now']],
  ['SOLICIT', 'MAIL', 'NO-SOLICITING', ['net.example:ADV'], [null, '', 'a b']],
  ['NOTIFY', 'RCPT', 'DSN', ['NEVER', 'success,failure,DELAY'], [null, '', 'NEVER,DELAY', 'DELAY,', 'DELAY,DELAY,DELAY,DELAY']],
  ['ORCPT', 'RCPT', 'DSN', ['rfc822;tim@here.example', 'utf-8;jörg'], [null, '', 'rfc822', ';tim', 'rfc822;a=b', 'utf-8;a\u00a0b']],
];

const refusal = (on: 'MAIL' | 'RCPT', keyword: string, value: string | null, offered: string): string => {
  const reply = parameterRefusal(on, [{ keyword, value }], (extension) => extension === offered);
  return reply === null ? '' : printReply(reply);
};

for (const [keyword, on, extension, right, wrong] of ROWS)
  test(`${keyword} of ${on} belongs to ${extension}`, () => {
    for (const value of right) {
      assert.equal(refusal(on, keyword, value, extension), '', `${value}`);
      assert.match(refusal(on, keyword, value, 'X-OTHER'), /^555 5\.5\.4 the parameter .* is not offered$/);
      assert.match(refusal(on === 'MAIL' ? 'RCPT' : 'MAIL', keyword, value, extension), /^555 5\.5\.4 /);
    }
    for (const value of wrong) assert.match(refusal(on, keyword, value, extension), /^501 5\.5\.4 the value of .* is wrong$/, `${value}`);
  });

test('a keyword that nobody knows is not offered, and the first fault is told', () => {
  assert.match(refusal('MAIL', 'X-OTHER', null, 'X-OTHER'), /^555 5\.5\.4 the parameter X-OTHER is not offered$/);
  const reply = parameterRefusal(
    'MAIL',
    [
      { keyword: 'SIZE', value: '1' },
      { keyword: 'BODY', value: 'none' },
      { keyword: 'SIZE', value: 'x' },
    ],
    () => true,
  );
  assert.match(reply === null ? '' : printReply(reply), /BODY/);
});

test.run();
