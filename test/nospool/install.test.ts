import assert from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import fs, {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { noteClosedCode, noteClosedFolders } from '../../src/nospool/install/install.ts';
import { printWrapper } from '../../src/nospool/install/wrapper.ts';
import { configured, nospool, sinkWith } from '../support/admin.ts';
import { failing, withCalls } from '../support/calls.ts';
import { scratch, setUp, smartHost, toHosts } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('install');

const BUILT = realpathSync(fileURLToPath(new URL('../../dist/sendmail.cjs', import.meta.url)));
const PLACES = ['usr/bin/mailq', 'usr/bin/newaliases', 'usr/lib/sendmail', 'usr/sbin/sendmail'];

const filesBelow = (root: string): string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => !lstatSync(path.join(root, name)).isDirectory())
    .sort();

test('install writes scripts that run, and uninstall removes them', async () => {
  const root = scratch();
  const installed = await nospool('install', '--root', root);
  assert.equal(installed.status, 0, installed.stderr);
  assert.deepEqual(filesBelow(root), PLACES);
  for (const place of PLACES) {
    assert.equal(statSync(path.join(root, place)).mode & 0o7777, 0o755, 'no set-id, whatever the umask');
    assert.ok(installed.stdout.includes(`${path.join(root, place)} written\n`));
    assert.ok(
      readFileSync(path.join(root, place), 'utf8').includes(`exec ${process.execPath} --use-openssl-ca --v8-pool-size=1 ${BUILT} "$@"\n`),
    );
  }
  assert.ok(installed.stdout.includes(`\nthey run ${BUILT} with ${process.execPath}\n`));
  for (const file of [process.execPath, BUILT])
    assert.ok(
      installed.stdout.includes(`\nnote: ${file} is outside ${root}, and was not copied: it must be there where the scripts run\n`),
    );
  const removed = await nospool('uninstall', '--root', root);
  assert.equal(removed.status, 0, removed.stderr);
  assert.deepEqual(filesBelow(root), []);
  assert.equal((await nospool('uninstall', '--root', root)).stdout, 'nothing of nospool is installed\n');
});

test('uninstall restores the files that were there, however often install ran', async () => {
  const root = scratch();
  mkdirSync(`${root}/usr/sbin`, { recursive: true });
  mkdirSync(`${root}/usr/bin`);
  writeFileSync(`${root}/usr/sbin/sendmail`, 'the other one', { mode: 0o750 });
  symlinkSync('/nonexistent/mailq', `${root}/usr/bin/mailq`);
  for (let i = 0; i < 3; i++) assert.equal((await nospool('install', '--root', root)).status, 0);
  assert.equal(readFileSync(`${root}/usr/sbin/sendmail.nospool-saved`, 'utf8'), 'the other one');
  assert.equal((await nospool('uninstall', '--root', root)).status, 0);
  assert.deepEqual(filesBelow(root), ['usr/bin/mailq', 'usr/sbin/sendmail']);
  assert.equal(readFileSync(`${root}/usr/sbin/sendmail`, 'utf8'), 'the other one');
  assert.equal(statSync(`${root}/usr/sbin/sendmail`).mode & 0o777, 0o750);
  assert.equal(readlinkSync(`${root}/usr/bin/mailq`), '/nonexistent/mailq');
});

/** A root with a sendmail of somebody else. */
function rootWithAnother(): { readonly root: string; readonly sendmail: string } {
  const root = scratch();
  mkdirSync(`${root}/usr/sbin`, { recursive: true });
  writeFileSync(`${root}/usr/sbin/sendmail`, 'the other one', { mode: 0o750 });
  return { root, sendmail: `${root}/usr/sbin/sendmail` };
}

test('there is a sendmail at every moment of install and uninstall', async () => {
  for (const kind of ['file', 'link'] as const) {
    const { root, sendmail } = rootWithAnother();
    if (kind === 'link') {
      renameSync(sendmail, `${root}/usr/sbin/exim4`);
      symlinkSync('exim4', sendmail);
    }
    const gone: string[] = [];
    let count = 0;
    const originals = { ...fs } as unknown as Record<string, (...args: unknown[]) => unknown>;
    const watched = Object.fromEntries(
      (['renameSync', 'linkSync', 'symlinkSync', 'unlinkSync', 'rmSync', 'openSync', 'closeSync'] as const).map((name) => [
        name,
        (...args: unknown[]) => {
          const value = originals[name]?.(...args);
          count += 1;
          if (!existsSync(sendmail)) gone.push(`${name} ${args.join(' ')}`);
          return value;
        },
      ]),
    );
    await withCalls(watched, async () => {
      for (const command of ['install', 'install', 'uninstall']) assert.equal((await nospool(command, '--root', root)).status, 0);
    });
    assert.ok(count > 20, `${count} calls were seen`);
    assert.deepEqual(gone, []);
    assert.equal(readFileSync(sendmail, 'utf8'), 'the other one');
    assert.equal(lstatSync(sendmail).isSymbolicLink(), kind === 'link');
  }
});

