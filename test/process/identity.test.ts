import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { suite } from 'uvu';
import { identify, readArguments, SYSTEM, type System } from '../../src/process/identity.ts';
import { within } from '../support/within.ts';

const test = suite('process/identity');
const onLinux = process.platform === 'linux' ? test : test.skip;

const PASSWD = [
  '#root:x:1000:0::/wrong:',
  '+nis:x:1000:0::/wrong:',
  'root:x:0:0:root:/root:/bin/bash',
  'joe:x:1000:1000:Joe Doe,Room 1,123:/home/joe:/bin/sh',
  'joe2:x:1000:1000:Joe the & second:/home/joe2:/bin/sh',
  'pjotr:x:1001:1001:\xf0\xd2\xc9\xd7\xc5\xd4 &:/home/pjotr:/bin/sh',
  'short:x:1002:1002',
  '',
].join('\n');

function system(over: Partial<System> & { readonly files?: Record<string, string> } = {}): System {
  const files: Record<string, string> = { '/etc/passwd': PASSWD, ...over.files };
  return {
    euid: () => 1000,
    isBun: false,
    account: () => ({ login: 'joe', home: '/home/joe' }),
    file: (path) => files[path] ?? null,
    owner: (path) => (path === '/home/joe' || path === '/srv' ? 1000 : path === '/root' ? 0 : null),
    hostname: () => 'host.example.org',
    resolves: async () => assert.fail('no query is needed'),
    ...over,
  };
}

test('login and home come from the password database', () => {
  const { euid, login, home } = identify({ LOGNAME: 'root', USER: 'root', HOME: '/root' }, system());
  assert.deepEqual([euid, login, home], [1000, 'joe', '/home/joe']);
  const own = identify({ HOME: '/srv' }, system());
  assert.equal(own.home, '/home/joe');
  const homeless = identify({ HOME: '/srv' }, system({ account: () => ({ login: 'joe', home: '' }) }));
  assert.equal(homeless.home, null, '$HOME is for uids that are not in it');
});

test('without the library they come from /etc/passwd', () => {
  const { login, home } = identify({ LOGNAME: 'root', HOME: '/root' }, system({ account: () => null }));
  assert.deepEqual([login, home], ['joe', '/home/joe']);
  const short = identify({}, system({ account: () => null, euid: () => 1002 }));
  assert.deepEqual([short.login, short.home], ['short', null]);
});

test('a uid that nobody knows has $LOGNAME, or a name made of its number, and its own $HOME', () => {
  const unknown = (environment: Record<string, string>, euid = 1003) => {
    const { login, home } = identify(
      environment,
      system({
        account: () => null,
        euid: () => euid,
        files: { '/etc/passwd': 'root:x:0:0::/root:' },
        owner: (path) => (path === '/srv' || path === 'srv' ? 1003 : 0),
      }),
    );
    return [login, home];
  };
  assert.deepEqual(unknown({}), ['uid-1003', null]);
  assert.deepEqual(unknown({ LOGNAME: 'app', HOME: '/srv' }), ['app', '/srv']);
  assert.deepEqual(unknown({ LOGNAME: '', HOME: '/root' }), ['uid-1003', null], "another's home");
  assert.deepEqual(unknown({ LOGNAME: 'a b', HOME: 'srv' }), ['uid-1003', null], 'a relative home');
  assert.deepEqual(unknown({ LOGNAME: 'a\nb', HOME: '' }), ['uid-1003', null]);
  const { login } = identify({}, system({ account: () => null, file: () => null }));
  assert.equal(login, 'uid-1000', 'no /etc/passwd');
});

test('the full name comes from the password database, up to its first comma', async () => {
  const name = (environment: Record<string, string>, over: Parameters<typeof system>[0] = {}) =>
    identify(environment, system(over)).fullName();
  assert.equal(await name({}), 'Joe Doe', 'up to the comma');
  assert.equal(await name({ NAME: 'Me' }), 'Me', '$NAME');
  assert.equal(await name({ NAME: ' ' }), 'Joe Doe', 'an empty $NAME');
  assert.equal(await name({ NAME: 'Jörg' }), 'Jörg', 'in UTF-8');
  assert.equal(
    await name({}, { account: () => ({ login: 'joe2', home: '/' }) }),
    'Joe the Joe2 second',
    'the entry of the login, & is its name',
  );
  assert.equal(await name({}, { account: () => ({ login: 'ldap', home: '/' }) }), 'Joe Doe', 'another login of the uid');
  const gecos = (text: string, login = 'joe') =>
    name({}, { account: () => ({ login, home: '/' }), files: { '/etc/passwd': `${login}:x:1000:1000:${text}:/:` } });
  assert.equal(await gecos('& & Sons'), 'Joe Joe Sons', 'each &');
  assert.equal(await gecos('&', "j$&'"), "J$&'", 'a login is no pattern');
  const pjotr: Partial<System> = { euid: () => 1001, account: () => ({ login: 'pjotr', home: '/' }) };
  assert.equal(await name({ LANG: 'ru_RU.KOI8-R' }, pjotr), 'Привет Pjotr', "octets in the locale's charset");
  assert.equal(await name({ LANG: 'C' }, pjotr), '\xf0\xd2\xc9\xd7\xc5\xd4 Pjotr', 'octets of no charset');
  assert.equal(await name({}, { euid: () => 5, account: () => ({ login: 'ldap', home: '/' }) }), '', 'no entry');
  assert.equal(await name({}, { files: { '/etc/passwd': 'joe:x:1000:' } }), '', 'a short entry');
});

