/**
 * The packages in a fresh Debian 13, whose Node runs them: installed by apt, configured, upgraded under a message, in place of other mail transport
 * agents, removed and purged. A real Exim at an address that is not loopback wants TLS and a password.
 */
import assert from 'node:assert/strict';
import { suiteWith } from '../interop/support/needs.ts';
import { within } from '../support/within.ts';
import { assertObeysNone, assertVerifies } from './support/hostile.ts';
import { makeLater, makePackages, VERSION } from './support/packages.ts';
import { LETTER, NOBODY, type Place, QUIET, startPlace } from './support/place.ts';
import type { System } from './support/system.ts';

const test = suiteWith('packages in Debian 13', 'root', 'unshare', 'exim4-daemon-heavy', 'dpkg-deb', 'debian-13');

let place: Place;
let system: System;
let made: Readonly<Record<string, string>>;
let debs: string;

test.before(() =>
  within(60_000, async () => {
    made = makePackages(['nospool', 'nospool-mta'], { PACKAGE_COMPRESSION: 'none' });
    place = await startPlace(13);
    system = place.system;
    debs = (await Promise.all(Object.values(made).map((file) => system.take(file)))).join(' ');
  }),
);
test.after(() => place?.stop());
test.before.each(() => place.mail.clear());

test('beside another mail transport agent: apt takes it out, and puts nospool in its place', () =>
  within(120_000, async () => {
    await place.apt('install msmtp-mta');
    assert.match(await system.must('readlink -f /usr/sbin/sendmail'), /msmtp/);
    const told = await place.apt(`install ${debs}`);
    assert.match(told, /Removing msmtp-mta/);
    assert.equal(
      await system.must('readlink -f /usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases'),
      '/usr/lib/nospool/sendmail\n'.repeat(4),
    );
    assert.equal(await system.must('mailq'), 'Mail queue is empty\n');
    assert.equal(await system.must('dpkg --verify nospool nospool-mta'), '');
  }));

test("the package keeps compiled code for the system's Node, has a group, manuals and completion", () =>
  within(60_000, async () => {
    const { v8, arch } = JSON.parse(
      await system.must(`node -p 'JSON.stringify({ v8: process.versions.v8, arch: process.arch })'`),
    ) as Record<string, string>;
    const kept = await system.must('ls /usr/lib/nospool/compiled');
    assert.deepEqual(kept.trim().split('\n').sort(), [`${v8}-${arch}`, `${v8}-${arch}-jitless`, 'memory-test'].sort());
    assert.match(await system.must('getent group nospool'), /^nospool:x:\d+:\n$/);
    assert.equal(await system.must('nospool --version'), `nospool ${VERSION}\n`);
    assert.match(
      await system.must(
        `bash -c '. /usr/share/bash-completion/completions/nospool; COMP_WORDS=(nospool insta) COMP_CWORD=1; _nospool; echo $COMPREPLY'`,
      ),
      /^install\n$/,
    );
  }));

test('an upgrade of Node lets the code be compiled anew', () =>
  within(60_000, async () => {
    await system.must('rm -r /usr/lib/nospool/compiled; dpkg-trigger --by-package=nodejs /usr/bin/node; dpkg --triggers-only nospool');
    assert.match(await system.must('ls /usr/lib/nospool/compiled'), /^memory-test$/m);
  }));

test('nospool init for a group, then check finds nothing wrong, and a member of the group sends', () =>
  within(60_000, async () => {
    const group = await place.configure();
    const refused = await system.run('/usr/sbin/sendmail -i ann@peer.test', { uid: NOBODY, input: LETTER });
    assert.equal(refused.status, 1);
    assert.equal(await place.mail.total(), 0);
    for (const name of ['/usr/sbin/sendmail', '/usr/lib/sendmail', '/usr/sbin/sendmail.nospool'])
      assert.deepEqual(await system.run(`${name} -i ann@peer.test`, { uid: NOBODY, groups: [group], input: LETTER }), QUIET);
    await place.assertArrived(3);
  }));

test('check says which users can send, and it is so: one who is in the group, www-data before and after, and one who is not', () =>
  within(60_000, async () => {
    const send = 'echo "All done." | sendmail -i ann@peer.test';
    const asUser = (user: string) => system.run(`su -s /bin/sh ${user} -c '${send}'`);
    await system.must('useradd bob; useradd eve; usermod -aG nospool bob');
    assert.match(await system.must('nospool check'), /^can send +root, members of group nospool \(bob\)$/m);
    assert.deepEqual(await asUser('bob'), QUIET);
    for (const user of ['eve', 'www-data']) {
      const { status, stderr } = await asUser(user);
      assert.equal(status, 1);
      assert.match(
        stderr,
        new RegExp(
          `password_file /etc/nospool/password cannot be read by uid .*: put this user into group nospool: usermod -aG nospool ${user}$`,
          'm',
        ),
      );
    }
    await system.must('usermod -aG nospool www-data');
    assert.deepEqual(await asUser('www-data'), QUIET);
    await place.assertArrived(2);
  }));

