/**
 * Each step has the time limit that its row in STEPS names (test/smtp/client/steps.test.ts has the table): one row after another names
 * another key, a whole session is led through every step, and the driver must ask for that key.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Phase } from '../../src/smtp/client/outcome.ts';
import { type Plan, STEPS } from '../../src/smtp/client/session.ts';
import { parsed } from '../../src/smtp/parsed.ts';
import { plain } from '../../src/smtp/sasl/sasl.ts';
import { Connection, type SessionTimeouts } from '../../src/transport/driver.ts';
import type { Wire, WireListener } from '../../src/transport/wire.ts';
import { contentOf, transactionTo } from '../support/delivery.ts';
import { within } from '../support/within.ts';

const test = suite('limits');

const PLAN: Plan = {
  protocol: 'smtp',
  hello: 'here.example',
  tls: 'required',
  authenticate: () => parsed(plain('tim', 'tanstaaf')),
  transactions: 'many',
  framing: 'data',
  partial: 'never',
};

/** A wire whose other side answers each write at once. The first RCPT is accepted and all others are refused. */
function wireTo(): Wire {
  let listener: WireListener | null = null;
  let isContent = false;
  let recipients = 0;
  let hasGreeted = false;
  const say = (text: string): void => void setImmediate(() => listener?.octets(Buffer.from(`${text}\r\n`)));
  const answer = (line: string): string => {
    if (line.startsWith('EHLO')) return '250-there.example\r\n250-STARTTLS\r\n250 AUTH PLAIN';
    if (line.startsWith('RCPT')) return recipients++ === 0 ? '250 ok' : '550 no';
    return { DATA: '354 go', STARTTLS: '220 go', QUIT: '221 bye' }[line] ?? (line.startsWith('AUTH') ? '235 ok' : '250 ok');
  };
  return {
    isOpen: true,
    queued: 0,
    heard: 0,
    localAddress: null,
    listen(next) {
      listener = next;
      if (!hasGreeted) say('220 there.example');
      hasGreeted = true;
    },
    unread: () => {},
    write(octets, done) {
      const text = Buffer.from(octets as string).toString('latin1');
      if (!isContent || text === '.\r\n') for (const line of text.split('\r\n').slice(0, -1)) say(answer(line));
      isContent = text.startsWith('DATA') || (isContent && text !== '.\r\n');
      setImmediate(() => done?.(false));
    },
    end: () => setImmediate(() => listener?.closed({ detail: 'the end' })),
    destroy: () => {},
    startTls: () => Promise.reject(new Error('nobody asks for it')),
  };
}

const content = { open: () => contentOf().open('pass', true) };
const rows = STEPS as Record<Phase, { within: string }>;

for (const at of Object.keys(STEPS) as Phase[])
  test(`${at}: the clock is set by the row`, () =>
    within(10_000, async () => {
      const read = new Set<string>();
      const timeouts = new Proxy({} as SessionTimeouts, {
        get(_, key: string) {
          read.add(key);
          return Number.POSITIVE_INFINITY;
        },
      });
      const { within: before } = rows[at];
      rows[at].within = 'another';
      try {
        const connection = new Connection(wireTo(), { plan: PLAN, timeouts, secure: async (wire) => ({ ok: true, value: wire }) });
        assert.equal((await connection.submit(transactionTo(1), content)).kind, 'accepted');
        assert.equal(await connection.noop(), null);
        assert.equal((await connection.submit(transactionTo(1), content)).kind, 'failed');
        await connection.quit();
      } finally {
        rows[at].within = before;
      }
      assert.ok(read.has('another'), [...read].join());
    }));

test.run();
