/**
 * Ways to a server, and what it answers to some recipients: partial delivery, LMTP, proxies, a resolver and a socket of the caller's,
 * TLS with what is in memory, tokens and mechanisms, and failures as errors.
 * Loopback: TLS is asked for by name, and passwords go in clear only where a test says so.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect as connectSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import {
  connect,
  type Destination,
  type Failure,
  type Mechanism,
  type NameQuestion,
  type Outcome,
  orThrow,
  Pool,
  type Server,
  SmtpError,
  submit,
} from '../../src/library/index.ts';
import { type SmtpSink, sink } from '../../src/testing/index.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { startHttpProxy, startSocks } from '../support/proxies.ts';
import { conversing, startScripted, usual } from '../support/scripted.ts';
import { startHost } from '../support/smarthost.ts';
import { loop, tunnelTo } from '../support/streams.ts';
import { within } from '../support/within.ts';
import { DOORS, ENVELOPE, turns, watch } from './doors.ts';

const test = suite('reach');
const looking = watch();
test.after.each(() => looking.check());
test.after(() => looking.stop());

const MESSAGE = 'Subject: hi\r\n\r\nhello\r\n';
const THREE = { from: 'me@example.org', to: ['ann@example.net', 'bob@example.net', 'eve@example.net'] };

function failureOf(outcome: Outcome): Failure {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  return (outcome as Extract<Outcome, { kind: 'failed' }>).failure;
}
const send = (server: string | Server, signal?: AbortSignal): Promise<Outcome> => submit(ENVELOPE, MESSAGE, { servers: [server], signal });
async function accepted(outcome: Promise<Outcome>): Promise<Extract<Outcome, { kind: 'accepted' }>> {
  const found = await outcome;
  assert.ok(found.kind === 'accepted', JSON.stringify(found));
  return found;
}
async function withSink<T>(options: Parameters<typeof sink>[0], work: (host: SmtpSink) => Promise<T>): Promise<T> {
  const host = await sink(options);
  try {
    return await work(host);
  } finally {
    await host.close();
  }
}

/* ---- some recipients ---- */

for (const lmtp of [false, true])
  for (const [name, door] of Object.entries(DOORS))
    test(`recipients: "any" by ${lmtp ? 'LMTP' : 'SMTP'}, ${name}: taken and refusals by index and address`, () =>
      within(10_000, () =>
        withSink({ lmtp }, async (host) => {
          host.refuse('RCPT', '550 5.1.1 no such user', { address: 'bob@example.net' });
          if (lmtp) host.refuse('END', '452 4.2.2 mailbox full', { address: 'ann@example.net' });
          const outcome = await accepted(door(host.url, () => MESSAGE, { recipients: 'any' }, THREE));
          assert.deepEqual(outcome.taken, [
            ...(lmtp ? [] : [{ index: 0, address: 'ann@example.net' }]),
            { index: 2, address: 'eve@example.net' },
          ]);
          assert.deepEqual(outcome.refusals.map(({ index, address, reply }) => [index, address, reply.code]).sort(), [
            ...(lmtp ? [[0, 'ann@example.net', 452]] : []),
            [1, 'bob@example.net', 550],
          ]);
          assert.deepEqual(structuredClone(outcome), outcome);
          assert.deepEqual(
            host.messages.map(({ to }) => to.map(({ address }) => address)),
            [lmtp ? ['eve@example.net'] : ['ann@example.net', 'eve@example.net']],
          );
        }),
      ));

test('recipients: "any" fails when nobody is left, and "all" when one is missing', () =>
  within(10_000, () =>
    withSink({}, async (host) => {
      host.refuse('RCPT', '550 5.1.1 no such user');
      const none = failureOf(await submit(THREE, MESSAGE, { servers: [host.url], recipients: 'any' }));
      assert.deepEqual([none.code, none.retry, none.refusals.length], ['rejected', 'never', 3]);
      host.reset();
      host.refuse('RCPT', '550 5.1.1 no such user', { address: 'eve@example.net' });
      const all = failureOf(await submit(THREE, MESSAGE, { servers: [host.url] }));
      assert.deepEqual(
        all.refusals.map(({ index, address }) => [index, address]),
        [[2, 'eve@example.net']],
      );
      assert.equal(host.messages.length, 0);
    }),
  ));

