/** Nodes that are too old, of npm's packages: what they say of the built commands, whose first lines they must be able to read. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { scratch } from './support/daemon.ts';
import { OLD_NODES, suiteWith } from './support/needs.ts';

const test = suiteWith('old versions of Node', 'old-nodes');
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

for (const node of OLD_NODES) {
  test(`O1: ${/node-\d+/.exec(node)} says which is needed, and the status is 1`, () => {
    const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1);
    const sentence = `this is Node ${version}, which is too old: nospool needs Node 20.19, 22.12, or 24 and newer\n`;
    for (const [file, argv] of [
      ['sendmail.cjs', ['-i', 'a@example.org']],
      ['sendmail.cjs', ['--version']],
      ['nospool.mjs', ['install']],
    ] as const) {
      const run = spawnSync(node, [`${DIST}/${file}`, ...argv], { encoding: 'utf8', input: 'Subject: x\n\nx\n' });
      assert.deepEqual([run.status, run.stdout, run.stderr], [1, '', `${file.replace(/\..*/, '')}: ${sentence}`]);
    }
    const root = scratch('root');
    const argv = [`${DIST}/nospool.mjs`, 'install', '--root', root, '--runtime', node];
    const run = spawnSync(process.execPath, argv, { encoding: 'utf8' });
    assert.deepEqual([run.status, run.stderr], [1, `nospool: ${node} does not run nospool: ${sentence}`]);
    assert.deepEqual(readdirSync(root), []);
  });
}

test.run();
