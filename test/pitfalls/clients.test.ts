/**
 * The pitfalls of SMTP clients, numbered: what this client does where others went wrong.
 * Loopback: most pitfalls are of the dialogue, which clear text shows best; what may be said in clear, test/world walks.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { suite } from 'uvu';
import { sourceOf } from '../../src/message/source.ts';
import { DEFAULT_TLS } from '../../src/router/smarthost.ts';
import { contentEncoder } from '../../src/smtp/client/content.ts';
import { mechanismsOf, readExtensions } from '../../src/smtp/client/extensions.ts';
import { ReplyReader } from '../../src/smtp/reply.ts';
import { deliver } from '../../src/submit/delivery.ts';
import { systemSecurity } from '../../src/submit/security.ts';
import { connectFirst } from '../../src/transport/connect.ts';
import { Connection } from '../../src/transport/driver.ts';
import { nodeWire } from '../../src/transport/node-wire.ts';
import { unreached } from '../../src/transport/wire.ts';
import { allStrings, check } from '../smtp/client/content-model.ts';
import { COMMAND, ENVIRONMENT, run, setUp, start, toHosts } from '../support/command.ts';
import { connect, messageOf, TIMEOUTS, transactionOf } from '../support/engine.ts';
import { reset } from '../support/reset.ts';
import { serverCertificate } from '../support/scripted.ts';
import { replay } from '../support/transcript.ts';
import { within } from '../support/within.ts';
import {
  allTranscripts,
  assertFailed,
  assertNothingHeld,
  assertTaken,
  conversing,
  heard,
  hostAt,
  play,
  raw,
  reasons,
  send,
  served,
  until,
  usual,
  verbs,
  verbsOf,
} from './support.ts';

const clients = suite('pitfalls of clients');
const pitfall = (number: number, what: string, work: () => void | Promise<void>) => clients(`pitfall ${number}: ${what}`, work);

const PIPELINING = ['PIPELINING'];
const many = (n: number) => Array.from({ length: n }, (_, i) => `r${i + 1}@example.org`);
const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
const outcomeOf = (lines: readonly string[]) => lines.find((line) => line.startsWith('= ')) ?? '';

/* ---- all recipients or none ---- */

pitfall(1, 'one of several recipients is refused: no content, every refusal is told', async () => {
  for (const offers of [[], PIPELINING, ['PIPELINING', 'CHUNKING']])
    await served({ offers, script: { 'RCPT 2': '550 5.1.1 not here', 'RCPT 4': '450 4.2.0 later' } }, async (host) => {
      assertFailed(
        await send([hostAt(host.port)], { to: many(4) }),
        /RCPT TO:<r2@example\.org>: 550 5\.1\.1 not here$/,
        /RCPT TO:<r4@example\.org>: 450 4\.2\.0 later$/,
      );
      assertNothingHeld(host);
      assert.ok(!verbs(host).some((verb) => verb === 'DATA' || verb === 'BDAT'), verbs(host).join(' '));
    });
});

pitfall(2, 'the recipient is refused and the DATA that flew along answered 354: no dot, only an end', async () => {
  await served({ offers: PIPELINING, script: { 'RCPT 1': '550 5.1.1 not here', DATA: '354 go on' } }, async (host) => {
    assertFailed(await send([hostAt(host.port)]), /RCPT TO:<b@example\.org>: 550 5\.1\.1 not here$/);
    assertNothingHeld(host);
    await until(() => host.partial.length > 0);
    assert.deepEqual(host.partial, [0]);
    assert.deepEqual(verbs(host), ['EHLO', 'MAIL', 'RCPT', 'DATA']);
  });
  assert.equal(play('rcpt-refused-data-354.smtp').at(-1), '! destroy');
});

pitfall(3, 'after the first refusal the replies to the other recipients are read, and the session can go on', async () => {
  const lines = play('many-after-refusal.smtp');
  assert.ok(lines.includes('C: RSET'));
  await served({ offers: PIPELINING, script: { 'RCPT 1': '550 5.1.1 not here' } }, async (host) => {
    const connected = await connect(hostAt(host.port), { hello: 'client.example.org' });
    assert.ok(connected.ok);
    const client = connected.value;
    const refused = await client.send({ from: 'a@example.org', to: ['r1@example.org', 'r2@example.org'] }, 'x');
    assert.equal(refused.kind === 'failed' && refused.failure.kind, 'rejected');
    assert.ok(client.usable);
    // The second message is refused at its own first recipient: nothing is left over from before.
    const again = await client.send({ from: 'a@example.org', to: ['r3@example.org', 'r4@example.org'] }, 'x');
    assert.ok(again.kind === 'failed' && again.failure.kind === 'rejected');
    assert.deepEqual(
      again.failure.refusals.map(({ command }) => command),
      ['RCPT TO:<r3@example.org>'],
    );
    await client.quit();
    assert.deepEqual(verbs(host), ['EHLO', 'MAIL', 'RCPT', 'RCPT', 'RSET', 'MAIL', 'RCPT', 'RCPT', 'RSET', 'QUIT']);
  });
});

pitfall(4, 'every recipient refused, and 354 all the same', async () => {
  assert.ok(!play('rcpt-all-refused.smtp').includes('C: .'));
  await served({ offers: PIPELINING, script: { 'RCPT 1': '550 no', 'RCPT 2': '550 no', DATA: '354 go' } }, async (host) => {
    assertFailed(await send([hostAt(host.port)], { to: many(2) }), /550 no$/, /550 no$/);
    assert.deepEqual(host.partial, []);
    assert.ok(!verbs(host).includes('DATA'));
  });
});

pitfall(5, 'MAIL refused and the DATA behind it accepted: the connection ends', async () => {
  assert.equal(play('mail-refused-data-354.smtp').at(-1), '! destroy');
  await served({ offers: PIPELINING, script: { MAIL: '550 5.7.1 not you', DATA: '354 go' } }, async (host) => {
    assertFailed(await send([hostAt(host.port)]), /MAIL FROM:<a@example\.org>: 550 5\.7\.1 not you$/);
    assertNothingHeld(host);
    assert.ok(!verbs(host).includes('QUIT'));
  });
});

