/**
 * Where Exim's wrapper mode breaks the promise of all recipients or none (defects a to h), and its habits that go with it: the
 * built command where Exim went wrong.
 * Loopback: Exim's habits are the subject; where TLS matters its mode is written.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { COMMAND, ENVIRONMENT, type Ended, type Running, run, setUp, start, toHosts } from '../support/command.ts';
import { serverCertificate } from '../support/scripted.ts';
import { startHost, type Talk, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { assertNothingHeld, conversing, heard, raw, served, until, usual, verbs } from './support.ts';

const exim = suite('where Exim breaks the promise');

const TEXT = 'Subject: x\n\nhello\n';
const EVERYTHING = ['PIPELINING', 'CHUNKING', 'PRDR', '8BITMIME', 'SIZE', 'DSN', 'LIMITS RCPTMAX=100000 MAILMAX=10'];
const many = (n: number) => Array.from({ length: n }, (_, i) => `r${i + 1}@example.org`);
const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

const sendmail = (
  hosts: readonly TestHost[],
  to: readonly string[],
  more = '',
  args: readonly string[] = [],
  text = TEXT,
): Promise<Ended> => {
  const setup = setUp(`${toHosts(...hosts.map(({ port }) => port))}\n${more}`);
  return within(20_000, () => run(setup.config, [...args, '-f', 'a@example.org', ...to], text));
};

function assertRefused({ status, stdout, stderr }: Ended, ...expected: readonly RegExp[]): void {
  assert.deepEqual([status, stdout], [1, ''], stderr);
  for (const pattern of expected) assert.match(stderr, pattern);
}

/* a. */
for (const [what, script] of [
  ['one recipient', { 'RCPT 2': '550 5.1.1 no' }],
  ['the first of them', { 'RCPT 1': '450 4.2.0 later' }],
  ['every one', { 'RCPT 1': '550 no', 'RCPT 2': '550 no', 'RCPT 3': '550 no' }],
] as const)
  exim(`defect a: ${what} refused by a server with CHUNKING and PIPELINING: no BDAT`, () =>
    served({ offers: EVERYTHING, script }, async (host) => {
      assertRefused(await sendmail([host], many(3)), /RCPT TO:<r\d@example\.org>: (550|450)/);
      assertNothingHeld(host);
      assert.deepEqual([...new Set(verbs(host).filter((verb) => verb !== 'QUIT'))], ['EHLO', 'MAIL', 'RCPT']);
    }),
  );

/* b. */
for (const n of [101, 103, 2500])
  exim(`defect b: ${n} recipients are one transaction`, async () => {
    for (const offers of [[], EVERYTHING])
      await served({ offers }, async (host) => {
        const ended = await sendmail([host], many(n));
        assert.equal(ended.status, 0, ended.stderr);
        assert.equal(host.held.length, 1);
        assert.deepEqual(host.held[0]?.recipients, many(n));
        assert.equal(verbs(host).filter((verb) => verb === 'MAIL').length, 1);
      });
    await served({ offers: EVERYTHING, script: { [`RCPT ${n}`]: '550 5.1.1 no' } }, async (host) => {
      assertRefused(await sendmail([host], many(n)), new RegExp(`RCPT TO:<r${n}@example\\.org>: 550 5\\.1\\.1 no`));
      assertNothingHeld(host);
    });
  });

/* c. */
for (const [limit, to, reason] of [
  ['RCPTMAX=1', many(2), /the message has 2 recipients and the server takes at most 1 in a transaction/],
  ['RCPTDOMAINMAX=1', ['a@one.example', 'b@two.example'], /the recipients have 2 domains and the server takes at most 1 in a transaction/],
] as const)
  exim(`defect c: LIMITS ${limit} below the need: that host is not used, and nothing is split`, () =>
    served({ offers: ['PIPELINING', `LIMITS ${limit}`] }, async (host) => {
      assertRefused(await sendmail([host], to), reason);
      assert.ok(!verbs(host).includes('MAIL'));
      await served({ offers: ['PIPELINING'] }, async (second) => {
        const ended = await sendmail([host, second], to);
        assert.equal(ended.status, 0, ended.stderr);
        assertNothingHeld(host);
        assert.deepEqual(second.held[0]?.recipients, to);
      });
    }),
  );

exim('defect c: a limit that is no number is none', () =>
  served({ offers: ['PIPELINING', 'LIMITS RCPTDOMAINMAX=any RCPTMAX'] }, async (host) => {
    const ended = await sendmail([host], ['a@one.example', 'b@two.example']);
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(host.held.length, 1);
  }),
);

