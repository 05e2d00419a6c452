import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { interpret } from '../../src/config/interpret.ts';
import { parseToml } from '../../src/config/toml.ts';
import type { Link } from '../../src/router/smarthost.ts';

const test = suite('how a smart host is reached');

function links(text: string, env: Record<string, string> = {}): (Link | undefined)[] {
  const toml = parseToml(text);
  assert.ok(toml.ok, text);
  const got = interpret({ path: '/f', toml: toml.value, refuses: () => null, isSystem: true }, env, { home: '/home/ops' });
  assert.ok(got.ok, got.ok ? '' : got.errors.join('\n'));
  const routed = got.config.routers.flatMap((router) => (router.driver === 'manualroute' ? router.hosts : []));
  return [...got.config.smarthosts, ...routed].map(({ link }) => link);
}

const proxy = (more: Partial<NonNullable<Link['proxy']>> = {}) => ({
  scheme: 'socks5' as const,
  host: 'p',
  port: 1080,
  user: '',
  secret: { from: 'none' as const },
  ...more,
});
const link = (more: Partial<Link>): Link => ({ proxy: null, sourceAddress: '', family: 'any', ...more });
const file = (path: string) => ({ from: 'file' as const, path });

/** [file, link of each smart host, why] */
const TABLE: readonly [string, (Link | undefined)[], string][] = [
  ['smarthosts = ["a"]', [undefined], 'nothing is written'],
  ['smarthosts = ["a", "b"]\nproxy = "socks5://P"', [link({ proxy: proxy() }), link({ proxy: proxy() })], 'one proxy for all'],
  ['smarthosts = ["a"]\nproxy_password_file = ""', [undefined], 'an empty password file is none, without a proxy'],
  ['smarthosts = ["a"]\nproxy = ""\nproxy_password_file = ""', [undefined], 'with an empty proxy'],
  ['smarthosts = ["a"]\nproxy = "socks5://p"\nproxy_password_file = ""', [link({ proxy: proxy() })], 'and with a proxy without a user'],
  ['smarthosts = ["a"]\nproxy = "SOCKS5://p:9050/"', [link({ proxy: proxy({ port: 9050 }) })], 'a port'],
  [
    'smarthosts = ["a"]\nproxy = "http://[2001:db8::1]:3128"',
    [link({ proxy: proxy({ scheme: 'http', host: '2001:db8::1', port: 3128 }) })],
    'IPv6',
  ],
  ['smarthosts = ["a"]\nproxy = "http://p:25"', [link({ proxy: proxy({ scheme: 'http', port: 25 }) })], 'a port that SMTP has, too'],
  [
    'smarthosts = ["a"]\nproxy = "http://J%C3%B6rg%40x@p:3128"\nproxy_password_file = "~/pw"',
    [link({ proxy: proxy({ scheme: 'http', port: 3128, user: 'Jörg@x', secret: file('/home/ops/pw') }) })],
    'a user with its password',
  ],
  [
    'smarthosts = ["a"]\nproxy = "socks5://u@p"\nproxy_password_file = "proxy"',
    [link({ proxy: proxy({ user: 'u', secret: file('proxy') }) })],
    'a credential of systemd',
  ],
  [
    'smarthosts = ["a", { url = "b", proxy = "" }, { url = "c", proxy = "socks5://q" }]\nproxy = "socks5://u@p"\nproxy_password_file = "/pw"',
    [link({ proxy: proxy({ user: 'u', secret: file('/pw') }) }), undefined, link({ proxy: proxy({ host: 'q' }) })],
    'a proxy of its own, or none, takes no password from above',
  ],
  [
    'smarthosts = [{ url = "a" }]\nproxy = "socks5://u@p"\nproxy_password_file = "/pw"\nsource_address = "192.0.2.1"',
    [link({ proxy: proxy({ user: 'u', secret: file('/pw') }), sourceAddress: '192.0.2.1', family: 4 })],
    'a table that writes nothing of its own is reached as the file says',
  ],
  [
    'proxy = "socks5://p"\n[[router]]\nname = "r"\ndriver = "manualroute"\nhosts = [{ url = "b" }]',
    [link({ proxy: proxy() })],
    'so is one in a router',
  ],
  ['smarthosts = ["a", "unix:/run/smtp"]\nproxy = "socks5://p"', [link({ proxy: proxy() }), undefined], 'a socket is reached directly'],
  ['smarthosts = ["a"]\nsource_address = "192.0.2.1"', [link({ sourceAddress: '192.0.2.1', family: 4 })], 'the address decides the family'],
  [
    'smarthosts = ["a"]\nsource_address = "fe80::1%eth0"\nfamily = "6"',
    [link({ sourceAddress: 'fe80::1%eth0', family: 6 })],
    'both, with a zone',
  ],
  [
    'smarthosts = ["a"]\nsource_address = "192.0.2.1"\nfamily = "any"',
    [link({ sourceAddress: '192.0.2.1', family: 4 })],
    'the address narrows any family',
  ],
  ['smarthosts = ["a"]\nfamily = "6"', [link({ family: 6 })], 'a family'],
  [
    'smarthosts = ["a", { url = "b", source_address = "2001:db8::1" }, { url = "c", source_address = "" }]\nsource_address = "192.0.2.1"',
    [link({ sourceAddress: '192.0.2.1', family: 4 }), link({ sourceAddress: '2001:db8::1', family: 6 }), undefined],
    'an address of its own',
  ],
  [
    'smarthosts = []\nfamily = "4"\n[[router]]\nname = "r"\ndriver = "manualroute"\nhosts = ["a", { url = "b", family = "any" }]',
    [link({ family: 4 }), undefined],
    'the hosts of a router, too',
  ],
];
for (const [text, expected, why] of TABLE) test(why, () => assert.deepEqual(links(text), expected));