test('LMTP to several without recipients: "any" is unsupported, and nothing is asked of the server', () =>
  within(10_000, () =>
    withSink({ lmtp: true }, async (host) => {
      for (const door of Object.values(DOORS)) {
        const failure = failureOf(await door(host.url, () => MESSAGE, {}, THREE));
        assert.deepEqual([failure.code, failure.retry, failure.lacks], ['unsupported', 'never', 'partial']);
        assert.equal(failure.hint, 'send to one, or set recipients: "any"');
      }
      assert.ok(!host.transcript.some((line) => line.startsWith('C: MAIL')));
      // One recipient is all of them.
      for (const door of Object.values(DOORS)) await accepted(door(host.url, () => MESSAGE));
    }),
  ));

test('where LMTP’s verdicts end half-way, the failure names who has the message, who has not, and leaves the others in doubt', () =>
  within(10_000, async () => {
    const server = await startScripted(
      conversing((line, socket) => {
        if (line.includes('bob@')) return '550 5.1.1 no such user\r\n';
        if (line !== '.') return usual(line);
        socket.end('250 2.0.0 ann has it\r\n');
        return '';
      }),
    );
    for (const door of Object.values(DOORS)) {
      const outcome = await door(`lmtp://127.0.0.1:${server.port}`, () => MESSAGE, { recipients: 'any' }, THREE);
      const failure = failureOf(outcome);
      assert.deepEqual([failure.code, failure.retry], ['uncertain', 'unknown']);
      assert.deepEqual(failure.taken, [{ index: 0, address: 'ann@example.net' }]);
      assert.deepEqual(
        failure.refusals.map(({ index, reply }) => [index, reply.code]),
        [[1, 550]],
      );
      assert.deepEqual(structuredClone(outcome), outcome);
    }
    await server.close();
  }));

test('LMTP over a unix socket takes a message through every door', () =>
  within(10_000, async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'nospool-reach-'));
    try {
      await withSink({ lmtp: true, socket: path.join(folder, 'lmtp') }, async (host) => {
        assert.equal(host.url, `lmtp+unix:${path.join(folder, 'lmtp')}`);
        for (const door of Object.values(DOORS)) {
          const { server } = await accepted(door(host.url, () => MESSAGE));
          assert.deepEqual([server.address, server.port], [path.join(folder, 'lmtp'), 0]);
        }
        assert.equal(host.messages.length, 3);
        assert.ok(host.transcript.some((line) => line.startsWith('C: LHLO')));
      });
      assert.equal(failureOf(await send(`lmtp+unix:${path.join(folder, 'nobody')}`)).retry, 'safe');
    } finally {
      rmSync(folder, { recursive: true });
    }
  }));

test('REQUIRETLS in clear is unsupported for every door, whatever the server offers, and the next server may have TLS', () =>
  within(20_000, () =>
    withSink({ extensions: ['PIPELINING'], tls: 'starttls' }, async (deaf) =>
      withSink({ extensions: ['REQUIRETLS'], tls: 'starttls' }, async (host) => {
        const clear = await startHost({ offers: ['REQUIRETLS'] });
        const url = `smtp://127.0.0.1:${clear.port}`;
        const envelope = { ...ENVELOPE, requireTls: true };
        for (const door of Object.values(DOORS)) {
          const failure = failureOf(await door(url, () => MESSAGE, {}, envelope));
          assert.deepEqual([failure.code, failure.retry, failure.lacks], ['unsupported', 'never', 'encryption']);
        }
        assert.ok(!clear.sessions.flat().some((line) => line.startsWith('MAIL')));
        const over = ({ url: to, certificate }: SmtpSink): Server => ({ url: to, tls: { mode: 'required', ca: certificate ?? '' } });
        const outcome = await accepted(submit(envelope, MESSAGE, { servers: [url, over(deaf), over(host)] }));
        assert.deepEqual(
          outcome.attempts.map(({ failure }) => failure.lacks),
          ['encryption', 'requiretls'],
        );
        assert.deepEqual(host.messages[0]?.from.parameters, { REQUIRETLS: null });
        await clear.stop();
      }),
    ),
  ));

