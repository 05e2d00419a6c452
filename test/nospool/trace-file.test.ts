/** What `nospool send --trace` writes, and to which files. Loopback: the sink is there, and the configuration writes the mode of TLS. */
import assert from 'node:assert/strict';
import { chownSync, existsSync, linkSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { openTraceFile } from '../../src/nospool/trace-file.ts';
import { configured, deadPort, nospool, sinkWith } from '../support/admin.ts';
import { scratch } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('trace file');

const MESSAGE = 'From: a@example.org\nTo: bob@example.org\nSubject: x\n\nhello\n';

/** A folder with a message in it. */
function messageIn(folder: string, name = 'message.eml'): string {
  const file = path.join(folder, name);
  writeFileSync(file, MESSAGE);
  return file;
}

test('has a head, the conversation as -v shows it, how it ended and where the time went, and no secret', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ starttls: true, auth: 'me:secret-of-the-sink' });
    const folder = scratch();
    const key = path.join(folder, 'password');
    writeFileSync(key, 'secret-of-the-sink\n', { mode: 0o600 });
    const { config } = configured(
      `smarthosts = ["submission://127.0.0.1:${await deadPort()}", { url = "submission://127.0.0.1:${sink.port}", auth = { user = "me", password_file = "${key}", mechanisms = ["PLAIN"], allow_plaintext = true } }]\nignore_extensions = ["CHUNKING"]\nfamily = "4"\nfrom = "{login}@example.org"`,
      `[tls]\nmode = "required"\nca_file = "${sink.certificate}"\n[auth]\nuser = "you"\npassword = "another-secret"\n[timeouts]\ncommand = "1m30s"\ndeadline = "none"\n[rewrite]\n"*@a.example" = "*@b.example"`,
    );
    const file = path.join(folder, 'trace');
    // Whoever types a password where none belongs has it in the command line.
    const run = await nospool(
      'send',
      '-C',
      config,
      '--from',
      'a@example.org',
      '--to',
      'bob@example.org',
      '--json',
      '--trace',
      file,
      messageIn(folder, 'another-secret.eml'),
    );
    const verbose = await nospool('send', '-C', config, '-v', '--to', 'bob@example.org', '--trace', file, messageIn(folder));
    await sink.close();
    assert.deepEqual([run.status, run.stderr, verbose.status], [0, '', 0]);
    assert.equal(statSync(file).mode & 0o7777, 0o600);
    const text = readFileSync(file, 'utf8');
    for (const secret of ['secret-of-the-sink', 'another-secret', Buffer.from('\0me\0secret-of-the-sink').toString('base64')])
      assert.ok(!text.includes(secret), secret);
    const [first = '', second = ''] = text.split(/(?<=\n)(?=# nospool )/);
    const lines = first.trimEnd().split('\n');
    const heads = [
      /^# nospool \S+, (Node v[\d.]+, OpenSSL \S+|Bun \S+)$/,
      /^# system: \w+ \S+ \w+(, .+)?$/,
      /^# time: \d{4}-\S+Z; user: \S+, uid \d+; charset: \S+$/,
      /^# command: nospool send --config \S+ --from a@example\.org --to bob@example\.org --json --trace \S+ "?\S+\/\*{4}\.eml"?$/,
      /^# configuration: \/\S+$/,
      /^# smarthost: submission:\/\/127\.0\.0\.1:\d+; tls\.mode = "required"; tls\.ca_file = "\S+"; user = "you"; password from the configuration itself; family = 4; ignore_extensions = CHUNKING$/,
      /^# smarthost: submission:\/\/127\.0\.0\.1:\d+; tls\.mode = .*; user = "me"; password from \/\S+; mechanisms = PLAIN; allow_plaintext; family = 4; ignore_extensions = CHUNKING$/,
      /^# aliases = \[\]$/,
      /^# hostname = "client\.example\.org"$/,
      /^# qualify_domain = "example\.org"$/,
      /^# from = "\{login\}@example\.org"$/,
      /^# log = "\S+"$/,
      /^# timeouts\.command = 1m30s$/,
      /^# timeouts\.deadline = none$/,
      /^# rewrite: \*@a\.example to \*@b\.example$/,
      /^! connecting to 127\.0\.0\.1 port \d+ {2}\(\d+ ms\)$/,
      /^! 127\.0\.0\.1: connection refused {2}\(\d+ ms\)$/,
    ];
    for (const [i, head] of heads.entries()) assert.match(lines[i] as string, head);
    assert.match(first, /^C: AUTH PLAIN \*{4} {2}\(\d+ ms\)$/m);
    assert.match(first, /^S: 250 2\.0\.0 message accepted {2}\(\d+ ms\)$/m);
    assert.match(
      first,
      /\n# accepted by \[127\.0\.0\.1\]:\d+\n# exit status 0\n# time at .*\n(# [a-zA-Z]+ +[\d.]+ ms.*\n)+# total +[\d.]+ ms\n$/,
    );
    assert.match(second, /^# command: nospool send --config \S+ --to bob@example\.org --verbose --trace/m);
  }));

