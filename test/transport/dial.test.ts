/**
 * Connections that a program makes itself: any Duplex carries a session, with TLS over it, and whatever the program does instead is a
 * failure with a reason.
 * Loopback: the streams lead there; that they are not exempt from TLS for that is a subject.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { createConnection } from 'node:net';
import { Duplex } from 'node:stream';
import { suite } from 'uvu';
import { sourceOf } from '../../src/message/source.ts';
import type { Smarthost, TlsPolicy } from '../../src/router/smarthost.ts';
import { type Dial, type Opening, type OpenSession, openSession, type SessionOptions } from '../../src/submit/session.ts';
import { dialWire } from '../../src/transport/dial.ts';
import type { ContentOpener } from '../../src/transport/driver.ts';
import { byName } from '../../src/transport/lookup/endpoints.ts';
import { hostAt, MESSAGE, optionsFor, tlsRequired, tlsWorld, transactionTo } from '../support/delivery.ts';
import { type Deed, startHost } from '../support/smarthost.ts';
import { loop, tunnelTo } from '../support/streams.ts';
import { printOutcome } from '../support/transcript.ts';
import { within } from '../support/within.ts';

const test = suite('dial');

const CONTENT: ContentOpener = { open: () => sourceOf(Buffer.from(MESSAGE)) };

const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

function open(dial: Dial, host: Partial<Smarthost> = {}, options: Partial<SessionOptions> = {}): Promise<Opening> {
  const whole = hostAt(2525, { host: 'smart.example', ...host });
  const target = { name: whole.host, port: whole.port, unix: false, fromDns: false };
  return openSession(whole, target, byName(target), { ...optionsFor(), transactions: 'one', dial, ...options });
}

const sessionOf = ({ failed, session }: Opening): OpenSession => {
  assert.ok(session, failed[0] && printOutcome({ kind: 'failed', failure: failed[0].failure }));
  return session;
};

const WAYS: readonly (readonly [string, Partial<Smarthost>, boolean])[] = [
  ['in clear', {}, false],
  ['with STARTTLS', { tls: tlsRequired() }, false],
  ['with TLS from the start', { scheme: 'submissions', tls: tlsRequired() }, true],
];
const STREAMS: readonly (readonly [string, (port: number) => Duplex])[] = [
  ['a stream that is no socket', tunnelTo],
  ['a socket that still connects', (port) => createConnection({ port, host: '127.0.0.1' })],
];
for (const [how, host, secure] of WAYS)
  for (const [what, stream] of STREAMS)
    test(`a message goes ${how} over ${what}`, () =>
      within(10_000, async () => {
        const server = await startHost({ offers: ['PIPELINING', 'CHUNKING', 'STARTTLS'], tls: tlsWorld().certificate, secure });
        const asked: unknown[] = [];
        const opening = await open((to, endpoint) => {
          asked.push(to.host, endpoint);
          return stream(server.port);
        }, host);
        const session = sessionOf(opening);
        assert.equal(printOutcome(await session.submit(transactionTo(1), CONTENT)), '= accepted 250 2.0.0 taken');
        assert.deepEqual(asked, ['smart.example', { address: 'smart.example', family: 'name', port: 2525 }]);
        assert.equal(session.facts().tls?.verified ?? false, how !== 'in clear');
        assert.equal(server.held.length, 1);
        await session.connection.quit();
        await server.stop();
      }));

test('a socket that is open, and whose greeting waits to be read', () =>
  within(10_000, async () => {
    const server = await startHost();
    const session = sessionOf(
      await open(async () => {
        const socket = createConnection({ port: server.port, host: '127.0.0.1' });
        await new Promise((resolve) => socket.once('readable', resolve));
        return socket;
      }),
    );
    assert.equal(printOutcome(await session.submit(transactionTo(1), CONTENT)), '= accepted 250 2.0.0 taken');
    await server.stop();
  }));

test('nobody knows where a program’s own way leads, so loopback is not exempt from TLS', () =>
  within(10_000, async () => {
    const server = await startHost();
    const tls = tlsRequired({ mode: 'default' });
    const session = sessionOf(await open(() => tunnelTo(server.port), { host: '127.0.0.1', tls }));
    assert.match(printOutcome(await session.submit(transactionTo(1), CONTENT)), /^= unsupported at hello/);
    await server.stop();
  }));

/** Once the client has begun the handshake, because before that it is clear text out of place. */
const nonsense: Deed = ({ socket }) => new Promise((resolve) => socket.once('data', () => resolve('220 hello\r\n')));