pitfall(6, 'five thousand recipients in one flight to a server that reads nothing before its answers are taken', () =>
  raw(
    (socket) => {
      // Each answer has a kilobyte: five megabytes that the client must read while it still writes.
      const talk = conversing((line) => (line.startsWith('RCPT') ? `250 ${'x'.repeat(1000)}\r\n` : usual(line, PIPELINING)));
      const write = socket.write.bind(socket);
      socket.write = ((text: string, ...rest: never[]) => {
        const flows = write(text, ...rest);
        if (!flows && !socket.isPaused()) {
          socket.pause();
          socket.once('drain', () => socket.resume());
        }
        return flows;
      }) as typeof socket.write;
      talk(socket);
    },
    async (port) => assertTaken(await send([hostAt(port)], { to: many(5000) })),
  ),
);

pitfall(7, '452 for one recipient too many fails the message and is told', async () => {
  assert.match(outcomeOf(play('rcpt-452-excess.smtp')), /452 4\.5\.3 too many recipients$/);
  await served({ offers: PIPELINING, script: { 'RCPT 51': '452 4.5.3 too many recipients' } }, async (host) => {
    assertFailed(await send([hostAt(host.port)], { to: many(51) }), /RCPT TO:<r51@example\.org>: 452 4\.5\.3 too many recipients$/);
    assertNothingHeld(host);
  });
});

/* ---- replies ---- */

pitfall(8, 'every session is the same in pieces of one octet', () => {
  const cuttable = allTranscripts().filter(({ whole }) => !whole);
  assert.ok(cuttable.length > 200);
  for (const transcript of cuttable) assert.deepEqual(replay(transcript, 1), transcript.lines, transcript.file);
});

pitfall(9, 'a reply to EHLO in two pieces does not hide STARTTLS', () =>
  served(
    { script: { EHLO: (talk) => later(talk.socket, '250-smart.example\r\n250-SIZE\r\n', '250-STARTTLS\r\n250 AUTH PLAIN\r\n') } },
    async (host) => {
      const auth = { user: 'u', mechanisms: [], allowPlaintext: false, secret: { from: 'literal', value: 'secret' } } as const;
      await send([hostAt(host.port, { tls: { ...DEFAULT_TLS, mode: 'required' }, auth })]);
      assert.deepEqual(heard(host).slice(0, 2), ['EHLO client.example.org', 'STARTTLS']);
      assert.ok(!verbs(host).includes('AUTH'));
    },
  ),
);

/** Says one piece, then after a while the other; the session goes on. */
async function later(socket: Socket, first: string, second: string): Promise<string> {
  socket.write(first);
  await pause(60);
  socket.write(second);
  return '';
}

pitfall(10, 'lines of one reply with different codes are no reply', async () => {
  assert.match(outcomeOf(play('mixed-codes.smtp')), /^= malformed/);
  const mixed = (line: string, last: string) => (last === line.split(' ')[0] ? '250-ok\r\n550 no\r\n' : usual(line));
  for (const verb of ['MAIL', 'RCPT', 'DATA'])
    await raw(
      conversing((line) => mixed(line, verb)),
      async (port) => assertFailed(await send([hostAt(port)]), /the lines of one reply carry different codes: "250-ok \/ 550 no"$/),
    );
  // After the dot nobody knows.
  await raw(
    conversing((line) => mixed(line, '.')),
    async (port) => assertFailed(await send([hostAt(port)]), /no verdict came back .*different codes/),
  );
});

pitfall(11, 'a code without text is a reply', async () => {
  assert.match(outcomeOf(play('code-alone.smtp')), /^= accepted/);
  await raw(
    conversing((line) => usual(line).replace(/^(\d{3}) .*\r\n$/, '$1\r\n'), '220\r\n'),
    async (port) => assertTaken(await send([hostAt(port)])),
  );
});

pitfall(12, 'a line that is no reply is not counted as one', () =>
  raw(
    conversing((line) => (line.startsWith('MAIL') ? '25 ok\r\n250 ok\r\n' : usual(line))),
    async (port) => assertFailed(await send([hostAt(port)]), /not an SMTP reply: "25 ok \/ 250 ok"$/),
  ),
);

pitfall(13, 'replies that end with LF alone are replies', () =>
  raw(
    conversing((line) => usual(line, PIPELINING).replaceAll('\r\n', '\n'), '220 lf\n'),
    async (port) => assertTaken(await send([hostAt(port)], { to: many(3) })),
  ),
);

pitfall(14, 'a long reply line is read, shown short, and bounded', async () => {
  const long = (octets: number) =>
    raw(
      conversing((line) => (line.startsWith('RCPT') ? `550 ${'x'.repeat(octets)}\r\n` : usual(line))),
      async (port) => {
        const outcome = await send([hostAt(port)]);
        assertFailed(outcome, octets < 65_000 ? /RCPT TO:<b@example\.org>: 550 x/ : /a reply line is longer than 65536 octets$/);
        assert.ok(reasons(outcome).length < 5000);
      },
    );
  await long(20_000);
  await long(70_000);
});

/** Says the same for ever, as fast as it is taken; how many octets were taken when the client had enough. */
async function endless(text: string): Promise<void> {
  let written = 0;
  let gone: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    gone = resolve;
  });
  await raw(
    (socket) => {
      const piece = text.repeat(Math.ceil(65_536 / text.length));
      socket.once('close', gone);
      const more = () => {
        while (!socket.destroyed) {
          written += piece.length;
          if (!socket.write(piece)) break;
        }
      };
      socket.on('drain', more).resume();
      more();
    },
    async (port) => {
      assertFailed(await send([hostAt(port)]), /a reply (line )?is longer than \d+ octets$/);
      await closed;
      // The client's and the kernel's buffers hold so much beside the 256 KiB of a reply.
      assert.ok(written < 32 * 1024 * 1024, `${written} octets were taken`);
    },
  );
}

