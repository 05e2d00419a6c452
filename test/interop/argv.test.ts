/**
 * How every known caller calls sendmail (those that are not run for real as well), with its form of standard input; and the
 * surroundings in which they do it: environments, descriptors, signals and uids.
 */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { type Command, installCommand, run } from './support/command.ts';
import { startExim } from './support/exim.ts';
import { assertDelivered } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';
import { at, type Peer } from './support/peer.ts';
import { type CallOptions, makeWorld, type World } from './support/world.ts';

const test = suiteWith('callers by argument list', 'root', 'unshare', 'exim4-daemon-heavy');

const F = at('sender');
const [A, B, C] = [at('ann'), at('bob'), at('eve')];

interface Row {
  readonly caller: string;
  readonly argv: readonly string[];
  readonly stdin: string;
  /** Mailboxes, one message each. */
  readonly to: readonly string[];
  readonly reversePath: string;
  /** What follows the header section, with LF. Default: `one\ntwo\n`. */
  readonly body?: string;
  /** Standard error is not empty: -v. */
  readonly verbose?: true;
}

const BODY = 'one\ntwo\n';
/** A message for recipients in arguments. */
const PLAIN = `From: ${F}\nSubject: s\n\n${BODY}`;
/** A message for -t, to ann and bob. */
const HEADER = `From: ${F}\nTo: ${A}, "B. (c)" <${B}>\nSubject: s\n\n${BODY}`;
const WITH_BCC = `From: ${F}\nTo: ${A}\nBcc: ${B},\n ${C}\nSubject: s\n\n${BODY}`;
const crlf = (text: string) => text.replaceAll('\n', '\r\n');
const ROOT = at('root');

