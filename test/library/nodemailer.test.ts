/**
 * The transport for nodemailer by itself: its options, its tokens, its pool, and what a program may do to it.
 * Loopback: what depends on policy is tried in test/world; here an option asks for it.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, verify as verifySignature } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, type Socket, connect as tcp } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import nodemailer, { type Transporter } from 'nodemailer';
import type SMTPPool from 'nodemailer/lib/smtp-pool';
import type SMTPTransport from 'nodemailer/lib/smtp-transport';
import wellKnown from 'nodemailer/lib/well-known';
import { suite } from 'uvu';
import {
  AUTH_OPTIONS,
  NospoolTransport,
  type NospoolTransportOptions,
  OPTIONS,
  type SentMessageInfo,
  type Table,
  TLS_OPTIONS,
} from '../../src/library/nodemailer/index.ts';
import { Tokens } from '../../src/library/nodemailer/oauth.ts';
import { readSettings, type Settings } from '../../src/library/nodemailer/options.ts';
import { sink } from '../../src/testing/index.ts';
import { startSocks } from '../support/proxies.ts';
import { reset } from '../support/reset.ts';
import { errorOf, type Failed, type Info, MAIL, MAKERS } from '../support/side-by-side.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const transport = suite('nodemailer: transport');
const root = fileURLToPath(new URL('../..', import.meta.url));
const OFFERS = ['PIPELINING', '8BITMIME'];
const TOKENS = [...OFFERS, 'AUTH XOAUTH2'];

/** A server, and a transport to it. */
async function served(server: SmarthostOptions, options: object, work: (both: ReturnType<typeof made>, host: TestHost) => Promise<void>) {
  const host = await startHost({ offers: OFFERS, ...server });
  const both = made({ host: '127.0.0.1', port: host.port, ...options });
  try {
    await within(10_000, () => work(both, host));
  } finally {
    await both.transport.close({ force: true });
    await host.stop();
  }
}

function made(options: object) {
  const own = new NospoolTransport(options as NospoolTransportOptions);
  const transporter = nodemailer.createTransport(own);
  return { transport: own, transporter, send: (mail: object = {}) => transporter.sendMail({ ...MAIL, ...mail }) as Promise<Info> };
}

const failure = (work: Promise<unknown>): Promise<Failed> =>
  work.then(
    (found) => assert.fail(`it gave ${JSON.stringify(found)}`),
    (error: Failed) => error,
  );

function refusedBy(options: object): string {
  try {
    new NospoolTransport(options as NospoolTransportOptions);
  } catch (error) {
    assert.equal((error as Failed).code, 'ECONFIG');
    return (error as Failed).message;
  }
  return 'taken';
}

const fail = (): never => {
  throw new Error('boom');
};

/** Says it after a while. */
const later =
  (reply: string, milliseconds = 60) =>
  async () => {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    return reply;
  };

/* ---- options ---- */

