/** One client of a server, to the millisecond: time-outs, delays, what waits for the owner, and how it ends. Its socket and time are made up. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import type { DuplexOptions } from 'node:stream';
import { suite } from 'uvu';
import { makeReply } from '../../src/smtp/server/answers.ts';
import { RECEIVING } from '../../src/smtp/server/machine.ts';
import { type Conversation, converse, type ServedClient, type ServeOptions, type SessionOwner } from '../../src/transport/serve.ts';
import { VirtualTime } from '../faults/support/worlds/time.ts';
import { loop } from '../support/streams.ts';

const test = suite('serve');

const MINUTES = 60_000;

interface Scene {
  readonly time: VirtualTime;
  readonly say: (text: string) => void;
  /** What happened since the last time: what was said, with its time, and what the owner heard. */
  readonly happened: () => string;
  readonly conversation: Conversation;
  readonly client: ServedClient;
  readonly stream: Socket;
}

async function served(
  options: Partial<ServeOptions> & { readonly judge?: SessionOwner['judge']; readonly content?: SessionOwner['content'] },
  work: (scene: Scene) => Promise<void>,
  address: { readonly remoteAddress?: string; readonly remotePort?: number } = {},
  more: DuplexOptions = {},
): Promise<void> {
  const time = new VirtualTime();
  time.install();
  try {
    const happened: string[] = [];
    const note = (what: string) => void happened.push(`${time.now} ${what}`);
    const { stream, say } = loop({
      allowHalfOpen: true,
      write(chunk: Buffer, _, done) {
        note(`> ${chunk.toString('latin1').trimEnd().replaceAll('\r\n', ' | ')}`);
        done();
      },
      final(done) {
        note('> (end)');
        done();
      },
      ...more,
    });
    Object.assign(stream, address);
    let client: ServedClient | undefined;
    const { judge = () => null, content } = options;
    const owner = (given: ServedClient): SessionOwner => {
      client = given;
      return {
        judge,
        ...(content === undefined ? {} : { content }),
        abandon: () => note('abandoned'),
        trace: (side, line) => side === '!' && note(`! ${line}`),
        closed: () => note('closed'),
      };
    };
    let left = 0;
    const receiving = { ...RECEIVING, hostname: 'here' };
    const conversation = converse(stream as unknown as Socket, 7, { receiving, owner, ...options }, null, () => {
      left += 1;
      note('left');
    });
    assert.ok(client);
    await work({
      time,
      say,
      happened: () => happened.splice(0).join(', '),
      conversation,
      client,
      stream: stream as unknown as Socket,
    });
    stream.destroy();
    await time.pass(() => false);
    assert.deepEqual([left, time.timers], [1, 0], 'it leaves once, and no timer');
  } finally {
    time.uninstall();
  }
}

const settle = ({ time }: Scene): Promise<void> => time.passUntil(time.now + 1);

test('the client has a number and an address, and one on a unix socket has none', async () => {
  await served({}, async ({ client, happened }) => {
    assert.deepEqual([client.number, client.remote, client.tls], [7, '', null]);
    assert.equal(happened(), '0 ! client 7, 0 > 220 here ESMTP nospool');
  });
  await served(
    {},
    async ({ client, happened }) => {
      assert.equal(client.remote, '192.0.2.7:2500');
      assert.equal(happened(), '0 ! client 7 from 192.0.2.7:2500, 0 > 220 here ESMTP nospool');
    },
    { remoteAddress: '192.0.2.7', remotePort: 2500 },
  );
});

test('RFC 5321 §4.5.3.2.7: a silent client is waited for five minutes, hears why, and has two seconds to hang up', () =>
  served({}, async (scene) => {
    const { time, happened, stream } = scene;
    happened();
    await time.passUntil(5 * MINUTES - 1);
    assert.equal(happened(), '');
    await time.passUntil(5 * MINUTES + 1999);
    assert.equal(happened(), '300000 ! time-out, 300000 > 421 4.4.2 here has waited too long, 300000 > (end)');
    assert.equal(stream.destroyed, false);
    await time.passUntil(5 * MINUTES + 2001);
    assert.equal(stream.destroyed, true);
    assert.equal(happened(), '302000 left, 302000 closed');
  }));

