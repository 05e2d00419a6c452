/**
 * A server that speaks, or stops listening, while 64 MiB are under way: what it said is what is reported, however it leaves.
 * Six of six clients that were tried report the broken pipe instead (pitfall 31).
 * Loopback: the fault is the subject; TLS is required where there is TLS.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Source } from '../../src/message/source.ts';
import { type Delivery, deliver } from '../../src/submit/delivery.ts';
import type { Outcome } from '../../src/submit/outcome.ts';
import { hostAt, optionsFor, sentences, tlsRequired, tlsWorld, transactionTo, verdictOf } from '../support/delivery.ts';
import { followApart, type Lines } from '../support/scripted.ts';
import { within } from '../support/within.ts';

const test = suite('early refusals');

const MIB = 1024 * 1024;
const TIMES = process.env.FAULTS === 'full' ? 100 : 20;

interface Refuser {
  readonly after: number;
  readonly reply: string;
  readonly leave: keyof typeof LEAVINGS;
  readonly offers?: readonly string[];
  readonly secured?: boolean;
}

/** Behind its reply the server is reset, dies, closes its side and reads no more, or reads on; or it says nothing and reads no more. */
const LEAVINGS = {
  reset: ['*reset'],
  close: ['*destroy'],
  fin: ['*deaf', '*close'],
  drain: ['*silence'],
  stay: ['*deaf', '*silence'],
} as const;

/** The script of a server that speaks within the content. */
function linesOf({ after, reply, leave, offers = [], secured = false }: Refuser): Lines {
  const greeted = (words: readonly string[]) => ['EHLO', ['250-here', ...words.map((word) => `250-${word}`), '250 HELP'].join('\r\n')];
  return [
    '220 here',
    ...(secured ? [...greeted([...offers, 'STARTTLS']), 'STARTTLS', '220 go', '*starttls'] : []),
    ...greeted(offers),
    ...['MAIL', '250 ok', 'RCPT', '250 ok'],
    ...(offers.includes('CHUNKING') ? ['BDAT'] : ['DATA', '354 go']),
    ...(leave === 'stay' ? [] : [`*wait ${after}`, reply]),
    ...LEAVINGS[leave],
  ];
}

async function withRefuser<T>(how: Refuser, work: (port: number) => Promise<T>): Promise<T> {
  const server = await followApart(linesOf(how), how.secured ? tlsWorld().certificate : undefined);
  try {
    return await work(server.port);
  } finally {
    server.stop();
  }
}

/** Content of `size` octets as a pipe gives it, and how much of it was read. */
function large(size: number): Delivery['content'] & { pulled: number } {
  const chunk = Buffer.from(`${'x'.repeat(1022)}\r\n`.repeat(64));
  const content = {
    replayable: true,
    pulled: 0,
    open(): Source {
      return {
        async read() {
          if (content.pulled >= size) return { end: 'clean' };
          content.pulled += chunk.length;
          return chunk;
        },
        close: () => undefined,
      };
    },
  };
  return content;
}

async function upload(
  port: number,
  secured = false,
  changes: Parameters<typeof optionsFor>[1] = {},
): Promise<{ outcome: Outcome; pulled: number }> {
  const content = large(64 * MIB);
  const outcome = await deliver(
    { hosts: [hostAt(port, secured ? { tls: tlsRequired() } : {}), hostAt(1)], transaction: transactionTo(1), content },
    optionsFor(20_000, changes),
  );
  return { outcome, pulled: content.pulled };
}

const REFUSALS: readonly Refuser[] = [
  ...(['reset', 'close', 'fin', 'drain'] as const).flatMap((leave) => [
    { after: 20, reply: '552 5.3.4 too big', leave },
    { after: 20, reply: '452 4.3.1 full', leave },
    { after: 20, reply: '552 5.3.4 too big', leave, secured: true },
    { after: 20, reply: '552 5.3.4 too big', leave, offers: ['PIPELINING', 'CHUNKING'] },
  ]),
  { after: 5, reply: '550-5.7.1 no\r\n550 5.7.1 thanks', leave: 'reset' },
];

for (const how of REFUSALS) {
  const { after, reply, leave, offers = [], secured = false } = how;
  test(`${JSON.stringify(reply)} after ${after} ms, then ${leave}${secured ? ', TLS' : ''}${offers.length > 0 ? ', BDAT' : ''}: reported ${TIMES} times of ${TIMES}`, () =>
    within(120_000, () =>
      withRefuser(how, async (port) => {
        const told = new Map<string, number>();
        for (let i = 0; i < TIMES; i++) {
          const { outcome, pulled } = await upload(port, secured);
          assert.equal(verdictOf(outcome), 'failed', sentences(outcome));
          assert.ok(pulled < 64 * MIB, 'all of the content was read');
          const text = sentences(outcome).replace(/^\S+ /, '');
          told.set(text, (told.get(text) ?? 0) + 1);
        }
        // The code that is repeated is said once.
        const shown = reply.replace('\r\n550 5.7.1 ', ' / ').replace('550-', '550 ');
        assert.deepEqual([...told], [[`${offers.length > 0 ? 'BDAT' : 'the content'}: ${shown}`, TIMES]]);
      }),
    ));
}

for (const secured of [false, true])
  test(`a server that stops reading is given up when a block takes too long${secured ? ', TLS' : ''}`, () =>
    within(30_000, () =>
      withRefuser({ after: 0, reply: '', leave: 'stay', secured }, async (port) => {
        const limits = { ...optionsFor().timeouts, block: 300 };
        const { outcome, pulled } = await upload(port, secured, { timeouts: limits });
        assert.match(sentences(outcome), /no reply to the content within \w+ \(timeouts\.block\)\n.*connection refused/);
        assert.ok(pulled < 32 * MIB, `${pulled} octets were read`);
      }),
    ));

test.run();
