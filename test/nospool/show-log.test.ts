import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import { type LogEntry, readEntries } from '../../src/nospool/show-log.ts';
import { configured, nospool } from '../support/admin.ts';
import { scratch } from '../support/command.ts';

const test = suite('log');

const T = '2026-11-22 16:01:04';
const [A, B, C, D] = ['1xVA00-000000006RF-071U', '1xVA00-000000006RQ-0OaC', '1xVA00-000000006RZ-0YbA', '1xVA01-000000006RZ-0YbA'];

/** Two messages whose lines are mixed, one that is uncertain, one that was killed, and a line of no message. */
const EXIM = [
  `${T} ${A} <= web1@example.org U=root P=local S=315`,
  `${T} ${B} <= web1@example.org U=root P=local S=249`,
  `${T} ${A} => alice@example.org R=smarthosts T=smtp H=[127.0.0.1]:587 C="250 2.0.0 queued"`,
  `${T} ${B} ** nobody@example.org R=smarthosts T=smtp: RCPT TO:<nobody@example.org>: 550 5.1.1 nobody`,
  `2026-11-22T16:01:04.000Z not sent: nospool.toml:1: key "x" is unknown`,
  `${T} ${A} Completed`,
  `${T} ${D} <= killed@example.org U=root P=local`,
  `${T} ${B} Failed: nobody has the message`,
  `${T} ${C} <= web1@example.org U=root P=local`,
  `${T} ${C} ** alice@example.org R=smarthosts T=smtp: no verdict`,
  `${T} ${C} Uncertain: the smart host may have the message`,
];

