import assert from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { main, printHelp, printOverview } from '../../src/nospool/command-line.ts';
import { COMMANDS } from '../../src/nospool/commands.ts';
import { SINK_DEFAULTS } from '../../src/nospool/sink/sink-options.ts';
import { scratch, smartHost } from '../support/command.ts';
import { testWith } from '../support/where.ts';
import { within } from '../support/within.ts';

const test = suite('commands');
const inBash = testWith(test, 'python3 and bash', existsSync('/usr/bin/python3') && existsSync('/bin/bash'));

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NOSPOOL = path.join(ROOT, 'dist/nospool.mjs');
const TYPIST = fileURLToPath(new URL('../interop/support/typist.py', import.meta.url));

test('help fits a screen', () => {
  for (const lines of [printOverview(), ...COMMANDS.map(printHelp)]) {
    assert.ok(lines.length <= 24, `${lines.length} lines`);
    for (const line of lines) assert.ok(line.length <= 80, line);
    assert.ok(lines.some((line) => line.startsWith('Example: ')));
  }
});

test('the table and the sink have the same options', () => {
  const names = COMMANDS.find(({ name }) => name === 'sink')?.options.map(({ name }) =>
    name.replace(/-[a-z]/g, (match) => match.charAt(1).toUpperCase()),
  );
  assert.deepEqual(new Set(names), new Set(Object.keys(SINK_DEFAULTS)));
});

test('the manual has every command and every option, and no other', async () => {
  const manual = await readFile(path.join(ROOT, 'man/nospool.1'), 'utf8');
  for (const { name, options } of COMMANDS) {
    assert.match(manual, new RegExp(`^\\.SS ${name}\\b`, 'm'), name);
    const section = manual.split(new RegExp(`^\\.SS ${name}\\b`, 'm'))[1]?.split(/^\.S[SH] /m)[0] ?? '';
    const written = [...section.matchAll(/^\.TP\n\.BR? \\-\\-([a-z\\-]+)/gm)].map((match) => (match[1] as string).replaceAll('\\-', '-'));
    assert.deepEqual([...written].sort(), [...options.map((option) => option.name), ...(name === 'sink' ? ['once'] : [])].sort(), name);
  }
});

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `nospool` in this process. */
async function nospool(...argv: readonly string[]): Promise<Run> {
  const { stdout, stderr } = process;
  const originals = [stdout.write, stderr.write, console.log] as const;
  const written: [string[], string[]] = [[], []];
  stdout.write = (text) => written[0].push(String(text)) > 0;
  stderr.write = (text) => written[1].push(String(text)) > 0;
  console.log = (text) => void written[0].push(`${text}\n`);
  try {
    const status = await main(argv, 'from source');
    return { status, stdout: written[0].join(''), stderr: written[1].join('') };
  } finally {
    [stdout.write, stderr.write, console.log] = originals;
  }
}

