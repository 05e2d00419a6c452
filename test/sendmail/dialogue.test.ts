/** Tries the parts of -bs and -bS without a process: verdicts, sources of octets, and the loop over commands. */

import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import type { Config } from '../../src/config/config.ts';
import { readConfig } from '../../src/config/read.ts';
import { CLEAN, type Ended, type Source, sourceOf } from '../../src/message/source.ts';
import { makeReports } from '../../src/process/report.ts';
import type { RoutingProblem } from '../../src/router/route.ts';
import type { Smarthost } from '../../src/router/smarthost.ts';
import { type LoopEnd, takeCommands } from '../../src/sendmail/dialogue/command-loop.ts';
import { readMailDsn, readRecipientDsn } from '../../src/sendmail/dialogue/dsn-parameters.ts';
import { withNetworkLineEnds } from '../../src/sendmail/dialogue/line-ends.ts';
import { type Messages, makeMessages } from '../../src/sendmail/dialogue/messages.ts';
import { makePushedSource } from '../../src/sendmail/dialogue/pushed-source.ts';
import { refuseRecipient, verdictOn } from '../../src/sendmail/dialogue/verdict.ts';
import type { Lack, Refusal, SessionFailure } from '../../src/smtp/client/outcome.ts';
import { parseMailbox } from '../../src/smtp/path.ts';
import { makeReply, replyLines } from '../../src/smtp/server/answers.ts';
import { type OwnerQuestion, RECEIVING } from '../../src/smtp/server/machine.ts';
import { latin1, octets } from '../../src/smtp/text.ts';
import { failedWith, type Outcome } from '../../src/submit/outcome.ts';
import type { Submitter } from '../../src/submit/submission.ts';
import { type SmartHost, setUp, smartHost, toHosts } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('sendmail/dialogue');

/* ---- verdicts ---- */

const HOST: Smarthost = {
  scheme: 'smtp',
  host: 'mail.foo.com',
} as Smarthost;
const AT = { host: HOST, name: 'mail.foo.com', endpoint: null };
const REFUSED = (code: number, enhanced = ''): Refusal => ({
  command: 'RCPT TO:<a@b.com>',
  recipient: 0,
  reply: makeReply(code, enhanced, 'no'),
});

