/** The limits are those of the standards, which count line ends and codes, too. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import {
  LONGEST_CHALLENGE,
  LONGEST_COMMAND_HEARD,
  LONGEST_COMMAND_SENT,
  LONGEST_CONTENT_LINE,
  LONGEST_DOMAIN,
  LONGEST_REPLY_HEARD,
  LONGEST_REPLY_LINE_HEARD,
  LONGEST_REPLY_TEXT_SENT,
  LONGEST_TIMER,
} from '../../src/smtp/limits.ts';

const test = suite('limits');

test('what we say keeps the limits of RFC 5321 §4.5.3.1', () => {
  assert.equal(LONGEST_DOMAIN, 255);
  assert.equal(`${'x'.repeat(LONGEST_COMMAND_SENT)}\r\n`.length, 512);
  assert.equal(`250 ${'x'.repeat(LONGEST_REPLY_TEXT_SENT)}\r\n`.length, 512);
  assert.equal(`${'x'.repeat(LONGEST_CONTENT_LINE)}\r\n`.length, 1000);
});

test('what we hear may be longer', () => {
  assert.equal((LONGEST_CHALLENGE / 3) * 4, 12_288, 'RFC 4954 §4, in base64');
  assert.deepEqual([LONGEST_COMMAND_HEARD, LONGEST_REPLY_LINE_HEARD, LONGEST_REPLY_HEARD], [65_536, 65_536, 262_144]);
});

test('a timer takes 32 bits, one of them for the sign', () => {
  assert.deepEqual([LONGEST_TIMER | 0, (LONGEST_TIMER + 1) | 0], [LONGEST_TIMER, -LONGEST_TIMER - 1]);
});

test.run();