const ROWS: readonly Row[] = [
  {
    caller: 'Debian cron',
    argv: ['-FCronDaemon', '-i', '-B8BITMIME', '-oem', `${A},${B}`],
    stdin: `From: root (Cron Daemon)\nTo: ${A},${B}\nSubject: Cron\n\none\ntwo`,
    to: ['ann', 'bob'],
    reversePath: ROOT,
  },
  { caller: 'Vixie cron', argv: ['-FCronDaemon', '-odi', '-oem', '-or0s', 'root'], stdin: PLAIN, to: ['root'], reversePath: ROOT },
  {
    caller: 'cronie',
    argv: ['-FCronDaemon', '-i', '-odi', '-oem', '-oi', '-t', '-f', F],
    stdin: HEADER,
    to: ['ann', 'bob'],
    reversePath: F,
  },
  { caller: 'bcron', argv: ['-FCronDaemon', '-odi', '-oem', A], stdin: PLAIN, to: ['ann'], reversePath: ROOT },
  { caller: 'BusyBox crond', argv: ['-ti'], stdin: HEADER, to: ['ann', 'bob'], reversePath: ROOT },
  { caller: 'systemd-cron', argv: ['-i', '-B8BITMIME', A], stdin: PLAIN, to: ['ann'], reversePath: ROOT },
  { caller: 'anacron', argv: ['-FAnacron', '-odi', 'root'], stdin: PLAIN, to: ['root'], reversePath: ROOT },
  { caller: 'atd', argv: ['-i', 'root'], stdin: `Subject: Output from your job\nTo: root\n\n${BODY}`, to: ['root'], reversePath: ROOT },
  { caller: 'sudo, mdadm, logwatch, bts', argv: ['-t'], stdin: HEADER, to: ['ann', 'bob'], reversePath: ROOT },
  { caller: 'smartd by mailx', argv: ['-i', '-t'], stdin: HEADER, to: ['ann', 'bob'], reversePath: ROOT },
  { caller: 'unattended-upgrades, apt-listchanges', argv: ['-oi', '-t'], stdin: HEADER, to: ['ann', 'bob'], reversePath: ROOT },
  { caller: 'popularity-contest', argv: ['-oi', '-f', F, A], stdin: PLAIN, to: ['ann'], reversePath: F },
  { caller: 'fail2ban', argv: ['-f', F, A], stdin: PLAIN, to: ['ann'], reversePath: F },
  { caller: 'reportbug', argv: ['-f', F, '-oi', '-oem', A, B], stdin: PLAIN, to: ['ann', 'bob'], reversePath: F },
  { caller: 'Request Tracker', argv: ['-oi', '-t', '-f', F], stdin: HEADER, to: ['ann', 'bob'], reversePath: F },
  {
    caller: 'Request Tracker, as its manual has it',
    argv: ['-oi', '-t', '-ODeliveryMode=b', '-OErrorMode=m'],
    stdin: HEADER,
    to: ['ann', 'bob'],
    reversePath: ROOT,
  },
  { caller: 'procmail', argv: ['-oi', A], stdin: `From ${F} Sun Nov 22 12:00:00 2026\n${PLAIN}`, to: ['ann'], reversePath: ROOT },
  { caller: 'bsd-mailx -v', argv: ['-i', '-t', '-f', F, '-v'], stdin: WITH_BCC, to: ['ann', 'bob', 'eve'], reversePath: F, verbose: true },
  { caller: 's-nail', argv: ['-i', '-f', F, '--', A, B, C], stdin: PLAIN, to: ['ann', 'bob', 'eve'], reversePath: F },
  { caller: 'mailutils', argv: ['-oi', '-f', F, '-t'], stdin: WITH_BCC, to: ['ann', 'bob', 'eve'], reversePath: F },
  {
    caller: 'mutt with dsn_notify',
    argv: ['-oem', '-oi', '-f', F, '-N', 'failure,delay', '-R', 'hdrs', '--', A, B, C],
    stdin: PLAIN,
    to: ['ann', 'bob', 'eve'],
    reversePath: F,
  },
  { caller: 'git send-email', argv: ['-i', A, B, C], stdin: PLAIN, to: ['ann', 'bob', 'eve'], reversePath: ROOT },
  { caller: 'git send-email, envelope sender', argv: ['-f', F, '-i', A], stdin: PLAIN, to: ['ann'], reversePath: F },
  {
    caller: 'PHP mail()',
    argv: ['-t', '-i'],
    stdin: crlf(HEADER.slice(0, -BODY.length)) + BODY,
    to: ['ann', 'bob'],
    reversePath: ROOT,
  },
  { caller: 'PHPMailer mail()', argv: ['-t', '-i', `-f${F}`], stdin: crlf(HEADER), to: ['ann', 'bob'], reversePath: F },
  { caller: 'PHPMailer isSendmail', argv: ['-t', '-i', '-oi', `-f${F}`, '-t'], stdin: WITH_BCC, to: ['ann', 'bob', 'eve'], reversePath: F },
  { caller: 'Symfony -t -i', argv: ['-i', `-f${F}`, '--', A, B], stdin: PLAIN, to: ['ann', 'bob'], reversePath: F },
  {
    caller: 'Swiftmailer -t, dots doubled',
    argv: ['-t', `-f${F}`],
    stdin: `${WITH_BCC}..\n..three\n`,
    to: ['ann', 'bob', 'eve'],
    reversePath: F,
    body: `${BODY}.\n.three\n`,
  },
  { caller: 'PEAR Mail', argv: ['-i', '-f', F, '--', A, B], stdin: PLAIN, to: ['ann', 'bob'], reversePath: F },
  { caller: 'Perl Email::Sender, Bcc left in', argv: ['-i', '-f', F, '--', A, B], stdin: WITH_BCC, to: ['ann', 'bob'], reversePath: F },
  { caller: 'Perl MIME::Lite', argv: ['-t', '-oi', '-oem', `-f${F}`], stdin: WITH_BCC, to: ['ann', 'bob', 'eve'], reversePath: F },
  {
    caller: 'Perl Mail::Send, a lone dot ends',
    argv: ['-t'],
    stdin: `${HEADER}.\nafter\n`,
    to: ['ann', 'bob'],
    reversePath: ROOT,
  },
  { caller: 'Ruby mail', argv: ['-i', '-f', F, '--', A, B], stdin: crlf(PLAIN), to: ['ann', 'bob'], reversePath: F },
  {
    caller: 'nodemailer',
    argv: ['-i', '-f', F, A, B],
    stdin: crlf(WITH_BCC.slice(0, -BODY.length)) + BODY,
    to: ['ann', 'bob'],
    reversePath: F,
  },
  { caller: 'nodemailer with arguments', argv: ['-i', '-t', A, B], stdin: crlf(HEADER), to: ['ann', 'bob'], reversePath: ROOT },
  { caller: 'Emacs sendmail.el', argv: ['-oi', '-oep', '-odi', '-t'], stdin: HEADER, to: ['ann', 'bob'], reversePath: ROOT },
  { caller: 'Emacs message.el', argv: ['-oi', '-f', F, '-t'], stdin: HEADER, to: ['ann', 'bob'], reversePath: F },
  { caller: 'old mailx', argv: ['-r', F, '-i', '-m', A], stdin: PLAIN, to: ['ann'], reversePath: F },
  {
    caller: 'angle brackets',
    argv: ['-i', '-f', `<${F}>`, `<${A}>`, `${B}, ${C}`],
    stdin: PLAIN,
    to: ['ann', 'bob', 'eve'],
    reversePath: F,
  },
  { caller: 'the null reverse-path, empty', argv: ['-i', '-f', '', A], stdin: PLAIN, to: ['ann'], reversePath: '' },
  { caller: 'the null reverse-path, brackets', argv: ['-i', '-f<>', A], stdin: PLAIN, to: ['ann'], reversePath: '' },
];