test('REQUIRETLS for a server whose certificate nobody verifies is a mistake, and nothing is sent', () =>
  within(20_000, () =>
    withSink({ extensions: ['REQUIRETLS'], tls: 'starttls' }, async (host) => {
      const envelope = { ...ENVELOPE, requireTls: true };
      for (const tls of [{ verify: false, mode: 'required' }, { mode: 'opportunistic' }] as const)
        for (const door of Object.values(DOORS)) {
          const failure = failureOf(await door({ url: host.url, tls }, () => MESSAGE, {}, envelope));
          assert.equal(failure.code, 'usage');
          assert.match(failure.message, /^envelope\.requireTls needs a server whose certificate is verified/);
          assert.equal(failure.lacks, 'encryption');
        }
      assert.equal(host.messages.length, 0);
    }),
  ));

/* ---- ways ---- */

test('a proxy by its URL, with user and password, text or URL; a wrong password is told without it', () =>
  within(20_000, async () => {
    const host = await startHost();
    const places = { 'mail.example:25': host.port };
    const user = { user: 'me', password: 'p@ss:word', places };
    for (const [scheme, proxy] of [
      ['socks5', await startSocks(user)],
      ['http', await startHttpProxy(user)],
    ] as const) {
      const at = (word: string): string => `${scheme}://me:${encodeURIComponent(word)}@127.0.0.1:${proxy.port}`;
      for (const given of [at('p@ss:word'), new URL(at('p@ss:word'))])
        await accepted(send({ url: 'smtp://mail.example:25', proxy: given, tls: { mode: 'off' } }));
      const failure = failureOf(await send({ url: 'smtp://mail.example:25', proxy: at('wr0ng'), tls: { mode: 'off' } }));
      assert.doesNotMatch(JSON.stringify(failure), /wr0ng/);
      assert.equal(failure.verb, null);
      await proxy.stop();
    }
    const open = await startSocks({ places });
    await accepted(send({ url: 'smtp://mail.example:25', proxy: `socks5://127.0.0.1:${open.port}`, tls: { mode: 'off' } }));
    await open.stop();
    assert.equal(host.held.length, 5);
    await host.stop();
  }));

test('a resolver of the caller’s is asked with this system’s for the rest; what it rejects with is the failure', () =>
  within(10_000, async () => {
    const host = await startHost();
    const asked: string[] = [];
    const resolver = {
      addresses: async (name: string) => {
        asked.push(name);
        return [{ address: '127.0.0.1', family: 4 as const }];
      },
      mx: async (name: string) => {
        asked.push(`MX ${name}`);
        return [{ exchange: 'mx.example', priority: 10 }];
      },
    };
    for (const url of [`smtp://mail.example:${host.port}`, `smtp://example.org:${host.port}/MX`])
      await accepted(send({ url, resolver: resolver as never, tls: { mode: 'off' } }));
    assert.deepEqual(asked, ['mail.example', 'MX example.org', 'mx.example']);
    const cause = Object.assign(new Error('no'), { code: 'ENOTFOUND' });
    const failure = failureOf(await send({ url: 'smtp://mail.example', resolver: { addresses: () => Promise.reject(cause) } }));
    assert.deepEqual([failure.code, failure.systemCode, failure.retry], ['resolve', 'ENOTFOUND', 'safe']);
    await host.stop();
  }));

