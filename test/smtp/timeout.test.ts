/** Prints time limits in words, and shows that a time-out tells which one was over. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { parseDuration } from '../../src/config/values.ts';
import { printDetail } from '../../src/smtp/client/detail.ts';
import { advance, type Plan, type State } from '../../src/smtp/client/session.ts';
import { printDuration, printTimeLimit } from '../../src/smtp/timeout.ts';
import { mailbox } from '../support/mailbox.ts';

const test = suite('timeout');

const DURATIONS: readonly (readonly [number, string])[] = [
  [300_000, '5m'],
  [30_000, '30s'],
  [500, '500ms'],
  [1500, '1s500ms'],
  [5_400_000, '1h30m'],
  [86_400_000, '1d'],
  [0, '0s'],
  [0.4, '0s'],
  [249.6, '250ms'],
];
for (const [milliseconds, text] of DURATIONS)
  test(`W9: ${milliseconds} ms are ${text}`, () => assert.equal(printDuration(milliseconds), text));

test('W9: a duration is printed as a configuration has it', () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 24 * 86_400_000 }), (milliseconds) => {
      assert.deepEqual(parseDuration(printDuration(milliseconds)), { ok: true, value: milliseconds });
    }),
  ));

test('W9: a limit names its key; where the driver tells none, there is none', () => {
  assert.equal(printTimeLimit({ key: 'greeting', milliseconds: 300_000 }), 'within 5m (timeouts.greeting)');
  assert.equal(printTimeLimit(undefined), 'in time');
});

const plan: Plan = {
  protocol: 'smtp',
  hello: 'a.example',
  tls: 'off',
  authenticate: null,
  transactions: 'one',
  framing: 'auto',
  partial: 'never',
};
const settled = (state: State, limit?: { readonly key: 'greeting' | 'final'; readonly milliseconds: number }, rest = '') => {
  const [, ...actions] = advance(plan, state, { type: 'timeout', rest, ...(limit ? { limit } : {}) });
  const [outcome] = actions.flatMap((action) => (action.do === 'settle' ? [action.outcome] : []));
  assert.ok(outcome?.kind === 'failed');
  return outcome.failure;
};

test('W9: the failure has the limit that was over', () => {
  const limit = { key: 'greeting', milliseconds: 5000 } as const;
  const failure = { kind: 'timeout', at: 'greeting', condemns: 'address', command: 'the greeting' };
  assert.deepEqual(settled({ at: 'greeting', secured: false }, limit), { ...failure, limit });
  assert.deepEqual(settled({ at: 'greeting', secured: false }), failure);
  const heard = 'x'.repeat(16_384);
  assert.deepEqual(settled({ at: 'greeting', secured: false }, undefined, `${heard}y`), { ...failure, heard }, 'not all that was said');
});

test('W9: so has an outcome that is uncertain because no verdict came', () => {
  const channel = { secured: false, authenticated: false, extensions: { keywords: new Map() } };
  const transaction = {
    reversePath: null,
    recipients: [{ path: mailbox('a@b.example') }],
    size: null,
    estimate: null,
    eightBit: 'none',
    withoutEightBit: 'convert',
    smtputf8: false,
    dsn: 'drop',
  } as const;
  const commit: State = { at: 'commit', channel, transaction, refusals: null, replies: null, next: null };
  const detail = (...limits: Parameters<typeof settled> extends [unknown, ...infer L] ? L : never) => {
    const failure = settled(commit, ...limits);
    return failure.kind === 'uncertain' && printDetail(failure);
  };
  assert.equal(detail({ key: 'final', milliseconds: 600_000 }), 'no reply came within 10m (timeouts.final)');
  assert.equal(detail(), 'no reply came in time');
  assert.equal(detail(undefined, '250-2.0.0 as'), 'no whole reply came in time: "250-2.0.0 as"');
});

test.run();
