/** Tries the option table in every form in which a word can be written, and every argument list that is known of callers. */
import assert from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import { printProblem } from '../../src/router/problem.ts';
import { parseInvocation } from '../../src/sendmail/arguments.ts';
import { CALLED_AS, FREQUENT, type Invocation, listOptions, type OptionRow } from '../../src/sendmail/options.ts';
import { printUsage } from '../../src/sendmail/usage.ts';
import { parsed, unparsed } from '../../src/smtp/parsed.ts';
import { printPath } from '../../src/smtp/path.ts';
import { mailbox } from '../support/mailbox.ts';

const OPTIONS = listOptions();
const test = suite('sendmail options');

const EMPTY: Invocation = {
  mode: { kind: 'send' },
  operands: [],
  reversePath: parsed(undefined),
  fullName: null,
  recipientsFromHead: false,
  dotEnds: true,
  verbosity: 0,
  config: null,
  tag: null,
  notify: null,
  ret: null,
  envid: null,
};

function parse(argv: readonly string[], name = 'sendmail'): Invocation {
  const got = parseInvocation(name, argv);
  if (got.mode.kind === 'misused') assert.fail(`${argv.join(' ')}: ${got.mode.detail}`);
  return got;
}

/** What differs from an invocation without any option; the reverse-path as it is printed, or what is wrong with it. */
type Changes = Partial<Omit<Invocation, 'reversePath'> & { readonly reversePath: string }>;

const printSender = ({ reversePath: path }: Invocation): string =>
  path.ok ? (path.value === undefined ? 'none' : printPath(path.value)) : path.detail;

/** Parses, and keeps what differs from an invocation without any option. */
function changes(argv: readonly string[], name = 'sendmail'): Changes {
  return changed(parse(argv, name));
}

function changed(got: Invocation): Changes {
  const kept = Object.entries(got).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(EMPTY[key as keyof Invocation]));
  return Object.fromEntries(kept.map(([key, value]) => [key, key === 'reversePath' ? printSender(got) : value]));
}

function refusal(argv: readonly string[]): string {
  const { mode } = parseInvocation('sendmail', argv);
  return mode.kind === 'misused' ? mode.detail : assert.fail(`${argv.join(' ')} was taken`);
}

const refused = (argv: readonly string[]): string => {
  const { mode } = parse(argv);
  return mode.kind === 'refused' ? mode.detail : assert.fail(`${argv.join(' ')} was not refused`);
};

/* ---- what options mean ---- */

