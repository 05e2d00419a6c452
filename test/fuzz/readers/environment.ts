/** Variables of the environment, a line each, without NOSPOOL_; and the file that says the same. */
import assert from 'node:assert';
import type { Config } from '../../../src/config/config.ts';
import { type Interpreted, interpret } from '../../../src/config/interpret.ts';
import { KEYS, keyOfEnv, variableOf } from '../../../src/config/keys.ts';
import { parseToml } from '../../../src/config/toml.ts';
import { fromEnvironment } from '../../../src/config/values.ts';
import { printText } from '../../../src/nospool/print-config.ts';
import { textOf } from '../../../src/smtp/text.ts';
import { type Reader, same } from '../reader.ts';
import { checkErrors, fileOf, HOME } from '../settings.ts';

/** The settings without the path of the file. */
function settings(answer: Interpreted): unknown {
  if (!answer.ok) return 'refused';
  const { path: _, files: __, ...rest }: Config = answer.config;
  return rest;
}

/** Variables by the lines of the input, `NAME=value`. */
function readEnvironment(input: string): Readonly<Record<string, string>> {
  const env: Record<string, string> = Object.create(null);
  for (const line of textOf(input).split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) env[`NOSPOOL_${line.slice(0, at)}`] = line.slice(at + 1);
  }
  return env;
}

const printRaw = (raw: unknown): string =>
  typeof raw === 'string'
    ? printText(raw)
    : Array.isArray(raw)
      ? `[${raw.map((item) => printText(item as string)).join(', ')}]`
      : String(raw);

/** The same settings as TOML; null where the file cannot have them. */
function asToml(env: Readonly<Record<string, string>>): string | null {
  const sections = new Map<string, string[]>();
  for (const [name, value] of Object.entries(env)) {
    if (value === '') continue;
    const key = keyOfEnv(name);
    if (key === undefined) return null;
    sections.set(key.section, [...(sections.get(key.section) ?? []), `${key.name} = ${printRaw(fromEnvironment(value, key))}`]);
  }
  const [top, others] = [sections.get('') ?? [], [...sections].filter(([section]) => section !== '')];
  return [...top, ...others.flatMap(([section, entries]) => [`[${section}]`, ...entries])].join('\n');
}

const VARIABLES = KEYS.map((key) => ({ key, name: variableOf(key).replace(/^NOSPOOL_/, '') })).filter(({ name }) => name !== '');

export const reader: Reader = {
  name: 'environment',
  seeds: [
    'SMARTHOSTS=submission://a smtp://b:25\nAUTH_USER=ops\nAUTH_PASSWORD_FILE=/x\nTLS_VERIFY=no',
    'RANDOMIZE=yes\nREPLAY_WINDOW=1MB\nTIMEOUTS_CONNECT=1m\nLOG=syslog\nFROM={login}@x',
    'AUTH_PASSWORD=x\nAUTH_TOKEN_ENV=Y\nLOCK=true\nROUTER=x\nUNKNOWN=1',
    'IGNORE_EXTENSIONS=CHUNKING  DSN\nALIASES=/etc/aliases ~/a\nPROXY=socks5://p\nFAMILY=4\nHOSTNAME=\xc3\xbc.example',
    VARIABLES.map(({ key, name }) => `${name}=${key.example.replace(/[[\]",]/g, '')}`).join('\n'),
  ],
  words: [
    ...VARIABLES.map(({ key, name }) => `\n${name}=${key.example.replace(/[[\]",]/g, '')}`),
    ...VARIABLES.map(({ name }) => `\n${name}=`),
    'yes',
    'off',
    '~/',
    ' ',
    '/',
    'none',
    '1h',
    'KiB',
    '\n',
    '=',
    '\xc2\xa0',
    '\\',
    '"',
  ],
  read: (input) => interpret(null, readEnvironment(input), HOME),
  run(input) {
    const env = readEnvironment(input);
    const answer = interpret(null, env, HOME);
    if (!answer.ok) checkErrors(answer.errors, 0);
    const text = asToml(env);
    if (text === null) return assert.ok(!answer.ok, 'an unknown variable is accepted');
    const read = parseToml(text);
    assert.ok(read.ok, `${read.ok || read.detail}\n${text}`);
    const written = interpret(fileOf(read.value), {}, HOME);
    same(settings(answer), settings(written), 'the environment and the file mean different things');
  },
};
