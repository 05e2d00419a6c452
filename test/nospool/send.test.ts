/** Loopback: `nospool sink` needs --anywhere for every other address, and every configuration writes the mode of TLS. */
import assert from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { printProgress, progressLine, WORTH_SHOWING } from '../../src/nospool/progress-line.ts';
import { configured, deadPort, nospool, sinkWith } from '../support/admin.ts';
import { smartHost } from '../support/command.ts';
import { testWith } from '../support/where.ts';
import { within } from '../support/within.ts';

const test = suite('send');
const onTerminal = testWith(test, 'python3', existsSync('/usr/bin/python3'));

const MESSAGE = 'From: a@example.org\nTo: bob@example.org\nBcc: carol@example.org\nSubject: x\n\nhello\n.\nworld\n';

/** A file with that text in a folder. */
function messageIn(folder: string, text = MESSAGE): string {
  const file = path.join(folder, 'message.eml');
  writeFileSync(file, text);
  return file;
}

test('sends to the recipients of the header section, and prints the server that took the message', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ starttls: true, auth: 'me:secret' });
    const dead = await deadPort();
    const { config, folder, log } = configured(
      `smarthosts = ["submission://127.0.0.1:${dead}", "submission://127.0.0.1:${sink.port}"]`,
      `[tls]\nmode = "required"\nca_file = "${sink.certificate}"\n[auth]\nuser = "me"\npassword = "secret"`,
    );
    const run = await nospool('send', '--config', config, messageIn(folder));
    await sink.close();
    assert.equal(run.status, 0, run.stderr);
    assert.equal(run.stderr, '');
    const lines = run.stdout.trimEnd().split('\n');
    assert.equal(lines[0], `accepted by   [127.0.0.1]:${sink.port}: 250 2.0.0 message accepted`);
    assert.match(lines[1] as string, /^from {10}<.+@example\.org>$/);
    assert.deepEqual(lines.slice(2, 4), ['to            bob@example.org', '              carol@example.org']);
    assert.match(run.stdout, /^message-id {4}<.+@client\.example\.org>$/m);
    assert.match(run.stdout, /^tls {11}TLS1\.\d:\S+, verified$/m);
    assert.match(run.stdout, /^user {10}me, by PLAIN$/m);
    assert.match(run.stdout, new RegExp(`^tried before {2}\\[127\\.0\\.0\\.1\\]:${dead}: connection refused$`, 'm'));
    const arrived = sink.told.find(({ event }) => event === 'message');
    assert.ok(String(arrived?.content).endsWith('\r\n\r\nhello\r\n.\r\nworld\r\n'), 'a lone dot is text');
    assert.match(readFileSync(log, 'utf8'), / Completed\n$/);
  }));

test('--to and --from are the envelope, and --json prints the result as in the log', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const { config, folder } = configured(`smarthosts = ["submission://127.0.0.1:${sink.port}"]`);
    const run = await nospool(
      'send',
      '-C',
      config,
      '--json',
      '-f',
      '<>',
      '--to',
      'x@example.org,y',
      '--to',
      'z@example.org',
      messageIn(folder),
    );
    await sink.close();
    assert.equal(run.status, 0, run.stderr);
    const result = JSON.parse(run.stdout);
    assert.deepEqual([result.outcome, result.from, result.to], ['accepted', '', ['x@example.org', 'y@example.org', 'z@example.org']]);
  }));

test('after a refused recipient nobody has the message, and every reason is printed', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ refuse: ['carol@example.org'] });
    const { config, folder, log } = configured(`smarthosts = ["submission://127.0.0.1:${sink.port}"]`);
    const run = await nospool('send', '--config', config, messageIn(folder));
    await sink.close();
    assert.equal(run.status, 1);
    assert.equal(run.stdout, '');
    assert.match(run.stderr, /^nospool: \[127\.0\.0\.1\]:\d+: RCPT TO:<carol@example\.org>: 550 .*\nnospool: nobody has the message\n$/);
    assert.ok(!sink.told.some(({ event }) => event === 'message'));
    assert.match(readFileSync(log, 'utf8'), / Failed: nobody has the message\n$/);
  }));

