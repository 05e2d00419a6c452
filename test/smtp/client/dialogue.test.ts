/** The machine behind its reader: a driver may rely on this, whatever the pieces. */
import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { printDetail } from '../../../src/smtp/client/detail.ts';
import { Dialogue } from '../../../src/smtp/client/dialogue.ts';
import type { Transaction } from '../../../src/smtp/client/print.ts';
import type { Action, Plan } from '../../../src/smtp/client/session.ts';
import { parsed } from '../../../src/smtp/parsed.ts';
import { mailbox, uncheckedMailbox } from '../../support/mailbox.ts';
import { printAction, readTranscripts, replay } from '../../support/transcript.ts';

const test = suite('dialogue');

const PLAN: Plan = {
  protocol: 'smtp',
  hello: 'bar.com',
  tls: 'off',
  authenticate: null,
  transactions: 'many',
  framing: 'auto',
  partial: 'never',
};

const TRANSACTION: Transaction = {
  reversePath: null,
  recipients: [{ path: mailbox('a@foo.com') }],
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
};

const said = (actions: readonly Action[]): string[] => actions.flatMap(printAction);

test('before it begins it is closed, and nothing moves it', () => {
  const dialogue = new Dialogue(PLAN);
  assert.strictEqual(dialogue.state.at, 'closed');
  assert.deepStrictEqual(said(dialogue.receive('220 hi\r\n')), []);
  assert.deepStrictEqual(said(dialogue.on({ type: 'timeout' })), []);
});

test('a session in one piece of text for each reply', () => {
  const dialogue = new Dialogue(PLAN);
  assert.deepStrictEqual(said(dialogue.begin()), []);
  assert.deepStrictEqual(said(dialogue.receive('220 hi\r\n')), ['C: EHLO bar.com']);
  assert.deepStrictEqual(said(dialogue.receive('250-hi\r\n250 PIPE')), []);
  assert.strictEqual(dialogue.state.at, 'hello', 'a part of a reply changes nothing');
  const [ready] = dialogue.receive('LINING\r\n');
  assert.ok(ready?.do === 'ready');
  assert.deepStrictEqual([ready.channel.secured, ready.channel.authenticated], [false, false]);
  assert.deepStrictEqual(said(dialogue.on({ type: 'quit' })), ['C: QUIT']);
  assert.deepStrictEqual(said(dialogue.receive('221 bye\r\n250 more\r\n')), ['! close'], 'what comes after the end is not read');
  assert.strictEqual(dialogue.state.at, 'closed');
});

test('as many recipients as there are go in one flight', () => {
  const dialogue = new Dialogue(PLAN);
  dialogue.begin();
  dialogue.receive('220 hi\r\n');
  dialogue.receive('250-hi\r\n250 PIPELINING\r\n');
  const recipients = Array.from({ length: 300_000 }, (_, i) => ({ path: mailbox(`a${i}@foo.com`) }));
  assert.strictEqual(said(dialogue.on({ type: 'transaction', transaction: { ...TRANSACTION, recipients } })).length, 300_001);
});

/** A session that has written all its content. */
function atContentSent(plan: Partial<Plan>, keyword: string): Dialogue {
  const dialogue = new Dialogue({ ...PLAN, ...plan });
  dialogue.begin();
  dialogue.receive('220 hi\r\n');
  dialogue.receive(`250-hi\r\n250 ${keyword}\r\n`);
  dialogue.on({ type: 'transaction', transaction: TRANSACTION });
  for (const reply of ['250 ok\r\n', '250 ok\r\n', '354 go\r\n']) dialogue.receive(reply);
  return dialogue;
}

