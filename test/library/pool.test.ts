/**
 * A pool: how many sessions there are and how long, what is sent again and what never, and how it ends.
 * Loopback: passwords go in clear because allowPlaintext says so, and what is looked at is what the pool makes of the answer.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import type { Socket } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import {
  type Content,
  connect,
  type Failure,
  type Outcome,
  Pool,
  type PoolOptions,
  type SendOptions,
  type Server,
} from '../../src/library/index.ts';
import { sink } from '../../src/testing/index.ts';
import { reset } from '../support/reset.ts';
import { conversing, startScripted, usual } from '../support/scripted.ts';
import { type Deed, type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { tunnelTo } from '../support/streams.ts';
import { within } from '../support/within.ts';
import { ENVELOPE, turns, watch } from './doors.ts';

const test = suite('pool');
const looking = watch();
test.after.each(() => looking.check());
test.after(() => {
  assert.deepEqual(looking.warnings, []);
  looking.stop();
});

const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';
const numbered = (number: number): string => `Subject: ${number}\r\n\r\nhello\r\n`;
const numberOf = (octets: Buffer): number => Number(/^Subject: (\d+)/.exec(octets.toString('latin1'))?.[1]);
const numbers = ({ held }: TestHost): number[] => held.map(({ octets }) => numberOf(octets)).sort((a, b) => a - b);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const urlOf = ({ port }: { readonly port: number }): string => `smtp://127.0.0.1:${port}`;
const verbs = (lines: readonly string[] | undefined): string[] => (lines ?? []).map((line) => line.split(/[ :]/)[0] as string);

function failureOf(outcome: Outcome): Failure {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  return (outcome as Extract<Outcome, { kind: 'failed' }>).failure;
}
const brief = (failure: Failure | null): readonly unknown[] => (failure === null ? [] : [failure.code, failure.retry]);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await pause(5);
}
const sendMany = (pool: Pool, count: number, options?: SendOptions): Promise<Outcome[]> =>
  Promise.all(upTo(count).map((number) => pool.send(ENVELOPE, numbered(number), options)));

/** A deed that is done the first time, and never again. */
function once1(deed: Deed, then: Deed): () => Promise<string> {
  let isDone = false;
  return async () => {
    const now = isDone ? then : deed;
    isDone = true;
    return now as string;
  };
}

/** Silence, until it is told to answer. */
function gate(answer: string): {
  readonly deed: () => Promise<string>;
  readonly open: () => void;
  readonly reached: Promise<void>;
  readonly count: () => number;
} {
  let open = (): void => {};
  let reach = (): void => {};
  let count = 0;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  return {
    open,
    reached,
    count: () => count,
    deed: async () => {
      count += 1;
      reach();
      await opened;
      return answer;
    },
  };
}

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const server = await startScripted(() => {});
  await server.close();
  return server.port;
}

async function world(options: PoolOptions = {}, script: SmarthostOptions['script'] = {}, more: SmarthostOptions = {}) {
  const host = await startHost({ script, ...more });
  return { host, pool: new Pool(urlOf(host), options) };
}

/** Refuses every command that came together with the end of a content, against smuggling, as Haraka does. `mails`: how often it takes MAIL. */
function refusingBehind(heard: string[], mails = Number.POSITIVE_INFINITY): (socket: Socket) => void {
  let isBehind = false;
  return conversing((line) => {
    heard.push(line);
    if (isBehind) return '503 5.5.1 pipelined after the end of DATA\r\n';
    if (line === '.') {
      isBehind = true;
      setImmediate(() => {
        isBehind = false;
      });
    }
    if (/^MAIL/.test(line) && --mails < 0) return '503 5.5.1 not now\r\n';
    return usual(line, ['PIPELINING']);
  });
}

test('a server that takes no envelope behind a content gets each once more in its turn, and none there again', () =>
  within(20_000, async () => {
    const heard: string[] = [];
    const server = await startScripted(refusingBehind(heard));
    const pool = new Pool(urlOf(server), { connections: 1, retries: 0 });
    const outcomes = await sendMany(pool, 6);
    await pool.drain();
    const opened = await connect(urlOf(server));
    assert.ok(opened.ok);
    outcomes.push(...(await Promise.all(upTo(6).map((number) => opened.client.send(ENVELOPE, numbered(number))))));
    await opened.client.quit();
    await server.close();
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      Array.from({ length: 12 }, () => 'accepted'),
    );
    assert.equal(heard.filter((line) => line === '.').length, 12);
    assert.equal(heard.filter((line) => /^MAIL/.test(line)).length, 14, 'one envelope of each session is refused');
  }));

test('a pool gives a server that does not hear an envelope behind a content each message in its turn, once it has waited for it', () =>
  within(20_000, async () => {
    const heard: string[] = [];
    let isBehind = false;
    const server = await startScripted(
      conversing((line) => {
        if (isBehind) return '';
        heard.push(line);
        isBehind = line === '.';
        if (isBehind) setImmediate(() => (isBehind = false));
        return usual(line, ['PIPELINING']);
      }),
    );
    const pool = new Pool(urlOf(server), { connections: 1, timeouts: { command: 300 } });
    const outcomes = await sendMany(pool, 8);
    await pool.drain();
    await server.close();
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      Array.from({ length: 8 }, () => 'accepted'),
    );
    assert.equal(heard.filter((line) => /^EHLO/.test(line)).length, 2, 'one time-out');
    assert.equal(heard.filter((line) => line === '.').length, 8);
  }));

test('503 to MAIL in its turn is told', () =>
  within(20_000, async () => {
    const heard: string[] = [];
    const server = await startScripted(refusingBehind(heard, 1));
    const opened = await connect(urlOf(server));
    assert.ok(opened.ok);
    const [first, second] = await Promise.all(upTo(2).map((number) => opened.client.send(ENVELOPE, numbered(number))));
    await opened.client.quit();
    await server.close();
    assert.equal(first?.kind, 'accepted');
    const failure = failureOf(second as Outcome);
    assert.deepEqual([...brief(failure), failure.reply?.lines], ['rejected', 'never', ['5.5.1 not now']]);
    assert.equal(heard.filter((line) => /^MAIL/.test(line)).length, 3);
  }));

/* ---- sessions ---- */

test('many messages go over few sessions, and none is lost or doubled', () =>
  within(20_000, async () => {
    const { host, pool } = await world({ connections: 3 });
    const outcomes = await sendMany(pool, 60);
    assert.ok(outcomes.every(({ kind }) => kind === 'accepted'));
    assert.ok(host.sessions.length <= 3);
    assert.deepEqual(pool.stats, { open: host.sessions.length, busy: 0, waiting: 0 });
    await pool.drain();
    assert.deepEqual(pool.stats, { open: 0, busy: 0, waiting: 0 });
    assert.deepEqual(numbers(host), upTo(60));
    assert.ok(host.sessions.every((session) => verbs(session).at(-1) === 'QUIT'));
    await host.stop();
  }));

