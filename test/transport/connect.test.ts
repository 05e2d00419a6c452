/** The race of addresses (RFC 8305): which are tried, which wins, what the losers failed of, and that nothing is left behind. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { type Connected, type ConnectOptions, connectFirst as connectFirstBy } from '../../src/transport/connect.ts';
import type { Endpoint } from '../../src/transport/lookup/target.ts';
import { startDeaf } from '../support/deaf.ts';
import { connect } from '../support/sockets.ts';
import { within } from '../support/within.ts';

const test = suite('connect');

const connectFirst = (endpoints: readonly Endpoint[], options: ConnectOptions) => connectFirstBy(endpoints, { connect, ...options });

interface Live {
  readonly endpoint: Endpoint;
  /** Connections so far. */
  readonly count: () => number;
  readonly stop: () => void;
}

async function live(host = '127.0.0.1', port = 0): Promise<Live> {
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections++;
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const endpoint: Endpoint = { address: host, family: 4, port: (server.address() as AddressInfo).port };
  return { endpoint, count: () => connections, stop: () => server.close() };
}

const refused = (address = '127.0.0.1'): Endpoint => ({ address, family: address.includes(':') ? 6 : 4, port: 1 });
const told = ({ failed }: Connected): string[] => failed.map(({ endpoint, detail }) => `${endpoint.address}: ${detail}`);
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('the first that answers wins, and no other is asked', () =>
  within(20_000, async () => {
    for (let took = Number.POSITIVE_INFINITY; took > 100; ) {
      const [first, second] = [await live(), await live()];
      const start = performance.now();
      const connected = await connectFirst([first.endpoint, second.endpoint], { within: 5000 });
      // Where this process stood still meanwhile, the time for the second had come.
      took = performance.now() - start;
      assert.equal(connected.winner?.endpoint, first.endpoint);
      assert.deepEqual(told(connected), []);
      connected.winner?.wire.destroy();
      await new Promise((resolve) => setTimeout(resolve, 400));
      if (took <= 100) assert.deepEqual([first.count(), second.count()], [1, 0], 'not even when the time for the second has come');
      first.stop();
      second.stop();
    }
  }));

test('the next address follows one that refuses', () =>
  within(20_000, async () => {
    for (let took = Number.POSITIVE_INFINITY; took > 100; ) {
      const third = await live();
      const endpoints = [refused(), refused('127.0.0.3'), third.endpoint, refused('127.0.0.4')];
      const begun: unknown[] = [];
      const start = performance.now();
      const connected = await connectFirst(endpoints, { within: 5000, began: (endpoint) => begun.push(endpoint) });
      // Where this process stood still meanwhile, the time for the next had come.
      took = performance.now() - start;
      assert.equal(connected.winner?.endpoint, third.endpoint);
      if (took <= 100) {
        assert.deepEqual(begun, endpoints.slice(0, 3), 'each attempt is told, and no other');
        assert.deepEqual(told(connected), ['127.0.0.1: connection refused', '127.0.0.3: connection refused']);
      }
      connected.winner?.wire.destroy();
      third.stop();
    }
  }));

