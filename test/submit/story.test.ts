/**
 * Submits messages to a smart host on loopback, from octets to outcome: when the input is read, what follows when it fails or falls
 * silent, and that no secret comes out however a server echoes it (P12).
 * Loopback: secrets must be able to pass in clear and be echoed, so allow_plaintext is written.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Config } from '../../src/config/config.ts';
import { type Ended, type Input, type Source, sourceOf } from '../../src/message/source.ts';
import { logId, printLog } from '../../src/submit/log.ts';
import { exitStatus, printOutcome } from '../../src/submit/outcome.ts';
import { systemSecurity } from '../../src/submit/security.ts';
import { type StoryOptions, submitMessage } from '../../src/submit/story.ts';
import type { Submission, Submitted } from '../../src/submit/submission.ts';
import { verdictOf } from '../support/delivery.ts';
import { settingsOf } from '../support/settings.ts';
import { type Deed, type Phase, type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { chosen } from '../support/sockets.ts';
import { within } from '../support/within.ts';

const test = suite('story');

/** Gives each piece when it is asked for, as a pipe does, and calls `before` first. */
function pipeOf(
  pieces: readonly (string | Ended)[],
  before: (index: number) => Promise<void> | void = () => {},
): Input & { reads: number } {
  const input = {
    reads: 0,
    async read() {
      const index = input.reads++;
      await before(index);
      const piece = pieces[Math.min(index, pieces.length - 1)];
      if (piece === undefined || (index >= pieces.length && typeof piece === 'string')) return { end: 'clean' } as const;
      return typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
    },
    close: () => undefined,
  };
  return input;
}

/** A regular file, which can be read again; `opened` has the offsets at which it was. */
function fileOf(text: string): Input & { readonly opened: number[] } {
  const octets = Buffer.from(text, 'latin1');
  const opened: number[] = [];
  const from = (offset: number): Source =>
    sourceOf(
      ...Array.from({ length: Math.ceil((octets.length - offset) / 1000) }, (_, i) =>
        octets.subarray(offset + i * 1000, offset + i * 1000 + 1000),
      ),
    );
  const at = (offset: number): Source => {
    opened.push(offset);
    return from(offset);
  };
  return { ...from(0), opened, file: { size: octets.length, at } };
}

const DATE = new Date(2026, 10, 22, 9, 5, 7);

function submissionOf(config: Config, input: Input, changes: Partial<Submission> = {}): Submission {
  return {
    config,
    input,
    by: {
      login: 'tim',
      hostname: 'here.example',
      fullName: async () => '',
      charset: 'UTF-8',
      date: DATE,
      id: '1xOWGK-000101-WE',
      unique: '1xOWGK-000101-WE.7abcDEF0',
      version: '0',
    },
    recipients: { operands: ['r1@there.example', 'r2@there.example'], fromFields: false },
    reversePath: undefined,
    dotEnds: false,
    ...changes,
  };
}

interface Ran {
  readonly submitted: Submitted;
  readonly server: TestHost;
  readonly lines: string;
}

async function submit(
  server: SmarthostOptions,
  input: Input,
  config = '',
  changes: Partial<Submission> = {},
  options: Partial<StoryOptions> = {},
): Promise<Ran> {
  const host = await startHost(server);
  const settings = settingsOf(`hostname = "here.example"\nsmarthosts = ["smtp://127.0.0.1:${host.port}"]\n${config}`);
  const submitted = await submitMessage(submissionOf(settings, input, changes), {
    security: systemSecurity({}),
    connect: chosen,
    ...options,
  });
  await host.stop();
  return { submitted, server: host, lines: printOutcome(submitted.outcome, submitted.messageId).join('\n') };
}

const HEAD = 'Subject: test\nFrom: tim@here.example\nDate: Sun, 22 Nov 2026 09:05:07 +0000\nMessage-ID: <1@here.example>\n\n';
const LINE = `${'x'.repeat(70)}\n`;
const WINDOW = 'replay_window = "4KiB"\n';

/* ---- what is read when ---- */

