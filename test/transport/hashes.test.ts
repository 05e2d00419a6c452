// The hashes handed to SASL: vectors of their own standards, on octet strings with every octet.
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { hex } from '../../src/smtp/text.ts';
import { hashes } from '../../src/transport/hashes.ts';

const test = suite('hashes');

test('HMAC: RFC 2202 §2 and §3, RFC 4231 §4.2, test case 1', () => {
  const text = 'Hi There';
  assert.equal(hex(hashes.hmac('md5', '\x0b'.repeat(16), text)), '9294727a3638bb1c13f48ef8158bfc9d');
  assert.equal(hex(hashes.hmac('sha1', '\x0b'.repeat(20), text)), 'b617318655057264e28bc0b6fb378c8ef146be00');
  assert.equal(hex(hashes.hmac('sha256', '\x0b'.repeat(20), text)), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7');
  // RFC 2202 §2, test case 3: octets above 127 are octets, not UTF-8.
  assert.equal(hex(hashes.hmac('md5', '\xaa'.repeat(16), '\xdd'.repeat(50))), '56be34521d144c88dbb8c733f0e8b3f6');
});

test('the digests of "abc" are those of the standards', () => {
  for (const [digest, expected] of [
    ['md5', '900150983cd24fb0d6963f7d28e17f72'],
    ['sha1', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    ['sha256', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ] as const)
    assert.equal(hex(hashes.hash(digest, 'abc')), expected);
  // Octets above 127 are octets, not UTF-8.
  assert.equal(hex(hashes.hash('sha256', '\xaa\xdd')), 'e97f06fabc231539119048bd3c55d0aa6015ed157532e6a5e6fb15aae331791d');
});

test('PBKDF2: RFC 6070 §2', () => {
  assert.equal(hex(hashes.pbkdf2('sha1', 'password', 'salt', 2)), 'ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957');
  assert.equal(hex(hashes.pbkdf2('sha1', 'password', 'salt', 4096)), '4b007901b765489abead49d926f721d065a429c1');
  assert.equal(hashes.pbkdf2('md5', 'password', 'salt', 1).length, 16);
  // RFC 7914 §11, of which the first half does not depend on how much is derived.
  assert.equal(hex(hashes.pbkdf2('sha256', 'passwd', 'salt', 1)), '55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc');
});

test('RFC 5802 §5.1: a nonce is printable, without a comma, of 144 bits, and new each time', () => {
  const nonces = Array.from({ length: 20 }, () => hashes.nonce());
  for (const nonce of nonces) assert.match(nonce, /^[A-Za-z0-9+/]{24}$/);
  assert.equal(new Set(nonces).size, nonces.length);
});

test.run();
