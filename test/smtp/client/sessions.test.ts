/**
 * Replays every transcript through the pure machine in pieces of 1, 7 and any number of octets, and checks what no session may
 * ever do.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { isCommit, parseTranscript, readTranscripts, replay } from '../../support/transcript.ts';

const sessions = suite('sessions');
const transcripts = readTranscripts();

for (const transcript of transcripts)
  for (const size of transcript.whole ? [Number.POSITIVE_INFINITY] : [1, 7, Number.POSITIVE_INFINITY])
    sessions(`${transcript.file} in pieces of ${size}: ${transcript.title}`, () => {
      assert.deepEqual(replay(transcript, size), transcript.lines);
    });

sessions('there are transcripts enough for every row of STEPS', () => {
  assert.ok(transcripts.length >= 250, `only ${transcripts.length} transcripts`);
});

sessions('no terminator leaves before every recipient is accepted, and none after our input failed', () => {
  for (const { file, lines, plan, transaction } of transcripts) {
    const commit = lines.findIndex(isCommit);
    if (commit < 0) continue;
    const before = lines.slice(0, commit);
    assert.ok(!before.some((line) => /^! (failed|lacking|abort)/.test(line)), `${file}: commit after a failed input`);
    const mail = before.findLastIndex((line) => line.startsWith('C: MAIL'));
    const accepted = before.slice(mail).filter((line) => /^S: 25\d( |\\x09|$)/.test(line)).length;
    const needed = plan.partial === 'any' ? 1 : transaction.recipients.length;
    assert.ok(accepted >= 1 + needed, `${file}: ${accepted} acceptances before the commit`);
    assert.ok(
      before.some((line) => line.startsWith('! sent')),
      `${file}: commit before the content was complete`,
    );
    const commits = lines.filter(isCommit).length;
    assert.ok(lines.filter((line) => line.startsWith('= accepted')).length <= commits, file);
  }
});

sessions('an outcome "accepted" needs a commit, and a commit that is not accepted or refused is uncertain', () => {
  for (const { file, lines, plan } of transcripts) {
    if (plan.transactions === 'many') continue;
    const outcome = lines.find((line) => line.startsWith('='));
    const commit = lines.some(isCommit);
    if (outcome?.startsWith('= accepted')) assert.ok(commit, file);
    else if (commit) assert.match(outcome ?? '', /^= (uncertain|rejected) at commit/, file);
  }
});

sessions('F6: credentials stand only in lines that a transcript marks as secret, and never in an outcome', () => {
  for (const { file, lines } of transcripts)
    for (const line of lines) if (!line.startsWith('C*: ')) assert.doesNotMatch(line, /tanstaaf|dGFuc3RhYWZ0YW5zdGFhZg|dGlt|AHRpbQB/, file);
});

sessions('F6: what a server says in an exchange of AUTH is masked in every outcome', () => {
  const signature = 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=';
  for (const [code, kind] of [
    ['535-', 'rejected'],
    ['454-', 'rejected'],
    ['421-', 'lost'],
    ['421 ', 'lost'],
    ['235 ', 'malformed'],
  ] as const) {
    const lines = [
      '# x',
      'plan: {"auth": "CLEAR"}',
      'S: 220 hi',
      'C: x',
      'S: 250-hi',
      'S: 250 AUTH PLAIN',
      'C: x',
      `S: ${code}${signature}`,
      `S: ${code.slice(0, 3)} ${signature}`,
    ];
    const outcomes: string[] = [];
    replay(parseTranscript('x', lines.join('\n')), Number.POSITIVE_INFINITY, (outcome) => outcomes.push(JSON.stringify(outcome)));
    assert.equal(outcomes.length, 1, code);
    assert.ok(outcomes[0]?.includes(`"kind":"${kind}"`), outcomes[0]);
    assert.ok(!outcomes[0]?.includes('rmF9pq'), outcomes[0]);
    assert.ok(outcomes[0]?.includes('****'), outcomes[0]);
  }
});

sessions.run();
