/** The table of steps drives the machine: a row that says something else makes sessions that go otherwise. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Condemned, Phase } from '../../../src/smtp/client/outcome.ts';
import { STEPS } from '../../../src/smtp/client/session.ts';
import { readTranscripts, replay } from '../../support/transcript.ts';

const test = suite('steps');
const transcripts = readTranscripts();

interface Facts {
  wants: 0 | 2 | 3;
  within: string;
  condemns: Condemned;
}
const rows = STEPS as Record<Phase, Facts>;

/** True when all transcripts go as they stand. */
const isAsWritten = (): boolean =>
  transcripts.every((transcript) => {
    try {
      return replay(transcript, Number.POSITIVE_INFINITY).join('\n') === transcript.lines.join('\n');
    } catch {
      return false;
    }
  });

/** Replays all transcripts while a row says something else. */
function withRow(at: Phase, change: Partial<Facts>): boolean {
  const before = { ...rows[at] };
  try {
    Object.assign(rows[at], change);
    return isAsWritten();
  } finally {
    Object.assign(rows[at], before);
  }
}

const ALL = Object.keys(STEPS) as Phase[];
/** Nothing is heard any more, and nothing can fail: a driver reads the limit alone. */
const OPEN = ALL.filter((at) => at !== 'closed');
const RULES: readonly Condemned[] = ['nothing', 'address', 'host', 'message'];

test('all transcripts go as they stand', () => assert.ok(isAsWritten()));

for (const at of OPEN)
  for (const wants of ([0, 2, 3] as const).filter((digit) => digit !== rows[at].wants))
    test(`${at}: the machine waits for what the row wants, and not for ${wants}`, () => assert.ok(!withRow(at, { wants })));

for (const at of OPEN)
  for (const condemns of RULES.filter((rule) => rule !== rows[at].condemns))
    test(`${at}: a failure rules out what the row condemns, and not ${condemns}`, () => assert.ok(!withRow(at, { condemns })));

test('every step has the time limit that RFC 5321 §4.5.3.2 names for it, and a driver reads it by the state', () => {
  const limits: Record<string, Phase[]> = {};
  for (const at of ALL) limits[STEPS[at].within] = [...(limits[STEPS[at].within] ?? []), at];
  assert.deepEqual(limits, {
    greeting: ['greeting'],
    command: ['hello', 'starttls', 'auth', 'envelope', 'noop', 'reset', 'quit'],
    handshake: ['handshake'],
    none: ['ready', 'closed'],
    data: ['data'],
    block: ['content'],
    final: ['commit'],
  });
});

test.run();
