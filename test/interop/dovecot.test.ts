/** Dovecot: LMTP to one recipient and, where the configuration allows it, to several; submission with every mechanism it has. */
import assert from 'node:assert/strict';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { type TlsFiles, tlsFiles } from './support/certificates.ts';
import { type Command, installCommand, run } from './support/command.ts';
import { type Dovecot, startDovecot } from './support/dovecot.ts';
import { startExim } from './support/exim.ts';
import { assertArrived, assertDelivered, configuration } from './support/matrix.ts';
import { dotted, eightBit, kibibytes300, longLine, mebibytes, threeLines } from './support/messages.ts';
import { suiteWith } from './support/needs.ts';
import { at, type Peer, REFUSED } from './support/peer.ts';

const test = suiteWith('Dovecot', 'root', 'unshare', 'exim4-daemon-heavy', 'dovecot-core', 'dovecot-lmtpd', 'dovecot-submissiond');

let command: Command;
let tls: TlsFiles;
let exim: Peer;
let dovecot: Dovecot;

test.before(() =>
  within(30_000, async () => {
    tls = tlsFiles();
    command = installCommand();
    exim = await startExim();
    dovecot = await startDovecot({ tls, submitTo: exim });
  }),
);
test.after(() => Promise.all([exim?.stop(), dovecot?.stop()]).then(() => undefined));
test.before.each(() => Promise.all([exim.clear(), dovecot.clear()]).then(() => undefined));

const lmtp = (more = '') => command.configure(configuration(command, `lmtp://${HOST}:${dovecot.lmtpPort}`, undefined, { top: more }));
const send = (message: Buffer, ...boxes: readonly string[]) => run(command, ['-i', '-f', at('sender'), ...boxes.map(at)], message);

for (const make of [threeLines, dotted, eightBit, longLine, kibibytes300, () => mebibytes(8)]) {
  const message = make();
  test(`LMTP: ${message.name}`, () =>
    within(60_000, async () => {
      lmtp();
      assertDelivered(await send(message.octets, 'ann'));
      const [arrived] = await dovecot.received('ann');
      assert.equal(arrived?.reversePath, at('sender'));
      assertArrived(arrived, message);
    }));
}

test('V10: LMTP over a unix socket, to one and, with lmtp_partial, to two', () =>
  within(30_000, async () => {
    const message = threeLines();
    command.configure(`smarthosts = ["lmtp+unix:${dovecot.lmtpSocket}"]\n`);
    assertDelivered(await send(message.octets, 'ann'));
    assertArrived((await dovecot.received('ann'))[0], message);
    const two = await send(message.octets, 'ann', 'bob');
    assert.equal(two.status, 1, two.said);
    assert.match(two.stderr, /lmtp_partial = true/, two.said);
    command.configure(`smarthosts = ["lmtp+unix:${dovecot.lmtpSocket}"]\nlmtp_partial = true\n`);
    assertDelivered(await send(message.octets, 'bob', 'eve'));
    for (const box of ['bob', 'eve']) assertArrived((await dovecot.received(box))[0], message);
  }));

test('LMTP over STARTTLS', () =>
  within(30_000, async () => {
    command.configure(`smarthosts = ["lmtp://${HOST}:${dovecot.lmtpPort}"]\n[tls]\nmode = "required"\nca_file = "${tls.ca}"\n`);
    const message = threeLines();
    assertDelivered(await send(message.octets, 'ann'));
    assertArrived((await dovecot.received('ann'))[0], message);
  }));

test('LMTP to two: refused before any connection, since it may deliver to one of them', () =>
  within(30_000, async () => {
    lmtp();
    const before = dovecot.said().length;
    const result = await send(threeLines().octets, 'ann', 'bob');
    assert.equal(result.status, 1, result.said);
    assert.match(result.stderr, /LMTP|lmtp/, result.said);
    assert.equal(await dovecot.total(), 0);
    assert.doesNotMatch(dovecot.said().slice(before), /Connect from/);
  }));

test('LMTP to two with lmtp_partial', () =>
  within(30_000, async () => {
    lmtp('lmtp_partial = true\n');
    const message = threeLines();
    assertDelivered(await send(message.octets, 'ann', 'bob'));
    for (const box of ['ann', 'bob']) assertArrived((await dovecot.received(box))[0], message);
  }));

test('LMTP with lmtp_partial, one mailbox full: a failure that names who has it and who has not', () =>
  within(30_000, async () => {
    lmtp('lmtp_partial = true\n');
    const result = await send(threeLines().octets, 'ann', 'afterdot', 'bob');
    assert.equal(result.status, 1, result.said);
    assert.match(result.stderr, /afterdot@peer\.test/, result.said);
    assert.match(result.stderr, /552/, result.said);
    for (const has of ['ann', 'bob']) assert.match(result.stderr, new RegExp(`${has}@peer\\.test`), result.said);
    assert.equal(await dovecot.total(), 2);
  }));

test('LMTP, the one mailbox full', () =>
  within(30_000, async () => {
    lmtp();
    const result = await send(threeLines().octets, 'afterdot');
    assert.equal(result.status, 1, result.said);
    assert.match(result.stderr, /552/, result.said);
  }));

test('LMTP, an unknown mailbox, also with lmtp_partial: nobody has it', () =>
  within(30_000, async () => {
    for (const more of ['', 'lmtp_partial = true\n']) {
      lmtp(more);
      const result = await send(threeLines().octets, ...(more === '' ? [] : ['ann']), 'nobodyhere');
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /nobodyhere@peer\.test/, result.said);
      assert.match(result.stderr, /550/, result.said);
    }
    assert.equal(await dovecot.total(), 0);
  }));

/** Dovecot notes its own hand-over at the top, folded over several lines. */
const withoutTrace = (octets: string) => octets.replace(/^Received: from client\.example\.org.*\n(?:[ \t].*\n)*/, '');

for (const scheme of ['submission', 'submissions'] as const)
  for (const mechanism of ['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256'])
    test(`${scheme} with ${mechanism}`, () =>
      within(30_000, async () => {
        const port = scheme === 'submission' ? dovecot.port : dovecot.tlsPort;
        command.configure(configuration(command, `${scheme}://${HOST}:${port}`, tls, { auth: `mechanisms = ["${mechanism}"]\n` }));
        const message = threeLines();
        assertDelivered(await send(message.octets, 'ann', 'bob'));
        assert.match(dovecot.said(), new RegExp(`method=${mechanism}`));
        for (const box of ['ann', 'bob']) assertArrived((await exim.received(box))[0], message, withoutTrace);
      }));

test('submission chooses SCRAM-SHA-256 by itself', () =>
  within(30_000, async () => {
    command.configure(configuration(command, `submission://${HOST}:${dovecot.port}`, tls));
    const before = dovecot.said().length;
    assertDelivered(await send(threeLines().octets, 'ann'));
    assert.match(dovecot.said().slice(before), /method=SCRAM-SHA-256/);
  }));

test('submission: what the server behind it refuses, is refused', () =>
  within(30_000, async () => {
    command.configure(configuration(command, `submission://${HOST}:${dovecot.port}`, tls));
    for (const local of ['refused', 'later', 'atdata', 'afterdot'] as const) {
      const result = await send(threeLines().octets, 'ann', local);
      assert.equal(result.status, 1, `${local}: ${result.said}`);
      assert.match(result.stderr, new RegExp(`${REFUSED[local].code}`), result.said);
    }
    assert.equal(await exim.total(), 0);
  }));

test.run();
