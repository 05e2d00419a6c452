import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Config } from '../../src/config/config.ts';
import { type Interpreted, interpret } from '../../src/config/interpret.ts';
import type { Held } from '../../src/config/table.ts';
import { parseToml } from '../../src/config/toml.ts';
import type { ManualrouteDefinition } from '../../src/router/route.ts';
import { whyRefused } from '../../src/trust/rules.ts';
import { ERRORS, VARIABLE_ERRORS } from './errors.ts';

const test = suite('interpret');

interface Given {
  readonly env?: Record<string, string>;
  readonly mode?: number | null;
  readonly home?: string | null;
  readonly isSystem?: boolean;
}

function read(text: string | null, { env = {}, mode = 0o640, home = '/home/ops', isSystem = false }: Given = {}): Interpreted {
  if (text === null) return interpret(null, env, { home });
  const toml = parseToml(text);
  assert.ok(toml.ok, `${text}: ${toml.ok ? '' : toml.detail}`);
  const facts = {
    path: '/f',
    uid: 0,
    gid: 0,
    mode: mode ?? 0,
    links: 1,
    fileSystem: 'other' as const,
    isOwnGroup: () => false,
    mount: () => ({ isReadOnly: false, isOwn: false }),
  };
  const refuses = (held: Held) => (mode === null || held === 'path' ? null : whyRefused(held, facts, { euid: 0 }));
  return interpret({ path: '/f', toml: toml.value, refuses, isSystem }, env, { home });
}

function config(text: string | null, given: Given = {}): Config {
  const got = read(text, given);
  assert.ok(got.ok, `${text}: ${got.ok ? '' : got.errors.join('; ')}`);
  return got.config;
}

/** The only error. */
function error(text: string | null, given: Given = {}): string {
  const got = read(text, given);
  assert.ok(!got.ok, `no error: ${text}`);
  assert.equal(got.errors.length, 1, got.errors.join('\n'));
  return got.errors[0] as string;
}

const PASSWORD = { from: 'file', path: '/p' };

test('without any key the defaults hold', () => {
  for (const got of [config(null), config(''), config('[tls]\n[auth]\n[timeouts]\n[rewrite]\n')]) {
    const { timeouts, rewrite, path, files, ...rest } = got;
    assert.deepEqual(rest, {
      smarthosts: [],
      randomize: false,
      aliases: ['/etc/aliases'],
      lock: false,
      hostname: '',
      isByArgument: false,
      qualifyDomain: '',
      qualifyRecipient: '',
      from: '',
      forceFrom: false,
      forceReversePath: false,
      replayWindow: 262_144,
      headerLimit: 1_048_576,
      argumentsWithT: 'add',
      loneDot: 'ends',
      keepBcc: false,
      received: false,
      defaultCharset: '',
      header8bit: 'encode',
      eightBit: 'convert',
      longLines: 'send',
      dsn: 'drop',
      lmtpPartial: false,
      exitCodes: 'simple',
      log: '',
      logFormat: 'exim',
      routers: [],
    });
    assert.deepEqual(timeouts, {
      resolve: 30_000,
      connect: 30_000,
      handshake: 30_000,
      greeting: 300_000,
      command: 300_000,
      data: 120_000,
      block: 180_000,
      final: 600_000,
      input: 240_000,
      deadline: 7_200_000,
    });
    assert.equal(rewrite.constructor, undefined);
  }
});

test('errors name file, line, key and cure, and hold no secret', () => {
  for (const [text, expected] of ERRORS) {
    const sentence = error(text);
    if (typeof expected === 'string') assert.equal(sentence, expected);
    else assert.match(sentence, expected, text);
    assert.match(sentence, /^\/f:[1-9]\d*: /, text);
    assert.doesNotMatch(sentence, /hunter2|\n|\.$|undefined/, text);
  }
});

test('all errors come at once, in the order of the lines, those of the environment last', () => {
  const got = read('[timeouts]\nconnect = 1\n[tls]\nmode = 1\n[auth]\nuser = 1', { env: { NOSPOOL_DSN: 'x', NOSPOOL_X: 'y' } });
  assert.ok(!got.ok);
  assert.deepEqual(
    got.errors.map((sentence) => sentence.split(': ')[0]),
    ['/f:2', '/f:4', '/f:6', 'environment', 'environment'],
  );
  const routers = read('[[router]]\nname = "a"\n[[router]]\nname = "b"\n');
  assert.equal(routers.ok ? 0 : routers.errors.length, 2, 'of each router');
});