test('each command has its own time, octets of one have none, and those of content begin it anew', () =>
  served({ timeout: 1000 }, async (scene) => {
    const { time, say, happened } = scene;
    await settle(scene);
    happened();
    for (const command of ['EHLO x', 'MAIL FROM:<>', 'RCPT TO:<a@b.example>', 'DATA']) {
      await time.passUntil(time.now + 900);
      say(`${command}\r\n`);
      await settle(scene);
      assert.doesNotMatch(happened(), /time-out/, command);
    }
    for (let i = 0; i < 5; i++) {
      await time.passUntil(time.now + 900);
      say('a line\r\n');
      await settle(scene);
      assert.equal(happened(), '', 'content moves');
    }
    say('.\r\n');
    await settle(scene);
    happened();
    const begun = time.now;
    for (let i = 0; i < 3; i++) {
      await time.passUntil(begun + 300 * (i + 1));
      say('N');
    }
    await time.passUntil(begun + 1100);
    assert.match(happened(), /! time-out, \d+ > 421 4\.4\.2 here has waited too long, \d+ > \(end\)$/);
  }));

test('while the owner judges the clock stands still, and then begins anew', async () => {
  let answer: (verdict: null) => void = () => {};
  const judge: SessionOwner['judge'] = ({ about }) =>
    about === 'recipient'
      ? new Promise<null>((resolve) => {
          answer = resolve;
        })
      : null;
  await served({ timeout: 1000, judge }, async (scene) => {
    const { time, say, happened } = scene;
    say('EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nNOOP\r\n');
    await settle(scene);
    happened();
    await time.passUntil(10 * MINUTES);
    assert.equal(happened(), '', 'neither the time is over nor what follows read');
    answer(null);
    await settle(scene);
    assert.equal(happened(), '600000 > 250 2.1.5 recipient accepted, 600000 > 250 2.0.0 nothing done'.replace(', 600000 > ', ' | '));
    await time.passUntil(10 * MINUTES + 1001);
    assert.match(happened(), /^601000 ! time-out/);
  });
});

test('what an owner takes of the content is waited for, and nothing more is read meanwhile', async () => {
  const waiting: (() => void)[] = [];
  const content = () => new Promise<void>((resolve) => waiting.push(resolve));
  await served({ content }, async (scene) => {
    const { say, happened, stream } = scene;
    say('EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n');
    await settle(scene);
    happened();
    assert.equal(stream.isPaused(), false);
    say('one\r\n');
    await settle(scene);
    assert.deepEqual([waiting.length, stream.isPaused()], [1, true]);
    waiting.shift()?.();
    await settle(scene);
    assert.equal(stream.isPaused(), false);
    say('two\r\n.\r\n');
    await settle(scene);
    while (waiting.length > 0) waiting.shift()?.();
    await settle(scene);
    assert.match(happened(), /250 2\.0\.0 message accepted$/);
  });
});

test('a client that does not read its replies is not read either, until it does', async () => {
  const held: (() => void)[] = [];
  await served(
    {},
    async (scene) => {
      const { say, stream } = scene;
      assert.equal(held.length, 1, 'the greeting waits');
      say('NOOP\r\n');
      await settle(scene);
      say('NOOP\r\n');
      await settle(scene);
      assert.equal(stream.isPaused(), true);
      while (held.length > 0) {
        held.shift()?.();
        await settle(scene);
      }
      assert.equal(stream.isPaused(), false);
      say('NOOP\r\n');
      await settle(scene);
      assert.equal(held.length, 1);
      held.shift()?.();
    },
    {},
    { writableHighWaterMark: 20, write: (_chunk, _encoding, done) => void held.push(done) },
  );
});

test('STARTTLS: what came in clear behind it is dropped, and the socket is TLS’s from then on', () =>
  served({ receiving: { ...RECEIVING, hostname: 'here', tls: 'offered' } }, async (scene) => {
    const { say, happened, client, stream } = scene;
    say('EHLO x\r\n');
    await settle(scene);
    happened();
    assert.equal(client.tls, null);
    stream.pause();
    say('STARTTLS\r\n');
    say('MAIL FROM:<injected@x.example>\r\n');
    stream.resume();
    await settle(scene);
    assert.match(happened(), /^\d+ > 220 2\.0\.0 begin TLS$/);
    assert.ok(client.tls);
    const ours = ['data', 'end', 'drain', 'close'].flatMap((event) => stream.listeners(event).map(({ name }) => name));
    for (const name of ['onData', 'onEnd', 'onDrain', 'leave']) assert.ok(!ours.includes(name), `${name} hears what is below TLS`);
  }));

test('with a delay every reply is held back as long, and those of a group go together', () =>
  served({ delay: 100 }, async (scene) => {
    const { time, say, happened } = scene;
    await time.passUntil(99);
    assert.equal(happened(), '0 ! client 7');
    await time.passUntil(150);
    assert.equal(happened(), '100 > 220 here ESMTP nospool');
    say('HELO x\r\nNOOP\r\n');
    await time.passUntil(180);
    say('NOOP\r\n');
    await time.passUntil(181);
    say('QUIT\r\n');
    await time.passUntil(249);
    assert.equal(happened(), '');
    await time.passUntil(1000);
    assert.equal(
      happened(),
      '250 > 250 here | 250 2.0.0 nothing done, 280 > 250 2.0.0 nothing done, 281 > 221 2.0.0 here says goodbye, 281 > (end)',
    );
  }));