let command: Command;
let world: World;
let exim: Peer;

test.before(() =>
  within(30_000, async () => {
    exim = await startExim();
    command = installCommand();
    world = makeWorld(command);
  }),
);
test.after(async () => exim?.stop());
test.before.each(() =>
  within(30_000, async () => {
    await exim.clear();
    configure();
  }),
);

const configure = (more = '') =>
  command.configure(
    `smarthosts = ["smtp://${HOST}:${exim.port}"]\nhostname = "client.peer.test"\nqualify_domain = "peer.test"\ntls = { mode = "off" }\naliases = []\n${more}`,
  );

/** The last part of an argument list is a mailbox; nothing but Exim's line ends may be in it. */
async function assertRow({ to, reversePath, body = BODY }: Row): Promise<void> {
  for (const box of to) {
    const arrived = await exim.received(box);
    assert.equal(arrived.length, 1, `${box} got it once`);
    const text = arrived[0]?.octets.toString('latin1') ?? '';
    const end = text.indexOf('\n\n');
    const header = text.slice(0, end + 1);
    assert.equal(text.slice(end + 2), body);
    assert.doesNotMatch(text, /\r/);
    for (const field of ['Date', 'Message-ID', 'From']) assert.match(header, new RegExp(`^${field}: .`, 'im'), header);
    assert.doesNotMatch(header, /^(Bcc|Received|Return-Path)/im);
    assert.equal(arrived[0]?.reversePath, reversePath);
  }
  assert.equal(await exim.total(), to.length);
}

for (const row of ROWS)
  test(`${row.caller}: ${row.argv.map((word) => word.replaceAll('@peer.test', '')).join(' ')}`, () =>
    within(30_000, async () => {
      const result = await run(command, row.argv, row.stdin, { LOGNAME: 'root' });
      if (row.verbose) assert.equal(result.status, 0, result.said);
      else assertDelivered(result);
      await assertRow(row);
    }));

const DIALOGUES: readonly (readonly [why: string, argv: readonly string[], says: string])[] = [
  [
    'Symfony, HELO',
    ['-bs'],
    `HELO [127.0.0.1]\r\nMAIL FROM:<${F}>\r\nRCPT TO:<${A}>\r\nRCPT TO:<${B}>\r\nDATA\r\n${crlf(PLAIN)}.\r\nQUIT\r\n`,
  ],
  ['Laravel', ['-bs', '-i'], `EHLO x\r\nMAIL FROM:<${F}>\r\nRCPT TO:<${A}>\r\nRCPT TO:<${B}>\r\nDATA\r\n${crlf(PLAIN)}.\r\nQUIT\r\n`],
  ['commands that end with LF', ['-bs'], `EHLO x\nMAIL FROM:<${F}>\nRCPT TO:<${A}>\nRCPT TO:<${B}>\nDATA\n${crlf(PLAIN)}.\r\nQUIT\n`],
];

for (const [why, argv, says] of DIALOGUES)
  test(`-bs: ${why}`, () =>
    within(30_000, async () => {
      const result = await run(command, argv, says);
      assert.equal(result.status, 0, result.said);
      assert.match(result.stdout, /\n354 .*\r\n(250-.*\r\n)*250 .*\r\n221 /, result.stdout);
      await assertRow({ caller: why, argv, stdin: says, to: ['ann', 'bob'], reversePath: F });
    }));

test('-bs: refused by the smart host at RCPT and after the dot, then another transaction that works', () =>
  within(30_000, async () => {
    const mail = (...to: readonly string[]) =>
      `MAIL FROM:<${F}>\r\n${to.map((local) => `RCPT TO:<${at(local)}>\r\n`).join('')}DATA\r\n${crlf(PLAIN)}.\r\n`;
    const says = `EHLO x\r\n${mail('ann', 'refused')}${mail('ann', 'afterdot')}${mail('bob')}QUIT\r\n`;
    const result = await run(command, ['-bs'], says);
    const replies = result.stdout.split('\r\n').filter((line) => /^\d{3} /.test(line));
    assert.match(result.stdout, /^550 .*refused@peer\.test/m, result.stdout);
    assert.match(result.stdout, /^552 /m, result.stdout);
    assert.match(replies.at(-2) ?? '', /^250 /, result.stdout);
    assert.equal(result.status, 1, result.said);
    assert.equal(await exim.total(), 1);
    assert.equal((await exim.received('bob')).length, 1);
  }));

