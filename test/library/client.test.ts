/**
 * A session of `connect`: many messages in order, what ends it and them, and the truth about it afterwards.
 * Loopback: passwords go in clear because allowPlaintext says so, and what is looked at is what becomes of the messages.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { suite } from 'uvu';
import {
  type Client,
  connect,
  type Failure,
  type Options,
  type Outcome,
  type Progress,
  type Server,
  type TraceEvent,
} from '../../src/library/index.ts';
import { sink } from '../../src/testing/index.ts';
import { reset } from '../support/reset.ts';
import { conversing, startScripted, usual } from '../support/scripted.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { ENVELOPE, turns, watch } from './doors.ts';

const test = suite('client');
const looking = watch();
test.after.each(() => looking.check());
test.after(() => looking.stop());

const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';
const numbered = (number: number): string => `Subject: ${number}\r\n\r\nhello\r\n`;
const numbers = (host: TestHost): number[] => host.held.map(({ octets }) => Number(/^Subject: (\d+)/.exec(octets.toString('latin1'))?.[1]));

const urlOf = ({ port }: { readonly port: number }): string => `smtp://127.0.0.1:${port}`;

async function clientOf(server: string | Server, options: Options = {}): Promise<Client> {
  const connected = await connect(server, options);
  assert.ok(connected.ok, JSON.stringify(connected));
  return connected.client;
}

/** A host and a session with it. */
async function world(script: SmarthostOptions['script'] = {}, options: Options = {}, more: SmarthostOptions = {}) {
  const host = await startHost({ script, ...more });
  return { host, client: await clientOf(urlOf(host), options) };
}

const brief = (failure: Failure | null): readonly unknown[] => (failure === null ? [] : [failure.code, failure.retry, failure.verb]);
function failureOf(outcome: Outcome): Failure {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  return (outcome as Extract<Outcome, { kind: 'failed' }>).failure;
}
const verbs = (lines: readonly string[] | undefined): string[] => (lines ?? []).map((line) => line.split(/[ :]/)[0] as string);

/** Resolves when a deed of a host is done; the host then says nothing. */
function pausePoint(): { readonly deed: () => string; readonly reached: Promise<void> } {
  let reach = (): void => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  return {
    reached,
    deed: () => {
      reach();
      return 'silence';
    },
  };
}

/** Resolves when the session is seen to be over. */
async function untilUnusable(client: Client): Promise<void> {
  while (client.usable) await new Promise((resolve) => setTimeout(resolve, 5));
}

/* ---- noop ---- */

test('noop of a session that is there says so, and of one that is not says why', () =>
  within(20_000, async () => {
    const host = await sink();
    const opened = await connect(host.url);
    assert.ok(opened.ok);
    const { client } = opened;
    const [outcome, asked] = await Promise.all([client.send(ENVELOPE, MESSAGE), client.noop()]);
    assert.deepEqual([outcome.kind, asked, client.usable], ['accepted', null, true]);
    assert.ok(host.transcript.includes('C: NOOP'));
    host.drop('NOOP');
    const failure = await client.noop();
    assert.deepEqual([failure?.code, failure?.retry, client.usable], ['lost', 'safe', false]);
    assert.notEqual(await client.noop(), null);
    await client.quit();
    await host.close();
  }));

test('noop that was asked before quit is answered, also in a session that is still opening', () =>
  within(10_000, async () => {
    for (const isReady of [true, false]) {
      const { host, client } = await world();
      if (isReady) await client.ready();
      const [asked] = await Promise.all([client.noop(), client.quit()]);
      assert.equal(asked, null);
      assert.deepEqual(verbs(host.sessions[0]), ['EHLO', 'NOOP', 'QUIT']);
      await host.stop();
    }
  }));

test('noop asks the server, and behind a message it waits for its turn', () =>
  within(10_000, async () => {
    const { host, client } = await world();
    assert.equal(await client.noop(), null);
    const [outcome, failure] = await Promise.all([client.send(ENVELOPE, MESSAGE), client.noop()]);
    assert.deepEqual([outcome.kind, failure], ['accepted', null]);
    await client.quit();
    assert.deepEqual(verbs(host.sessions[0]), ['EHLO', 'NOOP', 'MAIL', 'RCPT', 'DATA', 'NOOP', 'QUIT']);
    await host.stop();
  }));

