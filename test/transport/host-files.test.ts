/** Texts by which a host says how it looks names up, as distributions write them. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import {
  addressesIn,
  candidatesOf,
  familiesOf,
  type IpAddress,
  readResolvConf,
  sortAddresses,
  stepsOf,
} from '../../src/transport/lookup/host-files.ts';

const test = suite('resolv');

/* ---- nsswitch.conf ---- */

const STUB = ['127.0.0.53'];
const REAL = ['192.0.2.53'];
// biome-ignore format: a table is read as a table
const SWITCHES: readonly (readonly [string | null, string, readonly string[], string, string])[] = [
  [null, 'mail.example.org', REAL, 'files dns', 'musl, and the C library without the file'],
  ['passwd: files\n', 'mail.example.org', REAL, 'files dns', 'the file without the line'],
  ['hosts: files dns', 'mail.example.org', REAL, 'files dns', 'a server with Debian'],
  ['hosts:\tfiles dns # as ever\n', 'mail.example.org', REAL, 'files dns', 'a comment'],
  ['#hosts: ldap\nhosts: files dns\n', 'mail.example.org', REAL, 'files dns', 'a line that is a comment'],
  ['hosts: files mdns4_minimal [NOTFOUND=return] dns myhostname', 'mail.example.org', REAL, 'files dns', 'a desktop with Debian or Ubuntu'],
  ['hosts: files mdns4_minimal [NOTFOUND=return] dns', 'printer.local', REAL, 'files system', 'a name that mDNS knows'],
  ['hosts: files mdns4_minimal [NOTFOUND=return] dns', 'printer.LOCAL.', REAL, 'files system', 'however it is written'],
  ['hosts: files dns mdns4', 'mail.example.org', REAL, 'files dns', 'mDNS that knows .local alone'],
  ['hosts: files dns myhostname', 'client', REAL, 'files dns system', 'the name of this host'],
  ['hosts: files dns mdns', 'printer.local', REAL, 'files dns system', 'mDNS over both families'],
  ['hosts: files dns mdns', 'mail.example.org', REAL, 'files dns', 'which knows .local alone, too'],
  ['hosts: files dns mdns6', 'mail.example.org', REAL, 'files dns', 'as over IPv6'],
  ['hosts: files mdns6_minimal [NOTFOUND=return] dns', 'mail.example.org', REAL, 'files dns', 'the short form'],
  ['hosts: files mdns_minimal [NOTFOUND=return] dns', 'mail.example.org', REAL, 'files dns', 'the short form over both'],
  ['hosts: files dns myhostname', '_gateway', REAL, 'files dns system', 'the name of the router'],
  ['hosts: files dns myhostname', '_outbound', REAL, 'files dns system', 'the name of the way out'],
  ['hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns', 'mail.example.org', STUB, 'dns', 'Arch Linux'],
  ['hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns', 'machine', STUB, 'system', 'a container of this host'],
  ['hosts: files myhostname resolve [!UNAVAIL=return] dns', 'mail.example.org', STUB, 'files dns', 'Fedora'],
  ['hosts: files myhostname resolve [!UNAVAIL=return] dns', 'mail.example.org', REAL, 'files system', 'where resolv.conf goes past systemd-resolved'],
  ['hosts: files resolve [!UNAVAIL=return] dns', 'mail.example.org', ['127.0.0.54'], 'files dns', 'the second address of systemd-resolved'],
  ['hosts: files resolve [!UNAVAIL=return] dns', 'mail.example.org', ['127.0.0.53', '192.0.2.53'], 'files system', 'systemd-resolved beside another'],
  ['hosts: files resolve [!UNAVAIL=return] dns', 'mail.example.org', [], 'files system', 'no name server'],
  ['hosts: files myhostname resolve [!UNAVAIL=return] dns', 'mail', STUB, 'files system', 'a name without a dot: LLMNR'],
  ['hosts: files sss dns', 'mail.example.org', REAL, 'files system', 'what only the C library can ask'],
  ['hosts: dns sss', 'mail.example.org', REAL, 'dns system', 'asked last'],
  ['hosts: files [NOTFOUND=return] dns', 'mail.example.org', REAL, 'files', 'an end'],
  ['hosts: files [!SUCCESS=return] dns', 'mail.example.org', REAL, 'system', 'what is written about success'],
  ['hosts: files [SUCCESS=merge] dns', 'mail.example.org', REAL, 'system', 'the same'],
  ['hosts: files [UNAVAIL=return] dns', 'mail.example.org', REAL, 'files dns', 'no end'],
  ['hosts: files [!NOTFOUND=return] dns', 'mail.example.org', REAL, 'files dns', 'nor is this'],
  ['hosts: [NOTFOUND=return] files dns', 'mail.example.org', REAL, 'files dns', 'an action of no service'],
  ['hosts: mdns4_minimal', 'mail.example.org', REAL, '', 'nobody knows it'],
];
for (const [text, name, nameservers, expected, why] of SWITCHES)
  test(`${name} with ${text?.trim() ?? 'no nsswitch.conf'}: ${why}`, () => {
    const exists = (path: string) => path === '/run/systemd/machines/machine';
    assert.equal(stepsOf(name, text, { hostname: 'client', nameservers, exists }).join(' '), expected);
  });

