/** Alarms ring in time, and only after what has arrived was read. Time is virtual where no socket is needed. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { suite } from 'uvu';
import { LONGEST_TIMER } from '../../src/smtp/limits.ts';
import { alarm } from '../../src/transport/clock.ts';
import { VirtualTime } from '../faults/support/worlds/time.ts';
import { within } from '../support/within.ts';

const test = suite('clock');

const sleep = (milliseconds: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
const later = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function inVirtualTime(work: (time: VirtualTime, happened: string[]) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  time.install();
  const happened: string[] = [];
  try {
    await work(time, happened);
    assert.equal(time.timers, 0, 'a timer is left');
  } finally {
    time.uninstall();
  }
}

test('an alarm rings once, ten milliseconds after its time is over, and not when it was stopped', () =>
  inVirtualTime(async (time, happened) => {
    const say = (what: string) => () => void happened.push(`${what} ${time.now}`);
    alarm(20, say('first rings'), say('first is over'));
    const stop = alarm(25, say('second rings'), say('second is over'));
    alarm(1, say('third rings'));
    alarm(0, say('fourth rings'));
    await time.passUntil(15);
    stop();
    stop();
    await time.passUntil(200);
    assert.deepEqual(happened, ['third rings 11', 'fourth rings 11', 'first is over 20', 'first rings 30']);
  }));

test('an alarm that is stopped leaves no timer, and one that is stopped while the last is read does not ring', () =>
  inVirtualTime(async (time, happened) => {
    alarm(60_000, () => happened.push('a minute'))();
    assert.equal(time.timers, 0, 'it would keep the process');
    const stop = alarm(
      20,
      () => happened.push('rung'),
      () => happened.push('over'),
    );
    await time.passUntil(25);
    stop();
    await time.passUntil(200);
    assert.deepEqual(happened, ['over']);
  }));

test('an alarm for never has no timer, and one for a month rings after a month, by timers that the runtime takes', () =>
  inVirtualTime(async (time, happened) => {
    // Node's documentation of setTimeout: what is larger becomes 1.
    assert.equal(LONGEST_TIMER, 2147483647);
    const { setTimeout: set } = globalThis;
    globalThis.setTimeout = ((ring: () => void, milliseconds: number) => {
      assert.ok(milliseconds <= LONGEST_TIMER, `${milliseconds}`);
      return set(ring, milliseconds);
    }) as typeof set;
    alarm(Number.POSITIVE_INFINITY, () => happened.push('never'));
    assert.equal(time.timers, 0);
    const month = 30 * 86_400_000;
    alarm(month, () => happened.push(`${time.now - month}`));
    await time.pass(() => happened.length > 0);
    assert.deepEqual(happened, ['10']);
  }));

test('an alarm whose timer comes too early winds itself anew', () =>
  inVirtualTime(async (time, happened) => {
    const { uptime } = process;
    // A clock that stands still: every timer comes too early.
    process.uptime = () => 0;
    alarm(20, () => happened.push('rung'));
    await time.passUntil(150);
    assert.deepEqual(happened, []);
    process.uptime = uptime;
    await time.passUntil(300);
    assert.deepEqual(happened, ['rung']);
  }));

test('V9: an alarm rings after what has arrived was read', () =>
  within(5000, async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const happened: string[] = [];
    const stop = alarm(50, () => happened.push('late'));
    socket.on('message', () => {
      happened.push('read');
      stop();
    });
    socket.send('x', socket.address().port, '127.0.0.1', () => sleep(200));
    await later(400);
    assert.deepEqual(happened, ['read']);
    socket.close();
  }));

test.run();