test('noop is answered between two messages that wait, because a session that is always given more would never answer it', () =>
  within(10_000, async () => {
    const { host, client } = await world({}, {}, { offers: ['PIPELINING'] });
    await client.ready();
    const sent = [1, 2, 3].map((number) => client.send(ENVELOPE, numbered(number)));
    assert.equal(await client.noop(), null);
    for (const outcome of await Promise.all(sent)) assert.equal(outcome.kind, 'accepted');
    await client.quit();
    const message = ['MAIL', 'RCPT', 'DATA'];
    assert.deepEqual(verbs(host.sessions[0]), ['EHLO', ...message, 'NOOP', ...message, ...message, 'QUIT']);
    await host.stop();
  }));

test('noop gives a Failure where the server refuses, closes, is silent or was never reached', () =>
  within(20_000, async () => {
    const rows: readonly (readonly [SmarthostOptions['script'], readonly unknown[]])[] = [
      [{ NOOP: '500 5.5.1 what' }, ['rejected', 'never', 'NOOP']],
      [{ NOOP: '421 4.3.2 going down' }, ['lost', 'later', 'NOOP']],
      [{ NOOP: 'close' }, ['lost', 'safe', 'NOOP']],
      [{ NOOP: 'silence' }, ['timeout', 'safe', 'NOOP']],
      [{ greeting: '554 5.7.1 not you' }, ['rejected', 'never', null]],
    ];
    for (const [script, wanted] of rows) {
      const { host, client } = await world(script, { timeouts: { command: 200 } });
      const failure = await client.noop();
      assert.deepEqual(brief(failure), wanted);
      assert.match(failure?.message ?? '', /^(?:127\.0\.0\.1 )?\[127\.0\.0\.1\]/);
      await untilUnusable(client);
      assert.notEqual(await client.noop(), null);
      await client.quit();
      await host.stop();
    }
  }));

test('after quit and after destroy whatever is asked for is usage, and nothing is said to the server', () =>
  within(10_000, async () => {
    for (const end of [(client: Client) => client.quit(), (client: Client) => client.destroy()]) {
      // Also where the session was not open yet.
      const unopened = await world();
      await end(unopened.client);
      for (const failure of [await unopened.client.ready(), await unopened.client.noop()]) assert.equal(failure?.code, 'usage');
      await unopened.host.stop();
      const { host, client } = await world();
      assert.equal(await client.ready(), null);
      await end(client);
      const outcome = await client.send(ENVELOPE, MESSAGE);
      assert.deepEqual(outcome, { ...outcome, attempts: [] });
      for (const failure of [failureOf(outcome), await client.noop(), await client.ready()])
        assert.deepEqual([...brief(failure), failure?.message], ['usage', 'never', null, 'the session was closed']);
      await client.quit();
      assert.deepEqual(
        verbs(host.sessions[0]).filter((verb) => verb !== 'QUIT'),
        ['EHLO'],
      );
      await host.stop();
    }
  }));

/* ---- signals ---- */

test('ready ends with its signal in every phase, and the session with it', () =>
  within(20_000, async () => {
    for (const phase of ['greeting', 'EHLO'] as const) {
      const point = pausePoint();
      const { host, client } = await world({ [phase]: point.deed });
      const controller = new AbortController();
      const ready = client.ready(controller.signal);
      await point.reached;
      controller.abort(new Error('enough'));
      const failure = await ready;
      assert.deepEqual([failure?.code, failure?.message, failure?.cause], ['aborted', 'enough', controller.signal.reason], phase);
      assert.equal(client.usable, false);
      await client.quit();
      await host.stop();
    }
  }));

test('ready with a signal that has come ends no session that is open', () =>
  within(10_000, async () => {
    const { host, client } = await world();
    assert.equal(await client.ready(), null);
    assert.equal((await client.ready(AbortSignal.abort(new Error('no'))))?.code, 'aborted');
    assert.ok(client.usable);
    assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await client.quit();
    await host.stop();
  }));

test('ready says once and again why the session did not open', () =>
  within(10_000, async () => {
    const { host, client } = await world({ EHLO: '550 5.7.1 no', HELO: '550 5.7.1 no' });
    for (let i = 0; i < 2; i++) assert.deepEqual(brief(await client.ready()).slice(0, 2), ['rejected', 'never']);
    assert.equal(client.usable, false);
    await client.quit();
    await host.stop();
  }));

