/** The example of the README: it compiles against the published types and does what it says, run as a program of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import { RECEIVING } from '../../src/smtp/server/machine.ts';
import { listen } from '../../src/transport/listen.ts';
import { within } from '../support/within.ts';

const library = suite('the library from outside');
const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** A project that has nospool installed, as its example is written. */
function project(source: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-'));
  mkdirSync(path.join(folder, 'node_modules', '@types'), { recursive: true });
  symlinkSync(root, path.join(folder, 'node_modules', 'nospool'));
  symlinkSync(path.join(root, 'node_modules', '@types', 'node'), path.join(folder, 'node_modules', '@types', 'node'));
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(path.join(folder, 'example.ts'), source);
  return folder;
}

function example(): string {
  const text = readFileSync(path.join(root, 'README.md'), 'utf8');
  const found = /## As a library\n(?:(?!\n## )[\s\S])*?```ts\n([\s\S]*?)```/.exec(text)?.[1];
  assert.ok(found, 'README.md has no example under "As a library"');
  return found;
}

library('the example of the README compiles against the types that are published, and delivers', () =>
  within(60_000, async () => {
    const received: string[] = [];
    let content = '';
    const listener = await listen({
      receiving: { ...RECEIVING, mechanisms: ['PLAIN'], authInClear: true },
      at: { host: '127.0.0.1', port: 0 },
      owner: () => ({
        judge(question) {
          if (question.about === 'content') received.push(content);
          return null;
        },
        content(octets) {
          content += Buffer.from(octets).toString('latin1');
        },
      }),
    });
    assert.ok(listener.ok);
    const source = example();
    const folder = project(source.replace('mail.example.org', `127.0.0.1:${listener.value.port}`));
    try {
      const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
      const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node', 'example.ts'];
      await run(process.execPath, [tsc, ...options], { cwd: folder });
      const { stdout } = await run(process.execPath, ['example.js'], { cwd: folder });
      assert.match(stdout, /taken by 127\.0\.0\.1/);
      assert.deepEqual(received, ['Subject: backup\r\n\r\nAll done.\r\n']);
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await listener.value.close();
    }
  }),
);

library('nospool/smtp is the core by itself', () =>
  within(20_000, async () => {
    const folder = project('');
    try {
      const script =
        "import * as core from 'nospool/smtp'; console.log(typeof core.Dialogue, typeof core.advance, typeof core.contentEncoder);";
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
      assert.equal(stdout, 'function function function\n');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }),
);

library('the driver of examples/ sends a message through the core alone', async () => {
  const { stdout } = await run(process.execPath, ['examples/driver.mjs'], { cwd: root });
  const said = stdout.split('\n').filter((line) => line.startsWith('C: '));
  assert.deepEqual(said, [
    'C: EHLO client.example.org',
    'C: MAIL FROM:<web1@example.org>',
    'C: RCPT TO:<alice@example.org>',
    'C: RCPT TO:<nobody@example.org>',
    'C: DATA',
    'C: Subject: backup',
    'C: ',
    'C: All done.',
    'C: ..',
    'C: A line of one dot is doubled.',
    'C: .',
    'C: MAIL FROM:<web1@example.org>',
    'C: RCPT TO:<bob@example.org>',
    'C: DATA',
    'C: Subject: alarm',
    'C: ',
    'C: The disk is full.',
    'C: .',
    'C: QUIT',
  ]);
  assert.match(stdout, /\naccepted RCPT TO:<nobody@example\.org>\naccepted\n/);
});

library.run();
