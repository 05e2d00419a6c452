/**
 * Runs the built `sendmail` as its callers do, and looks at exit status, standard error, log lines, and the octets on the wire.
 * Loopback: how a password file is read and what -v shows are the subject; what goes over the wire is in test/world.
 */

import assert from 'node:assert';
import { type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { userInfo } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import { makeReply } from '../../src/smtp/server/answers.ts';
import {
  COMMAND,
  deadPort,
  ENVIRONMENT,
  type Ended,
  type Judge,
  killAll,
  RUNTIME,
  type Running,
  run,
  type SmartHost,
  scratch,
  setUp,
  smartHost,
  start,
  toHosts,
} from '../support/command.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { testWith } from '../support/where.ts';
import { within } from '../support/within.ts';

const test = suite('sendmail');
const onTerminal = testWith(test, 'bsdutils', existsSync('/usr/bin/script'));
test.after.each(killAll);

const LOGIN = userInfo().username;
const HEAD =
  'From: Fred <fred@foo.com>\nTo: Joe <joe@bar.com>\nDate: Sat, 1 Nov 2026 10:00:00 +0000\nMessage-ID: <1@foo.com>\nSubject: hello\n';
const LETTER = `${HEAD}\nHi Joe,\n.dotted\n`;
const crlf = (text: string): string => text.replaceAll('\n', '\r\n');
const SENT = '-f fred@foo.com joe@bar.com'.split(' ');

async function withHost<T>(
  judge: Judge | undefined,
  work: (host: SmartHost) => Promise<T>,
  receiving: Parameters<typeof smartHost>[1] = {},
  more: Parameters<typeof smartHost>[2] = {},
): Promise<T> {
  const host = await smartHost(judge, receiving, more);
  try {
    return await within(40_000, () => work(host));
  } finally {
    await host.close();
  }
}

/** Runs a shell command, in which `$S` is the command with its configuration. */
function shell(config: string, line: string, stdio: StdioOptions = 'pipe', environment: NodeJS.ProcessEnv = ENVIRONMENT): Promise<Ended> {
  const child = spawn('/bin/sh', ['-c', line], {
    stdio,
    env: { ...environment, NOSPOOL_CONFIG: config, S: `${RUNTIME.join(' ')} ${COMMAND}` },
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (part) => {
    stdout += part;
  });
  child.stderr?.on('data', (part) => {
    stderr += part;
  });
  child.stdin?.on('error', () => {}).end();
  return new Promise((resolve) => child.once('close', (status, signal) => resolve({ status, signal, stdout, stderr })));
}

const ok = ({ status, stdout, stderr }: Ended, why = ''): void => assert.deepEqual([status, stdout, stderr], [0, '', ''], why);
const failed = ({ status, stdout, stderr }: Ended, wanted: RegExp, why = ''): void => {
  assert.deepEqual([status, stdout], [1, ''], why);
  assert.match(stderr, wanted, why);
  for (const line of stderr.trimEnd().split('\n')) assert.match(line, /^sendmail: /, why);
};

/* ---- what goes through ---- */

test('a message that is sent makes silence, status 0, its octets on the wire, and three lines in the log', () =>
  withHost(undefined, async (host) => {
    const { config, logged, loggedFacts } = setUp(toHosts(host.port));
    ok(await run(config, ['-i', ...SENT, 'jane@bar.com'], LETTER));
    assert.deepEqual(host.messages, [
      {
        reversePath: '<fred@foo.com>',
        parameters: [{ keyword: 'SIZE', value: String(crlf(LETTER).length) }],
        recipients: ['<joe@bar.com>', '<jane@bar.com>'],
        recipientParameters: [[], []],
        content: crlf(LETTER),
        octets: crlf(LETTER).length,
        state: 'accepted',
      },
    ]);
    assert.deepEqual(loggedFacts(), [
      `<= fred@foo.com U=${LOGIN} P=local S=${crlf(LETTER).length} id=1@foo.com`,
      `=> joe@bar.com R=smarthosts T=smtp H=[127.0.0.1]:${host.port} C="250 2.0.0 message accepted"`,
      `-> jane@bar.com R=smarthosts T=smtp H=[127.0.0.1]:${host.port} C="250 2.0.0 message accepted"`,
      'Completed',
    ]);
    assert.match(logged(), /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \w{6}-\w{6}-\w{2} .*\n){4}$/);
  }));

test('log_format = "json" writes one object a message', () =>
  withHost(
    (q) => (q.about === 'recipient' && q.path.localPart === 'bad' ? makeReply(550, '5.1.1', 'unknown') : null),
    async (host) => {
      const { config, logged } = setUp(`${toHosts(host.port)}\nlog_format = "json"`);
      ok(await run(config, SENT, LETTER));
      failed(await run(config, ['-f', 'fred@foo.com', 'bad@bar.com'], LETTER), /550 5\.1\.1 unknown/);
      const [first, second] = logged()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.equal(first.outcome, 'accepted');
      assert.deepEqual(
        [first.from, first.to, first.octets, first.message_id],
        ['fred@foo.com', ['joe@bar.com'], crlf(LETTER).length, '<1@foo.com>'],
      );
      assert.equal(first.reply, '250 2.0.0 message accepted');
      assert.equal(second.outcome, 'failed');
      assert.deepEqual(second.reasons, [`[127.0.0.1]:${host.port}: RCPT TO:<bad@bar.com>: 550 5.1.1 unknown`]);
    },
  ));

test('recipients may be comma lists with names, comments and brackets; duplicates go, and bare ones are qualified', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(`${toHosts(host.port)}\nqualify_domain = "foo.com"`);
    // biome-ignore format: a table is read as a table
    const rows: readonly (readonly [readonly string[], readonly string[]])[] = [
      [['root,ops@bar.com'], ['root@foo.com', 'ops@bar.com']],
      [['a@b.com, "C, D" <c@d.com>', '<e@f.com>'], ['a@b.com', 'c@d.com', 'e@f.com']],
      [['a@b.com', 'a@B.COM', 'A@b.com'], ['a@b.com', 'A@b.com']],
      [['team: a@b.com, c@d.com;', 'x (comment) @y.com'], ['a@b.com', 'c@d.com', 'x@y.com']],
      [['--', '-odd@b.com'], ['-odd@b.com']],
      [['"quoted \\" part"@b.com', 'u@[192.0.2.1]'], ['"quoted \\" part"@b.com', 'u@[192.0.2.1]']],
    ];
    for (const [operands, wanted] of rows) {
      ok(await run(config, ['-i', ...operands], LETTER), operands.join(' '));
      assert.deepEqual(
        host.messages.at(-1)?.recipients,
        wanted.map((address) => `<${address}>`),
      );
    }
  }));

test('the reverse-path comes from -f, also the null one, from `from`, force_from, or the login', () =>
  withHost(undefined, async (host) => {
    // biome-ignore format: a table is read as a table
    const rows: readonly (readonly [string, readonly string[], string, RegExp, string?])[] = [
      ['', ['-f', 'joe@foo.com'], '<joe@foo.com>', /^From: .*joe@foo\.com/m],
      ['', ['-f', '<>'], '<>', /^From: /m],
      ['', ['-f', ''], '<>', /^From: /m],
      ['', ['-rjoe@foo.com', '-F', 'Joe'], '<joe@foo.com>', /^From: Joe <joe@foo\.com>\r$/m],
      ['', ['-f', 'joe'], '<joe@foo.com>', /^From: .*<?joe@foo\.com/m],
      ['', [], `<${LOGIN}@foo.com>`, /^From: /m],
      ['from = "{login}-box@foo.com"', [], `<${LOGIN}-box@foo.com>`, /^From: /m],
      ['from = "ops@foo.com"', ['-f', 'joe@foo.com'], '<joe@foo.com>', /^From: /m],
      ['from = "ops@foo.com"\nforce_from = true', ['-f', 'joe@foo.com'], '<ops@foo.com>', /^From: .*ops@foo\.com/m],
      ['from = "ops@foo.com"\nforce_from = true', ['-f', '<>'], '<>', /^From: .*ops@foo\.com/m],
      ['from = "ops@foo.com"\nforce_reverse_path = true', ['-f', 'joe@foo.com'], '<ops@foo.com>', /^From: .*ops@foo\.com/m],
      ['from = "ops@foo.com"\nforce_reverse_path = true', ['-f', '<>'], '<>', /^From: .*ops@foo\.com/m],
      ['from = "ops@foo.com"\nforce_reverse_path = true', ['-t', '-fjoe@foo.com'], '<ops@foo.com>', /^From: Joe <joe@foo\.com>\r$/m, 'From: Joe <joe@foo.com>\n'],
    ];
    for (const [toml, args, path, from, fields = ''] of rows) {
      const { config } = setUp(`${toHosts(host.port)}\nqualify_domain = "foo.com"\n${toml}`);
      ok(await run(config, ['-i', ...args, 'a@b.com'], `${fields}Subject: x\n\n`), `${toml} ${args}`);
      assert.equal(host.messages.at(-1)?.reversePath, path, `${toml} ${args}`);
      assert.match(host.messages.at(-1)?.content as string, from, `${toml} ${args}`);
    }
  }));

