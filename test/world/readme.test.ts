/**
 * README's examples as a new user follows them: installed for the whole host, its configuration as it stands there and with
 * `submissions://`, and that of a container; to a real Exim that wants TLS and a password, at hosts with the names of the
 * examples. The CA is in the system's store, the user an ordinary one.
 */
import assert from 'node:assert/strict';
import { chownSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { scratch } from '../interop/support/daemon.ts';
import { startExim } from '../interop/support/exim.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { PASSWORD, type Peer } from '../interop/support/peer.ts';
import { within } from '../support/within.ts';
import { caFile, goodFor } from './support/faces.ts';
import { type NameServer, startNameServer } from './support/names.ts';
import { type Client, type Ran, theNetwork, UID } from './support/network.ts';

const test = suiteWith('README in the world', 'root', 'unshare', 'bind9', 'exim4-daemon-heavy');

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const README = readFileSync(`${ROOT}/README.md`, 'utf8');
const [, EXAMPLE = ''] = /^```toml\n(.*?)^```$/ms.exec(README) ?? [];
const [, CONTAINER = ''] = /^```sh\n(NOSPOOL_.*?)^```$/ms.exec(README) ?? [];
const [, USER = ''] = /^user = "(.*)"$/m.exec(EXAMPLE) ?? [];
const SECURED = EXAMPLE.replace('"submission://', '"submissions://');

const [MAIL, BACKUP, CLOSED] = [60, 61, 62];

let client: Client;
let names: NameServer | undefined;
let mail: Peer;
let backup: Peer;

test.before(() =>
  within(60_000, async () => {
    const network = theNetwork();
    const folder = scratch('readme');
    const start = async (last: number, name: string, authRequired: boolean) => {
      const [certificate, key] = [`${folder}/${name}.pem`, `${folder}/${name}.key`];
      const made = goodFor(name);
      writeFileSync(certificate, made.cert, { mode: 0o644 });
      writeFileSync(key, made.key, { mode: 0o644 });
      const { v4, v6 } = network.add(last);
      return startExim({ at: [{ addresses: [v4, v6], tls: { certificate, key } }], authRequired, user: USER });
    };
    mail = await start(MAIL, 'mail.example.org', true);
    backup = await start(BACKUP, 'backup.example.net', false);
    network.add(CLOSED);
    const addresses = (name: string, last: number) => `${name}. A 192.0.2.${last}\n${name}. AAAA 2001:db8::${last}\n`;
    names = await startNameServer(
      network.add(53),
      `${addresses('mail.example.org', MAIL)}${addresses('backup.example.net', BACKUP)}${addresses('down.example.org', CLOSED)}`,
    );
    client = await network.client();
    prepare();
  }),
);
test.after(async () => {
  client?.stop();
  for (const each of [names, mail, backup]) await each?.stop();
});
test.before.each(async () => {
  await mail.clear();
  await backup.clear();
});

/** What the client's /etc has before the host's own. */
function prepare(): void {
  const etc = `${client.folder}/etc`;
  mkdirSync(`${etc}/nospool`, { recursive: true });
  mkdirSync(`${etc}/ssl/certs`, { recursive: true });
  writeFileSync(`${etc}/resolv.conf`, 'nameserver 192.0.2.53\n', { mode: 0o644 });
  writeFileSync(`${etc}/hosts`, '127.0.0.1 localhost\n192.0.2.201 web1.internal web1\n', { mode: 0o644 });
  cpSync(caFile(), `${etc}/ssl/certs/ca-certificates.crt`);
  // The group of those who may send reads it.
  writeFileSync(`${etc}/nospool/password`, `${PASSWORD}\n`, { mode: 0o640 });
  chownSync(`${etc}/nospool/password`, 0, UID);
  // nospool as README's lines for Docker install it.
  cpSync(`${ROOT}/dist`, `${client.folder}/nospool/dist`, { recursive: true });
}

/** Runs a command where nospool is installed for the whole host, with this /etc/nospool.toml. */
function runWhereInstalled(toml: string | null, argv: readonly string[], uid: number, input: string, env = {}): Promise<Ran> {
  if (toml !== null) writeFileSync(`${client.folder}/etc/nospool.toml`, toml, { mode: 0o644 });
  const own = toml === null ? 'rm -f /etc/nospool.toml' : ':';
  const script = `set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/etc /mnt/etc.work /mnt/usr /mnt/usr.work
mount -t overlay overlay -o lowerdir=${client.folder}/etc:/etc,upperdir=/mnt/etc,workdir=/mnt/etc.work /etc
mount -t overlay overlay -o lowerdir=/usr,upperdir=/mnt/usr,workdir=/mnt/usr.work /usr
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/secrets /usr/local/lib/nospool
install -m 640 -g ${UID} /etc/nospool/password /run/secrets/mail
cp -r ${client.folder}/nospool/dist /usr/local/lib/nospool/dist
${own}
${process.execPath} /usr/local/lib/nospool/dist/nospool.mjs install >/mnt/install 2>&1 || { cat /mnt/install; exit 9; }
exec setpriv --reuid=${uid} --regid=${uid} --clear-groups "$@"`;
  return client.run(['unshare', '--mount', 'sh', '-c', script, 'sh', ...argv], { uid: 0, input, env });
}

const LETTER = 'Subject: backup\nTo: ann@peer.test\n\nAll done.\n';
const SENDMAIL = ['/usr/sbin/sendmail', '-i', '-f', 'root@web1.internal', 'ann@peer.test'];
const QUIET = { status: 0, signal: null, stdout: '', stderr: '' };

async function assertTaken(by: Peer, transmission: RegExp): Promise<void> {
  const arrived = await by.received('ann');
  assert.deepEqual(
    arrived.map(({ reversePath, octets }) => [reversePath, octets.toString('latin1').slice(-10)]),
    [['root@example.org', 'All done.\n']],
  );
  assert.match(
    by
      .said()
      .split('\n')
      .findLast((line) => line.includes(' <= ')) ?? '',
    transmission,
  );
  assert.equal((await mail.total()) + (await backup.total()), 1);
}

const WITH_PASSWORD = new RegExp(` P=esmtpsa .*X=TLS\\S+ .*A=\\w+:${USER} `);

test('the examples are what these tests take them for', () => {
  assert.match(
    EXAMPLE,
    /^smarthosts = \["submission:\/\/mail\.example\.org", \{ url = "submissions:\/\/backup\.example\.net", auth = "none" \}\]$/m,
  );
  assert.match(EXAMPLE, /^"\*@web1\.internal" = "\*@example\.org"$/m);
  assert.match(CONTAINER, /^NOSPOOL_SMARTHOSTS=submission:\/\/mail\.example\.org$/m);
  assert.notEqual(USER, '');
});

test('the example as it stands sends, by STARTTLS with the password', () =>
  within(60_000, async () => {
    assert.deepEqual(await runWhereInstalled(EXAMPLE, SENDMAIL, UID, LETTER), QUIET);
    await assertTaken(mail, WITH_PASSWORD);
  }));

test('W1: the example with submissions:// sends, by TLS at once with the password', () =>
  within(60_000, async () => {
    assert.notEqual(SECURED, EXAMPLE);
    assert.deepEqual(await runWhereInstalled(SECURED, SENDMAIL, UID, LETTER), QUIET);
    await assertTaken(mail, WITH_PASSWORD);
  }));

test('where the first smart host is down, the second takes it, and never hears the password', () =>
  within(60_000, async () => {
    for (const example of [EXAMPLE, SECURED]) {
      await backup.clear();
      const down = example.replace('//mail.example.org', '//down.example.org');
      assert.deepEqual(await runWhereInstalled(down, SENDMAIL, UID, LETTER), QUIET);
      await assertTaken(backup, / P=esmtps .*X=TLS/);
    }
  }));

for (const scheme of ['submission', 'submissions'])
  test(`in a container, by the environment alone: ${scheme}://`, () =>
    within(60_000, async () => {
      const lines = CONTAINER.trim()
        .split('\n')
        .map((line) => line.split('=', 2) as [string, string]);
      const env = { ...Object.fromEntries(lines), NOSPOOL_SMARTHOSTS: `${scheme}://mail.example.org` };
      const argv = ['/usr/sbin/sendmail', '-t', '-f', 'root@example.org'];
      assert.deepEqual(await runWhereInstalled(null, argv, UID, LETTER, env), QUIET);
      await assertTaken(mail, WITH_PASSWORD);
    }));

test('nospool check finds nothing wrong with either', () =>
  within(60_000, async () => {
    for (const example of [EXAMPLE, SECURED]) {
      const argv = [process.execPath, '/usr/local/lib/nospool/dist/nospool.mjs', 'check'];
      const { status, stdout, stderr } = await runWhereInstalled(example, argv, 0, '');
      assert.equal(status, 0, `${stdout}\n${stderr}`);
      assert.match(stdout, /mail\.example\.org/);
      assert.equal(await mail.total(), 0);
    }
  }));

test.run();
