/** Deadlines: when they ring, what begins them anew, and that one which is moved back does not ring at its earlier end. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { Deadline } from '../../src/transport/deadline.ts';
import { within } from '../support/within.ts';

const test = suite('deadline');

const later = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('it rings at the end that was set last, once', () =>
  within(5000, async () => {
    let rung = 0;
    const deadline = new Deadline(() => rung++);
    deadline.set(60);
    deadline.set(400);
    await later(200);
    assert.equal(rung, 0, 'it rang at the earlier end');
    deadline.set(20);
    await later(200);
    assert.equal(rung, 1);
    await later(300);
    assert.equal(rung, 1, 'it rang twice');
  }));

test('it does not ring when it was stopped, or set to never', () =>
  within(5000, async () => {
    let rung = 0;
    const stopped = new Deadline(() => rung++);
    stopped.set(30);
    stopped.stop();
    const endless = new Deadline(() => rung++);
    endless.set(30);
    endless.set(Number.POSITIVE_INFINITY);
    await later(200);
    assert.equal(rung, 0);
  }));

test('RFC 5321 §4.5.3.2.5: while octets move it begins anew; when they stand still it rings', () =>
  within(10_000, async () => {
    let rung = 0;
    let queued = 1000;
    const moving = setInterval(() => queued--, 10);
    const deadline = new Deadline(() => rung++);
    deadline.set(300, () => queued);
    await later(900);
    assert.equal(rung, 0, 'it rang while octets moved');
    clearInterval(moving);
    await later(900);
    assert.equal(rung, 1);
    deadline.stop();
  }));

test.run();
