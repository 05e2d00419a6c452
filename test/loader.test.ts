/** How sendmail is started from code that was kept: what is not there, or not taken, is only slower. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Script } from 'node:vm';
import { suite } from 'uvu';
import { keptFile, keptFolder, loader, printKept, readKept, wrap } from '../src/loader.ts';

const test = suite('loader');
// The command is CommonJS.
Object.assign(globalThis, { require: createRequire(import.meta.url) });
const root = mkdtempSync(path.join(tmpdir(), 'nospool-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));
mkdirSync(`${root}/chunks`);
mkdirSync(keptFolder(root), { recursive: true });

const MAIN =
  'exports.of = () => [require("./chunks/a.cjs").name, require("./chunks/a.cjs"), require("node:path").sep, __filename, __dirname];';
const files: Readonly<Record<string, string>> = {
  'main.cjs': MAIN,
  'chunks/a.cjs': 'exports.name = "a of " + require("./b.cjs");',
  'chunks/b.cjs': 'module.exports = "b";',
};
for (const [name, text] of Object.entries(files)) writeFileSync(`${root}/${name}`, text);

function keep(name: string, change: (kept: Buffer) => Buffer = (kept) => kept): void {
  const text = wrap(files[name] as string);
  writeFileSync(keptFile(root, name), change(printKept(text, new Script(text).createCachedData())));
}
interface Main {
  of(): unknown[];
}
const run = (): unknown[] => (loader(root, readKept)('main.cjs') as Main).of();
const expected = (): unknown[] => ['a of b', { name: 'a of b' }, path.sep, `${root}/main.cjs`, root];

test('nothing kept: as Node loads it', () => assert.deepEqual(run(), expected()));

test('some of it kept, then all', () => {
  for (const name of Object.keys(files)) {
    keep(name);
    assert.deepEqual(run(), expected(), name);
  }
});

test('a module is run once', () => {
  const load = loader(root, readKept);
  assert.equal(load('chunks/a.cjs'), load('chunks/a.cjs'));
});

test('code that V8 does not take: the text is compiled', () => {
  const version = (kept: Buffer): Buffer => {
    // Behind the text and V8's magic number.
    const at = 8 + Number.parseInt(kept.toString('latin1', 0, 8), 16) + 4;
    kept.writeUInt32LE(kept.readUInt32LE(at) ^ 1, at);
    return kept;
  };
  for (const change of [version, (kept: Buffer) => kept.subarray(0, kept.length - 8)]) {
    for (const name of Object.keys(files)) keep(name, change);
    assert.deepEqual(run(), expected());
  }
});

test('the code lies where V8 reads it without a copy', () => {
  for (let length = 0; length < 9; length++) {
    const text = wrap('x'.repeat(length));
    assert.equal(text.length % 8, 0);
    assert.equal(
      printKept(text, Buffer.from('code'))
        .subarray(8 + text.length)
        .toString(),
      'code',
    );
  }
});

test.run();