// biome-ignore format: a table is read as a table
const MEANINGS: readonly (readonly [readonly string[], Changes, string])[] = [
  [[], {}, 'nothing'],
  [['a@b'], { operands: ['a@b'] }, 'an operand'],
  [['a@b', '-', 'c@d'], { operands: ['a@b', '-', 'c@d'] }, 'the first operand ends the options'],
  [['-i', '--', '-x@b', '--'], { dotEnds: false, operands: ['-x@b', '--'] }, 'what follows -- is an operand'],
  [['-', 'a@b'], { operands: ['-', 'a@b'] }, 'a hyphen alone is an operand'],
  [['-t'], { recipientsFromHead: true }, ''],
  [['-ti'], { recipientsFromHead: true, dotEnds: false }, 'BusyBox crond'],
  [['-it'], { recipientsFromHead: true, dotEnds: false }, 'Exim refuses this'],
  [['-tv'], { recipientsFromHead: true, verbosity: 1 }, ''],
  [['-t', '-i', '-oi', '-t'], { recipientsFromHead: true, dotEnds: false }, 'repeated'],
  [['-tif', 'a@b', 'c'], { recipientsFromHead: true, dotEnds: false, reversePath: '<a@b>', operands: ['c'] }, 'a value behind a cluster'],
  [['-tifa@b', 'c'], { recipientsFromHead: true, dotEnds: false, reversePath: '<a@b>', operands: ['c'] }, 'and attached to it'],
  [['-oi'], { dotEnds: false }, ''],
  [['-o', 'i'], { dotEnds: false }, 'the letters of -o as a word'],
  [['-oitrue'], { dotEnds: false }, 'Exim'],
  [['-ioi'], { dotEnds: false }, 'behind a cluster'],
  [['-f', 'a@b'], { reversePath: '<a@b>' }, ''],
  [['-fa@b'], { reversePath: '<a@b>' }, ''],
  [['-f', ''], { reversePath: '<>' }, 'an empty word is a value'],
  [['-f<>'], { reversePath: '<>' }, ''],
  [['-f', '-t'], { reversePath: '<-t>' }, 'the next word is the value, whatever it is'],
  [['-f', 'a', '-f', 'b'], { reversePath: '<b>' }, 'the last counts'],
  [['-ra@b'], { reversePath: '<a@b>' }, ''],
  [['-r', 'a@b'], { reversePath: '<a@b>' }, ''],
  [['-FCronDaemon'], { fullName: 'CronDaemon' }, ''],
  [['-F', 'Joe Q. Public'], { fullName: 'Joe Q. Public' }, ''],
  [['-v'], { verbosity: 1 }, ''],
  [['-ov'], { verbosity: 1 }, ''],
  [['-d'], { verbosity: 2 }, ''],
  [['-d0-99.1', '-v'], { verbosity: 2 }, 'never less than asked for'],
  [['-d+all'], { verbosity: 2 }, 'Exim'],
  [['-dropcr'], {}, 'Exim: no -d'],
  [['-C', '/x'], { config: '/x' }, ''],
  [['-C/x'], { config: '/x' }, ''],
  [['-N', 'never'], { notify: ['NEVER'] }, ''],
  [['-Nsuccess,failure'], { notify: ['SUCCESS', 'FAILURE'] }, ''],
  [['-N', 'Delay, FAILURE,delay'], { notify: ['DELAY', 'FAILURE'] }, 'any case, blanks, once each'],
  [['-R', 'hdrs'], { ret: 'HDRS' }, ''],
  [['-Rfull'], { ret: 'FULL' }, ''],
  [['-V', 'id-1'], { envid: 'id-1' }, ''],
  [['-Vid'], { envid: 'id' }, ''],
  [['-V', 'x'.repeat(101)], {}, 'too long for any server. RFC 3461 §4.4'],
  [['-V', 'grün'], {}, 'not ASCII'],
  [['-V'], { mode: { kind: 'version' } }, 'alone: what people try first'],
  [['-B', '8BITMIME'], {}, ''],
  [['-B8bitmime'], {}, 'Debian cron, in any case'],
  [['-B7BIT'], {}, ''],
  [['-Bother'], {}, 'Sendmail ignores what it does not know'],
  [['-X', '/tmp/log'], {}, 'the file is no recipient, and nothing is written to it'],
  [['-XV'], {}, 'Postfix: VERP'],
  [['-XV+='], {}, 'Postfix: VERP with its delimiters'],
  [['-L', 'tag'], { tag: 'tag' }, ''],
  [['-bm', 'a'], { operands: ['a'] }, ''],
  [['-b', 'm', 'a'], { operands: ['a'] }, 'the letters of -b as a word'],
  [['-bs'], { mode: { kind: 'smtp' } }, ''],
  [['-b', 's'], { mode: { kind: 'smtp' } }, ''],
  [['-bs', '-i'], { mode: { kind: 'smtp' }, dotEnds: false }, 'Laravel'],
  [['-bS'], { mode: { kind: 'batch' } }, ''],
  [['-bt', 'a'], { mode: { kind: 'route' }, operands: ['a'] }, ''],
  [['-bv', 'a'], { mode: { kind: 'verify' }, operands: ['a'] }, ''],
  [['-bvs', 'a'], { mode: { kind: 'verify' }, operands: ['a'] }, 'Exim'],
  [['-bp'], { mode: { kind: 'mailq' } }, ''],
  [['-bpru'], { mode: { kind: 'mailq' } }, 'Exim: an order'],
  [['-bi'], { mode: { kind: 'newaliases' } }, ''],
  [['-I'], { mode: { kind: 'newaliases' } }, ''],
  [['-bV'], { mode: { kind: 'facts' } }, ''],
  [['--version'], { mode: { kind: 'version' } }, ''],
  [['--help'], { mode: { kind: 'help' } }, ''],
  [['-q'], { mode: { kind: 'queue', run: '-q' } }, ''],
  [['-qf'], { mode: { kind: 'queue', run: '-qf' } }, ''],
  [['-qqff'], { mode: { kind: 'queue', run: '-qqff' } }, 'Exim'],
  [['-qi'], { mode: { kind: 'queue', run: '-qi' } }, 'Exim'],
  [['-qIabc'], { mode: { kind: 'queue', run: '-qIabc' } }, 'Postfix, Sendmail: one message'],
  [['-qRexample.org'], { mode: { kind: 'queue', run: '-qRexample.org' } }, ''],
  [['-qR3com.example'], { mode: { kind: 'queue', run: '-qR3com.example' } }, 'a digit in a name is no time'],
  [['-q!Sjoe'], { mode: { kind: 'queue', run: '-q!Sjoe' } }, 'Sendmail: not from'],
  [['-qSjoe', '-qRbar'], { mode: { kind: 'queue', run: '-qRbar' } }, ''],
  [['-qGgroup1'], { mode: { kind: 'queue', run: '-qGgroup1' } }, ''],
  [['-qL'], { mode: { kind: 'queue', run: '-qL' } }, 'Sendmail: lost messages'],
  [['-qQ'], { mode: { kind: 'queue', run: '-qQ' } }, 'Sendmail: quarantined messages'],
  [['-q', '1abcde-000001-AB', '1abcde-000002-AB'], { mode: { kind: 'queue', run: '-q' }, operands: ['1abcde-000001-AB', '1abcde-000002-AB'] }, 'Exim: from and to a message'],
  [['-qR', 'foo.com'], { mode: { kind: 'queue', run: '-qR' }, operands: ['foo.com'] }, 'Exim: to whom'],
  [['-qqSff', 'joe@foo.com'], { mode: { kind: 'queue', run: '-qqSff' }, operands: ['joe@foo.com'] }, 'Exim: from whom'],
  [['-Sff', 'joe'], { mode: { kind: 'queue', run: '-S ff' }, operands: ['joe'] }, 'Exim: from whom'],
  [['-S', 'joe'], { mode: { kind: 'queue', run: '-S joe' } }, 'Exim: from whom'],
  [['-Mrm', '1abcde-000001-AB'], { mode: { kind: 'queue', run: null }, operands: ['1abcde-000001-AB'] }, ''],
  [['-M', '1abcde-000001-AB'], { mode: { kind: 'queue', run: null } }, 'Exim: deliver it'],
  [['-M', '1xVA24-000000007Qp-0w0m'], { mode: { kind: 'queue', run: null } }, 'Exim 4.97 and later'],
  [['-M', 'fvalue', 'a@b'], { operands: ['a@b'] }, 'Sendmail: a macro; the message must not be lost'],
  [['-Mfvalue', 'a@b'], { operands: ['a@b'] }, ''],
  [['-or', '5m', 'a@b'], { operands: ['a@b'] }, 'Exim: the time is a word'],
  [['-or0s', 'a@b'], { operands: ['a@b'] }, 'Vixie cron'],
  [['-os', 'a@b'], { operands: ['a@b'] }, 'Sendmail: no value; the recipient must not be lost'],
  [['-os', '1h30m', 'a@b'], { operands: ['a@b'] }, 'Exim'],
  [['-oA', '/etc/aliases', '-bi'], { mode: { kind: 'newaliases' } }, ''],
  [['-oA/etc/aliases', 'a@b'], { operands: ['a@b'] }, ''],
  [['-oB', '10', 'a@b'], { operands: ['a@b'] }, ''],
  [['-oB', 'a@b'], { operands: ['a@b'] }, ''],
  [['-oX', '127.0.0.1.25', '-t'], { recipientsFromHead: true }, ''],
  [['-oP', '/run/exim.pid', 'a@b'], { operands: ['a@b'] }, ''],
  [['-oMa', '10.0.0.1', 'a@b'], { operands: ['a@b'] }, 'Exim: the value is a word'],
  [['-oMrUUCP', '-oMshost', 'a@b'], { operands: ['a@b'] }, 'rmail'],
  [['-oQ/var/spool', '-oL9', 'a@b'], { operands: ['a@b'] }, 'Sendmail: any letter'],
  [['-oDeliveryMode=b', '-O', 'ErrorMode=m', '-OQueueDirectory=/x', 'a'], { operands: ['a'] }, ''],
  [['-p', 'UUCP:host', '-pESMTP:host', '-pd', '-ps', 'a'], { operands: ['a'] }, ''],
  [['-h', '10', '-h10', 'a'], { operands: ['a'] }, ''],
  [['-E', '-Ereport', '-G', '-U', '-n', '-m', '-c', '-x', '-s', 'a'], { operands: ['a'] }, ''],
  [['-Ac', '-Am', '-A', 'c', 'a'], { operands: ['a'] }, ''],
  [['-e', 'm', '-em', '-ep', '-eq', '-ew', '-ee', 'a'], { operands: ['a'] }, ''],
  [['-Tqt', '-T5m', '-Q', '-Qreason', '-D', '/x', '-DFOO=bar', 'a'], { operands: ['a'] }, ''],
];

