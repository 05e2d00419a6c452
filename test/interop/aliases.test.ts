/** What cron mails to root, through an alias file to two people at a real Exim, over STARTTLS with AUTH: both have it, or nobody. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { tlsFiles } from './support/certificates.ts';
import { type Command, installCommand, type Run, run } from './support/command.ts';
import { until } from './support/daemon.ts';
import { startExim } from './support/exim.ts';
import { assertDelivered, configuration } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';
import { at, DOMAIN, normalised, type Peer, USER } from './support/peer.ts';
import { readMessage } from './support/world.ts';

const test = suiteWith('aliases', 'root', 'exim4-daemon-heavy', 'python3');

/** Debian's cron: its arguments, and the message it writes for a job of root. */
const CRON = ['-FCronDaemon', '-i', '-B8BITMIME', '-oem'];
const BODY = 'bürö\n.\nafter the dot\n';
const MAIL = Buffer.from(`From: root (Cron Daemon)
To: root
Subject: Cron <root@host> echo
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit
X-Cron-Env: <SHELL=/bin/sh>
X-Cron-Env: <HOME=/root>

${BODY}`);

let command: Command;
const peers: Peer[] = [];
test.before(() => {
  command = installCommand();
});
test.after.each(async () => {
  for (const peer of peers.splice(0)) await peer.stop();
});

/** An Exim that wants TLS and AUTH, and a configuration whose alias file says who root is. */
async function withRoot(aliases: string, dsn = true): Promise<Peer> {
  const tls = tlsFiles();
  const peer = await startExim({ tls, authRequired: true, dsn });
  peers.push(peer);
  const file = `${command.folder}/aliases`;
  writeFileSync(file, aliases);
  const top = `qualify_domain = "${DOMAIN}"\naliases = ["${file}"]`;
  command.configure(configuration(command, `submission://${HOST}:${peer.port}`, tls, { top, auth: '' }));
  return peer;
}

const cron = (...more: readonly string[]): Promise<Run> => run(command, [...CRON, ...more, 'root'], MAIL);

for (const dsn of [true, false])
  test(`cron's mail to root reaches both people behind the alias, ${dsn ? 'with' : 'without'} DSN`, () =>
    within(40_000, async () => {
      const peer = await withRoot('postmaster: root\nroot: ann,\n  bob\n', dsn);
      const ran = await cron('-v');
      assert.equal(ran.status, 0, ran.said);
      for (const box of ['ann', 'bob']) {
        const [arrived] = await peer.received(box);
        assert.ok(arrived);
        assert.equal(arrived.reversePath, at('root'));
        const text = normalised(arrived.octets);
        // The fields that it came with, in their order and with the domain that they lacked.
        assert.match(
          text,
          new RegExp(`^From: ${at('root')} \\(Cron Daemon\\)\nTo: ${at('root')}\nSubject: Cron <root@host> echo\nMIME-Version: `, 'm'),
        );
        const read = await readMessage(arrived.octets);
        assert.match(read.from, new RegExp(at('root')));
        assert.deepEqual([read.to, read.text, read.charset, read.defects], [at('root'), BODY, 'utf-8', []]);
      }
      assert.equal(await peer.total(), 2);
      // One message, of a client that has authenticated over TLS.
      const taken = peer
        .said()
        .split('\n')
        .filter((line) => line.includes(' <= '));
      assert.equal(taken.length, 1);
      assert.match(taken[0] as string, new RegExp(`P=esmtpsa .*X=TLS\\S+ .*A=\\w+:${USER} .* for ann@\\S+ bob@\\S+$`));
      const asked = ran.stderr.match(/^C: RCPT TO:.*?(?= {2}\(|$)/gm);
      const orcpt = dsn ? ` ORCPT=rfc822;${at('root')}` : '';
      assert.deepEqual(asked, [`C: RCPT TO:<${at('ann')}>${orcpt}`, `C: RCPT TO:<${at('bob')}>${orcpt}`]);
    }));

test('Exim reports the delivery for the recipient that cron named, not for those of the alias alone', () =>
  within(40_000, async () => {
    const peer = await withRoot('root: ann, bob\n');
    assertDelivered(await cron('-N', 'success', '-f', at('eve')));
    const [report] = await peer.received('eve');
    assert.ok(report);
    assert.equal(report.reversePath, '');
    const text = normalised(report.octets);
    for (const box of ['ann', 'bob'])
      assert.match(
        text,
        new RegExp(`Original-Recipient: rfc822;${at('root')}\nAction: delivered\nFinal-Recipient: rfc822;${at(box)}\n`),
        text,
      );
    assert.equal(text.match(/^Action: delivered$/gm)?.length, 2, text);
  }));

for (const [local, code] of [
  ['refused', 550],
  ['later', 451],
  ['afterdot', 552],
] as const)
  test(`one of the two is refused (${local}): nobody has it, and root is told who`, () =>
    within(40_000, async () => {
      const peer = await withRoot(`root: ann, ${local}\n`);
      const result = await cron();
      assert.deepEqual([result.status, result.stdout], [1, ''], result.said);
      assert.match(result.stderr, new RegExp(local === 'afterdot' ? `${code}` : `RCPT TO:<${at(local)}>.*: ${code}`), result.said);
      assert.match(result.logged, new RegExp(`\\*\\* ${at(local)} <${at('root')}> `), result.said);
      assert.match(result.logged, new RegExp(`\\*\\* ${at('ann')} <${at('root')}> `), result.said);
      assert.equal(await peer.total(), 0);
    }));

test('an alias that leads nowhere: Exim is not asked', () =>
  within(40_000, async () => {
    const peer = await withRoot('root: ann, ops\nops: :fail: nobody is on duty\n');
    // The start of a peer ends with a connection to each of its two ports, which shows that it listens.
    const connections = (): number => peer.said().split('(TCP/IP connection count').length - 1;
    await until('those connections', () => connections() === 2);
    const before = connections();
    const result = await cron();
    assert.equal(result.status, 1, result.said);
    assert.match(result.stderr, /routing root@peer\.test yielded a failed delivery: nobody is on duty/, result.said);
    assert.equal(await peer.total(), 0);
    assert.equal(connections(), before);
    // Shown to count: a message that is sent adds to it.
    assert.equal((await run(command, [...CRON, at('ann')], MAIL)).status, 0);
    assert.ok(connections() > before);
  }));

test.run();