test('the signal of connect ends what follows the connection, and nothing once the session is open', () =>
  within(10_000, async () => {
    const point = pausePoint();
    const host = await startHost({ script: { EHLO: point.deed } });
    const controller = new AbortController();
    const client = await clientOf(urlOf(host), { signal: controller.signal });
    const sent = client.send(ENVELOPE, MESSAGE);
    await point.reached;
    controller.abort(new Error('stop'));
    assert.deepEqual([(await client.ready())?.code, (await client.ready())?.message.includes('stop')], ['aborted', true]);
    assert.equal(failureOf(await sent).retry, 'safe');
    await host.stop();

    const open = await startHost();
    const later = new AbortController();
    const second = await clientOf(urlOf(open), { signal: later.signal });
    assert.equal(await second.ready(), null);
    await turns();
    assert.equal(getEventListeners(later.signal, 'abort').length, 0);
    later.abort();
    assert.equal((await second.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await second.quit();
    await open.stop();
  }));

test('a signal before its turn ends one message only, also behind a content that is slow to come', () =>
  within(10_000, async () => {
    const { host, client } = await world();
    let giveRest = (): void => {};
    async function* slow() {
      yield numbered(1);
      await new Promise<void>((resolve) => {
        giveRest = resolve;
      });
      yield 'more\r\n';
    }
    const first = client.send(ENVELOPE, slow());
    const controller = new AbortController();
    const second = client.send(ENVELOPE, numbered(2), { signal: controller.signal });
    const third = client.send(ENVELOPE, numbered(3));
    await turns();
    controller.abort(new Error('not this one'));
    const failure = failureOf(await second);
    assert.deepEqual([failure.code, failure.retry, failure.message], ['aborted', 'safe', 'not this one']);
    assert.equal(failure.cause, controller.signal.reason);
    giveRest();
    assert.deepEqual([(await first).kind, (await third).kind], ['accepted', 'accepted']);
    await client.quit();
    assert.deepEqual(numbers(host), [1, 3]);
    assert.equal(host.sessions.length, 1);
    await host.stop();
  }));

test('a signal under way ends the message before its commit, and the session with it; the next is lost and safe', () =>
  within(10_000, async () => {
    const point = pausePoint();
    const { host, client } = await world({ DATA: point.deed });
    const controller = new AbortController();
    const first = client.send(ENVELOPE, MESSAGE, { signal: controller.signal });
    const second = client.send(ENVELOPE, MESSAGE);
    await point.reached;
    controller.abort(new Error('too slow'));
    assert.deepEqual(brief(failureOf(await first)).slice(0, 2), ['aborted', 'safe']);
    assert.equal(failureOf(await first).cause, controller.signal.reason);
    assert.deepEqual(brief(failureOf(await second)).slice(0, 2), ['lost', 'safe']);
    assert.equal(client.usable, false);
    assert.equal(host.held.length, 0);
    await client.quit();
    await host.stop();
  }));

test('a signal after the commit waits for the verdict, for grace', () =>
  within(10_000, async () => {
    let answer = (): void => {};
    const asked = new Promise<void>((reached) => {
      answer = reached;
    });
    const controller = new AbortController();
    const { host, client } = await world({
      end: async () => {
        controller.abort(new Error('now'));
        answer();
        await turns();
        return '250 2.0.0 taken';
      },
    });
    const outcome = await client.send(ENVELOPE, MESSAGE, { signal: controller.signal });
    await asked;
    assert.equal(outcome.kind, 'accepted');
    await client.quit();
    await host.stop();

    const late = new AbortController();
    const point = pausePoint();
    const other = await world({ end: point.deed }, { grace: 50 });
    const sent = other.client.send(ENVELOPE, MESSAGE, { signal: late.signal });
    await point.reached;
    late.abort(new Error('now'));
    assert.deepEqual(brief(failureOf(await sent)).slice(0, 2), ['uncertain', 'unknown']);
    await other.client.quit();
    await other.host.stop();
  }));

test('timeouts.deadline is for each message: before the commit it is aborted, after it uncertain, and no grace is given', () =>
  within(10_000, async () => {
    const { host, client } = await world({ DATA: 'silence' }, { timeouts: { deadline: 100 } });
    const failure = failureOf(await client.send(ENVELOPE, MESSAGE));
    assert.deepEqual(brief(failure).slice(0, 2), ['aborted', 'safe']);
    assert.match(failure.message, /deadline/);
    await client.quit();
    await host.stop();

    // A busy machine must come to the commit before it.
    const other = await world({ end: 'silence' }, { timeouts: { deadline: 1000 }, grace: 3_600_000 });
    assert.deepEqual(brief(failureOf(await other.client.send(ENVELOPE, MESSAGE))).slice(0, 2), ['uncertain', 'unknown']);
    await other.client.quit();
    await other.host.stop();

    const good = await world({}, { timeouts: { deadline: 3_600_000 } });
    for (let i = 0; i < 3; i++) assert.equal((await good.client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await good.client.quit();
    await good.host.stop();
  }));

test('one signal for a thousand sends: no warning, and no listener is left', () =>
  within(60_000, async () => {
    for (const timeouts of [{}, { deadline: 3_600_000 }]) {
      const { host, client } = await world({}, { timeouts }, { offers: ['PIPELINING'] });
      const { signal } = new AbortController();
      let most = 0;
      const outcomes = await Promise.all(
        Array.from({ length: 1000 }, (_, i) => {
          const content = i % 3 === 0 ? { open: () => [numbered(i)] } : i % 3 === 1 ? new Blob([numbered(i)]) : numbered(i);
          const sent = client.send(ENVELOPE, content, { signal });
          most = Math.max(most, getEventListeners(signal, 'abort').length);
          return sent;
        }),
      );
      assert.ok(outcomes.every(({ kind }) => kind === 'accepted'));
      assert.ok(most <= 2, `${most} listeners`);
      assert.deepEqual(
        numbers(host),
        Array.from({ length: 1000 }, (_, i) => i),
      );
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      await client.quit();
      await host.stop();
    }
    assert.deepEqual(looking.warnings, []);
  }));

/* ---- order, and how many ---- */

test('messages go in order, also when the content of the first is slow', () =>
  within(10_000, async () => {
    const { host, client } = await world();
    async function* slow(number: number) {
      await turns(20);
      yield numbered(number);
      await turns(20);
    }
    const outcomes = await Promise.all([
      client.send(ENVELOPE, slow(1)),
      client.send(ENVELOPE, numbered(2)),
      client.send(ENVELOPE, new Blob([numbered(3)])),
      client.send(ENVELOPE, slow(4)),
      client.send(ENVELOPE, numbered(5)),
    ]);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      Array(5).fill('accepted'),
    );
    await client.quit();
    assert.deepEqual(numbers(host), [1, 2, 3, 4, 5]);
    await host.stop();
  }));

test('a message that is sent at any moment around the end of the content before it goes behind it', () =>
  within(20_000, async () => {
    const { host, client } = await world();
    await client.ready();
    const outcomes: Promise<Outcome>[] = [];
    const TURNS = 40;
    for (let turn = 0; turn < TURNS; turn++) {
      const [slow, next] = [numbered(2 * turn), numbered(2 * turn + 1)];
      let end = (): void => {};
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      const read = async function* () {
        yield slow;
        end();
      };
      outcomes.push(client.send(ENVELOPE, read()));
      await ended;
      for (let i = 0; i < turn; i++) await null;
      outcomes.push(client.send(ENVELOPE, next));
      await Promise.all(outcomes);
    }
    assert.deepEqual(numbers(host), [...Array(2 * TURNS).keys()]);
    await client.quit();
    await host.stop();
  }));

test('octets that their owner changes while they wait go out as they were, or, long ones, as lines all the same: no line end of theirs ends the message', () =>
  within(10_000, async () => {
    for (const [commit, offers] of [
      ['apart', ['PIPELINING']],
      ['together', ['PIPELINING']],
      ['apart', ['PIPELINING', 'CHUNKING']],
      ['together', ['PIPELINING', 'CHUNKING']],
    ] as const) {
      const { host, client } = await world({}, { commit }, { offers });
      const text = 'Subject: 2\r\n\r\nabcdefghijklmnopqrstuvwxyz\r\n';
      const filler = `${'x'.repeat(70)}\r\n`.repeat(1000);
      const few = Buffer.from(text);
      const many = Buffer.from(text + filler);
      const sent = [client.send(ENVELOPE, MESSAGE), client.send(ENVELOPE, few), client.send(ENVELOPE, many)];
      for (const octets of [few, many]) octets.write('\n.\nMAIL FROM:<>\n.\r', text.indexOf('abc'));
      for (const outcome of await Promise.all(sent)) assert.equal(outcome.kind, 'accepted');
      await client.quit();
      assert.deepEqual(
        host.held.map((held) => held.octets.toString().replace(filler, '…')),
        [MESSAGE, text, 'Subject: 2\r\n\r\n\r\n.\r\nMAIL FROM:<>\r\n.\r\nstuvwxyz\r\n…'],
      );
      const transaction = ['MAIL', 'RCPT', offers.length > 1 ? 'BDAT' : 'DATA'];
      assert.deepEqual(verbs(host.sessions[0]), ['EHLO', ...transaction, ...transaction, ...transaction, 'QUIT']);
      await host.stop();
    }
  }));

test('MAILMAX ends the use of the session, and nothing more is sent', () =>
  within(10_000, async () => {
    const { host, client } = await world({}, {}, { offers: ['LIMITS MAILMAX=2'] });
    assert.equal(await client.ready(), null);
    const ended = AbortSignal.abort();
    assert.equal(failureOf(await client.send(ENVELOPE, MESSAGE, { signal: ended })).code, 'aborted');
    assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    assert.ok(client.usable);
    assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    assert.equal(client.usable, false);
    const failure = failureOf(await client.send(ENVELOPE, MESSAGE));
    assert.deepEqual(brief(failure), ['lost', 'safe', null]);
    assert.match(failure.message, /takes no further message/);
    assert.deepEqual(await client.ready(), failure);
    await client.quit();
    assert.deepEqual(verbs(host.sessions[0]).filter((verb) => verb === 'MAIL').length, 2);
    await host.stop();
  }));

test('MAILMAX counts for messages that were given before the session is open, be they at hand or read', () =>
  within(10_000, async () => {
    for (const content of [() => MESSAGE, () => [MESSAGE].values()]) {
      const { host, client } = await world({}, {}, { offers: ['PIPELINING', 'LIMITS MAILMAX=2'] });
      const outcomes = Promise.all([1, 2, 3, 4].map(() => client.send(ENVELOPE, content())));
      const quitting = client.quit();
      const [first, second, ...others] = await outcomes;
      await quitting;
      assert.deepEqual([first?.kind, second?.kind], ['accepted', 'accepted']);
      // They were given in time, and the program made no mistake.
      for (const other of others) assert.deepEqual(brief(failureOf(other)), ['lost', 'safe', null]);
      assert.deepEqual(verbs(host.sessions[0]).filter((verb) => verb === 'MAIL').length, 2);
      await host.stop();
    }
  }));

/* ---- a session that does not open ---- */

const auth = { user: 'tim', password: 'secret', allowPlaintext: true };
const REFUSED: readonly (readonly [string, SmarthostOptions, Partial<Server>, readonly unknown[]])[] = [
  ['the greeting', { script: { greeting: '554 5.7.1 not you' } }, {}, ['rejected', 'never', null]],
  ['the greeting for now', { script: { greeting: '421 4.3.2 full' } }, {}, ['lost', 'later', null]],
  ['EHLO', { script: { EHLO: '550 5.7.1 no', HELO: '550 5.7.1 no' } }, {}, ['rejected', 'never', 'HELO']],
  ['EHLO by hanging up', { script: { EHLO: 'close' } }, {}, ['lost', 'safe', 'EHLO']],
  [
    'STARTTLS',
    { offers: ['STARTTLS'], script: { STARTTLS: '454 4.7.0 no' } },
    { tls: { mode: 'required' } },
    ['rejected', 'later', 'STARTTLS'],
  ],
  ['to offer STARTTLS', {}, { tls: { mode: 'required' } }, ['starttls-missing', 'never', null]],
  ['the login', { offers: ['AUTH PLAIN'], script: { AUTH: '535 5.7.8 no', QUIT: 'silence' } }, { auth }, ['auth-refused', 'never', 'AUTH']],
  ['the login for now', { offers: ['AUTH PLAIN'], script: { AUTH: '454 4.7.0 no' } }, { auth }, ['auth-refused', 'later', 'AUTH']],
];
for (const [what, options, policies, wanted] of REFUSED)
  test(`a server that refuses ${what} fails all messages that were given, and those that are given later, with its reason`, () =>
    within(10_000, async () => {
      const host = await startHost(options);
      const client = await clientOf({ url: urlOf(host), ...policies });
      async function* slow() {
        yield numbered(3);
        await new Promise(() => {});
      }
      const sent = [client.send(ENVELOPE, numbered(1)), client.send(ENVELOPE, numbered(2)), client.send(ENVELOPE, slow())];
      const failures = (await Promise.all(sent)).map(failureOf);
      failures.push(failureOf(await client.send(ENVELOPE, MESSAGE)), (await client.ready()) as Failure);
      for (const failure of failures) {
        assert.deepEqual(brief(failure), wanted, failure.message);
        assert.equal(failure.message, failures[0]?.message);
      }
      await client.quit();
      await host.stop();
    }));

/* ---- the truth after the end ---- */

const ENDS: Readonly<Record<string, (socket: import('node:net').Socket) => void>> = {
  FIN: (socket) => socket.end(),
  RST: (socket) => reset(socket),
  421: (socket) => socket.end('421 4.3.2 going down\r\n'),
};

for (const [name, end] of Object.entries(ENDS))
  test(`a session that the server ends by ${name} while it is idle: usable is false, and the next send is lost and safe`, () =>
    within(10_000, async () => {
      let socket: import('node:net').Socket | undefined;
      const heard: string[] = [];
      const server = await startScripted((each) => {
        socket = each;
        conversing((line) => {
          heard.push(line);
          return usual(line);
        })(each);
      });
      const client = await clientOf(urlOf(server));
      assert.equal(await client.ready(), null);
      assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
      assert.ok(client.usable);
      const before = heard.length;
      end(socket as import('node:net').Socket);
      await untilUnusable(client);
      const outcome = await client.send(ENVELOPE, MESSAGE);
      assert.deepEqual(brief(failureOf(outcome)), ['lost', 'safe', null]);
      assert.deepEqual(brief(await client.noop()).slice(0, 2), ['lost', 'safe']);
      assert.deepEqual(brief(await client.ready()), ['lost', 'safe', null]);
      await client.quit();
      assert.deepEqual(
        heard.slice(before).filter((line) => line !== 'QUIT'),
        [],
      );
      await server.close();
    }));

test('a session that ends when the next message is given is lost and safe, whatever the client knows yet', () =>
  within(10_000, async () => {
    const rows: readonly (readonly [SmarthostOptions['script'], readonly unknown[]])[] = [
      [{ MAIL: 'close' }, ['lost', 'safe', 'MAIL']],
      [{ MAIL: 'reset' }, ['lost', 'safe', 'MAIL']],
      [{ MAIL: '421 4.4.2 idle for too long' }, ['lost', 'safe', 'MAIL']],
      [{ DATA: 'close' }, ['lost', 'safe', 'DATA']],
      [{ DATA: '421 4.3.2 going down' }, ['lost', 'later', 'DATA']],
      [{ end: 'reset' }, ['uncertain', 'unknown', 'DATA']],
    ];
    for (const [script, wanted] of rows) {
      const { host, client } = await world(script);
      const [outcome, next] = await Promise.all([client.send(ENVELOPE, MESSAGE), client.send(ENVELOPE, MESSAGE)]);
      const failure = failureOf(outcome);
      assert.deepEqual(brief(failure), wanted, failure.message);
      assert.deepEqual(brief(failureOf(next)).slice(0, 2), ['lost', 'safe']);
      assert.equal(client.usable, false);
      await client.quit();
      await host.stop();
    }
  }));

/* ---- the end ---- */

test('quit finishes what was given, also what is still being read; twice is one', () =>
  within(10_000, async () => {
    const { host, client } = await world();
    async function* slow() {
      await turns(20);
      yield numbered(2);
    }
    const sent = [client.send(ENVELOPE, numbered(1)), client.send(ENVELOPE, slow()), client.send(ENVELOPE, numbered(3))];
    const quits = [client.quit(), client.quit()];
    assert.equal(client.usable, false);
    assert.deepEqual(brief(failureOf(await client.send(ENVELOPE, numbered(4)))), ['usage', 'never', null]);
    assert.deepEqual(
      (await Promise.all(sent)).map(({ kind }) => kind),
      ['accepted', 'accepted', 'accepted'],
    );
    await Promise.all(quits);
    assert.deepEqual(numbers(host), [1, 2, 3]);
    assert.deepEqual(
      verbs(host.sessions[0]).filter((verb) => verb === 'QUIT'),
      ['QUIT'],
    );
    await host.stop();
  }));

test('quit waits a while for 221, and then ends', () =>
  within(10_000, async () => {
    const { host, client } = await world({ QUIT: 'silence' });
    assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await client.quit();
    assert.deepEqual(verbs(host.sessions[0]).at(-1), 'QUIT');
    await host.stop();
  }));

test('a session that the server ends while quit waits for a content that is being read: lost and safe, because nobody aborted it', () =>
  within(10_000, async () => {
    let socket: import('node:net').Socket | undefined;
    const server = await startScripted((each) => {
      socket = each;
      conversing((line) => usual(line))(each);
    });
    const client = await clientOf(urlOf(server));
    assert.equal(await client.ready(), null);
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<string>>(() => {}) }) };
    const sent = client.send(ENVELOPE, never);
    const left = client.quit();
    socket?.end();
    assert.deepEqual(brief(failureOf(await sent)), ['lost', 'safe', null]);
    await left;
    await server.close();
  }));