/** The keys that an interface of nodemailer's own types has. */
function keysOf(file: string, name: string): readonly string[] {
  const text = readFileSync(path.join(root, 'node_modules/nodemailer/dist/esm', file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const body = new RegExp(`interface ${name}\\b[^{]*\\{([\\s\\S]*?)\\n\\}`).exec(text)?.[1];
  assert.ok(body, `${file} has no ${name}`);
  return [...body.matchAll(/^ {4}(\w+)\??:/gm)].map((match) => match[1] as string);
}

transport('every option that nodemailer documents in its types has a row in the table', () => {
  const rows: readonly (readonly [Table, readonly (readonly [string, string])[]])[] = [
    [
      OPTIONS,
      [
        ['smtp-connection/index.d.ts', 'SMTPConnectionOptions'],
        ['smtp-transport/index.d.ts', 'SMTPTransportOptions'],
        ['smtp-pool/index.d.ts', 'SMTPPoolOptions'],
        ['mailer/index.d.ts', 'TransportOptions'],
      ],
    ],
    [
      AUTH_OPTIONS,
      [
        ['smtp-transport/index.d.ts', 'SMTPTransportAuthOptions'],
        ['xoauth2/index.d.ts', 'XOAuth2Options'],
      ],
    ],
  ];
  for (const [table, interfaces] of rows)
    for (const [file, name] of interfaces) {
      const keys = keysOf(file, name);
      assert.ok(keys.length > 5, name);
      for (const key of keys) assert.ok(Object.hasOwn(table, key), `${name}.${key}`);
    }
});

transport('what is refused is refused by its name, with what to do instead', () => {
  for (const [table, place, wrap] of [
    [OPTIONS, '', (value: object) => value],
    [TLS_OPTIONS, 'tls.', (tls: object) => ({ tls })],
    [AUTH_OPTIONS, 'auth.', (auth: object) => ({ auth })],
  ] as const)
    for (const [key, [fate, why]] of Object.entries(table as Table)) {
      if (fate !== 'refused') continue;
      assert.equal(refusedBy(wrap({ [key]: 'x' })), `the option ${place}${key} is not supported: ${why}`);
      assert.equal(refusedBy(wrap({ [key]: undefined })), 'taken');
    }
});

transport('what cannot be is said when the transport is made', () => {
  const rows: readonly (readonly [options: object, message: RegExp])[] = [
    [{ hots: 'a' }, /^the option hots is unknown; did you mean the option host\?$/],
    [{ tls: { rejectUnauthorised: false } }, /did you mean the option tls\.rejectUnauthorized/],
    [{ auth: { username: 'x' } }, /^the option auth\.username is unknown/],
    [{ fromAddress: 'x' }, /^the option fromAddress is unknown; there are url, host, (?!.*\b(?:service|customAuth|SES)\b)/],
    [
      { headers: {} },
      /^the option headers is not supported: it is a field of messages: give it in the second argument of `createTransport`$/,
    ],
    [{ port: 'abc' }, /^the option port is abc/],
    [{ secure: true, lmtp: true }, /contradict/],
    [{ url: 'submission://a.example', port: 25 }, /^the options url and port contradict/],
    [{ url: 'submission://a.example', host: 'b.example' }, /^the options url and host contradict/],
    [{ url: 'smtp://a b' }, /^the option url is no URL/],
    [{ url: 'smtp://a%:b@c.example' }, /percent-encoded/],
    [{ url: 'smtp://a:b%@c.example' }, /percent-encoded/],
    [{ url: 'direct://' }, /^the option direct is not supported/],
    [{ url: 'gopher://a.example' }, /scheme "gopher" is unknown/],
    [{ tls: { minVersion: 'TLSv1' } }, /^the option tls\.minVersion is "TLSv1\.2" or "TLSv1\.3"$/],
    [{ tls: { cert: ['a', 'b'] } }, /^the option tls\.cert is one text/],
    [{ tls: { cert: 'a' } }, /^tls\.cert and tls\.key are given together$/],
    [{ tls: 'yes' }, /^the option tls is an object$/],
    [{ auth: 'tim' }, /^the option auth is an object$/],
    [{ maxConnections: -1 }, /^the option maxConnections is -1/],
    [{ socketTimeout: 'soon' }, /^the option socketTimeout is soon/],
    [{ secured: true }, /^the option secured needs getSocket$/],
    [{ getSocket: () => undefined, proxy: 'http://a.example:1' }, /contradict/],
    [{ proxy: 'socks4://a.example' }, /^proxy expects/],
    [{ localAddress: 'here' }, /localAddress/],
    [{ grace: -1 }, /^grace is -1/],
    [{ name: 'a b' }, /^the option name/],
    [{ host: '' }, /^the option host is empty/],
    [{ host: ' a.example' }, /^host: " a\.example" is not a host name$/],
  ];
  for (const [options, message] of rows) assert.match(refusedBy(options), message);
  assert.throws(() => new NospoolTransport(null as unknown as NospoolTransportOptions), { code: 'ECONFIG' });
});

transport('null is not given, as in JSON: everywhere among the options', () => {
  const keys = [
    'url',
    'host',
    'port',
    'secure',
    'tls',
    'auth',
    'authMethod',
    'name',
    'localAddress',
    'family',
    'resolver',
    'pool',
    'dkim',
    'service',
  ];
  const nothing: object = Object.fromEntries(keys.map((key) => [key, null]));
  const plain = { tls: { rejectUnauthorized: false }, auth: { user: 'tim', pass: 'tanstaaf' } };
  assert.deepEqual(settingsOf(nothing), settingsOf({}));
  assert.deepEqual(settingsOf({ auth: { user: null, pass: null } } as object).auth, {});
  assert.deepEqual(
    settingsOf({ tls: { ...plain.tls, ca: null, servername: null }, auth: { ...plain.auth, method: null } } as object),
    settingsOf(plain),
  );
});

/** What the settings come to, for one comparison. */
function settingsOf(options: NospoolTransportOptions | string): Settings {
  const read = readSettings(options);
  assert.ok(read.ok, JSON.stringify(read));
  return read.value;
}

transport("every entry of nodemailer's table of services can be spread", () => {
  const services = JSON.parse(readFileSync(path.join(root, 'node_modules/nodemailer/dist/well-known/services.json'), 'utf8')) as Record<
    string,
    object
  >;
  assert.ok(Object.keys(services).length > 20);
  for (const name of Object.keys(services)) assert.equal(refusedBy({ ...wellKnown(name) }), 'taken', name);
});

transport('where, and how far it is trusted', () => {
  const rows: readonly (readonly [options: NospoolTransportOptions | string, url: string, tls?: object])[] = [
    [{}, 'submission://localhost:587'],
    [{ host: 'a.example' }, 'submission://a.example:587'],
    [{ host: '::1', port: '25' }, 'submission://[::1]:25'],
    [{ host: 'a.example', secure: true }, 'submissions://a.example:465'],
    [{ host: 'a.example', port: 465 }, 'submissions://a.example:465'],
    [{ host: 'a.example', port: 465, secure: false }, 'submission://a.example:465'],
    [{ host: 'a.example', lmtp: true }, 'lmtp://a.example:24'],
    ['smtp://a.example', 'submission://a.example:587'],
    ['smtps://a.example', 'submissions://a.example:465'],
    ['smtp://a.example:80', 'submission://a.example:80'],
    ['smtp:u:p@a.example:2525?tls.servername=b.example', 'submission://a.example:2525', { serverName: 'b.example' }],
    ['smtp://a.example:2525 ', 'submission://a.example:2525'],
    ['smtp://a.example:2525\n?name=b.example', 'submission://a.example:2525'],
    ['submission://a.example:2525\n', 'submission://a.example:2525'],
    ['smtps://a.example/?secure=false', 'submissions://a.example:465'],
    ['smtp://a.example/?secure=true', 'submissions://a.example:465'],
    ['smtp://a.example:2525/?host=b.example&port=25', 'submission://a.example:2525'],
    ['smtp://a.example/?port=2525', 'submission://a.example:2525'],
    ['submission://a.example', 'submission://a.example'],
    ['lmtp+unix:/run/lmtp', 'lmtp+unix:/run/lmtp'],
    [{ url: 'smtp://a.example', host: 'b.example', port: 1 }, 'submission://a.example:1'],
    [{ requireTLS: true, ignoreTLS: true }, 'submission://localhost:587', { mode: 'required' }],
    [{ opportunisticTLS: true }, 'submission://localhost:587', { mode: 'opportunistic' }],
    [{ ignoreTLS: true }, 'submission://localhost:587', { mode: 'off' }],
    [
      { servername: 'a.example', tls: { rejectUnauthorized: false, ca: 'x', cert: 'c', key: 'k', minVersion: 'TLSv1.3', ciphers: 'HIGH' } },
      'submission://localhost:587',
      { serverName: 'a.example', verify: false, ca: ['x'], certificate: 'c', key: 'k', minVersion: '1.3', ciphers: 'HIGH' },
    ],
  ];
  for (const [options, url, tls = {}] of rows) {
    const { server } = settingsOf(options);
    assert.deepEqual([server.url, server.tls], [url, tls], JSON.stringify(options));
  }
});

transport('times, pool and credentials keep their meaning', () => {
  const given = settingsOf('smtp://u%40x:p%2Fq@a.example/?pool=true&maxConnections=3&rateLimit=2&socketTimeout=1000');
  assert.deepEqual(given.auth, { user: 'u@x', pass: 'p/q' });
  assert.deepEqual(given.pool, { connections: 3, messagesPerConnection: 100, idle: 240_000, rate: { messages: 2, per: 1000 } });
  assert.deepEqual(given.terms.timeouts, {
    resolve: 30_000,
    connect: 120_000,
    greeting: 30_000,
    handshake: 30_000,
    command: 1000,
    data: 1000,
    block: 1000,
    final: 1000,
  });
  assert.deepEqual(settingsOf('smtp://u:p@a.example/?auth=x').auth, { user: 'u', pass: 'p' });
  assert.equal(settingsOf({}).pool, null);
  assert.equal(settingsOf({}).terms.recipients, 'all');
  assert.equal(settingsOf({ allOrNothing: false }).terms.recipients, 'any');
  const { pool } = settingsOf({ pool: true, idleTimeout: 0, maxRequeues: -1 });
  assert.deepEqual([pool?.idle, pool?.retries], [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
});

transport('the types fit those of nodemailer, and name and version are told', () => {
  const own = new NospoolTransport({ host: '127.0.0.1', pool: true });
  const transporter: Transporter<SentMessageInfo> = nodemailer.createTransport<SentMessageInfo>(own);
  assert.match(transporter.getVersionString(), /nospool \(pool\)\/\d/);
  const getSocket = (_: SMTPPool.Options & { readonly mine: string }, done: (error: Error) => void) => done(new Error('none'));
  assert.equal(refusedBy({ getSocket } satisfies NospoolTransportOptions), 'taken');
  // Variables that a program has typed by nodemailer's names hold it, too.
  const plain: Transporter = nodemailer.createTransport(own);
  const exact: Transporter<SMTPTransport.SentMessageInfo> = nodemailer.createTransport(own);
  assert.deepEqual([plain.transporter, exact.transporter], [own, own]);
  assert.equal(own.mailer, undefined);
  assert.equal(own.supportsAbortSignal, true);
  // Options that a program has typed by nodemailer's names go over as they are.
  const typed: readonly [SMTPTransport.Options, SMTPPool.Options] = [{ host: 'a.example' }, { pool: true, host: 'a.example' }];
  for (const options of typed) assert.equal(refusedBy(options satisfies NospoolTransportOptions), 'taken');
});

/* ---- what nodemailer's own object reads ---- */

transport('dkim, disableFileAccess and other options of nodemailer itself reach it', () => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const options = { dkim: { domainName: 'here.example', keySelector: 'k', privateKey }, disableFileAccess: true, attachDataUrls: true };
  return served({}, options, async ({ send }, host) => {
    await send({ html: '<img src="data:image/png;base64,AAAA">' });
    const text = host.held[0]?.octets.toString() ?? '';
    assert.match(text, /^DKIM-Signature: /m);
    assert.match(text, /^Content-Id: /im);
    const error = await failure(send({ attachments: [{ path: fileURLToPath(import.meta.url) }], disableFileAccess: false }));
    assert.equal(error.code, 'ESTREAM');
    assert.equal((error as { originalCode?: string }).originalCode, 'EFILEACCESS');
  });
});

/** What programs make of their configuration. */
const copies: Readonly<Record<string, (given: object) => object>> = {
  spread: (given) => ({ ...given }),
  'merged over defaults': (given) => {
    const merged: Record<string, unknown> = { host: 'localhost', port: 25 };
    for (const key in given) merged[key] = (given as Record<string, unknown>)[key];
    return merged;
  },
  cloned: (given) => Object.assign(Object.create(Object.getPrototypeOf(given)), given),
};

for (const [way, copy] of Object.entries(copies))
  transport(`a transport that was ${way} sends as the original does`, () =>
    served({}, { pool: true }, async ({ transport: own }, host) => {
      const copied = copy(own);
      // Auth.js makes a transporter for each message. A clone has the listeners of its class, which are for programs that make one.
      for (let i = 0; i < (way === 'cloned' ? 1 : 12); i++) await nodemailer.createTransport(copied as NospoolTransport).sendMail(MAIL);
      assert.equal(host.held.length, way === 'cloned' ? 1 : 12);
      assert.equal(host.sessions.length, 1);
      assert.equal(await nodemailer.createTransport(copied as NospoolTransport).verify(), true);
      // A proxy that is given to nodemailer is asked.
      const unpooled = copy(new NospoolTransport({ host: '127.0.0.1', port: host.port }));
      const proxied = nodemailer.createTransport(unpooled as NospoolTransport);
      proxied.setupProxy('http://127.0.0.1:1');
      assert.equal((await failure(proxied.sendMail(MAIL))).code, 'ESOCKET');
      // What nodemailer reads of a transport when it gets it, it has not read of the original.
      const signing = new NospoolTransport({ host: '127.0.0.1', port: host.port, dkim: { domainName: 'here.example' } });
      const error = await failure(nodemailer.createTransport(copy(signing) as NospoolTransport).sendMail(MAIL));
      assert.equal(error.code, 'ECONFIG');
      assert.match(error.message, /a copy of the transport .* reads dkim of the original only/);
    }),
  );

transport('options are read where nodemailer has them, and secrets are not printed', () =>
  within(1000, async () => {
    const own = new NospoolTransport({
      url: 'smtp://tim:hush-1@mail.example.org:2525?pool=true',
      maxMessages: 7,
      proxy: 'http://tim:hush-2@proxy.example:3128',
      tls: { cert: 'a certificate', key: 'hush-3' },
    });
    const transporter = nodemailer.createTransport(own);
    for (const options of [transporter.options, own.options] as NospoolTransportOptions[]) {
      const { host, port, secure, pool, maxMessages, auth } = options;
      assert.deepEqual([host, port, secure, pool, maxMessages], ['mail.example.org', 2525, false, true, 7]);
      assert.deepEqual(auth, { user: 'tim', pass: 'hush-1' });
    }
    assert.doesNotMatch(inspect(transporter, { depth: 9 }), /hush/);
    // nodemailer would make a proxy of its own of this one.
    assert.equal((transporter.options as NospoolTransportOptions).proxy, undefined);
  }),
);

transport('the code of the system is told where no connection came about', async () => {
  const own = new NospoolTransport({ host: '127.0.0.1', port: 1 });
  const { code, originalCode } = (await failure(nodemailer.createTransport(own).sendMail(MAIL))) as Failed & { originalCode?: string };
  assert.deepEqual([code, originalCode], ['ESOCKET', 'ECONNREFUSED']);
});

transport('the logger gets the conversation without secrets and without content', () => {
  const lines: string[] = [];
  const log = (entry: object, ...words: readonly unknown[]) => lines.push(JSON.stringify([entry, words]));
  const logger = { trace: log, debug: log, info: log, warn: log, error: log, fatal: log };
  const options = { logger, debug: true, auth: { user: 'tim', pass: 'secret-word' } };
  return served({ offers: [...OFFERS, 'AUTH PLAIN'] }, options, async ({ send }) => {
    await send();
    const text = lines.join('\n');
    assert.match(text, /"tnx":"client".*EHLO/);
    assert.match(text, /"tnx":"server".*250/);
    assert.match(text, /Sending message <fixed@here\.example>/);
    assert.doesNotMatch(text, /secret-word|AHRpbQBzZWNyZXQtd29yZA|\.\.dotted/);
  });
});

/* ---- credentials ---- */

const XOAUTH2 = (user: string, token: string) =>
  `AUTH XOAUTH2 ${Buffer.from(`user=${user}\x01auth=Bearer ${token}\x01\x01`).toString('base64')}`;

/** Takes only the token `good`. */
function takesToken(good: string): SmarthostOptions {
  return {
    offers: TOKENS,
    script: {
      AUTH: () => (asked.at(-1) === good ? '235 2.7.0 welcome' : '535 5.7.8 not that'),
    },
  };
}

/** Tokens that the function of a test gave. */
let asked: string[] = [];
transport.before.each(() => {
  asked = [];
});

type Provided = (error: Error | null, token?: string, expires?: number) => void;

for (const pool of [false, true])
  transport(`a token that is refused is renewed once${pool ? ', for all messages of a pool together' : ''}`, () => {
    const renewals: boolean[] = [];
    const provisionCallback = (_user: string, renew: boolean, done: Provided) => {
      renewals.push(renew);
      asked.push(renew ? 'new' : 'old');
      setTimeout(() => done(null, asked.at(-1) as string), 1);
    };
    const options = { pool, maxConnections: 2, auth: { type: 'OAuth2', user: 'tim', provisionCallback } };
    return served(takesToken('new'), options, async ({ send, transporter }, host) => {
      const results = await Promise.all([send(), ...(pool ? [send(), send(), send()] : [])]);
      assert.equal(host.held.length, results.length);
      assert.deepEqual(renewals, [false, true]);
      assert.ok(host.sessions.some((lines) => lines.includes(XOAUTH2('tim', 'new'))));
      assert.equal(await transporter.verify(), true);
      assert.equal(renewals.length, 2, 'the token is kept');
    });
  });

transport('a refusal that comes late, of a token that was replaced, renews nothing', async () => {
  let given = 0;
  const tokens = new Tokens(
    { user: 'tim', provisionCallback: (_user, _renew, done) => done(null, `token ${++given}`) },
    { provision: () => undefined, tell: () => undefined },
  );
  const { signal } = new AbortController();
  assert.equal(await tokens.get(signal), 'token 1');
  assert.ok(tokens.refuse(0) && tokens.refuse(0));
  assert.equal(await tokens.get(signal), 'token 2');
  assert.ok(tokens.refuse(0));
  assert.equal(await tokens.get(signal), 'token 2');
  assert.ok(tokens.refuse(1));
  assert.equal(await tokens.get(signal), 'token 3');
  assert.ok(!new Tokens({ accessToken: 'a' }, { provision: () => undefined, tell: () => undefined }).refuse(0));
});

transport('a message that is ended while it asks for a token ends no other that waits for the same one', () =>
  tokenServer(
    () => ({ access_token: 'fresh' }),
    async (accessUrl, forms) => {
      const told: unknown[] = [];
      const tokens = new Tokens(
        { user: 'tim', refreshToken: 'again', accessUrl },
        { provision: () => undefined, tell: (token) => told.push(token) },
      );
      const [first, second] = [new AbortController(), new AbortController()];
      const got = Promise.allSettled([tokens.get(first.signal), tokens.get(second.signal), tokens.get(second.signal)]);
      first.abort(new Error('the first has left'));
      const [ended, ...others] = await got;
      assert.match(String(ended.status === 'rejected' && ended.reason), /the first has left/);
      assert.deepEqual(
        others.map((each) => each.status === 'fulfilled' && each.value),
        ['fresh', 'fresh'],
      );
      assert.ok(forms.length <= 2, 'the others share a request');
      assert.deepEqual(told, [{ user: 'tim', accessToken: 'fresh', expires: 0 }]);
    },
  ),
);

transport('a function for tokens that never answers is asked again, once the message for which it was asked is ended', async () => {
  let count = 0;
  const provisionCallback = (_user: string, _renew: boolean, done: Provided) => (++count === 1 ? undefined : done(null, 'fresh'));
  const tokens = new Tokens({ user: 'tim', provisionCallback }, { provision: () => undefined, tell: () => undefined });
  const [first, second] = [new AbortController(), new AbortController()];
  const got = Promise.allSettled([tokens.get(first.signal), tokens.get(second.signal)]);
  first.abort(new Error('the first has left'));
  const [ended, other] = await got;
  assert.match(String(ended.status === 'rejected' && ended.reason), /the first has left/);
  assert.equal(other.status === 'fulfilled' && other.value, 'fresh');
  assert.equal(await tokens.get(second.signal), 'fresh');
  assert.equal(count, 2);
  assert.equal(getEventListeners(second.signal, 'abort').length, 0);
});

transport('a function for tokens that gives none fails the message', async () => {
  for (const token of [undefined, '', 7 as never]) {
    const auth = { type: 'OAuth2', user: 'tim', provisionCallback: (_u: string, _r: boolean, done: Provided) => done(null, token) };
    await served({ offers: TOKENS }, { auth }, async ({ send }) => {
      const error = await failure(send());
      assert.equal(error.code, 'EAUTH');
      assert.match(error.message, /^auth\.accessToken failed: the function for tokens gave none/);
    });
  }
});

transport('a token that is refused again fails the message', () => {
  const provisionCallback = (_user: string, renew: boolean, done: Provided) => done(null, `${renew}`);
  return served(takesToken('good'), { auth: { type: 'oauth2', user: 'tim', provisionCallback } }, async ({ send, transporter }, host) => {
    assert.deepEqual(errorOf(await failure(send())), {
      code: 'EAUTH',
      command: 'AUTH',
      response: '535 5.7.8 not that',
      responseCode: 535,
      permanent: true,
    });
    assert.equal(host.sessions.length, 2);
    assert.equal((await failure(transporter.verify())).code, 'EAUTH');
  });
});

transport('a token that has expired is not used', () => {
  const provisionCallback = (_user: string, _renew: boolean, done: Provided) => done(null, 'fresh');
  const auth = { type: 'OAuth2', user: 'tim', accessToken: 'stale', expires: Date.now() - 1, provisionCallback };
  return served({ offers: TOKENS }, { auth }, async ({ send }, host) => {
    await send();
    assert.ok(host.sessions[0]?.includes(XOAUTH2('tim', 'fresh')));
  });
});

transport('an access token that is no text, such as the answer of getAccessToken, is not given', () => {
  const accessToken = { token: 'stale', res: null };
  const provisionCallback = (_user: string, renew: boolean, done: Provided) => done(null, `fresh-${renew}`);
  return served({ offers: TOKENS }, { auth: { type: 'OAuth2', user: 'tim', accessToken, provisionCallback } }, async ({ send }, host) => {
    await send();
    assert.ok(host.sessions[0]?.includes(XOAUTH2('tim', 'fresh-false')));
    const alone = made({ host: '127.0.0.1', port: host.port, auth: { type: 'OAuth2', user: 'tim', accessToken } });
    const error = await failure(alone.send());
    assert.equal(error.code, 'EAUTH');
    assert.match(error.message, /auth has neither a text as accessToken nor a way to get one/);
  });
});

transport('the error of a function for tokens is the cause', () => {
  const broken = Object.assign(new Error('vault closed'), { code: 'EVAULT' });
  const auth = { type: 'OAuth2', user: 'tim', provisionCallback: (_u: string, _r: boolean, done: Provided) => done(broken) };
  return served({ offers: TOKENS }, { auth }, async ({ send }) => {
    const error = await failure(send());
    assert.equal(error.code, 'EAUTH');
    assert.equal((error as { originalCode?: string }).originalCode, 'EVAULT');
    assert.equal(error.cause, broken);
    assert.match(error.message, /^auth\.accessToken failed: vault closed/);
  });
});

/** A server of tokens. */
async function tokenServer(
  answer: (form: URLSearchParams) => unknown,
  work: (url: string, forms: readonly URLSearchParams[]) => Promise<void>,
) {
  const forms: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => {
      text += part;
    });
    request.on('end', () => {
      const form = new URLSearchParams(text);
      form.set('x-header', ['x-app', 'x-number', 'x-list', 'x-none'].map((name) => String(request.headers[name] ?? '')).join(';'));
      forms.push(form);
      const body = answer(form);
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, forms);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

transport('a refresh token is exchanged at accessUrl, and the new token is told', () =>
  tokenServer(
    () => ({ access_token: 'fresh', expires_in: 3600 }),
    async (accessUrl, forms) => {
      const auth = {
        type: 'OAuth2',
        user: 'tim',
        clientId: 'id',
        clientSecret: 'hush',
        refreshToken: 'again',
        accessUrl,
        customHeaders: { 'x-app': 'mine', 'x-number': 7, 'x-list': ['a', 'b'], 'x-none': undefined },
        customParams: { tenant: 't' },
      };
      await served({ offers: TOKENS }, { auth, pool: true }, async ({ send, transporter }, host) => {
        const told: unknown[] = [];
        transporter.on('token', (token: unknown) => told.push(token));
        await send();
        await send();
        assert.equal(host.held.length, 2);
        assert.equal(forms.length, 1);
        const form = Object.fromEntries(forms[0] ?? []);
        assert.deepEqual(form, {
          client_id: 'id',
          client_secret: 'hush',
          refresh_token: 'again',
          grant_type: 'refresh_token',
          tenant: 't',
          'x-header': 'mine;7;a, b;',
        });
        assert.equal(told.length, 1);
        const [{ user, accessToken, expires }] = told as [{ user: string; accessToken: string; expires: number }];
        assert.deepEqual([user, accessToken, expires > Date.now()], ['tim', 'fresh', true]);
      });
    },
  ),
);

transport('a message chooses its user, and never where tokens come from', () =>
  tokenServer(
    () => ({ access_token: 'fresh' }),
    async (accessUrl, forms) => {
      const auth = { type: 'OAuth2', user: 'tim', clientSecret: 'hush', refreshToken: 'again', accessUrl };
      await served({ offers: TOKENS }, { auth }, async ({ send }, host) => {
        await send({ auth: { user: 'eve', accessUrl: 'http://127.0.0.1:1/', clientSecret: 'mine' } });
        assert.ok(host.sessions[0]?.includes(XOAUTH2('eve', 'fresh')));
        assert.equal(forms[0]?.get('client_secret'), 'hush');
      });
    },
  ),
);

transport('a service account signs for itself', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return tokenServer(
    () => ({ access_token: 'fresh' }),
    async (accessUrl, forms) => {
      const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
      const auth = { type: 'OAuth2', user: 'tim', serviceClient: 'robot', privateKey: key, accessUrl };
      await served({ offers: TOKENS }, { auth }, async ({ send }, host) => {
        await send();
        assert.ok(host.sessions[0]?.includes(XOAUTH2('tim', 'fresh')));
        const [header = '', claims = '', signature = ''] = forms[0]?.get('assertion')?.split('.') ?? [];
        assert.ok(verifySignature('RSA-SHA256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url')));
        const { iss, sub, aud, iat, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, number | string>;
        assert.deepEqual([iss, sub, aud, Number(exp) - Number(iat)], ['robot', 'tim', accessUrl, 300]);
      });
    },
  );
});

transport('a server of tokens that gives none says why', async () => {
  const rows: readonly (readonly [answer: unknown, more: object, message: RegExp])[] = [
    [{ error: 'invalid_grant', error_description: 'revoked' }, {}, /invalid_grant: revoked/],
    [{ error: 'invalid_grant' }, {}, /invalid_grant/],
    ['<html>', {}, /answered 200 without JSON/],
    ['3', {}, /answered 200 without JSON/],
    [{}, {}, /gave none/],
    [{}, { serviceClient: 'robot' }, /needs auth\.privateKey/],
    [{}, { serviceClient: 'robot', privateKey: 'no key' }, /cannot sign/],
  ];
  for (const [answer, more, message] of rows)
    await tokenServer(
      () => answer,
      async (accessUrl) => {
        const auth = { type: 'OAuth2', user: 'tim', refreshToken: 'again', accessUrl, requestTimeout: 0, ...more };
        await served({ offers: TOKENS }, { auth }, async ({ send }) => {
          const error = await failure(send());
          assert.equal(error.code, 'EAUTH');
          assert.equal((error as { originalCode?: string }).originalCode, 'EOAUTH2');
          assert.match(error.message, message);
        });
      },
    );
});

transport('a server of tokens that does not answer holds no message, also where garbage is collected meanwhile', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('globalThis.gc') as (() => void) | undefined;
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const collecting = setInterval(() => collect?.(), 20);
  try {
    const accessUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/token`;
    const auth = { type: 'OAuth2', user: 'tim', refreshToken: 'again', accessUrl, requestTimeout: 300 };
    await served({ offers: TOKENS }, { auth }, async ({ send }) => {
      const error = await failure(send());
      assert.deepEqual([error.code, (error as { originalCode?: string }).originalCode, error.retry], ['EAUTH', 'EOAUTH2', 'safe']);
      assert.match(error.message, /the server of tokens gave no answer for 0\.3 s \(auth\.requestTimeout\)$/);
    });
  } finally {
    clearInterval(collecting);
    silent.closeAllConnections();
    await new Promise((resolve) => silent.close(resolve));
  }
});

transport('a message has credentials of its own where no sessions are shared', async () => {
  const offers = [...OFFERS, 'AUTH PLAIN'];
  const plain = (user: string, pass: string) => `AUTH PLAIN ${Buffer.from(`\0${user}\0${pass}`).toString('base64')}`;
  await served({ offers }, { auth: { user: 'tim', pass: 'one' } }, async ({ send }, host) => {
    await send({ auth: { user: 'eve', pass: 'two', accessUrl: 'http://evil.example' } });
    assert.ok(host.sessions[0]?.includes(plain('eve', 'two')));
  });
  await served({ offers }, { pool: true, auth: { user: 'tim', pass: 'one' } }, async ({ send }, host) => {
    assert.equal((await failure(send({ auth: { user: 'eve', pass: 'two' } }))).code, 'ECONFIG');
    assert.equal(host.sessions.length, 0);
  });
});

transport('credentials that cannot be are refused before anything connects', async () => {
  for (const auth of [{ user: 'tim', pass: 'a\nb' }, { user: 'tim', pass: '' }, { pass: 'secret' }, { type: 'OAuth2', accessToken: 'abc' }])
    for (const pool of [true, false])
      await served({ offers: [...OFFERS, 'AUTH PLAIN'] }, { auth, pool }, async ({ send, transporter }, host) => {
        const { code, retry } = await failure(send());
        assert.deepEqual([code, retry], ['EAUTH', 'never']);
        assert.equal((await failure(transporter.verify())).code, 'EAUTH');
        assert.equal(host.sessions.length, 0);
      });
});

for (const [reply, retry] of [
  ['452 4.2.2 full', 'later'],
  ['550 5.1.1 unknown', 'never'],
] as const)
  transport(`a recipient that is refused with ${reply} says when it may be tried again`, () =>
    served({ script: { RCPT: reply } }, {}, async ({ send }) => {
      const error = await failure(send());
      assert.deepEqual([error.retry, error.rejectedErrors?.map((each) => each.retry)], [retry, [retry]]);
    }),
  );

transport('a mechanism of the program, and a password that is asked for', async () => {
  const exchange = { say: 'hello', mayEnd: true, hear: () => ({ cancel: 'no' }) };
  const mechanism = () => ({ name: 'X-OWN', begin: () => exchange });
  await served({ offers: [...OFFERS, 'AUTH X-OWN'] }, { auth: { mechanism } }, async ({ send }, host) => {
    await send();
    assert.ok(host.sessions[0]?.includes('AUTH X-OWN aGVsbG8='));
  });
  await served({ offers: [...OFFERS, 'AUTH PLAIN'] }, { auth: { user: 'tim', pass: async () => 'secret' } }, async ({ send }, host) => {
    await send();
    assert.ok(host.sessions[0]?.includes('AUTH PLAIN AHRpbQBzZWNyZXQ='));
  });
});

/* ---- sockets ---- */

transport('getSocket: given or not, and never secured by surprise', async () => {
  const give = (answer: (socket: Socket) => object | false) => ({
    ignoreTLS: true,
    getSocket(options: { port: number }, done: (error: Error | null, found?: object | false) => void) {
      const socket = tcp({ port: options.port, host: '127.0.0.1' }, () => done(null, answer(socket)));
    },
  });
  await served(
    {},
    give((connection) => ({ connection })),
    async ({ send }) => void (await send()),
  );
  await served(
    {},
    give((socket) => {
      socket.destroy();
      return false;
    }),
    async ({ send }) => void (await send()),
  );
  await served(
    {},
    give((connection) => ({ connection, secured: true })),
    async ({ send }) => {
      assert.match((await failure(send())).message, /set the option secured/);
    },
  );
  const secured = {
    ...give((connection) => ({ connection, secured: true })),
    secured: true,
    host: 'smart.example',
    auth: { user: 'tim', pass: 'secret' },
  };
  const host = await startHost({ offers: [...OFFERS, 'AUTH PLAIN'] });
  const both = made({ ...secured, port: host.port });
  await both.send({ requireTLSExtensionEnabled: false });
  assert.ok(host.sessions[0]?.includes('AUTH PLAIN AHRpbQBzZWNyZXQ='));
  await host.stop();
});

transport('getSocket that gives none: the socket is connected as the other options say', () =>
  within(10_000, async () => {
    const none = { ignoreTLS: true, getSocket: (_: object, done: (error: null, found: false) => void) => done(null, false) };
    const folder = mkdtempSync(path.join(tmpdir(), 'nospool-nodemailer-'));
    const here = await startHost({ path: path.join(folder, 'smtp') });
    await made({ url: `unix:${path.join(folder, 'smtp')}`, ...none }).send();
    assert.equal(here.held.length, 1, 'a unix socket');
    await here.stop();
    rmSync(folder, { recursive: true });
    const host = await sink();
    const { port } = new URL(host.url);
    const froms = [{ localAddress: '127.0.0.2' }, { localAddress: '127.0.0.3', family: 4 }, { family: 4 }] as const;
    for (const from of froms) await made({ host: 'localhost', port, ...none, ...from }).send();
    assert.deepEqual(
      host.messages.map(({ session }) => session.remote.replace(/:\d+$/, '')),
      ['127.0.0.2', '127.0.0.3', '127.0.0.1'],
    );
    assert.match((await failure(made({ host: 'localhost', port, ...none, family: 6 }).send())).message, /::1|ENOTFOUND/);
    const asked: unknown[] = [];
    const resolver = {
      async addresses(name: string, { family, signal }: { readonly family: unknown; readonly signal: unknown }) {
        asked.push([name, family, signal instanceof AbortSignal]);
        return [{ address: '127.0.0.1', family: 4 }];
      },
    };
    await made({ host: 'smart.example', port, ...none, resolver }).send();
    await made({ host: 'smart.example', port, ...none, resolver, family: 4 }).send();
    assert.deepEqual(asked, [
      ['smart.example', 'any', true],
      ['smart.example', 4, true],
    ]);
    const gone = { addresses: () => Promise.reject(Object.assign(new Error('gone'), { code: 'ENOTFOUND' })) };
    const unknown = (await failure(made({ host: 'smart.example', port, ...none, resolver: gone }).send())) as Failed & {
      originalCode?: string;
    };
    assert.match(unknown.message, /gone/);
    assert.deepEqual([unknown.code, unknown.originalCode], ['EDNS', 'ENOTFOUND']);
    for (const found of [[], null, [null], [{ address: 'x' }], 1]) {
      const odd = { addresses: async () => found };
      assert.match((await failure(made({ host: 'smart.example', port, ...none, resolver: odd }).send())).message, /gave no records/);
    }
    await host.close();
  }),
);

transport('a proxy is asked by the name of the server, with user and password', () =>
  within(10_000, async () => {
    const host = await startHost({ offers: OFFERS });
    const proxy = await startSocks({ user: 'p', password: 'q/r', places: { 'smart.example:2525': host.port } });
    for (const scheme of ['socks5', 'socks']) {
      const { send } = made({ host: 'smart.example', port: 2525, ignoreTLS: true, proxy: `${scheme}://p:q%2Fr@127.0.0.1:${proxy.port}` });
      await send();
    }
    assert.deepEqual(proxy.asked, ['p q/r', 'CONNECT smart.example:2525', 'p q/r', 'CONNECT smart.example:2525']);
    assert.equal(host.held.length, 2);
    await proxy.stop();
    await host.stop();
  }),
);

/* ---- sending again, and not ---- */

transport('a message of a pool whose session is lost during its content goes out again whole, once', () => {
  let lost = 0;
  return served(
    { contentOctets: 10, script: { DATA: ({ socket }) => (lost++ === 0 ? void socket.destroy() : '354 go ahead') } },
    { pool: true },
    async ({ send }, host) => {
      await send({ attachments: [{ filename: 'a', content: Readable.from(['streamed']) }] });
      assert.equal(host.held.length, 1);
      assert.match(host.held[0]?.octets.toString() ?? '', /c3RyZWFtZWQ=/);
    },
  );
});

/** 100 octets; the server of these tests reads lines. */
const LINE = `${'x'.repeat(98)}\r\n`;

/** Comes too slowly to be composed before it is sent: its end waits until the beginning is lost. */
async function* slowly(size: number, lost: Promise<void>): AsyncGenerator<Buffer> {
  yield Buffer.alloc(size, LINE);
  await lost;
  await new Promise((resolve) => setTimeout(resolve, 50));
  yield Buffer.from('the end');
}

for (const [size, fate] of [
  [1000, 'goes out again, whole'],
  [3_000_000, 'fails, by the first reason'],
] as const)
  transport(`a session that is lost within the content: a message of ${size} octets ${fate}`, () => {
    let count = 0;
    let lose = (): void => {};
    const lost = new Promise<void>((resolve) => {
      lose = resolve;
    });
    const server: SmarthostOptions = {
      contentOctets: 200,
      script: {
        content({ socket }) {
          count += 1;
          if (count === 1) reset(socket);
          lose();
          return count === 1 ? undefined : '';
        },
      },
    };
    return served(server, { pool: true, maxConnections: 1 }, async ({ send }, host) => {
      const raw = Readable.from(slowly(size, lost));
      const work = send({ raw, envelope: { from: 'me@here.example', to: 'you@there.example' } });
      if (size < 65_536) {
        await work;
        assert.equal(host.held[0]?.octets.toString(), `${LINE.repeat(size / 100)}the end\r\n`);
      } else {
        const error = await failure(work);
        assert.equal(error.code, 'ECONNECTION', error.message);
        assert.doesNotMatch(error.message, /read too far/);
        assert.equal(host.held.length, 0);
      }
    });
  });

for (const [when, server] of [
  ['while it is read', {}],
  ['before it is read on', { script: { DATA: later('354 go ahead', 400) } }],
] as const)
  transport(`a message whose stream fails late is never sent as if it were whole: ${when}`, () =>
    served(server, { pool: true }, async ({ send }, host) => {
      async function* breaking(): AsyncGenerator<Buffer> {
        yield Buffer.from('Subject: x\r\n\r\nbegin');
        await new Promise((resolve) => setTimeout(resolve, 200));
        throw new Error('disk gone');
      }
      const error = await failure(send({ raw: Readable.from(breaking()), envelope: { from: 'me@here.example', to: 'you@there.example' } }));
      assert.equal(error.code, 'ESTREAM', error.message);
      assert.match(error.message, /disk gone/);
      assert.equal(host.held.length, 0);
    }),
  );

for (const pool of [true, false])
  transport(`a message that is refused before it was read to its end holds no file open${pool ? ', pooled' : ''}`, () =>
    served({ script: { RCPT: '550 5.1.1 nobody' } }, { pool }, async ({ transport: own }) => {
      function* endless(): Generator<Buffer> {
        yield Buffer.from('Subject: x\r\n\r\n');
        for (;;) yield Buffer.from(LINE);
      }
      const stream = Readable.from(endless());
      const getEnvelope = (): object => ({ from: 'me@here.example', to: ['you@there.example'] });
      const message = { getEnvelope, messageId: () => '<a@b>', createReadStream: () => stream };
      const error = await new Promise<Failed | null>((resolve) => own.send({ data: {}, message }, resolve));
      assert.equal(error?.code, 'EENVELOPE', error?.message);
      assert.equal(stream.destroyed, true);
    }),
  );

/* ---- ends ---- */

transport('a signal ends a message that waits, and one that is under way', async () => {
  for (const pool of [false, true])
    await served({ script: { MAIL: 'silence' } }, { pool, maxConnections: 1 }, async ({ send, transport: own }, host) => {
      const ending = new AbortController();
      const work = [send({ signal: ending.signal }), ...(pool ? [send({ signal: ending.signal }), send({ signal: ending.signal })] : [])];
      // Listened to from now on, because all end at once.
      const errors = work.map(failure);
      while (!host.sessions[0]?.some((line) => line.startsWith('MAIL'))) await new Promise((resolve) => setTimeout(resolve, 5));
      const reason = new Error('no longer wanted');
      ending.abort(reason);
      for (const error of await Promise.all(errors)) {
        assert.deepEqual([error.name, error.code, error.cause], ['AbortError', 'EABORT', reason]);
      }
      assert.equal(own.pendingCount(), 0);
    });
});

for (const pool of [true, false])
  transport(`many messages have one signal${pool ? ', pooled' : ''}`, () =>
    served({}, { pool }, async ({ send }, host) => {
      const { signal } = new AbortController();
      await Promise.all(Array.from({ length: 200 }, () => send({ signal })));
      assert.equal(host.held.length, 200);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    }),
  );

transport('a signal that comes with the message already given to the pool', () =>
  served({}, { pool: true }, async ({ send, transport: own }, host) => {
    assert.equal((await failure(send({ signal: AbortSignal.abort() }))).code, 'EABORT');
    const message = { getEnvelope: () => ({}), messageId: () => '', createReadStream: () => Readable.from([]) };
    const error = await new Promise<Failed | null>((resolve) => own.send({ data: { signal: AbortSignal.abort() }, message }, resolve));
    assert.equal(error?.code, 'EABORT');
    assert.equal(host.sessions.length, 0);
  }),
);

for (const pool of [true, false])
  transport(`a signal that comes after the message was sent waits for the verdict${pool ? ', pooled' : ''}`, () => {
    const ending = new AbortController();
    const end = async (): Promise<string> => {
      ending.abort();
      await new Promise((resolve) => setTimeout(resolve, 50));
      return '250 2.0.0 taken';
    };
    return served({ script: { end } }, { pool }, async ({ send }) => {
      assert.equal((await send({ signal: ending.signal })).response, '250 2.0.0 taken');
    });
  });

transport('close finishes what is under way, refuses what comes later, and can be waited for', () =>
  served({}, { pool: true }, async ({ send, transport: own, transporter }, host) => {
    let closed = 0;
    own.on('close', () => {
      closed += 1;
    });
    const work = send();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const closing = own.close();
    await Promise.all([work, closing]);
    assert.equal(host.sessions[0]?.at(-1), 'QUIT');
    const late = await failure(send());
    assert.deepEqual([errorOf(late), late.retry], [{ code: 'ECONNECTION', command: 'API' }, 'safe']);
    assert.equal((await failure(transporter.verify())).code, 'ECONNECTION');
    await own.close();
    assert.equal(closed, 2, 'as often as it was called');
  }),
);

/** A message that takes a while to be composed, and tells when that has begun. */
function slowMail() {
  let begun = (): void => {};
  const beginning = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const text = Readable.from(
    (async function* () {
      begun();
      await new Promise((resolve) => setTimeout(resolve, 50));
      yield 'late\n';
    })(),
  );
  return { mail: { text }, beginning };
}

for (const before of ['the first message of a pool', 'a message of a pool that has sessions'])
  transport(`close lets ${before} be composed to its end, and with force it is failed as one that may be sent again`, async () => {
    for (const force of [false, true])
      await served({}, { pool: true }, async ({ send, transport: own }, host) => {
        if (before.includes('sessions')) await send();
        const held = host.held.length;
        const { mail, beginning } = slowMail();
        const work = send(mail).then(
          () => 'sent',
          ({ code, retry }: Failed) => `${code} ${retry}`,
        );
        await beginning;
        await own.close({ force });
        assert.equal(await work, force ? 'ECONNECTION safe' : 'sent');
        assert.equal(host.held.length - held, force ? 0 : 1);
        assert.equal(host.sessions.filter((lines) => lines.at(-1) !== 'QUIT').length, force ? held : 0, 'a session is left');
      });
  });

transport('close with force ends what is under way', () =>
  served({ script: { MAIL: 'silence' } }, { pool: true }, async ({ send, transport: own }, host) => {
    const work = failure(send());
    while (!host.sessions[0]?.some((line) => line.startsWith('MAIL'))) await new Promise((resolve) => setTimeout(resolve, 5));
    await own.close({ force: true });
    assert.equal((await work).code, 'EABORT');
  }),
);

transport('verify by callback', () =>
  served({}, {}, async ({ transport: own }) => {
    assert.deepEqual(await new Promise((resolve) => own.verify((error, success) => resolve([error, success]))), [null, true]);
    const other = new NospoolTransport({ host: '127.0.0.1', port: 1 });
    const code = await new Promise((resolve) => other.verify((error) => resolve(error?.code)));
    assert.equal(code, 'ESOCKET');
  }),
);

transport('a callback that throws ends nothing, and is told', () =>
  served({}, {}, async ({ transporter }, host) => {
    const { emitWarning } = process;
    const warned = new Promise<unknown>((resolve) => {
      process.emitWarning = resolve;
    });
    transporter.sendMail({ ...MAIL }, () => {
      throw new Error('oops');
    });
    assert.equal(await warned, 'the callback of sendMail failed: oops');
    process.emitWarning = emitWarning;
    assert.equal(host.held.length, 1);
  }),
);

transport('functions of the program that are asynchronous fail the message, or are told, and end nothing', async () => {
  const boom = async (): Promise<never> => {
    throw new Error('boom');
  };
  await served({}, { getSocket: boom }, async ({ send }) => {
    const error = await failure(send());
    assert.deepEqual([error.code, (error.cause as Error).message], ['ESOCKET', 'boom']);
  });
  const auth = { type: 'OAuth2', user: 'tim', provisionCallback: boom };
  await served({ offers: TOKENS }, { auth }, async ({ send }) => {
    const error = await failure(send());
    assert.deepEqual([error.code, (error.cause as Error).message], ['EAUTH', 'boom']);
  });
  const logger = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'level'].map((level) => [level, boom]));
  // nodemailer does not look at what its own calls of a logger give.
  const host = await startHost({ offers: OFFERS });
  for (const levels of [logger, { ...logger, info: fail, error: fail }]) {
    const own = new NospoolTransport({ host: '127.0.0.1', port: host.port, logger: levels as never, debug: true });
    const { emitWarning } = process;
    const warnings: string[] = [];
    process.emitWarning = ((warning: string) => warnings.push(warning)) as never;
    const message = {
      getEnvelope: () => ({ from: 'me@example.org', to: ['you@example.net'] }),
      messageId: () => '<1@example.org>',
      createReadStream: () => Readable.from(['Subject: hi\r\n\r\nhello\r\n']),
    };
    for (const end of [boom, fail])
      await new Promise<void>((resolve) =>
        own.send({ data: {}, message } as never, () => {
          setImmediate(resolve);
          return end();
        }),
      );
    await new Promise((resolve) => setImmediate(resolve));
    process.emitWarning = emitWarning;
    assert.deepEqual([...new Set(warnings)].sort(), ['an observer failed: boom', 'the callback of sendMail failed: boom']);
  }
  assert.equal(host.held.length, 4);
  await host.stop();
});

