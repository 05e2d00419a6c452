/** Users who may change installed files: owners, modes, folders above, links. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, lchownSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { describeDanger } from '../../src/nospool/install/writers.ts';
import { scratch } from '../support/command.ts';

const test = suite('files that others may change');
const isRoot = process.getuid?.() === 0;
const me = { uids: [0, process.getuid?.() ?? 0], gids: [] as number[], sticky: true };
const STRANGER = 54_321;

/** Makes `bin/node` in two folders that nobody else may change. */
function tree(): string {
  const root = realpathSync(scratch());
  mkdirSync(`${root}/opt/bin`, { recursive: true });
  writeFileSync(`${root}/opt/bin/node`, '');
  for (const each of ['opt', 'opt/bin', 'opt/bin/node']) chmodSync(`${root}/${each}`, 0o755);
  return root;
}

test('S4: there is no danger for a file that only the trusted may change, in folders that only they may change', () => {
  const root = tree();
  assert.equal(describeDanger(`${root}/opt/bin/node`, me), null, "the folder for temporary files is everybody's, but sticky");
  assert.equal(describeDanger('/bin/sh', { uids: [0], gids: [], sticky: false }), null);
});

test('S4: the mode of the file and of every folder above it counts', () => {
  for (const [changed, mode, expected] of [
    ['opt/bin/node', 0o757, 'everybody'],
    ['opt/bin/node', 0o775, 'group'],
    ['opt/bin', 0o777, 'everybody'],
    ['opt/bin', 0o770, 'group'],
    ['opt', 0o733, 'everybody'],
    ['opt', 0o2775, 'group'],
  ] as const) {
    const root = tree();
    chmodSync(`${root}/${changed}`, mode);
    const said = describeDanger(`${root}/opt/bin/node`, me);
    assert.match(
      String(said),
      new RegExp(`^${root}/${changed} may be changed by ${expected}.* \\(mode ${mode.toString(8).padStart(4, '0')}\\)$`),
    );
    const withGroup = { ...me, gids: [process.getgid?.() ?? 0] };
    if (expected === 'group') assert.equal(describeDanger(`${root}/opt/bin/node`, withGroup), null, 'this group is trusted');
  }
});

if (isRoot)
  test('S4: the owner of the file and of every folder above it counts', () => {
    for (const owned of ['opt/bin/node', 'opt/bin', 'opt']) {
      const root = tree();
      chownSync(`${root}/${owned}`, STRANGER, 0);
      const said = `${root}/${owned} belongs to uid ${STRANGER}`;
      assert.equal(describeDanger(`${root}/opt/bin/node`, me), said);
      assert.equal(describeDanger(`${root}/opt/bin/node`, { ...me, uids: [0, STRANGER] }), null);
    }
    const root = tree();
    chownSync(`${root}/opt/bin/node`, 65_534, 0);
    assert.match(String(describeDanger(`${root}/opt/bin/node`, me)), /belongs to nobody \(uid 65534\)$/);
  });

test('S4: links of files and of folders are followed, and the folders that hold them count', () => {
  const root = tree();
  mkdirSync(`${root}/links`, { mode: 0o755 });
  symlinkSync('../opt/bin/node', `${root}/links/relative`);
  symlinkSync(`${root}/opt/bin/node`, `${root}/links/absolute`);
  symlinkSync(`${root}/opt/../opt/./bin`, `${root}/links/folder`);
  symlinkSync('relative', `${root}/links/twice`);
  const names = ['relative', 'absolute', 'folder/node', 'twice'].map((name) => `${root}/links/${name}`);
  for (const name of names) assert.equal(describeDanger(name, me), null, name);
  chmodSync(`${root}/opt/bin`, 0o777);
  for (const name of names) assert.match(String(describeDanger(name, me)), /\/opt\/bin may be changed by everybody/, name);
  chmodSync(`${root}/opt/bin`, 0o755);
  chmodSync(`${root}/links`, 0o777);
  for (const name of names) assert.match(String(describeDanger(name, me)), /\/links may be changed by everybody/, name);
});

test('on a running system a sticky folder where others may write is a danger, because what it holds is removed some day', () => {
  const root = tree();
  chmodSync(`${root}/opt`, 0o1777);
  assert.equal(describeDanger(`${root}/opt/bin/node`, me), null);
  assert.equal(
    describeDanger(`${root}/opt/bin/node`, { ...me, sticky: false }, root),
    `${root}/opt may be changed by everybody (mode 1777)`,
  );
  chmodSync(`${root}/opt`, 0o1755);
  assert.equal(describeDanger(`${root}/opt/bin/node`, { ...me, sticky: false }, root), null, 'only its owner may write there');
});

if (isRoot)
  test('S4: in a folder where everybody may write, as in /tmp, the owner of a link may replace it', () => {
    const root = tree();
    mkdirSync(`${root}/tmp`);
    chmodSync(`${root}/tmp`, 0o1777);
    symlinkSync('../opt/bin/node', `${root}/tmp/node`);
    assert.equal(describeDanger(`${root}/tmp/node`, me), null);
    lchownSync(`${root}/tmp/node`, STRANGER, 0);
    assert.equal(describeDanger(`${root}/tmp/node`, me), `${root}/tmp/node belongs to uid ${STRANGER}`);
    // Elsewhere the folder counts.
    symlinkSync('bin/node', `${root}/opt/node`);
    lchownSync(`${root}/opt/node`, STRANGER, 0);
    assert.equal(describeDanger(`${root}/opt/node`, me), null);
  });

test('S4: below --root links lead where they will lead there, and folders above it do not count', () => {
  const above = tree();
  chmodSync(`${above}/opt`, 0o777);
  const root = `${above}/opt/bin`;
  mkdirSync(`${root}/usr/bin`, { recursive: true });
  mkdirSync(`${root}/etc`);
  writeFileSync(`${root}/usr/bin/node-22`, '');
  symlinkSync('/usr/bin/node-22', `${root}/etc/node`);
  symlinkSync('/etc/node', `${root}/usr/bin/node`);
  for (const each of ['usr', 'usr/bin', 'etc', 'usr/bin/node-22']) chmodSync(path.join(root, each), 0o755);
  assert.equal(describeDanger(`${root}/usr/bin/node`, me, root), null);
  chmodSync(`${root}/etc`, 0o777);
  assert.match(String(describeDanger(`${root}/usr/bin/node`, me, root)), /\/etc may be changed/);
});

test('a missing file and a circle of links are errors', () => {
  const root = tree();
  symlinkSync('circle', `${root}/circle`);
  assert.throws(() => describeDanger(`${root}/circle`, me), { code: 'ELOOP' });
  assert.throws(() => describeDanger(`${root}/opt/bin/other`, me), { code: 'ENOENT' });
  symlinkSync('nothing', `${root}/broken`);
  assert.throws(() => describeDanger(`${root}/broken`, me), { code: 'ENOENT' });
});

test.run();