test('every way in which a submission can end has its reply to the content', () => {
  const session = (failure: SessionFailure): Outcome => ({ kind: 'failed', failure, attempts: [{ ...AT, failure }], unreplayable: false });
  const lacking = (lacks: Lack, ...before: SessionFailure[]): Outcome => {
    const failure = { kind: 'unsupported', at: 'ready', condemns: 'host', lacks, detail: 'no' } as const;
    return { kind: 'failed', failure, attempts: [...before, failure].map((each) => ({ ...AT, failure: each })), unreplayable: false };
  };
  const rejected = (condemns: 'message' | 'host', ...refusals: [Refusal, ...Refusal[]]) =>
    session({ kind: 'rejected', at: 'envelope', condemns, refusals });
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [Outcome, string])[] = [
    [{ kind: 'discarded' }, '250 2.0.0'],
    [failedWith({ kind: 'route', details: ['no'], deferred: false }), '550 5.1.1'],
    [failedWith({ kind: 'route', details: ['no'], deferred: true }), '451 4.3.0'],
    [failedWith({ kind: 'message', detail: 'no' }), '554 5.6.0'],
    [failedWith({ kind: 'usage', detail: 'no' }), '554 5.3.5'],
    [failedWith({ kind: 'config', details: ['no'] }), '554 5.3.5'],
    [session({ kind: 'connect', at: 'greeting', condemns: 'address', during: 'connect', reason: 'other', detail: 'no' }), '451 4.4.1'],
    [session({ kind: 'unsupported', at: 'hello', condemns: 'host', lacks: 'exchange', detail: 'no' }), '451 4.4.1'],
    [lacking('size'), '552 5.3.4'],
    [lacking('recipients'), '554 5.5.3'],
    [lacking('domains'), '554 5.5.3'],
    [lacking('partial'), '554 5.5.3'],
    [lacking('smtputf8'), '553 5.6.7'],
    [lacking('8bitmime'), '554 5.6.3'],
    [lacking('dsn'), '554 5.3.3'],
    // Another smart host may take it, when it can be reached.
    [lacking('size', { kind: 'timeout', at: 'greeting', condemns: 'address', command: 'no' }), '451 4.4.1'],
    [lacking('size', { kind: 'unsupported', at: 'ready', condemns: 'host', lacks: 'smtputf8', detail: 'no' }), '552 5.3.4'],
    [session({ kind: 'unsupported', at: 'ready', condemns: 'host', lacks: 'dsn', detail: 'no', isOurs: true }), '451 4.3.5'],
    [session({ kind: 'malformed', at: 'greeting', condemns: 'address', detail: 'no' }), '451 4.4.1'],
    [session({ kind: 'timeout', at: 'greeting', condemns: 'address', command: 'no' }), '451 4.4.1'],
    [session({ kind: 'lost', at: 'greeting', condemns: 'address', command: 'no', detail: 'no' }), '451 4.4.1'],
    [session({ kind: 'content', at: 'content', condemns: 'message', reason: 'input', detail: 'no' }), '451 4.3.0'],
    [session({ kind: 'uncertain', at: 'commit', condemns: 'message', detail: 'no' }), '554 5.4.2'],
    [rejected('host', REFUSED(535, '5.7.8')), '451 4.4.0'],
    [rejected('message', REFUSED(550, '5.1.1')), '550 5.1.1'],
    [rejected('message', REFUSED(450)), '450 4.0.0'],
    [rejected('message', REFUSED(450), REFUSED(553, '5.1.3')), '553 5.1.3'],
    // 421 would end the dialogue with our client, too.
    [rejected('message', REFUSED(421, '4.3.2')), '451 4.4.0'],
    [{ kind: 'accepted', attempts: [], by: { host: HOST, name: 'mail.foo.com', endpoint: { address: '192.0.2.1', port: 24, family: 'ipv4' }, reply: makeReply(250, '', 'ok'), refusals: [REFUSED(550, '5.2.1')], taken: [], tls: null, auth: null } } as unknown as Outcome, '550 5.2.1'],
  ];
  for (const [outcome, wanted] of rows) {
    const lines = replyLines(verdictOn({ outcome, messageId: '' }));
    assert.ok(
      lines.every((line) => line.replace('-', ' ').startsWith(wanted)),
      `${JSON.stringify(outcome)}: ${lines}`,
    );
    assert.ok(wanted.startsWith('250') || lines.some((line) => /no/.test(line)), 'and says why');
  }
  const many = verdictOn({
    outcome: rejected('message', ...(Array.from({ length: 5000 }, () => REFUSED(550, '5.1.1')) as [Refusal])),
    messageId: '',
  });
  assert.equal(many.lines.length, 101);
  assert.equal(many.lines.at(-1), '5.1.1 and 4900 more, see the log');
});

async function collected(source: Source): Promise<string> {
  let text = '';
  for (;;) {
    const got = await source.read();
    if (!(got instanceof Uint8Array)) return text;
    text += latin1(got);
  }
}

