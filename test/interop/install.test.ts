/**
 * `nospool install` as root on a whole system: in a mount namespace of its own, where /usr can be written without changing
 * the host's. The code lies where an ordinary user has cloned it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { scratch } from './support/daemon.ts';
import { suiteWith } from './support/needs.ts';

const test = suiteWith('install on a system', 'root', 'unshare');

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const ANN = 12_345;

function give(folder: string, uid: number): void {
  chownSync(folder, uid, uid);
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const file = path.join(folder, name);
    if (!lstatSync(file).isSymbolicLink()) chownSync(file, uid, uid);
  }
}

/** This folder is /mnt on the system, and lies in no folder where everybody may write there. */
const MNT = scratch('mnt');
/** The path that such a file has on the system. */
const onMnt = (file: string): string => file.replace(MNT, '/mnt');

/** Puts Ann's clone into her home directory. Returns where it is here; on the system that is onMnt(…). */
function clone(parent = MNT): string {
  const home = mkdtempSync(`${parent}/ann-`);
  chmodSync(home, 0o755);
  chownSync(home, ANN, ANN);
  mkdirSync(`${home}/nospool`);
  cpSync(DIST, `${home}/nospool/dist`, { recursive: true });
  give(`${home}/nospool`, ANN);
  return `${home}/nospool`;
}

