import assert from 'node:assert';
import { suite } from 'uvu';
import type { Config } from '../../src/config/config.ts';
import { interpret } from '../../src/config/interpret.ts';
import { parseToml } from '../../src/config/toml.ts';
import { type ForeignProgram, type Imported, importFrom, type ReadText } from '../../src/nospool/import/import-from.ts';
import { type FirstAnswers, printFirstConfig } from '../../src/nospool/init/first-config.ts';
import { printConfig, printText } from '../../src/nospool/print-config.ts';
import { type AuthPolicy, printSmarthost, type Smarthost } from '../../src/router/smarthost.ts';

const test = suite('import');

type Files = Readonly<Record<string, string>>;

const readerOf =
  (files: Files): ReadText =>
  (path) => {
    const text = files[path];
    if (text !== undefined) return { kind: 'file', text };
    const isFolder = Object.keys(files).some((name) => name.startsWith(`${path.replace(/\/$/, '')}/`));
    return isFolder ? { kind: 'folder' } : { kind: 'unread', detail: 'there is no such file or directory' };
  };

function imported(files: Files, program: ForeignProgram | null = null, path = Object.keys(files)[0] as string): Imported {
  const got = importFrom(path, readerOf(files), program);
  assert.ok(got.ok, got.ok ? '' : got.detail);
  return got.value;
}

function config(toml: string): Config {
  const parsed = parseToml(toml);
  assert.ok(parsed.ok, toml);
  const answer = interpret({ path: '/f', toml: parsed.value, refuses: () => null, isSystem: false }, {}, { home: '/home/ops' });
  assert.ok(answer.ok, `${toml}\n${answer.ok ? '' : answer.errors.join('\n')}`);
  return answer.config;
}

