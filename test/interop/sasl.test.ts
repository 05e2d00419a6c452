/**
 * Every SASL mechanism that a server of Debian 12 has, against that server: the right secret delivers, the wrong one is
 * refused with the server's words, and neither is told anywhere. Exim by itself and by Dovecot, Postfix by Dovecot, Dovecot.
 * SCRAM-…-PLUS is in none of them; test/smtp/sasl/scram.test.ts has it.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { type TlsFiles, tlsFiles } from './support/certificates.ts';
import { type Command, installCommand, type Run, run } from './support/command.ts';
import { type Dovecot, startDovecot } from './support/dovecot.ts';
import { startExim } from './support/exim.ts';
import { assertArrived, assertDelivered, configuration } from './support/matrix.ts';
import { threeLines } from './support/messages.ts';
import { suiteWith } from './support/needs.ts';
import { at, PASSWORD, type Peer, USER } from './support/peer.ts';
import { startPostfix } from './support/postfix.ts';

const KEY = 'a key for tokens of the tests, long enough';
const FAR = 4_102_444_800; // the year 2100

function token(key: string, claims: Readonly<Record<string, unknown>> = {}): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: USER, iat: 1_700_000_000, exp: FAR, ...claims })}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

/** Blank, colon, equals sign and a letter beyond ASCII, as in real ones. */
const WRONG = 'wröng: secret = 7';

interface Side {
  /** The server that authenticates. */
  readonly peer: Peer;
  /** The server with the mailboxes, where it is another one. */
  readonly boxes: Peer;
  readonly strip?: (octets: string) => string;
}

const test = suiteWith('SASL', 'root', 'unshare', 'exim4-daemon-heavy', 'postfix', 'dovecot-core', 'dovecot-submissiond');

let command: Command;
let tls: TlsFiles;
let auth: Dovecot;
let open: Peer;
const sides: Record<string, Side> = {};

test.before(() =>
  within(60_000, async () => {
    tls = tlsFiles();
    command = installCommand();
    open = await startExim();
    auth = await startDovecot({ tls, submitTo: open, tokenKey: KEY });
    const exim = await startExim({ tls, authRequired: true, scramBy: auth.authSocket });
    const postfix = await startPostfix({ tls, authRequired: true });
    sides.Exim = { peer: exim, boxes: exim };
    sides.Postfix = { peer: postfix, boxes: postfix };
    // It notes its own hand-over at the top, folded over several lines.
    const strip = (octets: string) => octets.replace(/^Received: from client\.example\.org.*\n(?:[ \t].*\n)*/, '');
    sides.Dovecot = { peer: auth, boxes: open, strip };
  }),
);
test.after(() => Promise.all([sides.Exim?.peer.stop(), sides.Postfix?.peer.stop(), auth?.stop(), open?.stop()]).then(() => undefined));
test.before.each(() => Promise.all(Object.values(sides).map(({ boxes }) => boxes.clear())).then(() => undefined));

/** Forms in which a secret could be told: alone, as a part of something longer, hexadecimal, as URLs have it. */
function formsOf(secret: string): string[] {
  const octets = Buffer.from(secret);
  const cores = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), octets])
      .toString('base64')
      .slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + octets.length)) / 6)),
  );
  return [secret, octets.toString('latin1'), octets.toString('hex'), encodeURIComponent(secret), ...cores];
}

function assertUntold({ stdout, stderr, logged }: Run, secret: string): void {
  for (const form of formsOf(secret))
    assert.ok(!`${stdout}${stderr}${logged}`.toLowerCase().includes(form.toLowerCase()), `${form} is told`);
}

/** One message with this mechanism and secret, told with all there is to tell. */
async function attempt(
  { peer }: Side,
  mechanism: string,
  secret: string,
  verbosity: readonly string[],
  message = threeLines(),
): Promise<Run> {
  command.configure(configuration(command, `submission://${HOST}:${peer.port}`, tls, { auth: `mechanisms = ["${mechanism}"]\n` }));
  writeFileSync(`${command.folder}/password`, `${secret}\n`);
  chmodSync(`${command.folder}/password`, 0o600);
  return run(command, [...verbosity, '-i', '-f', at('sender'), at('ann')], message.octets);
}

