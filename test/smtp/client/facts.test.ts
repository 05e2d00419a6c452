/**
 * What a program is told of each transcript's end, with all fields, as facts.txt has it: programs decide by them, and no sentence
 * shows them all. After a change that is meant, `FACTS=write node test/run.mjs smtp/client/facts` writes the file anew.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import { readTranscripts, replay } from '../../support/transcript.ts';

const test = suite('facts of outcomes');
const place = new URL('facts.txt', import.meta.url);

/** A reply is its code, because the transcript has its text. */
const shorten = (key: string, value: unknown): unknown => {
  if (key === 'path') return undefined;
  return typeof value === 'object' && value !== null && 'code' in value && 'lines' in value ? value.code : value;
};

const found = readTranscripts().map((transcript) => {
  const facts: string[] = [];
  const tell = (outcome: unknown): void => void facts.push(`  ${JSON.stringify(outcome, shorten)}`);
  replay(transcript, Number.POSITIVE_INFINITY, tell, tell);
  return [transcript.file, ...facts].join('\n');
});
if (process.env.FACTS === 'write') writeFileSync(place, `${found.join('\n')}\n`);
const known = new Map(
  readFileSync(place, 'utf8')
    .split(/\n(?! )/)
    .map((entry) => [entry.split('\n', 1)[0], entry]),
);

for (const entry of found) {
  const [file = ''] = entry.split('\n', 1);
  test(file, () => assert.equal(entry, known.get(file)));
}

test('facts.txt has no other transcripts', () => assert.equal(known.size, found.length + 1));

test.run();