test('-t takes recipients from the fields or the Resent- fields, also with arguments, and Bcc goes in every case', () =>
  withHost(undefined, async (host) => {
    const fields = 'To: a@b.com,\n group: c@d.com (comment), "E, F" <e@f.com>;\nCc: =?utf-8?Q?J=C3=BCrgen?= <j@k.com>\nBcc: secret@b.com\n';
    const resent = `Resent-To: x@y.com\nResent-Bcc: hidden@y.com\n${fields}`;
    // biome-ignore format: a table is read as a table
    const rows: readonly (readonly [string, readonly string[], string, readonly string[], RegExp | null])[] = [
      ['', ['-t'], fields, ['a@b.com', 'c@d.com', 'e@f.com', 'j@k.com', 'secret@b.com'], /^bcc:/im],
      ['', ['-t', 'z@b.com'], fields, ['z@b.com', 'a@b.com', 'c@d.com', 'e@f.com', 'j@k.com', 'secret@b.com'], /^bcc:/im],
      ['arguments_with_t = "remove"', ['-t', 'c@d.com', 'secret@b.com'], fields, ['a@b.com', 'e@f.com', 'j@k.com'], /^bcc:/im],
      ['', ['-t'], resent, ['x@y.com', 'hidden@y.com'], /resent-bcc/i],
      ['', ['q@b.com'], fields, ['q@b.com'], /^bcc:/im],
      ['keep_bcc = true', ['q@b.com'], fields, ['q@b.com'], null],
    ];
    for (const [toml, args, head, wanted, gone] of rows) {
      const { config } = setUp(`${toHosts(host.port)}\n${toml}`);
      ok(await run(config, ['-i', '-ffred@foo.com', ...args], `${head}Subject: x\n\nbody\n`), args.join(' '));
      const message = host.messages.at(-1);
      assert.deepEqual([...(message?.recipients ?? [])].sort(), wanted.map((address) => `<${address}>`).sort(), args.join(' '));
      if (gone) assert.doesNotMatch(message?.content as string, gone);
      else assert.match(message?.content as string, /^Bcc: secret@b\.com\r$/m);
    }
  }));

test('-t with nobody, with one bad address or with a list that holds nothing sends nothing, and the error names the address', () =>
  withHost(undefined, async (host) => {
    // biome-ignore format: a table is read as a table
    const rows: readonly (readonly [string, readonly string[], string, RegExp])[] = [
      ['', ['-t'], 'Subject: x\n', /no recipients: .*To, Cc, Bcc fields hold no address/],
      ['', ['-t'], 'To: undisclosed-recipients:;\n', /no recipients/],
      ['', ['-t'], 'To: joe@bar.com, jane@@bar.com\n', /jane@@bar\.com/],
      ['', ['-t'], 'To: joe@bar.com\nCc: a@b..com\n', /a@b\.\.com/],
      ['arguments_with_t = "remove"', ['-t', 'joe@bar.com'], 'To: joe@bar.com\n', /no recipients: the arguments remove all/],
      ['', [], 'To: joe@bar.com\n', /no recipients: name them after the options, or use -t/],
      ['', ['a@b..com'], 'To: joe@bar.com\n', /a@b\.\.com/],
      ['', ['-f', 'a@b..com', 'joe@bar.com'], '', /-f "a@b\.\.com"/],
    ];
    for (const [toml, args, head, wanted] of rows) {
      const { config, loggedFacts } = setUp(`${toHosts(host.port)}\n${toml}`);
      failed(await run(config, ['-i', ...args], `${head}\nbody\n`), wanted, head);
      assert.ok(
        loggedFacts().some((line) => /^(U=\S+ P=local )?not sent: /.test(line) && wanted.test(line)),
        head,
      );
      assert.ok(!loggedFacts().some((line) => line.startsWith('<= <>')), head);
    }
    assert.equal(host.connections, 0);
  }));

test('a lone dot ends the message unless -i was given; what comes after it is not an error', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const text = `${HEAD}\nfirst\n..second\n.\nthird\n`;
    for (const [args, body] of [
      [[], 'first\r\n.second\r\n'],
      [['-i'], 'first\r\n..second\r\n.\r\nthird\r\n'],
      [['-oi'], 'first\r\n..second\r\n.\r\nthird\r\n'],
    ] as const) {
      ok(await run(config, [...args, ...SENT], text));
      assert.equal(host.messages.at(-1)?.content, `${crlf(HEAD)}\r\n${body}`);
    }
  }));

test('a dot ends the message at once, while the caller keeps the pipe open', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const running = start(config, SENT);
    running.child.stdin?.write(`${LETTER}.\n`);
    ok(await running.done);
    assert.equal(host.messages.length, 1);
  }));

test('-N, -R and -V reach a server that offers DSN; another hears nothing of them, and the log says so', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const args = ['-N', 'success,failure', '-Rhdrs', '-V', 'id+1', ...SENT];
    ok(await run(config, args, LETTER));
    const [message] = host.messages;
    assert.deepEqual(
      message?.parameters.filter(({ keyword }) => keyword !== 'SIZE'),
      [
        { keyword: 'RET', value: 'HDRS' },
        { keyword: 'ENVID', value: 'id+2B1' },
      ],
    );
    assert.deepEqual(message?.recipientParameters, [[{ keyword: 'NOTIFY', value: 'SUCCESS,FAILURE' }]]);
    const plain = await startHost();
    const other = setUp(toHosts(plain.port));
    ok(await run(other.config, args, LETTER));
    assert.ok(
      other.loggedFacts().some((line) => /DSN/.test(line)),
      other.logged(),
    );
    const strict = setUp(`${toHosts(plain.port)}\ndsn = "require"`);
    failed(await run(strict.config, args, LETTER), /does not offer DSN/);
    await plain.stop();
  }));

test('aliases replace, discard and refuse addresses, and ORCPT has the address as it was written', () =>
  withHost(undefined, async (host) => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'root: joe@bar.com, jane@bar.com\nnobody: :blackhole:\nloop: pool\npool: loop\npipe: |/bin/cat\n');
    const { config, loggedFacts } = setUp(`${toHosts(host.port)}\nqualify_domain = "foo.com"\naliases = ["${aliases}"]`);
    ok(await run(config, ['-N', 'never', 'root', 'nobody'], LETTER));
    assert.deepEqual(host.messages[0]?.recipients, ['<joe@bar.com>', '<jane@bar.com>']);
    assert.deepEqual(host.messages[0]?.recipientParameters[0], [
      { keyword: 'NOTIFY', value: 'NEVER' },
      { keyword: 'ORCPT', value: 'rfc822;root@foo.com' },
    ]);
    assert.match(loggedFacts().join('\n'), /=> :blackhole: <nobody@foo\.com> R=aliases\n=> joe@bar\.com <root@foo\.com> R=smarthosts /);
    ok(await run(config, ['nobody'], LETTER));
    failed(await run(config, ['joe@bar.com', 'pipe'], LETTER), /routing pipe@foo\.com yielded a local delivery/);
    assert.equal(host.connections, 1);
  }));

