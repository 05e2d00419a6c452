/**
 * Shows that foreign text does nothing to a terminal and to a log. Hostile words go in wherever one can, through the built
 * commands; the tests look at the octets that come out on both descriptors and in the log.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { missing } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, type Ended, killAll, RUNTIME, run, scratch, setUp, smartHost, toHosts } from '../support/command.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('door');
test.after(killAll);

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NOSPOOL = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));

/** A forged line of a log, the title of a window, CSI as one character, separators, text turned round, nothing to be seen. */
const FORGED = '2026-01-01 00:00:00 1ABCDE-1ABCDE-AB Completed';
const EVIL = `\n${FORGED}\r\x1b]0;x\x07\x9b2J\u2028\u2029\u202e\ufeff`;
/** The same without what ends an argument, a line of SMTP or a file's name too early. */
const LEGIBLE = 'müller 日本';
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

const LONGEST = 8000;

/** Asserts that a terminal obeys nothing in it, that foreign text made no line, and that neither line nor text (of JSON) nor their number is endless. */
function assertPlain(text: string, why: string): void {
  const lines = text.split('\n');
  for (const line of lines) {
    assert.ok(!OBEYED.test(line), `${why}: ${JSON.stringify(line)}`);
    if (line.startsWith('{')) JSON.parse(line, (_, each) => assert.ok(typeof each !== 'string' || each.length <= LONGEST, why));
    else assert.ok(line.length <= LONGEST, `${why}: a line of ${line.length} characters`);
    assert.ok(!line.startsWith(FORGED), `${why}: ${line}`);
  }
  assert.ok(lines.length <= 1002, `${why}: ${lines.length} lines`);
  assert.ok(!text.includes('\ufffd'), why);
}

const plain = ({ stdout, stderr }: Ended, why: string): void => {
  assertPlain(Buffer.from(stdout, 'latin1').toString('utf8'), `${why}: standard output`);
  assertPlain(stderr, `${why}: standard error`);
};

function nospool(args: readonly string[]): Promise<Ended> {
  const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), NOSPOOL, ...args], { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('latin1').on('data', (part: string) => {
    said.stdout += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said.stderr += part;
  });
  return new Promise((resolve) => child.on('close', (status, signal) => resolve({ status, signal, ...said })));
}

const LETTER = 'From: a@b.example\nSubject: x\n\nhello\n';

for (const args of [
  [`-Z${EVIL}`],
  [`--${EVIL}`],
  ['-N', EVIL],
  ['-R', EVIL],
  ['-R', EVIL.repeat(1000)],
  ['-f', EVIL, 'a@b.example'],
  ['-f', `${LEGIBLE}${EVIL}@b.example`, 'a@b.example'],
  ['-r', '\x9b2J@b.example', 'a@b.example'],
  [EVIL],
  [`"${EVIL}"@b.example`],
  ['-C', `/nonexistent/${EVIL}`, 'a@b.example'],
  ['-bt', EVIL],
  ['-bt', `"\ufeff\u202e"@b.example`],
  ['-bv', `"\ufeff\u202e"@b.example`],
  ['-bh', EVIL],
] as const)
  test(`S9: sendmail ${JSON.stringify(args.join(' ')).slice(0, 60)}`, () =>
    within(20_000, async () => {
      const { config, logged } = setUp(toHosts(9));
      const ended = await run(args[0] === '-C' ? null : config, args, LETTER);
      assert.equal(ended.status, args[1]?.startsWith('"\ufeff') ? 0 : 1);
      plain(ended, args.join(' '));
      assertPlain(logged(), 'the log');
    }));

test('S9: sendmail shows names and values of the environment as harmless text', () =>
  within(20_000, async () => {
    const { config } = setUp(toHosts(9));
    for (const env of [
      { [`NOSPOOL_${EVIL}`]: 'x' },
      { NOSPOOL_SMARTHOSTS: EVIL },
      { NOSPOOL_HOSTNAME: EVIL },
      { NOSPOOL_LOG: EVIL },
      { NOSPOOL_CONFIG: EVIL },
      { NOSPOOL_FROM: '\u202e@' },
      { NOSPOOL_AUTH_MECHANISMS: EVIL },
    ]) {
      const named = Object.hasOwn(env, 'NOSPOOL_CONFIG');
      const ended = await run(named ? null : config, ['-f', 'a@b.example', 'c@d.example'], LETTER, { env: { ...ENVIRONMENT, ...env } });
      assert.equal(ended.status, 1);
      plain(ended, JSON.stringify(env));
      assert.notEqual(ended.stderr, '');
    }
  }));