test('$NAME is read in the octets that it had', async () => {
  const environ = (text: string) => ({ files: { '/proc/self/environ': text } });
  const name = (value: string, over: Parameters<typeof system>[0]) =>
    identify({ NAME: value, LC_ALL: 'ru_RU.KOI8-R' }, system(over)).fullName();
  assert.equal(await name('\ufffd\ufffd\ufffd', environ('LOGNAME=x\0NAME=\xf0\xd2\xc9\0A=b\0')), 'При');
  assert.equal(await name('\ufffd\ufffd\ufffd', environ('NAMES=x\0NAME=\xf0\xd2\xc9\0')), 'При', 'behind one whose name is longer');
  assert.equal(await name('\ufffd', environ('NAME=other\0')), 'О©╫', 'not the same: the octets of U+FFFD are all that is left');
  assert.equal(await identify({ NAME: '\ufffd' }, system()).fullName(), '\ufffd', 'not there');
});

test('the -- that Bun takes for its own, where it is the first argument, is an argument', async () => {
  const bun = (...args: string[]) =>
    system({ isBun: true, files: { '/proc/self/cmdline': `${['bun', '--no-env-file', 'file', ...args].join('\0')}\0` } });
  assert.deepEqual(await readArguments(['-v', 'a@b'], {}, bun('--', '-v', 'a@b')), ['--', '-v', 'a@b']);
  assert.deepEqual(await readArguments(['-i', '--', '-v'], {}, bun('-i', '--', '-v')), ['-i', '--', '-v']);
  assert.deepEqual(await readArguments(['-i', 'a@b'], {}, bun('-i', 'a@b')), ['-i', 'a@b']);
});

test('arguments are read in the octets that they had', async () => {
  const cmdline = (...args: string[]) => system({ files: { '/proc/self/cmdline': `${['node', '--opt', 'file', ...args].join('\0')}\0` } });
  const koi8 = { LANG: 'ru_RU.KOI8-R' };
  const fffd = '\ufffd\ufffd\ufffd';
  const same = ['-F', 'Jörg', 'a@b'];
  assert.equal(await readArguments(same, koi8, system({ file: () => assert.fail('nothing is read') })), same);
  assert.deepEqual(await readArguments(['-F', fffd, '', 'a@b'], koi8, cmdline('-F', '\xf0\xd2\xc9', '', 'a@b')), ['-F', 'При', '', 'a@b']);
  assert.deepEqual(
    await readArguments([fffd], { LC_ALL: 'ja_JP.eucJP' }, cmdline('\xf0\xd2\xc9')),
    ['\xf0\xd2\xc9'],
    'not valid in the charset',
  );
  assert.deepEqual(
    await readArguments(['\ufffd'], koi8, cmdline('\xef\xbf\xbd')),
    ['О©╫'],
    'U+FFFD itself, in a locale that does not have it',
  );
  assert.deepEqual(await readArguments(['\ufffd'], {}, cmdline('\xef\xbf\xbd')), ['\ufffd'], 'and in one that has');
  assert.deepEqual(await readArguments([fffd, 'x'], koi8, cmdline('\xf0\xd2\xc9', 'y')), [fffd, 'x'], 'a changed title');
  assert.deepEqual(await readArguments([fffd], koi8, system()), [fffd], 'no /proc');
  assert.deepEqual(await readArguments([fffd], koi8, system({ files: { '/proc/self/cmdline': '' } })), [fffd], 'an empty one');
});

onLinux('the arguments of a real process are read in the octets that they had', async () => {
  const program =
    "import { readArguments } from './src/process/identity.ts'; console.log(JSON.stringify(await readArguments(process.argv.slice(1), process.env)));";
  // A shell makes the octets: an argument of Node's own would be UTF-8.
  const script = `exec "$0" --import tsx --input-type=module -e "$1" -- -F "$(printf '\\360\\322\\311')" 'x y' '' caf\u00e9`;
  const child = spawnSync('/bin/sh', ['-c', script, process.execPath, program], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'ru_RU.KOI8-R', NODE_OPTIONS: '' },
    timeout: 20_000,
  });
  assert.equal(child.stdout.trim(), JSON.stringify(['-F', 'При', 'x y', '', 'café']), child.stderr);
});