pitfall(15, 'continuation lines without an end', () => endless('220-again\r\n'));
pitfall(16, 'octets without a line end', () => endless('y'));

pitfall(17, 'a greeting of several lines is one; the time for it is for all of it', async () => {
  assert.match(outcomeOf(play('greeting-multiline.smtp')), /^= accepted/);
  await raw(
    (socket) => {
      const timer = setInterval(() => socket.write('220-wait\r\n'), 20);
      socket.once('close', () => clearInterval(timer)).resume();
    },
    async (port) =>
      assertFailed(
        await send([hostAt(port)], { timeouts: { greeting: 300 } }),
        /no greeting came within 300ms \(timeouts\.greeting\), only "220-wait( \/ 220-wait)+"$/,
      ),
  );
});

pitfall(18, 'text of a reply in any charset is shown printable, on one line', async () => {
  const koi8 = 'no such user \xcf\xcb'; // two letters of KOI8-R, which are no UTF-8
  for (const [text, expected] of [
    [koi8, 'no such user Ï\u00cb'],
    [Buffer.from('Empfänger gibt es nicht').toString('latin1'), 'Empfänger gibt es nicht'],
    ['red \x1b[31malarm', 'red \\x1b[31malarm'],
  ] as const)
    await raw(
      conversing((line) => (line.startsWith('RCPT') ? `550 ${text}\r\n` : usual(line))),
      async (port) => assert.equal(reasons(await send([hostAt(port)])).split(': 550 ')[1], expected),
    );
});

pitfall(19, 'enhanced codes of any length, with a class that fits, on the first line; else they are text', () => {
  const dialogue = (text: string) => readReply(text);
  assert.deepEqual(dialogue('550 5.7.26 not you\r\n'), { class: 5, subject: 7, detail: 26 });
  assert.deepEqual(dialogue('550-5.7.26 not\r\n550 5.7.26 you\r\n'), { class: 5, subject: 7, detail: 26 });
  assert.deepEqual(dialogue('250 2.1.5\r\n'), { class: 2, subject: 1, detail: 5 });
  for (const text of ['550 4.1.1 other class\r\n', '550 5.1 short\r\n', '550 5.1.1234 long\r\n', '250 ok\r\n', '250\r\n'])
    assert.equal(dialogue(text), null, text);
});

function readReply(text: string) {
  const reader = new ReplyReader();
  reader.push(text);
  const reply = reader.next();
  assert.ok(reply?.ok);
  return reply.value.enhanced;
}

pitfall(20, 'a reply that nobody waited for ends the session; it is not taken for the next one', async () => {
  assert.match(outcomeOf(play('mail-extra.smtp')), /^= malformed/);
  await raw(
    conversing((line) => (line.startsWith('MAIL') ? '250 ok\r\n250 and more\r\n' : usual(line))),
    async (port) => assertFailed(await send([hostAt(port)]), /unexpected reply: 250 ok \/ 250 and more$/),
  );
  // Pipelined, one reply too many stands where 354 must be.
  await raw(
    conversing((line) => (line.startsWith('MAIL') ? '250 ok\r\n250 and more\r\n' : usual(line, PIPELINING))),
    async (port) => assertFailed(await send([hostAt(port)]), /protocol error at data: unexpected reply: 250 fine \/ 354 go$/),
  );
});

/* ---- TLS ---- */

const REQUIRED = { ...DEFAULT_TLS, mode: 'required' } as const;
const pinned = () => ({ ...REQUIRED, fingerprint: [serverCertificate().fingerprints.certificate] });

pitfall(21, 'clear text behind the 220 of STARTTLS: no handshake, nothing sent', async () => {
  for (const file of ['starttls-injected.smtp', 'starttls-injected-part.smtp']) assert.match(outcomeOf(play(file)), /^= malformed/);
  for (const injected of ['250-INJECTED\r\n250 AUTH PLAIN\r\n', '25'])
    await raw(
      conversing((line) => (line === 'STARTTLS' ? `220 go\r\n${injected}` : usual(line, ['STARTTLS']))),
      async (port) =>
        assertFailed(await send([hostAt(port, { tls: REQUIRED })]), /protocol error at starttls|clear text before the TLS handshake/),
    );
});

pitfall(22, 'what was offered before TLS is forgotten', async () => {
  play('starttls-forgets.smtp');
  const offers = ['STARTTLS', 'PIPELINING', 'CHUNKING'];
  await served({ offers, tls: serverCertificate(), script: { 'second EHLO': '250 smart.example' } }, async (host) => {
    assertTaken(await send([hostAt(host.port, { tls: pinned() })], { to: many(2) }));
    assert.deepEqual(verbs(host).slice(0, 7), ['EHLO', 'STARTTLS', 'EHLO', 'MAIL', 'RCPT', 'RCPT', 'DATA']);
  });
});

pitfall(23, 'STARTTLS refused: required is a failure, opportunistic too; asked for once', async () => {
  play('starttls-4yz.smtp');
  play('starttls-opportunistic-refused.smtp');
  for (const mode of ['required', 'opportunistic'] as const)
    await served({ offers: ['STARTTLS'], script: { STARTTLS: '454 4.7.0 not now' } }, async (host) => {
      assertFailed(await send([hostAt(host.port, { tls: { ...DEFAULT_TLS, mode } })]), /STARTTLS: 454 4\.7\.0 not now$/);
      assert.deepEqual(verbs(host).slice(0, 2), ['EHLO', 'STARTTLS']);
      assert.ok(!verbs(host).includes('MAIL'));
      assert.equal(verbs(host).filter((verb) => verb === 'STARTTLS').length, 1);
    });
});

