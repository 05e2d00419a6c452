/**
 * Starts sendmail from code that was kept, which must belong to the program that would run without it, and takes its folder away meanwhile.
 * Loopback: what is loaded is the subject; TLS is required there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Script } from 'node:vm';
import { suite } from 'uvu';
import {
  findFault,
  makeScript,
  offerParts,
  openKept,
  printKept,
  printMainFile,
  readMainFile,
  unwrap,
  wrap,
} from '../../src/sendmail/start/loader.ts';
import { sinkWith } from '../support/admin.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, scratch, setUp, start } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('sendmail/loader');
const DIST = path.dirname(COMMAND);
const IS_BUN = /bun[^/]*$/.test(RUNTIME[0]);
const onBun = IS_BUN ? test : test.skip;

const PARTS = [
  ['main', wrap('exports.answer = () => require("other");')],
  ['other', wrap('module.exports = 42;')],
] as const;
const program = readMainFile(Buffer.from(printMainFile('rare.cjs', PARTS)));
const CODES = PARTS.map(([name, part]) => [name, new Script(part).createCachedData()] as const);

test('a program is read as it was printed, and its parts are what they were', () => {
  assert.equal(program.rare, 'rare.cjs');
  assert.deepEqual([...program.parts.keys()], ['main', 'other']);
  for (const [name, part] of PARTS) assert.equal(program.octets.toString('latin1', ...(program.parts.get(name) ?? [])), part);
  assert.equal(unwrap(wrap('x')), 'x');
  for (const wrong of ['', '//', '// a.cjs main 5\nabc', `${printMainFile('a.cjs', PARTS)} `, printMainFile('a.cjs', PARTS).slice(0, -1)])
    assert.throws(() => readMainFile(Buffer.from(wrong)), /it is not whole/);
});

test('a build is refused when two parts have one name, or one holds a character that the loader would read as others', () => {
  assert.equal(findFault(PARTS), null);
  assert.equal(findFault([...PARTS, ['main', wrap('')]]), 'two parts of the command have the name main: rename one of their files');
  for (const [text, escaped] of [
    ['const u = /x|\u00fc/u.test(y);', '\\u00fc'],
    ['String.raw`\u{1f600}`', '\\ud83d\\ude00'],
  ] as const) {
    const fault = findFault([...PARTS, ['last', wrap(text)]]) ?? '';
    assert.ok(fault.startsWith('last has "') && fault.includes(`write ${escaped} there: `) && fault.includes(text.slice(0, 10)), fault);
    assert.ok(!fault.includes('\n'), fault);
  }
});

test('a part that throws is run again when it is asked for again, and the error is the same', () => {
  const parts = [
    ['main', wrap('')],
    ['fails', wrap('exports.half = 1; throw new Error("of the part");')],
    ['works', wrap('exports.whole = {};')],
  ] as const;
  const before = globalThis.nospoolPart;
  try {
    const load = offerParts(
      scratch(),
      readMainFile(Buffer.from(printMainFile('rare.cjs', parts))),
      (name, text) => makeScript(name, text()),
      createRequire(import.meta.url),
    );
    for (const _ of [1, 2]) {
      assert.throws(() => load('fails'), /^Error: of the part$/);
      assert.throws(() => load('rare.cjs'), { code: 'ENOENT' });
    }
    assert.equal(load('works'), load('works'), 'one that has run is not run again');
  } finally {
    globalThis.nospoolPart = before;
  }
});

/** Makes a file with these octets. */
function fileOf(octets: Uint8Array): string {
  const file = path.join(scratch(), 'kept');
  writeFileSync(file, octets);
  return file;
}

test('a kept file is read back, and V8 takes its code, also when the file is gone', () => {
  const file = fileOf(printKept(program, CODES));
  const kept = openKept(file, program);
  rmSync(file);
  for (const [name, code] of CODES) assert.deepEqual(kept?.(name), code);
  assert.equal(kept?.('no such part'), null);
  assert.equal(new Script(PARTS[0][1], { cachedData: kept?.('main') ?? undefined }).cachedDataRejected, false);
  assert.equal(openKept(file, program), null);
});

