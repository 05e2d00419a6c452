/** Loopback: `nospool sink` needs --anywhere for every other address. */
import assert from 'node:assert';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { openMessageFile } from '../../src/nospool/sink/message-file.ts';
import { parseSink } from '../../src/nospool/sink/parse-sink.ts';
import { type SinkOutput, startSink } from '../../src/nospool/sink/sink.ts';
import { SINK_DEFAULTS, type SinkOptions } from '../../src/nospool/sink/sink-options.ts';
import { within } from '../support/within.ts';

const test = suite('sink');

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Sends all lines at once to a sink, and returns its answers until it hangs up. */
function converse(port: number, ...lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(heard));
    socket.write(lines.map((line) => `${line}\r\n`).join(''), 'latin1');
  });
}

const codes = (heard: string): string[] => heard.match(/^\d{3}(?= |\r)/gm) ?? [];

/** The output and the errors of a sink in this process. */
async function runSinkFor(
  options: Partial<SinkOptions>,
  work: (port: number) => Promise<void>,
): Promise<{ readonly out: string; readonly err: string }> {
  let out = '';
  let err = '';
  const output: SinkOutput = {
    out: (lines) => {
      for (const line of lines) out += `${line}\n`;
    },
    err: (fact) => {
      err += `${fact}\n`;
    },
  };
  const sink = await startSink({ ...SINK_DEFAULTS, port: 0, ...options }, output);
  if (!sink.ok) throw new Error(sink.detail);
  try {
    await within(10_000, () => work(sink.value.listener.port));
    if (options.messages) await within(5000, () => sink.value.done);
  } finally {
    await sink.value.close();
  }
  return { out, err };
}

const MESSAGE = [
  'EHLO me',
  'MAIL FROM:<a@b.example> SIZE=20',
  'RCPT TO:<c@d.example> NOTIFY=NEVER',
  'DATA',
  'Subject: hi',
  '',
  '..dot',
  '.',
  'QUIT',
];

test('shows the conversation and the message', async () => {
  let port = 0;
  const { out } = await runSinkFor({}, async (at) => {
    port = at;
    await converse(at, ...MESSAGE);
  });
  const lines = out.split('\n');
  assert.equal(lines[0], `! listening: smarthosts = ["submission://127.0.0.1:${port}"]`);
  assert.match(lines[1] as string, /^! client 1 from 127\.0\.0\.1:\d+$/);
  assert.match(lines[2] as string, /^S: 220 \S+ ESMTP nospool$/);
  assert.equal(lines[3], 'C: EHLO me');
  assert.deepEqual(lines.slice(lines.indexOf('C: DATA')), [
    'C: DATA',
    'S: 354 send the content, and "." on a line of its own at its end',
    'C: .',
    '! message 1: 21 octets, from <a@b.example> to <c@d.example>',
    '| Subject: hi',
    '| ',
    '| .dot',
    'S: 250 2.0.0 message accepted',
    'C: QUIT',
    lines.at(-2) as string,
    '',
  ]);
});