pitfall(24, 'a certificate that nobody vouches for is refused on STARTTLS, before anything is said', () =>
  served({ offers: ['STARTTLS'], tls: serverCertificate() }, async (host) => {
    for (const mode of ['required', 'opportunistic'] as const)
      assertFailed(await send([hostAt(host.port, { tls: { ...DEFAULT_TLS, mode } })]), /the certificate is self-signed/);
    assert.deepEqual([...new Set(verbs(host))], ['EHLO', 'STARTTLS']);
  }),
);

pitfall(25, 'SNI is the name as configured, and never an address', async () => {
  const names: (string | false | null)[] = [];
  const { key, cert, fingerprints } = serverCertificate();
  await raw(
    (plain) => {
      const secured = new TLSSocket(plain, {
        isServer: true,
        secureContext: createSecureContext({ key, cert }),
        SNICallback: (name, done) => {
          names.push(name);
          done(null, createSecureContext({ key, cert }));
        },
      });
      secured.on('error', () => {});
      conversing((line) => usual(line))(secured);
    },
    async (port) => {
      const tls = { ...REQUIRED, fingerprint: [fingerprints.certificate] };
      assertTaken(await send([hostAt(port, { scheme: 'submissions', host: 'localhost', tls })]));
      assertTaken(await send([hostAt(port, { scheme: 'submissions', tls })]));
      assertTaken(await send([hostAt(port, { scheme: 'submissions', tls: { ...tls, serverName: 'mail.example.org' } })]));
      assert.deepEqual(names, ['localhost', 'mail.example.org']);
    },
  );
});

pitfall(26, 'a handshake that hangs ends with its own time-out', () =>
  served({ offers: ['STARTTLS'], script: { handshake: 'silence' } }, async (host) => {
    assertFailed(
      await send([hostAt(host.port, { tls: REQUIRED })], { timeouts: { handshake: 200 } }),
      /the TLS handshake did not end within 200ms \(timeouts\.handshake\)$/,
    );
  }),
);

pitfall(27, 'TLS where clear text is spoken and the reverse: the sentence says what to write', async () => {
  play('tls-on-clear-port.smtp');
  await raw(
    (socket) => void socket.on('data', () => {}).write(Buffer.from([0x15, 3, 1, 0, 2, 2, 10])),
    async (port) => assertFailed(await send([hostAt(port)]), /the server speaks TLS here: use submissions:\/\/ for this port$/),
  );
  await raw(
    conversing((line) => usual(line)),
    async (port) =>
      assertFailed(
        await send([hostAt(port, { scheme: 'submissions', tls: REQUIRED })]),
        /does not speak TLS from the start; if it offers STARTTLS, write submission:\/\//,
      ),
  );
});

/* ---- losses ---- */

pitfall(28, 'a server that closes without a word: the phase and the command are told at once', async () => {
  for (const [phase, expected] of [
    ['connect', /waiting for the greeting: the server closed the connection$/],
    ['EHLO', /waiting for EHLO: the server closed the connection$/],
    ['MAIL', /waiting for MAIL FROM:<a@example\.org>: the server closed/],
    ['RCPT 1', /waiting for RCPT TO:<b@example\.org>: the server closed/],
    ['DATA', /waiting for DATA: the server closed/],
  ] as const)
    await served({ script: { [phase]: 'close' } }, async (host) => assertFailed(await send([hostAt(host.port)]), expected));
});

pitfall(29, '421 at any command: told, and the next smart host is asked before content was sent', async () => {
  for (const phase of ['greeting', 'EHLO', 'MAIL', 'RCPT 1', 'DATA'] as const)
    await served({ script: { [phase]: '421 4.3.2 shutting down' } }, (host) =>
      served({}, async (second) => {
        const outcome = await send([hostAt(host.port), hostAt(second.port)]);
        assertTaken(outcome);
        assert.ok(outcome.kind === 'accepted');
        assert.equal(outcome.attempts.length, 1, phase);
        assertNothingHeld(host);
        assert.equal(second.held.length, 1);
      }),
    );
  await served({ script: { end: '421 4.3.2 shutting down' } }, (host) =>
    served({}, async (second) => {
      assertFailed(await send([hostAt(host.port), hostAt(second.port)]), /the content: 421 4\.3\.2 shutting down/);
      assert.deepEqual(second.sessions, []);
    }),
  );
});

pitfall(30, 'QUIT that nobody answers holds nothing up, and is not said within content', async () => {
  await served({ script: { QUIT: 'silence' } }, async (host) => {
    const setup = setUp(toHosts(host.port));
    const ended = await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(host.held.length, 1);
  });
  for (const { file, lines } of allTranscripts()) {
    const from = lines.findIndex((line) => /^! (content|next .*block)/.test(line));
    const to = lines.findIndex((line) => line.startsWith('= '));
    if (from >= 0 && from < to) assert.ok(!lines.slice(from, to).includes('C: QUIT'), file);
  }
});

const LARGE = (octets: number) => `Subject: large\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(Math.ceil(octets / 78))}`;

pitfall(31, 'an early refusal is told, though the connection is reset behind it', async () => {
  for (let i = 0; i < 5; i++)
    await raw(
      conversing((line, socket) => {
        if (line !== 'DATA') return usual(line);
        setTimeout(() => socket.write('552 5.3.4 too big\r\n', () => setTimeout(() => reset(socket), i * 5)), 20);
        return '354 go\r\n';
      }),
      async (port) => assertFailed(await send([hostAt(port)], { message: LARGE(16 * 1024 * 1024) }), /552 5\.3\.4 too big$/),
    );
});

pitfall(32, 'an early refusal of a server that reads on: the source is pulled no further', async () => {
  let pulled = 0;
  await raw(
    conversing((line, socket) => {
      if (line !== 'DATA') return usual(line);
      setTimeout(() => socket.write('552 5.3.4 too big\r\n'), 20);
      return '354 go\r\n';
    }),
    async (port) => {
      async function* endlessly() {
        yield 'Subject: x\r\n\r\n';
        for (;;) {
          pulled += 65_536;
          yield 'y'.repeat(65_534).concat('\r\n');
        }
      }
      assertFailed(await send([hostAt(port)], { message: endlessly() }), /552 5\.3\.4 too big$/);
      const then = pulled;
      await pause(50);
      assert.ok(pulled - then <= 2 * 65_536, 'pulled on');
    },
  );
});

