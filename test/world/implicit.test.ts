/**
 * TLS from the first octet at a host that is not loopback, where no exemption makes credentials pass. The smart host is
 * nodemailer's smtp-server, so nothing of ours judges.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { SMTPServer } from 'smtp-server';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { run, scratch, setUp } from '../support/command.ts';
import { HOST } from './support/addresses.ts';

const test = suiteWith('implicit TLS in the world', 'root', 'unshare', 'smtp-server');

interface Taken {
  readonly user: string | undefined;
  readonly isSecure: boolean;
  readonly content: string;
}

const taken: Taken[] = [];
let server: SMTPServer | undefined;
const ca = makeCertificate({ commonName: 'test CA', ca: true });
const caFile = path.join(scratch(), 'ca.pem');

test.before(async () => {
  writeFileSync(caFile, ca.own);
  const { key, cert } = makeCertificate({ ips: [HOST], issuer: ca });
  server = new SMTPServer({
    key,
    cert,
    secure: true,
    onAuth({ username, password }, _session, done) {
      if (password === 'secret') done(null, { user: username });
      else done(new Error('wrong password'));
    },
    onData(stream, session, done) {
      let content = '';
      stream.on('data', (chunk: Buffer) => {
        content += chunk.toString('latin1');
      });
      stream.on('end', () => {
        taken.push({ user: session.user as string | undefined, isSecure: session.secure === true, content });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => server?.listen(465, HOST, resolve));
});

test.after(() => new Promise<void>((resolve) => server?.close(() => resolve())));

test('W1: submissions:// with a password sends', async () => {
  const { config, loggedFacts } = setUp(
    `smarthosts = ["submissions://${HOST}"]\nqualify_domain = "example.org"`,
    `[auth]\nuser = "web1"\npassword = "secret"\n[tls]\nca_file = "${caFile}"`,
  );
  const { status, stderr } = await run(config, ['ops@example.org'], 'Subject: backup\n\nfailed\n');
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  assert.deepEqual(
    taken.map(({ user, isSecure, content }) => ({ user, isSecure, body: content.slice(-8) })),
    [{ user: 'web1', isSecure: true, body: 'failed\r\n' }],
  );
  assert.match(loggedFacts().join('\n'), / A=(plain|login):web1/i);
});

test.run();
