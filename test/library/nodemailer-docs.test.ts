/**
 * docs/nodemailer.md: its tables are those of the code, and its programs compile against the published types and do what they say.
 * Loopback: TLS is asked for by the name mail.example.org, to which a proxy leads.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import { AUTH_OPTIONS, OPTIONS, TLS_OPTIONS } from '../../src/library/nodemailer/index.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { printErrors, printOptions } from '../support/nodemailer-tables.ts';
import { startHttpProxy } from '../support/proxies.ts';
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
const PRINTS: readonly RegExp[] = [HELLO, HELLO, /^nospool\n$/, REPORT, REPORT, /^250\n$/, /^never: EENVELOPE for nobody@example\.net\n$/];

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

docs.run();