/** [server, mechanism, the right secret, wrong ones] */
const PASSWORDS = ['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256'];
const CASES: readonly (readonly [string, string, string, readonly string[]])[] = [
  ...['Exim', 'Postfix', 'Dovecot'].flatMap((server) =>
    PASSWORDS.map((mechanism) => [server, mechanism, PASSWORD, [WRONG, `${PASSWORD} `, 'x']] as const),
  ),
  ...['OAUTHBEARER', 'XOAUTH2'].map(
    (mechanism) =>
      ['Dovecot', mechanism, token(KEY), [token('another key'), token(KEY, { exp: 1_700_000_001 }), 'no.token.atall']] as const,
  ),
];

for (const [server, mechanism, right, wrong] of CASES) {
  const side = () => sides[server] as Side;

  test(`${server}, ${mechanism}: the right secret`, () =>
    within(30_000, async () => {
      const message = threeLines();
      const quiet = await attempt(side(), mechanism, right, [], message);
      assertDelivered(quiet);
      assert.match(quiet.logged, new RegExp(` A=${mechanism.toLowerCase()}:${USER}\\b`));
      const loud = await attempt(side(), mechanism, right, ['-d'], message);
      assert.equal(loud.status, 0, loud.said);
      assert.match(loud.stderr, new RegExp(`C: AUTH ${mechanism}\\b`));
      for (const told of [quiet, loud]) assertUntold(told, right);
      const arrived = await side().boxes.received('ann', 2);
      assertArrived(arrived[0], message, side().strip);
      assert.equal(await side().boxes.total(), 2);
    }));

  test(`${server}, ${mechanism}: a wrong secret is refused in the server's words, nobody has the message, and nothing is told`, () =>
    within(60_000, async () => {
      for (const secret of wrong) {
        const result = await attempt(side(), mechanism, secret, ['-d']);
        assert.equal(result.status, 1, result.said);
        assert.match(result.stderr, new RegExp(`^sendmail: .*AUTH ${mechanism}.*: 535`, 'm'), result.said);
        assert.match(result.logged, /535/, result.said);
        assert.doesNotMatch(result.stderr, /C: MAIL/, result.said);
        // A secret of one letter is in every text.
        if (secret.length > 3) assertUntold(result, secret);
      }
      assert.equal(await side().boxes.total(), 0);
    }));
}

test('an explanation of what is wrong with a token is told with the refusal', () =>
  within(30_000, async () => {
    for (const mechanism of ['OAUTHBEARER', 'XOAUTH2']) {
      const result = await attempt(sides.Dovecot as Side, mechanism, token('another key'), []);
      assert.match(result.stderr, new RegExp(`AUTH ${mechanism} \\(.*status (invalid_token|401).*\\): 535`), result.said);
    }
  }));

test('EXTERNAL without a client certificate is not tried', () =>
  within(30_000, async () => {
    const exim = await startExim({ tls, mechanisms: ['EXTERNAL'], authRequired: true });
    try {
      const host = `submission://${HOST}:${exim.port}`;
      const external = 'mechanisms = ["EXTERNAL"]\n';
      const client = `certificate = "${tls.clientCertificate}"\ncertificate_key = "${tls.clientKey}"\n`;
      command.configure(configuration(command, host, tls, { tls: client, auth: external }));
      assertDelivered(await run(command, ['-i', '-f', at('sender'), at('ann')], threeLines().octets));
      command.configure(configuration(command, host, tls, { auth: external }));
      const result = await run(command, ['-d', '-i', '-f', at('sender'), at('ann')], threeLines().octets);
      assert.equal(result.status, 1, result.said);
      assert.doesNotMatch(result.stderr, /C: (AUTH|MAIL)/);
      assert.equal(await exim.total(), 1);
    } finally {
      await exim.stop();
    }
  }));

test.run();