test('one message opens one session, and the next uses it', () =>
  within(10_000, async () => {
    const { host, pool } = await world();
    for (let i = 0; i < 3; i++) assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await pool.drain();
    assert.equal(host.sessions.length, 1);
    await host.stop();
  }));

test('there are never more sessions than connections, and stats tell of them', () =>
  within(20_000, async () => {
    const door = gate('250 2.0.0 taken');
    const { host, pool } = await world({ connections: 2, pipelining: false }, { end: door.deed });
    const sent = sendMany(pool, 10);
    await until(() => door.count() === 2);
    assert.deepEqual(pool.stats, { open: 2, busy: 2, waiting: 8 });
    door.open();
    assert.ok((await sent).every(({ kind }) => kind === 'accepted'));
    await pool.drain();
    assert.equal(host.sessions.length, 2);
    await host.stop();
  }));

test('messagesPerConnection closes a session, and another goes on', () =>
  within(10_000, async () => {
    for (const pipelining of [true, false]) {
      const { host, pool } = await world({ connections: 1, messagesPerConnection: 2, pipelining });
      assert.ok((await sendMany(pool, 5)).every(({ kind }) => kind === 'accepted'));
      await pool.drain();
      assert.deepEqual(
        host.sessions.map((session) => verbs(session).filter((verb) => verb === 'MAIL').length),
        [2, 2, 1],
      );
      assert.ok(host.sessions.every((session) => verbs(session).at(-1) === 'QUIT'));
      await host.stop();
    }
  }));

test('a server with MAILMAX gets no more in a session than it takes', () =>
  within(10_000, async () => {
    const { host, pool } = await world({ connections: 1 }, {}, { offers: ['PIPELINING', 'LIMITS MAILMAX=2'] });
    assert.ok((await sendMany(pool, 5)).every(({ kind }) => kind === 'accepted'));
    await pool.drain();
    assert.deepEqual(
      host.sessions.map((session) => verbs(session).filter((verb) => verb === 'MAIL').length),
      [2, 2, 1],
    );
    await host.stop();
  }));

test('with pipelining the next envelope comes with the end of the message before it; without it does not', () =>
  within(10_000, async () => {
    for (const pipelining of [true, false]) {
      // The host answers the end of the first message only when it has heard what came along.
      const lines: string[][] = [];
      const { host, pool } = await world(
        { connections: 1, pipelining },
        {
          end: async ({ socket }) => {
            await pause(50);
            lines.push([socket.remotePort === undefined ? '' : 'held']);
            return '250 2.0.0 taken';
          },
        },
        { offers: ['PIPELINING'], patience: 30 },
      );
      assert.ok((await sendMany(pool, 3)).every(({ kind }) => kind === 'accepted'));
      await pool.drain();
      const mails = host.flights.filter((flight) => flight === 'MAIL').length;
      assert.equal(mails, pipelining ? 1 : 3, JSON.stringify(host.flights));
      await host.stop();
    }
  }));