/** Shell text on a system whose /usr is a copy of the host's that is gone afterwards. */
function onSystem(script: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const system = `set -e
mount -t tmpfs -o mode=755 none ${layers}
mkdir ${layers}/upper ${layers}/work
mount -t overlay overlay -o lowerdir=/usr,upperdir=${layers}/upper,workdir=${layers}/work /usr
chmod 755 /usr/local /usr/local/lib
mount --bind ${MNT} /mnt
set +e
${script}`;
  return spawnSync('unshare', ['--mount', '/bin/sh', '-c', system], { encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
}
const layers = scratch('layers');

const ORDINARY = 'setpriv --reuid=65534 --regid=65534 --clear-groups';

test('S4: the clone of a user, also through the link that npm makes: the code is copied to where only root may change it', () => {
  const folder = onMnt(clone());
  const { status, stdout, stderr } = onSystem(`
mkdir -p /usr/local/lib/node_modules
ln -s ${folder} /usr/local/lib/node_modules/nospool
ln -s ../lib/node_modules/nospool/dist/nospool.mjs /usr/local/bin/nospool
umask 077
/usr/local/bin/nospool install || exit
echo "--- who may change it"
find /usr/local/lib/nospool ! -user root -o -perm /022
echo "--- as an ordinary user"
${ORDINARY} /usr/sbin/sendmail -bp
echo 'throw new Error("changed by ann");' >>${folder}/dist/main.cjs
echo 'throw new Error("changed by ann");' >>${folder}/dist/sendmail.cjs
${ORDINARY} /usr/sbin/sendmail -bp
echo "--- compiled"
ls /usr/local/lib/nospool/*/compiled
`);
  assert.equal(stderr, '');
  const [first = ''] = stdout.split('\n');
  assert.match(
    first,
    new RegExp(
      `^${path.dirname(folder)} belongs to uid ${ANN}, so the code was copied to /usr/local/lib/nospool/code-[\\w.-]+: after an upgrade run "nospool install" again$`,
    ),
  );
  assert.match(stdout, /--- who may change it\n--- as an ordinary user\nMail queue is empty\nMail queue is empty\n--- compiled\n\d.*\n/);
  assert.equal(status, 0);
});

test('code and interpreters in a folder where everybody may write are not run by everybody, although it is sticky', () => {
  const sticky = mkdtempSync(`${MNT}/tmp-`);
  chmodSync(sticky, 0o1777);
  const folder = clone(sticky);
  give(path.dirname(folder), 0);
  writeFileSync(`${folder}/node`, `#!/bin/sh\nexec ${process.execPath} "$@"\n`, { mode: 0o755 });
  const { status, stdout, stderr } = onSystem(`
node ${onMnt(folder)}/dist/nospool.mjs install || exit
rm -rf ${onMnt(folder)}/dist/*
/usr/sbin/sendmail -bp
node ${DIST}/nospool.mjs install --runtime ${onMnt(folder)}/node`);
  const because = `${onMnt(sticky)} may be changed by everybody \\(mode 1777\\)`;
  assert.match(stdout, new RegExp(`^${because}, so the code was copied to /usr/local/lib/nospool/code-`));
  assert.match(
    stdout,
    /\nthey run \/usr\/local\/lib\/nospool\/code-\S+\/sendmail\.cjs with \S+\n(?:note: of package .*\n)?Mail queue is empty\n$/,
  );
  assert.match(stderr, new RegExp(`^nospool: ${onMnt(folder)}/node must not run for everybody, because ${because}: install Node`));
  assert.equal(status, 1);
});

test('S4: the copy that a script named stays for the processes that are starting, until the next time; uninstall takes all away', () => {
  const folder = onMnt(clone());
  const { status, stdout, stderr } = onSystem(`
exec 3>&1 >/dev/null
list() { echo "$1: $(ls /usr/local/lib/nospool 2>/dev/null | wc -l)" >&3; }
node ${folder}/dist/nospool.mjs install && list first
node ${folder}/dist/nospool.mjs install && list again
echo '//' >>${folder}/dist/compile.cjs
node ${folder}/dist/nospool.mjs install && list changed
echo '//' >>${folder}/dist/compile.cjs
node ${folder}/dist/nospool.mjs install && list "changed again"
/usr/sbin/sendmail -bp >&3
mkdir /usr/local/lib/nospool/other
node ${folder}/dist/nospool.mjs uninstall && list other
ls /usr/sbin/sendmail 2>/dev/null
rmdir /usr/local/lib/nospool/other
node ${folder}/dist/nospool.mjs install
node ${folder}/dist/nospool.mjs uninstall && list none
ls -d /usr/local/lib/nospool 2>/dev/null >&3
`);
  assert.equal(stderr, '');
  assert.equal(stdout, 'first: 1\nagain: 1\nchanged: 2\nchanged again: 2\nMail queue is empty\nother: 1\nnone: 0\n');
  assert.notEqual(status, 0, 'the folder is gone');
});

test('a copy of the same code stays while scripts run it: what it lacks is put into it, and only one that others may change is made anew', () => {
  const folder = onMnt(clone());
  const { status, stdout, stderr } = onSystem(`
exec 3>&1 >/dev/null
install() { node ${folder}/dist/nospool.mjs install; }
install
copy=$(echo /usr/local/lib/nospool/code-*)
places() { stat -c %i $copy $copy/*.cjs; }
first=$(places)
install
[ "$first" = "$(places)" ] && echo "whole: untouched" >&3
inode=$(stat -c %i $copy)
rm $copy/compile.cjs
echo changed >$copy/main.cjs
chmod 700 $copy
chmod 600 $copy/sendmail.cjs
install
[ "$inode" = "$(stat -c %i $copy)" ] && echo "mended in its place" >&3
for file in $copy/*.cjs; do cmp $file ${folder}/dist/$(basename $file) >&3; done
${ORDINARY} /usr/sbin/sendmail -bp >&3
chown ${ANN} $copy/main.cjs
touch $copy/of-ann
install
ls $copy/of-ann 2>/dev/null >&3
find $copy ! -user root >&3
${ORDINARY} /usr/sbin/sendmail -bp >&3
ls /usr/local/lib/nospool | wc -l >&3
`);
  assert.equal(stderr, '');
  assert.equal(stdout, 'whole: untouched\nmended in its place\nMail queue is empty\nMail queue is empty\n1\n');
  assert.equal(status, 0);
});

test('S4: an interpreter that others may change is refused, and nothing is written', () => {
  const here = path.dirname(clone());
  const home = onMnt(here);
  mkdirSync(`${here}/.nvm/bin`, { recursive: true });
  writeFileSync(`${here}/.nvm/bin/node`, `#!/bin/sh\nexec ${process.execPath} "$@"\n`, { mode: 0o755 });
  give(`${here}/.nvm`, ANN);
  symlinkSync(`${home}/.nvm/bin/node`, `${here}/link`);
  const opt = mkdtempSync(`${MNT}/opt-`);
  chmodSync(opt, 0o755);
  mkdirSync(`${opt}/node-22/bin`, { recursive: true });
  writeFileSync(`${opt}/node-22/bin/node`, `#!/bin/sh\nexec ${process.execPath} "$@"\n`, { mode: 0o755 });
  chmodSync(`${opt}/node-22`, 0o777);
  for (const [runtime, because] of [
    [`${home}/.nvm/bin/node`, `${home} belongs to uid ${ANN}`],
    [`${home}/link`, `${home} belongs to uid ${ANN}`],
    [`${onMnt(opt)}/node-22/bin/node`, `${onMnt(opt)}/node-22 may be changed by everybody \\(mode 0777\\)`],
  ] as const) {
    const { status, stdout, stderr } = onSystem(`
node ${DIST}/nospool.mjs install --runtime ${runtime}; status=$?
grep -l 'nospool install' /usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq 2>/dev/null
exit $status`);
    assert.match(
      stderr,
      new RegExp(
        `^nospool: ${runtime} must not run for everybody, because ${because}: install Node or Bun where only root may change it, .*--runtime\\n$`,
      ),
    );
    assert.deepEqual([status, stdout], [1, '']);
  }
});

test('S4: with --root nothing is copied: code that others may change is refused, each file and folder of it', () => {
  const root = scratch('image');
  const folder = `${root}/opt/nospool`;
  mkdirSync(`${root}/opt`);
  cpSync(DIST, folder, { recursive: true });
  const install = () => spawnSync(process.execPath, [`${folder}/nospool.mjs`, 'install', '--root', root], { encoding: 'utf8' });
  const fine = install();
  assert.deepEqual([fine.status, fine.stderr], [0, '']);
  for (const name of [
    'sendmail.cjs',
    'main.cjs',
    readdirSync(folder).find((each) => /^charset-/.test(each)) ?? '',
    'compiled',
    '.',
    '..',
  ]) {
    chownSync(path.join(folder, name), ANN, 0);
    const run = install();
    assert.equal(run.status, 1, name);
    assert.match(
      run.stderr,
      /^nospool: everybody would run code that others may change, because \S+ belongs to uid 12345: with --root nothing is copied/,
      name,
    );
    chownSync(path.join(folder, name), 0, 0);
  }
  assert.equal(install().status, 0);
  appendFileSync(`${folder}/compiled/memory-test`, '');
  chmodSync(`${folder}/compiled`, 0o775);
  assert.match(install().stderr, /compiled may be changed by group 0 \(mode 0775\)/);
});

test('in a chroot without /proc and /dev: the runtime is found in PATH or from here, and what is installed runs', () => {
  const folder = onMnt(clone());
  const { stdout, stderr } = onSystem(`
chown -R 0:0 ${folder}
mount -t tmpfs none /proc
mount -t tmpfs -o mode=755 none /dev
node ${folder}/dist/nospool.mjs install | grep '^they run'
cd "$(dirname "$(command -v node)")"
./node ${folder}/dist/nospool.mjs install | grep '^they run'
${ORDINARY} /usr/sbin/sendmail -bp
echo $?`);
  const runs = `they run \\S+/sendmail.cjs with (/\\S+/node)\n`;
  assert.match(stdout, new RegExp(`^${runs}${runs.replace('(/\\S+/node)', '\\1')}Mail queue is empty\n0\n$`), stderr);
  assert.equal(stderr, '');
});

test.run();
