import assert from 'node:assert';
import { suite } from 'uvu';
import type { Config } from '../../src/config/config.ts';
import { type Interpreted, interpret } from '../../src/config/interpret.ts';
import { parseToml } from '../../src/config/toml.ts';
import type { ManualrouteDefinition } from '../../src/router/route.ts';

const test = suite('interpret');

interface Given {
  readonly env?: Record<string, string>;
  readonly mode?: number | null;
  readonly credentials?: string | null;
  readonly home?: string | null;
  readonly isSystem?: boolean;
}

function read(
  text: string | null,
  { env = {}, mode = 0o640, credentials = null, home = '/home/ops', isSystem = false }: Given = {},
): Interpreted {
  if (text === null) return interpret(null, env, { home, credentials });
  const toml = parseToml(text);
  assert.ok(toml.ok, `${text}: ${toml.ok ? '' : toml.detail}`);
  return interpret({ path: '/f', toml, mode, isSystem }, env, { home, credentials });
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

test('nothing written: the defaults', () => {
  for (const got of [config(null), config(''), config('[tls]\n[auth]\n[timeouts]\n[rewrite]\n')]) {
    const { timeouts, rewrite, path, ...rest } = got;
    assert.deepEqual(rest, {
      smarthosts: [],
      randomize: false,
      aliases: ['/etc/aliases'],
      lock: false,
      hostname: '',
      qualifyDomain: '',
      qualifyRecipient: '',
      from: '',
      forceFrom: false,
      replayWindow: 262_144,
      headerLimit: 1_048_576,
      argumentsWithT: 'add',
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
      resolve: 15_000,
      connect: 30_000,
      handshake: 30_000,
      greeting: 300_000,
      command: 300_000,
      data: 120_000,
      block: 180_000,
      final: 600_000,
      input: 240_000,
      deadline: Infinity,
    });
    assert.equal(rewrite.constructor, undefined);
  }
});

/** [text of a file, the only error] */
const ERRORS: [string, RegExp | string][] = [
  ['\nsmarthost = []', '/f:2: key "smarthost" is unknown; did you mean "smarthosts"?'],
  ['relayhost = "x"', '/f:1: key "relayhost" is unknown; did you mean "smarthosts"?'],
  ['completely_different = 1', /^\/f:1: key "completely_different" is unknown; the nearest key is "\w+", nospool\.toml\(5\) has them all$/],
  [
    '[tls]\nsmarthosts = []',
    /^\/f:2: key "smarthosts" in \[tls\] does not belong here but at the top of the file, before the first line in brackets$/,
  ],
  ['verify = true', /^\/f:1: key "verify" does not belong here but in \[tls\]/],
  ['[auth]\nverify = true', /^\/f:2: key "verify" in \[auth\] does not belong here but in \[tls\]/],
  ['[tsl]\nmode = "off"', '/f:1: key "tsl" is unknown; did you mean "tls"?'],
  ['[timeouts]\nconect = "5s"', '/f:2: key "conect" in [timeouts] is unknown; did you mean "connect"?'],
  ['tls = "off"', /^\/f:1: key "tls" expects a table/],
  ['rewrite = []', /^\/f:1: key "rewrite" expects a table/],
  ['smarthosts = "mail.example.org"', '/f:1: key "smarthosts" expects a list such as ["submission://mail.example.org"], found a text'],
  ['smarthosts = [\n"a",\n1]', /^\/f:3: key "smarthosts": each item is a text such as/],
  ['smarthosts = [\n"a",\n"b:x"]', /^\/f:3: key "smarthosts": port "x" is not a number/],
  ['smarthosts = [{ tls = { mode = "off" } }]', /^\/f:1: key "smarthosts": a smart host written as a table needs url/],
  [
    'smarthosts = [{ url = "a",\nuser = "x" }]',
    /^\/f:2: key "user" of a smart host does not belong here but in \[auth\]; did you mean "url"\?$/,
  ],
  ['smarthosts = [{ url = 5 }]', /^\/f:1: key "url" of a smart host expects a text/],
  ['smarthosts = [{ url = "x://a" }]', /^\/f:1: key "url" of a smart host: scheme "x" is unknown/],
  ['smarthosts = [{ url = "a", tls = "off" }]', /^\/f:1: key "tls" of a smart host expects a table such as \{ mode = "off" \}/],
  ['smarthosts = [{ url = "a", tls = { mod = "off" } }]', /^\/f:1: key "mod" in tls of a smart host is unknown; did you mean "mode"\?$/],
  ['smarthosts = [{ url = "a", auth = "primary" }]', /^\/f:1: key "auth" of a smart host expects a table .*"default" or "none"$/],
  ['smarthosts = [{ url = "a", auth = "default" }]', /auth = "default" of "a" means \[auth\], which has no user$/],
  ['randomize = "yes"', '/f:1: key "randomize" expects true or false, found a text'],
  ['replay_window = "0"', /key "replay_window" expects a size from "1KiB" to "1GiB"$/],
  ['header_limit = 3', /key "header_limit" expects a size from "1KiB" to "64MiB"$/],
  ['dsn = "reqire"', '/f:1: key "dsn" expects "drop" or "require"'],
  ['log = "nospool.log"', /expects "syslog", "stderr", "none" or an absolute path$/],
  ['aliases = ["aliases"]', /expects an absolute path/],
  ['aliases = "/etc/aliases"', /expects a list such as \["\/etc\/aliases"\], found a text$/],
  ['hostname = "web 1"', /key "hostname" expects a domain such as/],
  ['qualify_domain = "@example.org"', /key "qualify_domain" expects a domain/],
  ['hostname = "a\\r\\nMAIL FROM:<>"', /has a control character/],
  ['default_charset = "no such"', /expects the name of a charset/],
  ['from = "Ops <ops@example.org>"', /key "from" expects an address/],
  ['from = "{user}@example.org"', /has a word in braces that is not \{login\}/],
  ['[timeouts]\nconnect = 30', '/f:2: key "connect" in [timeouts] expects a duration such as "30s", "5m" or "none"'],
  // TLS
  ['[tls]\nmode = "on"', /key "mode" in \[tls\] expects "", "required", "opportunistic" or "off"$/],
  ['[tls]\nmin_version = 1.2', /expects "1.2" or "1.3"$/],
  ['[tls]\nmode = "off"\nca_file = "/a"', /^\/f:3: key "ca_file" in \[tls\] contradicts mode = "off": remove one of them$/],
  ['[tls]\nmode = "off"\ncertificate = "/a"', /^\/f:3: key "certificate" .*contradicts mode/],
  ['[tls]\nmode = "off"\nverify = false', /^\/f:3: .*means nothing with mode = "off"/],
  ['[tls]\nmode = "off"\nserver_name = "a"', /^\/f:3: .*contradicts mode/],
  ['[tls]\nmode = "off"\nmin_version = "1.3"', /^\/f:3: .*contradicts mode/],
  [`[tls]\nmode = "off"\nfingerprint = ["sha256:${'0'.repeat(64)}"]`, /^\/f:3: .*contradicts mode/],
  [`[tls]\nverify = false\nfingerprint = ["sha256:${'0'.repeat(64)}"]`, /^\/f:3: .*contradicts verify = false/],
  ['[tls]\nverify = false\nca_file = "/a"', /^\/f:3: .*contradicts verify = false/],
  [`[tls]\nca_file = "/a"\nfingerprint = ["sha256:${'0'.repeat(64)}"]`, /^\/f:2: key "ca_file" in \[tls\] would not be used/],
  ['[tls]\ncertificate_key = "/a"', /^\/f:2: key "certificate_key" in \[tls\] needs certificate beside it$/],
  ['[tls]\nfingerprint = ["sha1:00"]', /expects "sha256:" and 64 hexadecimal digits/],
  [`[tls]\nfingerprint = ["${'0'.repeat(64)}"]`, /expects "sha256:" and 64/],
  [`[tls]\nfingerprint = ["sha256:${'0'.repeat(63)}"]`, /expects "sha256:" and 64/],
  ['smarthosts = ["submissions://a"]\n[tls]\nmode = "off"', /^\/f:1: key "smarthosts": "a" is TLS from the first octet/],
  // Credentials
  [
    '[auth]\nuser = "u"',
    /^\/f:2: key "user" in \[auth\] needs a password: write one of password_file, password_command, password_env, password/,
  ],
  ['[auth]\nuser = "u"\npassword_file = ""', /^\/f:2: .*needs a password/],
  ['[auth]\npassword_file = "/p"', /^\/f:2: .*needs user beside it/],
  ['[auth]\nmechanisms = ["PLAIN"]', /^\/f:2: .*needs user beside it/],
  [
    '[auth]\nuser = "u"\npassword = "hunter2"\npassword_file = "/p"',
    /^\/f:3: key "password" in \[auth\] contradicts password_file: keep exactly one/,
  ],
  ['[auth]\nuser = "u"\npassword_env = "A B"', /expects the name of an environment variable$/],
  ['[auth]\nuser = "u"\npassword_command = ["pass", "show"]', /expects an absolute path.*PATH is the caller's$/],
  ['[auth]\nuser = "u"\npassword_command = "pass show"', /expects a list such as/],
  ['[auth]\nuser = "u"\npassword_file = "p"', /bare name, which means a systemd credential, but \$CREDENTIALS_DIRECTORY is not set/],
  ['[auth]\nuser = "u"\npassword_file = "../p"', /absolute path.* or the bare name of a systemd credential$/],
  [
    '[auth]\nuser = "u"\npassword_file = "/p"\nmechanisms = ["SCRAM-SHA-255"]',
    /does not know "SCRAM-SHA-255"; did you mean "SCRAM-SHA-256"\?$/,
  ],
  ['[auth]\nuser = "u"\npassword = 12345', /key "password" in \[auth\] expects a text such as "secret", found a number without quotes$/],
  // Routers
  ['[router]\nname = "a"', /write \[\[router\]\], with two brackets/],
  ['router = ["a"]', /write \[\[router\]\]/],
  ['[[router]]\ndriver = "redirect"\nfile = "/a"', '/f:1: [[router]] needs name = "system_aliases"'],
  ['[[router]]\nname = "a"', '/f:1: [[router]] needs driver = "redirect"'],
  ['[[router]]\nname = "a"\ndriver = "dnslookup"', /^\/f:3: key "driver" in \[\[router\]\] expects "redirect" or "manualroute"$/],
  ['[[router]]\nname = "a b"\ndriver = "redirect"\nforward = true', /expects letters, digits/],
  ['[[router]]\nname = "a"\ndriver = "redirect"', /"a" needs exactly one of file = "\/etc\/aliases", data = \{ … \} and forward = true$/],
  ['[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\nfile = "/a"', /needs exactly one/],
  [
    '[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\nhosts = ["a"]',
    /^\/f:5: key "hosts" in \[\[router\]\] is for driver = "manualroute" only$/,
  ],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["a"]\nfile = "/a"', /^\/f:5: key "file" .*is for driver = "redirect" only$/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"', /^\/f:1: \[\[router\]\] "a" needs hosts/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = []', /"a" needs hosts/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["x:y"]', /^\/f:4: key "hosts": port "y"/],
  [
    '[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\n[[router]]\nname = "a"\ndriver = "redirect"\nforward = true',
    /^\/f:5: \[\[router\]\] "a" is the name of an earlier router/,
  ],
  [
    '[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\ndomains = ["a@b"]',
    /expects "\*", "@", a domain or "\*\.domain" in each item; "a@b" is none/,
  ],
  ['[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\ndomains = ["mail.*"]', /"mail\.\*" is none/],
  ['[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\nlocal_parts = ["owner-*"]', /"owner-\*" is none/],
  ['[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\nlocal_parts = ["a@b"]', /"a@b" is none/],
  ['[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\nsenders = ["root"]', /an address with its domain.*"root" is none/],
  ['[[router]]\nname = "a"\ndriver = "redirect"\nforward = true\nsenders = ["a*@b"]', /"a\*@b" is none/],
  [
    '[[router]]\nname = "a"\ndriver = "redirect"\ndata = { root = ["a"] }',
    /^\/f:4: key "root" in data of \[\[router\]\] expects a text; several addresses stand in one text/,
  ],
  ['[[router]]\nname = "a"\ndriver = "redirect"\ndata = { a.b = "x" }', /^\/f:4: key "a" .*a name with a dot in it must be quoted$/],
  ['[[router]]\nname = "a"\ndriver = "redirect"\ndata = { a = "x\\ny" }', /has a control character/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["a"]\nerrors_to = "a@b@c"', /^\/f:5: .*expects an address:/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["a"]\nheaders_add = ["X-Site"]', /^\/f:5: .*write "Name: value"$/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["a"]\nheaders_add = ["X: {no}"]', /\{no\} is not known/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["a"]\nheaders_add = ["X: a\\nBcc: b"]', /has a control character/],
  ['[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["a"]\nheaders_remove = ["X:"]', /is no name of a header field$/],
  // Rewriting
  ['[rewrite]\nroot = 5', /^\/f:2: key "root" in \[rewrite\] expects a text/],
  ['[rewrite]\nroot = ""', /expects an address/],
  ['[rewrite]\n"*" = "a@b"', /expects an address, a bare local-part or "\*@domain" as the key$/],
  ['[rewrite]\n"a*@b" = "a@b"', /as the key$/],
  ['[rewrite]\nroot = "*"', /expects an address or "\*@domain"$/],
  ['[rewrite]\nroot = "a*@b"', /expects an address or "\*@domain"$/],
];

test('errors name file, line and key, and say what to do; no secret is in them', () => {
  for (const [text, expected] of ERRORS) {
    const sentence = error(text);
    if (typeof expected === 'string') assert.equal(sentence, expected);
    else assert.match(sentence, expected, text);
    assert.match(sentence, /^\/f:\d+: /, text);
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
});

test('[tls] is under every host; what a host says of trust replaces it', () => {
  const pin = `sha256:${'ab'.repeat(32)}`;
  const colons = `SHA256:${Array(32).fill('AB').join(':')}`;
  const { smarthosts } = config(
    `smarthosts = ["a", { url = "b", tls = { fingerprint = ["${colons}"] } }, { url = "c", tls = { mode = "off" } },
       { url = "d", tls = { verify = false } }, "submissions://e", { url = "f", tls = { mode = "", certificate = "" } } ]
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
      { ...base, mode: 'default', certificate: '', certificateKey: '' },
    ],
  );
  const pinned = config(`smarthosts = ["a", { url = "b", tls = { ca_file = "/ca" } }]\n[tls]\nfingerprint = ["${pin}"]`).smarthosts;
  assert.deepEqual(
    pinned.map(({ tls }) => [tls.verify, tls.caFile, tls.fingerprint]),
    [
      [true, '', [pin]],
      [true, '/ca', []],
    ],
  );
  const lax = config('smarthosts = ["a", { url = "b", tls = { ca_file = "/ca" } }]\n[tls]\nverify = false').smarthosts;
  assert.deepEqual(
    lax.map(({ tls }) => [tls.verify, tls.caFile]),
    [
      [false, ''],
      [true, '/ca'],
    ],
    'a host with its own CA is verified',
  );
});

test('no smart host is handed the password of another, unless the file says so', () => {
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
    /^\/f:2: key "smarthosts": "b" would be handed the password for "a": .*auth = "default".*auth = "none"$/,
  );
  const route = (more: string): string =>
    `smarthosts = ["a"]\n${auth}[[router]]\nname = "r"\ndriver = "manualroute"\nhosts = [\n"b"]\n${more}`;
  assert.match(error(route('')), /^\/f:9: key "hosts": "b" would be handed the password for "a"/);
  const routed = (more: string): (string | undefined)[] =>
    (config(route(more)).routers[0] as ManualrouteDefinition).hosts.map((host) => host.auth?.user);
  assert.deepEqual(routed('auth = "default"'), ['u']);
  assert.deepEqual(routed('auth = "none"'), [undefined]);
  assert.deepEqual(routed(own), ['v']);
  assert.deepEqual(routed(`[router.auth]\nuser = "v"\npassword_file = "/q"`), ['v']);
});

test('a table of credentials inherits nothing', () => {
  const { smarthosts } = config(
    'smarthosts = [{ url = "b", auth = { user = "v", password_env = "PW" } }]\n[auth]\nuser = "u"\npassword_file = "/p"\nallow_plaintext = true\nmechanisms = ["plain"]',
  );
  assert.deepEqual(smarthosts[0]?.auth, { user: 'v', mechanisms: [], secret: { from: 'env', name: 'PW' }, allowPlaintext: false });
});

test('secrets, whichever way they are named', () => {
  const secret = (line: string, given: Given = {}): unknown =>
    config(`smarthosts = ["a"]\n[auth]\nuser = "u"\n${line}`, given).smarthosts[0]?.auth?.secret;
  assert.deepEqual(secret('password_file = "/p"'), PASSWORD);
  assert.deepEqual(secret('password_file = "~/p"'), { from: 'file', path: '/home/ops/p' });
  assert.deepEqual(secret('password_file = "mail"', { credentials: '/run/credentials/x' }), {
    from: 'file',
    path: '/run/credentials/x/mail',
  });
  assert.deepEqual(secret('password_command = ["/bin/cat", "a b"]'), { from: 'command', argv: ['/bin/cat', 'a b'] });
  assert.deepEqual(secret('password_env = "NOSPOOL_MY_PASSWORD"', { env: { NOSPOOL_MY_PASSWORD: 'hunter2' } }), {
    from: 'env',
    name: 'NOSPOOL_MY_PASSWORD',
  });
  assert.deepEqual(secret('password = "hunter2"'), { from: 'literal', value: 'hunter2' });
  assert.deepEqual(secret('mechanisms = ["external"]'), { from: 'none' });
  assert.match(error('[auth]\nuser = "u"\npassword_file = "~/p"', { home: null }), /no home directory/);
});

test('a file that every user can read keeps no password; one that every user can change runs no command', () => {
  const literal = '[auth]\nuser = "u"\npassword = "hunter2"';
  const command = '[auth]\nuser = "u"\npassword_command = ["/bin/cat", "/p"]';
  for (const mode of [0o600, 0o640, 0o660, null]) config(literal, { mode });
  assert.equal(
    error(literal, { mode: 0o644 }),
    '/f:3: key "password" in [auth] is refused, because every user can read this file (mode 0644): run chmod o-r /f',
  );
  assert.match(error(literal, { mode: 0o604 }), /mode 0604/);
  assert.match(
    error('smarthosts = [{ url = "a", auth = { user = "u", password = "hunter2" } }]', { mode: 0o644 }),
    /^\/f:1: key "password" in auth of a smart host is refused/,
  );
  for (const mode of [0o644, 0o664, null]) config(command, { mode });
  assert.equal(
    error(command, { mode: 0o646 }),
    '/f:3: key "password_command" in [auth] is refused, because every user can change this file (mode 0646): run chmod o-w /f',
  );
  config('[auth]\nuser = "u"', { mode: 0o666, env: { NOSPOOL_AUTH_PASSWORD: 'hunter2' } });
});

test('routers', () => {
  const { routers } = config(`
[[router]]
name = "a"
driver = "redirect"
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

test('rewrite', () => {
  const { rewrite } = config(
    '[rewrite]\nroot = "host1@example.org"\n"*@host1" = "*@example.org"\n"a@b" = "c"\n"*@c" = "noreply@example.org"',
  );
  assert.deepEqual({ ...rewrite }, { root: 'host1@example.org', '*@host1': '*@example.org', 'a@b': 'c', '*@c': 'noreply@example.org' });
});

test('warnings: what is written and means nothing', () => {
  const warnings = (text: string, given: Given = {}): readonly string[] => {
    const got = read(text, given);
    assert.ok(got.ok);
    return got.warnings;
  };
  assert.deepEqual(warnings('lock = true', { isSystem: true }), []);
  assert.match(warnings('lock = true')[0] ?? '', /^\/f:1: key "lock" means nothing here/);
  const router = '[[router]]\nname = "a"\ndriver = "redirect"\nforward = true';
  assert.deepEqual(warnings(router), []);
  assert.match(warnings(`aliases = ["/a"]\n${router}`)[0] ?? '', /^\/f:1: key "aliases" is not used/);
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
  // Each layer must be consistent in itself; a later one may undo an earlier one.
  assert.equal(config(text, { env: { NOSPOOL_TLS_MODE: 'off' } }).smarthosts[0]?.tls.caFile, '');
});

test('errors of the environment', () => {
  for (const [name, value, expected] of [
    ['NOSPOOL_SMARTHOST', 'a', 'environment: NOSPOOL_SMARTHOST is unknown; did you mean "NOSPOOL_SMARTHOSTS"?'],
    ['NOSPOOL_COMPLETELY_DIFFERENT_THING', 'a', /is unknown; the nearest is "NOSPOOL_\w+", nospool\.toml\(5\) has them all$/],
    ['NOSPOOL_AUTH_PASSWORD_COMMAND', 'hunter2', /commands are never taken from the environment/],
    ['NOSPOOL_LOCK', 'true', /counts in the system file only$/],
    ['NOSPOOL_ROUTER', 'x', /in a file only$/],
    ['NOSPOOL_REWRITE_ROOT', 'x', /in a file only$/],
    ['NOSPOOL_SERVICE_HOST', '10.0.0.1', /enableServiceLinks: false/],
    ['NOSPOOL_PORT_25_TCP_ADDR', '10.0.0.1', /enableServiceLinks: false/],
    ['NOSPOOL_SMARTHOSTS', 'smtp://u:hunter2@a', /^environment: NOSPOOL_SMARTHOSTS: user and password do not belong/],
    ['NOSPOOL_RANDOMIZE', 'maybe', 'environment: NOSPOOL_RANDOMIZE expects true or false, found a text'],
    ['NOSPOOL_TIMEOUTS_CONNECT', '30', /^environment: NOSPOOL_TIMEOUTS_CONNECT expects a duration/],
    ['NOSPOOL_TLS_FINGERPRINT', 'hunter2', /^environment: NOSPOOL_TLS_FINGERPRINT expects "sha256:"/],
    ['NOSPOOL_AUTH_USER', 'u', /^environment: NOSPOOL_AUTH_USER needs a password/],
    ['NOSPOOL_HOSTNAME', 'a b', /^environment: NOSPOOL_HOSTNAME expects a domain/],
  ] as const) {
    const sentence = error(null, { env: { [name]: value } });
    if (typeof expected === 'string') assert.equal(sentence, expected);
    else assert.match(sentence, expected);
    assert.doesNotMatch(sentence, /hunter2/);
  }
  assert.match(
    error(null, { env: { NOSPOOL_AUTH_USER: 'u', NOSPOOL_AUTH_PASSWORD: 'hunter2', NOSPOOL_AUTH_PASSWORD_FILE: '/p' } }),
    /contradicts password_file/,
  );
  assert.match(
    error(null, { env: { NOSPOOL_SMARTHOSTS: 'a b', NOSPOOL_AUTH_USER: 'u', NOSPOOL_AUTH_PASSWORD_FILE: '/p' } }),
    /^environment: NOSPOOL_SMARTHOSTS: "b" would be handed/,
  );
});

test.run();
