/**
 * Wires over Node's sockets and over other streams: who hears what, when, and how it ends. No SMTP is spoken.
 * Loopback: a handshake is done, and nobody asks whom it trusts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer } from 'node:tls';
import { suite } from 'uvu';
import { nodeWire } from '../../src/transport/node-wire.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import type { Wire, WireEnd } from '../../src/transport/wire.ts';
import { loop, tunnelTo } from '../support/streams.ts';
import { within } from '../support/within.ts';

const test = suite('wires');

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Writes down what a wire tells. */
function watch(wire: Wire): { readonly told: readonly string[]; readonly closed: Promise<WireEnd> } {
  const told: string[] = [];
  const closed = new Promise<WireEnd>((resolve) => {
    wire.listen({
      octets: (octets) => told.push(octets.toString('latin1')),
      end: () => told.push('(end)'),
      closed: (why) => {
        told.push(`(closed: ${why.detail})`);
        resolve(why);
      },
    });
  });
  return { told, closed };
}

interface Pair {
  readonly socket: Socket;
  readonly peer: Socket;
  readonly stop: () => void;
}

async function pair(): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = createConnection({ port: (server.address() as { port: number }).port, host: '127.0.0.1' });
  const [[peer]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [[Socket], unknown];
  peer.on('error', () => {});
  return {
    socket,
    peer,
    stop() {
      socket.destroy();
      peer.destroy();
      server.close();
    },
  };
}

test('what comes, and the end, wait until somebody listens, and each is told once', () =>
  within(5000, async () => {
    const { stream, say } = loop();
    const wire = nodeWire(stream);
    say('one');
    wire.listen(null);
    await turns(3);
    const first = watch(wire);
    assert.deepEqual(first.told, [], 'a listener is never called before listen has returned');
    await turns(3);
    assert.deepEqual(first.told, ['one']);
    wire.listen(null);
    say('two');
    await turns(3);
    const second = watch(wire);
    await turns(3);
    stream.destroy();
    await second.closed;
    assert.deepEqual([first.told, second.told], [['one'], ['two', '(closed: the connection was closed)']]);
    // Whoever comes too late hears of the end no more, because it was told.
    assert.equal(wire.isOpen, false);
    const gone = nodeWire(loop().stream);
    gone.destroy();
    await turns(3);
    assert.deepEqual(await watch(gone).closed, { detail: 'the connection was closed' });
  }));

test('octets that are given back are heard first', () =>
  within(5000, async () => {
    const { stream, say } = loop();
    const wire = nodeWire(stream);
    wire.unread(Buffer.from('early '));
    say('late');
    const { told } = watch(wire);
    await turns(3);
    assert.equal(told.join(''), 'early late');
  }));

test('a stream of text is one of octets', () =>
  within(5000, async () => {
    const { stream } = loop({ encoding: 'utf8' });
    const { told } = watch(nodeWire(stream));
    stream.push('250 ok\r\n');
    await turns(3);
    assert.deepEqual(told, ['250 ok\r\n']);
  }));

test('a write is done when the stream has taken it, or has failed', () =>
  within(5000, async () => {
    let finish: (error?: Error | null) => void = () => {};
    const { stream } = loop({
      write: (_chunk, _encoding, done) => {
        finish = done;
      },
    });
    const wire = nodeWire(stream);
    const { closed } = watch(wire);
    const done: string[] = [];
    wire.write('\xe9', (hasFailed) => done.push(`first ${hasFailed}`));
    wire.write(Buffer.from('x'), (hasFailed) => done.push(`second ${hasFailed}`));
    await turns(3);
    assert.deepEqual([...done], []);
    finish();
    await turns(3);
    assert.deepEqual([...done], ['first false']);
    finish(Object.assign(new Error('gone'), { code: 'EPIPE' }));
    assert.deepEqual(await closed, { detail: 'the server closed the connection', systemCode: 'EPIPE' });
    await turns(3);
    assert.deepEqual([...done], ['first false', 'second true']);
    wire.write('y', (hasFailed) => done.push(`third ${hasFailed}`));
    await turns(3);
    assert.deepEqual(done.slice(2), ['third true']);
  }));

test('an error that is none has words, too', () =>
  within(5000, async () => {
    for (const [thrown, detail] of [
      ['gone', 'gone'],
      [null, 'the connection failed'],
      [7, 'the connection failed'],
    ] as const) {
      const { stream } = loop();
      const { closed } = watch(nodeWire(stream));
      stream.emit('error', thrown);
      stream.destroy();
      assert.deepEqual(await closed, { detail });
    }
  }));

