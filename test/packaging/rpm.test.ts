/**
 * The packages for rpm, by rpm itself, in the root of a small Debian: installed, upgraded under a message, beside another mail transport agent, erased. The
 * system's own packages are stood for. No Fedora is here. A real Exim at an address that is not loopback wants TLS and a password.
 */
import assert from 'node:assert/strict';
import { suiteWith } from '../interop/support/needs.ts';
import { within } from '../support/within.ts';
import { makePackages, VERSION } from './support/packages.ts';
import { LETTER, NOBODY, type Place, QUIET, startPlace } from './support/place.ts';
import { makeStand } from './support/rpms.ts';
import type { System } from './support/system.ts';

const test = suiteWith('packages for rpm', 'root', 'unshare', 'exim4-daemon-heavy', 'rpm', 'debian-13', 'bun');

const RPM = 'rpm --dbpath /var/lib/rpm';
const PLACES = '/usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases';
const LIST_KEPT = 'ls /usr/lib/nospool/compiled';
/** Scripts of rpm have no network, not even loopback, where its plugin unshare is. */
const KEPT = /^[\d.]+\S*-x64\n\S+-x64-jitless\nmemory-test\n$/;

let place: Place;
let system: System;
let files: Readonly<Record<string, string>>;
let later: Readonly<Record<string, string>>;
let nodes: Readonly<Record<'old' | 'fedora' | 'newer' | 'nodesource', string>>;

const takeAll = async <Name extends string>(made: Readonly<Record<Name, string>>): Promise<Readonly<Record<Name, string>>> =>
  Object.fromEntries(
    await Promise.all(Object.entries<string>(made).map(async ([name, file]) => [name, await system.take(file)] as const)),
  ) as Record<Name, string>;

test.before(() =>
  within(120_000, async () => {
    const quick = { PACKAGE_COMPRESSION: 'none' };
    const made = makePackages(['nospool.rpm', 'nospool-mta.rpm', 'nospool-bun.rpm'], quick);
    const madeLater = makePackages(['nospool.rpm', 'nospool-mta.rpm'], { ...quick, PACKAGE_RELEASE: '2' });
    const ofSystem = makeStand({ name: 'system', version: '1', provides: ['/bin/sh', 'alternatives', 'glibc = 2.41'] });
    const node = { name: 'nodejs', hasNode: true };
    const stands = {
      old: makeStand({ ...node, version: '18.20.4', epoch: 1, provides: ['nodejs(engine) = 18.20.4'] }),
      fedora: makeStand({ ...node, version: '20.19.2', epoch: 1, provides: ['nodejs(engine) = 20.19.2'] }),
      newer: makeStand({ ...node, version: '20.19.3', epoch: 1, provides: ['nodejs(engine) = 20.19.3'] }),
      nodesource: makeStand({ ...node, version: '22.12.0', epoch: 2, provides: [] }),
    };
    place = await startPlace(13);
    system = place.system;
    [files, later, nodes] = [await takeAll(made), await takeAll(madeLater), await takeAll(stands)];
    await system.must(`mkdir -p /var/lib/rpm; ${RPM} -i ${await system.take(ofSystem)}`);
    // Another mail transport agent, as the packages of Fedora register theirs.
    await system.write('/usr/sbin/sendmail.rival', '#!/bin/sh\necho rival\n', '755');
    await system.must(
      'update-alternatives --quiet --install /usr/sbin/sendmail mta /usr/sbin/sendmail.rival 60 --slave /usr/bin/mailq mta-mailq /usr/sbin/sendmail.rival',
    );
  }),
);
test.after(() => place?.stop());
test.before.each(() => place.mail.clear());

test('a Node that is too old is refused, whatever its epoch, and that of NodeSource will do', () =>
  within(60_000, async () => {
    const alone = await system.run(`${RPM} -i ${files['nospool.rpm']}`);
    assert.notEqual(alone.status, 0);
    assert.match(alone.stderr, /\/usr\/bin\/node is needed by nospool/);
    const { status, stderr } = await system.run(`${RPM} -i --test ${nodes.old} ${files['nospool.rpm']}`);
    assert.notEqual(status, 0);
    assert.match(stderr, /\(nodejs\(engine\) >= 20\.19 or nodejs >= 2:20\.19\) is needed by nospool/);
    await system.must(`${RPM} -i --test ${nodes.nodesource} ${files['nospool.rpm']}`);
  }));

test('they are installed: commands, group, compiled code, and the alternative beside another mail transport agent', () =>
  within(60_000, async () => {
    await system.must(`${RPM} -i ${nodes.fedora} ${files['nospool.rpm']} ${files['nospool-mta.rpm']}`);
    assert.equal(await system.must(`readlink -f ${PLACES}`), '/usr/lib/nospool/sendmail\n'.repeat(4));
    assert.equal(await system.must(`${RPM} -qf ${PLACES} | sort -u`), `nospool-mta-${VERSION}-1.noarch\n`);
    assert.equal(await system.must('mailq; nospool --version'), `Mail queue is empty\nnospool ${VERSION}\n`);
    assert.match(await system.must('getent group nospool'), /^nospool:x:\d+:\n$/);
    assert.match(await system.must(LIST_KEPT), KEPT);
    assert.equal((await system.run(`${RPM} -V nospool nospool-mta`)).stdout, '');
  }));

