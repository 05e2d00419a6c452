import assert from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { readConfig } from '../../src/config/read.ts';
import { init } from '../../src/nospool/init/init.ts';
import type { InitOptions, InitSurroundings } from '../../src/nospool/init/questions.ts';
import { captured, nospool, type Run } from '../support/admin.ts';
import { scratch } from '../support/command.ts';
import { testWith } from '../support/where.ts';
import { within } from '../support/within.ts';

const test = suite('init');
const onTerminal = testWith(test, 'python3 and bash', existsSync('/usr/bin/python3') && existsSync('/bin/bash'));

const NOSPOOL = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));
const TYPIST = fileURLToPath(new URL('../interop/support/typist.py', import.meta.url));

const NOTHING: InitOptions = {
  smarthost: null,
  user: null,
  passwordFile: null,
  group: null,
  domain: null,
  from: null,
  root: null,
  output: null,
  force: false,
};

interface Told extends Run {
  readonly folder: string;
  readonly file: string;
  /** The questions. */
  readonly questions: readonly string[];
}

/** Runs the command as an ordinary user with an empty home; `answers` null = no terminal. */
async function tried(
  options: Partial<InitOptions>,
  answers: readonly (string | null)[] | null,
  world: Partial<InitSurroundings> = {},
): Promise<Told> {
  const folder = scratch();
  const questions: string[] = [];
  const left = [...(answers ?? [])];
  const ask = async (question: string): Promise<string | null> => {
    questions.push(question);
    return left.shift() ?? null;
  };
  const run = await captured(() =>
    init(
      { ...NOTHING, ...options },
      {
        who: { euid: 1000, home: folder, hostname: async () => 'web1.example.org' },
        environment: {},
        questioner: answers === null ? null : { ask, askSecret: ask, close: () => {} },
        aliasFile: '/nonexistent/aliases',
        gidOf: (group) => (group === 'senders' ? (process.getegid?.() ?? 0) : null),
        ...world,
      },
    ),
  );
  return { ...run, folder, file: path.join(folder, '.config/nospool/config.toml'), questions };
}

test('a file that the locked one of the system keeps out is told as such, and no check of it is advised', async () => {
  const systemFile = path.join(scratch(), 'nospool.toml');
  writeFileSync(systemFile, 'smarthosts = ["a.example"]\nlock = true\n');
  const who = { euid: process.geteuid?.() ?? 0, home: scratch(), hostname: async () => 'web1.example.org' };
  const output = path.join(scratch(), 'own.toml');
  const [own, named] = [
    await tried({ smarthost: 'b.example', domain: 'example.org', output }, null, { systemFile, who }),
    await tried({ smarthost: 'b.example', domain: 'example.org', output: `${output}.new` }, null, { who }),
  ];
  assert.match(own.stdout, new RegExp(`\\n${output} is not used, because ${systemFile} is locked\\.\\n$`));
  assert.match(named.stdout, /\nTry it: nospool check -C /);
});