test('a caller can write a long message that aliases discard to its end', () =>
  within(30_000, async () => {
    const folder = scratch();
    writeFileSync(path.join(folder, 'aliases'), 'nobody: :blackhole:\n');
    const { config } = setUp(`${toHosts(await deadPort())}\nqualify_domain = "foo.com"\naliases = ["${path.join(folder, 'aliases')}"]`);
    const line = '{ printf "Subject: x\\n\\n"; head -c 5000000 /dev/zero; echo $? >&3; } 3>written | $S -i nobody; echo $?; cat written';
    const { stdout, stderr } = await shell(config, `cd ${folder}; ${line}`);
    assert.deepEqual([stdout, stderr], ['0\n0\n', '']);
  }));

test('errors_to of the route is the reverse-path', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(
      '',
      `[[router]]\nname = "all"\ndriver = "manualroute"\nhosts = ["smtp://127.0.0.1:${host.port}"]\nerrors_to = "bounces@foo.com"`,
    );
    ok(await run(config, SENT, LETTER));
    assert.equal(host.messages[0]?.reversePath, '<bounces@foo.com>');
  }));

/* ---- standard input of every kind ---- */

test('standard input may be a file, read from where its descriptor stands, a pipe or /dev/null, not a closed descriptor or a directory', () =>
  withHost(undefined, async (host) => {
    const { config, folder } = setUp(toHosts(host.port));
    const file = path.join(folder, 'letter');
    writeFileSync(file, LETTER);
    ok(await shell(config, `$S -i ${SENT.join(' ')} < ${file}`));
    ok(await shell(config, `cat ${file} | $S -i ${SENT.join(' ')}`));
    assert.deepEqual(
      host.messages.map(({ content }) => content),
      [crlf(LETTER), crlf(LETTER)],
    );
    const prefix = 'From fred Sat Nov  1 10:00:00 2026\njunk of a message before\n';
    writeFileSync(file, `${prefix}${LETTER}`);
    const fd = openSync(file, 'r');
    readSync(fd, Buffer.alloc(prefix.length), 0, prefix.length, null);
    ok(await shell(config, `$S -i ${SENT.join(' ')}`, [fd, 'pipe', 'pipe']));
    closeSync(fd);
    assert.equal(host.messages.at(-1)?.content, crlf(LETTER));
    for (const empty of ['< /dev/null', '<&-']) {
      ok(await shell(config, `$S -i ${SENT.join(' ')} ${empty}`), empty);
      assert.match(host.messages.at(-1)?.content as string, /^Message-ID: .*\r\nFrom: .*\r\nDate: .*\r\n\r\n$/);
    }
    const known = host.connections;
    failed(await shell(config, `$S -i ${SENT.join(' ')} < /`), /standard input cannot be read: .*\(EISDIR\)/);
    assert.equal(host.connections, known);
  }));

onTerminal('a person at a terminal reads a hint, then types lines until a dot or Ctrl-D', () =>
  within(20_000, async () => {
    await withHost(undefined, async (host) => {
      const { config, folder } = setUp(toHosts(host.port));
      for (const [args, typed, hint] of [
        ['', 'Subject: typed\n\nby hand\n.\n', /end it with Ctrl-D or a line with a single dot/],
        ['-i', 'Subject: typed\n\nby hand\n.\n\u0004', /end it with Ctrl-D\r?\n/],
      ] as const) {
        const child = spawn(
          '/usr/bin/script',
          ['-qec', `${RUNTIME.join(' ')} ${COMMAND} ${args} ${SENT.join(' ')}`, path.join(folder, 'typescript')],
          {
            env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config },
            stdio: ['pipe', 'pipe', 'pipe'],
          },
        );
        let shown = '';
        let isTyped = false;
        child.stdout.on('data', (part) => {
          shown += part;
          if (isTyped || !/reading the message from the terminal/.test(shown)) return;
          isTyped = true;
          child.stdin.write(typed);
          if (args === '') child.stdin.end();
        });
        const [status] = await once(child, 'close');
        assert.match(shown, hint);
        assert.equal(status, 0, shown);
        assert.match(host.messages.at(-1)?.content as string, args === '' ? /\r\n\r\nby hand\r\n$/ : /\r\n\r\nby hand\r\n\.\r\n$/);
      }
      // A person hears that the message is for nobody before writing it.
      const { stdout } = spawnSync('/usr/bin/script', ['-qec', `${RUNTIME.join(' ')} ${COMMAND}`, '/dev/null'], {
        env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config },
        input: '',
      });
      assert.match(stdout.toString(), /no recipients: name them after the options, or use -t/);
      assert.doesNotMatch(stdout.toString(), /reading the message/);
    });
  }),
);

test('a slow writer holds no connection while it stays in the window', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(toHosts(host.port));
    const running = start(config, ['-i', ...SENT]);
    for (const part of [HEAD, '\nfirst\n', 'x'.repeat(200_000), '\nlast\n']) {
      running.child.stdin?.write(part);
      await new Promise((resolve) => setTimeout(resolve, 60));
      assert.equal(host.connections, 0);
    }
    running.child.stdin?.end();
    ok(await running.done);
    assert.equal(host.connections, 1);
  }));

/** Runs the command as inetd does, with what has connected to the port as its standard input. */
const INETD = `const [port, letter, program, ...args] = process.argv.slice(1);
const { createServer, connect } = require('node:net');
createServer({ pauseOnConnect: true }, (socket) => {
  const child = require('node:child_process').spawn(program, args, { stdio: [socket, 'inherit', 'inherit'] });
  child.on('close', (status) => process.exit(status));
}).listen(port, '127.0.0.1', () => connect(port, '127.0.0.1').on('error', () => {}).end(letter));`;

