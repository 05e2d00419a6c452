/** SCRAM against the vectors of its RFCs, an obvious server written from RFC 5802 §3, and servers that cheat. */
import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import { LONGEST_CHALLENGE } from '../../../src/smtp/limits.ts';
import type { Digest, Hashes, Mechanism } from '../../../src/smtp/sasl/sasl.ts';
import { saslPrep } from '../../../src/smtp/sasl/saslprep.ts';
import { type Binding, ITERATIONS, scram } from '../../../src/smtp/sasl/scram.ts';
import { hashes } from '../../../src/transport/hashes.ts';
import { cancelled, heard } from './exchange.ts';

const test = suite('scram');

const withNonce = (nonce: string): Hashes => ({ ...hashes, nonce: () => nonce });

function mechanism(digest: Exclude<Digest, 'md5'>, user: string, password: string, binding: Binding = 'n', by: Hashes = hashes): Mechanism {
  const made = scram({ digest, user, password, binding, hashes: by });
  assert.ok(made.ok, made.ok ? '' : made.detail);
  return made.value;
}

/** The server's side, from RFC 5802 §3 and §5; returns whether the client's proof holds, and the last message. */
function answer(digest: string, length: number, password: string, clientFirst: string, serverFirst: string, clientFinal: string) {
  const [, salt = '', count = ''] = /,s=([^,]*),i=(\d+)/.exec(serverFirst) ?? [];
  const hmac = (key: Buffer, text: string) => createHmac(digest, key).update(text, 'latin1').digest();
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(count), length, digest);
  const bare = clientFirst.split(',').slice(2).join(',');
  const [withoutProof = '', proof = ''] = clientFinal.split(',p=');
  const signed = `${bare},${serverFirst},${withoutProof}`;
  const clientKey = hmac(salted, 'Client Key');
  const signature = hmac(createHash(digest).update(clientKey).digest(), signed);
  const expected = Buffer.from(clientKey.map((octet, i) => octet ^ (signature[i] as number))).toString('base64');
  return { proved: expected === proof, last: `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}` };
}

for (const { rfc, digest, nonce, serverFirst, clientFinal, serverFinal } of [
  {
    rfc: 'RFC 5802 §5',
    digest: 'sha1',
    nonce: 'fyko+d2lbbFgONRv9qkxdawL',
    serverFirst: 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
    clientFinal: 'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    serverFinal: 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=',
  },
  {
    rfc: 'RFC 7677 §3',
    digest: 'sha256',
    nonce: 'rOprNGfwEbeRWgbNEkqO',
    serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    clientFinal: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  },
] as const)
  test(`the exchange of ${rfc}`, () => {
    const begun = mechanism(digest, 'user', 'pencil', 'n', withNonce(nonce)).begin();
    assert.deepEqual([begun.say, begun.mayEnd], [`n,,n=user,r=${nonce}`, false]);
    const proving = heard(begun.hear(serverFirst));
    assert.deepEqual([proving.say, proving.mayEnd], [clientFinal, false], 'a 235 here is no success: the server proved nothing');
    const proved = heard(proving.hear(serverFinal));
    assert.deepEqual([proved.say, proved.mayEnd], ['', true]);
    assert.match(cancelled(proved.hear('')), /asks for more/);
    assert.equal(heard(proving.hear(`${serverFinal},x=later`)).mayEnd, true, 'extensions behind the signature are ignored');
    assert.match(cancelled(proving.hear(`${serverFinal},m=must`)), /extension/, 'but not those that may not be. RFC 5802 §5.1');
  });