test('with a delay the handshake begins with the reply to STARTTLS, however long the server took between the two', () =>
  served({ delay: 100, receiving: { ...RECEIVING, hostname: 'here', tls: 'offered' } }, async (scene) => {
    const { time, say, happened, stream } = scene;
    say('EHLO x\r\n');
    await time.passUntil(300);
    happened();
    const { uptime } = process;
    let asked = 0;
    // Twenty milliseconds lie between the first time that it is asked and the second.
    process.uptime = () => uptime() + (asked++ === 1 ? 0.02 : 0);
    try {
      say('STARTTLS\r\n');
      await time.passUntil(401);
    } finally {
      process.uptime = uptime;
    }
    assert.equal(happened(), '400 > 220 2.0.0 begin TLS');
    assert.ok(asked > 1);
    assert.ok(!stream.listeners('data').some(({ name }) => name === 'onData'), 'what comes is heard in clear');
  }));

test('a delay does not ask what the time of day is', () =>
  served({ delay: 100 }, async ({ time, happened }) => {
    const { now } = Date;
    Date.now = () => 0;
    try {
      await time.passUntil(150);
    } finally {
      Date.now = now;
    }
    assert.equal(happened(), '0 ! client 7, 100 > 220 here ESMTP nospool');
  }));

test('who is closed hears it, once; before the greeting nothing can be said', async () => {
  await served({}, async (scene) => {
    scene.happened();
    scene.conversation.close();
    await settle(scene);
    assert.match(scene.happened(), /^\d+ > 421 4\.3\.2 here is closing down, \d+ > \(end\)$/);
    scene.say('NOOP\r\n');
    await settle(scene);
    assert.equal(scene.happened(), '', 'what still comes is dropped');
    assert.equal(scene.stream.isPaused(), false);
  });
  await served({ tls: { implicit: true } }, async (scene) => {
    scene.conversation.close();
    await settle(scene);
    assert.equal(scene.happened(), '0 ! client 7, 0 left, 0 closed');
  });
});

test('a client that has been told goodbye has no time-out beside its two seconds', () =>
  served({ timeout: 500 }, async (scene) => {
    const { time, say, happened } = scene;
    say('QUIT\r\n');
    await settle(scene);
    assert.match(happened(), /221 2\.0\.0 here says goodbye, \d+ > \(end\)$/);
    await time.passUntil(1900);
    assert.equal(happened(), '');
    await time.passUntil(3000);
    assert.equal(happened(), '2000 left, 2000 closed');
  }));

test('TLS before the greeting has the same time, and no word at its end', () =>
  served({ tls: { implicit: true }, timeout: 1000 }, async ({ time, happened, client, stream }) => {
    assert.ok(client.tls);
    await time.passUntil(999);
    assert.equal(happened(), '0 ! client 7');
    await time.passUntil(1100);
    assert.match(happened(), /^1000 left, 1000 closed$/);
    assert.equal(stream.destroyed, true, 'and what lies below it ends, too');
  }));

test('an owner can hang up, and a client that is lost in a transaction leaves it abandoned', async () => {
  await served({}, async (scene) => {
    scene.client.hangUp();
    await settle(scene);
    assert.equal(scene.happened(), '0 ! client 7, 0 > 220 here ESMTP nospool, 0 left, 0 closed');
  });
  await served({}, async (scene) => {
    scene.say('EHLO x\r\nMAIL FROM:<>\r\n');
    await settle(scene);
    scene.happened();
    scene.stream.destroy(new Error('connection reset'));
    await settle(scene);
    assert.match(scene.happened(), /^\d+ ! connection reset, \d+ abandoned, \d+ left, \d+ closed$/);
  });
});

test('a verdict for a group comes with its own reply, and an LMTP one with one for each recipient', () =>
  served(
    {
      receiving: { ...RECEIVING, hostname: 'here', protocol: 'lmtp' },
      judge: ({ about }) =>
        about === 'content'
          ? { reply: null, each: [makeReply(250, '2.0.0', 'one'), makeReply(452, '4.2.2', 'two')] }
          : about === 'recipient'
            ? makeReply(250, '2.1.5', 'this one')
            : null,
    },
    async (scene) => {
      scene.say('LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@b.example>\r\nDATA\r\n');
      await settle(scene);
      assert.match(scene.happened(), /250 2\.1\.5 this one \| 250 2\.1\.5 this one \| 354 /);
      scene.say('x\r\n.\r\n');
      await settle(scene);
      assert.match(scene.happened(), /> 250 2\.0\.0 one \| 452 4\.2\.2 two$/);
    },
  ));

test.run();
