/**
 * Functions of the caller's that do what they must not: mechanisms that throw or give no step, resolvers that give no answer, and whose error
 * is whose cause. None of them ends the process, and none brings a command or an address of its own to a server. Loopback: policy is no question here.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { suite } from 'uvu';
import { type Auth, type Client, connect, type Failed, Pool, type Server, submit } from '../../src/library/index.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { DOORS, ENVELOPE, turns, watch } from './doors.ts';

const test = suite('functions');
const looking = watch();

test.after.each(() => looking.check());
test.after(() => looking.stop());

const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';
const boom = new Error('boom');
const fail = (): never => {
  throw boom;
};
const end = () => ({ cancel: 'enough' });
const begun = (step: unknown) => ({ name: 'X-OWN', begin: () => step });
const heard = (hear: unknown) => begun({ say: null, mayEnd: false, hear });

/** A mechanism, its sentence, and whether AUTH was said before it failed; with `boom` that is the cause. */
const MECHANISMS: Readonly<Record<string, readonly [mechanism: () => unknown, words: RegExp, isSaid?: true]>> = {
  'throws when it is asked for': [fail, /auth\.mechanism failed: boom/],
  'has a name that throws': [
    () => ({
      get name() {
        return fail();
      },
      begin: () => ({}),
    }),
    /auth\.mechanism failed: boom/,
  ],
  'has no name': [() => ({ begin: () => ({ say: null, mayEnd: true, hear: end }) }), /name is a SASL name/],
  'has another command in its name': [
    () => ({ ...begun({ say: null, mayEnd: true, hear: end }), name: 'X\r\nMAIL FROM:<evil@example.org>' }),
    /name is a SASL name/,
  ],
  'throws when it begins': [() => ({ name: 'X-OWN', begin: fail }), /auth\.mechanism failed: boom/],
  'begins with null': [() => begun(null), /begin gave no step/],
  'begins with a promise that fails': [() => begun(Promise.reject(boom)), /begin gave no step/],
  'begins with a cancellation': [() => begun({ cancel: 'no' }), /begin gave no step/],
  'says a number': [() => begun({ say: 7, mayEnd: true, hear: end }), /begin gave no step/],
  'says nothing, not even null': [() => begun({ mayEnd: true, hear: end }), /begin gave no step/],
  'says what is no octet string': [() => begun({ say: '€', mayEnd: true, hear: end }), /begin gave no step/],
  'cannot hear': [() => heard(undefined), /begin gave no step/],
  'throws when it hears': [() => heard(fail), /auth\.mechanism failed: boom/, true],
  'hears and gives null': [() => heard(() => null), /hear gave no step/, true],
  'hears and gives a promise that fails': [() => heard(() => Promise.reject(boom)), /hear gave no step/, true],
  'cancels with an object': [() => heard(() => ({ cancel: {} })), /hear gave no step/, true],
  'throws at the second challenge': [() => heard(() => ({ say: 'x', mayEnd: false, hear: fail })), /auth\.mechanism failed: boom/, true],
};

for (const [what, [mechanism, words, isSaid]] of Object.entries(MECHANISMS))
  test(`a mechanism that ${what} fails the login, and nothing else`, () =>
    within(10_000, async () => {
      const host = await startHost({
        offers: ['AUTH X-OWN'],
        script: {
          async AUTH({ line, say }) {
            let heard: string | null = '';
            do {
              say('334 \n');
              heard = await line();
            } while (heard !== '*' && heard !== null);
            return '501 5.7.0 cancelled';
          },
        },
      });
      const auth = { mechanism } as Auth;
      for (const door of Object.values(DOORS)) {
        const outcome = await door({ url: `smtp://127.0.0.1:${host.port}`, auth }, () => MESSAGE);
        assert.ok(outcome.kind === 'failed');
        assert.equal(outcome.failure.code, 'auth-mechanism', outcome.failure.message);
        assert.match(outcome.failure.message, words);
        if (words.source.includes('boom')) assert.deepEqual([outcome.failure.cause, outcome.failure.retry], [boom, 'safe']);
        else assert.equal(outcome.failure.retry, 'never');
      }
      const said = host.sessions.flat();
      assert.ok(!said.some((line) => /evil/.test(line)), said.join());
      assert.equal(
        said.some((line) => line.startsWith('AUTH')),
        isSaid ?? false,
      );
      await host.stop();
    }));