const USAGE: readonly (readonly [readonly string[], number, RegExp, RegExp])[] = [
  [[], 0, /^Usage: nospool COMMAND/, /^$/],
  [['sink', '-h'], 0, /^Usage: nospool sink/, /^$/],
  [['--version'], 0, /^nospool from source\n$/, /^$/],
  [['sinc'], 1, /^$/, /^nospool: "sinc" is not a command; did you mean "sink"\? "nospool --help" lists them\n$/],
  [['rot'], 1, /^$/, /^nospool: "rot" is not a command; did you mean "route"\? /],
  [['-v'], 1, /^$/, /^nospool: "-v" is not a command; did you mean "--version"\? /],
  [['version'], 1, /^$/, /^nospool: "version" is not a command; did you mean "--version"\? /],
  [['elephant'], 1, /^$/, /^nospool: "elephant" is not a command; "nospool --help" lists them\n$/],
  [['sink', '--port', 'x'], 1, /^$/, /^nospool: --port expects a number, not "x"\n$/],
  [['sink', '--portt', '1'], 1, /^$/, /^nospool: --portt is unknown; did you mean "--port"\? "nospool sink --help" lists the options\n$/],
  [['init', '--domian=x'], 1, /^$/, /^nospool: --domian is unknown; did you mean "--domain"\? /],
  [['send', '/nonexistent/x', '--zzzzzzzzz'], 1, /^$/, /^nospool: --zzzzzzzzz is unknown; "nospool send/],
  [['sink', '--refuse'], 1, /^$/, /^nospool: not enough arguments following: refuse; "nospool sink --help" lists the options\n$/],
  [['sink', 'extra'], 1, /^$/, /^nospool: unknown argument: extra; /],
  [['sink', '--listen', '192.0.2.1'], 1, /^$/, /^nospool: 192\.0\.2\.1 is not a loopback address; .*\n$/],
  [['completion'], 0, /nospool/, /^$/],
  [['completion', 'zsh'], 0, /compadd/, /^$/],
  [['completion', '/bin/bash'], 0, /COMPREPLY/, /^$/],
  [['completion', 'fish'], 1, /^$/, /^nospool: there is no completion for "fish": name bash or zsh\n$/],
  [['completion', '--help'], 0, /^Usage: nospool completion \[bash\|zsh\]$/m, /^$/],
  [['route'], 1, /^$/, /^nospool: route expects ADDRESS\.\.\.; "nospool route --help" lists the options\n$/],
  [['route', '--from', 'a b', 'x@y.example'], 1, /^$/, /^nospool: --from "a b": .*\n$/],
  [
    ['route', '-C', '/nonexistent/nospool.toml', 'x@y.example'],
    1,
    /^$/,
    /^nospool: -C names "\/nonexistent\/nospool\.toml", which does not exist\n$/,
  ],
  [['sink', '--', 'extra'], 1, /^$/, /^nospool: sink expects no operand; /],
  [['route', ','], 1, /^$/, /^nospool: name an address: nospool route root\n$/],
  [['--get-yargs-completions', 'nospool', 'sink', '--re'], 0, /^--refuse$/m, /^$/],
  [['--complete', 'c'], 0, /^check\ncompletion\n$/, /^$/],
  [['--complete', 'check', '--'], 0, /^--config\n--json\n--warn-days\n--verbose\n--help\n$/, /^$/],
  [['--complete', 'check', ''], 0, /^--config\n/, /^$/],
  [['--complete', 'check', '--config', ''], 0, /^$/, /^$/],
  [['--complete', 'send', ''], 0, /^$/, /^$/],
  [['--complete', 'send', '--verbose', 'mes'], 0, /^$/, /^$/],
  [['--complete', 'send', '--', '-'], 0, /^$/, /^$/],
  [['--complete', 'import', ''], 0, /^$/, /^$/],
  [['--complete', 'sinc', '-'], 0, /^$/, /^$/],
];
for (const [argv, status, out, err] of USAGE)
  test(`nospool ${argv.join(' ')}`, async () => {
    const run = await nospool(...argv);
    assert.match(run.stdout, out);
    assert.match(run.stderr, err);
    assert.equal(run.status, status);
  });

inBash('O9: completion in bash: options of check, files of send and import', () =>
  within(60_000, async () => {
    const folder = scratch();
    for (const name of ['letter.eml', 'msmtprc']) writeFileSync(path.join(folder, name), '');
    const script = spawnSync(process.execPath, [NOSPOOL, 'completion'], { env: { SHELL: '/bin/bash' }, encoding: 'utf8' }).stdout;
    const settings = "PS1='ready> '\nbind 'set show-all-if-ambiguous on'\nbind 'set enable-bracketed-paste off'\n";
    writeFileSync(path.join(folder, 'rc'), `${settings}nospool() { ${process.execPath} ${NOSPOOL} "$@"; }\ncd ${folder}\n${script}`);
    const steps = [
      ['ready> ', 'nospool check --js\t'],
      ['--json ', '\u0015nospool send let\t'],
      ['letter\\.eml ', '\u0015nospool import --force msm\t'],
      ['msmtprc ', '\u0015nospool send --to a@b.example --\t'],
      ['--verbose', '\u0015exit\r'],
    ];
    const argv = ['/bin/bash', '--rcfile', path.join(folder, 'rc'), '-i'];
    const env = { ...process.env, TERM: 'xterm', HOME: folder };
    const { stdout } = spawnSync('/usr/bin/python3', ['-B', TYPIST, JSON.stringify({ argv, steps, seconds: 40 })], {
      env,
      encoding: 'utf8',
    });
    for (const shown of [/check --json /, /send letter\.eml /, /import --force msmtprc /, /--config +--from/]) assert.match(stdout, shown);
  }),
);

test('output that the disk does not take is a failure, and that of a reader who is gone is not', () =>
  within(60_000, async () => {
    const folder = scratch();
    writeFileSync(path.join(folder, 'ssmtp.conf'), 'mailhub=a.example\n');
    for (const command of ['import ssmtp.conf', 'completion bash', 'sink --help']) {
      const run = (to: string) =>
        spawnSync('sh', ['-c', `${process.execPath} ${NOSPOOL} ${command} ${to}`], { cwd: folder, encoding: 'utf8' });
      const full = run('>/dev/full');
      assert.equal(full.status, 1, command);
      assert.match(full.stderr, /^nospool: cannot write standard output: the disk is full$/m);
      assert.doesNotMatch(run('| true').stderr, /cannot write/);
    }
  }));

test('a folder that is gone is no reason not to run', () =>
  within(60_000, async () => {
    const run = (words: string) =>
      spawnSync('sh', ['-c', `mkdir gone; cd gone; rmdir ../gone; ${process.execPath} ${NOSPOOL} ${words}`], {
        cwd: scratch(),
        encoding: 'utf8',
      });
    assert.match(run('--version').stdout, /^nospool /);
    assert.equal(run('import msmtprc').stderr, 'nospool: /proc/self/cwd/msmtprc cannot be read: there is no such file or directory\n');
  }));

test('a dumb terminal has no line that is written over', () =>
  within(60_000, async () => {
    const host = await smartHost();
    const folder = scratch();
    writeFileSync(
      path.join(folder, 'c.toml'),
      `smarthosts = ["submission://127.0.0.1:${host.port}"]\nfrom = "a@b.example"\nhostname = "h.example"\nlog = "none"\naliases = []\n`,
    );
    writeFileSync(path.join(folder, 'big.eml'), `Subject: x\n\n${`${'x'.repeat(76)}\n`.repeat(60_000)}`);
    const argv = [process.execPath, NOSPOOL, 'send', '-C', 'c.toml', '--to', 'x@y.example', 'big.eml'];
    const shown = async (TERM: string): Promise<string> => {
      const child = spawn('/usr/bin/python3', ['-B', TYPIST, JSON.stringify({ argv, steps: [], seconds: 40 })], {
        cwd: folder,
        env: { ...process.env, TERM },
      });
      let text = '';
      for await (const part of child.stdout) text += part;
      return text;
    };
    assert.match(await shown('xterm'), / MiB/);
    const dumb = await shown('dumb');
    await host.close();
    assert.match(dumb, /^accepted by/m);
    assert.ok(!dumb.includes('MiB') && !dumb.includes('\x1b'), dumb);
  }));

test('the entry passes arguments and exit status on', () => {
  const run = spawnSync(process.execPath, ['--import', 'tsx', 'src/nospool/launch.ts', 'sinc'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual(
    [run.status, run.stdout, run.stderr],
    [1, '', 'nospool: "sinc" is not a command; did you mean "sink"? "nospool --help" lists them\n'],
  );
});

const CONFIGURATION = `
hostname = "host.example.org"
smarthosts = ["submission://mail.example.org"]
[[router]]
name = "ours"
driver = "redirect"
data = { root = "ops@example.org", nobody = ":fail: nobody lives here", "-x" = "ops@example.org" }
`;

// arguments, status, a part of standard output, why
const ROUTES: readonly (readonly [readonly string[], number, RegExp, string])[] = [
  [['root'], 0, /^root@host\.example\.org\n {2}ours: redirected by .*\nrecipients {4}ops@example\.org\n/s, 'an alias'],
  [['--json', 'root', 'x@y.example'], 0, /^\{"deliverable":true,.*\}\n$/, 'JSON'],
  [['--from', '<>', 'x@y.example'], 0, /^reverse-path {2}<>$/m, 'a reverse-path'],
  [['-f', 'a@b.example', 'x@y.example'], 0, /^reverse-path {2}<a@b\.example>$/m, 'a reverse-path, as sendmail has it'],
  [['--', '-x'], 0, /^-x@host\.example\.org\n/, 'an address that looks like an option'],
  [['x@y.example', '--', '-x'], 0, /^one transaction for 2 recipients\n/m, 'one on either side'],
  [['nobody', 'root'], 1, /nobody lives here/, 'a failure'],
];
for (const [argv, status, out, why] of ROUTES)
  test(`nospool route shows ${why}`, async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'nospool-'));
    try {
      const file = path.join(folder, 'nospool.toml');
      await writeFile(file, CONFIGURATION);
      const run = await nospool('route', '-C', file, ...argv);
      assert.equal(run.stderr, '');
      assert.match(run.stdout, out);
      assert.equal(run.status, status);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

test.run();