test('an installation that fails leaves the sendmail that was there, by its name alone', async () => {
  const { root, sendmail } = rootWithAnother();
  const files = (): string[] => filesBelow(`${root}/usr`);
  // No file can grow, as on a disk that is full.
  cpSync(path.dirname(BUILT), `${root}/dist`, { recursive: true });
  const line = `ulimit -f 0; exec ${process.execPath} ${root}/dist/nospool.mjs install --root ${root}`;
  const full = spawnSync('/bin/sh', ['-c', line], { encoding: 'utf8' });
  assert.deepEqual([full.status, full.stdout, full.stderr], [1, '', `nospool: cannot write ${sendmail}: EFBIG\n`]);
  assert.deepEqual(files(), ['sbin/sendmail']);
  const { renameSync: rename } = fs;
  const refusing = (from: string, to: string) => (to === sendmail && !from.endsWith('-saved') ? failing('EBUSY')() : rename(from, to));
  for (const calls of [{ renameSync: refusing }, { renameSync: refusing, linkSync: failing('EPERM') }])
    await withCalls(calls, async () => {
      const run = await nospool('install', '--root', root);
      assert.deepEqual([run.status, run.stdout, run.stderr], [1, '', `nospool: cannot write ${sendmail}: EBUSY\n`]);
      assert.deepEqual(files(), ['sbin/sendmail']);
      assert.equal(readFileSync(sendmail, 'utf8'), 'the other one');
    });
  // What was saved before is not lost.
  writeFileSync(`${sendmail}.nospool-saved`, 'of before');
  await withCalls({ openSync: failing('ENOSPC') }, async () => {
    assert.equal((await nospool('install', '--root', root)).status, 1);
  });
  assert.deepEqual(files(), ['sbin/sendmail', 'sbin/sendmail.nospool-saved']);
  assert.equal(readFileSync(`${sendmail}.nospool-saved`, 'utf8'), 'of before');
});

test('where no file can have two names, what was there is saved, too', async () => {
  const { root, sendmail } = rootWithAnother();
  await withCalls({ linkSync: failing('EPERM') }, async () => {
    assert.equal((await nospool('install', '--root', root)).status, 0);
  });
  assert.equal(readFileSync(`${sendmail}.nospool-saved`, 'utf8'), 'the other one');
  // A folder has never two names.
  mkdirSync(`${root}/usr/bin/folder`);
  rmSync(`${root}/usr/bin/mailq`);
  renameSync(`${root}/usr/bin/folder`, `${root}/usr/bin/mailq`);
  assert.equal((await nospool('install', '--root', root)).status, 0);
  assert.ok(lstatSync(`${root}/usr/bin/mailq.nospool-saved`).isDirectory());
  assert.equal((await nospool('uninstall', '--root', root)).status, 0);
  assert.equal(readFileSync(sendmail, 'utf8'), 'the other one');
  assert.ok(lstatSync(`${root}/usr/bin/mailq`).isDirectory());
});

test('copies of code that cannot be removed are told', async () => {
  const { root } = rootWithAnother();
  const copies = `${root}/usr/local/lib/nospool`;
  mkdirSync(`${copies}/code-1`, { recursive: true });
  const reason = `cannot remove the code in ${copies}: permission denied\n`;
  const { rmSync: rm } = fs;
  const refusing = (file: string, options: fs.RmOptions) => (file.startsWith(copies) ? failing('EACCES')() : rm(file, options));
  await withCalls({ rmSync: refusing }, async () => {
    const installed = await nospool('install', '--root', root);
    assert.deepEqual([installed.status, installed.stderr], [0, '']);
    assert.ok(installed.stdout.endsWith(`\nnote: ${reason}`), installed.stdout);
    const removed = await nospool('uninstall', '--root', root);
    assert.deepEqual([removed.status, removed.stderr], [1, `nospool: ${reason}`]);
    assert.match(removed.stdout, /sendmail is restored\n/);
  });
});

test('a link to sendmail stays a link, and files of others stay', async () => {
  const root = scratch();
  mkdirSync(`${root}/usr/lib`, { recursive: true });
  symlinkSync('../sbin/sendmail', `${root}/usr/lib/sendmail`);
  const { stdout } = await nospool('install', '--root', root);
  assert.ok(stdout.includes(`${root}/usr/lib/sendmail is a link to ${root}/usr/sbin/sendmail\n`), stdout);
  assert.ok(lstatSync(`${root}/usr/lib/sendmail`).isSymbolicLink());
  writeFileSync(`${root}/usr/bin/mailq`, 'from a package');
  await nospool('uninstall', '--root', root);
  assert.deepEqual(filesBelow(root), ['usr/bin/mailq', 'usr/lib/sendmail']);
});

test('what dpkg-divert has moved is told with the command that puts it back', async () => {
  const root = scratch();
  mkdirSync(`${root}/usr/sbin`, { recursive: true });
  const diverted = `${root}/usr/sbin/sendmail.distrib`;
  writeFileSync(diverted, 'of a package');
  const cure = `${diverted} is there: run dpkg-divert --local --rename --remove ${root}/usr/sbin/sendmail, and it is ${root}/usr/sbin/sendmail again\n`;
  await nospool('install', '--root', root);
  const removed = await nospool('uninstall', '--root', root);
  assert.ok(removed.stdout.includes(`/usr/sbin/sendmail removed\n${cure}`), removed.stdout);
  writeFileSync(`${root}/usr/sbin/sendmail`, 'of the package again');
  assert.equal((await nospool('uninstall', '--root', root)).stdout, 'nothing of nospool is installed\n');
});