test('a session without work is closed after idle, and after ttl it is used no more', () =>
  within(10_000, async () => {
    const { host, pool } = await world({ idle: 30 });
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await until(() => verbs(host.sessions[0]).at(-1) === 'QUIT');
    assert.equal(pool.stats.open, 0);
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await pool.drain();
    assert.equal(host.sessions.length, 2);
    await host.stop();

    // Less time than it takes to give it a message: it has that one all the same.
    const other = await world({ ttl: 0.001, connections: 1 });
    for (let i = 0; i < 2; i++) {
      assert.equal((await other.pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
      await until(() => other.pool.stats.open === 0);
    }
    await other.pool.drain();
    assert.equal(other.host.sessions.length, 2);
    await other.host.stop();
  }));

test('a session is not idle while the next message is under way in it', () =>
  within(10_000, async () => {
    const held = gate('250 2.0.0 taken');
    let ends = 0;
    const { host, pool } = await world({ connections: 1, idle: 1 }, { end: () => (ends++ === 0 ? '250 2.0.0 taken' : held.deed()) });
    const sent = sendMany(pool, 2);
    await held.reached;
    await pause(20);
    assert.deepEqual(pool.stats, { open: 1, busy: 1, waiting: 0 });
    held.open();
    assert.ok((await sent).every(({ kind }) => kind === 'accepted'));
    await pool.drain();
    await host.stop();
  }));

/* ---- the rate ---- */

test('no more messages begin than the rate allows, and no session is opened for those that wait', () =>
  within(20_000, async () => {
    const { host, pool } = await world({ rate: { messages: 3, per: 3_600_000 }, connections: 5, idle: 20 });
    const sent = sendMany(pool, 8);
    await until(() => host.held.length === 3);
    // Sessions that were opened in vain would come in the meantime.
    await pause(100);
    assert.equal(host.held.length, 3);
    assert.ok(host.sessions.length <= 3, `${host.sessions.length} sessions`);
    assert.equal(pool.stats.waiting, 5);
    pool.destroy(new Error('enough'));
    const outcomes = await sent;
    assert.equal(outcomes.filter(({ kind }) => kind === 'accepted').length, 3);
    await pool.drain();
    await host.stop();

    const quick = await world({ rate: { messages: 2, per: 20 }, connections: 2 });
    assert.ok((await sendMany(quick.pool, 7)).every(({ kind }) => kind === 'accepted'));
    await quick.pool.drain();
    assert.deepEqual(numbers(quick.host), upTo(7));
    await quick.host.stop();
  }));

/* ---- again ---- */

test('what nobody has is sent again, at most retries times, and every attempt is told', () =>
  within(10_000, async () => {
    const { host, pool } = await world({ retries: 2, connections: 1 }, { MAIL: 'close' });
    const outcome = await pool.send(ENVELOPE, MESSAGE);
    const failure = failureOf(outcome);
    assert.deepEqual(brief(failure), ['lost', 'safe']);
    assert.equal(host.sessions.length, 3);
    assert.equal(outcome.attempts.length, 3);
    assert.deepEqual(outcome.attempts.at(-1)?.failure, failure);
    await pool.drain();
    await host.stop();

    const none = await world({ retries: 0 }, { DATA: 'close' });
    assert.deepEqual(brief(failureOf(await none.pool.send(ENVELOPE, MESSAGE))), ['lost', 'safe']);
    assert.equal(none.host.sessions.length, 1);
    await none.pool.drain();
    await none.host.stop();

    const second = await world({}, { DATA: once1('reset', '354 go ahead') });
    const good = await second.pool.send(ENVELOPE, MESSAGE);
    assert.ok(good.kind === 'accepted');
    assert.deepEqual(
      good.attempts.map(({ failure: { code }, server: { port } }) => [code, port]),
      [['lost', second.host.port]],
    );
    assert.equal(second.host.held.length, 1);
    await second.pool.drain();
    await second.host.stop();
  }));

test('never again: what is uncertain, what was refused, and content that cannot be read again', () =>
  within(20_000, async () => {
    const long = `${'x'.repeat(76)}\r\n`.repeat(100);
    async function* stream() {
      for (let i = 0; i < 20; i++) yield long;
      await new Promise(() => {});
    }
    const rows: readonly (readonly [SmarthostOptions['script'], () => Content, readonly unknown[]])[] = [
      [{ end: 'reset' }, () => MESSAGE, ['uncertain', 'unknown']],
      [{ end: 'close' }, () => MESSAGE, ['uncertain', 'unknown']],
      [{ MAIL: '451 4.3.0 later' }, () => MESSAGE, ['rejected', 'later']],
      [{ RCPT: '550 5.1.1 no such user' }, () => MESSAGE, ['rejected', 'never']],
      [{ end: '452 4.3.1 full' }, () => MESSAGE, ['rejected', 'later']],
      [{ end: '554 5.7.1 spam' }, () => MESSAGE, ['rejected', 'never']],
      [{ content: 'reset' }, stream, ['lost', 'safe']],
    ];
    for (const [script, content, wanted] of rows) {
      const { host, pool } = await world({ retries: 5, connections: 1, pipelining: false }, script, { contentOctets: 100_000 });
      const failure = failureOf(await pool.send(ENVELOPE, content()));
      assert.deepEqual(brief(failure), wanted, failure.message);
      assert.equal(host.sessions.length, 1);
      assert.ok(host.held.length <= 1);
      await pool.drain();
      await host.stop();
    }
  }));

for (const [name, end] of [
  ['FIN', (socket: Socket) => void socket.end()],
  ['RST', (socket: Socket) => reset(socket)],
  ['421', (socket: Socket) => void socket.end('421 4.4.2 idle for too long\r\n')],
] as const)
  test(`an idle session that the server ends by ${name} costs no failure, also when the message is given at that moment`, () =>
    within(10_000, async () => {
      const sockets: Socket[] = [];
      const server = await startScripted((socket) => {
        sockets.push(socket);
        conversing((line) => usual(line))(socket);
      });
      const pool = new Pool(urlOf(server), { retries: 0, connections: 1 });
      assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
      end(sockets[0] as Socket);
      const now = await pool.send(ENVELOPE, MESSAGE);
      assert.equal(now.kind, 'accepted', JSON.stringify(now));
      end(sockets[1] as Socket);
      await until(() => pool.stats.open === 0);
      const later = await pool.send(ENVELOPE, MESSAGE);
      assert.equal(later.kind, 'accepted', JSON.stringify(later));
      await pool.drain();
      assert.equal(server.connections, 3);
      await server.close();
    }));

test('with retries 0 nothing else is sent again: not to a session that was new, that had answered, or that is silent', () =>
  within(20_000, async () => {
    const again = { DATA: once1('354 go ahead', 'close') };
    const rows: readonly (readonly [SmarthostOptions['script'], readonly unknown[]])[] = [
      [again, ['lost', 'safe']],
      [{ RCPT: once1('250 2.1.5 ok', 'close') }, ['lost', 'safe']],
      [{ MAIL: once1('250 2.1.0 ok', 'silence') }, ['timeout', 'safe']],
    ];
    for (const [script, wanted] of rows) {
      const { host, pool } = await world({ retries: 0, connections: 1, timeouts: { command: 200 } }, script);
      assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
      const outcome = await pool.send(ENVELOPE, MESSAGE);
      assert.deepEqual([...brief(failureOf(outcome)), outcome.attempts.length], [...wanted, 1]);
      await pool.drain();
      assert.equal(host.sessions.length, 1);
      await host.stop();
    }
    const fresh = await world({ retries: 0 }, { MAIL: 'close' });
    assert.deepEqual(brief(failureOf(await fresh.pool.send(ENVELOPE, MESSAGE))), ['lost', 'safe']);
    await fresh.pool.drain();
    assert.equal(fresh.host.sessions.length, 1);
    await fresh.host.stop();
  }));

test('a server that takes few messages in a session costs no failure, whether the next went along or not', () =>
  within(20_000, async () => {
    for (const how of ['421 4.7.0 enough in this session', 'close', 'reset'])
      for (const pipelining of [true, false]) {
        const counts = new WeakMap<object, number>();
        const count = (socket: object): number => counts.get(socket) ?? 0;
        const { host, pool } = await world(
          { connections: 3, pipelining, retries: 0 },
          {
            MAIL: ({ socket }) => (count(socket) >= 2 ? how : '250 2.1.0 ok'),
            end({ socket }) {
              counts.set(socket, count(socket) + 1);
              return '250 2.0.0 taken';
            },
          },
          { offers: ['PIPELINING'] },
        );
        const outcomes = await sendMany(pool, 40);
        assert.deepEqual(
          outcomes.filter(({ kind }) => kind !== 'accepted'),
          [],
        );
        await pool.drain();
        assert.deepEqual(numbers(host), upTo(40));
        await host.stop();
      }
  }));

test('however many idle sessions the server has closed, a message outlives them all, and tells of each', () =>
  within(10_000, async () => {
    const sockets: Socket[] = [];
    let ended = 0;
    const server = await startScripted((socket) => {
      sockets.push(socket);
      conversing((line) => {
        if (line !== '.' || ended >= 3) return usual(line);
        ended += 1;
        return '';
      })(socket);
    });
    const pool = new Pool(urlOf(server), { retries: 0, connections: 3, pipelining: false });
    const sent = sendMany(pool, 3);
    await until(() => ended === 3);
    for (const socket of sockets) socket.write('250 taken\r\n');
    assert.ok((await sent).every(({ kind }) => kind === 'accepted'));
    for (const socket of sockets) socket.end('421 4.4.2 idle for too long\r\n');
    const outcome = await pool.send(ENVELOPE, MESSAGE);
    assert.ok(outcome.kind === 'accepted', JSON.stringify(outcome));
    assert.ok(outcome.attempts.every(({ failure: { code, verb } }) => code === 'lost' && verb === 'MAIL'));
    await pool.drain();
    await server.close();
  }));

test('where one idle session is silent, the others are not asked in turn: the next attempt, and verify, have a session of their own', () =>
  within(20_000, async () => {
    for (const asks of ['send', 'verify'] as const) {
      let opened = 0;
      let ended = 0;
      let asked = 0;
      let isAsleep = false;
      const sockets: Socket[] = [];
      const server = await startScripted((socket) => {
        const number = opened++;
        sockets.push(socket);
        conversing((line) => {
          if (isAsleep && number < 4) {
            if (line === 'NOOP') asked += 1;
            return '';
          }
          if (line !== '.' || ended >= 4) return usual(line);
          ended += 1;
          return '';
        })(socket);
      });
      const pool = new Pool(urlOf(server), { connections: 4, pipelining: false, idle: 60_000, timeouts: { command: 300 } });
      const sent = sendMany(pool, 4);
      await until(() => ended === 4);
      for (const socket of sockets) socket.write('250 taken\r\n');
      assert.ok((await sent).every(({ kind }) => kind === 'accepted'));
      assert.equal(pool.stats.open, 4);
      isAsleep = true;
      if (asks === 'send') {
        const outcome = await pool.send(ENVELOPE, MESSAGE);
        assert.ok(outcome.kind === 'accepted', JSON.stringify(outcome));
        assert.deepEqual(
          outcome.attempts.map(({ failure: { code, verb } }) => [code, verb]),
          [['timeout', 'MAIL']],
        );
      } else {
        assert.equal(await pool.verify(), null);
        assert.equal(asked, 1);
      }
      assert.equal(opened, 5);
      await pool.drain();
      await server.close();
    }
  }));

test('a message that waits to be sent again, and is aborted, tells of its attempts', () =>
  within(10_000, async () => {
    const ends: readonly ((pool: Pool, own: AbortController) => void)[] = [
      (_pool, own) => own.abort(new Error('enough')),
      (pool) => pool.destroy(new Error('enough')),
    ];
    for (const end of ends) {
      const door = gate('250 smart.example');
      let sessions = 0;
      const EHLO = () => {
        sessions += 1;
        return sessions === 1 ? '250 smart.example' : door.deed();
      };
      const { host, pool } = await world({ connections: 1 }, { EHLO, DATA: 'close' });
      const own = new AbortController();
      const sent = pool.send(ENVELOPE, MESSAGE, { signal: own.signal });
      await door.reached;
      end(pool, own);
      const outcome = await sent;
      assert.deepEqual([failureOf(outcome).code, failureOf(outcome).message], ['aborted', 'enough']);
      assert.deepEqual(
        outcome.attempts.map(({ failure: { code, verb } }) => [code, verb]),
        [['lost', 'DATA']],
      );
      door.open();
      pool.destroy();
      await pool.drain();
      await host.stop();
    }
  }));

test('content that was read too far to be read again is told, where another attempt was due', () =>
  within(10_000, async () => {
    const long = `${'x'.repeat(76)}\r\n`.repeat(100);
    async function* stream() {
      for (let i = 0; i < 20; i++) yield long;
      await new Promise(() => {});
    }
    for (const retries of [1, 0]) {
      const { host, pool } = await world({ retries }, { content: 'reset' }, { contentOctets: 100_000 });
      const outcome = await pool.send(ENVELOPE, stream());
      assert.ok(outcome.kind === 'failed');
      assert.equal(outcome.unreplayable, retries > 0 ? true : undefined);
      assert.equal(/cannot be read again/.test(outcome.failure.hint ?? ''), retries > 0);
      assert.deepEqual(outcome.attempts.at(-1)?.failure, outcome.failure);
      await pool.drain();
      await host.stop();
    }
  }));

test('trace of one message hears all its attempts, and tells them apart', () =>
  within(10_000, async () => {
    const { host, pool } = await world({ connections: 1 }, { DATA: once1('close', '354 go ahead') });
    const heard: string[] = [];
    const trace: SendOptions['trace'] = ({ attempt, session, side, line }) => {
      if (side === 'client') heard.push(`${attempt} ${line.split(/[ :]/)[0]}`);
      sessions.add(session);
    };
    const sessions = new Set<number>();
    assert.equal((await pool.send(ENVELOPE, MESSAGE, { trace })).kind, 'accepted');
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    assert.deepEqual(heard, ['0 MAIL', '0 RCPT', '0 DATA', '1 MAIL', '1 RCPT', '1 DATA', '1 .']);
    assert.equal(sessions.size, 2);
    await pool.drain();
    await host.stop();
  }));

test('timeouts.deadline counts from the call: also while the content is read, and while the message waits', () =>
  within(20_000, async () => {
    const { host, pool } = await world({ rate: { messages: 1, per: 3_600_000 }, timeouts: { deadline: 300 } });
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<string>>(() => {}) }) };
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    for (const outcome of await Promise.all([pool.send(ENVELOPE, MESSAGE), pool.send(ENVELOPE, never)])) {
      assert.deepEqual(brief(failureOf(outcome)), ['aborted', 'safe']);
      assert.match(failureOf(outcome).message, /the deadline of 0\.3 s has passed/);
    }
    assert.deepEqual(pool.stats, { open: 1, busy: 0, waiting: 0 });
    await pool.drain();
    await host.stop();
  }));