test('await using says QUIT', () =>
  within(10_000, async () => {
    const host = await startHost();
    {
      await using client = await clientOf(urlOf(host));
      assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    }
    assert.deepEqual(verbs(host.sessions[0]).at(-1), 'QUIT');
    await host.stop();
  }));

test('destroy ends everything at once: what is under way, what waits, and what is still being read', () =>
  within(10_000, async () => {
    const point = pausePoint();
    const { host, client } = await world({ DATA: point.deed });
    let isClosed = false;
    const never = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<string>>(() => {}),
        async return() {
          isClosed = true;
          return { done: true as const, value: undefined };
        },
      }),
    };
    const sent = [client.send(ENVELOPE, MESSAGE), client.send(ENVELOPE, MESSAGE), client.send(ENVELOPE, never)];
    await point.reached;
    client.destroy(new Error('the program ends'));
    assert.equal(client.usable, false);
    for (const failure of (await Promise.all(sent)).map(failureOf)) {
      assert.deepEqual(brief(failure).slice(0, 2), ['aborted', 'safe']);
      assert.match(failure.message, /the program ends/);
    }
    assert.ok(isClosed);
    client.destroy();
    await client.quit();
    assert.equal(host.held.length, 0);
    await host.stop();
  }));

/* ---- what is told ---- */