test('each option changes what it stands for', () => {
  for (const [argv, wanted, why] of MEANINGS) assert.deepEqual(changes(argv), wanted, `${argv.join(' ')} ${why}`);
});

test('options that ask for a daemon, or for what nobody can do here, are refused, and no later option makes them accepted', () => {
  for (const argv of [
    ['-bd'],
    ['-bdf'],
    ['-bD'],
    ['-bl'],
    ['-bw'],
    ['-q30m'],
    ['-q1h30m'],
    ['-qf15m'],
    ['-qqff5m'],
    ['-qp'],
    ['-qp5m'],
    ['-qGname/5m'],
    ['-bd', '-q15m'],
    ['-q15m', '-bd'],
    ['-bd', '-q'],
    ['-bd', '-bm', 'a'],
    ['-bs', '-bd'],
  ])
    assert.match(refused(argv), /^no daemon: /, argv.join(' '));
  for (const [argv, wanted] of [
    [['-be'], 'nothing is expanded'],
    [['-bP'], '-bP: '],
    [['-bh', '10.0.0.1'], '-bh: '],
    [['-bhc', '10.0.0.1'], '-bh: '],
    [['-bf', 'x'], '-bf: '],
    [['-bfd', 'x'], '-bf: '],
    [['-brw', 'a'], '-brw: '],
    [['-atrn', 'host'], '-atrn: '],
    [['-z', 'line'], '-z: '],
    [['-bC'], '-bC: '],
  ] as const)
    assert.ok(refused(argv).startsWith(wanted === 'nothing is expanded' ? '-be: ' : wanted), argv.join(' '));
});

test('M3: an option that runs or shows the queue, or checks aliases, is an error beside one that makes a delivery', () => {
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [readonly string[], string, string?])[] = [
    [['-S', 'smtp.example.org:587', '-f', 'a@x.example', 'z@z.example'], '-S smtp.example.org:587 runs the queue and sends nothing, but there are recipients; the smart host is set in the configuration (smarthosts)'],
    [['-S[::1]:587', '-t'], '-S [::1]:587 runs the queue and sends nothing, but -t takes recipients from a message; the smart host is set in the configuration (smarthosts)'],
    [['-S', 'joe', '-f', 'a@x'], '-S joe runs the queue and sends nothing, but -f names a sender'],
    [['-Sf', 'joe', 'a@x'], '-S f runs the queue and sends nothing, but there are recipients'],
    [['-q', '-t'], '-q runs the queue and sends nothing, but -t takes recipients from a message'],
    [['-tq'], '-q runs the queue and sends nothing, but -t takes recipients from a message'],
    [['-q', '-f', ''], '-q runs the queue and sends nothing, but -f names a sender'],
    [['-qf', 'a@x'], '-qf runs the queue and sends nothing, but there are recipients'],
    [['-qR', 'foo.com', 'a@x'], '-qR runs the queue and sends nothing, but there are recipients'],
    [['-qRfoo.com', 'a@x'], '-qRfoo.com runs the queue and sends nothing, but there are recipients'],
    [['-i', 'a@x'], 'runq runs the queue and sends nothing, but there are recipients', 'runq'],
    [['-t'], 'runq runs the queue and sends nothing, but -t takes recipients from a message', 'runq'],
    [['-bp', 'a@x'], '-bp (mailq) shows the queue and sends nothing, but there are recipients'],
    [['-t'], '-bp (mailq) shows the queue and sends nothing, but -t takes recipients from a message', 'mailq'],
    [['-bi', 'a@x'], '-bi (newaliases) checks the alias files and sends nothing, but there are recipients'],
    [['-I', '-t'], '-bi (newaliases) checks the alias files and sends nothing, but -t takes recipients from a message'],
    [['1abcde-000001-AB'], '-bi (newaliases) checks the alias files and sends nothing, but there are recipients', 'newaliases'],
  ];
  for (const [argv, detail, name = 'sendmail'] of rows)
    assert.deepEqual(parseInvocation(name, argv).mode, { kind: 'misused', detail }, argv.join(' '));
  // The options before the wrong one say where it is logged.
  const { config, tag } = parseInvocation('sendmail', ['-C', '/x', '-L', 'web', '-Z']);
  assert.deepEqual([config, tag], ['/x', 'web']);
  // Nothing is lost where the last of two modes sends, or the operands name messages.
  for (const [argv, name = 'sendmail'] of [
    [['-q', '-bm', 'a@x']],
    [['-bs', '-q', '-bs']],
    [['1abcde-000001-AB'], 'mailq'],
    [['-f', 'a@x'], 'mailq'],
    [['-f', 'a@x'], 'newaliases'],
    [['-M', '1abcde-000001-AB', '-f', 'a@x']],
    [['-Mrm', '1abcde-000001-AB', 'x']],
    [['--version', 'a@x']],
    [['-bd', '-q', 'a@x']],
  ] as const)
    assert.notEqual(parseInvocation(name, argv).mode.kind, 'misused', argv.join(' '));
});

