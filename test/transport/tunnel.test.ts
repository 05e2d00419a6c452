/** The talk with a proxy over a wire: what is left on the wire behind it, and how it ends. Wire and time are made up. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { suite } from 'uvu';
import { DIRECT, type ProxyPolicy } from '../../src/router/smarthost.ts';
import { connectProxy, openTunnel } from '../../src/transport/proxy.ts';
import type { Reached, Wire, WireListener } from '../../src/transport/wire.ts';
import { VirtualTime } from '../faults/support/worlds/time.ts';

const test = suite('tunnel');

const PROXY: ProxyPolicy = { scheme: 'socks5', host: '192.0.2.1', port: 1080, user: 'ann', secret: { from: 'none' } };
const TO = { host: 'mail.example', port: 587, speaksFirst: true };
const LIMITS = { resolve: 1000, connect: 5000 };

const HELLO = '\x05\x02\x00\x02';
const LOGIN = '\x01\x03ann\x06secret';
const ASK = '\x05\x01\x00\x03\x0cmail.example\x02\x4b';
const FINE = '\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x19';

interface Side {
  readonly time: VirtualTime;
  /** Octets of the proxy. */
  readonly say: (text: string) => void;
  readonly listener: () => WireListener;
  readonly abort: () => void;
}

/** What happened to the wire, and the result. */
async function tunnel(
  work: (side: Side) => Promise<void> | void,
  { proxy = PROXY, to = TO, isAborted = false }: { proxy?: ProxyPolicy; to?: typeof TO; isAborted?: boolean } = {},
): Promise<unknown[]> {
  const time = new VirtualTime();
  const happened: unknown[] = [];
  let listener: WireListener | null = null;
  const wire = {
    listen(given: WireListener | null): void {
      if (given === null) happened.push('nobody listens');
      listener = given;
    },
    write: (said: Uint8Array) => void happened.push(`say ${Buffer.from(said).toString('latin1')}`),
    unread(given: Uint8Array): void {
      assert.equal(listener, null, 'only while nobody listens');
      happened.push(`unread ${Buffer.from(given).toString('latin1')}`);
    },
    destroy: () => void happened.push('destroyed'),
  } as unknown as Wire;
  const controller = new AbortController();
  if (isAborted) controller.abort();
  const listening = (): WireListener => {
    assert.ok(listener, 'nobody listens');
    return listener;
  };
  time.install();
  try {
    let result: Reached<null> | undefined;
    void openTunnel(wire, proxy, 'secret', to, LIMITS, controller.signal).then((made) => {
      result = made;
    });
    await work({
      time,
      say: (text) => listening().octets(Buffer.from(text, 'latin1')),
      listener: listening,
      abort: () => controller.abort(),
    });
    assert.ok(await time.pass(() => result !== undefined), 'no result');
    happened.push(result);
    assert.equal(time.timers, 0, 'a timer is left');
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0, 'somebody listens still');
  } finally {
    time.uninstall();
  }
  return happened;
}

const failed = (detail: string, more: object = {}) => ['nobody listens', 'destroyed', { ok: false, reason: 'other', detail, ...more }];
const opened = [`say ${HELLO}`, `say ${LOGIN}`, `say ${ASK}`, 'nobody listens'];
const asked = ({ say }: Side): void => {
  say('\x05\x02');
  say('\x01');
  say('\x00');
};

test('what the server says behind the last word of the proxy is given back, be it one octet', async () => {
  for (const [early, more] of [
    ['', []],
    ['2', ['unread 2']],
    ['220 hello\r\n', ['unread 220 hello\r\n']],
  ] as const)
    assert.deepEqual(
      await tunnel((side) => {
        asked(side);
        side.say(FINE.slice(0, 4));
        side.say(FINE.slice(4) + early);
      }),
      [...opened, ...more, { ok: true, value: null }],
    );
});

test('a server that must wait for us and does not is no server for TLS', async () => {
  const to = { ...TO, speaksFirst: false };
  const say = (early: string) => (side: Side) => {
    asked(side);
    side.say(FINE + early);
  };
  assert.deepEqual(await tunnel(say(''), { to }), [...opened, { ok: true, value: null }]);
  assert.deepEqual(await tunnel(say('2'), { to }), [
    ...opened.slice(0, 3),
    ...failed('clear text before the TLS handshake: this is no port for submissions://'),
  ]);
});

test('whatever else ends the talk destroys the wire, and has a reason', async () => {
  const said = [`say ${HELLO}`];
  const closed = 'the proxy closed the connection';
  const ends: readonly (readonly [string, (side: Side) => Promise<void> | void, string, object?])[] = [
    ['its end', ({ listener }) => listener().end(), closed],
    ['its end with both sides', ({ listener }) => listener().closed({ detail: 'connection closed' }), closed],
    [
      'an error of the system',
      ({ listener }) => listener().closed({ detail: 'connection reset by the server', systemCode: 'ECONNRESET' }),
      'the proxy: connection reset by the server',
      { systemCode: 'ECONNRESET' },
    ],
    ['a refusal', ({ say }) => say('\x05\xff'), 'the proxy takes no user and password'],
    ['a signal', ({ abort }) => abort(), 'the attempt was ended'],
    [
      'silence',
      async ({ time, say }) => {
        say('\x05');
        await time.passUntil(5009);
      },
      'the proxy did not connect within 5 s (timeouts.connect)',
      { reason: 'timeout' },
    ],
  ];
  for (const [what, work, detail, more] of ends) assert.deepEqual(await tunnel(work), [...said, ...failed(detail, more)], what);
  const reason = await tunnel((side) => {
    asked(side);
    side.say('\x05\x05');
  });
  assert.deepEqual(
    reason.slice(3),
    failed('the proxy did not connect to mail.example:587: connection refused (SOCKS5 reply 5)', { reason: 'refused' }),
  );
});

test('the time is that of the whole talk, however it drips', async () => {
  const drip = async ({ time, say }: Side): Promise<void> => {
    say('\x05\x02');
    await time.passUntil(4000);
    say('\x01\x00');
    await time.passUntil(5009);
    say('\x05');
  };
  assert.deepEqual((await tunnel(drip)).slice(3), failed('the proxy did not connect within 5 s (timeouts.connect)', { reason: 'timeout' }));
});

test('nothing is said where a signal came before, or where the proxy cannot be told', async () => {
  assert.deepEqual(await tunnel(() => {}, { isAborted: true }), failed('the attempt was ended'));
  assert.deepEqual(
    await tunnel(() => {}, { to: { ...TO, host: 'fe80::7%eth0' } }),
    failed('an address with a zone means nothing to a proxy'),
  );
});

test('a signal that came before leaves nobody who could have answered', async () => {
  const link = { ...DIRECT, proxy: { ...PROXY, port: 1 } };
  assert.deepEqual(await connectProxy(link, { timeouts: LIMITS, signal: AbortSignal.abort() }), {
    ok: false,
    reason: 'other',
    detail: 'the proxy does not answer: the attempt was ended',
  });
});

test.run();
