import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { within } from './support/within.ts';

const test = suite('demo');

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Runs the demo in a temporary folder; `left` are the files that it leaves there. */
async function demo(
  ...argv: readonly string[]
): Promise<{ readonly status: number | null; readonly said: string; readonly left: readonly string[] }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
  try {
    const child = spawn(process.execPath, ['examples/demo.mjs', ...argv], { cwd: ROOT, env: { ...process.env, TMPDIR: folder } });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { status, said, left: await readdir(folder) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('three messages end as they must, on a screen of 80 columns, and nothing is left behind', () =>
  within(60_000, async () => {
    const { status, said, left } = await demo();
    assert.equal(status, 0, said);
    assert.deepEqual(left, []);
    for (const line of said.split('\n')) assert.ok([...line].length <= 80, line);
    assert.match(said, /\nAll three ended as they must\.\n$/);
    assert.match(said, /^ {2}C: RCPT TO:<carol@example\.org> {2}\(\d+ ms\)$/m);
    assert.match(said, /^ {2}sendmail: \[127\.0\.0\.1\]:\d+: RCPT TO:<nobody@example\.org>: 550/m);
    assert.match(said, /^ {2}! 127\.0\.0\.1: connection refused/m);
    assert.ok(!said.includes('correct-horse'));
  }));

// the fault of another sendmail, a sentence of the demo that it breaks
const WRONG: readonly (readonly [string, string, string])[] = [
  ['says that it sent what it did not', 'process.exitCode = 0', 'one message arrived'],
  ['says that it failed', 'process.exitCode = 1', 'exit status 0'],
];
for (const [what, source, sentence] of WRONG)
  test(`the demo finds a sendmail that ${what}`, () =>
    within(60_000, async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
      try {
        const other = path.join(folder, 'sendmail.cjs');
        await writeFile(other, `process.stdin.resume(); process.stdin.on('end', () => { ${source}; });\n`);
        const { status, said } = await demo(other);
        assert.equal(status, 1, said);
        assert.ok(said.includes(`  NOT OK ${sentence}\n`), said);
        assert.match(said, /\n\d+ of these are not as they must be\.\n$/);
      } finally {
        await rm(folder, { recursive: true });
      }
    }));

test.run();
