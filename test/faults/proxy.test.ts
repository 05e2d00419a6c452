import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { suite } from 'uvu';
import { within } from '../support/within.ts';
import { type ProxyOptions, type Rule, startProxy } from './support/proxy.ts';

const test = suite('the fault proxy');

interface Ending {
  readonly octets: string;
  readonly how: 'end' | 'reset' | 'open';
}

function collect(socket: Socket, patience: number): Promise<Ending> {
  let octets = '';
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ octets, how: 'open' }), patience);
    const finish = (how: 'end' | 'reset') => {
      clearTimeout(timer);
      resolve({ octets, how });
    };
    socket.on('data', (chunk) => {
      octets += chunk.toString('latin1');
    });
    socket.on('end', () => finish('end'));
    socket.on('error', () => finish('reset'));
  });
}

/** A server that says `hello`, then keeps what it hears; a client that says each of `says` in a write of its own, then ends. */
async function session(options: Omit<ProxyOptions, 'port'>, says: readonly string[], patience = 150) {
  let heard: Promise<Ending> | undefined;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    heard = collect(socket, patience);
    socket.on('end', () => socket.end('bye'));
    socket.write('hello');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as { port: number };
  const proxy = await startProxy({ ...options, port: address.port });
  const client = connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true, noDelay: true });
  const answered = collect(client, patience);
  await Promise.race([once(client, 'data'), once(client, 'close'), new Promise((resolve) => setTimeout(resolve, 50))]).catch(
    () => undefined,
  );
  for (const say of says) {
    client.write(say);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  client.end();
  const atClient = await answered;
  const atServer = (await heard) ?? { octets: '', how: 'open' as const };
  client.destroy();
  const [connection] = proxy.connections;
  const seen = connection && {
    toServer: connection.said('toServer'),
    toClient: connection.said('toClient'),
    flights: connection.flights(),
  };
  await proxy.stop();
  server.close();
  return { atClient, atServer, seen };
}

const toServer = (at: Rule['at'], fault: Rule['fault']): Rule => ({ direction: 'toServer', at, fault });
const toClient = (at: Rule['at'], fault: Rule['fault']): Rule => ({ direction: 'toClient', at, fault });

const TABLE: readonly (readonly [why: string, rules: readonly Rule[], server: string, client: string])[] = [
  ['no rule: everything passes', [], 'end abcdefgh', 'end hellobye'],
  ['cut after the third octet', [toServer(3, { kind: 'cut' })], 'end abc', 'end hello'],
  ['cut at once', [toServer(0, { kind: 'cut' })], 'end ', 'end '],
  ['a rule beyond the end never fires', [toServer(9, { kind: 'cut' })], 'end abcdefgh', 'end hellobye'],
  ['reset in the middle of a later write', [toServer(5, { kind: 'reset' })], '* abcde', 'reset hello'],
  ['reset in the middle of the reply', [toClient(2, { kind: 'reset' })], 'reset ', 'reset he'],
  ['stall one direction; the other goes on', [toServer(4, { kind: 'stall' })], 'open abcd', 'open hello'],
  ['half a close towards the server', [toServer(4, { kind: 'halfClose' })], 'end abcd', 'end hellobye'],
  ['a marker across two writes', [toServer({ marker: 'cd' }, { kind: 'cut' })], 'end abcd', 'end hello'],
  ['the second time of a marker', [toClient({ marker: 'l', occurrence: 2 }, { kind: 'cut' })], '*', 'end hell'],
  ['before a marker in one write', [toServer({ marker: 'ef', before: true }, { kind: 'cut' })], 'end abcd', 'end hello'],
  ['insert', [toClient({ marker: 'he' }, { kind: 'insert', octets: 'XX' })], 'end abcdefgh', 'end heXXllobye'],
  ['drop', [toServer(2, { kind: 'drop', count: 3 })], 'end abfgh', 'end hellobye'],
  [
    'two rules at one point, in order',
    [toServer(2, { kind: 'insert', octets: '1' }), toServer(2, { kind: 'insert', octets: '2' })],
    'end ab12cdefgh',
    'end hellobye',
  ],
  ['a rule for another connection', [{ ...toServer(2, { kind: 'cut' }), connection: 1 }], 'end abcdefgh', 'end hellobye'],
];

for (const [why, rules, server, client] of TABLE)
  test(why, () =>
    within(5000, async () => {
      const { atServer, atClient } = await session({ rules }, ['abc', 'def', 'gh']);
      // libuv tells a reset that comes in with octets as an end: a star stands for either.
      if (server.startsWith('* ')) assert.equal(atServer.octets, server.slice(2));
      else if (server !== '*') assert.equal(`${atServer.how} ${atServer.octets}`, server);
      assert.equal(`${atClient.how} ${atClient.octets}`, client);
    }),
  );

test('freeze stops both directions', () =>
  within(5000, async () => {
    const { atServer, atClient } = await session({ rules: [toServer(2, { kind: 'freeze' })] }, ['abc', 'def']);
    assert.deepEqual(
      [atServer, atClient],
      [
        { octets: 'ab', how: 'open' },
        { octets: 'hello', how: 'open' },
      ],
    );
  }));

test('a call runs when the octets before it have gone, and holds those after it', () =>
  within(5000, async () => {
    let called = 0;
    const call = () => {
      called += 1;
    };
    const { atServer } = await session({ rules: [toServer({ marker: 'bcd' }, { kind: 'call', run: call })] }, ['abc', 'def']);
    assert.equal(called, 1);
    assert.equal(atServer.octets, 'abcdef');
  }));

test('what passed is recorded, in flights', () =>
  within(5000, async () => {
    const { seen } = await session({}, ['abc', 'def']);
    assert.equal(seen?.toServer, 'abcdef');
    assert.equal(seen?.toClient, 'hellobye');
    assert.equal(
      seen?.flights.reduce((sum, { octets }) => sum + octets, 0),
      14,
    );
  }));

test('segments and latency change nothing of what arrives', () =>
  within(5000, async () => {
    const { atServer, atClient } = await session({ segment: { octets: 1, every: 0 }, latency: 10 }, ['abc', 'def'], 1000);
    assert.deepEqual(
      [atServer, atClient],
      [
        { octets: 'abcdef', how: 'end' },
        { octets: 'hellobye', how: 'end' },
      ],
    );
  }));

test('a megabyte passes whole through a small window', () =>
  within(10_000, async () => {
    const big = 'x'.repeat(1 << 20);
    const { atServer, seen } = await session({ window: 1000, record: 10 }, [big], 5000);
    assert.equal(atServer.octets, big);
    assert.equal(seen?.toServer, 'xxxxxxxxxx');
  }));

test.run();
