// Names of a peer: for whom a certificate is (RFC 9525 §6.3), addresses, and which names a host of the configuration leads to.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import type { TlsPolicy } from '../../src/router/smarthost.ts';
import { addressOctets, printAddress } from '../../src/transport/address.ts';
import { type CertificateOptions, makeCertificate } from '../../src/transport/tls/certificate.ts';
import { isFor, wantedNames } from '../../src/transport/tls/peername.ts';

const test = suite('peername');

const isForDer = (der: Uint8Array, name: string): boolean => isFor(new X509Certificate(der), name);

const derOf = (options: CertificateOptions): Uint8Array => new X509Certificate(makeCertificate(options).own).raw;

test('a certificate is for the names that it has, wildcards included', () => {
  for (const [named, wanted, expected, why] of [
    ['mail.example.org', 'mail.example.org', true, 'equal'],
    ['MAIL.Example.ORG', 'mail.example.org', true, 'case does not count'],
    ['mail.example.org', 'mail.example.orgx', false, 'longer'],
    ['mail.example.orgx', 'mail.example.org', false, 'longer'],
    ['localhost', 'localhost', true, 'a single label'],
    ['*.example.org', 'mail.example.org', true, 'a wildcard'],
    ['*.EXAMPLE.org', 'mail.example.org', true, 'a wildcard in upper case'],
    ['*.example.org', 'a.mail.example.org', false, 'a wildcard is one label'],
    ['*.example.org', 'example.org', false, 'a wildcard is one label, not none'],
    ['*.example.org', '.example.org', false, 'a wildcard is not an empty label'],
    ['*.example.org', '*.example.org', false, 'nobody is called so'],
    ['m*.example.org', 'mail.example.org', false, 'a part of a label'],
    ['*l.example.org', 'mail.example.org', false, 'a part of a label'],
    ['mail.*.org', 'mail.example.org', false, 'not the leftmost'],
    ['*.*.org', 'mail.example.org', false, 'two wildcards'],
    ['**.example.org', 'mail.example.org', false, 'two wildcards in a label'],
    ['*.org', 'example.org', false, 'right above a top-level domain'],
    ['*.co.uk', 'example.co.uk', true, 'above what only a list knows to be public'],
    ['*', 'localhost', false, 'alone'],
    ['*', 'example.org', false, 'alone'],
    ['*..', 'mail..', false, 'empty labels'],
    ['*..example.org', 'mail..example.org', false, 'an empty label'],
    ['.example.org', 'mail.example.org', false, 'a dot before the name is no wildcard'],
    ['mail.example.org', '.example.org', false, 'nor is it one in the name that is wanted'],
    ['mail.example.org\0.evil.example', 'mail.example.org', false, 'a NUL does not end a name'],
    ['mail.example.org', 'mail.example.org\0.evil.example', false, 'nor the one that is wanted'],
    ['mail.example.org\n', 'mail.example.org', false, 'nor does a line end'],
    ['mail.example.org,DNS:x.example', 'x.example', false, 'a comma separates no names'],
    ["x', DNS:'mail.example.org", 'mail.example.org', false, 'nor do quotes'],
    ['mail.example.org.', 'mail.example.org', false, 'a certificate has no final dot'],
    ['*.example.org.', 'mail.example.org', false, 'a wildcard has none'],
    ['', '', false, 'nothing'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example', true, 'an A-label'],
    ['*.example.org', 'xn--bcher-kva.example.org', true, 'a wildcard for an A-label'],
    ['*.xn--bcher-kva.example', 'mail.xn--bcher-kva.example', true, 'a wildcard above an A-label'],
    ['xn--*.example.org', 'xn--bcher-kva.example.org', false, 'a part of an A-label'],
    ['*.example.org', 'm\u00fcll.example.org', false, 'a U-label is nobody that is wanted'],
    ['my_host', 'my_host', true, 'a name of a private network'],
    ['*.example.org', 'my_host.example.org', true, 'one below a wildcard, which OpenSSL alone does not take'],
    ['*.example.org', 'a.my_host.example.org', false, 'two labels'],
    ['*.org', 'my_host.org', false, 'right above a top-level domain'],
    ['my-host.example.org', 'my_host.example.org', false, 'a hyphen is no underscore'],
    ['*.my_domain.example', 'mail.my_domain.example', false, 'OpenSSL has no wildcard above an underscore'],
    ['192.0.2.1', '192.0.2.1', false, 'an address among the names'],
    ['*.0.2.1', '192.0.2.1', false, 'a wildcard for a part of an address'],
  ] as const)
    assert.equal(isForDer(derOf({ names: [named], commonName: 'x' }), wanted), expected, `${why}: ${named} for ${wanted}`);
  assert.ok(isForDer(derOf({ names: Array.from({ length: 300 }, (_, i) => `n${i}.example`) }), 'n299.example'), 'the last of many');
});

test('a certificate is for the addresses that it names, and never for its subject', () => {
  for (const [options, wanted, expected, why] of [
    [{ ips: ['192.0.2.1'] }, '192.0.2.1', true, 'IPv4'],
    [{ ips: ['192.0.2.1'] }, '192.0.2.10', false, 'another'],
    [{ ips: ['2001:db8::1'] }, '2001:db8::1', true, 'IPv6'],
    [{ ips: ['2001:db8::1'] }, '2001:DB8:0:0:0:0:0:1', true, 'written out'],
    [{ ips: ['2001:db8::1'] }, '2001:db8::2', false, 'another'],
    [{ ips: ['::ffff:192.0.2.1'] }, '192.0.2.1', false, 'an IPv4-mapped address is no IPv4 address'],
    [{ ips: ['192.0.2.1'] }, '::ffff:192.0.2.1', false, 'nor the other way round'],
    [{ ips: ['::1', '127.0.0.1'] }, '127.0.0.1', true, 'the second'],
    [{ commonName: 'mail.example.org', cnOnly: true }, 'mail.example.org', false, 'a subject alone'],
    [{ commonName: 'mail.example.org', names: ['x.example'] }, 'mail.example.org', false, 'a subject beside another name'],
    [{ commonName: 'mail.example.org', ips: ['192.0.2.1'] }, 'mail.example.org', false, 'a subject beside an address'],
    [{ commonName: '192.0.2.1', cnOnly: true }, '192.0.2.1', false, 'an address as subject'],
  ] as const)
    assert.equal(isForDer(derOf(options), wanted), expected, `${why}: ${JSON.stringify(options)} for ${wanted}`);
});

test('the second of two lists of names does not count (RFC 5280 §4.2: an extension stands once), and octets that are no list name nobody', () => {
  /** Another list of names in the place of subjectKeyIdentifier, which has 22 octets. */
  const withSecond = (value: string): Uint8Array => {
    const der = Buffer.from(derOf({ names: ['a.example'] }));
    const at = der.indexOf(Buffer.from('0603551d0e041604', 'hex'));
    der.write('0603551d110416', at, 'hex');
    der.write(value, at + 7, 'hex');
    return der;
  };
  const list = `30148212${Buffer.from('mail12.example.org').toString('hex')}`;
  // BoringSSL, which is Bun's, goes by the first list.
  for (const [value, why] of [
    [list, 'a list'],
    [list.replace('8212', '8211'), 'a list with an octet too much'],
    ['00'.repeat(22), 'no list'],
  ] as const)
    for (const name of process.versions.bun === undefined ? ['a.example', 'mail12.example.org'] : ['a.example'])
      assert.equal(isForDer(withSecond(value), name), false, `${why}: ${name}`);
});

test('the runtime is asked once for a name, and for a label with an underscore once more for one that nobody could foresee', () => {
  const asked: unknown[] = [];
  const certificate = {
    checkHost: (...given: unknown[]) => void asked.push(given),
    checkIP: (...given: unknown[]) => void asked.push(given),
  };
  const options = { subject: 'never', partialWildcards: false };
  assert.equal(isFor(certificate, 'mail.example.org'), false);
  assert.deepEqual(asked.splice(0), [['mail.example.org', options]]);
  assert.equal(isFor(certificate, 'my_host.example.org'), false);
  const [first, second] = asked.splice(0) as [string, unknown][];
  assert.deepEqual([first, second?.[1]], [['my_host.example.org', options], options]);
  assert.match(second?.[0] ?? '', /^[\da-f]{32}\.example\.org$/);
  assert.equal(isFor(certificate, '192.0.2.1'), false);
  assert.deepEqual(asked.splice(0), [['192.0.2.1']]);
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

test('the configuration and DNS decide which names a certificate must be for', () => {
  for (const [target, domain, serverName, sni, names, why] of [
    ['mail.example.org', '', '', 'mail.example.org', ['mail.example.org'], 'a host'],
    ['Mail.Example.org.', '', '', 'mail.example.org', ['mail.example.org'], 'case and a final dot'],
    ['bücher.example', '', '', 'xn--bcher-kva.example', ['xn--bcher-kva.example'], 'U-labels'],
    ['my_host', '', '', 'my_host', ['my_host'], 'a name of a private network'],
    ['192.0.2.1', '', '', '', ['192.0.2.1'], 'pitfall 25: no SNI for an IP address'],
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
  assert.deepEqual(wantedNames({ serverName: '' } as TlsPolicy, 'a.example'), { sni: 'a.example', names: ['a.example'] });
});

test.run();