test('facts name server, address and extensions', () =>
  within(10_000, async () => {
    const { host, client } = await world({}, {}, { offers: ['SIZE 1000', 'PIPELINING'] });
    assert.deepEqual(client.facts.extensions, []);
    assert.equal(await client.ready(), null);
    assert.deepEqual(client.facts, {
      url: `smtp://127.0.0.1:${host.port}`,
      name: '127.0.0.1',
      address: '127.0.0.1',
      port: host.port,
      tls: null,
      auth: null,
      extensions: ['SIZE 1000', 'PIPELINING'],
    });
    const outcome = await client.send(ENVELOPE, MESSAGE);
    assert.ok(outcome.kind === 'accepted');
    assert.deepEqual(outcome.server, client.facts);
    assert.deepEqual(structuredClone(outcome), outcome);
    await client.quit();
    await host.stop();
  }));

test('progress of one message goes to its own function, with its size; the others to that of the session', () =>
  within(10_000, async () => {
    const all: Progress[] = [];
    const own: Progress[] = [];
    const { host, client } = await world({}, { progress: (event) => void all.push(event) });
    const content = `Subject: 1\r\n\r\n${'x'.repeat(70)}\r\n`;
    const outcomes = await Promise.all([
      client.send(ENVELOPE, content, { progress: (event) => void own.push(event) }),
      client.send(ENVELOPE, MESSAGE),
    ]);
    assert.ok(outcomes.every(({ kind }) => kind === 'accepted'));
    assert.deepEqual(
      [own.at(-1), all.at(-1)],
      [
        { octets: content.length, size: content.length },
        { octets: MESSAGE.length, size: MESSAGE.length },
      ],
    );
    assert.ok(own.every(({ size }) => size === content.length));
    await client.quit();
    await host.stop();
  }));

