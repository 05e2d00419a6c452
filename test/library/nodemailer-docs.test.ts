/**
 * docs/nodemailer.md: its tables are those of the code, and its programs compile against the published types and do what they say.
 * Loopback: TLS is asked for by the name mail.example.org, to which a proxy leads.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import type { Options, Server } from '../../src/library/index.ts';
import { AUTH_OPTIONS, OPTIONS, TLS_OPTIONS } from '../../src/library/nodemailer/index.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { tlsWorld } from '../support/delivery.ts';
import { printErrors, printOptions } from '../support/nodemailer-tables.ts';
import { startHttpProxy } from '../support/proxies.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const docs = suite('docs/nodemailer.md');
const root = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(path.join(root, 'docs/nodemailer.md'), 'utf8');
const run = promisify(execFile);

docs('shows the options and the errors as the code has them', () => {
  for (const table of [printOptions(OPTIONS), printOptions(TLS_OPTIONS), printOptions(AUTH_OPTIONS), printErrors()])
    assert.ok(text.includes(table), table);
});

type Done = (error?: Error | null, answer?: unknown) => void;
interface Listening {
  address(): AddressInfo;
}
interface SmtpServer {
  listen(port: number, host: string, ready: () => void): Listening;
  close(done: () => void): void;
  on(event: 'error', heard: (error: Error) => void): void;
}

/** nodemailer's smtp-server: it refuses whoever is called nobody, and takes the token `fresh`. */
async function startServer(tls: { readonly key: string; readonly cert: string } | null) {
  const name = 'smtp-server';
  const { SMTPServer } = (await import(name)) as { SMTPServer: new (options: object) => SmtpServer };
  const taken: string[] = [];
  const server = new SMTPServer({
    ...(tls ?? { disabledCommands: ['STARTTLS', 'AUTH'] }),
    authMethods: ['XOAUTH2'],
    authOptional: tls === null,
    logger: false,
    onAuth: ({ username, accessToken }: { username: string; accessToken: string }, _session: object, done: Done) =>
      accessToken === 'fresh' ? done(null, { user: username }) : done(new Error('not that token')),
    onRcptTo: ({ address }: { address: string }, _session: object, done: Done) =>
      done(address.startsWith('nobody@') ? Object.assign(new Error('no such user'), { responseCode: 550 }) : null),
    onData(stream: Readable, session: { envelope: { rcptTo: { address: string }[] } }, done: Done) {
      let content = '';
      stream.on('data', (part) => {
        content += part;
      });
      stream.on('end', () => {
        taken.push(
          `${session.envelope.rcptTo.map(({ address }) => address)} ${/^Content-Disposition: attachment.*$/m.exec(content)?.[0] ?? ''}`,
        );
        done(null, 'taken');
      });
    },
  });
  server.on('error', () => undefined);
  const port = await new Promise<number>((resolve) => {
    const listening = server.listen(0, '127.0.0.1', () => resolve(listening.address().port));
  });
  return { port, taken, stop: () => new Promise<void>((resolve) => server.close(resolve)) };
}

/** A project that has nospool and nodemailer installed. */
function project(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-moving-'));
  mkdirSync(path.join(folder, 'node_modules', '@types'), { recursive: true });
  symlinkSync(root, path.join(folder, 'node_modules', 'nospool'));
  for (const name of ['nodemailer', '@types/node'])
    symlinkSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name));
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(path.join(folder, 'report.csv'), 'a,b\n1,2\n');
  return folder;
}

const HELLO = /^\[ 'you@example\.net' \] 250 .*\n$/;
const REPORT = /^ann@example\.net: 250 .*\nbob@example\.net: 250 .*\nnobody@example\.net: EENVELOPE 550\n$/;

/** What each program prints, in order. */
const PRINTS: readonly RegExp[] = [
  HELLO,
  HELLO,
  /^nospool\n$/,
  REPORT,
  REPORT,
  /^250\n$/,
  /^nobody@example\.net 550\nyou@example\.net 250\n$/,
  /^never: EENVELOPE for nobody@example\.net\n$/,
];

/** The program that is moved, before that. */
const MOVED = PRINTS.indexOf(REPORT);

