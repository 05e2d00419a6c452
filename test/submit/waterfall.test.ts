/**
 * The phases of a delivery: measured by a clock of the test, and those of real deliveries, whose order is compared and never their length.
 * Loopback: which phases there are is the subject; where TLS matters its mode is written.
 */
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { suite } from 'uvu';
import type { Smarthost } from '../../src/router/smarthost.ts';
import type { Phase } from '../../src/smtp/client/outcome.ts';
import { type DeliveryOptions, deliver } from '../../src/submit/delivery.ts';
import { failedWith, type Outcome } from '../../src/submit/outcome.ts';
import { startWaterfall, type Waterfall } from '../../src/submit/waterfall.ts';
import type { Names } from '../../src/transport/lookup/question.ts';
import type { Endpoint } from '../../src/transport/lookup/target.ts';
import { deadPort } from '../support/command.ts';
import { contentOf, hostAt, optionsFor, tlsRequired, tlsWorld, transactionTo, withPassword } from '../support/delivery.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('waterfall');

const FAILED: Outcome = failedWith({ kind: 'content', at: 'closed', condemns: 'message', reason: 'aborted', detail: 'a signal' });
const endpoint = (address: string): Endpoint => ({ address, family: 4, port: 25 });
const [FIRST, SECOND] = [endpoint('192.0.2.1'), endpoint('192.0.2.2')];

type Events = readonly (readonly [after: number, event: (observer: Waterfall['observer']) => void])[];

/** Plays the events, each so many milliseconds after the one before. */
function play(events: Events, columns = 80, outcome = FAILED): readonly string[] {
  let time = 1000;
  const { observer, print } = startWaterfall(() => time);
  for (const [after, event] of events) {
    time += after;
    event(observer);
  }
  return print(outcome, columns);
}

const at =
  (phase: Phase): Events[number][1] =>
  (observer) =>
    observer.entered(phase);
const resolving: Events[number][1] = (observer) => observer.resolving();
const dialing =
  (to: Endpoint): Events[number][1] =>
  (observer) =>
    observer.dialing(to);
const connected =
  (to: Endpoint): Events[number][1] =>
  (observer) =>
    observer.connected(to);
const accepted: Events[number][1] = (observer) =>
  observer.settled({ kind: 'accepted', reply: { code: 250, enhanced: null, lines: ['ok'] }, refusals: [] }, 0);
const lost: Events[number][1] = (observer) =>
  observer.settled(
    { kind: 'failed', failure: { kind: 'lost', at: 'greeting', condemns: 'host', command: 'the greeting', detail: 'it is gone' } },
    null,
  );
const unconnected: Events[number][1] = (observer) => observer.unconnected([]);

/** From the name to the end, in 100 ms. */
const WHOLE: Events = [
  [4, resolving],
  [6, resolving],
  [0, dialing(FIRST)],
  [10, connected(FIRST)],
  [0, at('greeting')],
  [20, at('hello')],
  [5, at('starttls')],
  [5, at('handshake')],
  [10, at('hello')],
  [5, at('auth')],
  [10, at('envelope')],
  [4, at('data')],
  [1, at('content')],
  [10, at('commit')],
  [10, accepted],
  [3, at('quit')],
  [500, at('closed')],
];

/** The names of the rows, and their milliseconds. */
const facts = (lines: readonly string[]): readonly string[] =>
  lines.slice(1).map((line) => /^(\w+) +([\d.]+) ms/.exec(line)?.slice(1).join(' ') ?? line);

test('has a line for each phase, whose mark stands where it was', () => {
  assert.deepEqual(play(WHOLE), [
    'time:',
    'message    4.0 ms  ##',
    'resolve    6.0 ms    ###',
    'TCP       10.0 ms       #####',
    'greeting  20.0 ms            #########',
    'EHLO      10.0 ms                     ###       ##',
    'TLS       15.0 ms                        #######',
    'AUTH      10.0 ms                                 #####',
    'envelope   5.0 ms                                      ##',
    'content   10.0 ms                                        #####',
    'verdict   10.0 ms                                             #####',
    'total    100.0 ms',
  ]);
});

test('no line reaches the last column, and a bar that would tell nothing is left out', () => {
  for (const columns of [200, 80, 60, 59, 40, 28, 27, 20, 12, 3, 2]) {
    const lines = play(WHOLE, columns);
    assert.equal(lines.length, 12);
    for (const line of lines) assert.ok(line.length < columns, `${columns}: ${line}`);
    // The last phase ends where the line does, unless that is longer than a bar may be.
    if (columns >= 28 && columns <= 60) assert.equal(Math.max(...lines.map(({ length }) => length)), columns - 1);
    assert.equal(
      lines.some((line) => line.includes('#')),
      columns >= 28,
      String(columns),
    );
    if (columns === 27) assert.ok(lines.slice(1).every((line) => line.endsWith(' ms')));
  }
});

