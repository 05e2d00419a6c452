/** Files that are written whole, and the folders above them. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { makeFoldersAbove, whyNotReplaced, writeWhole } from '../../src/nospool/write-files.ts';
import { failing, withCalls } from '../support/calls.ts';
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

test('a write that fails leaves no file and no descriptor, and its error is told, whatever fails after it', async () => {
  const folder = scratch();
  const file = path.join(folder, 'f');
  const opened = (): number => readdirSync('/proc/self/fd').length;
  writeFileSync(file, 'of before');
  for (const name of ['writeFileSync', 'fchmodSync', 'fsyncSync', 'renameSync']) {
    const before = opened();
    await withCalls({ [name]: failing('ENOSPC') }, () =>
      assert.throws(() => writeWhole(file, 'whole', 0o600), { code: 'ENOSPC', path: file }, name),
    );
    // The runtime may close one of its own meanwhile.
    assert.ok(opened() <= before, name);
    assert.deepEqual(readdirSync(folder), ['f'], name);
  }
  await withCalls({ fsyncSync: failing('EIO'), closeSync: failing('EINTR'), unlinkSync: failing('EROFS') }, () =>
    assert.throws(() => writeWhole(file, 'whole', 0o600), { code: 'EIO', path: file }),
  );
  assert.equal(readFileSync(file, 'utf8'), 'of before');
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

test('a device is not replaced, nor a link of /dev that leads to a file at the moment', () => {
  for (const name of ['/dev/null', '/dev/stdout']) assert.equal(whyNotReplaced(name), `${name} is not a regular file, and is not replaced`);
  const file = path.join(scratch(), 'f');
  assert.equal(whyNotReplaced(file), null);
  writeFileSync(file, '');
  assert.equal(whyNotReplaced(file), null);
});

test.run();
