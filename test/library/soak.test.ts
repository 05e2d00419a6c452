/** A program that sends for long: nothing is left of thousands of messages, whatever became of them. SOAK=5 sends five times as many. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { within } from '../support/within.ts';

const soak = suite('soak');
const PROGRAM = fileURLToPath(new URL('soak.ts', import.meta.url));

/** Runs the program with a collector that it may call. */
async function run(): Promise<{ readonly status: number | null; readonly said: string }> {
  // Bun reads TypeScript itself. It has no `gc`, and what it tells of its heap counts compiled code, so that it is not looked at there.
  const execArgv = process.versions.bun === undefined ? ['--expose-gc', '--import', 'tsx'] : [];
  const child = fork(PROGRAM, { execArgv, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (octets: Buffer) => {
      said += octets;
    });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, said };
}

soak(
  '2,000 messages in a row, 200 at once, 300 aborted, 500 refused, 200 with TLS and AUTH leave no listener, clock, descriptor and heap',
  () =>
    within(120_000 * (Number(process.env.SOAK) || 1), async () => {
      const { status, said } = await run();
      assert.equal(status, 0, said);
      // One signal serves thousands of calls, and Node warns of eleven listeners.
      assert.doesNotMatch(said, /Warning/);
      assert.match(said, /nothing is left\n$/);
    }),
);

soak.run();