/* ---- several servers ---- */

test('the next server takes over when the first cannot be reached, refuses the greeting or the login', () =>
  within(20_000, async () => {
    const good = await startHost();
    const turned = await startHost({ script: { greeting: '554 5.7.1 not you' } });
    const locked = await startHost({ offers: ['AUTH PLAIN'], script: { AUTH: '535 5.7.8 no' } });
    const auth = { user: 'tim', password: 'secret', allowPlaintext: true };
    for (const first of [
      { url: `smtp://127.0.0.1:${await deadPort()}` },
      { url: urlOf(turned) },
      { url: urlOf(locked), auth },
    ] satisfies Server[]) {
      const pool = new Pool([first, urlOf(good)], { connections: 1 });
      const outcome = await pool.send(ENVELOPE, MESSAGE);
      assert.ok(outcome.kind === 'accepted', JSON.stringify(outcome));
      assert.equal(outcome.server.port, good.port);
      assert.equal(await pool.verify(), null);
      await pool.drain();
    }
    assert.equal(good.held.length, 3);
    await Promise.all([good.stop(), turned.stop(), locked.stop()]);
  }));

test('a server that failed rests: the next sessions go to the other, and it is tried again where no other is left', () =>
  within(20_000, async () => {
    for (const script of [{ greeting: 'close' }, { MAIL: 'close' }] satisfies SmarthostOptions['script'][]) {
      const first = await startHost({ script });
      const second = await startHost();
      const pool = new Pool([urlOf(first), urlOf(second)], { messagesPerConnection: 1, connections: 1 });
      for (let i = 0; i < 4; i++) {
        const outcome = await pool.send(ENVELOPE, numbered(i));
        assert.ok(outcome.kind === 'accepted', JSON.stringify(outcome));
        assert.deepEqual([outcome.server.port, outcome.attempts.length], [second.port, i === 0 ? 1 : 0]);
      }
      assert.equal(await pool.verify(), null);
      assert.equal(first.sessions.length, 1);
      await second.stop();
      const none = await pool.send(ENVELOPE, MESSAGE);
      assert.equal(none.kind, 'failed');
      assert.ok(none.attempts.some(({ server }) => server.port === first.port));
      assert.ok(first.sessions.length > 1);
      await pool.drain();
      await first.stop();
    }
  }));