test("nospool init, check, cron's mail, and a member of the group", () =>
  within(60_000, async () => {
    const group = await place.configure();
    await place.runCron();
    await place.mail.clear();
    assert.deepEqual(await system.run('sendmail -i ann@peer.test', { uid: NOBODY, groups: [group], input: LETTER }), QUIET);
    await place.assertArrived();
  }));

test('an upgrade of Node lets the code be compiled anew', () =>
  within(60_000, async () => {
    await system.must(`rm -r /usr/lib/nospool/compiled; ${RPM} -U ${nodes.newer}`);
    assert.match(await system.must(LIST_KEPT), KEPT);
  }));

test('an upgrade while a message is being written: the message goes, and the alternative is as it was', () =>
  within(60_000, async () => {
    await system.must('rm -f /tmp/slow; mkfifo /tmp/slow');
    const slow = system.run('sendmail -i ann@peer.test </tmp/slow');
    await system.must(
      `exec 3>/tmp/slow; printf 'Subject: =?iso-8859-1?q?f=FCr?=\\n\\n' >&3; sleep 0.5; ${RPM} -U ${later['nospool.rpm']} ${later['nospool-mta.rpm']} && echo 'All done.' >&3`,
    );
    assert.deepEqual(await slow, QUIET);
    await place.assertArrived();
    assert.equal(await system.must(`${RPM} -q nospool nospool-mta`), `nospool-${VERSION}-2.noarch\nnospool-mta-${VERSION}-2.noarch\n`);
    assert.equal(await system.must(`readlink -f ${PLACES}`), '/usr/lib/nospool/sendmail\n'.repeat(4));
    assert.match(await system.must(LIST_KEPT), KEPT);
  }));

test('the choice of an administrator outlives an upgrade and a reinstallation', () =>
  within(60_000, async () => {
    await system.must('update-alternatives --quiet --set mta /usr/sbin/sendmail.rival');
    await system.must(`${RPM} -U --replacepkgs ${later['nospool.rpm']} ${later['nospool-mta.rpm']}`);
    assert.equal(await system.must('sendmail'), 'rival\n');
    assert.match(await system.must('nospool check || true'), /\/usr\/sbin\/sendmail is another program\s+\(\/usr\/sbin\/sendmail\.rival\)/);
    await system.must('update-alternatives --quiet --auto mta');
    assert.equal(await system.must('mailq'), 'Mail queue is empty\n');
  }));

test('erased, the other mail transport agent is there again, and nothing stays but what the administrator and the log wrote', () =>
  within(60_000, async () => {
    const { status, stderr } = await system.run(`${RPM} -e nospool`);
    assert.equal(status, 1);
    assert.match(stderr, /nospool >= \S+ is needed by \(installed\) nospool-mta/);
    // By itself, and where it was chosen by hand.
    for (const choose of [':', 'update-alternatives --quiet --set mta /usr/sbin/sendmail.rival']) {
      await system.must(`${RPM} -U --replacepkgs ${later['nospool-mta.rpm']}; ${choose}`);
      await system.must(`${RPM} -e nospool-mta`);
      assert.equal(await system.must('sendmail; mailq'), 'rival\nrival\n');
    }
    await system.must(`${RPM} -e nospool`);
    assert.equal(
      await system.must("find / -xdev -path /tmp -prune -o -name '*nospool*' -print | sort"),
      '/etc/nospool\n/etc/nospool.toml\n/var/log/nospool.log\n',
    );
  }));

test('the package with its runtime, in place of the other, needs no Node', () =>
  within(120_000, async () => {
    const both = await system.run(`${RPM} -i --test ${files['nospool.rpm']} ${files['nospool-bun.rpm']}`);
    assert.notEqual(both.status, 0);
    assert.match(both.stderr, /conflicts with/);
    await system.must(
      `update-alternatives --quiet --auto mta; ${RPM} -e nodejs; ${RPM} -i ${files['nospool-bun.rpm']} ${files['nospool-mta.rpm']}`,
    );
    assert.equal(await system.must('command -v node || mailq'), 'Mail queue is empty\n');
    await system.must('usermod -aG nospool www-data');
    const group = Number((await system.must('getent group nospool')).split(':')[2]);
    assert.deepEqual(await system.run('sendmail -i ann@peer.test', { uid: 33, groups: [group], input: LETTER }), QUIET);
    await place.assertArrived();
    assert.equal((await system.run(`${RPM} -V nospool-bun nospool-mta`)).stdout, '');
    await system.must(`${RPM} -e nospool-bun nospool-mta`);
    assert.equal((await system.run('ls /usr/lib/nospool')).status, 2);
  }));

test.run();
