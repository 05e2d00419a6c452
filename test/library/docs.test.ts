/**
 * Every example of docs/library.md and of the README: it compiles against the types that are published, runs as a program of its own, and what it
 * sends arrives.
 * Loopback: the servers listen there, but the programs reach them by names and addresses of a network, so TLS and credentials are as there.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SMTPServer } from 'smtp-server';
import { suite } from 'uvu';
import { type SinkOptions, type SmtpSink, sink } from '../../src/testing/index.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { startSocks } from '../support/proxies.ts';
import { startHost, type Talk } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('examples of the library');
const root = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);

/* ---- the examples ---- */

/** The blocks of a language below each heading of a document. */
function blocksOf(file: string, language = 'ts'): ReadonlyMap<string, readonly string[]> {
  const blocks = new Map<string, string[]>();
  let heading = '';
  let block: string[] | null = null;
  for (const line of readFileSync(path.join(root, file), 'utf8').split('\n')) {
    if (block !== null && line === '```') {
      blocks.set(heading, [...(blocks.get(heading) ?? []), `${block.join('\n')}\n`]);
      block = null;
    } else if (block !== null) block.push(line);
    else if (line === `\`\`\`${language}`) block = [];
    else heading = /^##+ (.*)/.exec(line)?.[1] ?? heading;
  }
  return blocks;
}

const examples = new Map<string, string>();
for (const [heading, blocks] of blocksOf('docs/library.md'))
  for (const [i, block] of blocks.entries()) examples.set(i === 0 ? heading : `${heading} ${i + 1}`, block);
const plain = [...blocksOf('docs/library.md', 'js').values()].flat().join('');
for (const block of blocksOf('README.md').get('As a library') ?? []) examples.set('README', block);

const nameOf = (heading: string): string => heading.toLowerCase().replace(/[^a-z0-9]+/g, '-');

/** A project that has nospool installed, with all examples, compiled. */
const project = mkdtempSync(path.join(tmpdir(), 'nospool-'));

test.before(async () => {
  mkdirSync(path.join(project, 'node_modules', '@types'), { recursive: true });
  symlinkSync(root, path.join(project, 'node_modules', 'nospool'));
  symlinkSync(path.join(root, 'node_modules', '@types', 'node'), path.join(project, 'node_modules', '@types', 'node'));
  writeFileSync(path.join(project, 'package.json'), '{ "type": "module" }');
  const tracer = path.join(project, 'node_modules', '@opentelemetry', 'api');
  mkdirSync(tracer, { recursive: true });
  for (const [file, text] of Object.entries(TRACER)) writeFileSync(path.join(tracer, file), text);
  const files = [...examples].map(([heading, source]) => [`${nameOf(heading)}.ts`, source] as const);
  for (const [file, source] of files) writeFileSync(path.join(project, file), source);
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
  await execute(process.execPath, [tsc, ...options, ...files.map(([file]) => file)], { cwd: project }).catch((error) => {
    throw new Error(`the examples do not compile:\n${error.stdout}`);
  });
});
test.after(() => rmSync(project, { recursive: true, force: true }));

/** As much of the package of that name as the example uses. Its spans are printed when they end. */
const TRACER: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "@opentelemetry/api", "type": "module", "types": "index.d.ts", "exports": "./index.js" }',
  'index.d.ts': `
export declare enum SpanKind { INTERNAL = 0, SERVER = 1, CLIENT = 2, PRODUCER = 3, CONSUMER = 4 }
export declare enum SpanStatusCode { UNSET = 0, OK = 1, ERROR = 2 }
export interface Span {
  setStatus(status: { code: SpanStatusCode; message?: string }): this;
  end(): void;
}
export interface Tracer {
  startSpan(name: string, options?: { kind?: SpanKind; attributes?: { [key: string]: string | number | boolean | undefined } }): Span;
}
export declare const trace: { getTracer(name: string, version?: string): Tracer };
`,
  'index.js': `
export const SpanKind = { CLIENT: 2 };
export const SpanStatusCode = { ERROR: 2 };
const startSpan = (name, { kind, attributes }) => {
  const span = { name, kind, attributes };
  return { setStatus: (status) => void (span.status = status), end: () => console.log(JSON.stringify(span)) };
};
export const trace = { getTracer: () => ({ startSpan }) };
`,
};

interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

interface Surroundings {
  /** `host:port`, or the path of a socket, and where it leads. */
  readonly ways: Readonly<Record<string, number | string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly started?: (child: ChildProcess) => void;
}

const cert = makeCertificate({
  names: ['mail.example.org', 'backup.example.net', 'oauth2.example.com', 'relay.internal', 'mx1.example.net'],
});
/** A port where nobody listens. */
const NOBODY = 1;

/** Runs an example, or a file of the project, in a folder of its own. */
async function run(heading: string, { ways, files = {}, env = {}, started }: Surroundings): Promise<Ran> {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-'));
  try {
    const store = path.join(folder, 'store.pem');
    // Without a package.json of its own the folder's scripts are what one above it says, ES modules perhaps.
    for (const [name, text] of Object.entries({ 'store.pem': cert.own, 'package.json': '{}', ...files })) {
      writeFileSync(path.join(folder, name), text);
      chmodSync(path.join(folder, name), 0o755);
    }
    const signposts = path.join(root, 'test', 'library', 'signposts.mjs');
    const running = execute(
      process.execPath,
      ['--import', signposts, path.join(project, /\.cjs$/.test(heading) ? heading : `${nameOf(heading)}.js`)],
      {
        cwd: folder,
        timeout: 30_000,
        env: {
          PATH: `${folder}:${process.env.PATH}`,
          EXAMPLE_WAYS: JSON.stringify(ways),
          SSL_CERT_FILE: store,
          NODE_EXTRA_CA_CERTS: store,
          SMTP_PASSWORD: 'secret',
          ...env,
        },
      },
    );
    started?.(running.child);
    return await running.then(
      (ran) => ({ ...ran, code: 0 }),
      (error: Ran) => error,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const FOR_WEB1: SinkOptions = { auth: { user: 'web1', password: 'secret' }, tls: { mode: 'starttls', key: cert.key, cert: cert.cert } };
const FROM_THE_START: SinkOptions = { ...FOR_WEB1, tls: { mode: 'implicit', key: cert.key, cert: cert.cert } };

/** What a sink has: the addresses and the text of each message. */
const held = (host: SmtpSink): readonly string[] =>
  host.messages.map(({ from, to, text }) => `${from.address} > ${to.map(({ address }) => address).join(' ')}: ${text}`);

/** What becomes of each example. */
const trials = new Map<string, (heading: string) => Promise<void>>();
const trial = (heading: string, work: (heading: string) => Promise<void>): void => void trials.set(heading, work);

/** A trial with one smart host. */
const trialWith = (heading: string, options: SinkOptions, work: (host: SmtpSink, heading: string) => Promise<void>): void =>
  trial(heading, async () => {
    const host = await sink(options);
    try {
      await work(host, heading);
    } finally {
      await host.close();
    }
  });

trialWith('README', FOR_WEB1, async (host, heading) => {
  const { stdout, stderr } = await run(heading, { ways: { 'mail.example.org:587': host.port } });
  assert.deepEqual({ stdout, stderr }, { stdout: 'taken by mail.example.org\n', stderr: '' });
  assert.deepEqual(held(host), ['web1@example.org > alice@example.org bob@example.org: Subject: backup\r\n\r\nAll done.\r\n']);
});

trialWith('One message', FROM_THE_START, async (host, heading) => {
  const { stdout, stderr } = await run(heading, { ways: { 'mail.example.org:587': NOBODY, 'backup.example.net:465': host.port } });
  assert.match(stdout, /^taken by backup\.example\.net: 250 .+\n$/);
  assert.equal(stderr, 'mail.example.org: refused\n');
  assert.equal(host.messages[0]?.session.user, 'web1');
  assert.deepEqual(held(host), [
    'web1@example.org > alice@example.org bob@example.org: From: Backup <web1@example.org>\r\nTo: ops@example.org\r\nSubject: backup\r\n\r\nAll done.\r\n',
  ]);
  host.refuse('RCPT', '550 5.1.1 No such user', { address: 'bob@example.org' });
  const refused = await run(heading, { ways: { 'mail.example.org:587': NOBODY, 'backup.example.net:465': host.port } });
  assert.match(
    refused.stderr,
    /^rejected .*550 5\.1\.1 No such user.* never\nmail\.example\.org: refused\nbackup\.example\.net: rejected\n$/,
  );
  assert.equal(host.messages.length, 1);
});

trialWith('Errors that are thrown', FOR_WEB1, async (host, heading) => {
  host.refuse('RCPT', '550 5.1.1 No such user', { address: 'nobody@example.org' });
  const { stderr } = await run(heading, { ways: { 'mail.example.org:587': host.port } });
  assert.match(stderr, /^rejected never .*550 5\.1\.1 No such user.*\nnobody@example\.org: 550\n$/);
  assert.deepEqual(held(host), []);
  writeFileSync(path.join(project, 'thrown.cjs'), "require('nospool').orThrow({ kind: 'failed', failure: { message: 'no' } });");
  assert.match((await run('thrown.cjs', { ways: {} })).stderr, /\nSmtpError: no\n/, 'its class has its name in what is published');
});

trialWith('Many messages in one session', FROM_THE_START, async (host, heading) => {
  host.refuse('RCPT', '550 5.1.1 No such user', { address: 'bob@example.org' });
  const { stdout, code } = await run(heading, { ways: { 'mail.example.org:465': host.port } });
  assert.deepEqual([stdout, code], ['alice accepted\nbob failed\ncarol accepted\n', 0]);
  assert.deepEqual(
    host.messages.map(({ to, session }) => [to[0]?.address, session.number]),
    [
      ['alice@example.org', 1],
      ['carol@example.org', 1],
    ],
  );
});

trialWith('A pool', FOR_WEB1, async (host, heading) => {
  const { stdout, code } = await run(heading, { ways: { 'mail.example.org:587': host.port } });
  assert.match(stdout, /^5 accepted\n\{ open: \d, busy: 0, waiting: 0 \}\n$/);
  assert.equal(code, 0);
  assert.deepEqual(host.messages.map(({ to }) => to[0]?.address.split('@')[0]).sort(), ['alice', 'bob', 'carol', 'dave', 'eve']);
});

trialWith('A worker', FOR_WEB1, async (host, heading) => {
  host.refuse('RCPT', '450 4.2.0 greylisted', { address: 'bob@example.org' });
  const ways = { 'mail.example.org:587': host.port };
  const { stdout, code } = await run(heading, { ways });
  const lines = ['alice accepted', 'bob later', 'carol accepted', 'dave accepted', 'eve accepted'];
  assert.deepEqual([stdout.trim().split('\n').sort(), code], [lines, 0]);

  let child: ChildProcess | undefined;
  // The signal comes with the first MAIL, when no job has its outcome yet.
  const end = (): boolean => {
    child?.kill('SIGTERM');
    child = undefined;
    return false;
  };
  host.refuse('MAIL', '451 4.3.0 not now', { address: end });
  const ended = await run(heading, {
    ways,
    started(given) {
      child = given;
    },
  });
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(ended.stdout.trim().split('\n').sort(), lines.slice(0, 4));
});

trialWith('A file, with progress', FOR_WEB1, async (host, heading) => {
  const broken = await sink(FOR_WEB1);
  broken.drop('CONTENT', 9);
  const report = `Subject: report\n\n${'A line of the report.\n'.repeat(20_000)}`;
  const ways = { 'mail.example.org:25': broken.port, 'backup.example.net:25': host.port };
  const { stdout } = await run(heading, { ways, files: { 'report.eml': report } });
  await broken.close();
  assert.match(stdout, new RegExp(`^(\\d+ of about ${report.length} octets\\n){3,}accepted\\n$`));
  assert.deepEqual(held(host), [`web1@example.org > alice@example.org: ${report.replaceAll('\n', '\r\n')}`]);
  assert.equal(broken.messages.length, 0);
});

trial('LMTP over a unix socket', async (heading) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-'));
  const host = await sink({ lmtp: true, socket: path.join(folder, 'lmtp') });
  try {
    host.refuse('END', '452 4.2.2 mailbox full', { address: 'bob@example.org' });
    const { stdout } = await run(heading, { ways: { '/run/dovecot/lmtp': path.join(folder, 'lmtp') } });
    assert.equal(stdout, 'taken for alice@example.org\nbob@example.org: 452 4.2.2 mailbox full\n');
    assert.deepEqual(held(host), [' > alice@example.org: Subject: hi\r\n\r\nhello\r\n']);
  } finally {
    await host.close();
    rmSync(folder, { recursive: true });
  }
});

trial('OAuth2', async (heading) => {
  const tokens: string[] = [];
  const endpoint = createServer(cert, (request, response) => {
    let form = '';
    request.on('data', (part) => {
      form += part;
    });
    request.on('end', () => {
      tokens.push(form);
      response.end(JSON.stringify({ access_token: `token-${tokens.length}`, expires_in: 3600 }));
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  const logins: unknown[] = [];
  const server = new SMTPServer({
    key: cert.key,
    cert: cert.cert,
    authMethods: ['XOAUTH2'],
    onAuth({ username, accessToken }, _session, done) {
      logins.push([username, accessToken]);
      if (accessToken === 'token-1') done(null, { user: username });
      else done(null, { data: { status: '401', schemes: 'bearer' } });
    },
    onData(stream, _session, done) {
      stream.on('end', () => done()).resume();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const ways = {
    'mail.example.org:587': (server.server.address() as AddressInfo).port,
    'oauth2.example.com:443': (endpoint.address() as AddressInfo).port,
  };
  const env = { CLIENT_ID: 'me', CLIENT_SECRET: 'mine', REFRESH_TOKEN: 'again' };
  const { stdout } = await run(heading, { ways, env });
  await new Promise<void>((resolve) => server.close(() => resolve()));
  endpoint.closeAllConnections();
  await new Promise((resolve) => endpoint.close(resolve));
  assert.equal(stdout, 'XOAUTH2\nXOAUTH2\n');
  assert.deepEqual(tokens, ['grant_type=refresh_token&client_id=me&client_secret=mine&refresh_token=again']);
  assert.deepEqual(logins, [
    ['me@example.org', 'token-1'],
    ['me@example.org', 'token-1'],
  ]);
  const without = await run(heading, { ways: { 'oauth2.example.com:443': NOBODY, 'mail.example.org:587': NOBODY }, env });
  assert.match(without.stdout, /^mail\.example\.org.*refused\n/);
});

trial('A SASL mechanism of your own', async (heading) => {
  const proofs: (string | null)[] = [];
  const challenge = Buffer.from('<1896.697170952@mail.example.org>').toString('base64');
  const host = await startHost({
    offers: ['STARTTLS', 'AUTH X-KEY-PROOF'],
    tls: cert,
    script: {
      AUTH: async (talk: Talk) => {
        talk.say(`334 ${challenge}\n`);
        proofs.push(await talk.line());
        return '235 2.7.0 welcome';
      },
    },
  });
  const { stdout } = await run(heading, { ways: { 'mail.example.org:587': host.port }, env: { SMTP_KEY: 'key' } });
  await host.stop();
  assert.equal(stdout, 'X-KEY-PROOF\n');
  const proof = createHmac('sha256', 'key').update('<1896.697170952@mail.example.org>').digest('hex');
  assert.deepEqual(proofs, [Buffer.from(proof).toString('base64')]);
  assert.equal(host.held.length, 1);
});

trial('A server with a certificate of your own CA', async (heading) => {
  const ca = makeCertificate({ commonName: 'own CA', ca: true });
  const { key, cert: chain } = makeCertificate({ names: ['relay.internal'], issuer: ca });
  const host = await sink({ tls: { mode: 'starttls', key, cert: chain } });
  const ways = { 'relay.internal:587': host.port };
  const { stdout } = await run(heading, { ways, files: { 'own-ca.pem': ca.own } });
  assert.match(stdout, /^\{ cipher: 'TLS1\.3:[^']+', verified: true \}\n$/);
  const wrong = await run(heading, { ways, files: { 'own-ca.pem': cert.own } });
  await host.close();
  assert.match(wrong.stdout, /certificate/);
  assert.equal(host.messages.length, 1);
});

trialWith('A proxy', { tls: { mode: 'starttls', key: cert.key, cert: cert.cert } }, async (host, heading) => {
  const proxy = await startSocks({ user: 'me', password: 'secret', places: { 'mail.example.org:587': host.port } });
  const { stdout } = await run(heading, { ways: { 'proxy.example.org:1080': proxy.port } });
  await proxy.stop();
  assert.equal(stdout, 'accepted\n');
  assert.deepEqual(proxy.asked, ['me secret', 'CONNECT mail.example.org:587']);
  assert.equal(host.messages.length, 1);
});

trialWith('A socket of your own', { tls: { mode: 'starttls', key: cert.key, cert: cert.cert } }, async (host, heading) => {
  const ssh = [
    `#!${process.execPath}`,
    "if (process.argv.slice(2).join(' ') !== '-W mail.example.org:587 bastion.example.org') process.exit(1);",
    `const socket = require('node:net').connect(${host.port}, '127.0.0.1');`,
    'process.stdin.pipe(socket).pipe(process.stdout);',
  ];
  const { stdout, code } = await run(heading, { ways: {}, files: { ssh: `${ssh.join('\n')}\n` } });
  assert.deepEqual([stdout, code], ['accepted\n', 0]);
  assert.equal(host.messages.length, 1);
});

trialWith('A resolver of your own', { tls: { mode: 'starttls', key: cert.key, cert: cert.cert } }, async (host, heading) => {
  const { stdout } = await run(heading, { ways: { '192.0.2.25:25': host.port } });
  assert.equal(stdout, 'mx1.example.net 192.0.2.25\n');
  assert.equal(host.messages.length, 1);
});

trialWith('Some of the recipients', FOR_WEB1, async (host, heading) => {
  host.refuse('RCPT', '550 5.1.1 No such user', { address: 'nobody@example.org' });
  const { stdout } = await run(heading, { ways: { 'mail.example.org:587': host.port } });
  const said = ['alice@example.org has it', 'bob@example.org has it', 'nobody@example.org was refused: 5.1.1 No such user', ''];
  assert.equal(stdout, said.join('\n'));
  assert.deepEqual(held(host), ['list@example.org > alice@example.org bob@example.org: Subject: news\r\n\r\nThere are none.\r\n']);
});

trial('Tests with a smart host of your own', async (heading) => {
  const { stdout, code } = await run(heading, { ways: {} });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /\bpass 3\b/);
});

test('the example in CommonJS sends', () =>
  within(60_000, async () => {
    const host = await sink({ tls: { mode: 'starttls', key: cert.key, cert: cert.cert } });
    writeFileSync(path.join(project, 'plain.cjs'), plain);
    const { stdout } = await run('plain.cjs', { ways: { 'mail.example.org:587': host.port } });
    await host.close();
    assert.equal(stdout, 'accepted\n');
    assert.equal(host.messages.length, 1);
  }));

trialWith('Tracing with OpenTelemetry', FOR_WEB1, async (host, heading) => {
  host.refuse('RCPT', '550 5.1.1 No such user');
  const { stdout } = await run(heading, { ways: { 'mail.example.org:587': host.port } });
  const attributes = { 'smtp.server': 'submission://mail.example.org:587', 'smtp.session': 1 };
  const spans = ['connect', 'tls', 'auth', 'transaction'].map((name) => ({ name: `smtp ${name}`, kind: 2, attributes }));
  const said = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
  assert.deepEqual(said, [...spans.slice(0, 3), { ...spans[3], status: { code: 2, message: 'rejected' } }]);
});

for (const heading of examples.keys())
  test(`the example "${heading}" does what it says`, () =>
    within(60_000, async () => {
      const work = trials.get(heading);
      assert.ok(work, 'nobody tries it');
      await work(heading);
    }));

test('each trial has its example', () => {
  assert.deepEqual([...trials.keys()].sort(), [...examples.keys()].sort());
});

test.run();