test('T1: a network socket of a port below 1024 comes from inetd and is refused; a pair of sockets is not', () =>
  within(20_000, async () => {
    await withHost(undefined, async (host) => {
      const { config } = setUp(toHosts(host.port));
      // A pipe of Node is a socket pair.
      ok(await run(config, SENT, LETTER));
      if (spawnSync('unshare', ['--net', 'true']).status !== 0) return;
      // Any low port of this host may be taken; in a network of its own none is.
      const command = [...RUNTIME, COMMAND, '-C', config, ...SENT];
      const words = [
        '--net',
        'sh',
        '-c',
        'ip link set lo up && exec "$@"',
        'sh',
        process.execPath,
        '-e',
        INETD,
        '1023',
        LETTER,
        ...command,
      ];
      const child = spawn('unshare', words, { env: { ...ENVIRONMENT, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
      let said = '';
      child.stderr.on('data', (part) => {
        said += part;
      });
      const [status] = await once(child, 'close');
      assert.equal(status, 1, said);
      assert.match(said, /no input from inetd/);
      assert.equal(host.connections, 1);
    });
  }));

/* ---- signals ---- */

test('after a signal before the end of the input nothing is sent, with status 1; SIGHUP changes nothing', () =>
  withHost(undefined, async (host) => {
    const { config, loggedFacts } = setUp(toHosts(host.port));
    for (const [signal, text] of [
      ['SIGTERM', HEAD],
      ['SIGINT', HEAD],
      ['SIGTERM', `${HEAD}\nbody\n`],
    ] as const) {
      const running = await listening(config);
      running.child.stdin?.write(text);
      // Most often it has read that by then.
      await new Promise((resolve) => setTimeout(resolve, 50));
      running.child.kill('SIGHUP');
      running.child.kill(signal);
      failed(await running.done, new RegExp(`^sendmail: ended by ${signal}\n$`));
      assert.equal(loggedFacts().filter((line) => /ended by SIG/.test(line)).length, 1);
    }
    assert.equal(host.connections, 0);
    const running = await listening(config);
    running.child.stdin?.write(LETTER);
    running.child.kill('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 100));
    running.child.stdin?.end();
    ok(await running.done);
  }));

/** Starts a run and waits until it listens for signals: it does so before it opens its log, and opens that before it reads anything. */
async function listening(config: string): Promise<Running> {
  const log = path.join(path.dirname(config), 'log');
  rmSync(log, { force: true });
  const running = start(config, ['-i', ...SENT]);
  while (!existsSync(log)) await new Promise((resolve) => setTimeout(resolve, 10));
  return running;
}

test('a signal in the content ends the connection without a terminator, with status 1', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(`${toHosts(host.port)}\nreplay_window = "16KiB"`);
    const running = start(config, ['-i', ...SENT]);
    running.child.stdin?.write(`${HEAD}\n${'x'.repeat(78).concat('\n').repeat(2000)}`);
    await host.until(() => (host.messages[0]?.octets ?? 0) > 20_000);
    running.child.kill('SIGTERM');
    failed(await running.done, /ended by SIGTERM/);
    await host.until(() => host.messages[0]?.state === 'abandoned');
    assert.ok(!host.lines.includes('C: .'));
  }));

test('after a signal behind the commit the verdict is still the outcome; a second signal makes it uncertain', async () => {
  for (const [answer, second] of [
    [null, false],
    [makeReply(550, '5.7.1', 'no'), false],
    [null, true],
  ] as const) {
    let release = (): void => {};
    let asked = false;
    const held = new Promise<typeof answer>((resolve) => {
      release = () => resolve(answer);
    });
    await withHost(
      ({ about }) => {
        if (about !== 'content') return null;
        asked = true;
        return held;
      },
      async (host) => {
        const { config, loggedFacts } = setUp(toHosts(host.port));
        const running = start(config, ['-i', ...SENT]);
        running.child.stdin?.end(LETTER);
        await host.until(() => asked);
        running.child.kill('SIGTERM');
        await new Promise((resolve) => setTimeout(resolve, 150));
        assert.equal(running.child.exitCode, null);
        if (second) running.child.kill('SIGINT');
        else release();
        const ended = await running.done;
        release();
        if (second) {
          failed(
            ended,
            /the message was sent and no verdict came back \(.*SIG.*\): it may have been delivered\nsendmail: look for Message-ID <1@foo\.com>/,
          );
          assert.ok(loggedFacts().includes('Uncertain: the smart host may have the message'));
        } else if (answer === null) ok(ended);
        else failed(ended, /the content: 550 5\.7\.1 no/);
      },
    );
  }
});

test('P7: content that is cut is a connection that breaks, never one that ends, because a server may take what came for whole', async () => {
  for (const offers of ['250-PIPELINING\r\n250 CHUNKING', '250 PIPELINING']) {
    let end = '';
    let heard = 0;
    const server = createServer((socket) => {
      socket.write('220 x\r\n');
      socket.on('data', (octets) => {
        heard += octets.length;
        for (const [verb] of octets.toString('latin1').matchAll(/^(EHLO|MAIL|RCPT|DATA)/gm))
          socket.write(`${verb === 'EHLO' ? offers : verb === 'DATA' ? '354 go' : '250 ok'}\r\n`);
      });
      socket.on('end', () => {
        end = 'end';
      });
      socket.on('error', ({ code }: NodeJS.ErrnoException) => {
        end ||= String(code);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const running = start(setUp(toHosts((server.address() as AddressInfo).port)).config, ['-i', ...SENT]);
    running.child.stdin?.write(`${LETTER}${'more\n'.repeat(100_000)}`);
    // All that was written is read, because Node 20 and 22 hear an end where a reset stands right behind octets.
    await within(10_000, async () => {
      for (let before = -1; heard < 100_000 || heard !== before; ) {
        before = heard;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    });
    running.child.kill('SIGTERM');
    failed(await running.done, /ended by SIGTERM/);
    await within(10_000, async () => {
      while (end === '') await new Promise((resolve) => setTimeout(resolve, 10));
    });
    assert.equal(end, 'ECONNRESET', offers);
    server.close();
  }
});

test('a signal ends the reading of what a caller still writes after a failure', () =>
  // Less than the reading would take.
  within(8000, async () => {
    const { config } = setUp('smarthosts = ["unix:/nowhere"]');
    for (const [args, text] of [
      [['-i', ...SENT], LETTER],
      [['-bS'], `MAIL FROM:<a@x.example>\nRCPT TO:<b@x.example>\nDATA\n${LETTER}.\n`],
    ] as const) {
      const running = start(config, args);
      running.child.stdin?.write(text);
      if (args[0] === '-i') running.child.stdin?.write('x\n'.repeat(200_000));
      await once(running.child.stderr as NodeJS.ReadableStream, 'data');
      running.child.kill('SIGTERM');
      const { status, stderr } = await running.done;
      assert.equal(status, 1);
      assert.match(stderr, /no such socket/);
    }
  }));

test('P13: a caller who reads our reasons only when all is written gets all of them', () =>
  withHost(
    ({ about }) => (about === 'recipient' ? makeReply(550, '5.1.1', 'no '.repeat(100)) : null),
    async (host) => {
      const { config } = setUp(toHosts(host.port));
      const to = Array.from({ length: 900 }, (_, i) => `u${i}@x.example`);
      const env = { ...ENVIRONMENT, NOSPOOL_CONFIG: config };
      const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), COMMAND, '-i', ...to], { env });
      const closed = once(child, 'close');
      let stderr = '';
      child.stderr
        .on('data', (part) => {
          stderr += part;
        })
        .pause();
      child.stdin.end(LETTER + 'x\n'.repeat(500_000));
      await once(child.stdin, 'finish');
      child.stderr.resume();
      assert.deepEqual(await closed, [1, null]);
      assert.equal(stderr.split('\n').length, 901);
    },
  ));

test('the log tells when a message went, however long its caller took to write it', () =>
  withHost(undefined, async (host) => {
    const { config, logged } = setUp(`${toHosts(host.port)}\nlog_format = "json"`);
    const running = start(config, SENT);
    running.child.stdin?.write(HEAD);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const ended = Date.now();
    running.child.stdin?.end('\nbody\n');
    ok(await running.done);
    const { time } = JSON.parse(logged());
    assert.ok(Date.parse(time) >= ended, `${time} ${ended}`);
  }));

test('P6: the log has the reasons where standard error is a pipe that nobody reads', () =>
  withHost(
    ({ about }) => (about === 'recipient' ? makeReply(550, '5.1.1', 'no '.repeat(100)) : null),
    async (host) => {
      const { config, loggedFacts } = setUp(toHosts(host.port));
      const pipe = path.join(scratch(), 'pipe');
      spawnSync('mkfifo', [pipe]);
      // So that the pipe has a reader, who does not read.
      const stderr = openSync(pipe, 'r+');
      const to = Array.from({ length: 900 }, (_, i) => `u${i}@x.example`);
      const { child, done } = start(config, ['-i', ...to], { stdio: ['pipe', 'ignore', stderr] });
      child.stdin?.end(LETTER);
      await within(30_000, async () => {
        while (!loggedFacts().includes('Failed: nobody has the message')) await new Promise((resolve) => setTimeout(resolve, 20));
      });
      // It waits for the reader, which it would not if it had done so before.
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.equal(child.exitCode, null);
      child.kill('SIGKILL');
      await done;
      closeSync(stderr);
    },
  ));

test('a message that was accepted ends with status 0 where standard error is a full pipe that nobody reads', () =>
  withHost(undefined, async (host) => {
    const pipe = path.join(scratch(), 'pipe');
    spawnSync('mkfifo', [pipe]);
    const filling = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    assert.throws(() => {
      for (;;) writeSync(filling, 'x'.repeat(4096));
    }, /EAGAIN/);
    const stderr = openSync(pipe, 'r+');
    for (const [log, args] of [
      ['stderr', SENT],
      ['none', ['-v', ...SENT]],
    ] as const) {
      const { config } = setUp(`${toHosts(host.port)}\nlog = "${log}"`);
      const { child, done } = start(config, args, { stdio: ['pipe', 'ignore', stderr] });
      child.stdin?.end(LETTER);
      assert.equal((await within(60_000, () => done)).status, 0, log);
    }
    const wrong = start('/nonexistent', SENT, { stdio: ['pipe', 'ignore', stderr] });
    wrong.child.stdin?.end(LETTER);
    assert.equal((await within(60_000, () => wrong.done)).status, 1);
    for (const fd of [filling, stderr]) closeSync(fd);
    assert.deepEqual(
      host.messages.map(({ state }) => state),
      ['accepted', 'accepted'],
    );
  }));

test('S12: timeouts.deadline ends a delivery, whatever it waits for, and not the wait for a slow message', () =>
  within(20_000, async () => {
    const host = await startHost({ script: { EHLO: 'hang' } });
    const { config } = setUp(toHosts(host.port), '[timeouts]\ndeadline = "300ms"');
    failed(await run(config, SENT, LETTER), /the deadline of 0\.3 s has passed \(timeouts\.deadline\)/);
    await host.stop();
    const patient = await smartHost();
    const slow = start(setUp(toHosts(patient.port), '[timeouts]\ndeadline = "300ms"').config, SENT);
    slow.child.stdin?.write('Subject: x\n\nbegun');
    await new Promise((resolve) => setTimeout(resolve, 700));
    slow.child.stdin?.end(' and done\n');
    ok(await slow.done);
    assert.equal(patient.messages[0]?.state, 'accepted');
    await patient.close();
  }));

test('S12: SIGTERM and the deadline end password_command with all that it has started', () =>
  within(30_000, async () => {
    const host = await smartHost();
    // Seconds that no other process sleeps, not even that of another run of this file.
    const seconds = `31.4${process.pid}`;
    const isAlive = (): boolean =>
      readdirSync('/proc').some((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(`sleep\0${seconds}`);
        } catch {
          return false;
        }
      });
    const until = async (holds: () => boolean) => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    for (const [how, timeouts, expected] of [
      ['SIGTERM', '', /ended by SIGTERM/],
      ['deadline', '[timeouts]\ndeadline = "5s"', /the deadline of 5 s has passed/],
    ] as const) {
      const command = `password_command = ["/bin/sh", "-c", "sleep ${seconds} & sleep ${seconds}"]`;
      const { child, done } = start(setUp(toHosts(host.port), `[auth]\nuser = "u"\n${command}\n${timeouts}`).config, SENT);
      child.stdin?.end(LETTER);
      await until(isAlive);
      if (how === 'SIGTERM') child.kill('SIGTERM');
      failed(await done, expected);
      await until(() => !isAlive());
    }
    await host.close();
  }));

/* ---- what is no message ---- */

test('sendmail says that there is no queue and no daemon without reading anything', () =>
  within(20_000, async () => {
    const { config } = setUp(toHosts(await deadPort()));
    // biome-ignore format: a table is read as a table
    const rows: readonly (readonly [readonly string[], number, RegExp, RegExp])[] = [
      [['-bp'], 0, /^Mail queue is empty\n$/, /^$/],
      [['-q'], 0, /^$/, /^$/],
      [['-qf'], 0, /^$/, /^$/],
      [['-qRfoo'], 0, /^$/, /^$/],
      [['-Mrm', '1abcde-000001-AB'], 0, /^$/, /^$/],
      [['-bd'], 1, /^$/, /^sendmail: no daemon: .*\n$/],
      [['-bdf'], 1, /^$/, /^sendmail: no daemon: /],
      [['-q30m'], 1, /^$/, /^sendmail: no daemon: /],
      [['-bd', '-q30m'], 1, /^$/, /^sendmail: no daemon: /],
      [['-bV'], 0, /^nospool \d+\.\d+\.\d+\nruntime {8}(Node|Bun) \d\S+ \(\/\S+\)\nconfiguration {2}\/\S+\.toml\nlog {12}\S+\n$/, /^$/],
      [['--version'], 0, /^nospool \d/, /^$/],
      [['--help'], 0, /^usage: sendmail /, /^$/],
    ];
    for (const [args, status, stdout, stderr] of rows) {
      // The pipe stays open and empty.
      const got = await start(config, args).done;
      assert.equal(got.status, status, args.join(' '));
      assert.match(got.stdout, stdout, args.join(' '));
      assert.match(got.stderr, stderr, args.join(' '));
    }
  }));

// Bun tells a program the file behind the link, so the installed scripts make options of the names there.
if (process.env.TEST_COMMAND_RUNTIME === undefined)
  test('a link by the name mailq, newaliases, runq, rsmtp or rmail does what it is called', () =>
    withHost(undefined, async (host) => {
      const { config, folder } = setUp(toHosts(host.port));
      const called = (name: string, args: readonly string[], input: string) => {
        const link = path.join(folder, name);
        symlinkSync(COMMAND, link);
        return new Promise<Ended>((resolve) => {
          const child = spawn(RUNTIME[0], [...RUNTIME.slice(1), link, ...args], { env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config } });
          let stdout = '';
          let stderr = '';
          child.stdout.on('data', (part) => {
            stdout += part;
          });
          child.stderr.on('data', (part) => {
            stderr += part;
          });
          child.stdin.on('error', () => {}).end(input);
          child.once('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
        });
      };
      assert.equal((await called('mailq', [], '')).stdout, 'Mail queue is empty\n');
      assert.match((await called('newaliases', [], '')).stdout, /^0 aliases\n$/);
      ok(await called('runq', [], ''));
      ok(await called('rsmtp', [], `MAIL FROM:<fred@foo.com>\nRCPT TO:<joe@bar.com>\nDATA\n${LETTER}.\n`));
      ok(await called('rmail', ['joe@bar.com'], `From fred Sat Nov  1 10:00:00 2026 remote from host\n${HEAD}\n.\nrest\n`));
      assert.match(host.messages[1]?.content as string, /^From: Fred[\s\S]*\r\n\r\n\.\r\nrest\r\n$/);
    }));

test('-bt, -bv and -bi look at the routing and deliver nothing', () =>
  within(30_000, async () => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'root: joe@bar.com\ngone: ":fail: left"\nbroken: "open\n');
    const port = await deadPort();
    const { config } = setUp(`${toHosts(port)}\nqualify_domain = "foo.com"\naliases = ["${aliases}"]`);
    const tree = await start(config, ['-bt', 'root']).done;
    assert.equal(tree.status, 0, tree.stderr);
    assert.match(tree.stdout, /root@foo\.com\n[\s\S]*joe@bar\.com\n[\s\S]*127\.0\.0\.1/);
    const good = await start(config, ['-bv', 'root', 'a@b.com']).done;
    assert.deepEqual([good.status, good.stdout, good.stderr], [0, 'root@foo.com can be delivered\na@b.com can be delivered\n', '']);
    const bad = await start(config, ['-bv', 'root', 'gone']).done;
    assert.equal(bad.status, 1);
    assert.equal(bad.stdout, 'root@foo.com can be delivered\ngone@foo.com cannot be delivered\n');
    assert.match(bad.stderr, /routing gone@foo\.com yielded a failed delivery: left/);
    const nobody = await start(config, ['-bt']).done;
    failed(nobody, /-bt and -bv need an address/);
    const check = await start(config, ['-bi']).done;
    assert.equal(check.status, 1);
    assert.match(check.stdout, /^3 aliases/);
    assert.match(check.stderr, /aliases:3/);
  }));

test('O9: newaliases tells of entries and files that never count, and where files and programs stand', () =>
  within(30_000, async () => {
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'root: joe@bar.com\npipe: "|/bin/cat"\nRoot: sue@bar.com\n');
    const head = `${toHosts(9)}\nqualify_domain = "foo.com"\naliases = ["${aliases}"]`;
    const { config } = setUp(head);
    const read = await start(config, ['-bi']).done;
    assert.equal(read.status, 0);
    assert.equal(
      read.stdout,
      `3 aliases, 1 of them for files or pipes:\n${aliases}:2: |/bin/cat: a file or a program, which fails the message\n`,
    );
    assert.equal(read.stderr, `sendmail: ${aliases}:3: "root" is in line 1 already, and that one counts\n`);
    const routed = await start(config, ['-bv', 'pipe']).done;
    assert.equal(routed.status, 1);
    assert.match(routed.stderr, /routing pipe@foo\.com yielded a local delivery: to \|\/bin\/cat, by \S+aliases:2/);
    const hidden = setUp(head, '[[router]]\nname = "a"\ndriver = "redirect"\ndata = { root = "joe@bar.com" }');
    const unread = await start(hidden.config, ['-bi']).done;
    assert.equal(unread.status, 0);
    assert.equal(unread.stdout, '0 aliases\n');
    assert.match(
      unread.stderr,
      /aliases is not read: where a \[\[router\]\] is written, an alias file needs one of its own, driver = "redirect", file = "/,
    );
    const named = setUp(head, `[[router]]\nname = "a"\ndriver = "redirect"\nfile = "${aliases}"`);
    assert.doesNotMatch((await start(named.config, ['-bi']).done).stderr, /is not read/);
  }));