docs('its programs compile, and the one that was moved does the same before and after', () =>
  within(90_000, async () => {
    const programs = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] as string);
    assert.equal(programs.length, PRINTS.length);
    // The page shows once what sends.
    const [, sends = ''] = /(\nconst people[\s\S]*)/.exec(programs[MOVED + 1] as string) ?? [];
    programs[MOVED] += sends.replace('await transporter.close', 'transporter.close');
    const certificate = makeCertificate({ names: ['mail.example.org'] });
    const clear = await startServer(null);
    const secured = await startServer({ key: certificate.key, cert: certificate.cert });
    const proxy = await startHttpProxy({ places: { 'mail.example.org:587': secured.port } });
    const forms: string[] = [];
    const tokens = createServer((request, response) => {
      request.on('data', (part) => forms.push(String(part)));
      request.on('end', () => response.end('{ "access_token": "fresh", "expires_in": 3600 }'));
    });
    await new Promise<void>((resolve) => tokens.listen(0, '127.0.0.1', resolve));
    const folder = project();
    try {
      const files = programs.map((program, i) => {
        const source = program
          .replace('//localhost:2525', `//127.0.0.1:${clear.port}`)
          .replace("host: 'localhost', port: 2525", `host: '127.0.0.1', port: ${clear.port}`)
          .replace('http://proxy.example.net:3128', `http://127.0.0.1:${proxy.port}`)
          .replace('https://login.example.org/token', `http://127.0.0.1:${(tokens.address() as AddressInfo).port}/token`);
        writeFileSync(path.join(folder, `program${i}.ts`), source);
        return `program${i}`;
      });
      const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
      const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
      await run(process.execPath, [tsc, ...options, ...files.map((file) => `${file}.ts`)], { cwd: folder }).catch(
        (error: { stdout: string }) => assert.fail(error.stdout),
      );
      const authority = path.join(folder, 'ca.pem');
      writeFileSync(authority, certificate.own);
      const { FORCE_COLOR: _, ...plain } = process.env;
      const env = { ...plain, NODE_EXTRA_CA_CERTS: authority, CLIENT_SECRET: 'hush', REFRESH_TOKEN: 'again' };
      const reports: string[][] = [];
      for (const [i, file] of files.entries()) {
        secured.taken.length = 0;
        const { stdout } = await run(process.execPath, [`${file}.js`], { cwd: folder, env });
        assert.match(stdout, PRINTS[i] as RegExp, file);
        if (PRINTS[i] === REPORT) reports.push([...secured.taken].sort());
      }
      assert.deepEqual(
        reports[0],
        [
          'ann@example.net Content-Disposition: attachment; filename=report.csv\r',
          'bob@example.net Content-Disposition: attachment; filename=report.csv\r',
        ].map((line) => line.trimEnd()),
      );
      assert.deepEqual(reports[1], reports[0]);
      assert.ok(forms.every((form) => form.includes('refresh_token=again') && form.includes('client_secret=hush')));
    } finally {
      rmSync(folder, { recursive: true, force: true });
      tokens.close();
      await proxy.stop();
      await secured.stop();
      await clear.stop();
    }
  }),
);

/* ---- in place of SMTPConnection ---- */

type Library = typeof import('../../src/library/index.ts');
type Old = EventEmitter & Record<string, (...given: unknown[]) => unknown> & { readonly secure: boolean; readonly authenticated: boolean };

/** nodemailer's connection, open, and how each of its functions ends. */
async function oldClient(port: number, options: object = {}) {
  const name = 'nodemailer/lib/smtp-connection';
  const { default: SMTPConnection } = (await import(name)) as { default: new (options: object) => Old };
  const client = new SMTPConnection({ host: '127.0.0.1', port, ...options });
  const errors: string[] = [];
  const ended = new Promise<void>((resolve) => client.once('end', () => resolve()));
  const failed = new Promise<void>((resolve) => client.on('error', ({ code }: { code: string }) => resolve(void errors.push(code))));
  // It writes into the envelope that it gets.
  const call = (method: string, ...given: unknown[]) =>
    new Promise<{ error: Error | null; info: Record<string, unknown> }>((resolve) =>
      client[method]?.(...structuredClone(given), (error: Error | null, info: Record<string, unknown>) => resolve({ error, info })),
    );
  await Promise.race([new Promise<void>((resolve) => client.connect?.(() => resolve())), failed]);
  return { client, errors, ended, call };
}

/** A session of the built package, with the first thing that it said of itself. */
async function newClient(server: string | Server, options: Options = {}) {
  const name = 'nospool';
  const { connect } = (await import(name)) as Library;
  const connected = await connect(server, options);
  assert.ok(connected.ok);
  return { client: connected.client, failure: await connected.client.ready() };
}

const LETTER = 'Subject: x\r\n\r\nhello\r\n';
const TO = { from: 'me@here.example', to: ['you@there.example'] };
const LOGIN = { user: 'tim', password: 'secret' };
/** What the server heard in its first two sessions, in order; nodemailer's was the first. */
const heard = ({ sessions }: TestHost): readonly (readonly string[])[] => [0, 1].map((i) => sessions[i] ?? []);
const same = (host: TestHost, wanted: RegExp): void => {
  const [old = [], ours = []] = heard(host).map((lines) => lines.filter((line) => wanted.test(line)));
  assert.ok(old.length > 0);
  assert.deepEqual(ours, old);
};
const url = ({ port }: TestHost): string => `smtp://127.0.0.1:${port}`;