test('a stream whose write throws has failed', () =>
  within(5000, async () => {
    const { stream } = loop({
      write() {
        throw new Error('no such channel');
      },
    });
    const wire = nodeWire(stream);
    const { closed } = watch(wire);
    wire.write('x');
    assert.deepEqual(await closed, { detail: 'no such channel' });
  }));

test('a stream that does not say that it is closed is closed all the same', () =>
  within(5000, async () => {
    for (const end of [
      (wire: Wire) => wire.destroy(),
      (_: Wire, stream: { destroy(error: Error): void }) => stream.destroy(new Error('no')),
    ]) {
      const { stream } = loop({ emitClose: false });
      const wire = nodeWire(stream);
      const { told, closed } = watch(wire);
      end(wire, stream);
      await closed;
      await turns(3);
      assert.equal(told.length, 1);
    }
  }));

const KINDS = [
  ['a socket', (port: number) => createConnection({ port, host: '127.0.0.1' })],
  ['another stream', tunnelTo],
] as const;
for (const [what, connect] of KINDS)
  test(`the last words of a server whose connection fails are heard first: ${what}`, () =>
    within(10_000, async () => {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => {
          // A reset follows, because what else was sent is not read.
          socket.pause();
          socket.write('421 bye\r\n', () => setImmediate(() => socket.destroy()));
        });
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as { port: number };
      const stream = connect(port);
      const wire = nodeWire(stream);
      const { told, closed } = watch(wire);
      wire.write('x');
      const more = setInterval(() => wire.write(Buffer.alloc(65_536)), 1);
      await closed;
      clearInterval(more);
      assert.equal(told[0], '421 bye\r\n');
      stream.destroy();
      server.close();
    }));

test('a wire under TLS ends with it, and TLS with the wire', () =>
  within(10_000, async () => {
    const certificate = makeCertificate({ names: ['smart.example'] });
    const server = createTlsServer({ key: certificate.key, cert: certificate.cert }, (socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const options = { ca: certificate.own };
    const terms = { context: createSecureContext(options), options, serverName: 'smart.example', explain: String };
    for (const [what, connect] of KINDS)
      for (const end of ['above', 'below'] as const) {
        const stream = connect(port);
        const wire = nodeWire(stream);
        const secured = await wire.startTls(terms);
        assert.ok(secured.ok, secured.ok ? '' : secured.detail);
        assert.equal(secured.value.peer.authorized, true);
        const { closed } = watch(secured.value.wire);
        if (end === 'above') secured.value.wire.destroy();
        else wire.destroy();
        assert.equal(stream.destroyed, true, `${what}, ${end}`);
        await closed;
        assert.deepEqual([wire.isOpen, secured.value.wire.isOpen], [false, false]);
        // No handshake begins on what is closed.
        assert.equal((await wire.startTls(terms)).ok, false);
      }
    server.close();
  }));

test('a wire over a socket knows its own address, what was heard and what waits', () =>
  within(10_000, async () => {
    const { socket, peer, stop } = await pair();
    const wire = nodeWire(socket);
    const { told } = watch(wire);
    assert.deepEqual([wire.localAddress, wire.heard, wire.queued, wire.isOpen], ['127.0.0.1', 0, 0, true]);
    peer.write('220 hi\r\n');
    while (told.length === 0) await turns(1);
    assert.equal(wire.heard, 8);
    if (process.versions.bun === undefined) {
      wire.write(Buffer.alloc(32 << 20));
      await turns(2);
      assert.ok(wire.queued > 0);
    }
    stop();
    const other = loop();
    const none = nodeWire(other.stream);
    watch(none);
    other.say('220 hi\r\n');
    await turns(3);
    assert.deepEqual([none.localAddress, none.heard, none.queued], [null, 8, 0]);
  }));

test('the end of the other side is told before the wire is closed, and our side may still write', () =>
  within(10_000, async () => {
    const { socket, peer, stop } = await pair();
    const { told, closed } = watch(nodeWire(socket));
    peer.end('221 bye\r\n');
    await closed;
    assert.deepEqual(told, ['221 bye\r\n', '(end)', '(closed: the connection was closed)']);
    stop();
  }));

test.run();
