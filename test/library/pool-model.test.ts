/**
 * Pools of random options meet servers of random manners: with little room, slow, short of patience, and in rough worlds also broken. What
 * each message's outcome says is compared with what the servers hold. Another seed is drawn with FUZZ_SEED, and FUZZ_RUNS multiplies the worlds.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import type { Socket } from 'node:net';
import { suite } from 'uvu';
import { type Outcome, Pool, type PoolOptions } from '../../src/library/index.ts';
import { Dice } from '../faults/support/worlds/time.ts';
import { reset } from '../support/reset.ts';
import { type Deed, startHost, type Talk } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { ENVELOPE, watch } from './doors.ts';

const test = suite('pool-model');
const looking = watch();
test.after.each(() => looking.check());
test.after(() => looking.stop());

const { FUZZ_SEED = '1', FUZZ_RUNS = '1' } = process.env;
const FIRST = FUZZ_SEED === 'random' ? Date.now() & 0x7fffffff : Number(FUZZ_SEED);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A server that has room for few sessions, and may end one that is idle or has had its share. A rough one drops and refuses what it likes. */
async function startServer({ below, isIn, one }: Dice, isRough: boolean) {
  const room = one([1, 2, 2, 3, 99]);
  const share = isIn(0.3) ? 1 + below(4) : Number.POSITIVE_INFINITY;
  const patience = isIn(0.4) ? one([5, 20, 80]) : Number.POSITIVE_INFINITY;
  const delay = one([5, 30, 60]);
  const [drops, refusals] = isRough ? [one([0, 0.03]), one([0, 0.1])] : [0, 0];
  const refusedAt = one(['greeting', 'EHLO']);
  const offers = one([['PIPELINING'], ['PIPELINING', 'CHUNKING'], [], ['PIPELINING', 'LIMITS MAILMAX=2']]);
  /** Sessions that have room, and how many messages each has sent. */
  const sessions = new Map<Socket, { given: number; clock?: NodeJS.Timeout }>();
  const seen = { refused: 0 };
  const leave = (socket: Socket): void => {
    clearTimeout(sessions.get(socket)?.clock);
    sessions.delete(socket);
  };
  const end = ({ socket, say }: Talk, how = one(['421', 'close', 'reset'])): undefined => {
    leave(socket);
    if (how === '421') say('421 4.4.2 enough\n');
    if (how === 'reset') reset(socket);
    else socket.end();
  };
  const at =
    (phase: string, usual: string, deed: (talk: Talk) => string | undefined = () => usual): Deed =>
    async (talk) => {
      clearTimeout(sessions.get(talk.socket)?.clock);
      await pause(below(delay));
      // 421 to the end of a content would refuse the message.
      if (phase !== 'greeting' && isIn(drops)) return end(talk, phase === 'end' ? one(['close', 'reset']) : undefined);
      if (/MAIL|RCPT|DATA|end/.test(phase) && isIn(refusals)) return one(['451 4.3.0 later', '550 5.7.1 never']);
      return deed(talk);
    };
  const refuse = (socket: Socket): string => {
    seen.refused += 1;
    // The host goes on until the client has said QUIT, and nobody counts this session.
    setImmediate(() => socket.end());
    return '421 4.7.0 too many connections';
  };
  const host = await startHost({
    offers,
    script: {
      greeting: at('greeting', '', ({ socket }) => {
        const isFull = sessions.size >= room;
        if (isFull && refusedAt === 'greeting') return refuse(socket);
        if (!isFull) sessions.set(socket, { given: 0 });
        socket.once('close', () => leave(socket));
        return '220 smart.example';
      }),
      EHLO: at('EHLO', '', ({ socket }) =>
        sessions.has(socket) ? ['250-smart.example', ...offers.map((word) => `250-${word}`), '250 HELP'].join('\n') : refuse(socket),
      ),
      MAIL: at('MAIL', '', (talk) => {
        const session = sessions.get(talk.socket);
        if (session === undefined || session.given >= share) return end(talk);
        session.given += 1;
        return '250 2.1.0 sender ok';
      }),
      RCPT: at('RCPT', '250 2.1.5 recipient ok'),
      DATA: at('DATA', '354 go ahead'),
      end: at('end', '', (talk) => {
        const session = sessions.get(talk.socket);
        if (session !== undefined && patience !== Number.POSITIVE_INFINITY) session.clock = setTimeout(() => end(talk), patience);
        return '250 2.0.0 taken';
      }),
      QUIT: at('QUIT', '', ({ socket }) => {
        leave(socket);
        return '221 2.0.0 bye';
      }),
    },
  });
  return { host, seen };
}

