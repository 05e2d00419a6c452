/** Ends the commands' processes while a thread of the runtime hangs, and looks at their status. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { scratch } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('process/leave');
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Opens a named pipe that nobody writes to, in a thread, and ends. */
const PROGRAM = `
import { open } from 'node:fs';
import { leaveAtOnce } from './src/process/leave.ts';
leaveAtOnce();
open(process.argv.at(-2), 'r', () => {});
setTimeout(() => process.exit(Number(process.argv.at(-1))), 100);
`;

const isAble = process.versions.bun !== undefined || 'execve' in process;

for (const status of [0, 1, 75])
  (isAble ? test : test.skip)(`V1: a thread that hangs is left behind, and the status is ${status}`, () =>
    within(20_000, async () => {
      const fifo = path.join(scratch(), 'fifo');
      execFileSync('mkfifo', [fifo]);
      const loading = process.versions.bun === undefined ? ['--import', 'tsx', '--input-type=module'] : [];
      const child = spawn(process.execPath, [...loading, '-e', PROGRAM, '--', fifo, String(status)], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (octets) => {
          said += octets;
        });
      try {
        assert.equal(await new Promise((resolve) => child.once('exit', resolve)), status);
        assert.equal(said, '');
      } finally {
        child.kill('SIGKILL');
      }
    }),
  );

test.run();