test('a proxy from the environment replaces that of the file, with its password', () => {
  const text = 'smarthosts = ["a"]\nproxy = "socks5://u@p"\nproxy_password_file = "/pw"';
  assert.deepEqual(links(text, { NOSPOOL_PROXY: 'socks5://q' }), [link({ proxy: proxy({ host: 'q' }) })]);
  const env = { NOSPOOL_PROXY: 'socks5://v@q', NOSPOOL_PROXY_PASSWORD_FILE: '/other', NOSPOOL_FAMILY: '6' };
  assert.deepEqual(links(text, env), [link({ proxy: proxy({ host: 'q', user: 'v', secret: file('/other') }), family: 6 })]);
});

test('the password of a proxy must be the user’s own where an argument names the file, and not where the environment names the password', () => {
  for (const path of ['/pw', '~/pw', 'credential']) {
    const toml = parseToml(`smarthosts = ["a"]\nproxy = "socks5://u@p"\nproxy_password_file = "${path}"`);
    assert.ok(toml.ok);
    const refuses = (held: string) => (held === 'path' ? 'an argument names this file' : null);
    const read = (env: Record<string, string>) => {
      const got = interpret({ path: '/f', toml: toml.value, refuses, isSystem: false }, env, { home: '/home/ops' });
      assert.ok(got.ok);
      return got.config.smarthosts[0]?.link?.proxy?.secret;
    };
    assert.deepEqual(read({}), { ...file(path.replace('~', '/home/ops')), isOwn: true });
    assert.deepEqual(read({ NOSPOOL_PROXY: 'socks5://u@q', NOSPOOL_PROXY_PASSWORD_FILE: path }), file(path.replace('~', '/home/ops')));
  }
});

test('no error repeats the text before the host of a proxy, because it may be a password', () => {
  for (const text of [
    'proxy = "socks5://u:hunter2@p"',
    'proxy = "http://hunter2%ff@p:1"',
    'proxy = "hunter2@p"',
    'proxy = "socks5://u@hunter2@p"',
  ]) {
    const toml = parseToml(text);
    assert.ok(toml.ok);
    const got = interpret({ path: '/f', toml: toml.value, refuses: () => null, isSystem: true }, {}, { home: null });
    assert.ok(!got.ok, text);
    assert.doesNotMatch(got.errors.join('\n'), /hunter2/);
  }
});

test.run();
