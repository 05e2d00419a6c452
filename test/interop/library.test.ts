/** The built library beside real servers: Exim and Postfix over TLS with AUTH, Dovecot's LMTP over its unix socket. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type * as Library from '../../src/library/index.ts';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { type TlsFiles, tlsFiles } from './support/certificates.ts';
import { type Dovecot, startDovecot } from './support/dovecot.ts';
import { startExim } from './support/exim.ts';
import { assertArrived } from './support/matrix.ts';
import { dotted, eightBit, type Message, mebibytes, threeLines } from './support/messages.ts';
import { suiteWith } from './support/needs.ts';
import { at, PASSWORD, type Peer, USER } from './support/peer.ts';
import { startPostfix } from './support/postfix.ts';

const test = suiteWith('the library', 'root', 'unshare', 'exim4-daemon-heavy', 'postfix', 'dovecot-core', 'dovecot-lmtpd');

const built = new URL('../../dist/lib/index.mjs', import.meta.url).href;
const { connect, Pool, submit } = (await import(built)) as typeof Library;

let tls: TlsFiles;
let dovecot: Dovecot;
const peers: Peer[] = [];

test.before(() =>
  within(90_000, async () => {
    tls = tlsFiles();
    for (const start of [startExim, startPostfix]) peers.push(await start({ tls, authRequired: true }));
    dovecot = await startDovecot({ tls });
  }),
);
test.after(() => Promise.all([...peers, dovecot].map((peer) => peer?.stop())).then(() => undefined));
test.before.each(() => Promise.all([...peers, dovecot].map((peer) => peer.clear())).then(() => undefined));

const serverOf = (peer: Peer, url = `submission://${HOST}:${peer.port}`): Library.Server => ({
  url,
  tls: { ca: readFileSync(tls.ca) },
  auth: { user: USER, password: async () => PASSWORD },
});
const to = (...boxes: readonly string[]): Library.Envelope => ({ from: at('sender'), to: boxes.map(at) });

async function arrived(peer: Peer, box: string, message: Message): Promise<void> {
  const [found] = await peer.received(box);
  assertArrived(found, message);
}

function isTaken(outcome: Library.Outcome): void {
  assert.equal(outcome.kind, 'accepted', JSON.stringify(outcome));
}

for (const i of [0, 1])
  test(`submit, a session and a pool: ${['Exim', 'Postfix'][i]}`, () =>
    within(90_000, async () => {
      const peer = peers[i] as Peer;
      const [small, dots, large] = [threeLines(), dotted(), mebibytes(8)];
      const options = { hello: 'client.example.org' };
      isTaken(await submit(to('ann', 'bob'), small.octets, { ...options, servers: [serverOf(peer)] }));
      for (const box of ['ann', 'bob']) await arrived(peer, box, small);
      await peer.clear();

      const opened = await connect(serverOf(peer, `submissions://${HOST}:${peer.tlsPort}`), options);
      assert.ok(opened.ok);
      const { client } = opened;
      const refused = client.send(to('ann', 'refused'), small.octets);
      const sent = [client.send(to('eve'), dots.octets), client.send(to('root'), large.octets)];
      const failure = await refused;
      assert.ok(failure.kind === 'failed' && failure.failure.code === 'rejected', JSON.stringify(failure));
      for (const outcome of await Promise.all(sent)) isTaken(outcome);
      await client.quit();
      await arrived(peer, 'eve', dots);
      await arrived(peer, 'root', large);
      await peer.clear();

      await using pool = new Pool(serverOf(peer), { ...options, connections: 3, messagesPerConnection: 4 });
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => pool.send(to('ann'), small.octets)));
      for (const outcome of outcomes) isTaken(outcome);
      await pool.drain();
      assert.equal((await peer.received('ann', 20)).length, 20, 'each once');
    }));

test('LMTP over the unix socket of Dovecot, to one; to several, of whom it has some', () =>
  within(60_000, async () => {
    const servers = [`lmtp+unix:${dovecot.lmtpSocket}`];
    const message = eightBit();
    isTaken(await submit(to('ann'), message.octets, { servers }));
    await arrived(dovecot, 'ann', message);
    const split = await submit(to('bob', 'eve'), message.octets, { servers });
    assert.ok(split.kind === 'failed' && split.failure.code === 'unsupported', JSON.stringify(split));
    const some = await submit(to('bob', 'stranger', 'eve'), message.octets, { servers, recipients: 'any' });
    assert.ok(some.kind === 'accepted', JSON.stringify(some));
    assert.deepEqual([some.taken.map(({ index }) => index), some.refusals.map(({ index }) => index)], [[0, 2], [1]]);
    for (const box of ['bob', 'eve']) await arrived(dovecot, box, message);
  }));

test.run();