test('O3: the errors come with the log that is in force, unless it is the log that is wrong, and with the exit codes', () => {
  const logOf = (text: string, env: Record<string, string> = {}): unknown => {
    const { ok, errors: _, ...more } = read(text, { env }) as Extract<Interpreted, { ok: false }>;
    assert.ok(!ok, text);
    return more;
  };
  const wrong = 'log = "/l"\nlog_format = "json"\nno_such_key = 1';
  assert.deepEqual(logOf(wrong), { log: '/l', logFormat: 'json', exitCodes: 'simple' });
  assert.deepEqual(logOf(wrong.replace('/l', '~/l')), { log: '/home/ops/l', logFormat: 'json', exitCodes: 'simple' });
  const [simple, sysexits] = [{ exitCodes: 'simple' }, { exitCodes: 'sysexits' }];
  assert.deepEqual(logOf('log = "l"'), simple);
  assert.deepEqual(logOf('log = "l"\nexit_codes = "sysexits"'), sysexits);
  assert.deepEqual(logOf('log = "l"\nexit_codes = "sysexit"'), simple);
  assert.deepEqual(logOf('log = "/l"\nlog_format = "yaml"'), simple);
  assert.deepEqual(logOf(wrong, { NOSPOOL_LOG: 'l' }), simple);
  assert.deepEqual(logOf(wrong, { NOSPOOL_LOG_FORMAT: 'yaml', NOSPOOL_EXIT_CODES: 'sysexits' }), sysexits);
});

test('[tls] is under every host; the keys of a host about trust replace it', () => {
  const pin = `sha256:${'ab'.repeat(32)}`;
  const colons = `SHA-256:${Array(32).fill('AB').join(':')}`;
  const { smarthosts } = config(
    `smarthosts = ["a", { url = "b", tls = { fingerprint = ["${colons}"] } }, { url = "c", tls = { mode = "off" } },
       { url = "d", tls = { verify = false } }, "submissions://e", { url = "f", tls = { mode = "", certificate = "", server_name = "" } } ]
     [tls]\nmode = "opportunistic"\nca_file = "/ca"\ncertificate = "/cert"\nserver_name = "s"\nmin_version = "1.3"`,
  );
  const base = {
    mode: 'opportunistic',
    verify: true,
    caFile: '/ca',
    fingerprint: [],
    serverName: 's',
    certificate: '/cert',
    certificateKey: '/cert',
    minVersion: '1.3',
  };
  const off = { ...base, mode: 'off', caFile: '', serverName: '', certificate: '', certificateKey: '', minVersion: '1.2' };
  assert.deepEqual(
    smarthosts.map((host) => host.tls),
    [
      base,
      { ...base, caFile: '', fingerprint: [pin] },
      off,
      { ...base, verify: false, caFile: '' },
      { ...base, mode: 'required' },
      { ...base, mode: 'default', serverName: '', certificate: '', certificateKey: '' },
    ],
  );
  const pinned = config(
    `smarthosts = ["a", { url = "b", tls = { ca_file = "/ca" } }, { url = "c", tls = { verify = false } },
       { url = "d", tls = { server_name = "s" } }]\n[tls]\nfingerprint = ["${pin}"]`,
  ).smarthosts;
  assert.deepEqual(
    pinned.map(({ tls }) => [tls.verify, tls.caFile, tls.fingerprint]),
    [
      [true, '', [pin]],
      [true, '/ca', []],
      [false, '', []],
      [true, '', [pin]],
    ],
  );
  assert.equal(
    config('[tls]\nmode = "off"\nca_file = ""\nserver_name = ""\ncertificate = ""\nfingerprint = []\nverify = true\nmin_version = "1.2"')
      .path,
    '/f',
    'what says nothing contradicts nothing',
  );
  assert.equal(config('[tls]\nverify = false\nca_file = ""\nfingerprint = []').path, '/f');
  assert.equal(config(`[tls]\nca_file = ""\nfingerprint = ["${pin}"]`).path, '/f');
  const lax = config(
    `smarthosts = ["a", { url = "b", tls = { ca_file = "/ca" } }, { url = "c", tls = { fingerprint = ["${pin}"] } }, { url = "d", tls = { server_name = "s" } },
       { url = "e", tls = { certificate = "/cert", certificate_key = "/key" } }]\n[tls]\nverify = false`,
  ).smarthosts;
  assert.deepEqual(
    lax.map(({ tls }) => [tls.verify, tls.caFile, tls.fingerprint, tls.certificate, tls.certificateKey]),
    [
      [false, '', [], '', ''],
      [true, '/ca', [], '', ''],
      [true, '', [pin], '', ''],
      [false, '', [], '', ''],
      [false, '', [], '/cert', '/key'],
    ],
    'a host with its own CA or fingerprint is verified',
  );
  const routed = config(
    `[tls]\nmode = "opportunistic"\nca_file = "/ca"\nmin_version = "1.3"\n[[router]]\nname = "r"\ndriver = "manualroute"\nhosts = ["a", { url = "b" }]
[[router]]\nname = "s"\ndriver = "manualroute"\nhosts = ["c"]\ntls = { mode = "required" }`,
  ).routers.flatMap((router) => (router as ManualrouteDefinition).hosts);
  assert.deepEqual(
    routed.map(({ tls }) => [tls.mode, tls.caFile, tls.minVersion]),
    [
      ['opportunistic', '/ca', '1.3'],
      ['opportunistic', '/ca', '1.3'],
      ['required', '/ca', '1.3'],
    ],
    'so it is under the hosts of routers',
  );
});

