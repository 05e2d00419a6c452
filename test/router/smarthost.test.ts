import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { DEFAULT_TLS, isLmtp, parseSmarthost, printSmarthost, type Smarthost } from '../../src/router/smarthost.ts';
import { SMARTHOST_ERRORS } from '../config/errors.ts';

const test = suite('smarthost');

/** [text, `scheme host port expand`] */
const ACCEPTED: [string, string, string][] = [
  ['mail.example.org', 'submission mail.example.org 587 none', 'a bare host is a submission server'],
  ['Mail.Example.ORG.', 'submission mail.example.org 587 none', 'case and the dot of the root are no part of a name'],
  ['localhost', 'submission localhost 587 none', 'one label'],
  ['mail.example.org:465', 'submissions mail.example.org 465 none', ''],
  ['mail.example.org:25', 'smtp mail.example.org 25 none', ''],
  ['mail.example.org:24', 'lmtp mail.example.org 24 none', ''],
  ['mail.example.org:1', 'submission mail.example.org 1 none', ''],
  ['mail.example.org:65535', 'submission mail.example.org 65535 none', ''],
  ['mail.example.org:2525', 'submission mail.example.org 2525 none', ''],
  ['192.0.2.1', 'submission 192.0.2.1 587 none', ''],
  ['[2001:db8::1]', 'submission 2001:db8::1 587 none', ''],
  ['[2001:DB8::1]:465', 'submissions 2001:db8::1 465 none', ''],
  ['[fe80::1%eth0]:25', 'smtp fe80::1%eth0 25 none', 'a zone of a link-local address'],
  ['smtp://mail.example.org', 'smtp mail.example.org 25 none', ''],
  ['smtp://mail.example.org/', 'smtp mail.example.org 25 none', 'an empty path'],
  ['smtp://mail.example.org:465', 'smtp mail.example.org 465 none', 'a scheme beats the port'],
  ['submission://mail.example.org', 'submission mail.example.org 587 none', ''],
  ['SUBMISSIONS://mail.example.org', 'submissions mail.example.org 465 none', ''],
  ['smtps://mail.example.org', 'submissions mail.example.org 465 none', 'the old name of submissions'],
  ['smtps://[::1]:4650', 'submissions ::1 4650 none', ''],
  ['smtp://[192.0.2.1]:2525', 'smtp 192.0.2.1 2525 none', ''],
  ['[192.0.2.1]', 'submission 192.0.2.1 587 none', ''],
  ['lmtp://mail.example.org', 'lmtp mail.example.org 24 none', ''],
  ['unix:/run/smtp', 'unix /run/smtp 0 none', ''],
  ['unix:///run/smtp', 'unix /run/smtp 0 none', ''],
  ['lmtp+unix:/run/dovecot/lmtp', 'unix /run/dovecot/lmtp 0 none lmtp', 'LMTP on a socket'],
  ['LMTP+unix:///run/dovecot/lmtp', 'unix /run/dovecot/lmtp 0 none lmtp', ''],
  ['unix:/run/a:b@c/MX', 'unix /run/a:b@c/MX 0 none', 'a path is taken as it is'],
  ['example.org/MX', 'smtp example.org 25 mx', 'what MX names listens on port 25'],
  ['example.org:587/mx', 'submission example.org 587 mx', ''],
  ['submission://example.org/MX', 'submission example.org 587 mx', ''],
  ['example.org/SRV', 'submission example.org 587 srv', ''],
  ['submissions://example.org/SRV', 'submissions example.org 465 srv', ''],
  ['bücher.example', 'submission bücher.example 587 none', 'turned into A-labels where it is looked up'],
  ['mail_1.internal', 'submission mail_1.internal 587 none', ''],
];

test('accepted', () => {
  for (const [text, expected, why] of ACCEPTED) {
    const got = parseSmarthost(text);
    assert.ok(got.ok, `${text}: ${got.ok ? '' : got.detail}`);
    const { scheme, host, port, expand, lmtp } = got.value;
    assert.equal(`${scheme} ${host} ${port} ${expand}${lmtp ? ' lmtp' : ''}`, expected, why || text);
  }
});

test('without a table TLS is verified against the system for the name of the host, and shows no certificate', () => {
  assert.deepEqual(DEFAULT_TLS, {
    mode: 'default',
    verify: true,
    caFile: '',
    fingerprint: [],
    serverName: '',
    certificate: '',
    certificateKey: '',
    minVersion: '1.2',
  });
});

test('the dot of the root is printed where it was written', () => {
  for (const text of ['smtp://mail.example.org.:25', 'smtp://mail.example.org:25', 'submission://example.org./SRV']) {
    const got = parseSmarthost(text);
    assert.ok(got.ok);
    assert.equal(printSmarthost(got.value as Smarthost), text);
  }
});

test('the scheme or the socket says that LMTP is spoken', () => {
  assert.equal(isLmtp({ scheme: 'lmtp' }), true);
  assert.equal(isLmtp({ scheme: 'unix', lmtp: true }), true);
  assert.equal(isLmtp({ scheme: 'unix' }), false);
  assert.equal(isLmtp({ scheme: 'smtp' }), false);
});

test('wrong smart hosts are refused with a sentence that holds no password', () => {
  for (const [text, expected, why] of SMARTHOST_ERRORS) {
    const got = parseSmarthost(text);
    assert.ok(!got.ok, text);
    assert.match(got.detail, expected, why || text);
    assert.doesNotMatch(got.detail, /hunter2/);
  }
});

test('any text is taken or refused, and what was taken is taken again', () => {
  const word = fc.constantFrom('smtp://', 'unix:', '[', ']', ':', '/', 'MX', '/SRV', '::1', '@', 'a', '.', '25', '\n', '%');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word).map((words) => words.join('')),
      ),
      (text) => {
        const got = parseSmarthost(text);
        if (!got.ok || got.value.scheme === 'unix') return;
        const { scheme, host, port, expand, isAbsolute } = got.value;
        const name = host.includes(':') ? `[${host}]` : `${host}${isAbsolute ? '.' : ''}`;
        const again = parseSmarthost(`${scheme}://${name}${expand === 'srv' ? '' : `:${port}`}${expand === 'none' ? '' : `/${expand}`}`);
        assert.deepEqual(again, got, text);
      },
    ),
    { numRuns: 500 },
  );
});

test.run();
