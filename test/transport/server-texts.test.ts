/** What a server says reaches an outcome scrubbed, whichever field it stands in. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Refusal, SessionFailure } from '../../src/smtp/client/outcome.ts';
import type { Reply } from '../../src/smtp/reply.ts';
import { scrubFailure, scrubOutcome } from '../../src/transport/server-texts.ts';
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

test.run();
