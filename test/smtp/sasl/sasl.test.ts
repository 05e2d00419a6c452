/** SASL steps as pure functions: PLAIN, LOGIN, CRAM-MD5, EXTERNAL, and the silent start of long initial responses. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { LONGEST_CHALLENGE } from '../../../src/smtp/limits.ts';
import { cramMd5 } from '../../../src/smtp/sasl/cram.ts';
import { external } from '../../../src/smtp/sasl/external.ts';
import { type Exchange, keepInitialShort, login, plain } from '../../../src/smtp/sasl/sasl.ts';
import { base64 } from '../../../src/smtp/text.ts';
import { hashes } from '../../../src/transport/hashes.ts';
import { cancelled, heard } from './exchange.ts';

const test = suite('sasl');

test('PLAIN: RFC 4616 §4, and UTF-8', () => {
  const begun = plain('tim', 'tanstaaftanstaaf').begin();
  assert.equal(begun.say, '\0tim\0tanstaaftanstaaf');
  assert.equal(begun.mayEnd, true);
  const again = heard(begun.hear(''));
  assert.deepEqual([again.say, again.mayEnd], [begun.say, true], 'a server that overlooks the initial response asks for it');
  assert.match(cancelled(again.hear('')), /asks for more/);
  assert.equal(plain('jürgen', 'geheim€').begin().say, '\0j\xc3\xbcrgen\0geheim\xe2\x82\xac');
});

test('pitfall 63: LOGIN takes any two prompts', () => {
  for (const [one, two] of [
    ['Username:', 'Password:'],
    ['user name', 'password'],
    ['', ''],
    ['Benutzer', 'Kennwort'],
  ] as const) {
    const begun = login('tim', 'secret').begin();
    assert.deepEqual([begun.say, begun.mayEnd], [null, false]);
    const first = heard(begun.hear(one));
    assert.deepEqual([first.say, first.mayEnd], ['tim', false], 'a 235 to the user name alone is no success');
    const second = heard(first.hear(two));
    assert.deepEqual([second.say, second.mayEnd], ['secret', true]);
    assert.ok(
      [begun, first, second].every(({ ignoresChallenge }) => ignoresChallenge),
      'a prompt need not be base64',
    );
    assert.match(cancelled(second.hear('Again:')), /asks for more/);
  }
});

test('CRAM-MD5: RFC 2195 §2', () => {
  const begun = cramMd5('tim', 'tanstaaftanstaaf', hashes).begin();
  assert.deepEqual([begun.say, begun.mayEnd], [null, false]);
  const answered = heard(begun.hear('<1896.697170952@postoffice.reston.mci.net>'));
  assert.equal(answered.say, 'tim b913a602c7eda7a495b4e6e7334d3890');
  assert.equal(base64(answered.say ?? ''), 'dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw');
  assert.equal(answered.mayEnd, true);
  assert.match(cancelled(answered.hear('again')), /asks for more/);
});

test('CRAM-MD5: a challenge longer than any line is refused', () => {
  const { hear } = cramMd5('tim', 'x', hashes).begin();
  assert.ok(heard(hear('a'.repeat(LONGEST_CHALLENGE))).say);
  assert.match(cancelled(hear('a'.repeat(LONGEST_CHALLENGE + 1))), /too long/);
});

test('EXTERNAL: the identity, or nothing (which AUTH writes as "=")', () => {
  assert.equal(external('').begin().say, '');
  assert.equal(external('relay@example.org').begin().say, 'relay@example.org');
  assert.equal(external('').begin().mayEnd, true);
  assert.match(cancelled(external('').begin().hear('')), /asks for more/);
});

test('an initial response that makes AUTH longer than a command line waits for an empty challenge', () => {
  const say = (length: number): Exchange => keepInitialShort(plain('', 'x'.repeat(length - 2))).begin();
  // "AUTH PLAIN " is 11 octets; 499 are left, which hold 124 groups of four characters, 372 octets.
  assert.equal(say(372).say?.length, 372);
  const silent = say(373);
  assert.deepEqual([silent.say, silent.mayEnd], [null, false]);
  assert.equal(heard(silent.hear('')).say?.length, 373);
  assert.equal(heard(silent.hear('')).mayEnd, true);
  assert.equal(keepInitialShort(login('a', 'b')).begin().say, null);
  assert.equal(keepInitialShort(plain('', '')).name, 'PLAIN');
  // "AUTH EXTERNAL " is 14 octets; 496 are left, which 372 octets fill.
  assert.equal(keepInitialShort(external('x'.repeat(372))).begin().say?.length, 372, 'just as long as a command line may be');
  assert.equal(silent.ignoresChallenge, true);
  assert.equal(keepInitialShort(external('x'.repeat(373))).begin().ignoresChallenge, false);
});

test.run();