// why, events, rows
const OTHERS: readonly (readonly [string, Events, readonly string[]])[] = [
  [
    'a host that failed is one line, and its phases are not those of the next',
    [
      [1, resolving],
      [2, dialing(FIRST)],
      [3, connected(FIRST)],
      [0, at('greeting')],
      [40, lost],
      [0, at('closed')],
      [0, resolving],
      ...WHOLE.slice(1),
    ],
    ['message 1.0', 'others 45.0', 'resolve 6.0', 'TCP 10.0', 'greeting 20.0', 'EHLO 10.0', 'TLS 15.0'],
  ],
  [
    'several that failed are one line, too',
    [[1, resolving], [2, dialing(FIRST)], [3, unconnected], [0, resolving], [10, unconnected], [0, resolving], ...WHOLE.slice(1)],
    ['message 1.0', 'others 15.0', 'resolve 6.0', 'TCP 10.0'],
  ],
  [
    'an address that was tried before the one that answered',
    [
      [1, resolving],
      [2, dialing(FIRST)],
      [250, dialing(SECOND)],
      [3, connected(SECOND)],
      [0, at('greeting')],
      [1, lost],
    ],
    ['message 1.0', 'resolve 2.0', 'others 250.0', 'TCP 3.0', 'greeting 1.0', 'total 257.0'],
  ],
  [
    'an address whose session failed: the name was looked up for the next one, too',
    [
      [1, resolving],
      [2, dialing(FIRST)],
      [3, connected(FIRST)],
      [0, at('greeting')],
      [4, lost],
      [0, dialing(SECOND)],
      [5, connected(SECOND)],
      [0, at('greeting')],
      [6, lost],
    ],
    ['message 1.0', 'resolve 2.0', 'others 7.0', 'TCP 5.0', 'greeting 6.0', 'total 21.0'],
  ],
  [
    'both: what was lost within is not counted twice',
    [
      [1, resolving],
      [2, dialing(FIRST)],
      [3, unconnected],
      [0, dialing(SECOND)],
      [5, unconnected],
      [0, resolving],
      ...WHOLE.slice(1, 4),
      [7, lost],
    ],
    ['message 1.0', 'others 10.0', 'resolve 6.0', 'TCP 10.0'],
  ],
  [
    'an address that was never dialled, and one that was and failed',
    [[1, resolving], [2, unconnected], [0, dialing(FIRST)], [5, unconnected], [0, resolving], ...WHOLE.slice(1, 4), [7, lost]],
    ['message 1.0', 'others 7.0', 'resolve 6.0', 'TCP 10.0'],
  ],
  [
    'a session that is ready waits for its envelope',
    [
      [1, resolving],
      [2, dialing(FIRST)],
      [3, connected(FIRST)],
      [0, at('ready')],
      [4, at('envelope')],
      [5, lost],
    ],
    ['message 1.0', 'resolve 2.0', 'TCP 3.0', 'envelope 9.0', 'total 15.0'],
  ],
  [
    'secrets that are not at hand when TCP is connected',
    [
      [1, resolving],
      [0, dialing(FIRST)],
      [1, connected(FIRST)],
      [9, at('handshake')],
      [2, at('greeting')],
      [3, lost],
    ],
    ['message 1.0', 'resolve 0.0', 'TCP 1.0', 'setup 9.0', 'TLS 2.0', 'greeting 3.0', 'total 16.0'],
  ],
  [
    'a name that is unknown',
    [
      [1, resolving],
      [20, unconnected],
    ],
    ['message 1.0', 'resolve 20.0', 'total 21.0'],
  ],
  [
    'a signal, which tells nobody',
    [
      [1, resolving],
      [2, dialing(FIRST)],
    ],
    ['message 1.0', 'resolve 2.0', 'TCP 0.0', 'total 3.0'],
  ],
];
for (const [why, events, rows] of OTHERS) test(why, () => assert.deepEqual(facts(play(events)).slice(0, rows.length), rows));

test('nothing is printed where no smart host was asked', () => assert.deepEqual(play([]), []));

test('a message that aliases discarded was at no server', () => assert.equal(play(WHOLE, 80, { kind: 'discarded' })[0], 'time:'));

