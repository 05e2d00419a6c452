/** Loopback: it is the server's side; a client's policy has no say. */

import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { suite } from 'uvu';
import { makeReply } from '../../src/smtp/server/answers.ts';
import { type OwnerQuestion, RECEIVING } from '../../src/smtp/server/machine.ts';
import { explainListenError, type Listener, type ListenOptions, listen } from '../../src/transport/listen.ts';
import type { OwnerVerdict, SessionOwner } from '../../src/transport/serve.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { within } from '../support/within.ts';

const test = suite('listen');

const CERTIFICATE = makeCertificate({ names: ['localhost'], ips: ['127.0.0.1'] });
const RECEIVES = { ...RECEIVING, hostname: 'here' };

/** The things that an owner in these tests remembers. */
interface Seen {
  readonly trace: string[];
  readonly contents: string[];
  abandoned: number;
  closed: number;
}

type Judge = (question: OwnerQuestion) => OwnerVerdict | Promise<OwnerVerdict>;

/** Listens, runs `work`, closes; the owner says yes unless `judge` says otherwise. */
async function served(
  options: Partial<ListenOptions> & { readonly judge?: Judge },
  work: (listener: Listener, seen: Seen) => Promise<void>,
): Promise<Seen> {
  const seen: Seen = { trace: [], contents: [], abandoned: 0, closed: 0 };
  const owner = (): SessionOwner => {
    let content = '';
    return {
      judge(question) {
        if (question.about === 'content') {
          seen.contents.push(content);
          content = '';
        }
        return options.judge?.(question) ?? null;
      },
      content: (octets) => {
        content += Buffer.from(octets).toString('latin1');
      },
      abandon: () => {
        seen.abandoned++;
        content = '';
      },
      trace: (side, line) => seen.trace.push(`${side} ${line}`),
      closed: () => {
        seen.closed++;
      },
    };
  };
  const listener = await listen({ receiving: RECEIVES, at: { host: '127.0.0.1', port: 0 }, owner, ...options });
  assert.ok(listener.ok, listener.ok ? '' : listener.detail);
  try {
    await within(10_000, () => work(listener.value, seen));
  } finally {
    await within(5000, listener.value.close);
  }
  return seen;
}