test('no smart host gets the password of another, unless the file says so', () => {
  const auth = '[auth]\nuser = "u"\npassword_file = "/p"\n';
  const own = 'auth = { user = "v", password_file = "/q" }';
  const users = (text: string): (string | undefined)[] => config(text).smarthosts.map((host) => host.auth?.user);
  assert.deepEqual(users(`smarthosts = ["a", "A:465", "a/MX"]\n${auth}`), ['u', 'u', 'u'], 'one name');
  assert.deepEqual(users(`smarthosts = ["a", { url = "b", ${own} }]\n${auth}`), ['u', 'v']);
  assert.deepEqual(users(`smarthosts = [{ url = "b", ${own} }, "a"]\n${auth}`), ['v', 'u']);
  assert.deepEqual(users(`smarthosts = ["a", { url = "b", auth = "default" }]\n${auth}`), ['u', 'u']);
  assert.deepEqual(users(`smarthosts = ["a", { url = "b", auth = "none" }]\n${auth}`), ['u', undefined]);
  assert.deepEqual(users(`smarthosts = ["a", { url = "b", auth = {} }]\n${auth}`), ['u', undefined]);
  assert.deepEqual(users('smarthosts = ["a", "b"]'), [undefined, undefined], 'nothing to hand out');
  assert.match(
    error(`smarthosts = ["a",\n"b"]\n${auth}`),
    /^\/f:2: key "smarthosts": "b" would get the password for "a": .*auth = "default".*auth = "none"$/,
  );
  const route = (more: string): string =>
    `smarthosts = ["a"]\n${auth}[[router]]\nname = "r"\ndriver = "manualroute"\nhosts = [\n"b"]\n${more}`;
  assert.match(error(route('')), /^\/f:9: key "hosts": "b" would get the password for "a"/);
  const routed = (more: string): (string | undefined)[] =>
    (config(route(more)).routers[0] as ManualrouteDefinition).hosts.map((host) => host.auth?.user);
  assert.deepEqual(routed('auth = "default"'), ['u']);
  assert.deepEqual(routed('auth = "none"'), [undefined]);
  assert.deepEqual(routed(own), ['v']);
  assert.deepEqual(routed(`[router.auth]\nuser = "v"\npassword_file = "/q"`), ['v']);
  // A host that is written as a table has what its router has.
  const table = (more: string): (string | undefined)[] =>
    (config(route(more).replace('"b"', '{ url = "b" }')).routers[0] as ManualrouteDefinition).hosts.map((host) => host.auth?.user);
  assert.deepEqual([table(own), table('auth = "none"'), table('auth = "default"')], [['v'], [undefined], ['u']]);
});

test('W3: a password goes in the clear only to hosts that are written as loopback, or with allow_plaintext', () => {
  const off = (url: string, more = ''): Interpreted =>
    read(`smarthosts = ["${url}"]\ntls = { mode = "off" }\nauth = { user = "u", password_file = "/p"${more} }`);
  for (const url of ['smtp://127.0.0.1', 'smtp://[::1]:2525', 'smtp://LOCALHOST', 'smtp://mail.localhost', 'unix:/run/smtp'])
    assert.ok(off(url).ok, url);
  for (const url of ['smtp://192.0.2.1', 'smtp://mail.example.org', 'smtp://localhost.localdomain', 'localhost/MX', 'localhost/SRV']) {
    assert.ok(!off(url).ok, url);
    assert.ok(off(url, ', allow_plaintext = true').ok, url);
  }
  const proxied = off('localhost');
  assert.ok(proxied.ok);
  assert.match(
    error('proxy = "socks5://p"\nsmarthosts = ["localhost"]\ntls = { mode = "off" }\nauth = { user = "u", password_file = "/p" }'),
    /^\/f:2: key "smarthosts": "localhost" would get the password in the clear/,
  );
  assert.ok(read('smarthosts = ["a"]\ntls = { mode = "off" }').ok, 'nothing to send');
  assert.ok(read('smarthosts = ["a"]\ntls = { mode = "off" }\nauth = { user = "u", mechanisms = ["EXTERNAL"] }').ok, 'no password');
});

