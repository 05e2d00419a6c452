/** What a small message makes the sendmail command load: nothing it does not need, and no more code than it has now. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { within } from '../support/within.ts';
import { COMMAND, run, scratch, setUp, smartHost } from './command.ts';

const load = suite('what sendmail loads');
const DIST = path.dirname(COMMAND);

/** Preloaded into the command: writes down what it has loaded by its end, built-in modules and files of its own. */
const HOOK = `
const fs = require('node:fs');
const { basename } = require('node:path');
const { readFileSync } = fs;
const files = new Set();
fs.readFileSync = (file, ...rest) => {
  const octets = readFileSync(file, ...rest);
  if (/(compiled|chunks)/.test(file) && basename(file) !== 'main.cjs') files.add(basename(file));
  return octets;
};
const before = new Set(process.moduleLoadList);
process.on('exit', () => {
  const loaded = process.moduleLoadList.filter((name) => !before.has(name)).map((name) => name.replace(/^\\S+ /, ''));
  fs.writeFileSync(process.env.LOADED, JSON.stringify({ loaded, files: [...files] }));
});`;

async function loadedBy(config: string, args: readonly string[], message: string, environment: NodeJS.ProcessEnv = {}) {
  const folder = scratch();
  const hook = path.join(folder, 'hook.cjs');
  const out = path.join(folder, 'loaded.json');
  writeFileSync(hook, HOOK.replaceAll('\\\\', '\\'));
  const ended = await run(config, args, message, {
    env: { PATH: '/usr/bin:/bin', NODE_OPTIONS: `--require ${hook}`, LOADED: out, ...environment },
  });
  assert.deepEqual([ended.status, ended.stderr], [0, '']);
  return JSON.parse(readFileSync(out, 'utf8')) as { loaded: string[]; files: string[] };
}

load('a small message in clear text: the TOML parser, and nothing of TLS, cryptography, DNS, charsets or processes', () =>
  within(20_000, async () => {
    const host = await smartHost();
    const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:${host.port}"]`);
    const { loaded, files } = await loadedBy(config, ['-i', 'a@example.net'], 'Subject: hi\n\nhello\n', { LANG: 'C.UTF-8' });
    assert.deepEqual(files, ['toml.cjs']);
    assert.ok(loaded.includes('net'), 'the hook sees what is loaded');
    for (const name of [
      'tls',
      'crypto',
      'dns',
      'child_process',
      'fs/promises',
      'http',
      'worker_threads',
      'readline',
      'tty',
      'zlib',
      'perf_hooks',
      'v8',
    ])
      assert.ok(!loaded.includes(name), `${name} is loaded`);
    await host.close();
  }),
);

load('UTF-8 text loads no charset tables, and another charset does', () =>
  within(20_000, async () => {
    const host = await smartHost();
    const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:${host.port}"]`);
    const utf8 = await loadedBy(config, ['-i', 'a@example.net'], 'Subject: hi\n\ngr\xc3\xbc\xc3\x9fe\n', { LANG: 'de_DE.UTF-8' });
    assert.ok(!utf8.files.includes('charset.cjs'));
    const koi8 = await loadedBy(config, ['-i', 'a@example.net'], 'Subject: hi\n\n\xf0\xd2\xc9\xd7\xc5\xd4\n', { LANG: 'ru_RU.KOI8-R' });
    assert.ok(koi8.files.includes('charset.cjs'));
    await host.close();
  }),
);

load('the code that every run loads holds no package, and has not grown unnoticed', () => {
  const text = readFileSync(path.join(DIST, 'main.cjs'), 'utf8');
  for (const trace of ['yargs', 'iconv-lite', 'parseDocument', 'TomlError', 'createSecureContext('])
    assert.ok(!text.includes(trace), `${trace} is in main.cjs`);
  // Octets. Raise a number only together with what it buys.
  const limits: Readonly<Record<string, number>> = {
    'sendmail.cjs': 1024,
    'main.cjs': 172 * 1024,
    'chunks/toml.cjs': 14 * 1024,
    'chunks/tls.cjs': 20 * 1024,
  };
  for (const [file, limit] of Object.entries(limits)) {
    const { size } = statSync(path.join(DIST, file));
    assert.ok(size <= limit, `${file} has ${size} octets, more than ${limit}`);
  }
  assert.ok(readdirSync(path.join(DIST, 'chunks')).includes('charset.cjs'));
});

load.run();