test('S9: sendmail shows keys, values and file names of a configuration as harmless text', () =>
  within(30_000, async () => {
    const quoted = JSON.stringify(EVIL).replaceAll('\x9b', '\\u009b');
    for (const toml of [
      `${quoted} = 1`,
      `smarthosts = [${quoted}]`,
      `smarthosts = [{ url = "x.example", ${quoted} = 1 }]`,
      `hostname = ${quoted}`,
      `log = "/nonexistent/\u202e\u009b"\nsmarthosts = ["smtp://127.0.0.1:9"]`,
      `[rewrite]\n${quoted} = ${quoted}`,
      `[[router]]\nname = ${quoted}\ndriver = "redirect"`,
      `[[router]]\nname = "a"\ndriver = "redirect"\ndata = { a = "\u202e \u009b" }\ndomains = ["*"]`,
      Array.from({ length: 20_000 }, (_, i) => `x${i} = 1`).join('\n'),
    ]) {
      const { config, logged } = setUp(toml);
      const ended = await run(config, ['-f', 'a@b.example', 'a@d.example'], LETTER);
      assert.equal(ended.status, 1);
      plain(ended, toml.slice(0, 100));
      assertPlain(logged(), 'the log');
    }
    const folder = path.join(scratch(), `x${EVIL.replaceAll('/', '')}`);
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'c'), 'x');
    plain(await run(path.join(folder, 'c'), ['a@b.example'], LETTER), 'the name of a file');
  }));

test('S9: sendmail and newaliases show contents and names of alias files as harmless text', () =>
  within(20_000, async () => {
    const folder = scratch();
    const evil = path.join(folder, 'al\u202eias\u009b');
    writeFileSync(
      evil,
      `one: :fail: \x1b]0;x\x07 ${LEGIBLE}\ntwo: |/bin/\x1b[2J\nthree: "\x9b\u2028 <>\nfour: :${'\x1b'.repeat(5000)}:\n` +
        `"\x1b[31m": x@y@z\n${Array.from({ length: 3000 }, (_, i) => `x${i}: <\x1b\n`).join('')}`,
    );
    const { config, logged } = setUp(`${toHosts(9)}\naliases = [${JSON.stringify(evil)}]\nqualify_domain = "b.example"`);
    for (const args of [
      ['-bi'],
      ...['one', 'two', 'three', 'four'].flatMap((name) => [
        ['-bt', name],
        ['-bv', name],
        ['-d', name],
      ]),
    ]) {
      const ended = await run(config, args, LETTER);
      assert.equal(ended.status, 1, args.join(' '));
      plain(ended, args.join(' '));
    }
    assertPlain(logged(), 'the log');
    assert.match(logged(), new RegExp(LEGIBLE), 'what is legible stays so');
  }));