test('a message within the window is read to its end before the server is asked', () =>
  within(10_000, async () => {
    let connected = 0;
    const deed: Deed = () => {
      connected = input.reads;
      return '220 hi';
    };
    const input = pipeOf([HEAD, LINE, LINE]);
    const { submitted, server } = await submit({ offers: ['SIZE'], script: { greeting: deed } }, input, WINDOW);
    assert.equal(verdictOf(submitted.outcome), 'accepted');
    assert.equal(connected, 4, 'three pieces and the end');
    const size = (HEAD + LINE + LINE).replaceAll('\n', '\r\n').length;
    assert.ok(server.sessions[0]?.includes(`MAIL FROM:<tim@here.example> SIZE=${size}`), server.sessions[0]?.join('\n'));
    assert.equal(server.held[0]?.octets.toString('latin1'), (HEAD + LINE + LINE).replaceAll('\n', '\r\n'));
  }));

for (const [offers, phase, what] of [
  [['PIPELINING', 'SIZE', '8BITMIME'], 'DATA', 'the server has said 354'],
  [['PIPELINING', 'CHUNKING', 'SIZE', '8BITMIME'], 'RCPT 2', 'every recipient is accepted'],
] as const)
  test(`nothing beyond the window is read before ${what}, and no size is guessed`, () =>
    within(10_000, async () => {
      const pieces = [HEAD, ...Array.from({ length: 200 }, () => LINE.repeat(20))];
      const input = pipeOf(pieces);
      let before = 0;
      const deed: Deed = async () => {
        await new Promise((resolve) => setTimeout(resolve, 30));
        before = input.reads;
        return phase === 'DATA' ? '354 go' : '250 ok';
      };
      const { submitted, server } = await submit({ offers, script: { [phase]: deed } }, input, WINDOW);
      assert.equal(verdictOf(submitted.outcome), 'accepted');
      assert.equal(before, 4, 'the head, and pieces until the window is full');
      assert.ok(server.sessions[0]?.includes('MAIL FROM:<tim@here.example> BODY=8BITMIME'));
      assert.equal(server.held[0]?.octets.toString('latin1'), pieces.join('').replaceAll('\n', '\r\n'));
    }));

test('a file that is longer than the window has an estimated size, is read again for the next host, and ends at its dot', () =>
  within(20_000, async () => {
    const body = LINE.repeat(9000);
    for (const [message, dotEnds, sizes] of [
      [HEAD + body, false, [(HEAD + body).replaceAll('\n', '\r\n').length]],
      [`${HEAD}${body}.\n${body}`, true, []],
    ] as const) {
      const first = await startHost({ offers: ['SIZE', 'CHUNKING', 'PIPELINING', '8BITMIME'], script: { BDAT: 'close' } });
      const input = fileOf(message);
      const hosts = `smarthosts = ["smtp://127.0.0.1:${first.port}", "smtp://127.0.0.2:PORT"]`;
      const second = await startHost({ offers: ['SIZE', '8BITMIME'], host: '127.0.0.2' });
      const settings = settingsOf(`hostname = "here.example"\n${hosts.replace('PORT', String(second.port))}\n${WINDOW}`);
      const options = { security: systemSecurity({}), connect: chosen };
      const submitted = await submitMessage(submissionOf(settings, input, { dotEnds }), options);
      await Promise.all([first.stop(), second.stop()]);
      assert.equal(verdictOf(submitted.outcome), 'accepted', printOutcome(submitted.outcome, '').join());
      assert.deepEqual(input.opened, [0]);
      const expected = (HEAD + body).replaceAll('\n', '\r\n');
      assert.equal(second.held[0]?.octets.toString('latin1'), expected);
      assert.equal(submitted.octets, expected.length, 'octets that were sent');
      const said = second.sessions[0]?.find((line) => line.startsWith('MAIL')) ?? '';
      const told = [...said.matchAll(/ SIZE=(\d+)/g)].map(([, size]) => Number(size));
      assert.equal(told.length, sizes.length, said);
      // It is estimated by the line ends of the window.
      for (const [i, size] of told.entries()) assert.ok(Math.abs(size - (sizes[i] as number)) < 300, said);
    }
  }));