pitfall(33, '250 in place of 354 is no leave to send', async () => {
  assert.match(outcomeOf(play('data-2yz.smtp')), /^= malformed at data/);
  await served({ script: { DATA: '250 go ahead' } }, async (host) => {
    assertFailed(await send([hostAt(host.port)]), /protocol error at data: unexpected reply: 250 go ahead$/);
    assertNothingHeld(host);
  });
});

pitfall(34, 'the verdict is lost: uncertain, in so many words, and no other host', () =>
  served({ script: { end: 'close' } }, (host) =>
    served({}, async (second) => {
      const outcome = await send([hostAt(host.port), hostAt(second.port)]);
      assertFailed(outcome, /the message was sent and no verdict came back .*: it may have been delivered$/);
      assert.ok(outcome.kind === 'failed' && outcome.failure.kind === 'uncertain');
      assert.deepEqual(second.sessions, []);
    }),
  ),
);

pitfall(35, 'what happens after the verdict changes nothing', () =>
  raw(
    conversing((line, socket) => {
      if (line === '.') socket.write('250 taken\r\n', () => setTimeout(() => reset(socket), 5));
      return line === '.' ? '' : usual(line);
    }),
    async (port) => {
      assertTaken(await send([hostAt(port)]));
      const setup = setUp(toHosts(port));
      const ended = await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
      assert.deepEqual([ended.status, ended.stderr], [0, '']);
    },
  ),
);

pitfall(36, 'content that fails half-way is no message', () =>
  served({ offers: PIPELINING }, async (host) => {
    async function* failing() {
      yield LARGE(100_000);
      throw new Error('the disk is gone');
    }
    assertFailed(await send([hostAt(host.port)], { message: failing() }), /the content failed: the disk is gone$/);
    await until(() => host.partial.length > 0);
    assertNothingHeld(host);
  }),
);

pitfall(37, 'a server that stops reading: the time-out of a block', () =>
  raw(
    conversing((line, socket) => {
      if (line === 'DATA') setImmediate(() => socket.pause());
      return usual(line);
    }),
    async (port) =>
      assertFailed(
        await send([hostAt(port)], { message: LARGE(64 * 1024 * 1024), timeouts: { block: 300 } }),
        /no reply to the content within 300ms \(timeouts\.block\)$/,
      ),
  ),
);

pitfall(38, 'the verdict has a time of its own, and so has content that goes on', () =>
  raw(
    conversing((line, socket) => {
      if (line !== '.') return usual(line);
      setTimeout(() => socket.write('250 taken\r\n'), 600);
      return '';
    }),
    async (port) => {
      async function* slow() {
        yield 'Subject: slow\r\n\r\n';
        for (let i = 0; i < 6; i++) {
          await pause(100);
          yield `line ${i}\r\n`;
        }
      }
      assertTaken(await send([hostAt(port)], { message: slow(), timeouts: { command: 300, block: 300, data: 300, final: 20_000 } }));
    },
  ),
);

/* ---- content ---- */

/** Returns the octets of a message that a server holds, in either framing. */
async function arrived(message: string): Promise<string[]> {
  const texts: string[] = [];
  for (const offers of [PIPELINING, ['PIPELINING', 'CHUNKING']])
    await served({ offers }, async (host) => {
      assertTaken(await send([hostAt(host.port)], { message: Buffer.from(message, 'latin1') }));
      assert.equal(host.held.length, 1);
      assert.equal(verbs(host).filter((verb) => verb === 'MAIL').length, 1);
      texts.push(host.held[0]?.octets.toString('latin1') ?? '');
    });
  return texts;
}

async function assertArrives(message: string, expected = message): Promise<void> {
  for (const text of await arrived(message)) assert.equal(text, expected);
}

pitfall(39, 'a dot as the first octet of the message', () => assertArrives('.x\r\n\r\n.y\r\n'));
pitfall(40, 'a dot at the start of every line', () => assertArrives(`A: b\r\n\r\n${'.dot\r\n'.repeat(5)}..\r\n.\r\n`));
pitfall(41, 'commands in the text, behind what looks like an end', () =>
  assertArrives('A: b\r\n\r\nx\r\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\n.\r\n'),
);
pitfall(42, 'dots and line ends at any edge of a chunk', () => {
  const alphabet = [46, 13, 10, 97];
  let count = 0;
  for (const octets of allStrings(alphabet, 5)) {
    check(contentEncoder, octets, true);
    count += 2 ** Math.max(0, octets.length - 1);
  }
  assert.ok(count > 15_000);
});
pitfall(43, 'a lone LF or CR ends a line, and no dot behind it ends the message', async () => {
  await assertArrives('A: b\n\nx\n.\ny\r.\rz\n.\r\nu\r\r\nv', 'A: b\r\n\r\nx\r\n.\r\ny\r\n.\r\nz\r\n.\r\nu\r\n\r\nv\r\n');
});
pitfall(44, 'CRLF is not doubled', () => assertArrives('A: b\r\n\r\nx\r\n\r\ny\r\n'));
pitfall(45, 'NUL in the body passes, and cuts nothing', () => assertArrives('A: b\r\n\r\nx\0y\r\n\0\r\n'));
pitfall(46, 'no empty line is added, only a line end that is missing', async () => {
  await assertArrives('A: b\r\n\r\nx\r\n');
  await assertArrives('A: b\r\n\r\nx', 'A: b\r\n\r\nx\r\n');
});
pitfall(47, 'BDAT counts the octets that are sent, and adds no dots', () =>
  served({ offers: ['PIPELINING', 'CHUNKING'] }, async (host) => {
    assertTaken(await send([hostAt(host.port)], { message: 'A: b\n\n.dot\n..\n' }));
    const wire = 'A: b\r\n\r\n.dot\r\n..\r\n';
    assert.ok(heard(host).includes(`BDAT ${wire.length} LAST`), heard(host).join('\n'));
    assert.equal(host.held[0]?.octets.toString('latin1'), wire);
  }),
);