test('M6: -ba is -bm', () => {
  assert.deepEqual(changes(['-ba', '-q', '-ba', 'a@x']), { operands: ['a@x'] });
});

test('an option that no program knows is an error that names it and where it stands', () => {
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [readonly string[], string])[] = [
    [['-Z'], 'unknown option -Z: see --help'],
    [['-tZi'], 'unknown option -Z in -tZi: see --help'],
    [['-t', '-iJ'], 'unknown option -J in -iJ: see --help'],
    [['--foo'], 'unknown option --foo: see --help'],
    [['--helpme'], 'unknown option --helpme: see --help'],
    [['-bz'], 'unknown option -bz: see --help'],
    [['-b', 'z'], 'unknown option -b: see --help'],
    [['-bsx'], 'unknown option -bsx: see --help'],
    [['-b'], '-b needs a value'],
    [['-o'], '-o needs a value'],
    [['-f'], '-f needs a value'],
    [['-ti', '-F'], '-F needs a value'],
    [['-N', 'sometimes'], '-N takes "never" or a list of success, failure, delay, not "sometimes"'],
    [['-N', 'never,delay'], '-N takes "never" or a list of success, failure, delay, not "never,delay"'],
    [['-N', ''], '-N takes "never" or a list of success, failure, delay, not ""'],
    [['-R', 'example.org'], '-R takes "full" or "hdrs", not "example.org"'],
    [['-V', '-V', '-V'], '-V needs a value'],
  ];
  for (const [argv, wanted] of rows) assert.equal(refusal(argv), wanted, argv.join(' '));
  const known = new Set(OPTIONS.map(({ option }) => option[1]));
  for (let code = 33; code < 127; code++) {
    const letter = String.fromCharCode(code);
    if (known.has(letter) || letter === 'b' || letter === '-') continue;
    assert.equal(refusal([`-${letter}`]), `unknown option -${letter}: see --help`);
  }
});

test('an option behind a recipient is an error, because no program obeys it and all would send mail to it', () => {
  const cure = 'options come before the recipients, and -- before an address that begins with a hyphen';
  for (const [argv, option, recipient] of [
    [['a@b', '-v'], '-v', 'a@b'],
    [['-i', 'a@b', 'c@d', '-f', 'e@f'], '-f', 'a@b'],
    [['-t', 'a@b', '-i'], '-i', 'a@b'],
    [['-bt', 'a@b', '-v'], '-v', 'a@b'],
    [['-bv', 'a@b', '-v'], '-v', 'a@b'],
    [['a@b', '-x@b'], '-x@b', 'a@b'],
    [['a@b', '--', '-x@b'], '--', 'a@b'],
    [['-', '-i'], '-i', '-'],
  ] as const)
    assert.equal(refusal(argv), `${option} stands behind the recipient ${recipient}: ${cure}`, argv.join(' '));
  assert.deepEqual(parse(['--', 'a@b', '-v', '--']).operands, ['a@b', '-v', '--'], '-- stood before');
  for (const argv of [
    ['-bd', 'a@b', '-v'],
    ['--help', 'a', '-v'],
    ['-bs', 'a', '-v'],
    ['-Mrm', 'a', '-v'],
  ])
    parse(argv);
});

/* ---- every row in every form ---- */

/** Values that rows can have. */
const VALUES: Readonly<Record<string, string>> = {
  '-N': 'delay',
  '-R': 'full',
  '-or': '5m',
  '-os': '5m',
  '-oA': '/a',
  '-oP': '/a',
  '-oB': '5',
  '-oX': '25',
};
const sampleOf = ({ option }: OptionRow): string => VALUES[option] ?? 'value';

/** The ways in which the words of a row can be written. */
function forms(row: OptionRow): string[][] {
  const { option, argument } = row;
  if (argument === 'none') return [[option]];
  const attachedForm = [`${option}${sampleOf(row)}`];
  return argument === 'value' ? [attachedForm, [option, sampleOf(row)]] : [attachedForm, [option]];
}

test('every row can be attached, separate, behind a cluster, repeated, and before --', () => {
  for (const row of OPTIONS)
    for (const words of forms(row)) {
      // In `-o i` the value is itself an option.
      if (row.option === '-o') continue;
      const text = words.length > 1 ? (words[1] as string) : (words[0] as string).slice(row.option.length);
      const change = row.apply(text, EMPTY);
      if (!change.ok) return assert.fail(`${row.option}: ${change.detail}`);
      const wanted = changed({ ...EMPTY, ...change.value });
      // An option that sends nothing takes neither recipients nor -t.
      if (parseInvocation('sendmail', [...words, 'a@b']).mode.kind === 'misused') {
        for (const more of [words, [...words, '--'], [...words, ...words]]) assert.deepEqual(changes(more), wanted, more.join(' '));
        assert.deepEqual(changes(['-i', ...words]), { ...wanted, dotEnds: false });
        assert.match(refusal(['-t', ...words]), / and sends nothing, but -t /);
        assert.match(refusal([...words, 'a@b']), / and sends nothing, but there are recipients/);
        continue;
      }
      const behind = (more: readonly string[], and: object = {}) =>
        assert.deepEqual(changes(more), { ...wanted, ...and, operands: ['a@b'] }, more.join(' '));
      behind([...words, 'a@b']);
      behind([...words, '--', 'a@b']);
      behind([...words, ...words, 'a@b']);
      behind(['-i', ...words, '-t', 'a@b'], { dotEnds: false, recipientsFromHead: true });
      if (row.option.length === 2) behind([`-i${(words[0] as string).slice(1)}`, ...words.slice(1), 'a@b'], { dotEnds: false });
      if (/^-[bo]./.test(row.option)) {
        const [first = '', ...rest] = words;
        // Its letters as a word of their own leave no room for a value in a third.
        if (rest.length === 0) behind([first.slice(0, 2), first.slice(2), 'a@b']);
      }
    }
});

