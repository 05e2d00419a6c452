/**
 * What a caller does with what it gave and what it got: it changes them, leaves keys undefined, takes them from another realm, never
 * answers, and wants to know which of its own calls it is that something is said about.
 * Loopback: TLS is asked for by name, and what is looked at of credentials is whose they are.
 */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { channel } from 'node:diagnostics_channel';
import { Duplex } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import { type Auth, connect, type Failure, type Outcome, Pool, type Server, submit, type TlsOptions } from '../../src/library/index.ts';
import { NospoolTransport } from '../../src/library/nodemailer/index.ts';
import { sink } from '../../src/testing/index.ts';
import { conversing, startScripted, usual } from '../support/scripted.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { DOORS, ENVELOPE, turns, watch } from './doors.ts';

const test = suite('caller');
const looking = watch();
test.after.each(() => looking.check());
test.after(() => looking.stop());

const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';
const failureOf = (outcome: Outcome): Failure => {
  assert.ok(outcome.kind === 'failed', JSON.stringify(outcome));
  return outcome.failure;
};
const urlOf = ({ port }: { readonly port: number }): string => `smtp://127.0.0.1:${port}`;

/* ---- keys ---- */

test('a key of auth that is undefined is not given', () =>
  within(20_000, async () => {
    const host = await sink({ auth: { user: 'tim', password: 'secret' } });
    const nothing = { password: undefined, token: undefined, mechanism: undefined, mechanisms: undefined, allowPlaintext: undefined };
    const own = { name: 'PLAIN', begin: () => ({ say: '\0tim\0secret', mayEnd: true, hear: () => ({ cancel: 'enough' }) }) };
    for (const auth of [
      { ...nothing, user: 'tim', password: 'secret' },
      { ...nothing, user: 'tim', password: () => 'secret' },
      { ...nothing, user: undefined, mechanism: () => own },
    ])
      for (const [name, door] of Object.entries(DOORS))
        assert.equal((await door({ url: host.url, auth: auth as Auth }, () => MESSAGE)).kind, 'accepted', name);
    const { code } = failureOf(
      await submit(ENVELOPE, MESSAGE, { servers: [{ url: host.url, auth: { ...nothing, user: 'tim', token: 'T' } as never }] }),
    );
    assert.equal(code, 'auth-mechanism', 'a token goes by no mechanism for passwords');
    await host.close();
  }));

test('a key that a program has given to all objects is no option of its own', () =>
  within(20_000, async () => {
    const host = await sink();
    const all = Object.prototype as { later?: unknown };
    all.later = () => 7;
    try {
      const url = urlOf(host);
      const pool = new Pool(
        { url, tls: { mode: 'off' } },
        { timeouts: { command: 5000 }, rate: { messages: 9, per: 1000 }, connections: 1 },
      );
      assert.equal((await pool.send(ENVELOPE, MESSAGE, {})).kind, 'accepted');
      await pool.drain();
      const transport = new NospoolTransport({ url, tls: {}, ignoreTLS: true });
      assert.equal(await transport.verify(), true);
      transport.close();
      const misspelt = await submit(ENVELOPE, MESSAGE, { servers: [{ url, usr: 'tim' } as Server] });
      assert.match(failureOf(misspelt).message, /usr is unknown/);
    } finally {
      delete all.later;
    }
    await host.close();
  }));

/* ---- what is changed afterwards ---- */

test('options and servers count as they were when they were given', () =>
  within(20_000, async () => {
    const host = await sink({ auth: { user: 'tim', password: 'secret' } });
    for (const [name, begin] of Object.entries({
      submit: (server: Server, options: object) => submit(ENVELOPE, MESSAGE, { ...options, servers: [server] }),
      connect(server: Server, options: object) {
        const connecting = connect(server, options);
        return connecting.then(async (connected) => {
          assert.ok(connected.ok);
          const outcome = await connected.client.send(ENVELOPE, MESSAGE);
          await connected.client.quit();
          return outcome;
        });
      },
      Pool(server: Server, options: object) {
        const pool = new Pool(server, options);
        return turns().then(async () => {
          const outcome = await pool.send(ENVELOPE, MESSAGE);
          await pool.drain();
          return outcome;
        });
      },
    })) {
      const heard: string[] = [];
      const late = (): void => void heard.push('late');
      const auth: { user: string; password: string } = { user: 'tim', password: 'secret' };
      const server = { url: host.url, auth };
      const options: Record<string, unknown> = { trace: () => heard.push('trace'), progress: () => heard.push('progress') };
      const sending = begin(server, name === 'submit' ? options : options);
      Object.assign(options, { trace: late, progress: late, signal: AbortSignal.abort() });
      auth.password = 'wrong';
      server.url = 'smtp://127.0.0.1:1';
      const outcome = await sending;
      assert.equal(outcome.kind, 'accepted', `${name}: ${JSON.stringify(outcome)}`);
      assert.deepEqual([...new Set(heard)].sort(), ['progress', 'trace'], name);
    }
    await host.close();
  }));