test('mDNS is asked for all names where a file says so', () => {
  const facts = { hostname: 'client', nameservers: REAL, exists: (path: string) => path === '/etc/mdns.allow' };
  assert.deepEqual(stepsOf('mail.example.org', 'hosts: files dns mdns4', facts), ['files', 'dns', 'system']);
  assert.deepEqual(stepsOf('mail.example.org', 'hosts: files mdns4_minimal dns', facts), ['files', 'dns']);
});

/* ---- resolv.conf ---- */

const plain = { search: [], ndots: 1, timeout: 2000, attempts: 3, isWithoutAaaa: false, nameservers: [] };
// biome-ignore format: a table is read as a table
const CONFIGURATIONS: readonly (readonly [string, string, Readonly<Record<string, string>>, object, string])[] = [
  ['', 'client', {}, {}, 'nothing'],
  ['', 'client.example.org', {}, { search: ['example.org'] }, 'the domain of the host'],
  ['nameserver 192.0.2.1\nnameserver 2001:db8::1%eth0\n', 'client', {}, { nameservers: ['192.0.2.1', '2001:db8::1%eth0'] }, 'name servers'],
  ['nameserver 192.0.2.1 192.0.2.2\n', 'client', {}, { nameservers: ['192.0.2.1'] }, 'one on a line'],
  ['domain a.example b.example\n', 'client', {}, { search: ['a.example'] }, 'one domain'],
  ['search a.example b.example.\n', 'client.example.org', {}, { search: ['a.example', 'b.example'] }, 'a list'],
  ['search a.example\ndomain b.example\n', 'client', {}, { search: ['b.example'] }, 'the last counts'],
  ['search .\n', 'client.example.org', {}, { search: [] }, 'the root is no domain'],
  ['search svc.cluster.local\noptions ndots:5\n', 'client', {}, { search: ['svc.cluster.local'], ndots: 5 }, 'Kubernetes'],
  ['options timeout:1 attempts:2 rotate\n', 'client', {}, { timeout: 1000, attempts: 2 }, 'options'],
  ['options timeout:1\noptions timeout:4\n', 'client', {}, { timeout: 4000 }, 'the last counts'],
  ['options ndots:99 timeout:0 attempts:0\n', 'client', {}, { ndots: 15, timeout: 1000, attempts: 1 }, 'what the C library takes'],
  ['options timeout:99 attempts:99\n', 'client', {}, { timeout: 30_000, attempts: 5 }, 'the same'],
  ['options ndots:x\n', 'client', {}, {}, 'no number'],
  ['options edns0 no-aaaa\n', 'client', {}, { isWithoutAaaa: true }, 'no AAAA'],
  ['search a.example\noptions ndots:5\n', 'client', { LOCALDOMAIN: 'b.example', RES_OPTIONS: 'ndots:2' }, { search: ['b.example'], ndots: 2 }, 'the environment'],
];
for (const [text, host, environment, expected, why] of CONFIGURATIONS)
  test(`resolv.conf ${JSON.stringify(text)}: ${why}`, () =>
    assert.deepEqual(readResolvConf(text, host, environment), { ...plain, ...expected }));