test('tells of routers, proxies and places of secrets, and what they hold besides is left out', () =>
  within(20_000, async () => {
    const { config, folder } = configured(
      `smarthosts = [{ url = "smtp://127.0.0.1:${await deadPort()}", proxy = "socks5://me@127.0.0.1:1", proxy_password_file = "/nowhere/proxy", source_address = "127.0.0.9", auth = { user = "b", token_env = "NOSPOOL_TRACED" } }]`,
      '[[router]]\nname = "keys"\ndriver = "manualroute"\nhosts = [{ url = "submission://192.0.2.1", auth = { user = "a", password_command = ["/bin/echo", "word-of-the-command"] } }]\nheaders_add = ["X-Key: word-of-the-field"]\ndomains = ["nowhere.example"]\n[[router]]\nname = "data"\ndriver = "redirect"\ndata = { x = "y@example.org" }',
    );
    const file = path.join(folder, 'trace');
    process.env.NOSPOOL_TRACED = 'word-of-the-environment';
    const run = await nospool('send', '-C', config, '--trace', file, messageIn(folder));
    process.env.NOSPOOL_TRACED = undefined;
    delete process.env.NOSPOOL_TRACED;
    assert.equal(run.status, 1);
    const text = readFileSync(file, 'utf8');
    assert.ok(!text.includes('word-of'), text);
    assert.match(
      text,
      /; user = "b"; token from the variable NOSPOOL_TRACED; proxy = socks5:\/\/127\.0\.0\.1:1, its password from \/nowhere\/proxy; source_address = 127\.0\.0\.9/,
    );
    assert.match(
      text,
      /^# router "keys": manualroute\n# {3}host: submission:\/\/192\.0\.2\.1:587; user = "a"; password from the command \/bin\/echo\n# router "data": redirect$/m,
    );
    assert.match(text, /^# exit status 1$/m);
  }));

test('a file that cannot be written is told, and the message is sent', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const { config, folder } = configured(`smarthosts = ["smtp://127.0.0.1:${sink.port}"]`);
    const missing = path.join(folder, 'none/trace');
    const run = await nospool('send', '-C', config, '--trace', missing, messageIn(folder));
    assert.deepEqual(
      [run.status, run.stderr],
      [0, `nospool: the conversation is not kept in ${missing}: there is no such file or directory\n`],
    );
    // As of a full disk, which shows itself when something is written.
    const file = openTraceFile(path.join(folder, 'new'), []);
    assert.ok(file.ok);
    assert.equal(file.value.close(), null);
    file.value.write(['late']);
    file.value.write(['later']);
    assert.match(String(file.value.close()), /^the conversation is not kept in \S+: EBADF/);
    await sink.close();
  }));

const isRoot = process.geteuid?.() === 0;
/** Makes something at a path, and what is said of it; null: it is written. */
const FILES: readonly (readonly [string, (file: string, folder: string) => void, RegExp | null])[] = [
  ['a new file', () => {}, null],
  ['an existing file of the same user', (file) => writeFileSync(file, 'before\n', { mode: 0o640 }), null],
  ['a symbolic link', (file, folder) => symlinkSync(path.join(folder, 'elsewhere'), file), /: it is a symbolic link$/],
  ['a link to a device', (file) => symlinkSync('/dev/null', file), /: it is a symbolic link$/],
  ['a folder', (file) => mkdirSync(file), /: it is a directory$/],
  [
    'a file with a second name',
    (file, folder) => {
      writeFileSync(path.join(folder, 'first'), '');
      linkSync(path.join(folder, 'first'), file);
    },
    /: it has a second name$/,
  ],
];
for (const [what, make, expected] of FILES)
  test(`${what} is ${expected === null ? 'written' : 'refused'}`, () => {
    const folder = scratch();
    const file = path.join(folder, 'trace');
    make(file, folder);
    const mode = existsSync(file) ? lstatSync(file).mode : 0o100600;
    const opened = openTraceFile(file, ['# head']);
    if (expected !== null) assert.match(opened.ok ? '' : opened.detail, expected);
    else {
      assert.ok(opened.ok);
      opened.value.write(['C: EHLO \u001b[31m']);
      assert.equal(opened.value.close(), null);
      assert.match(readFileSync(file, 'utf8'), /^(before\n)?# head\nC: EHLO \\x1b\[31m\n$/);
      assert.equal(statSync(file).mode, mode);
    }
    assert.ok(!existsSync(path.join(folder, 'elsewhere')));
  });

test("a device, a named pipe, another user's file and a folder behind another user's link are refused", async () => {
  const { spawnSync } = await import('node:child_process');
  const folder = scratch();
  const refusal = (file: string): string => {
    const opened = openTraceFile(file, ['# head']);
    return opened.ok ? 'opened' : opened.detail.replace(/^.*?: /, '');
  };
  assert.equal(refusal('/dev/null'), 'it is no regular file');
  const pipe = path.join(folder, 'pipe');
  spawnSync('mkfifo', [pipe]);
  assert.equal(refusal(pipe), 'it is no regular file');
  if (!isRoot) return;
  const own = path.join(folder, 'own');
  writeFileSync(own, '');
  chownSync(own, 65_534, 65_534);
  assert.equal(refusal(own), 'it belongs to uid 65534, not to uid 0');
  mkdirSync(path.join(folder, 'goal'));
  const link = path.join(folder, 'link');
  symlinkSync('goal', link);
  const within = path.join(link, 'trace');
  assert.equal(refusal(within), 'opened', 'root has made it');
  spawnSync('chown', ['-h', '65534', link]);
  assert.equal(refusal(`${link}/other`), `${link} is a symbolic link of uid 65534`);
  symlinkSync('link', path.join(folder, 'to-link'));
  assert.equal(refusal(`${folder}/to-link/other`), `${link} is a symbolic link of uid 65534`, 'also behind a link of root');
  assert.ok(!existsSync(path.join(folder, 'goal/other')));
});

test.run();