test('whoever hears of an attempt may end it: nothing stays connected', () =>
  within(5000, async () => {
    const first = await live();
    const ends = new AbortController();
    const begun: unknown[] = [];
    const given: unknown[] = [];
    const connected = await connectFirst([first.endpoint, refused()], {
      within: 5000,
      signal: ends.signal,
      began(endpoint) {
        begun.push(endpoint);
        ends.abort();
      },
      connect: (endpoint, from, won, lost) => {
        const end = connect(endpoint, from, won, lost);
        return () => {
          given.push(endpoint);
          end();
        };
      },
    });
    assert.deepEqual([connected.winner, begun, given], [null, [first.endpoint], [first.endpoint]]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(begun, [first.endpoint]);
    first.stop();
  }));

test('a dead ::1 does not keep 127.0.0.1 from winning', () =>
  within(5000, async () => {
    const second = await live();
    const connected = await connectFirst([{ ...refused('::1'), port: second.endpoint.port }, second.endpoint], { within: 5000 });
    assert.equal(connected.winner?.endpoint, second.endpoint);
    assert.match(told(connected).join(), /^::1: (connection refused|address not available|network is unreachable)$/);
    connected.winner?.wire.destroy();
    second.stop();
  }));

test('an address that does not answer is overtaken, does not count as failed, and leaves no clock', () =>
  within(10_000, async () => {
    const [deaf, second] = [await startDeaf(), await live()];
    const before = timers();
    const connected = await connectFirst([{ ...second.endpoint, port: deaf.port }, second.endpoint], { within: 60_000 });
    assert.equal(connected.winner?.endpoint, second.endpoint);
    assert.deepEqual(told(connected), []);
    assert.equal(timers(), before);
    connected.winner?.wire.destroy();
    deaf.stop();
    second.stop();
  }));

test('an attempt whose time is over is given up, and so is each that has lost', () =>
  within(10_000, async () => {
    const givenUp: number[] = [];
    const silent: ConnectOptions['connect'] =
      ({ port }) =>
      () =>
        void givenUp.push(port);
    const late = await connectFirstBy([{ address: '192.0.2.1', family: 4, port: 1 }], { within: 20, connect: silent });
    assert.equal(late.winner, null);
    assert.deepEqual(
      late.failed.map(({ reason }) => reason),
      ['timeout'],
    );
    assert.deepEqual(givenUp, [1]);
    const signal = new AbortController();
    const ended = connectFirstBy([{ address: '192.0.2.1', family: 4, port: 2 }], {
      within: 60_000,
      connect: silent,
      signal: signal.signal,
    });
    signal.abort();
    assert.deepEqual(await ended, { winner: null, failed: [] });
    assert.deepEqual(givenUp, [1, 2]);
  }));

test('when the last address fails, those that are still under way are awaited', () =>
  within(10_000, async () => {
    const deaf = await startDeaf();
    const silent: Endpoint = { address: '127.0.0.1', family: 4, port: deaf.port };
    const connected = await connectFirst([silent, refused(), refused('127.0.0.3')], { within: 800 });
    assert.equal(connected.winner, null);
    assert.deepEqual(told(connected), [
      '127.0.0.1: connection refused',
      '127.0.0.3: connection refused',
      '127.0.0.1: no answer within 0.8 s (timeouts.connect)',
    ]);
    deaf.stop();
  }));

test('the list of failures has every address that refused', () =>
  within(5000, async () => {
    const all = Array.from({ length: 16 }, (_, i) => refused(`127.0.0.${i + 1}`));
    const connected = await connectFirst(all, { within: 5000 });
    assert.equal(connected.winner, null);
    assert.deepEqual(
      told(connected),
      all.map(({ address }) => `${address}: connection refused`),
    );
  }));

test('a failure has a reason and the code of the system, so that nobody reads its sentence', () =>
  within(10_000, async () => {
    const deaf = await startDeaf();
    const reasons: readonly (readonly [Endpoint, string | undefined, string, string | undefined])[] = [
      [refused(), undefined, 'refused', 'ECONNREFUSED'],
      [{ address: '/no/such/socket', family: 'unix', port: 0 }, undefined, 'unreachable', 'ENOENT'],
      [{ address: '127.0.0.1', family: 4, port: deaf.port }, undefined, 'timeout', undefined],
      [refused(), '192.0.2.1', 'other', 'EADDRNOTAVAIL'],
    ];
    for (const [endpoint, from, reason, systemCode] of reasons) {
      const { failed } = await connectFirst([endpoint], { within: 300, from });
      assert.deepEqual([failed[0]?.reason, failed[0]?.systemCode], [reason, systemCode]);
    }
    deaf.stop();
  }));

test('without an address there is no answer', async () => {
  assert.deepEqual(await connectFirst([], { within: 5000 }), { winner: null, failed: [] });
});

test('a signal ends the race at once, before it and in it', () =>
  within(10_000, async () => {
    const [deaf, live1] = [await startDeaf(), await live()];
    const silent: Endpoint = { address: '127.0.0.1', family: 4, port: deaf.port };
    assert.deepEqual(await connectFirst([live1.endpoint], { within: 5000, signal: AbortSignal.abort() }), { winner: null, failed: [] });
    const controller = new AbortController();
    const before = timers();
    const racing = connectFirst([silent, silent], { within: 60_000, signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    assert.deepEqual(await racing, { winner: null, failed: [] });
    assert.equal(timers(), before);
    assert.equal(live1.count(), 0);
    deaf.stop();
    live1.stop();
  }));

test('a connection without a limit has no clock', () =>
  within(5000, async () => {
    const only = await live();
    const connected = await connectFirst([only.endpoint], { within: Number.POSITIVE_INFINITY });
    assert.ok(connected.winner);
    connected.winner.wire.destroy();
    only.stop();
  }));

test('V10: the system asks whether the other side is still there', () =>
  within(5000, async () => {
    const only = await live();
    const { winner } = await connectFirst([only.endpoint], { within: 5000 });
    const port = only.endpoint.port.toString(16).toUpperCase().padStart(4, '0');
    // proc(5): a timer of kind 2 is one of keep-alive.
    const [timer] =
      readFileSync('/proc/self/net/tcp', 'latin1').match(new RegExp(`^ *\\d+: \\S+ [0-9A-F]+:${port} 01 \\S+ \\S+`, 'm')) ?? [];
    assert.match(timer ?? '', / 02:/);
    winner?.wire.destroy();
    only.stop();
  }));

/** As a process that is stopped, or a host that sleeps. */
const sleep = (milliseconds: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

test('V9: a connection that was made in time wins, though the process was stopped until the time was over', () =>
  within(5000, async () => {
    const only = await live();
    const racing = connectFirst([only.endpoint], { within: 100 });
    await new Promise((resolve) => setImmediate(resolve));
    sleep(300);
    const { winner, failed } = await racing;
    assert.deepEqual(failed, []);
    winner?.wire.destroy();
    only.stop();
  }));

test('the words that a server says at once wait until somebody listens', () =>
  within(5000, async () => {
    const server = createServer((socket) => socket.end('220 hi\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint: Endpoint = { address: '127.0.0.1', family: 4, port: (server.address() as AddressInfo).port };
    const { winner } = await connectFirst([endpoint], { within: 5000 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    let heard = '';
    await new Promise<void>((resolve) => {
      const octets = (said: Buffer) => (heard += said.toString());
      winner?.wire.listen({ octets, end: resolve, closed: () => {} });
    });
    assert.equal(heard, '220 hi\r\n');
    server.close();
  }));

test('a unix socket that is there wins over one that is not', () =>
  within(5000, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nospool-connect-'));
    const path = join(folder, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const connected = await connectFirst(
      [join(folder, 'none'), path].map((address) => ({ address, family: 'unix', port: 0 })),
      { within: 5000 },
    );
    assert.deepEqual(told(connected), [`${join(folder, 'none')}: no such socket`]);
    connected.winner?.wire.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  }));

test('a connection may start from an address of this host, and from no other', () =>
  within(5000, async () => {
    const only = await live();
    const connected = await connectFirst([only.endpoint], { within: 5000, from: '127.0.0.9' });
    assert.equal(connected.winner?.wire.localAddress, '127.0.0.9');
    connected.winner?.wire.destroy();
    const none = await connectFirst([only.endpoint], { within: 5000, from: '192.0.2.1' });
    assert.deepEqual(told(none), ['127.0.0.1: 192.0.2.1 is not an address of this host']);
    only.stop();
  }));

test.run();