test('the name of the host comes with its domain, if that can be found out', async () => {
  const name = (hostname: string, files: Record<string, string>, known: string[] = []) => {
    const asked: string[] = [];
    const answer = identify(
      {},
      system({ hostname: () => hostname, files, resolves: async (one) => asked.push(one) > 0 && known.includes(one) }),
    ).hostname();
    return answer.then((found) => [found, ...asked]);
  };
  const rows: [Parameters<typeof name>, string[], string][] = [
    [['host.example.org', {}], ['host.example.org'], 'with a dot'],
    [['host.example.org.', {}], ['host.example.org'], 'with a dot at the end'],
    [['localhost', { '/etc/hosts': '127.0.0.1 localhost.localdomain localhost' }], ['localhost'], 'every host is localhost'],
    [['host', { '/etc/hosts': '127.0.0.1 localhost\n127.0.1.1\thost.example.org host # x\n' }], ['host.example.org'], 'Debian'],
    [['host', { '/etc/hosts': '10.0.0.1 HOST host.example.org.' }], ['host.example.org'], 'in any order'],
    [
      ['host', { '/etc/hosts': '127.0.0.1 localhost.localdomain localhost host\n# 1.2.3.4 host.x host\n10.0.0.1 host' }],
      ['host'],
      "another's name",
    ],
    [['host', { '/etc/hosts': '10.0.0.1 host.b\xe9 host' }], ['host'], 'not ASCII'],
    [['host', { '/etc/hosts': '10.0.0.1 host.c.example' }], ['host'], 'a line without the short name'],
    [['10', { '/etc/hosts': '10.0.0.1 10' }], ['10'], 'an address is no name'],
    [['host', {}], ['host'], 'no files'],
    [
      ['host', { '/etc/resolv.conf': 'search a.example b.example\n' }, ['host.b.example']],
      ['host.b.example', 'host.a.example', 'host.b.example'],
      'a search domain',
    ],
    [
      ['host', { '/etc/resolv.conf': 'search a\nnameserver x\ndomain c.example.\n' }, ['host.c.example']],
      ['host.c.example', 'host.c.example'],
      'the last counts',
    ],
    [['host', { '/etc/resolv.conf': 'search a b c d e' }], ['host', 'host.a', 'host.b', 'host.c'], 'three are asked'],
    [['host', { '/etc/resolv.conf': 'search a..b c.example' }], ['host', 'host.c.example'], 'a domain that makes no name'],
    [['host', { '/etc/resolv.conf': 'search .' }], ['host'], 'no search domain'],
    [['', { '/etc/resolv.conf': 'search a' }], [''], 'no name'],
  ];
  for (const [args, expected, why] of rows) assert.deepEqual(await name(...args), expected, why);
});

test('a name is known with an address of either family, and what is still asked then is given up', async () => {
  const dns = process.getBuiltinModule('node:dns');
  const { Resolver } = dns;
  const none = new Error('ENODATA');
  /** The answers to A and AAAA in the order in which they come. */
  const known = async (...answers: readonly ['A' | 'AAAA', Error | null][]): Promise<[boolean, number]> => {
    let given = 0;
    let cancelled = 0;
    const waiting = new Map<string, (error: Error | null) => void>();
    dns.Resolver = class {
      resolve4 = (_: string, answer: (error: Error | null) => void) => waiting.set('A', answer);
      resolve6 = (_: string, answer: (error: Error | null) => void) => waiting.set('AAAA', answer);
      cancel = () => {
        cancelled += 1;
        assert.ok(given > 0);
      };
    } as unknown as typeof Resolver;
    try {
      const isKnown = SYSTEM.resolves('host.example');
      for (const [type, error] of answers) {
        given += 1;
        waiting.get(type)?.(error);
      }
      return [await within(1000, () => isKnown), cancelled];
    } finally {
      dns.Resolver = Resolver;
    }
  };
  assert.deepEqual(await known(['A', null]), [true, 1]);
  assert.deepEqual(await known(['AAAA', null]), [true, 1]);
  assert.deepEqual(await known(['A', none], ['AAAA', null]), [true, 1]);
  assert.deepEqual(await known(['AAAA', none], ['A', null]), [true, 1]);
  assert.deepEqual(await known(['A', none], ['AAAA', none]), [false, 1]);
});

test('the real system answers', async () => {
  const who = identify({});
  assert.equal(who.euid, process.geteuid?.());
  assert.equal(who.login, os.userInfo().username);
  assert.equal(who.home, os.userInfo().homedir);
  assert.equal(who.charset, '');
  assert.equal(SYSTEM.file('/nonexistent/file'), null);
  assert.equal(SYSTEM.owner('/nonexistent/file'), null);
  assert.equal(SYSTEM.owner('/'), 0);
  assert.equal(SYSTEM.hostname(), os.hostname());
  assert.equal(await within(10_000, () => SYSTEM.resolves('no-such-host.invalid')), false);
});

test.run();