test('the reply to a recipient is temporary where all its problems are, and tells what the first is about', () => {
  const parsed = parseMailbox('a@b.com');
  assert.ok(parsed.ok);
  const address = parsed.value;
  const facts = { address, chain: [address], router: 'r', detail: 'no' };
  const [failed, deferred] = [
    { ...facts, kind: 'failed' as const },
    { ...facts, kind: 'deferred' as const },
  ];
  const disagree: RoutingProblem = { kind: 'disagree', address, other: address, field: 'hosts', detail: 'no' };
  for (const [problems, expected] of [
    [[failed], '550 5.1.1'],
    [[deferred], '451 4.3.0'],
    [[disagree], '451 4.5.3'],
    [[disagree, deferred], '451 4.5.3'],
    [[deferred, disagree], '451 4.3.0'],
    [[disagree, failed], '550 5.5.3'],
    [[failed, disagree], '550 5.1.1'],
  ] as const) {
    const { code, lines } = refuseRecipient(problems);
    assert.equal(`${code} ${lines[0]?.split(' ')[0]}`, expected, problems.map(({ kind }) => kind).join());
  }
});

test('parameters of notifications are read in either case, and an original recipient stays as it is, whatever its type', () => {
  const given = (...pairs: readonly (readonly [string, string])[]) => pairs.map(([keyword, value]) => ({ keyword, value }));
  assert.deepEqual(readMailDsn(given(['RET', 'hdrs'], ['ENVID', 'a+2Bb'])), { ret: 'HDRS', envid: 'a+b' });
  assert.deepEqual(readMailDsn([]), {});
  const path = parseMailbox('a@b.com');
  assert.ok(path.ok);
  for (const value of ['RFC822;a+2Bb@C.com', 'utf-8;j\\x{F6}rg@c.com', 'utf-8;jörg@c.com', 'x400;/C+3Dde', 'rfc822;a@b.com'])
    assert.equal(readRecipientDsn(path.value, given(['NOTIFY', 'success,Failure'], ['ORCPT', value])).original, value);
  assert.deepEqual(readRecipientDsn(path.value, given(['NOTIFY', 'success,Failure'])), {
    path: path.value,
    notify: ['SUCCESS', 'FAILURE'],
  });
});

test('text with LF alone becomes text with CRLF, however it is cut; text whose first line end is CRLF stays', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('\n', '\r', '\r\n', 'a', '.', 'bc'), { maxLength: 12 }),
      fc.infiniteStream(fc.nat({ max: 3 })),
      fc.boolean(),
      async (parts, cuts, certain) => {
        const text = parts.join('');
        const chunks: Uint8Array[] = [];
        for (let at = 0; at < text.length; ) {
          const size = 1 + (cuts.next().value as number);
          chunks.push(octets(text.slice(at, at + size)));
          at += size;
        }
        const isUnix = certain || /^[^\n]*(?<!\r)\n/.test(text);
        assert.equal(
          await collected(withNetworkLineEnds(sourceOf(...chunks), certain)),
          isUnix ? text.replaceAll(/(?<!\r)\n/g, '\r\n') : text,
        );
      },
    ),
  ));

