import assert from 'node:assert';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import { type Interpreted, interpret } from '../../src/config/interpret.ts';
import { KEYS, keysOf, printInitial, type Section, variableOf } from '../../src/config/keys.ts';
import { readConfig } from '../../src/config/read.ts';
import { parseToml } from '../../src/config/toml.ts';
import { parseSmarthost } from '../../src/router/smarthost.ts';
import { whyRefused } from '../../src/trust/rules.ts';
import { ERRORS, SMARTHOST_ERRORS, VARIABLE_ERRORS } from './errors.ts';

const test = suite('manual');

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
const MANUAL = read('man/nospool.toml.5');
const EXAMPLE = read('examples/nospool.example.toml');

/** The text that a line of roff shows. */
function shown(line: string): string {
  return line
    .replace(/^\.[A-Z]+ /, '')
    .replaceAll('\\(dq', '"')
    .replaceAll('\\(ti', '~')
    .replace(/\\([- ])/g, '$1')
    .replaceAll('\\e', '\\');
}

function interpreted(text: string | null, env: Record<string, string> = {}): Interpreted {
  const directories = { home: '/home/ops' };
  if (text === null) return interpret(null, env, directories);
  const toml = parseToml(text);
  assert.ok(toml.ok, `${text}\n${toml.ok ? '' : toml.detail}`);
  return interpret({ path: '/f', toml: toml.value, refuses: () => null, isSystem: true }, env, directories);
}

const HEADINGS: Readonly<Record<string, Section>> = {
  'Top of the file': '',
  '[tls]': 'tls',
  '[auth]': 'auth',
  '[timeouts]': 'timeouts',
  '[[router]]': 'router',
  'A smart host as a table': 'host',
};

const inTable = (section: Section): string[] =>
  keysOf(section).map((key) => `${key.name}${key.initial === null ? '' : ` = ${printInitial(key)}`}`);

test('the manual has every key with its default, and no other', () => {
  const keys = MANUAL.slice(MANUAL.indexOf('.SH KEYS'), MANUAL.indexOf('.SH ENVIRONMENT'));
  const sections = keys.split(/^\.SS /m).slice(1);
  const found = new Map(
    sections.map((text) => [
      text.slice(0, text.indexOf('\n')),
      [...text.matchAll(/^\.TP\n(\.B .*)$/gm)].map(([, line]) => shown(line as string)),
    ]),
  );
  for (const [heading, section] of Object.entries(HEADINGS)) assert.deepEqual(found.get(heading), inTable(section), heading);
  assert.deepEqual([...found.keys()].sort(), [...Object.keys(HEADINGS), '[rewrite]'].sort());
});