test('a resolver of the caller’s hears that nobody waits any more, by a signal of the runtime, which has no listener of ours left', () =>
  within(10_000, async () => {
    for (const url of ['smtp://mail.example', 'smtp://mail.example/MX', 'submission://mail.example/SRV']) {
      const heard: AbortSignal[] = [];
      const own = async (_: string, { signal }: NameQuestion): Promise<never> => {
        heard.push(signal);
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw Object.assign(new Error('late'), { code: 'ECANCELLED' });
      };
      const controller = new AbortController();
      const sent = send({ url, resolver: { addresses: own, mx: own, srv: own }, tls: { mode: 'off' } }, controller.signal);
      while (heard.length === 0) await turns();
      controller.abort();
      assert.equal(failureOf(await sent).code, 'aborted');
      const [signal] = heard;
      assert.ok(signal instanceof AbortSignal && signal.aborted && heard.length === 1, url);
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    }
  }));

test('a name that only the C library knows is looked up in this process, because its runtime may be a program of the caller’s', () =>
  within(20_000, async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'nospool-reach-'));
    const begun = path.join(folder, 'begun');
    const program = path.join(folder, 'program');
    writeFileSync(program, `#!/bin/sh\necho >>${begun}\nexit 1\n`);
    chmodSync(program, 0o755);
    const { execPath } = process;
    process.execPath = program;
    try {
      await withSink({}, async (host) => {
        const { port } = new URL(host.url);
        const socks = await startSocks({ places: { 'mail.example:25': Number(port) } });
        // An address as inet_aton(3) reads it.
        for (const door of Object.values(DOORS))
          await accepted(door({ url: `smtp://0x7f000001:${port}`, tls: { mode: 'off' } }, () => MESSAGE));
        await accepted(send({ url: 'smtp://mail.example:25', proxy: `socks5://0x7f000001:${socks.port}`, tls: { mode: 'off' } }));
        await socks.stop();
      });
    } finally {
      process.execPath = execPath;
    }
    assert.equal(existsSync(begun), false);
    rmSync(folder, { recursive: true });
  }));

test('a socket of the caller’s: any stream, with the name as it is written, through every door', () =>
  within(10_000, async () => {
    const host = await startHost({ offers: ['PIPELINING', 'CHUNKING'] });
    const asked: Destination[] = [];
    for (const [name, door] of Object.entries(DOORS)) {
      const server: Server = {
        url: 'smtp://mail.example:2525',
        tls: { mode: 'off' },
        socket: (to, signal) => {
          assert.ok(signal instanceof AbortSignal);
          asked.push(to);
          return name === 'submit' ? tunnelTo(host.port) : Promise.resolve(connectSocket(host.port, '127.0.0.1'));
        },
      };
      const { server: facts } = await accepted(door(server, () => MESSAGE));
      assert.deepEqual([facts.name, facts.address], ['mail.example', 'mail.example']);
    }
    assert.deepEqual(asked, Array(3).fill({ host: 'mail.example', port: 2525 }));
    const hasBlocks = () => host.sessions.flat().some((line) => line.startsWith('BDAT'));
    assert.ok(!hasBlocks(), 'a reset may not get through');
    const own = { url: 'smtp://mail.example', tls: { mode: 'off' }, socket: () => connectSocket(host.port, '127.0.0.1') } as const;
    await accepted(submit(ENVELOPE, MESSAGE, { servers: [own], framing: 'auto' }));
    assert.ok(hasBlocks());
    await host.stop();
  }));

test('a socket that throws, gives none, or never answers is a failure with its cause', () =>
  within(10_000, async () => {
    const cause = new Error('the tunnel is down');
    const rows: readonly (readonly [() => never, unknown])[] = [
      [
        () => {
          throw cause;
        },
        cause,
      ],
      [(() => Promise.reject(cause)) as never, cause],
    ];
    for (const door of Object.values(DOORS))
      for (const [socket, wanted] of rows) {
        const failure = failureOf(await door({ url: 'smtp://mail.example', tls: { mode: 'off' }, socket }, () => MESSAGE));
        assert.equal(failure.retry, 'safe');
        assert.match(failure.message, /the tunnel is down/);
        assert.equal(failure.cause, wanted);
        assert.ok(!Object.keys(failure).includes('cause'));
      }
    for (const given of [undefined, null, {}, 7, 'x']) {
      const { code, retry } = failureOf(await send({ url: 'smtp://mail.example', tls: { mode: 'off' }, socket: () => given as never }));
      assert.deepEqual([code, retry], ['usage', 'never']);
    }
    const silent = { url: 'smtp://mail.example', tls: { mode: 'off' as const }, socket: () => new Promise<never>(() => {}) };
    const late = failureOf(await submit(ENVELOPE, MESSAGE, { servers: [silent], timeouts: { connect: 50 } }));
    assert.deepEqual([late.code, late.retry], ['connect-timeout', 'safe']);
  }));

