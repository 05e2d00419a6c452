/** What a program reads off a failure: each code, and each reason to try again or not. No test here has a sentence that matters. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { classifyFailure, type FailureClass, type SessionFailureCode } from '../../../src/smtp/client/classify.ts';
import type { ConnectReason, Refusal, SessionFailure, Verb } from '../../../src/smtp/client/outcome.ts';
import type { Reply } from '../../../src/smtp/reply.ts';
import { readTranscripts, replay } from '../../support/transcript.ts';

const test = suite('classify');

const detail = 'words for people';
const said = (code: number): Reply => ({ code, enhanced: null, lines: ['text'] });
const address = { condemns: 'address', detail } as const;
const refusal = (code: number, verb?: Verb, recipient: number | null = null): Refusal => ({
  command: 'words',
  ...(verb ? { verb } : {}),
  recipient,
  reply: said(code),
});
const rejected = (at: SessionFailure['at'], ...refusals: readonly [Refusal, ...Refusal[]]): SessionFailure => ({
  kind: 'rejected',
  at,
  condemns: 'message',
  refusals,
});
const connect = (during: 'resolve' | 'connect' | 'tls', reason: ConnectReason = 'other'): SessionFailure => ({
  kind: 'connect',
  at: 'greeting',
  during,
  reason,
  ...address,
});
const lacking = (lacks: Extract<SessionFailure, { kind: 'unsupported' }>['lacks']): SessionFailure => ({
  kind: 'unsupported',
  at: 'hello',
  lacks,
  ...address,
});
const [two, four, five] = [1, 0, 1].map((recipient, i) => refusal([550, 450, 550][i] as number, 'RCPT', recipient)) as [
  Refusal,
  Refusal,
  Refusal,
];

/** A failure, its code, verb, code of the reply, and retry. */
type Row = readonly [SessionFailure, SessionFailureCode, Verb | null, number | null, FailureClass['retry']];
const ROWS: readonly Row[] = [
  [connect('resolve'), 'resolve', null, null, 'safe'],
  [connect('connect'), 'unreachable', null, null, 'safe'],
  [connect('tls'), 'tls-handshake', null, null, 'safe'],
  [connect('connect', 'resolve'), 'resolve', null, null, 'safe'],
  [connect('connect', 'refused'), 'refused', null, null, 'safe'],
  [connect('connect', 'unreachable'), 'unreachable', null, null, 'safe'],
  [connect('connect', 'timeout'), 'connect-timeout', null, null, 'safe'],
  [connect('tls', 'certificate'), 'tls-certificate', null, null, 'never'],
  [connect('tls', 'handshake'), 'tls-handshake', null, null, 'safe'],
  [connect('connect', 'usage'), 'usage', null, null, 'never'],

  [rejected('greeting', refusal(554)), 'rejected', null, 554, 'never'],
  [rejected('hello', refusal(450, 'EHLO')), 'rejected', 'EHLO', 450, 'later'],
  [rejected('starttls', refusal(454, 'STARTTLS')), 'rejected', 'STARTTLS', 454, 'later'],
  [rejected('auth', refusal(535, 'AUTH')), 'auth-refused', 'AUTH', 535, 'never'],
  [rejected('auth', refusal(454, 'AUTH')), 'auth-refused', 'AUTH', 454, 'later'],
  [rejected('envelope', refusal(550, 'MAIL')), 'rejected', 'MAIL', 550, 'never'],
  [rejected('envelope', four), 'rejected', 'RCPT', 450, 'later'],
  // All are needed, and one will never be accepted.
  [rejected('envelope', four, five), 'rejected', 'RCPT', 550, 'never'],
  // Any is enough, and one may be accepted later.
  [{ ...rejected('envelope', two, four), isAnyEnough: true } as SessionFailure, 'rejected', 'RCPT', 450, 'later'],
  [{ ...rejected('envelope', two, five), isAnyEnough: true } as SessionFailure, 'rejected', 'RCPT', 550, 'never'],
  // What refuses the message decides, whatever RCPT said before.
  [rejected('data', five, refusal(451, 'DATA')), 'rejected', 'DATA', 451, 'later'],
  [rejected('content', four, refusal(552, 'BDAT')), 'rejected', 'BDAT', 552, 'never'],
  [rejected('commit', refusal(421, 'DATA')), 'rejected', 'DATA', 421, 'later'],
  // LMTP: each recipient has a verdict.
  [rejected('commit', refusal(552, 'DATA', 0), refusal(452, 'DATA', 1)), 'rejected', 'DATA', 452, 'later'],
  [rejected('commit', refusal(552, 'DATA', 0), five), 'rejected', 'DATA', 552, 'never'],
  [rejected('noop', refusal(500, 'NOOP')), 'rejected', 'NOOP', 500, 'never'],

  [lacking('starttls'), 'starttls-missing', null, null, 'never'],
  [lacking('tls'), 'starttls-missing', null, null, 'never'],
  [lacking('auth'), 'auth-missing', null, null, 'never'],
  [lacking('mechanism'), 'auth-mechanism', null, null, 'never'],
  [{ ...lacking('exchange'), verb: 'AUTH', reply: said(501) } as SessionFailure, 'auth-mechanism', 'AUTH', 501, 'never'],
  [lacking('partial'), 'unsupported', null, null, 'never'],
  [lacking('size'), 'unsupported', null, null, 'never'],
  [lacking('smtputf8'), 'unsupported', null, null, 'never'],
  [lacking('credentials'), 'usage', null, null, 'never'],
  [lacking('configuration'), 'usage', null, null, 'never'],
  [lacking('argument'), 'usage', null, null, 'never'],

  [{ kind: 'malformed', at: 'data', verb: 'DATA', reply: said(250), ...address }, 'malformed', 'DATA', 250, 'safe'],
  [{ kind: 'malformed', at: 'greeting', ...address }, 'malformed', null, null, 'safe'],
  [{ kind: 'timeout', at: 'envelope', verb: 'RCPT', command: 'x', condemns: 'address' }, 'timeout', 'RCPT', null, 'safe'],
  [{ kind: 'lost', at: 'envelope', verb: 'RCPT', command: 'x', ...address }, 'lost', 'RCPT', null, 'safe'],
  [{ kind: 'lost', at: 'envelope', verb: 'RCPT', command: 'x', reply: said(421), ...address }, 'lost', 'RCPT', 421, 'later'],
  [{ kind: 'lost', at: 'greeting', command: 'x', reply: said(421), ...address }, 'lost', null, 421, 'later'],
  // The session may have been idle for too long.
  [{ kind: 'lost', at: 'envelope', verb: 'MAIL', command: 'x', reply: said(421), ...address }, 'lost', 'MAIL', 421, 'safe'],
  [{ kind: 'content', at: 'content', condemns: 'message', reason: 'input', verb: 'DATA', detail }, 'input', 'DATA', null, 'safe'],
  [{ kind: 'content', at: 'closed', condemns: 'message', reason: 'aborted', detail }, 'aborted', null, null, 'safe'],
  [{ kind: 'uncertain', at: 'commit', condemns: 'message', verb: 'BDAT', detail }, 'uncertain', 'BDAT', null, 'unknown'],
  [
    {
      kind: 'uncertain',
      at: 'commit',
      condemns: 'message',
      verb: 'DATA',
      instead: { kind: 'malformed', at: 'commit', condemns: 'address', reply: said(354), detail },
      detail,
    },
    'uncertain',
    'DATA',
    354,
    'unknown',
  ],
];