async function* each(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

test('lines of one message stand together, in the order in which messages ended', async () => {
  const entries: LogEntry[] = [];
  for await (const entry of readEntries(each(EXIM))) entries.push(entry);
  assert.deepEqual(
    entries.map(({ id, lines }) => [id, lines.length]),
    [
      ['', 1],
      [A, 3],
      [B, 3],
      [C, 3],
      [D, 1],
    ],
  );
});

test('entries without an end do not pile up', async () => {
  const ids = Array.from({ length: 10_002 }, (_, i) => `1xVA00-${String(i).padStart(11, '0')}-071U`);
  const entries: string[] = [];
  for await (const { id } of readEntries(each(ids.map((id) => `${T} ${id} <= a@b.example`)))) entries.push(id);
  assert.deepEqual(entries, ids);
});

/** A configuration whose log holds these lines. */
function logged(lines: readonly string[]): string {
  const { config, log } = configured('');
  writeFileSync(log, lines.map((line) => `${line}\n`).join(''));
  return config;
}

const idsIn = (text: string): string[] => [...new Set(text.match(/\w{6}-\w{11}-\w{4}/g))];

// words and options, ids that are shown, why
const SEARCHES: readonly (readonly [readonly string[], readonly string[], string])[] = [
  [[], [A, B, C, D], 'all of a short log'],
  [['ALICE@example.org'], [A, C], 'an address, in whatever case'],
  [[B], [B], 'an id'],
  [['alice', 'uncertain'], [C], 'all words must be there, in any of the lines'],
  [['--failed'], [B, C, D], 'what was not delivered, or may not have been'],
  [['--last', '2'], [C, D], 'the last two'],
  [['--last', '1', 'web1'], [C], 'the last one that matches'],
];
for (const [argv, ids, why] of SEARCHES)
  test(`nospool log ${argv.join(' ')}: ${why}`, async () => {
    const run = await nospool('log', '--config', logged(EXIM), ...argv);
    assert.equal(run.status, 0, run.stderr);
    assert.deepEqual(idsIn(run.stdout), ids);
  });

test('without a word the last ten entries are shown', async () => {
  const run = await nospool('log', '--config', logged(Array.from({ length: 30 }, (_, i) => `line ${i}`)));
  assert.deepEqual(
    run.stdout.trim().split('\n'),
    Array.from({ length: 10 }, (_, i) => `line ${i + 20}`),
  );
});

const JSON_LINES = [
  { time: 'x', id: A, outcome: 'accepted', to: ['alice@example.org'] },
  { time: 'x', id: B, outcome: 'failed', to: ['übel@example.org'] },
  { time: 'x', id: C, outcome: 'discarded', to: [] },
].map((record) => JSON.stringify(record));

test('a log in JSON is shown', async () => {
  const config = logged([...JSON_LINES, '{not json']);
  const found = await nospool('log', '--config', config, 'Übel');
  assert.equal(found.stdout, `${JSON_LINES[1]}\n`);
  const failed = await nospool('log', '--config', config, '--failed', '--json', 'id');
  assert.deepEqual(JSON.parse(failed.stdout), JSON.parse(JSON_LINES[1] as string));
});

test('--json works for the other form, and nothing that a terminal would obey is printed', async () => {
  const config = logged([`${T} ${A} <= a@b.example U=\x1b[31mred`, `${T} ${A} Completed`]);
  const json = await nospool('log', '--config', config, '--json');
  assert.deepEqual(Object.keys(JSON.parse(json.stdout)), ['id', 'lines']);
  const text = await nospool('log', '--config', config);
  assert.ok(text.stdout.includes('U=\\x1b[31mred'), text.stdout);
});

test('--file is read in place of the configured log', async () => {
  const file = path.join(scratch(), 'other');
  writeFileSync(file, `${EXIM.join('\n')}\n`);
  assert.deepEqual(idsIn((await nospool('log', '--file', file, A)).stdout), [A]);
});

// the key log, standard error
const NOWHERE: readonly (readonly [string, RegExp])[] = [
  [
    'syslog',
    /^nospool: (the log goes to syslog, and there is no journalctl: look there for "nospool"|the journal(, as far as this user may read it,)? has no such entry)\n$/,
  ],
  ['stderr', /^nospool: no log is kept: log = "stderr"\n$/],
  ['none', /^nospool: no log is kept: log = "none"\n$/],
  ['/nonexistent/log', /^nospool: cannot read \/nonexistent\/log: there is no such file or directory\n$/],
];
for (const [log, expected] of NOWHERE)
  test(`log = "${log}"`, async () => {
    const file = path.join(scratch(), 'nospool.toml');
    writeFileSync(file, `log = "${log}"\n`);
    const run = await nospool('log', '--config', file);
    assert.equal(run.status, 1);
    assert.match(run.stderr, expected);
  });

test('the exit status is 1 when nothing is found', async () => {
  const run = await nospool('log', '--config', logged(EXIM), 'carol', 'dave');
  assert.deepEqual([run.status, run.stdout], [1, '']);
  assert.match(run.stderr, /has no entry with carol and dave\n$/);
});

/** The text before lines of ours in other logs. */
const BEFORE: readonly (readonly [string, string])[] = [
  ['', 'nothing'],
  ['Nov 22 16:01:04 web1 nospool[77]: ', 'syslog and journalctl'],
  ['2026-11-22T16:01:04.123456+00:00 web1 nospool[77]: ', 'syslog of today'],
  ['<22>1 2026-11-22T16:01:04Z web1 nospool 77 - - ', 'RFC 5424'],
  ['Nov 22 16:01:04 web1 mail.info nospool: ', 'BusyBox'],
  ['Sun 2026-11-22 16:01:04 UTC web1 nospool[77]: ', 'journalctl -o short-full'],
  ['2026-11-22T16:01:04.000000000Z stderr F ', 'a container runtime'],
];
for (const [before, whose] of BEFORE)
  test(`O8: lines with an offset from UTC are found behind the text that ${whose} puts before them`, async () => {
    const lines = [
      'Nov 22 16:01:03 web1 cron[12]: (root) CMD (alice@example.org)',
      `${before}${T} +0100 ${A} <= web1@example.org U=root P=local S=315`,
      '2026-11-22T16:01:04.1+00:00 web1 postfix/smtpd[99]: connect from alice@example.org',
      `${before}${T} +0100 ${A} => alice@example.org R=smarthosts T=smtp`,
      `${before}${T} +0100 ${B} U=root P=local not sent: no smart host for alice@example.org`,
      `${before}${T} +0100 ${A} Completed`,
    ];
    const config = logged(lines);
    const run = await nospool('log', '--config', config, 'alice@example.org');
    assert.equal(run.stdout, `${lines[4]}\n${[lines[1], lines[3], lines[5]].join('\n')}\n\n`);
    assert.deepEqual(idsIn((await nospool('log', '--config', config, '--failed')).stdout), [B]);
    const json = logged(JSON_LINES.map((line) => before + line.replace('"x"', '"2026-11-22T16:01:04.000Z"')));
    const found = JSON.parse((await nospool('log', '--config', json, '--failed')).stdout);
    assert.equal(found.id, B);
  });

test('O8: the output of journalctl -o json is read', async () => {
  const config = logged(
    [`${T} +0000 ${A} <= ü@b.example`, `${T} +0000 ${A} Completed`].map((MESSAGE) =>
      JSON.stringify({ SYSLOG_IDENTIFIER: 'nospool', MESSAGE }),
    ),
  );
  assert.equal((await nospool('log', '--config', config)).stdout, `${T} +0000 ${A} <= ü@b.example\n${T} +0000 ${A} Completed\n\n`);
});

test('O8: a log that gzip compressed is read, in parts, too; for other programs an error names the command', async () => {
  const file = path.join(scratch(), 'log.1');
  const whole = Buffer.concat([gzipSync(`${EXIM.slice(0, 6).join('\n')}\n`), gzipSync(EXIM.slice(6).join('\n'))]);
  writeFileSync(file, whole);
  const run = await nospool('log', '--file', file, 'alice@example.org');
  assert.deepEqual(idsIn(run.stdout), [A, C]);
  writeFileSync(file, whole.subarray(0, 60));
  assert.match((await nospool('log', '--file', file)).stderr, /^nospool: cannot read .*: the compressed data ends too early\n$/);
  writeFileSync(file, Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0]));
  const without = await withPath('/nothing', () => nospool('log', '--file', file));
  assert.equal(without.stderr, `nospool: ${file} is compressed: zstdcat ${file} | nospool log -\n`);
});

