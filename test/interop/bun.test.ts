/**
 * The same bundle under Bun, with the code that `nospool install` leaves for it: the whole matrix against Exim, what a short message
 * loads, and a signal.
 * Loopback: what a handshake loads is the subject, and its certificate is verified as everywhere.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BUN_FLAGS } from '../../src/nospool/install/wrapper.ts';
import { readMainFile } from '../../src/sendmail/start/loader.ts';
import { tlsWorld } from '../support/delivery.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { installCommand } from './support/command.ts';
import { scratch, until } from './support/daemon.ts';
import { startExim } from './support/exim.ts';
import { matrix } from './support/matrix.ts';
import { bun, suiteWith } from './support/needs.ts';
import { at } from './support/peer.ts';

const test = suiteWith('Bun, to Exim', 'root', 'unshare', 'exim4-daemon-heavy', 'bun');
const runtime = [bun() ?? '', ...BUN_FLAGS];

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

/** A root in which it is installed for Bun. */
function installed(dist = DIST): string {
  const root = scratch('root');
  const argv = [`${dist}/nospool.mjs`, 'install', '--root', root, '--runtime', bun() ?? ''];
  const run = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([run.status, run.stderr, /note: (?!\S+ is outside).*/.exec(run.stdout)?.[0]], [0, '', undefined]);
  return root;
}

test('nospool install leaves code for it', () => {
  installed();
  const version = spawnSync(bun() ?? '', ['--version'], { encoding: 'utf8' }).stdout.trim();
  for (const file of ['main.cjs', 'main.cjs.jsc', 'main.sums', 'transport-tls-tls.cjs.jsc', 'sums'])
    assert.ok(existsSync(`${DIST}/compiled/bun-${version}-${process.arch}/${file}`), file);
});