pitfall(48, '8-bit text without 8BITMIME is converted; an address without SMTPUTF8 is refused before MAIL, a domain is not', async () => {
  await served({}, async (host) => {
    const setup = setUp(toHosts(host.port));
    const sent = await run(setup.config, ['-f', 'a@example.org', 'b@bücher.example'], Buffer.from('Subject: x\n\ngrün\n'), {
      env: ENVIRONMENT,
    });
    assert.equal(sent.status, 0, sent.stderr);
    const text = host.held[0]?.octets.toString('latin1') ?? '';
    assert.match(text, /Content-Transfer-Encoding: quoted-printable\r\n/i);
    assert.match(text, /\r\n\r\ngr=C3=BCn\r\n$/);
    assert.deepEqual(host.held[0]?.recipients, ['b@xn--bcher-kva.example']);
    const refused = await send([hostAt(host.port)], { to: ['jörg@example.org'] });
    assertFailed(refused, /does not offer SMTPUTF8/);
    assert.equal(verbs(host).filter((verb) => verb === 'MAIL').length, 1);
  });
});

pitfall(49, 'a size above the limit is known before MAIL; SIZE alone and SIZE 0 are no limit', async () => {
  const message = LARGE(200);
  await served({ offers: ['SIZE 100'] }, async (host) => {
    assertFailed(
      await send([hostAt(host.port)], { message }),
      new RegExp(`the message has ${message.length} octets and the server takes at most 100$`),
    );
    assert.ok(!verbs(host).includes('MAIL'));
  });
  for (const offers of [['SIZE'], ['SIZE 0']])
    await served({ offers }, async (host) => assertTaken(await send([hostAt(host.port)], { message })));
});

/* ---- commands and names ---- */

pitfall(50, '251 and 252 accept a recipient', async () => {
  play('rcpt-251.smtp');
  for (const code of ['251 forwarded', '252 perhaps'])
    await served({ script: { 'RCPT 1': code } }, async (host) => assertTaken(await send([hostAt(host.port)])));
});

pitfall(51, 'HELO where EHLO is unknown, and only then', async () => {
  for (const code of ['500 what', '502 no', '504 no', '550 no'])
    await served({ script: { EHLO: code } }, async (host) => {
      assertTaken(await send([hostAt(host.port)]));
      assert.deepEqual(verbs(host).slice(0, 3), ['EHLO', 'HELO', 'MAIL']);
    });
  for (const code of ['421 4.3.2 no', '451 4.3.0 later'])
    await served({ script: { EHLO: code } }, async (host) => {
      assert.equal((await send([hostAt(host.port)])).kind, 'failed');
      assert.ok(!verbs(host).includes('HELO'));
    });
  for (const file of ['ehlo-5yz-tls-required.smtp', 'ehlo-5yz-auth-required.smtp']) assert.ok(!verbsOf(play(file)).includes('HELO'), file);
});

pitfall(52, 'keywords in any case, with blanks, twice, and the old AUTH=', () => {
  play('ehlo-keywords.smtp');
  const read = (...lines: string[]) => readExtensions({ code: 250, enhanced: null, lines: ['foo.com', ...lines] });
  const { keywords } = read('pipelining', ' size 10', 'SIZE 20', 'auth=plain', 'AUTH LOGIN  cram-md5');
  assert.deepEqual([...keywords.keys()], ['PIPELINING', 'SIZE', 'AUTH']);
  assert.deepEqual(keywords.get('SIZE'), ['20']);
  assert.deepEqual(keywords.get('AUTH'), ['PLAIN', 'LOGIN', 'CRAM-MD5']);
});

pitfall(53, 'the argument of EHLO: a domain or an address literal, never what is neither', async () => {
  play('hello-literal.smtp');
  play('hello-injection.smtp');
  for (const [hello, expected] of [
    ['', /^EHLO \[127\.0\.0\.1\]$/],
    ['host.example.org', /^EHLO host\.example\.org$/],
    ['[IPv6:2001:db8::1]', /^EHLO \[IPv6:2001:db8::1\]$/],
    ['ü.example', /^EHLO xn--tda\.example$/],
    ['web_1 x', /^EHLO \[127\.0\.0\.1\]$/],
    ['a..b', /^EHLO \[127\.0\.0\.1\]$/],
    ['[::1]', /^EHLO \[127\.0\.0\.1\]$/],
  ] as const)
    await served({}, async (host) => {
      assertTaken(await send([hostAt(host.port)], { hello }));
      assert.match(heard(host)[0] ?? '', expected);
    });
  await served({}, async (host) => {
    assertFailed(await send([hostAt(host.port)], { hello: 'a\r\nMAIL FROM:<>' }), /: it is neither a domain nor an address literal$/);
    assert.deepEqual(heard(host), []);
  });
  // A socket that is open for both families says IPv4 addresses in the form of IPv6.
  await served({ host: '::' }, async (host) => {
    assertTaken(await send([hostAt(host.port, { host: '::ffff:127.0.0.1' })], { hello: '' }));
    assert.match(heard(host)[0] ?? '', /^EHLO \[127\.0\.0\.1\]$/);
  });
  // A host without a domain says its address.
  await served({}, async (host) => {
    const setup = setUp(`${toHosts(host.port)}\nhostname = "web1"\nqualify_domain = "example.org"`);
    assert.equal((await run(setup.config, ['b@example.org'], 'x\n')).status, 0);
    assert.equal(heard(host)[0], 'EHLO [127.0.0.1]');
  });
});

