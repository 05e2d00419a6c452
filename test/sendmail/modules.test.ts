/** Looks at what a small message makes the sendmail command load: nothing it does not need, and no more code than it has now. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { readMainFile } from '../../src/sendmail/start/loader.ts';
import { COMMAND, run, scratch, setUp, smartHost } from '../support/command.ts';
import { within } from '../support/within.ts';

const load = suite('what sendmail loads');
const DIST = path.dirname(COMMAND);

/** Is preloaded into the command, and writes down what that has loaded by its end: built-in modules and scripts of its own. */
const HOOK = `
const fs = require('node:fs');
const vm = require('node:vm');
const { basename } = require('node:path');
const { Script } = vm;
const scripts = [];
vm.Script = class extends Script {
  constructor(text, options) {
    super(text, options);
    scripts.push([basename(options.filename), options.cachedData ? this.cachedDataRejected === false : false]);
  }
};
const before = new Set(process.moduleLoadList);
process.on('exit', () => {
  const loaded = process.moduleLoadList.filter((name) => !before.has(name)).map((name) => name.replace(/^\\S+ /, ''));
  fs.writeFileSync(process.env.LOADED, JSON.stringify({ loaded, scripts }));
});`;

interface Loaded {
  readonly loaded: readonly string[];
  /** Parts and files of its own, and whether V8 has taken the code that was kept. */
  readonly scripts: readonly (readonly [name: string, isKept: boolean])[];
}

async function loadedBy(config: string, args: readonly string[], message: string, environment: NodeJS.ProcessEnv = {}): Promise<Loaded> {
  const folder = scratch();
  const hook = path.join(folder, 'hook.cjs');
  const out = path.join(folder, 'loaded.json');
  writeFileSync(hook, HOOK);
  const ended = await run(config, args, message, {
    env: { PATH: '/usr/bin:/bin', NODE_OPTIONS: `--require ${hook}`, LOADED: out, ...environment },
  });
  assert.deepEqual([ended.status, args.includes('-v') ? '' : ended.stderr], [0, '']);
  return JSON.parse(readFileSync(out, 'utf8')) as Loaded;
}

const namesOf = ({ scripts }: Loaded): string[] => scripts.map(([file]) => file);

load('a small message in clear text loads one script, compiled before, and nothing of TLS, cryptography, DNS, charsets or processes', () =>
  within(20_000, async () => {
    const host = await smartHost();
    const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:${host.port}"]`);
    const { loaded, scripts } = await loadedBy(config, ['-i', 'a@example.net'], 'Subject: hi\n\nhello\n', { LANG: 'C.UTF-8' });
    assert.deepEqual(scripts, [['main.cjs', true]]);
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

load('-v into a pipe measures no phases', () =>
  within(20_000, async () => {
    const host = await smartHost();
    const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:${host.port}"]`);
    const verbose = await loadedBy(config, ['-v', '-i', 'a@example.net'], 'Subject: hi\n\nhello\n', { LANG: 'C.UTF-8' });
    assert.deepEqual(namesOf(verbose), ['main.cjs', 'submit-advice.cjs']);
    await host.close();
  }),
);

load('UTF-8 text loads no charset tables, and another charset does', () =>
  within(20_000, async () => {
    const host = await smartHost();
    const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:${host.port}"]`);
    const utf8 = await loadedBy(config, ['-i', 'a@example.net'], 'Subject: hi\n\ngr\xc3\xbc\xc3\x9fe\n', { LANG: 'de_DE.UTF-8' });
    assert.deepEqual(namesOf(utf8), ['main.cjs']);
    const koi8 = await loadedBy(config, ['-i', 'a@example.net'], 'Subject: hi\n\n\xf0\xd2\xc9\xd7\xc5\xd4\n', { LANG: 'ru_RU.KOI8-R' });
    assert.match(namesOf(koi8).join(' '), /^main\.cjs charset-\w+\.cjs$/);
    await host.close();
  }),
);

load('a name that only the C library knows is asked for in a process of its own', () =>
  within(20_000, async () => {
    const host = await smartHost();
    // An address as inet_aton(3) reads it.
    const { config } = setUp(`smarthosts = ["smtp://0x7f000001:${host.port}"]\ntls = { mode = "off" }`);
    const { loaded, scripts } = await loadedBy(config, ['-i', 'a@example.net'], 'Subject: hi\n\nhello\n', { LANG: 'C.UTF-8' });
    assert.ok(namesOf({ loaded, scripts }).includes('process-child-lookup.cjs'));
    assert.ok(loaded.includes('child_process'));
    await host.close();
  }),
);

load('the code that every run loads holds no package but the TOML parser, and has not grown unnoticed', () => {
  const octets = readFileSync(path.join(DIST, 'main.cjs'));
  const { parts } = readMainFile(octets);
  const textOf = (name: string): string => octets.toString('latin1', ...(parts.get(name) ?? []));
  for (const trace of ['yargs', 'iconv-lite', 'createSecureContext(']) assert.ok(!textOf('main').includes(trace), `${trace} is in main`);
  // Each limit is in octets. Raise one only together with what it buys.
  const limits: Readonly<Record<string, number>> = {
    main: 223 * 1024,
    'transport-tls-tls': 24 * 1024,
  };
  for (const [name, limit] of Object.entries(limits)) {
    const { length } = textOf(name);
    assert.ok(length > 0 && length <= limit, `${name} has ${length} octets, more than ${limit}`);
  }
  for (const [file, limit] of [
    // What is longer Bun keeps in the caller's home (~/.bun), unless the script of nospool install has started it.
    ['sendmail.cjs', 4 * 1024],
    ['main.cjs', 360 * 1024],
  ] as const)
    assert.ok(statSync(path.join(DIST, file)).size <= limit, file);
});

load.run();
