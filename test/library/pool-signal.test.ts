/** The signal of a pool ends all of it, and nobody listens to it once the pool is over. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { suite } from 'uvu';
import { Pool } from '../../src/library/index.ts';
import { sink } from '../../src/testing/index.ts';
import { within } from '../support/within.ts';

const test = suite('signal of a pool');
const ENVELOPE = { from: 'ann@example.org', to: 'bob@example.net' };
const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';

test('it fails what waits and what comes later, as aborted', () =>
  within(20_000, async () => {
    const host = await sink();
    const whole = new AbortController();
    const pool = new Pool(host.url, { connections: 1, rate: { messages: 1, per: 3_600_000 }, signal: whole.signal });
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    const waiting = pool.send(ENVELOPE, MESSAGE);
    setImmediate(() => whole.abort(new Error('the program ends')));
    for (const outcome of [await waiting, await pool.send(ENVELOPE, MESSAGE)]) {
      assert.ok(outcome.kind === 'failed');
      assert.deepEqual([outcome.failure.code, outcome.failure.message], ['aborted', 'the program ends']);
    }
    assert.equal(host.messages.length, 1);
    const late = new Pool(host.url, { signal: whole.signal });
    const outcome = await late.send(ENVELOPE, MESSAGE);
    assert.ok(outcome.kind === 'failed' && outcome.failure.code === 'aborted');
    await Promise.all([pool.drain(), late.drain(), host.close()]);
  }));

test('nobody listens to it after the end', () =>
  within(20_000, async () => {
    const host = await sink();
    const { signal } = new AbortController();
    const pool = new Pool(host.url, { signal });
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await pool.drain();
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    await host.close();
  }));

test.run();
