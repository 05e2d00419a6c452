/** A session to the millisecond: what is said, what is told about which message, and how long its end takes. Its wire and time are made up. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { sourceOf } from '../../src/message/source.ts';
import type { Plan } from '../../src/smtp/client/session.ts';
import { Connection, type ConnectionOptions, type MessageOptions, VERDICT_GRACE } from '../../src/transport/driver.ts';
import { unreached, type Wire, type WireListener } from '../../src/transport/wire.ts';
import { VirtualTime } from '../faults/support/worlds/time.ts';
import { PLAN_OF_MANY as PLAN, transactionTo } from '../support/delivery.ts';
import { printOutcome } from '../support/transcript.ts';

const test = suite('conversation');

const LIMITS = { handshake: 60_000, greeting: 60_000, command: 60_000, data: 60_000, block: 60_000, final: 600_000 };

interface Scene {
  readonly time: VirtualTime;
  readonly connection: Connection;
  /** Octets of the server. */
  readonly say: (text: string) => Promise<void>;
  readonly hangUp: () => Promise<void>;
  /** What happened since the last time. */
  readonly happened: () => string[];
  readonly submit: (recipients?: number, options?: MessageOptions, content?: string) => void;
  readonly settle: () => Promise<void>;
  readonly isOpen: () => boolean;
}