test('the next envelope goes along with the terminator, with a note where parameters are left out', () => {
  const envelope = ['C: MAIL FROM:<>', 'C: RCPT TO:<a@foo.com>', 'C: DATA'];
  const left = '! note the server does not offer DSN: the notification parameters are left out';
  const along: readonly (readonly [string, Partial<Plan>, string, Partial<Transaction>, readonly string[]])[] = [
    ['it can be sent', {}, 'PIPELINING', {}, envelope],
    ['parameters are left out', {}, 'PIPELINING', { ret: 'HDRS' }, [...envelope, left]],
    ['the server cannot take it', {}, 'PIPELINING', { smtputf8: true }, []],
    ['no command line can carry it', {}, 'PIPELINING', { envid: 'a\nb', recipients: [{ path: uncheckedMailbox('\r', 'foo.com') }] }, []],
    ['PIPELINING is not offered', {}, 'SIZE', {}, []],
    ['the session has one transaction', { transactions: 'one' }, 'PIPELINING', {}, []],
  ];
  for (const [why, plan, keyword, changes, expected] of along) {
    const next = { ...TRANSACTION, ...changes };
    assert.deepStrictEqual(said(atContentSent(plan, keyword).on({ type: 'contentSent', next })), ['C: .', ...expected], why);
  }
});

test('V4: an uncertain outcome quotes the verdicts that came before the connection was lost, and of many a few', () => {
  const dialogue = new Dialogue({ ...PLAN, protocol: 'lmtp', partial: 'verdicts' });
  dialogue.begin();
  dialogue.receive('220 hi\r\n');
  dialogue.receive('250-hi\r\n250 PIPELINING\r\n');
  const recipients = Array.from({ length: 8 }, (_, i) => ({ path: mailbox(`a${i}@foo.com`) }));
  dialogue.on({ type: 'transaction', transaction: { ...TRANSACTION, recipients } });
  dialogue.receive('250 ok\r\n'.repeat(9));
  dialogue.receive('354 go\r\n');
  dialogue.on({ type: 'contentSent' });
  dialogue.receive(`250 stored\r\n${'452 full\r\n'.repeat(6)}`);
  const [settle] = dialogue.on({ type: 'lost', detail: 'the connection was closed' });
  assert.ok(settle?.do === 'settle' && settle.outcome.kind === 'failed' && settle.outcome.failure.kind === 'uncertain');
  const heard = ['<a0@foo.com> 250 stored', ...[1, 2, 3, 4].map((i) => `<a${i}@foo.com> 452 full`)].join(' / ');
  assert.strictEqual(
    printDetail(settle.outcome.failure),
    `the connection was closed; for 7 of 8 recipients one came: ${heard} / and 2 more`,
  );
});

test('the dialogue sees octets that wait when the content is complete', () => {
  const [transcript] = readTranscripts().filter(({ file }) => file === 'plain-one.smtp');
  assert.ok(transcript);
  const dialogue = new Dialogue(transcript.plan);
  dialogue.begin();
  dialogue.receive('220 hi\r\n');
  dialogue.receive('250 hi\r\n');
  dialogue.on({ type: 'transaction', transaction: transcript.transaction });
  for (const reply of ['250 ok\r\n', '250 ok\r\n', '354 go\r\n']) dialogue.receive(reply);
  assert.strictEqual(dialogue.state.at, 'content');
  assert.deepStrictEqual(said(dialogue.receive('25')), [], 'not a line yet');
  assert.deepStrictEqual(said(dialogue.on({ type: 'contentSent' })), ['= malformed at content, condemns address', '! destroy']);
});

test('an event that cannot come is a bug of the driver, and throws', () => {
  for (const event of ['secured', 'quit'] as const) {
    const dialogue = new Dialogue(PLAN);
    dialogue.begin();
    assert.throws(() => dialogue.on({ type: event }), /^Error: bug: .* at greeting$/);
  }
  const dialogue = new Dialogue(PLAN);
  dialogue.begin();
  assert.throws(() => dialogue.on({ type: 'contentSent' }), { message: 'bug: contentSent at greeting' });
  assert.throws(() => dialogue.on({ type: 'noop' }), { message: 'bug: noop at greeting' });
  assert.throws(() => dialogue.on({ type: 'quit' }), { message: 'bug: quit at greeting' });
  assert.throws(() => dialogue.on({ type: 'block', octets: 1, last: true }), { message: 'bug: block at greeting' });
  assert.throws(() => dialogue.on({ type: 'transaction', transaction: TRANSACTION }), { message: 'bug: transaction at greeting' });
});

