/** Which hosts are this host by the way they are written, and that the manual's table says the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import { isLoopback, isWrittenAsLoopback } from '../../src/router/loopback.ts';
import { DIRECT, parseSmarthost } from '../../src/router/smarthost.ts';

const test = suite('loopback');

const ADDRESSES: readonly (readonly [string, boolean, string])[] = [
  ['127.0.0.1', true, 'RFC 1122 §3.2.1.3 (g)'],
  ['127.255.255.254', true, 'all of 127/8'],
  ['128.0.0.1', false, ''],
  ['12.7.0.1', false, ''],
  ['0.0.0.0', false, 'a socket takes it for this host, a person for any'],
  ['192.0.2.1', false, ''],
  ['127.0.0.1.example.org', false, 'a name that begins like an address'],
  ['127.0.0.256', false, 'no address'],
  ['0x7f000001', false, 'no address but for inet_aton'],
  ['::1', true, 'RFC 4291 §2.5.3'],
  ['0:0:0:0:0:0:0:1', true, 'written out'],
  ['0::0001', true, 'half'],
  ['::0.0.0.1', true, 'with a quad'],
  ['::', false, 'unspecified'],
  ['::2', false, ''],
  ['1::1', false, ''],
  ['::1:0:1', false, ''],
  ['::127.0.0.1', false, 'IPv4-compatible addresses are of the past'],
  ['::ffff:127.0.0.1', true, 'mapped'],
  ['::FFFF:7f12:3456', true, 'mapped, in hexadecimal'],
  ['::ffff:128.0.0.1', false, 'mapped, another'],
  ['::fffe:127.0.0.1', false, 'not mapped'],
  ['64:ff9b::127.0.0.1', false, 'translated'],
  ['::1%lo', false, 'with a zone'],
  ['fe80::1', false, ''],
  ['localhost', true, 'RFC 6761 §6.3'],
  ['LocalHost.', true, 'without case, with the dot of the root'],
  ['mail.localhost', true, 'below it'],
  ['notlocalhost', false, ''],
  ['localhost.localdomain', false, 'reserved by nothing'],
  ['localhost.example.org', false, ''],
  ['ip6-localhost', false, 'reserved by nothing'],
  ['', false, ''],
];
for (const [host, expected, why] of ADDRESSES)
  test(`W3: ${host} ${expected ? 'is' : 'is not'} written as loopback ${why}`, () => assert.equal(isLoopback(host), expected));

test('W3: an IPv6 address in all its forms is what the URL parser makes of it', () => {
  const canonical = (address: string): string => new URL(`http://[${address}]/`).hostname;
  const group = fc.oneof(fc.constant(0), fc.constant(1), fc.constant(0xffff), fc.constant(0x7f00), fc.nat(0xffff));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.nat(8), fc.nat(8), (groups, from, to) => {
      const zeros = groups.map((each, i) => (i >= from && i < to ? 0 : each));
      const words = zeros.map((each) => each.toString(16));
      const text = from < to ? `${words.slice(0, from).join(':')}::${words.slice(to).join(':')}` : words.join(':');
      const whole = canonical(text);
      assert.equal(isLoopback(text), whole === '[::1]' || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]+\]$/.test(whole), text);
    }),
  );
});

test('W3: records of DNS and hosts behind a proxy are never loopback, sockets always', () => {
  const host = { scheme: 'submission', host: 'localhost', expand: 'none' } as const;
  const proxy = { scheme: 'socks5', host: 'localhost', port: 1080, user: '', secret: { from: 'none' } } as const;
  assert.equal(isWrittenAsLoopback(host), true);
  assert.equal(isWrittenAsLoopback({ ...host, link: DIRECT }), true);
  assert.equal(isWrittenAsLoopback({ ...host, link: { ...DIRECT, proxy } }), false);
  assert.equal(isWrittenAsLoopback({ ...host, expand: 'mx' }), false);
  assert.equal(isWrittenAsLoopback({ ...host, expand: 'srv' }), false);
  assert.equal(isWrittenAsLoopback({ ...host, scheme: 'unix', host: '/run/smtp' }), true);
});

test('W3: the manual’s table says what the code says', () => {
  const manual = readFileSync(new URL('../../man/nospool.toml.5', import.meta.url), 'utf8');
  const section = manual.slice(manual.indexOf('.SS Loopback'));
  const rows = section
    .slice(section.indexOf('l l.\n') + 5, section.indexOf('.TE'))
    .trim()
    .split('\n');
  assert.ok(rows.length >= 10);
  for (const row of rows) {
    const [written = '', answer = ''] = row.split('\t');
    const address = parseSmarthost(written.replaceAll('\\-', '-'));
    assert.ok(address.ok, written);
    assert.match(answer, /^(yes|no)\b/);
    assert.equal(isWrittenAsLoopback(address.value), answer.startsWith('yes'), written);
  }
});

test.run();