test('trace events carry session, attempt, message, side, line and time', () =>
  within(10_000, async () => {
    const host = await sink({ extensions: ['PIPELINING'] });
    const events: TraceEvent[] = [];
    const client = await clientOf(host.url, { trace: (event) => void events.push(event) });
    await Promise.all([client.send(ENVELOPE, MESSAGE), client.send(ENVELOPE, MESSAGE), client.noop()]);
    await client.quit();
    const other: TraceEvent[] = [];
    const second = await clientOf(host.url, { trace: (event) => void other.push(event) });
    await second.quit();
    assert.deepEqual(Object.keys(events[0] as object).sort(), ['attempt', 'line', 'message', 'server', 'session', 'side', 'time']);
    assert.equal(new Set(events.map(({ session }) => session)).size, 1);
    assert.ok((other[0]?.session as number) > (events[0]?.session as number));
    assert.ok(events.every(({ attempt, time, server }) => attempt === 0 && Math.abs(Date.now() - time) < 3_600_000 && server !== ''));
    const said = events.filter(({ side }) => side === 'client');
    assert.deepEqual(
      said.filter(({ line }) => line.startsWith('MAIL')).map(({ message }) => message),
      [0, 1],
    );
    assert.deepEqual(
      said.filter(({ line }) => /^(EHLO|QUIT)/.test(line)).map(({ message }) => message),
      [null, null],
    );
    const isAnswer = ({ line, side }: TraceEvent): boolean => side === 'server' && /^(?:220|354)/.test(line);
    assert.deepEqual([events.find(isAnswer)?.message, events.filter(isAnswer).at(-1)?.message === null], [null, false]);
    await host.close();
  }));

