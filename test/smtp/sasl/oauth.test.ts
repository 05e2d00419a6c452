/** Bearer tokens: the messages of RFC 7628 §4 and of Google's page, and servers that explain themselves at any length. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { oauthBearer, xoauth2 } from '../../../src/smtp/sasl/oauth.ts';
import { base64, fromBase64 } from '../../../src/smtp/text.ts';
import { cancelled, heard } from './exchange.ts';

const test = suite('oauth');
const TOKEN = 'vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==';

test('OAUTHBEARER: RFC 7628 §4.1 and §4.4', () => {
  const begun = oauthBearer('user@example.com', TOKEN, 'server.example.com', 143).begin();
  assert.equal(begun.say, `n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer ${TOKEN}\x01\x01`);
  assert.equal(begun.mayEnd, true);
  assert.equal(
    base64(oauthBearer('user@example.com', TOKEN, 'server.example.com', 587).begin().say as string),
    'bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB',
  );
});

test('OAUTHBEARER leaves out what is missing, and escapes characters with a meaning', () => {
  assert.equal(oauthBearer('', 't', '', 0).begin().say, 'n,,\x01auth=Bearer t\x01\x01');
  assert.equal(oauthBearer('a=b,c', 't', '', 0).begin().say, 'n,a=a=3Db=2Cc,\x01auth=Bearer t\x01\x01');
});

test('XOAUTH2: as Google describes it', () => {
  const begun = xoauth2('someuser@example.com', 'ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg').begin();
  assert.equal(
    base64(begun.say as string),
    'dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==',
  );
  assert.equal(begun.mayEnd, true);
});

test('each mechanism answers an explanation in its own way, and a 235 after it is no success', () => {
  const challenge = fromBase64(
    'eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmV4YW1wbGUuY29tLyJ9',
  ) as string;
  for (const [mechanism, acknowledgement] of [
    [oauthBearer('u', 't', '', 0), '\x01'],
    [xoauth2('u', 't'), ''],
  ] as const) {
    const explained = heard(mechanism.begin().hear(challenge));
    assert.equal(explained.say, acknowledgement, mechanism.name);
    assert.equal(explained.mayEnd, false);
    assert.equal(explained.refusal, 'status invalid_token, schemes bearer, scope https://mail.example.com/');
    assert.match(cancelled(explained.hear('more')), /asks for more/);
  }
});

test('hostile case 14: explanations of any kind are shown short and printable', () => {
  const explain = (challenge: string) => heard(xoauth2('u', 't').begin().hear(challenge)).refusal as string;
  for (const [challenge, expected, why] of [
    [
      '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}',
      'status 400, schemes Bearer, scope https://mail.google.com/',
      'Google',
    ],
    ['{"status":400}', 'status 400', 'a number'],
    ['x'.repeat(161), `${'x'.repeat(160)}…`, 'two lines of a terminal'],
    ['{"error":"invalid_grant","error_description":"expired"}', 'error invalid_grant, error_description expired', 'RFC 6749 §5.2'],
    ['{"other":1}', '{"other":1}', 'nothing known'],
    ['{"status":{"a":1}}', '{"status":{"a":1}}', 'an object where text belongs'],
    ['null', 'null', 'JSON, but no object'],
    ['"text"', '"text"', 'JSON text'],
    ['nonsense', 'nonsense', 'no JSON'],
    ['', '', 'nothing'],
    ['{"status":"\\u001b[31m"}', 'status \\x1b[31m', 'an escape sequence in JSON'],
    ['\x1b[31m\r\n', '\\x1b[31m\\x0d\\x0a', 'an escape sequence'],
    ['{"__proto__":{"status":"x"}}', '{"__proto__":{"status":"x"}}', 'no prototype is followed'],
  ] as const)
    assert.equal(explain(challenge), expected, why);
  assert.ok(explain('x'.repeat(1_000_000)).length < 200, 'a megabyte');
  assert.ok(explain(`{"status":"${'x'.repeat(1_000_000)}"}`).length < 200, 'a megabyte of JSON');
  assert.ok(explain('['.repeat(4000)).length < 200, 'deep nesting');
  const padded = (octets: number): string => `{"status":"400"}`.padEnd(octets);
  assert.equal(explain(padded(4096)), 'status 400', 'the longest that is read');
  assert.match(explain(padded(4097)), /^\{"status":"400"\}/, 'longer ones are shown as they are');
});

test.run();