test('S10: the loader does not take what belongs to another program of the same length', () => {
  const file = fileOf(printKept(program, CODES));
  const other = PARTS.map(([name, part]) => [name, part.replace('42', '43')] as const);
  assert.equal(openKept(file, readMainFile(Buffer.from(printMainFile('rare.cjs', other)))), null);
  if (!IS_BUN)
    assert.equal(new Script(other[1]?.[1] as string, { cachedData: CODES[1]?.[1] }).cachedDataRejected, false, 'V8 would have taken it');
});

test('S10: the loader does not take code that is damaged at any octet, or cut anywhere', () => {
  const whole = printKept(program, CODES);
  const file = fileOf(whole);
  for (let at = 0; at < whole.length; at++) {
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 0x01, at);
    writeFileSync(file, damaged);
    const kept = openKept(file, program);
    // One part may be whole beside another that is not.
    const taken = CODES.map(([name, code]) => [kept?.(name) ?? null, code] as const);
    for (const [got, code] of taken) assert.ok(got === null || got.equals(code), `${at}`);
    assert.ok(
      taken.some(([got]) => got === null),
      `${at}`,
    );
  }
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(file, whole.subarray(0, length));
    assert.equal(openKept(file, program), null, `${length} octets`);
  }
  writeFileSync(file, Buffer.concat([whole, whole]));
  assert.equal(openKept(file, program), null);
});

/** Copies the command, with code that was kept for the runtime of these tests. */
function installed(): { readonly folder: string; readonly command: string; readonly kept: string } {
  const folder = path.join(scratch(), 'dist');
  cpSync(DIST, folder, { recursive: true });
  rmSync(`${folder}/compiled`, { recursive: true, force: true });
  const made = spawnSync(RUNTIME[0], [...RUNTIME.slice(1), `${folder}/compile.cjs`], { input: 'Subject: x\n\nx\n', encoding: 'utf8' });
  assert.deepEqual([made.status, made.stderr], [0, '']);
  const [kept = ''] = readdirSync(`${folder}/compiled`);
  return { folder, command: `${folder}/${path.basename(COMMAND)}`, kept: `${folder}/compiled/${kept}` };
}

const QUEUE = 'Mail queue is empty\n';
const OTHER = 'Mail queue is EMPTY\n';

function answers(command: string, ...more: readonly string[]): unknown[] {
  const run = spawnSync(RUNTIME[0], [...RUNTIME.slice(1), ...more, command, '-bp'], { encoding: 'utf8', env: ENVIRONMENT });
  return [run.status, run.stdout, run.stderr];
}

/** Makes the main.cjs of another build, as long as this one. */
function otherMain(folder: string): string {
  const text = readFileSync(`${folder}/main.cjs`, 'latin1');
  const other = text.replaceAll('Mail queue is empty', 'Mail queue is EMPTY');
  assert.notEqual(other, text);
  return other;
}

onBun('Bun starts what is kept of main, if its sums are those of the program and of the file', () => {
  const { folder, command, kept } = installed();
  const main = readFileSync(`${kept}/main.cjs`, 'latin1');
  writeFileSync(`${kept}/main.cjs`, main.replaceAll('Mail queue is empty', 'Mail queue is EMPTY'), 'latin1');
  assert.deepEqual(answers(command), [0, QUEUE, ''], 'the sum of the file is another');
  const print = 'console.log(process.argv.slice(-2).map((file) => Bun.hash(require("node:fs").readFileSync(file)).toString(16)).join(" "))';
  const { stdout } = spawnSync(RUNTIME[0], ['-e', print, `${folder}/main.cjs`, `${kept}/main.cjs`], { encoding: 'utf8' });
  writeFileSync(`${kept}/main.sums`, stdout.trim());
  assert.deepEqual(answers(command), [0, OTHER, '']);
  writeFileSync(`${kept}/main.sums`, stdout.trim().slice(1));
  assert.deepEqual(answers(command), [0, QUEUE, ''], 'the sum of the program is another');
  rmSync(`${kept}/main.sums`);
  assert.deepEqual(answers(command), [0, QUEUE, '']);
});

test('S10: main.cjs runs when kept code is damaged or cut', () => {
  const { command, kept } = installed();
  const file = IS_BUN ? `${kept}/main.cjs` : kept;
  const whole = readFileSync(file);
  const places = [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999].map((part) => Math.floor(part * whole.length));
  for (const at of places) {
    const damaged = Buffer.from(whole);
    damaged.fill(0x58, at, at + 64);
    writeFileSync(file, damaged);
    assert.deepEqual(answers(command), [0, QUEUE, ''], `damaged at ${at}`);
    writeFileSync(file, whole.subarray(0, at));
    assert.deepEqual(answers(command), [0, QUEUE, ''], `cut at ${at}`);
  }
  writeFileSync(file, '');
  assert.deepEqual(answers(command), [0, QUEUE, '']);
});

