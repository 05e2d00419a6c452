/** Names as this host knows them: files and name servers, against a small one on loopback. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { parseSmarthost } from '../../src/router/smarthost.ts';
import { endpointsOf, targetsOf } from '../../src/transport/lookup/endpoints.ts';
import type { IpAddress } from '../../src/transport/lookup/host-files.ts';
import { type Host, namesOf } from '../../src/transport/lookup/names.ts';
import type { Target } from '../../src/transport/lookup/target.ts';
import { hostAt } from '../support/delivery.ts';
import { a, aaaa, mx, type NameServer, nameServer, srv } from '../support/nameserver.ts';
import { within } from '../support/within.ts';

const test = suite('names');

const BUN = process.versions.bun !== undefined;
const SIX = aaaa('2001:db8:0:0:0:0:0:1');
const ZONE = {
  'A one.example': [a('192.0.2.1'), a('192.0.2.2')],
  'A both.example': [a('192.0.2.1')],
  'AAAA both.example': [SIX],
  'AAAA six.example': [SIX],
  'A half.example': [a('192.0.2.1')],
  'AAAA half.example': null,
  'A slow.example': [a('192.0.2.1')],
  'AAAA slow.example': { late: 200, records: [SIX] },
  'A ill.example': [a('192.0.2.1')],
  'AAAA ill.example': 2,
  'A big.example': { truncated: [a('192.0.2.1'), a('192.0.2.2')] },
  'A broken.example': 2,
  'AAAA broken.example': 2,
  'A broken.example.below.example': [a('192.0.2.66')],
  'A refused.example': 5,
  'AAAA refused.example': 5,
  'A silent.example': null,
  'AAAA silent.example': null,
  'A silent.example.below.example': [a('192.0.2.66')],
  'A short.below.example': [a('192.0.2.3')],
  'A mail.example.below.example': null,
  'AAAA mail.example.below.example': null,
  'A mail.example': [a('192.0.2.4')],
  'A xn--mller-kva.example': [a('192.0.2.5')],
  'A one.example.wild.example': [a('192.0.2.66')],
  'A known.example': [a('192.0.2.66')],
  'AAAA known.example': [SIX],
  'MX mx.example': [mx(10, 'one.example')],
  'MX silent.example': null,
  'SRV _submission._tcp.srv.example': [srv(0, 0, 25, 'one.example')],
};
let server: NameServer;
test.before(async () => {
  server = await nameServer(ZONE);
});
test.after(() => server.close());
test.before.each(() => {
  server.asked.length = 0;
});

interface Changes extends Pick<Host, 'isKept'> {
  readonly files?: Readonly<Record<string, string>>;
  readonly own?: readonly string[];
  readonly servers?: readonly string[];
  readonly platform?: string;
}

const host = ({ files = {}, own = ['192.0.2.10', '2001:db8::10'], servers, platform = 'linux', isKept }: Changes): Host => ({
  platform,
  isKept,
  read: (path) => files[path] ?? null,
  exists: () => false,
  hostname: () => 'client',
  addresses: () => own,
  environment: {},
  servers: servers ?? [`127.0.0.1:${server.port}`],
});

async function look(name: string, family: 'any' | 4 | 6, changes: Changes = {}, limit = 10_000): Promise<string> {
  const link = { proxy: null, sourceAddress: '', family };
  const found = await endpointsOf({ name, port: 25, unix: false, fromDns: false, link }, limit, namesOf(host(changes)));
  return found.ok ? found.value.map(({ address }) => address).join(' ') : `! ${found.detail}`;
}

const FOUR = { own: ['192.0.2.10'] };
const unknown = (name: string) => `! no address of ${name}: the name is unknown`;
const search = (options = '') => ({ '/etc/resolv.conf': `search below.example\noptions timeout:1 attempts:1 ${options}\n` });

// biome-ignore format: a table is read as a table
const ROWS: readonly (readonly [string, 'any' | 4 | 6, Changes, string, string, string])[] = [
  ['one.example', 'any', {}, '192.0.2.1 192.0.2.2', 'A one.example, AAAA one.example', 'both families are asked for at once'],
  ['both.example', 'any', {}, '2001:db8::1 192.0.2.1', 'A both.example, AAAA both.example', 'families in turn'],
  ['both.example', 4, {}, '192.0.2.1', 'A both.example', 'family = "4" never asks for AAAA'],
  ['both.example', 6, {}, '2001:db8::1', 'AAAA both.example', 'family = "6" never asks for A'],
  ['both.example', 'any', FOUR, '192.0.2.1', 'A both.example', 'a host without IPv6 does not ask for it'],
  ['both.example', 'any', { own: ['2001:db8::10'] }, '2001:db8::1', 'AAAA both.example', 'nor one without IPv4 for that'],
  ['both.example', 'any', { files: { '/etc/resolv.conf': 'options no-aaaa' } }, '192.0.2.1', 'A both.example', 'an option of resolv.conf'],
  ['one.example', 6, {}, BUN ? unknown('one.example') : '! one.example has no IPv6 address, and family = "6" requires one', 'AAAA one.example', 'what is not there'],
  ['six.example', 'any', FOUR, BUN ? unknown('six.example') : '! no address of six.example: it has no IPv4 address, and this host has no address from which another could be reached', 'A six.example', 'what would be of no use'],
  ['half.example', 'any', {}, '192.0.2.1', 'A half.example, AAAA half.example', 'a name server that is silent about AAAA is waited for one second'],
  ['slow.example', 'any', {}, '2001:db8::1 192.0.2.1', 'A slow.example, AAAA slow.example', 'one that is late, for as long as it takes'],
  ['ill.example', 'any', {}, '192.0.2.1', 'A ill.example, AAAA ill.example', 'one family is enough'],
  ['big.example', 4, {}, '192.0.2.1 192.0.2.2', 'A big.example, TCP A big.example', 'a truncated answer is had over TCP'],
  ['broken.example', 4, {}, '! no address of broken.example: the name servers failed', 'A broken.example', 'SERVFAIL'],
  ['refused.example', 4, {}, '! no address of refused.example: the name servers refuse to answer', 'A refused.example', 'REFUSED'],
  ['unknown.example', 4, {}, unknown('unknown.example'), 'A unknown.example', 'NXDOMAIN'],
  ['müller.example', 4, {}, '192.0.2.5', 'A xn--mller-kva.example', 'as A-labels. RFC 5890 §2.3.2.1'],
  ['short', 4, { files: search() }, '192.0.2.3', 'A short.below.example', 'the search list'],
  ['one.example', 4, { files: search() }, '192.0.2.1 192.0.2.2', 'A one.example', 'not for what is found as it is written'],
  ['unknown.example', 4, { files: search() }, unknown('unknown.example'), 'A unknown.example, A unknown.example.below.example', 'for what is not'],
  ['unknown.example.', 4, { files: search() }, unknown('unknown.example.'), 'A unknown.example', 'a name that ends in a dot is whole'],
  ['one.example', 4, { files: search('ndots:5') }, '192.0.2.1 192.0.2.2', 'A one.example.below.example, A one.example', 'Kubernetes asks for the longer ones first'],
  ['mail.example', 4, { files: search('ndots:5') }, '192.0.2.4', 'A mail.example.below.example, A mail.example', 'a domain of the list whose servers are dead does not hide the name'],
  ['broken.example', 4, { files: search() }, '! no address of broken.example: the name servers failed', 'A broken.example', 'no other name takes the place of one that could not be asked for'],
  ['silent.example', 4, { files: search() }, '! no address of silent.example: the name servers do not answer', 'A silent.example', 'nor of one whose servers are silent'],
  ['localhost', 'any', {}, '::1 127.0.0.1', '', 'never leaves the host. RFC 6761 §6.3'],
  ['localhost', 6, {}, '::1', '', 'of the family that is asked for'],
  ['mail.LocalHost', 4, {}, '127.0.0.1', '', 'nor does what is below it'],
  ['localhost', 'any', { files: { '/etc/hosts': '127.0.0.1 localhost' } }, '127.0.0.1', '', '/etc/hosts comes first'],
  ['müller.example', 'any', { files: { '/etc/hosts': '192.0.2.7 xn--mller-kva.example' } }, '192.0.2.7', '', 'where names stand as A-labels'],
  ['known.example', 'any', { files: { '/etc/hosts': '192.0.2.7 x known.example' } }, '192.0.2.7', '', 'whatever name servers say'],
  ['known.example', 6, { files: { '/etc/hosts': '192.0.2.7 known.example' } }, '2001:db8::1', 'AAAA known.example', 'but not of another family'],
  ['known.example', 'any', { files: { '/etc/nsswitch.conf': 'hosts: dns files', '/etc/hosts': '192.0.2.7 known.example' }, ...FOUR }, '192.0.2.66', 'A known.example', 'in the order of nsswitch.conf'],
  ['unknown.example', 'any', { files: { '/etc/nsswitch.conf': 'hosts: files', '/etc/hosts': '192.0.2.7 known.example' } }, unknown('unknown.example'), '', 'nobody is asked who is not named there'],
  ['127.1', 'any', {}, '127.0.0.1', '', 'an address of old is the C library’s business'],
];
for (const [name, family, changes, expected, asked, why] of ROWS)
  test(`${why}: ${name}`, () =>
    within(20_000, async () => {
      assert.equal(await look(name, family, changes), expected);
      assert.deepEqual([...new Set(server.asked)].sort(), asked === '' ? [] : asked.split(', ').sort());
    }));

test('the search list counts only for names as people write them, without the dot of the root', () =>
  within(20_000, async () => {
    const names = namesOf(host({ ...FOUR, files: { '/etc/resolv.conf': 'search wild.example\noptions ndots:5' } }));
    for (const [url, expected] of [
      ['smtp://one.example', '192.0.2.66'],
      ['smtp://one.example.', '192.0.2.1'],
      ['mx.example/MX', '192.0.2.1'],
      ['one.example/MX', '192.0.2.1'],
      ['submission://srv.example/SRV', '192.0.2.1'],
    ] as const) {
      const address = parseSmarthost(url);
      assert.ok(address.ok);
      const targets = await targetsOf(hostAt(25, address.value), 10_000, names);
      assert.ok(targets.ok);
      const found = await endpointsOf(targets.value[0] as Target, 10_000, names);
      assert.equal(found.ok && found.value[0].address, expected, url);
    }
  }));

test('where no nsswitch.conf is, but for Linux, the C library is asked', async () => {
  const files = { '/etc/hosts': '192.0.2.9 localhost' };
  const nsswitch = { ...files, '/etc/nsswitch.conf': 'hosts: files' };
  for (const [platform, first, second] of [
    ['linux', '192.0.2.9', '192.0.2.9'],
    ['freebsd', '127.0.0.1', '192.0.2.9'],
  ] as const) {
    assert.equal(await look('localhost', 4, { files, platform }), first, platform);
    assert.equal(await look('localhost', 4, { files: nsswitch, platform }), second, platform);
  }
});

test('V1: a name server that is down is passed over', () =>
  within(20_000, async () => {
    const dead = await nameServer({ '*': null });
    const files = { '/etc/resolv.conf': 'options timeout:1' };
    assert.equal(
      await look('one.example', 4, { files, servers: [`127.0.0.1:${dead.port}`, `127.0.0.1:${server.port}`] }),
      '192.0.2.1 192.0.2.2',
    );
    dead.close();
  }));

test('a name server that says that it cannot help is passed over, too; one that knows better is believed', () =>
  within(20_000, async () => {
    for (const code of [1, 2, 4, 5]) {
      const ill = await nameServer({ '*': code });
      const servers = [`127.0.0.1:${ill.port}`, `127.0.0.1:${server.port}`];
      const files = { '/etc/resolv.conf': 'options timeout:1' };
      assert.equal(await look('one.example', 4, { files, servers }), '192.0.2.1 192.0.2.2', `${code}`);
      assert.equal(await look('unknown.example', 4, { files, servers }), unknown('unknown.example'), `${code}`);
      assert.equal(await look('one.example', 4, { files, servers: [...servers].reverse() }), '192.0.2.1 192.0.2.2', `${code}`);
      assert.match(await look('one.example', 4, { files, servers: [servers[0] as string, servers[0] as string] }), /^! no address/);
      ill.close();
    }
  }));

async function givenUp(name: string, files: Readonly<Record<string, string>>, after: number): Promise<string | undefined> {
  const left = new AbortController();
  const looked = namesOf(host({ files }), () => import('../../src/process/child-lookup.ts')).addresses(name, {
    family: 4,
    signal: left.signal,
  });
  setTimeout(() => left.abort(), after);
  return looked.then(
    () => 'found',
    (error: NodeJS.ErrnoException) => error.code,
  );
}

test('the system is asked where no file says how: on Windows, whatever lies in C:\\etc, on macOS, and where files are kept from a program', () =>
  within(20_000, async () => {
    const files = {
      '/etc/nsswitch.conf': 'hosts: files dns',
      '/etc/hosts': '192.0.2.66 one.example',
      '/etc/resolv.conf': 'options no-aaaa',
    };
    const step = async (changes: Changes): Promise<string> => {
      let asked = '';
      const system = async (name: string): Promise<readonly IpAddress[]> => {
        asked = name;
        return [{ address: '192.0.2.7', family: 4 }];
      };
      const names = namesOf(host(changes), async () => ({ askSystem: system }));
      const [found] = await names.addresses('one.example', { family: 4, signal: new AbortController().signal });
      return `${asked === 'one.example' ? 'system' : server.asked.length > 0 ? 'dns' : 'files'} ${found?.address}`;
    };
    assert.equal(await step({ platform: 'win32', files }), 'system 192.0.2.7');
    assert.equal(await step({ platform: 'win32' }), 'system 192.0.2.7');
    assert.equal(await step({ platform: 'darwin' }), 'system 192.0.2.7');
    for (const platform of ['darwin', 'freebsd', 'linux']) assert.equal(await step({ platform, files }), 'files 192.0.2.66', platform);
    assert.deepEqual(server.asked, []);
    assert.equal(await step({ platform: 'linux' }), 'dns 192.0.2.1');
    // Node's permission model.
    server.asked.length = 0;
    const isKept = (file: string): boolean => file === '/etc/hosts';
    assert.equal(await step({ platform: 'linux', isKept }), 'system 192.0.2.7');
  }));

test('V1: a lookup that is given up asks name servers nothing more', () =>
  within(20_000, async () => assert.equal(await givenUp('silent.example', {}, 20), 'ECANCELLED')));

test('V1: a look-up that is given up leaves no process behind', () =>
  within(20_000, async () => {
    // Bun needs no process: it ends whatever its threads do.
    assert.equal(await givenUp('127.1', {}, 1), BUN ? 'found' : 'ECANCELLED');
  }));

test('V9: an answer that came in time is read, though the process was stopped until the time was over', () =>
  within(20_000, async () => {
    server.asked.length = 0;
    const looked = look('one.example', 4, {}, 200);
    while (server.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    // It is on its way.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
    assert.equal(await looked, '192.0.2.1 192.0.2.2');
  }));

test('V1: MX and SRV records are looked up in the same way', () =>
  within(20_000, async () => {
    const found = await targetsOf(hostAt(25, { host: 'mx.example', expand: 'mx' }), 10_000, namesOf(host({})));
    assert.equal(found.ok && found.value[0]?.name, 'one.example');
    const late = await targetsOf(hostAt(25, { host: 'silent.example', expand: 'mx' }), 100, namesOf(host({})));
    assert.deepEqual(late, { ok: false, detail: 'looking up silent.example took longer than 0.1 s (timeouts.resolve)' });
    const left = new AbortController();
    const given = targetsOf(hostAt(25, { host: 'silent.example', expand: 'mx' }), 60_000, namesOf(host({})), left.signal);
    left.abort();
    assert.equal((await given).ok, false);
  }));

test('a process that may have no netlink socket, and so cannot ask for its own addresses, looks names up all the same', async () => {
  const os = process.getBuiltinModule('node:os');
  const { networkInterfaces } = os;
  os.networkInterfaces = () => {
    throw Object.assign(new Error('uv_interface_addresses returned EAFNOSUPPORT'), { code: 'ERR_SYSTEM_ERROR' });
  };
  try {
    const found = await namesOf().addresses('localhost', { family: 4, signal: new AbortController().signal });
    assert.deepEqual(
      found.map(({ address }) => address),
      ['127.0.0.1'],
    );
  } finally {
    os.networkInterfaces = networkInterfaces;
  }
});

test.run();