/** What a stream's own functions and events may do wrong, where nobody could catch it. */
const ODD_STREAMS: Readonly<Record<string, (stream: Duplex) => void>> = {
  ...Object.fromEntries(
    (['write', 'end', 'pause', 'resume', 'destroy', '_write', '_writev'] as const).map((name) => [
      `whose ${name} throws`,
      (stream: Duplex) => {
        Object.assign(stream, {
          [name]: () => {
            throw new Error('it is odd');
          },
        });
      },
    ]),
  ),
  'that gives an object': (stream) => void setImmediate(() => stream.emit('data', { octets: 5 })),
  'that gives null': (stream) => void setImmediate(() => stream.emit('data', null)),
};

for (const [what, spoil] of Object.entries(ODD_STREAMS))
  test(`a socket ${what} fails the message at most, and never the process`, () =>
    within(20_000, async () => {
      const host = await startHost({ offers: ['PIPELINING'] });
      for (const [name, door] of Object.entries(DOORS)) {
        const stream = await tunnelTo(host.port);
        spoil(stream);
        const server: Server = { url: 'smtp://mail.example', tls: { mode: 'off' }, socket: () => stream };
        const outcome = await door(server, () => MESSAGE, { timeouts: { command: 300 } });
        if (outcome.kind === 'failed') assert.equal(outcome.failure.retry, 'safe', `${name}: ${outcome.failure.message}`);
        const held = (host.held as unknown[]).splice(0).length;
        assert.equal(held, outcome.kind === 'accepted' ? 1 : 0, name);
        await turns();
      }
      looking.check();
      await host.stop();
    }));

test('a socket that comes after the signal is destroyed', () =>
  within(10_000, async () => {
    const { stream } = loop();
    let give = (_stream: typeof stream): void => {};
    let told: AbortSignal | undefined;
    const controller = new AbortController();
    const sent = send(
      {
        url: 'smtp://mail.example',
        tls: { mode: 'off' },
        socket: (_, signal) => {
          told = signal;
          return new Promise((resolve) => {
            give = resolve;
          });
        },
      },
      controller.signal,
    );
    while (told === undefined) await turns(1);
    controller.abort(new Error('enough'));
    assert.equal(failureOf(await sent).code, 'aborted');
    assert.ok(told.aborted);
    give(stream);
    await turns(10);
    assert.ok(stream.destroyed);
  }));

/* ---- TLS ---- */

test('TLS with ca, certificate and key in memory, as text and as octets', () =>
  within(20_000, async () => {
    const own = makeCertificate({ names: ['mail.example'], ips: ['127.0.0.1'] });
    const client = makeCertificate({ names: ['client.example'] });
    const names: string[] = [];
    const server = await startScripted(
      (socket) => {
        names.push(String((socket as TLSSocket).getPeerCertificate().subject?.CN));
        conversing((line) => usual(line))(socket as Socket);
      },
      { key: own.key, cert: own.cert, ca: client.own, requestCert: true, rejectUnauthorized: true },
    );
    const url = `submissions://127.0.0.1:${server.port}`;
    const octets = (text: string): Uint8Array => new TextEncoder().encode(text);
    for (const tls of [
      { ca: own.own, certificate: client.cert, key: client.key },
      { ca: octets(own.own), certificate: octets(client.cert), key: octets(client.key) },
      { ca: [client.own, octets(own.own)], certificate: client.cert, key: client.key },
    ]) {
      const outcome = await accepted(send({ url, tls }));
      assert.equal(outcome.server.tls?.verified, true);
      assert.deepEqual(structuredClone(outcome), outcome);
    }
    assert.deepEqual(names, Array(3).fill('client.example'));
    await server.close();
  }));