test('every row says what it means, where it comes from, and once', () => {
  assert.equal(new Set(OPTIONS.map(({ option }) => option)).size, OPTIONS.length);
  for (const row of FREQUENT) assert.ok(OPTIONS.includes(row), row.option);
  for (const { option, argument, value, meaning, sources } of OPTIONS) {
    assert.match(option, /^-/);
    assert.equal(value === '', argument === 'none', option);
    assert.match(meaning, /^[A-Z].*\.$/, option);
    assert.ok(sources.length > 0, option);
  }
});

test('no argument list breaks the parser, and nothing behind the first operand is obeyed', () => {
  const word = fc.oneof(
    fc.constantFrom(...OPTIONS.map(({ option }) => option), '--', '-', '-o', '-b', '5m', '/x', 'a@b', ''),
    fc.string({ maxLength: 6 }).map((text) => `-${text}`),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), fc.array(word, { maxLength: 4 }), (options, operands) => {
      const got = parseInvocation('sendmail', [...options, 'joe@bar.com', ...operands]);
      if (got.mode.kind === 'misused') return assert.match(got.mode.detail, /^(-|unknown option )/);
      const at = got.operands.indexOf('joe@bar.com');
      // Otherwise a value took it.
      if (at >= 0 && got.operands.length - at === operands.length + 1) assert.deepEqual(got.operands.slice(at + 1), operands);
    }),
    { numRuns: 2000 },
  );
});

/* ---- the programs whose options these are ---- */

// biome-ignore format: a list is read as a list
const LSB = ['-bm', '-bp', '-bs', '-Fname', '-fa', '-i', '-oi', '-odb', '-odf', '-oem', '-em', '-oep', '-ep', '-oeq', '-eq', '-om', '-t'];
// biome-ignore format: a list is read as a list
const POSTFIX = ['-Am', '-Ac', '-B7BIT', '-C/x', '-Fname', '-fa', '-G', '-h1', '-I', '-i', '-L x', '-m', '-N never', '-n', '-oAx', '-o7', '-o8', '-oi', '-om', '-O x=y', '-q', '-qIx', '-qRx', '-qSx', '-Rhdrs', '-ra', '-t', '-U', '-Vx', '-XV', '-XVxy', '-v', '-X f', '-bd', '-bi', '-bl', '-bm', '-bp', '-bs', '-bv', '-bh', '-bH', '-c', '-e m', '-p x', '-x', '-oem'];
// biome-ignore format: a list is read as a list
const SENDMAIL = ['-Ac', '-Am', '-B 8BITMIME', '-ba', '-bC', '-bD', '-bd', '-bH', '-bh', '-bi', '-bm', '-bP', '-bp', '-bs', '-bt', '-bv', '-C /x', '-D /x', '-d0.1', '-d', '-Fname', '-fa', '-G', '-h 5', '-i', '-I', '-L tag', '-M xvalue', '-m', '-N delay', '-n', '-O Option=value', '-ox value', '-oQ/x', '-p proto:host', '-q', '-q15m', '-qp', '-qp5m', '-qf', '-qF', '-qGx', '-q!Ix', '-qIx', '-qLx', '-q!Rx', '-qRx', '-qSx', '-qQ', '-Q', '-Qreason', '-Rfull', '-r a', '-s', '-T', '-t', '-U', '-V id', '-v', '-X /x', '-x', '-e p'];
// biome-ignore format: a list is read as a list
const EXIM = ['--help', '--version', '-Ac', '-Am', '-B8BITMIME', '-B 7BIT', '-bd', '-bdf', '-be', '-bem', '-bF', '-bf x', '-bfd x', '-bfl x', '-bfp x', '-bfs x', '-bh 1.2.3.4', '-bhc 1.2.3.4', '-bi', '-bI:help', '-bI:sieve', '-bI:dscp', '-bm', '-bmalware', '-bnq', '-bP', '-bp', '-bpa', '-bpi', '-bpc', '-bpr', '-bpra', '-bpru', '-bpu', '-brt', '-brw', '-bS', '-bs', '-bt', '-bV', '-bv', '-bvs', '-bw', '-C /x', '-DX=y', '-d', '-d-all+acl', '-dd', '-dp', '-dropcr', '-E', '-Exxxx', '-em', '-ee', '-F name', '-f a', '-G', '-h 3', '-i', '-L tag', '-M id', '-Mar id a', '-Mc id', '-Meb id', '-Mes id a', '-Mf id', '-MG q id', '-Mg id', '-Mmad id', '-Mmd id a', '-Mrm id', '-Mset id', '-Mt id', '-Mvb id', '-Mvc id', '-Mvh id', '-Mvl id', '-m', '-n', '-O x', '-oA /x', '-oB 5', '-oB', '-odb', '-odf', '-odi', '-odq', '-odqs', '-oee', '-oem', '-oep', '-oeq', '-oew', '-oi', '-oitrue', '-oMa 1.2.3.4', '-oMaa x', '-oMai x', '-oMas x', '-oMi x', '-oMm x', '-oMr x', '-oMs x', '-oMt x', '-om', '-oo', '-oP /x', '-oPX', '-or 5m', '-or5m', '-os 5m', '-ov', '-oX 25', '-oY', '-pd', '-ps', '-psmtp:host', '-q', '-qq', '-qqf', '-qqff', '-qf', '-qff', '-qi', '-ql', '-qfl', '-qGname', '-q5m', '-qqff30m', '-r a', '-Tqt', '-t', '-ti', '-tls-on-connect', '-U', '-v', '-x', '-X /x', '-z x', '-atrn host'];
/** Exim means something else by these; each is a clear error. */
const ELSEWHERE = ['-N', '-R x'];

