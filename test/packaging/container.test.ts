/**
 * docs/containers.md as a cluster runs it: a root that nobody can write, a user that no file knows, the environment alone, and a secret as Kubernetes
 * mounts it. With Node in the image, and with the one file. The smart host is a real Exim at an address that is not loopback.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { scratch } from '../interop/support/daemon.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { PASSWORD, USER } from '../interop/support/peer.ts';
import { within } from '../support/within.ts';
import { makePackages, ROOT } from './support/packages.ts';
import { LETTER, NAME, type Place, QUIET, startPlace } from './support/place.ts';

const test = suiteWith('containers', 'root', 'unshare', 'exim4-daemon-heavy', 'dpkg-deb', 'debian-13', 'bun');

const PAGE = readFileSync(`${ROOT}/docs/containers.md`, 'utf8');
/** The recipes of the page, as shell text in the image; COPY is what `take` does. */
const [WITH_NODE = '', WITHOUT_NODE = ''] = [...PAGE.matchAll(/^```dockerfile\n(.*?)^```$/gms)].map(([, text = '']) =>
  [...text.matchAll(/^RUN (.*)$/gm)].map(([, command]) => command).join('\n'),
);

/** A user as OpenShift makes one: no account has this number, and its group is root's. */
const USER_AND_GROUP = { uid: 1_000_680_000, gid: 0 };
/** The group that Kubernetes gives to volumes (fsGroup). */
const FS_GROUP = 1_000_680_001;
const ENVIRONMENT = {
  NOSPOOL_SMARTHOSTS: `submission://${NAME}`,
  NOSPOOL_QUALIFY_DOMAIN: 'peer.test',
  NOSPOOL_AUTH_USER: USER,
  HOME: '/',
};
const FROM_FILE = { ...ENVIRONMENT, NOSPOOL_AUTH_PASSWORD_FILE: '/run/secrets/mail/password' };
const SEND = '/usr/sbin/sendmail -i -f web@peer.test ann@peer.test';

let place: Place;

test.before(() =>
  within(120_000, async () => {
    const { 'one-file': oneFile = '' } = makePackages(['one-file']);
    place = await startPlace(13);
    const { system } = place;
    const archive = `${scratch('dist')}/dist.tar`;
    execFileSync('tar', ['-cf', archive, '--owner=0', '--group=0', '-C', ROOT, 'dist']);
    await system.write('/usr/local/lib/nospool/dist.tar', readFileSync(archive));
    await system.must('cd /usr/local/lib/nospool && tar -xf dist.tar && rm dist.tar');
    await system.write('/usr/local/bin/one', readFileSync(oneFile), '755');
  }),
);
test.after(() => place?.stop());
test.before.each(() => place.mail.clear());

/** Mounts the secret as a volume of Kubernetes: links to a folder of this version, on a file system of its own, which is read-only. */
async function mountSecret(mode: string, folder = '/run/secrets/mail'): Promise<void> {
  await place.system.must(`umount ${folder} 2>/dev/null; mkdir -p ${folder}; mount -t tmpfs -o mode=755 none ${folder}
cd ${folder}; mkdir ..2026_11; printf '%s' '${PASSWORD}' >..2026_11/password; chgrp -R ${FS_GROUP} ..2026_11; chmod ${mode} ..2026_11/password
ln -s ..2026_11 ..data; ln -s ..data/password password; mount -o remount,ro ${folder}`);
}

test('the page has a recipe of three lines for images with Node, and for those without', () => {
  for (const [, recipe = ''] of PAGE.matchAll(/^```dockerfile\n(.*?)^```$/gms)) assert.equal(recipe.trim().split('\n').length, 3, recipe);
  assert.notEqual(WITHOUT_NODE, '');
});

for (const [title, recipe, prepare] of [
  ['with Node in the image', WITH_NODE, ':'],
  [
    'with the one file',
    WITHOUT_NODE,
    'rm -rf /usr/sbin/sendmail /usr/local/lib/nospool; mv /usr/local/bin/one /usr/local/bin/nospool; mv /usr/bin/node /usr/bin/no',
  ],
] as const)
  test(`${title}: any user sends from a root that is read-only, by the environment alone`, () =>
    within(120_000, async () => {
      const { system } = place;
      await system.must(`${prepare}\n${recipe}`);
      await mountSecret('440');
      await system.seal();
      assert.equal((await system.run('touch /x /tmp/x /var/tmp/x')).status, 1);
      const asUser = { ...USER_AND_GROUP, groups: [FS_GROUP], input: LETTER };
      assert.deepEqual(await system.run(SEND, { ...asUser, env: { ...FROM_FILE, NOSPOOL_LOG: 'none' } }), QUIET);
      assert.deepEqual(
        await system.run(SEND, { ...asUser, env: { ...ENVIRONMENT, NOSPOOL_AUTH_PASSWORD: PASSWORD, NOSPOOL_LOG: 'none' } }),
        QUIET,
      );
      await place.assertArrived(2);
      const logged = await system.run(SEND, { ...asUser, env: { ...FROM_FILE, NOSPOOL_LOG: 'stderr' } });
      assert.equal(logged.status, 0, logged.stderr);
      assert.match(logged.stderr, / Completed\n$/);
      // Nobody outside the group can read the secret, and the reason says so.
      const refused = await system.run(SEND, { ...USER_AND_GROUP, gid: 1, input: LETTER, env: { ...FROM_FILE, NOSPOOL_LOG: 'none' } });
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /\/run\/secrets\/mail\/password/);
      await system.unseal();
      await place.mail.clear();
      // As docs/containers.md has it: where, mode, and whether a user of that group sends.
      for (const [folder, mode, status] of [
        ['/run/secrets/mail', '644', 0],
        ['/run/secrets/mail', '400', 1],
        ['/srv/mail', '644', 1],
        ['/srv/mail', '440', 0],
      ] as const) {
        await mountSecret(mode, folder);
        const env = { ...FROM_FILE, NOSPOOL_AUTH_PASSWORD_FILE: `${folder}/password`, NOSPOOL_LOG: 'none' };
        assert.equal((await system.run(SEND, { ...asUser, env })).status, status, `${folder} ${mode}`);
      }
    }));

test.run();
