/** What Node's sockets and its TLS are asked for, and what is made of how they end. Sockets and handshakes are made up. */
import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls, { type ConnectionOptions, type SecureContext } from 'node:tls';
import { suite } from 'uvu';
import { connectNode, nodeWire } from '../../src/transport/node-wire.ts';
import { CLOSED, type Reached, type SecuredWire, type TlsTerms, type Wire } from '../../src/transport/wire.ts';
import { type Loop, loop } from '../support/streams.ts';

const test = suite('node wire');

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
const failing = (message: string, code?: string): Error => Object.assign(new Error(message), code === undefined ? {} : { code });

/* ---- TLS ---- */

interface Handshake {
  readonly base: Duplex;
  readonly below: Wire;
  /** In place of the socket of TLS. */
  readonly secured: Loop;
  readonly asked: ConnectionOptions;
  readonly result: () => Reached<SecuredWire> | undefined;
}

async function handshake(terms: Partial<TlsTerms>, work: (made: Handshake) => Promise<void>, isClosed = false): Promise<void> {
  const { connect } = tls;
  const base = loop().stream;
  const secured = loop();
  let asked: ConnectionOptions | undefined;
  tls.connect = ((given: ConnectionOptions) => {
    asked = given;
    return secured.stream;
  }) as unknown as typeof connect;
  try {
    const below = nodeWire(base);
    if (isClosed) below.destroy();
    let result: Reached<SecuredWire> | undefined;
    const explain: TlsTerms['explain'] = (error, when) => `${when}: ${error.message}`;
    void below.startTls({ context: null, options: { minVersion: 'TLSv1.2' }, serverName: 'a.example', explain, ...terms }).then((made) => {
      result = made;
    });
    assert.ok(asked);
    await work({ base, below, secured, asked, result: () => result });
  } finally {
    tls.connect = connect;
  }
}

const lost = (detail: string, systemCode?: string) => ({
  ok: false,
  reason: 'handshake',
  detail,
  ...(systemCode === undefined ? {} : { systemCode }),
});

test('TLS is asked for with what was given, and neither the environment nor the runtime’s rules for names have a say', async () => {
  const context = {} as SecureContext;
  await handshake({}, async ({ base, asked }) => {
    const { checkServerIdentity: check, ...plain } = asked;
    assert.deepEqual(plain, { socket: base, minVersion: 'TLSv1.2', servername: 'a.example', rejectUnauthorized: false });
    assert.equal((check as () => unknown)(), undefined);
  });
  await handshake({ context, serverName: '' }, async ({ base, asked }) => {
    const { checkServerIdentity: _, ...plain } = asked;
    assert.deepEqual(plain, { socket: base, secureContext: context, rejectUnauthorized: false });
  });
});