test('files of packages: a note names the package of a file that is replaced, and those of our own package stay', async () => {
  const root = scratch();
  for (const folder of ['usr/sbin', 'usr/bin', 'usr/lib/nospool', 'var/lib/dpkg/info']) mkdirSync(`${root}/${folder}`, { recursive: true });
  writeFileSync(`${root}/var/lib/dpkg/info/other-mta:amd64.list`, '/.\n/usr/sbin/sendmail\n/usr/bin/mailq\n/usr/bin/newaliases\n');
  writeFileSync(
    `${root}/var/lib/dpkg/diversions`,
    '/usr/bin/mailq\n/usr/bin/mailq.distrib\n:\n/usr/bin/newaliases\n/usr/bin/n.real\nvacation\n',
  );
  for (const place of PLACES.filter((each) => each !== 'usr/lib/sendmail')) writeFileSync(`${root}/${place}`, 'of a package');
  const noted = (await nospool('install', '--root', root)).stdout.match(/^note: of package.*$/gm);
  const advice = 'install the package nospool-mta in its place, or move them with dpkg-divert before';
  assert.deepEqual(noted?.sort(), [
    `note: of package other-mta, whose next upgrade puts its own there: ${root}/usr/sbin/sendmail; ${advice}`,
    `note: of package vacation, whose next upgrade puts its own there: ${root}/usr/bin/newaliases; ${advice}`,
  ]);
  assert.doesNotMatch((await nospool('install', '--root', root)).stdout, /note: of package/, 'its files are beside ours by now');
  await nospool('uninstall', '--root', root);
  for (const place of PLACES) rmSync(`${root}/${place}`, { force: true });
  writeFileSync(`${root}/var/lib/dpkg/info/other-mta:amd64.list`, '');
  writeFileSync(`${root}/var/lib/dpkg/info/nospool-mta.list`, '/usr/sbin/sendmail\n');
  const script = printWrapper({
    version: '1',
    interpreter: '/usr/bin/node',
    command: BUILT,
    isBun: false,
    memoryTest: null,
    hasSplit: true,
    isPackaged: true,
  });
  assert.match(
    script,
    /\n# Of the package of nospool 1: an upgrade replaces it\.\n[\s\S]*\/usr\/bin\/node, which runs nospool, is not there: install the package nospool again/,
  );
  writeFileSync(`${root}/usr/lib/nospool/sendmail`, script);
  symlinkSync('../lib/nospool/sendmail', `${root}/usr/sbin/sendmail`);
  const left = await nospool('install', '--root', root);
  assert.ok(left.stdout.includes(`${root}/usr/sbin/sendmail belongs to package nospool-mta, and is this program already\n`), left.stdout);
  writeFileSync(`${root}/usr/lib/nospool/sendmail`, script.replaceAll(path.dirname(BUILT), '/usr/lib/nospool'));
  assert.deepEqual(
    await nospool('install', '--root', root),
    {
      status: 1,
      stdout: '',
      stderr: `nospool: ${root}/usr/sbin/sendmail belongs to package nospool-mta, and that is another nospool than this: upgrade that package, or remove it before\n`,
    },
    'the package runs another program',
  );
  const removed = await nospool('uninstall', '--root', root);
  assert.ok(removed.stdout.includes(`${root}/usr/sbin/sendmail belongs to package nospool-mta: remove that package, and it is gone\n`));
  assert.equal(readlinkSync(`${root}/usr/sbin/sendmail`), '../lib/nospool/sendmail');
});

test('install --compile writes nothing but compiled code, and fails where that cannot be kept', () => {
  const root = scratch();
  cpSync(path.dirname(BUILT), `${root}/dist`, { recursive: true });
  rmSync(`${root}/dist/compiled`, { recursive: true, force: true });
  const compile = () =>
    spawnSync(process.execPath, [`${root}/dist/nospool.mjs`, 'install', '--root', root, '--compile'], { encoding: 'utf8' });
  const { status, stdout, stderr } = compile();
  assert.deepEqual([status, stdout, stderr], [0, `${root}/dist is compiled for ${process.execPath} (${process.version})\n`, '']);
  assert.ok(readdirSync(`${root}/dist/compiled`).includes('memory-test'));
  assert.ok(!existsSync(`${root}/usr`));
  rmSync(`${root}/dist/compiled`, { recursive: true });
  writeFileSync(`${root}/dist/compiled`, '');
  const failed = compile();
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /^nospool: starts are not made faster: /);
});

test('any user compiles the code, without a word, and what the environment says of smart hosts does not count', () => {
  const root = scratch();
  cpSync(path.dirname(BUILT), `${root}/dist`, { recursive: true });
  rmSync(`${root}/dist/compiled`, { recursive: true, force: true });
  const user = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if (user.uid !== undefined) for (const folder of [root, `${root}/dist`]) chownSync(folder, user.uid, user.uid);
  const compile = () =>
    spawnSync(process.execPath, [`${root}/dist/compile.cjs`], {
      ...user,
      env: { NOSPOOL_SMARTHOSTS: 'smtp://127.0.0.1:1' },
      input: 'Subject: x\n\nx\n',
      encoding: 'utf8',
    });
  const { status, stdout, stderr } = compile();
  assert.deepEqual([status, stdout, stderr], [0, '', '']);
  assert.equal(readdirSync(`${root}/dist/compiled`).length, 1);
  rmSync(`${root}/dist/compiled`, { recursive: true });
  writeFileSync(`${root}/dist/compiled`, '');
  const failed = compile();
  assert.notEqual(failed.status, 0);
  assert.match(failed.stderr, /^Error: EEXIST: file already exists, mkdir '.*\/dist\/compiled'$/m);
  assert.doesNotMatch(failed.stderr, /^sendmail: /m);
});

test('a path inside of the root is written as it will be there', async () => {
  const root = scratch();
  const runtime = `${root}/opt/node`;
  mkdirSync(`${root}/opt`);
  writeFileSync(runtime, `#!/bin/sh\nexec ${process.execPath} "$@"\n`);
  const closed = await nospool('install', '--root', root, '--runtime', runtime);
  assert.deepEqual([closed.status, closed.stderr], [1, `nospool: cannot run ${runtime}: permission denied\n`]);
  chmodSync(runtime, 0o755);
  const run = await nospool('install', '--root', root, '--runtime', runtime);
  assert.equal(run.status, 0, run.stderr);
  assert.ok(
    readFileSync(`${root}/usr/sbin/sendmail`, 'utf8').includes(`\nexec /opt/node --use-openssl-ca --v8-pool-size=1 ${BUILT} "$@"\n`),
  );
  assert.ok(run.stdout.includes(`\nthey run ${BUILT} with /opt/node\n`));
});

