/** What people read of a failure: what happened, and the words of the server behind it. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { printDetail } from '../../../src/smtp/client/detail.ts';
import type { SessionFailure } from '../../../src/smtp/client/outcome.ts';
import type { Reply } from '../../../src/smtp/reply.ts';
import { mailbox } from '../../support/mailbox.ts';

const test = suite('detail');

const address = { condemns: 'address', detail: 'it happened' } as const;
const reply: Reply = { code: 550, enhanced: null, lines: ['no', 'never'] };
const limit = { key: 'command', milliseconds: 300_000 } as const;
const heard = '421 going\r\n421 down\r\n';
const verdict = (i: number) => ({ recipient: i, path: mailbox(`r${i}@foo.com`), reply: { ...reply, lines: ['full'] } });
const uncertain = { kind: 'uncertain', at: 'commit', condemns: 'message', detail: 'in few words' } as const;

const ROWS: readonly (readonly [Exclude<SessionFailure, { kind: 'rejected' }>, string])[] = [
  [{ kind: 'connect', at: 'greeting', during: 'connect', reason: 'refused', ...address }, 'it happened'],
  [{ kind: 'content', at: 'data', condemns: 'message', reason: 'aborted', detail: 'ended by SIGTERM' }, 'ended by SIGTERM'],
  [{ kind: 'unsupported', at: 'hello', lacks: 'starttls', ...address }, 'it happened'],
  [{ kind: 'unsupported', at: 'auth', lacks: 'exchange', reply, ...address }, 'it happened (550 no / never)'],
  [{ kind: 'malformed', at: 'data', ...address }, 'it happened'],
  [{ kind: 'malformed', at: 'data', heard, ...address }, 'it happened: "421 going / 421 down"'],
  [{ kind: 'malformed', at: 'data', reply, ...address }, 'it happened: 550 no / never'],
  [{ kind: 'malformed', at: 'data', reply, heard, ...address }, 'it happened: 550 no / never / 421 going / 421 down'],
  [{ kind: 'lost', at: 'data', command: 'DATA', ...address }, 'it happened'],
  [{ kind: 'lost', at: 'data', command: 'DATA', heard: '250-a', ...address }, 'it happened after "250-a"'],
  [{ kind: 'lost', at: 'data', command: 'DATA', reply, ...address }, 'it happened: 550 no / never'],
  [{ kind: 'timeout', at: 'data', command: 'DATA', condemns: 'address' }, 'no reply came in time'],
  [{ kind: 'timeout', at: 'data', command: 'DATA', condemns: 'address', limit }, 'no reply came within 5m (timeouts.command)'],
  [
    { kind: 'timeout', at: 'data', command: 'DATA', condemns: 'address', limit, heard: '250-a' },
    'no whole reply came within 5m (timeouts.command): "250-a"',
  ],
  [uncertain, 'in few words'],
  [{ ...uncertain, instead: { kind: 'malformed', at: 'commit', reply, ...address } }, 'it happened: 550 no / never'],
  [
    { ...uncertain, instead: { kind: 'rejected', at: 'commit', condemns: 'message', refusals: [{ command: '', recipient: null, reply }] } },
    'in few words',
  ],
  [{ ...uncertain, verdicts: [verdict(0)], due: 2 }, 'in few words; for 1 of 2 recipients one came: <r0@foo.com> 550 full'],
  [
    { ...uncertain, verdicts: [0, 1, 2, 3, 4].map(verdict), due: 8 },
    `in few words; for 5 of 8 recipients one came: ${[0, 1, 2, 3, 4].map((i) => `<r${i}@foo.com> 550 full`).join(' / ')}`,
  ],
  [
    { ...uncertain, verdicts: [0, 1, 2, 3, 4, 5, 6].map(verdict), due: 8 },
    `in few words; for 7 of 8 recipients one came: ${[0, 1, 2, 3, 4].map((i) => `<r${i}@foo.com> 550 full`).join(' / ')} / and 2 more`,
  ],
];

for (const [failure, expected] of ROWS)
  test(`${JSON.stringify(failure)}: ${expected}`, () => assert.strictEqual(printDetail(failure), expected));

test.run();
