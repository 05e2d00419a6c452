/** The library as a program uses it, against a receiver in this process. */

import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { type Content, connect, Pool, submit } from '../../src/library/index.ts';
import { makeReply } from '../../src/smtp/server/answers.ts';
import { RECEIVING } from '../../src/smtp/server/machine.ts';
import { type Listener, listen } from '../../src/transport/listen.ts';
import { startScripted } from '../support/scripted.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

interface Received {
  readonly paths: readonly string[];
  readonly content: string;
}

/** A receiver that keeps what it took; recipients that begin with "bad" are refused. */
async function receiver(): Promise<{ listener: Listener; received: Received[]; clients: () => number }> {
  const received: Received[] = [];
  let clients = 0;
  const listener = await listen({
    receiving: RECEIVING,
    at: { host: '127.0.0.1', port: 0 },
    owner: () => {
      clients += 1;
      let paths: string[] = [];
      let content = '';
      return {
        judge(question) {
          if (question.about === 'recipient') {
            const address = `${question.path.localPart}@${question.path.domain}`;
            if (address.startsWith('bad')) return makeReply(550, 'no such user', '1.1');
            paths.push(address);
          }
          if (question.about === 'content') {
            received.push({ paths, content });
            paths = [];
            content = '';
          }
          return null;
        },
        content(octets) {
          content += Buffer.from(octets).toString('latin1');
        },
        abandon() {
          paths = [];
          content = '';
        },
      };
    },
  });
  assert.ok(listener.ok);
  return { listener: listener.value, received, clients: () => clients };
}

const library = suite('library');
const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n.dot\r\n';

const host = (port: number): string => `smtp://127.0.0.1:${port}`;

library('submit: text, octets, an iterable and an opener all arrive octet for octet', () =>
  within(10_000, async () => {
    const { listener, received } = await receiver();
    async function* parts() {
      yield 'Subject: hi\r\n\r';
      yield Buffer.from('\nhello\r\n.d');
      yield '';
      yield 'ot\r\n';
    }
    for (const message of [MESSAGE, Buffer.from(MESSAGE), parts(), { open: parts }]) {
      const outcome = await submit({ from: 'me@example.org', to: ['a@example.net', 'b@example.net'] }, message, {
        servers: [host(listener.port)],
      });
      assert.equal(outcome.kind, 'accepted');
      assert.deepEqual(received.pop(), { paths: ['a@example.net', 'b@example.net'], content: MESSAGE });
    }
    await listener.close();
  }),
);

library('submit: content that cannot be opened or is no octets fails the message; nothing is sent in part, nothing thrown', () =>
  within(10_000, async () => {
    const { listener, received } = await receiver();
    async function* broken() {
      yield 'Subject: hi\r\n\r\n';
      yield 7 as unknown as Uint8Array;
      yield 'the rest\r\n';
    }
    const rows: readonly (readonly [Content, RegExp])[] = [
      [{ open: () => assert.fail('no such file') }, /the content failed: no such file$/],
      [{ open: () => ({}) as unknown as Content }, /the content failed: the content is an object/],
      [broken(), /the content failed: a part of it is a number, neither text nor octets$/],
    ];
    for (const [message, sentence] of rows) {
      const outcome = await submit({ from: '', to: ['a@example.net'] }, message, { servers: [host(listener.port)] });
      assert.ok(outcome.kind === 'failed' && outcome.failure.code === 'input', JSON.stringify(outcome));
      assert.match(outcome.failure.message, sentence);
    }
    assert.deepEqual(received, []);
    await listener.close();
  }),
);

library('submit: one refused recipient fails the message for all, and the outcome says which', () =>
  within(10_000, async () => {
    const { listener, received } = await receiver();
    const outcome = await submit({ from: '', to: ['a@example.net', 'bad@example.net'] }, MESSAGE, { servers: [host(listener.port)] });
    assert.ok(outcome.kind === 'failed');
    const { code, verb, retry, reply, refusals } = outcome.failure;
    assert.deepEqual([code, verb, retry, reply?.code], ['rejected', 'RCPT', 'never', 550]);
    assert.deepEqual(
      refusals.map(({ index, address, reply }) => [index, address, reply.code]),
      [[1, 'bad@example.net', 550]],
    );
    assert.deepEqual(received, []);
    const part = await submit({ from: '', to: ['a@example.net', 'bad@example.net'] }, MESSAGE, {
      servers: [host(listener.port)],
      recipients: 'any',
    });
    assert.ok(part.kind === 'accepted');
    assert.deepEqual(part.taken, [{ index: 0, address: 'a@example.net' }]);
    assert.deepEqual(
      part.refusals.map(({ index, address }) => [index, address]),
      [[1, 'bad@example.net']],
    );
    assert.deepEqual(received.splice(0) as Received[], [{ paths: ['a@example.net'], content: MESSAGE }]);
    await listener.close();
  }),
);

