/** Stops the built command (as Ctrl-Z, a debugger, a laptop that sleeps) until its times are over: what came meanwhile counts. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { killAll, type Running, setUp, smartHost, start, toHosts } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('sendmail/stopped');
test.after(killAll);

const SENT = ['-f', 'a@example.org', 'b@example.org'];
const later = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const STOPPED = 1500;

for (const [key, time] of [
  ['deadline', '1s'],
  ['final', '1s'],
] as const)
  test(`V9: a verdict counts that came while the process was stopped and timeouts.${key} ran out`, () =>
    within(30_000, async () => {
      let running: Running | undefined;
      const host = await smartHost(({ about }) => {
        if (about === 'content') running?.child.kill('SIGSTOP');
        return null;
      });
      running = start(setUp(toHosts(host.port), `[timeouts]\n${key} = "${time}"`).config, SENT);
      running.child.stdin?.end('Subject: x\n\nx\n');
      await host.until(() => host.messages[0]?.state === 'accepted');
      await later(STOPPED);
      running.child.kill('SIGCONT');
      const { status, stderr } = await running.done;
      assert.deepEqual([status, stderr], [0, '']);
      await host.close();
    }));

test('V9: input counts that came while the process was stopped and timeouts.input ran out', () =>
  within(30_000, async () => {
    const host = await smartHost();
    const { config } = setUp(`${toHosts(host.port)}\nreplay_window = "1KiB"`, '[timeouts]\ninput = "1s"');
    const { child, done } = start(config, SENT);
    child.stdin?.write(`Subject: x\n\n${'first\n'.repeat(1000)}`);
    await host.until(() => (host.messages[0]?.octets ?? 0) > 0);
    child.kill('SIGSTOP');
    child.stdin?.end('last\n');
    await later(STOPPED);
    child.kill('SIGCONT');
    const { status, stderr } = await done;
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(host.messages[0]?.content ?? '', /last\r\n$/);
    await host.close();
  }));

test.run();
