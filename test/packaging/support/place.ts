/** A small Debian and, at an address that is not loopback, the smart host that it sends to: a real Exim, which wants TLS and a password. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { scratch } from '../../interop/support/daemon.ts';
import { startExim } from '../../interop/support/exim.ts';
import type { DEBIAN } from '../../interop/support/needs.ts';
import { PASSWORD, type Peer, USER } from '../../interop/support/peer.ts';
import { caFile, goodFor } from '../../world/support/faces.ts';
import { theNetwork } from '../../world/support/network.ts';
import { type System, startSystem } from './system.ts';

const SMART_HOST = 60;
export const NAME = 'mail.example.org';
export const LETTER = 'Subject: backup\nTo: ann@peer.test\n\nAll done.\n';
export const NOBODY = 65534;
export const QUIET = { status: 0, signal: null, stdout: '', stderr: '' };

export interface Place {
  readonly system: System;
  readonly mail: Peer;
  /** Installs and removes packages; the value is what apt said. */
  apt(words: string): Promise<string>;
  /** So many messages have come, whole, and no other; `pattern` is in what the smart host says of the last. */
  assertArrived(count?: number): Promise<void>;
  /** A configuration by `nospool init`, and the password for members of the group nospool. The value is that group. */
  configure(): Promise<number>;
  /** Runs cron until its job has sent. */
  runCron(): Promise<void>;
  stop(): Promise<void>;
}

export async function startPlace(release: keyof typeof DEBIAN): Promise<Place> {
  const network = theNetwork();
  const folder = scratch('place');
  const [certificate, key] = [`${folder}/pem`, `${folder}/key`];
  const face = goodFor(NAME);
  writeFileSync(certificate, face.cert, { mode: 0o644 });
  writeFileSync(key, face.key, { mode: 0o644 });
  const { v4 } = network.add(SMART_HOST);
  const mail = await startExim({ at: [{ addresses: [v4], tls: { certificate, key } }], authRequired: true, user: USER });
  const client = await network.client();
  const system = await startSystem(client, release, `${v4} ${NAME}\n${client.at.v4} web1.example.org web1\n`);
  await system.write('/etc/ssl/certs/ca-certificates.crt', readFileSync(caFile()));
  const assertArrived = async (count = 1): Promise<void> => {
    const arrived = await mail.received('ann', count);
    for (const { octets } of arrived) assert.match(octets.toString('latin1'), /All done\.\n$/);
    assert.equal(await mail.total(), count);
    assert.match(mail.said(), new RegExp(` P=esmtpsa .*X=TLS\\S+ .*A=\\w+:${USER} `));
  };
  return {
    system,
    mail,
    assertArrived,
    apt: (words) => system.must(`apt-get -qq --yes --no-install-recommends ${words}`),
    async configure() {
      const group = Number((await system.must('getent group nospool')).split(':')[2]);
      await system.write('/etc/nospool/password', `${PASSWORD}\n`, '640', 'root:nospool');
      await system.must(`nospool init --smarthost ${NAME} --user ${USER} --domain peer.test --root ann@peer.test --group nospool`);
      const check = await system.run('nospool check');
      assert.equal(check.status, 0, check.stdout + check.stderr);
      return group;
    },
    async runCron() {
      await system.write('/etc/cron.d/job', 'MAILTO=ann@peer.test\n@reboot root echo All done.\n');
      await system.must('rm -f /run/crond.reboot; cron');
      await assertArrived();
      await system.must('kill $(cat /run/crond.pid); rm /etc/cron.d/job');
    },
    async stop() {
      client.stop();
      await mail.stop();
    },
  };
}
