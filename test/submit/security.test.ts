/**
 * Secrets and mechanisms as a smart host's policies ask for them: each is read once, and none comes out of a text from then on.
 * Loopback: nothing connects; hosts are made up.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { type AuthPolicy, DIRECT, type Secret, type Smarthost } from '../../src/router/smarthost.ts';
import { parsed, unparsed } from '../../src/smtp/parsed.ts';
import type { AuthChannel } from '../../src/smtp/sasl/choose.ts';
import { plain } from '../../src/smtp/sasl/sasl.ts';
import { makeSecurity, systemSecurity } from '../../src/submit/security.ts';
import type { Handshake, Security } from '../../src/submit/session.ts';
import { hostAt } from '../support/delivery.ts';
import { within } from '../support/within.ts';

const test = suite('security');

const VALUE = 'correct horse/battery+staple=4711';
const endpoint = { address: '192.0.2.1', family: 4, port: 587 } as const;
const withSecret = (secret: Secret, changes: Partial<AuthPolicy> = {}): Smarthost =>
  hostAt(587, { host: 'mail.example', auth: { user: 'tim', mechanisms: [], secret, allowPlaintext: false, ...changes } });
const proxied = (secret: Secret): Smarthost =>
  hostAt(587, { link: { ...DIRECT, proxy: { scheme: 'http', host: '192.0.2.2', port: 8080, user: 'prx', secret } } });

/** The mechanism that is chosen among these over TLS, and what it says first; or why none is. */
async function chooseBy(security: Security, host: Smarthost, offered: string, handshake: Handshake | null = null): Promise<string> {
  const authenticator = await security.authenticator(host);
  if (!authenticator.ok) return authenticator.detail;
  const choose = authenticator.value(endpoint, false, handshake);
  if (choose === null) return 'none is needed';
  const chosen = choose(new Set(offered.split(' ')), true);
  return chosen.ok ? `${chosen.value.name} ${JSON.stringify(chosen.value.begin().say)}` : chosen.detail;
}

/** A command that gives the secret, and counts in a file how often it was asked. */
function counted<T>(work: (secret: Secret, asked: () => number) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'nospool-security-'));
  const file = join(folder, 'asked');
  writeFileSync(file, '');
  const secret: Secret = { from: 'command', argv: ['/bin/sh', '-c', `echo x >> ${file}; echo '${VALUE}'`] };
  const asked = (): number => readFileSync(file, 'utf8').length / 2;
  return within(20_000, () => work(secret, asked)).finally(() => rmSync(folder, { recursive: true }));
}

test('each secret is read once, however many connections ask for it', () =>
  counted(async (secret, asked) => {
    const security = systemSecurity({ PATH: '/usr/bin:/bin' });
    const host = withSecret(secret);
    const said = `PLAIN ${JSON.stringify(`\0tim\0${VALUE}`)}`;
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => chooseBy(security, host, 'PLAIN'))), [said, said, said]);
    assert.equal(await chooseBy(security, host, 'PLAIN'), said);
    assert.equal(asked(), 1);
    assert.deepEqual(await security.proxyPassword(proxied(secret)), parsed(VALUE));
    assert.equal(asked(), 1, 'the same secret of a proxy');
    assert.equal(await chooseBy(systemSecurity({ PATH: '/usr/bin:/bin' }), host, 'PLAIN'), said);
    assert.equal(asked(), 2, 'another message');
  }));

test('a secret that cannot be read is a sentence that names the key by what it is', async () => {
  const security = systemSecurity({});
  const file = (): Secret => ({ from: 'file', path: '/no/such/secret' });
  assert.match(await chooseBy(security, withSecret(file()), 'PLAIN'), /^password_file \/no\/such\/secret does not exist/);
  assert.match(await chooseBy(security, withSecret(file(), { isToken: true }), 'XOAUTH2'), /^token_file \/no\/such\/secret does not exist/);
  const password = await security.proxyPassword(proxied(file()));
  assert.match(password.ok ? '' : password.detail, /^proxy_password_file \/no\/such\/secret does not exist/);
});

