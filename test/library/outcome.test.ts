/**
 * Outcomes are data, whatever happened: they can be cloned, posted and written as JSON, and hold no secret, however a server echoes
 * it. Callbacks that fail change nothing. Loopback: what is asked is what an outcome shows, and each server here may have credentials in clear.
 */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { suite } from 'uvu';
import { type Auth, connect, type Options, type Outcome, orThrow, Pool, type Server, SmtpError, submit } from '../../src/library/index.ts';
import { tlsWorld } from '../support/delivery.ts';
import { startSocks } from '../support/proxies.ts';
import { type Deed, type SmarthostOptions, startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { DOORS, ENVELOPE, turns, watch } from './doors.ts';

const outcomes = suite('outcomes');
const looking = watch();

outcomes.after.each(() => looking.check());
outcomes.after(() => looking.stop());

const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';
const SECRET = 'Tr0ub4dor&3 zebra/+=ünï';
const TOKEN = 'ya29.a0AfH6SMBx-very_long.token~with+signs/0123456789==';

/** Outside of AUTH only a long secret is recognised by its beginning, because a short one may begin as any word does. */
const CUT = 'without its end';
/** Ways in which a server shows what it heard. */
const ECHOES: Readonly<Record<string, (secret: string) => string>> = {
  'in clear': (secret) => Buffer.from(secret).toString('latin1'),
  'in base64': (secret) => Buffer.from(secret).toString('base64'),
  'as the response of PLAIN': (secret) => Buffer.from(`\0me\0${secret}`).toString('base64'),
  'percent-encoded': (secret) => encodeURIComponent(secret),
  'in hexadecimal': (secret) => Buffer.from(secret).toString('hex'),
  [CUT]: (secret) => Buffer.from(secret).toString('latin1').slice(0, 18),
};

/** Pieces of the secret that nobody may read anywhere. */
function revealed(text: string, secret: string): string[] {
  const forms = Object.values(ECHOES).map((echo) => echo(secret));
  return [...forms, secret, Buffer.from(secret).toString('base64url')].filter((form) => text.toLowerCase().includes(form.toLowerCase()));
}

/** Everything that a program may print of an outcome. */
async function shown(outcome: Outcome): Promise<string> {
  const failure = outcome.kind === 'failed' ? outcome.failure : null;
  const error = await orThrow(outcome).catch((thrown: unknown) => thrown);
  if (failure !== null) assert.ok(error instanceof SmtpError && error.code === failure.code && error.failure === failure);
  const inspected = [outcome, failure, error].map((each) => inspect(each, { depth: 20, showHidden: true, getters: true }));
  return [...inspected, JSON.stringify(outcome), String(error), (error as Error).stack ?? ''].join('\n');
}

/** The same after it was cloned, posted to another thread and written as JSON. */
async function assertData(outcome: Outcome): Promise<void> {
  const json = JSON.parse(JSON.stringify(outcome)) as unknown;
  assert.deepEqual(structuredClone(outcome), outcome);
  assert.deepEqual(json, outcome);
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(outcome);
  assert.deepEqual((receiveMessageOnPort(port2) as { message: unknown }).message, outcome);
  port1.close();
}

const { certificate } = tlsWorld();
const TLS = { key: certificate.key, cert: certificate.cert };
const OFFERS = ['PIPELINING', 'AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER'];

const SCRIPTS: Readonly<Record<string, (echo: string) => SmarthostOptions>> = {
  taken: (echo) => ({ script: { AUTH: `235 welcome ${echo}`, end: `250 taken for ${echo}` } }),
  'the greeting is refused': (echo) => ({ script: { greeting: `554 you are ${echo}` } }),
  'EHLO is refused': (echo) => ({ script: { EHLO: `550 you are ${echo}`, HELO: `550 you are ${echo}` } }),
  'AUTH is refused': (echo) => ({ script: { AUTH: `535 5.7.8 wrong: ${echo}` } }),
  'AUTH is refused in lines': (echo) => ({ script: { AUTH: `535 5.7.8 wrong:\n535 5.7.8 ${echo}` } }),
  'MAIL is refused': (echo) => ({ script: { MAIL: `550 5.1.0 ${echo} may not` } }),
  'RCPT is refused': (echo) => ({ script: { 'RCPT 1': `550 5.1.1 ${echo} may not` } }),
  'the end is refused': (echo) => ({ script: { end: `554 5.6.0 ${echo}: no` } }),
  'the server says 421': (echo) => ({ script: { MAIL: `421 4.3.0 bye ${echo}` } }),
  'the server talks nonsense': (echo) => ({ script: { MAIL: `${echo}\r\n` as Deed } }),
  'the server is silent behind a part': (echo) => ({ script: { MAIL: ((talk) => void talk.say(`250-${echo}\n`)) as Deed } }),
};

const AUTHS: Readonly<Record<string, { readonly secret: string; readonly make: () => Auth }>> = {
  'a password': { secret: SECRET, make: () => ({ user: 'me', password: SECRET, allowPlaintext: true }) },
  'a password of a function': { secret: SECRET, make: () => ({ user: 'me', password: async () => SECRET, allowPlaintext: true }) },
  'a token of a function': { secret: TOKEN, make: () => ({ user: 'me', token: () => TOKEN, allowPlaintext: true }) },
};

/** A certificate that is trusted, because the handshake is no question here. */
const secured: Pick<Server, 'tls'> = { tls: { mode: 'required', ca: certificate.own, serverName: 'smart.example' } };

for (const [what, script] of Object.entries(SCRIPTS))
  outcomes(`${what}: the outcome is data and shows no secret, in clear and over TLS`, () =>
    within(20_000, async () => {
      for (const [kind, { secret, make }] of Object.entries(AUTHS))
        for (const [how, echo] of Object.entries(ECHOES).filter(([name]) => name !== CUT || secret === TOKEN || /AUTH/.test(what)))
          for (const isSecured of [false, true]) {
            const options = script(echo(secret));
            const host = await startHost({ offers: isSecured ? [...OFFERS, 'STARTTLS'] : OFFERS, tls: TLS, ...options });
            const traced: unknown[] = [];
            const server: Server = { url: `smtp://127.0.0.1:${host.port}`, auth: make(), ...(isSecured ? secured : {}) };
            for (const [door, send] of Object.entries(how === 'in clear' ? DOORS : { submit: DOORS.submit })) {
              const outcome = await send(server, () => MESSAGE, {
                trace: (event) => void traced.push(event),
                timeouts: { command: 150 },
              });
              const place = `${kind}, ${how}, ${isSecured ? 'TLS' : 'in clear'}, ${door}`;
              assert.equal(outcome.kind, what === 'taken' ? 'accepted' : 'failed', `${place}: ${JSON.stringify(outcome)}`);
              if (outcome.kind === 'accepted')
                assert.deepEqual([outcome.server.tls === null, outcome.server.auth?.user], [!isSecured, 'me'], place);
              await assertData(outcome);
              assert.deepEqual(revealed(await shown(outcome), secret), [], place);
            }
            assert.ok(traced.length > 0);
            assert.deepEqual(revealed(JSON.stringify(traced), secret), [], `${kind}, ${how}: trace`);
            await host.stop();
          }
    }),
  );

outcomes('an extension that a server announces with the secret, which it may know from before, shows no secret', () =>
  within(20_000, async () => {
    for (const [kind, { secret, make }] of Object.entries(AUTHS))
      for (const [how, echo] of Object.entries(ECHOES).filter(([name]) => name !== CUT)) {
        const host = await startHost({ offers: [...OFFERS, `X-ECHO ${echo(secret).replaceAll(/\s+/g, ' ')}`] });
        const server: Server = { url: `smtp://127.0.0.1:${host.port}`, auth: make() };
        for (const send of Object.values(DOORS)) {
          const outcome = await send(server, () => MESSAGE);
          assert.ok(outcome.kind === 'accepted');
          assert.ok(outcome.server.extensions.some((line) => line.startsWith('X-ECHO ')));
          assert.deepEqual(revealed(JSON.stringify(outcome).toLowerCase(), secret.toLowerCase()), [], `${kind}, ${how}`);
        }
        await host.stop();
      }
  }),
);

outcomes('user and password of a URL, and of a proxy, are in no outcome', () =>
  within(20_000, async () => {
    const word = encodeURIComponent(SECRET);
    const host = await startHost({ offers: OFFERS, script: { AUTH: `535 no ${Buffer.from(`\0me\0${SECRET}`).toString('base64')}` } });
    const socks = await startSocks({ user: 'me', password: 'other', places: {} });
    const servers: (string | Server)[] = [
      `smtp://me:${word}@127.0.0.1:1`,
      { url: `smtp://me:${word}@127.0.0.1:${host.port}` },
      new URL(`smtp://me:${word}@127.0.0.1:${host.port}`).href,
      { url: 'smtp://mail.example', proxy: `socks5://me:${word}@127.0.0.1:${socks.port}` },
      { url: 'smtp://mail.example', proxy: new URL(`socks5://me:${word}@127.0.0.1:1`) },
    ];
    const traced: unknown[] = [];
    const outcome = await submit(ENVELOPE, MESSAGE, { servers, trace: (event) => void traced.push(event) });
    assert.ok(outcome.kind === 'failed' && outcome.attempts.length === 5, JSON.stringify(outcome));
    await assertData(outcome);
    assert.deepEqual(revealed((await shown(outcome)) + JSON.stringify(traced), SECRET), []);
    const connected = await connect(servers[0] as string);
    assert.ok(!connected.ok);
    assert.deepEqual(revealed(inspect(connected, { depth: 20 }), SECRET), []);
    await host.stop();
    await socks.stop();
  }),
);

outcomes('nothing that a program holds shows the secret: client, pool, facts', () =>
  within(20_000, async () => {
    const host = await startHost({ offers: OFFERS });
    const server: Server = { url: `smtp://127.0.0.1:${host.port}`, auth: { user: 'me', password: SECRET, allowPlaintext: true } };
    const connected = await connect(server);
    assert.ok(connected.ok);
    const { client } = connected;
    assert.equal((await client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    assert.deepEqual(structuredClone(client.facts), client.facts);
    const pool = new Pool(server);
    assert.equal((await pool.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    const text = [connected, client, client.facts, pool, pool.stats]
      .map((each) => inspect(each, { depth: 20, showHidden: true }))
      .join('\n');
    assert.deepEqual(revealed(text, SECRET), []);
    assert.deepEqual(revealed(JSON.stringify([client.facts, pool.stats]), SECRET), []);
    await client.quit();
    await pool.drain();
    await host.stop();
  }),
);

outcomes('an outcome arrives in a worker as it is', () =>
  within(20_000, async () => {
    const host = await startHost({ offers: [...OFFERS, 'STARTTLS'], tls: TLS });
    const auth = { user: 'me', password: SECRET };
    const outcome = await submit(ENVELOPE, MESSAGE, { servers: [{ url: `smtp://127.0.0.1:${host.port}`, ...secured, auth }] });
    const worker = new Worker(
      "const { parentPort } = require('node:worker_threads'); parentPort.once('message', (m) => parentPort.postMessage(m));",
      {
        eval: true,
      },
    );
    worker.postMessage(outcome);
    const back = await new Promise((resolve) => worker.once('message', resolve));
    assert.deepEqual(back, outcome);
    await worker.terminate();
    await host.stop();
  }),
);

outcomes('an error of the caller is the cause, which JSON and clones leave out', () =>
  within(20_000, async () => {
    const circle: { self?: unknown } & Error = new Error('vault is sealed');
    circle.self = circle;
    const host = await startHost({ offers: OFFERS });
    const url = `smtp://127.0.0.1:${host.port}`;
    for (const auth of [
      { user: 'me', password: () => Promise.reject(circle) },
      {
        user: 'me',
        token() {
          throw circle;
        },
      },
      {
        mechanism() {
          throw circle;
        },
      },
    ] as Auth[]) {
      const outcome = await submit(ENVELOPE, MESSAGE, { servers: [{ url, auth }] });
      assert.ok(outcome.kind === 'failed');
      assert.equal(outcome.failure.code, 'auth-mechanism');
      assert.match(outcome.failure.message, /auth\.\w+ failed: vault is sealed/);
      assert.equal(outcome.failure.cause, circle);
      await assertData(outcome);
    }
    await host.stop();
  }),
);

/* ---- callbacks ---- */

const boom = new Error('the callback is broken');
const CALLBACKS: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw boom;
  },
  'throws an object without words': () => {
    throw Object.create(null);
  },
  rejects: () => Promise.reject(boom),
  'gives a thenable that throws': () => ({
    // biome-ignore lint/suspicious/noThenProperty: it is what a careless library gives.
    then() {
      throw boom;
    },
  }),
  'rejects with a promise of another realm': runInNewContext('() => Promise.reject("the callback is broken")'),
  'never settles': () => new Promise(() => {}),
};

for (const [how, callback] of Object.entries(CALLBACKS))
  for (const name of ['trace', 'progress'] as const)
    for (const [which, door] of Object.entries(DOORS))
      outcomes(`${name} that ${how} changes nothing through ${which}`, () =>
        within(20_000, async () => {
          const host = await startHost({ offers: ['PIPELINING'] });

          const seen = looking.warnings.length;
          let calls = 0;
          const options: Options = {
            [name]: () => {
              calls += 1;
              return callback();
            },
          };
          assert.equal((await door(`smtp://127.0.0.1:${host.port}`, () => MESSAGE, options)).kind, 'accepted');
          assert.equal(host.held.length, 1);
          await turns();
          assert.ok(calls > 0, 'nobody called it');
          const warned = looking.warnings.slice(seen);
          assert.ok(warned.length <= 1, warned.join('\n'));
          if (/^(throws|rejects)($| with)/.test(how)) assert.match(warned[0] ?? 'no warning', /the callback is broken/);
          await host.stop();
        }),
      );

outcomes.run();
