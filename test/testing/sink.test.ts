/** The smart host for tests, as clients of other make see it. Loopback: what is tried is the server, and it trusts nobody. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createTransport } from 'nodemailer';
import { suite } from 'uvu';
import { type SinkOptions, type SmtpSink, sink } from '../../src/testing/index.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { within } from '../support/within.ts';

const test = suite('the smart host for tests');

/** Runs a test with a sink, which is closed after it. */
const withSink = (options: SinkOptions, work: (host: SmtpSink) => Promise<void>) => () =>
  within(20_000, async () => {
    const host = await sink(options);
    try {
      await work(host);
    } finally {
      await host.close();
    }
  });

/** Says each line once the one before it is answered; all that the server says, or what it had said when it hung up. */
function talk(to: SmtpSink | string, lines: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = typeof to === 'string' ? connect(to) : connect(to.port, '127.0.0.1');
    let heard = '';
    let next = 0;
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (text) => {
      heard += text;
      // A line that continues has a hyphen behind its code.
      const answers = heard.split('\r\n').filter((line) => /^\d{3}( |$)/.test(line)).length;
      while (next < answers && next < lines.length) socket.write(`${lines[next++]}\r\n`);
      if (answers > lines.length) socket.end();
    });
    socket.on('close', () => resolve(heard));
  });
}
const codesOf = (heard: string): string[] => [...heard.matchAll(/^(\d{3})(?: |\r)/gm)].map((match) => match[1] as string);

const HELLO = 'EHLO client.example.org';
const MAIL = 'MAIL FROM:<ann@example.org>';
const RCPT = 'RCPT TO:<bob@example.net>';
const CONTENT = 'Subject: hi\r\n\r\n..dot\r\n.';
const MESSAGE = [HELLO, MAIL, RCPT, 'DATA', CONTENT, 'QUIT'];

test(
  'a message is kept with its envelope, its parameters and its session',
  withSink({}, async (host) => {
    assert.match(host.url, /^smtp:\/\/127\.0\.0\.1:\d+$/);
    const coming = host.next();
    const heard = await talk(host, [
      HELLO,
      'MAIL FROM:<ann@example.org> SIZE=10 BODY=8BITMIME',
      'RCPT TO:<bob@example.net> NOTIFY=NEVER',
      'RCPT TO:<"c d"@example.net>',
      'DATA',
      'Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\n..dot\r\n.',
      'QUIT',
    ]);
    assert.deepEqual(codesOf(heard), ['220', '250', '250', '250', '250', '354', '250', '221']);
    const message = await coming;
    assert.deepEqual(message.from, { address: 'ann@example.org', parameters: { SIZE: '10', BODY: '8BITMIME' } });
    assert.deepEqual(message.to, [
      { address: 'bob@example.net', parameters: { NOTIFY: 'NEVER' } },
      { address: '"c d"@example.net', parameters: {} },
    ]);
    assert.equal(Object.getPrototypeOf(message.content), Uint8Array.prototype);
    assert.ok(message.text.startsWith('Subject: gr'));
    assert.ok(message.text.endsWith('\r\n\r\n.dot\r\n'));
    assert.deepEqual({ ...message.session, remote: '' }, { number: 1, remote: '', hello: 'client.example.org', tls: null, user: null });
    assert.match(message.session.remote, /^127\.0\.0\.1:\d+$/);
    assert.deepEqual([host.messages, host.connections], [[message], 1]);
    assert.ok(host.transcript.includes('C: RCPT TO:<bob@example.net> NOTIFY=NEVER'));
    assert.ok(
      host.transcript.includes('S: 354 End data with <CR><LF>.<CR><LF>') || host.transcript.some((line) => line.startsWith('S: 354')),
    );
    assert.ok(!host.transcript.join().includes('dot'), 'content is left out');
  }),
);

test(
  'next gives each message once, in order, whether it waits or not',
  withSink({}, async (host) => {
    const first = host.next();
    const second = host.next();
    await talk(host, [HELLO, MAIL, RCPT, 'DATA', CONTENT, 'MAIL FROM:<>', RCPT, 'DATA', CONTENT, 'QUIT']);
    await talk(host, MESSAGE);
    assert.deepEqual([(await first).from.address, (await second).from.address], ['ann@example.org', '']);
    const third = await host.next();
    assert.deepEqual([third.session.number, host.messages.length, host.connections], [2, 3, 2]);
    host.reset();
    assert.deepEqual([host.messages, host.transcript], [[], []]);
    const late = host.next();
    await Promise.all([assert.rejects(late, /closed/), host.close()]);
    await assert.rejects(host.next(), /closed/);
  }),
);

