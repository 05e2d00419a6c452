/** NOOP asks the server, and says why the session is over; a pool does not trust an idle session without it. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { connect, Pool } from '../../src/library/index.ts';
import { sink } from '../../src/testing/index.ts';
import { within } from '../support/within.ts';

const test = suite('noop');
const ENVELOPE = { from: 'ann@example.org', to: 'bob@example.net' };
const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';

test('a session that is there says so, and one that is not says why', () =>
  within(20_000, async () => {
    const host = await sink();
    const opened = await connect(host.url);
    assert.ok(opened.ok);
    const { client } = opened;
    const [outcome, asked] = await Promise.all([client.send(ENVELOPE, MESSAGE), client.noop()]);
    assert.deepEqual([outcome.kind, asked, client.usable], ['accepted', null, true]);
    assert.ok(host.transcript.includes('C: NOOP'));
    host.drop('NOOP');
    const failure = await client.noop();
    assert.deepEqual([failure?.code, failure?.retry, client.usable], ['lost', 'safe', false]);
    assert.notEqual(await client.noop(), null);
    await client.quit();
    await host.close();
  }));

test('verify of a pool asks an idle session, and opens another one where that has ended', () =>
  within(20_000, async () => {
    const host = await sink();
    await using pool = new Pool(host.url);
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    host.drop('NOOP');
    assert.equal(await pool.verify(), null);
    assert.equal(host.connections, 2);
    await pool.drain();
    await host.close();
  }));

test.run();