test('the package obeys neither the folder nor the environment it is called in', () =>
  within(120_000, async () => {
    await assertObeysNone(place);
    await assertVerifies(place);
  }));

test("cron's mail arrives", () => within(60_000, () => place.runCron()));

test('an upgrade replaces the program while a message is being written, and the message goes', () =>
  within(120_000, async () => {
    const later = await system.take(makeLater(made.nospool as string, `${VERSION}+1`));
    const laterMta = await system.take(makeLater(made['nospool-mta'] as string, `${VERSION}+1`));
    const [first, last] = ['Subject: =?iso-8859-1?q?f=FCr?=\nTo: ann@peer.test\n\n', 'All done.\n'];
    const slow = system.must(
      `mkfifo /tmp/slow; sendmail -t -i </tmp/slow & exec 3>/tmp/slow; printf '${first.replaceAll('\n', '\\n')}' >&3; sleep 0.5; touch /tmp/begun
while [ ! -e /tmp/upgraded ]; do sleep 0.1; done; printf '${last.replaceAll('\n', '\\n')}' >&3; exec 3>&-; wait $!`,
    );
    await system.must('while [ ! -e /tmp/begun ]; do sleep 0.1; done');
    // Alone it does not take the links away, which are of the other package.
    await place.apt(`install ${later}`);
    assert.equal(await system.must('mailq'), 'Mail queue is EMPTY\n');
    await system.must(`dpkg -i ${laterMta} >/dev/null`);
    assert.equal(await system.must('mailq'), 'Mail queue is EMPTY\n');
    await system.must('touch /tmp/upgraded');
    await slow;
    await place.assertArrived();
    assert.match(await system.must('ls /usr/lib/nospool'), /\bcharset-z\w{11}\.cjs/);
  }));

test('nospool install leaves the files of the package as they are', () =>
  within(60_000, async () => {
    const told = await system.must('nospool install');
    assert.match(told, /^\/usr\/sbin\/sendmail belongs to package nospool-mta, and is this program already$/m);
    assert.match(await system.must('nospool uninstall'), /^\/usr\/bin\/mailq belongs to package nospool-mta: remove that package/m);
    assert.equal(await system.must('readlink /usr/sbin/sendmail /usr/bin/mailq'), '../lib/nospool/sendmail\n../sbin/sendmail\n');
  }));

test('reinstalled, removed and purged: nothing stays but the configuration', () =>
  within(120_000, async () => {
    await system.must(`dpkg -i ${debs} >/dev/null 2>&1`);
    assert.equal(await system.must('mailq'), 'Mail queue is empty\n');
    await place.apt('remove nospool nospool-mta');
    assert.match(
      await system.must('ls -d /usr/lib/nospool /usr/sbin/sendmail 2>/dev/null; ls /etc/logrotate.d/nospool /var/log/nospool.log'),
      /^\/etc\/logrotate\.d\/nospool\n\/var\/log\/nospool\.log\n$/,
    );
    // As logrotate names them where its own configuration says dateext.
    await system.must('touch /var/log/nospool.log.1 /var/log/nospool.log-20261122.gz');
    await place.apt('purge nospool nospool-mta');
    assert.equal(
      await system.must("find / -xdev -path '/tmp' -prune -o -name '*nospool*' -print | sort"),
      '/etc/nospool\n/etc/nospool.toml\n',
    );
  }));

test('Exim gives way, too, and comes back', () =>
  within(240_000, async () => {
    await place.apt('install exim4-daemon-light');
    await place.apt(`install ${debs}`);
    assert.equal(await system.must('mailq'), 'Mail queue is empty\n');
    assert.match(await system.must('dpkg -l exim4-daemon-light'), /^rc +exim4-daemon-light /m);
    await place.apt('install exim4-daemon-light');
    assert.match(await system.must('readlink -f /usr/sbin/sendmail'), /exim4/);
    const told = await system.must('nospool install');
    assert.match(told, /^note: of package exim4-daemon-light, whose next upgrade puts its own there: \/usr\/sbin\/sendmail /m);
  }));

test.run();