// biome-ignore format: a table is read as a table
const CANDIDATES: readonly (readonly [string, number, string])[] = [
  ['mail', 1, 'mail.a.example mail.b.example mail'],
  ['mail.example', 1, 'mail.example mail.example.a.example mail.example.b.example'],
  ['mail.example', 5, 'mail.example.a.example mail.example.b.example mail.example'],
  ['a.b.c.d.e.f', 5, 'a.b.c.d.e.f a.b.c.d.e.f.a.example a.b.c.d.e.f.b.example'],
  ['mail', 0, 'mail mail.a.example mail.b.example'],
  ['mail.example.', 5, 'mail.example'],
];
for (const [name, ndots, expected] of CANDIDATES)
  test(`${name} with ndots:${ndots}`, () =>
    assert.equal(candidatesOf(name, { search: ['a.example', 'b.example'], ndots }).join(' '), expected));

/* ---- hosts ---- */

const HOSTS = `127.0.0.1 localhost # loopback
::1\tlocalhost ip6-localhost
# 192.0.2.9 mail.example.org
192.0.2.1  MAIL.example.org mail
192.0.2.2 mail # a second address
fe80::1%eth0 mail
not-an-address mail
192.0.2.3 mail.example.org.au
`;
const show = (addresses: readonly IpAddress[]): string => addresses.map(({ address, family }) => `${address} ${family}`).join(', ');
for (const [name, expected] of [
  ['localhost', '127.0.0.1 4, ::1 6'],
  ['mail.example.org', '192.0.2.1 4'],
  ['Mail', '192.0.2.1 4, 192.0.2.2 4, fe80::1%eth0 6'],
  ['loopback', ''],
  ['192.0.2.1', ''],
  ['unknown.example', ''],
] as const)
  test(`/etc/hosts has ${name}: ${expected || 'no'}`, () => assert.equal(show(addressesIn(HOSTS, name)), expected));

/* ---- which family first ---- */

const both: readonly IpAddress[] = [
  { address: '192.0.2.1', family: 4 },
  { address: '2001:db8::1', family: 6 },
  { address: '192.0.2.2', family: 4 },
];
const SIX_FIRST = '2001:db8::1 6, 192.0.2.1 4, 192.0.2.2 4';
const FOUR_FIRST = '192.0.2.1 4, 192.0.2.2 4, 2001:db8::1 6';
// biome-ignore format: a table is read as a table
const ORDERS: readonly (readonly [readonly string[], string, string, string])[] = [
  [['127.0.0.1', '::1', '192.0.2.10', '2001:db8::10'], '', SIX_FIRST, 'a host with both'],
  [['192.0.2.10', 'fe80::1'], '', FOUR_FIRST, 'a host with IPv4, and IPv6 on its link'],
  [['192.0.2.10', 'fd00::1'], '', FOUR_FIRST, 'and IPv6 at its site. RFC 6724 §10.6'],
  [['192.0.2.10', '2002:c000:20a::1'], '', FOUR_FIRST, 'and 6to4'],
  [['192.0.2.10', '2001:0:1::1'], '', FOUR_FIRST, 'and Teredo'],
  [['2001:db8::10'], '', SIX_FIRST, 'a host with IPv6 alone'],
  [['192.0.2.10', '2001:db8::10'], 'precedence ::ffff:0:0/96  100\n', FOUR_FIRST, 'an administrator who wants IPv4'],
  [['192.0.2.10', '2001:db8::10'], 'precedence ::ffff:0:0/96  40\n', show(both), 'what no line is about has 40, so all stays in its order'],
  [['192.0.2.10', '2001:db8::10'], 'precedence ::ffff:0:0/96  39\n', SIX_FIRST, 'and less comes behind it'],
  [['192.0.2.10', 'fd00::1'], 'precedence ::/0  99999\n', FOUR_FIRST, 'no precedence makes up for an address that cannot be reached from here'],
  [['192.0.2.10', '2001:db8::10'], '#precedence ::ffff:0:0/96  100\n', SIX_FIRST, 'as distributions ship it'],
];
for (const [own, gai, expected, why] of ORDERS)
  test(`V1: the first address: ${why}. RFC 6724`, () => assert.equal(show(sortAddresses(both, own, gai)), expected));