interface Surroundings {
  readonly name: string;
  readonly argv?: readonly string[];
  readonly options: CallOptions;
  readonly reversePath?: string;
  /** More configuration. */
  readonly more?: string;
}

const BARE = { PATH: undefined, HOME: undefined, LOGNAME: undefined, USER: undefined, LANG: undefined, TERM: undefined };
const SENDMAIL = ['/usr/sbin/sendmail', '-i', A, B];
const shell = (text: string) => ['/bin/sh', '-c', text];

const SURROUNDINGS: readonly Surroundings[] = [
  { name: 'only the PATH of cron', options: { env: { ...BARE, PATH: '/usr/bin:/bin' } } },
  { name: 'no environment at all', options: { env: BARE } },
  { name: 'HOME of nobody', options: { env: { HOME: '/nonexistent' } } },
  { name: 'HOME is /', options: { env: { HOME: '/' } } },
  { name: 'NODE_OPTIONS that Node refuses', options: { env: { NODE_OPTIONS: '--no-such-option' } } },
  { name: 'NODE_OPTIONS that load a file which is not there', options: { env: { NODE_OPTIONS: '--require /nonexistent.js' } } },
  { name: 'NODE_EXTRA_CA_CERTS that is not there', options: { env: { NODE_EXTRA_CA_CERTS: '/nonexistent.pem' } } },
  { name: 'descriptors 1 and 2 closed', argv: shell(`${SENDMAIL.join(' ')} >&- 2>&-`), options: {} },
  { name: 'descriptors 1 and 2 on /dev/full', argv: shell(`${SENDMAIL.join(' ')} >/dev/full 2>/dev/full`), options: {} },
  { name: 'SIGHUP, SIGINT, SIGQUIT and SIGPIPE ignored', argv: shell(`trap '' HUP INT QUIT PIPE; ${SENDMAIL.join(' ')}`), options: {} },
  { name: 'a session of its own', argv: ['setsid', '-w', ...SENDMAIL], options: {} },
  { name: 'the uid of nobody', options: { uid: 65534, env: { LOGNAME: undefined, USER: undefined } }, reversePath: at('nobody') },
  {
    name: 'a uid without an entry in the password database',
    options: { uid: 54321, env: { LOGNAME: undefined, USER: undefined, HOME: '/' } },
    reversePath: at('uid-54321'),
  },
  {
    name: 'such a uid with LOGNAME',
    options: { uid: 54321, env: { LOGNAME: 'web', USER: undefined } },
    reversePath: at('web'),
  },
  {
    name: 'no writable path at all',
    argv: shell(`touch /tmp/writable 2>&- && exit 9; exec ${SENDMAIL.join(' ')}`),
    options: { uid: 54321, script: 'for m in $(cut -d" " -f2 /proc/mounts); do mount -o remount,bind,ro $m 2>/dev/null || true; done\n' },
    reversePath: at('root'),
  },
  { name: 'a log that cannot be written', more: 'log = "/nonexistent/log"\n', options: {} },
  { name: 'a nice level and a small address space for files', argv: shell(`ulimit -f 0; nice ${SENDMAIL.join(' ')}`), options: {} },
];

for (const { name, argv = SENDMAIL, options, reversePath = ROOT, more } of SURROUNDINGS)
  test(`surroundings: ${name}`, () =>
    within(40_000, async () => {
      // The wrapper notes its arguments for other tests; here it must be as an installation has it.
      const installed = `#!/bin/sh\nunset NODE_OPTIONS NODE_EXTRA_CA_CERTS\nNOSPOOL_CONFIG=${command.config} exec ${[...command.runtime, command.file].join(' ')} "$@"\n`;
      const place = `${command.folder}/over/usr/sbin/sendmail`;
      writeFileSync(place, installed);
      chmodSync(place, 0o755);
      const base = `smarthosts = ["smtp://${HOST}:${exim.port}"]\nhostname = "client.peer.test"\nqualify_domain = "peer.test"\ntls = { mode = "off" }\naliases = []\n`;
      writeFileSync(command.config, `${more ?? `log = "${command.log}"\n`}${base}`);
      const called = await world.call(argv, { ...options, input: PLAIN });
      assert.deepEqual(called, { status: 0, stdout: '', stderr: '' });
      await assertRow({ caller: name, argv, stdin: PLAIN, to: ['ann', 'bob'], reversePath });
    }));

test.run();