test('W6: ignore_extensions is the list of the host, else of the route, else of the file', () => {
  const text = `ignore_extensions = ["chunking"]
smarthosts = ["a", { url = "b", ignore_extensions = ["SIZE", "X-NEW"] }, { url = "c", ignore_extensions = [] }, "unix:/s", { url = "g" }]
[[router]]
name = "r"
driver = "manualroute"
ignore_extensions = ["PIPELINING"]
hosts = ["d", { url = "e", ignore_extensions = ["DSN"] }]
[[router]]
name = "s"
driver = "manualroute"
hosts = ["f"]`;
  const ignored = (hosts: Config['smarthosts']): (readonly string[] | undefined)[] => hosts.map((host) => host.ignoreExtensions);
  const got = config(text);
  assert.deepEqual(ignored(got.smarthosts), [['CHUNKING'], ['SIZE', 'X-NEW'], undefined, ['CHUNKING'], ['CHUNKING']]);
  const [r, s] = got.routers as [ManualrouteDefinition, ManualrouteDefinition];
  assert.deepEqual([ignored(r.hosts), ignored(s.hosts)], [[['PIPELINING'], ['DSN']], [['CHUNKING']]]);
  const env = { NOSPOOL_IGNORE_EXTENSIONS: 'CHUNKING pipelining' };
  assert.deepEqual(ignored(config('smarthosts = ["a"]\nignore_extensions = ["DSN"]', { env }).smarthosts), [['CHUNKING', 'PIPELINING']]);
});

test('W6: a warning hints at a slip in the name of an extension; other keywords pass', () => {
  const warnings = (...keywords: string[]): readonly string[] => {
    const got = read(`smarthosts = ["a"]\nignore_extensions = ${JSON.stringify(keywords)}`);
    assert.ok(got.ok);
    return got.warnings;
  };
  assert.deepEqual(
    warnings('CHUNKING', 'ETRN', 'HELP', 'VRFY', 'EXPN', 'TURN', 'PRDR', 'XCLIENT', 'XFORWARD', 'X-ANY', 'BURL', 'UTF8SMTP'),
    [],
  );
  assert.deepEqual(warnings('CHUNKIN', '8bitmine'), [
    '/f:2: key "ignore_extensions" names "CHUNKIN", which is no extension known here; did you mean "CHUNKING"?',
    '/f:2: key "ignore_extensions" names "8BITMINE", which is no extension known here; did you mean "8BITMIME"?',
  ]);
});

test('a table of credentials inherits nothing', () => {
  const { smarthosts } = config(
    'smarthosts = [{ url = "b", auth = { user = "v", password_env = "PW" } }]\n[auth]\nuser = "u"\npassword_file = "/p"\nallow_plaintext = true\nmechanisms = ["plain"]',
  );
  assert.deepEqual(smarthosts[0]?.auth, { user: 'v', mechanisms: [], secret: { from: 'env', name: 'PW' }, allowPlaintext: false });
});

test('a secret is read from each of its keys', () => {
  const secret = (line: string, given: Given = {}): unknown =>
    config(`smarthosts = ["a"]\n[auth]\nuser = "u"\n${line}`, given).smarthosts[0]?.auth?.secret;
  assert.deepEqual(secret('password_file = "/p"'), PASSWORD);
  assert.deepEqual(secret('password_file = "~/p"'), { from: 'file', path: '/home/ops/p' });
  assert.deepEqual(secret('password_file = "mail"'), { from: 'file', path: 'mail' }, 'a systemd credential, found when it is read');
  assert.deepEqual(secret('password_command = ["/bin/cat", "a b"]'), { from: 'command', argv: ['/bin/cat', 'a b'] });
  assert.deepEqual(secret('password_command = ["~/bin/pw"]'), { from: 'command', argv: ['/home/ops/bin/pw'] });
  assert.deepEqual(secret('password_env = "NOSPOOL_MY_PASSWORD"', { env: { NOSPOOL_MY_PASSWORD: 'hunter2' } }), {
    from: 'env',
    name: 'NOSPOOL_MY_PASSWORD',
  });
  assert.deepEqual(secret('password = "hunter2"'), { from: 'literal', value: 'hunter2' });
  assert.deepEqual(secret('mechanisms = ["external"]'), { from: 'none' });
  assert.match(error('[auth]\nuser = "u"\npassword_file = "~/p"', { home: null }), /no home directory/);
});