test('a fingerprint of the certificate or its key replaces the CA; a wrong one refuses', () =>
  within(20_000, async () => {
    const own = makeCertificate({ names: ['elsewhere.example'] });
    const tls = { mode: 'starttls' as const, key: own.key, cert: own.cert };
    await withSink({ tls }, async (host) => {
      for (const fingerprint of [own.fingerprints.certificate, [`sha256:${'0'.repeat(64)}`, own.fingerprints.key]]) {
        const { server } = await accepted(send({ url: host.url, tls: { mode: 'required', fingerprint } }));
        assert.equal(server.tls?.verified, true);
      }
      const failure = failureOf(await send({ url: host.url, tls: { mode: 'required', fingerprint: `sha256:${'0'.repeat(64)}` } }));
      const distrusted = failureOf(
        await send({ url: host.url, tls: { mode: 'required', ca: makeCertificate({ names: ['other.example'] }).own } }),
      );
      for (const { code, retry } of [failure, distrusted]) assert.deepEqual([code, retry], ['tls-certificate', 'never']);
      assert.equal(host.messages.length, 2);
    });
  }));

/* ---- logins ---- */

test('token and password functions are asked for each connection, and hear of the signal', () =>
  within(20_000, async () => {
    for (const kind of ['token', 'password'] as const) {
      const heard: string[] = [];
      const host = await startHost({ offers: [kind === 'token' ? 'AUTH XOAUTH2' : 'AUTH PLAIN'] });
      let count = 0;
      const secret = async (signal: AbortSignal): Promise<string> => {
        assert.ok(signal instanceof AbortSignal);
        count += 1;
        return `secret-${count}`;
      };
      const auth =
        kind === 'token' ? { user: 'tim', token: secret, allowPlaintext: true } : { user: 'tim', password: secret, allowPlaintext: true };
      const pool = new Pool({ url: `smtp://127.0.0.1:${host.port}`, auth }, { connections: 1, messagesPerConnection: 2 });
      for (let i = 0; i < 4; i++) {
        const { server } = await accepted(pool.send(ENVELOPE, MESSAGE));
        assert.deepEqual(server.auth, { mechanism: kind === 'token' ? 'XOAUTH2' : 'PLAIN', user: 'tim' });
      }
      await pool.drain();
      for (const session of host.sessions) {
        const word = session.find((line) => line.startsWith('AUTH'))?.split(' ')[2] ?? '';
        heard.push(/secret-\d/.exec(Buffer.from(word, 'base64').toString())?.[0] ?? '');
      }
      assert.deepEqual(heard, ['secret-1', 'secret-2']);
      await host.stop();
    }
  }));

test('a token function that throws or gives none fails the message with its cause, and may come the next time', () =>
  within(10_000, async () => {
    const host = await startHost({ offers: ['AUTH XOAUTH2'] });
    const cause = new Error('the token server is down');
    const url = `smtp://127.0.0.1:${host.port}`;
    for (const door of Object.values(DOORS)) {
      const failure = failureOf(
        await door({ url, auth: { user: 'tim', token: () => Promise.reject(cause), allowPlaintext: true } }, () => MESSAGE),
      );
      assert.deepEqual([failure.code, failure.retry, failure.cause], ['auth-mechanism', 'safe', cause]);
    }
    for (const token of [() => '', () => 7 as never, () => undefined as never])
      assert.equal(failureOf(await send({ url, auth: { user: 'tim', token, allowPlaintext: true } })).code, 'usage');
    assert.ok(host.sessions.every((session) => !session.some((line) => line.startsWith('MAIL'))));
    await host.stop();
  }));