/* d. */
exim('defect d: PRDR is never asked for, so one verdict holds for all', async () => {
  await served({ offers: EVERYTHING }, async (host) => {
    assert.equal((await sendmail([host], many(3))).status, 0);
    for (const line of heard(host)) assert.doesNotMatch(line, /PRDR/i);
  });
  await served({ offers: EVERYTHING, script: { end: '550 5.7.1 not for r2' } }, async (host) => {
    assertRefused(await sendmail([host], many(3)), /the content: 550 5\.7\.1 not for r2/);
    assert.equal(host.held.length, 1);
  });
});

exim('defect d: replies of PRDR that nobody asked for are no verdict', () =>
  raw(
    conversing((line) =>
      line === '.' ? '353 content analysis\r\n250 r1\r\n550 r2\r\n250 overall\r\n' : usual(line, ['PIPELINING', 'PRDR']),
    ),
    async (port) => {
      const setup = setUp(toHosts(port));
      const ended = await run(setup.config, ['-f', 'a@example.org', ...many(2)], TEXT);
      assertRefused(ended, /no verdict came back \(unexpected reply: 353 content analysis\)/);
    },
  ),
);

/* e. */
exim('defect e: the server closes in answer to DATA: exit 1, or the next smart host has it', async () => {
  for (const how of ['close', 'reset'] as const)
    for (const n of [1, 2])
      await served({ offers: ['PIPELINING'], script: { DATA: how } }, async (host) => {
        assertRefused(await sendmail([host], many(n)), /connection lost while waiting for DATA: /);
        assertNothingHeld(host);
        await served({}, async (second) => {
          assert.equal((await sendmail([host, second], many(n))).status, 0);
          assert.deepEqual(second.held[0]?.recipients, many(n));
        });
      });
});

exim('defect e: the server closes within the content or in answer to its end', async () => {
  await served({ script: { content: 'close' } }, async (host) => {
    // Of a short content the end may be under way before the server has read the beginning.
    const long = `${TEXT}${`${'x'.repeat(76)}\n`.repeat(100_000)}`;
    assertRefused(await sendmail([host], many(2), '', [], long), /connection lost/);
    assertNothingHeld(host);
  });
  await served({ script: { end: 'close' } }, (host) =>
    served({}, async (second) => {
      assertRefused(await sendmail([host, second], many(2)), /no verdict came back/, /look for Message-ID </);
      assert.deepEqual(second.sessions, []);
    }),
  );
});