test('an error names the place that cannot be written', async () => {
  const root = scratch();
  writeFileSync(`${root}/usr`, '');
  const run = await nospool('install', '--root', root);
  assert.equal(run.status, 1);
  assert.match(run.stderr, /^nospool: cannot write .*\/usr\/sbin\/sendmail: .+\n$/);
});

/** All the variables that a caller may set wrong, at once. */
const HOSTILE = { NODE_OPTIONS: '--no-such-option', NODE_EXTRA_CA_CERTS: '/nonexistent', NODE_CHANNEL_FD: '99', NODE_DEBUG: 'net' };
/** Debian's shell, and others that serve as /bin/sh, with the words that start each. */
const SHELLS = [['/bin/sh'], ['/bin/dash'], ['/bin/bash'], ['/bin/busybox', 'sh']].filter(([program = '']) => existsSync(program));

for (const shell of SHELLS)
  test(`runs under ${shell.join(' ')} with no PATH and a hostile environment, by all its names`, () =>
    within(60_000, async () => {
      const root = scratch();
      await nospool('install', '--root', root);
      for (const name of ['runq', 'rmail', 'rsmtp']) symlinkSync('sendmail', `${root}/usr/sbin/${name}`);
      const sink = await sinkWith();
      const { config, log } = configured(`smarthosts = ["submission://127.0.0.1:${sink.port}"]`);
      const run = (name: string, argv: readonly string[], input = '') =>
        new Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }>((resolve) => {
          const child = spawn(shell[0] as string, [...shell.slice(1), `${root}/usr/${name}`, ...argv], {
            env: { ...HOSTILE, NOSPOOL_CONFIG: config },
          });
          let [stdout, stderr] = ['', ''];
          child.stdout.on('data', (octets) => {
            stdout += octets;
          });
          child.stderr.on('data', (octets) => {
            stderr += octets;
          });
          child.stdin.on('error', () => {});
          child.stdin.end(input);
          child.on('close', (status) => resolve({ status, stdout, stderr }));
        });
      assert.deepEqual(await run('bin/mailq', []), { status: 0, stdout: 'Mail queue is empty\n', stderr: '' });
      assert.deepEqual(await run('bin/newaliases', []), { status: 0, stdout: '0 aliases\n', stderr: '' });
      assert.deepEqual(await run('sbin/runq', []), { status: 0, stdout: '', stderr: '' });
      assert.deepEqual(await run('sbin/sendmail', ['-i', 'a@example.org'], 'Subject: x\n\n.\nx\n'), {
        status: 0,
        stdout: '',
        stderr: '',
      });
      assert.equal((await run('sbin/rmail', ['a@example.org'], 'Subject: x\n\n.\nx\n')).status, 0);
      await sink.close();
      const bodies = sink.told.filter(({ event }) => event === 'message').map(({ content }) => String(content).split('\r\n\r\n')[1]);
      assert.deepEqual(bodies, ['.\r\nx\r\n', '.\r\nx\r\n']);
      assert.equal(readFileSync(log, 'utf8').match(/ Completed$/gm)?.length, 2);
    }));

for (const shell of SHELLS)
  test(`under ${shell.join(' ')} with closed descriptors the exit status is that of the message, and nothing is printed`, () =>
    within(60_000, async () => {
      const root = scratch();
      await nospool('install', '--root', root);
      const { config, log } = configured('smarthosts = ["submission://127.0.0.1:1"]');
      for (const [closed, out, err] of [
        ['1>&-', '', /^sendmail: .*refused\n$/],
        ['2>&-', '', /^$/],
        ['1>&- 2>&-', '', /^$/],
        ['0<&- 1>&- 2>&-', '', /^$/],
      ] as const) {
        const line = `exec ${shell.join(' ')} ${root}/usr/sbin/sendmail -C ${config} a@example.org ${closed}`;
        const run = spawnSync('/bin/sh', ['-c', line], { input: 'Subject: x\n\nx\n', encoding: 'utf8', env: {}, timeout: 20_000 });
        assert.equal(run.status, 1, closed);
        assert.equal(run.stdout, out, closed);
        assert.match(run.stderr, err, closed);
      }
      assert.equal(readFileSync(log, 'utf8').match(/ Failed: /g)?.length, 4, 'the log has the reason each time');
    }));

test('S10: install compiles the code anew for the interpreter, and only for this build', () =>
  within(60_000, async () => {
    const root = scratch();
    cpSync(path.dirname(BUILT), `${root}/dist`, { recursive: true });
    rmSync(`${root}/dist/compiled`, { recursive: true, force: true });
    const compiled = `${root}/dist/compiled`;
    const install = () => spawnSync(process.execPath, [`${root}/dist/nospool.mjs`, 'install', '--root', root], { encoding: 'utf8' });
    const first = install();
    assert.deepEqual([first.status, first.stderr], [0, '']);
    assert.doesNotMatch(first.stdout, /note: (?!\S+ is outside)/);
    const kept = `${process.versions.v8}-${process.arch}`;
    assert.deepEqual(readdirSync(compiled), [kept, `${kept}-jitless`, 'memory-test']);
    for (const name of readdirSync(compiled)) assert.equal(statSync(`${compiled}/${name}`).mode & 0o022, 0, name);
    writeFileSync(`${compiled}/${kept}`, 'damaged');
    const main = readFileSync(`${root}/dist/main.cjs`, 'latin1');
    writeFileSync(`${root}/dist/main.cjs`, main.replaceAll('Mail queue is empty', 'Mail queue is EMPTY'), 'latin1');
    assert.equal(install().status, 0);
    assert.ok(statSync(`${compiled}/${kept}`).size > main.length, 'made again');
    const mailq = spawnSync(process.execPath, [`${root}/dist/sendmail.cjs`, '-bp'], { encoding: 'utf8' });
    assert.equal(mailq.stdout, 'Mail queue is EMPTY\n');
  }));