test('each phase has a mark within the line, also one that took no time, at the beginning, at the end or in no time at all', () => {
  const marks = (lines: readonly string[]): readonly string[] =>
    lines.slice(1, -1).map((line) => line.replace(/^\w+ +[\d.]+ ms {2}/, '').replaceAll(' ', '.'));
  const none = '.'.repeat(47);
  const late: Events = [
    [100, resolving],
    [0, dialing(FIRST)],
    [0, unconnected],
  ];
  assert.deepEqual(marks(play(late)), ['#'.repeat(48), `${none}#`, `${none}#`]);
  assert.deepEqual(marks(play(late.map(([, event]) => [0, event] as const))), ['#', '#', '#']);
  assert.deepEqual(marks(play(late.map(([after, event]) => [after / 200, event] as const))), ['#'.repeat(48), `${none}#`, `${none}#`]);
});

test('a title that is too long is cut before the last column', () => {
  const attempts = [
    { host: hostAt(25), name: `${'x'.repeat(60)}.example`, endpoint: FIRST, failure: FAILED.kind === 'failed' ? FAILED.failure : null },
  ];
  const outcome = { ...FAILED, attempts } as Outcome;
  const title = `time at ${'x'.repeat(60)}.example [192.0.2.1]:`;
  assert.equal(play(WHOLE, title.length + 1, outcome)[0], title);
  assert.equal(play(WHOLE, title.length, outcome)[0], `${title.slice(0, -2)}…`);
  assert.ok(play(WHOLE, 40, outcome).every((line) => line.length < 40));
});

test('a setup of a millisecond has a line, and a shorter one has none', () => {
  const setup = (milliseconds: number): Events => [
    [1, resolving],
    [1, dialing(FIRST)],
    [1, connected(FIRST)],
    [milliseconds, at('greeting')],
    [1, lost],
  ];
  assert.ok(facts(play(setup(1))).includes('setup 1.0'));
  assert.ok(!facts(play(setup(0.9))).some((row) => row.startsWith('setup')));
});

/** Sends one message to the hosts, of which names lead to loopback; the lines of the waterfall. */
async function measured(hosts: readonly Smarthost[], changes: Partial<DeliveryOptions> = {}): Promise<readonly string[]> {
  const names: Names = { addresses: async () => [{ address: '127.0.0.1', family: 4 }], mx: async () => [], srv: async () => [] };
  const { observer, print } = startWaterfall();
  const outcome = await deliver(
    { hosts, transaction: transactionTo(1), content: contentOf() },
    { ...optionsFor(), names, observer, ...changes },
  );
  return print(outcome, 80);
}
const rowsOf = (lines: readonly string[]): readonly string[] =>
  lines.flatMap((line) => /^\w+(?= +[\d.]+ ms)/.exec(line)?.[0] ?? []).filter((row) => row !== 'setup');

test('a delivery tells its phases in order, and the server that took it', () =>
  within(20_000, async () => {
    const host = await startHost({ tls: tlsWorld().certificate, offers: ['STARTTLS', 'AUTH PLAIN', 'PIPELINING'] });
    const smart = hostAt(host.port, { host: 'smart.example', tls: tlsRequired(), auth: withPassword('secret') });
    const lines = await measured([hostAt(await deadPort()), hostAt(1, { expand: 'srv', host: 'nowhere.example' }), smart]);
    await host.stop();
    assert.equal(lines[0], `time at smart.example [127.0.0.1]:${host.port}:`);
    assert.deepEqual(rowsOf(lines), [
      ...['message', 'others', 'resolve', 'TCP', 'greeting', 'EHLO', 'TLS', 'AUTH', 'envelope', 'content', 'verdict', 'total'],
    ]);
  }));

test('a name that is not found is another host, and a way of a program is a connection', () =>
  within(20_000, async () => {
    const host = await startHost();
    const lines = await measured([hostAt(1, { expand: 'srv', host: 'nowhere.example' }), hostAt(host.port)], {
      dialFor: () => () => createConnection(host.port, '127.0.0.1'),
    });
    await host.stop();
    assert.deepEqual(rowsOf(lines).slice(0, 5), ['message', 'others', 'resolve', 'TCP', 'greeting'], lines.join('\n'));
  }));

test('of a message that nobody took the last server is shown', () =>
  within(20_000, async () => {
    const host = await startHost({ script: { MAIL: '550 no' } });
    const refused = await measured([hostAt(host.port)]);
    await host.stop();
    assert.equal(refused[0], `time at [127.0.0.1]:${host.port}:`);
    assert.deepEqual(rowsOf(refused), ['message', 'resolve', 'TCP', 'greeting', 'EHLO', 'envelope', 'total']);
    const dead = await measured([hostAt(await deadPort())]);
    assert.deepEqual(rowsOf(dead), ['message', 'resolve', 'TCP', 'total']);
  }));

test.run();
