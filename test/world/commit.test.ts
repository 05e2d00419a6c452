/**
 * A message that is lost on its way over a connection as slow to take octets as an Ethernet: packets of 1500 octets, so that
 * the kernel holds a part of the message and not all of it. Over loopback as it is it holds all, and every loss comes too late.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { deliver } from '../../src/submit/delivery.ts';
import { startProxy } from '../faults/support/proxy.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { contentOf, hostAt, optionsFor, sentences, transactionTo } from '../support/delivery.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suiteWith('a loss on the way', 'root', 'unshare');

const mtu = (octets: number) => execFileSync('ip', ['link', 'set', 'lo', 'mtu', String(octets)]);
test.before(() => void mtu(1500));
test.after(() => void mtu(65_536));

/** 200 kB: one block of BDAT. */
const MESSAGE = `Subject: x\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(2800)}`;

for (const offers of [['PIPELINING'], ['PIPELINING', 'CHUNKING']])
  for (const kind of ['cut', 'reset'] as const)
    test(`V3: ${kind} after 60 of 200 kB, ${offers.join(' and ')}: the next host gets it`, () =>
      within(30_000, async () => {
        const [first, second] = [await startHost({ offers }), await startHost({ offers })];
        const proxy = await startProxy({
          port: first.port,
          rules: [{ direction: 'toServer', at: 60_000, fault: { kind }, connection: 0 }],
        });
        try {
          const outcome = await deliver(
            { hosts: [hostAt(proxy.port), hostAt(second.port)], transaction: transactionTo(1), content: contentOf(MESSAGE) },
            optionsFor(),
          );
          assert.equal(outcome.kind, 'accepted', sentences(outcome));
          assert.deepEqual([first.held.length, second.held.length], [0, 1]);
        } finally {
          await Promise.all([proxy.stop(), first.stop(), second.stop()]);
        }
      }));

test.run();