test('a block while DATA goes on is a bug', () =>
  assert.throws(() => atContentSent({}, 'PIPELINING').on({ type: 'block', octets: 9, last: false }), { message: 'bug: block at content' }));

test('the end of the content before the driver has announced the last block is a bug, and never a terminator', () => {
  const dialogue = new Dialogue(PLAN);
  dialogue.begin();
  dialogue.receive('220 hi\r\n');
  dialogue.receive('250-hi\r\n250 CHUNKING\r\n');
  dialogue.on({ type: 'transaction', transaction: TRANSACTION });
  dialogue.receive('250 ok\r\n');
  assert.deepStrictEqual(said(dialogue.receive('250 ok\r\n')), ['! next block']);
  assert.throws(() => dialogue.on({ type: 'contentSent' }), { message: 'bug: contentSent at content' });
});

test('F1: the end of the content while a block is unanswered is a bug, and never a terminator', () => {
  const dialogue = new Dialogue(PLAN);
  dialogue.begin();
  dialogue.receive('220 hi\r\n');
  dialogue.receive('250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n');
  dialogue.on({ type: 'transaction', transaction: TRANSACTION });
  const pull = { do: 'pull', framing: 'bdat', eightBit: 'pass' };
  assert.deepStrictEqual(dialogue.receive('250 ok\r\n250 ok\r\n'), [pull]);
  const sent = { do: 'sendBlock', line: 'BDAT 9', held: 0 };
  assert.deepStrictEqual(dialogue.on({ type: 'block', octets: 9, last: false }), [sent, pull]);
  assert.deepStrictEqual(said(dialogue.on({ type: 'block', octets: 12, last: true })), []);
  assert.throws(() => dialogue.on({ type: 'contentSent' }), { message: 'bug: contentSent at content' });
  const last = { do: 'sendBlock', line: 'BDAT 12 LAST', held: 2 };
  assert.deepStrictEqual(dialogue.receive('250 ok\r\n'), [last, { do: 'flush' }]);
  assert.deepStrictEqual(said(dialogue.on({ type: 'contentSent' })), ['! commit']);
});

test('a block that nobody asked for is a bug, before the server has accepted one and behind the last one', () => {
  for (const first of [
    { octets: 9, last: false },
    { octets: 12, last: true },
  ]) {
    const dialogue = new Dialogue(PLAN);
    dialogue.begin();
    dialogue.receive('220 hi\r\n');
    dialogue.receive('250-hi\r\n250 CHUNKING\r\n');
    dialogue.on({ type: 'transaction', transaction: TRANSACTION });
    dialogue.receive('250 ok\r\n');
    dialogue.receive('250 ok\r\n');
    dialogue.on({ type: 'block', ...first });
    assert.throws(() => dialogue.on({ type: 'block', octets: 9, last: false }), { message: 'bug: block at content' });
    assert.throws(() => dialogue.on({ type: 'block', octets: 9, last: true }), { message: 'bug: block at content' });
  }
});

test('a mechanism that has nothing more to say answers with an empty line', () => {
  const silent = { say: null, mayEnd: true, hear: () => silent };
  const dialogue = new Dialogue({ ...PLAN, authenticate: () => parsed({ name: 'X-SILENT', begin: () => silent }) });
  dialogue.begin();
  dialogue.receive('220 hi\r\n');
  assert.deepStrictEqual(said(dialogue.receive('250-hi\r\n250 AUTH X-SILENT\r\n')), ['C: AUTH X-SILENT']);
  assert.deepStrictEqual(said(dialogue.receive('334 \r\n')), ['C*: ']);
  const [ready] = dialogue.receive('235 ok\r\n');
  assert.ok(ready?.do === 'ready');
  assert.strictEqual(ready.channel.authenticated, true);
});

test('the session is the same, however the server’s text is cut', () => {
  const transcripts = readTranscripts().filter(({ whole }) => !whole);
  fc.assert(
    fc.property(fc.constantFrom(...transcripts), fc.integer({ min: 1, max: 40 }), (transcript, size) => {
      assert.deepStrictEqual(replay(transcript, size), transcript.lines);
    }),
    { numRuns: 500 },
  );
});

test.run();
