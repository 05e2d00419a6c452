/** Looks at what standard error and the log say of runs that end before there is a message, or by a bug. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import { COMMAND, ENVIRONMENT, RUNTIME, run, scratch, setUp, smartHost, start, toHosts } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('early');

/** Time with its zone, then the id. */
const HEAD = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \w{6}-\w{6}-\w{2} U=${os.userInfo().username} P=local not sent: `;

// arguments, more of the configuration, what the log has, why
const ROWS: readonly (readonly [readonly string[], string, string, string])[] = [
  [['-Z'], '', 'unknown option -Z: see --help', 'an option that nobody has'],
  [['-f'], '', '-f needs a value', 'an option without its value'],
  [['-bd'], '', 'no daemon: nospool delivers while its caller waits', 'a mode that is refused'],
  [[], '', 'no recipients: name them after the options, or use -t', 'no recipients'],
  [['-f', 'a@b..com', 'joe@bar.com'], '', '-f "a@b..com": ', 'a sender that is none'],
  [['joe@bar.com'], 'no_such_key = 1', ': key "no_such_key" is unknown', 'a configuration that cannot be used'],
  [['-bs'], 'no_such_key = 1', ': key "no_such_key" is unknown', 'a configuration that cannot be used, in SMTP'],
];
for (const [args, more, wanted, why] of ROWS)
  test(`C4, O3: ${why} is in the configured log, in the form of every other line`, () =>
    within(20_000, async () => {
      const { config, logged } = setUp(`${toHosts(9)}\n${more}`);
      const ended = await run(config, args, '');
      assert.equal(ended.status, 1);
      if (!args.includes('-bs')) assert.ok(ended.stderr.includes(wanted), ended.stderr);
      assert.match(logged(), new RegExp(`^${HEAD}.*\n$`));
      assert.ok(logged().includes(wanted), logged());
      const json = setUp(`${toHosts(9)}\nlog_format = "json"\n${more}`);
      await run(json.config, args, '');
      const told = JSON.parse(json.logged());
      assert.deepEqual([told.outcome, told.from, told.to], ['failed', null, []]);
      assert.ok(told.reasons.join('\n').includes(wanted), json.logged());
    }));

test('C4: the configuration that the environment names says where usage errors go, too', () =>
  within(20_000, async () => {
    const { config, logged } = setUp(toHosts(9));
    const ended = await run(null, ['-Z'], '', { env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config } });
    assert.equal(ended.stderr, 'sendmail: unknown option -Z: see --help\n');
    assert.match(logged(), new RegExp(`^${HEAD}unknown option -Z: see --help\n$`));
  }));

test('O3: a log whose configuration is wrong is not written to', () =>
  within(20_000, async () => {
    const file = path.join(scratch(), 'log');
    writeFileSync(file, '');
    const { config } = setUp(`${toHosts(9)}\nlog = "${file}"\nlog_format = "yaml"`);
    const ended = await run(config, ['joe@bar.com'], '');
    assert.match(ended.stderr, /key "log_format" expects "exim" or "json"/);
    assert.equal(readFileSync(file, 'utf8'), '');
  }));

test('O3: a bug is logged before anything else gets a turn', () =>
  within(20_000, async () => {
    const { config, folder, logged } = setUp(toHosts(9));
    const bug = path.join(folder, 'bug.cjs');
    writeFileSync(bug, "setTimeout(() => { throw new Error('\\x1b[31mboom'); }, 300);");
    const { child, done } = start(config, ['joe@bar.com'], { env: { ...ENVIRONMENT, NODE_OPTIONS: `--require=${bug}` } });
    const ended = await done;
    child.stdin?.destroy();
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /^sendmail: bug: .*boom; the message that was under way was not sent to its end\n$/);
    assert.match(logged(), new RegExp(`^${HEAD}bug: .*boom; the message that was under way was not sent to its end\n$`));
  }));

test('O3: an ordinary user whose log is the administrator’s hears of that with a failure, and hears of every failure', () =>
  within(20_000, async () => {
    const { config } = setUp(`${toHosts(9)}\nlog = "/proc/1/nospool.log"`);
    const ended = await run(config, ['joe@bar.com'], 'Subject: x\n\nx\n');
    assert.equal(ended.status, 1);
    const [, second = ''] = ended.stderr.split('\n');
    assert.match(
      second,
      /^sendmail: cannot write the log \/proc\/1\/nospool\.log as uid \d+: .*(; syslog has it|there is no syslog: nothing was logged; set log)$/,
    );
    const misuse = (await run(config, ['-Z'], '')).stderr.split('\n');
    assert.deepEqual([misuse[0], misuse[1]], ['sendmail: unknown option -Z: see --help', second]);
  }));

test('a signal that comes before anything is read ends the command with status 1', () =>
  within(20_000, async () => {
    const { config, folder } = setUp(toHosts(9));
    const hook = path.join(folder, 'hook.cjs');
    for (const signal of ['SIGTERM', 'SIGINT']) {
      // The program has begun, and its listeners stand.
      const send = `queueMicrotask(() => process.kill(process.pid, '${signal}'))`;
      writeFileSync(hook, `process.on('newListener', (name) => name === '${signal}' && ${send});`);
      const { status, signal: by } = await run(config, ['-bv', 'joe@bar.com'], '', {
        env: { ...ENVIRONMENT, NODE_OPTIONS: `--require=${hook}` },
      });
      assert.deepEqual([status, by], [1, null], signal);
    }
  }));

/** Runs it in a mount namespace in which the journal's socket is `socket`; the value is the exit status. */
async function runWithJournal(socket: string, config: string, args: readonly string[]): Promise<number | null> {
  const script = 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && ln -s "$0" /run/systemd/journal/stdout && exec "$@"';
  const child = spawn('/usr/bin/unshare', ['--mount', '/bin/sh', '-c', script, socket, ...RUNTIME, COMMAND, ...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config },
  });
  child.stdin.on('error', () => {}).end('Subject: x\n\nx\n');
  return new Promise((resolve) => child.once('exit', resolve));
}

const asRoot = process.getuid?.() === 0 && existsSync('/usr/bin/unshare') ? test : test.skip;

asRoot('syslog hears the tag of -L, and a failure has another priority than a success', () =>
  within(30_000, async () => {
    const host = await smartHost();
    const socket = path.join(scratch(), 'journal');
    let heard = '';
    let open = 0;
    const journal = createServer((stream) => {
      open += 1;
      stream.on('data', (octets) => (heard += octets)).on('close', () => (open -= 1));
    });
    await new Promise<void>((resolve) => journal.listen(socket, resolve));
    const { config } = setUp(`${toHosts(host.port)}\nlog = "syslog"`);
    const closed = setUp(`${toHosts(1)}\nlog = "syslog"`).config;
    const rows: readonly (readonly [string, readonly string[], number, RegExp])[] = [
      [config, ['-L', 'news', 'joe@bar.com'], 0, /^news\n\n22\n.* Completed/s],
      [config, ['joe@bar.com'], 0, /^nospool\n\n22\n/],
      [closed, ['-L', 'news', 'joe@bar.com'], 1, /^news\n\n19\n.*connection refused/s],
      [config, ['-L', 'news', '-Z'], 1, /^news\n\n19\n.*not sent: unknown option -Z/s],
    ];
    for (const [file, args, status, expected] of rows) {
      heard = '';
      assert.equal(await runWithJournal(socket, file, args), status, args.join(' '));
      while (heard === '' || open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.match(heard, expected);
    }
    journal.close();
    await host.close();
  }),
);

test('O9: a host that is not configured hears first that it has no smart host', () =>
  within(20_000, async () => {
    const wanted = 'no smart host is configured: set smarthosts, or run "nospool init"';
    for (const args of [['root'], ['-f', 'me@example.org', 'root'], ['-f', 'me@example.org', 'you@example.org'], ['you@example.org']]) {
      const { config, logged } = setUp('hostname = "vm"');
      const ended = await run(config, args, 'Subject: x\n\nx\n');
      assert.ok(ended.stderr.includes(wanted), `${args}: ${ended.stderr}`);
      assert.ok(logged().includes(wanted), logged());
      assert.ok(!/qualify_/.test(ended.stderr), ended.stderr);
    }
  }));

test.run();