/** Lines that open a block need no note. */
const OPENS_A_BLOCK = /^\s*(#|$|defaults|account|identity)/;

/** The configuration that the files become. Asserts what holds for every import. */
function check(
  files: Files,
  program: ForeignProgram,
): { readonly config: Config; readonly all: Imported; effect(place: string): string[] } {
  const all = imported(files);
  assert.equal(all.program, program);
  assert.deepEqual(all.errors, [], all.toml);
  const places = new Set(all.notes.map((note) => note.place));
  for (const [path, text] of Object.entries(files))
    for (const [i, line] of text.split('\n').entries())
      if (!OPENS_A_BLOCK.test(line)) assert.ok(places.has(`${path}:${i + 1}`), `nothing is said of ${path}:${i + 1}: ${line}`);
  for (const note of all.notes) assert.doesNotMatch(JSON.stringify(note), /hunter/);
  assert.equal(all.isSecret, /hunter/.test(all.toml));
  return {
    config: config(all.toml),
    all,
    effect: (place) => all.notes.filter((note) => note.place === place).map((note) => `${note.key} ${note.effect}`),
  };
}

const hosts = ({ smarthosts }: Config): string[] => smarthosts.map(describe);

function describe(host: Smarthost): string {
  const { auth, tls } = host;
  const password = auth === null ? '' : ` ${auth.user}:${secretOf(auth)}`;
  return `${printSmarthost(host)} ${tls.mode}${tls.verify ? '' : ' unverified'}${password}`;
}

function secretOf({ secret }: AuthPolicy): string {
  if (secret.from === 'literal') return secret.value;
  return secret.from === 'file' ? secret.path : secret.from;
}

/** Routers as `name: senders -> hosts`, or the data of a redirect. */
const routes = ({ routers }: Config): string[] =>
  routers.map((router) =>
    router.driver === 'redirect'
      ? `${router.name}: ${router.file || JSON.stringify(router.data)}`
      : `${router.name}: ${router.senders.join()} -> ${router.hosts.map(describe).join()}`,
  );

test('msmtp: the default account, and accounts by sender', () => {
  const { config, effect, all } = check(
    {
      '/home/ops/.msmtprc': `defaults
tls on
port 587
account work
host mx.example.net
from ops@example.net
auth scram-sha-256
user ops
passwordeval "cat /run/secrets/ops"
aliases /etc/aliases
account alerts : work
from alerts+*@example.net
account shop
host shop.example.com
port 465
tls_starttls off
from *@shop.example.com
auth on
user shop
password "hunter 2"
proxy_host localhost
timeout 7
account default : alerts
logfile ~/.msmtp.log
syslog on
timeout 20
domain localhost
unheard_of 1
`,
    },
    'msmtp',
  );
  assert.deepEqual(hosts(config), ['submission://mx.example.net:587 required ops:command']);
  assert.deepEqual(config.smarthosts[0]?.auth?.secret, { from: 'command', argv: ['/bin/sh', '-c', 'cat /run/secrets/ops'] });
  assert.deepEqual(config.smarthosts[0]?.auth?.mechanisms, ['SCRAM-SHA-256']);
  assert.deepEqual(routes(config), [
    'aliases: /etc/aliases',
    'shop: *@shop.example.com -> submissions://shop.example.com:465 required shop:hunter 2',
  ]);
  assert.equal(config.log, '/home/ops/.msmtp.log');
  assert.equal(config.timeouts.connect, 20_000);
  assert.deepEqual(effect('/home/ops/.msmtprc:21'), ['proxy_host mapped']);
  assert.deepEqual(effect('/home/ops/.msmtprc:25'), ['syslog dropped']);
  assert.deepEqual(effect('/home/ops/.msmtprc:28'), ['unheard_of dropped']);
  assert.ok(all.toml.startsWith('# Made by "nospool import" from /home/ops/.msmtprc;'));
});

test('msmtp: never less TLS than before, with a note where it was off', () => {
  const { config: plain, all } = check(
    {
      '/etc/msmtprc': 'host mx.example.net\nfrom %U@example.net\nset_from_header on\ndomain web1.example.net\nkeepbcc on\nsyslog LOG_MAIL',
    },
    'msmtp',
  );
  assert.deepEqual(hosts(plain), ['smtp://mx.example.net:25 default']);
  assert.ok(all.notes.some((note) => note.key === 'tls' && note.effect === 'approximated' && note.place === '/etc/msmtprc'));
  assert.equal(plain.from, '{login}@example.net');
  assert.equal(plain.forceFrom, true);
  assert.equal(plain.hostname, 'web1.example.net');
  assert.equal(plain.keepBcc, true);
  assert.equal(plain.log, 'syslog');
  const pin = 'AB:'.repeat(31).concat('AB');
  const { config: pinned } = check(
    {
      '/etc/msmtprc': `host ::1\nport 2525\ntls\ntls_certcheck off\ntls_fingerprint ${pin}\ntls_trust_file /ca\ntls_cert_file /c\ntls_key_file /k\ntls_priorities NORMAL`,
    },
    'msmtp',
  );
  assert.deepEqual(hosts(pinned), ['submission://[::1]:2525 required'], 'required on loopback, too, because it was on');
  assert.deepEqual(pinned.smarthosts[0]?.tls.fingerprint, [`sha256:${'ab'.repeat(32)}`]);
  assert.equal(pinned.smarthosts[0]?.tls.certificate, '/c');
  assert.equal(pinned.smarthosts[0]?.tls.certificateKey, '/k');
  const { config: legacy } = check(
    { '/etc/msmtprc': 'host a.example\ntls on\ntls_nocertcheck\ntls_fingerprint 00:11\ntls_trust_file /ca\nauth ntlm\nuser u' },
    'msmtp',
  );
  assert.deepEqual(
    hosts(legacy),
    ['smtp://a.example:25 required u:/home/ops/.config/nospool/password'],
    'verified, with a place for the password',
  );
  assert.equal(legacy.smarthosts[0]?.tls.caFile, '/ca');
  const { config: socket } = check({ '/etc/msmtprc': 'socket /run/lmtp\nprotocol lmtp\naliases /a' }, 'msmtp');
  assert.deepEqual(hosts(socket), ['lmtp+unix:/run/lmtp default']);
  assert.deepEqual(socket.aliases, ['/a']);
});

test('msmtp: a note names each account that no sender can choose', () => {
  const { config, effect } = check(
    {
      '/msmtp/config':
        'account default\nhost a\ntls on\naccount b\nhost b\ntls on\naccount c\nhost c\ntls on\nfrom c@x\naccount d\nhost d\ntls on\nfrom c@x\naccount e : nosuch\nhost e\nfrom e+*@x\neval echo host hunter2\naccount f\nfrom f@x',
    },
    'msmtp',
  );
  assert.deepEqual(routes(config), ['c: c@x -> smtp://c:25 required']);
  assert.ok(effect('/msmtp/config:4').includes('account b dropped'));
  // What an account that is dropped says of its host is dropped, too.
  assert.deepEqual(
    [5, 6, 8, 12].flatMap((line) => effect(`/msmtp/config:${line}`)),
    ['host dropped', 'tls dropped', 'host mapped', 'host dropped'],
  );
  assert.ok(effect('/msmtp/config:14').includes('account d dropped'));
  assert.ok(effect('/msmtp/config:15').includes('account e : nosuch dropped'));
  assert.ok(effect('/msmtp/config:17').includes('account e dropped'));
  assert.ok(effect('/msmtp/config:18').includes('eval dropped'));
  assert.ok(effect('/msmtp/config:19').includes('account f dropped'));
  const none = imported({ '/etc/msmtprc': 'account a\nhost a\naccount b\nhost b' });
  assert.ok(none.notes.some((note) => note.key === 'account default' && note.effect === 'dropped'));
  assert.deepEqual(config.smarthosts.length, 1);
});

test('ssmtp', () => {
  const conf = '/etc/ssmtp/ssmtp.conf';
  const { config, effect } = check(
    {
      [conf]: `root=noc@example.net
MailHub=mx.example.net:587
rewriteDomain=example.net
hostname=web1.example.net
FromLineOverride=YES
UseSTARTTLS=YES
AuthUser=web1
AuthPass=hunter=2#comment
AuthMethod=cram-md5
Debug=NO
AddHeader=X-A: b
UseTLSCert=YES
TLSCert=/c
TLS_CA_File=/ca
Unheard=1`,
      '/etc/ssmtp/revaliases': '# login:address\nbob:bob@example.net:\nshop:shop@example.com::mx.example.com:465\n',
    },
    'ssmtp',
  );
  assert.deepEqual(hosts(config), ['submission://mx.example.net:587 required web1:hunter']);
  assert.deepEqual(config.smarthosts[0]?.auth?.mechanisms, ['CRAM-MD5']);
  assert.equal(config.smarthosts[0]?.tls.certificate, '/c');
  assert.equal(config.smarthosts[0]?.tls.caFile, '/ca');
  assert.equal(config.hostname, 'web1.example.net');
  assert.equal(config.qualifyDomain, 'example.net');
  assert.equal(config.forceFrom, false);
  assert.deepEqual({ ...config.rewrite }, { bob: 'bob@example.net', shop: 'shop@example.com' });
  assert.deepEqual(
    routes(config),
    ['root: {"root":"noc@example.net"}', 'shop: shop@example.com -> submission://mx.example.com:465 required web1:hunter'],
    'the other hub has the port and the password of the first, as with ssmtp',
  );
  assert.deepEqual(effect(`${conf}:11`), ['AddHeader dropped']);
  assert.deepEqual(effect(`${conf}:15`), ['Unheard dropped']);
  const { config: old } = check({ [conf]: 'mailhub=mx.example.net\nUseTLS=YES\nhostname=example.net\nroot=\nAuthPass=hunter' }, 'ssmtp');
  assert.deepEqual(hosts(old), ['submissions://mx.example.net:25 required'], 'its port is 25 for all');
  assert.deepEqual([old.forceFrom, old.forceReversePath], [false, true]);
  assert.equal(old.from, '{login}@example.net');
  const { config: bare } = check({ [conf]: 'mailhub=[2001:db8::1]:2525\nAuthUser=u' }, 'ssmtp');
  assert.deepEqual(hosts(bare), ['submission://[2001:db8::1]:2525 default u:/etc/nospool/password']);
});

test('dma', () => {
  const conf = '/etc/dma/dma.conf';
  const { config, effect } = check(
    {
      [conf]: `# a comment
SMARTHOST mx.example.net
PORT 587
AUTHPATH /etc/dma/auth.conf
SECURETRANSFER
STARTTLS
OPPORTUNISTIC_TLS
VERIFYCERT
CERTFILE /c
FINGERPRINT ${'AB'.repeat(32)}
INSECURE
MASQUERADE alerts@example.net
MAILNAME web1.example.net
NULLCLIENT
DEFER
FULLBOUNCE
SPOOLDIR /var/spool/dma
UNHEARD`,
      '/etc/dma/auth.conf': '# user|host:password\na|other.example:hunter1\nops|mx.example.net:hunter:2\nops|mx.example.net|hunter3\n',
    },
    'dma',
  );
  assert.deepEqual(hosts(config), ['submission://mx.example.net:587 required ops:hunter3'], 'the last line for the host');
  assert.deepEqual(config.smarthosts[0]?.tls.fingerprint, [`sha256:${'ab'.repeat(32)}`]);
  assert.equal(config.smarthosts[0]?.tls.certificateKey, '/c');
  assert.equal(config.smarthosts[0]?.auth?.allowPlaintext, false);
  assert.equal(config.from, 'alerts@example.net');
  assert.deepEqual([config.forceFrom, config.forceReversePath], [false, true]);
  assert.equal(config.hostname, 'web1.example.net');
  assert.deepEqual(config.aliases, []);
  assert.deepEqual(effect(`${conf}:11`), ['INSECURE dropped']);
  assert.deepEqual(effect(`${conf}:18`), ['UNHEARD dropped']);
  const { config: secure } = check(
    {
      [conf]: 'SMARTHOST mx.example.net\nPORT 465\nSECURETRANS\nALIASES /a\nMASQUERADE example.net\nFINGERPRINT 00\nMAILNAME /etc/mailname',
    },
    'dma',
  );
  assert.deepEqual(hosts(secure), ['submissions://mx.example.net:465 required']);
  assert.deepEqual(secure.aliases, ['/a']);
  assert.equal(secure.from, '{login}@example.net');
  const { config: user } = check({ [conf]: 'SMARTHOST mx.example.net\nMASQUERADE alerts@' }, 'dma');
  assert.equal(user.from, 'alerts');
  assert.deepEqual(hosts(user), ['smtp://mx.example.net:25 default']);
  const direct = check({ [conf]: 'ALIASES /etc/aliases' }, 'dma');
  assert.deepEqual(hosts(direct.config), []);
  assert.deepEqual(direct.effect(conf).slice(0, 1), ['SMARTHOST dropped']);
});

test('nullmailer', () => {
  const remotes = '/etc/nullmailer/remotes';
  const files = {
    [remotes]: `# in this order
mx1.example.net smtp port=587 starttls user=ops pass='hunter 2'   # the first
mx2.example.net smtp --port=465 --tls --x509cafile=/etc/ssl/own.pem insecure
mx3.example.net
mx4.example.net qmqp
mx5.example.net smtp user=x "pass=hunter 3" hunter4 auth-login ssl source=1.2.3.4
`,
    '/etc/nullmailer/me': 'web1.example.net\n',
    '/etc/nullmailer/defaulthost': 'example.net\n',
    '/etc/nullmailer/adminaddr': 'noc@example.net,ops@example.net\n',
    '/etc/nullmailer/allmailfrom': 'web1@example.net\n',
    '/etc/nullmailer/sendtimeout': '300\n',
    '/etc/nullmailer/pausetime': '60\n',
    '/etc/nullmailer/idhost': '\n',
  };
  const { config, effect } = check(files, 'nullmailer');
  assert.deepEqual(hosts(config), [
    'submission://mx1.example.net:587 required ops:hunter 2',
    'submissions://mx2.example.net:465 required',
    'smtp://mx3.example.net:25 default',
    'submissions://mx5.example.net:465 required x:hunter 3',
  ]);
  assert.equal(config.smarthosts[1]?.tls.caFile, '/etc/ssl/own.pem');
  assert.deepEqual(config.smarthosts[3]?.auth?.mechanisms, ['LOGIN']);
  assert.deepEqual(effect(`${remotes}:4`), ['mx3.example.net mapped', 'mx3.example.net approximated']);
  assert.deepEqual(effect(`${remotes}:5`), ['mx4.example.net dropped']);
  assert.equal(config.smarthosts[3]?.link?.sourceAddress, '1.2.3.4');
  assert.equal(config.hostname, 'web1.example.net');
  assert.equal(config.qualifyDomain, 'example.net');
  assert.equal(config.from, 'web1@example.net');
  assert.equal(config.timeouts.deadline, 300_000);
  assert.deepEqual(routes(config), ['adminaddr: {"*":"noc@example.net,ops@example.net"}']);
  assert.equal(imported(files, null, '/etc/nullmailer/').toml, imported(files).toml, 'the folder stands for remotes');
});

test('esmtp', () => {
  const rc = '/home/ops/.esmtprc';
  const { config, effect } = check(
    {
      [rc]: `hostname = mx.example.net:submission
username = "ops"
password = 'hunter2'
starttls = required
qualifydomain example.net
helo web1.example.net
force reverse_path "%u@example.net"
mda "/usr/bin/procmail"
identity alice@example.org
  hostname=smtp.example.org:465
  username=alice
  preconnect="ssh -f hunter"
identity bob@example.org
  hostname=smtp.example.org:25
  starttls=enabled`,
    },
    'esmtp',
  );
  assert.deepEqual(hosts(config), ['submission://mx.example.net:587 required ops:hunter2']);
  assert.deepEqual(routes(config), [
    'alice-example.org: alice@example.org -> submissions://smtp.example.org:465 required alice:/home/ops/.config/nospool/password',
    'bob-example.org: bob@example.org -> smtp://smtp.example.org:25 required',
  ]);
  assert.equal(config.from, '', 'the sender chooses the identity');
  assert.deepEqual(effect(`${rc}:7`), ['force reverse_path dropped']);
  assert.equal(config.qualifyRecipient, 'example.net');
  assert.equal(config.hostname, 'web1.example.net');
  assert.deepEqual(effect(`${rc}:8`), ['mda dropped']);
  assert.deepEqual(effect(`${rc}:12`), ['preconnect dropped']);
  const { config: named } = check(
    { [rc]: 'identity a@b.example\nhostname a.example\nstarttls disabled\nidentity c@d.example default\nhostname c.example' },
    'esmtp',
  );
  assert.deepEqual(hosts(named), ['submission://c.example:587 default']);
  assert.equal(named.from, 'c@d.example');
});

test('the name or the content of a file tells its program; an unknown file is an error', () => {
  for (const [path, text, program] of [
    ['/tmp/x', 'account default\nhost a\nfrom a@b', 'msmtp'],
    ['/tmp/x', 'mailhub=a', 'ssmtp'],
    ['/tmp/x', 'SMARTHOST a', 'dma'],
    ['/tmp/x', 'hostname = a', 'esmtp'],
    ['/tmp/remotes', 'a smtp', 'nullmailer'],
  ] as const)
    assert.equal(imported({ [path]: text }).program, program);
  assert.equal(imported({ '/tmp/x': 'a smtp' }, 'nullmailer').program, 'nullmailer');
  const unknown = importFrom('/tmp/x', readerOf({ '/tmp/x': 'hello' }), null);
  assert.match(unknown.ok ? '' : unknown.detail, /^\/tmp\/x is not known: name its program .*; those of others are not read$/);
  for (const [path, program, detail] of [
    ['/etc/msmtprc', null, '/etc/msmtprc cannot be read: there is no such file or directory'],
    ['/old', null, '/old/remotes cannot be read: there is no such file or directory'],
    ['/old', 'msmtp', '/old is a folder: name the file of msmtp in it'],
  ] as const) {
    const missing = importFrom(path, readerOf({ '/old/me': 'a' }), program);
    assert.equal(missing.ok ? '' : missing.detail, detail);
  }
});

test('settings of a default account of msmtp that has no host are told as dropped, and so is their account', () => {
  const { notes } = imported({
    '/etc/msmtprc':
      'account default\nauth on\ntls on\ntls_certcheck off\naccount a\nhost a.example\nfrom a@a.example\ntls on\ntls_trust_file system\n',
  });
  const effects = new Map(notes.map(({ place, effect }) => [place.replace(/^.*:/, ''), effect]));
  assert.deepEqual(
    [1, 2, 3, 4, 6, 8, 9].map((line) => effects.get(String(line))),
    [...Array<string>(4).fill('dropped'), ...Array<string>(3).fill('mapped')],
  );
});

test('a folder of nullmailer may have any name', () => {
  const files = { '/root/old-nm/remotes': 'a.example smtp', '/root/old-nm/defaulthost': 'b.example' };
  for (const program of [null, 'nullmailer'] as const) {
    const { toml } = imported(files, program, '/root/old-nm');
    assert.deepEqual(hosts(config(toml)), ['smtp://a.example:25 default']);
    assert.equal(config(toml).qualifyDomain, 'b.example');
  }
});

const notesOf = (files: Files): string[] =>
  imported(files).notes.map(({ place, key, effect, text }) => `${place}: ${key}: ${effect}: ${text}`);

test('what cannot be understood is said, and never shown where it may be a part of a password', () => {
  for (const files of [
    { '/home/me/.esmtprc': 'hostname = a.example username = me password = hunter2\n' },
    { '/home/me/.esmtprc': 'hostname = a.example:25\nusername\nme\npassword\nhunter2\n' },
    { '/home/me/.esmtprc': 'hostname = a.example:25\nusername me\npassword hunter hunter2\nhunter3\n' },
    { '/home/me/.esmtprc': 'hostname = a.example:25\nusername me\npassword "hunt\nhunter3"\n' },
    { '/etc/nullmailer/remotes': 'a.example pass=hunter2 user=me\nb.example smtp\n' },
  ] as readonly Files[]) {
    assert.doesNotMatch(notesOf(files).join('\n'), /hunt/);
    assert.ok(imported(files).hasSmarthost);
  }
  for (const [files, note] of [
    [{ '/home/me/.esmtprc': 'hostname = a.example:x25\n' }, '/home/me/.esmtprc:1: hostname: approximated: it is no port: 587 is taken'],
    [{ '/home/me/.esmtprc': 'hostname a hunter hostname b\n' }, '/home/me/.esmtprc:1: line: dropped: a word on it is not known'],
    [{ '/home/me/.esmtprc': 'hostname a mda "x"\n' }, '/home/me/.esmtprc:1: mda: dropped: there is no local delivery'],
    [{ '/etc/dma/dma.conf': 'SMARTHOST a.example\nPORT 587x\n' }, '/etc/dma/dma.conf:2: PORT: approximated: it is no port: 25 is taken'],
    [
      { '/etc/dma/dma.conf': 'SMARTHOST a.example\nport 587\n' },
      '/etc/dma/dma.conf:2: line: dropped: dma would refuse it: keys are in capital letters',
    ],
    [{ '/etc/ssmtp/ssmtp.conf': 'mailhub=a:587x\n' }, '/etc/ssmtp/ssmtp.conf:1: mailhub: approximated: it is no port: 25 is taken'],
    [{ '/etc/msmtprc': 'host a\nport 587x\n' }, '/etc/msmtprc:2: port: approximated: it is no port: 25 is taken'],
    [{ '/etc/msmtprc': 'host a\nproxy_host b\nproxy_port x\n' }, '/etc/msmtprc:3: proxy_port: approximated: it is no port: 1080 is taken'],
    [{ '/etc/nullmailer/remotes': 'a.example smtp port=x\n' }, '/etc/nullmailer/remotes:1: port: approximated: it is no port: 25 is taken'],
    [
      { '/etc/ssmtp/ssmtp.conf': 'mailhub=a\n root=b@c\n' },
      '/etc/ssmtp/ssmtp.conf:2: root: approximated: ssmtp does not see it, because of the blank; now it counts',
    ],
    [
      { '/etc/ssmtp/ssmtp.conf': 'mailhub=a\n', '/etc/ssmtp/revaliases': 'me :a@b.example:c:x\n' },
      '/etc/ssmtp/revaliases:1: me: approximated: ssmtp does not see it, because of the blank; now it counts',
    ],
    [
      { '/etc/ssmtp/ssmtp.conf': 'mailhub=a\n', '/etc/ssmtp/revaliases': 'me:a@b.example:c:x\n' },
      '/etc/ssmtp/revaliases:1: me: approximated: it is no port: 25 is taken',
    ],
    [
      { '/etc/ssmtp/ssmtp.conf': 'mailhub=a:587\n', '/etc/ssmtp/revaliases': 'me:a@b.example\nann:a@b.example:c\n' },
      '/etc/ssmtp/revaliases:2: ann: dropped: an earlier login has this address, and its smart host, submission://a',
    ],
    [
      { '/etc/dma/dma.conf': 'SMARTHOST a.example\n', '/etc/aliases': '# ours\nroot: ops@b.example # me\n' },
      '/etc/dma/dma.conf: ALIASES: approximated: in /etc/aliases a comment stands behind an entry, which fails here: give it a line of its own',
    ],
    [
      { '/etc/msmtprc': 'host a\nremove_bcc_headers off\n' },
      '/etc/msmtprc:2: remove_bcc_headers: approximated: keep_bcc; with -t no Bcc field stays',
    ],
  ] as readonly (readonly [Files, string])[])
    assert.ok(notesOf(files).includes(note), `${note}\n${notesOf(files).join('\n')}`);
});

test('the smart host of the first login with an address counts, and a comment on a line of its own is no alias', () => {
  const two = {
    '/etc/ssmtp/ssmtp.conf': 'mailhub=a\n',
    '/etc/ssmtp/revaliases': 'me:a@b.example:c\nann:a@b.example:d\nbob:a@b.example:c\n',
  };
  assert.deepEqual(imported(two).toml.match(/smtp:\/\/\w+/g), ['smtp://a', 'smtp://c']);
  const told = notesOf(two).filter((note) => note.includes('an earlier login'));
  assert.deepEqual(told, ['/etc/ssmtp/revaliases:2: ann: dropped: an earlier login has this address, and its smart host, smtp://c']);
  const apart = notesOf({ '/etc/dma/dma.conf': 'SMARTHOST a.example\n', '/etc/aliases': ' # ours # too\nroot: ops@b.example\n# end\n' });
  assert.ok(!apart.some((note) => note.includes('a comment stands')), apart.join('\n'));
});

test('a value that is not UTF-8 is an error, because a password would be another one; a comment is none', () => {
  const errorsOf = (text: string): readonly string[] => imported({ '/etc/msmtprc': text }).errors;
  assert.deepEqual(errorsOf('# \ufffd\nhost a.example\nauth on\nuser me\npassword p\n'), []);
  assert.match(
    errorsOf('host a.example\nauth on\nuser me\npassword p\ufffdss\n').join(),
    /^\/etc\/msmtprc, or a file beside it, is not UTF-8/,
  );
});

test('a file that belongs to another and cannot be read is told as dropped, a file that is not there is not', () => {
  const files = { '/etc/ssmtp/ssmtp.conf': 'mailhub=a\n' };
  const read: ReadText = (path) =>
    path === '/etc/ssmtp/revaliases' ? { kind: 'unread', detail: 'permission denied', isThere: true } : readerOf(files)(path);
  const got = importFrom('/etc/ssmtp/ssmtp.conf', read);
  assert.ok(got.ok);
  assert.deepEqual(
    got.value.notes.filter(({ key }) => key === 'all of it'),
    [{ place: '/etc/ssmtp/revaliases', key: 'all of it', effect: 'dropped', text: 'it cannot be read: permission denied' }],
  );
});

test('files without a smart host are told from those with one', () => {
  assert.equal(imported({ '/tmp/x': '' }, 'msmtp').hasSmarthost, false);
  assert.equal(imported({ '/tmp/x': 'mailhub=a' }, 'ssmtp').hasSmarthost, true);
});

// files, their configuration, why; test/interop/importers.test.ts asks the programs themselves
const FOUND: readonly (readonly [string, Files, (config: Config) => unknown, unknown])[] = [
  [
    'ssmtp keeps the From field and forces the envelope',
    { '/etc/ssmtp/ssmtp.conf': 'root=postmaster\nmailhub=127.0.0.1:2525\nhostname=host.example.org\n' },
    ({ from, forceFrom, forceReversePath }) => [from, forceFrom, forceReversePath],
    ['{login}@host.example.org', false, true],
  ],
  [
    'auto_from of msmtp needs no maildomain, and wins over from and -f',
    { '/etc/msmtprc': 'host 127.0.0.1\nfrom web1@example.net\nauto_from on\n' },
    ({ from, forceFrom, forceReversePath }) => [from, forceFrom, forceReversePath],
    ['{login}', false, true],
  ],
  [
    'a host may be an address of a link, and a proxy, too',
    { '/etc/msmtprc': 'host fe80::1%eth0\nproxy_host fe80::2%eth0\n' },
    ({ smarthosts }) => smarthosts.map(({ host, link }) => [host, link?.proxy?.host]),
    [['fe80::1%eth0', 'fe80::2%eth0']],
  ],
  [
    'the first AuthUser of ssmtp counts',
    { '/etc/ssmtp/ssmtp.conf': 'mailhub=127.0.0.1:2525\nAuthUser=first\nAuthUser=second\nAuthPass=p1\nAuthPass=p2\n' },
    hosts,
    ['submission://127.0.0.1:2525 default first:p1'],
  ],
  [
    'an empty name of a file is none, as if the line were not there',
    { '/etc/ssmtp/ssmtp.conf': 'mailhub=a.example\nUseTLSCert=YES\nTLSCert=\nTLSKey=\nTLS_CA_File=\n' },
    ({ smarthosts }) => smarthosts.map(({ tls }) => [tls.certificate, tls.certificateKey, tls.caFile]),
    [['/etc/ssl/certs/ssmtp.pem', '/etc/ssl/certs/ssmtp.pem', '']],
  ],
  [
    'every login of the system goes where ssmtp’s root does',
    { '/etc/ssmtp/ssmtp.conf': 'root=noc\nmailhub=a.example\n', '/etc/passwd': 'root:x:0\ndaemon:x:1\nann:x:1000\nlast:x:999\n' },
    routes,
    ['root: {"root":"noc","daemon":"noc","last":"noc"}'],
  ],
  [
    'the last line of dma’s auth.conf counts',
    {
      '/etc/dma/dma.conf': 'SMARTHOST smtp.example.org\nAUTHPATH auth.conf\n',
      '/etc/dma/auth.conf': 'old@example.org|smtp.example.org:oldpw\nnew@example.org|smtp.example.org:newpw\n',
    },
    hosts,
    ['smtp://smtp.example.org:25 default new@example.org:newpw'],
  ],
  [
    'an empty password of dma is one that is still to be written',
    { '/etc/dma/dma.conf': 'SMARTHOST smtp.example.org\nAUTHPATH auth.conf\n', '/etc/dma/auth.conf': 'me|smtp.example.org:\n' },
    hosts,
    ['smtp://smtp.example.org:25 default me:/etc/nospool/password'],
  ],
  [
    'an empty password of msmtp is one that is still to be written',
    { '/etc/msmtprc': 'account default\nhost a.example\nauth on\nuser me\npassword ""\n' },
    hosts,
    ['smtp://a.example:25 default me:/home/ops/.config/nospool/password'],
  ],
  [
    'an identity of esmtp may be called as the router of the default one',
    { '/home/me/.esmtprc': 'force reverse_path = a@b.example\nhostname = x.example:25\nidentity default@ü\nhostname = y.example:25\n' },
    ({ routers }) => routers.map(({ name }) => name),
    ['default', 'default-2'],
  ],
  [
    'an empty password of esmtp is one that is still to be written',
    { '/home/me/.esmtprc': 'hostname = a.example:25\nusername = me\npassword = ""\n' },
    hosts,
    ['smtp://a.example:25 default me:/home/ops/.config/nospool/password'],
  ],
  [
    'a password of msmtp counts before the command',
    { '/etc/msmtprc': 'account default\nhost a.example\nauth on\nuser me\npasswordeval echo y\npassword x\n' },
    hosts,
    ['smtp://a.example:25 default me:x'],
  ],
  [
    'settings of esmtp may share a line, and a value stand on the next',
    { '/home/me/.esmtprc': 'hostname = a.example:25 username=me pass\n  pw force  reverse_path a@b.example mda "x"\n' },
    (config) => [...hosts(config), config.from],
    ['smtp://a.example:25 default me:pw', 'a@b.example'],
  ],
  [
    'digits escape a character of esmtp, by sixteen, eight or ten',
    { '/home/me/.esmtprc': 'hostname a.example:25\nusername me\npassword p\\x41\\102\\060d\\q"\n' },
    hosts,
    ['smtp://a.example:25 default me:pAf0dq"'],
  ],
  [
    'a blank may stand before dma’s password',
    {
      '/etc/dma/dma.conf': 'SMARTHOST smtp.example.org\nAUTHPATH /etc/dma/auth.conf\n',
      '/etc/dma/auth.conf': 'new@example.org|smtp.example.org newpw\n',
    },
    hosts,
    ['smtp://smtp.example.org:25 default new@example.org:newpw'],
  ],
  [
    'tls_nostarttls is TLS at once',
    { '/etc/msmtprc': 'account default\nhost smtp.x.example\ntls on\ntls_nostarttls\nport 465\n' },
    hosts,
    ['submissions://smtp.x.example:465 required'],
  ],
  [
    'an account that inherits from is chosen by nobody',
    { '/etc/msmtprc': 'defaults\nfrom me@example.org\naccount a\nhost a.example\naccount b\nhost b.example\naccount default : a\n' },
    routes,
    [],
  ],
  [
    'an account that copies another has its from only where it was written there',
    {
      '/etc/msmtprc':
        'defaults\nfrom me@example.org\naccount a\nhost a.example\ndefaults\nfrom you@example.org\naccount b : a\nhost b.example\naccount default\nhost c.example\nfrom d@example.org\n',
    },
    routes,
    ['a: me@example.org -> smtp://a.example:25 default', 'b: you@example.org -> smtp://b.example:25 default'],
  ],
  [
    'comments behind an alias of msmtp’s are none of it',
    {
      '/etc/msmtprc': 'host a.example\naliases /etc/aliases\n',
      '/etc/aliases': 'root: admin@example.org # me\ndefault: all@example.org\n',
    },
    routes,
    ['aliases: {"root":"admin@example.org","*":"all@example.org"}'],
  ],
  [
    'an indented alias of msmtp’s is one of its own',
    { '/etc/msmtprc': 'host a.example\naliases /etc/aliases\n', '/etc/aliases': 'root: admin@example.org\n  daemon: ops@example.org\n' },
    routes,
    ['aliases: {"root":"admin@example.org","daemon":"ops@example.org"}'],
  ],
  [
    'msmtp’s alias for all others takes no mail of other people',
    { '/etc/msmtprc': 'host a.example\ndomain example.org\naliases /etc/aliases\n', '/etc/aliases': 'default: all@example.net\n' },
    ({ hostname, qualifyRecipient, routers }) => [hostname, qualifyRecipient, ...routers.map(({ domains }) => domains)],
    ['example.org', 'localhost', ['localhost']],
  ],
  [
    'an alias file that reads alike stays one',
    { '/etc/msmtprc': 'host a.example\naliases /etc/aliases\n', '/etc/aliases': '# ours\nroot: admin@example.org\n' },
    ({ aliases }) => aliases,
    ['/etc/aliases'],
  ],
  [
    'nullmailer’s administrator gets no mail of other people',
    { '/etc/nullmailer/remotes': 'a.example\n', '/etc/nullmailer/adminaddr': 'noc@x.example', '/etc/mailname': 'web1.example.net\n' },
    ({ routers }) => routers.map(({ domains }) => domains),
    [['web1.example.net', 'localhost']],
  ],
];
for (const [title, files, facts, expected] of FOUND)
  test(`O7: ${title}`, () => {
    const all = imported(files);
    assert.deepEqual(all.errors, [], all.toml);
    assert.deepEqual(facts(config(all.toml)), expected, all.toml);
  });

test('msmtp: what aliases hold for, and the From field that is added, is told where it differs', () => {
  const { notes } = imported({
    '/etc/msmtprc': 'host a.example\nset_from_header off\naliases /etc/al\n',
    '/etc/al': 'root: b@c.example\n',
  });
  assert.deepEqual(
    notes.filter(({ key, effect }) => ['aliases', 'set_from_header'].includes(key) && effect === 'approximated').map(({ text }) => text),
    [
      'they hold for recipients at the name of this host, or at localhost; msmtp has them for bare ones alone',
      'From is added where it is missing',
    ],
  );
});

test('msmtp: beside auto_from, from is told to be without effect', () =>
  assert.deepEqual(
    imported({ '/etc/msmtprc': 'host a.example\nfrom web1@example.net\nauto_from on\n' })
      .notes.filter(({ key }) => key === 'from' || key === 'auto_from')
      .map(({ key, effect, text }) => `${key} ${effect}: ${text}`),
    [
      'from dropped: auto_from counts',
      'auto_from approximated: from = "{login}"; msmtp sends the bare login',
      "auto_from approximated: force_reverse_path; -f '<>' stays as it is",
    ],
  ));

test('dma and ssmtp: at which domain aliases take the mail of other people is told', () => {
  const told = (files: Files): readonly string[] =>
    imported(files).notes.flatMap(({ text }) => (/ hold for recipients | behind such a login/.test(text) ? [text] : []));
  const dma = (text: string) => told({ '/etc/dma/dma.conf': `SMARTHOST a.example\n${text}` });
  const hold = (domain: string) => [`they also hold for recipients at ${domain}; dma has them for those of this host alone`];
  assert.deepEqual(dma('MASQUERADE example.org\nMAILNAME web1.example.net\n'), hold('example.org'));
  assert.deepEqual(dma('MASQUERADE example.org\n'), hold('example.org'));
  for (const none of [
    'MAILNAME web1.example.net\n',
    'MASQUERADE me@example.org\nMAILNAME web1.example.net\n',
    'NULLCLIENT\nMASQUERADE example.org\n',
    '',
  ])
    assert.deepEqual(dma(none), [], none);
  assert.deepEqual(told({ '/etc/ssmtp/ssmtp.conf': 'mailhub=a\nroot=ops@example.net\nrewriteDomain=example.org\n' }), [
    'the router also takes mail in which example.org or the name of this host or localhost is written behind such a login; ssmtp does not',
  ]);
});

test('O7: a setting without effect gets no note that it is mapped', () => {
  const all = imported({ '/etc/msmtprc': 'account default\nhost a.example\nallow_from_override off\n' });
  const [note] = all.notes.filter(({ key }) => key === 'allow_from_override');
  assert.deepEqual([note?.effect, note?.text], ['dropped', 'there is no from that could win over -f']);
});

test('a table of many aliases has a line for each', () => {
  const data = Object.fromEntries(['a', 'b', 'c', 'd.e'].map((name) => [name, 'x@y.example']));
  const plan = { remarks: [], top: {}, timeouts: {}, rewrite: {}, hosts: [{ url: 'a', tls: {}, auth: null }] };
  const text = printConfig({ ...plan, routers: [{ settings: { name: 'r', driver: 'redirect' }, data }] });
  assert.ok(text.includes('\n[router.data]\na = "x@y.example"\n'), text);
  assert.deepEqual(routes(config(text)), [`r: ${JSON.stringify(data)}`]);
});

test('msmtp: proxy and source address go with their account', () => {
  const { config: got, effect } = check(
    {
      '/etc/msmtprc':
        'account a\nhost a.example\nfrom x@a.example\ntls on\nproxy_host 2001:db8::1\nproxy_port 9050\nsource_ip 192.0.2.1\n' +
        'account b\nhost b.example\ntls on\nproxy_host proxy.example\nsource_ip web1\naccount default : b\n',
    },
    'msmtp',
  );
  const proxy = { scheme: 'socks5', host: 'proxy.example', port: 1080, user: '', secret: { from: 'none' } };
  assert.deepEqual(got.smarthosts[0]?.link, { proxy, sourceAddress: '', family: 'any' });
  const route = got.routers.find(({ driver }) => driver === 'manualroute');
  assert.ok(route?.driver === 'manualroute');
  assert.deepEqual(route.hosts[0]?.link, {
    proxy: { ...proxy, host: '2001:db8::1', port: 9050 },
    sourceAddress: '192.0.2.1',
    family: 4,
  });
  assert.deepEqual(effect('/etc/msmtprc:12'), ['source_ip dropped']);
});

test('an error that nospool would report is reported at once', () => {
  const { errors } = imported({ '/etc/msmtprc': 'host a b\ntls on' });
  assert.equal(errors.length, 1);
  assert.match(errors[0] as string, /^nospool\.toml:\d+: key "smarthosts": "a b" is not a host name$/);
});

test('blanks within the lines of ssmtp are linear work', () => {
  const blanks = ' '.repeat(100_000);
  const { notes } = imported({ '/etc/ssmtp/ssmtp.conf': `mailhub=a${blanks}x`, '/etc/ssmtp/revaliases': `root${blanks}x:a@b` });
  assert.ok(notes.length > 0);
});

test('a printed text is read back unchanged', () => {
  for (const text of ['', 'a"b\\c', "it's", 'é – 漢', 'a\tb\nc\u0000\u007f', '{y}']) {
    const toml = parseToml(`k = ${printText(text)}`);
    assert.ok(toml.ok);
    assert.equal(toml.value.table.k, text);
  }
});

test('routes beside [auth] get its password only if the plan says so', () => {
  const host = { url: 'b', tls: {}, auth: null };
  const settings = { name: 'r', driver: 'manualroute' };
  const plan = {
    remarks: [],
    top: {},
    timeouts: {},
    rewrite: {},
    hosts: [{ url: 'a', tls: {}, auth: { user: 'u', password_file: '/p' } }],
  };
  const got = config(printConfig({ ...plan, routers: [{ settings, hosts: [host] }] }));
  assert.deepEqual(routes(got), ['r:  -> submission://b:587 default']);
  const shared = config(printConfig({ ...plan, routers: [{ settings, hosts: [{ ...host, auth: 'default' }] }] }));
  assert.deepEqual(routes(shared), ['r:  -> submission://b:587 default u:/p']);
});

test('the first configuration is short, is accepted and holds no secret', () => {
  const empty: FirstAnswers = {
    smarthost: 'submission://mail.example.org',
    user: '',
    passwordFile: '',
    qualifyDomain: '',
    from: '',
    root: '',
    aliasFile: '',
    lock: false,
  };
  const least = printFirstConfig(empty);
  assert.equal(least.trimEnd().split('\n').length, 2);
  assert.deepEqual(hosts(config(least)), ['submission://mail.example.org:587 default']);
  const usual = printFirstConfig({
    ...empty,
    user: 'web1',
    passwordFile: '/etc/nospool/password',
    qualifyDomain: 'example.org',
    aliasFile: '/etc/aliases',
  });
  assert.ok(usual.trimEnd().split('\n').length <= 10, usual);
  assert.match(printFirstConfig({ ...empty, lock: true }), /^lock = true$/m);
  assert.deepEqual(hosts(config(usual)), ['submission://mail.example.org:587 default web1:/etc/nospool/password']);
  assert.equal(config(usual).qualifyDomain, 'example.org');
  assert.deepEqual(config(usual).aliases, ['/etc/aliases'], 'the default');
  const whole = config(printFirstConfig({ ...empty, from: 'a@b.example', root: 'ops@example.org', aliasFile: '/etc/aliases' }));
  assert.equal(whole.from, 'a@b.example');
  assert.deepEqual(routes(whole), ['root: {"root":"ops@example.org"}', 'aliases: /etc/aliases']);
});

test.run();