test('O6: questions on a terminal, in the order of README.md, make an accepted configuration of ten lines and a password file', async () => {
  const run = await tried({}, ['mail.example.org', 'web1', 'correct horse', '', 'ops@example.org']);
  assert.equal(run.status, 0, run.stderr);
  const text = readFileSync(run.file, 'utf8');
  assert.ok(text.split('\n').length <= 16, text);
  const password = path.join(path.dirname(run.file), 'password');
  assert.equal(readFileSync(password, 'utf8'), 'correct horse\n');
  for (const file of [run.file, password]) assert.equal(statSync(file).mode & 0o777, 0o600, file);
  assert.ok(!text.includes('correct horse') && !run.stdout.includes('correct horse'));
  assert.equal(run.questions.length, 5);
  for (const [i, asked] of [
    /^Smart host/,
    /^User/,
    /^Password of web1 \(not shown; goes to /,
    /^Domain.*\[example\.org\]: $/,
    /root's mail/,
  ].entries())
    assert.match(run.questions[i] as string, asked);
  const answer = await readConfig({ path: run.file, env: {}, home: run.folder, euid: 1000 });
  assert.ok(answer.ok, JSON.stringify(answer));
  const { smarthosts, qualifyDomain } = answer.config;
  assert.deepEqual([smarthosts[0]?.host, smarthosts[0]?.auth?.user, qualifyDomain], ['mail.example.org', 'web1', 'example.org']);
  assert.ok(run.stdout.startsWith(text) && run.stdout.endsWith('Try it: nospool check\n'), run.stdout);
});

test('O6: a wrong answer is asked for again; without a user no password is asked for', async () => {
  const run = await tried({}, [
    'mail example',
    'mail.example.org:465',
    '',
    'not a domain',
    'foo',
    'example.com',
    'ops@',
    '/var/mail/root',
    'ops@example.com',
  ]);
  assert.equal(run.status, 0, run.stderr);
  assert.equal(run.questions.length, 9);
  assert.match(run.stdout, /"foo" is not a domain such as example\.org: it has no dot/);
  assert.match(run.stdout, /nothing is delivered to files and programs/);
  assert.ok(readFileSync(run.file, 'utf8').includes('qualify_domain = "example.com"'));
  assert.ok(!existsSync(path.join(path.dirname(run.file), 'password')));
});

test('where the name of the host gives no domain, init insists on one, or says what is lacking', async () => {
  const who = { euid: 1000, home: scratch(), hostname: async () => 'vm' };
  const lack = 'this host\'s name "vm" gives no domain, and without one the mail of root and other users fails';
  const asked = await tried({}, ['mail.example.org', '', '', 'example.org', ''], { who });
  assert.equal(asked.status, 0, asked.stderr);
  assert.ok(asked.stdout.includes(`\n  ${lack}: name one such as example.org\n`) || asked.stdout.startsWith(`  ${lack}`), asked.stdout);
  assert.ok(asked.stdout.includes('qualify_domain = "example.org"'));
  const output = path.join(scratch(), 'nospool.toml');
  const flags = { smarthost: 'a.example', output, force: true };
  const told = await tried(flags, null, { who });
  assert.ok(told.stdout.includes(`\nSet qualify_domain: ${lack}: name one such as example.org.\n`), told.stdout);
  for (const more of [{ domain: 'example.org' }, { from: '{login}@example.org' }]) {
    const run = await tried({ ...flags, ...more }, null, { who });
    assert.ok(run.status === 0 && !run.stdout.includes(lack), run.stdout);
  }
});

test('no question is asked for a flag, nor without a terminal', async () => {
  const run = await tried({ smarthost: 'mail.example.org', user: 'me', domain: 'example.org' }, null);
  assert.equal(run.status, 0, run.stderr);
  assert.deepEqual(run.questions, []);
  assert.match(run.stdout, /Write the password of me to .*\/password, and then: chmod 600 .*\/password$/m);
  const some = await tried({ smarthost: 'mail.example.org', user: '' }, ['example.org', '']);
  assert.deepEqual([some.status, some.questions.length], [0, 2]);
});

// options, answers, standard error, why
const FAILURES: readonly (readonly [Partial<InitOptions>, readonly (string | null)[] | null, RegExp, string])[] = [
  [{}, null, /^nospool: name the smart host: nospool init --smarthost mail\.example\.org\n$/, 'nobody to ask'],
  [{ smarthost: 'mail example' }, null, /^nospool: .*mail example/, 'a smart host that is none'],
  [{ smarthost: 'a.example', domain: 'a b' }, null, /^nospool: "a b" is not a domain such as example\.org\n$/, 'a domain that is none'],
  [
    { smarthost: 'a.example', root: 'a b' },
    null,
    /^nospool: "a b" is not an address such as ops@example\.org\n$/,
    'an address that is none',
  ],
  [{ smarthost: 'a.example', from: 'a b' }, null, /^nospool: "a b" is not an address/, 'a sender that is none'],
  [{}, ['a.example', null], /^nospool: nothing was written\n$/, 'answers that end'],
  [{}, ['a.example', 'me', null], /^nospool: nothing was written\n$/, 'no password after all'],
  [{ smarthost: 'a.example', domain: 'foo' }, null, /^nospool: "foo" is not a domain such as example\.org: it has no dot\n$/, 'O6: a word'],
  [
    { smarthost: 'a.example', root: '/var/mail/root' },
    null,
    /^nospool: "\/var\/mail\/root" is not an address .*files and programs\n$/,
    'O6: a file',
  ],
  [{ smarthost: 'a.example', root: '"|cat"' }, null, /^nospool: .* is not an address .*files and programs\n$/, 'O6: a program'],
  [{ smarthost: 'a.example', user: 'a\tb' }, null, /^nospool: a user has no control characters\n$/, 'O6: a user that is none'],
  [
    { smarthost: 'a.example', group: 'nope' },
    null,
    /^nospool: there is no group "nope": groupadd --system nope makes it\n$/,
    'O4: no group',
  ],
];
for (const [options, answers, expected, why] of FAILURES)
  test(`writes nothing: ${why}`, async () => {
    const run = await tried(options, answers);
    assert.equal(run.status, 1);
    assert.match(run.stderr, expected);
    assert.ok(!existsSync(run.file));
  });

test('O6: no file is replaced without --force; the last words name an old password', async () => {
  const folder = scratch();
  const output = path.join(folder, 'nospool.toml');
  writeFileSync(output, 'mine');
  writeFileSync(path.join(folder, 'nospool.password'), 'old');
  const kept = await tried({ smarthost: 'a.example', output }, null);
  assert.deepEqual([kept.status, kept.stderr], [1, `nospool: ${output} exists: --force replaces it, --output writes another file\n`]);
  assert.equal(readFileSync(output, 'utf8'), 'mine');
  const password = path.join(folder, 'nospool.password');
  const flags = { smarthost: 'a.example', user: 'me', domain: '', root: '', output, force: true };
  for (const answers of [null, ['']]) {
    const run = await tried(flags, answers);
    assert.equal(run.status, 0, run.stderr);
    assert.notEqual(readFileSync(output, 'utf8'), 'mine');
    assert.equal(readFileSync(password, 'utf8'), 'old');
    assert.ok(run.stdout.includes(`\n${password} keeps the password that it had: is it that of me?\n`), run.stdout);
    assert.ok(run.stdout.endsWith(`\nTry it: nospool check -C ${output}\n`), run.stdout);
    for (const question of run.questions)
      assert.match(question, /^Password of me \(not shown; empty: .*password keeps the one that it has\): $/);
  }
  const unused = await tried({ ...flags, user: '' }, null);
  assert.match(unused.stdout, /password still holds a password; nothing uses it now/);
  const changed = await tried(flags, ['new']);
  assert.equal(readFileSync(password, 'utf8'), 'new\n');
  assert.ok(!changed.stdout.includes('keeps'), changed.stdout);
});

test('two configurations of one folder have passwords of their own', async () => {
  const folder = scratch();
  for (const [name, secret, file] of [
    ['one.toml', 'secret of one', 'one.password'],
    ['two.toml', 'secret of two', 'two.password'],
    ['three', 'secret of three', 'three.password'],
  ] as const) {
    const output = path.join(folder, name);
    const run = await tried({ smarthost: 'a.example', user: 'me', domain: '', root: '', output }, [secret]);
    assert.equal(run.status, 0, run.stderr);
    assert.ok(readFileSync(output, 'utf8').includes(`password_file = "${folder}/${file}"`));
    assert.equal(readFileSync(path.join(folder, file), 'utf8'), `${secret}\n`);
  }
  assert.equal(readFileSync(path.join(folder, 'one.password'), 'utf8'), 'secret of one\n');
});

test('O4: a group that may send is asked for with the system file, and explained where none is given', async () => {
  const folder = scratch();
  const output = path.join(folder, 'nospool.toml');
  const flags = { smarthost: 'a.example', user: 'me', domain: 'example.org', root: '', output };
  const shut = await tried({ ...flags, group: 'senders' }, ['secret']);
  assert.ok(
    shut.stdout.includes(
      `\nMembers of group senders cannot send yet, because they may not enter ${folder}: move the password, to /etc/nospool for instance.\n`,
    ),
    shut.stdout,
  );
  chmodSync(folder, 0o710);
  const run = await tried({ ...flags, group: 'senders', force: true }, ['secret']);
  assert.equal(run.status, 0, run.stderr);
  assert.equal(statSync(path.join(folder, 'nospool.password')).mode & 0o777, 0o640);
  assert.match(run.stdout, /^Members of group senders can send, too: usermod -aG senders USER adds one\.$/m);
});

onTerminal('O6: a password typed ahead is not shown, and answers its question', () =>
  within(30_000, async () => {
    const folder = scratch();
    const output = path.join(folder, 'nospool.toml');
    const argv = [process.execPath, NOSPOOL, 'init', '--output', output];
    const steps = [
      ['Smart host', 'mail.example.org\rweb1\rcorrect horse\r'],
      ['Domain', 'example.com\r'],
      ["root's mail", '\r'],
    ];
    const child = spawn('/usr/bin/python3', ['-B', TYPIST, JSON.stringify({ argv, steps, seconds: 20 })], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let shown = '';
    child.stdout.on('data', (octets: Buffer) => {
      shown += octets.toString();
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(status, 0, shown);
    assert.equal(readFileSync(path.join(folder, 'nospool.password'), 'utf8'), 'correct horse\n');
    assert.ok(readFileSync(output, 'utf8').includes('qualify_domain = "example.com"'));
    assert.ok(!shown.includes('horse'), shown);
  }),
);

onTerminal('Ctrl-C at a question begins a new line', () =>
  within(30_000, async () => {
    const argv = [process.execPath, NOSPOOL, 'init', '--output', path.join(scratch(), 'nospool.toml')];
    const { stdout } = spawnSync(
      '/usr/bin/python3',
      ['-B', TYPIST, JSON.stringify({ argv, steps: [['Smart host', '\x03']], seconds: 20 })],
      {
        encoding: 'utf8',
      },
    );
    assert.match(stdout, /TLS\): \S*\r\nnospool: nothing was written\r\n$/);
  }),
);

onTerminal('a signal that ends it leaves the terminal as it was', () =>
  within(60_000, async () => {
    for (const name of ['TERM', 'QUIT', 'HUP', 'ALRM']) {
      const pid = path.join(scratch(), 'pid');
      const script = `before=$(stty -g)
        (until stty -a </dev/tty | grep -q -- -icanon; do sleep 0.1; done; kill -${name} $(cat ${pid})) &
        (echo $BASHPID >${pid}; exec ${process.execPath} ${NOSPOOL} init --output ${pid}.toml)
        echo "status $?"
        [ "$(stty -g)" = "$before" ] && echo as it was`;
      const { stdout } = spawnSync(
        '/usr/bin/python3',
        ['-B', TYPIST, JSON.stringify({ argv: ['/bin/bash', '-c', script], steps: [], seconds: 20 })],
        { encoding: 'utf8' },
      );
      assert.match(stdout, new RegExp(`status ${128 + constants.signals[`SIG${name}` as NodeJS.Signals]}\\r\\nas it was\\r\\n$`), name);
    }
  }),
);

onTerminal('Ctrl-Z and fg: the question comes again, with what was typed, and a password is not shown', () =>
  within(40_000, async () => {
    const folder = scratch();
    const output = path.join(folder, 'nospool.toml');
    const steps = [
      ['ready> ', `${process.execPath} ${NOSPOOL} init --output ${output}\r`],
      ['Smart host', 'mail.exa\x1a'],
      ['Stopped[^>]*ready> ', 'fg\r'],
      ['Smart host', 'mple.org\rweb1\r'],
      ['Password', 'correct \x1a'],
      ['Stopped[^>]*ready> ', 'fg\r'],
      ['Password', 'horse\r'],
      ['Domain', 'example.com\r'],
      ["root's mail", '\r'],
      ['Try it', 'exit\r'],
    ];
    const { stdout } = spawnSync(
      '/usr/bin/python3',
      ['-B', TYPIST, JSON.stringify({ argv: ['/bin/bash', '--norc', '-i'], steps, seconds: 30 })],
      { env: { ...process.env, PS1: 'ready> ', TERM: 'xterm', HISTFILE: '' }, encoding: 'utf8' },
    );
    assert.equal(existsSync(output) && readFileSync(path.join(folder, 'nospool.password'), 'utf8'), 'correct horse\n', stdout);
    assert.match(readFileSync(output, 'utf8'), /^smarthosts = \["mail\.example\.org"\]$/m);
    assert.doesNotMatch(stdout, /correct|horse/);
  }),
);

test('an error names the place that cannot be written, and --output needs no home', async () => {
  const folder = scratch();
  writeFileSync(path.join(folder, 'file'), '');
  const run = await tried({ smarthost: 'a.example', output: path.join(folder, 'file/nospool.toml') }, null);
  assert.equal(run.status, 1);
  assert.match(run.stderr, /^nospool: cannot write .*: .+\n$/);
  const who = { euid: 1000, home: null, hostname: async () => 'host' };
  const homeless = await tried({ smarthost: 'a.example' }, null, { who });
  assert.match(homeless.stderr, /no home directory.*--output/);
  const placed = await tried({ smarthost: 'a.example', output: path.join(folder, 'own.toml') }, null, { who });
  assert.equal(placed.status, 0, placed.stderr);
});

test('an existing alias file stays in use beside the alias of root', async () => {
  const aliasFile = path.join(scratch(), 'aliases');
  writeFileSync(aliasFile, 'postmaster: root\n');
  const run = await tried({ smarthost: 'a.example', domain: 'example.org', root: 'ops@example.org' }, null, { aliasFile });
  assert.equal(run.status, 0, run.stderr);
  assert.ok(readFileSync(run.file, 'utf8').includes(`file = "${aliasFile}"`));
});

test('the command reads its options', async () => {
  const output = path.join(scratch(), 'nospool.toml');
  const run = await nospool(
    'init',
    '--smarthost',
    'mail.example.org',
    '--domain',
    'example.org',
    '--from',
    '{login}@example.org',
    '--output',
    output,
  );
  assert.equal(run.status, 0, run.stderr);
  assert.ok(readFileSync(output, 'utf8').includes('from = "{login}@example.org"'));
});

test('import: notes on standard error, the configuration on standard output or in a file that only its owner reads', async () => {
  const folder = scratch();
  const rc = path.join(folder, 'msmtprc');
  writeFileSync(rc, 'account default\nhost mail.example.org\nport 587\ntls on\nfrom web1@example.org\nauth off\n');
  const shown = await nospool('import', rc);
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /^smarthosts = \["submission:\/\/mail\.example\.org"\]$/m);
  assert.match(shown.stderr, new RegExp(`^${rc}:2: host: mapped: `, 'm'));
  writeFileSync(rc, 'account default\nhost mail.example.org\nport 587\ntls on\nauth on\nuser me\npassword secret\nfrom a@example.org\n');
  const secret = await nospool('import', rc);
  assert.deepEqual([secret.status, secret.stdout], [1, '']);
  assert.match(secret.stderr, /nospool: there is a password in it: write it to a file that only you can read, with --output FILE\n$/);
  assert.ok(!secret.stderr.includes('secret'));
  const output = path.join(folder, 'nospool.toml');
  const written = await nospool('import', rc, '--output', output);
  assert.equal(written.status, 0, written.stderr);
  assert.equal(statSync(output).mode & 0o777, 0o600);
  const answer = await readConfig({ path: output, env: {}, home: null, euid: 0 });
  assert.ok(answer.ok && answer.config.smarthosts[0]?.auth?.user === 'me', JSON.stringify(answer));
  const again = await nospool('import', rc, '--output', output);
  assert.match(again.stderr, /exists: --force replaces it/);
});

// arguments, standard error, why
const IMPORTS: readonly (readonly [readonly string[], RegExp, string])[] = [
  [['/nonexistent/msmtprc'], /^nospool: \/nonexistent\/msmtprc cannot be read: there is no such file or directory\n$/, 'no such file'],
  [
    ['/dev/null', '--program', 'msmtp'],
    /^nospool: \/dev\/null, read as a file of msmtp, names no smart host: nothing was written$/m,
    'an empty file',
  ],
  [
    ['/dev/null', '--program', 'ssmtp', '--output', '/nonexistent/a/b'],
    /^nospool: there is no folder \/nonexistent\/a: make it first\n$/,
    'a folder that is not there',
  ],
  [['a', 'b'], /^nospool: one file at a time: /, 'two files'],
  [
    ['a', '--program', 'qmail'],
    /^nospool: --program expects one of msmtp, ssmtp, dma, nullmailer, esmtp, not "qmail"\n$/,
    'another program',
  ],
];
for (const [argv, expected, why] of IMPORTS)
  test(`import reports ${why}`, async () => {
    const run = await nospool('import', ...argv);
    assert.equal(run.status, 1);
    assert.match(run.stderr, expected);
  });

test('a configuration holds no password: neither the one that is written nor one of the system', async () => {
  const output = path.join(scratch(), 'own.toml');
  for (const passwordFile of [output, '/etc/nospool.toml', '/etc/nospool.d/10.toml']) {
    const told = await tried({ smarthost: 'a.example', domain: 'example.org', user: 'me', output, passwordFile }, ['secret', '', '']);
    assert.deepEqual([told.status, existsSync(output), told.questions], [1, false, []]);
    assert.match(told.stderr, new RegExp(`^nospool: ${passwordFile} is a configuration\n$`, 'm'));
  }
});

test('what is no file is neither replaced nor gets the mode of a password', async () => {
  const folder = scratch();
  const rc = path.join(folder, 'msmtprc');
  writeFileSync(rc, 'host mail.example.org\ntls on\n');
  chmodSync(folder, 0o755);
  const link = path.join(folder, 'link');
  symlinkSync('/dev/null', link);
  const told = (place: string): RegExp => new RegExp(`^nospool: ${place} is not a regular file, and is not replaced\n$`, 'm');
  for (const place of [link, folder]) {
    const imported = await nospool('import', rc, '--output', place, '--force');
    assert.deepEqual([imported.status, imported.stdout], [1, '']);
    assert.match(imported.stderr, told(place));
    const options = { smarthost: 'mail.example.org', domain: 'example.org', force: true };
    const made = await tried({ ...options, output: place }, null);
    assert.match(made.stderr, told(place));
    const shared = await tried({ ...options, user: 'me', group: '4711', passwordFile: place }, null);
    assert.match(shared.stderr, told(place));
  }
  assert.deepEqual([lstatSync(link).isSymbolicLink(), statSync(folder).mode & 0o777], [true, 0o755]);
});

test.run();