const HANDSHAKES: readonly (readonly [string, Partial<TlsPolicy>, Deed | undefined, string, RegExp | null])[] = [
  ['a certificate that is not trusted', { caFile: '', fingerprint: [`sha256:${'0'.repeat(64)}`] }, undefined, 'certificate', /./],
  ['a name that is not in the certificate', { serverName: 'other.example' }, undefined, 'certificate', null],
  ['nonsense in place of a handshake', {}, nonsense, 'handshake', /^ERR_SSL/],
  ['the end in place of a handshake', {}, 'close', 'handshake', /^ECONNRESET$/],
];
for (const [what, tls, deed, reason, code] of HANDSHAKES)
  test(`the reason of a failure is a field: ${what}`, () =>
    within(10_000, async () => {
      const script = deed === undefined ? {} : { handshake: deed };
      const server = await startHost({ offers: ['STARTTLS'], tls: tlsWorld().certificate, script });
      const session = sessionOf(await open(() => tunnelTo(server.port), { tls: tlsRequired(tls) }));
      const failure = await session.opened();
      assert.ok(failure?.kind === 'connect', failure?.kind);
      assert.deepEqual([failure.during, failure.reason], ['tls', reason]);
      if (code === null) assert.equal(failure.systemCode, undefined);
      else if (process.versions.bun === undefined) assert.match(failure.systemCode ?? '', code);
      await server.stop();
    }));

const error = (message: string, code?: string): Error => Object.assign(new Error(message), code === undefined ? {} : { code });
const closed = (): Duplex => {
  const { stream } = loop();
  stream.destroy();
  return stream;
};
const ended = (): Duplex => {
  const { stream } = loop();
  stream.end();
  return stream;
};
const throwing = (thrown: unknown) => (): never => {
  throw thrown;
};

const FAILURES: readonly (readonly [string, Dial, string, string, string?])[] = [
  ['a rejection', async () => Promise.reject(error('the tunnel is shut')), 'other', 'the tunnel is shut'],
  ['a throw', throwing(error('no route', 'EHOSTUNREACH')), 'unreachable', 'no route', 'EHOSTUNREACH'],
  ['an unknown name', throwing(error('getaddrinfo ENOTFOUND', 'ENOTFOUND')), 'resolve', 'getaddrinfo ENOTFOUND', 'ENOTFOUND'],
  ['an error without words', throwing(error('', 'ECONNREFUSED')), 'refused', 'connection refused', 'ECONNREFUSED'],
  ['words', throwing('no \x1b[31mway'), 'other', 'no \\x1b[31mway'],
  ['nothing', throwing(undefined), 'other', 'it failed without a word'],
  ['a code that is no text', throwing(Object.assign(new Error('odd'), { code: 7 })), 'other', 'odd'],
  ['no stream', () => undefined as unknown as Duplex, 'usage', 'what was connected is no Duplex stream'],
  ['a web stream', () => new TransformStream() as unknown as Duplex, 'usage', 'what was connected is no Duplex stream'],
  ...['on', 'write', 'end', 'pause', 'resume', 'destroy'].map(
    (name) =>
      [
        `a stream without ${name}`,
        () => Object.assign(loop().stream, { [name]: undefined }),
        'usage',
        'what was connected is no Duplex stream',
      ] as const,
  ),
  ['a stream that is closed', closed, 'other', 'the stream that was connected is closed'],
  ['a stream that was ended', ended, 'other', 'the stream that was connected is closed'],
  [
    'a socket that is refused',
    () => createConnection({ port: 1, host: '127.0.0.1' }),
    'refused',
    'connect ECONNREFUSED 127.0.0.1:1',
    'ECONNREFUSED',
  ],
];
for (const [what, dial, reason, detail, systemCode] of FAILURES)
  test(`${what} is a failure to connect`, () =>
    within(10_000, async () => {
      const { failed, session } = await open(dial);
      assert.equal(session, null);
      const [only] = failed;
      assert.ok(only?.failure.kind === 'connect');
      assert.deepEqual([only.failure.reason, only.failure.systemCode, only.failure.during], [reason, systemCode, 'connect']);
      // Each runtime has its own words for a socket that is refused.
      if (what !== 'a socket that is refused') assert.equal(only.failure.detail, detail);
      await turns(3);
      assert.deepEqual(unhandled, []);
    }));