/** `tells`: which of what the observer is told is written down. */
async function inScene(
  work: (scene: Scene) => Promise<void>,
  { plan = {}, options = {}, tells = /./ }: { plan?: Partial<Plan>; options?: Partial<ConnectionOptions>; tells?: RegExp } = {},
): Promise<void> {
  const time = new VirtualTime();
  time.install();
  try {
    const happened: string[] = [];
    const note = (what: string): void => {
      if (tells.test(what)) happened.push(what);
    };
    let listener: WireListener | null = null;
    let isOpen = true;
    const close = (detail: string): void => {
      if (!isOpen) return;
      isOpen = false;
      setImmediate(() => listener?.closed({ detail }));
    };
    const wire = {
      get isOpen() {
        return isOpen;
      },
      queued: 0,
      heard: 0,
      localAddress: null,
      listen: (given: WireListener | null) => {
        listener = given;
      },
      write(octets: Uint8Array | string, done?: (hasFailed: boolean) => void) {
        note(
          `> ${Buffer.from(octets as string, 'latin1')
            .toString('latin1')
            .trimEnd()
            .replaceAll('\r\n', ' | ')}`,
        );
        setImmediate(() => done?.(false));
      },
      end: () => note(`${time.now} we end`),
      destroy: (breaks?: boolean) => {
        if (isOpen) note(`${time.now} ${breaks ? 'reset' : 'destroyed'}`);
        close('the connection was closed');
      },
    } as unknown as Wire;
    const connection = new Connection(wire, {
      plan: { ...PLAN, ...plan },
      timeouts: LIMITS,
      secure: async () => unreached('other', 'no TLS'),
      observer: {
        trace: (side, line, message) => note(`${side} ${line} (${message})`),
        note: (what) => note(`note ${what}`),
        progress: (octets) => note(`progress ${octets}`),
        entered: (at) => note(`entered ${at}`),
        began: (message) => note(`began ${message}`),
        settled: (outcome, message) => note(`settled ${message}: ${printOutcome(outcome)}`),
      },
      ...options,
    });
    void connection.ended().then(() => note('ended'));
    let given = 0;
    const settle = (): Promise<void> => time.passUntil(time.now + 1);
    const scene: Scene = {
      time,
      connection,
      async say(text) {
        assert.ok(listener, 'nobody listens');
        listener.octets(Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1'));
        await settle();
      },
      async hangUp() {
        listener?.end();
        close('the server closed the connection');
        await settle();
      },
      happened: () => happened.splice(0),
      submit(recipients = 1, more = {}, content = 'Subject: x\n\nhello\n') {
        const number = given++;
        void connection
          .submit(transactionTo(recipients), { open: () => sourceOf(Buffer.from(content)) }, more)
          .then((outcome) => note(`${time.now} outcome ${number}: ${printOutcome(outcome)}`));
      },
      settle,
      isOpen: () => isOpen,
    };
    await work(scene);
    connection.destroy();
    await time.pass(() => false);
    assert.equal(time.timers, 0, 'a timer is left');
  } finally {
    time.uninstall();
  }
}

const GREETING = '220 there\n';
const EHLO = '250-there\n250 PIPELINING\n';
const GO = '250 from\n250 to\n354 go\n';

const OPENING = [
  'entered greeting',
  'S 220 there (null)',
  'C EHLO here.example (null)',
  '> EHLO here.example',
  'entered hello',
  'S 250-there (null)',
  'S 250 PIPELINING (null)',
];
const MAIL = 'MAIL FROM:<tim@here.example>';
const RCPT = 'RCPT TO:<r1@there.example>';
const envelopeOf = (message: number): string[] => [`C ${MAIL} (${message})`, `C ${RCPT} (${message})`, `C DATA (${message})`];
const repliesTo = (message: number): string[] => [`S 250 from (${message})`, `S 250 to (${message})`, `S 354 go (${message})`];
const contentOf = (message: number): string[] => [`! content (${message})`, 'entered content', '> Subject: x |  | hello', 'progress 21'];
const ENVELOPE = `${MAIL} | ${RCPT} | DATA`;

test('one message: what is said, heard and told, and about which message', () =>
  inScene(async ({ say, submit, settle, happened, connection, time }) => {
    submit();
    await settle();
    await say(GREETING);
    await say(EHLO);
    assert.deepEqual(happened(), [...OPENING, 'began 0', ...envelopeOf(0), `> ${ENVELOPE}`, 'entered envelope']);
    await say(GO);
    assert.deepEqual(happened(), [...repliesTo(0), ...contentOf(0), 'C . (0)', '> .', 'entered commit']);
    assert.equal(connection.hasCommitted, true);
    await say('250 taken\n');
    assert.deepEqual(happened(), [
      'S 250 taken (0)',
      'settled 0: = accepted 250 taken',
      'entered ready',
      '4 outcome 0: = accepted 250 taken',
    ]);
    void connection.quit();
    await settle();
    assert.deepEqual(happened(), ['C QUIT (null)', '> QUIT', 'entered quit', 'ended']);
    await time.passUntil(5000);
    assert.deepEqual(happened(), ['1005 destroyed', 'entered closed'], 'a second for its farewell');
  }));

test('messages one behind the other: what the server says in one piece is told about the message that it is about', () =>
  inScene(async ({ say, submit, settle, happened, hangUp }) => {
    for (let i = 0; i < 3; i++) submit();
    await say(GREETING);
    await say(EHLO);
    happened();
    await say(GO);
    const along = (next: number): string[] => [
      `began ${next}`,
      `C . (${next - 1})`,
      ...envelopeOf(next),
      `> . | ${ENVELOPE}`,
      'entered commit',
    ];
    assert.deepEqual(happened(), [...repliesTo(0), ...contentOf(0), ...along(1)]);
    await say('250-taken\n250 one\n250 from\n250 to\n354 go\n');
    const first = '= accepted 250 taken / one';
    assert.deepEqual(happened(), [
      'S 250-taken (0)',
      'S 250 one (0)',
      ...repliesTo(1),
      `settled 0: ${first}`,
      '! content (1)',
      'entered content',
      `3 outcome 0: ${first}`,
      '> Subject: x |  | hello',
      'progress 21',
      ...along(2),
    ]);
    await say('250 taken\n250 from\n250 to\n');
    assert.deepEqual(happened(), [
      'S 250 taken (1)',
      'S 250 from (2)',
      'S 250 to (2)',
      'settled 1: = accepted 250 taken',
      'entered data',
      '4 outcome 1: = accepted 250 taken',
    ]);
    await hangUp();
    await settle();
    const lost = '= lost at data, condemns address';
    assert.deepEqual(happened(), [`settled 2: ${lost}`, '5 destroyed', 'entered closed', `5 outcome 2: ${lost}`, 'ended']);
  }));

test('an envelope behind a content has half a minute for its first reply, others the time that they have', async () => {
  const LOST = 'timeout at envelope, condemns address';
  for (const [said, command, ends, isByKey] of [
    ['250 taken\n', 60_000, 30_013, false],
    // What was asked for may be less.
    ['250 taken\n', 10_000, 10_013, true],
    ['250 taken\n', 30_000, 30_013, true],
    // The server has heard it.
    ['250 taken\n250 from\n', 60_000, 60_013, true],
  ] as const) {
    let limit: unknown;
    await inScene(
      async ({ time, say, submit, happened }) => {
        submit();
        submit();
        await say(GREETING);
        await say(EHLO);
        await say(GO);
        await say(said);
        happened();
        await time.passUntil(100_000);
        assert.deepEqual(happened(), [`${ends} outcome 1: = ${LOST}`]);
      },
      {
        options: {
          timeouts: { ...LIMITS, command },
          observer: {
            settled(outcome) {
              if (outcome.kind === 'failed' && outcome.failure.kind === 'timeout') limit = outcome.failure.limit ?? null;
            },
          },
        },
        tells: /outcome/,
      },
    );
    // No key sets the half minute.
    assert.deepEqual(limit, isByKey ? { key: 'command', milliseconds: command } : null);
  }
});

test('LMTP: the verdicts of a message are as many as its recipients, and what follows is about the next', () =>
  inScene(
    async ({ say, submit, happened }) => {
      submit(2);
      submit();
      await say(GREETING);
      await say(EHLO);
      await say('250 from\n250 to\n250 to\n');
      await say('354 go\n');
      happened();
      await say('250 one\n250 two\n250 from\n250 to\n');
      assert.deepEqual(
        happened().filter((what) => what.startsWith('S ')),
        ['S 250 one (0)', 'S 250 two (0)', 'S 250 from (1)', 'S 250 to (1)'],
      );
    },
    { plan: { protocol: 'lmtp', partial: 'verdicts' } },
  ));

test('a trace of a message hears its lines, and its progress takes the place of the observer’s', () =>
  inScene(async ({ say, submit, happened }) => {
    const heard: unknown[][] = [];
    submit();
    submit(1, { trace: (...facts) => void heard.push(facts), progress: (octets) => void heard.push(['progress', octets]) });
    await say(GREETING);
    await say(EHLO);
    await say(GO);
    await say('250 taken\n250 from\n250 to\n354 go\n');
    await say('250 taken, too\n');
    assert.deepEqual(heard, [
      ...[MAIL, RCPT, 'DATA'].map((line) => ['C', line, 1]),
      ...['250 from', '250 to', '354 go'].map((line) => ['S', line, 1]),
      ['!', 'content', 1],
      ['progress', 21],
      ['C', '.', 1],
      ['S', '250 taken, too', 1],
    ]);
    assert.equal(happened().filter((what) => what === 'progress 21').length, 1);
  }));

test('whoever destroys a session while he is told of its content breaks the connection, because the content is cut', async () => {
  let destroy = (): void => {};
  for (const [by, ends] of [
    [/^C MAIL/, '1 destroyed'],
    [/^C BDAT/, '3 reset'],
    // Whatever was sent before may still become the message.
    [/^S 250 taken/, '4 destroyed'],
  ] as const)
    await inScene(
      async ({ connection, say, submit, happened }) => {
        destroy = () => connection.destroy();
        submit();
        await say(GREETING);
        await say('250-there\n250 CHUNKING\n');
        await say('250 from\n');
        await say('250 to\n');
        await say('250 taken\n');
        assert.deepEqual(happened(), [ends]);
      },
      {
        options: {
          observer: {
            trace: (side, line) => {
              if (by.test(`${side} ${line}`)) destroy();
            },
          },
        },
        tells: /destroyed|reset/,
      },
    );
});

test('without PIPELINING a message whose signal comes behind the end of the content before it is not sent', () =>
  inScene(
    async ({ say, submit, settle, happened }) => {
      const controller = new AbortController();
      submit();
      submit(1, { signal: controller.signal });
      await say(GREETING);
      await say('250 there\n');
      for (const reply of ['250 from\n', '250 to\n', '354 go\n']) await say(reply);
      happened();
      controller.abort('enough');
      await settle();
      assert.deepEqual(happened(), ['5 outcome 1: = content at ready, condemns message']);
      await say('250 taken\n');
      assert.deepEqual(happened(), ['6 outcome 0: = accepted 250 taken']);
    },
    { tells: /outcome|^began|^>/ },
  ));

test('a message whose signal has come before is not sent, be it the urgent one', () =>
  inScene(
    async ({ say, submit, settle, happened }) => {
      for (const options of [{ signal: AbortSignal.abort('enough') }, { urgent: AbortSignal.abort('enough') }]) submit(1, options);
      await settle();
      await say(GREETING);
      await say(EHLO);
      await settle();
      assert.deepEqual(
        happened(),
        [0, 1].map((n) => `0 outcome ${n}: = content at ready, condemns message`),
      );
    },
    { tells: /outcome/ },
  ));

test('after the commit a signal waits half a minute for the verdict, or for its own grace, and an urgent one not at all', async () => {
  assert.equal(VERDICT_GRACE, 30_000);
  for (const [more, isUrgent, expected] of [
    [{}, false, 30_013],
    [{ grace: 500 }, false, 513],
    [{}, true, 3],
  ] as const)
    await inScene(
      async ({ say, submit, settle, happened, time }) => {
        const controller = new AbortController();
        submit(1, isUrgent ? { urgent: controller.signal } : { signal: controller.signal, ...more });
        await say(GREETING);
        await say(EHLO);
        await say(GO);
        controller.abort('enough');
        await settle();
        await time.passUntil(100_000);
        assert.deepEqual(happened(), [`${expected} outcome 0: = uncertain at commit, condemns message`]);
      },
      { tells: /outcome/ },
    );
  await inScene(
    async ({ say, submit, happened, time }) => {
      const controller = new AbortController();
      submit(1, { signal: controller.signal });
      await say(GREETING);
      await say(EHLO);
      await say(GO);
      controller.abort('enough');
      await say('250 taken\n');
      await time.passUntil(100_000);
      assert.deepEqual(happened(), ['3 outcome 0: = accepted 250 taken'], 'the verdict came, and no clock is left');
    },
    { tells: /outcome|destroyed/ },
  );
});

test('quit: a session that was given nothing just ends; a question or a message that waits is finished first', async () => {
  await inScene(async ({ connection, settle, happened }) => {
    void connection.quit();
    await settle();
    const aborted = '= content at greeting, condemns message';
    assert.deepEqual(happened(), ['entered greeting', `settled null: ${aborted}`, '0 destroyed', 'entered closed', 'ended']);
  });
  await inScene(async ({ connection, say, happened, time }) => {
    let answer: unknown = 'none';
    void connection.noop().then((failure) => {
      answer = failure;
    });
    void connection.quit();
    await say(GREETING);
    await say(EHLO);
    await say('250 here\n');
    assert.equal(answer, null);
    await time.passUntil(5000);
    assert.deepEqual(happened(), [
      ...OPENING,
      ...['C NOOP (null)', '> NOOP', 'entered noop', 'S 250 here (null)'],
      ...['C QUIT (null)', '> QUIT', 'entered quit', 'ended', '1002 destroyed', 'entered closed'],
    ]);
  });
  await inScene(async ({ connection, say, submit, settle, happened, time }) => {
    const first = new AbortController();
    submit(1, { signal: first.signal });
    submit();
    void connection.quit();
    await settle();
    first.abort('no more');
    await settle();
    assert.deepEqual(happened(), ['entered greeting', '1 outcome 0: = content at ready, condemns message']);
    await say(GREETING);
    await say(EHLO);
    await say(GO);
    happened();
    await say('250 taken\n');
    const accepted = '= accepted 250 taken';
    assert.deepEqual(happened(), [
      ...['S 250 taken (1)', `settled 1: ${accepted}`, 'C QUIT (null)', '> QUIT', 'entered quit'],
      ...[`5 outcome 1: ${accepted}`, 'ended'],
    ]);
    await say('221 bye\n');
    assert.deepEqual(happened(), ['S 221 bye (null)', '6 we end', 'entered closed']);
    await time.passUntil(5000);
    assert.deepEqual(happened(), ['1005 destroyed'], 'a server that does not hang up is given its second from QUIT on');
  });
});

test('quit: when the last message that it waited for is ended by its signal, the session ends, too', () =>
  inScene(async ({ connection, submit, settle, happened }) => {
    const only = new AbortController();
    submit(1, { signal: only.signal });
    void connection.quit();
    await settle();
    only.abort('no more');
    await settle();
    const aborted = '= content at greeting, condemns message';
    assert.deepEqual(happened(), [
      ...['entered greeting', `settled null: ${aborted}`, '1 destroyed', 'entered closed'],
      ...['1 outcome 0: = content at ready, condemns message', 'ended'],
    ]);
  }));

test('quit: a server that refuses the session and does not hang up is given its second', () =>
  inScene(async ({ connection, say, submit, settle, happened, time }) => {
    let isOver = false;
    submit();
    void connection.quit().then(() => {
      isOver = true;
    });
    await settle();
    await say('554 no\n');
    const rejected = '= rejected at greeting, condemns address: connecting: 554 no';
    assert.deepEqual(happened(), [
      ...['entered greeting', 'S 554 no (null)', `settled 0: ${rejected}`, 'C QUIT (null)', '> QUIT', 'entered quit'],
      ...[`1 outcome 0: ${rejected}`, 'ended'],
    ]);
    await time.passUntil(500);
    await say('221 bye\n');
    assert.deepEqual(happened(), ['S 221 bye (null)', '500 we end', 'entered closed']);
    await time.passUntil(5000);
    assert.deepEqual(happened(), ['1001 destroyed']);
    assert.equal(isOver, true);
  }));

test('an idle server that says 421, or anything, ends the session; the message that comes then is lost unsaid', () =>
  inScene(
    async ({ connection, say, submit, settle, happened }) => {
      await say(GREETING);
      await say(EHLO);
      assert.deepEqual([connection.isUsable, connection.channel !== null, await connection.opened()], [true, true, null]);
      await say('421 idle\n');
      assert.equal(connection.isUsable, false);
      submit();
      await settle();
      assert.deepEqual(happened(), ['S 421 idle (null)', '2 destroyed', '3 outcome 0: = lost at ready, condemns address']);
    },
    { tells: /421|outcome|destroyed/ },
  ));

test('a session for one message takes no second while the first is under way', () =>
  inScene(
    async ({ connection, say, submit, settle }) => {
      assert.equal(connection.isUsable, true);
      submit();
      await settle();
      assert.equal(connection.isUsable, false);
      assert.throws(() => connection.submit(transactionTo(1), { open: () => null }), /bug: the connection is not free for a transaction/);
      await say(GREETING);
      await say('250 there\n');
      assert.equal(connection.isUsable, false);
    },
    { plan: { transactions: 'one' } },
  ));

test('content at hand is not opened, and goes in one write, or with the commit; for BDAT it is opened where a dot was doubled', async () => {
  const encoded = Buffer.from('Subject: x\r\n\r\nat hand\r\n');
  const { length } = encoded;
  for (const [offers, commitsAtOnce, size, expected] of [
    ['PIPELINING', false, length, ['> Subject: x |  | at hand', '> .']],
    ['PIPELINING', false, length - 1, ['> Subject: x |  | at hand', '> .']],
    ['PIPELINING', true, length, ['> Subject: x |  | at hand | .']],
    ['CHUNKING', false, length, ['> BDAT 23 LAST | Subject: x |  | at hand', '> ']],
    ['CHUNKING', true, length, ['> BDAT 23 LAST | Subject: x |  | at hand']],
    ['CHUNKING', false, length - 1, ['opened', '> BDAT 22 LAST | Subject: x |  | opened', '> ']],
    ['CHUNKING', true, length - 1, ['opened', '> BDAT 22 LAST | Subject: x |  | opened', '> ']],
    ['CHUNKING', false, null, ['opened', '> BDAT 22 LAST | Subject: x |  | opened', '> ']],
  ] as const)
    await inScene(
      async ({ connection, say, happened }) => {
        const written: string[] = [];
        const open = () => {
          written.push('opened');
          return sourceOf(Buffer.from('Subject: x\n\nopened\n'));
        };
        void connection.submit({ ...transactionTo(1), size }, { open, encoded });
        await say(GREETING);
        await say(`250-there\n250 ${offers}\n`);
        happened();
        await say('250 from\n');
        if (offers === 'CHUNKING') {
          happened();
          await say('250 to\n');
        } else await say('250 to\n354 go\n');
        written.push(...happened());
        assert.deepEqual(written, expected);
      },
      { options: { commitsAtOnce }, tells: /^> / },
    );
});

test('a session that ends within the handshake hears that its wire is closed', () =>
  inScene(
    async ({ say, settle, happened, connection }) => {
      let isOver = false;
      await say(GREETING);
      await say('250-there\n250 STARTTLS\n');
      await say('220 go\n');
      void connection.quit().then(() => {
        isOver = true;
      });
      await settle();
      connection.destroy();
      await settle();
      assert.equal(isOver, true);
      assert.equal(happened().at(-1), 'ended');
    },
    { plan: { tls: 'required' }, options: { secure: () => new Promise(() => {}) } },
  ));

test('secured: what follows goes by the wire above, and the trace says so', () => {
  const said: string[] = [];
  const above = {
    isOpen: true,
    queued: 0,
    listen: (given: WireListener | null) => said.push(given === null ? 'above is left' : 'above is heard'),
    write: (octets: string) => said.push(`above > ${octets.trimEnd()}`),
    end: () => {},
    destroy: () => said.push('above is destroyed'),
  } as unknown as Wire;
  return inScene(
    async ({ say, happened, connection }) => {
      await say(GREETING);
      await say('250-there\n250 STARTTLS\n');
      await say('220 go\n');
      assert.deepEqual(happened().slice(-5), [
        'entered starttls',
        'S 220 go (null)',
        'entered handshake',
        '! secured (null)',
        'entered hello',
      ]);
      assert.deepEqual(said.splice(0).slice(0, 2), ['above is heard', 'above > EHLO here.example']);
      connection.destroy();
      assert.deepEqual(said.at(-1), 'above is destroyed');
    },
    { plan: { tls: 'required' }, options: { secure: async () => ({ ok: true, value: above }) }, tells: /^(?!C )/ },
  );
});

test.run();
