/** The built command where a file that it reads lies on a server that does not answer. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suiteWith } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, scratch, setUp } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suiteWith('files in the world', 'root', 'unshare', 'python3');
const MOUNT = fileURLToPath(new URL('support/silent_files.py', import.meta.url));
/** Node 20 waits for its threads. */
const isAble = process.env.TEST_COMMAND_RUNTIME !== undefined || 'execve' in process;

// A dialogue in which no content had begun is no failure.
for (const [what, args, input, status] of [
  ['a message', ['-f', 'a@example.org', 'root@client.example.org'], 'Subject: x\n\nx\n', 1],
  ['-bs', ['-bs'], 'MAIL FROM:<a@example.org>\r\nRCPT TO:<root@client.example.org>\r\n', 0],
] as const)
  (existsSync('/dev/fuse') ? test : test.skip)(`an alias file that does not answer, and SIGTERM: ${what}`, () =>
    within(20_000, async () => {
      const away = scratch();
      const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:9"]\nlog = "none"\naliases = ["${away}/aliases"]`);
      const words = ['--mount', 'python3', MOUNT, away, ...RUNTIME, COMMAND, '-C', config, ...args];
      const child = spawn('unshare', words, { env: ENVIRONMENT, stdio: 'pipe' });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (octets) => {
          said += octets;
        });
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      child.stdin.write(input);
      if (what === 'a message') child.stdin.end();
      // Until it hangs.
      await new Promise((resolve) => setTimeout(resolve, 1500));
      child.kill('SIGTERM');
      if (isAble) assert.equal(await ended, status);
      else await new Promise((resolve) => setTimeout(resolve, 1500));
      child.kill('SIGKILL');
      assert.match(said, /ended by SIGTERM/);
    }),
  );

test.run();