test('the example has every key with its default, and no other; without its "#" it is accepted, too', () => {
  const asWritten = interpreted(EXAMPLE);
  assert.ok(asWritten.ok);
  assert.deepEqual(asWritten.warnings, []);
  const text = EXAMPLE.replace(/^# *(?=(\{ url|\w+ = |"[^"]+" = |\[))/gm, '').replace(/^##(?=\w+ = )/gm, '#');
  const whole = interpreted(text);
  assert.ok(whole.ok, whole.ok ? '' : whole.errors.join('\n'));
  assert.deepEqual(whole.warnings.length, 1, 'aliases beside [[router]]');
  const defaults = interpreted('');
  assert.ok(defaults.ok);
  const { smarthosts, routers, rewrite, path: _, ...rest } = whole.config;
  const { smarthosts: a, routers: b, rewrite: c, path: d, ...initial } = defaults.config;
  assert.deepEqual(rest, initial);
  assert.equal(smarthosts.length, 2);
  assert.equal(routers.length, 2);
  assert.equal(Object.keys(rewrite).length, 2);

  const toml = parseToml(text);
  assert.ok(toml.ok);
  const table = toml.value.table as Record<string, Record<string, unknown>>;
  for (const section of ['', 'tls', 'auth', 'timeouts'] as const) {
    const found = section === '' ? table : (table[section] as Record<string, unknown>);
    for (const key of keysOf(section))
      if (key.name !== 'smarthosts') assert.deepEqual(found[key.name], key.initial, `${section} ${key.name}`);
  }
  const router = EXAMPLE.slice(EXAMPLE.indexOf('#[[router]]'), EXAMPLE.indexOf('#[rewrite]'));
  const routerKeys = new Set([...router.matchAll(/^#+(\w+) = /gm)].map(([, name]) => name));
  assert.deepEqual(
    [...routerKeys].sort(),
    keysOf('router')
      .map((key) => key.name)
      .sort(),
  );
});

test('every key has a variable, or the manual says why not', () => {
  const names = KEYS.map(variableOf).filter((name) => name !== '');
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^NOSPOOL_[A-Z0-9_]+$/);
  const without = KEYS.filter((key) => variableOf(key) === '' && !['router', 'host'].includes(key.section)).map((key) => key.name);
  assert.deepEqual(without, ['lock', 'password_command', 'token_command']);
  assert.match(MANUAL, /Never taken from the environment: password_command, token_command, lock, \[\[router\]\], \[rewrite\]\./);
});

test('the manual’s examples are accepted', () => {
  const blocks = [...MANUAL.matchAll(/^\.\\" toml\n\.EX\n([\s\S]*?)^\.EE/gm)].map(([, text]) =>
    (text as string).split('\n').map(shown).join('\n'),
  );
  assert.equal(blocks.length, (MANUAL.match(/^\.\\" toml$/gm) ?? []).length);
  assert.ok(blocks.length >= 8);
  for (const text of blocks) {
    const got = interpreted(text);
    assert.ok(got.ok, `${text}\n${got.ok ? '' : got.errors.join('\n')}`);
    assert.deepEqual(got.warnings, []);
    assert.ok(got.config.smarthosts.length > 0);
  }
  const [, variables = ''] = /^\.\\" environment\n\.EX\n([\s\S]*?)^\.EE/m.exec(MANUAL) ?? [];
  const env = Object.fromEntries(
    variables
      .trim()
      .split('\n')
      .map((line) => line.split('=', 2)),
  ) as Record<string, string>;
  const got = interpreted(null, env);
  assert.ok(got.ok && got.config.smarthosts[0]?.auth !== null);
});

/** A sentence of the manual, in which `...` stands for any text, and for none at the beginning. */
function patternOf(sentence: string): RegExp {
  const text = sentence.replace(/[*+?^${}()|[\]\\/]/g, '\\$&').replaceAll('.', '\\.');
  return new RegExp(`^${text.replace(/^\\\.\\\.\\\. /, '(.* )?').replaceAll('\\.\\.\\.', '.*')}$`, 's');
}

test('the manual has every error, and no impossible one', async () => {
  const diagnostics = MANUAL.slice(MANUAL.indexOf('.SH DIAGNOSTICS'), MANUAL.indexOf('.SH SEE ALSO'));
  const items = [...diagnostics.matchAll(/^\.T[PQ]\n(\.B .*)$/gm)].map(([, line]) => shown(line as string));
  assert.ok(items.length > 30);

  const sentences: string[] = [];
  const collect = (got: { readonly ok: boolean; readonly errors?: readonly string[] }): void => {
    for (const error of got.errors ?? [])
      sentences.push(
        error.replace(
          /^(\S+: )?(key "[^"]*"( (in|of) ((tls|auth|data) )?((in|of) )?(\[+\w+\]+|a smart host))?|\[\[router\]\]|NOSPOOL_\w+):? ?/,
          '',
        ),
      );
  };
  for (const [text] of ERRORS) collect(interpreted(text));
  for (const [name, value] of VARIABLE_ERRORS) collect(interpreted(null, { [name]: value }));
  for (const [text] of SMARTHOST_ERRORS) {
    const got = parseSmarthost(text);
    assert.ok(!got.ok);
    sentences.push(got.detail);
  }
  const toml = parseToml('[auth]\nuser = "u"\npassword = "p"');
  assert.ok(toml.ok);
  const facts = {
    path: '/f',
    uid: 0,
    gid: 0,
    mode: 0o644,
    links: 1,
    fileSystem: 'other' as const,
    isOwnGroup: () => false,
    mount: () => ({ isReadOnly: false, isOwn: false }),
  };
  collect(
    interpret(
      { path: '/f', toml: toml.value, refuses: () => whyRefused('literal', facts, { euid: 0 }), isSystem: false },
      {},
      { home: null },
    ),
  );

  const two = { NOSPOOL_SMARTHOSTS: 'a b', NOSPOOL_AUTH_USER: 'u', NOSPOOL_AUTH_PASSWORD_FILE: '/p' };
  collect(interpret(null, two, { home: null }));

  const folder = mkdtempSync(path.join(tmpdir(), 'nospool-manual-'));
  try {
    const files = ['=', '\xff', '#'.repeat(1048577)].map((octets, i) => {
      const file = path.join(folder, String(i));
      writeFileSync(file, octets, 'latin1');
      return file;
    });
    for (const file of [...files, folder, path.join(folder, 'none'), '/dev/zero', path.join(folder, 'x'.repeat(300))]) {
      const got = await readConfig({ path: file, env: {}, home: null, euid: 0, systemFile: path.join(folder, 'none') });
      assert.ok(!got.ok, file);
      for (const error of got.errors) sentences.push(error.replace(/^\/\S+?(:\d+)?: /, ''));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  // Root can read every file, so only read.test.ts makes this error.
  sentences.push('cannot be read by uid 1000; a directory above it is closed to this user');

  const patterns = items.map((item) => [item, patternOf(item)] as const);
  for (const sentence of sentences)
    assert.ok(
      patterns.some(([, pattern]) => pattern.test(sentence)),
      `not in the manual: ${sentence}`,
    );
  for (const [item, pattern] of patterns)
    assert.ok(
      sentences.some((sentence) => pattern.test(sentence)),
      `cannot be: ${item}`,
    );
});

test.run();