library('submit: the next host gets content that can be read again; other content fails and says so', () =>
  within(10_000, async () => {
    const { listener, received } = await receiver();
    const dead = host(1);
    const once = await submit({ from: 'me@example.org', to: ['a@example.net'] }, MESSAGE, { servers: [dead, host(listener.port)] });
    assert.ok(once.kind === 'accepted' && once.attempts.length === 1);
    assert.deepEqual([once.attempts[0]?.failure.code, once.attempts[0]?.server.url], ['refused', 'smtp://127.0.0.1:1']);
    assert.equal(once.server.url, host(listener.port));
    assert.equal(received.length, 1);
    await listener.close();
  }),
);

library('submit: an iterable that throws never becomes a message', () =>
  within(10_000, async () => {
    const { listener, received } = await receiver();
    async function* broken() {
      yield MESSAGE;
      throw new Error('disk gone');
    }
    const outcome = await submit({ from: 'me@example.org', to: ['a@example.net'] }, broken(), { servers: [host(listener.port)] });
    assert.ok(outcome.kind === 'failed' && outcome.failure.code === 'input');
    assert.match(outcome.failure.message, /disk gone/);
    assert.deepEqual(received, []);
    await listener.close();
  }),
);

library('submit: an address that is no address is a usage failure, before anything is connected', () =>
  within(10_000, async () => {
    const { listener, clients } = await receiver();
    for (const to of [['a@b>\r\nRCPT TO:<evil@x'], ['Joe <joe@example.net>'], ['a@example.net, b@example.net'], []]) {
      const outcome = await submit({ from: 'me@example.org', to }, MESSAGE, { servers: [host(listener.port)] });
      assert.ok(outcome.kind === 'failed' && outcome.failure.code === 'usage', JSON.stringify(to));
    }
    assert.equal(clients(), 0);
    await listener.close();
  }),
);

library('submit: an aborted signal ends the delivery with its reason', () =>
  within(10_000, async () => {
    const { listener, received } = await receiver();
    const outcome = await submit({ from: 'me@example.org', to: ['a@example.net'] }, MESSAGE, {
      servers: [host(listener.port)],
      signal: AbortSignal.abort('changed my mind'),
    });
    assert.ok(outcome.kind === 'failed' && outcome.failure.code === 'aborted');
    assert.match(outcome.failure.message, /changed my mind/);
    assert.equal(outcome.failure.cause, 'changed my mind');
    assert.deepEqual(received, []);
    await listener.close();
  }),
);

library('connect: many messages over one session, also after a refusal', () =>
  within(10_000, async () => {
    const { listener, received, clients } = await receiver();
    const connected = await connect(host(listener.port));
    assert.ok(connected.ok);
    const { client } = connected;
    for (let i = 0; i < 5; i++) {
      assert.ok(client.usable);
      assert.equal((await client.send({ from: 'me@example.org', to: [`u${i}@example.net`] }, MESSAGE)).kind, 'accepted');
      assert.equal((await client.send({ from: 'me@example.org', to: [`bad${i}@example.net`] }, MESSAGE)).kind, 'failed');
    }
    await client.quit();
    assert.ok(!client.usable);
    assert.equal(received.length, 5);
    assert.equal(clients(), 1);
    await listener.close();
  }),
);

library('connect: ready() waits for the session, before a message and after one', () =>
  within(10_000, async () => {
    const { listener, received } = await receiver();
    const connected = await connect(host(listener.port));
    assert.ok(connected.ok);
    const { client } = connected;
    assert.deepEqual([await client.ready(), await client.ready()], [null, null]);
    assert.equal((await client.send({ from: 'me@example.org', to: ['you@example.net'] }, MESSAGE)).kind, 'accepted');
    await client.quit();
    assert.equal(received.length, 1);
    await listener.close();
  }),
);

library('connect: a session that cannot be opened says why, as often as it is asked', () =>
  within(10_000, async () => {
    const server = await startScripted((socket) => socket.end('421 not now\r\n'));
    const connected = await connect(host(server.port));
    assert.ok(connected.ok);
    const { client } = connected;
    const reasons = [await client.ready(), await client.ready()];
    await server.close();
    for (const reason of reasons) assert.match(reason?.code === 'lost' ? reason.message : JSON.stringify(reason), /421 not now/);
    assert.ok(!client.usable);
  }),
);