test('the octets of a message that was not taken are those it has, as far as they are known', () =>
  within(20_000, async () => {
    const exact = (HEAD + LINE).replaceAll('\n', '\r\n').length;
    const body = LINE.repeat(400);
    const near = (HEAD + body).replaceAll('\n', '\r\n').length;
    for (const [input, script, octets, tolerance] of [
      [pipeOf([HEAD, LINE]), {}, exact, 0],
      [pipeOf([HEAD, LINE]), { 'RCPT 1': '550 no' }, exact, 0],
      [fileOf(HEAD + body), { 'RCPT 1': '550 no' }, near, 8],
      [pipeOf([HEAD, ...long]), { 'RCPT 1': '550 no' }, null, 0],
      [pipeOf([HEAD, ...long]), {}, (HEAD + long.join('')).replaceAll('\n', '\r\n').length, 0],
    ] as const) {
      const { submitted } = await submit({ offers: ['8BITMIME'], script }, input, WINDOW);
      if (octets === null) assert.equal(submitted.octets, null);
      else assert.ok(Math.abs((submitted.octets ?? 0) - octets) <= tolerance, `${submitted.octets} for ${octets}`);
    }
  }));

test('LMTP: several recipients get verdicts of their own where the configuration allows it, else none is asked', () =>
  within(10_000, async () => {
    const verdicts: Deed = ({ say }) => {
      say('250 first\n552 second\n');
      return '';
    };
    for (const [config, kind] of [
      ['lmtp_partial = true', 'accepted'],
      ['', 'failed'],
    ] as const) {
      const host = await startHost({ script: { end: verdicts } });
      const settings = settingsOf(`hostname = "here.example"\nsmarthosts = ["lmtp://127.0.0.1:${host.port}"]\n${config}`);
      const { outcome } = await submitMessage(submissionOf(settings, pipeOf([HEAD, LINE])), {
        security: systemSecurity({}),
        connect: chosen,
      });
      await host.stop();
      assert.equal(outcome.kind, kind);
      if (outcome.kind === 'accepted')
        assert.deepEqual(
          outcome.by.refusals.map(({ recipient }) => recipient),
          [1],
        );
      assert.equal(host.sessions.length, kind === 'accepted' ? 1 : 0);
    }
  }));

test('blocks are used where a server offers them', () =>
  within(10_000, async () => {
    for (const [offers, verb] of [
      [['CHUNKING'], /^BDAT \d+ LAST$/],
      [[], /^DATA$/],
    ] as const) {
      const { submitted, server } = await submit({ offers }, pipeOf([HEAD, LINE]));
      assert.equal(verdictOf(submitted.outcome), 'accepted');
      assert.ok(
        server.sessions[0]?.some((line) => verb.test(line)),
        server.sessions[0]?.join('\n'),
      );
    }
  }));

/* ---- input that fails ---- */

const failed: Ended = { end: 'failed', detail: 'standard input cannot be read (EIO)' };
const long = Array.from({ length: 50 }, () => LINE.repeat(20));

test('no server is asked when input fails in the header section or in the window', () =>
  within(10_000, async () => {
    for (const pieces of [[failed], [HEAD.slice(0, 20), failed], [HEAD, failed], [HEAD, LINE, failed]]) {
      const { submitted, server, lines } = await submit({}, pipeOf(pieces), WINDOW);
      assert.equal(verdictOf(submitted.outcome), 'failed');
      assert.equal(lines, failed.detail);
      // A caller who is told that the message is faulty would not send it again.
      assert.equal(exitStatus(submitted.outcome, 'sysexits'), 74);
      const { failure } = submitted.outcome.kind === 'failed' ? submitted.outcome : assert.fail();
      assert.equal(failure.kind === 'content' && failure.reason, 'input');
      assert.deepEqual(server.sessions, []);
    }
  }));

for (const offers of [[], ['PIPELINING', 'CHUNKING']])
  test(`input that fails beyond the window: no terminator (${offers.join(' ') || 'DATA'})`, () =>
    within(10_000, async () => {
      const { submitted, server, lines } = await submit({ offers }, pipeOf([HEAD, ...long, failed]), WINDOW);
      assert.equal(verdictOf(submitted.outcome), 'failed');
      assert.match(lines, /: standard input cannot be read \(EIO\)$/);
      assert.deepEqual(server.held, []);
      assert.ok(!server.sessions.flat().some((line) => line === 'QUIT' || / LAST$/.test(line)));
    }));