test('shows nothing that a terminal would obey, and marks the end of a long message', async () => {
  const { out } = await runSinkFor({}, async (port) => {
    const long = 'x'.repeat(70);
    await converse(port, ...MESSAGE.slice(0, 4), '\x1b[31mred\ttab', '\xe9', ...Array<string>(16_000).fill(long), '.', 'QUIT');
  });
  assert.ok(out.includes('| \\x1b[31mred\ttab\n| é\n'));
  assert.match(out, /\n\| … and \d+ octets more\n/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the test is about them.
  assert.ok(!/[\x00-\x08\x0b-\x1f\x7f]/.test(out));
});

test('--json prints an object a line, with all facts about the message', async () => {
  const { out } = await runSinkFor({ json: true }, async (port) => {
    await converse(port, ...MESSAGE);
    await converse(port, 'HELO me', 'MAIL FROM:<>', 'RCPT TO:<a@b>', 'DATA', '\xff', '.', 'QUIT');
  });
  const events = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(events[0].event, 'listening');
  assert.equal(events[0].fingerprint, null);
  assert.deepEqual(
    events
      .filter(({ event }) => event === 'line')
      .slice(0, 3)
      .map(({ side, line }) => [side, String(line).slice(0, 7)]),
    [
      ['!', 'client '],
      ['S', `220 ${events[2].line.slice(4, 7)}`],
      ['C', 'EHLO me'],
    ],
  );
  const [first, second] = events.filter(({ event }) => event === 'message');
  assert.ok(first.seconds >= 0);
  assert.deepEqual(
    { ...first, seconds: 0 },
    {
      event: 'message',
      client: 1,
      message: 1,
      reversePath: '<a@b.example>',
      parameters: { SIZE: '20' },
      recipients: [{ path: '<c@d.example>', parameters: { NOTIFY: 'NEVER' } }],
      hello: 'me',
      user: null,
      tls: null,
      octets: 21,
      seconds: 0,
      file: null,
      content: 'Subject: hi\r\n\r\n.dot\r\n',
    },
  );
  assert.equal(second.base64, '/w0K');
});

test('S12: a method of HTTP ends the session, so a page in a browser cannot make the sink take a message', async () => {
  const { out } = await runSinkFor({}, async (port) => {
    for (const first of ['POST / HTTP/1.1', 'GET / HTTP/1.0', 'connect mail:25 HTTP/1.1', 'OPTIONS * HTTP/1.1']) {
      const heard = await converse(port, first, 'Host: 127.0.0.1', '', ...MESSAGE);
      assert.deepEqual(codes(heard), ['220', '421'], first);
      assert.match(heard, /speaks SMTP, not HTTP\r\n$/);
    }
    // The same in a session that began with EHLO.
    assert.deepEqual(codes(await converse(port, 'EHLO me', 'PUT /x', ...MESSAGE)), ['220', '250', '421']);
  });
  assert.doesNotMatch(out, /message/);
});

test('S12: stores accepted messages octet for octet, for their owner alone, and no others', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
  try {
    const { out } = await runSinkFor({ store: folder, quiet: true, refuse: ['no@d.example'] }, async (port) => {
      await converse(port, ...MESSAGE.slice(0, -1), ...MESSAGE.slice(1, 4), '\xff\0', '..', '.', 'QUIT');
      // A message that breaks off, and one with a lone LF.
      await new Promise<void>((resolve) => {
        const socket = createConnection({ port, host: '127.0.0.1' }, () => socket.end(`${MESSAGE.slice(0, 5).join('\r\n')}\r\nhalf`));
        socket.resume().on('close', () => resolve());
      });
      await converse(port, ...MESSAGE.slice(0, 4), 'lone\nLF', '.', 'QUIT');
    });
    // What is not stored is removed behind its answer.
    const isStoring = async () => (await readdir(folder)).some((name) => name.endsWith('.part'));
    for (let i = 0; i < 500 && (await isStoring()); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    const files = (await readdir(folder)).sort();
    assert.equal(files.length, 2, files.join());
    assert.ok(files.every((name) => name.endsWith('.eml')));
    // Nobody else may read the files.
    for (const name of files) assert.equal((await stat(path.join(folder, name))).mode & 0o777, 0o600);
    const texts = await Promise.all(files.map((name) => readFile(path.join(folder, name), 'latin1')));
    assert.deepEqual(texts, ['Subject: hi\r\n\r\n.dot\r\n', '\xff\0\r\n.\r\n']);
    assert.ok(out.includes(`, in ${path.join(folder, files[0] as string)}\n`));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('no stored message takes the place of another, though two sinks have the same number of process', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
  const stored = async () => {
    const files = (await readdir(folder)).sort();
    return Promise.all(files.map((name) => readFile(path.join(folder, name), 'latin1')));
  };
  try {
    // As two containers that share a folder: both count from 1 in process 1.
    const files = await Promise.all([openMessageFile(folder, 1), openMessageFile(folder, 1)]);
    for (const [index, file] of files.entries()) {
      await file.write(Buffer.from(String(index)));
      await file.finish();
    }
    assert.deepEqual((await stored()).sort(), ['0', '1']);
    const late = await openMessageFile(folder, 2);
    await writeFile(late.name, 'of another');
    await assert.rejects(late.finish(), { code: 'EEXIST' });
    assert.deepEqual((await stored()).sort(), ['0', '1', 'of another'], 'what was not named is gone');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a message is stored also where the file system has no links', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
  const { link } = fs.promises;
  try {
    fs.promises.link = () => Promise.reject(Object.assign(new Error('EPERM'), { code: 'EPERM' }));
    syncBuiltinESMExports();
    const file = await openMessageFile(folder, 1);
    await file.write(Buffer.from('whole'));
    await file.finish();
    assert.deepEqual(await readdir(folder), [path.basename(file.name)]);
    assert.equal(await readFile(file.name, 'latin1'), 'whole');
  } finally {
    fs.promises.link = link;
    syncBuiltinESMExports();
    await rm(folder, { recursive: true });
  }
});

test('--discard prints counts, no conversation and no line for each message', async () => {
  const two = [...MESSAGE.slice(0, -1), ...MESSAGE.slice(1)];
  const { out } = await runSinkFor({ discard: true, json: true }, async (port) => {
    assert.deepEqual(codes(await converse(port, ...two)), ['220', '250', '250', '250', '354', '250', '250', '250', '354', '250', '221']);
    await converse(port, ...MESSAGE);
  });
  const [listening, ...events] = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(listening.event, 'listening');
  assert.deepEqual(new Set(events.map(({ event }) => event)), new Set(['discarded']));
  const sum = (fact: string): number => events.reduce((total, event) => total + event[fact], 0);
  // With --discard transparency dots count as content.
  assert.deepEqual([sum('messages'), sum('octets'), events.at(-1).total], [3, 66, 3]);
  assert.ok(events.every(({ seconds }) => seconds >= 0));
  const shown = await runSinkFor({ discard: true, messages: 1 }, async (port) => void (await converse(port, ...MESSAGE)));
  assert.match(shown.out, /^! listening: .*\n! 1 message in \d+\.\d{3} s: \d+ messages\/s, \d+\.\d MB\/s; 1 in all\n$/);
});

test('--discard takes more clients than usual', async () => {
  await runSinkFor({ discard: true }, async (port) => {
    const sockets = await Promise.all(
      Array.from(
        { length: 120 },
        () =>
          new Promise<string>((resolve, reject) => {
            const socket = createConnection({ port, host: '127.0.0.1' });
            socket.on('error', reject).once('data', (octets) => resolve(octets.toString('latin1')));
          }),
      ),
    );
    assert.ok(sockets.every((greeting) => greeting.startsWith('220 ')));
  });
});

test('a folder that cannot be written leads to 451 and an error', async () => {
  const { err } = await runSinkFor({ store: '/nonexistent/folder' }, async (port) => {
    assert.deepEqual(codes(await converse(port, ...MESSAGE.slice(0, 4), 'QUIT')), ['220', '250', '250', '250', '451', '221']);
  });
  assert.match(err, /^cannot store in \/nonexistent\/folder: ENOENT/);
});

// options, the reply codes after that to EHLO, why
const REFUSALS: readonly (readonly [Partial<SinkOptions>, readonly string[], string])[] = [
  [{}, ['250', '250', '354', '250', '221'], 'nothing refused'],
  [{ refuse: ['C@D.example'] }, ['250', '550', '554', '500', '501', '500', '500', '500', '221'], 'a recipient, in any case'],
  [{ refuse: ['@d.example'] }, ['250', '550', '554', '500', '501', '500', '500', '500', '221'], 'a domain'],
  [{ refuse: ['@example'] }, ['250', '250', '354', '250', '221'], 'another domain'],
  [{ defer: ['c@d.example'] }, ['250', '450', '554', '500', '501', '500', '500', '500', '221'], 'a recipient for now'],
  [{ refuseAt: ['mail=451'] }, ['451', '503', '503', '500', '501', '500', '500', '500', '221'], 'the sender'],
  [{ refuseAt: ['data=452'] }, ['250', '250', '452', '500', '501', '500', '500', '500', '221'], 'DATA'],
  [{ refuseAt: ['content'] }, ['250', '250', '354', '550', '221'], 'the content'],
  [{ refuseAt: ['content=421'] }, ['250', '250', '354', '421'], 'the content, as a last word'],
  [{ extensions: ['none'] }, ['555', '503', '503', '500', '501', '500', '500', '500', '221'], 'no extensions'],
  [{ extensions: ['size,dsn'] }, ['250', '250', '354', '250', '221'], 'extensions of choice'],
  [{ size: 19 }, ['552', '503', '503', '500', '501', '500', '500', '500', '221'], 'a declared size'],
];
for (const [options, expected, why] of REFUSALS)
  test(`the sink refuses: ${why}`, async () => {
    await runSinkFor(options, async (port) => {
      // Where DATA is refused, the lines of the message are commands: "Subject: hi", "", "..dot", ".".
      const heard = codes(await converse(port, ...MESSAGE)).slice(2);
      assert.deepEqual(
        heard.filter((code, i) => i < 3 || !['500', '501'].includes(code)),
        expected.filter((code, i) => i < 3 || !['500', '501'].includes(code)),
      );
    });
  });

test('--refuse-at connect refuses the connection', async () => {
  await runSinkFor({ refuseAt: ['connect=554'] }, async (port) => {
    assert.match(await converse(port), /^554 5\.7\.1 this sink refuses connections\r\n$/);
  });
});

test('--auth demands authentication, and takes only the right password', async () => {
  await runSinkFor({ auth: 'me:se:cret' }, async (port) => {
    const plain = (text: string): string => `AUTH PLAIN ${Buffer.from(text).toString('base64')}`;
    const heard = await converse(port, 'EHLO x', 'MAIL FROM:<>', plain('\0me\0wrong'), plain('\0me\0se:cret'), 'MAIL FROM:<>', 'QUIT');
    assert.deepEqual(codes(heard), ['220', '250', '530', '535', '235', '250', '221']);
    assert.ok(heard.includes('250 AUTH PLAIN LOGIN'));
  });
});

test('no secret is shown', async () => {
  const { out } = await runSinkFor({ auth: 'me:secret' }, async (port) => {
    await converse(port, 'EHLO x', `AUTH PLAIN ${Buffer.from('\0me\0secret').toString('base64')}`, 'RSET', 'QUIT');
    await converse(port, 'EHLO x', 'AUTH LOGIN', Buffer.from('me').toString('base64'), Buffer.from('secret').toString('base64'), 'QUIT');
  });
  assert.equal(codes(out.replace(/^S: /gm, '')).filter((code) => code === '235').length, 2);
  for (const form of ['secret', Buffer.from('secret').toString('base64'), Buffer.from('\0me\0secret').toString('base64')])
    assert.ok(!out.includes(form));
});

test('ends after the wanted messages, once the client has said QUIT', async () => {
  const { out } = await runSinkFor({ messages: 2 }, async (port) => {
    assert.equal(codes(await converse(port, ...MESSAGE)).at(-1), '221');
    assert.equal(codes(await converse(port, ...MESSAGE)).at(-1), '221');
  });
  assert.equal(out.match(/^! message/gm)?.length, 2);
});

const WRONG: readonly (readonly [Partial<SinkOptions>, RegExp])[] = [
  [{ tls: true, starttls: true }, /^choose one of --tls/],
  [{ auth: 'nobody' }, /^--auth expects user:password$/],
  [{ refuseAt: ['rcpt'] }, /^--refuse-at expects .* not "rcpt"$/],
  [{ refuseAt: ['data=250'] }, /^--refuse-at expects .* not "data=250"$/],
  [{ refuse: ['a b'] }, /^"a b" is neither an address nor @domain$/],
  [{ defer: ['@'] }, /^"@" is neither/],
  [{ port: 70_000 }, /^--port expects a number up to 65535, not 70000$/],
  [{ discard: true, store: '/tmp' }, /^--discard keeps nothing that --store could write/],
];
for (const [options, expected] of WRONG)
  test(`a wrong option is reported: ${expected}`, () => {
    const rules = parseSink({ ...SINK_DEFAULTS, ...options });
    assert.match(rules.ok ? '' : rules.detail, expected);
  });

/** Starts the sink as a process, and resolves once it listens. */
async function running(
  ...argv: readonly string[]
): Promise<{ readonly child: ChildProcess; readonly port: number; readonly out: () => string; readonly closed: Promise<number | null> }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/nospool/launch.ts', 'sink', '--port', '0', ...argv], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      out += chunk;
      const match = /127\.0\.0\.1:(\d+)/.exec(out);
      if (match) resolve(Number(match[1]));
    });
    child.on('close', () => reject(new Error(`the sink ended: ${out}`)));
  });
  return { child, port, out: () => out, closed };
}