/** Runs with this PATH, one at a time. */
async function withPath<T>(folders: string, work: () => Promise<T>): Promise<T> {
  const before = process.env.PATH;
  process.env.PATH = folders;
  try {
    return await work();
  } finally {
    process.env.PATH = before;
  }
}

/** A folder with a program of this name, as PATH. */
function pathWith(name: string, script: string): string {
  const folder = scratch();
  writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return folder;
}

test('other compressed logs are read through the program that can, and its failure is said', async () => {
  const file = path.join(scratch(), 'log.zst');
  writeFileSync(file, Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.from('???')]));
  const plain = path.join(scratch(), 'plain');
  writeFileSync(plain, `${EXIM.join('\n')}\n`);
  const run = await withPath(pathWith('zstdcat', `[ "$1" = ${file} ] && exec /bin/cat ${plain}`), () => nospool('log', '--file', file));
  assert.deepEqual(idsIn(run.stdout), [A, B, C, D]);
  const failed = await withPath(pathWith('zstdcat', 'exit 3'), () => nospool('log', '--file', file));
  assert.deepEqual([failed.status, failed.stderr], [1, `nospool: cannot read ${file}: zstdcat could not decompress it\n`]);
});

test('logs that logrotate has put aside are read, the oldest first', async () => {
  const { config, log } = configured('');
  const entry = (id: string): string => `${T} ${id} <= a@b.example\n${T} ${id} Completed\n`;
  const parts: readonly (readonly [string, string | Buffer])[] = [
    ['.2.gz', gzipSync(entry(A))],
    ['-20261127', entry(B)],
    ['.1', entry(C)],
    ['', entry(D)],
    ['.old', entry('1xVA09-000000006RZ-0YbA')],
    ['.1.toml', entry('1xVA08-000000006RZ-0YbA')],
  ];
  for (const [i, [suffix, content]] of parts.entries()) {
    writeFileSync(log + suffix, content);
    utimesSync(log + suffix, 1000 + i, 1000 + i);
  }
  assert.deepEqual(idsIn((await nospool('log', '--config', config, 'b.example')).stdout), [A, B, C, D]);
  assert.deepEqual(idsIn((await nospool('log', '--config', config, '--last', '2')).stdout), [C, D]);
  assert.deepEqual(idsIn((await nospool('log', '--config', config, '--last', '1', A)).stdout), [A]);
  assert.deepEqual(idsIn((await nospool('log', '--config', config, '--last', '3')).stdout), [B, C, D]);
  assert.deepEqual(idsIn((await nospool('log', '--file', log, 'b.example')).stdout), [D], 'a named file is one file');
});

