/** What a server says reaches an outcome scrubbed, whichever field it stands in. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Refusal, SessionFailure } from '../../src/smtp/client/outcome.ts';
import type { Reply } from '../../src/smtp/reply.ts';
import { HeardLines, scrubFailure, scrubOutcome } from '../../src/transport/server-texts.ts';
import { mailbox } from '../support/mailbox.ts';

const test = suite('server texts');

const SECRET = 'tanstaaf';
const scrub = (text: string): string => text.replaceAll(SECRET, '***').replaceAll('tans\ntaaf', '***');
const reply: Reply = { code: 550, enhanced: null, lines: [`no ${SECRET}`, 'and folded: tans', 'taaf'] };
const refusal: Refusal = { command: 'RCPT TO:<a@example.org>', verb: 'RCPT', recipient: 0, reply };
const detail = `it said ${SECRET}`;

const FAILURES: readonly SessionFailure[] = [
  { kind: 'rejected', at: 'envelope', condemns: 'message', refusals: [refusal, refusal] },
  { kind: 'rejected', at: 'auth', condemns: 'host', refusals: [{ ...refusal, command: `AUTH X (${SECRET})`, recipient: null }] },
  { kind: 'unsupported', at: 'auth', condemns: 'host', lacks: 'exchange', verb: 'AUTH', reply, detail },
  { kind: 'malformed', at: 'data', condemns: 'address', verb: 'DATA', reply, detail },
  { kind: 'malformed', at: 'data', condemns: 'address', verb: 'DATA', detail },
  { kind: 'timeout', at: 'data', condemns: 'address', verb: 'DATA', command: 'DATA', heard: detail },
  { kind: 'timeout', at: 'data', condemns: 'address', verb: 'DATA', command: 'DATA' },
  { kind: 'timeout', at: 'data', condemns: 'address', verb: 'DATA', command: 'DATA', heard: undefined } as unknown as SessionFailure,
  { kind: 'lost', at: 'data', condemns: 'address', verb: 'DATA', command: 'DATA', reply: null, detail } as unknown as SessionFailure,
  { kind: 'lost', at: 'data', condemns: 'address', verb: 'DATA', command: 'DATA', reply, detail },
  { kind: 'content', at: 'data', condemns: 'message', reason: 'aborted', verb: 'DATA', detail },
  { kind: 'lost', at: 'data', condemns: 'address', verb: 'DATA', command: 'DATA', reply, heard: `421 ${SECRET}\r\n`, detail },
  {
    kind: 'uncertain',
    at: 'commit',
    condemns: 'message',
    verb: 'DATA',
    instead: { kind: 'malformed', at: 'commit', condemns: 'address', reply, heard: SECRET, detail },
    refusals: [refusal],
    verdicts: [{ recipient: 1, path: mailbox('b@example.org'), reply }],
    due: 2,
    detail,
  },
];

for (const failure of FAILURES)
  test(`${failure.kind} at ${failure.at}${'reply' in failure ? ' with a reply' : ''}`, () => {
    const scrubbed = scrubFailure(failure, scrub);
    assert.doesNotMatch(JSON.stringify(scrubbed), /tanstaaf|tans","taaf/);
    assert.deepEqual(Object.keys(scrubbed), Object.keys(failure), 'no field comes or goes');
    assert.deepEqual(scrubOutcome({ kind: 'failed', failure }, scrub), { kind: 'failed', failure: scrubbed });
  });

test('accepted', () => {
  const scrubbed = scrubOutcome({ kind: 'accepted', reply, refusals: [refusal] }, scrub);
  assert.doesNotMatch(JSON.stringify(scrubbed), /tanstaaf|tans","taaf/);
});

test('only what answers AUTH is scrubbed as such', () => {
  const asked: boolean[] = [];
  const note = (text: string, isToAuth: boolean): string => {
    asked.push(isToAuth);
    return text;
  };
  const isToAuthOf = (work: () => unknown): boolean[] => {
    work();
    return [...new Set(asked.splice(0))];
  };
  assert.deepEqual(
    isToAuthOf(() => scrubOutcome({ kind: 'accepted', reply, refusals: [refusal] }, note)),
    [false],
  );
  for (const failure of FAILURES)
    if (failure.kind === 'rejected' || failure.kind === 'unsupported' || failure.kind === 'malformed')
      assert.deepEqual(
        isToAuthOf(() => scrubFailure(failure, note)),
        [failure.at === 'auth'],
      );
});

/* ---- what a trace shows ---- */