test('any user, password, salt, count and binding convince an obvious server, and it convinces us', () => {
  const text = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).filter((each) => {
    const prepared = saslPrep(each);
    return prepared.ok && prepared.value !== '';
  });
  const binding: fc.Arbitrary<Binding> = fc.oneof(
    fc.constantFrom<Binding>('y', 'n'),
    fc.record({
      type: fc.constantFrom('tls-exporter' as const, 'tls-server-end-point' as const),
      data: fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), minLength: 32, maxLength: 64 }),
    }),
  );
  fc.assert(
    fc.property(
      text,
      text,
      binding,
      fc.uint8Array({ minLength: 1, maxLength: 32 }),
      fc.constantFrom('sha1' as const, 'sha256' as const),
      (user, password, bound, salt, digest) => {
        const begun = mechanism(digest, user, password, bound).begin();
        const first = begun.say as string;
        const serverFirst = `r=${first.split(',r=')[1]}server,s=${Buffer.from(salt).toString('base64')},i=4096`;
        const proving = heard(begun.hear(serverFirst));
        const prepared = saslPrep(password);
        assert.ok(prepared.ok);
        const { proved, last } = answer(
          digest,
          digest === 'sha1' ? 20 : 32,
          prepared.value,
          first,
          serverFirst,
          Buffer.from(proving.say as string, 'latin1').toString('latin1'),
        );
        assert.ok(proved);
        assert.equal(heard(proving.hear(last)).mayEnd, true);
        const [, header = ''] = /^c=([^,]*),/.exec(proving.say as string) ?? [];
        const expected = typeof bound === 'string' ? `${bound},,` : `p=${bound.type},,${bound.data}`;
        assert.equal(Buffer.from(header, 'base64').toString('latin1'), expected);
        assert.ok(first.startsWith(expected.slice(0, expected.indexOf(',,') + 2)));
      },
    ),
    { numRuns: 40 },
  );
});

test('names: -PLUS with a binding only', () => {
  const data = 'x'.repeat(32);
  for (const [digest, binding, expected] of [
    ['sha1', 'n', 'SCRAM-SHA-1'],
    ['sha256', 'y', 'SCRAM-SHA-256'],
    ['sha1', { type: 'tls-exporter', data }, 'SCRAM-SHA-1-PLUS'],
    ['sha256', { type: 'tls-server-end-point', data }, 'SCRAM-SHA-256-PLUS'],
  ] as const)
    assert.equal(mechanism(digest, 'u', 'p', binding).name, expected);
});

test('a user name with a comma and an equals sign is escaped', () => {
  assert.equal(mechanism('sha1', 'a=b,c', 'p', 'n', withNonce('N')).begin().say, 'n,,n=a=3Db=2Cc,r=N');
});

test('every exchange has a nonce of its own', () => {
  const made = mechanism('sha256', 'u', 'p');
  const nonces = new Set(Array.from({ length: 50 }, () => (made.begin().say as string).split(',r=')[1]));
  assert.equal(nonces.size, 50);
  for (const nonce of nonces) assert.match(nonce as string, /^[!-+\--~]{24}$/);
});