test('O2: another main.cjs that is put over it runs, also with the times of before', () => {
  for (const how of ['written over', 'put in its place'] as const) {
    const { folder, command, kept } = installed();
    const main = `${folder}/main.cjs`;
    const { atime, mtime } = statSync(main);
    const text = otherMain(folder);
    writeFileSync(how === 'written over' ? main : `${main}.new`, text, 'latin1');
    if (how !== 'written over') renameSync(`${main}.new`, main);
    utimesSync(main, atime, mtime);
    assert.deepEqual(answers(command), [0, OTHER, ''], how);
    // It gives the same answer when it is compiled anew.
    spawnSync(RUNTIME[0], [...RUNTIME.slice(1), `${folder}/compile.cjs`], { input: 'Subject: x\n\nx\n' });
    assert.ok(statSync(kept).mtimeMs > 0);
    assert.deepEqual(answers(command), [0, OTHER, '']);
  }
});

test('one line says that main.cjs is cut or missing', () => {
  const { folder, command } = installed();
  const main = `${folder}/main.cjs`;
  const text = readFileSync(main);
  for (const wrong of [text.subarray(0, text.length / 2), null]) {
    if (wrong === null) rmSync(main);
    else writeFileSync(main, wrong);
    const run = spawnSync(RUNTIME[0], [...RUNTIME.slice(1), command, '-bp'], { encoding: 'utf8', env: ENVIRONMENT });
    assert.deepEqual([run.status, run.stdout], [1, '']);
    assert.match(run.stderr, /^sendmail: .*\/main\.cjs cannot be run \(.*\): install nospool again\n$/);
  }
});

/** Changes that may happen to the folder while a message is under way. */
const CHANGES: Readonly<Record<string, (folder: string) => void>> = {
  'is removed': (folder) => rmSync(folder, { recursive: true }),
  'is another': (folder) => {
    renameSync(folder, `${folder}.old`);
    mkdirSync(folder);
    for (const name of readdirSync(`${folder}.old`))
      if (/\.[cm]js$/.test(name)) writeFileSync(`${folder}/${name}`, 'throw new Error("of another build");');
  },
  'is written over': (folder) => {
    // Another build's character sets have another name.
    for (const name of readdirSync(folder))
      if (/^(main|sendmail|sendmail-bun|compile)\.[cm]js$/.test(name))
        writeFileSync(`${folder}/${name}`, 'throw new Error("of another build");');
  },
};

for (const [what, change] of Object.entries(CHANGES))
  test(`O2: a message is under way while the folder ${what}: it goes over TLS, with a password, in seven bits, its character set named`, () =>
    within(60_000, async () => {
      const { folder, command } = installed();
      const store = scratch();
      const sink = await sinkWith({ starttls: true, auth: 'me:secret', extensions: ['PIPELINING', 'SIZE'], store });
      const { config } = setUp(
        `smarthosts = ["submission://127.0.0.1:${sink.port}"]\nqualify_domain = "example.org"\nreplay_window = "4MiB"`,
        `[auth]\nuser = "me"\npassword = "secret"\n[tls]\nmode = "required"\nca_file = "${sink.certificate}"`,
      );
      const { child, done } = start(config, ['-i', 'a@example.net'], { command, env: { ...ENVIRONMENT, LANG: 'ru_RU.KOI8-R' } });
      // This is more than a socket holds: when all of it is gone, the process has begun to read, and waits for the rest.
      const text = Buffer.from(`Subject: x\n\n${'\xf0\xd2\xc9\xd7\xc5\xd4\n'.repeat(150_000)}`, 'latin1');
      await new Promise((resolve) => child.stdin?.write(text, resolve));
      change(folder);
      child.stdin?.end('the end\n');
      const { status, stderr } = await done;
      await sink.close();
      assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
      const message = readFileSync(path.join(store, readdirSync(store)[0] as string), 'latin1');
      assert.match(message, /^Content-Type: text\/plain; charset="?koi8-r"?\r$/im);
      assert.match(message, /^=F0=D2=C9=D7=C5=D4\r$/m);
    }));

test.run();
