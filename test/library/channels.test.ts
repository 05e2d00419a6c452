/**
 * What `node:diagnostics_channel` hears of sessions. Loopback: TLS is asked for by option, and what is looked at are the events.
 */
import assert from 'node:assert/strict';
import { channel } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { suite } from 'uvu';
import { type ChannelMessage, connect, submit } from '../../src/library/index.ts';
import { sink } from '../../src/testing/index.ts';
import { deadPort } from '../support/admin.ts';
import { within } from '../support/within.ts';

const test = suite('channels');
const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];
const NAMES = ['connect', 'tls', 'auth', 'transaction'];
const ENVELOPE = { from: 'a@example.org', to: 'b@example.org' };
const PASSWORD = 'tanstaafl-4711';

/** Listens while `work` runs; `name event code` of each event, and everything that was shown. */
async function heard(
  work: () => Promise<unknown>,
): Promise<{ readonly events: string[]; readonly shown: string; readonly sessions: number }> {
  const events: string[] = [];
  const sessions = new Set<number>();
  let shown = '';
  const listeners = NAMES.flatMap((name) =>
    EVENTS.map((event) => {
      const listen = (message: unknown): void => {
        const { session, error, message: number } = message as ChannelMessage;
        sessions.add(session);
        if (event !== 'end' && event !== 'asyncStart')
          events.push([name, event, ...(error ? [error.code] : []), ...(number === undefined ? [] : [number])].join(' '));
        shown += inspect(message, { depth: 9 });
      };
      channel(`tracing:nospool:${name}:${event}`).subscribe(listen);
      return () => channel(`tracing:nospool:${name}:${event}`).unsubscribe(listen);
    }),
  );
  try {
    await work();
  } finally {
    for (const leave of listeners) leave();
  }
  return { events, shown, sessions: sessions.size };
}

const done = (name: string, number = ''): string[] => [`${name} start${number}`, `${name} asyncEnd${number}`];

test('a session with TLS and AUTH tells each step once, in order, and no secret', () =>
  within(20_000, async () => {
    for (const mode of ['starttls', 'implicit'] as const) {
      const host = await sink({ tls: mode, auth: { user: 'u', password: PASSWORD } });
      const { events, shown, sessions } = await heard(async () => {
        const connected = await connect({
          url: host.url,
          tls: { mode: 'required', ca: host.certificate ?? '' },
          auth: { user: 'u', password: PASSWORD },
        });
        assert.ok(connected.ok);
        for (const text of ['Subject: 1\n\n', 'Subject: 2\n\n'])
          assert.equal((await connected.client.send(ENVELOPE, text)).kind, 'accepted');
        await connected.client.quit();
      });
      assert.deepEqual(events, [
        ...done('connect'),
        ...done('tls'),
        ...done('auth'),
        ...done('transaction', ' 0'),
        ...done('transaction', ' 1'),
      ]);
      assert.equal(sessions, 1);
      for (const secret of [PASSWORD, Buffer.from(PASSWORD).toString('base64').slice(0, 16)]) assert.ok(!shown.includes(secret), shown);
      await host.close();
    }
  }));

test('each step that fails tells why', () =>
  within(20_000, async () => {
    const { events: unreached } = await heard(async () => submit(ENVELOPE, 'x\n', { servers: [`smtp://127.0.0.1:${await deadPort()}`] }));
    assert.deepEqual(unreached, ['connect start', 'connect error refused', 'connect asyncEnd refused']);
    const host = await sink({ tls: 'starttls', auth: { user: 'u', password: PASSWORD } });
    const { events: untrusted } = await heard(() => submit(ENVELOPE, 'x\n', { servers: [{ url: host.url, tls: { mode: 'required' } }] }));
    assert.deepEqual(untrusted.slice(2), ['tls start', 'tls error tls-certificate', 'tls asyncEnd tls-certificate']);
    const tls = { mode: 'required', ca: host.certificate ?? '' } as const;
    const { events: strange, shown } = await heard(() =>
      submit(ENVELOPE, 'x\n', { servers: [{ url: host.url, tls, auth: { user: 'u', password: `${PASSWORD}!` } }] }),
    );
    assert.deepEqual(strange.slice(4), ['auth start', 'auth error auth-refused', 'auth asyncEnd auth-refused']);
    assert.ok(!shown.includes(PASSWORD));
    await host.close();
    const refusing = await sink({});
    refusing.refuse('RCPT', '550 5.1.1 nobody');
    const { events: refused } = await heard(() => submit(ENVELOPE, 'x\n', { servers: [refusing.url] }));
    assert.deepEqual(refused.slice(2), ['transaction start 0', 'transaction error rejected 0', 'transaction asyncEnd rejected 0']);
    await refusing.close();
  }));

test('a signal that comes while a session connects ends the step', () =>
  within(20_000, async () => {
    const { events } = await heard(() =>
      submit(ENVELOPE, 'x\n', {
        servers: [{ url: 'smtp://mail.example.org', socket: () => new Promise(() => {}) }],
        signal: AbortSignal.timeout(20),
      }),
    );
    assert.deepEqual(events, done('connect'));
  }));

test.run();