/** A client that reads replies as whole texts, and knows when the server has hung up. */
class Talker {
  #text = '';
  #ended = false;
  #wake = (): void => {};
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#text += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('error', () => {});
    for (const event of ['end', 'close'])
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
  }

  static async to(port: number): Promise<Talker> {
    const socket = connect({ port, host: '127.0.0.1' });
    await new Promise((resolve) => socket.once('connect', resolve));
    return new Talker(socket);
  }

  /** The next `count` replies, the last lines of each. */
  async hear(count = 1): Promise<string[]> {
    const out: string[] = [];
    while (out.length < count) {
      const match = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r\n/.exec(this.#text);
      if (match) {
        this.#text = this.#text.slice(match[0].length);
        out.push(match[0].trimEnd().split('\r\n').at(-1) as string);
      } else if (this.#ended) return [...out, 'closed'];
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
    return out;
  }

  async say(...lines: string[]): Promise<string[]> {
    this.socket.write(lines.map((line) => `${line}\r\n`).join(''), 'latin1');
    return this.hear(lines.length);
  }

  /** A listener for TLS on top of this connection. */
  async secure(): Promise<Talker> {
    this.socket.removeAllListeners('data');
    const socket = tlsConnect({ socket: this.socket, ca: CERTIFICATE.own, servername: 'localhost' });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return new Talker(socket);
  }
}

test('a pipelined session on one connection, two messages', async () => {
  const seen = await served({}, async ({ port, address }) => {
    assert.equal(address, `127.0.0.1:${port}`);
    const talker = await Talker.to(port);
    assert.deepEqual(await talker.hear(), ['220 here ESMTP nospool']);
    assert.deepEqual(await talker.say('EHLO x', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA'), [
      '250 ENHANCEDSTATUSCODES',
      '250 2.1.0 sender accepted',
      '250 2.1.5 recipient accepted',
      '354 send the content, and "." on a line of its own at its end',
    ]);
    talker.socket.write('one\r\n..\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nBDAT 5 LAST\r\ntwo\r\nQUIT\r\n');
    assert.deepEqual(await talker.hear(6), [
      '250 2.0.0 message accepted',
      '250 2.1.0 sender accepted',
      '250 2.1.5 recipient accepted',
      '250 2.0.0 message accepted',
      '221 2.0.0 here says goodbye',
      'closed',
    ]);
  });
  assert.deepEqual(seen.contents, ['one\r\n.\r\n', 'two\r\n']);
  assert.equal(seen.closed, 1);
  assert.equal(seen.abandoned, 0);
});

test('an owner that takes its time is waited for, and the order of replies stays', async () => {
  const judge: Judge = async (question) => {
    await new Promise((resolve) => setTimeout(resolve, question.about === 'recipient' && question.path.localPart === 'slow' ? 30 : 0));
    return question.about === 'recipient' ? makeReply(250, '2.1.5', question.path.localPart) : null;
  };
  await served({ judge }, async ({ port }) => {
    const talker = await Talker.to(port);
    await talker.hear();
    assert.deepEqual((await talker.say('EHLO x', 'MAIL FROM:<>', 'RCPT TO:<slow@d>', 'RCPT TO:<quick@d>', 'NOOP')).slice(2), [
      '250 2.1.5 slow',
      '250 2.1.5 quick',
      '250 2.0.0 nothing done',
    ]);
  });
});

test('STARTTLS: what is sent in the clear behind it is never heard (RFC 3207 §6)', async () => {
  const seen = await served(
    { receiving: { ...RECEIVES, tls: 'required' }, tls: { key: CERTIFICATE.key, cert: CERTIFICATE.cert } },
    async ({ port }) => {
      const talker = await Talker.to(port);
      await talker.hear();
      assert.deepEqual(await talker.say('EHLO x'), ['250 STARTTLS']);
      // One write: the injected command is in the same segment.
      talker.socket.write('STARTTLS\r\nMAIL FROM:<injected@x>\r\n');
      assert.deepEqual(await talker.hear(), ['220 2.0.0 begin TLS']);
      const secured = await talker.secure();
      assert.deepEqual(await secured.say('EHLO x', 'RCPT TO:<a@b>', 'QUIT'), [
        '250 ENHANCEDSTATUSCODES',
        '503 5.5.1 say MAIL first',
        '221 2.0.0 here says goodbye',
      ]);
    },
  );
  assert.ok(!seen.trace.some((line) => line.includes('injected')), 'the injected command was heard');
  assert.ok(seen.trace.some((line) => line.startsWith('! TLS: TLSv1.')));
});

test('STARTTLS: clear text in place of a handshake ends the connection', async () => {
  const seen = await served(
    { receiving: { ...RECEIVES, tls: 'offered' }, tls: { key: CERTIFICATE.key, cert: CERTIFICATE.cert } },
    async ({ port }) => {
      const talker = await Talker.to(port);
      await talker.hear();
      await talker.say('EHLO x', 'STARTTLS');
      talker.socket.write('MAIL FROM:<injected@x>\r\n');
      // A TLS alert may come before the end; no SMTP reply does.
      assert.deepEqual(await talker.hear(), ['closed']);
    },
  );
  assert.ok(!seen.trace.some((line) => line.includes('injected')));
  assert.equal(seen.closed, 1);
});

test('TLS before the greeting', async () => {
  await served({ tls: { key: CERTIFICATE.key, cert: CERTIFICATE.cert, implicit: true } }, async ({ port }) => {
    const socket = tlsConnect({ port, host: '127.0.0.1', ca: CERTIFICATE.own, servername: 'localhost' });
    const talker = new Talker(socket);
    assert.deepEqual(await talker.hear(), ['220 here ESMTP nospool']);
    assert.deepEqual(await talker.say('EHLO x', 'MAIL FROM:<>', 'QUIT'), [
      '250 ENHANCEDSTATUSCODES',
      '250 2.1.0 sender accepted',
      '221 2.0.0 here says goodbye',
    ]);
  });
});

test('a client that never begins its handshake is not waited for', async () => {
  const seen = await served({ tls: { key: CERTIFICATE.key, cert: CERTIFICATE.cert, implicit: true }, timeout: 50 }, async ({ port }) => {
    assert.deepEqual(await (await Talker.to(port)).hear(), ['closed']);
  });
  assert.equal(seen.closed, 1);
});

test('a silent client hears of its time-out; one that drips octets of a command gains no time', async () => {
  const seen = await served({ timeout: 150 }, async ({ port }) => {
    const silent = await Talker.to(port);
    assert.deepEqual(await silent.hear(2), ['220 here ESMTP nospool', '421 4.4.2 here has waited too long']);
    const dripping = await Talker.to(port);
    await dripping.hear();
    const drip = setInterval(() => dripping.socket.write('N'), 20);
    assert.deepEqual(await dripping.hear(2), ['421 4.4.2 here has waited too long', 'closed']);
    clearInterval(drip);
  });
  assert.equal(seen.trace.filter((line) => line === '! time-out').length, 2);
});

test('a client that is lost in its content leaves an abandoned transaction', async () => {
  const seen = await served({}, async ({ port }) => {
    const talker = await Talker.to(port);
    await talker.hear();
    await talker.say('EHLO x', 'MAIL FROM:<>', 'RCPT TO:<a@b>', 'DATA');
    talker.socket.write('half a mess');
    talker.socket.end();
    assert.deepEqual(await talker.hear(), ['closed']);
  });
  assert.deepEqual([seen.abandoned, seen.contents], [1, []]);
});

test('a client that hangs up its half and still listens hears the answers', async () => {
  const judge: Judge = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return null;
  };
  await served({ judge }, async ({ port }) => {
    const talker = await Talker.to(port);
    talker.socket.end('EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nNOOP\r\n');
    assert.deepEqual((await talker.hear(6)).slice(3), ['250 2.1.5 recipient accepted', '250 2.0.0 nothing done', 'closed']);
  });
});

test('too many clients at a time are turned away', async () => {
  await served({ connections: 1 }, async ({ port }) => {
    const first = await Talker.to(port);
    await first.hear();
    const second = await Talker.to(port);
    assert.deepEqual(await second.hear(2), ['421 4.3.2 too many clients at a time', 'closed']);
    assert.deepEqual(await first.say('NOOP'), ['250 2.0.0 nothing done']);
  });
});

test('a hundred clients at a time are enough, unless somebody says otherwise, and each has its number', async () => {
  const seen = await served({}, async ({ port }) => {
    const clients: Talker[] = [];
    for (let i = 0; i < 100; i++) clients.push(await Talker.to(port));
    for (const client of clients) assert.deepEqual(await client.hear(), ['220 here ESMTP nospool']);
    const last = await Talker.to(port);
    assert.deepEqual(await last.hear(2), ['421 4.3.2 too many clients at a time', 'closed']);
    for (const client of [...clients, last]) client.socket.destroy();
  });
  const numbers = seen.trace.flatMap((line) => /^! client (\d+) from 127\.0\.0\.1:\d+$/.exec(line)?.[1] ?? []);
  assert.deepEqual(
    numbers,
    Array.from({ length: 100 }, (_, i) => `${i + 1}`),
  );
  assert.equal(seen.closed, 100);
});

test('the address is the one that is listened at, as a client writes it', async () => {
  await served({ at: { host: '0.0.0.0', port: 0 }, anywhere: true }, async ({ address, port }) => assert.equal(address, `0.0.0.0:${port}`));
  const six = await listen({ receiving: RECEIVES, at: { host: '::1', port: 0 }, owner: () => ({ judge: () => null }) });
  // A host may have no IPv6.
  if (!six.ok) return assert.match(six.detail, /cannot be listened on/);
  assert.equal(six.value.address, `[::1]:${six.value.port}`);
  await six.value.close();
});

test('closing tells the clients', async () => {
  await served({}, async (listener) => {
    const talker = await Talker.to(listener.port);
    await talker.hear();
    const closed = listener.close();
    assert.deepEqual(await talker.hear(2), ['421 4.3.2 here is closing down', 'closed']);
    talker.socket.destroy();
    await closed;
  });
});

test('a client that does not read its replies stops being read', async () => {
  await served({}, async ({ port }) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.pause();
    await new Promise((resolve) => socket.once('connect', resolve));
    const flood = Buffer.from('NOOP\r\n'.repeat(20_000));
    // The buffers of two sockets and what lies between fill up; then writing stalls for good.
    let stalled = false;
    for (let sent = 0; sent < 400 && !stalled; sent++)
      if (!socket.write(flood))
        stalled = await Promise.race([drained(socket), new Promise<boolean>((resolve) => setTimeout(resolve, 300, true))]);
    assert.ok(stalled, '48 MB of commands were taken from a client that reads nothing');
    socket.destroy();
  });
});

