/**
 * What use has shown of the machine and its driver, between two sockets: each title begins with the number of the fault. The
 * transcripts that go with them are in test/sessions, the proofs for every state in test/smtp/exploration.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { deliver } from '../../src/submit/attempts.ts';
import { contentOf, hostAt, optionsFor, sentences, transactionTo, verdictOf } from '../support/delivery.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('found: the machine');

/** Two smart hosts, the first with a fault; ended with the test. */
async function withTwo(faults: SmarthostOptions, work: (first: TestHost, second: TestHost) => Promise<void>): Promise<void> {
  const [first, second] = [await startHost(faults), await startHost({ offers: faults.offers ?? [] })];
  try {
    await within(20_000, () => work(first, second));
  } finally {
    await Promise.all([first.stop(), second.stop()]);
  }
}

/* ---- 421 to the content ---- */

for (const [what, offers] of [
  ['the final dot', []],
  ['BDAT LAST', ['PIPELINING', 'CHUNKING']],
] as const)
  test(`V4: 421 to ${what} is a refusal, and no other host is asked`, () =>
    withTwo({ offers, script: { end: '421 4.3.2 closing down' } }, async (first, second) => {
      const outcome = await deliver(
        { hosts: [hostAt(first.port), hostAt(second.port)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(),
      );
      assert.equal(verdictOf(outcome), 'failed');
      assert.match(sentences(outcome), /: the content: 421 4\.3\.2 closing down$/);
      assert.deepEqual(second.sessions, []);
    }));

const LMTP: readonly (readonly [string, string, string, RegExp])[] = [
  [
    'one of two',
    '421 4.3.2 later\r\n250 stored\r\n',
    'accepted',
    /the content for <r1@there\.example>: 421 4\.3\.2 later\n.*delivered in part, to <r2@/,
  ],
  [
    'both',
    '421 4.3.2 later\r\n421 4.3.2 later\r\n',
    'failed',
    /<r1@there\.example>: 421 4\.3\.2 later\n.*<r2@there\.example>: 421 4\.3\.2 later$/,
  ],
];
for (const [what, end, verdict, told] of LMTP)
  test(`V4: with LMTP 421 to ${what} counts for that recipient alone`, () =>
    withTwo({ script: { end } }, async (first, second) => {
      const hosts = [hostAt(first.port, { scheme: 'lmtp' }), hostAt(second.port, { scheme: 'lmtp' })];
      const outcome = await deliver({ hosts, transaction: transactionTo(2), content: contentOf() }, optionsFor(10_000, { partial: true }));
      assert.equal(verdictOf(outcome), verdict, sentences(outcome));
      assert.match(sentences(outcome), told);
      assert.deepEqual(second.sessions, []);
    }));

test('V4: with LMTP nobody knows what became of those whose verdict was still to come when 421 ended the session', () =>
  withTwo({ script: { end: ({ socket }) => void socket.end('250 stored\r\n421 4.3.2 later\r\n') } }, async (first, second) => {
    const hosts = [hostAt(first.port, { scheme: 'lmtp' }), hostAt(second.port, { scheme: 'lmtp' })];
    const outcome = await deliver({ hosts, transaction: transactionTo(3), content: contentOf() }, optionsFor(10_000, { partial: true }));
    assert.equal(verdictOf(outcome), 'uncertain', sentences(outcome));
    assert.match(
      sentences(outcome),
      /for 2 of 3 recipients one came: <r1@there\.example> 250 stored \/ <r2@there\.example> 421 4\.3\.2 later\)/,
    );
    assert.deepEqual(second.sessions, []);
  }));

test.run();