test('S9: sendmail shows what a server says, a Message-ID and a content encoding as harmless text, on standard error and in both logs', () =>
  within(60_000, async () => {
    const host = await startHost({ script: { end: '550 \u001b[2Jgone\u0007 \u009b \u00e2\u0080\u00a8 \u00e2\u0080\u00ae' } });
    const cut = await startHost({ script: { end: 'drop' } });
    const head = `From: a@b.example\nMessage-ID: <\u00c2\u009b\u00e2\u0080\u00a8m\u00c3\u00bcller\u001b@b.example>\nSubject: x\n`;
    for (const format of ['exim', 'json'])
      for (const [port, input] of [
        [host.port, `${head}\nhello\n`],
        [cut.port, `${head}\nhello\n`],
        [host.port, `${head}MIME-Version: 1.0\nContent-Transfer-Encoding: ${'\x1b]0;x\x07'.repeat(100_000)}\n\nm\u00fcller\n`],
        [host.port, `${head}MIME-Version: 1.0\nContent-Type: text/plain; charset="\x1b]0;x\x07"\n\nm\u00fcller\n`],
      ] as const) {
        const { config, logged } = setUp(`${toHosts(port)}\nlog_format = "${format}"`);
        const ended = await run(config, ['-v', '-f', 'a@b.example', 'c@d.example'], input);
        assert.equal(ended.status, 1);
        plain(ended, format);
        assertPlain(logged(), `${format}: the log`);
        if (format === 'exim') for (const line of logged().trimEnd().split('\n')) assert.match(line, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
        else assert.equal(JSON.parse(logged()).message_id, '<\x9b\u2028müller\x1b@b.example>', 'decoded once');
        if (port === cut.port) assert.match(ended.stderr, /look for Message-ID <\\x9b\\u\{2028\}müller\\x1b@b\.example>/);
      }
    await host.stop();
    await cut.stop();
  }));

test('S9: the replies of sendmail -bs are harmless, whatever others say', () =>
  within(20_000, async () => {
    const host = await startHost({ script: { end: '250 \u001b[2Jtaken\u0007 \u009b \u00e2\u0080\u00ae' } });
    const folder = scratch();
    const aliases = path.join(folder, 'aliases');
    writeFileSync(aliases, 'one: :fail: \x1b]0;x\x07 \u009b\u2028\u202e\ntwo: "\u202e\x1b\n');
    const { config, logged } = setUp(`${toHosts(host.port)}\naliases = ["${aliases}"]\nqualify_domain = "b.example"`);
    const said = await run(
      config,
      ['-bs'],
      [
        'EHLO \x1b[2J\x9b',
        'MAIL FROM:<\x1b\u009b@x>',
        'MAIL FROM:<a@b.example> \x1b=\x9b',
        'MAIL FROM:<a@b.example>',
        'RCPT TO:<one>',
        'RCPT TO:<two>',
        'RCPT TO:<\x1b>',
        '\x1b]0;x\x07',
        'RCPT TO:<c@d.example>',
        'DATA',
        'Subject: x',
        '',
        'x',
        '.',
        'QUIT',
        '',
      ].join('\r\n'),
    );
    const replies = Buffer.from(said.stdout, 'latin1').toString('utf8');
    assertPlain(replies.replaceAll('\r\n', '\n'), 'the replies');
    assert.match(replies, /250 2\.0\.0 \\x1b\[2Jtaken\\x07/);
    assertPlain(said.stderr, 'standard error');
    assertPlain(logged(), 'the log');
    await host.stop();
  }));

for (const args of [
  [EVIL],
  ['check', `--${EVIL}`],
  ['check', '--config', EVIL],
  ['check', EVIL],
  ['route', EVIL],
  ['route', '--from', EVIL, 'a@b.example'],
  ['send', EVIL],
  ['send', '--to', EVIL, '-'],
  ['log', '--file', EVIL],
  ['log', '--last', EVIL],
  ['import', EVIL],
  ['import', '--program', EVIL, '/x'],
  ['init', '--smarthost', EVIL],
  ['init', '--smarthost', 'x.example', '--domain', EVIL, '--output', '/nonexistent/x'],
  ['init', '--smarthost', 'x.example', '--output', `/proc/${EVIL}`],
  ['bench', '--host', EVIL],
  ['bench', '--host', '127.0.0.1:9', '--to', EVIL],
  ['sink', '--listen', EVIL],
  ['sink', '--refuse', EVIL],
  ['sink', '--unix', `/nonexistent/${EVIL}`],
  ['install', '--runtime', `/nonexistent/${EVIL}`, '--root', '/nonexistent'],
  ['uninstall', '--root', `/nonexistent/${EVIL}`],
] as const)
  test(`S9: nospool ${JSON.stringify(args.join(' ')).slice(0, 60)}`, () =>
    within(20_000, async () => {
      const ended = await nospool(args);
      plain(ended, args.join(' '));
      if (args[0] !== 'uninstall') assert.notEqual(ended.stderr, '');
    }));

test('S9: nospool lists harmless text, for people and as JSON', () =>
  within(60_000, async () => {
    const host = await smartHost();
    const folder = scratch();
    const aliases = path.join(folder, 'al\u202eiases');
    writeFileSync(aliases, `one: :fail: \x1b]0;x\x07 ${LEGIBLE}\ntwo: |/bin/\x1b\n`);
    const top = `aliases = [${JSON.stringify(aliases)}]\nhostname = "c.example.org"\nqualify_domain = "b.example"\nsmarthosts = ["smtp://127.0.0.1:${host.port}"]`;
    const { config, log } = setUp(top);
    writeFileSync(log, `2026-01-01 00:00:00 1ABCDE-1ABCDE-AB \x1b]0;x\x07 \u009b\u202e ${LEGIBLE}\n{"id":"x","a":"\u009b\u2028"}\n`);
    const message = path.join(folder, 'mess\u202eage');
    writeFileSync(message, `Message-ID: <\u009b\u2028müller@b.example>\nFrom: a@b.example\n\nx\n`);
    for (const args of [
      ['route', '--config', config, 'one', 'two', '"\u202e"@b.example'],
      ['route', '--json', '--config', config, 'one', 'two', '"\u202e"@b.example'],
      ['check', '--config', config],
      ['check', '--json', '--config', config],
      ['log', '--config', config],
      ['log', '--json', '--config', config],
      ['send', '--config', config, '--to', 'a@b.example', message],
      ['send', '--json', '--config', config, '--to', 'a@b.example', message],
      ['send', '--config', config, '--to', 'one', message],
    ]) {
      const ended = await nospool(args);
      plain(ended, args.join(' '));
      assert.notEqual(ended.stdout + ended.stderr, '');
      if (args.includes('--json')) for (const line of ended.stdout.trimEnd().split('\n')) JSON.parse(line);
    }
    await host.close();
  }));

test('S9: an argument that is not UTF-8 is shown as harmless text', () =>
  within(20_000, async () => {
    const { config } = setUp(toHosts(9));
    const script = '"$@" "$(printf "\\377\\233x")"';
    for (const args of [
      ['-C', config],
      ['-C', config, '-N'],
      ['-C', config, '-f'],
    ]) {
      const { stderr } = spawnSync('/bin/sh', ['-c', script, 'sh', RUNTIME[0], ...RUNTIME.slice(1), COMMAND, ...args], {
        env: ENVIRONMENT,
        input: LETTER,
      });
      assertPlain(stderr.toString('utf8').replaceAll('\ufffd', ''), args.join(' '));
      assert.notEqual(stderr.length, 0);
    }
  }));

test('who limits standard error hears where the rest is, also when the limit falls on the end of a line', () => {
  const program = `import { complain, limitErrors } from './src/process/stderr.ts';
limitErrors(Number(process.argv.at(-1)));
for (const fact of ['one', 'two', 'three', 'four']) complain([fact]);`;
  const loading = process.versions.bun === undefined ? ['--import', 'tsx', '--input-type=module'] : [];
  const said = (most: number) =>
    spawnSync(process.execPath, [...loading, '-e', program, '--', String(most)], { encoding: 'utf8', cwd: ROOT, timeout: 20_000 }).stderr;
  const rest = 'sendmail: the log has the rest\n';
  const [one, two] = ['sendmail: one\n', 'sendmail: two\n'];
  const all = `${one}${two}sendmail: three\nsendmail: four\n`;
  for (const [most, expected] of [
    [2 * one.length - 1, one + rest],
    [2 * one.length, one + two + rest],
    [2 * one.length + 1, one + two + rest],
    [all.length, all],
  ] as const)
    assert.equal(said(most), expected, `${most}`);
});

/** Where the log of an error before the configuration is: seen in a mount namespace of its own. */
const inNamespace = missing('root', 'unshare').length === 0;
(inNamespace ? test : test.skip)('S9: nothing given to sendmail makes a line in the default log', () => {
  const folder = scratch();
  const script = 'mount -t tmpfs none /var/log && "$@"; status=$?; cat /var/log/nospool.log >"$COPY"; exit $status';
  for (const args of [[`-Z${EVIL}`], ['-C', `/nonexistent${EVIL}`, 'a@b.example'], ['-N', EVIL], ['-L', EVIL, '-R', EVIL]]) {
    const copy = path.join(folder, 'copy');
    const words = ['--mount', 'sh', '-c', script, 'sh', RUNTIME[0], ...RUNTIME.slice(1), COMMAND, ...args];
    const { status } = spawnSync('unshare', words, {
      env: { ...ENVIRONMENT, PATH: '/usr/bin:/bin:/usr/sbin:/sbin', COPY: copy },
      input: LETTER,
    });
    assert.equal(status, 1);
    assert.ok(existsSync(copy));
    const logged = readFileSync(copy, 'utf8');
    assertPlain(logged, args.join(' '));
    assert.equal(logged.trimEnd().split('\n').length, 1, logged);
  }
});

test.run();