const drained = (socket: Socket): Promise<boolean> => new Promise((resolve) => socket.once('drain', () => resolve(false)));

test('an owner that is busy with content stops the reading', async () => {
  let release = (): void => {};
  let held = 0;
  const owner = (): SessionOwner => ({
    judge: () => null,
    content(octets) {
      held += octets.length;
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    },
  });
  await served({ owner, receiving: { ...RECEIVES, sizeLimit: Number.POSITIVE_INFINITY } }, async ({ port }) => {
    const talker = await Talker.to(port);
    await talker.hear();
    await talker.say('EHLO x', 'MAIL FROM:<>', 'RCPT TO:<a@b>', 'DATA');
    const block = Buffer.from('0123456789abcdef\r\n'.repeat(10_000));
    let written = 0;
    for (; written < 300; written++)
      if (
        !talker.socket.write(block) &&
        (await Promise.race([drained(talker.socket).then(() => false), new Promise((resolve) => setTimeout(resolve, 300, true))]))
      )
        break;
    assert.ok(written < 300, 'the client could go on writing');
    assert.ok(held <= 128 * 1024, `${held} octets were handed to an owner that had not asked for more`);
    const pump = setInterval(() => release(), 0);
    talker.socket.write('.\r\n');
    assert.deepEqual(await talker.hear(), ['250 2.0.0 message accepted']);
    clearInterval(pump);
  });
});

