/** Deadlines: when they ring, what begins them anew, and that one which is moved back does not ring at its earlier end. Time is virtual. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { Deadline } from '../../src/transport/deadline.ts';
import { VirtualTime } from '../faults/support/worlds/time.ts';

const test = suite('deadline');

/** Milliseconds between the end of the time and the ring, in which what has arrived is read. */
const READ = 10;

/** A deadline, when it rang, and how often it has wound a timer. */
async function inVirtualTime(work: (time: VirtualTime, deadline: Deadline, rung: number[], wound: () => number) => Promise<void>) {
  const time = new VirtualTime();
  time.install();
  const { setTimeout: set } = globalThis;
  let count = 0;
  globalThis.setTimeout = ((...given: Parameters<typeof set>) => {
    count += 1;
    return set(...given);
  }) as typeof set;
  const rung: number[] = [];
  try {
    await work(time, new Deadline(() => rung.push(time.now)), rung, () => count);
    assert.equal(time.timers, 0, 'a timer is left');
  } finally {
    time.uninstall();
  }
}

test('it rings at the end that was set last, once', () =>
  inVirtualTime(async (time, deadline, rung) => {
    deadline.set(60);
    deadline.set(400);
    await time.passUntil(200);
    assert.deepEqual(rung, [], 'it rang at the earlier end');
    deadline.set(20);
    await time.passUntil(1000);
    assert.deepEqual(rung, [220 + READ]);
    deadline.set(60);
    await time.passUntil(2000);
    assert.deepEqual(rung, [220 + READ, 1060 + READ], 'and again when it is set again');
  }));

test('no time is too short for it', () =>
  inVirtualTime(async (time, deadline, rung) => {
    for (const milliseconds of [0, 1, 2]) {
      const begun = time.now;
      deadline.set(milliseconds);
      await time.passUntil(begun + 100);
      assert.deepEqual(rung.splice(0), [begun + Math.max(1, milliseconds) + READ]);
    }
  }));

test('it rings at its end after a timer for an earlier one, and to move it back costs no timer', () =>
  inVirtualTime(async (time, deadline, rung, wound) => {
    deadline.set(100);
    await time.passUntil(50);
    const before = wound();
    for (let i = 0; i < 1000; i++) deadline.set(100 + i);
    assert.equal(wound(), before);
    await time.passUntil(5000);
    assert.deepEqual(rung, [50 + 1099 + READ]);
  }));

test('it does not ring when it was stopped, or set to never', () =>
  inVirtualTime(async (time, deadline, rung) => {
    deadline.set(30);
    deadline.stop();
    assert.equal(time.timers, 0, 'a timer would keep the process');
    deadline.set(30);
    deadline.set(Number.POSITIVE_INFINITY);
    await time.passUntil(200);
    assert.deepEqual(rung, []);
    deadline.set(30);
    await time.passUntil(200 + 30 + READ / 2);
    deadline.stop();
    await time.passUntil(400);
    assert.deepEqual(rung, [], 'what was read at the last moment stops it');
    deadline.set(30);
    await time.passUntil(400 + 30 + READ / 2);
    deadline.set(100);
    await time.passUntil(1000);
    assert.deepEqual(rung, [435 + 100 + READ], 'or moves it back');
  }));

test('one that was stopped can be set again, for later than before', () =>
  inVirtualTime(async (time, deadline, rung) => {
    deadline.set(60);
    deadline.stop();
    deadline.set(100);
    await time.passUntil(1000);
    assert.deepEqual(rung, [100 + READ]);
  }));

test('a month is longer than any timer of the runtime, and it rings after it', () =>
  inVirtualTime(async (time, deadline, rung) => {
    const month = 30 * 86_400_000;
    const { setTimeout: set } = globalThis;
    globalThis.setTimeout = ((ring: () => void, milliseconds: number) => {
      assert.ok(milliseconds <= 0x7fffffff, `${milliseconds}`);
      return set(ring, milliseconds);
    }) as typeof set;
    deadline.set(month);
    await time.pass(() => rung.length > 0);
    assert.deepEqual(rung, [month + READ]);
  }));

test('RFC 5321 §4.5.3.2.5: while octets move it begins anew; when they stand still it rings', () =>
  inVirtualTime(async (time, deadline, rung) => {
    const looks: number[] = [];
    let queued = 1000;
    deadline.set(400, () => {
      looks.push(time.now);
      return queued;
    });
    for (const moved of [90, 290, 310]) {
      await time.passUntil(moved);
      queued -= 1;
    }
    await time.passUntil(2000);
    assert.deepEqual(
      [...new Set(looks)],
      [0, 100, 200, 300, 400, 500, 600, 700, 800, 800 + READ],
      'it looks four times as often as it would ring',
    );
    assert.deepEqual(rung, [800 + READ], 'as long after the look that saw the last movement');
    deadline.set(40);
    await time.passUntil(3000);
    assert.deepEqual(rung, [800 + READ, 2040 + READ], 'without octets to look at it is a plain one again');
    assert.equal(looks.at(-1), 800 + READ);
  }));

test('V9: octets that move when the time is over already begin it anew, because the process may have been stopped until then', () =>
  inVirtualTime(async (time, deadline, rung) => {
    let queued = 1000;
    deadline.set(400, () => queued);
    await time.passUntil(400 + READ / 2);
    queued -= 1;
    await time.passUntil(800);
    assert.deepEqual(rung, []);
    await time.passUntil(2000);
    assert.deepEqual(rung, [400 + READ + 400 + READ]);
  }));

test.run();
