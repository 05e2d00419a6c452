/**
 * The envelope of a submission: domains, the reverse-path in force, and the recipients as they were asked for.
 * Loopback: nothing connects.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { parseField } from '../../src/message/fields.ts';
import { type Mailbox, parseMailbox, printPath, type ReversePath } from '../../src/smtp/path.ts';
import { addressRecipients, chooseReversePath, collectGiven, domainsOf } from '../../src/submit/envelope.ts';
import { settingsOf } from '../support/settings.ts';

const test = suite('envelope');

const mailbox = (text: string): Mailbox => {
  const got = parseMailbox(text);
  assert.ok(got.ok, text);
  return got.value;
};

const DOMAINS: readonly (readonly [string, string, Readonly<Record<'host' | 'sender' | 'recipient', string>>, string])[] = [
  ['', 'box.example.org', { host: 'box.example.org', sender: 'box.example.org', recipient: 'box.example.org' }, 'all from the host'],
  ['', 'box', { host: 'box', sender: '', recipient: '' }, 'a name of one label qualifies nobody'],
  ['hostname = "other.example"', 'box', { host: 'other.example', sender: 'other.example', recipient: 'other.example' }, 'the key wins'],
  ['qualify_domain = "example.org"', 'box', { host: 'box', sender: 'example.org', recipient: 'example.org' }, 'senders and recipients'],
  [
    'qualify_domain = "example.org"\nqualify_recipient = "there.example"',
    'box',
    { host: 'box', sender: 'example.org', recipient: 'there.example' },
    'recipients have a key of their own',
  ],
];
for (const [config, hostname, expected, why] of DOMAINS)
  test(`domains: ${why}`, () => {
    const { own, ...domains } = domainsOf(settingsOf(config), hostname);
    assert.deepEqual(domains, expected);
    assert.deepEqual(
      own,
      [...new Set([expected.host, 'localhost', expected.sender, expected.recipient])].filter((name) => name !== ''),
    );
  });

const FROM = 'from = "web-{login}@example.org"';
const SENDERS: readonly (readonly [string, ReversePath | undefined, string, string])[] = [
  ['', undefined, '<tim@box.example.org>', 'the login at this host'],
  ['', mailbox('ann@example.net'), '<ann@example.net>', '-f'],
  ['', mailbox('ann'), '<ann@box.example.org>', '-f without a domain'],
  ['', null, '<>', 'the null reverse-path'],
  [FROM, undefined, '<web-tim@example.org>', '`from`, with the login in it'],
  [FROM, mailbox('ann@example.net'), '<ann@example.net>', '-f before `from`'],
  [`${FROM}\nforce_from = true`, mailbox('ann@example.net'), '<web-tim@example.org>', 'force_from'],
  [`${FROM}\nforce_reverse_path = true`, mailbox('ann@example.net'), '<web-tim@example.org>', 'force_reverse_path'],
  [`${FROM}\nforce_from = true`, null, '<>', 'nothing forces the null reverse-path'],
  ['[rewrite]\ntim = "boss@example.com"', undefined, '<boss@example.com>', '[rewrite] comes last'],
  ['[rewrite]\n"*@müller.example" = "boss@example.com"', mailbox('ann@xn--mller-kva.example'), '<boss@example.com>', 'a key in letters'],
  ['[rewrite]\n"*@xn--mller-kva.example" = "boss@example.com"', mailbox('ann@müller.example'), '<boss@example.com>', 'a key in A-labels'],
  ['qualify_domain = "müller.example"', undefined, '<tim@xn--mller-kva.example>', 'a domain in A-labels'],
];
for (const [config, given, expected, why] of SENDERS)
  test(`the reverse-path: ${why}`, () => {
    const settings = settingsOf(`smarthosts = ["mail.example"]\n${config}`);
    const got = chooseReversePath(settings, domainsOf(settings, 'box.example.org'), 'tim', given);
    assert.equal(got.ok ? printPath(got.value.reversePath) : got.detail, expected);
  });

test('a sender without a domain is refused, and the first thing that is missing is named', () => {
  const choose = (config: string) => {
    const settings = settingsOf(config);
    const got = chooseReversePath(settings, domainsOf(settings, 'box'), 'tim', undefined);
    return got.ok ? '' : got.detail;
  };
  const unqualified = /^the sender "tim" has no domain, .*: set qualify_domain$/;
  assert.match(choose('smarthosts = ["mail.example"]'), unqualified);
  assert.match(choose(''), /set smarthosts/);
  const redirect = '[[router]]\nname = "r"\ndriver = "redirect"\ndata = { a = "b" }\n';
  assert.match(choose(redirect), /set smarthosts/);
  assert.match(choose(`${redirect}[[router]]\nname = "m"\ndriver = "manualroute"\nhosts = ["mail.example"]\n`), unqualified);
});

test('a sender that the configuration or the login does not make is refused, and the sentence names what is wrong', () => {
  const settings = settingsOf('smarthosts = ["mail.example"]');
  const choose = (changes: Partial<typeof settings>, login = 'tim') => {
    const changed = { ...settings, ...changes };
    const got = chooseReversePath(changed, domainsOf(changed, 'box.example.org'), login, undefined);
    return got.ok ? printPath(got.value.reversePath) : got.detail;
  };
  assert.match(choose({ from: '{login}@' }), /^from = "\{login\}@": /);
  assert.equal(choose({ from: '{login}+{login}@x.example' }, 'a'), '<a+a@x.example>');
  assert.match(choose({ rewrite: { 'a@': 'b@x.example' } }), /^\[rewrite\] "a@" = "b@x\.example": the key: /);
  assert.equal(choose({}, 'tim burton'), '<"tim burton"@box.example.org>');
  assert.notEqual(choose({}, 'a\nb').slice(0, 1), '<');
});

test('recipients are operands, header fields with -t, or an envelope that was given', () => {
  const settings = settingsOf('smarthosts = ["mail.example"]');
  const domains = domainsOf(settings, 'box.example.org');
  const field = parseField('To: Bob <bob@example.net>');
  assert.ok(field.ok);
  const paths = (given: Parameters<typeof collectGiven>[2]): string => {
    const got = collectGiven(settings, domains, given, [field.value]);
    return got.ok ? got.value.map(({ path }) => printPath(path)).join() : got.detail;
  };
  assert.equal(paths({ operands: ['ann, eve@müller.example'], fromFields: false }), '<ann@box.example.org>,<eve@xn--mller-kva.example>');
  assert.equal(paths({ operands: [], fromFields: true }), '<bob@example.net>');
  assert.equal(paths({ paths: [{ path: mailbox('ann') }] }), '<ann@box.example.org>');
  assert.notEqual(paths({ operands: ['@'], fromFields: false }), '');
});

test('two spellings of a domain are one recipient, also where arguments remove it', () => {
  const settings = { ...settingsOf('smarthosts = ["mail.example"]'), argumentsWithT: 'remove' as const };
  const domains = domainsOf(settings, 'box.example.org');
  for (const [field, operand] of [
    ['eve@müller.example', 'eve@xn--mller-kva.example'],
    ['eve@xn--mller-kva.example', 'eve@Müller.example'],
  ] as const) {
    const to = parseField(`To: ${field}, bob@example.net`);
    assert.ok(to.ok);
    const got = collectGiven(settings, domains, { operands: [operand], fromFields: true }, [to.value]);
    assert.equal(got.ok && got.value.map(({ path }) => printPath(path)).join(), '<bob@example.net>');
  }
});

test('RCPT has the notifications that were asked for, and the address that aliases replaced', () => {
  const [ann, bob, list] = [mailbox('ann@example.org'), mailbox('bob@example.org'), mailbox('list@example.org')];
  const routed = [ann, bob].map((path, i) => ({ path, original: i === 0 ? ann : list, router: 'r' }));
  const first = mailbox('first@example.org');
  assert.deepEqual(addressRecipients(routed, [{ path: ann }, { path: list, notify: ['NEVER'], original: first }], ['DELAY']), [
    { path: ann, notify: ['DELAY'], original: ann },
    { path: bob, notify: ['NEVER'], original: first },
  ]);
});

test.run();