test('hostile case 12: the client gives up at a first message that no server may send', () => {
  const begun = mechanism('sha256', 'user', 'pencil', 'n', withNonce('abc')).begin();
  for (const [challenge, expected, why] of [
    ['r=abc,s=QSXCR+Q6sek8bf92,i=4096', /does not extend/, 'our nonce and nothing more'],
    ['r=xyzabc,s=QSXCR+Q6sek8bf92,i=4096', /does not extend/, 'our nonce at the end'],
    ['r=ab,s=QSXCR+Q6sek8bf92,i=4096', /does not extend/, 'a part of our nonce'],
    ['r=abcd,s=QSXCR+Q6sek8bf92,i=1', /1 SCRAM iterations; 4096 to 600000/, 'one iteration'],
    [`r=abcd,s=QSXCR+Q6sek8bf92,i=${ITERATIONS.least - 1}`, /iterations/, 'one below the least'],
    [`r=abcd,s=QSXCR+Q6sek8bf92,i=${ITERATIONS.most + 1}`, /iterations/, 'one above the most'],
    ['r=abcd,s=QSXCR+Q6sek8bf92,i=1000000000', /iterations/, 'a thousand million'],
    ['r=abcd,s=QSXCR+Q6sek8bf92,i=99999999999999999999', /cannot be read/, 'no number of this world'],
    ['r=abcd,s=QSXCR+Q6sek8bf92,i=-4096', /cannot be read/, 'a negative count'],
    ['r=abcd,s=QSXCR+Q6sek8bf92,i=0x1000', /cannot be read/, 'hexadecimal'],
    ['r=abcd,s=QSXCR+Q6sek8bf92,i=04096', /cannot be read/, 'a leading zero'],
    ['r=abcd,s=QSXCR+Q6sek8bf92', /cannot be read/, 'no count'],
    ['r=abcd,s=,i=4096', /cannot be read/, 'no salt'],
    ['r=abcd,s=Q,i=4096', /salt is not base64/, 'one digit of base64'],
    ['r=ab\x01cd,s=QSXCR+Q6sek8bf92,i=4096', /cannot be read/, 'a control character in the nonce'],
    ['s=QSXCR+Q6sek8bf92,r=abcd,i=4096', /cannot be read/, 'another order'],
    ['m=must,r=abcd,s=QSXCR+Q6sek8bf92,i=4096', /extension/, 'a mandatory extension'],
    ['r=abcd,s=QSXCR+Q6sek8bf92,i=4096,x=y,m=must', /extension/, 'one behind all others. RFC 5802 §5.1'],
    ['e=unknown-user', /refuses: unknown-user/, 'an error'],
    ['e=\x1b[31m', /refuses: \\x1b\[31m/, 'an error that would colour a terminal'],
    ['', /cannot be read/, 'nothing'],
    [`r=abc${'d'.repeat(LONGEST_CHALLENGE)},s=QSXCR+Q6sek8bf92,i=4096`, /too long/, 'a huge nonce'],
  ] as const)
    assert.match(cancelled(begun.hear(challenge)), expected, why);
  assert.ok(heard(begun.hear('r=abcd,s=QSXCR+Q6sek8bf92,i=4096,x=later')).say, 'a later extension is ignored');
  assert.ok(heard(begun.hear('r=abcd,s=QSXCR+Q6sek8bf92,i=600000')).say, 'the most iterations');
  const first = 'r=abcd,s=QSXCR+Q6sek8bf92,i=4096,x='.padEnd(LONGEST_CHALLENGE, 'x');
  assert.ok(heard(begun.hear(first)).say, 'as long as a challenge may be');
});

test('hostile case 12: the client gives up at a last message that no server may send', () => {
  const begun = mechanism('sha1', 'user', 'pencil', 'n', withNonce('fyko+d2lbbFgONRv9qkxdawL')).begin();
  const proving = heard(begun.hear('r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096'));
  for (const [challenge, expected, why] of [
    ['v=rmF9pqV8S7suAoZWja4dJRkFsKU=', /could not prove/, 'one bit wrong'],
    ['v=', /could not prove/, 'no signature'],
    ['v=!', /could not prove/, 'no base64'],
    ['v=rmF9', /could not prove/, 'the beginning of the signature'],
    ['', /could not prove/, 'nothing'],
    ['w=rmF9pqV8S7suAoZWja4dJRkFsKQ=', /could not prove/, 'the signature by another name'],
    ['rmF9pqV8S7suAoZWja4dJRkFsKQ=', /could not prove/, 'the signature without its name'],
    ['x=1,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=', /could not prove/, 'the signature behind something else'],
    ['e=invalid-proof', /refuses: invalid-proof/, 'an error'],
    [`v=${'A'.repeat(LONGEST_CHALLENGE)}`, /too long/, 'a huge signature'],
  ] as const)
    assert.match(cancelled(proving.hear(challenge)), expected, why);
  const last = 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=,x='.padEnd(LONGEST_CHALLENGE, 'x');
  assert.equal(heard(proving.hear(last)).mayEnd, true, 'as long as a challenge may be');
});

test('credentials that SASLprep refuses or leaves empty', () => {
  for (const [user, password, expected] of [
    ['us\u0007er', 'p', /user name cannot be used with SCRAM: it contains a control/],
    ['user', 'p\ufffd', /password cannot be used with SCRAM: it contains the replacement/],
    ['\u00ad', 'p', /needs a user name and a password/],
    ['user', '', /needs a user name and a password/],
  ] as const) {
    const made = scram({ digest: 'sha1', user, password, binding: 'n', hashes });
    assert.ok(!made.ok);
    assert.match(made.detail, expected);
  }
});

test.run();