test('trace of one message hears its own lines, also those that came in one piece with another’s, and the session’s trace hears all', () =>
  within(10_000, async () => {
    for (const isTraced of [true, false]) {
      // All that the host says to what came together goes out together.
      const host = await startHost({ offers: ['PIPELINING'], patience: 50 });
      const all: TraceEvent[] = [];
      const own: TraceEvent[][] = [[], [], []];
      const client = await clientOf(urlOf(host), isTraced ? { trace: (event) => void all.push(event) } : {});
      const hear = (i: number) => (event: TraceEvent) => {
        own[i]?.push(event);
        throw new Error('a trace that fails');
      };
      const outcomes = await Promise.all([0, 1, 2].map((i) => client.send(ENVELOPE, numbered(i), i === 1 ? {} : { trace: hear(i) })));
      assert.ok(outcomes.every(({ kind }) => kind === 'accepted'));
      await client.quit();
      for (const i of [0, 2]) {
        assert.ok(own[i]?.every(({ message, attempt, session }) => message === i && attempt === 0 && session > 0));
        const lines = own[i]?.filter(({ side }) => side !== 'event').map(({ side, line }) => `${side} ${line.slice(0, 4).trim()}`);
        const said = ['client MAIL', 'client RCPT', 'client DATA', 'server 250', 'server 250', 'server 354', 'client .', 'server 250'];
        assert.deepEqual(lines, said);
        if (isTraced)
          assert.deepEqual(
            all.filter(({ message }) => message === i).map(({ line }) => line),
            own[i]?.map(({ line }) => line),
          );
      }
      assert.equal(own[1]?.length, 0);
      await host.stop();
    }
    assert.ok(looking.warnings.length > 0);
  }));