test(
  'a refusal counts at its command, so often, and for its address',
  withSink({}, async (host) => {
    host.refuse('GREETING', '421 4.3.2 not now', 1);
    assert.equal(await talk(host, MESSAGE), '421 4.3.2 not now\r\n');
    host.refuse('MAIL', '451 later', 1);
    host.refuse('RCPT', '550 5.1.1 no such user\nlook elsewhere', { address: 'eve@example.net' });
    host.refuse('RCPT', '452 4.2.2 full', { address: (address) => address.startsWith('full'), times: 1 });
    host.refuse('DATA', '554 5.7.1 no', 1);
    host.refuse('END', '552 5.3.4 too much', 1);
    const eve = 'RCPT TO:<eve@example.net>';
    const full = 'RCPT TO:<full@example.net>';
    const heard = await talk(host, [HELLO, MAIL, MAIL, eve, full, full, eve, 'DATA', 'DATA', CONTENT, MAIL, RCPT, 'DATA', CONTENT, 'QUIT']);
    assert.deepEqual(codesOf(heard), '220 250 451 250 550 452 250 550 554 354 552 250 250 354 250 221'.split(' '));
    assert.match(heard, /\r\n451 later\r\n/);
    assert.match(heard, /\r\n550-5\.1\.1 no such user\r\n550 5\.1\.1 look elsewhere\r\n/);
    assert.deepEqual(
      host.messages.map(({ to }) => to.map(({ address }) => address)),
      [['bob@example.net']],
    );
    for (const wrong of ['250 2.0.0 ok', '550x', 'no', '']) assert.throws(() => host.refuse('RCPT', wrong), /4yz or 5yz/);
  }),
);

test(
  'the sink hangs up at each point where it is told to, so often',
  withSink({ tls: 'starttls', auth: { user: 'ann', password: 'secret' } }, async (host) => {
    for (const [point, lines, answers] of [
      ['GREETING', [], 0],
      ['EHLO', [HELLO], 1],
      ['STARTTLS', [HELLO, 'STARTTLS'], 2],
      ['AUTH', [HELLO, 'AUTH PLAIN AGFubgBzZWNyZXQ='], 2],
      ['NOOP', ['NOOP'], 1],
      ['RSET', ['RSET'], 1],
      ['QUIT', ['QUIT'], 1],
    ] as const) {
      host.drop(point);
      assert.equal(codesOf(await talk(host, lines)).length, answers, point);
    }
    assert.equal(codesOf(await talk(host, ['QUIT'])).length, 2, 'once');
    assert.equal(host.messages.length, 0);
  }),
);

test(
  'the sink hangs up within a transaction, and keeps no message of it',
  withSink({}, async (host) => {
    for (const [point, answers] of [
      ['MAIL', 2],
      ['RCPT', 3],
      ['DATA', 4],
      ['CONTENT', 5],
      ['END', 5],
    ] as const) {
      host.drop(point, 2);
      for (const time of [1, 2]) assert.equal(codesOf(await talk(host, MESSAGE)).length, answers, `${point} ${time}`);
      host.reset();
      assert.equal(codesOf(await talk(host, MESSAGE)).length, 7, point);
      assert.equal(host.messages.length, 1);
      host.reset();
    }
    host.drop('DATA');
    assert.equal(codesOf(await talk(host, [HELLO, MAIL, RCPT, 'BDAT 5 LAST\r\nhello'])).length, 4);
    host.drop('CONTENT', { times: 1 });
    await talk(host, [HELLO, `${MAIL}\r\n${RCPT}\r\nBDAT 5 LAST\r\nhello`]);
    assert.deepEqual(host.messages, [], 'what came in one piece is not taken after the sink has hung up');
  }),
);

/** Sends by a client that is not ours. */
async function sendBy(options: Readonly<Record<string, unknown>>): Promise<void> {
  const transport = createTransport({ host: '127.0.0.1', ...options } as Parameters<typeof createTransport>[0]);
  try {
    await transport.sendMail({ from: 'ann@example.org', to: 'bob@example.net', subject: 'hi', text: 'hello' });
  } finally {
    transport.close();
  }
}

for (const mode of ['starttls', 'implicit'] as const) {
  test(
    `${mode}: a client that trusts the sink's own certificate sends over TLS, with the right password`,
    withSink({ tls: mode, auth: { user: 'ann', password: 'secret' } }, async (host) => {
      assert.match(host.url, mode === 'implicit' ? /^submissions:/ : /^submission:/);
      const by = { port: host.port, secure: mode === 'implicit', requireTLS: true, tls: { ca: host.certificate } };
      await sendBy({ ...by, auth: { user: 'ann', pass: 'secret' } });
      assert.deepEqual([host.messages[0]?.session.tls, host.messages[0]?.session.user], ['TLSv1.3', 'ann']);
      assert.ok(!host.transcript.join().includes(Buffer.from('\0ann\0secret').toString('base64')), 'secrets are masked');
      await assert.rejects(sendBy({ ...by, auth: { user: 'ann', pass: 'wrong' } }), /535 5\.7\.8/);
      await assert.rejects(sendBy(by), /530/);
      await assert.rejects(sendBy({ ...by, tls: {}, auth: { user: 'ann', pass: 'secret' } }), /self-signed/);
      host.refuse('AUTH', '454 4.7.0 later');
      await assert.rejects(sendBy({ ...by, auth: { user: 'ann', pass: 'secret' } }), /454 4\.7\.0 later/);
      assert.equal(host.messages.length, 1);
    }),
  );
}