test('what a stream throws when it writes all that waits is an error of the stream', () =>
  within(10_000, async () => {
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => setImmediate(done), writev: throwing(error('it is odd')) });
    const dialed = await dialWire(() => stream, 60_000, undefined);
    assert.ok(dialed.ok);
    const wire = dialed.value;
    const closed = new Promise<string>((resolve) =>
      wire.listen({ octets: () => {}, end: () => {}, closed: ({ detail }) => resolve(detail) }),
    );
    for (const text of ['a', 'b', 'c']) wire.write(text);
    assert.equal(await closed, 'it is odd');
  }));

test('a stream may give text or any octets; what is neither is an error of the stream', () =>
  within(10_000, async () => {
    const stream = new Duplex({ readableObjectMode: true, read() {}, write: (_chunk, _encoding, done) => setImmediate(done) });
    const dialed = await dialWire(() => stream, 60_000, undefined);
    assert.ok(dialed.ok);
    let heard = '';
    const closed = new Promise<string>((resolve) =>
      dialed.value.listen({
        octets: (octets) => {
          heard += octets.toString('latin1');
        },
        end: () => {},
        closed: ({ detail }) => resolve(detail),
      }),
    );
    for (const chunk of ['220 ', Buffer.from('here'), new Uint8Array([13, 10]), 7]) stream.push(chunk);
    assert.equal(await closed, 'the stream gave neither octets nor text');
    assert.equal(heard, '220 here\r\n');
  }));

for (const name of ['write', 'end', 'pause', 'resume', 'destroy'] as const)
  test(`a stream whose ${name} throws is closed, with that as its error`, () =>
    within(10_000, async () => {
      let count = 0;
      const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => setImmediate(done) });
      const throws = () => {
        count += 1;
        throw error(`no ${name}`);
      };
      const dialed = await dialWire(() => Object.assign(stream, { [name]: throws }), 60_000, undefined);
      assert.ok(dialed.ok);
      const wire = dialed.value;
      const closed = new Promise<string>((resolve) => {
        const listener = { octets: () => {}, end: () => {}, closed: ({ detail }: { readonly detail: string }) => resolve(detail) };
        wire.listen(listener);
        wire.listen(null);
        wire.listen(listener);
      });
      wire.write('a');
      if (name === 'destroy') wire.destroy();
      else wire.end();
      assert.equal(await closed, `no ${name}`);
      await turns(10);
      assert.ok(count <= 3, `${count} calls`);
    }));

test('a socket that is closed while it connects is a failure at once', () =>
  within(10_000, async () => {
    const socket = Object.assign(loop().stream, { connecting: true });
    const dialing = dialWire(() => socket, 60_000, undefined);
    await turns(1);
    socket.destroy();
    const dialed = await dialing;
    assert.deepEqual([dialed.ok, !dialed.ok && dialed.detail], [false, 'the connection was closed']);
  }));

test('what was thrown is kept beside the failure, and its words are scrubbed of secrets', () =>
  within(10_000, async () => {
    const cause = error('http://tim:tanstaaf@proxy does not answer');
    const { security } = optionsFor();
    const scrub = (text: string) => text.replaceAll('tanstaaf', '***');
    const { failed } = await open(throwing(cause), {}, { security: { ...security, scrub } });
    assert.equal(failed[0]?.cause, cause);
    assert.ok(failed[0]?.failure.kind === 'connect' && failed[0].failure.detail === 'http://tim:***@proxy does not answer');
  }));