test('a message that is given at the outcome of another goes along with the end of the one between, also where that is one write with its content', () =>
  within(10_000, async () => {
    for (const commit of ['apart', 'together'] as const) {
      const host = await startHost({ offers: ['PIPELINING'], patience: 50 });
      const all: TraceEvent[] = [];
      const client = await clientOf(urlOf(host), { commit, trace: (event) => void all.push(event) });
      const [first, second] = [0, 1].map((i) => client.send(ENVELOPE, numbered(i)));
      assert.equal((await first)?.kind, 'accepted');
      const third = client.send(ENVELOPE, numbered(2));
      for (const sent of [second, third]) assert.equal((await sent)?.kind, 'accepted');
      const mail = all.findIndex(({ message, line }) => message === 2 && line.startsWith('MAIL'));
      const verdict = all.findLastIndex(({ message, side }) => message === 1 && side === 'server');
      assert.ok(mail > 0 && mail < verdict, `${commit}: ${mail}, ${verdict}`);
      await client.quit();
      await host.stop();
    }
  }));

test('impossible options of one message are usage, and the session stays', () =>
  within(10_000, async () => {
    const { host, client } = await world();
    for (const options of [null, 7, { signal: 7 }, { progress: 7 }, { trace: 7 }, { sginal: AbortSignal.abort() }])
      assert.equal(failureOf(await client.send(ENVELOPE, MESSAGE, options as never)).code, 'usage');
    assert.equal((await client.ready(7 as never))?.code, 'usage');
    assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await client.quit();
    await host.stop();
  }));

test.run();