test('a mechanism of the caller’s logs in, and the facts name it; a sentence says why there is none', () =>
  within(10_000, async () => {
    const host = await startHost({ offers: ['AUTH X-OWN PLAIN'], script: { AUTH: '235 2.7.0 welcome' } });
    const url = `smtp://127.0.0.1:${host.port}`;
    const own: Mechanism = { name: 'X-OWN', begin: () => ({ say: 'it is me', mayEnd: true, hear: () => ({ cancel: 'enough' }) }) };
    const asked: (readonly string[])[] = [];
    const connected = await connect({
      url,
      auth: {
        mechanism: (offered) => {
          asked.push([...offered]);
          return own;
        },
      },
    });
    assert.ok(connected.ok);
    assert.equal(await connected.client.ready(), null);
    assert.deepEqual(connected.client.facts.auth, { mechanism: 'X-OWN', user: '' });
    assert.equal((await connected.client.send(ENVELOPE, MESSAGE)).kind, 'accepted');
    await connected.client.quit();
    assert.deepEqual(asked, [['X-OWN', 'PLAIN']]);
    assert.equal(
      host.sessions[0]?.find((line) => line.startsWith('AUTH')),
      `AUTH X-OWN ${Buffer.from('it is me').toString('base64')}`,
    );
    const failure = failureOf(await send({ url, auth: { mechanism: () => 'no key is plugged in' } }));
    assert.equal(failure.code, 'auth-mechanism');
    assert.match(failure.message, /no key is plugged in/);
    // A promise is no mechanism, and one that fails does not end the process.
    const late = failureOf(await send({ url, auth: { mechanism: (() => Promise.reject(new Error('late'))) as never } }));
    assert.match(late.message, /auth\.mechanism gave no mechanism/);
    await turns();
    looking.check();
    await host.stop();
  }));

/* ---- errors ---- */

test('orThrow gives what was accepted, and throws a SmtpError with code, retry, failure and cause', () =>
  within(10_000, async () => {
    const host = await startHost({ script: { RCPT: '550 5.1.1 no such user' } });
    const good = await startHost();
    assert.equal((await orThrow(send(`smtp://127.0.0.1:${good.port}`))).kind, 'accepted');
    const error = await orThrow(send(`smtp://127.0.0.1:${host.port}`)).then(
      () => assert.fail('it was accepted'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof SmtpError && error instanceof Error);
    assert.deepEqual([error.name, error.code, error.retry, error.message], ['SmtpError', 'rejected', 'never', error.failure.message]);
    assert.equal(new SmtpError({ ...error.failure, message: 'no', hint: 'do this' }).message, 'no; do this');
    assert.equal(error.failure.reply?.code, 550);
    assert.ok(!('cause' in error));
    const cause = new Error('gone');
    const second = await orThrow(send({ url: 'smtp://mail.example', tls: { mode: 'off' }, socket: () => Promise.reject(cause) })).catch(
      (thrown: SmtpError) => thrown,
    );
    assert.ok(second instanceof SmtpError);
    assert.equal(second.cause, cause);
    assert.ok(!(new Error('x') instanceof SmtpError) && !((null as unknown) instanceof SmtpError));
    await Promise.all([host.stop(), good.stop()]);
  }));

test('an error of the CommonJS form is a SmtpError of the ES modules, and the other way round', async () => {
  const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
  type Built = typeof import('../../src/library/index.ts');
  const modules = (await import(pathToFileURL(path.join(dist, 'lib/index.mjs')).href)) as Built;
  const common = createRequire(import.meta.url)(path.join(dist, 'cjs/index.cjs')) as Built;
  assert.notEqual(modules.SmtpError, common.SmtpError);
  for (const [from, to] of [
    [modules, common],
    [common, modules],
  ] as const) {
    const error = await from
      .orThrow(from.submit({ from: '', to: [] }, MESSAGE, { servers: ['smtp://127.0.0.1:1'] }))
      .catch((thrown) => thrown);
    assert.ok(error instanceof to.SmtpError && error instanceof from.SmtpError);
    assert.deepEqual([error.name, error.code], ['SmtpError', 'usage']);
  }
});

test.run();