test('V7: a token is read from each of its keys', () => {
  const auth = (line: string, given: Given = {}): unknown =>
    config(`smarthosts = ["a"]\n[auth]\nuser = "u"\n${line}`, given).smarthosts[0]?.auth;
  const of = (secret: unknown): unknown => ({ user: 'u', mechanisms: [], secret, isToken: true, allowPlaintext: false });
  assert.deepEqual(auth('token_file = "~/t"'), of({ from: 'file', path: '/home/ops/t' }));
  assert.deepEqual(auth('token_file = "mail"'), of({ from: 'file', path: 'mail' }));
  assert.deepEqual(auth('token_command = ["/bin/token", "u"]'), of({ from: 'command', argv: ['/bin/token', 'u'] }));
  assert.deepEqual(auth('token_env = "NOSPOOL_T"', { env: { NOSPOOL_T: 'x' } }), of({ from: 'env', name: 'NOSPOOL_T' }));
  const env = { NOSPOOL_AUTH_TOKEN_FILE: '/run/secrets/t' };
  assert.deepEqual(auth('password_file = "/p"', { env }), of({ from: 'file', path: '/run/secrets/t' }), 'over a password of the file');
  assert.deepEqual(auth('token_file = "/t"', { env: { NOSPOOL_AUTH_PASSWORD_FILE: '/q' } }), {
    ...{ user: 'u', mechanisms: [], secret: { from: 'file', path: '/q' }, allowPlaintext: false },
  });
  assert.match(error('[auth]\nuser = "u"\ntoken_command = ["/bin/t"]', { mode: 0o646 }), /every user can change this file/);
});

test('a file that every user can read keeps no password; one that every user can change runs no command', () => {
  const literal = '[auth]\nuser = "u"\npassword = "hunter2"';
  const command = '[auth]\nuser = "u"\npassword_command = ["/bin/cat", "/p"]';
  for (const mode of [0o600, 0o640, 0o660, null]) config(literal, { mode });
  assert.equal(
    error(literal, { mode: 0o644 }),
    '/f:3: key "password" in [auth] is refused, because every user can read this file (mode 0644, owner uid 0): run chmod o-r /f',
  );
  assert.match(error(literal, { mode: 0o604 }), /mode 0604/);
  assert.match(
    error('smarthosts = [{ url = "a", auth = { user = "u", password = "hunter2" } }]', { mode: 0o644 }),
    /^\/f:1: key "password" in auth of a smart host is refused/,
  );
  const both = read(`${literal}\npassword_file = "/p"`, { mode: 0o644 });
  assert.match(both.ok ? '' : both.errors.join('\n'), /"password" in \[auth\] contradicts .*\n.*"password" in \[auth\] is refused/);
  for (const mode of [0o644, 0o640, null]) config(command, { mode });
  assert.equal(
    error(command, { mode: 0o646 }),
    '/f:3: key "password_command" in [auth] is refused, because every user can change this file (mode 0646, owner uid 0): run chmod o-w /f',
  );
  assert.match(error(command, { mode: 0o664 }), /because its group can change this file \(mode 0664, owner uid 0\): run chmod g-w \/f$/);
  assert.match(error(command, { mode: 0o666 }), /because its group and every user can change this file .*: run chmod go-w \/f$/);
  config('[auth]\nuser = "u"', { mode: 0o666, env: { NOSPOOL_AUTH_PASSWORD: 'hunter2' } });
});