/* ---- surroundings ---- */

test('a message is sent with descriptors 1 and 2 closed, and without PATH and HOME', () =>
  withHost(undefined, async (host) => {
    const { config, folder } = setUp(toHosts(host.port));
    const file = path.join(folder, 'letter');
    writeFileSync(file, LETTER);
    const bare = await shell(config, `exec $S -i ${SENT.join(' ')} < ${file} >&- 2>&-`, 'pipe', {});
    assert.equal(bare.status, 0);
    const failing = await shell(config, `exec $S -i a@b..com < ${file} >&- 2>&-`, 'pipe', {});
    assert.equal(failing.status, 1);
    const env = await start(config, ['-i', ...SENT], { env: {}, cwd: '/' });
    env.child.stdin?.end(LETTER);
    ok(await env.done);
    assert.equal(host.messages.length, 2);
    // Nothing of a message goes where a closed descriptor was.
    assert.equal(readFileSync(file, 'utf8'), LETTER);
  }));

test('a failure and -v tell of a log that cannot be written', () =>
  withHost(
    (q) => (q.about === 'recipient' && q.path.localPart === 'bad' ? makeReply(550, '5.1.1', 'unknown') : null),
    async (host) => {
      const { config } = setUp(`${toHosts(host.port)}\nlog = "/nonexistent/log"`);
      ok(await run(config, SENT, LETTER));
      const verbose = await run(config, ['-v', ...SENT], LETTER);
      assert.equal(verbose.status, 0);
      assert.match(verbose.stderr, /^sendmail: cannot write the log \/nonexistent\/log as uid \d+: /m);
      failed(
        await run(config, ['bad@bar.com', '-ffred@foo.com'].reverse(), LETTER),
        /550 5\.1\.1 unknown\nsendmail: cannot write the log \/nonexistent\/log as uid \d+: ENOENT/,
      );
    },
  ));

