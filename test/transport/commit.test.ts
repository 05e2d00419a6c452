/**
 * The driver's side of P8: the writes before the commit, the commit, and the wait between them. Over a
 * connection in memory, so that a write completes, and a loss is noticed, exactly when it should.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { type Source, sourceOf } from '../../src/message/source.ts';
import type { SessionOutcome } from '../../src/smtp/client/outcome.ts';
import type { Plan } from '../../src/smtp/client/session.ts';
import { Connection, type ConnectionOptions } from '../../src/transport/driver.ts';
import { nodeWire } from '../../src/transport/node-wire.ts';
import { unreached } from '../../src/transport/wire.ts';
import { transactionTo } from '../support/delivery.ts';
import { printOutcome } from '../support/transcript.ts';
import { openWire, type Wire, type WireOptions } from '../support/wire.ts';
import { within } from '../support/within.ts';

const test = suite('the commit');

const LIMITS = { handshake: 10_000, greeting: 10_000, command: 10_000, data: 10_000, block: 10_000, final: 10_000 };
const PLAN: Plan = {
  protocol: 'smtp',
  hello: 'here.example',
  tls: 'off',
  authenticate: null,
  transactions: 'one',
  framing: 'auto',
  partial: 'never',
};

function opened(wire: Wire, plan: Partial<Plan> = {}, options: Partial<ConnectionOptions> = {}): Connection {
  const secure = async () => unreached('other', 'no TLS');
  return new Connection(nodeWire(wire.stream), { plan: { ...PLAN, ...plan }, timeouts: LIMITS, secure, ...options });
}

const contentOf = (message: string) => ({ open: () => sourceOf(...(message === '' ? [] : [Buffer.from(message)])) });

interface Sent {
  readonly wire: Wire;
  readonly outcome: SessionOutcome;
  /** How many writes there were before the commit, -1 where there was none, and how many octets were in them. */
  readonly writes: number;
  readonly before: number;
}

/** One message; what the wire carried before the commit is known from the write that made it. */
async function send(message: string, recipients: number, options: WireOptions): Promise<Sent> {
  let connection: Connection | undefined;
  let writes = -1;
  let before = 0;
  const wire: Wire = openWire({
    ...options,
    takes: async (octets) => {
      if (connection?.hasCommitted && writes < 0) {
        writes = wire.writes.length - 1;
        before = wire.writes.slice(0, -1).join('').length;
      }
      await options.takes?.(octets);
    },
  });
  connection = opened(wire);
  const outcome = await within(10_000, () => (connection as Connection).submit(transactionTo(recipients), contentOf(message)));
  return { wire, outcome, writes, before };
}

const MESSAGE = 'Subject: x\r\n\r\n.a\r\n.\r\n';
const OFFERS = [[], ['PIPELINING'], ['CHUNKING'], ['PIPELINING', 'CHUNKING']] as const;
const isChunking = (offers: readonly string[]) => offers.includes('CHUNKING');

/* ---- what the commit is ---- */

const COMMITS: readonly (readonly [string, string, string, string])[] = [
  ['a message', MESSAGE, `BDAT ${MESSAGE.length} LAST\r\n${MESSAGE.slice(0, -2)}`, '\r\n'],
  ['a line end alone', '\n', 'BDAT 2 LAST\r\n', '\r\n'],
  ['nothing', '', 'RCPT TO:<r1@there.example>\r\n', 'BDAT 0 LAST\r\n'],
];
for (const [what, message, before, commit] of COMMITS)
  test(`V3: the commit of ${what} with BDAT is its end, and it costs one write more`, async () => {
    const { wire, outcome, writes } = await send(message, 1, { offers: ['CHUNKING'] });
    assert.equal(printOutcome(outcome), '= accepted 250 2.0.0 taken');
    assert.deepEqual(wire.writes.slice(writes - 1), [before, commit, 'QUIT\r\n']);
    assert.deepEqual(wire.held(), [message.replace(/^\n$/, '\r\n')]);
  });

test('V3: a content of one octet is held back whole', async () => {
  const wire = openWire({ offers: ['CHUNKING'] });
  const nothing = new Uint8Array(0);
  const facts = { octetsIn: 1, octetsOut: 1, size: 1, eightBit: false, nul: false, longestLine: 1, lines: 0 };
  const encoder = () => ({ push: (chunk: Uint8Array) => chunk, end: () => nothing, facts });
  const outcome = await within(10_000, () => opened(wire, {}, { encoder }).submit(transactionTo(1), contentOf('x')));
  assert.equal(printOutcome(outcome), '= accepted 250 2.0.0 taken');
  assert.deepEqual(wire.writes.slice(-3), ['BDAT 1 LAST\r\n', 'x', 'QUIT\r\n']);
});

test('the commit of DATA is the line of the dot', async () => {
  const { wire, writes } = await send(MESSAGE, 1, {});
  assert.deepEqual(wire.writes.slice(writes), ['.\r\n', 'QUIT\r\n']);
});

test('the envelope that goes along is in the write of the commit', async () => {
  for (const offers of [['PIPELINING'], ['PIPELINING', 'CHUNKING']]) {
    const wire = openWire({ offers });
    const connection = opened(wire, { transactions: 'many' });
    const sent = await within(10_000, () => Promise.all([1, 2].map(() => connection.submit(transactionTo(1), contentOf(MESSAGE)))));
    assert.deepEqual(sent.map(printOutcome), ['= accepted 250 2.0.0 taken', '= accepted 250 2.0.0 taken']);
    const envelope = 'MAIL FROM:<tim@here.example>\r\nRCPT TO:<r1@there.example>\r\n';
    assert.ok(wire.writes.includes(isChunking(offers) ? `\r\n${envelope}` : `.\r\n${envelope}DATA\r\n`), JSON.stringify(wire.writes));
    assert.deepEqual(wire.held(), [MESSAGE, MESSAGE]);
  }
});

