/** The process that asks the C library: what it is told, what of its answer counts, and what happens where it gives none. */
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import { askSystem } from '../../src/process/child-lookup.ts';
import { within } from '../support/within.ts';

const test = suite('child-lookup');
const folder = mkdtempSync(path.join(tmpdir(), 'nospool-lookup-'));
test.after(() => rmSync(folder, { recursive: true }));

const never = new AbortController().signal;
const ask = (name: string, family: 'any' | 4 | 6 = 'any', signal = never) => askSystem(name, { family, signal });
const isBun = process.versions.bun !== undefined;

/** Another program in the place of the runtime; what it was told is in the file `told`. */
async function instead(script: string, work: () => Promise<void>): Promise<readonly string[]> {
  const told = path.join(folder, 'told');
  const program = path.join(folder, 'program');
  writeFileSync(told, '');
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" "NODE_OPTIONS=$NODE_OPTIONS" >${told}\n${script}\n`);
  chmodSync(program, 0o755);
  const { execPath, execArgv } = process;
  process.execPath = program;
  process.execArgv = ['--no-warnings', '--max-old-space-size=900', '--jitless', '--import', 'tsx'];
  process.env.NODE_OPTIONS = '--no-warnings';
  try {
    await within(5000, work);
  } finally {
    Object.assign(process, { execPath, execArgv });
    delete process.env.NODE_OPTIONS;
  }
  return readFileSync(told, 'utf8').trim().split('\n');
}

test('the C library knows localhost, of the family that is asked for', async () => {
  for (const family of ['any', 4] as const) {
    const found = await ask('localhost', family);
    assert.ok(found.length > 0, String(family));
    for (const each of found) assert.ok(family === 'any' || each.family === family);
  }
  assert.ok((await ask('localhost', 4)).some(({ address }) => address === '127.0.0.1'));
});

if (!isBun) {
  test('the child is told the name, the family and what its memory needs, and its answer counts', async () => {
    const found = [{ address: '192.0.2.7', family: 4 }];
    for (const [family, word] of [
      ['any', '0'],
      [4, '4'],
      [6, '6'],
    ] as const) {
      const told = await instead(`echo '${JSON.stringify({ found })}'`, async () =>
        assert.deepEqual(await ask('a.example', family), found),
      );
      assert.deepEqual(told.slice(0, 4), ['--no-warnings', '--max-old-space-size=900', '--jitless', '-e']);
      assert.deepEqual(told.slice(-4), ['--', 'a.example', word, 'NODE_OPTIONS=']);
    }
  });

  test('a refusal of the child has its code, or says that nothing was found', async () => {
    await instead(`echo '{"code":"EAI_FAIL"}'`, () => assert.rejects(ask('a.example'), { code: 'EAI_FAIL', message: 'EAI_FAIL' }));
    await instead('echo "{}"', () => assert.rejects(ask('a.example'), { code: 'ENOTFOUND' }));
  });

  test('where the child says nothing, or is not there, this process asks', async () => {
    for (const family of ['any', 4] as const)
      await instead('exit 1', async () => assert.ok((await ask('localhost', family)).some(({ address }) => address === '127.0.0.1')));
    const { execPath } = process;
    process.execPath = path.join(folder, 'absent');
    try {
      assert.ok((await ask('localhost', 'any')).some(({ address }) => address === '127.0.0.1'));
    } finally {
      process.execPath = execPath;
    }
  });

  test('this process asks once, for the addresses as the C library sorts them, and says what it is told', async () => {
    const { lookup } = dns;
    const { execPath } = process;
    const asked: unknown[] = [];
    const refuse = (name: string, options: object, done: (error: Error) => void): void => {
      asked.push([name, options]);
      done(Object.assign(new Error('no'), { code: 'EAI_FAIL', syscall: 'getaddrinfo' }));
    };
    dns.lookup = refuse as unknown as typeof lookup;
    try {
      await instead('exit 1', () => assert.rejects(ask('a.example', 6), { code: 'EAI_FAIL' }));
      process.execPath = path.join(folder, 'absent');
      await assert.rejects(ask('b.example'), { code: 'EAI_FAIL' });
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      process.execPath = execPath;
      dns.lookup = lookup;
    }
    assert.deepEqual(asked, [
      ['a.example', { all: true, family: 6, verbatim: true }],
      ['b.example', { all: true, family: 0, verbatim: true }],
    ]);
  });

  test('whoever gives up ends the child, before it begins and later', async () => {
    const controller = new AbortController();
    await instead('exec sleep 60', async () => {
      const asked = ask('localhost', 'any', controller.signal);
      setTimeout(() => controller.abort(), 50);
      await assert.rejects(asked, { code: 'ECANCELLED', message: 'ended' });
      await assert.rejects(ask('localhost', 'any', controller.signal), { code: 'ECANCELLED' });
    });
  });

  test('nobody listens any more for who gives up when the answer is there', async () => {
    const signal = new AbortController().signal;
    const left: string[] = [];
    signal.removeEventListener = (type: string) => void left.push(type);
    await instead(`echo '{"found":[]}'`, async () => void (await ask('a.example', 'any', signal)));
    assert.deepEqual(left, ['abort']);
    const { execPath } = process;
    process.execPath = path.join(folder, 'absent');
    try {
      await ask('localhost', 'any', signal);
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      process.execPath = execPath;
    }
    assert.deepEqual(left, ['abort', 'abort'], 'nor when there was no child');
  });
}

test.run();