library('connect: a server that takes no further message in a session is not asked for one', () =>
  within(10_000, async () => {
    const server = await startHost({ offers: ['LIMITS MAILMAX=1'] });
    const connected = await connect(host(server.port));
    assert.ok(connected.ok);
    const { client } = connected;
    const envelope = { from: 'me@example.org', to: ['you@example.net'] };
    assert.equal((await client.send(envelope, MESSAGE)).kind, 'accepted');
    assert.ok(!client.usable);
    const second = await client.send(envelope, MESSAGE);
    assert.ok(second.kind === 'failed');
    assert.deepEqual([second.failure.code, second.failure.retry], ['lost', 'safe']);
    assert.equal(second.failure.message, 'the server takes no further message in this session');
    await client.quit();
    assert.equal(server.held.length, 1);
    assert.deepEqual(server.sessions[0]?.at(-1), 'QUIT');
    await server.stop();
  }),
);

library('content that was read too far for the next server is told by a field and in words', () =>
  within(10_000, async () => {
    const first = await startHost({ script: { content: 'reset' }, contentOctets: 100_000 });
    const second = await startHost();
    async function* stream() {
      for (let i = 0; i < 20; i++) yield `${'x'.repeat(76)}\r\n`.repeat(100);
      await new Promise(() => {});
    }
    const servers = [host(first.port), host(second.port)];
    const envelope = { from: 'me@example.org', to: ['you@example.net'] };
    const outcome = await submit(envelope, stream(), { servers });
    assert.ok(outcome.kind === 'failed');
    assert.equal(outcome.unreplayable, true);
    assert.match(outcome.failure.hint ?? '', /the content was read beyond the window.*give \{ open \}, or a larger window/);
    assert.deepEqual(
      outcome.attempts.map(({ failure }) => failure),
      [outcome.failure],
    );
    assert.deepEqual(structuredClone(outcome), outcome);
    const alone = await submit(envelope, stream(), { servers: servers.slice(0, 1) });
    assert.ok(alone.kind === 'failed' && !('unreplayable' in alone));
    await Promise.all([first.stop(), second.stop()]);
  }),
);

library('the reason of a signal is the cause, also where the message was under way', () =>
  within(10_000, async () => {
    const controller = new AbortController();
    const slow = await startHost({
      script: {
        DATA() {
          controller.abort(new Error('too slow'));
          return 'silence';
        },
      },
    });
    const envelope = { from: 'me@example.org', to: ['you@example.net'] };
    const outcome = await submit(envelope, MESSAGE, { servers: [host(slow.port)], signal: controller.signal });
    assert.ok(outcome.kind === 'failed');
    assert.deepEqual([outcome.failure.code, outcome.failure.cause], ['aborted', controller.signal.reason]);
    assert.ok(!JSON.stringify(outcome).includes('cause'));
    await slow.stop();
  }),
);

library('timeouts.deadline counts while the content is read, too', () =>
  within(10_000, async () => {
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<string>>(() => {}) }) };
    const envelope = { from: 'me@example.org', to: ['you@example.net'] };
    const outcome = await submit(envelope, never, { servers: [host(1)], timeouts: { deadline: 100 } });
    assert.ok(outcome.kind === 'failed');
    assert.deepEqual([outcome.failure.code, outcome.failure.retry], ['aborted', 'safe']);
    assert.match(outcome.failure.message, /deadline/);
  }),
);

library('connect: a host that does not answer says why', () =>
  within(10_000, async () => {
    const connected = await connect(host(1));
    assert.ok(!connected.ok);
    assert.deepEqual([connected.failure.code, connected.failure.retry, connected.attempts.length], ['refused', 'safe', 1]);
    assert.match(connected.failure.message, /connection refused/);
  }),
);

library('Pool: messages of one pool arrive, each once, over as few sessions as it may open', () =>
  within(10_000, async () => {
    const { listener, received, clients } = await receiver();
    const pool = new Pool(host(listener.port), { connections: 2 });
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        pool.send({ from: 'me@example.org', to: [i % 5 === 4 ? `bad${i}@example.net` : `u${i}@example.net`] }, MESSAGE),
      ),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === 'accepted').length, 16);
    await pool.drain();
    assert.equal(new Set(received.flatMap(({ paths }) => paths)).size, 16);
    assert.equal(received.length, 16);
    assert.ok(clients() <= 2);
    await listener.close();
  }),
);

library.run();