test('a part of the log that cannot be read hides no other, and is a failure all the same', async () => {
  const { config, log } = configured('');
  const entry = (id: string): string => `${T} ${id} <= a@b.example\n${T} ${id} Completed\n`;
  const whole = gzipSync(Buffer.from(entry(A)));
  writeFileSync(`${log}.3.gz`, whole.subarray(0, whole.length - 9));
  mkdirSync(`${log}.2`);
  symlinkSync('/nonexistent', `${log}.4`);
  writeFileSync(`${log}.1`, entry(B));
  writeFileSync(log, entry(C));
  for (const [i, suffix] of ['.3.gz', '.2', '.1', ''].entries()) utimesSync(log + suffix, 1000 + i, 1000 + i);
  for (const words of [[], ['b.example']]) {
    const { status, stdout, stderr } = await nospool('log', '--config', config, ...words);
    assert.deepEqual(idsIn(stdout).slice(-2), [B, C]);
    assert.equal(status, 1);
    for (const why of ['.3.gz: the compressed data ends too early', '.2: it is a directory', '.4: there is no such file or directory'])
      assert.ok(stderr.includes(`cannot read ${log}${why}\n`), stderr);
  }
  const none = await nospool('log', '--config', config, 'nobody');
  assert.match(none.stderr, new RegExp(`nospool: ${log}\\.1, ${log} have no entry with nobody\n$`));
  assert.equal((await nospool('log', '--config', config, '--last', '1')).status, 0, 'what is not needed is not read');
});

test('a log that goes to syslog is read from the journal', async () => {
  const file = path.join(scratch(), 'nospool.toml');
  writeFileSync(file, 'log = "syslog"\n');
  const journal = path.join(scratch(), 'journal');
  writeFileSync(journal, `${EXIM.join('\n')}\n`);
  const PATH = pathWith('journalctl', `[ "$*" = '-q --no-pager -o cat -t nospool' ] && exec /bin/cat ${journal}`);
  assert.deepEqual(idsIn((await withPath(PATH, () => nospool('log', '--config', file, '--failed'))).stdout), [B, C, D]);
  const { geteuid } = process;
  // Only root sees all of it.
  for (const [euid, bound] of [
    [0, ''],
    [1000, ', as far as this user may read it,'],
  ] as const)
    try {
      process.geteuid = () => euid;
      const none = await withPath(pathWith('journalctl', 'exit 1'), () => nospool('log', '--config', file));
      assert.deepEqual([none.status, none.stderr], [1, `nospool: the journal${bound} has no such entry\n`]);
    } finally {
      Object.assign(process, { geteuid });
    }
});

const NOSPOOL = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));

// arguments, standard input
const INPUTS: readonly (readonly [readonly string[], string | Buffer])[] = [
  [['-'], `${EXIM.join('\n')}\n`],
  [['--file', '-'], `${EXIM.join('\n')}\n`],
  [['--file=-', '--last', '9'], gzipSync(EXIM.join('\n'))],
];
for (const [args, input] of INPUTS)
  test(`O8: nospool log ${args.join(' ')} reads standard input`, () => {
    const run = spawnSync(process.execPath, [NOSPOOL, 'log', ...args, '--failed'], { input, encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    assert.deepEqual(idsIn(run.stdout), [B, C, D]);
    const none = spawnSync(process.execPath, [NOSPOOL, 'log', ...args, 'carol'], { input: '', encoding: 'utf8' });
    assert.deepEqual([none.status, none.stderr], [1, 'nospool: standard input has no entry with carol\n']);
  });

test.run();