test('when all are down everybody who waited hears of it, and there is no storm of connections', () =>
  within(20_000, async () => {
    const first = await startHost({ script: { greeting: '421 4.3.2 full' } });
    const second = await startHost({ script: { EHLO: 'close' } });
    const pool = new Pool([urlOf(first), urlOf(second)], { connections: 3 });
    const outcomes = await sendMany(pool, 100);
    for (const outcome of outcomes) {
      const failure = failureOf(outcome);
      assert.equal(failure.code, 'lost');
      assert.deepEqual(
        outcome.attempts.map(({ server }) => server.port),
        [first.port, second.port],
      );
      assert.deepEqual(outcome.attempts.at(-1)?.failure, failure);
    }
    // Those who came while a session was being opened have had one try of their own.
    assert.ok(first.sessions.length <= 6 && second.sessions.length <= 6, `${first.sessions.length} ${second.sessions.length}`);
    await pool.drain();
    await Promise.all([first.stop(), second.stop()]);
  }));

test('while one session is stuck and no other could be opened, another is tried after a pause', () =>
  within(20_000, async () => {
    const door = gate('250 2.0.0 taken');
    let greetings = 0;
    const { host, pool } = await world(
      { connections: 2, pipelining: false },
      {
        greeting: async () => {
          greetings += 1;
          return greetings === 2 ? '421 4.3.2 busy' : '220 smart.example';
        },
        end: async () => (host.held.length === 1 ? door.deed() : '250 2.0.0 taken'),
      },
    );
    const stuck = pool.send(ENVELOPE, numbered(0));
    await door.reached;
    assert.equal((await pool.send(ENVELOPE, numbered(1))).kind, 'accepted');
    assert.equal(greetings, 3);
    door.open();
    assert.equal((await stuck).kind, 'accepted');
    await pool.drain();
    await host.stop();
  }));

/** A server that has room for so many sessions; one counts until its QUIT is answered. */
function rooms(room: number) {
  const seen = { live: 0, most: 0, refused: 0 };
  const script: SmarthostOptions['script'] = {
    greeting: () => {
      if (seen.live === room) {
        seen.refused += 1;
        return '421 4.7.0 too many connections';
      }
      seen.live += 1;
      seen.most = Math.max(seen.most, seen.live);
      return '220 smart.example';
    },
    EHLO: async () => {
      await pause(20);
      return '250-smart.example\n250 PIPELINING';
    },
    QUIT: async () => {
      await pause(20);
      seen.live -= 1;
      return '221 2.0.0 bye';
    },
  };
  return { seen, script };
}

test('a server that has room for fewer sessions than connections costs no message, and is not asked for more all the time', () =>
  within(30_000, async () => {
    const { seen, script } = rooms(2);
    const { host, pool } = await world({ connections: 5, messagesPerConnection: 10 }, script);
    const begun = performance.now();
    const outcomes = await sendMany(pool, 200);
    const seconds = (performance.now() - begun) / 1000;
    assert.equal(
      outcomes.find(({ kind }) => kind === 'failed'),
      undefined,
    );
    assert.deepEqual(numbers(host), upTo(200));
    // One asks again after a second at the earliest.
    assert.ok(seen.refused <= 10 + seconds, `${seen.refused} sessions were refused in ${seconds} s`);
    await pool.drain();
    await host.stop();
  }));

test('a session that says QUIT still counts: there are never more than connections, and the last room is waited for', () =>
  within(30_000, async () => {
    const { seen, script } = rooms(3);
    const { host, pool } = await world({ connections: 3, messagesPerConnection: 2 }, script);
    const outcomes = await sendMany(pool, 30);
    assert.equal(
      outcomes.find(({ kind }) => kind === 'failed'),
      undefined,
    );
    assert.deepEqual([seen.most, seen.refused], [3, 0]);
    await pool.drain();
    await host.stop();
  }));

test('where the only room is taken by a session of its own that says QUIT, messages wait for it', () =>
  within(30_000, async () => {
    const { seen, script } = rooms(1);
    const { host, pool } = await world({ connections: 2, messagesPerConnection: 1 }, script);
    const outcomes = await sendMany(pool, 3);
    assert.equal(
      outcomes.find(({ kind }) => kind === 'failed'),
      undefined,
    );
    assert.equal(seen.most, 1);
    await pool.drain();
    await host.stop();
  }));

test('a session that is refused late, when those that took the room have served and left, costs no message', () =>
  within(30_000, async () => {
    let greetings = 0;
    let quits = 0;
    const { host, pool } = await world(
      { connections: 3, messagesPerConnection: 1 },
      {
        greeting: async () => {
          greetings += 1;
          const number = greetings;
          if (number === 3) {
            await until(() => quits > 0);
            await pause(50);
          }
          return number === 2 || number === 3 ? '421 4.7.0 too many connections' : '220 smart.example';
        },
        QUIT: () => {
          quits += 1;
          return '221 2.0.0 bye';
        },
      },
    );
    for (const outcome of await sendMany(pool, 3)) assert.equal(outcome.kind, 'accepted');
    assert.deepEqual(numbers(host), upTo(3));
    await pool.drain();
    await host.stop();
  }));

test('a server that counts a session for a moment after its end, as Exim does with smtp_accept_max_per_host, costs no message', () =>
  within(30_000, async () => {
    let isThere = false;
    const { host, pool } = await world(
      { connections: 1, messagesPerConnection: 2 },
      {
        greeting: () => {
          if (isThere) return '421 Too many concurrent SMTP connections from this IP address; please try again later.';
          isThere = true;
          return '220 smart.example';
        },
        QUIT: () => {
          setTimeout(() => (isThere = false), 100);
          return '221 2.0.0 bye';
        },
      },
    );
    for (const outcome of await sendMany(pool, 4)) assert.equal(outcome.kind, 'accepted');
    assert.deepEqual(numbers(host), upTo(4));
    await pool.drain();
    await host.stop();
  }));

test('a program that tries again at once is no storm: after a session that could not be opened the next is a second later', () =>
  within(30_000, async () => {
    const { host, pool } = await world({ connections: 5 }, { greeting: '421 4.3.2 full' });
    const end = performance.now() + 1500;
    let sends = 0;
    const insist = async (): Promise<void> => {
      for (; performance.now() < end; sends += 1) assert.equal(failureOf(await pool.send(ENVELOPE, MESSAGE)).code, 'lost');
    };
    await Promise.all(upTo(20).map(insist));
    assert.ok(host.sessions.length <= 5 + 3, `${host.sessions.length} connections for ${sends} sends`);
    await pool.drain();
    await host.stop();
  }));