const NO_ANSWER = {
  addresses: [undefined, null, 7, [null], [{}], [{ address: 'nonsense', family: 4 }], [{ address: '127.0.0.1\r\n', family: 4 }]],
  mx: [undefined, null, 7, [null], [{}], ['mx.example'], [{ exchange: 'mx.example' }], [{ exchange: 'a b', priority: 1 }]],
  srv: [
    ...[undefined, null, 7, [null], [{}]],
    [{ name: 'x.example', port: 70_000, priority: 0, weight: 0 }],
    [{ name: 'x.example', port: 25, priority: -1, weight: 0 }],
    [{ name: 'x.example', port: 25, priority: 0 }],
  ],
} as const;

for (const [key, answers] of Object.entries(NO_ANSWER))
  test(`a resolver whose ${key} gives no answer finds no name, and leads nowhere`, () =>
    within(10_000, async () => {
      const host = await startHost();
      const url = key === 'addresses' ? `smtp://mail.example:${host.port}` : `submission://mail.example/${key.toUpperCase()}`;
      for (const answer of answers)
        for (const door of Object.values(DOORS)) {
          const resolver = { addresses: async () => [{ address: '127.0.0.1', family: 4 }], [key]: async () => answer };
          const outcome = await door({ url, resolver: resolver as never, tls: { mode: 'off' } }, () => MESSAGE);
          assert.ok(outcome.kind === 'failed', JSON.stringify(answer));
          assert.deepEqual([outcome.failure.code, outcome.failure.retry], ['resolve', 'safe']);
          assert.match(outcome.failure.message, new RegExp(`resolver\\.${key} gave no records`));
        }
      assert.deepEqual(host.sessions, []);
      await host.stop();
    }));

test('a signal ends the wait for a resolver that never answers, whatever it was asked', () =>
  within(10_000, async () => {
    for (const [url, asked] of [
      ['smtp://mail.example', 'addresses'],
      ['submission://mail.example/MX', 'mx'],
    ] as const) {
      const controller = new AbortController();
      const never = () => {
        setImmediate(() => controller.abort(new Error('enough')));
        return new Promise<never>(() => {});
      };
      const connected = await connect({ url, resolver: { [asked]: never } }, { signal: controller.signal });
      assert.ok(!connected.ok);
      assert.deepEqual([connected.failure.code, connected.failure.message], ['aborted', 'enough'], url);
    }
  }));

test('an address has the family that it is written in, and names may end with the root', () =>
  within(10_000, async () => {
    const host = await startHost();
    const asked: string[] = [];
    const resolver = {
      mx: async () => [{ exchange: 'mx.example.', priority: 10 }],
      addresses: async (name: string) => {
        asked.push(name);
        return [{ address: '127.0.0.1', family: 'IPv4' as never }];
      },
    };
    const outcome = await submit(ENVELOPE, MESSAGE, {
      servers: [{ url: `smtp://mail.example:${host.port}/MX`, resolver, tls: { mode: 'off' } }],
    });
    assert.equal(outcome.kind, 'accepted', JSON.stringify(outcome));
    assert.deepEqual(asked, ['mx.example']);
    await host.stop();
  }));

test('the cause of an attempt is the error of its own server’s function, and of no other', () =>
  within(10_000, async () => {
    const [lookup, way, key] = ['lookup', 'way', 'key'].map((word) => new Error(word)) as [Error, Error, Error];
    const host = await startHost({ offers: ['AUTH PLAIN'] });
    const rejecting = (cause: Error) => () => Promise.reject(cause);
    const password = rejecting(key);
    const servers: readonly (Server | string)[] = [
      { url: 'smtp://a.example', resolver: { addresses: rejecting(lookup) } },
      { url: 'smtp://b.example', socket: rejecting(way) },
      { url: `smtp://127.0.0.1:${host.port}`, auth: { user: 'me', password } },
      'smtp://127.0.0.1:1',
    ];
    const outcome = (await submit(ENVELOPE, MESSAGE, { servers })) as Failed;
    assert.deepEqual(
      outcome.attempts.map(({ failure }) => [failure.code, failure.cause]),
      [
        ['resolve', lookup],
        ['unreachable', way],
        ['auth-mechanism', key],
        ['refused', undefined],
      ],
    );
    assert.equal(outcome.failure.cause, undefined);
    const pool = new Pool(servers);
    const { attempts } = (await pool.send(ENVELOPE, MESSAGE)) as Failed;
    await pool.drain();
    assert.deepEqual(
      attempts.map(({ failure }) => failure.cause),
      [lookup, way, key, undefined],
    );
    await host.stop();
  }));