test('input that falls silent while the server waits gets no terminator, and the sentence names the cure', () =>
  within(10_000, async () => {
    const { submitted, server, lines } = await submit(
      {},
      pipeOf([HEAD, ...long, 'never'], (index) => (index === long.length + 1 ? new Promise(() => {}) : undefined)),
      `${WINDOW}timeouts.input = "1s"`,
    );
    assert.equal(verdictOf(submitted.outcome), 'failed');
    assert.match(lines, /gave nothing for 1 s .*\(timeouts\.input\).*replay_window/);
    assert.deepEqual(server.held, []);
  }));

test('a line too long beyond the window gets no terminator where that is refused', () =>
  within(10_000, async () => {
    const { submitted, server, lines } = await submit({}, pipeOf([HEAD, ...long, 'y'.repeat(2000)]), `${WINDOW}long_lines = "refuse"`);
    assert.equal(verdictOf(submitted.outcome), 'failed');
    assert.match(lines, /a line of more than 998 octets/);
    assert.deepEqual(server.held, []);
  }));

test('an uncertain outcome names the Message-ID, also one of ours', () =>
  within(10_000, async () => {
    for (const [head, id] of [
      [HEAD, '<1@here.example>'],
      ['Subject: x\n\n', '<1xOWGK-000101-WE.7abcDEF0@here.example>'],
    ] as const) {
      const { submitted, lines, server } = await submit({ script: { end: 'close' } }, pipeOf([head, LINE]));
      assert.equal(verdictOf(submitted.outcome), 'uncertain');
      assert.ok(lines.endsWith(`look for Message-ID ${id} before sending it again`), lines);
      assert.match(server.held[0]?.octets.toString() ?? '', new RegExp(`^Message-ID: ${id}\\r$`, 'm'));
    }
  }));

test('the log has all recipients whose delivery a signal ended', () =>
  within(10_000, async () => {
    const controller = new AbortController();
    const deed: Deed = async () => {
      controller.abort('ended by SIGTERM');
      return undefined;
    };
    const { submitted } = await submit(
      { script: { DATA: deed } },
      pipeOf([HEAD, LINE]),
      '',
      {},
      { interrupts: { signal: controller.signal } },
    );
    const lines = printLog({ ...submitted, time: DATE, id: logId(DATE, 1), login: 'tim', discarded: [] }, 'exim');
    assert.equal(lines.filter((line) => / \*\* r[12]@there\.example .*ended by SIGTERM$/.test(line)).length, 2, lines.join('\n'));
    assert.match(lines.at(-1) ?? '', /Failed: nobody has the message$/);
  }));

/* ---- secrets that come back ---- */

const PASSWORD = 'tan st:aaf/"&+ü';
const OCTETS = Buffer.from(PASSWORD, 'utf8');

/** The password and what AUTH sent, in the forms in which servers, proxies and libraries write such things. */
const FORMS: Readonly<Record<string, string>> = {
  clear: OCTETS.toString('latin1'),
  base64: OCTETS.toString('base64'),
  'base64 without padding': OCTETS.toString('base64').replace(/=+$/, ''),
  base64url: OCTETS.toString('base64url'),
  PLAIN: Buffer.from(`\0tim\0${PASSWORD}`).toString('base64'),
  'PLAIN in hexadecimal': Buffer.from(`\0tim\0${PASSWORD}`).toString('hex'),
  hexadecimal: OCTETS.toString('hex'),
  HEXADECIMAL: OCTETS.toString('hex').toUpperCase(),
  URL: encodeURIComponent(PASSWORD),
  form: new URLSearchParams({ p: PASSWORD }).toString().slice(2),
  JSON: JSON.stringify(PASSWORD).slice(1, -1),
};

const echo = (code: number, phase: Phase): Deed =>
  `${code}-${phase}: no\r\n${Object.entries(FORMS)
    .map(([form, text]) => `${code}-${form} ${text}\r\n`)
    .join('')}${code} that was all\r\n`;