test('O1: an interpreter that does not run nospool is refused, and nothing is written', () =>
  within(60_000, async () => {
    const folder = scratch();
    const script = (name: string, text: string): string => {
      writeFileSync(`${folder}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
      return `${folder}/${name}`;
    };
    // This program prints the version of Node 18, as that runtime would.
    writeFileSync(`${folder}/old.cjs`, "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.19.1' } });");
    const rows: readonly (readonly [string, RegExp])[] = [
      ['/bin/false', /^nospool: \/bin\/false does not run nospool: it does not answer\n$/],
      ['/bin/true', /^nospool: \/bin\/true does not run nospool: it does not answer\n$/],
      ['/bin/echo', /^nospool: \/bin\/echo does not run nospool: .*--version\n$/],
      [script('broken', 'echo it is broken >&2; exit 3'), /^nospool: .*broken does not run nospool: it is broken\n$/],
      [
        script('old', `exec ${process.execPath} --require ${folder}/old.cjs "$@"`),
        /^nospool: .*\/old does not run nospool: this is Node 18\.19\.1, which is too old: nospool needs Node 20\.19, 22\.12, or 24 and newer\n$/,
      ],
    ];
    for (const [runtime, expected] of rows) {
      const root = scratch();
      const run = await nospool('install', '--root', root, '--runtime', runtime);
      assert.deepEqual([run.status, run.stdout], [1, ''], runtime);
      assert.match(run.stderr, expected);
      assert.deepEqual(filesBelow(root), []);
    }
  }));

test('O5: the script has the name that PATH has for the interpreter, if that leads to the same file', () =>
  within(60_000, async () => {
    const folder = scratch();
    const { PATH } = process.env;
    symlinkSync(process.execPath, `${folder}/node`);
    const namedWith = async (path: string): Promise<string | undefined> => {
      const root = scratch();
      process.env.PATH = path;
      const { status, stderr } = await nospool('install', '--root', root);
      assert.equal(status, 0, stderr);
      return /^exec (\S+) /m.exec(readFileSync(`${root}/usr/sbin/sendmail`, 'utf8'))?.[1];
    };
    try {
      assert.equal(await namedWith(`relative:${folder}:/usr/bin`), `${folder}/node`);
      assert.equal(await namedWith('/nonexistent'), process.execPath);
      // Another program of that name does not count.
      rmSync(`${folder}/node`);
      symlinkSync('/bin/sh', `${folder}/node`);
      assert.equal(await namedWith(folder), process.execPath);
      // A name that others may replace does not count either.
      rmSync(`${folder}/node`);
      symlinkSync(process.execPath, `${folder}/node`);
      chmodSync(folder, 0o777);
      assert.equal(await namedWith(folder), process.execPath);
    } finally {
      process.env.PATH = PATH;
    }
  }));

/** A root in which nospool is installed, with a smart host for its sendmail. */
async function installation(runtime: readonly string[] = []) {
  const root = scratch();
  const installed = await nospool('install', '--root', root, ...runtime);
  assert.equal(installed.status, 0, installed.stderr);
  const host = await smartHost();
  const { config, logged, folder } = setUp(toHosts(host.port));
  const script = `${root}/usr/sbin/sendmail`;
  /** Runs sendmail below a shell that first runs `before`. */
  const sent = (before: string, { shell = '', cwd = '/' } = {}) =>
    new Promise<unknown[]>((resolve) => {
      const child = spawn('/bin/sh', ['-c', `${before} exec ${shell} ${script} -C ${config} -i a@example.org`], { env: {}, cwd });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (octets) => {
          said += octets;
        });
      child.stdin.on('error', () => {});
      child.stdin.end('Subject: x\n\nx\n');
      child.on('close', (status) => resolve([status, said]));
    });
  return { root, script, host, config, logged, folder, sent };
}

/** '' is the shell that the script names. */
const EACH_SHELL = ['', ...SHELLS.map((shell) => shell.join(' '))];

for (const shell of EACH_SHELL)
  test(`O5: under ${shell || 'its own shell'} a missing runtime or missing code is reported, and the status is 1`, () =>
    within(60_000, async () => {
      const folder = scratch();
      const runtime = `${folder}/node`;
      writeFileSync(runtime, `#!/bin/sh\nexec ${process.execPath} "$@"\n`, { mode: 0o755 });
      const { script, host, sent } = await installation(['--runtime', runtime]);
      assert.deepEqual(await sent('', { shell }), [0, '']);
      // The loader of the runtime is missing.
      writeFileSync(runtime, '#!/nonexistent/loader\n');
      const [status, said] = await sent('', { shell });
      assert.deepEqual([status, String(said).split('\n').at(-2)], [1, `sendmail: cannot run ${runtime}`]);
      rmSync(runtime);
      const missing = `sendmail: ${runtime}, which runs nospool, is not there: run "nospool install" again\n`;
      assert.deepEqual(await sent('', { shell }), [1, missing]);
      const text = readFileSync(script, 'utf8');
      writeFileSync(script, text.replaceAll(runtime, process.execPath).replaceAll(BUILT, '/nonexistent/sendmail.cjs'));
      assert.deepEqual(await sent('', { shell }), [1, 'sendmail: /nonexistent/sendmail.cjs is not there: run "nospool install" again\n']);
      await host.close();
    }));

test('O5: a runtime that cannot run is logged, and a caller that still writes does not die of it', () =>
  within(60_000, async () => {
    const folder = scratch();
    const logger = `${folder}/logger`;
    const script = `${folder}/sendmail`;
    writeFileSync(logger, `#!/bin/sh\nprintf '%s\\n' "$@" >${folder}/logged\n`, { mode: 0o755 });
    const wrapper = printWrapper({
      version: '1',
      interpreter: '/nonexistent/node',
      command: BUILT,
      isBun: false,
      memoryTest: null,
      hasSplit: false,
    });
    writeFileSync(script, wrapper.replaceAll('/usr/bin/logger', logger).replaceAll('/var/log/nospool.log', `${folder}/log`), {
      mode: 0o755,
    });
    // A pipe holds less. printf is a builtin, so SIGPIPE would end the shell before it prints anything.
    const caller = `{ head -c 1000000 /dev/zero; echo "written: $?" >&2; } | ${script} -t; echo "status: $?" >&2`;
    const run = () =>
      spawnSync('/bin/bash', ['-c', `set -o pipefail; ${caller}`], { encoding: 'utf8', timeout: 20_000 })
        .stderr.split('\n')
        .sort();
    const reason = '/nonexistent/node, which runs nospool, is not there: run "nospool install" again';
    assert.deepEqual(run(), ['', `sendmail: ${reason}`, 'status: 1', 'written: 0']);
    assert.equal(readFileSync(`${folder}/logged`, 'utf8'), `-t\nnospool\n-p\nmail.err\nnot sent: ${reason}\n`);
    writeFileSync(`${folder}/log`, '');
    rmSync(`${folder}/logged`);
    run();
    assert.match(readFileSync(`${folder}/log`, 'utf8'), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ not sent: \/nonexistent\/node, which .*\n$/);
    assert.ok(!existsSync(`${folder}/logged`), 'one log is enough');
  }));

/** KiB. Dovecot gives its processes as much by default, where that is enough. */
const LITTLE = /^v2[02]\./.test(process.version) ? 262_144 : 700_000;

for (const shell of EACH_SHELL)
  test(`C1: under ${shell || 'its own shell'} with little address space it sends, or reports that this is too little`, () =>
    within(60_000, async () => {
      const { host, sent } = await installation();
      assert.deepEqual(await sent(`ulimit -v ${LITTLE};`, { shell }), [0, '']);
      assert.equal(host.messages.length, 1);
      const tooLittle = /^sendmail: Node needs \d+ KiB of address space and has 100000 \(ulimit -v; Dovecot: vsz_limit\)\n$/;
      const [status, said] = await sent('ulimit -v 100000;', { shell });
      assert.equal(status, 1);
      assert.match(String(said), tooLittle);
      // The script lifts a soft limit.
      assert.deepEqual(await sent('ulimit -S -v 100000;', { shell }), [0, '']);
      assert.deepEqual(await sent('ulimit -v 4000000;', { shell }), [0, '']);
      // A closed descriptor 0 is an empty message.
      assert.deepEqual(await sent(`ulimit -v ${LITTLE}; exec 0<&-;`, { shell }), [0, '']);
      await host.close();
    }));

for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGALRM', 'SIGUSR2', 'SIGXCPU'] as const)
  test(`C1: with little address space ${signal} to the script ends the delivery, and no process stays`, () =>
    within(60_000, async () => {
      const { script, host, config, logged } = await installation();
      const child = spawn('/bin/sh', ['-c', `ulimit -v ${LITTLE}; exec ${script} -C ${config} -i a@example.org`], { env: {} });
      let said = '';
      child.stderr.on('data', (octets) => {
        said += octets;
      });
      child.stdin.on('error', () => {});
      // More than a socket holds, so the runtime has begun to read.
      await new Promise((resolve) => child.stdin.write(`Subject: x\n\n${'x'.repeat(70)}\n`.repeat(20_000), resolve));
      child.kill('SIGHUP');
      child.kill('SIGUSR1');
      child.kill(signal);
      // Standard error closes when no process has it any more.
      const status = await new Promise((resolve) => child.on('close', resolve));
      assert.equal(status, 1);
      assert.match(said, new RegExp(`^sendmail: .*ended by ${signal}\\n$`));
      assert.match(logged(), new RegExp(`ended by ${signal}`));
      assert.equal(host.messages.filter(({ state }) => state === 'accepted').length, 0);
      await host.close();
    }));

test('C1: the death of a runtime with little address space is reported with its meaning', () =>
  within(60_000, async () => {
    const folder = scratch();
    const runtime = `${folder}/node`;
    const script = `${folder}/sendmail`;
    writeFileSync(
      script,
      printWrapper({ version: '1', interpreter: runtime, command: BUILT, isBun: false, memoryTest: null, hasSplit: false }),
    );
    for (const [dies, status] of [
      ['kill -ABRT $$', 134],
      ['kill -TRAP $$', 133],
      ['kill -SEGV $$', 139],
    ] as const) {
      writeFileSync(runtime, `#!/bin/sh\n[ "$1" = --version ] && echo v20.0.0 && exit\n${dies}\n`, { mode: 0o755 });
      const run = spawnSync('/bin/dash', ['-c', `ulimit -v 262144; exec /bin/dash ${script} -t`], { encoding: 'utf8', input: 'x' });
      // Some shells print a line of their own before it.
      const said = `sendmail: Node died (status ${status}) with 262144 KiB of address space (ulimit -v): a server may have the message`;
      assert.deepEqual([run.status, run.stderr.split('\n').at(-2)], [1, said]);
    }
  }));

test('C6: it is silent in a folder that was removed, and a relative name counts from the caller’s folder', () =>
  within(60_000, async () => {
    const { root, script, host, config, sent } = await installation();
    const gone = path.join(scratch(), 'gone');
    for (const name of [script, `${root}/usr/bin/mailq`])
      assert.ok(readFileSync(name, 'utf8').startsWith('#!/usr/bin/env -S -u SHELLOPTS PWD=/proc/self/cwd /bin/sh\n'));
    mkdirSync(gone);
    assert.deepEqual(await sent(`rmdir ${gone};`, { cwd: gone }), [0, '']);
    const argv = ['-C', path.basename(config), '-i', 'a@example.org'];
    const run = spawn(script, argv, { env: {}, cwd: path.dirname(config), stdio: ['pipe', 'inherit', 'inherit'] });
    run.stdin.end('Subject: x\n\nx\n');
    assert.equal(await new Promise((resolve) => run.on('close', resolve)), 0);
    assert.equal(host.messages.length, 2);
    await host.close();
  }));

test('below --root a folder that is a link from the root leads to where it will lead there', async () => {
  const [root, host] = [scratch(), scratch()];
  mkdirSync(path.join(root, host), { recursive: true });
  mkdirSync(path.join(root, 'usr'));
  for (const folder of [host, path.join(root, host)]) writeFileSync(path.join(folder, 'sendmail'), 'of before');
  symlinkSync(host, path.join(root, 'usr/sbin'));
  const { status, stdout } = await nospool('install', '--root', root);
  assert.equal(status, 0, stdout);
  assert.deepEqual(readdirSync(host), ['sendmail']);
  assert.match(readFileSync(path.join(root, host, 'sendmail'), 'utf8'), /nospool/);
  assert.equal((await nospool('uninstall', '--root', root)).status, 0);
  for (const folder of [host, path.join(root, host)]) assert.equal(readFileSync(path.join(folder, 'sendmail'), 'utf8'), 'of before');
});

test('below --root the env of that system is asked, also through a link from its root as Alpine has it', async () => {
  for (const [status, line] of [
    [1, '#!/bin/sh'],
    [7, '#!/usr/bin/env -S -u SHELLOPTS PWD=/proc/self/cwd /bin/sh'],
  ] as const) {
    const root = scratch();
    for (const name of ['bin', 'usr/bin']) mkdirSync(path.join(root, name), { recursive: true });
    writeFileSync(path.join(root, 'bin/of-that-system'), `#!/bin/sh\nexit ${status}\n`, { mode: 0o755 });
    symlinkSync('/bin/of-that-system', path.join(root, 'usr/bin/env'));
    assert.equal((await nospool('install', '--root', root)).status, 0);
    assert.equal(readFileSync(path.join(root, 'usr/sbin/sendmail'), 'utf8').split('\n', 1)[0], line);
  }
});

if (existsSync('/bin/bash'))
  test('P14: where /bin/sh is bash, a caller may have exported SHELLOPTS', () =>
    within(60_000, async () => {
      const { script, host, config } = await installation();
      const [shell, copy] = [path.join(scratch(), 'sh'), path.join(scratch(), 'sendmail')];
      symlinkSync('/bin/bash', shell);
      writeFileSync(copy, readFileSync(script, 'utf8').replace(' /bin/sh\n', ` ${shell}\n`), { mode: 0o755 });
      for (const options of ['nounset', 'xtrace', 'noexec', 'onecmd', 'errexit:nounset:noglob']) {
        const child = spawn(copy, ['-C', config, '-i', 'a@example.org'], { env: { SHELLOPTS: options } });
        let said = '';
        child.stderr.on('data', (octets) => {
          said += octets;
        });
        child.stdin.end('Subject: x\n\nx\n');
        assert.deepEqual([await new Promise((resolve) => child.on('close', resolve)), said], [0, ''], options);
      }
      assert.equal(host.messages.length, 5);
      await host.close();
    }));

// Loopback: what is shown happens before the handshake, with any server.
test('a pipe that SSL_CERT_FILE names is not waited for where the configuration names its authority, and children still have the variable', () =>
  within(60_000, async () => {
    const [root, folder] = [scratch(), scratch()];
    assert.equal((await nospool('install', '--root', root)).status, 0);
    const sink = await sinkWith({ starttls: true, auth: 'me:secret' });
    const { config } = configured(
      `smarthosts = ["submission://127.0.0.1:${sink.port}"]`,
      `[tls]\nmode = "required"\nca_file = "${sink.certificate}"\n[auth]\nuser = "me"\npassword_command = ["/bin/sh", "-c", "echo $SSL_CERT_FILE >${folder}/seen; echo secret"]`,
    );
    assert.equal(spawnSync('mkfifo', [`${folder}/pipe`]).status, 0);
    const env = { SSL_CERT_FILE: `${folder}/pipe`, PATH: '/usr/bin:/bin' };
    const run = spawn(`${root}/usr/sbin/sendmail`, ['-C', config, '-i', 'a@example.org'], { env, stdio: ['pipe', 'inherit', 'inherit'] });
    run.stdin.end('Subject: x\n\nx\n');
    assert.equal(await new Promise((resolve) => run.on('close', resolve)), 0);
    assert.equal(readFileSync(`${folder}/seen`, 'utf8'), `${folder}/pipe\n`);
    await sink.close();
  }));

test('the script makes Bun read no file of the caller’s folder, and quotes odd paths', () => {
  const wrapping = { version: '1', interpreter: '/usr/bin/bun', command: BUILT, isBun: true, memoryTest: null, hasSplit: false };
  assert.match(printWrapper(wrapping), /\nexport BUN_RUNTIME_TRANSPILER_CACHE_PATH=0\n/);
  // Another version of Bun may not start with such variables.
  assert.doesNotMatch(printWrapper(wrapping), /export BUN_JSC/);
  assert.match(
    printWrapper(wrapping),
    /\nexec \/usr\/bin\/bun --no-env-file --config=\/dev\/null --tsconfig-override=\/dev\/null \S+\/sendmail\.cjs "\$@"\n/,
  );
  assert.match(
    printWrapper({ ...wrapping, interpreter: '/usr/bin/node', isBun: false }),
    /\nexec \/usr\/bin\/node --use-openssl-ca --v8-pool-size=1 \S+\/sendmail\.cjs "\$@"\n/,
  );
  const folder = path.join(scratch(), "it's $(here)");
  mkdirSync(folder);
  writeFileSync(`${folder}/node`, '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
  writeFileSync(`${folder}/sendmail.cjs`, '');
  const odd = { ...wrapping, isBun: false, interpreter: `${folder}/node`, command: `${folder}/sendmail.cjs` };
  writeFileSync(`${folder}/sendmail`, printWrapper(odd));
  for (const shell of SHELLS) {
    const run = spawnSync(shell[0] as string, [...shell.slice(1), `${folder}/sendmail`, 'a b', '*'], { encoding: 'utf8' });
    assert.equal(run.stdout, `--use-openssl-ca\n--v8-pool-size=1\n${odd.command}\na b\n*\n`);
  }
  rmSync(`${folder}/node`);
  for (const shell of SHELLS) {
    const run = spawnSync(shell[0] as string, [...shell.slice(1), `${folder}/sendmail`], { encoding: 'utf8' });
    assert.equal(run.stderr, `sendmail: ${folder}/node, which runs nospool, is not there: run "nospool install" again\n`);
  }
});

test('O9: a note names each folder that only some users may enter, also where a link leads, with a cure', () => {
  const folder = realpathSync(scratch());
  chmodSync(folder, 0o755);
  for (const name of ['closed', 'open', 'open/deep']) mkdirSync(path.join(folder, name), { mode: 0o755 });
  writeFileSync(path.join(folder, 'closed/node'), '');
  chmodSync(path.join(folder, 'closed'), 0o700);
  symlinkSync('../closed/node', path.join(folder, 'open/node'));
  symlinkSync('open/deep', path.join(folder, 'short'));
  // The system goes up from where a link leads, not from where it lies.
  symlinkSync('../short/../node', path.join(folder, 'open/through'));
  const note = `note: only some users may enter ${folder}/closed, so the others cannot send mail: run chmod o+x ${folder}/closed, or install from where everybody may enter, such as /opt, with such a runtime`;
  for (const name of ['closed/node', 'open/node', 'open/through'])
    assert.deepEqual(noteClosedFolders('/', [path.join(folder, name), '/usr/bin/node']), [note], name);
  assert.deepEqual(noteClosedFolders('/', [path.join(folder, 'open/deep/../missing')]), []);
});

test('a note names code that only some users may read, as a umask of 077 makes it', () => {
  const folder = scratch();
  const [command, main] = ['sendmail.cjs', 'main.cjs'].map((name) => path.join(folder, name)) as [string, string];
  for (const file of [command, main]) writeFileSync(file, '', { mode: 0o644 });
  assert.deepEqual(noteClosedCode('/', command), []);
  chmodSync(main, 0o640);
  assert.deepEqual(noteClosedCode('/', command), [
    `note: only some users may read ${main}, so the others cannot send mail: run chmod -R o+rX ${folder}`,
  ]);
  assert.deepEqual(noteClosedCode('/image', command), []);
});

test('the one file puts links in place, keeps what was there, and takes them away again', () => {
  const root = scratch();
  const program = path.join(root, 'usr/local/bin/nospool');
  mkdirSync(path.dirname(program), { recursive: true });
  writeFileSync(program, '', { mode: 0o755 });
  mkdirSync(path.join(root, 'usr/sbin'), { recursive: true });
  writeFileSync(path.join(root, 'usr/sbin/sendmail'), 'another');
  const call = (argument: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } =>
    spawnSync(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        `import { installLinks } from './src/nospool/install/install.ts'; process.exitCode = installLinks(process.argv[1], process.argv[2]);`,
        root,
        argument,
      ],
      { encoding: 'utf8', cwd: fileURLToPath(new URL('../..', import.meta.url)) },
    );
  for (const time of [1, 2]) {
    const { status, stdout, stderr } = call(program);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^they are links to \/usr\/local\/bin\/nospool$/m);
    assert.equal(stdout.includes('the file that was there'), time === 1);
    for (const place of PLACES) assert.equal(readlinkSync(path.join(root, place)), '/usr/local/bin/nospool');
  }
  chmodSync(program, 0o777);
  assert.match(
    call(program).stderr,
    /everybody would run a program that others may change, because .*: put it where only root may change it/,
  );
  chmodSync(program, 0o755);
  spawnSync(process.execPath, [fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url)), 'uninstall', '--root', root]);
  assert.equal(readFileSync(path.join(root, 'usr/sbin/sendmail'), 'latin1'), 'another');
  assert.equal(existsSync(path.join(root, 'usr/lib/sendmail')), false);
});

test.run();
