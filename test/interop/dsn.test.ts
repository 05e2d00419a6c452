/**
 * Delivery status notifications as real servers make them of what they were asked: the report of success that goes back names
 * the envelope and the original recipient as they were given. RFC 3464, RFC 3461.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { type Command, installCommand, run } from './support/command.ts';
import { until } from './support/daemon.ts';
import { startExim } from './support/exim.ts';
import { assertDelivered, configuration } from './support/matrix.ts';
import { threeLines } from './support/messages.ts';
import { suiteWith } from './support/needs.ts';
import { at, type Peer } from './support/peer.ts';
import { startPostfix } from './support/postfix.ts';

const test = suiteWith('DSN', 'root', 'unshare', 'exim4-daemon-heavy', 'postfix', 'dovecot-core');

let command: Command;
test.before(() => {
  command = installCommand();
});

const SERVERS: readonly (readonly [string, () => Promise<Peer>])[] = [
  ['Exim', () => startExim()],
  ['Postfix', () => startPostfix()],
];

for (const [name, start] of SERVERS)
  test(`${name}: a report of success for the address that was given, under the name of the envelope; none where none was wanted`, () =>
    within(90_000, async () => {
      const peer = await start();
      try {
        const aliases = `${command.folder}/aliases`;
        writeFileSync(aliases, `ops: ${at('bob')}\n`, { mode: 0o644 });
        const top = `aliases = ["${aliases}"]\nqualify_domain = "here.example"\n`;
        command.configure(configuration(command, `smtp://${HOST}:${peer.port}`, undefined, { top }));
        const send = (...args: readonly string[]) =>
          run(command, ['-i', '-f', at('ann'), ...args, 'ops@here.example'], threeLines().octets);

        assertDelivered(await send('-N', 'success', '-V', 'id+7=x', '-R', 'hdrs'));
        assert.equal((await peer.received('bob')).length, 1);
        const [report] = await peer.received('ann');
        const text = report?.octets.toString('latin1') ?? '';
        assert.equal(report?.reversePath ?? '', '', 'a report has no sender');
        assert.match(text, /multipart\/report/);
        // Exim hands it on in xtext, as it came.
        assert.match(text, /^Original-Envelope-Id: id(?:\+7=|\+2B7\+3D)x\r?$/im);
        assert.match(text, /^Final-Recipient: rfc822; ?bob@peer\.test\r?$/im);
        assert.match(text, /^Original-Recipient: rfc822; ?ops@here\.example\r?$/im);
        assert.match(text, /^Action: (delivered|relayed)/im);

        // Never: the server has it, and says nothing.
        await until('the report is fetched', async () => (await peer.total()) === 2);
        await peer.clear();
        assertDelivered(await send('-N', 'never', '-V', 'second'));
        await peer.received('bob');
        assert.equal(await peer.total(), 1);
      } finally {
        await peer.stop();
      }
    }));

test.run();