/** What is pushed in pieces, those that begin with `AUTH:` in answer to AUTH; what the trace shows, and what was scrubbed. */
function heard(...pieces: string[]): { readonly shown: string[]; readonly scrubbed: string[] } {
  const [shown, scrubbed]: string[][] = [[], []];
  const lines = new HeardLines(
    (side, line, message) => void shown?.push(`${side} ${line}${message === undefined ? '' : ` ${message}`}`),
    (text, isToAuth) => {
      scrubbed?.push(`${isToAuth ? 'AUTH:' : ''}${text}`);
      return scrub(text);
    },
  );
  for (const piece of pieces) lines.push(piece.replace(/^AUTH:/, ''), piece.startsWith('AUTH:'));
  lines.end();
  lines.end();
  return { shown: shown ?? [], scrubbed: scrubbed ?? [] };
}

for (const [pieces, shown, scrubbed, why] of [
  [[], [], [], 'nothing'],
  [['220 hello\r\n'], ['S 220 hello'], ['220 hello'], 'a line'],
  [['220 he', 'llo\r', '\n250'], ['S 220 hello', 'S 250'], ['220 hello', '250'], 'a line in pieces, and one without an end'],
  [['220 hello\n'], ['S 220 hello'], ['220 hello'], 'an LF alone'],
  [['a\rb\r\r\n'], ['S a\rb\r'], ['a\rb\r'], 'other CRs stay'],
  [['\r\n'], ['S '], [''], 'an empty line'],
  [['250-a\r\n250 b\r\n'], ['S 250-a', 'S 250 b'], ['250-a\n250 b'], 'two lines are scrubbed as one text'],
  [['250-tans\r\ntaaf\r\n'], ['S 250-***'], ['250-tans\ntaaf'], 'because a secret may be folded'],
  [
    ['AUTH:535 tanstaaf\r\n', '250 ok\r\n'],
    ['S 535 ***', 'S 250 ok'],
    ['AUTH:535 tanstaaf', '250 ok'],
    'an answer to AUTH, and one to something else',
  ],
  [['AUTH:535 no'], ['S 535 no'], ['AUTH:535 no'], 'an answer to AUTH without an end'],
  [
    ['AUTH:535-tans\r\n', 'AUTH:535', 'AUTH:-taaf\r\n', 'AUTH:535 no\r\n'],
    ['S 535-tans', 'S 535-taaf', 'S 535 no'],
    ['AUTH:535-tans\n535-taaf\n535 no'],
    'lines of one answer to AUTH, which come one by one, are scrubbed as one text',
  ],
  [['AUTH:535-tans\r\n'], ['S 535-tans'], ['AUTH:535-tans'], 'an answer to AUTH without its last line'],
  [
    ['AUTH:535-tans\r\n', '535 taaf\r\n'],
    ['S 535-tans', 'S 535 taaf'],
    ['AUTH:535-tans\n535 taaf'],
    'the rest of an answer to AUTH when that is over',
  ],
  [['AUTH:334 dXNlcm5hbWU6IHRhbnN0YWFm\r\n'], ['S 334 …'], ['AUTH:334 …'], 'a challenge'],
] as const)
  test(`a trace shows ${JSON.stringify(pieces)}: ${why}`, () => assert.deepEqual(heard(...pieces), { shown, scrubbed }));

test.run();
