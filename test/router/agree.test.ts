import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { agree, compareRoutes } from '../../src/router/agree.ts';
import type { Route } from '../../src/router/route.ts';
import { type AuthPolicy, DEFAULT_TLS, DIRECT, type ProxyPolicy, type Smarthost } from '../../src/router/smarthost.ts';
import { host, mailbox } from './world.ts';

const test = suite('agreement');

const route = (hosts: readonly Smarthost[], more: Partial<Route> = {}): Route => ({ hosts, changes: { add: [], remove: [] }, ...more });
const AUTH: AuthPolicy = { user: 'u', mechanisms: [], secret: { from: 'file', path: '/p' }, allowPlaintext: false };
const PROXY: ProxyPolicy = { scheme: 'socks5', host: 'p', port: 1080, user: '', secret: { from: 'none' } };
const via = (proxy: Partial<ProxyPolicy>, more: Partial<Smarthost> = {}) =>
  host('a', { link: { ...DIRECT, proxy: { ...PROXY, ...proxy } }, ...more });
const me = mailbox('me@x');
const a = host('a');
const b = host('b');

const shared = [a, b];

/** [route, route, why they are one] */
const SAME: readonly [Route, Route, string][] = [
  [route([a, b]), route([a, b]), 'equal lists'],
  [route(shared), route(shared), 'the same list'],
  [route([host('A.example')]), route([host('a.EXAMPLE')]), 'names without case'],
  [route([a], { errorsTo: me }), route([a]), 'the reverse-path said twice'],
  [
    route([host('a', { auth: AUTH })]),
    route([host('a', { auth: { ...AUTH, secret: { from: 'file', path: '/p' } } })]),
    'equal credentials',
  ],
  [route([host('a', { auth: AUTH })]), route([host('a', { auth: { ...AUTH, isToken: false } })]), 'no token said twice'],
  [route([host('a', { expand: 'srv', port: 1 })]), route([host('a', { expand: 'srv', port: 2 })]), 'SRV has its own ports'],
  [
    route([a], { changes: { add: [], remove: ['X', 'y', 'x'] } }),
    route([a], { changes: { add: [], remove: ['Y', 'x'] } }),
    'removed in any order and case',
  ],
  [
    route([host('a', { tls: { ...DEFAULT_TLS, fingerprint: ['sha256:1'] } })]),
    route([host('a', { tls: { ...DEFAULT_TLS, fingerprint: ['sha256:1'] } })]),
    'equal fingerprints',
  ],
  [route([host('a', { link: DIRECT })]), route([a]), 'no proxy said twice'],
  [route([via({})]), route([via({})]), 'equal proxies'],
  [
    route([host('a', { ignoreExtensions: ['DSN', 'SIZE'] })]),
    route([host('a', { ignoreExtensions: ['SIZE', 'DSN'] })]),
    'the same is ignored',
  ],
];
for (const [one, other, why] of SAME) test(`one transaction: ${why}`, () => assert.equal(compareRoutes(one, other, me), null));

