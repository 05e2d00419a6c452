import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { KEYS, type Key, keyOf, nearestKey } from '../../src/config/keys.ts';
import { fromEnvironment, parseDuration, parsePath, parseSize, parseValue } from '../../src/config/values.ts';

const test = suite('values');
const directories = { home: '/home/ops' };

test('durations are read', () => {
  for (const [raw, expected, why] of [
    ['500ms', 500, ''],
    ['30s', 30_000, ''],
    ['5m', 300_000, ''],
    ['1h', 3_600_000, ''],
    ['1h30m', 5_400_000, 'units add up'],
    ['24d', 24 * 86_400_000, 'as long as a timer can be'],
    ['none', Infinity, ''],
    ['25d', /at most "24d"/, ''],
    ['999999999999999999h', /at most "24d"/, ''],
    ['0s', /above zero/, 'a time-out of nothing is no limit to some and failure to others'],
    ['30', /such as "30s"/, 'seconds or milliseconds?'],
    [30, /such as "30s"/, ''],
    ['', /such as "30s"/, ''],
    ['-5s', /such as "30s"/, ''],
    ['1.5h', /such as "30s"/, ''],
    ['5 m', /such as "30s"/, ''],
    ['5M', /such as "30s"/, 'minutes or months?'],
    ['Infinity', /such as "30s"/, ''],
  ] as const) {
    const got = parseDuration(raw);
    if (expected instanceof RegExp) assert.match(got.ok ? '' : got.detail, expected, `${raw} ${why}`);
    else assert.deepEqual(got, { ok: true, value: expected }, `${raw} ${why}`);
  }
});

test('sizes are read', () => {
  for (const [raw, expected, why] of [
    [4096, 4096, 'a plain integer is octets'],
    ['4096', 4096, ''],
    ['4096B', 4096, ''],
    ['1KiB', 1024, 'the least'],
    ['2kB', 2000, ''],
    ['1GB', 1_000_000_000, ''],
    ['256KiB', 262_144, ''],
    ['256 kib', 262_144, ''],
    ['1MiB', 1_048_576, ''],
    ['1MB', 1_000_000, 'the SI unit is what it says'],
    ['1GiB', 1_073_741_824, ''],
    ['1023', /from "1KiB" to "1GiB"/, ''],
    ['2GiB', /from "1KiB" to "1GiB"/, ''],
    [-1, /such as "256KiB"/, ''],
    [4096.5, /such as "256KiB"/, ''],
    ['1M', /such as "256KiB"/, '1,000,000 or 1,048,576?'],
    ['1\u212aB', /such as "256KiB"/, 'the sign of the kelvin is no K'],
    ['none', /such as "256KiB"/, ''],
    [true, /such as "256KiB"/, ''],
    [[], /such as "256KiB"/, ''],
  ] as const) {
    const got = parseSize(raw, [1024, 2 ** 30]);
    if (expected instanceof RegExp) assert.match(got.ok ? '' : got.detail, expected, `${raw} ${why}`);
    else assert.deepEqual(got, { ok: true, value: expected }, `${raw} ${why}`);
  }
});

test('paths are absolute, because the working directory is the caller’s', () => {
  assert.deepEqual(parsePath('/a/b', directories), { ok: true, value: '/a/b' });
  assert.deepEqual(parsePath('~/a', directories), { ok: true, value: '/home/ops/a' });
  for (const path of ['a', './a', '~', '~root/a', '']) assert.ok(!parsePath(path, directories).ok, path);
  const homeless = parsePath('~/a', { home: null });
  assert.match(homeless.ok ? '' : homeless.detail, /no home directory/);
});

/** A value of the wrong type for every kind. */
const WRONG: readonly unknown[] = [1, 1.5, true, 'maybe', [], [1], {}, new Date(0), ['a\nb'], 'a\nb'];