test('discard finds the end of the content across chunks, and counts', async () => {
  const octets: number[] = [];
  const judge: Judge = (question) => {
    if (question.about === 'content') octets.push(question.facts.octets);
    return null;
  };
  const seen = await served({ discard: true, judge }, async ({ port }) => {
    const talker = await Talker.to(port);
    await talker.hear();
    await talker.say('EHLO x', 'MAIL FROM:<>', 'RCPT TO:<a@b>', 'DATA');
    for (const part of ['x'.repeat(100_000), '\r\n', '.', '\r', '\n']) {
      talker.socket.write(part);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual(await talker.hear(), ['250 2.0.0 message accepted']);
  });
  assert.deepEqual([octets, seen.contents], [[100_002], ['']]);
});

test('a delay holds replies back together, not one after the other, and keeps STARTTLS in its place', async () => {
  await served(
    { delay: 250, receiving: { ...RECEIVES, tls: 'offered' }, tls: { key: CERTIFICATE.key, cert: CERTIFICATE.cert } },
    async ({ port }) => {
      const talker = await Talker.to(port);
      await talker.hear();
      // Fifty-one delays in a row would be longer than within() allows.
      await talker.say('EHLO x', ...Array<string>(50).fill('NOOP'));
      assert.deepEqual(await talker.say('STARTTLS'), ['220 2.0.0 begin TLS']);
      const secured = await talker.secure();
      assert.deepEqual(await secured.say('NOOP', 'QUIT'), ['250 2.0.0 nothing done', '221 2.0.0 here says goodbye']);
    },
  );
});

test('LMTP on a unix socket, a reply for each recipient', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
  const at = { path: path.join(folder, 'lmtp') };
  const judge: Judge = (question) =>
    question.about === 'content' ? { reply: null, each: [makeReply(250, '2.0.0', 'one'), makeReply(452, '4.2.2', 'two')] } : null;
  try {
    await served({ at, receiving: { ...RECEIVES, protocol: 'lmtp' }, judge }, async (listener) => {
      assert.deepEqual([listener.address, listener.port], [at.path, 0]);
      const talker = new Talker(connect(at));
      assert.deepEqual(await talker.hear(), ['220 here LMTP nospool']);
      await talker.say('LHLO x', 'MAIL FROM:<>', 'RCPT TO:<a@b>', 'RCPT TO:<b@b>', 'DATA');
      talker.socket.write('hi\r\n.\r\n');
      assert.deepEqual(await talker.hear(2), ['250 2.0.0 one', '452 4.2.2 two']);
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

const REFUSED: readonly (readonly [Partial<ListenOptions>, RegExp])[] = [
  [{ at: { host: '0.0.0.0', port: 0 } }, /^0\.0\.0\.0 is not a loopback address; .* --anywhere$/],
  [{ at: { host: '::', port: 0 } }, /not a loopback address/],
  [{ at: { host: '127.0.0.1.example.org', port: 0 } }, /not a loopback address/],
  [{ at: { path: '/nonexistent/folder/socket' } }, /^\/nonexistent\/folder\/socket cannot be listened on: /],
  [{ tls: { key: 'no key', cert: 'no certificate' } }, /^the certificate or key cannot be used: /],
];
for (const [options, expected] of REFUSED)
  test(`an address or certificate that cannot be had: ${expected}`, () =>
    within(5000, async () => {
      const listener = await listen({
        receiving: RECEIVES,
        at: { host: '127.0.0.1', port: 0 },
        owner: () => ({ judge: () => null }),
        ...options,
      });
      assert.equal(listener.ok, false);
      assert.match(listener.ok ? '' : listener.detail, expected);
    }));

test('a port in use is named', async () => {
  await served({}, async ({ port }) => {
    const second = await listen({ receiving: RECEIVES, at: { host: '127.0.0.1', port }, owner: () => ({ judge: () => null }) });
    assert.equal(second.ok ? '' : second.detail, `127.0.0.1:${port} is in use already; choose another with --port`);
  });
});

test("Python's smtplib delivers over STARTTLS with a verified certificate", async () => {
  const script = `
import smtplib, ssl, sys
context = ssl.create_default_context(cadata=sys.stdin.read())
server = smtplib.SMTP('localhost', int(sys.argv[1]))
server.starttls(context=context)
server.login('me', 'secret')
print(server.sendmail('a@b.example', ['c@d.example'], 'Subject: x\\n\\n.dot\\n'))
server.quit()
`;
  const judge: Judge = (question) => {
    if (question.about === 'credentials') assert.deepEqual([question.user, question.password], ['me', 'secret']);
    return null;
  };
  const receiving = { ...RECEIVES, tls: 'offered', mechanisms: ['PLAIN', 'LOGIN'], authRequired: true } as const;
  const seen = await served({ judge, receiving, tls: { key: CERTIFICATE.key, cert: CERTIFICATE.cert } }, async ({ port }) => {
    const child = spawn('python3', ['-c', script, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
    let missing = false;
    child.on('error', () => {
      missing = true;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(CERTIFICATE.own);
    let out = '';
    child.stdout.on('data', (text) => {
      out += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (!missing) assert.deepEqual([out.trim(), code], ['{}', 0]);
    else seenWithoutPython = true;
  });
  if (!seenWithoutPython) assert.deepEqual(seen.contents, ['Subject: x\r\n\r\n.dot\r\n']);
});
let seenWithoutPython = false;

test('why nothing can listen there, in words', () => {
  const port = { host: '127.0.0.1', port: 25 };
  for (const [at, code, expected] of [
    [port, 'EACCES', '127.0.0.1:25 cannot be listened on: ports below 1024 are for root, so choose another with --port'],
    [{ path: '/run/x' }, 'EACCES', '/run/x cannot be listened on: this user may not write in its folder'],
    [{ path: '/run/x' }, 'EADDRINUSE', '/run/x is in use already; remove it if nothing listens there'],
    [port, 'EPERM', '127.0.0.1:25 cannot be listened on: ports below 1024 are for root, so choose another with --port'],
    [port, 'EADDRINUSE', '127.0.0.1:25 is in use already; choose another with --port'],
    [port, 'EADDRNOTAVAIL', '127.0.0.1:25 cannot be listened on: this host does not have that address'],
    [port, 'EMFILE', '127.0.0.1:25 cannot be listened on: the words of the runtime'],
  ] as const)
    assert.equal(explainListenError(at, { code, message: 'the words of the runtime' }), expected);
});

test.run();