test('a file that is cut short while it is sent is not delivered, and is not called standard input', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ delay: 100 });
    const { config, folder } = configured(`smarthosts = ["submission://127.0.0.1:${sink.port}"]`);
    const file = messageIn(folder, `${MESSAGE}${'x'.repeat(75)}\n`.repeat(40_000));
    const running = nospool('send', '--config', config, file);
    while (!sink.verbs().includes('MAIL')) await new Promise((resolve) => setTimeout(resolve, 10));
    truncateSync(file, 1_000_000);
    const run = await running;
    await sink.close();
    assert.equal(run.status, 1);
    assert.match(
      run.stderr,
      /: the file became shorter while it was read, or another program read from it\nnospool: nobody has the message\n$/,
    );
    assert.ok(!sink.told.some(({ event }) => event === 'message'));
  }));

// arguments before --config, standard error, why
const USAGE: readonly (readonly [readonly string[], RegExp, string])[] = [
  [['a.eml', 'b.eml'], /^nospool: one message at a time: 2 files were given\n$/, 'two files'],
  [['/nonexistent/x.eml'], /^nospool: cannot read \/nonexistent\/x\.eml: there is no such file or directory\n$/, 'no such file'],
  [['/dev/null/x'], /^nospool: cannot read \/dev\/null\/x: a part of the path is not a directory\n$/, 'words in place of a code'],
  [['/tmp'], /^nospool: \/tmp is a directory, not a message\n$/, 'a directory'],
  [['--from', 'a b', 'x.eml'], /^nospool: --from "a b": /, 'a reverse-path that is none'],
  [[], /^nospool: send expects FILE; "nospool send --help" lists the options\n$/, 'nothing'],
];
for (const [argv, expected, why] of USAGE)
  test(`reports ${why}`, async () => {
    const run = await nospool('send', ...argv);
    assert.equal(run.status, 1);
    assert.match(run.stderr, expected);
  });

test('the built command reads standard input, and --verbose shows the conversation', () =>
  within(20_000, async () => {
    const built = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));
    const { config } = configured(`smarthosts = ["submission://127.0.0.1:${await deadPort()}"]`);
    const sink = spawnSync(process.execPath, [built, 'send', '-v', '--config', config, '-'], {
      input: MESSAGE,
      encoding: 'utf8',
      timeout: 15_000,
    });
    assert.equal(sink.status, 1, sink.stderr);
    assert.match(sink.stderr, /connection refused\nnospool: nobody has the message\n$/);
    assert.ok(!/^time|^total/m.test(sink.stderr), 'where the time went is for a terminal');
  }));

const MIB = 2 ** 20;
// octets, of how many, milliseconds, the line
const LINES: readonly (readonly [number, number | null, number, string])[] = [
  [0, 10 * MIB, 0, `[${'.'.repeat(24)}]   0 %  0.0 of 10.0 MiB  0.0 MiB/s`],
  [5 * MIB, 10 * MIB, 1000, `[${'#'.repeat(12)}${'.'.repeat(12)}]  50 %  5.0 of 10.0 MiB  5.0 MiB/s  1 s left`],
  [10 * MIB, 10 * MIB, 1000, `[${'#'.repeat(24)}] 100 %  10.0 of 10.0 MiB  10.0 MiB/s  waiting`],
  [11 * MIB, 10 * MIB, 1000, `[${'#'.repeat(24)}] 100 %  10.0 of 10.0 MiB  11.0 MiB/s  waiting`],
  [MIB, 1000 * MIB, 1000, `[${'.'.repeat(24)}]   0 %  1.0 of 1000.0 MiB  1.0 MiB/s  17 min left`],
  [MIB, 10_000 * MIB, 1000, `[${'.'.repeat(24)}]   0 %  1.0 of 10000.0 MiB  1.0 MiB/s  3 h left`],
  [3 * MIB, null, 1500, '3.0 MiB  2.0 MiB/s'],
];
for (const [octets, total, milliseconds, line] of LINES)
  test(`progress: ${octets} of ${total} after ${milliseconds} ms`, () => {
    assert.equal(printProgress(octets, total, milliseconds), line);
    assert.ok(line.length < 80);
  });

test('O9: progress leaves out what does not fit before the last column', () => {
  const lines = [120, 80, 50, 40, 30, 20, 8, 5].map((columns) => printProgress(5 * MIB, 10 * MIB, 1000, columns));
  assert.deepEqual(lines, [
    `[${'#'.repeat(12)}${'.'.repeat(12)}]  50 %  5.0 of 10.0 MiB  5.0 MiB/s  1 s left`,
    `[${'#'.repeat(12)}${'.'.repeat(12)}]  50 %  5.0 of 10.0 MiB  5.0 MiB/s  1 s left`,
    ' 50 %  5.0 of 10.0 MiB  5.0 MiB/s  1 s left',
    ' 50 %  5.0 of 10.0 MiB  1 s left',
    ' 50 %  1 s left',
    ' 50 %  1 s left',
    ' 50 %',
    '',
  ]);
  assert.deepEqual(
    [30, 12, 8].map((columns) => printProgress(3 * MIB, null, 1500, columns)),
    ['3.0 MiB  2.0 MiB/s', '3.0 MiB', '3.0 MiB'],
  );
});