test('every option of the LSB, Postfix 3, Sendmail 8 and Exim 4 has a meaning or no effect, or is refused with a sentence', () => {
  for (const [from, list] of Object.entries({ LSB, POSTFIX, SENDMAIL, EXIM }))
    for (const option of list) {
      const { mode } = parse(option.split(' '));
      if (mode.kind === 'refused') assert.match(mode.detail, /^(no daemon: |-)/, `${from} ${option}`);
      else if (LSB.includes(option)) assert.ok(['send', 'smtp', 'mailq'].includes(mode.kind), option);
    }
  for (const option of ELSEWHERE) assert.match(refusal(option.split(' ')), /^-[NR] (needs a value|takes )/);
});

test('options that send a message for one of these programs do so here, with their recipient', () => {
  const never = /^(-b[^ms]|-q|-M(?!\s*xvalue)|-I|-z|-atrn|--|-S|-bmalware)/;
  for (const option of new Set([...LSB, ...POSTFIX, ...SENDMAIL, ...EXIM])) {
    if (never.test(option) || option === '-bs') continue;
    const got = parse([...option.split(' '), 'joe@bar.com']);
    assert.equal(got.mode.kind, 'send', option);
    assert.equal(got.operands.at(-1), 'joe@bar.com', option);
    assert.equal(got.operands.length, option === '-ox value' ? 2 : 1, option);
  }
});

// biome-ignore format: a table is read as a table
const CALLERS: readonly (readonly [string, readonly string[], Changes])[] = [
  ['Debian cron', ['-FCronDaemon', '-i', '-B8BITMIME', '-oem', 'root,ops@foo.com'], { fullName: 'CronDaemon', dotEnds: false, operands: ['root,ops@foo.com'] }],
  ['classic Vixie cron', ['-FCronDaemon', '-odi', '-oem', '-or0s', 'root'], { fullName: 'CronDaemon', operands: ['root'] }],
  ['cronie', ['-FCronDaemon', '-i', '-odi', '-oem', '-oi', '-t', '-f', 'joe'], { fullName: 'CronDaemon', dotEnds: false, recipientsFromHead: true, reversePath: '<joe>' }],
  ['bcron', ['-FCronDaemon', '-odi', '-oem', 'root'], { fullName: 'CronDaemon', operands: ['root'] }],
  ['BusyBox crond', ['-ti'], { recipientsFromHead: true, dotEnds: false }],
  ['systemd-cron', ['-i', '-B8BITMIME', 'root'], { dotEnds: false, operands: ['root'] }],
  ['anacron', ['-FAnacron', '-odi', 'root'], { fullName: 'Anacron', operands: ['root'] }],
  ['atd', ['-i', 'joe'], { dotEnds: false, operands: ['joe'] }],
  ['sudo, mdadm, logwatch, devscripts bts, Mail::Mailer', ['-t'], { recipientsFromHead: true }],
  ['smartd by bsd-mailx', ['-i', '-t'], { dotEnds: false, recipientsFromHead: true }],
  ['unattended-upgrades, apt-listchanges', ['-oi', '-t'], { dotEnds: false, recipientsFromHead: true }],
  ['popularity-contest', ['-oi', '-f', 'popcon@foo.com', 'survey@popcon.debian.org'], { dotEnds: false, reversePath: '<popcon@foo.com>', operands: ['survey@popcon.debian.org'] }],
  ['fail2ban', ['-f', 'fail2ban@foo.com', 'root@foo.com'], { reversePath: '<fail2ban@foo.com>', operands: ['root@foo.com'] }],
  ['reportbug', ['-f', 'joe@foo.com', '-oi', '-oem', 'a@b.com', 'c@d.com'], { reversePath: '<joe@foo.com>', dotEnds: false, operands: ['a@b.com', 'c@d.com'] }],
  ['Request Tracker 5', ['-oi', '-t', '-f', 'rt@foo.com'], { dotEnds: false, recipientsFromHead: true, reversePath: '<rt@foo.com>' }],
  ['Request Tracker, as its manual suggests', ['-ODeliveryMode=b', '-OErrorMode=m', '-oi', '-t'], { dotEnds: false, recipientsFromHead: true }],
  ['procmail', ['-oi', 'joe@bar.com'], { dotEnds: false, operands: ['joe@bar.com'] }],
  ['bsd-mailx -v', ['-i', '-t', '-f', 'joe', '-v'], { dotEnds: false, recipientsFromHead: true, reversePath: '<joe>', verbosity: 1 }],
  ['s-nail', ['-i', '-f', 'joe@foo.com', '--', 'a@b', 'c@d', 'e@f'], { dotEnds: false, reversePath: '<joe@foo.com>', operands: ['a@b', 'c@d', 'e@f'] }],
  ['GNU mailutils', ['-oi', '-f', 'joe@host', '-t'], { dotEnds: false, reversePath: '<joe@host>', recipientsFromHead: true }],
  ['mutt', ['-oem', '-oi', '-f', 'joe@foo.com', '-N', 'failure,delay', '-R', 'hdrs', '--', 'a@b', 'c@d'], { dotEnds: false, reversePath: '<joe@foo.com>', notify: ['FAILURE', 'DELAY'], ret: 'HDRS', operands: ['a@b', 'c@d'] }],
  ['git send-email', ['-i', 'a@b', 'c@d'], { dotEnds: false, operands: ['a@b', 'c@d'] }],
  ['git send-email with an envelope sender', ['-f', 'joe@foo.com', '-i', 'a@b'], { reversePath: '<joe@foo.com>', dotEnds: false, operands: ['a@b'] }],
  ['PHP mail()', ['-t', '-i', '-fjoe@foo.com'], { recipientsFromHead: true, dotEnds: false, reversePath: '<joe@foo.com>' }],
  ['PHPMailer isSendmail', ['-t', '-i', '-oi', '-fjoe@foo.com', '-t'], { recipientsFromHead: true, dotEnds: false, reversePath: '<joe@foo.com>' }],
  ['Symfony Mailer, Swiftmailer', ['-bs'], { mode: { kind: 'smtp' } }],
  ['Laravel', ['-bs', '-i'], { mode: { kind: 'smtp' }, dotEnds: false }],
  ['Symfony -t -i, PEAR Mail', ['-i', '-fjoe@foo.com', '--', 'a@b', 'c@d'], { dotEnds: false, reversePath: '<joe@foo.com>', operands: ['a@b', 'c@d'] }],
  ['Swiftmailer -t', ['-t', '-fjoe@foo.com'], { recipientsFromHead: true, reversePath: '<joe@foo.com>' }],
  ['Email::Sender', ['-i', '-f', 'joe@foo.com', '--', 'a@b', 'c@d'], { dotEnds: false, reversePath: '<joe@foo.com>', operands: ['a@b', 'c@d'] }],
  ['MIME::Lite', ['-t', '-oi', '-oem', '-fjoe@foo.com'], { recipientsFromHead: true, dotEnds: false, reversePath: '<joe@foo.com>' }],
  ['Ruby mail', ['-i', '-f', 'joe@foo.com', '--', 'a@b'], { dotEnds: false, reversePath: '<joe@foo.com>', operands: ['a@b'] }],
  ['nodemailer', ['-i', '-f', 'joe@foo.com', 'a@b', 'c@d'], { dotEnds: false, reversePath: '<joe@foo.com>', operands: ['a@b', 'c@d'] }],
  ['nodemailer with args', ['-i', '-t', 'a@b'], { dotEnds: false, recipientsFromHead: true, operands: ['a@b'] }],
  ['Emacs sendmail.el', ['-oi', '-oep', '-odi', '-t'], { dotEnds: false, recipientsFromHead: true }],
  ['Emacs message.el', ['-oi', '-f', 'joe@foo.com', '-t'], { dotEnds: false, reversePath: '<joe@foo.com>', recipientsFromHead: true }],
  ['UUCP rmail', ['-ee', '-odq', '-oi', '-oMrUUCP', '-oMshost', '-fhost!joe', 'a@b'], { dotEnds: false, reversePath: '<host!joe>', operands: ['a@b'] }],
];