test('its certificate holds also where a test has a clock of its own', async () => {
  const { now } = Date;
  try {
    Date.now = () => 0;
    await withSink({ tls: 'implicit' }, async (host) => {
      await sendBy({ port: host.port, secure: true, tls: { ca: host.certificate } });
      assert.equal(host.messages.length, 1);
    })();
  } finally {
    Date.now = now;
  }
});

test('a certificate may be given, and a function may decide who logs in', () => {
  const { key, cert, own } = makeCertificate({ names: ['localhost'], ips: ['127.0.0.1'] });
  const auth = (user: string, password: string) => {
    if (user === 'mad') throw new Error('it broke');
    return Promise.resolve(password === `${user}!`);
  };
  return withSink({ tls: { mode: 'implicit', key, cert }, auth }, async (host) => {
    assert.equal(host.certificate, null);
    const by = { port: host.port, secure: true, tls: { ca: own } };
    await sendBy({ ...by, auth: { user: 'bob', pass: 'bob!' } });
    await assert.rejects(sendBy({ ...by, auth: { user: 'bob', pass: 'ann!' } }), /535/);
    await assert.rejects(sendBy({ ...by, auth: { user: 'mad', pass: 'x' } }), /454 4\.7\.0 the test's own function failed: it broke/);
    assert.equal(host.messages.length, 1);
  })();
});

test(
  'a function of the test that throws where it chooses what is refused is told to the client',
  withSink({}, async (host) => {
    const address = () => {
      throw new Error('it broke');
    };
    host.refuse('RCPT', '550 no', { address });
    const heard = await talk(host, [HELLO, MAIL, RCPT, 'QUIT']);
    assert.match(heard, /\r\n451 4\.3\.0 the test's own function failed: it broke\r\n221 /);
  }),
);

test('LMTP over a unix socket answers for each recipient, and keeps those that were taken', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-'));
  const socket = path.join(folder, 'lmtp');
  try {
    await withSink({ lmtp: true, socket }, async (host) => {
      assert.deepEqual([host.url, host.port], [`lmtp+unix:${socket}`, 0]);
      host.refuse('END', '452 4.2.2 full', { address: 'eve@example.net' });
      const transaction = ['LHLO me', MAIL, RCPT, 'RCPT TO:<eve@example.net>', 'DATA', CONTENT];
      assert.deepEqual(codesOf(await talk(socket, transaction)), '220 250 250 250 250 354 250 452'.split(' '));
      assert.deepEqual(
        host.messages.map(({ to, session }) => [to.map(({ address }) => address), session.remote]),
        [[['bob@example.net'], '']],
      );
      host.refuse('END', '452 4.2.2 full');
      await talk(socket, transaction);
      assert.equal(host.messages.length, 1, 'a message that nobody took is none');
    })();
    await withSink({ socket: `${socket}2` }, async (host) => assert.equal(host.url, `unix:${socket}2`))();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test(
  'extensions, size and latency are as the test wants them',
  withSink({ extensions: ['SIZE', 'LIMITS RCPTMAX=1'], size: 100, latency: 1 }, async (host) => {
    const heard = await talk(host, [HELLO, 'MAIL FROM:<ann@example.org> SIZE=101', MAIL, RCPT, RCPT, 'QUIT']);
    assert.match(heard, /\r\n250[- ]SIZE 100\r\n/);
    assert.ok(!heard.includes('PIPELINING'));
    assert.deepEqual(codesOf(heard), '220 250 552 250 250 452 221'.split(' '));
  }),
);

test('a sink that cannot listen says why, and one that closes takes leave of its clients', () =>
  within(20_000, async () => {
    const first = await sink();
    await assert.rejects(sink({ port: first.port }), /in use already/);
    await assert.rejects(sink({ tls: { mode: 'implicit', key: 'none', cert: 'none' } }), /certificate or key/);
    const idle = talk(first, [HELLO]);
    const silent = connect(first.port, '127.0.0.1').on('error', () => {});
    await new Promise((resolve) => silent.once('data', resolve));
    await first.close();
    assert.match(await idle, /^220 /);
    silent.destroy();
    const second = await sink({ host: 'localhost' });
    await second[Symbol.asyncDispose]();
    assert.equal(second.connections, 0);
  }));

test.run();