const ECHOES: readonly (readonly [Phase, Deed, Readonly<Partial<SmarthostOptions>>])[] = [
  ['AUTH', echo(535, 'AUTH'), {}],
  ['AUTH', echo(421, 'AUTH'), {}],
  ['AUTH', echo(235, 'AUTH'), {}],
  ['AUTH', `hello ${FORMS.PLAIN}`, {}],
  ['AUTH', `334 ${FORMS.PLAIN}`, {}],
  ['MAIL', echo(550, 'MAIL'), {}],
  ['RCPT 2', echo(452, 'RCPT 2'), {}],
  ['DATA', echo(554, 'DATA'), {}],
  ['end', echo(250, 'end'), {}],
  ['end', echo(554, 'end'), {}],
  ['end', `354 ${FORMS.clear}`, {}],
  ['end', ({ socket }) => void socket.end(`250-${FORMS.base64}`), {}],
];

/** Every text that could reach anybody. */
const everything = ({ submitted, lines }: Ran, trace: readonly string[]): string => {
  const record = { ...submitted, time: DATE, id: logId(DATE, 1), login: 'tim', discarded: [] };
  return [
    lines,
    ...printLog(record, 'exim'),
    ...printLog(record, 'json'),
    JSON.stringify(submitted),
    ...trace.filter((line) => !line.startsWith('C AUTH') || line.includes('****') === false),
  ].join('\n');
};

for (const mechanisms of ['["PLAIN"]', '["LOGIN"]'])
  for (const [phase, deed, server] of ECHOES)
    test(`a server that echoes the password at ${phase} (${typeof deed === 'string' ? deed.split('\r\n')[0]?.slice(0, 20) : 'then it leaves'}), ${mechanisms}`, () =>
      within(10_000, async () => {
        const trace: string[] = [];
        const auth = `auth = { user = "tim", password = '''${PASSWORD}''', mechanisms = ${mechanisms}, allow_plaintext = true }`;
        // LOGIN asks twice before the deed.
        const asked: Deed = async (talk) => {
          for (const prompt of ['VXNlcm5hbWU6', 'UGFzc3dvcmQ6']) {
            talk.say(`334 ${prompt}\n`);
            await talk.line();
          }
          if (phase !== 'AUTH') return '235 ok';
          return typeof deed === 'function' ? deed(talk) : deed;
        };
        const isLogin = mechanisms.includes('LOGIN');
        const ran = await submit(
          { offers: ['AUTH PLAIN LOGIN'], ...server, script: { [phase]: deed, ...(isLogin ? { AUTH: asked } : {}) } },
          pipeOf([HEAD, LINE]),
          auth,
          {},
          { observer: { trace: (side, line) => trace.push(`${side} ${line}`) } },
        );
        // What was said is there at all: each form stood in a text of the server's.
        assert.ok(
          trace.some((line) => line.startsWith('S ') && /no$|\*\*\*\*|hello|334/.test(line)),
          trace.join('\n'),
        );
        const text = everything(ran, trace);
        for (const [form, secret] of Object.entries(FORMS)) {
          assert.ok(!text.includes(secret), `${form} is told: ${text.split('\n').find((line) => line.includes(secret))}`);
          assert.ok(!text.includes(Buffer.from(secret, 'latin1').toString('utf8')), `${form}, decoded, is told`);
        }
      }));

test('no outcome holds a password of the configuration', () =>
  within(10_000, async () => {
    const auth = 'auth = { user = "tim", password = "tanstaaftanstaaf", allow_plaintext = true }';
    for (const script of [{}, { 'RCPT 1': '550 no' }, { greeting: 'close' }] as const) {
      const { submitted } = await submit({ offers: ['AUTH PLAIN'], script }, pipeOf([HEAD, LINE]), auth);
      assert.doesNotMatch(JSON.stringify(submitted), /tanstaaf/);
      assert.equal(
        submitted.outcome.kind === 'accepted'
          ? submitted.outcome.by.host.auth?.user
          : submitted.outcome.kind === 'failed' && submitted.outcome.attempts[0]?.host.auth?.user,
        'tim',
      );
    }
  }));

/* ---- ends without a transaction ---- */