test('routers are read', () => {
  const { routers } = config(`
[[router]]
name = "a"
driver = "redirect"
file = ""
data = { root = "ops@example.org", "Mc. Duck" = "x", constructor = "y" }
local_parts = ["*"]
[[router]]
name = "b"
driver = "redirect"
file = "~/aliases"
domains = []
qualify_preserve_domain = true
[[router]]
name = "c"
driver = "redirect"
forward = true
domains = ["*", "*.example.org", "@", "example.net", "[192.0.2.1]"]
[[router]]
name = "d"
driver = "manualroute"
senders = ["*", "*@example.org", "a@b"]
hosts = ["smtp://h"]
randomize = true
errors_to = "<>"
headers_add = ["X-To: {address}"]
headers_remove = ["X-Debug"]
tls = { mode = "off" }
[[router]]
name = "d2"
driver = "manualroute"
hosts = ["smtp://h"]
errors_to = ""
[[router]]
name = "e"
driver = "manualroute"
hosts = [{ url = "h2", tls = { mode = "required" } }]
errors_to = "bounces@example.org"
[router.tls]
server_name = "s"
`);
  const any = { localParts: [], senders: [] };
  const redirect = {
    driver: 'redirect',
    ...any,
    domains: ['@'],
    file: '',
    data: null,
    forward: false,
    qualifyPreserveDomain: false,
    ifPresent: false,
  };
  assert.deepEqual(JSON.parse(JSON.stringify(routers.slice(0, 3))), [
    { ...redirect, name: 'a', data: { root: 'ops@example.org', 'Mc. Duck': 'x', constructor: 'y' }, localParts: ['*'] },
    { ...redirect, name: 'b', file: '/home/ops/aliases', domains: [], qualifyPreserveDomain: true },
    { ...redirect, name: 'c', forward: true, ifPresent: true, domains: ['*', '*.example.org', '@', 'example.net', '[192.0.2.1]'] },
  ]);
  const tls = {
    mode: 'off',
    verify: true,
    caFile: '',
    fingerprint: [],
    serverName: '',
    certificate: '',
    certificateKey: '',
    minVersion: '1.2',
  };
  const host = { scheme: 'smtp', host: 'h', port: 25, expand: 'none', tls, auth: null };
  assert.deepEqual(routers.slice(3), [
    {
      driver: 'manualroute',
      name: 'd',
      domains: [],
      localParts: [],
      senders: ['*', '*@example.org', 'a@b'],
      hosts: [host],
      randomize: true,
      errorsTo: null,
      changes: { add: ['X-To: {address}'], remove: ['X-Debug'] },
    },
    {
      driver: 'manualroute',
      name: 'd2',
      domains: [],
      ...any,
      hosts: [{ ...host, tls: { ...tls, mode: 'default' } }],
      randomize: false,
      changes: { add: [], remove: [] },
    },
    {
      driver: 'manualroute',
      name: 'e',
      domains: [],
      ...any,
      hosts: [{ ...host, scheme: 'submission', host: 'h2', port: 587, tls: { ...tls, mode: 'required', serverName: 's' } }],
      randomize: false,
      errorsTo: { localPart: 'bounces', domain: 'example.org' },
      changes: { add: [], remove: [] },
    },
  ]);
  const [first] = routers;
  assert.ok(first?.driver === 'redirect' && first.data !== null);
  assert.equal(first.data.toString, undefined, 'no local-part finds a method');
});

test('patterns of senders and local-parts match however they are written', () => {
  const { routers } = config(`
[[router]]
name = "a"
driver = "redirect"
file = "/aliases"
local_parts = ['"a b"', '"joe"', 'Tim']
senders = ['"joe"@a.example', 'x@b.example.', '*@c.example.', '"a b"@d.example']
`);
  assert.deepEqual(routers[0]?.localParts, ['a b', 'joe', 'Tim']);
  assert.deepEqual(routers[0]?.senders, ['joe@a.example', 'x@b.example', '*@c.example', '"a b"@d.example']);
});

test('[rewrite] is read', () => {
  const { rewrite } = config(
    '[rewrite]\nroot = "host1@example.org"\n"*@host1" = "*@example.org"\n"a@b" = "c"\n"*@c" = "noreply@example.org"',
  );
  assert.deepEqual({ ...rewrite }, { root: 'host1@example.org', '*@host1': '*@example.org', 'a@b': 'c', '*@c': 'noreply@example.org' });
});

test('from may have the login more than once', () => {
  assert.equal(config('from = "{login}+{login}@example.org"').from, '{login}+{login}@example.org');
});

