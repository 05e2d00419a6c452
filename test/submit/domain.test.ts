/** Names of hosts as arguments of EHLO, and domains in their two spellings. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { isAddressLiteral } from '../../src/smtp/path.ts';
import { asciiDomain, fullName, helloName, spellings } from '../../src/submit/domain.ts';
import { uncheckedMailbox } from '../support/mailbox.ts';

const test = suite('domain');

const label = 'a'.repeat(63);
const NAMES: readonly (readonly [string, string, string])[] = [
  ['web1.example.org', 'web1.example.org', 'a domain'],
  ['WEB1.Example.ORG', 'WEB1.Example.ORG', 'its case is kept'],
  ['web1.example.org.', 'web1.example.org', 'the dot of the root is no part of it'],
  ['a-b.c--d.example', 'a-b.c--d.example', 'hyphens within'],
  ['3com.example', '3com.example', 'RFC 1123 §2.1: a digit may be first'],
  ['xn--mller-kva.example', 'xn--mller-kva.example', 'A-labels'],
  ['müller.example', 'xn--mller-kva.example', 'U-labels'],
  ['MÜLLER.example', 'xn--mller-kva.example', 'U-labels in capitals'],
  ['пример.испытание', 'xn--e1afmkfd.xn--80akhbyknj4f', 'all of it'],
  [`${label}.${label}.${label}.${'b'.repeat(63)}`, `${label}.${label}.${label}.${'b'.repeat(63)}`, '255 octets'],
  ['[192.0.2.1]', '[192.0.2.1]', 'an address literal'],
  ['[IPv6:2001:db8::1]', '[IPv6:2001:db8::1]', 'of IPv6'],
  ['', '', 'no name'],
  ['my_app.local', '', 'an underscore'],
  ['web-.example.org', '', 'a hyphen at the end of a label'],
  ['-web.example.org', '', 'one at its beginning'],
  ['a..b', '', 'an empty label'],
  ['.example.org', '', 'an empty first one'],
  ['web1.example.org..', '', 'two dots at the end'],
  ['web 1.example.org', '', 'a blank'],
  [' web1.example.org', '', 'a blank before it'],
  ['web1.example.org\r\nMAIL FROM:<>', '', 'a second command'],
  ['m_ü.example', '', 'an underscore among U-labels'],
  [`${label}a.example`, '', 'a label of 64'],
  [`${label}.${label}.${label}.${label}.a`, '', '257 octets'],
  ['192.0.2.1', '', 'an address without brackets'],
  ['web1.123', '', 'a last label of digits'],
  ['[192.0.2]', '', 'no address in brackets'],
  ['[::1]', '', 'nor this one: IPv6 has its tag'],
];
for (const [name, said, why] of NAMES)
  test(`W4: ${JSON.stringify(name).slice(0, 60)}: ${why}`, () => {
    assert.equal(helloName(name), said);
    assert.equal(fullName(name), said.includes('.') || isAddressLiteral(said) ? said : '');
  });

test('W4: a name of one label is a domain that nobody outside knows', () => {
  assert.equal(helloName('web1'), 'web1');
  assert.equal(fullName('web1'), '');
});

test('a domain is written in A-labels only where the local-part is ASCII and the domain is not', () => {
  for (const [localPart, domain, expected] of [
    ['a', 'Example.ORG', 'Example.ORG'],
    ['a', 'M\u00fcller.example', 'xn--mller-kva.example'],
    ['j\u00f6rg', 'm\u00fcller.example', 'm\u00fcller.example'],
    ['j\u00f6rg', 'Example.ORG', 'Example.ORG'],
    ['a', '', ''],
  ] as const)
    assert.deepEqual(asciiDomain(uncheckedMailbox(localPart, domain)), { localPart, domain: expected });
});

test('W5: a domain and a pattern have the spelling of their labels that they are not written in', () => {
  assert.deepEqual(spellings('example.org'), ['example.org']);
  assert.deepEqual(spellings('müller.example'), ['müller.example', 'xn--mller-kva.example']);
  assert.deepEqual(spellings('*.müller.example'), ['*.müller.example', '*.xn--mller-kva.example']);
  assert.deepEqual(spellings('jörg@müller.example'), ['jörg@müller.example', 'jörg@xn--mller-kva.example']);
  assert.deepEqual(spellings('*@müller.example'), ['*@müller.example', '*@xn--mller-kva.example']);
  assert.deepEqual(spellings('xn--mller-kva.example'), ['xn--mller-kva.example', 'müller.example']);
  assert.deepEqual(spellings('*.xn--mller-kva.example'), ['*.xn--mller-kva.example', '*.müller.example']);
  assert.deepEqual(spellings('jörg@XN--mller-kva.example'), ['jörg@XN--mller-kva.example', 'jörg@müller.example']);
  assert.deepEqual(spellings('jörg@example.org'), ['jörg@example.org']);
  for (const plain of ['*', '@', '', '[192.0.2.1]', 'xn--99999.example']) assert.deepEqual(spellings(plain), [plain]);
});

test.run();
