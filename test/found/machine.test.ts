/**
 * Faults that use has found in the machine and its driver, between two sockets. The transcripts that go with them are in
 * test/sessions, the proofs for every state in test/smtp/exploration.
 * Loopback: the order of octets and replies is what counts here; where TLS is tried, the test asks for it by tls.mode.
 */
import assert from 'node:assert/strict';
import { createHmac, pbkdf2Sync } from 'node:crypto';
import { suite } from 'uvu';
import { Dialogue } from '../../src/smtp/client/dialogue.ts';
import { deliver } from '../../src/submit/delivery.ts';
import { run, setUp } from '../support/command.ts';
import { contentOf, hostAt, optionsFor, sentences, tlsRequired, transactionTo, verdictOf, withPassword } from '../support/delivery.ts';
import { type Deed, type Phase, type SmarthostOptions, startHost, type Talk, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('found: the machine');

/** Two smart hosts, the first with a fault; ended with the test. */
async function withTwo(faults: SmarthostOptions, work: (first: TestHost, second: TestHost) => Promise<void>): Promise<void> {
  const [first, second] = [await startHost(faults), await startHost({ offers: faults.offers ?? [] })];
  try {
    await within(20_000, () => work(first, second));
  } finally {
    await Promise.all([first.stop(), second.stop()]);
  }
}

/* ---- STARTTLS within TLS ---- */

test('W2: STARTTLS that is offered within TLS is not said', () => {
  const dialogue = new Dialogue({
    protocol: 'smtp',
    hello: 'bar.com',
    tls: 'implicit',
    authenticate: null,
    transactions: 'many',
    framing: 'auto',
    partial: 'never',
  });
  dialogue.begin();
  dialogue.on({ type: 'secured' });
  dialogue.receive('220 foo.com ready\r\n');
  const actions = dialogue.receive('250-foo.com\r\n250 STARTTLS\r\n');
  assert.deepEqual(
    actions.map((action) => action.do),
    ['ready'],
  );
});

/* ---- 421 to the content ---- */

for (const [what, offers] of [
  ['the final dot', []],
  ['BDAT LAST', ['PIPELINING', 'CHUNKING']],
] as const)
  test(`V4: 421 to ${what} is a refusal, and no other host is asked`, () =>
    withTwo({ offers, script: { end: '421 4.3.2 closing down' } }, async (first, second) => {
      const outcome = await deliver(
        { hosts: [hostAt(first.port), hostAt(second.port)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(),
      );
      assert.equal(verdictOf(outcome), 'failed');
      assert.match(sentences(outcome), /: the content: 421 4\.3\.2 closing down$/);
      assert.deepEqual(second.sessions, []);
    }));

const LMTP: readonly (readonly [string, string, string, RegExp])[] = [
  [
    'one of two',
    '421 4.3.2 later\r\n250 stored\r\n',
    'accepted',
    /the content for <r1@there\.example>: 421 4\.3\.2 later\n.*delivered in part, to <r2@/,
  ],
  [
    'both',
    '421 4.3.2 later\r\n421 4.3.2 later\r\n',
    'failed',
    /<r1@there\.example>: 421 4\.3\.2 later\n.*<r2@there\.example>: 421 4\.3\.2 later$/,
  ],
];
for (const [what, end, verdict, told] of LMTP)
  test(`V4: with LMTP 421 to ${what} counts for that recipient alone`, () =>
    withTwo({ script: { end } }, async (first, second) => {
      const hosts = [hostAt(first.port, { scheme: 'lmtp' }), hostAt(second.port, { scheme: 'lmtp' })];
      const outcome = await deliver(
        { hosts, transaction: transactionTo(2), content: contentOf() },
        optionsFor(10_000, { partial: 'verdicts' }),
      );
      assert.equal(verdictOf(outcome), verdict, sentences(outcome));
      assert.match(sentences(outcome), told);
      assert.deepEqual(second.sessions, []);
    }));

test('V4: with LMTP nobody knows what became of those whose verdict was still to come when 421 ended the session', () =>
  withTwo({ script: { end: ({ socket }) => void socket.end('250 stored\r\n421 4.3.2 later\r\n') } }, async (first, second) => {
    const hosts = [hostAt(first.port, { scheme: 'lmtp' }), hostAt(second.port, { scheme: 'lmtp' })];
    const outcome = await deliver(
      { hosts, transaction: transactionTo(3), content: contentOf() },
      optionsFor(10_000, { partial: 'verdicts' }),
    );
    assert.equal(verdictOf(outcome), 'uncertain', sentences(outcome));
    assert.match(
      sentences(outcome),
      /for 2 of 3 recipients one came: <r1@there\.example> 250 stored \/ <r2@there\.example> 421 4\.3\.2 later\)/,
    );
    assert.deepEqual(second.sessions, []);
  }));

/* ---- the server's words in sentences ---- */

const later =
  (first: string, second: string, end = true): Deed =>
  async ({ socket }) => {
    socket.write(first);
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (end) socket.end(second);
    else socket.write(second);
    return undefined;
  };

const BLOCKED = '521 5.7.1 Service unavailable; client [192.0.2.9] blocked using bl.example';

/** The server's words, and the sentence that quotes them. */
const SAID: readonly (readonly [string, Partial<Record<Phase, Deed>>, RegExp, (readonly string[])?])[] = [
  [
    'a greeting whose lines change their code',
    { greeting: later('220-mx.example ESMTP\r\n', `${BLOCKED}\r\n`) },
    /: protocol error at greeting: the lines of one reply carry different codes: "220-mx\.example ESMTP \/ 521 5\.7\.1 Service unavailable; client \[192\.0\.2\.9\] blocked using bl\.example"$/,
  ],
  [
    'a greeting whose reason has several lines',
    { greeting: later('220-mx.example ESMTP\r\n', '521-5.7.1 blocked\r\n521 5.7.1 see https://bl.example/?q=192.0.2.9\r\n') },
    /: "220-mx\.example ESMTP \/ 521-5\.7\.1 blocked \/ 521 5\.7\.1 see https:\/\/bl\.example\/\?q=192\.0\.2\.9"$/,
  ],
  [
    'an EHLO reply that ends as a refusal',
    { EHLO: '250-mx.example\r\n250-SIZE 1000\r\n550 5.7.1 not from here\r\n' },
    /: protocol error at EHLO: the lines of one reply carry different codes: "250-mx\.example \/ 250-SIZE 1000 \/ 550 5\.7\.1 not from here"$/,
  ],
  [
    'a greeting and a farewell in one packet',
    { greeting: '220 mx.example ESMTP\r\n421 4.7.0 too many connections from [192.0.2.9]\r\n' },
    /: protocol error at greeting: unexpected reply: 220 mx\.example ESMTP \/ 421 4\.7\.0 too many connections from \[192\.0\.2\.9\]$/,
  ],
  [
    'an EHLO reply and a farewell in one packet',
    { EHLO: '250-mx.example\r\n250 SIZE\r\n421 4.3.2 going down\r\n' },
    /: unexpected reply: 250 mx\.example \/ SIZE \/ 421 4\.3\.2 going down$/,
  ],
  [
    'a farewell with more behind it',
    { MAIL: '421 4.3.2 going down\r\n421 4.3.2 really\r\n' },
    /: the server closes the session: 421 4\.3\.2 going down \/ 421 4\.3\.2 really$/,
  ],
  [
    'a line without a code within a reply',
    { greeting: '220-mx.example\r\nYour address is listed.\r\nGo away.\r\n' },
    /: not an SMTP reply: "220-mx\.example \/ Your address is listed\. \/ Go away\."$/,
  ],
  [
    'a reply that is never ended',
    { greeting: later('554-5.7.1 blocked\r\n', '554-5.7.1 see bl.example\r\n') },
    /waiting for the greeting: the server closed the connection after "554-5\.7\.1 blocked \/ 554-5\.7\.1 see bl\.example"$/,
  ],
  [
    'the beginning of a reply, and silence',
    { greeting: later('554-5.7.1 blocked\r\n', '554-5.7.1 see bl', false) },
    /: no greeting came within 1s \(timeouts\.greeting\), only "554-5\.7\.1 blocked \/ 554-5\.7\.1 see bl"$/,
  ],
  [
    'a 354 and a refusal in one packet',
    { DATA: '354 go\r\n554 5.7.1 on second thoughts, no\r\n' },
    /: unexpected reply: 354 go \/ 554 5\.7\.1 on second thoughts, no$/,
  ],
  [
    'a 354 and something that is no reply yet in one packet',
    { DATA: '354 go\r\n554 5.7.1 on sec' },
    /: unexpected reply: 354 go \/ 554 5\.7\.1 on sec$/,
  ],
  [
    'STARTTLS and more in one packet',
    { STARTTLS: '220 go\r\n454 4.7.0 no certificate\r\n' },
    /: protocol error at starttls: unexpected reply: 220 go \/ 454 4\.7\.0 no certificate$/,
    ['STARTTLS'],
  ],
  [
    'a verdict that is none',
    { end: later('250-queued\r\n', '554 5.7.1 spam\r\n') },
    /no verdict came back \(the lines of one reply carry different codes: "250-queued \/ 554 5\.7\.1 spam"\)/,
  ],
  [
    'the beginning of a verdict, and the end',
    { end: later('250-2.0.0 queued\r\n', '250 as') },
    /no verdict came back \(the server closed the connection after "250-2\.0\.0 queued \/ 250 as"\)/,
  ],
  [
    'the beginning of a verdict, and silence',
    { end: later('250-2.0.0 queued\r\n', '250 as', false) },
    /no verdict came back \(no whole reply came within 1s \(timeouts\.final\): "250-2\.0\.0 queued \/ 250 as"\)/,
  ],
  ['control characters', { greeting: '220-a\x1b[2J\r\n521 b\x07\r\n' }, /: "220-a\\x1b\[2J \/ 521 b\\x07"$/],
  ['much', { greeting: `220-a\r\n${`521-${'b'.repeat(100)}\r\n`.repeat(30)}521 c\r\n` }, /: "220-a( \/ 521-b+){14,15}…"$/],
];
for (const [what, script, expected, offers = []] of SAID)
  test(`W7: ${what}: everything that came is in the sentence`, () =>
    withTwo({ script, offers }, async (first) => {
      const host = hostAt(first.port, offers.length > 0 ? { tls: tlsRequired() } : {});
      const limits = { ...optionsFor().timeouts, greeting: 1000, final: 1000 };
      const outcome = await deliver(
        { hosts: [host], transaction: transactionTo(1), content: contentOf() },
        optionsFor(10_000, { timeouts: limits }),
      );
      assert.match(sentences(outcome).split('\n')[0] as string, expected);
    }));

test('W7: a server’s words are on standard error and in the log', () =>
  withTwo({ script: { greeting: later('220-mx.example ESMTP\r\n', `${BLOCKED}\r\n`) } }, async ({ port }) => {
    const { config, logged } = setUp(`smarthosts = ["smtp://127.0.0.1:${port}"]\nqualify_domain = "example.org"`);
    const { status, stderr } = await run(config, ['ops@example.org'], 'Subject: x\n\nhello\n');
    assert.equal(status, 1);
    for (const text of [stderr, logged()]) assert.ok(text.includes(`220-mx.example ESMTP / ${BLOCKED}`), text);
  }));

/* ---- AUTH ---- */

const PASSWORD = 'tanstaaftanstaaf';
const withAuth = (port: number, mechanism: string) =>
  hostAt(port, { auth: { ...(withPassword(PASSWORD) as NonNullable<ReturnType<typeof withPassword>>), mechanisms: [mechanism] } });

interface Authenticated {
  readonly verdict: string;
  readonly told: string;
  readonly trace: readonly string[];
}

/** One message to a server that does this at AUTH: how it ended, what is said of it, and the conversation as -v and -d show it. */
async function authenticated(mechanism: string, deed: (talk: Talk, initial: string) => Promise<string>): Promise<Authenticated> {
  const AUTH: Deed = (talk) => deed(talk, decoded(server.sessions[0]?.at(-1)?.split(' ')[2] ?? ''));
  const server = await startHost({ offers: [`AUTH ${mechanism}`], script: { AUTH } });
  try {
    const trace: string[] = [];
    const outcome = await within(10_000, () =>
      deliver(
        { hosts: [withAuth(server.port, mechanism)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(10_000, { observer: { trace: (side, line) => trace.push(`${side}: ${line}`) } }),
      ),
    );
    return {
      verdict: verdictOf(outcome),
      told: sentences(outcome),
      trace: trace.slice(trace.findIndex((line) => line.startsWith('C: AUTH'))),
    };
  } finally {
    await server.stop();
  }
}

/** Says these challenges one after another, then the last line. */
const asking =
  (...lines: string[]) =>
  async ({ say, line }: Talk): Promise<string> => {
    for (const each of lines.slice(0, -1)) {
      say(`${each}\n`);
      await line();
    }
    return lines.at(-1) as string;
  };

const PROMPTS: readonly (readonly [string, string, ReturnType<typeof asking>])[] = [
  ['LOGIN', 'words', asking('334 Username:', '334 Password:', '235 welcome')],
  ['LOGIN', 'base64 and more', asking('334 VXNlcm5hbWU6 id=7', '334 UGFzc3dvcmQ6 id=7', '235 welcome')],
  ['LOGIN', 'several lines', asking('334-VXNl\r\n334 cm5hbWU6', '334-Pass\r\n334-word\r\n334 !', '235 welcome')],
  ['LOGIN', 'nothing', asking('334', '334 ', '235 welcome')],
  ['PLAIN', 'the initial response once more', asking('334 say it again, Sam', '235 welcome')],
];
for (const [mechanism, what, deed] of PROMPTS)
  test(`W8: ${mechanism} answers prompts, whatever they say: ${what}`, async () => {
    const { verdict, told } = await authenticated(mechanism, deed);
    assert.equal(verdict, 'accepted', told);
  });

test('W8: a challenge that is needed must be base64', async () => {
  for (const challenge of ['334 Username:', '334-PDE+\r\n334 PDE+', '334 PDE+ id=7'])
    assert.match((await authenticated('CRAM-MD5', asking(challenge, '501 cancelled'))).told, /AUTH CRAM-MD5: the challenge is not base64/);
});

test('W8: a 334 that never ends is no prompt, and a third one is not answered', async () => {
  assert.match(
    (await authenticated('LOGIN', asking('334 a', '334 b', '334 c', '501 cancelled'))).told,
    /asks for more than the mechanism has/,
  );
  assert.match((await authenticated('PLAIN', asking('334 a', '334 b', '501 cancelled'))).told, /asks for more than the mechanism has/);
});

/* ---- what -v shows of it ---- */

const SALT = 'W22ZaJ0SNY7soEsUEjb6gQ==';
const SERVER_NONCE = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const encoded = (text: string) => Buffer.from(text, 'latin1').toString('base64');
const decoded = (text: string) => Buffer.from(text, 'base64').toString('latin1');

/** Secrets that nobody may ever see: nonce, salt and signature of the last exchange, in clear and in base64. */
let guessable: readonly string[] = [];

/** A server of SCRAM-SHA-256 that knows the password, written against RFC 5802 with the hashes of Node; `last` makes its last words. */
const scramServer =
  (last: (signature: string) => readonly string[]) =>
  async ({ say, line }: Talk, initial: string): Promise<string> => {
    const bare = initial.replace(/^[^,]*,[^,]*,/, '');
    const first = `${bare.replace(/^.*r=/, 'r=')}${SERVER_NONCE},s=${SALT},i=4096`;
    say(`334 ${encoded(first)}\n`);
    const final = decoded((await line()) ?? '').replace(/,p=.*/, '');
    const salted = pbkdf2Sync(PASSWORD, Buffer.from(SALT, 'base64'), 4096, 32, 'sha256');
    const serverKey = createHmac('sha256', salted).update('Server Key').digest();
    const signature = `v=${createHmac('sha256', serverKey).update(`${bare},${first},${final}`).digest('base64')}`;
    guessable = [SERVER_NONCE, SALT, signature, signature.slice(2), bare, first].flatMap((text) => [
      text,
      encoded(text).replace(/=+$/, ''),
    ]);
    const lines = last(signature);
    for (const each of lines.slice(0, -1)) {
      say(`${each}\n`);
      await line();
    }
    return lines.at(-1) as string;
  };

const EXCHANGES: readonly (readonly [string, string, (talk: Talk, initial: string) => Promise<string>, readonly string[], RegExp])[] = [
  [
    'SCRAM-SHA-256',
    'it ends well',
    scramServer((v) => [`334 ${encoded(v)}`, '235 2.7.0 welcome']),
    ['C: AUTH SCRAM-SHA-256 ****', 'S: 334 …', 'C: ****', 'S: 334 …', 'C: ****', 'S: 235 2.7.0 welcome'],
    /^$/,
  ],
  [
    'SCRAM-SHA-256',
    'the signature stands in the last reply',
    scramServer((v) => [`235 ${encoded(v)}`]),
    ['C: AUTH SCRAM-SHA-256 ****', 'S: 334 …', 'C: ****', 'S: 235 ****', 'C: QUIT'],
    /AUTH SCRAM-SHA-256: the server ended the exchange before it proved itself/,
  ],
  [
    'SCRAM-SHA-256',
    'it is refused, and the refusal repeats what was said',
    scramServer((v) => [
      `535-5.7.8 no (${encoded(`r=${SERVER_NONCE},s=${SALT},i=4096`)})\r\n535 5.7.8 r=${SERVER_NONCE}, s=${SALT} ${v}\r\n`,
    ]),
    ['C: AUTH SCRAM-SHA-256 ****', 'S: 334 …', 'C: ****', 'S: 535-5.7.8 no (****)', 'S: 535 5.7.8 **** **** ****', 'C: QUIT'],
    /: AUTH SCRAM-SHA-256: 535 5\.7\.8 no \(\*\*\*\*\) \/ \*\*\*\* \*\*\*\* \*\*\*\*\n/,
  ],
  [
    'SCRAM-SHA-256',
    'a challenge with another behind it',
    scramServer((v) => [`334 ${encoded(v)}\r\n334 ${encoded(v)}\r\n`]),
    ['C: AUTH SCRAM-SHA-256 ****', 'S: 334 …', 'C: ****', 'S: 334 …', 'S: 334 …'],
    /unexpected reply: 334 … \/ 334 …$/,
  ],
  [
    'SCRAM-SHA-256',
    'a challenge that turns into something else',
    scramServer((v) => [`334-${encoded(v)}\r\n535 no\r\n`]),
    ['C: AUTH SCRAM-SHA-256 ****', 'S: 334 …', 'C: ****', 'S: 334-…', 'S: 535 no'],
    /different codes: "334-… \/ 535 no"$/,
  ],
  [
    'SCRAM-SHA-256',
    'no reply at all',
    scramServer((v) => [`${encoded(v)}\r\n`]),
    ['C: AUTH SCRAM-SHA-256 ****', 'S: 334 …', 'C: ****', 'S: ****'],
    /not an SMTP reply: "\*\*\*\*"$/,
  ],
  [
    'CRAM-MD5',
    'it ends well',
    async ({ say, line }) => {
      guessable = ['PDEyM0BmPg', '<123@f>'];
      say('334 PDEyM0BmPg==\n');
      await line();
      return '235 welcome';
    },
    ['C: AUTH CRAM-MD5', 'S: 334 …', 'C: ****', 'S: 235 welcome'],
    /^$/,
  ],
  [
    'CRAM-MD5',
    'a challenge after it was cancelled',
    async ({ say, line }) => {
      say('334 Username:\n');
      await line();
      return '334 PDEyM0BmPg==';
    },
    ['C: AUTH CRAM-MD5', 'S: 334 …', 'C: *', 'S: 334 …', 'C: QUIT'],
    /the challenge is not base64 \(334 …\)$/,
  ],
];
for (const [mechanism, what, deed, shown, told] of EXCHANGES)
  test(`V5: ${mechanism}, ${what}: what helps to guess the password is seen nowhere`, async () => {
    const ended = await authenticated(mechanism, deed);
    assert.deepEqual(ended.trace.slice(0, shown.length), shown);
    assert.match(ended.told, told);
    for (const text of [ended.told, ...ended.trace]) for (const part of guessable) assert.ok(!text.includes(part), `${part} in ${text}`);
  });

test('V5: neither the beginning of a challenge nor its end is shown', async () => {
  const ended = await authenticated('CRAM-MD5', async ({ socket }) => {
    socket.end('334-PDEyM0Bm');
    return '';
  });
  assert.deepEqual(ended.trace, ['C: AUTH CRAM-MD5', 'S: 334-…']);
  assert.match(ended.told, /the server closed the connection after "334-…"$/);
});

test('V5: a last reply stays readable', async () => {
  const ended = await authenticated('LOGIN', asking('334 a', '334 b', '535 5.7.8 see https://support.example/mail/answer/BadCredentials'));
  assert.deepEqual(ended.trace.slice(-2), ['S: 535 5.7.8 see https://support.example/mail/answer/BadCredentials', 'C: QUIT']);
});

test.run();
