// Names of a peer: RFC 9525 §6.3 as tables, addresses, and which names a host of the configuration leads to.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import type { TlsPolicy } from '../../src/router/smarthost.ts';
import { addressOctets, printAddress } from '../../src/transport/address.ts';
import { matchesName, wantedNames } from '../../src/transport/tls/peername.ts';

const test = suite('peername');

test('patterns and names', () => {
  for (const [pattern, name, expected, why] of [
    ['mail.example.org', 'mail.example.org', true, 'equal'],
    ['MAIL.Example.ORG', 'mail.example.org', true, 'case does not count'],
    ['*.example.org', 'mail.example.org', true, 'a wildcard'],
    ['*.example.org', 'a.mail.example.org', false, 'a wildcard is one label'],
    ['*.example.org', 'example.org', false, 'a wildcard is one label, not none'],
    ['*.example.org', '.example.org', false, 'a wildcard is not an empty label'],
    ['m*.example.org', 'mail.example.org', false, 'a part of a label'],
    ['*l.example.org', 'mail.example.org', false, 'a part of a label'],
    ['mail.*.org', 'mail.example.org', false, 'not the leftmost'],
    ['*.*.org', 'mail.example.org', false, 'two wildcards'],
    ['*.org', 'example.org', false, 'right above a top-level domain'],
    ['*', 'localhost', false, 'alone'],
    ['*', 'example.org', false, 'alone'],
    ['*..', 'mail..', false, 'empty labels'],
    ['mail.example.org\0.evil.example', 'mail.example.org', false, 'a NUL does not end a name'],
    ['mail.example.org.', 'mail.example.org', false, 'a certificate has no final dot'],
    ['mail.example.orgx', 'mail.example.org', false, 'longer'],
    ['', '', false, 'nothing'],
    ['localhost', 'localhost', true, 'a single label'],
    ['*.example.org', 'xn--bcher-kva.example.org', true, 'a wildcard for an A-label'],
  ] as const)
    assert.equal(matchesName(pattern, name), expected, `${why}: ${pattern} for ${name}`);
});

test('addresses: any way of writing, and back', () => {
  for (const [text, expected] of [
    ['192.0.2.1', 'c0000201'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['2001:db8::1', '20010db8000000000000000000000001'],
    ['2001:DB8:0:0:0:0:0:1', '20010db8000000000000000000000001'],
    ['fe80::', `fe80${'0'.repeat(28)}`],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ] as const)
    assert.equal(Buffer.from(addressOctets(text), 'latin1').toString('hex'), expected, text);
  assert.equal(printAddress('abc'), '(no address)');
  const octet = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(fc.oneof(fc.array(octet, { minLength: 4, maxLength: 4 }), fc.array(octet, { minLength: 16, maxLength: 16 })), (bytes) => {
      const octets = String.fromCharCode(...bytes);
      assert.equal(addressOctets(printAddress(octets)), octets);
    }),
  );
});

test('whom a host of the configuration leads to', () => {
  for (const [target, domain, serverName, sni, names, why] of [
    ['mail.example.org', '', '', 'mail.example.org', ['mail.example.org'], 'a host'],
    ['Mail.Example.org.', '', '', 'mail.example.org', ['mail.example.org'], 'case and a final dot'],
    ['bücher.example', '', '', 'xn--bcher-kva.example', ['xn--bcher-kva.example'], 'U-labels'],
    ['my_host', '', '', 'my_host', ['my_host'], 'a name of a private network'],
    ['192.0.2.1', '', '', '', ['192.0.2.1'], 'libraries.md §3 row 25: no SNI for an IP address'],
    ['fe80::1%eth0', '', '', '', ['fe80::1'], 'a zone is not a part of the name'],
    ['192.0.2.1', '', 'mail.example.org', 'mail.example.org', ['mail.example.org'], 'server_name for an IP address'],
    ['mail.example.org', '', '192.0.2.1', '', ['192.0.2.1'], 'an IP address as server_name'],
    ['/run/smtp', '', '', '', [], 'a unix socket'],
    ['/run/smtp', '', 'localhost', 'localhost', ['localhost'], 'a unix socket with server_name'],
    ['mx1.example.org', 'example.org', '', 'mx1.example.org', ['mx1.example.org', 'example.org'], 'MX below the domain'],
    ['example.org', 'example.org', '', 'example.org', ['example.org'], 'MX is the domain'],
    ['mx.evil.example', 'example.org', '', 'example.org', ['example.org'], 'MX elsewhere: only the domain counts'],
    ['mx.badexample.org', 'example.org', '', 'example.org', ['example.org'], 'a longer label is not below'],
    ['mx.evil.example', 'example.org', 'mx.provider.example', 'mx.provider.example', ['mx.provider.example'], 'server_name replaces both'],
    ['%', '', '', '%', ['%'], 'nonsense stays what it is'],
  ] as const)
    assert.deepEqual(wantedNames({ serverName } as TlsPolicy, target, domain), { sni, names }, why);
});

test.run();