for (const extensions of [
  ['PIPELINING', '8BITMIME'],
  ['PIPELINING', '8BITMIME', 'CHUNKING'],
])
  test(`O8: a message that was streamed has its size in the log; one that was not taken has none: ${extensions.join(', ')}`, () =>
    withHost(
      (q) => (q.about === 'recipient' && q.path.localPart === 'bad' ? makeReply(550, '5.1.1', 'no') : null),
      async (host) => {
        const text = `${HEAD}\n${'line of a long message\n'.repeat(20_000)}`;
        const { config, loggedFacts } = setUp(`${toHosts(host.port)}\nreplay_window = "64KiB"`);
        ok(await run(config, ['-i', ...SENT], text));
        assert.equal(/ S=(\d+) /.exec(loggedFacts()[0] ?? '')?.[1], String(crlf(text).length));
        assert.equal(host.messages[0]?.octets, crlf(text).length);
        failed(await run(config, ['-i', '-f', 'fred@foo.com', 'bad@bar.com'], text), /550/);
        assert.ok(!/ S=/.test(loggedFacts().at(-4) ?? 'S='), loggedFacts().join('\n'));
      },
      { extensions },
    ));

test('runs at the same time share one log, line by line', () =>
  withHost(undefined, async (host) => {
    const { config, logged } = setUp(toHosts(host.port));
    await Promise.all(Array.from({ length: 12 }, () => run(config, ['-i', ...SENT], LETTER)));
    assert.match(logged(), /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \w{6}-\w{6}-\w{2} (<=|=>|Completed).*\n){36}$/);
  }));

test('after an early failure the caller can write all it has, and reads the reason', () =>
  withHost(
    (q) => (q.about === 'recipient' ? makeReply(550, '5.1.1', 'unknown') : null),
    async (host) => {
      const { config } = setUp(toHosts(host.port));
      const large = Buffer.from(`${HEAD}\n${'x'.repeat(78).concat('\n').repeat(100_000)}`);
      // biome-ignore format: a table is read as a table
      const rows: readonly (readonly [string | null, readonly string[], RegExp])[] = [
        [config, SENT, /550 5\.1\.1 unknown/],
        [config, ['-i', 'a@b..com'], /a@b\.\.com/],
        [config, ['-f', 'a@@', 'joe@bar.com'], /-f "a@@"/],
        [config, [], /no recipients/],
        ['/nonexistent/nospool.toml', SENT, /\/nonexistent\/nospool\.toml/],
      ];
      for (const [file, args, wanted] of rows) {
        const { child, done } = start(file, args);
        let broken = false;
        child.stdin?.on('error', () => {
          broken = true;
        });
        child.stdin?.end(large);
        failed(await done, wanted, args.join(' '));
        assert.ok(!broken && child.stdin?.writableFinished, `${args.join(' ')}: all was written`);
      }
    },
  ));

test('a wrong configuration is an error that names file, line and key, with status 1', () =>
  within(20_000, async () => {
    const { config } = setUp('smarthost = "smtp://127.0.0.1"');
    failed(await run(config, SENT, LETTER), /nospool\.toml.*smarthost.*smarthosts/s);
    const none = setUp('');
    failed(await run(none.config, SENT, LETTER), /no smart host is configured: set smarthosts, or run "nospool init"/);
    const both = await run(config, ['-bt', 'a@b.com'], '');
    assert.equal(both.status, 1);
  }));

test('the environment alone can be the configuration', () =>
  withHost(undefined, async (host) => {
    const { log } = setUp('');
    const env = {
      ...ENVIRONMENT,
      NOSPOOL_SMARTHOSTS: `smtp://127.0.0.1:${host.port}`,
      NOSPOOL_LOG: log,
      NOSPOOL_HOSTNAME: 'c.example.org',
      NOSPOOL_CONFIG: '/dev/null',
    };
    ok(await run(null, SENT, LETTER, { env }));
    assert.equal(host.messages.length, 1);
    failed(await run(null, SENT, LETTER, { env: { ...env, NOSPOOL_SMARTHOST: 'x' } }), /NOSPOOL_SMARTHOST\b.*NOSPOOL_SMARTHOSTS/s);
  }));

test('exit_codes = "sysexits" chooses the exit status of each failure', () =>
  within(40_000, async () => {
    // biome-ignore format: a table is read as a table
    const rows: readonly (readonly [NonNullable<SmarthostOptions['script']> | null, readonly string[], number, string])[] = [
      [{}, SENT, 0, 'taken'],
      [{}, [], 64, 'usage'],
      [{}, ['-j'], 64, 'an option that nobody has'],
      [{}, ['-bd'], 64, 'a daemon'],
      [{}, ['-C', '/nonexistent', ...SENT], 1, 'a configuration that is not there, and so says nothing'],
      [{}, ['-f', 'a@@', 'b@c.com'], 64, 'usage'],
      [{}, ['a@b..com'], 65, 'a wrong address'],
      [{ RCPT: '550 no' }, SENT, 65, 'an address that is refused'],
      [{ RCPT: '450 later' }, SENT, 69, 'one that is refused for now'],
      [{ DATA: '554 no' }, SENT, 69, 'DATA'],
      [{ end: '554 no' }, SENT, 69, 'the content'],
      [{ end: 'drop' }, SENT, 76, 'uncertain'],
      [{ MAIL: 'drop' }, SENT, 76, 'lost'],
      [{ EHLO: 'hang' }, SENT, 74, 'time-out'],
      [{ greeting: 'nonsense' }, SENT, 76, 'no SMTP'],
      [null, SENT, 75, 'connection refused'],
    ];
    for (const [script, args, wanted, why] of rows) {
      const host = script === null ? null : await startHost({ script });
      const { config } = setUp(`${toHosts(host?.port ?? (await deadPort()))}\nexit_codes = "sysexits"`, '[timeouts]\ncommand = "300ms"');
      const { status, stderr } = await run(config, args, LETTER);
      await host?.stop();
      assert.equal(status, wanted, `${why}: ${stderr}`);
    }
  }));

