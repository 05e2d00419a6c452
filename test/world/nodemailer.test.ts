/**
 * What nodemailer's transport and ours send in clear, at a server that is not loopback, where no exemption makes anything pass.
 */
import assert from 'node:assert/strict';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { type Failed, MAIL, MAKERS, SIDES } from '../support/side-by-side.ts';
import { type SmarthostOptions, startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { HOST } from './support/addresses.ts';

const test = suiteWith('nodemailer in the world', 'root', 'unshare');

const certificate = makeCertificate({ ips: [HOST] });
const { key, cert } = certificate;
const clear: SmarthostOptions = { offers: ['PIPELINING', 'AUTH PLAIN'] };
const secured: SmarthostOptions = { offers: ['PIPELINING', 'AUTH PLAIN', 'STARTTLS'], tls: { key, cert } };
const auth = { user: 'tim', pass: 'secret' };
const tls = { ca: certificate.own };

/** What each gives: `sent`, or a code; and whether the password went over the wire in clear. */
const rows: readonly (readonly [
  title: string,
  server: SmarthostOptions,
  options: object,
  theirs: string,
  ours: string,
  inClear?: 'theirs',
])[] = [
  ['a server without TLS', clear, {}, 'sent', 'ETLS'],
  ['a server without TLS, and a password', clear, { auth }, 'sent', 'ETLS', 'theirs'],
  ['ignoreTLS', clear, { ignoreTLS: true }, 'sent', 'sent'],
  ['ignoreTLS, and a password', clear, { ignoreTLS: true, auth }, 'sent', 'ETLS', 'theirs'],
  ['opportunisticTLS', clear, { opportunisticTLS: true }, 'sent', 'sent'],
  ['opportunisticTLS, and a password', clear, { opportunisticTLS: true, auth }, 'sent', 'ETLS', 'theirs'],
  ['STARTTLS, and a password', secured, { auth, tls }, 'sent', 'sent'],
  ['STARTTLS with a certificate that nobody vouches for', secured, { auth }, 'ESOCKET', 'ETLS'],
  ['TLS from the first octet', { ...secured, secure: true }, { secure: true, auth, tls }, 'sent', 'sent'],
];

/** Only ours knows this word. */
const ALLOWED = { ignoreTLS: true, auth: { ...auth, allowPlaintext: true } };

async function sendTo(server: SmarthostOptions, make: (options: object) => ReturnType<(typeof MAKERS)['nospool']>, options: object) {
  const host = await startHost({ host: HOST, ...server });
  const transporter = make({ host: HOST, port: host.port, ...options });
  const gave = await transporter.sendMail({ ...MAIL }).then(
    () => 'sent',
    (error: Failed) => error.code ?? error.message,
  );
  await transporter.close();
  await host.stop();
  const heard = host.sessions.flat();
  const secure = heard.indexOf('STARTTLS');
  const inClear = server.secure !== true && heard.some((line, i) => line.startsWith('AUTH') && (secure < 0 || i < secure));
  return { gave, inClear };
}

for (const [title, server, options, theirs, ours, inClear] of rows)
  test(title, () =>
    within(10_000, async () => {
      for (const side of SIDES)
        assert.deepEqual(await sendTo(server, MAKERS[side], options), {
          gave: side === 'nospool' ? ours : theirs,
          inClear: inClear === side.replace('nodemailer', 'theirs'),
        });
    }),
  );

test('advice is in the words of nodemailer', () =>
  within(10_000, async () => {
    const host = await startHost({ host: HOST, ...clear });
    const error = await MAKERS.nospool({ host: HOST, port: host.port, auth })
      .sendMail({ ...MAIL })
      .catch((thrown: Failed) => thrown);
    assert.match((error as Failed).message, /ignoreTLS, or opportunisticTLS without requireTLS, sends in clear.*auth\.allowPlaintext/);
    await host.stop();
  }));

test('a password in clear, because the program says so', () =>
  within(10_000, async () => assert.deepEqual(await sendTo(clear, MAKERS.nospool, ALLOWED), { gave: 'sent', inClear: true })));

test.run();
