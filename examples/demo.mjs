// Sends three messages of this folder through the built sendmail, to smart hosts that run here and deliver nothing: one
// arrives, one must not, and one needs the second smart host. Ends with 0 only if all three ended as they must, judged by
// the messages that arrived, too. `node examples/demo.mjs FILE` shows another build of sendmail.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SENDMAIL = path.resolve(process.argv[2] ?? path.join(ROOT, 'dist/sendmail.cjs'));
const NOSPOOL = path.join(ROOT, 'dist/nospool.mjs');
const COLUMNS = 80;
/** Milliseconds to wait for one message, which takes a small part of them. */
const PATIENCE = 20_000;
const PASSWORD = 'correct-horse';

/* ---- output ---- */

const bold = (text) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[22m` : text);
const say = (text = '') => process.stdout.write(`${text}\n`);

/** Breaks a line for the screen, at blanks where there are some. */
function fold(line, indent) {
  const out = [];
  let rest = line;
  for (let room = COLUMNS; rest.length > room; room = COLUMNS - indent.length) {
    const blank = rest.lastIndexOf(' ', room);
    const at = blank > room / 2 ? blank : room;
    out.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return [...out, rest].map((part, i) => (i === 0 ? part : indent + part)).join('\n');
}

/** Text under a heading, "(nothing)" when there is none. */
function show(heading, text, bar = '  ') {
  say();
  say(bold(heading));
  const lines = text === '' ? ['(nothing)'] : text.replace(/\r?\n$/, '').split(/\r?\n/);
  for (const line of lines) say(fold(`${bar}${line}`.trimEnd(), `${bar}    `));
}

/* ---- programs ---- */

/** The variables that a program needs, and none that changes its work. */
const environment = { PATH: process.env.PATH ?? '', LC_ALL: 'C.UTF-8' };

/** Starts a smart host: `arrived` are the messages that it took, `closed` resolves when it has ended. */
async function startSink(...options) {
  const child = spawn(process.execPath, [NOSPOOL, 'sink', '--port', '0', '--json', ...options], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  const arrived = [];
  let unread = '';
  let listening = () => {};
  const ready = new Promise((resolve, reject) => {
    listening = resolve;
    child.once('close', () => reject(new Error('the sink ended before it listened')));
  });
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (unread + text).split('\n');
    unread = lines.pop();
    for (const line of lines) {
      const told = JSON.parse(line);
      if (told.event === 'listening') listening(told.port);
      if (told.event === 'message') arrived.push(told);
    }
  });
  return { port: await ready, arrived, child, closed };
}

async function runSendmail(config, argv, message) {
  const child = spawn(process.execPath, [SENDMAIL, ...argv], { env: { ...environment, NOSPOOL_CONFIG: config }, timeout: PATIENCE });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(message);
  const [status] = await once(child, 'close');
  return { status, stderr };
}

/** A port on which nothing listens. */
async function deadPort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/* ---- the three messages ---- */

const body = (message) => message.slice(message.search(/\r?\n\r?\n/)).replaceAll('\r\n', '\n');
const recipients = (message) => message.recipients.map(({ path: forwardPath }) => forwardPath.slice(1, -1)).join(' ');

/** The cases and their results: `ended` gives sentences, each with whether it holds. */
const cases = ({ secure, plain, dead, folder }) => [
  {
    title: '1. Three recipients, over STARTTLS, with a password',
    story: 'Recipients come from the header section (-t). Bcc is taken out, what is missing is added.',
    argv: ['-v', '-i', '-t'],
    file: 'report.eml',
    sink: secure,
    config: `smarthosts = ["submission://127.0.0.1:${secure.port}"]
[tls]
mode = "required"     # the default, except on loopback
ca_file = "${folder}/sink.pem"
[auth]
user = "web1"
password_file = "${folder}/password"`,
    ended: ({ status, stderr, arrived, message, logged }) => [
      ['exit status 0', status === 0],
      ['one message arrived', arrived.length === 1],
      ['for all three', arrived.length === 1 && recipients(arrived[0]) === 'alice@example.org bob@example.org carol@example.org'],
      ['over TLS, from the user web1', arrived[0]?.tls?.startsWith('TLSv1.') === true && arrived[0].user === 'web1'],
      ['carol is not named in it', arrived[0]?.content.includes('carol') === false],
      ['its body is the body of the file', arrived[0] !== undefined && body(arrived[0].content) === body(message)],
      [
        'the password is nowhere to be seen',
        ![PASSWORD, Buffer.from(`\0web1\0${PASSWORD}`).toString('base64')].some(
          (secret) => stderr.includes(secret) || logged.includes(secret),
        ),
      ],
    ],
  },
  {
    title: '2. One of two recipients is refused',
    story: 'All recipients or none: alice does not get it either, and the caller gets an error.',
    argv: ['-v', 'alice@example.org', 'nobody@example.org'],
    file: 'alarm.eml',
    sink: plain,
    config: `smarthosts = ["submission://127.0.0.1:${plain.port}"]`,
    ended: ({ status, stderr, arrived, logged }) => [
      ['exit status 1', status === 1],
      ['nothing arrived', arrived.length === 0],
      ['the refused recipient is named on standard error', /^sendmail: .*nobody@example\.org.*550/m.test(stderr)],
      ['and in the log', logged.includes('550 5.1.1')],
      ['no content was sent', !/^C: (DATA|BDAT)/m.test(stderr)],
    ],
  },
  {
    title: '3. The first smart host is down',
    story: 'The next one is tried. The message is as cron writes it; -d shows what happens besides.',
    argv: ['-d', 'alice@example.org'],
    file: 'cron.eml',
    sink: plain,
    config: `smarthosts = ["submission://127.0.0.1:${dead}", "submission://127.0.0.1:${plain.port}"]`,
    ended: ({ status, stderr, arrived, message, logged }) => [
      ['exit status 0', status === 0],
      ['one message arrived', arrived.length === 1 && recipients(arrived[0]) === 'alice@example.org'],
      ['its body is the body of the file', arrived[0] !== undefined && body(arrived[0].content) === body(message)],
      ['the first smart host was tried', stderr.includes('connection refused')],
      ['and the log says so', logged.includes(`[127.0.0.1]:${dead}: connection refused`)],
    ],
  },
];

/** Runs one case and shows it. It is judged when the sinks have ended. */
async function demonstrate(one, folder) {
  const before = one.sink.arrived.length;
  const log = path.join(folder, 'log');
  const config = path.join(folder, 'nospool.toml');
  const message = readFileSync(new URL(one.file, import.meta.url), 'utf8');
  const common = ['hostname = "web1.example.org"', 'qualify_domain = "example.org"', 'from = "web1@example.org"', 'aliases = []'];
  const [first, ...sections] = one.config.split('\n');
  writeFileSync(config, [first, ...common, `log = "${log}"`, ...sections, ''].join('\n'), { mode: 0o600 });
  writeFileSync(log, '');

  say();
  say(bold('='.repeat(COLUMNS)));
  say(bold(one.title));
  say(bold('='.repeat(COLUMNS)));
  say(fold(one.story, ''));
  show('nospool.toml (and names, the log, no aliases)', one.config.replaceAll(folder, '/tmp/demo'));
  show(`examples/${one.file}`, message, '  | ');
  const begun = performance.now();
  const { status, stderr } = await runSendmail(config, one.argv, message);
  const took = Math.round(performance.now() - begun);
  show(`$ sendmail ${one.argv.join(' ')} < examples/${one.file}`, stderr);
  say(fold(`exit status ${status}, after ${took} ms`, ''));
  // The sink reports a message before it accepts it, so only the pipe may be late.
  for (const end = performance.now() + 1000; status === 0 && one.sink.arrived.length === before && performance.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 5));
  const shown = one.sink.arrived.slice(before);
  show('What the smart host has', shown.map(({ content }) => content).join('\n'), '  | ');
  const logged = readFileSync(log, 'utf8');
  show('What the log says', logged);
  return () => ({ status, stderr, message, logged });
}

/** A system file with `lock = true` would be the only configuration, and the demo would send to real smart hosts. */
function isLocked() {
  try {
    return /^\s*lock\s*=\s*true/m.test(readFileSync('/etc/nospool.toml', 'utf8'));
  } catch {
    return false;
  }
}

async function main() {
  if (!existsSync(SENDMAIL) || !existsSync(NOSPOOL)) {
    process.stderr.write('demo: nothing is built yet: npm run demo builds it\n');
    return 1;
  }
  if (isLocked()) {
    process.stderr.write('demo: /etc/nospool.toml says lock = true, so no other configuration can be shown here\n');
    return 1;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-demo-'));
  const sinks = [];
  const late = setTimeout(() => {
    process.stderr.write('demo: a program did not end\n');
    clean();
    process.exit(1);
  }, 3 * PATIENCE);
  const clean = () => {
    clearTimeout(late);
    for (const { child } of sinks) child.kill('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.once(signal, () => {
      clean();
      process.exit(1);
    });
  try {
    writeFileSync(path.join(folder, 'password'), `${PASSWORD}\n`, { mode: 0o600 });
    const certificate = path.join(folder, 'sink.pem');
    sinks.push(await startSink('--starttls', '--auth', `web1:${PASSWORD}`, '--certificate', certificate));
    sinks.push(await startSink('--refuse', 'nobody@example.org', '--extensions', 'PIPELINING,SIZE,8BITMIME,ENHANCEDSTATUSCODES'));
    const [secure, plain] = sinks;
    say(bold('nospool: three messages to smart hosts on this machine that deliver nothing'));
    say('C: is said by sendmail, S: by the smart host; times are since the start.');
    const all = cases({ secure, plain, dead: await deadPort(), folder });
    const seen = [];
    for (const one of all) seen.push(await demonstrate(one, folder));

    // All output of the sinks has arrived when they have ended.
    for (const { child } of sinks) child.kill('SIGTERM');
    await Promise.all(sinks.map(({ closed }) => closed));
    say();
    say(bold('='.repeat(COLUMNS)));
    say(bold('Did they end as they must?'));
    say(bold('='.repeat(COLUMNS)));
    let wrong = 0;
    for (const [i, one] of all.entries()) {
      const subject = /^Subject: .*$/m.exec(readFileSync(new URL(one.file, import.meta.url), 'utf8'))?.[0] ?? '';
      const arrived = sinks.flatMap((sink) => sink.arrived).filter(({ content }) => content.includes(subject));
      say(one.title);
      for (const [sentence, holds] of one.ended({ ...seen[i](), arrived })) {
        if (!holds) wrong++;
        say(`  ${holds ? 'ok    ' : 'NOT OK'} ${sentence}`);
      }
    }
    const total = sinks.reduce((count, sink) => count + sink.arrived.length, 0);
    if (total !== 2) {
      wrong++;
      say(`  NOT OK ${total} messages arrived in all; there must be 2`);
    }
    say();
    say(bold(wrong === 0 ? 'All three ended as they must.' : `${wrong} of these are not as they must be.`));
    return wrong === 0 ? 0 : 1;
  } finally {
    clean();
  }
}

process.exitCode = await main();