test('exit_codes = "sysexits" counts also where the rest of the configuration is wrong, and where the input is', () =>
  within(20_000, async () => {
    const host = await startHost();
    const { config } = setUp(`${toHosts(host.port)}\nexit_codes = "sysexits"`);
    const wrong = setUp('exit_codes = "sysexits"\nsmarthost = "x"');
    assert.equal((await run(wrong.config, SENT, LETTER)).status, 78);
    assert.equal((await run(wrong.config, ['-j'], LETTER)).status, 64);
    const own = 'exit_codes = "sysexits"\nhostname = "vm"\n';
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'later: :defer: not now\nnever: :fail: no\nlocal: /var/mail/local\n');
    const aliased = `aliases = ["${aliases}"]\n`;
    for (const [lines, args, wanted, why] of [
      ['', SENT, 78, 'no smart host'],
      ['', ['root'], 78, 'no smart host, and no domain for the sender'],
      ['', ['-f', 'me@example.org', 'you'], 78, 'no smart host, and no domain for the recipient'],
      ['aliases = ["/dev/null"]\n', SENT, 78, 'no smart host, but aliases'],
      [aliased, ['-f', 'me@example.org', 'later@vm'], 75, 'no smart host, and an alias that defers'],
      [aliased, ['-f', 'me@example.org', 'never@vm'], 65, 'no smart host, and an alias that fails'],
      [aliased, ['-f', 'me@example.org', 'local@vm'], 65, 'no smart host, and an alias for a local delivery'],
      [aliased, ['-f', 'me@example.org', 'later@vm', 'bob@example.org'], 78, 'no smart host, which one of two addresses lacks'],
      ['smarthosts = ["127.0.0.1:9"]\n', ['root'], 78, 'no domain for the sender'],
      ['smarthosts = ["127.0.0.1:9"]\n', ['-f', 'me@example.org', 'you'], 65, 'no domain for the recipient'],
      ['log_format = "xml"\n', SENT, 78, 'a log that cannot be used'],
      ['log = "here"\n', SENT, 78, 'a log that is nowhere'],
      ['log_format = "xml"\n', ['-j'], 64, 'a log that cannot be used, and an unknown option'],
    ] as const) {
      const { status, stderr } = await run(setUp(own + lines).config, args, LETTER);
      assert.equal(status, wanted, `${why}: ${stderr}`);
    }
    const folder = openSync('/', 'r');
    assert.equal((await start(config, SENT, { stdio: [folder, 'pipe', 'pipe'] }).done).status, 74);
    closeSync(folder);
    const { child, done } = await listening(config);
    child.stdin?.write('Subject: x\n\nb');
    child.kill('SIGTERM');
    assert.equal((await done).status, 74);
    await host.stop();
    assert.deepEqual(host.held, []);
  }));

test('S11: a few lines tell of aliases that name each other, and of a list with thousands of faults', () =>
  within(60_000, async () => {
    const folder = scratch();
    const aliases = path.join(folder, 'aliases');
    const names = Array.from({ length: 60 }, (_, i) => `n${i}`);
    const knot = names.map((name) => `${name}: ${names.join(', ')}\n`).join('');
    const elsewhere = Array.from({ length: 300_000 }, (_, i) => `m${i}`).join(', ');
    writeFileSync(aliases, `${knot}many: ${elsewhere}\n`);
    const { config, logged } = setUp(`aliases = ["${aliases}"]\nqualify_domain = "b.example"`);
    for (const [name, words] of [
      ['n0', /^sendmail: routing n0@b\.example yielded a deferred delivery: routing is given up, because .*\n$/],
      ['many', /\nsendmail: and 299900 more\n$/],
    ] as const)
      for (const args of [
        ['-f', 'a@b.example', name],
        ['-bv', name],
      ]) {
        const { status, stderr } = await run(config, args, LETTER);
        assert.equal(status, 1);
        assert.match(stderr, words);
        assert.ok(stderr.split('\n').length <= 102, `${stderr.split('\n').length} lines`);
        assert.doesNotMatch(stderr, /bug/);
      }
    assert.ok(logged().split('\n').length < 10, logged().slice(0, 1000));
  }));

/* ---- what is shown ---- */

test('-v shows the conversation, -d also how it came to it, and neither shows a secret', () =>
  withHost(
    undefined,
    async (host) => {
      const folder = scratch();
      const secret = path.join(folder, 'password');
      writeFileSync(secret, 'correct horse battery', { mode: 0o600 });
      const { config } = setUp(toHosts(host.port), `[auth]\nuser = "fred"\npassword_file = "${secret}"`);
      const verbose = await run(config, ['-v', ...SENT], LETTER);
      assert.deepEqual([verbose.status, verbose.stdout], [0, ''], verbose.stderr);
      assert.match(
        verbose.stderr,
        /^S: 220 smart\.example\.org.*\nC: EHLO client\.example\.org {2}\(\d+ ms\)\n[\s\S]*C: MAIL FROM:<fred@foo\.com>.*\n/,
      );
      const detailed = await run(config, ['-d', ...SENT], LETTER);
      assert.match(detailed.stderr, /joe@bar\.com\n[\s\S]*! connected to 127\.0\.0\.1[\s\S]*C: DATA/);
      for (const text of [verbose.stderr, detailed.stderr]) {
        assert.match(text, /C: AUTH \S+ \*\*\*\*/);
        for (const form of [
          'correct horse battery',
          Buffer.from('\0fred\0correct horse battery').toString('base64'),
          Buffer.from('correct horse battery').toString('base64'),
        ])
          assert.ok(!text.includes(form), text);
      }
    },
    { mechanisms: ['PLAIN', 'LOGIN'], authRequired: true, authInClear: true },
  ));

test('S1: -X writes nothing, neither a new file nor into one, also through a symbolic link', () =>
  withHost(undefined, async (host) => {
    const folder = scratch();
    const { config } = setUp(toHosts(host.port));
    const page = path.join(folder, 'page.php');
    writeFileSync(page, 'as it was');
    symlinkSync(page, path.join(folder, 'link'));
    for (const word of ['new', 'page.php', 'link']) {
      for (const args of [['-X', path.join(folder, word)], [`-X${path.join(folder, word)}`], ['-v', '-X', path.join(folder, word)]]) {
        const { status, stderr } = await run(config, [...args, '-f', 'fred@foo.com', '"<?=1?>"@bar.com'], LETTER);
        assert.equal(status, 0, stderr);
      }
    }
    assert.deepEqual(readdirSync(folder).sort(), ['link', 'page.php']);
    assert.equal(readFileSync(page, 'utf8'), 'as it was');
    assert.deepEqual(host.messages[0]?.recipients, ['<"<?=1?>"@bar.com>']);
  }));

