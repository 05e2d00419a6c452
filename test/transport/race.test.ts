/** The race of addresses (RFC 8305) to the millisecond: what begins when, what is given up, and how it ends. Connections and time are made up. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { suite } from 'uvu';
import { type ConnectOptions, connectFirst } from '../../src/transport/connect.ts';
import type { Endpoint } from '../../src/transport/lookup/target.ts';
import type { Wire } from '../../src/transport/wire.ts';
import { VirtualTime } from '../faults/support/worlds/time.ts';

const test = suite('race');

/** Milliseconds after which an address answers, or refuses if they are negative; null: neither. */
type Address = number | null;

/** What happened, each with its time. */
async function race(addresses: readonly Address[], options: Partial<ConnectOptions> = {}, abortAt?: number): Promise<string[]> {
  const time = new VirtualTime();
  const happened: string[] = [];
  const say = (what: string): void => void happened.push(`${time.now} ${what}`);
  const controller = new AbortController();
  const connect: ConnectOptions['connect'] = ({ address }, from, connected, failed) => {
    if (from !== undefined) say(`from ${from}`);
    const after = addresses[Number(address)] ?? null;
    const timer =
      after === null
        ? undefined
        : setTimeout(() => {
            say(after > 0 ? `${address} answers` : `${address} refuses`);
            if (after > 0) connected({ localAddress: address } as Wire);
            else failed({ reason: 'refused', detail: 'no', systemCode: 'X' });
          }, Math.abs(after));
    return () => {
      say(`${address} is given up`);
      clearTimeout(timer);
    };
  };
  const endpoints = addresses.map((_, at): Endpoint => ({ address: String(at), family: 4, port: at }));
  time.install();
  try {
    if (abortAt === 0) controller.abort();
    let isOver = false;
    const racing = connectFirst(endpoints, {
      within: 1000,
      connect,
      signal: controller.signal,
      began: ({ address }) => say(`${address} begins`),
      ...options,
    }).then(({ winner, failed }) => {
      assert.equal(winner?.wire.localAddress, winner?.endpoint.address, 'the wire of the address that answered');
      const told = failed.map(({ endpoint, reason, detail, systemCode = '' }) =>
        ` ${endpoint.address} ${reason} ${detail} ${systemCode}`.trimEnd(),
      );
      say(`${winner === null ? 'nobody' : winner.endpoint.address} wins;${told.join()}`);
      isOver = true;
    });
    if (abortAt !== undefined && abortAt > 0) setTimeout(() => controller.abort(), abortAt);
    assert.ok(await time.pass(() => isOver), 'it never ends');
    await racing;
    const { now } = time;
    // Nothing begins behind the end.
    await time.passUntil(now + 5000);
    assert.equal(time.timers, 0, 'a timer is left');
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0, 'somebody listens still');
  } finally {
    time.uninstall();
  }
  return happened;
}

const LATE = (address: number): string => ` ${address} timeout no answer within 1 s (timeouts.connect)`;
const NO = (address: number): string => ` ${address} refused no X`;

// biome-ignore format: a table is read as a table
const RACES: readonly (readonly [readonly Address[], readonly string[], string])[] = [
  [[], ['0 nobody wins;'], 'no address'],
  [[100, 1], ['0 0 begins', '100 0 answers', '100 0 wins;'], 'the first answers in time'],
  [[249, 1], ['0 0 begins', '249 0 answers', '249 0 wins;'], 'just in time'],
  [[300, 1], ['0 0 begins', '250 1 begins', '251 1 answers', '251 0 is given up', '251 1 wins;'], 'a quarter of a second later the second begins'],
  [[300, 100, 1], ['0 0 begins', '250 1 begins', '300 0 answers', '300 1 is given up', '300 0 wins;'], 'the first may still win'],
  [[-10, 5], ['0 0 begins', '10 0 refuses', '10 1 begins', '15 1 answers', `15 1 wins;${NO(0)}`], 'after a refusal at once'],
  [[-10, null, null, 600], ['0 0 begins', '10 0 refuses', '10 1 begins', '260 2 begins', '510 3 begins', '1020 1 is given up', '1110 3 answers', '1110 2 is given up', `1110 3 wins;${NO(0)},${LATE(1)}`], 'the quarter of a second begins anew'],
  [[-10, -20], ['0 0 begins', '10 0 refuses', '10 1 begins', '30 1 refuses', `30 nobody wins;${NO(0)},${NO(1)}`], 'all refuse'],
  [[null], ['0 0 begins', '1010 0 is given up', `1010 nobody wins;${LATE(0)}`], 'one is silent'],
  [[null, null], ['0 0 begins', '250 1 begins', '1010 0 is given up', '1260 1 is given up', `1260 nobody wins;${LATE(0)},${LATE(1)}`], 'each has its own time'],
  [[null, -10], ['0 0 begins', '250 1 begins', '260 1 refuses', '1010 0 is given up', `1010 nobody wins;${NO(1)},${LATE(0)}`], 'who is still under way is awaited'],
  [[-300, null, 1], ['0 0 begins', '250 1 begins', '300 0 refuses', '300 2 begins', '301 2 answers', '301 1 is given up', `301 2 wins;${NO(0)}`], 'a refusal lets the next begin, whoever else is under way'],
];
for (const [addresses, expected, why] of RACES)
  test(`${JSON.stringify(addresses)}: ${why}`, async () => assert.deepEqual(await race(addresses), expected));

test('a signal gives up all that is under way, and nothing begins after it, nor where it came before', async () => {
  assert.deepEqual(await race([null, null, null], {}, 300), [
    '0 0 begins',
    '250 1 begins',
    '300 0 is given up',
    '300 1 is given up',
    '300 nobody wins;',
  ]);
  assert.deepEqual(await race([-10, null], {}, 100), [
    '0 0 begins',
    '10 0 refuses',
    '10 1 begins',
    '100 1 is given up',
    `100 nobody wins;${NO(0)}`,
  ]);
  assert.deepEqual(await race([1], {}, 0), ['0 nobody wins;']);
});

test('each attempt starts from the address that is asked for, and is limited only where there is a limit', async () => {
  assert.deepEqual(await race([5], { from: '192.0.2.7' }), ['0 from 192.0.2.7', '0 0 begins', '5 0 answers', '5 0 wins;']);
  assert.deepEqual(await race([100_000], { within: Number.POSITIVE_INFINITY }), ['0 0 begins', '100000 0 answers', '100000 0 wins;']);
});

test.run();
