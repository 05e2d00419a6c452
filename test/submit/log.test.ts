/**
 * Log lines as exact text, as Exim's own tools read them, and as JSON.
 * Loopback: nothing connects; servers are made up.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import type { RoutedRecipient } from '../../src/router/route.ts';
import type { SessionFailure } from '../../src/smtp/client/outcome.ts';
import type { Reply } from '../../src/smtp/reply.ts';
import { type LogRecord, logId, printLog, severityOf } from '../../src/submit/log.ts';
import { type Acceptance, type Attempt, failedWith, type Outcome } from '../../src/submit/outcome.ts';
import { hostAt } from '../support/delivery.ts';
import { mailbox, uncheckedMailbox } from '../support/mailbox.ts';

const test = suite('log');

const TIME = new Date(2026, 10, 22, 9, 5, 7, 250);
const two = (n: number) => String(Math.abs(n)).padStart(2, '0');
const EAST = -TIME.getTimezoneOffset();
const STAMP = `2026-11-22 09:05:07 ${EAST < 0 ? '-' : '+'}${two(Math.trunc(EAST / 60))}${two(EAST % 60)}`;

const to = (localPart: string, original = localPart, router = 'smarthosts'): RoutedRecipient => ({
  path: uncheckedMailbox(localPart, 'there.example'),
  router,
  original: uncheckedMailbox(original, 'there.example'),
});
const said = (text: string): Reply => ({ code: Number(text.slice(0, 3)), enhanced: null, lines: [text.slice(4)] });
const server = (name: string) => ({ host: hostAt(25), name, endpoint: { address: '192.0.2.1', family: 4, port: 25 } as const });
const refused: SessionFailure = {
  kind: 'connect',
  at: 'greeting',
  condemns: 'address',
  during: 'connect',
  reason: 'refused',
  detail: 'connection refused',
};
const failure = (recipients: readonly number[], text = '550 5.1.1 nobody'): SessionFailure => {
  const [first, ...rest] = recipients.map((recipient) => ({
    command: `RCPT TO:<r${recipient}@there.example>`,
    recipient,
    reply: said(text),
  }));
  if (!first) throw new Error('no refusal');
  return { kind: 'rejected', at: 'envelope', condemns: 'message', refusals: [first, ...rest] };
};
const accepted = (changes: Partial<Acceptance> = {}, attempts: readonly Attempt[] = []): Outcome => ({
  kind: 'accepted',
  attempts,
  by: { ...server('b.example'), reply: said('250 2.0.0 taken'), refusals: [], taken: [], tls: null, auth: null, ...changes },
});
const failed = (last: SessionFailure, before: readonly Attempt[] = []): Outcome => ({
  kind: 'failed',
  failure: last,
  attempts: [...before, { ...server('b.example'), failure: last }],
  unreplayable: false,
});

const record = (outcome: Outcome, changes: Partial<LogRecord> = {}): LogRecord => ({
  time: TIME,
  id: logId(TIME, 4711),
  login: 'tim',
  reversePath: mailbox('tim@here.example'),
  recipients: [to('r0')],
  discarded: [],
  octets: 315,
  messageId: '<1@here.example>',
  outcome,
  notes: [],
  ...changes,
});
const exim = (from: LogRecord): string[] =>
  printLog(from, 'exim').map((line) => {
    assert.ok(line.startsWith(`${STAMP} ${from.id} `), line);
    return line.slice(STAMP.length + from.id.length + 2);
  });

const RECEIVED = '<= tim@here.example U=tim P=local S=315 id=1@here.example';
const FACTS = 'R=smarthosts T=smtp H=b.example [192.0.2.1]';

const RECORDS: readonly (readonly [string, LogRecord, readonly string[]])[] = [
  ['accepted', record(accepted()), [RECEIVED, `=> r0@there.example ${FACTS} C="250 2.0.0 taken"`, 'Completed']],
  [
    'several recipients, one of them by an alias; TLS, authentication, a host that was down',
    record(
      accepted(
        { tls: { cipher: 'TLS1.3:TLS_AES_256_GCM_SHA384:256', verified: true }, auth: { mechanism: 'SCRAM-SHA-256', user: 'tim' } },
        [{ ...server('a.example'), failure: refused }],
      ),
      { recipients: [to('r0', 'postmaster'), to('r1')] },
    ),
    [
      RECEIVED,
      'H=a.example [192.0.2.1]: connection refused',
      `=> r0@there.example <postmaster@there.example> ${FACTS} X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes A=scram-sha-256:tim C="250 2.0.0 taken"`,
      `-> r1@there.example ${FACTS} X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes A=scram-sha-256:tim C="250 2.0.0 taken"`,
      'Completed',
    ],
  ],
  [
    'recipients whose routes are the same by different routers',
    record(accepted(), { recipients: [to('r0', 'r0', 'partner'), to('r1')] }),
    [
      RECEIVED,
      '=> r0@there.example R=partner T=smtp H=b.example [192.0.2.1] C="250 2.0.0 taken"',
      '-> r1@there.example R=smarthosts T=smtp H=b.example [192.0.2.1] C="250 2.0.0 taken"',
      'Completed',
    ],
  ],
  [
    'a certificate that was not verified',
    record(accepted({ tls: { cipher: 'x', verified: false } })),
    [RECEIVED, `=> r0@there.example ${FACTS} X=x CV=no C="250 2.0.0 taken"`, 'Completed'],
  ],
  [
    'quotes in a reply',
    record(accepted({ reply: said('250 "ok"') })),
    [RECEIVED, `=> r0@there.example ${FACTS} C="250 'ok'"`, 'Completed'],
  ],
  [
    'the null reverse-path, nothing known of the size, notes and discarded addresses',
    record(accepted(), { reversePath: null, octets: null, messageId: '', notes: ['a long line'], discarded: [to('x', 'x', 'aliases')] }),
    [
      '<= <> U=tim P=local',
      'a long line',
      '=> :blackhole: <x@there.example> R=aliases',
      `=> r0@there.example ${FACTS} C="250 2.0.0 taken"`,
      'Completed',
    ],
  ],
  [
    'all discarded',
    record({ kind: 'discarded' }, { recipients: [], discarded: [to('x', 'x', 'aliases')] }),
    [RECEIVED, '=> :blackhole: <x@there.example> R=aliases', 'Completed'],
  ],
  [
    'a refusal: each recipient with its own reason, the others with all',
    record(failed(failure([1])), { recipients: [to('r0'), to('r1')] }),
    [
      RECEIVED,
      'H=b.example [192.0.2.1]: RCPT TO:<r1@there.example>: 550 5.1.1 nobody',
      '** r0@there.example R=smarthosts T=smtp: b.example [192.0.2.1]: RCPT TO:<r1@there.example>: 550 5.1.1 nobody',
      '** r1@there.example R=smarthosts T=smtp: b.example [192.0.2.1]: RCPT TO:<r1@there.example>: 550 5.1.1 nobody',
      'Failed: nobody has the message',
    ],
  ],
  [
    'every host failed',
    record(failed(refused, [{ ...server('a.example'), failure: refused }])),
    [
      RECEIVED,
      'H=a.example [192.0.2.1]: connection refused',
      'H=b.example [192.0.2.1]: connection refused',
      '** r0@there.example R=smarthosts T=smtp: a.example [192.0.2.1]: connection refused; b.example [192.0.2.1]: connection refused',
      'Failed: nobody has the message',
    ],
  ],
  [
    'uncertain',
    record(failed({ kind: 'uncertain', at: 'commit', condemns: 'message', detail: 'no reply came in time' })),
    [
      RECEIVED,
      'H=b.example [192.0.2.1]: the message was sent and no verdict came back (no reply came in time): it may have been delivered',
      '** r0@there.example R=smarthosts T=smtp: b.example [192.0.2.1]: the message was sent and no verdict came back (no reply came in time): it may have been delivered; look for Message-ID <1@here.example> before sending it again',
      'Uncertain: the smart host may have the message',
    ],
  ],
  [
    'before any recipient was known',
    record(failedWith({ kind: 'message', detail: 'no recipients' }), { recipients: [], octets: null, messageId: '' }),
    ['<= tim@here.example U=tim P=local', 'not sent: no recipients'],
  ],
  [
    'C4: before even the sender was known',
    record(failedWith({ kind: 'usage', detail: 'unknown option -Z' }), {
      reversePath: undefined,
      recipients: [],
      octets: null,
      messageId: '',
    }),
    ['U=tim P=local not sent: unknown option -Z'],
  ],
  [
    'a delivery in part names who has the message and who refused',
    record(accepted({ refusals: [{ command: 'the content for <r1@there.example>', recipient: 1, reply: said('552 full') }] }), {
      recipients: [to('r0'), to('r1')],
    }),
    [
      RECEIVED,
      `=> r0@there.example ${FACTS} C="250 2.0.0 taken"`,
      `** r1@there.example ${FACTS}: the content for <r1@there.example>: 552 full`,
      'Partial: some of the recipients have the message',
    ],
  ],
];
for (const [what, from, lines] of RECORDS) test(what, () => assert.deepEqual(exim(from), lines));

test('O8: a time says how far it is from UTC, whatever the caller’s zone', () => {
  const zone = process.env.TZ;
  const at = (name: string): string => {
    process.env.TZ = name;
    return printLog(record(accepted(), { time: new Date(Date.UTC(2026, 6, 1, 12)) }), 'exim')[0]?.slice(0, 25) as string;
  };
  try {
    assert.equal(at('UTC'), '2026-07-01 12:00:00 +0000');
    assert.equal(at('Asia/Kolkata'), '2026-07-01 17:30:00 +0530');
    assert.equal(at('America/St_Johns'), '2026-07-01 09:30:00 -0230');
  } finally {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
  }
});

test('the log grows with the number of refusals, not with its square', () => {
  const all = Array.from({ length: 1000 }, (_, i) => i);
  const from = record(failed(failure(all)), { recipients: all.map((i) => to(`r${i}`)) });
  const lines = exim(from);
  assert.equal(lines.length, 1 + 1000 + 1000 + 1);
  assert.ok(lines.includes('** r7@there.example R=smarthosts T=smtp: b.example [192.0.2.1]: RCPT TO:<r7@there.example>: 550 5.1.1 nobody'));
  assert.ok(lines.every((line) => line.length < 500));
  const one = exim(record(failed(failure(all.slice(1))), { recipients: all.map((i) => to(`r${i}`)) }));
  assert.match(one.find((line) => line.startsWith('** r0@')) ?? '', /; and 995 other reasons$/);
});

test('a text of a thousand characters stands whole beside others, a longer one is cut', () => {
  const [whole, longer] = ['l', 'm'].map((letter, i) => letter.repeat(1000 + i)) as [string, string];
  const cut = `${'m'.repeat(1000)}…`;
  for (const [text, shown] of [
    [whole, whole],
    [longer, cut],
  ] as const) {
    const auth = { mechanism: 'PLAIN', user: text };
    const lines = exim(record(accepted({ auth }), { login: text, messageId: '' }));
    assert.equal(lines[0], `<= tim@here.example U=${shown} P=local S=315`);
    assert.equal(lines[1], `=> r0@there.example ${FACTS} A=plain:${shown} C="250 2.0.0 taken"`);
    assert.equal(
      exim(record(failedWith({ kind: 'usage', detail: text }), { login: text })).at(-2),
      `** r0@there.example R=smarthosts T=smtp: ${shown}`,
    );
  }
});

test('behind each address there are four reasons, and how many there are besides', () => {
  const whys = ['a', 'b', 'c', 'd', 'e', 'f'].map((detail): SessionFailure => ({ ...refused, detail }) as SessionFailure);
  const lastOf = (count: number) => {
    const all = whys.slice(0, count).map((failure) => ({ ...server('s'), failure }));
    return exim(record(failed(whys[count - 1] as SessionFailure, all.slice(0, -1)))).at(-2);
  };
  const line = (...reasons: readonly string[]) => `** r0@there.example R=smarthosts T=smtp: ${reasons.join('; ')}`;
  const reason = (letter: string, isLast = false) => `${isLast ? 'b.example' : 's'} [192.0.2.1]: ${letter}`;
  assert.equal(lastOf(4), line(reason('a'), reason('b'), reason('c'), reason('d', true)));
  assert.equal(lastOf(5), line(reason('a'), reason('b'), reason('c'), reason('d'), 'and 1 other reasons'));
  assert.equal(lastOf(6), line(reason('a'), reason('b'), reason('c'), reason('d'), 'and 2 other reasons'));
});

test('what is missing on this side has no server in the log, and a refusal of everybody is everybody’s reason', () => {
  const missing: SessionFailure = {
    kind: 'unsupported',
    at: 'ready',
    condemns: 'host',
    lacks: 'configuration',
    detail: 'no file',
    isOurs: true,
  };
  assert.deepEqual(exim(record(failed(missing))).slice(1, 3), ['no file', '** r0@there.example R=smarthosts T=smtp: no file']);
  const content: SessionFailure = {
    kind: 'rejected',
    at: 'commit',
    condemns: 'message',
    refusals: [{ command: 'the content', recipient: null, reply: said('554 spam') }],
  };
  // A refusal that is not that of the last attempt tells nobody's own reason.
  const earlier: Outcome = {
    kind: 'failed',
    failure: failure([0]),
    attempts: [{ ...server('a.example'), failure: refused }],
    unreplayable: false,
  };
  for (const [outcome, why] of [
    [failed(content), 'b.example [192.0.2.1]: the content: 554 spam'],
    [earlier, 'a.example [192.0.2.1]: connection refused; RCPT TO:<r0@there.example>: 550 5.1.1 nobody'],
  ] as const)
    assert.deepEqual(
      exim(record(outcome, { recipients: [to('r0'), to('r1')] })).filter((line) => line.startsWith('**')),
      ['r0', 'r1'].map((name) => `** ${name}@there.example R=smarthosts T=smtp: ${why}`),
    );
});

test('no line holds a line end or anything else that a terminal obeys', () => {
  const evil = fc.string({ unit: 'binary', maxLength: 30 });
  fc.assert(
    fc.property(evil, evil, evil, evil, (login, id, note, text) => {
      const lines = printLog(
        record(accepted({ reply: said(`250 ${text}`) }), {
          login,
          messageId: id,
          notes: [note],
          discarded: [{ ...to(note), router: 'r1' }],
        }),
        'exim',
      );
      assert.equal(lines.length, 5);
      for (const line of lines) assert.doesNotMatch(line, /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u);
      for (const line of printLog(
        record(failed({ kind: 'lost', at: 'data', condemns: 'address', command: text, detail: note }), { login }),
        'exim',
      ))
        assert.doesNotMatch(line, /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u);
      const [json] = printLog(record(accepted(), { login, messageId: id, notes: [note] }), 'json');
      assert.doesNotMatch(json as string, /[\n\r]/);
    }),
  );
});

test('ids have Exim’s form, go up with time, and differ between processes and moments', () => {
  assert.equal(logId(new Date(-1), 0), '000000-000000-00');
  assert.equal(logId(new Date(0), 0), '000000-000000-00');
  assert.equal(logId(new Date(999), 62 * 62 + 1), '000000-000101-WE');
  // The same by hand: 1800000000, 4711 and 1000, each in base 62.
  assert.equal(logId(new Date(1_800_000_000_500), 4711), '1xocE4-0001Dz-G8');
  const ids = Array.from({ length: 2000 }, (_, i) => logId(new Date(1_800_000_000_000 + i), 4_194_304));
  assert.equal(new Set(ids).size, 2000);
  for (const id of ids) assert.match(id, /^[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}$/);
  assert.ok(logId(new Date(1_800_000_000_000), 1) < logId(new Date(1_800_000_001_000), 1));
});

test('JSON is one object with all facts', () => {
  const [line, ...others] = printLog(
    record(failed(failure([0]), [{ ...server('a.example'), failure: refused }]), { notes: ['n'], discarded: [to('d')] }),
    'json',
  );
  assert.deepEqual(others, []);
  assert.deepEqual(JSON.parse(line as string), {
    time: TIME.toISOString(),
    id: logId(TIME, 4711),
    outcome: 'failed',
    login: 'tim',
    from: 'tim@here.example',
    to: ['r0@there.example'],
    discarded: ['d@there.example'],
    octets: 315,
    message_id: '<1@here.example>',
    server: null,
    reply: null,
    tls: null,
    reasons: ['a.example [192.0.2.1]: connection refused', 'b.example [192.0.2.1]: RCPT TO:<r0@there.example>: 550 5.1.1 nobody'],
    attempts: [
      { server: 'a.example [192.0.2.1]', kind: 'connect', at: 'greeting', reasons: ['connection refused'] },
      { server: 'b.example [192.0.2.1]', kind: 'rejected', at: 'envelope', reasons: ['RCPT TO:<r0@there.example>: 550 5.1.1 nobody'] },
    ],
    notes: ['n'],
  });
});

const VERDICTS: readonly (readonly [string, Outcome])[] = [
  ['accepted', accepted()],
  ['discarded', { kind: 'discarded' }],
  ['failed', failedWith({ kind: 'usage', detail: 'x' })],
  ['uncertain', failed({ kind: 'uncertain', at: 'commit', condemns: 'message', detail: 'x' })],
  ['partial', accepted({ refusals: [{ command: 'x', recipient: 0, reply: said('550 x') }] })],
];
for (const [verdict, outcome] of VERDICTS)
  test(`JSON: ${verdict}`, () => {
    const read = JSON.parse(printLog(record(outcome, { reversePath: null }), 'json')[0] as string);
    assert.equal(read.outcome, verdict);
    assert.equal(read.from, '');
    const early = JSON.parse(printLog(record(outcome, { reversePath: undefined }), 'json')[0] as string);
    assert.equal(early.from, null);
    const isTaken = verdict === 'accepted' || verdict === 'partial';
    assert.deepEqual(
      [read.server, read.reply, read.tls],
      isTaken ? ['b.example [192.0.2.1]', '250 2.0.0 taken', null] : [null, null, null],
    );
    assert.deepEqual(
      [read.attempts.length, read.reasons.length > 0],
      [verdict === 'uncertain' ? 1 : 0, !['accepted', 'discarded'].includes(verdict)],
    );
  });

test('JSON names the cipher of a session under TLS', () => {
  const [line] = printLog(record(accepted({ tls: { cipher: 'TLS1.3:X:256', verified: true } })), 'json');
  assert.equal(JSON.parse(line as string).tls, 'TLS1.3:X:256');
});

/* ---- Exim's own tools ---- */