test('a session that hangs while it is opened holds nobody: another is tried, and a message that waits goes over that', () =>
  within(30_000, async () => {
    let greetings = 0;
    const { host, pool } = await world(
      { connections: 2 },
      {
        greeting: () => {
          greetings += 1;
          return ['', '421 4.3.2 busy', '220 smart.example'][Math.min(greetings - 1, 2)] || new Promise<string>(() => {});
        },
      },
    );
    for (const outcome of await sendMany(pool, 2)) assert.equal(outcome.kind, 'accepted');
    pool.destroy();
    await pool.drain();
    await host.stop();
  }));

/* ---- verify ---- */

test('verify asks an idle session, opens one where there is none, and tells of a wrong password', () =>
  within(20_000, async () => {
    const { host, pool } = await world({ connections: 1 });
    assert.equal(await pool.verify(), null);
    assert.deepEqual(verbs(host.sessions[0]), ['EHLO', 'QUIT']);
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    assert.equal(await pool.verify(), null);
    assert.equal(verbs(host.sessions[1]).at(-1), 'NOOP');
    await pool.drain();
    assert.equal(host.sessions.length, 2);
    assert.equal((await pool.verify())?.code, 'usage');
    await host.stop();

    const locked = await sink({ auth: { user: 'tim', password: 'right' } });
    const wrong = new Pool({ url: locked.url, auth: { user: 'tim', password: 'wrong' } });
    const failure = await wrong.verify();
    assert.deepEqual(brief(failure), ['auth-refused', 'never']);
    assert.doesNotMatch(JSON.stringify(failure), /wrong"/);
    await wrong.drain();
    await locked.close();

    const nobody = new Pool(`smtp://127.0.0.1:${await deadPort()}`);
    assert.equal((await nobody.verify())?.code, 'refused');
    await nobody.drain();
  }));

test('verify keeps to the number of connections: it asks behind the message that is under way', () =>
  within(10_000, async () => {
    const door = gate('250 2.0.0 taken');
    const { host, pool } = await world({ connections: 1 }, { end: door.deed });
    const sent = pool.send(ENVELOPE, MESSAGE);
    await door.reached;
    const verified = pool.verify();
    await turns();
    door.open();
    assert.equal(await verified, null);
    assert.equal((await sent).kind, 'accepted');
    assert.equal(host.sessions.length, 1);
    await pool.drain();
    await host.stop();
  }));

test('verify waits for a session that is being opened where no other may be, and so do others that verify', () =>
  within(10_000, async () => {
    const door = gate('250 smart.example');
    const { host, pool } = await world({ connections: 1 }, { EHLO: door.deed });
    const sent = pool.send(ENVELOPE, MESSAGE);
    await door.reached;
    const verified = [pool.verify(), pool.verify()];
    await turns();
    assert.equal(host.sessions.length, 1);
    door.open();
    assert.deepEqual(await Promise.all(verified), [null, null]);
    assert.equal((await sent).kind, 'accepted');
    assert.equal(host.sessions.length, 1);
    await pool.drain();
    await host.stop();

    const shut = await world({ connections: 1 }, { greeting: '554 5.7.1 not you' });
    const failed = shut.pool.send(ENVELOPE, MESSAGE);
    assert.deepEqual(
      (await Promise.all([shut.pool.verify(), shut.pool.verify()])).map((failure) => failure?.code),
      ['rejected', 'rejected'],
    );
    assert.equal(failureOf(await failed).code, 'rejected');
    assert.equal(shut.host.sessions.length, 3);
    await shut.pool.drain();
    await shut.host.stop();
  }));

test('verify waits for a session that says QUIT, and asks one that takes no further message, where no other may be opened', () =>
  within(10_000, async () => {
    const bye = gate('221 2.0.0 bye');
    const leaving = await world({ connections: 1, messagesPerConnection: 1 }, { QUIT: bye.deed });
    assert.equal((await leaving.pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await bye.reached;
    const verified = leaving.pool.verify();
    await turns(20);
    assert.equal(leaving.host.sessions.length, 1);
    bye.open();
    assert.equal(await verified, null);
    await leaving.pool.drain();
    await leaving.host.stop();

    const door = gate('250 2.0.0 taken');
    const full = await world({ connections: 1 }, { end: door.deed }, { offers: ['LIMITS MAILMAX=1'] });
    const sent = full.pool.send(ENVELOPE, MESSAGE);
    await door.reached;
    const asked = full.pool.verify();
    await turns(20);
    door.open();
    assert.deepEqual([await asked, (await sent).kind, full.host.sessions.length], [null, 'accepted', 1]);
    await full.pool.drain();
    await full.host.stop();
  }));

test('verify is well where the server has room for no other session than those that are under way', () =>
  within(10_000, async () => {
    const door = gate('250 2.0.0 taken');
    const { seen, script } = rooms(1);
    const { host, pool } = await world({ connections: 2 }, { ...script, end: door.deed });
    const sent = pool.send(ENVELOPE, MESSAGE);
    await door.reached;
    const verified = pool.verify();
    await until(() => seen.refused === 1);
    door.open();
    assert.deepEqual([await verified, (await sent).kind], [null, 'accepted']);
    await pool.drain();
    await host.stop();
  }));

test('where the only room is taken by verify, messages wait for it', () =>
  within(10_000, async () => {
    const { seen, script } = rooms(1);
    const door = gate('250 smart.example');
    const { host, pool } = await world({ connections: 2 }, { ...script, EHLO: door.deed });
    const verified = pool.verify();
    await door.reached;
    const sent = pool.send(ENVELOPE, MESSAGE);
    await until(() => seen.refused === 1);
    await pause(50);
    door.open();
    assert.deepEqual([await verified, (await sent).kind], [null, 'accepted']);
    await pool.drain();
    await host.stop();
  }));

test('verify ends with its signal, with that of the options, and with destroy', () =>
  within(20_000, async () => {
    const ends: readonly ((pool: Pool, own: AbortController, whole: AbortController) => void)[] = [
      (_pool, own) => own.abort(new Error('enough')),
      (_pool, _own, whole) => whole.abort(new Error('enough')),
      (pool) => pool.destroy(new Error('enough')),
    ];
    for (const end of ends)
      for (const phase of ['EHLO', 'NOOP'] as const) {
        const whole = new AbortController();
        const door = gate('silence');
        const { host, pool } = await world({ connections: 1, signal: whole.signal }, { [phase]: door.deed });
        if (phase === 'NOOP') assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
        const own = new AbortController();
        const verified = pool.verify(own.signal);
        await door.reached;
        end(pool, own, whole);
        const failure = await verified;
        assert.deepEqual([failure?.code, failure?.message, failure?.cause], ['aborted', 'enough', new Error('enough')]);
        assert.equal(getEventListeners(own.signal, 'abort').length, 0);
        pool.destroy();
        await pool.drain();
        door.open();
        await host.stop();
      }
  }));

/* ---- the end ---- */

test('drain finishes what waits, takes nothing more, and twice is one', () =>
  within(10_000, async () => {
    const { host, pool } = await world({ connections: 1 });
    async function* slow() {
      await turns(20);
      yield numbered(10);
    }
    const sent = [sendMany(pool, 10), pool.send(ENVELOPE, slow()).then((outcome) => [outcome])];
    const drained = [pool.drain(), pool.drain()];
    assert.deepEqual(brief(failureOf(await pool.send(ENVELOPE, MESSAGE))), ['usage', 'never']);
    assert.ok((await Promise.all(sent)).flat().every(({ kind }) => kind === 'accepted'));
    await Promise.all(drained);
    assert.equal(pool.stats.open, 0);
    assert.deepEqual(numbers(host), upTo(11));
    assert.ok(host.sessions.every((session) => verbs(session).at(-1) === 'QUIT'));
    await pool.drain();
    await host.stop();
  }));

test('drain leaves no session that is being opened for a message that has left', () =>
  within(10_000, async () => {
    const door = gate('250 smart.example');
    const { host, pool } = await world({ connections: 1, idle: 3_600_000 }, { EHLO: door.deed });
    const controller = new AbortController();
    const sent = pool.send(ENVELOPE, MESSAGE, { signal: controller.signal });
    await door.reached;
    controller.abort(new Error('not any more'));
    assert.deepEqual(brief(failureOf(await sent)), ['aborted', 'safe']);
    await pool.drain();
    door.open();
    await turns(20);
    assert.deepEqual(pool.stats, { open: 0, busy: 0, waiting: 0 });
    await host.stop();
  }));

test('await using drains', () =>
  within(10_000, async () => {
    const host = await startHost();
    let sent: Promise<Outcome>;
    {
      await using pool = new Pool(urlOf(host));
      sent = pool.send(ENVELOPE, MESSAGE);
    }
    assert.equal((await sent).kind, 'accepted');
    assert.equal(verbs(host.sessions[0]).at(-1), 'QUIT');
    await host.stop();
  }));

test('destroy fails at once what waits, what is under way and what is still being read, with its reason', () =>
  within(10_000, async () => {
    const door = gate('354 go ahead');
    const { host, pool } = await world({ connections: 1 }, { DATA: door.deed });
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<string>>(() => {}) }) };
    const sent = [...upTo(5).map((number) => pool.send(ENVELOPE, numbered(number))), pool.send(ENVELOPE, never)];
    await door.reached;
    const reason = new Error('the program ends');
    pool.destroy(reason);
    pool.destroy();
    const failures = (await Promise.all(sent)).map(failureOf);
    assert.deepEqual(
      failures.map(({ retry }) => retry),
      Array(6).fill('safe'),
    );
    for (const { code, message } of failures)
      assert.ok(code === 'lost' || (code === 'aborted' && message.includes('the program ends')), message);
    await pool.drain();
    door.open();
    assert.equal(host.held.length, 0);
    await host.stop();
  }));