transport('a rate holds back what is over it', () =>
  served({}, { pool: true, rateLimit: 2, rateDelta: 3_600_000 }, async ({ send, transport: own }, host) => {
    const third = Promise.all([send(), send()]).then(() => failure(send()));
    while (own.pendingCount() !== 1 || host.held.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(host.held.length, 2);
    await own.close({ force: true });
    assert.equal((await third).code, 'EABORT');
  }),
);

/* ---- messages that nodemailer did not compose ---- */

transport('envelopes that cannot be are refused before anything connects', () =>
  served({}, {}, async ({ transport: own }, host) => {
    const send = (envelope: object | (() => never), data: object = {}) => {
      const getEnvelope = (): object => (typeof envelope === 'function' ? (envelope as () => never)() : envelope);
      const message = { getEnvelope, messageId: () => '<a@b>', createReadStream: () => Readable.from(['Subject: x\r\n\r\n']) };
      return new Promise<Failed | null>((resolve) => own.send({ data, message }, resolve));
    };
    const codes = [
      await send({ from: 'a@b.example>', to: ['c@d.example'] }),
      await send({ from: 'a@b.example', to: ['c@d.example>\r\nRCPT TO:<x@y.example'] }),
      await send({ from: 'a@b.example', to: [''] }),
      await send({ from: 'a@b.example' }),
      await send({ from: false, to: 'c@d.example' }, { dsn: { ret: 'all' } }),
      await send({ from: false, to: 'c@d.example' }, { dsn: { recipient: 'x400;c' } }),
    ].map((error) => error?.code);
    assert.deepEqual(
      codes,
      Array.from({ length: 6 }, () => 'EENVELOPE'),
    );
    assert.equal(host.sessions.length, 0);
    const thrown = await send(() => {
      throw new Error('no envelope today');
    });
    assert.equal(thrown?.message, 'no envelope today');
    const empty = await new Promise<Failed | null>((resolve) => own.send({ data: {}, message: null }, resolve));
    assert.equal(empty?.code, 'EMESSAGE');
    assert.equal(await send({ from: { address: 'a@b.example' }, to: [{ address: 'c@d.example', name: 'C' }] }), null);
    assert.deepEqual(host.held[0]?.recipients, ['c@d.example']);
  }),
);

transport('DSN of the transport holds for messages that ask for none', () =>
  served({ offers: [...OFFERS, 'DSN'] }, { dsn: { notify: 'never' } }, async ({ send }, host) => {
    await send();
    await send({ dsn: { notify: 'success' } });
    assert.deepEqual(
      host.sessions.map((lines) => lines.find((line) => line.startsWith('RCPT'))),
      ['RCPT TO:<you@there.example> NOTIFY=NEVER', 'RCPT TO:<you@there.example> NOTIFY=SUCCESS'],
    );
  }),
);

transport('times are measured, and nothing is left over', () =>
  served({ script: { DATA: later('354 go ahead'), end: later('250 taken') } }, { pool: true }, async ({ send, transport: own }) => {
    const { envelopeTime, messageTime } = await send();
    assert.ok(Number.isInteger(envelopeTime) && envelopeTime >= 50, String(envelopeTime));
    assert.ok(Number.isInteger(messageTime) && messageTime >= 50, String(messageTime));
    assert.equal(own.pendingCount(), 0);
    assert.ok(own.isIdle());
    assert.equal(MAKERS.nospool({ host: '127.0.0.1' }).isIdle(), true);
  }),
);

/** A transport as @types/nodemailer of nodemailer 6 to 9 has it. */
interface OldTransport<Info> {
  name: string;
  version: string;
  send(mail: object, callback: (error: Error | null, info: Info) => void): void;
  verify?(callback: (error: Error | null, success: true) => void): void;
  verify?(): Promise<true>;
  close?(): void;
}

transport('the types of older nodemailers take it', () => {
  const old: OldTransport<SentMessageInfo> = new NospoolTransport({ host: 'localhost' });
  assert.equal(old.name, 'nospool');
});

transport.run();