test('the producer of a pushed source waits until the reader reads past what was pushed, or it is discarded, and not for the end', async () => {
  const pushed = makePushedSource();
  let isConsumed = false;
  const wait = async () => {
    isConsumed = false;
    await pushed.waitUntilConsumed();
    isConsumed = true;
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await pushed.waitUntilConsumed();
  pushed.push(octets('one'));
  pushed.push(octets('two'));
  void wait();
  assert.equal(latin1((await pushed.source.read()) as Uint8Array), 'one');
  assert.equal(latin1((await pushed.source.read()) as Uint8Array), 'two');
  await turn();
  assert.ok(!isConsumed, 'the last is in use until the next read');
  const next = pushed.source.read();
  await turn();
  assert.ok(isConsumed);
  pushed.push(octets('three'));
  assert.equal(latin1((await next) as Uint8Array), 'three');
  pushed.push(octets('four'));
  pushed.end({ end: 'clean' });
  pushed.end({ end: 'failed', detail: 'too late' });
  pushed.push(octets('too late'));
  assert.equal(latin1((await pushed.source.read()) as Uint8Array), 'four');
  assert.deepEqual(await pushed.source.read(), { end: 'clean' });
  assert.deepEqual(await pushed.source.read(), { end: 'clean' });
  const discarded = makePushedSource();
  discarded.push(octets('one'));
  void discarded.source.read();
  discarded.push(octets('two'));
  discarded.discard();
  await discarded.waitUntilConsumed();
  discarded.push(octets('three'));
  await discarded.waitUntilConsumed();
  discarded.end(CLEAN);
  assert.deepEqual(await discarded.source.read(), CLEAN, 'what comes later is not kept');
});

/* ---- the owner of the messages ---- */

async function withHost(work: (host: SmartHost) => Promise<void>): Promise<void> {
  const host = await smartHost();
  try {
    await within(20_000, () => work(host));
  } finally {
    await host.close();
  }
}

test('the owner of the messages is idle, collects or sends, and answers no question out of its turn', () =>
  withHost(async (host) => {
    const answer = await readConfig({ path: setUp(toHosts(host.port)).config, env: {}, home: null, euid: process.geteuid?.() ?? 0 });
    if (!answer.ok) return assert.fail(answer.errors.join());
    const by: Submitter = {
      login: 'joe',
      hostname: 'client.example.org',
      fullName: async () => '',
      charset: 'UTF-8',
      date: new Date(),
      id: '1xOWGK-000101-WE',
      unique: '1xOWGK-000101-WE.7abcDEF0',
      version: '0',
    };
    const { signal } = new AbortController();
    const config: Config = { ...answer.config, log: 'none' };
    const messages = makeMessages(config, by, makeReports(config, null, 0), { signal, urgent: signal });
    const transaction = { binary: false, smtputf8: false, recipients: 0, refused: 0, domains: [], chunked: null, failed: false };
    const [alice, bob] = [parseMailbox('alice@foo.com'), parseMailbox('bob@bar.com')];
    assert.ok(alice.ok && bob.ok);
    const sender = { about: 'sender', path: alice.value, parameters: [], transaction } as const;
    const recipient = { about: 'recipient', path: bob.value, parameters: [], transaction } as const;
    const data = { about: 'data', transaction, chunk: null } as const;
    const content = { about: 'content', facts: { octets: 0, bare: 0 }, transaction } as const;
    const refuses = async (questions: readonly OwnerQuestion[], wanted: string) => {
      for (const question of questions)
        await messages.judge(question).then(
          () => assert.fail(`${question.about} has an answer`),
          (error) => assert.equal((error as Error).message, wanted),
        );
    };
    await refuses([recipient, data], 'bug: collecting was expected at idle');
    await refuses([content], 'bug: sending was expected at idle');
    assert.equal(await messages.judge(sender), null);
    assert.equal(await messages.judge(recipient), null);
    await refuses([content], 'bug: sending was expected at collecting');
    assert.equal(messages.abandon(null), false, 'no content had begun');
    await refuses([recipient, data], 'bug: collecting was expected at idle');
    assert.equal(await messages.judge(sender), null);
    assert.equal(await messages.judge(recipient), null);
    assert.equal(await messages.judge(data), null);
    await refuses([recipient, data], 'bug: collecting was expected at sending');
    messages.addContent(octets('Subject: x\r\n\r\nhello\r\n'));
    assert.equal((await messages.judge(content))?.code, 250);
    await refuses([content], 'bug: sending was expected at idle');
    await messages.waitUntilConsumed();
    await messages.waitUntilLogged();
    assert.deepEqual(messages.tally, { delivered: 1, status: 0 });
    assert.deepEqual(
      host.messages.map(({ state, recipients }) => [state, recipients]),
      [['accepted', ['<bob@bar.com>']]],
    );
  }));

/* ---- the loop over commands ---- */

/** Runs the loop over one text; the value has the replies, what the owner heard, and how it closed. */
async function runLoop(
  text: string,
  { judge = async () => null, stopAt = Number.POSITIVE_INFINITY, ended = CLEAN, isClosing = false }: Partial<LoopRun> = {},
) {
  const heard: string[] = [];
  const said: string[] = [];
  const messages: Messages = {
    judge,
    addContent: (chunk) => void heard.push(latin1(chunk)),
    abandon(how) {
      heard.push(how === null ? 'withdrawn' : how.end);
      return heard.some((line) => line.startsWith('Subject: '));
    },
    waitUntilConsumed: () => Promise.resolve(),
    waitUntilLogged: () => Promise.resolve(),
    tally: { delivered: 0, status: 0 },
    refused: null,
  };
  const chunks = [octets(text)];
  const closed = await takeCommands(
    { ...RECEIVING, hostname: 'here', helloOptional: true, lfEndsCommands: true, bareLineEnds: 'accept' },
    messages,
    {
      input: { read: async () => chunks.shift() ?? ended, close: () => undefined },
      reply({ code, lines }, { line, question }) {
        assert.equal(lines[0]?.slice(0, 3), String(code));
        said.push(`${line} ${question ?? '-'} ${code}`);
        return code >= stopAt ? 'stop' : 'go on';
      },
      waitUntilReady: () => Promise.resolve(),
      isClosing: () => isClosing,
    },
  );
  return { heard, said, closed };
}

interface LoopRun {
  readonly judge: Messages['judge'];
  readonly stopAt: number;
  readonly ended: Ended;
  readonly isClosing: boolean;
}

test('the loop hands on each reply with its code, the line that asked for it, and what was asked about', async () => {
  const judge: Messages['judge'] = async ({ about }) => (about === 'content' ? makeReply(554, '5.7.1', '250 is not what this says') : null);
  const { said, heard, closed } = await runLoop('MAIL FROM:<a@b>\nRCPT TO:<c@d>\nWHAT\nDATA\nSubject: x\n\r\n.\r\nQUIT\n', { judge });
  assert.deepEqual(said, [
    ' connection 220',
    'MAIL FROM:<a@b> sender 250',
    'RCPT TO:<c@d> recipient 250',
    'WHAT - 500',
    'DATA data 354',
    '. content 554',
    'QUIT - 221',
  ]);
  assert.equal(heard.join(''), 'Subject: x\n\r\n');
  assert.deepEqual(closed, { ended: null, open: 'nothing' });
});

test('the loop tells what was open when it closed, and how the input ended', async () => {
  const envelope = 'MAIL FROM:<a@b>\nRCPT TO:<c@d>\n';
  const content = `${envelope}DATA\nSubject: x\n`;
  const failed: Ended = { end: 'failed', detail: 'no such input' };
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [string, Partial<LoopRun>, LoopEnd, string, string])[] = [
    ['', {}, { ended: CLEAN, open: 'nothing' }, '', '220'],
    [envelope, {}, { ended: CLEAN, open: 'unreported' }, 'clean', '250'],
    [content, {}, { ended: CLEAN, open: 'reported' }, 'clean', '354'],
    [`${envelope}QUIT\n`, {}, { ended: null, open: 'unreported' }, 'withdrawn', '221'],
    [`${envelope}RSET\n`, {}, { ended: CLEAN, open: 'nothing' }, 'withdrawn', '250'],
    [`${envelope}WHAT\nRSET\n`, { stopAt: 500 }, { ended: null, open: 'unreported' }, 'withdrawn', '500'],
    [content, { ended: failed }, { ended: failed, open: 'reported' }, 'failed', '354'],
    [content, { ended: failed, isClosing: true }, { ended: failed, open: 'reported' }, 'failed', '421'],
  ];
  for (const [text, given, wanted, abandoned, code] of rows) {
    const { closed, heard, said } = await runLoop(text, given);
    assert.deepEqual(closed, wanted, text);
    assert.equal(heard.filter((line) => /^[a-z]+$/.test(line)).join(), abandoned, text);
    assert.equal(said.at(-1)?.slice(-3), code, text);
  }
});

test.run();