test('destroy ends a session that has said QUIT, too, and waits for no answer', () =>
  within(10_000, async () => {
    const host = await startHost({ script: { QUIT: 'silence' } });
    const stream = tunnelTo(host.port);
    const pool = new Pool({ url: urlOf(host), tls: { mode: 'off' }, socket: () => stream }, { messagesPerConnection: 1 });
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await until(() => host.sessions[0]?.includes('QUIT') === true);
    pool.destroy();
    await turns();
    assert.ok(stream.destroyed);
    await pool.drain();
    await host.stop();
  }));

test('destroy says no QUIT, not even in an idle session, and waits for nobody', () =>
  within(10_000, async () => {
    const { host, pool } = await world({}, { QUIT: 'silence' });
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    pool.destroy();
    await pool.drain();
    await turns(20);
    assert.ok(!verbs(host.sessions[0]).includes('QUIT'));
    await host.stop();
  }));

test('destroy after a commit says uncertain', () =>
  within(10_000, async () => {
    const door = gate('250 2.0.0 taken');
    const { host, pool } = await world({ connections: 1 }, { end: door.deed });
    const sent = pool.send(ENVELOPE, MESSAGE);
    await door.reached;
    pool.destroy();
    assert.deepEqual(brief(failureOf(await sent)), ['uncertain', 'unknown']);
    await pool.drain();
    door.open();
    await host.stop();
  }));

test('the signal of one message ends it wherever it is, and leaves no listener', () =>
  within(20_000, async () => {
    const door = gate('250 2.0.0 taken');
    const { host, pool } = await world({ connections: 1, pipelining: false }, { end: door.deed });
    const first = pool.send(ENVELOPE, numbered(0));
    await door.reached;
    const controller = new AbortController();
    const waiting = sendMany(pool, 500, { signal: controller.signal });
    assert.ok(getEventListeners(controller.signal, 'abort').length <= 2);
    const other = pool.send(ENVELOPE, numbered(1));
    await turns();
    controller.abort(new Error('not these'));
    for (const outcome of await waiting) {
      const failure = failureOf(outcome);
      assert.deepEqual([failure.code, failure.message, failure.cause], ['aborted', 'not these', controller.signal.reason]);
    }
    door.open();
    assert.deepEqual([(await first).kind, (await other).kind], ['accepted', 'accepted']);
    const { signal } = new AbortController();
    assert.ok((await sendMany(pool, 20, { signal })).every(({ kind }) => kind === 'accepted'));
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    await pool.drain();
    await host.stop();
  }));

test('impossible options and servers are told by send and verify', () =>
  within(10_000, async () => {
    for (const [servers, options] of [
      [[], {}],
      ['smtp://', {}],
      ['smtp://127.0.0.1:1', { connections: 0 }],
      ['smtp://127.0.0.1:1', { rate: { messages: 1 } }],
    ] as const) {
      const pool = new Pool(servers, options as never);
      assert.deepEqual(brief(failureOf(await pool.send(ENVELOPE, MESSAGE))), ['usage', 'never']);
      assert.equal((await pool.verify())?.code, 'usage');
      await pool.drain();
      pool.destroy();
    }
    const pool = new Pool('smtp://127.0.0.1:1');
    assert.equal(failureOf(await pool.send(ENVELOPE, MESSAGE, { signal: 7 } as never)).code, 'usage');
    assert.equal((await pool.verify(7 as never))?.code, 'usage');
    await pool.drain();
  }));

/* ---- a server that comes and goes ---- */