test('the argument lists of callers, word for word, are understood', () => {
  for (const [caller, argv, wanted] of CALLERS) assert.deepEqual(changes(argv), wanted, caller);
});

/* ---- names, -f, help ---- */

test('the name by which it is called changes the mode', () => {
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [string, readonly string[], Changes])[] = [
    ['sendmail', [], {}],
    ['/usr/sbin/sendmail', [], {}],
    ['/opt/nospool/dist/sendmail.cjs', [], {}],
    ['send-mail', [], {}],
    ['/usr/bin/mailq', [], { mode: { kind: 'mailq' } }],
    ['/opt/bin/mailq.js', [], { mode: { kind: 'mailq' } }],
    ['mailq', ['-v'], { mode: { kind: 'mailq' }, verbosity: 1 }],
    ['mailq', ['-Ac'], { mode: { kind: 'mailq' } }],
    ['/usr/bin/newaliases', [], { mode: { kind: 'newaliases' } }],
    ['runq', [], { mode: { kind: 'queue', run: 'runq' } }],
    ['runq', ['-v'], { mode: { kind: 'queue', run: 'runq' }, verbosity: 1 }],
    ['rsmtp', [], { mode: { kind: 'batch' } }],
    ['rmail', ['a@b'], { dotEnds: false, operands: ['a@b'] }],
  ];
  for (const [name, argv, wanted] of rows) assert.deepEqual(changes(argv, name), wanted, name);
  assert.equal(parse([], '/usr/bin/mailq').mode.kind, 'mailq');
  assert.deepEqual(Object.keys(CALLED_AS), ['mailq', 'newaliases', 'runq', 'rsmtp', 'rmail']);
});

test('-f is a reverse-path', () => {
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [string | null, string])[] = [
    [null, 'none'], ['', '<>'], ['<>', '<>'], [' <> ', '<>'], ['joe', '<joe>'], ['joe@foo.com', '<joe@foo.com>'], ['<joe@foo.com>', '<joe@foo.com>'],
    ['"a b"@foo.com', '<"a b"@foo.com>'], ['joe@[192.0.2.1]', '<joe@[192.0.2.1]>'], ['host!joe', '<host!joe>'], ['jörg', '<jörg>'],
  ];
  for (const [text, wanted] of rows) {
    assert.equal(printSender(parse(text === null ? [] : ['-f', text])), wanted, String(text));
  }
  for (const text of ['joe@', 'a@b@c', 'joe@foo.com\nRCPT TO:<x>', 'a b@foo.com', 'joe@foo..com', 'Joe <>', 'Joe <a@foo.com\n>', '<a\n b>'])
    assert.ok(!parse(['-f', text]).reversePath.ok, text);
});

test('M4: the address in -f counts, whatever stands around it', () => {
  // biome-ignore format: a table is read as a table
  const rows: readonly (readonly [string, string])[] = [
    ['Foo Bar <foo@b.example>', '<foo@b.example>'], ['a@b.example (Foo)', '<a@b.example>'], ['"Bar, Foo" <a@b>', '<a@b>'], ['Foo <root>', '<root>'],
    ['root (Cron Daemon)', '<root>'], ['Müller <müller@b>', '<müller@b>'], ['=?utf-8?Q?a?= <a@b>', '<a@b>'], ['a@b (x) ', '<a@b>'], ['<@r.example:a@b>', '<a@b>'],
    ['Foo <"a b"@c>', '<"a b"@c>'], ['a@b,', '<a@b>'], ['\u00a0a@b', '<a@b>'], ['Foo <a@b> (Bar)', '<a@b>'], ['(Foo) a@b', '<a@b>'],
  ];
  for (const [text, wanted] of rows) assert.equal(printSender(parse(['-f', text])), wanted, text);
  for (const [text, detail] of [
    ['a@b.example, c@d.example', '-f "a@b.example, c@d.example": a message has one sender'],
    ['Foo <a@b>, c', '-f "Foo <a@b>, c": a message has one sender'],
    ['Team: a@b;', '-f "Team: a@b;": a group is no sender'],
    ['undisclosed:;', '-f "undisclosed:;": a group is no sender'],
    ['(nobody)', '-f "(nobody)": it holds no address'],
    ['Foo Bar', '-f "Foo Bar": "Foo Bar" is not an address: its words are separate; write a name as Name <address>'],
    ['Foo <a@b', '-f "Foo <a@b": the "<" in "<a@b" is not closed by ">"'],
  ] as const)
    assert.deepEqual(parse(['-f', text]).reversePath, unparsed(detail), text);
});