const redirecting = (list: string): string =>
  `[[router]]\nname = "r"\ndriver = "redirect"\ndomains = ["*"]\ndata = { r1 = "${list}", r2 = "${list}" }\n`;
const ENDS: readonly (readonly [string, string, string, Partial<Submission>, RegExp])[] = [
  ['a recipient that is no address', HEAD, '', { recipients: { operands: ['@'], fromFields: false } }, /"@"|<@>|@/],
  ['a header section that never ends', `Subject: ${'x'.repeat(3000)}`, 'header_limit = "2KiB"\n', {}, /header/],
  ['a line that is too long', `${HEAD}${'x'.repeat(999)}\n`, 'long_lines = "refuse"\n', {}, /998 octets/],
  ['an alias that fails', HEAD, redirecting(':fail: gone'), {}, /gone/],
  ['an alias that defers', HEAD, redirecting(':defer: later'), {}, /later/],
  [
    'an alias that fails beside one that defers',
    HEAD,
    redirecting(':defer: later').replace('r1 = ":defer: later"', 'r1 = ":fail: gone"'),
    {},
    /gone[\s\S]*later/,
  ],
];
for (const [what, message, config, changes, sentence] of ENDS)
  test(`${what} ends a submission before anything connects`, () =>
    within(10_000, async () => {
      const { submitted, server, lines } = await submit({}, pipeOf([message]), config, changes);
      assert.equal(verdictOf(submitted.outcome), 'failed');
      assert.match(lines, sentence);
      assert.deepEqual(server.sessions, []);
      const { outcome } = submitted;
      const failure = outcome.kind === 'failed' ? outcome.failure : null;
      const isRoute = config.startsWith('[[router]]');
      assert.equal(failure?.kind, isRoute ? 'route' : 'message');
      if (failure?.kind === 'route') assert.equal(failure.deferred, sentence.source === 'later');
    }));

test('a sender without a domain ends a submission before its input is read', async () => {
  const settings = settingsOf('smarthosts = ["smtp://127.0.0.1:9"]\n');
  const input = pipeOf([HEAD]);
  const { by } = submissionOf(settings, input);
  const submitted = await submitMessage(submissionOf(settings, input, { by: { ...by, hostname: 'vm' } }), {
    security: systemSecurity({}),
    connect: chosen,
  });
  assert.match(printOutcome(submitted.outcome, '').join(), /has no domain/);
  const { outcome: _, ...known } = submitted;
  assert.deepEqual(known, { reversePath: undefined, recipients: [], discarded: [], messageId: '', octets: null, notes: [] });
  assert.equal(input.reads, 0);
});

test('recipients that aliases discard end a submission without a failure', () =>
  within(10_000, async () => {
    const { submitted, server } = await submit({}, pipeOf([HEAD]), redirecting(':blackhole:'));
    assert.equal(submitted.outcome.kind, 'discarded');
    assert.deepEqual(server.sessions, []);
  }));

test('one recipient that cannot be routed keeps the message from all others, also from those who would be discarded', () =>
  within(10_000, async () => {
    const routers = `[[router]]\nname = "r"\ndriver = "redirect"\ndomains = ["*"]\ndata = { "r1" = ":fail: gone", "r3" = ":blackhole:" }\n`;
    const hub = (port: string) => `[[router]]\nname = "m"\ndriver = "manualroute"\nhosts = ["smtp://127.0.0.1:${port}"]\n`;
    for (const other of ['r2', 'r3']) {
      const recipients = { operands: [`${other}@there.example`, 'r1@there.example'], fromFields: false };
      const { submitted, server, lines } = await submit({}, pipeOf([HEAD]), `${routers}${hub('9')}`, { recipients });
      assert.equal(lines, 'routing r1@there.example yielded a failed delivery: gone');
      assert.equal(exitStatus(submitted.outcome, 'sysexits'), 65);
      assert.deepEqual(server.sessions, []);
    }
  }));