for (const [what, late] of [
  ['a stream', () => loop().stream],
  ['a socket that still connects', (port: number) => createConnection({ port, host: '127.0.0.1' })],
  ['a stream that fails even to be destroyed', () => new Duplex({ destroy: (_, done) => done(error('no')) })],
] as const)
  test(`${what} that comes after the time or the signal is destroyed, and the program is told to stop`, () =>
    within(10_000, async () => {
      const server = await startHost();
      for (const end of ['time', 'signal'] as const) {
        const streams: Duplex[] = [];
        let give: () => void = () => {};
        const controller = new AbortController();
        const opening = dialWire(
          (signal) =>
            new Promise((resolve) => {
              give = () => {
                assert.equal(signal.aborted, true);
                const stream = late(server.port);
                streams.push(stream);
                resolve(stream);
              };
            }),
          end === 'time' ? 50 : 60_000,
          controller.signal,
        );
        if (end === 'signal') controller.abort(error('not any more'));
        const dialed = await opening;
        assert.ok(!dialed.ok);
        assert.deepEqual(
          [dialed.reason, dialed.detail],
          end === 'time' ? ['timeout', 'no answer within 0.05 s (timeouts.connect)'] : ['other', 'not any more'],
        );
        give();
        // At once: before it could connect.
        for (let i = 0; i < 10; i++) await null;
        assert.equal(streams[0]?.destroyed, true);
      }
      await server.stop();
      assert.deepEqual(unhandled, []);
    }));

test('when there is a wire, or a failure, nobody listens to the signals any more', () =>
  within(10_000, async () => {
    const server = await startHost();
    const { signal } = new AbortController();
    const given: AbortSignal[] = [];
    const ways: readonly (() => Duplex)[] = [
      () => loop().stream,
      () => createConnection({ port: server.port, host: '127.0.0.1' }),
      () => createConnection({ port: 1, host: '127.0.0.1' }),
      throwing(error('no')),
    ];
    for (const way of ways) {
      const dialed = await dialWire(
        (left) => {
          given.push(left);
          return way();
        },
        60_000,
        signal,
      );
      if (dialed.ok) dialed.value.destroy();
      assert.deepEqual(
        [signal, ...given.splice(0)].map((each) => getEventListeners(each, 'abort').length),
        [0, 0],
      );
    }
    assert.equal(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length <= 1, true, 'the clock of this test alone');
    await server.stop();
  }));

test('a program that fails after the time is over is not heard', () =>
  within(10_000, async () => {
    let fail: (error: Error) => void = () => {};
    const dialed = await dialWire(
      () =>
        new Promise((_, reject) => {
          fail = reject;
        }),
      20,
      undefined,
    );
    assert.equal(dialed.ok, false);
    fail(error('too late'));
    await turns(3);
    assert.deepEqual(unhandled, []);
  }));

test('a signal before or during the opening ends it, without a failure of the host', () =>
  within(10_000, async () => {
    const controller = new AbortController();
    let isAsked = false;
    const opening = open(
      () => {
        isAsked = true;
        return new Promise(() => {});
      },
      {},
      { signal: controller.signal },
    );
    while (!isAsked) await turns(1);
    controller.abort('ended');
    assert.deepEqual(await opening, { failed: [], session: null });
    assert.deepEqual(await open(throwing(error('never asked')), {}, { signal: AbortSignal.abort() }), { failed: [], session: null });
    const dialed = await dialWire(throwing(error('never asked')), 60_000, AbortSignal.abort(error('ended before')));
    assert.equal(!dialed.ok && dialed.detail, 'ended before');
  }));

test('what a session needs and cannot be loaded is a failure, also where no connection came about, and ends nothing', () =>
  within(10_000, async () => {
    const server = await startHost();
    const handshake = () => Promise.reject(Object.assign(new Error('open'), { code: 'EMFILE', errno: -24 }));
    const options = { security: { ...optionsFor().security, handshake } };
    const made: Duplex[] = [];
    const ways: readonly Dial[] = [
      throwing(error('no way')),
      () => {
        made.push(createConnection({ port: server.port, host: '127.0.0.1' }));
        return made[0] as Duplex;
      },
    ];
    const details: unknown[] = [];
    for (const way of ways) {
      const { failed, session } = await open(way, { tls: tlsRequired() }, options);
      assert.equal(session, null);
      details.push(...failed.map(({ failure }) => failure.kind === 'connect' && [failure.detail, failure.systemCode]));
      await turns(3);
    }
    assert.deepEqual(details, [
      ['no way', undefined],
      ['this process may open no more files (ulimit -n)', 'EMFILE'],
    ]);
    assert.ok(made[0]?.destroyed);
    assert.deepEqual(unhandled, []);
    await server.stop();
  }));

test.run();
