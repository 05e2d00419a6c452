/**
 * What use has shown of the machine and its driver, between two sockets: each title begins with the number of the fault. The
 * transcripts that go with them are in test/sessions, the proofs for every state in test/smtp/exploration.
 * Loopback: what the machine says and when is the subject; where TLS matters its mode is written.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { deliver } from '../../src/submit/attempts.ts';
import { run, setUp } from '../cli/command.ts';
import { contentOf, hostAt, optionsFor, sentences, tlsRequired, transactionTo, verdictOf } from '../support/delivery.ts';
import { type Deed, type Phase, type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
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

/* ---- what a server said is told ---- */

const later =
  (first: string, second: string, end = true): Deed =>
  async ({ socket }) => {
    socket.write(first);
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (end) socket.end(second);
    else socket.write(second);
    return undefined;
  };

const BLOCKED = '521 5.7.1 Service unavailable; client [192.0.2.9] blocked using bl.example';

/** What the server says, and the sentence. */
const SAID: readonly (readonly [string, Partial<Record<Phase, Deed>>, RegExp, (readonly string[])?])[] = [
  [
    'a greeting whose lines change their code',
    { greeting: later('220-mx.example ESMTP\r\n', `${BLOCKED}\r\n`) },
    /: protocol error at greeting: the lines of one reply carry different codes: "220-mx\.example ESMTP \/ 521 5\.7\.1 Service unavailable; client \[192\.0\.2\.9\] blocked using bl\.example"$/,
  ],
  [
    'a greeting whose reason has several lines',
    { greeting: later('220-mx.example ESMTP\r\n', '521-5.7.1 blocked\r\n521 5.7.1 see https://bl.example/?q=192.0.2.9\r\n') },
    /: "220-mx\.example ESMTP \/ 521-5\.7\.1 blocked \/ 521 5\.7\.1 see https:\/\/bl\.example\/\?q=192\.0\.2\.9"$/,
  ],
  [
    'an EHLO reply that ends as a refusal',
    { EHLO: '250-mx.example\r\n250-SIZE 1000\r\n550 5.7.1 not from here\r\n' },
    /: protocol error at EHLO: the lines of one reply carry different codes: "250-mx\.example \/ 250-SIZE 1000 \/ 550 5\.7\.1 not from here"$/,
  ],
  [
    'a greeting and a farewell in one packet',
    { greeting: '220 mx.example ESMTP\r\n421 4.7.0 too many connections from [192.0.2.9]\r\n' },
    /: protocol error at greeting: unexpected reply: 220 mx\.example ESMTP \/ 421 4\.7\.0 too many connections from \[192\.0\.2\.9\]$/,
  ],
  [
    'an EHLO reply and a farewell in one packet',
    { EHLO: '250-mx.example\r\n250 SIZE\r\n421 4.3.2 going down\r\n' },
    /: unexpected reply: 250 mx\.example \/ SIZE \/ 421 4\.3\.2 going down$/,
  ],
  [
    'a farewell with more behind it',
    { MAIL: '421 4.3.2 going down\r\n421 4.3.2 really\r\n' },
    /: the server closes the session: 421 4\.3\.2 going down \/ 421 4\.3\.2 really$/,
  ],
  [
    'a line without a code within a reply',
    { greeting: '220-mx.example\r\nYour address is listed.\r\nGo away.\r\n' },
    /: not an SMTP reply: "220-mx\.example \/ Your address is listed\. \/ Go away\."$/,
  ],
  [
    'a reply that is never ended',
    { greeting: later('554-5.7.1 blocked\r\n', '554-5.7.1 see bl.example\r\n') },
    /waiting for the greeting: the server closed the connection after "554-5\.7\.1 blocked \/ 554-5\.7\.1 see bl\.example"$/,
  ],
  [
    'the beginning of a reply, and silence',
    { greeting: later('554-5.7.1 blocked\r\n', '554-5.7.1 see bl', false) },
    /: no reply to the greeting in time, only "554-5\.7\.1 blocked \/ 554-5\.7\.1 see bl"$/,
  ],
  [
    'a 354 and a refusal in one packet',
    { DATA: '354 go\r\n554 5.7.1 on second thoughts, no\r\n' },
    /: unexpected reply: 354 go \/ 554 5\.7\.1 on second thoughts, no$/,
  ],
  [
    'a 354 and something that is no reply yet in one packet',
    { DATA: '354 go\r\n554 5.7.1 on sec' },
    /: unexpected reply: 354 go \/ 554 5\.7\.1 on sec$/,
  ],
  [
    'STARTTLS and more in one packet',
    { STARTTLS: '220 go\r\n454 4.7.0 no certificate\r\n' },
    /: protocol error at starttls: unexpected reply: 220 go \/ 454 4\.7\.0 no certificate$/,
    ['STARTTLS'],
  ],
  [
    'a verdict that is none',
    { end: later('250-queued\r\n', '554 5.7.1 spam\r\n') },
    /no verdict came back \(the lines of one reply carry different codes: "250-queued \/ 554 5\.7\.1 spam"\)/,
  ],
  [
    'the beginning of a verdict, and the end',
    { end: later('250-2.0.0 queued\r\n', '250 as') },
    /no verdict came back \(the server closed the connection after "250-2\.0\.0 queued \/ 250 as"\)/,
  ],
  [
    'the beginning of a verdict, and silence',
    { end: later('250-2.0.0 queued\r\n', '250 as', false) },
    /no verdict came back \(no whole reply came in time: "250-2\.0\.0 queued \/ 250 as"\)/,
  ],
  ['control characters', { greeting: '220-a\x1b[2J\r\n521 b\x07\r\n' }, /: "220-a\\x1b\[2J \/ 521 b\\x07"$/],
  ['much', { greeting: `220-a\r\n${`521-${'b'.repeat(100)}\r\n`.repeat(30)}521 c\r\n` }, /: "220-a( \/ 521-b+){14,15}…"$/],
];
for (const [what, script, expected, offers = []] of SAID)
  test(`W7: ${what}: all that came is told`, () =>
    withTwo({ script, offers }, async (first) => {
      const host = hostAt(first.port, offers.length > 0 ? { tls: tlsRequired() } : {});
      const limits = { ...optionsFor().timeouts, greeting: 1000, final: 1000 };
      const outcome = await deliver(
        { hosts: [host], transaction: transactionTo(1), content: contentOf() },
        optionsFor(10_000, { timeouts: limits }),
      );
      assert.match(sentences(outcome).split('\n')[0] as string, expected);
    }));

test('W7: standard error and the log have it', () =>
  withTwo({ script: { greeting: later('220-mx.example ESMTP\r\n', `${BLOCKED}\r\n`) } }, async ({ port }) => {
    const { config, logged } = setUp(`smarthosts = ["smtp://127.0.0.1:${port}"]\nqualify_domain = "example.org"`);
    const { status, stderr } = await run(config, ['ops@example.org'], 'Subject: x\n\nhello\n');
    assert.equal(status, 1);
    for (const text of [stderr, logged()]) assert.ok(text.includes(`220-mx.example ESMTP / ${BLOCKED}`), text);
  }));

test.run();