test('a server that restarts again and again: no message is lost or doubled, but for what is said to be uncertain', () =>
  within(60_000, async () => {
    const held: number[] = [];
    const sockets = new Set<Socket>();
    // After so many commands, and not after a time in which a slow client gets no message through.
    let commands = 0;
    const restart = (): void => {
      for (const socket of sockets) socket.destroy();
    };
    const server = await startScripted((socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      let content = '';
      socket.on('data', (octets) => {
        content += octets.toString('latin1');
      });
      conversing((line) => {
        commands += 1;
        if (commands % 37 === 0) setTimeout(restart, commands % 4);
        if (line !== '.') return usual(line, ['PIPELINING']);
        const found = [...content.matchAll(/^Subject: (\d+)/gm)].at(0);
        held.push(Number(found?.[1]));
        content = content.slice((found?.index ?? 0) + 9);
        return '250 taken\r\n';
      })(socket);
    });
    const pool = new Pool(urlOf(server), { connections: 4 });
    const outcomes = await Promise.all(
      upTo(300).map(async (number) => {
        await pause(number * 3);
        for (;;) {
          const outcome = await pool.send(ENVELOPE, numbered(number));
          if (outcome.kind === 'accepted' || outcome.failure.retry !== 'safe') return outcome;
        }
      }),
    );
    await pool.drain();
    for (const [number, outcome] of outcomes.entries()) {
      const times = held.filter((each) => each === number).length;
      if (outcome.kind === 'accepted') assert.equal(times, 1, `${number} is accepted, and came ${times} times`);
      else {
        assert.equal(outcome.failure.code, 'uncertain', outcome.failure.message);
        assert.ok(times <= 1, `${number} is uncertain, and came ${times} times`);
      }
    }
    await server.close();
  }));

test('the process ends by itself after drain', () =>
  within(30_000, async () => {
    const host = await startHost();
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const program = `
      const { Pool } = await import(${JSON.stringify(new URL('../../src/library/index.ts', import.meta.url).href)});
      const pool = new Pool(${JSON.stringify(urlOf(host))}, { rate: { messages: 5, per: 3_600_000 }, ttl: 3_600_000, idle: 3_600_000 });
      const outcome = await pool.send(${JSON.stringify(ENVELOPE)}, 'Subject: hi\\r\\n\\r\\nhello\\r\\n');
      await pool.verify();
      await pool.drain();
      process.stdout.write(outcome.kind);`;
    const loading = process.versions.bun === undefined ? ['--import', 'tsx', '--input-type=module'] : [];
    const child = spawn(process.execPath, [...loading, '-e', program], { cwd: path.resolve(root), stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (octets) => {
      text += octets;
    });
    const [code] = await once(child, 'close');
    assert.deepEqual([code, text], [0, 'accepted']);
    await host.stop();
  }));

test('verify opens another session where the idle one has ended', () =>
  within(20_000, async () => {
    const host = await sink();
    await using pool = new Pool(host.url);
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    host.drop('NOOP');
    assert.equal(await pool.verify(), null);
    assert.equal(host.connections, 2);
    await pool.drain();
    await host.close();
  }));

/** A server with two addresses and, by MX, with two names; at the first of them `greeting` is said. */
async function twoPlaces(greeting: Deed, suffix: '' | '/MX') {
  const sick = await startHost({ script: { greeting } });
  const well = await startHost({ host: '127.0.0.2', port: sick.port });
  const addressOf = (name: string): string => (name === 'b.example' ? '127.0.0.2' : '127.0.0.1');
  const server: Server = {
    url: `smtp://mail.example:${sick.port}${suffix}`,
    tls: { mode: 'off' },
    resolver: {
      addresses: async (name) =>
        (suffix === '' ? ['a.example', name] : [name]).map((each) => ({
          address: addressOf(each === 'mail.example' ? 'b.example' : each),
          family: 4,
        })),
      mx: async () => ['a.example', 'b.example'].map((exchange, priority) => ({ exchange, priority })),
    },
  };
  return { well, server };
}

for (const suffix of ['', '/MX'] as const)
  test(`a session that does not open gives way to the next ${suffix === '' ? 'address' : 'name'} of the server, for messages and for verify`, () =>
    within(20_000, async () => {
      for (const greeting of ['554 not today', '421 too many', 'close'] as const) {
        const { well, server } = await twoPlaces(greeting, suffix);
        const pool = new Pool(server, { connections: 1 });
        assert.equal(await pool.verify(), null, greeting);
        const sent = await pool.send(ENVELOPE, MESSAGE);
        assert.equal(sent.kind, 'accepted', JSON.stringify(sent));
        assert.equal(well.held.length, 1);
        await pool.drain();
      }
    }));

test('a server that refuses the session and then says nothing to QUIT has a second', () =>
  within(20_000, async () => {
    let close = (): void => {};
    const closed = new Promise<void>((resolve) => {
      close = resolve;
    });
    const host = await startScripted((socket) => {
      socket.once('end', close).resume();
      socket.write('554 not today\r\n');
    });
    const pool = new Pool(urlOf(host));
    assert.deepEqual(brief(await pool.verify()), ['rejected', 'never']);
    await pool.drain();
    await closed;
    await host.close();
  }));

test('where a session is silent and another address is left, the signal and the end of the pool come at once', () =>
  within(20_000, async () => {
    const { deed, reached, open } = gate('220 late');
    const { well, server } = await twoPlaces(deed, '');
    const whole = new AbortController();
    const pool = new Pool(server, { signal: whole.signal });
    const sent = pool.send(ENVELOPE, MESSAGE);
    await reached;
    whole.abort(new Error('the program ends'));
    assert.deepEqual(brief(failureOf(await sent)), ['aborted', 'safe']);
    await pool.drain();
    open();
    assert.equal(well.held.length, 0);
  }));

test('the signal of the options fails what waits and what comes later, as aborted', () =>
  within(20_000, async () => {
    const host = await sink();
    const whole = new AbortController();
    const pool = new Pool(host.url, { connections: 1, rate: { messages: 1, per: 3_600_000 }, signal: whole.signal });
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    const waiting = pool.send(ENVELOPE, MESSAGE);
    setImmediate(() => whole.abort(new Error('the program ends')));
    for (const outcome of [await waiting, await pool.send(ENVELOPE, MESSAGE)]) {
      assert.ok(outcome.kind === 'failed');
      assert.deepEqual([outcome.failure.code, outcome.failure.message], ['aborted', 'the program ends']);
    }
    assert.equal(host.messages.length, 1);
    const late = new Pool(host.url, { signal: whole.signal });
    const outcome = await late.send(ENVELOPE, MESSAGE);
    assert.ok(outcome.kind === 'failed' && outcome.failure.code === 'aborted');
    await Promise.all([pool.drain(), late.drain(), host.close()]);
  }));

test('nobody listens to the signal of the options after the end', () =>
  within(20_000, async () => {
    const host = await sink();
    const { signal } = new AbortController();
    const pool = new Pool(host.url, { signal });
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await pool.drain();
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    await host.close();
  }));

test.run();
