/** Files that are written whole, and the folders above them. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { makeFoldersAbove, writeWhole } from '../../src/nospool/write-files.ts';
import { scratch } from '../support/command.ts';

const test = suite('files that are written whole');

test('what a run that was killed has left beside a file is no hindrance', () => {
  const folder = scratch();
  const left = [`.f.${process.pid}`, `.f.${process.pid}-1`];
  for (const name of left) writeFileSync(path.join(folder, name), 'half');
  writeWhole(path.join(folder, 'f'), 'whole', 0o640);
  assert.equal(readFileSync(path.join(folder, 'f'), 'utf8'), 'whole');
  assert.deepEqual(readdirSync(folder).sort(), [...left, 'f']);
  assert.throws(() => writeWhole(path.join(folder, 'none/f'), '', 0o600), { code: 'ENOENT', path: path.join(folder, 'none/f') });
});

test('folders have their mode whatever the umask, and those that are there keep theirs', () => {
  const folder = scratch();
  const umask = process.umask(0o077);
  try {
    mkdirSync(path.join(folder, 'old'));
    makeFoldersAbove(path.join(folder, 'old/a/b/file'), 0o755);
  } finally {
    process.umask(umask);
  }
  assert.deepEqual(
    ['old', 'old/a', 'old/a/b'].map((name) => (statSync(path.join(folder, name)).mode & 0o777).toString(8)),
    ['700', '755', '755'],
  );
});

test.run();