test('an error names the expected value, never the written one', () => {
  for (const key of KEYS) {
    let refused = 0;
    for (const raw of [...WRONG, 'hunter2', ['hunter2'], { hunter2: 1 }]) {
      const got = parseValue(key.kind, raw, key, directories);
      if (got.ok) continue;
      refused++;
      assert.match(got.detail, /^(expects|has) [^\n]+[^.]$/, key.name);
      assert.doesNotMatch(got.detail, /hunter2|\n/, key.name);
    }
    assert.ok(refused > 3, `${key.name} refuses next to nothing`);
  }
});

test('the default and the example of every key are values of its kind', async () => {
  const { parseToml } = await import('../../src/config/toml.ts');
  for (const key of KEYS) {
    if (key.initial !== null) assert.ok(parseValue(key.kind, key.initial, key, directories).ok, `default of ${key.name}`);
    const toml = parseToml(`k = ${key.example}`);
    assert.ok(toml.ok, key.example);
    assert.ok(parseValue(key.kind, toml.value.table.k, key, directories).ok, `example of ${key.name}`);
    assert.notDeepEqual(toml.value.table.k, undefined);
  }
});

test('in the environment switches are words, and blanks stand between items', () => {
  const of = (section: Key['section'], name: string, value: string): unknown => fromEnvironment(value, keyOf(section, name) as Key);
  for (const word of ['true', 'YES', 'on', '1']) assert.equal(of('', 'randomize', word), true);
  for (const word of ['false', 'no', 'Off', '0']) assert.equal(of('', 'randomize', word), false);
  assert.equal(of('', 'randomize', 'maybe'), 'maybe', 'left for the parser to refuse');
  assert.deepEqual(of('', 'smarthosts', ' a  b\tc\n'), ['a', 'b', 'c']);
  assert.deepEqual(of('tls', 'fingerprint', 'x y'), ['x', 'y']);
  assert.equal(of('auth', 'password', ' a b '), ' a b ', 'blanks are part of a password');
});

test('the nearest key is found', () => {
  const top = KEYS.filter((key) => key.section === '').map((key) => key.name);
  for (const [written, name, near] of [
    ['smarthost', 'smarthosts', true],
    ['Smarthosts', 'smarthosts', true],
    ['smart_hosts', 'smarthosts', true],
    ['force-from', 'force_from', true],
    ['relayhost', 'smarthosts', true],
    ['mailhub', 'smarthosts', true],
    ['qualify_reciepient', 'qualify_recipient', true],
    ['zzzzzzzzzzzzzzzz', 'smarthosts', false],
    ['constructor', 'hostname', false],
  ] as const) {
    const got = nearestKey(written, top);
    assert.equal(got.near, near, written);
    if (near) assert.equal(got.name, name, written);
    assert.ok(top.includes(got.name));
  }
});

test('names of other programs lead to the key', () => {
  const words = {
    smarthosts: ['relayhost', 'mailhub', 'host', 'server', 'port'],
    hostname: ['helo'],
    qualify_domain: ['maildomain'],
    user: ['username', 'login'],
    password_command: ['passwordeval'],
    token_file: ['access_token'],
    password: ['pass'],
    mode: ['starttls'],
    ignore_extensions: ['smtp_discard_ehlo_keywords'],
    log: ['logfile'],
  };
  for (const [name, others] of Object.entries(words))
    for (const word of others) {
      const { section } = KEYS.find((key) => key.name === name) as Key;
      const names = KEYS.filter((key) => key.section === section).map((key) => key.name);
      assert.deepEqual(nearestKey(word, names), { name, near: true }, word);
    }
});

test('a default is what its parser would make of it, which only sizes and durations are given to', () => {
  for (const key of KEYS)
    if (key.initial !== null && key.kind !== 'size' && key.kind !== 'duration')
      assert.deepEqual(
        parseValue(key.kind, key.initial, key, { home: null }),
        { ok: true, value: key.initial },
        `${key.section}.${key.name}`,
      );
});

test.run();