test('a signal ends it cleanly', () =>
  within(20_000, async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const sink = await running();
      const client = converse(sink.port, 'EHLO x');
      while (!sink.out().includes('C: EHLO x')) await new Promise((resolve) => setTimeout(resolve, 10));
      sink.child.kill(signal);
      assert.equal(codes(await client).at(-1), '421');
      assert.equal(await sink.closed, 0);
    }
  }));

test('--once ends it after one message', () =>
  within(20_000, async () => {
    const sink = await running('--once', '--quiet');
    await converse(sink.port, ...MESSAGE);
    assert.equal(await sink.closed, 0);
    assert.match(sink.out(), /\n! message 1: 21 octets, from <a@b\.example> to <c@d\.example>\n$/);
  }));

/** True if the program can run here. */
function installed(name: string, ...argv: readonly string[]): boolean {
  try {
    execFileSync(name, argv, { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/** Runs a client; its exit status. */
function client(name: string, argv: readonly string[], input: string): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(name, argv, { stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('close', resolve);
  });
}

const TEXT = 'From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n\r\nhello\r\n.dot\r\n';
const CLIENTS: readonly (readonly [string, readonly string[], (port: number, certificate: string) => readonly string[]])[] = [
  [
    'curl',
    ['--version'],
    (port, certificate) => [
      '-s',
      '--ssl-reqd',
      '--cacert',
      certificate,
      '-u',
      'me:secret',
      '--mail-from',
      'a@b.example',
      '--mail-rcpt',
      'c@d.example',
      '-T',
      '-',
      `smtp://localhost:${port}`,
    ],
  ],
  [
    'msmtp',
    ['--version'],
    (port, certificate) => [
      '-C',
      '/dev/null',
      '--host=localhost',
      `--port=${port}`,
      '--tls=on',
      `--tls-trust-file=${certificate}`,
      '--auth=on',
      '--user=me',
      '--passwordeval=echo secret',
      '-f',
      'a@b.example',
      'c@d.example',
    ],
  ],
];
for (const [name, probe, argv] of CLIENTS)
  (installed(name, ...probe) ? test : test.skip)(`${name} delivers to it over STARTTLS with AUTH`, async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
    const certificate = path.join(folder, 'sink.pem');
    try {
      const { out } = await runSinkFor({ starttls: true, auth: 'me:secret', certificate, json: true }, async (port) => {
        assert.equal(await client(name, argv(port, certificate), TEXT), 0);
      });
      const message = out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
        .find(({ event }) => event === 'message');
      assert.match(message.tls, /^TLSv1\.[23]$/);
      assert.equal(message.user, 'me');
      assert.ok(message.content.endsWith('\r\n\r\nhello\r\n.dot\r\n'), message.content);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

(installed('swaks', '--version') ? test : test.skip)('swaks delivers to it over LMTP', async () => {
  const { out } = await runSinkFor({ lmtp: true }, async (port) => {
    assert.equal(
      await client(
        'swaks',
        ['--protocol', 'LMTP', '--server', `127.0.0.1:${port}`, '--from', 'a@b.example', '--to', 'c@d.example,e@d.example'],
        '',
      ),
      0,
    );
  });
  assert.match(out, /^! message 1: .* to <c@d\.example>, <e@d\.example>$/m);
});

test.run();
