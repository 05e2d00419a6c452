/** The built files that benches load by name. Measures no time. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { PARTS } from '../../bench/stages.ts';
import { builtSources, DIST, inSupport, ROOT } from '../../bench/support/places.ts';
import { readMainFile } from '../../src/sendmail/start/loader.ts';

const test = suite('bench, built files');

test('every part that the stages load is a part of the built command', () => {
  const { parts } = readMainFile(readFileSync(path.join(DIST, 'main.cjs')));
  const missing = PARTS.map(([, part]) => part).filter((part) => !part.startsWith('node:') && !parts.has(part));
  assert.deepEqual(missing, []);
});

test('each of them can be loaded and used as the bench does', () => {
  for (const [, part] of PARTS) {
    const run = spawnSync(process.execPath, [inSupport('stages-child.mjs'), DIST, builtSources(), part], { encoding: 'utf8' });
    assert.deepEqual([run.status, run.stderr], [0, ''], part);
    assert.deepEqual(Object.keys(JSON.parse(run.stdout.trim().split('\n').at(-1) as string)), ['load', 'first', 'both']);
  }
});

/** `lib/FILE`, or FILE where `base` or `load` means lib. */
const LOADED = /(?:lib\/|load\('|new URL\(')([\w/-]+)\.js/g;

test('every source that a child of a bench loads is there', () => {
  const folder = path.join(ROOT, 'bench');
  const files = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => /\.(ts|mjs)$/.test(name));
  const loaded = files.flatMap((name) =>
    [...readFileSync(path.join(folder, name), 'utf8').matchAll(LOADED)].map(([, file]) => file as string),
  );
  assert.ok(loaded.length > 5);
  assert.deepEqual(
    loaded.filter((file) => !existsSync(path.join(ROOT, 'src', `${file}.ts`))),
    [],
  );
});

test.run();