test('--help fits, and names the options that act, whatever their sentences say', () => {
  const usage = printUsage();
  const named = usage.flatMap((line) => /^ {2}(-\S+) /.exec(line)?.[1] ?? []);
  assert.deepEqual(
    named,
    OPTIONS.filter(({ effect }) => effect === 'acts').map(({ option }) => option),
  );
  for (const line of usage) assert.ok(line.length <= 110, line);
  const [row] = OPTIONS as readonly [OptionRow, ...OptionRow[]];
  const other: readonly OptionRow[] = [
    { ...row, option: '-1', meaning: 'As it says, with no effect on others.', effect: 'acts' },
    { ...row, option: '-2', meaning: 'Print the text.', effect: 'none' },
  ];
  assert.deepEqual(
    printUsage(other).filter((line) => /^ {2}-/.test(line)),
    ['  -1            As it says, with no effect on others.'],
  );
});

test('what an option does here is what its sentence says, and what its row changes', () => {
  // biome-ignore format: a table is read as a table
  const sentences: Readonly<Record<OptionRow['effect'], RegExp>> = {
    acts: /^(?!As |Refused|Accepted|An operation)/, 'as another': /^As -/, none: /no effect/, refused: /^Refused: /,
    'of a queue': /^(An operation on queued messages|A queue run)/,
  };
  for (const row of OPTIONS) {
    assert.match(row.meaning, sentences[row.effect], row.option);
    const changed = row.apply(sampleOf(row), EMPTY);
    if (!changed.ok) assert.fail(`${row.option}: ${changed.detail}`);
    if (row.effect === 'none') assert.deepEqual(changed.value, {}, row.option);
    const kinds: Readonly<Partial<Record<OptionRow['effect'], string>>> = { refused: 'refused', 'of a queue': 'queue' };
    const kind = kinds[row.effect];
    if (kind !== undefined) assert.equal(changed.value.mode?.kind, kind, row.option);
  }
});

/* ---- the manual ---- */

const MANUAL = readFileSync(new URL('../../man/sendmail.nospool.8', import.meta.url), 'utf8');

/** Prints what a line of roff shows. */
const shown = (line: string): string =>
  line
    .replaceAll(/\\\((lq|rq|cq|aq|dq)/g, (_, name: string) => ({ lq: '“', rq: '”', cq: '’', aq: "'", dq: '"' })[name] as string)
    .replaceAll('\\&', '')
    .replace(/\\(.)/g, '$1');

const section = (name: string): string => new RegExp(`^\\.Sh ${name}\\n([\\s\\S]*?)^\\.Sh `, 'm').exec(MANUAL)?.[1] ?? assert.fail(name);

/** Finds the text of each subsection by its name. */
const subsections = (text: string): Map<string, string> =>
  new Map(
    text
      .split(/^\.Ss /m)
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
  );

const SECTIONS: Readonly<Record<OptionRow['effect'], string>> = {
  acts: 'Options that act',
  'as another': 'Options that act',
  none: 'Options without effect',
  'of a queue': 'Options of a queue',
  refused: 'Options that are refused',
};

test('the manual has every option, with its value, among those that do the same, and no other', () => {
  const found = subsections(section('OPTIONS'));
  const wanted = new Map([...found.keys()].map((name) => [name, [] as string[]]));
  for (const row of OPTIONS) {
    const argument = { none: '', attached: ` Ns Op Ar ${row.value}`, value: ` Ar ${row.value}` }[row.argument];
    wanted.get(SECTIONS[row.effect])?.push(`Fl ${row.option.slice(1)}${argument}`);
  }
  wanted.set(
    'Names',
    Object.keys(CALLED_AS).map((name) => `Nm ${name}`),
  );
  for (const [name, text] of found) {
    const items = [...text.matchAll(/^\.It (.*)$/gm)].map(([, item]) => shown(item as string));
    assert.deepEqual(items.sort(), (wanted.get(name) as string[]).sort(), name);
  }
});

test('the manual says of every option what the table says', () => {
  const text = section('OPTIONS').split('\n').map(shown).join('\n');
  for (const row of OPTIONS) {
    const [item = '', ...rest] = text.slice(text.search(new RegExp(`^\\.It Fl ${row.option.slice(1)}( |$)`, 'm'))).split('\n');
    const said = rest.slice(0, 3).join(' ');
    const meaning = row.meaning.replace(/^(Accepted, no effect|Refused|An operation on queued messages: there are none)[:;.] ?/, '');
    assert.ok(said.toLowerCase().includes(meaning.toLowerCase()), `${item}: ${said}`);
    if (SECTIONS[row.effect] !== 'Options that act') assert.ok(said.includes(row.sources.join(', ')), item);
  }
});

test('the manual explains errors by words that there are', () => {
  const folder = new URL('../../src/', import.meta.url);
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(new URL(file, folder), 'utf8'));
  const address = mailbox('a@b.com');
  const problems = (['failed', 'deferred', 'local delivery'] as const).map((kind) =>
    printProblem({ kind, address, chain: [], router: 'r', detail: 'why' }),
  );
  const words = [...sources, ...problems].join('\n');
  const items = [...section('DIAGNOSTICS').matchAll(/^\.It Sy (.*)$/gm)].map(([, item]) => shown(item as string));
  assert.ok(items.length > 40);
  for (const item of items)
    for (const piece of item.split('...')) assert.ok(piece.trim().length < 3 || words.includes(piece.trim()), `${item}: "${piece}"`);
});

test.run();