test('the mechanism is one of what the secret is: a password, a token, or nothing but a certificate', async () => {
  const literal: Secret = { from: 'literal', value: VALUE };
  const all = 'PLAIN XOAUTH2 EXTERNAL';
  const security = systemSecurity({});
  assert.match(await chooseBy(security, withSecret(literal), all), /^PLAIN /);
  assert.match(await chooseBy(security, withSecret(literal, { isToken: true }), all), /^XOAUTH2 /);
  const certified = withSecret({ from: 'none' }, { mechanisms: ['EXTERNAL'] });
  assert.match(await chooseBy(security, { ...certified, tls: { ...certified.tls, certificate: '/own.pem' } }, all), /^EXTERNAL "/);
  assert.match(await chooseBy(security, certified, all), /^EXTERNAL needs a client certificate /);
  assert.doesNotMatch(await chooseBy(security, withSecret({ from: 'none' }), all), /^(PLAIN|XOAUTH2) /);
  assert.equal(await chooseBy(security, hostAt(587), all), 'none is needed');
});

test('no text holds a secret that was read, and in answers to AUTH no part of one; before, and without one, texts stay', async () => {
  const security = systemSecurity({});
  const text = `535 ${VALUE} or ${VALUE.slice(0, 14)}`;
  assert.equal(security.scrub(text, true), text);
  assert.deepEqual(await security.proxyPassword(hostAt(587)), parsed(''));
  assert.equal(security.scrub('535 mutant', true), '535 mutant');
  assert.deepEqual(await security.proxyPassword(proxied({ from: 'none' })), parsed(''));
  assert.equal(security.scrub(text, true), text);
  assert.deepEqual(await security.proxyPassword(proxied({ from: 'literal', value: VALUE })), parsed(VALUE));
  assert.equal(security.scrub(text, false), `535 **** or ${VALUE.slice(0, 14)}`);
  assert.equal(security.scrub(text, true), '535 **** or ****');
  // The response of PLAIN has the user before the secret: also that of the proxy's user is known.
  const response = Buffer.from(`\0prx\0${VALUE}`).toString('base64').slice(0, 9);
  assert.equal(security.scrub(`535 ${response}`, true), '535 ****');
  const other = Buffer.from(`\0tim\0${VALUE}`).toString('base64').slice(0, 9);
  assert.equal(security.scrub(`535 ${other}`, true), `535 ${other}`);
  await chooseBy(security, withSecret({ from: 'literal', value: VALUE }), 'PLAIN');
  for (const each of [response, other]) assert.equal(security.scrub(`535 ${each}`, true), '535 ****', 'two users with one secret');
  await chooseBy(security, withSecret({ from: 'literal', value: 'another secret' }), 'PLAIN');
  assert.equal(security.scrub(`another secret ${VALUE}`, false), '**** ****');
});

test('secrets come from whoever gives them, and each that differs is scrubbed', async () => {
  let count = 0;
  const security = makeSecurity(
    {},
    {
      secret: async () => {
        count += 1;
        return count > 3 ? unparsed('no more') : parsed(`secret-number-${count}`);
      },
      proxyPassword: async () => parsed(''),
    },
  );
  const host = withSecret({ from: 'none' });
  for (const number of [1, 2, 3])
    assert.equal(
      await chooseBy(security, withSecret({ from: 'literal', value: '' }), 'PLAIN'),
      `PLAIN "\\u0000tim\\u0000secret-number-${number}"`,
    );
  assert.equal(await chooseBy(security, host, 'PLAIN'), 'no more');
  assert.equal(security.scrub('secret-number-1 secret-number-3 secret-number-4', false), '**** **** secret-number-4');
});

test('a mechanism of the caller’s own is chosen in place of ours, and is told what is known of the connection', async () => {
  const told: AuthChannel[] = [];
  const security = makeSecurity(
    {},
    {
      secret: async () => unparsed('nobody asks'),
      proxyPassword: async () => parsed(''),
      mechanism(offered, channel) {
        told.push(channel);
        return offered.has('X-OWN') ? parsed({ ...plain('a', 'b'), name: 'X-OWN' }) : unparsed('not offered');
      },
    },
  );
  const bindings = [{ name: 'tls-exporter', data: '1' }];
  const handshake = { facts: () => ({ cipher: 'x', verified: true, bindings: () => bindings }), secure: async () => unparsed('') };
  const host = hostAt(587, { host: 'mail.example' });
  assert.match(await chooseBy(security, host, 'X-OWN', handshake as unknown as Handshake), /^X-OWN /);
  assert.equal(await chooseBy(security, host, 'PLAIN'), 'not offered');
  const channel = { secured: true, loopback: false, host: 'mail.example', port: 587 };
  assert.deepEqual(told, [
    { ...channel, bindings },
    { ...channel, bindings: [] },
  ]);
});

test.run();