/** [route, route, field, detail, why] */
const DIFFERENT: readonly [Route, Route, string, string, string][] = [
  [route([a]), route([b]), 'hosts', '"smtp://a:25" and "smtp://b:25"', 'hosts'],
  [route([a, b]), route([b, a]), 'hosts', '"smtp://a:25", "smtp://b:25" and "smtp://b:25", "smtp://a:25"', 'their order'],
  [route([a]), route([a, b]), 'hosts', '"smtp://a:25" and "smtp://a:25", "smtp://b:25"', 'one more'],
  [route([a]), route([]), 'hosts', '"smtp://a:25" and none', 'none at all'],
  [route([a]), route([host('a', { port: 26 })]), 'hosts', '"smtp://a:25" and "smtp://a:26"', 'ports'],
  [route([a]), route([host('a', { scheme: 'lmtp' })]), 'hosts', '"smtp://a:25" and "lmtp://a:25"', 'schemes'],
  [route([a]), route([host('a', { expand: 'mx' })]), 'hosts', '"smtp://a:25" and "smtp://a:25/MX"', 'expansion'],
  [
    route([host('/A', { scheme: 'unix' })]),
    route([host('/a', { scheme: 'unix' })]),
    'hosts',
    '"unix:/A" and "unix:/a"',
    'sockets, with case',
  ],
  [route([a]), route([host('a', { tls: { ...DEFAULT_TLS, mode: 'off' } })]), 'tls', 'mode "default" and "off" for smtp://a:25', 'TLS'],
  [
    route([a]),
    route([host('a', { tls: { ...DEFAULT_TLS, fingerprint: ['x'] } })]),
    'tls',
    'fingerprint "" and "x" for smtp://a:25',
    'fingerprints',
  ],
  [route([a]), route([host('a', { auth: AUTH })]), 'auth', 'no authentication and user u for smtp://a:25', 'authentication'],
  [route([host('a', { auth: AUTH })]), route([a]), 'auth', 'user u and no authentication for smtp://a:25', 'the other way round'],
  [
    route([host('a', { auth: AUTH })]),
    route([host('a', { auth: { ...AUTH, user: 'v' } })]),
    'auth',
    'user u and user v for smtp://a:25',
    'users',
  ],
  [
    route([host('a', { auth: AUTH })]),
    route([host('a', { auth: { ...AUTH, secret: { from: 'literal', value: 'hush' } } })]),
    'auth',
    'user u and the same user with other secrets, mechanisms or allow_plaintext for smtp://a:25',
    'secrets, which are not told',
  ],
  [
    route([host('a', { auth: AUTH })]),
    route([host('a', { auth: { ...AUTH, isToken: true } })]),
    'auth',
    'user u and the same user with other secrets, mechanisms or allow_plaintext for smtp://a:25',
    'a password and a token',
  ],
  [route([a]), route([via({})]), 'proxy', 'no proxy and socks5://p:1080 for smtp://a:25', 'a proxy'],
  [route([via({})]), route([via({ host: '::1' })]), 'proxy', 'socks5://p:1080 and socks5://[::1]:1080 for smtp://a:25', 'proxies'],
  [
    route([via({ user: 'u' })]),
    route([via({})]),
    'proxy',
    'socks5://p:1080 as user u and socks5://p:1080 for smtp://a:25',
    'users of one proxy',
  ],
  [
    route([via({ user: 'u', secret: { from: 'file', path: '/p' } })]),
    route([via({ user: 'u', secret: { from: 'file', path: '/q' } })]),
    'proxy',
    'socks5://p:1080 as user u and the same with another password for smtp://a:25',
    'passwords, which are not told',
  ],
  [
    route([a]),
    route([host('a', { link: { ...DIRECT, sourceAddress: '192.0.2.1' } })]),
    'source_address',
    '"" and "192.0.2.1" for smtp://a:25',
    'the address of this host',
  ],
  [
    route([a]),
    route([host('a', { ignoreExtensions: ['CHUNKING'] })]),
    'ignore_extensions',
    'none and "CHUNKING" for smtp://a:25',
    'what is ignored',
  ],
  [route([a]), route([host('a', { link: { ...DIRECT, family: 4 } })]), 'family', '"any" and "4" for smtp://a:25', 'the family'],
  [route([a]), route([a], { errorsTo: null }), 'errors_to', '<me@x> and <>', 'reverse-paths'],
  [route([a]), route([a], { changes: { add: ['X: 1'], remove: [] } }), 'headers_add', 'none and "X: 1"', 'added fields'],
  [
    route([a], { changes: { add: ['X: 1', 'Y: 1'], remove: [] } }),
    route([a], { changes: { add: ['Y: 1', 'X: 1'], remove: [] } }),
    'headers_add',
    '"X: 1", "Y: 1" and "Y: 1", "X: 1"',
    'their order',
  ],
  [route([a]), route([a], { changes: { add: [], remove: ['X'] } }), 'headers_remove', 'none and "x"', 'removed fields'],
];
for (const [one, other, field, detail, why] of DIFFERENT)
  test(`not one transaction: ${why}`, () => assert.deepEqual(compareRoutes(one, other, me), { field, detail }));

test('no recipients have no common route', () => assert.equal(agree([], me), null));

test('the problem names the first recipient whose route differs from that of the first one', () => {
  const routed = [
    ['p@x', a],
    ['q@x', a],
    ['r@x', b],
    ['s@x', host('c')],
  ] as const;
  const all = routed.map(([address, to]) => ({
    recipient: { path: mailbox(address), router: 'r', original: mailbox('o@x') },
    route: route([to]),
  }));
  assert.deepEqual(agree(all, me), {
    kind: 'disagree',
    address: mailbox('p@x'),
    other: mailbox('r@x'),
    field: 'hosts',
    detail: '"smtp://a:25" and "smtp://b:25"',
  });
  assert.deepEqual(agree(all.slice(0, 2), me), route([a]));
});

test.run();