async function live(seed: number, isRough: boolean): Promise<void> {
  const dice = new Dice(seed);
  const { below, isIn, one } = dice;
  const { host, seen } = await startServer(dice, isRough);
  const connections = one([1, 2, 5, 5]);
  const options: PoolOptions = {
    connections,
    messagesPerConnection: one([1, 3, 3, 100]),
    pipelining: isIn(0.7),
    idle: one([10, 50, 500]),
    ttl: one([0.01, 50, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]),
    retries: one([0, 2]),
    rate: isIn(0.2) ? { messages: 2, per: 10 } : undefined,
    commit: one(['apart', 'together']),
  };
  const pool = new Pool(`smtp://127.0.0.1:${host.port}`, options);
  const enough = new AbortController();
  const outcomes: Promise<Outcome>[] = [];
  const verified: Promise<unknown>[] = [];
  const count = one([3, 10, 10]);
  for (let number = 0; number < count; number++) {
    outcomes.push(pool.send(ENVELOPE, `Subject: ${number}\r\n\r\nhello\r\n`, isRough && isIn(0.2) ? { signal: enough.signal } : {}));
    if (isIn(0.1)) verified.push(pool.verify());
    if (isIn(0.3)) await pause(below(30));
    const { open, busy } = pool.stats;
    assert.ok(busy <= open && open <= connections, JSON.stringify(pool.stats));
  }
  if (isRough && isIn(0.5)) enough.abort(new Error('enough'));
  if (isRough && isIn(0.2)) pool.destroy(new Error('over'));
  await Promise.all(verified);
  for (const [number, outcome] of (await Promise.all(outcomes)).entries()) {
    const told = outcome.kind === 'accepted' ? 'accepted' : outcome.failure.code;
    const held = host.held.filter(({ octets, reply }) => octets.includes(`Subject: ${number}\r\n`) && !/^[45]/.test(reply)).length;
    const isTrue = told === 'accepted' ? held === 1 : told === 'uncertain' ? held <= 1 : held === 0;
    assert.ok(isTrue, `${number} is ${told}, and is held ${held} times`);
    if (!isRough) assert.equal(told, 'accepted', outcome.kind === 'failed' ? outcome.failure.message : '');
  }
  await pool.drain();
  assert.deepEqual(pool.stats, { open: 0, busy: 0, waiting: 0 });
  assert.equal(getEventListeners(enough.signal, 'abort').length, 0);
  assert.ok(seen.refused <= 4 * (connections + count), `${seen.refused} sessions were refused`);
  await host.stop();
}

test('what a pool says of its messages is true; where nothing is wrong but the room and the patience of a server, all are accepted', () =>
  within(60_000, async () => {
    const seeds = Array.from({ length: 90 * Number(FUZZ_RUNS) }, (_, i) => FIRST + i);
    const lives = await Promise.allSettled(seeds.map((seed) => live(seed, seed % 3 === 0)));
    const faults = lives.flatMap((each, i) => (each.status === 'rejected' ? [`FUZZ_SEED=${seeds[i]}: ${each.reason.message}`] : []));
    assert.deepEqual(faults, []);
  }));

test.run();