test('the reason with which a session ends, opening or under way, is the cause of what it fails', () =>
  within(10_000, async () => {
    const reason = new Error('enough of it');
    for (const phase of ['greeting', 'MAIL'] as const) {
      const host = await startHost({ script: { [phase]: 'silence' } });
      const url = `smtp://127.0.0.1:${host.port}`;
      const opening = new AbortController();
      const opened = [await connect(url), await connect(url, { signal: opening.signal })].map((each) => each.ok && each.client);
      const [first, second] = opened as [Client, Client];
      const pool = new Pool(url);
      const sent = [first, pool, ...(phase === 'greeting' ? [second] : [])].map((each) => each.send(ENVELOPE, MESSAGE));
      await new Promise((resolve) => setTimeout(resolve, 100));
      for (const each of [first, pool]) each.destroy(reason);
      opening.abort(reason);
      for (const outcome of await Promise.all(sent)) {
        assert.ok(outcome.kind === 'failed');
        assert.deepEqual([outcome.failure.code, outcome.failure.cause], ['aborted', reason], phase);
      }
      second.destroy();
      await host.stop();
    }
  }));

/* ---- streams and contents that throw where nobody looks ---- */

const throwing = (socket: Socket, name: string, from = 0): Socket => {
  let reads = 0;
  const own = (socket as unknown as Record<string, unknown>)[name];
  return Object.defineProperty(socket, name, { get: () => (reads++ < from ? own : fail()) });
};

/** What throws when it is looked at, from which time on, and how the server is spoken to. */
const LOOKS = [
  ['localAddress', 0, 'smtp'],
  ['bytesRead', 0, 'smtp'],
  ['off', 0, 'submissions'],
] as const;

for (const [name, from, scheme] of LOOKS)
  test(`a stream whose ${name} throws over ${scheme} fails the message, by each door, and stays no longer`, () =>
    within(20_000, async () => {
      const host = await startHost();
      for (const door of Object.values(DOORS)) {
        const sockets: Socket[] = [];
        const socket = async (): Promise<Socket> => {
          const made = createConnection({ port: host.port, host: '127.0.0.1' });
          sockets.push(made);
          await once(made, 'connect');
          return throwing(made, name, from);
        };
        const tls = scheme === 'smtp' ? { mode: 'off' as const } : { verify: false };
        const outcome = await door({ url: `${scheme}://127.0.0.1:${host.port}`, tls, socket }, () => MESSAGE, {
          timeouts: { handshake: 500 },
        });
        assert.ok(outcome.kind === 'failed');
        assert.match(outcome.failure.message, /boom/);
        assert.ok(sockets.every(({ destroyed }) => destroyed));
      }
      assert.equal(host.held.length, 0);
      await host.stop();
    }));

test('a promise in place of a content, or of its iterator, is heard when it fails', () =>
  within(10_000, async () => {
    const host = await startHost();
    const url = `smtp://127.0.0.1:${host.port}`;
    const late = () => new Promise<never>((_, reject) => setImmediate(reject, boom));
    for (const [code, content] of [
      ['usage', late],
      ['input', () => ({ [Symbol.asyncIterator]: late })],
      ['input', () => ({ open: () => ({ [Symbol.asyncIterator]: late }) })],
    ] as const)
      for (const door of Object.values(DOORS)) {
        const outcome = await door(url, content as () => never);
        assert.equal(outcome.kind === 'failed' && outcome.failure.code, code);
        await turns();
      }
    await host.stop();
  }));

test.run();