const [EXIGREP, EXIMSTATS] = ['/usr/sbin/exigrep', '/usr/sbin/eximstats'];
const real = (name: string, work: () => void) => {
  const isThere = existsSync(EXIGREP) && existsSync(EXIMSTATS);
  if (isThere) return test(name, work);
  if (process.env.CI !== 'true') {
    console.log(`${name}: skipped: needs exim4-base`);
    return test.skip(name, work);
  }
  return test(name, () => {
    throw new Error('needs exim4-base, which .ci/run installs');
  });
};

/** A log of four messages of four runs. */
function withLog<T>(work: (path: string, ids: readonly string[]) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'nospool-log-'));
  const times = [0, 1, 2, 3].map((i) => new Date(TIME.getTime() + i * 1000));
  const records = [
    record(accepted({}, [{ ...server('a.example'), failure: refused }]), {
      recipients: [to('alice'), to('bob', 'postmaster')],
      octets: 1000,
    }),
    record(failed(failure([0])), { recipients: [to('carol')], octets: 200 }),
    record(accepted(), { reversePath: null, recipients: [to('dave')], octets: 30 }),
    record({ kind: 'discarded' }, { recipients: [], discarded: [to('erin', 'erin', 'aliases')], octets: 4 }),
  ].map((each, i): LogRecord => ({ ...each, time: times[i] as Date, id: logId(times[i] as Date, 4711 + i) }));
  writeFileSync(
    join(folder, 'mainlog'),
    records
      .flatMap((each) => printLog(each, 'exim'))
      .map((line) => `${line}\n`)
      .join(''),
  );
  try {
    return work(
      join(folder, 'mainlog'),
      records.map(({ id }) => id),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

real('exigrep finds all lines of the message that has the word', () =>
  withLog((path, ids) => {
    const grep = (word: string) => {
      const { stdout, stderr } = spawnSync(EXIGREP, [word, path], { encoding: 'utf8' });
      assert.equal(stderr, '');
      return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('+++'));
    };
    const bob = grep('bob@');
    assert.equal(bob.length, 5, bob.join('\n'));
    assert.ok(bob.every((line) => line.includes(ids[0] as string)));
    assert.equal(grep('carol@').length, 4);
    assert.deepEqual(
      grep('R=aliases').map((line) => line.includes(ids[3] as string)),
      [true, true, true],
    );
    assert.equal(grep(ids[2] as string).length, 3);
    assert.equal(grep('nothing like it').length, 0);
  }),
);

real('eximstats counts messages, addresses and octets', () =>
  withLog((path) => {
    const { stdout, stderr } = spawnSync(EXIMSTATS, ['-nr', '-nt', path], { encoding: 'utf8' });
    assert.equal(stderr, '');
    assert.match(stdout, /^ +Received +1234 +4 /m);
    assert.match(stdout, /^ +Received .* 1 +25\.0%$/m, 'one of four failed');
    assert.match(stdout, /^ +Delivered +1034 +3 +4 /m, 'three were delivered or discarded, of four addresses');
  }),
);

test('syslog has an error where somebody does not have the message, or may not', () => {
  const doubt: SessionFailure = { kind: 'uncertain', at: 'commit', condemns: 'message', command: '.', instead: refused, detail: 'x' };
  const [first] = failure([0]).kind === 'rejected' ? (failure([0]) as { readonly refusals: Acceptance['refusals'] }).refusals : [];
  assert.ok(first);
  const outcomes: readonly Outcome[] = [
    accepted(),
    { kind: 'discarded' } as Outcome,
    accepted({ refusals: [first] }),
    failed(refused),
    failed(doubt),
  ];
  assert.deepEqual(outcomes.map(severityOf), ['info', 'info', 'err', 'err', 'err']);
});

test.run();