/** What shell text prints on a terminal until `last` is seen. */
async function seeOnTerminal(script: string, last: string): Promise<string> {
  const typist = fileURLToPath(new URL('../interop/support/typist.py', import.meta.url));
  const argv = ['/bin/sh', '-c', script];
  const child = spawn('/usr/bin/python3', ['-B', typist, JSON.stringify({ argv, steps: [[last, '']], seconds: 30 })]);
  let shown = '';
  child.stdout.on('data', (octets: Buffer) => {
    shown += octets.toString();
  });
  await new Promise((resolve) => child.on('close', resolve));
  return shown;
}

onTerminal('with -v both commands end with the phases on a terminal, also a narrow one', () =>
  within(60_000, async () => {
    const [nospoolCommand, sendmail] = ['nospool.mjs', 'sendmail.cjs'].map((file) =>
      fileURLToPath(new URL(`../../dist/${file}`, import.meta.url)),
    );
    const host = await smartHost();
    const { config, folder } = configured(`smarthosts = ["submission://127.0.0.1:${host.port}"]`);
    const message = path.join(folder, 'small.eml');
    writeFileSync(message, 'Subject: x\n\nx\n');
    for (const command of [
      `${nospoolCommand} send -v --config ${config} --to a@b.example ${message}`,
      `${sendmail} -v -C ${config} a@b.example <${message}`,
    ]) {
      const shown = await seeOnTerminal(`stty cols 40; ${process.execPath} ${command}; echo ended`, 'ended');
      const lines = shown.replaceAll('\r', '').split('\n');
      const first = lines.findIndex((line) => line.includes(`time at [127.0.0.1]:${host.port}:`));
      const phases = lines.slice(first + 1).flatMap((line) => /^\s*(\w+) +[\d.]+ ms/.exec(line) ?? []);
      assert.deepEqual(
        // "setup" is shown where it takes a moment.
        phases.filter((each) => /^\w+$/.test(each) && each !== 'setup'),
        ['message', 'resolve', 'TCP', 'greeting', 'EHLO', 'envelope', 'content', 'verdict', 'total'],
        shown,
      );
      for (const line of lines.slice(first)) assert.ok(line.length < 40, line);
    }
    await host.close();
  }),
);

onTerminal('O9: progress on a terminal of 40 columns stays in its line', () =>
  within(40_000, async () => {
    const built = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));
    const host = await smartHost();
    const { config, folder } = configured(`smarthosts = ["submission://127.0.0.1:${host.port}"]`);
    const message = path.join(folder, 'large.eml');
    writeFileSync(message, `Subject: x\n\n${`${'x'.repeat(70)}\n`.repeat(100_000)}`);
    const script = `stty cols 40; exec ${process.execPath} ${built} send --config ${config} --to a@b.example ${message}`;
    const shown = await seeOnTerminal(script, 'accepted by');
    await host.close();
    const lines = shown
      .split('\u001b[K')
      .slice(0, -1)
      .map((text) => text.slice(text.lastIndexOf('\r') + 1));
    assert.ok(lines.length > 1 && lines.some((line) => / %/.test(line)), JSON.stringify(shown));
    for (const line of lines) assert.ok(line.length < 40, line);
  }),
);

test('progress writes nothing for a small message, at most ten lines a second, always the last one, and leaves no trace', () => {
  const written: string[] = [];
  let time = 0;
  const line = (total: number | null) =>
    progressLine(
      total,
      (text) => written.push(text),
      () => 80,
      () => time,
    );
  const small = line(WORTH_SHOWING - 1);
  small.sent(WORTH_SHOWING - 1);
  small.end();
  const unknown = line(null);
  unknown.sent(WORTH_SHOWING - 1);
  unknown.end();
  assert.deepEqual(written, []);
  const large = line(10 * MIB);
  for (; time < 1000; time++) large.sent(time * 1000);
  assert.equal(written.length, 10);
  large.sent(10 * MIB);
  large.sent(10 * MIB);
  assert.equal(written.length, 11);
  assert.ok(written.at(-1)?.includes('waiting'));
  large.end();
  large.end();
  assert.equal(written.at(-1), '');
  assert.equal(written.length, 12);
});

test.run();
