/**
 * Debian 12, whose Node is too old: the package with a runtime inside, and the one file, each from nothing to mail that a real Exim takes at an address
 * that is not loopback.
 */
import assert from 'node:assert/strict';
import { suiteWith } from '../interop/support/needs.ts';
import { within } from '../support/within.ts';
import { assertObeysNone, assertVerifies } from './support/hostile.ts';
import { makePackages, VERSION } from './support/packages.ts';
import { LETTER, NOBODY, type Place, QUIET, startPlace } from './support/place.ts';
import type { System } from './support/system.ts';

const test = suiteWith('packages in Debian 12', 'root', 'unshare', 'exim4-daemon-heavy', 'dpkg-deb', 'debian-12', 'bun');

let place: Place;
let system: System;
let files: Readonly<Record<string, string>>;

test.before(() =>
  within(120_000, async () => {
    const made = makePackages(['nospool', 'nospool-bun', 'nospool-mta', 'one-file'], { PACKAGE_COMPRESSION: 'none' });
    place = await startPlace(12);
    system = place.system;
    files = Object.fromEntries(
      await Promise.all(Object.entries(made).map(async ([name, file]) => [name, await system.take(file)] as const)),
    );
  }),
);
test.after(() => place?.stop());
test.before.each(() => place.mail.clear());

test('the package without a runtime is refused, because Node is too old', () =>
  within(60_000, async () => {
    const { status, stdout, stderr } = await system.run(`apt-get --yes --no-install-recommends install ${files.nospool}`);
    assert.equal(status, 100);
    assert.match(stdout + stderr, /nospool : Depends: nodejs \(>= 20\.19\)/);
  }));

test('the package with its runtime takes the place of another mail transport agent, and cron and a member of the group send', () =>
  within(120_000, async () => {
    await place.apt('install msmtp-mta');
    assert.match(await place.apt(`install ${files['nospool-bun']} ${files['nospool-mta']}`), /Removing msmtp-mta/);
    assert.equal(await system.must('command -v node nodejs bun || mailq'), 'Mail queue is empty\n');
    assert.equal(await system.must('nospool --version'), `nospool ${VERSION}\n`);
    const group = await place.configure();
    await place.runCron();
    await place.mail.clear();
    assert.deepEqual(await system.run('sendmail -i ann@peer.test', { uid: NOBODY, groups: [group], input: LETTER }), QUIET);
    await place.assertArrived();
    assert.equal(await system.must('dpkg --verify nospool-bun nospool-mta'), '');
  }));

test('the package with its runtime obeys neither the folder nor the environment it is called in', () =>
  within(120_000, async () => {
    await assertObeysNone(place);
    await assertVerifies(place);
    await system.must('rm -f /tmp/evil');
    const env = { BUN_OPTIONS: '--preload /tmp/folder/evil.js', BUN_INSPECT_PRELOAD: '/tmp/folder/evil.js' };
    assert.equal(await system.must('cd /tmp/folder && nospool --version', { env }), `nospool ${VERSION}\n`);
    assert.equal((await system.run('cat /tmp/evil')).status, 1);
  }));

test('removed and purged, nothing stays but the configuration', () =>
  within(60_000, async () => {
    await place.apt('purge nospool-bun nospool-mta');
    assert.equal(
      await system.must("find / -xdev -path /tmp -prune -o -name '*nospool*' -print | sort"),
      '/etc/nospool\n/etc/nospool.toml\n',
    );
    await system.must('rm -r /etc/nospool /etc/nospool.toml');
  }));

test('the one file is all commands, by the names of links to it, and needs nothing', () =>
  within(60_000, async () => {
    await system.must(`cp ${files['one-file']} /usr/local/bin/nospool && chmod 755 /usr/local/bin/nospool`);
    await system.write('/usr/sbin/sendmail', '#!/bin/sh\necho another\n', '755');
    const told = await system.must('nospool install');
    assert.match(told, /^\/usr\/sbin\/sendmail: the file that was there is now \/usr\/sbin\/sendmail\.nospool-saved$/m);
    assert.match(told, /^they are links to \/usr\/local\/bin\/nospool$/m);
    assert.equal(
      await system.must('readlink /usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases'),
      '/usr/local/bin/nospool\n'.repeat(4),
    );
    assert.equal(await system.must('mailq'), 'Mail queue is empty\n');
    assert.equal(await system.must('nospool --version; sendmail --version'), `nospool ${VERSION}\n`.repeat(2));
    await place.configure();
    await place.runCron();
    await place.mail.clear();
    // Standard input is a pipe, a file, and a dialogue.
    assert.deepEqual(await system.run('sendmail -i ann@peer.test', { input: LETTER }), QUIET);
    await system.write('/tmp/letter', LETTER);
    assert.deepEqual(await system.run('sendmail -i -- ann@peer.test </tmp/letter'), QUIET);
    const dialogue = `EHLO x\r\nMAIL FROM:<a@peer.test>\r\nRCPT TO:<ann@peer.test>\r\nDATA\r\n${LETTER.replaceAll('\n', '\r\n')}.\r\nQUIT\r\n`;
    assert.match((await system.run('sendmail -bs', { input: dialogue })).stdout, /\r\n250 .*\r\n221 /);
    await place.assertArrived(3);
    const refused = await system.run('sendmail -i nosuch@peer.test', { input: LETTER });
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^sendmail: .*RCPT TO:<nosuch@peer\.test>: 5/m);
  }));

test('the one file obeys neither the folder nor the environment it is called in', () =>
  within(120_000, async () => {
    await assertObeysNone(place);
    await assertVerifies(place);
    assert.equal(await system.must('nospool --version', { env: { BUN_BE_BUN: '1', BUN_OPTIONS: '--revision' } }), `nospool ${VERSION}\n`);
  }));

test('uninstalled, the one file leaves what was there before', () =>
  within(60_000, async () => {
    await system.must('nospool install; nospool uninstall');
    assert.equal(await system.must('sendmail'), 'another\n');
    assert.equal((await system.run('ls /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases')).stdout, '');
  }));

test.run();