for (const [failure, code, verb, reply, retry] of ROWS)
  test(`${JSON.stringify(failure)}: ${code}, ${retry}`, () => {
    const found = classifyFailure(failure);
    assert.deepEqual(
      { code: found.code, verb: found.verb, reply: found.reply?.code ?? null, retry: found.retry },
      { code, verb, reply, retry },
    );
    assert.equal('reply' in found, reply !== null, 'a reply that did not come is no field');
  });

/* ---- what the machine itself says ---- */

/** The failures of a transcript as the machine settles them. */
function failuresOf(transcript: ReturnType<typeof readTranscripts>[number]): readonly SessionFailure[] {
  const failures: SessionFailure[] = [];
  replay(transcript, Number.POSITIVE_INFINITY, (outcome) => {
    if (outcome.kind === 'failed') failures.push(outcome.failure);
  });
  return failures;
}

const transcripts = readTranscripts();
const VERBS: Readonly<Record<string, Verb | null>> = {
  greeting: null,
  ehlo: 'EHLO',
  helo: 'HELO',
  starttls: 'STARTTLS',
  'auth-plain': 'AUTH',
  mail: 'MAIL',
  rcpt: 'RCPT',
  data: 'DATA',
  content: 'DATA',
  commit: 'DATA',
  bdat: 'BDAT',
  'bdat-last': 'BDAT',
  'bdat-commit': 'BDAT',
};
const CODES: Readonly<Record<string, SessionFailureCode>> = {
  '3yz': 'malformed',
  '4yz': 'rejected',
  '5yz': 'rejected',
  '421': 'lost',
  lost: 'lost',
  timeout: 'timeout',
  malformed: 'malformed',
  abort: 'aborted',
  failed: 'input',
};
const RETRIES: Readonly<Record<string, FailureClass['retry']>> = { '4yz': 'later', '5yz': 'never', '421': 'later' };

let count = 0;
for (const transcript of transcripts) {
  const [, step = '', what = ''] = /^(.*)-(\w+)\.smtp$/.exec(transcript.file) ?? [];
  const [verb, code] = [VERBS[step], CODES[what]];
  const [failure, ...more] = code && verb !== undefined ? failuresOf(transcript) : [];
  // 5yz to EHLO is no failure yet.
  if (!failure || verb === undefined || !code || more.length > 0) continue;
  count += 1;
  const isCommitted = failure.at === 'commit';
  test(`${transcript.file}: ${verb} ${code}`, () => {
    const found = classifyFailure(failure);
    assert.equal(found.verb, verb);
    const inDoubt = isCommitted && !/yz|421/.test(what);
    const asRefusal = step === 'auth-plain' && code === 'rejected' ? 'auth-refused' : isCommitted && what === '421' ? 'rejected' : code;
    const isUncertain = inDoubt || (isCommitted && what === '3yz');
    assert.equal(found.code, isUncertain ? 'uncertain' : asRefusal);
    const retry = RETRIES[what] ?? 'safe';
    assert.equal(found.retry, isUncertain ? 'unknown' : what === '421' && verb === 'MAIL' ? 'safe' : retry);
    if (/^\dyz|421/.test(what)) assert.equal(String(found.reply?.code)[0], what[0], 'the reply is told');
  });
}

test('the transcripts have a failure of each kind at each step', () => assert.ok(count >= 70, `${count}`));

test('LMTP: an uncertain outcome tells who surely has the message, and who surely does not', () => {
  const transcript = transcripts.find(({ file }) => file === 'any-lmtp-lost.smtp');
  assert.ok(transcript);
  const [failure] = failuresOf(transcript);
  assert.ok(failure?.kind === 'uncertain');
  assert.deepEqual(
    failure.verdicts?.map(({ recipient, reply }) => [recipient, reply.code]),
    [[1, 250]],
  );
  assert.equal(failure.due, 2);
  assert.deepEqual(
    failure.refusals?.map(({ recipient, reply }) => [recipient, reply.code]),
    [[0, 550]],
  );
});

test.run();