test('S5: as installed Bun obeys no file of the folder that it is called in, nor of those above, nor of a home directory', () => {
  const dist = `${scratch('dist')}/dist`;
  cpSync(DIST, dist, { recursive: true });
  const sendmail = `${installed(dist)}/usr/sbin/sendmail`;
  const above = scratch('above');
  const home = scratch('home');
  const folder = `${above}/a/b`;
  mkdirSync(folder, { recursive: true });
  const mark = `${above}/mark`;
  // Each of them runs this, or leads to it, if Bun is left alone.
  const evil = `require('node:fs').appendFileSync(${JSON.stringify(mark)}, 'obeyed\\n');`;
  const paths = (at: string) => JSON.stringify({ compilerOptions: { baseUrl: at, paths: { '*': [`${at}/evil.js`] } } });
  const bunfig = (at: string) => `preload = ["${at}/evil.js"]\n[run]\npreload = ["${at}/evil.js"]\n`;
  for (const at of [above, `${above}/a`, folder, home]) {
    const names: Readonly<Record<string, string>> = {
      'evil.js': evil,
      'bunfig.toml': bunfig(at),
      '.bunfig.toml': bunfig(at),
      'tsconfig.json': paths(at),
      'jsconfig.json': paths(at),
      'package.json': JSON.stringify({
        name: 'x',
        type: 'module',
        imports: { '#*': './evil.js', 'node:fs': './evil.js' },
        main: './evil.js',
      }),
      '.env': `BUN_OPTIONS=--preload=${at}/evil.js\nNOSPOOL_OBEYED=1\n`,
    };
    for (const kind of ['local', 'production', 'development', 'test']) Object.assign(names, { [`.env.${kind}`]: names['.env'] });
    for (const [name, text] of Object.entries(names)) writeFileSync(`${at}/${name}`, text);
    for (const name of ['fs', 'net', 'node:fs', 'main.cjs', 'vm']) {
      mkdirSync(`${at}/node_modules/${name}`, { recursive: true });
      writeFileSync(`${at}/node_modules/${name}/index.js`, evil);
    }
  }
  const env = { PATH: '/usr/bin:/bin', HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: `${home}/cache` };
  const run = (argv: readonly string[]) => spawnSync(argv[0] as string, argv.slice(1), { cwd: folder, env, encoding: 'utf8' });
  // Bun by itself does obey: the trap is one.
  run([bun() ?? '', `${dist}/sendmail.cjs`, '-bp']);
  assert.ok(existsSync(mark), 'obeyed where nothing prevents it');
  rmSync(mark);
  for (const argv of [['-bp'], ['-bi'], ['-bv', 'a@example.org']]) {
    const { stdout, stderr } = run([sendmail, ...argv]);
    assert.ok(!existsSync(mark), `${argv}: ${stdout}${stderr}`);
    assert.doesNotMatch(stdout + stderr, /OBEYED|evil/);
  }
  assert.deepEqual(run([sendmail, '-bp']).stdout, 'Mail queue is empty\n');
  // Nor does it leave there what it has compiled, or run what somebody else has left.
  rmSync(`${dist}/compiled`, { recursive: true });
  run([sendmail, '-bp']);
  assert.deepEqual(
    (readdirSync(home, { recursive: true }) as string[]).filter((name) => /cache|\.bun\//.test(name)),
    [],
  );
});

test('as installed Bun does not read the caller’s folder, where a million files may be, and relative names are still looked up there', () => {
  const sendmail = `${installed()}/usr/sbin/sendmail`;
  const folder = scratch('caller');
  writeFileSync(`${folder}/c.toml`, 'x = 1\n');
  const wasRead = (argv: readonly string[]) => {
    utimesSync(folder, 0, new Date());
    const run = spawnSync(argv[0] as string, [...argv.slice(1), '-C', 'c.toml', 'a@example.net'], { cwd: folder, env: {}, input: '' });
    assert.match(run.stderr.toString(), /^sendmail: c\.toml:1: key "x" is unknown/);
    return statSync(folder).atimeMs > 0;
  };
  assert.ok(wasRead([...runtime, `${DIST}/sendmail-bun.mjs`]), 'this file system does not tell, or Bun does not read it by itself');
  assert.ok(!wasRead([sendmail]));
  assert.deepEqual(
    spawnSync('/bin/sh', ['-c', `mkdir gone; cd gone; rmdir ../gone; ${sendmail} -bp`], {
      cwd: folder,
    }).stdout.toString(),
    'Mail queue is empty\n',
  );
});

test('Bun makes machine code late, where it has a call for that', () => {
  const folder = scratch('policy');
  const asked = `${folder}/asked`;
  const sendmail = (preloaded: string) => {
    writeFileSync(`${folder}/preloaded.cjs`, preloaded);
    return spawnSync(runtime[0] as string, ['--preload', `${folder}/preloaded.cjs`, `${DIST}/sendmail-bun.mjs`, '-bp'], {
      encoding: 'utf8',
    });
  };
  const recorded = sendmail(`Bun.unsafe.setJITPolicy = (scale) => require('node:fs').writeFileSync('${asked}', \`\${scale}\`);`);
  assert.deepEqual([recorded.status, readFileSync(asked, 'utf8')], [0, '10']);
  const without = sendmail('delete Bun.unsafe.setJITPolicy;');
  assert.deepEqual([without.status, without.stdout, without.stderr], [0, 'Mail queue is empty\n', '']);
});

test('a short message, in clear, over TLS or with a password, makes Bun load none of its copies of what Node has but node:fs', () =>
  within(60_000, async () => {
    const text = readFileSync(`${DIST}/main.cjs`, 'latin1');
    const { parts } = readMainFile(Buffer.from(text, 'latin1'));
    const atOnce = [
      ...['main', 'transport-bun-wire', 'transport-tls-tls', 'transport-tls-peername'],
      ...['submit-secret', 'smtp-sasl-choose', 'submit-scrub'],
    ].flatMap((part) => [...text.slice(...(parts.get(part) as readonly [number, number])).matchAll(/(?:=|,)require\("([^"]+)"\)/g)]);
    assert.deepEqual([...new Set(atOnce.map(([, name]) => name))].sort(), ['node:fs']);
    const asked = `${scratch('asked')}/asked.json`;
    const hook = `${asked}.cjs`;
    // Whatever else is loaded is asked for in this way.
    writeFileSync(
      hook,
      `const { getBuiltinModule } = process;
const asked = [];
process.getBuiltinModule = (id) => asked.push(id) && getBuiltinModule.call(process, id);
process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(asked)}, JSON.stringify(asked)));`,
    );
    const { certificate, caFile } = tlsWorld();
    for (const isSecured of [false, true]) {
      const server = await startHost({ secure: isSecured, tls: { key: certificate.key, cert: certificate.cert } });
      const command = installCommand(runtime);
      command.configure(
        `smarthosts = ["${isSecured ? 'submissions' : 'smtp'}://127.0.0.1:${server.port}"]\nhostname = "c.example"\n[tls]\n${
          isSecured ? `ca_file = "${caFile}"\nserver_name = "smart.example"` : 'mode = "off"'
        }\n`,
      );
      const [program = '', ...flags] = [...runtime, '--preload', hook, command.file, '-i', '-f', 'a@example.org', 'b@example.org'];
      const child = spawn(program, flags, {
        stdio: ['pipe', 'ignore', 'pipe'],
        env: { PATH: '/usr/bin:/bin', NOSPOOL_CONFIG: command.config },
      });
      let said = '';
      child.stderr?.setEncoding('utf8').on('data', (part) => (said += part));
      child.stdin?.end('Subject: x\n\nhello\n');
      const [status] = await once(child, 'close');
      assert.deepEqual([status, said, server.held.length], [0, '', 1]);
      assert.deepEqual(JSON.parse(readFileSync(asked, 'utf8')), [], isSecured ? 'TLS' : 'clear');
      await server.stop();
    }
  }));

matrix(test, { start: startExim, mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'], large: 64, runtime });

/** Gives the command a signal once the envelope is taken and standard input is open: it must end with status 1, and nobody has anything. */
async function signalMidway(signal: NodeJS.Signals, flags: readonly string[] = []): Promise<string> {
  const exim = await startExim();
  try {
    const command = installCommand(runtime);
    command.configure(`smarthosts = ["smtp://${HOST}:${exim.port}"]\nreplay_window = "1KiB"\n[tls]\nmode = "off"\n`);
    const [program = '', ...args] = [...runtime, ...flags, command.file, '-v', '-i', '-f', at('sender'), at('ann')];
    const child = spawn(program, args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { PATH: '/usr/bin:/bin', NOSPOOL_CONFIG: command.config },
    });
    let shown = '';
    child.stderr?.setEncoding('utf8').on('data', (part) => (shown += part));
    child.stdin?.on('error', () => undefined);
    child.stdin?.write(`Subject: s\n\n${'x'.repeat(70)}\n`.repeat(100));
    await until('the envelope is taken', () => /RCPT TO/.test(shown));
    child.kill(signal);
    const [status] = await once(child, 'close');
    assert.equal(status, 1);
    assert.equal(await exim.total(), 0);
    return shown;
  } finally {
    await exim.stop();
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} while standard input is open: exit status 1, and nobody has anything`, () =>
    within(30_000, async () => void (await signalMidway(signal))));

test('a rejection that nobody hears ends the command with status 1, and nobody has anything', () =>
  within(30_000, async () => {
    const hook = `${scratch('rejects')}/rejects.cjs`;
    writeFileSync(hook, "process.once('SIGWINCH', () => void Promise.reject(new Error('unheard')));");
    assert.match(
      await signalMidway('SIGWINCH', ['--preload', hook]),
      /bug: unheard; the message that was under way was not sent to its end/,
    );
  }));

test.run();