pitfall(54, 'the first address is dead: the next one of the name is tried', () =>
  served({}, async (host) => {
    const endpoints = [
      { address: '127.0.0.2', family: 4, port: 1 },
      { address: '127.0.0.1', family: 4, port: host.port },
    ] as const;
    const { winner, failed } = await connectFirst(endpoints, { within: 5000 });
    assert.equal(winner?.endpoint.address, '127.0.0.1');
    assert.deepEqual(
      failed.map(({ detail }) => detail),
      ['connection refused'],
    );
    winner?.wire.destroy();
    // The same for a whole delivery, with an address that refuses the greeting.
    const transaction = transactionOf({ from: 'a@example.org', to: ['b@example.org'] }, null);
    assert.ok(transaction.ok);
    const names = {
      addresses: async () => ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 })),
      mx: async () => [],
      srv: async () => [],
    };
    const outcome = await deliver(
      {
        hosts: [hostAt(host.port, { host: 'mail.test.invalid', tls: { ...DEFAULT_TLS, mode: 'off' } })],
        transaction: transaction.value,
        content: messageOf('x').content,
      },
      { hello: 'c.example', partial: 'never', framing: 'auto', timeouts: TIMEOUTS, security: systemSecurity({}), names },
    );
    assertTaken(outcome);
  }),
);

pitfall(55, 'names are asked of the system: one of /etc/hosts is known', () =>
  served({}, async (host) => {
    assert.match(readFileSync('/etc/hosts', 'latin1'), /\blocalhost\b/);
    assertTaken(await send([hostAt(host.port, { host: 'localhost' })]));
  }),
);

pitfall(56, 'a server that ends an idle session: nothing is sent into it', async () => {
  for (const file of ['many-idle-421.smtp', 'many-idle-lost.smtp']) play(file);
  await raw(
    conversing((line, socket) => {
      if (line === '.') setTimeout(() => socket.end('421 4.4.2 idle\r\n'), 20);
      return usual(line);
    }),
    async (port) => {
      const connected = await connect(hostAt(port), { hello: 'client.example.org' });
      assert.ok(connected.ok);
      const client = connected.value;
      assert.equal((await client.send({ from: '', to: ['b@example.org'] }, 'x')).kind, 'accepted');
      await until(() => !client.usable);
    },
  );
});

/* ---- what a process holds ---- */

pitfall(57, 'messages leave no listener behind', () =>
  served({ offers: PIPELINING }, async (host) => {
    const socket = createConnection({ port: host.port, host: '127.0.0.1' });
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    const connection = new Connection(nodeWire(socket), {
      plan: {
        protocol: 'smtp',
        hello: 'bar.com',
        tls: 'off',
        authenticate: null,
        transactions: 'many',
        framing: 'auto',
        partial: 'never',
      },
      timeouts: TIMEOUTS,
      secure: async () => unreached('other', ''),
    });
    const transaction = transactionOf({ from: '', to: ['b@example.org'] }, null);
    assert.ok(transaction.ok);
    const content = Buffer.from('Subject: x\r\n\r\nx\r\n');
    const counts = () => ['data', 'end', 'error', 'close', 'drain', 'connect'].map((name) => socket.listenerCount(name));
    const sendOne = () => connection.submit(transaction.value, { open: () => sourceOf(content) });
    assert.equal((await sendOne()).kind, 'accepted');
    const before = counts();
    for (let i = 0; i < 500; i++) assert.equal((await sendOne()).kind, 'accepted');
    assert.deepEqual(counts(), before);
    await connection.quit();
    assert.equal(host.held.length, 501);
  }),
);