/** By the first cell of a row: a server, and what both do there. */
const IN_PLACE: Readonly<Record<string, readonly [SmarthostOptions, (host: TestHost) => Promise<void>]>> = {
  '`connect(callback)`, `name`': [
    {},
    async (host) => {
      (await oldClient(host.port, { name: 'here.example' })).client.close?.();
      (await newClient(url(host), { hello: 'here.example' })).client.destroy();
      same(host, /^EHLO here\.example$/);
    },
  ],
  '`secure`, `requireTLS`, `ignoreTLS`, `tls`': [
    { offers: ['STARTTLS'], tls: tlsWorld().certificate },
    async (host) => {
      const ca = tlsWorld().certificate.own;
      const old = await oldClient(host.port, { requireTLS: true, name: 'here.example', tls: { ca, servername: 'smart.example' } });
      const tls = { mode: 'required', ca, serverName: 'smart.example' } as const;
      const { client } = await newClient({ url: url(host), tls }, { hello: 'here.example' });
      assert.deepEqual([old.client.secure, client.facts.tls !== null], [true, true]);
      for (const each of [old.client.close, () => client.destroy()]) each?.call(old.client);
      same(host, /./);
      assert.deepEqual(heard(host)[1], ['EHLO here.example', 'STARTTLS', 'EHLO here.example']);
    },
  ],
  '`login(auth, callback)`': [
    { offers: ['AUTH PLAIN'] },
    async (host) => {
      const old = await oldClient(host.port);
      await old.call('login', { user: 'tim', pass: 'secret' });
      const { client } = await newClient({ url: url(host), auth: LOGIN });
      assert.deepEqual([old.client.authenticated, client.facts.auth?.mechanism], [true, 'PLAIN']);
      old.client.close?.();
      client.destroy();
      same(host, /^AUTH/);
    },
  ],
  '`customAuth`': [
    { offers: ['AUTH X-KEY'] },
    async (host) => {
      const customAuth = { 'X-KEY': ({ sendCommand }: { sendCommand(line: string): unknown }) => sendCommand('AUTH X-KEY YWJj') };
      const old = await oldClient(host.port, { customAuth });
      await old.call('login', { type: 'custom', method: 'X-KEY', user: 'tim', pass: 'secret' });
      old.client.close?.();
      const step = { say: 'abc', mayEnd: true, hear: () => ({ cancel: 'no more' }) };
      (await newClient({ url: url(host), auth: { mechanism: () => ({ name: 'X-KEY', begin: () => step }) } })).client.destroy();
      same(host, /^AUTH/);
    },
  ],
  '`send(envelope, message, callback)`': [
    {},
    async (host) => {
      const old = await oldClient(host.port);
      await old.call('send', { ...TO, from: false }, LETTER);
      old.client.quit?.();
      const { client } = await newClient(url(host));
      await client.send({ ...TO, from: '' }, LETTER);
      await client.quit();
      same(host, /^(MAIL|RCPT|DATA)/);
      assert.deepEqual(
        host.held.map(({ octets }) => octets.toString()),
        [LETTER, LETTER],
      );
    },
  ],
  '`dsn`, `use8BitMime`, `size` of an envelope': [
    { offers: ['8BITMIME', 'DSN', 'SIZE 1000'] },
    async (host) => {
      const letter = `${LETTER}é\r\n`;
      const old = await oldClient(host.port);
      const dsn = { ret: 'HDRS', envid: 'x1', notify: 'success', orcpt: 'rfc822;her@there.example' };
      await old.call('send', { ...TO, dsn, use8BitMime: true, size: Buffer.byteLength(letter) }, letter);
      const to = { address: 'you@there.example', notify: ['SUCCESS'], original: 'her@there.example' } as const;
      const { client } = await newClient(url(host));
      await client.send({ from: TO.from, to: [to], ret: 'HDRS', envid: 'x1' }, letter);
      old.client.close?.();
      client.destroy();
      const [first, second] = heard(host).map((lines) =>
        lines.filter((line) => /^(MAIL|RCPT)/.test(line)).map((line) => line.split(' ').sort()),
      );
      assert.equal(first?.length, 2);
      assert.deepEqual(second, first);
    },
  ],
  '`info.accepted`, `info.rejected`': [
    { script: { 'RCPT 2': '550 5.1.1 no' } },
    async (host) => {
      const envelope = { ...TO, to: ['you@there.example', 'her@there.example'] };
      const old = await oldClient(host.port);
      const { info } = await old.call('send', envelope, LETTER);
      const { client } = await newClient(url(host), { recipients: 'any' });
      const outcome = await client.send(envelope, LETTER);
      assert.ok(outcome.kind === 'accepted');
      const ours = [outcome.taken, outcome.refusals].map((each) => each.map(({ address }) => address));
      assert.deepEqual(ours, [info.accepted, info.rejected]);
      assert.deepEqual(ours, [['you@there.example'], ['her@there.example']]);
      old.client.close?.();
      client.destroy();
    },
  ],
  '`reset(callback)`': [
    {},
    async (host) => {
      const old = await oldClient(host.port);
      const { client } = await newClient(url(host));
      for (const from of ['no\r\nbody', 'me@here.example']) {
        await old.call('send', { ...TO, from }, LETTER);
        await old.call('reset');
        await client.send({ ...TO, from }, LETTER);
      }
      assert.deepEqual(
        host.held.map(({ recipients }) => recipients),
        [TO.to, TO.to],
      );
      old.client.close?.();
      client.destroy();
    },
  ],
  '`quit()`': [
    {},
    async (host) => {
      const old = await oldClient(host.port);
      old.client.quit?.();
      await old.ended;
      await (await newClient(url(host))).client.quit();
      same(host, /^QUIT$/);
    },
  ],
  '`close()`': [
    {},
    async (host) => {
      (await oldClient(host.port)).client.close?.();
      (await newClient(url(host))).client.destroy();
      assert.ok(heard(host).every((lines) => lines.length === 1));
    },
  ],
  '`error`, `end`': [
    { script: { MAIL: 'close' } },
    async (host) => {
      const old = await oldClient(host.port);
      await old.call('send', TO, LETTER);
      await old.ended;
      const { client } = await newClient(url(host));
      const outcome = await client.send(TO, LETTER);
      assert.equal(outcome.kind === 'failed' && outcome.failure.code, 'lost');
      assert.equal(client.usable, false);
    },
  ],
  '`secure`, `authenticated`, `allowsAuth`': [
    { offers: ['AUTH PLAIN'] },
    async (host) => {
      const old = await oldClient(host.port);
      const { client } = await newClient(url(host));
      assert.deepEqual([old.client.secure, old.client.authenticated, old.client.allowsAuth], [false, false, true]);
      assert.deepEqual([client.facts.tls, client.facts.auth, client.facts.extensions], [null, null, ['AUTH PLAIN']]);
      old.client.close?.();
      client.destroy();
    },
  ],
  '`connectionTimeout`, `greetingTimeout`, `socketTimeout`, `dnsTimeout`': [
    { script: { connect: 'silence' } },
    async (host) => {
      const { errors } = await oldClient(host.port, { greetingTimeout: 50 });
      const { failure } = await newClient(url(host), { timeouts: { greeting: 50 } });
      assert.deepEqual([errors, failure?.code], [['ETIMEDOUT'], 'timeout']);
    },
  ],
  '`logger`, `debug`, `transactionLog`': [
    {},
    async (host) => {
      const lines: string[] = [];
      const { client } = await newClient(url(host), { hello: 'here.example', trace: ({ side, line }) => lines.push(`${side} ${line}`) });
      client.destroy();
      assert.ok(lines.includes('client EHLO here.example'));
    },
  ],
  '`connection`, `socket`': [
    {},
    async (host) => {
      const dial = () => createConnection({ port: host.port, host: '127.0.0.1' });
      const connection = dial();
      await once(connection, 'connect');
      const old = await oldClient(1, { connection });
      const { client } = await newClient({ url: 'smtp://localhost:1', tls: { mode: 'off' }, socket: dial });
      old.client.close?.();
      client.destroy();
      assert.deepEqual(
        heard(host).map(({ length }) => length),
        [1, 1],
      );
    },
  ],
  '`lmtp`, `localAddress`': [
    {},
    async (host) => {
      const options = { localAddress: '127.0.0.1' };
      (await oldClient(host.port, { ...options, lmtp: true, name: 'here.example' })).client.close?.();
      (await newClient({ ...options, url: `lmtp://127.0.0.1:${host.port}` }, { hello: 'here.example' })).client.destroy();
      same(host, /^LHLO here\.example$/);
    },
  ],
};

docs('has a row for each thing that stands in place of SMTPConnection', () => {
  const [, table = ''] = /\| `SMTPConnection` \| here \|\n\|---\|---\|\n((?:\|.*\n)+)/.exec(text) ?? [];
  const cells = table
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' | ')[0]?.slice(2));
  assert.deepEqual(cells, Object.keys(IN_PLACE));
});

for (const [cell, [server, act]] of Object.entries(IN_PLACE))
  docs(`does what SMTPConnection does by ${cell}`, () =>
    within(10_000, async () => {
      const host = await startHost(server);
      await act(host);
      await host.stop();
    }),
  );

docs.run();