test('an envelope counts as it was when it was given, also while its message waits', () =>
  within(20_000, async () => {
    const host = await startHost({ offers: ['DSN', 'DELIVERBY', 'NO-SOLICITING', 'FUTURERELEASE 9999 2030-01-31T12:00:00Z'] });
    const pool = new Pool(urlOf(host), { connections: 1 });
    const notify = ['SUCCESS'];
    const solicit = ['org.example:ADV'];
    const deliverBy = { seconds: 60, mode: 'N' };
    const hold = { for: 5 };
    const to = [{ address: 'you@example.net', notify }];
    const sending = pool.send({ from: '', to, solicit, deliverBy, hold } as never, MESSAGE);
    notify.push('X\r\nRCPT TO:<evil@example.net>');
    solicit.push('y\r\nRSET');
    Object.assign(deliverBy, { seconds: 'z\r\nRSET' });
    Object.assign(hold, { for: 'z\r\nRSET' });
    to.push({ address: 'eve@example.net', notify: [] });
    assert.equal((await sending).kind, 'accepted');
    await pool.drain();
    const [session = []] = host.sessions;
    const said = session.filter((line) => /^(MAIL|RCPT|RSET)/.test(line)).join('\n');
    assert.match(said, /^MAIL FROM:<>.* BY=60;N/);
    assert.match(said, / HOLDFOR=5\b/);
    assert.match(said, /SOLICIT=org\.example:ADV(?: |$)/m);
    assert.match(said, /\nRCPT TO:<you@example\.net> NOTIFY=SUCCESS$/);
    await host.stop();
  }));

test('what is done to an outcome is seen in no other', () =>
  within(10_000, async () => {
    const host = await sink();
    const pool = new Pool(host.url);
    const first = await pool.send(ENVELOPE, MESSAGE);
    assert.ok(first.kind === 'accepted');
    for (const list of [first.refusals, first.taken, first.attempts] as unknown[][]) list.push('mine');
    const second = await pool.send(ENVELOPE, MESSAGE);
    assert.ok(second.kind === 'accepted');
    assert.deepEqual([second.refusals, second.taken.length, second.attempts], [[], 1, []]);
    await pool.drain();
    await host.close();
  }));

/* ---- another realm ---- */

test('octets, URLs and errors of another realm are as good as our own', () =>
  within(20_000, async () => {
    const host = await sink({ tls: 'starttls' });
    const foreign = (text: string): Uint8Array => runInNewContext('Uint8Array.from(octets)', { octets: [...Buffer.from(text)] });
    assert.ok(!(foreign('x') instanceof Uint8Array));
    const pem = host.certificate ?? '';
    for (const ca of [foreign(pem), [foreign(pem)]]) {
      const tls: TlsOptions = { mode: 'required', ca };
      assert.equal((await submit(ENVELOPE, MESSAGE, { servers: [{ url: host.url, tls }] })).kind, 'accepted');
    }
    const own = new NospoolTransport({ host: 'localhost', tls: { ca: foreign(pem), cert: foreign(pem), key: foreign('none') } as never });
    void own.close();
    // What a DOM in node:vm has in place of the runtime's.
    class OtherUrl {
      readonly [Symbol.toStringTag] = 'URL';
      toString(): string {
        return host.url;
      }
    }
    for (const server of [new OtherUrl(), { url: new OtherUrl() }] as never[])
      assert.equal((await submit(ENVELOPE, MESSAGE, { servers: [server] })).kind, 'accepted');
    const open = (): never => {
      throw runInNewContext('new TypeError("the file is gone")');
    };
    assert.match(failureOf(await submit(ENVELOPE, { open }, { servers: [host.url] })).message, /the content failed: the file is gone$/);
    await host.close();
  }));

test('errors of sockets are known, though the runtime has made them in another realm (in Jest they all are)', () =>
  within(20_000, async () => {
    const foreign = (code: string): Error => Object.assign(runInNewContext('new Error("it failed")'), { code });
    const failing = (make: () => Duplex | Promise<Duplex>): Promise<Outcome> =>
      submit(ENVELOPE, MESSAGE, { servers: [{ url: 'smtp://mail.example', tls: { mode: 'off' }, socket: make }] });
    const refused = failureOf(await failing(() => Promise.reject(foreign('ECONNREFUSED'))));
    assert.deepEqual([refused.code, refused.systemCode], ['refused', 'ECONNREFUSED']);
    const lost = failureOf(
      await failing(() => {
        const stream = new Duplex({ read() {}, write: (_, __, done) => done() });
        setTimeout(() => stream.destroy(foreign('ECONNRESET')), 20);
        return stream;
      }),
    );
    assert.equal(lost.code, 'lost');
    assert.match(lost.message, /connection reset by the server/);
  }));