test('W4: a hostname that EHLO cannot say gets a warning; the dot of the root is removed', () => {
  const read1 = (name: string): { readonly hostname: string; readonly warnings: readonly string[] } => {
    const got = read(`hostname = "${name}"`);
    assert.ok(got.ok, name);
    return { hostname: got.config.hostname, warnings: got.warnings };
  };
  for (const name of ['web1.example.org', 'WEB1', 'müller.example', '[192.0.2.1]'])
    assert.deepEqual(read1(name), { hostname: name, warnings: [] });
  assert.deepEqual(read1('web1.example.org.'), { hostname: 'web1.example.org', warnings: [] });
  for (const name of ['my_app.local', '192.0.2.1'])
    assert.match(read1(name).warnings.join(), /^\/f:1: key "hostname" is no domain of RFC 5321, so EHLO says the address of the socket/);
  assert.equal(config('qualify_domain = "example.org."\nqualify_recipient = "example.net."').qualifyRecipient, 'example.net');
  for (const name of ['web 1', ' web1', 'a..b', 'web-.example.org', '.', 'a.example..'])
    assert.match(error(`hostname = "${name}"`), /^\/f:1: key "hostname" expects a domain/);
});

test('a key without effect gets a warning', () => {
  const warnings = (text: string, given: Given = {}): readonly string[] => {
    const got = read(text, given);
    assert.ok(got.ok);
    return got.warnings;
  };
  assert.deepEqual(warnings('lock = true', { isSystem: true }), []);
  assert.match(warnings('lock = true')[0] ?? '', /^\/f:1: key "lock" means nothing here/);
  assert.equal(config('lock = true').lock, false);
  assert.deepEqual(warnings('lock = false\naliases = ["/a"]'), []);
  const router = '[[router]]\nname = "a"\ndriver = "redirect"\nforward = true';
  assert.deepEqual(warnings(router), []);
  assert.match(warnings(`aliases = ["/a"]\n${router}`)[0] ?? '', /^\/f:1: key "aliases" is not used/);
});

test('every word of a choice is read as it is written', () => {
  const choices = {
    arguments_with_t: ['argumentsWithT', 'add', 'remove'],
    lone_dot: ['loneDot', 'ends', 'text'],
    header_8bit: ['header8bit', 'encode', 'send'],
    eight_bit: ['eightBit', 'convert', 'send', 'refuse'],
    long_lines: ['longLines', 'send', 'refuse'],
    dsn: ['dsn', 'drop', 'require'],
    exit_codes: ['exitCodes', 'simple', 'sysexits'],
    log_format: ['logFormat', 'exim', 'json'],
  };
  for (const [key, [name, ...words]] of Object.entries(choices))
    for (const word of words) assert.equal(config(`${key} = "${word}"`)[name as keyof Config], word, key);
  for (const word of ['syslog', 'stderr', 'none', '']) assert.equal(config(`log = "${word}"`).log, word);
});

test('the environment alone is enough', () => {
  const got = config(null, {
    env: {
      NOSPOOL_SMARTHOSTS: 'submission://a  a:465',
      NOSPOOL_TLS_MODE: 'required',
      NOSPOOL_AUTH_USER: 'u',
      NOSPOOL_AUTH_PASSWORD_FILE: '/p',
      NOSPOOL_TIMEOUTS_CONNECT: '5s',
      NOSPOOL_REPLAY_WINDOW: '1MiB',
      NOSPOOL_FORCE_FROM: 'yes',
      NOSPOOL_FROM: '{login}@example.org',
      NOSPOOL_ALIASES: '/a /b',
      NOSPOOL_HEADER_8BIT: 'send',
      NOSPOOL_LOG: '',
      NOSPOOL_CONFIG: '/not/looked/at/here',
      PATH: '/bin',
    },
  });
  assert.equal(got.path, '');
  assert.deepEqual(
    got.smarthosts.map(({ host, port, tls, auth }) => [host, port, tls.mode, auth]),
    [587, 465].map((port) => ['a', port, 'required', { user: 'u', mechanisms: [], secret: PASSWORD, allowPlaintext: false }]),
  );
  assert.equal(got.timeouts.connect, 5000);
  assert.equal(got.replayWindow, 1 << 20);
  assert.equal(got.forceFrom, true);
  assert.equal(got.from, '{login}@example.org');
  assert.deepEqual(got.aliases, ['/a', '/b']);
  assert.equal(got.header8bit, 'send');
  assert.equal(got.log, '', 'an empty variable is an unset one');
});

