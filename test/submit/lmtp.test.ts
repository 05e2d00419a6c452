/** LMTP gives a verdict for each recipient: they become one, and a delivery in part is called so. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { assertFailed, hostAt, reasons, send, served, verbs } from '../pitfalls/support.ts';
import { run, setUp } from '../support/command.ts';
import type { Talk } from '../support/smarthost.ts';

const lmtp = suite('LMTP');

/** One reply for each recipient. RFC 2033 §4.2 */
const each =
  (...replies: readonly string[]) =>
  (talk: Talk): string => {
    talk.say(`${replies.join('\n')}\n`);
    return '';
  };

const TO = ['ann@example.org', 'bob@example.org', 'eve@example.org'];
const TEXT = 'Subject: x\n\nhello\n';

lmtp('one recipient: its verdict is the message’s', async () => {
  for (const [reply, kind] of [
    ['250 2.0.0 stored', 'accepted'],
    ['552 5.2.2 full', 'failed'],
  ] as const)
    await served({ offers: ['PIPELINING'], script: { end: reply } }, async (host) => {
      const outcome = await send([hostAt(host.port, { scheme: 'lmtp' })]);
      assert.equal(outcome.kind, kind, reasons(outcome));
      assert.equal(verbs(host)[0], 'LHLO');
    });
});

lmtp('several, and lmtp_partial is not set: the host is not even connected to', () =>
  served({}, async (host) => {
    const outcome = await send([hostAt(host.port, { scheme: 'lmtp' }), hostAt(host.port)], { to: TO.slice(1) });
    assertFailed(outcome, /^127\.0\.0\.1: LMTP gives every recipient a verdict of its own, /, / lmtp_partial = true/);
    assert.ok(outcome.kind === 'failed' && outcome.failure.kind === 'unsupported');
    const { at, condemns, lacks } = outcome.failure;
    assert.deepEqual([at, condemns, lacks, outcome.attempts.length, outcome.unreplayable], ['ready', 'message', 'partial', 1, false]);
    assert.deepEqual(host.sessions, []);
  }),
);

lmtp('several with lmtp_partial: all, none, or a part that is named', async () => {
  for (const [replies, kind, text] of [
    [['250 ann', '250 bob', '250 eve'], 'accepted', ''],
    [
      ['250 ann', '552 5.2.2 full', '450 4.2.0 later'],
      'accepted',
      [
        'the content for <bob@example.org>: 552 5.2.2 full',
        'the content for <eve@example.org>: 450 4.2.0 later',
        'delivered in part, to <ann@example.org> only',
      ],
    ],
    [
      ['552 full', '552 full', '552 full'],
      'failed',
      [
        'the content for <ann@example.org>: 552 full',
        'the content for <bob@example.org>: 552 full',
        'the content for <eve@example.org>: 552 full',
      ],
    ],
  ] as const)
    await served({ script: { end: each(...replies) } }, async (host) => {
      const outcome = await send([hostAt(host.port, { scheme: 'lmtp' })], { to: TO, partial: 'verdicts' });
      assert.equal(outcome.kind, kind);
      const lines = reasons(outcome).split('\n');
      assert.deepEqual(
        lines.map((line) => line.replace(/^\[127\.0\.0\.1\]:\d+: /, '')),
        text === '' ? [''] : text,
      );
    });
});

lmtp('sendmail: a part of the recipients is exit 1, and the log does not say Completed', async () => {
  for (const [format, expected] of [
    [
      'exim',
      /=> ann@example\.org .*\n.*\*\* bob@example\.org .*552 5\.2\.2 full\n.*-> eve@example\.org .*\n.* Partial: some of the recipients have the message\n$/,
    ],
    ['json', /"outcome":"partial".*"reasons":\[".*552 5\.2\.2 full","delivered in part, to <ann@example\.org>, <eve@example\.org> only"\]/],
  ] as const)
    await served({ script: { end: each('250 ann', '552 5.2.2 full', '250 eve') } }, async (host) => {
      const setup = setUp(`smarthosts = ["lmtp://127.0.0.1:${host.port}"]\nlmtp_partial = true\nlog_format = "${format}"`);
      const ended = await run(setup.config, ['-f', 'a@example.org', ...TO], TEXT);
      assert.deepEqual([ended.status, ended.stdout], [1, '']);
      assert.match(ended.stderr, /delivered in part, to <ann@example\.org>, <eve@example\.org> only\n$/);
      assert.match(setup.logged(), expected);
    });
});

lmtp('sendmail: several recipients without lmtp_partial', () =>
  served({}, async (host) => {
    const setup = setUp(`smarthosts = ["lmtp://127.0.0.1:${host.port}"]`);
    const ended = await run(setup.config, ['-f', 'a@example.org', ...TO], TEXT);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /lmtp_partial = true/);
    assert.deepEqual(host.sessions, []);
  }),
);

lmtp.run();