pitfall(58, 'a failure leaves nothing that keeps the process alive', () =>
  served({ script: { MAIL: '550 no' } }, async (host) => {
    // The process must end by itself: nothing in it says so.
    const script = `
      import { submit } from ${JSON.stringify(new URL('../support/engine.ts', import.meta.url).href)};
      const tls = { mode: 'default', verify: true, caFile: '', fingerprint: [], serverName: '', certificate: '', certificateKey: '', minVersion: '1.2' };
      const host = (port) => ({ scheme: 'smtp', host: '127.0.0.1', port, expand: 'none', tls, auth: null });
      const outcome = await submit({ from: '', to: ['b@example.org'] }, 'x', { hosts: [host(1), host(${host.port})] });
      console.log(outcome.kind);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (text: Buffer) => {
      said += text;
    });
    assert.equal(await new Promise((resolve) => child.once('close', resolve)), 0);
    assert.equal(said, 'failed\n');
  }),
);

pitfall(59, 'one write for each flight, and no waiting for more', () =>
  served({ offers: PIPELINING }, async (host) => {
    const socket = createConnection({ port: host.port, host: '127.0.0.1' });
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    const writes: string[] = [];
    const noDelay: unknown[] = [];
    const write = socket.write.bind(socket);
    socket.write = ((octets: string | Uint8Array, ...rest: never[]) => {
      if (octets.length > 0) writes.push(typeof octets === 'string' ? octets : Buffer.from(octets).toString('latin1'));
      return write(octets, ...rest);
    }) as typeof socket.write;
    const setNoDelay = socket.setNoDelay.bind(socket);
    socket.setNoDelay = (on) => {
      noDelay.push(on);
      return setNoDelay(on);
    };
    const plan = {
      protocol: 'smtp',
      hello: 'bar.com',
      tls: 'off',
      authenticate: null,
      transactions: 'one',
      framing: 'auto',
      partial: 'never',
    } as const;
    const connection = new Connection(nodeWire(socket), { plan, timeouts: TIMEOUTS, secure: async () => unreached('other', '') });
    const transaction = transactionOf({ from: '', to: many(3) }, null);
    assert.ok(transaction.ok);
    assert.equal((await connection.submit(transaction.value, { open: () => sourceOf(Buffer.from('A: b\r\n\r\nx\r\n')) })).kind, 'accepted');
    assert.deepEqual(noDelay, [true]);
    assert.deepEqual(writes, [
      'EHLO bar.com\r\n',
      `MAIL FROM:<>\r\n${many(3)
        .map((to) => `RCPT TO:<${to}>\r\n`)
        .join('')}`,
      'DATA\r\n',
      'A: b\r\n\r\nx\r\n',
      '.\r\n',
      'QUIT\r\n',
    ]);
  }),
);

pitfall(60, 'long commands go out whole', () =>
  served({ offers: ['DSN'] }, async (host) => {
    const envid = 'e'.repeat(400);
    const local = 'l'.repeat(64);
    const domain = `${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}.example`;
    const to = [
      { address: `${local}@${domain}`, notify: ['SUCCESS', 'FAILURE', 'DELAY'], original: `x${local.slice(1)}@${domain}` },
    ] as const;
    assertTaken(await send([hostAt(host.port)], { to, envelope: { envid } }));
    assert.ok(heard(host).includes(`MAIL FROM:<a@example.org> ENVID=${envid}`));
    assert.ok(heard(host).includes(`RCPT TO:<${local}@${domain}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;x${local.slice(1)}@${domain}`));
  }),
);

/* ---- authentication ---- */

pitfall(61, 'a server that asks for ever, in junk, in several lines, or is content too early', () => {
  const cancelled = ['auth-endless.smtp', 'auth-challenge-junk.smtp', 'auth-challenge-multiline.smtp', 'auth-forged.smtp'];
  for (const file of cancelled) assert.ok(play(file).includes('C: *'), file);
  assert.match(outcomeOf(play('auth-early-success.smtp')), /before it proved itself$/);
  assert.match(outcomeOf(play('auth-too-many.smtp')), /^= unsupported at auth, condemns host/);
});

pitfall(62, 'mechanisms are whole words', async () => {
  const offered = mechanismsOf(readExtensions({ code: 250, enhanced: null, lines: ['foo.com', 'AUTH XPLAIN LOGIN-X PLAINX'] }));
  assert.ok(!offered.has('PLAIN') && !offered.has('LOGIN'));
  await served({ offers: ['AUTH XPLAIN LOGIN-X'] }, async (host) => {
    const auth = { user: 'u', mechanisms: [], allowPlaintext: false, secret: { from: 'literal', value: 'secret' } } as const;
    assertFailed(await send([hostAt(host.port, { auth })]), /the server offers XPLAIN LOGIN-X, and the credentials fit/);
    assert.ok(!verbs(host).includes('AUTH'));
  });
});

pitfall(63, 'LOGIN answers prompts of any text', async () => {
  play('auth-login-accepted.smtp');
  for (const [first, second] of [
    ['VXNlcm5hbWU6', 'UGFzc3dvcmQ6'],
    ['dXNlcm5hbWU6', 'cGFzc3dvcmQ6'],
    ['', ''],
    ['Qmlkb24=', 'Qmlkb24='],
  ] as const) {
    const given: string[] = [];
    let next = 0;
    await raw(
      conversing((line) => {
        if (line === 'AUTH LOGIN') next = 1;
        else if (next > 0) {
          given.push(Buffer.from(line, 'base64').toString());
          next += 1;
        }
        if (next === 1) return `334 ${first}\r\n`;
        if (next === 2) return `334 ${second}\r\n`;
        if (next === 3) {
          next = 0;
          return '235 welcome\r\n';
        }
        return usual(line, ['AUTH LOGIN']);
      }),
      async (port) => {
        const auth = { user: 'u', mechanisms: [], allowPlaintext: false, secret: { from: 'literal', value: 'secret' } } as const;
        assertTaken(await send([hostAt(port, { auth })]));
        assert.deepEqual(given, ['u', 'secret']);
      },
    );
  }
});

/* ---- sentences for people ---- */

pitfall(64, 'a refusal is told with its whole text, its code, the command and the server', async () => {
  const script = { 'RCPT 1': '550 5.1.1 No such user here\n550 5.1.1 see https://example.org/why' } as const;
  await served({ script }, async (host) => {
    const setup = setUp(toHosts(host.port));
    const ended = await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
    const sentence = `[127.0.0.1]:${host.port}: RCPT TO:<b@example.org>: 550 5.1.1 No such user here / see https://example.org/why`;
    assert.deepEqual([ended.status, ended.stdout, ended.stderr], [1, '', `sendmail: ${sentence}\n`]);
    assert.ok(setup.logged().includes(sentence));
  });
});

/** The most memory that the command has had, when the server has got the end of this much. */
async function peakOf(octets: number): Promise<number> {
  let peak = 0;
  let pid = 0;
  const script = {
    end: () => {
      peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
      return '250 taken';
    },
  };
  await served({ offers: PIPELINING, script }, async (host) => {
    const setup = setUp(toHosts(host.port));
    const running = start(setup.config, ['-f', 'a@example.org', 'b@example.org'], { env: ENVIRONMENT });
    pid = running.child.pid ?? 0;
    const piece = `${'x'.repeat(77)}\n`.repeat(840);
    running.child.stdin?.write('Subject: large\n\n');
    for (let sent = 0; sent < octets; sent += piece.length)
      if (running.child.stdin?.write(piece) === false)
        await new Promise<void>((resolve) => running.child.stdin?.once('drain', () => resolve()));
    running.child.stdin?.end();
    assert.equal((await running.done).status, 0);
    assert.ok((host.held[0]?.octets.length ?? 0) >= octets);
  });
  return peak;
}

pitfall(65, 'memory does not grow with the message', async () => {
  assert.ok(/\.[cm]js$/.test(COMMAND));
  const small = await within(20_000, () => peakOf(4 * 1024 * 1024));
  const large = await within(60_000, () => peakOf(32 * 1024 * 1024));
  assert.ok(large - small < 16 * 1024, `${small} KiB for 4 MiB, ${large} KiB for 32 MiB`);
});

clients.run();