test('the environment is over the file', () => {
  const text =
    'smarthosts = ["a"]\nrandomize = true\n[tls]\nca_file = "/ca"\nserver_name = "s"\n[auth]\nuser = "u"\npassword = "hunter2"\nallow_plaintext = true';
  const { smarthosts, randomize } = config(text, {
    env: { NOSPOOL_SMARTHOSTS: 'b', NOSPOOL_AUTH_PASSWORD_FILE: '/p', NOSPOOL_TLS_MODE: 'opportunistic', NOSPOOL_RANDOMIZE: 'off' },
  });
  assert.equal(randomize, false);
  assert.equal(smarthosts.length, 1);
  assert.equal(smarthosts[0]?.host, 'b');
  assert.deepEqual(
    smarthosts[0]?.auth,
    { user: 'u', mechanisms: [], secret: PASSWORD, allowPlaintext: true },
    'a secret replaces a secret',
  );
  assert.equal(smarthosts[0]?.tls.mode, 'opportunistic');
  assert.equal(smarthosts[0]?.tls.caFile, '/ca');
  const user = config(text, { env: { NOSPOOL_AUTH_USER: 'v' } }).smarthosts[0]?.auth;
  assert.deepEqual([user?.user, user?.secret], ['v', { from: 'literal', value: 'hunter2' }], 'a user alone keeps the secret');
  for (const kind of ['PASSWORD', 'TOKEN'])
    assert.deepEqual(
      config(text, { env: { [`NOSPOOL_AUTH_${kind}_ENV`]: 'NOSPOOL_MINE', NOSPOOL_MINE: 'x' } }).smarthosts[0]?.auth?.secret,
      { from: 'env', name: 'NOSPOOL_MINE' },
      'a variable may name one that is no key',
    );
  // Each layer must be consistent in itself; a later one may undo an earlier one.
  assert.equal(config(text, { env: { NOSPOOL_TLS_MODE: 'off' } }).smarthosts[0]?.tls.caFile, '');
});

test('what is wrong in the environment has a cure there: variables in place of keys, and a file where no variable will do', () => {
  const secrets =
    'NOSPOOL_AUTH_PASSWORD_FILE, NOSPOOL_AUTH_PASSWORD_ENV, NOSPOOL_AUTH_PASSWORD, NOSPOOL_AUTH_TOKEN_FILE, NOSPOOL_AUTH_TOKEN_ENV';
  const of = (env: Readonly<Record<string, string>>, text: string | null = null): string => error(text, { env });
  assert.equal(
    of({ NOSPOOL_AUTH_USER: 'u' }),
    `environment: NOSPOOL_AUTH_USER needs a password or a token: write one of ${secrets} beside it`,
  );
  for (const [name, value] of [
    ['PASSWORD', 'hunter2'],
    ['MECHANISMS', 'PLAIN'],
  ] as const)
    assert.equal(
      of({ [`NOSPOOL_AUTH_${name}`]: value }),
      `environment: NOSPOOL_AUTH_${name} needs NOSPOOL_AUTH_USER beside it: without a user there is no authentication`,
    );
  const two = { NOSPOOL_SMARTHOSTS: 'a b', NOSPOOL_AUTH_USER: 'u', NOSPOOL_AUTH_PASSWORD_FILE: '/p' };
  assert.equal(
    of(two),
    'environment: NOSPOOL_SMARTHOSTS: "b" would get the password for "a": a variable cannot say who has which, so name one smart host, or write smarthosts in a file, each with its own auth',
  );
  // In a file tables can be written, wherever the password comes from.
  assert.match(of({ ...two, NOSPOOL_SMARTHOSTS: '' }, 'smarthosts = ["a", "b"]'), /"b" would get the password for "a": write a table /);
});

test('a misspelt key of a password is the only error', () => {
  const misspelt = /^\/f:\d: key "pasword_file" in .* is unknown; did you mean "password_file"\?$/;
  assert.match(error('[auth]\nuser = "u"\npasword_file = "/p"'), misspelt);
  assert.match(error('smarthosts = [{ url = "a", auth = { user = "u", pasword_file = "/p" } }]'), misspelt);
});

test('errors name a variable of the environment', () => {
  assert.match(error('default_charset = "NOSPOOL_X"', { env: { NOSPOOL_X: '1' } }), /^environment: NOSPOOL_X is unknown/);
  for (const [name, value, expected] of VARIABLE_ERRORS) {
    const sentence = error(null, { env: { [name]: value } });
    if (typeof expected === 'string') assert.equal(sentence, expected);
    else assert.match(sentence, expected);
    assert.doesNotMatch(sentence, /hunter2/);
  }
  assert.match(
    error(null, { env: { NOSPOOL_AUTH_USER: 'u', NOSPOOL_AUTH_PASSWORD: 'hunter2', NOSPOOL_AUTH_PASSWORD_FILE: '/p' } }),
    /contradicts NOSPOOL_AUTH_PASSWORD_FILE: keep exactly one of NOSPOOL_AUTH_PASSWORD_FILE, /,
  );
});

test.run();