test('replies of a server that hold control characters are shown, not obeyed', () =>
  within(20_000, async () => {
    const host = await startHost({ script: { RCPT: '550 \u001b[2Jgone\u0007 \u009b' } });
    const { config, logged } = setUp(toHosts(host.port));
    const { stderr } = await run(config, SENT, LETTER);
    await host.stop();
    assert.match(stderr, /550 \\x1b\[2Jgone\\x07 \\x9b/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
    assert.doesNotMatch(stderr + logged(), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  }));

/* ---- the first of two smart hosts ---- */

interface Trial {
  readonly status: number | null;
  readonly stderr: string;
  readonly first: TestHost;
  readonly second: SmartHost;
}

async function trial(
  script: NonNullable<SmarthostOptions['script']>,
  input: 'small' | 'pipe' | 'file',
  args: readonly string[] = SENT,
  after = 1,
): Promise<Trial> {
  const first = await startHost({ offers: ['PIPELINING'], script, contentOctets: after });
  const second = await smartHost(undefined, {}, { keep: 16 * 1024 * 1024 });
  // Only times that must pass are short, because on a busy machine a host that answers needs its time.
  const [hangs = ''] = Object.entries(script).flatMap(([phase, deed]) => (deed === 'hang' ? [phase] : []));
  const short = ({ greeting: 'greeting', DATA: 'data', content: 'block', end: 'final' } as Record<string, string>)[hangs] ?? 'command';
  const { config, folder } = setUp(
    `${toHosts(first.port, second.port)}\nreplay_window = "64KiB"`,
    hangs === '' ? '' : `[timeouts]\n${short} = "1500ms"`,
  );
  const text = input === 'small' ? LETTER : LARGE;
  let ended: Ended;
  if (input === 'file') {
    const file = path.join(folder, 'letter');
    writeFileSync(file, text, 'latin1');
    ended = await shell(config, `$S -i ${args.join(' ')} < ${file}`);
  } else ended = await run(config, ['-i', ...args], text);
  await first.stop();
  await second.close();
  assert.equal(ended.stdout, '');
  return { status: ended.status, stderr: ended.stderr, first, second };
}

/** Octets, more than the buffers of two sockets hold. */
const LARGE = `${HEAD}\n${Array.from({ length: 120_000 }, (_, i) => `line ${i} ${'x'.repeat(60)}\n`).join('')}`;

test('whatever goes wrong at the first host before the commit, the second gets all of a message in the window', () =>
  within(60_000, async () => {
    for (const faults of [
      { greeting: 'drop' },
      { greeting: 'hang' },
      { greeting: '554 no' },
      { greeting: '421 busy' },
      { EHLO: 'drop' },
      { EHLO: 'hang' },
      { EHLO: '421 busy' },
      { MAIL: 'drop' },
      { MAIL: 'hang' },
      { MAIL: '421 busy' },
      { RCPT: 'drop' },
      { RCPT: '421 busy' },
      { DATA: 'drop' },
      { DATA: 'hang' },
      { DATA: '421 busy' },
      { DATA: 'what?' },
    ] as const) {
      const { status, stderr, second } = await trial(faults, 'small');
      const why = JSON.stringify(faults);
      assert.deepEqual([status, stderr], [0, ''], why);
      assert.deepEqual(
        second.messages.map(({ content, state }) => [content, state]),
        [[crlf(LETTER), 'accepted']],
        why,
      );
    }
  }));

test('a refusal is the verdict on the message: no other host is asked, and the error tells all refusals', () =>
  within(60_000, async () => {
    for (const [faults, wanted] of [
      [{ MAIL: '451 later' }, /: MAIL FROM:<fred@foo\.com>.*: 451 later\n$/],
      [{ MAIL: '550 no' }, /: MAIL FROM:<fred@foo\.com>.*: 550 no\n$/],
      [{ RCPT: '450 later' }, /: RCPT TO:<joe@bar\.com>: 450 later\nsendmail: .*: RCPT TO:<jane@bar\.com>: 450 later\n$/],
      [{ RCPT: '550 no' }, /: RCPT TO:<joe@bar\.com>: 550 no\nsendmail: .*: RCPT TO:<jane@bar\.com>: 550 no\n$/],
      [{ DATA: '451 later' }, /: DATA: 451 later\n$/],
      [{ end: '451 later' }, /: the content: 451 later\n$/],
      [{ end: '421 busy' }, /: the content: 421 busy\n$/],
      [{ end: '554 no' }, /: the content: 554 no\n$/],
    ] as const) {
      const { status, stderr, second } = await trial(faults, 'small', [...SENT, 'jane@bar.com']);
      assert.equal(status, 1);
      assert.match(stderr, wanted);
      assert.equal(second.connections, 0, JSON.stringify(faults));
    }
  }));

test('silence or an end after the commit is uncertain, and nobody else is asked', () =>
  within(60_000, async () => {
    for (const fault of ['drop', 'hang', 'nonsense']) {
      const { status, stderr, second } = await trial({ end: fault }, 'small');
      assert.equal(status, 1, fault);
      assert.match(
        stderr,
        /: the message was sent and no verdict came back \(.*\): it may have been delivered\nsendmail: look for Message-ID <1@foo\.com> before sending it again\n$/,
      );
      assert.equal(second.connections, 0, fault);
    }
  }));

test('when a host goes in the middle of a large message, the next gets all of a file; from a pipe the run fails and says why', () =>
  within(60_000, async () => {
    const whole = crlf(LARGE);
    for (const faults of [{ content: 'drop' }, { content: 'hang' }] as const) {
      const fromFile = await trial(faults, 'file', SENT, 400_000);
      assert.deepEqual([fromFile.status, fromFile.stderr], [0, ''], JSON.stringify(faults));
      assert.equal(fromFile.second.messages.length, 1);
      assert.equal(fromFile.second.messages[0]?.content, whole);
      const fromPipe = await trial(faults, 'pipe', SENT, 400_000);
      assert.equal(fromPipe.status, 1);
      assert.match(fromPipe.stderr, /larger than replay_window and came from a pipe, so no other smart host could be tried/);
      assert.equal(fromPipe.second.connections, 0);
    }
  }));

test('when a host goes before it has pulled anything beyond the window, the next gets all of a pipe, too', () =>
  within(60_000, async () => {
    for (const faults of [{ greeting: 'drop' }, { MAIL: 'drop' }, { DATA: 'drop' }, { RCPT: '421 busy' }] as const) {
      const { status, stderr, second } = await trial(faults, 'pipe');
      assert.deepEqual([status, stderr], [0, ''], JSON.stringify(faults));
      assert.equal(second.messages[0]?.content, crlf(LARGE));
    }
  }));

test('an early refusal of a large content stops it at once and is the verdict', () =>
  within(30_000, async () => {
    const { status, stderr, first, second } = await trial({ content: '552 too large' }, 'pipe', SENT, 100_000);
    assert.equal(status, 1);
    assert.match(stderr, /: the content: 552 too large\n$/);
    assert.deepEqual(first.held, []);
    assert.ok((first.partial[0] as number) < LARGE.length);
    assert.equal(second.connections, 0);
  }));

test('when no host can be reached, the error names each with its reason', () =>
  within(20_000, async () => {
    const [one, two] = [await deadPort(), await deadPort()];
    const { config, loggedFacts } = setUp(toHosts(one, two));
    const wanted = [`[127.0.0.1]:${one}: connection refused`, `[127.0.0.1]:${two}: connection refused`];
    const { status, stderr } = await run(config, SENT, LETTER);
    assert.deepEqual([status, stderr], [1, wanted.map((line) => `sendmail: ${line}\n`).join('')]);
    const facts = loggedFacts();
    for (const line of wanted) assert.ok(facts.includes(`H=${line}`), facts.join('\n'));
    assert.ok(facts.includes(`** joe@bar.com R=smarthosts T=smtp: ${wanted.join('; ')}`), facts.join('\n'));
    assert.equal(facts.at(-1), 'Failed: nobody has the message');
  }));

test('when a writer falls silent beyond the window, the run fails and names the cure', () =>
  withHost(undefined, async (host) => {
    const { config } = setUp(`${toHosts(host.port)}\nreplay_window = "16KiB"`, '[timeouts]\ninput = "300ms"');
    const running = start(config, ['-i', ...SENT]);
    running.child.stdin?.write(`${HEAD}\n${'x'.repeat(78).concat('\n').repeat(1000)}`);
    await host.until(() => host.messages[0]?.state === 'abandoned');
    running.child.stdin?.end();
    failed(await running.done, /standard input gave nothing for 0\.3 s .*\(timeouts\.input\).*replay_window/);
  }));

test('a password file that others can read is refused at the attempt, with the chmod to run', () =>
  withHost(undefined, async (host) => {
    const secret = path.join(scratch(), 'password');
    writeFileSync(secret, 'secret');
    chmodSync(secret, 0o644);
    const { config } = setUp(toHosts(host.port), `[auth]\nuser = "fred"\npassword_file = "${secret}"`);
    failed(await run(config, SENT, LETTER), /chmod/);
    assert.equal(host.messages.length, 0);
  }));

test.run();
