/**
 * README.md and CHANGELOG.md against the program: commands, options, keys, scripts, files and the demo's output.
 * Loopback: the example with a sink is one, and its configuration with a password is only there to be left out.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { interpret } from '../src/config/interpret.ts';
import { keyOfEnv } from '../src/config/keys.ts';
import { parseToml } from '../src/config/toml.ts';
import { COMMANDS } from '../src/nospool/commands.ts';
import { parseInvocation } from '../src/sendmail/arguments.ts';
import { literalsOf } from './support/literals.ts';

const test = suite('readme');

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const README = read('README.md');

/** Blocks of code in that language. */
const blocks = (language: string): string[] =>
  [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map((match) => match[1] as string);

/** All that stands as code: lines of blocks, and what is in back quotes. A group has the command's name, too. */
const code = [
  ...blocks('sh')
    .flatMap((block) => block.split('\n'))
    .filter((line) => !/^(groupadd|chgrp|usermod) /.test(line)),
  ...blocks('dockerfile')
    .flatMap((block) => block.split('\n'))
    .filter((line) => !/^RUN ln /.test(line)),
  ...[...README.replace(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map((match) => match[1] as string),
];

/** The words behind a command, up to whatever ends it in a shell. */
const callsOf = (command: string): string[][] =>
  code.flatMap((line) =>
    [...line.matchAll(new RegExp(`(?:^|[\\s/"])${command} ([^;&|<>"]*)`, 'g'))].map((match) =>
      (match[1] as string).split(/\s+/).filter((word) => word !== ''),
    ),
  );

test('every command of nospool, and every option of it, exists', () => {
  const calls = [...callsOf('nospool'), ...callsOf('nospool\\.mjs')].filter(([name]) => name !== undefined);
  assert.ok(calls.length >= 10, `${calls.length} calls`);
  for (const [name, ...words] of calls) {
    const command = COMMANDS.find((each) => each.name === name);
    assert.ok(command, `nospool ${name}`);
    for (const word of words.filter((each) => each.startsWith('--')))
      assert.ok(
        command.options.some((option) => `--${option.name}` === word),
        `nospool ${name} ${word}`,
      );
  }
});

test('every option of sendmail is accepted', () => {
  const calls = callsOf('sendmail');
  assert.ok(calls.length >= 4, `${calls.length} calls`);
  for (const argv of calls) {
    const { mode } = parseInvocation('sendmail', argv);
    assert.ok(mode.kind !== 'misused' && mode.kind !== 'refused', argv.join(' '));
  }
});

test('every script of npm exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const names = callsOf('npm').flatMap(([verb, name]) => (verb === 'run' ? [name] : verb === 'test' ? ['test'] : []));
  assert.ok(names.length >= 5, names.join(' '));
  for (const name of names) assert.ok(scripts[name as string], `npm run ${name}`);
});

test('the configurations are accepted, without a warning', () => {
  const configurations = blocks('toml');
  assert.ok(configurations.length > 0);
  for (const text of configurations) {
    const toml = parseToml(text);
    assert.ok(toml.ok, text);
    const answer = interpret({ path: 'README', toml: toml.value, refuses: () => null, isSystem: true }, {}, { home: '/home/me' });
    assert.ok(answer.ok && answer.warnings.length === 0, JSON.stringify(answer));
  }
});

test('every variable and every key exists', () => {
  const variables = [...new Set(README.match(/\bNOSPOOL_(?!CONFIG\b)[A-Z_]+/g))];
  assert.ok(variables.length >= 4);
  for (const name of variables) assert.ok(keyOfEnv(name), name);
  const wrong = interpret(null, Object.fromEntries(variables.map((name) => [name, /FILE$/.test(name) ? '/x' : 'mail.example.org'])), {
    home: null,
  });
  assert.ok(wrong.ok, JSON.stringify(wrong));
});

test('every file that is linked to is there, and every section', () => {
  const links = [...README.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] as string);
  assert.ok(links.length >= 5);
  for (const link of links.filter((each) => !/^https?:|^#/.test(each))) assert.ok(existsSync(path.join(ROOT, link)), link);
  for (const heading of ['Exit status', 'Replacing sendmail', 'As a library', 'Development'])
    assert.ok(README.includes(`\n## ${heading}\n`), heading);
});

test("the message of README is shown by README's sink, also where the configuration has a password", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-readme-'));
  const port = await freePort();
  const own = `smarthosts = ["submission://127.0.0.1:${port}"]\n[auth]\nuser = "me"\npassword = "secret"\n`;
  mkdirSync(`${folder}/.config/nospool`, { recursive: true });
  writeFileSync(`${folder}/.config/nospool/config.toml`, own, { mode: 0o600 });
  for (const [name, program] of [
    ['nospool', 'nospool.mjs'],
    ['sendmail', 'sendmail.cjs'],
  ])
    writeFileSync(`${folder}/${name}`, `#!/bin/sh\nexec ${process.execPath} ${ROOT}dist/${program} "$@"\n`, { mode: 0o755 });
  const environment = { PATH: `${folder}:/usr/bin:/bin`, HOME: folder, XDG_CONFIG_HOME: `${folder}/.config` };
  const written = /^printf .* > message\.eml$/m.exec(README)?.[0] ?? '';
  const [sink = '', ...rest] = (blocks('sh').find((block) => block.startsWith('nospool sink')) ?? '')
    .replaceAll('2525', String(port))
    .split('\n');
  const child = spawn('/bin/sh', ['-c', `exec ${sink.replace(/ &$/, '')}`], { cwd: folder, env: environment });
  try {
    let shown = '';
    const settled = (text: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => (shown.includes(text) ? resolve() : undefined);
        child.stdout.on('data', (octets) => {
          shown += octets;
          look();
        });
        look();
      });
    await settled(String(port));
    const script = [written, ...rest].join('\n');
    const sent = spawnSync('/bin/sh', ['-c', script], { cwd: folder, env: environment, encoding: 'utf8', timeout: 30_000 });
    assert.deepEqual([sent.status, sent.stderr], [0, '']);
    await settled('Sent by nospool.');
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Without what differs from run to run: ports, times, ids, names of host and user. */
const lasting = (text: string): string =>
  text
    .replace(/\(\d+ ms\)/g, '(N ms)')
    .replace(/after \d+ ms/g, 'after N ms')
    // A date of one digit is shorter.
    .replace(/\bSIZE=\d+/g, 'SIZE=N')
    .replace(/(127\.0\.0\.1\]?):\d+/g, '$1:N')
    .replace(/^( {2}S: 220 )\S+/gm, '$1HOST')
    .replace(/^( {2}S: 250-)\S+(?= greets)/gm, '$1HOST')
    // Longer or shorter ports and names may move the place where a line is folded.
    .replace(/\s+/g, ' ')
    .trim();

test('alternatives is told the same links as by the package, but for manuals, because it takes away those that it is not told', () => {
  const linksOf = (text: string) => [...text.matchAll(/--(?:install|slave) (\S+ \S+) /g)].map((match) => match[1] as string);
  const ofPackage = linksOf(read('packaging/rpm/nospool-mta.scripts')).filter((link) => !link.includes('/man/'));
  assert.equal(ofPackage.length, 4);
  assert.deepEqual(linksOf(README), ofPackage);
});

test('the output of the demo is what the demo prints', () => {
  const [shown = ''] = blocks('text');
  const demo = spawnSync(process.execPath, ['examples/demo.mjs'], { cwd: ROOT, encoding: 'utf8', timeout: 60_000 });
  assert.equal(demo.status, 0, demo.stdout + demo.stderr);
  assert.ok(lasting(shown).startsWith('$ sendmail -v '), shown);
  assert.ok(lasting(demo.stdout).includes(lasting(shown)), demo.stdout);
  for (const line of shown.split('\n')) assert.ok(line.length <= 80, line);
});

test('the recording has the questions of init in their order, and of check what check prints', () => {
  const [, recording = ''] = blocks('text');
  const asked = [...read('src/nospool/init/questions.ts').matchAll(/\btext: (['"`])(.+?)\1,\s*initial\b/g)].map(([, , text = '']) =>
    // As it would be asked of web1, who has no password file yet.
    text.replace(/\$\{user\}/, 'web1').replace(/\$\{keeps\}/, 'goes to /etc/nospool/password'),
  );
  assert.equal(asked.length, 6);
  const [init = '', check = '', ...sends] = recording.split(/^# (?=nospool )/m).slice(1);
  const questions = init.split('\n').filter((line) => asked.some((text) => line.startsWith(text)));
  assert.deepEqual(
    questions.map((line) => asked.find((text) => line.startsWith(text))),
    asked,
  );
  const prints = [...literalsOf(read('src/nospool/check/print-check.ts')), ...literalsOf(read('src/nospool/init/init.ts'))];
  for (const [, label = ''] of check.matchAll(/^ {0,5}([a-z]+(?: [a-z]+)?) {2,}(?=\S)/gm)) assert.ok(prints.includes(label), label);
  for (const line of ['This is now in …', 'Members of group … can send, too: usermod -aG … USER adds one.'])
    assert.ok(prints.some((text) => text.startsWith(line)) && init.includes(line.split('…')[0] as string), line);
  assert.equal(sends.length, 2);
  assert.match(sends[0] as string, /RCPT TO:<ghost@example\.org>: 550 [\s\S]*\nnospool: nobody has the message\n/);
  assert.match(sends[1] as string, /\n\[#+\.+\] +\d+ % [\s\S]*\naccepted by {3}mail/);
});

test('CHANGELOG.md begins with the version of package.json, newest first', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const versions = [...read('CHANGELOG.md').matchAll(/^## (\S+)/gm)].map((match) => match[1] as string);
  assert.equal(versions[0], version);
  const numbers = versions.map((each) => each.split('.').reduce((sum, part) => sum * 1000 + Number(part), 0));
  assert.deepEqual(
    numbers,
    [...numbers].sort((a, b) => b - a),
  );
});

test.run();