/* ---- no answer ---- */

const SILENT: Readonly<Record<string, (secret: (signal: AbortSignal) => Promise<string>) => Auth>> = {
  password: (password) => ({ user: 'tim', password, allowPlaintext: true }),
  token: (token) => ({ user: 'tim', token, allowPlaintext: true }),
};
for (const [kind, authOf] of Object.entries(SILENT))
  for (const [name, door] of Object.entries(DOORS))
    test(`a ${kind} function that never answers holds no message for ever, ${name}`, () =>
      within(10_000, async () => {
        const host = await sink({ auth: { user: 'tim', password: 'secret' } });
        const asked: AbortSignal[] = [];
        const auth = authOf((signal) => {
          asked.push(signal);
          return new Promise(() => {});
        });
        const failure = failureOf(await door({ url: host.url, auth }, () => MESSAGE, { timeouts: { command: 50 } }));
        assert.deepEqual([failure.code, failure.retry], ['auth-mechanism', 'safe']);
        assert.match(failure.message, new RegExp(`auth\\.${kind} failed: it gave nothing for 0\\.05 s \\(timeouts\\.command\\)$`));
        assert.match((failure.cause as Error).message, /it gave nothing/);
        assert.deepEqual(
          asked.map(({ aborted }) => aborted),
          [true],
        );
        await host.close();
      }));

test('a function for a secret that fails when nobody waits any more, or without a word, ends nothing', () =>
  within(10_000, async () => {
    const host = await sink({ auth: { user: 'tim', password: 'secret' } });
    const serverOf = (password: (signal: AbortSignal) => Promise<string>): Server => ({ url: host.url, auth: { user: 'tim', password } });
    for (const options of [{ timeouts: { command: 20 } }, { timeouts: { deadline: 20 } }]) {
      let fail = (): void => {};
      const server = serverOf(
        () =>
          new Promise((_, reject) => {
            fail = () => reject(new Error('late'));
          }),
      );
      failureOf(await submit(ENVELOPE, MESSAGE, { ...options, servers: [server] }));
      fail();
      await turns();
    }
    const ending = new AbortController();
    const server = serverOf(() => {
      ending.abort();
      return Promise.reject(new Error('too late'));
    });
    assert.equal(failureOf(await submit(ENVELOPE, MESSAGE, { servers: [server], signal: ending.signal })).code, 'aborted');
    await turns();
    for (const door of Object.values(DOORS)) {
      const { code, retry, cause } = failureOf(
        await door(
          serverOf(() => Promise.reject()),
          () => MESSAGE,
        ),
      );
      assert.deepEqual([code, retry, cause instanceof Error], ['auth-mechanism', 'safe', true]);
    }
    await host.close();
  }));

/* ---- whose it is ---- */

test('what is said about a message is said in the context of its call, though another call has opened the session', () =>
  within(20_000, async () => {
    // A pipelining host, so that the envelope of one goes out with the end of another.
    const server = await startScripted(conversing((line) => usual(line, ['PIPELINING'])));
    const context = new AsyncLocalStorage<string>();
    const whose: Record<string, Set<string>> = {};
    const hear = (about: string): void => {
      whose[about] ??= new Set();
      whose[about].add(String(context.getStore()));
    };
    const begun: string[] = [];
    const listeners = ['start', 'asyncEnd'].map((event) => {
      const listen = (): void => void (event === 'start' ? begun.push(String(context.getStore())) : hear('ended'));
      channel(`tracing:nospool:transaction:${event}`).subscribe(listen);
      return () => channel(`tracing:nospool:transaction:${event}`).unsubscribe(listen);
    });
    const pool = new Pool(urlOf(server), { connections: 1 });
    const connected = await context.run('opener', () => connect(urlOf(server)));
    assert.ok(connected.ok);
    const names = ['one', 'two', 'three', 'four'];
    for (const sender of [pool, connected.client]) {
      begun.length = 0;
      const sent = names.map((name) =>
        context.run(name, () =>
          sender.send(ENVELOPE, MESSAGE, { trace: () => hear(`trace of ${name}`), progress: () => hear(`progress of ${name}`) }),
        ),
      );
      for (const outcome of await Promise.all(sent)) assert.equal(outcome.kind, 'accepted');
      assert.deepEqual(begun.sort(), [...names].sort());
    }
    for (const name of names)
      for (const about of ['trace', 'progress']) assert.deepEqual([...(whose[`${about} of ${name}`] ?? [])], [name], about);
    assert.deepEqual([...(whose.ended ?? [])].sort(), [...names].sort());
    for (const leave of listeners) leave();
    await pool.drain();
    await connected.client.quit();
    await server.close();
  }));

test.run();