/* ---- a loss at every octet ---- */

for (const offers of OFFERS)
  for (const recipients of [1, 2])
    test(`V3: a loss at every octet, ${offers.join(' ') || 'nothing'} offered, ${recipients} recipients: only within the commit it is uncertain`, async () => {
      const clean = await send(MESSAGE, recipients, { offers });
      assert.equal(printOutcome(clean.outcome), '= accepted 250 2.0.0 taken');
      const end = clean.before + (clean.wire.writes[clean.writes] as string).length;
      for (let dies = 0; dies < end; dies++) {
        const { wire, outcome } = await send(MESSAGE, recipients, { offers, dies });
        const expected = dies < clean.before ? /^= lost at \w+, condemns address$/ : /^= uncertain at commit, condemns message$/;
        assert.match(printOutcome(outcome), expected, `${dies} of ${end} octets`);
        assert.deepEqual(wire.held(), []);
      }
      assert.equal(end - clean.before, isChunking(offers) ? 2 : 3);
    });

/* ---- what is waited for ---- */

/** Resolves when it is told. */
function gate(): { readonly opened: Promise<void>; open: () => void } {
  let open = () => {};
  const isOpen = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened: isOpen, open: () => open() };
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

const until = (isSo: () => boolean): Promise<void> =>
  within(10_000, async () => {
    while (!isSo()) await turns(1);
  });

/** The write before the commit, with `UNENDED` as content: for DATA the line end that the message lacks. */
const UNENDED = 'Subject: x\r\n\r\nhello';
const lastWrite = (offers: readonly string[]) => (octets: string) => (isChunking(offers) ? octets.endsWith('hello') : octets === '\r\n');

const MEANWHILE: readonly (readonly [string, (wire: Wire, connection: Connection) => void, RegExp])[] = [
  ['the connection is lost', (wire) => wire.close(), /^= lost at content, condemns address$/],
  ['the server refuses', (wire) => wire.say('552 5.3.4 too big\r\n'), /^= rejected at content, condemns message: .*: 552 5\.3\.4 too big$/],
  ['the server talks', (wire) => wire.say('250 fine\r\n'), /^= malformed at content, condemns address$/],
  ['the server begins to talk', (wire) => wire.say('25'), /^= malformed at content, condemns address$/],
  ['a signal comes', (_, connection) => connection.abort('terminated'), /^= content at content, condemns message$/],
];
for (const offers of OFFERS)
  for (const [what, happens, expected] of MEANWHILE)
    test(`F6: no commit while a write is pending, and ${what} (${offers.join(' ') || 'nothing offered'})`, async () => {
      const { opened: taken, open } = gate();
      let isPending = false;
      const wire = openWire({
        offers,
        takes: async (octets) => {
          if (!lastWrite(offers)(octets)) return;
          isPending = true;
          await taken;
        },
      });
      const connection = opened(wire);
      const submitted = connection.submit(transactionTo(1), contentOf(UNENDED));
      await until(() => isPending);
      await turns(10);
      assert.equal(connection.hasCommitted, false, 'a commit although a write is pending');
      happens(wire, connection);
      await turns(2);
      open();
      assert.match(printOutcome(await within(10_000, () => submitted)), expected);
      assert.equal(connection.hasCommitted, false);
      assert.deepEqual(wire.held(), []);
    });

for (const offers of OFFERS)
  test(`what happens as the last write completes is heard before the commit (${offers.join(' ') || 'nothing offered'})`, async () => {
    // A poll of the event loop comes between two immediates, or before the first of them.
    for (const polls of [1, 2])
      for (const [what, happens, expected] of MEANWHILE) {
        let connection: Connection | undefined;
        const wire: Wire = openWire({
          offers,
          takes: async (octets) => {
            if (lastWrite(offers)(octets)) void turns(polls).then(() => happens(wire, connection as Connection));
          },
        });
        connection = opened(wire);
        const outcome = await within(10_000, () => (connection as Connection).submit(transactionTo(1), contentOf(UNENDED)));
        assert.match(printOutcome(outcome), expected, what);
        assert.deepEqual(wire.held(), []);
      }
  });

/* ---- blocks ---- */

test('F6: a block that is pulled while both buffers are on their way waits for one of them', async () => {
  const pieces = Array.from({ length: 5 }, (_, i) => `${String(i).repeat(256 * 1024 - 2)}\r\n`);
  const gates = pieces.map(gate);
  const left = pieces.map((piece) => Buffer.from(piece));
  let reads = 0;
  const source: Source = {
    async read() {
      reads++;
      return left.shift() ?? { end: 'clean' };
    },
    close: () => undefined,
  };
  let blocks = 0;
  const wire = openWire({
    offers: ['PIPELINING', 'CHUNKING'],
    takes: async (octets) => {
      if (octets.startsWith('BDAT 262144')) await gates[blocks++]?.opened;
    },
  });
  const submitted = opened(wire).submit(transactionTo(1), { open: () => source });
  await until(() => blocks > 0);
  await turns(20);
  // The first is on its way, the second waits behind it in the stream, and there is no third buffer.
  assert.equal(reads, 2);
  for (const each of gates) {
    each.open();
    await turns(5);
  }
  assert.equal(printOutcome(await within(10_000, () => submitted)), '= accepted 250 2.0.0 taken');
  assert.equal(wire.held().join('') === pieces.join(''), true, 'the content is not what was sent');
});

test.run();
