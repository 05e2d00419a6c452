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

/** Where no reply leads on: none may come, or the session is over with any. */
const LEADS_NOWHERE: readonly Phase[] = ['handshake', 'ready', 'quit', 'closed'];
/** Where nothing is left to fail. */
const FAILS_NOTHING: readonly Phase[] = ['ready', 'reset', 'quit', 'closed'];
const ALL = Object.keys(STEPS) as Phase[];

test('all transcripts go as they stand', () => assert.ok(isAsWritten()));

for (const at of ALL.filter((phase) => !LEADS_NOWHERE.includes(phase)))
  test(`${at}: the machine waits for the digit that the row wants`, () => {
    assert.ok(!withRow(at, { wants: rows[at].wants === 2 ? 3 : 2 }));
  });

for (const at of ALL.filter((phase) => !FAILS_NOTHING.includes(phase)))
  test(`${at}: a failure rules out what the row condemns`, () => {
    assert.ok(!withRow(at, { condemns: rows[at].condemns === 'nothing' ? 'host' : 'nothing' }));
  });

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