test('a signal while recipients are routed ends the submission with its reason', () =>
  within(10_000, async () => {
    const stop = new AbortController();
    stop.abort('ended by SIGTERM');
    const { lines, submitted } = await submit({}, pipeOf([HEAD]), '', {}, { interrupts: { signal: stop.signal } });
    assert.equal(lines, 'ended by SIGTERM');
    const failure = { kind: 'content', at: 'closed', condemns: 'message', reason: 'aborted', detail: 'ended by SIGTERM' };
    assert.deepEqual(submitted.outcome, { kind: 'failed', failure, attempts: [], unreplayable: false });
  }));

/* ---- what observers hear, and what a route changes ---- */

for (const [written, mailFrom] of [
  ['"<>"', 'MAIL FROM:<>'],
  ['"errors@there.example"', 'MAIL FROM:<errors@there.example>'],
  ['"errors@m\u00fcller.example"', 'MAIL FROM:<errors@xn--mller-kva.example>'],
] as const)
  test(`a route with errors_to = ${written} has that reverse-path`, () =>
    within(10_000, async () => {
      const host = await startHost({});
      const route = `[[router]]\nname = "m"\ndriver = "manualroute"\nhosts = ["smtp://127.0.0.1:${host.port}"]\nerrors_to = ${written}\n`;
      const settings = settingsOf(`hostname = "here.example"\n${route}`);
      const submitted = await submitMessage(submissionOf(settings, pipeOf([HEAD])), { security: systemSecurity({}), connect: chosen });
      await host.stop();
      assert.equal(verdictOf(submitted.outcome), 'accepted');
      assert.ok(
        host.sessions[0]?.some((line) => line.startsWith(mailFrom)),
        host.sessions[0]?.join(),
      );
    }));

test('observers hear of routes, of a lone dot and of notes; a dot ends the message', () =>
  within(10_000, async () => {
    const [routes, dots, notes]: [number[], number[], string[]] = [[], [], []];
    const { submitted, server } = await submit(
      {},
      pipeOf([`${HEAD}one\n.\ntwo\n`]),
      '',
      { dotEnds: true, notify: ['FAILURE'] },
      {
        observer: {
          routed: ({ recipients }) => void routes.push(recipients.length),
          loneDot: ({ octets }) => void dots.push(octets),
          note: (note) => void notes.push(note),
        },
      },
    );
    assert.equal(verdictOf(submitted.outcome), 'accepted');
    assert.deepEqual([routes, dots.length], [[2], 1]);
    assert.match(notes.join(), /DSN/);
    assert.deepEqual(submitted.notes, notes);
    assert.ok(server.held[0]?.octets.toString('latin1').endsWith('\r\n\r\none\r\n'));
  }));

test('long content is worked on in the memory that the input is offered', () =>
  within(20_000, async () => {
    const pieces = [HEAD, ...Array.from({ length: 20 }, () => LINE.repeat(400))];
    const memories: number[] = [];
    const whole = { ...pipeOf(pieces), useMemory: (memory: Uint8Array) => void memories.push(memory.length) };
    assert.equal(verdictOf((await submit({ offers: ['8BITMIME'] }, whole, 'replay_window = "1MiB"')).submitted.outcome), 'accepted');
    const short = { ...pipeOf([HEAD]), useMemory: (memory: Uint8Array) => void memories.push(memory.length) };
    await submit({}, short);
    assert.equal(memories.length, 0, 'all of it was read before');
    const input = { ...pipeOf(pieces), useMemory: (memory: Uint8Array) => void memories.push(memory.length) };
    const { submitted, server } = await submit({ offers: ['8BITMIME'] }, input, WINDOW);
    assert.equal(verdictOf(submitted.outcome), 'accepted');
    assert.equal(memories.length, 1);
    assert.equal(server.held[0]?.octets.toString('latin1'), pieces.join('').replaceAll('\n', '\r\n'));
  }));

test('the input is told that its content is converted, and only then', () =>
  within(20_000, async () => {
    for (const [offers, times] of [
      [['8BITMIME'], 0],
      [[], 1],
    ] as const) {
      let told = 0;
      const input = { ...pipeOf([HEAD, 'Gr\xfc\xdfe\n']), willConvert: () => void told++ };
      assert.equal(verdictOf((await submit({ offers }, input)).submitted.outcome), 'accepted');
      assert.equal(told, times);
    }
  }));

test.run();