test('addresses of one family stay as they came', () => {
  const four: readonly IpAddress[] = [both[2] as IpAddress, both[0] as IpAddress];
  assert.equal(sortAddresses(four, [], ''), four);
  const one = four.slice(1);
  assert.equal(sortAddresses(one, [], ''), one);
});

test('addresses of loopback, ULA and old tunnels have their place in the order', () => {
  const found = ['192.0.2.1', 'fd00::1', '2002::1', '2001::1', '::1', '2001:db8::1'].map(
    (address): IpAddress => ({ address, family: address.includes(':') ? 6 : 4 }),
  );
  assert.equal(
    show(sortAddresses(found, ['192.0.2.10', '2001:db8::10'], '')),
    '::1 6, 2001:db8::1 6, 192.0.2.1 4, 2002::1 6, 2001::1 6, fd00::1 6',
  );
});

test('a prefix ends at its bit, and a zone is no part of an address', () => {
  const four: IpAddress = { address: '192.0.2.1', family: 4 };
  for (const [address, isFirst, why] of [
    ['fbff::1', true, 'before fc00::/7'],
    ['fc00::1', false, 'the first of fc00::/7'],
    ['fdff::1', false, 'the last of fc00::/7'],
    ['fe00::1', true, 'behind fc00::/7'],
    ['fe80::1%eth0', true, 'an address of the link'],
    ['febf::1', true, 'before fec0::/10'],
    ['fec0::1', false, 'the first of fec0::/10'],
    ['feff::1', false, 'the last of fec0::/10'],
    ['ff00::1', true, 'behind fec0::/10'],
    ['2001:1::1', true, 'behind 2001::/32'],
    ['3fff::1', true, 'behind 3ffe::/16'],
    ['3ffe::1', false, 'of 3ffe::/16'],
    ['::2', false, 'of ::/96'],
    ['::1:0:0', true, 'behind ::/96'],
  ] as const) {
    const six: IpAddress = { address, family: 6 };
    const own = ['192.0.2.10', '2001:db8::10'];
    const expected = isFirst ? [six, four] : [four, six];
    assert.deepEqual(sortAddresses([four, six], own, ''), expected, why);
    assert.deepEqual(sortAddresses([six, four], own, ''), expected, why);
  }
});

// biome-ignore format: a table is read as a table
const FAMILIES: readonly (readonly [readonly string[], string, string])[] = [
  [['127.0.0.1', '::1', '192.0.2.10', 'fe80::1'], '4', 'an address of the link reaches nobody else'],
  [['127.0.0.1', '::1', '192.0.2.10', '2001:db8::10'], '4 6', 'both'],
  [['127.0.0.1', '::1', '2001:db8::10'], '6', 'IPv6 alone'],
  [['127.0.0.1', '::1'], '4 6', 'none: whatever is asked for may be of this host'],
  [[], '4 6', 'unknown'],
];
for (const [own, expected, why] of FAMILIES)
  test(`V6: families of use with ${own.join(' ') || 'nothing known'}: ${why}`, () => {
    const useful = familiesOf(own);
    assert.equal([4, 6].filter((family) => useful[family as 4 | 6]).join(' '), expected);
  });

test.run();