/* f. */
async function interruptedAt(
  script: Parameters<typeof startHost>[0],
  signal: NodeJS.Signals,
  waits: (host: TestHost, running: Running) => boolean,
) {
  const host = await startHost(script);
  const setup = setUp(toHosts(host.port));
  const running = start(setup.config, ['-f', 'a@example.org', ...many(2)], { env: ENVIRONMENT });
  running.child.stdin?.write(`Subject: x\n\n${`${'x'.repeat(76)}\n`.repeat(10_000)}`);
  const ended = await within(20_000, async () => {
    await until(() => waits(host, running));
    running.child.kill(signal);
    return running.done;
  });
  return { host, ended, setup };
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  for (const [phase, script, verb] of [
    ['while EHLO is unanswered', { script: { EHLO: 'silence' } }, 'EHLO'],
    ['while RCPT is unanswered', { script: { 'RCPT 2': 'silence' } }, 'RCPT'],
    ['while content is sent by DATA', { offers: ['PIPELINING'] }, 'DATA'],
    ['while content is sent by BDAT', { offers: ['PIPELINING', 'CHUNKING'] }, 'BDAT'],
  ] as const)
    exim(`defect f: ${signal} ${phase} ends the delivery itself`, async () => {
      const { host, ended, setup } = await interruptedAt(script, signal, (at) => verbs(at).includes(verb));
      assert.deepEqual([ended.status, ended.signal], [1, null], ended.stderr);
      assert.match(ended.stderr, new RegExp(signal));
      assert.match(setup.logged(), /Failed: nobody has the message/);
      // The process that was signalled is the one that delivers: with it the connection ends, and nothing comes later.
      await pause(100);
      assertNothingHeld(host);
      await host.stop();
    });

/* g. */
exim('defect g: 250 for one recipient and 4yz for another: the second host is not asked', async () => {
  for (const offers of [[], ['PIPELINING'], EVERYTHING])
    for (const script of [{ 'RCPT 2': '450 4.2.0 later' }, { 'RCPT 1': '451 4.3.0 later' }] as const)
      await served({ offers, script }, (host) =>
        served({ offers }, async (second) => {
          assertRefused(await sendmail([host, second], many(3)), /: 45[01] 4\.\d\.0 later/);
          assertNothingHeld(host);
          assert.deepEqual(second.sessions, []);
        }),
      );
});

/* h. */
const DIALOGUE = 'EHLO caller.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n';

exim('defect h: -bs says 250 when the smart host has said so, and not before', async () => {
  let release: () => void = () => {};
  const asked = new Promise<void>((resolve) => {
    release = resolve;
  });
  let reached: () => void = () => {};
  const atEnd = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const end = async () => {
    reached();
    await asked;
    return '250 2.0.0 taken as 4711';
  };
  await served({ script: { end } }, async (host) => {
    const setup = setUp(toHosts(host.port));
    const running = start(setup.config, ['-bs'], { env: ENVIRONMENT });
    running.child.stdin?.write(DIALOGUE);
    await until(() => /^354/m.test(running.said.stdout));
    running.child.stdin?.write('Subject: x\r\n\r\nhello\r\n.\r\n');
    await atEnd;
    await pause(100);
    assert.match(running.said.stdout, /354[^\n]*\n$/, 'nothing was said behind 354');
    release();
    await until(() => /354[^\n]*\n250/.test(running.said.stdout));
    running.child.stdin?.end('QUIT\r\n');
    assert.equal((await running.done).status, 0);
    assert.equal(host.held.length, 1);
  });
});

exim('defect h: -bs hands on the refusal of the smart host, and its loss', async () => {
  for (const [end, code] of [
    ['554 5.6.0 not this', '554'],
    ['452 4.3.1 no room', '452'],
    // A loss after the content is no invitation to try again.
    ['close', '554'],
  ] as const)
    await served({ script: { end } }, async (host) => {
      const setup = setUp(toHosts(host.port));
      const ended = await run(setup.config, ['-bs'], `${DIALOGUE}Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n`);
      assert.match(ended.stdout, new RegExp(`354[^\\n]*\\n${code}`), ended.stdout);
      assert.equal(ended.status, 1);
      assert.equal(host.held.length, 1);
    });
});

/* The habits. */
exim('QUIT only after the verdict, and the connection open in both directions until then', async () => {
  let atEnd: () => void = () => {};
  const reached = new Promise<void>((resolve) => {
    atEnd = resolve;
  });
  let release: () => void = () => {};
  let isHalfClosed = false;
  const end = async (talk: Talk) => {
    talk.socket.once('end', () => {
      isHalfClosed = true;
    });
    atEnd();
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return '250 2.0.0 taken';
  };
  await served({ offers: ['PIPELINING'], script: { end } }, async (host) => {
    const sending = sendmail([host], many(2));
    await reached;
    await pause(150);
    assert.deepEqual([isHalfClosed, verbs(host).includes('QUIT')], [false, false]);
    release();
    assert.equal((await sending).status, 0);
  });
});

exim('an early 250 and one of mixed codes are no success', async () => {
  for (const [answer, reason] of [
    ['250-ok\r\n550 no\r\n', /no verdict came back .*different codes/],
    ['25\r\n', /no verdict came back .*not an SMTP reply/],
  ] as const)
    await raw(
      conversing((line) => (line === '.' ? answer : usual(line))),
      async (port) => {
        const setup = setUp(toHosts(port));
        assertRefused(await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], TEXT), reason);
      },
    );
  await raw(
    conversing((line) => (line === 'DATA' ? '354 go\r\n250 taken\r\n' : usual(line))),
    async (port) => {
      const setup = setUp(toHosts(port));
      assertRefused(await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], TEXT), /protocol error/);
    },
  );
});

exim('no clear text after a certificate that was refused, opportunistic or not', async () => {
  for (const mode of ['required', 'opportunistic'])
    await served({ offers: ['STARTTLS'], tls: serverCertificate() }, async (host) => {
      const setup = setUp(toHosts(host.port), `[tls]\nmode = "${mode}"`);
      assertRefused(await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], TEXT), /the certificate is self-signed/);
      assert.deepEqual(verbs(host), ['EHLO', 'STARTTLS']);
    });
});

exim('the command that is tried is the built one', () => {
  assert.match(COMMAND, /dist\/sendmail[\w-]*\.[cm]js$/);
});

exim.run();