test('when the handshake is done there is a wire above, and what ends later is told by it', async () => {
  for (const [error, expected] of [
    [
      failing('alert unknown ca', 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'),
      { detail: 'later: alert unknown ca', systemCode: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' },
    ],
    [failing('read ECONNRESET', 'ECONNRESET'), { detail: 'connection reset by the server', systemCode: 'ECONNRESET' }],
    [failing('of a program'), { detail: 'of a program' }],
  ] as const)
    await handshake({}, async ({ base, below, secured, result }) => {
      const before = base.listenerCount('close');
      await turns(2);
      assert.equal(result(), undefined, 'nothing is decided yet');
      secured.stream.emit('secureConnect');
      await turns(1);
      const made = result();
      assert.ok(made?.ok);
      assert.equal(made.value.peer, secured.stream);
      assert.equal(base.listenerCount('close'), before - 1, 'nobody waits for a loss in the handshake');
      let why: unknown;
      let heard = '';
      made.value.wire.listen({
        octets: (octets) => {
          heard += octets.toString();
        },
        end: () => {},
        closed: (given) => {
          why = given;
        },
      });
      secured.say('250 ok\r\n');
      await turns(2);
      assert.equal(heard, '250 ok\r\n');
      assert.equal(below.isOpen, true);
      secured.stream.destroy(error);
      await turns(3);
      assert.deepEqual([why, below.isOpen, base.destroyed], [expected, false, true], 'the wire below ends with it');
      assert.deepEqual(result(), made, 'and the result stays');
    });
});

test('an error is the failure of the handshake, in words and with its code, and ends both wires', async () => {
  for (const [error, expected] of [
    [failing('wrong version', 'ERR_SSL_WRONG_VERSION_NUMBER'), lost('handshake: wrong version', 'ERR_SSL_WRONG_VERSION_NUMBER')],
    [failing('odd'), lost('handshake: odd')],
  ] as const)
    await handshake({}, async ({ base, below, secured, result }) => {
      secured.stream.destroy(error);
      await turns(3);
      assert.deepEqual(result(), expected);
      assert.deepEqual([secured.stream.destroyed, base.destroyed, below.isOpen], [true, true, false]);
    });
});

test('an end without an error is one, too, above, below, and before it began', async () => {
  for (const end of ['above', 'below'] as const)
    await handshake({}, async ({ base, secured, result }) => {
      (end === 'above' ? secured.stream : base).destroy();
      await turns(4);
      assert.deepEqual(result(), lost(CLOSED), end);
      assert.deepEqual([secured.stream.destroyed, base.destroyed], [true, true], end);
    });
  await handshake(
    {},
    async ({ secured, result }) => {
      await turns(4);
      assert.deepEqual(result(), lost(CLOSED));
      assert.equal(secured.stream.destroyed, true);
    },
    true,
  );
});

test('what the handshake says of its own failure comes first, though the socket closed before it', () =>
  handshake({}, async ({ base, secured, result }) => {
    base.once('close', () => secured.stream.destroy(failing('bad alert', 'ERR_SSL_X')));
    base.destroy();
    await turns(4);
    assert.deepEqual(result(), lost('handshake: bad alert', 'ERR_SSL_X'));
  }));

/* ---- sockets ---- */

/** What a connection is asked for, with a socket that the test has in hand. */
const IS_NODE = process.versions.bun === undefined;

/** What a socket is made of. */
interface Asked {
  readonly onread?: net.OnReadOpts;
}

function connecting(
  endpoint: Parameters<typeof connectNode>[0],
  from: string | undefined,
): { readonly asked: Asked; readonly socket: Duplex; readonly told: unknown[]; readonly giveUp: () => void } {
  const { createConnection } = net;
  const socket = loop().stream;
  const told: unknown[] = [];
  let asked: Asked = {};
  net.createConnection = ((given: Asked) => {
    asked = given;
    return socket as Socket;
  }) as typeof createConnection;
  try {
    const giveUp = connectNode(
      endpoint,
      from,
      (wire) => told.push(wire),
      (why) => told.push(why),
    );
    return { asked, socket, told, giveUp };
  } finally {
    net.createConnection = createConnection;
  }
}

test('a connection is asked for one address, from the one that is wanted, at once and kept alive', () => {
  const alive = { noDelay: true, autoSelectFamily: false, keepAlive: true, keepAliveInitialDelay: 60_000 };
  for (const [address, family, from] of [
    ['192.0.2.1', 4, undefined],
    ['2001:db8::5', 6, '2001:db8::7'],
  ] as const) {
    const { onread, ...asked } = connecting({ address, family, port: 25 }, from).asked;
    assert.equal(onread !== undefined, IS_NODE);
    assert.deepEqual(asked, { host: address, port: 25, family, localAddress: from, ...alive });
  }
  const { onread, ...asked } = connecting({ address: '/run/smtp', family: 'unix', port: 0 }, undefined).asked;
  assert.equal(onread !== undefined, IS_NODE);
  assert.deepEqual(asked, { path: '/run/smtp' });
  assert.throws(() => connecting({ address: 'a.example', family: 'name', port: 25 }, undefined), /bug: what a proxy connects to/);
});

const onNode = IS_NODE ? test : test.skip;

onNode('a socket reads into memory of all sockets: what comes while nobody listens is kept, in order, and no more is read', async () => {
  const one = connecting({ address: '192.0.2.1', family: 4, port: 25 }, undefined);
  const other = connecting({ address: '192.0.2.2', family: 4, port: 25 }, undefined);
  const { onread } = one.asked;
  assert.ok(onread && onread.buffer === other.asked.onread?.buffer);
  const room = onread.buffer as Buffer;
  const read = (text: string): boolean => onread.callback(room.write(text, 'latin1'), room);
  one.socket.emit('connect');
  const [wire] = one.told as [Wire];
  assert.deepEqual([read('one '), read('two ')], [false, false]);
  wire.unread(Buffer.from('zero '));
  let heard = '';
  wire.listen({ octets: (octets) => (heard += octets.toString('latin1')), end() {}, closed() {} });
  assert.deepEqual([read('three '), heard], [true, '']);
  await turns(1);
  assert.deepEqual([read('four'), heard], [true, 'zero one two three four']);
  wire.listen(null);
  assert.equal(read('five'), false);
});

test('a socket that connects is a wire whose octets wait; one that fails is destroyed and said to have', async () => {
  const fine = connecting({ address: '192.0.2.1', family: 4, port: 25 }, undefined);
  assert.equal(fine.socket.listenerCount('error'), 1);
  fine.socket.emit('connect');
  assert.deepEqual([fine.told.length, fine.socket.isPaused()], [1, true]);
  fine.socket.emit('error', failing('read ECONNRESET', 'ECONNRESET'));
  await turns(2);
  assert.equal(fine.told.length, 1, 'what comes later is the business of the wire');
  const refused = connecting({ address: '192.0.2.1', family: 4, port: 25 }, '192.0.2.7');
  refused.socket.emit('error', failing('connect', 'EADDRNOTAVAIL'));
  assert.deepEqual(refused.told, [{ reason: 'other', detail: '192.0.2.7 is not an address of this host', systemCode: 'EADDRNOTAVAIL' }]);
  assert.equal(refused.socket.destroyed, true);
  const given = connecting({ address: '192.0.2.1', family: 4, port: 25 }, undefined);
  given.giveUp();
  given.socket.emit('error', failing('too late'));
  assert.deepEqual([given.told, given.socket.destroyed], [[], true]);
});

test('a socket sends at once what it is given', () => {
  const asked: unknown[] = [];
  const { stream } = loop();
  nodeWire(Object.assign(stream, { setNoDelay: (given: unknown) => asked.push(given) }));
  assert.deepEqual(asked, [true]);
});

test('a failure of a write is told two turns later, because the last words of the server may wait; a success at once', async () => {
  for (const way of ['write', 'writev'] as const) {
    let finish: (error?: Error | null) => void = () => {};
    const { stream } = loop({
      write: (_chunk, _encoding, done) => {
        finish = done;
      },
      ...(way === 'write'
        ? {}
        : {
            writev: (_chunks: unknown, done: (error?: Error | null) => void) => {
              finish = done;
            },
          }),
    });
    const wire = nodeWire(stream);
    const done: boolean[] = [];
    const write = () => {
      wire.write('x', (hasFailed) => done.push(hasFailed));
      wire.write('y', (hasFailed) => done.push(hasFailed));
    };
    stream.cork();
    write();
    stream.uncork();
    await turns(1);
    finish();
    await turns(1);
    if (way === 'write') finish();
    await turns(1);
    assert.deepEqual(done.splice(0), [false, false], way);
    stream.cork();
    write();
    stream.uncork();
    let isTold = false;
    stream.once('error', () => {
      isTold = true;
    });
    finish(failing('gone', 'EPIPE'));
    await turns(1);
    assert.equal(isTold, false, way);
    await turns(3);
    assert.deepEqual([isTold, done], [true, [true, true]], way);
  }
});

test.run();
