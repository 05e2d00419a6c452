/** Alarms ring in time, and only after what has arrived was read. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { suite } from 'uvu';
import { alarm } from '../../src/transport/clock.ts';
import { within } from '../support/within.ts';

const test = suite('clock');

const sleep = (milliseconds: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
const later = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('an alarm rings once, and not when it was stopped', () =>
  within(5000, async () => {
    const rung: string[] = [];
    alarm(20, () => rung.push('first'));
    const stop = alarm(20, () => rung.push('second'));
    stop();
    stop();
    await later(200);
    assert.deepEqual(rung, ['first']);
  }));

test('alarms for never and for a month do not ring now', () =>
  within(5000, async () => {
    const rung: string[] = [];
    const stops = [alarm(Number.POSITIVE_INFINITY, () => rung.push('never')), alarm(30 * 86_400_000, () => rung.push('a month'))];
    await later(100);
    for (const stop of stops) stop();
    assert.deepEqual(rung, []);
  }));

test('an alarm whose timer comes too early winds itself anew, and says that it is over before it rings', () =>
  within(5000, async () => {
    const { uptime } = process;
    const begun = uptime();
    const happened: string[] = [];
    // A clock that stands still: every timer comes too early.
    process.uptime = () => begun;
    try {
      const stop = alarm(
        20,
        () => happened.push('rung'),
        () => happened.push('over'),
      );
      await later(150);
      assert.deepEqual(happened, []);
      process.uptime = () => begun + 1;
      await later(150);
      assert.deepEqual(happened, ['over', 'rung']);
      stop();
    } finally {
      process.uptime = uptime;
    }
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
